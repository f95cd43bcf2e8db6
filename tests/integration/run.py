"""Runs the integration tests: run.py --cmcwh ./cmcwh [--only PART_OF_A_NAME]... [--without PART]... [--hostile] [-v]

With --hostile those of hostile*.py, else all others, several at a time. Ends with a line `N passed, N failed`."""

import argparse
import collections
import concurrent.futures
import importlib
import multiprocessing
import os
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402

# How their names begin, and how many run at a time: they mostly wait. Few of those in which good requests must be
# answered in time, and the memory is counted; hostile_* have workers of their own.
USUAL = [("test_", 6)]
HOSTILE = [("hostile_", 2), ("hostile.", 3)]


def collect(only, without, begin):
    tests = []
    folder = os.path.dirname(os.path.abspath(__file__))
    for file in sorted(os.listdir(folder)):
        if not (file.startswith(begin) and file.endswith(".py")):
            continue
        name = file[:-len(".py")]
        module = importlib.import_module(name)
        for member in sorted(vars(module)):
            test = name + "." + member
            if member.startswith("test_") and any(part in test for part in only) and not any(
                    part in test for part in without):
                tests.append(test)
    return tests


def attempt(name):
    module, _, member = name.partition(".")
    try:
        getattr(sys.modules[module], member)()
        return name, "passed", None
    except harness.Skipped as reason:
        return name, "skipped", str(reason)
    except BaseException as error:  # a test that exits has failed like any other
        said = getattr(error, "said", None)
        return name, "failed", traceback.format_exc() + (
            "" if said is None else "cmcwh said:\n" + said)


def several(at_a_time, tests):
    """In processes, not threads: what a test closes would stay open in a child that another test has forked
    and that has not come to its program yet."""
    with concurrent.futures.ProcessPoolExecutor(at_a_time, multiprocessing.get_context("fork")) as pool:
        yield from pool.map(attempt, tests)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmcwh", default="./cmcwh")
    parser.add_argument("--only", action="append")
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("-v", action="store_true")
    arguments = parser.parse_args()
    harness.CMCWH = arguments.cmcwh
    count = collections.Counter()
    reasons = collections.Counter()
    for begin, at_a_time in HOSTILE if arguments.hostile else USUAL:
        for name, outcome, why in several(at_a_time, collect(arguments.only or [""], arguments.without, begin)):
            count[outcome] += 1
            if outcome == "failed":
                print("FAILED %s\n%s" % (name, why))
            elif outcome == "skipped":
                reasons[why] += 1
            elif arguments.v:
                print("ok", name)
    for why, times in reasons.items():
        print("skipped %d tests: %s" % (times, why))
    skipped = ", %d skipped" % count["skipped"] if count["skipped"] else ""
    print("%d passed, %d failed%s" % (count["passed"], count["failed"], skipped))
    sys.exit(0 if count["failed"] == 0 and count["passed"] + count["skipped"] > 0 else 1)


main()

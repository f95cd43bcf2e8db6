"""Runs the integration tests: run.py --cmcwh ./cmcwh [--only PART_OF_A_NAME] [-v]

Ends with a line `N passed, N failed`."""

import argparse
import concurrent.futures
import importlib
import os
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402


def collect(only):
    tests = []
    for name in ("test_http", "test_sinks", "test_command"):
        module = importlib.import_module(name)
        for member in sorted(vars(module)):
            if member.startswith("test_") and only in name + "." + member:
                tests.append((name + "." + member, getattr(module, member)))
    return tests


def attempt(test):
    name, function = test
    try:
        function()
        return name, None
    except BaseException:  # a test that exits has failed like any other
        return name, traceback.format_exc()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmcwh", default="./cmcwh")
    parser.add_argument("--only", default="")
    parser.add_argument("-v", action="store_true")
    arguments = parser.parse_args()
    harness.CMCWH = arguments.cmcwh
    failed = passed = 0
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for name, trouble in pool.map(attempt, collect(arguments.only)):
            if trouble is None:
                passed += 1
                if arguments.v:
                    print("ok", name)
            else:
                failed += 1
                print("FAILED %s\n%s" % (name, trouble))
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(0 if failed == 0 and passed > 0 else 1)


main()

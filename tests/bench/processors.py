#!/usr/bin/env python3
"""How many instructions an event takes on each processor, and beside the first one.

    tests/bench/processors.py PLUGIN NAME=PROGRAM,QEMU[,OPTION...]... -- PAYLOAD...: a table. PROGRAM: repeat.c for it; QEMU: of the
    package qemu-user, with plugins; PLUGIN: count.so.

Each figure is the difference between two runs, which do the work FEW and MANY times."""

import re
import subprocess
import sys

FEW, MANY = 1, 11
WORK = [("JSON", 1), ("JSON", 100), ("form", 1), ("form", 100), ("encode", 100)]


def instructions(command, work, events, times, payloads):
    done = subprocess.run([*command, work, str(events), str(times), *payloads], stderr=subprocess.PIPE, text=True,
                          timeout=300, check=True)
    return int(re.search(r"instructions (\d+)", done.stderr).group(1))


def main():
    plugin, *programs = sys.argv[1:sys.argv.index("--")]
    payloads = sys.argv[sys.argv.index("--") + 1:]
    print("| instructions an event | " + " | ".join("%s, %d" % each for each in WORK) + " |")
    print("|---" * (len(WORK) + 1) + "|")
    first = None
    for program in programs:
        name, _, where = program.partition("=")
        binary, *qemu = where.split(",")
        command = [*qemu, "-plugin", plugin, binary]
        costs = [(instructions(command, work, events, MANY, payloads) - instructions(command, work, events, FEW, payloads))
                 / (MANY - FEW) / events for work, events in WORK]
        first = first or costs
        print("| %s | %s |" % (name, " | ".join(
            "%d (%.2f)" % (cost, cost / of) for cost, of in zip(costs, first))), flush=True)


main()

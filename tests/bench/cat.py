#!/usr/bin/env python3
"""cat.py CMCWH: processor time of `cmcwh cat` and `cmcwh summary`, beside `wc -l` and `jq -c` of the same
events. Prints Markdown.

A log of MIB (1024) of JSON lines, a binary log of the same events, and a ring of as many MiB, in $TMPDIR,
which needs room for all three. All in the page cache; what is printed goes nowhere. Processor time, user and
system, of the process; the least of ROUNDS (3), in turn. jq gets a sixteenth of the log, and counts sixteen
times.
"""

import os
import subprocess
import sys

from filled import fill, room
from load import head, row, say_machine
import harness
from harness import Server

MIB = int(os.environ.get("MIB", "1024"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
PART = 16


def cost(*command):
    """Seconds of the processor."""
    with open(os.devnull, "wb") as nowhere, subprocess.Popen(command, stdout=nowhere) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_utime + usage.ru_stime


def make(server):
    """Fills all files. Returns how many events are in the logs."""
    size = MIB << 20
    count = fill(server, lambda count: os.path.exists(server.log) and os.path.getsize(server.log) >= size)
    server.stop()  # all is delivered
    with open(server.log, "rb") as log, open(server.path("part"), "wb") as part:
        part.write(log.read(size // PART))
        part.write(log.readline())
    return count


def measure(server):
    """The least of each."""
    log, binary, ring, part = map(server.path, ("log", "binary", "ring", "part"))
    commands = {"`wc -l` of the log": ("wc", "-l", log), "`cat` of the log": (harness.CMCWH, "cat", log),
                "`summary` of the log": (harness.CMCWH, "summary", log),
                "`cat --only bounces --format csv` of the log":
                    (harness.CMCWH, "cat", "--only", "bounces", "--format", "csv", log),
                "`cat` of the binary log": (harness.CMCWH, "cat", binary),
                "`cat` of the ring": (harness.CMCWH, "cat", ring),
                "`summary` of the ring": (harness.CMCWH, "summary", ring),
                "`jq -c .` of a part of the log": ("jq", "-c", ".", part)}
    found = {name: [] for name in commands}
    for number in range(ROUNDS):
        print("round %d of %d" % (number + 1, ROUNDS), file=sys.stderr)
        for name, command in commands.items():
            found[name].append(cost(*command))
    return {name: min(costs) for name, costs in found.items()}


def main():
    say_machine("; %d MiB, %d rounds" % (MIB, ROUNDS))
    with Server("--ring", "@/ring", "--ring-records", str(MIB << 10), "--sync", "never", "--sink",
                "file:@/binary?format=binary", "--body-max", "8388608") as server:
        room(server.folder, 5 * (MIB << 20))
        events = make(server)
        found = measure(server)
    events_of = {name: min(events, MIB << 10) if "ring" in name else events / PART if "part" in name else events
                 for name in found}
    each = {name: seconds / events_of[name] for name, seconds in found.items()}
    wc, *_, jq = each.values()
    head("", "s", "ns an event", "times as fast as `jq`", "`wc`'s time")
    for name, seconds in found.items():
        row(name, "%.2f" % seconds, "%.0f" % (1e9 * each[name]), "%.1f" % (jq / each[name]), "%.1f" % (each[name] / wc))


if __name__ == "__main__":
    harness.CMCWH = sys.argv[1]
    main()

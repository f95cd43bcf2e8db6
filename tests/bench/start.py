#!/usr/bin/env python3
"""start.py CMCWH: seconds from the start to the first 200 with a ring file, what that takes of the processor,
and how much memory the process then has. Prints Markdown.

Rings of RECORDS ("1000 100000"): a new one (which is made first), an empty one, a full one all of which was
delivered, and one of which nothing was, but for room for the first request. With the file in the page cache,
and after it was dropped from there. The median of STARTS (5). In $TMPDIR, which needs 1 KiB a record.
"""

import os
import statistics
import subprocess
import sys
import time

from filled import BATCH, fill, room
from load import head, memory, row, say_machine
import harness
from harness import Client, Server, body, request

RECORDS = [int(word) for word in os.environ.get("RECORDS", "1000 100000").split()]
STARTS = int(os.environ.get("STARTS", "5"))
OPTIONS = "--sync", "always", "--body-max", "8388608", "--log-level", "info"
NOWHERE, STUCK = ["--sink", "file:/dev/null"], ["--sink", "file:/dev/full"]


def drop(path):
    """From the page cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def port_of(process):
    for line in process.stderr:
        if "listening on" in line:
            return int(line.split("/mails")[0].rpartition(":")[2])
    raise AssertionError("it ended at once")


def used(pid):
    """Seconds of the processor, of all threads, exactly."""
    path = "/proc/%d/task" % pid
    spent = 0
    for thread in os.listdir(path):
        with open(os.path.join(path, thread, "schedstat"), encoding="ascii") as file:
            spent += int(file.read().split()[0])
    return spent / 1e9


def start(options):
    """Seconds until it has answered with 200, of the processor, and MiB."""
    began = time.monotonic()
    with subprocess.Popen([harness.CMCWH, "serve", "--listen", "127.0.0.1:0", *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            client = Client(port_of(process))
            client.send(request(body()))
            answer = client.answer()
            took = time.monotonic() - began
            assert answer.status == 200, answer.body
            return took, used(process.pid), memory(process.pid)[0] / 1024
        finally:
            process.kill()


def starts(options, path, before):
    """Medians; before(path) comes before each start."""
    found = []
    for _ in range(STARTS):
        before(path)
        found.append(start(options))
    return [statistics.median(column) for column in zip(*found)]


def filled(records, folder, name, sink, count):
    """A ring with so many events."""
    path = os.path.join(folder, name)
    options = ["--ring", path, "--ring-records", str(records), *OPTIONS, *sink]
    with Server(*options, sink=False) as server:
        fill(server, lambda done: done >= count)
        if sink == NOWHERE:
            server.stop()
        else:
            server.kill()
            server.status = -9
    return options, path


def measure(records, folder):
    path = os.path.join(folder, "new")
    new = ["--ring", path, "--ring-records", str(records), *OPTIONS, *NOWHERE]
    yield "made", starts(new, path, lambda path: os.path.exists(path) and os.unlink(path))
    for what, sink, count in (("empty", NOWHERE, 0), ("full, all delivered", NOWHERE, records),
                              ("full, nothing delivered", STUCK, records - BATCH)):
        options, path = filled(records, folder, "ring", sink, count)
        yield what, starts(options, path, lambda path: None)
        yield what + ", not in the page cache", starts(options, path, drop)
        os.unlink(path)


def main():
    say_machine("; %d starts" % STARTS)
    head("records", "ring", "first 200 after, ms", "processor time, ms", "ms a GB", "memory, MiB")
    with Server() as server:
        room(server.folder, 3 * 1024 * max(RECORDS))
        for records in RECORDS:
            for what, (took, spent, resident) in measure(records, server.folder):
                size = records * 1024 / 1e9
                row(str(records), what, "%.1f" % (1000 * took),
                    "%.1f" % (1000 * spent), "%.0f" % (1000 * spent / size), "%.1f" % resident)


if __name__ == "__main__":
    harness.CMCWH = sys.argv[1]
    main()

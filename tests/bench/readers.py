#!/usr/bin/env python3
"""readers.py CMCWH: what those who look in at the admin port cost the webhooks, and how much memory they
take: a hundred readers of Server-Sent Events that never read, and one who reads a table slowly. Whoever is
refused or closed comes again after two seconds, as the stream asks a browser to. Prints Markdown.

One server for each way to store; the same load is measured alone and beside the readers, in PAIRS (30) of
SECONDS_EACH (0.5) each, in turn which is first. What all requests together took counts, and of how rates
differ the median of the pairs. Processor time is all of the server's, from /proc/PID/stat, and so that of
its readers too.
"""

import collections
import os
import re
import select
import socket
import statistics
import sys
import tempfile
import threading
import time

from load import Wrk, head, memory, row, say_machine, thousands, together, watch
import bodies
import harness
import test_admin
from harness import eventually

PAIRS = int(os.environ.get("PAIRS", "30"))
SECONDS_EACH = float(os.environ.get("SECONDS_EACH", "0.5"))
CONNECTIONS = 8
SILENT = 100        # readers that never read
SLOW = 1000, 0.02   # bytes and seconds of the one who reads slowly
AGAIN = 2           # seconds
SETTLE = 1          # seconds before each load: what the system keeps for readers fills
STREAMS = 16        # of them at a time; all others are refused
KEPT = 128          # KiB that the system keeps at most for one, as the manual says

SERVERS = {"`--sync never`": ("--sync", "never", "--sink", "file:/dev/null"),
           "`--ring --sync always`": ("--sync", "always", "--ring", "@/ring", "--sink",
                                      "file:@/log?rotate=64M&keep=1")}


# ---- Readers ----

class Readers:
    """They come, and come again, until the end."""

    def __init__(self, server):
        self.server, self.ending, self.came = server, threading.Event(), 0
        self.threads = [threading.Thread(target=self.stare), threading.Thread(target=self.sip)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        eventually(lambda: self.came >= SILENT, "readers")
        return self

    def __exit__(self, *unused):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def ask(self, path, *headers):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", self.server.admin))
        reader.sendall(test_admin.head(path, *headers))
        return reader

    def stare(self):
        readers, poll = {}, select.poll()
        while not self.ending.is_set():
            while len(readers) < SILENT:
                reader = self.ask("/events?after=0", test_admin.SSE)
                readers[reader.fileno()] = reader
                poll.register(reader, select.POLLRDHUP)
                self.came += 1
            for descriptor, _ in poll.poll(200):
                poll.unregister(descriptor)
                readers.pop(descriptor).close()
            self.ending.wait(AGAIN)
        for reader in readers.values():
            reader.close()

    def sip(self):
        reader = self.ask("/events.csv")
        while not self.ending.wait(SLOW[1]):
            try:
                more = reader.recv(SLOW[0])
            except OSError:
                more = b""
            if not more:
                reader.close()
                reader = self.ask("/events.csv")
        reader.close()


def kept(server):
    """Bytes that the system keeps to be sent at the admin port."""
    mark = ":%04X" % server.admin
    with open("/proc/net/tcp", encoding="ascii") as file:
        fields = [line.split() for line in file.readlines()[1:]]
    return sum(int(field[4].split(":")[0], 16) for field in fields if field[1].endswith(mark))


# ---- Load ----

def load(server, folder):
    """One run of wrk, as for the door."""
    time.sleep(SETTLE)
    with Wrk("cmcwh", "http://127.0.0.1:%d/mails" % server.port, CONNECTIONS, folder) as wrk:
        time.sleep(0.1)
        return watch(server.process.pid, wrk.sent, lambda: time.sleep(SECONDS_EACH))


# What readers take while they are there, in KiB: more of the process's own, of which it has said how much
# there is; and of the system.
Memory = collections.namedtuple("Memory", "resident said kept")


def beside(server, folder):
    before = memory(server.process.pid)[0]
    with Readers(server):
        cost = load(server, folder)
        said = int(re.search(r"connections, (\d+) KiB", server.stderr()).group(1))
        return cost, Memory(memory(server.process.pid)[0] - before, said, kept(server) / 1024)


def measure(name, folder):
    """Pairs of costs, alone and beside readers, and the memory of each pair."""
    pairs, sizes = [], []
    with test_admin.Admin("--log-level", "error", *SERVERS[name], sink=False) as server:
        load(server, folder)  # every record of the ring is there
        for number in range(PAIRS):
            print("%s, pair %d of %d" % (name, number + 1, PAIRS), file=sys.stderr)
            alone = load(server, folder) if number % 2 == 0 else None
            cost, size = beside(server, folder)
            pairs.append((alone or load(server, folder), cost))
            sizes.append(size)
    return pairs, sizes


def say(name, pairs):
    alone, with_them = map(together, zip(*pairs))
    changes = sorted(100 * (late.count / late.seconds / (first.count / first.seconds) - 1)
                     for first, late in pairs)
    row(name, "%.1f" % alone.micros, thousands(alone.rate), "%.1f" % with_them.micros,
        thousands(with_them.rate), "%+.1f %%" % (100 * (with_them.micros / alone.micros - 1)),
        "%+.1f %%" % statistics.median(changes),
        "%+.1f to %+.1f %%" % (changes[len(changes) // 4], changes[-1 - len(changes) // 4]))


def main():
    say_machine("; %d pairs of %g s" % (PAIRS, SECONDS_EACH))
    with tempfile.TemporaryDirectory(prefix="cmcwh-readers-") as folder:
        bodies.write(folder)
        found = {name: measure(name, folder) for name in SERVERS}
    head("1 event, %d connections" % CONNECTIONS, "alone: µs", "a second",
         "beside %d that never read and a slow one: µs" % SILENT, "a second", "µs", "rate, median",
         "half of all pairs")
    for name, (pairs, _) in found.items():
        say(name, pairs)
    most = Memory(*map(max, zip(*(size for _, sizes in found.values() for size in sizes))))
    print("\nMemory for them, at most: %d KiB more of the process (bound: the %d KiB that it says at its "
          "start), %d KiB in the system's buffers (bound: %d, %d streams with %d each)." % (
              most.resident, most.said, most.kept, STREAMS * KEPT, STREAMS, KEPT))


if __name__ == "__main__":
    harness.CMCWH = sys.argv[1]
    main()

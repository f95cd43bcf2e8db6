#!/usr/bin/env python3
"""durable.py CMCWH: how many events a second are safe on the disk. Prints Markdown.

With one sender of one event a request beside the disk's own rate: one write of 1 KiB and fdatasync in a file
that has all its room. With 64 senders, of one event and of 100 a request, beside SQLite (WAL, synchronous=FULL),
which has as many events in a transaction as they have in requests, and rsyslog (a disk queue with
queue.syncqueuefiles=on). Both are given the same lines without HTTP: SQLite by Python's module; rsyslog over one
TCP connection, of which it acknowledges nothing, until its output has all.
In turn, ROUNDS (10) of SECONDS_EACH (0.5); the best of each counts, for what else the machine does makes them
slower, and waiting for the disk most of all. In $TMPDIR.
"""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

from load import Wrk, head, processor, row, say_machine, thousands, watch
import bodies
import harness
from harness import Server, eventually, free_port

ROUNDS = int(os.environ.get("ROUNDS", "10"))
SECONDS_EACH = float(os.environ.get("SECONDS_EACH", "0.5"))
SENDERS = 64
BATCH = 100
ROOM = 16384  # records: more than all senders of bodies of BATCH events have under way
RECORD = 1024
SLOW = 4  # times as long: rsyslog reads ahead, and begins late

RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="8k")
module(load="imtcp")
main_queue(queue.type="disk" queue.filename="queue" queue.syncqueuefiles="on" queue.maxfilesize="64m")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="line" type="string" string="%msg%\\n")
action(type="omfile" file="{folder}/out" template="line")
"""


def disk(folder):
    """Writes and syncs, one after the other: how many a second."""
    path, slots = os.path.join(folder, "slots"), 4096
    record = os.urandom(RECORD)
    with open(path, "wb") as file:
        file.write(bytes(slots * RECORD))
        os.fsync(file.fileno())
    descriptor = os.open(path, os.O_RDWR)
    begin, count = time.monotonic(), 0
    while time.monotonic() < begin + SECONDS_EACH:
        os.pwrite(descriptor, record, count % slots * RECORD)
        os.fdatasync(descriptor)
        count += 1
    took = time.monotonic() - begin
    os.close(descriptor)
    return count / took, 0


def cmcwh(folder, senders, events=1):
    with Server("--ring", "@/ring", "--ring-records", str(ROOM), "--sync", "always", "--log-level", "error",
                "--sink", "file:/dev/null", sink=False) as server, \
            Wrk("cmcwh", "http://127.0.0.1:%d/mails" % server.port, senders, folder, events=events) as wrk:
        run = watch(server.process.pid, wrk.sent, lambda: time.sleep(SECONDS_EACH))
    return events * run.count / run.seconds, 1e6 * run.used / run.count / events


def lines():
    """What is stored of an event."""
    return bodies.compact(bodies.expected(1)[0])


def sqlite(folder, transaction):
    path = os.path.join(folder, "events.db")
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE events(seq INTEGER PRIMARY KEY, line TEXT)")
    rows = [(lines(),)] * transaction
    begin, spent, count = time.monotonic(), time.process_time(), 0
    while time.monotonic() < begin + SECONDS_EACH:
        database.execute("BEGIN")
        database.executemany("INSERT INTO events(line) VALUES(?)", rows)
        database.execute("COMMIT")
        count += transaction
    took, spent = time.monotonic() - begin, time.process_time() - spent
    database.close()
    return count / took, 1e6 * spent / count


def written(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def rsyslog(folder):
    """All that is sent within the time; it is there when its output is."""
    port, config, out = free_port(), os.path.join(folder, "conf"), os.path.join(folder, "out")
    with open(config, "w", encoding="utf-8") as file:
        file.write(RSYSLOG.format(folder=folder, port=port))
    message = ("<22>1 2026-01-25T14:03:06Z host cmcwh - - - %s\n" % lines()).encode()
    with subprocess.Popen(["/usr/sbin/rsyslogd", "-n", "-f", config, "-i", os.path.join(folder, "pid")],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            sender = eventually(lambda: connect(port), "rsyslog's port")
            sender.sendall(message)
            eventually(lambda: written(out), "rsyslog's output")
            one = written(out)
            begin, spent = time.monotonic(), processor(process.pid)
            sender.settimeout(0.1)
            while time.monotonic() < begin + SLOW * SECONDS_EACH:
                try:
                    sender.send(message * 16)  # it may take a part of it
                except TimeoutError:
                    pass
            count = written(out) / one - 1
            return count / (time.monotonic() - begin), 1e6 * (processor(process.pid) - spent) / max(count, 1)
        finally:
            process.kill()


def connect(port):
    try:
        return socket.create_connection(("127.0.0.1", port))
    except ConnectionRefusedError:
        return None


ONE, MANY, FULL = ("cmcwh, 1 sender", "cmcwh, %d senders" % SENDERS,
                   "cmcwh, %d senders of %d events a request" % (SENDERS, BATCH))
WAYS = {"the disk: `pwrite`, `fdatasync`": (disk, ONE),
        ONE: (lambda folder: cmcwh(folder, 1), ONE),
        MANY: (lambda folder: cmcwh(folder, SENDERS), MANY),
        "SQLite, %d events a transaction" % SENDERS: (lambda folder: sqlite(folder, SENDERS), MANY),
        "rsyslog, disk queue": (rsyslog, MANY),
        FULL: (lambda folder: cmcwh(folder, SENDERS, BATCH), FULL),
        "SQLite, %d events a transaction" % (SENDERS * BATCH): (lambda folder: sqlite(folder, SENDERS * BATCH), FULL),
        "SQLite, %d events a transaction" % BATCH: (lambda folder: sqlite(folder, BATCH), FULL)}


def once(way):
    folder = tempfile.mkdtemp(prefix="cmcwh-durable-")
    try:
        bodies.write(folder)
        measure, _ = WAYS[way]
        return measure(folder)
    finally:
        shutil.rmtree(folder)


def main():
    say_machine("; %d rounds of %g s" % (ROUNDS, SECONDS_EACH))
    found = {way: [] for way in WAYS}
    for number in range(ROUNDS):
        print("round %d of %d" % (number + 1, ROUNDS), file=sys.stderr)
        for way in WAYS:
            found[way].append(once(way))
    best = {way: max(runs) for way, runs in found.items()}
    head("", "events/s", "processor time, µs an event", "cmcwh to it")
    for way, (rate, used) in best.items():
        _, ours = WAYS[way]
        row(way, thousands(rate), "%.1f" % used if used else "", "%.2f" % (best[ours][0] / rate))


if __name__ == "__main__":
    harness.CMCWH = sys.argv[1]
    main()

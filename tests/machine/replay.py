"""replay.py [--seconds N] [--points N] [--sync WHEN] CMCWH-MIPSEL CMCWH: torn and reordered writes of a disk.

A router whose disk (ext4) has a cache of its own writes a ring and a log; qemu (blklogwrites) logs each write and flush
of the disk in the format of Linux' dm-log-writes. Then the disk is made again as a power cut could have left it: at
each place of that log, with all writes up to there; and with all up to the last flush and any of those behind it, in
any order, some of them torn at a sector. Each time its journal is replayed, and every event whose 200 had come before
that place must be in the ring or in the log, and of each request all or nothing. --points: so many of each kind, at
random; 0: every place once, and two others behind each."""

import argparse
import collections
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import router
from harness import Client, body, request
from qemu import find

SECTOR = 512
MAGIC = 0x6a736677736872
FLUSH, FUA, DISCARD = 1, 2, 4
SIZE = 16 << 20
EVENT = re.compile(rb'"to":"user(\d+)@example\.jp"')
SERVE = ("cmcwh serve --listen 0.0.0.0:8080 --ring /d/ring --ring-records 32 --sync %s --store-timeout 10 "
         "--sink 'file:/d/log' 2>&1 &")

# One entry of the log: where and what was written, and whether a flush stands before it or is all of it.
Entry = collections.namedtuple("Entry", "offset data flush fua end")


def read_log(path):
    """The entries, up to the first that is not whole."""
    with open(path, "rb") as file:
        log = file.read()
    magic, version, _, size = struct.unpack_from("<QQQI", log)
    assert (magic, version, size) == (MAGIC, 1, SECTOR), "no log of writes"
    entries, at = [], SECTOR
    while at + SECTOR <= len(log):
        sector, sectors, flags, _ = struct.unpack_from("<QQQQ", log, at)
        if (sector, sectors, flags) == (0, 0, 0):
            break
        begin, length = at + SECTOR, sectors * SECTOR
        data = bytes(length) if flags & DISCARD else log[begin:begin + length]
        at = begin + (0 if flags & DISCARD else length)
        if len(data) < length:
            break
        entries.append(Entry(sector * SECTOR, data, bool(flags & FLUSH), bool(flags & FUA), at))
    return entries


class Logged(router.WithDisk):
    """A router whose disk's writes are logged."""

    def format(self):
        self.image, self.log = self.path("disk"), self.path("writes")
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        subprocess.run([find("mkfs.ext4"), "-q", self.image], check=True)
        shutil.copy(self.image, self.path("first"))

    def attached(self, image):
        with open(self.log, "wb"):
            pass
        return ["-blockdev", "driver=raw,node-name=disk,file.driver=file,file.filename=" + image,
                "-blockdev", "driver=raw,node-name=log,file.driver=file,file.filename=" + self.log,
                "-blockdev", "driver=blklogwrites,node-name=d,file=disk,log=log",
                "-device", self.kind.disk[1]]


def post(machine, sync, seconds):
    """Two requests at a time. Returns [(first event, how many, bytes of the log when their 200 came)]."""
    with machine.live() as life:
        said, status = life.run(machine.mount())
        assert status == 0, said
        life.type(SERVE % sync + "\n")
        life.expect("listening on ")
        taken, clients = [], [Client(machine.port), Client(machine.port)]
        number, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            sent = []
            for client in clients:
                sent.append((number, 1 + number % 3))
                client.send(request(body(sent[-1][1], first=number)))
                number += sent[-1][1]
            for client, (first, count) in zip(clients, sent):
                assert client.answer().status == 200
                taken.append((first, count, os.stat(machine.log).st_size))
    return taken


class Replay:
    """The disk as a power cut could have left it, and what is to be found there."""

    def __init__(self, machine, cmcwh, taken):
        self.cmcwh, self.folder, self.taken = cmcwh, machine.folder, taken
        self.entries = read_log(machine.log)
        with open(machine.path("first"), "rb") as file:
            self.first = file.read()
        self.path, self.checks, self.looked = machine.path("cut"), 0, 0
        self.rewind()

    def rewind(self):
        self.upto, self.disk, self.since = 0, bytearray(self.first), []

    def program(self, *command):
        return subprocess.run([find(command[0]), *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

    def dump(self, name):
        """A file of the disk, "" when it is not there; its path."""
        out = os.path.join(self.folder, "cut." + name)
        if os.path.exists(out):
            os.remove(out)
        self.program("debugfs", "-R", "dump /%s %s" % (name, out), self.path)
        if not os.path.exists(out):
            with open(out, "wb"):
                pass
        return out

    def check(self, image, place, what):
        """`place`: how many bytes of the log were surely written before the cut."""
        with open(self.path, "wb") as file:
            file.write(image)
        done = self.program("e2fsck", "-y", "-E", "journal_only", self.path)
        assert done.returncode in (0, 1), "%s: the journal: %s" % (what, done.stderr)
        ring, log = self.dump("ring"), self.dump("log")
        shown = subprocess.run([self.cmcwh, "cat", ring], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        with open(log, "rb") as file:
            events = [int(number) for number in EVENT.findall(shown.stdout + file.read())]
        due = [(first, count) for first, count, end in self.taken if end <= place]
        lost = [first for first, count in due if not set(range(first, first + count)) <= set(events)]
        half = [first for first, count, _ in self.taken if len({first + i in events for i in range(count)}) > 1]
        assert not lost and not half, "%s: %d requests lost: %s, half there: %s; cat: %s" % (
            what, len(lost), lost[:9], half[:9], shown.stderr.decode())
        self.checks += 1
        self.looked += len(due)

    def flushed(self, upto):
        """What is surely on the disk, and the entries since the last flush. From one to a later one is a short way."""
        if upto < self.upto:
            self.rewind()
        for entry in self.entries[self.upto:upto]:
            if entry.flush:
                for earlier in self.since:
                    self.disk[earlier.offset:earlier.offset + len(earlier.data)] = earlier.data
                self.since = []
            if entry.fua:
                self.disk[entry.offset:entry.offset + len(entry.data)] = entry.data
            elif entry.data:
                self.since.append(entry)
        self.upto = upto
        return bytearray(self.disk), list(self.since)

    def in_order(self, upto):
        disk, since = self.flushed(upto)
        for entry in since:
            disk[entry.offset:entry.offset + len(entry.data)] = entry.data
        self.check(disk, self.entries[upto - 1].end, "after write %d" % upto)

    def shuffled(self, upto, luck):
        """Any of those since the last flush, in any order, each whole or torn: some of its sectors."""
        disk, since = self.flushed(upto)
        luck.shuffle(since)
        for entry in since:
            share = luck.choice([0, 0.5, 1])
            for at in range(0, len(entry.data), SECTOR):
                if luck.random() < share:
                    disk[entry.offset + at:entry.offset + at + SECTOR] = entry.data[at:at + SECTOR]
        self.check(disk, self.entries[upto - 1].end, "up to write %d, shuffled" % upto)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--sync", default="always")
    parser.add_argument("router", metavar="CMCWH-MIPSEL")
    parser.add_argument("cmcwh", metavar="CMCWH")
    arguments = parser.parse_args()
    seed = int(os.environ.get("CMCWH_SEED", time.time_ns() % 1000000))
    luck = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="cmcwh-machine-") as folder:
        machine = Logged(router.mipsel(), arguments.router, folder, "ext4")
        machine.boot()
        machine.format()
        replay = Replay(machine, arguments.cmcwh, post(machine, arguments.sync, arguments.seconds))
        every = range(1, len(replay.entries) + 1)
        print("%d writes and flushes of a disk, %d requests answered 200 (--sync %s, CMCWH_SEED=%d)" %
              (len(every), len(replay.taken), arguments.sync, seed), flush=True)
        for upto in sorted(luck.sample(every, min(arguments.points, len(every)))) if arguments.points else every:
            replay.in_order(upto)
        for upto in sorted(luck.choices(every, k=arguments.points)) if arguments.points else [*every, *every]:
            replay.shuffled(upto, luck)
    print("%d disks as a power cut could leave them: each of their %d acknowledged requests is there, none in part" %
          (replay.checks, replay.looked))
    return 0


if __name__ == "__main__":
    sys.exit(main())

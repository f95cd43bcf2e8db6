"""wear.py CMCWH-MIPSEL [FILESYSTEM...]: what one event a second costs a router's flash or disk.

ext4 and f2fs are on a disk, and what is written to it depends on the time that passes (their journals are written every
few seconds): so the events come at that rate. JFFS2 and UBIFS are on a NOR flash of 4 MiB, whose erases and programmed
bytes qemu tells. What they write depends on what they are given only, so the events come ten times as fast, and the TIME
of --sync is a tenth: as many share a sync. The flash has been full once before, so that every block that is needed must
be erased first, as it is after some weeks. Years: until each of its blocks has been erased 100 000 times, since both
file systems use all blocks in turn."""

import concurrent.futures
import os
import re
import sys
import tempfile
import time
import uuid

import router
from harness import Client, body, request

CYCLES, DAY = 100000, 86400
# An emulated flash may stand for seconds while it is cleaned up: enough may wait meanwhile.
SERVE = "cmcwh serve --listen 0.0.0.0:8080 --workers 32 --ring-records 256 %s --sync %s --store-timeout 30 --sink '%s' 2>&1 &"
LOG = "file:/d/log?rotate=64k&keep=1"
CELLS = [("--ring FILE", "--ring /d/ring", LOG, ["always", "250ms", "2s", "never"]),
         ("--ring FILE, no log", "--ring /d/ring", "syslog+udp://10.0.2.2:9?policy=besteffort", ["always", "2s"]),
         ("in memory, log", "", LOG, ["always", "2s"])]
FILL = "dd if=/dev/urandom of=/d/filler bs=64k 2>/dev/null; rm /d/filler; sync; sleep 2"


def scaled(sync, factor):
    found = re.fullmatch(r"(\d+)(m?)s", sync)
    return sync if not found else "%dms" % (int(found.group(1)) * (1 if found.group(2) else 1000) / factor)


class OfDisk:
    """What was written to a disk, by qemu's own count."""
    events, rate = 40, 1

    def __init__(self, machine, life):
        self.life = life

    def arguments(machine):
        return []

    def prepare(self):
        pass

    def count(self):
        self.life.run("sync")
        stats, = [each["stats"] for each in self.life.qmp("query-blockstats") if "wr_bytes" in each["stats"]]
        return stats["wr_bytes"], 0


class OfFlash:
    """What was programmed and erased of a flash, as qemu traces it. A block is erased in its time, so how often follows
    from the bytes: each is erased once it is full."""
    events, rate = 300, 10

    def __init__(self, machine, life):
        self.life, self.path, self.at, self.sums = life, machine.path("trace"), 0, [0, 0]

    def arguments(machine):
        return ["-trace", "pflash_write_block_erase", "-trace", "pflash_data_write", "-trace", "pflash_data_write_block", "-D", machine.path("trace")]

    def prepare(self):
        self.life.run(FILL)

    def count(self):
        self.life.run("sync; sleep 1")
        with open(self.path, encoding="ascii", errors="replace") as file:
            file.seek(self.at)
            text = file.read()
            self.at = file.tell()
        self.sums[0] += sum(int(size) for size in SIZE.findall(text))
        self.sums[1] += text.count("pflash_write_block_erase")
        return tuple(self.sums)


SIZE = re.compile(r"pflash_data_write(?:_block)? .*? size:(\d+)")


def event(number):
    """As long as CMC's are, and as hard to compress."""
    return body(first=number, messageId="<%s@example.com>" % uuid.uuid4(), subject="メールマガジンのテスト %d" % number,
                returnPath="bounce-%s@return.pro.smtps.jp" % uuid.uuid4().hex[:12], sourceIp="100.100.100.%d" % (number % 256),
                created="2026-01-25 14:%02d:%02d" % (number // 60 % 60, number % 60),
                reason="250 2.0.0 OK %s - gsmtp" % uuid.uuid4().hex, **{"from": "info@example.com", "senderIp": "", "apiData": ""})


def taken(client):
    """Has it been answered with 200? Else it is to come again, as from CMC: an emulated router on a busy machine may stand
    still while its flash is cleaned up."""
    try:
        return client.answer().status == 200
    except OSError:
        return False
    finally:
        client.close()


def evenly(port, rate, count):
    """Events that come evenly, each on a connection of its own."""
    start, waiting = time.monotonic(), []

    def send(number):
        client = Client(port)
        client.send(request(event(number)))
        return client
    for number in range(count):
        time.sleep(max(0, start + number / rate - time.monotonic()))
        waiting.append(send(number))
    for number, client in enumerate(waiting):
        while not taken(client):
            time.sleep(1)
            client = send(number)


def measure(name, program):
    """A row for each cell; bytes programmed and blocks erased in all."""
    rows, programmed, erased = [], 0, 0
    with tempfile.TemporaryDirectory(prefix="cmcwh-machine-") as folder:
        machine = router.router(router.mipsel(), program, folder, name)
        kind = OfFlash if isinstance(machine, router.WithFlash) else OfDisk
        machine.boot()
        machine.format()
        machine.more = kind.arguments(machine)
        with machine.live() as life:
            said, status = life.run(machine.mount())
            assert status == 0, said
            counter = kind(machine, life)
            counter.prepare()
            for place, ring, sink, syncs in CELLS:
                for sync in syncs:
                    life.type(SERVE % (ring, scaled(sync, kind.rate), sink) + "\n")
                    life.expect("listening on ")
                    before = counter.count()
                    evenly(machine.port, kind.rate, kind.events)
                    after = counter.count()
                    life.run("kill $! && wait $!; rm -f /d/ring /d/log*; sync")
                    rows.append((name, place, sync, (after[0] - before[0]) / kind.events))
                    erased += after[1] - before[1]
                    programmed += after[0] - before[0]
    return rows, programmed, erased


def main():
    program, names = sys.argv[1], sys.argv[2:] or ["ext4", "f2fs", "jffs2", "ubifs"]
    usable = router.FLASH_SIZE - router.BLOCK
    print("%-6s %-20s %-7s %12s %14s %8s" % ("", "", "--sync", "bytes/event", "MiB/day at 1/s", "years"), flush=True)
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        for rows, programmed, erased in pool.map(lambda name: measure(name, program), names):
            for name, place, sync, size in rows:
                years = CYCLES * usable / (size * DAY * 365)
                print("%-6s %-20s %-7s %12.0f %14.1f %8s" % (name, place, sync, size, size * DAY / (1 << 20),
                                                             "%.1f" % years if erased or name in ("jffs2", "ubifs") else ""), flush=True)
            if erased:
                print("%-6s %d bytes programmed, %.1f blocks; %d blocks erased" % (
                    rows[0][0], programmed, programmed / router.BLOCK, erased), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

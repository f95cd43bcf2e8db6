"""pulls.py [--pulls N] [--results FOLDER] CMCWH CELL...: pulls the plug of a router, N times for each cell, which is a
processor, a file system, and what kind of disk: mipsel/ext4, mipsel/ext4/volatile, mipsel/jffs2, arm64/f2fs ...

Two clients post requests of one to four events over kept connections; qemu is killed at a random instant, also while
the router starts; the router begins its next life, its file system must mount, and every event of a request that was
answered 200 must be in the ring or in the log, and of any other request all events or none. After some lives the disk or
flash is made anew. CMCWH: the program, with @ for the processor's triplet.

With --results the sums are kept there, in a file for each cell, and the table: interrupted, it goes on from there."""

import argparse
import json
import os
import random
import re
import shutil
import sys
import tempfile
import threading
import time
import traceback

import router
from qemu import PATIENCE
from harness import Client, Skipped, body, request

LIVES = 10  # pulls until the disk or flash is made anew
EVENT = re.compile(rb'^\{"seq":(\d+),.*?"to":"user(\d+)@example\.jp".*\}$', re.MULTILINE)
SERVE = ("cmcwh serve --listen 0.0.0.0:8080 --workers 2 --ring /d/ring --ring-records 64 --sync %s --sink file:/d/log "
         "2>&1 &")
SUMS = ("pulls", "requests", "acknowledged", "unanswered", "found", "repeats", "half", "lost", "failed", "seconds")


class Posting:
    """Two clients, each with a connection that it keeps. `sent`: [first event, how many, was it answered 200?]"""

    def __init__(self, port, first):
        self.port, self.first, self.sent, self.odd = port, first, [], []
        self.acknowledged = 0
        self.threads = [threading.Thread(target=self.post, args=(number,)) for number in range(2)]
        for thread in self.threads:
            thread.start()

    def post(self, client):
        number = self.first + client * 100000
        try:
            connection = Client(self.port)
            while True:
                count = 1 + number % 4
                self.sent.append(entry := [number, count, False])
                connection.send(request(body(count, first=number)))
                answer = connection.answer()
                entry[2] = answer.status == 200
                if answer.status not in (200, 503):
                    self.odd.append(answer.status)
                self.acknowledged += count if entry[2] else 0
                number += count
        except (OSError, IndexError, ValueError):  # the plug was pulled
            connection = None

    def join(self):
        for thread in self.threads:
            thread.join(PATIENCE)


class Found:
    """The events in the ring and in the log of a router that has just mounted its disk."""

    def __init__(self, machine):
        text = router.receive(machine, "[ ! -e /d/ring ] || cmcwh cat /d/ring; echo; echo ===; [ ! -e /d/log ] || cat /d/log")
        ring, _, log = text.partition(b"\n===\n")
        self.ring, self.log = ([(int(seq), int(to)) for seq, to in EVENT.findall(part)] for part in (ring, log))
        self.events = {to for _, to in self.ring + self.log}
        self.numbers = {}
        for seq, to in self.ring + self.log:
            assert self.numbers.setdefault(seq, to) == to, "event %d is two: user%d and user%d" % (seq, self.numbers[seq], to)
        self.repeats = len(self.log) - len(set(self.log))


class Cell:
    """A router, and what was pulled from it."""

    def __init__(self, name, program, folder, sync="always"):
        processor, filesystem, *disk = name.split("/")
        kind = router.KINDS[processor]()
        self.name, self.sync = name, sync
        self.router = router.router(kind, program.replace("@", kind.triplet), folder, filesystem, disk == ["volatile"])
        self.router.boot()
        self.sums = dict.fromkeys(SUMS, 0)

    def mounted(self):
        """The next life, with its disk or flash mounted."""
        machine = self.router.live()
        try:
            said, status = machine.run(self.router.mount())
            said += machine.run("grep ' /d %s rw' /proc/mounts" % self.router.filesystem)[0]
            assert status == 0 and " /d " in said, "it could not be mounted: " + said
        except BaseException:
            machine.__exit__(*sys.exc_info())
            raise
        return machine

    def lives(self, count, luck):
        """`count` pulls from a new disk or flash, and a last life that ends in order."""
        self.router.format()
        sent, start = [], time.monotonic()
        for _ in range(count):
            machine = self.mounted()
            with machine:
                self.judge(Found(machine), sent)
                sent += self.life(machine, len(sent) and sent[-1][0] // 1000000 * 1000000 + 1000000, luck)
        with self.mounted() as machine:
            found = Found(machine)
            self.judge(found, sent)
            self.end(machine, found)
        acknowledged = sum(entry[1] for entry in sent if entry[2])
        for name, value in (("pulls", count), ("requests", len(sent)), ("acknowledged", acknowledged),
                            ("unanswered", sum(entry[1] for entry in sent) - acknowledged), ("found", len(found.events)),
                            ("repeats", found.repeats), ("seconds", round(time.monotonic() - start, 1))):
            self.sums[name] += value

    def life(self, machine, first, luck):
        machine.type(SERVE % self.sync + "\n")
        if luck.random() < 0.1:  # before anybody could post
            time.sleep(luck.uniform(0, 0.5))
            return []
        machine.expect("listening on ")
        posting = Posting(self.router.port, first)
        enough, end = luck.randint(1, 150), time.monotonic() + 20
        while posting.acknowledged < enough and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(luck.uniform(0, 0.03))
        machine.pull()
        posting.join()
        assert not posting.odd, "answered %s" % posting.odd
        return sorted(posting.sent)

    def judge(self, found, sent):
        lost = [number for first, count, taken in sent if taken for number in range(first, first + count)
                if number not in found.events]
        half = [first for first, count, _ in sent
                if len({first + i in found.events for i in range(count)}) > 1]
        alien = found.events - {number for first, count, _ in sent for number in range(first, first + count)}
        self.sums["lost"] += len(lost)
        self.sums["half"] += len(half)
        assert not lost and not half and not alien, "%d lost: %s; half there: %s; never sent: %s" % (
            len(lost), lost[:20], half[:20], sorted(alien)[:20])

    def end(self, machine, found):
        """All that is in the ring comes into the log, and nothing else."""
        machine.type(SERVE % self.sync + "\n")
        machine.expect("listening on ")
        machine.run("kill $! && wait $!; umount /d")
        assert machine.run(self.router.mount().rpartition("&& ")[2])[1] == 0, "it could not be mounted again"
        last = {to for _, to in Found(machine).log}
        assert last == found.events, "in the ring or the log before, but not in the log: %s" % sorted(found.events - last)[:20]


COLUMNS = "%-20s" + " %12s" * 10
HEAD = COLUMNS % ("machine, file system", "pulls", "requests", "acknowledged", "unanswered", "found", "repeats", "half there", "lost",
                  "failures", "s each")


def row(name, sums):
    return COLUMNS % ((name, *(sums[column] for column in SUMS[:-1]), "%.1f" % (sums["seconds"] / max(1, sums["pulls"]))))


class Results:
    """The sums of each cell, in a file for each if there is a folder, and the table of all that are there."""

    def __init__(self, folder):
        self.folder = folder
        if folder:
            os.makedirs(folder, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name.replace("/", ",") + ".json")

    def read(self, name):
        if not self.folder or not os.path.exists(self.path(name)):
            return dict.fromkeys(SUMS, 0)
        with open(self.path(name), encoding="ascii") as file:
            return json.load(file)

    def write(self, name, sums):
        if not self.folder:
            return
        replace(self.path(name), json.dumps(sums))
        cells = [each[:-len(".json")].replace(",", "/") for each in sorted(os.listdir(self.folder)) if each.endswith(".json")]
        replace(os.path.join(self.folder, "table.txt"), "\n".join([HEAD] + [row(each, self.read(each)) for each in cells]) + "\n")


def replace(path, text):
    new = "%s.%d" % (path, os.getpid())
    with open(new, "w", encoding="ascii") as file:
        file.write(text)
    os.rename(new, path)


class Campaign:
    """Pulls at one cell, some at a time. What goes wrong is printed, and its files are kept."""

    def __init__(self, name, arguments, results):
        self.name, self.arguments, self.results = name, arguments, results
        self.cell, self.sums = None, results.read(name)

    def left(self):
        """How many are left. A cell at which things go wrong again and again is given up."""
        return max(0, self.arguments.pulls - self.sums["pulls"]) if self.sums["failed"] < 3 else 0

    def go_on(self):
        seed = time.time_ns() % 1000000
        try:
            if self.cell is None:
                self.folder = tempfile.mkdtemp(prefix="cmcwh-machine-")
                self.cell = Cell(self.name, self.arguments.cmcwh, self.folder, self.arguments.sync)
                self.cell.sums = self.sums
            self.cell.lives(min(LIVES, self.left()), random.Random(seed))
        except Exception as reason:
            print("".join(traceback.format_exception(reason)), getattr(reason, "said", ""), sep="\n")
            print("%s, seed %d: the files are in %s" % (self.name, seed, self.folder), flush=True)
            self.sums["failed"] += 1
            self.cell = None
        self.results.write(self.name, self.sums)

    def end(self):
        if self.cell:
            shutil.rmtree(self.folder)
            self.cell = None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pulls", type=int, default=5)
    parser.add_argument("--results")
    parser.add_argument("--sync", default="always")
    parser.add_argument("cmcwh", metavar="CMCWH")
    parser.add_argument("cells", nargs="+", metavar="CELL")
    arguments = parser.parse_args()
    results = Results(arguments.results)
    campaigns = [Campaign(name, arguments, results) for name in arguments.cells]
    while any(campaign.left() for campaign in campaigns):
        for campaign in campaigns:
            if campaign.left():
                campaign.go_on()
            if not campaign.left():
                campaign.end()
    print(HEAD)
    for campaign in campaigns:
        print(row(campaign.name, campaign.sums))
    return 1 if any(campaign.sums["failed"] for campaign in campaigns) else 0


if __name__ == "__main__":
    sys.exit(main())

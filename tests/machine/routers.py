"""routers.py [--only PART_OF_A_NAME]... [--host PROGRAM] CMCWH: what happens to a cmcwh on a router, beside a plug that is pulled.
CMCWH: the program, with @ for the processor's triplet. Ends with a line `N passed, N failed`."""

import argparse
import contextlib
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import traceback

import router
from pulls import Found, Posting
from qemu import PATIENCE
import harness
from harness import Client, Skipped, body, eventually, free_port, request
from programs import Engine, find
from test_https import certificate

harness.PATIENCE = PATIENCE


class Bed:
    """A router with its disk or flash, for one test after the other."""

    def __init__(self, name, program):
        processor, filesystem = name.split("/")
        self.name, self.kind = name, router.KINDS[processor]()
        self.folder = tempfile.mkdtemp(prefix="cmcwh-machine-")
        self.router = router.router(self.kind, program.replace("@", self.kind.triplet), self.folder, filesystem)
        self.line = self.path("line")  # what comes out of the second serial port
        if processor == "mipsel":
            self.router.more = ["-serial", "file:" + self.line]
        self.router.boot()
        self.acknowledged = set()

    def path(self, name):
        return os.path.join(self.folder, name)

    @contextlib.contextmanager
    def life(self, new=True):
        """A machine with its disk or flash mounted; a new one unless that of the last life is wanted."""
        if new:
            self.router.format()
            self.acknowledged, self.next = set(), 0
        with self.router.live() as machine:
            assert machine.run(self.router.mount() + " && grep ' /d ' /proc/mounts")[1] == 0, "no mount:\n" + machine.said
            yield machine

    def serve(self, machine, *options, sink="file:/d/log", records=64, ring="/d/ring", listen="0.0.0.0:8080"):
        """Starts cmcwh there. Returns its process id."""
        machine.type("cmcwh serve --listen %s --workers 2 --ring %s --ring-records %d --sink '%s' %s 2>&1 &\n" % (
            listen, ring, records, sink, " ".join(options)))
        machine.expect("listening on .*\n")
        return int(machine.run("echo $!")[0])

    def post(self, count=1, connection=None):
        """One request. Returns the answer; what was stored is remembered."""
        client = connection or Client(self.router.port)
        client.send(request(body(count, first=self.next)))
        answer = client.answer()
        if connection is None:
            client.close()
        if answer.status == 200:
            self.acknowledged |= set(range(self.next, self.next + count))
        self.next += count
        return answer

    def check(self, posting=None):
        """In the next life everything that was acknowledged is there."""
        wanted = set(self.acknowledged)
        for first, count, taken in posting.sent if posting else ():
            wanted |= set(range(first, first + count)) if taken else set()
        with self.life(new=False) as machine:
            found = Found(machine).events
        assert wanted and wanted <= found, "lost: %s" % sorted(wanted - found)[:20]

    def end(self):
        shutil.rmtree(self.folder)


def resident(machine, pid):
    """KiB of a process. Its pages are counted: `status` is behind by what its threads have not told the kernel yet."""
    return int(re.search(r"Rss:\s*(\d+)", machine.run("cat /proc/%d/smaps_rollup" % pid)[0]).group(1))


def test_full_disk(bed):
    """There is an answer as long as there is no room, and it is not 200 once the ring is full; later all goes on."""
    with bed.life() as machine:
        bed.serve(machine)
        assert bed.post().status == 200
        machine.run("cat /dev/zero | tr '\\0' x | dd of=/d/filler bs=64k conv=fsync; dd if=/dev/urandom of=/d/more bs=4k; sync")
        answers = [bed.post() for _ in range(80)]
        assert {answer.status for answer in answers} <= {200, 503} and answers[-1].status == 503, [a.status for a in answers]
        assert machine.run("rm /d/filler /d/more; sync")[1] == 0
        eventually(lambda: bed.post().status == 200, "room")
        machine.pull()
    bed.check()


def test_full_disk_at_the_start(bed):
    """No ring can be made: it says so, and does not listen."""
    with bed.life() as machine:
        machine.run("dd if=/dev/urandom of=/d/more bs=4k; sync")
        said, status = machine.run("cmcwh serve --listen 0.0.0.0:8080 --ring /d/ring --ring-records 1024 --sink file:/d/log")
        assert status in (1, 2) and "/d/ring" in said and "No space left" in said and "listening" not in said, said


# As the kernel does after errors: files that are open for writing stay open.
READ_ONLY = {"ext4": "mount -o remount,errors=remount-ro /d && cd /sys/fs/ext4/*a && echo now >trigger_fs_error",
             "ubifs": "mount -t debugfs none /sys/kernel/debug && echo 1 >/sys/kernel/debug/ubifs/ubi0_0/ro_error"}


def test_read_only(bed):
    """A disk or flash that takes nothing any more, as after errors: no 200, no end of the program, nothing lost."""
    with bed.life() as machine:
        pid = bed.serve(machine)
        assert bed.post(3).status == 200
        said, status = machine.run(READ_ONLY[bed.router.filesystem])
        assert status == 0, said
        answers = [bed.post() for _ in range(5)]
        assert {answer.status for answer in answers} == {503}, [answer.body for answer in answers]
        assert machine.run("kill -0 %d" % pid)[1] == 0
        machine.pull()
    bed.check()


def test_read_only_by_force(bed):
    """Before a reset by force all is made read-only, with files open. ext4 then says of a sync that it is done, and does
    nothing: no 200 believes it."""
    with bed.life() as machine:
        bed.serve(machine)
        assert bed.post(3).status == 200
        machine.run("echo u >/proc/sysrq-trigger; until grep ' /d .* ro,' /proc/mounts; do sleep 1; done")
        assert {bed.post().status for _ in range(5)} == {503}
        machine.pull()
    bed.check()


def test_clock(bed):
    """A router wakes up in 1970, and its clock is set by years, forward and back: connections are kept, sinks are tried
    again, and events have the time that it was."""
    with bed.life() as machine:
        port = free_port()
        machine.run("date -s '1970-01-01 00:01'")
        bed.serve(machine, "--sink", "syslog+tcp://10.0.2.2:%d" % port)
        connection = Client(bed.router.port)
        for when in ("1970-01-01 00:02", "2031-05-01 12:00", "1999-12-31 23:59", "2027-01-01 00:00"):
            assert machine.run("date -s '%s'" % when)[1] == 0
            assert bed.post(connection=connection).status == 200
        with rsyslog(bed.folder, port) as written:
            eventually(lambda: len(written()) >= 4, "what waited for the log host")
            years = re.findall(r'"received":"(\d+)-', router.receive(machine, "cat /d/log").decode())
        assert years == ["1970", "2031", "1999", "2027"], years
        connection.close()
        machine.pull()
    bed.check()


RSYSLOG = """module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="%d")
template(name="all" type="string" string="%%msg%%\\n")
action(type="omfile" file="%s" template="all")
"""


@contextlib.contextmanager
def rsyslog(folder, port):
    """A real one on this machine. Gives a function: the lines that it has written."""
    config, out = os.path.join(folder, "rsyslog.conf"), os.path.join(folder, "messages")
    with open(config, "w", encoding="ascii") as file:
        file.write(RSYSLOG % (port, out))

    def written():
        if not os.path.exists(out):
            return []
        with open(out, encoding="utf-8") as file:
            return re.findall(r"\bseq=(\d+) .*\n", file.read())
    with Engine(folder, "rsyslog", [find("rsyslogd"), "-n", "-f", config, "-i", out + ".pid"], port):
        yield written
    os.remove(out)


def test_syslog(bed):
    """To a real rsyslog over TCP, which goes away and comes again."""
    port = free_port()
    with bed.life() as machine:
        with rsyslog(bed.folder, port) as written:
            bed.serve(machine, sink="syslog+tcp://10.0.2.2:%d" % port)
            assert all(bed.post(4).status == 200 for _ in range(5))
            eventually(lambda: set(written()) >= {str(seq) for seq in range(1, 21)}, "20 events")
        assert bed.post(4).status == 200
        with rsyslog(bed.folder, port) as written:
            eventually(lambda: set(written()) >= {str(seq) for seq in range(22, 25)}, "those that came meanwhile")


def test_serial(bed):
    """Frames on the second serial port, read by cmcwh on this machine."""
    with bed.life() as machine:
        bed.serve(machine, sink="serial:/dev/ttyS1?baud=115200")
        assert all(bed.post(4).status == 200 for _ in range(5))

        def read():
            return subprocess.run([harness.CMCWH, "cat", bed.line], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  check=False).stdout.decode()
        eventually(lambda: len(re.findall(r'"to":"user\d+@', read())) >= 20, "20 events on the line")
        assert re.findall(r'"seq":(\d+),.*"to":"user(\d+)@', read()) == [(str(n + 1), str(n)) for n in range(20)]


def test_out_of_memory(bed):
    """Something eats all memory, three times, while webhooks come. The kernel ends that, and sometimes cmcwh right behind
    it, though that is small. Nothing is lost either way; a cmcwh that stays needs no more than before."""
    with bed.life() as machine:
        pid = bed.serve(machine)
        posting = Posting(bed.router.port, 1000000)
        eventually(lambda: posting.acknowledged > 500, "events for all memory that it will ever touch")
        before = resident(machine, pid)
        for _ in range(3):
            machine.run("tail /dev/zero")
        said = machine.run("dmesg | grep 'Out of memory: Killed process'")[0]
        assert len(re.findall(r"Killed process \d+ \(tail\)", said)) >= 3, said
        if "(cmcwh)" in said:
            bed.note = "the kernel ended cmcwh too"
        else:
            count = posting.acknowledged
            eventually(lambda: posting.acknowledged > count + 20, "events after that")
            after = resident(machine, pid)
            assert after <= before + 64, "%d KiB before, %d after" % (before, after)
            bed.note = "%d KiB resident, %d after" % (before, after)
        machine.pull()
        posting.join()
    bed.check(posting)


# JFFS2 over block2mtd over a block device.
BLOCK2MTD = ("load block2mtd && tr '\\0' '\\377' </dev/zero | head -c 1048576 >/tmp/image && "
             "losetup /dev/loop0 /tmp/image && echo /dev/loop0,65536 >/sys/module/block2mtd/parameters/block2mtd && "
             "mkdir /tmp/d && mount -t jffs2 mtd2 /tmp/d")


def test_places_that_fade(bed):
    """--sync always promises what nobody can keep on a tmpfs, and on JFFS2 over block2mtd, which loses what was synced: it
    is said, and of a flash it is not."""
    with bed.life() as machine:
        bed.serve(machine)
        assert "a power cut loses" not in machine.said
        said, status = machine.run(BLOCK2MTD)
        assert status == 0, said
        for number, ring in enumerate(("/tmp/ring", "/tmp/d/ring")):
            bed.serve(machine, ring=ring, listen="0.0.0.0:%d" % (8081 + number), sink="stdout:")
            line, = re.findall("^.*a power cut loses.*$", machine.said, re.MULTILINE)[number:]
            assert ring in line and ("tmpfs", "block2mtd: /dev/loop0")[number] in line, line


def test_tls(bed):
    """HTTPS on the router itself, with its small library."""
    cert, key = certificate(bed.folder, "tls")
    with bed.life() as machine:
        if "TLS" not in machine.run("cmcwh --version")[0]:
            raise Skipped("this cmcwh has no TLS")
        router.give(machine, cert, "/tmp/cert")
        router.give(machine, key, "/tmp/key")
        pid = bed.serve(machine, "--tls-cert", "/tmp/cert", "--tls-key", "/tmp/key", listen="0.0.0.0:8080s")
        idle = resident(machine, pid)
        context = ssl.create_default_context(cafile=cert)
        for _ in range(3):
            client = Client(bed.router.port)
            client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
            assert all(bed.post(2, client).status == 200 for _ in range(3))
        bed.note = "%d KiB resident idle, %d with 3 connections" % (idle, resident(machine, pid))
        machine.pull()
    bed.check()


FLASH = [test_full_disk, test_full_disk_at_the_start, test_clock, test_syslog, test_serial,
         test_out_of_memory, test_places_that_fade, test_tls]
DISK = [test_full_disk, test_read_only, test_read_only_by_force, test_clock, test_out_of_memory, test_tls]
BEDS = {"mipsel/jffs2": FLASH, "mipsel/ubifs": [test_full_disk, test_read_only], "arm64/ext4": DISK}


def attempt(test, bed):
    bed.note = ""
    try:
        test(bed)
        outcome, why = "passed", bed.note
    except Skipped as reason:
        outcome, why = "skipped", str(reason)
    except BaseException as error:
        outcome, why = "failed", "%s\nthe machine said:\n%s" % (traceback.format_exc(), getattr(error, "said", ""))
    print("%-8s %s %s%s" % (outcome, bed.name, test.__name__, ": " + why if why else ""), flush=True)
    return outcome


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append")
    parser.add_argument("--host", default="./cmcwh", help="cmcwh for this machine, which reads the serial line")
    parser.add_argument("cmcwh", metavar="CMCWH")
    arguments = parser.parse_args()
    harness.CMCWH = arguments.host
    outcomes = []
    for name, tests in BEDS.items():
        chosen = [test for test in tests if any(part in name + " " + test.__name__ for part in arguments.only or [""])]
        if chosen:
            bed = Bed(name, arguments.cmcwh)
            outcomes += [attempt(test, bed) for test in chosen]
            bed.end()
    skipped = outcomes.count("skipped")
    print("%d passed, %d failed%s" % (outcomes.count("passed"), outcomes.count("failed"),
                                      ", %d skipped" % skipped if skipped else ""))
    return 0 if outcomes and "failed" not in outcomes else 1


if __name__ == "__main__":
    sys.exit(main())

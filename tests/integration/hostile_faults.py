"""The whole daemon, while one of its calls to the system goes wrong: for each function that it calls on
each kind of file, for each call of it, in each way. tests/stubs/faults.c is loaded before the C library.

A life is always the same: a start, requests, SIGHUP, requests and rotations, a stop, a second start,
requests, a stop; then `cmcwh cat` of the ring. What must hold in each: nothing that was answered with 200
is missing, nothing that was refused is there, all lines are whole; the daemon goes on, or ends with 1, for
the next start goes better, and says why, and then starts again; and nothing hangs. `make hostile-long` tries all calls, else some."""

import concurrent.futures
import json
import mmap
import os
import shutil
import signal
import struct
import sys
import tempfile
import threading
import time

import harness
import things
from harness import Skipped, body, eventually
from hostile import SECONDS
from hostile_descriptors import AT_A_TIME, ANSWER, Beside, Daemon

LIBRARY = os.environ.get("CMCWH_FAULTS", "")
STEP = 1 if SECONDS > 10 else 9  # each so many-th of all that can go wrong
MOST = 24                        # as in faults.c
HANG = 12                        # seconds that a call which hangs takes: longer than a sink is waited for

ERRORS = ("EIO", "ENOSPC", "EINTR")
# For each kind of life: function, part of the path, how. `torn` is what a disk does that fills up: half
# of it is written, the next call fails.
FAULTS = {
    "file": [("open", "/log", ERRORS + ("EMFILE",)), ("write", "/log", ERRORS + ("short", "torn", "hang")),
             ("fdatasync", "/log", ("EIO", "ENOSPC", "EINTR", "hang")), ("fsync", "/", ("EIO", "EINTR")),
             ("rename", "/log", ERRORS), ("ftruncate", "/log", ERRORS)],
    "ring": [("open", "/ring", ERRORS), ("pwrite", "/ring", ERRORS + ("short", "torn", "hang")),
             ("fdatasync", "/ring", ("EIO", "ENOSPC", "EINTR", "hang")), ("fsync", "/", ("EIO", "EINTR")),
             ("rename", "/ring", ERRORS), ("ftruncate", "/ring", ERRORS),
             ("write", "/log", ("torn", "hang")), ("fdatasync", "/log", ("EIO",)),
             ("open", "/pid", ("EIO",)), ("write", "/pid", ERRORS + ("short",)), ("ftruncate", "/pid", ("EIO",)),
             ("open", "/auth", ("EIO", "EMFILE", "EINTR")), ("read", "/auth", ("EIO", "EINTR"))],
    "serial": [("open", "/line", ERRORS), ("open", "/dev/pts", ERRORS),
               ("write", "/dev/pts", ERRORS + ("short", "torn", "hang")),
               ("ioctl", "/dev/pts", ("EIO", "EINTR", "hang"))],
    "syslog": [("write", "socket:", ("EIO", "ENOSPC", "EINTR", "hang"))],
}
AUTH = "Authorization: Bearer right"


def spelled(function, part, number, how):
    """As faults.c reads it."""
    if how == "torn":
        return "%s:%s:%d:short %s:%s:%d:ENOSPC" % (function, part, number, function, part, number + 1)
    return "%s:%s:%d:%s" % (function, part, number, how)


class Life:
    def __init__(self, kind, faults, hangs=False):
        self.kind, self.hangs = kind, hangs
        self.folder = tempfile.mkdtemp(prefix="cmcwh-life-")
        self.thing = {"serial": things.Terminal, "syslog": things.Socket}.get(kind, things.Nothing)()
        self.thing.stand(os.path.join(self.folder, "line"))
        self.daemon = Daemon(self.folder, False)
        self.daemon.environment = {"LD_PRELOAD": os.path.abspath(LIBRARY), "FAULTS": faults,
                                   "FAULTS_FILE": self.daemon.path("faults")}
        things.write(self.daemon.path("faults"), bytes(4 * (MOST + 1)))
        things.write(self.daemon.path("auth"), b"bearer right\n")
        things.write(self.daemon.path("stderr"), b"")
        self.acknowledged, self.refused, self.number, self.ends = [], [], 0, 0

    def options(self):
        uri = {"serial": "serial:@/line?format=json", "syslog": "syslog:@/line"}.get(
            self.kind, "file:@/log?rotate=1k&keep=9")
        options = ["--sink", uri, "--auth-file", "@/auth"]
        if self.kind == "ring":
            options += ["--ring", "@/ring", "--ring-records", "100", "--pid-file", "@/pid"]
        return [option.replace("@", self.folder) for option in options]

    def counts(self):
        with open(self.daemon.path("faults"), "rb") as file:
            return struct.unpack("%dI" % MOST, file.read(4 * MOST))

    def let_go(self):
        with open(self.daemon.path("faults"), "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            memory[4 * MOST] = 1

    # ---- What is done in it ----

    def start(self):
        """One fault may keep it from starting, and never twice."""
        for _ in range(2):
            if self.daemon.start(self.options()):
                return
            self.over()
        raise AssertionError("it does not start again")

    def over(self):
        """It has ended by itself."""
        status = self.daemon.process.wait(harness.PATIENCE)
        assert status == 1, "it ended with %d, as if nothing mended it" % status
        last = self.daemon.stderr().splitlines()[-1:]
        assert last and "cmcwh: " in last[0], "it said nothing: %r" % last
        self.ends += 1

    def post(self, count=1):
        """Until it is answered with 200. A fault may end it in between: then what came of it is not known,
        and it is started again."""
        first = self.number + 1
        self.number += count
        names = ["user%d@example.jp" % (first + i) for i in range(count)]

        def accepted():
            data = body(count, first=first, reason="x" * 200)
            answer, took = self.daemon.post(data, headers=[AUTH])
            assert took < ANSWER + (HANG if self.hangs else 0), "an answer took %.1f s" % took
            if answer.status == 200:
                return True
            assert answer.status == 503, "answered with %d" % answer.status
            self.refused.append((names, len(self.acknowledged)))
            time.sleep(0.05)
            return False
        eventually(accepted, "an answer with 200")
        self.acknowledged += names

    def stop(self):
        if self.daemon.end() != 0:
            self.over()

    def run(self):
        going = threading.Timer(HANG if self.hangs else 0, self.let_go)
        going.start()
        try:
            with Beside(self.daemon):
                self.live()
        finally:
            going.cancel()
            going.join()

    def live(self):
        self.start()
        for count in (1, 3, 2):
            self.post(count)
        self.daemon.signal(signal.SIGHUP)
        for count in (1, 4):
            self.post(count)
        self.stop()
        self.start()
        self.post(2)
        self.stop()
        if self.kind == "ring":  # what waited for the next start comes with it
            self.start()
            self.arrive()
            self.stop()
        self.check()

    # ---- What must have come of it ----

    def streams(self):
        if self.kind in ("serial", "syslog"):
            return self.thing.streams()
        names = sorted(name for name in os.listdir(self.folder) if name.split(".")[0] == "log")
        return [things.content(os.path.join(self.folder, name)) for name in names]

    def delivered(self):
        return [name.decode() for name in things.recipients(self.streams())]

    def arrive(self):
        eventually(lambda: set(self.acknowledged) <= set(self.delivered()), "what was acknowledged: %r" % sorted(
            set(self.acknowledged) - set(self.delivered())))

    def check_once(self):
        """What was refused is not there; what had been taken, and is told again after a start, is the same."""
        seqs, lines = {}, [json.loads(line) for stream in self.streams() for line in stream.split(b"\n")[:-1]]
        for line in lines:
            seqs.setdefault(line["to"], set()).add(line["seq"])
        twice = sorted(name for name in seqs if len(seqs[name]) > 1)
        assert not twice, "what was refused is there too: %r" % twice
        assert self.kind == "ring" or len(lines) == len(seqs), "something is there twice"

    def check(self):
        self.arrive()
        if self.kind in ("file", "ring"):
            for stream in self.streams():
                assert stream == b"" or stream.endswith(b"\n"), "torn: %r" % stream[-80:]
            self.check_once()
        if self.kind == "ring":
            status, printed, said = harness.run("cat", self.daemon.path("ring"))
            assert status == 0 and "damaged" not in said, said
            assert set(self.acknowledged) == {name.decode() for name in things.recipients([printed])}

    def close(self):
        self.let_go()
        self.daemon.kill()
        self.thing.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def live(kind, faults, hangs):
    life = Life(kind, faults, hangs)
    try:
        life.run()
        return None
    except Exception as error:  # whatever it is, the next life is another
        return "%s: %s: %s\n    %s" % (kind, faults, error, "\n    ".join(life.daemon.stderr().splitlines()[-6:]))
    finally:
        life.close()


def calls(kind):
    """How often each function is called in a life in which all goes well."""
    watched = FAULTS[kind]
    life = Life(kind, " ".join("%s:%s:0:EIO" % (function, part) for function, part, _ in watched))
    try:
        life.run()
        return life.counts()
    finally:
        life.close()


def faults(kind):
    for (function, part, ways), count in zip(FAULTS[kind], calls(kind)):
        for number in range(1, count + 1):
            for how in ways:
                yield kind, spelled(function, part, number, how), how == "hang"
    if kind == "file":  # what was written in part cannot be cut off either
        for number in range(1, 9):
            for how in ("EIO", "EINTR"):
                yield kind, "%s ftruncate:/log:1:%s" % (spelled("write", "/log", number, "torn"), how), False


def test_each_call_that_fails():
    if not LIBRARY or os.environ.get("SANITIZE"):
        raise Skipped("nothing can be loaded before the C library here")
    all_of_them = [fault for kind in FAULTS for fault in faults(kind)]
    chosen = all_of_them[::STEP]
    only = os.environ.get("CMCWH_CELLS", "")
    chosen = [fault for fault in chosen if only in " ".join(fault[:2])]
    with concurrent.futures.ProcessPoolExecutor(AT_A_TIME) as pool:
        wrong = [why for why in pool.map(live, *zip(*chosen)) if why is not None]
    print("%d lives of %d" % (len(chosen), len(all_of_them)), file=sys.stderr)
    assert not wrong, "%d of %d lives\n%s" % (len(wrong), len(chosen), "\n".join(wrong))

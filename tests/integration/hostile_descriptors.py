"""Every kind of thing behind every place that takes a path or an address: `make hostile`.

The table says what must happen. In each cell besides: what was answered with 200 is where it must be; a
request beside is answered, however wrong the thing is; and SIGTERM ends the daemon. CMCWH_CELLS names a
part of a cell's name, to run only those.

The kinds are in things.py. `at start`: it is there, and wrong, when the daemon starts. `at run`: it goes
wrong while the daemon has it open; one that cannot stands where what is open has stood, and moved away.
`at SIGHUP`: then SIGHUP comes.

delivers  answers 200; what it answers so is there
waits     answers 503 while it is so and says why once; delivers when it is not so any more. With a ring
          in a file: answers 200, and delivers then, also if it was stopped and started meanwhile
loses     answers 200, says what is wrong, and delivers when it is not so any more: besteffort
refuses   answers 503 and says why
ends      ends with status 2; the last line names the option and the path
fails     ends with status 1, and says so too: it may be better the next time
keeps     what was read before stays in force, and it says so; takes what is there at the next SIGHUP
takes     what is there is in force
"""

import concurrent.futures
import ctypes
import functools
import glob
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import harness
import things
from harness import Client, Server, Skipped, body, eventually, free_port, request
from test_https import certificate

TABLE = """
sink file:                at start   at run     at SIGHUP
regular file              delivers   delivers   delivers
nothing                   delivers   delivers   delivers
no directory              ends       waits      waits
FIFO                      delivers   delivers   delivers
FIFO, nobody has it open  waits      waits      waits
FIFO, nobody reads        waits      waits      waits
socket                    ends       delivers   waits
terminal                  delivers   delivers   delivers
terminal, hung up         waits      waits      waits
terminal, nobody reads    waits      waits      waits
/dev/full                 waits      delivers   waits
directory                 ends       delivers   waits
read-only                 ends       delivers   waits
full disk                 waits      waits      waits

sink stdout:              at start   at run     at SIGHUP
regular file              delivers   -          delivers
deleted file              -          refuses    -
pipe                      delivers   -          delivers
pipe, nobody has it open  refuses    refuses    -
pipe, nobody reads        waits      waits      waits
socket                    delivers   -          delivers
socket, nobody reads      waits      waits      waits
terminal                  delivers   -          delivers
terminal, hung up         refuses    refuses    -
terminal, nobody reads    waits      waits      waits
/dev/full                 refuses    -          -
directory                 ends       -          -
read-only                 ends       -          -
full disk                 waits      waits      waits
closed                    ends       -          -

sink serial:              at start   at run     at SIGHUP
regular file              ends       delivers   waits
nothing                   waits      delivers   waits
FIFO                      ends       delivers   waits
socket                    ends       delivers   waits
terminal                  delivers   delivers   delivers
terminal, hung up         waits      waits      waits
terminal, nobody reads    waits      waits      waits
/dev/full                 ends       delivers   waits
directory                 ends       delivers   waits

sink syslog:              at start   at run     at SIGHUP
regular file              ends       delivers   waits
nothing                   waits      delivers   waits
FIFO                      ends       delivers   waits
socket                    delivers   delivers   delivers
socket, nobody there      waits      waits      waits
socket, nobody reads      waits      waits      waits
/dev/full                 ends       delivers   waits
directory                 ends       delivers   waits

sink syslog+udp:          at start   at run     at SIGHUP
UDP peer                  delivers   -          delivers
UDP, nobody there         loses      loses      loses

sink syslog+tcp:          at start   at run     at SIGHUP
TCP peer                  delivers   -          delivers
TCP, nobody there         waits      waits      waits
TCP, nobody reads         waits      waits      waits
TCP, talks back           delivers   -          delivers

file: after a rotation    at start   at run
FIFO                      delivers   delivers
socket                    delivers   delivers
directory                 delivers   delivers

--ring                    at start   at run     at SIGHUP
nothing                   delivers   refuses    refuses
regular file              ends       delivers   delivers
no directory              ends       refuses    refuses
FIFO                      ends       delivers   delivers
FIFO, nobody has it open  ends       delivers   delivers
socket                    ends       delivers   delivers
terminal                  ends       delivers   delivers
/dev/full                 ends       delivers   delivers
directory                 ends       delivers   delivers
read-only                 ends       delivers   delivers
full disk                 fails      -          -

--pid-file                at start   at run     at SIGHUP
nothing                   delivers   delivers   delivers
empty                     delivers   delivers   delivers
regular file              ends       delivers   delivers
no directory              ends       delivers   delivers
FIFO                      ends       delivers   delivers
FIFO, nobody has it open  ends       delivers   delivers
socket                    ends       delivers   delivers
terminal                  ends       delivers   delivers
/dev/full                 ends       delivers   delivers
directory                 ends       delivers   delivers
read-only                 ends       delivers   delivers
full disk                 fails      -          -

--auth-file               at start   at run     at SIGHUP
regular file              delivers   delivers   takes
nothing                   ends       delivers   keeps
no directory              ends       delivers   keeps
FIFO                      ends       delivers   keeps
FIFO, nobody has it open  ends       delivers   keeps
socket                    ends       delivers   keeps
terminal                  ends       delivers   keeps
/dev/full                 ends       delivers   keeps
directory                 ends       delivers   keeps
read-only                 delivers   delivers   takes
lines that end in CR      ends       delivers   keeps
NUL in the last line      ends       delivers   keeps
empty                     ends       delivers   keeps

--tls-cert                at start   at run     at SIGHUP
regular file              delivers   delivers   takes
nothing                   ends       delivers   keeps
no directory              ends       delivers   keeps
FIFO                      ends       delivers   keeps
FIFO, nobody has it open  ends       delivers   keeps
socket                    ends       delivers   keeps
terminal                  ends       delivers   keeps
/dev/full                 ends       delivers   keeps
directory                 ends       delivers   keeps
read-only                 delivers   delivers   takes
empty                     ends       delivers   keeps

--tls-key                 at start   at run     at SIGHUP
regular file              delivers   delivers   takes
nothing                   ends       delivers   keeps
no directory              ends       delivers   keeps
FIFO                      ends       delivers   keeps
FIFO, nobody has it open  ends       delivers   keeps
socket                    ends       delivers   keeps
terminal                  ends       delivers   keeps
/dev/full                 ends       delivers   keeps
directory                 ends       delivers   keeps
read-only                 delivers   delivers   takes
empty                     ends       delivers   keeps

--config                  at start   at run     at SIGHUP
regular file              delivers   delivers   delivers
nothing                   ends       delivers   delivers
no directory              ends       delivers   delivers
FIFO                      ends       delivers   delivers
FIFO, nobody has it open  ends       delivers   delivers
socket                    ends       delivers   delivers
terminal                  ends       delivers   delivers
/dev/full                 ends       delivers   delivers
directory                 ends       delivers   delivers
read-only                 delivers   delivers   delivers
lines that end in CR      ends       delivers   delivers
NUL in the last line      ends       delivers   delivers

standard error            at start   at run
regular file              delivers   -
pipe                      delivers   -
pipe, nobody has it open  delivers   delivers
pipe, nobody reads        delivers   delivers
socket                    delivers   -
socket, nobody reads      delivers   delivers
terminal                  delivers   -
terminal, hung up         delivers   delivers
terminal, nobody reads    delivers   delivers
/dev/full                 delivers   -
directory                 delivers   -
read-only                 delivers   -
full disk                 delivers   delivers
closed                    delivers   -
"""

KINDS = {"regular file": things.Regular, "deleted file": things.Deleted,
         "nothing": things.Nothing, "no directory": things.NoDirectory,
         "FIFO": things.Fifo, "FIFO, nobody has it open": things.FifoAlone,
         "FIFO, nobody reads": things.FifoDeaf, "pipe": things.Pipe,
         "pipe, nobody has it open": things.PipeAlone, "pipe, nobody reads": things.PipeDeaf,
         "socket": things.Socket, "socket, nobody there": things.SocketAlone,
         "socket, nobody reads": things.SocketDeaf, "terminal": things.Terminal,
         "terminal, hung up": things.TerminalGone, "terminal, nobody reads": things.TerminalDeaf,
         "/dev/full": things.Full, "directory": things.Directory, "read-only": things.ReadOnly,
         "full disk": things.FullDisk, "closed": things.Closed, "UDP peer": things.UdpPeer,
         "UDP, nobody there": things.UdpClosed, "TCP peer": things.TcpPeer,
         "TCP, nobody there": things.TcpClosed, "TCP, nobody reads": things.TcpDeaf,
         "TCP, talks back": things.TcpTalks, "lines that end in CR": things.CrLines,
         "NUL in the last line": things.NulLine, "empty": things.Empty}

# Bounds against hanging: some times what is promised, for a machine that does other things too.
SLOW = 2 if os.environ.get("SANITIZE") else 1
ANSWER = 8 * SLOW  # seconds until a request is answered: 2 where nothing else runs
STOP = 9 * SLOW    # until SIGTERM has ended the daemon: 3
SINK_TIMEOUT = 5   # that a sink which hangs is waited for, by whom meets it first
AT_A_TIME = 10     # cells, which mostly wait


class Daemon(Server):
    """Whoever should read its standard error need not be there: its port is known before."""

    def __init__(self, folder, secure):
        self.folder, self.secure, self.port = folder, secure, free_port()
        self.given = {}  # its descriptors 1 and 2; None: none at all
        self.listen = ["--listen", "127.0.0.1:%d%s" % (self.port, "s" if secure else "")]
        self.environment = {}
        self.process, self.up = None, False

    def close_some(self):
        for number, descriptor in self.given.items():
            if descriptor is None:
                os.close(number)

    def start(self, options):
        """Does it run?"""
        with open(self.path("stderr"), "ab") as errors:
            self.process = subprocess.Popen(
                [harness.CMCWH, "serve"] + self.listen + options, stdin=subprocess.DEVNULL,
                stdout=self.given.get(1) or subprocess.DEVNULL, stderr=self.given.get(2) or errors,
                preexec_fn=self.close_some if None in self.given.values() else None, env=dict(os.environ, **self.environment))
        eventually(lambda: self.process.poll() is not None or self.listens(), "an end, or a port")
        self.up = self.process.poll() is None
        return self.up

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def connect(self):
        client = Client(self.port)
        if self.secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.socket = context.wrap_socket(client.socket)
        return client

    def post(self, data, **more):
        """Nobody waits for ever."""
        start = time.monotonic()
        client = self.connect()
        try:
            client.send(request(data, **more))
            return client.answer(), time.monotonic() - start
        finally:
            client.close()

    def end(self):
        self.up = False
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            raise AssertionError("SIGTERM has not ended it within %d s" % STOP) from None

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            super().kill()


class Beside(harness.Threads):
    """Somebody posts what is no JSON, and is told so, all the time."""

    def __init__(self, daemon):
        self.daemon, self.slowest, self.failed = daemon, 0.0, None
        self.set_up(self.send, 1)

    def send(self, _):
        while not self.ending.wait(0.4) and self.failed is None:
            process, up = self.daemon.process, self.daemon.up
            try:
                self.slowest = max(self.slowest, self.daemon.post(b"{bad")[1])
            except OSError as error:  # one that is being stopped or started need not answer
                if up and self.daemon.up and self.daemon.process is process:
                    self.failed = error

    def __exit__(self, kind, *unused):
        super().__exit__(kind, *unused)
        assert kind or self.failed is None, "a request beside: %r" % self.failed
        assert kind or self.slowest < ANSWER, "a request beside took %.1f s" % self.slowest


# ---- Places ----

class Place:
    """Where a thing is named. `sound`: what is there when all is well. `carries`: events go there."""
    carries = secure = False
    headers = ()

    def __init__(self, option, sound=things.Regular, contents=(b"", b""), words=None):
        self.option, self.sound, self.contents = option, sound, contents
        self.words = [option] if words is None else words  # beside the path, in what is said of it

    def path(self, folder):
        os.mkdir(os.path.join(folder, "place"))
        return os.path.join(folder, "place", "thing")

    def options(self, cell):
        return ["--sink", "file:" + cell.log, self.option, cell.path]

    def give(self, cell):
        """Hands over what has no path."""

    def replaced(self, cell):
        """The thing has a new content, if it can have one."""

    def in_force(self, cell):
        """Which of the contents: 0 or 1."""


class Sink(Place):
    carries = True

    def __init__(self, scheme, sound):
        super().__init__("--sink", sound)
        self.scheme = scheme

    def uri(self, cell):
        return self.scheme + cell.path

    def options(self, cell):
        return ["--sink", self.uri(cell)]


class Network(Sink):
    def uri(self, cell):
        return "%s//127.0.0.1:%d" % (self.scheme, cell.thing.number)


class Standard(Place):
    """Standard output or standard error."""

    def __init__(self, number):
        super().__init__(None)
        self.number, self.carries = number, number == 1

    def uri(self, _):
        return "stdout:"

    def options(self, cell):
        return ["--sink", "stdout:" if self.carries else "file:" + cell.log]

    def give(self, cell):
        cell.daemon.given[self.number] = cell.thing.descriptor()


class Rotated(Place):
    """Where a log moves to that is rotated."""

    def path(self, folder):
        return os.path.join(folder, "log.1")

    def options(self, cell):
        return ["--sink", "file:%s?rotate=400&keep=900" % cell.log]


class Auth(Place):
    headers = ("Authorization: Bearer first",)

    def in_force(self, cell):
        return [cell.daemon.post(body(), headers=["Authorization: Bearer " + word])[0].status != 401
                for word in ("first", "second")].index(True)


class Tls(Place):
    """A certificate or its key: the other one is all right."""
    secure = True

    def __init__(self, option, other):
        super().__init__(option)
        self.other, self.number, self.pairs = other, int(option == "--tls-key"), self.two()
        self.contents = tuple(pair[self.number] for pair in self.pairs)

    @staticmethod
    @functools.lru_cache
    def two():
        """Certificates with their keys."""
        with tempfile.TemporaryDirectory() as folder:
            return [[things.content(path) for path in certificate(folder, name)] for name in ("first", "second")]

    def beside(self, cell, which):
        things.write(cell.daemon.path("other"), self.pairs[which][1 - self.number])

    def options(self, cell):
        self.beside(cell, 0)
        return super().options(cell) + [self.other, cell.daemon.path("other")]

    def replaced(self, cell):
        self.beside(cell, 1)

    def in_force(self, cell):
        client = cell.daemon.connect()
        shown = ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(True))
        client.close()
        return [shown.encode() == pair[0] for pair in self.pairs].index(True)


FOREIGN = 2 * (b"what somebody else wrote\n",)

PLACES = {"sink file:": lambda: Sink("file:", things.Regular),
          "sink stdout:": lambda: Standard(1),
          "sink serial:": lambda: Sink("serial:", things.Terminal),
          "sink syslog:": lambda: Sink("syslog:", things.Socket),
          "sink syslog+udp:": lambda: Network("syslog+udp:", things.UdpPeer),
          "sink syslog+tcp:": lambda: Network("syslog+tcp:", things.TcpPeer),
          "file: after a rotation": lambda: Rotated(None, things.Nothing),
          "--ring": lambda: Place("--ring", things.Nothing, FOREIGN, words=["ring"]),
          "--pid-file": lambda: Place("--pid-file", things.Nothing, FOREIGN),
          "--auth-file": lambda: Auth("--auth-file", contents=(b"bearer first\n", b"bearer second\n")),
          "--tls-cert": lambda: Tls("--tls-cert", "--tls-key"),
          "--tls-key": lambda: Tls("--tls-key", "--tls-cert"),
          "--config": lambda: Place("--config", contents=2 * (b"body-max = 100000\n",), words=[]),
          "standard error": lambda: Standard(2)}


def read_table():
    must = {}
    for block in TABLE.strip().split("\n\n"):
        head, *rows = [re.split(r"  +", line.strip()) for line in block.split("\n")]
        for kind, *words in rows:
            must.update({(head[0], kind, when): word for when, word in zip(head[1:], words)})
    return must


MUST = read_table()


# ---- A cell ----

class Cell:
    def __init__(self, place, kind, when, must, ring):
        self.name = "%s, %s, %s%s" % (place, kind, when, ", ring in a file" if ring else "")
        self.place, self.when, self.must, self.ring = PLACES[place](), when, must, ring
        self.at, self.sound_kind = place, {"full disk": "regular file"}.get(kind, kind.split(",")[0])
        self.folder = tempfile.mkdtemp(prefix="cmcwh-cell-")
        self.log = os.path.join(self.folder, "log")
        self.path = self.place.path(self.folder)
        self.daemon = Daemon(self.folder, self.place.secure)
        things.write(self.daemon.path("stderr"), b"")
        self.thing = KINDS[kind]()
        self.all = [self.thing]
        self.acknowledged, self.refused, self.number = [], [], 0
        self.mark = 0   # what was said before is not about this fault

    # What comes out

    def streams(self):
        if self.place.carries:
            return [stream for thing in self.all for stream in thing.streams()]
        return [things.content(path) for path in sorted(glob.glob(self.log + "*")) if os.path.isfile(path)]

    def delivered(self):
        return set(things.recipients(self.streams()))

    def arrived(self):
        eventually(lambda: self.delivered() >= set(self.acknowledged),
                   "what was acknowledged: %r" % sorted(set(self.acknowledged) - self.delivered()))

    # What is asked

    def post(self):
        self.number += 1
        name = b"user%d@example.jp" % self.number
        answer, took = self.daemon.post(body(first=self.number), headers=self.place.headers)
        limit = ANSWER + (SINK_TIMEOUT if self.place.carries and self.thing.hangs else 0)
        assert took < limit, "an answer took %.1f s" % took
        (self.acknowledged if answer.status == 200 else self.refused).append(name)
        return answer.status

    def good(self):
        for _ in range(3):
            status = self.post()
            assert status == 200, "answered with %d" % status

    def until(self, status):
        eventually(lambda: self.post() == status, "an answer with %d" % status)

    def said(self):
        return self.daemon.stderr()[self.mark:]

    def named(self):
        """Which option or sink, and what there."""
        words = ["--sink", self.place.uri(self)] if self.place.carries else self.place.words + [self.path]
        return words if self.daemon.process.poll() is not None else words[-1:]

    def says(self):
        eventually(lambda: all(word in self.said() for word in self.named()),
                   "a word on %s" % self.named())

    # Its life

    def options(self):
        ring = ["--ring", os.path.join(self.folder, "ring")] if self.ring else []
        return ring + self.place.options(self)

    def start(self):
        return self.daemon.start(self.options())

    def swapped(self):
        """Is it not there from the first?"""
        can = self.thing.in_use and MUST.get((self.at, self.sound_kind, "at start")) == "delivers"
        return not (self.when == "at start" or (self.when == "at run" and can) or
                    isinstance(self.place, (Standard, Network)))

    def begin(self):
        """Up to where it is wrong."""
        swapped = self.swapped()
        before = self.place.sound() if swapped else self.thing
        self.all.append(before)
        before.stand(self.path, self.place.contents[0])
        self.place.give(self)
        if self.when == "at start":
            self.thing.fail()
            return self.start()
        assert self.start(), "it has ended at once"
        self.good()
        if self.place.carries:
            self.arrived()
        self.mark = len(self.daemon.stderr())
        if swapped:
            self.thing.replace(self.path, self.place.contents[1])
            self.place.replaced(self)
        self.thing.fail()
        self.stands = self.look()
        if self.when == "at SIGHUP":
            self.daemon.signal(signal.SIGHUP)
        return True

    def mend(self):
        if self.thing.mend() and self.place.carries:
            return
        things.remove(self.path)
        sound = self.place.sound()
        self.all.append(sound)
        sound.stand(self.path, self.place.contents[1])

    def end(self):
        status = self.daemon.end()
        assert status == 0, "it ended with %d" % status

    def run(self):
        if self.must in ("ends", "fails"):
            self.no_start(2 if self.must == "ends" else 1)
            return
        assert self.begin(), "it has ended with %d" % self.daemon.process.poll()
        with Beside(self.daemon):
            getattr(self, self.must)()
        if self.daemon.process.poll() is None:
            self.end()
        if self.thing.hangs:  # what its system has is read now
            self.thing.mend()
        if self.must == "delivers" and not self.place.carries and self.when != "at start":
            assert self.look() == self.stands, "what has been put there is another now"
        if self.must != "loses":
            self.arrived()
        self.exact()

    def exact(self):
        """A regular file has whole lines only, and nothing of what was refused."""
        for thing in self.all + [None]:
            streams = thing.files() if thing is not None and self.place.carries else []
            if thing is None and not self.place.carries:
                streams = self.streams()
            for stream in streams:
                assert stream == b"" or stream.endswith(b"\n"), "torn: %r" % stream[-80:]
                for line in stream.split(b"\n")[:-1]:
                    assert json.loads(line)["to"].encode() not in self.refused, "refused, and there"

    def look(self):
        """What is at its place: mode, inode and size."""
        return [os.lstat(self.path)[i] for i in (0, 1, 6)] if os.path.lexists(self.path) else None

    def no_start(self, status):
        self.thing.stand(self.path, self.place.contents[0])
        self.place.give(self)
        self.thing.fail()
        before = self.look()
        assert not self.start(), "it runs"
        assert self.daemon.process.poll() == status, "it ended with %d" % self.daemon.process.poll()
        last = self.said().splitlines()[-1:]
        assert last and all(word in last[0] for word in self.named()), "last said: %r" % last
        assert self.look() == before, "what was there is another now"

    def delivers(self):
        if self.thing.hangs:
            self.flood()
        self.good()
        if self.when == "at SIGHUP" and self.place.carries and self.thing in self.all[:1]:
            eventually(lambda: self.post() == 200 and any(self.thing.streams()), "events at its new place")
        if self.thing.in_use and self.when == "at SIGHUP" and self.place.carries:
            self.arrived()

    def flood(self):
        """More than its own messages have room for."""
        client = self.daemon.connect()
        for _ in range(400):
            client.send(request(b"{bad"))
            client.answer()
        client.close()

    def waits(self):
        if self.ring:
            eventually(lambda: self.good() or self.named()[0] in self.said(), "a word on " + self.named()[0])
            self.end()
            self.mend()
            assert self.start(), "it has ended"
            if isinstance(self.place, Network):
                self.acknowledged = self.acknowledged[-1:]
            self.arrived()
            return
        taken = self.acknowledged[:]
        self.until(503)
        self.says()
        self.mend()
        if isinstance(self.place, Network):  # nobody acknowledges what the system has: it is lost
            self.acknowledged = taken
        self.until(200)
        self.arrived()
        if self.thing.in_use and not isinstance(self.place, Network):  # the next trouble ends with SIGTERM
            self.thing.fail()
            self.post()

    def refuses(self):
        self.until(503)
        self.says()

    def loses(self):
        taken = self.acknowledged[:]
        while self.place.uri(self) not in self.said():
            self.good()
        for _ in range(20):
            self.good()
            time.sleep(0.05)
        assert self.said().count("again") < 4, "it flaps: " + self.said()
        self.mend()
        eventually(lambda: self.post() == 200 and self.acknowledged[-1] in self.delivered(), "events")
        self.acknowledged = taken

    def keeps(self):
        self.says()
        assert self.place.in_force(self) == 0, "the new one is in force"
        self.mend()
        self.daemon.signal(signal.SIGHUP)
        eventually(lambda: self.place.in_force(self) == 1, "the new one in force")

    def takes(self):
        eventually(lambda: self.place.in_force(self) == 1, "the new one in force")

    def close(self):
        self.daemon.kill()
        for descriptor in self.daemon.given.values():
            if descriptor is not None:
                os.close(descriptor)
        for thing in self.all:
            thing.close()
        things.unmount(os.path.dirname(self.path))
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- All of them ----

def cells():
    """Those of the sinks that wait are lived through with each kind of ring."""
    for (place, kind, when), must in MUST.items():
        if must != "-":
            yield place, kind, when, must, False
        if must == "waits":
            yield place, kind, when, must, True


def attempt(parameters):
    cell = Cell(*parameters)
    start = time.monotonic()
    try:
        cell.run()
        return cell.name, time.monotonic() - start, None
    except Skipped as reason:
        return cell.name, 0, reason
    except Exception as error:  # whatever it is, the next cell is another
        return cell.name, time.monotonic() - start, "must be: %s; %s: %s\n    %s" % (
            cell.must, type(error).__name__, error, "\n    ".join(
                [line for line in cell.said().splitlines() if "400 to" not in line][-4:]))
    finally:
        cell.close()


def own_mounts():
    """What is mounted here is seen by nobody else, and gone with the process."""
    if os.geteuid() == 0 and ctypes.CDLL(None).unshare(0x00020000) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=False)


def test_cells():
    only = os.environ.get("CMCWH_CELLS", "")
    chosen = [parameters for parameters in cells() if only in "%s, %s, %s" % parameters[:3]]
    wrong, skipped, slowest = [], [], 0
    Tls.two()  # once for all
    with concurrent.futures.ProcessPoolExecutor(
            AT_A_TIME, multiprocessing.get_context("fork"), own_mounts) as pool:
        for name, took, why in pool.map(attempt, chosen):
            slowest = max(slowest, took)
            if isinstance(why, Skipped):
                skipped.append(name)
            elif why is not None:
                wrong.append("%s (%.1f s): %s" % (name, took, why))
    print("%d cells, %d skipped, the slowest %.1f s" % (len(chosen), len(skipped), slowest), file=sys.stderr)
    assert not wrong, "%d of %d cells\n%s" % (len(wrong), len(chosen), "\n".join(wrong))


# Cells that show what a line of README.md says.
README = {
    "a required sink: its disk is full or read-only; its pipe, line, daemon or peer is gone, or takes nothing": [
        ("sink file:", "full disk", "waits"), ("sink file:", "read-only", "waits"),
        ("sink stdout:", "pipe, nobody reads", "waits"), ("sink serial:", "terminal, hung up", "waits"),
        ("sink syslog:", "socket, nobody there", "waits"), ("sink syslog+tcp:", "TCP, nobody there", "waits"),
        ("sink syslog+tcp:", "TCP, nobody reads", "waits")],
    "its log is deleted; cannot be rotated": [
        ("sink file:", "nothing", "delivers"), ("file: after a rotation", "directory", "delivers")],
    "the ring's disk fails or hangs; its file is deleted": [("--ring", "nothing", "refuses")],
    "a certificate, key or auth file at SIGHUP; nobody reads standard error": [
        ("--tls-cert", "nothing", "keeps"), ("--tls-key", "nothing", "keeps"), ("--auth-file", "nothing", "keeps"),
        ("standard error", "pipe, nobody reads", "delivers")],
    "a besteffort sink; a pipe, socket or peer that goes, or the network, before all was read; the end, with the ring in "
    "memory and `--sync never`": [
        ("sink syslog+udp:", "UDP, nobody there", "loses")],
}


def test_readme_says_what_the_cells_show():
    """What the ring's disk does is in hostile_faults.py."""
    with open("README.md", encoding="utf-8") as file:
        table = file.read().partition("| what goes wrong |")[2].partition("\n\n")[0]
    assert [row.split("|")[1].strip() for row in table.split("\n")[2:]] == list(README)
    for shown in README.values():
        for place, kind, word in shown:
            assert word in [MUST.get((place, kind, when)) for when in ("at run", "at SIGHUP")], (place, kind)

"""kills.py [--cmcwh PROGRAM] [--kills N] [--seed N] [PEER]...: cmcwh and what stands at the other end of its sink are
killed under load, each N times (200), at random instants, for each kind of peer. Then what was acknowledged is counted
at the far end. Prints a table; fails if anything is lost, out of order, or came again under another id."""

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time

import harness
from harness import Skipped, Threads, body, eventually, free_port
from onward import Onward, check
from programs import Engine, find

HERE = os.path.dirname(os.path.abspath(__file__))


class Posting(Threads):
    """Clients that post requests of one to four events, each until it is answered with 200, also while there is no
    server. `acknowledged`: the recipients."""

    def __init__(self, server, clients=4):
        self.server, self.acknowledged = server, []
        self.set_up(self.send, clients)

    def send(self, client):
        number = client * 10000000
        while not self.ending.is_set():
            data = body(1 + number % 4, first=number)
            # To its end: what was not acknowledged may be in one place, and not in another.
            eventually(lambda: self.taken(data), "a request that is taken")
            self.acknowledged += ["user%d@example.jp" % (number + i) for i in range(1 + number % 4)]
            number += 10

    def taken(self, data):
        try:
            return self.server.post(data).status == 200
        except (OSError, IndexError):  # it was killed meanwhile
            return False

    def wait(self, count):
        enough = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= enough, "%d acknowledged events" % count)


class Peer:
    """What a sink delivers to, in a folder of its own. It keeps what it has acknowledged when it is killed."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            os.chmod(file.name, 0o600)
            file.write(text)
        return file.name

    def uri(self):
        raise NotImplementedError

    def start(self):
        raise NotImplementedError

    def kill(self):
        raise NotImplementedError

    def end(self):
        raise NotImplementedError

    def ids(self):
        """Of all events that it has taken, in order, repeats too."""
        raise NotImplementedError

    def note(self):
        """For the table."""
        return ""


class Tail:
    """What a pattern finds in the whole lines of a file that grows, from where it ends now."""

    def __init__(self, path, pattern=r'"id":"([0-9a-f]{16})"'):
        self.path, self.pattern, self.found, self.rest = path, re.compile(pattern.encode()), [], b""
        self.at = os.path.getsize(path) if os.path.exists(path) else 0

    def all(self):
        if os.path.exists(self.path):
            with open(self.path, "rb") as file:
                file.seek(self.at)
                data = file.read()
            self.at += len(data)
            whole, end, self.rest = (self.rest + data).rpartition(b"\n")
            self.found += [found.decode() for found in self.pattern.findall(whole + end)]
        return self.found


class Program(Peer):
    """One program, `engine`, which writes what it takes to a file: `taken`."""

    def start(self):
        self.engine.start()

    def kill(self):
        self.engine.end(signal.SIGKILL)

    def end(self):
        self.kill()

    def ids(self):
        return self.taken.all()


class Application(Program):
    """receivers.py."""

    name = "an application over HTTP"

    def __init__(self, folder):
        super().__init__(folder)
        self.taken = Tail(self.path("taken"), "(?m)^([0-9a-f]{16})$")
        self.engine = Engine(folder, "application", [sys.executable, os.path.join(HERE, "receivers.py"), str(self.port),
                                                     self.taken.path], self.port)

    def uri(self):
        return "http://127.0.0.1:%d/in?wait=5&timeout=2" % self.port


class BehindNginx(Application):
    """Killed are nginx and the application in turn."""

    name = "nginx before an application"

    def __init__(self, folder):
        from test_onward_nginx import Nginx
        super().__init__(folder)
        self.nginx = Nginx(folder, self)
        self.killed = 0

    def uri(self):
        return "http://127.0.0.1:%d/in?wait=5&timeout=2" % self.nginx.port

    def start(self):
        for engine in (self.engine, self.nginx):
            if engine.process is None or engine.process.poll() is not None:
                engine.start()

    def kill(self):
        self.killed += 1
        (self.engine, self.nginx)[self.killed % 2].end(signal.SIGKILL)

    def end(self):
        self.nginx.end(signal.SIGKILL)
        self.engine.end(signal.SIGKILL)


class Chain(Program):
    """Another cmcwh, which keeps the ids."""

    name = "another cmcwh (format=cmc)"

    def __init__(self, folder):
        super().__init__(folder)
        self.write("chain", "chain a-token-for-the-test\n")
        self.headers = self.write("headers", "bearer a-token-for-the-test\n")
        self.engine = Engine(folder, "far", [
            os.path.abspath(harness.CMCWH), "serve", "--listen", "127.0.0.1:%d" % self.port, "--auth-file",
            self.path("chain"), "--ring", self.path("ring"), "--ring-records", "256", "--sink",
            "file:" + self.path("log")], self.port)
        self.taken = Tail(self.path("log"))

    def uri(self):
        return "http://127.0.0.1:%d/mails?format=cmc&wait=5&timeout=2&headers=%s" % (self.port, self.headers)


BROKER = """listener @PORT 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location @FOLDER/
autosave_interval 0
max_inflight_messages 0
max_queued_messages 0
log_type all
log_dest file @FOLDER/mosquitto.log
"""


class Mosquitto(Peer):
    """A broker, which is killed. What it has acknowledged stands in its log. A subscriber gets it, whose session the
    broker has saved: with the broker goes what is just on its way there."""

    name = "mosquitto"

    def __init__(self, folder):
        super().__init__(folder)
        config = self.write("mosquitto.conf", BROKER.replace("@PORT", str(self.port)).replace("@FOLDER", folder))
        self.broker = Engine(folder, "broker", [find("mosquitto"), "-c", config], self.port)
        self.subscriber = Engine(folder, "subscriber", [
            find("mosquitto_sub"), "-h", "127.0.0.1", "-p", str(self.port), "-i", "far", "-c", "-q", "1", "-t", "#"])
        self.log = self.path("mosquitto.log")
        self.taken = Tail(self.log, r"Received PUBLISH from \S+ \(\S+ q1, r0, m\d+, '([0-9a-f]{16})'")
        self.got = Tail(self.subscriber.log)  # what it prints

    def uri(self):
        return "mqtt://127.0.0.1:%d?topic={id}" % self.port

    def subscribe(self):
        answers = Tail(self.log, "Sending SUBACK to (far)")
        self.subscriber.start()
        eventually(answers.all, "the subscription")
        self.broker.tell(signal.SIGUSR1)
        eventually(lambda: os.path.exists(self.path("mosquitto.db")), "the session to be saved")

    def start(self):
        """Until the subscriber is back, and has what had waited for it."""
        arrivals = Tail(self.log, "New client connected from .* as (far) ")
        before = len(self.ids())
        self.broker.start()
        if self.subscriber.process is None:
            self.subscribe()
        eventually(arrivals.all, "the subscriber")
        last = self.ids()[before:][-1:]
        eventually(lambda: set(last) <= set(self.got.all()), "what had waited for the subscriber")

    def kill(self):
        self.broker.end(signal.SIGKILL)

    def end(self):
        self.subscriber.end()
        self.kill()

    def ids(self):
        return self.taken.all()

    def note(self):
        return "its subscriber missed %d" % len(set(self.ids()) - set(self.got.all()))


PEERS = {"application": Application, "nginx": BehindNginx, "chain": Chain, "mosquitto": Mosquitto}


COLUMNS = "%-28s %7s %7s %8s %9s %8s %8s %5s  %s"
HEAD = COLUMNS % ("kills of", "cmcwh", "peer", "events", "taken", "repeats", "lost", "s", "")


def kill_one(luck, posting, server, peer, kills):
    """Of the two one, at a random instant, and starts it again."""
    victim = luck.choice([0, 1]) if min(kills) > 0 else kills.index(max(kills))
    kills[victim] -= 1
    time.sleep(luck.uniform(0, 0.1))
    if victim == 0:
        server.kill()
        server.restart()
    else:
        peer.kill()
        time.sleep(luck.choice([0, luck.uniform(0, 0.2)]))
        peer.start()
    if luck.random() < 0.8:  # else the next kill comes while it recovers
        posting.wait(1)
        before = len(peer.ids())
        eventually(lambda: len(peer.ids()) > before, "an event at the peer")


def campaign(peer, times, seed):
    """`times` kills of each. Returns a line of the table, or raises what is wrong."""
    luck, start, kills = random.Random(seed), time.monotonic(), [times, times]
    try:
        peer.start()
        with Onward(peer.uri(), "--ring", "@/ring", "--ring-records", "256", ring=None,
                    listen="127.0.0.1:%d" % free_port()) as server:
            with Posting(server) as posting:
                posting.wait(20)
                while max(kills) > 0:
                    kill_one(luck, posting, server, peer, kills)
                posting.wait(20)
            server.emptied()
            server.stop()
            lines = server.lines()
            eventually(lambda: {line["id"] for line in lines} <= set(peer.ids()), "the last events, --seed %d" % seed)
            found, near = peer.ids(), {line["to"] for line in lines}
            check(lines, found)
            lost = set(posting.acknowledged) - near
            assert not lost, "--seed %d: lost %s" % (seed, sorted(lost))
        return COLUMNS % (peer.name, times, times, len(posting.acknowledged), len(found), len(found) - len(set(found)),
                          len(lost), "%d" % (time.monotonic() - start), peer.note())
    finally:
        peer.end()


def attempt(name, times, seed=None):
    """A campaign in a folder of its own."""
    folder = tempfile.mkdtemp(prefix="cmcwh-kills-")
    try:
        return campaign(PEERS[name](folder), times, seed if seed is not None else time.time_ns() % 1000000)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmcwh", default="./cmcwh")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int)
    parser.add_argument("peers", nargs="*", default=list(PEERS), metavar="PEER")
    arguments = parser.parse_args()
    harness.CMCWH = arguments.cmcwh
    print(HEAD, flush=True)
    for name in arguments.peers:
        try:
            print(attempt(name, arguments.kills, arguments.seed), flush=True)
        except Skipped as reason:
            print("%s: skipped: %s" % (name, reason), flush=True)


if __name__ == "__main__":
    main()

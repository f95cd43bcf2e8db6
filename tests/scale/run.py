"""`make scale-test`: three cmcwh behind HAProxy and nginx, which write to rsyslog and to a Redis stream,
see port/scale. Senders post events with ids of their own and repeat what was not answered with 200,
while one part after the other is restarted or killed. What was acknowledged must be found in the end.

run.py --cmcwh ./cmcwh [--only PART_OF_A_NAME]. Ends with a line `N passed, N failed`."""

import argparse
import glob
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from engines import EXAMPLES, NAMES, TOKEN, Engines
from harness import eventually

SENDERS = 8
PAUSE = 0.015  # between the requests of one sender: enough load, and bounded output
TO = re.compile(rb'(?:\bto=|"to":")user(\d+)@')
EVENTS = 5  # of a request, at most


def body(number, count):
    events = [{"reason": "", "sourceIp": "192.0.2.1", "returnPath": "info@return.pro.smtps.jp",
               "created": "2026-01-25 14:03:06", "subject": "メールマガジンのテスト", "apiData": "",
               "messageId": "<%d@example.com>" % number, "from": "info@example.com",
               "to": "user%d@example.jp" % (number + i), "senderIp": "", "status": "queued"}
              for i in range(count)]
    return json.dumps({"event_type": "deliveries", "server_composition": "pro",
                       "event": {"deliveries": events}}).encode()


class Senders:
    """Send as CMC does: to one front each, again and again until the answer is 200."""

    def __init__(self, engines):
        self.acknowledged, self.repeats, self.ending = set(), 0, threading.Event()
        self.context = ssl.create_default_context(cafile=engines.pem)
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.send, args=(
            name, engines.ports["nginx" if name % 2 else "haproxy"])) for name in range(SENDERS)]

    def send(self, name, port):
        number, client = name * 10000000, None
        while not self.ending.is_set():
            number += 10
            count, sent = 1 + number // 10 % EVENTS, 0
            data = body(number, count)
            while not self.ending.is_set():
                client = client or http.client.HTTPSConnection("localhost", port, timeout=10, context=self.context)
                if self.post(client, data):
                    with self.lock:
                        self.acknowledged.update(range(number, number + count))
                    break
                sent += 1
                client.close()
                client = None
                with self.lock:
                    self.repeats += 1
                self.ending.wait(0.05)
            self.ending.wait(PAUSE)
        if client:
            client.close()

    @staticmethod
    def post(client, data):
        try:
            client.request("POST", "/mails", data, {"Content-Type": "application/json",
                                                    "Authorization": "Bearer " + TOKEN})
            answer = client.getresponse()
            answer.read()
            return answer.status == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait(self, count):
        """Until `count` more were acknowledged."""
        enough = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= enough, "%d acknowledged events" % enough)

    def so_far(self):
        with self.lock:
            return set(self.acknowledged)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.ending.set()
        for thread in self.threads:
            thread.join()


class Output:
    """Which events were found, and how many lines more than events."""

    def __init__(self):
        self.found, self.lines = set(), 0
        self.given_up = set()  # missed before: nobody waits for them again

    def take(self, text):
        numbers = [int(number) for number in TO.findall(text)]
        self.found.update(numbers)
        self.lines += len(numbers)

    def repeats(self):
        return self.lines - len(self.found)


class File(Output):
    """What rsyslog has written."""

    def __init__(self, path):
        super().__init__()
        self.path, self.offset = path, 0

    def look(self):
        if not os.path.exists(self.path):
            return
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            text = file.read()
        text = text[:text.rfind(b"\n") + 1]
        self.offset += len(text)
        self.take(text)


class Stream(Output):
    """What is in the Redis stream."""

    def __init__(self, engines):
        super().__init__()
        self.engines, self.last = engines, "-"

    def look(self):
        while True:
            text = self.engines.redis_cli("--raw", "XRANGE", "cmcwh", self.last, "+", "COUNT", 20000)
            ids = re.findall(rb"^\d+-\d+$", text, re.MULTILINE)
            if not ids:
                return
            self.last = "(" + ids[-1].decode()
            self.take(text)


class Scene:
    """The engines, the senders, what came out, and what is to be said of a test."""

    def __init__(self, engines, senders):
        self.engines, self.senders = engines, senders
        self.file, self.stream = File(engines.events), Stream(engines)

    def missing(self, output, patience=20):
        """What was acknowledged until now and does not come out."""
        expected, end = self.senders.so_far(), time.monotonic() + patience
        while True:
            output.look()
            lost = expected - output.found
            if not lost - output.given_up or time.monotonic() > end:
                output.given_up = lost
                return lost
            time.sleep(0.2)

    def check(self, *outputs):
        for output in outputs:
            lost = self.missing(output)
            assert not lost, "%s: %d of %d acknowledged events are missing: %s" % (
                type(output).__name__, len(lost), len(self.senders.so_far()), sorted(lost)[:10])
        assert self.stream.repeats() == 0, "%d events are in the stream twice" % self.stream.repeats()

    def replay(self):
        """What the rings still hold, as rsyslog would have written it."""
        output = Output()
        for name in NAMES:
            output.take(subprocess.run([CMCWH, "cat", "--format", "logfmt", self.engines.path(name + "/ring")],
                                       stdout=subprocess.PIPE, check=True, timeout=30).stdout)
        return output


def test_1_cmcwh_is_restarted_and_killed(scene):
    for name in NAMES:
        for number in (signal.SIGTERM, signal.SIGKILL):
            scene.engines[name].restart(number, 0.3)
            scene.senders.wait(500)
    scene.check(scene.stream, scene.file)


def test_2_fronts_are_reloaded_and_restarted(scene):
    haproxy, nginx = scene.engines["haproxy"], scene.engines["nginx"]
    for _ in range(2):
        haproxy.tell(signal.SIGUSR2)
        nginx.tell(signal.SIGHUP)
        scene.senders.wait(1000)
    for front in (haproxy, nginx):
        front.restart(pause=0.5)
        scene.senders.wait(500)
    scene.check(scene.stream, scene.file)


def test_3_redis_is_restarted_and_killed(scene):
    for number in (signal.SIGTERM, signal.SIGKILL):
        scene.engines["redis"].restart(number, 1)
        scene.senders.wait(1000)
        eventually(lambda: b"PONG" in scene.engines.redis_cli("PING"), "Redis")
    scene.check(scene.stream)


def test_4_shippers_are_killed(scene):
    for _ in range(5):
        for name in NAMES:
            scene.engines["ship-" + name].restart(signal.SIGKILL)
        scene.senders.wait(300)
    scene.check(scene.stream)


def test_5_redis_is_full(scene):
    scene.engines.redis_cli("CONFIG", "SET", "maxmemory", 1)
    before = len(scene.stream.found)
    scene.senders.wait(1000)
    scene.stream.look()
    waiting = len(scene.senders.so_far() - scene.stream.found)
    assert waiting >= 900 and before > 0, waiting
    scene.engines.redis_cli("CONFIG", "SET", "maxmemory", "4gb")
    scene.check(scene.stream)


def test_6_rsyslog_is_stopped(scene):
    scene.engines["rsyslog"].restart(pause=3)
    scene.senders.wait(1000)
    scene.check(scene.stream)
    report_rsyslog(scene, "SIGTERM")


def test_7_rsyslog_is_killed(scene):
    for _ in range(3):
        scene.engines["rsyslog"].restart(signal.SIGKILL, 0.3)
        scene.senders.wait(300)
    report_rsyslog(scene, "kill -9, three times")


def test_8_rsyslog_hangs_and_is_killed(scene):
    """What cmcwh has handed to the system stands in rsyslog's socket: it is lost for certain."""
    scene.engines["rsyslog"].tell(signal.SIGSTOP)
    scene.senders.wait(1000)
    scene.engines["rsyslog"].restart(signal.SIGKILL)
    scene.senders.wait(300)
    assert report_rsyslog(scene, "SIGSTOP, kill -9") > 0, "the loss that is to be expected was not seen"


def report_rsyslog(scene, how):
    """Says what rsyslog has lost now. The rings and the stream must have it all. Returns how many."""
    before = scene.file.given_up
    lost = scene.missing(scene.file, 5) - before
    replayed = scene.replay().found
    print("   rsyslog, %s: %d events lost, %d of them not in the rings" % (
        how, len(lost), len(lost - replayed)))
    assert not lost - replayed, "not in the rings: %s" % sorted(lost - replayed)[:10]
    assert not scene.missing(scene.stream), "not in the stream"
    return len(lost)


def test_9_a_loss_would_be_seen(scene):
    """Takes one event away, from the stream and from the file."""
    text = scene.engines.redis_cli("--raw", "XREVRANGE", "cmcwh", "+", "-", "COUNT", 1)
    victim = int(TO.search(text).group(1))
    scene.senders.ending.set()
    scene.check(scene.stream)
    scene.engines.redis_cli("XDEL", "cmcwh", text.split(b"\n")[0].decode())
    before = scene.missing(scene.file, 1)
    with open(scene.engines.events, "rb") as file:
        lines = [line for line in file if b"to=user%d@" % victim not in line]
    with open(scene.engines.path("less"), "wb") as file:
        file.writelines(lines)
    assert scene.missing(Stream(scene.engines), 1) == {victim}
    assert scene.missing(File(scene.engines.path("less")), 1) - before == {victim}


def summary(scene):
    """Counts, and what the filter for files makes of it."""
    scene.missing(scene.stream)
    scene.missing(scene.file, 2)
    distinct = subprocess.run(["awk", "-f", os.path.join(EXAMPLES, "distinct.awk"), scene.engines.events],
                              stdout=subprocess.PIPE, check=True, timeout=60).stdout.count(b"\n")
    repeats = scene.engines.redis_cli("--raw", "HVALS", "cmcwh:repeats").split()
    print("%d events acknowledged, %d requests repeated by the senders" % (
        len(scene.senders.so_far()), scene.senders.repeats))
    print("file of rsyslog: %d lines, %d distinct, %d repeats" % (
        scene.file.lines, len(scene.file.found), scene.file.repeats()))
    print("Redis stream: %d entries, %d repeats were dropped" % (
        len(scene.stream.found), sum(map(int, repeats))))
    assert distinct == len(scene.file.found), "distinct.awk: %d" % distinct


def figures(scene):
    """What an event needs in Redis, and how fast a shipper goes: the logs once more, into another stream."""
    engines, stream = scene.engines, "backlog"
    log = engines.path("backlog.log")
    with open(log, "wb") as out:
        for name in NAMES:
            for path in sorted(glob.glob(engines.path(name + "/events.log*"))):
                with open(path, "rb") as file:
                    shutil.copyfileobj(file, out)
    with open(log, "rb") as file:
        lines = [line for line in file]
    count = len({line[line.index(b'"id"'):][:24] for line in lines})

    def info(section, name):
        return int(re.search(rb"^%s:(\d+)" % name, engines.redis_cli("INFO", section), re.MULTILINE).group(1))
    memory, disk, start = info("memory", b"used_memory"), info("persistence", b"aof_current_size"), time.monotonic()
    with engines.shipper("backlog", log, "--stream", stream):
        eventually(lambda: int(engines.redis_cli("XLEN", stream)) >= count, "the backlog")
        rate = count / (time.monotonic() - start)
    entries = int(engines.redis_cli("MEMORY", "USAGE", stream, "SAMPLES", 0)) / count
    print("figures: %d lines of %.0f bytes; a shipper takes %.0f events/s, each synced" % (
        len(lines), os.path.getsize(log) / len(lines), rate))
    print("figures: Redis needs %.0f bytes a stream entry, %.0f an id in the window, %.0f on disk until "
          "it rewrites its file" % (entries, (info("memory", b"used_memory") - memory) / count - entries,
                                    (info("persistence", b"aof_current_size") - disk) / count))
    assert int(engines.redis_cli("XLEN", stream)) == count


def attempt(name, function, scene):
    start = time.monotonic()
    try:
        function(scene)
    except BaseException:
        print("FAILED %s\n%s" % (name, traceback.format_exc()))
        return False
    print("ok %s (%d s; %d acknowledged)" % (name, time.monotonic() - start, len(scene.senders.so_far())),
          flush=True)
    return True


def play(folder, only):
    tests = [(name, function) for name, function in sorted(globals().items())
             if name.startswith("test_") and only in name]
    with Engines(folder, CMCWH) as engines:
        with Senders(engines) as senders:
            scene = Scene(engines, senders)
            senders.wait(100)
            results = [attempt(name, function, scene) for name, function in tests]
        results += [attempt("summary", summary, scene), attempt("figures", figures, scene)]
    return results


def main():
    global CMCWH
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmcwh", default="./cmcwh")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    CMCWH = os.path.abspath(arguments.cmcwh)
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(1))  # so that the engines are ended
    folder = tempfile.mkdtemp(prefix="cmcwh-scale-")
    try:
        results = play(folder, arguments.only)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("%d passed, %d failed" % (sum(results), len(results) - sum(results)))
    sys.exit(0 if all(results) else 1)


main()

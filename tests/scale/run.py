"""`make scale-test`: three cmcwh behind HAProxy and nginx, which send each event to a Redis stream (HTTP), to
RabbitMQ (MQTT), to a fourth cmcwh, which sends it to another stream, and to rsyslog: see port/scale. Senders post
events that are numbered and repeat what was not answered with 200, while one part after the other is restarted or
killed. What was acknowledged must be found in the end.

run.py --cmcwh ./cmcwh [--only PART_OF_A_NAME]. Ends with a line `N passed, N failed`."""

import argparse
import contextlib
import glob
import http.client
import itertools
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
from harness import Threads, eventually
from outputs import HEAD, TO, File, Output, Queue, Stream

SENDERS = 8
PAUSE = 0.03  # between the requests of one sender: enough load, and bounded output
EVENTS = 5  # of a request, at most
MANY = 50  # of a request, when the rings are to be full soon


def body(number, count):
    events = [{"reason": "", "sourceIp": "192.0.2.1", "returnPath": "info@return.pro.smtps.jp",
               "created": "2026-01-25 14:03:06", "subject": "メールマガジンのテスト", "apiData": "",
               "messageId": "<%d@example.com>" % number, "from": "info@example.com",
               "to": "user%d@example.jp" % (number + i), "senderIp": "", "status": "queued"}
              for i in range(count)]
    return json.dumps({"event_type": "deliveries", "server_composition": "pro",
                       "event": {"deliveries": events}}).encode()


class Senders(Threads):
    """Send as CMC does: to one front each, again and again until the answer is 200."""

    def __init__(self, engines):
        self.acknowledged, self.repeats, self.engines = set(), 0, engines
        self.count = 0  # of events in each request; 0: few, of different number
        self.context = ssl.create_default_context(cafile=engines.pem)
        self.lock = threading.Lock()
        self.set_up(self.send, SENDERS)

    def send(self, name):
        number, client, port = name * 10000000, None, self.engines.ports["nginx" if name % 2 else "haproxy"]
        while not self.ending.is_set():
            number += MANY
            count, sent = self.count or 1 + number // MANY % EVENTS, 0
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


class Scene:
    """The engines, the senders, what came out, and what is to be said of a test."""

    def __init__(self, engines, senders):
        self.engines, self.senders = engines, senders
        self.file, self.queue = File(engines.events), Queue(engines)
        self.stream, self.tree = Stream(engines, "cmcwh"), Stream(engines, "hub")
        self.safe = (self.stream, self.tree, self.queue)  # where nothing may be missing

    def missing(self, output, patience=60):
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
        for output in outputs or self.safe:
            lost = self.missing(output)
            assert not lost, "%s: %d of %d acknowledged events are missing: %s" % (
                output, len(lost), len(self.senders.so_far()), sorted(lost)[:10])
        for stream in (self.stream, self.tree):
            assert stream.repeats() == 0, "%s: %d events are there twice" % (stream, stream.repeats())

    def lines(self):
        """The logs of all three."""
        for name in NAMES:
            for path in sorted(glob.glob(self.engines.path(name + "/events.log*"))):
                with open(path, "rb") as file:
                    yield from file

    def replay(self):
        """What the rings still hold, as rsyslog would have written it."""
        output = Output()
        for name in NAMES:
            for line in subprocess.run([CMCWH, "cat", "--format", "logfmt", self.engines.path(name + "/ring")],
                                       stdout=subprocess.PIPE, check=True, timeout=30).stdout.splitlines():
                output.take(line)
        return output


def test_1_cmcwh_is_restarted_and_killed(scene):
    for name in (*NAMES, "hub"):
        for number in (signal.SIGTERM, signal.SIGKILL):
            scene.engines[name].restart(number, 0.3)
            scene.senders.wait(300)
    scene.check(*scene.safe, scene.file)


def test_2_fronts_are_reloaded_and_restarted(scene):
    haproxy, nginx = scene.engines["haproxy"], scene.engines["nginx"]
    for _ in range(2):
        haproxy.tell(signal.SIGUSR2)
        nginx.tell(signal.SIGHUP)
        scene.senders.wait(500)
    for front in (haproxy, nginx):
        front.restart(pause=0.5)
        scene.senders.wait(500)
    scene.check(*scene.safe, scene.file)


def test_3_redis_is_restarted_and_killed(scene):
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        scene.engines["redis"].restart(number, 0.5)
        scene.senders.wait(500)
        eventually(lambda: b"PONG" in scene.engines.redis_cli("PING"), "Redis")
    scene.check(scene.stream, scene.tree)


def test_4_collector_is_reloaded_restarted_and_killed(scene):
    collector = scene.engines["collector"]
    for _ in range(3):
        collector.tell(signal.SIGHUP)
        scene.senders.wait(200)
        for worker in children(collector.process.pid):
            with contextlib.suppress(ProcessLookupError):  # after the reload some end by themselves
                os.kill(worker, signal.SIGKILL)
        scene.senders.wait(200)
        collector.restart(pause=0.3)
        scene.senders.wait(200)
    scene.check(scene.stream, scene.tree)


def test_4b_collector_takes_all_of_a_request_or_nothing(scene):
    engines = scene.engines

    def post(data, user="a:" + TOKEN, path="/events/own"):
        url = "https://localhost:%d%s" % (engines.ports["collector"], path)
        status = subprocess.run(["curl", "-sS", "-w", "%{http_code}", "-o", engines.path("answer"), "--cacert", engines.pem,
                                 "-u", user, "--data-binary", "@-", url],
                                input=data, stdout=subprocess.PIPE, check=True, timeout=60).stdout
        return int(status), int(engines.redis_cli("XLEN", "own"))
    one, two = (b'{"seq":%d,"id":"%016x","to":"somebody@example.jp"}\n' % (n, n) for n in (1, 2))
    assert post(one + b"nonsense\n" + two) == (422, 0)
    assert post(one[:-5] + b"\n") == (422, 0), "a line that is cut"
    assert post(one.replace(b"0000", b"000", 1)) == (422, 0), "an id that is too short"
    assert post(b"\n") == (400, 0)
    assert post(one, user="a:wrong") == (401, 0)
    assert post(one, path="/events/a%20b") == (404, 0)
    assert post(one * 90000) == (200, 1), "many times the same"
    assert post(one + two) == (200, 2)
    assert post(two * 180000) == (413, 2)


def children(process):
    with open("/proc/%d/task/%d/children" % (process, process), encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def test_5_redis_is_full(scene):
    scene.engines.redis_cli("CONFIG", "SET", "maxmemory", 1)
    scene.stream.look()
    before = len(scene.stream.found)
    scene.senders.wait(1000)
    scene.stream.look()
    assert before > 0 and len(scene.stream.found) == before, (before, len(scene.stream.found))
    scene.engines.redis_cli("CONFIG", "SET", "maxmemory", "4gb")
    scene.check(scene.stream, scene.tree)


def test_6_rabbitmq_is_restarted_and_killed(scene):
    for number in (signal.SIGTERM, signal.SIGKILL):
        scene.engines["rabbitmq"].restart(number)
        scene.senders.wait(300)
    scene.check(scene.queue)


def test_7_outage_longer_than_the_rings_hold(scene):
    """Requests get 503, and what was acknowledged comes out when it ends."""
    scene.engines["collector"].end()
    scene.senders.count = MANY
    before = scene.senders.repeats
    eventually(lambda: scene.senders.repeats > before + 10 * SENDERS, "refused requests")
    scene.stream.look()
    held = len(scene.senders.so_far()) - len(scene.stream.found)
    scene.senders.count = 0
    scene.engines["collector"].start()
    scene.senders.wait(300)
    scene.check()
    print("   %d events waited, and %d requests had to be repeated" % (held, scene.senders.repeats - before))


def test_8_rsyslog_is_stopped(scene):
    scene.engines["rsyslog"].restart(pause=3)
    scene.senders.wait(1000)
    scene.check(scene.stream)
    report_rsyslog(scene, "SIGTERM")


def test_8a_rsyslog_is_killed(scene):
    for _ in range(3):
        scene.engines["rsyslog"].restart(signal.SIGKILL, 0.3)
        scene.senders.wait(300)
    report_rsyslog(scene, "kill -9, three times")


def test_8b_rsyslog_hangs_and_is_killed(scene):
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
    scene.check()
    scene.engines.redis_cli("XDEL", "cmcwh", text.split(b"\n")[0].decode())
    before = scene.missing(scene.file, 1)
    with open(scene.engines.events, "rb") as file:
        lines = [line for line in file if b"to=user%d@" % victim not in line]
    with open(scene.engines.path("less"), "wb") as file:
        file.writelines(lines)
    assert scene.missing(Stream(scene.engines, "cmcwh"), 1) == {victim}
    assert scene.missing(File(scene.engines.path("less")), 1) - before == {victim}


def summary(scene):
    """Counts, what the filter for files makes of it, and whether the tree has kept ids and times."""
    scene.check()
    scene.missing(scene.file, 2)
    distinct = subprocess.run(["awk", "-f", os.path.join(EXAMPLES, "distinct.awk"), scene.engines.events],
                              stdout=subprocess.PIPE, check=True, timeout=60).stdout.count(b"\n")
    print("%d events acknowledged, %d requests repeated by the senders" % (
        len(scene.senders.so_far()), scene.senders.repeats))
    for name, output in (("file of rsyslog", scene.file), ("RabbitMQ's queue", scene.queue)):
        print("%s: %d lines, %d distinct, %d repeats" % (name, output.lines, len(output.found), output.repeats()))
    for stream in (scene.stream, scene.tree):
        repeats = scene.engines.redis_cli("--raw", "HVALS", stream.name + ":repeats").split()
        print("%s: %d entries, %d repeats were dropped" % (stream, len(stream.found), sum(map(int, repeats))))
    assert distinct == len(scene.file.found), "distinct.awk: %d" % distinct
    assert scene.tree.ids == scene.stream.ids, "the tree has other ids"
    # The same event may have come to two of them, each at its time.
    others = set(scene.tree.received.items()) - {HEAD.match(line).group(2, 3) for line in scene.lines()}
    assert not others, "the tree has other times: %s" % sorted(others)[:10]


def figures(scene):
    """What an event needs in Redis, and how fast logs are posted again: first where all is there, then elsewhere."""
    engines = scene.engines
    log, lines = engines.path("again.log"), list(itertools.islice(scene.lines(), 20000))
    with open(log, "wb") as out:
        out.writelines(lines)
    count = len({HEAD.match(line).group(2) for line in lines})

    def info(section, name):
        return int(re.search(rb"^%s:(\d+)" % name, engines.redis_cli("INFO", section), re.MULTILINE).group(1))

    def post_again(stream):
        subprocess.run([
            "split", "-l", "1000", "--filter", "curl -fsS -o /dev/null --cacert %s -u a:%s --data-binary @- "
            "https://localhost:%d/events/%s" % (engines.pem, TOKEN, engines.ports["collector"], stream), log],
            check=True, timeout=60)
    before = int(engines.redis_cli("XLEN", "cmcwh"))
    post_again("cmcwh")
    assert int(engines.redis_cli("XLEN", "cmcwh")) <= before + 1  # the one that the last test has taken away
    engines.redis_cli("CONFIG", "SET", "auto-aof-rewrite-percentage", 0)
    memory, disk, start = info("memory", b"used_memory"), info("persistence", b"aof_current_size"), time.monotonic()
    post_again("backlog")
    rate = count / (time.monotonic() - start)
    entries = int(engines.redis_cli("MEMORY", "USAGE", "backlog", "SAMPLES", 0)) / count
    print("figures: %d events of %.0f bytes; posted again with curl: %.0f events/s, each 1 000 synced" % (
        count, os.path.getsize(log) / len(lines), rate))
    print("figures: Redis needs %.0f bytes a stream entry, %.0f an id in the window, %.0f on disk until "
          "it rewrites its file" % (entries, (info("memory", b"used_memory") - memory) / count - entries,
                                    (info("persistence", b"aof_current_size") - disk) / count))
    assert int(engines.redis_cli("XLEN", "backlog")) == count


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

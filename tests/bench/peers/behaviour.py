"""A peer alone on the machine: start, memory, and what it does when something is wrong."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import re
import resource
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import bodies
import rates
from receiver import Receiver, Trouble, exchange, harness

STALLED = 64
GOOD = 4
DISK_KIB = 512
WHERE = re.compile(r"offset|position|column|\bline \d|\bchar \d", re.IGNORECASE)
WRONG_BODIES = {"cut off": bodies.body("json", 1)[:-40], "no event": b'{"event_type":"deliveries"}'}


def start_up(peer, settings):
    """Seconds to the first 200, the median of some starts."""
    times = []
    for _ in range(settings.starts):
        receiver = Receiver(peer)
        try:
            times.append(receiver.start())
        finally:
            receiver.__exit__()
    return {"start_seconds": round(statistics.median(times), 3)}


def memory(receiver, folder, quick):
    """KiB after the first requests, and the most seen with 64 connections."""
    idle, most, ended = receiver.memory(), [0, 0], threading.Event()

    def watch():
        while not ended.wait(0.1):
            most[:] = map(max, most, receiver.memory())
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        rates.wrk(receiver, folder, "json-1-64-keep", 1 if quick else 2)
    finally:
        ended.set()
        watcher.join()
    receiver.settle(0)
    return {"idle_pss_kib": idle[0], "idle_rss_kib": idle[1],
            "loaded_pss_kib": most[0], "loaded_rss_kib": most[1]}


def wrong_bodies(receiver):
    """Statuses, and whether the answer says where it stopped to understand."""
    found = {}
    receiver.truncate()
    for name, data in WRONG_BODIES.items():
        status, text = receiver.post(data)
        found[name] = {"status": status, "says_where": bool(WHERE.search(text)), "answer": text[:200]}
    return {"wrong_bodies": found, "lines_of_wrong_bodies": receiver.settle(0)}


def good_request(receiver, number):
    """How long it took, and its status."""
    start = time.monotonic()
    try:
        status = receiver.post(harness.body(first=number), timeout=5)[0]
    except OSError as error:
        status = "none" if isinstance(error, TimeoutError) else type(error).__name__
    return time.monotonic() - start, str(status)


def stalled(receiver):
    """How long the slowest of some good requests takes while 64 others have sent one half of theirs: with
    several processes one of them may be free by luck."""
    body = bodies.body("json", 1)
    half = harness.request(body)[:-len(body) // 2]
    with contextlib.ExitStack() as stack:
        for _ in range(STALLED):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), 5))
            one.sendall(half)
        time.sleep(0.3)
        with concurrent.futures.ThreadPoolExecutor(GOOD) as pool:
            seconds, status = max(pool.map(lambda number: good_request(receiver, number), range(GOOD)))
    return {"stalled_status": status, "stalled_seconds": round(seconds, 3)}


class Load(harness.Threads):
    """Clients on connections that are kept, each event with a number of its own, until told to end."""

    def __init__(self, receiver, clients=8):
        self.receiver, self.acknowledged = receiver, []
        self.set_up(self.send, clients)

    def send(self, _):
        number = random.randrange(1 << 40)
        connection = http.client.HTTPConnection("127.0.0.1", self.receiver.port, timeout=5)
        while not self.ending.is_set():
            number += 1
            try:
                if exchange(connection, harness.body(first=number))[0] == 200:
                    self.acknowledged.append(number)
            except OSError:
                connection.close()
                self.ending.wait(0.01)
        connection.close()


def kept(path):
    """The numbers of the events in a log, and how many of its lines are not whole."""
    numbers, torn = set(), 0
    with open(path, "rb") as file:
        for line in file:
            try:
                to = json.loads(line)["to"]
            except ValueError:
                torn += 1
                continue
            numbers.update(int(digits) for digits in re.findall(r"^user(\d+)@", to))
    return numbers, torn


def missing_of(receiver, acknowledged):
    """How many acknowledged events are not in the log, when nothing more has come for a while, and how
    many of its lines are torn."""
    last, since = None, time.monotonic()
    while True:
        numbers, torn = kept(receiver.log)
        missing = len(set(acknowledged) - numbers)
        if missing != last:
            last, since = missing, time.monotonic()
        if missing == 0 or time.monotonic() - since > 2:
            return missing, torn
        time.sleep(0.1)


def killed(receiver, settings):
    """kill -9 of all its processes under load, and a new start: what is missing?"""
    acknowledged = []
    receiver.truncate()
    for _ in range(settings.kills):
        with Load(receiver) as load:
            time.sleep(0.4 + random.random() * 0.4)
            receiver.kill()
        acknowledged += load.acknowledged
        receiver.start()
    missing, torn = missing_of(receiver, acknowledged)
    return {"kills": settings.kills, "kill_acknowledged": len(acknowledged), "kill_missing": missing,
            "kill_torn": torn}


@contextlib.contextmanager
def small_disk():
    """A folder on a file system of its own, where that can be mounted; says whether it could."""
    folder = tempfile.mkdtemp(prefix="cmcwh-disk-")
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=%dk" % (2 * DISK_KIB), "tmpfs", folder], check=False,
        stderr=subprocess.DEVNULL).returncode == 0
    try:
        yield folder, mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=True)
            os.rmdir(folder)
        else:
            subprocess.run(["rm", "-rf", folder], check=True)


class Filler:
    """Takes half of the small disk, until it gives it back."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "filler")

    def fill(self, _):
        with open(self.path, "wb") as file:
            file.write(b"\0" * (DISK_KIB << 10))

    def give_back(self, _):
        os.remove(self.path)


class Limit:
    """Where nothing can be mounted: the processes may not write files beyond a size."""

    def fill(self, receiver):
        self.set(receiver, DISK_KIB << 10)

    def give_back(self, receiver):
        self.set(receiver, resource.RLIM_INFINITY)

    def set(self, receiver, size):
        for pid, _ in receiver.processes():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def post_until(receiver, acknowledged, good, seconds):
    """Posts 100 events a request until the answer is good (or no longer). Returns it, and how long it
    took."""
    start, status = time.monotonic(), "none"
    while time.monotonic() - start < seconds:
        first = random.randrange(1 << 40)
        try:
            status = receiver.post(harness.body(100, first), timeout=5)[0]
        except OSError:
            status = "none"
        if status == 200:
            acknowledged += range(first, first + 100)
        if (status == 200) == good:
            break
        if good:
            time.sleep(0.05)
    return status, time.monotonic() - start


def full_disk(peer):
    """The status when lines can no longer be written, and when there is space again."""
    with small_disk() as (folder, mounted):
        if not mounted and peer.name == "cmcwh-ring":
            return {"full": "not tried: only root can mount"}
        # With a limit the signal, which would end a process, is ignored: writes fail as on a full disk.
        with Receiver(peer, os.path.join(folder, "log"),
                      None if mounted else lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN)) as receiver:
            disk, acknowledged = Filler(folder) if mounted else Limit(), []
            disk.fill(receiver)
            full, _ = post_until(receiver, acknowledged, False, 15)
            disk.give_back(receiver)
            again, after = post_until(receiver, acknowledged, True, 15)
            missing, torn = missing_of(receiver, acknowledged)
    return {"full": full, "full_again": again, "full_again_seconds": round(after, 2),
            "full_acknowledged": len(acknowledged), "full_missing": missing, "full_torn": torn}


def alone(peer, folder, settings, say):
    """Everything about one peer. What fails is kept as `trouble`."""
    found, writes = {}, peer.mode != "limit"

    def attempt(what, call, *arguments):
        try:
            found.update(call(*arguments))
        except (Trouble, OSError, subprocess.SubprocessError) as trouble:
            say("%s, %s: %s" % (peer.name, what, trouble))
            found.setdefault("trouble", []).append("%s: %s" % (what, trouble))

    def running():
        with Receiver(peer) as receiver:
            attempt("memory", memory, receiver, folder, settings.quick)
            if writes:
                attempt("wrong bodies", wrong_bodies, receiver)
            attempt("stalled connections", stalled, receiver)
            if writes:
                attempt("kills", killed, receiver, settings)
        return {}
    attempt("start", start_up, peer, settings)
    attempt("run", running)
    if writes:
        attempt("full disk", full_disk, peer)
    return found

"""syncs.py [CMCWH]: how often --sync always, 250ms, 2s and never sync and write for 100 events, with the ring in a file
and in memory, at 1, 10 and 100 events a second that come evenly; and how long their senders wait. Counted with strace."""

import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import harness  # noqa: E402
from harness import Client, Server, body, request  # noqa: E402

RATES = [(1, 20), (10, 10), (100, 10)]  # events a second, for so many seconds
SYNCS = ["always", "250ms", "2s", "never"]
PLACES = [("ring", ["--ring", "@/ring"]), ("memory", [])]


class Senders:
    """As many connections as are busy at a time."""

    def __init__(self, port):
        self.port, self.idle, self.waits, self.lock = port, [], [], threading.Lock()

    def send(self, number):
        with self.lock:
            client = self.idle.pop() if self.idle else None
        client = client or Client(self.port)
        start = time.monotonic()
        client.send(request(body(first=number)))
        answer = client.answer()
        assert answer.status == 200, answer.body
        with self.lock:
            self.waits.append(time.monotonic() - start)
            self.idle.append(client)

    def evenly(self, rate, count):
        threads, start = [], time.monotonic()
        for number in range(count):
            time.sleep(max(0, start + number / rate - time.monotonic()))
            threads.append(threading.Thread(target=self.send, args=(number,)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        return sorted(self.waits)[count // 2]


def measure(options, rate, seconds):
    """How often each was called for 100 events, and the median wait."""
    with Server(*options, "--store-timeout", "5") as server:
        trace = server.path("trace")
        command = ["strace", "-f", "-y", "-e", "trace=fdatasync,pwrite64,write", "-o", trace, "-p", str(server.process.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
            tracer.stderr.readline()  # it says so when it is there
            wait = Senders(server.port).evenly(rate, rate * seconds)
            time.sleep(0.5)  # the log comes behind
            tracer.terminate()
        with open(trace, encoding="utf-8") as file:
            text = file.read()
    return [round(100 * len(re.findall(r"%s\(\d+<[^>]*/%s>" % call, text)) / (rate * seconds))
            for call in (("fdatasync", "ring"), ("fdatasync", "log"), ("pwrite64", "ring"), ("write", "log"))] + [1000 * wait]


def main():
    harness.CMCWH = sys.argv[1] if len(sys.argv) > 1 else harness.CMCWH
    print("%9s %-7s %-7s %11s %10s %12s %11s %8s" % ("events/s", "--sync", "place", "ring synced", "log synced",
                                                     "ring written", "log written", "wait, ms"))
    for rate, seconds in RATES:
        for sync in SYNCS:
            for place, ring in PLACES:
                print("%9d %-7s %-7s %11d %10d %12d %11d %8.1f" %
                      (rate, sync, place, *measure([*ring, "--sync", sync], rate, seconds)), flush=True)


main()

#!/usr/bin/env python3
"""onward.py CMCWH: what it costs to send events on, over HTTP and MQTT and to another cmcwh, beside a log
file. Prints Markdown.

At the other end of http: and https: is one worker of nginx that reads the body and answers a constant; of
mqtt: and mqtts: mosquitto, with one subscriber of QoS 0; of a chain a cmcwh that stores as the first one
does, in a log file. For each cell cmcwh is started anew and loaded with wrk on 8 connections, and those
events count that its sink has taken: of a slow one the ring is full, and requests wait. Cells come in
turn, each once a round; what all ROUNDS (3) took together counts. SECONDS_EACH (1) is how long each is
loaded; CELLS may name sinks, or words that begin some (default: all). Processor time is that of cmcwh
alone, from /proc/PID/stat: in a chain that of the first one.
"""

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from load import Wrk, head, memory, row, say_machine, thousands, together, watch
import bodies
import harness
from door import Nginx
from harness import Server, eventually, free_port
from test_admin import Admin

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS_EACH = float(os.environ.get("SECONDS_EACH", "1"))
CONNECTIONS = 8
SETTLE = 0.3  # seconds before what counts
EVENTS = 1, 100  # of a request
RECORDS = {1: "1024", 100: "16384"}  # few, so that the ring of a slow sink is full before it counts


def each(name, uri, numbers):
    return {name % number: uri % number for number in numbers}


# @ is the folder of the server; in braces are ports, and files of the others.
BATCHES, WINDOWS = (1, 10, 100), (1, 20, 100)
SINKS = {
    "file": "file:@/log?rotate=64M&keep=1",
    **each("http, batch=%d", "http://127.0.0.1:{plain}/mails?batch=%d", BATCHES),
    **each("http, format=cmc, batch=%d", "http://127.0.0.1:{plain}/mails?format=cmc&batch=%d", BATCHES),
    **each("https, batch=%d", "https://localhost:{tls}/mails?ca={ca}&batch=%d", BATCHES),
    **each("mqtt, window=%d", "mqtt://127.0.0.1:{mqtt}?window=%d", WINDOWS),
    "mqtts, window=20": "mqtts://localhost:{mqtts}?ca={ca}",
    "chain, batch=100": "http://127.0.0.1:{chain}/mails?format=cmc&headers={bearer}"}

STORES = {"`--sync never`": ("--sync", "never"),
          "`--ring --sync always`": ("--sync", "always", "--ring", "@/ring")}


# ---- Peers ----

class Mosquitto(harness.Server):
    """A broker, and somebody who reads all that comes."""

    def __init__(self, certificate, key):
        super().__init__(sink=False)
        self.ports = [free_port(), free_port()]
        with open(self.path("key"), "wb") as file, open(key, "rb") as ours:
            file.write(ours.read())
        shutil.copy(certificate, self.path("certificate"))
        text = ("per_listener_settings false\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n"
                "max_inflight_messages 1000\nmax_queued_messages 0\nlistener %d 127.0.0.1\nlistener %d 127.0.0.1\n"
                "certfile @/certificate\nkeyfile @/key\n" % tuple(self.ports)).replace("@", self.folder)
        self.command = ["mosquitto", "-c", self.write("conf", text)]

    def __enter__(self):
        self.spawn()
        eventually(self.answers, "an answer of mosquitto")
        self.reader = subprocess.Popen(["mosquitto_sub", "-p", str(self.ports[0]), "-t", "#"],
                                       stdout=subprocess.DEVNULL)
        return self

    def answers(self):
        if self.process.poll() is not None:
            sys.exit("mosquitto ended at once: " + self.stderr())
        return socket.socket().connect_ex(("127.0.0.1", self.ports[0])) == 0

    def __exit__(self, *unused):
        self.reader.kill()
        self.reader.wait()
        super().__exit__(*unused)


class Chained(Server):
    """What another cmcwh posts to."""

    def __init__(self, store):
        super().__init__("--auth-file", "@/auth", "--log-level", "error", "--ring-records", RECORDS[100],
                         "--sink", SINKS["file"], *STORES[store], sink=False)
        self.write("auth", "chain something that nobody guesses\n")
        self.bearer = self.write("bearer", "bearer something that nobody guesses\n")


# ---- Load ----

def sink_of(server):
    return json.loads(server.look("/status.json").body)["sinks"][0]


def sending(name, store, places, *options, **more):
    """With a status page, where what its sink has taken is looked up."""
    return Admin("--log-level", "error", *STORES[store], "--sink", SINKS[name].format(**places), *options, sink=False,
                 **more)


def load(name, store, events, places, folder):
    with sending(name, store, places, "--ring-records", RECORDS[events], status=-signal.SIGKILL) as server:
        with Wrk("%s, %s" % (name, store), "http://127.0.0.1:%d/mails" % server.port, CONNECTIONS, folder,
                 events=events):
            time.sleep(SETTLE)
            run = watch(server.process.pid, lambda: sink_of(server)["delivered"], lambda: time.sleep(SECONDS_EACH))
            sink = sink_of(server)
        server.kill()  # what still waits in the ring does not matter
    if run.count == 0 or sink["failures"] > 0:
        sys.exit("%s: %s: %s" % (name, sink["uri"], sink["last_error"]))
    return run


def measure(wanted, places, folder):
    """{events: {name: {store: the runs}}}."""
    found = {events: {name: {store: [] for store in STORES} for name in wanted} for events in EVENTS}
    for number, store, events in itertools.product(range(ROUNDS), STORES, EVENTS):
        print("round %d of %d: %s, %d a request" % (number + 1, ROUNDS, store, events), file=sys.stderr)
        with Chained(store) as chained:
            more = dict(places, chain=chained.port, bearer=chained.bearer)
            for name in wanted:
                found[events][name][store].append(load(name, store, events, more, folder))
    return found


def rest(name, places):
    """RSS and PSS in MiB, when all that was posted is taken: each record of the ring has been used."""
    store = "`--sync never`"
    with Chained(store) as chained, \
            sending(name, store, dict(places, chain=chained.port, bearer=chained.bearer)) as server:
        for _ in range(20):
            assert server.post(bodies.body("json", 100)).status == 200
        eventually(lambda: sink_of(server)["delivered"] == 2000, "all events at " + name)
        return [size / 1024 for size in memory(server.process.pid)]


# ---- Tables ----

def say_costs(events, found):
    head("%d a request" % events, *(
        word for store in STORES for word in (store + ": µs an event", "to file", "events/s", "to file")))
    for name, runs in found.items():
        cells = [name]
        for store in STORES:
            file, ours = together(found["file"][store]), together(runs[store])
            cells += ["%.1f" % ours.micros, "%.2f" % (ours.micros / file.micros),
                      thousands(ours.rate), "%.2f" % (ours.rate / file.rate)]
        row(*cells)
    print()


def say_memory(wanted, places):
    head("memory after 2000 events, MiB", "RSS", "PSS", "more than file")
    for name in wanted:
        sizes = rest(name, places)
        first = sizes if name == "file" else first
        row(name, "%.1f" % sizes[0], "%.1f" % sizes[1], "%.1f" % (sizes[1] - first[1]))


def main():
    words = tuple(os.environ.get("CELLS", "").split()) or ("",)
    wanted = [name for name in SINKS if name == "file" or name.startswith(words)]
    say_machine("; %d rounds of %g s" % (ROUNDS, SECONDS_EACH))
    with tempfile.TemporaryDirectory(prefix="cmcwh-onward-") as folder, Nginx() as nginx, \
            Mosquitto(nginx.path("tls.pem"), nginx.path("tls.key")) as broker:
        bodies.write(folder)
        places = {"tls": nginx.ports[0], "plain": nginx.ports[1], "ca": nginx.path("tls.pem"),
                  "mqtt": broker.ports[0], "mqtts": broker.ports[1]}
        for events, costs in measure(wanted, places, folder).items():
            say_costs(events, costs)
        say_memory(wanted, places)


if __name__ == "__main__":
    os.environ["PATH"] += ":/usr/sbin"
    harness.CMCWH = sys.argv[1]
    main()

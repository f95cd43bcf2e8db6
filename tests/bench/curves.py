#!/usr/bin/env python3
"""curves.py CMCWH: how cost grows with the work, as CSV and SVG in tests/bench/curves.
curves.py draw: the plots again, from the CSV that is there.

Loads the real server with wrk over loopback. Each point is measured once a round with a new server,
all points in turn, so that they have the same luck with the machine; the median of ROUNDS (5)
counts. SECONDS_EACH (1) is how long wrk runs. What was not answered with 200 does not count as a
request, and is said: here, and in the column `others` (of all rounds).
"""

import collections
import csv
import datetime
import http.client
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(TOP, "tests", "bench", "curves")
PAYLOADS = os.path.join(TOP, "tests", "payloads")
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS_EACH = int(os.environ.get("SECONDS_EACH", "1"))
LARGEST = 1000000  # events of a body
LARGE = 1000000  # from so many on wrk, which keeps several copies of a body, does not send them
BODY_MAX = ["--body-max", "1000000000", "--body-timeout", "60"]
BUSY = ["--workers", "8", "--ring-records", "65536"]
NOWHERE = "file:/dev/null"
PATIENCE = 60

WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open(os.getenv("BODY"), "rb")
wrk.body = file:read("*a")
file:close()
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("done %d %d %f %f %d %d\\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), e.status,
        e.connect + e.read + e.write + e.timeout))
end
"""


class Bodies:
    """Files with requests of so many events, made of the payloads' ones."""

    def __init__(self, folder):
        self.folder, self.events = folder, []
        for name in ("failed", "queued", "succeeded"):
            path = os.path.join(PAYLOADS, "deliveries-%s.json" % name)
            with open(path, encoding="utf-8") as file:
                event = json.load(file)["event"]["deliveries"][0]
            self.events.append(json.dumps(event, ensure_ascii=False, separators=(",", ":")))

    def path(self, count):
        path = os.path.join(self.folder, "%d.json" % count)
        if not os.path.exists(path):
            events = itertools.islice(itertools.cycle(self.events), count)
            with open(path, "w", encoding="utf-8") as file:
                file.write('{"event_type":"deliveries","server_composition":"pro",'
                           '"event":{"deliveries":[%s]}}' % ",".join(events))
        return path


class Server:
    """A running cmcwh. `seconds`: from its start until it listens."""

    def __init__(self, *options):
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [CMCWH, "serve", "--listen", "127.0.0.1:0", "--log-level", "error", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            found = re.search(r"listening on \S+:(\d+)/", line)
            if found:
                break
        else:
            sys.exit("cmcwh ended at once: " + "".join(said))
        self.seconds = time.monotonic() - begin
        self.port = int(found.group(1))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        """At once: what is left in the ring does not matter."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stderr.close()

    def memory(self):
        """MiB at the most, so far."""
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) / 1024

    def post(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with open(path, "rb") as file:
            connection.request("POST", "/mails", file.read(), {"Content-Type": "application/json"})
        status = connection.getresponse().status
        connection.close()
        if status != 200:
            sys.exit("%s: answered with %d" % (path, status))

    def load_large(self, path):
        """One body after the other for SECONDS_EACH, and one at least."""
        with open(path, "rb") as file:
            body = file.read()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        begin, taken = time.monotonic(), []
        while sum(taken) < SECONDS_EACH:
            connection.request("POST", "/mails", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                sys.exit("%s: answered with %d" % (path, answer.status))
            now = time.monotonic()
            taken.append(now - begin)
            begin = now
        connection.close()
        return Loaded(len(taken) / sum(taken), 1000 * statistics.median(taken), 1000 * max(taken), 0)

    def load(self, path, connections):
        """wrk for SECONDS_EACH."""
        done = subprocess.run(
            ["wrk", "-t", str(min(connections, 2)), "-c", str(connections), "-d",
             "%ds" % SECONDS_EACH, "--timeout", "10s", "-s", os.path.join(WORK, "post.lua"),
             "http://127.0.0.1:%d/mails" % self.port],
            env=dict(os.environ, BODY=path), stdout=subprocess.PIPE, check=True, text=True,
            timeout=SECONDS_EACH + PATIENCE)
        words = re.search(r"^done (.*)", done.stdout, re.MULTILINE).group(1).split()
        requests, micros, p50, p99, refused, broken = (float(word) for word in words)
        good = (requests - refused) / (micros / 1e6)
        return Loaded(good, p50 / 1000, p99 / 1000, refused + broken)


Loaded = collections.namedtuple("Loaded", "rate p50 p99 others")  # milliseconds


# Each curve: one point, measured once.

def events(count, folder):
    point = {"others": 0}
    for sync, sink in (("never", NOWHERE + "?policy=besteffort"),
                       ("always", "file:%s/log?rotate=64M&keep=1" % folder)):
        with Server("--ring-records", "1048576", "--sync", sync, "--sink", sink,
                    *BODY_MAX) as server:
            for _ in range(2):
                server.post(BODIES.path(LARGEST))  # every record of the ring is touched
            path = BODIES.path(count)
            loaded = server.load_large(path) if count >= LARGE else server.load(path, 1)
            rate = max(loaded.rate, 1e-9) * count
            point["events/s " + sync] = rate
            point["us/event " + sync] = 1e6 / rate
            point["MiB " + sync] = server.memory()
            point["others"] += loaded.others
    return point


def connections(count, folder):
    del folder
    with Server(*BUSY, "--sync", "never", "--sink", NOWHERE) as server:
        loaded = server.load(BODIES.path(1), count)
        return {"requests/s": loaded.rate, "p50 ms": loaded.p50, "p99 ms": loaded.p99,
                "MiB": server.memory(), "others": loaded.others}


def ring(count, folder):
    point = {"others": 0}
    size = ["--ring-records", str(count)]
    for name, place in (("memory", "memory"), ("file", folder + "/ring")):
        with Server(*size, "--workers", "8", "--sync", "never", "--ring", place,
                    "--sink", NOWHERE) as server:
            loaded = server.load(BODIES.path(1), 8)
            point["requests/s " + name] = loaded.rate
            point["MiB " + name] = server.memory()
            point["start ms " + name] = 1000 * server.seconds
            point["others"] += loaded.others
    point["start ms full file"] = 1000 * recovery(count, folder, size)
    return point


def recovery(count, folder, size):
    """Fills a ring whose sink takes nothing, kills the server, and starts it again."""
    options = [*size, "--sync", "never", "--ring", folder + "/full", "--sink", "file:/dev/full",
               *BODY_MAX]
    with Server(*options) as server:
        for first in range(0, count, LARGEST):
            server.post(BODIES.path(min(count - first, LARGEST)))
    with Server(*options) as server:
        return server.seconds


def sinks(count, folder):
    point = {"others": 0}
    for sync in "never", "always":
        options = [word for i in range(count)
                   for word in ("--sink", "file:%s/%s%d" % (folder, sync, i))]
        with Server(*BUSY, "--sync", sync, *options) as server:
            loaded = server.load(BODIES.path(1), 8)
            point["requests/s " + sync] = loaded.rate
            point["p99 ms " + sync] = loaded.p99
            point["MiB " + sync] = server.memory()
            point["others"] += loaded.others
    return point


# Panels: label of the axis, is it logarithmic, columns with their names in the legend.
Curve = collections.namedtuple("Curve", "once points title axis panels")
BOTH = [("never", "--sync never, /dev/null"), ("always", "--sync always, a file")]
PLACES = [("memory", "in memory"), ("file", "--ring FILE")]
STARTS = [("memory", "in memory"), ("file", "a new file"),
          ("full file", "a full file, after a kill")]
SYNCS = [("never", "--sync never"), ("always", "--sync always")]


def columns(prefix, names):
    return [("%s %s" % (prefix, key), title) for key, title in names]


CURVES = {
    "events": Curve(
        events, [1, 10, 100, 1000, 10000, 100000, 1000000], "events a body, one connection", "events a body",
        [("events/s", True, columns("events/s", BOTH)),
         ("µs an event", True, columns("us/event", BOTH)),
         ("memory, MiB", False, columns("MiB", BOTH))]),
    "connections": Curve(
        connections, [1, 8, 64, 256, 1000], "connections, 8 workers, 1 event a request",
        "connections",
        [("requests/s", False, [("requests/s", "answered with 200")]),
         ("latency, ms", True, [("p50 ms", "median"), ("p99 ms", "99 %")]),
         ("memory, MiB", False, [("MiB", "ring of 65 536 records")])]),
    "ring": Curve(
        ring, [64, 1024, 16384, 262144, 1000000], "records of the ring, 8 connections", "records",
        [("requests/s", False, columns("requests/s", PLACES)),
         ("memory, MiB", True, columns("MiB", PLACES)),
         ("start, ms", True, columns("start ms", STARTS))]),
    "sinks": Curve(
        sinks, [1, 2, 3, 4, 5], "sinks, each a file, 8 connections", "sinks",
        [("requests/s", True, columns("requests/s", SYNCS)),
         ("latency, 99 %, ms", True, columns("p99 ms", SYNCS)),
         ("memory, MiB", False, columns("MiB", SYNCS))]),
}


def once(name, count):
    folder = tempfile.mkdtemp(dir=WORK)
    try:
        point = CURVES[name].once(count, folder)
    finally:
        shutil.rmtree(folder)
    if point["others"]:
        print("%s, %d: %d not answered with 200" % (name, count, point["others"]), file=sys.stderr)
    return point


def measure(name):
    curve = CURVES[name]
    seen = {count: [] for count in curve.points}
    for _ in range(ROUNDS):
        for count in curve.points:
            seen[count].append(once(name, count))
    rows = []
    for count, points in seen.items():
        row = {curve.axis: count}
        for column in points[0]:
            values = [point[column] for point in points]
            value = sum(values) if column == "others" else statistics.median(values)
            row[column] = "%.4g" % value if value < 1000 else "%.0f" % value
        rows.append(row)
    return rows


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    return "%s, make bench-curves ROUNDS=%d SECONDS_EACH=%d, %d cores, %s" % (
        datetime.date.today(), ROUNDS, SECONDS_EACH, os.cpu_count(),
        model.group(1) if model else os.uname().machine)


def write(name, rows):
    with open(os.path.join(OUT, name + ".csv"), "w", encoding="utf-8", newline="") as file:
        file.write("# %s\n" % machine())
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def short(number):
    for size, letter in ((1000000, "M"), (1000, "k")):
        if number >= size:
            return "%d%s" % (number // size, letter)
    return str(number)


def draw(name):
    curve, path = CURVES[name], name + ".csv"
    with open(os.path.join(OUT, path), encoding="utf-8") as file:
        when = file.readline()[2:].strip()
    lines = ["set terminal svg size 1080,380 noenhanced font 'sans-serif,13' background 'white'",
             "set output '%s.svg'" % name, "set datafile separator ','",
             "set key autotitle columnheader", "set key below vertical", "set grid", "unset mytics",
             "set style data linespoints", "set pointsize 0.7", "set lmargin 9", "set rmargin 4",
             "set xlabel '%s'" % curve.axis,
             "set multiplot layout 1,%d title \"%s\\n%s\"" % (len(curve.panels), curve.title, when)]
    if curve.points[-1] > 10:
        lines += ["set logscale x", "set xtics (%s)" % ",".join(
            "'%s' %d" % (short(x), x) for x in curve.points)]
    else:
        lines += ["set xtics 1", "set xrange [%d:%d]" % (curve.points[0], curve.points[-1])]
    for label, logarithmic, shown in curve.panels:
        lines += ["set ylabel '%s'" % label,
                  "set logscale y" if logarithmic else "unset logscale y",
                  "set yrange [%s:*]" % ("*" if logarithmic else "0"),
                  "set format y '%s'" % ("%.0s%c" if label.endswith("/s") else "%g"),
                  "plot " + ", ".join("'%s' using 1:'%s' title '%s'" % (path, column, title)
                                      for column, title in shown)]
    subprocess.run(["gnuplot"], input="\n".join(lines) + "\n", check=True, text=True, cwd=OUT,
                   timeout=PATIENCE)


def main():
    for program in "wrk", "gnuplot":
        if shutil.which(program) is None:
            sys.exit("%s is missing: run 'make bench-deps'" % program)
    begin = time.monotonic()
    with open(os.path.join(WORK, "post.lua"), "w", encoding="ascii") as file:
        file.write(WRK)
    for name in CURVES:
        write(name, measure(name))
        draw(name)
        print("%s: %s" % (name, os.path.relpath(os.path.join(OUT, name + ".svg"))))
        with open(os.path.join(OUT, name + ".csv"), encoding="utf-8") as file:
            print(file.read())
    print("measured in %.0f s" % (time.monotonic() - begin))


os.makedirs(OUT, exist_ok=True)
if sys.argv[1:] == ["draw"]:
    for drawn in CURVES:
        draw(drawn)
else:
    CMCWH = sys.argv[1]
    with tempfile.TemporaryDirectory() as WORK:
        BODIES = Bodies(WORK)
        main()

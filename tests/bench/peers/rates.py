"""Requests a second, latency and processor time, with wrk: peers in turn within each round."""

import json
import os
import subprocess

import bodies
from receiver import Trouble

# What is varied: the body, then how it comes, each beside 8 kept connections and JSON.
USUAL = ["%s-%d-%d-%s" % cell for cell in [
    ("json", 1, 1, "keep"), ("json", 1, 8, "keep"), ("json", 1, 64, "keep"),
    ("json", 100, 1, "keep"), ("json", 100, 8, "keep"), ("json", 100, 64, "keep"),
    ("form", 1, 8, "keep"), ("form", 100, 8, "keep"),
    ("json", 1, 1, "close"), ("json", 1, 8, "close"), ("json", 1, 64, "close")]]
QUICK = ["json-1-8-keep", "json-100-8-keep"]
ALL = ["%s-%d-%d-%s" % (form, count, connections, how) for form in ("json", "form")
       for count in (1, 100) for how in ("keep", "close") for connections in (1, 8, 64)]


def wrk(receiver, folder, cell, seconds):
    """What post.lua says of one run."""
    form, count, connections, how = cell.split("-")
    environment = dict(os.environ, BODY=bodies.path(folder, form, int(count)), TYPE=bodies.TYPES[form],
                       CLOSE="1" if how == "close" else "0")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "post.lua")
    result = subprocess.run(
        ["wrk", "-t", "1" if connections == "1" else "2", "-c", connections, "-d", "%ds" % seconds,
         "--timeout", "5s", "-s", script, "http://127.0.0.1:%d/mails" % receiver.port],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=seconds + 30)
    said = [line for line in result.stdout.splitlines() if line.startswith("RESULT ")]
    if not said:
        raise Trouble("wrk: " + result.stdout[-500:])
    return json.loads(said[0][len("RESULT "):])


def measure(receiver, folder, cell, seconds):
    """One run, and whether as many lines came as events were acknowledged."""
    count = int(cell.split("-")[1])
    receiver.truncate()
    before = receiver.cpu()
    raw = wrk(receiver, folder, cell, seconds)
    acknowledged = (raw["requests"] - raw["refused"]) * count
    writes = receiver.peer.mode != "limit"
    lines = receiver.settle(acknowledged) if writes else raw["requests"] * count
    used = receiver.cpu() - before
    elapsed = raw["microseconds"] / 1e6
    return {"peer": receiver.peer.name, "cell": cell, "requests": raw["requests"],
            "refused": raw["refused"], "failed": raw["failed"], "broken": raw["broken"], "seconds": round(elapsed, 3),
            "requests_per_second": round(acknowledged / count / elapsed, 1),
            "events_per_second": round(acknowledged / elapsed, 1),
            "p50_us": raw["p50"], "p99_us": raw["p99"], "p999_us": raw["p999"],
            "acknowledged": acknowledged, "lines": lines, "wrong": lines < acknowledged,
            "cpu_seconds": round(used, 2),
            "cpu_per_million": round(used / lines * 1e6, 2) if lines else None}


def prepare(receiver, folder):
    """The fields of each line must be those of the event, for each body. Then it is warmed up. Returns
    what is wrong."""
    try:
        if receiver.peer.mode != "limit":
            check_output(receiver)
        wrk(receiver, folder, "json-1-8-keep", 1)
        receiver.settle(0)
    except (Trouble, OSError, ValueError) as trouble:
        return "takes no part: %s" % trouble
    return None


def check_output(receiver):
    for form in bodies.TYPES:
        for count in (1, 100):
            receiver.settle(receiver.count())
            receiver.truncate()
            status, text = receiver.post(bodies.body(form, count), bodies.TYPES[form])
            receiver.settle(count)
            with open(receiver.log, encoding="utf-8") as file:
                found = [bodies.fields_of(line) for line in file]
            if status != 200 or found != bodies.expected(count):
                raise Trouble("%s, %d events: its lines are not those that must come; it answered %d %s" %
                              (form, count, status, text[:200]))


def all_rounds(receivers, folder, settings, say):
    """Every cell of every peer in every round. What goes wrong with one does not stop the others."""
    cells = []
    for number in range(settings.rounds):
        for cell in settings.cells:
            say("round %d of %d, %s" % (number + 1, settings.rounds, cell))
            for receiver in receivers:
                try:
                    cells.append(dict(measure(receiver, folder, cell, settings.seconds), round=number + 1))
                except Trouble as trouble:
                    say("%s, %s: %s" % (receiver.peer.name, cell, trouble))
    return cells

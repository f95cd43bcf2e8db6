#!/usr/bin/env python3
"""run.py [--report] BARE STATIC: cmcwh beside other ways to receive CMC's webhooks; see README.md. BARE is
the program of tests/bench/bare.c, STATIC cmcwh as one static file. --report prints the last results again."""

import argparse
import concurrent.futures
import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import behaviour
import bodies
import peers
import rates
import report
import sizes
from receiver import Receiver, Trouble

OUT = "build/bench/peers"


def say(text):
    print("%s %s" % (time.strftime("%H:%M:%S"), text), file=sys.stderr, flush=True)


class Settings:
    """From the environment."""

    def __init__(self):
        self.quick = quick = os.environ.get("BENCH_QUICK", "0") not in ("", "0")
        usual = rates.QUICK if quick else rates.USUAL
        self.rounds = int(os.environ.get("ROUNDS", 1 if quick else 4))
        self.seconds = int(os.environ.get("SECONDS_EACH", 1))
        self.kills = int(os.environ.get("KILLS", 1 if quick else 5))
        self.starts = int(os.environ.get("STARTS", 1 if quick else 5))
        words = os.environ.get("CELLS", "").split()
        self.cells = rates.ALL if words == ["all"] else words or usual
        self.peers = os.environ.get("PEERS", "").split()
        for cell in self.cells:
            if cell not in rates.ALL:
                sys.exit("no cell '%s': there are %s" % (cell, " ".join(rates.ALL)))


def first_line(path, start):
    with open(path, encoding="utf-8") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(start)), "?")


def about(settings):
    files_on = subprocess.run(["stat", "-f", "-c", "%T", tempfile.gettempdir()], check=True,
                              stdout=subprocess.PIPE, text=True).stdout.strip()
    return {"date": time.strftime("%Y-%m-%d"), "cores": len(os.sched_getaffinity(0)),
            "cpu": first_line("/proc/cpuinfo", "model name"), "files_on": files_on,
            "versions": peers.versions(), "settings": vars(settings)}


def present(everything):
    """The peers that can run here, and what the others lack."""
    lacking = {peer.name: peer.missing() for peer in everything}
    left_out = {name: " ".join(needs) for name, needs in lacking.items() if needs}
    for name, needs in left_out.items():
        say("%s left out: %s is missing: run 'make bench-deps'" % (name, needs))
    return [peer for peer in everything if peer.name not in left_out], left_out


def measure_rates(there, kept, folder, settings):
    """With all of them running; those that write something wrong do not take part."""
    with contextlib.ExitStack() as stack:
        receivers = []
        for peer in there:
            try:
                receivers.append(stack.enter_context(Receiver(peer)))
            except Trouble as trouble:
                kept["peers"][peer.name]["trouble"] = ["does not start: %s" % trouble]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            wrong = list(pool.map(lambda receiver: rates.prepare(receiver, folder), receivers))
        for receiver, trouble in zip(receivers, wrong):
            if trouble:
                say("%s %s" % (receiver.peer.name, trouble))
                kept["peers"][receiver.peer.name]["trouble"] = [trouble]
        good = [receiver for receiver, trouble in zip(receivers, wrong) if not trouble]
        return rates.all_rounds(good, folder, settings, say)


def measure(there, kept, settings):
    folder = tempfile.mkdtemp(prefix="cmcwh-peers-bodies-")
    try:
        bodies.write(folder)
        kept["cells"] = measure_rates(there, kept, folder, settings)
        keep(kept)
        disk = sizes.all_of(there)
        for peer in there:
            say("alone: " + peer.name)
            kept["peers"][peer.name].update(behaviour.alone(peer, folder, settings, say), **disk[peer.name])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(kept):
    with open(os.path.join(OUT, "results.json"), "w", encoding="utf-8") as file:
        json.dump(kept, file, indent=1)
    with open(os.path.join(OUT, "cells.csv"), "w", encoding="utf-8", newline="") as file:
        if kept["cells"]:
            writer = csv.DictWriter(file, list(kept["cells"][0]))
            writer.writeheader()
            writer.writerows(kept["cells"])


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--report", action="store_true")
    options.add_argument("bare")
    options.add_argument("static")
    options = options.parse_args()
    os.makedirs(OUT, exist_ok=True)
    if options.report:
        with open(os.path.join(OUT, "results.json"), encoding="utf-8") as file:
            print(report.markdown(json.load(file)))
        return
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(1))  # so that peers are ended
    settings = Settings()
    there, left_out = present(peers.chosen(peers.everything(options.bare), settings.peers))
    kept = dict(about(settings), left_out=left_out, static_kib=sizes.stripped(options.static), cells=[],
                peers={peer.name: {"kind": peer.kind, "mode": peer.mode, "note": peer.note} for peer in there})
    start = time.monotonic()
    measure(there, kept, settings)
    keep(kept)
    print(report.markdown(kept))
    say("%.1f minutes; every run is in %s/cells.csv, everything in results.json" %
        ((time.monotonic() - start) / 60, OUT))


if __name__ == "__main__":
    main()

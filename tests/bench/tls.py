#!/usr/bin/env python3
"""How many instructions one webhook takes over TLS: with a full handshake, with a resumed one, on a kept connection.

    tests/bench/tls.py NAME=BINARY[,QEMU]... : a table. QEMU: of the package qemu-user, with plugins; --plugin: count.so.

Each figure is the difference between two lives of a server, which had FEW and MANY of one kind: what starting and ending
take is in neither. TLS 1.2 for all, so that libraries can be compared."""

import argparse
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import Client, payload, request  # noqa: E402
from test_https import certificate  # noqa: E402

FEW, MANY = 4, 24
WAYS = ("full", "resumed", "kept")


class Life:
    def __init__(self, folder, kind, command):
        cert, key = certificate(folder, "tls", kind=kind)
        self.context = ssl.create_default_context(cafile=cert)
        self.context.check_hostname = False
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.log = open(os.path.join(folder, "said"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            command + ["serve", "--listen", "127.0.0.1:0s", "--tls-cert", cert, "--tls-key", key, "--workers", "1", "--sink",
                       "file:" + os.path.join(folder, "log")], stderr=self.log, stdout=self.log)
        self.port = self.wait(r"listening on https://127.0.0.1:(\d+)")

    def wait(self, pattern):
        for _ in range(1200):
            self.log.seek(0)
            found = re.search(pattern, self.log.read())
            if found:
                return int(found.group(1))
            time.sleep(0.05)
        self.log.seek(0)
        raise RuntimeError("%s: %s" % (pattern, self.log.read()))

    def connect(self, session=None):
        client = Client(self.port)
        client.socket = self.context.wrap_socket(client.socket, server_hostname="localhost", session=session)
        return client

    def post(self, client, last=True):
        client.send(request(payload("deliveries-queued.json"), headers=["Connection: close"] if last else []))
        assert client.answer().status == 200
        session = client.socket.session
        if last:
            client.close()
        return session

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        count = self.wait(r"instructions (\d+)")
        self.log.close()
        return count


def instructions(command, kind, way, times):
    with tempfile.TemporaryDirectory() as folder:
        life = Life(folder, kind, command)
        client = life.connect()
        session = life.post(client, last=way != "kept")
        for _ in range(times):
            if way == "kept":
                life.post(client, last=False)
            else:
                fresh = life.connect(session if way == "resumed" else None)
                assert fresh.socket.session_reused == (way == "resumed")
                life.post(fresh)
        return life.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--plugin", required=True)
    parser.add_argument("programs", nargs="+")
    arguments = parser.parse_args()
    print("| program | certificate | full | resumed | kept | a second at 400 MHz: full, resumed, kept |")
    print("|---|---|---|---|---|---|")
    for program in arguments.programs:
        name, _, where = program.partition("=")
        binary, _, qemu = where.partition(",")
        command = [*qemu.split(), "-plugin", arguments.plugin, binary]
        for kind in ("ECDSA", "RSA"):
            costs = [(instructions(command, kind, way, MANY) - instructions(command, kind, way, FEW)) / (MANY - FEW)
                     for way in WAYS]
            print("| %s | %s | %s | %s |" % (name, kind, " | ".join("%.2f M" % (cost / 1e6) for cost in costs), ", ".join(
                "%.3g" % (400e6 / cost) for cost in costs)), flush=True)


main()

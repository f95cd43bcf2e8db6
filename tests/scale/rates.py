"""`make scale-bench`: the figures of port/scale/README.md. Bytes of an event in each form; requests/s
with wrk, one event and 100 events a request, to one cmcwh and to three behind HAProxy and nginx; how
fast rsyslog writes. All on this machine, wrk too: figures for comparing, not the most there is.

rates.py ./cmcwh"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from engines import TOKEN, Engines
import harness
from harness import Peer, Server, eventually, payload

SECONDS = 4
PAYLOADS = ["bounces-host-unknown", "bounces-user-unknown", "deliveries-failed", "deliveries-queued",
            "deliveries-succeeded"]
SCRIPT = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
local file = io.open(os.getenv("BODY"))
wrk.body = file:read("a")
""" % TOKEN


def sizes():
    with Peer(socket.SOCK_STREAM) as peer, Server(
            "--sink", "file:@/logfmt?format=logfmt", "--sink", "file:@/binary?format=binary",
            "--sink", "syslog+tcp://127.0.0.1:%d" % peer.address[1]) as server:
        for name in PAYLOADS:
            assert server.post(payload(name + ".json")).status == 200
        eventually(lambda: peer.stream.count(b"seq=") == len(PAYLOADS), "syslog")
        sums = [os.path.getsize(path) for path in (server.log, server.path("logfmt"), server.path("binary"))]
        print("bytes an event, mean of tests/payloads: JSON %d, logfmt %d, frame %d, syslog+tcp %d" % tuple(
            total / len(PAYLOADS) for total in sums + [len(peer.stream)]))


def wrk(engines, scheme, name, connections, path):
    said = subprocess.run(["wrk", "-t1", "-c%d" % connections, "-d%ds" % SECONDS, "-s", engines.path("post.lua"),
                           "%s://127.0.0.1:%d/mails" % (scheme, engines.ports[name])], check=True,
                          env=dict(os.environ, BODY=path), stdout=subprocess.PIPE).stdout.decode()
    assert "Non-2xx" not in said, said
    return float(re.search(r"Requests/sec: *(\S+)", said).group(1))


def bodies(engines):
    body = json.loads(payload("deliveries-succeeded.json"))
    event = body["event"]["deliveries"][0]
    for count in (1, 100):
        body["event"]["deliveries"] = [dict(event, to="user%d@example.jp" % i) for i in range(count)]
        yield count, engines.write("body%d" % count, json.dumps(body, ensure_ascii=False))


def rates(engines):
    for scheme, name in (("http", "a"), ("https", "haproxy"), ("https", "nginx")):
        for count, path in bodies(engines):
            for connections in (1, 32):
                rate = wrk(engines, scheme, name, connections, path)
                print("%-8s %3d events a request of %d bytes, %2d connections: %d requests/s, %d events/s" % (
                    name, count, os.path.getsize(path), connections, rate, rate * count), flush=True)


def rsyslog(engines):
    """From the first request to the last line."""
    def lines():
        return int(subprocess.run(["wc", "-l", engines.events], stdout=subprocess.PIPE, check=True).stdout.split()[0])
    # What came before must be there.
    eventually(lambda: (lines(), time.sleep(1))[0] == lines(), "rsyslog's rest")
    before, start = lines(), time.monotonic()
    count = round(wrk(engines, "http", "a", 16, engines.path("body100")) * SECONDS) * 100
    eventually(lambda: lines() >= before + 0.98 * count, "rsyslog")
    print("rsyslog  %d events/s" % ((lines() - before) / (time.monotonic() - start)))


def main():
    harness.CMCWH = sys.argv[1]
    folder = tempfile.mkdtemp(prefix="cmcwh-rates-")
    try:
        sizes()
        with Engines(folder, sys.argv[1], without=["redis", "ship-a", "ship-b", "ship-c"]) as engines:
            engines.write("post.lua", SCRIPT)
            rates(engines)
            rsyslog(engines)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()

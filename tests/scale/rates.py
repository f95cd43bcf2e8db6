"""`make scale-bench`: the figures of port/scale/README.md. Bytes of an event in each form; requests/s
with wrk, one event and 100 events a request, to one cmcwh and to three behind HAProxy and nginx; how
fast rsyslog writes, and how fast one cmcwh sends to Redis by way of the collector, to RabbitMQ, and to another
cmcwh. All on this machine, wrk too: figures for comparing, not the most there is.

rates.py ./cmcwh"""

import http.client
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
from outputs import Queue

SECONDS = 4
EVENTS = 40000
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


def numbered(first):
    """A body of 100 events that nobody has sent before."""
    return harness.body(100, first, subject="メールマガジンのテスト", messageId="<%d@example.com>" % first,
                        created="2026-01-25 14:03:06", returnPath="info@return.pro.smtps.jp", reason="",
                        sourceIp="192.0.2.1", senderIp="192.0.2.2", apiData="", **{"from": "info@example.com"})


def post(engines, count, first):
    """So many events, in requests of 100, each until it is taken."""
    client = http.client.HTTPConnection("127.0.0.1", engines.ports["a"], timeout=30)
    for number in range(first, first + count, 100):
        data, status = numbered(number), 0
        while status != 200:
            client.request("POST", "/mails", data, {"Content-Type": "application/json",
                                                    "Authorization": "Bearer " + TOKEN})
            answer = client.getresponse()
            answer.read()
            status = answer.status
            time.sleep(0 if status == 200 else 0.02)


def onward(engines):
    """With one sink each: from the first request until the far end has the last event."""
    queue = Queue(engines)

    def entries(stream):
        return lambda: int(engines.redis_cli("XLEN", stream))

    def queued():
        return queue.open().queue_declare("cmcwh", passive=True).method.message_count
    engines["a"].end()
    for number, (name, sink, far) in enumerate((
            ("Redis, by way of the collector", "https://localhost:[0-9]+/events", entries("cmcwh")),
            ("another cmcwh, and from there to Redis", "https://localhost:[0-9]+/mails", entries("hub")),
            ("RabbitMQ", "mqtts", queued)), 1):
        with engines.cmcwh("a", ["(?!%s)" % sink]):
            before, start = far(), time.monotonic()
            post(engines, EVENTS, number * EVENTS)
            eventually(lambda: far() >= before + EVENTS, name)
            print("%s: %d events/s" % (name, EVENTS / (time.monotonic() - start)), flush=True)


def main():
    harness.CMCWH = sys.argv[1]
    folder = tempfile.mkdtemp(prefix="cmcwh-rates-")
    try:
        sizes()
        with Engines(folder, sys.argv[1], without=["https", "mqtts"]) as engines:
            engines.write("post.lua", SCRIPT)
            rates(engines)
            rsyslog(engines)
            onward(engines)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()

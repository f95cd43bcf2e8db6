"""`make soak`: good, bad and slow clients for SOAK_SECONDS (900), with a ring file, HTTP and HTTPS, and
SIGHUP now and then. In the end every event that was acknowledged is in the log once, no other is there
in part, and memory, descriptors and threads are as they were after the first tenth."""

import os
import random
import re
import signal
import sys
import threading
import time

import harness
import test_http_corpus
from harness import Client, body, request
from test_https import Https

SECONDS = int(os.environ.get("SOAK_SECONDS", "900"))
ending = threading.Event()
acknowledged, sent = set(), set()
counts = {"good": 0, "refused": 0, "bad": 0, "stalled": 0}


def form(data):
    text = data.decode()
    event = re.search(r'"event": (.*)}$', text).group(1)
    return ("event_type=deliveries&server_composition=pro&event=" +
            "".join("%%%02X" % byte for byte in event.encode())).encode()


def multipart(data):
    text = data.decode()
    event = re.search(r'"event": (.*)}$', text).group(1)
    part = '--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    return (part % ("event_type", "deliveries") + part % ("event", event) + "--b--\r\n").encode()


def make(number, count):
    data = body(count, first=10 * number)
    kind = number % 4
    if kind == 1:
        return request(form(data), content_type="application/x-www-form-urlencoded")
    if kind == 2:
        return request(multipart(data), content_type="multipart/form-data; boundary=b")
    if kind == 3:
        return request(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data), length=False,
                       headers=["Transfer-Encoding: chunked"])
    return request(data)


def good(server, name):
    """Posts over one connection until the server closes it, then over the next."""
    number = name * 10000000
    while not ending.is_set():
        try:
            client = server.client() if name % 2 else Client(server.ports[1])
            while not ending.is_set():
                number += 1
                sent.add(number)
                client.send(make(number, 1 + number % 5))
                status = client.answer().status
                if status == 200:
                    acknowledged.add(number)
                    counts["good"] += 1
                else:
                    assert status == 503, status
                    counts["refused"] += 1
                time.sleep(0.01)
            client.close()
        except OSError:
            time.sleep(0.01)


def bad(server):
    cases = list(test_http_corpus.cases())
    while not ending.is_set():
        _, statuses, _, text = random.choice(cases)
        if 200 in statuses:
            text = text[:random.randrange(1, len(text))]
        try:
            client = Client(random.choice(server.ports))
            client.send(text)
            client.socket.settimeout(0.05)
            client.more()
        except OSError:
            pass
        client.close()
        counts["bad"] += 1
        time.sleep(0.02)


def slow(server):
    """Connections that send a part of a request and then nothing, or a byte now and then."""
    whole = request(body(3))
    while not ending.is_set():
        clients = []
        for _ in range(40):
            try:
                client = Client(random.choice(server.ports))
                client.send(whole[:random.randrange(0, len(whole))])
                clients.append(client)
                counts["stalled"] += 1
            except OSError:
                pass
        for _ in range(20):
            ending.wait(0.5)
            for client in clients:
                try:
                    client.send(b"x")
                except OSError:
                    pass
        for client in clients:
            client.close()


def look(server):
    folder = "/proc/%d/" % server.process.pid
    with open(folder + "status", encoding="ascii") as file:
        text = file.read()
    return (int(re.search(r"VmRSS:\s+(\d+)", text).group(1)), len(os.listdir(folder + "fd")),
            int(re.search(r"Threads:\s+(\d+)", text).group(1)))


def check(server):
    found = {}
    for line in server.lines():
        event = int(re.match(r"user(\d+)@", line["to"]).group(1))
        if event < 10:
            continue  # of those who are not counted
        assert event not in found.setdefault(event // 10, set()), "twice: %d" % event
        found[event // 10].add(event)
    assert acknowledged <= set(found), "lost: %s" % sorted(acknowledged - set(found))[:10]
    for number, events in found.items():
        assert number in sent and events == set(range(10 * number, 10 * number + 1 + number % 5)), \
            number
    return len(found)


def main():
    harness.CMCWH = sys.argv[1]
    with Https("--listen", "127.0.0.1:0", "--ring", "@/ring", "--body-timeout", "4", "--workers", "8",
               "--log-level", "error") as server:
        threads = [threading.Thread(target=good, args=(server, name)) for name in range(6)]
        threads += [threading.Thread(target=bad, args=(server,)) for _ in range(3)]
        threads += [threading.Thread(target=slow, args=(server,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        start, first, samples = time.monotonic(), None, []
        while time.monotonic() - start < SECONDS:
            time.sleep(max(1, SECONDS / 90))
            samples.append(look(server))
            if len(samples) % 6 == 5:
                server.signal(signal.SIGHUP)
            if first is None and time.monotonic() - start > SECONDS / 10:
                first = len(samples)
        ending.set()
        for thread in threads:
            thread.join()
        time.sleep(6)
        last = look(server)
        assert server.post(body(first=9)).status == 200
        server.stop()
        requests = check(server)
    early = [max(sample[i] for sample in samples[:first]) for i in range(3)]
    late = [max(sample[i] for sample in samples[-first:]) for i in range(3)]
    print("%d s: %d requests acknowledged, 0 lost; %d refused with 503; %d bad ones, %d stalled "
          "connections; %d requests in the log" % (SECONDS, len(acknowledged), counts["refused"],
                                                   counts["bad"], counts["stalled"], requests))
    print("memory %d KiB in the first tenth, %d in the last; descriptors %d and %d, threads %d and %d; "
          "at rest %d KiB, %d, %d" % (early[0], late[0], early[1], late[1], early[2], late[2], *last))
    assert late[0] - early[0] < 256, "memory has grown"
    assert last[1] < 40 and late[2] == early[2], "descriptors or threads have grown"


main()

"""Every case of tests/corpus/http.txt: whole, byte by byte, and in two pieces with a pause."""

import os
import re
import socket
import threading
import time

from harness import Client, Server, body, request

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "corpus", "http.txt")
GOOD = body()
NAMES = {b"$P": b"POST /mails HTTP/1.1~n",
         b"$H": b"POST /mails HTTP/1.1~nHost: x~nContent-Type: application/json~n",
         b"$C": b"Content-Length: $L~n~n", b"$L": b"%d" % len(GOOD), b"$X": b"%x" % len(GOOD)}


def expand(text):
    for name in NAMES:
        text = text.replace(name, NAMES[name])
    text = re.sub(rb"~\((\d+)\*([^)]*)\)", lambda m: m[2] * int(m[1]), text)
    text = re.sub(rb"~(n|[0-9A-F]{2})",
                  lambda m: b"\r\n" if m[1] == b"n" else bytes([int(m[1], 16)]), text)
    return text.replace(b"$B", GOOD)


def cases():
    with open(CORPUS, "rb") as file:
        for number, line in enumerate(file, 1):
            what, tab, text = line.rstrip(b"\n").partition(b"\t")
            if tab and not line.startswith(b"#"):
                *statuses, end = what.decode().split()
                yield number, [int(status) for status in statuses], end, expand(text)


def send_pieces(client, text, way):
    """Sends it whole (0), byte by byte (1), or in two pieces. The server may close early."""
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if way == 0:
            client.send(text)
        elif way == 1:
            for i in range(len(text)):
                client.send(text[i:i + 1])
        else:
            client.send(text[:len(text) * (way - 1) // 4])
            time.sleep(0.02)
            client.send(text[len(text) * (way - 1) // 4:])
    except OSError:
        pass


def attempt(server, statuses, end, text, way, tries=2):
    client = Client(server.port)
    try:
        send_pieces(client, text, way)
        got = []
        for _ in statuses:
            answer = client.answer()
            got.append(answer.status)
            if answer.status >= 400:
                answer.json()["error"], answer.json()["detail"]
        if got != statuses:
            return "%s, not %s" % (got, statuses)
        if end == "close":
            return None if client.closed() else "open, not closed"
        if answer.headers["connection"] == ["close"] and b"hunked" in text and way > 0:
            return None if client.closed() else "open though it said close"
        try:
            client.send(request(GOOD))
            return None if client.answer().status == 200 else "what came next was not answered"
        except OSError:  # not within the time for keep-alive
            return attempt(server, statuses, end, text, way, tries - 1) if tries > 0 else "closed"
    except OSError as error:
        return "%r" % error
    finally:
        client.close()


def check(todo, timeout):
    faults = []
    stored = sum(statuses.count(200) + (end == "open") for _, statuses, end, _ in todo)
    queue = [(way, case) for way in range(5) for case in todo if way != 1 or len(case[3]) < 1000]

    def work(server):
        while True:
            try:
                way, (number, statuses, end, text) = queue.pop()
            except IndexError:
                return
            fault = attempt(server, statuses, end, text, way)
            if fault is not None:
                faults.append("http.txt:%d (way %d): %s: %r" % (number, way, fault, text[:200]))
    with Server("--workers", "32", "--body-timeout", str(timeout), "--log-level", "error") as server:
        threads = [threading.Thread(target=work, args=(server,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults, "\n".join(sorted(faults))
        assert len(server.lines()) >= 4 * stored  # one for each 200, and for each way
        assert server.post(GOOD).status == 200


def test_http_corpus():
    todo = [case for case in cases() if 408 not in case[1]]
    assert len(todo) > 150
    check(todo, 300)


def test_what_is_never_whole():
    check([case for case in cases() if 408 in case[1]], 1)


def test_chunk_extension():
    """civetweb 1.15 refuses them, 1.16 takes them."""
    with Server() as server:
        client = Client(server.port)
        client.send(expand(b"$HTransfer-Encoding: chunked~n~n$X;a=b~n$B~n0~n~n"))
        assert client.answer().status in (200, 400)
        client.close()
        assert server.post(GOOD).status == 200

"""The same request in other bytes and other pieces, and what is nearly a request."""

import json
import os
import random
import socket
import time

from harness import Client, Server, body, payload, request
from test_http import assert_error

FORM = "application/x-www-form-urlencoded"
CHUNKED = ["Transfer-Encoding: chunked"]


def chunk(data, size=None):
    return (b"%x" % len(data) if size is None else size) + b"\r\n" + data + b"\r\n"


def send_pieces(client, whole, cuts):
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start, end in zip([0] + cuts, cuts + [len(whole)]):
        client.send(whole[start:end])


def content(line):
    return {name: value for name, value in line.items() if name not in ("seq", "received")}


def test_pieces_do_not_matter():
    chance = random.Random(2)
    names = sorted(os.listdir("tests/payloads"))
    with Server() as server:
        for name in names:
            whole = request(payload(name), content_type=FORM if name.endswith("form") else
                            "application/json")
            head = whole.index(b"\r\n\r\n") + 4
            cuts = [[], list(range(head, len(whole)))]  # at once; the body one byte at a time
            cuts += [sorted(chance.sample(range(1, len(whole)), 7)) for i in range(5)]
            for cut in cuts:
                client = Client(server.port)
                send_pieces(client, whole, cut)
                assert client.answer().body == b'{"stored":1}', (name, cut)
                client.close()
        lines = server.lines()
        assert len(lines) == 7 * len(names) and len(names) == 10
        for i, line in enumerate(lines):
            assert content(line) == content(lines[i - i % 7]), names[i // 7]


def test_chunks_as_others_write_them():
    data = body(2)
    half = len(data) // 2
    with Server() as server:
        for chunks in (chunk(data, b"%X" % len(data)), chunk(data, b"0000%x" % len(data)),
                       chunk(data[:half]) + chunk(data[half:]),
                       b"".join(chunk(data[i:i + 1]) for i in range(len(data)))):
            client = Client(server.port)
            client.send(request(chunks + b"0\r\n\r\n", length=False, headers=CHUNKED) +
                        request(body()))  # the next request, pipelined behind the last chunk
            assert client.answer().body == b'{"stored":2}'
            assert client.answer().body == b'{"stored":1}'
            client.close()


def test_chunk_sizes_that_are_wrong():
    data = body()
    right = b"%x" % len(data)
    with Server() as server:
        for size in (b"", b"-1", b"+" + right, b"0x" + right, b" " + right, right + b" 5", b"g",
                     b"7fffffffffffffff", b"ffffffffffffffff", b"F" * 17, b"1" + b"0" * 16):
            client = Client(server.port)
            client.send(request(chunk(data, size) + b"0\r\n\r\n", length=False, headers=CHUNKED))
            client.socket.shutdown(socket.SHUT_WR)
            assert_error(client.answer(), 400, "malformed_request")
            client.close()
        assert server.lines() == []


def test_chunk_extensions_and_trailers_are_not_taken_for_body():
    """Taken or refused: but what was acknowledged is stored, and nothing else is."""
    data = body()
    right = b"%x" % len(data)
    with Server() as server:
        stored = 0
        for chunks in (chunk(data, right + b";a=b") + b"0\r\n\r\n",
                       chunk(data, right + b';a="b;c"') + b"0;x\r\n\r\n",
                       chunk(data) + b"0\r\nX: y\r\n\r\n",
                       chunk(data) + b"0\r\nContent-Length: 5\r\nX: y\r\n\r\n"):
            answer = server.post(chunks, length=False, headers=CHUNKED)
            assert answer.status in (200, 400), answer.status
            stored += answer.status == 200
            assert len(server.lines()) == stored
        assert server.post(body()).status == 200


def test_408_while_a_chunked_body_comes():
    with Server("--body-timeout", "1") as server:
        stalled, dripping = Client(server.port), Client(server.port)
        head = request(b"", length=False, headers=CHUNKED)
        stalled.send(head + b"5\r\n{")
        dripping.send(head)
        try:
            for i in range(30):
                dripping.send(chunk(b" "))
                time.sleep(0.1)
        except OSError:
            pass
        assert_error(stalled.answer(), 408, "request_timeout")
        stalled.close()
        dripping.close()
        assert server.post(body()).status == 200
        assert len(server.lines()) == 1


def test_http_1_0():
    with Server() as server:
        client = Client(server.port)
        client.send(request(body()).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert client.answer().body == b'{"stored":1}'
        assert client.closed()
        client.close()


def test_header_names_in_any_case():
    with Server() as server:
        client = Client(server.port)
        client.send(request(body()).replace(b"Content-Length", b"CONTENT-LENGTH")
                    .replace(b"Content-Type", b"content-type"))
        assert client.answer().status == 200
        client.close()
        answer = server.post(chunk(body()) + b"0\r\n\r\n", length=False,
                             headers=["tRANSFER-eNCODING: Chunked"])
        assert answer.status == 200


def test_curl_reads_an_early_answer():
    """A client that is still sending megabytes gets the answer, not a reset."""
    server = Server("--auth-file", "@/auth")
    server.write("auth", "bearer right\n")
    with server:
        big = server.write("big", " " * 4000000)
        for more in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"]):
            status, text = server.curl("-H", "Content-Type: application/json", "--data-binary",
                                       "@" + big, *more)
            assert status == 401 and json.loads(text)["error"] == "unauthorized", (status, text)


def test_kinds_versions_and_types():
    events = {
        "v1": ("deliveries", {"envelopeFrom": "f", "envelopeTo": "t", "status": "queued"},
               {"returnPath": "f", "to": "t", "from": "", "status": "queued"}),
        "text": ("bounces", {"status": 2, "reason": True, "to": None, "subject": 1.5e3},
                 {"status": "2", "reason": "true", "to": "", "subject": "1500.0"}),
        "blocks": ("blocks", {"email": "e", "id": "i", "occurred": "o", "n": [1, {"a": None}]},
                   {"email": "e", "event_id": "i", "occurred": "o", "n": [1, {"a": None}]}),
        "new": ("opens", {"to": "t", "link": "l"}, {"to": "t", "link": "l", "event_type": "opens"}),
        "long": ("bounces", {"to": "t", "reason": "\u65e5" * 50000}, {"to": "t", "truncated": ["reason"]}),
    }
    with Server() as server:
        for kind, event, _ in events.values():
            # event_type and the key come after the events, and a member is repeated
            sent = '{"event":{"x":[]},"event":{"%s":[%s]},"ignored":[{}],"event_type":"%s"}' % (
                kind, json.dumps(event), kind)
            answer = server.post(sent.encode())
            assert answer.body == b'{"stored":1}', answer.body
        lines = server.lines()
        for (name, (_, _, expected)), line in zip(events.items(), lines):
            for member, value in expected.items():
                assert line[member] == value, (name, member, line.get(member))
        assert 100 < len(lines[-1]["reason"]) and set(lines[-1]["reason"]) == {"\u65e5"}

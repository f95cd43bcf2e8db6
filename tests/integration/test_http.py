"""Every row of the answers table, and what a body may look like on the wire."""

import json
import signal
import socket
import threading
import time

from harness import Client, DeafPeer, Server, body, eventually, payload, request


def assert_error(answer, status, error, **members):
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers["content-type"] == ["application/json"], answer.headers
    said = answer.json()
    assert said["error"] == error, said
    assert said["detail"], said
    for name, value in members.items():
        assert said.get(name) == value, (said, name, value)


def test_payloads_with_curl():
    names = ["deliveries-queued", "deliveries-succeeded", "deliveries-failed",
             "bounces-host-unknown", "bounces-user-unknown"]
    with Server() as server:
        for name in names:
            for ending, kind in (("json", "application/json"),
                                 ("form", "application/x-www-form-urlencoded")):
                answer = server.curl("-H", "Content-Type: " + kind, "--data-binary",
                                     "@tests/payloads/%s.%s" % (name, ending))
                assert answer == (200, '{"stored":1}'), answer
        lines = server.lines()
        assert [line["seq"] for line in lines] == list(range(1, 11))
        for i, name in enumerate(names):
            sent = json.loads(payload(name + ".json"))
            event = sent["event"][sent["event_type"]][0]
            for line in lines[2 * i:2 * i + 2]:
                assert line["event_type"] == sent["event_type"]
                assert line["server_composition"] == sent["server_composition"]
                for member in ("status", "created", "messageId", "from", "to", "returnPath",
                               "subject", "reason", "apiData"):
                    assert line[member] == event[member], (member, line)
                assert line["sourceIp"] == event.get("sourceIp", "")
                assert line["senderIp"] == event.get("senderIp", "")
                assert "truncated" not in line
            assert lines[2 * i]["id"] == lines[2 * i + 1]["id"]
            assert list(line)[:3] == ["seq", "id", "received"]


def test_multipart_with_curl():
    with Server() as server:
        for name in ("deliveries-queued", "bounces-host-unknown"):
            sent = json.loads(payload(name + ".json"))
            answer = server.curl("-F", "event_type=" + sent["event_type"],
                                 "-F", "server_composition=pro", "-F", "file=@/bin/sh",
                                 "-F", "event=" + json.dumps(sent["event"]))
            assert answer == (200, '{"stored":1}'), answer
            line = server.lines()[-1]
            event = sent["event"][sent["event_type"]][0]
            assert (line["event_type"], line["server_composition"]) == (sent["event_type"], "pro")
            for member in ("messageId", "subject", "reason", "to"):
                assert line[member] == event[member], (member, line)
        status, said = server.curl("-F", "event_type=bounces", "-F", 'event={"bounces":[}')
        assert status == 400 and json.loads(said)["error"] == "malformed_json", said


def test_multipart_types():
    whole = (b'--a=b\r\nContent-Disposition: form-data; name="event_type"\r\n\r\nbounces\r\n'
             b'--a=b\r\nContent-Disposition: form-data; name="event"\r\n\r\n'
             b'{"bounces":[{}]}\r\n--a=b--\r\n')
    kind = "multipart/form-data"
    with Server() as server:
        for parameters in ("; boundary=a=b", ';boundary="a=b"', " ; charset=utf-8; BOUNDARY=a=b;"):
            assert server.post(whole, content_type=kind + parameters).body == b'{"stored":1}'
        assert server.post(whole, content_type="Multipart/Form-Data; boundary=a=b").status == 200
        for parameters in ("", ";", "; charset=utf-8"):
            answer = server.post(whole, content_type=kind + parameters)
            assert_error(answer, 400, "malformed_form")
            assert "boundary is missing" in answer.json()["detail"], answer.body
        for parameters in ("; boundary=", '; boundary=""', '; boundary="a=b', "; boundary=" + 71 * "a",
                           "; boundary=a{b", "; boundary=a=b; boundary=c", "; boundary"):
            assert_error(server.post(whole, content_type=kind + parameters), 400, "malformed_form")
        assert_error(server.post(whole[:-4], content_type=kind + "; boundary=a=b"), 400,
                     "malformed_form", offset=len(whole) - 4)
        assert_error(server.post(whole, content_type=kind + "; boundary=x"), 400, "malformed_form",
                     offset=len(whole))
        assert len(server.lines()) == 4


def test_200():
    with Server() as server:
        answer = server.post(body(3))
        assert (answer.status, answer.body) == (200, b'{"stored":3}')
        assert answer.headers["content-type"] == ["application/json"]
        assert "GMT" in answer.headers["date"][0]
        empty = b'{"event_type":"bounces","event":{"bounces":[]}}'
        assert server.post(empty).body == b'{"stored":0}'


def test_400_malformed():
    with Server() as server:
        assert_error(server.post(b'{"a":1,}'), 400, "malformed_json", offset=7)
        assert_error(server.post(b""), 400, "malformed_json", offset=0)
        form = "application/x-www-form-urlencoded"
        assert_error(server.post(b"event=%7B%2", content_type=form), 400, "malformed_form", offset=11)
        assert_error(server.post(b"event=%7B%22", content_type=form), 400, "malformed_json", offset=12)
        assert_error(server.post(b"[" * 40), 400, "too_deep", offset=32)
        assert server.lines() == []


def test_400_cut_short():
    with Server() as server:
        whole = body(2)
        for length in (0, 1, len(whole) - 1, len(whole)):
            client = Client(server.port)
            client.send(request(whole[:length], length=len(whole) + 1))
            client.socket.shutdown(socket.SHUT_WR)
            assert_error(client.answer(), 400, "truncated_body", offset=length)
            client.close()
        for tail, error in ((b"", "truncated_body"), (b"5\r\n{", "truncated_body"),
                            (b"2\r\n{}\r\n", "truncated_body"),
                            (b"2\r\n{}\r\n0", "truncated_body"),
                            (b"zz\r\n{}\r\n0\r\n\r\n", "malformed_request"),
                            (b"2\r\n{}xx0\r\n\r\n", "malformed_request")):
            client = Client(server.port)
            client.send(request(tail, length=False, headers=["Transfer-Encoding: chunked"]))
            client.socket.shutdown(socket.SHUT_WR)
            assert_error(client.answer(), 400, error)
            client.close()
        assert server.lines() == []


def test_400_lengths_that_smuggle():
    with Server() as server:
        for headers in (["Content-Length: 5abc"], ["Content-Length: +5"], ["Content-Length: -1"],
                        ["Content-Length: 5", "Content-Length: 6"], ["Content-Length: "],
                        ["Content-Length: 99999999999999999999"],
                        ["Content-Length: 5", "Transfer-Encoding: chunked"],
                        ["Transfer-Encoding: identity"], ["Transfer-Encoding: gzip, chunked"]):
            client = Client(server.port)
            client.send(request(b"{}", length=False, headers=headers))
            answer = client.answer()
            assert answer.status in (400, 411), (headers, answer.status)
            assert "error" in answer.json()
            assert client.closed(), headers
            client.close()


def test_400_not_http():
    with Server() as server:
        for data in (b"hello\r\n\r\n", b"POST /mails HTTP/9.9\r\n\r\n", b"\0\0\0\0\r\n\r\n",
                     b"POST /mails HTTP/1.1\r\n" + b"X: y\r\n" * 70 + b"\r\n",
                     b"POST /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n"):
            client = Client(server.port)
            client.send(data)
            answer = client.answer()
            assert 400 <= answer.status <= 505, answer.status
            assert answer.json()["error"] in ("malformed_request", "too_large"), answer.body
            client.close()
        assert server.post(body()).status == 200


AUTH = """# two keys, for changing them
api_key k-1
api_key k-2
basic cmc:pass:word
bearer token-1
"""


def basic(text):
    import base64
    return "Authorization: Basic " + base64.b64encode(text.encode()).decode()


def with_key(key):
    return json.dumps({"event_type": "bounces", "event": {"bounces": [{}]}, "api_key": key}).encode()


def test_401():
    server = Server("--auth-file", "@/auth")
    server.write("auth", AUTH)
    with server:
        for headers, data, status in (
                ([], body(), 401), ([basic("cmc:pass:word")], body(), 200),
                ([basic("cmc:pass:worx")], body(), 401), ([basic("cmc")], body(), 401),
                (["Authorization: bearer token-1"], body(), 200),
                (["Authorization: Bearer token-2"], body(), 401),
                (["Authorization: Digest x"], body(), 401), (["Authorization: "], body(), 401),
                ([], with_key("k-1"), 200), ([], with_key("k-2"), 200), ([], with_key("k-3"), 401),
                ([], with_key(""), 401), ([], with_key(None), 401), ([], with_key("k" * 9999), 401),
                ([basic("cmc:pass:word")], with_key("k-3"), 401),
                ([basic("x:y")], with_key("k-1"), 401),
                (["Authorization: Bearer token-1"], with_key("k-1"), 200)):
            answer = server.post(data, headers=headers)
            assert answer.status == status, (headers, data, answer.status)
            if status == 401:
                assert_error(answer, 401, "unauthorized")
                assert [value.split()[0] for value in answer.headers["www-authenticate"]] == \
                    ["Basic", "Bearer"]
        form = payload("deliveries-queued.form")
        kind = "application/x-www-form-urlencoded"
        assert server.post(form, content_type=kind).status == 401
        assert server.post(form.replace(b"k-2f9c1e", b"k-2"), content_type=kind).status == 200
        assert len(server.lines()) == 6
        for secret in ("k-1", "k-3", "token", "pass"):
            assert secret not in server.stderr()
            assert secret not in open(server.log).read()


def test_401_file_read_anew():
    server = Server("--auth-file", "@/auth")
    server.write("auth", "api_key old\n")
    with server:
        assert server.post(with_key("old")).status == 200
        assert "www-authenticate" not in server.post(body()).headers
        server.write("auth", "api_key new\n")
        server.signal(signal.SIGHUP)
        eventually(lambda: server.post(with_key("new")).status == 200, "the new key")
        assert server.post(with_key("old")).status == 401
        server.write("auth", "nonsense\n")
        server.signal(signal.SIGHUP)
        eventually(lambda: "auth:1: expected" in server.stderr(), "a message")
        assert server.post(with_key("new")).status == 200


def test_403():
    with Server("--allow", "192.0.2.0/24", "--allow", "::1") as server:
        assert_error(server.post(body()), 403, "forbidden")
    with Server("--allow", "127.0.0.0/8") as server:
        assert server.post(body()).status == 200
    with Server("--allow", "::1", listen="[::1]:0") as server:
        client = Client(server.port, "::1")
        client.send(request(body()))
        assert client.answer().status == 200
        client.close()


def test_404_405():
    with Server() as server:
        for path in ("/", "/mail", "/mails/", "/mails/x", "/x/mails"):
            assert_error(server.post(body(), path=path), 404, "not_found")
        assert server.post(body(), path="/mails?a=b").status == 200
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = server.post(b"", method=method)
            assert_error(answer, 405, "method_not_allowed")
            assert answer.headers["allow"] == ["POST"]
        client = Client(server.port)
        client.send(request(b"", method="HEAD"))
        answer = client.answer(head_only=True)
        assert answer.status == 405 and answer.body == b""
        client.send(request(body()))
        assert client.answer().status == 200
        client.close()
    with Server("--path", "/other") as server:
        assert server.post(body()).status == 404
        assert server.post(body(), path="/other").status == 200


def test_408():
    with Server("--body-timeout", "1") as server:
        def drip(client, data):
            try:
                for i in range(40):
                    client.send(data[i:i + 1])
                    time.sleep(0.1)
            except OSError:
                pass
        stalled, dripping = Client(server.port), Client(server.port)
        data = body(5)
        stalled.send(request(data[:10], length=len(data)))
        dripping.send(request(b"", length=len(data)))
        thread = threading.Thread(target=drip, args=(dripping, data))
        thread.start()
        assert_error(stalled.answer(), 408, "request_timeout")
        assert_error(dripping.answer(), 408, "request_timeout")
        assert stalled.closed()
        dripping.close()
        thread.join()
        eventually(lambda: server.post(body()).status == 200, "a good one, soon enough")
        assert len(server.lines()) == 1


def test_411():
    with Server() as server:
        assert_error(server.post(b"", length=False), 411, "length_required")


def test_413():
    with Server("--body-max", "100") as server:
        assert_error(server.post(b" " * 101), 413, "too_large")
        assert server.post(b" " * 100).status == 400
        chunks = b"".join(b"32\r\n" + b" " * 50 + b"\r\n" for i in range(3)) + b"0\r\n\r\n"
        answer = server.post(chunks, length=False, headers=["Transfer-Encoding: chunked"])
        assert_error(answer, 413, "too_large")


def test_415():
    with Server() as server:
        for kind in (None, "text/plain", "application/jsonx", "multipart/form-datax; boundary=x", ""):
            assert_error(server.post(body(), content_type=kind), 415, "unsupported_media_type")
        assert_error(server.post(body(), headers=["Content-Encoding: gzip"]), 415,
                     "unsupported_media_type")
        for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/json ;x=y"):
            assert server.post(body(), content_type=kind).status == 200
        assert server.post(body(), headers=["Content-Encoding: identity"]).status == 200


def test_422():
    with Server() as server:
        answer = server.post(b"{}")
        assert_error(answer, 422, "missing_field", field="event", offset=0)
        assert list(answer.json()) == ["error", "field", "offset", "detail"]
        assert_error(server.post(b'{"event_type":"bounces","event":{"deliveries":[{}]}}'), 422,
                     "event_type_mismatch", field="deliveries", offset=33)
        assert_error(server.post(b'{"event":{"bounces":[{"to":[]}]}}'), 422, "wrong_type", field="to",
                     offset=27)


def test_413_more_events_than_records():
    with Server("--ring-records", "10") as server:
        answer = server.post(body(11))
        assert_error(answer, 413, "too_many_events")
        assert "retry-after" not in answer.headers
        assert server.post(body(10)).status == 200
        assert [line["seq"] for line in server.lines()] == list(range(1, 11))


def test_503_a_required_sink_is_stuck():
    with DeafPeer() as deaf:
        with Server("--sink", deaf.uri, "--sync", "never", "--ring-records", "1000", "--body-timeout", "3",
                    status=1) as server:
            deaf.accept()
            stored = deaf.fill(server, 100, reason="x" * 700)
            assert len(server.wait_lines(stored)) == stored  # the file had no part in it
            server.signal(signal.SIGTERM)
            assert server.process.wait(30) == 1
            assert "were not taken" in server.stderr()


def test_early_answers_while_the_client_sends():
    server = Server("--auth-file", "@/auth", "--body-max", "1000000")
    server.write("auth", "bearer right\n")
    right = "Authorization: Bearer right"
    with server:
        for headers, kind, length, status in (
                ([], "application/json", 900000, 401), ([right], "application/json", 4000000, 413),
                ([right], "text/html", 900000, 415)):
            client = Client(server.port)
            client.send(request(b"x" * length, headers=headers, content_type=kind))
            assert client.answer().status == status
            assert client.closed()
            client.close()
            chunks = (b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 64 + b"0\r\n\r\n"
            client = Client(server.port)
            client.send(request(chunks, headers=headers + ["Transfer-Encoding: chunked"],
                                content_type=kind, length=False))
            assert client.answer().status == status
            client.close()
        client = Client(server.port)  # wrong from its second byte on
        client.send(request(b"{]" + b" " * 900000, headers=[right]))
        assert_error(client.answer(), 400, "malformed_json", offset=1)
        client.close()


def test_expect_100_continue():
    with Server() as server:
        data = body()
        client = Client(server.port)
        client.send(request(b"", length=len(data), headers=["Expect: 100-continue"]))
        assert client.answer().status == 100
        client.send(data)
        assert client.answer().status == 200
        client.close()
        client = Client(server.port)
        client.send(request(b"", length=9, headers=["Expect: 100-continue"], content_type="a/b"))
        assert client.answer().status == 415
        client.close()
        status, _ = server.curl("-H", "Expect: 100-continue", "-H", "Content-Type: application/json",
                                "-d", data.decode())
        assert status == 200


def test_chunked_and_split():
    with Server() as server:
        data = body(3, subject="\u65e5\u672c")
        for step in (1, 7, 100, 5000):
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(data[at:at + step]), data[at:at + step])
                              for at in range(0, len(data), step)) + b"0\r\n\r\n"
            answer = server.post(chunks, length=False, headers=["Transfer-Encoding: chunked"])
            assert answer.body == b'{"stored":3}', (step, answer.body)
        client = Client(server.port)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        whole = request(data)
        for at in range(0, len(whole), 3):
            client.send(whole[at:at + 3])
        assert client.answer().status == 200
        client.close()
        assert len({json.dumps([line[m] for m in ("to", "subject", "id")])
                    for line in server.lines()}) == 3


def test_keep_alive_and_pipelining():
    with Server() as server:
        client = Client(server.port)
        for i in range(20):
            client.send(request(body(first=i)))
            answer = client.answer()
            assert answer.status == 200 and answer.headers["connection"] == ["keep-alive"]
        client.send(b"".join(request(body(first=100 + i)) for i in range(5)))
        for i in range(5):
            assert client.answer().status == 200
        client.send(request(b'{"a":'))  # an error in a whole body keeps the connection
        assert client.answer().status == 400
        client.send(request(body(), headers=["Connection: close"]))
        answer = client.answer()
        assert answer.status == 200 and answer.headers["connection"] == ["close"]
        assert client.closed()
        client.close()
        assert len(server.lines()) == 26


def test_idle_connection_leaves_its_worker_to_others():
    """The only worker waits for the first client's next request when others come: neither is
    closed, not even when the first one's next request comes in parts."""
    with Server("--workers", "1") as server:
        first, others = Client(server.port), [Client(server.port) for _ in range(3)]
        for _ in range(3):
            whole = request(body())
            first.send(whole[:30])
            time.sleep(0.05)
            first.send(whole[30:])
            assert first.answer().headers["connection"] == ["keep-alive"]
            for other in others:
                other.send(request(body()))
                answer = other.answer()
                assert answer.status == 200
                assert answer.headers["connection"] == ["keep-alive"]
        for client in [first] + others:
            client.close()


def test_more_kept_connections_than_workers():
    """Kept connections whose worker others want wait for their next request without one."""
    with Server("--workers", "2") as server:
        clients = [Client(server.port) for _ in range(24)]
        for turn in range(10):
            for i, client in enumerate(clients):  # some send two at once
                client.send(request(body(first=100 * turn + i)) * (2 if i % 5 == 0 else 1))
            for i, client in enumerate(clients):
                for _ in range(2 if i % 5 == 0 else 1):
                    answer = client.answer()
                    assert answer.status == 200, (turn, i)
                    if answer.headers["connection"] != ["keep-alive"]:
                        assert i % 5 == 0  # what was read of its second request cannot be put back
                        assert client.closed()
                        clients[i] = Client(server.port)
                        break
        for client in clients:
            client.close()


def test_the_answer_says_whether_the_connection_stays():
    cases = [("1.1", None, True), ("1.1", "Close", False), ("1.1", "TE, Keep-Alive", True),
             ("1.1", "TE", False), ("1.0", None, False), ("1.0", "keep-alive", True)]
    with Server() as server:
        for version, wish, stays in cases:
            client = Client(server.port)
            whole = request(body(), headers=["Connection: " + wish] if wish else [])
            client.send(whole.replace(b"HTTP/1.1", b"HTTP/" + version.encode(), 1))
            answer = client.answer()
            said = "keep-alive" if stays else "close"
            assert answer.status == 200 and answer.headers["connection"] == [said], (version, wish)
            assert stays or client.closed()
            client.close()


def test_all_or_nothing():
    with Server("--ring-records", "8192") as server:
        assert server.post(body(100)).status == 200
        for count in (2, 100, 5000):
            for end in (b'{"to":{}}]}}', b'{"to":"x"]}}', b'{"to":"\xff"}]}}', b'{"to":1}]}'):
                broken = body(count)[:-len(b"]}}")] + b"," + end
                assert server.post(broken).status in (400, 422)
        assert len(server.lines()) == 100
        assert server.post(body(5000)).body == b'{"stored":5000}'
        lines = server.lines()
        assert [line["seq"] for line in lines] == list(range(1, 5101))
        assert lines[100]["to"] == "user0@example.jp"


def test_concurrent_clients_threaded():
    with Server("--workers", "8", "--ring-records", "256") as server:
        failures = []

        def send(number):
            client = Client(server.port)
            for i in range(50):
                try:
                    client.send(request(body(1 + i % 3, first=number * 1000 + i * 10)))
                    answer = client.answer()
                    if answer.status != 200:
                        failures.append(answer.body)
                    if answer.headers["connection"] == ["close"]:
                        client.close()
                        client = Client(server.port)
                except OSError as error:
                    failures.append(error)
            client.close()
        threads = [threading.Thread(target=send, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures[:3]
        expected = {"user%d@example.jp" % (number * 1000 + i * 10 + event) for number in range(16)
                    for i in range(50) for event in range(1 + i % 3)}
        lines = server.lines()
        assert [line["seq"] for line in lines] == list(range(1, len(expected) + 1))
        assert {line["to"] for line in lines} == expected and len(lines) == len(expected)


def stopping(server):
    """Are new requests refused?"""
    try:
        return server.post(b"", method="GET").status == 503
    except OSError:
        return True


def test_answered_before_the_stop_threaded():
    with Server() as server:
        slow, late = Client(server.port), Client(server.port)
        data = body(2)
        late.send(request(data[:20], length=len(data)))
        slow.send(request(b"", length=len(data), headers=["Expect: 100-continue"]))
        assert slow.answer().status == 100  # a worker reads it
        server.signal(signal.SIGTERM)
        eventually(lambda: stopping(server), "the stop")
        slow.send(data)
        assert slow.answer().body == b'{"stored":2}'
        slow.close()
        stored = 2
        try:  # whether it had begun when the signal came is the kernel's to know
            late.send(data[20:])
            assert late.answer().body == b'{"stored":2}'
            stored += 2
        except OSError:
            pass
        late.close()
        assert server.process.wait(30) == 0
        assert len(server.lines()) == stored


def test_stop_under_load_threaded():
    with Server("--ring-records", "256", "--body-timeout", "300") as server:
        answered, ending = [], threading.Event()

        def send(number):
            i = 0
            while not ending.is_set():
                try:
                    client = Client(server.port)
                    client.send(request(body(first=number * 100000 + i)))
                    if client.answer().status == 200:
                        answered.append("user%d@example.jp" % (number * 100000 + i))
                    client.close()
                except OSError:
                    ending.wait(0.01)
                i += 1
        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: len(answered) > 50, "50 answers")
            server.signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
        finally:
            ending.set()
            for thread in threads:
                thread.join()
        stored = [line["to"] for line in server.lines()]
        assert set(answered) <= set(stored)
        assert len(stored) == len(set(stored))


def test_two_listeners():
    with Server("--listen", "[::1]:0") as server:
        assert len(server.ports) == 2
        client = Client(server.ports[1], "::1")
        client.send(request(body()))
        assert client.answer().status == 200
        client.close()
        assert server.post(body()).status == 200

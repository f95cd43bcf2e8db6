"""Where events go on to over HTTP: servers of others, which know nothing of cmcwh, and another cmcwh. What goes
wrong there is in test_onward_faults."""

import http.server
import json
import threading
import urllib.parse

from harness import Server, body, eventually, payload, run
from test_https import Https

EVENT = {"reason": "a\"b\\c\u0001\u2028 \u3042&=+%", "sourceIp": "192.0.2.1", "returnPath": "r@example.jp",
         "created": "2026-01-02 03:04:05", "subject": "\u30e1\u30fc\u30eb", "apiData": "",
         "messageId": "<1@example.jp>",
         "from": "f@example.jp", "to": "t@example.jp", "senderIp": "", "status": "failed"}


def webhook(kind, *events, composition="pro"):
    return json.dumps({"event_type": kind, "server_composition": composition,
                       "event": {kind: list(events)}}).encode()


class Application:
    """A server made of Python's library, as an application might be; keeps the requests that it gets. Others than
    200, and more headers, are for what it is to say to each."""

    def __init__(self, status=200, *more):
        requests = self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append((self.path, self.headers, content))
                self.send_response(status)
                for name, value in more:
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def uri(self, **parameters):
        return "http://127.0.0.1:%d/in?%s" % (self.port, "&".join("%s=%s" % pair for pair in parameters.items()))

    def wait(self, count):
        eventually(lambda: len(self.requests) >= count, "%d requests" % count)
        return self.requests

    def lines(self):
        """The events of all requests so far, as JSON lines."""
        return [json.loads(line) for _, _, content in list(self.requests) for line in content.splitlines()]


def onward(application, **parameters):
    return Server("--ring", "@/ring", "--sink", application.uri(**parameters))


def test_json_lines():
    """The same lines as a log has, in order, the URL's own query with them, and a key that a repeat would have too."""
    with Application() as application, onward(application, query="a%3D1%26b=2", wait=0) as server:
        for i in range(10):
            assert server.post(body(3, first=3 * i)).status == 200
        eventually(lambda: len(application.lines()) >= 30, "30 events")
        assert application.lines() == server.wait_lines(30)
        for path, headers, content in application.requests:
            assert path == "/in?a=1&b=2"
            assert headers["Content-Type"] == "application/x-ndjson"
            assert headers["User-Agent"].startswith("cmcwh/")
            assert len(headers["Idempotency-Key"]) == 16
            assert content.endswith(b"\n")
        keys = [headers["Idempotency-Key"] for _, headers, _ in application.requests]
        assert len(set(keys)) == len(keys)


def test_without_a_ring_file_the_answer_waits():
    with Application() as application, Server("--sink", application.uri(), sink=False) as server:
        for i in range(3):
            assert server.post(body(2, first=2 * i)).status == 200
            assert [line["to"] for line in application.lines()] == ["user%d@example.jp" % j for j in range(2 * i + 2)]


def test_batches():
    with Application() as application, onward(application, batch=4, wait=60000) as server:
        assert server.post(body(3)).status == 200
        assert server.post(body(3, first=3)).status == 200
        eventually(lambda: len(application.lines()) >= 6, "6 events")
        assert max(content.count(b"\n") for _, _, content in application.requests) == 4


def test_only_some_events():
    with Application() as application, onward(application, only="failed", wait=0) as server:
        assert server.post(body(5)).status == 200
        assert server.post(webhook("deliveries", EVENT)).status == 200
        application.wait(1)
        assert [line["status"] for line in application.lines()] == ["failed"]


def test_as_the_service_itself():
    """What an application gets of the router is what it would have got of the service."""
    with Application() as application, onward(application, format="cmc", wait=0) as server:
        assert server.post(webhook("deliveries", EVENT, dict(EVENT, to="u@example.jp"))).status == 200
        assert server.post(payload("bounces-user-unknown.json")).status == 200
        application.wait(2)
        for (_, headers, content), sent in zip(application.requests, (
                webhook("deliveries", EVENT, dict(EVENT, to="u@example.jp")), payload("bounces-user-unknown.json"))):
            assert headers["Content-Type"].startswith("application/json")
            assert json.loads(content) == json.loads(sent)


def test_as_the_service_itself_in_a_form():
    server = Server("--ring", "@/ring")
    with Application() as application:
        uri = application.uri(format="cmc", form=1, wait=0, headers=server.path("headers"))
        server.write("headers", "api_key k-2f9c1e\nbasic user:password\nX-Tenant: 7\n")
        server.command += ["--sink", uri]
        with server:
            for name in ("deliveries-queued", "bounces-host-unknown"):
                assert server.post(payload(name + ".form"),
                                   content_type="application/x-www-form-urlencoded").status == 200
            application.wait(2)
            for (_, headers, content), name in zip(application.requests, ("deliveries-queued", "bounces-host-unknown")):
                assert headers["Content-Type"].startswith("application/x-www-form-urlencoded")
                assert headers["Authorization"] == "Basic dXNlcjpwYXNzd29yZA=="
                assert headers["X-Tenant"] == "7"
                got = dict(urllib.parse.parse_qsl(content.decode(), strict_parsing=True, keep_blank_values=True))
                sent = dict(urllib.parse.parse_qsl(payload(name + ".form").decode(), keep_blank_values=True))
                assert json.loads(got.pop("event")) == json.loads(sent.pop("event"))
                assert got == sent


def test_one_type_a_request():
    """The service writes events of one type and one composition in a request, and so do we."""
    kinds = [("deliveries", "pro"), ("deliveries", "pro"), ("bounces", "pro"), ("bounces", "other"),
             ("new kind", "other")]
    with Application() as application, onward(application, format="cmc", wait=2000, batch=5) as server:
        for kind, composition in kinds:
            assert server.post(webhook(kind, dict(EVENT, status="1"), composition=composition)).status == 200
        requests = application.wait(4)
        got = [json.loads(content) for _, _, content in requests]
        assert sum(([(one["event_type"], one["server_composition"])] * len(one["event"][one["event_type"]])
                    for one in got), []) == kinds


def test_check_looks_at_its_files():
    status, _, said = run("serve", "--check-config", "--sink", "http://127.0.0.1:9/?headers=/nowhere/x")
    assert status == 2 and "/nowhere/x" in said, said
    status, _, said = run("serve", "--check-config", "--sink", "http://host.invalid/?dead=/nowhere/x")
    assert status == 2 and "/nowhere" in said, said


def test_https_to_another_cmcwh():
    """Its certificate is looked at; `ca` names who has signed it."""
    inner = Https()
    with inner:
        uri = "https://localhost:%d/mails?format=cmc&wait=0" % inner.port
        with Server("--ring", "@/ring", "--sink", uri + "&ca=" + inner.path("tls.pem"), "--sink",
                    "https://127.0.0.1:%d/mails?format=cmc&policy=besteffort&wait=0" % inner.port) as outer:
            assert outer.post(webhook("deliveries", EVENT)).status == 200
            got = inner.wait_lines(1)[0]
            sent = outer.wait_lines(1)[0]
            for name, value in EVENT.items():
                assert got[name] == sent[name] == value
            assert got["id"] == sent["id"]
            outer.wait_said("its certificate is not trusted")

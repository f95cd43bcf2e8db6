"""The admin port: who may look, health, the events as lists and as streams, and that neither side
holds up the other."""

import csv
import io
import itertools
import json
import os
import re
import signal
import socket
import ssl
import tempfile
import threading
import time

from harness import (PATIENCE, Answer, Client, Load, Server, Skipped, Threads, body, eventually, free_port,
                     loading, payload, request, run)
from test_https import Https, certificate

SSE = "Accept: text/event-stream"


def not_built(error):
    """Tests of what this build does not have are skipped."""
    if "this build has no admin port" in str(error):
        raise Skipped("this build has no admin port") from None
    raise error


def rest(client):
    """All that still comes."""
    try:
        while True:
            client.more()
    except ConnectionError:
        pass
    client.close()
    return client.buffer


class Looks:
    """What a server with an admin port can be asked."""

    def __enter__(self):
        try:
            super().__enter__()
        except AssertionError as error:
            not_built(error)
        found = re.search(r"^admin on (https?)://\S+:(\d+)/: 32 connections, \d+ KiB$", self.stderr(), re.M)
        self.admin = int(found.group(2))
        self.secure = found.group(1) == "https"
        return self

    def open(self):
        client = Client(self.admin)
        if self.secure:
            client.socket = self.context().wrap_socket(client.socket, server_hostname="localhost")
        return client

    def raw(self, data):
        """All that comes back for these bytes."""
        client = self.open()
        client.send(data)
        return rest(client)

    def look(self, path, *headers, method="GET", host="localhost", version="1.1"):
        raw = self.raw(head(path, *headers, method=method, host=host, version=version))
        answer = Answer(raw)
        if answer.headers.get("transfer-encoding") == ["chunked"] and method != "HEAD":
            answer.body = unchunked(answer.body)
        return answer


class Admin(Looks, Server):
    def __init__(self, *options, admin="127.0.0.1:0", **more):
        super().__init__("--admin", admin, *options, **more)


class AdminTls(Looks, Https):
    def __init__(self, *options, admin="127.0.0.1:0s", **more):
        super().__init__("--admin", admin, *options, **more)


def head(path, *headers, method="GET", host="localhost", version="1.1"):
    lines = ["%s %s HTTP/%s" % (method, path, version), "Host: " + host] + list(headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def unchunked(data):
    """The bytes in chunks; the last chunk must be there."""
    out = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        assert data[length:length + 2] == b"\r\n", data[:100]
        out += data[:length]
        data = data[length + 2:]
        if length == 0:
            assert data == b""
            return out


def lines_of(answer):
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


def seqs_of(answer):
    return [event["seq"] for event in lines_of(answer)]


class Stream:
    """A reader of Server-Sent Events, as a browser is one."""

    def __init__(self, server, path="/events", last=None):
        self.last, self.gaps, self.events, self.rest = last, [], [], b""
        self.begin = None  # behind which event the stream begins
        self.client = server.open()
        headers = [SSE] + (["Last-Event-ID: %d" % last] if last is not None else [])
        self.client.send(head(path, *headers))
        while b"\r\n\r\n" not in self.client.buffer:
            self.client.more()
        answer, _, self.client.buffer = self.client.buffer.partition(b"\r\n\r\n")
        assert b"200 OK" in answer and b"text/event-stream" in answer, answer
        self.read_until(lambda: self.last is not None, "where the stream begins")

    def take_chunks(self):
        """What has come of whole chunks is text."""
        while True:
            size, mark, data = self.client.buffer.partition(b"\r\n")
            if not mark or len(data) < int(size, 16) + 2:
                return
            self.rest += data[:int(size, 16)]
            self.client.buffer = data[int(size, 16) + 2:]

    def take_blocks(self):
        self.take_chunks()
        *blocks, self.rest = self.rest.split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
            self.last = int(fields.get(b"id", self.last or b"0"))
            self.begin = self.last if self.begin is None else self.begin
            if fields.get(b"event") == b"gap":
                self.gaps.append(json.loads(fields[b"data"]))
            elif b"data" in fields:
                self.events.append(json.loads(fields[b"data"]))
                assert self.events[-1]["seq"] == self.last

    def read_until(self, condition, what):
        self.take_blocks()
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "did not come: " + what
            self.client.more()
            self.take_blocks()

    def await_events(self, count):
        self.read_until(lambda: len(self.events) >= count, "%d events in the stream" % count)
        return [event["seq"] for event in self.events]

    def close(self):
        self.client.close()


# ---- Health ----

def test_health():
    with Admin() as server:
        for path, text in (("/healthz", b"alive\n"), ("/readyz", b"ready\n")):
            answer = server.look(path)
            assert (answer.status, answer.body) == (200, text)
            bare = server.look(path, method="HEAD")
            assert (bare.status, bare.body) == (200, b"")
            assert bare.headers == answer.headers
        headers = server.look("/healthz", version="1.0").headers
        assert headers["x-content-type-options"] == ["nosniff"]
        assert headers["x-frame-options"] == ["DENY"]
        assert headers["referrer-policy"] == ["no-referrer"]
        assert headers["cache-control"] == ["no-store"]
        assert headers["content-security-policy"] == ["default-src 'none'; frame-ancestors 'none'"]
        # Neither port answers for the other.
        assert server.look("/mails").status == 404
        assert server.post(b"", method="GET", path="/healthz").status == 404


def test_ready_says_why_not():
    port = free_port()
    sink = "syslog+tcp://127.0.0.1:%d" % port
    with Admin("--sink", sink) as server:
        answer = eventually(lambda: answer_if(server, "/readyz", 503), "503")
        assert sink.encode() in answer.body, answer.body
        assert server.look("/healthz").status == 200
        assert server.post(body()).status == 503
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            server.signal(signal.SIGHUP)
            eventually(lambda: server.post(body()).status == 200, "a 200")
            eventually(lambda: answer_if(server, "/readyz", 200), "ready again")


# A sync of the ring hangs as long as there is a file `hang`.
HANGS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

int fdatasync(int descriptor) {
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

    while (access("@/hang", F_OK) == 0) {
        usleep(10000);
    }
    return next(descriptor);
}
"""


def test_not_ready_while_the_storage_hangs():
    server = Admin("--ring", "@/ring", "--store-timeout", "1", "--sink", "file:/dev/null", sink=False)
    server.preload = loading(server.folder, HANGS.replace("@", server.folder))
    with server:
        assert server.post(body()).status == 200
        server.write("hang", "")
        hanging = Client(server.port)
        hanging.send(request(body()))
        answer = eventually(lambda: answer_if(server, "/readyz", 503), "503")
        assert b"the ring's file cannot be written" in answer.body, answer.body
        assert server.post(body()).status == 503
        said = "ring '%s': its storage hangs: a call of the system has not returned" % server.path("ring")
        assert server.wait_said(said).count(said) == 1
        os.unlink(server.path("hang"))
        assert hanging.answer().status == 200
        server.wait_said("its storage answers again")
        eventually(lambda: answer_if(server, "/readyz", 200), "ready again")
        assert server.post(body()).status == 200


def answer_if(server, path, status):
    answer = server.look(path)
    return answer if answer.status == status else None


# ---- Requests ----

def test_what_was_answered_is_seen_at_once():
    with Admin() as server:
        for stored in range(1, 11):
            assert server.post(body()).status == 200
            assert server.look("/status.json").json()["events"]["stored"] == stored


def test_what_is_no_request_of_ours():
    with Admin() as server:
        for path in ("/x", "//", "/healthz/", "/%68ealthz", "/events.CSV"):
            assert server.look(path).status == 404, path
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"):
            answer = server.look("/", "Content-Length: 0", method=method)
            assert answer.status == 405 and answer.headers["allow"] == ["GET, HEAD"], method
        # The answer is read although more is sent than anybody reads.
        answer = Answer(server.raw(head("/", "Content-Length: 300000", method="POST") + b"x" * 300000))
        assert answer.status == 405
        for wrong in (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n", b"\x16\x03\x01\x00\n",
                      head("/", "Content-Length: 1"), head("/", "Transfer-Encoding: chunked"),
                      head("/", "Host: b"), head("http://localhost/")):
            assert Answer(server.raw(wrong)).status == 400, wrong
        assert Answer(server.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).status == 505
        assert Answer(server.raw(b"GET / HTTP/1.1\r\nX: " + b"x" * 9000)).status == 431


def test_wrong_parameters_say_which():
    with Admin() as server:
        for query, why in (("x=1", b"unknown parameter"), ("after=", b"after: expected"),
                           ("after=-1", b"after: expected"), ("after=1x", b"after: expected"),
                           ("after=18446744073709551616", b"after: expected"),
                           ("limit=0", b"limit: expected"), ("limit=1e3", b"limit: expected"),
                           ("only=bounce", b"only: wrong from character 1"),
                           ("only=bounces,,", b"only: wrong from character 9"),
                           ("hide=1", b"unknown parameter"), ("after=%", b"%XX")):
            for path in ("/events?", "/events.csv?"):
                answer = server.look(path + query)
                assert answer.status == 400 and why in answer.body, (query, answer.body)
        assert server.look("/events", SSE, "Last-Event-ID: x").status == 400


def test_late_and_slow():
    """Who begins a request and does not go on is told so; who asks meanwhile is answered, and gets the
    place of one who has waited for long."""
    with Admin() as server:
        late = server.open()
        late.send(b"GET /healthz HT")
        slow = []
        for _ in range(100):
            slow.append(server.open())
            slow[-1].send(b"GET / HTTP/1.1\r\n")
            assert server.look("/healthz").status == 200
        assert late.closed()
        slow[-1].socket.settimeout(PATIENCE)
        assert slow[-1].answer().status == 408
        for client in slow + [late]:
            client.close()


# ---- Who may look ----

def test_credentials():
    right = "Authorization: Basic dXNlcjpwYXNz", "Authorization: Bearer look"
    server = Admin("--admin-auth-file", "@/admin", "--auth-file", "@/auth")
    server.write("admin", "basic user:pass\nbearer look\n")
    server.write("auth", "bearer post\n")
    with server:
        for path in ("/", "/healthz", "/readyz", "/events", "/x"):
            answer = server.look(path)
            assert answer.status == 401, path
            assert answer.headers["www-authenticate"] == [
                'Basic realm="cmcwh admin", charset="UTF-8"', 'Bearer realm="cmcwh admin"']
            assert server.look(path, "Authorization: Bearer post").status == 401
            for header in right:
                assert server.look(path, header).status in (200, 404), path
        # Behind a front all are this machine: wrong ones lock out nobody.
        for _ in range(20):
            assert server.look("/healthz", "Authorization: Bearer wrong").status == 401
        assert server.look("/healthz", right[0]).status == 200
        assert server.post(body(), headers=["Authorization: Bearer look"]).status == 401
        assert server.post(body(), headers=["Authorization: Bearer post"]).status == 200
        server.write("admin", "bearer new\n")
        server.signal(signal.SIGHUP)
        server.wait_said("files are opened anew")
        assert server.look("/healthz", right[1]).status == 401
        answer = server.look("/healthz", "Authorization: Bearer new")
        assert answer.status == 200
        server.write("admin", "api_key new\n")
        server.signal(signal.SIGHUP)
        server.wait_said("could not be read again: --admin-auth-file " + server.path("admin"))
        assert server.look("/healthz", "Authorization: Bearer new").status == 200


def test_other_names_and_sites():
    with Admin("--admin-host", "status.example.jp") as server:
        for host in ("localhost", "127.0.0.1", "[::1]:1", "status.example.jp:443", socket.gethostname()):
            assert server.look("/healthz", host=host).status == 200, host
        for host in ("attacker.example", "127.0.0.1.attacker.example", "", "2130706433"):
            answer = server.look("/healthz", host=host)
            assert answer.status == 403 and b"--admin-host" in answer.body, host
        for header in ("Origin: http://attacker.example", "Origin: null", "Sec-Fetch-Site: cross-site"):
            assert server.look("/events", header).status == 403, header
        assert server.look("/events", "Origin: http://localhost").status == 200
        assert server.look("/healthz", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate",
                           "Sec-Fetch-Dest: document").status == 200


def test_names_of_the_certificate():
    with AdminTls() as server:
        certificate(server.folder, "tls", subject="router.example")
        server.context = insecure  # it is another one soon
        assert server.look("/healthz", host="router.example").status == 403
        server.signal(signal.SIGHUP)
        server.wait_said("files are opened anew")
        assert server.look("/healthz", host="router.example:%d" % server.admin).status == 200
        assert server.look("/healthz", host="other.example").status == 403


def insecure():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_over_https():
    with AdminTls("--ring-records", "2048") as server:
        for i in range(20):
            assert server.post(body(50, first=50 * i, reason="x" * 300)).status == 200
        assert seqs_of(server.look("/events")) == list(range(1, 1001))
        stream = Stream(server)
        assert server.post(body(3)).status == 200
        assert stream.await_events(3) == [1001, 1002, 1003]
        stream.close()
        plain = Client(server.admin)
        plain.send(head("/"))
        answer = plain.answer()
        assert answer.status == 400 and b"https://" in answer.body
        plain.close()


def refused(*options, status=2):
    """The start ends with this status; what was said."""
    ended, _, said = run("serve", "--listen", "127.0.0.1:0", *options)
    if "this build has no" in said:
        raise Skipped(said.strip())
    assert ended == status, (ended, said)
    return said


def test_starts_that_are_refused():
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as folder:
        cert, key = certificate(folder, "tls")
        auth = os.path.join(folder, "auth")
        tls = "--tls-cert", cert, "--tls-key", key
        for text, why in (("bearer x\n", None), ("api_key x\n", "an API key comes in a webhook's body")):
            with open(auth, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(auth, 0o600)
            if why is not None:
                assert why in refused("--admin", "127.0.0.1:0", "--admin-auth-file", auth)
        for options in (("--admin", "0.0.0.0:0"), ("--admin", "0.0.0.0:0s", *tls),
                        ("--admin", "[::]:0", "--admin-auth-file", auth)):
            said = refused(*options)
            assert said.count("\n") == 1 and "others than this machine could look in" in said, said
        assert "HTTPS needs --tls-cert" in refused("--admin", "127.0.0.1:0s")
        assert "ADDR:PORT" in refused("--admin", "9000")
        for option, value in (("--admin-auth-file", auth), ("--admin-host", "gateway")):
            assert option + ": needs --admin ADDR:PORT" in refused(option, value)
        for options in (("--admin", "127.0.0.1:1", "--listen", "127.0.0.1:1"), ("--admin", "[::1]:01", "--listen", "[0::1]:1"),
                        ("--admin", "127.0.0.1:1s", "--listen", "127.0.0.1:1", *tls)):
            said = refused(*options)
            assert said.count("\n") == 1 and "it needs a port of its own" in said, said
        assert "the name of a host" in refused("--admin", "127.0.0.1:0", "--admin-host", "a:1")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            assert "--admin: cannot listen on " + address in refused("--admin", address, status=1)


def test_check_config():
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as folder:
        path = os.path.join(folder, "conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("listen = 127.0.0.1:0\nadmin = 127.0.0.1:0\nadmin-host = a.example\n")
        ended, out, said = run("serve", "--config", path, "--check-config")
        if "this build has no" in said:
            raise Skipped(said.strip())
        assert (ended, out) == (0, b"cmcwh: the configuration is right\n"), said
        ended, _, said = run("serve", "--config", path, "--check-config", "--admin", "192.0.2.1:0",
                             "--admin-auth-file", path + "-none")
        assert ended == 2 and "others than this machine" in said, said


# ---- Events ----

def test_lists():
    with Admin() as server:
        assert seqs_of(server.look("/events")) == []
        assert server.post(body(5)).status == 200
        assert server.post(payload("bounces-user-unknown.json")).status == 200
        assert seqs_of(server.look("/events")) == [1, 2, 3, 4, 5, 6]
        assert lines_of(server.look("/events")) == server.wait_lines(6)
        for query, seqs in (("after=4", [5, 6]), ("after=6", []), ("limit=2", [1, 2]),
                            ("after=2&limit=2", [3, 4]), ("only=bounces", [6]),
                            ("only=bounces%3A2%2Cfailed", [6]), ("only=queued&limit=1&after=3", [4]),
                            ("only=blocks", []), ("limit=99999999999", [1, 2, 3, 4, 5, 6])):
            assert seqs_of(server.look("/events?" + query)) == seqs, query
        old = server.look("/events?limit=2", version="1.0")
        assert "transfer-encoding" not in old.headers and seqs_of(old) == [1, 2]
        assert server.look("/events", method="HEAD").body == b""
        hidden = lines_of(server.look("/events?hide=addresses&limit=1"))[0]
        assert hidden["to"] == "*****@example.jp"
        # Another ring: one in memory has begun anew meanwhile.
        assert seqs_of(server.look("/events?after=77")) == [1, 2, 3, 4, 5, 6]


def test_who_says_that_it_has_no_more_to_say():
    """As nc does: it gets all the same what it has asked for."""
    with Admin("--ring-records", "4096") as server:
        for i in range(3):
            assert server.post(body(500, first=500 * i)).status == 200
        client = server.open()
        client.send(head("/events"))
        client.socket.shutdown(socket.SHUT_WR)
        data = b""
        while not data.endswith(b"\r\n0\r\n\r\n"):
            more = client.socket.recv(65536)
            assert more != b"", data[-100:]
            data += more
        client.close()
        assert len(unchunked(data.partition(b"\r\n\r\n")[2]).splitlines()) == 1500


def test_csv():
    with Admin() as server:
        assert server.post(body(3, subject='=1+1,"x"\n')).status == 200
        answer = server.look("/events.csv")
        assert answer.headers["content-type"] == ["text/csv; charset=utf-8"]
        assert answer.body.startswith(b"\xEF\xBB\xBF")
        rows = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))
        assert [row["seq"] for row in rows] == ["1", "2", "3"]
        assert not rows[0]["subject"].startswith("=")
        assert server.look("/events.csv?after=2").body.count(b"user") == 1


def test_more_than_the_ring_holds():
    with Admin("--ring-records", "16") as server:
        for i in range(5):
            assert server.post(body(8, first=8 * i)).status == 200
        assert seqs_of(server.look("/events")) == list(range(25, 41))
        assert seqs_of(server.look("/events?after=30")) == list(range(31, 41))
        stream = Stream(server, last=3)
        assert stream.await_events(16) == list(range(25, 41))
        assert stream.gaps == [{"after": 3, "next": 25}]
        stream.close()
        stream = Stream(server, last=77)
        assert stream.await_events(16) == list(range(25, 41))
        assert stream.gaps == [{"after": 77, "next": 25}]
        stream.close()
        stream = Stream(server, "/events?after=3", last=38)  # what the browser had last counts
        assert stream.await_events(2) == [39, 40]
        assert stream.gaps == []
        stream.close()


def test_a_stream_that_breaks_goes_on_without_a_gap():
    with Admin("--ring-records", "4096") as server, Load(server, 2) as load:
        load.wait(5)
        stream = Stream(server)
        seqs, start = [], stream.begin  # events may have come with it
        for _ in range(5):
            seqs += stream.await_events(20)
            last = stream.last
            stream.close()
            load.wait(30)
            stream = Stream(server, last=last)
            assert stream.gaps == []
        stream.close()
        assert seqs == list(range(start + 1, start + 1 + len(seqs)))


def test_what_a_stream_is_asked_for():
    with Admin() as server:
        assert server.post(body(2)).status == 200
        stream = Stream(server)  # the new ones
        assert stream.last == 2
        bounces = Stream(server, "/events?only=bounces&after=0")
        ending = Stream(server, "/events?after=0&limit=2")
        assert server.post(body(1)).status == 200
        assert server.post(payload("bounces-user-unknown.json")).status == 200
        assert stream.await_events(2) == [3, 4]
        assert bounces.await_events(1) == [4]
        assert ending.await_events(2) == [1, 2]
        for each in (stream, bounces, ending):
            each.close()


# ---- Beside each other ----

def test_readers_that_never_read():
    """A hundred of them: webhooks are taken, and whoever else looks is answered."""
    with Admin("--ring-records", "4096") as server, Load(server, 2) as load:
        readers = []
        for _ in range(100):
            readers.append(server.open())
            readers[-1].send(head("/events?after=0", SSE))
        for _ in range(20):
            load.wait(20)
            assert server.look("/healthz").status == 200
        assert server.look("/events").status == 503  # sixteen have the places of streams
        for reader in readers:
            reader.close()
        eventually(lambda: answer_if(server, "/events", 200), "places for streams")
    assert server.process.returncode == 0


def test_what_is_kept_for_who_never_reads():
    """After he is given up the system keeps nothing for him either."""
    with Admin("--ring-records", "1024") as server:
        assert server.post(body(500, reason="y" * 500)).status == 200
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", server.admin))
        reader.sendall(head("/events?after=0", SSE))
        ends = ":%04X" % server.admin, ":%04X" % reader.getsockname()[1]
        eventually(lambda: kept(*ends) > 10000, "a full buffer")
        eventually(lambda: kept(*ends) == 0, "its end")
        reader.close()


def kept(ours, theirs):
    """Bytes that the system has to send from one port to another."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        lines = [line.split() for line in file]
    return sum(int(line[4].split(":")[0], 16) for line in lines
               if line[1].endswith(ours) and line[2].endswith(theirs))


class Talk(Threads):
    """A reader of events that sends more and more, until its connection is closed."""

    def __init__(self, server):
        self.ended = threading.Event()
        self.client = server.open()
        self.client.send(head("/events", SSE))
        self.client.more()
        self.set_up(self.send, 1)

    def send(self, _):
        try:
            while not self.ending.is_set():
                self.client.send(b"x" * 65536)
        except OSError:
            self.ended.set()

    def __exit__(self, *unused):
        self.ending.set()
        self.client.close()
        super().__exit__(*unused)


def test_a_reader_that_talks_on():
    """It is not listened to for ever: others are answered, and the server stops."""
    for kind in (Admin, AdminTls):
        with kind() as server, Talk(server) as talk:
            for _ in range(50):
                assert server.look("/healthz").status == 200
            talk.ended.wait(PATIENCE)
            assert talk.ended.is_set()
            assert server.post(body()).status == 200


def test_a_reader_that_has_said_all():
    """A list comes whole also to who has closed its own side, as nc -N does."""
    with Admin() as server:
        assert server.post(body(100, reason="y" * 500)).status == 200
        for path, version, more in itertools.product(("/events", "/events.csv"), ("1.0", "1.1"), (0, 20000)):
            client = server.open()
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.send(head(path, version=version) + b"x" * more)  # which nobody reads
            client.socket.shutdown(socket.SHUT_WR)
            time.sleep(0.1)  # it has all been sent
            data = rest(client)
            text = data.partition(b"\r\n\r\n")[2]
            text = unchunked(text) if version == "1.1" else text
            assert text.count(b"user99@example.jp") == 1, (path, version, len(data))


def test_a_slow_reader_of_a_table():
    """It gets all that was there when it came, as long as the ring holds it."""
    with Admin("--ring-records", "1024") as server:
        for i in range(10):
            assert server.post(body(100, first=100 * i, reason="y" * 500)).status == 200
        client = server.open()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(head("/events.csv"))
        data, posts = b"", 0
        while not data.endswith(b"\r\n0\r\n\r\n"):
            data += client.socket.recv(1000)
            if len(data) > 50000 * posts:
                posts += 1
                assert server.post(body()).status == 200
        client.close()
        assert 10 < posts < 24  # the ring still holds all
        text = unchunked(data.partition(b"\r\n\r\n")[2]).decode("utf-8-sig")
        assert [row["seq"] for row in csv.DictReader(io.StringIO(text, newline=""))] == [
            str(i) for i in range(1, 1001)]


def test_stop_while_somebody_streams():
    with Admin() as server:
        streams = [Stream(server) for _ in range(3)]
        begun = server.open()
        begun.send(b"GET /")
        server.stop()
        assert server.process.returncode == 0
        for stream in streams:
            assert stream.client.closed()
            stream.close()
        begun.close()

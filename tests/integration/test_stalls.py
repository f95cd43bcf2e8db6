"""Hundreds of senders that stall: a good request is answered all the same, and soon."""

import fcntl
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import time

from harness import PATIENCE, Client, Server, body, eventually, request
from test_https import Https

STALLED = 500
# Who waited for those that stall to be given up would wait for longer than the test does.
PATIENT = ("--workers", "4", "--body-timeout", "300")


def room():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4 * STALLED:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))


def stall(server, data, count=STALLED):
    """Connections that have sent `data` and nothing more."""
    room()
    connections = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.setblocking(False)
        if data:
            try:
                connection.send(data)
            except BlockingIOError:
                pass
        connections.append(connection)
    return connections


def resident(server):
    with open("/proc/%d/status" % server.process.pid, encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def test_memory_does_not_grow_with_the_body():
    with Server("--ring-records", "16384", "--body-max", "20000000") as server:
        large = body(12000, reason="x" * 300)  # some 4 MB
        skipped = b'{"x":["' + b"y" * 5000000 + b'",' + b"[1]," * 1000000 + b"0]," + body()[1:]
        assert len(skipped) > 9000000
        for _ in range(2):
            assert server.post(large).status == 200  # the ring's own memory is touched
        server.wait_lines(24000)
        before = resident(server)
        for _ in range(5):
            assert server.post(large).status == 200
            assert server.post(skipped).status == 200
        assert resident(server) - before < 128, "%d KiB more" % (resident(server) - before)


def check_good_ones(server, count=5):
    slowest = 0.0
    for i in range(count):
        start = time.monotonic()
        assert server.post(body(2, first=i)).status == 200
        slowest = max(slowest, time.monotonic() - start)
    print("beside those that stall, a good request was answered within %.2f s" % slowest)


def stalled(data, server=None):
    with server or Server(*PATIENT) as server:
        assert server.post(body()).status == 200
        before = resident(server)
        connections = stall(server, data)
        time.sleep(0.5)
        check_good_ones(server)
        grown = resident(server) - before
        assert os.environ.get("SANITIZE") or grown < 1024, "%d KiB more" % grown
        for connection in connections:
            connection.close()


def test_before_the_request_line():
    stalled(b"")


def test_in_the_request_line():
    stalled(b"POST /ma")


def test_in_the_headers():
    stalled(b"POST /mails HTTP/1.1\r\nHost: x\r\nContent-Ty")


def test_in_a_small_body():
    stalled(request(body(3), length=5000))


def test_in_a_chunked_body():
    stalled(b"POST /mails HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"eve")


def test_after_expect_100_continue():
    stalled(b"POST /mails HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n")


def test_in_a_large_body():
    data = request(b'{"x":"' + b"y" * 70000, length=1000000)
    with Server(*PATIENT) as server:
        connections = stall(server, data, 60)
        time.sleep(0.5)
        check_good_ones(server)
        for connection in connections:
            connection.close()


def test_after_an_answer():
    """Kept alive, a second request begun and not ended."""
    with Server(*PATIENT) as server:
        held = []
        for i in range(12):
            client = Client(server.port)
            client.send(request(body(first=i)))
            assert client.answer().status == 200
            try:
                client.send(b"POST /mails HTTP/1.1\r\nHo")
            except OSError:
                pass
            held.append(client)
        check_good_ones(server)
        for client in held:
            client.close()


def test_reading_no_answer():
    """Many requests on each of many connections, whose answers nobody reads. They are good ones: while
    they are being stored, another may be told to come again, and does."""
    with Server(*PATIENT) as server:
        connections = stall(server, request(body()) * 20, 200)
        for i in range(5):
            eventually(lambda: server.post(body(2, first=i)).status == 200, "a good answer beside them")
        for connection in connections:
            connection.close()


def test_late_requests_learn_it():
    with Server("--body-timeout", "1") as server:
        for data in (b"POST /mails HTTP/1.1\r\nHos", request(body(3), length=5000)):
            client = Client(server.port)
            client.send(data)
            answer = client.answer()
            assert answer.status == 408 and answer.json()["error"] == "request_timeout"
            assert client.closed()
            client.close()
        silent = Client(server.port)
        assert silent.closed()
        silent.close()


def test_slow_but_steady_is_served():
    with Server("--workers", "1") as server:
        client = Client(server.port)
        data = request(body(40, reason="z" * 400))
        for i in range(0, len(data), 2000):
            client.send(data[i:i + 2000])
            time.sleep(0.02)
        assert client.answer().json() == {"stored": 40}
        client.close()


def test_more_than_may_wait():
    """The one that has waited longest gives way."""
    with Server("--workers", "2", "--body-timeout", "300") as server:
        connections = stall(server, b"POST /mails HTTP/1.1\r\n", 1500)
        check_good_ones(server, 2)
        for connection in connections:
            connection.close()
        eventually(lambda: server.post(body()).status == 200, "recovery")


def test_handshakes_that_stall():
    stalled(b"", server=Https(*PATIENT))
    stalled(b"\x16\x03\x01\x02\x00\x01\x00\x01", server=Https(*PATIENT))


class UnreadPipe:
    """A small pipe, which the server gets as a standard descriptor."""

    def __init__(self, place=1):
        self.place = place
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        self.bytes = b""

    def give(self):
        os.dup2(self.writer, self.place)

    def filled(self):
        return bool(select.select([self.reader], [], [], 0)[0])

    def read(self):
        """All that was there so far."""
        while self.filled():
            self.bytes += os.read(self.reader, 65536)
        return self.bytes

    def close(self):
        os.close(self.reader)
        os.close(self.writer)


def test_messages_that_nobody_reads():
    """They are left out and counted; nobody waits for them."""
    pipe = UnreadPipe(2)
    server = Server("--pid-file", "@/pid")
    server.preload = pipe.give
    server.spawn()
    eventually(lambda: b"listening" in pipe.read(), "its address")
    server.port = int(re.search(rb":(\d+)/mails", pipe.bytes).group(1))
    for _ in range(300): # some lines each
        server.signal(signal.SIGUSR1)
        assert server.post(b"{bad").status == 400
    assert server.post(body()).status == 200
    pipe.read()
    server.signal(signal.SIGUSR1)
    # A line that has no room may leave some for the one that says so: they are several then.
    eventually(lambda: sum(map(int, re.findall(rb"warn: (\d+) messages were not written\n", pipe.read()))) > 300,
               "what was left out")
    while pipe.filled():
        pipe.read()
    for _ in range(300):
        server.signal(signal.SIGUSR1)
        assert server.post(b"{bad").status == 400
    server.signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    server.errors.close()
    server.output.close()
    shutil.rmtree(server.folder)


def test_junk_does_not_fill_the_log():
    with Server() as server:
        for i in range(2000):
            answer = server.post(b"{" + b" " * (i % 50), path="/mails" if i % 2 else "/mail")
            assert answer.status == (400 if i % 2 else 404)
        server.stop()
        said = server.stderr()
        assert len(said) < 2000, said
        assert "400 to 127.0.0.1: malformed_json at offset " in said
        assert "404 to 127.0.0.1: not_found: /mail: there is nothing at this path" in said
        assert "400 to 127.0.0.1: malformed_json: 999 more" in said
        assert "404 to 127.0.0.1: not_found: /mail: 999 more" in said


def test_messages_that_come_again_and_again():
    """They are counted, also when others come between; what somebody asks for is said each time."""
    server = Server("--auth-file", "@/auth")
    server.write("auth", "bearer right\n")
    with server:
        server.write("auth", "nonsense\n")
        for i in range(1, 6):
            server.signal(signal.SIGHUP)
            server.wait_said("could not be read again", i)
        for i in range(1, 9):
            server.signal(signal.SIGHUP)
            server.signal(signal.SIGUSR1)
            server.wait_said("requests=0 events=0", i)
        server.stop()
        said = server.stderr()
        assert re.search(r"\d times more: could not be read again: --auth-file", said), said
        assert re.search(r"\d times more: .*auth:1", said), said
        assert len(re.findall(r"error: could not be read again: --auth-file", said)) == 5, said


def test_a_pipe_with_half_a_line():
    """A supervisor holds it while one daemon follows another."""
    pipe = UnreadPipe()
    os.write(pipe.writer, b'{"seq":1,"rea')
    with Server("--sink", "stdout:", sink=False, preload=pipe.give) as server:
        assert server.post(body()).status == 200
        lines = pipe.read().split(b"\n")
        assert lines[0] == b'{"seq":1,"rea' and json.loads(lines[1])["seq"] == 1, lines


def test_a_pipe_that_nobody_reads():
    pipe = UnreadPipe()
    with Server("--sink", "stdout:", sink=False, preload=pipe.give) as server:
        assert server.post(body()).status == 200
        answer = server.post(body(20, reason="x" * 300))
        assert (answer.status, answer.json()["error"]) == (503, "storage_failed")
        assert server.post(body()).status == 503
        server.wait_said("takes nothing more")
        # What broke off is ended, and what comes is whole.
        eventually(lambda: pipe.read() and server.post(body(first=7)).status == 200, "a reader")
        lines = pipe.read().split(b"\n")
        assert json.loads(lines[0])["to"] == "user0@example.jp"
        assert json.loads(lines[-2])["to"] == "user7@example.jp" and lines[-1] == b""
        assert server.stderr().count("trying again") == 1, server.stderr()
        # The pipe is others' too, and blocks as it did.
        assert fcntl.fcntl(pipe.writer, fcntl.F_GETFL) & os.O_NONBLOCK == 0
    pipe.close()


def test_a_pipe_that_nobody_reads_does_not_keep_the_server():
    pipe = UnreadPipe()
    with Server("--sink", "stdout:", "--body-timeout", "1", sink=False, preload=pipe.give) as server:
        client = Client(server.port)
        client.send(request(body(20, reason="x" * 300)))
        eventually(pipe.filled, "a part of it")
        server.signal(signal.SIGTERM)
        assert client.answer().status == 503
        client.close()
        assert server.process.wait(PATIENCE) == 0
        assert "were not taken" not in server.stderr()
    pipe.close()

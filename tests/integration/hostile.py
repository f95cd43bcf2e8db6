"""Attacks at a steady rate, from one address and from many, beside good senders: `make hostile`.

Run by run.py, few at a time: a good request is answered within two seconds, and that needs a machine that
does little else. CMCWH_HOSTILE_SECONDS says how long each attack lasts (4)."""

import concurrent.futures
import os
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time

from attackers import client_hello
from harness import Client, Threads, body, eventually, request
from test_https import Https
from test_stalls import resident, stall

SECONDS = int(os.environ.get("CMCWH_HOSTILE_SECONDS", "4"))
SANITIZED = bool(os.environ.get("SANITIZE"))
LIMIT = 10 if SANITIZED else 2  # seconds in which a good request is answered
MEMORY = 12288                  # KiB that attacks may add: 128 handshakes, 64 KiB each, and a half
RATE = 300
MANY = 50
LARGE = body(200, reason="x" * 300)
assert len(LARGE) > 70000


def descriptors(server):
    return len(os.listdir("/proc/%d/fd" % server.process.pid))


class Attack:
    """Attackers at work. wait() returns when all have come: is it so?"""

    def __init__(self, kind, rate, addresses, ports):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "attackers.py")
        self.command = [sys.executable, program, kind] + [
            str(number) for number in (rate, rate * SECONDS, addresses, *ports)]

    def wait(self):
        return self.process.stdout.readline() == b"opened\n"

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *unused):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Good:
    """A good sender: every request must be answered with 200, and soon."""

    def __init__(self, name, connect, data, kept=False, pause=1.0, takes=0.0):
        self.name, self.connect, self.data, self.kept, self.pause = name, connect, data, kept, pause
        self.takes = takes  # seconds over which it sends a request
        self.count, self.slowest, self.failed = 0, 0.0, None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.send)

    def post(self, client):
        pieces = 15 if self.takes else 1
        size = len(self.data) // pieces + 1
        for i in range(pieces):
            client.send(self.data[i * size:(i + 1) * size])
            time.sleep(self.takes / pieces)
        answer = client.answer()
        assert answer.status == 200, "%d: %r" % (answer.status, answer.body)
        return answer

    def one(self, client):
        start = time.monotonic()
        try:
            client = client or self.connect()
            answer = self.post(client)
        except (OSError, AssertionError) as error:
            self.failed = "request %d after %.2f s: %r" % (self.count + 1, time.monotonic() - start,
                                                           error)
            raise
        self.slowest = max(self.slowest, time.monotonic() - start - self.takes)
        self.count += 1
        if not self.kept or answer.headers.get("connection") == ["close"]:
            client.close()
            return None
        return client

    def send(self):
        client = None
        while self.failed is None and (self.count < 2 or not self.ending.is_set()):
            try:
                client = self.one(client)
            except (OSError, AssertionError):
                return
            self.ending.wait(self.pause)
        if client is not None:
            client.close()


class Company:
    """Good senders together. At their end all must have been served."""

    def __init__(self, senders):
        self.senders = senders

    def __enter__(self):
        for sender in self.senders:
            sender.thread.start()
        return self

    def __exit__(self, kind, *unused):
        for sender in self.senders:
            sender.ending.set()
        for sender in self.senders:
            sender.thread.join()
        wrong = ["%s: %s" % (sender.name, sender.failed) for sender in self.senders if sender.failed]
        assert kind or not wrong, "; ".join(wrong)
        slow = ["%s: %.2f s" % (sender.name, sender.slowest) for sender in self.senders
                if sender.slowest > LIMIT]
        assert kind or not slow, "; ".join(slow)


class Drips(Threads):
    """Eight connections whose requests grow by 1.5 KB every 0.2 s, and that come again when they are
    closed. Each comes from an address of its own, or all from one."""

    def __init__(self, server, secure, addresses):
        self.server, self.secure, self.addresses = server, secure, addresses
        self.context = server.context() if secure else None
        self.came = 0
        self.set_up(self.run, 8)

    def connect(self, number):
        connection = socket.create_connection(
            ("127.0.0.1", self.server.ports[0 if self.secure else 1]), 30,
            ("127.0.1.%d" % (1 + number % self.addresses), 0))
        if self.secure:
            connection = self.context.wrap_socket(connection, server_hostname="localhost")
        return connection

    def drip(self, number):
        with self.connect(number) as connection:
            connection.sendall(request(b'{"x":"' + b"y" * 66000, length=1000000))
            while not self.ending.wait(0.2):
                connection.sendall(b"y" * 1500)

    def run(self, number):
        while not self.ending.is_set():
            self.came += 1
            try:
                self.drip(number)
            except OSError:
                self.ending.wait(0.01)

    def wait(self):
        self.ending.wait(SECONDS)
        return self.came >= len(self.threads)


def usual(server):
    def plain():
        return Client(server.ports[1])

    return [Good("HTTPS, kept", server.client, request(body()), kept=True),
            Good("HTTPS", server.client, request(body()), pause=0.5),
            Good("plain, kept", plain, request(body()), kept=True),
            Good("plain", plain, request(body()), pause=0.5),
            Good("70 KB", plain, request(LARGE), pause=0.5),
            Good("70 KB over HTTPS", server.client, request(LARGE), pause=0.5)]


def slow_and_large(server):
    """70 KB that are on their way for 1.5 s."""
    return usual(server) + [
        Good("70 KB, slow", lambda: Client(server.ports[1]), request(LARGE), pause=0.1, takes=1.5),
        Good("70 KB, slow, over HTTPS", server.client, request(LARGE), pause=0.1, takes=1.5)]


def slow(server):
    """Small ones too."""
    return slow_and_large(server) + [
        Good("slow", lambda: Client(server.ports[1]), request(body(5)), pause=0.1, takes=1.5),
        Good("slow over HTTPS", server.client, request(body(5)), pause=0.1, takes=1.5)]


def both(*options):
    """HTTPS at ports[0], plain HTTP at ports[1]."""
    return Https("--listen", "127.0.0.1:0", "--sync", "never", *options)


def say(name, before, most, senders):
    print("%s: %d good requests, the slowest %.2f s (%s); memory %d KiB, at most %d" % (
        name, sum(sender.count for sender in senders), max(sender.slowest for sender in senders),
        max(senders, key=lambda sender: sender.slowest).name, before, most), file=sys.stderr)


def suffer(server, rest, name, attack, senders=usual):
    """`rest`: descriptors and memory before any attack."""
    before, memory = rest
    company = senders(server)
    most = 0
    with attack, Company(company), concurrent.futures.ThreadPoolExecutor(1) as pool:
        came = pool.submit(attack.wait)
        while not came.done():
            most = max(most, resident(server))
            time.sleep(0.1)
        assert came.result(), "the attackers have failed"
    say(name, memory, most, company)
    assert SANITIZED or most - memory <= MEMORY, "%d KiB more" % (most - memory)
    eventually(lambda: descriptors(server) == before, "%d descriptors" % before)


def stop(server):
    start = time.monotonic()
    server.stop()
    took = time.monotonic() - start
    assert took < (15 if SANITIZED else 3), "the stop took %.2f s" % took


def attacked(attacks, *options):
    """`attacks` makes a list of a server: names, attacks, and who is to be served all the same."""
    with both(*options) as server:
        before = descriptors(server)
        for client in (server.client(), Client(server.ports[1])):  # what is made once is there
            client.send(request(LARGE))
            assert client.answer().status == 200
            client.close()
        rest = before, resident(server)
        for name, attack, senders in attacks(server):
            suffer(server, rest, name, attack, senders)
        stop(server)


def flood(kind, which, *options, rate=RATE, senders=(usual, usual)):
    """From one address, and then from many. `which` ports: 0 HTTPS, 1 plain."""
    attacked(lambda server: [("%s from %d" % (kind, addresses),
                              Attack(kind, rate, addresses, [server.ports[i] for i in which]), good)
                             for addresses, good in zip((1, MANY), senders)], *options)


def drips(*options):
    attacked(lambda server: [("%s drips from %d" % ("HTTPS" if secure else "plain", addresses),
                              Drips(server, secure, addresses), usual)
                             for secure in (False, True) for addresses in (1, 8)], *options)


def test_silent_connections():
    flood("silent", (0, 1))


def test_silent_client_hellos():
    flood("hello", (0,))


def test_half_handshakes():
    flood("half_handshake", (0,))


def test_heads_that_expect():
    flood("expect", (1,))


def test_a_byte_a_second():
    flood("trickle", (0, 1))


def test_answers_that_are_not_read():
    flood("unread", (1,))


def test_silent_connections_that_are_taken():
    """After some seconds the system gives up to wait for their first byte."""
    flood("silent", (0, 1), "--body-timeout", "2")


def test_a_byte_and_no_more():
    """Beside requests that are on their way for 1.5 s."""
    flood("byte", (0, 1), rate=1000, senders=(slow, slow))


def test_heads_beside_slow_requests():
    """A small one over HTTPS that takes its time can be told from fifty others by nobody."""
    flood("expect", (1,), senders=(slow, slow_and_large))


def test_large_requests_that_drip():
    drips()


def test_those_who_may_not_post():
    drips("--allow", "127.0.0.1")


def rested(server, clients):
    """All at once, and then one after the other: who was told that its connection is kept has it still."""
    for client in clients:
        client.send(request(body()))
    for client in clients:
        answer = client.answer()
        assert answer.status == 200 and answer.headers["connection"] == ["keep-alive"]


def test_a_thousand_that_rest():
    with both("--connections", "1100", "--keep-alive", "120") as server:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
        before, context, session, clients = descriptors(server), server.context(), None, []
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # its ticket can be used again
        memory = resident(server)
        for i in range(1000):
            client = Client(server.port, source="127.0.2.%d" % (1 + i % 20))
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.socket = context.wrap_socket(client.socket, server_hostname="localhost",
                                                session=session)
            session = session or client.socket.session
            clients.append(client)
            rested(server, [client])
        print("1000 HTTPS connections that rest: %d KiB each" % (
            (resident(server) - memory) // len(clients)), file=sys.stderr)
        time.sleep(min(SECONDS, 60))
        rested(server, clients)
        for client in clients:
            client.close()
        eventually(lambda: descriptors(server) == before, "%d descriptors" % before)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        stop(server)


def test_promises_that_are_used_up():
    """More connections than there are, each with an answer that it is kept."""
    flood("kept", (1,))


def test_handshakes_beside_those_that_have_not_begun():
    """There is no memory for more handshakes than are taken at a time, whoever gives way."""
    with Https("--body-timeout", "300") as server:
        assert server.post(body()).status == 200
        before = resident(server)
        connections = stall(server, b"\x16", 800) + stall(server, client_hello(), 800)
        assert server.post(body()).status == 200
        assert SANITIZED or resident(server) - before <= MEMORY, "%d KiB more" % (
            resident(server) - before)
        for connection in connections:
            connection.close()


def test_large_requests_that_stop():
    """Fifty who send as much as good ones do, and then nothing, are not told from them in time."""
    attacked(lambda server: [("large from 1", Attack("large", RATE, 1, server.ports[1:]), usual)])

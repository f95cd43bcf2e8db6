"""MQTT sinks and brokers that do what they should not: nothing counts as taken that was not acknowledged, everybody
is waited for so long and no longer, and what is wrong is said."""

import os
import re
import socket
import struct
import threading
import time

from brokers import DISCONNECT, Fake, packet
from harness import body, eventually
from onward import MEMORY, Onward, Sender, check


def faulty(said, *scripts, uri="", scheme="mqtt", connections=None, ring="file"):
    """A broker does this, and this is said; later it is a good one, and all events are there. Returns what was
    said."""
    with Fake(*scripts) as fake, \
            Onward("%s://127.0.0.1:%d%s" % (scheme, fake.port, uri), ring=ring) as server:
        sender = Sender(server)
        sender.insist(3)
        server.wait_said("': " + said + "; trying again, requests may get 503")
        server.wait_said("works again")
        sender.insist()
        server.emptied()
        check(server.lines(), fake.ids())
        assert connections is None or fake.connections == connections, fake.connections
        return server.stderr()


def test_says_nothing():
    faulty("the broker does not answer", lambda connection: connection.rest())


def test_half_an_answer():
    def half(connection):
        connection.begin()
        connection.socket.sendall(b"\x20")
        connection.rest()
    faulty("the broker does not answer", half)


def test_answers_that_never_end():
    """A byte now and then does not count as one."""
    def drip(connection):
        connection.begin()
        connection.socket.sendall(b"\x20\x83\x80\x80\x01")
        while True:
            connection.socket.sendall(b"\0")
            time.sleep(0.2)
    faulty("the broker does not answer", drip)


def test_garbage():
    def speaks_http(connection):
        connection.begin()
        connection.socket.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nServer: " + 50 * b"x")
        connection.rest()
    faulty("what came is not MQTT: is it a broker, without TLS?", speaks_http)


def test_answers_too_early():
    def early(connection):
        connection.begin()
        connection.acknowledge(1)
        connection.rest()
    faulty("what came is not MQTT: is it a broker, without TLS?", early)


def test_hangs_up():
    """In place of an answer, as old ones do that do not know MQTT 5: 3.1.1 is tried at once."""
    faulty("the broker closed the connection without an answer: does that port want TLS (mqtts:)?",
           *3 * [lambda connection: connection.begin()])


def test_hangs_up_once():
    """As one that ends, or one of several behind the same address: the next is no old one for that."""
    def good_of_5(connection):
        connection.accept()
        assert connection.version == 5, connection.version
        connection.take(3)
        connection.rest()
    with Fake(lambda connection: connection.begin(), good_of_5) as fake, \
            Onward("mqtt://127.0.0.1:%d" % fake.port) as server:
        Sender(server).insist(3)
        server.emptied()
        check(server.lines(), fake.ids())
        assert "MQTT 5" not in server.stderr(), server.stderr()


def old(connection):
    connection.accept(1)
    assert connection.version == 5


def test_speaks_no_mqtt_5():
    """Which is said, for then a topic that it forbids cannot be."""
    for scripts in [old], 2 * [lambda connection: connection.begin()]:
        with Fake(*scripts) as fake, Onward("mqtt://127.0.0.1:%d" % fake.port) as server:
            Sender(server).insist()
            server.wait_said("the broker does not speak MQTT 5, so that it cannot say when it forbids a topic")
            server.emptied()
            check(server.lines(), fake.ids())
            assert "trying again" not in server.stderr(), server.stderr()
    faulty("the broker does not speak this MQTT: see version=", lambda connection: connection.accept(0x84),
           uri="?version=5")


def test_refusals():
    for reason, said in ((0x85, "the broker refuses our id: see client=ID"),
                         (0x87, "the broker wants to know who comes: auth=FILE"),
                         (0x88, "the broker refuses us: Server unavailable"),
                         (0x9A, "the broker retains nothing: leave state= out"),
                         (0xFF, "the broker refuses us: Unknown reason")):
        faulty(said, lambda connection, reason=reason: connection.accept(reason))
    for reason, said in ((2, "the broker refuses our id: see client=ID"),
                         (3, "the broker refuses us: Server unavailable"),
                         (4, "the broker wants to know who comes: auth=FILE"),
                         (5, "the broker wants to know who comes: auth=FILE")):
        faulty(said, lambda connection, reason=reason: connection.accept(reason), uri="?version=3.1.1")


def test_never_acknowledges():
    """Not even when it pings."""
    def deaf(connection):
        connection.accept()
        connection.rest()
    for ring in "file", "memory":
        faulty("the broker acknowledges nothing", deaf, ring=ring)


def test_takes_and_never_acknowledges():
    """Then it gets one of them again each time, not all."""
    counts = []

    def takes(connection):
        connection.accept()
        counts.append(0)
        while True:
            connection.message()
            counts[-1] += 1
    with Fake(takes, takes) as fake, Onward("mqtt://127.0.0.1:%d" % fake.port) as server:
        Sender(server).insist(5)
        server.wait_said("the broker acknowledges nothing")
        server.emptied()
        check(server.lines(), fake.ids())
        assert counts == [5, 1], counts


def collect(connection, count):
    connection.accept()
    return [connection.message() for _ in range(count)]


def test_acknowledges_in_any_order():
    """Some twice, and what was never sent."""
    def backwards(connection):
        for number, _, _ in reversed(collect(connection, 5)):
            for each in 12345, number, number:
                connection.acknowledge(each)
        while True:
            connection.take()
    with Fake(backwards) as fake, Onward("mqtt://127.0.0.1:%d" % fake.port) as server:
        sender = Sender(server)
        sender.insist(5)
        server.emptied()
        sender.insist(2)
        server.emptied()
        assert len(fake.taken) == 2 and fake.connections == 1
        assert "trying again" not in server.stderr()


def test_acknowledges_some():
    """Those up to the first that it has not are not sent again; that one and all behind it are, in order."""
    for first, again in (([0, 1], 3), ([1, 2, 3, 4], 5), ([0, 2, 3], 4)):
        def some(connection, first=first):
            messages = collect(connection, 5)
            for i in first:
                connection.acknowledge(messages[i][0])
        with Fake(some) as fake, Onward("mqtt://127.0.0.1:%d" % fake.port) as server:
            Sender(server).insist(5)
            server.wait_said("the broker closed the connection")
            server.emptied()
            ids = [line["id"] for line in server.lines()]
            assert fake.ids() == ids[5 - again:], (first, fake.ids(), ids)


def test_acknowledges_nothing_unseen():
    """Acknowledgements of what is not there make nothing taken."""
    def strange(connection):
        collect(connection, 3)
        for number in range(10, 60):
            connection.acknowledge(number)
        connection.rest()
    faulty("the broker acknowledges nothing", strange)


def test_takes_few_at_a_time():
    """Receive Maximum: MQTT 5 says how many may be in flight; window= is another limit."""
    def few(connection, limit):
        connection.accept(0, b"\x21" + struct.pack(">H", limit) if limit < 3 else b"")
        connection.socket.settimeout(0.3)
        waiting = []
        while True:
            try:
                waiting.append(connection.message())
            except socket.timeout:
                for number, _, payload in waiting:
                    connection.taken.append(payload)
                    connection.acknowledge(number)
                waiting.clear()
            assert len(waiting) <= limit, waiting
    for uri, limit in (("", 1), ("", 2), ("?window=3", 3)):
        with Fake(lambda connection, limit=limit: few(connection, limit)) as fake, \
                Onward("mqtt://127.0.0.1:%d%s" % (fake.port, uri)) as server:
            Sender(server).insist(7)
            server.emptied()
            check(server.lines(), fake.ids())


def test_what_is_refused_goes_alone():
    """When it is tried again those behind it wait: subscribers would get them with every try."""
    tries = []

    def refuses(connection):
        connection.accept()
        number = connection.message()[0]
        connection.acknowledge(number, 0x87)
        tries.append(1)
        while True:
            connection.message()
            tries[-1] += 1
    with Fake(*3 * [refuses]) as fake, Onward("mqtt://127.0.0.1:%d" % fake.port) as server:
        Sender(server).insist(5)
        server.emptied()
        check(server.lines(), fake.ids())
        assert tries[0] <= 5 and tries[1:] == [1, 1], tries


def test_events_that_do_not_end():
    """Those that come while others are sent do not keep these in the ring."""
    posted = threading.Event()

    def busy(connection):
        posted.wait()
        connection.accept()
        connection.take(24)
        connection.rest()
    with Fake(*5 * [busy]) as fake, Onward("mqtt://127.0.0.1:%d?window=2" % fake.port) as server:
        for number in range(40):
            assert server.post(body(first=number)).status == 200
        posted.set()
        eventually(lambda: server.counters()["behind"] == "20", "the end of some")
        server.emptied()
        check(server.lines(), fake.ids())


def test_has_no_room_now():
    """Quota exceeded, or no reason: the same message may be taken later."""
    for reason, said in ((0x97, "Quota exceeded"), (0x80, "Unspecified error")):
        def full(connection, reason=reason):
            connection.accept()
            connection.take(1, reason)
            connection.rest()
        for policy in "required", "besteffort":
            with Fake(full, full) as fake, \
                    Onward("mqtt://127.0.0.1:%d?policy=%s" % (fake.port, policy)) as server:
                Sender(server).insist(3)
                server.wait_said("does not take a message with the topic 'cmc/deliveries/queued': %s; trying" % said)
                server.emptied()
                check(server.lines(), fake.ids())


def test_takes_no_long_messages():
    """Maximum Packet Size: a required sink stops there and says so; one that holds nobody up drops the event."""
    def short(connection):
        connection.accept(0, b"\x27" + struct.pack(">I", 600))
        while True:
            connection.take()
    said = "does not take a message with the topic 'cmc/deliveries/queued': Packet too large"
    with Fake(*[short] * 9) as fake, Onward("mqtt://127.0.0.1:%d?policy=besteffort" % fake.port) as server:
        sender = Sender(server)
        sender.insist()
        assert server.post(body(1, first=100, subject="x" * 500)).status == 200
        sender.insist()
        server.wait_said(said + "; the event is dropped")
        server.emptied()
        ids = [line["id"] for line in server.lines()]
        assert fake.ids() == [ids[0], ids[2]] and fake.connections == 1
    with Fake(short) as fake, Onward("mqtt://127.0.0.1:%d" % fake.port) as server:
        assert server.post(body(1, subject="x" * 500)).status == 200
        server.wait_said(said + "; trying again")
        server.emptied()
        check(server.lines(), fake.ids())


def test_takes_no_qos_1():
    def careless(connection):
        connection.accept(0, b"\x24\0")
        connection.rest()
    faulty("the broker takes no QoS 1: it acknowledges nothing", careless)


def test_says_why_it_ends():
    for reason, said in ((0x8E, "another client has come with our id: see client=ID"),
                         (0x8B, "the broker ended the connection: Server shutting down")):
        def ends(connection, reason=reason):
            connection.accept()
            connection.message()
            connection.socket.sendall(packet(DISCONNECT, bytes([reason, 0])))
            connection.rest()
        faulty(said, ends)


def test_ends_while_it_rests():
    """That is noticed without an event."""
    def ends(connection):
        connection.accept()
        connection.take(3)
    text = faulty("the broker closed the connection", ends, connections=2)
    assert text.count("trying again") == 1, text


def peak(server):
    with open("/proc/%d/status" % server.process.pid, encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1))


def test_endless_bytes():
    """Whatever length it announces, what it sends takes no memory."""
    longest = b"\xff\xff\xff\x7f" + bytes(65536)

    def endless(connection, head):
        connection.begin()
        connection.socket.sendall(head)
        while True:
            connection.socket.sendall(longest)
    with Fake() as fake, Onward("mqtt://127.0.0.1:%d" % fake.port) as server:
        Sender(server).insist(100)
        server.emptied()
        usual = peak(server)
    for head in b"\x20", b"\x20\x03\0\0\0\x30", b"\x20\x03\0\0\0\x40":
        with Fake(lambda connection, head=head: endless(connection, head)) as fake, \
                Onward("mqtt://127.0.0.1:%d" % fake.port) as server:
            Sender(server).insist(100)
            server.wait_said("': sends more than a broker would; trying again")
            server.wait_said("works again")
            server.emptied()
            check(server.lines(), fake.ids())
            assert os.environ.get("SANITIZE") or peak(server) <= usual + MEMORY, (peak(server), usual)

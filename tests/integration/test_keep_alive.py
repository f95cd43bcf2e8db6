"""A connection that was answered `keep-alive` is not closed under its client: it rests as long as the
client is told, and some seconds more, whatever others do. What must go is told so before."""

import fcntl
import os
import resource
import select
import signal
import socket
import time

from harness import Client, Load, Server, body, eventually, request
from test_https import Https

GRACE = 5  # seconds that a connection rests longer than it was told


def ask(client, number=0, **more):
    """Posts one event. Does the connection stay, by what the answer says?"""
    client.send(request(body(first=number), **more))
    answer = client.answer()
    assert answer.status == 200, answer.body
    stays = answer.headers["connection"] == ["keep-alive"]
    assert stays == ("keep-alive" in answer.headers)
    return stays


def silent(client):
    """Is it open, with nothing to read?"""
    return select.select([client.socket], [], [], 0)[0] == []


def connect(server):
    return server.client() if isinstance(server, Https) else Client(server.port)


def kept_of(server, count):
    """Opens connections one by one, posts on each, and returns those that stay."""
    kept = []
    for number in range(count):
        client = connect(server)
        if ask(client, number):
            kept.append(client)
        else:
            assert client.closed()
            client.close()
    return kept


def close(clients):
    for client in clients:
        client.close()


def test_answers_tell_how_long_a_connection_may_rest():
    for options, told in (((), ["timeout=60"]), (("--keep-alive", "7"), ["timeout=7"])):
        with Server(*options) as server:
            for data, status in ((body(), 200), (b"{", 400)):
                client = Client(server.port)
                client.send(request(data))
                answer = client.answer()
                assert answer.status == status and answer.headers["keep-alive"] == told
                client.close()


def test_nothing_is_kept_with_0():
    with Server("--keep-alive", "0") as server:
        client = Client(server.port)
        assert not ask(client) and client.closed()
        client.close()


def rest(server):
    """Over two rests of more than what was told. Then it is closed, not before its time."""
    with server:
        client = connect(server)
        for number in range(3):
            start = time.monotonic()
            assert ask(client, number)
            if number < 2:
                time.sleep(2.5)
        assert client.closed()
        assert time.monotonic() - start >= 1 + GRACE
        client.close()


def test_rests_longer_than_told_and_longer_than_a_body_may_take():
    rest(Server("--keep-alive", "1", "--body-timeout", "1"))


def test_rests_over_https_too():
    rest(Https("--keep-alive", "1", "--body-timeout", "1"))


def test_kept_connections_hold_no_worker():
    with Server("--workers", "1") as server:
        clients = kept_of(server, 100)
        for turn in range(1, 3):
            for i, client in enumerate(clients):
                assert ask(client, 100 * turn + i)
            assert server.post(body(first=1000 + turn)).status == 200
        close(clients)
        assert len(server.wait_lines(302)) == 302


def test_a_chunked_request_keeps_its_connection():
    with Server("--workers", "1") as server:
        clients = [connect(server) for _ in range(5)]
        for i in range(20):
            data = body(first=i)
            client = clients[i % 5]
            client.send(request(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data), length=False,
                                headers=["Transfer-Encoding: chunked"]))
            answer = client.answer()
            assert answer.status == 200 and answer.headers["connection"] == ["keep-alive"]
        close(clients)


def test_who_wants_another_protocol_keeps_this_one():
    with Server() as server:
        for wish in (["Connection: keep-alive, Upgrade"],
                     ["Connection: keep-alive, Upgrade", "Upgrade: websocket"],
                     ["Connection: keep-alive, Upgrade", "Upgrade: TLS/1.2"]):
            client = Client(server.port)
            assert ask(client, headers=wish) and ask(client)
            client.close()


def test_https_rests_like_plain_http():
    """A connection that rests has no thread, with TLS or without."""
    for workers in (1, 2, 4):
        with Https("--workers", str(workers), "--listen", "127.0.0.1:0") as server:
            stay = kept_of(server, 8)
            assert len(stay) == 8
            time.sleep(1)
            for i in range(5):  # those who stay hold up nobody
                assert server.post(body(first=i)).status == 200
            plain = Client(server.ports[1])
            assert ask(plain)
            for client in stay:
                assert silent(client) and ask(client)
            close(stay + [plain])


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))


def strangers(server, count):
    """Connections that send a part of a request. (The kernel keeps those that send nothing.)"""
    found = []
    for _ in range(count):
        found.append(Client(server.port))
        found[-1].send(b"POST /mails HTTP/1.1\r\nHost: x\r\n")
    return found


def test_strangers_take_no_place_that_was_promised():
    with Server("--workers", "2", "--body-timeout", "20", preload=few_descriptors) as server:
        kept = kept_of(server, 90)  # when many are kept, others are told that they are not
        assert 20 < len(kept) < 90, len(kept)
        others = strangers(server, 150)
        eventually(lambda: any(not silent(other) for other in others), "a stranger sent away")
        for i, client in enumerate(kept):
            assert silent(client), i
            ask(client, 100 + i)
        for other in others:
            if not silent(other):
                answer = other.answer()
                assert answer.status == 503, answer.body
        close(kept + others)


def test_who_has_rested_long_enough_goes_first():
    with Server("--workers", "2", "--keep-alive", "1", "--body-timeout", "20",
                preload=few_descriptors) as server:
        kept = kept_of(server, 20)
        time.sleep(1.5)
        others = []
        while all(silent(client) for client in kept):
            others += strangers(server, 1)
            assert len(others) < 160
            time.sleep(0.002)
        assert all(silent(other) for other in others)
        close(kept + others)


def test_waiting_for_a_sink_costs_nobody_its_connection():
    """While a log takes nothing, workers hold requests for longer than one that sends slowly may hold
    them, and others wait for these workers."""
    server = Server("--workers", "3", "--store-timeout", "60", "--sync", "always", "--sink", "file:@/fifo", sink=False)
    os.mkfifo(server.path("fifo"))
    fifo = os.open(server.path("fifo"), os.O_RDWR | os.O_NONBLOCK)
    full(fifo)
    with server:
        clients = [connect(server) for _ in range(6)]
        for i, client in enumerate(clients):
            client.send(request(body(first=i)))
        time.sleep(1.5)

        def answered():
            try:
                os.read(fifo, 65536)
            except BlockingIOError:
                pass
            return all(not silent(client) for client in clients)
        eventually(answered, "all answers")
        for i, client in enumerate(clients):
            assert client.answer().headers["connection"] == ["keep-alive"], i
        time.sleep(0.3)
        assert all(silent(client) for client in clients)
        close(clients)
        os.close(fifo)


def full(pipe):
    """Fills it."""
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
    try:
        while os.write(pipe, b"\n" * 4096):
            pass
    except BlockingIOError:
        pass


def sigterm_meets(server, clients, first):
    """Each client's request has been sent when the server learns that it is to stop."""
    server.signal(signal.SIGSTOP)
    server.signal(signal.SIGTERM)
    for i, client in enumerate(clients):
        client.send(request(body(first=first + i)))
    server.signal(signal.SIGCONT)
    for client in clients:
        assert client.answer().status == 200 and client.closed()


def test_what_is_on_its_way_when_it_stops_is_answered():
    """Requests on kept connections come in the very moment of SIGTERM, and one that has begun before
    ends when those that rest have been closed."""
    for server in (Server("--workers", "2", "--body-timeout", "30"),
                   Https("--workers", "6", "--body-timeout", "30")):
        with server:
            clients = kept_of(server, 8)
            assert len(clients) in (3, 8)
            resting, begun, others = clients[0], clients[1], clients[2:]
            begun.send(request(body())[:40])
            time.sleep(0.5)
            sigterm_meets(server, others, 100)
            assert resting.closed()
            begun.send(request(body())[40:])
            answer = begun.answer()
            assert answer.status == 200 and answer.headers["connection"] == ["close"]
            assert begun.closed() and server.process.wait(10) == 0
            close(clients)


def test_stopping_under_load_answers_all_that_was_sent():
    """Every answer came, and says how the connection goes on; a refused connection took nothing."""
    FAR = 900000  # no client of the load comes there
    with Server("--workers", "2") as server:
        with Load(server) as load:
            load.wait(50)
            kept = kept_of(server, 10)
            assert len(kept) == 10
            sigterm_meets(server, kept, FAR)
            assert server.process.wait(30) == 0
        close(kept)
        stored = [line["to"] for line in server.lines()]
        assert not set(load.acknowledged) - set(stored)
        assert [stored.count("user%d@example.jp" % (FAR + i)) for i in range(10)] == [1] * 10


def test_a_slow_request_on_a_kept_connection_learns_that_it_is_late():
    for server in (Server("--body-timeout", "1"), Https("--body-timeout", "1")):
        with server:
            for rest_before in (0, 0.3):
                client = connect(server)
                assert ask(client)
                time.sleep(rest_before)
                client.send(b"POST /mails HTTP/1.1\r\nHost: x\r\n")
                answer = client.answer()
                assert answer.status == 408, answer.body
                assert answer.headers["connection"] == ["close"] and client.closed()
                client.close()

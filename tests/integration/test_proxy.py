"""Behind a proxy: whom it names is believed when it was named itself. And guessing of credentials,
which is limited for each peer."""

import os
import socket
import struct
import threading

import fronts
from harness import Client, Server, body, request
from test_https import Https

BEARER = "Authorization: Bearer "
SENDER = "203.0.113.5"
OTHER = "198.51.100.7"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def status(server, data=None, first=b"", **more):
    client = Client(server.port)
    try:
        client.send(first + request(body() if data is None else data, **more))
        return client.answer().status
    finally:
        client.close()


def forwarded(*values):
    return ["X-Forwarded-For: " + value for value in values]


def test_forwarded_for():
    with Server("--proxy", "127.0.0.0/8", "--proxy", "192.0.2.0/24", "--allow", SENDER,
                "--allow", "2001:db8::5", "--log-level", "info") as server:
        for values, expected in (
                ([SENDER], 200), ([OTHER], 403), ([], 403), ([""], 403),
                (["%s, %s" % (OTHER, SENDER)], 200), (["%s, %s" % (SENDER, OTHER)], 403),
                (["%s,%s" % (SENDER, OTHER)], 403), (["%s , 192.0.2.9" % SENDER], 200),
                ([SENDER, OTHER], 403), ([OTHER, SENDER], 200), ([SENDER, "192.0.2.9"], 200),
                ([SENDER + ":4711"], 200), (["2001:db8::5"], 200), (["[2001:db8::5]:4711"], 200),
                (["2001:DB8:0::5"], 200), (["2001:db8::6"], 403),
                ([SENDER + ", unknown"], 403), ([SENDER + ", x" + "y" * 500], 403),
                ([SENDER + ", 203.0.113.5.6"], 403), ([SENDER + ",,"], 200), ([",, ,"], 403),
                (["192.0.2.1"], 403), (["unknown, 192.0.2.1"], 403),
                # whoever asks from the proxy's own machine names nobody else
                ([SENDER + ", 127.0.0.1"], 403), ([SENDER + ", ::ffff:127.0.0.1"], 403),
                ([SENDER, "127.0.0.1:4711"], 403), ([SENDER + ", 192.0.2.9, 127.0.0.1"], 403),
                (["127.0.0.1, " + SENDER], 200), ([SENDER + ", 127.0.0.1, 192.0.2.9"], 200),
                ([SENDER + ", 127.0.0.2"], 200)):
            assert status(server, headers=forwarded(*values)) == expected, values
        server.wait_said("403 to 198.51.100.7: forbidden")


def test_forwarded_for_by_anybody_is_ignored():
    with Server("--allow", SENDER) as server:
        assert status(server, headers=forwarded(SENDER)) == 403
    with Server("--allow", SENDER, "--proxy", "192.0.2.1") as server:
        assert status(server, headers=forwarded(SENDER)) == 403
        assert status(server, first=b"PROXY TCP4 203.0.113.5 127.0.0.1 1 2\r\n") == 400


def knock(server, first):
    """A PROXY header from somebody who is not believed: the connection is refused in any case."""
    client = Client(server.port)
    client.send(first + request(body()))
    client.closed()
    client.close()


def test_a_front_that_was_not_named_is_said_once():
    said = "127.0.0.1: it tells whose requests it passes on, and is not believed"
    headers = (b"PROXY TCP4 203.0.113.5 127.0.0.1 1 2\r\n", version_two(0x21, 0x11, FOUR))
    for server in (Server(), Server("--proxy", "192.0.2.1"), Https()):
        with server:
            assert server.post(body()).status == 200
            assert said not in server.stderr()
            for _ in range(3):
                assert server.post(body(), headers=forwarded(SENDER)).status == 200
            for first in headers:
                knock(server, first)
            server.stop()
            assert server.stderr().count(said) == 1
    for first in headers:
        for server in (Server(), Https()):
            with server:
                knock(server, first)
                server.wait_said(said)
    with Server("--proxy", "127.0.0.1") as server:
        for values in ([SENDER], ["unknown"], [SENDER + ", 127.0.0.1"]):
            assert status(server, headers=forwarded(*values)) == 200
        assert status(server, first=b"PROXY UNKNOWN\r\n") == 200
        server.stop()
        assert "is not believed" not in server.stderr()


def test_a_kept_connection_stays_whose_it_was():
    with Server("--proxy", "127.0.0.1", "--allow", SENDER, "--workers", "1") as server:
        clients = [Client(server.port) for _ in range(12)]
        for client in clients:
            client.send(b"PROXY TCP4 %s 127.0.0.1 1 2\r\n" % SENDER.encode())
        for _ in range(8):
            for client in clients:
                client.send(request(body()))
            for client in clients:
                answer = client.answer()
                assert answer.status == 200
                assert answer.headers["connection"] == ["keep-alive"]
        for client in clients:
            client.close()


def version_two(command, family, addresses):
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses)) + addresses


FOUR = socket.inet_aton(SENDER) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 1, 2)
SIX = (socket.inet_pton(socket.AF_INET6, "2001:db8::5") * 2) + struct.pack("!HH", 1, 2)


def test_proxy_protocol():
    with Server("--proxy", "127.0.0.1", "--allow", SENDER, "--allow", "2001:db8::5",
                "--log-level", "info") as server:
        for first, expected in (
                (b"PROXY TCP4 203.0.113.5 127.0.0.1 1 2\r\n", 200),
                (b"PROXY TCP4 198.51.100.7 127.0.0.1 65535 65535\r\n", 403),
                (b"PROXY TCP6 2001:db8::5 ::1 1 2\r\n", 200), (b"PROXY UNKNOWN\r\n", 403),
                (b"PROXY UNKNOWN ffff:f::1 ffff::2 65535 65535\r\n", 403), (b"", 403),
                (version_two(0x21, 0x11, FOUR), 200), (version_two(0x21, 0x21, SIX), 200),
                (version_two(0x21, 0x11, FOUR + b"\x03\0\x04abcd"), 200),
                (version_two(0x20, 0x00, b""), 403), (version_two(0x20, 0x11, FOUR), 403),
                (version_two(0x21, 0x31, b"x" * 216), 403)):
            assert status(server, first=first) == expected, first
            # it may come in pieces, and a connection has one only
            client = Client(server.port)
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(first)):
                client.send(first[i:i + 1])
            for _ in range(3):
                client.send(request(body()))
                answer = client.answer()
                assert answer.status == expected
                if expected != 200:
                    break
            client.close()
        # of whom it names nothing is believed
        assert status(server, first=b"PROXY TCP4 198.51.100.7 127.0.0.1 1 2\r\n",
                      headers=forwarded(SENDER)) == 403
        for first in (b"PROXY TCP4 203.0.113.5 127.0.0.1 1\r\n", b"PROXY TCP4 x y 1 2\r\n",
                      b"PROXY TCP5 203.0.113.5 127.0.0.1 1 2\r\n",
                      b"PROXY TCP4 2001:db8::5 ::1 1 2\r\n", b"PROXY TCP4 203.0.113.5 127.0.0.1 1 2\n",
                      b"PROXY TCP4 203.0.113.5 127.0.0.1 1 99999\r\n", b"PROXY " + b"x" * 200,
                      b"PROXY TCP4 203.0.113.5 127.0.0.1 1 2 3\r\n",
                      version_two(0x31, 0x11, FOUR), version_two(0x22, 0x11, FOUR),
                      SIGNATURE + b"\x21\x11\xff\xff" + b"x" * 600):
            client = Client(server.port)
            client.send(first + request(body()))
            assert client.closed(), first
            client.close()


def test_proxy_protocol_before_tls():
    with Https("--proxy", "127.0.0.1", "--allow", SENDER) as server:
        client = Client(server.port)
        client.send(b"PROXY TCP4 %s 127.0.0.1 1 2\r\n" % SENDER.encode())
        client.socket = server.context().wrap_socket(client.socket, server_hostname="localhost")
        client.send(request(body()))
        assert client.answer().status == 200
        client.close()
        client = Client(server.port)  # who may not post gets no handshake
        client.send(b"PROXY TCP4 %s 127.0.0.1 1 2\r\n" % OTHER.encode())
        try:
            server.context().wrap_socket(client.socket, server_hostname="localhost")
            raise AssertionError("the handshake was done")
        except OSError:
            pass
        client.close()
        server.wait_said(OTHER + ": its TLS connection was closed: --allow does not name it")


def test_guessing_is_limited():
    guarded = Server("--auth-file", "@/auth", "--proxy", "127.0.0.1", "--log-level", "debug")
    guarded.write("auth", "bearer right-one\n")
    with guarded as server:
        def post(address, token):
            headers = forwarded(address) + ([BEARER + token] if token else [])
            client = Client(server.port)
            client.send(request(body(), headers=headers))
            answer = client.answer()
            client.close()
            return answer
        for i in range(10):
            assert post(SENDER, None).status == 401  # not a guess
        for i in range(9):
            assert post(SENDER, "guess-%d" % i).status == 401
        assert post(SENDER, "right-one").status == 200
        assert post(SENDER, "guess-9").status == 401
        answer = post(SENDER, "right-one")
        assert answer.status == 429 and answer.json()["error"] == "too_many_requests"
        assert 1 <= int(answer.headers["retry-after"][0]) <= 60
        assert post(OTHER, "right-one").status == 200
        # a network of IPv6 is one peer
        for i in range(10):
            assert post("2001:db8:1:2::%d" % i, "guess").status == 401
        assert post("2001:db8:1:2:ffff::1", "right-one").status == 429
        assert post("2001:db8:1:3::1", "right-one").status == 200
        # others cannot make a peer be forgotten: they push out each other, the oldest first
        for i in range(40):
            assert post("192.0.2.%d" % i, "guess").status == 401
        assert post("2001:db8:1:2:ffff::1", "right-one").status == 429
        assert post(SENDER, "right-one").status == 429
        said = server.wait_said(
            "401 to 203.0.113.5: unauthorized: the credentials in Authorization are wrong")
        assert "guess" not in said and "right-one" not in said
        assert len(server.lines()) == 3
        server.stop()
        assert "401 to 203.0.113.5: unauthorized: 19 more" in server.stderr()


# ---- Real fronts ----

def check_front(start):
    """127.0.0.9 may post, 127.0.0.8 may not: only the front can tell which it is."""
    with Server("--proxy", "127.0.0.1", "--allow", "127.0.0.9") as server:
        with start(server) as front:
            with open(server.path("large.json"), "wb") as file:
                file.write(body(900, reason="x" * 300))
            sent = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "payloads",
                                "deliveries-failed.json")
            assert front.post(sent, "127.0.0.9") == 200
            assert front.post(server.path("large.json"), "127.0.0.9") == 200
            assert front.post(sent, "127.0.0.8") == 403
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(front.post(sent, "127.0.0.9")))
                       for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert answers == [200] * 20
        assert len(server.wait_lines(921)) == 921


def test_behind_haproxy_with_forwarded_for():
    check_front(lambda server: fronts.haproxy(server, frontend="option forwardfor"))


def test_behind_haproxy_with_proxy_protocol():
    check_front(lambda server: fronts.haproxy(server, "tcp", options="send-proxy-v2"))


def test_behind_nginx():
    check_front(lambda server: fronts.nginx(server, """proxy_pass http://127.0.0.1:@SERVER;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;"""))


def test_behind_stunnel():
    check_front(fronts.stunnel)

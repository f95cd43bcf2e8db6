"""attackers.py KIND RATE COUNT ADDRESSES PORT...: attackers of one kind, from so many loopback addresses.

Opens RATE connections a second by the clock, COUNT in all, to the ports in turn; prints a line when all
have been opened, holds them until its standard input ends, and then breaks them off."""

import collections
import resource
import select
import socket
import ssl
import struct
import sys
import time

HEAD = (b"POST /mails HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
# Answers fit into nothing: the least that the system gives.
SMALL_BUFFER, SMALL_SEGMENT = 1, 88


def client_hello():
    """A real one, as a TLS library sends it first."""
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.wrap_bio(received, sent, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


class Kind:
    def __init__(self, first=b"", then=b"", steadily=b"", reads=True):
        self.first = first        # is sent at once
        self.then = then          # is sent when the server has said something
        self.steadily = steadily  # is sent a byte a second
        self.reads = reads


KINDS = {
    "silent": lambda: Kind(),
    "hello": lambda: Kind(client_hello()),
    # a record that was to have the client's key, and ends before it
    "half_handshake": lambda: Kind(client_hello(), then=b"\x16\x03\x03\x00\x46\x10\x00\x00\x42"),
    "expect": lambda: Kind(HEAD + b"Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n"),
    "trickle": lambda: Kind(HEAD[:1], steadily=HEAD[1:] + b"X-Long: " + b"y" * 4000),
    "unread": lambda: Kind(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400, reads=False),
    "kept": lambda: Kind(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    # more than waits in the kernel
    "large": lambda: Kind(HEAD + b"Content-Length: 200000\r\n\r\n{" + b" " * 70000),
    "byte": lambda: Kind(b"P"),
}


class Connection:
    def __init__(self, number, kind, address, port):
        self.sent, self.answered = 0, False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        # no port is kept once it is closed
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if not kind.reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
        self.socket.bind((address, 0))
        self.socket.connect_ex(("127.0.0.1", port))
        self.number = number


class Attackers:
    def __init__(self, kind, rate, count, addresses, ports):
        self.kind, self.rate, self.count, self.ports = KINDS[kind](), rate, count, ports
        self.addresses = ["127.0.0.2"] if addresses == 1 else [
            "127.0.1.%d" % (i + 1) for i in range(addresses)]
        self.epoll = select.epoll()
        self.open = collections.OrderedDict()  # by descriptor, the oldest first
        self.steady = collections.deque()      # who sends the next byte, and when
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        self.most = limit - 64
        self.opened = 0

    def begin(self):
        if len(self.open) >= self.most:
            self.end(next(iter(self.open.values())))
        connection = Connection(self.opened, self.kind, self.addresses[self.opened % len(self.addresses)],
                                self.ports[self.opened % len(self.ports)])
        self.opened += 1
        self.open[connection.socket.fileno()] = connection
        self.epoll.register(connection.socket, select.EPOLLOUT | select.EPOLLIN)

    def end(self, connection):
        if self.open.pop(connection.socket.fileno(), None) is not None:
            connection.socket.close()

    def send(self, connection, data):
        try:
            connection.socket.send(data)
        except BlockingIOError:
            pass

    def connected(self, connection):
        if self.kind.first:
            self.send(connection, self.kind.first)
        if self.kind.steadily:
            self.steady.append((time.monotonic() + 1, connection))
        self.epoll.modify(connection.socket,
                          select.EPOLLRDHUP | (select.EPOLLIN if self.kind.reads else 0))

    def look(self, connection, events):
        if events & (select.EPOLLHUP | select.EPOLLERR):
            self.end(connection)
        elif events & select.EPOLLOUT:
            self.connected(connection)
        elif not events & select.EPOLLIN or not connection.socket.recv(65536):
            self.end(connection)
        elif self.kind.then and not connection.answered:
            connection.answered = True
            self.send(connection, self.kind.then)

    def send_steadily(self):
        while self.steady and self.steady[0][0] <= time.monotonic():
            due, connection = self.steady.popleft()
            if connection.socket.fileno() < 0 or connection.sent >= len(self.kind.steadily):
                continue
            try:
                self.send(connection, self.kind.steadily[connection.sent:connection.sent + 1])
                connection.sent += 1
                self.steady.append((due + 1, connection))
            except OSError:
                self.end(connection)

    def run(self):
        start, said = time.monotonic(), False
        self.epoll.register(sys.stdin, select.EPOLLIN)
        while True:
            due = min(self.count, int((time.monotonic() - start) * self.rate))
            for _ in range(min(due - self.opened, 50)):
                self.begin()
            if self.opened == self.count and not said:
                print("opened", flush=True)
                said = True
            for descriptor, events in self.epoll.poll(0.005):
                if descriptor == sys.stdin.fileno():
                    return
                connection = self.open.get(descriptor)
                if connection is not None:
                    try:
                        self.look(connection, events)
                    except OSError:
                        self.end(connection)
            self.send_steadily()


if __name__ == "__main__":
    Attackers(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]),
              [int(port) for port in sys.argv[5:]]).run()

"""MQTT as it is on the wire, for what stands at the other end of a sink: a real broker, who subscribes there, and
brokers that do one thing wrong."""

import json
import socket
import struct
import threading

from harness import PATIENCE, Threads, eventually, free_port
from programs import Engine, find

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
PINGREQ, PINGRESP, DISCONNECT = 0xC0, 0xD0, 0xE0


class Mosquitto(Engine):
    """The broker, in a server's folder; `lines` are of its configuration, behind its listener."""

    def __init__(self, server, *lines, port=None):
        port = port or free_port()
        path = server.write("broker.conf", "\n".join(
            ("user root", "listener %d 127.0.0.1" % port, "allow_anonymous true", "log_dest stderr") +
            tuple(line.replace("@", server.folder) for line in lines)) + "\n")
        super().__init__(server.folder, "broker", [find("mosquitto"), "-c", path], port)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(value)) + value


def packet(kind, data=b""):
    head, left = bytes([kind]), len(data)
    while True:
        head += bytes([left % 128 | (0x80 if left > 127 else 0)])
        left //= 128
        if left == 0:
            return head + data


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data


def receive(connection):
    """The next packet: its first byte, and its content."""
    kind, length, shift = exactly(connection, 1)[0], 0, 0
    while True:
        byte = exactly(connection, 1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return kind, exactly(connection, length)


def cut_text(data):
    length = struct.unpack(">H", data[:2])[0]
    return data[2:2 + length], data[2 + length:]


class Subscriber(Threads):
    """Gets all that comes on a broker, also when that comes again: `messages` are (topic, payload, retained)."""

    def __init__(self, port, topics="#"):
        self.port, self.topics, self.messages, self.connections = port, topics, [], 0
        self.set_up(self.follow, 1)

    def follow(self, _):
        while not self.ending.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    self.listen(connection)
            except OSError:
                self.ending.wait(0.02)

    def listen(self, connection):
        connection.sendall(packet(CONNECT, text("MQTT") + b"\x04\x02\0\0" + text("subscriber%d" % id(self))) +
                           packet(SUBSCRIBE, b"\0\1" + text(self.topics) + b"\0"))
        connection.settimeout(0.2)
        while not self.ending.is_set():
            try:
                head = connection.recv(1, socket.MSG_PEEK)
            except socket.timeout:
                continue
            connection.settimeout(PATIENCE)
            kind, data = receive(connection) if head else (0, b"")
            connection.settimeout(0.2)
            if kind == 0:
                return
            if kind == SUBACK:
                self.connections += 1
            elif kind & 0xF0 == PUBLISH:
                topic, payload = cut_text(data)
                self.messages.append((topic.decode(), payload, kind & 1 == 1))

    def __enter__(self):
        super().__enter__()
        return self.there(1)

    def there(self, connections):
        eventually(lambda: self.connections >= connections, "a subscription")
        return self

    def wait(self, count, topic=""):
        """The messages, once there are so many with this in their topic."""
        def found():
            return [message for message in list(self.messages) if topic in message[0]]
        eventually(lambda: len(found()) >= count, "%d messages" % count)
        return found()


class Connection:
    """One of a Fake's: what the sink sends, and what is answered."""

    def __init__(self, connection, taken):
        self.socket, self.taken = connection, taken
        self.socket.settimeout(PATIENCE)
        self.version = self.id = None

    def begin(self):
        """Its CONNECT."""
        kind, data = receive(self.socket)
        assert kind == CONNECT and data[:6] == text("MQTT"), (kind, data)
        self.version, rest = data[6], data[10:]
        self.id = cut_text(rest[1 + rest[0]:] if self.version == 5 else rest)[0].decode()

    def accept(self, reason=0, properties=b""):
        """MQTT 5 has properties."""
        self.begin()
        tail = bytes([len(properties)]) + properties if self.version == 5 else b""
        self.socket.sendall(packet(CONNACK, bytes([0, reason]) + tail))

    def message(self):
        """The next one: its number, its topic and what is in it."""
        kind, data = receive(self.socket)
        while kind == PINGREQ:
            self.socket.sendall(packet(PINGRESP))
            kind, data = receive(self.socket)
        if kind == DISCONNECT:
            raise ConnectionError("it has ended")
        assert kind & 0xF6 == PUBLISH | 2, "%x %r" % (kind, data)
        topic, rest = cut_text(data)
        number, rest = struct.unpack(">H", rest[:2])[0], rest[2:]
        return number, topic.decode(), rest[1 + rest[0]:] if self.version == 5 else rest

    def acknowledge(self, number, reason=None):
        self.socket.sendall(packet(PUBACK, struct.pack(">H", number) + (b"" if reason is None else bytes([reason]))))

    def take(self, count=1, reason=None):
        """Takes so many messages, one after the other."""
        for _ in range(count):
            number, _, payload = self.message()
            if reason is None:
                self.taken.append(payload)
            self.acknowledge(number, reason)

    def rest(self):
        """Until the sink gives it up."""
        while self.socket.recv(65536):
            pass


def good(connection):
    connection.accept()
    while True:
        connection.take()


class Fake:
    """A broker that does with each connection what the next of `scripts` says; when there are no more, it is good.
    What it has taken is in `taken`."""

    def __init__(self, *scripts):
        self.scripts, self.taken, self.connections, self.failed = scripts, [], 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ending = False
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        while not self.ending:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            script = self.scripts[self.connections] if self.connections < len(self.scripts) else good
            self.connections += 1
            with connection:
                try:
                    script(Connection(connection, self.taken))
                except OSError:
                    pass  # the sink has gone
                except AssertionError as error:
                    self.failed.append(error)

    def ids(self):
        return [json.loads(payload)["id"] for payload in self.taken]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *unused):
        self.ending = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        assert kind is not None or not self.failed, self.failed

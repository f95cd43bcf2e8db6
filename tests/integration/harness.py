"""Starts the real cmcwh, talks to it over loopback, and ends it by its pid."""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import zlib

CMCWH = "./cmcwh"
PAYLOADS = "tests/payloads"
PATIENCE = 30  # seconds for anything that should come; sanitizers are slow


class Skipped(Exception):
    """This machine cannot run the test; says why."""


def payload(name):
    with open(os.path.join(PAYLOADS, name), "rb") as file:
        return file.read()


def body(count=1, first=0, **members):
    """A JSON body of `count` deliveries, numbered in `to`."""
    events = [dict({"to": "user%d@example.jp" % (first + i), "status": "queued"}, **members)
              for i in range(count)]
    return json.dumps({"event_type": "deliveries", "server_composition": "pro",
                       "event": {"deliveries": events}}).encode()


def eventually(condition, what):
    """Waits until condition() is true, and returns it."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("did not come: " + what)
        time.sleep(0.02)


ports = []  # sockets that keep ports


def free_port(kind=socket.SOCK_STREAM):
    """A port for a program that cannot choose one and say which. A bound socket keeps it from everybody
    else until this process ends: who allows that addresses are used again, as servers do, can listen
    there all the same. Connected to nobody's port, it gets no datagram in the program's place."""
    keeper = socket.socket(socket.AF_INET, kind)
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_DGRAM:
        keeper.connect(("127.0.0.1", 9))
    ports.append(keeper)
    return keeper.getsockname()[1]


class Answer:
    """A parsed HTTP answer."""

    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.setdefault(name.lower(), []).append(value.strip())

    def json(self):
        return json.loads(self.body)


class Client:
    """A raw connection."""

    def __init__(self, port, host="127.0.0.1", source=""):
        self.socket = socket.create_connection((host, port), PATIENCE, (source, 0))
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, head_only=False):
        """The next answer; 100 Continue counts as one."""
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)content-length: *(\d+)", head)
        length = int(found.group(1)) if found and not head_only else 0
        while len(rest) < length:
            self.more()
            rest = self.buffer.partition(b"\r\n\r\n")[2]
        self.buffer = rest[length:]
        return Answer(head + b"\r\n\r\n" + rest[:length])

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed after %r" % self.buffer)
        self.buffer += data

    def closed(self):
        """Has the server closed the connection?"""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()


def request(data, method="POST", path="/mails", content_type="application/json", headers=(),
            length=None):
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: localhost"]
    if content_type is not None:
        lines.append("Content-Type: " + content_type)
    if length is None:
        length = len(data)
    if length is not False:
        lines.append("Content-Length: %s" % length)
    return "\r\n".join(lines + list(headers)).encode() + b"\r\n\r\n" + data


class Server:
    """A running cmcwh serve. Use as a context manager: at its end it must stop with `status`."""

    def __init__(self, *options, status=0, listen="127.0.0.1:0", sink=True, preload=None):
        self.folder = tempfile.mkdtemp(prefix="cmcwh-test-")
        self.log = os.path.join(self.folder, "log")
        self.status = status
        self.options = [option.replace("@", self.folder) for option in options]
        if sink:
            self.options += ["--sink", "file:" + self.log]
        self.command = [CMCWH, "serve", "--listen", listen] + self.options
        self.preload = preload

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def spawn(self):
        self.errors = open(self.path("stderr"), "w+b")
        self.output = open(self.path("stdout"), "w+b")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=self.errors, preexec_fn=self.preload)

    def __enter__(self):
        self.spawn()
        self.port = None

        def ports():
            found = re.findall(r"listening on https?://\S+:(\d+)/", self.stderr())
            return found if len(found) >= self.command.count("--listen") else None
        try:
            found = eventually(lambda: self.process.poll() is not None or ports(),
                               "the server's port")
        except AssertionError:
            self.process.kill()
            raise
        if found is True:
            lacks = re.search("this build has no (HTTP|MQTT|TLS)", self.stderr())
            if lacks:
                raise Skipped(lacks.group())
            raise AssertionError("cmcwh ended at once: " + self.stderr())
        self.ports = [int(port) for port in found]
        self.port = self.ports[0]
        return self

    def __exit__(self, kind, value, trace):
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            try:
                status = self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                status = "killed, for it did not stop"
            said = self.stderr()
            if kind is None:
                assert status == self.status, "exit status %s: %s" % (status, said)
                assert "Sanitizer" not in said and "runtime error" not in said, said
            else:
                value.said = said[-8000:]  # run.py shows it below the trace
        finally:
            self.errors.close()
            self.output.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def stderr(self):
        with open(self.path("stderr"), "rb") as file:
            return file.read().decode("utf-8", "replace")

    def stdout(self):
        with open(self.path("stdout"), "rb") as file:
            return file.read()

    def wait_said(self, text, times=1):
        """Messages may come after the answer that they are about. Returns all of stderr."""
        eventually(lambda: self.stderr().count(text) >= times, repr(text))
        return self.stderr()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Stops it now; what it said and wrote can still be looked at."""
        self.signal(signal.SIGTERM)
        self.process.wait(PATIENCE)

    def kill(self):
        """Kills the server, which is a power cut for the process: nothing is put in order."""
        self.process.kill()
        self.process.wait()

    def restart(self):
        """Starts it again in its folder, after stop() or kill()."""
        self.errors.close()
        self.output.close()
        return self.__enter__()

    def post(self, data, **more):
        """One request on a connection of its own."""
        client = Client(self.port)
        try:
            client.send(request(data, **more))
            return client.answer()
        finally:
            client.close()

    def curl(self, *arguments):
        """Posts with curl. Returns status and body."""
        result = subprocess.run(["curl", "-s", "-S", "-m", str(PATIENCE), "-w", "\n%{http_code}"] +
                                list(arguments) + ["http://127.0.0.1:%d/mails" % self.port],
                                stdout=subprocess.PIPE, check=True)
        text, _, status = result.stdout.decode().rpartition("\n")
        return int(status), text

    def lines(self, path=None):
        """The log's events; every line must be whole JSON."""
        try:
            with open(path or self.log, "rb") as file:
                text = file.read()
        except FileNotFoundError:
            return []
        assert text == b"" or text.endswith(b"\n"), "torn line: %r" % text[-80:]
        return [json.loads(line) for line in text.split(b"\n")[:-1]]

    def count(self, path=None):
        """How many lines are whole. While somebody writes, the last one need not be."""
        try:
            with open(path or self.log, "rb") as file:
                return file.read().count(b"\n")
        except FileNotFoundError:
            return 0

    def wait_lines(self, count, path=None):
        """For when nothing more than `count` lines is on its way."""
        eventually(lambda: self.count(path) >= count, "%d lines in the log" % count)
        return self.lines(path)


class Threads:
    """Threads that run until they are told to end."""

    def set_up(self, work, count):
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.ending.set()
        for thread in self.threads:
            thread.join()


class Load(Threads):
    """Clients that post one event a request until they are told to end. `acknowledged` lists who was
    stored for certain; what was sent while the server died may have been stored or not."""

    def __init__(self, server, clients=6):
        self.server, self.acknowledged = server, []
        self.set_up(self.send, clients)

    def send(self, client_number):
        number = client_number * 1000000
        # A server that is gone may leave its port to that of another test.
        while not self.ending.is_set() and self.server.process.poll() is None:
            number += 1
            try:
                if self.server.post(body(first=number)).status == 200:
                    self.acknowledged.append("user%d@example.jp" % number)
            except OSError:
                self.ending.wait(0.01)

    def wait(self, count):
        """Until `count` more were acknowledged."""
        enough = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= enough, "%d answers" % enough)


def lacks(said):
    """Has it said that this build does not have the command?"""
    return "use one with TOOLS=1" in said


def run(*arguments, data=None, preload=None):
    """Runs cmcwh to its end. Returns exit status, stdout, stderr. A test of a command that this build
    does not have is skipped."""
    result = subprocess.run([CMCWH] + list(arguments), input=data, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=PATIENCE, check=False,
                            preexec_fn=preload)
    said = result.stderr.decode("utf-8", "replace")
    if lacks(said):
        raise Skipped(said.strip())
    return result.returncode, result.stdout, said


def tls_1_3():
    """Does the library that does TLS speak that version?"""
    return b"TLS by OpenSSL" in run("--version")[1]


def loading(folder, source):
    """For preload=: compiles C that takes the place of functions of the C library, and loads it."""
    with open(CMCWH, "rb") as file:
        if b"/ld-" not in file.read(4096):
            raise Skipped("a static program takes no library to be loaded before others")
    path = os.path.join(folder, "preload")
    with open(path + ".c", "w", encoding="ascii") as file:
        file.write(source)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path + ".so", path + ".c", "-ldl"], check=True)

    def preload():
        os.environ["LD_PRELOAD"] = path + ".so"
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return preload


FIELDS = ["reason", "sourceIp", "returnPath", "created", "subject", "apiData", "messageId", "from",
          "to", "senderIp", "status", "", "event_type", "server_composition"]


def unframe(stream):
    """An independent reader of binary logs: COBS, CRC-32 and the layout that cmcwh.h documents."""
    records = []
    for frame in stream.split(b"\0")[:-1]:
        data, at = bytearray(), 0
        while at < len(frame):
            code = frame[at]
            data += frame[at + 1:at + code]
            at += code
            if code < 255 and at < len(frame):
                data.append(0)
        magic, version, kind, status, _, seq, batch, size, length, cut, received, ident = \
            struct.unpack_from("<4sBBBBQQIHHQQ", data)
        assert magic == b"CMCR" and version == 1 and length == len(data)
        assert struct.unpack_from("<I", data, length - 4)[0] == zlib.crc32(bytes(data[:-4]))
        record = {"seq": seq, "id": "%016x" % ident, "kind": kind, "code": status, "cut": cut}
        at = 80
        for name, size in zip(FIELDS, struct.unpack_from("<14H", data, 48)):
            record[name] = bytes(data[at:at + size]).decode()
            at += size
        records.append(record)
    return records


class Peer:
    """A socket that stands for a syslog daemon and keeps what it gets."""

    def __init__(self, kind, address=("127.0.0.1", 0)):
        self.messages, self.stream = [], b""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, kind)
        if family == socket.AF_INET and address[1] != 0:  # a connection may still be there, or free_port's
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.SOCK_DGRAM:  # what finds no room is lost: as much as the system allows
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(address)
        if kind == socket.SOCK_STREAM:
            self.socket.listen()
        self.address = self.socket.getsockname()
        self.connections = []
        self.ending = False
        self.socket.settimeout(0.1)
        self.thread = threading.Thread(
            target=self.accept if kind == socket.SOCK_STREAM else self.receive)
        self.thread.start()

    def receive(self):
        while not self.ending:
            try:
                self.messages.append(self.socket.recv(65536))
            except socket.timeout:
                pass

    def accept(self):
        while not self.ending:
            try:
                connection = self.socket.accept()[0]
            except socket.timeout:
                continue
            self.connections.append(connection)
            connection.settimeout(0.1)
            self.read(connection)

    def read(self, connection):
        while not self.ending:
            try:
                data = connection.recv(65536)
            except socket.timeout:
                continue
            except OSError:
                return
            if not data:
                return
            self.stream += data

    def close(self):
        self.ending = True
        self.thread.join()
        for connection in self.connections:
            connection.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class DeafPeer:
    """A TCP peer that accepts one connection and never reads."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.settimeout(PATIENCE)
        self.address = self.listener.getsockname()
        self.uri = "syslog+tcp://127.0.0.1:%d" % self.address[1]
        self.connection = None

    def accept(self):
        """There will be no other connection, whose buffers would take as much again."""
        self.connection = self.listener.accept()[0]
        self.listener.close()

    @staticmethod
    def fill(server, count, **members):
        """Posts until the server's only TCP sink has said that it can send no more, and the ring is full
        of what waits for it. Returns how many events were stored."""
        stored = 0

        def full():
            nonlocal stored
            stuck = "trying again" in server.stderr()  # till then a full ring may mean a slow sink
            answer = server.post(body(count, first=stored, **members))
            while answer.status == 200:
                stored += count
                answer = server.post(body(count, first=stored, **members))
            assert answer.status == 503 and answer.json()["error"] == "ring_full", answer.body
            assert int(answer.headers["retry-after"][0]) >= 1
            return stuck
        eventually(full, "a full ring")
        return stored

    def close(self):
        self.listener.close()
        if self.connection is not None:
            self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

"""An application to which an http: sink posts. It goes wrong as it is told, and knows what it has taken.

As a program (receivers.py PORT FILE [fsync]) it is sound, and appends the id of each event that it takes to a file
before it answers, so that it may be killed at any time."""

import collections
import json
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

from harness import free_port

SMALL_SEGMENT = 536  # bytes: with it, and a small window, the kernels hold little of what is on its way
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Taken = collections.namedtuple("Taken", "event connection")


class Gone(Exception):
    """The connection is over."""


class Request:
    """One POST, and the events in it."""

    def __init__(self, head, body, connection):
        lines = head.decode("latin-1").split("\r\n")
        self.line, self.body, self.connection, self.when = lines[0], body, connection, time.monotonic()
        self.headers = collections.defaultdict(list)
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()].append(value.strip())

    def header(self, name):
        """What can stand there once only; None: it does not."""
        values = self.headers[name]
        assert len(values) <= 1, "%s: %s" % (name, values)
        return values[0] if values else None

    def events(self):
        """Each with its id, in whatever format they were sent."""
        kind = self.header("content-type").partition(";")[0]
        if kind == "application/x-ndjson":
            assert self.body.endswith(b"\n"), self.body[-80:]
            return [json.loads(line) for line in self.body.split(b"\n")[:-1]]
        if kind == "application/json":
            whole = json.loads(self.body)
        else:
            assert kind == "application/x-www-form-urlencoded", kind
            whole = dict(urllib.parse.parse_qsl(self.body.decode("ascii"), True, True))
            whole["event"] = json.loads(whole["event"])
        events = whole["event"][whole["event_type"]]
        marks = self.header("cmcwh-events").split(",")
        assert len(marks) == len(events), (marks, len(events))
        return [dict(event, id=mark.strip().partition("@")[0], mark=mark.strip(), event_type=whole["event_type"])
                for event, mark in zip(events, marks)]


class Talk:
    """One connection, as the application sees it."""

    def __init__(self, receiver, connection, number):
        self.receiver, self.socket, self.number = receiver, connection, number
        self.buffer, self.fault, self.last = b"", None, None

    def over(self):
        """Has the test ended, or this fault been mended?"""
        return self.receiver.ending.is_set() or (self.fault is not None and self.receiver.fault is not self.fault)

    def more(self):
        """Bytes that have come; when there are none yet, none."""
        waits = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()
        if not waits and not select.select([self.socket], [], [], 0.05)[0]:
            return b""
        data = self.socket.recv(65536)
        if not data:
            raise Gone
        return data

    def wait_bytes(self):
        while not self.buffer:
            if self.over():
                raise Gone
            self.buffer += self.more()

    def head(self):
        """Of the next request, which stays to be read."""
        while b"\r\n\r\n" not in self.buffer:
            if self.over():
                raise Gone
            self.buffer += self.more()
        return self.buffer.partition(b"\r\n\r\n")[0]

    def request(self):
        """The next, with its body."""
        self.last = Request(self.head(), b"", self.number)
        length = int(self.last.header("content-length"))
        while len(self.buffer.partition(b"\r\n\r\n")[2]) < length:
            if self.over():
                raise Gone
            self.buffer += self.more()
        rest = self.buffer.partition(b"\r\n\r\n")[2]
        self.last.body, self.buffer = rest[:length], rest[length:]
        self.receiver.requests.append(self.last)
        return self.last

    def take(self):
        """The events of the last request are the application's from here on."""
        self.receiver.take(self.last)

    def say(self, data):
        """As far as the other side reads it."""
        self.socket.setblocking(False)
        try:
            while data and not self.over():
                try:
                    data = data[self.socket.send(data):]
                except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    select.select([], [self.socket], [], 0.05)
        finally:
            self.socket.setblocking(True)

    def drip(self, data, pause=0.05):
        """Byte by byte."""
        for i in range(len(data)):
            self.say(data[i:i + 1])
            if self.receiver.ending.wait(pause) or self.over():
                raise Gone

    def endless(self, again):
        while not self.over():
            self.say(again)
        raise Gone

    def wait(self):
        """Nothing more is said; until the other side goes."""
        while not self.over():
            self.more()
        raise Gone

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    def serve(self):
        """Requests, each with the fault that it meets."""
        while True:
            self.wait_bytes()
            self.fault = None
            fault = self.receiver.next_fault()
            if fault is None:
                self.request()
                self.take()
                self.say(OK)
            else:
                self.fault = fault if self.receiver.fault is fault else None
                fault(self)


class Receiver:
    """Listens on a port of its own, which stays its own while it does not. `plan`: what goes wrong with the next
    requests, one after the other. `fault`: what goes wrong with all after these. `greeting`: what is done with each
    connection before anything has come. Each is a function of a Talk; it may raise Gone."""

    def __init__(self, context=None, port=0, window=None, store=lambda request, events: None):
        self.context, self.plan, self.fault, self.greeting = context, [], None, None
        self.taken, self.requests, self.connections = [], [], 0
        self.store = store  # called before what is taken is answered
        self.lock, self.ending, self.threads = threading.Lock(), threading.Event(), []
        self.window, self.port = window, port or free_port()
        self.open()

    def open(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.window:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.window)
            self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        self.threads.append(threading.Thread(target=self.accept, args=(self.listener,)))
        self.threads[-1].start()

    def accept(self, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            self.threads.append(threading.Thread(target=self.talk, args=(connection, self.connections)))
            self.threads[-1].start()

    def talk(self, connection, number):
        talk = Talk(self, connection, number)
        try:
            if self.greeting is not None:
                talk.fault = self.fault
                self.greeting(talk)
            if self.context is not None:
                connection.settimeout(10)
                talk.socket = self.context.wrap_socket(connection, server_side=True)
                talk.socket.settimeout(None)
            talk.serve()
        except (Gone, OSError):
            pass
        finally:
            talk.socket.close()

    def next_fault(self):
        with self.lock:
            return self.plan.pop(0) if self.plan else self.fault

    def take(self, request):
        events = request.events()
        with self.lock:
            self.store(request, events)
            self.taken += [Taken(event, request.connection) for event in events]

    def mend(self):
        """From here on it is sound. What hung is let go."""
        with self.lock:
            self.plan, self.fault, self.greeting = [], None, None

    def ids(self):
        return [taken.event["id"] for taken in list(self.taken)]

    def shut(self):
        """Nobody listens any more."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def close(self):
        self.ending.set()
        if self.listener.fileno() >= 0:
            self.shut()
        for thread in self.threads:
            thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


# ---- Faults ----

def answers(status, *headers, body=b"no", takes=False):
    """Reads the request, and says this."""
    head = [("HTTP/1.1 " + status).encode()] + [line.encode() for line in headers]

    def fault(talk):
        talk.request()
        if takes:
            talk.take()
        talk.say(b"\r\n".join(head + [b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body)
    return fault


def says(data, takes=False, then=None):
    """Reads the request, says these bytes, and closes or does what comes `then`."""
    def fault(talk):
        talk.request()
        if takes:
            talk.take()
        talk.say(data)
        if then is not None:
            then(talk)
        else:
            leave(talk)
    return fault


def leave(talk):
    """Closes so that what was said is still read."""
    talk.socket.shutdown(socket.SHUT_WR)
    talk.wait()


def wait(talk):
    talk.wait()


def stay(talk):
    """Nothing is wrong with the connection."""


def reset(talk):
    talk.reset()


def reset_before_reading(talk):
    talk.reset()


def reset_after_reading(talk):
    talk.request()
    talk.reset()


def close_after_reading(talk):
    talk.request()
    leave(talk)


def take_and_reset(talk):
    talk.request()
    talk.take()
    talk.reset()


def silent(talk):
    talk.request()
    talk.wait()


def never_reads(talk):
    while not talk.over():
        talk.receiver.ending.wait(0.05)
    raise Gone


def slow_head(talk):
    talk.request()
    talk.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 100000)


def slow_body(talk):
    talk.request()
    talk.say(b"HTTP/1.1 500 Slow\r\nContent-Length: 100000\r\n\r\n")
    talk.drip(b"x" * 100000)


def endless(head, again, takes=False):
    def fault(talk):
        talk.request()
        if takes:
            talk.take()
        talk.say(head)
        talk.endless(again)
    return fault


def poisonous(mark, status="422 Unprocessable Content", body=b'{"error":"no such list"}'):
    """Requests with an event whose recipient is this are refused; others are taken."""
    def fault(talk):
        request = talk.request()
        if any(event["to"] == mark for event in request.events()):
            talk.say(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body))
        else:
            talk.take()
            talk.say(OK)
    return fault


def most_bytes(limit):
    """413 for what is longer."""
    def fault(talk):
        if len(talk.request().body) > limit:
            talk.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        else:
            talk.take()
            talk.say(OK)
    return fault


def main():
    descriptor = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, b"\n")  # after what was cut off when it was killed

    def store(_request, events):
        os.write(descriptor, b"".join(b"%s\n" % event["id"].encode() for event in events))
        if sys.argv[3:] == ["fsync"]:
            os.fsync(descriptor)
    with Receiver(port=int(sys.argv[1]), store=store):
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()

"""What comes out at the far ends of port/scale: which events, under which ids, in which order."""

import os
import re
import sys

from engines import TOKEN

# Debian's module; the python3 that comes first in PATH may be another one.
sys.path.append("/usr/lib/python3/dist-packages")

import pika  # noqa: E402

TO = re.compile(rb'(?:\bto=|"to":")user(\d+)@')
ID = re.compile(rb'(?:\bid=|"id":")([0-9a-f]{16})\b')
HEAD = re.compile(rb'{"seq":(\d+),"id":"([0-9a-f]{16})","received":"([^"]+)"')
ENTRY = re.compile(rb"^(\d+-\d+)\nsource\n(.*)\nevent\n(.*)$", re.MULTILINE)


class Output:
    """Which events were found, under which id, and how many lines more than events."""

    def __init__(self):
        self.found, self.lines, self.ids = set(), 0, {}
        self.given_up = set()  # missed before: nobody waits for them again

    def take(self, line):
        number, event = TO.search(line), ID.search(line)
        if number is None:
            return
        assert event, "no id: %r" % line
        number, event = int(number.group(1)), event.group(1)
        assert self.ids.setdefault(number, event) == event, "came with two ids: %r" % line
        self.found.add(number)
        self.lines += 1

    def repeats(self):
        return self.lines - len(self.found)

    def __str__(self):
        return type(self).__name__


class File(Output):
    """What rsyslog has written."""

    def __init__(self, path):
        super().__init__()
        self.path, self.offset = path, 0

    def look(self):
        if not os.path.exists(self.path):
            return
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            text = file.read()
        text = text[:text.rfind(b"\n") + 1]
        self.offset += len(text)
        for line in text.splitlines():
            self.take(line)


class Stream(Output):
    """What is in a Redis stream: no event twice, and of each sender in its order."""

    def __init__(self, engines, name):
        super().__init__()
        self.engines, self.name, self.last, self.sequence, self.received = engines, name, "-", {}, {}

    def look(self):
        while True:
            text = self.engines.redis_cli("--raw", "XRANGE", self.name, self.last, "+", "COUNT", 20000)
            entries = ENTRY.findall(text)
            if not entries:
                return
            self.last = "(" + entries[-1][0].decode()
            for _, source, line in entries:
                self.entry(source, line)

    def entry(self, source, line):
        self.take(line)
        sequence, event, received = HEAD.match(line).groups()
        assert int(sequence) > self.sequence.get(source, 0), "%s, out of order: %r" % (self, line)
        self.sequence[source] = int(sequence)
        self.received[event] = received

    def __str__(self):
        return "stream " + self.name


class Queue(Output):
    """What RabbitMQ has for a reader, who says that he has it."""

    def __init__(self, engines):
        super().__init__()
        self.parameters = pika.ConnectionParameters(
            "127.0.0.1", engines.ports["amqp"], credentials=pika.PlainCredentials("reader", TOKEN), heartbeat=0)
        self.connection = self.channel = None

    def open(self):
        if self.channel is None:
            self.connection = pika.BlockingConnection(self.parameters)
            self.channel = self.connection.channel()
            self.channel.basic_qos(prefetch_count=1000)
        return self.channel

    def look(self):
        """Not to the end: more comes all the time."""
        try:
            for _, (method, _, line) in zip(range(5000), self.open().consume("cmcwh", inactivity_timeout=0.3)):
                if method is None:
                    return
                self.take(line)
                if method.delivery_tag % 500 == 0:
                    self.channel.basic_ack(method.delivery_tag, multiple=True)
        except pika.exceptions.AMQPError:
            self.channel = None  # it comes again

"""What tests of sinks that deliver onward share: a cmcwh with such a sink, who posts to it, and what must hold at the
far end."""

import os
import re
import signal
import ssl

from harness import Server, body, eventually
from test_stalls import resident

MEMORY = 1024  # KiB by which it may be larger after whatever a peer has said


class Onward(Server):
    """With a required sink beside its log. `ring`: "file" or "memory"."""

    def __init__(self, uri, *options, ring="file", **more):
        if ring == "file":
            options = ("--ring", "@/ring", "--ring-records", "1024") + options
        super().__init__("--sink", uri, *options, **more)
        self.sink = uri.replace("@", self.folder)

    def about_sink(self):
        """What was said about the sink since the start, but for the verdict and counters of SIGUSR1."""
        return re.findall(r"^cmcwh: (?:\w+: )?(sink '%s.*(?:; trying again|: works again).*)" % re.escape(
            self.sink.partition("?")[0]), self.stderr(), re.M)

    def counters(self):
        """What SIGUSR1 says of the sink: {name: value}."""
        before = len(self.stderr())
        self.signal(signal.SIGUSR1)
        found = eventually(lambda: re.search(r"cmcwh: sink '%s[^\n]*?' (behind=.*)\n" % re.escape(
            self.sink.partition("?")[0]), self.stderr()[before:]), "the counters")
        return dict(re.findall(r"(\w+)=(\S+)", found.group(1)))

    def emptied(self):
        """Waits until every sink has everything."""
        def empty():
            before = len(self.stderr())
            self.signal(signal.SIGUSR1)
            return eventually(lambda: re.search(r"ring in_use=(\d+) ", self.stderr()[before:]), "the counters") \
                .group(1) == "0"
        eventually(empty, "an empty ring")

    def memory(self):
        return 0 if os.environ.get("SANITIZE") else resident(self)


class Sender:
    """Posts one event after another; a request that was not taken is posted again, as the service does."""

    def __init__(self, server, first=0, **members):
        self.server, self.next, self.left, self.members = server, first, 0, members

    def try_one(self, count=1):
        """The status of one request: of the one that was not taken, or of `count` new events."""
        self.left = self.left or count
        status = self.server.post(body(self.left, first=self.next, **self.members)).status
        if status == 200:
            self.next, self.left = self.next + self.left, 0
        return status

    def insist(self, count=1):
        eventually(lambda: self.try_one(count) == 200, "a request that is taken")


def check(lines, found, set_aside=(), order=True):
    """Every event of the log has come to the far end, where `found` are the ids in the order in which they were taken,
    or was set aside; in the order of the log; and no other. What came again did so under its id."""
    near = {}
    for line in lines:
        near.setdefault(line["id"], line["seq"])
    first = list(dict.fromkeys(found))
    missing, strange = set(near) - set(first) - set(set_aside), set(first) - set(near)
    assert not missing, "lost: %s" % sorted(near[one] for one in missing)
    assert not strange, "nobody has posted: %s" % sorted(strange)
    seqs = [near[one] for one in first]
    assert not order or seqs == sorted(seqs), "out of order: %s" % seqs


def check_events(lines, events, ring):
    """The same, and each event is as it stands in the log. With the ring in memory a request that is refused may stand
    in the log, leaves its seq to the next, and was received later when it comes again."""
    def compared(event):
        return {name: value for name, value in event.items() if ring == "file" or name not in ("seq", "received")}
    check(lines, [event["id"] for event in events])
    near = {line["id"]: compared(line) for line in lines}
    assert ring == "memory" or len(near) == len(lines), "an id twice in the log"
    for event in events:
        assert compared(event) == near[event["id"]], (event, near[event["id"]])


def uri_of(receiver, scheme="http", host="127.0.0.1", **parameters):
    """Of an http: sink, with the time of an answer, and the pauses before a request, as short as a test can use."""
    parameters = {"timeout": 1, "wait": 0, **parameters}
    return "%s://%s:%d/in?%s" % (scheme, host, receiver.port,
                                 "&".join("%s=%s" % pair for pair in parameters.items() if pair[1] is not None))


def server_context(cert, key, clients=None):
    """For a receiver with TLS; `clients`: who must have signed the certificate that a client has to show."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context

"""MQTT sinks and a real broker, mosquitto: what comes out at a subscriber, and what happens when the broker, the way
to it or its rules change."""

import json
import os
import signal
import socket
import subprocess

from brokers import Mosquitto, Subscriber
from harness import PATIENCE, Load, Skipped, body, eventually, free_port, unframe
from onward import Onward, Sender, check
from peers import authority, signed
from programs import Engine, find
from test_sinks import EVIL


class Case:
    """A broker, a subscriber and a cmcwh. In `uri` and `lines` @ is their folder, and in `uri` PORT the broker's
    port. `prepare` is called with the folder before anything starts."""

    def __init__(self, uri="mqtt://127.0.0.1:PORT", *lines, ring="file", options=(), prepare=lambda folder: None,
                 topics="#"):
        self.broker = self.server = None
        port = free_port()
        self.server = Onward(uri.replace("PORT", str(port)), *options, ring=ring)
        prepare(self.server.folder)
        self.broker = Mosquitto(self.server, *lines, port=port)
        self.subscriber = Subscriber(port, topics) if topics else None

    def __enter__(self):
        self.broker.start()
        try:
            if self.subscriber:
                self.subscriber.__enter__()
            self.server.__enter__()
        except BaseException:
            self.end(None)
            raise
        self.sender = Sender(self.server)
        return self

    def end(self, kind, *rest):
        if self.subscriber:
            self.subscriber.__exit__()
        self.broker.end()

    def __exit__(self, *what):
        try:
            self.server.__exit__(*what)
        finally:
            self.end(None)

    def events(self):
        """Those that have come, without what is said about ourselves."""
        return [json.loads(payload) for _, payload, _ in self.subscriber.messages if payload[:1] == b"{"]

    def check(self):
        """All that was stored is there, in order."""
        self.server.emptied()
        lines = self.server.lines()
        eventually(lambda: {line["id"] for line in lines} <= {event["id"] for event in self.events()}, "all events")
        check(lines, [event["id"] for event in self.events()])
        by_id = {line["id"]: line for line in lines}
        assert all(event == by_id[event["id"]] for event in self.events())


def test_events_are_messages():
    with Case() as case:
        case.sender.insist(3)
        assert case.server.post(json.dumps({"event_type": "bounces", "server_composition": "pro", "event": {"bounces": [
            {"to": "u@example.jp", "status": "2", "reason": "", "returnPath": "", "created": "", "subject": "",
             "messageId": "", "from": ""}]}}).encode()).status == 200
        case.check()
        topics = [topic for topic, _, _ in case.subscriber.messages]
        assert topics == 3 * ["cmc/deliveries/queued"] + ["cmc/bounces/2"], topics
        assert all(not retained for _, _, retained in case.subscriber.messages)
        assert " as cmcwh" in case.broker.said() and "(p5, c1, k60)" in case.broker.said(), case.broker.said()
        case.server.stop()
        eventually(lambda: " disconnected.\n" in case.broker.said(), "an end in order")


def test_with_the_ring_in_memory():
    """A 200 says that the broker has it; while that is away it is 503."""
    with Case(ring="memory") as case:
        case.sender.insist(10)
        case.subscriber.wait(10)
        case.broker.end(signal.SIGKILL)
        eventually(lambda: case.sender.try_one() == 503, "503")
        case.broker.start()
        case.subscriber.there(2)
        case.sender.insist()
        ids = [event["id"] for event in case.events()]
        eventually(lambda: case.server.lines()[-1]["id"] in [event["id"] for event in case.events()], "the last one")
        assert len(set(ids)) == len(ids) or case.sender.next == 11


def test_formats():
    for form in "logfmt", "binary":
        with Case("mqtt://127.0.0.1:PORT?format=%s&topic={kind}/{id}/{to}" % form) as case:
            case.sender.insist(2)
            case.server.emptied()
            messages, lines = case.subscriber.wait(2), case.server.lines()
        assert [topic for topic, _, _ in messages] == ["deliveries/%s/%s" % (line["id"], line["to"]) for line in lines]
        if form == "binary":
            assert [unframe(payload)[0]["id"] for _, payload, _ in messages] == [line["id"] for line in lines]
        else:
            assert all(payload.startswith(b"event_type=deliveries status=queued to=user") and
                       not payload.endswith(b"\n") for _, payload, _ in messages), messages


def test_retained():
    """Who comes later gets the last event of each topic."""
    with Case("mqtt://127.0.0.1:PORT?retain=1&topic=mails/{to}") as case:
        case.sender.insist(3)
        case.server.emptied()
        with Subscriber(case.broker.port) as late:
            messages = late.wait(3)
        assert sorted(topic for topic, _, _ in messages) == ["mails/user%d@example.jp" % i for i in range(3)]
        assert all(retained for _, _, retained in messages)


def test_hostile_texts():
    """No event makes a level, a wildcard or a topic of the broker's own, nor makes the broker hang up."""
    texts = [EVIL, "/", "a/b/c", "+", "#", "$SYS/broker/uptime", "$SYS", "\ufffe\uffff\ufdd0", "\0", "\x85\u2028",
             "\U0001f600" * 200, "{id}", "..", " ", "x" * 1000]
    with Case("mqtt://127.0.0.1:PORT?topic={to}/{subject}/z") as case:
        for text in texts:
            assert case.server.post(body(1, first=case.sender.next, subject=text, to=text)).status == 200
        case.sender.insist()
        case.check()
        assert "trying again" not in case.server.stderr()
        for topic, _, _ in case.subscriber.messages:
            levels = topic.split("/")
            assert len(levels) == 3 and levels[2] == "z" and levels[0] and levels[1], topic
            assert not set("+#") & set(topic) and topic[0] != "$" and len(topic.encode()) <= 2 * 128 + 3, topic


def states(port):
    """What is retained about us."""
    with Subscriber(port, "cmc/router") as late:
        return late.wait(1)[0][1:]


def test_state():
    """Whether we are there, for those who come later too: also after an end that nobody could announce."""
    with Case("mqtt://127.0.0.1:PORT?state=cmc/router") as case:
        case.sender.insist()
        case.check()
        assert states(case.broker.port) == (b"online", True)
        case.server.kill()
        assert [payload for _, payload, _ in case.subscriber.wait(2, "router")] == [b"online", b"offline"]
        assert states(case.broker.port) == (b"offline", True)
        case.server.restart()
        case.subscriber.wait(3, "router")
        case.server.stop()
        said = [payload for _, payload, _ in case.subscriber.wait(4, "router")]
        assert said == [b"online", b"offline"] * 2 and states(case.broker.port) == (b"offline", True)
        case.server.restart()
        case.check()


class Gate(Engine):
    """The way to a broker, which can be shut until its subscriber is back: what comes meanwhile is for nobody."""

    def __init__(self, server, port, to):
        super().__init__(server.folder, "gate", [
            find("socat"), "TCP-LISTEN:%d,bind=127.0.0.1,fork,reuseaddr" % port, "TCP:127.0.0.1:%d" % to], port)


def test_killed_and_restarted():
    """Under load, in order and by force: what was acknowledged has come, and in order."""
    for number in signal.SIGTERM, signal.SIGKILL:
        way = free_port()
        with Case("mqtt://127.0.0.1:%d?window=50" % way) as case:
            gate = Gate(case.server, way, case.broker.port)
            gate.start()
            with Load(case.server, clients=3) as load:
                for turn in range(3):
                    load.wait(100)
                    case.broker.end(number)
                    gate.end(signal.SIGKILL)
                    case.broker.start()
                    case.subscriber.there(turn + 2)
                    gate.start()
                    load.wait(100)
            case.check()
            assert {"user" + line["to"][4:] for line in case.server.lines()} >= set(load.acknowledged)
            gate.end()


def test_a_subscriber_that_is_slow():
    """For one that has gone the broker keeps few messages, and drops the others: that holds nobody else up."""
    with Case("mqtt://127.0.0.1:PORT", "max_queued_messages 10", "max_inflight_messages 1") as case:
        sleeper = [find("mosquitto_sub"), "-p", str(case.broker.port), "-i", "sleeper", "-c", "-q", "1", "-t", "#"]
        subprocess.run(sleeper + ["-E"], check=True)
        case.sender.insist(200)
        case.check()
        assert "trying again" not in case.server.stderr()
        kept = subprocess.run(sleeper + ["-W", "1"], stdout=subprocess.PIPE, check=False).stdout
        assert 1 <= kept.count(b"\n") <= 20, kept.count(b"\n")


def passwords(folder, *users):
    path = os.path.join(folder, "passwords")
    for user, password in users:
        subprocess.run([find("mosquitto_passwd")] + (["-c"] if not os.path.exists(path) else []) +
                       ["-b", path, user, password], check=True, stderr=subprocess.DEVNULL)


def credentials(folder, text):
    with open(os.open(os.path.join(folder, "auth"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w",
              encoding="utf-8") as file:
        file.write(text)


SECURED = ("allow_anonymous false", "password_file @/passwords")


def test_wrong_password():
    """Is said with the user's name; SIGHUP reads the file again."""
    for version in "", "&version=3.1.1":
        def prepare(folder):
            passwords(folder, ("router", "right: one"), ("reader", "x"))
            credentials(folder, "basic router:wrong\n")
        with Case("mqtt://127.0.0.1:PORT?auth=@/auth" + version, *SECURED, prepare=prepare, topics=None) as case:
            case.sender.insist()
            text = case.server.wait_said("the broker refuses user 'router': see auth=FILE; trying again")
            assert "wrong" not in text, text
            credentials(case.server.folder, "# as the broker has it\nbasic router:right: one\n")
            case.server.signal(signal.SIGHUP)
            case.server.wait_said("works again")
            case.sender.insist()
            case.server.emptied()


def test_no_password():
    with Case("mqtt://127.0.0.1:PORT", *SECURED, prepare=lambda folder: passwords(folder, ("a", "b")),
              topics=None) as case:
        case.server.wait_said("the broker wants to know who comes: auth=FILE; trying again")


RULES = "topic readwrite cmc/deliveries/#\ntopic read #\n"


def rules(folder):
    with open(os.path.join(folder, "rules"), "w", encoding="ascii") as file:
        file.write(RULES)


def bounce(server, number=0):
    return server.post(json.dumps({"event_type": "bounces", "server_composition": "pro", "event": {"bounces": [
        {"to": "b%d@example.jp" % number, "status": "2", "reason": "", "returnPath": "", "created": "", "subject": "",
         "messageId": "", "from": ""}]}}).encode()).status


def test_forbidden_topic():
    """A required sink stops there, and says so; one that holds nobody up goes on without the event."""
    said = "the broker forbids the topic 'cmc/bounces/2': see its access list (ACL)"
    with Case("mqtt://127.0.0.1:PORT", "acl_file @/rules", prepare=rules) as case:
        case.sender.insist(3)
        assert bounce(case.server) == 200
        case.server.wait_said(said + "; trying again")
        case.sender.insist(3)
        assert len(case.subscriber.messages) == 3
        with open(case.server.path("rules"), "a", encoding="ascii") as file:
            file.write("topic readwrite cmc/bounces/#\n")
        case.broker.tell(signal.SIGHUP)
        case.check()
        case.server.wait_said("works again")
    with Case("mqtt://127.0.0.1:PORT?policy=besteffort", "acl_file @/rules", prepare=rules) as case:
        for number in range(3):
            assert bounce(case.server, number) == 200
            case.sender.insist(2)
        case.server.wait_said(said + "; the event is dropped")
        case.server.emptied()
        assert len(case.subscriber.wait(6)) == 6
        assert "trying again" not in case.server.stderr()


def test_forbidden_topic_with_the_ring_in_memory():
    """Nothing but 503 for what the broker does not take."""
    with Case("mqtt://127.0.0.1:PORT", "acl_file @/rules", prepare=rules, ring="memory") as case:
        case.sender.insist(3)
        assert bounce(case.server) == 503
        case.server.wait_said("the broker forbids the topic 'cmc/bounces/2'")
        assert len(case.subscriber.messages) == 3


def test_forbidden_state():
    """Is no reason to deliver nothing."""
    with Case("mqtt://127.0.0.1:PORT?state=we/are", "acl_file @/rules", prepare=rules) as case:
        case.sender.insist()
        case.check()
        text = case.server.wait_said("the broker forbids the topic 'we/are': see its access list (ACL) (state=)")
        assert "trying again" not in text


def test_forbidden_topic_in_3_1_1():
    """There it cannot be seen: the broker takes the event, and drops it."""
    with Case("mqtt://127.0.0.1:PORT?version=3.1.1", "acl_file @/rules", prepare=rules) as case:
        assert bounce(case.server) == 200
        case.sender.insist()
        case.server.emptied()
        assert len(case.subscriber.wait(1)) == 1
        assert "(p2, c1, k60)" in case.broker.said() and "trying again" not in case.server.stderr()


def test_nobody_subscribes():
    """Which is said once."""
    with Case("mqtt://127.0.0.1:PORT?keepalive=5", topics="other/#") as case:
        case.sender.insist(3)
        case.server.emptied()
        text = case.server.wait_said("the broker takes events of which nobody gets any: no subscription matches the "
                                     "topic 'cmc/deliveries/queued'")
        assert text.count("nobody gets any") == 1 and "(p5, c1, k5)" in case.broker.said()


def test_two_with_the_same_id():
    """Each pushes the other out, and says that."""
    with Case("mqtt://127.0.0.1:PORT?client=router") as case:
        case.sender.insist(2)
        case.server.emptied()
        with Onward("mqtt://127.0.0.1:%d?client=router" % case.broker.port) as other:
            for each in case.server, other:
                each.wait_said("has another client the id 'router'?; trying again")


def secure(*lines):
    return ("cafile @/ca.pem", "certfile @/tls.pem", "keyfile @/tls.key") + lines


def test_tls():
    def prepare(folder):
        signed(folder, authority(folder), "DNS:localhost,IP:127.0.0.1")
    for uri in "mqtts://127.0.0.1:PORT?ca=@/ca.pem", "mqtts://localhost:PORT?ca=@/ca.pem&version=3.1.1":
        with Case(uri, *secure(), prepare=prepare, topics=None) as case:
            case.sender.insist(200)
            case.server.emptied()
            assert "trying again" not in case.server.stderr()
            case.broker.restart(signal.SIGKILL)
            case.sender.insist()
            case.server.emptied()


def test_wrong_certificates():
    """What is wrong with it is said, and what to do; nothing goes to such a broker."""
    for names, days, ca, said in (
            ("IP:127.0.0.2", 30, "ca", "its certificate is for another name"),
            ("DNS:localhost", 30, "ca", "its certificate is for another name"),
            ("IP:127.0.0.1", -1, "ca", "its certificate must be renewed, or this clock set"),
            ("IP:127.0.0.1", 30, "other", "its certificate is not trusted: the chain must be whole, or ca=FILE name who "
                                          "signed it"),
            ("IP:127.0.0.1", 30, None, "its certificate is not trusted")):
        def prepare(folder, names=names, days=days):
            authority(folder, "other")
            signed(folder, authority(folder), names, days)
        uri = "mqtts://127.0.0.1:PORT" + ("?ca=@/%s.pem" % ca if ca else "")
        with Case(uri, *secure(), prepare=prepare, topics=None) as case:
            case.sender.insist()
            case.server.wait_said(said)
            assert "New client connected" not in case.broker.said(), case.broker.said()


def test_client_certificates():
    def prepare(folder):
        signed(folder, authority(folder))
        signed(folder, os.path.join(folder, "ca.pem"), "DNS:router", name="router")
    lines = secure("require_certificate true")
    with Case("mqtts://127.0.0.1:PORT?ca=@/ca.pem", *lines, prepare=prepare, topics=None) as case:
        case.server.wait_said(" cert=FILE and key=FILE")
    with Case("mqtts://127.0.0.1:PORT?ca=@/ca.pem&cert=@/router.pem&key=@/router.key", *lines, prepare=prepare,
              topics=None) as case:
        case.sender.insist(3)
        case.server.emptied()


def test_tls_or_not():
    def prepare(folder):
        signed(folder, authority(folder))
    with Case("mqtts://127.0.0.1:PORT?ca=@/ca.pem", prepare=prepare, topics=None) as case:
        case.server.wait_said("no connection over TLS: ")
        assert "does it speak TLS on that port?; trying again" in case.server.stderr()
    with Case("mqtt://127.0.0.1:PORT", *secure(), prepare=prepare, topics=None) as case:
        case.server.wait_said("without an answer: does that port want TLS (mqtts:)?; trying again")


def test_cannot_be_reached():
    with Onward("mqtt://127.0.0.1:%d" % free_port()) as server:
        server.wait_said("cannot be reached: Connection refused; trying again")
    with Onward("mqtt://nobody.invalid") as server:
        server.wait_said("host 'nobody.invalid': ")
    with socket.socket() as deaf:  # takes no connection: its queue is full
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        queue = [socket.socket() for _ in range(4)]
        for each in queue:
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())
        with Onward("mqtt://127.0.0.1:%d" % deaf.getsockname()[1]) as server:
            server.wait_said("cannot be reached: Connection timed out; trying again")
        for each in queue:
            each.close()


def test_only_one_family_listens():
    """A name has several addresses: that nobody listens on the first is no reason to try no other."""
    addresses = {info[4][0] for info in socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)}
    if not {"127.0.0.1", "::1"} <= addresses:
        raise Skipped("localhost has one address here")
    with Case("mqtt://localhost:PORT") as case:
        case.sender.insist()
        case.check()


def test_silence_over_tls():
    """One that accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with Onward("mqtts://127.0.0.1:%d" % silent.getsockname()[1]) as server:
            server.wait_said("the broker does not answer; trying again")

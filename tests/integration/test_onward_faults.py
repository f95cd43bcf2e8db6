"""An http: sink whose receiver goes wrong: whatever it does, nothing that was answered with 200 is lost, the order is
kept, the other sinks go on, it is said once what is wrong, and memory stays as it is."""

import email.utils
import json
import re
import signal
import socket
import time

import harness
import receivers
from harness import body, eventually
from onward import MEMORY, Onward, Sender, check, check_events, server_context, uri_of
from peers import authority, signed
from receivers import Receiver, answers, endless, says, stay
from test_admin import Looks


def outage(receiver, server, ring, begin, end, words):
    """Before, during and after what `begin` brings about and `end` ends. `words`: what is said of it, a pattern."""
    sender = Sender(server)
    for count in (1, 2, 1):
        sender.insist(count)
    eventually(lambda: len(receiver.taken) >= 4, "the first events")
    before = server.memory()
    begin()
    if ring == "file":
        for count in (3, 1, 5, 1, 2):
            assert sender.try_one(count) == 200, "while its ring has room"
        assert len(server.wait_lines(16)) == 16, "the log is another sink"
        server.wait_said("trying again")
        assert server.counters()["failed"] == "yes"
    else:
        assert sender.try_one(3) == 503
        server.wait_said("trying again")
        assert sender.try_one() == 503
    said = server.about_sink()
    assert len(said) == 1 and re.search(words, said[0]), said
    assert server.memory() - before < MEMORY, "%d KiB more" % (server.memory() - before)
    end()
    sender.insist(2)
    eventually(lambda: len(set(receiver.ids())) >= sender.next, "what had waited")
    server.wait_said("works again")
    assert [re.search("trying again|works again", line).group() for line in server.about_sink()] == \
        ["trying again", "works again"], server.about_sink()
    check_events(server.wait_lines(sender.next), [taken.event for taken in receiver.taken], ring)


# What goes wrong with every request, and what is said of it. Once the head is whole, its status counts.
FAULTS = {
    "reset_before_reading": (receivers.reset_before_reading, "reset|broke"),
    "reset_after_reading": (receivers.reset_after_reading, "reset|broke"),
    "closed_after_reading": (receivers.close_after_reading, "closed"),
    "taken_and_reset": (receivers.take_and_reset, "reset|broke"),
    "silent": (receivers.silent, "no (reply|answer)"),
    "slow_head": (receivers.slow_head, "no (reply|answer)|no end"),
    "slow_body": (receivers.slow_body, "500"),
    "half_a_head": (says(b"HTTP/1.1 200 OK\r\nContent-Le", takes=True), "before it is whole"),
    "half_a_refusal": (says(b"HTTP/1.1 500 Oh\r\nContent-Length: 50\r\n\r\nno"), "500"),
    "500": (answers("500 Internal Server Error"), "500"),
    "502": (answers("502 Bad Gateway", "Connection: close"), "502"),
    "503": (answers("503 Service Unavailable", "Retry-After: 0"), "503"),
    "503_soon": (answers("503 Service Unavailable", "Retry-After: 1"), "503"),
    "429": (answers("429 Too Many Requests"), "429"),
    "408": (answers("408 Request Timeout", "Connection: close"), "408"),
    "425": (answers("425 Too Early"), "425"),
    "401": (answers("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"'), "401"),
    "407": (answers("407 Proxy Authentication Required"), "407"),
    "301_without_location": (answers("301 Moved Permanently"), "301"),
    "304": (says(b"HTTP/1.1 304 Not Modified\r\n\r\n", then=stay), "304"),
    "101": (says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", then=receivers.wait), "another protocol"),
    "interim_without_end": (endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100), "no end"),
    "head_without_end": (endless(b"HTTP/1.1 200 OK\r\n", b"X-Long: " + b"x" * 4000 + b"\r\n"), "no end"),
    "line_without_end": (endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 4000), "no end"),
    "body_without_end": (endless(b"HTTP/1.1 500 Oh\r\n\r\n", b"x" * 16384), "500"),
    "chunks_without_end": (endless(b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n",
                                   b"1000\r\n" + b"x" * 4096 + b"\r\n"), "500"),
    "chunk_line_without_end": (endless(b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 4096), "500"),
    "trailers_without_end": (endless(b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 500),
                             "500"),
    "huge_length": (endless(b"HTTP/1.1 500 Oh\r\nContent-Length: 900000000000000000\r\n\r\n", b"x" * 16384), "500"),
    "two_lengths": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"),
                    "two different lengths"),
    "length_and_chunks": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                          "a length and chunks"),
    "wrong_length": (says(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "no number"),
    "garbage": (says(b"SSH-2.0-OpenSSH_9.2\r\n"), "HTTP/1.1"),
    "binary_garbage": (says(bytes(range(256)) * 40), "HTTP/1.1|zero byte|no end"),
    "tls_on_a_plain_port": (says(b"\x15\x03\x03\x00\x02\x02\x46"), "before it is whole|HTTP/1.1"),
    "http_2": (says(b"HTTP/2 200\r\n\r\n"), "HTTP/1.1"),
    "http_0_9": (says(b"<html>ok</html>"), "before it is whole|HTTP/1.1"),
    "status_999999": (says(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), "no status"),
}


def of_fault(name, ring):
    fault, words = FAULTS[name]

    def test():
        with Receiver() as receiver, Onward(uri_of(receiver), ring=ring) as server:
            def begin():
                receiver.fault = fault
            outage(receiver, server, ring, begin, receiver.mend, words)
    return test


for fault_name in FAULTS:
    for where in ("file", "memory"):
        globals()["test_%s_ring_in_%s" % (fault_name, where)] = of_fault(fault_name, where)


# ---- What is not wrong ----

# Answers with which all is well, though not as usual: nothing is said, and no event is sent twice.
QUIET = {
    "http_1_0": says(b"HTTP/1.0 200 OK\r\n\r\nok", takes=True),
    "closed_after_each": answers("200 OK", "Connection: close", takes=True),
    "closed_in_silence": says(receivers.OK, takes=True),
    "reset_in_silence": says(receivers.OK, takes=True, then=lambda talk: (time.sleep(0.05), talk.reset())),
    "201": answers("201 Created", takes=True),
    "202_without_reason": says(b"HTTP/1.1 202\r\nContent-Length: 0\r\n\r\n", takes=True, then=stay),
    "204": says(b"HTTP/1.1 204 No Content\r\n\r\n", takes=True, then=stay),
    "204_with_a_body": says(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", takes=True, then=stay),
    "longer_than_its_length": says(receivers.OK + b" and more", takes=True, then=stay),
    "interim_first": says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + receivers.OK,
                          takes=True, then=stay),
    "chunked": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n",
                    takes=True, then=stay),
    "large_body": answers("200 OK", body=b"x" * 200000, takes=True),
    "half_a_body": says(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nok", takes=True),
    "half_a_chunk": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nok", takes=True),
    "a_body_that_does_not_come": says(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nok", takes=True,
                                      then=receivers.wait),
    "a_body_without_end": endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 16384, takes=True),
}


def of_quiet(name):
    def test():
        with Receiver() as receiver, Onward(uri_of(receiver)) as server:
            receiver.fault = QUIET[name]
            sender = Sender(server)
            for i in range(5):
                assert sender.try_one(2) == 200
                eventually(lambda: len(receiver.taken) >= 2 * i + 2, "the events")
                time.sleep(0.1 * (i % 2))  # with and without a rest, in which the connection may end
            ids = receiver.ids()
            assert len(set(ids)) == len(ids) == 10, "sent twice"
            server.emptied()
            assert server.about_sink() == [], server.about_sink()
            check_events(server.lines(), [taken.event for taken in receiver.taken], "file")
    return test


for quiet_name in QUIET:
    globals()["test_%s_is_right" % quiet_name] = of_quiet(quiet_name)


def test_an_answer_to_nobody_at_rest():
    """As of a server that has waited long enough for a request."""
    with Receiver() as receiver, Onward(uri_of(receiver)) as server:
        receiver.fault = says(receivers.OK + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", takes=True)
        sender = Sender(server)
        for i in range(4):
            sender.insist()
            eventually(lambda: len(receiver.taken) > i, "the event")
            time.sleep(0.1)
        assert server.about_sink() == [] and len(receiver.taken) == 4, server.about_sink()


def test_connection_is_kept():
    with Receiver() as receiver, Onward(uri_of(receiver)) as server:
        sender = Sender(server)
        for i in range(20):
            sender.insist()
            eventually(lambda: len(receiver.taken) > i, "the event")
        assert receiver.connections == 1, receiver.connections


# ---- What might pass for an answer ----

def twice(pause):
    """One answer more than there are requests: it belongs to none."""
    def fault(talk):
        talk.request()
        talk.take()
        talk.say(receivers.OK if pause else 2 * receivers.OK)
        time.sleep(pause)
        talk.say(receivers.OK if pause else b"")
    return fault


def test_an_answer_too_many_is_not_for_the_next_request():
    for ring in ("file", "memory"):
        for pause in (0, 0.05):
            with Receiver() as receiver, Onward(uri_of(receiver), ring=ring) as server:
                receiver.plan = [twice(pause)] + 2 * [answers("500 Oh")]
                sender = Sender(server)
                sender.insist()
                eventually(lambda: receiver.taken, "the first event")
                time.sleep(0.2)
                status = sender.try_one()
                assert status == (200 if ring == "file" else 503) or len(receiver.taken) == 2
                eventually(lambda: sender.try_one() and not receiver.plan, "the requests that fail")
                sender.insist()
                eventually(lambda: len(set(receiver.ids())) >= sender.next, "what had waited")
                check_events(server.wait_lines(sender.next), [taken.event for taken in receiver.taken], ring)


def hasty(talk):
    """Says 200 to the beginning of a request, and takes nothing."""
    talk.say(receivers.OK)
    receivers.never_reads(talk)


def test_an_answer_before_the_request_is_sent_acknowledges_nothing():
    with Receiver(window=4096) as receiver, Onward(uri_of(receiver, batch=1000)) as server:
        receiver.fault = answers("500 Oh")
        sender = Sender(server, subject="x" * 700)
        sender.insist(500)
        server.wait_said("trying again")
        receiver.fault = hasty
        begun = receiver.connections
        eventually(lambda: receiver.connections > begun + 1, "another try")
        receiver.mend()
        eventually(lambda: len(set(receiver.ids())) >= sender.next, "what had waited")
        check_events(server.wait_lines(sender.next), [taken.event for taken in receiver.taken], "file")


def test_a_refusal_by_who_does_not_read_is_heard():
    """413 at once, and nothing of the request is read: shorter ones go on."""
    def fault(talk):
        head = talk.head()
        if int(receivers.Request(head, b"", 0).header("content-length")) > 200000:
            talk.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            receivers.never_reads(talk)
        talk.request()
        talk.take()
        talk.say(receivers.OK)
    with Receiver(window=4096) as receiver, Onward(uri_of(receiver, batch=1000)) as server:
        receiver.fault = answers("500 Oh")
        sender = Sender(server, subject="x" * 700)
        sender.insist(500)
        server.wait_said("trying again")
        receiver.fault = fault
        eventually(lambda: len(set(receiver.ids())) >= sender.next, "the events")
        check_events(server.wait_lines(sender.next), [taken.event for taken in receiver.taken], "file")


# ---- Connections that do not come about ----

def test_nobody_listens():
    for ring in ("file", "memory"):
        with Receiver() as receiver, Onward(uri_of(receiver), ring=ring) as server:
            def begin():
                receiver.fault = receivers.reset_before_reading
                receiver.shut()

            def end():
                receiver.mend()
                receiver.open()
            outage(receiver, server, ring, begin, end, "refused")


def greeted(greeting, words, **more):
    for ring in ("file", "memory"):
        with Receiver(**more) as receiver, Onward(uri_of(receiver), ring=ring) as server:
            def begin():
                receiver.greeting, receiver.fault = greeting, receivers.reset_before_reading
            outage(receiver, server, ring, begin, receiver.mend, words)


def test_reset_at_once():
    greeted(receivers.reset, "reset|broke")


def test_says_something_at_once_and_closes():
    def greeting(talk):
        talk.say(b"421 too many connections\r\n")
        receivers.leave(talk)
    greeted(greeting, "HTTP/1.1")


def test_accepts_never():
    """Nobody takes connections, and there is no place for one more to wait."""
    with Receiver() as receiver, Onward(uri_of(receiver)) as server:
        waiting = []

        def begin():
            receiver.fault = receivers.reset_before_reading
            receiver.shut()
            waiting.append(socket.socket())
            waiting[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            waiting[0].bind(("127.0.0.1", receiver.port))
            waiting[0].listen(0)
            for _ in range(8):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(("127.0.0.1", receiver.port))

        def end():
            for one in reversed(waiting):
                one.close()
            receiver.mend()
            receiver.open()
        outage(receiver, server, "file", begin, end, "timed out|took too long|cannot be reached")


def test_never_reads():
    """More than the kernels hold."""
    with Receiver(window=4096) as receiver, Onward(uri_of(receiver, batch=1000)) as server:
        sender = Sender(server, subject="x" * 700)
        receiver.greeting, receiver.fault = receivers.never_reads, receivers.reset_before_reading
        for _ in range(9):
            assert sender.try_one(100) == 200
        assert len(server.wait_lines(900)) == 900
        said = server.wait_said("trying again")
        receiver.mend()
        eventually(lambda: len(set(receiver.ids())) >= 900, "what had waited")
        server.wait_said("works again")
        assert len(server.about_sink()) == 2, said
        check_events(server.lines(), [taken.event for taken in receiver.taken], "file")


def test_host_that_nobody_knows():
    with Onward("http://nowhere.invalid/in?policy=besteffort") as server:
        assert server.post(body()).status == 200
        server.wait_said("trying again")
        assert server.post(body()).status == 200
        assert len(server.about_sink()) == 1 and "host is not found" in server.about_sink()[0], server.about_sink()


# ---- Redirects ----

def test_redirects_are_not_followed():
    with Receiver() as other:
        for status in ("301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect",
                       "308 Permanent Redirect"):
            with Receiver() as receiver, Onward(uri_of(receiver)) as server:
                for url in ("http://127.0.0.1:%d/in" % receiver.port, "http://127.0.0.1:%d/in" % other.port, "/other",
                            "https://\x1b[2J\x9b.example/"):
                    receiver.fault = answers(status, "Location: " + url)
                    tries = len(receiver.requests)
                    assert server.post(body(first=tries)).status == 200
                    eventually(lambda: len(receiver.requests) > tries + 1, "another try")
                said = server.wait_said("trying again")
                assert "redirects to 'http://127.0.0.1:%d/in'" % receiver.port in said and "\x1b" not in said and \
                    "\x9b" not in said, said
                receiver.mend()
                server.emptied()
                assert all(one.line == receiver.requests[0].line for one in receiver.requests)
                check(server.lines(), receiver.ids())
        assert other.connections == 0


# ---- Certificates ----

class Trust:
    """An authority, and what it and others have signed, in the folder of a server that has not begun yet."""

    def __init__(self, folder):
        self.folder, self.ca, self.stranger = folder, authority(folder), authority(folder, "stranger")

    def context(self, name="right", ca=None, clients=None, **more):
        return server_context(*signed(self.folder, ca or self.ca, name=name, **more), clients=clients)


def secure(ring, begin_context, words, greeting=None):
    """A receiver that is right, then has another certificate, then is right again."""
    with Receiver() as receiver:
        server = Onward(uri_of(receiver, "https", ca="@/ca.pem"), ring=ring)
        trust = Trust(server.folder)
        right = receiver.context = trust.context()
        other = begin_context(trust)

        def begin():
            receiver.context, receiver.greeting, receiver.fault = other, greeting, receivers.reset_before_reading

        def end():
            receiver.context = right
            receiver.mend()
        with server:
            outage(receiver, server, ring, begin, end, words)


def test_certificate_that_ran_out():
    for ring in ("file", "memory"):
        secure(ring, lambda trust: trust.context("late", days=-1), "expired|ran out|time")


def test_certificate_for_another_host():
    for ring, names in (("file", "DNS:other.example"), ("memory", "DNS:127.0.0.1")):
        secure(ring, lambda trust, names=names: trust.context("other", names=names), "mismatch")


def test_certificate_of_a_stranger():
    for ring in ("file", "memory"):
        secure(ring, lambda trust: trust.context("strange", ca=trust.stranger), "not trusted|self.signed|issuer")


def test_handshake_that_hangs():
    secure("file", lambda trust: None, "handshake", greeting=receivers.never_reads)


def test_handshake_that_is_none():
    def greeting(talk):
        talk.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        receivers.leave(talk)
    for ring in ("file", "memory"):
        secure(ring, lambda trust: None, "TLS|wrong version", greeting=greeting)


def test_handshake_that_is_broken_off():
    for ring in ("file", "memory"):
        secure(ring, lambda trust: None, "TLS|reset|broke|closed|handshake", greeting=receivers.reset)


def test_faults_over_tls():
    """Each once, in one life of a server."""
    with Receiver() as receiver:
        server = Onward(uri_of(receiver, "https", ca="@/ca.pem"))
        receiver.context = Trust(server.folder).context()
        with server:
            sender = Sender(server)
            for name in ("reset_after_reading", "taken_and_reset", "closed_after_reading", "half_a_head", "silent",
                         "garbage", "503", "body_without_end", "trailers_without_end"):
                receiver.plan = 2 * [FAULTS[name][0]]
                sender.insist(3)
                eventually(lambda: len(set(receiver.ids())) >= sender.next, "the events after " + name)
            for name in ("closed_in_silence", "204_with_a_body", "longer_than_its_length", "half_a_body"):
                receiver.plan = [QUIET[name]]
                sender.insist(2)
                eventually(lambda: len(set(receiver.ids())) >= sender.next, "the events after " + name)
            check_events(server.wait_lines(sender.next), [taken.event for taken in receiver.taken], "file")


def test_certificates_of_clients():
    """With TLS 1.3 the handshake is over for the client when the server looks at its certificate."""
    for shown, words in ((None, "certificate required" if harness.tls_1_3() else "handshake failure"), ("client", None), ("strange", "unknown ca")):
        with Receiver() as receiver:
            names = {} if shown is None else {"cert": "@/%s.pem" % shown, "key": "@/%s.key" % shown}
            server = Onward(uri_of(receiver, "https", ca="@/ca.pem", **names))
            trust = Trust(server.folder)
            signed(server.folder, trust.ca, name="client")
            signed(server.folder, trust.stranger, name="strange")
            receiver.context = trust.context(clients=trust.ca)
            with server:
                sender = Sender(server)
                sender.insist(2)
                if words is not None:
                    server.wait_said("trying again")
                    assert words in server.about_sink()[0] and not receiver.taken, server.about_sink()
                    receiver.context = trust.context()
                eventually(lambda: len(receiver.taken) == 2, "the events")
                assert (words is None) == (server.about_sink() == []), server.about_sink()


# ---- What an answer asks for ----

def test_retry_after_is_obeyed():
    """No sooner than it says. A clock that goes in steps may say a little less."""
    for value in ("2", lambda: email.utils.formatdate(time.time() + 3, usegmt=True)):
        for status in ("429 Too Many Requests", "503 Service Unavailable"):
            with Receiver() as receiver, Onward(uri_of(receiver)) as server:
                receiver.plan = [answers(status, "Retry-After: " + (value if isinstance(value, str) else value()))]
                sender = Sender(server)
                sender.insist(2)
                eventually(lambda: len(receiver.requests) > 1, "another try")
                assert receiver.requests[1].when - receiver.requests[0].when > 1.9
                sender.insist()
                eventually(lambda: len(receiver.taken) == 3, "the events")
                check(server.wait_lines(3), receiver.ids())


def test_retry_after_that_is_far_or_nonsense():
    """A SIGHUP tries at once all the same; nonsense counts as nothing."""
    for value in ("3000", "9000000000", "Fri, 31 Dec 9999 23:59:59 GMT"):
        with Receiver() as receiver, Onward(uri_of(receiver)) as server:
            receiver.plan = [answers("503 Service Unavailable", "Retry-After: " + value)]
            Sender(server).insist(2)
            server.wait_said("trying again")
            time.sleep(0.5)
            assert len(receiver.requests) == 1
            server.signal(signal.SIGHUP)
            eventually(lambda: len(receiver.taken) == 2, "the events")
    for value in ("", "-1", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "1e9", "0x10", "99999999999999999999999"):
        with Receiver() as receiver, Onward(uri_of(receiver)) as server:
            receiver.plan = [answers("503 Service Unavailable", "Retry-After: " + value)]
            Sender(server).insist(2)
            eventually(lambda: len(receiver.taken) == 2, "the events")


def test_the_end_does_not_wait_for_a_receiver():
    """What it has not taken is there at the next start."""
    for fault in (receivers.silent, receivers.slow_head, answers("503 Busy", "Retry-After: 3000"),
                  FAULTS["interim_without_end"][0]):
        with Receiver() as receiver, Onward(uri_of(receiver, timeout=60)) as server:
            receiver.fault = fault
            Sender(server).insist(3)
            eventually(lambda: receiver.requests, "a request")
            server.stop()
            assert re.search(r"3 events wait in the ring for the next start", server.stderr()), server.stderr()
            receiver.mend()
            server.restart()
            eventually(lambda: len(receiver.taken) == 3, "the events")


# ---- Outages ----

def test_outage_that_is_longer_than_the_ring_holds():
    """503 at the front, nothing that was acknowledged is lost, all is delivered when it ends."""
    with Receiver() as receiver, \
            Onward(uri_of(receiver), "--ring", "@/ring", "--ring-records", "64", ring=None) as server:
        sender = Sender(server)
        sender.insist(2)
        eventually(lambda: receiver.taken, "the first events")
        receiver.fault = receivers.reset_before_reading
        receiver.shut()
        for _ in range(20):
            assert sender.try_one(3) == 200
        for _ in range(4):
            status = sender.try_one(3)
        answer = server.post(body(3, first=sender.next))
        assert status == 503 and answer.json()["error"] == "ring_full" and int(answer.headers["retry-after"][0]) >= 1
        kept = sender.next
        assert kept >= 60 and len(server.wait_lines(kept)) == kept
        server.kill()  # and it gets worse
        server.restart()
        assert sender.try_one() == 503
        receiver.mend()
        receiver.open()
        eventually(lambda: len(set(receiver.ids())) >= kept, "what had waited")
        sender.insist(3)
        eventually(lambda: len(set(receiver.ids())) >= sender.next, "the next")
        server.emptied()
        server.stop()
        check(server.lines(), receiver.ids())


def test_a_receiver_that_hangs_harms_no_other():
    """Two receivers and a log: one hangs. The others get everything, in order, and the admin port says which."""
    class Both(Looks, Onward):
        pass
    with Receiver() as receiver, Receiver() as other:
        with Both(uri_of(receiver), "--sink", uri_of(other), "--admin", "127.0.0.1:0") as server:
            receiver.fault = receivers.silent
            sender = Sender(server)
            for _ in range(30):
                assert sender.try_one(2) == 200
            eventually(lambda: len(other.taken) == 60, "the events at the other")
            assert len(server.wait_lines(60)) == 60 and not receiver.taken
            server.wait_said("trying again")
            sinks = json.loads(server.look("/status.json").body)["sinks"]
            assert [sink["state"] for sink in sinks] == ["fails", "works", "works"], sinks
            assert re.search("no (reply|answer)", sinks[0]["last_error"]) and sinks[0]["behind"] == 60, sinks
            page = server.look("/").body.decode()
            assert re.search("no (reply|answer)", page), page
            receiver.mend()
            eventually(lambda: len(set(receiver.ids())) == 60, "what had waited")
            check(server.lines(), receiver.ids())
            check(server.lines(), other.ids())

"""An http: sink whose receiver refuses events for good: they are set aside, dropped, or stand in the way and that is
said; requests that are too long are halved."""

import contextlib
import json
import os
import shutil
import subprocess

import receivers
from harness import body, eventually
from onward import Onward, Sender, check, check_events, uri_of
from receivers import Receiver
from test_storage import mount_small

def set_aside(server):
    """The ids in the dead-letter file, and what stands before each letter."""
    try:
        with open(server.path("dead"), encoding="utf-8") as file:
            lines = [json.loads(line) for line in file.read().split("\n")[:-1]]
    except FileNotFoundError:
        lines = []
    assert not lines or "dead" in lines[0], lines
    return [line["id"] for line in lines if "dead" not in line], [line["dead"] for line in lines if "dead" in line]


def test_poison_is_set_aside_and_the_rest_goes_on():
    for batch in (1, 4):
        for status in ("400 Bad Request", "403 Forbidden", "404 Not Found", "409 Conflict", "410 Gone",
                       "422 Unprocessable Content"):
            with Receiver() as receiver, Onward(uri_of(receiver, batch=batch, tries=2, dead="@/dead")) as server:
                receiver.fault = receivers.poisonous("user5@example.jp", status)
                sender = Sender(server)
                for _ in range(4):
                    assert sender.try_one(3) == 200
                eventually(lambda: len(set(receiver.ids()) | set(set_aside(server)[0])) == 12, "all events")
                server.emptied()
                ids, marks = set_aside(server)
                assert [mark["status"] for mark in marks] == [int(status[:3])] and marks[0]["events"] == len(ids), marks
                assert 1 <= len(ids) <= batch and "no such list" in marks[0]["answer"], marks
                check(server.lines(), receiver.ids(), set_aside=ids)
                assert [line["to"] for line in server.lines() if line["id"] in ids].count("user5@example.jp") == 1
                assert ["user5@example.jp" in str(one.body) for one in receiver.requests].count(True) == 2


def test_poison_without_a_place_for_it():
    """A required sink stops there, says so, and goes on when the receiver takes it; a besteffort one drops it."""
    with Receiver() as receiver, Onward(uri_of(receiver, batch=1, tries=2)) as server:
        receiver.fault = receivers.poisonous("user1@example.jp")
        sender = Sender(server)
        for _ in range(4):
            assert sender.try_one(1) == 200
        server.wait_said("stands still before 1 event")
        eventually(lambda: len(receiver.requests) > 4, "more tries")
        assert len(receiver.taken) == 1 and len(server.wait_lines(4)) == 4
        assert len(server.about_sink()) == 1 and "422" in server.about_sink()[0], server.about_sink()
        assert server.stderr().count("stands still") == 1, server.stderr()
        receiver.mend()
        eventually(lambda: len(receiver.taken) == 4, "the events")
        check(server.lines(), receiver.ids())
    with Receiver() as receiver, Onward(uri_of(receiver, batch=1, tries=2, policy="besteffort")) as server:
        receiver.fault = receivers.poisonous("user1@example.jp")
        sender = Sender(server)
        for _ in range(4):
            assert sender.try_one(1) == 200
        eventually(lambda: len(receiver.taken) == 3, "the others")
        assert [taken.event["to"] for taken in receiver.taken] == ["user%d@example.jp" % i for i in (0, 2, 3)]


def test_a_request_that_is_refused_in_parts():
    """It waits for all of them, and comes again whole after each try: each is set aside once, and it is answered."""
    with Receiver() as receiver, \
            Onward(uri_of(receiver, batch=2, tries=2, dead="@/dead"), ring="memory") as server:
        receiver.fault = receivers.answers("422 Unprocessable Content")
        Sender(server).insist(5)
        ids, marks = set_aside(server)
        assert len(ids) == len(set(ids)) == 5 and [mark["events"] for mark in marks] == [2, 2, 1], marks
        check(server.lines(), receiver.ids(), set_aside=ids)
    with Receiver() as receiver, \
            Onward(uri_of(receiver, tries=2, dead="@/dead"), ring="memory") as server:
        receiver.fault = receivers.poisonous("user2@example.jp", "413 Content Too Large")
        Sender(server).insist(4)
        ids, marks = set_aside(server)
        assert len(ids) == 1 and len(receiver.taken) == 3, (marks, receiver.taken)
        check(server.lines(), receiver.ids(), set_aside=ids)


def test_poison_with_the_ring_in_memory():
    """It is answered with 503 while it is tried; set aside, it is safe."""
    with Receiver() as receiver, \
            Onward(uri_of(receiver, batch=1, tries=2, dead="@/dead"), ring="memory") as server:
        receiver.fault = receivers.poisonous("user1@example.jp")
        sender = Sender(server)
        for _ in range(4):
            sender.insist()
        ids, _ = set_aside(server)
        assert len(set(receiver.ids())) == 3 and len(set(ids)) == 1
        check(server.lines(), receiver.ids(), set_aside=ids)


def test_no_room_for_dead_letters():
    """What cannot be set aside is kept."""
    with Receiver() as receiver:
        server = Onward(uri_of(receiver, batch=1, tries=1, dead="@/small/dead"))
        small = server.path("small")
        mount_small(small)
        try:
            with contextlib.suppress(OSError), open(small + "/full", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            with server:
                receiver.fault = receivers.poisonous("user1@example.jp")
                sender = Sender(server)
                for _ in range(3):
                    assert sender.try_one() == 200
                server.wait_said("No space left")
                eventually(lambda: len(receiver.requests) > 3, "more tries")
                assert len(receiver.taken) == 1 and server.counters()["behind"] == "2"
                os.unlink(small + "/full")
                eventually(lambda: len(receiver.taken) == 2, "the next event")
                server.emptied()
                with open(small + "/dead", encoding="utf-8") as file:
                    letter = [json.loads(line) for line in file]
                assert "dead" in letter[0] and [line["to"] for line in letter[1:]] == ["user1@example.jp"], letter
                check(server.lines(), receiver.ids(), set_aside=[letter[1]["id"]])
        finally:
            subprocess.run(["umount", "-l", small], check=False)
            shutil.rmtree(server.folder, ignore_errors=True)


def test_requests_that_are_too_long_are_halved():
    for ring in ("file", "memory"):
        with Receiver() as receiver, \
                Onward(uri_of(receiver, batch=64, wait=50, dead="@/dead"), ring=ring) as server:
            receiver.fault = receivers.most_bytes(2500)
            sender = Sender(server, subject="x" * 300)
            for _ in range(3):
                sender.insist(40)
            eventually(lambda: len(set(receiver.ids())) >= sender.next, "the events")
            assert set_aside(server) == ([], []) and server.about_sink() == [], server.about_sink()
            assert max(len(one.events()) for one in receiver.requests) > 30, "there was nothing to halve"
            check_events(server.wait_lines(sender.next), [taken.event for taken in receiver.taken], ring)


def test_one_event_that_is_too_long():
    with Receiver() as receiver, Onward(uri_of(receiver, batch=8, tries=2, dead="@/dead")) as server:
        receiver.fault = receivers.most_bytes(800)
        sender = Sender(server)
        assert sender.try_one(3) == 200
        assert server.post(body(first=1000, subject="x" * 700)).status == 200
        assert sender.try_one(3) == 200
        eventually(lambda: len(set(receiver.ids())) == 6, "the others")
        ids, marks = set_aside(server)
        assert len(ids) == 1 and marks[0]["status"] == 413, marks
        check(server.wait_lines(7), receiver.ids(), set_aside=ids)

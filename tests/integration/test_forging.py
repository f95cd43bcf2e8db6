"""What senders control must stay one event, one line, one frame, whatever is in it."""

import json
import random
import re
import socket

from harness import Client, Peer, Server, body, eventually, request, run, unframe
from test_sinks import EVIL, assert_harmless, octet_counted

FIELDS = ["reason", "sourceIp", "returnPath", "created", "subject", "apiData", "messageId", "from",
          "to", "senderIp", "status"]

# Ways to begin a line, a terminal sequence, a syslog message or a frame.
FORGERIES = ["a\n<34>1 2026-01-01T00:00:00Z h a - - - x", "a\r\n{\"seq\":1}", "\x1b]0;x\x07\x1b[2J",
             "\u009b2J\u0085x", "a\u0000b\u0000", "a\u2028b\u2029c", "12 <34>1 x", "\" seq=9 \"=", EVIL]

RFC5424 = re.compile(rb"<\d{1,3}>1 \S+ \S+ cmcwh \d+ [!-~]{1,32} - (.*)", re.DOTALL)


def once(pairs):
    """For json.loads: a name that comes twice could hide what stands in the other."""
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), names
    return dict(pairs)


def read_logfmt(line):
    """An independent reader: key=value, key="JSON string", one space between."""
    pairs, at, decoder = [], 0, json.JSONDecoder()
    while at < len(line):
        equals = line.index("=", at)
        key, at = line[at:equals], equals + 1
        if line[at:at + 1] == '"':
            value, at = decoder.raw_decode(line, at)
        else:
            end = line.find(" ", at)
            end = len(line) if end < 0 else end
            value, at = line[at:end], end
        pairs.append((key, value))
        assert at == len(line) or line[at] == " ", line[at:]
        at += 1
    return once(pairs)


def forged_events():
    """Each forgery in each field alone, so that none hides behind another."""
    return [{name: text} for name in FIELDS for text in FORGERIES]


def everywhere(peer, stream_peer):
    return ("--sink", "syslog+udp://127.0.0.1:%d?policy=required" % peer.address[1],
            "--sink", "syslog+tcp://127.0.0.1:%d" % stream_peer.address[1],
            "--sink", "stdout:", "--sink", "file:@/logfmt?format=logfmt",
            "--sink", "file:@/frames?format=binary")


def test_each_field_in_each_output():
    events = forged_events()
    sent = json.dumps({"event_type": "bounces", "event": {"bounces": events}}).encode()
    with Peer(socket.SOCK_DGRAM) as peer, Peer(socket.SOCK_STREAM) as stream_peer:
        with Server(*everywhere(peer, stream_peer)) as server:
            assert server.post(sent).json() == {"stored": len(events)}
            eventually(lambda: len(peer.messages) >= len(events), "datagrams")
            eventually(lambda: len(octet_counted(stream_peer.stream)) >= len(events), "messages")
            lines = server.lines()
            with open(server.path("logfmt"), "rb") as file:
                logfmt = file.read().split(b"\n")
            with open(server.path("frames"), "rb") as file:
                frames = file.read()
            printed = server.stdout().split(b"\n")
            status, shown, _ = run("cat", server.path("frames"))
            messages = octet_counted(stream_peer.stream)
    assert status == 0 and shown.split(b"\n") == printed and logfmt.pop() == printed.pop() == b""
    everything = (lines, logfmt, printed, peer.messages, messages, unframe(frames))
    assert [len(output) for output in everything] == [len(events)] * 6
    for event, line, text, message, datagram, record in zip(
            events, lines, logfmt, messages, peer.messages, unframe(frames)):
        for output in (text, message, datagram):
            assert_harmless(output)
        read = read_logfmt(text.decode())
        assert RFC5424.fullmatch(message).group(1) == RFC5424.fullmatch(datagram).group(1) == text
        for name in FIELDS:
            assert line[name] == record[name] == read[name] == event.get(name, ""), name


def test_members_and_names_of_unknown_kinds():
    """Names of members, and values that are kept as JSON, are the sender's too."""
    event = {text: text for text in FORGERIES}
    event.update({"seq": "9", "id": "8", "truncated": "7", "bounce": "6", "cut": "5", "nest": {EVIL: [EVIL, None, {"k": EVIL}]}})
    with Peer(socket.SOCK_DGRAM) as peer:
        with Server("--sink", "syslog+udp://127.0.0.1:%d?policy=required&max=8192" % peer.address[1],
                    "--sink", "file:@/logfmt?format=logfmt") as server:
            kinds = ["blocks", " ", "x" * 300, "\u65e5\u672c"] + FORGERIES
            for kind in kinds:
                sent = {"event_type": kind, "server_composition": EVIL, "event": {kind: [event]}}
                assert server.post(json.dumps(sent).encode()).body == b'{"stored":1}', kind
            eventually(lambda: len(peer.messages) >= len(kinds), "messages")
            with open(server.log, "rb") as file:
                lines = file.read().split(b"\n")
            with open(server.path("logfmt"), "rb") as file:
                logfmt = file.read().split(b"\n")
    assert len(lines) == len(logfmt) == len(kinds) + 1 and len(peer.messages) == len(kinds)
    for number, (kind, line, text, message) in enumerate(zip(kinds, lines, logfmt, peer.messages)):
        for output in (line, text, message):
            assert_harmless(output)
        assert RFC5424.fullmatch(message).group(1) == text
        read = json.loads(line, object_pairs_hook=once)
        assert read["seq"] == number + 1 and read_logfmt(text.decode())["seq"] == str(number + 1)
        assert read["event_type"] == kind or "event_type" in read["truncated"]
        for name in read:
            if name in FORGERIES or name == "nest":
                assert read[name] == event[name]


def test_names_of_members_forge_nothing():
    """Whatever a sender calls its members: each value comes out once, under a name of its own, and what
    is ours stays ours, also for readers that do not look at the case of letters."""
    source = random.Random(4)
    parts = ["event_", "event", "_", " ", "=", "2", "3", "seq", "id", "status", "bounce", "cut", "type", "a", "\u00e9", "\u65e5", "\n",
             "\"", "SEQ", "Truncated", ""]
    events = []
    for _ in range(200):
        names = {"".join(source.choices(parts, k=source.randint(1, 4))) for _ in range(12)} - set(FIELDS)
        events.append({name: "v%d" % number for number, name in enumerate(sorted(names))})
    sent = ",".join("{%s}" % ",".join(
        '"%s":"%s"' % ("".join("\\u%04x" % ord(c) if source.random() < 0.5 else json.dumps(c)[1:-1] for c in name), value)
        for name, value in event.items()) for event in events)
    with Server("--sink", "file:@/logfmt?format=logfmt", "--ring-records", "1000") as server:
        answer = server.post(('{"event_type":"blocks","event":{"blocks":[%s]}}' % sent).encode())
        assert answer.json() == {"stored": len(events)}, answer.body
        lines = open(server.log, encoding="utf-8").read().splitlines()
        logfmt = open(server.path("logfmt"), encoding="utf-8").read().splitlines()
    ours = ["seq", "id", "received", "event_type", "server_composition", *FIELDS]
    for number, (event, line, text) in enumerate(zip(events, lines, logfmt)):
        for read in (json.loads(line, object_pairs_hook=once), read_logfmt(text)):
            assert str(read["seq"]) == str(number + 1) and read["event_type"] == "blocks"
            folded = [name.lower() for name in read]
            assert all(folded.count(name.lower()) == 1 for name in ours), line
            assert sorted(read[name] for name in read if name not in ours) == sorted(event.values()), text


def test_forms_forge_nothing_either():
    text = "a%0A%3C34%3E1+x%1B%5B2J"
    sent = "event_type=bounces&server_composition=%s&event=%%7B%%22bounces%%22%%3A%%5B%%7B%%7D%%5D%%7D" \
        % text
    with Server("--sink", "stdout:?format=logfmt") as server:
        answer = server.post(sent.encode(), content_type="application/x-www-form-urlencoded")
        assert answer.status == 200, answer.body
        lines = server.stdout().split(b"\n")
        assert len(lines) == 2
        assert_harmless(lines[0])
        assert server.lines()[0]["server_composition"] == "a\n<34>1 x\x1b[2J"


def test_headers_in_the_messages():
    evil = "x\x1b[2J\x9b2J\x07\x0b"
    with Server("--log-level", "debug") as server:
        for name in ("Content-Type", "Content-Encoding", "Authorization", "User-Agent", "Host",
                     "Expect", "X-Forwarded-For", "Transfer-Encoding", "Content-Length", evil):
            client = Client(server.port)
            head = "POST /mails HTTP/1.1\r\n%s: %s\r\n\r\n" % (name, evil)
            client.send(head.encode("latin-1"))
            assert client.answer().status >= 400
            client.close()
        for line in server.stderr().split("\n"):
            assert_harmless(line.encode())


def test_damaged_frames_never_become_other_events():
    with Server("--sink", "file:@/b?format=binary", sink=False) as server:
        assert server.post(body(12, subject="\u65e5\u672c")).status == 200
        with open(server.path("b"), "rb") as file:
            stream = file.read()
    whole = run("cat", "-", data=stream)[1].split(b"\n")[:-1]
    frames = stream.split(b"\0")[:-1]
    assert len(whole) == len(frames) == 12
    chance = random.Random(7)
    for _ in range(60):
        damaged = bytearray(stream)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(damaged))
            what = chance.randrange(4)
            if what == 0:
                damaged[at] ^= 1 << chance.randrange(8)
            elif what == 1:
                del damaged[at:at + chance.randint(1, 400)]
            elif what == 2:
                damaged[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 50)))
            else:
                damaged[at:at] = damaged[at - 100:at]  # sent twice
        status, printed, said = run("cat", "-", data=bytes(damaged))
        left = damaged.split(b"\0")
        expected = [whole[frames.index(frame)] for frame in left[:-1] if frame in frames]
        assert printed.split(b"\n")[:-1] == expected, said
        assert status == (0 if expected else 1)
        bad = [frame for frame in left[:-1] if frame and frame not in frames]
        assert ("skipped" in said) == bool(bad or left[-1]), said

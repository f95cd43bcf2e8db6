"""?only= at a sink, and which events cmcwh cat prints, and how."""

import csv
import io
import json
import os
import subprocess
import unicodedata

import harness
from harness import Server, body, eventually, run
from test_ring_file import recovery


def events(kind, *members):
    """A body with these events."""
    return json.dumps({"event_type": kind, "event": {kind: list(members)}}).encode()


def bounce(number=2, to="gone@example.jp"):
    return events("bounces", {"status": str(number), "to": to})


def seqs(lines):
    return [line["seq"] for line in lines]


# ---- Sinks ----

def test_required_sink_that_wants_none_of_it():
    """Nothing is written, and nothing is waited for; what it wants is there before the answer."""
    with Server("--sink", "file:@/b?only=bounces", "--ring-records", "16", sink=False) as server:
        for i in range(40):
            assert server.post(body(10, first=i)).json() == {"stored": 10}
        assert server.count(server.path("b")) == 0
        assert server.post(bounce()).status == 200
        assert seqs(server.lines(server.path("b"))) == [401]
        assert server.post(events("deliveries", {"status": "failed"})).status == 200
        server.stop()
        assert seqs(server.lines(server.path("b"))) == [401]
        assert "not taken" not in server.stderr(), server.stderr()


def test_required_sink_that_fails_and_wants_none_of_it():
    """A full device holds up only what would be written there."""
    with Server("--sink", "file:/dev/full?only=bounces", sink=False) as server:
        assert server.post(body()).status == 200
        assert "sink 'file:/dev/full?only=bounces'" not in server.stderr()
        assert server.post(bounce()).status == 503
        server.wait_said("trying again, requests may get 503")
        eventually(lambda: server.post(body()).status == 200, "200 for what does not pass")
        assert "works again" not in server.stderr(), server.stderr()


def test_each_sink_gets_its_own():
    with Server("--sink", "file:@/b?only=bounces:2,bounces:99", "--sink",
                "file:@/f?format=logfmt&only=failed,other&policy=besteffort", "--sink",
                "file:@/frames?format=binary&only=deliveries") as server:
        for data in (bounce(1), bounce(2), bounce(99), bounce(77), events("deliveries", *(
                {"status": status} for status in ("queued", "failed", "deferred", "strange"))),
                     events("clicks", {"url": "x"}), events("blocks", {"to": "x"})):
            assert server.post(data).status == 200
        assert seqs(server.wait_lines(10)) == list(range(1, 11))
        assert seqs(server.lines(server.path("b"))) == [2, 3]
        eventually(lambda: server.count(server.path("f")) == 2, "what failed, and the other")
        with open(server.path("f"), encoding="utf-8") as file:
            assert [" seq=%d " % seq in line for seq, line in zip((6, 9), file)] == [True, True]
        code, out, said = run("cat", server.path("frames"))
        assert (code, said) == (0, "") and seqs(map(json.loads, out.splitlines())) == [5, 6, 7, 8]


def test_its_place_in_a_ring_file_moves_on():
    """Events that do not pass take no room, and a restart brings none of the others again: also with
    another filter, for the place is that of the path."""
    server = Server("--ring", "@/ring", "--ring-records", "8", "--sink", "file:@/b?only=bounces", sink=False)
    with server:
        for i in range(10):
            eventually(lambda: server.post(body(4)).status == 200, "room")
        assert server.post(bounce()).status == 200
        assert server.post(body(3)).status == 200
        assert seqs(server.wait_lines(1, server.path("b"))) == [41]
        server.stop()
        server.restart()
        assert recovery(server) == [0, 45, 0, 0]
        assert server.post(bounce()).status == 200
        assert seqs(server.wait_lines(2, server.path("b"))) == [41, 45]
        server.stop()
        server.command[server.command.index("--sink") + 1] += ",queued"
        server.restart()
        assert recovery(server)[:2] == [0, 46]
        assert server.post(body()).status == 200
        assert seqs(server.wait_lines(3, server.path("b"))) == [41, 45, 46]


def test_kills_lose_nothing_that_passes():
    server = Server("--ring", "@/ring", "--ring-records", "64", "--sink", "file:@/b?only=bounces", sink=False)
    with server:
        sent = []
        for i in range(12):
            for number in range(5):
                assert server.post(body(3)).status == 200
                sent.append("b%d-%d@example.jp" % (i, number))
                assert server.post(bounce(to=sent[-1])).status == 200
            server.kill()
            server.restart()
        server.stop()
        lines = server.lines(server.path("b"))
        assert {line["to"] for line in lines} == set(sent)
        assert {line["event_type"] for line in lines} == {"bounces"}


def test_what_is_wrong_is_said():
    for uri, said in (
            ("file:/x?only=", "'only=': expected deliveries, bounces, "), ("file:/x?only=bounces,", "not '' as word 2"),
            ("stdout:?only=Bounces", "not 'Bounces' as word 1"), ("syslog:?only=failed,bounces:12", "word 2"),
            ("serial:/x?only=bounces bounces", "'bounces bounces'")):
        code, out, error = run("serve", "--sink", uri)
        assert code == 2 and out == b"" and error.count("\n") == 1 and said in error, error


# ---- cmcwh cat ----

GOLDEN = "tests/golden/big-endian.ring"  # received 2023-01-25T05:03:06.120Z


def cat(*arguments, zone="UTC0", data=None):
    """What it prints; nothing is wrong."""
    code, out, said = run("cat", *arguments, data=data, preload=lambda: os.environ.update(TZ=zone))
    assert (code, said) == (0, ""), (code, said)
    return out


def cat_seqs(*arguments, **more):
    return seqs(map(json.loads, cat(*arguments, **more).splitlines()))


class Mixed(Server):
    """Seqs 1 and 5 have the same id."""

    def __init__(self):
        super().__init__("--ring", "@/ring", "--sink", "file:@/frames?format=binary")

    def __enter__(self):
        super().__enter__()
        for data in (bounce(2, "Gone@Example.JP"), bounce(5, "full@example.jp"),
                     events("deliveries", {"status": "queued", "to": "a@example.com"},
                            {"status": "failed", "to": "gone@example.jp.example.com"}),
                     bounce(2, "Gone@Example.JP"), events("clicks", {"to": "a@example.com"})):
            assert self.post(data).status == 200
        self.wait_lines(6)
        self.wait_frames(6)
        return self

    def wait_frames(self, count):
        eventually(lambda: run("cat", self.path("frames"))[1].count(b"\n") == count, "%d frames" % count)


def test_cat_prints_what_is_asked_for():
    with Mixed() as server:
        with open(server.path("frames"), "rb") as file:
            frames = file.read()
        for arguments, expected in (
                ((), [1, 2, 3, 4, 5, 6]), (("--only", "bounces"), [1, 2, 5]), (("--only=bounces:5,failed",), [2, 4]),
                (("--only", "other"), [6]), (("--only", "blocks"), []),
                (("--to", "gone@example.jp"), [1, 5]), (("--to=@example.com",), [3, 6]),
                (("--to", "one@example.jp"), []), (("--to", "@EXAMPLE.jp"), [1, 2, 5]),
                (("--since", "1h"), [1, 2, 3, 4, 5, 6]), (("--until", "1h"), []),
                (("--since", "2000-01-01", "--until", "2001-01-01T00:00:00+09:00"), []),
                (("--unique",), [1, 2, 3, 4, 6]), (("--unique", "--only", "bounces"), [1, 2]),
                (("--last", "2"), [5, 6]), (("--last=100",), [1, 2, 3, 4, 5, 6]),
                (("--last", "2", "--only", "bounces"), [2, 5]), (("--last", "1", "--unique", "--only=bounces"), [2])):
            assert cat_seqs(*arguments, server.path("ring")) == expected, arguments
            assert cat_seqs(*arguments, server.path("frames")) == expected, arguments
            assert cat_seqs(*arguments, server.log) == expected, arguments
            assert cat_seqs(*arguments, "-", data=frames) == expected, arguments
        # The options may come behind the file, and the last of a kind counts.
        assert cat_seqs(server.path("ring"), "--only", "bounces", "--only", "other") == [6]


def test_cat_knows_the_time_zone():
    for zone, since, expected in (
            ("JST-9", "2023-01-25 14:03:06", [1, 2, 3]), ("JST-9", "2023-01-25 14:03:07", []),
            ("UTC0", "2023-01-25 05:03:06", [1, 2, 3]), ("UTC0", "2023-01-25 05:03:07", []),
            ("JST-9", "2023-01-25T05:03:06.120Z", [1, 2, 3]), ("JST-9", "2023-01-25T05:03:06.121Z", []),
            ("JST-9", "2023-01-25", [1, 2, 3]), ("JST-9", "2023-01-26", [])):
        assert cat_seqs("--since", since, GOLDEN, zone=zone) == expected, (zone, since)
        assert cat_seqs("--until", since, GOLDEN, zone=zone) == ([] if expected else [1, 2, 3]), (zone, since)


def test_cat_follows_behind_the_last():
    with Mixed() as server:
        for first, name in ((6, "ring"), (8, "frames"), (10, "log")):
            follower = subprocess.Popen([harness.CMCWH, "cat", "-f", "--last", "1", "--only", "bounces,other",
                                         "--format", "csv", server.path(name)], stdout=subprocess.PIPE)
            try:
                assert follower.stdout.readline().startswith(b"\xef\xbb\xbfseq,")
                assert follower.stdout.readline().startswith(b"%d," % first)
                assert server.post(body()).status == 200
                assert server.post(bounce(3)).status == 200
                assert follower.stdout.readline().startswith(b"%d," % (first + 2))
            finally:
                follower.kill()
                follower.wait()
                follower.stdout.close()
            server.wait_frames(first + 2)
            server.wait_lines(first + 2)


def test_cat_says_what_is_wrong():
    for arguments, said in (
            (("--only", "bounces,fialed"), "--only: 'bounces,fialed': expected deliveries, bounces, "),
            (("--only", ""), "not '' as word 1"), (("--to", "somebody"), "--to: 'somebody': expected an address"),
            (("--since", "25.1.2026"), "--since: '25.1.2026': expected a time, such as 2026-01-25"),
            (("--until", "2026-02-30"), "--until: '2026-02-30': expected a time"),
            (("--since", "1h", "--until", "2h"), "--until: '2h': expected a time behind that of --since"),
            (("--last", "0"), "--last: '0': expected a number from 1 to 100000"),
            (("--last", "many"), "'many'"), (("--format", "xml"), "--format: 'xml': expected json, logfmt or csv"),
            (("--unique=1",), "'--unique=1': expected "), (("--last",), "--last: a value must follow"),
            (("--nonsense",), "'--nonsense': expected --format json, logfmt or csv, ")):
        code, out, error = run("cat", GOLDEN, *arguments)
        assert (code, out) == (2, b"") and error.count("\n") == 1 and said in error, error


# ---- CSV ----

HOSTILE = [
    "=1+1", "=cmd|' /C calc'!A0", "+1", "-1+1|x", "@SUM(1+1)", "=HYPERLINK(\"http://x/?\"&A1,\"y\")", "\t=1", "\r=1",
    "\n=1", " =1", "\u3000=1", "\u00a0@x", "\u200b=1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x", "\"=1", "\"\"=1",
    "x;=1", "x\";\"=1", "a;  \"+1", ";-)", "x\t=1", "x\n=1", "x\r\n=1\r\n", "'=1", "'", "a,b", "\"a\"", "a\"b", ",", "",
    "09012345678", "1234567890123456", "1e5", "+81-3-1234-5678", "ordinary text", "配信できません", "\U0001f600", "\u202e=1",
    "\x1b]0;=1\x07", "\x00=1", "C:\\=1"]


def harmless(cell):
    """Is the first that a spreadsheet does not pass over none of those that begin a formula?"""
    for c in cell:
        if c in "=+-@\t\r\n" or unicodedata.normalize("NFKC", c) in ("=", "+", "-", "@"):
            return False
        if not (c == '"' or c.isspace() or unicodedata.category(c) in ("Cf", "Zs")):
            return True
    return True


def text_of(cell):
    """The text of a cell, as the manual says that a program gets it; and what is escaped."""
    return ";".join(part[1:] if part.startswith("'") else part for part in cell.split(";"))


def shown(text):
    """What could not be seen is escaped."""
    return "".join("\\u%04x" % ord(c) if ord(c) < 32 or c in "\x7f\u202e" else c for c in text)


def test_csv_of_hostile_texts():
    with Server("--ring", "@/ring", "--ring-records", "64") as server:
        assert server.post(events("deliveries", *({"subject": text, "reason": text, "to": text, "status": text}
                                                  for text in HOSTILE))).status == 200
        assert server.post(events("blocks", {"odd": "x;=1", "=2": [3]})).status == 200
        assert server.post(bounce(2)).status == 200
        lines = server.wait_lines(len(HOSTILE) + 2)
        table = cat("--format", "csv", server.path("ring"))
    assert table.startswith(b"\xef\xbb\xbf") and table.count(b"\r\n") == len(lines) + 1
    assert table.count(b"\n") == table.count(b"\r") == len(lines) + 1 and b"\t" not in table
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"), newline=""), strict=True))
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines):
        assert list(row) == [name for name in line if name in row][:6] + ["bounce"] + \
            [name for name in line if name in row and name != "bounce"][6:] + ["truncated", "members"]
        for name, value in line.items():
            if name in row:
                assert text_of(row[name]) == shown(str(value)), (name, value, row)
    assert json.loads(text_of(rows[-2]["members"])) == {"odd": "x;=1", "=2": [3]}
    assert rows[-1]["bounce"] == "unknown user"
    # Whatever separates the cells where it is opened.
    for separator in ",;\t":
        for row in csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""), delimiter=separator):
            assert all(harmless(cell) for cell in row), (separator, row)

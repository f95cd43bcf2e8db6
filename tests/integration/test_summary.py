"""cmcwh summary: every kind of file, what is counted, what cannot be read, and the addresses not to mail again."""

import csv
import gzip
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
import zlib

from harness import CMCWH, Server, body, payload, run

ZONE = {"TZ": "Asia/Tokyo"}


class Folder:
    """Files of a test; summary() reads them in Japan."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="cmcwh-test-")
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.path)

    def write(self, name, data):
        path = os.path.join(self.path, name)
        with open(path, "wb") as file:
            file.write(data)
        return path


def summary(*arguments, data=None, status=0):
    os.environ.update(ZONE)
    try:
        result, output, said = run("summary", *arguments, data=data)
    finally:
        for name in ZONE:
            del os.environ[name]
    assert result == status, (result, output, said)
    return output.decode(), said


def counts(*arguments, **more):
    output, said = summary("--format", "json", *arguments, **more)
    return json.loads(output), said


def line(number=1, received="2026-11-24T16:00:00.000Z", kind="deliveries", status="queued", to="a@example.jp", **more):
    members = {"seq": number, "id": "%016x" % number, "received": received, "event_type": kind,
               "server_composition": "pro", "status": status, "created": "2026-11-25 01:00:00", "messageId": "<m>",
               "from": "f@example.jp", "to": to, "returnPath": "", "subject": 'a "quote" \\ \u3042', "reason": "",
               "sourceIp": "", "senderIp": "", "apiData": ""}
    members.update(more)
    return (json.dumps(members, separators=(",", ":")) + "\n").encode()


def test_a_day_is_the_same_in_every_kind_of_file():
    """A ring, a JSON log and a binary log of the same events, together too: each counts once."""
    with Server("--ring", "@/ring", "--sink", "file:@/binary?format=binary") as server:
        for name in ("deliveries-queued", "deliveries-succeeded", "deliveries-failed", "bounces-user-unknown",
                     "bounces-host-unknown"):
            assert server.post(payload(name + ".json")).status == 200
        assert server.post(b'{"event_type":"blocks","server_composition":"pro","event":{"blocks":'
                           b'[{"email":"x","truncated":["to"],"seq":{"a":1}}]}}').status == 200
        assert server.post(b'{"event_type":"new","server_composition":"p\\u0022","event":{"new":[{}]}}').status == 200
        assert server.post(body(2, reason="x" * 2000, status="strange", subject="\u2028\"\\\x07")).status == 200
        server.stop()
        files = [server.log, server.path("ring"), server.path("binary")]
        seen = [counts(file) for file in files]
        for found, said in seen:
            assert said == "" and found == seen[0][0], (found, seen[0])
            assert found["events"] == 9 and found["repeats"] == 0 and len(found["days"]) == 1
            day = found["days"][0]
            assert day["queued"] == day["succeeded"] == day["failed"] == day["blocks"] == day["other"] == 1
            assert (day["bounces"], day["unknown"], day["deferred"]) == (2, 2, 0)
            assert day["reasons"] == {"unknown host": 1, "unknown user": 1}
        found, said = counts(*files)
        assert found == dict(seen[0][0], repeats=18) and said == ""
        with open(server.log, "rb") as file:
            log = file.read()
        assert counts("-", data=log)[0] == seen[0][0]
        text, _ = summary(server.log)
        assert "why bounced: unknown host 1, unknown user 1" in text and "days are those of JST (UTC+09:00)" in text


def test_days_are_local_and_received():
    lines = (line(1, "2026-11-24T14:59:59.999Z") + line(2, "2026-11-24T15:00:00.000Z") +
             line(3, "2026-11-25T14:59:59.999Z", status="failed") + line(4, "2026-11-20T00:00:00.000Z"))
    found, _ = counts("-", data=lines)
    assert [(day["day"], day["queued"], day["failed"]) for day in found["days"]] == [
        ("2026-11-20", 1, 0), ("2026-11-24", 1, 0), ("2026-11-25", 1, 1)]
    assert found["total"]["queued"] == 3 and found["zone"] == "JST (UTC+09:00)"
    for options, events in ((("--since", "2026-11-25"), 2), (("--until=2026-11-25",), 2),
                            (("--since", "2026-11-24 23:59", "--until", "2026-11-24T15:00:00Z"), 1)):
        assert counts(*options, "-", data=lines)[0]["events"] == events, options
    for options in (("--since", "yesterday-ish"), ("--until", "")):
        _, said = summary(*options, "-", data=lines, status=2)
        assert options[0] in said and "expected a time" in said


def test_more_days_than_are_told_apart():
    """In whatever order, the newest are kept, and the others are together."""
    days = ["%04d-%02d-%02dT03:00:00.000Z" % (year, month, day) for year in (2021, 2022, 2023, 2024)
            for month in range(1, 13) for day in range(1, 29)]
    lines = [line(number, day) for number, day in enumerate(days, 1)]
    for order in (lines, lines[::-1], lines[1::2] + lines[::2]):
        found, _ = counts("-", data=b"".join(order))
        assert len(found["days"]) == 1025 and found["total"]["queued"] == len(days)
        assert found["days"][0]["before"] > "2021" and found["days"][0]["queued"] == len(days) - 1024
        assert [day["day"] for day in found["days"][1:]] == [day[:10] for day in days[-1024:]]


def test_repeats_and_domains():
    bounces = [line(i, kind="bounces", status="2", to="u@d%d.example" % (i % 13)) for i in range(1, 60)]
    bounces += [line(100 + i, kind="bounces", status="1", to="U%d@Best.Example" % i) for i in range(9)]
    bounces += [line(200, kind="bounces", status="5", to="")]
    found, _ = counts("-", data=b"".join(bounces + bounces[:7]))
    assert (found["events"], found["repeats"]) == (69, 7)
    assert found["domains"][0] == {"domain": "best.example", "bounces": 9} and len(found["domains"]) == 10
    assert sum(domain["bounces"] for domain in found["domains"]) + found["other_domains"] == 69
    text, _ = summary("-", data=b"".join(bounces + bounces[:7]))
    assert "9 best.example\n" in text and "all others" in text and "69 events, and 7 that came again" in text
    assert "nothing bounced" in summary("-", data=line())[0]


def test_what_a_text_holds_does_nothing():
    evil = '"\x1b[2J\u009b\u202e,=cmd|@=HYPERLINK("x")\r\n'
    lines = line(kind="bounces", status="2", to="=1+1@" + evil, subject=evil, reason=evil)
    for options in ((), ("--format", "json"), ("--suppress",)):
        output, _ = summary(*options, "-", data=lines)
        assert not any(c in output for c in "\x1b\u009b\u202e"), output
    rows = list(csv.reader(io.StringIO(summary("--suppress", "-", data=lines)[0])))
    assert len(rows) == 2 and rows[1][0].startswith("'=1+1@"), rows


def frame(record):
    """A record of 1024 bytes as a log has it: its CRC made right, in a COBS frame."""
    length = int.from_bytes(record[28:30], "little")
    record = record[:length - 4] + zlib.crc32(record[:length - 4]).to_bytes(4, "little")
    out = bytearray()
    for part in (record + b"\0").split(b"\0")[:-1]:
        for at in range(0, len(part) - 253, 254):
            out += b"\xff" + part[at:at + 254]
        rest = part[len(part) // 254 * 254:]
        out += bytes([len(rest) + 1]) + rest
    return bytes(out) + b"\0"


def test_numbers_that_are_none():
    """A log from elsewhere may hold any."""
    with open("tests/golden/big-endian.ring", "rb") as file:
        bounce = file.read()[3 * 256 + 1024:][:1024]
    assert bounce[:6] == b"CMCR\1\2" and bounce[6] == 3
    for number in (12, 13, 98, 100, 200, 255):
        log = b"\0" + b"".join(frame(bounce[:5] + bytes([kind, number]) + bounce[7:40] + bytes([kind]) + bounce[41:])
                               for kind in (1, 2, 3, 9))
        found, said = counts("-", data=log)
        assert said == "" and found["events"] == 4, (found, said)
        for day in found["days"] + [found["total"]]:
            assert [day[name] for name in ("bounces", "blocks", "unknown", "other")] == [1, 1, 1, 1], (number, found)
            assert day["reasons"] == {"unknown": 1}, (number, found)


def test_what_is_not_an_event_is_said():
    good = line(1)
    for bad, wrong in ((b"nonsense\n", 1), (good[:100] + b"\n", 1), (b"\n\n", 0), (b"{}\n[]\n", 2), (b"x" * 70000 + b"\n", 1),
                       (b'{"seq":1}\n', 1), (good.replace(b'"to":"', b'"to":"\\ud800'), 1),
                       (good.replace(b"}", b""), 1), (good.replace(b'"2026-11-24T', b'"yesterday T'), 1),
                       (good.replace(b"\n", b"{}\n"), 1), (good[:-1] + good, 1), (b"\x80\xff\n", 1),
                       (good.replace(b'"pro"', b'"pro",\x00'), 1)):
        found, said = counts("-", data=line(7) + bad + line(8))
        assert found["events"] == 2, (bad, found, said)
        assert said == "" if wrong == 0 else (
            "-: %d lines are no events in cmcwh's JSON, the first is line 2; read 2 events" % wrong in said), (bad, said)
    found, said = counts("-", data=line(7) + line(8)[:-30])  # its end is still to be written
    assert found["events"] == 1 and "the first is line 2" in said
    assert counts("-", data=line(7) + line(8)[:-1])[0]["events"] == 2
    assert counts("-", data=b"")[0]["events"] == 0


def test_files_that_are_read_with_others():
    with Folder() as folder:
        new, old = folder.write("log", line(2)), folder.write("log.1", line(1))
        packed = folder.write("log.2.gz", gzip.compress(line(0, seq=3)))
        logfmt = folder.write("logfmt", b"event_type=deliveries status=queued\n")
        noise = folder.write("noise", b"no events\nat all\n")
        assert counts(new, old)[0]["events"] == 2
        for file, part in ((packed, "it is compressed: unpack it into standard input, as in zcat"),
                           (logfmt, "a log in logfmt"), (noise, "2 lines are no events"), (folder.path, "directory"),
                           (os.path.join(folder.path, "none"), "No such file")):
            found, said = counts(new, file, old, status=1)
            assert found["events"] == 2 and part in said and said.count("\n") == 1, said
        shell = 'zcat "$1" | "$2" summary --format json - "$3"'
        piped = subprocess.run(["sh", "-c", shell, "sh", packed, CMCWH, new], capture_output=True, check=True)
        assert json.loads(piped.stdout)["events"] == 2 and piped.stderr == b""


def test_suppress():
    def bounce(number, to, day, status):
        return line(number, "2026-%02d-%02dT00:00:00.000Z" % day, "bounces", status, to)
    lines = (bounce(1, "gone@Example.jp", (1, 1), "2") + bounce(2, "full@example.jp", (1, 1), "5") +
             bounce(3, "full@EXAMPLE.jp", (1, 20), "5") + bounce(4, "slow@example.jp", (1, 1), "3") +
             bounce(5, "slow@example.jp", (1, 2), "3") + bounce(6, "full@example.jp", (1, 31), "7") +
             bounce(7, "slow@example.jp", (2, 1), "3") + line(8, status="failed", to="no@bounce") +
             bounce(9, "gone@example.jp", (3, 1), "5") + bounce(10, "", (3, 1), "2"))
    expected = [["address", "reason", "status", "bounces", "first", "last"],
                ["gone@example.jp", "unknown user", "2", "2", "2026-01-01T00:00:00.000Z", "2026-03-01T00:00:00.000Z"],
                ["full@example.jp", "receiving server error", "7", "3", "2026-01-01T00:00:00.000Z",
                 "2026-01-31T00:00:00.000Z"]]
    output, said = summary("--suppress", "-", data=lines + lines)
    assert list(csv.reader(io.StringIO(output))) == expected and "1 bounces have no whole address" in said
    with Folder() as folder:
        parts = [folder.write("log.%d" % i, part + b"\n") for i, part in enumerate(lines.split(b"\n"))]
        output, _ = summary("--suppress", *reversed(parts))
        assert sorted(csv.reader(io.StringIO(output))) == sorted(expected)
    output, _ = summary("--suppress", "--since", "2026-01-10", "-", data=lines)
    assert "gone" not in output and "full" not in output


def test_an_address_that_was_cut_is_not_another_one():
    lines = line(kind="bounces", status="2", to="a@b.c", truncated=["reason", "to"])
    assert summary("--suppress", "-", data=lines)[0].count("\n") == 1
    lines = line(kind="bounces", status="2", to="a@b.c", truncated=["reason"])
    assert summary("--suppress", "-", data=lines)[0].count("\n") == 2


def test_wrong_usage():
    for arguments in ((), ("--what", "x"), ("--format", "xml", "x"), ("--format",), ("--suppress=x", "x"),
                      ("--suppress", "--format", "json", "x")):
        _, said = summary(*arguments, status=2)
        assert said.count("\n") == 1 and said.startswith("cmcwh: summary: "), said


def test_a_line_a_day():
    """Where the server is, it is soon 12:00."""
    second = time.time() % 86400
    offset = int((12 * 3600 - 10 - second) % 86400)  # east of UTC
    zone = "HERE-%02d:%02d:%02d" % (offset // 3600, offset // 60 % 60, offset % 60)

    def there():
        os.environ["TZ"] = zone
    with Server("--summary-at", "12:00", "--log-level", "error", preload=there) as server:
        assert server.post(payload("bounces-user-unknown.json")).status == 200
        said = server.wait_said("; yesterday")
        line = [line for line in said.split("\n") if "; yesterday" in line]
        assert len(line) == 1 and line[0].startswith("cmcwh: today"), said
        assert "1 bounces (unknown user 1)" in line[0] and "(days of HERE" in line[0] and "). OK: " in line[0], said


def test_a_time_that_is_none():
    for value in ("24:00", "9:00", "noon", ""):
        status, _, said = run("serve", "--summary-at", value)
        assert status == 2 and "--summary-at: '%s': expected a time of the day" % value in said, said

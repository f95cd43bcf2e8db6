"""cmcwh cat of logs of JSON lines and of dead-letter files: what comes out is what went in."""

import json
import random
import re
import subprocess

import harness
from harness import Server, run
from test_filter import Mixed, cat, cat_seqs
from test_forging import FIELDS, forged_events
from test_sinks import EVIL
from test_summary import summary

DEAD = (b'{"dead":{"at":"2026-11-26T03:04:05.678Z","sink":"https://h/?dead=/d","status":422,"events":2,'
        b'"answer":"no \\u001b[2J {\\"seq\\":1}"}}\n')

# What one sees, what one does not see, what must be escaped, and what takes one to four bytes.
LETTERS = "abc \"\\/\n\x00\x1b\x7f\u0085\u00e9\u2028\u202e\u3042\ufeff\U0001f600,:{}[]@=&%+"
KINDS = ("deliveries", "bounces", "blocks", "clicks", "x" * 300, EVIL)
NAMES = FIELDS + ["seq", "id", "truncated", "Truncated", "event_truncated", "bounce", "cut", "event_seq", "members", "x", EVIL]


def text_of(chance, most):
    return "".join(chance.choice(LETTERS) for _ in range(int(chance.random() ** 3 * most)))


def value_of(chance):
    return chance.choice([None, True, 1.5e-7, -0, [], {}, text_of(chance, 600), [1, {"a": text_of(chance, 90), "truncated": ["to"]}],
                          {"b": 2, "truncated": ["subject", "to"], "c": [[]]}])


def event_of(chance, kind):
    event = {name: text_of(chance, 700) for name in FIELDS if chance.random() < 0.8}
    if kind in ("deliveries", "bounces") and chance.random() < 0.8:
        event["status"] = chance.choice(["queued", "failed", "1", "2", "99"])
    if kind not in ("deliveries", "bounces"):
        event.update({name: value_of(chance) for name in NAMES if chance.random() < 0.3 and name not in FIELDS})
    items = list(event.items())
    chance.shuffle(items)
    return dict(items)


def odd_bodies(seed):
    chance = random.Random(seed)
    yield {"event_type": "bounces", "event": {"bounces": forged_events()}}
    for _ in range(60):
        kind = chance.choice(KINDS)
        yield {"event_type": kind, "server_composition": chance.choice(["pro", "", EVIL, "y" * 300]),
               "event": {kind: [event_of(chance, kind) for _ in range(chance.choice([1, 3, 20]))]}}


def is_same(before, after):
    """A name that got a number is longer than the one that was sent: where a record was full, some more is cut."""
    if before == after:
        return True
    before, after, full = json.loads(before), json.loads(after), re.search(rb',"event\d+_', before)
    return full and all(before[name] == after[name] for name in ("seq", "id", "received", "event_type"))


def test_lines_come_out_as_they_are():
    """Byte for byte: seq, id, received, what was cut, what an event calls itself."""
    with Server("--sink", "file:@/b?format=binary") as server:
        for number, sent in enumerate(odd_bodies(1)):
            assert server.post(json.dumps(sent, ensure_ascii=number % 2 == 0).encode()).status == 200, sent
        with open(server.log, "rb") as file:
            log = file.read().split(b"\n")
        for part, least in ((b'"truncated":["', 100), (b'"event_seq":', 5), (b'"bounce":', 50), (b'"members"]', 5)):
            assert sum(part in line for line in log) > least, part
        printed = cat(server.log).split(b"\n")
        assert len(printed) == len(log)
        for before, after in zip(log, printed):
            assert is_same(before, after), (before, after)
        assert sum(before != after for before, after in zip(log, printed)) < 5
        assert cat("-", data=b"\n".join(printed)) == b"\n".join(printed)
        # In other formats an own member has no prefix, or other escapes; a line knows of it what JSON shows.
        seqs = {json.loads(line)["seq"] for line in log[:-1] if re.search(rb'"event_type":"(deliveries|bounces)"', line)}
        for name in ("csv", "logfmt"):
            frames = cat("--format", name, server.path("b")).split(b"\n")
            lines = cat("--format", name, server.log).split(b"\n")
            first = 1 if name == "csv" else 0
            assert len(lines) == len(frames) == len(log) + first
            for seq, (one, other) in enumerate(zip(lines[first:-1], frames[first:-1]), 1):
                assert one == other or seq not in seqs, (one, other)


def test_dead_letters():
    """What a letter says of itself is no event, and nothing to complain of."""
    with Mixed() as server:
        with open(server.log, "rb") as file:
            lines = file.read().splitlines(True)
        letters = server.path("dead")
        with open(letters, "wb") as file:
            file.write(b"".join([DEAD] + lines[:2] + [DEAD] + lines[2:]))
        assert cat(letters) == b"".join(lines)
        assert cat_seqs("--only", "bounces", "--unique", letters) == [1, 2]
        assert cat_seqs("--last", "1", "--to", "@example.com", letters) == [6]
        found, said = summary("--format", "json", letters)
        assert json.loads(found)["events"] == 5 and json.loads(found)["repeats"] == 1 and said == ""
        assert cat("-", data=DEAD) == b"" and summary("-", data=DEAD)[1] == ""
        status, printed, said = run("cat", "-", data=DEAD + lines[0] + DEAD[:-3] + b"\n" + lines[1])
        assert (status, printed) == (0, lines[0] + lines[1])
        assert "1 lines are no events in cmcwh's JSON, the first is line 3; read 2 events" in said


def test_what_stands_before_it():
    """Lines of something else, or noise, longer than what is read at once."""
    with Mixed() as server:
        with open(server.log, "rb") as file:
            lines = file.read()
        with open(server.path("frames"), "rb") as file:
            frames = file.read()
    behind_the_first = lines[lines.index(b"\n") + 1:]  # noise that does not end spoils the first frame
    for before in (b"noise\n", b"\xff" * 70000 + b"\n", b"some words\n" * 10000):
        status, printed, said = run("cat", "-", data=before + lines)
        assert (status, printed) == (0, lines) and "lines are no events in cmcwh's JSON, the first is line 1; read 6" in said
        status, printed, said = run("cat", "-", data=before + frames)
        assert (status, printed) == (0, behind_the_first) and "bytes that belong to no record; read 5 events" in said, said
        status, printed, said = run("cat", "-", data=before + b"\0" + frames)
        assert (status, printed) == (0, lines) and "skipped %d bytes" % len(before) in said, said
    assert cat("-", data=b"\n\n" + lines) == lines
    status, printed, said = run("cat", "-", data=lines[:-20])
    assert status == 0 and printed == b"".join(lines.splitlines(True)[:-1]) and "the first is line 6; read 5 events" in said
    assert cat("--last", "2", "-", data=lines[:-1]) == b"".join(lines.splitlines(True)[-2:])  # its end is still to come
    status, printed, said = run("cat", "-", data=b"some words\n" * 3)
    assert (status, printed) == (1, b"") and "3 lines are no events in cmcwh's JSON, the first is line 1" in said


def test_lines_as_they_come():
    """From a pipe, each as soon as it is whole."""
    with Mixed() as server:
        with open(server.log, "rb") as file:
            lines = file.read().splitlines(True)
    process = subprocess.Popen([harness.CMCWH, "cat", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        for line in lines:
            for part in (line[:5], line[5:100], line[100:]):
                process.stdin.write(part)
                process.stdin.flush()
            assert process.stdout.readline() == line
        process.stdin.close()
        assert process.stdout.read() == b"" and process.wait(harness.PATIENCE) == 0

#!/usr/bin/env python3
"""The demo of port/baremetal: what it is sent, and what it must print.

demo.py source               prints demo.c
demo.py run CMCWH ELF        runs ELF in qemu and compares with what `CMCWH check` says
"""

import json
import pathlib
import re
import shlex
import subprocess
import sys

PAYLOADS = pathlib.Path(__file__).parent.parent / "payloads"
QEMU = "qemu-system-arm -M lm3s6965evb -nographic -monitor none -serial stdio -no-reboot -kernel"
RECORDS = 8  # as in main.c
TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


class Request:
    """`answer`: a status, or None: as `cmcwh check` has it."""

    def __init__(self, name, body, kind="json", answer=None, **other):
        self.name, self.body, self.kind, self.answer = name, body, kind, answer
        self.uri = other.get("uri", "/mails")
        self.token = other.get("token", "Bearer demo")
        self.type = other.get("type", TYPES[kind])
        self.length = other.get("length", len(body))
        self.drain = other.get("drain", True)


def requests():
    found = []
    for path in sorted(PAYLOADS.iterdir()):
        found.append(Request(path.name, path.read_bytes(), path.suffix[1:]))
    one = found[-1]
    events = json.loads(one.body)["event"]["deliveries"]
    many = json.dumps({"event_type": "deliveries", "event": {"deliveries": events * (RECORDS + 1)}}).encode()
    just = json.dumps({"event_type": "deliveries", "event": {"deliveries": events * RECORDS}}).encode()
    found += [
        Request("malformed", b'{"event_type":"deliveries","event":{,}}'),
        Request("cut-short", one.body[:-40]),
        Request("bad-utf8", one.body.replace("メ".encode(), b"\xe3\x83")),
        Request("bad-form", b"event_type=deliveries&event=%7", "form"),
        Request("no-event", b'{"event_type":"deliveries"}'),
        Request("wrong-type", b'{"event_type":"deliveries","event":{"deliveries":7}}'),
        Request("too-many", many, answer=413),
        Request("as-many-as-fit", just),
        Request("connection-lost", one.body[:300], answer=0, length=len(one.body)),
        Request("other-path", one.body, answer=404, uri="/"),
        Request("wrong-token", one.body, answer=401, token="Bearer demi"),
        Request("other-type", one.body, answer=415, type="text/plain"),
    ]
    found += [Request("fill-%d" % i, one.body, drain=False) for i in range(RECORDS)]
    found += [Request("ring-full", one.body, answer=503), Request("sent-again", one.body)]
    return found


def quote(data):
    """A C string; no digit may follow an octal escape of fewer digits."""
    lines = [data[i : i + 60] for i in range(0, len(data), 60)] or [b""]
    plain = {c for c in range(32, 127)} - set(b'"\\?')
    return "\n".join(
        '     "%s"' % "".join(chr(c) if c in plain else "\\%03o" % c for c in line) for line in lines
    )


def source():
    print('#include "demo.h"\n\nconst struct demo_request demo_requests[] = {')
    for r in requests():
        head = "HTTP/1.1\r\nHost: board\r\nAuthorization: %s\r\ncontent-type: %s\r\nContent-Length: %d\r\n"
        head = head % (r.token, r.type, r.length)
        print('    {"%s", "%s",\n%s,\n%s,' % (r.name, r.uri, quote(head.encode()), quote(r.body)))
        print("     %d, %d, %s}," % (r.length, len(r.body), "true" if r.drain else "false"))
    print("};\n\nconst size_t demo_count = sizeof demo_requests / sizeof *demo_requests;")


def check(cmcwh, request):
    """What the daemon makes of a body: its events, and the answer."""
    command = [cmcwh, "check", "--type", request.kind, "-"]
    done = subprocess.run(command, input=request.body, capture_output=True, timeout=20)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode == 0:
        return events, (200, {"stored": len(events)})
    said = re.search(r"offset (\d+): (\w+)(?: (\w+))?: (.*)", done.stderr.decode())
    answer = {"error": said[2], "offset": int(said[1]), "detail": said[4]}
    if said[3]:
        answer["field"] = said[3]
    status = 422 if said[2] in ("missing_field", "wrong_type", "event_type_mismatch") else 400
    return [], (status, answer)


def expected(cmcwh):
    answers, events = [], []
    for request in requests():
        if request.answer is None:
            stored, answer = check(cmcwh, request)
            events += stored
        else:
            answer = (request.answer, None)
        answers.append((request.name, answer))
    for seq, event in enumerate(events, 1):
        event["seq"] = seq
        del event["received"]  # the board has no clock
    return answers, events


def run(elf):
    """Answers, events and the stack that was used, from the UART."""
    command = ["timeout", "60"] + shlex.split(QEMU) + [elf]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=70)
    output = done.stdout.decode()
    answers, events, lines = [], [], iter(output.replace("\r\n", "\n").split("\n"))
    last = stack = None
    for line in lines:
        if line.startswith("> "):
            name, rest = line[2:].split(" ", 1)
            if rest == "no answer":
                answers.append((name, (0, None)))
                continue
            while next(lines) != "":
                pass
            answers.append((name, (int(rest.split()[1]), json.loads(next(lines)))))
        elif line.startswith("{"):
            events.append(json.loads(line))
            del events[-1]["received"]
        elif line.startswith("stack "):
            stack = int(line.split()[1])
        elif line != "":
            last = line
    if last != "end":
        sys.exit("the demo did not end as it should:\n" + output[-2000:] + done.stderr.decode())
    return answers, events, stack


def compare(what, got, wanted):
    for one, other in zip(got, wanted):
        if one != other:
            sys.exit("%s\n  board:  %s\n  wanted: %s" % (what, one, other))
    if len(got) != len(wanted):
        sys.exit("%s: the board printed %d, wanted %d" % (what, len(got), len(wanted)))


def main():
    if sys.argv[1:] == ["source"]:
        return source()
    cmcwh, elf = sys.argv[2:]
    answers, events = expected(cmcwh)
    board_answers, board_events, stack = run(elf)
    # Where no daemon says the same, only the status is compared.
    board_answers = [
        (name, (got[0], got[1] if wanted[1] else None))
        for (name, got), (_, wanted) in zip(board_answers, answers)
    ]
    compare("an answer", board_answers, answers)
    compare("an event", board_events, events)
    print("firmware: %d answers and %d events as cmcwh check has them" % (len(answers), len(events)))
    print("firmware: %d bytes of stack used" % stack)


if __name__ == "__main__":
    main()

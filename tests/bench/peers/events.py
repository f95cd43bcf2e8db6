"""What both Python peers do with a request: is it an event, one JSON line for each, append, sync."""

import json
import os

FIELDS = ["status", "created", "messageId", "from", "to", "returnPath", "subject", "reason",
          "sourceIp", "senderIp", "apiData"]


class NotAnEvent(Exception):
    pass


def line(kind, composition, one):
    fields = {"event_type": kind, "server_composition": composition}
    for field in FIELDS:
        fields[field] = one.get(field, "")
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"


def lines(body):
    if not isinstance(body, dict):
        raise NotAnEvent("not an event")
    kind, event = body.get("event_type"), body.get("event")
    if isinstance(event, str):  # in a form the event is JSON within a field
        event = json.loads(event)
    events = event.get(kind) if isinstance(event, dict) and isinstance(kind, str) else None
    if not isinstance(events, list) or not all(isinstance(one, dict) for one in events):
        raise NotAnEvent("not an event")
    return [line(kind, body.get("server_composition", ""), one) for one in events]


def append(descriptor, data):
    """One write, so that lines of other processes cannot come between."""
    if os.write(descriptor, data) != len(data):
        raise OSError("short write")
    if os.environ["SYNC"] == "1":
        os.fdatasync(descriptor)


def store(body):
    taken = lines(body)
    descriptor = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        append(descriptor, "".join(taken).encode())
    finally:
        os.close(descriptor)
    return len(taken)

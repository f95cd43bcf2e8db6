"""The bodies that are posted, made of the payloads' events, and what must come out for them."""

import glob
import json
import os
import urllib.parse

FIELDS = ["event_type", "server_composition", "status", "created", "messageId", "from", "to", "returnPath",
          "subject", "reason", "sourceIp", "senderIp", "apiData"]
TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


def events(count):
    known = []
    for path in sorted(glob.glob("tests/payloads/deliveries-*.json")):
        with open(path, encoding="utf-8") as file:
            known += json.load(file)["event"]["deliveries"]
    return [known[i % len(known)] for i in range(count)]


def compact(value, ascii_only=False):
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))


def body(form, count):
    members = {"event_type": "deliveries", "server_composition": "pro",
               "event": {"deliveries": events(count)}}
    if form == "json":
        return compact(members).encode()
    # CMC escapes what is not ASCII within the JSON of a form.
    members["event"] = compact(members["event"], True)
    return urllib.parse.urlencode(members).encode()


def write(folder):
    """A file for each body, for wrk."""
    for form in TYPES:
        for count in (1, 100):
            with open(path(folder, form, count), "wb") as file:
                file.write(body(form, count))


def path(folder, form, count):
    return os.path.join(folder, "%s-%d" % (form, count))


def expected(count):
    """The fields of the lines that must come."""
    return [dict({name: one.get(name, "") for name in FIELDS}, event_type="deliveries",
                 server_composition="pro") for one in events(count)]


def fields_of(line):
    event = json.loads(line)
    return {name: event.get(name) for name in FIELDS}

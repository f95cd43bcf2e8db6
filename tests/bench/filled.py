"""Files for measurements, made by a real server out of the payloads' events: a ring, a log of JSON lines, a
binary log. Each event has a recipient of its own, and so an id."""

import glob
import json
import os
import shutil
import sys

from load import HERE
import bodies

BATCH = 1000  # events a request
LATER = "bounces", "deliveries"


def template():
    """Bodies of BATCH events, with %d for the number of each."""
    kinds = {kind: [] for kind in LATER}
    for path in sorted(glob.glob(os.path.join(HERE, "..", "payloads", "*.json"))):
        with open(path, encoding="utf-8") as file:
            for kind, found in json.load(file)["event"].items():
                kinds[kind] += found
    made = []
    for kind, found in kinds.items():
        events = [dict(found[i % len(found)], to="user%d@example.jp") for i in range(BATCH)]
        text = bodies.compact({"event_type": kind, "server_composition": "pro",
                               "event": {kind: events}}).replace("%", "%%").replace("user%%d@", "user%d@")
        made.append(text)
    return made


def fill(server, enough):
    """Posts until enough(how many there are) says so. Returns how many. Of five events one bounced."""
    bounces, deliveries = template()
    count = 0
    while not enough(count):
        text = bounces if count // BATCH % 5 == 4 else deliveries
        answer = server.post((text % tuple(range(count, count + BATCH))).encode())
        assert answer.status == 200, answer.body
        count += BATCH
    return count


def room(folder, size):
    """So much must be free, and a tenth of the disk beside it."""
    total, _, free = shutil.disk_usage(folder)
    if free < size + total // 10:
        sys.exit("%s: %d MiB are free, %d are needed" % (folder, free >> 20, (size + total // 10) >> 20))

#!/usr/bin/env python3
"""resident.py CMCWH: resident memory of the daemon, with a ring of 64 records in memory, two workers and
a log file: idle, after 10 000 requests, and with both workers busy with a body of 8 MB."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness
from harness import Client, Server, body, request


def resident(server):
    with open("/proc/%d/status" % server.process.pid, encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


harness.CMCWH = sys.argv[1]
with Server("--ring-records", "64", "--workers", "2", "--sync", "never") as server:
    idle = resident(server)
    client = Client(server.port)
    for i in range(10000):
        client.send(request(body(first=i)))
        if client.answer().headers["connection"] == ["close"]:
            client = Client(server.port)
    client.close()
    after = resident(server)
    busy = []
    for _ in range(2):
        client = Client(server.port)
        client.send(request(b'{"x":"' + b"y" * 4000000, length=8000000))
        busy.append(client)
    time.sleep(0.2)
    print("resident: idle %d KiB, after 10 000 requests %d KiB, both workers busy %d KiB" %
          (idle, after, resident(server)))
    for client in busy:
        client.close()

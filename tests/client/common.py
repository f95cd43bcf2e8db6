"""What the senders in Python share: the command line, the bodies, the line that is printed in the end."""

import collections
import json
import sys
import threading
import time
import urllib.parse

TYPE = "application/x-www-form-urlencoded"


class Report:
    def __init__(self):
        self.lock = threading.Lock()
        self.sent = self.ok = self.connections = 0
        self.other, self.failed = collections.Counter(), collections.Counter()

    def opened(self, count=1):
        with self.lock:
            self.connections += count

    def answered(self, status):
        with self.lock:
            self.sent += 1
            if status == 200:
                self.ok += 1
            else:
                self.other[str(status)] += 1

    def fails(self, name):
        with self.lock:
            self.sent += 1
            self.failed[name] += 1

    def print(self):
        print(json.dumps({"sent": self.sent, "ok": self.ok, "other": self.other,
                          "failed": self.failed, "connections": self.connections}))


def body(name):
    """One event as CMC sends it by default: a form, in which `event` is JSON."""
    address = name + "@example.jp"
    event = {"created": "2026-01-25 14:03:06", "returnPath": "info@example.com",
             "from": "info@example.com", "to": address, "messageId": "<%s>" % address, "reason": "",
             "senderIp": "", "sourceIp": "192.0.2.1", "status": "queued", "subject": "Hello, world",
             "apiData": ""}
    return urllib.parse.urlencode({"server_composition": "pro", "event_type": "deliveries",
                                   "event": json.dumps({"deliveries": [event]})}).encode()


def run(sender):
    """Each thread makes a sender(url, report, bodies); its post(body) returns a status or raises."""
    url, threads, pauses, name = sys.argv[1:]
    pauses = [int(pause) / 1000 for pause in pauses.split(",")]
    report = Report()

    def work(thread):
        bodies = [body("%s-%d-%d" % (name, thread, index)) for index in range(len(pauses))]
        client = sender(url, report, bodies)
        for data, pause in zip(bodies, pauses):
            try:
                report.answered(client.post(data))
            except Exception as error:
                report.fails(type(error).__name__)
            time.sleep(pause)
        client.close()

    working = [threading.Thread(target=work, args=(number,)) for number in range(int(threads))]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    report.print()

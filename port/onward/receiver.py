#!/usr/bin/env python3
"""receiver.py DATABASE PORT: takes what cmcwh posts (format=json), each event once, and answers when it is stored.
TOKEN in the environment is the one that cmcwh shows."""

import hmac
import http.server
import json
import os
import sqlite3
import sys

DATABASE, PORT = sys.argv[1], int(sys.argv[2])
WANTED = ("Bearer " + os.environ["TOKEN"]).encode()


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # the connection stays

    def store(self, lines):
        """All or nothing; an id that is there is passed over. Any other error ends the connection: cmcwh comes again."""
        rows = [(json.loads(line)["id"], line.decode()) for line in lines]
        with sqlite3.connect(DATABASE) as database:
            database.executemany("INSERT OR IGNORE INTO events VALUES (?, ?)", rows)

    def do_POST(self):
        lines = self.rfile.read(int(self.headers["Content-Length"])).split(b"\n")[:-1]
        status = 401
        if hmac.compare_digest(self.headers.get("Authorization", "").encode(), WANTED):
            try:
                self.store(lines)
                status = 200
            except (ValueError, KeyError, TypeError):
                status = 400
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


with sqlite3.connect(DATABASE) as made:
    made.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, event TEXT)")
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()

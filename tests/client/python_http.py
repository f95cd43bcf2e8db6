"""Posts with Python's http.client, a connection a thread: see README.md."""

import http.client
import ssl
import urllib.parse

import common


class Sender:
    def __init__(self, url, report, _):
        parts = urllib.parse.urlsplit(url)
        self.path = parts.path
        if parts.scheme == "https":
            # The certificate of a test is signed by nobody.
            self.connection = http.client.HTTPSConnection(
                parts.netloc, context=ssl._create_unverified_context())
        else:
            self.connection = http.client.HTTPConnection(parts.netloc)
        connect = self.connection.connect

        def counted():
            connect()
            report.opened()
        self.connection.connect = counted

    def post(self, data):
        """The library never looks whether the connection is alive, and opens one only after it was told to."""
        try:
            self.connection.request("POST", self.path, data, {"Content-Type": common.TYPE})
            answer = self.connection.getresponse()
            answer.read()
            return answer.status
        except Exception:
            self.connection.close()
            raise

    def close(self):
        self.connection.close()


common.run(Sender)

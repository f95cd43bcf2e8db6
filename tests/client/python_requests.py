"""Posts with Python's requests, a session a thread: see README.md."""

import requests
import urllib3

import common

# The certificate of a test is signed by nobody.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
CONNECT = urllib3.connection.HTTPConnection._new_conn


class Sender:
    def __init__(self, url, report, _):
        self.url, self.session = url, requests.Session()
        self.session.verify = False
        self.session.trust_env = False  # no proxy and no CA file of the machine

        # urllib3 opens a closed connection anew in silence: only this sees each time.
        def connect(connection):
            report.opened()
            return CONNECT(connection)
        urllib3.connection.HTTPConnection._new_conn = connect

    def post(self, data):
        answer = self.session.post(self.url, data, headers={"Content-Type": common.TYPE})
        return answer.status_code

    def close(self):
        self.session.close()


common.run(Sender)

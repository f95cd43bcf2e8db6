"""Posts with curl, a process a thread, which keeps its connection: see README.md.

curl itself can only pause for one fixed time. So between two posts it reads a FIFO, which ends when the
pause is over."""

import os
import shutil
import subprocess
import tempfile
import time

import common

# The certificate of a test is signed by nobody.
POST = """silent
insecure
noproxy = "*"
url = "%s"
header = "Content-Type: %s"
data-binary = "@%s"
output = "/dev/null"
write-out = "%%{stderr}%%{http_code} %%{num_connects} %%{exitcode}\\n"
"""
PAUSE = """next
silent
url = "file://%s"
next
"""


class Sender:
    def __init__(self, url, report, bodies):
        self.report, self.first = report, True
        self.folder = tempfile.mkdtemp(prefix="cmcwh-curl-")
        self.pause = os.path.join(self.folder, "pause")
        os.mkfifo(self.pause)
        posts = []
        for number, data in enumerate(bodies):
            path = os.path.join(self.folder, str(number))
            with open(path, "wb") as file:
                file.write(data)
            posts.append(POST % (url, common.TYPE, path))
        config = os.path.join(self.folder, "config")
        with open(config, "w", encoding="ascii") as file:
            file.write((PAUSE % self.pause).join(posts))
        self.process = subprocess.Popen(["curl", "-q", "-K", config], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)

    def go_on(self):
        """Opens the FIFO when curl has, and closes it; curl may have ended too early."""
        while self.process.poll() is None:
            try:
                os.close(os.open(self.pause, os.O_WRONLY | os.O_NONBLOCK))
                return
            except OSError:
                time.sleep(0.001)

    def post(self, _):
        if not self.first:
            self.go_on()
        self.first = False
        status, connects, code = self.process.stderr.readline().split()
        self.report.opened(int(connects))
        if code != b"0":
            raise type("curl_" + code.decode(), (Exception,), {})
        return int(status)

    def close(self):
        self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.folder)


common.run(Sender)

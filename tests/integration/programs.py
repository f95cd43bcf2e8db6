"""Real programs that stand beside cmcwh, started in the foreground, each ended by its pid."""

import os
import shutil
import signal
import socket
import subprocess
import time

from harness import Skipped, eventually

PATHS = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def find(program):
    path = shutil.which(program, path=PATHS)
    if path is None:
        raise Skipped(program + " is not installed")
    return path


class Engine:
    """A program that can be started again after it was ended in any way."""

    def __init__(self, folder, name, command, port=None):
        self.name, self.command, self.port = name, command, port
        self.log = os.path.join(folder, name + ".err")
        self.process = None

    def start(self):
        self.launch()
        self.wait()

    def launch(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self):
        if self.port:
            eventually(self.listens, self.name + "'s port")

    def listens(self):
        assert self.process.poll() is None, "%s ended: %s" % (self.name, self.said())
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def said(self):
        with open(self.log, "rb") as file:
            return file.read()[-2000:].decode("utf-8", "replace")

    def tell(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("%s did not end by signal %d" % (self.name, number)) from None

    def __enter__(self):
        self.start()

    def __exit__(self, *unused):
        self.end()

    def restart(self, number=signal.SIGTERM, pause=0.0):
        self.end(number)
        time.sleep(pause)
        self.start()

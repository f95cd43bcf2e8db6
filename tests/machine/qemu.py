"""A whole machine in qemu: starts it, reads and types at its console, speaks to qemu itself, and pulls its plug."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path[:0] = [os.path.join(HERE, "..", "integration")]

from harness import Skipped, free_port  # noqa: E402,F401
from programs import find  # noqa: E402

PATIENCE = int(os.environ.get("MACHINE_PATIENCE", 240))  # seconds for anything that should come: an emulated machine on a busy one is slow

# Who ends a test ends its machines too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


class Machine:
    """A machine. Use as a context manager, which starts it unless it runs; its end pulls the plug.

    `arguments` are qemu's, without `-nographic` and what the console needs. The console is the machine's first serial
    port. All of what it said is in `said`; what no expect() has passed yet is what the next one looks at."""

    def __init__(self, program, arguments, folder, name="machine"):
        self.control = os.path.join(folder, name + ".qmp")
        self.command = [find(program), "-nodefaults", "-display", "none", "-no-reboot",
                        "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
                        "-qmp", "unix:%s,server=on,wait=off" % self.control] + list(arguments)
        self.said, self.at = "", 0
        self.changed = threading.Condition()
        self.process = self.monitor = None

    def __enter__(self):
        return self if self.process else self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        return self

    def __exit__(self, kind, value, trace):
        self.pull()
        if value is not None:
            value.said = self.said[-8000:]  # whoever reports it shows it

    def read(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            with self.changed:
                self.said += data.decode("utf-8", "replace").replace("\r", "") if data else "\n(qemu has ended)\n"
                self.changed.notify_all()
            if not data:
                return

    # ---- The console ----

    def expect(self, pattern, patience=PATIENCE):
        """Waits until the console says what matches; returns the match. The next one looks behind it. An end of qemu,
        or a kernel that gives up, ends the wait at once."""
        end = time.monotonic() + patience
        with self.changed:
            while True:
                match = re.compile(pattern, re.MULTILINE).search(self.said, self.at)
                if match:
                    self.at = match.end()
                    return match
                over = re.compile(r"\(qemu has ended\)|Kernel panic.*").search(self.said, self.at)
                left = end - time.monotonic()
                if over or left <= 0:
                    raise AssertionError("the console did not say %r%s; its end:\n%s" % (
                        pattern, ", but " + over.group() if over else "", self.said[-3000:]))
                self.changed.wait(left)

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def run(self, command, patience=PATIENCE):
        """A line for the shell at the console. Returns what it printed and its exit status. The marks are not in what the
        console echoes of the line, which what others print may come in between of."""
        before = self.at
        self.type("echo \"<ou\"\"t>\"; { %s; } 2>&1; echo \"<do\"\"ne $?>\"\n" % command)
        match = self.expect(r"<done (\d+)>\n", patience)
        return self.said[before:match.start()].rpartition("<out>\n")[2], int(match.group(1))

    # ---- qemu ----

    def qmp(self, command, **arguments):
        """One command to qemu itself; returns its answer."""
        if self.monitor is None:
            self.monitor = self.connected().makefile("rwb")
            self.monitor.readline()  # the greeting
            self.qmp("qmp_capabilities")
        self.monitor.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self.monitor.flush()
        while True:
            line = self.monitor.readline()
            assert line, "qemu has ended, at %s" % command
            answer = json.loads(line)
            assert "error" not in answer, "%s: %s" % (command, answer)
            if "return" in answer:
                return answer["return"]

    def connected(self):
        end = time.monotonic() + PATIENCE
        while True:
            link = socket.socket(socket.AF_UNIX)
            try:
                link.connect(self.control)
                return link
            except OSError:
                link.close()
                assert self.process.poll() is None and time.monotonic() < end, "no qemu:\n" + self.said
                time.sleep(0.01)

    def running(self):
        return self.process.poll() is None

    def pull(self):
        """Pulls the plug: qemu is killed at once, by its pid."""
        if self.running():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()
        for end in (self.process.stdin, self.process.stdout, self.monitor):
            try:
                if end is not None:
                    end.close()
            except OSError:  # what was typed and not read
                pass

    def wait_off(self, patience=PATIENCE):
        """Until it has switched itself off."""
        self.process.wait(patience)

"""A peer that runs: its processes, its log, its processors and memory."""

import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from peers import HERE, environment, fill_in, values_of

sys.path.insert(0, os.path.join(HERE, "..", "..", "integration"))
import harness

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 20


class Trouble(Exception):
    """A peer does not do what it should; says what."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def processes_of(sessions):
    """(pid, the fields of its stat from the state on) of each process in these sessions: their
    leaders' children stay in them, wherever they hang in the tree."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[3]) in sessions:
            found.append((int(pid), fields))
    return found


class Receiver:
    """Starts a peer in a folder of its own; use as a context manager. `log` may be elsewhere."""

    def __init__(self, peer, log=None, before=None):
        self.peer, self.before = peer, before
        self.folder = tempfile.mkdtemp(prefix="cmcwh-peers-")
        self.log = log or os.path.join(self.folder, "log")
        self.roots, self.lines, self.offset = [], 0, 0

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        """Returns when it has answered a first request with 200: after how many seconds."""
        self.port = free_port()
        values = values_of(self.peer, self.folder, self.port, self.log)
        for config in self.peer.configs:
            with open(os.path.join(HERE, config), encoding="utf-8") as file:
                text = fill_in(file.read(), values)
            with open(os.path.join(self.folder, config[:-len(".in")]), "w", encoding="utf-8") as file:
                file.write(text)
        start = time.monotonic()
        with open(os.path.join(self.folder, "said"), "ab") as said:
            self.roots = [subprocess.Popen([fill_in(word, values) for word in command],
                                           stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                           env=environment(values), start_new_session=True,
                                           preexec_fn=self.before)
                          for command in self.peer.commands]
        if self.peer.name == "limit-civetweb":
            self.port = int(self.wait_for(lambda: self.said().strip(), "its port"))
        self.wait_for(self.answers, "a 200")
        return time.monotonic() - start

    def said(self):
        with open(os.path.join(self.folder, "said"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, condition, what, patience=PATIENCE):
        end = time.monotonic() + patience
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end or any(root.poll() is not None for root in self.roots):
                raise Trouble("%s: no %s; it said: %s" % (self.peer.name, what, self.said()[-2000:]))
            time.sleep(0.001)

    def answers(self):
        try:
            return self.post(FIRST)[0] == 200
        except OSError:
            return False

    def post(self, data, kind="application/json", timeout=PATIENCE):
        """One request on a connection of its own. Returns status and text; failures are OSErrors."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            return exchange(connection, data, kind)
        finally:
            connection.close()

    def processes(self):
        return processes_of({root.pid for root in self.roots})

    def cpu(self):
        """Seconds that its processes have used, with those of children that have ended."""
        return sum(sum(map(int, fields[11:15])) for _, fields in self.processes()) / TICK

    def memory(self):
        """KiB: what it alone has resident and its share of the rest (PSS); all resident (RSS)."""
        pss = rss = 0
        for pid, _ in self.processes():
            try:
                with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
                    sizes = dict(line.split()[:2] for line in file.readlines()[1:])
            except OSError:
                continue  # it has just ended
            pss, rss = pss + int(sizes.get("Pss:", 0)), rss + int(sizes.get("Rss:", 0))
        return pss, rss

    def kill(self):
        """All processes at once, as far as that is possible, until none is left."""
        for root in self.roots:
            try:
                os.killpg(root.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        while True:
            left = [pid for pid, fields in self.processes() if fields[0] not in "ZX"]
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not left:
                break
            time.sleep(0.01)
        for root in self.roots:
            root.wait()
        self.roots = []  # their numbers may now be those of others

    def stop(self):
        """In order, as far as it does within some seconds."""
        end = time.monotonic() + 3
        for root in self.roots:
            root.terminate()
        while any(root.poll() is None for root in self.roots) and time.monotonic() < end:
            time.sleep(0.01)
        self.kill()

    def truncate(self):
        """Forgets what is in the log; everything appends."""
        if os.path.exists(self.log):
            os.truncate(self.log, 0)
        self.lines = self.offset = 0

    def count(self):
        """Whole lines in the log."""
        if os.path.exists(self.log):
            with open(self.log, "rb") as file:
                file.seek(self.offset)
                while True:
                    data = file.read(1 << 20)
                    if not data:
                        break
                    self.lines += data.count(b"\n")
                    self.offset += len(data)
        return self.lines

    def settle(self, expected, patience=10):
        """Waits until `expected` lines are there and nothing moves any more: a program may still be at
        work for requests whose clients have gone. Returns how many there are."""
        end, before = time.monotonic() + patience, None
        while time.monotonic() < end:
            now = self.count(), [pid for pid, _ in self.processes()], self.cpu()
            if now[0] >= expected and now == before:
                break
            before = now
            time.sleep(0.1)
        return self.count()


def exchange(connection, data, kind="application/json"):
    """A request on a connection that may be kept. Failures are OSErrors."""
    try:
        connection.request("POST", "/mails", data, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise ConnectionError(repr(error)) from error


FIRST = harness.body(first=random.randrange(1 << 40, 1 << 41))

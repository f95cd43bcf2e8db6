"""The load of the measurements here: wrk posts one body again and again, and what the server under it uses
is read from /proc while it does. Also what their tables have in common."""

import collections
import datetime
import os
import re
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "peers"), os.path.join(HERE, "..", "integration")]
import bodies
from harness import eventually

TICK = os.sysconf("SC_CLK_TCK")


# ---- What is read of a process ----

def processor(pid):
    """Seconds."""
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    """RSS and PSS in KiB."""
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        sizes = dict(line.split()[:2] for line in file.readlines()[1:])
    return int(sizes["Rss:"]), int(sizes["Pss:"])


def writes(pid):
    """How often it has called write()."""
    with open("/proc/%d/io" % pid, encoding="ascii") as file:
        return int(re.search(r"syscw: (\d+)", file.read()).group(1))


# ---- Load ----

class Wrk:
    """wrk on so many kept connections, while it is entered. `who` names the server where answers were
    other than 2xx, of which it tells in the end."""

    def __init__(self, who, url, connections, folder, kind="json", events=1):
        self.who, self.connections = who, connections
        self.command = ["wrk", "-t", "1", "-c", str(connections), "-d", "600s", "--timeout", "10s", "-s",
                        os.path.join(HERE, "peers", "post.lua"), url]
        self.environment = dict(os.environ, BODY=bodies.path(folder, kind, events), TYPE=bodies.TYPES[kind])

    def __enter__(self):
        self.process = subprocess.Popen(self.command, env=self.environment, stdout=subprocess.PIPE, text=True)
        try:
            eventually(lambda: self.sent() > 10 * self.connections, "requests of wrk")
        except BaseException:
            self.process.kill()
            self.process.communicate()
            raise
        return self

    def __exit__(self, *unused):
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate()[0]
        for line in re.findall(r".*(?:Non-2xx|Socket errors).*", said):
            print("%s:%s" % (self.who, line), file=sys.stderr)

    def sent(self):
        """It writes each request with one call."""
        return writes(self.process.pid)


Run = collections.namedtuple("Run", "seconds used count")  # used: of the processor, in seconds
Cost = collections.namedtuple("Cost", "micros rate")  # processor time of one; how many a second


def watch(pid, counted, wait):
    """What this process uses, and by how much counted() grows, while wait() does."""
    def now():
        return time.monotonic(), processor(pid), counted()
    start = now()
    wait()
    return Run(*(after - before for before, after in zip(start, now())))


def together(runs):
    """What all that these runs counted took."""
    runs = list(runs)
    count = sum(run.count for run in runs)
    return Cost(1e6 * sum(run.used for run in runs) / count, count / sum(run.seconds for run in runs))


def medians(costs):
    return Cost(*map(statistics.median, zip(*costs)))


# ---- Tables ----

def row(*cells):
    print("| " + " | ".join(cells) + " |")


def head(*cells):
    row(*cells)
    print("|---" * len(cells) + "|")


def thousands(number):
    return format(round(number), ",").replace(",", " ")


def say_machine(more=""):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    print("%s, %d cores, %s; load before: %.1f%s\n" % (
        datetime.date.today(), os.cpu_count(), model.group(1) if model else "?", os.getloadavg()[0], more))

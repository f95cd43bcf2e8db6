"""Runs the programs of tests/client, which post as real HTTP libraries do."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys

from harness import PATIENCE, Skipped

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "..", "client")
BUILT = os.path.join(HERE, "..", "..", "build", "tests-client")
JARS = ["/usr/share/java/%s.jar" % name
        for name in ("httpclient", "httpcore", "commons-logging", "commons-codec")]
DEBIANS_PYTHON = "/usr/bin/python3"

# Tests run in several processes: one of them compiles.
compiling = multiprocessing.get_context("fork").Lock()


def lacks(what):
    return Skipped(what + " is not installed (make clients-deps)")


def need(program):
    if shutil.which(program) is None:
        raise lacks(program)


def compiled(source, product, command, **environment):
    """The path of what `command` makes of a source; made once, and again when the source is newer."""
    source, product = os.path.join(SOURCE, source), os.path.join(BUILT, product)
    with compiling:
        if not os.path.exists(product) or os.path.getmtime(product) < os.path.getmtime(source):
            os.makedirs(BUILT, exist_ok=True)
            made = subprocess.run(command + [source], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, env=dict(os.environ, **environment),
                                  check=False)
            assert made.returncode == 0, made.stdout.decode()
    return product


def apache():
    need("java")
    need("javac")
    for jar in JARS:
        if not os.path.exists(jar):
            raise lacks(jar)
    path = ":".join([BUILT] + JARS)
    compiled("Apache.java", "Apache.class", ["javac", "-cp", path, "-d", BUILT])
    return ["java", "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", path, "Apache"]


def go():
    need("go")
    sender = os.path.join(BUILT, "sender")
    return [compiled("sender.go", "sender", ["go", "build", "-o", sender], GO111MODULE="off",
                     GOCACHE=os.path.join(BUILT, "go-cache"))]


def node():
    need("node")
    return ["node", os.path.join(SOURCE, "node.js")]


def curl():
    need("curl")
    return [sys.executable, os.path.join(SOURCE, "curl.py")]


def python_http():
    return [sys.executable, os.path.join(SOURCE, "python_http.py")]


def python_requests():
    # Debian's package is for Debian's Python.
    found = os.path.exists(DEBIANS_PYTHON) and subprocess.run(
        [DEBIANS_PYTHON, "-c", "import requests"], stderr=subprocess.DEVNULL, check=False)
    if not found or found.returncode != 0:
        raise Skipped("requests is not installed for " + DEBIANS_PYTHON)
    return [DEBIANS_PYTHON, os.path.join(SOURCE, "python_requests.py")]


SENDERS = [apache, python_http, python_requests, node, curl, go]


def send(sender, url, threads, pauses, name):
    """Runs one to its end. Returns what it reports."""
    command = sender() + [url, str(threads), ",".join(map(str, pauses)), name]
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=environment, check=False,
                          timeout=sum(pauses) / 1000 + 10 * PATIENCE)  # for one that hangs
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return json.loads(done.stdout)

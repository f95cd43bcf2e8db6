"""Completion in bash: it offers each option of each command, and nothing else."""

import os
import re
import shutil
import subprocess
import tempfile

import harness
from harness import Skipped, run

SCRIPT = """
. port/bash/cmcwh
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_cmcwh
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(*words):
    if shutil.which("bash") is None:
        raise Skipped("there is no bash")
    done = subprocess.run(["bash", "-c", SCRIPT, "bash", harness.CMCWH] + list(words), capture_output=True, text=True, check=True)
    assert done.stderr == "", done.stderr
    return done.stdout.split()


def commands():
    found = re.search(r"help \[([a-z|]+)\]", run("--help")[1].decode())
    return found.group(1).split("|")


def test_commands():
    assert sorted(offered("")) == sorted(commands() + ["help"])
    assert offered("ca") == ["cat"] and sorted(offered("help", "s")) == sorted(c for c in commands() if c[0] == "s")


FOREIGN = {"status": {"--admin", "--admin-auth-file"}}  # what the help of a command says of another's


def test_no_option_lacks():
    for command in commands():
        said = set(re.findall(r"--[a-z][a-z-]*", run("help", command)[1].decode()))
        options = offered(command, "-")
        assert len(options) == len(set(options)) and len(options) > 1, options
        assert set(options) == (said | {"--help"}) - FOREIGN.get(command, {"--version"}), command
    assert "--listen" in offered("-") and offered("--lis") == ["--listen"]


def test_values():
    assert sorted(offered("cat", "--format", "")) == ["csv", "json", "logfmt"]
    assert sorted(offered("summary", "--format", "=", "")) == ["json", "text"]
    assert sorted(offered("test", "--type", "=")) == ["form", "json", "multipart"]
    assert offered("--sync", "n") == ["never"] and offered("serve", "--log-level", "w") == ["warn"]
    assert offered("serve", "--sink", "sys") == ["syslog:", "syslog+udp://", "syslog+tcp://"]
    built = re.findall(r" ((?:http|mqtt)s?://)", run("serve", "--help")[1].decode())
    assert offered("serve", "--sink", "") == ["file:", "stdout:", "syslog:", "syslog+udp://", "syslog+tcp://",
                                              "serial:"] + built
    assert offered("cat", "--only", "b") == ["bounces", "blocks"]
    assert offered("cat", "--only", "bounces:2,f") == ["bounces:2,failed"]
    assert offered("cat", "--only", "=", "blocks,qu") == ["blocks,queued"]
    assert offered("status", "--json", "") == []
    folder = tempfile.mkdtemp(prefix="cmcwh-test-")
    try:
        path = os.path.join(folder, "file")
        open(path, "wb").close()
        for words in (("cat",), ("summary", "x"), ("check",), ("--tls-cert",), ("test", "--ca"), ("--config",), ("--ring",)):
            assert offered(*words, folder + "/") == [path], words
    finally:
        shutil.rmtree(folder)

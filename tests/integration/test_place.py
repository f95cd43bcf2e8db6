"""A place that is in memory keeps nothing over a power cut: that is said at start and by --check-config, of the ring's
file, and of logs and dead letters of required sinks, and of nothing else."""

import contextlib
import os
import subprocess
import tempfile

from harness import Server, Skipped, run
from test_storage import mount_small

SAID = "is on %s, which is memory: a power cut loses what %s"


def mount(*arguments):
    result = subprocess.run(["mount", *arguments], stderr=subprocess.PIPE, check=False)
    if result.returncode != 0:
        raise Skipped("cannot be mounted here: " + result.stderr.decode().strip())


@contextlib.contextmanager
def folder():
    """A folder with a tmpfs in it, `small`."""
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as path:
        mount_small(path + "/small")
        try:
            yield path
        finally:
            subprocess.run(["umount", path + "/small"], check=True)


def warnings(*options):
    """What --check-config warns of, a line each; the configuration is right all the same."""
    status, out, said = run("serve", "--check-config", *options)
    assert status == 0 and b"is right" in out, said
    return [line for line in said.split("\n") if "warn:" in line]


def test_the_ring_is_in_memory():
    with folder() as path:
        ring = path + "/small/ring"
        for sync in ("always", "250ms"):
            said = warnings("--ring", ring, "--sync", sync, "--sink", "file:/dev/null")
            assert len(said) == 1 and "ring '%s': %s" % (ring, SAID % ("tmpfs", "was answered with 200")) in said[0], said
        assert not os.path.exists(ring)
        with Server("--ring", ring, "--ring-records", "20", "--sync", "always") as server:
            assert server.stderr().count(SAID % ("tmpfs", "was answered")) == 1
        assert len(warnings("--ring", ring, "--sink", "file:/dev/null")) == 1  # it is there now
        os.symlink(ring, path + "/link")
        assert len(warnings("--ring", path + "/link", "--sink", "file:/dev/null")) == 1
        said = warnings("--ring", ring, "--sync", "never", "--sink", "file:/dev/null")
        assert not any("memory" in line for line in said)


def test_a_log_is_in_memory():
    with folder() as path:
        log = "file:%s/small/log" % path
        for ring in ([], ["--ring", path + "/ring"]):
            there = warnings(*ring, "--sink", "file:%s/log" % path)  # perhaps all of this is in memory
            said = warnings(*ring, "--sink", log)
            assert "sink '%s': %s/small/log %s" % (log, path, SAID % ("tmpfs", "it has taken")) in said[-1], said
            if not there:
                assert len(said) == 1
                assert not warnings(*ring, "--sink", log + "?policy=besteffort")
        os.mkfifo(path + "/small/pipe")
        for nothing in ("/dev/null", path + "/small/pipe"):
            assert not warnings("--sink", "file:" + nothing)


def test_dead_letters_are_in_memory():
    """Nobody else has what is in them."""
    with folder() as path:
        uri = "http://127.0.0.1:1/x?dead=%s/small/dead" % path
        said = warnings("--sink", uri)
        assert len(said) == 1 and "sink '%s': %s/small/dead %s" % (uri, path, SAID % ("tmpfs", "it has taken")) in said[0], said
        assert not warnings("--sink", uri + "&policy=besteffort")
        assert not warnings("--sink", uri.partition("?")[0])


def test_an_overlay_whose_upper_part_is_in_memory():
    """As a router has that has not made its file system yet, and a machine that boots from a medium."""
    with folder() as path:
        for name in ("small/up per", "small/work", "lower", "all"):
            os.mkdir(os.path.join(path, name))
        mount("-t", "overlay", "overlay", "-o", "lowerdir=%s/lower,upperdir=%s/small/up per,workdir=%s/small/work" %
              (path, path, path), path + "/all")
        try:
            said = warnings("--ring", path + "/all/ring", "--sink", "file:/dev/null")
            assert len(said) == 1 and SAID % ("tmpfs", "was answered with 200") in said[0], said
        finally:
            subprocess.run(["umount", path + "/all"], check=True)


def test_an_overlay_on_a_disk():
    with folder() as path:
        for name in ("upper", "work", "all"):
            os.mkdir(os.path.join(path, name))
        if warnings("--ring", path + "/ring", "--sink", "file:/dev/null"):
            raise Skipped("all of this is in memory")
        mount("-t", "overlay", "overlay", "-o", "lowerdir=%s/small,upperdir=%s/upper,workdir=%s/work" % (path, path, path),
              path + "/all")
        try:
            assert not warnings("--ring", path + "/all/ring", "--sink", "file:/dev/null")
        finally:
            subprocess.run(["umount", path + "/all"], check=True)

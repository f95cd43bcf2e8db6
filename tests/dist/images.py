"""An image of the release, as a box with containers runs it."""

import json
import os
import shutil
import subprocess
import tarfile

from harness import Skipped, eventually
from release import Elf

MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "arm": "armhf"}
# Without a network but its own loopback, and with limits that somebody without all rights may set.
RUN = ["--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=256:256"]


class Podman:
    """With a store of its own, so that nothing of it stays."""

    def __init__(self, folder):
        self.base = ["podman", "--root", folder + "/store", "--runroot", folder + "/run", "--storage-driver", "vfs",
                     "--cgroup-manager", "cgroupfs", "--runtime", "runc"]

    def tell(self, *arguments):
        return subprocess.run(self.base + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              encoding="utf-8")

    def __call__(self, *arguments):
        done = self.tell(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr[-2000:])
        return done.stdout


def check(path, architecture, scratch):
    """What is in it; and of this machine's processor: it runs as nobody, is healthy, takes a webhook, stops in order, and
    has what it took in its volume."""
    with tarfile.open(path) as image:
        assert {entry.mtime for entry in image.getmembers()} == {0}
        manifest, = json.load(image.extractfile("manifest.json"))
        config = json.load(image.extractfile(manifest["Config"]))
        files = {}
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=image.extractfile(layer)) as content:
                for entry in content.getmembers():
                    files[entry.name.rstrip("/")] = (entry, entry.isfile() and content.extractfile(entry).read())
    assert config["architecture"] == architecture and config["config"]["User"] == "65532:65532", config
    assert set(files) == {"cmcwh", "LICENSES", "data"}, sorted(files)
    assert (files["data"][0].uid, files["data"][0].gid) == (65532, 65532) and files["cmcwh"][0].uid == 0
    program = Elf(files["cmcwh"][1])
    program.check(MACHINES[architecture])
    assert program.static
    if MACHINES[architecture] == os.uname().machine:
        lives(path, scratch)


def lives(path, scratch):
    if not shutil.which("podman") or not shutil.which("runc"):
        raise Skipped("podman and runc are not installed")
    podman = Podman(os.path.join(scratch, "podman"))
    name = podman("load", "-q", "-i", path).split()[-1]
    started = podman.tell("run", "-d", "--name=it", "-v=events:/data", *RUN, name)
    if started.returncode != 0 and "permi" in started.stderr:
        raise Skipped("podman may not run containers here: " + started.stderr.strip().splitlines()[-1])
    assert started.returncode == 0, started.stderr
    try:
        healthy = ["healthcheck", "run", "it"]
        eventually(lambda: podman.tell(*healthy).returncode == 0, "good health")
        posted = podman("exec", "it", "/cmcwh", "test", "http://127.0.0.1:8080/mails")
        assert posted.startswith("200: taken and safe"), posted
        eventually(lambda: '"event_type":"deliveries"' in podman("logs", "it"), "the event on standard output")
        podman("stop", "-t=20", "it")
        assert podman("inspect", "it", "--format={{.State.ExitCode}}").strip() == "0", podman("logs", "it")
        kept = podman("run", "--rm", "-v=events:/data", *RUN, name, "cat", "/data/ring")
        assert json.loads(kept)["event_type"] == "deliveries", kept
    finally:
        podman.tell("rm", "-f", "it")

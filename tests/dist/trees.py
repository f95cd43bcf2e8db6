"""A Debian of some architecture in a folder, to install packages in. Made once, kept in build/deps/trees."""

import glob
import os
import shutil
import subprocess

from harness import Skipped
from release import ARCHITECTURES, PROCESSORS

KEPT = "build/deps/trees"
# What our packages depend on, and what makes their user.
NEEDED = "libssl3,libmosquitto1,systemd-standalone-sysusers"
CLEAN = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
         "DEBIAN_FRONTEND=noninteractive", "DEBOOTSTRAP_DIR=/debootstrap"]


def tools(*names):
    for name in names:
        if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            raise Skipped(name + " is not installed: run 'make dist-deps'")


def own(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more)
    assert done.returncode == 0, (command, done.stdout[-3000:])
    return done.stdout.decode("utf-8", "replace")


class Tree:
    """Use as a context manager. What runs in it sees nothing of this machine."""

    def __init__(self, architecture, scratch):
        self.architecture, self.root = architecture, os.path.join(scratch, "tree-" + architecture)
        self.native = ARCHITECTURES[architecture] == os.uname().machine
        self.emulator = PROCESSORS[ARCHITECTURES[architecture]][0]
        if os.geteuid() != 0:
            raise Skipped("a tree with its own users needs root")
        tools(*(["mmdebstrap"] if self.native else ["debootstrap", "proot", self.emulator]))

    def __enter__(self):
        kept = os.path.join(KEPT, self.architecture + ".tar")
        if not os.path.exists(kept):
            os.makedirs(KEPT, exist_ok=True)
            self.make(kept + ".new")
            os.rename(kept + ".new", kept)
        os.makedirs(self.root, exist_ok=True)
        own("tar", "-xf", kept, "-C", self.root, "--numeric-owner")
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.root)

    def make(self, kept):
        if self.native:
            own("mmdebstrap", "--mode=root", "--format=tar", "--variant=essential", "--include=" + NEEDED,
                "--architectures=" + self.architecture, "bookworm", kept)
            return
        own("debootstrap", "--foreign", "--arch=" + self.architecture, "--variant=minbase", "--include=" + NEEDED,
            "bookworm", self.root)
        if os.path.islink(self.root + "/proc"):  # as debootstrap has it, where it may not mount one
            os.unlink(self.root + "/proc")
            os.mkdir(self.root + "/proc")
        self.run("/bin/sh", "/debootstrap/debootstrap", "--second-stage")
        for package in glob.glob(self.root + "/var/cache/apt/archives/*.deb"):
            os.unlink(package)
        own("tar", "-cf", kept, "-C", self.root, "--numeric-owner", ".")
        shutil.rmtree(self.root)

    def run(self, *command):
        """What it says. Another processor's programs are run by qemu, whatever starts them."""
        if self.native:
            return own("chroot", self.root, *CLEAN, *command)
        return own("proot", "-0", "-q", self.emulator, "-r", self.root, "-b", "/proc", "-b", "/dev", "-w", "/", *CLEAN,
                   *command)

    def install(self, packages):
        for package in packages:
            shutil.copy(package, self.root + "/var/tmp")
        return self.run("dpkg", "-i", *("/var/tmp/" + os.path.basename(package) for package in packages))

    def program(self, path):
        """A command that runs a program of the tree, with the tree's libraries, on this machine's files."""
        script = self.root + "/var/tmp/run"
        if self.native:  # /tmp of the tree is ours, for this process only
            command = "exec unshare -m sh -c 'mount --bind /tmp %s/tmp && exec chroot %s %s \"$@\"' sh \"$@\"" % (
                self.root, self.root, path)
        else:
            command = 'exec %s -L %s %s%s "$@"' % (self.emulator, self.root, self.root, path)
        with open(script, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n%s\n" % command)
        os.chmod(script, 0o755)
        return script

"""Routers: a kernel of Debian's for another processor, busybox, cmcwh, and a disk or a flash, in qemu.

A router is booted once, to where its network is up and its disk or flash was not touched, and its state is saved. Each
life begins there, with the disk or flash as the last one left it. So a life costs a second or two, not a boot."""

import fcntl
import glob
import mmap
import os
import random
import shutil
import socket
import subprocess

from qemu import HERE, PATIENCE, ROOT, Machine, Skipped, find, free_port

CACHE = os.path.join(ROOT, "build", "deps", "machine")
PAGE, BLOCK = 4096, 64 << 10
FLASH_SIZE, DISK_SIZE = 4 << 20, 64 << 20
# In the order in which they are loaded; what they need comes before them.
MODULES = {"ext4": ["crc32c_generic", "ext4"], "f2fs": ["crc32_generic", "f2fs"], "jffs2": ["jffs2"],
           "ubifs": ["ubifs"], "crypto": ["deflate", "zstd"], "block2mtd": ["loop", "block2mtd"],
           "flash": ["gen_probe", "cfi_util", "cfi_cmdset_0001", "cfi_probe", "physmap", "flash"], "timer": ["timer"]}


class Kind:
    """A processor and a board."""

    def __init__(self, name, triplet, command, modules, disk):
        """command: qemu's program and arguments, beside kernel and disk. modules: of the network, of the disk."""
        self.name, self.triplet, self.command, self.disk = name, triplet, command, disk
        self.modules = dict(MODULES, network=modules[0], disk=modules[1])
        self.folder = os.path.join(CACHE, name)
        if not os.path.exists(os.path.join(self.folder, "packages")):
            raise Skipped("there is no kernel for %s: run 'make machine-deps'" % name)
        self.version, = os.listdir(os.path.join(self.folder, "lib", "modules"))
        self.kernel = os.path.join(self.folder, "boot", "vmlinuz-" + self.version)

    def paths(self):
        """name: the file of each module of this kernel, behind those that it needs."""
        base, found = os.path.join(self.folder, "lib", "modules", self.version), {}
        with open(os.path.join(base, "modules.dep"), encoding="ascii") as file:
            for line in file:
                path, needs = line.split(":")
                found[module_name(path)] = [os.path.join(base, each) for each in reversed([path, *needs.split()])]
        if self.name == "mipsel":
            for name, made in self.own_modules().items():
                found[name] = [made]
        return found

    def own_modules(self):
        """name: path of each of our own; compiled once for a kernel, whoever comes at the same time."""
        out = os.path.join(self.folder, "modules")
        with open(out + ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self.made_in(out)

    def made_in(self, out):
        sources = glob.glob(os.path.join(HERE, "modules", "*"))
        made = {module_name(source, ".c"): os.path.join(out, os.path.basename(source)[:-1] + "ko")
                for source in sources if source.endswith(".c")}
        newest = max(os.path.getmtime(source) for source in sources)
        if any(not os.path.exists(path) or os.path.getmtime(path) < newest for path in made.values()):
            shutil.rmtree(out, ignore_errors=True)
            os.makedirs(out)
            for source in sources:
                shutil.copy(source, out)
            headers = os.path.join(self.folder, "usr", "src", "linux-headers-")
            prefix = self.triplet + "-"
            subprocess.run(["make", "-s", "-C", headers + self.version.rsplit("-", 2)[0] + "-common", "ARCH=mips",
                            "O=" + headers + self.version, "CROSS_COMPILE=" + prefix, "CC=%sgcc" % prefix, "M=" + out,
                            "modules"], check=True, stdout=subprocess.DEVNULL, env=plain_environment())
        return made


def module_name(path, end=".ko"):
    return os.path.basename(path)[:-len(end)].replace("-", "_")


def plain_environment():
    """Without what a make that calls this one says to those below it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}


def mipsel():
    return Kind("mipsel", "mipsel-linux-gnu",
                ["qemu-system-mipsel", "-M", "malta", "-cpu", "24Kc", "-m", "64", "-append", "console=ttyS0 quiet panic=-1",
                 "-device", "pcnet,netdev=n,romfile="], (["pcnet32"], ["ata_piix"]), ("/dev/sda", "ide-hd,drive=d"))


def arm64():
    return Kind("arm64", "aarch64-linux-gnu",
                ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-m", "128", "-append", "console=ttyAMA0 quiet panic=-1",
                 "-device", "virtio-net-device,netdev=n"],
                (["virtio_mmio", "virtio_net"], ["virtio_blk"]), ("/dev/vda", "virtio-blk-device,drive=d"))


KINDS = {"mipsel": mipsel, "arm64": arm64}


def make_initrd(kind, cmcwh, path):
    """What is in the router's memory at its start, packed."""
    root = path + ".root"
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "modules", "proc", "sys", "dev", "tmp", "d", "etc"):
        os.makedirs(os.path.join(root, folder))
    os.chmod(shutil.copy(os.path.join(HERE, "init"), root), 0o755)
    shutil.copy(os.path.join(kind.folder, "bin", "busybox"), os.path.join(root, "bin"))
    shutil.copy(cmcwh, os.path.join(root, "bin", "cmcwh"))
    subprocess.run([kind.triplet + "-strip", os.path.join(root, "bin", "cmcwh")], check=True)
    paths = kind.paths()
    for name, wanted in kind.modules.items():
        # What is not there is part of the kernel.
        needed = list(dict.fromkeys(each for module in wanted for each in paths.get(module, ())))
        for each in needed:
            shutil.copy(each, os.path.join(root, "modules", module_name(each) + ".ko"))
        with open(os.path.join(root, "modules", name), "w", encoding="ascii") as file:
            file.write("\n".join(map(module_name, needed)) + "\n")
    subprocess.run("find . | cpio --quiet -o -H newc -R 0:0 | gzip -1", shell=True, check=True, cwd=root,
                   stdout=open(path, "wb"))
    shutil.rmtree(root)


class Router:
    """A router with one disk or flash for all its lives. The files are in `folder`."""

    early = ""  # modules that are loaded before the state is saved

    def __init__(self, kind, cmcwh, folder, filesystem):
        self.kind, self.folder, self.filesystem = kind, folder, filesystem
        self.initrd, self.state = self.path("initrd"), self.path("state")
        self.port = free_port()
        self.lives, self.image = 0, None
        self.more = []  # arguments of qemu
        make_initrd(kind, cmcwh, self.initrd)

    def path(self, name):
        return os.path.join(self.folder, name)

    def machine(self, storage, *more):
        net = "user,id=n,restrict=off,hostfwd=tcp:127.0.0.1:%d-:8080" % self.port
        program, *arguments = self.kind.command
        return Machine(program, [*arguments, "-kernel", self.kind.kernel, "-initrd", self.initrd, "-netdev", net, *storage,
                                 *self.more, *more], self.folder)

    def boot(self):
        """The first boot, up to where each life begins."""
        with self.machine(self.attached(self.first_image())) as machine:
            machine.expect("router ready")
            machine.run("load " + self.early)
            machine.qmp("stop")
            machine.qmp("migrate", uri="exec:cat >'%s'" % self.state)
            while machine.qmp("query-migrate").get("status") not in ("completed", "failed"):
                pass
            assert machine.qmp("query-migrate")["status"] == "completed"
        self.booted()

    def live(self):
        """The next life: a machine that runs on from there."""
        self.lives += 1
        machine = self.machine(self.attached(self.next_image()), "-incoming", "exec:cat '%s'" % self.state)
        machine.start()
        while machine.qmp("query-status")["status"] == "inmigrate":
            pass
        machine.qmp("cont")
        machine.run("load timer")
        return machine


class WithDisk(Router):
    """A disk. Without a cache of its own, a write that the guest has seen completed survives; with one (volatile), what
    the guest has not flushed does not: what is new since the last life is in qemu's memory, as a table, until then."""

    def __init__(self, kind, cmcwh, folder, filesystem, volatile=False):
        super().__init__(kind, cmcwh, folder, filesystem)
        self.volatile = volatile
        # To find a disk its driver reads of it, but what it had in memory goes with who has it open.
        self.early = "disk " + filesystem

    def format(self):
        for old in glob.glob(self.path("disk*")):
            os.remove(old)
        self.image = self.path("disk")
        with open(self.image, "wb") as file:
            file.truncate(DISK_SIZE)
        quiet = {"ext4": ["-q"], "f2fs": ["-q"]}[self.filesystem]
        subprocess.run([find("mkfs." + self.filesystem), *quiet, self.image], check=True, stdout=subprocess.DEVNULL)

    def first_image(self):
        self.format()
        return self.image

    def next_image(self):
        if not self.volatile:
            return self.image
        before, self.image = self.image, self.path("disk.%d" % self.lives)
        subprocess.run([find("qemu-img"), "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "-F",
                        "qcow2" if "." in os.path.basename(before) else "raw", "-b", before, self.image], check=True)
        return self.image

    def attached(self, image):
        form = "qcow2" if "." in os.path.basename(image) else "raw"
        device, adapter = self.kind.disk
        return ["-drive", "if=none,id=d,format=%s,file=%s,cache=%s" % (form, image, "writeback"), "-device", adapter]

    def booted(self):
        pass

    def mount(self):
        """A command; its status is 0 only when it is mounted."""
        return "blockdev --flushbufs {0} && mount -t {1} {0} /d".format(self.kind.disk[0], self.filesystem)


class WithFlash(Router):
    """A NOR flash on the board's bus, of two partitions. Its content is part of the machine's state, so before each life
    it is put there: when the state is made the flash holds pages that are found again."""

    def format(self):
        self.image = self.path("flash")
        with open(self.image, "wb") as file:
            file.write(b"\xff" * BLOCK + self.formatted().ljust(FLASH_SIZE - BLOCK, b"\xff"))

    def first_image(self):
        self.image = self.path("flash")
        self.marks = [random.Random(number).randbytes(PAGE) for number in range(FLASH_SIZE // PAGE)]
        with open(self.image, "wb") as file:
            file.write(b"".join(self.marks))
        return self.image

    def attached(self, image):
        return ["-drive", "if=pflash,format=raw,file=" + image]

    def booted(self):
        with open(self.state, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as state:
            self.places = [state.find(mark) if number >= BLOCK // PAGE else None for number, mark in enumerate(self.marks)]
        assert -1 not in self.places, "the flash is not in the machine's state as it was"
        self.format()

    def next_image(self):
        with open(self.image, "rb") as flash, open(self.state, "r+b") as state:
            for place in self.places:
                page = flash.read(PAGE)
                if place is not None:
                    state.seek(place)
                    state.write(page)
        return self.image


class WithJffs2(WithFlash):
    early = "jffs2"

    def formatted(self):
        return b""  # it takes an erased flash

    def mount(self):
        return "load flash && mount -t jffs2 mtd1 /d"


VOLUME = """[d]
mode=ubi
vol_id=0
vol_type=dynamic
vol_name=d
vol_size=1MiB
vol_flags=autoresize
"""


class WithUbifs(WithFlash):
    early = "crypto"

    def formatted(self):
        """A volume that is empty: who mounts it first makes the file system."""
        with open(self.path("volume"), "w", encoding="ascii") as file:
            file.write(VOLUME)
        subprocess.run([find("ubinize"), "-p", str(BLOCK), "-m", "1", "-o", self.path("ubi"), self.path("volume")],
                       check=True, stdout=subprocess.DEVNULL)
        with open(self.path("ubi"), "rb") as file:
            return file.read()

    def mount(self):
        return "load flash && insmod /modules/ubi.ko mtd=1 && load ubifs && mount -t ubifs ubi0:d /d"


def receive(machine, command):
    """What a command in the machine writes to its standard output, over the network. That has all come when our end of the
    connection is closed; the end of that was seen not to reach a machine, once, and nc does not wait for it long."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        machine.type("{ %s; } 2>/tmp/errors | nc -w 10 10.0.2.2 %d\n" % (command, server.getsockname()[1]))
        link, _ = server.accept()
        with link:
            link.settimeout(PATIENCE)
            parts = []
            while parts[-1:] != [b""]:
                parts.append(link.recv(65536))
    return b"".join(parts)


def give(machine, source, path):
    """Puts a file of this machine there."""
    with socket.create_server(("127.0.0.1", 0)) as server, open(source, "rb") as file:
        server.settimeout(PATIENCE)
        machine.type("nc 10.0.2.2 %d </dev/null >%s\n" % (server.getsockname()[1], path))
        link, _ = server.accept()
        with link:
            link.sendall(file.read())
    machine.run("chmod 600 " + path)


def router(kind, cmcwh, folder, filesystem, volatile=False):
    """volatile: of a disk, whether it loses what was not flushed."""
    flash = {"jffs2": WithJffs2, "ubifs": WithUbifs}.get(filesystem)
    return flash(kind, cmcwh, folder, filesystem) if flash else WithDisk(kind, cmcwh, folder, filesystem, volatile)

"""What a release consists of, taken apart: archives, packages, programs, without the tools that made them."""

import gzip
import io
import os
import re
import stat
import struct
import tarfile

# Of each processor: who runs its programs, and ELF's number for it, bits, and byte order.
PROCESSORS = {
    "mips": ("qemu-mips-static", 8, 32, ">"), "mipsel": ("qemu-mipsel-static", 8, 32, "<"),
    "mips64el": ("qemu-mips64el-static", 8, 64, "<"), "armel": ("qemu-arm-static", 40, 32, "<"),
    "armhf": ("qemu-arm-static", 40, 32, "<"), "aarch64": ("qemu-aarch64-static", 183, 64, "<"),
    "riscv64": ("qemu-riscv64-static", 243, 64, "<"), "powerpc": ("qemu-ppc-static", 20, 32, ">"),
    "i686": ("qemu-i386-static", 3, 32, "<"), "x86_64": ("qemu-x86_64-static", 62, 64, "<"),
}
# OpenWrt's and Debian's names for them.
ROUTERS = {"mipsel_24kc": "mipsel", "mips_24kc": "mips", "arm_cortex-a7": "armel", "aarch64_generic": "aarch64",
           "aarch64_cortex-a53": "aarch64"}
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armhf"}


class Elf:
    """As much of a program as says for whom it is."""

    def __init__(self, data):
        assert data[:4] == b"\x7fELF", "no ELF file"
        self.bits = {1: 32, 2: 64}[data[4]]
        self.order = {1: "<", 2: ">"}[data[5]]
        self.machine = struct.unpack_from(self.order + "H", data, 18)[0]
        wide = self.bits == 64
        programs, sections = struct.unpack_from(self.order + ("QQ" if wide else "II"), data, 32 if wide else 28)
        size, count, section_size, section_count = struct.unpack_from(self.order + "4H", data, 54 if wide else 42)
        self.segments = {struct.unpack_from(self.order + "I", data, programs + size * n)[0] for n in range(count)}
        self.sections = {struct.unpack_from(self.order + "I", data, sections + section_size * n + 4)[0]
                         for n in range(section_count)}
        self.compilers = set(re.findall(rb"GCC: \([^)]*\) ([0-9.]+)", data))

    static = property(lambda self: not self.segments & {2, 3})  # neither PT_DYNAMIC nor PT_INTERP
    stripped = property(lambda self: 2 not in self.sections)  # no SHT_SYMTAB

    def check(self, processor):
        assert (self.machine, self.bits, self.order) == PROCESSORS[processor][1:], vars(self)


class Archive:
    """A packed tar file, of which nothing tells when, where and by whom it was made: all else is said and fails."""

    def __init__(self, data, date):
        assert data[:4] == b"\x1f\x8b\x08\x00" and data[4:8] == b"\0\0\0\0", "gzip's head has a name or a date"
        plain = gzip.decompress(data)
        assert plain[257:265] == b"ustar  \0", "not GNU's format of tar"
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            self.members = tar.getmembers()
            self.contents = {entry.name: tar.extractfile(entry).read() for entry in self.members if entry.isfile()}
        self.names = [entry.name for entry in self.members]
        for entry in self.members:
            assert (entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, "", ""), vars(entry)
            assert date is None or entry.mtime == date, (entry.name, entry.mtime)
            assert entry.isfile() or entry.isdir(), (entry.name, entry.type)
            assert not entry.mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID), entry.name
        assert len({entry.mtime for entry in self.members}) == 1, "files of several dates"

    def mode(self, name):
        return next(entry.mode for entry in self.members if entry.name == name)

    def in_order(self):
        return self.names == sorted(self.names, key=lambda name: name.split("/"))

    def unpack(self, folder):
        for entry in self.members:
            path = os.path.join(folder, entry.name)
            if entry.isdir():
                os.makedirs(path, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(self.contents[entry.name])
                os.chmod(path, entry.mode)


def fields(text):
    """A control file's."""
    return dict(re.findall(r"^([A-Za-z-]+): (.*)$", text, re.M))


def read(path):
    with open(path, "rb") as file:
        return file.read()

#!/usr/bin/env python3
"""check.py OUT INCLUDE ARM RISCV RISCV_INCLUDE LWIP: cmcwh.c for small processors, without warnings.

Prints text (all of it, and what the example of port/baremetal links: with all parts, without forms
and storage, and without what it does not use either), RAM and stack, and which functions call
helpers of libgcc. Fails when the last of these is larger than its limit, when more of the C library
is needed than every firmware has, or when the stack is deeper than STACK_LIMIT. OUT is a directory, INCLUDE has jsmn.h, ARM and
RISCV are compiler prefixes, RISCV_INCLUDE has string.h, LWIP is the src of lwIP; with it the whole of a firmware is reported too.
"""

import os
import re
import shutil
import subprocess
import sys

import stack

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STACK_LIMIT = 1024
LIBRARY = {"memcpy", "memmove", "memset", "memcmp", "strlen"}
HELPER = re.compile(r"__(aeabi_|gnu_thumb1_|[a-z]+[sd]i[34]?$)")
SAVES = re.compile(r"__riscv_(save|restore)_\d+$")  # of -msave-restore, in libgcc
FLAGS = (
    "-std=c99 -Os -ffunction-sections -fdata-sections -DCMCWH_NO_SERVER "
    "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Werror -fcallgraph-info=su"
).split()
# Name, whose compiler, flags, and the most that the example may link of LEAST, in bytes.
TARGETS = [
    ("Cortex-M0", "ARM", "-mcpu=cortex-m0 -mthumb", 18432),
    ("Cortex-M3", "ARM", "-mcpu=cortex-m3 -mthumb", 17792),
    ("Cortex-M4", "ARM", "-mcpu=cortex-m4 -mthumb", 17792),
    ("MIPS32", "MIPS", "-mno-abicalls -fno-pic", 30592),
    ("MIPS16", "MIPS", "-mno-abicalls -fno-pic -mips16 -minterlink-compressed", 18688),
    ("RV32IMAC", "RISCV", "-march=rv32imac -mabi=ilp32 -msave-restore -ffreestanding", 22272),
]
# Without the parts that a small device does not need, and also without those that the example, which
# writes JSON and has neither a history nor threads, does not use: the linker cannot know.
FEWER = "-DCMCWH_NO_FORMS -DCMCWH_NO_STORAGE".split()
LEAST = FEWER + (
    "-DCMCWH_NO_LOGFMT -DCMCWH_NO_FRAMES -DCMCWH_NO_COUNTERS -DCMCWH_NO_GATHER -DCMCWH_NO_THREADS"
).split()
# What the limits cost: for a device with little RAM.
SMALL = (
    "-DCMCWH_RECORD_SIZE=512 -DCMCWH_WINDOW_SIZE=1024 -DCMCWH_TOKENS=32 -DCMCWH_DEPTH_MAX=16 "
    "-DCMCWH_SECRET_MAX=63 -DCMCWH_READERS_MAX=1"
).split()


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout


class Build:
    def __init__(self, out, prefix, flags, includes):
        self.out, self.prefix = out, prefix
        self.command = [prefix + "gcc", *FLAGS, *flags, "-I" + TOP]
        for directory in includes:
            self.command += ["-isystem", directory]
        os.makedirs(out, exist_ok=True)

    def compile(self, source):
        target = os.path.join(self.out, os.path.basename(source)[:-2] + ".o")
        run(*self.command, "-c", os.path.join(TOP, source), "-o", target)
        return target

    def used(self, target, users):
        """What is left of `target` when only what `users` call, and what that calls, is linked."""
        called = {row[-1] for user in users for row in self.symbols(user, "-u")}
        roots = [symbol for symbol in sorted(called) if symbol.startswith("cmcwh_")]
        linked = os.path.join(self.out, "linked.o")
        options = ["-r", "--gc-sections", "-e", roots[0]] + [x for root in roots for x in ("-u", root)]
        machine = ["-m", "elf32lriscv"] if "riscv" in self.prefix else []
        run(self.prefix + "ld", *machine, *options, target, "-o", linked)
        return linked

    def size(self, target):
        """Bytes of code, constants and variables; tables for debuggers and unwinding left out."""
        found = {"text": 0, "rodata": 0, "data": 0, "bss": 0}
        for line in run(self.prefix + "size", "-A", target).splitlines():
            section = re.match(r"\.s?(text|rodata|data|bss)\S*\s+(\d+)", line)
            if section:
                found[section[1]] += int(section[2])
        return found["text"], found["rodata"], found["data"] + found["bss"]

    def symbols(self, target, *options):
        return [line.split() for line in run(self.prefix + "nm", *options, target).splitlines()]

    def callers(self, target, wanted):
        """Which functions call what is in `wanted`."""
        found, function = {}, None
        for line in run(self.prefix + "objdump", "-dr", target).splitlines():
            begin = re.match(r"[0-9a-f]+ <([^.>][^>]*)>:", line)
            relocation = re.search(r"R_\w+\s+([\w.]+)", line)
            if begin:
                function = begin[1]
            elif relocation and relocation[1] in wanted:
                found.setdefault(relocation[1], set()).add(function)
        return found


def linked_text(build):
    target = build.compile("cmcwh.c")
    sources = ("baremetal/main.c", "baremetal/endpoint.c", "embed/request.c")
    users = [build.compile("port/" + name) for name in sources]
    return sum(build.size(build.used(target, users))[:2])


def check(name, build, fewer, least, limit):
    target = build.compile("cmcwh.c")
    code, constants, variables = build.size(target)
    linked, smaller, smallest = (linked_text(each) for each in (build, fewer, least))
    needed = {line[-1] for line in build.symbols(target, "-u") if not SAVES.match(line[-1])}
    helpers = {symbol for symbol in needed if HELPER.match(symbol)}
    depth, lines, faults = stack.report(target[:-2] + ".ci", STACK_LIMIT)
    with open(os.path.join(build.out, "stack.txt"), "w") as file:
        print("\n".join(lines), file=file)
    print("%-10s text %d (code %d, constants %d), what the example links %d, without forms and storage "
          "%d, the least %d (of %d); data and bss %d, stack %d" %
          (name, code + constants, code, constants, linked, smaller, smallest, limit, variables, depth))
    for symbol, functions in sorted(build.callers(target, helpers).items()):
        print("    %s: %s" % (symbol, " ".join(sorted(functions))))
    if smallest > limit:
        faults.append("what the example links is %d bytes too large" % (smallest - limit))
    if variables > 0:
        faults.append("it has variables")
    faults += ["it needs %s" % symbol for symbol in sorted(needed - helpers - LIBRARY)]
    return ["%s: %s" % (name, fault) for fault in faults]


def whole(name, arm, out, limits):
    """What a product with lwIP has: the firmware of make firmware-lwip."""
    run("make", "--no-print-directory", "-f", "port/baremetal/Makefile", "ARM=" + arm, "OUT=" + out,
        "CPPFLAGS=" + " ".join(limits), "firmware-lwip")
    code, constants, variables = Build(out, arm, [], []).size(os.path.join(out, "lwip.elf"))
    stack_size = re.search(r"^\.stack +(\d+)", run(arm + "size", "-A", os.path.join(out, "lwip.elf")), re.M)
    print("with lwIP, %s: text %d, RAM %d, of it stack %s" %
          (name, code + constants, variables + int(stack_size[1]), stack_size[1]))


def ram(build):
    target = build.compile("tests/size/sizes.c")
    rows = build.symbols(target, "-S")
    return {row[-1][5:]: int(row[1], 16) for row in rows if row[-1].startswith("size_")}


def main():
    out, include, arm, riscv, riscv_include, lwip = sys.argv[1:]
    compilers = {"ARM": (arm, [include]), "RISCV": (riscv, [include, riscv_include]),
                 "MIPS": ("mips-linux-gnu-", [include])}
    builds = {}
    faults = []
    for name, family, flags, limit in TARGETS:
        prefix, includes = compilers[family]
        if shutil.which(prefix + "gcc") is None:
            print("%-10s skipped, %sgcc is missing" % (name, prefix))
            continue
        builds[name] = Build(os.path.join(out, name), prefix, flags.split(), includes)
        fewer, least = (Build(os.path.join(out, name, part), prefix, flags.split() + without, includes)
                        for part, without in (("fewer", FEWER), ("least", LEAST)))
        faults += check(name, builds[name], fewer, least, limit)
    board = builds["Cortex-M4"]
    tight = Build(os.path.join(out, "small"), arm, TARGETS[2][2].split() + SMALL, [include])
    tight.compile("cmcwh.c")  # the limits may be so small
    usual, small = ram(board), ram(tight)
    print("RAM in bytes, and with", " ".join(SMALL))
    for part in usual:
        print("    %-16s %6d %6d" % (part.replace("_", " "), usual[part], small[part]))
    sizes = board.symbols(os.path.join(board.out, "cmcwh.o"), "-S", "--size-sort", "-r")
    print("largest of Cortex-M4, in bytes")
    for row in sizes[:40]:
        print("    %6d %s" % (int(row[1], 16), row[-1]))
    if os.path.exists(os.path.join(TOP, lwip, "core/tcp.c")):
        whole("usual limits", arm, os.path.join(out, "lwip"), [])
        whole("small limits", arm, os.path.join(out, "lwip-small"), SMALL)
    else:
        print("with lwIP: skipped, its source is missing: make cross-deps")
    print("the deepest chains are in %s/*/stack.txt" % out)
    print("\n".join(faults) if faults else "symbols and stack: as they must be")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

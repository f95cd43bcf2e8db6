#!/usr/bin/env python3
"""callgrind.py instructions JSON LIBRARY.so... PAYLOAD...: instructions of each JSON library.
callgrind.py profile PROFILE PAYLOAD...: where those of cmcwh go, by section and function.
callgrind.py check KNOWN PROFILE PAYLOAD...: each kind of work beside what is known of it, which must be right
within 2 %; 1 if it is not. callgrind.py update KNOWN ...: writes it there.

The programs do each piece of work once, in a function `measured`, and print a line for each.
valgrind writes a profile whenever that function ends, so the lines and the profiles go together.
Costs are kept by line of the source: what the compiler has inlined still counts where it was
written, and nothing is compiled in another way than usual.
"""

import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FUNCTIONS_SHOWN = 12
MARGIN = 0.02
# The C library takes what each processor does best; so that all count the same, what each of x86-64 has.
PLAIN_LIBRARY = "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-BMI2,-ERMS,-FSRM,-MOVBE,-RTM,-SSE4_2,-SSSE3"


class Profile:
    """One profile: instructions by (file, line, function), and those of a function with callees."""

    def __init__(self, path):
        self.lines = collections.Counter()
        self.inclusive = collections.Counter()
        with open(path, encoding="utf-8", errors="replace") as file:
            self.read(file)
        self.total = sum(self.lines.values())

    def read(self, file):
        source = function = ""
        call = False
        for line in file:
            key, _, value = line.rstrip("\n").partition("=")
            if key in ("fl", "fi", "fe"):
                source = value
            elif key == "fn":
                function = value
            elif key == "calls":
                call = True
            elif line[0].isdigit():
                number, cost = (int(word) for word in line.split())
                self.inclusive[function] += cost
                if not call:
                    self.lines[source, number, function] += cost
                call = False


def run(program, **environment):
    """Each piece of work: the words of its line, and its profile."""
    with tempfile.TemporaryDirectory() as work:
        out = os.path.join(work, "profile")
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=measured", "--dump-after=measured",
             "--compress-strings=no", "--compress-pos=no", "--callgrind-out-file=" + out, *program],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=500, check=False)
        if done.returncode != 0:
            sys.exit(done.stderr)
        if not os.path.exists(out + ".1"):
            sys.exit("the compiler has left no function `measured` in " + program[0])
        names = [line.split("|") for line in done.stdout.splitlines()]
        return [(words, Profile("%s.%d" % (out, i + 1))) for i, words in enumerate(names)]


def instructions(program):
    print("instructions, counted by valgrind; it has no AVX-512, so simdjson may take another kernel\n"
          "here than otherwise: the name says which")
    print("%-22s %-26s %10s %10s %10s" % ("body", "library", "per byte", "per event", "cmcwh's 1"))
    ours = 1
    for (body, library, events, size), profile in run([program[0], "once", *program[1:]]):
        ours = profile.total if library == "cmcwh" else ours
        print("%-22s %-26s %10.2f %10.0f %10.2f" % (
            body, library, profile.total / int(size), profile.total / int(events),
            profile.total / ours))


def functions_of(path):
    """The section and the function of each line of a C file."""
    places, section, function = [("", "")], "", ""
    with open(path, encoding="utf-8") as file:
        for line in file:
            heading = re.match(r"/\* ---- (.*?) -+", line)
            begins = re.match(r"[A-Za-z_][\w ]*?[ *](\w+)\(", line)
            section = heading.group(1) if heading else section
            function = begins.group(1) if begins else function
            places.append((section[:24], function))
    return places


class Source:
    """Which section and which function a line belongs to."""

    def __init__(self):
        self.ours = functions_of(os.path.join(TOP, "cmcwh.c"))
        self.jsmn = None

    def of(self, path, line, function):
        name = os.path.basename(path)
        if name == "cmcwh.c":
            return self.ours[line]
        if name == "jsmn.h":
            self.jsmn = self.jsmn or functions_of(path)
            return "jsmn", self.jsmn[line][1]
        if name == "crc.c":
            return "Sums", function
        if name in ("profile.c", "bodies.c"):
            return "(the benchmark)", name
        return "C library", re.sub(r"^_*([a-z0-9]+).*", r"\1", function)


def stages(work, source):
    """Instructions an event, a row for each section and a column for each piece of work."""
    table = collections.defaultdict(collections.Counter)
    for (name, events, _), profile in work:
        for where, cost in profile.lines.items():
            table[source.of(*where)[0]][name] += cost / int(events)
    names = [words[0] for words, _ in work]
    print("instructions an event, by section of cmcwh.c")
    print("%-24s" % "" + "".join("%11s" % name for name in names))
    for stage, costs in sorted(table.items(), key=lambda row: -sum(row[1].values())):
        print("%-24s" % stage + "".join("%11.0f" % costs[name] for name in names))
    print("%-24s" % "sum" + "".join(
        "%11.0f" % (profile.total / int(words[1])) for words, profile in work))
    print("%-24s" % "a byte" + "".join(
        "%11.2f" % (profile.total / int(words[2])) for words, profile in work))


def functions(words, profile, source):
    """A function's own instructions, also where it is inlined; with its callees, if it is still called."""
    own = collections.Counter()
    for where, cost in profile.lines.items():
        own[source.of(*where)] += cost
    events = int(words[1])
    print("\n%s: functions, instructions an event" % words[0])
    print("%-24s %-24s %8s %6s %14s" % ("", "", "own", "", "with callees"))
    for (stage, function), cost in own.most_common(FUNCTIONS_SHOWN):
        inclusive = cost if stage == "C library" else profile.inclusive.get(function, 0)
        print("%-24s %-24s %8.0f %5.1f%% %14s" % (
            stage, function, cost / events, 100 * cost / profile.total,
            "%.0f" % (inclusive / events) if inclusive >= cost else "inlined"))


def profile_ours(program):
    work, source = run(program), Source()
    stages(work, source)
    for words, profile in work:
        if words[0] in ("JSON, 100", "form, 1", "form, 100") or words[0].startswith("to "):
            functions(words, profile, source)


def gate(mode, known, *program):
    """Too few are wrong too: what was gained would be lost unseen."""
    with open(known, encoding="utf-8") as file:
        before = {name: int(count) for name, count in (line.split("|") for line in file)}
    now = {words[0]: round(profile.total / int(words[1]))
           for words, profile in run(program, GLIBC_TUNABLES=PLAIN_LIBRARY)}
    print("instructions an event")
    wrong = []
    for name, count in now.items():
        change = count / before.get(name, count) - 1
        print("%-12s %8d %+7.1f %%" % (name, count, 100 * change))
        if abs(change) > MARGIN or name not in before:
            wrong.append(name)
    if mode == "update":
        with open(known, "w", encoding="utf-8") as file:
            file.writelines("%s|%d\n" % row for row in now.items())
    elif wrong or set(before) - set(now):
        sys.exit("not as %s says: %s. If that is meant: make bench-check-update" % (
            known, "; ".join(wrong + sorted(set(before) - set(now)))))


if __name__ == "__main__":
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is missing: run 'make bench-deps'")
    if sys.argv[1] in ("check", "update"):
        gate(*sys.argv[1:])
    else:
        {"instructions": instructions, "profile": profile_ours}[sys.argv[1]](sys.argv[2:])

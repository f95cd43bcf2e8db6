#!/usr/bin/env python3
"""papers.py [CMCWH]: what is written twice says the same.

A page and its translation have the same headings (how many, of which levels, in which order), code blocks, tables
(rows, columns, the numbers in them) and links to files; manual pages the same sections, lists and displays. README.md is
no longer than README_LINES. With CMCWH, the sample of output is what that program prints of the sample
payload. Says what differs, and then fails.
"""

import os
import re
import subprocess
import sys
from collections import Counter

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MANUALS = [("port/man/cmcwh.8", "port/man/cmcwh.ja.8")]
README_LINES = 260
PAYLOAD = "tests/payloads/deliveries-queued.json"
NUMBER = re.compile(r"\d+(?:[ ,]\d{3})*(?:\.\d+)?")


def lines(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read().splitlines()


def parts(path):
    """A page as (kind, line number, content) of headings, code lines and rows of tables."""
    fence = header = False
    for number, line in enumerate(lines(path), 1):
        if line.startswith("```"):
            fence = not fence
        elif fence or (line.startswith("    ") and line.strip()):
            yield "code", number, line
        elif line.startswith("#"):
            yield "heading", number, len(line) - len(line.lstrip("#"))
        elif line.startswith("|"):
            cells = len(re.split(r"(?<!\\)\|", line))
            header = header or line.startswith("|---")
            yield "row", number, (cells, Counter(NUMBER.findall(line)) if header else Counter())
        if not line.startswith("|"):
            header = False


def same(ours, theirs):
    if ours[0] != theirs[0]:
        return False
    if ours[0] != "row":
        return ours[2] == theirs[2]
    return ours[2][0] == theirs[2][0] and not ours[2][1] - theirs[2][1]


def compare(page, translation, read):
    """The first place where they part; what comes after it would only repeat that."""
    ours, theirs = list(read(page)), list(read(translation))
    for one, other in zip(ours, theirs):
        if not same(one, other):
            yield f"{page}:{one[1]} and {translation}:{other[1]} differ: {one[0]}, {other[0]}"
            return
    if len(ours) != len(theirs):
        longer, path = (ours, page) if len(ours) > len(theirs) else (theirs, translation)
        kind, number, _ = longer[min(len(ours), len(theirs))]
        yield f"{path}:{number}: a {kind} that the other page has not"


def structure(path):
    """A manual page as its sections, lists, items and displays."""
    for number, line in enumerate(lines(path), 1):
        words = line.split()
        if words and words[0] in (".Sh", ".Ss", ".Bl", ".El", ".It", ".Bd", ".Ed", ".Dl"):
            yield words[0], number, None


def pages():
    for folder, folders, files in os.walk(TOP):
        folders[:] = sorted(name for name in folders if name not in ("build", ".git"))
        yield from (os.path.relpath(os.path.join(folder, name), TOP) for name in sorted(files) if name.endswith(".md"))


def anchors(path):
    headings = (line.lstrip("# ") for line in lines(path) if line.startswith("#"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path):
    """Files and headings that a page names must be there."""
    folder = os.path.dirname(path)
    for number, line in enumerate(lines(path), 1):
        for target, heading in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", line):
            file = os.path.normpath(os.path.join(folder, target)) if target else path
            if not os.path.exists(os.path.join(TOP, file)) or (heading and heading not in anchors(file)):
                yield f"{path}:{number}: there is no {target}#{heading}"


def sample(program):
    """The line of output in README.md, but for the time."""
    made = subprocess.run([program, "check", os.path.join(TOP, PAYLOAD)], capture_output=True, text=True,
                          encoding="utf-8", check=True).stdout.strip()
    received = re.compile(r'"received":"[^"]*"')
    shown = [line.strip() for line in lines("README.md") if line.startswith('    {"seq":')]
    if [received.sub("", line) for line in shown] != [received.sub("", made)]:
        yield f"README.md: its output is not that of {PAYLOAD}: {made}"


def main():
    faults = [fault for path in pages() if path.endswith(".ja.md")
              for fault in compare(path.replace(".ja.md", ".md"), path, parts)]
    faults += [fault for pair in MANUALS for fault in compare(*pair, structure)]
    faults += [fault for path in pages() for fault in links(path)]
    length = len(lines("README.md"))
    if length > README_LINES:
        faults.append(f"README.md has {length} lines, more than {README_LINES}")
    if len(sys.argv) > 1:
        faults += sample(sys.argv[1])
    for fault in faults:
        print(fault)
    return 1 if faults else 0


sys.exit(main())

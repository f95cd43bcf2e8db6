#!/usr/bin/env python3
"""order.py FILE...: leaf first. In each C file there is no prototype, no function is called above
where it is defined, and none calls itself: so nothing recurs either. Where the opening comment
tells the way of a byte, each step is a function of the file. Says what is wrong, and fails."""

import re
import subprocess
import sys

NO_CODE = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def tags(path, kind):
    """Name, first and last line of each function ("f") or prototype ("p")."""
    command = ["ctags", "--options=NONE", "-x", "--c-kinds=" + kind, "--_xformat=%N %n %e", path]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [(name, int(first), int(last or 0)) for name, first, last in (l.split(" ") for l in lines)]


def code_of(text):
    """The lines without comments, and without what strings say."""
    return NO_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text).split("\n")


def calls_of(code, defined):
    """Line and name of each call; a member of a struct is called by other rules."""
    for number, line in enumerate(code, 1):
        for name in re.findall(r"(?<![\w.>])(\w+)\(", line):
            if name in defined:
                yield number, name


def faults(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    functions, defined = tags(path, "f"), {}
    for name, first, last in functions:
        defined.setdefault(name, (first, last))  # of variants the first
    if not functions:
        yield "%s: no function was found" % path
    for name, line, _ in tags(path, "p"):
        yield "%s:%d: a prototype of %s" % (path, line, name)
    for line, name in calls_of(code_of(text), defined):
        first, last = defined[name]
        if line < first:
            yield "%s:%d: %s is called above its definition in line %d" % (path, line, name, first)
        if first < line <= last:
            yield "%s:%d: %s calls itself" % (path, line, name)
    opening = text[: text.find("*/")]
    for name in re.findall(r"^ \*   (\w+)  ", opening, re.M):
        if name not in defined:
            yield "%s: the way of a byte goes through %s, which is not there" % (path, name)


def main():
    found = [fault for path in sys.argv[1:] for fault in faults(path)]
    print("\n".join(found) or "leaf first: " + " ".join(sys.argv[1:]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

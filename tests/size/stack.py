#!/usr/bin/env python3
"""stack.py FILE.ci [LIMIT]: the deepest stack below each public function.

FILE.ci is what GCC's -fcallgraph-info=su writes. A call through a pointer counts as one of the
functions of ours that are called in no other way; those of the platform and of the C library count
as nothing and are named. Fails when a chain is deeper than LIMIT, when there is recursion, or when
a frame has no fixed size.
"""

import re
import sys

NODE = re.compile(r'node: \{ title: "([^"]*)" label: "([^"]*)"')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"')
POINTER = "__indirect_call"
FRAME = re.compile(r"(\d+) bytes \((\w+)")


class Graph:
    def __init__(self, text):
        self.frames, self.calls, self.faults, self.found = {}, {}, [], {}
        for title, label in NODE.findall(text):
            frame = FRAME.search(label)
            if frame:
                self.frames[title] = int(frame[1])
                if frame[2] != "static":
                    self.faults.append("%s: its frame has no fixed size" % title)
        for caller, callee in EDGE.findall(text):
            self.calls.setdefault(caller, set()).add(callee)
        self.learn_pointers()

    def learn_pointers(self):
        """Functions that nobody calls by name are called through pointers, by those whom they do
        not call themselves: what these call so is the platform's."""
        called = set().union(*self.calls.values())
        pointed = {name for name in self.frames if ":" in name and name not in called}
        below, more = set(), pointed
        while more:
            below |= more
            more = set().union(*(self.calls.get(name, set()) for name in more)) - below
        for name, callees in self.calls.items():
            if POINTER in callees and name not in below:
                callees |= pointed

    def deepest(self, name, above=()):
        """Bytes, and the chain of (function, frame)."""
        if name in above:
            self.faults.append("recursion: " + " > ".join(above[above.index(name) :] + (name,)))
            return 0, ()
        if name not in self.found:
            best = (0, ())
            for callee in sorted(self.calls.get(name, ())):
                best = max(best, self.deepest(callee, above + (name,)))
            frame = self.frames.get(name)
            shown = name.split(":")[-1]
            self.found[name] = (best[0] + (frame or 0), ((shown, frame),) + best[1])
        return self.found[name]

    def public(self):
        return sorted(name for name in self.frames if ":" not in name)

    def outside(self):
        called = set().union(*self.calls.values())
        return sorted(called - set(self.frames))


def report(path, limit):
    """The lines to print and what is wrong."""
    with open(path) as file:
        graph = Graph(file.read())
    found = sorted(((graph.deepest(name), name) for name in graph.public()), reverse=True)
    lines = ["%6d  %s" % (depth, name) for (depth, _), name in found]
    depth, chain = found[0][0]
    lines.append("deepest: %d bytes" % depth)
    lines += ["  %6s  %s" % ("-" if frame is None else frame, name) for name, frame in chain]
    lines.append("not counted: " + " ".join(graph.outside()))
    faults = sorted(set(graph.faults))
    if depth > limit:
        faults.append("the stack is %d bytes deep, more than %d" % (depth, limit))
    return depth, lines, faults


def main():
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else sys.maxsize
    _, lines, faults = report(sys.argv[1], limit)
    print("\n".join(lines + faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

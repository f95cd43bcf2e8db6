"""The results as Markdown."""

import statistics

import sizes

REFERENCE = {"written": "cmcwh-never", "synced": "cmcwh-always", "limit": "cmcwh-never"}
TITLES = {"written": "Written before the 200 (cmcwh-never: in memory before the 200, written soon after)",
          "synced": "Synced before the 200 (fdatasync)",
          "limit": "Limits: nothing is parsed and nothing written"}


def table(heads, rows):
    """Aligned, so that it can be read as it is."""
    rows = [[str(cell) for cell in row] for row in [heads] + rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def number(value):
    if value is None:
        return "?"
    if value >= 100:
        return "{:,.0f}".format(value).replace(",", " ")
    return "%.2g" % value if value < 1 else "%.3g" % value


def mib(kib):
    return number(kib / 1024) if kib is not None else "?"


class Results:
    """What run.py has kept, with the median of the rounds."""

    def __init__(self, kept):
        self.kept, self.peers = kept, kept["peers"]
        self.cells = {}
        for cell in kept["cells"]:
            self.cells.setdefault((cell["peer"], cell["cell"]), []).append(cell)
        measured = {cell["cell"] for cell in kept["cells"]}
        self.names = [name for name in kept["settings"]["cells"] if name in measured]

    def median(self, peer, cell, what):
        values = [one[what] for one in self.cells.get((peer, cell), []) if one[what] is not None]
        return statistics.median(values) if values else None

    def of_mode(self, mode):
        return [name for name, peer in self.peers.items() if peer["mode"] == mode]


def head(results):
    kept = results.kept
    lines = ["%s, %s cores, %s, files on %s; %d rounds of %d s each, the median counts" %
             (kept["date"], kept["cores"], kept["cpu"], kept["files_on"], kept["settings"]["rounds"],
              kept["settings"]["seconds"]),
             "", ", ".join("%s %s" % (name, said or "missing") for name, said in sorted(kept["versions"].items())), ""]
    lines += ["%s left out: %s is missing" % pair for pair in kept["left_out"].items()]
    return "\n".join(lines) + "\n"


def compared(results, peer, cell, what):
    """The value, and how many times it cmcwh has in the same mode."""
    value = results.median(peer, cell, what)
    reference = REFERENCE[results.peers[peer]["mode"]]
    ours = results.median(reference, cell, what)
    if value is None or ours is None or value == 0 or peer == reference:
        return number(value)
    return "%s (×%s)" % (number(value), number(ours / value))


def rates(results):
    parts = ["## Requests and events a second\n\nIn brackets: how many times as many cmcwh takes (--sync "
             "never beside what is written, --sync always beside what is synced). A column is the kind of body, "
             "its events, the connections, and whether they are kept.\n"]
    for mode, title in TITLES.items():
        peers = results.of_mode(mode)
        if peers:
            parts.append("### %s\n" % title)
            parts += [rate_table(results, peers, *what) for what in
                      (("requests/s", "requests_per_second", "-1-"), ("events/s", "events_per_second", "-100-"))]
    return "\n".join(parts)


def rate_table(results, peers, title, what, size):
    names = [name for name in results.names if name[len("json"):].startswith(size)]
    rows = [[peer] + [compared(results, peer, cell, what) for cell in names] for peer in peers]
    return table([title] + names, rows) if names else ""


def latencies(results):
    names = [name for name in results.names if name.startswith("json-1-") and name.endswith("keep")]
    rows = [[peer] + [" / ".join(number(value / 1000) if value is not None else "?" for value in
                                 (results.median(peer, cell, what) for what in ("p50_us", "p99_us", "p999_us")))
                      for cell in names] for peer in results.peers]
    return "## Latency\n\np50 / p99 / p99.9 in ms, as wrk has them, of all answers.\n\n" + table([""] + names, rows)


def costs(results):
    rows = []
    for name, peer in results.peers.items():
        cpu = [compared_cpu(results, name, cell) for cell in ("json-1-8-keep", "json-100-8-keep")]
        rows.append([name] + cpu + [mib(peer.get(what)) for what in
                                    ("idle_pss_kib", "idle_rss_kib", "loaded_pss_kib", "loaded_rss_kib", "disk_kib")] +
                    [number(peer.get("start_seconds"))])
    return ("## What it takes\n\nCPU: seconds, user and system, of all processes for a million events. Memory in "
            "MiB: the sum of the processes, PSS (shared pages divided among those who share them) and RSS, after "
            "the first requests and at most with 64 connections. Start: seconds to the first 200.\n\n" +
            table(["", "CPU, 1 event", "CPU, 100 events", "idle PSS", "idle RSS", "loaded PSS", "loaded RSS",
                   "disk, MiB", "start, s"], rows) +
            "\n%s.\n" % (sizes.RULE[0].upper() + sizes.RULE[1:]) +
            ("\ncmcwh without TLS as one static file: %s MiB.\n" % mib(results.kept["static_kib"])
             if results.kept.get("static_kib") else ""))


def compared_cpu(results, peer, cell):
    value = results.median(peer, cell, "cpu_per_million")
    ours = results.median(REFERENCE[results.peers[peer]["mode"]], cell, "cpu_per_million")
    if value is None or not ours or peer in REFERENCE.values():
        return number(value)
    return "%s (×%s)" % (number(value), number(value / ours))


def wrong(peer, name):
    found = peer.get("wrong_bodies", {}).get(name)
    if found is None:
        return "?"
    return "%s%s" % (found["status"], ", says where" if found["says_where"] else "")


def torn(count):
    return ", %d torn line%s" % (count, "" if count == 1 else "s") if count else ""


def behaviour(results):
    rows = []
    for name, peer in results.peers.items():
        stalled = "%s after %s s" % (peer.get("stalled_status", "?"), number(peer.get("stalled_seconds")))
        if peer["mode"] == "limit":
            rows.append([name, "", "", "", "", stalled])
            continue
        full = str(peer.get("full", "?"))
        if "full_again" in peer:
            full += ", then %s after %s s; %d of %d missing%s" % (
                peer["full_again"], number(peer["full_again_seconds"]), peer["full_missing"],
                peer["full_acknowledged"], torn(peer["full_torn"]))
        kills = "?"
        if "kills" in peer:
            kills = "%d of %d missing%s" % (peer["kill_missing"], peer["kill_acknowledged"], torn(peer["kill_torn"]))
        rows.append([name, wrong(peer, "cut off"), wrong(peer, "no event"), full, kills, stalled])
    return ("## When something is wrong\n\nThe statuses for a body that is cut off and for one without an event; "
            "for events when the disk is full, and when there is space again; acknowledged events that are missing "
            "in the log after kill -9 of all processes under load (a kill is no power cut: what is written stays "
            "without a sync); a good request while 64 connections have sent half of theirs.\n\n" +
            table(["", "cut off", "no event", "full disk", "kill -9", "64 stalled"], rows))


def notes(results):
    """What was not as it should be, and what peers cannot do."""
    lines = []
    for (peer, cell), runs in results.cells.items():
        lost = sum(run["acknowledged"] - run["lines"] for run in runs if run["wrong"])
        found = [(what, sum(run[name] for run in runs)) for name, what in
                 (("refused", "answers other than 2xx"), ("failed", "requests that failed or took over 5 s"),
                  ("broken", "connections closed though the answer had not said so"))]
        found.append(("WRONG: acknowledged events that are not in the log", lost))
        seen = ", ".join("%s: %d" % one for one in found if one[1])
        if seen:
            lines.append("%s, %s: %s; of %d requests" % (peer, cell, seen, sum(run["requests"] for run in runs)))
    for name, peer in results.peers.items():
        lines += ["%s: %s" % (name, trouble) for trouble in peer.get("trouble", [])]
        if peer.get("lines_of_wrong_bodies"):
            lines.append("%s: wrong bodies left %d lines" % (name, peer["lines_of_wrong_bodies"]))
    remarks = {(peer["kind"], peer["note"]) for peer in results.peers.values() if peer["note"]}
    lines += ["%s: %s" % remark for remark in sorted(remarks)]
    return "## Notes\n\n" + "".join("- %s\n" % line for line in lines) if lines else ""


def markdown(kept):
    results = Results(kept)
    parts = [head(results)]
    if results.names:
        parts += [rates(results), latencies(results)]
    return "\n".join(parts + [costs(results), behaviour(results), notes(results)])

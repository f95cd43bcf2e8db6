"""A sink that delivers onward, killed under load and its peer too: kills.py, a short one for each kind of peer."""

import os

import kills
from onward import check

TIMES = int(os.environ.get("CMCWH_ONWARD_KILLS", "6"))


def of_peer(name):
    def test():
        print(kills.attempt(name, TIMES))
    return test


for peer_name in kills.PEERS:
    globals()["test_killed_with_%s" % peer_name] = of_peer(peer_name)


def test_a_loss_would_be_seen():
    lines = [{"id": "%016x" % i, "seq": i} for i in range(1, 5)]
    ids = [line["id"] for line in lines]
    check(lines, ids)
    check(lines, ids[:3] + ids[1:])  # again from the second on
    for wrong in (ids[:3], ids[1:], ids + ["f" * 16], [ids[1], ids[0]] + ids[2:]):
        try:
            check(lines, wrong)
        except AssertionError:
            continue
        raise AssertionError("passed: %s" % wrong)

"""What holds when systemd runs it: messages as its journal reads them, and the unit."""

import os

from harness import Server, body, run


def journal(offset=0):
    """Names stderr as systemd does that has given it to the journal; with an offset, another file."""
    status = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = "%d:%d" % (status.st_dev, status.st_ino + offset)


def test_messages_for_the_journal():
    """The severity stands before each line, and not the name, which the journal knows."""
    with Server("--sync", "never", "--allow", "192.0.2.0/24", preload=journal) as server:
        assert server.post(body()).status == 403
        server.stop()
        lines = server.stderr().split("\n")[:-1]
    lines = [line for line in lines if not line.startswith("listening on ")]  # what has none is info
    assert all(line[:3] in ("<4>", "<6>") and "cmcwh: " not in line for line in lines), lines
    assert any(line.startswith("<4>warn: --sync never") for line in lines), lines
    assert any(line.startswith("<6>403 ") for line in lines), lines
    for arguments in (("--path", "x"), ("--ring", "/none/ring")):
        said = run(*arguments, preload=journal)[2]
        assert said.startswith("<3>") and "cmcwh: " not in said, said


def test_messages_for_somebody_else():
    """The variable is inherited by whoever is started there, and may have a file of its own by then."""
    for preload in (lambda: journal(1), lambda: os.environ.__setitem__("JOURNAL_STREAM", "x"), None):
        said = run("--path", "x", preload=preload)[2]
        assert said.startswith("cmcwh: "), said

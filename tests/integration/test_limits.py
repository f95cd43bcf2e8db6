"""The system gives it little: either it says what lacks and does not start, or it serves."""

import os
import re
import resource
import signal

from harness import Client, Server, Skipped, body, eventually, request, run

CROWD = 30


def limited(kind, limit):
    return lambda: resource.setrlimit(kind, (limit, limit))


def post_all(server):
    """More requests at once than there are threads."""
    clients = [Client(server.port) for _ in range(10)]
    for client in clients:
        client.send(request(body()))
    for client in clients:
        assert client.answer().status == 200
        client.close()


def starts(kind, limit, *options):
    """Does it serve? If not, it has said why in one line, and never that it listens."""
    server = Server(*options, preload=limited(kind, limit))
    try:
        with server:
            post_all(server)
        return True
    except AssertionError as error:
        said = str(error)
        if not said.startswith("cmcwh ended at once: "):
            raise
        assert "listening" not in said and said.count("error") == 1, said
        assert server.process.returncode != 0
        server.__exit__(AssertionError, error, None)
        return False


def test_memory():
    """Threads are what most of it is needed for."""
    if os.environ.get("SANITIZE"):
        raise Skipped("a sanitizer needs more than can be limited")
    outcomes = [starts(resource.RLIMIT_AS, mebibytes << 20, "--workers", "256")
                for mebibytes in (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 72, 80, 96, 128, 192, 512)]
    assert outcomes == sorted(outcomes), outcomes
    assert not outcomes[0] and outcomes[-1], outcomes


def test_descriptors():
    outcomes = [starts(resource.RLIMIT_NOFILE, count)
                for count in (*range(4, 25), 60, 79, 80, 81, 100, 200)]
    assert outcomes == sorted(outcomes), outcomes
    assert not outcomes[0] and outcomes[-1], outcomes


def test_what_descriptors_are_needed():
    """The number that is said is enough, and one less is not."""
    _, _, said = run("serve", "--listen", "127.0.0.1:0",
                     preload=limited(resource.RLIMIT_NOFILE, 20))
    needed = int(re.search(r"(\d+) are needed", said).group(1))
    assert not starts(resource.RLIMIT_NOFILE, needed - 1)
    assert starts(resource.RLIMIT_NOFILE, needed)
    for count, expected in ((needed - 1, 2), (needed, 0)):
        status, _, said = run("serve", "--check-config", "--listen", "127.0.0.1:0",
                              preload=limited(resource.RLIMIT_NOFILE, count))
        assert status == expected and said.count("ulimit -n: %d descriptors" % count) == 1, (status, said)


def test_sinks_keep_their_descriptors():
    """All places are taken and more would come; the log is opened anew all the same."""
    with Server(preload=limited(resource.RLIMIT_NOFILE, 80)) as server:
        crowd = [Client(server.port) for _ in range(CROWD)]
        for client in crowd:
            client.send(b"POST /mails HTTP/1.1\r\nHo")
        for number in range(3):
            assert server.post(body(first=number)).status == 200
            old = server.path("log.%d" % number)
            os.rename(server.log, old)
            server.signal(signal.SIGHUP)
            server.wait_said("files are opened anew", number + 1)
            assert server.post(body(first=number)).status == 200
            eventually(lambda: server.count() == 1, "a line in the new log")
            assert server.count(old) == (1 if number == 0 else 2)
        for client in crowd:
            client.close()

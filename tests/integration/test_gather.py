"""--sync TIME: requests wait for others and share one sync. What is counted is calls of the system; how long anything
takes is not looked at. Where a test is about what ends the waiting sooner, the time is far longer than the test may
take."""

import os
import signal
import threading

from harness import Client, Server, body, eventually, loading, request, run

# Writes down what would be synced, a line each: a disk that others use takes its time.
COUNTS = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int fdatasync(int descriptor) {
    char link[64], name[4096];
    ssize_t length;
    int counts = open("@/syncs", O_WRONLY | O_CREAT | O_APPEND, 0600);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, name, sizeof name - 1);
    name[length < 0 ? 0 : length] = '\n';
    return write(counts, name, length < 0 ? 0 : length + 1) < 0 || close(counts) < 0 ? -1 : 0;
}
"""


class Counting(Server):
    """A server whose syncs are counted."""

    def __init__(self, *options):
        super().__init__(*options)
        self.preload = loading(self.folder, COUNTS.replace("@", self.folder))

    def syncs(self, name):
        """How often this file was synced."""
        if not os.path.exists(self.path("syncs")):
            return 0
        with open(self.path("syncs"), encoding="utf-8") as file:
            return [os.path.basename(line) for line in file.read().split("\n")].count(name)

    def forget(self):
        if os.path.exists(self.path("syncs")):
            os.unlink(self.path("syncs"))


class Waiting:
    """Clients that have each sent a request of one event, in this order, and have read no answer."""

    def __init__(self, server, count):
        self.clients = []
        for number in range(count):
            self.clients.append(Client(server.port))
            self.clients[-1].send(request(body(first=number)))

    def statuses(self):
        return [client.answer().status for client in self.clients]


LONG = ("--sync", "10s")


def wait_in_ring(server, count):
    """Until so many events are in the ring."""
    def there():
        server.signal(signal.SIGUSR1)
        return "ring in_use=%d " % count in server.stderr()
    eventually(there, "%d events in the ring" % count)


def test_requests_that_come_within_the_time_share_one_sync():
    for place, ring in (("ring", ["--ring", "@/ring"]), ("log", [])):
        with Counting(*ring, "--sync", "2s", "--store-timeout", "2") as server:
            server.forget()
            assert Waiting(server, 20).statuses() == [200] * 20
            assert 1 <= server.syncs(place) <= 3, server.syncs(place)
            assert len(server.wait_lines(20)) == 20


def test_a_door_that_is_full_waits_no_longer():
    """With one worker eight may wait: nobody else can come, so the rest of the time is not waited for."""
    for place, ring in (("ring", ["--ring", "@/ring"]), ("log", [])):
        with Counting(*ring, *LONG, "--workers", "1") as server:
            server.forget()
            assert Waiting(server, 8).statuses() == [200] * 8
            assert server.syncs(place) == 1


def test_a_ring_that_is_full_waits_no_longer():
    for ring in (["--ring", "@/ring"], []):
        with Server(*ring, *LONG, "--ring-records", "4") as server:
            first = Waiting(server, 4)
            wait_in_ring(server, 4)
            last = Waiting(server, 1)
            assert first.statuses() == [200] * 4
            server.signal(signal.SIGTERM)
            assert last.statuses() == [200]
            server.process.wait()


def test_at_the_end_nobody_waits():
    for place, ring in (("ring", ["--ring", "@/ring"]), ("log", [])):
        with Counting(*ring, *LONG) as server:
            waiting = Waiting(server, 5)
            wait_in_ring(server, 5)
            server.signal(signal.SIGHUP)
            server.wait_said("files are opened anew")
            server.forget()
            server.signal(signal.SIGTERM)
            assert waiting.statuses() == [200] * 5
            server.process.wait()
            # One for all; and with the ring one more, for what the sink has taken.
            assert server.syncs(place) == (2 if ring else 1), server.syncs(place)
            assert len(server.lines()) == 5


def test_what_waits_is_not_stored_when_the_process_is_killed():
    with Server("--ring", "@/ring", *LONG, status=-signal.SIGKILL) as server:
        waiting = Waiting(server, 3)
        wait_in_ring(server, 3)
        server.kill()
        assert all(client.closed() for client in waiting.clients)
        assert run("cat", server.path("ring"))[:2] == (0, b"")


def test_many_senders_are_not_refused():
    """More than may wait at a time: the others have their turn soon enough."""
    for ring in (["--ring", "@/ring"], []):
        with Counting(*ring, "--workers", "1", "--sync", "100ms") as server:
            answers = []

            def send(number):
                client = Client(server.port)
                for i in range(10):
                    client.send(request(body(first=10 * number + i)))
                    status = client.answer().status
                    answers.append(status)
                    if status != 200:  # and the connection is closed
                        return
            threads = [threading.Thread(target=send, args=(number,)) for number in range(30)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert answers == [200] * 300, answers
            assert len({line["to"] for line in server.wait_lines(300)}) == 300


def test_times_that_are_none():
    for time in ("0ms", "11s", "250", "1.5s", "-1s", "1h", ""):
        for check in ([], ["--check-config"]):
            status, _, error = run("serve", *check, "--sync", time)
            assert status == 2 and "a time such as 250ms or 2s, 10s at most" in error, error

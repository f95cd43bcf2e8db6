"""--ring FILE: kills, restarts, dead sinks, a ring that cannot be written, cmcwh cat."""

import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import Client, DeafPeer, Load, Peer, Server, body, eventually, request, run
from test_storage import mount_small

KILLS = int(os.environ.get("CMCWH_KILLS", "200"))


def recovery(server):
    """What the line about the ring says: kept, next, dropped, damaged."""
    found = re.search(r"(\d+) events wait for sinks, the next is seq (\d+); dropped (\d+) requests .* "
                      r"skipped (\d+) damaged", server.stderr())
    return [int(number) for number in found.groups()]


class Requests:
    """Clients that post requests of one to four events until the server is gone."""

    def __init__(self, server, first, clients=4):
        self.server, self.acknowledged, self.refused, self.sent = server, [], [], []
        self.threads = [threading.Thread(target=self.send, args=(first + 1000 * i,))
                        for i in range(clients)]

    def send(self, number):
        try:
            client = Client(self.server.port)
            while True:
                number += 1
                self.sent.append(number)
                client.send(request(body(1 + number % 4, first=10 * number)))
                status = client.answer().status
                if status == 200:
                    self.acknowledged.append(number)
                else:
                    self.refused.append(status)
        except OSError:
            pass

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *unused):
        if kind is not None:
            self.server.process.kill()
        for thread in self.threads:
            thread.join()


def numbers_of(lines):
    """The requests in a log, each of which must be there whole: {number: how many events}."""
    found = {}
    for line in lines:
        event = int(re.match(r"user(\d+)@", line["to"]).group(1))
        found.setdefault(event // 10, set()).add(event % 10)
    for number, events in found.items():
        assert events == set(range(1 + number % 4)), "request %d in part: %s" % (number, events)
    return found


def check_log(lines):
    """seq without gaps; what comes again is the same event."""
    seen = {}
    for line in lines:
        assert seen.setdefault(line["seq"], line) == line
    assert sorted(seen) == list(range(1, len(seen) + 1))


def test_killed_200_times_under_load():
    seed = int(os.environ.get("CMCWH_SEED", time.time_ns() % 1000000))
    luck = random.Random(seed)
    acknowledged, repeats = [], 0
    with Server("--ring", "@/ring", "--ring-records", "64", "--sync", "always") as server:
        for kill in range(KILLS):
            # In every other life requests wait for others.
            server.command[server.command.index("--sync") + 1] = ["20ms", "always"][kill % 2]
            with Requests(server, 10000 * (kill + 1)) as requests:
                if kill % 4 > 0:  # else before the first answer, perhaps
                    eventually(lambda: requests.acknowledged, "an answer")
                time.sleep(luck.uniform(0, 0.05))
                server.kill()
            acknowledged += requests.acknowledged
            assert set(requests.refused) <= {503}  # the ring is small, and may be full
            server.restart()
            assert recovery(server)[3] == 0

        def empty():
            server.signal(signal.SIGUSR1)
            return "ring in_use=0 capacity=64 " in server.stderr()
        eventually(empty, "all the room of the ring")
        server.stop()
        lines = server.lines()
        check_log(lines)
        missing = set(acknowledged) - set(numbers_of(lines))
        assert not missing, "CMCWH_SEED=%d: lost %s" % (seed, sorted(missing))
        assert len(acknowledged) > KILLS
        repeats = len(lines) - len({line["seq"] for line in lines})
        print("%d kills survived, %d requests acknowledged, 0 lost, %d events of %d came twice" %
              (KILLS, len(acknowledged), repeats, len(lines)))


def test_events_wait_for_a_dead_sink_over_restarts():
    server = Server("--ring", "@/ring", "--sink", "syslog:@/dev-log")
    peer = Peer(socket.SOCK_DGRAM, server.path("dev-log"))
    with server:
        assert server.post(body(2)).status == 200
        eventually(lambda: len(peer.messages) == 2, "the first events")
        peer.close()
        os.unlink(server.path("dev-log"))
        for i in range(5):
            assert server.post(body(first=100 + i)).status == 200
        assert len(server.wait_lines(7)) == 7  # the log is unharmed
        server.kill()
        with Peer(socket.SOCK_DGRAM, server.path("dev-log")) as peer:
            server.restart()
            assert recovery(server)[0] >= 5
            eventually(lambda: peer.messages and b"to=user104@" in peer.messages[-1], "what had waited")
            assert [re.search(rb'to=(user\d+)', message).group(1) for message in peer.messages][-5:] \
                == [b"user%d" % (100 + i) for i in range(5)]
            server.stop()
        check_log(server.lines())
        assert server.lines()[-1]["seq"] == 7


def test_stopped_in_order_nothing_comes_twice():
    with Server("--ring", "@/ring") as server:
        for round_ in range(5):
            with Requests(server, 10000 * (round_ + 1)) as requests:
                eventually(lambda: len(requests.acknowledged) > 4, "5 answers")
                server.signal(signal.SIGTERM)
            assert requests.acknowledged
            assert server.process.wait(30) == 0
            server.restart()
            assert recovery(server)[0] == 0 and recovery(server)[2] == 0
        server.stop()
        assert [line["seq"] for line in server.lines()] == \
            list(range(1, len(server.lines()) + 1))


def test_stopped_under_load_with_a_dead_sink():
    """The server does not wait for what cannot be delivered, says how much waits, and delivers it after the
    next start."""
    server = Server("--ring", "@/ring", "--ring-records", "4096", "--sink", "syslog:@/dev-log",
                    "--body-timeout", "300")
    peer = Peer(socket.SOCK_DGRAM, server.path("dev-log"))
    with server:
        peer.close()
        os.unlink(server.path("dev-log"))
        with Requests(server, 10000) as requests:
            eventually(lambda: len(requests.acknowledged) > 20, "answers")
            server.wait_said("trying again")
            server.signal(signal.SIGTERM)
        assert server.process.wait(harness.PATIENCE) == 0
        assert re.search(r"\d+ events wait in the ring for the next start", server.stderr())
        count = len(server.lines())
        assert set(requests.acknowledged) <= set(numbers_of(server.lines()))
        with Peer(socket.SOCK_DGRAM, server.path("dev-log")) as peer:
            server.restart()
            eventually(lambda: len(peer.messages) >= count, "what had waited")
            server.stop()
        assert len(peer.messages) == count == len(server.lines())


def test_a_tcp_peer_that_never_reads():
    """The log gets everything; the ring fills; 503 with Retry-After; then all arrives."""
    with DeafPeer() as deaf:
        with Server("--ring", "@/ring", "--ring-records", "3000", "--sink", deaf.uri) as server:
            deaf.accept()
            stored = deaf.fill(server, 40, subject="x" * 400)
            assert len(server.wait_lines(stored)) == stored
            server.signal(signal.SIGUSR1)
            found = eventually(lambda: re.search(r"sink 'syslog\+tcp\S*' behind=(\d+)", server.stderr()),
                               "the counters")
            waiting = stored + 1 - int(found.group(1))
            with Peer(socket.SOCK_STREAM, deaf.address) as peer:
                deaf.close()
                eventually(lambda: server.post(body(1, first=7000000)).status == 200, "room")
                eventually(lambda: b"user7000000@" in peer.stream, "the last event")
            seqs = [int(seq) for seq in re.findall(rb" seq=(\d+) ", peer.stream)]
            assert seqs == list(range(seqs[0], stored + 2)) and seqs[0] <= waiting, (seqs[0], waiting)
            assert server.stderr().count("trying again") == 1


def test_full_disk_of_a_log_with_a_ring():
    """200 goes on while the ring has room; then 503; then everything reaches the log."""
    server = Server("--ring", "@/ring", "--ring-records", "256", "--sink", "file:@/small/log",
                    "--sink", "file:@/other", sink=False)
    small = server.path("small")
    mount_small(small)
    try:
        with server:
            count, answer = 0, None
            # A full ring may mean no more than that the sinks are slow, until one has failed.
            while answer is None or answer.status == 200 or "No space left" not in server.stderr():
                answer = server.post(body(10, first=count, reason="x" * 300))
                count += 10 if answer.status == 200 else 0
            assert answer.status == 503 and answer.json()["error"] == "ring_full"
            assert count >= 256
            assert len(server.wait_lines(count, server.path("other"))) == count
            assert subprocess.run(["mount", "-o", "remount,size=4m", small],
                                  check=False).returncode == 0
            lines = server.wait_lines(count, small + "/log")
            assert [line["seq"] for line in lines] == list(range(1, count + 1))
            eventually(lambda: server.post(body()).status == 200, "room")
            said = server.wait_said("works again")
            assert said.count("No space left") == 1 and said.count("works again") == 1
    finally:
        subprocess.run(["umount", "-l", small], check=False)
        shutil.rmtree(server.folder, ignore_errors=True)


def test_folder_of_a_log_removed_and_back():
    """After SIGHUP the log cannot be opened; it comes back by itself, with everything."""
    server = Server("--ring", "@/ring", "--sink", "file:@/folder/log", sink=False)
    folder = server.path("folder")
    os.mkdir(folder)
    with server:
        assert server.post(body(2)).status == 200
        server.wait_lines(2, folder + "/log")
        os.rename(folder, folder + ".gone")
        server.signal(signal.SIGHUP)
        server.wait_said("cannot be opened: No such file")
        assert server.post(body(2, first=2)).status == 200
        assert server.post(body(2, first=4)).status == 200
        os.mkdir(folder)
        lines = server.wait_lines(4, folder + "/log")
        assert [line["seq"] for line in lines] == [3, 4, 5, 6]


def test_log_on_a_medium_that_becomes_read_only():
    """A disk becomes read-only after an error; a test can make it so only while the log is not open."""
    server = Server("--ring", "@/ring", "--sink", "file:@/small/log", sink=False)
    small = server.path("small")
    mount_small(small)

    def remount(options):
        return subprocess.run(["mount", "-o", "remount," + options, small], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0
    try:
        with server:
            stored = 0
            while "No space left" not in server.stderr():
                assert server.post(body(10, first=stored, reason="x" * 300)).status == 200
                stored += 10
            eventually(lambda: remount("ro"), "a moment in which the log is not open")
            assert server.post(body(2, first=stored)).status == 200
            assert remount("rw,size=4m")
            lines = server.wait_lines(stored + 2, small + "/log")
            assert [line["seq"] for line in lines] == list(range(1, stored + 3))
    finally:
        subprocess.run(["umount", "-l", small], check=False)
        shutil.rmtree(server.folder, ignore_errors=True)


def limit_files(server, size):
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_ring_that_cannot_be_written():
    """503 at once, nothing of it is taken, said once; it works again by itself."""
    with Server("--ring", "@/ring", "--sink", "stdout:", sink=False) as server:
        assert server.post(body(2)).status == 200
        limit_files(server, 12288)  # below the first record; its own messages still fit
        for i in range(4):
            answer = server.post(body(first=100 + i))
            assert answer.status == 503 and answer.json()["error"] == "storage_failed"
            assert int(answer.headers["retry-after"][0]) >= 1
        limit_files(server, resource.RLIM_INFINITY)
        eventually(lambda: server.post(body(1, first=2)).status == 200, "recovery")
        said = server.wait_said("works again")
        assert said.count("cannot be written: File too large") == 1, said
        assert said.count("works again") == 1, said
        eventually(lambda: server.stdout().count(b"\n") == 3, "the events")
        events = [json.loads(line) for line in server.stdout().splitlines()]
        assert [event["seq"] for event in events] == [1, 2, 3]
        assert events[2]["to"] == "user2@example.jp"


def test_ring_that_cannot_be_opened():
    with Server("--ring", "@/ring", "--ring-records", "8") as server:
        assert server.post(body(3)).status == 200
        path = server.path("ring")
        code, _, said = run("serve", "--listen", "127.0.0.1:0", "--ring", path)
        assert code == 1 and "another process uses it" in said
        server.stop()
        with open(path, "rb") as file:
            image = file.read()

        def refused(data, *options):
            other = server.path("other")
            with open(other, "wb") as file:
                file.write(data)
            os.chmod(other, 0o600)
            code, _, said = run("serve", "--listen", "127.0.0.1:0", "--ring", other, *options)
            assert code == 2 and said.count("\n") == 1, said
            with open(other, "rb") as file:
                assert file.read() == data
            return said

        assert "truncated" in refused(image[:-1])
        assert "truncated" in refused(image + b"x")
        assert "no ring" in refused(b"")
        assert "no ring" in refused(b"{}\n" * 1000)
        assert "header is damaged" in refused(image[:20] + b"\1" + image[21:])
        assert "holds 8 records, --ring-records says 9" in refused(image, "--ring-records", "9")
        both = bytearray(image)
        both[4096 + 9] ^= 1
        both[8192 + 9] ^= 1
        assert "both copies" in refused(bytes(both))
        code, _, said = run("serve", "--listen", "127.0.0.1:0", "--ring", server.path("no/ring"))
        assert code == 2 and "No such file" in said
        server.restart()


def test_ring_that_others_may_touch():
    """As with log files, the group may read what the umask lets it, and everybody nothing."""
    for umask, mode in ((0o022, 0o640), (0o027, 0o640), (0, 0o640), (0o077, 0o600)):
        with Server("--ring", "@/ring", preload=lambda umask=umask: os.umask(umask)) as server:
            assert os.stat(server.path("ring")).st_mode & 0o777 == mode
            assert "may read it" not in server.stderr()
    with Server("--ring", "@/ring") as server:
        server.stop()
        os.chmod(server.path("ring"), 0o604)
        server.restart()
        assert "everybody may read it: chmod 640, or 600" in server.stderr()
        server.stop()
        os.chmod(server.path("ring"), 0o620)
        code, _, said = run("serve", "--listen", "127.0.0.1:0", "--ring", server.path("ring"))
        assert code == 2 and "may write to it: chmod 640, or 600" in said
        os.chmod(server.path("ring"), 0o600)
        server.restart()


def test_damaged_record_is_skipped_and_said():
    server = Server("--ring", "@/ring", "--ring-records", "8", "--sink", "syslog:@/dev-log",
                    sink=False)
    peer = Peer(socket.SOCK_DGRAM, server.path("dev-log"))
    with server:
        peer.close()
        os.unlink(server.path("dev-log"))
        assert server.post(body(3)).status == 200
        server.stop()
        with open(server.path("ring"), "r+b") as file:
            file.seek(3 * 4096 + 1024 + 90)
            file.write(b"!!")
        code, out, said = run("cat", server.path("ring"))
        assert code == 0 and out.count(b"\n") == 2 and "skipped 1 damaged" in said
        with Peer(socket.SOCK_DGRAM, server.path("dev-log")) as peer:
            server.restart()
            assert recovery(server) == [2, 4, 0, 1]
            eventually(lambda: len(peer.messages) == 2, "the others")
            assert server.post(body(first=9)).status == 200
            eventually(lambda: len(peer.messages) == 3, "the next")
            server.stop()


def test_sync_never_says_so():
    with Server("--ring", "@/ring", "--sync", "never") as server:
        assert "a power cut can lose events" in server.stderr()
        assert server.post(body(3)).status == 200
        server.kill()
        server.restart()
        assert recovery(server)[1] == 4
        server.wait_lines(3)
        server.stop()
        check_log(server.lines())  # what was in flight may come again


def cat(server):
    """The seqs that cat prints of a ring, in which nothing is damaged. What lacks in between is said, and
    nothing else."""
    code, out, said = run("cat", server.path("ring"))
    seqs = [json.loads(line)["seq"] for line in out.splitlines()]
    gone = sorted(set(range(seqs[0], seqs[-1])) - set(seqs)) if seqs else []
    assert code == 0 and seqs == sorted(set(seqs)), seqs
    assert said == ("cmcwh: %s: %d delivered events are gone from between these, the first is seq %d: later "
                    "ones have taken their places\n" % (server.path("ring"), len(gone), gone[0])
                    if gone else ""), (seqs, said)
    return seqs


def test_cat_of_a_ring_that_is_in_use():
    with Server("--ring", "@/ring", "--ring-records", "16") as server:
        assert server.post(body(20)).status == 413
        assert server.post(body(10)).status == 200
        server.wait_lines(10)
        code, out, said = run("cat", server.path("ring"))
        assert code == 0 and said == "" and out.decode().splitlines() == \
            [line for line in open(server.log, encoding="utf-8").read().splitlines()]
        code, out, _ = run("cat", "--format", "logfmt", server.path("ring"))
        assert code == 0 and out.count(b"\nevent_type=") == 9
        follower = subprocess.Popen([harness.CMCWH, "cat", "--follow", server.path("ring")],
                                    stdout=subprocess.PIPE)
        try:
            seqs = [json.loads(follower.stdout.readline())["seq"] for _ in range(10)]
            for i in range(6):
                assert server.post(body(1, first=100 + i)).status == 200
            seqs += [json.loads(follower.stdout.readline())["seq"] for _ in range(6)]
            assert seqs == list(range(1, 17))
        finally:
            follower.kill()
            follower.wait()
            follower.stdout.close()
        with Load(server) as load:  # reading disturbs nobody
            for _ in range(20):
                assert len(cat(server)) <= 16
            load.wait(20)


def test_cat_after_requests_that_ended_out_of_turn():
    """A slot is taken when its event begins, a seq is given when the request ends: delivered events
    are not overwritten in the order of their seqs."""
    with Server("--ring", "@/ring", "--ring-records", "32") as server:
        late, whole = Client(server.port), body(2, ignored="x" * 8000)
        late.send(request(b"%x\r\n" % len(whole) + whole[:6000], length=False,
                          headers=["Transfer-Encoding: chunked"]))

        def taken():
            server.signal(signal.SIGUSR1)
            return "in_use=1 " in server.stderr()
        eventually(taken, "the first event in the first slot")
        for i in range(10):
            assert server.post(body(1, first=10 + i)).status == 200
        late.send(whole[6000:] + b"\r\n0\r\n\r\n")
        assert late.answer().status == 200
        late.close()
        for i in range(21):
            server.wait_lines(12 + i)
            assert cat(server) == list(range(1, 13 + i))
            assert server.post(body(1, first=100 + i)).status == 200
        server.wait_lines(33)
        assert cat(server) == list(range(2, 11)) + list(range(12, 34))  # of the last 32


def test_ring_of_a_big_endian_machine():
    """tests/golden/make.c wrote it on a MIPS; this machine goes on with it."""
    code, out, _ = run("cat", "tests/golden/big-endian.ring")
    with open("tests/golden/big-endian.json", "rb") as file:
        assert code == 0 and out == file.read()
    server = Server("--ring", "@/ring")
    shutil.copy("tests/golden/big-endian.ring", server.path("ring"))
    with server:
        assert recovery(server) == [2, 4, 0, 0]
        assert server.post(body(1)).status == 200
        assert [line["seq"] for line in server.wait_lines(3)] == [2, 3, 4]


def test_follow_a_binary_log():
    with Server("--sink", "file:@/b?format=binary", sink=False) as server:
        assert server.post(body(2)).status == 200
        follower = subprocess.Popen([harness.CMCWH, "cat", "-f", server.path("b")],
                                    stdout=subprocess.PIPE)
        try:
            assert json.loads(follower.stdout.readline())["seq"] == 1
            assert json.loads(follower.stdout.readline())["seq"] == 2
            assert server.post(body(1)).status == 200
            assert json.loads(follower.stdout.readline())["seq"] == 3
        finally:
            follower.kill()
            follower.wait()
            follower.stdout.close()


def test_new_ring_is_empty_and_has_all_its_room():
    with Server("--ring", "@/ring", "--ring-records", "1000", "--sync", "never") as server:
        with open(server.path("ring"), "rb") as file:
            data = file.read()
        assert len(data) == 12288 + 1000 * 1024 and not any(data[12288:])
        assert [data[at:at + 4] for at in (0, 4096, 8192)] == [b"CMCW", b"CMCS", b"CMCS"]
        assert os.stat(server.path("ring")).st_blocks * 512 >= len(data)


def test_memory_of_an_empty_ring():
    """It is taken as events come: not by the start, nor by the next one."""
    sizes = []
    for records in 1024, 65536:
        with Server("--ring", "@/ring", "--ring-records", str(records), sink=False) as server:
            assert server.post(body(10)).status == 200
            server.stop()
            server.restart()
            assert server.post(body(10)).status == 200
            with open("/proc/%d/status" % server.process.pid, encoding="ascii") as file:
                sizes.append(int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)))
    assert sizes[1] - sizes[0] < 16384, sizes


def test_half_made_ring_is_made_anew():
    server = Server("--ring", "@/ring", "--ring-records", "8")
    with open(server.path("ring.new"), "wb") as file:  # what was written is the zeros that fill it
        file.write(bytes(100000))
    os.chmod(server.path("ring.new"), 0o600)
    with server:
        assert server.post(body(3)).status == 200
        assert not os.path.exists(server.path("ring.new"))
        assert os.stat(server.path("ring")).st_size == 3 * 4096 + 8 * 1024
        assert os.stat(server.path("ring")).st_mode & 0o777 == 0o640


def test_no_room_for_a_new_ring():
    server = Server("--ring", "@/small/ring", sink=False)
    small = server.path("small")
    mount_small(small)
    try:
        code, _, said = run("serve", "--listen", "127.0.0.1:0", "--ring", small + "/ring")
        assert code == 1 and "cannot be made: No space left" in said
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", "-l", small], check=False)
        shutil.rmtree(server.folder, ignore_errors=True)

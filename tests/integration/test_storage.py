"""What was acknowledged stays: crashes, full disks, moved files, sinks that fail beside others."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess

import harness
from harness import Client, Load, Peer, Server, Skipped, body, eventually, loading, request, unframe
from test_sinks import SerialLine


def whole_lines(path):
    """The lines of a log whose last one may be torn."""
    with open(path, "rb") as file:
        return [json.loads(line) for line in file.read().split(b"\n")[:-1]]


def test_killed_under_load_threaded():
    with Server("--ring-records", "256", status=-signal.SIGKILL) as server:
        with Load(server) as load:
            load.wait(100)
            server.signal(signal.SIGKILL)
            server.process.wait()
        stored = [line["to"] for line in whole_lines(server.log)]
        assert set(load.acknowledged) <= set(stored)
        assert len(stored) == len(set(stored))
        with Server("--sink", "file:" + server.log, sink=False) as again:
            assert again.post(body(first=7)).status == 200
            assert [line["to"] for line in again.lines(server.log)] == stored + ["user7@example.jp"]


def test_log_moved_under_load_threaded():
    with Server("--ring-records", "256") as server:
        files = []
        with Load(server) as load:
            for i in range(5):
                load.wait(30)
                files.append(server.path("log.%d" % i))
                os.rename(server.log, files[-1])
                server.signal(signal.SIGHUP)
                eventually(lambda: os.path.exists(server.log), "a new log")
        server.stop()
        lines = [line for path in files + [server.log] for line in server.lines(path)]
        assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
        assert sorted(line["to"] for line in lines) == sorted(load.acknowledged)


def test_binary_rotation_under_load_threaded():
    with Server("--sink", "file:@/b?format=binary&rotate=4k&keep=900", sink=False) as server:
        with Load(server) as load:
            load.wait(200)
        server.stop()
        names = [name for name in os.listdir(server.folder) if re.match(r"b(\.\d+)?$", name)]
        assert len(names) > 3
        records = []
        for name in sorted(names, key=lambda name: -int(name[2:] or 0)):
            with open(server.path(name), "rb") as file:
                stream = file.read()
            assert stream.endswith(b"\0"), name
            records += unframe(stream)
        assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
        assert sorted(record["to"] for record in records) == sorted(load.acknowledged)


def mount_small(folder):
    if os.geteuid() != 0:
        raise Skipped("mounting a tmpfs needs root")
    os.mkdir(folder)
    result = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", folder],
                            stderr=subprocess.PIPE, check=False)
    if result.returncode != 0:
        raise Skipped("no tmpfs can be mounted here: " + result.stderr.decode().strip())


def test_full_file_system():
    server = Server("--sink", "file:@/small/log", sink=False)
    small = server.path("small")
    mount_small(small)
    try:
        with open(small + "/filler", "wb") as file:
            file.write(b"x" * 65536)
        with server:
            acknowledged, number = [], 0
            refused = None
            while refused is None:
                number += 10
                answer = server.post(body(10, first=number, reason="x" * 300))
                if answer.status == 200:
                    acknowledged += range(number, number + 10)
                else:
                    refused = answer
            assert refused.status == 503 and refused.json()["error"] == "storage_failed"
            assert int(refused.headers["retry-after"][0]) >= 1
            log = small + "/log"
            assert [line["to"] for line in server.lines(log)] == \
                ["user%d@example.jp" % i for i in acknowledged]
            assert "No space left" in server.stderr()
            os.unlink(small + "/filler")
            eventually(lambda: server.post(body(first=7)).status == 200, "room")
            lines = server.lines(log)
            assert [line["seq"] for line in lines] == list(range(1, len(acknowledged) + 2))
            assert lines[-1]["to"] == "user7@example.jp"
    finally:
        subprocess.run(["umount", "-l", small], check=False)
        shutil.rmtree(server.folder, ignore_errors=True)


def test_seq_has_no_gap_when_one_of_two_sinks_fails():
    server = Server("--sink", "syslog:@/dev-log")
    peer = Peer(socket.SOCK_DGRAM, server.path("dev-log"))
    with server:
        assert server.post(body(first=1)).status == 200
        peer.close()
        os.unlink(server.path("dev-log"))
        for i in range(3):
            assert server.post(body(first=100 + i)).status == 503
        with Peer(socket.SOCK_DGRAM, server.path("dev-log")):
            eventually(lambda: server.post(body(first=200)).status == 200, "recovery")
        # A sink need not wait for the other: the log may have what was refused, or may not.
        lines = server.lines()
        assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
        senders = [line["to"] for line in lines]
        assert senders[0] == "user1@example.jp" and senders[-1] == "user200@example.jp", senders
        refused = {"user%d@example.jp" % number for number in (100, 101, 102, 200)}
        assert set(senders[1:-1]) <= refused, senders


def test_torn_frame_and_long_torn_line_are_cut_off():
    with Server("--sink", "file:@/b?format=binary", sink=False) as server:
        assert server.post(body(3)).status == 200
        with open(server.path("b"), "rb") as file:
            frames = file.read()
    for uri, whole, torn in (("file:@/log?format=binary", frames, frames[:50]),
                             ("file:@/log", b'{"seq":1}\n', b'{"seq":2,"to":"' + b"x" * 10000)):
        server = Server("--sink", uri, sink=False)
        with open(server.log, "wb") as file:
            file.write(whole + torn)
        with server:
            assert "not whole" in server.stderr()
            with open(server.log, "rb") as file:
                assert file.read() == whole
            assert server.post(body()).status == 200
            with open(server.log, "rb") as file:
                assert file.read().startswith(whole)


def test_log_of_another_format_is_kept():
    """Somebody changes format= and leaves the path: what is in the log must not go."""
    with Server("--sink", "file:@/b?format=binary", sink=False) as server:
        assert server.post(body(20)).status == 200
        with open(server.path("b"), "rb") as file:
            frames = file.read()
    for form, old in (("binary", b'{"seq":1}\n' * 1000), ("json", frames), ("logfmt", frames)):
        server = Server("--sink", "file:@/log?format=" + form, sink=False)
        with open(server.log, "wb") as file:
            file.write(old)
        try:
            with server:
                server.post(body())
                with open(server.log, "rb") as file:
                    kept = file.read()
        except AssertionError as error:  # to refuse the start is right as well
            assert "ended at once" in str(error), error
            with open(server.log, "rb") as file:
                kept = file.read()
        assert kept.startswith(old), "%s: of %d bytes %d are left" % (form, len(old), len(kept))


def test_reader_of_stdout_goes_away():
    reading, writing = os.pipe()
    process = subprocess.Popen([harness.CMCWH, "serve", "--listen", "127.0.0.1:0"], stdout=writing,
                               stderr=subprocess.PIPE)
    os.close(writing)
    try:
        said = process.stderr.readline()
        port = int(re.search(rb":(\d+)/", said).group(1))

        def post():
            client = Client(port)
            client.send(request(body()))
            status = client.answer().status
            client.close()
            return status
        assert post() == 200
        assert json.loads(os.read(reading, 65536))["seq"] == 1
        os.close(reading)
        assert post() == 503 and process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert b"Broken pipe" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_serial_line_that_nobody_reads():
    """The line is open and takes nothing: the log, the answers and the stop do not wait for it."""
    server = Server("--sink", "serial:@/tty-a?policy=besteffort", "--body-timeout", "1",
                    "--ring-records", "32")
    line = SerialLine(server.folder)
    try:
        with server:
            for i in range(60):
                assert server.post(body(5, first=5 * i, reason="x" * 700)).status == 200
            assert [event["seq"] for event in server.lines()] == list(range(1, 301))
            eventually(lambda: re.search(r"lost \d+ events", server.stderr()), "the loss")
            server.stop()
    finally:
        line.close()


def test_sigint():
    with Server() as server:
        assert server.post(body(3)).status == 200
        server.signal(signal.SIGINT)
        assert server.process.wait(30) == 0
        assert len(server.lines()) == 3


# A file system that is made read-only while files are open, and says of syncs that they are done, as ext4 does.
READ_ONLY = """
#define _GNU_SOURCE
#include <sys/statvfs.h>
#include <string.h>
#include <unistd.h>
int fstatvfs(int descriptor, struct statvfs *system) {
    (void)descriptor;
    memset(system, 0, sizeof *system);
    system->f_flag = access("@/read-only", F_OK) == 0 ? ST_RDONLY : 0;
    return 0;
}
int fstatvfs64(int descriptor, struct statvfs64 *system) {
    return fstatvfs(descriptor, (struct statvfs *)system);
}
"""


def test_read_only_by_force():
    server = Server("--ring", "@/ring", "--ring-records", "64")
    server.preload = loading(server.folder, READ_ONLY.replace("@", server.folder))
    with server:
        assert server.post(body()).status == 200
        server.write("read-only", "")
        answer = server.post(body(first=1))
        assert (answer.status, answer.json()["error"]) == (503, "storage_failed")
        assert "Read-only file system" in server.wait_said("cannot be synced")
        os.remove(server.path("read-only"))
        eventually(lambda: server.post(body(first=2)).status == 200, "a file system that can be written to again")

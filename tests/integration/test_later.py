"""What is not there yet when the server starts, and comes."""

import ctypes
import fcntl
import os
import socket
import struct
import tempfile

from harness import Client, Peer, Server, Skipped, body, eventually, free_port, loading, request, run
from test_sinks import SerialLine

NETWORK = 0x40000000  # CLONE_NEWNET


def set_loopback(request_of, more):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, request_of, struct.pack("16s16s8x", b"lo", more))


def own_network():
    """A network in which there is nothing but the loopback."""
    if ctypes.CDLL(None, use_errno=True).unshare(NETWORK) != 0:
        os._exit(77)
    set_loopback(0x8914, struct.pack("H", 1))  # SIOCSIFFLAGS, IFF_UP


def in_network_of(server, work):
    """Runs work() in the server's network, and returns its result."""
    ours = os.open("/proc/self/ns/net", os.O_RDONLY)
    theirs = os.open("/proc/%d/ns/net" % server.process.pid, os.O_RDONLY)
    library = ctypes.CDLL(None, use_errno=True)
    try:
        assert library.setns(theirs, NETWORK) == 0
        return work()
    finally:
        assert library.setns(ours, NETWORK) == 0
        os.close(ours)
        os.close(theirs)


def add_address(address):
    """Gives it to the loopback."""
    if ":" not in address:
        set_loopback(0x8916, struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(address)))  # SIOCSIFADDR
        return
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8916, struct.pack(
            "16sIi", socket.inet_pton(socket.AF_INET6, address), 128, socket.if_nametoindex("lo")))


def test_address_that_is_not_there_yet():
    if os.geteuid() != 0 or run("--version", preload=own_network)[0] == 77:
        raise Skipped("only root has networks of its own")
    for listen, address in (("192.0.2.7:0", "192.0.2.7"), ("[2001:db8::7]:0", "2001:db8::7")):
        with Server(listen=listen, preload=own_network) as server:
            assert "this machine does not have that address yet" in server.stderr()

            def post():
                add_address(address)

                def answer():
                    try:
                        client = Client(server.port, address)
                    except OSError:  # an address of IPv6 may be tried out first
                        return None
                    client.send(request(body()))
                    status = client.answer().status
                    client.close()
                    return status
                return eventually(answer, "an answer from " + address)
            assert in_network_of(server, post) == 200
            assert len(server.lines()) == 1


def wrong_sinks(folder):
    text, pipe, unix = (os.path.join(folder, name) for name in ("text", "pipe", "unix"))
    with open(text, "w", encoding="ascii") as file:
        file.write("precious\n")
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as any_socket:
        any_socket.bind(unix)
    return (("file:/nowhere/at/all", "No such file"), ("file:" + folder, "Is a directory"),
            ("file:" + text + "/x", "Not a directory"), ("file:" + unix, "is a socket"),
            ("serial:" + folder, "is not a serial line"), ("serial:" + text, "is not a serial line"),
            ("serial:" + pipe, "is not a serial line"), ("serial:/dev/null", "is not a serial line"),
            ("syslog:" + text, "is not a socket"), ("syslog:" + folder, "is not a socket"),
            ("syslog:" + pipe, "is not a socket"), ("syslog:/" + "x" * 200, "path is too long"),
            ("stdout:", "standard output is closed"))


def test_sinks_that_are_wrong_in_themselves():
    """One line says so, the status is 2, and nothing has been done to what is there."""
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as folder:
        for uri, what in wrong_sinks(folder):
            before = {name: os.lstat(os.path.join(folder, name)) for name in os.listdir(folder)}
            status, _, said = run("serve", "--listen", "127.0.0.1:0", "--sink", uri,
                                  preload=(lambda: os.close(1)) if uri == "stdout:" else None)
            assert status == 2, (uri, status, said)
            assert said.count("\n") == 1 and uri in said and what.lower() in said.lower(), said
            assert before == {name: os.lstat(os.path.join(folder, name)) for name in os.listdir(folder)}


def test_directory_that_the_user_may_not_write():
    if os.geteuid() != 0:
        raise Skipped("only root can become another user")
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as folder:
        os.chmod(folder, 0o755)
        for option, path in (("--sink", "file:%s/log" % folder), ("--ring", folder + "/ring")):
            status, _, said = run("serve", "--listen", "127.0.0.1:0", "--user", "nobody", option, path)
            assert status == 2 and "Permission denied" in said and folder in said, said
            assert os.listdir(folder) == []


def comes_later(uri, come, arrived, *options, preload=None):
    """A sink of the server's that is not there, and comes."""
    for ring in (["--ring", "@/ring"], ["--sync", "never"], []):
        server = Server("--sink", uri, *ring, *options, sink=False, preload=preload)
        with server:
            server.wait_said("trying again, requests may get 503")
            stored = server.post(body(first=1)).status
            assert stored == (200 if ring else 503), (uri, ring, stored)
            end = come(server)
            try:
                assert eventually(lambda: server.post(body(first=2)).status == 200, "an answer")
                for number in (1, 2) if ring else (2,):
                    eventually(lambda: b"user%d@" % number in arrived(end), "event %d" % number)
                server.wait_said("works again")
            finally:
                end.close()


def test_log_host_that_is_down():
    port = free_port()
    comes_later("syslog+tcp://127.0.0.1:%d" % port,
                lambda server: Peer(socket.SOCK_STREAM, ("127.0.0.1", port)), lambda peer: peer.stream)


def test_syslog_daemon_that_starts_later():
    comes_later("syslog:@/dev-log", lambda server: Peer(socket.SOCK_DGRAM, server.path("dev-log")),
                lambda peer: b"".join(peer.messages))


def test_serial_line_that_is_plugged_in_later():
    comes_later("serial:@/tty-a", lambda server: SerialLine(server.folder), lambda line: line.read())


# Names are not known before there is a file "known"; the first question takes until then.
NAMES = """
#define _GNU_SOURCE
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>
#include <dlfcn.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    static int asked;
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
    while (!asked && access("@/waits", F_OK) == 0) usleep(10000);
    asked = 1;
    return access("@/known", F_OK) != 0 ? EAI_AGAIN : real("127.0.0.1", service, hints, result);
}
"""


def test_names_that_are_known_later():
    """The start does not wait for them, however long the question takes."""
    port = free_port()
    server = Server("--sink", "syslog+tcp://log.example.jp:%d" % port, sink=False)
    server.write("waits", "")
    server.preload = loading(server.folder, NAMES.replace("@", server.folder))
    with server:
        assert server.post(body(first=1)).status == 503
        assert "log.example.jp" not in server.stderr()
        os.unlink(server.path("waits"))
        server.wait_said("host 'log.example.jp': Temporary failure in name resolution; trying again")
        server.write("known", "")
        with Peer(socket.SOCK_STREAM, ("127.0.0.1", port)) as peer:
            eventually(lambda: server.post(body(first=2)).status == 200, "an answer")
            eventually(lambda: b"user2@" in peer.stream, "the event")

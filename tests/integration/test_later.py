"""What is not there yet when the server starts, and comes."""

import ctypes
import fcntl
import os
import socket
import struct

from harness import Client, Server, Skipped, body, eventually, request, run

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

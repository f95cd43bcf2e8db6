"""What a service manager is told through $NOTIFY_SOCKET, and the secrets that it gives."""

import os
import signal
import socket
import tempfile

import harness
from harness import Server, body, eventually
from test_https import Https


class Manager:
    """The socket of a service manager, in a directory or of the kernel's own names."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(harness.PATIENCE)

    def next(self):
        return self.socket.recv(4096).decode()

    def silent(self):
        self.socket.settimeout(0.2)
        try:
            return self.socket.recv(4096) and False
        except socket.timeout:
            return True

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()


def reloaded(server, manager, told):
    """Reloads, and sees what is told of it, and said last."""
    server.signal(signal.SIGHUP)
    assert manager.next() == "RELOADING=1"
    assert manager.next() == "READY=1\nSTATUS=" + told
    assert server.stderr().rstrip().split("\n")[-1].endswith(": " + told), server.stderr()


def environment(name):
    return lambda: os.environ.__setitem__("NOTIFY_SOCKET", name)


def life(name):
    with Manager(name) as manager:
        with Server(preload=environment(name)) as server:
            assert manager.next() == "READY=1"
            assert server.post(body()).status == 200
            server.signal(signal.SIGHUP)
            assert manager.next() == "RELOADING=1"
            assert manager.next() == "READY=1\nSTATUS=files are opened anew"
            server.stop()
            assert manager.next() == "STOPPING=1"
        assert manager.silent()


def test_socket_in_a_directory():
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as folder:
        life(os.path.join(folder, "notify"))


def test_abstract_socket():
    life("@cmcwh-test-%d" % os.getpid())


def test_a_reload_that_fails():
    """The manager and the last line say what could not be read; and when it is right again."""
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as folder:
        name = os.path.join(folder, "notify")
        with Manager(name) as manager:
            server = Https("--auth-file", "@/auth", preload=environment(name))
            server.write("auth", "api_key k\n")
            fault = "could not be read again: %s: what was read before stays in force"
            auth = "--auth-file " + server.path("auth")
            tls = "--tls-cert " + server.path("tls.pem") + " or its key"
            with server:
                assert manager.next() == "READY=1"
                for gone, told in ((["auth"], fault % auth), (["tls.pem"], fault % (auth + ", " + tls)),
                                   ([], fault % (auth + ", " + tls))):
                    for file in gone:
                        os.rename(server.path(file), server.path(file + "-gone"))
                    reloaded(server, manager, told)
                os.rename(server.path("auth-gone"), server.path("auth"))
                reloaded(server, manager, fault % tls)
                os.rename(server.path("tls.pem-gone"), server.path("tls.pem"))
                reloaded(server, manager, "files are opened anew")


def test_nothing_when_the_start_fails():
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as folder:
        name = os.path.join(folder, "notify")
        with Manager(name) as manager:
            server = Server("--ring", "@/none/ring", preload=environment(name))
            try:
                with server:
                    raise RuntimeError("it started")
            except AssertionError as error:
                assert "ended at once" in str(error)
            assert server.process.returncode == 2 and manager.silent()


def auth(name, mode, directory):
    """Does it start with such an auth file, when credentials are in `directory`?"""
    server = Server("--auth-file", "@/" + name, preload=lambda: os.environ.__setitem__(
        "CREDENTIALS_DIRECTORY", directory.replace("@", server.folder)))
    server.write("auth", "api_key k\n", mode)
    try:
        with server:
            return True
    except AssertionError as error:
        assert "others may read it" in str(error), error
        return False


def test_credentials():
    """systemd's credentials have the mode 0400, or 0440 where an ACL lets the user in."""
    assert auth("auth", 0o400, "@") and auth("auth", 0o440, "@")
    assert not auth("auth", 0o444, "@") and not auth("auth", 0o460, "@")
    for directory in ("", "@x", "@/auth", "/"):
        assert not auth("auth", 0o440, directory), directory


def test_a_manager_that_is_not_there():
    """None of these keeps the daemon from its work."""
    for name in ("", "/", "relative", "@" + "x" * 300, "/nowhere/notify", "vsock:2:1"):
        with Server("--log-level", "debug", preload=environment(name)) as server:
            assert server.post(body()).status == 200
            told = "the service manager cannot be told: READY=1"
            if name == "/nowhere/notify":
                eventually(lambda: told in server.stderr(), told)

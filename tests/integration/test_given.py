"""Files that a person names, and what may be in their place: at the start, and at SIGHUP."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile

import harness
from harness import Server, Skipped, body, eventually, free_port, run
from test_https import Https, certificate

AUTH = ["Authorization: Bearer right"]


class Folder:
    """What can be where a file is expected, under names of its own."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="cmcwh-test-")
        self.sockets = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for each in self.sockets:
            each.close()
        shutil.rmtree(self.path)

    def text(self, path, content):
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o600)

    def socket(self, path):
        self.sockets.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        self.sockets[-1].bind(path)

    def kinds(self):
        """Each as its name, what puts it at a path, and what is said of it."""
        return (
            ("missing", lambda path: None, "No such file"),
            ("directory", os.mkdir, "Is a directory"),
            ("pipe", os.mkfifo, "Is a pipe"),
            ("socket", self.socket, "Is a socket"),
            ("device", lambda path: os.symlink("/dev/zero", path), "Is a device"),
            ("dangling", lambda path: os.symlink("/nowhere/at/all", path), "a link to /nowhere/at/all: No such"),
            ("circle", lambda path: os.symlink(path, path), "symbolic links"),
            ("zero", lambda path: self.text(path, b"# text\n\0bearer x"), ":2: a zero byte"),
            ("wide", lambda path: self.text(path, "bearer x\n".encode("utf-16")), ":1: a zero byte"),
            ("old", lambda path: self.text(path, b"# text\rbearer x\r"), ":1: a carriage return"),
            ("large", lambda path: self.text(path, b"# text\n" * 20000), "longer than 128 KiB"),
            ("empty", lambda path: self.text(path, b""), None),  # each option has its own word for it
        )


def remove(path):
    if os.path.islink(path) or not os.path.isdir(path):
        if os.path.lexists(path):
            os.unlink(path)
    else:
        os.rmdir(path)


def test_wrong_kinds_at_the_start():
    """Each ends it with 2 and one line that names the file. An empty --config is one without options."""
    with Folder() as folder:
        cert, key = certificate(folder.path, "good")
        path = os.path.join(folder.path, "file")
        options = {"--config": [], "--auth-file": [], "--tls-cert": ["--tls-key", key],
                   "--tls-key": ["--tls-cert", cert]}
        for option, more in options.items():
            for kind, put, what in folder.kinds():
                if option == "--config" and kind == "empty":
                    continue
                put(path)
                status, output, said = run("serve", "--listen", "127.0.0.1:0", option, path, *more)
                if option.startswith("--tls") and "this build has no TLS" in said:
                    break
                assert (status, output) == (2, b""), (option, kind, status, said)
                assert said.startswith("cmcwh: %s: %s" % (option, path)) and said.count("\n") == 1, said
                assert what is None or what in said, (option, kind, said)
                remove(path)


def failing(folder, *faults):
    """For preload=: calls of the system go wrong, see tests/stubs/faults.c."""
    library = os.environ.get("CMCWH_FAULTS", "")
    if not library or os.environ.get("SANITIZE"):
        raise Skipped("nothing can be loaded before the C library here")
    counts = os.path.join(folder.path, "faults")
    folder.text(counts, bytes(4 * 25))
    return lambda: os.environ.update(LD_PRELOAD=os.path.abspath(library), FAULTS=" ".join(faults), FAULTS_FILE=counts)


def test_a_reading_that_fails():
    """What passes by itself ends the start with 1, so that a service manager tries again; what was only
    interrupted is not even said. --check-config knows right and wrong only."""
    with Folder() as folder:
        cert, key = certificate(folder.path, "good")
        auth, conf, wrong = (os.path.join(folder.path, name) for name in ("auth", "conf", "wrong"))
        folder.text(auth, b"bearer x\n")
        folder.text(conf, b"sync = never\n")
        folder.text(wrong, b"nonsense\n")
        files = {"--config": conf, "--auth-file": auth}
        if "this build has no TLS" not in run("serve", "--check-config", "--tls-cert", cert)[2]:
            files.update({"--tls-cert": cert, "--tls-key": key})
        given = ["--listen", "127.0.0.1:0"] + [word for pair in files.items() for word in pair]
        for option, path in files.items():
            for call, error, what in (("open", "EIO", "Input/output"), ("open", "EMFILE", "Too many open files"),
                                      ("open", "ENFILE", "Too many open files"), ("open", "ENOMEM", "Cannot allocate memory"),
                                      ("read", "EIO", "Input/output")):
                fault = "%s:%s:1:%s" % (call, path, error)
                for more, expected in (([], 1), (["--check-config"], 2)):
                    status, output, said = run("serve", *given, *more, preload=failing(folder, fault))
                    assert (status, output) == (expected, b""), (fault, more, status, said)
                    assert said.startswith("cmcwh: %s: %s: %s" % (option, path, what)), said
                    assert said.count("\n") == 1, said
            faults = ["%s:%s:1:EINTR" % (call, path) for call in ("open", "read")]
            status, _, said = run("serve", "--check-config", *given, preload=failing(folder, *faults))
            assert (status, said) == (0, ""), (faults, said)
        # What waiting does not mend counts for more.
        status, _, said = run("serve", "--check-config", "--config", conf, "--config", wrong,
                              preload=failing(folder, "open:%s:1:EIO" % conf))
        assert status == 2 and said.count("\n") == 2, said


def refused_reload(server, put, path, option):
    """What was read before stays in force, and everything else goes on."""
    said, counted = (server.stderr().count(text) for text in ("stays in force", "cmcwh: ring in_use"))
    os.rename(path, path + ".good")
    put(path)
    server.signal(signal.SIGHUP)
    server.wait_said("stays in force", said + 1)
    assert "cmcwh: %s: %s" % (option, path) in server.stderr(), server.stderr()
    server.signal(signal.SIGUSR1)
    eventually(lambda: server.stderr().count("cmcwh: ring in_use") > counted, "counters")
    remove(path)
    os.rename(path + ".good", path)


def test_wrong_kinds_at_sighup():
    server = Server("--auth-file", "@/auth", "--config", "@/conf")
    auth, conf = server.write("auth", "bearer right\n"), server.write("conf", "path = /mails\n")
    with Folder() as folder, server:
        for kind, put, what in folder.kinds():
            refused_reload(server, put, auth, "--auth-file")
            assert what is None or what in server.stderr(), (kind, server.stderr())
            assert server.post(body(), headers=AUTH).status == 200, kind
            assert server.post(body()).status == 401, kind
        os.unlink(conf)  # is not read again
        os.mkfifo(conf)
        server.signal(signal.SIGHUP)
        server.wait_said("files are opened anew")


def test_wrong_certificates_at_sighup():
    server = Https()
    with Folder() as folder, server:
        for name, option in (("tls.pem", "--tls-cert"), ("tls.key", "--tls-key")):
            for kind, put, what in folder.kinds():
                refused_reload(server, put, server.path(name), option)
                assert what is None or what in server.stderr(), (kind, server.stderr())
                assert server.post(body()).status == 200, kind


def shown_chain(port):
    """What a client gets of the certificates."""
    return subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-showcerts"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=30, check=False).stdout


def test_chain_of_certificates():
    """All that the file has are sent; a file whose last one is cut off is refused."""
    server = Https()
    with open(server.path("tls.pem"), "rb") as file:
        first = file.read()
    with open(certificate(server.folder, "other", subject="issuer")[0], "rb") as file:
        second = file.read()
    with open(server.path("tls.pem"), "wb") as file:
        file.write(b"some words before\r\n" + first + b"and between\n" + second.replace(b"\n", b"\r\n"))
    with server:
        assert b"issuer" in shown_chain(server.port)
        with open(server.path("tls.pem"), "wb") as file:
            file.write(first + second[:-40])
        server.signal(signal.SIGHUP)
        server.wait_said("stays in force")
        assert b"issuer" in shown_chain(server.port)


def state_of(path):
    """All that must be as it was."""
    status = os.lstat(path)
    content = open(path, "rb").read() if stat.S_ISREG(status.st_mode) else os.path.islink(path) and os.readlink(path)
    return status.st_ino, status.st_mode, status.st_rdev, status.st_nlink, status.st_mtime_ns, content


def foreign(folder):
    """What somebody else may have put where the daemon makes a file of its own."""
    victim = os.path.join(folder.path, "victim")
    folder.text(victim, b"precious\n")
    number, empty, zeros = (os.path.join(folder.path, name) for name in ("number", "empty", "zeros"))
    folder.text(number, b"12345\n")
    folder.text(empty, b"")
    folder.text(zeros, b"\0" * 8192)
    yield from (entry for entry in folder.kinds() if entry[0] in ("directory", "pipe", "socket", "device", "dangling"))
    yield "text", lambda path: folder.text(path, b"precious\n"), None
    yield "number and more", lambda path: folder.text(path, b"12345\nprecious\n"), None
    yield "hard link to text", lambda path: os.link(victim, path), None
    yield "hard link to a number", lambda path: os.link(number, path), None
    yield "hard link to nothing", lambda path: os.link(empty, path), None
    yield "hard link to zeros", lambda path: os.link(zeros, path), None
    yield "link to text", lambda path: os.symlink(victim, path), None
    yield "link to a number", lambda path: os.symlink(number, path), None
    if os.geteuid() == 0:
        try:
            os.mknod(os.path.join(folder.path, "can"), 0o600 | stat.S_IFCHR, os.makedev(1, 3))
            os.unlink(os.path.join(folder.path, "can"))
            yield "node", lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3)), None
        except PermissionError:
            pass
        yield "another user's number", lambda path: (folder.text(path, b"12345\n"), os.chown(path, 65534, 65534)), None
        yield "another user's zeros", lambda path: (folder.text(path, bytes(8192)), os.chown(path, 65534, 65534)), None


def test_nothing_that_is_not_ours_is_touched():
    """Behind --pid-file, and where a new ring is made."""
    with Folder() as folder:
        ring = os.path.join(folder.path, "ring")
        for options, path in ((["--pid-file", os.path.join(folder.path, "pid")], os.path.join(folder.path, "pid")),
                              (["--ring", ring], ring + ".new")):
            for kind, put, _ in foreign(folder):
                put(path)
                before = state_of(path)
                status, output, said = run("serve", "--listen", "127.0.0.1:0", *options)
                assert (status, output) == (2, b""), (options, kind, status, said)
                assert path in said and said.count("\n") == 1, (kind, said)
                assert_checked(["--listen", "127.0.0.1:0", *options], 2, path)
                assert state_of(path) == before, (options, kind)
                assert not os.path.lexists(ring), kind
                remove(path)


def test_wrong_kinds_of_ring():
    with Folder() as folder:
        path = os.path.join(folder.path, "ring")
        for kind, put, what in folder.kinds():
            if kind in ("missing", "empty"):
                continue
            put(path)
            before = state_of(path)
            status, output, said = run("serve", "--listen", "127.0.0.1:0", "--ring", path)
            assert (status, output) == (2, b""), (kind, status, said)
            assert path in said and said.count("\n") == 1, said
            if kind in ("directory", "pipe", "socket", "device", "circle"):
                assert what in said, said
            assert_checked(["--listen", "127.0.0.1:0", "--ring", path], 2, path)
            assert state_of(path) == before, kind
            assert os.listdir(folder.path) == ["ring"], os.listdir(folder.path)
            remove(path)


def test_standard_descriptors_that_are_closed():
    """No file of ours takes the place of standard error: messages would be written into it."""
    for closed in ((2,), (0, 1, 2), (0,), (1, 2)):
        def close(closed=closed):
            for number in closed:
                os.close(number)
        port = free_port()
        server = Server("--ring", "@/ring", "--pid-file", "@/pid", listen="127.0.0.1:%d" % port)
        with Folder() as folder:
            process = subprocess.Popen(
                [harness.CMCWH, "serve", "--listen", "127.0.0.1:%d" % port, "--pid-file", folder.path + "/pid",
                 "--ring", folder.path + "/ring", "--sink", "file:" + folder.path + "/log"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=close)
            server.port = port

            def status(data):
                try:
                    return server.post(data).status
                except OSError:
                    return None
            try:
                eventually(lambda: status(b"{bad") == 400, "the server")
                assert status(body()) == 200
                with open(folder.path + "/pid", encoding="ascii") as file:
                    assert file.read() == "%d\n" % process.pid
                code, output, said = run("cat", folder.path + "/ring")
                assert (code, output.count(b"\n"), said) == (0, 1, "")
                eventually(lambda: server.count(folder.path + "/log") == 1, "the event")
                assert len(server.lines(folder.path + "/log")) == 1
                process.send_signal(signal.SIGTERM)
                assert process.wait(harness.PATIENCE) == 0
            finally:
                process.kill()
                process.wait()
                shutil.rmtree(server.folder)


def test_what_we_have_left_is_taken_over():
    """A pid file of a process that was killed, and a ring that was being made when the power went."""
    with Server("--pid-file", "@/pid", "--ring", "@/ring") as server:
        for left in (b"", bytes(100000), b"CMCWRING" + bytes(5000)):
            server.kill()
            assert os.path.exists(server.path("pid"))
            os.unlink(server.path("ring"))
            with open(os.open(server.path("ring.new"), os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
                file.write(left)
            server.restart()
            with open(server.path("pid"), encoding="ascii") as file:
                assert int(file.read()) == server.process.pid
            assert not os.path.exists(server.path("ring.new"))
            assert server.post(body()).status == 200
        os.unlink(server.path("pid"))  # and somebody else makes one of that name
        server.write("pid", "12345\n")
        server.stop()
        assert os.path.exists(server.path("pid"))


def test_a_ring_whose_making_was_killed():
    """The real thing: in the middle of it. The next start takes it away, whatever mode a ring has in the end."""
    with Folder() as folder:
        ring = os.path.join(folder.path, "ring")
        with subprocess.Popen([harness.CMCWH, "serve", "--listen", "127.0.0.1:0", "--ring", ring],
                              stderr=subprocess.DEVNULL, preexec_fn=failing(folder, "pwrite:/ring.new:3:hang")) as made:
            try:
                eventually(lambda: os.path.exists(ring + ".new") and os.stat(ring + ".new").st_size > 100000, "a part")
            finally:
                made.kill()
        assert_checked(["--listen", "127.0.0.1:0", "--ring", ring], 0)
        with Server("--ring", ring) as server:
            assert server.post(body()).status == 200
            assert os.stat(ring).st_mode & 0o777 == 0o640
        assert not os.path.exists(ring + ".new")


def everything(folder):
    """The files below a folder, and what is in them."""
    return {os.path.join(at, name): state_of(os.path.join(at, name))
            for at, folders, files in os.walk(folder) for name in folders + files}


def assert_checked(options, status, *parts):
    """Each part in a line of its own, and nothing else; nothing has been changed or made."""
    code, output, said = run("serve", "--check-config", *options)
    assert code == status, (options, code, said)
    assert (output != b"") == (status == 0) and len(parts) == said.count("\n"), (parts, said)
    for part in parts:
        assert sum(part in line for line in said.split("\n")) == 1, (part, said)


def test_check_config_says_all_that_is_wrong():
    with Folder() as folder:
        def path(name):
            return os.path.join(folder.path, name)
        folder.text(path("auth"), b"bearer x\n")
        folder.text(path("text"), b"precious\n")
        folder.text(path("line"), b"precious\n")
        folder.text(path("conf"), b"workers = 0\nnonsense = 1\nsync = never\n")
        right = ["--listen", "127.0.0.1:0", "--auth-file", path("auth"), "--pid-file", path("pid"), "--ring",
                 path("ring"), "--sink", "file:" + path("log"), "--sink", "syslog+tcp://127.0.0.1:1"]
        before = everything(folder.path)
        assert_checked(right, 0)
        assert_checked(["--listen", "192.0.2.7:80", "--auth-file", path("text"), "--pid-file", path("text"),
                        "--ring", path("text"), "--sink", "file:" + path("no/log"), "--sink",
                        "syslog:" + path("no"), "--sink", "serial:" + path("line"), "--sink",
                        "syslog+udp://no-such-host.invalid:514"], 2,
                       "--listen: cannot listen on 192.0.2.7:80", "--auth-file: %s:1:" % path("text"),
                       "--pid-file: " + path("text"), "ring '" + path("text"), path("no/log"),
                       "syslog:" + path("no"), "is not a serial line", "no-such-host.invalid")
        assert_checked(["--sink", "stdout:", "--sink", "stdout:?format=logfmt"], 2, "the same place")
        assert_checked(["--user", "no-such-user"], 2, "no-such-user")
        assert_checked(["--nonsense", "5", "--store-timeout", "0", "--config", path("conf"), "--keep-alive"], 2,
                       "'--nonsense'", "--store-timeout: '0'", "conf:1: workers", "conf:2: there is no option",
                       "--keep-alive: a value must follow")
        if "this build has no TLS" not in run("serve", "--check-config", "--tls-cert", path("auth"))[2]:
            assert_checked(["--workers", "0", "--tls-cert", path("auth")], 2, "--workers: '0'", "--tls-key must be given")
            assert_checked(["--listen", "127.0.0.1:0s", "--listen", "[::1]:0s", "--keep-alive", "x"], 2, "127.0.0.1:0s': HTTPS",
                           "[::1]:0s': HTTPS", "--keep-alive")
            assert_checked(["--listen", "127.0.0.1:0s", "--tls-key", path("auth"), "--config", path("no")], 2, "No such file")
        assert_checked(["--sink", "tape:", "--sink", "file:" + path("no/log"), "--sink", "syslog:?max=1"], 2,
                       "'tape:'", path("no/log"), "max=1")
        for name in ("pid", "ring"):
            assert_checked(["--%s%s" % (name, "-file" if name == "pid" else ""), path("no/" + name)], 2, "No such file")
        assert everything(folder.path) == before


def test_check_config_beside_the_one_that_serves():
    server = Server("--pid-file", "@/pid", "--ring", "@/ring", "--config", "@/conf")
    server.write("conf", "workers = 2\n")
    with server:
        assert server.post(body()).status == 200
        before = {name: each[:-2] for name, each in everything(server.folder).items()}
        assert_checked(["--listen", "127.0.0.1:%d" % server.port] + server.options, 0)
        assert {name: each[:-2] for name, each in everything(server.folder).items()} == before
        assert server.post(body()).status == 200


def test_check_config_as_the_user():
    if os.geteuid() != 0:
        return
    with Folder() as folder:
        folder.text(os.path.join(folder.path, "auth"), b"bearer x\n")
        os.mkdir(os.path.join(folder.path, "private"), 0o700)
        os.chmod(folder.path, 0o755)
        assert_checked(["--user", "nobody", "--auth-file", os.path.join(folder.path, "auth"), "--ring",
                        os.path.join(folder.path, "ring"), "--sink", "file:" + os.path.join(folder.path, "private/log")],
                       2, "SIGHUP will not read it again", "ring '", "private/log': cannot be written")


def test_relative_names_and_another_user():
    """A directory that the user may not enter is named, whatever is looked for there."""
    if os.geteuid() != 0:
        raise Skipped("only root can become another user")
    with Folder() as folder:
        folder.text(os.path.join(folder.path, "auth"), b"bearer x\n")
        for options, status in ((["--sink", "file:log"], 2), (["--ring", "ring"], 2),
                                (["--auth-file", "auth", "--check-config"], 0)):
            done = subprocess.run([os.path.abspath(harness.CMCWH), "serve", "--listen", "127.0.0.1:0", "--user",
                                   "nobody", *options], cwd=folder.path, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=harness.PATIENCE, check=False)
            said = done.stderr.decode()
            assert done.returncode == status and said.count("\n") == (2 if status else 1), said
            assert "'nobody' may not enter %s," % folder.path in said, said
            assert os.listdir(folder.path) == ["auth"]

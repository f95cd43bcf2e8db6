"""What may stand at a path or behind a descriptor, how it goes wrong there, and what came out of it."""

import errno
import fcntl
import json
import os
import pty
import re
import select
import socket
import subprocess
import threading
import tty

from harness import Skipped, free_port

SMALL = 65536  # bytes of the disk that is full


class Reader:
    """Takes what comes out of a descriptor, but for the time that it is deaf. The descriptor is its own."""

    def __init__(self, descriptor, datagrams=False):
        self.descriptor, self.datagrams, self.deaf = descriptor, datagrams, False
        self.taken = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.read)
        os.set_blocking(descriptor, False)
        self.thread.start()

    def once(self):
        """A FIFO without a writer is at its end, a terminal that nobody has open fails, a socket may have
        no connection yet: somebody may come."""
        if not select.select([self.descriptor], [], [], 0.05)[0]:
            return
        try:
            data = os.read(self.descriptor, 65536)
        except OSError as error:
            assert error.errno in (errno.EIO, errno.EAGAIN, errno.ECONNRESET), error
            data = b""
        if data:
            self.taken.append(data)
        else:
            self.ending.wait(0.02)

    def read(self):
        while not self.ending.is_set():
            if self.deaf:
                self.ending.wait(0.02)
            else:
                self.once()

    def stream(self):
        return (b"\n" if self.datagrams else b"").join(self.taken) + (b"\n" if self.datagrams else b"")

    def close(self):
        if not self.ending.is_set():
            self.ending.set()
            self.thread.join()
            os.close(self.descriptor)


mounted = set()  # folders on which this process has mounted something


def mount(*arguments):
    if os.geteuid() != 0:
        raise Skipped("mounting needs root")
    result = subprocess.run(["mount"] + list(arguments), stderr=subprocess.PIPE, check=False)
    if result.returncode != 0:
        raise Skipped("nothing can be mounted here: " + result.stderr.decode().strip())
    mounted.add(arguments[-1])


def unmount(folder):
    """All that was mounted there."""
    if folder in mounted:
        while subprocess.run(["umount", "-l", folder], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            pass
        mounted.remove(folder)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, bytes_of):
    with open(path, "wb") as file:
        file.write(bytes_of)
    os.chmod(path, 0o600)


def recipients(streams):
    """Of all events in these, with those in lines that are not whole left out."""
    found = []
    for line in b"\n".join(streams).split(b"\n"):
        try:
            if line.startswith(b"{"):
                json.loads(line)
            found += re.findall(rb'\bto"?[:=]"?(user\d+@example\.jp)', line)
        except ValueError:
            pass
    return found


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)


class Thing:
    """One kind of thing. `in_use`: it can go wrong while the daemon has it open; others can only be put
    in the place of what it has open. `hangs`: writing to it does not fail, and does not end."""

    in_use = hangs = False

    def __init__(self):
        self.readers, self.kept, self.path, self.content = [], {}, None, b""

    def stand(self, path, content=b""):
        """At this path, sound if it can be."""
        self.path, self.content = path, content
        self.make()

    def make(self):
        raise NotImplementedError

    def replace(self, path, content=b""):
        """In the place of what is there, which moves away."""
        if os.path.lexists(path):
            self.keep(path)
            os.rename(path, path + ".old")
        self.stand(path, content)

    def descriptor(self):
        """One to write to it, for who cannot be given a path. The caller closes it."""
        raise NotImplementedError

    def fail(self):
        """Goes wrong."""

    def mend(self):
        """Is right again. False: something else must take its place."""
        return False

    def read(self, descriptor, datagrams=False):
        self.readers.append(Reader(descriptor, datagrams))
        return self.readers[-1]

    def keep(self, path):
        """What is in this file now and will be counts, wherever it moves."""
        if os.path.isfile(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            inode = os.fstat(descriptor).st_ino
            if self.kept.setdefault(inode, descriptor) != descriptor:
                os.close(descriptor)

    def files(self):
        return [os.pread(descriptor, os.fstat(descriptor).st_size, 0) for descriptor in self.kept.values()]

    def streams(self):
        """All that came out of it: for each file or reader its bytes."""
        if self.path is not None:
            self.keep(self.path)
        return self.files() + [reader.stream() for reader in self.readers]

    def close(self):
        for reader in self.readers:
            reader.close()
        for descriptor in self.kept.values():
            os.close(descriptor)
        self.kept = {}


class Regular(Thing):
    def make(self):
        write(self.path, self.content)

    def descriptor(self):
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


class Deleted(Regular):
    """Whose last name is deleted."""
    in_use = True

    def fail(self):
        os.unlink(self.path)

    def make(self):
        super().make()
        self.keep(self.path)


class Full(Thing):
    def make(self):
        os.symlink("/dev/full", self.path)

    def descriptor(self):
        return os.open(self.path, os.O_WRONLY)


class Directory(Thing):
    def make(self):
        os.mkdir(self.path)

    def descriptor(self):
        return os.open(self.path, os.O_RDONLY)


class Nothing(Thing):
    """What was there is deleted."""

    def make(self):
        pass

    def replace(self, path, content=b""):
        self.path = path

    def fail(self):
        self.keep(self.path)
        remove(self.path)


class NoDirectory(Nothing):
    """Nor is there the directory in which it was."""

    def fail(self):
        folder = os.path.dirname(self.path)
        for name in os.listdir(folder):
            self.keep(os.path.join(folder, name))
            remove(os.path.join(folder, name))
        os.rmdir(folder)

    def mend(self):
        os.mkdir(os.path.dirname(self.path))
        return False


class Fifo(Thing):
    """That is read."""
    in_use = True

    def make(self):
        os.mkfifo(self.path, 0o600)
        self.open()

    def open(self):
        reader = self.read(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
        fcntl.fcntl(reader.descriptor, fcntl.F_SETPIPE_SZ, 4096)

    def descriptor(self):
        return os.open(self.path, os.O_WRONLY)


class FifoAlone(Fifo):
    """That nobody has open."""

    def fail(self):
        self.readers[-1].close()

    def mend(self):
        self.open()
        return True


class Deaf:
    """Whoever should read it does not."""
    in_use = hangs = True

    def fail(self):
        self.readers[-1].deaf = True

    def mend(self):
        self.readers[-1].deaf = False
        return True


class FifoDeaf(Deaf, Fifo):
    pass


class Pipe(Thing):
    def make(self):
        """It has no path but that of a descriptor."""

    def descriptor(self):
        ours, theirs = os.pipe()
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
        self.read(ours)
        return theirs


class PipeAlone(Pipe):
    in_use = True

    def fail(self):
        self.readers[-1].close()


class PipeDeaf(Deaf, Pipe):
    pass


class Socket(Thing):
    """A local one, that takes datagrams; as a descriptor, a stream."""

    kind = socket.SOCK_DGRAM

    def make(self):
        bound = socket.socket(socket.AF_UNIX, self.kind)
        bound.bind(self.path)
        self.read(bound.detach(), datagrams=True)

    def descriptor(self):
        ours, theirs = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        self.read(ours.detach())
        return theirs.detach()


class SocketAlone(Socket):
    """Its name is there, and nobody behind it."""
    in_use = True

    def fail(self):
        self.readers[-1].close()

    def mend(self):
        remove(self.path)
        self.make()
        return True


class SocketDeaf(Deaf, Socket):
    pass


class Terminal(Thing):
    def make(self):
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        if os.path.lexists(self.path):
            os.unlink(self.path)
        os.symlink(os.ttyname(theirs), self.path)
        os.close(theirs)
        self.read(ours)

    def descriptor(self):
        return os.open(self.path, os.O_RDWR | os.O_NOCTTY)


class TerminalGone(Terminal):
    """Hung up: its other end is closed. Its number may soon be that of somebody else's."""
    in_use = True

    def fail(self):
        remove(self.path)
        os.symlink("/dev/pts/none", self.path)
        self.readers[-1].close()

    def mend(self):
        self.make()
        return True


class TerminalDeaf(Deaf, Terminal):
    pass


class Peer(Thing):
    """A syslog daemon at an address of the network."""
    in_use = True
    kind = socket.SOCK_DGRAM

    def __init__(self):
        super().__init__()
        self.number = free_port(self.kind)

    def make(self):
        self.open()

    def bind(self):
        bound = socket.socket(socket.AF_INET, self.kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", self.number))
        return bound


class UdpPeer(Peer):
    def open(self):
        self.read(self.bind().detach(), datagrams=True)


class UdpClosed(UdpPeer):
    """Nobody is at its port."""

    def fail(self):
        self.readers[-1].close()

    def mend(self):
        self.open()
        return True


class TcpPeer(Peer):
    """Takes connections in a thread of its own; answers each with `says`, as long as it can."""
    kind = socket.SOCK_STREAM
    says = b""
    ending = None

    def open(self):
        self.ending = threading.Event()
        self.listener = self.bind()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.settimeout(0.05)
        self.listener.listen()
        self.deaf = False
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self):
        while not self.ending.is_set():
            try:
                connection = self.listener.accept()[0]
            except socket.timeout:
                continue
            if self.says:
                threading.Thread(target=self.talk, args=(connection.dup(),)).start()
            self.read(connection.detach()).deaf = self.deaf

    def talk(self, connection):
        with connection:
            connection.setblocking(False)
            while not self.ending.is_set():
                select.select([], [connection], [], 0.05)
                try:
                    connection.send(self.says)
                except BlockingIOError:
                    pass
                except OSError:
                    return

    def hang_up(self):
        self.ending.set()
        self.thread.join()
        self.listener.close()
        for reader in self.readers:
            reader.close()

    def close(self):
        if self.ending is not None and not self.ending.is_set():
            self.hang_up()
        super().close()


class TcpTalks(TcpPeer):
    """And never stops to."""
    says = b"x" * 4096


class TcpClosed(TcpPeer):
    def fail(self):
        self.hang_up()

    def mend(self):
        self.open()
        return True


class TcpDeaf(TcpPeer):
    hangs = True

    def hear(self, deaf):
        self.deaf = deaf
        for reader in self.readers:
            reader.deaf = deaf

    def fail(self):
        self.hear(True)

    def mend(self):
        self.hear(False)
        return True


class ReadOnly(Regular):
    """On a disk that may not be written to, which binds root too. As a descriptor: for reading only."""

    def make(self):
        super().make()
        folder = os.path.dirname(self.path)
        mount("--bind", folder, folder)
        mount("-o", "remount,ro,bind", folder)

    def descriptor(self):
        return os.open(self.path, os.O_RDONLY)

    def mend(self):
        unmount(os.path.dirname(self.path))
        return False


class FullDisk(Regular):
    """A small disk, on which there is no such file yet."""
    in_use = True

    def make(self):
        mount("-t", "tmpfs", "-o", "size=%d" % SMALL, "none", os.path.dirname(self.path))

    def replace(self, path, content=b""):
        self.keep(path)
        self.stand(path, content)

    def filler(self):
        return os.path.join(os.path.dirname(self.path), "filler")

    def fail(self):
        with open(self.filler(), "ab", 0) as file:
            try:
                while file.write(b"x" * 4096) > 0:
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC, error

    def mend(self):
        os.unlink(self.filler())
        return True


class Closed(Thing):
    """No descriptor at all."""

    def make(self):
        pass

    def descriptor(self):
        return None


class Empty(Regular):
    def make(self):
        self.content = b""
        super().make()


class CrLines(Regular):
    """As some editors write them; for a reader of lines that end in LF all is one comment."""

    def make(self):
        self.content = b"# one\r" + self.content.replace(b"\n", b"\r")
        super().make()


class NulLine(Regular):
    """Where text ends at the first NUL, the last line is not there."""

    def make(self):
        self.content += b"\0" + self.content
        super().make()

"""Syslog as others read it: readers that take few bytes, and real daemons. Whatever they take is an
event in good order, of which a part may lack."""

import json
import os
import shutil
import socket
import subprocess

from harness import PATIENCE, Peer, Server, Skipped, eventually, free_port
from test_forging import read_logfmt
from test_sinks import EVIL, octet_counted

# The daemons are where users do not look for programs.
PATHS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/lib/systemd"])


def event(**texts):
    return dict({"reason": "", "returnPath": "info@return.pro.smtps.jp", "created": "2023-01-25 14:03:06",
                 "subject": "\u65e5\u672c\u8a9e\u306e\u984c\u540d", "messageId": "<031a32d4-06cd-b1ae@example.com>",
                 "from": "info@example.com", "to": "user@example.jp", "status": "2"}, **texts)


EVENTS = [
    event(reason="550 5.1.1 The email account that you tried to reach does not exist. " * 12),
    event(reason="\u5b58\u5728\u3057\u306a\u3044" * 60, subject="\U0001f600" * 60, to="\u00e9" * 200 + "@example.jp"),
    event(status="7", reason='"= ' * 200, to="t" * 240 + "@example.jp", subject="s" * 200),
    event(status="99", **{name: 20 * EVIL for name in ("reason", "subject", "to", "from", "messageId")}),
    event(reason="unknown", to="w@example.jp")]
SENT = json.dumps({"event_type": "bounces", "server_composition": "pro", "event": {"bounces": EVENTS}}).encode()


def assert_says(text, line):
    """Is this text the event of this JSON line, or as much of it as it says?"""
    read = read_logfmt(text)
    assert list(read)[:5] == ["event_type", "status", "bounce", "to", "reason"], text
    cut = read.pop("cut", "").split(",")
    for name, value in read.items():
        whole = ",".join(line[name]) if name == "truncated" else str(line[name])
        assert value == whole or (name in cut and whole.startswith(value) and value), (name, text)
    if "created" not in read:
        assert cut != [""], text


def assert_all(texts, lines):
    """In any order, each once: their recipients begin with different letters."""
    ordered = sorted(texts, key=lambda text: read_logfmt(text)["to"])
    assert len(ordered) == len(lines), texts
    for text, line in zip(ordered, sorted(lines, key=lambda line: line["to"])):
        assert_says(text, line)


def behind(message):
    """The text of a message of RFC 3164 or 5424."""
    message = message.decode()
    return message.split(": ", 1)[1] if "]: " in message[:40] else message.split(" ", 7)[7]


def test_readers_of_few_bytes():
    """Who reads 255 bytes of a datagram throws the rest away."""
    for limit, uri in ((255, "@/socket?max=255"), (240, "@/socket?max=240"), (1024, "@/socket")):
        server = Server("--sink", "syslog:" + uri)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
            reader.bind(server.path("socket"))
            reader.settimeout(PATIENCE)
            with server:
                assert server.post(SENT).status == 200
                messages = [reader.recv(limit + 1) for _ in EVENTS]
                lines = server.lines()
        assert all(len(message) <= limit for message in messages), messages
        assert_all([behind(message) for message in messages], lines)


def test_limits_over_the_network():
    with Peer(socket.SOCK_DGRAM) as udp, Peer(socket.SOCK_DGRAM) as few, Peer(socket.SOCK_STREAM) as tcp, \
            Peer(socket.SOCK_STREAM) as short:
        with Server("--sink", "syslog+udp://127.0.0.1:%d?policy=required" % udp.address[1],
                    "--sink", "syslog+udp://localhost:%d?max=480&policy=required" % few.address[1],
                    "--sink", "syslog+tcp://127.0.0.1:%d" % tcp.address[1],
                    "--sink", "syslog+tcp://127.0.0.1:%d?max=300" % short.address[1]) as server:
            assert server.post(SENT).status == 200
            eventually(lambda: len(udp.messages) == len(few.messages) == len(EVENTS), "datagrams")
            eventually(lambda: len(octet_counted(tcp.stream)) == len(octet_counted(short.stream)) == len(EVENTS),
                       "messages over TCP")
            lines = server.lines()
        outputs = ((udp.messages, 1180), (few.messages, 480), (octet_counted(tcp.stream), 8192),
                   (octet_counted(short.stream), 300))
    for messages, limit in outputs:
        assert all(len(message) <= limit for message in messages), messages
        assert_all([behind(message) for message in messages], lines)
    assert not any(b" cut=" in message for message in outputs[2][0])


def apart(script, *arguments):
    """A shell script with mounts of its own."""
    return ["unshare", "-m"] + ([] if os.geteuid() == 0 else ["-Ur"]) + ["sh", "-c", script, "sh", *arguments]


class Daemon:
    """A program in the foreground. `mounts` puts folders in the place of others, which only it sees."""

    def __init__(self, command, ready, mounts=()):
        program = shutil.which(command[0], path=PATHS)
        if program is None:
            raise Skipped(command[0] + " is not installed")
        script = "".join("mount --bind '%s' '%s' && " % mount for mount in mounts) + 'exec "$@"'
        self.process = subprocess.Popen(apart(script, program, *command[1:]) if mounts else [program, *command[1:]],
                                        stdin=subprocess.DEVNULL)
        self.ready = ready

    def __enter__(self):
        def started():
            assert self.process.poll() is None, "it ended with %d" % self.process.returncode
            return self.ready()
        try:
            eventually(started, "a daemon that listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait(PATIENCE)


def may_mount():
    if subprocess.run(apart("mount --bind /tmp /mnt"), stderr=subprocess.DEVNULL).returncode != 0:
        raise Skipped("this user has no mounts of its own")


def written(path):
    """The lines that are whole."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().split("\n")[:-1]
    except FileNotFoundError:
        return []


def texts(path):
    """What a daemon has written of ours, without what it puts before it."""
    return [line[line.index("event_type="):] for line in written(path) if "event_type=" in line]


def send(server, count, found):
    """Posts, and waits until the daemon has written all of it."""
    assert server.post(SENT).status == 200
    eventually(lambda: len(found()) >= count, "%d events" % count)
    assert len(found()) == count, found()
    return server.lines()


def test_real_busybox():
    """BusyBox's syslogd reads 255 bytes; its logger says when it listens."""
    may_mount()
    server = Server("--sink", "syslog:@/dev/log?max=255")
    out, device = server.path("out"), server.path("dev")
    os.mkdir(device)

    def probe():
        logger = apart("mount --bind '%s' /dev && busybox logger -p mail.err probe" % device)
        return os.path.exists(device + "/log") and subprocess.run(logger).returncode == 0 and \
            any("mail.err" in line and "probe" in line for line in written(out))
    with Daemon(["busybox", "syslogd", "-n", "-O", out], probe, [(device, "/dev")]):
        with server:
            lines = send(server, len(EVENTS), lambda: texts(out))
            assert_all(texts(out), lines)
            for line in written(out):
                assert "event_type=" not in line or " mail.err cmcwh[%d]: event_type=" % server.process.pid in line


def test_real_journald():
    may_mount()
    server = Server("--sink", "syslog:@/run/systemd/journal/dev-log")
    for folder in ("etc", "run", "run/systemd", "run/systemd/journal", "run/log", "run/log/journal"):
        os.mkdir(server.path(folder))
    server.write("etc/journald.conf", "[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\n")
    reader = shutil.which("journalctl", path=PATHS)

    def journal():
        command = [reader, "-D", server.path("run/log/journal"), "-o", "json", "-q", "SYSLOG_IDENTIFIER=cmcwh"]
        shown = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        return [json.loads(line) for line in shown.splitlines()]
    with Daemon(["systemd-journald"], lambda: os.path.exists(server.path("run/systemd/journal/dev-log")),
                [(server.path("run"), "/run"), (server.path("etc"), "/etc/systemd")]):
        with server:
            lines = send(server, len(EVENTS), journal)
            entries = journal()
    assert_all([entry["MESSAGE"] for entry in entries], lines)
    assert all(entry["PRIORITY"] == "3" and entry["SYSLOG_FACILITY"] == "2" for entry in entries), entries


RSYSLOG = """
module(load="imudp") module(load="imtcp") module(load="imuxsock" SysSock.Use="off")
template(name="text" type="string" string="%%msg%%\\n")
ruleset(name="all") { action(type="omfile" file="%(out)s" template="text") }
input(type="imudp" address="127.0.0.1" port="%(udp)d" ruleset="all")
input(type="imtcp" address="127.0.0.1" port="%(tcp)d" ruleset="all")
input(type="imuxsock" Socket="%(local)s" ruleset="all")
"""

SYSLOG_NG = """@version: 3.35
source s {
    unix-dgram("%(local)s");
    network(transport("udp") ip("127.0.0.1") port(%(udp)d) flags(syslog-protocol));
    syslog(transport("tcp") ip("127.0.0.1") port(%(tcp)d));
};
destination d { file("%(out)s" template("$MSG\\n")); };
log { source(s); destination(d); };
"""


def everywhere(config, command):
    """By socket, datagrams and TCP at once, with the limits of each."""
    udp, tcp = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    server = Server("--sink", "syslog+udp://127.0.0.1:%d?policy=required" % udp,
                    "--sink", "syslog+tcp://127.0.0.1:%d" % tcp, "--sink", "syslog:@/local")
    places = {"out": server.path("out"), "local": server.path("local"), "udp": udp, "tcp": tcp}
    path = server.write("daemon.conf", config % places)

    def probe():
        """A message of our own each way, until all are written."""
        for number, (kind, address) in enumerate(((socket.SOCK_DGRAM, ("127.0.0.1", udp)),
                                                  (socket.SOCK_STREAM, ("127.0.0.1", tcp)),
                                                  (socket.SOCK_DGRAM, places["local"]))):
            message = b"<22>1 - - probe - - - probe%d" % number
            message = b"%d %s" % (len(message), message) if number == 1 else message
            try:
                with socket.socket(socket.AF_UNIX if number == 2 else socket.AF_INET, kind) as sender:
                    sender.connect(address)
                    sender.sendall(message)
            except OSError:
                return False
        return all(any("probe%d" % number in line for line in written(places["out"])) for number in range(3))
    with Daemon([part % {"config": path, "folder": server.folder} for part in command], probe):
        with server:
            lines = send(server, 3 * len(EVENTS), lambda: texts(places["out"]))
            assert_all(texts(places["out"]), 3 * lines)


def test_real_rsyslog_takes_all_of_it():
    everywhere(RSYSLOG, ["rsyslogd", "-n", "-f", "%(config)s", "-i", "%(folder)s/pid"])


def test_real_syslog_ng():
    everywhere(SYSLOG_NG, ["syslog-ng", "-F", "-f", "%(config)s", "-R", "%(folder)s/persist", "-p", "%(folder)s/pid",
                           "-c", "%(folder)s/control"])

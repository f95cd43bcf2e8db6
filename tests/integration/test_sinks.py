"""Where events go: each kind of sink, real daemons and lines, and trouble with them."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile

from harness import PATIENCE, Peer, Server, body, eventually, free_port, run, unframe

EVIL = "a\n<34>1 b\r\0c\x1b[2Jd\x7f\u009b31m\u2028\u2029\"\\"


def evil_body():
    event = {name: EVIL for name in ("reason", "sourceIp", "returnPath", "created", "subject",
                                     "apiData", "messageId", "from", "to", "senderIp", "status")}
    return json.dumps({"event_type": "bounces", "server_composition": EVIL,
                       "event": {"bounces": [event]}}).encode()


def assert_harmless(text):
    decoded = text.decode()
    for character in decoded:
        assert character >= " " and not "\x7f" <= character <= "\x9f", repr(decoded)
        assert character not in "\u2028\u2029", repr(decoded)


def octet_counted(stream):
    messages = []
    while stream:
        length, _, stream = stream.partition(b" ")
        messages.append(stream[:int(length)])
        stream = stream[int(length):]
    return messages


def test_stdout():
    with Server("--sink", "stdout:?format=logfmt", sink=False) as server:
        assert server.post(evil_body()).status == 200
        assert server.post(body()).status == 200
        lines = server.stdout().split(b"\n")
        assert len(lines) == 3 and lines[2] == b""
        assert lines[1].startswith(b"event_type=") and b" to=user0@example.jp " in lines[1]
        assert b" seq=2 " in lines[1]
        for line in lines:
            assert_harmless(line)


def test_file_is_harmless_and_exact():
    with Server() as server:
        assert server.post(evil_body()).status == 200
        with open(server.log, "rb") as file:
            text = file.read()
        assert text.count(b"\n") == 1
        assert_harmless(text[:-1])
        line = json.loads(text)
        for name in ("reason", "to", "subject", "status", "server_composition", "messageId"):
            assert line[name] == EVIL, name


def test_file_rotation():
    with Server("--sink", "file:@/r?rotate=2k&keep=4", sink=False) as server:
        for i in range(40):
            assert server.post(body(3, first=3 * i)).status == 200
        names = sorted(name for name in os.listdir(server.folder) if name.startswith("r"))
        assert names == ["r", "r.1", "r.2", "r.3", "r.4"], names
        seqs = []
        for name in ("r.4", "r.3", "r.2", "r.1", "r"):
            assert os.path.getsize(server.path(name)) <= 2048 + 1200
            seqs += [line["seq"] for line in server.lines(server.path(name))]
        assert seqs == list(range(seqs[0], 121)), seqs


def test_rotation_that_cannot_be_done():
    """The log grows meanwhile, and nothing is moved that is no log."""
    server = Server("--sink", "file:@/r?rotate=2k&keep=4", sink=False)
    os.mkdir(server.path("r.2"))
    server.write("r.1", "old\n")
    with server:
        for i in range(20):
            assert server.post(body(3, first=3 * i)).status == 200
        assert [line["seq"] for line in server.lines(server.path("r"))] == list(range(1, 61))
        assert sorted(name for name in os.listdir(server.folder) if name.startswith("r")) == ["r", "r.1", "r.2"]
        said = server.stderr()
        assert said.count("cannot be rotated: '%s' is no file" % server.path("r.2")) == 1, said
        os.rmdir(server.path("r.2"))
        server.signal(signal.SIGHUP)

        def rotated():
            assert server.post(body()).status == 200
            return "is rotated again" in server.stderr()
        eventually(rotated, "a rotation")
        with open(server.path("r.2"), "rb") as file:
            assert file.read() == b"old\n"
        seqs = [line["seq"] for name in ("r.1", "r") for line in server.lines(server.path(name))]
        assert seqs == list(range(1, len(seqs) + 1)) and len(seqs) > 60, seqs


def test_rotation_into_a_gap():
    """A rotation that was interrupted is completed; no old log goes while there is room."""
    server = Server("--sink", "file:@/r?rotate=2k&keep=3", sink=False)
    server.write("r.2", "2\n")
    server.write("r.3", "3\n")
    with server:
        for i in range(3):
            assert server.post(body(3)).status == 200
        assert len(server.lines(server.path("r.1"))) == 6
        for name, text in (("r.2", "2\n"), ("r.3", "3\n")):
            with open(server.path(name), encoding="ascii") as file:
                assert file.read() == text


def test_rotation_moves_only_its_own_file():
    server = Server("--sink", "file:@/r?rotate=2k&keep=3", sink=False)
    with server:
        assert server.post(body(3)).status == 200
        os.rename(server.path("r"), server.path("mine"))
        server.write("r", '{"seq":1}\n')
        for _ in range(2):
            assert server.post(body(3)).status == 200
        assert len(server.lines(server.path("r"))) == 4, "it is not appended to"
        assert [line["seq"] for line in server.lines(server.path("mine"))] == [1, 2, 3, 4, 5, 6]
        assert not os.path.exists(server.path("r.1"))


def test_file_reopened_on_sighup():
    with Server() as server:
        assert server.post(body()).status == 200
        os.rename(server.log, server.log + ".old")
        server.signal(signal.SIGHUP)
        eventually(lambda: server.post(body()).status == 200 and os.path.exists(server.log), "a new file")
        old, new = server.lines(server.log + ".old"), server.lines()
        assert [line["seq"] for line in old + new] == list(range(1, len(old + new) + 1))


def test_torn_last_line_is_cut_off():
    server = Server()
    whole = '{"seq":1}\n{"seq":2}\n'
    server.write("log", whole + '{"seq":3,"to":"x')
    with server:
        assert "not whole" in server.stderr()
        assert server.post(body()).status == 200
        assert [line["seq"] for line in server.lines()] == [1, 2, 1]


def test_torn_last_line_in_each_format():
    """What the encoders write is known again, however much of it is left."""
    for form in ("json", "logfmt", "binary"):
        with Server("--sink", "file:@/log?format=" + form, sink=False) as server:
            assert server.post(body()).status == 200
            whole = os.path.getsize(server.log)
            for left in (1, 3, whole // 2, whole - 1):
                assert server.post(body()).status == 200
                server.kill()
                os.truncate(server.log, whole + left)
                server.restart()
                server.wait_said("not whole")
                assert os.path.getsize(server.log) == whole, (form, left)


def test_torn_last_line_behind_stdout():
    """Standard output is not appended to by itself, and shared with stderr."""
    server = Server("--sink", "stdout:", sink=False)
    whole = '{"seq":1}\n{"seq":2}\n'
    path = server.write("out", whole + '{"seq":3,"to":"x')

    def redirect():
        os.dup2(os.open(path, os.O_WRONLY), 1)
        os.lseek(1, 3, os.SEEK_SET)
    server.preload = redirect
    with server:
        assert "not whole" in server.stderr()
        assert server.post(body(2)).status == 200
        assert [line["seq"] for line in server.lines(path)] == [1, 2, 1, 2]


def test_stdout_on_a_file_without_a_name():
    """Whoever gave it holds it, and reads it. One that loses its name later takes nothing more."""
    with tempfile.TemporaryFile() as file:
        with Server("--sink", "stdout:", sink=False, preload=lambda: os.dup2(file.fileno(), 1)) as server:
            assert server.post(body()).status == 200
            file.seek(0)
            assert file.read().count(b"\n") == 1
    with Server("--sink", "stdout:", sink=False) as server:
        os.unlink(server.path("stdout"))
        assert server.post(body()).status == 503
        assert "was deleted" in server.stderr()


def test_stdout_that_is_closed():
    """No other file comes in its place."""
    server = Server("--pid-file", "@/pid")
    for standard in ([1], [0, 1, 2]):
        status, _, said = run("serve", "--listen", "127.0.0.1:0", *server.options[:2], "--sink", "stdout:",
                              preload=lambda: [os.close(descriptor) for descriptor in standard])
        assert status == 2 and (2 in standard or "standard output is closed" in said), (status, said)
    shutil.rmtree(server.folder)


def test_file_deleted():
    with Server() as server:
        assert server.post(body()).status == 200
        os.unlink(server.log)
        assert server.post(body(2)).status == 200
        assert [line["seq"] for line in server.lines()] == [2, 3]
        os.rename(server.log, server.log + ".old")  # but a rename alone needs a SIGHUP
        assert server.post(body()).status == 200
        assert [line["seq"] for line in server.lines(server.log + ".old")] == [2, 3, 4]
        os.unlink(server.log + ".old")
        assert server.post(body()).status == 200
        assert [line["seq"] for line in server.lines()] == [5]
        assert server.stderr().count("was deleted") == 2


def test_file_replaced_by_what_takes_nothing():
    with Server() as server:
        for make, remove in ((os.mkdir, os.rmdir), (os.mkfifo, os.unlink)):
            eventually(lambda: server.post(body()).status == 200, "a file again")
            os.unlink(server.log)
            make(server.log)
            for _ in range(3):
                assert server.post(body()).status == 503
            remove(server.log)
        eventually(lambda: server.post(body(first=7)).status == 200, "a file again")
        assert server.lines()[-1]["to"] == "user7@example.jp"


def test_directory_vanished_and_back():
    server = Server("--sink", "file:@/d/log", sink=False)
    os.mkdir(server.path("d"))
    with server:
        assert server.post(body()).status == 200
        shutil.rmtree(server.path("d"))
        answer = server.post(body())
        assert (answer.status, answer.json()["error"]) == (503, "storage_failed")
        assert "No such file or directory" in server.stderr()
        os.mkdir(server.path("d"))
        eventually(lambda: server.post(body(first=7)).status == 200, "the directory")
        assert [line["to"] for line in server.lines(server.path("d/log"))] == ["user7@example.jp"]


class Reader:
    """What comes out of a descriptor that does not block."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.bytes = b""

    def read(self):
        try:
            while True:
                data = os.read(self.descriptor, 65536)
                if not data:
                    break
                self.bytes += data
        except BlockingIOError:
            pass
        return self.bytes

    def close(self):
        os.close(self.descriptor)


class Fifo(Reader):
    """The end of a FIFO that reads."""

    def __init__(self, path):
        super().__init__(os.open(path, os.O_RDONLY | os.O_NONBLOCK))

    def lines(self):
        """The first one is empty: it ends what may have broken off before."""
        lines = self.read().split(b"\n")[:-1]
        assert lines[0] == b""
        return [json.loads(line) for line in lines[1:]]


def test_reload_names_a_sink_that_fails():
    server = Server("--sink", "file:@/d/log")
    os.mkdir(server.path("d"))
    with server:
        assert server.post(body()).status == 200
        shutil.rmtree(server.path("d"))
        server.signal(signal.SIGHUP)
        server.wait_said("error: files are opened anew, but sink 'file:" + server.path("d/log"))
        os.mkdir(server.path("d"))
        server.signal(signal.SIGHUP)
        server.wait_said("cmcwh: files are opened anew\n")
        assert server.post(body()).status == 200


def test_fifo_that_nobody_reads():
    server = Server("--sink", "file:@/fifo")
    os.mkfifo(server.path("fifo"))
    reader = Fifo(server.path("fifo"))
    with server:
        assert server.post(body()).status == 200
        assert [line["seq"] for line in reader.lines()] == [1]
        reader.close()
        answer = server.post(body())
        assert (answer.status, answer.json()["error"]) == (503, "storage_failed")
        assert server.post(body()).status == 503
        reader = Fifo(server.path("fifo"))
        eventually(lambda: server.post(body(first=7)).status == 200, "a reader")
        assert [json.loads(line)["to"] for line in reader.read().split(b"\n")[:-1]] == ["user7@example.jp"]
        reader.close()
        assert server.lines()[-1]["to"] == "user7@example.jp"
        with Server("--sink", "file:" + server.path("fifo"), sink=False) as later:
            later.wait_said("nobody reads this FIFO; trying again")
            assert later.post(body()).status == 503


def test_binary_log_and_cat():
    with Server("--sink", "file:@/b?format=binary") as server:
        assert server.post(evil_body()).status == 200
        assert server.post(body(100, subject="\u65e5\u672c")).status == 200
        with open(server.path("b"), "rb") as file:
            stream = file.read()
        records = unframe(stream)
        lines = server.lines()
        assert len(records) == len(lines) == 101
        for record, line in zip(records, lines):
            for name in ("seq", "id", "to", "subject", "event_type", "server_composition", "reason"):
                assert record[name] == line[name]
        status, printed, said = run("cat", server.path("b"))
        assert (status, said) == (0, "")
        with open(server.log, "rb") as file:
            assert printed == file.read()
        status, printed, said = run("cat", "--format", "logfmt", "-", data=stream)
        assert status == 0 and printed.count(b"\n") == 101
        for line in printed.split(b"\n"):
            assert_harmless(line)


def test_cat_after_noise_and_loss():
    with Server("--sink", "file:@/b?format=binary", sink=False) as server:
        assert server.post(body(10)).status == 200
        with open(server.path("b"), "rb") as file:
            frames = [frame + b"\0" for frame in file.read().split(b"\0")[:-1]]
    frames[2] = b"\x42" + frames[2]                    # a byte more
    frames[4] = frames[4][:40] + frames[4][41:]        # a byte less
    frames[6] = frames[6][:50] + bytes([frames[6][50] ^ 4]) + frames[6][51:]
    frames[8] = frames[8][:-1]                         # its end is lost: two run together
    stream = b"noise\xff\0" + b"".join(frames) + b"\x05tail"
    status, printed, said = run("cat", "-", data=stream)
    assert status == 0
    assert [json.loads(line)["seq"] for line in printed.split(b"\n")[:-1]] == [1, 2, 4, 6, 8]
    assert re.search(r"skipped \d+ bytes", said), said
    status, printed, said = run("cat", "-", data=b"nothing but noise\0")
    assert (status, printed) == (1, b"") and "skipped 17 bytes" in said
    assert run("cat", "-", data=b"") == (0, b"", "")
    for line in (b'event_type=bounces status=1\n', b'seq=1 id=x\n'):  # what other sinks write
        status, printed, said = run("cat", "-", data=line)
        assert (status, printed) == (1, b"") and "text already" in said and said.count("\n") == 1


def test_syslog_local_socket():
    server = Server("--sink", "syslog:@/dev-log")
    with Peer(socket.SOCK_DGRAM, server.path("dev-log")) as peer, server:
        assert server.post(body(2)).status == 200
        assert server.post(evil_body()).status == 200
        assert len(eventually(lambda: len(peer.messages) >= 3 and peer.messages, "messages")) == 3
        pattern = rb"<22>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d cmcwh\[%d\]: event_type=" % server.process.pid
        assert re.match(pattern, peer.messages[0]), peer.messages[0]
        assert peer.messages[2].startswith(b"<19>")
        for message in peer.messages:
            assert_harmless(message)


def test_syslog_daemon_restarted():
    server = Server("--sink", "syslog:@/dev-log", sink=False)
    peer = Peer(socket.SOCK_DGRAM, server.path("dev-log"))
    with server:
        assert server.post(body()).status == 200
        peer.close()
        os.unlink(server.path("dev-log"))
        answer = server.post(body())
        assert answer.status == 503 and answer.json()["error"] == "storage_failed"
        with Peer(socket.SOCK_DGRAM, server.path("dev-log")) as peer:
            eventually(lambda: server.post(body(first=7)).status == 200, "recovery")
            eventually(lambda: any(b"user7" in message for message in peer.messages), "the message")
            assert not any(b"user0" in message for message in peer.messages)
        assert server.stderr().count("trying again") == 1, server.stderr()


def test_syslog_udp():
    with Peer(socket.SOCK_DGRAM) as peer:
        with Server("--sink", "syslog+udp://127.0.0.1:%d" % peer.address[1]) as server:
            assert server.post(evil_body()).status == 200
            eventually(lambda: peer.messages, "a message")
            assert re.match(rb"<19>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ cmcwh \d+ bounces - "
                            rb"event_type=bounces status=.* id=[0-9a-f]{16} seq=1 ", peer.messages[0]), peer.messages[0]
            assert_harmless(peer.messages[0])


def test_syslog_udp_to_a_closed_port():
    """It does not work until somebody listens, and what was sent before is sent again."""
    port = free_port(socket.SOCK_DGRAM)
    with Server("--sink", "syslog+udp://127.0.0.1:%d" % port) as server:
        for i in range(20):
            assert server.post(body(first=i)).status == 200
        server.wait_said("trying again")
        for _ in range(3):  # it is opened anew, which proves nothing
            server.signal(signal.SIGHUP)
            assert server.post(body(first=100)).status == 200
        server.signal(signal.SIGUSR1)
        said = server.wait_said("delivered=0")
        assert re.search(r"sink 'syslog\+udp:\S+ behind=23 lost=0 failed=yes delivered=0 .*: does not take messages: ", said), said
        with Peer(socket.SOCK_DGRAM, ("127.0.0.1", port)) as peer:
            said = server.wait_said("works again")
            eventually(lambda: len(peer.messages) >= 23, "what had waited")
            assert b" to=user0@example.jp " in peer.messages[0]
        assert said.count("trying again") == said.count("works again") == 1, said


def test_syslog_tcp_and_reconnect():
    with Peer(socket.SOCK_STREAM) as peer:
        uri = "syslog+tcp://127.0.0.1:%d" % peer.address[1]
        with Server("--sink", uri, sink=False) as server:
            assert server.post(evil_body()).status == 200
            assert server.post(body(100, first=1000)).status == 200
            eventually(lambda: len(octet_counted(peer.stream)) >= 101, "messages")
            messages = octet_counted(peer.stream)
            assert len(messages) == 101
            for number, message in enumerate(messages):
                assert message.startswith(b"<") and b" seq=%d " % (number + 1) in message
                assert_harmless(message)
            peer.connections[0].shutdown(socket.SHUT_RDWR)
            # TCP says of no message whether it came: one may be taken while the end is on its way.
            eventually(lambda: server.post(body(first=7)).status == 200 and b"user7@" in peer.stream,
                       "a message over a new connection")


RSYSLOG = """
module(load="imudp") module(load="imtcp")
input(type="imudp" address="127.0.0.1" port="%(udp)d")
input(type="imtcp" address="127.0.0.1" port="%(tcp)d")
template(name="all" type="string"
  string="%%hostname%%|%%programname%%|%%procid%%|%%msgid%%|%%syslogseverity-text%%|%%syslogfacility-text%%|%%msg%%\\n")
action(type="omfile" file="%(file)s" template="all")
"""


def probe(kind, port):
    """A message of our own: a daemon that has written it listens there."""
    try:
        with socket.socket(socket.AF_INET, kind) as sender:
            sender.connect(("127.0.0.1", port))
            sender.sendall(b"<22>1 - - probe - - - probe\n")
            return True
    except ConnectionError:
        return False


def test_real_rsyslog():
    udp, tcp = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    server = Server("--sink", "syslog+udp://127.0.0.1:%d?policy=besteffort" % udp,
                    "--sink", "syslog+tcp://127.0.0.1:%d?policy=besteffort" % tcp)
    result = server.path("result")
    config = server.write("rsyslog.conf", RSYSLOG % {"udp": udp, "tcp": tcp, "file": result})
    daemon = subprocess.Popen(["/usr/sbin/rsyslogd", "-n", "-f", config, "-i", server.path("pid")])
    try:
        with server:
            def text():
                try:
                    with open(result, encoding="utf-8") as file:
                        return file.read()
                except FileNotFoundError:
                    return ""

            def lines():
                return [line for line in text().split("\n")[:-1] if "|probe|" not in line]
            for kind, port in ((socket.SOCK_DGRAM, udp), (socket.SOCK_STREAM, tcp)):
                before = text().count("|probe|")
                eventually(lambda: probe(kind, port) and text().count("|probe|") > before, "rsyslogd")
            assert server.post(body(2)).status == 200
            assert server.post(evil_body()).status == 200
            eventually(lambda: len(lines()) >= 6, "six lines of rsyslog's")
            assert len(lines()) == 6, lines()
            for number, severity in ((1, "info"), (2, "info"), (3, "err")):
                same = [line.split("|", 6) for line in lines() if "seq=%d " % number in line]
                assert len(same) == 2
                for parts in same:
                    assert parts[0] == socket.gethostname()
                    assert parts[1] == "cmcwh" and parts[2] == str(server.process.pid)
                    assert parts[4:6] == [severity, "mail"], parts
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)


class SerialLine(Reader):
    """Two ends of a line, made by socat: `ours` for cmcwh, bytes that come out of the other."""

    def __init__(self, folder):
        self.ours, self.other = os.path.join(folder, "tty-a"), os.path.join(folder, "tty-b")
        self.process = subprocess.Popen(["socat", "pty,raw,echo=0,link=" + self.ours,
                                         "pty,raw,echo=0,link=" + self.other])
        eventually(lambda: os.path.exists(self.ours) and os.path.exists(self.other), "a serial line")
        super().__init__(os.open(self.other, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))

    def close(self):
        super().close()
        self.process.terminate()
        self.process.wait(PATIENCE)


def test_serial_line():
    for form, ending in (("json", b"\n"), ("binary", b"\0")):
        server = Server("--sink", "serial:@/tty-a?baud=115200&format=" + form)
        line = SerialLine(server.folder)
        try:
            with server:
                assert server.post(evil_body()).status == 200
                assert server.post(body(20)).status == 200
                eventually(lambda: line.read().count(ending) >= 22, "21 records on the line")
                assert line.bytes.startswith(ending)  # of what may have broken off before
                if form == "json":
                    assert [json.loads(text)["seq"] for text in line.bytes.split(b"\n")[1:-1]] == \
                        list(range(1, 22))
                    for text in line.bytes.split(b"\n"):
                        assert_harmless(text)
                else:
                    assert [record["seq"] for record in unframe(line.bytes[1:])] == list(range(1, 22))
                    status, printed, _ = run("cat", "-", data=line.bytes)
                    assert status == 0
                    with open(server.log, "rb") as file:
                        assert printed == file.read()
        finally:
            line.close()


def test_serial_line_unplugged_and_back():
    server = Server("--sink", "serial:@/tty-a?policy=besteffort")
    line = SerialLine(server.folder)
    with server:
        assert server.post(body()).status == 200
        eventually(lambda: line.read().count(b"\n") >= 1, "the first record")
        line.close()
        for i in range(5):  # the log and the answers go on
            assert server.post(body(first=10 + i)).status == 200
        assert len(server.lines()) == 6
        eventually(lambda: "trying again" in server.stderr(), "a message")
        line = SerialLine(server.folder)
        eventually(lambda: line.read().count(b"\n") >= 5, "what had waited")
        text = [json.loads(part)["to"] for part in line.bytes.split(b"\n") if part]
        assert text[-1] == "user14@example.jp"
        assert server.stderr().count("trying again") == 1
        line.close()


def test_several_sinks_at_once_threaded():
    server = Server("--sink", "syslog:@/dev-log", "--sink", "stdout:?format=binary", "--sink",
                    "file:@/two?format=logfmt")
    with Peer(socket.SOCK_DGRAM, server.path("dev-log")) as peer, server:
        for i in range(30):
            assert server.post(body(5, first=5 * i)).status == 200
        eventually(lambda: len(peer.messages) >= 150, "150 messages")
        assert [line["seq"] for line in server.lines()] == list(range(1, 151))
        assert [record["seq"] for record in unframe(server.stdout())] == list(range(1, 151))
        with open(server.path("two"), "rb") as file:
            assert file.read().count(b"\n") == 150


def test_serial_file_stays_as_it_is():
    server = Server()
    path = server.write("file", "no line end")
    status, _, said = run("serve", "--listen", "127.0.0.1:0", "--sink", "serial:" + path)
    assert status == 2 and "is not a serial line" in said, said
    with open(path, encoding="ascii") as file:
        assert file.read() == "no line end"
    shutil.rmtree(server.folder)


def test_one_writer_a_file():
    """The other waits for its turn; one and the same place twice is a mistake."""
    with Server() as server:
        with Server("--sink", "file:" + server.log, sink=False) as other:
            other.wait_said("another sink or process writes to it; trying again")
            assert other.post(body()).status == 503
            assert server.post(body()).status == 200
            server.stop()
            eventually(lambda: other.post(body()).status == 200, "its turn")
        twice = ["--sink", "file:" + server.path("x")] * 2
        status, _, said = run("serve", "--listen", "127.0.0.1:0", *twice)
        assert status == 2 and said.count("\n") == 1 and "the same place" in said, said
        auth = server.write("auth", "bearer x\n")
        for option in ("--auth-file", "--ring", "--pid-file", "--tls-cert"):
            status, _, said = run("serve", "--listen", "127.0.0.1:0", option, auth, "--tls-key", auth, "--tls-cert",
                                  auth, "--sink", "file:" + auth)
            assert status == 2 and ("the same place" in said or "no TLS" in said), said


def test_besteffort_sink_that_cannot_be_opened():
    with Server("--sink", "syslog:@/dev-log?policy=besteffort", "--sink",
                "file:/nowhere/at/all?policy=besteffort") as server:
        server.wait_said("trying again", 2)
        assert server.post(body()).status == 200
        assert len(server.lines()) == 1
        with Peer(socket.SOCK_DGRAM, server.path("dev-log")) as peer:
            eventually(lambda: peer.messages, "what had waited")


def test_besteffort_sink_that_never_comes_back_loses_the_oldest():
    with Server("--sink", "syslog:@/dev-log?policy=besteffort", "--ring-records", "16") as server:
        for i in range(30):
            assert server.post(body(2)).status == 200
        server.signal(signal.SIGUSR1)
        eventually(lambda: "lost=44" in server.stderr(), "the counter")
        eventually(lambda: "lost 44 events" in server.stderr() or
                   re.search(r"lost \d+ events", server.stderr()), "a message")
        assert len(server.lines()) == 60


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def full_disk(server, log):
    """A limit of the file's size stands for the disk: writes fail half-way, as on a full one."""
    stored = 0
    while True:
        answer = server.post(body(5, first=stored, reason="x" * 300))
        if answer.status != 200:
            break
        stored += 5
    assert (answer.status, answer.json()["error"]) == (503, "storage_failed")
    assert int(answer.headers["retry-after"][0]) >= 1
    lines = server.lines(log)
    assert [line["to"] for line in lines] == ["user%d@example.jp" % i for i in range(stored)]
    assert server.post(body(5, reason="x" * 300)).status == 503
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE,
                     (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    eventually(lambda: server.post(body(5, first=stored, reason="x" * 300)).status == 200, "room")
    lines = server.lines(log)
    assert [line["seq"] for line in lines] == list(range(1, stored + 6)), "seq has gaps"
    said = server.wait_said("works again")
    assert said.count("trying again") == said.count("works again") == 1, said


def test_full_disk():
    with Server(preload=limit_files) as server:
        full_disk(server, server.log)


def test_full_disk_behind_stdout():
    with Server("--sink", "stdout:", sink=False, preload=limit_files) as server:
        full_disk(server, server.path("stdout"))


def test_full_device():
    with Server("--sink", "file:/dev/full", sink=False) as server:
        assert server.post(body()).status == 503
        assert "No space left" in server.stderr()


def test_full_ring_while_the_disk_is_full_with_sync_never():
    with Server("--sync", "never", "--ring-records", "20", preload=limit_files) as server:
        answers = []

        def full():
            answers.append(server.post(body(5, reason="x" * 300)))
            return answers[-1].status == 503
        eventually(full, "a full ring")
        assert answers[-1].json()["error"] == "ring_full"
        stored = 5 * (len(answers) - 1)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert [line["seq"] for line in server.wait_lines(stored)] == list(range(1, stored + 1))

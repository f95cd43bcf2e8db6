"""The command line: options, config files, messages, cat and check, signals."""

import os
import re
import signal
import subprocess
import tempfile

from harness import CMCWH, Server, body, eventually, lacks, payload, run


COMMANDS = ("serve", "cat", "check", "status", "summary", "test")


def assert_usage(arguments, *parts):
    status, output, said = run(*arguments)
    assert status == 2, (arguments, status, said)
    assert output == b"" and said.count("\n") == 1 and said.startswith("cmcwh: "), said
    for part in parts:
        assert part in said, (part, said)


def test_help_and_version():
    for arguments in (("--help",), *((command, "--help") for command in COMMANDS)):
        status, output, said = run(*arguments)
        assert (status, said) == (0, "") and b"usage: cmcwh" in output
        assert all(len(line) <= 80 for line in output.decode().split("\n"))
    status, output, _ = run("--version")
    assert status == 0 and re.match(rb"cmcwh \d+\.\d+\.\d+\n(TLS by (OpenSSL|Mbed TLS) \d.*|without TLS)\ncivetweb 1\.\d+\n$", output)
    _, output, _ = run("--help")
    for option in ("listen", "path", "auth-file", "allow", "sink", "ring", "ring-records", "sync",
                   "workers", "body-max", "body-timeout", "pid-file", "user", "log-level", "config"):
        assert b"--" + option.encode() in output, option


def test_an_output_that_is_full():
    """What could not be written is said, and the exit status too is that of a failure."""
    with Server("--ring", "@/ring") as server, open("/dev/full", "wb") as full:
        server.post(payload("bounces-user-unknown.json"))
        server.wait_lines(1)
        for arguments in (["--version"], ["--help"], ["help", "cat"], ["cat", "--help"], ["cat", server.path("ring")],
                          ["cat", "--last", "1", server.path("ring")], ["summary", server.log], ["summary", "--suppress", server.log],
                          ["check", "tests/payloads/deliveries-queued.json"],
                          ["test", "http://127.0.0.1:%d/mails" % server.port]):
            done = subprocess.run([CMCWH] + arguments, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            if lacks(done.stderr):
                continue
            assert done.returncode == 1, (arguments, done)
            assert done.stderr.startswith("cmcwh: standard output: ") and done.stderr.count("\n") == 1, (arguments, done)


def test_help_is_a_command_too():
    for command in COMMANDS:
        assert run("help", command) == run(command, "--help")
    assert run("help") == run("--help")
    assert_usage(["help", "nonsense"], "'nonsense'", ", ".join(COMMANDS) + " or help")
    assert_usage(["help", "cat", "check"], "'check'")


def test_what_is_not_built_says_so():
    """And the help does not name it."""
    usage = run("--help")[1].decode()
    for command in COMMANDS[1:]:
        for arguments in ([command], ["help", command]):
            if "cmcwh %s " % command not in usage:
                done = subprocess.run([CMCWH] + arguments, capture_output=True, text=True, check=False)
                assert (done.returncode, done.stdout) == (2, "")
                assert done.stderr == ("cmcwh: this build has no '%s': use one with TOOLS=1, on whatever machine\n" % command)


def test_wrong_usage():
    for arguments, part in (
            (["nonsense"], "nonsense"), (["--nonsense"], "--nonsense"), (["serve", "x"], "'x'"),
            (["--listen"], "--listen"), (["--listen", "8080"], "ADDR:PORT"),
            (["--listen", "localhost:80"], "ADDR:PORT"), (["--listen", "1.2.3.4:99999"], "ADDR:PORT"),
            (["--listen", "127.0.0.1:1s"], "--tls-cert"), (["--path", "mails"], "'/'"),
            (["--allow", "300.1.1.1"], "300.1.1.1"), (["--allow", "10.0.0.0/33"], "10.0.0.0/33"),
            (["--workers", "0"], "1 to 256"), (["--workers", "x"], "'x'"), (["--workers="], "''"),
            (["--ring-records", "-1"], "1 to"), (["--body-max", "1k"], "bytes"),
            (["--body-timeout", "0"], "seconds"), (["--sync", "maybe"], "always, never, or a time"),
            (["--ring", ""], "memory"), (["--log-level", "loud"], "debug"),
            (["--sink", "nowhere"], "file:"), (["--sink", "file:"], "path"),
            (["--sink", "file:/x?rotate=0"], "rotate"), (["--sink", "file:/x?keep=0"], "keep"),
            (["--sink", "file:/x?what=1"], "what=1"), (["--sink", "file:/x?format=xml"], "json"),
            (["--sink", "stdout:x"], "stdout"), (["--sink", "syslog+udp:x"], "HOST:PORT"),
            (["--sink", "syslog:?format=json"], "logfmt"), (["--sink", "serial:/x?baud=x"], "baud"),
            (["--sink", "stdout:?policy=no"], "besteffort"), (["--auth-file", "/nowhere"], "/nowhere"),
            (["--config", "/nowhere"], "/nowhere"), (["--config"], "--config"),
            (["cat"], "FILE"), (["cat", "--what", "x"], "--what"), (["check"], "FILE"),
            (["--check-config=x"], "--check-config"), (["--check-config", "x"], "'x'"),
            (["check", "--type", "xml", "x"], "xml"), (["check", "a", "b"], "'b'")):
        assert_usage(arguments, part)
    assert_usage(sum([["--listen", "127.0.0.1:0"] for i in range(9)], []), "8 listeners")
    assert_usage(sum([["--sink", "stdout:"] for i in range(9)], []), "8 sinks")


def test_a_ring_that_is_small():
    """Said where the ring is smaller than what comes at once, also when it is an old file's."""
    small, enough = (Server("--ring", "@/ring", "--ring-records", count) for count in ("99", "100"))
    with small, enough:
        warning = "the ring holds 99 records: a request of more events is answered 413"
        assert warning in small.stderr()
        assert "records: a request" not in enough.stderr()
        small.stop()
        small.command.remove("--ring-records")
        small.command.remove("99")
        small.restart()
        assert warning in small.stderr()


def config(text):
    file = tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False)
    file.write(text)
    file.close()
    return file.name


def test_config_file():
    server = Server("--config", "@/conf", "--path", "/line")
    server.write("conf", "# a comment\n\n  path = /file  \nworkers=2\nlisten = 127.0.0.1:1\n"
                         "body-max\t= 500\nsink = file:/nowhere/at/all\n")
    with server:  # the command line wins: its listener and sink replace those of the file
        assert server.post(body(), path="/line").status == 200
        assert server.post(b" " * 501, path="/line").status == 413
    for text, part in (("path /x\n", ":1: "), ("\nworkers = 0\n", ":2: workers"),
                       ("what = 1\n", "what"), ("path = /x\npath = x\n", ":2: path"),
                       ("x" * 2000, "too long")):
        path = config(text)
        assert_usage(["--config", path], path, part)
        os.unlink(path)


def test_auth_file_faults():
    for text, part in (("nonsense x\n", ":1: "), ("# x\nbasic user\n", ":2: expected: basic"),
                       ("bearer\n", "missing"), ("api_key " + "k" * 300 + "\n", "too long"),
                       ("", "no credential"), ("# only this\n", "no credential")):
        path = config(text)
        assert_usage(["--auth-file", path], path, part)
        os.chmod(path, 0o644)
        assert_usage(["--auth-file", path], "chmod 600")
        os.unlink(path)


def test_check():
    status, output, said = run("check", "tests/payloads/bounces-user-unknown.json")
    assert (status, said) == (0, "") and b'"status":"2"' in output
    status, output, said = run("check", "tests/payloads/bounces-user-unknown.form")
    assert (status, said) == (0, "") and b'"status":"2"' in output
    parts = (b'--b d \r\nContent-Disposition: form-data; name=event_type\r\n\r\nbounces\r\n'
             b'--b d\r\nContent-Disposition: form-data; name=event\r\n\r\n'
             b'{"bounces":[{"status":"2"}]}\r\n--b d--')
    status, output, said = run("check", "-", data=parts)
    assert (status, said) == (0, "") and b'"status":"2"' in output
    status, output, said = run("check", "-", data=parts[:-1])
    assert status == 1 and "offset %d: malformed_form" % (len(parts) - 1) in said, said
    status, output, said = run("check", "--type", "multipart", "-", data=b"{}")
    assert status == 1 and "malformed_form" in said and "boundary" in said, said
    status, output, said = run("check", "-", data=body(3000))
    assert status == 0 and output.count(b"\n") == 3000
    status, output, said = run("check", "-", data=b'{"a":1,}')
    assert (status, output) == (1, b"")
    assert said.startswith("cmcwh: -: offset 7: malformed_json: "), said
    status, output, said = run("check", "--type", "form", "-", data=b"event=%7B%zz")
    assert status == 1 and "offset 10: malformed_form" in said, said
    status, output, said = run("check", "-", data=b"{}")
    assert status == 1 and "missing_field event" in said, said
    status, output, said = run("check", "-", data=body(2)[:-1])
    assert (status, output) == (1, b"") and "too early" in said
    assert run("check", "/nowhere")[0] == 1


def test_address_in_use():
    with Server() as server:
        status, _, said = run("serve", "--listen", "127.0.0.1:%d" % server.port)
        assert status == 1 and said.count("\n") == 1, said
        assert "127.0.0.1:%d" % server.port in said and "in use" in said, said


def test_pid_file():
    with Server("--pid-file", "@/pid") as server:
        with open(server.path("pid")) as file:
            assert file.read() == "%d\n" % server.process.pid
        status, _, said = run("serve", "--listen", "127.0.0.1:0", "--pid-file", server.path("pid"))
        assert status == 1 and "another instance" in said, said
        assert os.path.exists(server.path("pid"))
        server.stop()
        assert not os.path.exists(server.path("pid"))


def test_user():
    if os.geteuid() != 0:
        return
    server = Server("--user", "nobody")
    os.chmod(server.folder, 0o777)
    with server:
        with open("/proc/%d/status" % server.process.pid) as file:
            assert re.search(r"Uid:\t(\d+)", file.read()).group(1) != "0"
        assert server.post(body()).status == 200
    assert run("serve", "--user", "no-such-user", "--listen", "127.0.0.1:0")[0] == 2


def test_counters():
    with Server() as server:
        assert server.post(body(3)).status == 200
        assert server.post(b"{").status == 400
        server.signal(signal.SIGUSR1)
        said = eventually(lambda: "behind=" in server.stderr() and server.stderr(), "counters")
        assert "requests=2 200=1 400=1 events=3" in said, said
        assert re.search(r"ring in_use=0 capacity=1024 stored=3", said), said

        def told():
            server.signal(signal.SIGUSR1)
            return re.search(r"sink '.*' behind=0 lost=0 failed=no delivered=3 last_success=\S+\n", server.stderr())
        eventually(told, "what the sink has delivered")


def test_messages_cannot_be_forged():
    with Server("--log-level", "debug") as server:
        for path in ("/x\x1b[2J", "/%0Acmcwh:%20error", "/\x7f"):
            try:
                server.post(body(), path=path)
            except (OSError, ValueError):
                pass
        server.post(b'{"event":{"\\n\\u001b[2J":[]},"event_type":"\\n\\u001b[2J"}')
        server.post(b'{"event":{"bounces":[]},"event_type":"\\u009b\\u2028x"}')
        said = server.stderr()
        assert "\x1b" not in said and "\x7f" not in said and "\u009b" not in said
        assert all(line.startswith(("cmcwh: ", "listening on ")) for line in said.split("\n")[:-1]), said


def test_levels():
    with Server("--log-level", "error") as server:
        assert server.post(b"{").status == 400
        assert server.stderr().count("\n") == 1

"""cmcwh status: the exit status and first line of a monitoring plugin, and what it makes of whatever answers."""

import json
import re

from harness import body, eventually, free_port, run
from peers import Says, answer_of, authority, signed
from test_admin import Admin, AdminTls


def status(*arguments):
    result, output, said = run("status", *arguments)
    return result, output.decode(), said


def told(colour="ok", sentence="OK: last event 3 min ago, sinks up to date", **more):
    members = {"verdict": {"reasons": [{"colour": "none"}], "colour": colour, "sentence": sentence},
               "events": {"stored": 12}, "ring": {"capacity": 1024, "in_use": 3}}
    members.update(more)
    return answer_of(b"200 OK", json.dumps(members).encode(), b"Content-Type: application/json")


PAGE = answer_of(b"200 OK", "OK: last event 3 min ago\n正常\n".encode(), b"Content-Type: text/plain; charset=utf-8")


def test_a_colour_is_an_exit_status():
    for number, (colour, word) in enumerate((("ok", "OK"), ("amber", "WARNING"), ("red", "CRITICAL"))):
        with Says(told(colour, "Word: what is the matter"), PAGE) as peer:
            result, output, said = status("127.0.0.1:%d" % peer.port)
        assert (result, said) == (number, ""), output
        assert output == ("CMCWH %s - what is the matter | events=12c ring=3;;;0;1024\n"
                          "OK: last event 3 min ago\n正常\n" % word), output
        first, second = peer.requests
        assert first.startswith(b"GET /status.json HTTP/1.1\r\n") and second.startswith(b"GET / HTTP/1.1\r\n")
        assert b"\r\nHost: 127.0.0.1:%d\r\n" % peer.port in first and b"\r\nAccept: text/plain\r\n" in second
    with Says(told("amber"), answer_of(b"503 No")) as peer:  # the page need not be there
        result, output, _ = status("http://127.0.0.1:%d/" % peer.port)
    assert result == 1 and output.count("\n") == 1


def test_json():
    with Says(told("red")) as peer:
        result, output, said = status("--json", "127.0.0.1:%d" % peer.port)
    assert (result, said) == (2, "") and json.loads(output)["verdict"]["colour"] == "red"


def test_a_plugin_prints_one_line_whatever_is_said():
    with Says(told("red", 'a: "sink" file:/a|b\n\x1b[2J\u009b\\'), answer_of(b"200 OK", b"\x1b[2J\xc2\x9b\r", b"Content-Type: text/plain")) as peer:
        result, output, _ = status("127.0.0.1:%d" % peer.port)
    first = output.split("\n")[0]
    assert result == 2 and first.count("|") == 1 and "file:/a/b" in first, output
    assert not any(c in output for c in "\x1b\u009b\r"), output


def test_who_does_not_answer_is_in_trouble():
    result, output, said = status("127.0.0.1:%d" % free_port())
    assert (result, said) == (2, "") and output.startswith("CMCWH CRITICAL - 127.0.0.1:") and "refused" in output
    with Says(None) as peer:
        result, output, _ = status("--timeout", "1", "127.0.0.1:%d" % peer.port)
    assert result == 2 and "took too long (1 s)" in output
    with Says(b"") as peer:
        result, output, _ = status("127.0.0.1:%d" % peer.port)
    assert result == 2 and "closed without" in output


def test_what_is_not_known():
    for answer, part in ((answer_of(b"401 No"), "--admin-auth-file"), (answer_of(b"403 No"), "--admin-host"),
                         (answer_of(b"400 No"), "https://"), (answer_of(b"429 No"), "wait a minute"),
                         (answer_of(b"404 No"), "--admin"), (answer_of(b"302 No", b"", b"Location: /"), "--admin"),
                         (answer_of(b"200 OK", b"<html>"), "no status of cmcwh"), (told("purple"), "no status"),
                         (answer_of(b"200 OK", b'{"verdict":{"colour":"ok"}}'), "no status of cmcwh"),
                         (answer_of(b"200 OK", b'{"verdict":"ok"}'), "no status of cmcwh"),
                         (answer_of(b"200 OK", b"[" * 70000), "no status of cmcwh"), (b"nonsense\r\n", "no answer")):
        with Says(answer) as peer:
            result, output, said = status("127.0.0.1:%d" % peer.port)
        assert (result, said) == (3, "") and part in output and output.count("\n") == 1, (answer[:80], output)
        assert output.startswith("CMCWH UNKNOWN - ")
    result, output, _ = status("nowhere.invalid:80")
    assert result == 3 and "is not found" in output


def test_wrong_usage_is_unknown_too():
    for arguments in (("127.0.0.1",), ("x",), ("a", "b"), ("--what",), ("http://127.0.0.1:1/page",), ("127.0.0.1:x",),
                      ("--timeout", "x"), ("",), ("--auth-file", "/nowhere"), ("ftp://127.0.0.1:1",)):
        result, output, said = status(*arguments)
        assert result == 3 and output == "" and said.count("\n") == 1, (arguments, output, said)


# ---- A real one ----


def test_a_server_that_is_well():
    with Admin() as server:
        assert server.post(body(3)).status == 200
        result, output, said = status("127.0.0.1:%d" % server.admin)
        lines = output.split("\n")
        assert (result, said) == (0, ""), output
        assert re.match(r"CMCWH OK - last event .*, sinks up to date \| events=3c ring=\d+;;;0;1024$", lines[0]), output
        assert server.log in output and "OK: " not in output, output
        assert status("http://localhost:%d" % server.admin)[0] == 0
        result, output, _ = status("--json", "127.0.0.1:%d" % server.admin)
        assert result == 0 and json.loads(output)["events"]["stored"] == 3
        result, output, _ = status("127.0.0.1:%d" % server.port)  # the webhooks' own port
        assert result == 3 and "404: is this the port of --admin" in output
        server.stop()
        assert status("127.0.0.1:%d" % server.admin)[0] == 2


def test_a_server_that_is_not():
    with Admin("--sink", "syslog+tcp://127.0.0.1:%d" % free_port()) as server:
        assert server.post(body()).status == 503

        def red():
            result, output, _ = status("127.0.0.1:%d" % server.admin)
            return result == 2 and output
        output = eventually(red, "red")
        assert output.startswith("CMCWH CRITICAL - ") and "syslog+tcp://" in output.split("\n")[0], output


def test_credentials_and_https():
    server = AdminTls("--admin-auth-file", "@/auth")
    server.write("auth", "basic user:pass\nbearer token\n")
    server.write("bearer", "bearer token\n")
    server.write("wrong", "basic user:wrong\n")
    signed(server.folder, authority(server.folder))
    with server:
        address, ca = "127.0.0.1:%ds" % server.admin, server.path("ca.pem")
        for name in ("auth", "bearer"):
            result, output, said = status("--auth-file", server.path(name), "--ca", ca, address)
            assert result == 0 and output.startswith("CMCWH OK - "), (output, said)
        for options in ((), ("--auth-file", server.path("wrong"))):
            result, output, _ = status(*options, "--ca", ca, address)
            assert result == 3 and "401: credentials are missing or wrong" in output, output
        result, output, _ = status(address)
        assert result == 3 and "is not trusted" in output, output
        result, output, _ = status("--ca", ca, "https://localhost:%d" % server.admin)
        assert result == 3 and "for another name" in output, output
        result, output, _ = status("127.0.0.1:%d" % server.admin)
        assert result == 3 and "400: " in output and "https" in output, output

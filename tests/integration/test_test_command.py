"""cmcwh test: what it sends, and what it makes of whatever comes back."""

import re

from harness import Server, Skipped, free_port, run
from peers import Says, answer_of, authority, signed


def post(url, *options):
    status, output, said = run("test", *options, url)
    assert said.count("\n") <= 1, said
    return status, output.decode(), said


def url_of(server, path="/mails", scheme="http"):
    return "%s://127.0.0.1:%d%s" % (scheme, server.port, path)


def test_an_event_is_taken_in_each_form():
    with Server() as server:
        seen = set()
        for number, kind in enumerate(((), ("--type", "json"), ("--type=multipart",))):
            status, output, said = post(url_of(server), *kind)
            assert (status, said) == (0, ""), said
            event = server.wait_lines(number + 1)[-1]
            assert event["messageId"] in output and output.startswith("200: taken"), output
            assert event["event_type"] == "deliveries" and event["status"] == "queued"
            assert event["subject"].startswith("cmcwh test") and event["subject"].endswith("(テスト)")
            assert event["to"].endswith(".invalid") and event["server_composition"] == "test"
            assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", event["created"])
            seen.add(event["id"])
        assert len(seen) == 3


def test_it_looks_like_the_service():
    with Says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{\"stored\":1}\r\n0\r\n\r\n") as peer:
        assert post(url_of(peer, "/a?b"))[0] == 0
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /a?b HTTP/1.1\r\n")
    for line in (b"Host: 127.0.0.1:%d" % peer.port, b"Connection: Keep-Alive",
                 b"Content-Type: application/x-www-form-urlencoded; charset=UTF-8"):
        assert line in head.split(b"\r\n"), head
    assert b"Authorization" not in head and body.startswith(b"server_composition=test&event_type=deliveries&event=%7B")


def test_credentials():
    server = Server("--auth-file", "@/auth")
    server.write("auth", "basic user:pass word\nbearer token\napi_key key \u3042\n")
    server.write("bearer", "# one\nbearer token\nbearer other\n")
    server.write("key", "api_key key \u3042\n")
    server.write("wrong", "basic user:wrong\n")
    server.write("both", "bearer token\napi_key wrong\n")
    server.write("open", "bearer token\n", 0o644)
    with server:
        status, _, said = post(url_of(server))
        assert status == 1 and "401 unauthorized" in said and "give them with --auth-file" in said, said
        for name in ("auth", "bearer", "key"):
            for kind in ("form", "json", "multipart"):
                status, _, said = post(url_of(server), "--auth-file", server.path(name), "--type", kind)
                assert status == 0, (name, kind, said)
        for name in ("wrong", "both"):
            status, _, said = post(url_of(server), "--auth-file", server.path(name))
            assert status == 1 and "401 unauthorized" in said and "compare --auth-file" in said, said
        status, _, said = post(url_of(server), "--auth-file", server.path("open"))
        assert status == 2 and "chmod 600" in said, said
        for _ in range(10):
            last = post(url_of(server), "--auth-file", server.path("wrong"))
        assert last[0] == 1 and "429" in last[2] and "wait a minute" in last[2], last


def test_what_cmcwh_refuses():
    with Server("--allow", "192.0.2.0/24") as server:
        status, _, said = post(url_of(server))
        assert status == 1 and "403 forbidden" in said and "--allow" in said, said
    with Server("--body-max", "100") as server:
        status, _, said = post(url_of(server, "/other"))
        assert status == 1 and "404 not_found" in said and "/mails" in said, said
        status, _, said = post(url_of(server))
        assert status == 1 and "413 " in said and "--body-max" in said, said
    with Server("--sink", "file:/dev/full") as server:
        status, _, said = post(url_of(server))
        assert status == 1 and "503 storage_failed" in said and "fails" in said, said


class Over(Server):
    """A cmcwh with a certificate that an authority has signed for `names`."""

    def __init__(self, names="IP:127.0.0.1, DNS:localhost", days=30):
        super().__init__("--tls-cert", "@/tls.pem", "--tls-key", "@/tls.key", listen="127.0.0.1:0s")
        self.ca = authority(self.folder)
        signed(self.folder, self.ca, names, days)

    def __enter__(self):
        try:
            return super().__enter__()
        except AssertionError as error:
            if "this build has no TLS" in str(error):
                raise Skipped("this build has no TLS") from None
            raise


def test_https():
    with Over() as server:
        status, output, said = post(url_of(server, scheme="https"), "--ca", server.ca)
        assert status == 0 and output.startswith("200"), said
        assert post("https://localhost:%d/mails" % server.port, "--ca", server.ca)[0] == 0
        status, _, said = post(url_of(server, scheme="https"), "--ca", server.path("tls.pem"))
        assert status == 0, "its own certificate is enough: " + said
        server.wait_lines(3)
        stranger = authority(server.folder, "stranger")
        for options in ((), ("--ca", stranger)):
            status, _, said = post(url_of(server, scheme="https"), *options)
            assert status == 1 and "is not trusted" in said, said
        for name, part in (("auth", "No such file"), ("tls.key", "expected certificates"), ("log", "expected cert")):
            status, _, said = post(url_of(server, scheme="https"), "--ca", server.path(name))
            assert status == 2 and part in said and "--ca" in said, said
        status, _, said = post(url_of(server))
        assert status == 1 and "400" in said and "speaks HTTPS" in said and "begin with https://" in said, said
        assert server.count() == 3


def test_a_certificate_for_somebody_else_or_another_time():
    for names, url in (("DNS:other.example", "https://127.0.0.1:%d/mails"),
                       ("DNS:127.0.0.1", "https://127.0.0.1:%d/mails"),
                       ("IP:127.0.0.1, DNS:*ocalhost", "https://localhost:%d/mails")):
        with Over(names) as server:
            status, _, said = post(url % server.port, "--ca", server.ca)
            assert status == 1 and "for another name" in said, said
            assert server.count() == 0
    with Over(days=-1) as server:
        status, _, said = post(url_of(server, scheme="https"), "--ca", server.ca)
        assert status == 1 and "must be renewed" in said, said


def test_who_is_not_there():
    status, _, said = post("http://127.0.0.1:%d/mails" % free_port())
    assert status == 1 and "refused" in said and "is the server running" in said, said
    status, _, said = post("http://nowhere.invalid/mails")
    assert status == 1 and "the host is not found" in said, said
    with Says(None) as peer:
        status, _, said = post(url_of(peer), "--timeout", "1")
        assert status == 1 and "took too long (1 s): no reply has come" in said, said
    with Says(None, reads=False) as peer:
        status, _, said = post(url_of(peer, scheme="https"), "--timeout", "1")
        if "no TLS" not in said:
            assert status == 1 and "took too long (1 s): in the handshake" in said, said


def test_what_others_answer():
    for answer, part in (
            (answer_of(b"308 Moved", b"", b"Location: https://other.example/mails"),
             "308 to https://other.example/mails: a redirect is not followed"),
            (answer_of(b"400 Bad Request", b"<html>plain HTTP to HTTPS port"), "400: does the port want HTTPS?"),
            (answer_of(b"404 Not Found", b"<html>404 Not Found</html>"), "404: nothing is at this path"),
            (answer_of(b"405 Not Allowed"), "405: nothing can be posted"),
            (answer_of(b"411 Length Required"), "411: a front"),
            (answer_of(b"415 Unsupported", b'{"error":"unsupported_media_type"}'), "try --type json"),
            (answer_of(b"502 Bad Gateway"), "does not reach the server"),
            (answer_of(b"503 Busy", b'{"error":"ring_full","detail":"no \\"room\\""}'),
             '503 ring_full (no "room"): its ring is full'),
            (answer_of(b"503 Busy", b'{"error":["x"],"detail":{}}'), "takes nothing now"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", "nothing but a 200"),
            (answer_of(b"418 Teapot"), "418: the service takes nothing but a 200"),
            (answer_of(b"200 OK", b"<html>It works!</html>"), "its body is not cmcwh's"),
            (answer_of(b"200 OK", b'{"ok":true}'), "its body is not cmcwh's"),
            (answer_of(b"200 OK", b"\x1f\x8b", b"Content-Encoding: gzip"), "its body is not cmcwh's"),
            (answer_of(b"401 No", b"x" * 5000), "it wants credentials"),
            (b"SSH-2.0-OpenSSH\r\n", "does not begin as HTTP/1.1"),
            (b"\x15\x03\x03\x00\x02\x02\x46", "before it is whole"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "before it is whole"),
            (b"", "closed without one")):
        with Says(answer) as peer:
            status, output, said = post(url_of(peer))
        assert status == 1 and part in said and output == "", (answer, said)


def test_what_comes_back_does_nothing_to_a_terminal():
    for answer in (answer_of(b"302 Found", b"", b"Location: \x1b[2J\xc2\x9b"),
                   answer_of(b"401 No", b'{"error":"\x1b[2J","detail":"\\u001b[2J\xc2\x9b2J"}'),
                   b"\x1b[2J"):
        with Says(answer) as peer:
            _, _, said = post(url_of(peer))
        assert "\x1b" not in said and "\x9b" not in said, said


def test_whoever_answers_without_an_end():
    for answer in (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9000000,
                   b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000000,
                   b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 900000):
        with Says(answer) as peer:
            status, _, said = post(url_of(peer))
        assert status == 1 and said.count("\n") == 1, said


def test_a_refusal_before_the_request_is_read():
    with Says(answer_of(b"413 Too Large", b"", b"Connection: close"), reads=False) as peer:
        status, _, said = post(url_of(peer))
    assert status == 1 and "413: it is too large" in said, said


def test_wrong_usage():
    for arguments, part in (((), "one URL"), (("a", "b"), "'b'"), (("ftp://x/",), "https://HOST"),
                            (("http://x/\r\nX: y",), "blanks as %20"), (("http://u:p@x/",), "'http://***@x/': a user or password in it is seen by everybody"),
                            (("--type", "xml", "http://x/"), "form, json or multipart"), (("--what", "http://x/"), "--what"),
                            (("--timeout", "0", "http://x/"), "seconds"), (("http://x/", "--ca"), "a value must follow"),
                            (("http://x/" + "x" * 20000,), "too long"), (("http://x/", "--auth-file", "/nowhere"), "/nowhere")):
        status, output, said = run("test", *arguments)
        assert status == 2 and output == b"" and said.count("\n") == 1 and part in said, (arguments, said)

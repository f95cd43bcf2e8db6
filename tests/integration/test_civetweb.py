"""Published faults of civetweb: that none of them can be reached here. civetweb runs its own code for
files, forms, websockets and listings only when begin_request leaves a request to it, which ours never
does; and NO_FILES, NO_CGI and no USE_WEBSOCKET leave most of it out of the program."""

import os
import subprocess

import harness
from harness import Client, Server, body, request


def answers(server, data):
    client = Client(server.port)
    try:
        client.send(data)
        return client.answer().status
    finally:
        client.close()


def test_long_path_of_a_directory():
    """CVE-2025-55763: a path of nearly the size of the request's buffer, without a slash at its end, made
    the redirection to a directory write past the buffer."""
    with Server("--workers", "1") as server:
        for length in list(range(8000, 8200)) + [1, 100, 4096, 10000]:
            head = b"GET /" + b"x" * length + b" HTTP/1.1\r\nHost: x\r\n\r\n"
            assert answers(server, head) in (400, 404, 431), length
            assert answers(server, b"GET " + b"/" * length + b" HTTP/1.1\r\nHost: x\r\n\r\n") in \
                (400, 404, 431)
            head = b"GET /" + b"x" * (length // 2) + b"?" + b"y" * (length // 2) + b" HTTP/1.1\r\nHost: x\r\n\r\n"
            assert answers(server, head) in (400, 404, 431), length
        assert server.post(body()).status == 200


def multipart(content, boundary="b", path="/mails"):
    return request(content, path=path,
                   content_type="multipart/form-data; boundary=" + boundary)


def test_forms_do_not_reach_its_form_parser():
    """CVE-2020-27304: file names of an upload left the folder. CVE-2025-9648: a zero byte in a form made an
    endless loop. And a preamble before the first boundary, twice on a connection, made a stack overflow."""
    upload = (b'--b\r\nContent-Disposition: form-data; name="file"; filename="../../../@"\r\n'
              b"Content-Type: text/plain\r\n\r\nowned\r\n--b--\r\n")
    with Server("--workers", "1") as server:
        name = os.path.join(server.folder, "owned").encode()
        for path in ("/mails", "/", "/upload"):
            status = answers(server, multipart(upload.replace(b"@", name), path=path))
            assert status in (404, 422)
        assert not os.path.exists(name)
        for data in (b"event_type=\0&event=\0", b"\0" * 5000, b"a=b\0c&" * 1000):
            status = answers(server, request(data, content_type="application/x-www-form-urlencoded"))
            assert status in (400, 422)
        client = Client(server.port)
        for preamble in (b"", b"x" * 8000, b"\r\n" * 4000, b"--b" * 2000, b"-" * 8191):
            client.send(multipart(preamble + b'\r\n--b\r\nContent-Disposition: form-data; name="x"'
                                  b"\r\n\r\n\r\n--b--\r\n"))
            assert client.answer().status == 422
        client.close()
        assert server.post(body()).status == 200


def test_websockets_and_methods_of_files():
    """CVE-2026-29035 and others in websockets and HTTP/2: upgrades are not taken. And nothing is
    stored, listed, deleted or run."""
    with Server("--workers", "1") as server:
        for path in ("/mails", "/", "/index.html", "/x.cgi", "/x.shtml", "/x.lua", "/.htpasswd"):
            for method in ("GET", "PUT", "DELETE", "MKCOL", "PROPFIND", "OPTIONS", "CONNECT", "PATCH"):
                head = "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % (method, path)
                status = answers(server, head.encode())
                assert status == (405 if path == "/mails" else 404), (method, path, status)
        for version in ("0", "8", "13"):
            status = answers(server, request(b"", method="GET", headers=[
                "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: " + version,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]))
            assert status == 405
        status = answers(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert status == 400
        assert server.post(body()).status == 200


def test_what_is_left_out_of_the_program():
    """Neither files nor CGI, SSI (CVE-2018-12684), Lua nor websockets are in it."""
    text = subprocess.run(["strings", harness.CMCWH], stdout=subprocess.PIPE, check=True).stdout
    for word in (b"GATEWAY_INTERFACE", b"#exec", b"Sec-WebSocket-Accept", b"#include"):
        assert word not in text, word

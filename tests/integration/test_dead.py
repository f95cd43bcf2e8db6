"""Dead letters: what a server refuses for good is kept, and what follows goes on."""

import json
import os
import resource
import signal
import stat

from harness import Server, body, run
from test_filter import cat, cat_seqs
from test_onward import Application, EVENT, webhook
from test_summary import summary

LIMIT = 262144  # bytes of a file; the disk is full then


class Picky(Application):
    """Refuses requests in which `word` stands."""

    def __init__(self, word):
        super().__init__()
        requests = self.refused = []
        handler = self.server.RequestHandlerClass

        class Refusing(handler):
            def do_POST(self):
                content = self.rfile.peek(int(self.headers["Content-Length"]))
                if word in content:
                    self.rfile.read(int(self.headers["Content-Length"]))
                    requests.append(content)
                    answer = b"no \x1b[2J\xff\n"
                    self.send_response(422)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                else:
                    super().do_POST()

        self.server.RequestHandlerClass = Refusing


def letters(path):
    """What the lines about letters say, and all events."""
    with open(path, "rb") as file:
        lines = [json.loads(line) for line in file]
    return [line["dead"] for line in lines if "dead" in line], [line for line in lines if "dead" not in line]


def test_what_is_refused_is_kept():
    with Picky(b"poison") as application:
        server = Server("--ring", "@/ring")
        path = server.path("dead")
        server.command += ["--sink", application.uri(wait=0, tries=2, dead=path, format="cmc", batch=1)]
        with server:
            for subject in ("a", "poison 1", "b", "poison 2", "c"):
                assert server.post(webhook("deliveries", dict(EVENT, subject=subject))).status == 200
            application.wait(3)
            log = server.wait_lines(5)
            got = [json.loads(content)["event"]["deliveries"][0]["subject"] for _, _, content in application.requests]
            assert got == ["a", "b", "c"] and len(application.refused) == 4
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            said, events = letters(path)
            assert events == [log[1], log[3]]
            for letter in said:
                assert letter["status"] == 422 and letter["events"] == 1 and letter["answer"] == "no \x1b[2J\ufffd\n"
                assert letter["sink"].startswith("http://127.0.0.1:") and letter["at"][-1] == "Z"
            assert cat_seqs(path) == [2, 4] and cat_seqs("--last", "1", path) == [4]
            with open(path, "rb") as file:
                assert cat(path) == b"".join(line for line in file if not line.startswith(b'{"dead":'))
            assert json.loads(summary("--format", "json", path)[0])["events"] == 1  # both have the same id


def test_a_full_disk_acknowledges_nothing():
    """What can be neither delivered nor kept waits in the ring; it is the next thing done when there is room again."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
    with Picky(b"poison") as application:
        server = Server("--ring", "@/ring", "--ring-records", "100", preload=limit)
        path = server.write("dead", '{"dead":{}}\n' * (LIMIT // 12))
        before = os.path.getsize(path)
        server.command += ["--sink", application.uri(wait=0, tries=1, batch=1, dead=path)]
        with server:
            assert server.post(webhook("deliveries", dict(EVENT, subject="poison"))).status == 200
            assert server.post(body(1)).status == 200
            server.wait_said("cannot be written: File too large")
            assert os.path.getsize(path) == before and application.requests == []
            server.kill()
            assert os.path.getsize(path) == before
            server.restart()
            server.wait_said("cannot be written: File too large")
            os.truncate(path, 0)
            server.signal(signal.SIGHUP)
            application.wait(1)
            assert [line["to"] for line in application.lines()] == ["user0@example.jp"]
            said, events = letters(path)
            assert [letter["events"] for letter in said] == [1] and [event["subject"] for event in events] == ["poison"]


def test_places_where_none_can_be():
    server = Server()
    os.mkdir(server.path("folder"))
    os.mkfifo(server.path("fifo"))
    os.symlink(server.path("fifo"), server.path("link"))
    os.symlink(server.path("none"), server.path("nothing"))
    for name, part in (("folder", "Is a directory"), ("fifo", "Is a pipe"), ("link", "Is a pipe"), ("nothing", "is a link to nothing"),
                       ("none/x", "No such file"), ("/dev/null", "Is a device")):
        uri = "http://127.0.0.1:9/?dead=" + (name if name[0] == "/" else server.path(name))
        status, _, said = run("serve", "--check-config", "--sink", uri)
        assert status == 2 and said.count("\n") == 1 and "dead-letter file '" in said and part in said, said
    assert run("serve", "--check-config", "--sink", "http://127.0.0.1:9/?dead=" + server.path("new"))[0] == 0
    assert not os.path.exists(server.path("new"))
    with server:
        pass

"""URIs of sinks that speak HTTP or MQTT, and the files that they name: what is wrong with them is said in one line, and
nothing is started; what is wrong with the files later is said too, and changes nothing."""

import os
import re
import shutil
import signal
import tempfile

from harness import Server, Skipped, body, eventually, run
from test_https import Https, certificate
from test_onward import Application

SECRET = "Geheimnis"
HOST = "HOST or HOST:PORT behind '//', a port from 1 to 65535"
BROKER = "expected //HOST[:PORT] after the colon"

# Each with what must be said of it. ~ is the folder with the files below.
HTTP = (
    ("http:", "expected https://HOST[:PORT]/PATH or http://"),
    ("http:/host/", "expected https://HOST[:PORT]/PATH or http://"),
    ("http://", HOST),
    ("http:///path", HOST),
    ("http://:80/", HOST),
    ("http://host:0/", HOST),
    ("http://host:70000/", HOST),
    ("http://host:in/", HOST),
    ("http://[::1/", HOST),
    ("http://host/a b", "blanks as %20"),
    ("http://host/#part", "no '#'"),
    ("http://user:" + SECRET + "@host/", "'http://***@host/': a user or password in it is seen by everybody"),
    ("http://" + SECRET + "@host/?batch=0", "write 'basic USER:PASSWORD' into a file, and name that with headers=FILE"),
    ("http://host/%s?batch=0" % ("a" * 2000), "aaa...': 'batch=0': expected batch=EVENTS, from 1 to 1000"),
    ("http://%s/" % ("a" * 2000), HOST),
    ("http://host/?what=1", "'what=1': expected format, policy, only, form, batch, wait, tries, timeout, dead, query, "
                            "headers, ca, cert, key\n"),
    ("http://host/?batch", "'batch': expected NAME=VALUE"),
    ("http://host/?batch=0", "'batch=0': expected batch=EVENTS, from 1 to 1000"),
    ("http://host/?batch=1001", "'batch=1001': expected batch=EVENTS, from 1 to 1000"),
    ("http://host/?format=cmc&batch=201", "with format=cmc 200 at most"),
    ("http://host/?wait=60001", "'wait=60001': expected wait=MS, from 0 to 60000"),
    ("http://host/?tries=x", "'tries=x': expected tries=N, from 1 to 1000"),
    ("http://host/?tries=0", "'tries=0': expected tries=N, from 1 to 1000"),
    ("http://host/?timeout=61", "'timeout=61': expected timeout=SECONDS, from 1 to 60"),
    ("http://host/?format=binary", "'format=binary': expected format=json or cmc"),
    ("http://host/?form=1", "form=1 is for format=cmc"),
    ("http://host/?format=cmc&form=yes", "'form=yes': expected form=0 or 1"),
    ("http://host/?policy=often", "'policy=often': expected policy=required or besteffort"),
    ("http://host/?only=fialed", "not 'fialed' as word 1"),
    ("http://host/?query=%zz", "'query=%zz': expected query=TEXT, with '&' as %26 and '%' as %25"),
    ("http://host/?query=a%0d%0aX:y", "'query=a%0d%0aX:y': expected query=TEXT"),
    ("http://host/?dead=", "'dead=': expected dead=PATH"),
    ("http://host/?dead=~/folder", "~/folder': Is a directory, not a file"),
    ("http://host/?dead=~/none/dead", "~/none/dead': No such file or directory"),
    ("http://host/?headers=~/none", "headers: ~/none: No such file or directory"),
    ("http://host/?headers=~/folder", "headers: ~/folder: Is a directory, not a file"),
    ("http://host/?headers=~/open", "headers: ~/open: others may read it; make it private with chmod 600"),
    ("http://host/?headers=~/ours", "headers: ~/ours:2: this header is the sink's own: leave it out"),
    ("http://host/?headers=~/nonsense", "headers: ~/nonsense:1: expected: basic USER:PASSWORD, bearer TOKEN"),
    ("http://host/?headers=~/no-password", "headers: ~/no-password:1: expected: basic USER:PASSWORD"),
    ("http://host/?ca=~/one.pem", "are for TLS, which this scheme has not"),
)
HTTPS = (
    ("https://", HOST),
    ("https://host/?ca=", "'ca=': expected ca=FILE"),
    ("https://host/?ca=~/none", "ca: ~/none: No such file or directory"),
    ("https://host/?ca=~/nonsense", "ca: ~/nonsense: expected certificates in PEM"),
    ("https://host/?key=~/one.key", "key= is of no use without cert="),
    ("https://host/?cert=~/one.pem", "cert: ~/one.pem:"),
    ("https://host/?cert=~/one.pem&key=~/two.key", "key: ~/two.key: it is not the key of the certificate"),
)
MQTT = (
    ("mqtt:", BROKER),
    ("mqtt://", BROKER),
    ("mqtt://host/path", BROKER),
    ("mqtt://:1883", BROKER),
    ("mqtt://host:0", BROKER),
    ("mqtt://host:70000", BROKER),
    ("mqtt://user:" + SECRET + "@host", "write 'basic USER:PASSWORD' into a file, and name that with auth=FILE"),
    ("mqtt://host?topic=", "'topic=': expected a topic of 1 to 255 bytes"),
    ("mqtt://host?topic=a/#", "'topic=a/#': expected a topic without '+' and '#'"),
    ("mqtt://host?topic=a/+/b", "'topic=a/+/b': expected a topic without '+' and '#'"),
    ("mqtt://host?topic=$SYS/x", "'topic=$SYS/x': expected a topic that does not begin with '$'"),
    ("mqtt://host?topic={nobody}", "expected not '{nobody}' but {reason}, "),
    ("mqtt://host?topic={to", "'topic={to': expected a topic whose braces have a name between them"),
    ("mqtt://host?state=a/{to}", "'state=a/{to}': expected state=TOPIC, without braces"),
    ("mqtt://host?client=", "'client=': expected client=ID"),
    ("mqtt://host?retain=yes", "'retain=yes': expected retain=0 or 1"),
    ("mqtt://host?window=0", "'window=0': expected window=N, from 1 to 1000"),
    ("mqtt://host?window=1001", "'window=1001': expected window=N, from 1 to 1000"),
    ("mqtt://host?keepalive=1", "'keepalive=1': expected keepalive=SECONDS, from 5 to 65535"),
    ("mqtt://host?version=4", "'version=4': expected version=5 or 3.1.1"),
    ("mqtt://host?format=cmc", "'format=cmc': expected format=json, logfmt or binary\n"),
    ("mqtt://host?batch=5", "'batch=5': expected format, policy, only, topic, state, client, retain, window, keepalive, "
                            "version, auth, ca, cert, key\n"),
    ("mqtt://host?auth=~/none", "auth: ~/none: No such file or directory"),
    ("mqtt://host?auth=~/open", "auth: ~/open: others may read it; make it private with chmod 600"),
    ("mqtt://host?auth=~/token", "auth: ~/token:1: expected: basic USER:PASSWORD\n"),
    ("mqtt://host?ca=~/one.pem", "are for TLS, which this scheme has not"),
)
MQTTS = (
    ("mqtts://host?ca=~/nonsense", "ca: ~/nonsense: expected certificates in PEM"),
    ("mqtts://host?cert=~/one.pem&key=~/two.key", "key: ~/two.key: it is not the key of the certificate"),
)


class Files:
    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="cmcwh-test-")
        os.mkdir(os.path.join(self.path, "folder"))
        self.text("open", "bearer %s\n" % SECRET, 0o644)
        self.text("ours", "X-Mine: %s\nHost: elsewhere\n" % SECRET)
        self.text("nonsense", "%s and nothing else\n" % SECRET)
        self.text("no-password", "basic %s\n" % SECRET)
        self.text("token", "bearer %s\n" % SECRET)
        for name in ("one", "two"):
            certificate(self.path, name)

    def text(self, name, content, mode=0o600):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(path, mode)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.path)


def need(scheme):
    """Skips what this build was made without."""
    said = run("serve", "--check-config", "--sink", scheme + "://host:0/")[2]
    lacks = re.search("this build has no [A-Z]+", said)
    if lacks:
        raise Skipped(lacks.group())


def assert_refused(uris):
    with Files() as files:
        for uri, expected in uris:
            uri, expected = (text.replace("~", files.path) for text in (uri, expected))
            for more in ([], ["--check-config"]):
                status, output, said = run("serve", "--listen", "127.0.0.1:0", "--sink", uri, *more)
                assert (status, output) == (2, b""), (uri, more, status, said)
                assert re.match("cmcwh: (error: )?--sink: '", said) and said.count("\n") == 1, said
                assert expected in said, (uri, said)
                assert SECRET not in said, said


def test_http():
    need("http")
    assert_refused(HTTP)


def test_https():
    need("https")
    assert_refused(HTTPS)


def test_mqtt():
    need("mqtt")
    assert_refused(MQTT)


def test_mqtts():
    need("mqtts")
    assert_refused(MQTTS)


def reload(server, said):
    """SIGHUP. What was said before is not taken for its answer."""
    before = server.stderr().count(said)
    server.signal(signal.SIGHUP)
    return server.wait_said(said, before + 1)


def test_credentials_are_read_again():
    need("http")
    with Application() as application:
        server = Server("--sink", application.uri(headers="@/headers"), sink=False)
        server.write("headers", "bearer one\n")

        def shown():
            assert server.post(body()).status == 200
            return application.requests[-1][1]
        with server:
            assert shown()["Authorization"] == "Bearer one"
            server.write("headers", "bearer two\nX-More: yes\n")
            assert shown()["Authorization"] == "Bearer one"
            reload(server, "files are opened anew")
            headers = shown()
            assert (headers["Authorization"], headers["X-More"]) == ("Bearer two", "yes")
            # What is wrong is said, and changes nothing.
            for content, mode, what in ((SECRET + "\n", 0o600, "headers:1: expected: basic"),
                                        ("bearer three\n", 0o644, "headers: others may read it"),
                                        (None, 0, "headers: No such file or directory")):
                if content is None:
                    os.unlink(server.path("headers"))
                else:
                    server.write("headers", content, mode)
                said = reload(server, "stays in force")
                assert what in said and SECRET not in said, said
                headers = shown()
                assert (headers["Authorization"], headers["X-More"]) == ("Bearer two", "yes")
            server.write("headers", "basic user:four\n")
            reload(server, "files are opened anew")
            headers = shown()
            assert headers["Authorization"] == "Basic dXNlcjpmb3Vy" and headers["X-More"] is None


def test_certificates_are_read_again():
    """The peer has a new certificate: the sink says so, and works again with the certificates that trust it."""
    need("https")
    with Https() as peer:
        server = Server("--sink", "https://localhost:%d/mails?format=cmc&ca=@/ca" % peer.port, sink=False)
        shutil.copy(peer.path("tls.pem"), server.path("ca"))
        with server:
            assert server.post(body()).status == 200
            certificate(peer.folder, "tls")
            reload(peer, "files are opened anew")
            said = reload(server, "certificate")
            assert "works again" not in said, said
            assert server.post(body()).status == 503
            shutil.copy(peer.path("tls.pem"), server.path("ca"))
            reload(server, "files are opened anew")
            eventually(lambda: server.post(body()).status == 200, "a 200")
            server.wait_said("works again")

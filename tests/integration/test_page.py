"""The status page: what is sent, and what a real browser makes of it. tests/page/page.js drives Debian's
Chromium; `make page-deps` brings both."""

import base64
import hashlib
import os
import re
import shutil
import subprocess

from harness import Skipped, body
from test_admin import Admin

MODULES = "build/deps/page/node_modules"
HTML = "Accept: text/html"
SECONDS = 300  # for a browser on a busy machine


def digest(text):
    return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text).digest()).decode()


def test_policy_allows_what_is_sent_and_nothing_else():
    with Admin() as server:
        answer = server.look("/", HTML)
        policy = answer.headers["content-security-policy"][0]
        assert policy.startswith("default-src 'none'; "), policy
        for tag in ("style", "script"):
            found = re.findall(b"<%s>(.*?)</%s>" % (tag.encode(), tag.encode()), answer.body, re.S)
            wanted = "%s-src %s;" % (tag, digest(found[0]))
            assert len(found) == 1 and wanted in policy, "in page.html the policy must say " + wanted
        assert re.search(rb"(?i)\sstyle=|\son[a-z]+=|https?://(?!www\.w3\.org/2000/svg)", answer.body) is None


def test_page_is_small_and_never_kept():
    with Admin() as server:
        server.post(body(20, status="failed", reason="<" * 2000))
        for path in ("/", "/?lang=ja", "/?hide=addresses&lang=en"):
            raw = server.raw(("GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % (path, HTML)).encode())
            assert len(raw) < 16384, len(raw)
            assert b"\r\nCache-Control: no-store\r\n" in raw
            assert b"user19@example.jp" in raw or b"hide" in path.encode(), raw[-4000:]
            assert b"user19@" not in raw or b"hide" not in path.encode(), raw[-4000:]


def test_addresses_are_hidden_for_all():
    with Admin("--hide-addresses", "yes") as server:
        server.post(body(3, status="failed", reason="no user0@example.jp here"))
        for path in ("/", "/events", "/events.csv", "/status.json", "/metrics"):
            for accept in (HTML, "Accept: */*"):
                answer = server.look(path, accept)
                assert b"user0" not in answer.body, (path, answer.body)
        assert b"*****@example.jp" in server.look("/events").body
        assert b"Addresses are hidden" in server.look("/", HTML).body


def browser():
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None or shutil.which("node") is None or not os.path.isdir(MODULES):
        raise Skipped("Chromium, Node.js or its packages are missing: make page-deps")
    return found


def drive(server, chromium, *pictures, **environment):
    """Runs page.js against a server. Returns what it says."""
    result = subprocess.run(
        ["node", "tests/page/page.js", "http://127.0.0.1:%d/" % server.admin,
         "http://127.0.0.1:%d/mails" % server.port] + list(pictures),
        env=dict(os.environ, CHROMIUM=chromium, MODULES=os.path.abspath(MODULES), HOME=server.folder, **environment),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
    text = result.stdout.decode("utf-8", "replace")
    assert result.returncode == 0, text
    return text


def test_page_in_a_browser():
    chromium = browser()
    with Admin() as server:
        text = drive(server, chromium)
        assert re.search(r"^\d+ checks$", text, re.M), text

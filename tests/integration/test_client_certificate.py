"""A peer that wants to know who we are: the certificate of a sink, and who may read it again."""

import os
import ssl

import harness
from harness import Server, Skipped, body, run
from test_https import certificate
from test_onward import Application


class Asking(Application):
    """Talks to nobody but who has the certificate in `known`; its own is in `folder`."""

    def __init__(self, folder, known):
        super().__init__()
        self.ca, key = certificate(folder, "peer")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, key)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(known)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.handle_error = lambda *unused: None

    def uri(self, **parameters):
        plain = super().uri(ca=self.ca, wait=0, **parameters)
        return plain.replace("http://127.0.0.1", "https://localhost", 1)


def check(uri):
    status, _, said = run("serve", "--check-config", "--sink", uri)
    if "has no TLS" in said or "has no HTTP" in said:
        raise Skipped("this build has no HTTPS sinks")
    assert status == 0, said


def test_who_we_are():
    server = Server("--ring", "@/ring")
    cert, key = certificate(server.folder, "ours")
    other, other_key = certificate(server.folder, "other")
    both = server.path("both.pem")
    with open(both, "w", encoding="ascii") as file:
        for name in (key, cert):
            with open(name, encoding="ascii") as part:
                file.write(part.read())
    os.chmod(both, 0o600)
    with Asking(server.folder, cert) as peer:
        check(peer.uri(cert=cert, key=key))
        server.command += ["--sink", peer.uri(cert=cert, key=key), "--sink", peer.uri(cert=both).replace("/in", "/one-file"),
                           "--sink", peer.uri(policy="besteffort").replace("/in", "/nobody"), "--sink",
                           peer.uri(policy="besteffort", cert=other, key=other_key).replace("/in", "/other")]
        with server:
            assert server.post(body(1)).status == 200
            harness.eventually(lambda: {path.partition("?")[0] for path, _, _ in peer.requests} == {"/in", "/one-file"},
                               "both")
            for name in ("nobody", "other"):
                said = server.wait_said("/%s?" % name)
                line = next(line for line in said.split("\n") if "/%s?" % name in line)
                assert "no connection over TLS: " in line and "alert" in line and "want a certificate" in line, line
        assert {path.partition("?")[0] for path, _, _ in peer.requests} == {"/in", "/one-file"}


def test_who_may_not_read_it_again():
    if os.geteuid() != 0:
        raise Skipped("not root")
    server = Server("--user", "nobody", sink=False)
    cert, key = certificate(server.folder, "ours")
    headers = server.write("headers", "bearer token\n")
    os.chmod(server.folder, 0o755)
    os.chmod(cert, 0o644)
    with Asking(server.folder, cert) as peer:
        os.chmod(peer.ca, 0o644)
        check(peer.uri(cert=cert, key=key, headers=headers))
        server.command += ["--sink", peer.uri(cert=cert, key=key, headers=headers, policy="besteffort")]
        with server:
            assert server.post(body(1)).status == 200
            assert peer.wait(1)[0][1]["Authorization"] == "Bearer token"
            said = server.stderr()
            for name, path in (("headers", headers), ("key", key)):
                assert "': %s: %s: Permission denied for uid 65534: SIGHUP will not read it again" % (name, path) in said, said
            assert said.count("SIGHUP will not read it again") == 2

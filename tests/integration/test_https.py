"""HTTPS: certificates, what is refused at start, reloading, protocol versions."""

import os
import signal
import socket
import ssl
import subprocess
import threading

import harness
from harness import Client, Server, Skipped, body, eventually, loading, payload, request, run


VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


KEYS = {"ECDSA": ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"), "RSA": ("rsa:2048",), "small RSA": ("rsa:1024",)}


def certificate(folder, name, days=30, subject="localhost", kind="ECDSA"):
    """A self-signed certificate and its key. Returns both paths."""
    cert, key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", *KEYS[kind], "-nodes", "-keyout", key, "-out", cert,
                    "-days", str(days), "-subj", "/CN=" + subject],
                   stderr=subprocess.DEVNULL, check=True)
    os.chmod(key, 0o600)
    return cert, key


class Https(Server):
    def __init__(self, *options, kind="ECDSA", **more):
        super().__init__("--tls-cert", "@/tls.pem", "--tls-key", "@/tls.key", *options,
                         listen="127.0.0.1:0s", **more)
        certificate(self.folder, "tls", kind=kind)

    def __enter__(self):
        try:
            return super().__enter__()
        except AssertionError as error:
            if "this build has no TLS" in str(error):
                raise Skipped("this build has no TLS") from None
            raise

    def context(self):
        context = ssl.create_default_context(cafile=self.path("tls.pem"))
        context.check_hostname = False
        return context

    def client(self, context=None):
        client = Client(self.port)
        client.socket = (context or self.context()).wrap_socket(client.socket,
                                                                server_hostname="localhost")
        return client

    def post(self, data, **more):
        client = self.client()
        try:
            client.send(request(data, **more))
            return client.answer()
        finally:
            client.close()


def test_post_over_https():
    with Https("--listen", "127.0.0.1:0") as server:
        assert "listening on https://127.0.0.1:" in server.stderr()
        assert server.post(payload("deliveries-queued.json")).json() == {"stored": 1}
        assert server.post(body(2000, reason="x" * 300)).status == 413  # more than the ring holds
        assert server.post(body(900, reason="x" * 300)).status == 200
        client = server.client()
        for i in range(5):  # kept alive
            client.send(request(body(first=i)))
            assert client.answer().status == 200
        client.close()
        plain = Client(server.ports[1])
        plain.send(request(body()))
        assert plain.answer().status == 200
        plain.close()
        wrong = Client(server.port)  # plain HTTP to the HTTPS port
        wrong.send(request(body()))
        answer = wrong.answer()
        assert answer.status == 400 and "speaks HTTPS" in answer.json()["detail"]
        assert wrong.closed()
        wrong.close()


def test_bodies_of_many_records():
    """A record that does not fit into what is left of the kernel's room must be read in part."""
    with Https("--ring-records", "4096") as server:
        client = server.client()
        for _ in range(30):
            client.send(request(body(900, reason="x" * 300)))
            assert client.answer().status == 200
        client.close()


def test_chunked_and_late_over_https():
    with Https("--body-timeout", "1") as server:
        client = server.client()
        client.send(b"POST /mails HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n")
        data = body(3)
        for i in range(0, len(data), 7):
            piece = data[i:i + 7]
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        assert client.answer().status == 200
        client.close()
        client = server.client()
        client.send(request(data, length=len(data) + 1))
        assert client.answer().status == 408
        client.close()
        assert len(server.wait_lines(3)) == 3


def test_heads_that_are_late():
    """The head of the first request and of a later one, in a record or before its end."""
    with Https("--body-timeout", "1") as server:
        for before in (0, 1):
            for first in (b"P", b"POST /mails HTTP/1.1\r\nHos", b"POST /mails HTTP/1.1\r\nHost: x\r\n"):
                client = server.client()
                for i in range(before):
                    client.send(request(body(first=i)))
                    assert client.answer().status == 200
                client.send(first)
                answer = client.answer()
                assert answer.status == 408 and answer.json()["error"] == "request_timeout", first
                assert client.closed()
                client.close()
        bytes_of = ssl.MemoryBIO()  # what is sent is kept here, to be sent in part
        received = ssl.MemoryBIO()
        client = Client(server.port)
        session = server.context().wrap_bio(received, bytes_of, server_hostname="localhost")
        pump(client, session.do_handshake, received, bytes_of)
        session.write(request(body()))
        client.send(bytes_of.read()[:20])
        answer = pump(client, lambda: session.read(65536), received, bytes_of)
        assert answer.startswith(b"HTTP/1.1 408 "), answer
        client.close()
        server.signal(signal.SIGUSR1)
        server.wait_said(" 408=7 ")


def pump(client, step, received, sent):
    """Goes on with a session whose bytes the test carries itself, until the step is done."""
    while True:
        try:
            result = step()
            client.send(sent.read())
            return result
        except ssl.SSLWantReadError:
            client.send(sent.read())
            data = client.socket.recv(65536)
            if not data:
                raise ConnectionError("closed") from None
            received.write(data)


def test_a_record_that_was_changed():
    """Its sender is told so, and not that we end because all is said."""
    with Https() as server:
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = Client(server.port)
        context = server.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        session = context.wrap_bio(received, sent, server_hostname="localhost")
        pump(client, session.do_handshake, received, sent)
        session.write(request(body()))
        record = bytearray(sent.read())
        record[-1] ^= 1
        client.send(bytes(record))
        try:
            answer = pump(client, lambda: session.read(65536), received, sent)
            raise AssertionError("it was answered: %r" % answer)
        except ssl.SSLError as error:
            assert "bad record mac" in str(error), error
        client.close()
        assert server.post(body()).status == 200


def test_plain_http_is_said_once_a_minute():
    with Https() as server:
        for method in ("POST", "GET", "OPTIONS"):
            for data in (b"", body(), body(300)):
                wrong = Client(server.port)
                wrong.send(request(data, method=method))
                answer = wrong.answer()
                assert answer.status == 400 and "speaks HTTPS" in answer.json()["detail"]
                assert wrong.closed()
                wrong.close()
        for garbage in (b"\0" * 100, b"\x16\x03\x01\0\x05hello", b"\x15\x03\x01\0\x02\2\0", b"\x80\x2e\1"):
            wrong = Client(server.port)  # nobody who speaks plain HTTP
            wrong.send(garbage)
            try:
                wrong.socket.shutdown(socket.SHUT_WR)  # unless it has been closed already
                while True:
                    wrong.more()
            except OSError:
                assert b"HTTP" not in wrong.buffer
            wrong.close()
        assert server.post(body()).status == 200
        server.stop()
        assert server.stderr().count("plain HTTP came to a port that speaks HTTPS") == 1


def resumes(server, version, session=None):
    """A request over a connection that offers a session. Was it resumed, and the session for the next."""
    context = server.trusting
    context.minimum_version = context.maximum_version = version
    client = Client(server.port)
    client.socket = context.wrap_socket(client.socket, server_hostname="localhost", session=session)
    client.send(request(body()))
    assert client.answer().status == 200  # a ticket comes before it
    reused, session = client.socket.session_reused, client.socket.session
    client.close()
    return reused, session


def test_sessions_are_resumed():
    """By tickets, also after the certificate has been read again; not over a restart."""
    with Https() as server:
        server.trusting = server.context()
        for version in VERSIONS[:1 + harness.tls_1_3()]:
            reused, session = resumes(server, version)
            assert not reused and session.has_ticket
            for _ in range(3):
                reused, session = resumes(server, version, session)
                assert reused, version
            said = server.stderr().count("files are opened anew")
            server.signal(signal.SIGHUP)
            server.wait_said("files are opened anew", said + 1)
            reused, session = resumes(server, version, session)
            assert reused, "%s after a reload" % version
        kept = session
        server.stop()
        server.restart()
        reused, _ = resumes(server, version, kept)
        assert not reused


def test_openssl_resumes():
    with Https() as server:
        for option in ("-tls1_2", "-tls1_3")[:1 + harness.tls_1_3()]:
            def connect(*more):
                done = subprocess.run(
                    ["openssl", "s_client", "-connect", "127.0.0.1:%d" % server.port, option, "-ign_eof",
                     *more], input=request(body(), headers=["Connection: close"]),
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)
                said = done.stdout.decode("latin-1")
                assert "HTTP/1.1 200" in said, said
                return said
            path = server.path("session")
            assert "New, TLSv1." in connect("-sess_out", path)
            assert "Reused, TLSv1." in connect("-sess_in", path, "-sess_out", path)
            server.signal(signal.SIGHUP)
            server.wait_said("files are opened anew", 1 if option == "-tls1_2" else 2)
            assert "Reused, TLSv1." in connect("-sess_in", path)


def test_versions_and_ciphers():
    with Https() as server:
        def version(least, most):
            context = server.context()
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version, context.maximum_version = least, most
            client = server.client(context)
            spoken = client.socket.version()
            client.close()
            return spoken
        v = ssl.TLSVersion
        assert version(v.TLSv1_2, v.TLSv1_2) == "TLSv1.2"
        assert version(v.TLSv1_2, v.TLSv1_3) == ("TLSv1.3" if harness.tls_1_3() else "TLSv1.2")
        try:
            version(v.TLSv1, v.TLSv1_1)
            raise AssertionError("TLS 1.1 was spoken")
        except (ssl.SSLError, ConnectionError):
            pass
        weak = server.context()
        weak.maximum_version = v.TLSv1_2
        weak.set_ciphers("AES128-SHA:AES256-SHA:@SECLEVEL=0")
        try:
            server.client(weak)
            raise AssertionError("a weak cipher was taken")
        except (ssl.SSLError, ConnectionError):
            pass
        assert server.post(body()).status == 200


def refused(server, *options):
    code, _, said = run("serve", "--listen", "127.0.0.1:0s", *options)
    assert code == 2 and said.count("\n") == 1, said
    return said


def test_what_is_refused_at_start():
    with Https() as server:
        cert, key = server.path("tls.pem"), server.path("tls.key")
        other_key = certificate(server.folder, "other")[1]
        assert "needs --tls-cert and --tls-key" in refused(server)
        assert "--tls-key must be given too" in refused(server, "--tls-cert", cert)
        assert "--tls-cert must be given too" in refused(server, "--tls-key", key)
        assert "No such file" in refused(server, "--tls-cert", server.path("x"), "--tls-key", key)
        assert "not the key of the certificate" in refused(server, "--tls-cert", cert, "--tls-key",
                                                           other_key)
        nonsense = server.write("nonsense", "hello\n")
        wrong = "--tls-cert: %s: expected a certificate with its chain in PEM: "
        assert wrong % nonsense + "there is none" in refused(server, "--tls-cert", nonsense, "--tls-key", key)
        with open(cert, encoding="ascii") as file:
            pem = file.read()
        for name, text in (("cut", pem[:300]), ("damaged", pem[:100] + "####" + pem[104:]), ("chain", pem + pem[:300])):
            path = server.write(name, text)
            assert wrong % path + "its bytes are damaged" in refused(server, "--tls-cert", path, "--tls-key", key)
        small, small_key = certificate(server.folder, "small", kind="small RSA")
        assert wrong % small + "its key is too small" in refused(server, "--tls-cert", small, "--tls-key", small_key)
        assert "--tls-key: %s: expected a key in PEM: " % nonsense in refused(server, "--tls-cert", cert, "--tls-key", nonsense)
        open_key = server.path("open")
        with open(key, "rb") as file, open(open_key, "wb") as copy:
            copy.write(file.read())
        os.chmod(open_key, 0o644)
        assert "others may read it" in refused(server, "--tls-cert", cert, "--tls-key", open_key)
        locked = server.path("locked")
        for form in (("ec", "-aes128"), ("pkcs8", "-topk8")):  # the old one, and that of today
            subprocess.run(["openssl", *form, "-in", key, "-passout", "pass:secret", "-out", locked],
                           stderr=subprocess.DEVNULL, check=True)
            os.chmod(locked, 0o600)
            assert "--tls-key: %s: expected a key in PEM: it asks for a pass phrase" % locked in refused(
                server, "--tls-cert", cert, "--tls-key", locked)


def test_expired_certificate_is_said():
    server = Https()
    cert, key = server.path("tls.pem"), server.path("tls.key")
    subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=old", "-out", cert + ".csr"],
                   check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["openssl", "x509", "-req", "-in", cert + ".csr", "-signkey", key, "-days", "-1",
                    "-out", cert], check=True, stderr=subprocess.DEVNULL)
    with server:
        assert "the certificate has expired" in server.stderr()


# The first three days are over at once: each takes as long as waiting for a signal.
DAYS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <time.h>
static int days; /* that have passed because somebody waited for a signal */
int clock_gettime(clockid_t clock, struct timespec *time) {
    int (*real)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (clock != CLOCK_REALTIME) time->tv_sec += 86400 * __atomic_load_n(&days, __ATOMIC_SEQ_CST);
    return result;
}
int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *time) {
    int (*real)(const sigset_t *, siginfo_t *, const struct timespec *) =
        (int (*)(const sigset_t *, siginfo_t *, const struct timespec *))dlsym(RTLD_NEXT, "sigtimedwait");
    if (days == 3 || time->tv_sec > 86400) return real(set, info, time);
    __atomic_add_fetch(&days, 1, __ATOMIC_SEQ_CST);
    errno = EAGAIN;
    return -1;
}
"""


def test_certificate_that_ends_soon_is_said_daily():
    for days, said in ((13, "days: renew it"), (30, None)):
        server = Https()
        certificate(server.folder, "tls", days=days)
        server.preload = loading(server.folder, DAYS)
        with server:
            if said is not None:
                server.wait_said(said, 4)  # when it was read, and on three days
            server.signal(signal.SIGUSR1)
            server.wait_said("ring in_use")
            assert server.post(body()).status == 200
            assert server.stderr().count("--tls-cert:") == (4 if said else 0), server.stderr()


def test_certificate_reloaded_under_load():
    """Connections that are open go on; new ones get the new certificate; a bad one is not taken."""
    with Https() as server:
        kept = server.client()
        old = server.context()
        failures, ending = [], threading.Event()
        insecure = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        insecure.check_hostname = False
        insecure.verify_mode = ssl.CERT_NONE

        def load():
            while not ending.is_set():
                try:
                    client = server.client(insecure)
                    client.send(request(body()))
                    if client.answer().status != 200:
                        failures.append("status")
                    client.close()
                except OSError as error:
                    failures.append(str(error))
        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for i in range(5):
                certificate(server.folder, "new", subject="new%d" % i)
                os.rename(server.path("new.key"), server.path("tls.key"))
                os.rename(server.path("new.pem"), server.path("tls.pem"))
                server.signal(signal.SIGHUP)
                server.wait_said("files are opened anew", i + 1)
                assert server.post(body()).status == 200  # verifies against the new certificate
            kept.send(request(body()))
        finally:
            ending.set()
            for thread in threads:
                thread.join()
        assert not failures, failures
        try:
            server.client(old)
            raise AssertionError("the old certificate is still in use")
        except ssl.SSLCertVerificationError:
            pass
        server.write("tls.key", "nonsense")
        server.signal(signal.SIGHUP)
        eventually(lambda: "what was read before stays in force" in server.stderr(), "the refusal")
        assert server.post(body()).status == 200


def test_handshakes_that_stall():
    with Https("--workers", "2", "--body-timeout", "300") as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
        assert server.post(body()).status == 200
        for connection in silent:
            connection.close()

"""What SIGUSR1 says after real traffic: the verdict with what to do about it, and the counters."""

import os
import re
import signal

from harness import Server, body, eventually, payload
from test_https import certificate


def told(server, expected, what):
    """What SIGUSR1 says, once it matches."""
    def ask():
        before = len(server.stderr())
        server.signal(signal.SIGUSR1)
        said = eventually(lambda: re.search(r"cmcwh: version=.*\n", server.stderr()[before:]) and
                          server.stderr()[before:], "the counters")
        return re.search(expected, said) and said
    return eventually(ask, what)


def test_all_is_well():
    with Server() as server:
        said = told(server, "", "anything")
        assert "cmcwh: OK: no event since the start " in said, said
        assert server.post(payload("deliveries-queued.json")).status == 200
        assert server.post(payload("deliveries-queued.json")).status == 200
        assert server.post(payload("bounces-user-unknown.json")).status == 200
        said = told(server, r"delivered=[3-9]", "what the sink has taken")
        assert re.search(r"cmcwh: OK: last event (just now|\d+ s ago), sinks up to date\n", said), said
        assert re.search(r" last_request=20\S+Z last_200=20\S+Z\n", said), said
        assert re.search(r"cmcwh: events deliveries.queued=\d+ bounces.\d+=\d+ .*repeats=\d+.* last=20\S+Z\n", said), said
        assert re.search(r"sink '.*' behind=0 lost=0 failed=no delivered=\d+ last_success=20\S+Z\n", said), said
        assert re.search(r"connections open=\d+ limit=1024 accepted=3 crowded=0 slow=0\n", said), said
        memory = int(re.search(r" memory=(\d+)", said).group(1))
        assert 1 << 20 < memory < 1 << 31, said

        def descriptors():
            said = told(server, "", "anything")
            return " descriptors=%d\n" % len(os.listdir("/proc/%d/fd" % server.process.pid)) in said
        eventually(descriptors, "as many descriptors as there are")


def test_what_was_refused():
    server = Server("--auth-file", "@/auth")
    server.write("auth", "bearer right\n")
    with server:
        for i in range(2):
            assert server.post(body(), headers=["Authorization: Bearer wrong"]).status == 401
        assert server.post(b"{", headers=["Authorization: Bearer right"]).status == 400
        assert server.post(b"{}", headers=["Authorization: Bearer right"], path="/x\x7f").status >= 400
        said = told(server, "Attention: wrong or no credentials came", "a verdict")
        assert re.search(r"cmcwh: refused malformed_json=1 .*unauthorized=2", said), said
        assert "compare the credentials in its console with --auth-file" in said, said
        assert server.post(body(), headers=["Authorization: Bearer right"]).status == 200
        assert "wrong or no credentials" not in told(server, "OK: last event", "that all is well again")


def test_sinks_that_fail():
    with Server("--sink", "syslog:@/none?policy=besteffort") as server:
        assert server.post(body()).status == 200
        said = told(server, r"failures=[1-9]\d* failing_since=20\S+Z next_try=20\S+Z last_error=20\S+Z: ", "its failures")
        assert re.search(r"cmcwh: Attention: sink 'syslog:.*' has not worked for \d+ s: .*Webhooks are taken", said), said
        assert "Trouble" not in said, said


def test_a_required_sink_that_fails():
    with Server("--sink", "syslog:@/none?policy=required") as server:
        assert server.post(body()).status == 503
        said = told(server, "Trouble: a webhook got 503", "the verdict")
        assert re.search(r"Trouble: sink 'syslog:.*' has not worked for .*Webhooks get 503 until it works", said), said
        assert re.search(r"refused .*storage_failed=1", said), said


def test_reloads_and_certificates():
    server = Server("--listen", "127.0.0.1:0s", "--tls-cert", "@/tls.pem", "--tls-key", "@/tls.key")
    certificate(server.folder, "tls", days=5)
    with server:
        said = told(server, "Attention: the certificate ends in ", "the certificate's end")
        assert re.search(r"certificate_ends=20\S+Z", said), said
        server.write("tls.pem", "none\n")
        server.signal(signal.SIGHUP)
        server.wait_said("could not be read again")
        said = told(server, r"Attention: the reload (just now|\d+ s ago) failed: could not be read again", "the reload")
        assert "reload_failed=yes" in said, said
        certificate(server.folder, "tls", days=90)
        server.signal(signal.SIGHUP)
        said = told(server, "reload_failed=no", "the next reload")
        assert "Attention" not in said, said


def test_ring_in_a_file():
    with Server("--ring", "@/ring", "--ring-records", "64") as server:
        assert server.post(body(3)).status == 200
        said = told(server, r"ring in_use=\d+ capacity=64 stored=3 peak=[1-9]\d* peak_hour=\d+ full=0 syncs=[1-9]", "syncs")
        assert re.search(r" sync_us=\d+ sync_failures=0\n", said), said


def test_silence():
    with Server("--quiet-after", "1s") as server:
        said = told(server, "Attention: no event has come since the start", "the silence")
        assert "firewall" in said, said
        assert server.post(body()).status == 200
        told(server, "Attention: no event has come for", "the silence after an event")

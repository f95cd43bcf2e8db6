#!/usr/bin/env python3
"""What TLS of the door offers and stands, by other people's tools: openssl s_client, sslscan, testssl.

Fails when a weak protocol, cipher or curve is offered, or a known flaw is found. With ECDSA and with RSA. A tool that is
not here is skipped with a word."""

import argparse
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness  # noqa: E402
from harness import body, request  # noqa: E402
from test_https import Https  # noqa: E402

# What may be offered.
VERSIONS = {"1.2", "1.3"}
CIPHERS = re.compile(r"ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)$|TLS_(AES_(128|256)_GCM_SHA(256|384)|"
                     r"CHACHA20_POLY1305_SHA256)$")
GROUPS = re.compile(r"secp(256|384|521)r1|x(25519|448)|ffdhe", re.I)

# Not AEAD, no forward secrecy, nobody who proves anything, nothing encrypted.
WEAK = ("AES128-SHA", "AES256-GCM-SHA384", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA256",
        "ECDHE-ECDSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-SHA", "AECDH-AES128-SHA", "ADH-AES128-SHA",
        "NULL-SHA256", "ECDHE-ECDSA-NULL-SHA", "PSK-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-CCM8", "CAMELLIA128-SHA",
        "ARIA128-GCM-SHA256")
STRONG = ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")

POST = request(body(1), headers=["Connection: close"])
LARGE = request(body(900, reason="x" * 300), headers=["Connection: close"])


class Lacks(Exception):
    """A tool that is not here."""


def tool(name, *arguments, timeout, data=b""):
    if shutil.which(name) is None:
        raise Lacks(name)
    done = subprocess.run([name, *arguments], input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                          check=False)
    return done.stdout.decode("latin-1")


def client(server, *options, data=POST):
    """What openssl says of a connection over which `data` went."""
    return tool("openssl", "s_client", "-connect", "127.0.0.1:%d" % server.port, "-ign_eof", *options, timeout=60, data=data)


def refused(said):
    return "Cipher is (NONE)" in said or "no cipher match" in said or "no protocols available" in said


# ---- openssl s_client ----

def weak_versions(server, _):
    for version in ("-tls1", "-tls1_1"):
        assert refused(client(server, version, "-cipher", "ALL:@SECLEVEL=0")), version
    assert not refused(client(server, "-tls1_2"))
    assert refused(client(server, "-tls1_3")) != harness.tls_1_3()


def weak_ciphers(server, _):
    for cipher in WEAK:
        said = client(server, "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0")
        assert refused(said), cipher


def strong_ciphers(server, kind):
    for cipher in STRONG:
        said = client(server, "-tls1_2", "-cipher", "ECDHE-%s-%s" % (kind, cipher))
        assert "HTTP/1.1 200" in said, said


def curves(server, _):
    for curve in ("X25519", "P-256", "P-384"):
        assert "HTTP/1.1 200" in client(server, "-tls1_2", "-curves", "P-256" if curve == "P-256" else curve + ":P-256"), curve
    for curve in ("secp192k1", "secp224r1", "sect283k1", "brainpoolP256r1"):
        said = client(server, "-tls1_2", "-curves", curve, "-cipher", "ALL:@SECLEVEL=0")
        assert refused(said) or "Call to SSL_CONF_cmd" in said, said


def with_another_ticket(server, said):
    """The session in a file, of which `said` shows the ticket, with one bit of that changed."""
    with open(server.path("session"), encoding="ascii") as file:
        session = bytearray(ssl.PEM_cert_to_DER_cert(file.read().replace("SSL SESSION PARAMETERS", "CERTIFICATE")))
    line = re.search(r"TLS session ticket:\n +0000 - ([0-9a-f -]{47})", said).group(1)
    at = session.index(bytes.fromhex(line.replace("-", " ")))
    session[at + 40] ^= 1
    return ssl.DER_cert_to_PEM_cert(bytes(session)).replace("CERTIFICATE", "SSL SESSION PARAMETERS")


def resumption(server, _):
    path = server.path("session")
    assert "New, TLSv1" in client(server, "-tls1_2", "-sess_out", path)
    for _ in range(2):
        assert "Reused, TLSv1" in client(server, "-tls1_2", "-sess_in", path, "-sess_out", path)
    # A ticket that has been changed, and none at all.
    server.write("broken", with_another_ticket(server, client(server, "-tls1_2", "-sess_out", path)))
    said = client(server, "-tls1_2", "-sess_in", server.path("broken"))
    assert "New, TLSv1" in said and "HTTP/1.1 200" in said, said
    assert "HTTP/1.1 200" in client(server, "-tls1_2", "-no_ticket")


def renegotiation(server, _):
    said = tool("openssl", "s_client", "-connect", "127.0.0.1:%d" % server.port, "-tls1_2", timeout=60, data=b"R\n")
    assert "Secure Renegotiation IS supported" in said and "RENEGOTIATING" in said, said
    assert "no renegotiation" in said or "alert" in said or "write:errno" in said, said


def records_of_many_sizes(server, _):
    for options in (("-max_send_frag", "512"), ("-split_send_frag", "700"), ("-read_buf", "100"), ("-maxfraglen", "512")):
        for data in (POST, LARGE):
            said = client(server, "-tls1_2", *options, data=data)
            assert "HTTP/1.1 200" in said, (options, said[-500:])


def extensions(server, _):
    for options in (("-status",), ("-alpn", "http/1.1,h2"), ("-servername", "x" * 200), ("-noservername",),
                    ("-nextprotoneg", "http/1.1"), ("-comp",), ("-sigalgs", "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256")):
        said = client(server, *options)
        assert "HTTP/1.1 200" in said, (options, said[-500:])
        assert "Compression: NONE" in said or "-comp" not in options


def fallback(server, _):
    """Who falls back, though a better version is spoken here, is told so (RFC 7507)."""
    assert refused(client(server, "-tls1_2", "-fallback_scsv")) == harness.tls_1_3()


# ---- sslscan ----

def sslscan(server, kind):
    said = tool("sslscan", "--xml=-", "127.0.0.1:%d" % server.port, timeout=300)
    test = xml.etree.ElementTree.fromstring(said[said.index("<?xml"):]).find("ssltest")
    spoken = {each.get("version") for each in test.iter("protocol") if each.get("enabled") == "1"}
    assert spoken == (VERSIONS if harness.tls_1_3() else {"1.2"}), spoken
    ciphers = {each.get("cipher") for each in test.iter("cipher")}
    assert ciphers and all(CIPHERS.match(cipher) for cipher in ciphers), ciphers
    assert all(each.get("strength") == "strong" for each in test.iter("cipher") if each.get("sslversion") == "TLSv1.2")
    groups = {each.get("name") for each in test.iter("group")}
    assert groups and all(GROUPS.match(group) for group in groups), groups
    assert all(each.get("vulnerable") == "0" for each in test.iter("heartbleed"))
    assert all(each.get("supported") == "0" for each in test.iter("compression"))
    assert kind in {"RSA": "RSA", "ECDSA": "EC"} and test.find("renegotiation").get("supported") == "0"


# ---- testssl ----

# What asks by sockets of its own, a few seconds each; all of what it calls vulnerabilities takes minutes.
FEW = ("--heartbleed", "--ccs-injection", "--ticketbleed", "--renegotiation", "--crime", "--breach")
ALL = ("--protocols", "--std", "--fs", "--server-preference", "--vulnerable")
# Words on a build that speaks only TLS 1.2, and on the two oldest versions that are not offered: no flaws.
NO_FLAW = re.compile(r"TLS1_3|fallback_SCSV|DROWN_hint|scanTime|engine_problem|service|BREACH")


def testssl(server, options):
    path = server.path("testssl%d.json" % len(options))  # it would add to one that is there
    tool("testssl", "--quiet", "--color", "0", "--warnings", "off", "--openssl", shutil.which("openssl"), "--jsonfile", path,
         *options, "https://127.0.0.1:%d" % server.port, timeout=1500)
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    asked = [each for each in found if each["id"] not in ("scanTime", "engine_problem")]
    assert len(asked) >= len(options), found
    bad = [each for each in asked if each["severity"] not in ("OK", "INFO") and not NO_FLAW.match(each["id"])]
    assert not bad, bad


def some_flaws(server, _):
    testssl(server, FEW)


def all_flaws(server, _):
    testssl(server, ALL)


# ---- All of them ----

USUAL = (weak_versions, weak_ciphers, strong_ciphers, curves, resumption, renegotiation,
         records_of_many_sizes, extensions, fallback, sslscan, some_flaws)


def attempt(test, server, kind, count):
    try:
        test(server, kind)
        count["passed"] += 1
    except Lacks as lacks:
        print("skipped %s: there is no %s" % (test.__name__, lacks))
    except (AssertionError, subprocess.TimeoutExpired) as error:
        count["failed"] += 1
        print("FAILED %s with %s: %s" % (test.__name__, kind, str(error)[-2000:]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmcwh", default="./cmcwh")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    harness.CMCWH = arguments.cmcwh
    count = {"passed": 0, "failed": 0}
    for kind in ("ECDSA", "RSA"):
        with Https("--ring-records", "4096", kind=kind) as server:
            for test in USUAL + ((all_flaws,) if arguments.long else ()):
                if arguments.only in test.__name__:
                    attempt(test, server, kind, count)
            assert server.post(body()).status == 200
    print("%d passed, %d failed" % (count["passed"], count["failed"]))
    sys.exit(count["failed"] > 0)


main()

"""What holds when systemd runs it: messages as its journal reads them, the unit, its user and places."""

import os
import shutil
import subprocess
import tempfile

import harness
from harness import Server, Skipped, body, run
from test_https import certificate

UNIT = "port/systemd/cmcwh.service"


def journal(offset=0):
    """Names stderr as systemd does that has given it to the journal; with an offset, another file."""
    status = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = "%d:%d" % (status.st_dev, status.st_ino + offset)


def test_messages_for_the_journal():
    """The severity stands before each line, and not the name, which the journal knows."""
    with Server("--sync", "never", "--allow", "192.0.2.0/24", preload=journal) as server:
        assert server.post(body()).status == 403
        server.stop()
        lines = server.stderr().split("\n")[:-1]
    lines = [line for line in lines if not line.startswith("listening on ")]  # what has none is info
    assert all(line[:3] in ("<4>", "<6>") and "cmcwh: " not in line for line in lines), lines
    assert any(line.startswith("<4>warn: --sync never") for line in lines), lines
    assert any(line.startswith("<6>403 ") for line in lines), lines
    for arguments in (("--path", "x"), ("--ring", "/none/ring")):
        said = run(*arguments, preload=journal)[2]
        assert said.startswith("<3>") and "cmcwh: " not in said, said


def test_messages_for_somebody_else():
    """The variable is inherited by whoever is started there, and may have a file of its own by then."""
    for preload in (lambda: journal(1), lambda: os.environ.__setitem__("JOURNAL_STREAM", "x"), None):
        said = run("--path", "x", preload=preload)[2]
        assert said.startswith("cmcwh: "), said


def systemd(*command):
    """Runs one of systemd's programs. What it says, with its status before it."""
    if shutil.which(command[0]) is None:
        raise Skipped(command[0] + " is not installed")
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                            env=dict(os.environ, LC_ALL="C", SYSTEMD_LOG_LEVEL="warning"))
    return "%d\n%s" % (result.returncode, result.stdout.decode("utf-8", "replace"))


def analyze(verb, *more, change=lambda unit: unit):
    """systemd-analyze of the unit, whose program is the one that is tested."""
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as folder, \
            open(UNIT, encoding="utf-8") as unit, \
            open(os.path.join(folder, "cmcwh.service"), "w", encoding="utf-8") as copy:
        copy.write(change(unit.read().replace("/usr/bin/cmcwh", os.path.abspath(harness.CMCWH))))
        copy.flush()
        return systemd("systemd-analyze", verb, *more, copy.name)


def test_unit_is_understood():
    """Each line by systemd-analyze, which says of an unknown one that it is."""
    assert analyze("verify", "--man=no") == "0\n"
    assert "Unknown key" in analyze("verify", "--man=no",
                                    change=lambda unit: unit.replace("UMask=", "NoMask="))


def test_unit_may_do_little():
    """Exposure below 2 of 10, as systemd sees it; a service that says nothing has 9.6."""
    assert analyze("security", "--offline=true", "--threshold=20").startswith("0\n")


def test_user_and_places():
    """sysusers.d and tmpfiles.d make what the unit names, and put right what root has copied there."""
    with open(UNIT, encoding="utf-8") as unit:
        named = dict(line.split("=", 1) for line in unit.read().split("\n") if line[:1].isalpha())
    if os.geteuid() != 0:
        raise Skipped("only root gives files to others")
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as root:
        for kind in ("sysusers", "tmpfiles"):
            os.makedirs(os.path.join(root, "usr/lib", kind + ".d"))
            shutil.copy("port/systemd/cmcwh." + kind, os.path.join(root, "usr/lib", kind + ".d", "cmcwh.conf"))
        os.makedirs(os.path.join(root, "etc"))
        with open(os.path.join(root, "etc/group"), "w", encoding="utf-8") as group:
            group.write("root:x:0:\nadm:x:4:\n")
        for attempt in range(2):
            assert systemd("systemd-sysusers", "--root=" + root)[0] == "0"
            said = systemd("systemd-tmpfiles", "--create", "--root=" + root)
            assert said == "0\n", said
            with open(os.path.join(root, "etc/passwd"), encoding="utf-8") as passwd:
                users = {line.split(":")[0]: int(line.split(":")[2]) for line in passwd}
            for place in named["ReadWritePaths"].split():
                place = root + place.lstrip("-")
                status = os.stat(place)
                assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == \
                    (0o2750, users[named["User"]], 4)
                if attempt == 0:
                    with open(os.path.join(place, "copied"), "w", encoding="utf-8"):
                        os.chmod(os.path.join(place, "copied"), 0o604)
                else:
                    status = os.stat(os.path.join(place, "copied"))
                    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == \
                        (0o640, users[named["User"]], 4)
            secret = os.stat(os.path.join(root, "etc/cmcwh/credentials"))
            assert (secret.st_mode & 0o7777, secret.st_uid) == (0o700, 0)


def test_certificate_that_certbot_keeps():
    """Links into a directory that only root may enter are told apart from files that are not there."""
    if os.geteuid() != 0:
        raise Skipped("only root keeps out others")
    with tempfile.TemporaryDirectory(prefix="cmcwh-test-") as folder:
        places = {}
        for kind in ("archive", "live"):
            places[kind] = os.path.join(folder, kind, "example.org")
            os.makedirs(places[kind])
        cert, key = certificate(places["archive"], "cert1")
        for name, target in (("cert.pem", cert), ("privkey.pem", key)):
            os.symlink(os.path.relpath(target, places["live"]), os.path.join(places["live"], name))
        os.chmod(folder, 0o755)
        os.chmod(os.path.join(folder, "archive"), 0o700)
        program = os.path.join(folder, "cmcwh")  # the other user need not be able to see the tree
        shutil.copy(harness.CMCWH, program)
        said = {}
        for name in ("cert.pem", "chain.pem"):
            result = subprocess.run(
                [program, "serve", "--listen", "127.0.0.1:0s", "--tls-key", os.path.join(places["live"], "privkey.pem"),
                 "--tls-cert", os.path.join(places["live"], name)], stderr=subprocess.PIPE,
                preexec_fn=lambda: os.setuid(65534), check=False, timeout=harness.PATIENCE)
            said[name] = result.stderr.decode()
            if "this build has no TLS" in said[name]:
                raise Skipped("this build has no TLS")
            assert result.returncode == 2
        assert "cert.pem: a link to ../../archive/example.org/cert1.pem: Permission denied for uid 65534" in \
            said["cert.pem"], said
        assert "chain.pem: No such file or directory\n" in said["chain.pem"], said

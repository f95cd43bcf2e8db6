"""debian.py [--long] DISK_FOLDER DEB: a whole Debian with systemd, in qemu, on which the package
is installed, configured as the manual says, hurt in ways that only a whole machine can be, upgraded and purged.

One machine goes through all steps in order, so that each finds what the one before has left; the first that fails is the
last. Webhooks come from here, over HTTPS. Ends with a line `N passed, N failed`."""

import argparse
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from qemu import PATIENCE, ROOT, Machine, find, free_port
from harness import Client, Threads, body, request
from programs import Engine
from test_https import certificate
from things import content

CONFIG = "/etc/cmcwh/cmcwh.conf"
RING, LOG = "/var/lib/cmcwh/ring", "/var/log/cmcwh/events.log"
GIVEN = "/run/credentials/cmcwh.service/secret_"
AUTHORIZATION = "Authorization: Basic bmFtZTpzZWNyZXQ="  # name:secret


def accelerator():
    """KVM where the processor can do it: that its device is there says little in a machine that is a guest itself."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        able = re.search(r"^flags\s*:.* (vmx|svm)( |$)", file.read(), re.MULTILINE)
    return "kvm" if able and os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg,thread=multi"


class Debian:
    """The machine, with one disk for all its boots. What was written and not flushed is in qemu's memory, at least its
    place on the disk is: it goes with the plug."""

    def __init__(self, folder, source):
        self.folder, self.source = folder, source
        self.disk, self.port = os.path.join(folder, "disk"), free_port()
        subprocess.run([find("qemu-img"), "create", "-q", "-f", "qcow2", "-F", "raw", "-b",
                        os.path.abspath(os.path.join(source, "disk")), self.disk], check=True)
        self.machine = None

    def boot(self):
        self.machine = Machine("qemu-system-x86_64", [
            "-accel", accelerator(), "-cpu", "max", "-smp", "2", "-m", "256",
            "-kernel", os.path.join(self.source, "vmlinuz"),
            "-append", "root=/dev/nvme0n1 rw console=ttyS0 loglevel=1 mitigations=off systemd.show_status=0",
            "-drive", "if=none,id=d,format=qcow2,cache=writeback,file=" + self.disk, "-device", "nvme,serial=d,drive=d",
            "-nic", "user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:%d-:443" % self.port], self.folder)
        self.machine.__enter__()
        self.machine.expect("debian ready", 2 * PATIENCE)

    def pull(self):
        if self.machine is not None:
            self.machine.pull()

    def said(self):
        return self.machine.said if self.machine is not None else ""

    def attempt(self, command):
        """A command, or several lines of them. Returns what it said and its status."""
        return self.machine.run("{ %s; } </dev/null" % "; ".join(command.strip().split("\n")))

    def do(self, command):
        said, status = self.attempt(command)
        assert status == 0, "%s: status %d:\n%s" % (command, status, said)
        return said.strip()

    def until(self, command):
        """Until the command succeeds."""
        self.do("n=0; until %s >/dev/null; do n=$((n + 1)); [ $n -lt %d ] || break; sleep 0.5; done; %s" %
                (command, PATIENCE, command))

    def get(self, command):
        """What a command writes to its standard output, over the network."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)
            self.machine.type("{ %s; } </dev/null 2>/tmp/errors | bash -c 'cat >/dev/tcp/10.0.2.2/%d'\n" % (
                command, server.getsockname()[1]))
            with server.accept()[0] as link, link.makefile("rb") as file:
                return file.read()

    def put(self, path, data, mode="644"):
        """Writes a file; its folders are made."""
        data = data.encode() if isinstance(data, str) else data
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)
            self.machine.type("mkdir -p '%s'; bash -c 'cat </dev/tcp/10.0.2.2/%d' >'%s'\n" % (
                os.path.dirname(path), server.getsockname()[1], path))
            with server.accept()[0] as link:
                link.sendall(data)
        self.do("chmod %s '%s'" % (mode, path))


class Posting(Threads):
    """Clients that post until they are told to end, each on a connection that it keeps as long as it can. Every event
    has a number of its own. `pause`: seconds from an answer to the next request, where others need the processor.
    `events` in each request, or one to four."""

    numbers = iter(range(10 ** 9))
    lock = threading.Lock()

    def __init__(self, connect, pause, events):
        self.connect, self.pause, self.events = connect, pause, events
        self.sent, self.taken, self.refused = set(), set(), []
        self.set_up(self.post, 2)

    def post(self, _):
        client = None
        while not self.ending.is_set():
            try:
                client = client or self.connect()
                answer = self.one(client)
                if answer.headers.get("connection") == ["close"]:
                    client = self.close(client)
                self.ending.wait(0.1 if answer.status == 503 else self.pause)
            except (OSError, IndexError, ValueError):  # it is gone, in the midst of an answer too
                client = self.close(client)
                self.ending.wait(0.05)
        self.close(client)

    def one(self, client):
        """One request, with events that nobody else has sent."""
        with self.lock:
            first = next(self.numbers)
            events = {first} | {next(self.numbers) for _ in range((self.events or 1 + first % 4) - 1)}
        self.sent |= events
        client.send(request(body(len(events), first=first), headers=[AUTHORIZATION]))
        answer = client.answer()
        if answer.status == 200:
            self.taken |= events
        else:
            self.refused.append(answer.status)
        return answer

    @staticmethod
    def close(client):
        if client is not None:
            client.close()

    def wait(self, count):
        """Until so many more are taken, and none has to be waited for longer than PATIENCE."""
        last, end = len(self.taken), time.monotonic() + PATIENCE
        enough = last + count
        while len(self.taken) < enough:
            if len(self.taken) > last:
                last, end = len(self.taken), time.monotonic() + PATIENCE
            assert time.monotonic() < end, "%d of %d taken; refused: %s" % (last, enough, self.refused[-5:])
            time.sleep(0.02)


JSON, MESSAGE = rb'"to":"user(\d+)@example\.jp"', rb"to=user(\d+)@example\.jp"


def numbers(text, pattern=JSON):
    return [int(number) for number in re.findall(pattern, text)]


class Steps:
    """In the order in which they are written. `taken`: every event that was answered 200."""

    def __init__(self, folder, source, package, long):
        self.folder, self.package, self.long = folder, package, long
        self.debian = Debian(folder, source)
        self.taken, self.sent = set(), set()
        self.cert, self.key = certificate(folder, "first")
        self.loghost = free_port()

    # ---- What several steps use ----

    def connect(self, cert=None):
        context = ssl_context(cert or self.cert)
        client = Client(self.debian.port)
        try:
            client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        except BaseException:
            client.close()
            raise
        return client

    def posting(self, pause=0.0, events=None):
        return Posting(self.connect, pause, events)

    def count(self, posting):
        self.taken |= posting.taken
        self.sent |= posting.sent

    def some(self, count):
        """Some events, taken."""
        posting = self.posting()
        with posting:
            posting.wait(count)
        self.count(posting)

    def configure(self, *lines, restart=True):
        """The lines of the configuration that are on, beside the usual ones."""
        usual = ["listen = 0.0.0.0:443s", "auth-file = %sauth" % GIVEN, "tls-cert = /etc/cmcwh/fullchain.pem",
                 "tls-key = /etc/cmcwh/privkey.pem", "ring = " + RING, "sink = file:%s?rotate=1M&keep=10" % LOG]
        self.debian.put(CONFIG, "\n".join(usual + list(lines)) + "\n")
        if restart:
            self.debian.do("systemctl restart cmcwh")

    def logged(self):
        return numbers(self.debian.get("cat %s*" % LOG))

    def all_there(self):
        """Every event that was taken is in the log, at once or when the sinks have caught up, and nothing else is."""
        end = time.monotonic() + PATIENCE
        while True:
            found = set(self.logged())
            if self.taken <= found:
                break
            assert time.monotonic() < end, "%d lost: %s" % (len(self.taken - found), sorted(self.taken - found)[:20])
            time.sleep(1)
        assert found <= self.sent, "never sent: %s" % sorted(found - self.sent)[:20]

    def property(self, name):
        return self.debian.do("systemctl show -P %s cmcwh" % name)

    # ---- The steps ----

    ALL = ("installed", "secrets", "wrong", "readers", "renewed", "journal", "killed", "full", "unplugged", "upgraded",
           "removed", "purged")

    def installed(self):
        """dpkg starts it, under its user, with few rights, and makes its places."""
        debian = self.debian
        debian.boot()
        with open(self.package, "rb") as file:
            debian.put("/root/cmcwh.deb", file.read())
        debian.do("dpkg -i /root/cmcwh.deb")
        assert debian.do("systemctl is-active cmcwh; systemctl is-enabled cmcwh") == "active\nenabled"
        assert debian.do("stat -c '%a %U %G' /var/lib/cmcwh /var/log/cmcwh /etc/cmcwh/credentials " + RING).split("\n") == \
            ["2750 cmcwh adm", "2750 cmcwh adm", "700 root root", "640 cmcwh adm"]
        status = debian.do("cat /proc/$(systemctl show -P MainPID cmcwh)/status")
        for line in (r"CapEff:\t0+400", r"CapBnd:\t0+400", r"NoNewPrivs:\t1", r"Seccomp:\t2", r"Uid:(\t[1-9]\d*){4}"):
            assert re.search("^%s$" % line, status, re.MULTILINE), "%s: %s" % (line, status)
        said = debian.do("systemd-analyze security --no-pager --threshold=20 cmcwh | tail -n 1")
        assert "Overall exposure level for cmcwh.service: 1." in said, said

    def secrets(self):
        """HTTPS on port 443, with secrets that only root reads, as cmcwh.conf says it."""
        debian = self.debian
        folder = "/etc/cmcwh/credentials/"
        debian.put(folder + "auth", "basic name:secret\n", "600")
        for name, path in (("cert.pem", self.cert), ("key.pem", self.key)):
            with open(path, encoding="ascii") as file:
                debian.put(folder + name, file.read(), "600")
        debian.do(r"sed -i 's/^listen = 127/#&/; s/^#\(listen = 0.0.0.0:443s\|[a-z-]* = \/run\/credentials.*\)/\1/; "
                  r"s/^admin-auth/#&/' " + CONFIG)
        said = debian.do("grep '^[a-z]' " + CONFIG)
        assert len(said.split("\n")) == 6 and said.count(GIVEN) == 3 and "0.0.0.0:443s" in said, said
        debian.do("systemctl restart cmcwh")
        with_client = self.connect()
        with_client.send(request(body()))
        assert with_client.answer().status == 401
        with_client.close()
        self.some(10)
        self.all_there()

    def wrong(self):
        """A wrong configuration is said and not tried again."""
        debian = self.debian
        debian.do("cp %s /root/right; echo 'rign = x' >>%s" % (CONFIG, CONFIG))
        said, status = debian.attempt("systemctl restart cmcwh")
        assert status != 0, said
        assert [self.property(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")] == ["failed", "2", "0"]
        assert "rign" in debian.do("journalctl -q -u cmcwh -p err -o cat -n 3")
        debian.do("cp /root/right %s; systemctl restart cmcwh" % CONFIG)

    def readers(self):
        """Members of adm read the log and the ring, others neither."""
        debian = self.debian
        debian.do("useradd -m reader && adduser --quiet reader adm && useradd -m other")
        as_who = "su %s -c '%s' >/dev/null"
        for command in ("cat " + LOG, "cmcwh cat " + RING):
            debian.do(as_who % ("reader", command))
            assert debian.attempt(as_who % ("other", command))[1] != 0, command

    def renewed(self):
        """certbot's hook as the manual has it: connections stay, and new ones get the new certificate."""
        debian = self.debian
        with open(os.path.join(ROOT, "port", "man", "cmcwh.8"), encoding="utf-8") as file:
            hook = re.search(r"^#!/bin/sh\n.*?\n(?=\.Ed)", file.read(), re.MULTILINE | re.DOTALL).group()
        debian.put("/etc/letsencrypt/renewal-hooks/deploy/cmcwh", hook, "755")
        self.renew(self.cert, self.key)
        self.configure()
        client, posting = self.connect(), self.posting()
        assert posting.one(client).status == 200
        new, key = certificate(self.folder, "second")
        self.renew(new, key)
        assert self.property("StatusText") == "files are opened anew"
        assert posting.one(client).status == 200  # on the old connection
        client.close()
        refused(lambda: self.connect())
        self.cert = new
        client = self.connect()
        assert posting.one(client).status == 200
        client.close()
        debian.do("rm /etc/cmcwh/privkey.pem; systemctl reload cmcwh")
        assert "--tls-cert /etc/cmcwh/fullchain.pem or its key" in self.property("StatusText")
        assert posting.one(self.connect()).status == 200
        self.renew(new, key)
        assert self.property("StatusText") == "files are opened anew"
        self.count(posting)

    def renew(self, cert, key):
        """What certbot does."""
        live = "/etc/letsencrypt/live/host"
        for name, path in (("fullchain.pem", cert), ("privkey.pem", key)):
            with open(path, encoding="ascii") as file:
                self.debian.put("/etc/letsencrypt/archive/host/" + name, file.read(), "600")
        self.debian.do("chmod 700 /etc/letsencrypt/archive; mkdir -p %s; cd %s; ln -sf ../../archive/host/*.pem ." % (live, live))
        self.debian.do("RENEWED_LINEAGE=%s /etc/letsencrypt/renewal-hooks/deploy/cmcwh" % live)

    def journal(self):
        """Every event of a burst to `syslog:` is in the journal, beyond what it takes of others."""
        debian = self.debian
        self.configure("sink = syslog:")
        posting = self.posting(events=100)
        with posting:
            posting.wait(20000 if self.long else 1000)
        self.count(posting)
        end = time.monotonic() + PATIENCE
        while True:
            debian.do("journalctl --sync")
            found = set(numbers(debian.get("journalctl -q -t cmcwh _TRANSPORT=syslog -o cat"), MESSAGE))
            if posting.taken <= found:
                break
            assert time.monotonic() < end, "%d are not in the journal" % len(posting.taken - found)
            time.sleep(1)
        said = debian.do("journalctl -q -u cmcwh _TRANSPORT=stdout -o cat")
        assert "listening on https://" in said and "event_type=" not in said, said[-2000:]
        self.configure()

    def killed(self):
        """By signal 9, and by the kernel for want of memory: it starts again."""
        debian = self.debian
        for number, how in enumerate(("kill -9 $pid", "echo 1000 >/proc/$pid/oom_score_adj; echo f >/proc/sysrq-trigger")):
            posting = self.posting()
            with posting:
                posting.wait(20)
                debian.do("pid=$(systemctl show -P MainPID cmcwh); " + how)
                debian.until("[ $(systemctl show -P NRestarts cmcwh) = %d ]" % (number + 1))
                posting.wait(20)
            self.count(posting)
        assert "oom-kill" in debian.do("journalctl -q -u cmcwh -o cat -n 50")
        self.all_there()

    def full(self):
        """/var is full: events are taken as long as the ring has room, also by a new process."""
        debian = self.debian
        debian.do("fallocate -l $(df --output=avail -B1 /var | tail -n 1) /var/fill; cat /dev/zero >/var/fill2 || true")
        posting, client = self.posting(events=100), self.connect()
        answer = posting.one(client)
        while answer.status == 200:
            answer = posting.one(client)
        assert answer.status == 503 and b"ring_full" in answer.body, answer.body
        client.close()
        assert len(posting.taken) >= 900, len(posting.taken)
        debian.do("systemctl restart cmcwh")
        debian.do("rm /var/fill /var/fill2")
        self.count(posting)
        self.all_there()
        self.some(10)

    def unplugged(self):
        """The plug is pulled under clients, at last with a log host that is down at the boot. All is there."""
        debian, luck, pulls = self.debian, random.Random(), 20 if self.long else 1
        for pull in range(pulls):
            if pull == pulls - 1:
                self.configure("sink = syslog+tcp://10.0.2.2:%d" % self.loghost)
            posting = self.posting()
            with posting:
                posting.wait(luck.randint(1, 100))
                time.sleep(luck.uniform(0, 0.1))
                debian.pull()
                posting.ending.set()
            self.count(posting)
            debian.boot()
            debian.until("systemctl -q is-active cmcwh")
            self.all_there()
            if self.long:
                print("   pull %d of %d, %d events there" % (pull + 1, pulls, len(self.taken)), flush=True)
        self.some(10)
        assert "10.0.2.2" in debian.do("journalctl -q -b -u cmcwh -p warning -o cat")
        self.log_host_comes(posting.taken)

    def log_host_comes(self, waiting):
        """The host's rsyslog, which gets all that waits for it."""
        out, config = os.path.join(self.folder, "loghost.log"), os.path.join(self.folder, "rsyslog.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write('global(workDirectory="%s") module(load="imtcp") input(type="imtcp" address="127.0.0.1" port="%d")\n'
                       'template(name="raw" type="string" string="%%rawmsg%%\\n")\n'
                       '*.* action(type="omfile" file="%s" template="raw")\n' % (self.folder, self.loghost, out))
        with Engine(self.folder, "rsyslogd", [find("rsyslogd"), "-n", "-f", config, "-i", out + ".pid"], self.loghost):
            end = time.monotonic() + PATIENCE
            while not (os.path.exists(out) and waiting <= set(numbers(content(out), MESSAGE))):
                assert time.monotonic() < end, "not all of %d events came to the log host" % len(waiting)
                time.sleep(0.5)

    def upgraded(self):
        """A newer package under clients, with a configuration that was changed here and there."""
        debian = self.debian
        self.configure()
        debian.put("/root/newer.deb", newer(self.package, self.folder))
        mine = debian.do("cat " + CONFIG)
        pid = self.property("MainPID")
        posting = self.posting(pause=0.2)
        with posting:
            posting.wait(20)
            debian.do("dpkg -i --force-confold /root/newer.deb")
            posting.wait(20)
        self.count(posting)
        assert debian.do("cat " + CONFIG) == mine and self.property("MainPID") != pid
        assert "# newer" in debian.do("cat %s.dpkg-dist" % CONFIG)
        assert self.property("NRestarts") == "0"
        self.all_there()

    def removed(self):
        """What an operator wrote and what it has received stays; installed again, it goes on."""
        debian = self.debian
        debian.do("dpkg -r cmcwh")
        assert debian.attempt("grep -lx cmcwh /proc/[0-9]*/comm || systemctl is-active cmcwh || command -v cmcwh")[1] != 0
        debian.do("ls %s %s %s; id cmcwh" % (CONFIG, RING, LOG))
        debian.do("dpkg -i --force-confold /root/newer.deb")
        self.some(10)
        self.all_there()

    def purged(self):
        """Nothing of its own stays but its user, and of the operator's what he brought himself."""
        debian = self.debian
        debian.do("dpkg -P cmcwh")
        left = debian.do("find / -xdev -name '*cmcwh*' ! -path '/proc/*' | sort").split("\n")
        assert left == ["/etc/cmcwh", "/etc/letsencrypt/renewal-hooks/deploy/cmcwh", "/root/cmcwh.deb"], left
        assert debian.do("find /etc/cmcwh -type f | sort").split("\n") == [
            "/etc/cmcwh/credentials/" + name for name in ("auth", "cert.pem", "key.pem")] + [
            "/etc/cmcwh/fullchain.pem", "/etc/cmcwh/privkey.pem"]
        debian.do("id cmcwh")
        assert debian.do("systemctl --failed -q --no-legend") == ""


def ssl_context(cert):
    context = ssl.create_default_context(cafile=cert)
    context.check_hostname = False
    return context


def refused(connect):
    try:
        connect().close()
    except ssl.SSLCertVerificationError:
        return
    raise AssertionError("it has the old certificate")


def newer(package, folder):
    """The same package as another version, with another configuration. Returns its bytes."""
    tree, path = os.path.join(folder, "newer"), os.path.join(folder, "newer.deb")
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    with open(os.path.join(tree, "DEBIAN", "control"), "r+", encoding="utf-8") as file:
        text = re.sub("(?m)^Version: .*", "Version: 99", file.read())
        file.seek(0)
        file.write(text)
        file.truncate()
    with open(tree + CONFIG, "a", encoding="utf-8") as file:
        file.write("# newer\n")
    subprocess.run(["dpkg-deb", "-b", "-Znone", "--root-owner-group", tree, path], check=True, stdout=subprocess.DEVNULL)
    with open(path, "rb") as file:
        return file.read()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true")
    parser.add_argument("source", metavar="DISK_FOLDER")
    parser.add_argument("package", metavar="DEB")
    arguments = parser.parse_args()
    if not os.path.exists(os.path.join(arguments.source, "disk")):
        print("skipped: there is no Debian in %s: run 'make machine-deps'" % arguments.source)
        return 0
    folder = tempfile.mkdtemp(prefix="cmcwh-debian-")
    passed = failed = 0
    steps = Steps(folder, arguments.source, arguments.package, arguments.long)
    try:
        for name in Steps.ALL:
            start = time.monotonic()
            getattr(steps, name)()
            passed += 1
            print("ok %s (%.1f s)" % (name, time.monotonic() - start), flush=True)
    except Exception:
        failed = 1
        print("FAILED %s\n%s" % (name, traceback.format_exc()))
        print("The machine said at last:\n" + steps.debian.said()[-3000:])
    finally:
        steps.debian.pull()
        shutil.rmtree(folder)
    print("%d events answered 200" % len(steps.taken))
    print("%d passed, %d failed" % (passed, failed))
    return failed


if __name__ == "__main__":
    sys.exit(main())

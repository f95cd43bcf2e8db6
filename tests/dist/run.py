#!/usr/bin/env python3
"""run.py [--long] [--only TEXT] FOLDER [DEBS]: takes a release apart that `make dist` has put into FOLDER, starts what is
in it on what it is for, and posts a webhook; Debian packages may stand in a folder of their own. Ends with
`N passed, N failed`."""

import argparse
import glob
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))

import harness
import images
import trees
from harness import Server, Skipped, payload, run
from peers import authority, signed
from release import ARCHITECTURES, PROCESSORS, ROUTERS, Archive, Elf, fields, read

SCHEMAS = "build/deps/sbom/node_modules/@cyclonedx/cyclonedx-library/res/schema/"
EVENT = "bounces-user-unknown.json"


class Release:
    def __init__(self, folder, debs, scratch):
        self.folder, self.scratch = folder, scratch
        self.version = re.search(rb'#define CMCWH_VERSION "(.*)"', read("cmcwh.h")).group(1).decode()
        self.debs = sorted(glob.glob(os.path.join(folder, "*.deb")) or glob.glob(os.path.join(debs or folder, "*.deb")))
        self.debs = [path for path in self.debs if "-dbgsym_" not in path]

    def path(self, name):
        return os.path.join(self.folder, name)

    def bill(self):
        return json.loads(read(self.path("cmcwh-%s.cdx.json" % self.version)))

    def matching(self, pattern):
        """Pairs of name and the parts that `pattern` takes out of it."""
        found = ((name, re.fullmatch(pattern, name)) for name in sorted(os.listdir(self.folder)))
        return [(name, match.groups()) for name, match in found if match]


# ---- Programs ----

def runnable(folder, program, processor, libraries="/"):
    """A program for another processor looks to its callers like one for this."""
    if processor == os.uname().machine:
        return program
    emulator = PROCESSORS[processor][0]
    if not shutil.which(emulator):
        raise Skipped(emulator + " is not installed")
    path = os.path.join(folder, "run-" + processor)
    with open(path, "w", encoding="ascii") as file:
        file.write('#!/bin/sh\nexec %s -L %s %s "$@"\n' % (emulator, libraries, program))
    os.chmod(path, 0o755)
    return path


def serves(tls):
    """A webhook posted, over HTTP and HTTPS, is in the log, and in the ring for `cmcwh cat`."""
    with Server("--ring", "@/ring", "--workers", "2") as server:
        assert server.post(payload(EVENT)).json() == {"stored": 1}
        event, = server.wait_lines(1)
        assert event["event_type"] == "bounces" and event["status"] == "2", event
        server.stop()
        status, output, said = run("cat", server.path("ring"))
        assert status == 0 and json.loads(output) == event, (status, output, said)
        cert, key = signed(server.folder, authority(server.folder))
        secure = ["--tls-cert", cert, "--tls-key", key]
        if not tls:
            status, _, said = run("serve", "--check-config", *secure)
            assert status == 2 and "this build has no TLS" in said, (status, said)
            return
        with Server(*secure, listen="127.0.0.1:0s") as secured:
            answer = subprocess.run(["curl", "-s", "-S", "-m", "60", "--cacert", os.path.join(server.folder, "ca.pem"),
                                     "-H", "Content-Type: application/json", "--data-binary", payload(EVENT),
                                     "https://127.0.0.1:%d/mails" % secured.port], stdout=subprocess.PIPE, check=True)
            assert json.loads(answer.stdout) == {"stored": 1}, answer.stdout


def versions(release, tls):
    """What the program says of itself is what the bill says of it."""
    parts = {part["bom-ref"]: "%s %s" % (part["name"], part.get("version")) for part in release.bill()["components"]}
    status, output, _ = run("--version")
    assert status == 0 and output.decode().splitlines() == [
        "cmcwh " + release.version, "TLS by " + parts["mbedtls"] if tls else "without TLS", parts["civetweb"]], output


def built_of(release, data, processor):
    """Static, stripped, for its processor, with musl and no other C library, and compiled by the compiler in the bill."""
    program = Elf(data)
    program.check(processor)
    assert program.static and program.stripped, vars(program)
    assert b"No error information" in data and b"GNU C Library" not in data, "not musl"
    compiler, = [part["version"] for part in release.bill()["components"] if part["name"] == "libgcc"]
    assert program.compilers == {compiler.encode()}, (program.compilers, compiler)
    assert os.getcwd().encode() not in data, "it names the folder that it was built in"


def permitted(text, tls):
    """Whose work is in it, and the terms."""
    for part in (b"Permission is hereby granted", b"civetweb", b"Serge Zaitsev", b"Rich Felker", b"Runtime Library"):
        assert part in text, part
    assert (b"Mbed TLS" in text and b"Apache License" in text) == tls


def check_binary(release, name, processor, tls):
    archive = Archive(read(release.path(name)), None)
    top = name[:-len(".tar.gz")]
    assert archive.names == [top] + [top + "/" + part for part in ("LICENSES", "cmcwh", "cmcwh.8", "cmcwh.ja.8")]
    permitted(archive.contents[top + "/LICENSES"], tls)
    built_of(release, archive.contents[top + "/cmcwh"], processor)
    archive.unpack(release.scratch)
    harness.CMCWH = runnable(release.scratch, os.path.join(release.scratch, top, "cmcwh"), processor)
    versions(release, tls)
    serves(tls)


# ---- Packages ----

def check_ipk(release, name, package, version, router, tls):
    outer = Archive(read(release.path(name)), 0)
    assert outer.names == ["./debian-binary", "./control.tar.gz", "./data.tar.gz"], outer.names
    assert outer.contents["./debian-binary"] == b"2.0\n"
    control = Archive(outer.contents["./control.tar.gz"], 0)
    data = Archive(outer.contents["./data.tar.gz"], 0)
    assert control.in_order() and data.in_order()
    assert control.names == [".", "./conffiles", "./control", "./postinst", "./prerm"], control.names
    assert [control.mode(script) for script in ("./postinst", "./prerm")] == [0o755, 0o755]
    said = fields(control.contents["./control"].decode())
    expected = {"Package": package, "Version": version, "Architecture": router, "Require-User": "cmcwh:cmcwh",
                "License": "MIT Apache-2.0" if tls else "MIT"}
    assert expected.items() <= said.items() and "Depends" not in said and said["Description"], said
    assert version == release.version + "-1" and said.get("Provides") == "cmcwh", said
    modes = {"./usr/sbin/cmcwh": 0o755, "./etc/init.d/cmcwh": 0o755, "./etc/config/cmcwh": 0o600,
             "./etc/capabilities/cmcwh.json": 0o644, "./lib/upgrade/keep.d/" + package: 0o644,
             "./usr/share/licenses/cmcwh": 0o644}
    assert set(data.contents) == set(modes), sorted(data.contents)
    assert {path: data.mode(path) for path in modes} == modes
    assert control.contents["./conffiles"] == b"/etc/config/cmcwh\n"
    assert data.contents["./lib/upgrade/keep.d/" + package] == b"/etc/cmcwh/\n"
    assert set(json.loads(data.contents["./etc/capabilities/cmcwh.json"])["ambient"]) == {"CAP_NET_BIND_SERVICE"}
    permitted(data.contents["./usr/share/licenses/cmcwh"], tls)
    processor = ROUTERS[router]
    built_of(release, data.contents["./usr/sbin/cmcwh"], processor)
    start_ipk(release, name, processor, tls)


def start_ipk(release, name, processor, tls):
    """As a router unpacks it: with busybox. Its init script makes a command line that its program takes."""
    folder = tempfile.mkdtemp(dir=release.scratch)
    for archive, where in ((os.path.abspath(release.path(name)), "."), ("data.tar.gz", "root")):
        os.makedirs(os.path.join(folder, where), exist_ok=True)
        subprocess.run(["busybox", "tar", "-xzf", archive, "-C", where], cwd=folder, check=True)
    root = os.path.join(folder, "root")
    harness.CMCWH = runnable(folder, root + "/usr/sbin/cmcwh", processor)
    tested = subprocess.run(["sh", "tests/openwrt/run.sh", harness.CMCWH, root + "/etc/init.d/cmcwh",
                             root + "/etc/config/cmcwh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert tested.returncode == 0, tested.stdout.decode()
    versions(release, tls)
    serves(tls)


def check_deb(release, path):
    control = fields(subprocess.run(["dpkg-deb", "-f", path], stdout=subprocess.PIPE, check=True).stdout.decode())
    listed = subprocess.run(["dpkg-deb", "-c", path], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    paths = {line.split()[5] for line in listed}
    assert all(line.split()[1] == "root/root" for line in listed)
    folder = tempfile.mkdtemp(dir=release.scratch)
    subprocess.run(["dpkg-deb", "-x", path, folder], check=True)
    assert "./usr/share/doc/%s/copyright" % control["Package"] in paths, paths
    if control["Package"] != "cmcwh":
        return
    wanted = re.sub(r" \([^)]*\)", "", control["Depends"]).split(", ")
    assert {"libc6", "libmosquitto1", "libssl3"} <= set(wanted), wanted
    assert {"./usr/bin/cmcwh", "./etc/cmcwh/cmcwh.conf", "./usr/share/man/ja/man8/cmcwh.8.gz"} <= paths, paths
    assert any(name.endswith("systemd/system/cmcwh.service") for name in paths), paths
    processor = ARCHITECTURES[control["Architecture"]]
    Elf(read(folder + "/usr/bin/cmcwh")).check(processor)
    libraries = os.path.abspath("build/deps/foreign/" + control["Architecture"])
    if os.path.isdir(libraries):
        harness.CMCWH = runnable(folder, folder + "/usr/bin/cmcwh", processor, libraries)
        serves(True)


def check_deb_installed(release, architecture):
    """dpkg installs them in a Debian of that architecture, and what it has installed serves."""
    with trees.Tree(architecture, release.scratch) as tree:
        tree.install([path for path in release.debs if path.endswith("_%s.deb" % architecture)])
        assert tree.run("id", "-un", "cmcwh").strip() == "cmcwh"
        given = os.stat(tree.root + "/etc/cmcwh/cmcwh.conf")
        assert (given.st_uid, given.st_gid, given.st_mode & 0o7777) == (0, 0, 0o644), given
        harness.CMCWH = tree.program("/usr/bin/cmcwh")
        serves(True)
        tree.run("dpkg", "--purge", "cmcwh")
        assert not os.path.exists(tree.root + "/etc/cmcwh"), "purged, and still there"


# ---- Papers ----

def check_sums(release):
    listed = dict(reversed(line.split("  ")) for line in read(release.path("SHA256SUMS")).decode().splitlines())
    there = {name: hashlib.sha256(read(release.path(name))).hexdigest() for name in os.listdir(release.folder)}
    del there["SHA256SUMS"]
    assert listed == there, set(listed.items()) ^ set(there.items())


def check_bill(release):
    """Each file is in it with its sum; nothing is named that is not there; who is linked in has terms."""
    bill = release.bill()
    sums = {part["name"]: part["hashes"][0]["content"] for part in bill["components"] if part["type"] == "file"}
    there = {name: hashlib.sha256(read(release.path(name))).hexdigest() for name in os.listdir(release.folder)
             if name != "SHA256SUMS" and not name.endswith(".cdx.json")}
    assert sums == there, set(sums) ^ set(there)
    references = {part["bom-ref"] for part in bill["components"]} | {"cmcwh"}
    edges = {edge["ref"]: set(edge["dependsOn"]) for edge in bill["dependencies"]}
    assert set(edges) == references and set().union(*edges.values()) == references - {"cmcwh"}
    for name in there:
        if name.endswith(".ipk") or "-linux-" in name or "-oci-" in name:
            linked = {"civetweb", "jsmn", "musl", "libgcc"} | (set() if "-notls" in name else {"mbedtls"})
            assert edges[name] == linked, (name, edges[name])
    for part in bill["components"]:
        assert part["type"] == "file" or part["bom-ref"].startswith("deb:") or (part["version"] and part["licenses"]), part


def check_schema(release):
    """The bill is one in the eyes of CycloneDX; one with a fault is not."""
    try:
        import jsonschema
    except ImportError as lacks:
        raise Skipped("python3-jsonschema is not installed") from lacks
    if not os.path.isdir(SCHEMAS):
        raise Skipped("there are no schemas: run 'make dist-deps'")
    known = {name: json.loads(read(SCHEMAS + name)) for name in os.listdir(SCHEMAS) if name.endswith(".schema.json")}
    schema = known["bom-1.5.SNAPSHOT.schema.json"]
    store = {"http://cyclonedx.org/schema/" + name: text for name, text in known.items()}
    warnings.simplefilter("ignore", DeprecationWarning)  # newer ones than Debian's have another way
    store.update({"http://cyclonedx.org/schema/" + name.replace(".SNAPSHOT", ""): text for name, text in known.items()})
    validator = jsonschema.Draft7Validator(schema, resolver=jsonschema.RefResolver.from_schema(schema, store=store))
    bill = release.bill()
    faults = [fault.message for fault in validator.iter_errors(bill)]
    assert not faults, faults
    bill["components"][0]["licenses"] = [{"license": {"id": "none of SPDX's"}}]
    assert not validator.is_valid(bill), "the schema takes everything"


def check_manual(release, name, language):
    text = " ".join(html.unescape(read(release.path(name)).decode()).split())
    assert '<html lang="%s">' % language in text and text.endswith("</html>")
    for section in re.findall(r"^\.Sh (.*)$", read("port/man/" + name[:-len(".html")]).decode(), re.M):
        assert re.search('<h1 class="Sh"[^>]*>(<a [^>]*>)?' + re.escape(re.split(r'[\\"]', section)[0]), text), section


def unpacked_source(release):
    name = "cmcwh-%s" % release.version
    folder = os.path.join(release.scratch, name)
    if not os.path.isdir(folder):
        archive = Archive(read(release.path(name + ".tar.gz")), None)
        if os.path.exists(".git"):
            known = subprocess.run(["git", "ls-files", "-z"], stdout=subprocess.PIPE, check=True).stdout.decode()
            assert set(archive.contents) == {name + "/" + path for path in known.split("\0")[:-1]}
        subprocess.run(["tar", "-xzf", os.path.abspath(release.path(name + ".tar.gz"))], cwd=release.scratch, check=True)
        os.makedirs(folder + "/build")
        os.symlink(os.path.abspath("build/deps"), folder + "/build/deps")
    return folder


def make(folder, *arguments):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "DIST", "SOURCE"))}
    made = subprocess.run(["make", "-j%d" % os.cpu_count(), *arguments], cwd=folder, env=clean, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    assert made.returncode == 0, made.stdout[-6000:]
    return made.stdout


def check_source_again(release):
    """The archive, unpacked elsewhere and without git, makes the same archive, the same manual, and the same bill."""
    folder = unpacked_source(release)
    make(folder, "dist", "DIST_TARGETS=source manual")
    for name in ("cmcwh-%s.tar.gz" % release.version, "cmcwh.8.html", "cmcwh.ja.8.html"):
        assert read(os.path.join(folder, "build/dist", name)) == read(release.path(name)), name


def check_unit_tests(release):
    """The archive alone builds, and its unit tests pass."""
    folder = unpacked_source(release)
    assert re.search(r"\n\d+ passed, 0 failed\n$", make(folder, "unit-test"))


def check_all_again(release):
    """And so does all the rest, byte by byte."""
    folder = unpacked_source(release)
    make(folder, "dist")
    ours, theirs = (read(os.path.join(where, "SHA256SUMS")).decode() for where in (release.folder, folder + "/build/dist"))
    assert ours == theirs, set(ours.splitlines()) ^ set(theirs.splitlines())


def check_feed(release, package, says, needs):
    """OpenWrt's rules to build, for this machine: what they tell our Makefile is what it knows."""
    folder = os.path.join(release.scratch, package)
    make("port/openwrt", "compile-" + package, "TOPDIR=" + os.path.abspath("port/dist/openwrt"), "PKG_BUILD_DIR=" + folder,
         "TARGET_CC=cc", "TARGET_AR=ar", "TARGET_CFLAGS=-O0", "CONFIG_CMCWH_HTTP=y",
         "CIVETWEB_SRC=" + os.path.abspath("build/deps/civetweb"), "JSMN_INCLUDE=" + os.path.abspath("build/deps/include"),
         "MBEDTLS_SRC=" + os.path.abspath("build/deps/mbedtls"))
    harness.CMCWH = folder + "/cmcwh"
    assert says in run("--version")[1].decode()
    assert needs == set(re.findall(r"lib(?:mbedtls|ssl|mosquitto)", subprocess.run(
        ["readelf", "-d", harness.CMCWH], stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout))


# ---- All of them ----

def checks(release, long):
    yield "sums", lambda: check_sums(release)
    yield "bill of materials", lambda: check_bill(release)
    yield "bill of materials: schema", lambda: check_schema(release)
    for name, (language,) in release.matching(r"cmcwh(?:\.(ja))?\.8\.html"):
        yield name, lambda name=name, language=language: check_manual(release, name, language or "en")
    for name, (processor, rest) in release.matching(r"cmcwh-[0-9.]+-linux-([a-z0-9_]+)(-notls)?\.tar\.gz"):
        yield name, lambda name=name, processor=processor, rest=rest: check_binary(release, name, processor, not rest)
    for name, (package, version, router) in release.matching(r"(cmcwh-[a-z]+)_([^_]+)_(.*)\.ipk"):
        yield name, lambda name=name, package=package, version=version, router=router: check_ipk(
            release, name, package, version, router, package != "cmcwh-notls")
    for path in release.debs:
        yield os.path.basename(path), lambda path=path: check_deb(release, path)
    for architecture in sorted({re.sub(r".*_(.*)\.deb", r"\1", path) for path in release.debs}):
        if architecture == "amd64" or (long and architecture == "arm64"):
            yield "dpkg -i, " + architecture, lambda architecture=architecture: check_deb_installed(release, architecture)
    for name, (architecture,) in release.matching(r"cmcwh-[0-9.]+-oci-([a-z0-9]+)\.tar"):
        yield name, lambda name=name, architecture=architecture: images.check(release.path(name), architecture,
                                                                              release.scratch)
    yield "the source archive makes itself", lambda: check_source_again(release)
    if long:
        for package, says, needs in (("cmcwh", "TLS by OpenSSL", {"libssl"}), ("cmcwh-notls", "without TLS", set()),
                                     ("cmcwh-mbedtls", "TLS by Mbed TLS", set())):
            yield "the feed: " + package, lambda args=(package, says, needs): check_feed(release, *args)
        yield "the source archive: unit tests", lambda: check_unit_tests(release)
        yield "the source archive makes the same release", lambda: check_all_again(release)


def outcome(check):
    try:
        check()
        return "ok", ""
    except Skipped as why:
        return "skipped", str(why)
    except Exception as fault:  # whatever it is, the others are to run
        return "FAILED", traceback.format_exc() + getattr(fault, "said", "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("folder")
    parser.add_argument("debs", nargs="?")
    arguments = parser.parse_args()
    count = {"ok": 0, "skipped": 0, "FAILED": 0}
    with tempfile.TemporaryDirectory(prefix="cmcwh-dist-") as scratch:
        os.chmod(scratch, 0o755)
        release = Release(arguments.folder, arguments.debs, scratch)
        for name, check in checks(release, arguments.long):
            if arguments.only in name:
                came, why = outcome(check)
                count[came] += 1
                print(came, name, why, flush=True)
    print("%d passed, %d failed%s" % (count["ok"], count["FAILED"],
                                      ", %d skipped" % count["skipped"] if count["skipped"] else ""))
    sys.exit(1 if count["FAILED"] or not count["ok"] else 0)


main()

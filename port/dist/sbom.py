#!/usr/bin/env python3
"""sbom.py FOLDER: a bill of materials of the release in FOLDER, in CycloneDX's form, on standard output.

Each file of the release is a component, with what stands in it: of the programs what is compiled and linked in, of the
Debian packages also what they get from the system. Names, versions and terms come from the sources that are built of; two
releases of the same bytes have the same bill.
"""

import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import uuid


def setting(name, default):
    return os.environ.get(name) or default


CIVETWEB = setting("CIVETWEB_SRC", "build/deps/civetweb")
MBEDTLS = setting("MBEDTLS_SRC", "build/deps/mbedtls")
MUSL = setting("MUSL_SRC", "build/deps/musl")
JSMN = os.path.join(setting("JSMN_INCLUDE", "build/deps/include"), "jsmn.h")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8", errors="replace") as file:
        return file.read()


def found(pattern, text):
    return re.search(pattern, text, re.M).group(1)


def said(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout.strip()


def digest(path):
    with open(path, "rb") as file:
        return [{"alg": "SHA-256", "content": hashlib.sha256(file.read()).hexdigest()}]


def terms(expression):
    return [{"expression": expression}] if " " in expression else [{"license": {"id": expression}}]


def source_of(name, folder, version):
    """Where it came from: a source package of Debian's has corrections of its own, which scanners know by its version."""
    changelog = os.path.join(folder, "debian", "changelog")
    if os.path.exists(changelog):
        return "pkg:deb/debian/%s@%s?arch=source" % (name, found(r"^\S+ \((?:\d+:)?([^)]*)\)", read(changelog)))
    return "pkg:generic/%s@%s" % (name, version)


def library(reference, name, version, license_, purl, **more):
    return dict({"type": "library", "bom-ref": reference, "name": name, "version": version,
                 "licenses": terms(license_), "purl": purl}, **more)


def jsmn():
    """Its header does not say which it is."""
    version = said("dpkg-query", "-W", "-f", "${Version}", "libjsmn-dev")
    return library("jsmn", "jsmn", version.partition("-")[0], "MIT",
                   "pkg:deb/debian/jsmn@%s?arch=source" % version, hashes=digest(JSMN))


def mbedtls():
    header = "build_info.h" if os.path.exists(os.path.join(MBEDTLS, "include/mbedtls/build_info.h")) else "version.h"
    version = found(r'#define MBEDTLS_VERSION_STRING +"(.*)"', read(MBEDTLS, "include/mbedtls", header))
    return library("mbedtls", "Mbed TLS", version,
                   found(r"SPDX-License-Identifier: (.*)", read(MBEDTLS, "library/ssl_srv.c")),
                   source_of("mbedtls", MBEDTLS, version))


def built_in():
    """What is compiled and linked into programs, by its reference."""
    civetweb = found(r'#define CIVETWEB_VERSION "(.*)"', read(CIVETWEB, "include/civetweb.h"))
    musl = read(MUSL, "VERSION").strip()
    gcc = said("gcc", "-dumpfullversion")
    return [library("civetweb", "civetweb", civetweb, "MIT", source_of("civetweb", CIVETWEB, civetweb)),
            jsmn(),
            library("musl", "musl", musl, "MIT", source_of("musl", MUSL, musl)),
            mbedtls(),
            library("libgcc", "libgcc", gcc, "GPL-3.0-or-later WITH GCC-exception-3.1", "pkg:generic/gcc@" + gcc)]


def system_libraries(path):
    """What a Debian package gets from the system, as it asks for it."""
    wanted = said("dpkg-deb", "-f", path, "Depends")
    return {name: "%s (%s)" % (name, how) for name, how in re.findall(r"(lib[a-z0-9.+-]*) \(([^)]*)\)", wanted)}


def contents(name, path):
    """References to what stands in a file of the release."""
    if name.endswith(".deb"):
        own = ["jsmn"] if name.startswith("libcmcwh") else ["civetweb", "jsmn"]
        return own + ["deb:" + library for library in system_libraries(path) if not library.startswith("libcmcwh")]
    if name.endswith(".ipk") or "-linux-" in name or "-oci-" in name:
        return ["civetweb", "jsmn", "musl", "libgcc"] + ([] if "-notls" in name else ["mbedtls"])
    return []


def main():
    folder = sys.argv[1]
    version = found(r'^#define CMCWH_VERSION "(.*)"', read("cmcwh.h"))
    names = sorted(os.listdir(folder))
    files = [{"type": "file", "bom-ref": name, "name": name, "version": version, "licenses": terms("MIT"),
              "hashes": digest(os.path.join(folder, name))} for name in names]
    inside = {name: contents(name, os.path.join(folder, name)) for name in names}
    asked = {}
    for name in names:
        if name.endswith(".deb"):
            asked.update(system_libraries(os.path.join(folder, name)))
    used = {reference for references in inside.values() for reference in references}
    system = [{"type": "library", "bom-ref": "deb:" + name, "name": name, "scope": "required",
               "description": "shared, of the system: " + how, "purl": "pkg:deb/debian/" + name}
              for name, how in sorted(asked.items()) if "deb:" + name in used]
    libraries = [component for component in built_in() if component["bom-ref"] in used] + system
    edges = [{"ref": "cmcwh", "dependsOn": names}]
    edges += [{"ref": name, "dependsOn": sorted(inside[name])} for name in names]
    edges += [{"ref": component["bom-ref"], "dependsOn": []} for component in libraries]
    when = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
                     "component": {"type": "application", "bom-ref": "cmcwh", "name": "cmcwh", "version": version,
                                   "licenses": terms("MIT")}},
        "components": files + libraries,
        "dependencies": edges,
    }
    bill["serialNumber"] = "urn:uuid:%s" % uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(bill))
    json.dump(bill, sys.stdout, indent=1, ensure_ascii=False)
    print()


main()

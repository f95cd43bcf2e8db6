"""What a peer takes on the disk, with everything that it needs and a minimal Debian does not have."""

import os
import re
import shutil
import subprocess
import tempfile

from peers import EXPRESS

RULE = ("size on disk: Installed-Size of the packages and of all that they depend on, without what essential "
        "packages and those of priority 'required' bring; node_modules as files; programs stripped")


class Packages:
    """The installed packages and their dependencies."""

    def __init__(self):
        text = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package}\t${Installed-Size}\t${Essential}\t${Priority}\t"
             "${Provides}\t${Pre-Depends}, ${Depends}\t${db:Status-Status}\n"],
            check=True, stdout=subprocess.PIPE, text=True).stdout
        self.known, self.provided, base = {}, {}, []
        for line in text.splitlines():
            name, size, essential, priority, provides, depends, status = line.split("\t")
            if status != "installed":
                continue
            self.known.setdefault(name, (int(size or 0), depends))
            for virtual in names_in(provides):
                self.provided.setdefault(virtual, name)
            if essential == "yes" or priority == "required":
                base.append(name)
        self.base = self.closure(base, set())

    def real(self, alternatives):
        """The first that is installed, by its name or as provided by another."""
        names = names_in(alternatives.replace("|", ","))
        return next((name for name in names if name in self.known),
                    next((self.provided[name] for name in names if name in self.provided), None))

    def closure(self, wanted, without):
        found, todo = set(), list(wanted)
        while todo:
            name = self.real(todo.pop())
            if name is None or name in found or name in without:
                continue
            found.add(name)
            todo += [entry for entry in self.known[name][1].split(",") if entry.strip()]
        return found

    def size(self, names):
        """KiB."""
        return sum(self.known[name][0] for name in self.closure(names, self.base))


def names_in(text):
    """Names of packages in a list of dependencies, without versions and architectures."""
    entries = (re.sub(r"\(.*?\)|\[.*?\]|:any|:native", "", entry).strip() for entry in text.split(","))
    return [entry for entry in entries if entry]


def package_of(path):
    """The one that has brought a file; files under /usr may be known without it."""
    for name in (path, path[len("/usr"):] if path.startswith("/usr/") else "/usr" + path):
        result = subprocess.run(["dpkg-query", "-S", name], check=False, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
        if result.returncode == 0:
            return result.stdout.partition(":")[0]
    return None


def stripped(program):
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "program")
        subprocess.run(["strip", "-o", copy, program], check=True)
        return os.path.getsize(copy) // 1024


def libraries(program):
    """The packages of the shared libraries that a program loads."""
    text = subprocess.run(["ldd", program], check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout
    found = (package_of(os.path.realpath(path)) for path in re.findall(r"=> (/\S+)", text))
    return {name for name in found if name}


def files_under(folder):
    """KiB that the files take."""
    text = subprocess.run(["du", "-sk", folder], check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(text.split()[0])


def of(peer, packages):
    """KiB, and what they are of."""
    if not peer.packages:
        program = peer.commands[0][0]
        needs = libraries(program)
        return packages.size(needs) + stripped(program), sorted(packages.closure(needs, packages.base))
    wanted, more = list(peer.packages), 0
    if "nodejs" in wanted and "nodejs" not in packages.known:
        wanted, more = [], os.path.getsize(os.path.realpath(shutil.which("node"))) // 1024
    more += files_under(EXPRESS) if peer.kind == "express" else 0
    return packages.size(wanted) + more, sorted(packages.closure(wanted, packages.base))


def all_of(peers):
    packages = Packages()
    found = {}
    for peer in peers:
        size, names = of(peer, packages)
        found[peer.name] = {"disk_kib": size, "packages": names}
    return found

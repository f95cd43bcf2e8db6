"""The receivers that are compared: how each is started, what it needs, what it cannot do."""

import getpass
import glob
import grp
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXPRESS = os.path.abspath("build/deps/express/node_modules")
CMCWH = ["./cmcwh", "serve", "--listen", "127.0.0.1:@PORT@", "--workers", "8", "--log-level", "error",
         "--sink", "file:@LOG@"]
BUSY = 8  # threads of the civetweb handler
PATH = os.environ["PATH"] + ":/usr/sbin"


class Peer:
    """`commands` run together, with @NAMES@ replaced, as in the `configs`, which are put into the
    folder of the run. `mode` says what is done before a 200: "written", "synced", or "limit" for what
    writes nothing."""

    def __init__(self, name, mode, commands, configs=(), packages=(), files=(), note=""):
        self.kind, self.mode, self.commands, self.configs = name, mode, commands, configs
        self.packages, self.files, self.note = packages, files, note
        self.name = name if name.startswith(("cmcwh", "limit")) else "%s-%s" % (name, mode)

    def missing(self):
        """What of it is not on this machine."""
        needs = [command[0] for command in self.commands] + list(self.files)
        return [os.path.relpath(need) if os.path.isabs(need) else need for need in needs
                if not (shutil.which(need, path=PATH) or os.path.exists(need))]


def both(name, commands, **more):
    return [Peer(name, mode, commands, **more) for mode in ("written", "synced")]


def php_fpm():
    """Debian has the version in the name of the program."""
    return (sorted(glob.glob("/usr/sbin/php-fpm*")) or ["php-fpm"])[-1]


NGINX = ["nginx", "-e", "stderr", "-p", "@FOLDER@", "-c"]


def everything(bare):
    """All of them; `bare` is the program of tests/bench/bare.c."""
    peers = [
        Peer("cmcwh-never", "written", [CMCWH + ["--sync", "never"]],
             note="answers before the line is written: see README.md"),
        Peer("cmcwh-always", "synced", [CMCWH + ["--sync", "always"]]),
        Peer("cmcwh-ring", "synced", [CMCWH + ["--sync", "always", "--ring", "@FOLDER@/ring"]],
             note="answers when the events are synced to the ring's file; the log follows"),
        Peer("cmcwh-never-16k", "written", [CMCWH + ["--sync", "never", "--ring-records", "16384"]],
             note="as cmcwh-never, with room for bodies of many events"),
        Peer("cmcwh-ring-16k", "synced", [CMCWH + ["--sync", "always", "--ring", "@FOLDER@/ring",
                                                   "--ring-records", "16384"]],
             note="as cmcwh-ring, with room for bodies of many events"),
    ]
    peers += both("webhook", [["webhook", "-ip", "127.0.0.1", "-port", "@PORT@", "-urlprefix", "", "-hooks",
                               "@FOLDER@/webhook.yaml"]],
                  configs=["webhook.yaml.in"], packages=["webhook", "jq"], files=["jq"],
                  note="a shell and jq for each request; cannot say what is wrong with a body")
    peers += both("express", [["node", "@PEERS@/express.js"]], files=[EXPRESS], packages=["nodejs"],
                  note="one process, as is usual")
    peers += both("node", [["node", "@PEERS@/http.js"]], packages=["nodejs"], note="one process, as is usual")
    peers += both("php", [[php_fpm(), "-R", "-F", "-y", "@FOLDER@/php-fpm.conf"],
                          NGINX + ["@FOLDER@/nginx-php.conf"]],
                  configs=["php-fpm.conf.in", "nginx-php.conf.in"], packages=["nginx-light", "php-fpm"])
    peers += both("lighttpd", [["lighttpd", "-D", "-f", "@FOLDER@/lighttpd.conf"]],
                  configs=["lighttpd.conf.in"], packages=["lighttpd", "python3"],
                  note="a process for each request")
    peers += both("flask", [["gunicorn", "-c", "@PEERS@/gunicorn.conf.py", "--chdir", "@PEERS@",
                             "flask_app:app"]], packages=["gunicorn", "python3-flask"])
    peers += [Peer("limit-civetweb", "limit", [[bare, str(BUSY)]]),
              Peer("limit-nginx", "limit", [NGINX + ["@FOLDER@/nginx-limit.conf"]],
                   configs=["nginx-limit.conf.in"], packages=["nginx-light"])]
    return peers


def chosen(peers, words):
    """The peers that PEERS names, by name, by kind, or by mode."""
    known = [word for peer in peers for word in (peer.name, peer.kind, peer.kind.split("-")[0], peer.mode)]
    for word in words:
        if word not in known:
            sys.exit("no peer '%s': there are %s" % (word, " ".join(peer.name for peer in peers)))
    return [peer for peer in peers if not words or
            {peer.name, peer.kind, peer.kind.split("-")[0], peer.mode} & set(words)]


def fill_in(text, values):
    for name, value in values.items():
        text = text.replace("@%s@" % name, str(value))
    return text


def values_of(peer, folder, port, log):
    return {"FOLDER": folder, "PORT": port, "LOG": log, "PEERS": HERE, "USER": getpass.getuser(),
            "GROUP": grp.getgrgid(os.getgid()).gr_name, "SYNC": int(peer.mode == "synced")}


def environment(values):
    return dict(os.environ, PATH=PATH, NODE_ENV="production",
                NODE_PATH=EXPRESS, **{name: str(values[name]) for name in ("PORT", "LOG", "SYNC")})


def said_by(command):
    """What a command says, on one line, or nothing."""
    try:
        result = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=20)
    except OSError:
        return ""
    return (result.stdout.strip().splitlines() or [""])[0]


def package_version(package):
    return said_by(["dpkg-query", "-W", "-f", "${Version}", package])


def versions():
    """Of everything that takes part."""
    try:
        with open(os.path.join(EXPRESS, "express", "package.json"), encoding="utf-8") as file:
            express = json.load(file)["version"]
    except OSError:
        express = "missing"
    names = ["webhook", "jq", "nodejs", "nginx-light", "php-fpm", "lighttpd", "gunicorn", "python3-flask", "wrk"]
    return dict({name: package_version(name) for name in names},
                cmcwh=said_by(["./cmcwh", "--version"]).replace("cmcwh ", ""), express=express,
                node=said_by(["node", "--version"]), python3=said_by(["/usr/bin/python3", "--version"]),
                php=said_by([php_fpm(), "-v"]))

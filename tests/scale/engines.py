"""The engines of port/scale, each started in the foreground with the example that is there: only
places and ports are others. Each is ended by its pid."""

import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "port", "scale")
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

from harness import free_port  # noqa: E402
from programs import PATHS, Engine  # noqa: E402
from test_https import certificate  # noqa: E402

NAMES = ("a", "b", "c")
TOKEN = "a-token-for-the-test"


class Engines:
    """All of them, in a folder of their own."""

    def __init__(self, folder, cmcwh, without=()):
        self.folder = folder
        keys = ["a", "b", "c", "haproxy", "nginx", "rsyslog", "redis"]
        self.ports = {key: free_port() for key in keys}
        self.events = self.path("rsyslog/events")
        for name in ("a", "b", "c", "rsyslog", "redis", "nginx"):
            os.mkdir(self.path(name))
        self.pem = certificate(folder, "front")[0]
        with open(self.path("both.pem"), "wb") as both:
            for name in ("front.pem", "front.key"):
                with open(self.path(name), "rb") as file:
                    both.write(file.read())
        self.write("auth", "bearer %s\n" % TOKEN)
        self.engines = [self.redis(), self.rsyslog()] + [self.cmcwh(cmcwh, name) for name in NAMES]
        self.engines += [self.shipper(name, self.path(name + "/events.log")) for name in NAMES] + [self.haproxy(), self.nginx()]
        self.engines = [engine for engine in self.engines if engine.name not in without]

    def path(self, name):
        return os.path.join(self.folder, name)

    def __getitem__(self, name):
        return next(engine for engine in self.engines if engine.name == name)

    def write(self, name, text):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
                  encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def example(self, name, changes, to=None):
        """The example with other places. A change that does not apply is a mistake here."""
        with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
            text = file.read()
        for old, new in changes:
            text, count = re.subn(r"(?<!\d)%s(?!\d)" % old, new, text)
            assert count > 0, "%s has no '%s'" % (name, old)
        return self.write(to or name, text)

    def servers(self):
        return [("127.0.0.1:808%d" % (i + 1), "127.0.0.1:%d" % self.ports[name])
                for i, name in enumerate(NAMES)]

    def haproxy(self):
        bind = "bind 127.0.0.1:%d ssl crt %s" % (self.ports["haproxy"], self.path("both.pem"))
        config = self.example("haproxy.cfg", self.servers() + [("bind :443 ssl crt .*", bind)])
        return self.engine("haproxy", ["-W", "-f", config], program="haproxy")

    def nginx(self):
        config = self.example("nginx.conf", self.servers() + [
            ("user www-data;", "daemon off;\nuser root;"), ("/etc/nginx/webhooks.pem", self.path("both.pem")),
            ("listen 443", "listen 127.0.0.1:%d" % self.ports["nginx"]),
            ("/run|/var/log/nginx|/var/lib/nginx", self.path("nginx"))])
        return self.engine("nginx", ["-c", config, "-e", self.path("nginx/error.log")], program="nginx")

    def cmcwh(self, program, name):
        config = self.example("cmcwh.conf", [
            ("127.0.0.1:8081", "127.0.0.1:%d" % self.ports[name]), ("/etc/cmcwh", self.folder),
            ("/var/(lib|log)/cmcwh", self.path(name)), ("127.0.0.1:601", "127.0.0.1:%d" % self.ports["rsyslog"]),
            ("65536", "16384"), ("100M", "1M")], to=name + ".conf")
        return Engine(self.folder, name, [os.path.abspath(program), "serve", "--config", config], self.ports[name])

    def rsyslog(self):
        config = self.example("rsyslog.conf", [
            ("/var/spool/rsyslog", self.path("rsyslog")), ("/var/log/cmcwh-events", self.events),
            ('port="601"', 'port="%d"' % self.ports["rsyslog"])])
        return self.engine("rsyslog", ["-n", "-f", config, "-i", self.path("rsyslog.pid")], program="rsyslogd")

    def redis(self):
        config = self.example("redis.conf", [("6379", str(self.ports["redis"])),
                                             ("/var/lib/redis", self.path("redis"))])
        return self.engine("redis", [config], program="redis-server")

    def shipper(self, name, log, *options):
        # Debian's Python has Debian's module; another python3 may come first in PATH.
        return Engine(self.folder, "ship-" + name, [
            "/usr/bin/python3", os.path.join(EXAMPLES, "ship.py"), "--source", name,
            "--redis", "redis://127.0.0.1:%d" % self.ports["redis"], *options, log])

    def engine(self, name, arguments, program):
        path = shutil.which(program, path=PATHS)
        assert path, program + " is missing: make scale-deps"
        return Engine(self.folder, name, [path] + arguments, self.ports[name])

    def redis_cli(self, *arguments):
        return subprocess.run(["redis-cli", "-p", str(self.ports["redis"]), *map(str, arguments)], check=True,
                              stdout=subprocess.PIPE, timeout=30).stdout

    def __enter__(self):
        try:
            for engine in self.engines:
                engine.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        for engine in reversed(self.engines):
            try:
                engine.end()
            except AssertionError as error:
                print(error)


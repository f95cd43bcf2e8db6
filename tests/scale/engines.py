"""The engines of port/scale, each started in the foreground with the example that is there: only
places and ports are others. Each is ended by its pid."""

import glob
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "port", "scale")
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

import harness  # noqa: E402
from harness import eventually, free_port  # noqa: E402
from programs import PATHS, Engine  # noqa: E402
from test_https import certificate  # noqa: E402

NAMES = ("a", "b", "c")
TOKEN = "a-token-for-the-test"
harness.PATIENCE = 120  # RabbitMQ takes its time to start


class Engines:
    """All of them, in a folder of their own."""

    def __init__(self, folder, cmcwh, without=()):
        """without: expressions that match the URIs of sinks that none of the three shall have."""
        self.folder, self.program = folder, os.path.abspath(cmcwh)
        keys = list(NAMES) + ["hub", "haproxy", "nginx", "collector", "redis", "rabbitmq", "amqp", "epmd", "erlang",
                              "rsyslog"]
        self.ports = {key: free_port() for key in keys}
        self.events = self.path("rsyslog/events")
        for name in keys:
            os.mkdir(self.path(name))
        self.pem = certificate(folder, "front")[0]
        with open(self.path("both.pem"), "wb") as both:
            for name in ("front.pem", "front.key"):
                with open(self.path(name), "rb") as file:
                    both.write(file.read())
        self.secrets()
        self.first = [self.epmd()]
        self.far = [self.redis(), self.collector(), self.rabbitmq(), self.rsyslog()]
        self.near = [self.hub()] + [self.cmcwh(name, without) for name in NAMES] + [self.haproxy(), self.nginx()]
        self.engines = self.first + self.far + self.near

    def secrets(self):
        """What each shows to the next."""
        self.write("auth", "bearer %s\n" % TOKEN)
        self.write("hub-auth", "chain %s\n" % TOKEN)
        self.write("hub-token", "bearer %s\n" % TOKEN)
        self.write("broker", "basic router1:%s\n" % TOKEN)
        users = []
        for name in (*NAMES, "hub"):
            self.write("collector-" + name, "basic %s:%s\n" % (name, TOKEN))
            hashed = subprocess.run(["openssl", "passwd", "-apr1", TOKEN], check=True, stdout=subprocess.PIPE).stdout
            users.append("%s:%s" % (name, hashed.decode()))
        self.write("users", "".join(users))

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

    def cmcwh(self, name, without=()):
        """One of them; of its sinks without those that the expressions match."""
        config = self.example("cmcwh.conf", [
            ("127.0.0.1:8081", "127.0.0.1:%d" % self.ports[name]), *self.onward(name),
            ("/etc/cmcwh/broker.pem", self.pem), ("/etc/cmcwh", self.folder), ("/var/log/cmcwh", self.path(name)),
            ("broker.example:8883", "localhost:%d" % self.ports["rabbitmq"]),
            ("127.0.0.1:601", "127.0.0.1:%d" % self.ports["rsyslog"]), ("65536", "8192"), ("100M", "4M"),
            ("hub.example:8444", "localhost:%d" % self.ports["hub"]),
            ("headers=%s/hub&ca=%s/hub.pem" % (self.folder, self.folder),
             "headers=%s&ca=%s" % (self.path("hub-token"), self.pem)),
            *(("sink = (?=%s)" % sink, "# sink = ") for sink in without)], to=name + ".conf")
        return Engine(self.folder, name, [self.program, "serve", "--config", config], self.ports[name])

    def hub(self):
        config = self.example("hub.conf", [
            ("0.0.0.0:8444s", "127.0.0.1:%ds" % self.ports["hub"]), *self.onward("hub"),
            ("/etc/cmcwh/hub.pem", self.pem), ("/etc/cmcwh/hub.key", self.path("front.key")),
            ("/etc/cmcwh", self.folder), ("65536", "8192")])
        return Engine(self.folder, "hub", [self.program, "serve", "--config", config], self.ports["hub"])

    def onward(self, name):
        """The collector is everybody's."""
        return [("collector.example:8443", "localhost:%d" % self.ports["collector"]),
                ("/etc/cmcwh/collector.pem", self.pem), ("/etc/cmcwh/collector", self.path("collector-" + name)),
                ("/var/lib/cmcwh", self.path(name))]

    def collector(self):
        script = self.example("collector.lua", [("6379", str(self.ports["redis"]))])
        config = self.example("collector.conf", [
            ("user www-data;", "daemon off;\nuser root;"), ("/etc/nginx/collector.pem", self.path("both.pem")),
            ("/etc/nginx/collector.users", self.path("users")), ("/etc/nginx/collector.lua", script),
            ("listen 8443", "listen 127.0.0.1:%d" % self.ports["collector"]),
            ("/run|/var/log/nginx|/var/lib/nginx", self.path("collector"))])
        return self.engine("collector", ["-c", config, "-e", self.path("collector/error.log")], program="nginx")

    def rabbitmq(self):
        users = self.example("rabbitmq.json", [("change me too", TOKEN), ("change me", TOKEN)])
        config = self.example("rabbitmq.conf", [
            ("= 8883", "= 127.0.0.1:%d" % self.ports["rabbitmq"]), ("/etc/rabbitmq/broker.pem", self.pem),
            ("/etc/rabbitmq/broker.key", self.path("front.key")), ("/etc/rabbitmq/rabbitmq.json", users),
            ("127.0.0.1:5672", "127.0.0.1:%d" % self.ports["amqp"])])
        self.write("enabled_plugins", "[rabbitmq_mqtt].\n")
        folder = self.path("rabbitmq")
        places = {"CONFIG_FILE": config, "MNESIA_BASE": folder, "GENERATED_CONFIG_DIR": folder, "LOGS": "-",
                  "ENABLED_PLUGINS_FILE": self.path("enabled_plugins"), "PID_FILE": folder + "/pid",
                  "NODENAME": "cmcwh%d@localhost" % self.ports["epmd"], "DIST_PORT": self.ports["erlang"],
                  "CONF_ENV_FILE": "/dev/null", "SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"}
        environment = ["RABBITMQ_%s=%s" % place for place in places.items()] + [
            "ERL_EPMD_PORT=%d" % self.ports["epmd"], "HOME=" + folder, "RUNNING_UNDER_SYSTEMD=1"]
        program = sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
        assert program, "rabbitmq-server is missing: make scale-deps"
        return Engine(self.folder, "rabbitmq", ["env", "-C", folder, *environment, program[-1]], self.ports["rabbitmq"])

    def epmd(self):
        """Knows the ports of Erlang's programs. RabbitMQ would start one that stays behind."""
        return self.engine("epmd", ["-port", str(self.ports["epmd"]), "-address", "127.0.0.1"], program="epmd")

    def rsyslog(self):
        config = self.example("rsyslog.conf", [
            ("/var/spool/rsyslog", self.path("rsyslog")), ("/var/log/cmcwh-events", self.events),
            ('port="601"', 'port="%d"' % self.ports["rsyslog"])])
        return self.engine("rsyslog", ["-n", "-f", config, "-i", self.path("rsyslog.pid")], program="rsyslogd")

    def redis(self):
        config = self.example("redis.conf", [("6379", str(self.ports["redis"])),
                                             ("/var/lib/redis", self.path("redis"))])
        return self.engine("redis", [config], program="redis-server")

    @staticmethod
    def start(engines):
        for engine in engines:
            engine.launch()
        for engine in engines:
            engine.wait()

    def engine(self, name, arguments, program):
        path = shutil.which(program, path=PATHS)
        assert path, program + " is missing: make scale-deps"
        return Engine(self.folder, name, [path] + arguments, self.ports[name])

    def redis_cli(self, *arguments):
        return subprocess.run(["redis-cli", "-p", str(self.ports["redis"]), *map(str, arguments)], check=True,
                              stdout=subprocess.PIPE, timeout=30).stdout

    def __enter__(self):
        """RabbitMQ opens its port before it has its queue, the first time: what comes then it drops, with a PUBACK."""
        try:
            self.start(self.first)
            self.start(self.far)
            eventually(lambda: "Server startup complete" in self["rabbitmq"].said(), "RabbitMQ's queue")
            self.start(self.near)
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


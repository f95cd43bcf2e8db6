"""An http: sink whose receiver stands behind Debian's nginx: what nginx does and says in an application's place."""

import os
import shutil
import signal
import sys
import time

import receivers
from harness import Load, eventually, free_port
from onward import Onward, Sender, check, check_events, uri_of
from peers import authority, signed
from programs import Engine, find
from receivers import Receiver

CONFIG = """daemon off;
user root;
pid @FOLDER/nginx.pid;
worker_processes 2;
worker_shutdown_timeout 5s;
error_log @FOLDER/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path @FOLDER/nginx-body;
    proxy_temp_path @FOLDER/nginx-proxy;
    fastcgi_temp_path @FOLDER/nginx-fastcgi;
    uwsgi_temp_path @FOLDER/nginx-uwsgi;
    scgi_temp_path @FOLDER/nginx-scgi;
    limit_req_zone $binary_remote_addr zone=all:32k rate=20r/s;
    server {
        listen 127.0.0.1:@PORT @SERVER;
        location = /in {
            @LOCATION
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:@APPLICATION;
        }
    }
}
"""


class Nginx(Engine):
    """Before a receiver."""

    def __init__(self, folder, receiver, server="", location="", port=None):
        port = port or free_port()
        text = CONFIG
        for name, value in (("SERVER", server), ("LOCATION", location), ("PORT", str(port)), ("FOLDER", folder),
                            ("APPLICATION", str(receiver.port))):
            text = text.replace("@" + name, value)
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)
        super().__init__(folder, "nginx", [find("nginx"), "-c", config, "-e", os.path.join(folder, "nginx.log")], port)

    def workers(self):
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid), encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    def end(self, number=signal.SIGTERM):
        """Killed, the first process leaves its workers behind: they go with it."""
        workers = self.workers() if number == signal.SIGKILL and self.process and self.process.poll() is None else []
        super().end(number)
        for pid in workers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Scene:
    """A receiver, nginx before it, and a cmcwh that posts there."""

    def __init__(self, scheme="http", server="", location="", ring="file", **parameters):
        self.receiver = Receiver()
        self.port = free_port()  # nginx's
        self.server = Onward(uri_of(self, scheme, **parameters), ring=ring)
        self.nginx_is, self.ring = (server.replace("@", self.server.folder), location), ring

    def __enter__(self):
        try:
            self.nginx = Nginx(self.server.folder, self.receiver, *self.nginx_is, port=self.port)
            self.nginx.start()
            self.server.__enter__()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        try:
            if hasattr(self.server, "process"):
                self.server.__exit__(kind, value, trace)
            else:
                shutil.rmtree(self.server.folder, ignore_errors=True)
        finally:
            if hasattr(self, "nginx"):
                self.nginx.end(signal.SIGKILL)
            self.receiver.close()

    def all_came(self, sender):
        eventually(lambda: len(set(self.receiver.ids())) >= sender.next, "the events")
        check_events(self.server.wait_lines(sender.next), [taken.event for taken in self.receiver.taken], self.ring)

    def under_load(self, disturb, times):
        """What was acknowledged meanwhile has come. Returns what was said about the sink."""
        with Load(self.server, 3) as load:
            for _ in range(times):
                load.wait(20)
                disturb()
            load.wait(20)
        self.server.emptied()
        lines = self.server.lines()
        assert set(load.acknowledged) <= {line["to"] for line in lines}
        check(lines, self.receiver.ids())
        return self.server.about_sink()


def test_nginx_is_reloaded():
    """It ends its connections as HTTP allows: nothing is said."""
    with Scene() as scene:
        said = scene.under_load(lambda: (scene.nginx.tell(signal.SIGHUP), time.sleep(0.2)), 8)
        assert said == [], said
        assert len({taken.connection for taken in scene.receiver.taken}) > 1


def test_nginx_is_restarted():
    with Scene() as scene:
        scene.under_load(lambda: scene.nginx.restart(pause=0.3), 3)


def test_nginx_is_killed():
    with Scene() as scene:
        scene.under_load(lambda: scene.nginx.restart(signal.SIGKILL, 0.1), 3)


def test_workers_of_nginx_are_killed():
    with Scene() as scene:
        def kill():
            for pid in scene.nginx.workers():
                os.kill(pid, signal.SIGKILL)
        scene.under_load(kill, 3)


def test_nginx_takes_no_long_bodies():
    for ring in ("file", "memory"):
        with Scene(location="client_max_body_size 2k;", ring=ring, batch=64, wait=50, dead="@/dead") as scene:
            sender = Sender(scene.server, subject="x" * 300)
            for _ in range(3):
                sender.insist(40)
            scene.all_came(sender)
            assert scene.server.about_sink() == [] and not os.path.exists(scene.server.path("dead"))


def test_nginx_lets_few_requests_through():
    for status in (503, 429):
        with Scene(location="limit_req zone=all; limit_req_status %d;" % status, batch=1) as scene:
            sender = Sender(scene.server)
            for _ in range(4):
                assert sender.try_one(5) == 200
            scene.all_came(sender)
            assert str(status) in scene.server.about_sink()[0], scene.server.about_sink()


def test_nginx_wants_a_certificate():
    """Over TLS, with one and without: there it is nginx that answers, and says 400 to everything."""
    for shown in (True, False):
        parameters = {"cert": "@/client.pem", "key": "@/client.key"} if shown else {}
        scene = Scene("https", server="ssl; ssl_certificate @/tls.pem; ssl_certificate_key @/tls.key; "
                      "ssl_client_certificate @/ca.pem; ssl_verify_client on", ca="@/ca.pem", tries=2, **parameters)
        folder = scene.server.folder
        ca = authority(folder)
        signed(folder, ca)
        signed(folder, ca, name="client")
        with scene:
            sender = Sender(scene.server)
            assert sender.try_one(3) == 200
            if shown:
                scene.all_came(sender)
                assert scene.server.about_sink() == []
            else:
                scene.server.wait_said("400")
                assert "No required SSL certificate was sent" in scene.server.stderr() and not scene.receiver.taken


def test_nobody_behind_nginx():
    with Scene() as scene:
        sender = Sender(scene.server)
        sender.insist(2)
        eventually(lambda: len(scene.receiver.taken) == 2, "the first events")
        scene.receiver.fault = receivers.reset_before_reading
        scene.receiver.shut()
        assert sender.try_one(5) == 200
        scene.server.wait_said("trying again")
        assert "502" in scene.server.about_sink()[0], scene.server.about_sink()
        scene.receiver.mend()
        scene.receiver.open()
        scene.all_came(sender)
        scene.server.wait_said("works again")

"""Real programs that forward to cmcwh: HTTPS on their own port, started in the foreground."""

import os
import shutil
import socket
import subprocess

from harness import Skipped, eventually, free_port
from test_https import certificate

HAPROXY = """defaults
    mode @MODE
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend webhooks
    bind 127.0.0.1:@PORT ssl crt @FOLDER/both.pem
    @FRONTEND
    default_backend cmcwh
backend cmcwh
    @BACKEND
    server cmcwh 127.0.0.1:@SERVER @OPTIONS
"""

NGINX = """user root;
daemon off;
pid @FOLDER/nginx.pid;
error_log @FOLDER/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path @FOLDER/nginx-body;
    proxy_temp_path @FOLDER/nginx-proxy;
    fastcgi_temp_path @FOLDER/nginx-fastcgi;
    uwsgi_temp_path @FOLDER/nginx-uwsgi;
    scgi_temp_path @FOLDER/nginx-scgi;
    client_max_body_size 8m;
    @UPSTREAM
    server {
        listen 127.0.0.1:@PORT ssl;
        ssl_certificate @FOLDER/front.pem;
        ssl_certificate_key @FOLDER/front.key;
        location = /mails {
            @LOCATION
        }
    }
}
"""

STUNNEL = """foreground = yes
pid =
[webhooks]
accept = 127.0.0.1:@PORT
connect = 127.0.0.1:@SERVER
cert = @FOLDER/front.pem
key = @FOLDER/front.key
protocol = proxy
"""


class Front:
    """A program that forwards to cmcwh, started in the foreground in a folder of the server's."""

    def __init__(self, server, program, text, command):
        path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if path is None:
            raise Skipped(program + " is not installed")
        self.port = free_port()
        certificate(server.folder, "front")
        with open(server.path("front.pem"), "rb") as cert, open(server.path("front.key"), "rb") as key:
            both = cert.read() + key.read()
        with open(server.path("both.pem"), "wb") as file:
            file.write(both)
        names = {"PORT": str(self.port), "SERVER": str(server.port), "FOLDER": server.folder}
        for name, value in names.items():
            text = text.replace("@" + name, value)
        server.write("front.conf", text)
        self.server = server
        self.log = open(server.path("front.log"), "wb")
        self.process = subprocess.Popen([path] + [word.replace("@CONF", server.path("front.conf"))
                                                  for word in command],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def __enter__(self):
        def listens():
            assert self.process.poll() is None, open(self.log.name).read()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        eventually(listens, "the front's port")
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def post(self, path, source):
        """With curl over HTTPS, from an address of this machine. Returns the status."""
        result = subprocess.run(["curl", "-s", "-S", "-m", "30", "--cacert",
                                 self.server.path("front.pem"), "--interface", source, "--resolve",
                                 "localhost:%d:127.0.0.1" % self.port, "-o", "/dev/null", "-w",
                                 "%{http_code}", "-H", "Content-Type: application/json",
                                 "--data-binary", "@" + path,
                                 "https://localhost:%d/mails" % self.port],
                                stdout=subprocess.PIPE, check=True)
        return int(result.stdout)


def haproxy(server, mode="http", frontend="", backend="", options=""):
    text = HAPROXY
    for name, value in (("MODE", mode), ("FRONTEND", frontend), ("BACKEND", backend),
                        ("OPTIONS", options)):
        text = text.replace("@" + name, value)
    return Front(server, "haproxy", text, ["-db", "-f", "@CONF"])


def nginx(server, location, upstream=""):
    text = NGINX.replace("@UPSTREAM", upstream).replace("@LOCATION", location)
    return Front(server, "nginx", text, ["-c", "@CONF"])


def stunnel(server):
    return Front(server, "stunnel", STUNNEL, ["@CONF"])

"""What port/onward has for the far end, with other paths and ports: what was answered with 200 is there, each event
once, however a receiver ends; and nobody else comes in."""

import getpass
import json
import os
import signal
import sqlite3
import subprocess

from harness import PATIENCE, Client, Skipped, body, eventually, free_port, request
from onward import Onward
from programs import Engine, find
from test_https import certificate

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "port", "onward")
TOKEN = "something that nobody guesses"
PYTHON = "receiver.py", "python3", "RECEIVER", "STORE", "PORT"


class Receiver(Engine):
    def __init__(self, server, port, name, command):
        self.store = server.path("store")
        environment = ["TOKEN=" + TOKEN, "DATABASE=sqlite:" + self.store]
        places = {"RECEIVER": os.path.join(EXAMPLES, name), "STORE": self.store, "PORT": str(port)}
        for place, value in places.items():
            command = [word.replace(place, value) for word in command]
        super().__init__(server.folder, name, ["env", *environment, find(command[0]), *command[1:]], port)

    def events(self):
        if self.name.endswith(".mjs"):
            with open(self.store, encoding="utf-8") as file:
                return [json.loads(line) for line in file]
        with sqlite3.connect(self.store) as database:
            return [json.loads(event) for event, in database.execute("SELECT event FROM events ORDER BY rowid")]

    def post(self, data, token=TOKEN):
        client = Client(self.port)
        client.send(request(data, headers=["Authorization: Bearer " + token]))
        status = client.answer().status
        client.close()
        return status


def receives(name, *command):
    """What is posted while it is killed again and again is there in the end, once and in order."""
    port = free_port()
    server = Onward("http://127.0.0.1:%d/?headers=@/headers" % port)
    server.write("headers", "bearer %s\n" % TOKEN)
    receiver = Receiver(server, port, name, command)
    with server, receiver:
        for number in range(0, 400, 4):
            assert server.post(body(4, first=number)).status == 200
            if number % 80 == 40:
                receiver.end(signal.SIGKILL)
            elif number % 80 == 60:
                receiver.start()
                server.signal(signal.SIGHUP)  # who has failed is tried now
        assert server.post(body(4)).status == 200  # the service sends some again
        server.stop()  # in order: the sinks have got everything
        ids = [line["id"] for line in server.lines()]
        once = list(dict.fromkeys(ids))
        assert len(ids) == len(once) + 4
        assert [event["id"] for event in receiver.events()] == once
        assert receiver.post(b'{"id":"0"}\n', "another") == 401
        for wrong in b"{\n", b"{}\n", b'{"id":"0"}\n[]\n':
            assert receiver.post(wrong) == 400, wrong
        assert len(receiver.events()) == len(once)


def test_receiver_in_python():
    receives(*PYTHON)


def test_receiver_in_javascript():
    receives("receiver.mjs", "node", "RECEIVER", "STORE", "PORT")


def test_receiver_in_php():
    if b"pdo_sqlite" not in subprocess.run([find("php"), "-m"], stdout=subprocess.PIPE, check=True).stdout:
        raise Skipped("PHP has no SQLite: php-sqlite3 is not installed")
    receives("receiver.php", "php", "-S", "127.0.0.1:PORT", "RECEIVER")


def example(server, name, replacements):
    """An example with our paths and ports, each of which must be in it."""
    with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
        text = file.read()
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new.replace("@", server.folder))
    return text


def test_front_of_nginx():
    """It lets in who shows a certificate that it knows."""
    port = free_port()
    server = Onward("https://localhost:%d/cmc?ca=@/server.pem&cert=@/routers.pem&key=@/routers.key&headers=@/headers" % port)
    server.write("headers", "bearer %s\n" % TOKEN)
    for name in "server", "routers":
        certificate(server.folder, name)
    receiver = Receiver(server, free_port(), PYTHON[0], PYTHON[1:])
    site = example(server, "nginx.conf", {"listen 443": "listen 127.0.0.1:%d" % port, "/etc/receiver": "@",
                                          "127.0.0.1:8090": "127.0.0.1:%d" % receiver.port})
    temporary = "".join("%s_temp_path %s/%s;" % (name, server.folder, name)
                        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = server.write("nginx.conf", "daemon off; error_log stderr; pid %s/pid; events {} http { access_log off; %s %s }" %
                        (server.folder, temporary, site))
    nginx = Engine(server.folder, "nginx", [find("nginx"), "-e", "stderr", "-p", server.folder, "-c", conf], port)
    with receiver, nginx, server:
        assert server.post(body(1000, reason="x" * 300)).status == 200
        eventually(lambda: len(receiver.events()) == 1000, "all events")
        answer = subprocess.run(["curl", "-s", "--cacert", server.path("server.pem"), "-d", "x", "-w", "%{http_code}",
                                 "https://localhost:%d/cmc" % port], stdout=subprocess.PIPE, check=True).stdout
        assert answer.endswith(b"400"), answer  # no certificate


def test_broker():
    """It lets in who has a password, to his own topics."""
    port = free_port()
    certificates = {"/etc/mosquitto/certs/broker.pem": "@/broker.pem", "/etc/mosquitto/certs/broker.key": "@/broker.key"}
    server = Onward("mqtts://localhost:%d?ca=@/broker.pem&auth=@/auth&topic=cmc/router1/{event_type}/{status}" % port)
    certificate(server.folder, "broker")
    server.write("auth", "basic router1:one\n")
    server.write("passwords", "router1:one\nreader:two\n")
    subprocess.run([find("mosquitto_passwd"), "-U", server.path("passwords")], check=True)
    server.write("acl", example(server, "mosquitto.acl", {}))
    conf = example(server, "mosquitto.conf", {
        **certificates, "listener 8883": "user %s\nlistener %d 127.0.0.1" % (getpass.getuser(), port),
        "/etc/mosquitto/passwords": "@/passwords", "/etc/mosquitto/cmcwh.acl": "@/acl", "/var/lib/mosquitto/": "@/"})
    broker = Engine(server.folder, "mosquitto", [find("mosquitto"), "-c", server.write("conf", conf)], port)
    reader = [find("mosquitto_sub"), "-L", "mqtts://reader:two@localhost:%d/cmc/#" % port, "-i", "reader", "-c", "-q", "1",
              "--cafile", server.path("broker.pem")]
    with broker:
        subprocess.run(reader + ["-E"], check=True)  # from now on what comes is kept for it
        with server:
            assert server.post(body(3)).status == 200
            server.stop()  # in order: it has got everything
            broker.restart()
            found = subprocess.run(reader + ["-C", "3", "-W", str(PATIENCE), "-F", "%t %p"], stdout=subprocess.PIPE,
                                   check=True).stdout
            server.command = [word.replace("router1/{", "router2/{") for word in server.command]
            server.restart()
            assert server.post(body()).status == 200
            server.wait_said("the broker forbids the topic 'cmc/router2/deliveries/queued'")
    topics, events = zip(*(line.split(b" ", 1) for line in found.splitlines()))
    assert set(topics) == {b"cmc/router1/deliveries/queued"}, topics
    assert [json.loads(event)["to"] for event in events] == ["user%d@example.jp" % i for i in range(3)]

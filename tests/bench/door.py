#!/usr/bin/env python3
"""door.py CMCWH: what a request, a handshake and a connection that rests cost, beside one worker of
nginx that answers a constant, with the same certificate. Prints Markdown.

All servers run at once and are loaded in turn, each cell once a round; the median of ROUNDS (3)
counts. SECONDS_EACH (1) is how long each is loaded, CELLS which cells: names such as plain-json-1,
tls-form-500, handshakes and memory, or words that begin some (default: all). Processor time is the
server's, from /proc/PID/stat, while connections are kept that have been made before.
"""

import collections
import itertools
import os
import ssl
import subprocess
import sys
import tempfile
import time

from load import Cost, Wrk, head, medians, memory, processor, row, say_machine, thousands, together, watch
import bodies
import harness
from harness import Client, eventually, request
from test_https import Https, certificate

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS_EACH = float(os.environ.get("SECONDS_EACH", "1"))
COUNTS = (1, 8, 64, 500)
CELLS = ["%s-%s-%d" % cell for cell in itertools.product(("plain", "tls"), bodies.TYPES, COUNTS)]
REST = 500  # connections whose memory is measured

NGINX = """
worker_processes 1;
daemon off;
pid @/nginx.pid;
error_log stderr crit;
events { worker_connections 2048; }
http {
    access_log off;
    keepalive_timeout 65;
    keepalive_requests 1000000000;
    client_body_temp_path @/body;
    fastcgi_temp_path @/fastcgi;
    proxy_temp_path @/proxy;
    scgi_temp_path @/scgi;
    uwsgi_temp_path @/uwsgi;
    ssl_certificate @/tls.pem;
    ssl_certificate_key @/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:TLS_PORT ssl backlog=1024;
        listen 127.0.0.1:PLAIN_PORT backlog=1024;
        default_type application/json;
        location = /mails { return 200 '{"stored":1}'; }
    }
}
"""

class Nginx(harness.Server):
    """One worker that answers a constant."""

    def __init__(self):
        super().__init__(sink=False)
        certificate(self.folder, "tls")
        self.ports = [harness.free_port(), harness.free_port()]
        text = NGINX.replace("@", self.folder)
        text = text.replace("TLS_PORT", str(self.ports[0])).replace("PLAIN_PORT", str(self.ports[1]))
        self.command = ["nginx", "-e", "stderr", "-p", self.folder, "-c", self.write("conf", text)]

    def __enter__(self):
        self.errors, self.output = open(self.path("stderr"), "w+b"), open(self.path("stdout"), "w+b")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=self.errors)
        self.port = self.ports[0]
        eventually(self.answers, "an answer of nginx")
        return self

    def answers(self):
        if self.process.poll() is not None:
            sys.exit("nginx ended at once: " + self.stderr())
        try:
            Client(self.port).close()
        except OSError:
            return False
        return True

    def context(self):
        return Https.context(self)

    def worker(self):
        pid = self.process.pid
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
            return int(file.read())


class Cmcwh(Https):
    """With all that it has by default."""

    def __init__(self, *options):
        super().__init__("--listen", "127.0.0.1:0", "--log-level", "error", *options, sink=False)

    def worker(self):
        return self.process.pid


SERVERS = {"nginx": Nginx,
           "never": lambda: Cmcwh("--sync", "never", "--sink", "file:/dev/null"),
           "ring": lambda: Cmcwh("--sync", "always", "--ring", "@/ring", "--sink",
                                 "file:@/log?rotate=64M&keep=1")}


# ---- What is read of a process ----

def sockets(pid):
    folder, found = "/proc/%d/fd/" % pid, 0
    for name in os.listdir(folder):
        try:
            found += os.readlink(folder + name).startswith("socket:")
        except OSError:
            pass  # it has just been closed
    return found


# ---- Load ----

def port_of(server, transport):
    return server.ports[0 if transport == "tls" else 1]


def load(server, cell, folder):
    """One run of wrk, of which that counts in which all connections are there and have had some requests.
    Errors are those of the whole run: 500 handshakes at once are more than cmcwh has places for, and wrk
    connects again."""
    transport, kind, count = cell.split("-")
    count, pid = int(count), server.worker()
    idle = sockets(pid)
    with Wrk("%s, %s" % (type(server).__name__, cell), "http%s://127.0.0.1:%d/mails" % (
            "s" if transport == "tls" else "", port_of(server, transport)), count, folder, kind) as wrk:
        eventually(lambda: sockets(pid) >= idle + count, "connections of wrk")
        time.sleep(0.2)
        run = watch(pid, wrk.sent, lambda: time.sleep(SECONDS_EACH))
    eventually(lambda: sockets(pid) <= idle, "the end of connections")
    return together([run])


def shake(server, version, resumed):
    """Handshakes one after the other."""
    context = server.context()
    context.minimum_version = context.maximum_version = version
    session, count = None, 0

    def connection():
        return context.wrap_socket(Client(server.port).socket, server_hostname="localhost",
                                   session=session)
    if resumed:
        with connection() as first:
            first.sendall(request(harness.body()))
            first.recv(4096)  # a ticket comes before it
            session = first.session
    start = time.monotonic(), processor(server.worker())
    while time.monotonic() < start[0] + SECONDS_EACH:
        with connection() as one:
            assert one.session_reused == resumed
        count += 1
    used = processor(server.worker()) - start[1]
    return Cost(1e6 * used / count, count / (time.monotonic() - start[0]))


def post(client):
    client.send(request(harness.body()))
    assert client.answer().status == 200


def rest(server, transport):
    """KiB for each connection that has had a request: RSS and PSS. Before, every record of the ring
    and what the first connections need is there."""
    def connect():
        client = Client(port_of(server, transport))
        if transport == "tls":
            client.socket = server.context().wrap_socket(client.socket, server_hostname="localhost")
        return client
    clients = [connect() for _ in range(8)]
    for client in itertools.islice(itertools.cycle(clients), 1200):
        post(client)
    for client in clients:
        client.close()
    time.sleep(0.2)
    before, clients = memory(server.worker()), []
    for _ in range(REST):
        clients.append(connect())
        post(clients[-1])
    time.sleep(0.2)
    after = memory(server.worker())
    for client in clients:
        client.close()
    return [(now - then) / REST for then, now in zip(before, after)]


# ---- Tables ----

def table(title, found):
    """Rows of {server: Cost}."""
    head(title, "nginx: µs", "a second", "`--sync never`: µs", "a second", "to nginx",
         "`--ring --sync always`: µs", "a second", "to nginx")
    for name, costs in found.items():
        limit = costs["nginx"].micros
        words = [name.replace("-", ", ")]
        for server in SERVERS:
            cost = costs[server]
            words += ["%.1f" % cost.micros, thousands(cost.rate)]
            words += [] if server == "nginx" else ["%.2f" % (cost.micros / limit)]
        row(*words)
    print()


def say_growth(found):
    """How much more a request costs among many connections than on one."""
    for transport, kind in itertools.product(("plain", "tls"), bodies.TYPES):
        first, last = ("%s-%s-%d" % (transport, kind, count) for count in (COUNTS[0], COUNTS[-1]))
        if first in found and last in found:
            print("From %d to %d connections, %s, %s: " % (COUNTS[0], COUNTS[-1], transport, kind) +
                  ", ".join("%s ×%.2f" % (name, found[last][name].micros / found[first][name].micros)
                            for name in SERVERS))


def in_turn(cells, servers, measure):
    """{cell: {server: the median of its costs}}."""
    costs = collections.defaultdict(lambda: collections.defaultdict(list))
    for number, cell in itertools.product(range(ROUNDS), cells):
        print("round %d of %d: %s" % (number + 1, ROUNDS, cell), file=sys.stderr)
        for name, server in servers.items():
            costs[cell][name].append(measure(server, cell))
    return {cell: {name: medians(rounds) for name, rounds in ours.items()}
            for cell, ours in costs.items()}


HANDSHAKES = {"TLS %s-%s" % (version, "resumed" if resumed else "full"): (number, resumed)
              for (version, number), resumed in itertools.product(
                  (("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)), (False, True))}


def say_memory():
    """Servers of their own: what others have left in their memory would hide it."""
    head("memory for each connection that rests, KiB", "RSS", "PSS")
    for transport, name in itertools.product(("plain", "tls"), ("nginx", "never")):
        with SERVERS[name]() as server:
            row("%s, %s" % (transport, "cmcwh" if name == "never" else name),
                *("%.1f" % size for size in rest(server, transport)))
    print()


def main():
    wanted = os.environ.get("CELLS", "").split() or [""]

    def is_wanted(name):
        return any(name.startswith(word) for word in wanted)
    cells = list(filter(is_wanted, CELLS))
    say_machine()
    if is_wanted("memory"):
        say_memory()
    with tempfile.TemporaryDirectory(prefix="cmcwh-door-") as folder, SERVERS["nginx"]() as nginx, \
            SERVERS["never"]() as never, SERVERS["ring"]() as ring:
        servers = {"nginx": nginx, "never": never, "ring": ring}
        bodies.write(folder)
        if is_wanted("handshakes"):
            found = in_turn(HANDSHAKES, servers, lambda server, cell: shake(server, *HANDSHAKES[cell]))
            table("handshake", found)
        if cells:
            found = in_turn(cells, servers, lambda server, cell: load(server, cell, folder))
            table("request, connections", found)
            say_growth(found)


if __name__ == "__main__":
    os.environ["PATH"] += ":/usr/sbin"
    harness.CMCWH = sys.argv[1]
    main()

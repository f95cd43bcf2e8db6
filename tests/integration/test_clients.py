"""Real HTTP libraries, alone and behind real fronts, that keep their connections and rest between posts:
whatever the rest, each post is answered 200 and logged once. A server that closes a resting connection
under its client loses the next post: most libraries look too late, and none repeats what it has sent."""

import concurrent.futures

import fronts
import senders
from harness import Load, Server
from test_https import Https

# Short ones; around the half second after which the server once closed; around the two seconds after
# which Apache HttpClient looks whether a connection is alive.
PAUSES = ([0] * 10 + [10] * 20 + [300] * 3 + list(range(495, 506, 2)) + [1000] * 3 + [2100] * 2 +
          [0] * 10)
# Around `--keep-alive 2`. Who has not read that is still heard a second later.
AROUND_TWO = [0, 1000, 2000, 2000, 3000, 0]
# These senders close a connection themselves when it has rested as long as the server has said.
CAREFUL = [senders.apache, senders.node]


def post(sender, server, threads, pauses, front=None):
    scheme = "https" if front or isinstance(server, Https) else "http"
    name = "%s-%d" % (sender.__name__, threads)
    report = senders.send(sender, "%s://127.0.0.1:%d/mails" % (scheme, (front or server).port),
                          threads, pauses, name)
    report["wanted"] = sorted("%s-%d-%d@example.jp" % (name, thread, index)
                              for thread in range(threads) for index in range(len(pauses)))
    return report


def check(report, server):
    """All went well; to be asked when nobody else posts. Returns how many connections it took."""
    wanted, posts = set(report["wanted"]), len(report["wanted"])
    logged = sorted(line["to"] for line in server.lines() if line["to"] in wanted)
    said = dict(report, wanted=posts, logged=len(logged))
    assert report["failed"] == {} and report["other"] == {}, said
    assert report["sent"] == report["ok"] == posts, said
    assert logged == report["wanted"], (len(logged), wanted - set(logged))
    return report["connections"]


def check_rests(sender, kind, threads):
    with kind("--log-level", "debug") as server:
        connections = check(post(sender, server, threads, PAUSES), server)
        if kind is Https and threads > 1:  # only some may rest, and the others are told so
            assert connections < threads * len(PAUSES), connections
        else:
            assert connections <= threads, connections


def check_rests_around_two(sender, kind, threads):
    with kind("--log-level", "debug", "--keep-alive", "2") as server:
        connections = check(post(sender, server, threads, AROUND_TWO), server)
        # Go's threads share what is open, so that some may rest for longer than any thread does.
        again = sender in CAREFUL or (sender is senders.go and threads > 1)
        closed = len([pause for pause in AROUND_TWO if pause >= 2000]) if again else 0
        assert (kind is Https and threads > 1) or connections <= threads * (1 + closed), connections


def check_none_kept(sender, kind, threads):
    pauses = [0] * 10 + [300, 0]
    with kind("--log-level", "debug", "--keep-alive", "0") as server:
        connections = check(post(sender, server, threads, pauses), server)
        assert connections == threads * len(pauses), connections


def check_few_workers(sender, kind, threads):
    with kind("--log-level", "debug", "--workers", "2") as server:
        with Load(server, clients=2) as load:
            report = post(sender, server, threads, PAUSES)
        connections = check(report, server)
        assert kind is Https or connections <= threads, connections
        assert set(load.acknowledged) <= {line["to"] for line in server.lines()}


def nginx(server):
    scheme = "https" if isinstance(server, Https) else "http"
    return fronts.nginx(server, """proxy_pass %s://cmcwh;
            proxy_http_version 1.1;
            proxy_set_header Connection "";""" % scheme, """upstream cmcwh {
        server 127.0.0.1:@SERVER;
        keepalive 8;
    }""")


def haproxy(server):
    return fronts.haproxy(server, backend="http-reuse always",
                          options="ssl verify none" if isinstance(server, Https) else "")


def check_front(sender, kind, start):
    with kind("--log-level", "debug") as server:
        with start(server) as front:
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                posting = [pool.submit(post, sender, server, threads, PAUSES, front)
                           for threads in (1, 8)]
        for each in posting:
            check(each.result(), server)


def add(name, check_one, sender, kind, *more):
    """run.py finds tests by their names."""
    words = ["test", name, sender.__name__, "tls" if kind is Https else "plain"]
    words += [str(threads) for threads in more if isinstance(threads, int)]
    globals()["_".join(words)] = lambda: check_one(sender, kind, *more)


for some_kind in (Server, Https):
    for some_sender in senders.SENDERS:
        for some_threads in (1, 8):
            add("rests", check_rests, some_sender, some_kind, some_threads)
            add("rests_around_two", check_rests_around_two, some_sender, some_kind, some_threads)
        add("none_kept", check_none_kept, some_sender, some_kind, 4)
    for some_sender in (senders.apache, senders.python_http):
        add("few_workers", check_few_workers, some_sender, some_kind, 8)
        for some_front in (nginx, haproxy):
            add(some_front.__name__, check_front, some_sender, some_kind, some_front)

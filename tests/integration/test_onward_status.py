"""How it is with sinks whose peers refuse what comes, or want time: on the page, as metrics and JSON, in the log, and
for a plugin."""

import datetime
import json
import re
import time

from harness import body, eventually, run
from test_admin import Admin
from test_metrics import metrics, value
from test_onward import Application
from test_status import told


def sink_of(server):
    """What /status.json has of its first sink."""
    return json.loads(server.look("/status.json").body)["sinks"][0]


def page(server, language="en"):
    answer = server.look("/?lang=" + language, "Accept: text/plain")
    assert answer.status == 200, answer
    return answer.body.decode()


def refused(server, count):
    assert server.post(body(count)).status == 200
    eventually(lambda: sink_of(server)["rejected"] == count, "%d rejected events" % count)


def assert_shown(server, uri, what, where):
    name = uri.partition("?")[0]
    text = metrics(server)
    assert value(text, 'cmcwh_sink_rejected_records_total{sink="%s"}' % name) == 3
    assert value(text, 'cmcwh_sink_delivered_records_total{sink="%s"}' % name) == 3
    verdict = json.loads(server.look("/status.json").body)["verdict"]
    assert verdict["colour"] == "amber" and verdict["reasons"][0]["cause"] == "sink_rejected_events", verdict
    assert re.search("^ *https?:.* 3  rejected 3$", page(server), re.M), page(server)
    assert re.search("^ *https?:.* 3  受け取り拒否 3$", page(server, "ja"), re.M), page(server, "ja")
    said = told(server, r"delivered=3 rejected=3 last_success=20\S+Z last_rejected=20\S+Z\n", "the sink's counters")
    assert "was refused events for good" in said and what in said, said
    assert where in server.stderr(), server.stderr()
    status, output, _ = run("status", "127.0.0.1:%d" % server.admin)
    assert status == 1 and output.startswith(b"CMCWH WARNING - sink '" + name.encode()[:20]), output


def test_events_that_are_set_aside():
    with Application(422) as application:
        uri = application.uri(tries=1, wait=0, dead="@/dead")
        with Admin("--ring", "@/ring", "--sink", uri) as server:
            refused(server, 3)
            assert_shown(server, application.uri(), "dead=PATH", "dead")
            assert run("cat", server.path("dead"))[1].count(b"\n") == 3


def test_events_that_are_dropped():
    with Application(422) as application:
        uri = application.uri(tries=1, wait=0, policy="besteffort")
        with Admin("--ring", "@/ring", "--sink", uri) as server:
            refused(server, 3)
            assert_shown(server, application.uri(), "gone for this sink", "dropped 3 events")


def test_a_peer_that_wants_time():
    with Application(503, ("Retry-After", "3000")) as application:
        with Admin("--ring", "@/ring", "--sink", application.uri(wait=0)) as server:
            assert server.post(body()).status == 200
            moment = eventually(lambda: sink_of(server)["next_try"], "the next try")
            moment = datetime.datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z").timestamp()
            assert time.time() + 2000 < moment <= time.time() + 4000, moment
            assert re.search("fails .*next try in (49|[56][0-9]) min", page(server)), page(server)
            assert len(application.requests) == 1
            said = told(server, r" next_try=20\S+Z last_error=20\S+Z: ", "when it is tried next")
            assert "503" in said, said

"""/metrics and /status.json, and a real Prometheus that scrapes them: that it reads what is there, knows what the
rules and the dashboard of port/prometheus ask for, and fires."""

import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request

from harness import PATIENCE, Peer, Skipped, body, eventually, free_port, payload
from test_admin import Admin, AdminTls
from test_https import certificate

FOLDER = "port/prometheus"
RULES = os.path.join(FOLDER, "cmcwh.rules.yml")
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
HOSTILE = "<script>\"'\\\n\u202e\x1b[2J"


def tool(name):
    if shutil.which(name) is None:
        raise Skipped(name + " is not installed (make test-deps)")
    return name


def promtool(*arguments, data=None):
    made = subprocess.run([tool("promtool")] + list(arguments), input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert made.returncode == 0, made.stdout.decode("utf-8", "replace")
    return made.stdout


def content(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def metrics(server, *headers):
    answer = server.look("/metrics", *headers)
    assert answer.status == 200, answer.body
    return answer.body.decode()


def value(text, series):
    found = re.search("^%s (.*)$" % re.escape(series), text, re.M)
    assert found, series
    return float(found.group(1))


def families(text):
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def exposed(text):
    """Every name that a query can ask for."""
    more = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + end for name, kind in families(text).items() for end in more.get(kind, ("",))}


def used(query):
    """The metrics of a query, which has names of labels and functions too."""
    return set(re.findall(r"\b(?:cmcwh|process)_\w+", query))


# ---- What is served ----

def test_both_formats_follow_the_accept_header():
    with Admin() as server:
        for accept, openmetrics in ((None, False), ("*/*", False), ("text/plain", False), (OPENMETRICS, True),
                                    ("application/openmetrics-text;q=0.3,text/plain;q=0.5", False),
                                    ("text/plain;q=0.5,application/openmetrics-text;version=1.0.0", True)):
            answer = server.look("/metrics", *([] if accept is None else ["Accept: " + accept]))
            assert answer.headers["content-type"] == [
                OPENMETRICS if openmetrics else "text/plain; version=0.0.4; charset=utf-8"], accept
            assert answer.body.endswith(b"\n# EOF\n") == openmetrics, accept
        assert server.look("/metrics", method="HEAD").body == b""


def test_promtool_finds_nothing_to_say():
    with Admin() as server:
        server.post(body(3))
        assert promtool("check", "metrics", data=metrics(server).encode()) == b""


STRICT = """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
text = sys.stdin.buffer.read().decode()
print(json.dumps({family.name: [family.type, family.unit, [sample.labels for sample in family.samples]]
                  for family in text_string_to_metric_families(text)}))
"""


def strictly(text):
    """What the reference parser of OpenMetrics finds: for each family its type, unit, and labels."""
    for python in (sys.executable, "/usr/bin/python3"):  # the system's has the system's packages
        if subprocess.run([python, "-c", "import prometheus_client"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0:
            return json.loads(subprocess.run([python, "-c", STRICT], input=text.encode(), stdout=subprocess.PIPE,
                                             check=True).stdout)
    raise Skipped("python3-prometheus-client is not installed (make test-deps)")


def test_a_strict_parser_reads_openmetrics():
    with AdminTls("--sink", "stdout:", "--sink", "file:@/\"\\\n\u202e?format=logfmt") as server:
        server.post(body(3))
        found = strictly(metrics(server, "Accept: " + OPENMETRICS))
    assert found["cmcwh_http_request_seconds"][:2] == ["histogram", "seconds"]
    assert found["cmcwh_build"][0] == "info" and found["cmcwh_sink_lost_records"][:2] == ["counter", "records"]
    assert {labels["sink"] for labels in found["cmcwh_sink_up"][2]} == {
        "stdout:", "file:" + server.log, "file:" + server.folder + "/\"\\\\u000a\\u202e"}


def test_counters_rise_with_what_is_posted():
    with Admin("--ring", "@/ring") as server:
        before = metrics(server)
        server.post(payload("deliveries-succeeded.json"))
        server.post(payload("deliveries-succeeded.json"))
        server.post(payload("bounces-user-unknown.json"))
        server.post(b"{")
        server.wait_lines(3)
        delivered = 'cmcwh_sink_delivered_records_total{sink="file:%s"}' % server.log
        eventually(lambda: value(metrics(server), delivered) == 3, "three delivered records")
        after = metrics(server)
        rise = {series: value(after, series) - value(before, series) for series in (
            'cmcwh_http_requests_total{code="200"}', 'cmcwh_http_requests_total{code="400"}',
            'cmcwh_request_errors_total{error="malformed_json"}',
            'cmcwh_events_total{type="deliveries",status="succeeded"}',
            'cmcwh_events_total{type="bounces",status="unknown user"}', "cmcwh_events_repeated_total",
            "cmcwh_http_request_seconds_count")}
        assert list(rise.values()) == [3, 1, 1, 1, 1, 1, 4], rise
        assert value(after, "cmcwh_ring_sync_seconds_count") > 0
        assert value(after, "cmcwh_last_event_timestamp_seconds") >= value(after, "process_start_time_seconds")
        server.stop()
        server.restart()
        again = metrics(server)  # what the ring still holds was counted before
        assert value(again, 'cmcwh_events_total{type="deliveries",status="succeeded"}') == 0
        assert value(again, "cmcwh_last_event_timestamp_seconds") == value(after, "cmcwh_last_event_timestamp_seconds")
        status = json.loads(server.look("/status.json").body)
        assert status["events"]["totals"]["bounces"] == {"2": 1} == status["events"]["found"]["bounces"]
        assert sum(hour["deliveries"]["succeeded"] for hour in status["events"]["hours"]) == 1


def test_no_text_of_a_mail_or_a_peer_is_in_a_metric():
    with Admin("--ring", "@/ring") as server:
        server.post(body(1, subject=HOSTILE, to="secret@example.jp", messageId="<secret>", reason=HOSTILE))
        server.post(json.dumps({"event_type": HOSTILE, "event": {HOSTILE: [{"status": HOSTILE}]}}).encode())
        server.post(b"{}", path="/secret%22%0a")
        for accept in ("text/plain", OPENMETRICS):
            text = metrics(server, "Accept: " + accept)
            assert not re.search("secret|<script|127.0.0.1|example|\x1b|\u202e", text), text
        assert value(text, 'cmcwh_events_total{type="other",status=""}') == 1


# ---- /status.json ----

def test_status_json_is_json_whatever_was_sent():
    with Admin("--sink", "file:@/none\"\\\u202e\x1b/x?policy=besteffort") as server:
        server.post(body(1, subject=HOSTILE, reason=HOSTILE))
        for path in ("/<script>alert(1)</script>", "/?\"\\\u202e", "/none\x1b"):
            server.post(b"{}", path=path)
        server.post(json.dumps({"event_type": "deliveries", "event": {"deliveries": [{"to": [HOSTILE]}]}}).encode())
        raw = server.look("/status.json")
    assert raw.headers["content-type"] == ["application/json"]
    assert not re.search(b"[\x00-\x09\x0b-\x1f]|\xe2\x80\xae", raw.body), raw.body
    status = json.loads(raw.body)
    assert status["requests"]["answers"]["200"] == 1 and status["requests"]["errors"]["wrong_type"] == 1
    assert any("<script>" in refusal["path"] for refusal in status["refusals"]), status["refusals"]
    assert status["verdict"]["colour"] == "amber" and status["ready"] is True
    assert [sink["state"] for sink in status["sinks"]] == ["fails", "works"], status["sinks"]
    assert len(status["events"]["hours"]) == 48


# ---- What stands in files ----

def test_rules():
    promtool("check", "rules", RULES)
    promtool("test", "rules", "tests/prometheus/rules.test.yml")
    promtool("check", "config", os.path.join(FOLDER, "prometheus.yml"))


def expressions():
    """Those of all panels, with Grafana's variables replaced."""
    panels = json.loads(content(os.path.join(FOLDER, "dashboard.json")))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        grid = panel["gridPos"]
        assert 0 <= grid["x"] and grid["x"] + grid["w"] <= 24 and panel["title"], panel
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, target
            yield re.sub(r"\$(job|instance)\b", ".*", target["expr"]).replace("$__rate_interval", "1m")


def test_names_in_papers_rules_and_dashboard_exist():
    with AdminTls() as server:
        text = metrics(server)
        members = set(json.loads(server.look("/status.json").body))
    asked = used(content(RULES)) | {name for query in expressions() for name in used(query)}
    assert len(asked) > 30 and asked <= exposed(text), asked - exposed(text)
    alerts = set(re.findall(r"- alert: (\w+)", content(RULES)))
    for page in ("README.md", "README.ja.md"):
        told = {name for cell in re.findall(r"^\| (`[a-z][^|]*`) \|", content(os.path.join(FOLDER, page)), re.M)
                for name in re.findall(r"\w+", cell)}
        assert {name for name in told if "cmcwh_" not in name} - set(families(text)) == members, (told, members)
        told = set(re.findall(r"^\| `(Cmcwh\w+|cmcwh_\w+|process_\w+)", content(os.path.join(FOLDER, page)), re.M))
        assert told == set(families(text)) | alerts, told ^ (set(families(text)) | alerts)


# ---- A real Prometheus ----

class Prometheus:
    """Debian's, in a folder of its own. `scrape`: its scrape_configs; every `for:` of the rules is left out."""

    def __init__(self, scrape):
        self.program = tool("prometheus")
        self.folder = tempfile.mkdtemp(prefix="cmcwh-test-")
        self.scrape = scrape
        self.port = free_port()

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def __enter__(self):
        self.write("rules.yml", re.sub(r"(?m)^ +for: .*\n", "", content(RULES)))
        self.write("prometheus.yml", json.dumps({  # JSON is YAML
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "200ms"},
            "rule_files": ["rules.yml"], "scrape_configs": self.scrape}))
        with open(os.path.join(self.folder, "said"), "wb") as said:
            self.process = subprocess.Popen(
                [self.program, "--config.file=" + os.path.join(self.folder, "prometheus.yml"),
                 "--storage.tsdb.path=" + os.path.join(self.folder, "data"), "--log.level=warn",
                 "--web.listen-address=127.0.0.1:%d" % self.port], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def get(self, path, **query):
        """None: it does not answer yet."""
        assert self.process.poll() is None, content(os.path.join(self.folder, "said"))
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/api/v1/%s?%s" % (
                    self.port, path, urllib.parse.urlencode(query)), timeout=PATIENCE) as answer:
                return json.load(answer)["data"]
        except OSError as error:
            assert getattr(error, "code", 503) == 503, (query, error.read())
            return None

    def ask(self, query):
        data = self.get("query", query=query)
        return [] if data is None else [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def wait(self, query):
        """Until it has an answer, which it gives as (labels, value)s."""
        return eventually(lambda: self.ask(query), "an answer to " + query)

    def firing(self, alert):
        return self.ask('ALERTS{alertname="%s", alertstate="firing"}' % alert)


def job(server, name="cmcwh", **more):
    """A scrape_config."""
    return dict({"job_name": name, "static_configs": [{"targets": ["127.0.0.1:%d" % server.admin]}]}, **more)


class Asked:
    """A target that keeps the Accept header of whoever scrapes it."""

    def __enter__(self):
        asked = self
        self.accept = None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.accept = self.headers["Accept"]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *unused):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.admin = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_prometheus_reads_openmetrics():
    """It asks for that by default, and only there is a type called info."""
    with Admin("--ring", "@/ring", "--sink", "file:@/\"\\\n\u202e?format=logfmt") as server, Asked() as asked:
        with Prometheus([job(server), job(asked, "asked")]) as prometheus:
            assert prometheus.wait('up{job="cmcwh"} == 1')
            assert eventually(lambda: prometheus.get("metadata", metric="cmcwh_build"), "its metadata")[
                "cmcwh_build"][0]["type"] == "info"
            server.post(body(3))
            prometheus.wait('sum(cmcwh_events_total) == 3')
            prometheus.wait('cmcwh_http_requests_total{code="200"} == 1')
            prometheus.wait("cmcwh_http_request_seconds_count == 1")
            server.post(body(2, first=3))
            prometheus.wait("sum(cmcwh_events_total) == 5")
            assert prometheus.ask("sum(increase(cmcwh_events_total[1m])) > 0")
            assert {labels["sink"] for labels, _ in prometheus.ask("cmcwh_sink_up == 1")} == {
                "file:" + server.log, "file:" + server.folder + "/\"\\\\u000a\\u202e"}
            eventually(lambda: asked.accept, "what Prometheus accepts")
        answer = server.look("/metrics", "Accept: " + asked.accept)
        assert answer.headers["content-type"] == [OPENMETRICS], asked.accept


def test_prometheus_with_credentials_and_tls():
    """Both kinds, and wrong ones: not often, for who guesses is not let in for a minute."""
    server = AdminTls("--admin-auth-file", "@/auth")
    server.write("auth", "basic prometheus:pass:word\nbearer token-of-prometheus\n")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", server.path("tls.key"), "-out", server.path("tls.pem"), "-days", "30", "-subj", "/CN=x",
                    "-addext", "subjectAltName=IP:127.0.0.1"], stderr=subprocess.DEVNULL, check=True)
    with server:
        tls = {"scheme": "https", "tls_config": {"ca_file": server.path("tls.pem")}}
        jobs = [job(server, "basic", basic_auth={"username": "prometheus", "password": "pass:word"}, **tls),
                job(server, "bearer", authorization={"credentials": "token-of-prometheus"}, **tls),
                job(server, "wrong", authorization={"credentials": "x"}, scrape_interval="8s", **tls)]
        with Prometheus(jobs) as prometheus:
            for name, up in (("basic", 1), ("bearer", 1), ("wrong", 0)):
                prometheus.wait('up{job="%s"} == %d' % (name, up))
            errors = {target["labels"]["job"]: target["lastError"]
                      for target in prometheus.get("targets")["activeTargets"]}
    assert "401" in errors["wrong"] and not errors["basic"] and not errors["bearer"], errors


def test_alerts_come_and_go():
    """A required sink whose peer is not there: all that follows from it, till the peer comes."""
    port = free_port()
    peer = "syslog+tcp://127.0.0.1:%d" % port
    server = AdminTls("--sink", peer, "--auth-file", "@/auth", "--quiet-after", "1s")
    server.write("auth", "bearer secret\n")
    certificate(server.folder, "tls", days=10)
    with server:
        tls = {"scheme": "https", "tls_config": {"insecure_skip_verify": True}}
        with Prometheus([job(server, **tls)]) as prometheus:
            prometheus.wait("cmcwh_sink_up == 0 and cmcwh_sink_required == 1")
            assert server.post(body(), headers=["Authorization: Bearer wrong"]).status == 401
            assert server.post(body(), headers=["Authorization: Bearer secret"]).status == 503
            server.write("auth", "nonsense\n")
            server.signal(signal.SIGHUP)
            for alert in ("CmcwhRequiredSinkFailing", "CmcwhAnswersUnavailable", "CmcwhUnauthorized",
                          "CmcwhReloadFailed", "CmcwhCertificateEnds", "CmcwhSilent"):
                found = eventually(lambda: prometheus.firing(alert), alert)[0][0]
                assert found.get("sink", peer) == peer, found
            for alert in ("CmcwhSinkFailing", "CmcwhRingFilling", "CmcwhCertificateEndsSoon"):
                assert not prometheus.firing(alert), alert
            with Peer(socket.SOCK_STREAM, ("127.0.0.1", port)):
                server.write("auth", "bearer secret\n")
                server.signal(signal.SIGHUP)
                eventually(lambda: server.post(body(), headers=["Authorization: Bearer secret"]).status == 200, "a 200")
                for alert in ("CmcwhRequiredSinkFailing", "CmcwhUnauthorized", "CmcwhReloadFailed"):
                    eventually(lambda: not prometheus.firing(alert), "the end of " + alert)
                server.stop()
            eventually(lambda: prometheus.firing("CmcwhDown"), "CmcwhDown")


def test_the_dashboard_has_answers():
    """Each of its queries is one, and has an answer but for those of what is wrong."""
    with AdminTls("--ring", "@/ring", "--quiet-after", "1h") as server:
        tls = {"scheme": "https", "tls_config": {"insecure_skip_verify": True}}
        with Prometheus([job(server, **tls)]) as prometheus:
            prometheus.wait("up == 1")
            server.post(body(2))
            prometheus.wait("sum(cmcwh_events_total) == 2")
            for query in expressions():
                if query.endswith("> 0"):
                    assert prometheus.get("query", query=query)["resultType"] == "vector"
                elif "last_failure" not in query:
                    prometheus.wait(query)

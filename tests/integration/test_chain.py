"""What one cmcwh takes from another: ids and times stay, for those who show the credential of a chain."""

import json
from urllib.parse import urlencode

from harness import Client, Server, Skipped, body, payload, request, run
from test_http import assert_error

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
LINK, TOKEN = "Authorization: Bearer link", "Authorization: Bearer token"


def server(*options, **more):
    """One that a chain ends at, and others may post to."""
    made = Server("--auth-file", "@/auth", *options, **more)
    made.write("auth", "chain link\nbearer token\nbasic user:password\napi_key key\n")
    return made


def origins(count, first=1):
    """Entries for so many events, each in its longest form."""
    return ",".join("%016x@%d/%x" % (0xf << 60 | i, 253402300799999 - i, 1 + i % 0x3fff)
                    for i in range(first, first + count))


def test_chained_events_keep_ids_and_times():
    with server() as end:
        answer = end.post(body(2), headers=[LINK, "Cmcwh-Events: 00000000000000aa@0,ffffffffffffffff@"
                                            "1674622986120/2001"])
        assert answer.status == 200, answer.body
        first, second = end.lines()
        assert (first["id"], first["received"]) == ("00000000000000aa", "1970-01-01T00:00:00.000Z")
        assert (second["id"], second["received"]) == ("f" * 16, "2023-01-25T05:03:06.120Z")
        assert "truncated" not in first and second["truncated"] == ["reason", "server_composition"]
        assert [first["seq"], second["seq"]] == [1, 2]
        assert end.post(body(1), headers=[LINK]).status == 200  # one that says nothing of its events
        assert end.lines()[2]["received"] > "2024"


def test_from_others_the_header_is_not_looked_at():
    said = "Cmcwh-Events: 00000000000000aa@0"
    with server() as end:
        for headers in ([TOKEN, said], ["Authorization: Basic dXNlcjpwYXNzd29yZA==", said],
                        [TOKEN, said, said], [TOKEN, "Cmcwh-Events: nonsense"]):
            assert end.post(body(), headers=headers).status == 200, headers
        data = body()[:-1] + b',"api_key":"key"}'
        assert end.post(data, headers=[said]).status == 200
        for line in end.lines():
            assert line["received"] > "2024" and line["id"] != "00000000000000aa", line
        assert_error(end.post(body(), headers=["Authorization: Bearer lin", said]), 401, "unauthorized")
        assert_error(end.post(body(), headers=["Authorization: Basic link", said]), 401, "unauthorized")
        answer = end.post(body(), headers=[said])
        assert_error(answer, 401, "unauthorized")
        assert 'Bearer realm="cmcwh"' in answer.headers["www-authenticate"], answer.headers
        assert end.count() == 5
    with Server() as end:  # where everybody may post, nobody is believed
        assert end.post(body(), headers=[LINK, said]).status == 200
        assert end.lines()[0]["received"] > "2024"


def test_wrong_chains():
    good = "0123456789abcdef@1"
    with server() as end:
        for value, offset in (("", 0), (good, 18), (good + "," + good + "," + good, 38), ("x", 0),
                              (good + ", " + good, 19), (good + ",", 19), (good + "/," + good, 19),
                              (good + ",0123456789abcdef@253402300800000", 51), (origins(5000), 74),
                              ("\u3042", 0), ("%s,%s\x01" % (good, good), None)):
            answer = end.post(body(2), headers=[LINK, ("Cmcwh-Events: " + value)])
            if offset is None or len(value) > 16000:
                assert answer.status in (400, 431), (value, answer.body)
            else:
                assert_error(answer, 400, "malformed_chain", field="Cmcwh-Events", offset=offset)
        assert_error(end.post(body(2), headers=[LINK] + 2 * ["Cmcwh-Events: " + good]), 400,
                     "malformed_chain")
        assert end.post(body(2), headers=[LINK, "Cmcwh-Events: %s,%s" % (good, good)]).status == 200
        assert [line["seq"] for line in end.lines()] == [1, 2]


def test_the_longest_request_of_a_sink():
    """200 events, in the bodies that a sink sends, whole and in pieces."""
    count = 200
    value = origins(count)
    assert len(value) > 7000
    with server("--ring-records", "1000") as end:
        for data, kind in ((body(count), JSON), (form(body(count)), FORM)):
            answer = end.post(data, content_type=kind, headers=[LINK, "Cmcwh-Events: " + value])
            assert answer.status == 200, answer.body
        whole = request(body(count), headers=[LINK, "Cmcwh-Events: " + value])
        client = Client(end.port)
        for at in range(0, len(whole), 1000):  # the header is to be there when the last of it comes
            client.send(whole[at:at + 1000])
        assert client.answer().status == 200
        client.send(request(body(count), headers=[LINK, "Cmcwh-Events: " + value]))  # the next on it
        assert client.answer().status == 200
        client.close()
        lines = end.lines()
        assert len(lines) == 4 * count
        for i, line in enumerate(lines):
            assert line["id"] == "%016x" % (0xf << 60 | (i % count + 1)), line
            assert line["received"].startswith("9999-12-31T23:59:59."), line


def form(data):
    sent = json.loads(data)
    return urlencode({"event_type": sent["event_type"], "server_composition": "pro",
                      "event": json.dumps(sent["event"])}).encode()


def same(lines):
    """What must be the same wherever an event is: all but its number."""
    return [{name: value for name, value in line.items() if name != "seq"} for line in lines]


def onward(to, extra=""):
    """The options of one that posts what it gets to `to`."""
    status, _, said = run("serve", "--listen", "127.0.0.1:0", "--sink", "http://127.0.0.1:1/?nonsense")
    assert status == 2
    if "has no" in said:
        raise Skipped("this build has no sink that posts")
    return ("--sink", "http://127.0.0.1:%d/mails?format=cmc&headers=@/headers%s" % (to.port, extra))


def test_what_is_said_of_events_finds_room_in_a_head():
    """A head that names so many events is too long where more headers stand beside: it names fewer."""
    with server("--ring-records", "1000") as root:
        leaf = Server(*onward(root, "&batch=200"), "--ring-records", "1000")
        leaf.write("headers", "bearer link\n" + "".join("X-%d: %s\n" % (i, 200 * "x") for i in range(12)))
        with leaf:
            assert leaf.post(body(400, reason="\u3042" * 1000)).status == 200
            got = root.wait_lines(400)
            assert same(got) == same(leaf.lines())
            assert "answered 431" not in leaf.stderr(), leaf.stderr()


def test_a_tree_of_the_same_program():
    """Two leaves, one branch, one root: what the leaves have is what the root has."""
    bodies = [(payload(name + ".json"), JSON) for name in ("deliveries-failed", "bounces-user-unknown")]
    bodies += [(payload("deliveries-queued.form"), FORM), (json.dumps({
        "event_type": "clicks", "event": {"clicks": [{"url": "u\u2028"}, {}]}}).encode(), JSON),
               (json.dumps({"event_type": "blocks", "server_composition": "a\"b\n", "event": {
                   "blocks": [{"envelopeTo": "x", "why": [1, {"a": "\\"}]}]}}).encode(), JSON)]
    with server() as root:
        branch = server(*onward(root, "&form=1"))
        branch.write("headers", "bearer link\n")
        with branch:
            leaves = [Server(*onward(branch)) for _ in range(2)]
            for leaf in leaves:
                leaf.write("headers", "bearer link\n")
            with leaves[0], leaves[1]:
                for number, leaf in enumerate(leaves):
                    own = [(body(7, 100 * number + 10 * i, reason="\u3042" * 1000), JSON) for i in range(5)]
                    for data, kind in bodies + own:
                        assert leaf.post(data, content_type=kind).status == 200
                sent = [line for leaf in leaves for line in leaf.lines()]
                assert len(sent) == 2 * 41, len(sent)
                got = root.wait_lines(len(sent))
        order = lambda line: (line["id"], line["received"], line["to"])
        assert sorted(same(got), key=order) == sorted(same(sent), key=order)
        numbers = [int(line["to"][4:-11]) for line in got if line["reason"].startswith("\u3042")]
        for leaf in (range(100), range(100, 200)):  # the order of each is kept
            assert [n for n in numbers if n in leaf] == [leaf[10 * i + j] for i in range(5) for j in range(7)]

#!/usr/bin/env python3
"""lwip.py CMCWH ELF [--long]: the endpoint in lwIP's HTTP server, on a board that qemu plays.

Requests come through qemu's user network, from loopback. Each record that the board writes on its UART
must be what `CMCWH check` makes of the same body, and when all is over no memory of lwIP's may be in use.
"""

import json
import os
import queue
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from demo import PAYLOADS, TYPES, Request, check

WAIT = 150  # seconds: qemu's network repeats a frame that was lost after 6, 24 and 48
QEMU = ("qemu-system-arm -M lm3s6965evb -display none -serial stdio -no-reboot "
        "-nic user,restrict=on,hostfwd=tcp:127.0.0.1:0-10.0.2.15:80")
BODY_MAX = 65536
SMALL, USUAL = 128, 1500  # bytes of a frame: a MSS of 88, and of 536
SILENT = 10000  # ms, as in endpoint.c


class Failed(Exception):
    pass


def same(what, got, wanted):
    if got != wanted:
        raise Failed("%s\n  board:  %s\n  wanted: %s" % (what, got, wanted))


class Board:
    def __init__(self, elf, folder):
        monitor = os.path.join(folder, "monitor")
        command = QEMU.split() + ["-monitor", "unix:%s,server=on,wait=off" % monitor, "-kernel", elf]
        self.qemu = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL)
        self.replies, self.records = queue.Queue(), []
        self.frame, self.loss = USUAL, 0
        threading.Thread(target=self.listen, daemon=True).start()
        same("the first line", self.reply(), "ready")
        self.port = self.find_port(monitor)

    def listen(self):
        for line in self.qemu.stdout:
            line = line.decode().rstrip("\r\n")
            if line.startswith("# "):
                self.replies.put(line[2:])
            else:
                self.records.append(json.loads(line))
        self.replies.put("gone")

    def reply(self):
        return self.replies.get(timeout=WAIT)

    def find_port(self, monitor):
        """Which port the kernel has chosen, only the monitor says."""
        said = b""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(WAIT)
            control.connect(monitor)
            control.sendall(b"info usernet\n")
            while (found := re.search(rb"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", said)) is None:
                piece = control.recv(4096)
                if piece == b"":
                    raise Failed("qemu's monitor has gone")
                said += piece
        return int(found[1])

    def tell(self, command, number=0):
        """What the board replies; all that it wrote before has come then."""
        self.qemu.stdin.write(b"%s%d\n" % (command.encode(), number))
        self.qemu.stdin.flush()
        said = self.reply()
        if said.split(" ")[0] != command:
            raise Failed("the board says: " + said)
        return said

    def set_frame(self, size):
        self.frame = size
        self.tell("m", size)

    def figures(self):
        return {name: int(value) for name, value in (x.split("=") for x in self.tell("s").split()[1:])}

    def end(self):
        if self.qemu.poll() is None:
            self.qemu.stdin.write(b"q\n")
            self.qemu.stdin.flush()
            self.qemu.wait(WAIT)


def head(request, lines=(), method="POST", length="Content-Length: %d"):
    every = ["%s %s HTTP/1.1" % (method, request.uri), "Host: board"]
    every += ["Authorization: " + request.token] if request.token else []
    every += ["Content-Type: " + request.type] + list(lines)
    every += [length % request.length] if "%" in length else [length] if length else []
    return "\r\n".join(every + ["", ""]).encode()


def connect(board):
    sock = socket.create_connection(("127.0.0.1", board.port), WAIT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def send(sock, data, size):
    """In pieces, with pauses, so that each becomes a segment; if not, the test is easier, not wrong."""
    for at in range(0, len(data), size or len(data)):
        if at > 0:
            time.sleep(0.002)
        sock.sendall(data[at : at + (size or len(data))])


def answer(sock):
    """Status and JSON; None: closed without one, or cut off."""
    said = b""
    try:
        while (piece := sock.recv(4096)) != b"":
            said += piece
    except ConnectionResetError:
        pass
    first, _, rest = said.partition(b"\r\n")
    body = rest.partition(b"\r\n\r\n")[2]
    try:
        return int(first.split()[1]), json.loads(body)
    except (IndexError, ValueError):
        return None


def post(board, request, size=0, **other):
    with connect(board) as sock:
        send(sock, head(request, **other) + request.body, size)
        return answer(sock)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def numbered(number):
    """A request of one event that is like no other."""
    body = (PAYLOADS / "deliveries-queued.json").read_bytes()
    return Request("numbered", body.replace(b"031a32d4", b"%08x" % number), "json")


def padded(request, size):
    """The same event with a member more that nobody wants."""
    rest = b', "pad": "%s"}' % (b"x" * size)
    return Request(request.name, request.body.rstrip()[:-1] + rest, request.kind)


def plain(event):
    return {name: value for name, value in event.items() if name not in ("seq", "received")}


class Test:
    def __init__(self, cmcwh, board):
        self.cmcwh, self.board = cmcwh, board
        self.number, self.answers, self.seen = 0, 0, 0

    def fresh(self):
        self.number += 1
        return numbered(self.number)

    def expect(self, request, status, error=None, size=0, **other):
        """One request, refused for what its head or body says, with a word."""
        got = post(self.board, request, size, **other)
        same("%s, frames of %d" % (request.name, self.board.frame), got and (got[0], got[1].get("error")),
             (status, error))
        self.answers += 1

    def new_records(self):
        self.board.tell("s")
        found = self.board.records[self.seen :]
        self.seen += len(found)
        return found

    def good(self, request, size=0, **other):
        """One request whose answer and records are as `check` has them."""
        self.new_records()
        events, wanted = check(self.cmcwh, request)
        same("%s in pieces of %d, frames of %d" % (request.name, size, self.board.frame),
             post(self.board, request, size, **other), wanted)
        same("the records of " + request.name, [plain(x) for x in self.new_records()],
             [plain(x) for x in events])
        self.answers += 1

    def good_or_busy(self, what):
        """A good request after a bad one: at once, or when what was there has been silent for so long. How often
        its sender heard nothing, because lwIP gave up a connection on which frames were lost."""
        request, unheard = self.fresh(), 0
        for _ in range(5):  # some of the bad one may have been on its way
            got = post(self.board, request)
            if got is None:
                unheard += 1
            elif got[1].get("error") == "busy":
                self.board.tell("t", SILENT)
            else:
                break
        same("the next request after " + what, got, (200, {"stored": 1}))
        self.answers += 1
        return unheard

    def persist(self, request, pieces=0, wanted=200):
        """As a sender does: again, until it hears. How often he was not told that nothing was taken."""
        unknown = 0
        for _ in range(200):
            try:
                got = post(self.board, request, pieces)
            except OSError:
                got = None
            if got is None:
                unknown += 1
            elif got[0] == wanted:
                return unknown
            elif got[0] != 503:
                raise Failed("%s is answered %s" % (request.name, got))
            time.sleep(0.05)
        raise Failed("%s was never answered %d" % (request.name, wanted))

    def at_once(self, count, pieces=0):
        """Many senders: nobody's event is missing, changed, or there more often than its sender has to bear."""
        self.new_records()
        requests, unknown, faults = [self.fresh() for _ in range(count)], {}, []

        def one(request):
            try:
                unknown[request.body] = self.persist(request, pieces)
            except Exception as fault:
                faults.append(fault)

        threads = [threading.Thread(target=one, args=(request,)) for request in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        found = [plain(event) for event in self.new_records()]
        for request in requests:
            event = plain(check(self.cmcwh, request)[0][0])
            times = found.count(event)
            if not 1 <= times <= 1 + unknown[request.body]:
                raise Failed("a record is there %d times, and its sender did not hear of %d" %
                             (times, unknown[request.body]))
            found = [other for other in found if other != event]
        same("records that nobody has sent", found, [])
        self.answers += count

    def idle(self):
        """When all connections are over, lwIP has its memory back."""
        for _ in range(WAIT):
            figures = self.board.figures()
            if all(figures[name] == 0 for name in ("heap", "pool", "segments", "records")):
                return
            time.sleep(0.5)
        raise Failed("memory is lost: %s" % figures)


# ---- What is tried ----


def payloads(test):
    """Each sample, whole and in pieces, in small frames and usual ones."""
    found = [Request(path.name, path.read_bytes(), path.suffix[1:]) for path in sorted(PAYLOADS.iterdir())]
    events = json.loads(found[-1].body)["event"]["deliveries"]
    many = json.dumps({"event_type": "deliveries", "event": {"deliveries": events * 8}}).encode()
    found += [Request("many", many), Request("malformed", b'{"event_type":"deliveries","event":{,}}')]
    for frame in (USUAL, SMALL):
        test.board.set_frame(frame)
        for request in found:
            for size in (0, 7, 100):
                test.good(request, size)
        test.good(padded(test.fresh(), 60000))
        test.good(test.fresh(), length="content-length: %d")


def refusals(test):
    """Whoever is refused hears why, when his body has come, and lwIP has lost nothing."""
    body = padded(test.fresh(), 3000).body
    for frame in (USUAL, SMALL):
        test.board.set_frame(frame)
        for size in (0, 100):
            test.expect(Request("no token", body, token=""), 401, "unauthorized", size)
            test.expect(Request("wrong token", body, token="Bearer demi"), 401, "unauthorized", size)
            test.expect(Request("other path", body, uri="/"), 404, "not_found", size)
            test.expect(Request("other type", body, type="text/plain"), 415, "unsupported_media_type", size)
            test.expect(Request("malformed", b"{]" + body), 400, "malformed_json", size)
        large = Request("too large", body.ljust(BODY_MAX + 1))
        test.expect(large, 413, "too_large")
        for lines in (["Content-Length: 1"], ["X-Content-Length: 1"], ["Transfer-Encoding: chunked"],
                      ["authorization: Bearer demo"]):
            test.expect(Request(lines[0], body), 400, "malformed_request", lines=lines)
        for _ in range(60):
            test.expect(Request("no token, often", body, token=""), 401, "unauthorized")
        test.good_or_busy("refusals")
    test.idle()


def too_much(test):
    """More comes than the body, while the answer goes: lwIP resets the connection, and loses no memory."""
    test.board.set_frame(SMALL)
    request = test.fresh()
    request.type = "text/plain"  # the longest answer
    for _ in range(20):
        with connect(test.board) as sock:
            try:
                sock.sendall(head(request) + request.body)
                send(sock, 30 * b"x" * 88, 88)
            except OSError:
                pass
            answer(sock)
    test.good_or_busy("more than a body")
    test.idle()


def not_answered(test):
    """What lwIP closes by itself, as the page says, and what is no answer of anybody's."""
    request = test.fresh()
    for what, data in (("chunked", head(request, ["Transfer-Encoding: chunked"], length="") + b"0\r\n\r\n"),
                       ("no length", head(request, length="") + request.body),
                       ("PUT", head(request, method="PUT") + request.body),
                       ("a long head", head(request, ["X: " + "x" * 1100]) + request.body),
                       ("GET", head(request, method="GET")),
                       ("GET of an answer", b"GET /cmcwh-answer HTTP/1.1\r\n\r\n"),
                       ("GET of an answer, in HTTP/0.9", b"GET /cmcwh-answer\r\n\r\n")):
        with connect(test.board) as sock:
            sock.sendall(data)
            same(what, answer(sock), None)
        test.good_or_busy(what)
        test.answers += 1


def cut(test, frames):
    """The connection ends in every phase: no later request notices, and no part of a body counts."""
    for frame in frames:
        test.board.set_frame(frame)
        for token in ("Bearer demo", "Bearer demi"):
            request = test.fresh()
            request.token = token
            lines = head(request)
            data = lines + request.body
            places = [0, 3, 30, len(lines) - 2, len(lines), len(lines) + 1, len(data) - 300, len(data) - 1]
            for at in places:
                for end in (reset, socket.socket.close, finish):
                    test.new_records()
                    sock = connect(test.board)
                    sock.sendall(data[:at])
                    end(sock)
                    what = "%s at %d of %d" % (end.__name__, at, len(data))
                    most = 1 + test.good_or_busy(what)
                    if not 1 <= len(test.new_records()) <= most:
                        raise Failed("of a body that was cut short something is there after " + what)
            for end in (reset, socket.socket.close):
                sock = connect(test.board)
                sock.sendall(data)
                end(sock)
                test.good_or_busy("%s behind it all" % end.__name__)
    test.new_records()
    if half_closed(test.board, test.fresh()) not in (None, (200, {"stored": 1})):
        raise Failed("who half closes may not hear that it is stored, but hears nothing else")
    same("records of who half closes", len(test.new_records()), 1)


def finish(sock):
    """A FIN, and the rest is read."""
    sock.shutdown(socket.SHUT_WR)
    answer(sock)
    sock.close()


def half_closed(board, request):
    with connect(board) as sock:
        sock.sendall(head(request) + request.body)
        sock.shutdown(socket.SHUT_WR)
        return answer(sock)


def waiting(test):
    """One has begun and is silent: others hear `busy`, then he gives way, and hears it."""
    request = Request("silent", b'{"event_type":"bounces","event":{"bounces":[{"to":"a@example.com"}]}}')
    data = head(request) + request.body  # short enough for one segment
    nobody = Request("nobody", b"{}", token="")
    with connect(test.board) as sock:
        sock.sendall(data[:-2])
        deadline = time.monotonic() + WAIT
        while post(test.board, nobody)[0] == 401:  # the other one has not been looked at yet
            if time.monotonic() > deadline:
                raise Failed("a request that has begun is not looked at")
        test.expect(test.fresh(), 503, "busy")
        test.board.tell("t", SILENT)
        test.good(test.fresh())
        sock.sendall(data[-2:])
        late = answer(sock)
        same("who was silent", late and (late[0], late[1].get("error")), (408, "request_timeout"))
    same("his records", test.new_records(), [])
    test.answers += 1


def pulled(test):
    """The UART fails between the end of the body and the answer: nothing was taken, and again later."""
    for size in (0, 100):
        request = test.fresh()
        test.new_records()
        test.board.tell("u", 1)
        got = post(test.board, request, size)
        same("without UART", got and (got[0], got[1]["error"]), (503, "storage_failed"))
        same("its records", test.new_records(), [])
        test.good(request, size)


def loss(test, count):
    """Frames are lost in both directions, more of the larger ones."""
    for frame, every in ((USUAL, 7), (SMALL, 11)):
        test.board.set_frame(frame)
        test.board.tell("l", every)
        test.at_once(count, 100)
        test.persist(Request("no token", test.fresh().body, token=""), wanted=401)
        test.board.tell("l", 0)


def clients(test, count):
    for frame in (USUAL, SMALL):
        test.board.set_frame(frame)
        test.at_once(count)


def other_senders(test):
    """Heads as Node.js and HAProxy write them."""
    test.board.set_frame(USUAL)
    request = test.fresh()
    if shutil.which("node") is None:
        print("firmware with lwIP: without Node.js: skipped")
        return
    script = """const [, url, body] = process.argv; fetch(url, {method: 'POST', body: body, headers:
        {'content-type': 'application/json', authorization: 'Bearer demo'}}).then(
        async answer => console.log(answer.status + await answer.text()))"""
    url = "http://127.0.0.1:%d/mails" % test.board.port
    done = subprocess.run(["node", "-e", script, url, request.body.decode()], capture_output=True, timeout=WAIT)
    same("Node.js", done.stdout.decode().strip() + done.stderr.decode(), '200{"stored":1}')
    test.answers += 1


def run(test, long):
    steps = [(payloads,), (refusals,), (too_much,), (not_answered,), (cut, (USUAL, SMALL) if long else (USUAL,)),
             (waiting,), (pulled,), (clients, 60 if long else 20), (loss, 20 if long else 3), (other_senders,), (Test.idle,)]
    for step, *arguments in steps:
        start = time.monotonic()
        test.board.set_frame(USUAL)
        step(test, *arguments)
        if long:
            print("  %-14s %5.1f s" % (step.__name__, time.monotonic() - start), flush=True)
    same("numbers of the records", [event["seq"] for event in test.board.records],
         list(range(1, len(test.board.records) + 1)))
    figures = test.board.figures()
    print("firmware with lwIP: %d requests right, %d records as cmcwh check has them" %
          (test.answers, len(test.board.records)))
    print("firmware with lwIP: at most %(heap_most)d bytes of heap, %(pool_most)d pbufs, %(stack)d bytes "
          "of stack" % figures)


def main():
    cmcwh, elf = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        board = Board(elf, folder)
        try:
            run(Test(cmcwh, board), "--long" in sys.argv)
        except Failed as fault:
            sys.exit(str(fault))
        finally:
            board.end()


if __name__ == "__main__":
    main()

"""What stands at the other end of a client: servers that say one thing, and certificates."""

import os
import socket
import subprocess
import threading

from harness import PATIENCE


class Says:
    """A server that takes a connection for each of `answers`: reads a request, says the answer and closes. None: it
    says nothing until the end of the test. `reads` false: it does not wait for the request."""

    def __init__(self, *answers, reads=True):
        self.answers, self.reads, self.requests = answers, reads, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        for answer in self.answers:
            try:
                connection = self.listener.accept()[0]
                with connection:
                    connection.settimeout(PATIENCE)
                    self.requests.append(self.read(connection) if self.reads else b"")
                    self.say(connection, answer)
            except OSError:
                pass  # the client has gone

    @staticmethod
    def read(connection):
        """A head, and a body if it has a length."""
        request = b""
        while True:
            head, end, body = request.partition(b"\r\n\r\n")
            lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n")
                       if line.lower().startswith(b"content-length:")]
            if end and len(body) >= sum(lengths):
                return request
            data = connection.recv(65536)
            if not data:
                return request
            request += data

    def say(self, connection, answer):
        if answer is None:
            self.ending.wait(PATIENCE)
            return
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):  # what is not read would make a reset of the end
            pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.ending.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # nobody else will come
        self.thread.join()
        self.listener.close()


def answer_of(status, body=b"", *headers):
    """What a server says."""
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body)] + list(headers)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def openssl(*arguments):
    subprocess.run(("openssl",) + arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def authority(folder, name="ca"):
    """A certificate that signs others. Returns its path."""
    cert, key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
            "-out", cert, "-days", "30", "-subj", "/CN=test authority")
    return cert


def signed(folder, ca, names="IP:127.0.0.1", days=30, name="tls"):
    """A certificate that `ca` has signed for these names. Returns it and its key."""
    cert, key, request, more = (os.path.join(folder, name + end) for end in (".pem", ".key", ".csr", ".ext"))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out",
            request, "-subj", "/CN=test")
    with open(more, "w", encoding="ascii") as file:
        file.write("subjectAltName = %s\n" % names)
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca[:-len(".pem")] + ".key", "-CAcreateserial", "-out",
            cert, "-days", str(days), "-extfile", more)
    os.chmod(key, 0o600)
    return cert, key

# SPDX-License-Identifier: BSD-3-Clause
"""resolverd-postfix under test, the socketmap protocol spoken to it by hand, and a listener between it and Postfix."""

import contextlib
import pathlib
import signal
import socket
import subprocess
import threading
import time
import typing

import pytest
from conftest import BUILD, wait_for

READY_TIMEOUT_S = 10
PATIENCE_S = 15


def framed(text):
    octets = text if isinstance(text, bytes) else text.encode()
    return b"%d:%s," % (len(octets), octets)


def unframed(stream):
    """One netstring of a binary stream, as text; None: it has ended."""
    length = b""
    while (octet := stream.read(1)) not in (b":", b""):
        length += octet
    if not octet:
        return None
    text = stream.read(int(length))
    assert stream.read(1) == b","
    return text.decode()


class Map:
    """resolverd-postfix as a child process, on a Unix socket and a TCP port."""

    def __init__(self, directory, daemon, *options, path=None, public_key=None, wait=True):
        self.path = str(path or pathlib.Path(directory) / f"map-{time.monotonic_ns()}")
        self.log_path = pathlib.Path(directory) / f"map-{time.monotonic_ns()}.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.command = [str(BUILD / "resolverd-postfix"), "--socket-mode", "0666", "--listen", f"unix:{self.path}",
                        "--listen", f"inet:127.0.0.1:{self.port}", "--socket", daemon.socket,
                        "--public-key", public_key or daemon.public_key, *options]
        self.tables = f"socketmap:unix:{self.path}:policy", f"socketmap:inet:127.0.0.1:{self.port}:policy"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            wait_for(lambda: self.log().count("listening on") == 2, READY_TIMEOUT_S, self.log)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=5) == 0, self.log()

    def log(self):
        return self.log_path.read_text()

    @contextlib.contextmanager
    def connect(self, tcp=False):
        with socket.socket(socket.AF_INET if tcp else socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(("127.0.0.1", self.port) if tcp else self.path)
            yield sock

    def ask(self, key, name="policy", tcp=False):
        """The reply."""
        with self.connect(tcp) as sock, sock.makefile("rb") as stream:
            sock.sendall(framed(f"{name} {key}"))
            return unframed(stream)


class Seen(typing.NamedTuple):
    time: float
    connection: int
    what: str  # a request, or "end": Postfix closed the connection


class Recorder:
    """Stands between Postfix and the map, and writes down what Postfix does."""

    def __init__(self, path, beyond):
        self.path, self.beyond, self.seen = str(path), beyond, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        pathlib.Path(self.path).chmod(0o666)
        self.listener.listen()
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock, number):
        with sock, sock.makefile("rb") as stream, self.beyond.connect() as other, other.makefile("rb") as replies:
            while (request := unframed(stream)) is not None:
                self.seen.append(Seen(time.monotonic(), number, request))
                other.sendall(framed(request))
                sock.sendall(framed(unframed(replies)))
            self.seen.append(Seen(time.monotonic(), number, "end"))

    def close(self):
        self.listener.close()


@pytest.fixture
def make_map(public_path, daemon):
    """Maps of a test's own: make_map("--timeout", "1"); beside: another daemon than the shared one."""
    made = []

    def make(*options, beside=None, **how):
        made.append(Map(public_path, beside or daemon, *options, **how))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.stop()

# SPDX-License-Identifier: BSD-3-Clause
"""resolverd-stub under test, and DNS spoken to it by hand."""

import contextlib
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import dns.message
import dns.query
import pytest
from conftest import BUILD, wait_for

READY_TIMEOUT_S = 5
PATIENCE_S = 12
ADDRESS, ADDRESS_6 = "127.0.0.1", "::1"


def free_port():
    """One that is free for UDP and TCP, of both families."""
    while True:
        with contextlib.ExitStack() as stack:
            port = 0
            try:
                for family, address in ((socket.AF_INET, ADDRESS), (socket.AF_INET6, ADDRESS_6)):
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        sock = stack.enter_context(socket.socket(family, kind))
                        sock.bind((address, port))
                        port = sock.getsockname()[1]
                return port
            except OSError:
                continue


class Stub:
    """resolverd-stub as a child process, beside a daemon that may not be there."""

    def __init__(self, directory, daemon, *options, port=None):
        self.log_path = pathlib.Path(directory) / f"stub-{time.monotonic_ns()}.log"
        self.port = port or free_port()
        self.command = [str(BUILD / "resolverd-stub"), "--listen", f"{ADDRESS}:{self.port}", "--listen",
                        f"[{ADDRESS_6}]:{self.port}", "--socket", daemon.socket, "--public-key", daemon.public_key,
                        *options]
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: self.log().count("listening on") == 4, READY_TIMEOUT_S, lambda: f"not listening:\n{self.log()}")
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=5) == 0, self.log()

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    # ---- asking ----

    def ask(self, name, rdtype, tcp=False, address=ADDRESS, **options):
        """The reply to a query; options are those of dns.message.make_query."""
        return self.send(dns.message.make_query(name, rdtype, **options), tcp, address)

    def send(self, query, tcp=False, address=ADDRESS):
        ask = dns.query.tcp if tcp else dns.query.udp
        return ask(query, address, port=self.port, timeout=PATIENCE_S)

    def exchange(self, packet, timeout=PATIENCE_S):
        """Octets over UDP; None: no answer."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect((ADDRESS, self.port))
            sock.send(packet)
            try:
                return sock.recv(65536)
            except TimeoutError:
                return None

    @contextlib.contextmanager
    def connect(self):
        with socket.create_connection((ADDRESS, self.port), timeout=PATIENCE_S) as sock:
            yield sock


def framed(query):
    wire = query if isinstance(query, bytes) else query.to_wire()
    return struct.pack("!H", len(wire)) + wire


def receive_exactly(sock, count):
    """So many octets; fewer when the peer ends the connection."""
    received = b""
    while len(received) < count:
        more = sock.recv(count - len(received))
        if not more:
            break
        received += more
    return received


def receive(sock):
    """One message of a connection; None: it has ended."""
    head = receive_exactly(sock, 2)
    if len(head) < 2:
        return None
    return dns.message.from_wire(receive_exactly(sock, struct.unpack("!H", head)[0]))


def extended_errors(reply):
    """[(code, text), …] of RFC 8914."""
    return [(option.code, option.text) for option in reply.options if isinstance(option, dns.edns.EDEOption)]


@pytest.fixture(scope="session")
def stub(daemon, tmp_path_factory):
    """One for every test that does not harm it."""
    stub = Stub(tmp_path_factory.mktemp("stub"), daemon).start()
    yield stub
    stub.stop()


@pytest.fixture
def make_stub(tmp_path, daemon):
    """Stubs of a test's own: make_stub("--timeout", "1"); beside: another daemon than the shared one."""
    made = []

    def make(*options, beside=None):
        made.append(Stub(tmp_path, beside or daemon, *options).start())
        return made[-1]

    yield make
    for stub in made:
        if stub.process.poll() is None:
            stub.stop()

# SPDX-License-Identifier: BSD-3-Clause
"""Members of a fleet, and the real redis-server between them."""

import base64
import contextlib
import pathlib
import queue
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from conftest import INSTRUMENTED, wait_for
from scenarios import DANE
from wire import Client


class Store:
    """redis-server, on a Unix socket and on a port of loopback."""

    def __init__(self, directory, *arguments, port=0, password=None):
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.path = directory / "redis.sock"
        self.port = port
        self.password = password
        self.arguments = [*arguments, *(["--requirepass", password] if password else [])]
        self.start()

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.path), "--save", "",
                   "--appendonly", "no", "--dir", str(self.directory), *self.arguments]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: self.path.exists() and self.answers(), 10, lambda: (self.directory / "log").read_text())

    def answers(self):
        try:
            self.ask("PING")
            return True
        except OSError:
            return False

    def ask(self, *words):
        """One command, with a connection of its own; the reply in Python's types."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(self.path))
            with sock.makefile("rb") as file:
                for command in [*([("AUTH", self.password)] if self.password else []), words]:
                    command = [word if isinstance(word, bytes) else str(word).encode() for word in command]
                    sock.sendall(b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in command))
                    reply = self._reply(file)
                return reply

    def _reply(self, file):
        line = file.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._reply(file) for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"-":
            raise ValueError(rest.decode())
        return rest

    def keys(self, pattern="*"):
        return sorted(self.ask("KEYS", pattern))

    def values(self):
        """{key: value} of facts, once what members found is there."""
        self.settle()
        return {key: self.ask("GET", key) for key in self.keys() if not key.endswith((b":lease", b":asked"))}

    def info(self, section):
        return dict(line.split(":", 1) for line in self.ask("INFO", section).decode().splitlines() if ":" in line)

    def calls(self):
        """{command: how often} so far."""
        return {name.removeprefix("cmdstat_"): int(fields.split(",")[0].removeprefix("calls=")) for name, fields in self.info("commandstats").items()}

    def settle(self):
        """Members put and count what they find after they answered: waits until nothing more comes."""
        def quiet():
            before = self.members_calls()
            time.sleep(0.2)
            return self.members_calls() == before

        wait_for(quiet, 10)

    def members_calls(self):
        return {name: count for name, count in self.calls().items() if name in ("get", "set", "incr", "pexpire", "publish")}

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        self.process.wait(timeout=10)


class Monitor:
    """What members ask the store, by its MONITOR."""

    def __init__(self, store):
        self.store, self.sock = store, socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(str(store.path))
        self.file = self.sock.makefile("rb")
        self.sock.sendall(b"MONITOR\r\n")
        assert self.file.readline() == b"+OK\r\n"
        self.asked = 0

    def seen(self):
        """[[command, argument, ...], ...] since it was asked last, once nothing more comes."""
        self.store.settle()
        self.asked += 1
        self.store.ask("ECHO", f"mark {self.asked}")
        commands = []
        while True:
            words = [word.decode("latin-1") for word in re.findall(rb'"((?:[^"\\]|\\.)*)"', self.file.readline())]
            if words == ["ECHO", f"mark {self.asked}"]:
                return commands
            if words[0].lower() not in ("ping", "info"):  # of the connection, and of this test
                commands.append(words)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.sock.close()


class Far:
    """A way to the store on a port of loopback, with so much delay each way."""

    def __init__(self, path, port, delay_s):
        self.path, self.delay_s, self.listener = str(path), delay_s, socket.create_server(("127.0.0.1", port))
        self.sockets = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                far = socket.socket(socket.AF_UNIX)
                far.connect(self.path)
                self.sockets += [near, far]
                for one, other in ((near, far), (far, near)):
                    waiting = queue.Queue()
                    threading.Thread(target=self._read, args=(one, waiting), daemon=True).start()
                    threading.Thread(target=self._write, args=(other, waiting), daemon=True).start()

    def _read(self, sock, waiting):
        with contextlib.suppress(OSError):
            while data := sock.recv(65536):
                waiting.put((time.monotonic() + self.delay_s, data))
        waiting.put((0, b""))

    def _write(self, sock, waiting):
        with contextlib.suppress(OSError):
            while True:
                due, data = waiting.get()
                if not data:
                    sock.shutdown(socket.SHUT_WR)
                    return
                time.sleep(max(0, due - time.monotonic()))
                sock.sendall(data)

    def close(self):
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture
def make_store(tmp_path):
    made = []

    def make(*arguments, **options):
        made.append(Store(tmp_path / f"store{len(made)}", *arguments, **options))
        return made[-1]

    yield make
    for store in made:
        store.stop()


@pytest.fixture
def store(make_store):
    return make_store()


@pytest.fixture
def ring(tmp_path):
    """The key ring that all members read."""
    path = tmp_path / "ring"
    path.write_text("# nobody yet\n")
    return path


@pytest.fixture
def make_member(make_daemon, store, ring):
    """A daemon of the fleet; in_ring: the others trust it."""
    made = []

    def make(in_ring=True, connected=True, **keys):
        member = make_daemon(**{"fleet__redis": f"unix:{store.path}", "fleet__trusted_keys": str(ring), "signing__member": f"m{len(made)}",
                                "prefetch__rule": "off", "fleet__timeout": "500ms" if INSTRUMENTED else "200ms"} | keys)
        made.append(member)
        if in_ring:
            ring.write_text(ring.read_text() + pathlib.Path(member.public_key).read_text())
            for other in made:
                if other.process is not None:
                    other.reload("")
        if connected:
            wait_for(lambda: "fleet: connected" in member.log(), 10, member.log)
        return member

    return make


def public_key(member):
    line = next(line for line in pathlib.Path(member.public_key).read_text().splitlines() if not line.startswith("#"))
    return base64.b64decode(line)


def plan(member, name=DANE):
    """(route, hosts), each verified under the member's key."""
    with Client(member.socket, [public_key(member)]) as client:
        client.learn_delegations()
        return client.plan(name)


def origins(member, name=DANE):
    route, hosts = plan(member, name)
    return [route.origin, *(host.origin for host in hosts)]

# SPDX-License-Identifier: BSD-3-Clause
"""The daemon under test, on the world that tests/world/run.py started around pytest."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import typing

import pytest

HERE = pathlib.Path(__file__).parent
BUILD = pathlib.Path(os.environ.get("BUILD_DIR", HERE.parent.parent / "build" / "release"))
INSTRUMENTED = BUILD.name in ("asan", "cov")  # with a sandbox of holes, and a sanitizer's own memory
WORLD = pathlib.Path(os.environ["WORLD_DIR"]) if "WORLD_DIR" in os.environ else None
sys.path[:0] = [str(HERE), str(HERE.parent / "world"), str(BUILD / "gen")]

READY_TIMEOUT_S = 20


class Daemon:
    """resolverd as a child process, with a directory, a socket and a key of its own."""

    def __init__(self, directory, **keys):
        self.directory = pathlib.Path(directory)
        self.socket = str(self.directory / "s.sock")
        self.public_key = str(self.directory / "resolverd.pub")
        self.keys = {
            "server.socket": self.socket,
            "server.state-directory": str(self.directory / "state"),
            "signing.public-key-file": self.public_key,
            "signing.member": "member-under-test",
            "resolver.root-hints": str(WORLD / "root.hints"),
            "resolver.trust-anchor-file": str(WORLD / "root.key"),
            "resolver.deadline": "6s",
            "unbound.do-not-query-localhost": "no",
        } | {name.replace("__", ".").replace("_", "-"): value for name, value in keys.items()}
        self.prefix = []  # of the commands, a faketime.Clock's
        self.process = None
        self.log_path = self.directory / "log"
        self.config_path = self.directory / "resolverd.conf"
        self.config_path.touch()

    def command(self):
        keys = self.keys | ({"server.sandbox": "off"} if self.prefix else {})  # the clock is a file, read again and again
        sets = [f"--set={name}={value}" for name, value in keys.items()]
        return [*self.prefix, str(BUILD / "resolverd"), "--config", str(self.config_path), *sets]

    def reload(self, text):
        """Has the daemon read this configuration file; returns what it logs until it has."""
        self.config_path.write_text(text)
        before = len(self.log())
        self.process.send_signal(signal.SIGHUP)
        return wait_for(lambda: "reload: " in self.log()[before:] and self.log()[before:], 10)

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self):
        wait_for(lambda: self.status().get("ready"), READY_TIMEOUT_S, lambda: f"not ready:\n{self.log()}")

    def stop(self, expected=0):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=15)
        self.process = None
        if expected is not None:
            assert code == expected, self.log()
        return code

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def ctl(self, *arguments, public_key=None, timeout=15):
        """(exit code, JSON)"""
        command = [*self.prefix, str(BUILD / "resolverctl"), "--socket", self.socket, "--public-key",
                   public_key or self.public_key, "--json", "--timeout", str(timeout), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout + 10)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else {"stderr": done.stderr}

    def status(self):
        return self.ctl("status")[1]

    def roles(self):
        """{role: [pid, …]} of the daemon's children."""
        pid, found = self.process.pid, {}
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            try:
                arguments = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended since
            role = arguments[arguments.index(b"--role") + 1].decode() if b"--role" in arguments else "starting"
            found.setdefault(role.split(":")[0], []).append(int(child))
        return found


def wait_for(condition, timeout_s, complaint=lambda: "condition not met", every_s=0.05):
    """Polls a condition, bounded in time; returns its value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, complaint()
        time.sleep(every_s)


def at(seconds):
    """A date for a configuration file, that many seconds from now; whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def exists(pid):
    try:
        return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


class Faults:
    """Spoils answers of the name servers while a test runs: see `switched` in tests/world/front.py."""

    path = WORLD / "faults" if WORLD else None

    def set(self, *rules):
        """set("_25._tcp.mx.example.org TLSA servfail", …) replaces what was set before."""
        new = self.path.with_suffix(".new")
        new.write_text("".join(f"{rule}\n" for rule in rules))
        new.rename(self.path)

    def clear(self):
        self.path.unlink(missing_ok=True)


class Query(typing.NamedTuple):
    time: float
    server: str
    name: str
    type: str
    transport: str


class Queries:
    """What reached the name servers of the scenarios since `mark` was called."""

    path = WORLD / "queries.log" if WORLD else None

    def mark(self):
        self.start = self.path.stat().st_size
        return self

    def seen(self):
        with open(self.path, encoding="ascii") as log:
            log.seek(self.start)
            words = [line.split() for line in log]
        return [Query(float(time), *rest) for time, *rest in words]


@pytest.fixture
def faults():
    faults = Faults()
    yield faults
    faults.clear()


@pytest.fixture
def queries():
    return Queries().mark()


@pytest.fixture(scope="session")
def daemon(tmp_path_factory):
    """One daemon for every test that does not harm it. It asks nothing by itself: other tests count what is asked."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), prefetch__rule="off").start()
    yield daemon
    pids = [pid for pids in daemon.roles().values() for pid in pids]
    daemon.stop()
    assert not [pid for pid in pids if exists(pid)], "roles outlive the supervisor"
    assert not os.path.exists(daemon.socket), "the socket file outlives the daemon"


@pytest.fixture
def public_path():
    """As tmp_path, but every user can reach it: pytest's own is for one, and stays so."""
    with tempfile.TemporaryDirectory(prefix="resolverd-") as directory:
        path = pathlib.Path(directory)
        path.chmod(0o755)
        yield path


@pytest.fixture
def make_daemon(tmp_path):
    """Daemons of a test's own: make_daemon(resolver__workers="1"); config is the text of a configuration file."""
    made = []

    def make(start=True, config="", below=tmp_path, **keys):
        directory = below / f"daemon{len(made)}"
        directory.mkdir()
        made.append(Daemon(directory, **keys))
        made[-1].config_path.write_text(config)
        return made[-1].start() if start else made[-1]

    yield make
    for daemon in made:
        daemon.stop(expected=None)

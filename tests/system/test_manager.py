# SPDX-License-Identifier: BSD-3-Clause
"""Under a service manager: what it is told, the sockets it holds, and restarts that no client is refused by."""

import array
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest
from conftest import Daemon, exists, wait_for

FIRST_FD = 3


class Manager:
    """What systemd is to a service of Type=notify with a socket unit."""

    def __init__(self, directory):
        self.path = directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)
        self.said, self.kept = [], {}

    def listen(self):
        """All that it said until now, a list of datagrams."""
        while True:
            try:
                data, controls, _flags, _address = self.socket.recvmsg(4096, socket.CMSG_SPACE(16))
            except BlockingIOError:
                return self.said
            lines = data.decode().split("\n")
            self.said.append(lines)
            for _level, _type, fds in controls:
                name = next(line for line in lines if line.startswith("FDNAME=")).partition("=")[2]
                self.kept[name] = array.array("i", fds)[0]

    def heard(self, line):
        return sum(line in lines for lines in self.listen())

    def start(self, daemon, fds=(), for_pid="$$", **environment):
        def hand_over():
            above = [os.dup2(fd, 40 + i) for i, fd in enumerate(fds)]
            for i, fd in enumerate(above):
                os.dup2(fd, FIRST_FD + i, inheritable=True)

        environment = os.environ | {"NOTIFY_SOCKET": str(self.path), "LISTEN_FDS": str(len(fds))} | environment
        with open(daemon.log_path, "ab") as log:
            daemon.process = subprocess.Popen(["sh", "-c", f'LISTEN_PID={for_pid} exec "$@"', "sh", *daemon.command()], env=environment,
                                              preexec_fn=hand_over, pass_fds=range(FIRST_FD, FIRST_FD + len(fds)),
                                              stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return daemon


def listening(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(128)
    return listener


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path, cache__snapshot_interval="1h")
    yield daemon
    daemon.stop(expected=None)


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path)
    yield manager
    for fd in manager.kept.values():
        os.close(fd)
    manager.socket.close()


class Connector(threading.Thread):
    """Connects again and again, and counts what was refused; asks for a plan now and then."""

    def __init__(self, daemon):
        super().__init__()
        self.daemon, self.refused, self.made, self.bad, self.over = daemon, [], 0, [], threading.Event()

    def run(self):
        while not self.over.is_set():
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                client.connect(self.daemon.socket)
                self.made += 1
            except OSError as error:
                self.refused.append(error)
            client.close()
            if self.made % 40 == 0:
                code, plan = self.daemon.ctl("plan", "dane-ee.org", timeout=10)
                if code != 0:
                    self.bad.append((code, plan))
            time.sleep(0.005)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.over.set()
        self.join(30)


# ---- what it is told ----

def test_ready_is_said_once_when_clients_are_served_and_stopping_at_the_end(daemon, manager):
    manager.start(daemon)
    wait_for(lambda: manager.heard("READY=1"), 10, daemon.log)
    assert daemon.status()["version"]
    daemon.wait_until_ready()
    daemon.stop()
    assert manager.heard("READY=1") == 1 and manager.heard("STOPPING=1") == 1


def test_roles_know_nothing_of_the_manager(daemon, manager):
    manager.start(daemon, WATCHDOG_USEC="60000000")
    daemon.wait_until_ready()
    for pids in daemon.roles().values():
        for pid in pids:
            names = {item.partition(b"=")[0] for item in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}
            assert not names & {b"NOTIFY_SOCKET", b"LISTEN_FDS", b"LISTEN_PID", b"WATCHDOG_USEC"}


def test_reload_is_told_with_its_time_and_its_end_also_when_it_fails(daemon, manager):
    manager.start(daemon)
    wait_for(lambda: manager.heard("READY=1"), 10)
    daemon.reload("cache { failure-ttl = 20s }\n")
    wait_for(lambda: manager.heard("READY=1") == 2, 5)
    reloading = next(lines for lines in manager.said if "RELOADING=1" in lines)
    stamp = next(int(line.partition("=")[2]) for line in reloading if line.startswith("MONOTONIC_USEC="))
    assert 0 <= time.monotonic() - stamp / 1e6 < 10
    daemon.reload("cache { failure-ttl = soon }\n")
    wait_for(lambda: manager.heard("READY=1") == 3, 5)
    assert any("reload failed" in line for line in manager.said[-1]), manager.said
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0


def test_watchdog_is_told_while_the_server_answers(daemon, manager):
    manager.start(daemon, WATCHDOG_USEC="800000")
    daemon.wait_until_ready()
    before = manager.heard("WATCHDOG=1")
    time.sleep(2)
    assert manager.heard("WATCHDOG=1") - before >= 5


def test_watchdog_of_another_process_is_not_ours(daemon, manager):
    manager.start(daemon, WATCHDOG_USEC="800000", WATCHDOG_PID="1")
    daemon.wait_until_ready()
    time.sleep(1)
    assert manager.heard("WATCHDOG=1") <= 1


def test_a_stopped_server_is_killed_and_started_again(daemon):
    daemon.start()
    (server,) = daemon.roles()["server"]
    os.kill(server, signal.SIGSTOP)
    wait_for(lambda: not exists(server), 45, daemon.log, every_s=0.5)
    wait_for(lambda: daemon.ctl("plan", "dane-ee.org")[0] == 0, 10, daemon.log)
    assert "the server has not answered for" in daemon.log()


# ---- sockets ----

def test_sockets_that_are_handed_over_are_used_and_stay(daemon, manager):
    with listening(daemon.socket) as clients, listening(daemon.directory / "control.sock") as control:
        daemon.keys["server.control-socket"] = str(daemon.directory / "control.sock")
        manager.start(daemon, fds=[control.fileno(), clients.fileno()])  # in any order: they are known by their paths
        daemon.wait_until_ready()
        assert daemon.ctl("plan", "dane-ee.org")[0] == 0
        assert daemon.ctl("--control-socket", daemon.directory / "control.sock", "explain", "dane-ee.org")[0] == 0
        daemon.stop()
        assert pathlib.Path(daemon.socket).exists()
        assert manager.kept == {}, "they are the manager's already"


def test_a_socket_of_another_path_is_refused_with_a_warning(daemon, manager):
    with listening(daemon.directory / "other.sock") as other:
        manager.start(daemon, fds=[other.fileno()])
        daemon.wait_until_ready()
        assert "descriptor 3 was handed over and listens neither on server.socket nor" in daemon.log()


def test_descriptors_for_another_process_are_not_taken(daemon, manager):
    with listening(daemon.directory / "other.sock") as other:
        manager.start(daemon, fds=[other.fileno()], for_pid="1")
        daemon.wait_until_ready()
        assert "was handed over" not in daemon.log()


def test_a_restart_by_the_manager_refuses_nobody(daemon, manager):
    """As with a socket unit: it listens, whoever serves."""
    with listening(daemon.socket) as clients, Connector(daemon) as connector:
        for _ in range(3):
            manager.start(daemon, fds=[clients.fileno(), *manager.kept.values()])
            daemon.wait_until_ready()
            time.sleep(0.5)
            daemon.stop()
            manager.listen()
        manager.start(daemon, fds=[clients.fileno(), *manager.kept.values()])
        daemon.wait_until_ready()
    assert connector.refused == [] and connector.bad == [] and connector.made > 40
    daemon.stop()


def test_own_sockets_are_put_into_the_managers_store_and_come_back(daemon, manager):
    manager.start(daemon)
    daemon.wait_until_ready()
    manager.listen()
    assert set(manager.kept) == {"clients", "control"}
    inode = os.stat(daemon.socket).st_ino
    daemon.stop()
    with Connector(daemon) as connector:
        manager.start(daemon, fds=list(manager.kept.values()))
        daemon.wait_until_ready()
        assert daemon.ctl("plan", "dane-ee.org")[0] == 0
    assert connector.refused == [] and connector.bad == []
    assert os.stat(daemon.socket).st_ino == inode


def started_again(manager, daemon):
    """With what the manager kept."""
    daemon.stop()
    manager.start(daemon, fds=list(manager.kept.values()), LISTEN_FDNAMES=":".join(manager.kept))
    daemon.wait_until_ready()
    return os.stat(daemon.socket)


def test_a_socket_that_was_kept_is_as_the_configuration_says_now(daemon, manager):
    """Who was taken out of the mode is out with the restart, not when the machine is started again."""
    manager.start(daemon)
    daemon.wait_until_ready()
    manager.listen()
    assert os.stat(daemon.socket).st_mode & 0o777 == 0o660
    daemon.keys["server.socket-mode"] = "0600"
    assert started_again(manager, daemon).st_mode & 0o777 == 0o600
    os.unlink(daemon.socket)
    daemon.keys["server.socket-mode"] = "0640"
    assert started_again(manager, daemon).st_mode & 0o777 == 0o640, "nobody finds a socket without its file: made anew"
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0


def test_a_socket_of_a_unit_stays_as_the_unit_says(daemon, manager):
    listener = listening(daemon.socket)
    os.chmod(daemon.socket, 0o640)
    manager.start(daemon, fds=[listener.fileno()], LISTEN_FDNAMES="resolverd.socket")
    daemon.wait_until_ready()
    assert os.stat(daemon.socket).st_mode & 0o777 == 0o640
    listener.close()

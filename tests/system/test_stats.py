# SPDX-License-Identifier: BSD-3-Clause
"""resolverctl stats, top and keys on the real daemon."""
import base64
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import fcntl
import pytest
from conftest import BUILD
from scenarios import DANE

CTL = str(BUILD / "resolverctl")
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def command(daemon, *words, public_key=None):
    return [CTL, "--socket", daemon.socket, "--public-key", str(public_key or daemon.public_key), *words]


def run(words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60)


def stats(daemon, *words):
    done = run(command(daemon, "--json", "stats", *words))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ask(daemon, name):
    assert run(command(daemon, "plan", name)).returncode == 0


@pytest.fixture
def daemon(make_daemon):
    return make_daemon()


# ---- stats ----

def test_stats_count_what_is_asked_found_and_served(daemon):
    before = stats(daemon)
    for _ in range(3):
        ask(daemon, DANE)
    after = stats(daemon)
    grown = {name: after["counters"][name] - before["counters"][name] for name in after["counters"]}
    assert grown["misses"] >= 2 and grown["hits"] >= 4 and grown["requests"] >= 3
    found = after["metrics"]
    assert found["routes_by_status"]["secure"] == 1 and found["hosts_by_policy"]["dane"] >= 1 and found["hosts_by_tlsa"]["secure"] >= 1
    assert sum(found["job_time"]["counts"]) == grown["jobs_done"] >= 2
    assert len(found["job_time"]["counts"]) == len(found["job_time"]["bounds_ms"]) + 1
    assert after["gauges"]["workers"] == 2 and after["gauges"]["cache_entries"] >= 2
    status = json.loads(run(command(daemon, "--json", "status")).stdout)
    assert after["from"] == status["started_at"]


def test_an_interval_tells_what_came_in_it(daemon):
    ask(daemon, DANE)
    watching = subprocess.Popen(command(daemon, "--json", "stats", "--interval", "0.5"), stdout=subprocess.PIPE, text=True)
    try:
        json.loads(watching.stdout.readline())
        ask(daemon, DANE)
        seen = [json.loads(watching.stdout.readline()) for _ in range(3)]
    finally:
        watching.terminate()
        watching.wait(10)
        watching.stdout.close()
    assert sum(one["counters"]["hits"] for one in seen) >= 2 and all(one["counters"]["misses"] == 0 for one in seen)
    assert all(sum(one["metrics"]["job_time"]["counts"]) == 0 for one in seen)
    assert all(later["from"] == earlier["to"] for earlier, later in zip(seen, seen[1:]))


def test_stats_for_people(daemon):
    ask(daemon, DANE)
    said = run(command(daemon, "stats")).stdout
    assert re.search(r"^  routes found    secure 1, insecure 0, bogus 0, error 0$", said, re.M)
    assert re.search(r"^  hosts found     dane [1-9]", said, re.M)
    assert re.search(r"^  lookups took    half of \d+ within \d+ ms, .*; mean \d+ ms$", said, re.M)
    assert re.search(r"^  workers         2 of 2; 0 restarts$", said, re.M)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_who_may_not_open_the_control_socket_gets_less(make_daemon, public_path):
    daemon = make_daemon(below=public_path, server__socket_mode="0666")
    program = public_path / "resolverctl"
    program.write_bytes((BUILD / "resolverctl").read_bytes())
    program.chmod(0o755)
    words = command(daemon, "--json", "stats")
    done = run([*NOBODY, program, *words[1:]])
    assert done.returncode == 0 and json.loads(done.stdout)["metrics"] is None
    assert "control" in done.stderr and "Permission denied" in done.stderr


@pytest.mark.parametrize("words", [["stats", "--interval", "0"], ["stats", "--interval", "x"], ["stats", "more"], ["top", "--interval", "1e9"],
                                   ["top", "--json"], ["keys", "more"]])
def test_usage(daemon, words):
    assert run(command(daemon, *words)).returncode == 64


def test_no_daemon(make_daemon):
    absent = make_daemon(start=False)
    assert run(command(absent, "stats")).returncode == 75
    assert run(command(absent, "top", "--once")).returncode == 75


# ---- top ----

class Terminal:
    """A program on a terminal of its own; `text` is all that it wrote."""

    def __init__(self, words, rows=40, columns=100):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(words[0], words)
        self.resize(rows, columns)
        self.text, self.status = "", None

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, pattern):
        begin, end = len(self.text), time.monotonic() + 20
        while not re.search(pattern, self.text[begin:], re.S):
            assert time.monotonic() < end, self.text[begin:]
            if select.select([self.fd], [], [], 0.5)[0]:
                try:
                    self.text += os.read(self.fd, 65536).decode()
                except OSError:
                    break
        return self.text[begin:]

    def end(self):
        """Its exit status, when it has ended by itself."""
        self.read_until(r"$.")
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return self.status

    def press(self, keys):
        os.write(self.fd, keys.encode())


def test_top_draws_in_place_and_leaves_the_terminal_as_it_was(daemon):
    terminal = Terminal(command(daemon, "top", "--interval", "0.3"))
    first = terminal.read_until("q ends")
    assert "\033[?1049h" in terminal.text and "since its start" in first and ": ready" in first
    ask(daemon, DANE)
    assert "\033[H" in terminal.read_until("since the view before.*q ends")
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.text.rstrip().endswith("\033[?1049l") and "\033[?25h" in terminal.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_top_and_leaves_the_terminal_as_it_was(daemon, number):
    terminal = Terminal(command(daemon, "top"))
    terminal.read_until("q ends")
    os.kill(terminal.pid, number)
    assert terminal.end() == 0 and "\033[?1049l" in terminal.text


@pytest.mark.parametrize("how", ["signal", "key"])
def test_top_can_be_left_while_the_daemon_hangs(daemon, how):
    terminal = Terminal(command(daemon, "top", "--interval", "0.3"))
    terminal.read_until("q ends")
    stopped = [daemon.process.pid, *(pid for pids in daemon.roles().values() for pid in pids)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1)  # in the midst of a request
        terminal.press("q") if how == "key" else os.kill(terminal.pid, signal.SIGINT)
        assert terminal.end() == 0
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_top_fits_into_the_terminal(daemon):
    terminal = Terminal(command(daemon, "top", "--interval", "30"), rows=10, columns=40)
    terminal.read_until("\033\\[J")
    terminal.resize(5, 30)
    os.kill(terminal.pid, signal.SIGWINCH)
    again = terminal.read_until("\033\\[J")
    last = again[again.rindex("\033[H"):]
    lines = re.sub("\033\\[[0-9;?]*[A-Za-z]", "", last).split("\r\n")
    assert len(lines) <= 5 and max(map(len, lines)) <= 30, lines
    terminal.press("q")
    assert terminal.end() == 0


def test_top_waits_for_a_daemon_that_is_gone(daemon):
    terminal = Terminal(command(daemon, "top", "--interval", "0.3"))
    terminal.read_until("q ends")
    daemon.stop()
    terminal.read_until("cannot be reached.*tried again")
    daemon.start()
    terminal.read_until("since its start.*q ends")
    terminal.press("q")
    assert terminal.end() == 0


def test_top_without_a_terminal_prints_blocks(daemon):
    done = run(command(daemon, "top", "--once"))
    assert done.returncode == 0 and "\033" not in done.stdout and "requests" in done.stdout


# ---- keys ----

def test_keys_tells_who_vouches_for_the_daemon(daemon, tmp_path):
    done = run(command(daemon, "--json", "keys"))
    told = json.loads(done.stdout)
    assert done.returncode == 0 and len(told["trusted"]) == 1
    key = told["trusted"][0]
    assert key["public_key"] == open(daemon.public_key, encoding="ascii").read().strip()
    assert told["delegations"][0]["signed_by"] == key["key_id"] and told["delegations"][0]["holds"]
    assert key["vouches_until"] == told["delegations"][0]["not_after"]
    assert re.search(r"vouches for it until .*\n.*\n.*: holds$", run(command(daemon, "keys")).stdout, re.M)

    other = base64.b64encode(os.urandom(32)).decode()
    both = tmp_path / "both.pub"
    both.write_text(f"{key['public_key']}\n{other}\n")
    told = json.loads(run(command(daemon, "--json", "keys", public_key=both)).stdout)
    assert [one["vouches_until"] is not None for one in told["trusted"]] == [True, False]

    foreign = tmp_path / "foreign.pub"
    foreign.write_text(other + "\n")
    done = run(command(daemon, "--json", "keys", public_key=foreign))
    told = json.loads(done.stdout)
    assert done.returncode == 76 and not told["delegations"][0]["holds"] and not told["delegations"][0]["in_file"]
    assert "not in this file" in run(command(daemon, "keys", public_key=foreign)).stdout


def test_keys_without_a_key_file(daemon, tmp_path):
    assert run(command(daemon, "keys", public_key=tmp_path / "none")).returncode == 76

# SPDX-License-Identifier: BSD-3-Clause
"""resolverctl warm: a list of next hops is looked up and kept fresh, within bounds, and goes on where it was ended."""

import json
import os
import pty
import signal
import subprocess
import time

import pytest
import resolverd_pb2 as pb
from conftest import BUILD, WORLD, wait_for
from live import LiveZone
from wire import Client

ZONE = "two-hosts.org"
COUNT = 300
NAMES = [f"w{i}.{ZONE}" for i in range(COUNT)]


@pytest.fixture(scope="module")
def names():
    """Next hops, all at the same two hosts."""
    with LiveZone(WORLD, ZONE) as zone:
        zone.publish([*zone.records, *(f"w{i} MX {10 * j} mx{j}" for i in range(COUNT) for j in (1, 2))])
        yield NAMES


class Warm:
    """The command on a daemon, with a list in a file."""

    def __init__(self, daemon, path, lines):
        self.daemon = daemon
        self.path = path
        self.resume = path.with_name(path.name + ".resume")
        path.write_text("".join(f"{line}\n" for line in lines))

    def command(self, *options, json_output=True):
        daemon = self.daemon
        return [str(BUILD / "resolverctl"), "--socket", daemon.socket, "--control-socket", f"{daemon.socket}.control", "--public-key",
                daemon.public_key, *(["--json"] if json_output else []), "warm", str(self.path), *map(str, options)]

    def run(self, *options, **more):
        """(exit code, output, what it says to people)"""
        done = subprocess.run(self.command(*options, **more), capture_output=True, text=True, timeout=60)
        return done.returncode, json.loads(done.stdout) if more.get("json_output", True) else done.stdout, done.stderr

    def start(self, *options):
        return subprocess.Popen(self.command(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def noted(self):
        """How many names the journal says are done."""
        lines = self.resume.read_text().splitlines() if self.resume.exists() else []
        return max([int(line.split()[1]) for line in lines if line.startswith("done ")], default=0)


@pytest.fixture
def make_warm(tmp_path):
    return lambda daemon, lines: Warm(daemon, tmp_path / "list", lines)


# ---- what it is for ----

def test_what_was_warmed_is_there(make_daemon, make_warm, names):
    daemon = make_daemon()
    warm = make_warm(daemon, names)
    code, told, _ = warm.run()
    assert code == 0 and not warm.resume.exists()
    assert (told["complete"], told["names"], told["finished"], told["resumed_at"]) == (True, COUNT, COUNT, 0)
    assert told["results"] == {"deliver": COUNT, "delay": 0, "no-mail": 0, "no-such-domain": 0, "no-host": 0, "invalid": 0}
    before = daemon.status()
    with Client(daemon.socket) as client:
        for name in names:
            client.submit(plan=pb.PlanRequest(next_hop=name))
        assert all(len(client.receive().answers) == 3 for _ in names)
    after = daemon.status()
    assert (after["misses"], after["jobs_done"]) == (before["misses"], before["jobs_done"])
    assert after["hits"] == before["hits"] + 3 * COUNT


@pytest.mark.parametrize("keep, is_kept", [("1h", True), ("0", False)])
def test_it_is_kept_fresh_for_as_long_as_was_said(make_daemon, make_warm, keep, is_kept):
    daemon = make_daemon()
    assert make_warm(daemon, ["ttl-short.nl"]).run("--keep", keep)[0] == 0
    before = daemon.status()
    time.sleep(9)  # three TTLs, asked for by nobody
    with Client(daemon.socket) as client:
        begin = time.monotonic()
        client.ask(plan=pb.PlanRequest(next_hop="ttl-short.nl"))
        took = time.monotonic() - begin
    after = daemon.status()
    assert (after["misses"] == before["misses"]) is is_kept
    assert (after["refreshes_renewed"] > before["refreshes_renewed"]) is is_kept
    assert took < 0.1 or not is_kept


def test_keeping_ends(make_daemon, make_warm):
    daemon = make_daemon()
    assert make_warm(daemon, ["ttl-short.nl"]).run("--keep", "4s")[0] == 0
    wait_for(lambda: daemon.status()["cache_entries"] == 0, 20)
    assert daemon.status()["ran_out"] == 2


# ---- what fails ----

def test_what_failed_is_listed_with_why(daemon, make_warm):
    lines = ["# a campaign", "", "dane-ee.org  # fine", "a..b", "tlsa-servfail.com", "no-such-name.dane-ee.org", "null-mx.org",
             "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.dane-ee.org", "[127.0.0.1]"]
    warm = make_warm(daemon, lines)
    code, told, _ = warm.run()
    assert code == 75
    assert told["results"] == {"deliver": 2, "delay": 1, "no-mail": 1, "no-such-domain": 2, "no-host": 0, "invalid": 1}
    failed = {one["line"]: (one["next_hop"], one["reason"]) for one in told["failed"]}
    assert sorted(failed) == [4, 5]
    assert failed[4][0] == "a..b" and "label" in failed[4][1]
    assert failed[5][0] == "tlsa-servfail.com" and "TLSA" in failed[5][1]
    code, text, _ = warm.run(json_output=False)
    assert code == 75
    assert text.splitlines()[0].startswith("7 next hops in ") and "2 deliver, 1 delay" in text.splitlines()[0]
    assert f"  {warm.path}:5: tlsa-servfail.com: " in text
    assert not warm.resume.exists()


def test_a_line_that_is_no_next_hop_alone_is_bad_data(daemon, make_warm):
    warm = make_warm(daemon, ["dane-ee.org", "192.0.2.1"])
    assert warm.run()[0] == 65
    warm.path.write_bytes(b"caf\xe9.example\ndane-ee.org\n\x1b[31m.org\n")
    code, told, _ = warm.run()
    assert code == 65 and told["results"]["invalid"] == 2, told


@pytest.mark.parametrize("options, code", [
    (["--keep", "1w"], 64), (["--keep", "-1"], 64), (["--keep", "400d"], 64), (["--rate", "0"], 64), (["--rate", "x"], 64),
    (["--port", "0"], 64), (["more"], 64), (["--resume-file", "/nonexistent/resume"], 73),
])
def test_wrong_usage(daemon, make_warm, options, code):
    warm = make_warm(daemon, ["dane-ee.org"])
    assert warm.run(*options)[0] == code


def test_files_and_daemons_that_are_not_there(daemon, make_warm):
    warm = make_warm(daemon, ["dane-ee.org"])
    warm.path.unlink()
    assert warm.run()[0] == 66
    warm.path.write_bytes(b"dane-ee.org\n\0")
    code, told, _ = warm.run()
    assert code == 66 and "binary" in told["error"]
    code, told = daemon.ctl("--control-socket", f"{daemon.socket}.none", "warm", BUILD / "gen" / "resolverd_pb2.py")
    assert code == 75 and "server.control-socket" in told["error"]


def test_it_is_for_the_control_socket(daemon, make_warm):
    warm = make_warm(daemon, ["dane-ee.org"])
    code, told = daemon.ctl("--control-socket", daemon.socket, "warm", warm.path)
    assert code == 75 and "control socket" in told["error"]


# ---- bounds ----

def test_a_rate_is_kept(daemon, make_warm, names):
    begin = time.monotonic()
    assert make_warm(daemon, names[:60]).run("--rate", "20")[0] == 0
    assert 2.5 < time.monotonic() - begin < 8


def test_a_busy_daemon_is_asked_again(make_daemon, make_warm, names):
    daemon = make_daemon(server__max_jobs_per_client="20")
    code, told, _ = make_warm(daemon, names).run()
    assert code == 0 and told["results"]["deliver"] == COUNT
    assert daemon.status()["refused_busy"] > 0


# ---- going on ----

@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_goes_on(daemon, make_warm, names, with_signal):
    warm = make_warm(daemon, ["a..b", "tlsa-servfail.com", *names])
    first = warm.start("--rate", "60")
    wait_for(lambda: warm.noted() > 60, 20)
    first.send_signal(with_signal)
    out, err = first.communicate(timeout=10)
    noted = warm.noted()
    assert 60 < noted < COUNT
    if with_signal == signal.SIGINT:
        assert first.returncode == 75 and "goes on at line" in err
        assert json.loads(out)["complete"] is False
    with open(warm.resume, "a") as journal:
        journal.write("failed 299 cut o")  # as it is when the end comes in the middle of a line
    before = daemon.status()
    code, told, _ = warm.run()
    assert (code, told["complete"], told["resumed_at"]) == (75, True, noted)
    assert told["results"] == {"deliver": COUNT, "delay": 1, "no-mail": 0, "no-such-domain": 0, "no-host": 0, "invalid": 1}
    assert [one["line"] for one in told["failed"]] == [1, 2], "those of the run before, too"
    assert daemon.status()["requests"] - before["requests"] < COUNT + 5 - noted + 5
    assert not warm.resume.exists()


def start_and_end(warm, *options):
    first = warm.start("--rate", "60", *options)
    wait_for(lambda: warm.noted() > 30, 20)
    first.kill()
    first.communicate()


def test_another_list_or_other_options_begin_anew(daemon, make_warm, names):
    warm = make_warm(daemon, names[:150])
    start_and_end(warm)
    code, told, err = warm.run("--keep", "1h")
    assert (code, told["resumed_at"]) == (0, 0) and "--keep" in err
    start_and_end(warm)
    warm.path.write_text("".join(f"{name}\n" for name in names[:151]))
    code, told, err = warm.run()
    assert (code, told["resumed_at"], told["finished"]) == (0, 0, 151) and "the list has changed" in err


def test_what_a_daemon_forgot_is_warmed_anew(make_daemon, make_warm, names):
    daemon = make_daemon()
    warm = make_warm(daemon, names[:150])
    start_and_end(warm)
    daemon.stop()
    daemon.start()
    code, told, err = warm.run()
    assert (code, told["resumed_at"]) == (0, 0) and "started anew" in err


def test_a_journal_that_is_damaged_or_foreign_does_not_count(daemon, make_warm, names):
    warm = make_warm(daemon, names[:20])
    for text in ("", "something else\n", "resolverctl-warm 1 list", "\n\n\n"):
        warm.resume.write_text(text)
        code, told, _ = warm.run()
        assert (code, told["resumed_at"]) == (0, 0)
    start = warm.start("--rate", "5")
    wait_for(lambda: warm.noted() > 1, 10)
    start.kill()
    start.communicate()
    with open(warm.resume, "a") as journal:
        journal.write("done 999 999 0 0 0 0 0\n")
    code, told, err = warm.run()
    assert (code, told["resumed_at"]) == (0, 0) and "damaged" in err


def test_two_runs_do_not_share_a_journal(daemon, make_warm, names):
    warm = make_warm(daemon, names)
    first = warm.start("--rate", "60")
    wait_for(lambda: warm.noted() > 0, 10)
    code, told, _ = warm.run()
    assert code == 73 and "another warm" in told["error"]
    first.kill()
    first.communicate()


# ---- progress ----

def test_a_terminal_is_shown_a_bar(daemon, make_warm, names):
    warm = make_warm(daemon, names[:100])
    master, slave = pty.openpty()
    process = subprocess.Popen(warm.command("--rate", "40", json_output=False), stdout=subprocess.PIPE, stderr=slave, text=True)
    os.close(slave)
    shown = b""
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:
            break
        if not more:
            break
        shown += more
    os.close(master)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 0 and out.startswith("100 next hops in ")
    assert b"[###" in shown and b" of 100 (" in shown and b" left, 0 failed" in shown
    assert shown.endswith(b"\r\x1b[K"), "and it is gone at the end"

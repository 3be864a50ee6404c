# SPDX-License-Identifier: BSD-3-Clause
"""A restart is no cold start: what was known is known again, and nothing else is (M08)."""

import base64
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest
import resolverd_pb2 as pb
from conftest import BUILD, Daemon, wait_for
from faketime import Clock, HOUR
from wire import Client

HOPS = ["dane-ee.org", "dane-ta.com", "mixed-policy.org", "plain.net", "insecure-mx.org", "null-mx.org", "no-such-domain.org"]


def snapshot(daemon):
    return daemon.directory / "state" / "cache" / "snapshot"


def ask(daemon, *hops):
    """The answers of each plan, verified by the long-term key."""
    key = base64.b64decode(pathlib.Path(daemon.public_key).read_text())
    with Client(daemon.socket, [key]) as client:
        client.learn_delegations()
        plans = [client.plan(hop) for hop in hops]
        return [[route, *hosts] for route, hosts in plans]


def facts(plans):
    """What does not change when an answer is signed anew."""
    return [[(answer.question.name, answer.validated_at, answer.expires_at,
              getattr(answer, answer.WhichOneof("data")).SerializeToString()) for answer in plan] for plan in plans]


@pytest.fixture
def make(tmp_path):
    made = []

    def make(**keys):
        daemon = Daemon(tmp_path, **keys)
        made.append(daemon)
        return daemon
    yield make
    for daemon in made:
        daemon.stop(expected=None)


def test_m08_answers_outlast_a_restart_signed_anew(make):
    daemon = make().start()
    before = ask(daemon, *HOPS)
    entries = daemon.status()["cache_entries"]
    daemon.stop()
    assert snapshot(daemon).stat().st_mode & 0o777 == 0o600
    daemon.start()
    assert "answers restored" in daemon.log()
    jobs = daemon.status()["jobs_done"]
    assert facts(ask(daemon, *HOPS)) == facts(before)
    status = daemon.status()
    assert status["jobs_done"] == jobs and status["misses"] == 0
    assert status["cache_entries"] == entries


def test_the_server_alone_is_started_again_with_what_was_saved(make):
    daemon = make(cache__snapshot_interval="200ms").start()
    before = ask(daemon, *HOPS)
    written = time.time()
    wait_for(lambda: snapshot(daemon).exists() and snapshot(daemon).stat().st_mtime > written + 0.1, 10)
    os.kill(daemon.roles()["server"][0], signal.SIGKILL)
    wait_for(lambda: "answers restored" in daemon.log(), 10)
    daemon.wait_until_ready()
    assert facts(ask(daemon, *HOPS)) == facts(before)
    assert daemon.status()["misses"] == 0


KILLS = int(os.environ.get("KILLS", "60"))  # hundreds, by hand: KILLS=300


def test_kill_9_loses_at_most_the_last_interval(make):
    daemon = make(cache__snapshot_interval="100ms").start()
    known = facts(ask(daemon, *HOPS))
    time.sleep(0.5)
    numbers = random.Random(1)
    for turn in range(KILLS):
        time.sleep(numbers.random() * 0.15)
        daemon.process.kill()
        daemon.process.wait()
        time.sleep(0.05)
        daemon.start()
        assert daemon.log().count("answers restored") == turn + 1, daemon.log()
        assert daemon.log().count("not used") == 0, daemon.log()
        assert facts(ask(daemon, *HOPS)) == known


def spoil_last(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def spoil_middle(data):
    return data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 0x40]) + data[len(data) // 2 + 1:]


SPOILED = {
    "empty": (lambda data: b"", "torn"),
    "half": (lambda data: data[:len(data) // 2], "torn"),
    "without its tag": (lambda data: data[:-32], "torn"),
    "more behind": (lambda data: data + b"x", "torn"),
    "tag": (spoil_last, "torn"),
    "a bit": (spoil_middle, "torn"),
    "text": (lambda data: b"hello\n" * 1000, "torn"),
    "version": (lambda data: data[:20] + b"\x7f" + data[21:], "another version"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_m08_a_file_that_is_not_ours_is_refused_and_the_start_is_cold(make, what):
    spoil, word = SPOILED[what]
    daemon = make().start()
    ask(daemon, *HOPS[:3])
    daemon.stop()
    snapshot(daemon).write_bytes(spoil(snapshot(daemon).read_bytes()))
    daemon.start()
    assert "the snapshot is not used" in daemon.log() and word in daemon.log(), daemon.log()
    assert daemon.status()["cache_entries"] == 0
    assert ask(daemon, *HOPS[:3])


def test_m08_a_snapshot_of_another_key_or_configuration_is_refused(make, tmp_path):
    daemon = make().start()
    ask(daemon, *HOPS[:3])
    daemon.stop()
    saved = snapshot(daemon).read_bytes()
    (daemon.directory / "state" / "signing.key").unlink()
    daemon.start()
    assert "of another key" in daemon.log() and daemon.status()["cache_entries"] == 0
    daemon.stop()
    daemon.keys["resolver.digests"] = "sha256"
    snapshot(daemon).write_bytes(saved)
    daemon.start()
    assert "the configuration, or this program, has changed since" in daemon.log()
    assert daemon.status()["cache_entries"] == 0


def test_m08_facts_that_no_longer_count_do_not_come_back_with_a_crash(make, tmp_path):
    """Between the step of the clock and the next snapshot the old one is all there is."""
    clock = Clock(tmp_path, BUILD / "resolverd")
    daemon = make()
    daemon.prefix = clock.prefix
    daemon.start()
    ask(daemon, *HOPS[:3])
    daemon.stop()
    assert snapshot(daemon).exists()
    daemon.start()
    wait_for(lambda: "answers restored" in daemon.log(), 10)
    clock.move_to(60)
    wait_for(lambda: "the clock was stepped" in daemon.log(), 10)
    wait_for(lambda: not snapshot(daemon).exists(), 2)
    daemon.process.kill()
    daemon.process.wait()


def test_m08_what_ended_meanwhile_is_not_served_and_what_was_in_use_is_looked_up_first(make):
    daemon = make(cache__max_ttl="5s").start()
    ask(daemon, *HOPS[:3])
    ask(daemon, *HOPS[:3])
    entries = daemon.status()["cache_entries"]
    daemon.stop()
    time.sleep(5.1)
    daemon.start()
    wait_for(lambda: daemon.status()["cache_entries"] >= entries, 10)
    assert "0 answers restored" in daemon.log()
    status = daemon.status()
    ask(daemon, *HOPS[:3])
    assert daemon.status()["misses"] == status["misses"] == 0


def test_m07_m08_a_snapshot_from_the_future_is_refused(make, tmp_path):
    daemon = make().start()
    ask(daemon, *HOPS[:3])
    daemon.stop()
    clock = Clock(tmp_path, BUILD / "resolverd")
    daemon.prefix = clock.prefix
    clock.move_to(-2 * HOUR)
    daemon.start(wait=False)
    wait_for(lambda: "from the future" in daemon.log(), 10)


def test_nothing_is_kept_where_it_is_switched_off(make):
    daemon = make(cache__snapshot_interval="0").start()
    ask(daemon, "dane-ee.org")
    daemon.stop()
    assert not snapshot(daemon).exists()


def mounted(path, size):
    path.mkdir(parents=True, exist_ok=True)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", path]).returncode == 0


def test_a_full_disk_is_said_once_and_the_last_file_stays(make):
    daemon = make(cache__snapshot_interval="100ms")
    place = daemon.directory / "state"
    if not mounted(place, "64k"):
        pytest.skip("no tmpfs can be mounted here")
    try:
        daemon.start()
        ask(daemon, *HOPS[:3])
        wait_for(lambda: snapshot(daemon).exists() and snapshot(daemon).stat().st_size > 500, 5)
        (place / "ballast").write_bytes(b"x" * 8192)
        try:
            with open(place / "ballast", "ab", buffering=0) as ballast:
                while True:
                    ballast.write(b"x" * 4096)
        except OSError:
            pass
        ask(daemon, *HOPS)
        wait_for(lambda: "cannot write the snapshot" in daemon.log(), 5)
        time.sleep(0.5)
        assert daemon.log().count("cannot write the snapshot") == 1
        assert not (snapshot(daemon).parent / "snapshot.new").exists()
        daemon.process.kill()
        daemon.process.wait()
        daemon.start()
        assert "answers restored" in daemon.log()
        (place / "ballast").unlink()
        wait_for(lambda: "is written again" in daemon.log() or daemon.log().count("cannot write the snapshot") == 1, 5)
    finally:
        daemon.stop(expected=None)
        subprocess.run(["umount", place], check=True)


def test_without_a_place_to_write_the_daemon_works(make):
    daemon = make()
    (daemon.directory / "state").mkdir()
    (daemon.directory / "state" / "cache").write_text("")  # no directory
    daemon.start()
    assert "does not outlast a restart" in daemon.log()
    assert ask(daemon, "dane-ee.org")

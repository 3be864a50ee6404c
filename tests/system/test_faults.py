# SPDX-License-Identifier: BSD-3-Clause
"""What happens when something breaks: nothing hangs, nothing is left behind, nothing fails open."""

import json
import os
import signal
import socket
import stat
import subprocess
import time

import pytest
import resolverd_pb2 as pb
from conftest import BUILD, WORLD, exists, wait_for
from wire import Client

EX_USAGE, EX_OSERR, EX_CONFIG = 64, 71, 78


def run(daemon, *more):
    done = subprocess.run([*daemon.command(), *more], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stderr


# ---- processes ----

def test_a_killed_worker_with_1000_jobs_in_flight_loses_none(make_daemon):
    """All are answered, with what the DNS says; each runs again alone, and one death quarantines none."""
    daemon = make_daemon(resolver__deadline="60s", resolver__workers="1")
    worker = daemon.roles()["worker"][0]
    os.kill(worker, signal.SIGSTOP)  # so that all are in flight at once, and stay so
    with Client(daemon.socket, timeout=80) as client:
        ids = {client.submit(records=pb.RecordsRequest(name=f"k{i}.dane-ee.org", type=1)) for i in range(1000)}
        wait_for(lambda: daemon.status()["jobs"] == 1000, 10)
        os.kill(worker, signal.SIGKILL)
        responses = [client.receive() for _ in ids]
        assert {response.id for response in responses} == ids
        assert all(len(response.answers) == 1 for response in responses)
        statuses = [pb.Answer.FromString(r.answers[0].answer).records.status for r in responses]
        assert set(statuses) == {pb.SECURE}
    status = daemon.status()
    assert (status["worker_restarts"], status["jobs_rerun"], status["jobs_quarantined"]) == (1, 1000, 0)


def test_a_job_in_flight_at_two_deaths_is_quarantined(make_daemon):
    daemon = make_daemon(resolver__deadline="20s", resolver__workers="1")
    slow = silent_domain()
    with Client(daemon.socket, timeout=30) as client:
        client.submit(plan=pb.PlanRequest(next_hop=slow))
        for restarts in (1, 2):
            wait_for(lambda: daemon.status()["jobs"] == 1 and daemon.status()["workers"] == 1, 10)
            time.sleep(0.2)  # let the job reach the worker: nothing outside shows that moment
            os.kill(daemon.roles()["worker"][0], signal.SIGKILL)
            wait_for(lambda: daemon.status()["worker_restarts"] == restarts, 10)
        route = pb.Answer.FromString(client.receive().answers[0].answer).route
    assert route.kind == pb.FAILED and route.mx_status == pb.ERROR and "quarantine" in route.reason
    assert daemon.status()["jobs_quarantined"] == 1
    code, plan = daemon.ctl("plan", slow)
    assert (code, plan["outcome"]) == (75, "delay")


def silent_domain():
    scenarios = json.loads((WORLD / "world.json").read_text())["scenarios"]
    return next(s["domain"] for s in scenarios if "silent" in s["name"])


def test_a_stopped_worker_is_replaced_and_its_jobs_are_answered(make_daemon):
    daemon = make_daemon(resolver__deadline="1s", resolver__workers="2", cache__failure_ttl="1s")
    wait_for(lambda: daemon.log().count("event=worker-validates") == 2, 30, daemon.log)  # so that each is given a job
    for pid in daemon.roles()["worker"]:
        os.kill(pid, signal.SIGSTOP)
    before = set(daemon.roles()["worker"])
    code, plan = daemon.ctl("plan", "dane-ee.org")
    assert (code, plan["outcome"]) == (75, "delay"), "no worker answers: the deadline must"

    def replaced():  # a worker is known to be stuck by what it does not answer
        daemon.ctl("plan", "dane-ee.org")
        return not before & set(daemon.roles().get("worker", []))

    wait_for(replaced, 90)
    wait_for(lambda: daemon.ctl("plan", "dane-ee.org")[0] == 0, 30)


def test_none_is_left_behind_when_the_supervisor_is_killed(make_daemon):
    daemon = make_daemon()
    roles = daemon.roles()  # the anchor's among them, while it checks
    pids = [pid for pids in roles.values() for pid in pids]
    assert (len(roles["server"]), len(roles["worker"])) == (1, 2)
    daemon.process.kill()
    daemon.process.wait()
    wait_for(lambda: not [pid for pid in pids if exists(pid)], 5)
    daemon.start()  # over the stale socket file
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0


def test_a_killed_server_comes_back_with_a_new_online_key(make_daemon):
    daemon = make_daemon()
    first = daemon.ctl("plan", "dane-ee.org")[1]["signatures"]["key_ids"]
    os.kill(daemon.roles()["server"][0], signal.SIGKILL)
    second = wait_for(lambda: (r := daemon.ctl("plan", "dane-ee.org", timeout=3))[0] == 0 and r[1], 15)
    assert second["signatures"]["verified"] and second["signatures"]["key_ids"] != first


def test_a_worker_stuck_while_the_server_dies_is_replaced(make_daemon):
    daemon = make_daemon()
    stuck = daemon.roles()["worker"][0]
    os.kill(stuck, signal.SIGSTOP)
    os.kill(daemon.roles()["server"][0], signal.SIGKILL)
    wait_for(lambda: not exists(stuck) and len(daemon.roles().get("worker", [])) == 2, 10)
    wait_for(lambda: daemon.ctl("plan", "dane-ee.org", timeout=3)[0] == 0, 15)


def test_sigterm_stops_all_roles_even_under_load(make_daemon):
    daemon = make_daemon()
    pids = [pid for pids in daemon.roles().values() for pid in pids]
    with Client(daemon.socket) as client:
        for i in range(200):
            client.submit(plan=pb.PlanRequest(next_hop=f"t{i}.dane-ee.org"))
        begin = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begin < 5
    assert not [pid for pid in pids if exists(pid)]


def test_sigterm_ends_the_daemon_even_while_no_role_runs(make_daemon):
    daemon = make_daemon(start=False)
    daemon.start(wait=False)
    pid = wait_for(lambda: daemon.roles().get("server"), 5, every_s=0.01)[0]
    os.kill(pid, signal.SIGKILL)  # within a second of its start: the next try waits that long
    wait_for(lambda: not daemon.roles(), 5, every_s=0.01)
    begin = time.monotonic()
    assert daemon.stop() == 0 and time.monotonic() - begin < 4


# ---- the DNS path ----

def test_all_upstream_servers_dead_is_delay_within_the_deadline(make_daemon, tmp_path):
    hints = tmp_path / "dead.hints"
    hints.write_text(". 3600 IN NS a.dead.\na.dead. 3600 IN A 127.99.99.99\n")
    daemon = make_daemon(start=False, resolver__root_hints=str(hints), resolver__deadline="2s")
    daemon.start(wait=False)
    wait_for(lambda: os.path.exists(daemon.public_key), 5)
    wait_for(lambda: "version" in daemon.status(), 5)
    begin = time.monotonic()
    code, plan = daemon.ctl("plan", "dane-ee.org")
    assert (code, plan["outcome"]) == (75, "delay") and time.monotonic() - begin < 4
    status = daemon.status()
    assert status["ready"] is False and status["not_ready_reason"]
    wait_for(lambda: "not ready" in daemon.log(), 6, daemon.log)


def test_a_path_that_cannot_validate_the_root_is_said_and_never_opportunistic(make_daemon, tmp_path):
    anchor = tmp_path / "other.key"
    anchor.write_text(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
    daemon = make_daemon(start=False, resolver__trust_anchor_file=str(anchor))
    daemon.start(wait=False)
    wait_for(lambda: "version" in daemon.status(), 5)
    for domain in ("dane-ee.org", "insecure.com"):
        assert daemon.ctl("plan", domain)[1]["outcome"] == "delay"
    wait_for(lambda: "does not validate" in daemon.log(), 6, daemon.log)
    assert daemon.status()["ready"] is False


# ---- start ----

def test_the_socket_has_its_mode_and_the_key_its_own(make_daemon):
    daemon = make_daemon(server__socket_mode="0600")
    assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(daemon.directory / "state" / "signing.key").st_mode) == 0o600


def test_a_second_daemon_on_the_same_socket_is_refused(make_daemon):
    first, second = make_daemon(), make_daemon(start=False)
    second.keys["server.socket"] = first.socket
    code, error = run(second)
    assert code == EX_OSERR and "another daemon listens" in error and first.socket in error
    assert first.ctl("plan", "dane-ee.org")[0] == 0


def test_a_second_daemon_on_the_same_state_is_refused(make_daemon):
    first, second = make_daemon(), make_daemon(start=False)
    second.keys["server.state-directory"] = first.keys["server.state-directory"]
    code, error = run(second)
    assert code == EX_OSERR and "another resolverd uses" in error


def test_a_file_that_is_no_socket_is_not_removed(make_daemon):
    daemon = make_daemon(start=False)
    with open(daemon.socket, "w") as file:
        file.write("precious")
    code, error = run(daemon)
    assert code == EX_OSERR and "is no socket" in error and open(daemon.socket).read() == "precious"


def test_the_long_term_key_survives_a_restart(make_daemon):
    daemon = make_daemon()
    key = open(daemon.public_key).read()
    daemon.stop()
    daemon.start()
    assert open(daemon.public_key).read() == key and daemon.ctl("plan", "dane-ee.org")[0] == 0


@pytest.mark.parametrize("content, mode, want", [
    ("not base64!\n", 0o600, "holds no signing key"), ("AAAA\n", 0o600, "holds no signing key"),
    ("x", 0o644, "may be read by others")])
def test_a_bad_signing_key_is_refused_and_kept(make_daemon, content, mode, want):
    daemon = make_daemon(start=False)
    state = daemon.directory / "state"
    state.mkdir()
    key = state / "signing.key"
    key.write_text(content)
    key.chmod(mode)
    code, error = run(daemon)
    assert code == EX_OSERR and want in error and key.read_text() == content


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_no_write_permission_for_the_state_directory_says_what_to_do(make_daemon):
    daemon = make_daemon(start=False)
    state = daemon.directory / "state"
    state.mkdir(mode=0o555)
    for directory in (daemon.directory, *daemon.directory.parents[:3]):
        directory.chmod(0o777 if directory == daemon.directory else 0o755)
    done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", *daemon.command()], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == EX_OSERR and "signing.key" in done.stderr and "write permission" in done.stderr


@pytest.mark.parametrize("text, where, what", [
    ("server {\n  sokcet = /tmp/x\n}\n", ":2", "sokcet"),
    ("cache {\n  max-memory = lots\n}\n", ":2", "cache.max-memory"),
    ("resolver {\n\n  deadline = -1s\n}\n", ":3", "resolver.deadline"),
    ("resolver { insecure-mx-policy = maybe }\n", ":1", "insecure-mx-policy"),
    ("unbound {\n  val-permissive-mode = yes\n}\n", ":2", "val-permissive-mode"),
    ("unbound { trust-anchor-file = /x }\n", ":1", "resolver.trust-anchor-file"),
    (f"server {{ socket = /{'x' * 120} }}\n", ":1", "too long"),
    ("server {\n", "", "not closed"),
], ids=["unknown-key", "size", "duration", "enum", "validation", "pointer", "long-socket", "unclosed"])
def test_a_bad_configuration_names_file_line_and_key(make_daemon, text, where, what):
    daemon = make_daemon(start=False)
    file = daemon.directory / "bad.conf"
    file.write_text(text)
    done = subprocess.run([str(BUILD / "resolverd"), "--config", str(file), "--check-config"], capture_output=True,
                          text=True, timeout=10)
    assert done.returncode == EX_CONFIG and f"{file}{where}" in done.stderr and what in done.stderr, done.stderr


def test_check_config_accepts_a_good_file_and_starts_nothing(make_daemon):
    daemon = make_daemon(start=False)
    assert run(daemon, "--check-config") == (0, "") and not os.path.exists(daemon.socket)


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["stray"]])
def test_wrong_usage_is_64(arguments):
    assert subprocess.run([str(BUILD / "resolverd"), *arguments], capture_output=True, timeout=10).returncode == EX_USAGE


def test_a_missing_trust_anchor_is_a_configuration_error(make_daemon):
    code, error = run(make_daemon(start=False, resolver__trust_anchor_file="/nonexistent/root.key"))
    assert code == EX_CONFIG and "/nonexistent/root.key" in error


@pytest.mark.parametrize("text", ["this is no anchor\n", "", "; only a comment\n", ". IN DS 1 253 2 " + "AB" * 32 + "\n"],
                         ids=["garbage", "empty", "comment", "unknown-algorithm"])
def test_a03_without_a_usable_trust_anchor_it_is_said_and_nothing_is_delivered(make_daemon, tmp_path, text):
    anchor = tmp_path / "broken.key"
    anchor.write_text(text)
    daemon = make_daemon(start=False, resolver__trust_anchor_file=str(anchor), resolver__deadline="1s")
    daemon.start(wait=False)
    wait_for(lambda: "version" in daemon.status(), 5)
    for domain in ("insecure.com", "dane-ee.org"):
        assert daemon.ctl("plan", domain)[1]["outcome"] == "delay"
    wait_for(lambda: "does not validate" in daemon.log(), 6, daemon.log)
    assert daemon.status()["ready"] is False


def test_no_daemon_is_75(make_daemon):
    assert make_daemon(start=False).ctl("plan", "dane-ee.org", timeout=2)[0] in (75, 76)


def test_a_socket_nobody_listens_on_is_replaced(make_daemon):
    daemon = make_daemon(start=False)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(daemon.socket)
    stale.close()
    daemon.start()
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0

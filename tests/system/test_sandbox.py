# SPDX-License-Identifier: BSD-3-Clause
"""The roles of a running daemon as the kernel sees them: confined, and none the less at work.

What each may not do is tried in tests/unit/test_sandbox.c.
"""

import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from conftest import BUILD, INSTRUMENTED, WORLD, wait_for


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def limits_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split() for line in lines}


def all_roles(daemon):
    return {"supervisor": [daemon.process.pid]} | daemon.roles()


def assert_confined(daemon):
    for role, pids in all_roles(daemon).items():
        for pid in pids:
            if role == "worker":  # once libunbound has read its files
                wait_for(lambda pid=pid: status_of(pid)["Seccomp_filters"] == "2", 10)
            status = status_of(pid)
            said = {key: status[key] for key in ("Seccomp", "NoNewPrivs", "CapPrm", "CapEff", "CapInh", "CapAmb")}
            assert said == {"Seccomp": "2", "NoNewPrivs": "1"} | dict.fromkeys(
                ("CapPrm", "CapEff", "CapInh", "CapAmb"), "0" * 16), role
            # Each adds its own to the supervisor's.
            assert status["Seccomp_filters"] == ("1" if role == "supervisor" else "2"), role
            assert limits_of(pid)["Max core file size"][:2] == ["0", "0"], role
    assert limits_of(daemon.roles()["worker"][0])["Max processes"][:2] == ["0", "0"]


def test_every_role_is_confined_and_the_daemon_works(make_daemon):
    daemon = make_daemon(config='zone "slow-server.net" { insecure-until = 2099-01-01 }')
    assert_confined(daemon)
    if os.geteuid() == 0:
        assert status_of(daemon.process.pid)["CapBnd"] == "0" * 16
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0
    assert daemon.ctl("plan", "insecure.com")[0] == 0
    assert "confined:" not in daemon.log() and "less confined" not in daemon.log()

    # What comes later is confined, too: the trial of a new configuration and roles that start again.
    daemon.reload('zone "slow-server.net" { insecure-until = 2099-01-02 }')
    assert "reload: " in daemon.log() and "the configuration in force stays" not in daemon.log()
    os.kill(daemon.roles()["server"][0], signal.SIGKILL)
    wait_for(lambda: daemon.ctl("plan", "dane-ee.org", timeout=3)[0] == 0, 15)
    assert_confined(daemon)


def test_without_the_sandbox_it_works_as_well(make_daemon):
    daemon = make_daemon(server__sandbox="off")
    assert {status_of(pid)["Seccomp"] for pids in all_roles(daemon).values() for pid in pids} == {"0"}
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_rights_can_run_it(public_path, make_daemon):
    daemon = make_daemon(start=False, below=public_path)
    for name in ("root.hints", "root.key"):
        shutil.copy(WORLD / name, public_path / name)
        (public_path / name).chmod(0o644)
    daemon.keys |= {"resolver.root-hints": str(public_path / "root.hints"),
                    "resolver.trust-anchor-file": str(public_path / "root.key")}
    daemon.directory.chmod(0o777)
    program = daemon.directory / "resolverd"  # where that user can reach it
    shutil.copy(BUILD / "resolverd", program)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(program), *daemon.command()[1:]]
    with open(daemon.log_path, "ab") as log:
        daemon.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    daemon.wait_until_ready()
    assert_confined(daemon)
    assert status_of(daemon.process.pid)["Uid"].split() == ["65534"] * 4
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0
    if not INSTRUMENTED:  # then what shows memory belongs to root, and the user can neither read it nor trace
        for pids in all_roles(daemon).values():
            assert {os.stat(f"/proc/{pid}/mem").st_uid for pid in pids} == {0}
    before = len(daemon.log())
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reload: " in daemon.log()[before:], 10)
    assert "is in force" in daemon.log()[before:]


def test_keys_are_locked_in_no_dump_and_wiped_in_a_child(make_daemon):
    daemon = make_daemon(server__sandbox="auto" if INSTRUMENTED else "required")
    for pid in daemon.process.pid, daemon.roles()["server"][0]:
        maps = pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines()
        flags = [set(line.split()[1:]) for line in maps if line.startswith("VmFlags:")]
        expected = {"dd", "wf"} if INSTRUMENTED else {"lo", "dd", "wf"}  # AddressSanitizer makes mlock do nothing
        assert [each for each in flags if expected <= each], pid
    for pid in daemon.roles()["worker"]:
        assert " wf " not in pathlib.Path(f"/proc/{pid}/smaps").read_text(), "a worker has no key"

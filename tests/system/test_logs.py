# SPDX-License-Identifier: BSD-3-Clause
"""What the log tells, and how: events and their table, JSON, verdicts that change, plans for an audit, and that it holds nobody up."""

import fcntl
import json
import os
import pathlib
import re
import subprocess
import time

import pytest
import resolverd_pb2 as pb
from conftest import BUILD, wait_for
from scenarios import DANE, PLAIN
from servers import Scripted
from wire import Client

ROOT = pathlib.Path(__file__).resolve().parents[2]
ZONE = "scripted.biz"


def events_of_the_source():
    found = {"lines-lost"}  # told by a function of log.c
    for path in (ROOT / "resolverd").rglob("*.c"):
        text = path.read_text()
        found |= set(re.findall(r"\blog_(?:error|warning|notice|info|fatal)\(\s*\"([a-z-]+)\"", text))
        found |= set(re.findall(r"\b(?:log_line|log_always|say_number)\([^\";]*?\"([a-z-]+)\"", text))
        assert len(re.findall(r"\blog_(?:error|warning|notice|info|fatal)\(", text)) == \
            len(re.findall(r"\blog_(?:error|warning|notice|info|fatal)\(\s*\"[a-z-]+\",", text)), f"{path}: an event without a name"
    return found


def test_each_event_is_in_the_table_and_no_other():
    table = (ROOT / "docs/OPERATIONS.md").read_text().split("\n## Logs\n")[1].split("\n## ")[0]
    listed = [name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`([a-z-]+)`", row)]
    assert len(listed) == len(set(listed)) and set(listed) == events_of_the_source()


def lines(daemon):
    return [json.loads(line) for line in daemon.log().splitlines()]


def of_event(daemon, event):
    return [line for line in lines(daemon) if line["event"] == event]


@pytest.fixture
def json_daemon(make_daemon, monkeypatch):
    """make_daemon, with lines of JSON."""
    def make(*arguments, **settings):
        monkeypatch.setenv("RESOLVERD_LOG_FORMAT", "json")
        return make_daemon(*arguments, **settings)

    return make


# ---- the form ----

def test_text_ends_with_the_event(make_daemon):
    daemon = make_daemon()
    wait_for(lambda: re.search(r"^resolverd server: ready: .* event=ready$", daemon.log(), re.M), 10)
    assert all(re.search(r" event=[a-z-]+( |$)", line) for line in daemon.log().splitlines())


def test_every_role_writes_json(json_daemon):
    daemon = json_daemon()
    assert {"supervisor", "server", "anchor"} <= {line["role"] for line in lines(daemon)}
    for line in lines(daemon):
        assert {"time", "level", "program", "role", "event", "message"} <= set(line) and line["program"] == "resolverd"
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) and line["level"] in ("error", "warning", "notice", "info")


def test_the_option_does_the_same(tmp_path):
    config = tmp_path / "bad.conf"
    config.write_text("server { no-such-key = 1 }\n")
    for arguments, is_json in ((["--log-format", "json"], True), (["--log-format", "text"], False), ([], False)):
        done = subprocess.run([str(BUILD / "resolverd"), *arguments, "--config", str(config), "--check-config"], capture_output=True, text=True, timeout=20)
        assert done.returncode == 78 and "no-such-key" in done.stderr
        assert (json.loads(done.stderr.splitlines()[-1])["event"] == "configuration") if is_json else "event=configuration" in done.stderr
    assert subprocess.run([str(BUILD / "resolverd"), "--log-format", "xml"], capture_output=True, timeout=20).returncode == 64


def test_the_small_servers_write_json_too(tmp_path):
    for program, options in (("resolverd-stub", ["--nonsense"]), ("resolverd-postfix", []), ("resolverd-web", [])):
        done = subprocess.run([str(BUILD / program), *options], capture_output=True, text=True, timeout=20,
                              env=os.environ | {"RESOLVERD_LOG_FORMAT": "json"})
        line = json.loads(done.stderr.splitlines()[-1])
        assert done.returncode == 64 and line["program"] == program and line["level"] == "error" and "--help" in line["message"]


# ---- verdicts ----

def test_a_verdict_that_changes_is_told_once_with_before_and_after(json_daemon):
    with Scripted(ZONE) as server:
        server.answers |= {(ZONE, "MX"): (2, [f"10 old.{ZONE}."]), (f"old.{ZONE}", "A"): (60, ["127.25.9.1"]), (f"new.{ZONE}", "A"): (60, ["127.25.9.2"])}
        daemon = json_daemon(cache__failure_ttl="1s", resolver__deadline="1s")
        with Client(daemon.socket) as client:
            client.ask(watch=pb.WatchRequest(next_hop=ZONE))
            time.sleep(3)
            assert of_event(daemon, "verdict-changed") == []  # refreshed meanwhile, and nothing else than before
            server.answers[ZONE, "MX"] = 2, [f"10 new.{ZONE}.", f"20 old.{ZONE}."]
            changed = wait_for(lambda: of_event(daemon, "verdict-changed"), 20, daemon.log)
            time.sleep(3)
            changed = of_event(daemon, "verdict-changed")
            assert len(changed) == 1 and changed[0]["level"] == "notice"
            assert (changed[0]["kind"], changed[0]["name"], changed[0]["before"], changed[0]["after"]) == \
                ("route", ZONE, "1 host, insecure", "2 hosts, insecure")
            server.__exit__()
            worse = wait_for(lambda: of_event(daemon, "verdict-changed")[1:], 30, daemon.log)
            assert worse[0]["level"] == "warning" and worse[0]["after"].startswith("failed") and worse[0]["before"] == "2 hosts, insecure"
            time.sleep(3)
            assert len([line for line in of_event(daemon, "verdict-changed") if line["kind"] == "route"]) == 2
        server.__enter__()


def test_of_what_nobody_uses_nothing_is_told(json_daemon):
    with Scripted(ZONE) as server:
        server.answers |= {(ZONE, "MX"): (1, [f"10 old.{ZONE}."]), (f"old.{ZONE}", "A"): (60, ["127.25.9.1"])}
        daemon = json_daemon()
        daemon.ctl("plan", ZONE)
        time.sleep(6)
        server.answers[ZONE, "MX"] = 1, [f"10 old.{ZONE}.", f"20 new.{ZONE}."]
        daemon.ctl("plan", ZONE)
    assert of_event(daemon, "verdict-changed") == []


# ---- plans ----

def test_plans_are_told_when_the_operator_wants_it(json_daemon):
    daemon = json_daemon()
    daemon.ctl("plan", DANE)
    assert of_event(daemon, "plan") == []
    daemon.reload("server { log-plans = yes }\n")
    daemon.ctl("plan", DANE)
    daemon.ctl("plan", PLAIN)
    daemon.ctl("lookup", DANE, "MX")
    plans = wait_for(lambda: len(of_event(daemon, "plan")) == 2 and of_event(daemon, "plan"), 10)
    dane, plain = plans
    assert dane["next_hop"] == DANE and dane["hosts"] == f"mx.{DANE}=dane" and dane["route"] == "1 host, secure" and dane["requirement"] == "normal"
    assert plain["next_hop"] == PLAIN and plain["hosts"] == f"mx.{PLAIN}=opportunistic"
    assert dane["uid"] == str(os.getuid()) and int(dane["pid"]) > 1 and re.fullmatch("[0-9a-f]{16}", dane["key_id"])
    assert int(dane["validated_at"]) < int(dane["expires_at"])
    with Client(daemon.socket) as client:  # all of them, also those that go together
        for _ in range(100):
            client.submit(plan=pb.PlanRequest(next_hop=DANE))
        for _ in range(100):
            client.receive()
    assert len(of_event(daemon, "plan")) == 102


# ---- a log that nobody reads ----

def test_a_full_pipe_holds_nobody_up(make_daemon, monkeypatch):
    daemon = make_daemon(start=False, config="server { log-plans = yes }\n")
    out, into = os.pipe()
    fcntl.fcntl(out, fcntl.F_SETPIPE_SZ, 4096)
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **options: real(*words, **(options | {"stderr": into})))
    daemon.start(wait=False)
    monkeypatch.undo()
    os.close(into)
    try:
        daemon.wait_until_ready()
        with Client(daemon.socket) as client:
            for _ in range(200):
                assert client.ask(plan=pb.PlanRequest(next_hop=DANE)).answers
        said = b""
        os.set_blocking(out, False)
        for _ in range(50):
            daemon.ctl("plan", DANE)
            try:
                said += os.read(out, 65536)
            except BlockingIOError:
                time.sleep(0.05)
        assert b"event=lines-lost lines=" in said
    finally:
        os.close(out)

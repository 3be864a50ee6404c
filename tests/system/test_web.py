# SPDX-License-Identifier: BSD-3-Clause
"""resolverd-web: metrics and health by the real daemon, and who is not served."""
import concurrent.futures
import contextlib
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
import yaml
from conftest import BUILD, wait_for
from scenarios import DANE, PLAIN
from web import Web

ROOT = pathlib.Path(__file__).resolve().parents[2]
parser = pytest.importorskip("prometheus_client.openmetrics.parser", reason="python3-prometheus-client is not installed")


def metrics(web, **given):
    """{(name, labels): value} of all samples, and the families by name, by a strict parser of OpenMetrics."""
    status, headers, body = web.get("/metrics", **given)
    assert status == 200 and headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in parser.text_string_to_metric_families(body)}
    return {(sample.name, *sorted(sample.labels.items())): sample.value for family in families.values() for sample in family.samples}, families


@pytest.fixture
def daemon(make_daemon):
    return make_daemon()


@pytest.fixture
def web(daemon, tmp_path):
    with Web(tmp_path, daemon) as web:
        yield web


# ---- metrics ----

def test_metrics_tell_what_was_asked_and_found(web, daemon):
    before, _ = metrics(web)
    daemon.ctl("plan", DANE)
    daemon.ctl("plan", DANE)
    daemon.ctl("plan", PLAIN)
    time.sleep(1.1)  # an answer of the daemon serves for a second
    after, families = metrics(web)
    grown = {key: value - before.get(key, 0) for key, value in after.items()}
    assert after["resolverd_up",] == after["resolverd_ready",] == 1
    assert grown["resolverd_answers_total", ("source", "lookup")] >= 4 and grown["resolverd_answers_total", ("source", "cache")] >= 2
    assert grown["resolverd_routes_found_total", ("status", "secure")] == 2
    assert grown["resolverd_hosts_found_total", ("policy", "dane")] == 1 and grown["resolverd_hosts_found_total", ("policy", "opportunistic")] == 1
    assert grown["resolverd_lookup_duration_seconds_count",] == grown["resolverd_jobs_total", ("result", "done")] >= 4
    assert after["resolverd_check_good", ("check", "root")] == 1
    assert after["resolverd_workers", ("state", "up")] == after["resolverd_workers", ("state", "wanted")] == 2
    assert before["resolverd_start_time_seconds",] <= time.time() < after["resolverd_delegation_ends_seconds",]
    assert len(families) > 35


def test_names_and_units_follow_the_convention(web):
    samples, families = metrics(web)
    for family in families.values():
        assert family.name.startswith("resolverd_") and family.documentation.endswith(".") and family.type != "unknown"
        if family.unit:
            assert family.name.endswith("_" + family.unit)
        for sample in family.samples:
            assert math.isfinite(sample.value) and set(sample.labels) <= {"source", "of", "result", "reason", "state", "status", "policy", "check",
                                                                         "le", "version", "member"}
    assert all(value >= 0 for value in samples.values())


def test_docs_alerts_and_dashboard_name_the_metrics_there_are(make_daemon, tmp_path):
    (tmp_path / "ring").write_text("# nobody\n")
    daemon = make_daemon(fleet__redis="unix:/nowhere/redis.sock", fleet__trusted_keys=str(tmp_path / "ring"))
    daemon.ctl("plan", DANE)
    with Web(tmp_path, daemon) as web:
        samples, families = metrics(web)
    table = (ROOT / "docs/MONITORING.md").read_text().split("## The metrics")[1].split("##")[0]
    told = {name.split("{")[0] for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`([a-z_]+(?:{[a-z,]*})?)`", row)}
    # these: only while something ends
    there = {name.removeprefix("resolverd_") for (name, *_) in samples} | {"policy_ends_seconds", "fleet_membership_ends_seconds", "lookup_duration_seconds", "request_wait_seconds"}
    assert told <= there, told - there
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in there} <= told
    for file in ("alerts.yml", "dashboard.json"):
        named = set(re.findall(r"resolverd_([a-z_]+)", (ROOT / "docs/monitoring" / file).read_text()))
        assert named and named <= there, (file, named - there)


def test_alert_rules_and_dashboard_are_well_formed():
    rules = yaml.safe_load((ROOT / "docs/monitoring/alerts.yml").read_text())["groups"][0]["rules"]
    assert len(rules) > 5 and all({"alert", "expr", "labels", "annotations"} <= set(rule) for rule in rules)
    board = json.loads((ROOT / "docs/monitoring/dashboard.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 5


def test_nothing_tells_a_destination(web, daemon):
    daemon.ctl("plan", DANE)
    time.sleep(1.1)
    assert DANE not in web.get("/metrics")[2]


def test_canaries_are_told_by_name(make_daemon, tmp_path):
    daemon = make_daemon(config=f'resolver {{ canary-secure = {{"{DANE}"}} canary-bogus = {{"{PLAIN}"}} }}\n', start=False).start(wait=False)
    with Web(tmp_path, daemon) as web:
        wait_for(lambda: metrics(web)[0].get(("resolverd_check_good", ("check", f"canary {PLAIN}"))) == 0.0 and
                 metrics(web)[0].get(("resolverd_check_good", ("check", f"canary {DANE}"))) == 1.0, 20)
        status, _, body = web.get("/readyz")
        assert status == 503 and PLAIN in body


def test_a_daemon_that_is_gone_is_a_metric(web, daemon):
    daemon.stop()
    time.sleep(1.1)
    samples, _ = metrics(web)
    assert samples == {("resolverd_up",): 0}
    daemon.start()
    wait_for(lambda: metrics(web)[0]["resolverd_up",] == 1, 10)


def test_a_daemon_that_hangs_costs_a_bounded_time(web, daemon):
    pid = daemon.roles()["server"][0]
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1.1)
        begin = time.monotonic()
        assert metrics(web)[0] == {("resolverd_up",): 0}
        assert web.get("/livez")[0] == 503 and time.monotonic() - begin < 10
    finally:
        os.kill(pid, signal.SIGCONT)


# ---- health ----

def test_health(web, daemon):
    assert web.get("/livez")[::2] == (200, "live\n")
    assert web.get("/readyz")[::2] == (200, "ready\n")
    daemon.stop()
    time.sleep(1.1)
    for path in ("/livez", "/readyz"):
        status, _, body = web.get(path)
        assert status == 503 and "cannot be reached" in body


def test_not_ready_says_why(make_daemon, tmp_path):
    hints = tmp_path / "hints"
    hints.write_text(". 3600 IN NS ns.root-server.\nns.root-server. 3600 IN A 127.0.0.99\n")
    daemon = make_daemon(start=False, resolver__root_hints=hints).start(wait=False)
    with Web(tmp_path, daemon) as web:
        wait_for(lambda: web.get("/livez")[0] == 200, 10)
        status, _, body = web.get("/readyz")
        assert status == 503 and "root" in body


# ---- who is served, and how ----

def test_over_the_unix_socket_any_name_will_do(web):
    assert web.get("/readyz", unix=True)[0] == 200
    assert web.get("/readyz", unix=True, headers={"Host": "mail.example.org"})[0] == 200
    assert metrics(web, unix=True)[0]["resolverd_up",] == 1


@pytest.mark.parametrize("host, status", [("localhost", 200), ("localhost:9464", 200), ("127.0.0.1", 200), ("[::1]:9464", 200), ("LocalHost", 200),
                                          ("metrics.example", 421), ("localhost.example.org", 421), ("127.0.0.1.nip.example", 421), ("", 421),
                                          ("[::1].example", 421), ("xlocalhost", 421), ("local", 421)])
def test_only_names_of_ours_on_loopback(web, host, status):
    assert web.get("/readyz", headers={"Host": host})[0] == status


def test_one_more_name(daemon, tmp_path):
    with Web(tmp_path, daemon, "--host", "mail.example.org") as web:
        assert web.get("/readyz", headers={"Host": "mail.example.org:443"})[0] == 200
        assert web.get("/readyz", headers={"Host": "mail.example.com"})[0] == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_only_reading(web, method):
    assert web.get("/metrics", method=method)[0] in (400, 405, 501)


def test_head(web):
    """The headers of GET and no body, so that the connection goes on with the next reply (RFC 9110 section 9.3.2)."""
    length = len(web.get("/livez")[2])
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as sock:
        said = b""
        for method in (b"HEAD", b"GET"):
            sock.sendall(method + b" /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while said.count(b"HTTP/1.1 200") < (1 if method == b"HEAD" else 2) or not said.endswith((b"\r\n\r\n", b"live\n")):
                more = sock.recv(4096)
                assert more, said
                said += more
    head, get = said.split(b"HTTP/1.1 200")[1:]
    assert f"Content-Length: {length}\r\n".encode() in head and head.endswith(b"\r\n\r\n") and get.endswith(b"\r\n\r\nlive\n")


def test_headers_keep_others_out(web):
    for path in ("/metrics", "/readyz", "/nothing"):
        headers = web.get(path)[1]
        assert headers["Content-Security-Policy"].startswith("default-src 'none'") and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store" and "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("raw", [b"nonsense\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20000 + b"\r\n\r\n",
                                 b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET http://elsewhere/metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                                 b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99999, b"\0" * 5000,
                                 b"GET /metrics HTTP/9.9\r\nHost: localhost\r\n\r\n", b"GET " + b"/" * 9000 + b" HTTP/1.1\r\n\r\n"],
                         ids=["words", "long header", "dots", "another site", "body", "zeros", "version", "long path"])
def test_nonsense_harms_nobody(web, raw):
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as sock:
        try:
            sock.sendall(raw)
            with contextlib.suppress(OSError):  # ENOTCONN: it has refused already
                sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except ConnectionError:
            pass
    assert web.get("/readyz")[0] == 200


def test_a_flood_of_idle_connections_is_outlived(web):
    held = []
    try:
        for _ in range(400):
            sock = socket.socket()
            sock.settimeout(1)
            try:
                sock.connect(("127.0.0.1", web.port))
            except OSError:
                sock.close()
                break
            held.append(sock)
        used = sum(float(word) for word in open(f"/proc/{web.process.pid}/stat", encoding="ascii").read().split()[13:15])
        time.sleep(1)
        after = sum(float(word) for word in open(f"/proc/{web.process.pid}/stat", encoding="ascii").read().split()[13:15])
        assert after - used < os.sysconf("SC_CLK_TCK") / 2, "it spins"
    finally:
        for sock in held:
            sock.close()
    wait_for(lambda: web.get("/readyz")[0] == 200, 15)


@pytest.mark.parametrize("options", [["--listen", "inet:0.0.0.0:9465"], ["--listen", "inet:192.0.2.1:80"], ["--listen", "tcp:x"], [], ["--nonsense"],
                                     ["operand"], ["--listen", "unix:"], ["--timeout", "0"]])
def test_usage(options):
    done = subprocess.run([str(BUILD / "resolverd-web"), *options], capture_output=True, text=True, timeout=10)
    assert done.returncode == 64 and done.stderr.startswith("resolverd-web: ")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool")
def test_the_alert_rules_are_prometheus_rules():
    done = subprocess.run(["promtool", "check", "rules", "docs/monitoring/alerts.yml"], capture_output=True, text=True, timeout=30,
                          cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_whoever_waits_for_a_lookup_keeps_nobody_waiting(web, daemon):
    web.get("/metrics")
    workers = [pid for pids in (daemon.roles()[role] for role in daemon.roles() if role.startswith("worker")) for pid in pids]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(web.get, f"/destination?next_hop=d{i}.{DANE}") for i in range(12)]
            wait_for(lambda: sum(one.done() for one in asked) >= 4, 10)  # those above the eight are refused
            refused = [one.result() for one in asked if one.done()]
            assert web.get("/livez")[0] == 200 and web.get("/metrics")[0] == 200
            waiting = [one for one in asked if not one.done()]
            assert waiting, "somebody waits still"
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    assert all(status == 503 and headers["Retry-After"] == "2" for status, headers, _ in refused[:4])
    assert {one.result()[0] for one in waiting} <= {200, 503}


def test_who_leaves_while_a_lookup_runs_harms_nobody(web, daemon):
    for path in (f"/destination?next_hop=gone.{DANE}", f"/destination?next_hop={DANE}&explain=1"):
        with socket.create_connection(("127.0.0.1", web.port), timeout=10) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    for _ in range(20):
        assert web.get(f"/destination?next_hop={DANE}")[0] == 200


def test_idle_connections_do_not_use_up_the_one_to_the_daemon(web):
    """It is made when it is first needed: here after all descriptors that connections may have are in use."""
    with contextlib.ExitStack() as stack:
        idle = []
        for _ in range(300):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(10)
            sock.connect(("127.0.0.1", web.port))
            idle.append(sock)
        wait_for(lambda: len(os.listdir(f"/proc/{web.process.pid}/fd")) >= 255, 10)
        idle[0].sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle[0].recv(4096).startswith(b"HTTP/1.1 200")

# SPDX-License-Identifier: BSD-3-Clause
"""The change feed: a watch is told a plan, and again when its verdict changes; over the socket and by resolverctl."""

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest
import resolverd_pb2 as pb
from conftest import BUILD, WORLD, wait_for
from live import LiveZone
from wire import Client

ZONE = "ttl-short.nl"  # every TTL is 3 s
SPARE = "3 1 1 " + 32 * "ab"


def rolled(zone, owner="_25._tcp.mx"):
    """The zone's records with another TLSA record at owner."""
    return [record for record in zone.records if not record.startswith(f"{owner} TLSA")] + [f"{owner} TLSA {SPARE}"]


def public_key_of(daemon):
    import base64
    with open(daemon.public_key) as file:
        return base64.b64decode(next(line for line in file if not line.startswith("#")))


class Watch:
    """A watch of one next hop on a session of its own, everything verified."""

    def __init__(self, daemon, next_hop, **more):
        self.client = Client(daemon.socket, [public_key_of(daemon)])
        self.next_hop = next_hop
        self.client.learn_delegations()
        self.id = self.client.submit(watch=pb.WatchRequest(next_hop=next_hop, **more))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.socket.close()

    def next(self, timeout):
        """(route, [host, …]) as soon as it is told."""
        self.client.socket.settimeout(timeout)
        response = self.client.receive()
        assert response.id == self.id and not response.HasField("error"), response
        route = self.client.verify(response.answers[0], pb.Question(kind=pb.ROUTE, name=self.next_hop))
        hosts = [self.client.verify(signed, pb.Question(kind=pb.HOST, name=mx.name, port=25))
                 for signed, mx in zip(response.answers[1:], route.route.mx)]
        return route.route, [host.host for host in hosts]

    def settle(self, timeout, quiet):
        """All that is told until nothing is for a while. Each worker has a cache of its own, so within a TTL of a change in
        the DNS what was before may be found once more."""
        told = [self.next(timeout)]
        with contextlib.suppress(TimeoutError):
            while True:
                told.append(self.next(quiet))
        return told

    def is_quiet(self, seconds):
        self.client.socket.settimeout(seconds)
        try:
            return not self.client.receive()
        except TimeoutError:
            return True


class Command:
    """resolverctl watch, its output line by line."""

    def __init__(self, daemon, path, *arguments):
        self.path = path
        command = [str(BUILD / "resolverctl"), "--socket", daemon.socket, "--public-key", daemon.public_key, "watch", *arguments]
        with open(path, "wb") as out, open(f"{path}.err", "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def lines(self):
        return self.path.read_text().splitlines()

    def line_with(self, text, timeout=20):
        """The first line that holds it, as soon as it is there."""
        return wait_for(lambda: next((line for line in self.lines() if text in line), None), timeout,
                        lambda: f"no line says {text!r}: {self.lines()}")

    def line(self, number, timeout=10):
        """The line with that number, from 0, as soon as it is there."""
        return wait_for(lambda: len(self.lines()) > number and self.lines()[number], timeout,
                        lambda: f"no line {number}: {self.lines()} {open(f'{self.path}.err').read()}")


# ---- over the socket ----

def test_a_rolled_tlsa_set_is_told_and_nothing_else(daemon):
    with Watch(daemon, ZONE) as watch, LiveZone(WORLD, ZONE) as zone:
        _, [host] = watch.next(5)
        assert (host.policy, len(host.tlsa)) == (pb.DANE, 1)
        assert watch.is_quiet(5), "answers that are merely newer are no change"
        zone.publish(rolled(zone))
        told = watch.settle(10, quiet=7)
        assert len(told) <= 3
        _, [host] = told[-1]
        assert [tlsa.data.hex() for tlsa in host.tlsa] == [32 * "ab"]


def test_other_addresses_are_no_change_and_another_host_is(daemon):
    domain = f"d1.{ZONE}"
    with LiveZone(WORLD, ZONE) as zone, Watch(daemon, domain) as watch:
        watch.next(5)
        moved = [record.replace("mx.d1 A 127.25.0.", "mx.d1 A 127.25.9.") for record in zone.records]
        assert moved != zone.records
        zone.publish(moved)
        assert watch.is_quiet(6)
        zone.publish([*moved, "d1 MX 20 mx.d2"])
        route, hosts = watch.settle(10, quiet=7)[-1]
        assert [mx.preference for mx in route.mx] == [10, 20]
        assert [host.policy for host in hosts] == [pb.DANE, pb.DANE]


def test_b14_expiry_into_failure_and_the_recovery_are_told(daemon, faults):
    domain = f"d2.{ZONE}"
    with Watch(daemon, domain) as watch:
        watch.next(5)
        faults.set(f"_25._tcp.mx.{domain} TLSA servfail")
        _, [host] = watch.next(20)
        assert (host.policy, host.reason) == (pb.UNREACHABLE, pb.TLSA_FAILED)
        faults.clear()
        _, [host] = watch.next(60)
        assert host.policy == pb.DANE


def test_a_route_that_fails_is_told_though_it_names_no_host(daemon, faults):
    domain = f"d3.{ZONE}"
    with Watch(daemon, domain) as watch:
        watch.next(5)
        faults.set(f"{domain} MX servfail")
        route, hosts = watch.next(20)
        assert (route.kind, hosts) == (pb.FAILED, [])


def test_what_is_watched_is_kept_fresh(make_daemon):
    """Asked for only now and then, over many TTLs, it is never missing."""
    daemon = make_daemon()
    with Watch(daemon, ZONE) as watch:
        watch.next(5)
        before = daemon.status()
        for _ in range(4):
            time.sleep(4.1)  # longer than the TTL
            assert daemon.ctl("plan", ZONE)[0] == 0
        after = daemon.status()
    assert after["misses"] == before["misses"]
    assert after["refreshes_renewed"] > before["refreshes_renewed"]


def test_a_ttl_of_zero_is_watched_too(daemon):
    with Watch(daemon, "ttl-zero-two-hosts.nl") as watch, LiveZone(WORLD, "ttl-zero-two-hosts.nl") as zone:
        watch.next(5)
        zone.publish(rolled(zone, "_25._tcp.mx1"))
        _, hosts = watch.settle(15, quiet=7)[-1]
        assert hosts[0].tlsa[0].data.hex() == 32 * "ab"


def test_a_reload_of_local_policy_is_told(make_daemon):
    daemon = make_daemon()
    with Watch(daemon, "plain.net") as watch:
        route, _ = watch.next(5)
        assert route.requirement == pb.NORMAL
        daemon.reload('override "plain.net" { requirement = mandatory  reason = "contract" }')
        route, _ = watch.next(3)
        assert (route.requirement, route.requirement_reason) == (pb.MANDATORY, "contract")
        daemon.reload("")
        assert watch.next(3)[0].requirement == pb.NORMAL


def test_what_changes_within_the_hold_down_comes_as_one(make_daemon):
    daemon = make_daemon()
    with Watch(daemon, "plain.net", hold_down_ms=5000) as watch:
        watch.next(5)
        begin = time.monotonic()
        for requirement in ("audit", "off", "mandatory"):
            daemon.reload(f'override "plain.net" {{ requirement = {requirement} }}')
        route, _ = watch.next(10)
        assert time.monotonic() - begin > 4
        assert route.requirement == pb.MANDATORY, "the last state"
        assert watch.is_quiet(6)


def test_watches_of_a_session_are_limited_and_end_with_it(make_daemon):
    daemon = make_daemon()
    with Client(daemon.socket) as client:
        for i in range(1000):
            client.submit(watch=pb.WatchRequest(next_hop=f"[127.0.{i // 250}.{i % 250 + 1}]"))
        assert len({client.receive().id for _ in range(1000)}) == 1000
        error = client.ask(watch=pb.WatchRequest(next_hop="dane-ee.org")).error
        assert error.code == pb.BAD_REQUEST and "1000 next hops" in error.text
        assert daemon.status()["watches"] == 1000
        assert client.ask(plan=pb.PlanRequest(next_hop="[127.0.0.1]")).answers, "the session goes on"
    wait_for(lambda: daemon.status()["watches"] == 0, 5)


def test_the_same_id_again_is_told_once_more(daemon):
    with Watch(daemon, "dane-ee.org") as watch:
        watch.next(5)
        request = pb.Request(id=watch.id, watch=pb.WatchRequest(next_hop="dane-ee.org"))
        watch.client.send_frame(request.SerializeToString())
        watch.next(5)
        request.watch.next_hop = "plain.net"
        watch.client.send_frame(request.SerializeToString())
        assert watch.client.receive().error.code == pb.BAD_REQUEST


@pytest.mark.parametrize("fields", [{"next_hop": "a..b"}, {"next_hop": ""}, {"next_hop": "dane-ee.org", "port": 70000}])
def test_what_cannot_be_asked_cannot_be_watched(daemon, fields):
    with Client(daemon.socket) as client:
        assert client.ask(watch=pb.WatchRequest(**fields)).error.code == pb.BAD_REQUEST


# ---- resolverctl watch ----

def test_ctl_a_line_for_each_change_says_what_changed(daemon, tmp_path):
    with Command(daemon, tmp_path / "out", ZONE, "dane-ee.org") as command, LiveZone(WORLD, ZONE) as zone:
        first = sorted([command.line(0), command.line(1)], key=lambda line: ZONE in line)
        assert first[0].endswith("dane-ee.org: deliver: mx.dane-ee.org dane")
        assert first[1].endswith(f"{ZONE}: deliver: mx.{ZONE} dane")
        zone.publish(rolled(zone))
        command.line_with(f" {ZONE}: mx.{ZONE} tlsa added 3 1 1 abababab..., gone 3 1 1 ")
        time.sleep(6)  # now both workers have it: see Watch.settle
        zone.publish([record for record in zone.records if not record.startswith("_25._tcp.mx TLSA")])
        line = command.line_with("tlsa gone 3 1 1 abababab...")
        assert f"mx.{ZONE} policy opportunistic, was dane; reason tlsa-denied, was tlsa-usable" in line


def test_ctl_json_tells_plan_and_changes(daemon, tmp_path, faults):
    domain = f"d2.{ZONE}"
    with Command(daemon, tmp_path / "out", "--json", domain) as command:
        first = json.loads(command.line(0))
        assert list(first) == ["at", "next_hop", "port", "changes", "plan"]
        assert (first["next_hop"], first["changes"], first["plan"]["outcome"]) == (domain, None, "deliver")
        faults.set(f"_25._tcp.mx.{domain} TLSA servfail")
        second = json.loads(command.line(1, 20))
        assert {"name": domain, "what": "outcome", "before": "deliver", "after": "delay"} in second["changes"]
        assert {"name": f"mx.{domain}", "what": "policy", "before": "dane", "after": "unreachable"} in second["changes"]
        assert second["plan"]["outcome"] == "delay"


def test_ctl_goes_on_when_server_and_daemon_are_started_anew(make_daemon, tmp_path):
    daemon = make_daemon()
    with Command(daemon, tmp_path / "out", "plain.net") as command:
        command.line(0)
        os.kill(daemon.roles()["server"][0], signal.SIGKILL)
        wait_for(lambda: daemon.status().get("watches") == 1, 15)
        daemon.stop()
        daemon.config_path.write_text('override "plain.net" { requirement = mandatory }')
        daemon.start()
        assert "plain.net outcome" not in command.lines()[0]
        line = command.line(1)
        assert "plain.net: outcome delay, was deliver" in line and "requirement mandatory, was normal" in line
        assert len(command.lines()) == 2, "it says only what changed"


@pytest.mark.parametrize("arguments, code", [
    ([], 64), (["--port", "0", "dane-ee.org"], 64), (["a..b"], 64), (["--wrong", "dane-ee.org"], 64),
])
def test_ctl_wrong_usage(daemon, tmp_path, arguments, code):
    with Command(daemon, tmp_path / "out", *arguments) as command:
        assert command.process.wait(10) == code


def test_ctl_without_a_daemon(daemon, tmp_path):
    with contextlib.ExitStack() as stack:
        command = stack.enter_context(Command(daemon, tmp_path / "out", "--json", "dane-ee.org"))
        command.line(0)
    missing = type(daemon)(tmp_path)
    with Command(missing, tmp_path / "none", "dane-ee.org") as command:
        assert command.process.wait(10) == 75

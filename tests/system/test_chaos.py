# SPDX-License-Identifier: BSD-3-Clause
"""A short run of `make chaos`, so that it can't rot; and that its judge sees what it is there to see."""

import base64
import json
import pathlib
import subprocess
import sys
import time

import pytest
import resolverd_pb2 as pb
from conftest import WORLD
from scenarios import DANE, PLAIN, SCENARIOS
from wire import Client

CHAOS = pathlib.Path(__file__).parent.parent / "chaos"
sys.path.insert(0, str(CHAOS))
from truth import LIVE_DOMAIN, LiveTruth, Truth, Wrong  # noqa: E402
from wall import Wall  # noqa: E402

TWO_TLSA = "dane-both.net"


def put(path, value):
    """A lie: sets a field of the route (path "route.…") or of the first host."""
    def lie(route, host):
        *way, last = path.split(".")
        target = route.route if way[0] == "route" else host.host
        setattr(target, last, value)
    return lie


def unreachable(reason):
    def lie(_, host):
        host.host.policy, host.host.reason = pb.UNREACHABLE, reason
    return lie


def other_digest(_, host):
    host.host.tlsa[0].data = bytes([host.host.tlsa[0].data[0] ^ 1]) + host.host.tlsa[0].data[1:]


def one_tlsa_less(_, host):
    del host.host.tlsa[0]


def no_tlsa(_, host):
    del host.host.tlsa[:]
    host.host.policy = pb.OPPORTUNISTIC


def from_the_future(route, _):
    route.validated_at += 3600 * 1000


LIES = {
    "opportunistic": (DANE, put("host.policy", pb.OPPORTUNISTIC)),
    "tls-no-auth": (DANE, put("host.policy", pb.TLS_NO_AUTH)),
    "dane": (PLAIN, put("host.policy", pb.DANE)),
    "insecure-mx": (DANE, put("route.mx_status", pb.INSECURE)),
    "bounce": (DANE, put("route.kind", pb.NO_SUCH_DOMAIN)),
    "null-mx": (DANE, put("route.kind", pb.NULL_MX)),
    "no-address": (DANE, unreachable(pb.NO_ADDRESS)),
    "other-digest": (DANE, other_digest),
    "one-tlsa-less": (TWO_TLSA, one_tlsa_less),
    "other-address": (DANE, lambda _, host: setattr(host.host.addresses[0], "ip", bytes([127, 9, 9, 9]))),
    "no-tlsa-in-the-live-zone": (LIVE_DOMAIN, no_tlsa),
    "from-the-future": (DANE, from_the_future),
}
NO_VERDICTS = {
    "route": (DANE, lambda route, _: (setattr(route.route, "kind", pb.FAILED), setattr(route.route, "mx_status", pb.ERROR))),
    "addresses": (DANE, unreachable(pb.ADDRESS_FAILED)),
    "tlsa": (DANE, unreachable(pb.TLSA_FAILED)),
    "not-ready": (DANE, unreachable(pb.NOT_READY)),
}


@pytest.fixture
def judged(daemon):
    """judged(domain, lie): the judge's view of the daemon's answers after that lie."""
    live = next(zone for zone in json.loads((WORLD / "world.json").read_text())["zones"] if zone["name"] == LIVE_DOMAIN)
    truth = Truth(LiveTruth(live["records"]), world_started=time.time(), lag_s=6)

    def judge(domain, lie):
        with Client(daemon.socket, [base64.b64decode(pathlib.Path(daemon.public_key).read_text())]) as client:
            client.learn_delegations()
            route, hosts = client.plan(domain)
        scenario = next(one for one in SCENARIOS if one["domain"] == domain)
        truth.check(scenario, route, hosts, Wall())  # as it is, it is right
        lie(route, hosts[0])
        truth.check(scenario, route, hosts, Wall())
    return judge


@pytest.mark.parametrize("lie", LIES)
def test_the_judge_sees_an_answer_that_the_world_does_not_give(judged, lie):
    with pytest.raises(Wrong):
        judged(*LIES[lie])


@pytest.mark.parametrize("failure", NO_VERDICTS)
def test_the_judge_lets_pass_what_is_no_verdict(judged, failure):
    judged(*NO_VERDICTS[failure])


def test_a_short_chaos_gives_no_wrong_answer_and_loses_none(tmp_path):
    command = ["unshare", "--mount", sys.executable, CHAOS / "chaos.py", "--seconds", "14", "--seed", "20", "--report",
               tmp_path / "chaos.json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "chaos.json").read_text())
    assert (report["wrong"], report["lost"], report["leaked"]) == (0, 0, 0)
    assert report["faults"] > 20 and report["answers_checked"] > 500, report

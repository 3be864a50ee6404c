# SPDX-License-Identifier: BSD-3-Clause
"""Proof that validation works: what readiness rests on, and that a path without DNSSEC never opens anything."""

import os
import time

import pytest
import resolverd_pb2 as pb
from conftest import WORLD, wait_for
from oracle import NOT_VALIDATING, Unbound
from servers import stripping_forwarder
from wire import Client


def status_of(daemon):
    with Client(daemon.socket) as client:
        return client.ask(status=pb.StatusRequest()).status


def checks_of(daemon):
    return {check.name: (check.good, check.detail) for check in status_of(daemon).checks}


def canaries(**names):
    return {f"resolver__canary_{kind}": name for kind, name in names.items()}


def test_all_checks_are_good_on_a_sound_path(make_daemon):
    daemon = make_daemon(**canaries(secure="dane-ee.org", insecure="insecure.org,insecure.biz", bogus="wrong-ds.com"))
    checks = checks_of(daemon)
    assert {"workers", "root", "clock", "trust-anchor", "canary dane-ee.org", "canary insecure.org",
            "canary insecure.biz", "canary wrong-ds.com"} == set(checks)
    assert all(good for good, _ in checks.values()), checks
    status = wait_for(lambda: (s := status_of(daemon)).trust_anchor_checked_at and s, 10)
    assert daemon.ctl("status", "--ready")[0] == 0 and daemon.ctl("status", "--live")[0] == 64
    assert len(status.trust_anchor_key_tags) == 1 and status.trust_anchor_checked_at <= status.now


@pytest.mark.parametrize("kind, name, seen", [
    ("secure", "insecure.org", "insecure"), ("secure", "wrong-ds.com", "bogus"), ("insecure", "dane-ee.org", "secure"),
    ("bogus", "dane-ee.org", "secure"), ("bogus", "insecure.org", "insecure"), ("secure", "mx.a-servfail.com", "error"),
])
def test_a_canary_that_is_not_as_expected_turns_readiness_red(make_daemon, kind, name, seen):
    daemon = make_daemon(start=False, **canaries(**{kind: name}))
    daemon.start(wait=False)
    wait_for(lambda: (p := daemon.ctl("status")[1]).get("workers") and f"is {seen} and should be" in p["not_ready_reason"],
             30, daemon.log)
    code, status = daemon.ctl("status", "--ready")
    assert (code, daemon.ctl("status")[0]) == (75, 0), "it is live"
    assert not status["ready"] and status["not_ready_reason"].startswith(f"canary {name}: ")
    assert not checks_of(daemon)[f"canary {name}"][0]
    if kind != "bogus":
        assert daemon.ctl("plan", "dane-ee.org")[0] == 0, "one name's trouble is not every domain's"


def test_a03_a04_a_forwarder_that_strips_dnssec_is_found_and_opens_nothing(make_daemon, tmp_path):
    """It even sets the AD bit: own validation decides, and without it nothing is opportunistic."""
    with Unbound(WORLD, tmp_path, "127.53.8.31", NOT_VALIDATING), stripping_forwarder("127.53.8.32", "127.53.8.31"):
        daemon = make_daemon(start=False, resolver__forward="127.53.8.32", resolver__deadline="2s")
        daemon.start(wait=False)
        wait_for(lambda: "strips DNSSEC" in daemon.log(), 20, daemon.log)
        status = daemon.status()
        assert not status["ready"] and "resolver.forward" in status["not_ready_reason"]
        for domain in ("insecure.org", "plain.net", "dane-ee.org", "insecure.biz"):
            code, plan = daemon.ctl("plan", domain)
            assert (code, plan["outcome"]) == (75, "delay")
            assert not any(host["policy"] == "opportunistic" for host in plan["hosts"])


def test_a04_the_ad_bit_of_a_forwarder_is_not_believed(make_daemon, tmp_path):
    """A zone is sent to the stripping forwarder, the rest of the path is sound: its data is bogus, not insecure."""
    with Unbound(WORLD, tmp_path, "127.53.8.33", NOT_VALIDATING), stripping_forwarder("127.53.8.34", "127.53.8.33"):
        daemon = make_daemon(config='zone "dane-ee.org" { forward = {"127.53.8.34"} }')
        _, plan = daemon.ctl("plan", "dane-ee.org")
    assert (plan["outcome"], plan["mx"]["status"]) == ("delay", "bogus")


def test_a_sound_forwarder_serves_and_is_validated_here(make_daemon, tmp_path):
    with Unbound(WORLD, tmp_path, "127.53.8.35", NOT_VALIDATING):
        daemon = make_daemon(resolver__forward="127.53.8.35")
        assert daemon.ctl("plan", "dane-ee.org")[1]["hosts"][0]["policy"] == "dane"
        assert daemon.ctl("plan", "wrong-ds.com")[1]["mx"]["status"] == "bogus"
        assert daemon.ctl("plan", "insecure.org")[1]["hosts"][0]["policy"] == "opportunistic"


def test_an_anchor_file_without_a_usable_anchor_makes_nothing_insecure(make_daemon, tmp_path):
    """libunbound alone would call everything insecure then: no DANE for anybody, in silence."""
    for text in ("", "; nothing\n", ". IN DS 1 200 200 00\n"):
        anchor = tmp_path / "anchor.key"
        anchor.write_text(text)
        daemon = make_daemon(start=False, resolver__trust_anchor_file=str(anchor), resolver__deadline="1s")
        daemon.start(wait=False)
        wait_for(lambda: daemon.process.poll() is not None or "does not validate" in daemon.log(), 10, daemon.log)
        if daemon.process.poll() is None:
            code, plan = daemon.ctl("plan", "insecure.org")
            assert (code, plan["outcome"]) == (75, "delay")
        daemon.stop(expected=None)


def test_a_wrong_root_key_stops_everything_and_says_so(make_daemon, tmp_path):
    anchor = tmp_path / "other.key"
    anchor.write_text((WORLD / "root.key").read_text()[:-10] + "000000000\n")
    daemon = make_daemon(start=False, resolver__trust_anchor_file=str(anchor), resolver__deadline="1s")
    daemon.start(wait=False)
    wait_for(lambda: "the root key set does not validate" in daemon.log(), 10, daemon.log)
    assert not daemon.status()["ready"]
    assert daemon.ctl("plan", "insecure.org")[1]["outcome"] == "delay"


def test_m07_a_key_file_from_the_future_means_the_clock_is_wrong(make_daemon):
    """Files we wrote can't be younger than now: until the clock is set nothing is handed out."""
    daemon = make_daemon(start=False, resolver__deadline="1s")
    daemon.start()
    daemon.stop()
    key = daemon.directory / "state" / "signing.key"
    os.utime(key, (time.time() + 3600,) * 2)
    daemon.start(wait=False)
    wait_for(lambda: "the clock is wrong" in daemon.log(), 10, daemon.log)
    assert daemon.ctl("plan", "insecure.org")[1]["outcome"] == "delay"
    assert checks_of(daemon)["clock"][0] is False
    os.utime(key)
    daemon.stop()
    daemon.start()
    assert daemon.ctl("plan", "insecure.org")[1]["outcome"] == "deliver"

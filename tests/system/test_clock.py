# SPDX-License-Identifier: BSD-3-Clause
"""Case M07: the clock jumps. Signatures of the world hold from an hour before its start to two weeks after."""

import time

import pytest
from conftest import BUILD, wait_for
from faketime import HOUR, MINUTE, YEAR, Clock

RED_WITHIN_S = 15
TTL = 300  # of every record of the world's mail domains
DOMAINS = ("dane-ee.org", "insecure.com")  # one that is verified, one that is delivered to without


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path, BUILD / "resolverd")


@pytest.fixture
def make_clocked(make_daemon, clock):
    def make(**keys):
        daemon = make_daemon(start=False, **keys)
        daemon.prefix = clock.prefix
        return daemon.start()

    return make


def test_a_step_right_after_the_start_is_seen(make_clocked, clock):
    daemon = make_clocked()
    clock.move_to(-HOUR)
    wait_for(lambda: "the clock was stepped by -" in daemon.log(), 5, daemon.log)


@pytest.mark.parametrize("jump", [10 * YEAR, -2 * HOUR], ids=["forward-10y", "back-2h"])
def test_m07_outside_the_life_of_signatures_nothing_is_delivered_and_health_is_red(make_clocked, clock, jump):
    daemon = make_clocked(resolver__deadline="2s", cache__failure_ttl="1s")
    assert [daemon.ctl("plan", domain)[0] for domain in DOMAINS] == [0, 0]

    clock.move_to(jump)
    if jump < 0:  # a cached answer is told until the jump is seen, a second at most; forward it is out of time at once
        wait_for(lambda: "the clock was stepped" in daemon.log(), 5, daemon.log)
    deadline = time.monotonic() + RED_WITHIN_S
    is_red = False
    while not is_red:
        for domain in (*DOMAINS, "dane-ta.com"):  # cached and not
            code, plan = daemon.ctl("plan", domain)
            assert code != 0 and plan.get("outcome", "delay") == "delay", plan  # 76: the delegation is out of time too
            assert not {host["policy"] for host in plan.get("hosts", [])} & {"dane", "opportunistic"}, plan
        status = daemon.status()
        is_red = not status["ready"] and "the root key set does not validate" in daemon.log()
        assert time.monotonic() < deadline, f"still ready:\n{daemon.log()}"
    assert status["not_ready_reason"]
    assert "the clock was stepped" in daemon.log()

    clock.move_to(0)
    daemon.wait_until_ready()
    for domain in DOMAINS:
        wait_for(lambda name=domain: daemon.ctl("plan", name)[0] == 0, 10, daemon.log)


def test_m07_after_a_jump_back_nothing_lives_longer_than_its_ttl(make_clocked, clock):
    """All signatures hold before and after the jump; what was kept in the time before it must not be used on."""
    clock.move_to(150 * MINUTE)
    daemon = make_clocked(resolver__workers="1")
    for domain in DOMAINS:
        assert daemon.ctl("plan", domain)[1]["outcome"] == "deliver"
        assert daemon.ctl("lookup", domain, "MX")[1]["answer"][0]["ttl"] <= TTL

    clock.move_to(30 * MINUTE)
    wait_for(lambda: "the clock was stepped by -" in daemon.log(), 5, daemon.log)
    daemon.wait_until_ready()
    for domain in DOMAINS:
        for question in (("plan", domain), ("lookup", domain, "MX")):
            code, answer = wait_for(lambda asked=question: (r := daemon.ctl(*asked))[0] == 0 and r, 10, daemon.log)
            assert answer["expires_in"] <= TTL and answer["validated_at"] <= clock.now() * 1000, answer
        assert answer["answer"][0]["ttl"] <= TTL, "from a cache that was filled before the jump"

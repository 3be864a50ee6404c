# SPDX-License-Identifier: BSD-3-Clause
"""cache { stale }: what has ended is served for a time while it can't be looked up, marked as such; RFC 8767."""

import time

import pytest
import resolverd_pb2 as pb
from conftest import wait_for
from wire import Client

DOMAIN = "d3.ttl-short.nl"  # every TTL is 3 s


def answers_of(daemon, next_hop):
    with Client(daemon.socket) as client:
        response = client.ask(plan=pb.PlanRequest(next_hop=next_hop))
    return [pb.Answer.FromString(signed.answer) for signed in response.answers]


@pytest.mark.parametrize("owner", ["mx.d3.ttl-short.nl", "d3.ttl-short.nl"])
def test_m06_what_has_ended_is_served_and_says_so(make_daemon, faults, owner):
    daemon = make_daemon(cache__stale="30s", cache__failure_ttl="1s")
    code, plan = daemon.ctl("plan", DOMAIN)
    assert (code, plan["stale"]) == (0, False)
    faults.set(f"*.{owner} * servfail")
    plan = wait_for(lambda: (p := daemon.ctl("plan", DOMAIN)[1])["stale"] and p, 15)
    assert (plan["outcome"], plan["hosts"][0]["policy"]) == ("deliver", "dane")
    now_ms = time.time() * 1000
    stale = [answer for answer in answers_of(daemon, DOMAIN) if answer.stale_since]
    assert stale and all(answer.stale_since < now_ms < answer.expires_at for answer in stale)
    assert all(answer.expires_at <= answer.rrsig_expires_at for answer in stale)
    assert daemon.status()["stale_served"] > 0
    faults.clear()
    plan = wait_for(lambda: not (p := daemon.ctl("plan", DOMAIN)[1])["stale"] and p, 20)
    assert plan["outcome"] == "deliver"


def test_m06_no_longer_than_the_operator_allows(make_daemon, faults):
    daemon = make_daemon(cache__stale="4s", cache__failure_ttl="1s")
    assert daemon.ctl("plan", DOMAIN)[0] == 0
    faults.set(f"*.{DOMAIN} * servfail")
    wait_for(lambda: daemon.ctl("plan", DOMAIN)[1]["stale"], 15)
    code, plan = wait_for(lambda: (r := daemon.ctl("plan", DOMAIN))[0] == 75 and r, 10)
    assert (plan["outcome"], plan["stale"]) == ("delay", False)


def test_m06_never_unless_allowed(make_daemon, faults):
    daemon = make_daemon(cache__failure_ttl="1s")
    assert daemon.ctl("plan", DOMAIN)[0] == 0
    faults.set(f"*.{DOMAIN} * servfail")
    code, plan = wait_for(lambda: (r := daemon.ctl("plan", DOMAIN))[0] == 75 and r, 15)
    assert not plan["stale"] and daemon.status()["stale_served"] == 0


def test_m06_never_after_a_bogus_answer(make_daemon, faults):
    daemon = make_daemon(cache__stale="1m", cache__failure_ttl="1s")
    assert daemon.ctl("plan", DOMAIN)[0] == 0
    faults.set(f"_25._tcp.mx.{DOMAIN} TLSA strip-rrsig")
    code, plan = wait_for(lambda: (r := daemon.ctl("plan", DOMAIN))[0] == 75 and r, 15, every_s=0.2)
    assert (plan["hosts"][0]["tlsa_status"], plan["stale"]) == ("bogus", False)
    faults.set(f"_25._tcp.mx.{DOMAIN} TLSA servfail")
    time.sleep(3)
    code, plan = daemon.ctl("plan", DOMAIN)
    assert (code, plan["stale"]) == (75, False)

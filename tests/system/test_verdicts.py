# SPDX-License-Identifier: BSD-3-Clause
"""Every scenario of the world through the real socket: the plan must be what domains.json expects."""

import pytest
from conftest import wait_for
from expectations import complete
from scenarios import EXIT, SCENARIOS


def allowed(expected, got):
    return got in expected if isinstance(expected, list) else got == expected


def check_host(expected, got):
    for key in expected:
        if key == "usable_tlsa":
            assert allowed(expected[key], len(got["tlsa"])), key
        elif key == "reference_names":
            assert got[key] == expected[key]
        elif key in ("tlsa_base", "tlsa_owner") and expected[key] is None:
            continue  # says nothing where no secure RRset was found
        elif key in got:
            assert allowed(expected[key], got[key]), f"{expected['name']} {key}: {got[key]}, expected {expected[key]}"
    if got["policy"] in ("dane", "tls-no-auth"):
        assert got["sni"] == got["tlsa_base"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: f"{s['name']}-{'-'.join(s['cases'])}")
def test_scenario(daemon, scenario):
    expected = complete(scenario)
    code, plan = daemon.ctl("plan", scenario["domain"], "--port", scenario.get("port", 25))
    assert allowed(expected["outcome"], plan.get("outcome")), plan
    assert code == EXIT[plan["outcome"]]
    for key, value in expected["mx"].items():
        assert allowed(value, plan["mx"][key]), f"mx.{key}: {plan['mx'][key]}, expected {value}"
    got = plan["hosts"]
    if expected["any_order"]:
        got = sorted(got, key=lambda host: host["name"])
        expected["hosts"].sort(key=lambda host: host["name"])
    assert len(got) == len(expected["hosts"])
    for want, have in zip(expected["hosts"], got):
        check_host(want, have)
    assert plan["signatures"]["verified"] is True
    assert plan["expires_in"] >= 0


def test_case_and_trailing_dot_make_no_difference(daemon):
    plans = [daemon.ctl("plan", name)[1] for name in ("dane-ee.org", "DANE-EE.ORG.", "Dane-EE.org")]
    assert {plan["next_hop"] for plan in plans} == {"dane-ee.org"}
    assert len({plan["validated_at"] for plan in plans}) == 1


@pytest.mark.parametrize("next_hop, policy, sni", [
    ("[mx.dane-ee.org]", "dane", "mx.dane-ee.org"),  # F01
    ("[127.0.0.1]", "opportunistic", None),          # D12
    ("[IPv6:::1]", "opportunistic", None),           # D12
])
def test_f01_d12_next_hops_in_brackets_have_no_mx_step(daemon, next_hop, policy, sni):
    code, plan = daemon.ctl("plan", next_hop)
    assert (code, plan["mx"], len(plan["hosts"])) == (0, None, 1), plan
    assert (plan["hosts"][0]["policy"], plan["hosts"][0]["sni"]) == (policy, sni)


def test_a_second_plan_comes_from_the_cache(daemon):
    daemon.ctl("plan", "dane-ee.org")
    before = daemon.status()
    daemon.ctl("plan", "dane-ee.org")
    after = daemon.status()
    assert after["misses"] == before["misses"] and after["hits"] > before["hits"]


@pytest.mark.parametrize("name, rtype, status", [
    ("dane-ee.org", "MX", "secure"), ("_25._tcp.mx.dane-ee.org", "TLSA", "secure"), ("org", "SOA", "secure"),
    (".", "NS", "secure"), ("insecure.com", "MX", "insecure"), ("nothing-here.dane-ee.org", "TXT", "secure"),
])
def test_lookup_of_any_type_tells_its_status(daemon, name, rtype, status):
    code, records = daemon.ctl("lookup", name, rtype)
    assert (code, records["status"]) == (0, status), records


def test_lookup_of_bogus_data_fails_and_says_why(daemon):
    code, records = daemon.ctl("lookup", "wrong-ds.com", "MX")
    assert (code, records["status"]) == (75, "bogus") and records["reason"]


def test_m05_short_ttl_expires_and_is_fetched_again(daemon):
    """An answer is used to its expiry and not a moment longer."""
    _, first = daemon.ctl("plan", "ttl-short.nl")
    assert first["expires_in"] <= 3
    again = wait_for(lambda: (p := daemon.ctl("plan", "ttl-short.nl")[1])["validated_at"] > first["validated_at"] and p,
                     first["expires_in"] + 5)
    assert again["outcome"] == first["outcome"]


def test_m05_an_answer_ends_with_its_signatures_whatever_the_ttl(daemon):
    """TTL 3600, signatures for 1800 s from the start of the world: the answer ends with these."""
    _, plan = daemon.ctl("plan", "signature-short.org")
    assert plan["outcome"] == "deliver" and 0 < plan["expires_in"] <= 1800
    _, other = daemon.ctl("lookup", "signature-short.org", "MX")
    assert 3000 < other["answer"][0]["ttl"] <= 3600 and other["expires_in"] <= 1800

# SPDX-License-Identifier: BSD-3-Clause
"""Cases that a plan cannot show: what is asked and in which order, what is kept and for how long, what is never connected to.

The scenarios of the world (test_verdicts.py) show what a plan says. Here the log of the name servers counts, or the time.
"""

import contextlib
import socket
import time

import pytest
import scenarios
from conftest import Daemon, Queries, wait_for

SCENARIOS = {scenario["name"]: scenario for scenario in scenarios.SCENARIOS}


def plan_of(daemon, scenario):
    return daemon.ctl("plan", scenario["domain"], "--port", scenario["port"])[1]


@pytest.fixture
def cold(make_daemon):
    """A daemon with nothing in any cache."""
    return make_daemon(resolver__workers="1", cache__failure_ttl="1s")


# ---- what is asked, and in which order ----

def one_of(expected):
    """Expectations may list several values; any of them will do here."""
    return expected[0] if isinstance(expected, list) else expected


def not_asked_for_tlsa():
    """Scenarios in which no host may be asked for TLSA: insecure, without address, or its addresses failed."""
    cases = {"insecure": "F05-F06", "secure": "F04"}
    for scenario in SCENARIOS.values():
        hosts = scenario["expect"]["hosts"]
        if hosts and all(host["tlsa_status"] == "not-queried" for host in hosts):
            ids = cases.get(one_of(hosts[0]["address_status"]), "B04")
            yield pytest.param(scenario, id=f"{scenario['name']}-{ids}")


@pytest.fixture(scope="module")
def seen_of_all(tmp_path_factory):
    """What the servers saw while each scenario of not_asked_for_tlsa was planned once, with cold caches."""
    queries = Queries().mark()
    daemon = Daemon(tmp_path_factory.mktemp("cold")).start()
    for parameter in not_asked_for_tlsa():
        plan_of(daemon, parameter.values[0])
    daemon.stop()
    return queries.seen()


@pytest.mark.parametrize("scenario", not_asked_for_tlsa())
def test_no_tlsa_query_is_made(seen_of_all, scenario):
    """Not one, at the host's name or below it. (Addresses that are denied may be so without a query: RFC 8198.)"""
    for host in scenario["expect"]["hosts"]:
        name = one_of(host["name"])
        about_host = [query for query in seen_of_all if f".{query.name}".endswith(f".{name}")]
        assert not [query for query in about_host if query.type == "TLSA" or "_tcp" in query.name], name
        if one_of(host["address_status"]) == "insecure" and is_logged(name):
            assert {"A", "AAAA"} & {query.type for query in about_host if query.name == name}, f"{name} was not looked up"


def is_logged(name):
    """Leaf zones stand behind the front; the root and the TLDs, which deny what is not there, do not."""
    zones = [zone for zone in scenarios.FACTS["servers"] if f".{name}".endswith(f".{zone}")]
    return "." in max(zones, key=len, default=".").strip(".")


@pytest.mark.parametrize("scenario", [pytest.param(SCENARIOS[name], id=name) for name in (
    "dane-ee", "mx-order", "mx-cname-expanded", "port-2525")] if SCENARIOS else [])
def test_b05_f03_addresses_are_asked_for_before_tlsa(cold, queries, scenario):
    """Of every TLSA base domain that was asked for, A and AAAA had been asked for already."""
    plan_of(cold, scenario)
    first = {}
    for query in queries.seen():
        first.setdefault((query.name, query.type), query.time)
    bases = {name.split("._tcp.")[1] for name, rtype in first if rtype == "TLSA"}
    assert {host["tlsa_base"] for host in scenario["expect"]["hosts"]} <= bases
    for base in bases:
        tlsa = min(at for (name, rtype), at in first.items() if rtype == "TLSA" and name.endswith(f"._tcp.{base}"))
        assert first[base, "A"] < tlsa and first[base, "AAAA"] < tlsa, base


def test_f03_tlsa_is_not_asked_for_while_an_address_lookup_is_under_way(cold, queries, faults):
    faults.set("mx.dane-ee.org AAAA delay:400")
    assert plan_of(cold, SCENARIOS["dane-ee"])["outcome"] == "deliver"
    at = {(query.name, query.type): query.time for query in queries.seen()}
    assert at["_25._tcp.mx.dane-ee.org", "TLSA"] - at["mx.dane-ee.org", "AAAA"] >= 0.4


def test_g02_the_port_is_in_the_name_that_is_asked_for(cold, queries):
    plan_of(cold, SCENARIOS["port-2525"])
    assert {query.name for query in queries.seen() if query.type == "TLSA"} == {"_2525._tcp.mx.port-2525.net"}


def test_f13_the_original_name_is_not_asked_for_after_an_error_at_the_expanded_one(cold, queries):
    plan_of(cold, SCENARIOS["mx-cname-error"])
    asked = {query.name for query in queries.seen() if query.type == "TLSA"}
    assert asked == {"_25._tcp.mail.mx-cname-error.nl"}


def test_f15_no_name_in_the_middle_of_a_chain_is_asked_for_tlsa(cold, queries):
    """There is a TLSA record at the middle name, so nothing but a query could tell."""
    assert plan_of(cold, SCENARIOS["mx-cname-middle"])["hosts"][0]["policy"] == "opportunistic"
    assert not [query for query in queries.seen() if query.name.endswith("_tcp.middle.mx-cname-middle.com")]


def test_g07_what_does_not_fit_udp_is_asked_for_over_tcp(cold, queries):
    assert plan_of(cold, SCENARIOS["tlsa-large"])["hosts"][0]["policy"] == "dane"
    assert "tcp" in {query.transport for query in queries.seen() if query.type == "TLSA"}


@pytest.mark.parametrize("name", ["null-mx", "null-mx-insecure"])
def test_n01_nothing_but_mx_is_asked_of_a_null_mx(cold, queries, name):
    """Both have an address, and nothing but a query could tell."""
    assert plan_of(cold, SCENARIOS[name])["outcome"] == "no-mail"
    domain, seen = SCENARIOS[name]["domain"], queries.seen()
    assert {query.type for query in seen if query.name == domain} - {"DNSKEY", "DS"} == {"MX"}
    assert not [query for query in seen if query.type == "TLSA" or "_tcp" in query.name]


def test_d12_nothing_is_asked_for_an_address_literal(cold, queries):
    for literal in ("[127.25.0.1]", "[2001:db8:25::1]", "[IPv6:2001:db8:25::1]"):
        assert cold.ctl("plan", literal)[1]["hosts"][0]["policy"] == "opportunistic"
    assert queries.seen() == []


# ---- what is not connected to ----

@contextlib.contextmanager
def listening(host):
    """The SMTP ports of a mail host of the world."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for address in scenarios.FACTS["hosts"][host]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sockets.append(stack.enter_context(socket.create_server((address, 25), family=family)))
            sockets[-1].setblocking(False)
        yield sockets


@pytest.mark.parametrize("name, host", [("tlsa-servfail", "mx.tlsa-servfail.com"), ("one-tlsa-fails", "mx1.one-tlsa-fails.com")])
def test_b12_m04_an_unreachable_host_is_marked_and_the_daemon_connects_to_none(cold, name, host):
    """The daemon and resolverctl speak no SMTP at all. What a sender must not do is in the plan, for it to obey."""
    with listening(host) as sockets:
        plan = plan_of(cold, SCENARIOS[name])
        assert {h["name"]: h["policy"] for h in plan["hosts"]}[host] == "unreachable"
        for sock in sockets:
            with pytest.raises(BlockingIOError):
                sock.accept()


# ---- failures at run time ----

def test_b13_a_failure_is_kept_for_failure_ttl_and_never_as_none(cold, faults):
    """The zones' TTLs, those of denials included, are 300 s; failure-ttl is 1 s."""
    faults.set("_25._tcp.mx.dane-ee.org TLSA servfail", "dane-ta.com MX servfail")
    _, plan = cold.ctl("plan", "dane-ee.org")
    host = plan["hosts"][0]
    assert (plan["outcome"], host["policy"], host["tlsa_status"]) == ("delay", "unreachable", "error")
    assert host["expires_in"] <= 1
    _, other = cold.ctl("plan", "[mx.dane-ee.org]")
    assert other["outcome"] == "delay", "another route to the same host must not read the failure as a denial"
    _, no_mx = cold.ctl("plan", "dane-ta.com")
    assert (no_mx["outcome"], no_mx["mx"]["implicit"], no_mx["hosts"]) == ("delay", False, [])
    faults.clear()
    for domain in ("dane-ee.org", "dane-ta.com"):
        seen = []
        wait_for(lambda: (r := cold.ctl("plan", domain), seen.append(r[1])) and r[0] == 0, 20, lambda: seen[-1])
        assert {host["policy"] for plan in seen for host in plan["hosts"]} <= {"unreachable", "dane"}
        assert not any(plan["mx"]["implicit"] for plan in seen)


def test_b14_m06_a_live_answer_stays_to_its_end_and_no_longer_when_its_servers_fail(make_daemon, faults):
    """All TTLs are 3 s. Then it is delay: neither what was known nor `opportunistic`, not even after bogus data."""
    spoiled = {"d1.ttl-short.nl": "* servfail", "d2.ttl-short.nl": "TLSA servfail", "d3.ttl-short.nl": "* strip-rrsig"}
    daemon = make_daemon(resolver__deadline="2s", cache__failure_ttl="1s")
    begin = time.time()
    for domain in spoiled:
        _, plan = daemon.ctl("plan", domain)
        assert (plan["outcome"], plan["hosts"][0]["policy"]) == ("deliver", "dane")
    faults.set(*(f"*.{domain} {fault}" for domain, fault in spoiled.items()))
    seen = {domain: [] for domain in spoiled}
    while (age := time.time() - begin) < 8:
        for domain, policies in seen.items():
            _, plan = daemon.ctl("plan", domain)
            assert plan["stale"] is False
            policies.append((plan["outcome"], *(host["policy"] for host in plan["hosts"])))
            if age < 2:
                assert policies[-1] == ("deliver", "dane"), f"{domain} after {age} s"
            elif age > 5:  # libunbound's clock ticks once a second
                assert policies[-1][0] == "delay", f"{domain} after {age} s"
        time.sleep(0.1)
    for policies in seen.values():
        assert set(policies) <= {("deliver", "dane"), ("delay",), ("delay", "unreachable")}


def test_m08_what_ended_before_a_restart_is_not_served_after_it(make_daemon, faults):
    """The snapshot brings it back only as what was in use: to be looked up, and the servers fail now."""
    daemon = make_daemon(resolver__deadline="2s", cache__max_ttl="2s")
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0
    daemon.stop()
    faults.set("*.dane-ee.org * servfail")
    time.sleep(2)
    daemon.start()
    code, plan = daemon.ctl("plan", "dane-ee.org")
    assert (code, plan["outcome"], plan["stale"]) == (75, "delay", False)


# ---- local policy ----

@pytest.mark.parametrize("digests, want", [("sha512,sha256", [2]), ("sha256,sha512", [1]), ("sha256", [1]), ("sha512", [2])])
def test_j05_the_administrators_order_of_digests_is_honoured(make_daemon, digests, want):
    """agility.com has 3 1 1 and 3 1 2."""
    daemon = make_daemon(resolver__digests=digests)
    _, plan = daemon.ctl("plan", "agility.com")
    assert [record["matching_type"] for record in plan["hosts"][0]["tlsa"]] == want


def test_j05_g06_a_dropped_digest_is_unusable_and_tls_stays_mandatory(make_daemon):
    daemon = make_daemon(resolver__digests="sha512")
    _, plan = daemon.ctl("plan", "dane-ee.org")
    assert (plan["hosts"][0]["policy"], plan["hosts"][0]["tlsa"]) == ("tls-no-auth", [])


@pytest.mark.parametrize("policy, outcome, want", [
    ("dane", "deliver", "dane"), ("opportunistic", "deliver", "opportunistic"), ("unreachable", "delay", "unreachable")])
def test_e08_the_insecure_mx_policy_is_honoured(make_daemon, policy, outcome, want):
    daemon = make_daemon(resolver__insecure_mx_policy=policy)
    _, plan = daemon.ctl("plan", "insecure-mx.org")
    assert (plan["outcome"], plan["hosts"][0]["policy"]) == (outcome, want)
    assert daemon.ctl("plan", "dane-ee.org")[1]["hosts"][0]["policy"] == "dane", "it concerns insecure MX only"
    assert daemon.ctl("plan", "insecure.biz")[1]["hosts"][0]["policy"] == "opportunistic", "and hosts with TLSA only"

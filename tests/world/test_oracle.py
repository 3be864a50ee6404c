# SPDX-License-Identifier: BSD-3-Clause
"""Asks a real unbound, with a worker's settings, about every scenario: is the world what its expectations say?

Run inside the world: ./run.py -- /usr/bin/python3 -m pytest test_oracle.py
"""

import concurrent.futures
import json
import os
import pathlib

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from oracle import Unbound, worker_settings

WORLD_DIR = pathlib.Path(os.environ.get("WORLD_DIR", "/nonexistent"))
pytestmark = pytest.mark.skipif(not WORLD_DIR.is_dir(), reason="runs inside run.py only")

RESOLVER, PLAIN_RESOLVER = "127.53.8.8", "127.53.8.7"
PATIENCE_S = 25  # a name whose servers are all dead takes unbound 100 s, and no answer is an error too
PARALLEL = 64
FAILED = {"bogus", "error"}

def load():
    file = WORLD_DIR / "world.json"
    return json.loads(file.read_text())["scenarios"] if file.is_file() else []


SCENARIOS = [scenario for scenario in load() if scenario["oracle"]]


def ask(resolver, name, rdtype):
    """The answer of an unbound, SERVFAIL if there is none. UDP first: unbound closes TCP connections before slow lookups end."""
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    try:
        return dns.query.udp_with_fallback(query, resolver, timeout=PATIENCE_S)[0]
    except dns.exception.Timeout:
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.SERVFAIL)
        return reply


def status_of(reply, rdtype):
    """What the reply says in the vocabulary of `tlsa_status`; bogus and error look alike from outside."""
    if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return FAILED
    if not reply.flags & dns.flags.AD:
        return {"insecure"}
    has_data = any(rrset.rdtype == dns.rdatatype.from_text(rdtype) for rrset in reply.answer)
    return {"secure"} if has_data else {"absent"}


def allowed(value):
    return value if isinstance(value, list) else [value]


def host_name(host):
    """A host that may be called by several names is asked for by the first."""
    return allowed(host["name"])[0]


def questions(scenario):
    """Every (name, type) to ask for a scenario."""
    yield scenario["domain"], "MX"
    for host in scenario["expect"]["hosts"]:
        if None not in allowed(host["address_status"]):
            yield host_name(host), "A"
            yield host_name(host), "AAAA"
    for name, rdtype, _status in scenario["lookups"]:
        yield name, rdtype


@pytest.fixture(scope="session")
def both_answers(tmp_path_factory):
    """(name, type) → reply, for every question of every scenario, asked all at once: of an unbound with a worker's settings, and of
    one with unbound's own."""
    asked = sorted({question for scenario in SCENARIOS for question in questions(scenario)})
    with (
        Unbound(WORLD_DIR, tmp_path_factory.mktemp("unbound"), RESOLVER) as ours,
        Unbound(WORLD_DIR, tmp_path_factory.mktemp("plain-unbound"), PLAIN_RESOLVER, []) as plain,
        concurrent.futures.ThreadPoolExecutor(2 * PARALLEL) as pool,
    ):
        replies = [pool.map(ask, [unbound.address] * len(asked), *zip(*asked)) for unbound in (ours, plain)]
        yield tuple(dict(zip(asked, of_one)) for of_one in replies)


@pytest.fixture(scope="session")
def answers(both_answers):
    return both_answers[0]


def hosts_of(reply):
    """MX hosts of a reply in order of preference, without the null MX."""
    records = [rdata for rrset in reply.answer if rrset.rdtype == dns.rdatatype.MX for rdata in rrset]
    ordered = sorted(records, key=lambda rdata: rdata.preference)
    return [rdata.exchange.to_text(omit_final_dot=True).lower() for rdata in ordered if len(rdata.exchange) > 1]


def expanded_name(reply, domain):
    """Where the CNAMEs of a reply lead."""
    aliases = {}
    for rrset in reply.answer:
        if rrset.rdtype == dns.rdatatype.CNAME:
            aliases[rrset.name] = rrset[0].target
    name = dns.name.from_text(domain)
    while name in aliases:
        name = aliases.pop(name)
    return name.to_text(omit_final_dot=True)


def by_name(scenario):
    return scenario["name"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=by_name)
def test_mx(scenario, answers):
    expect = scenario["expect"]
    reply = answers[scenario["domain"], "MX"]
    status = status_of(reply, "MX")
    wanted = set(allowed(expect["mx"]["status"]))
    if status == {"absent"}:
        status = {"secure"}
    assert status & wanted, f"MX is {status}, {dns.rcode.to_text(reply.rcode())}"
    if status == FAILED:
        assert (expect["outcome"], expect["hosts"]) == ("delay", [])
        return
    assert (reply.rcode() == dns.rcode.NXDOMAIN) == (expect["outcome"] == "no-such-domain")
    assert expanded_name(reply, scenario["domain"]) in allowed(expect["mx"]["expanded"])
    found = hosts_of(reply)
    if expect["mx"]["implicit"]:
        assert not any(rrset.rdtype == dns.rdatatype.MX for rrset in reply.answer)
        return
    expected = [host_name(host) for host in expect["hosts"]]
    assert (sorted(found) == sorted(expected)) if expect["any_order"] else (found == expected)


HOSTS = [
    pytest.param(host, id=f"{scenario['name']}-{host_name(host)}")
    for scenario in SCENARIOS
    for host in scenario["expect"]["hosts"]
    if None not in allowed(host["address_status"])
]


@pytest.mark.parametrize("host", HOSTS)
def test_addresses(host, answers):
    """The best family decides; a family with addresses beats a proof that there are none."""
    families = {rdtype: status_of(answers[host_name(host), rdtype], rdtype) for rdtype in ("A", "AAAA")}
    wanted = set(allowed(host["address_status"]))
    best = best_family(families.values())
    assert best & wanted, f"addresses are {families}"
    has_address = any(
        rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
        for rdtype in families
        for rrset in answers[host_name(host), rdtype].answer
    )
    if "unreachable" not in allowed(host["policy"]):
        assert has_address
    elif host["tlsa_status"] == "not-queried":
        assert not has_address


def best_family(statuses):
    statuses = list(statuses)
    for status in ({"secure"}, {"insecure"}, FAILED):
        if status in statuses:
            return status
    return {"secure"}  # both securely denied


LOOKUPS = [
    pytest.param(*lookup, id=f"{scenario['name']}-{lookup[0]}-{lookup[1]}")
    for scenario in SCENARIOS
    for lookup in scenario["lookups"]
]


@pytest.mark.parametrize("name, rdtype, wanted", LOOKUPS)
def test_lookup(name, rdtype, wanted, answers):
    status = status_of(answers[name, rdtype], rdtype)
    assert status & set(allowed(wanted)), f"{name} {rdtype} is {status}"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=by_name)
def test_usable_tlsa_exists(scenario, answers):
    """A host with usable records has at least that many records."""
    for host in scenario["expect"]["hosts"]:
        if host["policy"] in ("dane", "tls-no-auth"):
            reply = answers[host["tlsa_owner"], "TLSA"]
            count = sum(len(rrset) for rrset in reply.answer if rrset.rdtype == dns.rdatatype.TLSA)
            assert count >= max(1, host["usable_tlsa"])


# What a worker's settings decide, and the setting that does.
DEPENDS = {
    "tlsa-expired": "val-sig-skew-max: 0", "expired": "val-sig-skew-max: 0", "expired-mx": "val-sig-skew-max: 0",
    "address-bogus": "val-sig-skew-max: 0", "aaaa-bogus": "val-sig-skew-max: 0",
    "tlsa-future": "val-sig-skew-max: 0", "not-yet-valid": "val-sig-skew-max: 0",
}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=by_name)
def test_only_the_skew_makes_statuses_differ_from_those_of_unbounds_defaults(scenario, both_answers):
    ours, plain = both_answers
    differ = [question for question in questions(scenario)
              if status_of(ours[question], question[1]) != status_of(plain[question], question[1])]
    assert bool(differ) == (scenario["name"] in DEPENDS), differ


def test_the_settings_are_read_from_the_workers_table():
    settings = worker_settings()
    assert dict(settings)["val-sig-skew-max"] == "0" and len(settings) > 20


def test_scenario_names_are_unique():
    names = [scenario["name"] for scenario in load()]
    assert len(names) == len(set(names)) >= 40


def test_queries_are_logged(answers):
    """The front's log shows which queries reached the scenario zones."""
    lines = [line.split() for line in (WORLD_DIR / "queries.log").read_text().splitlines()]
    assert all(len(line) == 5 for line in lines)
    assert any(line[2:4] == ["dane-ee.org", "MX"] for line in lines)
    assert any(line[2:4] == ["_25._tcp.mx.dane-ee.org", "TLSA"] for line in lines)
    assert answers

# SPDX-License-Identifier: BSD-3-Clause
"""resolverctl explain through the real daemon: every lookup in order, the clause, who mends what, and what is cached."""

import json
import os
import pathlib
import re
import subprocess
import time

import dns.message
import dns.query
import dns.rdata
import dns.rdatatype
import pytest
from conftest import BUILD, WORLD, Daemon, wait_for
from oracle import NOT_VALIDATING, Unbound
from scenarios import EXIT, SCENARIOS
from servers import internal_zone

ROOT = pathlib.Path(__file__).parent.parent.parent
CONFIG = """
override "plain.net" { requirement = mandatory  reason = "by contract"  until = "2090-01-02" }
override "tlsa-servfail.com" { requirement = off  reason = "ticket 4711" }
override "tlsa-refused.net" { requirement = audit }
zone "provider-customer.com" { insecure-until = "2090-02-03" }
"""


def control_of(daemon):
    return daemon.socket + ".control"


def explain(daemon, next_hop, *more):
    return daemon.ctl("--control-socket", control_of(daemon), "explain", next_hop, *more)


def as_text(daemon, *arguments, command=()):
    done = subprocess.run([*command, str(BUILD / "resolverctl"), "--socket", daemon.socket, "--control-socket", control_of(daemon),
                           "--public-key", daemon.public_key, *arguments], capture_output=True, text=True, timeout=40)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A daemon with local policy."""
    daemon = Daemon(tmp_path_factory.mktemp("strict"))
    daemon.config_path.write_text(CONFIG)
    yield daemon.start()
    daemon.stop()


# ---- every scenario: the same verdict as the plan, and a whole account of it ----

def check_step(step):
    assert step["clause"] and step["reason_text"] and step["remedy"], step
    assert step["party"] in ("nobody", "them", "us")
    assert (step["party"] == "nobody") == step["remedy"].startswith("nothing")
    starts = [lookup["asked_after_ms"] for lookup in step["lookups"]]
    assert starts == sorted(starts)
    for lookup in step["lookups"]:
        failed = lookup["status"] in ("bogus", "error")
        assert bool(lookup["reason"]) == failed and not (failed and lookup["answer"])
        assert lookup["rrsig_expires_at"] is None or lookup["status"] == "secure"
        assert lookup["rrsig_expires_at"] is None or lookup["rrsig_expires_at"] > time.time() * 1000


# Each takes both deadlines, plan's and explain's; `silent` stands for them.
SLOW = {"mx-timeout", "tlsa-timeout", "unreachable-servers", "ttl-zero-beside-timeout"}


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s["name"] not in SLOW], ids=lambda s: s["name"])
def test_explain_agrees_with_plan(daemon, scenario):
    next_hop, port = scenario["domain"], scenario.get("port", 25)
    code, explanation = explain(daemon, next_hop, "--port", port)
    _, plan = daemon.ctl("plan", next_hop, "--port", port)
    fresh, (route, *hosts) = explanation["fresh"], explanation["steps"]
    assert (explanation["next_hop"], explanation["port"]) == (next_hop, port)
    assert code == EXIT[fresh["outcome"]]
    assert fresh["outcome"] == plan["outcome"] and fresh["mx"] == plan["mx"]
    verdict = ("name", "policy", "reason", "address_status", "tlsa_status", "tlsa_base", "reference_names")
    if not scenario["expect"].get("any_order"):
        assert [[h[k] for k in verdict] for h in fresh["hosts"]] == [[h[k] for k in verdict] for h in plan["hosts"]]
    for step in explanation["steps"]:
        check_step(step)
    assert (route["kind"], route["name"], route["policy"]) == ("route", next_hop, None)
    assert [(lookup["name"], lookup["type"]) for lookup in route["lookups"]] == [(next_hop, "MX")]
    assert (route["outcome"] is None) == bool(fresh["hosts"])
    assert [(h["kind"], h["name"], h["policy"], h["reason"]) for h in hosts] == \
        [("host", h["name"], h["policy"], h["reason"]) for h in fresh["hosts"]]
    for step in hosts[:16]:
        types = [lookup["type"] for lookup in step["lookups"]]
        assert types[:2] == ["A", "AAAA"] and set(types[2:]) <= {"CNAME", "DNAME", "TLSA"}, types
    assert all(not step["lookups"] for step in hosts[16:])


# ---- who mends what ----

SIGNED = "sign the zone of "
TOO_LATE = "renew the signatures of "

VERDICTS = [
    # next hop, name of the step (None: the route), reason, clause, party, part of the remedy, part of a note
    ("dane-ee.org", None, "mx-secure", "RFC 7672 section 2.2.1", "nobody", "nothing", None),
    ("dane-ee.org", "mx.dane-ee.org", "tlsa-usable", "RFC 7672 section 2.2", "nobody", "nothing", None),
    ("expired.net", None, "mx-bogus", "RFC 7672 section 2.1.2", "them", TOO_LATE + "expired.net:",
     "dig +dnssec +cd expired.net MX"),
    ("expired-mx.org", None, "mx-bogus", "RFC 7672 section 2.1.2", "them", TOO_LATE + "expired-mx.org MX", None),
    ("not-yet-valid.nl", None, "mx-bogus", "RFC 7672 section 2.1.2", "them", "lie in the future", None),
    ("wrong-ds.com", None, "mx-bogus", "RFC 7672 section 2.1.2", "them", "publish the right DS record of wrong-ds.com", None),
    ("stripped.com", None, "mx-bogus", "RFC 7672 section 2.1.2", "them", "RRSIG or NSEC records are missing", None),
    ("no-denial-mx.org", None, "mx-bogus", "RFC 7672 section 2.1.2", "them", "RRSIG or NSEC records are missing", None),
    ("mx-servfail.org", None, "mx-failed", "RFC 7672 section 2.1.2", "them",
     "make the name servers answer for mx-servfail.org MX", None),
    ("cname-to-bogus.aliases.org", None, "mx-bogus", "RFC 7672 section 2.1.2", "them",
     "the right DS record of wrong-ds.com", None),
    ("insecure-mx.org", None, "mx-not-secure", "RFC 7672 section 2.2.1", "them", SIGNED + "insecure-mx.org", None),
    ("island.nl", None, "mx-not-secure", "RFC 7672 section 2.2.1", "them", "a DS record of island.nl", None),
    ("cname-chain.aliases.org", None, "mx-not-secure", "RFC 7672 section 2.2.1", "them", SIGNED + "hop.insecure-hop.biz",
     "not signed from hop.insecure-hop.biz on"),
    ("null-mx.org", None, "null-mx", "RFC 7505 section 3", "nobody", "nothing", None),
    ("no-such-domain.net", None, "no-such-domain", "RFC 5321 section 5.1", "us", "written right", None),
    ("no-host.com", "gone.no-host.com", "no-address", "RFC 7672 section 2.2.2", "them", "give the host an address", None),
    ("address-bogus.net", "mx.address-bogus.net", "address-failed", "RFC 7672 section 2.1.2", "them",
     TOO_LATE + "mx.address-bogus.net A", None),
    ("aaaa-servfail.org", "mx.aaaa-servfail.org", "tlsa-usable", "RFC 7672 section 2.2", "nobody", "nothing",
     "the AAAA lookup failed"),
    ("insecure-host.com", None, "mx-secure", "RFC 7672 section 2.2.1", "nobody", "nothing", None),
    ("plain.net", "mx.plain.net", "tlsa-denied", "RFC 7672 section 2.2", "them", "publish a TLSA record 3 1 1", None),
    ("plain-optout.org", "mx.plain-optout.org", "tlsa-not-secure", "RFC 7672 section 2.2", "them", "publish a TLSA record",
     "opt-out"),
    ("tlsa-expired.org", "mx.tlsa-expired.org", "tlsa-failed", "RFC 7672 section 2.1.2", "them",
     TOO_LATE + "_25._tcp.mx.tlsa-expired.org TLSA", "dig +dnssec +cd _25._tcp.mx.tlsa-expired.org TLSA"),
    ("tlsa-forged.nl", "mx.tlsa-forged.nl", "tlsa-failed", "RFC 7672 section 2.1.2", "them", "not made by the zone's key", None),
    ("tlsa-servfail.com", "mx.tlsa-servfail.com", "tlsa-failed", "RFC 7672 section 2.1.2", "them",
     "software or a firewall breaks on TLSA queries", None),
    ("one-tlsa-fails.com", "mx2.one-tlsa-fails.com", "tlsa-usable", "RFC 7672 section 2.2", "nobody", "nothing", None),
    ("tlsa-33.com", "mx.tlsa-33.com", "tlsa-too-many", "docs/PROTOCOL.md, Limits", "them", "fewer TLSA records", None),
    ("many-mx.org", "mx18.many-mx.org", "mx-too-many", "docs/PROTOCOL.md, Limits", "them", "at most 16 MX", None),
    ("unusable-usage.com", "mx.unusable-usage.com", "tlsa-all-unusable", "RFC 7672 section 2.2", "them",
     "in place of those nobody can use", "usages 0 and 1 are not for SMTP (RFC 7672 section 3.1.3)"),
    ("unusable-length.net", "mx.unusable-length.net", "tlsa-all-unusable", "RFC 7672 section 2.2", "them", "3 1 1",
     "a SHA-256 digest has 32 octets"),
    ("agility.com", "mx.agility.com", "tlsa-usable", "RFC 7672 section 2.2", "nobody", "nothing",
     "is not used: the stronger digest beside it counts alone (RFC 7671 section 9)"),
    ("mx-cname-original.net", "mx.mx-cname-original.net", "tlsa-usable", "RFC 7672 section 2.2", "nobody", "nothing",
     "no secure TLSA records at _25._tcp.mail.mx-cname-original.net"),
    ("mx-cname-chain.net", "mx.mx-cname-chain.net", "tlsa-usable", "RFC 7672 section 2.2", "nobody", "nothing",
     "not secure from mx-hop.insecure-hop.biz on"),
    ("mx-cname-error.nl", "mx.mx-cname-error.nl", "tlsa-failed", "RFC 7672 section 2.1.2", "them",
     "_25._tcp.mail.mx-cname-error.nl TLSA", None),
    ("tlsa-cname-bogus.org", "mx.tlsa-cname-bogus.org", "tlsa-failed", "RFC 7672 section 2.1.2", "them",
     "the right DS record of wrong-ds.com", None),
    ("[mx.dane-ee.org]", None, "no-mx-step", "RFC 7672 section 2.2.2", "nobody", "nothing", None),
    ("[127.0.0.1]", "127.0.0.1", "address-literal", "RFC 7672 section 2.2", "us", "[host.name]", None),
]


def step_of(explanation, name):
    return explanation["steps"][0] if name is None else next(s for s in explanation["steps"][1:] if s["name"] == name)


@pytest.mark.parametrize("next_hop, name, reason, clause, party, remedy, note", VERDICTS,
                         ids=[f"{row[0]}-{'route' if row[1] is None else 'host'}" for row in VERDICTS])
def test_each_verdict_names_its_clause_and_who_mends_what(daemon, next_hop, name, reason, clause, party, remedy, note):
    step = step_of(explain(daemon, next_hop)[1], name)
    assert (step["reason"], step["clause"], step["party"]) == (reason, clause, party)
    assert remedy in step["remedy"]
    assert note is None or any(note in told for told in step["notes"]), step["notes"]


def test_an_address_next_hop_has_no_lookups(daemon):
    code, explanation = explain(daemon, "[127.0.0.1]")
    assert code == 0 and [step["lookups"] for step in explanation["steps"]] == [[], []]


def test_lookups_show_data_aliases_and_proofs(daemon):
    step = step_of(explain(daemon, "mx-cname-none.org")[1], "mx.mx-cname-none.org")
    a, _, tlsa, *_ = step["lookups"]
    assert [(rrset["type"], rrset["data"]) for rrset in a["chain"]] == [("CNAME", [f"{a['answer'][0]['owner']}."])]
    assert a["answer"][0]["type"] == "A" and 0 < a["ttl"] <= 300 and not a["unanswered"]
    assert (tlsa["rcode"], tlsa["answer"]) in ((0, []), (3, []))
    assert {"SOA"} < {rrset["type"] for rrset in tlsa["authority"]}, "the proof of absence is told"


@pytest.mark.parametrize("domain, rtype", [("plain.net", "NSEC"), ("plain-nsec3.com", "NSEC3")])
def test_proofs_of_absence_are_told_as_the_server_sent_them(daemon, domain, rtype):
    owner = f"_25._tcp.mx.{domain}"
    lookup = step_of(explain(daemon, domain)[1], f"mx.{domain}")["lookups"][-1]
    told = {dns.rdata.from_text("IN", rtype, text) for rrset in lookup["authority"] if rrset["type"] == rtype
            for text in rrset["data"]}
    server = json.loads((WORLD / "world.json").read_text())["servers"][domain]
    reply = dns.query.tcp(dns.message.make_query(owner, "TLSA", want_dnssec=True), server, timeout=5)
    sent = {rdata for rrset in reply.authority if rrset.rdtype == dns.rdatatype.from_text(rtype) for rdata in rrset}
    assert told == sent and sent


def test_c01_a_dname_is_among_the_aliases(daemon):
    route = explain(daemon, "mail.old.dname.org")[1]["steps"][0]
    assert {rrset["type"] for rrset in route["lookups"][0]["chain"]} == {"CNAME", "DNAME"}


def test_a_lookup_without_answer_says_so(make_daemon):
    _, explanation = explain(make_daemon(resolver__deadline="4s"), "silent.net")
    (lookup,) = explanation["steps"][0]["lookups"]
    assert lookup["status"] == "error" and lookup["unanswered"] and lookup["took_ms"] > 1000
    assert "answer in time for silent.net MX" in explanation["steps"][0]["remedy"]


def documented(section):
    """The keys in the examples of a section of docs/JSON.md, in order."""
    text = (ROOT / "docs" / "JSON.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r'"(\w+)":', "".join(line for line in text.splitlines(True) if line.startswith("    ")))


def test_the_json_has_the_documented_keys_in_their_order(daemon):
    _, explanation = explain(daemon, "dane-ee.org")
    step = explanation["steps"][1]
    keys = [*list(explanation)[:5], "name", "what", "cached", "fresh", "steps", *step, *step["lookups"][0]]
    assert documented("explain") == keys
    assert set(documented("status")) >= set(daemon.status()) and set(documented("plan")) >= set(explanation["fresh"])


# ---- what is cached ----

def timeless(plan):
    return plan | {"expires_in": None, "hosts": [host | {"expires_in": None} for host in plan["hosts"]]}


def test_nothing_cached_then_the_same(make_daemon):
    daemon = make_daemon()
    _, first = explain(daemon, "equal-preference.com")
    assert first["cached"] is None and all(step["cached_expires_at"] is None for step in first["steps"])
    _, plan = daemon.ctl("plan", "equal-preference.com")
    _, second = explain(daemon, "equal-preference.com")
    assert second["differences"] == [] and second["cached"]["validated_at"] == plan["validated_at"]
    assert timeless(second["cached"]) == timeless(plan)
    assert all(step["cached_expires_at"] > time.time() * 1000 for step in second["steps"])
    assert second["fresh"]["validated_at"] > second["cached"]["validated_at"]


def test_a_plan_that_is_cached_in_part_is_no_cached_plan(make_daemon):
    daemon = make_daemon()
    daemon.ctl("host", "b.mx-order.nl")
    _, explanation = explain(daemon, "mx-order.nl")
    assert explanation["cached"] is None and explanation["differences"] == []
    cached = {step["name"] for step in explanation["steps"] if step["cached_expires_at"]}
    assert cached == {"b.mx-order.nl"}


@pytest.mark.parametrize("changed, whole, differences", [
    ({"address": "127.25.99.2"}, True,
     [("relay.corp.example", "addresses", "127.25.99.1 insecure", "127.25.99.2 insecure")]),
    ({"mx": "other"}, False,
     [("corp.example", "mx", "10 relay.corp.example", "10 other.corp.example")]),
], ids=["another-address", "another-mx"])
def test_what_changed_in_the_dns_since_is_told(make_daemon, tmp_path, changed, whole, differences):
    config = 'zone "corp.example" { stub = {"127.53.8.31"}  insecure-until = "2090-01-01" }'
    daemon = make_daemon(config=config)
    with Unbound(WORLD, tmp_path / "before", "127.53.8.31", NOT_VALIDATING, internal_zone()):
        assert daemon.ctl("plan", "corp.example")[1]["hosts"][0]["name"] == "relay.corp.example"
    with Unbound(WORLD, tmp_path / "after", "127.53.8.31", NOT_VALIDATING, internal_zone(**changed)):
        code, explanation = explain(daemon, "corp.example")
        _, text, _ = as_text(daemon, "explain", "corp.example")
    assert code == 0
    assert [(d["name"], d["what"], d["cached"], d["fresh"]) for d in explanation["differences"]] == differences
    assert (explanation["cached"] is not None) == whole
    assert ("another plan, valid for" if whole else "not a whole plan; it differs:") in text
    assert differences[0][2] in text and differences[0][3] in text


# ---- local policy ----

def test_an_override_is_told_with_what_holds_without_it(strict):
    code, explanation = explain(strict, "plain.net")
    fresh, step = explanation["fresh"], explanation["steps"][1]
    assert code == 75
    assert (fresh["requirement"], fresh["requirement_source"], fresh["requirement_reason"]) == \
        ("mandatory", "plain.net", "by contract")
    assert fresh["requirement_until"] > time.time() * 1000
    assert (step["policy"], step["reason"], step["party"]) == ("unreachable", "mandatory-not-dane", "us")
    assert (step["policy_before"], step["reason_before"]) == ("opportunistic", "tlsa-denied")
    assert any("the other side can do: publish a TLSA record" in note for note in step["notes"])


@pytest.mark.parametrize("next_hop, reason", [("tlsa-servfail.com", "requirement-off"), ("tlsa-refused.net", "audit-only")])
def test_m01_m02_what_would_be_refused_stays_visible(strict, next_hop, reason):
    code, explanation = explain(strict, next_hop)
    step = explanation["steps"][1]
    assert (code, step["policy"], step["reason"], step["clause"]) == (0, "opportunistic", reason, "RFC 7672 section 9.1")
    assert (step["policy_before"], step["reason_before"]) == ("unreachable", "tlsa-failed")
    assert any("breaks on TLSA queries" in note for note in step["notes"])


def test_a_zone_declared_insecure_is_ours_to_mend(strict):
    _, explanation = explain(strict, "provider-customer.com")
    assert [zone["zone"] for zone in explanation["fresh"]["insecure_zones"]] == ["provider-customer.com"]
    route = explanation["steps"][0]
    assert route["party"] == "us" and "zone provider-customer.com insecure" in route["remedy"]


def test_plan_host_and_lookup_name_insecure_zones_and_overrides(strict, daemon):
    _, plan = strict.ctl("plan", "provider-customer.com")
    _, records = strict.ctl("lookup", "provider-customer.com", "MX")
    for told in (plan, records):
        assert [zone["zone"] for zone in told["insecure_zones"]] == ["provider-customer.com"]
        assert told["insecure_zones"][0]["until"] > time.time() * 1000
    assert strict.ctl("host", "mx.dane-ee.org")[1]["insecure_zones"] == []
    _, plan = daemon.ctl("plan", "dane-ee.org")
    assert list(plan)[-5:] == ["requirement_source", "requirement_reason", "requirement_until", "insecure_zones", "origin"]
    assert [plan[key] for key in list(plan)[-5:]] == [None, None, None, [], None]


def test_status_tells_checks_and_policy(strict):
    status = strict.status()
    assert {check["name"] for check in status["checks"]} >= {"workers", "root", "clock"}
    assert all(check["good"] and check["detail"] for check in status["checks"])
    assert {o["next_hop"]: o["requirement"] for o in status["overrides"]} == \
        {"plain.net": "mandatory", "tlsa-servfail.com": "off", "tlsa-refused.net": "audit"}
    assert [zone["zone"] for zone in status["insecure_zones"]] == ["provider-customer.com"]
    assert status["config_loaded_at"] >= status["started_at"] and status["clock_steps"] == 0


# ---- text ----

def test_the_text_shows_lookups_verdict_and_cache(daemon):
    daemon.ctl("plan", "tlsa-expired.org")
    code, text, _ = as_text(daemon, "explain", "tlsa-expired.org")
    assert code == 75 and text.startswith("tlsa-expired.org port 25: delay, mail is kept")
    for part in ("\nroute tlsa-expired.org\n", "10 mx.tlsa-expired.org.", "\nhost mx.tlsa-expired.org port 25\n",
                 "why: validation failure <_25._tcp.mx.tlsa-expired.org. TLSA IN>: signature expired",
                 "verdict  unreachable because: the TLSA lookup failed", "(RFC 7672 section 2.1.2)",
                 "to mend  by the other side's operator: renew the signatures", "\ncached: the same, valid for "):
        assert part in text, text
    host = text[text.index("\nhost"):]
    assert host.index(" A  ") < host.index(" AAAA  ") < host.index(" TLSA  "), "in the order they were asked"
    assert "\033" not in text


def test_the_text_of_a_plan_shows_dane_at_a_glance(daemon, strict):
    shown = {
        "dane-ee.org": "DANE yes: 1 of 1 usable host is authenticated",
        "mixed-policy.org": "DANE in part: 1 of 2 usable hosts are authenticated",
        "plain.net": "DANE no: 0 of 1",
        "insecure-mx.org": "unsigned MX cannot prove",
    }
    for next_hop, part in shown.items():
        assert part in as_text(daemon, "plan", next_hop)[1]
    assert "DANE" not in as_text(daemon, "plan", "expired.net")[1]
    _, text, _ = as_text(strict, "plan", "plain.net")
    assert 'by the override "plain.net" until 2090-01-02' in text and ": by contract" in text
    assert "zone provider-customer.com is declared insecure here until 2090-02-03" in \
        as_text(strict, "plan", "provider-customer.com")[1]


def test_the_text_of_a_status_shows_checks_and_policy(strict):
    code, text, _ = as_text(strict, "status")
    assert code == 0
    for part in ("good root", "good clock", "override           plain.net: mandatory until 2090-01-02",
                 "tlsa-servfail.com: off: ticket 4711", "zone provider-customer.com is declared insecure"):
        assert part in text, text


# ---- trouble ----

@pytest.mark.parametrize("anchor", [
    ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n", "; only a comment\n",
], ids=["another-root", "none"])
def test_a03_a_trust_anchor_that_does_not_work_is_ours_to_mend(make_daemon, tmp_path, anchor):
    (tmp_path / "root.key").write_text(anchor)
    daemon = make_daemon(start=False, resolver__trust_anchor_file=str(tmp_path / "root.key")).start(wait=False)
    wait_for(lambda: "version" in daemon.status(), 5)
    for next_hop in ("dane-ee.org", "insecure.com"):
        code, explanation = explain(daemon, next_hop)
        route = explanation["steps"][0]
        assert (code, route["party"]) == (75, "us") and "trust anchor" in route["remedy"], route


def test_explaining_again_and_again_does_not_wait(daemon):
    """Each explanation has a worker of its own; the next one must not wait for its predecessor's start to be long past."""
    begin = time.monotonic()
    for _ in range(5):
        assert explain(daemon, "dane-ee.org")[0] == 0
    assert time.monotonic() - begin < 3


def test_explain_is_refused_on_the_other_socket(daemon):
    code, told = daemon.ctl("--control-socket", daemon.socket, "explain", "dane-ee.org")
    assert code == 75 and "control" in told["error"]


def test_no_control_socket_says_what_to_look_at(daemon, tmp_path):
    code, told = daemon.ctl("--control-socket", tmp_path / "none.sock", "explain", "dane-ee.org")
    assert code == 75 and str(tmp_path / "none.sock") in told["error"] and "server.control-socket" in told["error"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_without_rights_to_the_control_socket_root_is_named(daemon):
    for directory in (daemon.directory, *daemon.directory.parents[:3]):
        directory.chmod(0o755)
    code, _, error = as_text(daemon, "explain", "dane-ee.org", command=("setpriv", "--reuid=65534", "--clear-groups"))
    assert code == 75 and "Permission denied" in error and "needs root" in error


def test_the_control_socket_is_found_by_the_environment(daemon, monkeypatch):
    monkeypatch.setenv("RESOLVERD_CONTROL_SOCKET", control_of(daemon))
    assert daemon.ctl("explain", "dane-ee.org")[0] == 0


@pytest.mark.parametrize("arguments", [
    [], ["a", "b"], ["--port", "0", "dane-ee.org"], ["--no-such", "dane-ee.org"], ["192.0.2.1"], ["a..b"], [""],
], ids=["nothing", "two", "port", "option", "bare-address", "empty-label", "empty"])
def test_wrong_usage_is_64_and_says_why(daemon, arguments):
    code, told = daemon.ctl("--control-socket", control_of(daemon), "explain", *arguments)
    assert code == 64 and told["error"]


def test_explain_refuses_another_key(daemon, tmp_path):
    (tmp_path / "other.pub").write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    code, _ = daemon.ctl("--control-socket", control_of(daemon), "explain", "dane-ee.org", public_key=str(tmp_path / "other.pub"))
    assert code == 76

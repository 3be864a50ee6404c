# SPDX-License-Identifier: BSD-3-Clause
"""Local policy: overrides per next hop and how they lapse, zone sections, and both across a reload."""

import json
import os
import signal
import time

import dns.message
import dns.query
import dns.rdatatype
import pytest
import resolverd_pb2 as pb
from conftest import WORLD, at, wait_for
from oracle import NOT_VALIDATING, Unbound
from servers import internal_zone
from wire import Client

OVERRIDES = """
override "plain.net" { requirement = mandatory  reason = "contract" }
override "unusable-usage.com" { requirement = mandatory }
override "insecure-mx.org" { requirement = mandatory }
override "null-mx.org" { requirement = mandatory }
override "dane-ee.org" { requirement = mandatory }
override "tlsa-servfail.com" { requirement = off  reason = "their firewall, ticket 4711" }
override "mx-servfail.org" { requirement = off }
override "TLSA-refused.net." { requirement = audit }
override "mixed-policy.org" { requirement = audit }
override ".aliases.org" { requirement = mandatory  reason = "all of them" }
override "cname-to-insecure.aliases.org" { requirement = normal }
override "[mx.tlsa-expired.org]" { requirement = off }
override "[127.0.0.1]" { requirement = mandatory }
"""


def answer_of(daemon, next_hop):
    with Client(daemon.socket) as client:
        return pb.Answer.FromString(client.ask(plan=pb.PlanRequest(next_hop=next_hop)).answers[0].answer)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    from conftest import Daemon
    made = Daemon(tmp_path_factory.mktemp("policy"))
    made.config_path.write_text(OVERRIDES)
    yield made.start()
    made.stop()


# ---- what a requirement does ----

@pytest.mark.parametrize("next_hop, outcome, policies, reason", [
    pytest.param("plain.net", "delay", ["unreachable"], "mandatory-not-dane", id="K01-mandatory-no-tlsa"),
    pytest.param("unusable-usage.com", "delay", ["unreachable"], "mandatory-not-dane", id="K02-mandatory-all-unusable"),
    pytest.param("insecure-mx.org", "delay", ["unreachable"], "mandatory-not-dane", id="K03-E06-mandatory-insecure-mx"),
    pytest.param("null-mx.org", "no-mail", [], None, id="K04-mandatory-null-mx"),
    pytest.param("dane-ee.org", "deliver", ["dane"], "tlsa-usable", id="D11-mandatory-dane-delivers"),
    pytest.param("tlsa-servfail.com", "deliver", ["opportunistic"], "requirement-off", id="M01-off"),
    pytest.param("mx-servfail.org", "delay", [], None, id="M01-off-does-not-help-a-failed-mx"),
    pytest.param("tlsa-refused.net", "deliver", ["opportunistic"], "audit-only", id="M02-audit"),
    pytest.param("tlsa-mismatch.org", "deliver", ["dane"], "tlsa-usable", id="M03-no-override-stays-dane"),
    pytest.param("[mx.tlsa-expired.org]", "deliver", ["opportunistic"], "requirement-off", id="M01-off-host"),
    pytest.param("tlsa-expired.org", "delay", ["unreachable"], "tlsa-failed", id="M01-host-override-is-not-the-domains"),
    pytest.param("[127.0.0.1]", "delay", ["unreachable"], "mandatory-not-dane", id="D11-mandatory-literal"),
])
def test_requirement(daemon, next_hop, outcome, policies, reason):
    _, plan = daemon.ctl("plan", next_hop)
    assert (plan["outcome"], [host["policy"] for host in plan["hosts"]]) == (outcome, policies), plan
    assert reason is None or plan["hosts"][0]["reason"] == reason


@pytest.mark.parametrize("next_hop, requirement", [
    ("cname-same-zone.aliases.org", "mandatory"), ("CNAME-same-zone.aliases.org.", "mandatory"),
    ("cname-to-insecure.aliases.org", "normal"), ("aliases.org", "normal"), ("[mx.aliases.org]", "normal"),
    ("xaliases.org", "normal"),
])
def test_the_closest_override_counts(daemon, next_hop, requirement):
    """Its own before `.domain`; `.domain` means names below it, neither itself nor hosts in brackets."""
    assert daemon.ctl("plan", next_hop)[1]["requirement"] == requirement


def test_m02_audit_marks_what_would_be_refused(daemon):
    _, plan = daemon.ctl("plan", "tlsa-refused.net")
    assert plan["would_refuse"] is True
    _, plan = daemon.ctl("plan", "mixed-policy.org")
    assert plan["would_refuse"] is False and plan["hosts"][1]["policy"] == "dane"


def test_m01_an_override_is_logged_and_signed_into_the_route(daemon):
    answer = answer_of(daemon, "tlsa-servfail.com")
    assert (answer.route.requirement, answer.route.requirement_source, answer.route.requirement_reason) == (
        pb.OFF, "tlsa-servfail.com", "their firewall, ticket 4711")
    assert "override 'tlsa-servfail.com': off, their firewall, ticket 4711" in daemon.log()
    with Client(daemon.socket) as client:
        status = client.ask(status=pb.StatusRequest()).status
    assert ("tlsa-refused.net", pb.AUDIT, False) in [(o.next_hop, o.requirement, o.lapsed) for o in status.overrides]


# ---- time ----

def test_an_override_lapses_by_itself_and_says_so_before(make_daemon):
    daemon = make_daemon(config=f'override "tlsa-servfail.com" {{ requirement = off  until = {at(6)} }}')
    assert "lapses in" in daemon.log()
    answer = answer_of(daemon, "tlsa-servfail.com")
    assert answer.route.requirement == pb.OFF
    assert answer.expires_at == answer.route.requirement_until, "the answer ends with the override"
    assert daemon.ctl("plan", "tlsa-servfail.com")[0] == 0
    plan = wait_for(lambda: (p := daemon.ctl("plan", "tlsa-servfail.com"))[0] == 75 and p[1], 12)
    assert (plan["requirement"], plan["hosts"][0]["reason"]) == ("normal", "tlsa-failed")
    wait_for(lambda: "has lapsed" in daemon.log(), 5)


def test_an_override_that_has_lapsed_is_none(make_daemon):
    daemon = make_daemon(config='override "tlsa-servfail.com" { requirement = off  until = 2024-01-01 }')
    assert daemon.ctl("plan", "tlsa-servfail.com")[1]["requirement"] == "normal"
    assert "has lapsed" in daemon.log()


# ---- reload ----

def test_a_reload_gives_cached_routes_the_new_policy_without_a_lookup(make_daemon):
    daemon = make_daemon()
    _, before = daemon.ctl("plan", "plain.net")
    jobs = daemon.status()["jobs_done"]
    daemon.reload('override "plain.net" { requirement = mandatory }')
    _, after = daemon.ctl("plan", "plain.net")
    assert (before["outcome"], after["outcome"]) == ("deliver", "delay")
    assert after["validated_at"] == before["validated_at"] and daemon.status()["jobs_done"] == jobs
    daemon.reload("resolver { insecure-mx-policy = dane }")
    assert daemon.ctl("plan", "plain.net")[1]["outcome"] == "deliver"


@pytest.mark.parametrize("policy, outcome, host_policy", [
    ("opportunistic", "deliver", "opportunistic"), ("unreachable", "delay", "unreachable"), ("dane", "deliver", "dane")])
def test_e08_insecure_mx_policy_is_taken_from_a_reload(make_daemon, policy, outcome, host_policy):
    daemon = make_daemon()
    daemon.ctl("plan", "insecure-mx.org")
    daemon.reload(f"resolver {{ insecure-mx-policy = {policy} }}")
    plan = wait_for(lambda: (p := daemon.ctl("plan", "insecure-mx.org")[1])["hosts"] and p, 10)
    assert (plan["outcome"], plan["hosts"][0]["policy"]) == (outcome, host_policy)


def test_j05_the_administrators_digest_order_is_honoured(make_daemon):
    daemon = make_daemon(resolver__digests="sha256,sha512")
    types = {tlsa["matching_type"] for tlsa in daemon.ctl("plan", "agility.com")[1]["hosts"][0]["tlsa"]}
    assert types == {1}
    daemon.keys.pop("resolver.digests")


def test_j05_a_dropped_digest_is_unusable(make_daemon):
    daemon = make_daemon(resolver__digests="sha512")
    host = daemon.ctl("plan", "dane-ee.org")[1]["hosts"][0]
    assert (host["policy"], host["reason"]) == ("tls-no-auth", "tlsa-all-unusable")


def test_a_bad_file_changes_nothing_and_the_log_says_why(make_daemon):
    daemon = make_daemon(config='override "plain.net" { requirement = mandatory }')
    log = daemon.reload('override "plain.net" { requirement = of }\n')
    assert 'resolverd.conf:1: override "plain.net": requirement = "of" must be' in log and "stays" in log
    assert daemon.ctl("plan", "plain.net")[1]["requirement"] == "mandatory"
    daemon.config_path.unlink()
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "cannot read the configuration" in daemon.log(), 5)
    assert daemon.ctl("plan", "plain.net")[1]["requirement"] == "mandatory"


@pytest.mark.parametrize("text, word", [
    ('unbound { infra-host-ttl = "many" }', "infra-host-ttl"),
    ('resolver { root-hints = "/nonexistent" }', "/nonexistent"),
])
def test_a_file_that_only_libunbound_refuses_changes_nothing(make_daemon, text, word):
    daemon = make_daemon(start=False)
    daemon.keys.pop("resolver.root-hints")
    hints = f'resolver {{ root-hints = "{WORLD}/root.hints" }}\n'
    daemon.config_path.write_text(hints)
    daemon.start()
    pids = daemon.roles()["worker"]
    log = daemon.reload(text if "hints" in text else hints + text)
    assert "no worker can start with it" in log and word in log
    assert daemon.roles()["worker"] == pids
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0


def test_a_server_that_dies_after_a_reload_keeps_what_the_reload_could_not_change(make_daemon):
    daemon = make_daemon(start=False)
    del daemon.keys["signing.member"]
    daemon.config_path.write_text('signing { member = "one" }')
    daemon.start()
    daemon.reload('signing { member = "two" }')
    os.kill(daemon.roles()["server"][0], signal.SIGKILL)
    code, plan = wait_for(lambda: (r := daemon.ctl("plan", "dane-ee.org", timeout=3))[0] in (0, 76) and r, 15)
    assert code == 0 and plan["signatures"]["verified"], plan
    assert daemon.status()["member"] == "one"


def test_a_reload_names_what_needs_a_restart(make_daemon):
    daemon = make_daemon(start=False)
    del daemon.keys["signing.member"]
    daemon.config_path.write_text('signing { member = "one" }')
    daemon.start()
    log = daemon.reload('signing { member = "two" }')
    assert "signing.member: changed, but in force only after a restart" in log
    code, plan = daemon.ctl("plan", "dane-ee.org")
    assert code == 0 and plan["signatures"]["verified"]
    assert daemon.status()["member"] == "one"


@pytest.mark.parametrize("config, requirement, status", [
    ('override "slow-server.net" {{ requirement = off }}', pb.OFF, pb.SECURE),
    ("zone \"slow-server.net\" {{ insecure-until = {} }}", pb.NORMAL, pb.INSECURE),
], ids=["policy", "zone"])
def test_a_reload_reaches_requests_that_wait(make_daemon, config, requirement, status):
    """The route is there, the host is not: what is answered holds now, not when it was found."""
    daemon = make_daemon()
    with Client(daemon.socket) as client:
        jobs = daemon.status()["jobs_done"]
        client.submit(plan=pb.PlanRequest(next_hop="slow-server.net"))
        wait_for(lambda: daemon.status()["jobs_done"] > jobs, 10, every_s=0.01)
        daemon.reload(config.format(at(3600)))
        answers = [pb.Answer.FromString(signed.answer) for signed in client.receive().answers]
    assert (answers[0].route.requirement, answers[0].route.mx_status) == (requirement, status)
    assert len(answers) == 2 and answers[1].host.address_status == status


def test_nothing_is_lost_or_refused_across_reloads_under_load(make_daemon):
    """Requests go on while the workers are replaced, five times."""
    daemon = make_daemon(resolver__workers="2")
    with Client(daemon.socket, timeout=30) as client:
        for generation in range(5):
            ids = {client.submit(records=pb.RecordsRequest(name=f"r{generation}-{i}.dane-ee.org", type=1))
                   for i in range(200)}
            daemon.reload(f'zone "unused{generation}.example" {{ stub = {{"127.0.0.1"}} }}')
            answers = [client.receive() for _ in ids]
            assert {response.id for response in answers} == ids
            statuses = {pb.Answer.FromString(r.answers[0].answer).records.status for r in answers}
            assert statuses == {pb.SECURE}
    status = daemon.status()
    assert (status["worker_restarts"], status["jobs_quarantined"]) == (0, 0)


# ---- zones ----

def test_insecure_until_shows_everywhere_and_ends_by_itself(make_daemon):
    until = at(8)
    daemon = make_daemon(config=f'zone "wrong-ds.com" {{ insecure-until = {until} }}')
    answer = answer_of(daemon, "wrong-ds.com")
    assert answer.route.mx_status == pb.INSECURE
    assert [zone.zone for zone in answer.insecure_zones] == ["wrong-ds.com"]
    assert answer.expires_at <= answer.insecure_zones[0].until
    with Client(daemon.socket) as client:
        assert [zone.zone for zone in client.ask(status=pb.StatusRequest()).status.insecure_zones] == ["wrong-ds.com"]
        assert not answer_of(daemon, "dane-ee.org").insecure_zones
        wait_for(lambda: answer_of(daemon, "wrong-ds.com").route.mx_status == pb.BOGUS, 20)
        assert not client.ask(status=pb.StatusRequest()).status.insecure_zones
    assert "insecure-until has passed" in daemon.log()


def test_insecure_until_reaches_hosts_of_other_domains(make_daemon):
    daemon = make_daemon(config=f'zone "provider.net" {{ insecure-until = {at(3600)} }}')
    with Client(daemon.socket) as client:
        answers = [pb.Answer.FromString(a.answer)
                   for a in client.ask(plan=pb.PlanRequest(next_hop="provider-customer.com")).answers]
    assert answers[0].route.mx_status == pb.SECURE and not answers[0].insecure_zones
    assert answers[1].host.policy == pb.OPPORTUNISTIC
    assert [zone.zone for zone in answers[1].insecure_zones] == ["provider.net"]


@pytest.mark.parametrize("name", ["corp.example", "corp.test"])
def test_a_stub_zone_of_an_internal_relay(make_daemon, tmp_path, name):
    """The public root proves that there is no such TLD: only insecure-until lets the internal zone in. `test` is
    also one of those that libunbound answers by itself (RFC 6761)."""
    with Unbound(WORLD, tmp_path, "127.53.8.21", NOT_VALIDATING, internal_zone(name)):
        zone = f'zone "{name}" {{{{ stub = {{{{"127.53.8.21"}}}} {{}} }}}}'
        daemon = make_daemon(config=zone.format(""))
        assert daemon.ctl("plan", name)[1]["outcome"] == "delay"
        daemon.reload(zone.format(f"insecure-until = {at(3600)}"))
        plan = wait_for(lambda: (p := daemon.ctl("plan", name)[1])["outcome"] == "deliver" and p, 10)
    assert plan["hosts"][0]["addresses"] == [{"ip": "127.25.99.1", "status": "insecure"}]
    assert plan["hosts"][0]["policy"] == "opportunistic"


def test_a_forwarded_zone_is_validated_here(make_daemon, tmp_path):
    with Unbound(WORLD, tmp_path, "127.53.8.22", NOT_VALIDATING) as forwarder:
        daemon = make_daemon(config='zone "dane-ee.org" { forward = {"127.53.8.22"} }\n'
                                    'zone "wrong-ds.com" { forward = {"127.53.8.22"} }')
        _, plan = daemon.ctl("plan", "dane-ee.org")
        assert (plan["mx"]["status"], plan["hosts"][0]["policy"]) == ("secure", "dane")
        assert daemon.ctl("plan", "wrong-ds.com")[1]["mx"]["status"] == "bogus"
        assert "dane-ee.org. MX IN" in forwarder.log()
    daemon.ctl("plan", "plain.net")
    assert "plain.net" not in forwarder.log()


def test_a_trust_anchor_makes_an_island_secure(make_daemon):
    server = json.loads((WORLD / "world.json").read_text())["servers"]["island.nl"]
    reply = dns.query.tcp(dns.message.make_query("island.nl", "DNSKEY"), server, timeout=5)
    key = next(rrset[0] for rrset in reply.answer if rrset.rdtype == dns.rdatatype.DNSKEY)
    daemon = make_daemon(config=f'zone "island.nl" {{ trust-anchor = {{"DNSKEY {key.to_text()}"}} }}')
    assert daemon.ctl("plan", "island.nl")[1]["mx"]["status"] == "secure"


# ---- explain, as a client without our library sees it ----

def test_explain_is_for_the_control_socket_only(daemon):
    with Client(daemon.socket) as client:
        error = client.ask(explain=pb.ExplainRequest(next_hop="dane-ee.org")).error
    assert error.code == pb.BAD_REQUEST and "control" in error.text


def test_explain_tells_every_lookup_and_changes_nothing(daemon):
    _, plan = daemon.ctl("plan", "mx-cname-original.net")
    with Client(daemon.socket + ".control") as client:
        answers = client.ask(explain=pb.ExplainRequest(next_hop="mx-cname-original.net")).explain.answers
    route, host = answers
    assert [(lookup.name, lookup.type) for lookup in route.lookups] == [("mx-cname-original.net", 15)]
    assert [lookup.type for lookup in host.lookups] == [1, 28, 52, 52], "the TLSA step tries two names"
    assert all(lookup.records.status == pb.SECURE and not lookup.unanswered for lookup in host.lookups)
    assert host.lookups[-1].rrsig_expires_at > time.time() * 1000
    for explained in answers:
        fresh, cached = (pb.Answer.FromString(signed.answer) for signed in (explained.fresh, explained.cached))
        assert fresh.validated_at > cached.validated_at and fresh.question == cached.question
    assert daemon.ctl("plan", "mx-cname-original.net")[1]["validated_at"] == plan["validated_at"]


def test_explain_asks_the_servers_anew_each_time(daemon):
    def asked():
        return (WORLD / "queries.log").read_text().count(" dane-both.net MX ")

    daemon.ctl("plan", "dane-both.net")
    counts = [asked()]
    for _ in range(2):
        with Client(daemon.socket + ".control") as client:
            client.ask(explain=pb.ExplainRequest(next_hop="dane-both.net"))
        counts.append(asked())
    assert counts[0] < counts[1] < counts[2]
    wait_for(lambda: len(daemon.roles()["worker"]) == daemon.status()["workers_wanted"], 5)


def test_explain_works_where_the_root_does_not_validate(make_daemon, tmp_path):
    anchor = tmp_path / "other.key"
    anchor.write_text((WORLD / "root.key").read_text()[:-10] + "000000000\n")
    daemon = make_daemon(start=False, resolver__trust_anchor_file=str(anchor))
    daemon.start(wait=False)
    wait_for(lambda: "does not validate" in daemon.log(), 10)
    with Client(daemon.socket + ".control") as client:
        route = client.ask(explain=pb.ExplainRequest(next_hop="insecure.org")).explain.answers[0]
    assert pb.Answer.FromString(route.fresh.answer).route.kind == pb.FAILED
    assert route.lookups[0].records.status in (pb.BOGUS, pb.ERROR) and route.lookups[0].records.reason

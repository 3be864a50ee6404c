# SPDX-License-Identifier: BSD-3-Clause
"""Name servers that mean harm: what they say is never worth more than it proves, costs the workers a bounded time, and others are served meanwhile.

The figures are printed: pytest -s.
"""

import secrets
import struct
import threading
import time

import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
import resolverd_pb2 as pb
from dns.rdatatype import CNAME, DNSKEY, MX, RRSIG, TLSA
from hostile import IN, PARENT, Hostile, colliding_keys, truncated
from test_hostile_clients import MB, cpu_s, rss_bytes
from wire import Client

DEADLINE_S = 4       # the resolver's; how long a client waits for a plan at most
SERVED_WITHIN_S = 4  # on a busy machine: a cold name of another zone, meanwhile
CPU_S = 4            # that one attack may take of all workers; an ordinary plan takes some milliseconds
OTHERS = ["dane-ee.org", "dane-ta.com", "two-hosts.org", "mixed-policy.org", "insecure-mx.org", "insecure.biz"]


@pytest.fixture
def hostile():
    with Hostile() as servers:
        yield servers


@pytest.fixture
def daemon(make_daemon):
    return make_daemon(resolver__deadline=f"{DEADLINE_S}s", resolver__workers="2", cache__failure_ttl="1s")


def mail_zone(hostile, label, **options):
    """A zone with one host that takes mail and has a TLSA record."""
    zone = hostile.zone(label, **options)
    zone.add("@", "MX", "10 mx").add("mx", "A", "127.53.9.8")
    return zone.add("_25._tcp.mx", "TLSA", f"3 1 1 {'ab' * 32}")


def workers_cpu_s(daemon):
    return sum(map(cpu_s, daemon.roles()["worker"]))


def others_meanwhile(daemon, stop, times):
    """Asks for what no cache holds, again and again: a name that does not exist, of a zone that has no part in it."""
    with Client(daemon.socket) as client:
        while not stop.wait(0.05):
            begin = time.monotonic()
            name = f"{secrets.token_hex(6)}.{OTHERS[len(times) % 4]}"
            response = client.ask(records=pb.RecordsRequest(name=name, type=TLSA))
            assert response.answers, response
            times.append(time.monotonic() - begin)


def attacked(daemon, zone, names=("@",)):
    """The plans of these names of a zone, asked for while others are; prints what it cost. Returns [(exit code, plan), …]."""
    for other in OTHERS:
        daemon.ctl("plan", other)
    workers = daemon.roles()["worker"]
    memory = sum(map(rss_bytes, workers))
    times, stop, busy = [], threading.Event(), workers_cpu_s(daemon)
    thread = threading.Thread(target=others_meanwhile, args=(daemon, stop, times))
    thread.start()
    begin = time.monotonic()
    try:
        plans = [daemon.ctl("plan", zone.absolute(name).to_text(omit_final_dot=True)) for name in names]
        took = time.monotonic() - begin
        time.sleep(max(0, 1.5 - took))
    finally:
        stop.set()
        thread.join()
    assert daemon.roles()["worker"] == workers, "none had to be replaced"
    busy = workers_cpu_s(daemon) - busy
    grown = sum(map(rss_bytes, workers)) - memory
    print(f"\n{zone.name.labels[0].decode()}: {[plan.get('outcome') for _, plan in plans]} in {took:.2f} s, {zone.asked} queries, workers {busy:.2f} CPU s, "
          f"{grown >> 10} kB; others: {len(times)} cold names, longest {max(times) * 1000:.0f} ms")
    assert len(times) > 5 and max(times) < SERVED_WITHIN_S, "others wait"
    assert busy < CPU_S and grown < 24 * MB
    assert took < len(names) * (DEADLINE_S + 2)
    return plans


def assert_delay(plans):
    """In doubt mail waits: nothing of it is delivered, let alone in the clear."""
    for code, plan in plans:
        assert (code, plan["outcome"]) == (75, "delay"), plan


# ---- beside these the rest means something ----

@pytest.mark.parametrize("iterations", [None, 0, 150])
def test_a_server_that_means_no_harm_is_believed(daemon, hostile, iterations):
    ((code, plan),) = attacked(daemon, mail_zone(hostile, "good", iterations=iterations))
    assert code == 0 and [host["policy"] for host in plan["hosts"]] == ["dane"]


# ---- what comes over the wire ----

def test_one_that_drips_bytes_costs_its_own_mail_time(daemon, hostile):
    zone = mail_zone(hostile, "drip")
    zone.attack = lambda query, _reply, via: [truncated(query)] if via == "udp" else None
    hostile.drips(zone, 0.05)
    assert_delay(attacked(daemon, zone))


def test_wrong_ids_and_wrong_questions_are_no_answers(daemon, hostile):
    zone = mail_zone(hostile, "wrong-ids")

    def forged(query, reply, _via):
        other = dns.message.make_query("insecure.biz", MX)
        other.id = query.id
        wire = reply.to_wire(max_size=65535)
        return [struct.pack("!H", (query.id + i) & 0xFFFF) + wire[2:] for i in range(1, 200)] + [dns.message.make_response(other).to_wire()]

    zone.attack = forged
    assert_delay(attacked(daemon, zone))


def test_a_right_answer_behind_wrong_ones_over_udp_is_never_weaker(daemon, hostile):
    zone = mail_zone(hostile, "race")

    def forged(query, reply, _via):
        bare = dns.message.make_response(query)
        bare.flags |= dns.flags.AA
        wrong = struct.pack("!H", query.id ^ 1) + bare.to_wire()[2:]
        return [wrong] * 50 + [reply.to_wire(max_size=65535)]

    zone.attack = forged
    ((code, plan),) = attacked(daemon, zone)
    assert plan["outcome"] == "delay" or [host["policy"] for host in plan["hosts"]] == ["dane"], plan


def pointers_that_loop(head, at):
    return struct.pack("!H", 0xC000 | at)


def pointers_that_climb(head, at):
    """A name of 4 kB: each label of 31 points on to one behind it."""
    made = b""
    for i in range(64):
        made += b"\x3f" + b"a" * 63
    return made + b"\0"


def pointers_forward(head, at):
    return struct.pack("!H", 0xC000 | (at + 12)) + b"\0" * 24


@pytest.mark.parametrize("name_of", [pointers_that_loop, pointers_that_climb, pointers_forward])
def test_names_made_of_pointers_are_refused(daemon, hostile, name_of):
    zone = mail_zone(hostile, name_of.__name__.replace("_", "-"))

    def crafted(query, reply, _via):
        head = query.to_wire()
        question = head[12:head.index(b"\0", 12) + 5]
        header = struct.pack("!HHHHHH", query.id, 0x8400, 1, 40, 0, 0)
        records = b""
        for _ in range(40):
            owner = name_of(head, 12 + len(question) + len(records))
            if 12 + len(question) + len(records) + len(owner) > 60_000:
                break
            records += owner + struct.pack("!HHIH", MX, IN, 60, 4) + b"\0\0\xc0\x0c"
        return [header + question + records]

    zone.attack = crafted
    assert_delay(attacked(daemon, zone))


@pytest.mark.parametrize("cut", [1, 11, 13, 40])
def test_messages_that_end_early_are_no_answers(daemon, hostile, cut):
    zone = mail_zone(hostile, f"cut-{cut}")
    zone.attack = lambda _query, reply, _via: [reply.to_wire(max_size=65535)[:cut]]
    assert_delay(attacked(daemon, zone))


# ---- what it says ----

@pytest.mark.parametrize(("rdtype", "record"), [("MX", "{i} mx{i}"), ("TLSA", f"3 1 1 {'0' * 56}{{i:08x}}"), ("A", "127.54.{high}.{low}")])
def test_huge_sets_are_bounded(daemon, hostile, rdtype, record):
    zone = mail_zone(hostile, f"huge-{rdtype.lower()}")
    owner = {"MX": "@", "TLSA": "_25._tcp.mx", "A": "mx"}[rdtype]
    zone.add(owner, rdtype, *[record.format(i=i, high=i >> 8, low=i & 255) for i in range(1, {"MX": 2500, "TLSA": 1200, "A": 3500}[rdtype])])
    ((_, plan),) = attacked(daemon, zone)
    assert plan["outcome"] == "delay" or {host["policy"] for host in plan["hosts"]} <= {"dane", "unreachable"}, plan["outcome"]


@pytest.mark.parametrize("length", [1, 2, 200])
def test_aliases_in_a_loop_and_without_end_lead_nowhere(daemon, hostile, length):
    zone = hostile.zone(f"loop-{length}")
    for i in range(length):
        zone.add(f"a{i}", "CNAME", f"a{(i + 1) % length}")
    zone.add("@", "MX", "10 a0")
    assert_delay(attacked(daemon, zone, ["a0", "@"]))


def test_aliases_made_up_as_they_are_asked_for_come_to_an_end(daemon, hostile):
    zone = hostile.zone("endless")
    zone.add("@", "MX", "10 first")

    def one_more(query, reply, _via):
        question = query.question[0]
        if question.name == zone.name or question.rdtype == DNSKEY:
            return None
        fresh = dns.message.make_response(query)
        fresh.flags |= dns.flags.AA
        alias = dns.rrset.RRset(question.name, IN, CNAME)
        alias.add(dns.rdata.from_text(IN, CNAME, f"{secrets.token_hex(8)}.{zone.name}"), 60)
        fresh.answer += [alias, zone.signatures(alias)]
        return [fresh.to_wire()]

    zone.attack = one_more
    assert_delay(attacked(daemon, zone, ["first", "@"]))


# ---- what is costly to prove ----

def test_a_false_count_of_hash_iterations_is_bogus_or_costs_nothing(daemon, hostile):
    """The server claims more iterations than the signature is for: that makes no proof (RFC 9276 section 3.2 lets a signed one count as insecure)."""
    zone = hostile.zone("false-iterations", iterations=1)
    zone.claimed = 65535
    zone.add("@", "MX", "10 mx").add("mx", "A", "127.53.9.8")
    assert_delay(attacked(daemon, zone))


def test_absurd_hash_iterations_are_not_hashed(daemon, hostile):
    """Signed by the zone itself, which so says that it does without proof; an insecure zone then, and nothing is hashed for it."""
    zone = hostile.zone("absurd-iterations", iterations=2500)
    zone.add("@", "MX", "10 mx").add("mx", "A", "127.53.9.8")
    ((_, plan),) = attacked(daemon, zone, ["@"])
    assert plan["outcome"] in ("delay", "deliver")
    assert {host["policy"] for host in plan["hosts"]} <= {"opportunistic", "unreachable"}


def signed_by_nobody(zone, rrset, count, tag=0x2342):
    """That many signatures of the set by keys of one tag; RSA numbers, so each is worth a try."""
    model = zone.signatures(rrset)[0]
    made = dns.rrset.RRset(rrset.name, IN, RRSIG, rrset.rdtype)
    for _ in range(count):
        made.add(model.replace(key_tag=tag, algorithm=8, signature=b"\0" + secrets.token_bytes(255)), 60)
    return made


@pytest.mark.parametrize("where", ["records", "keys", "delegation"])
def test_floods_of_colliding_keys_and_signatures_cost_a_bounded_time(daemon, hostile, where):
    """KeyTrap (CVE-2023-50387): every signature could be of every key."""
    keys = colliding_keys(60)
    zone = mail_zone(hostile, f"keytrap-{where}")
    zone.add("@", "DNSKEY", *keys)
    if where == "delegation":
        hostile.parent.add(zone.name.to_text(), "DS", *[f"{0x2342} 8 2 {secrets.token_hex(32)}" for _ in range(60)])

    def flood(query, reply, _via):
        rdtype = query.question[0].rdtype
        if (rdtype == DNSKEY) != (where != "records") or not reply.answer:
            return None
        reply.answer[1] = signed_by_nobody(zone, reply.answer[0], 60)
        return [reply.to_wire(max_size=65535)]

    zone.attack = flood
    zone.add("a", "MX", "10 mx").add("b", "MX", "10 mx").add("c", "MX", "10 mx")
    assert_delay(attacked(daemon, zone, ["@", "a", "b", "c"]))


def test_the_zone_they_are_below_is_not_held_against(daemon, hostile):
    """Its other children are looked up as ever while one of them attacks."""
    bad, good = mail_zone(hostile, "bad-child"), mail_zone(hostile, "good-child")
    bad.attack = lambda query, _reply, _via: [dns.message.make_response(query).to_wire()]
    assert_delay(attacked(daemon, bad))
    code, plan = daemon.ctl("plan", f"good-child.{PARENT}")
    assert code == 0 and [host["policy"] for host in plan["hosts"]] == ["dane"]

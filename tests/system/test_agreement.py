# SPDX-License-Identifier: BSD-3-Clause
"""Three validators over the world: resolverd, the real unbound with a worker's settings, and BIND's delv. One status each, and one
proof: data, NODATA or NXDOMAIN.

delv validates for itself what a second unbound fetches that does not validate, so it shares no validating code with the others.
"""

import collections
import concurrent.futures
import contextlib
import functools
import re
import subprocess

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype
import pytest
from conftest import WORLD
from oracle import Unbound, worker_settings
from scenarios import SCENARIOS

Verdict = collections.namedtuple("Verdict", "status proof")
Verdicts = collections.namedtuple("Verdicts", "resolverd unbound delv")
FAILED = Verdict("failed", None)  # bogus and error look alike from outside

UNBOUND, FETCHER = "127.53.8.5", "127.53.8.6"
AT_ONCE = Verdicts(resolverd=8, unbound=64, delv=16)  # processes cost more than waiting
PATIENCE_S = 12  # silence beyond is a failure too; resolverd answers at its deadline of 6 s
NOERROR, NXDOMAIN = 0, 3

# Proofs of absence, wildcards and delegations that no scenario asks for.
PROBES = [
    ("nothing-here.dane-ee.org", "A"), ("dane-ee.org", "LOC"), ("a.b.c.dane-ee.org", "TXT"),                   # NSEC
    ("nothing-here.plain-nsec3.com", "A"), ("plain-nsec3.com", "LOC"), ("a.b.c.plain-nsec3.com", "TXT"),       # NSEC3
    ("nothing-here.xn--bcher-kva.nl", "A"), ("xn--bcher-kva.nl", "LOC"),
    ("_tcp.mx.dane-ee.org", "A"), ("_tcp.mx.plain-nsec3.com", "A"), ("_tcp.mx.wildcard-tlsa.com", "TLSA"),     # empty non-terminals
    ("any.wildcard-mx.org", "MX"), ("any.wildcard-mx.org", "A"), ("a.b.wildcard-mx.org", "MX"),                # wildcards: data, NODATA
    ("*.wildcard-mx.org", "MX"), ("mx.wildcard-mx.org", "MX"),
    ("_465._tcp.mx.wildcard-tlsa.com", "TLSA"), ("_465._tcp.mx.wildcard-tlsa.com", "A"),
    ("_465._tcp.mx.wildcard-tlsa-nsec.net", "TLSA"), ("_465._tcp.mx.wildcard-tlsa-nsec.net", "A"),
    ("any.one-off-nsec3.net", "MX"), ("any.one-off-nsec3.net", "A"),
    ("dane-ee.org", "DS"), ("nothing-here.org", "DS"), ("nothing-here.org", "A"), ("a.b.nothing-here.org", "A"),  # opt-out
    ("insecure.org", "DS"), ("insecure.org", "NS"), ("nothing-here.insecure.org", "A"), ("nothing-here.plain-optout.org", "A"),
    ("insecure.com", "DS"), ("nothing-here.insecure.com", "A"), ("nothing-here.com", "A"), ("nothing-here.com", "DS"),  # NSEC3 TLD
    ("insecure.net", "DS"), ("nothing-here.insecure.net", "A"), ("nothing-here.net", "A"), ("nothing-here.net", "DS"),
    ("insecure.biz", "DS"), ("biz", "DS"), ("nothing-here.biz", "A"), ("nothing-here.nl", "A"), ("island.nl", "DNSKEY"),
    ("nothing-here", "A"), (".", "DNSKEY"), (".", "LOC"), ("org", "DNSKEY"), ("unknown-algorithm.com", "DS"),
    ("algorithm-unused.com", "DNSKEY"), ("claim.wildcard-claim.net", "MX"), ("wrong-ds.com", "DNSKEY"),
    ("any.old.dname.org", "MX"), ("nothing-here.dname.org", "A"), ("old.dname.org", "DNAME"),
]


def questions():
    found = set(PROBES)
    for scenario in SCENARIOS:
        found.add((scenario["domain"], "MX"))
        for host in scenario["expect"]["hosts"]:
            name = host["name"][0] if isinstance(host["name"], list) else host["name"]
            found |= {(name, "A"), (name, "AAAA")}
        found |= {(name, rdtype) for name, rdtype, _status in scenario["lookups"]}
    return sorted(found)


def proof(has_data, rcode):
    return "data" if has_data else "NXDOMAIN" if rcode == NXDOMAIN else "NODATA"


def ask_resolverd(daemon, name, rdtype):
    _code, records = daemon.ctl("lookup", name, rdtype, timeout=PATIENCE_S)
    if records.get("status") not in ("secure", "insecure"):
        return FAILED
    return Verdict(records["status"], proof(records["answer"], records["rcode"]))


def ask_unbound(name, rdtype):
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    try:
        reply = dns.query.udp_with_fallback(query, UNBOUND, timeout=PATIENCE_S, ignore_unexpected=True)[0]
    except dns.exception.Timeout:
        return FAILED
    if reply.rcode() not in (NOERROR, NXDOMAIN):
        return FAILED
    has_data = any(rrset.rdtype == dns.rdatatype.from_text(rdtype) for rrset in reply.answer)
    return Verdict("secure" if reply.flags & dns.flags.AD else "insecure", proof(has_data, reply.rcode()))


def ask_delv(anchor, name, rdtype):
    """delv comments each RRset of a chain with its status, a denial with "-$NXDOMAIN" or "-$NXRRSET"; why it fails is on stderr."""
    command = ["delv", f"@{FETCHER}", "-4", "-a", anchor, "+root=.", name, rdtype]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return FAILED
    statuses = re.findall(r"^; (?:negative response, )?(fully validated|unsigned answer)$", said.stdout, re.M)
    failures = re.findall(r"^;; resolution failed: (?!ncache )", said.stderr, re.M)
    if failures or not statuses:
        return FAILED
    denial = re.search(r"-\$(NXDOMAIN|NXRRSET)", said.stdout)
    found = "data" if not denial else "NXDOMAIN" if denial[1] == "NXDOMAIN" else "NODATA"
    return Verdict("insecure" if "unsigned answer" in statuses else "secure", found)


def write_anchor(directory):
    tag, algorithm, digest_type, digest = (WORLD / "root.key").read_text().split()[4:8]
    file = directory / "anchor"
    file.write_text(f'trust-anchors {{ . static-ds {tag} {algorithm} {digest_type} "{digest}"; }};\n')
    return str(file)


@pytest.fixture(scope="module")
def verdicts(daemon, tmp_path_factory):
    """(name, type) → the three verdicts; all asked at once."""
    asked, anchor = questions(), write_anchor(tmp_path_factory.mktemp("delv"))
    fetching = worker_settings() + [("module-config", "iterator")]
    askers = Verdicts(functools.partial(ask_resolverd, daemon), ask_unbound, functools.partial(ask_delv, anchor))
    with (
        Unbound(WORLD, tmp_path_factory.mktemp("unbound"), UNBOUND),
        Unbound(WORLD, tmp_path_factory.mktemp("fetcher"), FETCHER, fetching),
        contextlib.ExitStack() as pools,
    ):
        columns = [pools.enter_context(concurrent.futures.ThreadPoolExecutor(count)).map(asker, *zip(*asked))
                   for asker, count in zip(askers, AT_ONCE)]
        return dict(zip(asked, map(Verdicts, *columns)))


OPT_OUT = Verdict("secure", "NXDOMAIN"), "RFC 5155 section 9.2: a denial that rests on an opt-out span is not secure; delv calls it so"
OPT_OUT_DS = Verdict("secure", "NODATA"), OPT_OUT[1]
ED448 = Verdict("secure", "data"), "Debian's libunbound is built with nettle, which lacks Ed448; its unbound and BIND have OpenSSL"

# (who differs, name, type) → (what they say, why ours is right or can't be else)
DIFFERENCES = {
    **{("delv", name, rdtype): OPT_OUT for name, rdtype in [
        ("nothing-here.org", "A"), ("nothing-here.org", "DS"), ("a.b.nothing-here.org", "A"), ("no-such-domain.org", "MX"),
        ("nothing-here.plain-optout.org", "A"), ("_25._tcp.mx.plain-optout.org", "TLSA")]},
    ("delv", "insecure.org", "DS"): OPT_OUT_DS,
    **{(who, name, rdtype): ED448 for who in ("unbound", "delv")
       for name, rdtype in [("ed448.nl", "MX"), ("mx.ed448.nl", "A")]},
    **{(who, "mx.ed448.nl", "AAAA"): (Verdict("secure", "NODATA"), ED448[1]) for who in ("unbound", "delv")},
}

QUESTIONS = [pytest.param(*question, id="-".join(question)) for question in questions()]


@pytest.mark.parametrize("who", ["unbound", "delv"])
@pytest.mark.parametrize("name, rdtype", QUESTIONS)
def test_agreement(name, rdtype, who, verdicts):
    ours, theirs = verdicts[name, rdtype].resolverd, getattr(verdicts[name, rdtype], who)
    if (who, name, rdtype) in DIFFERENCES:
        wanted, _why = DIFFERENCES[who, name, rdtype]
        assert theirs == wanted and ours == wanted._replace(status="insecure"), f"resolverd {ours}, {who} {theirs}: still a difference?"
    else:
        assert ours == theirs, f"resolverd {ours}, {who} {theirs}"


def test_every_known_difference_is_asked_for():
    assert {(name, rdtype) for _who, name, rdtype in DIFFERENCES} <= set(questions())

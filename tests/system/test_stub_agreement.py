# SPDX-License-Identifier: BSD-3-Clause
"""resolverd-stub beside the real unbound with a worker's settings: to the same questions the same messages. And the programs people
ask such servers with: dig, kdig, and delv, which validates for itself what it is told.
"""

import collections
import concurrent.futures
import re
import subprocess

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from conftest import WORLD
from oracle import Unbound
from stub import ADDRESS, PATIENCE_S, stub
from test_agreement import DIFFERENCES, questions, write_anchor

UNBOUND = "127.53.8.7"
AT_ONCE = 32
DENIALS = {dns.rdatatype.NSEC, dns.rdatatype.NSEC3}
# Where libunbound and unbound differ, for a reason that test_agreement.py gives.
DIFFERENT = {(name, rdtype) for who, name, rdtype in DIFFERENCES if who == "unbound"}
QUESTIONS = [pytest.param(*question, id="-".join(question)) for question in questions() if question not in DIFFERENT]


def records(section):
    """Of a section what does not depend on when and where it was asked for."""
    return {(rrset.name, rrset.rdtype, rrset.covers, frozenset(rdata.to_text() for rdata in rrset)) for rrset in section}


Gist = collections.namedtuple("Gist", "rcode ad answer authority")


def gist(reply):
    """What a reply says. Nobody need tell who serves a zone, and a failure is told without data."""
    if reply.rcode() == dns.rcode.SERVFAIL:
        return Gist("SERVFAIL", False, set(), set())
    authority = [rrset for rrset in reply.authority if {rrset.rdtype, rrset.covers} & (DENIALS | {dns.rdatatype.SOA})]
    return Gist(dns.rcode.to_text(reply.rcode()), bool(reply.flags & dns.flags.AD), records(reply.answer), records(authority))


def ask_unbound(query):
    try:
        return gist(dns.query.tcp(query, UNBOUND, timeout=PATIENCE_S))
    except dns.exception.Timeout:
        return Gist("SERVFAIL", False, set(), set())


@pytest.fixture(scope="module", params=[True, False], ids=["do", "plain"])
def gists(request, stub, tmp_path_factory):
    """(name, type) → what the stub says, what unbound says."""
    asked = [parameter.values for parameter in QUESTIONS]
    queries = [dns.message.make_query(name, rdtype, want_dnssec=request.param, flags=dns.flags.RD | dns.flags.AD)
               for name, rdtype in asked]
    with Unbound(WORLD, tmp_path_factory.mktemp("unbound"), UNBOUND), concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        theirs = pool.map(ask_unbound, queries)
        ours = pool.map(lambda query: gist(stub.send(query, tcp=True)), queries)
        return dict(zip(asked, zip(ours, theirs)))


@pytest.mark.parametrize("name, rdtype", QUESTIONS)
def test_same_message_as_unbound(gists, name, rdtype):
    """But for proofs: libunbound passes on one that nobody needs beside what it made of a DNAME."""
    ours, theirs = gists[name, rdtype]
    assert ours[:3] == theirs[:3]
    is_negative = dns.rdatatype.from_text(rdtype) not in {rdtype for _name, rdtype, _covers, _data in ours.answer}
    assert ours.authority == theirs.authority if is_negative else ours.authority >= theirs.authority


# ---- the programs ----

def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE_S + 5)


@pytest.mark.parametrize("options", [(), ("+tcp",), ("+noedns",), ("+bufsize=512",), ("+nocookie", "+nsid")])
def test_dig(stub, options):
    said = run("dig", f"@{ADDRESS}", "-p", stub.port, "dane-ee.org", "MX", *options)
    assert said.returncode == 0 and "status: NOERROR" in said.stdout and re.search(r"flags:[a-z ]* ad", said.stdout)
    assert "WARNING" not in said.stdout and "malformed" not in said.stdout


def test_dig_tells_why(stub):
    said = run("dig", f"@{ADDRESS}", "-p", stub.port, "wrong-ds.com", "MX", "+cd").stdout
    assert "status: SERVFAIL" in said and "EDE: 6 (DNSSEC Bogus)" in said


def test_dig_goes_to_tcp_by_itself(stub):
    said = run("dig", f"@{ADDRESS}", "-p", stub.port, "_25._tcp.mx.tlsa-33.com", "TLSA").stdout
    assert "Truncated, retrying in TCP mode" in said and "ANSWER: 33" in said


@pytest.mark.parametrize("options", [(), ("+tcp",), ("+dnssec",), ("+edns=0", "+padding=64")])
def test_kdig(stub, options):
    said = run("kdig", f"@{ADDRESS}", "-p", stub.port, "+adflag", "dane-ee.org", "MX", *options)
    assert said.returncode == 0 and "status: NOERROR" in said.stdout and re.search(r"Flags:[a-z ]* ad", said.stdout)
    assert "WARNING" not in said.stdout + said.stderr


def test_kdig_many_questions_in_one_connection(stub):
    said = run("kdig", f"@{ADDRESS}", "-p", stub.port, "+tcp", "+keepopen", *[f"n{i}.dane-ee.org" for i in range(10)])
    assert said.stdout.count("status: NXDOMAIN") == 10


@pytest.mark.parametrize("name, rdtype, says", [
    ("dane-ee.org", "MX", "; fully validated"), ("mx.dane-ee.org", "A", "; fully validated"),
    ("_25._tcp.mx.dane-ee.org", "TLSA", "; fully validated"), ("cname-two-hops.aliases.org", "MX", "; fully validated"),
    ("old.dname.org", "DNAME", "; fully validated"), ("any.wildcard-mx.org", "MX", "; fully validated"),
    ("nothing-here.dane-ee.org", "A", "; negative response, fully validated"),
    ("nothing-here.plain-nsec3.com", "A", "; negative response, fully validated"),
    ("insecure.biz", "MX", "; unsigned answer")])
def test_delv_can_check_what_it_is_told(stub, tmp_path, name, rdtype, says):
    said = run("delv", f"@{ADDRESS}", "-p", stub.port, "-a", write_anchor(tmp_path), "+root=.", name, rdtype)
    assert says in said.stdout, said.stdout + said.stderr


def test_delv_gets_nothing_bogus(stub, tmp_path):
    """It asks with CD, and is told no more for that."""
    said = run("delv", f"@{ADDRESS}", "-p", stub.port, "-a", write_anchor(tmp_path), "+root=.", "wrong-ds.com", "MX")
    assert "resolution failed: failure" in said.stderr and not said.stdout

# SPDX-License-Identifier: BSD-3-Clause
"""What the settings of libunbound do (docs/RESOLVER.md), seen through the daemon and in the servers' log."""

import contextlib
import os
import re
import signal
import socket
import time

import dns.message
import dns.query
import pytest
from conftest import WORLD, at, wait_for
from oracle import NOT_VALIDATING, Unbound
from servers import internal_zone
from wiretap import Wiretap

FORWARDER, LISTENER, INTERNAL_SERVER = "127.53.8.4", "127.53.8.3", "127.53.8.21"
NXDOMAIN = 3


@pytest.fixture
def one_worker(make_daemon):
    """So that every lookup meets the same cache."""
    return make_daemon(resolver__workers="1", cache__failure_ttl="1s")


def asked_for(name):
    return [line.split()[3] for line in (WORLD / "queries.log").read_text().splitlines() if line.split()[2] == name]


def lookup(daemon, name, rdtype):
    return daemon.ctl("lookup", name, rdtype)[1]


# ---- aggressive-nsec ----

def test_what_was_denied_to_others_is_asked_for_all_the_same(one_worker):
    """A denial speaks for its whole gap. Kept for names never asked for it would hide them, once they exist, for its TTL."""
    for name in ("gap-1.plain.net", "gap-2.plain.net"):
        assert lookup(one_worker, name, "TXT")["rcode"] == NXDOMAIN
        assert asked_for(name)
    assert lookup(one_worker, "plain.net", "LOC")["status"] == "secure"
    assert "LOC" in asked_for("plain.net"), "a type its NSEC record denied"


def test_a_zone_cannot_answer_as_the_wildcard_of_its_parent(one_worker):
    """CVE-2026-44690, mended in unbound 1.25.2: with aggressive-nsec the claim would spoil every unregistered name of the TLD."""
    assert lookup(one_worker, "claim.wildcard-claim.net", "MX")["status"] == "bogus"
    for name in ("no-such-aaa.net", "no-such-aab.net"):
        denied = lookup(one_worker, name, "MX")
        assert (denied["status"], denied["rcode"]) == ("secure", NXDOMAIN), denied


# ---- harden-below-nxdomain ----

def test_an_internal_zone_is_not_hidden_by_the_absence_of_its_parent(make_daemon, tmp_path):
    """CVE-2026-44687, mended in unbound 1.25.2: that `example` does not exist must not answer for a zone we are told who has."""
    zone = f'zone "corp.example" {{ stub = {{"{INTERNAL_SERVER}"}} insecure-until = {at(3600)} }}'
    with Unbound(WORLD, tmp_path, INTERNAL_SERVER, NOT_VALIDATING, internal_zone()):
        daemon = make_daemon(config=zone, resolver__workers="1")
        for rdtype in ("MX", "A"):
            assert lookup(daemon, "example", rdtype)["rcode"] == NXDOMAIN
        assert daemon.ctl("plan", "corp.example")[1]["outcome"] == "deliver"


# ---- who is asked ----

def test_0_0_0_0_is_no_name_server(daemon):
    """Linux delivers what goes to 0.0.0.0 on this host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 53))
        listener.settimeout(0.2)
        assert lookup(daemon, "served-by-self.net", "MX")["status"] == "error"
        with pytest.raises(socket.timeout):
            listener.recv(1)


def without_override(daemon):
    del daemon.keys["unbound.do-not-query-localhost"]
    return daemon


def test_a_name_server_on_loopback_is_not_asked(make_daemon, tmp_path):
    """The root itself here: unless the configuration says so."""
    hints = tmp_path / "root.hints"
    hints.write_text(f". 3600 IN NS ns.nowhere.\nns.nowhere. 3600 IN A {LISTENER}\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((LISTENER, 53))
        listener.settimeout(0.2)
        daemon = without_override(make_daemon(start=False, resolver__root_hints=str(hints))).start(wait=False)
        wait_for(lambda: "root key" in daemon.status().get("not_ready_reason", ""), 10)
        with pytest.raises(socket.timeout):
            listener.recv(1)


def test_a_forwarder_on_loopback_is_the_operators_word(make_daemon, tmp_path):
    with Unbound(WORLD, tmp_path, FORWARDER):
        daemon = without_override(make_daemon(start=False, resolver__forward=FORWARDER)).start()
        assert lookup(daemon, "dane-ee.org", "MX")["status"] == "secure"


def test_the_root_and_the_tlds_learn_no_more_than_they_delegate(make_daemon):
    """qname-minimisation: a label at a time; target-fetch-policy: no address of a name server that is not needed."""
    with Wiretap({"127.53.0.1": ".", address_of("org"): "org"}) as tap:
        daemon = make_daemon(resolver__workers="1")
        assert daemon.ctl("plan", "dane-ee.org")[1]["outcome"] == "deliver"
        told = {(query.zone, query.name) for query in tap.queries() if not query.name.startswith("_ta-")}
    assert told == {(".", "."), (".", "org"), ("org", "org"), ("org", "dane-ee.org")}


def address_of(zone):
    """Of the server of a TLD, as the root's zone file says."""
    reply = dns.query.udp(dns.message.make_query(zone, "NS"), "127.53.0.1", timeout=5)
    return next(rrset[0].address for rrset in reply.additional if str(rrset.name) == f"ns.{zone}.")


# ---- TTLs ----

def test_what_libunbound_holds_is_told_with_the_rest_of_its_ttl(one_worker):
    """Seen in another question that rests on the same records, since the server's own cache answers the same question."""
    assert lookup(one_worker, "plain.net", "MX")["answer"][0]["ttl"] == 300
    time.sleep(3)
    assert one_worker.ctl("plan", "plain.net")[1]["expires_in"] <= 298


# ---- failures ----

@contextlib.contextmanager
def forged(zone, rdtype):
    """The zone with a wrong signature over the RRset of this type at its apex, for as long as it takes."""
    file = WORLD / "leaf" / f"{zone}.zone"
    good = file.read_text()
    [signature] = re.findall(rf"^{zone}\. .* RRSIG {rdtype} .* {zone}\. (.*)$", good, re.M)
    wrong = ("B" if signature[0] == "A" else "A") + signature[1:]
    try:
        serve(zone, file, good.replace(signature, wrong), rdtype, wrong)
        yield
    finally:
        serve(zone, file, good, rdtype, signature)


def serve(zone, file, text, rdtype, signature):
    """Has NSD read the zone again, and waits until it does."""
    file.write_text(text)
    os.kill(int((WORLD / "leaf" / "nsd.pid").read_text()), signal.SIGHUP)
    query = dns.message.make_query(zone, rdtype, want_dnssec=True)
    wait_for(lambda: signature in dns.query.udp(query, "127.53.2.1", timeout=5).to_text(), 10)


def test_a_mended_name_is_seen_once_failure_ttl_is_over(one_worker):
    with forged("dane-ta.com", "MX"):
        assert one_worker.ctl("plan", "dane-ta.com")[1]["mx"]["status"] == "bogus"
    wait_for(lambda: one_worker.ctl("plan", "dane-ta.com")[1]["outcome"] == "deliver", 4)

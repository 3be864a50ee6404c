#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""How many queries reach authoritative servers for one cold plan, against the fewest that RFC 7672 needs; inside tests/world/run.py.

Usage: queries.py [--settings]

The fewest: each RRset a plan rests on (MX; A and AAAA of each host; TLSA at each base domain asked), asked once where it lies; one
referral for each zone on the way, which brings the DS or the proof that there is none; one DNSKEY for each zone of the chain of
trust. Caches are empty, nothing is known but the root's address and key. What comes on top is what a resolver does on its own account.

The real unbound, with a worker's settings, is asked for exactly those RRsets, one after the other. With --settings unbound is also
asked with one setting changed at a time: the cost and, in the last column, what the root and the TLDs are told of the names asked for
beyond the name of the zone they delegate.
"""

import collections
import contextlib
import json
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "system"), str(HERE.parent / "world")]

import dns.flags  # noqa: E402
import dns.message  # noqa: E402
import dns.name  # noqa: E402
import dns.query  # noqa: E402
from dns.rdatatype import CNAME, DS  # noqa: E402

import oracle  # noqa: E402
from conftest import WORLD, Daemon  # noqa: E402
from wiretap import Wiretap  # noqa: E402

DESCRIPTION = json.loads((WORLD / "world.json").read_text())
SCENARIOS = {
    "dane-ee": "signed, own host",
    "provider-customer": "signed, two hosts at a provider",
    "insecure-mx": "unsigned, signed host",
    "insecure-tld": "unsigned, unsigned host",
    "mx-cname-expanded": "host is an alias",
    "plain": "signed, no TLSA",
}
UNBOUND_ADDRESS = "127.53.8.9"
TYPES = ("MX", "A", "AAAA", "TLSA", "DNSKEY", "DS", "NS", "CNAME")
CHANGES = [
    ("qname-minimisation", "no"), ("qname-minimisation-strict", "yes"), ("aggressive-nsec", "yes"), ("harden-referral-path", "yes"),
    ("harden-dnssec-stripped", "no"), ("harden-below-nxdomain", "yes"), ("harden-algo-downgrade", "yes"), ("prefetch-key", "yes"),
    ("trust-anchor-signaling", "no"), ("use-caps-for-id", "yes"), ("target-fetch-policy", "3 2 1 0 0"), ("val-max-restart", "1"),
    ("minimal-responses", "yes"), ("edns-buffer-size", "512"),
]


# ---- the fewest ----

class Authority:
    """The world's servers asked directly."""

    def __init__(self, servers):
        self.servers = servers
        self.zones = {dns.name.from_text(zone): zone for zone in servers}

    def ask(self, zone, name, rdtype):
        return dns.query.tcp(dns.message.make_query(name, rdtype, want_dnssec=True), self.servers[zone], timeout=5)

    def path(self, name):
        """The zones from the root down to the one that holds `name`."""
        name = dns.name.from_text(name)
        return [self.zones[ancestor] for ancestor in sorted(self.zones, key=len) if name.is_subdomain(ancestor)]

    def chain_of_trust(self, name):
        """The zones of the path whose keys a validator needs."""
        zones = self.path(name)
        secure = zones[:1]
        for parent, zone in zip(zones, zones[1:]):
            if not any(rrset.rdtype == DS for rrset in self.ask(parent, zone, "DS").answer):
                break
            secure.append(zone)
        return secure

    def lookups(self, name, rdtype):
        """(zone, name, type) of each query that finds the data of `name`, along its aliases."""
        while True:
            zone = self.path(name)[-1]
            yield zone, name, rdtype
            answer = self.ask(zone, name, rdtype).answer
            aliases = {rrset.name: rrset[0].target for rrset in answer if rrset.rdtype == CNAME}
            target = dns.name.from_text(name)
            while target in aliases:
                target = aliases.pop(target)
            name = target.to_text(omit_final_dot=True)
            if self.path(name)[-1] == zone:  # what was asked for came with the alias
                return


def fewest(authority, questions):
    """zone → type → queries, for a resolver that knows nothing yet."""
    answers = {lookup for question in questions for lookup in authority.lookups(*question)}
    names = {name for _zone, name, _type in answers}
    queries = collections.Counter((zone, rdtype) for zone, _name, rdtype in answers)
    for zones in {tuple(authority.path(name)) for name in names}:
        for parent, zone in zip(zones, zones[1:]):
            queries[parent, f"referral to {zone}"] = 1
    for zone in {zone for name in names for zone in authority.chain_of_trust(name)}:
        queries[zone, "DNSKEY"] = 1
    return queries


def needed(scenario):
    """(name, type) of every RRset that the plan of a scenario rests on (RFC 7672 section 2.2)."""
    hosts = [host["name"] if isinstance(host["name"], str) else host["name"][0] for host in scenario["expect"]["hosts"]]
    yield scenario["domain"], "MX"
    for host in hosts:
        yield host, "A"
        yield host, "AAAA"
    for name, rdtype, _status in scenario["lookups"]:
        if rdtype == "TLSA":
            yield name, rdtype


# ---- who is asked ----

@contextlib.contextmanager
def scratch():
    with tempfile.TemporaryDirectory(prefix="resolverd-queries-") as name:
        yield pathlib.Path(name)


def tapped():
    return Wiretap({address: zone for zone, address in DESCRIPTION["servers"].items()})


def queries_of_resolverd(scenario):
    """Queries of a daemon with one worker from its start to the plan."""
    with scratch() as directory, tapped() as tap:
        daemon = Daemon(directory, resolver__workers="1")
        try:
            daemon.start()
            plan = daemon.ctl("plan", scenario["domain"])[1]
            assert plan["outcome"] in scenario["expect"]["outcome"], plan
            return tap.queries()
        finally:
            daemon.stop(expected=None)


def queries_of_unbound(questions, settings):
    with scratch() as directory, tapped() as tap, oracle.Unbound(WORLD, directory, UNBOUND_ADDRESS, settings):
        for name, rdtype in questions:
            reply = dns.query.udp(dns.message.make_query(name, rdtype, want_dnssec=True), UNBOUND_ADDRESS, timeout=20)
            assert reply.rcode() in (0, 3), reply
        return tap.queries()


# ---- tables ----

def level(zone):
    return "root" if zone == "." else "leaf" if "." in zone else "tld"


def by_level(queries):
    counts = collections.Counter(level(zone) for zone, *_rest in queries)
    return counts["root"], counts["tld"], counts["leaf"], sum(counts.values())


def told_too_much(queries):
    """Queries that tell the root more than a TLD, or a TLD more than a delegated name."""
    labels = {"root": 1, "tld": 2}
    return sum(query.name != "." and query.name.count(".") + 1 > labels[level(query.zone)]
               for query in queries if level(query.zone) in labels and not query.name.startswith("_ta-"))


def by_type(queries):
    counts = collections.Counter(query.type if query.type in TYPES else "other" for query in queries)
    return " ".join(f"{rdtype} {counts[rdtype]}" for rdtype in (*TYPES, "other") if counts[rdtype])


def print_line(label, queries, least, more=""):
    root, tld, leaf, total = by_level(queries)
    print(f"  {label:28} {root:>5} {tld:>4} {leaf:>5} {total:>6}   {total / least:>5.2f}   {more}")


def main():
    scenarios = {scenario["name"]: scenario for scenario in DESCRIPTION["scenarios"]}
    authority = Authority(DESCRIPTION["servers"])
    totals = collections.Counter()
    questions = {}
    print(f"{'queries for one cold plan':30} {'root':>5} {'TLD':>4} {'leaf':>5} {'total':>6}   ratio   by type")
    for name, about in SCENARIOS.items():
        questions[name] = list(needed(scenarios[name]))
        least = list(fewest(authority, questions[name]).elements())
        ours, unbound = queries_of_resolverd(scenarios[name]), queries_of_unbound(questions[name], None)
        print(f"{name}: {about}")
        print_line("fewest", least, len(least))
        print_line("resolverd", ours, len(least), by_type(ours))
        print_line("unbound, the same asked", unbound, len(least), by_type(unbound))
        totals.update(fewest=len(least), resolverd=len(ours), unbound=len(unbound))
    print(f"all: fewest {totals['fewest']}, resolverd {totals['resolverd']} ({totals['resolverd'] / totals['fewest']:.2f}), "
          f"unbound {totals['unbound']} ({totals['unbound'] / totals['fewest']:.2f})")
    if "--settings" in sys.argv:
        print_settings(questions, totals["fewest"])


def print_settings(questions, least):
    print(f"\n{'unbound, all of these, with':30} {'root':>5} {'TLD':>4} {'leaf':>5} {'total':>6}   ratio   root and TLDs told too much")
    ours = oracle.worker_settings()
    variants = [("a worker's settings", ours), ("unbound's defaults", [])]
    variants += [(f"{option}: {value}", ours + [(option, value)]) for option, value in CHANGES]
    for label, settings in variants:
        queries = [query for asked in questions.values() for query in queries_of_unbound(asked, settings)]
        print_line(label, queries, least, f"{told_too_much(queries)}")


if __name__ == "__main__":
    main()

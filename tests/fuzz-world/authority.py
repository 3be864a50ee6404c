# SPDX-License-Identifier: BSD-3-Clause
"""What the name servers of a generated world hold and what they do wrong, from the zone data alone.

A zone here is one entry of `zones` in world.json (tests/world/README.md). It answers a question as RFC 1034 section 4.3.2 says, with
wildcards by RFC 4592 and DNAME by RFC 6672.
"""

import dataclasses

import dns.name
import dns.rdata
import dns.rdatatype
from dns.rdatatype import CNAME, DNAME

NEGATIVE_TTL = 300
SIGNATURE_LIFE = {"good": 1 << 31, "1800s": 1800}  # of those that are valid; seconds from the start of the world
DENIAL_RECORD = {"nsec": "NSEC", "nsec3": "NSEC3", "optout": "NSEC3"}


@dataclasses.dataclass(frozen=True)
class Answer:
    """`kind` is "data", "alias", "nodata" or "nxdomain"."""

    kind: str
    rdtype: int = 0  # of the RRset that was found
    records: tuple = ()  # "data": the RRset
    target: dns.name.Name = None  # "alias": where it leads
    dname: dns.name.Name = None  # "alias": the owner of the DNAME that it was made of
    wildcard: bool = False  # made from a wildcard
    is_empty: bool = False  # "nodata": from a name that has no records at all


def parse_name(text):
    return dns.name.from_text(text, dns.name.root)


class Zone:
    def __init__(self, described):
        self.name = parse_name(described["name"])
        self.sign = described["sign"]
        self.ds = described["ds"]
        self.signature = described["signature"]
        self.ttl = described["ttl"]
        self.is_silent = described["server"] == "nobody"
        self.faults = [self._fault(text.split()) for text in described["faults"]]
        self.rrsets = {}
        for line in described["records"]:
            owner, rdtype, data = line.split(maxsplit=2)
            self.add(self.absolute(owner), rdtype, data)
        self.add(self.name, "SOA", f"ns hostmaster 1 1 1 1 {self.ttl_of('SOA')}")
        self.add(self.name, "NS", "ns")
        self.add(self.absolute("ns"), "A", described["address"] or "127.0.0.1")

    def add(self, owner, rdtype, data):
        rdata = dns.rdata.from_text("IN", rdtype, data, self.name, relativize=False)
        records = self.rrsets.setdefault((owner, rdata.rdtype), [])
        if rdata not in records:  # RFC 2181 section 5
            records.append(rdata)

    def complete(self):
        """To be called when all delegations have been added."""
        self.names = {self.name}
        for owner, _rdtype in self.rrsets:
            while owner not in self.names:  # empty non-terminals exist too (RFC 4592 section 2.2.2)
                self.names.add(owner)
                owner = owner.parent()

    def absolute(self, owner):
        return dns.name.from_text(owner if owner != "@" else "", self.name)

    def _fault(self, words):
        owner, rdtype, action = words
        return None if owner == "*" else self.absolute(owner), rdtype, action

    def ttl_of(self, rdtype):
        return min(self.ttl, NEGATIVE_TTL) if rdtype in ("SOA", "NSEC", "NSEC3") else self.ttl

    def fault(self, name, rdtype):
        """What the server does to this query instead of answering it well; "" for nothing."""
        for owner, fault_type, action in self.faults:
            if owner in (None, name) and fault_type in ("*", dns.rdatatype.to_text(rdtype)):
                return action
        return ""

    def second_alias(self, name):
        """The target that a double-cname adds to what is said of this name."""
        targets = [action.partition(":")[2] for owner, _rdtype, action in self.faults if owner in (None, name) and ":" in action]
        return next((parse_name(target) for target in targets if not target.isdigit()), None)

    def signature_life(self, rdtype):
        """For how long the RRSIGs of this zone's RRsets of one type are valid; 0 when they are not valid now."""
        return SIGNATURE_LIFE.get(self.signature.get(rdtype, self.signature.get("*", "good")), 0)

    def types_in(self, answer):
        """What RRsets the answer consists of, the proofs (RFC 4035 section 3.1.3, RFC 5155 section 7.2) included."""
        is_negative = answer.kind in ("nodata", "nxdomain")
        types = ["SOA" if is_negative else dns.rdatatype.to_text(answer.rdtype)]
        if self.sign != "none" and (is_negative or answer.wildcard):
            types.append(DENIAL_RECORD[self.sign])
        return types

    def answer(self, name, rdtype):
        for depth in range(len(self.name), len(name)):
            owner = name.split(depth)[1]
            if (owner, DNAME) in self.rrsets:
                (dname,) = self.rrsets[owner, DNAME]
                return Answer("alias", DNAME, target=name.relativize(owner).derelativize(dname.target), dname=owner)
        if name in self.names:
            return self._at(name, rdtype, wildcard=False)
        encloser = name.parent()
        while encloser not in self.names:
            encloser = encloser.parent()
        source = dns.name.Name((b"*", *encloser.labels))
        return self._at(source, rdtype, wildcard=True) if source in self.names else Answer("nxdomain")

    def _at(self, owner, rdtype, wildcard):
        if (owner, rdtype) in self.rrsets:
            return Answer("data", rdtype, tuple(self.rrsets[owner, rdtype]), wildcard=wildcard)
        if (owner, CNAME) in self.rrsets:
            (cname,) = self.rrsets[owner, CNAME]
            return Answer("alias", CNAME, target=cname.target, wildcard=wildcard)
        return Answer("nodata", wildcard=wildcard, is_empty=owner not in (name for name, _rdtype in self.rrsets))


class Zones:
    """Every zone of the world, the root included."""

    def __init__(self, described):
        root = {"name": ".", "sign": "nsec", "ds": "good", "signature": {}, "ttl": 3600, "server": "nsd", "faults": [],
                "records": [], "address": ""}
        self.by_name = {zone.name: zone for zone in map(Zone, [root, *described])}
        for zone in self.by_name.values():
            if zone.name != dns.name.root:
                self.parent(zone).add(zone.name, "NS", f"ns.{zone.name}")
        for zone in self.by_name.values():
            zone.complete()

    def parent(self, zone):
        return self.of(zone.name.parent())

    def of(self, name):
        """The zone that has authority over a name."""
        while name not in self.by_name:
            name = name.parent()
        return self.by_name[name]

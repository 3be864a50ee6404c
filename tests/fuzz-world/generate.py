#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes a random world: zones in the form of tests/world/domains.json, and the next hops to ask for.

    generate.py --seed 7 --count 400 > world.json

It composes records and faults, and does not know what follows from them: that is the affair of reference.py. The same seed makes the
same world (but for keys, certificates and the time).
"""

import argparse
import json
import random
import sys

TLDS = {
    "org": {"sign": "optout"}, "com": {"sign": "nsec3"}, "net": {"sign": "nsec"},
    "nl": {"sign": "nsec3", "salt": "aabb"}, "biz": {"sign": "none"},
}
SIGNED_TLDS = ["org", "com", "net", "nl"]
ODD_LABELS = [
    "MX.Upper", "under_score", r"dot\.inside", r"back\\slash", r"sp\032ace", r"high\255byte", r"quo\"te", r"semi\;colon",
    r"paren\(thesis\)", r"at\@sign", r"dollar\$", "l" * 63, "-", "xn--bcher-kva", "0", r"nul\000", r"tab\009", "deep.er.and.deep.er",
]
PORTS = {25: 30, 465: 2, 587: 2, 2525: 2, 1: 1, 65535: 1}
ADDRESS_HOSTS = ["192.0.2.1.", "127.25.9.9.", "1.", r"2001:db8::1."]

FAULT_TYPES = {"MX": 1, "A": 2, "AAAA": 2, "TLSA": 4, "CNAME": 1, "*": 2}
QUICK_FAULTS = {
    "servfail": 6, "refused": 3, "notimp": 2, "formerr": 2, "malformed": 2, "tc": 3, "tc-no-tcp": 1, "strip-rrsig": 4, "strip-denial": 4,
    "delay:80": 2, "set-ad": 2,
}
SIGNED_TYPES = {"*": 2, "MX": 3, "A": 3, "AAAA": 3, "TLSA": 4, "CNAME": 4, "DNAME": 1, "NSEC": 2, "NSEC3": 2, "DNSKEY": 1, "DS": 1}
SIGNATURES = {"expired": 4, "future": 2, "forged": 3, "1800s": 3}


class Generator:
    """The parts refer to names of each other that need not exist yet, or at all."""

    def __init__(self, seed, count):
        self.seed = seed
        self.random = random.Random(seed)
        self.count = count
        self.zones = {}
        self.questions = []
        self.providers = [f"p{n}.{self.tld()}" for n in range(max(8, count // 8))]

    def pick(self, values):
        """One of a list, or of a dictionary's keys by their weights."""
        return self.random.choices(list(values), list(values.values()) if isinstance(values, dict) else None)[0]

    def chance(self, probability):
        return self.random.random() < probability

    def tld(self):
        return self.pick(SIGNED_TLDS) if self.chance(0.85) else "biz"

    def world(self):
        for name in self.providers:
            self.provider(name)
        for number in range(self.count):
            self.domain(number)
        return {
            "seed": self.seed, "tlds": TLDS, "shared": self.zones, "scenarios": [],
            "insecure_mx_policy": self.pick({"dane": 4, "opportunistic": 1, "unreachable": 1}),
            "digests": self.pick({"sha512 sha256": 4, "sha256 sha512": 1, "sha256": 1, "sha512": 1}).split(),
            "questions": self.questions,
        }

    # ---- zones ----

    def zone(self, name, records, signed=0.85, may_fault=True, may_time_out=False):
        """Adds a zone with these records, signed and served more or less well. Timeouts are rare: the run waits for each."""
        zone = {"records": list(dict.fromkeys(records)), "ttl": self.pick({300: 12, 3600: 3, 30: 3, 3: 1, 0: 2})}
        if self.chance(signed):
            zone["sign"] = self.pick({"nsec": 5, "nsec3": 4, "optout": 2})
            if zone["sign"] != "nsec" and self.chance(0.5):
                zone["salt"] = "c0ffee"
            zone["ds"] = self.pick({"good": 40, "none": 2, "wrong": 1, "unknown-algorithm": 1, "unknown-digest": 1})
            if self.chance(0.2):
                zone["signature"] = self.signatures(SIGNED_TYPES | ({"SOA": 1} if may_fault else {}))
        else:
            zone["sign"] = "none"
        if may_fault and self.chance(0.3):
            zone["faults"] = [self.fault(records) for _ in range(self.pick({1: 4, 2: 2, 3: 1}))]
        if may_time_out and self.chance(0.02):
            owner, _rdtype = self.owner_and_type(records)
            zone["faults"] = [self.pick([f"{owner} A drop", f"{owner} AAAA drop", "* TLSA drop", "@ MX drop", "* * drop"])]
        if may_time_out and self.chance(0.003):
            zone["server"] = "nobody"
        self.zones[name] = zone

    def signatures(self, types):
        return {self.pick(types): self.pick(SIGNATURES) for _ in range(self.pick({1: 4, 2: 1}))}

    def owner_and_type(self, records):
        """Of some record. An owner "*…" means more than one name in a fault, so it is none of these."""
        return self.pick([record for record in records if record[0] != "*"] or ["@ MX"]).split()[:2]

    def fault(self, records):
        """A rule of front.py, mostly about a name that the zone has."""
        owner, rdtype = self.owner_and_type(records)
        if rdtype == "CNAME" and self.chance(0.15):
            return f"{owner} * double-cname:h0.{self.pick(self.providers)}."
        if self.chance(0.03):
            return f"@ DNSKEY {self.pick(['servfail', 'refused', 'strip-rrsig', 'tc'])}"
        owner = owner if self.chance(0.6) else "*"
        fault_type = rdtype if rdtype in FAULT_TYPES and self.chance(0.5) else self.pick(FAULT_TYPES)
        return f"{owner} {fault_type} {self.pick(QUICK_FAULTS)}"

    def provider(self, name):
        """A zone others point to: hosts, aliases, shared TLSA records, MX records of its own."""
        records = [f"@ MX 10 h{n}" for n in range(self.pick({1: 2, 2: 2}))] if self.chance(0.8) else ["@ MX 0 ."]
        for number in range(3):
            records += self.host(f"h{number}", 25)
        records += [f"a{number} CNAME {self.target()}" for number in range(3)]
        records += self.tlsa("_tlsa", "leaf:shared.example")
        if self.chance(0.5):
            records.append(f"d DNAME {self.pick(self.providers)}.")
        self.zone(name, records)

    # ---- hosts ----

    def target(self):
        """A name elsewhere that an alias or an MX may point to."""
        provider = self.pick(self.providers)
        label = self.pick({"h0": 6, "h1": 6, "h2": 6, "a0": 3, "a1": 2, "a2": 2, "h1.d": 2, "a1.d": 1, "gone": 1, "": 1})
        return f"{label}.{provider}.".lstrip(".")

    def host(self, label, port):
        """Addresses and TLSA records of a host, or what stands in their place."""
        records = []
        shape = self.pick({"a": 8, "aaaa": 3, "both": 8, "many": 1, "alias": 4, "alias-home": 3, "chain": 0.5, "none": 1, "text": 1})
        if shape in ("a", "both"):
            records.append(f"{label} A auto")
        if shape in ("aaaa", "both"):
            records.append(f"{label} AAAA auto")
        if shape == "many":
            records += [f"{label} {rdtype} auto{n}" for rdtype in ("A", "AAAA") for n in range(self.random.randrange(6, 14))]
        if shape == "alias":
            records.append(f"{label} CNAME {self.target()}")
        if shape == "chain":
            hops = [label, *(f"hop{n}.{label}".replace("*", "star") for n in range(self.random.randrange(2, 14)))]
            records += [f"{hop} CNAME {following}" for hop, following in zip(hops, hops[1:])]
            records.append(f"{hops[-1]} {self.pick(['A auto', 'TXT nothing', f'CNAME {label}', f'CNAME {self.target()}'])}")
        if shape == "alias-home":
            home = f"home-{label}".replace("*", "star")[:40].rstrip("\\")
            records += [f"{label} CNAME {home}", *self.host(home, port)]
        if shape == "text":
            records.append(f"{label} TXT nothing")
        return records + self.tlsa_of(label, port)

    def tlsa_of(self, label, port):
        at = "" if label == "@" else f".{label}"
        owner = f"_{port}._tcp{at}"
        shape = self.pick({"records": 10, "none": 5, "alias": 2, "alias-home": 1, "wildcard": 2, "text": 1, "other-port": 1, "gone": 1})
        if shape == "records":
            return self.tlsa(owner)
        if shape == "alias":
            return [f"{owner} CNAME _tlsa.{self.pick(self.providers)}."]
        if shape == "alias-home":
            return [f"{owner} CNAME shared{at}", *self.tlsa(f"shared{at}")]
        if shape == "wildcard":
            alias = f"*._tcp{at} CNAME _tlsa.{self.pick(self.providers)}."
            return [alias] if self.chance(0.2) else self.tlsa(f"*._tcp{at}")
        if shape == "other-port":
            return self.tlsa(f"_{port % 65535 + 1}._tcp{at}")
        if shape == "gone":
            return [f"{owner} CNAME nowhere"]
        return [f"{owner} TXT here"] if shape == "text" else []

    def tlsa(self, owner, leaf="leaf"):
        """A TLSA RRset of any make."""
        if self.chance(0.02):
            return [f"{owner} TLSA 3 1 1 nothing:{n}" for n in range(self.pick([32, 33, 40]))]
        count = self.pick({1: 6, 2: 4, 3: 2, 6: 1})
        return [f"{owner} TLSA {self.tlsa_record(leaf)}" for _ in range(count)]

    def tlsa_record(self, leaf):
        usage = self.pick({3: 8, 2: 4, 0: 1, 1: 1, 4: 1, 255: 1})
        selector = self.pick({1: 6, 0: 4, 2: 1, 255: 1})
        matching_type = self.pick({1: 6, 2: 4, 0: 2, 3: 1, 255: 1})
        data = [leaf, "ca", "spare:0", "spare:1"]
        if matching_type in (1, 2):
            data += [f"nothing:{n}" for n in range(4)]
        if self.chance(0.2):
            length = self.pick([1, 5, 20, 31, 32, 33, 63, 64, 65, 200])
            data = [f"hex:{self.random.randbytes(length).hex()}", "hex:3003020101", "hex:30820000"]
        return f"{usage} {selector} {matching_type} {self.pick(data)}"

    # ---- mail domains ----

    def domain(self, number):
        """A zone with a mail domain in it, and the question for that domain."""
        zone, port = f"d{number}.{self.tld()}", self.pick(PORTS)
        at, records = "@", []
        shape = self.pick({"apex": 16, "alias": 4, "alias-home": 1, "wildcard": 1, "dname": 1, "gone": 1, "odd": 1, "host": 3,
                           "address": 0.3})
        if shape == "wildcard":
            at = "*.w"
        if shape == "odd":
            at = self.pick(ODD_LABELS)
        if shape == "alias-home":
            at = "home"
            records.append("mail CNAME home")
        if shape == "alias":
            records.append(f"mail CNAME {self.target()}")
        if shape == "dname":
            records.append(f"mail DNAME {self.pick(self.providers)}.")
        subzone = self.pick({"": 16, "sub": 2, "_tcp.mx0": 1})  # zones with one below are served well: its answers come that way too
        records += self.mail(at, zone, port, subzone)
        if subzone:
            records = [record for record in records if not record.split()[0].endswith(subzone)]
            below = self.host("mx", port) if subzone == "sub" else self.tlsa(f"_{port}")
            self.zone(f"{subzone}.{zone}", below, signed=0.6, may_fault=False)
        self.zone(zone, records, may_fault=not subzone, may_time_out=not subzone)
        name = {"wildcard": f"any.w.{zone}", "alias": f"mail.{zone}", "alias-home": f"mail.{zone}", "dname": f"h1.mail.{zone}",
                "gone": f"gone.{zone}", "odd": f"{at}.{zone}", "host": f"[mx0.{zone}]", "address": self.pick(["[127.0.0.1]", "[::1]"])}
        self.questions.append([name.get(shape, zone), port])

    def mail(self, at, zone, port, subzone):
        """MX records and the hosts they name."""
        records = []
        shape = self.pick({"mx": 20, "none": 3, "null": 1, "null-odd": 0.5, "many": 0.5, "nothing": 0.5})
        if shape == "none":
            return self.host(at, port) if at != "@" else [f"@ {self.pick(['A', 'AAAA'])} auto", *self.tlsa_of("@", port)]
        if shape == "nothing":
            return [f"{at} TXT nothing", *self.host("mx0", port)]
        if shape in ("null", "null-odd"):
            return [f"{at} MX {0 if shape == 'null' else 10} .", "@ A auto", *self.tlsa_of("@", port)]
        count = self.pick([15, 16, 17, 20, 70]) if shape == "many" else self.pick({1: 8, 2: 6, 3: 3, 5: 1})
        for number in range(count):
            preference = self.pick([0, 10, 10, 20, 65535])
            target, more = self.exchange(number, zone, port, subzone)
            records += [f"{at} MX {preference} {target}", *more]
        if self.chance(0.05):
            records.append(f"{at} MX 0 .")
        return records

    def exchange(self, number, zone, port, subzone):
        """(MX target, records it needs in the zone)"""
        if subzone == "sub" and self.chance(0.5):
            return "mx.sub", []
        shape = self.pick({"own": 10, "elsewhere": 8, "odd": 2, "apex": 1, "gone": 1, "wildcard": 1, "star": 0.2, "address": 0.5,
                           "long": 0.3, "tld": 0.2})
        label = f"mx{number}"
        if shape == "elsewhere":
            return self.target(), []
        if shape == "apex":
            return "@", [] if number else ["@ A auto", *self.tlsa_of("@", port)]
        if shape == "gone":
            return "gone", []
        if shape == "wildcard":
            return f"any.{label}", self.host(f"*.{label}", port)
        if shape == "star":
            return f"*.{label}", self.host(f"*.{label}", port)
        if shape == "address":
            return self.pick(ADDRESS_HOSTS), []
        if shape == "tld":
            return self.tld() + ".", []
        if shape == "odd":
            label = f"{self.pick(ODD_LABELS)}.{label}"
        if shape == "long":  # so long that no room is left for _25._tcp
            room = 250 - len(f".{zone}.")
            label = ".".join(["x" * 49] * 4) + "." + label
            label = "y" * (room - len(label) - 1) + "." + label
            return label, [f"{label} A auto"]
        return label, self.host(label, port)


def main():
    parser = argparse.ArgumentParser(description="Make a random world.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=400, help="mail domains")
    arguments = parser.parse_args()
    json.dump(Generator(arguments.seed, arguments.count).world(), sys.stdout, indent=1)


if __name__ == "__main__":
    main()

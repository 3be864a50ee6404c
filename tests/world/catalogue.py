# SPDX-License-Identifier: BSD-3-Clause
"""Reads domains.json: the zones of the world, and the scenarios that live in them."""

import dataclasses
import json
import pathlib
import re

import expectations
from certs import host_of

DATA_FILE = pathlib.Path(__file__).with_name("domains.json")
ZONE_OPTIONS = {"sign", "ds", "signature", "salt", "ttl", "algorithm", "server", "faults", "records"}
SCENARIO_OPTIONS = {"name", "domain", "port", "about", "cases", "zones", "expect", "lookups", "oracle"}
REPEAT = re.compile(r"\{(\d+)-(\d+)\}")


@dataclasses.dataclass
class Zone:
    """One zone as domains.json describes it, with all of its records spelled out but not yet signed."""

    name: str
    sign: str = "nsec"  # nsec, nsec3, optout, none
    ds: str = "good"  # good, wrong, none, unknown-algorithm, unknown-digest, unused-algorithm
    signature: dict = dataclasses.field(default_factory=dict)  # type or "*" → good, expired, future, forged, 1800s, parents-wildcard
    salt: str = ""
    ttl: int = 300
    algorithm: int = 13
    server: str = "front"  # front (logged, may be faulty), nsd (asked directly), nobody (nothing listens there), self (0.0.0.0)
    faults: list = dataclasses.field(default_factory=list)  # "OWNER TYPE ACTION", see front.py
    records: list = dataclasses.field(default_factory=list)
    address: str = ""  # of its name server

    @property
    def is_signed(self):
        return self.sign != "none"

    def absolute(self, owner):
        """The full name, without trailing dot, of an owner as it is written in this zone."""
        if owner == "@":
            return self.name
        return owner[:-1] if owner.endswith(".") else f"{owner}.{self.name}"


class Addresses:
    """Hands out the mail hosts' addresses, in the order of domains.json."""

    def __init__(self):
        self.hosts = {}
        self.count = 0

    def next(self, host, rdtype):
        number = self.count
        self.count += 1
        if rdtype == "A":
            address = f"127.25.{number // 250}.{number % 250 + 1}"
        else:
            address = f"2001:db8:25::{number + 1:x}"
        self.hosts.setdefault(host, []).append(address)
        return address


class Catalogue:
    """All zones below the root, and all scenarios with complete expectations."""

    def __init__(self, authority, data_file):
        self.authority = authority
        self.addresses = Addresses()
        data = json.loads(data_file.read_text())
        self.tlds = [self._zone(name, {"server": "nsd"} | options) for name, options in data["tlds"].items()]
        self.zones = [self._zone(name, options) for name, options in data["shared"].items()]
        self.scenarios = []
        for row in data["scenarios"]:
            unknown = row.keys() - SCENARIO_OPTIONS
            if unknown:
                raise ValueError(f"scenario {row['name']}: unknown keys {unknown}")
            self.zones += [self._zone(name, options) for name, options in row.get("zones", {}).items()]
            self.scenarios.append(self._scenario(row))

    def _scenario(self, row):
        hosts = row["expect"].get("hosts", [])
        row["expect"]["hosts"] = [json.loads(text) for host in hosts for text in repeated(json.dumps(host))]
        expect = expectations.complete(row)
        return {
            "name": row["name"],
            "domain": row["domain"],
            "port": row.get("port", 25),
            "about": row["about"],
            "cases": row["cases"],
            "expect": expect,
            "lookups": list(expectations.lookups(row, expect)),
            "oracle": row.get("oracle", True),
        }

    def _zone(self, name, options):
        unknown = options.keys() - ZONE_OPTIONS
        if unknown:
            raise ValueError(f"zone {name}: unknown keys {unknown}")
        zone = Zone(name=name, **{key: value for key, value in options.items() if key != "records"})
        for record in options.get("records", []):
            zone.records += [self._record(zone, line) for line in repeated(record)]
        return zone

    def _record(self, zone, line):
        """Replaces what domains.json leaves open: addresses, and what a TLSA record pins."""
        words = line.split()
        rdtype = words[1]
        owner = zone.absolute(words[0])
        if rdtype in ("A", "AAAA") and words[2].startswith("auto"):
            self.authority.leaf(owner)
            words[2] = self.addresses.next(owner, rdtype)
        elif rdtype == "TLSA":
            selector, matching_type, what = words[3:]
            if "._tcp." in f".{owner}":
                self.authority.leaf(host_of(owner))
            words[5] = self.authority.tlsa_data(what, owner, int(selector), int(matching_type))
        return " ".join(words)


def repeated(record):
    """`host{1-3} A auto` stands for three records; the number can be used again as `{}`."""
    found = REPEAT.search(record)
    if not found:
        return [record]
    first, last = int(found[1]), int(found[2])
    return [REPEAT.sub(str(n), record).replace("{}", str(n)) for n in range(first, last + 1)]

# SPDX-License-Identifier: BSD-3-Clause
"""Turns the catalogue into files: signed zones with real delegations, NSD's and the front's configuration, the trust anchor.

    127.53.0.1       root            NSD
    127.53.1.N       TLDs            NSD
    127.53.2.1       every leaf zone NSD, the front's backend
    127.53.2.N       leaf zones that are asked directly; many of them share addresses
    127.53.3.N       leaf zones behind the front; one address each, so that the faults of one can't taint another
    127.53.9.9       nobody
    0.0.0.0          on Linux, the resolver's own host
"""

import collections
import json

import dns.name
import dns.rdata
import dns.rrset

import signer

ROOT_ADDRESS = "127.53.0.1"
BACKEND_ADDRESS = "127.53.2.1"
NOBODY_ADDRESS = "127.53.9.9"
SELF_ADDRESS = "0.0.0.0"
DIRECT_ADDRESSES = 250
ROOT_SERVER = "ns.root-server."
ROOT_TTL = 3600

NSD_CONFIG = """\
server:
    server-count: 1
    username: ""
    chroot: ""
    database: ""
    hide-version: yes
    rrl-ratelimit: 0
    confine-to-zone: yes
    minimal-responses: yes
    tcp-count: 1000
    zonesdir: "{directory}"
    pidfile: "{directory}/nsd.pid"
    xfrdfile: "{directory}/xfrd.state"
    xfrdir: "{directory}"
    zonelistfile: "{directory}/zone.list"
    logfile: "{directory}/nsd.log"
{addresses}
remote-control:
    control-enable: no
{zones}
"""


class Hierarchy:
    """Everything below one directory; `write` makes it."""

    def __init__(self, catalogue, bulk, directory):
        self.directory = directory
        self.tlds = catalogue.tlds
        self.leaves = catalogue.zones
        self.keys = {}
        self.children = collections.defaultdict(list)  # zones by the one directly above
        self.by_name = {zone.name: zone for zone in self.tlds + self.leaves}
        if bulk:
            self._add_bulk(bulk)
        self._assign_addresses()

    def _add_bulk(self, count):
        """d00001.bulk.net and so on: domains without a zone of their own, all at one mail provider."""
        width = max(5, len(str(count)))
        for number in range(1, count + 1):
            for preference, host in ((10, "mx1"), (20, "mx2")):
                self.by_name["bulk.net"].records.append(f"d{number:0{width}} MX {preference} {host}.provider.net.")

    def _assign_addresses(self):
        for number, zone in enumerate(self.tlds, 1):
            zone.address = f"127.53.1.{number}"
        direct, fronted = 1, 0
        for zone in self.leaves:
            if zone.server == "nobody":
                zone.address = NOBODY_ADDRESS
            elif zone.server == "self":
                zone.address = SELF_ADDRESS
            elif zone.server == "nsd":
                direct += 1
                zone.address = f"127.53.2.{(direct - 1) % DIRECT_ADDRESSES + 1}"
            else:
                fronted += 1
                zone.address = f"127.53.{3 + fronted // 250}.{fronted % 250 + 1}"

    def write(self):
        """Writes it all and returns the configuration files of the NSD processes."""
        for zone in self.by_name.values():
            if zone.is_signed:
                self.keys[zone.name] = signer.Key(_name(zone.name), zone.algorithm)
        self.keys["."] = signer.Key(dns.name.root)
        self._write_keys()
        self._write_anchor()
        self._write_front()
        return [
            self._write_nsd("root", [ROOT_ADDRESS], {".": self._root_text()}),
            self._write_nsd("tld", [zone.address for zone in self.tlds], self._texts(self.tlds)),
            self._write_nsd("leaf", self._leaf_addresses(), self._texts(self.leaves)),
        ]

    def _leaf_addresses(self):
        return list(dict.fromkeys([BACKEND_ADDRESS, *(zone.address for zone in self.leaves if zone.server == "nsd")]))

    def _texts(self, zones):
        return {zone.name: self._zone_text(zone) for zone in zones}

    def _parent(self, name):
        """The name of the closest zone above."""
        while "." in name:
            name = name.partition(".")[2]
            if name in self.by_name:
                return name
        return "."

    def _delegations(self, parent):
        """NS, glue and DS records of the zones directly below, in zone-file syntax."""
        if not self.children:
            for zone in self.by_name.values():
                self.children[self._parent(zone.name)].append(zone)
        lines = []
        for zone in self.children[parent]:
            ttl = min(zone.ttl, ROOT_TTL)
            lines.append(f"{zone.name}. {ttl} IN NS ns.{zone.name}.")
            lines.append(f"ns.{zone.name}. {ttl} IN A {zone.address}")
            if zone.is_signed and zone.ds != "none":
                kinds = ("good", zone.ds) if zone.ds == "unused-algorithm" else (zone.ds,)
                lines += [f"{zone.name}. {ttl} IN DS {self.keys[zone.name].ds(kind)}" for kind in kinds]
        return lines

    def _root_text(self):
        lines = [
            f". IN SOA {ROOT_SERVER} hostmaster{ROOT_SERVER[2:]} 1 1800 900 604800 300",
            f". IN NS {ROOT_SERVER}",
            f"{ROOT_SERVER} IN A {ROOT_ADDRESS}",
        ] + self._delegations(".")
        rrsets = _parse(lines, dns.name.root, ROOT_TTL)
        return signer.SignedZone(dns.name.root, rrsets, self.keys["."], "nsec", {}).text()

    def _zone_text(self, zone):
        return zone_text(zone, self.keys.get(zone.name), self._delegations(zone.name))

    def _write_nsd(self, role, addresses, texts):
        directory = self.directory / role
        directory.mkdir()
        stanzas = []
        for name, text in texts.items():
            file_name = "root.zone" if name == "." else f"{name}.zone"
            (directory / file_name).write_text(text)
            stanzas.append(f'zone:\n    name: "{name}"\n    zonefile: "{file_name}"')
        config = directory / "nsd.conf"
        lines = "\n".join(f"    ip-address: {address}" for address in addresses)
        config.write_text(NSD_CONFIG.format(directory=directory, addresses=lines, zones="\n".join(stanzas)))
        return config

    def _write_front(self):
        servers = {}
        for zone in self.leaves:
            if zone.server == "front":
                rules = [fault.split() for fault in zone.faults]
                servers[zone.address] = [
                    [owner if owner == "*" else _canonical(zone.absolute(owner)), rdtype, action]
                    for owner, rdtype, action in rules
                ]
        config = {
            "backend": BACKEND_ADDRESS,
            "log": str(self.directory / "queries.log"),
            "switched": str(self.directory / "faults"),
            "servers": servers,
        }
        (self.directory / "front.json").write_text(json.dumps(config, indent=1))

    def _write_keys(self):
        """Of the leaf zones, for tests that change one: see live.py."""
        directory = self.directory / "keys"
        directory.mkdir()
        for zone in self.leaves:
            if zone.is_signed:
                (directory / f"{zone.name}.pem").write_bytes(self.keys[zone.name].pem())

    def _write_anchor(self):
        (self.directory / "root.hints").write_text(
            f". {ROOT_TTL} IN NS {ROOT_SERVER}\n{ROOT_SERVER} {ROOT_TTL} IN A {ROOT_ADDRESS}\n"
        )
        (self.directory / "root.key").write_text(f". {ROOT_TTL} IN DS {self.keys['.'].ds()}\n")

    def servers(self):
        """zone → address of its name server."""
        return {".": ROOT_ADDRESS} | {name: zone.address for name, zone in self.by_name.items()}


def zone_text(zone, key, delegations=(), serial=1):
    """What NSD is to serve of a zone below the root."""
    lines = [
        f"@ IN SOA ns.{zone.name}. hostmaster.{zone.name}. {serial} 1800 900 604800 {min(zone.ttl, 300)}",
        f"@ IN NS ns.{zone.name}.",
        f"ns IN A {zone.address}",
        *delegations,
        *zone.records,
    ]
    name = _name(zone.name)
    rrsets = _parse(lines, name, zone.ttl)
    if not zone.is_signed:
        return "\n".join(rrset.to_text() for rrset in rrsets) + "\n"
    return signer.SignedZone(name, rrsets, key, zone.sign, zone.signature, bytes.fromhex(zone.salt)).text()


def _name(text):
    return dns.name.from_text(text, dns.name.root)


def _canonical(text):
    """As the front writes the names it is asked for."""
    return _name(text).to_text(omit_final_dot=True).lower()


def _parse(lines, origin, default_ttl):
    """RRsets of records "OWNER [TTL] [IN] TYPE DATA". (dnspython's zone reader needs quadratic time for a list of RRsets.)"""
    rrsets = {}
    for line in lines:
        owner, *words = line.split()
        ttl = int(words.pop(0)) if words[0].isdigit() else default_ttl
        if words[0] == "IN":
            words.pop(0)
        name = origin if owner == "@" else dns.name.from_text(owner, origin)
        rdata = dns.rdata.from_text("IN", words[0], " ".join(words[1:]), origin, relativize=False)
        rrset = rrsets.setdefault((name, rdata.rdtype), dns.rrset.RRset(name, rdata.rdclass, rdata.rdtype))
        rrset.add(rdata, ttl)
    return list(rrsets.values())

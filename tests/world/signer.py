# SPDX-License-Identifier: BSD-3-Clause
"""Signs one zone: keys, DS records, RRSIGs, and NSEC or NSEC3 chains.

Every RRset can get its own validity window and its own damage, which no off-the-shelf signer offers; that is why the world
signs for itself. The result is plain zone-file text for NSD.
"""

import hashlib
import struct
import time

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from dns.rdatatype import DNSKEY, DS, NS, NSEC, NSEC3, NSEC3PARAM, SOA
from dns.rdtypes.ANY.RRSIG import RRSIG

IN = dns.rdataclass.IN
RSASHA256 = 8
ECDSAP256SHA256 = 13
ED448 = 16
NSEC3_SHA1 = 1
NSEC3_OPT_OUT = 1
HOUR = 3600
DAY = 24 * HOUR


def windows(now):
    """Named validity windows (inception, expiration) a zone may ask for."""
    return {
        "good": (now - HOUR, now + 14 * DAY),
        "forged": (now - HOUR, now + 14 * DAY),
        "parents-wildcard": (now - HOUR, now + 14 * DAY),
        "expired": (now - 30 * DAY, now - HOUR),
        "future": (now + DAY, now + 14 * DAY),
        "1800s": (now - HOUR, now + 1800),
    }


class Key:
    """A combined signing key (flags 257) of one zone."""

    def __init__(self, zone_name, algorithm=ECDSAP256SHA256, private=None):
        self.algorithm = algorithm
        self.zone_name = zone_name
        if private:
            self.private = private
        elif algorithm == ED448:
            self.private = ed448.Ed448PrivateKey.generate()
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())
        self.dnskey = dns.dnssec.make_dnskey(self.private.public_key(), algorithm, flags=257)
        self.tag = dns.dnssec.key_id(self.dnskey)

    def pem(self):
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def ds(self, kind="good"):
        """The DS record for the parent; `kind` says what is wrong with it."""
        digest = dns.dnssec.make_ds(self.zone_name, self.dnskey, "SHA256").digest
        tag, algorithm, digest_type = self.tag, self.algorithm, 2
        if kind == "wrong":
            digest = hashlib.sha256(b"no key has this digest " + digest).digest()
        elif kind == "unknown-algorithm":
            algorithm = 200
        elif kind == "unknown-digest":
            digest_type = 200
        elif kind == "unused-algorithm":
            tag, algorithm = (self.tag + 1) & 0xFFFF, RSASHA256
        return dns.rdata.from_text(IN, DS, f"{tag} {algorithm} {digest_type} {digest.hex()}")

    def sign(self, data):
        if self.algorithm == ED448:
            return self.private.sign(data)
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def rrsig(self, rrset, inception, expiration, owner=None):
        """RFC 4034 section 3.1.8.1. (dnspython 2.3 counts the label of a wildcard, so it can't sign one.) Signed as if of `owner`."""
        owner = owner or rrset.name
        labels = len(owner) - 1 - owner.is_wild()
        fixed = struct.pack(
            "!HBBIIIH", rrset.rdtype, self.algorithm, labels, rrset.ttl, expiration, inception, self.tag
        )
        owner = owner.to_digestable()
        data = [fixed, self.zone_name.to_digestable()]
        for wire in sorted(rdata.to_digestable() for rdata in rrset):
            data.append(owner + struct.pack("!HHIH", rrset.rdtype, rrset.rdclass, rrset.ttl, len(wire)) + wire)
        return RRSIG(
            IN, dns.rdatatype.RRSIG, rrset.rdtype, self.algorithm, labels, rrset.ttl, expiration, inception, self.tag,
            self.zone_name, self.sign(b"".join(data)),
        )


class SignedZone:
    """Adds DNSKEY, NSEC or NSEC3 and RRSIGs to the RRsets of one zone.

    `mode` is "nsec", "nsec3" or "optout"; `signature` maps a type name (or "*") to a window name of `windows`.
    """

    def __init__(self, name, rrsets, key, mode, signature, salt=b"", now=None):
        self.name = name
        self.key = key
        self.mode = mode
        self.signature = signature
        self.salt = salt
        self.windows = windows(int(now or time.time()))
        self.rrsets = {(rrset.name, rrset.rdtype): rrset for rrset in rrsets}
        soa = self.rrsets[name, SOA]
        self.negative_ttl = min(soa.ttl, soa[0].minimum)
        self._add(name, DNSKEY, soa.ttl, key.dnskey)

    def text(self):
        """The whole signed zone in zone-file syntax."""
        if self.mode != "nsec":
            self._add(self.name, NSEC3PARAM, 0, f"{NSEC3_SHA1} 0 0 {self.salt.hex() or '-'}")
        types = self._authoritative_types()
        if self.mode == "nsec":
            self._chain_nsec(types)
        else:
            self._chain_nsec3(types)
        lines = []
        for rrset in self.rrsets.values():
            lines.append(rrset.to_text())
            if self._is_signed(rrset, types):
                lines.append(self._signature_line(rrset))
        return "\n".join(lines) + "\n"

    def _add(self, name, rdtype, ttl, rdata):
        if isinstance(rdata, str):
            rdata = dns.rdata.from_text(IN, rdtype, rdata)
        self.rrsets[name, rdtype] = dns.rrset.from_rdata(name, ttl, rdata)

    def _authoritative_types(self):
        """name → types for every name the chain must speak of: no glue, nothing below a cut."""
        cuts = {name for name, rdtype in self.rrsets if rdtype == NS and name != self.name}
        types = {}
        for name, rdtype in self.rrsets:
            if name in cuts and rdtype not in (NS, DS):
                continue
            if not self._is_below(name, cuts):
                types.setdefault(name, set()).add(rdtype)
        return types

    def _is_below(self, name, cuts):
        while name != self.name:
            name = name.parent()
            if name in cuts:
                return True
        return False

    def _is_delegation(self, name, types):
        return name != self.name and NS in types.get(name, ())

    def _is_signed(self, rrset, types):
        if rrset.rdtype == NSEC3:
            return True
        if rrset.name not in types:
            return False
        return rrset.rdtype in (DS, NSEC) or not self._is_delegation(rrset.name, types)

    def _bitmap(self, name, types, extra):
        present = set(types[name]) | extra
        if not self._is_delegation(name, types) or DS in present or NSEC in present:
            present.add(dns.rdatatype.RRSIG)
        return " ".join(dns.rdatatype.to_text(rdtype) for rdtype in sorted(present))

    def _chain_nsec(self, types):
        names = sorted(types)
        for name, following in zip(names, names[1:] + names[:1]):
            bitmap = self._bitmap(name, types, {NSEC})
            self._add(name, NSEC, self.negative_ttl, f"{following} {bitmap}")

    def _chain_nsec3(self, types):
        names = {self.name}
        for name in types:
            if self.mode == "optout" and self._is_delegation(name, types) and DS not in types[name]:
                # RFC 5155 section 7.1 needs none above it either, but NSD 4.6.1 then proves the absence of DS there badly.
                name = name.parent()
            while name not in names:
                names.add(name)
                if name != self.name:
                    name = name.parent()
        hashed = sorted((dns.dnssec.nsec3_hash(name, self.salt, 0, NSEC3_SHA1).lower(), name) for name in names)
        flags = NSEC3_OPT_OUT if self.mode == "optout" else 0
        salt = self.salt.hex() or "-"
        for (digest, name), (following, _) in zip(hashed, hashed[1:] + hashed[:1]):
            bitmap = self._bitmap(name, types, set()) if name in types else ""
            owner = dns.name.Name((digest.encode(),) + self.name.labels)
            self._add(owner, NSEC3, self.negative_ttl, f"{NSEC3_SHA1} {flags} 0 {salt} {following} {bitmap}".strip())

    def _signature_line(self, rrset):
        kind = self.signature.get(dns.rdatatype.to_text(rrset.rdtype), self.signature.get("*", "good"))
        inception, expiration = self.windows[kind]
        owner = dns.name.Name((b"*",)) + self.name.parent() if kind == "parents-wildcard" else None
        rrsig = self.key.rrsig(rrset, inception, expiration, owner)
        if kind == "forged":
            rrsig = rrsig.replace(signature=bytes(byte ^ 0x55 for byte in rrsig.signature))
        return f"{rrset.name} {rrset.ttl} IN RRSIG {rrsig}"

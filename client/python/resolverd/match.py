# SPDX-License-Identifier: BSD-3-Clause
"""What a peer showed against a TLSA set (RFC 6698 section 2.1, RFC 7671 sections 4, 5 and 9, RFC 7672 section 3).

tests/vectors/match.json holds chains and records with what comes out.
"""

import enum
import hashlib
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from .certificate import Certificate, MalformedError, is_full_data, load_key
from .path import Budget, climb, fault_of, is_key_above
from .results import Tlsa
from .words import Word

CHAIN_MAX = 32
_DANE_TA, _DANE_EE = 2, 3
_CERT, _SPKI = 0, 1
_FULL, _SHA256, _SHA512 = 0, 1, 2
_DIGEST_BYTES = {_SHA256: 32, _SHA512: 64}
_BEST_FIRST = (_SHA512, _SHA256)  # RFC 7671 section 9
_NAME_CHARACTERS_MAX = 253


class Match(Word):
    MATCH = "match"  # a usable TLSA record authenticates the chain
    NO_MATCH = "no-match"  # there are usable records, and none does
    UNUSABLE = "unusable"  # no record is usable: there is nothing to authenticate by

    @classmethod
    def strictest(cls) -> "Match":
        return cls.NO_MATCH


@dataclass(frozen=True)
class MatchResult:
    verdict: Match
    reason: str  # for people
    failure_type: str = ""  # RFC 8460 section 4.3; empty for a match
    record: Optional[int] = None  # of a match: the index of the record
    depth: Optional[int] = None  # and where in the path it matched; 0 is the leaf
    matched_name: Optional[str] = None  # usage 2: the reference name that the certificate has


# ---- the TLSA set ----

def _is_usable(record: Tlsa) -> bool:
    if record.usage not in (_DANE_TA, _DANE_EE) or record.selector not in (_CERT, _SPKI):
        return False
    if record.matching_type == _FULL:
        return is_full_data(record.data, record.selector == _SPKI)
    return len(record.data) == _DIGEST_BYTES.get(record.matching_type)


def usable_records(tlsa: Sequence[Tlsa]) -> List[Tuple[int, Tlsa]]:
    """The usable ones with their index: Full(0), and the best digest of each usage and selector."""
    usable = [(index, record) for index, record in enumerate(tlsa) if _is_usable(record)]

    def best(usage: int, selector: int) -> Optional[int]:
        found = {record.matching_type for _, record in usable if (record.usage, record.selector) == (usage, selector)}
        return next((kind for kind in _BEST_FIRST if kind in found), None)

    return [(index, record) for index, record in usable
            if record.matching_type in (_FULL, best(record.usage, record.selector))]


def _matches(certificate: Certificate, record: Tlsa) -> bool:
    data = certificate.spki if record.selector == _SPKI else certificate.der
    if record.matching_type == _SHA256:
        data = hashlib.sha256(data).digest()
    elif record.matching_type == _SHA512:
        data = hashlib.sha512(data).digest()
    return data == record.data


# ---- names ----

def _is_name(pattern: str, name: str) -> bool:
    if not pattern.isascii():
        return False  # no DNS name; and lower() would fold the Kelvin sign to "k"
    pattern, name = pattern.lower(), name.lower()
    pattern, name = (text[:-1] if text.endswith(".") else text for text in (pattern, name))
    if not name or len(name) > _NAME_CHARACTERS_MAX or name.startswith("."):
        return False
    if "*" not in pattern:
        return pattern == name
    star, _, rest = pattern.partition(".")
    label, _, above = name.partition(".")
    return star == "*" and "*" not in rest and "." in rest and label != "" and above == rest


def find_name(certificate: Certificate, names: Sequence[str]) -> Optional[str]:
    """The first of the reference names that the certificate is for. Call where extensions() is not None."""
    patterns = certificate.names()
    return next((name for name in names if any(_is_name(pattern, name) for pattern in patterns)), None)


# ---- DANE-TA(2) ----

class _Nearness(enum.IntEnum):
    """How near to a match: of several failures the nearest is told."""

    NOT_TRUSTED = 0
    EXPIRED = 1
    WRONG_NAME = 2
    GAVE_UP = 3


_FAILURE_TYPES = {
    _Nearness.NOT_TRUSTED: "certificate-not-trusted",
    _Nearness.EXPIRED: "certificate-expired",
    _Nearness.WRONG_NAME: "certificate-host-mismatch",
    _Nearness.GAVE_UP: "validation-failure",
}


class _TrustAnchors:
    """Usage 2 is about issuers: what equals the leaf is none. Any record will do, on any path."""

    def __init__(self, chain: Sequence[Certificate], names: Sequence[str], now: float):
        self.leaf = chain[0]
        self.others = list({certificate.der: certificate for certificate in chain[1:] if certificate.der != self.leaf.der}.values())
        self.names, self.now = names, now
        self.budget = Budget()
        self.paths = list(climb([self.leaf], self.others, self.budget))
        self.nearest, self.why = _Nearness.NOT_TRUSTED, "no usable TLSA record matches what the peer showed"

    def missed(self, nearness: _Nearness, why: str) -> None:
        if nearness >= self.nearest:
            self.nearest, self.why = nearness, why

    def match(self, index: int, record: Tlsa) -> Optional[MatchResult]:
        shown = [certificate for certificate in self.others if _matches(certificate, record)]
        if shown:
            paths = [(path, len(path) - 1) for path in self.paths if path[-1] in shown]
        elif record.matching_type != _FULL or _matches(self.leaf, record):
            paths = []
        elif record.selector == _CERT:
            paths = self._below_certificate(record)
        else:
            paths = self._below_key(record)
        results = (self._try(index, record, path, depth) for path, depth in paths)
        return next((result for result in results if result is not None), None)

    def _below_certificate(self, record: Tlsa) -> List[Tuple[List[Certificate], int]]:
        """An anchor that stands in the DNS alone."""
        try:
            anchor = Certificate(record.data)
        except MalformedError:
            return []
        return [([*path, anchor], len(path)) for path in self.paths
                if path[-1].issuer == anchor.subject and is_key_above(path, anchor.key, self.budget)]

    def _below_key(self, record: Tlsa) -> List[Tuple[List[Certificate], int]]:
        """A bare key that no certificate shown has (RFC 7671 section 5.2.3): what it signed is good."""
        key = load_key(record.data)
        return [(path, len(path)) for path in self.paths if key is not None and is_key_above(path, key, self.budget)]

    def _try(self, index: int, record: Tlsa, path: List[Certificate], depth: int) -> Optional[MatchResult]:
        fault = fault_of(path, self.now)
        if fault is not None:
            self.missed(_Nearness.EXPIRED if fault[0] else _Nearness.NOT_TRUSTED, fault[1])
            return None
        name = find_name(self.leaf, self.names)
        if name is None:
            self.missed(_Nearness.WRONG_NAME, f"the certificate is for none of the reference names ({', '.join(self.names)})")
            return None
        what = f"{record.usage} {record.selector} {record.matching_type}"
        return MatchResult(Match.MATCH, f"the trust anchor at depth {depth} matches {what}, and the certificate is for {name}",
                           record=index, depth=depth, matched_name=name)

    def no_match(self) -> MatchResult:
        if self.budget.left < 0:
            self.missed(_Nearness.GAVE_UP, "too many paths to try")
        return MatchResult(Match.NO_MATCH, self.why, _FAILURE_TYPES[self.nearest])


# ---- all of it ----

def match_chain(chain: Sequence[bytes], tlsa: Sequence[Tlsa], names: Sequence[str], now: float) -> MatchResult:
    """chain: DER certificates as sent, leaf first. names: reference names for usage 2. now: seconds since the Unix epoch.

    Raw RRsets may be given: usable records are picked, and digest agility is applied, here again.
    """
    usable = usable_records(tlsa)
    if not usable:
        return MatchResult(Match.UNUSABLE, f"none of the {len(tlsa)} TLSA records is usable", "tlsa-invalid")
    if not chain:
        return MatchResult(Match.NO_MATCH, "the peer showed no certificate", "certificate-not-trusted")
    try:
        certificates = [Certificate(der) for der in chain[:CHAIN_MAX]]
    except MalformedError as error:
        return MatchResult(Match.NO_MATCH, f"the chain cannot be read: {error}", "certificate-not-trusted")
    for index, record in usable:  # the leaf itself, whatever its names, dates, issuer or strength (RFC 7671 section 5.1)
        if record.usage == _DANE_EE and _matches(certificates[0], record):
            what = f"{record.usage} {record.selector} {record.matching_type}"
            return MatchResult(Match.MATCH, f"the certificate matches {what}", record=index, depth=0)
    anchors = _TrustAnchors(certificates, names, now)
    for index, record in usable:
        result = anchors.match(index, record) if record.usage == _DANE_TA else None
        if result is not None:
            return result
    return anchors.no_match()

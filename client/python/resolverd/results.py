# SPDX-License-Identifier: BSD-3-Clause
"""What a client gets: verified, read only, and valid while now is before `expires_at_ms`. Times are milliseconds since the Unix epoch."""

import time
from dataclasses import dataclass
from typing import Optional, Tuple

from .words import Outcome, Policy, Requirement, Status, TlsaStatus


@dataclass(frozen=True)
class Address:
    ip: str
    status: Status


@dataclass(frozen=True)
class Tlsa:
    """RFC 6698 section 2.1."""

    usage: int
    selector: int
    matching_type: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching_type} {self.data.hex()}"


@dataclass(frozen=True)
class InsecureZone:
    """A zone the daemon's operator declared insecure for a time (RFC 7646). For people: the statuses already tell it."""

    zone: str
    until_ms: int


@dataclass(frozen=True)
class Host:
    """One host of a plan, or the answer about one host."""

    name: str  # for an address literal the address
    port: int
    policy: Policy  # obey this
    reason: str  # why, as a word of docs/JSON.md
    reason_text: str  # why, for people
    preference: int = 0
    would_refuse: bool = False  # requirement audit: were it not for audit, policy would be unreachable
    address_status: Status = Status.ERROR  # best of the two families
    addresses: Tuple[Address, ...] = ()
    tlsa_status: TlsaStatus = TlsaStatus.NOT_QUERIED
    tlsa_base: Optional[str] = None  # TLSA base domain
    tlsa_owner: Optional[str] = None  # "_25._tcp.base"
    tlsa: Tuple[Tlsa, ...] = ()  # usable set after digest agility (RFC 7671 section 9)
    sni: Optional[str] = None  # to send (RFC 7672 section 8.1); None unless policy is dane or tls-no-auth
    reference_names: Tuple[str, ...] = ()  # for usage 2 alone (RFC 7672 section 3.2.2); empty unless policy is dane
    validated_at_ms: Optional[int] = None  # None: no answer was used
    expires_at_ms: Optional[int] = None
    key_id: Optional[str] = None  # of the online key that signed, hex
    insecure_zones: Tuple[InsecureZone, ...] = ()
    attested: bool = False
    origin: Optional[str] = None  # member of the fleet that found it; None: our daemon itself


@dataclass(frozen=True)
class Plan:
    """Try the hosts in order, those that are unreachable left out."""

    next_hop: str  # canonical, brackets kept
    port: int
    outcome: Outcome
    reason: str  # for people
    hosts: Tuple[Host, ...]  # empty when the route alone decides
    requirement: Requirement
    requirement_source: Optional[str]  # the override that set it
    requirement_reason: Optional[str]  # the operator's words for it
    requirement_until_ms: Optional[int]  # when it lapses; None: never
    would_refuse: bool  # requirement audit: without it, outcome would be delay
    mx_status: Optional[Status]  # None: next hop in brackets, no MX step
    mx_implicit: bool  # no MX record: the domain is its own host
    expanded: str  # the next hop after CNAMEs
    validated_at_ms: int  # of the oldest answer used
    expires_at_ms: int  # of the shortest
    cacheable: bool  # False: use it once, now
    stale: bool  # an answer has ended and can't be looked up now, and the operator allows that for a time (RFC 8767)
    key_ids: Tuple[str, ...]
    insecure_zones: Tuple[InsecureZone, ...]
    attested: bool
    origin: Optional[str]  # of the route, as in a host

    @property
    def is_selected_securely(self) -> bool:
        """An authenticated host is the domain's own (RFC 7672 section 2.2.1)."""
        return self.mx_status in (None, Status.SECURE)

    def has_expired(self, now: Optional[float] = None) -> bool:
        """now: seconds since the Unix epoch."""
        return (time.time() if now is None else now) * 1000 >= self.expires_at_ms


@dataclass(frozen=True)
class Rrset:
    owner: str
    type: int
    ttl_s: int
    rdata: Tuple[bytes, ...]  # wire format, names not compressed
    rrsig: Tuple[bytes, ...]  # RDATA of the RRSIGs that cover it


@dataclass(frozen=True)
class Records:
    name: str
    type: int
    status: Status
    reason: str  # for people, may be empty
    validated_at_ms: int
    expires_at_ms: int
    cacheable: bool
    key_id: str
    rcode: int = 0  # 0 NOERROR, 3 NXDOMAIN; for status error the one seen
    chain: Tuple[Rrset, ...] = ()  # aliases followed, in order
    answer: Tuple[Rrset, ...] = ()  # empty: no such data
    authority: Tuple[Rrset, ...] = ()  # proofs of absence
    insecure_zones: Tuple[InsecureZone, ...] = ()
    attested: bool = False
    origin: Optional[str] = None  # as in a host


@dataclass(frozen=True)
class DaemonStatus:
    """Not signed: for people and monitoring."""

    version: str
    member: str
    ready: bool
    not_ready_reason: str
    checks: Tuple[Tuple[str, bool, str], ...]  # name, good, detail
    usable_keys: int  # delegations that pass

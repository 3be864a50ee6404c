# SPDX-License-Identifier: BSD-3-Clause
"""The protocol's words (proto/resolverd.proto) as docs/JSON.md writes them.

Each enum has `of(number)`: what a number of the wire means to a client. 0 and what this version does not know read as the strictest
value (docs/PROTOCOL.md, "Extending").
"""

import enum
from typing import List, Type, TypeVar

_E = TypeVar("_E", bound="Word")


class Word(str, enum.Enum):
    """Members in the order of their numbers on the wire, from 1."""

    def __str__(self) -> str:
        return str(self.value)

    @classmethod
    def strictest(cls: Type[_E]) -> _E:
        raise NotImplementedError

    @classmethod
    def of(cls: Type[_E], number: int) -> _E:
        members: List[_E] = list(cls)
        return members[number - 1] if 1 <= number <= len(members) else cls.strictest()


class Status(Word):
    """DNSSEC status of data (RFC 4033 section 5)."""

    SECURE = "secure"
    INSECURE = "insecure"
    BOGUS = "bogus"
    ERROR = "error"

    @classmethod
    def strictest(cls) -> "Status":
        return cls.ERROR


class TlsaStatus(Word):
    """Outcome of the TLSA step for one host (RFC 7672 section 2.2)."""

    SECURE = "secure"
    INSECURE = "insecure"
    BOGUS = "bogus"
    ERROR = "error"
    ABSENT = "absent"
    NOT_QUERIED = "not-queried"

    @classmethod
    def strictest(cls) -> "TlsaStatus":
        return cls.ERROR


class Policy(Word):
    """What a sender must do at one host."""

    DANE = "dane"  # TLS required, the certificate must match the TLSA set
    TLS_NO_AUTH = "tls-no-auth"  # TLS required, certificate not checked
    OPPORTUNISTIC = "opportunistic"  # pre-DANE TLS, cleartext allowed
    UNREACHABLE = "unreachable"  # open no connection to this host

    @classmethod
    def strictest(cls) -> "Policy":
        return cls.UNREACHABLE


class Requirement(Word):
    """Local policy for a next hop."""

    NORMAL = "normal"
    MANDATORY = "mandatory"  # only dane delivers
    AUDIT = "audit"  # computed and marked, enforced by nobody
    OFF = "off"

    @classmethod
    def strictest(cls) -> "Requirement":
        return cls.MANDATORY


class Outcome(Word):
    """Of a plan. The last three are permanent failures."""

    DELIVER = "deliver"
    DELAY = "delay"  # keep the mail and ask again later
    NO_MAIL = "no-mail"  # null MX (RFC 7505)
    NO_SUCH_DOMAIN = "no-such-domain"
    NO_HOST = "no-host"  # provably no host has an address

    @classmethod
    def strictest(cls) -> "Outcome":
        return cls.DELAY


# Why a host has its policy, by number.
_REASONS = (
    ("unknown", "the reason is not known to this version"),
    ("tlsa-usable", "secure TLSA records: the certificate must match"),
    ("tlsa-all-unusable", "secure TLSA records, none usable: TLS without authentication"),
    ("tlsa-denied", "securely no TLSA records: DANE does not apply"),
    ("tlsa-not-secure", "DNSSEC does not secure the TLSA answer: DANE does not apply"),
    ("address-not-secure", "DNSSEC does not secure the host's addresses: DANE does not apply"),
    ("address-literal", "an IP address: DANE does not apply"),
    ("no-address", "the host has no address"),
    ("address-failed", "the address lookup failed"),
    ("tlsa-failed", "the TLSA lookup failed: the host must not be used"),
    ("tlsa-too-many", "more than 32 TLSA records"),
    ("mx-too-many", "beyond the first 16 MX hosts"),
    ("not-ready", "no answer within the deadline"),
    ("mandatory-not-dane", "local policy demands DANE, and this host has none"),
    ("insecure-mx-refused", "DNSSEC does not secure the MX records; local policy refuses such hosts"),
    ("insecure-mx-ignored", "DNSSEC does not secure the MX records; local policy leaves DANE aside"),
    ("requirement-off", "local policy turns DANE off for this next hop"),
    ("audit-only", "would be refused; local policy is audit only"),
    ("answer-missing", "no verified answer for this host"),
)


def reason_word(reason: int) -> str:
    return _REASONS[reason if 0 <= reason < len(_REASONS) else 0][0]


def reason_text(reason: int) -> str:
    """A sentence for people."""
    return _REASONS[reason if 0 <= reason < len(_REASONS) else 0][1]

# SPDX-License-Identifier: BSD-3-Clause
"""What a validating resolver may say to a question, given a generated world: RFC 4035, 5155, 6672, and 2.1 of RFC 7672.

`lookup` returns every result that is right. There can be more than one: what a faulty server spoils may still be known from other
answers (RFC 8198, a cached alias, a chain that came along whole), and who is asked first is not determined. A status is a set of
words too, since a failure may be called `bogus` or `error` depending on which trouble is met first.
"""

import dataclasses

import dns.name
import dns.rdatatype
from dns.rdatatype import A, CNAME, DNSKEY

from authority import DENIAL_RECORD, Answer

SECURE, INSECURE, BOGUS, ERROR = (frozenset([word]) for word in ("secure", "insecure", "bogus", "error"))
FAILED = BOGUS | ERROR
HARMLESS = ("", "tc", "delay", "set-ad")
NO_ANSWER = ("drop", "servfail", "refused", "notimp", "formerr", "malformed", "tc-no-tcp")
ALIASES_SURE = 8  # a resolver follows at least so many, and may stop after that (RFC 1034 section 5.2.2)
ALIASES_NEVER = 40  # longer than any chain that ends


@dataclasses.dataclass(frozen=True)
class Result:
    status: frozenset  # of the whole chain
    exists: bool = True  # False: NXDOMAIN
    expanded: dns.name.Name = None  # where the chain of aliases ends
    is_alias: bool = False
    records: tuple = ()
    ttl: int = 1 << 31  # shortest of all RRsets used
    signature_life: int = 1 << 31  # shortest of their signatures
    dnames: tuple = ()  # owners of those that made aliases of the chain

    @property
    def has_failed(self):
        return bool(self.status & FAILED)

    @property
    def life(self):
        """RFC 4035 section 5.3.3: seconds for which it may be used; signatures count where they are believed."""
        return min(self.ttl, self.signature_life) if self.status == SECURE else self.ttl


def worst(one, other):
    """RFC 7672 section 2.1.3: an error anywhere fails the whole, insecurity anywhere makes the whole insecure."""
    if (one | other) & FAILED:
        return (one | other) & FAILED
    return INSECURE if INSECURE in (one, other) else SECURE


def names_on_the_way(zone, name):
    """RFC 9156: the resolver may ask for the addresses of this name and those above it first, and may take these replies."""
    while name != zone.name:
        yield name
        name = name.parent()


class Validator:
    def __init__(self, zones):
        self.zones = zones
        self.known = {}

    def lookup(self, name, rdtype):
        if (name, rdtype) not in self.known:
            self.known[name, rdtype] = list(dict.fromkeys(self._follow(name, rdtype)))
        return self.known[name, rdtype]

    # ---- chains of aliases ----

    def _follow(self, name, rdtype):
        """All ways along the chain at once, hop by hop: an unfinished result and the zone that it came from."""
        ways = {(Result(SECURE, expanded=name), None)}
        for hop in range(ALIASES_NEVER):
            further = {}
            for so_far, previous_zone in ways:
                if hop > ALIASES_SURE:
                    yield Result(FAILED)
                zone = self.zones.of(so_far.expanded)
                for result, is_over in self._hop(zone, so_far, rdtype, previous_zone is zone):
                    if is_over:
                        yield result
                    else:
                        further[result, zone] = True
            ways = further
        if ways:  # a loop
            yield Result(FAILED)

    def _hop(self, zone, so_far, rdtype, came_along):
        """(result, whether that is the end of the chain), …"""
        name = so_far.expanded
        for status, answer in self._answers(zone, name, rdtype, came_along):
            types = zone.types_in(answer)
            result = dataclasses.replace(
                so_far,
                status=worst(so_far.status, status),
                ttl=min(so_far.ttl, *map(zone.ttl_of, types)),
                signature_life=min(so_far.signature_life, *map(zone.signature_life, types)),
            )
            if result.has_failed:
                # What lies beyond an alias may fail in its own way, and which is met first is the resolver's affair.
                yield Result(FAILED if answer.kind == "alias" else result.status), True
            elif answer.kind == "alias" and rdtype == CNAME:  # made of a DNAME (RFC 6672 section 3.1); not followed
                yield dataclasses.replace(result, records=(answer.target,)), True
            elif answer.kind == "alias":
                if answer.dname in so_far.dnames:  # unbound 1.17.1 fails where a chain goes through one DNAME twice
                    yield Result(FAILED), True
                dnames = (*so_far.dnames, answer.dname) if answer.dname else so_far.dnames
                yield dataclasses.replace(result, expanded=answer.target, is_alias=True, dnames=dnames), False
            else:
                yield dataclasses.replace(result, exists=answer.kind != "nxdomain", records=answer.records), True

    # ---- one name ----

    def _answers(self, zone, name, rdtype, came_along):
        """[(status, answer), …] for this very name, aliases not followed."""
        answer = zone.answer(name, rdtype)
        trust = self.trust(zone)
        if trust & FAILED:
            spoiled = self._harm(zone, name, rdtype, answer, INSECURE)
            return [(trust | ERROR if spoiled else trust, answer)]
        clean = self._authenticated(zone, answer) if trust == SECURE else INSECURE
        harm = self._harm(zone, name, rdtype, answer, trust)
        options = [(harm or clean, answer)]
        if came_along or answer.kind != "data" or answer.rdtype == CNAME or answer.wildcard:
            options += self._other_ways(zone, name, answer, trust, clean)
        if any(zone.fault(passed, A) == "drop" for passed in names_on_the_way(zone, name)):
            options.append((FAILED, answer))  # it may take too long to get there
        return options

    def _other_ways(self, zone, name, answer, trust, clean):
        """What else may be found where an answer need not be the reply to just this question."""
        if not zone.is_silent:
            yield clean, answer
        second = zone.second_alias(name)
        if trust == INSECURE and second:  # two aliases, and nothing to tell which is false
            yield clean, dataclasses.replace(answer, kind="alias", target=second)
        if answer.is_empty and answer.wildcard and zone.sign == "nsec":  # unbound 1.17.1 does not understand this proof
            yield FAILED, answer
        for passed in names_on_the_way(zone, name):
            if self._harm(zone, passed, A, zone.answer(passed, A), trust):
                yield FAILED, answer

    def _harm(self, zone, name, rdtype, answer, trust):
        """The status that comes of what the server does to this query; None when it does no harm."""
        action, _, _argument = zone.fault(name, rdtype).partition(":")
        if zone.is_silent or action in NO_ANSWER:
            return ERROR
        if action == "double-cname" and (answer.kind == "alias" or answer.rdtype == CNAME):
            return FAILED  # RFC 2181 section 10.1
        if trust == SECURE and action == "strip-rrsig":
            return FAILED  # RFC 4035 section 5: signatures are missing where the parent says they must be
        if trust == SECURE and action == "strip-denial" and (answer.kind in ("nodata", "nxdomain") or answer.wildcard):
            return FAILED  # RFC 4035 section 5.4: the proof is missing
        assert action in (*HARMLESS, "double-cname", "strip-rrsig", "strip-denial"), action
        return None

    def _authenticated(self, zone, answer):
        """RFC 4035 section 5: status of an answer of a zone whose keys are trusted."""
        if not all(map(zone.signature_life, zone.types_in(answer))):
            return BOGUS
        # RFC 5155 section 9.2: where the next closer name lies in an opt-out span, an unsigned delegation may hide there.
        is_span_proof = answer.kind == "nxdomain" or answer.wildcard
        return INSECURE if zone.sign == "optout" and is_span_proof else SECURE

    # ---- the chain of trust ----

    def trust(self, zone):
        """RFC 4035 section 5.2, from the root down: are this zone's signatures to be believed?"""
        if zone.name == dns.name.root:
            return SECURE
        parent = self.zones.parent(zone)
        above = self.trust(parent)
        if above != SECURE:
            return above
        if zone.sign == "none" or zone.ds == "none":  # the absence of DS must be proved
            return INSECURE if parent.signature_life(DENIAL_RECORD[parent.sign]) else BOGUS
        if not parent.signature_life("DS"):
            return BOGUS
        if zone.ds in ("unknown-algorithm", "unknown-digest"):
            return INSECURE
        if self._harm(zone, zone.name, DNSKEY, Answer("data"), SECURE):
            return FAILED
        if zone.ds == "wrong" or not zone.signature_life("DNSKEY"):
            return BOGUS
        return SECURE

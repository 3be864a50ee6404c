# SPDX-License-Identifier: BSD-3-Clause
"""Verified answers to results. What is allowed at each host comes from the combination table alone (combine.py); here the answers are
matched to the route's hosts and the rest is filled in. A host without a verified answer is unreachable, never left out."""

import dataclasses
import socket
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from . import resolverd_pb2 as pb
from .combine import HOSTS_MAX, CombinedHost, Names, combine_host, combine_plan, combine_route
from .names import NextHop
from .results import Address, Host, InsecureZone, Plan, Records, Rrset, Tlsa
from .verify import Verified
from .words import Outcome, Policy, Requirement, Status, TlsaStatus, reason_text, reason_word

_ADDRESSES_MAX = 16
_TLSA_MAX = 32
_NEEDS_NEWER = "the answer needs a newer client to understand it"
_ROUTE_REASONS = {
    Outcome.DELAY: "the MX lookup failed",
    Outcome.NO_MAIL: "the domain takes no mail: null MX",
    Outcome.NO_SUCH_DOMAIN: "the domain does not exist",
}


def _clean(text: str) -> str:
    """For people: no control characters."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _zones(answers: Iterable[pb.Answer]) -> Tuple[InsecureZone, ...]:
    zones: Dict[str, InsecureZone] = {}
    for answer in answers:
        for zone in answer.insecure_zones:
            zones.setdefault(zone.zone, InsecureZone(_clean(zone.zone), zone.until))
    return tuple(zones.values())


def _address(from_: pb.Address) -> Address:
    family = socket.AF_INET if len(from_.ip) == 4 else socket.AF_INET6
    return Address(socket.inet_ntop(family, from_.ip), Status.of(from_.status))


# ---- hosts ----

def _host(name: str, port: int, verified: Verified) -> Host:
    """All but what the table says: policy, reason and what follows from them."""
    answer, host = verified.answer, verified.answer.host
    return Host(
        name=name, port=port, policy=Policy.UNREACHABLE, reason="", reason_text="",
        address_status=Status.of(host.address_status),
        addresses=tuple(_address(address) for address in host.addresses if len(address.ip) in (4, 16))[:_ADDRESSES_MAX],
        tlsa_status=TlsaStatus.of(host.tlsa_status), tlsa_base=host.tlsa_base or None, tlsa_owner=host.tlsa_owner or None,
        tlsa=tuple(Tlsa(tlsa.usage, tlsa.selector, tlsa.matching_type, tlsa.data) for tlsa in host.tlsa
                   if max(tlsa.usage, tlsa.selector, tlsa.matching_type) < 256)[:_TLSA_MAX],
        validated_at_ms=answer.validated_at, expires_at_ms=answer.expires_at, key_id=verified.key_id,
        insecure_zones=_zones([answer]), attested=verified.attested, origin=_clean(answer.origin) or None)


def _blank_host(name: str, port: int) -> Host:
    return Host(name=name, port=port, policy=Policy.UNREACHABLE, reason="", reason_text="")


def _effective(host: Host, policy: int, reason: int) -> Tuple[int, int]:
    """dane promises records to match and a name to send: without them it is not an answer one can act on."""
    if policy == pb.DANE and not (host.tlsa and host.tlsa_base):
        return pb.POLICY_UNSPECIFIED, pb.HOST_REASON_UNSPECIFIED
    return policy, reason


def _reference_names(host: Host, names: Names, more: Sequence[str]) -> Tuple[str, ...]:
    """RFC 7672 section 3.2.2; no name twice."""
    if names is Names.NONE:
        return ()
    wanted = [host.tlsa_base or "", *(more if names is Names.BASE_AND_NEXT_HOP else ())]
    return tuple(dict.fromkeys(name for name in wanted if name))


def _with_policy(host: Host, combined: CombinedHost, more: Sequence[str] = ()) -> Host:
    policy = Policy.of(combined.policy)
    return dataclasses.replace(
        host, policy=policy, reason=reason_word(combined.reason), reason_text=reason_text(combined.reason),
        would_refuse=combined.would_refuse, sni=host.tlsa_base if policy in (Policy.DANE, Policy.TLS_NO_AUTH) else None,
        reference_names=_reference_names(host, combined.names, more))


def view_host(verified: Verified) -> Host:
    """An answer asked alone: its policy holds if the host was securely selected."""
    question = verified.answer.question
    host = _host(question.name, question.port, verified)
    if verified.not_understood is not None:
        host = dataclasses.replace(host, address_status=Status.ERROR)
        host = _with_policy(host, CombinedHost(pb.UNREACHABLE, pb.ANSWER_MISSING))
        return dataclasses.replace(host, reason_text=_NEEDS_NEWER)
    policy, reason = _effective(host, verified.answer.host.policy, verified.answer.host.reason)
    return _with_policy(host, CombinedHost(policy, reason, Names.BASE if policy == pb.DANE else Names.NONE))


def _literal(hop: NextHop, port: int) -> Host:
    address = Address(hop.name, Status.INSECURE)
    return dataclasses.replace(_blank_host(hop.name, port), address_status=Status.INSECURE, addresses=(address,))


def _plan_host(hop: NextHop, port: int, route: pb.Route, index: int, answers: Sequence[Verified]) -> Tuple[Host, CombinedHost]:
    mx = route.mx[index]
    found = next((answer for answer in answers if answer.answer.question.name == mx.name), None) if index < HOSTS_MAX else None
    host = _blank_host(mx.name, port)
    policy: int = pb.UNREACHABLE
    reason: int = pb.ANSWER_MISSING
    if hop.is_address:
        host, policy, reason = _literal(hop, port), pb.OPPORTUNISTIC, pb.ADDRESS_LITERAL
    elif index >= HOSTS_MAX:
        reason = pb.MX_TOO_MANY
    elif found is not None:
        host = _host(mx.name, port, found)
        policy, reason = _effective(host, found.answer.host.policy, found.answer.host.reason)
    combined = combine_host(route.mx_status, route.requirement, route.insecure_mx_policy, policy, reason)
    more = [hop.name, route.expanded] if hop.is_domain else [hop.name]
    return dataclasses.replace(_with_policy(host, combined, more), preference=mx.preference), combined


# ---- the plan ----

def _reason_of_hosts(outcome: Outcome, hosts: Sequence[Host]) -> str:
    usable = [host for host in hosts if host.policy is not Policy.UNREACHABLE]
    if outcome is Outcome.NO_HOST:
        return "no MX host has an address"
    if usable:
        count = f"{len(usable)} of {len(hosts)} host{'' if len(hosts) == 1 else 's'}"
        return f"{count} may be used, first {usable[0].name}: {usable[0].reason_text}"
    if not hosts:
        return "the route names no host"
    return f"no host may be used; {hosts[0].name}: {hosts[0].reason_text}"


def _decide(hop: NextHop, port: int, route: pb.Route, answers: Sequence[Verified], not_understood: Optional[int],
            ) -> Tuple[Outcome, bool, str, List[Host]]:
    """(outcome, would refuse, reason, hosts)"""
    if not_understood is not None:  # use none of the hosts, whatever the rest seems to say
        missing = CombinedHost(pb.UNREACHABLE, pb.ANSWER_MISSING)
        hosts = [dataclasses.replace(_with_policy(_blank_host(mx.name, port), missing), preference=mx.preference) for mx in route.mx]
        return Outcome.DELAY, False, f"an answer needs field {not_understood} to be understood, which needs a newer client", hosts
    outcome = combine_route(route.kind, route.mx_status)
    if outcome is not None:
        said = _clean(route.reason) if outcome is Outcome.DELAY else ""
        return outcome, False, said or _ROUTE_REASONS[outcome], []
    pairs = [_plan_host(hop, port, route, index, answers) for index in range(len(route.mx))]
    hosts = [host for host, _ in pairs]
    whole = combine_plan(route.requirement, [combined for _, combined in pairs])
    return whole.outcome, whole.would_refuse, _reason_of_hosts(whole.outcome, hosts), hosts


def view_plan(hop: NextHop, port: int, route_answer: Verified, host_answers: Sequence[Verified]) -> Plan:
    route = route_answer.answer.route
    used = [route_answer, *host_answers]
    answers = [verified.answer for verified in used]
    not_understood = next((verified.not_understood for verified in used if verified.not_understood is not None), None)
    outcome, would_refuse, reason, hosts = _decide(hop, port, route, host_answers, not_understood)
    return Plan(
        next_hop=hop.text, port=port, outcome=outcome, reason=reason, hosts=tuple(hosts),
        requirement=Requirement.of(route.requirement), requirement_source=_clean(route.requirement_source) or None,
        requirement_reason=_clean(route.requirement_reason) or None, requirement_until_ms=route.requirement_until or None,
        would_refuse=would_refuse, mx_status=Status.of(route.mx_status) if hop.is_domain else None,
        mx_implicit=route.kind == pb.IMPLICIT_MX, expanded=route.expanded or hop.name,
        validated_at_ms=min(answer.validated_at for answer in answers), expires_at_ms=min(answer.expires_at for answer in answers),
        cacheable=all(answer.cacheable for answer in answers), stale=any(answer.stale_since for answer in answers),
        key_ids=tuple(dict.fromkeys(verified.key_id for verified in used)), insecure_zones=_zones(answers),
        attested=route_answer.attested, origin=_clean(route_answer.answer.origin) or None)


# ---- records ----

def _rrsets(from_: Iterable[pb.Rrset]) -> Tuple[Rrset, ...]:
    return tuple(Rrset(rrset.owner, rrset.type, rrset.ttl_s, tuple(rrset.rdata), tuple(rrset.rrsig)) for rrset in from_)


def view_records(verified: Verified) -> Records:
    answer, data = verified.answer, verified.answer.records
    records = Records(
        name=answer.question.name, type=answer.question.type, status=Status.ERROR, reason=_NEEDS_NEWER,
        validated_at_ms=answer.validated_at, expires_at_ms=answer.expires_at, cacheable=answer.cacheable, key_id=verified.key_id,
        insecure_zones=_zones([answer]), attested=verified.attested, origin=_clean(answer.origin) or None)
    if verified.not_understood is not None:
        return records
    return dataclasses.replace(
        records, status=Status.of(data.status), reason=_clean(data.reason), rcode=data.rcode, chain=_rrsets(data.chain),
        answer=_rrsets(data.answer), authority=_rrsets(data.authority))

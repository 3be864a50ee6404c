# SPDX-License-Identifier: BSD-3-Clause
"""The combination table of docs/PROTOCOL.md: what a route and the answer about a host make of that host, and all hosts of the plan.

Pure. Numbers are those of proto/resolverd.proto; those unknown to this version, and 0, fail closed. tests/vectors/plan.json is the
table as data.
"""

import enum
from typing import NamedTuple, Optional, Sequence

from . import resolverd_pb2 as pb
from .words import Outcome

HOSTS_MAX = 16  # of a route: how many MX hosts are looked at


class Names(enum.Enum):
    """Which names a certificate may have under usage 2 (RFC 7672 section 3.2.2)."""

    NONE = "none"
    BASE = "base"
    BASE_AND_NEXT_HOP = "base-and-next-hop"


class CombinedHost(NamedTuple):
    policy: int
    reason: int
    names: Names = Names.NONE
    would_refuse: bool = False  # audit only: were it not for audit, this host would be unreachable


class CombinedPlan(NamedTuple):
    outcome: Outcome
    would_refuse: bool = False


def _unreachable(reason: int) -> CombinedHost:
    return CombinedHost(pb.UNREACHABLE, reason)


def _combine_normal(mx_status: int, insecure_mx_policy: int, policy: int, reason: int) -> CombinedHost:
    """The rows of requirement normal."""
    mx_secure = mx_status == pb.SECURE
    if not mx_secure and mx_status != pb.INSECURE:
        return _unreachable(pb.ADDRESS_FAILED)
    if policy == pb.OPPORTUNISTIC:
        return CombinedHost(policy, reason)
    if policy == pb.UNREACHABLE:
        return _unreachable(reason)
    if policy not in (pb.DANE, pb.TLS_NO_AUTH):
        return _unreachable(pb.HOST_REASON_UNSPECIFIED)
    if not mx_secure and insecure_mx_policy == pb.INSECURE_MX_OPPORTUNISTIC:
        return CombinedHost(pb.OPPORTUNISTIC, pb.INSECURE_MX_IGNORED)
    if not mx_secure and insecure_mx_policy != pb.INSECURE_MX_DANE:
        return _unreachable(pb.INSECURE_MX_REFUSED)
    if policy == pb.TLS_NO_AUTH:
        return CombinedHost(policy, reason)
    return CombinedHost(policy, reason, Names.BASE_AND_NEXT_HOP if mx_secure else Names.BASE)


def _is_connectable(mx_status: int, combined: CombinedHost, policy: int, reason: int) -> bool:
    """Only DANE or local policy is in the way, never an address."""
    return mx_status in (pb.SECURE, pb.INSECURE) and (
        combined.policy != pb.UNREACHABLE
        or policy in (pb.DANE, pb.TLS_NO_AUTH)
        or (policy == pb.UNREACHABLE and reason in (pb.TLSA_FAILED, pb.TLSA_TOO_MANY))
    )


def combine_host(mx_status: int, requirement: int, insecure_mx_policy: int, policy: int, reason: int) -> CombinedHost:
    host = _combine_normal(mx_status, insecure_mx_policy, policy, reason)
    connectable = _is_connectable(mx_status, host, policy, reason)
    if requirement == pb.NORMAL:
        return host
    if requirement == pb.AUDIT:
        if host.policy == pb.UNREACHABLE and connectable:
            return CombinedHost(pb.OPPORTUNISTIC, pb.AUDIT_ONLY, would_refuse=True)
        return host
    if requirement == pb.OFF:
        if connectable and host.policy != pb.OPPORTUNISTIC:
            return CombinedHost(pb.OPPORTUNISTIC, pb.REQUIREMENT_OFF)
        return host
    # mandatory, and whatever this version does not know
    if host.policy != pb.UNREACHABLE and (host.policy != pb.DANE or mx_status != pb.SECURE):
        return _unreachable(pb.MANDATORY_NOT_DANE)
    return host


def combine_route(kind: int, mx_status: int) -> Optional[Outcome]:
    """The outcome when the route alone decides it, else None."""
    if mx_status not in (pb.SECURE, pb.INSECURE):
        return Outcome.DELAY
    if kind == pb.NULL_MX:
        return Outcome.NO_MAIL
    if kind == pb.NO_SUCH_DOMAIN:
        return Outcome.NO_SUCH_DOMAIN
    if kind in (pb.MX, pb.IMPLICIT_MX, pb.NO_MX_STEP):
        return None
    return Outcome.DELAY


def combine_plan(requirement: int, hosts: Sequence[CombinedHost]) -> CombinedPlan:
    """Of a route that does not decide alone."""
    reachable = [host for host in hosts if host.policy != pb.UNREACHABLE]
    if reachable:
        refused = all(host.would_refuse for host in reachable)
        return CombinedPlan(Outcome.DELIVER, requirement == pb.AUDIT and refused)
    if hosts and all(host.reason == pb.NO_ADDRESS for host in hosts):
        return CombinedPlan(Outcome.NO_HOST)
    return CombinedPlan(Outcome.DELAY)

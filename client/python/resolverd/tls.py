# SPDX-License-Identifier: BSD-3-Clause
"""A TLS connection to a host of a plan, with the standard module ssl: what to offer, and whether it will do (RFC 7672 sections 2.2, 3, 8).

    context = tls.client_context()
    tls_socket = context.wrap_socket(plain_socket, server_hostname=tls.server_name(host))
    verdict = tls.verdict(tls_socket, plan, host)
    if not verdict.may_deliver: ...next host; when none is left, keep the mail and try later

The handshake itself never fails for the certificate's sake, and no CA store is read: the verdict follows.
"""

import ipaddress
import ssl
import time
from dataclasses import dataclass
from typing import List, Optional, Union

from .match import Match, MatchResult, match_chain
from .results import Host, Plan
from .words import Policy, Requirement

# None without a certificate or without encryption (RFC 7672 section 8.2).
_SUITES = "DEFAULT:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=1"


@dataclass(frozen=True)
class Verdict:
    may_deliver: bool  # the mail may go over this connection
    authenticated: bool  # policy dane, and the chain matched
    for_domain: bool  # authenticated, by a securely found MX, hence for the domain
    would_refuse: bool  # requirement audit: let through all the same
    reason: str  # for people
    match: Optional[MatchResult] = None  # None: nothing was to match


def client_context() -> ssl.SSLContext:
    """TLS 1.2 and 1.3, no anonymous suites, no verification by the module itself. May be shared by connections to any host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_SUITES)
    return context


def needs_tls(host: Host) -> bool:
    return host.policy in (Policy.DANE, Policy.TLS_NO_AUTH)


def server_name(host: Host) -> Optional[str]:
    """For SNI: the TLSA base domain where the policy rests on one, else the host's name; never an address."""
    if needs_tls(host):
        return host.sni
    try:
        ipaddress.ip_address(host.name)
    except ValueError:
        return host.name
    return None


def peer_chain(connection: Union[ssl.SSLSocket, ssl.SSLObject]) -> List[bytes]:
    """DER, as sent, leaf first. Of a resumed session it may be the leaf alone: enough for usage 3, no match for usage 2."""
    inner = getattr(connection, "_sslobj", connection)
    if hasattr(connection, "get_unverified_chain"):  # since Python 3.13
        chain = connection.get_unverified_chain()
    else:  # there since Python 3.10, though not in its manual
        chain = getattr(inner, "get_unverified_chain", lambda: None)()
    if chain:
        return [bytes(one) if isinstance(one, bytes) else _der(one) for one in chain]
    leaf = connection.getpeercert(binary_form=True)
    return [leaf] if leaf else []


def _der(certificate: object) -> bytes:
    """Of the C module's own certificate object."""
    return ssl.PEM_cert_to_DER_cert(certificate.public_bytes())  # type: ignore[attr-defined]


def _forbidden(reason: str) -> Verdict:
    return Verdict(False, False, False, False, reason)


def _decide_dane(match: MatchResult, plan: Optional[Plan]) -> Verdict:
    requirement = plan.requirement if plan is not None else Requirement.NORMAL
    authenticated = match.verdict is Match.MATCH
    # Nothing usable: as tls-no-auth (RFC 7672 section 2.2), which is not enough where DANE is mandatory (section 6).
    no_auth_will_do = requirement in (Requirement.NORMAL, Requirement.AUDIT)
    good = authenticated or (match.verdict is Match.UNUSABLE and no_auth_will_do)
    would_refuse = not good and requirement is Requirement.AUDIT
    for_domain = authenticated and plan is not None and plan.is_selected_securely
    reason = match.reason + (" (let through by audit)" if would_refuse else "")
    return Verdict(good or would_refuse, authenticated, for_domain, would_refuse, reason, match)


def verdict_of_chain(chain: List[bytes], plan: Optional[Plan], host: Host, now: Optional[float] = None) -> Verdict:
    """As `verdict`, of the certificates that any TLS library hands out."""
    now = time.time() if now is None else now
    expires_at_ms = plan.expires_at_ms if plan is not None else host.expires_at_ms
    if expires_at_ms is not None and now * 1000 >= expires_at_ms:
        return _forbidden("the plan has expired: ask for a new one")
    if host.policy is Policy.DANE:
        return _decide_dane(match_chain(chain, host.tlsa, host.reference_names, now), plan)
    if host.policy in (Policy.TLS_NO_AUTH, Policy.OPPORTUNISTIC):
        return Verdict(True, False, False, host.would_refuse, "encrypted, not authenticated: the policy asks for no more")
    return _forbidden("the host is unreachable by policy")


def verdict(connection: Union[ssl.SSLSocket, ssl.SSLObject], plan: Optional[Plan], host: Host, now: Optional[float] = None) -> Verdict:
    """After the handshake; again for each further domain over the same connection, with its own plan. plan: None for a host asked alone.

    When the plan has expired by then, ask for a new one and call again. Raises ValueError while the handshake is not finished.
    """
    if connection.version() is None:
        raise ValueError("the handshake is not finished")
    return verdict_of_chain(peer_chain(connection), plan, host, now)

# SPDX-License-Identifier: BSD-3-Clause
"""The standard module smtplib, DANE-safe:

    with resolverd.Client() as client:
        plan = client.plan("example.org")
    with resolverd.smtp.connect(plan) as session:
        session.sendmail("me@example.net", ["user@example.org"], message)

The session is over the first host of the plan that may have the mail by the plan's policy. Nothing of a mail, not even MAIL FROM, is
given to any other. A plan is for one next hop: open a session for each domain.
"""

import smtplib
import ssl
from typing import List, Optional

from .errors import Error
from .results import Host, Plan
from .tls import Verdict, client_context, needs_tls, server_name, verdict
from .words import Outcome, Policy, Requirement

_TIMEOUT_S = 60.0


class UndeliverableError(Error):
    """The mail must not or cannot go now. `is_permanent` False: keep it and try later; never send it in another way.

    `causes`: what stood in the way at each host and address.
    """

    def __init__(self, reason: str, is_permanent: bool = False, causes: Optional[List[str]] = None):
        super().__init__("; ".join([reason, *(causes or [])]))
        self.is_permanent = is_permanent
        self.causes = causes or []


class _RefusedError(Exception):
    """This host may not have the mail."""


class _HandshakeError(_RefusedError):
    """TLS failed, which an opportunistic sender answers in clear, over a new connection."""


class Session(smtplib.SMTP):
    """An smtplib.SMTP to one address of a host, which gives nothing of a mail away before `secure` has returned."""

    host: Host
    plan: Plan
    verdict: Verdict

    def secure(self, plan: Plan, host: Host, starttls: bool = True) -> Verdict:
        """EHLO, STARTTLS, handshake and verdict. Raises where the host may not have the mail."""
        self.plan, self.host = plan, host
        self.ehlo_or_helo_if_needed()
        if not starttls:
            self.verdict = self._in_clear("the handshake failed before")
        elif not self.has_extn("starttls"):
            self.verdict = self._in_clear("the host offers no STARTTLS")
        else:
            code, text = self.docmd("STARTTLS")
            if code == 220:
                self.verdict = verdict(self._handshake(), plan, host)
            else:
                self.verdict = self._in_clear(f"the host refuses STARTTLS: {code} {text.decode(errors='replace')}")
        if not self.verdict.may_deliver:
            raise _RefusedError(self.verdict.reason)
        return self.verdict

    def _in_clear(self, why: str) -> Verdict:
        if self.plan.has_expired():
            return Verdict(False, False, False, False, "the plan has expired: ask for a new one")
        let_through = needs_tls(self.host) and self.plan.requirement is Requirement.AUDIT
        may_deliver = self.host.policy is Policy.OPPORTUNISTIC or let_through
        return Verdict(may_deliver, False, False, let_through or self.host.would_refuse, f"in clear: {why}")

    def _refuse_injected(self) -> None:
        """Something in clear behind the reply to STARTTLS: somebody stands in between, or the host is broken."""
        assert self.sock is not None and self.file is not None
        timeout = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            if self.file.peek(1):
                raise ValueError("text in clear after the reply to STARTTLS")
        finally:
            self.sock.settimeout(timeout)

    def _handshake(self) -> ssl.SSLSocket:
        """What the host said in clear is forgotten (RFC 3207 section 4.2)."""
        assert self.sock is not None
        try:
            self._refuse_injected()
            tls_socket = client_context().wrap_socket(self.sock, server_hostname=server_name(self.host))
        except (OSError, ValueError) as error:
            raise _HandshakeError(f"the handshake failed: {error}") from error
        self.sock, self.file = tls_socket, None
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False
        return tls_socket


def _open(plan: Plan, host: Host, address: str, local_hostname: Optional[str], timeout: float, starttls: bool = True) -> Session:
    session = Session(local_hostname=local_hostname, timeout=timeout)
    try:
        code, text = session.connect(address, host.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        session.secure(plan, host, starttls)
    except BaseException:
        session.close()
        raise
    return session


def _open_any(plan: Plan, host: Host, address: str, local_hostname: Optional[str], timeout: float) -> Session:
    try:
        return _open(plan, host, address, local_hostname, timeout)
    except _HandshakeError:
        if needs_tls(host) and plan.requirement is not Requirement.AUDIT:
            raise
    return _open(plan, host, address, local_hostname, timeout, starttls=False)


def connect(plan: Plan, *, local_hostname: Optional[str] = None, timeout: float = _TIMEOUT_S) -> Session:
    """A session that may have mail for the plan's next hop. Raises UndeliverableError. timeout: seconds, for each wait."""
    if plan.outcome is not Outcome.DELIVER:
        raise UndeliverableError(plan.reason, is_permanent=plan.outcome is not Outcome.DELAY)
    causes = []
    for host in plan.hosts:
        if host.policy is Policy.UNREACHABLE:
            causes.append(f"{host.name}: {host.reason_text}")
            continue
        for address in host.addresses:
            try:
                return _open_any(plan, host, address.ip, local_hostname, timeout)
            except (OSError, smtplib.SMTPException, _RefusedError) as error:
                causes.append(f"{host.name}[{address.ip}]: {error}")
    raise UndeliverableError(f"no host may have mail for {plan.next_hop}", causes=causes)

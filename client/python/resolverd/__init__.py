# SPDX-License-Identifier: BSD-3-Clause
"""How may I deliver mail to this domain right now? A client of the resolverd daemon; README.md is the manual.

    with resolverd.Client() as client:
        plan = client.plan("example.org")
    plan.outcome, plan.hosts[0].policy, plan.hosts[0].addresses, plan.hosts[0].tlsa
"""

from . import smtp, tls
from .client import DEFAULT_PUBLIC_KEY, DEFAULT_SOCKET, Client
from .errors import (ArgumentError, BusyError, Error, NoDaemonError, ProtocolError, PublicKeyError, RefusedError, TimeoutError,
                     VerifyError)
from .match import Match, MatchResult, match_chain
from .results import Address, DaemonStatus, Host, InsecureZone, Plan, Records, Rrset, Tlsa
from .words import Outcome, Policy, Requirement, Status, TlsaStatus

__version__ = "0.1.0"
__all__ = [
    "Address", "ArgumentError", "BusyError", "Client", "DEFAULT_PUBLIC_KEY", "DEFAULT_SOCKET", "DaemonStatus", "Error", "Host",
    "InsecureZone", "Match", "MatchResult", "NoDaemonError", "Outcome", "Plan", "Policy", "ProtocolError", "PublicKeyError", "Records",
    "RefusedError", "Requirement", "Rrset", "Status", "TimeoutError", "Tlsa", "TlsaStatus", "VerifyError", "match_chain", "smtp", "tls",
]

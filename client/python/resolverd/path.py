# SPDX-License-Identifier: BSD-3-Clause
"""Paths from a leaf to what issued it (RFC 5280 section 6), for usage DANE-TA(2).

No CA store is read. A path with name constraints never holds: they are not evaluated here. docs/DELIVERY.md says how a chain is
matched, README.md where this package refuses what the C library takes.
"""

from typing import Any, Iterator, List, Optional, Sequence, Tuple

from cryptography import x509

from .certificate import SERVER_AUTH, Certificate, get

PATH_MAX = 11  # leaf, nine between, anchor
SIGNATURES_MAX = 64  # verified for one chain: a peer can't keep us busy


class Budget:
    def __init__(self) -> None:
        self.left = SIGNATURES_MAX

    def spend(self) -> bool:
        self.left -= 1
        return self.left >= 0


def climb(path: Sequence[Certificate], others: Sequence[Certificate], budget: Budget) -> Iterator[List[Certificate]]:
    """Every way up from the last of `path` in which each certificate signed the one before it, shortest first."""
    yield list(path)
    if len(path) == PATH_MAX:
        return
    for issuer in others:
        if issuer in path or issuer.subject != path[-1].issuer or not budget.spend():
            continue
        if path[-1].is_signed_by(issuer.key):
            yield from climb([*path, issuer], others, budget)


def _is_for_servers(extensions: x509.Extensions) -> bool:
    extended = get(extensions, x509.ExtendedKeyUsage)
    return extended is None or SERVER_AUTH in extended


def _may_issue(extensions: x509.Extensions, certificates_between: int) -> bool:
    basic, usage = get(extensions, x509.BasicConstraints), get(extensions, x509.KeyUsage)
    return (basic is not None and basic.ca and (basic.path_length is None or certificates_between <= basic.path_length)
            and (usage is None or usage.key_cert_sign) and get(extensions, x509.NameConstraints) is None)


def _may_serve(extensions: x509.Extensions) -> bool:
    usage = get(extensions, x509.KeyUsage)
    return usage is None or usage.digital_signature or usage.key_encipherment or usage.key_agreement


def fault_of(path: Sequence[Certificate], now: float) -> Optional[Tuple[bool, str]]:
    """None: the path holds. Else whether dates are at fault, and why it does not, for people. Signatures are those of climb()."""
    between = 0
    for depth, certificate in enumerate(path):
        extensions = certificate.extensions()
        where = f"the certificate at depth {depth}"
        if extensions is None:
            return False, f"{where} has an extension that cannot be read or is not understood"
        if certificate.key is None:
            return False, f"{where} has a key that is too weak or unknown"
        if not _is_for_servers(extensions) or (depth == 0 and not _may_serve(extensions)):
            return False, f"{where} is not for TLS servers"
        if depth > 0 and not _may_issue(extensions, between):
            return False, f"{where} may not issue this, or has name constraints"
        between += depth > 0 and certificate.subject != certificate.issuer
    early_or_late = [depth for depth, certificate in enumerate(path) if not certificate.is_in_time(now)]
    return (True, f"the certificate at depth {early_or_late[0]} has expired or is not yet valid") if early_or_late else None


def is_key_above(path: Sequence[Certificate], key: Any, budget: Budget) -> bool:
    return budget.spend() and path[-1].is_signed_by(key)

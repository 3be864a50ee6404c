# SPDX-License-Identifier: BSD-3-Clause
"""Names and next hops in the canonical form of docs/PROTOCOL.md, which questions and answers are compared in."""

import re
import socket
from typing import List, NamedTuple, Optional

from .errors import ArgumentError

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_*")
_NAME_OCTETS_MAX = 255
_LABEL_OCTETS_MAX = 63


class NextHop(NamedTuple):
    text: str  # canonical, brackets kept
    name: str  # without brackets
    is_domain: bool  # the MX step applies
    is_address: bool


def _refuse(text: str, why: str) -> ArgumentError:
    return ArgumentError(f"cannot ask for {text!r}: {why}")


def _octets(text: str, label: str) -> bytes:
    """A label's octets, escapes resolved (RFC 1035 section 5.1)."""
    octets, at = bytearray(), 0
    while at < len(label):
        character = label[at]
        if character == "\\" and label[at + 1:at + 2].isdigit():
            digits = label[at + 1:at + 4]
            if not re.fullmatch("[0-9]{3}", digits) or int(digits) > 255:
                raise _refuse(text, "it has a bad \\ escape")
            octets.append(int(digits))
            at += 4
            continue
        escaped = character == "\\"
        character = label[at + 1:at + 2] if escaped else character
        if not "!" <= character <= "~":
            raise _refuse(text, "it has a bad \\ escape" if escaped else "it has a blank or a control character")
        octets += character.encode()
        at += 2 if escaped else 1
    return bytes(octets).lower()


def _labels(text: str) -> List[str]:
    """Split at the dots that are not escaped; a last one is dropped."""
    labels = re.findall(r"((?:\\.|[^.\\]|\\\Z)*)(\.|\Z)", text, re.S)
    parts = [label for label, _ in labels]
    return parts[:-1] if parts and parts[-1] == "" else parts


def _written(octets: bytes) -> str:
    return "".join(chr(octet) if octet in _PLAIN else "\\" + chr(octet) if octet in b".\\" else f"\\{octet:03d}" for octet in octets)


def _to_ascii(text: str) -> str:
    if text.isascii():
        return text
    if "\\" in text:
        raise _refuse(text, "it has both \\ escapes and non-ASCII letters")
    try:
        import idna  # Debian's python3-idna; only such names need it
    except ImportError:
        raise _refuse(text, "a name with non-ASCII letters needs the package idna") from None
    try:
        return idna.encode(text, uts46=True, transitional=False).decode()
    except (idna.IDNAError, UnicodeError) as error:
        raise _refuse(text, str(error)) from None


def canonical_name(text: str) -> str:
    """The name as questions have it; a trailing dot is allowed, U-labels become A-labels. Raises ArgumentError."""
    ascii_text = _to_ascii(text)
    if ascii_text == "":
        raise _refuse(text, "it is empty")
    if ascii_text == ".":
        return "."
    labels = [_octets(text, label) for label in _labels(ascii_text)]
    if not all(labels) or not labels:
        raise _refuse(text, "it has an empty label")
    if any(len(label) > _LABEL_OCTETS_MAX for label in labels):
        raise _refuse(text, "it has a label longer than 63 octets")
    if sum(1 + len(label) for label in labels) + 1 > _NAME_OCTETS_MAX:
        raise _refuse(text, "it is longer than 255 octets")
    return ".".join(map(_written, labels))


def _address(text: str) -> Optional[str]:
    """As inet_ntop writes it; None: it is none."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text))
    except (OSError, ValueError):
        return None


def _bracketed(text: str, inner: str) -> NextHop:
    if "[" in inner or "]" in inner:
        raise _refuse(text, "its brackets do not match")
    address = _address(inner)
    if address is None and ":" in inner:
        tagged = inner.lower().startswith("ipv6:") and ":" in inner[5:]
        address = _address(inner[5:]) if tagged else None
        if address is None:
            raise _refuse(text, "what stands in brackets is neither an IP address nor a host name")
    if address is not None:
        return NextHop(f"[{address}]", address, False, True)
    name = canonical_name(inner)
    if re.fullmatch("[0-9]+", name.rpartition(".")[2]):
        raise _refuse(text, "what stands in brackets is neither an IP address nor a host name")
    return NextHop(f"[{name}]", name, False, False)


def next_hop(text: str) -> NextHop:
    """A domain, "[host]" or "[address]". Raises ArgumentError."""
    if text.startswith("["):
        if len(text) < 3 or not text.endswith("]"):
            raise _refuse(text, "its brackets do not match")
        return _bracketed(text, text[1:-1])
    if ":" in text:
        raise _refuse(text, "it has a colon; the port is given apart, an IPv6 address in brackets")
    name = canonical_name(text)
    if _address(name) is not None:
        raise _refuse(text, "it is an IP address; write it in brackets, as [192.0.2.1]")
    return NextHop(name, name, True, False)

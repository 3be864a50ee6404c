# SPDX-License-Identifier: BSD-3-Clause
"""That the daemon said these very answers to this very request just now (docs/PROTOCOL.md, "Attestation").

tests/vectors/attestation.json holds leaves, trees and forged responses.
"""

import struct
from typing import Sequence

from . import resolverd_pb2 as pb
from .errors import VerifyError
from .keys import Keyring, blake2b, is_signed
from .verify import ExpiredError, UnknownKeyError

NONCE_BYTES = 32
SKEW_MS = 5000
_LEAVES_MAX = 65536


def leaf_of(nonce: bytes, request: bytes, answers: Sequence[bytes]) -> bytes:
    """answers: the bytes of each SignedAnswer as they came."""
    if len(answers) > 255:
        raise VerifyError("the response is not attested: it has more answers than a leaf can count")
    return blake2b(b"\0" + nonce + blake2b(request) + bytes([len(answers)]) + b"".join(map(blake2b, answers)))


def root_of(leaf: bytes, index: int, leaf_count: int, path: Sequence[bytes]) -> bytes:
    """The root a path leads to. Raises VerifyError."""
    if not 1 <= leaf_count <= _LEAVES_MAX or index >= leaf_count or any(len(node) != 32 for node in path):
        raise VerifyError("the response is not attested: an impossible place or path")
    node, width, rest = leaf, leaf_count, list(path)
    while width > 1:
        if index ^ 1 < width:  # it has a neighbour
            if not rest:
                raise VerifyError("the response is not attested: its path is too short")
            other = rest.pop(0)
            node = blake2b(b"\1" + (other + node if index & 1 else node + other))
        index, width = index // 2, (width + 1) // 2
    if rest:
        raise VerifyError("the response is not attested: its path is too long")
    return node


def check_attestation(attestation: pb.Attestation, leaf: bytes, keyring: Keyring, now_ms: int) -> None:
    """Raises VerifyError; UnknownKeyError or ExpiredError where asking once more may help."""
    online = keyring.find(attestation.key_id, now_ms)
    if online is None:
        raise UnknownKeyError("the response is attested by an unknown key")
    root = root_of(leaf, attestation.index, attestation.leaf_count, attestation.path)
    message = root + struct.pack(">QI", attestation.attested_at, attestation.leaf_count)
    if not is_signed("resolverd attestation v1", message, attestation.signature, online.key):
        raise VerifyError("the response is not attested: the signature is wrong, or not for this very response")
    if attestation.attested_at > now_ms + SKEW_MS:
        raise VerifyError("the response is not attested: its time has not come yet (is the clock right?)")
    if attestation.attested_at < now_ms - SKEW_MS:
        raise ExpiredError("the response is not attested: it was made more than 5 s ago (is the clock right?)")

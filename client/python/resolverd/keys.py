# SPDX-License-Identifier: BSD-3-Clause
"""Trusted long-term keys, and the short-lived online keys they vouch for (docs/PROTOCOL.md, "Delegations")."""

import base64
import binascii
import hashlib
import os
from typing import Dict, Iterable, NamedTuple, Optional, Union

import nacl.exceptions
import nacl.signing
from google.protobuf.message import DecodeError

from . import resolverd_pb2 as pb
from .errors import PublicKeyError, VerifyError

KEYS_MAX = 16
KEY_BYTES = 32


def blake2b(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def key_id(public_key: bytes) -> bytes:
    return blake2b(public_key)[:8]


def is_signed(context: str, message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Ed25519 over the context, a zero byte and the message."""
    try:
        nacl.signing.VerifyKey(public_key).verify(context.encode() + b"\0" + message, signature)
    except (nacl.exceptions.CryptoError, ValueError, TypeError):
        return False
    return True


def _key_of_line(line: str) -> bytes:
    key = base64.b64decode(line, validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError("a key has 32 bytes, written as 44 characters of base64")
    return key


def load_trusted_keys(path: Union[str, "os.PathLike[str]"]) -> Dict[bytes, bytes]:
    """{key id: key} of a file with one base64 key a line. Raises PublicKeyError."""
    keys: Dict[bytes, bytes] = {}
    try:
        with open(path, encoding="ascii") as file:
            for number, line in enumerate(file, 1):
                text = line.strip()
                if text and not text.startswith("#"):
                    key = _key_of_line(text)
                    keys[key_id(key)] = key
    except OSError as error:
        raise PublicKeyError(f"cannot read the public key file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PublicKeyError(f"{path}: not ASCII") from error
    except (binascii.Error, ValueError) as error:
        raise PublicKeyError(f"{path}:{number}: {error}") from error
    if not keys:
        raise PublicKeyError(f"{path}: the file holds no key")
    if len(keys) > KEYS_MAX:
        raise PublicKeyError(f"{path}: more than {KEYS_MAX} keys")
    return keys


class OnlineKey(NamedTuple):
    key: bytes
    member: str
    not_before_ms: int
    not_after_ms: int


def check_delegation(trusted: Dict[bytes, bytes], signed: pb.SignedDelegation, now_ms: int) -> OnlineKey:
    """The key it is for. Raises VerifyError."""
    long_term = trusted.get(signed.key_id)
    if long_term is None or not is_signed("resolverd delegation v1", signed.delegation, signed.signature, long_term):
        raise VerifyError("no key of the public key file signed it")
    try:
        delegation = pb.Delegation.FromString(signed.delegation)
    except DecodeError:
        raise VerifyError("it is malformed") from None
    if len(delegation.online_key) != KEY_BYTES:
        raise VerifyError("its online key does not have 32 bytes")
    if delegation.scope != pb.ANSWERS:
        raise VerifyError("its scope does not cover answers")
    if now_ms < delegation.not_before:
        raise VerifyError("it is not valid yet (is the clock right?)")
    if now_ms >= delegation.not_after:
        raise VerifyError("it has expired")
    return OnlineKey(delegation.online_key, delegation.member, delegation.not_before, delegation.not_after)


class Keyring:
    """The online keys that good delegations of a status name."""

    def __init__(self, trusted: Dict[bytes, bytes], delegations: Iterable[pb.SignedDelegation], now_ms: int):
        self._keys: Dict[bytes, OnlineKey] = {}
        self.why_empty = "the daemon has none"
        for signed in delegations:
            try:
                online = check_delegation(trusted, signed, now_ms)
            except VerifyError as error:
                self.why_empty = str(error)
            else:
                self._keys[key_id(online.key)] = online

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, identity: bytes, now_ms: int) -> Optional[OnlineKey]:
        """None: unknown, or its delegation is out of time."""
        online = self._keys.get(identity)
        if online is None or not online.not_before_ms <= now_ms < online.not_after_ms:
            return None
        return online

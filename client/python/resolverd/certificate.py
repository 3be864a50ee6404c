# SPDX-License-Identifier: BSD-3-Clause
"""One certificate as the peer sent it: the octets that TLSA records are about, and what a path to a trust anchor needs to know of it.

Stricter than OpenSSL where it is simple to be: what is not understood never helps a match.
"""

import datetime
from typing import Any, Dict, FrozenSet, List, NamedTuple, Optional, Tuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

_SEQUENCE, _INTEGER, _BIT_STRING, _VERSION = 0x30, 0x02, 0x03, 0xA0
_CRYPTO_ERRORS = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_RSA_BITS_MIN, _CURVE_BITS_MIN = 2048, 224

# Signature algorithms by the DER of their AlgorithmIdentifier's OID. No SHA-1, no MD5, no RSASSA-PSS.
_RSA_HASHES: Dict[bytes, hashes.HashAlgorithm] = {
    bytes.fromhex("06092a864886f70d01010b"): hashes.SHA256(),
    bytes.fromhex("06092a864886f70d01010c"): hashes.SHA384(),
    bytes.fromhex("06092a864886f70d01010d"): hashes.SHA512(),
}
_ECDSA_HASHES: Dict[bytes, hashes.HashAlgorithm] = {
    bytes.fromhex("06082a8648ce3d040302"): hashes.SHA256(),
    bytes.fromhex("06082a8648ce3d040303"): hashes.SHA384(),
    bytes.fromhex("06082a8648ce3d040304"): hashes.SHA512(),
}
_ED25519, _ED448 = bytes.fromhex("06032b6570"), bytes.fromhex("06032b6571")

# Extensions whose being critical stops nobody: those looked at here, and those that restrict nothing that is used here.
_UNDERSTOOD: FrozenSet[x509.ObjectIdentifier] = frozenset({
    ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.NAME_CONSTRAINTS, ExtensionOID.CERTIFICATE_POLICIES, ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.AUTHORITY_INFORMATION_ACCESS})


class MalformedError(ValueError):
    """Not DER, or not of the outline it must have."""


class _Element(NamedTuple):
    tag: int
    der: bytes  # tag and length included
    content: bytes


def _elements(data: bytes) -> List[_Element]:
    """What stands side by side in DER (X.690 section 10): low tags, definite and shortest lengths. Raises MalformedError."""
    elements, at = [], 0
    while at < len(data):
        begin = at
        if len(data) - at < 2 or data[at] & 0x1F == 0x1F:
            raise MalformedError("not DER")
        length, at = data[at + 1], at + 2
        if length >= 0x80:
            octets = length & 0x7F
            length = int.from_bytes(data[at:at + octets], "big")
            if not 1 <= octets <= 4 or len(data) - at < octets or length < (0x80 if octets == 1 else 1 << 8 * (octets - 1)):
                raise MalformedError("not DER")
            at += octets
        if length > len(data) - at:
            raise MalformedError("not DER")
        elements.append(_Element(data[begin], data[begin:at + length], data[at:at + length]))
        at += length
    return elements


def _sequence(der: bytes) -> List[_Element]:
    """Of exactly one SEQUENCE."""
    elements = _elements(der)
    if len(elements) != 1 or elements[0].tag != _SEQUENCE:
        raise MalformedError("not a SEQUENCE")
    return _elements(elements[0].content)


def is_full_data(der: bytes, is_key: bool) -> bool:
    """The outline of a certificate (RFC 5280 section 4.1) or of a SubjectPublicKeyInfo, as in proto/tlsa_set.c."""
    try:
        tags = [element.tag for element in _sequence(der) if element.content]
    except MalformedError:
        return False
    return tags == ([_SEQUENCE, _BIT_STRING] if is_key else [_SEQUENCE, _SEQUENCE, _BIT_STRING])


def load_key(spki: bytes) -> Any:
    """None: of an algorithm nobody here knows, or too weak (OpenSSL's security level 2)."""
    try:
        key = serialization.load_der_public_key(spki)
    except _CRYPTO_ERRORS:
        return None
    if isinstance(key, rsa.RSAPublicKey):
        return key if key.key_size >= _RSA_BITS_MIN else None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key if key.curve.key_size >= _CURVE_BITS_MIN else None
    return key if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)) else None


class Certificate:
    """Raises MalformedError."""

    def __init__(self, der: bytes):
        outer = _sequence(der)
        if [element.tag for element in outer] != [_SEQUENCE, _SEQUENCE, _BIT_STRING]:
            raise MalformedError("no certificate")
        fields = _elements(outer[0].content)
        fields = fields[1:] if fields and fields[0].tag == _VERSION else fields
        if [element.tag for element in fields[:6]] != [_INTEGER] + [_SEQUENCE] * 5:
            raise MalformedError("no certificate")
        self.der = der
        self.spki = fields[5].der
        self.issuer, self.subject = fields[2].der, fields[4].der
        self._tbs, self._signature = outer[0].der, outer[2].content[1:]
        self._is_signature_sound = fields[1].der == outer[1].der and outer[2].content[:1] == b"\0"
        algorithm = _elements(outer[1].content)
        self._algorithm = algorithm[0].der if algorithm else b""
        self._key: Any = False  # not looked at yet
        self._x509: Optional[x509.Certificate] = None

    @property
    def key(self) -> Any:
        if self._key is False:
            self._key = load_key(self.spki)
        return self._key

    def _parsed(self) -> x509.Certificate:
        if self._x509 is None:
            self._x509 = x509.load_der_x509_certificate(self.der)
        return self._x509

    def is_signed_by(self, key: Any) -> bool:
        if key is None or not self._is_signature_sound:
            return False
        try:
            if isinstance(key, rsa.RSAPublicKey) and self._algorithm in _RSA_HASHES:
                key.verify(self._signature, self._tbs, padding.PKCS1v15(), _RSA_HASHES[self._algorithm])
            elif isinstance(key, ec.EllipticCurvePublicKey) and self._algorithm in _ECDSA_HASHES:
                key.verify(self._signature, self._tbs, ec.ECDSA(_ECDSA_HASHES[self._algorithm]))
            elif isinstance(key, ed25519.Ed25519PublicKey) and self._algorithm == _ED25519:
                key.verify(self._signature, self._tbs)
            elif isinstance(key, ed448.Ed448PublicKey) and self._algorithm == _ED448:
                key.verify(self._signature, self._tbs)
            else:
                return False
        except (InvalidSignature, *_CRYPTO_ERRORS):
            return False
        return True

    def _dates(self) -> Tuple[datetime.datetime, datetime.datetime]:
        parsed: Any = self._parsed()
        if hasattr(parsed, "not_valid_before_utc"):  # since cryptography 42
            return parsed.not_valid_before_utc, parsed.not_valid_after_utc
        utc = datetime.timezone.utc
        return parsed.not_valid_before.replace(tzinfo=utc), parsed.not_valid_after.replace(tzinfo=utc)

    def is_in_time(self, now: float) -> bool:
        try:
            begin, end = self._dates()
            return begin.timestamp() <= now < end.timestamp()
        except _CRYPTO_ERRORS:
            return False

    def extensions(self) -> Optional[x509.Extensions]:
        """None: one cannot be read, is there twice, or is critical and not understood."""
        try:
            found = self._parsed().extensions
        except _CRYPTO_ERRORS:
            return None
        return None if any(one.critical and one.oid not in _UNDERSTOOD for one in found) else found

    def names(self) -> Tuple[str, ...]:
        """DNS-IDs; the common name only where there is none (RFC 7672 section 3.2.3). Call where extensions() is not None."""
        alternative = get(self.extensions(), x509.SubjectAlternativeName)
        dns_ids = alternative.get_values_for_type(x509.DNSName) if alternative is not None else []
        if dns_ids:
            return tuple(dns_ids)
        try:
            return tuple(str(name.value) for name in self._parsed().subject.get_attributes_for_oid(NameOID.COMMON_NAME))
        except _CRYPTO_ERRORS:
            return ()


def get(extensions: Optional[x509.Extensions], kind: Any) -> Any:
    """The value of an extension; None: there is none."""
    if extensions is None:
        return None
    return next((one.value for one in extensions if one.oid == kind.oid), None)


SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH

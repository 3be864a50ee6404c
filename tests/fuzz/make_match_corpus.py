# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seeds of fuzz_match.c to tests/fuzz/corpus/match: chains that match, in each way there is."""

import datetime
import hashlib
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DER = serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
FROM = datetime.datetime(2017, 1, 1)  # the fuzzer's clock stands in July
CORPUS = pathlib.Path(__file__).parent / "corpus" / "match"


def issue(name, issuer=None, extensions=()):
    """(certificate, key)"""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        subject_name=subject, issuer_name=issuer[0].subject if issuer else subject, public_key=key.public_key(),
        serial_number=x509.random_serial_number(), not_valid_before=FROM,
        not_valid_after=FROM + datetime.timedelta(days=365))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def sized(data):
    return len(data).to_bytes(2, "big") + data


def record(usage, selector, matching_type, certificate):
    data = certificate.public_key().public_bytes(DER, SPKI) if selector else certificate.public_bytes(DER)
    data = {0: bytes, 1: lambda d: hashlib.sha256(d).digest(), 2: lambda d: hashlib.sha512(d).digest()}[matching_type](data)
    return bytes([usage, selector, matching_type]) + sized(data)


def write(name, chain, *records):
    certificates = b"".join(sized(certificate.public_bytes(DER)) for certificate in chain)
    (CORPUS / name).write_bytes(bytes([len(chain)]) + certificates + b"".join(records))


def main():
    ca, mx = x509.BasicConstraints(ca=True, path_length=2), x509.DNSName("mx.example.com")
    names = x509.NameConstraints([x509.DNSName("example.com")], [x509.DNSName("example.net")])
    root = issue("root", None, [ca])
    intermediate = issue("int", root, [ca, names, x509.AuthorityKeyIdentifier.from_issuer_public_key(root[1].public_key()),
                                       x509.SubjectKeyIdentifier(b"1234")])
    leaf = issue("leaf", intermediate, [x509.SubjectAlternativeName([x509.DNSName("*.example.com"), mx]),
                                        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])])
    plain = issue("mx.example.com", root)
    root, intermediate, leaf, plain = (one[0] for one in (root, intermediate, leaf, plain))
    CORPUS.mkdir(parents=True, exist_ok=True)
    write("ee", [leaf], record(3, 1, 1, leaf), record(3, 0, 2, leaf), record(3, 1, 0, leaf))
    write("ta", [leaf, intermediate, root], record(2, 0, 1, root), record(2, 1, 2, root))
    write("ta-in-dns", [leaf, intermediate], record(2, 0, 0, root))
    write("ta-key-in-dns", [leaf, intermediate], record(2, 1, 0, root))
    write("common-name", [plain], record(2, 1, 0, root), record(1, 1, 1, plain))


main()

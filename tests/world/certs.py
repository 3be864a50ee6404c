# SPDX-License-Identifier: BSD-3-Clause
"""Certificates of the world's mail hosts, made fresh at each start, and the TLSA data that pins them.

A TLSA record in domains.json names what it pins instead of a digest:

    leaf          the certificate of the host the owner name speaks of (`_25._tcp.HOST`)
    leaf:HOST     the certificate of another host
    ca            the world's certificate authority, which issued all of them
    spare:N       a self-signed certificate that no host presents
    nothing:N     a digest of the right length that no certificate has
    hex:…         these bytes
"""

import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
HASHES = {1: hashlib.sha256, 2: hashlib.sha512}


def _key_pem(key):
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """A certificate authority that issues one certificate a host, on demand."""

    def __init__(self):
        now = datetime.datetime.utcnow()
        self.validity = (now - datetime.timedelta(days=1), now + datetime.timedelta(days=30))
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._issue("world mail CA", self.key, is_ca=True, issuer=None)
        self.leaves = {}
        self.spares = {}

    def leaf(self, host):
        """(private key, certificate) of a host; the only name in the certificate is the host's."""
        if host not in self.leaves:
            key = ec.generate_private_key(ec.SECP256R1())
            self.leaves[host] = key, self._issue(host, key, is_ca=False, issuer=self.certificate)
        return self.leaves[host]

    def spare(self, number):
        if number not in self.spares:
            key = ec.generate_private_key(ec.SECP256R1())
            self.spares[number] = self._issue(f"spare {number}", key, is_ca=True, issuer=None, signer=key)
        return self.spares[number]

    def _issue(self, name, key, is_ca, issuer, signer=None):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.validity[0])
            .not_valid_after(self.validity[1])
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if not is_ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        return builder.sign(signer or self.key, hashes.SHA256())

    def tlsa_data(self, what, owner, selector, matching_type):
        """The certificate association data, in hex, of `what` (see above) in a TLSA record at `owner`."""
        kind, _, argument = what.partition(":")
        if kind == "hex":
            return argument
        if kind == "nothing":
            return HASHES[matching_type](f"nothing {argument}".encode()).hexdigest()
        if kind == "ca":
            certificate = self.certificate
        elif kind == "spare":
            certificate = self.spare(argument)
        elif kind == "leaf":
            certificate = self.leaf(argument or host_of(owner))[1]
        else:
            raise ValueError(f"{owner}: unknown TLSA data {what!r}")
        data = certificate.public_key().public_bytes(DER, SPKI) if selector else certificate.public_bytes(DER)
        return HASHES[matching_type](data).hexdigest() if matching_type in HASHES else data.hex()

    def write(self, directory):
        """ca.pem, ca.key, and HOST.pem (private key, certificate, authority) for every host."""
        directory.mkdir()
        authority = self.certificate.public_bytes(PEM)
        (directory / "ca.pem").write_bytes(authority)
        (directory / "ca.key").write_bytes(_key_pem(self.key))
        for host, (key, certificate) in self.leaves.items():
            chain = _key_pem(key) + certificate.public_bytes(PEM) + authority
            (directory / f"{host}.pem").write_bytes(chain)


def host_of(owner):
    """The host that `_25._tcp.HOST` or `*._tcp.HOST` is about."""
    labels = owner.rstrip(".").split(".")
    while labels[0].startswith("_") or labels[0] == "*":
        labels.pop(0)
    return ".".join(labels)

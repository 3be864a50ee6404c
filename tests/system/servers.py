# SPDX-License-Identifier: BSD-3-Clause
"""DNS that a test needs beside the world: a zone for an unbound of its own, and a forwarder that strips DNSSEC data."""

import contextlib
import socket
import threading

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype

SIGNING_TYPES = {dns.rdatatype.RRSIG, dns.rdatatype.NSEC, dns.rdatatype.NSEC3}


def internal_zone(name="corp.example", mx="relay", address="127.25.99.1"):
    """A zone with one mail host, for the server section of an unbound."""
    return f"""
    local-zone: "{name}." static
    local-data: "{name}. SOA ns.{name}. host.{name}. 1 3600 900 86400 60"
    local-data: "{name}. NS ns.{name}."
    local-data: "{name}. MX 10 {mx}.{name}."
    local-data: "{mx}.{name}. A {address}"
"""


@contextlib.contextmanager
def stripping_forwarder(address, upstream):
    """Forwards UDP queries, and takes everything of DNSSEC from the answers but the AD bit, which it sets."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 53))
        sock.settimeout(0.1)
        done = threading.Event()
        thread = threading.Thread(target=strip_all, args=(sock, upstream, done))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def strip_all(sock, upstream, done):
    while not done.is_set():
        try:
            wire, peer = sock.recvfrom(4096)
        except TimeoutError:
            continue
        try:
            sock.sendto(strip(dns.message.from_wire(wire), upstream), peer)
        except (dns.exception.DNSException, OSError):
            continue  # the client asks again


def strip(query, upstream):
    plain = dns.message.make_query(query.question[0].name, query.question[0].rdtype)
    reply = dns.query.udp_with_fallback(plain, upstream, timeout=3)[0]
    reply.id = query.id
    reply.flags |= dns.flags.AD
    for section in (reply.answer, reply.authority):
        section[:] = [rrset for rrset in section if rrset.rdtype not in SIGNING_TYPES]
    return reply.to_wire(max_size=65535)

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
import dns.rrset

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
def stripping_forwarder(address, upstream, ad=True):
    """Forwards UDP queries, and takes everything of DNSSEC from the answers but the AD bit, which it sets, or clears."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 53))
        sock.settimeout(0.1)
        done = threading.Event()
        thread = threading.Thread(target=strip_all, args=(sock, upstream, ad, done))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def strip_all(sock, upstream, ad, done):
    while not done.is_set():
        try:
            wire, peer = sock.recvfrom(4096)
        except TimeoutError:
            continue
        try:
            sock.sendto(strip(dns.message.from_wire(wire), upstream, ad), peer)
        except (dns.exception.DNSException, OSError):
            continue  # the client asks again


def strip(query, upstream, ad):
    plain = dns.message.make_query(query.question[0].name, query.question[0].rdtype)
    reply = dns.query.udp_with_fallback(plain, upstream, timeout=3)[0]
    reply.id = query.id
    reply.flags = reply.flags | dns.flags.AD if ad else reply.flags & ~dns.flags.AD
    for section in (reply.answer, reply.authority):
        section[:] = [rrset for rrset in section if rrset.rdtype not in SIGNING_TYPES]
    return reply.to_wire(max_size=65535)


class Middlebox:
    """Stands for a name server at `address` and passes on to `upstream` what it lets through.

    `spoil` gets each query and its reply, may change the reply, and returns it, or None to drop it; `spoil_streams`: the same over TCP, where
    it differs; tcp: whether it takes connections.
    """

    def __init__(self, address, upstream, spoil=lambda query, reply: reply, spoil_streams=None, tcp=True):
        self.address, self.upstream, self.tcp = address, upstream, tcp
        self.spoil, self.spoil_streams = spoil, spoil_streams or spoil

    def __enter__(self):
        self.done = threading.Event()
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        work = [self._serve_datagrams]
        if self.tcp:
            self.sockets.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            self.sockets[1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            work.append(self._serve_streams)
        for sock in self.sockets:
            sock.bind((self.address, 53))
            sock.settimeout(0.1)
        self.threads = [threading.Thread(target=one) for one in work]
        if self.tcp:
            self.sockets[1].listen()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()
        for sock in self.sockets:
            sock.close()

    def _reply(self, wire, ask):
        query = dns.message.from_wire(wire)
        reply = self.spoil(query, ask(query, self.upstream, timeout=3))
        return reply and reply.to_wire(max_size=65535)

    def _serve_datagrams(self):
        while not self.done.is_set():
            with contextlib.suppress(TimeoutError, dns.exception.DNSException):
                wire, peer = self.sockets[0].recvfrom(4096)
                reply = self._reply(wire, dns.query.udp)
                if reply:
                    self.sockets[0].sendto(reply, peer)

    def _serve_streams(self):
        while not self.done.is_set():
            with contextlib.suppress(OSError, EOFError, dns.exception.DNSException):
                sock, _ = self.sockets[1].accept()
                with sock:
                    sock.settimeout(3)
                    query, _ = dns.query.receive_tcp(sock)
                    reply = self.spoil_streams(query, dns.query.tcp(query, self.upstream, timeout=3))
                    if reply:
                        dns.query.send_tcp(sock, reply)


class Scripted:
    """A name server whose answers a test changes as it goes: `answers[name, type] = (ttl, [data, …])`, unsigned.

    It listens where the world's zones with `server: nobody` are delegated to; `asked` lists what it was asked.
    """

    ADDRESS = "127.53.9.9"

    def __init__(self, zone):
        self.zone = zone
        self.answers, self.asked = {}, []

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.ADDRESS, 53))
        self.socket.settimeout(0.1)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.socket.close()

    def _serve(self):
        while not self.done.is_set():
            try:
                wire, peer = self.socket.recvfrom(4096)
                self.socket.sendto(self._reply(dns.message.from_wire(wire)).to_wire(), peer)
            except (TimeoutError, dns.exception.DNSException):
                continue

    def _reply(self, query):
        name, rdtype = query.question[0].name, query.question[0].rdtype
        key = name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(rdtype)
        self.asked.append(key)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        if key in self.answers:
            ttl, data = self.answers[key]
            reply.answer.append(dns.rrset.from_text(name, ttl, "IN", rdtype, *data))
        else:
            soa = f"ns.{self.zone}. hostmaster.{self.zone}. 1 1800 900 604800 300"
            reply.authority.append(dns.rrset.from_text(f"{self.zone}.", 300, "IN", "SOA", soa))
        return reply

# SPDX-License-Identifier: BSD-3-Clause
"""Name servers that mean harm, behind a signed delegation of the world.

    with Hostile() as hostile:
        zone = hostile.zone("loop")                  # loop.unreachable-servers.com, signed, at an address of its own
        zone.add("@", "CNAME", "@")
        zone.attack = lambda query, reply, via: [b"…"]   # what to send in place of the reply; via is "udp" or "tcp"

A zone signs as it answers, and proves absence by an NSEC or NSEC3 made for the very question. `asked` counts the queries of each zone.
"""

import base64
import collections
import hashlib
import selectors
import socket
import struct
import threading
import time

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import signer
from conftest import WORLD
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from dns.rdatatype import CNAME, DNSKEY, DS, NS, NSEC, NSEC3, RRSIG, SOA

IN = dns.rdataclass.IN
PARENT = "unreachable-servers.com"  # delegated, with a DS record, to where nothing listens
PARENT_ADDRESS = "127.53.9.9"
UDP_BYTES = 1232
BASE32 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghijklmnopqrstuv")


def nsec3_hash(name, iterations):
    digest = hashlib.sha1(name.canonicalize().to_wire()).digest()
    for _ in range(iterations):
        digest = hashlib.sha1(digest).digest()
    return digest


class Zone:
    def __init__(self, name, address, key=None, iterations=None):
        self.name = dns.name.from_text(name)
        self.address = address
        self.key = key or signer.Key(self.name)
        self.iterations = iterations  # None: NSEC
        self.claimed = iterations     # what the NSEC3 says; its signature is of `iterations`
        self.rrsets, self.children, self.signed = {}, {}, {}
        self.attack = None
        self.lock = threading.Lock()
        self.asked = 0
        self.add("@", "SOA", "ns hostmaster 1 1800 900 604800 60")
        self.add("@", "NS", "ns")
        self.add("ns", "A", address)
        self.add("@", "DNSKEY", self.key.dnskey)

    def absolute(self, owner):
        return self.name if owner == "@" else dns.name.from_text(owner, self.name)

    def add(self, owner, rdtype, *records):
        rdtype = dns.rdatatype.from_text(rdtype)
        name = self.absolute(owner)
        rrset = self.rrsets.setdefault((name, rdtype), dns.rrset.RRset(name, IN, rdtype))
        for record in records:
            if isinstance(record, str):
                record = dns.rdata.from_text(IN, rdtype, record, self.name, relativize=False)
            rrset.add(record, 60)
        return self

    def delegate(self, child):
        self.children[child.name] = child
        self.add(child.name.to_text(), "NS", f"ns.{child.name}")
        self.add(f"ns.{child.name}", "A", child.address)
        self.add(child.name.to_text(), "DS", child.key.ds())

    # ---- answers ----

    def signatures(self, rrset):
        """RRSIGs of an RRset, as an RRset; made once."""
        known = self.signed.get((rrset.name, rrset.rdtype))
        if known is None or known[0] != list(rrset):
            now = int(time.time())
            made = dns.rrset.RRset(rrset.name, IN, RRSIG, rrset.rdtype)
            made.add(self.key.rrsig(rrset, now - signer.HOUR, now + signer.DAY), rrset.ttl)
            known = self.signed[rrset.name, rrset.rdtype] = list(rrset), made
        return known[1]

    def _put(self, section, rrset):
        section += [rrset, self.signatures(rrset)]

    def _denial(self, name):
        """The record that says which types a name has; that it has none where it does not exist."""
        types = {rdtype for owner, rdtype in self.rrsets if owner == name}
        if self.iterations is None:
            bitmap = " ".join(dns.rdatatype.to_text(rdtype) for rdtype in sorted(types | {RRSIG, NSEC}))
            following = dns.name.Name((b"\0", *name.labels))
            return dns.rrset.from_text(name, 60, IN, NSEC, f"{following} {bitmap}")
        bitmap = " ".join(dns.rdatatype.to_text(rdtype) for rdtype in sorted(types | {RRSIG}))
        digest = nsec3_hash(name, self.iterations)
        following = (int.from_bytes(digest, "big") + 1).to_bytes(20, "big")
        owner, following = (base64.b32encode(value).translate(BASE32) for value in (digest, following))
        owner = dns.name.Name((owner, *self.name.labels))
        return dns.rrset.from_text(owner, 60, IN, NSEC3, f"1 0 {self.iterations} - {following.decode()} {bitmap}")

    def _deny(self, reply, name):
        self._put(reply.authority, self.rrsets[self.name, SOA])
        denial = self._denial(name)
        self._put(reply.authority, denial)
        if self.claimed != self.iterations:
            reply.authority[-2] = dns.rrset.from_rdata(denial.name, 60, denial[0].replace(iterations=self.claimed))

    def reply(self, query):
        name, rdtype = query.question[0].name, query.question[0].rdtype
        reply = dns.message.make_response(query)
        child = next((child for cut, child in self.children.items() if name.is_subdomain(cut)), None)
        if child is not None and (name, rdtype) != (child.name, DS):
            reply.authority.append(self.rrsets[child.name, NS])
            self._put(reply.authority, self.rrsets[child.name, DS])
            reply.additional.append(dns.rrset.from_text(f"ns.{child.name}", 60, IN, "A", child.address))
            return reply
        reply.flags |= dns.flags.AA
        found = self.rrsets.get((name, rdtype)) or self.rrsets.get((name, CNAME))
        if found:
            self._put(reply.answer, found)
        else:
            self._deny(reply, name)
        return reply

    def wires(self, wire, via):
        query = dns.message.from_wire(wire)
        with self.lock:
            self.asked += 1
            reply = self.reply(query)
            sent = self.attack(query, reply, via) if self.attack else None
        if sent is None:
            sent = [reply.to_wire(max_size=65535)]
        if via == "udp" and any(len(one) > UDP_BYTES for one in sent):
            sent = [truncated(query)]
        return sent


def truncated(query):
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.TC | dns.flags.AA
    return reply.to_wire()


class Hostile:
    """The zone PARENT with zones below it, each at an address of its own, on UDP and TCP."""

    def __init__(self):
        private = load_pem_private_key((WORLD / "keys" / f"{PARENT}.pem").read_bytes(), password=None)
        self.parent = Zone(PARENT, PARENT_ADDRESS, signer.Key(dns.name.from_text(PARENT), private=private))
        self.zones, self.pauses = [self.parent], collections.defaultdict(float)
        self.selector = selectors.DefaultSelector()
        self.stopped = threading.Event()
        self.sockets = []
        self._listen(self.parent)
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def zone(self, label, key=None, iterations=None):
        """A new zone, which may be asked at once."""
        zone = Zone(f"{label}.{PARENT}", f"127.53.10.{len(self.zones)}", key, iterations)
        self.zones.append(zone)
        self._listen(zone)
        self.parent.delegate(zone)
        return zone

    def drips(self, zone, seconds):
        """What this zone sends over TCP goes out byte by byte."""
        self.pauses[zone.address] = seconds

    def _listen(self, zone):
        for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
            sock = socket.socket(socket.AF_INET, kind)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((zone.address, 53))
            if kind == socket.SOCK_STREAM:
                sock.listen(100)
            self.selector.register(sock, selectors.EVENT_READ, zone)
            self.sockets.append(sock)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for sock in self.sockets:
            sock.close()

    def _serve(self):
        while not self.stopped.is_set():
            for ready, _ in self.selector.select(0.1):
                if ready.fileobj.type == socket.SOCK_DGRAM:
                    self._datagram(ready.fileobj, ready.data)
                else:
                    sock = ready.fileobj.accept()[0]
                    threading.Thread(target=self._stream, args=(sock, ready.data), daemon=True).start()

    @staticmethod
    def _datagram(sock, zone):
        wire, peer = sock.recvfrom(4096)
        for reply in zone.wires(wire, "udp"):
            sock.sendto(reply, peer)

    def _stream(self, sock, zone):
        with sock, sock.makefile("rb") as stream:
            try:
                while head := stream.read(2):
                    for reply in zone.wires(stream.read(struct.unpack("!H", head)[0]), "tcp"):
                        self._send(sock, struct.pack("!H", len(reply)) + reply, self.pauses.get(zone.address, 0))
            except OSError:
                pass  # the resolver has left

    def _send(self, sock, data, pause_s):
        if not pause_s:
            sock.sendall(data)
            return
        for at in range(len(data)):
            sock.sendall(data[at:at + 1])
            if self.stopped.wait(pause_s):
                return


# ---- keys that collide ----

def colliding_keys(count, bits=2048, tag=0x2342):
    """DNSKEYs of one tag, RSA with an exponent as long as the modulus, so that each verification costs milliseconds. Nobody has the keys."""
    made = []
    for number in range(count):
        stretch = b"".join(hashlib.sha512(struct.pack("!II", number, i)).digest() for i in range(bits // 256))
        exponent, modulus = bytearray(stretch[:bits // 8]), bytearray(stretch[bits // 8:bits // 4])
        exponent[0], modulus[0] = 0x40, modulus[0] | 0x80
        exponent[-1], modulus[-1] = exponent[-1] | 1, modulus[-1] | 1
        key = b"\0" + struct.pack("!H", len(exponent)) + bytes(exponent) + bytes(modulus)
        made.append(with_tag(key, tag))
    return made


def with_tag(key, tag):
    """The key with two bytes in the middle of its modulus such that it has this tag (RFC 4034, appendix B)."""
    at = len(key) - 101 + (len(key) - 101) % 2  # even in the RDATA
    blank = key[:at] + b"\0\0" + key[at + 2:]
    have = dns.dnssec.key_id(dnskey(blank))
    for off in 0, -1, 1:
        made = dnskey(blank[:at] + struct.pack("!H", (tag - have + off) & 0xFFFF) + blank[at + 2:])
        if dns.dnssec.key_id(made) == tag:
            return made
    raise AssertionError("no such key")


def dnskey(key):
    return dns.rdata.from_text(IN, DNSKEY, f"256 3 {signer.RSASHA256} {base64.b64encode(key).decode()}")

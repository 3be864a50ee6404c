# SPDX-License-Identifier: BSD-3-Clause
"""A root that rolls its key-signing key, beside the world's own and above the same TLDs.

    with RollingRoot(world_directory, directory) as root:
        old, new = RootKey(), RootKey()
        root.publish([old, new], signed_by=[old])       # old and new are published, old signs the key set
        root.publish([old.revoked(), new], signed_by=[new, old.revoked()])

As in the real root a zone-signing key signs everything else. Its signatures hold for a year and more, so that the states of
RFC 5011 can be walked through by moving the resolver's clock alone.
"""

import pathlib
import signal
import subprocess
import time

import dns.dnssec
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.rrset
import dns.zone
from dns.rdatatype import DNSKEY, NSEC, RRSIG, SOA

import process
import signer
from hierarchy import NSD_CONFIG, ROOT_SERVER, ROOT_TTL

ADDRESS = "127.53.0.2"
SIGNATURE_LIFE_DAYS = 500
READY_TIMEOUT_S = 10
ZONE_FLAG, SEP_FLAG, REVOKE_FLAG = 0x100, 0x001, 0x080


class RootKey(signer.Key):
    def __init__(self, flags=ZONE_FLAG | SEP_FLAG, private=None):
        super().__init__(dns.name.root)
        self.private = private or self.private
        self.dnskey = dns.dnssec.make_dnskey(self.private.public_key(), self.algorithm, flags=flags)
        self.tag = dns.dnssec.key_id(self.dnskey)

    def revoked(self):
        """The same key with the REVOKE bit (RFC 5011 section 2.1), and so with another tag."""
        return RootKey(self.dnskey.flags | REVOKE_FLAG, self.private)

    def anchor(self, form="DNSKEY"):
        """A line of a trust anchor file."""
        return f". {ROOT_TTL} IN {form} {self.dnskey if form == 'DNSKEY' else self.ds()}\n"


class _RootZone(signer.SignedZone):
    def __init__(self, rrsets, zone_key, keys, signed_by):
        super().__init__(dns.name.root, rrsets, zone_key, "nsec", {})
        now = int(time.time())
        self.windows["good"] = (now - signer.HOUR, now + SIGNATURE_LIFE_DAYS * signer.DAY)
        self.signed_by = signed_by
        for key in keys:
            self.rrsets[dns.name.root, DNSKEY].add(key.dnskey)

    def _signature_line(self, rrset):
        if rrset.rdtype != DNSKEY:
            return super()._signature_line(rrset)
        signatures = [key.rrsig(rrset, *self.windows["good"]) for key in self.signed_by]
        return "\n".join(f"{rrset.name} {rrset.ttl} IN RRSIG {signature}" for signature in signatures)


class RollingRoot:
    """`directory` gets the zone and `root.hints`; served from the first `publish` on."""

    def __init__(self, world_directory, directory):
        self.directory = pathlib.Path(directory)
        self.hints = self.directory / "root.hints"
        self.hints.write_text(f". {ROOT_TTL} IN NS {ROOT_SERVER}\n{ROOT_SERVER} {ROOT_TTL} IN A {ADDRESS}\n")
        self.zone_key = RootKey(ZONE_FLAG)
        self.serial = 1
        self._contents = self._read_contents(pathlib.Path(world_directory) / "root" / "root.zone")
        self._server = None

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._stop()

    def _stop(self):
        if self._server is not None:
            self._server.terminate()
            self._server.wait()

    def publish(self, keys, signed_by):
        """Serves a root with these key-signing keys; returns when it is served."""
        self.serial += 1
        rrsets = [self._soa()] + [dns.rrset.from_rdata_list(r.name, r.ttl, r) for r in self._contents]
        (self.directory / "root.zone").write_text(_RootZone(rrsets, self.zone_key, keys, signed_by).text())
        self._stop()  # after a reload one with the old root may still answer for a moment
        self._start()
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self._served_serial() != self.serial:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the root is not served: {(self.directory / 'nsd.log').read_text()}")
            time.sleep(0.01)

    @staticmethod
    def _read_contents(zone_file):
        """The world's root without what is signed anew, and with this root's address."""
        text = zone_file.read_text()
        zone = dns.zone.from_text(text, dns.name.root, relativize=False)
        server = dns.name.from_text(ROOT_SERVER)
        contents = [dns.rrset.from_text(server, ROOT_TTL, "IN", "A", ADDRESS)]
        for name, rdataset in zone.iterate_rdatasets():
            if rdataset.rdtype not in (SOA, DNSKEY, NSEC, RRSIG) and name != server:
                contents.append(dns.rrset.from_rdata_list(name, rdataset.ttl, rdataset))
        return contents

    def _soa(self):
        data = f"{ROOT_SERVER} hostmaster{ROOT_SERVER[2:]} {self.serial} 1800 900 604800 300"
        return dns.rrset.from_text(dns.name.root, ROOT_TTL, "IN", "SOA", data)

    def _start(self):
        config = self.directory / "nsd.conf"
        config.write_text(NSD_CONFIG.format(directory=self.directory, addresses=f"    ip-address: {ADDRESS}",
                                            zones='zone:\n    name: "."\n    zonefile: "root.zone"'))
        self._server = process.start(["nsd", "-d", "-c", str(config)], signal.SIGTERM, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @staticmethod
    def _served_serial():
        try:
            reply = dns.query.udp(dns.message.make_query(".", "SOA"), ADDRESS, timeout=0.1)
            return reply.answer[0][0].serial if reply.answer else None
        except (OSError, dns.exception.Timeout):
            return None

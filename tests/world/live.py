# SPDX-License-Identifier: BSD-3-Clause
"""A leaf zone of the running world that a test changes, signed with the key it has there.

    with LiveZone(WORLD, "ttl-short.nl") as zone:
        zone.publish(["@ MX 10 mx", "mx A 127.25.0.1", "_25._tcp.mx TLSA 3 1 1 …"])

Its records come back at the end. What resolvers hold of the zone they hold until its TTL is over.
"""

import dataclasses
import json
import os
import pathlib
import signal
import time

import dns.exception
import dns.message
import dns.query
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import signer
from catalogue import Zone
from hierarchy import BACKEND_ADDRESS, zone_text

READY_TIMEOUT_S = 10


class LiveZone:
    def __init__(self, world_directory, name):
        world = pathlib.Path(world_directory)
        zones = json.loads((world / "world.json").read_text())["zones"]
        self.zone = Zone(**next(zone for zone in zones if zone["name"] == name))
        private = load_pem_private_key((world / "keys" / f"{name}.pem").read_bytes(), password=None)
        self.key = signer.Key(dns.name.from_text(name), self.zone.algorithm, private)
        self.file = world / "leaf" / f"{name}.zone"
        self.pid_file = world / "leaf" / "nsd.pid"
        self.serial = self._served_serial()

    @property
    def records(self):
        return list(self.zone.records)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.publish(self.zone.records)

    def publish(self, records):
        """Serves these records, as they stand in domains.json; returns when they are served."""
        self.serial += 1
        new = self.file.with_suffix(".new")
        new.write_text(zone_text(dataclasses.replace(self.zone, records=list(records)), self.key, serial=self.serial))
        new.rename(self.file)
        os.kill(int(self.pid_file.read_text()), signal.SIGHUP)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self._served_serial() != self.serial:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.zone.name} is not served anew")
            time.sleep(0.01)

    def _served_serial(self):
        try:
            reply = dns.query.udp(dns.message.make_query(self.zone.name, "SOA"), BACKEND_ADDRESS, timeout=1)
            return reply.answer[0][0].serial
        except (OSError, dns.exception.Timeout):
            return None

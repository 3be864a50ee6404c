# SPDX-License-Identifier: BSD-3-Clause
"""Every DNS query that goes to a server of the world, read off the loopback interface.

    with Wiretap({address: zone}) as tap:
        …
        tap.queries()

The servers' own logs would do for those behind the front; the root and the TLDs keep none.
"""

import collections
import ctypes
import ipaddress
import socket
import struct
import threading
import time

from front import question

ETH_P_IP = 0x0800
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
BUFFER_BYTES = 32 << 20
SETTLED_S = 0.25
DNS_PORT, UDP, TCP = 53, 17, 6
HEADER_BYTES = 12

Query = collections.namedtuple("Query", "zone name type transport")


class Wiretap:
    def __init__(self, zones):
        self.zones = {socket.inet_aton(address): zone for address, zone in zones.items()}
        self.seen = []
        self.last = 0.0
        self.socket = None
        self.thread = None

    def __enter__(self):
        # Of one protocol, so that a packet is seen once, coming in, not also going out.
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self.socket.bind(("lo", ETH_P_IP))
        self.socket.settimeout(0.1)
        self.stopping = False
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_exception):
        self.stopping = True
        self.thread.join()
        self.socket.close()

    def queries(self):
        """What was seen so far, once it is quiet; what a resolver does after its answer is its work too."""
        self.last = time.monotonic()
        while time.monotonic() - self.last < SETTLED_S:
            time.sleep(0.02)
        _packets, drops = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        assert drops == 0, f"{drops} packets were not seen"
        return list(self.seen)

    def _listen(self):
        while not self.stopping:
            try:
                self._take(self.socket.recv(65535))
            except socket.timeout:
                pass

    def _take(self, packet):
        zone = self.zones.get(packet[16:20])
        segment = packet[(packet[0] & 15) * 4 : struct.unpack_from("!H", packet, 2)[0]]
        if zone is None or struct.unpack_from("!H", segment, 2)[0] != DNS_PORT:
            return
        if packet[9] == UDP:
            query, transport = segment[8:], "udp"
        elif packet[9] == TCP:
            query, transport = segment[(segment[12] >> 4) * 4 + 2 :], "tcp"
        else:
            return
        if len(query) > HEADER_BYTES:
            name, rdtype, _end = question(query)
            self.seen.append(Query(zone, name or ".", rdtype, transport))
            self.last = time.monotonic()


# ---- how many, without a look at them ----

SO_ATTACH_FILTER = 26
LOAD_BYTE, LOAD_HALF_BEHIND, LOAD_WORD, LOAD_HEADER_LENGTH = 0x30, 0x48, 0x20, 0xB1
JUMP_EQUAL, JUMP_NOT_BELOW, JUMP_ABOVE, RETURN = 0x15, 0x35, 0x25, 0x06


class Tally:
    """Counts the DNS queries that leave one address for a range of others. The kernel does: none is missed, however many they are."""

    def __init__(self, source, first, last, protocol=UDP):
        lowest, highest = (int(ipaddress.IPv4Address(address)) for address in (first, last))
        tests = [(LOAD_BYTE, 9), (JUMP_EQUAL, protocol), (LOAD_WORD, 12), (JUMP_EQUAL, int(ipaddress.IPv4Address(source))),
                 (LOAD_WORD, 16), (JUMP_NOT_BELOW, lowest), (JUMP_ABOVE, highest), (LOAD_HEADER_LENGTH, 0), (LOAD_HALF_BEHIND, 2),
                 (JUMP_EQUAL, DNS_PORT), (RETURN, 1), (RETURN, 0)]
        refuse = len(tests) - 1
        code = b""
        for at, (operation, value) in enumerate(tests):
            away = refuse - at - 1
            jumps = {JUMP_EQUAL: (0, away), JUMP_NOT_BELOW: (0, away), JUMP_ABOVE: (away, 0)}.get(operation, (0, 0))
            code += struct.pack("HBBI", operation, *jumps, value)
        program = ctypes.create_string_buffer(code)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(tests), ctypes.addressof(program)))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # what is counted need not be kept
        self.socket.bind(("lo", ETH_P_IP))

    def taken(self):
        """Since the last time."""
        return struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[0]

    def close(self):
        self.socket.close()

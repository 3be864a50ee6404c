#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The name servers of the scenario zones: a front that logs every query, hands it to NSD, and spoils the answer on request.

Usage: front.py CONFIG

CONFIG is JSON: {"backend": address, "log": path, "switched": path, "servers": {address: [[owner, type, action], …]}}. Owner and type
may be "*"; the first rule that matches a query decides. Each query becomes one line of the log: time, server, name, type, transport.

The file `switched` may come, change and go at any time: lines "OWNER TYPE ACTION", which go before the rules of every server. There
an owner "*.ZONE" is ZONE and all below it. Put a new version in place by renaming it; it counts from the next query on.

Actions:
    drop                          no answer at all
    servfail refused notimp formerr   that error code, nothing else
    tc                            truncated over UDP, right over TCP
    tc-no-tcp                     truncated over UDP, TCP connections are closed
    malformed                     a header that promises more than follows
    strip-rrsig                   without any RRSIG
    strip-denial                  without NSEC and NSEC3
    delay:MS                      right, but late
    set-ad                        with the AD bit, which no authoritative server may vouch with
    good                          right, whatever the rules after this one say
    double-cname:TARGET           with a second CNAME before the right one
"""

import asyncio
import json
import os
import resource
import socket
import struct
import sys
import time

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset

import process

PORT = 53
QR, TC, AD = 0x8000, 0x0200, 0x0020
RCODES = {"formerr": 1, "servfail": 2, "notimp": 4, "refused": 5}
DENIAL_TYPES = {dns.rdatatype.NSEC, dns.rdatatype.NSEC3}
BACKEND_TIMEOUT_S = 5


def question(query):
    """(name, type, end of the question section) of a query; names are lower-cased presentation format."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].lower())
        at += query[at] + 1
    rdtype = struct.unpack_from("!H", query, at + 1)[0]
    return dns.name.Name([*labels, b""]).to_text(omit_final_dot=True), dns.rdatatype.to_text(rdtype), at + 5


def bare_reply(query, end, flags_set):
    """The header and question of a query turned into a reply with no records."""
    flags = (struct.unpack_from("!H", query, 2)[0] | QR | flags_set) & 0xFFFF
    return query[:2] + struct.pack("!HHHHH", flags, 1, 0, 0, 0) + query[12:end]


def malformed_reply(query, end):
    reply = bytearray(bare_reply(query, end, 0))
    struct.pack_into("!H", reply, 6, 3)  # three answers, of which there are ten bytes
    return bytes(reply) + b"\xc0\x0c\x00\x34\x00\x01\x00\x00\x01\x2c"


def spoil(action, reply):
    """The reply of NSD with what `action` removes or adds."""
    message = dns.message.from_wire(reply)
    if action == "set-ad":
        message.flags |= AD
    sections = (message.answer, message.authority, message.additional)
    for section in sections:
        if action == "strip-rrsig":
            section[:] = [rrset for rrset in section if rrset.rdtype != dns.rdatatype.RRSIG]
        elif action == "strip-denial":
            section[:] = [rrset for rrset in section if not {rrset.rdtype, rrset.covers} & DENIAL_TYPES]
    if action.startswith("double-cname:") and message.answer:
        first = message.answer[0]
        second = dns.rrset.from_text(first.name, first.ttl, "IN", "CNAME", action.partition(":")[2])
        message.answer.insert(0, second)
    return message.to_wire()


class Backend(asyncio.DatagramProtocol):
    """The one UDP socket to NSD; replies find their way back by the message id."""

    def __init__(self):
        self.waiting = {}
        self.next_id = 0
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, reply, _address):
        waiter = self.waiting.pop(struct.unpack_from("!H", reply)[0], None)
        if waiter and not waiter.done():
            waiter.set_result(reply)

    async def ask(self, query):
        self.next_id = (self.next_id + 1) & 0xFFFF
        waiter = self.waiting[self.next_id] = asyncio.get_running_loop().create_future()
        self.transport.sendto(struct.pack("!H", self.next_id) + query[2:])
        reply = await asyncio.wait_for(waiter, BACKEND_TIMEOUT_S)
        return query[:2] + reply[2:]


def matches(rule, name, rdtype):
    owner, rule_type, _action = rule
    if rule_type not in ("*", rdtype):
        return False
    return owner in ("*", name) or (owner.startswith("*.") and f".{name}".endswith(owner[1:]))


class SwitchedRules:
    """The rules of a file that tests write while the world runs."""

    def __init__(self, path):
        self.path = path
        self.version = None
        self.rules = []

    def current(self):
        try:
            file = os.stat(self.path)
            version = file.st_ino, file.st_mtime_ns
        except FileNotFoundError:
            version = None
        if version != self.version:
            self.version = version
            self.rules = self._read() if version else []
        return self.rules

    def _read(self):
        with open(self.path, encoding="ascii") as file:
            return [line.split() for line in file if line.strip()]


async def ask_over_tcp(address, query):
    reader, writer = await asyncio.open_connection(address, PORT)
    try:
        writer.write(struct.pack("!H", len(query)) + query)
        return await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0])
    finally:
        writer.close()


class Server(asyncio.DatagramProtocol):
    """One name server address with its own rules."""

    def __init__(self, front, address, rules):
        self.front = front
        self.address = address
        self.rules = rules
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, client):
        self.front.start(self._answer_datagram(query, client))

    async def _answer_datagram(self, query, client):
        reply = await self.reply(query, "udp")
        if reply:
            self.transport.sendto(reply, client)

    async def serve_stream(self, reader, writer):
        try:
            while True:
                length = struct.unpack("!H", await reader.readexactly(2))[0]
                reply = await self.reply(await reader.readexactly(length), "tcp")
                if not reply:
                    break
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _action(self, name, rdtype):
        for rule in (*self.front.switched.current(), *self.rules):
            if matches(rule, name, rdtype):
                return rule[2]
        return "good"

    async def reply(self, query, via):
        """The reply to send, or None for none (over TCP: close)."""
        name, rdtype, end = question(query)
        self.front.log(self.address, name, rdtype, via)
        action = self._action(name, rdtype)
        if action == "drop" or (action == "tc-no-tcp" and via == "tcp"):
            return None
        if action in RCODES:
            return bare_reply(query, end, RCODES[action])
        if action in ("tc", "tc-no-tcp") and via == "udp":
            return bare_reply(query, end, TC)
        if action == "malformed":
            return malformed_reply(query, end)
        if action.startswith("delay:"):
            await asyncio.sleep(int(action.partition(":")[2]) / 1000)
        reply = await self.front.ask(query, via)
        if action.startswith(("strip-", "double-", "set-")):
            return spoil(action, reply)
        return reply


class Front:
    def __init__(self, config):
        self.config = config
        self.backend = None
        self.switched = SwitchedRules(config["switched"])
        self.log_file = open(config["log"], "a", buffering=1, encoding="ascii")
        self.tasks = set()

    def log(self, server, name, rdtype, via):
        self.log_file.write(f"{time.time():.6f} {server} {name} {rdtype} {via}\n")

    async def ask(self, query, via):
        if via == "tcp":
            return await ask_over_tcp(self.config["backend"], query)
        return await self.backend.ask(query)

    def start(self, coroutine):
        """Runs a coroutine; the set keeps it from being collected before it is done."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self):
        loop = asyncio.get_running_loop()
        _, self.backend = await loop.create_datagram_endpoint(
            Backend, remote_addr=(self.config["backend"], PORT), family=socket.AF_INET
        )
        for address, rules in self.config["servers"].items():
            server = Server(self, address, rules)
            await loop.create_datagram_endpoint(lambda server=server: server, local_addr=(address, PORT))
            await asyncio.start_server(server.serve_stream, address, PORT)
        await asyncio.Event().wait()


if __name__ == "__main__":
    process.die_with_parent()
    resource.setrlimit(resource.RLIMIT_NOFILE, 2 * resource.getrlimit(resource.RLIMIT_NOFILE)[1:])  # two sockets a server
    with open(sys.argv[1], encoding="ascii") as config_file:
        asyncio.run(Front(json.load(config_file)).run())

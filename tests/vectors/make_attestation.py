#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes attestation.json: leaves, trees, and whole responses with what a client must make of them.

Written from docs/PROTOCOL.md, "Attestation", not from proto/attestation.c, so that the two check each
other: the tree is split from above here and built from below there, and messages are packed by hand.

    tests/vectors/make_attestation.py > tests/vectors/attestation.json
"""

import hashlib
import json
import sys

import nacl.signing

NOW = 1790000000000
SKEW = 5000
ONLINE = nacl.signing.SigningKey(b"\x02" * 32)  # as in the example of docs/PROTOCOL.md
OTHER = nacl.signing.SigningKey(b"\x09" * 32)
NONCE = bytes(range(32))
SIZES = [*range(1, 18), 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 511, 512, 513, 999, 1000]


def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).digest()


# ---- protobuf, as much as is needed ----

def varint(value):
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field, value):
    return varint(field << 3) + varint(value) if value else b""


def text(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


# ---- the tree ----

def leaf_of(nonce, request, answers):
    return blake2b(b"\0" + nonce + blake2b(request) + bytes([len(answers)]) + b"".join(map(blake2b, answers)))


def split(count):
    """The largest power of two below count: so many leaves are on the left (as in RFC 6962)."""
    left = 1
    while left * 2 < count:
        left *= 2
    return left


def root_of(leaves):
    if len(leaves) == 1:
        return leaves[0]
    left = split(len(leaves))
    return blake2b(b"\1" + root_of(leaves[:left]) + root_of(leaves[left:]))


def path_of(leaves, index):
    """From the leaf upwards."""
    if len(leaves) == 1:
        return []
    left = split(len(leaves))
    if index < left:
        return [*path_of(leaves[:left], index), root_of(leaves[left:])]
    return [*path_of(leaves[left:], index - left), root_of(leaves[:left])]


def some_leaves(count):
    return [blake2b(i.to_bytes(4, "big")) for i in range(count)]


def message_of(root, at, count):
    return root + at.to_bytes(8, "big") + count.to_bytes(4, "big")


# ---- whole responses ----

def key_id(key):
    return blake2b(bytes(key.verify_key))[:8]


def sign(key, context, message):
    return key.sign(context + b"\0" + message).signature


def signed_answer(answer):
    return text(1, answer) + text(2, sign(ONLINE, b"resolverd answer v1", answer)) + text(3, key_id(ONLINE))


def plan_request(number_of_request, nonce, next_hop):
    return number(1, number_of_request) + text(2, nonce) + text(3, text(1, next_hop) + number(2, 25))


# The null MX of docs/PROTOCOL.md, "Worked example", and something that stands for a host.
ROUTE = signed_answer(bytes.fromhex("0a0f0801120b6578616d706c652e6f726712026d311898d0c1a28c3420d483d4"
                                    "a28c3428013a15080310011a0b6578616d706c652e6f726728013001"))
HOST = signed_answer(b"\x0a\x04\x08\x02\x18\x19")
REQUEST = plan_request(7, NONCE, b"example.org")


class Case:
    """A good response of a tree of 5; each forgery changes something of it."""

    def __init__(self, count=5, index=2):
        self.request, self.nonce, self.now = REQUEST, NONCE, NOW
        self.answers, self.signer, self.context, self.key_id = [ROUTE, HOST], ONLINE, b"resolverd attestation v1", None
        self.at, self.index, self.count = NOW, index, count
        self.leaf = leaf_of(NONCE, REQUEST, self.answers)
        leaves = some_leaves(count)
        leaves[index] = self.leaf
        self.root, self.path = root_of(leaves), path_of(leaves, index)
        self.shown = {}  # what the response says where that is not what was signed

    def response(self):
        signature = sign(self.signer, self.context, message_of(self.root, self.at, self.count))
        get = self.shown.get
        attestation = (number(1, get("index", self.index)) + number(2, get("count", self.count))
                       + b"".join(text(3, node) for node in get("path", self.path))
                       + number(4, get("at", self.at)) + text(5, get("signature", signature))
                       + text(6, self.key_id or key_id(self.signer)))
        answers = b"".join(text(3, answer) for answer in self.answers)
        return number(1, 7) + answers + (text(7, attestation) if get("attested", True) else b"")

    def row(self, name, good):
        return {"name": name, "good": good, "now": self.now, "nonce": self.nonce.hex(), "request": self.request.hex(),
                "response": self.response().hex()}


def flip(data, at=0):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def good_cases():
    yield Case().row("good", True)
    for count, index in ((1, 0), (2, 0), (2, 1), (3, 2), (7, 6), (1000, 0), (1000, 999), (1000, 512)):
        yield Case(count, index).row(f"leaf {index} of {count}", True)
    for name, by in (("5 s old", SKEW), ("5 s ahead", -SKEW)):
        case = Case()
        case.now += by
        yield case.row(name, True)


def forgeries():
    def case(name, index=2, **values):
        changed = Case(index=index)
        for key, value in values.items():
            setattr(changed, key, value)
        return changed.row(name, False)

    good = Case()
    yield case("not attested", shown={"attested": False})
    yield case("older than 5 s", now=NOW + SKEW + 1)
    yield case("more than 5 s ahead", now=NOW - SKEW - 1)
    yield case("another time than was signed", shown={"at": NOW + 1})
    yield case("another nonce", nonce=flip(NONCE))
    yield case("another request of the same nonce", request=plan_request(7, NONCE, b"example.net"))
    yield case("the same request under another id", request=plan_request(8, NONCE, b"example.org"))
    yield case("an answer less", answers=[ROUTE])
    yield case("an answer more", answers=[ROUTE, HOST, HOST])
    yield case("no answer", answers=[])
    yield case("answers in another order", answers=[HOST, ROUTE])
    yield case("another answer", answers=[ROUTE, signed_answer(b"\x0a\x04\x08\x02\x18\x1a")])
    yield case("another signature of an answer", answers=[ROUTE, flip(HOST, 20)])
    for i in range(len(good.path)):
        path = list(good.path)
        path[i] = flip(path[i], 31)
        yield case(f"another node {i} of the path", shown={"path": path})
    yield case("the path the other way round", shown={"path": good.path[::-1]})
    yield case("a path too short", shown={"path": good.path[:-1]})
    yield case("a path too long", shown={"path": [*good.path, bytes(32)]})
    yield case("a path of far too many nodes", shown={"path": [*good.path, *[bytes(32)] * 60]})
    yield case("a node of 31 bytes", shown={"path": [good.path[0][:31], *good.path[1:]]})
    yield case("a node of 33 bytes", shown={"path": [good.path[0] + b"\0", *good.path[1:]]})
    yield case("no path", shown={"path": []})
    yield case("the leaf beside", shown={"index": 3})
    yield case("the leaf that is promoted", shown={"index": 4})
    yield case("an index out of range", shown={"index": 5})
    yield case("an index far out of range", shown={"index": 0xffffffff})
    yield case("a leaf more", shown={"count": 6})
    yield case("a leaf less", shown={"count": 4})
    yield case("no leaves", shown={"count": 0})
    yield case("a single leaf", shown={"count": 1, "index": 0, "path": []})
    yield case("more than 65536 leaves", count=65537)
    yield case("the root as its own leaf", root=good.root, count=1, index=0, path=[])
    yield case("another key under the same id", signer=OTHER, key_id=key_id(ONLINE))
    yield case("a key that is not delegated", signer=OTHER)
    yield case("another context", context=b"resolverd answer v1")
    yield case("no signature", shown={"signature": b""})
    yield case("a signature of 63 bytes", shown={"signature": bytes(63)})


def main():
    trees = [{"leaves": count, "root": root_of(some_leaves(count)).hex(),
              "paths": {str(i): [node.hex() for node in path_of(some_leaves(count), i)]
                        for i in sorted({0, count // 2, count - 1})}} for count in SIZES]
    signed = message_of(root_of(some_leaves(5)), NOW, 5)
    parts = {
        "online_key": json.dumps(bytes(ONLINE.verify_key).hex()),
        "key_id": json.dumps(key_id(ONLINE).hex()),
        "leaf": json.dumps({"nonce": NONCE.hex(), "request": REQUEST.hex(), "answers": [ROUTE.hex(), HOST.hex()],
                            "leaf": leaf_of(NONCE, REQUEST, [ROUTE, HOST]).hex()}),
        "signed": json.dumps({"leaves": 5, "attested_at": NOW, "message": signed.hex(),
                              "signature": sign(ONLINE, b"resolverd attestation v1", signed).hex()}),
        "trees": "[\n" + ",\n".join(map(json.dumps, trees)) + "\n]",
        "responses": "[\n" + ",\n".join(map(json.dumps, [*good_cases(), *forgeries()])) + "\n]",
    }
    sys.stdout.write("{\n" + ",\n".join(f'"{name}":{value}' for name, value in parts.items()) + "\n}\n")


if __name__ == "__main__":
    main()

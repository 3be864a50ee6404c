# SPDX-License-Identifier: BSD-3-Clause
"""An independent client: docs/PROTOCOL.md in Python, with protobuf and libsodium and nothing of ours but the .proto."""

import hashlib
import os
import socket
import struct
import time

import nacl.exceptions
import nacl.signing
import resolverd_pb2 as pb

MAX_RESPONSE = 1 << 20
SKEW_MS = 5000


class NotVerified(Exception):
    pass


class UnknownKey(NotVerified):
    """No delegation seen so far covers it: the status tells whether there is one."""


def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def key_id(public_key):
    return blake2b(bytes(public_key))[:8]


def check_signature(context, message, signature, public_key):
    try:
        nacl.signing.VerifyKey(bytes(public_key)).verify(context + b"\0" + message, bytes(signature))
    except (nacl.exceptions.BadSignatureError, ValueError) as error:
        raise NotVerified(str(error)) from error


def check_attestation(nonce, request, response, online_keys, now_ms):
    """That the response (a pb.Response) was attested just now for these bytes of a request, or NotVerified."""
    if not response.HasField("attestation"):
        raise NotVerified("not attested")
    attestation = response.attestation
    answers = [answer.SerializeToString() for answer in response.answers]
    node = blake2b(b"\0" + nonce + blake2b(request) + bytes([len(answers)]) + b"".join(map(blake2b, answers)))
    path, index, width = list(attestation.path), attestation.index, attestation.leaf_count
    if not 1 <= width <= 65536 or index >= width or any(len(other) != 32 for other in path):
        raise NotVerified("an impossible place or path")
    while width > 1:
        beside = index ^ 1
        if beside < width:
            if not path:
                raise NotVerified("the path is too short")
            other = path.pop(0)
            node = blake2b(b"\1" + (other + node if index & 1 else node + other))
        index, width = index // 2, (width + 1) // 2
    if path:
        raise NotVerified("the path is too long")
    if attestation.key_id not in online_keys:
        raise NotVerified("unknown online key")
    message = node + struct.pack(">QI", attestation.attested_at, attestation.leaf_count)
    check_signature(b"resolverd attestation v1", message, attestation.signature, online_keys[attestation.key_id])
    if abs(now_ms - attestation.attested_at) > SKEW_MS:
        raise NotVerified("attested at another time")


def connect_in_turn(sock, path, timeout_s=20):
    """connect(), which for a socket with a time limit does not wait while the backlog is full."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            return sock.connect(path)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.001)


class Client:
    def __init__(self, path, trusted=(), timeout=20):
        self.trusted = {key_id(key): key for key in trusted}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        connect_in_turn(self.socket, path)
        self.online = {}
        self.nonces = {}
        self.next_id = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # ---- framing ----

    def send_frame(self, body):
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def receive_exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the daemon closed the session")
            data += more
        return data

    def receive_frame(self):
        (length,) = struct.unpack(">I", self.receive_exactly(4))
        assert 0 < length <= MAX_RESPONSE
        return self.receive_exactly(length)

    def receive(self):
        response = pb.Response()
        response.ParseFromString(self.receive_frame())
        return response

    # ---- requests ----

    def submit(self, **body):
        request = pb.Request(id=self.next_id, **body)
        self.next_id += 1
        self.send_frame(request.SerializeToString())
        return request.id

    def submit_attested(self, **body):
        request = pb.Request(id=self.next_id, nonce=os.urandom(32), **body)
        self.next_id += 1
        data = request.SerializeToString()
        self.nonces[request.id] = (request.nonce, data)
        self.send_frame(data)
        return request.id

    def receive_attested(self):
        """The next response, which must be attested."""
        response = self.receive()
        nonce, data = self.nonces.pop(response.id)
        assert not response.HasField("error"), response.error
        keys = {identity: delegation.online_key for identity, delegation in self.online.items()}
        check_attestation(nonce, data, response, keys, time.time() * 1000)
        return response

    def ask(self, **body):
        request_id = self.submit(**body)
        response = self.receive()
        assert response.id == request_id
        return response

    # ---- verification ----

    def learn_delegations(self, now_ms=None):
        now_ms = now_ms or time.time() * 1000
        status = self.ask(status=pb.StatusRequest()).status
        self.online = {}
        for signed in status.delegations:
            if signed.key_id not in self.trusted:
                continue  # by another long-term key
            check_signature(b"resolverd delegation v1", signed.delegation, signed.signature, self.trusted[signed.key_id])
            delegation = pb.Delegation.FromString(signed.delegation)
            if delegation.scope != pb.ANSWERS or not delegation.not_before <= now_ms < delegation.not_after:
                raise NotVerified("delegation out of time or scope")
            self.online[key_id(delegation.online_key)] = delegation
        if not self.online:
            raise NotVerified("no delegation by a key that is trusted")
        return status

    def verify(self, signed, question, now_ms=None):
        """The Answer inside, or NotVerified."""
        now_ms = now_ms or time.time() * 1000
        if signed.key_id not in self.online:
            raise UnknownKey("unknown online key")
        delegation = self.online[signed.key_id]
        if not delegation.not_before <= now_ms < delegation.not_after:
            raise UnknownKey("by a key whose delegation has ended")
        check_signature(b"resolverd answer v1", signed.answer, signed.signature, delegation.online_key)
        answer = pb.Answer.FromString(signed.answer)
        if answer.question != question:
            raise NotVerified("the answer to another question")
        if answer.member != delegation.member:
            raise NotVerified("another member")
        if now_ms >= answer.expires_at:
            raise NotVerified("expired")
        if answer.critical:
            raise NotVerified("critical fields unknown")
        return answer

    def plan(self, next_hop, port=25):
        """(route, [host, …]), all verified."""
        response = self.ask(plan=pb.PlanRequest(next_hop=next_hop, port=port))
        assert not response.HasField("error"), response.error
        route = self.verify(response.answers[0], pb.Question(kind=pb.ROUTE, name=next_hop))
        names = [mx.name for mx in route.route.mx][:16] if not next_hop.startswith("[1") else []
        if route.route.kind not in (pb.MX, pb.IMPLICIT_MX, pb.NO_MX_STEP):
            names = []
        assert len(response.answers) == 1 + len(names)
        hosts = [self.verify(signed, pb.Question(kind=pb.HOST, name=name, port=port))
                 for signed, name in zip(response.answers[1:], names)]
        return route, hosts

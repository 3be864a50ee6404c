# SPDX-License-Identifier: BSD-3-Clause
"""An independent client: docs/PROTOCOL.md in Python, with protobuf and libsodium and nothing of ours but the .proto."""

import hashlib
import socket
import struct
import time

import nacl.exceptions
import nacl.signing
import resolverd_pb2 as pb

MAX_RESPONSE = 1 << 20


class NotVerified(Exception):
    pass


def key_id(public_key):
    return hashlib.blake2b(bytes(public_key), digest_size=32).digest()[:8]


def check_signature(context, message, signature, public_key):
    try:
        nacl.signing.VerifyKey(bytes(public_key)).verify(context + b"\0" + message, bytes(signature))
    except (nacl.exceptions.BadSignatureError, ValueError) as error:
        raise NotVerified(str(error)) from error


class Client:
    def __init__(self, path, trusted=(), timeout=20):
        self.trusted = {key_id(key): key for key in trusted}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.online = {}
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

    def ask(self, **body):
        request_id = self.submit(**body)
        response = self.receive()
        assert response.id == request_id
        return response

    # ---- verification ----

    def learn_delegations(self, now_ms=None):
        now_ms = now_ms or time.time() * 1000
        status = self.ask(status=pb.StatusRequest()).status
        for signed in status.delegations:
            if signed.key_id not in self.trusted:
                raise NotVerified("delegation by an unknown key")
            check_signature(b"resolverd delegation v1", signed.delegation, signed.signature, self.trusted[signed.key_id])
            delegation = pb.Delegation.FromString(signed.delegation)
            if delegation.scope != pb.ANSWERS or not delegation.not_before <= now_ms < delegation.not_after:
                raise NotVerified("delegation out of time or scope")
            self.online[key_id(delegation.online_key)] = delegation
        return status

    def verify(self, signed, question, now_ms=None):
        """The Answer inside, or NotVerified."""
        now_ms = now_ms or time.time() * 1000
        if signed.key_id not in self.online:
            raise NotVerified("unknown online key")
        delegation = self.online[signed.key_id]
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

# SPDX-License-Identifier: BSD-3-Clause
"""What is in the cache is answered on a path of its own: it must say what the long way says, to whatever comes in whatever pieces."""

import random
import socket
import struct
import threading

import pytest
import resolverd_pb2 as pb
from wire import Client

HOPS = ["dane-ee.org", "dane-ta.com", "mixed-policy.org", "provider-customer.com", "plain.net", "insecure-mx.org", "null-mx.org",
        "no-such-domain.org", "implicit-mx.org", "cname-two-hops.aliases.org", "[mx.dane-ee.org]", "[192.0.2.1]"]
UNKNOWN_FIELD = b"\xa2\x06\x01x"  # field 100: the long way skips it


def plan_request(request_id, hop, **fields):
    return pb.Request(id=request_id, plan=pb.PlanRequest(next_hop=hop, **fields)).SerializeToString()


def framed(body):
    return struct.pack(">I", len(body)) + body


def exchange(client, body):
    client.send_frame(body)
    return client.receive_frame()


@pytest.fixture
def warm_client(daemon):
    with Client(daemon.socket) as client:
        for hop in HOPS:
            client.ask(plan=pb.PlanRequest(next_hop=hop))
        yield client


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("fields", [{}, {"port": 25}, {"deadline_ms": 5000}, {"port": 25, "deadline_ms": 1}])
def test_both_ways_give_the_same_bytes(warm_client, hop, fields):
    for _ in range(3):  # an answer may be renewed in between
        body = plan_request(7, hop, **fields)
        if exchange(warm_client, body) == exchange(warm_client, body + UNKNOWN_FIELD):
            return
    pytest.fail("the hot response differs from the other")


@pytest.mark.parametrize("body", [
    plan_request(0, "dane-ee.org"),
    plan_request(2**64 - 1, "dane-ee.org"),
    plan_request(3, "DANE-ee.org"),  # not canonical: the long way
    plan_request(3, "dane-ee.org."),
    b"\x1a\x0d\x0a\x0bdane-ee.org\x08\x05",  # the id behind the plan
    b"\x08\x05\x1a\x0f\x10\x19\x0a\x0bdane-ee.org",  # the port before the name
    b"\x08\x80\x00\x1a\x0d\x0a\x0bdane-ee.org",  # an id in two bytes that needs one
    b"\x08\x05\x08\x06\x1a\x0d\x0a\x0bdane-ee.org",  # the last of two ids counts
    b"\x08\x05\x1a\x1a\x0a\x0bdane-ta.com\x0a\x0bdane-ee.org",  # the last of two names, too
], ids=range(9))
def test_any_form_of_the_message_is_understood(warm_client, body):
    request, response = pb.Request.FromString(body), pb.Response.FromString(exchange(warm_client, body))
    assert response.id == request.id and not response.HasField("error")
    assert pb.Answer.FromString(response.answers[0].answer).question.name == "dane-ee.org"


@pytest.mark.parametrize("body, code", [
    (plan_request(3, "dane-ee.org", port=65536), pb.BAD_REQUEST),
    (plan_request(3, ""), pb.BAD_REQUEST),
    (b"\x08\x03\x1a\x0d\x0a\x0bdane-ee.or", pb.MALFORMED),
    (b"\x08\x03\x1a\x0d\x0a\x0cdane-ee.org", pb.MALFORMED),
    (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", pb.MALFORMED),
], ids=["port", "empty", "short", "long", "varint"])
def test_what_is_wrong_is_refused_as_ever(daemon, body, code):
    with Client(daemon.socket) as client:
        assert pb.Response.FromString(exchange(client, body)).error.code == code


def test_a_mix_in_one_write_is_answered_each_once(daemon, warm_client):
    numbers = random.Random(4)
    bodies, kinds = [], {}
    for request_id in range(1, 2001):
        kind = numbers.choice(["hot", "hot", "hot", "long", "bad", "status", "cold"])
        hop = numbers.choice(HOPS)
        bodies.append({
            "hot": plan_request(request_id, hop),
            "long": plan_request(request_id, hop) + UNKNOWN_FIELD,
            "bad": plan_request(request_id, hop, port=70000),
            "status": pb.Request(id=request_id, status=pb.StatusRequest()).SerializeToString(),
            "cold": plan_request(request_id, f"hot{request_id}.one-off-nsec.net"),
        }[kind])
        kinds[request_id] = kind
    data = b"".join(map(framed, bodies))
    sender = threading.Thread(target=warm_client.socket.sendall, args=(data,))
    sender.start()
    for _ in bodies:
        response = warm_client.receive()
        kind = kinds.pop(response.id)
        assert (response.error.code == pb.BAD_REQUEST) == (kind == "bad")
        assert response.HasField("status") == (kind == "status")
        assert bool(response.answers) == (kind in ("hot", "long", "cold"))
    sender.join()
    assert not kinds


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 29, 31, 97])
def test_frames_may_come_in_any_pieces(daemon, piece):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect(daemon.socket)
        data = b"".join(framed(plan_request(i, HOPS[i % len(HOPS)])) for i in range(1, 41))
        for at in range(0, len(data), piece):
            sock.sendall(data[at:at + piece])
        received, ids = b"", []
        while len(ids) < 40:
            received += sock.recv(65536)
            while len(received) >= 4 and len(received) >= 4 + int.from_bytes(received[:4], "big"):
                size = int.from_bytes(received[:4], "big")
                ids.append(pb.Response.FromString(received[4:4 + size]).id)
                received = received[4 + size:]
        assert sorted(ids) == list(range(1, 41))


def test_the_longest_request_in_two_pieces(daemon):
    padding = 4096 - len(plan_request(9, "dane-ee.org")) - 4
    body = plan_request(9, "dane-ee.org") + b"\xa2\x06" + bytes([padding & 0x7f | 0x80, padding >> 7]) + b"x" * padding
    assert len(body) == 4096
    with Client(daemon.socket) as client:
        client.socket.sendall(framed(body)[:2000])
        client.socket.sendall(framed(body)[2000:])
        assert client.receive().id == 9


def test_a_reader_that_is_late_gets_everything(daemon, warm_client):
    """More than the sockets' buffers and ours hold: the rest waits, nothing is lost."""
    count = 20000
    data = b"".join(framed(plan_request(i, "mixed-policy.org")) for i in range(1, count + 1))
    sender = threading.Thread(target=warm_client.socket.sendall, args=(data,))
    sender.start()
    with Client(daemon.socket) as other:  # and meanwhile others are served
        assert other.ask(plan=pb.PlanRequest(next_hop="dane-ee.org")).answers
    assert [warm_client.receive().id for _ in range(count)] == list(range(1, count + 1))
    sender.join()

# SPDX-License-Identifier: BSD-3-Clause
"""The protocol by an independent client: framing, signatures, expiry, and every kind of bad input."""

import base64
import json
import os
import pathlib
import random
import struct
import threading
import time

import pytest
import resolverd_pb2 as pb
from conftest import wait_for
from google.protobuf.message import DecodeError
from wire import Client, NotVerified

VECTORS = json.loads((pathlib.Path(__file__).parent.parent / "vectors" / "plan.json").read_text())


def trusted_keys(daemon):
    return [base64.b64decode(line) for line in open(daemon.public_key) if line.strip()]


@pytest.fixture
def client(daemon):
    with Client(daemon.socket, trusted_keys(daemon)) as client:
        client.learn_delegations()
        yield client


def test_a_plan_verifies_from_the_long_term_key_down(client):
    route, hosts = client.plan("dane-ee.org")
    assert route.route.mx_status == pb.SECURE and hosts[0].host.policy == pb.DANE
    assert route.member == "member-under-test" and route.validated_at < route.expires_at


def test_any_changed_byte_of_an_answer_is_found(client):
    response = client.ask(plan=pb.PlanRequest(next_hop="dane-ee.org"))
    question = pb.Question(kind=pb.ROUTE, name="dane-ee.org")
    signed = response.answers[0]
    client.verify(signed, question)
    whole = signed.SerializeToString()
    accepted = []
    for at in range(len(whole)):
        for bit in (0, 7):
            changed = bytearray(whole)
            changed[at] ^= 1 << bit
            try:
                copy = pb.SignedAnswer.FromString(bytes(changed))
                client.verify(copy, question)
                accepted.append(at)
            except (NotVerified, DecodeError):
                pass
    assert accepted == []


def test_an_expired_answer_is_refused_at_its_very_millisecond(client):
    response = client.ask(host=pb.HostRequest(name="mx.dane-ee.org", port=25))
    question = pb.Question(kind=pb.HOST, name="mx.dane-ee.org", port=25)
    answer = client.verify(response.answers[0], question)
    client.verify(response.answers[0], question, now_ms=answer.expires_at - 1)
    with pytest.raises(NotVerified):
        client.verify(response.answers[0], question, now_ms=answer.expires_at)


def test_the_answer_to_another_question_is_refused(client):
    response = client.ask(plan=pb.PlanRequest(next_hop="dane-ee.org"))
    with pytest.raises(NotVerified):
        client.verify(response.answers[0], pb.Question(kind=pb.ROUTE, name="insecure.com"))


def test_another_long_term_key_is_refused(daemon):
    with Client(daemon.socket, [os.urandom(32)]) as client, pytest.raises(NotVerified):
        client.learn_delegations()


def test_resolverctl_refuses_another_key_with_76(daemon, tmp_path):
    (tmp_path / "other.pub").write_text(base64.b64encode(os.urandom(32)).decode() + "\n")
    code, _ = daemon.ctl("plan", "dane-ee.org", public_key=str(tmp_path / "other.pub"))
    assert code == 76


def test_a_thousand_pipelined_requests_are_all_answered_with_their_ids(client):
    ids = {client.submit(plan=pb.PlanRequest(next_hop=random.choice(["dane-ee.org", "insecure.com", "null-mx.org"])))
           for _ in range(1000)}
    assert {client.receive().id for _ in range(1000)} == ids


def test_equal_questions_in_flight_are_one_job(daemon, client):
    before = daemon.status()["jobs_done"]
    name = f"one-job-{os.getpid()}.dane-ee.org"
    for _ in range(50):
        client.submit(records=pb.RecordsRequest(name=name, type=1))
    answers = {client.receive().answers[0].signature for _ in range(50)}
    assert len(answers) == 1 and daemon.status()["jobs_done"] == before + 1


# ---- bad input ----

def error_then_end(daemon, data):
    """Sends raw bytes; the code of the error frame that comes before the session ends."""
    with Client(daemon.socket) as client:
        client.socket.sendall(data)
        response = client.receive()
        with pytest.raises(ConnectionError):
            client.receive()
        return response.error.code


@pytest.mark.parametrize("data", [
    struct.pack(">I", 4097) + b"x" * 16, struct.pack(">I", 0), b"\xff" * 64, struct.pack(">I", 6) + b"\xff" * 6,
], ids=["too-long", "zero-length", "garbage", "no-protobuf"])
def test_malformed_frames_get_an_error_and_end_that_session_only(daemon, client, data):
    assert error_then_end(daemon, data) == pb.MALFORMED
    assert client.plan("dane-ee.org")


def test_a_truncated_frame_is_waited_for_and_dropped_with_its_session(daemon, client):
    with Client(daemon.socket) as other:
        other.socket.sendall(struct.pack(">I", 100) + b"half")
    assert client.plan("dane-ee.org")


@pytest.mark.parametrize("body, code", [
    ({}, pb.UNSUPPORTED),
    ({"plan": pb.PlanRequest(next_hop="a" * 64 + ".org")}, pb.BAD_REQUEST),
    ({"plan": pb.PlanRequest(next_hop=".".join(["a" * 60] * 5))}, pb.BAD_REQUEST),
    ({"plan": pb.PlanRequest(next_hop="a..org")}, pb.BAD_REQUEST),
    ({"plan": pb.PlanRequest(next_hop="")}, pb.BAD_REQUEST),
    ({"plan": pb.PlanRequest(next_hop="192.0.2.1")}, pb.BAD_REQUEST),
    ({"plan": pb.PlanRequest(next_hop="münchen.org")}, pb.BAD_REQUEST),
    ({"plan": pb.PlanRequest(next_hop="[not.closed")}, pb.BAD_REQUEST),
    ({"host": pb.HostRequest(name="mx.org", port=65536)}, pb.BAD_REQUEST),
    ({"records": pb.RecordsRequest(name="org", type=255)}, pb.BAD_REQUEST),
    ({"records": pb.RecordsRequest(name="org", type=0)}, pb.BAD_REQUEST),
], ids=lambda value: str(value).replace("\n", " ")[:40])
def test_bad_requests_say_what_is_wrong_and_the_session_goes_on(client, body, code):
    response = client.ask(**body)
    assert response.error.code == code and response.error.text
    assert client.plan("dane-ee.org")


def test_an_unknown_request_kind_is_unsupported_and_the_session_goes_on(client):
    client.send_frame(b"\x08\x07" + b"\xd2\x3e\x00")  # id 7, field 1002: nothing we know
    response = client.receive()
    assert (response.id, response.error.code) == (7, pb.UNSUPPORTED)
    assert client.plan("dane-ee.org")


def test_random_frames_never_harm_the_daemon(daemon, client):
    chance = random.Random(20)
    for _ in range(300):
        with Client(daemon.socket) as other:
            body = chance.randbytes(chance.randrange(1, 60))
            try:
                other.socket.sendall(struct.pack(">I", len(body)) + body)
                other.receive()
            except (ConnectionError, OSError):
                pass
    assert client.plan("dane-ee.org")


def test_a_client_that_never_reads_is_bounded_and_harms_nobody(daemon, client):
    request = pb.Request(id=1, plan=pb.PlanRequest(next_hop="dane-ee.org")).SerializeToString()
    frame = struct.pack(">I", len(request)) + request
    with Client(daemon.socket) as deaf:
        deaf.socket.setblocking(False)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += deaf.socket.send(frame * 1000)
        except BlockingIOError:
            pass
        assert sent < 16 << 20, "the daemon goes on reading from a client that does not"
        assert client.plan("dane-ee.org")


def test_a_long_pipeline_read_at_the_same_time_is_answered_to_the_end(daemon):
    """Frames that waited behind full output go on when it drains, with nothing more sent."""
    request = pb.Request(id=1, status=pb.StatusRequest()).SerializeToString()
    with Client(daemon.socket) as client:
        sender = threading.Thread(target=client.socket.sendall, args=((struct.pack(">I", len(request)) + request) * 30000,))
        sender.start()
        with client.socket.makefile("rb") as stream:
            for _ in range(30000):
                (length,) = struct.unpack(">I", stream.read(4))
                assert len(stream.read(length)) == length
        sender.join()


def test_clients_that_leave_with_jobs_in_flight_harm_nobody(daemon, client):
    for i in range(100):
        with Client(daemon.socket) as other:
            other.submit(plan=pb.PlanRequest(next_hop=f"gone-{i}.dane-ee.org"))
    assert client.plan("dane-ee.org")
    wait_for(lambda: daemon.status()["clients"] <= 2, 5)


def test_a_deadline_is_kept_and_its_answer_is_signed(client):
    """silent.net's servers never answer: at the deadline there is a verified answer, status error."""
    begin = time.monotonic()
    response = client.ask(plan=pb.PlanRequest(next_hop="late.silent.net", deadline_ms=300))
    assert 0.25 < time.monotonic() - begin < 3
    answer = client.verify(response.answers[0], pb.Question(kind=pb.ROUTE, name="late.silent.net"))
    assert answer.route.mx_status == pb.ERROR and answer.route.kind == pb.FAILED and not answer.cacheable


def test_a_route_that_expires_before_its_hosts_are_known_is_asked_for_again(make_daemon):
    """TTL 1 s at the route, a host whose TLSA lookup takes until the deadline: what is sent has not expired."""
    daemon = make_daemon(cache__max_ttl="1s", resolver__deadline="6s")
    with Client(daemon.socket, trusted_keys(daemon)) as client:
        client.learn_delegations()
        route, hosts = client.plan("tlsa-timeout.org")
    assert route.route.kind == pb.MX and [host.host.reason for host in hosts] == [pb.TLSA_FAILED]
    assert daemon.ctl("plan", "tlsa-timeout.org")[1]["outcome"] == "delay"


# ---- the combination table as data: this client composes plans from the rows alone ----

ROWS = {tuple(row[:5]): row[5:] for row in VECTORS["hosts"]}
POLICIES = {pb.DANE: "dane", pb.TLS_NO_AUTH: "tls-no-auth", pb.OPPORTUNISTIC: "opportunistic", pb.UNREACHABLE: "unreachable"}


@pytest.mark.parametrize("next_hop", ["dane-ee.org", "dane-ta.com", "insecure.com", "rfc-example.org", "mx-order.nl",
                                      "unusable-usage.com", "tlsa-refused.net", "null-mx.org"])
def test_this_client_and_resolverctl_make_the_same_plan(daemon, client, next_hop):
    route, hosts = client.plan(next_hop)
    route = route.route
    composed = []
    for host in hosts:
        host = host.host
        policy, reason, _, _ = ROWS[route.mx_status, route.requirement, route.insecure_mx_policy, host.policy, host.reason]
        composed.append((POLICIES[policy], [tlsa.data.hex() for tlsa in host.tlsa]))
    _, plan = daemon.ctl("plan", next_hop)
    assert [(host["policy"], [tlsa["data"] for tlsa in host["tlsa"]]) for host in plan["hosts"]] == composed


def test_what_was_looked_up_is_told_on_the_control_socket_only(make_daemon):
    """By policy and status, with how long it took; jobs that were asked for once are counted once, answers out of the cache not at all."""
    daemon = make_daemon(prefetch__rule="off")
    with Client(daemon.socket + ".control") as control, Client(daemon.socket) as client:
        for _ in range(3):
            client.ask(plan=pb.PlanRequest(next_hop="dane-ee.org"))
        client.ask(records=pb.RecordsRequest(name="dane-ee.org", type=15))
        told = control.ask(status=pb.StatusRequest()).status.metrics
        assert not client.ask(status=pb.StatusRequest()).status.HasField("metrics")
    hosts = sum(told.hosts_by_policy)
    assert hosts >= 1 and told.hosts_by_policy[pb.DANE] == hosts == told.hosts_by_tlsa[pb.TLSA_SECURE]
    assert list(told.routes_by_status) == [0, 1, 0, 0, 0] == list(told.records_by_status)
    assert sum(told.job_time.counts) == hosts + 2 and sum(told.wait_time.counts) == 2
    assert len(told.job_time.counts) == len(told.job_time.bounds_ms) + 1 and told.jobs_running == 0

# SPDX-License-Identifier: BSD-3-Clause
"""Attestations by an independent client, and what resolverctl makes of a daemon's words that somebody in between changes."""

import base64
import json
import os
import pathlib
import socket
import struct
import threading
import time
import types

import pytest
import resolverd_pb2 as pb
from conftest import wait_for
from wire import Client, NotVerified, check_attestation

VECTORS = json.loads((pathlib.Path(__file__).parent.parent / "vectors" / "attestation.json").read_text())
KEYS = {bytes.fromhex(VECTORS["key_id"]): bytes.fromhex(VECTORS["online_key"])}
PLAN = {"plan": pb.PlanRequest(next_hop="dane-ee.org")}


def connect(daemon, timeout=20):
    client = Client(daemon.socket, [base64.b64decode(line) for line in open(daemon.public_key) if line.strip()], timeout)
    client.learn_delegations()
    return client


@pytest.fixture
def client(daemon):
    with connect(daemon) as client:
        yield client


def counters(client):
    status = client.ask(status=pb.StatusRequest()).status
    return status.attested, status.attestations_signed


# ---- the vectors, by this client ----

@pytest.mark.parametrize("row", VECTORS["responses"], ids=lambda row: row["name"].replace(" ", "-"))
def test_vectors(row):
    response = pb.Response.FromString(bytes.fromhex(row["response"]))
    arguments = bytes.fromhex(row["nonce"]), bytes.fromhex(row["request"]), response, KEYS, row["now"]
    if row["good"]:
        check_attestation(*arguments)
    else:
        with pytest.raises(NotVerified):
            check_attestation(*arguments)


# ---- the daemon ----

@pytest.mark.parametrize("body", [
    PLAN, {"plan": pb.PlanRequest(next_hop="mx-order.nl")}, {"plan": pb.PlanRequest(next_hop="null-mx.org")},
    {"plan": pb.PlanRequest(next_hop="[192.0.2.1]")}, {"host": pb.HostRequest(name="mx.dane-ee.org")},
    {"records": pb.RecordsRequest(name="dane-ee.org", type=15)},
], ids=lambda body: str(body).replace("\n", " ")[:50])
def test_plans_hosts_and_records_are_attested(client, body):
    for _ in range(2):  # looked up, then from the cache
        request_id = client.submit_attested(**body)
        response = client.receive_attested()
        assert response.id == request_id and response.answers


def test_what_a_deadline_cut_short_is_attested_too(client):
    client.submit_attested(plan=pb.PlanRequest(next_hop="attested.silent.net", deadline_ms=300))
    answer = client.verify(client.receive_attested().answers[0], pb.Question(kind=pb.ROUTE, name="attested.silent.net"))
    assert answer.route.kind == pb.FAILED


def test_the_same_bytes_sent_again_are_attested_anew(client):
    client.submit_attested(**PLAN)
    (nonce, data), = client.nonces.values()
    first = client.receive_attested().attestation
    client.send_frame(data)
    response = client.receive()
    assert response.attestation.attested_at >= first.attested_at
    keys = {identity: delegation.online_key for identity, delegation in client.online.items()}
    check_attestation(nonce, data, response, keys, time.time() * 1000)


def submit_at_once(client, count):
    """So many attested and as many plain plans, which the daemon reads together."""
    requests, client.socket, own = [], types.SimpleNamespace(sendall=lambda data: requests.append(data)), client.socket
    for _ in range(count):
        client.submit_attested(**PLAN)
        client.submit(**PLAN)
    client.socket = own
    own.sendall(b"".join(requests))


def test_one_signature_serves_many_clients(daemon):
    """20 clients, 50 attested and 50 plain plans each, all sent before any is read."""
    clients = [connect(daemon) for _ in range(20)]
    try:
        clients[0].plan("dane-ee.org")
        attested, signed = counters(clients[0])
        for client in clients:
            submit_at_once(client, 50)
        sizes = set()
        for client in clients:
            for _ in range(100):
                response = client.receive() if not client.nonces else receive_either(client)
                assert len(response.answers) == 2
                if response.HasField("attestation"):
                    sizes.add(response.attestation.leaf_count)
            assert not client.nonces
        attested_now, signed_now = counters(clients[0])
        assert attested_now - attested == 1000
        assert signed_now - signed <= 500 and max(sizes) > 1
    finally:
        for client in clients:
            client.socket.close()


def receive_either(client):
    """An attested response to a request with a nonce, a plain one to another."""
    response = client.receive()
    if response.id not in client.nonces:
        assert not response.HasField("attestation")
        return response
    nonce, data = client.nonces.pop(response.id)
    keys = {identity: delegation.online_key for identity, delegation in client.online.items()}
    check_attestation(nonce, data, response, keys, time.time() * 1000)
    return response


def test_a_pipeline_is_signed_in_few_rounds(daemon, client):
    client.plan("dane-ee.org")
    attested, signed = counters(client)
    requests = [pb.Request(id=i, nonce=os.urandom(32), **PLAN).SerializeToString() for i in range(1000, 2000)]
    client.socket.sendall(b"".join(struct.pack(">I", len(request)) + request for request in requests))
    assert {client.receive().id for _ in requests} == set(range(1000, 2000))
    attested_now, signed_now = counters(client)
    assert attested_now - attested == 1000 and signed_now - signed <= 100


# ---- refused ----

@pytest.mark.parametrize("count", [1, 8, 31, 33, 64, 1000])
def test_a_nonce_of_another_length_is_refused_and_the_session_goes_on(client, count):
    response = client.ask(nonce=bytes(count), **PLAN)
    assert response.error.code == pb.BAD_REQUEST and "32 bytes" in response.error.text
    assert not response.answers and not response.HasField("attestation")
    client.submit_attested(**PLAN)
    client.receive_attested()


@pytest.mark.parametrize("body", [
    {"status": pb.StatusRequest()}, {"seal": pb.SealRequest(hash=bytes(32))}, {"explain": pb.ExplainRequest(next_hop="dane-ee.org")},
    {"warm": pb.WarmRequest(next_hop="dane-ee.org")}, {"watch": pb.WatchRequest(next_hop="dane-ee.org")}, {},
], ids=lambda body: next(iter(body), "nothing"))
def test_a_nonce_with_what_is_not_attested_is_refused(daemon, body):
    for path in (daemon.socket, daemon.socket + ".control"):
        with Client(path) as client:
            response = client.ask(nonce=bytes(32), **body)
            assert response.error.code == pb.BAD_REQUEST and response.error.text


# ---- harm ----

def test_sessions_that_end_while_they_wait_harm_nobody(daemon, client):
    for i in range(200):
        with Client(daemon.socket) as other:
            for _ in range(1 + i % 7):
                other.submit_attested(**PLAN)
            if i % 3 == 0:
                other.submit_attested(plan=pb.PlanRequest(next_hop=f"left-{i}.dane-ee.org"))
            client.submit_attested(**PLAN)
        client.receive_attested()
    wait_for(lambda: daemon.status()["clients"] <= 2, 5)


def frames(count):
    """So many attested requests as bytes, and {id: (nonce, request)}."""
    requests = {i: (nonce, pb.Request(id=i, nonce=nonce, **PLAN).SerializeToString())
                for i, nonce in ((i, os.urandom(32)) for i in range(1, count + 1))}
    return b"".join(struct.pack(">I", len(data)) + data for _, data in requests.values()), requests


def test_a_flood_of_attested_requests_starves_neither_others_nor_itself(daemon, client):
    """20,000 requests without a pause: every one is answered, and meanwhile others wait no second."""
    count = 20000
    data, requests = frames(count)
    client.plan("dane-ee.org")
    keys = {identity: delegation.online_key for identity, delegation in client.online.items()}
    seen, slowest = {}, 0
    with Client(daemon.socket, timeout=60) as flood:
        sender = threading.Thread(target=flood.socket.sendall, args=(data,))

        def read():
            with flood.socket.makefile("rb") as stream:
                for _ in range(count):
                    (length,) = struct.unpack(">I", stream.read(4))
                    response = pb.Response.FromString(stream.read(length))
                    seen[response.id] = response

        reader = threading.Thread(target=read)
        sender.start()
        reader.start()
        while reader.is_alive():
            begin = time.monotonic()
            client.plan("dane-ee.org")
            client.submit_attested(**PLAN)
            client.receive_attested()
            slowest = max(slowest, time.monotonic() - begin)
            reader.join(0.01)
        sender.join()
    assert slowest < 1 and seen.keys() == requests.keys()
    for i in range(1, count, 97):
        check_attestation(*requests[i], seen[i], keys, seen[i].attestation.attested_at)


def test_a_flood_that_is_never_read_is_bounded(daemon, client):
    data, _ = frames(1000)
    with Client(daemon.socket) as deaf:
        deaf.socket.setblocking(False)
        sent = 0
        try:
            while sent < 16 << 20:
                sent += deaf.socket.send(data)
        except BlockingIOError:
            pass
        assert sent < 2 << 20, "the daemon goes on reading from a client that does not"
        client.submit_attested(**PLAN)
        client.receive_attested()


# ---- resolverctl, and somebody between it and the daemon ----

class Between(threading.Thread):
    """Passes on what client and daemon say; change(request, response) may change responses that hold answers."""

    def __init__(self, directory, daemon, change):
        super().__init__(daemon=True)
        self.path = str(directory / "between.sock")
        self.daemon_path, self.change = daemon.socket, change
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with Client(self.daemon_path) as upstream, Client.__new__(Client) as downstream:
                downstream.socket = connection
                try:
                    self.serve(downstream, upstream)
                except (ConnectionError, AssertionError):
                    pass

    def serve(self, downstream, upstream):
        while True:
            request = pb.Request.FromString(downstream.receive_frame())
            upstream.send_frame(request.SerializeToString())
            response = upstream.receive()
            if response.answers:
                self.change(request, response)
            downstream.send_frame(response.SerializeToString())


def plan_between(daemon, directory, change, *options):
    between = Between(directory, daemon, change)
    try:
        return daemon.ctl("--socket", between.path, *options, "plan", "dane-ee.org")
    finally:
        between.listener.close()


def strip(_request, response):
    response.ClearField("attestation")


def age(_request, response):
    response.attestation.attested_at -= 6000


class Replay:
    """Says to every request what was said to the first."""

    def __init__(self):
        self.first = None

    def __call__(self, _request, response):
        self.first = self.first or pb.Response.FromString(response.SerializeToString())
        identity = response.id
        response.CopyFrom(self.first)
        response.id = identity


def test_resolverctl_says_that_answers_are_attested(daemon):
    for options, want in (((), False), (("--attest",), True)):
        for command in (("plan", "dane-ee.org"), ("host", "mx.dane-ee.org"), ("lookup", "dane-ee.org", "MX")):
            code, answer = daemon.ctl(*options, *command)
            assert code == 0 and answer["signatures"]["attested"] is want


def test_nothing_changed_in_between_is_fine(daemon, tmp_path):
    code, plan = plan_between(daemon, tmp_path, lambda request, response: None, "--attest")
    assert code == 0 and plan["signatures"]["attested"] is True


@pytest.mark.parametrize("change", [strip, age])
def test_resolverctl_refuses_what_is_not_attested_with_76(daemon, tmp_path, change):
    code, plan = plan_between(daemon, tmp_path, change, "--attest")
    assert code == 76 and "not attested" in plan["error"]


def test_old_answers_played_back_pass_without_attestation_only(daemon, tmp_path):
    replay = Replay()
    between = Between(tmp_path, daemon, replay)
    try:
        assert daemon.ctl("--socket", between.path, "--attest", "plan", "dane-ee.org")[0] == 0
        assert daemon.ctl("--socket", between.path, "plan", "dane-ee.org")[0] == 0
        assert daemon.ctl("--socket", between.path, "--attest", "plan", "dane-ee.org")[0] == 76
    finally:
        between.listener.close()


def test_resolverctl_cannot_have_an_explanation_attested(daemon):
    code, answer = daemon.ctl("--control-socket", daemon.socket + ".control", "--attest", "explain", "dane-ee.org")
    assert code == 64 and "attested" in answer["error"]


def test_delivery_checks_work_on_attested_plans(daemon):
    code, report = daemon.ctl("--attest", "check", "null-mx.org")
    assert code == 69 and report["signatures"]["attested"] is True

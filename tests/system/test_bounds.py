# SPDX-License-Identifier: BSD-3-Clause
"""What is bounded stays so, and who keeps to the bounds notices nothing: memory, lookups in flight, times to live, time to wait."""

import contextlib
import itertools
import os
import pathlib
import re
import struct
import threading
import time

import pytest
import resolverd_pb2 as pb
from conftest import INSTRUMENTED, wait_for
from wire import Client

MB = 1 << 20
MAX_MEMORY = 40 * MB
FLOOD = 100_000  # more than twice what half of MAX_MEMORY holds
FLOOD_AT_ONCE = 100  # and twice as many in flight
IN_USE = ["dane-ee.org", "dane-ta.com", "mixed-policy.org", "insecure-mx.org", "two-hosts.org"]
NOBODY = 65534


def plan(client, next_hop, **options):
    """The answers of a plan."""
    response = client.ask(plan=pb.PlanRequest(next_hop=next_hop, **options))
    assert not response.HasField("error"), response.error
    return answers_of(response)


def answers_of(response):
    return [pb.Answer.FromString(signed.answer) for signed in response.answers]


def status(client):
    return client.ask(status=pb.StatusRequest()).status


@pytest.fixture
def connect():
    """Clients of a daemon: connect(daemon, count)."""
    with contextlib.ExitStack() as stack:
        yield lambda daemon, count: [stack.enter_context(Client(daemon.socket)) for _ in range(count)]


# ---- memory ----

def rss_bytes(pids):
    texts = [pathlib.Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(int(re.search(r"^VmRSS:\s+(\d+) kB", text, re.M)[1]) * 1024 for text in texts)


def flood(daemon, count):
    """Plans of that many names that nobody asks for again."""
    bodies = (pb.Request(id=1, plan=pb.PlanRequest(next_hop=f"r{i}.one-off.biz")).SerializeToString() for i in range(count))
    frames = (struct.pack(">I", len(body)) + body for body in bodies)
    with Client(daemon.socket, timeout=30) as client:
        for sent in range(0, count + FLOOD_AT_ONCE, FLOOD_AT_ONCE):
            client.socket.sendall(b"".join(itertools.islice(frames, FLOOD_AT_ONCE)))
            for _ in range(FLOOD_AT_ONCE if sent else 0):
                client.receive_frame()


def test_max_memory_is_kept_in_a_flood_that_leaves_the_names_in_use_alone(make_daemon, connect):
    """Measured as the system does: resident memory. In use is what is asked for now and then; the flood takes the room of the flood."""
    daemon = make_daemon(cache__max_memory=str(MAX_MEMORY))
    (client,) = connect(daemon, 1)
    first = {name: plan(client, name) for name in IN_USE}
    roles = daemon.roles()
    idle = {role: rss_bytes(roles[role]) for role in ("server", "worker")}
    flooding = threading.Thread(target=flood, args=(daemon, FLOOD))
    flooding.start()
    asked, grown = 0, dict.fromkeys(idle, 0)
    while flooding.is_alive():
        for name in IN_USE:
            assert plan(client, name) == first[name], "looked up anew: it was pushed out"
            asked += 1
        for role in grown:
            grown[role] = max(grown[role], rss_bytes(roles[role]) - idle[role])
        time.sleep(0.2)
    told = status(client)
    print(f"idle {idle}, grown {grown}, {told.cache_entries} entries, {told.evicted} evicted, measured {told.memory_bytes}")
    assert told.evicted > FLOOD / 3 and asked >= len(IN_USE)
    if not INSTRUMENTED:
        assert grown["server"] <= MAX_MEMORY / 2 and told.memory_bytes <= MAX_MEMORY / 2
        assert sum(grown.values()) <= MAX_MEMORY


# ---- lookups in flight ----

def submit_slow(client, prefix, count):
    """Lookups that last until the deadline."""
    return [client.submit(records=pb.RecordsRequest(name=f"{prefix}{i}.silent.net", type=1)) for i in range(count)]


def is_busy(response):
    assert not response.HasField("error") or response.error.code == pb.BUSY, response
    assert not response.HasField("error") or response.error.retry_after_ms > 0, "a client is told when to ask again"
    return response.HasField("error")


def ask_new(client, name):
    return client.ask(records=pb.RecordsRequest(name=f"{name}.dane-ee.org", type=1))


def test_a_client_at_its_limit_is_refused_and_still_gets_live_answers(make_daemon, connect):
    daemon = make_daemon(server__max_jobs_per_client="5", resolver__deadline="3s")
    client, other = connect(daemon, 2)
    live = plan(client, "dane-ee.org")
    slow = submit_slow(client, "c", 5)
    for number in range(3):
        assert is_busy(ask_new(client, f"refused{number}"))
    assert plan(client, "dane-ee.org") == live
    assert not is_busy(ask_new(other, "other")), "the limit is a client's own"
    assert status(other).refused_busy == 3
    assert {client.receive().id for _ in slow} == set(slow), "what was taken on is answered"
    assert not is_busy(ask_new(client, "afterwards"))


def test_a_plan_that_reaches_the_limit_half_way_is_refused_as_a_whole(make_daemon, connect):
    """Its route is found; its two hosts are more than one lookup."""
    (client,) = connect(make_daemon(server__max_jobs_per_client="1"), 1)
    assert is_busy(client.ask(plan=pb.PlanRequest(next_hop="two-hosts.org")))
    assert not is_busy(ask_new(client, "afterwards"))


def test_clients_of_one_user_share_a_limit(make_daemon, connect):
    daemon = make_daemon(server__max_jobs_per_user="6", resolver__deadline="3s")
    first, second, third = connect(daemon, 3)
    live = plan(third, "dane-ee.org")
    slow = {client: submit_slow(client, prefix, 3) for client, prefix in ((first, "a"), (second, "b"))}
    wait_for(lambda: status(third).jobs == 6, 2)
    assert is_busy(ask_new(third, "refused"))
    assert plan(third, "dane-ee.org") == live
    for client, ids in slow.items():
        assert {client.receive().id for _ in ids} == set(ids)
    assert not is_busy(ask_new(third, "afterwards"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_not_held_up_by_a_user_at_its_limit(make_daemon, connect):
    daemon = make_daemon(server__max_jobs_per_user="4", server__socket_mode="0666", resolver__deadline="3s")
    first, second = connect(daemon, 2)
    directory = os.open(daemon.directory, os.O_PATH)  # its path is root's alone
    os.seteuid(NOBODY)
    try:
        stranger = Client(f"/proc/self/fd/{directory}/{pathlib.Path(daemon.socket).name}")
    finally:
        os.seteuid(0)
        os.close(directory)
    with stranger:
        submit_slow(first, "a", 4)
        wait_for(lambda: status(second).jobs == 4, 2)
        assert is_busy(ask_new(second, "refused"))
        assert not is_busy(ask_new(stranger, "another"))
        submit_slow(stranger, "s", 4)
        wait_for(lambda: status(second).jobs == 8, 2)
        assert is_busy(ask_new(stranger, "refused-too"))


# ---- times to live ----

def test_m05_max_ttl_cuts_every_life(make_daemon, connect):
    (client,) = connect(make_daemon(cache__max_ttl="2s", prefetch__rule="off"), 1)
    before = plan(client, "dane-ee.org")  # TTL 300
    assert all(1000 < answer.expires_at - answer.validated_at <= 2000 for answer in before)
    time.sleep(max(answer.expires_at for answer in before) / 1000 - time.time() + 0.05)
    for old, new in zip(before, plan(client, "dane-ee.org")):
        assert new.validated_at >= old.expires_at and new.expires_at <= new.validated_at + 2000


@pytest.mark.parametrize("min_ttl, is_refreshed", [("0", True), ("1h", False)])
def test_m05_min_ttl_spaces_refreshes_and_prolongs_no_life(make_daemon, connect, min_ttl, is_refreshed):
    (client,) = connect(make_daemon(cache__min_ttl=min_ttl), 1)
    end = time.monotonic() + 7
    while time.monotonic() < end:
        answers = plan(client, "two-seconds.org")
        assert all(answer.expires_at - answer.validated_at <= 2000 for answer in answers)
        assert all(answer.expires_at > time.time() * 1000 - 100 for answer in answers)
        time.sleep(0.1)
    assert (status(client).refreshes > 0) is is_refreshed


def test_m05_ttl_zero_is_given_to_all_who_wait_and_not_kept(make_daemon, connect, faults):
    clients = connect(make_daemon(), 12)
    faults.set("ttl-zero.com MX delay:400", "mx.ttl-zero.com A delay:400")
    for client in clients:
        client.submit(plan=pb.PlanRequest(next_hop="ttl-zero.com"))
    responses = [client.receive() for client in clients]
    jobs = status(clients[0]).jobs_done
    faults.clear()
    assert len({signed.signature for response in responses for signed in response.answers}) == 2, "one route and one host for all"
    route, host = answers_of(responses[0])
    assert host.host.policy == pb.DANE
    assert not any(answer.cacheable or answer.expires_at > answer.validated_at + 5000 for answer in (route, host))
    assert jobs == 2 and status(clients[0]).cache_entries == 0
    later = plan(clients[0], "ttl-zero.com")
    assert all(new.validated_at > old.validated_at for old, new in zip((route, host), later))
    assert status(clients[0]).jobs_done == 4


# ---- time to wait ----

def test_e14_at_the_deadline_slow_hosts_are_unreachable_and_their_lookup_goes_on_for_the_next(make_daemon, connect, faults):
    """The servers give the addresses of the second host of two-hosts.org after a while only."""
    first, second = connect(make_daemon(), 2)
    faults.set("mx2.two-hosts.org A delay:1100", "mx2.two-hosts.org AAAA delay:1100")
    begin = time.monotonic()
    route, ready, slow = plan(first, "two-hosts.org", deadline_ms=600)
    assert 0.5 < time.monotonic() - begin < 1.1
    assert route.route.mx_status == pb.SECURE and ready.host.policy == pb.DANE
    assert (slow.host.policy, slow.host.reason) == (pb.UNREACHABLE, pb.NOT_READY) and "deadline" in slow.host.reason_text
    assert not slow.cacheable, "it is so for this request only"
    found = status(second)
    assert found.jobs == 1
    *others, slow = plan(second, "two-hosts.org")
    assert slow.host.policy == pb.DANE and others == [route, ready]
    after = status(second)
    assert (after.jobs_done - found.jobs_done, after.jobs) == (1, 0), "the lookup that was under way, no second one"


def test_clients_with_one_question_share_one_lookup(make_daemon, connect, faults):
    observer, *clients = connect(make_daemon(), 30)
    faults.set("dane-ta.com MX delay:500")
    for client in clients:
        client.submit(plan=pb.PlanRequest(next_hop="dane-ta.com"))
    wait_for(lambda: status(observer).misses >= len(clients), 2)
    assert (status(observer).jobs, status(observer).jobs_done) == (1, 0)
    assert len({tuple(signed.signature for signed in client.receive().answers) for client in clients}) == 1
    assert status(observer).jobs_done == 2, "one route, one host"

# SPDX-License-Identifier: BSD-3-Clause
"""Many daemons and one store: the real redis-server between members that trust each other's keys (docs/FLEET.md)."""

import base64
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import fleet_pb2
import nacl.signing
import pytest
import resolverd_pb2 as pb
from conftest import BUILD, HERE, INSTRUMENTED, WORLD, wait_for
from fleet import Far, Monitor, Store, make_member, make_store, origins, plan, public_key, ring, store  # noqa: F401
from live import LiveZone
from scenarios import DANE, PLAIN, TA
from wire import Client, key_id

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server")

NAME, OTHER, THIRD = DANE, TA, PLAIN


def asked(queries, name):
    return [query for query in queries.seen() if query.name.rstrip(".") == name]


def stats_of(member):
    done = subprocess.run([BUILD / "resolverctl", "--socket", member.socket, "--public-key", member.public_key, "--json", "stats"],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


# ---- one refresh for all ----


def test_a_member_takes_what_another_found(make_member, store, queries):
    first, second = make_member(), make_member()
    route, hosts = plan(first)
    assert not route.origin and len(store.values()) >= 2
    queries.mark()
    other_route, other_hosts = plan(second)
    assert not queries.seen(), "looked up again"
    assert other_route.route == route.route and other_route.member == "m1"
    assert [host.host for host in other_hosts] == [host.host for host in hosts]
    assert {answer.origin for answer in (other_route, *other_hosts)} == {"m0"}
    assert other_route.origin_key_id == key_id(public_key(first))
    assert other_route.expires_at <= route.expires_at and other_route.validated_at == route.validated_at


def test_clients_tell_who_found_it(make_member):
    first, second = make_member(), make_member()
    code, plain = first.ctl("plan", NAME)
    assert code == 0 and plain["origin"] is None and plain["hosts"][0]["origin"] is None
    code, told = second.ctl("plan", NAME)
    assert code == 0 and told["origin"] == "m0" and {host["origin"] for host in told["hosts"]} == {"m0"}
    words = [BUILD / "resolverctl", "--socket", second.socket, "--public-key", second.public_key, "plan", NAME]
    assert "found by m0" in subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    first.ctl("lookup", NAME, "TXT")
    assert second.ctl("lookup", NAME, "TXT")[1]["origin"] == "m0"


def test_it_signs_with_its_own_policy(make_member, store):
    first = make_member()
    second = make_member(connected=True)
    second.reload(f'override "{NAME}" {{ requirement = mandatory reason = "contract" }}')
    plan(first)
    route, _ = plan(second)
    assert route.origin == "m0" and route.route.requirement == pb.MANDATORY
    assert b"contract" not in b"".join(store.values().values())


def test_the_store_holds_no_policy(make_member, store):
    first = make_member()
    first.reload(f'override "{NAME}" {{ requirement = audit reason = "a private matter" }}')
    plan(first)
    assert store.values() and b"a private matter" not in b"".join(store.values().values())


def test_many_members_ask_at_once_and_one_looks_up(make_member, queries):
    members = [make_member() for _ in range(4)]
    queries.mark()
    clients = [Client(member.socket) for member in members]
    ids = [client.submit(plan=pb.PlanRequest(next_hop=NAME, port=25)) for client in clients]
    for client, request_id in zip(clients, ids):
        assert client.receive().id == request_id
        client.socket.close()
    once = len({query.type for query in asked(queries, NAME)})
    assert len(asked(queries, NAME)) <= 2 * once


def test_a_client_query_costs_few_commands(make_member, store):
    """At the most a look, a lease, a put and two to count for each of its questions; three for what is there; nothing for a hit."""
    first, second = make_member(), make_member()
    with Monitor(store) as monitor:
        _, hosts = plan(first)
        questions = 1 + len(hosts)
        commands = monitor.seen()
        assert 0 < len(commands) <= 5 * questions
        assert all(words[1].startswith("rd:1:") for words in commands) and len({words[1] for words in commands}) == 3 * questions
        plan(second)
        assert collections.Counter(words[0].upper() for words in monitor.seen()) == {"GET": questions, "INCR": questions, "PEXPIRE": questions}
        plan(first), plan(second)
        assert not monitor.seen()


def test_what_all_together_ask_for_often_stays_warm(make_member, queries):
    """Each asks once; four are often, two are not."""
    with LiveZone(WORLD, "two-hosts.org") as zone:
        often, seldom = "often.two-hosts.org", "seldom.two-hosts.org"
        zone.publish([*zone.records, "often 8 MX 10 mx1", "seldom 8 MX 10 mx1"])
        members = [make_member(prefetch__rule="ahead", resolver__workers="2") for _ in range(4)]
        for member in members:
            plan(member, often)
        for member in members[:2]:
            plan(member, seldom)
        queries.mark()
        time.sleep(9)
        assert asked(queries, often) and not asked(queries, seldom)
        newcomer = make_member()
        queries.mark()
        assert plan(newcomer, often)[0].origin and not asked(queries, often)


def test_what_members_count(make_member, store):
    """resolverctl stats, of the one who found it, the one who took it, and of one who does not believe it."""
    first, second = make_member(), make_member()
    _, hosts = plan(first)
    plan(second)
    questions = 1 + len(hosts)
    store.settle()
    for key in store.keys():
        store.ask("DEL", key) if key.endswith(b":lease") else store.ask("SET", key, b"forged")
    third = make_member()
    plan(third)
    one, two, three = (stats_of(member)["fleet"] for member in (first, second, third))
    assert one["connected"] and not one["left_out"] and str(store.path) in one["detail"] and one["membership_ends_at"] is None
    assert (one["asked"], one["found"], one["leased"], one["shared"]) == (questions, 0, questions, questions)
    assert (two["asked"], two["found"], two["leased"], two["shared"]) == (questions, questions, 0, 0)
    assert (three["found"], three["refused"], three["leased"]) == (0, questions, questions) and three["refused_why"]
    assert (one["member_keys"], one["root_keys"], one["revoked_keys"]) == (3, 0, 0)


def test_a_change_reaches_all_within_a_second(make_member):
    with LiveZone(WORLD, "two-hosts.org") as zone:
        first, second = make_member(), make_member()
        name = "changes.two-hosts.org"
        zone.publish([*zone.records, "changes 3 MX 10 mx1"])
        plan(first, name), plan(second, name)
        zone.publish([*zone.records, "changes 3 MX 10 mx2"])
        time.sleep(3.2)
        assert plan(first, name)[0].route.mx[0].name.startswith("mx2")
        assert plan(second, name)[0].route.mx[0].name.startswith("mx2")


def test_a_rolled_tlsa_record_reaches_all_within_a_second(make_member):
    """By a notice: theirs would have lasted on, and what is new is to end sooner."""
    with LiveZone(WORLD, "two-hosts.org") as zone:
        first, second, third = make_member(prefetch__rule="ahead"), make_member(), make_member()
        name = "rolled.two-hosts.org"

        def publish(octet, ttl_s):
            zone.publish([*zone.records, "rolled 600 MX 10 mxr", "mxr 600 A 127.0.0.9", f"_25._tcp.mxr {ttl_s} TLSA 3 1 1 {octet * 32}"])

        def host(member):
            _, [answer] = plan(member, name)
            return answer

        def has_rolled(member):
            return host(member).host.tlsa[0].data == b"\xbb" * 32

        publish("aa", 20)
        for _ in range(5):
            plan(first, name)
        old = [host(member) for member in (second, third)]
        assert [answer.origin for answer in old] == ["m0", "m0"]
        publish("bb", 10)
        wait_for(lambda: has_rolled(first), 25)
        wait_for(lambda: has_rolled(second) and has_rolled(third), 5 if INSTRUMENTED else 1)
        assert time.time() * 1000 < min(answer.expires_at for answer in old), "they had ended"
        assert {host(member).origin for member in (second, third)} == {"m0"}


def test_nobody_waits_for_what_is_used_once(make_member, store, queries):
    """A TTL of 0: it is not to be shared, so that each request looks it up; but for the first none asks for the lease, or waits."""
    with LiveZone(WORLD, "two-hosts.org") as zone:
        name = "once.two-hosts.org"
        zone.publish([*zone.records, "once 0 MX 10 mx1"])
        first, second = make_member(), make_member()
        plan(first, name), plan(second, name)
        store.settle()
        before = store.calls()
        queries.mark()
        for member in (first, second, first):
            assert not plan(member, name)[0].origin
        store.settle()
        after = store.calls()
        assert {command: after.get(command, 0) - before.get(command, 0) for command in ("get", "set", "incr")} == {"get": 3, "set": 0, "incr": 0}
        assert stats_of(first)["fleet"]["waited"] == stats_of(second)["fleet"]["waited"] == 0
        assert len(asked(queries, name)) >= 3


def test_what_one_flushes_is_mended_at_all(make_member, store):
    with LiveZone(WORLD, "two-hosts.org") as zone:
        first, second = make_member(), make_member()
        name = "mended.two-hosts.org"
        first.reload(f'override "{name}" {{ requirement = audit reason = "a private matter" }}')
        zone.publish([*zone.records, "mended 600 MX 10 mx1"])
        plan(second, name)
        assert plan(first, name)[0].origin == "m1"
        zone.publish([*zone.records, "mended 600 MX 10 mx2"])
        assert first.ctl("flush", name)[0] == 0

        def is_mended(member):
            return plan(member, name)[0].route.mx[0].name.startswith("mx2")

        assert is_mended(first)
        wait_for(lambda: is_mended(second), 5 if INSTRUMENTED else 1)
        for member in (second, make_member()):
            route = plan(member, name)[0].route
            assert plan(member, name)[0].origin == "m0" and route.requirement == pb.NORMAL and not route.requirement_source
        assert b"a private matter" not in b"".join(store.values().values())


def test_what_is_flushed_does_not_come_back(make_member, queries):
    first, second = make_member(), make_member()
    plan(first), plan(first, OTHER)
    assert set(origins(second)) == {"m0"}
    assert second.ctl("flush", "--all")[0] == 0
    queries.mark()
    for name in (NAME, OTHER):
        assert wait_for(lambda: set(origins(second, name)) == {""}, 10) and asked(queries, name)


# ---- never a dependency ----


@pytest.fixture
def pair(make_member):
    return make_member(), make_member()


def quickly(member, name, within_s=3):
    before = time.monotonic()
    route, hosts = plan(member, name)
    assert time.monotonic() - before < within_s * (5 if INSTRUMENTED else 1)
    return route, hosts


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
def test_without_the_store_all_goes_on(pair, store, harm):
    first, second = pair
    plan(first)
    store.process.send_signal(harm)
    for name in (NAME, OTHER, THIRD):
        route, _ = quickly(second, name)
        assert not route.origin
    wait_for(lambda: "lookups go on without it" in second.log(), 10, second.log)


def test_a_store_that_comes_back_is_used_again(pair, store):
    first, second = pair
    store.process.kill()
    store.process.wait()
    wait_for(lambda: "no store" in first.log(), 5, first.log)
    store.path.unlink(missing_ok=True)
    store.start()
    wait_for(lambda: all(member.log().count("fleet: connected") == 2 for member in pair), 15, first.log)
    plan(first)
    assert set(origins(second)) == {"m0"}


def test_a_full_store(make_store, make_member, store):
    first, second = make_member(), make_member()
    store.ask("CONFIG", "SET", "maxmemory", "1")
    route, _ = quickly(first, NAME)
    assert not route.origin and not store.values()
    route, _ = quickly(second, NAME)
    assert not route.origin
    wait_for(lambda: "the store takes nothing: OOM" in first.log(), 5, first.log)
    assert first.log().count("takes nothing") == 1
    store.ask("CONFIG", "SET", "maxmemory", "0")
    plan(first, OTHER)
    wait_for(lambda: "takes values again" in first.log(), 5, first.log)
    assert set(origins(second, OTHER)) == {"m0"}


def test_a_read_only_store(make_store, make_member, store):
    first, second = make_member(), make_member()
    store.ask("REPLICAOF", "127.0.0.1", "1")
    for member in (first, second):
        assert not quickly(member, NAME)[0].origin
    assert not store.values()


def test_a_flushed_store(pair, store):
    first, second = pair
    plan(first)
    store.settle()
    store.ask("FLUSHALL")
    assert not plan(second)[0].origin
    assert store.values()


def test_a_store_that_evicts(pair, store):
    first, second = pair
    names = [f"r{i:06}.one-off-nsec.net" for i in range(150)]
    store.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    plan(first, names[0])
    store.ask("CONFIG", "SET", "maxmemory", int(store.info("memory")["used_memory"]) + 100000)
    routes = {name: plan(first, name)[0].route for name in names}
    assert int(store.info("stats")["evicted_keys"]) > 0
    answers = [plan(second, name)[0] for name in reversed(names)]
    assert {answer.origin for answer in answers} == {"", "m0"} and all(answer.route == routes[answer.question.name] for answer in answers)


def test_a_store_that_is_slow_is_left_out(make_member, store):
    far = Far(store.path, 6408, 0.4)
    try:
        first = make_member()
        second = make_member(fleet__redis="redis://127.0.0.1:6408", fleet__timeout="60ms")
        for name in (NAME, OTHER, THIRD):
            plan(first, name)
            assert not plan(second, name)[0].origin
        counts = stats_of(second)["fleet"]
        assert counts["connected"] and counts["left_out"] and counts["failed"] >= 3 and counts["passed_by"] > 0 and counts["found"] == 0
    finally:
        far.close()


def test_the_helper_is_started_again(pair):
    first, second = pair
    [pid] = first.roles()["fleet"]
    os.kill(pid, signal.SIGKILL)
    plan(first, OTHER)
    wait_for(lambda: first.roles().get("fleet", [pid]) != [pid], 10)
    wait_for(lambda: first.log().count("fleet: connected") == 2, 10, first.log)
    plan(first)
    assert set(origins(second)) == {"m0"}


def test_a_helper_that_hangs_is_replaced(make_member):
    first, second = make_member(), make_member(fleet__timeout="50ms")
    [pid] = second.roles()["fleet"]
    os.kill(pid, signal.SIGSTOP)
    numbers = iter(range(10000))

    def is_replaced():
        assert plan(second, f"r{next(numbers):06}.one-off-nsec.net")[0].route.mx
        return second.roles().get("fleet", [pid]) != [pid]

    wait_for(is_replaced, 40, second.log)
    assert "the fleet helper says nothing: replaced" in second.log()
    wait_for(lambda: second.log().count("fleet: connected") == 2, 10, second.log)

    def is_used():
        name = f"r{next(numbers):06}.one-off-nsec.net"
        return plan(first, name) and plan(second, name)[0].origin == "m0"

    wait_for(is_used, 10, second.log)


class Liar(threading.Thread):
    """Says more than it was asked for, which hiredis ends its process for."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", port))
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                with sock, contextlib.suppress(OSError):
                    sock.recv(1000)
                    sock.sendall(b"*1\r\n$6\r\nmaster\r\n" * 2)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_a_store_that_ends_the_helper_does_so_ever_more_seldom(make_daemon, ring):
    liar = Liar(6409)
    try:
        member = make_daemon(fleet__redis="redis://127.0.0.1:6409", fleet__trusted_keys=str(ring))
        wait_for(lambda: "the fleet helper was ended by signal" in member.log(), 10, member.log)
        time.sleep(6.5)
        assert 2 <= member.log().count("the fleet helper was ended by signal") <= 4
        assert plan(member)[0].route.mx
    finally:
        liar.close()


# ---- trust ----


def test_a_stranger_is_not_believed(make_member, store, queries):
    stranger = make_member(in_ring=False)
    member = make_member()
    plan(stranger)
    left = store.values()
    queries.mark()
    assert set(origins(member)) == {""} and queries.seen()
    assert store.values() != left, "it is overwritten"


@pytest.mark.parametrize("how", ["revoked", "taken out"])
def test_who_is_out_of_the_ring_is_out_at_once(make_member, ring, queries, how):
    ring.write_text(f"root {base64.b64encode(bytes(nacl.signing.SigningKey.generate().verify_key)).decode()}\n")
    first, second = make_member(), make_member()
    plan(first)
    assert set(origins(second)) == {"m0"}
    out = f"\nrevoked {key_id(public_key(first)).hex()}\n"
    ring.write_text(ring.read_text() + out if how == "revoked" else ring.read_text().replace(base64.b64encode(public_key(first)).decode(), ""))
    second.reload("")
    queries.mark()
    assert set(origins(second)) == {""} and queries.seen()


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty", "noise", "list"])
def test_a_spoiled_value_is_overwritten(pair, store, how):
    first, second = pair
    plan(first)
    for key, value in store.values().items():
        store.ask("DEL", key)
        if how == "list":
            store.ask("RPUSH", key, value)
            continue
        middle = len(value) // 2
        store.ask("SET", key, {"truncated": value[:middle], "flipped": value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1:],
                               "empty": b"", "noise": bytes(range(256)) * 40}[how])
    assert set(origins(second)) == {""}
    assert all(store.ask("TYPE", key) == b"string" and len(store.ask("GET", key)) > 100 for key in store.values())


def test_swapped_values_are_of_no_use(pair, store):
    first, second = pair
    plan(first, NAME), plan(first, OTHER)
    routes = {key: value for key, value in store.values().items() if b":r0:" in key}
    (one, its), (other, others) = list(routes.items())[:2]
    store.ask("SET", one, others), store.ask("SET", other, its)
    for name in (NAME, OTHER):
        assert not plan(second, name)[0].origin


def test_what_is_older_than_max_age_is_not_used(make_member):
    first, second = make_member(), make_member(fleet__max_age="1s")
    plan(first)
    time.sleep(1.5)
    assert not plan(second)[0].origin


def test_another_view_is_not_shared(make_member):
    first = make_member()
    second = make_member(unbound__do_ip6="yes")
    plan(first)
    assert plan(second)[0].origin == "m0"
    third = make_member()
    third.reload('zone "corp.example" { insecure-until = 2099-01-01 }')
    assert not plan(third)[0].origin


# ---- members of another version ----


class Newcomer:
    """A member that signs facts with fields that this version does not know."""

    def __init__(self, ring):
        self.long_term, self.online = nacl.signing.SigningKey.generate(), nacl.signing.SigningKey.generate()
        ring.write_text(ring.read_text() + base64.b64encode(bytes(self.long_term.verify_key)).decode() + "\n")
        now = int(time.time() * 1000)
        delegation = pb.Delegation(online_key=bytes(self.online.verify_key), member="newer", not_before=now - 60000, not_after=now + 3600000,
                                   scope=pb.ANSWERS).SerializeToString() + NEW_FIELD
        self.delegation = pb.SignedDelegation(delegation=delegation, key_id=key_id(self.long_term.verify_key),
                                              signature=self.long_term.sign(b"resolverd delegation v1\0" + delegation).signature)

    def value_like(self, value, critical=()):
        """The same facts, found by us."""
        facts = fleet_pb2.SharedFacts.FromString(fleet_pb2.SignedFacts.FromString(value).facts)
        facts.member = "newer"
        facts.critical.extend(critical)
        signed = facts.SerializeToString() + NEW_FIELD
        return fleet_pb2.SignedFacts(facts=signed, signature=self.online.sign(b"resolverd facts v1\0" + signed).signature,
                                     key_id=key_id(self.online.verify_key), delegations=[self.delegation]).SerializeToString() + NEW_FIELD


NEW_FIELD = bytes([0xfa, 0x3e, 3]) + b"new"  # number 1007, three octets


@pytest.mark.parametrize("critical, origin", [((), "newer"), ((1007,), "")])
def test_what_newer_members_say_is_taken_unless_it_must_be_understood(make_member, store, ring, critical, origin):
    first = make_member()
    newer = Newcomer(ring)
    plan(first)
    for key, value in store.values().items():
        store.ask("SET", key, newer.value_like(value, critical))
    second = make_member()
    assert set(origins(second)) == {origin}


# ---- the way to the store ----


def test_tcp_with_a_password(make_store, make_daemon, ring, tmp_path):
    store = make_store(password="a secret", port=6390)
    secret = tmp_path / "secret"
    secret.write_text("a secret\n")
    member = make_daemon(fleet__redis="redis://127.0.0.1:6390", fleet__trusted_keys=str(ring), fleet__credentials_file=str(secret),
                         fleet__database="3")
    wait_for(lambda: "fleet: connected to 127.0.0.1 port 6390" in member.log(), 10, member.log)
    plan(member)
    assert "a secret" not in member.log()
    assert "db3:keys=" in store.ask("INFO", "keyspace").decode()


def test_a_wrong_password_is_said(make_store, make_daemon, ring, tmp_path):
    make_store(password="a secret", port=6391)
    secret = tmp_path / "secret"
    secret.write_text("another\n")
    member = make_daemon(fleet__redis="redis://127.0.0.1:6391", fleet__trusted_keys=str(ring), fleet__credentials_file=str(secret))
    wait_for(lambda: "no store: it refuses the credentials: WRONGPASS" in member.log(), 10, member.log)
    assert plan(member)[0].route.mx


def test_an_error_that_quotes_the_password_is_not_repeated(make_store, make_daemon, ring, tmp_path):
    make_store("--rename-command", "AUTH", "", port=6392)
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    member = make_daemon(fleet__redis="redis://127.0.0.1:6392", fleet__trusted_keys=str(ring), fleet__credentials_file=str(secret))
    wait_for(lambda: "no store: it refuses the credentials: ERR" in member.log(), 10, member.log)
    assert "hunter2" not in member.log() + json.dumps(stats_of(member))


def test_tls_through_a_proxy(tmp_path, make_daemon, ring):
    """docs/FLEET.md's stunnel, to a Redis that speaks TLS alone."""
    if shutil.which("stunnel4") is None:
        pytest.skip("no stunnel4")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, stderr=subprocess.DEVNULL)
    store = Store(tmp_path / "store", "--tls-port", "6412", "--tls-cert-file", str(cert), "--tls-key-file", str(key),
                  "--tls-ca-cert-file", str(cert), "--tls-auth-clients", "no")
    path, file = tmp_path / "tls.sock", tmp_path / "stunnel.conf"
    [text] = re.findall(r"```stunnel\n(.*?)```", (HERE.parent.parent / "docs" / "FLEET.md").read_text(), re.DOTALL)
    for documented, here in (("/run/stunnel4/redis.sock", path), ("redis.example.org:6380", "127.0.0.1:6412"), ("redis.example.org", "localhost"),
                             ("/etc/ssl/certs/redis-ca.pem", cert)):
        assert documented in text
        text = text.replace(documented, str(here))
    file.write_text("foreground = yes\npid =\n" + text)
    with open(tmp_path / "stunnel.log", "wb") as log:
        proxy = subprocess.Popen(["stunnel4", file], stdout=log, stderr=log)
    try:
        wait_for(path.exists, 10, (tmp_path / "stunnel.log").read_text)
        member = make_daemon(fleet__redis=f"unix:{path}", fleet__trusted_keys=str(ring))
        wait_for(lambda: f"fleet: connected to unix:{path}" in member.log(), 10, member.log)
        plan(member)
        assert store.values()
    finally:
        proxy.terminate()
        proxy.wait(timeout=10)
        store.stop()


# ---- sentinels ----


class Sentinel(Store):
    """redis-sentinel, which watches a master that answers on a port."""

    def __init__(self, directory, port, master_port):
        directory.mkdir(exist_ok=True)
        self.file = directory / "sentinel.conf"
        self.file.write_text(f"sentinel monitor fleet 127.0.0.1 {master_port} 1\nsentinel down-after-milliseconds fleet 500\n"
                             "sentinel failover-timeout fleet 3000\n")
        super().__init__(directory, port=port)

    def start(self):
        command = ["redis-server", str(self.file), "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.path),
                   "--dir", str(self.directory)]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: self.path.exists() and self.answers(), 10, lambda: (self.directory / "log").read_text())


def test_sentinels_fail_over(make_store, make_member, tmp_path):
    master, replica = make_store(port=6401), make_store(port=6402)
    replica.ask("REPLICAOF", "127.0.0.1", "6401")
    wait_for(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"), 10)
    sentinel = Sentinel(tmp_path / "sentinel", 6403, 6401)
    try:
        wait_for(lambda: b"num-slaves\n1" in b"\n".join(sentinel.ask("SENTINEL", "MASTER", "fleet")), 15)
        keys = {"fleet__redis": "sentinel://127.0.0.1:6409,127.0.0.1:6403/fleet"}  # nobody listens at the first
        first, second = make_member(**keys), make_member(**keys)
        assert "connected to 127.0.0.1 port 6401" in first.log()
        plan(first)
        assert set(origins(second)) == {"m0"}
        master.process.kill()
        master.process.wait()
        assert quickly(second, OTHER)[0].route.mx
        for member in (first, second):
            wait_for(lambda: "connected to 127.0.0.1 port 6402" in member.log(), 30, member.log)
        plan(first, THIRD)
        assert set(origins(second, THIRD)) == {"m0"}
    finally:
        sentinel.stop()


# ---- many ----


def test_twenty_members_and_one_truth(make_member, queries):
    members = [make_member(resolver__workers="1") for _ in range(4 if INSTRUMENTED else 20)]
    plan(members[0])
    queries.mark()
    assert all(set(origins(member)) == {"m0"} for member in members[1:])
    assert not queries.seen()


def test_a_replayed_older_value_is_not_taken_back(make_member, store):
    """What a member has is not replaced by facts that are older."""
    with LiveZone(WORLD, "two-hosts.org") as zone:
        first, second = make_member(), make_member()
        name = "replay.two-hosts.org"
        zone.publish([*zone.records, "replay 2 MX 10 mx1"])
        plan(first, name)
        old = {key: value for key, value in store.values().items() if b":r0:" in key}
        zone.publish([*zone.records, "replay 300 MX 10 mx2"])
        time.sleep(2.1)
        assert plan(second, name)[0].route.mx[0].name.startswith("mx2")
        for key, value in old.items():
            store.ask("SET", key, value)
        for member in (first, second):
            assert plan(member, name)[0].route.mx[0].name.startswith("mx2")

# SPDX-License-Identifier: BSD-3-Clause
"""Evidence of deliveries: made with a live daemon, checked without it, and what is wrong with it found."""

import base64
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import time

import evidence_pb2
import pytest
import resolverd_pb2 as pb
from conftest import BUILD, WORLD
from faketime import YEAR, Clock
from scenarios import SCENARIOS
from smtp import BEHAVIOURS, Server
from wire import Client, check_signature, key_id

PORT = 2525
MAGIC = b"RESOLVERD-EVIDENCE-1\n"
AUTHENTICATED, ENCRYPTED, REFUSED = 1, 3, 5


def record(daemon, path, *arguments):
    """Makes evidence with tests/system/record_delivery.c."""
    environment = os.environ | {"RESOLVERD_SOCKET": daemon.socket, "RESOLVERD_PUBLIC_KEY": daemon.public_key}
    subprocess.run([str(BUILD / "tests" / "record-delivery"), str(path), *map(str, arguments)],
                   env=environment, check=True, timeout=60)
    return path


def deliver(daemon, path, domain, host, *verdict, shows=None):
    """Over a connection to the host, which shows its own certificate or that of another."""
    with Server(host, dataclasses.replace(BEHAVIOURS["tls-at-once"], certificate=shows), port=PORT) as server:
        address = next(address for address in server.addresses if ":" not in address)
        return record(daemon, path, domain, host, address, PORT, *verdict)


def verify(path, public_key, trust_anchor=None, prefix=()):
    """(exit code, report)"""
    command = [*prefix, str(BUILD / "resolverctl"), "--json", "--public-key", str(public_key), "verify",
               "--trust-anchor", str(trust_anchor or WORLD / "root.key"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.returncode, json.loads(done.stdout)


def results(report):
    return {check["check"]: check["result"] for check in report["checks"]}


def texts(report):
    return {check["check"]: check["text"] for check in report["checks"]}


# ---- what is true verifies ----

@pytest.mark.parametrize("domain, host, verdict, checks", [
    ("dane-ee.org", "mx.dane-ee.org", "authenticated", {"match": "matches 3 1 1"}),
    ("dane-ta.com", "mx.dane-ta.com", "authenticated", {"match": "2 1 1"}),
    ("provider-customer.com", "mx2.provider.net", "authenticated", {"match": "matches 3 1 1"}),
    ("cname-two-hops.aliases.org", "mx.dane-ta.com", "authenticated", {"mx": "by way of aliases at dane-ta.com"}),
    ("wildcard-tlsa.com", "mx.wildcard-tlsa.com", "authenticated", {"match": "matches 3 1 1"}),
    ("wildcard-tlsa-nsec.net", "mx.wildcard-tlsa-nsec.net", "authenticated", {"match": "matches 3 1 1"}),
    ("insecure-mx.org", "mx1.provider.net", "host-authenticated", {"mx": "nothing is signed at or below insecure-mx.org"}),
    ("plain.net", "mx.plain.net", "encrypted", {"tlsa": "provably none"}),
    ("plain-nsec3.com", "mx.plain-nsec3.com", "encrypted", {"tlsa": "provably none"}),
    ("plain-optout.org", "mx.plain-optout.org", "encrypted", {"tlsa": "insecure"}),
    ("insecure.biz", "mx.insecure.biz", "encrypted", {"mx": "at or below biz", "address": "at or below biz"}),
    ("dname-host.com", None, None, {"mx": "signed up to the root", "tlsa": "signed up to the root"}),
    ("ed448.nl", None, None, {"mx": "insecure"}),
    ("no-such-domain.org", None, None, {"mx": "insecure"}),
    ("null-mx.org", None, None, {"mx": "signed up to the root"}),
])
def test_evidence_of_a_delivery_verifies(daemon, tmp_path, domain, host, verdict, checks):
    path = deliver(daemon, tmp_path / "e", domain, host) if host else record(daemon, tmp_path / "e", domain)
    code, report = verify(path, daemon.public_key)
    assert code == 0 and report["verified"], report
    assert set(results(report).values()) == {"passed"}, report
    assert report["next_hop"] == domain and report["member"] == "member-under-test"
    assert verdict is None or texts(report)["verdict"].startswith(f"{verdict} under policy")
    for check, text in checks.items():
        assert text in texts(report)[check]


@pytest.mark.parametrize("domain", sorted({
    scenario["domain"] for scenario in SCENARIOS
    if scenario["expect"]["outcome"] in ("deliver", "no-mail", "no-such-domain", "no-host") and scenario.get("port", 25) == 25
}))
def test_every_plan_of_the_world_is_borne_out_by_the_dns(daemon, tmp_path, domain):
    code, report = verify(record(daemon, tmp_path / "e", domain), daemon.public_key)
    assert code == 0, report
    assert results(report)["answers"] == "passed"


def test_j05_the_administrators_digests_count_here_too(make_daemon, tmp_path):
    """Sent by 3 1 1, which the operator prefers to the 3 1 2 that does not match."""
    daemon = make_daemon(resolver__digests="sha256,sha512")
    path = deliver(daemon, tmp_path / "e", "agility.com", "mx.agility.com")
    code, report = verify(path, daemon.public_key)
    assert code == 0 and texts(report)["verdict"].startswith("authenticated under policy"), report


def test_a_failure_is_the_daemons_word_alone(daemon, tmp_path):
    code, report = verify(record(daemon, tmp_path / "e", "wrong-ds.com"), daemon.public_key)
    assert code == 0 and results(report)["mx"] == "not-proven" and "bogus" in texts(report)["mx"]


def test_years_later_without_a_daemon(make_daemon, tmp_path):
    """Neither daemon nor DNS nor the root's present keys: the file, and the two keys of then."""
    daemon = make_daemon()
    path = deliver(daemon, tmp_path / "e", "dane-ee.org", "mx.dane-ee.org")
    key, anchor = tmp_path / "key", tmp_path / "anchor"
    shutil.copy(daemon.public_key, key)
    shutil.copy(WORLD / "root.key", anchor)
    daemon.stop()
    clock = Clock(tmp_path, BUILD / "resolverctl")
    clock.move_to(20 * YEAR)
    code, report = verify(path, key, anchor, ["unshare", "--user", "--net", *clock.prefix])
    assert code == 0, report
    assert any("existed, octet for octet" in sentence for sentence in report["proves"])
    assert any("whoever holds the long-term key" in sentence for sentence in report["does_not_prove"])
    clock.move_to(-YEAR)
    code, report = verify(path, key, anchor, clock.prefix)
    assert (code, results(report)["times"]) == (76, "failed") and "is this clock right" in texts(report)["times"]


# ---- what is not true does not ----

def test_a_mismatch_that_was_refused_is_evidence_too(daemon, tmp_path):
    path = deliver(daemon, tmp_path / "e", "dane-ee.org", "mx.dane-ee.org", shows="mx.plain.net")
    code, report = verify(path, daemon.public_key)
    assert code == 0 and texts(report)["verdict"].startswith("refused under policy dane")
    assert any("match none of its TLSA records" in sentence for sentence in report["proves"])


@pytest.mark.parametrize("shows, verdict, failed", [
    ("mx.plain.net", AUTHENTICATED, {"match", "verdict"}),
    ("mx.plain.net", ENCRYPTED, {"verdict"}),
    ("mx.dane-ee.org", REFUSED, {"match"}),
])
def test_a_verdict_that_the_certificates_do_not_bear_out_is_found(daemon, tmp_path, shows, verdict, failed):
    path = deliver(daemon, tmp_path / "e", "dane-ee.org", "mx.dane-ee.org", verdict, shows=shows)
    code, report = verify(path, daemon.public_key)
    assert code == 76 and not report["verified"]
    assert {check for check, result in results(report).items() if result == "failed"} == failed


def test_another_root_key_proves_nothing(daemon, tmp_path):
    path = deliver(daemon, tmp_path / "e", "dane-ee.org", "mx.dane-ee.org")
    code, report = verify(path, daemon.public_key, "/usr/share/dns/root.key")
    assert code == 76
    assert {check for check, result in results(report).items() if result == "failed"} >= {"mx", "address", "tlsa", "match"}
    assert not any("the DNS" in sentence for sentence in report["proves"])
    assert "is the file that of its time?" in texts(report)["mx"]


def test_another_long_term_key_proves_nothing(daemon, make_daemon, tmp_path):
    other = make_daemon()
    path = deliver(daemon, tmp_path / "e", "dane-ee.org", "mx.dane-ee.org")
    code, report = verify(path, other.public_key)
    assert code == 76 and results(report) == {"seal": "failed"} and report["proves"] == []
    assert report["key_id"] is None and report["sealed_at"] is None


def test_every_changed_octet_is_found(daemon, tmp_path):
    """A sample over all parts of a file; tests/unit/test_evidence.c changes each octet."""
    path = deliver(daemon, tmp_path / "e", "dane-ee.org", "mx.dane-ee.org")
    good = path.read_bytes()
    assert verify(path, daemon.public_key)[0] == 0
    for at in range(0, len(good), 23):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x20]) + good[at + 1:])
        assert verify(path, daemon.public_key)[0] in (65, 76), at
    for changed in (good[:-1], good + b"\0", good[:len(MAGIC)], b"", good + good):
        path.write_bytes(changed)
        code, report = verify(path, daemon.public_key)
        assert code == 65 and "this is no evidence" in report["error"]


@pytest.mark.parametrize("without", [43, 48, 52])
def test_a_link_left_out_of_the_chain_is_found(daemon, tmp_path, without):
    """Sealed anew by the same daemon, so that only the DNS is in the way."""
    path = record(daemon, tmp_path / "e", "dane-ee.org")
    evidence = evidence_pb2.Evidence.FromString(path.read_bytes()[len(MAGIC):])
    content = evidence_pb2.Record.FromString(evidence.record)
    kept = [signed for signed in content.records if pb.Answer.FromString(signed.answer).question.type != without]
    del content.records[:]
    content.records.extend(kept)
    evidence.record = content.SerializeToString()
    with Client(daemon.socket) as client:
        evidence.seal.CopyFrom(client.ask(seal=pb.SealRequest(hash=blake2b(evidence.record))).seal)
    path.write_bytes(MAGIC + evidence.SerializeToString())
    code, report = verify(path, daemon.public_key)
    assert code == 76 and results(report)["seal"] == "passed" and results(report)["tlsa"] == "failed"


# ---- seals ----

def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def test_a_seal_verifies_by_the_long_term_key_alone(daemon):
    trusted = base64.b64decode(open(daemon.public_key).read().split("\n")[-2])
    with Client(daemon.socket) as client:
        seal = client.ask(seal=pb.SealRequest(hash=blake2b(b"any record"))).seal
    check_signature(b"resolverd delegation v1", seal.delegation.delegation, seal.delegation.signature, trusted)
    delegation = pb.Delegation.FromString(seal.delegation.delegation)
    check_signature(b"resolverd evidence v1", seal.seal, seal.signature, delegation.online_key)
    assert seal.key_id == key_id(delegation.online_key)
    inner = pb.Seal.FromString(seal.seal)
    assert inner.hash == blake2b(b"any record") and inner.member == delegation.member == "member-under-test"
    assert abs(inner.sealed_at - time.time() * 1000) < 5000


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_only_a_hash_is_sealed(daemon, size):
    with Client(daemon.socket) as client:
        response = client.ask(seal=pb.SealRequest(hash=bytes(size)))
        assert response.error.code == pb.BAD_REQUEST and not response.HasField("seal")
        assert client.ask(seal=pb.SealRequest(hash=bytes(32))).HasField("seal"), "the session goes on"


# ---- bad files ----

@pytest.mark.parametrize("name, text", [
    ("missing", "cannot read"), ("directory", "cannot read"), ("empty", "RESOLVERD-EVIDENCE-1"), ("huge", "larger than 4 MiB"),
    ("text", "RESOLVERD-EVIDENCE-1"), ("magic", "this is no evidence"),
])
def test_what_is_no_evidence_is_refused(daemon, tmp_path, name, text):
    path = tmp_path / name
    match name:
        case "directory":
            path.mkdir()
        case "missing":
            pass
        case _:
            path.write_bytes({"empty": b"", "huge": MAGIC + bytes(5 << 20), "text": b"hello", "magic": MAGIC}[name])
    code, report = verify(path, daemon.public_key)
    assert code == 65 and text in report["error"]


@pytest.mark.parametrize("anchor, text", [
    ("", "holds no key"), ("example.org. IN DS 1 13 2 00\n", ":1:"), ("; comment\n\n. IN DS nonsense\n", ":3:"),
])
def test_a_bad_trust_anchor_is_said_with_file_and_line(daemon, tmp_path, anchor, text):
    (tmp_path / "anchor").write_text(anchor)
    code, report = verify(record(daemon, tmp_path / "e", "plain.net"), daemon.public_key, tmp_path / "anchor")
    assert code == 76 and str(tmp_path / "anchor") in report["error"] and text in report["error"]

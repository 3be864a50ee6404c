# SPDX-License-Identifier: BSD-3-Clause
"""The Python package of client/python: the shared vectors, lies of a daemon, the daemon under test, and mail to the world's hosts."""

import base64
import concurrent.futures
import contextlib
import dataclasses
import datetime
import json
import pathlib
import socket
import subprocess
import sys
import threading
import time

import nacl.signing
import pytest
from conftest import BUILD
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from scenarios import DANE, MISMATCH, NO_AUTH, PLAIN, SCENARIOS, TA, mx
from smtp import MiddleBox, Server

sys.path.insert(0, str(BUILD / "python"))
import resolverd  # noqa: E402
from resolverd import resolverd_pb2 as pb  # noqa: E402
from resolverd.attestation import check_attestation, leaf_of, root_of  # noqa: E402
from resolverd.combine import combine_host, combine_route  # noqa: E402
from resolverd.keys import Keyring, key_id, load_trusted_keys  # noqa: E402
from resolverd.match import _is_name  # noqa: E402
from resolverd.names import canonical_name, next_hop  # noqa: E402
from resolverd.tls import verdict_of_chain  # noqa: E402
from resolverd.verify import Question, UnknownKeyError, Verified, verify_answer  # noqa: E402
from resolverd.view import view_host, view_plan, view_records  # noqa: E402
from resolverd.wire import split_answers  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
PLAN = json.loads((ROOT / "tests/vectors/plan.json").read_text())
ATTESTATION = json.loads((ROOT / "tests/vectors/attestation.json").read_text())
MATCH = json.loads((ROOT / "tests/vectors/match.json").read_text())
CERTIFICATES = {name: base64.b64decode(text) for name, text in MATCH["certificates"].items()}
LATER = 99  # a value that this version does not know
NOW_MS = 1790000000000
NOW = MATCH["now"]


# ---- the combination table ----

def test_every_host_row_of_the_vectors():
    for row in PLAN["hosts"]:
        policy, reason, names, would_refuse = row[5:]
        got = combine_host(*row[:5])
        assert (got.policy, got.reason, got.names.value, got.would_refuse) == (policy, reason, names, would_refuse), row


def test_every_route_row_of_the_vectors():
    for kind, mx_status, want in PLAN["routes"]:
        assert combine_route(kind, mx_status) == want, (kind, mx_status)


def verified(answer, not_understood=None):
    return Verified(answer, "00" * 8, False, not_understood)


def answers_of(row):
    route = pb.Route(kind=row["kind"], mx_status=row["mx_status"], expanded=row["expanded"], requirement=row["requirement"],
                     insecure_mx_policy=row["insecure_mx_policy"], mx=[pb.MxHost(name=name) for name in row["mx"]])
    answers = [pb.Answer(question=pb.Question(kind=pb.ROUTE, name=row["next_hop"]), expires_at=NOW_MS, route=route)]
    for host in row["hosts"]:
        data = pb.Host(policy=host["policy"], reason=host["reason"], tlsa_base=host["base"],
                       tlsa=[pb.Tlsa(usage=3, selector=1, matching_type=1, data=bytes(32))])
        answers.append(pb.Answer(question=pb.Question(kind=pb.HOST, name=host["name"], port=25), expires_at=NOW_MS, host=data))
    return [verified(answer) for answer in answers]


@pytest.mark.parametrize("row", PLAN["plans"], ids=lambda row: row["name"].replace(" ", "-"))
def test_plans_of_the_vectors(row):
    route, *hosts = answers_of(row)
    plan, want = view_plan(next_hop(row["next_hop"]), 25, route, hosts), row["want"]
    assert (plan.outcome, plan.would_refuse) == (want["outcome"], want["would_refuse"])
    got = [(host.policy, host.reason, host.would_refuse, list(host.reference_names)) for host in plan.hosts]
    assert got == [(resolverd.Policy.of(host["policy"]), resolverd.words.reason_word(host["reason"]), host["would_refuse"], host["names"])
                   for host in want["hosts"]]


def test_unknown_values_read_as_the_strictest():
    for number in (0, LATER, -1):
        assert resolverd.Policy.of(number) is resolverd.Policy.UNREACHABLE
        assert resolverd.Status.of(number) is resolverd.Status.ERROR
        assert resolverd.TlsaStatus.of(number) is resolverd.TlsaStatus.ERROR
        assert resolverd.Requirement.of(number) is resolverd.Requirement.MANDATORY


def good_row():
    return next(row for row in PLAN["plans"] if row["want"]["outcome"] == "deliver" and row["kind"] == 1 and row["mx_status"] == 1)


def test_dane_without_records_or_base_is_unreachable():
    for take_away in ("tlsa", "tlsa_base"):
        route, *hosts = answers_of(good_row())
        for host in hosts:
            host.answer.host.ClearField(take_away)
            assert view_host(host).policy is resolverd.Policy.UNREACHABLE
        assert view_plan(next_hop(good_row()["next_hop"]), 25, route, hosts).outcome is resolverd.Outcome.DELAY


def test_a_host_without_an_answer_is_unreachable():
    route, *hosts = answers_of(good_row())
    plan = view_plan(next_hop(good_row()["next_hop"]), 25, route, hosts[1:])
    assert (plan.hosts[0].policy, plan.hosts[0].reason) == ("unreachable", "answer-missing")


def test_critical_fields_make_plans_delay_and_hosts_unreachable():
    for index in (0, 1):
        answers = answers_of(good_row())
        answers[index] = answers[index]._replace(not_understood=809)
        plan = view_plan(next_hop(good_row()["next_hop"]), 25, answers[0], answers[1:])
        assert plan.outcome is resolverd.Outcome.DELAY and {host.policy for host in plan.hosts} == {"unreachable"}
    assert view_host(answers[1]).policy is resolverd.Policy.UNREACHABLE
    records = pb.Answer(question=pb.Question(kind=pb.RECORDS, name="a.org", type=1), records=pb.Records(status=pb.SECURE))
    assert view_records(verified(records)).status is resolverd.Status.SECURE
    assert view_records(verified(records, 903)).status is resolverd.Status.ERROR


# ---- signatures ----

LONG_TERM, ONLINE = nacl.signing.SigningKey(b"\1" * 32), nacl.signing.SigningKey(b"\2" * 32)


def sign(key, context, message):
    return key.sign(context.encode() + b"\0" + message).signature


def delegation(signer=LONG_TERM, online=ONLINE, context="resolverd delegation v1", **changes):
    fields = {"online_key": bytes(online.verify_key), "member": "m1", "not_before": NOW_MS - 1000, "not_after": NOW_MS + 1000,
              "scope": pb.ANSWERS} | changes
    message = pb.Delegation(**fields).SerializeToString()
    return pb.SignedDelegation(delegation=message, signature=sign(signer, context, message), key_id=key_id(bytes(signer.verify_key)))


def keyring(*delegations, now_ms=NOW_MS):
    trusted = bytes(LONG_TERM.verify_key)
    return Keyring({key_id(trusted): trusted}, delegations or [delegation()], now_ms)


def signed_answer(key=ONLINE, context="resolverd answer v1", identity=None, **changes):
    fields = {"question": pb.Question(kind=pb.ROUTE, name="example.org"), "member": "m1", "expires_at": NOW_MS + 1,
              "route": pb.Route()} | changes
    message = pb.Answer(**fields).SerializeToString()
    return pb.SignedAnswer(answer=message, signature=sign(key, context, message),
                           key_id=identity or key_id(bytes(key.verify_key))).SerializeToString()


QUESTION = Question(pb.ROUTE, ("example.org",))
OTHER = nacl.signing.SigningKey(b"\3" * 32)


def test_the_worked_example_of_the_manual():
    manual = (ROOT / "docs/PROTOCOL.md").read_text()
    assert bytes(LONG_TERM.verify_key).hex() in manual and key_id(bytes(LONG_TERM.verify_key)).hex() in manual
    assert bytes(ONLINE.verify_key).hex() in manual and key_id(bytes(ONLINE.verify_key)).hex() in manual


def test_a_good_answer_verifies():
    assert verify_answer(signed_answer(), QUESTION, keyring(), NOW_MS).not_understood is None
    assert verify_answer(signed_answer(critical=[809]), QUESTION, keyring(), NOW_MS).not_understood == 809
    assert verify_answer(signed_answer(critical=[0]), QUESTION, keyring(), NOW_MS).not_understood == 0


@pytest.mark.parametrize("lie", [
    {"key": OTHER}, {"key": OTHER, "identity": key_id(bytes(ONLINE.verify_key))}, {"context": "resolverd evidence v1"},
    {"member": "m2"}, {"expires_at": NOW_MS}, {"expires_at": 0}, {"route": None}, {"route": None, "host": pb.Host()},
    {"question": None}, {"question": pb.Question(kind=pb.ROUTE, name="example.net")},
    {"question": pb.Question(kind=pb.ROUTE, name="example.org", port=25)},
    {"question": pb.Question(kind=pb.ROUTE, name="example.org", type=1)},
    {"question": pb.Question(kind=pb.HOST, name="example.org")},
], ids=str)
def test_a_lie_does_not_verify(lie):
    with pytest.raises(resolverd.VerifyError):
        verify_answer(signed_answer(**lie), QUESTION, keyring(), NOW_MS)


@pytest.mark.parametrize("lie", [
    {"signer": OTHER}, {"context": "resolverd answer v1"}, {"online_key": bytes(31)}, {"scope": 0}, {"scope": LATER},
    {"not_before": NOW_MS + 1}, {"not_after": NOW_MS},
], ids=str)
def test_a_bad_delegation_vouches_for_nothing(lie):
    with pytest.raises(UnknownKeyError):
        verify_answer(signed_answer(), QUESTION, keyring(delegation(**lie)), NOW_MS)


def test_a_delegation_that_has_ended_since_vouches_no_more():
    with pytest.raises(UnknownKeyError):
        verify_answer(signed_answer(expires_at=NOW_MS + 9999), QUESTION, keyring(), NOW_MS + 1000)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of protobuf, at a group's end
def test_every_changed_octet_of_a_signed_answer_is_found():
    good = signed_answer()
    for bit in range(8 * len(good)):
        lie = bytearray(good)
        lie[bit // 8] ^= 1 << bit % 8
        with pytest.raises(resolverd.VerifyError):
            verify_answer(bytes(lie), QUESTION, keyring(), NOW_MS)


# ---- attestation ----

def test_every_tree_of_the_vectors():
    for tree in ATTESTATION["trees"]:
        for index, path in tree["paths"].items():
            leaf = resolverd.keys.blake2b(int(index).to_bytes(4, "big"))
            assert root_of(leaf, int(index), tree["leaves"], [bytes.fromhex(node) for node in path]).hex() == tree["root"]


@pytest.mark.parametrize("row", ATTESTATION["responses"], ids=lambda row: row["name"].replace(" ", "-"))
def test_attested_responses_of_the_vectors(row):
    data = bytes.fromhex(row["response"])
    response = pb.Response.FromString(data)
    keys = keyring(delegation(not_before=0, not_after=1 << 62), now_ms=row["now"])

    def check():
        if not response.HasField("attestation"):
            raise resolverd.VerifyError("not attested")
        leaf = leaf_of(bytes.fromhex(row["nonce"]), bytes.fromhex(row["request"]), split_answers(data))
        check_attestation(response.attestation, leaf, keys, row["now"])

    if row["good"]:
        check()
    else:
        with pytest.raises(resolverd.VerifyError):
            check()


# ---- names ----

@pytest.mark.parametrize("text, want", [
    ("Example.ORG.", "example.org"), (".", "."), ("a_b-c.*.org", "a_b-c.*.org"), ("a\\.b.org", "a\\.b.org"),
    ("a\\046b.org", "a\\.b.org"), ("\\065.org", "a.org"), ("a\\\\b.org", "a\\\\b.org"), ("a@b.org", "a\\064b.org"),
    ("\\000.org", "\\000.org"), ("Bücher.nl", "xn--bcher-kva.nl"),
    ("straße.de", "xn--strae-oqa.de"), ("a" * 63 + ".org", "a" * 63 + ".org"), (".".join(["a" * 63] * 3 + ["b" * 61]),) * 2,
])
def test_canonical_names(text, want):
    assert canonical_name(text) == want


@pytest.mark.parametrize("text", [
    "", "..", ".org", "a..b", "a b.org", "a\n", "a\\", "a\\1", "a\\256.org", "a\\99", "a\x00b", "a" * 64 + ".org",
    ".".join(["a" * 63] * 3 + ["b" * 62]), "\\ü.org", "ü..org", "ü b.org",
])
def test_names_that_cannot_be_asked(text):
    with pytest.raises(resolverd.ArgumentError):
        canonical_name(text)


@pytest.mark.parametrize("text, want, is_domain, is_address", [
    ("Example.org.", "example.org", True, False), ("[MX.example.org]", "[mx.example.org]", False, False),
    ("[192.0.2.1]", "[192.0.2.1]", False, True), ("[IPv6:2001:DB8::1]", "[2001:db8::1]", False, True),
    ("[2001:db8:0:0:1:0:0:1]", "[2001:db8::1:0:0:1]", False, True), ("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]", False, True),
])
def test_next_hops(text, want, is_domain, is_address):
    hop = next_hop(text)
    assert (hop.text, hop.is_domain, hop.is_address) == (want, is_domain, is_address)


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::1", "a.org:25", "[", "[]", "[a.org", "[[a.org]]", "[192.0.2.256]", "[a.1]",
                                  "[IPv6:192.0.2.1]", "[1::2::3]", "[fe80::1%lo]"])
def test_next_hops_that_cannot_be_asked(text):
    with pytest.raises(resolverd.ArgumentError):
        next_hop(text)


# ---- matching ----

STRICTER = {  # than the C library, as README.md says; a match of the C library may be missed, never the other way round
    "h12_name_constraints_kept": ("no-match", "certificate-not-trusted"),
    "h12_ta_of_version_1": ("no-match", "certificate-not-trusted"),
    "h17_full_that_has_the_outline_only": ("no-match", "certificate-not-trusted"),
}


def match(chain, tlsa, names, now=MATCH["now"]):
    records = [resolverd.Tlsa(usage, selector, matching, bytes.fromhex(data)) for usage, selector, matching, data in tlsa]
    return resolverd.match_chain([CERTIFICATES[name] for name in chain], records, names, now)


@pytest.mark.parametrize("row", MATCH["rows"], ids=lambda row: row["name"])
def test_match_vectors(row):
    got = match(row["chain"], row["tlsa"], row["names"])
    assert (got.verdict, got.failure_type) == STRICTER.get(row["name"], (row["want"], row["failure_type"])), got.reason
    if got.verdict is resolverd.Match.MATCH:
        assert (got.record, got.depth) == (row["record"], row["depth"])
        by_name = row["tlsa"][row["record"]][0] == 2
        assert got.matched_name == (row["names"][-1] if by_name else None)


def row_of(name):
    return next(row for row in MATCH["rows"] if row["name"] == name)


def test_every_changed_octet_of_a_leaf_is_found():
    leaf, issuer = CERTIFICATES["leaf"], CERTIFICATES["int"]
    records = [resolverd.Tlsa(*row_of(name)["tlsa"][0][:3], bytes.fromhex(row_of(name)["tlsa"][0][3]))
               for name in ("h04_h19_cert_sha256", "h07_ta_is_an_intermediate")]
    assert resolverd.match_chain([leaf, issuer], records, ["mx.example.com"], MATCH["now"]).depth == 0
    for bit in range(8 * len(leaf)):
        lie = bytearray(leaf)
        lie[bit // 8] ^= 1 << bit % 8
        assert resolverd.match_chain([bytes(lie), issuer], records, ["mx.example.com"], MATCH["now"]).verdict == "no-match", bit


def test_a_peer_cannot_keep_the_matcher_busy():
    """Thirty certificates that all signed each other, and anchors that none of them is: the search ends."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "all the same")])
    begin, end = datetime.datetime(2017, 1, 1), datetime.datetime(2018, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.not_valid_before(begin).not_valid_after(end)
    chain = [builder.serial_number(serial).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER) for serial in range(1, 31)]
    absent, full, bare_key = (row_of(row)["tlsa"][0] for row in ("h08_ta_absent", "h09_ta_in_the_dns_only", "h10_bare_key_signed_the_top"))
    records = [resolverd.Tlsa(*record[:3], bytes.fromhex(record[3])) for record in [absent, full, bare_key] * 10]
    started = time.monotonic()
    got = resolverd.match_chain(chain, records, ["mx.example.com"], NOW)
    assert (got.verdict, got.failure_type) == ("no-match", "validation-failure") and time.monotonic() - started < 2


def plan_and_host(**changes):
    route, *hosts = answers_of(good_row())
    plan = view_plan(next_hop(good_row()["next_hop"]), 25, route, hosts)
    return dataclasses.replace(plan, **changes), plan.hosts[0]


LEAF_TLSA = tuple(resolverd.Tlsa(u, s, m, bytes.fromhex(data)) for u, s, m, data in row_of("h04_h19_key_sha256")["tlsa"])


@pytest.mark.parametrize("leaf, changes, want", [  # may_deliver, authenticated, for_domain, would_refuse
    ("leaf", {}, (True, True, True, False)),
    ("leaf", {"mx_status": None}, (True, True, True, False)),
    ("leaf", {"mx_status": resolverd.Status.INSECURE}, (True, True, False, False)),
    ("other", {}, (False, False, False, False)),
    ("other", {"requirement": resolverd.Requirement.MANDATORY}, (False, False, False, False)),
    ("other", {"requirement": resolverd.Requirement.AUDIT}, (True, False, False, True)),
    ("leaf", {"expires_at_ms": NOW * 1000}, (False, False, False, False)),
    (None, {}, (False, False, False, False)),
])
def test_d01_d02_m02_verdicts(leaf, changes, want):
    plan, host = plan_and_host(**changes)
    host = dataclasses.replace(host, tlsa=LEAF_TLSA)
    got = verdict_of_chain([CERTIFICATES[leaf]] if leaf else [], plan, host, NOW)
    assert (got.may_deliver, got.authenticated, got.for_domain, got.would_refuse) == want


@pytest.mark.parametrize("requirement, may_deliver", [("NORMAL", True), ("AUDIT", True), ("MANDATORY", False), ("OFF", False)])
def test_d05_nothing_usable_is_tls_without_authentication_unless_mandatory(requirement, may_deliver):
    plan, host = plan_and_host(requirement=resolverd.Requirement[requirement])
    host = dataclasses.replace(host, tlsa=(resolverd.Tlsa(3, 1, 9, b""),))
    got = verdict_of_chain([CERTIFICATES["leaf"]], plan, host, NOW)
    assert (got.may_deliver, got.authenticated) == (may_deliver, False)


# ---- a daemon that lies, is busy, or goes away ----

class Daemon(threading.Thread):
    """Answers each request as `answer(request, connection number)` says: a pb.Response, bytes, or None to close."""

    def __init__(self, directory, answer):
        super().__init__(daemon=True)
        self.path = str(directory / "fake.sock")
        self.public_key = directory / "fake.pub"
        self.public_key.write_text("# a comment\n\n" + base64.b64encode(bytes(LONG_TERM.verify_key)).decode() + "\n")
        self.answer, self.asked, self.connections = answer, [], 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection, self.connections), daemon=True).start()

    def serve(self, connection, number):
        file = connection.makefile("rwb")
        while header := file.read(4):
            request = pb.Request.FromString(file.read(int.from_bytes(header, "big")))
            self.asked.append(request)
            answer = self.answer(request, number)
            if answer is None:
                break
            data = answer if isinstance(answer, bytes) else frame_of(answer)
            file.write(data)
            file.flush()
        file.close()
        connection.close()

    def client(self, **options):
        return resolverd.Client(self.path, self.public_key, clock=lambda: NOW_MS / 1000, **({"timeout": 2} | options))


def frame_of(response):
    data = response.SerializeToString()
    return len(data).to_bytes(4, "big") + data


def honest(request, _number, **changes):
    """No mail for any domain."""
    response = pb.Response(id=request.id)
    if request.HasField("status"):
        response.status.delegations.append(delegation())
    else:
        question = pb.Question(kind=pb.ROUTE, name=request.plan.next_hop)
        route = pb.Route(kind=pb.NULL_MX, mx_status=pb.SECURE)
        response.answers.append(pb.SignedAnswer.FromString(signed_answer(**({"question": question, "route": route} | changes))))
    return response


@pytest.fixture
def fake(tmp_path):
    made = []

    def make(answer=honest):
        made.append(Daemon(tmp_path, answer))
        return made[-1]

    yield make
    for daemon in made:
        daemon.listener.shutdown(socket.SHUT_RDWR)
        daemon.listener.close()


def test_a_session(fake):
    with fake().client() as client:
        for domain in ("example.org", "Example.NET."):
            assert client.plan(domain).outcome is resolverd.Outcome.NO_MAIL


def test_a_lost_connection_is_asked_once_more(fake):
    daemon = fake(lambda request, number: None if number == 1 else honest(request, number))
    assert daemon.client().plan("example.org").outcome is resolverd.Outcome.NO_MAIL


def test_over_a_new_connection_the_keys_are_learned_anew(fake):
    """A daemon that was restarted vouches for its old key no more: what that signed counts no more."""
    restarted = []

    def answer(request, number):
        if not restarted and request.HasField("plan") and request.plan.next_hop == "last.example":
            restarted.append(number)
            return None
        response = honest(request, number)
        if restarted and request.HasField("status"):
            response.status.delegations[0].CopyFrom(delegation(online=OTHER))
        return response

    with fake(answer).client() as client:
        assert client.plan("example.org").outcome is resolverd.Outcome.NO_MAIL
        with pytest.raises(resolverd.VerifyError):
            client.plan("last.example")


def test_a_name_that_only_looks_like_another_is_none():
    assert _is_name("mail.example.org", "MAIL.example.org")
    assert not _is_name("mail.boo\u212aing.org", "mail.booking.org"), "the Kelvin sign"


class Flooding(Daemon):
    """Never says what was asked, and never pauses."""

    def serve(self, connection, number):
        noise = frame_of(pb.Response(id=0, error=pb.Error(code=pb.BUSY, text="x" * 50))) * 2000
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(noise)


def test_a_timeout_holds_against_a_daemon_that_floods(tmp_path):
    daemon = Flooding(tmp_path, None)
    try:
        done = subprocess.run([BUILD / "resolverctl", "--socket", daemon.path, "--public-key", daemon.public_key,
                               "--timeout", "1", "plan", "example.org"], capture_output=True, text=True, timeout=30)
        assert done.returncode != 0
    finally:
        daemon.listener.shutdown(socket.SHUT_RDWR)
        daemon.listener.close()


def test_an_answer_to_what_was_never_asked_is_a_breach(fake):
    def answer(request, number):
        response = honest(request, number)
        response.id += 1000
        return response

    daemon = fake(answer)
    done = subprocess.run([BUILD / "resolverctl", "--socket", daemon.path, "--public-key", daemon.public_key,
                           "--timeout", "20", "plan", "example.org"], capture_output=True, text=True, timeout=15)
    assert done.returncode != 0 and "malformed" in done.stderr


def test_a_connection_lost_twice_is_an_error(fake):
    daemon = fake(lambda request, number: None)
    with pytest.raises(resolverd.NoDaemonError):
        daemon.client().plan("example.org")
    assert daemon.connections == 2


def test_an_answer_that_expired_on_its_way_is_asked_for_once_more(fake):
    daemon = fake(lambda request, number: honest(request, number, expires_at=NOW_MS if len(daemon.asked) < 3 else NOW_MS + 1))
    assert daemon.client().plan("example.org").outcome is resolverd.Outcome.NO_MAIL
    daemon.answer = lambda request, number: honest(request, number, expires_at=NOW_MS)
    with pytest.raises(resolverd.VerifyError):
        daemon.client().plan("example.org")


def test_an_unknown_key_makes_the_client_ask_for_the_status_once_more(fake):
    rotated = []

    def answer(request, number):
        response = honest(request, number, **({"key": OTHER} if rotated else {}))
        if rotated and request.HasField("status"):
            response.status.delegations.insert(0, delegation(online=OTHER))
        return response

    daemon = fake(answer)
    client = daemon.client()
    client.plan("example.org")
    rotated.append(True)
    client.plan("example.org")
    assert [request.WhichOneof("body") for request in daemon.asked] == ["plan", "status", "plan", "status"]


def test_a_key_nobody_vouches_for_is_an_error(fake):
    with pytest.raises(resolverd.VerifyError, match="unknown key: no key of the public key file signed it"):
        fake(lambda request, number: pb.Response(id=request.id, status=pb.StatusResponse(delegations=[delegation(signer=OTHER)]))
             if request.HasField("status") else honest(request, number)).client().plan("example.org")


@pytest.mark.parametrize("answer, error", [
    (lambda request: pb.Response(id=request.id, error=pb.Error(code=pb.BUSY, retry_after_ms=7)), resolverd.BusyError),
    (lambda request: pb.Response(id=request.id, error=pb.Error(code=pb.BAD_REQUEST)), resolverd.RefusedError),
    (lambda request: pb.Response(id=request.id, error=pb.Error(code=LATER)), resolverd.RefusedError),
    (lambda request: pb.Response(error=pb.Error(code=pb.MALFORMED)), resolverd.ProtocolError),
    (lambda request: pb.Response(id=request.id, error=pb.Error(code=pb.SHUTTING_DOWN)), resolverd.NoDaemonError),
    (lambda request: pb.Response(id=request.id), resolverd.VerifyError),
    (lambda request: b"\0\0\0\0", resolverd.ProtocolError),
    (lambda request: b"\xff\xff\xff\xff", resolverd.ProtocolError),
    (lambda request: b"\0\0\0\4\xff\xff\xff\xff", resolverd.ProtocolError),
    (lambda request: frame_of(pb.Response(id=request.id + 1)), resolverd.TimeoutError),
    (lambda request: b"\0\0\1\0", resolverd.TimeoutError),
])
def test_what_the_daemon_says_wrong_is_an_error(fake, answer, error):
    daemon = fake(lambda request, number: honest(request, number) if request.HasField("status") else answer(request))
    with pytest.raises(error) as caught:
        daemon.client(timeout=0.5).plan("example.org")
    assert getattr(caught.value, "retry_after_ms", 7) == 7


def test_attestation_is_demanded(fake):
    with pytest.raises(resolverd.VerifyError, match="no attestation"):
        fake().client(attest=True).plan("example.org")


def test_an_answer_about_a_host_that_the_route_does_not_name(fake):
    def answer(request, number):
        response = honest(request, number, **({} if request.HasField("status") else {
            "route": pb.Route(kind=pb.MX, mx_status=pb.SECURE, mx=[pb.MxHost(name="mx.example.org")])}))
        if request.HasField("plan"):
            response.answers.append(pb.SignedAnswer.FromString(signed_answer(
                question=pb.Question(kind=pb.HOST, name="mx.example.net", port=25), route=None, host=pb.Host())))
        return response

    with pytest.raises(resolverd.VerifyError):
        fake(answer).client().plan("example.org")


def test_no_daemon(tmp_path):
    with pytest.raises(resolverd.NoDaemonError):
        resolverd.Client(tmp_path / "none.sock", tmp_path / "none.pub").plan("example.org")


@pytest.mark.parametrize("text", ["", "# nothing\n", "AAAA\n", "no base64!\n", "\xe9\n", "A" * 43 + "=\nx\n"])
def test_key_files_that_are_none(tmp_path, text):
    (tmp_path / "pub").write_text(text, encoding="latin-1")
    with pytest.raises(resolverd.PublicKeyError):
        load_trusted_keys(tmp_path / "pub")


# ---- the daemon ----

@pytest.fixture(params=[False, True], ids=["plain", "attested"])
def client(daemon, request):
    with resolverd.Client(daemon.socket, daemon.public_key, attest=request.param, timeout=20) as client:
        yield client


HOST_KEYS = ("name", "preference", "policy", "reason", "address_status", "tlsa_status", "tlsa_base", "tlsa_owner", "sni")


def said_alike(daemon, scenario):
    """Whether the two could be compared: not where the answer was looked up anew in between."""
    _, want = daemon.ctl("plan", scenario["domain"], "--port", scenario["port"])
    with resolverd.Client(daemon.socket, daemon.public_key, attest=True, timeout=15) as client:
        plan = client.plan(scenario["domain"], scenario["port"])
    assert plan.attested
    if plan.validated_at_ms != want.get("validated_at"):
        return False
    assert (plan.outcome, plan.requirement, plan.next_hop) == (want["outcome"], want["requirement"], want["next_hop"])
    assert want["mx"] is None or (plan.mx_status, plan.mx_implicit, plan.expanded) == tuple(want["mx"].values())
    for got, host in zip(plan.hosts, want["hosts"], strict=True):
        assert {key: getattr(got, key) for key in HOST_KEYS} == {key: host[key] for key in HOST_KEYS}
        assert list(got.reference_names) == host["reference_names"]
        assert [(address.ip, address.status) for address in got.addresses] == [tuple(one.values()) for one in host["addresses"]]
        assert [(one.usage, one.selector, one.matching_type, one.data.hex()) for one in got.tlsa] == [
            tuple(one.values()) for one in host["tlsa"]]
    return True


def test_it_says_what_resolverctl_says(daemon):
    """Every scenario of the world."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        compared = sum(pool.map(lambda scenario: said_alike(daemon, scenario), SCENARIOS))
    assert compared > 0.7 * len(SCENARIOS)


def test_host_records_and_status(daemon, client):
    host = client.host(f"MX.{DANE}.")
    assert (host.name, host.policy, host.reference_names) == (mx(DANE), "dane", (mx(DANE),))
    records = client.records(DANE, 15)
    assert (records.status, records.rcode, records.answer[0].owner) == ("secure", 0, DANE) and records.answer[0].rrsig
    assert client.records(f"nothing.{DANE}", 1).rcode == 3
    status = client.status()
    assert status.ready and status.usable_keys >= 1 and status.member == "member-under-test"


def test_a_foreign_key_verifies_nothing(daemon, tmp_path):
    other = tmp_path / "other.pub"
    other.write_text(base64.b64encode(bytes(OTHER.verify_key)).decode())
    with pytest.raises(resolverd.VerifyError):
        resolverd.Client(daemon.socket, other).plan(DANE)


def test_threads_share_a_client(client):
    plans = []
    threads = [threading.Thread(target=lambda: plans.append(client.plan(DANE).outcome)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert plans == [resolverd.Outcome.DELIVER] * 20


# ---- mail ----

MESSAGE = "Subject: hello\n\nGood day.\n"
QUICK = {"local_hostname": "sender.example.net", "timeout": 2.0}


def send(daemon, domain):
    with resolverd.Client(daemon.socket, daemon.public_key) as client:
        plan = client.plan(domain)
    with resolverd.smtp.connect(plan, **QUICK) as session:
        session.sendmail("sender@example.org", [f"user@{domain}"], MESSAGE)
    return session


@pytest.mark.parametrize("domain, behaviour, authenticated", [
    pytest.param(DANE, "good", True, id="D01-dane-ee"),
    pytest.param(TA, "good", True, id="H06-dane-ta"),
    pytest.param(DANE, "tls-1.2", True, id="L06-tls-1.2"),
    pytest.param(NO_AUTH, "other-certificate", False, id="D05-tls-no-auth-any-certificate"),
    pytest.param(PLAIN, "expired", False, id="D08-opportunistic-any-certificate"),
])
def test_delivered_over_tls(daemon, domain, behaviour, authenticated):
    with Server(mx(domain), behaviour) as server:
        session = send(daemon, domain)
    assert (session.verdict.authenticated, session.verdict.for_domain) == (authenticated, authenticated)
    assert server.gave(tls=False) == [] and len(server.messages(tls=True)) == 1
    assert server.events("handshake")[0]["sni"] == mx(domain)


@pytest.mark.parametrize("behaviour", ["no-starttls", "starttls-454", "handshake-alert", "handshake-drop", "handshake-garbage"])
def test_D07_D09_opportunistic_goes_in_clear_where_tls_fails(daemon, behaviour):
    with Server(mx(PLAIN), behaviour) as server:
        send(daemon, PLAIN)
    assert len(server.messages(tls=False)) == 1


@pytest.mark.parametrize("domain, behaviour", [
    pytest.param(DANE, "other-certificate", id="D02-dane-ee-mismatch"),
    pytest.param(MISMATCH, "good", id="D02-no-record-matches"),
    pytest.param(TA, "expired", id="H13-dane-ta-expired"),
    pytest.param(DANE, "no-starttls", id="D03-no-starttls"),
    pytest.param(DANE, "starttls-454", id="D03-starttls-refused"),
    pytest.param(DANE, "starttls-injected", id="D04-starttls-injected"),
    pytest.param(DANE, "handshake-alert", id="D04-handshake-failed"),
    pytest.param(DANE, "ehlo-refused", id="D03-no-ehlo"),
    pytest.param(NO_AUTH, "no-starttls", id="D06-tls-no-auth-stripped"),
    pytest.param(NO_AUTH, "handshake-drop", id="D06-tls-no-auth-handshake-failed"),
])
def test_nothing_is_given_away(daemon, domain, behaviour):
    with Server(mx(domain), behaviour) as server:
        with pytest.raises(resolverd.smtp.UndeliverableError) as caught:
            send(daemon, domain)
    assert server.gave() == [] and not caught.value.is_permanent


def test_D03_nothing_through_a_box_that_strips_starttls(daemon):
    with Server(mx(DANE), port=2525) as server, MiddleBox(server):
        with pytest.raises(resolverd.smtp.UndeliverableError):
            send(daemon, DANE)
    assert server.gave() == []


@pytest.mark.parametrize("domain, is_permanent", [("null-mx.org", True), ("expired-mx.org", False)])
def test_a_plan_that_does_not_deliver(daemon, domain, is_permanent):
    with pytest.raises(resolverd.smtp.UndeliverableError) as caught:
        send(daemon, domain)
    assert caught.value.is_permanent == is_permanent


def test_a_plan_that_expired_gives_nothing_away(daemon):
    with resolverd.Client(daemon.socket, daemon.public_key) as client:
        plan = dataclasses.replace(client.plan(PLAIN), expires_at_ms=1)
    for behaviour in ("good", "no-starttls"):
        with Server(mx(PLAIN), behaviour) as server, pytest.raises(resolverd.smtp.UndeliverableError):
            resolverd.smtp.connect(plan, **QUICK)
        assert server.gave() == []


def test_the_example(daemon):
    command = ["/usr/bin/python3", str(ROOT / "client/python/examples/send.py"), "--socket", daemon.socket, "--public-key",
               daemon.public_key, "sender@example.org", f"user@{DANE}", f"user@{MISMATCH}"]
    with Server(mx(DANE)) as server, Server(mx(MISMATCH)) as other:
        done = subprocess.run(command, input=MESSAGE, capture_output=True, text=True, timeout=60,
                              env={"PYTHONPATH": str(BUILD / "python"), "PATH": "/usr/bin"})
    assert done.returncode == 75, done.stderr
    assert len(server.messages(tls=True)) == 1 and server.gave(tls=False) == [] and other.gave() == []

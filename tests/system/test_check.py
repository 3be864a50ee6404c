# SPDX-License-Identifier: BSD-3-Clause
"""resolverctl check against live SMTP servers: what a sender would get, and, by the servers' logs, that no mail is begun."""

import contextlib
import json
import os
import pty
import subprocess
import time

import pytest
from conftest import BUILD, WORLD
from scenarios import DANE, MISMATCH, NO_AUTH, PLAIN, TA, mx
from smtp import Behaviour, MiddleBox, Server, addresses_of

TWO = ("mx1.two-hosts.org", "mx2.two-hosts.org")


@contextlib.contextmanager
def server(host, behaviour="good", **more):
    """A server that is never given anything of a mail."""
    with Server(host, behaviour, **more) as it:
        yield it
    assert it.gave() == []


def check(daemon, domain, *options, timeout=10):
    return daemon.ctl("check", domain, *options, timeout=timeout)


def warnings(host):
    return {warning["warning"] for warning in host["delivery"]["warnings"]}


# ---- one host ----

@pytest.mark.parametrize("domain, behaviour, code, delivery, failure", [
    pytest.param(DANE, "good", 0, "authenticated", None, id="D01-dane-ee"),
    pytest.param(TA, "good", 0, "authenticated", None, id="H06-dane-ta"),
    pytest.param(DANE, "tls-1.2", 0, "authenticated", None, id="L06-tls-1.2"),
    pytest.param(NO_AUTH, "other-certificate", 0, "encrypted", None, id="D05-tls-no-auth"),
    pytest.param(PLAIN, "expired", 0, "encrypted", None, id="D08-opportunistic"),
    pytest.param(PLAIN, "no-starttls", 0, "cleartext", None, id="D07-no-starttls"),
    pytest.param(PLAIN, "starttls-454", 0, "cleartext", None, id="D07-starttls-454"),
    pytest.param(PLAIN, "handshake-alert", 0, "cleartext", None, id="D09-handshake-alert"),
    pytest.param(PLAIN, "starttls-injected", 75, "unavailable", "injected-text", id="opportunistic-injected"),
    pytest.param(MISMATCH, "good", 75, "refused", "not-authenticated", id="D02-mismatch"),
    pytest.param(TA, "expired", 75, "refused", "not-authenticated", id="H13-expired"),
    pytest.param(DANE, "no-starttls", 75, "refused", "no-starttls", id="D03-no-starttls"),
    pytest.param(NO_AUTH, "no-starttls", 75, "refused", "no-starttls", id="D06-no-starttls"),
    pytest.param(DANE, "starttls-454", 75, "refused", "starttls-refused", id="D04-starttls-454"),
    pytest.param(DANE, "starttls-502", 75, "refused", "starttls-refused", id="D04-starttls-502"),
    pytest.param(DANE, "starttls-injected", 75, "refused", "injected-text", id="injected"),
    pytest.param(DANE, "handshake-alert", 75, "refused", "handshake-failed", id="D04-handshake-alert"),
    pytest.param(DANE, "greeting-554", 75, "unavailable", "refused", id="greeting-554"),
    pytest.param(DANE, "long-line", 75, "unavailable", "protocol-error", id="10-MB-banner"),
    pytest.param(DANE, "endless-ehlo", 75, "unavailable", "protocol-error", id="endless-reply"),
])
def test_verdict(daemon, domain, behaviour, code, delivery, failure):
    with server(mx(domain), behaviour) as it:
        got, plan = check(daemon, domain)
    assert (got, plan["delivery"]) == (code, delivery), plan
    assert plan["delivery_host"] == (mx(domain) if code == 0 else None)
    [host] = plan["hosts"]
    told = host["delivery"]
    assert told["verdict"] == delivery and told["address"] in addresses_of(mx(domain)) and told["reason"]
    assert [address["ip"] for address in told["addresses"]] == [address["ip"] for address in host["addresses"]]
    assert {(address["verdict"], address["failure"]) for address in told["addresses"]} == {(delivery, failure)}
    if failure is None:
        assert set(it.verbs()) <= {"EHLO", "STARTTLS", "QUIT"} and "QUIT" in it.verbs()


def test_chain_and_record(daemon):
    with server(mx(TA)):
        [host] = check(daemon, TA)[1]["hosts"]
    told = host["delivery"]
    leaf, authority = told["chain"]
    assert (leaf["subject"], leaf["issuer"]) == (f"CN={mx(TA)}", "CN=world mail CA") and authority["subject"] == leaf["issuer"]
    assert leaf["not_before"] < time.time() * 1000 < leaf["not_after"]
    match = told["match"]
    assert (match["verdict"], match["depth"], match["record"], match["name"]) == ("match", 1, host["tlsa"][0], mx(TA))
    assert told["tls_version"] == "TLSv1.3" and told["tls_cipher"].startswith("TLS_")


def test_starttls_stripped_by_a_middle_box(daemon):
    with server(mx(TA), port=2525) as it, MiddleBox(it):
        code, plan = check(daemon, TA)
    assert (code, plan["delivery"]) == (75, "refused")
    assert it.verbs() == ["EHLO", "QUIT"]


def test_E08_behind_an_insecure_mx_the_host_alone(daemon):
    with server("mx1.provider.net"):
        code, plan = check(daemon, "insecure-mx.org")
    assert (code, plan["delivery"]) == (0, "host-authenticated")


def test_nobody_listens(daemon):
    code, plan = check(daemon, DANE)
    assert (code, plan["delivery"]) == (75, "unavailable")
    assert {address["failure"] for address in plan["hosts"][0]["delivery"]["addresses"]} == {"no-connection"}


def test_one_address_of_two(daemon):
    ipv4, ipv6 = sorted(addresses_of(mx(DANE)), key=lambda address: ":" in address)
    with server(mx(DANE), addresses=[ipv6]):
        code, plan = check(daemon, DANE)
    told = plan["hosts"][0]["delivery"]
    assert (code, told["verdict"], told["address"]) == (0, "authenticated", ipv6)
    assert "addresses-differ" in warnings(plan["hosts"][0])
    assert {a["ip"]: a["verdict"] for a in told["addresses"]} == {ipv4: "unavailable", ipv6: "authenticated"}


@pytest.mark.parametrize("behaviour", ["drip", "silent", "handshake-silent", "handshake-flood"])
def test_time_is_bounded(daemon, behaviour):
    begun = time.monotonic()
    with server(mx(DANE), behaviour):
        code, plan = check(daemon, DANE, timeout=2)
        took = time.monotonic() - begun
    assert code == 75 and plan["delivery"] in ("unavailable", "refused") and took < 3, took


# ---- several hosts ----

@pytest.mark.parametrize("attack", ["other-certificate", "no-starttls"])
def test_D02_first_of_two_hosts_attacked(daemon, attack):
    with server(TWO[0], attack), server(TWO[1]):
        code, plan = check(daemon, "two-hosts.org")
    assert (code, plan["delivery"], plan["delivery_host"]) == (0, "authenticated", TWO[1])
    assert [host["delivery"]["verdict"] for host in plan["hosts"]] == ["refused", "authenticated"]


def test_hosts_are_tried_at_once(daemon):
    slow = Behaviour(greeting=lambda connection: (time.sleep(1), connection.say("220 slow")))
    begun = time.monotonic()
    with server(TWO[0], slow), server(TWO[1], slow):
        assert check(daemon, "two-hosts.org")[0] == 0
    assert time.monotonic() - begun < 1.9


@pytest.mark.parametrize("domain, host", [("tlsa-servfail.com", "mx.tlsa-servfail.com"), ("one-tlsa-fails.com", "mx1.one-tlsa-fails.com")])
def test_M04_an_unreachable_host_gets_no_connection(daemon, domain, host):
    with server(host) as it:
        plan = check(daemon, domain, timeout=15)[1]
    assert it.connections == 0
    [told] = [each["delivery"] for each in plan["hosts"] if each["name"] == host]
    assert (told["verdict"], told["address"], told["addresses"]) == ("refused", None, [])


def test_host_option(daemon):
    with server(TWO[0], "no-starttls") as first, server(TWO[1]) as second:
        code, plan = check(daemon, "two-hosts.org", "--host", TWO[0])
    assert (code, plan["delivery"], second.connections) == (75, "refused", 0) and first.connections == 1
    assert plan["hosts"][1]["delivery"] is None
    assert check(daemon, "two-hosts.org", "--host", "mx.example.org")[0] == 64


def test_insecure_ok_as_TLS_Required_No(daemon):
    with server(mx(MISMATCH)):
        code, plan = check(daemon, MISMATCH, "--insecure-ok")
    assert (code, plan["delivery"]) == (0, "encrypted")
    assert plan["hosts"][0]["delivery"]["match"]["verdict"] == "no-match"


@pytest.mark.parametrize("domain, code, delivery", [
    ("null-mx.org", 69, None), ("no-such-domain.org", 68, None), ("wrong-ds.com", 75, "refused")])
def test_nothing_to_try(daemon, domain, code, delivery):
    got, plan = check(daemon, domain)
    assert (got, plan["delivery"], plan["hosts"]) == (code, delivery, [])


def test_M05_a_plan_that_expires_on_the_way_is_asked_for_again(daemon):
    """With TTL 0 a plan lives five seconds; the first greeting takes longer."""
    def late_once(connection):
        time.sleep(5.5 if connection.number == 1 else 0)
        connection.say("220 here I am")

    host = "mx1.ttl-zero-two-hosts.nl"
    with server(host, Behaviour(greeting=late_once)) as it:
        code, plan = check(daemon, "ttl-zero-two-hosts.nl", timeout=20)
    assert (code, plan["delivery"], plan["delivery_host"], it.connections) == (0, "authenticated", host, 2)


# ---- warnings ----

@pytest.mark.parametrize("domain, behaviour, expected", [
    (PLAIN, "expires-soon", {"certificate-expires"}),
    (PLAIN, "expired", {"certificate-expired"}),
    (PLAIN, "good", set()),
    (DANE, "good", {"tlsa-no-spare"}),
    ("dane-both.net", "good", set()),
    ("agility.com", "good", {"tlsa-no-spare", "tlsa-sha512-only"}),
    ("signature-short.org", "good", {"tlsa-no-spare", "signature-expires"}),
])
def test_warnings(daemon, domain, behaviour, expected):
    with server(mx(domain), behaviour):
        [host] = check(daemon, domain)[1]["hosts"]
    assert warnings(host) == expected, host["delivery"]


def test_warning_of_an_anchor_that_is_not_sent(daemon, tmp_path):
    pem = (WORLD / "tls" / f"{mx(TA)}.pem").read_text()
    with Server(mx(TA)) as it:
        alone = tmp_path / "tls"
        alone.mkdir()
        (alone / f"{mx(TA)}.pem").write_text(pem[:pem.rindex("-----BEGIN CERTIFICATE")])
        it.directory = tmp_path
        code, plan = check(daemon, TA)
    assert (code, plan["delivery"]) == (75, "refused") and "ta-not-in-chain" in warnings(plan["hosts"][0])


@pytest.mark.parametrize("shift", range(4))
def test_long_names_of_a_certificate(daemon, tmp_path, shift):
    """A name is cut to what there is room for, but not in the middle of a character."""
    with server(mx(PLAIN), Behaviour(subject="x" * shift + "\x1b" + "漢" * 90)):
        code, plan = check(daemon, PLAIN)
    assert (code, plan["delivery"]) == (0, "encrypted"), plan
    [certificate] = plan["hosts"][0]["delivery"]["chain"][:1]
    assert "漢" * 70 in certificate["subject"] and "\x1b" not in certificate["subject"]


# ---- for people ----

def test_text(daemon):
    with server(TWO[0], "no-starttls"), server(TWO[1]):
        done = subprocess.run([str(BUILD / "resolverctl"), "--socket", daemon.socket, "--public-key", daemon.public_key, "check",
                               "two-hosts.org"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stderr == ""
    for part in ("delivery refused: a sender gives it nothing", "delivery authenticated", "(matches)",
                 f"Delivery: authenticated at {TWO[1]}"):
        assert part in done.stdout, done.stdout


def test_progress_on_a_terminal(daemon):
    terminal, its_end = pty.openpty()
    with server(mx(DANE), "silent"):
        subprocess.run([str(BUILD / "resolverctl"), "--socket", daemon.socket, "--public-key", daemon.public_key, "--timeout", "2", "check",
                        DANE], stdout=subprocess.DEVNULL, stderr=its_end, timeout=30)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    os.close(its_end)
    assert f"waiting for {mx(DANE)}[127." in shown and ": greeting, 1 s" in shown and shown.endswith("\r\033[K")


# ---- evidence ----

def verified(daemon, path):
    code, report = daemon.ctl("verify", "--trust-anchor", WORLD / "root.key", path)
    assert code == 0 and report["verified"], report
    assert {each["result"] for each in report["checks"]} == {"passed"}, report
    return {(each["about"], each["check"]): each["text"] for each in report["checks"]}, report


@pytest.mark.parametrize("domain, behaviour, code, verdict", [
    (DANE, "good", 0, "authenticated under policy dane, TLSv1.3"),
    (TA, "good", 0, "authenticated under policy dane, TLSv1.3"),
    (MISMATCH, "good", 75, "refused under policy dane, TLSv1.3"),
    (DANE, "no-starttls", 75, "refused under policy dane"),
    (DANE, "handshake-alert", 75, "refused under policy dane"),
    (PLAIN, "good", 0, "encrypted under policy opportunistic, TLSv1.3"),
    (PLAIN, "no-starttls", 0, "cleartext under policy opportunistic"),
    (NO_AUTH, "good", 0, "encrypted under policy tls-no-auth, TLSv1.3"),
])
def test_evidence_verifies(daemon, tmp_path, domain, behaviour, code, verdict):
    path = tmp_path / "evidence"
    with server(mx(domain), behaviour):
        assert check(daemon, domain, "--evidence", path)[0] == code
    texts, report = verified(daemon, path)
    assert texts[mx(domain), "verdict"] == verdict
    assert report["recipient_domain"] is None and report["program"].startswith("resolverctl check ")


def test_evidence_holds_the_hosts_up_to_the_one_that_takes_the_mail(daemon, tmp_path):
    path = tmp_path / "evidence"
    with server(TWO[0], "no-starttls"), server(TWO[1]):
        check(daemon, "two-hosts.org", "--evidence", path)
    texts, _ = verified(daemon, path)
    assert texts[TWO[0], "verdict"].startswith("refused") and texts[TWO[1], "verdict"].startswith("authenticated")


def test_evidence_that_cannot_be_written_is_an_error(daemon, tmp_path):
    with server(mx(DANE)):
        code, told = check(daemon, DANE, "--evidence", tmp_path / "missing" / "evidence")
    assert code == 75 and "missing" in told["error"]


# ---- danesend ----

def send(daemon, recipients, path):
    command = [str(BUILD / "danesend"), "--socket", daemon.socket, "--public-key", daemon.public_key, "--from", "a@example.org", "--json",
               "--evidence", str(path), "--timeout", "2", *(f"--to={recipient}" for recipient in recipients)]
    done = subprocess.run(command, input=b"Subject: hello\n\nGood day.\n", capture_output=True, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


@pytest.mark.parametrize("domain, behaviour, code, verdict", [
    (DANE, "good", 0, "authenticated"), (DANE, "no-starttls", 75, "refused"), (DANE, "other-certificate", 75, "refused"),
    (DANE, "mail-550", 69, "authenticated"), (PLAIN, "handshake-alert", 0, "cleartext"), (PLAIN, "good", 0, "encrypted")])
def test_danesend_keeps_evidence(daemon, tmp_path, domain, behaviour, code, verdict):
    path = tmp_path / "evidence"
    with Server(mx(domain), behaviour):
        got, [result], errors = send(daemon, [f"user@{domain}"], path)
    assert (got, errors, result["evidence"]) == (code, "", str(path))
    report = verified(daemon, path)[1]
    verdicts = [each["text"] for each in report["checks"] if each["check"] == "verdict"]
    assert verdicts[-1].startswith(verdict), verdicts
    assert report["recipient_domain"] == domain and report["program"].startswith("danesend ")


def test_danesend_keeps_a_file_for_each_next_hop(daemon, tmp_path):
    with Server(mx(DANE)), Server(mx(TA)):
        code, results, _ = send(daemon, [f"a@{TA}", f"b@{DANE}", f"c@{TA}"], tmp_path / "evidence")
    assert code == 0
    of_ta, of_ee, also_ta = (result["evidence"] for result in results)
    assert of_ta == also_ta and {of_ta, of_ee} == {str(tmp_path / "evidence"), str(tmp_path / "evidence.2")}
    assert verified(daemon, of_ta)[1]["next_hop"] == TA and verified(daemon, of_ee)[1]["next_hop"] == DANE


def test_danesend_without_evidence_has_sent_the_mail_all_the_same(daemon, tmp_path):
    with Server(mx(DANE)) as it:
        code, [result], errors = send(daemon, [f"user@{DANE}"], tmp_path / "missing" / "evidence")
    assert (code, result["status"], result["evidence"], len(it.messages(tls=True))) == (0, "delivered", None, 1)
    assert f"no evidence for {DANE}" in errors

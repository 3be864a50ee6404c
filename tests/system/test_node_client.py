# SPDX-License-Identifier: BSD-3-Clause
"""The Node.js package of client/node: its own tests, the daemon under test, and mail to the world's hosts by nodemailer."""

import base64
import dataclasses
import json
import os
import pathlib
import re
import subprocess

import pytest
from conftest import BUILD
from scenarios import DANE, MISMATCH, NO_AUTH, PLAIN, SCENARIOS, TA, mx
from smtp import BEHAVIOURS, MiddleBox, Server

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = BUILD / "node"
ENVIRONMENT = os.environ | {"VECTORS": str(ROOT / "tests/vectors"), "NO_COLOR": "1"}


def test_its_own_tests():
    """The vectors, and a daemon that lies."""
    done = subprocess.run(["node", "--test", "--test-reporter=tap", *sorted(map(str, (PACKAGE / "test").glob("*.test.js")))], cwd=PACKAGE,
                          env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    failed = [line for line in done.stdout.splitlines() if line.lstrip().startswith("not ok")]
    assert done.returncode == 0, "\n".join(failed) or done.stdout[-3000:] + done.stderr
    counts = dict(re.findall(r"^# (tests|pass|fail|skipped) (\d+)$", done.stdout, re.M))
    assert int(counts["pass"]) > 150 and counts["fail"] == counts["skipped"] == "0", counts


# ---- the daemon ----

def ask(daemon, *asked, public_key=None):
    """What the client gives for each [what, argument…], or {"error": …}."""
    command = ["node", "test/plans.js", daemon.socket, str(public_key or daemon.public_key)]
    done = subprocess.run(command, input=json.dumps(asked), cwd=PACKAGE, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


HOST_KEYS = {"name": "name", "preference": "preference", "policy": "policy", "reason": "reason", "addressStatus": "address_status",
             "addresses": "addresses", "tlsaStatus": "tlsa_status", "tlsaBase": "tlsa_base", "tlsaOwner": "tlsa_owner", "sni": "sni",
             "referenceNames": "reference_names"}


def test_it_says_what_resolverctl_says(daemon):
    """Every scenario of the world, asked at once and attested; what was looked up anew in between is left out."""
    plans, compared = ask(daemon, *(["plan", row["domain"], row["port"]] for row in SCENARIOS)), 0
    for scenario, plan in zip(SCENARIOS, plans, strict=True):
        if plan.get("outcome") == "delay":  # failures live shortly
            continue
        _, want = daemon.ctl("plan", scenario["domain"], "--port", scenario["port"])
        assert "error" not in plan and plan["attested"], (scenario["domain"], plan)
        if plan["validatedAtMs"] != want["validated_at"]:
            continue
        assert (plan["outcome"], plan["requirement"], plan["nextHop"]) == (want["outcome"], want["requirement"], want["next_hop"])
        assert want["mx"] is None or [plan[key] for key in ("mxStatus", "mxImplicit", "expanded")] == list(want["mx"].values())
        for got, host in zip(plan["hosts"], want["hosts"], strict=True):
            assert {key: got[key] for key in HOST_KEYS} == {key: host[name] for key, name in HOST_KEYS.items()}
            assert [list(one.values()) for one in got["tlsa"]] == [list(one.values()) for one in host["tlsa"]]
        compared += 1
    assert compared > len(SCENARIOS) / 2


def test_host_records_and_status(daemon):
    host, records, nothing, status = ask(daemon, ["host", f"MX.{DANE}."], ["records", DANE, 15], ["records", f"nothing.{DANE}", 1],
                                         ["status"])
    assert (host["name"], host["policy"], host["referenceNames"], host["attested"]) == (mx(DANE), "dane", [mx(DANE)], True)
    assert (records["status"], records["rcode"], records["answer"][0]["owner"]) == ("secure", 0, DANE) and records["answer"][0]["rrsig"]
    assert nothing["rcode"] == 3
    assert status["ready"] and status["usableKeys"] >= 1 and status["member"] == "member-under-test"


def test_a_foreign_key_verifies_nothing(daemon, tmp_path):
    other = tmp_path / "other.pub"
    other.write_text(base64.b64encode(bytes(31) + b"\1").decode())
    [result] = ask(daemon, ["plan", DANE], public_key=other)
    assert result["error"].startswith("VerifyError: ")


# ---- mail, by nodemailer ----

def send(daemon, *domains):
    """(exit status, {recipient: what the example says of it})"""
    command = ["node", "examples/send.js", "--socket", daemon.socket, "--public-key", daemon.public_key, "--name", "sender.example.net",
               "sender@example.org", *(f"user@{domain}" for domain in domains)]
    done = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, dict(line.split(": ", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("domain, behaviour, says", [
    pytest.param(DANE, "good", "the certificate matches 3 1 1", id="D01-dane-ee"),
    pytest.param(TA, "good", "the trust anchor at depth 1 matches 2", id="H06-dane-ta"),
    pytest.param(DANE, "tls-1.2", "the certificate matches 3 1 1", id="L06-tls-1.2"),
    pytest.param(NO_AUTH, "other-certificate", "encrypted, not authenticated", id="D05-tls-no-auth-any-certificate"),
    pytest.param(PLAIN, "expired", "encrypted, not authenticated", id="D08-opportunistic-any-certificate"),
])
def test_delivered_over_tls(daemon, domain, behaviour, says):
    with Server(mx(domain), behaviour) as server:
        code, results = send(daemon, domain)
    assert code == 0 and results[f"user@{domain}"].startswith(f"delivered, {says}"), results
    assert server.gave(tls=False) == [] and server.verbs(tls=False) == ["EHLO", "STARTTLS"]
    [message] = server.messages(tls=True)
    assert "Subject: hello" in message["text"] and message["text"].endswith("Good day.\r\n")
    assert server.events("handshake")[0]["sni"] == mx(domain)


@pytest.mark.parametrize("behaviour", ["no-starttls", "starttls-454", "handshake-alert", "handshake-drop", "handshake-garbage"])
def test_D07_D09_opportunistic_goes_in_clear_where_tls_fails(daemon, behaviour):
    with Server(mx(PLAIN), behaviour) as server:
        code, results = send(daemon, PLAIN)
    assert code == 0 and "in clear" in results[f"user@{PLAIN}"], results
    assert len(server.messages(tls=False)) == 1


@pytest.mark.parametrize("domain, behaviour", [
    pytest.param(DANE, "other-certificate", id="D02-dane-ee-mismatch"),
    pytest.param(MISMATCH, "good", id="D02-no-record-matches"),
    pytest.param(TA, "other-certificate-of-ta", id="I04-dane-ta-wrong-name"),
    pytest.param(TA, "expired", id="H13-dane-ta-expired"),
    pytest.param(DANE, "no-starttls", id="D03-no-starttls"),
    pytest.param(DANE, "starttls-454", id="D03-starttls-refused"),
    pytest.param(DANE, "starttls-injected", id="D04-starttls-injected"),
    pytest.param(DANE, "handshake-alert", id="D04-handshake-failed"),
    pytest.param(DANE, "ehlo-refused", id="D03-no-ehlo"),
    pytest.param(DANE, "not-smtp", id="D03-no-smtp"),
    pytest.param(NO_AUTH, "no-starttls", id="D06-tls-no-auth-stripped"),
    pytest.param(NO_AUTH, "handshake-drop", id="D06-tls-no-auth-handshake-failed"),
])
def test_nothing_is_given_away(daemon, domain, behaviour):
    if behaviour == "other-certificate-of-ta":
        behaviour = dataclasses.replace(BEHAVIOURS["good"], certificate=mx(DANE))
    with Server(mx(domain), behaviour) as server:
        code, results = send(daemon, domain)
    assert code == 75 and results[f"user@{domain}"].startswith("delayed, "), results
    assert server.gave() == [] and server.connections > 0


def test_D03_nothing_through_a_box_that_strips_starttls(daemon):
    with Server(mx(DANE), port=2525) as server, MiddleBox(server):
        code, _ = send(daemon, DANE)
    assert code == 75 and server.gave() == []


def test_each_domain_by_its_own_plan(daemon):
    with Server(mx(DANE)) as good, Server(mx(MISMATCH)) as bad:
        code, results = send(daemon, DANE, MISMATCH, "null-mx.org", "expired-mx.org")
    words = {recipient: said.partition(",")[0] for recipient, said in results.items()}
    assert code == 75 and words == {f"user@{DANE}": "delivered", f"user@{MISMATCH}": "delayed", "user@null-mx.org": "failed",
                                    "user@expired-mx.org": "delayed"}
    assert len(good.messages(tls=True)) == 1 and good.gave(tls=False) == [] and bad.gave() == []
    assert [line for line in good.lines(tls=True) if line.startswith("RCPT")] == [f"RCPT TO:<user@{DANE}>"]


@pytest.mark.parametrize("behaviour, code, word", [("all-refused", 69, "failed"), ("mail-451", 75, "delayed"), ("message-550", 69, "failed"),
                                                   ("drop-after-message", 75, "delayed")])
def test_what_a_host_says_of_the_mail(daemon, behaviour, code, word):
    with Server(mx(DANE), behaviour):
        got, results = send(daemon, DANE)
    assert (got, results[f"user@{DANE}"].partition(",")[0]) == (code, word), results

# SPDX-License-Identifier: BSD-3-Clause
"""danesend against live SMTP servers: what is delivered, what is refused, and, by the servers' logs, what nobody was given."""

import hashlib
import json
import pathlib
import resource
import subprocess
import time

import pytest
from conftest import BUILD, Daemon
from smtp import BEHAVIOURS, Behaviour, MiddleBox, Server, addresses_of

MESSAGE = b"From: sender@example.org\nTo: user\nSubject: hello\n\nGood day.\n.\n..dots\n"
ON_THE_WIRE = MESSAGE.replace(b"\n", b"\r\n")
DANE, TA, PLAIN, NO_AUTH = "dane-ee.org", "dane-ta.com", "plain.net", "unusable-usage.com"
LONG_MESSAGE = b"Subject: long\n\n" + (b"x" * 70 + b"\n") * 100000  # more than the kernel takes before anybody reads
WAIT_S = "1"  # the limit for each wait where a server keeps silent


def command(daemon, to, *options, sender="sender@example.org"):
    recipients = [f"--to={address}" for address in ([to] if isinstance(to, str) else to)]
    return [str(BUILD / "danesend"), "--socket", daemon.socket, "--public-key", daemon.public_key, "--from", sender, *recipients,
            *options]


def send(daemon, to, *options, message=MESSAGE, sender="sender@example.org", **more):
    """(exit status, one object a recipient)"""
    done = subprocess.run(command(daemon, to, "--json", *options, sender=sender), input=message, capture_output=True, timeout=60, **more)
    assert done.returncode >= 0, f"killed by signal {-done.returncode}"
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def mx(domain):
    return f"mx.{domain}"


# ---- what arrives ----

@pytest.mark.parametrize("domain, behaviour, authenticated", [
    pytest.param(DANE, "good", True, id="D01-dane-ee"),
    pytest.param(TA, "good", True, id="H06-dane-ta"),
    pytest.param(DANE, "tls-1.2", True, id="L06-tls-1.2"),
    pytest.param(DANE, "no-pipelining", True, id="no-pipelining"),
    pytest.param(DANE, "bare", True, id="no-extension"),
    pytest.param(NO_AUTH, "good", False, id="D05-tls-no-auth"),
    pytest.param(NO_AUTH, "other-certificate", False, id="D05-tls-no-auth-any-certificate"),
    pytest.param(PLAIN, "good", False, id="D08-opportunistic"),
    pytest.param(PLAIN, "expired", False, id="D08-opportunistic-any-certificate"),
])
def test_delivered_over_tls(daemon, domain, behaviour, authenticated):
    with Server(mx(domain), behaviour) as server:
        code, [result] = send(daemon, f"user@{domain}")
    assert (code, result["status"], result["dsn"]) == (0, "delivered", "2.0.0"), result
    assert result["tls"]["authenticated"] == authenticated and result["tls"]["for_domain"] == authenticated
    assert result["host"] == mx(domain) and result["reply"] == "250 2.0.0 taken as 1"
    assert server.gave(tls=False) == []
    assert server.verbs(tls=False) == ["EHLO", "STARTTLS"]
    assert server.verbs(tls=True) == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    [message] = server.messages(tls=True)
    assert message["text"].encode() == ON_THE_WIRE
    assert server.events("handshake")[0]["sni"] == mx(domain)


def test_text_output(daemon):
    with Server(mx(DANE)):
        done = subprocess.run(command(daemon, f"user@{DANE}"), input=MESSAGE, capture_output=True, timeout=30)
    line = done.stdout.decode()
    assert line.startswith(f"user@{DANE} delivered 2.0.0 {mx(DANE)}[127."), line
    assert line.endswith("250 2.0.0 taken as 1 (TLSv1.3, authenticated)\n")


@pytest.mark.parametrize("behaviour", ["no-starttls", "starttls-454", "starttls-502", "ehlo-refused"])
def test_D07_opportunistic_goes_in_clear_where_there_is_no_tls(daemon, behaviour):
    with Server(mx(PLAIN), behaviour) as server:
        code, [result] = send(daemon, f"user@{PLAIN}")
    assert (code, result["status"], result["tls"]) == (0, "delivered", None), result
    assert len(server.messages(tls=False)) == 1


@pytest.mark.parametrize("behaviour", ["handshake-alert", "handshake-drop", "handshake-garbage", "handshake-silent"])
def test_D09_opportunistic_retries_in_clear_after_a_failed_handshake(daemon, behaviour):
    with Server(mx(PLAIN), behaviour) as server:
        code, [result] = send(daemon, f"user@{PLAIN}", "--timeout", WAIT_S)
    assert (code, result["status"], result["tls"]) == (0, "delivered", None), result
    assert len(server.messages(tls=False)) == 1
    assert [line for line in server.lines() if line == "STARTTLS"] == ["STARTTLS"]  # the second connection did not ask again


@pytest.mark.parametrize("behaviour", ["tls-breaks-at-mail", "tls-breaks-at-data"])
def test_D09_opportunistic_retries_in_clear_after_tls_broke(daemon, behaviour):
    with Server(mx(PLAIN), behaviour) as server:
        code, [result] = send(daemon, f"user@{PLAIN}")
    assert (code, result["status"], result["tls"], server.connections) == (0, "delivered", None, 2), result
    assert len(server.messages(tls=False)) == 1


@pytest.mark.parametrize("domain, behaviour, connections", [
    pytest.param(PLAIN, "tls-breaks-in-message", 1, id="opportunistic-in-message"),
    pytest.param(DANE, "tls-breaks-at-mail", 1, id="dane-at-mail"),
    pytest.param(DANE, "tls-breaks-at-data", 1, id="dane-at-data"),
    pytest.param(NO_AUTH, "tls-breaks-at-mail", 1, id="tls-no-auth-at-mail"),
])
def test_D04_D09_no_cleartext_retry_once_data_was_accepted_nor_under_dane(daemon, domain, behaviour, connections):
    with Server(mx(domain), behaviour, addresses=addresses_of(mx(domain))[:1]) as server:
        code, [result] = send(daemon, f"user@{domain}", message=LONG_MESSAGE)
    assert (code, result["status"], server.gave(tls=False), server.connections) == (75, "delayed", [], connections), result


# ---- what nobody is given ----

ATTACKS = [
    ("no-starttls", "no-starttls", "4.7.4"),
    ("starttls-454", "starttls-refused", "4.7.4"),
    ("starttls-502", "starttls-refused", "4.7.4"),
    ("starttls-injected", "injected-text", "4.7.5"),
    ("ehlo-injected", "protocol-error", "4.5.0"),
    ("handshake-alert", "handshake-failed", "4.7.5"),
    ("handshake-drop", "handshake-failed", "4.7.5"),
    ("handshake-garbage", "handshake-failed", "4.7.5"),
    ("handshake-silent", "handshake-failed", "4.7.5"),
    ("handshake-flood", "handshake-failed", "4.7.5"),
    ("silent", "timeout", "4.4.2"),
    ("drip", "timeout", "4.4.2"),
    ("long-line", "protocol-error", "4.5.0"),
    ("endless-ehlo", "protocol-error", "4.5.0"),
    ("not-smtp", "protocol-error", "4.5.0"),
    ("two-greetings", "protocol-error", "4.5.0"),
    ("greeting-drop", "connection-lost", "4.4.2"),
    ("greeting-421", "refused", "4.0.0"),
    ("greeting-554", "refused", "4.0.0"),
    ("ehlo-refused", "refused", "4.0.0"),
    ("ehlo-refused-554", "refused", "4.0.0"),
]


@pytest.mark.parametrize("behaviour, failure, dsn", ATTACKS, ids=[row[0] for row in ATTACKS])
@pytest.mark.parametrize("domain", [DANE, NO_AUTH])
def test_D03_D04_D06_nothing_without_tls(daemon, domain, behaviour, failure, dsn):
    """Whatever a host does before it is known, it gets nothing, and nothing it says is final."""
    with Server(mx(domain), behaviour) as server:
        code, [result] = send(daemon, f"user@{domain}", "--timeout", WAIT_S)
    assert (code, result["status"], result["failure"], result["dsn"]) == (75, "delayed", failure, dsn), result
    assert server.gave() == []
    assert set(server.verbs()) <= {"EHLO", "STARTTLS", "QUIT"}


@pytest.mark.parametrize("domain, behaviour", [
    pytest.param(DANE, "other-certificate", id="D02-dane-ee-mismatch"),
    pytest.param(TA, "other-certificate-of-ta", id="I04-dane-ta-wrong-name"),
    pytest.param(TA, "expired", id="H13-dane-ta-expired"),
    pytest.param(DANE, "expired", id="D02-dane-ee-other-key"),
    pytest.param("tlsa-mismatch.org", "good", id="D02-no-record-matches"),
])
def test_I02_nothing_after_a_mismatch(daemon, domain, behaviour):
    if behaviour == "other-certificate-of-ta":
        behaviour = Behaviour(certificate=mx(DANE))
    with Server(mx(domain), behaviour) as server:
        code, [result] = send(daemon, f"user@{domain}")
    assert (code, result["status"], result["failure"], result["dsn"]) == (75, "delayed", "not-authenticated", "4.7.5"), result
    assert server.gave() == []
    assert set(server.verbs(tls=True)) == {"QUIT"}
    assert not result["tls"]["authenticated"]


def test_a_flood_that_TLS_swallows_does_not_stop_the_clock(daemon):
    with Server(mx(DANE), "handshake-flood"):
        begun = time.monotonic()
        send(daemon, f"user@{DANE}", "--timeout", WAIT_S)
        assert time.monotonic() - begun < 5


def test_D03_starttls_stripped_by_a_middle_box(daemon):
    with Server(mx(DANE), port=2525) as server, MiddleBox(server):
        code, [result] = send(daemon, f"user@{DANE}")
    assert (code, result["failure"]) == (75, "no-starttls")
    assert set(server.verbs()) == {"EHLO", "QUIT"}


def test_dead_host_is_delayed(daemon):
    code, [result] = send(daemon, f"user@{DANE}")
    assert (code, result["failure"], result["dsn"], result["tls"]) == (75, "no-connection", "4.4.1", None)


@pytest.mark.parametrize("behaviour", [row[0] for row in ATTACKS if row[0] != "drip"] + ["other-certificate"])
def test_D02_D04_the_next_host_gets_it(daemon, behaviour):
    with Server("mx1.two-hosts.org", behaviour) as first, Server("mx2.two-hosts.org") as second:
        code, [result] = send(daemon, "user@two-hosts.org", "--timeout", WAIT_S)
    assert (code, result["status"], result["host"]) == (0, "delivered", "mx2.two-hosts.org"), result
    assert first.gave() == []
    assert second.gave(tls=False) == [] and len(second.messages(tls=True)) == 1


def test_E13_each_host_by_its_own_policy(daemon):
    with Server("mx1.two-hosts-mixed.com", "no-starttls") as first, Server("mx2.two-hosts-mixed.com", "no-starttls") as second:
        code, [result] = send(daemon, "user@two-hosts-mixed.com")
    assert (code, result["status"], result["policy"]) == (0, "delivered", "opportunistic")
    assert first.gave() == [] and len(second.messages(tls=False)) == 1


def test_opportunistic_gives_nothing_after_injected_text(daemon):
    """An attack in sight is no reason to send in clear."""
    with Server(mx(PLAIN), "starttls-injected") as server:
        code, [result] = send(daemon, f"user@{PLAIN}")
    assert (code, result["failure"]) == (75, "injected-text")
    assert server.gave() == []


def test_M04_no_connection_to_an_unreachable_host(daemon):
    with Server("mx.tlsa-servfail.com") as server:
        code, [result] = send(daemon, "user@tlsa-servfail.com")
    assert (code, result["status"], result["host"]) == (75, "delayed", None)
    assert server.log == []


# ---- order ----

def test_E02_hosts_in_order_of_preference(daemon):
    hosts = plan_hosts(daemon, "mx-order.nl")
    with Server(hosts[0], "greeting-421") as first, Server(hosts[1], "greeting-421") as second, Server(hosts[2]) as third:
        code, [result] = send(daemon, "user@mx-order.nl")
    assert (code, result["host"]) == (0, hosts[2])
    assert (first.connections, second.connections, len(third.messages())) == (1, 1, 1)


def plan_hosts(daemon, domain):
    return [host["name"] for host in daemon.ctl("plan", domain)[1]["hosts"]]


def test_E04_equal_preference_is_shuffled(daemon):
    used = set()
    with Server("a.equal-preference.com"), Server("b.equal-preference.com"):
        for _ in range(40):
            used.add(send(daemon, "user@equal-preference.com")[1][0]["host"])
            if len(used) == 2:
                break
    assert used == {"a.equal-preference.com", "b.equal-preference.com"}


def test_ipv6_after_ipv4_failed(daemon):
    [ipv6] = [address for address in addresses_of(mx(DANE)) if ":" in address]
    with Server(mx(DANE), addresses=[ipv6]) as server:
        code, [result] = send(daemon, f"user@{DANE}")
    assert (code, result["address"], len(server.messages(tls=True))) == (0, ipv6, 1)


def test_M05_a_plan_that_expires_on_the_way_is_asked_for_again(daemon):
    """With TTL 0 a plan lives five seconds. The host already tried is not tried again."""
    with Server("mx1.ttl-zero-two-hosts.nl", "silent") as first, Server("mx2.ttl-zero-two-hosts.nl") as second:
        code, [result] = send(daemon, "user@ttl-zero-two-hosts.nl", "--timeout", "5.5")
    assert (code, result["host"]) == (0, "mx2.ttl-zero-two-hosts.nl"), result
    assert first.connections == 1 and len(second.messages(tls=True)) == 1


def late(connections, **more):
    """A host whose first connections are greeted when a plan of a domain with TTL 0 has expired."""
    def greet(connection):
        time.sleep(5.5 if connection.number <= connections else 0)
        connection.say("220 here I am")
    return Behaviour(greeting=greet, **more)


def test_M05_a_verdict_that_comes_too_late_is_taken_again(daemon):
    """The host did nothing wrong but be slow: it is asked once more, with a new plan."""
    with Server("mx1.ttl-zero-two-hosts.nl", late(1)) as first:
        code, [result] = send(daemon, "user@ttl-zero-two-hosts.nl")
    assert (code, result["host"], first.connections) == (0, "mx1.ttl-zero-two-hosts.nl", 2), result


def test_M05_no_requiretls_mail_is_returned_because_a_plan_expired(daemon):
    with Server("mx.ttl-zero.com", late(1, tls=("REQUIRETLS",))) as server:
        code, [result] = send(daemon, "user@ttl-zero.com", "--require-tls")
    assert (code, result["status"], server.connections) == (0, "delivered", 2), result


def test_M05_a_plan_that_expires_between_two_addresses(daemon):
    [host] = daemon.ctl("plan", "ttl-zero-two-addresses.nl")[1]["hosts"]
    slow, good = (address["ip"] for address in host["addresses"])
    with Server(host["name"], "silent", addresses=[slow]) as first, Server(host["name"], addresses=[good]) as second:
        code, [result] = send(daemon, "user@ttl-zero-two-addresses.nl", "--timeout", "5.5")
    assert (code, result["address"]) == (0, good), result
    assert first.connections == 1 and len(second.messages(tls=True)) == 1


# ---- time ----

def take_slowly(connection):
    """Reads the message, at 64 KiB a second."""
    connection.say("354 go ahead")
    while connection.socket.recv(16384):
        time.sleep(0.25)


def greet_slowly(connection):
    time.sleep(1)
    connection.say("421 4.3.2 not now")


@pytest.mark.parametrize("behaviour", [Behaviour(data=take_slowly), Behaviour(greeting=greet_slowly), "drip", "silent-after-message"],
                         ids=["slow-message", "slow-greetings", "drip", "after-message"])
def test_the_total_time_is_bounded(daemon, behaviour):
    """Each wait is a short one; all of them together are not, and with many recipients, hosts and addresses still less."""
    to = [f"user@{TA}", f"user@{DANE}", "user@two-hosts.org"]
    with Server(mx(TA), behaviour), Server(mx(DANE), behaviour), Server("mx1.two-hosts.org", behaviour), \
            Server("mx2.two-hosts.org", behaviour):
        begun = time.monotonic()
        code, results = send(daemon, to, "--deadline", "2.5", message=LONG_MESSAGE)
        took = time.monotonic() - begun
    assert (code, {result["status"] for result in results}) == (75, {"delayed"}), results
    assert all(result["reason"] and result["dsn"].startswith("4.") for result in results), results
    assert took < 4, took


def test_what_is_final_at_one_host_is_not_where_time_was_short(daemon):
    """The second host might take a longer mail."""
    with Server("mx1.two-hosts.org", "small"), Server("mx2.two-hosts.org", "silent"):
        code, [result] = send(daemon, "user@two-hosts.org", "--deadline", "1", message=LONG_MESSAGE)
    assert (code, result["status"]) == (75, "delayed"), result


def test_M02_audit_lets_a_mismatch_through_and_says_so(make_daemon):
    audit = make_daemon(config='override "tlsa-mismatch.org" { requirement = audit }')
    with Server("mx.tlsa-mismatch.org") as server:
        code, [result] = send(audit, "user@tlsa-mismatch.org")
    assert (code, result["status"], len(server.messages(tls=True))) == (0, "delivered", 1)
    assert result["tls"]["would_refuse"] and not result["tls"]["authenticated"]


# ---- replies of the host that is who it should be ----

@pytest.mark.parametrize("behaviour, code, status, dsn, reply", [
    ("mail-451", 75, "delayed", "4.3.0", "451 4.3.0 later"),
    ("mail-550", 69, "failed", "5.7.1", "550 5.7.1 sender refused"),
    ("mail-421", 75, "delayed", "4.3.2", "421 4.3.2 shutting down"),
    ("all-refused", 69, "failed", "5.1.1", "550 5.1.1 no such user"),
    ("multi-line", 69, "failed", "5.1.1", "550 5.1.1 no such 5.1.1 user ? 5.1.1 here"),
    ("no-enhanced", 69, "failed", "5.0.0", "550 no such user"),
    ("data-451", 75, "delayed", "4.3.0", "451 4.3.0 no room"),
    ("data-554", 69, "failed", "5.6.0", "554 5.6.0 no"),
    ("message-550", 69, "failed", "5.7.1", "550 5.7.1 spam"),
    ("message-451", 75, "delayed", "4.3.0", "451 4.3.0 later"),
])
def test_refusals_under_tls(daemon, behaviour, code, status, dsn, reply):
    with Server(mx(DANE), behaviour, addresses=addresses_of(mx(DANE))[:1]) as server:
        got, [result] = send(daemon, f"user@{DANE}")
    if status == "delayed":  # the second address was tried, and nothing listens there
        assert (got, result["status"]) == (code, status)
    else:
        assert (got, result["status"], result["dsn"], result["reply"]) == (code, status, dsn, reply), result
    assert server.gave(tls=False) == []


@pytest.mark.parametrize("behaviour", ["mail-451", "mail-421", "data-451", "message-451"])
def test_a_transient_refusal_leaves_it_to_the_next_host(daemon, behaviour):
    with Server("mx1.two-hosts.org", behaviour), Server("mx2.two-hosts.org") as second:
        code, [result] = send(daemon, "user@two-hosts.org")
    assert (code, len(second.messages(tls=True))) == (0, 1), result


def test_a_loss_before_the_final_dot_leaves_it_to_the_next_host(daemon):
    with Server("mx1.two-hosts.org", "drop-in-message"), Server("mx2.two-hosts.org") as second:
        code, [result] = send(daemon, "user@two-hosts.org", message=LONG_MESSAGE)
    assert (code, len(second.messages(tls=True))) == (0, 1), result


@pytest.mark.parametrize("behaviour", ["mail-550", "all-refused", "data-554", "message-550"])
def test_a_final_refusal_does_not(daemon, behaviour):
    with Server("mx1.two-hosts.org", behaviour), Server("mx2.two-hosts.org") as second:
        code, [result] = send(daemon, "user@two-hosts.org")
    assert (code, result["status"], second.log) == (69, "failed", [])


@pytest.mark.parametrize("behaviour", ["good", "no-pipelining"])
def test_some_recipients_are_refused(daemon, behaviour):
    mixed = BEHAVIOURS["some-refused"].__class__(rcpt=BEHAVIOURS["some-refused"].rcpt, offered=BEHAVIOURS[behaviour].offered)
    names = ["one", "nobody", "later", "two"]
    with Server(mx(TA), mixed) as server:
        code, results = send(daemon, [f"{name}@{TA}" for name in names])
    assert code == 75
    assert [(result["status"], result["dsn"]) for result in results] == [
        ("delivered", "2.0.0"), ("failed", "5.1.1"), ("delayed", "4.2.1"), ("delivered", "2.0.0")], results
    assert server.lines(tls=True)[2:6] == [f"RCPT TO:<{name}@{TA}>" for name in names]
    assert len(server.messages(tls=True)) == 1


def at_most(count, answer):
    """So many recipients in one connection."""
    def rcpt(connection):
        connection.recipients = getattr(connection, "recipients", 0) + 1
        connection.say("250 2.1.5 ok" if connection.recipients <= count else answer)
    return Behaviour(rcpt=rcpt)


@pytest.mark.parametrize("answer", ["452 4.5.3 too many", "452 too many", "552 5.5.3 too many", "552 too many"])
def test_too_many_recipients_go_in_further_transactions(daemon, answer):
    """RFC 5321 section 4.5.3.1.10; 552 was the code of RFC 821 for it."""
    to = [f"user{number}@{TA}" for number in range(5)]
    with Server(mx(TA), at_most(2, answer)) as server:
        code, results = send(daemon, to)
    assert (code, {result["status"] for result in results}) == (0, {"delivered"}), results
    assert (server.connections, len(server.messages(tls=True))) == (3, 3)
    sent = [line for line in server.lines() if line.startswith("RCPT")]
    assert sent == [f"RCPT TO:<{to[number]}>" for number in (0, 1, 2, 3, 4, 2, 3, 4, 4)]


@pytest.mark.parametrize("answer, status", [("552 5.2.2 mailbox full", "failed"), ("452 4.2.2 mailbox full", "delayed")])
def test_a_full_mailbox_is_none_too_many(daemon, answer, status):
    with Server(mx(TA), Behaviour(rcpt={"full": answer, "": "250 2.1.5 ok"}), addresses=addresses_of(mx(TA))[:1]) as server:
        _, results = send(daemon, [f"user@{TA}", f"full@{TA}"])
    assert [result["status"] for result in results] == ["delivered", status] and server.connections == 1, results


def test_refused_in_the_middle_of_the_message(daemon):
    with Server(mx(TA), "refuse-in-message"):
        code, [result] = send(daemon, f"user@{TA}", message=LONG_MESSAGE)
    assert (code, result["status"], result["dsn"]) == (69, "failed", "5.2.2"), result


@pytest.mark.parametrize("behaviour", ["data-250", "rcpt-twice"])
def test_only_the_answer_to_the_message_says_delivered(daemon, behaviour):
    """A 2yz to DATA, or one of an earlier command too many, is no 354: nothing was handed over."""
    with Server("mx1.two-hosts.org", behaviour) as first, Server("mx2.two-hosts.org") as second:
        code, [result] = send(daemon, "user@two-hosts.org")
    assert (code, result["status"], result["host"]) == (0, "delivered", "mx2.two-hosts.org"), result
    assert first.messages() == [] and len(second.messages(tls=True)) == 1


@pytest.mark.parametrize("behaviour", ["drop-after-message", "silent-after-message", "garbage-after-message", "354-after-message"])
def test_lost_after_the_final_dot_is_in_doubt(daemon, behaviour):
    """Maybe the first host has it: the second must not get it, too."""
    with Server("mx1.two-hosts.org", behaviour) as first, Server("mx2.two-hosts.org") as second:
        code, [result] = send(daemon, "user@two-hosts.org", "--timeout", WAIT_S)
    assert (code, result["status"], result["failure"], result["in_doubt"]) == (75, "delayed", "in-doubt", True), result
    assert "in-doubt" in result["reason"]
    assert len(first.messages()) == 1 and second.log == []


def test_dsn_text(daemon):
    with Server(mx(TA), "all-refused"):
        _, [result] = send(daemon, f"user@{TA}")
    lines = result["dsn_text"].split("\r\n")
    assert lines[:5] == [f"Final-Recipient: rfc822; user@{TA}", "Action: failed", "Status: 5.1.1", f"Remote-MTA: dns; {mx(TA)}",
                         "Diagnostic-Code: smtp; 550 5.1.1 no such user"]
    assert lines[5].startswith("Last-Attempt-Date: ") and lines[6:] == [""]


def test_dsn_text_of_an_address(daemon):
    address = addresses_of(mx(PLAIN))[0]
    with Server(mx(PLAIN)):
        _, [result] = send(daemon, f"user@[{address}]")
    assert f"Remote-MTA: dns; [{address}]\r\n" in result["dsn_text"]


def test_421_greeting_of_an_opportunistic_host(daemon):
    with Server(mx(PLAIN), "greeting-421"):
        code, [result] = send(daemon, f"user@{PLAIN}")
    assert (code, result["dsn"], result["reply"]) == (75, "4.3.2", "421 4.3.2 too busy")


def test_554_greeting_of_an_opportunistic_host(daemon):
    """Where nobody can tell who speaks, the only host's word counts, as it always did."""
    with Server(mx(PLAIN), "greeting-554"):
        code, [result] = send(daemon, f"user@{PLAIN}")
    assert (code, result["status"], result["dsn"]) == (69, "failed", "5.3.2")


# ---- what the DNS decides ----

@pytest.mark.parametrize("domain, code, status, dsn", [
    pytest.param("null-mx.org", 69, "failed", "5.1.10", id="N01-null-mx"),
    pytest.param("no-such-domain.net", 68, "failed", "5.1.2", id="no-such-domain"),
    pytest.param("no-host.com", 68, "failed", "5.4.4", id="no-host"),
    pytest.param("mx-servfail.org", 75, "delayed", "4.4.3", id="D10-mx-error"),
    pytest.param("wrong-ds.com", 75, "delayed", "4.4.3", id="bogus"),
])
def test_outcomes_of_the_plan(daemon, domain, code, status, dsn):
    got, [result] = send(daemon, f"user@{domain}")
    assert (got, result["status"], result["dsn"], result["host"]) == (code, status, dsn, None), result


def test_E11_insecure_mx_is_not_verified_for_the_domain(daemon):
    with Server("mx1.provider.net"):
        code, [result] = send(daemon, "user@insecure-mx.org")
    assert code == 0
    assert result["tls"]["authenticated"] and not result["tls"]["for_domain"]


def test_recipients_are_grouped_by_next_hop(daemon):
    to = [f"a@{DANE}", f"b@{TA}", f"c@{DANE.upper()}", "d@no-such-domain.net"]
    with Server(mx(DANE)) as one, Server(mx(TA)) as other:
        code, results = send(daemon, to)
    assert code == 69 or code == 68
    assert [result["status"] for result in results] == ["delivered", "delivered", "delivered", "failed"]
    assert one.lines(tls=True)[2:4] == [f"RCPT TO:<a@{DANE}>", f"RCPT TO:<c@{DANE}>"]
    assert len(one.messages()) == len(other.messages()) == 1


def test_plans_of_all_recipients_are_looked_up_at_once(daemon):
    """Four names whose servers never answer: one deadline, not four."""
    begin = time.monotonic()
    code, results = send(daemon, [f"user@at-once-{i}.silent.net" for i in range(4)])
    assert code == 75 and [result["dsn"] for result in results] == ["4.4.3"] * 4
    assert time.monotonic() - begin < 12


def test_next_hop_and_port(daemon):
    with Server("mx.port-2525.net", port=2525) as server:
        code, [result] = send(daemon, f"user@{DANE}", "--next-hop", "port-2525.net", "--port", "2525")
    assert (code, result["next_hop"], len(server.messages(tls=True))) == (0, "port-2525.net", 1)


def test_next_hop_that_is_an_address(daemon):
    address = addresses_of(mx(PLAIN))[0]
    with Server(mx(PLAIN)) as server:
        code, [result] = send(daemon, f"user@{DANE}", "--next-hop", f"[{address}]")
    assert (code, result["policy"], len(server.messages())) == (0, "opportunistic", 1)


def test_internationalized_domain(daemon):
    with Server("mx.xn--bcher-kva.nl") as server:
        code, [result] = send(daemon, "user@bücher.nl")
    assert (code, result["recipient"]) == (0, "user@xn--bcher-kva.nl")
    assert "RCPT TO:<user@xn--bcher-kva.nl>" in server.lines(tls=True)


# ---- REQUIRETLS and TLS-Required ----

def test_N07_requiretls(daemon):
    with Server(mx(DANE), "good-requiretls") as server:
        code, [result] = send(daemon, f"user@{DANE}", "--require-tls")
    assert (code, result["status"]) == (0, "delivered")
    assert server.lines(tls=True)[1].endswith(" REQUIRETLS")


@pytest.mark.parametrize("domain, host, behaviour", [
    pytest.param(DANE, mx(DANE), "good", id="not-offered"),
    pytest.param(DANE, mx(DANE), "requiretls-in-clear-only", id="offered-in-clear-only"),
    pytest.param(DANE, mx(DANE), "other-certificate", id="mismatch"),
    pytest.param(DANE, mx(DANE), "no-starttls-requiretls", id="no-starttls"),
    pytest.param(PLAIN, mx(PLAIN), "good-requiretls", id="opportunistic"),
    pytest.param(NO_AUTH, mx(NO_AUTH), "good-requiretls", id="tls-no-auth"),
    pytest.param("insecure-mx.org", "mx1.provider.net", "good-requiretls", id="insecure-mx"),
])
def test_N07_requiretls_is_returned_where_it_cannot_be_met(daemon, domain, host, behaviour):
    with Server(host, behaviour) as server:
        code, [result] = send(daemon, f"user@{domain}", "--require-tls")
    assert (code, result["status"], result["dsn"]) == (69, "failed", "5.7.30"), result
    assert server.gave() == []


def test_N07_requiretls_waits_for_a_host_that_is_away(daemon):
    code, [result] = send(daemon, f"user@{DANE}", "--require-tls")
    assert (code, result["dsn"]) == (75, "4.4.1")


@pytest.mark.parametrize("behaviour, tls", [("other-certificate", True), ("no-starttls", False), ("handshake-alert", False), ("good", True)])
def test_N08_tls_required_no(daemon, behaviour, tls):
    """DANE's failures are ignored for such a message; TLS is still used where it can be."""
    with Server(mx(DANE), behaviour) as server:
        code, [result] = send(daemon, f"user@{DANE}", message=b"TLS-Required: No\n" + MESSAGE)
    assert (code, result["status"]) == (0, "delivered"), result
    assert [message["tls"] for message in server.messages()] == [tls]


@pytest.mark.parametrize("header", [b"TLS-Required: Nope\n", b"X-TLS-Required: No\n", b"Subject: x\n\nTLS-Required: No\n"])
def test_N08_only_that_very_field_counts(daemon, header):
    with Server(mx(DANE), "no-starttls") as server:
        code, _ = send(daemon, f"user@{DANE}", message=header + MESSAGE)
    assert (code, server.gave()) == (75, [])


def test_N08_requiretls_wins(daemon):
    with Server(mx(DANE), "no-starttls") as server:
        code, [result] = send(daemon, f"user@{DANE}", "--require-tls", message=b"TLS-Required: No\n" + MESSAGE)
    assert (code, result["dsn"], server.gave()) == (69, "5.7.30", [])


# ---- extensions ----

def test_mail_parameters(daemon):
    with Server(mx(TA)) as server:
        send(daemon, f"user@{TA}", message="Subject: x\n\nBücher\n".encode())
        send(daemon, f"bücher@{TA}", message=MESSAGE, sender="")
        send(daemon, f"user@{TA}", message="Subject: Bücher\n\nx\n".encode())
    mails = [line for line in server.lines(tls=True) if line.startswith("MAIL")]
    assert mails == ["MAIL FROM:<sender@example.org> SIZE=23 BODY=8BITMIME",
                     f"MAIL FROM:<> SIZE={len(ON_THE_WIRE)} SMTPUTF8",
                     "MAIL FROM:<sender@example.org> SIZE=23 BODY=8BITMIME SMTPUTF8"]


@pytest.mark.parametrize("behaviour, to, message, dsn, failure", [
    pytest.param("no-8bitmime", "user", "Subject: x\n\nBücher\n", "5.6.3", "no-8bitmime", id="8bitmime"),
    pytest.param("no-8bitmime", "user", "Subject: Bücher\n\nx\n", "5.6.9", "no-smtputf8-header", id="smtputf8-header"),
    pytest.param("no-8bitmime", "bücher", "Subject: x\n\nx\n", "5.6.7", "no-smtputf8-address", id="smtputf8-address"),
    pytest.param("small", "user", "Subject: x\n\n" + "too long\n" * 150, "5.3.4", "too-big", id="size"),
])
def test_what_no_host_can_take_is_returned(daemon, behaviour, to, message, dsn, failure):
    with Server(mx(TA), behaviour) as server:
        code, [result] = send(daemon, f"{to}@{TA}", message=message.encode())
    assert (code, result["status"], result["dsn"], result["failure"]) == (69, "failed", dsn, failure), result
    assert server.gave() == []


def test_an_address_that_needs_smtputf8_does_not_hold_up_the_others(daemon):
    with Server(mx(TA), "no-8bitmime") as server:
        code, results = send(daemon, [f"bücher@{TA}", f"user@{TA}"])
    assert (code, [result["status"] for result in results]) == (69, ["failed", "delivered"])
    assert len(server.messages()) == 1


def test_many_recipients_with_pipelining(daemon):
    to = [f"user{number}@{TA}" for number in range(1500)]
    with Server(mx(TA)) as server:
        code, results = send(daemon, to)
    assert code == 0 and {result["status"] for result in results} == {"delivered"}
    assert server.lines(tls=True)[2:1502] == [f"RCPT TO:<{address}>" for address in to]
    assert len(server.messages()) == 1


# ---- messages ----

@pytest.mark.parametrize("message, says", [
    pytest.param(b"Subject: x\r\n\r\na\nb\r\n", "line 3 of the message: a bare LF", id="LF-among-CRLF"),
    pytest.param(b"Subject: x\n\na\r\nb\n", "line 3 of the message: a CRLF", id="CRLF-among-LF"),
    pytest.param(b"Subject: x\n\na\rb\n", "line 3 of the message: a bare CR", id="bare-CR"),
    pytest.param(b"Subject: x\r\n\r\na\n.\r\nMAIL FROM:<evil>\r\n", "line 3 of the message: a bare LF", id="smuggling"),
    pytest.param(b"Subject: x\n\na\r", "line 3 of the message: a bare CR", id="CR-at-the-end"),
    pytest.param(b"Subject: x\n\n\0\n", "line 3 of the message: a NUL", id="NUL"),
    pytest.param(b"Subject: x\n\n" + b"x" * 999 + b"\n", "line 3 of the message: longer than 998", id="long-line"),
    pytest.param(b"x" * 5000, "line 1 of the message: longer than 998", id="long-header"),
])
def test_a_message_that_cannot_be_sent(daemon, message, says):
    with Server(mx(TA)) as server:
        done = subprocess.run(command(daemon, f"user@{TA}"), input=message, capture_output=True, timeout=30)
    assert done.returncode == 65
    assert done.stderr.decode().startswith(f"danesend: {says}"), done.stderr
    assert done.stdout == b"" and server.log == []


@pytest.mark.parametrize("message, arrives", [
    pytest.param(b"", b"", id="empty"),
    pytest.param(b"no end", b"no end\r\n", id="no-final-line-end"),
    pytest.param(b"\r\n.\r\n..\r\n.x\r\n", b"\r\n.\r\n..\r\n.x\r\n", id="dots"),
    pytest.param(b"Subject: x\n\n" + b"x" * 998 + b"\n", b"Subject: x\r\n\r\n" + b"x" * 998 + b"\r\n", id="998"),
    pytest.param(b"Subject: x\n\n" + b".\n" * 50000, b"Subject: x\r\n\r\n" + b".\r\n" * 50000, id="many-dots"),
])
def test_a_message_arrives_as_it_is(daemon, message, arrives):
    with Server(mx(TA)) as server:
        code, _ = send(daemon, f"user@{TA}", message=message)
    [got] = server.messages(tls=True)
    assert (code, got["octets"], got["sha256"]) == (0, len(arrives), hashlib.sha256(arrives).hexdigest())


def test_max_size(daemon):
    done = subprocess.run(command(daemon, f"user@{TA}", "--max-size", "50"), input=MESSAGE, capture_output=True, timeout=30)
    assert done.returncode == 65 and b"more than 50 octets" in done.stderr


def test_a_spool_that_gets_too_large_for_this_system(daemon):
    """Not the message's fault, and no reason to be killed by SIGXFSZ."""
    done = subprocess.run(command(daemon, f"user@{TA}"), input=LONG_MESSAGE, capture_output=True, timeout=30,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))
    assert done.returncode == 75 and b"cannot write the message" in done.stderr


def test_a_long_message_takes_little_memory(daemon):
    """64 MiB of mail, and never more than 48 MiB of memory, program and libraries included."""
    message = b"Subject: long\n\n" + (b"x" * 990 + b"\n") * (64 * 1024 * 1024 // 991)
    with Server(mx(TA), Behaviour(offered=("PIPELINING",))) as server:
        sender = subprocess.Popen(command(daemon, f"user@{TA}"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        sender.stdin.write(message)
        sender.stdin.close()
        peaks = [0]
        while sender.poll() is None:
            peaks += [int(line.split()[1]) for line in pathlib.Path(f"/proc/{sender.pid}/status").read_text().splitlines()
                      if line.startswith("VmHWM")]
            time.sleep(0.01)
    [got] = server.messages(tls=True)
    arrives = message.replace(b"\n", b"\r\n")
    assert (sender.returncode, got["octets"], got["sha256"]) == (0, len(arrives), hashlib.sha256(arrives).hexdigest())
    assert 0 < peaks[-1] < 48 * 1024


# ---- the command itself ----

@pytest.mark.parametrize("arguments, says", [
    (["--to", "a@b.org"], "--from and --to are needed"),
    (["--from", "a@b.org"], "--from and --to are needed"),
    (["--from", "a@b.org", "--to", "nobody"], "no @ in it"),
    (["--from", "a@b.org", "--to", "a@b.org>\r\nDATA\r\n"], "is no mail address"),
    (["--from", "a b@b.org", "--to", "a@b.org"], "is no mail address"),
    (["--from", "a\r\n@b.org", "--to", "a@b.org"], "is no mail address"),
    (["--from", "a@b.org", "--to", "<a@b.org>"], "is no mail address"),
    (["--from", "a@b.org", "--to", "@b.org"], "no or more than 64"),
    (["--from", "a@b.org", "--to", "a@"], "is no mail address"),
    (["--from", "a@b.org", "--to", "a@[mx.b.org]"], "a host in brackets"),
    (["--from", "a@b.org", "--to", "a@b.org", "--port", "0"], "is no number"),
    (["--from", "a@b.org", "--to", "a@b.org", "--timeout", "never"], "is no number"),
    (["--from", "a@b.org", "--to", "a@b.org", "--deadline", "604801"], "is no number of seconds up to 604800"),
    (["--from", "a@b.org", "--to", "a@b.org", "--helo", "a b"], "--helo"),
    (["--from", "a@b.org", "--to", "a@b.org", "--next-hop", "[x"], "--next-hop"),
    (["--from", "a@b.org", "--to", "a@b.org", "more"], "recipients go behind --to"),
    (["--wrong"], "wrong option"),
])
def test_usage(arguments, says):
    done = subprocess.run([str(BUILD / "danesend"), *arguments], input=b"", capture_output=True, timeout=30)
    assert done.returncode == 64 and says in done.stderr.decode(), done.stderr


def test_no_daemon_is_delay(tmp_path):
    away = Daemon(tmp_path)
    code, [result] = send(away, f"user@{DANE}")
    assert (code, result["status"], result["dsn"]) == (75, "delayed", "4.3.0")
    assert "cannot connect" in result["reason"]


def test_an_answer_that_does_not_verify_is_no_answer(daemon, tmp_path):
    other = tmp_path / "other.pub"
    other.write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=\n")
    with Server(mx(DANE)) as server:
        done = subprocess.run([*command(daemon, f"user@{DANE}"), "--public-key", str(other)], input=MESSAGE, capture_output=True,
                              timeout=30)
    assert done.returncode == 76 and b" delayed 4.3.0 " in done.stdout
    assert server.log == []


def test_output_that_cannot_be_written(daemon):
    with Server(mx(TA)), open("/dev/full", "wb") as full:
        done = subprocess.run(command(daemon, f"user@{TA}"), input=MESSAGE, stdout=full, stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 71 and b"cannot write the output" in done.stderr

# SPDX-License-Identifier: BSD-3-Clause
"""Debian's Postfix sends through resolverd-postfix and resolverd-stub: what is delivered how, and what stays queued.

The lines Postfix logs are the evidence. Where a test says so, the same Postfix without the map shows what it would have done.
"""

import itertools
import pathlib
import re
import tempfile
import time

import pytest
from conftest import HERE, Daemon, wait_for
from mta import NOWHERE, Postfix, why_no_postfix
from scenarios import DANE, MISMATCH, NO_AUTH, PLAIN, SCENARIOS, mx
from servers import stripping_forwarder
from smtp import Server
from socketmap import Map, Recorder
from stub import Stub

pytestmark = pytest.mark.skipif(why_no_postfix() is not None, reason=str(why_no_postfix()))

STUB = "nameserver 127.0.0.1\n"
MANDATORY, OFF = "plain-nsec3.com", "dane-both.net"
CONFIG = f"""
override "{MANDATORY}" {{ requirement = mandatory }}
override "{OFF}" {{ requirement = off }}
"""
DOCUMENT = HERE.parent.parent / "docs" / "integrations" / "postfix.md"
IDLE_S = 10  # after which Postfix closes a connection to a socketmap (dict_sockmap(3))
numbers = itertools.count()


@pytest.fixture(scope="module")
def here():
    """A folder that Postfix can reach, and in it a daemon; the stub is at port 53."""
    with tempfile.TemporaryDirectory(prefix="sender-") as text:
        directory = pathlib.Path(text)
        directory.chmod(0o755)
        daemon = Daemon(directory, prefetch__rule="off")
        daemon.config_path.write_text(CONFIG)
        daemon.start()
        stub = Stub(directory, daemon, port=53).start()
        yield directory, daemon
        stub.stop()
        daemon.stop()


def settings(path, **more):
    return {"smtp_tls_policy_maps": f"socketmap:unix:{path}:policy", "smtp_tls_dane_insecure_mx_policy": "dane",
            "smtp_tls_security_level": "may"} | more


@pytest.fixture(scope="module")
def resolv_conf(here):
    path = here[0] / "resolv.conf"
    path.write_text(STUB)
    return path


@pytest.fixture(scope="module")
def policy_map(here, resolv_conf):
    directory, daemon = here
    made = Map(directory, daemon, "--postfix-resolver", str(resolv_conf), "--postfix-version", "3.7")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def postfix(policy_map):
    with Postfix(settings(policy_map.path), resolv_conf=STUB) as postfix:
        yield postfix


@pytest.fixture(scope="module")
def postfix_alone(here):
    """The same without the map, and without a resolver that validates."""
    with stripping_forwarder("127.0.0.77", "127.0.0.1", ad=False), Postfix(
            {"smtp_tls_security_level": "dane"}, resolv_conf="nameserver 127.0.0.77\n") as postfix:
        yield postfix


def host_of(domain):
    """Its first mail host."""
    return next(row for row in SCENARIOS if row["domain"] == domain)["expect"]["hosts"][0]["name"]


def to(domain):
    """A recipient nobody wrote to before."""
    return f"user{next(numbers)}@{domain}"


def got(server):
    """What a server was given: nothing that concerns a message, a part, or a message."""
    if not server.gave():
        return "nothing"
    return "message" if any(record["event"] == "message" for record in server.log) else "part"


def delivers(postfix, domain, behaviour="good", host=None):
    """(delivery, what the server got)"""
    with Server(host or mx(domain), behaviour) as server:
        return postfix.deliver(to(domain)), got(server)


@pytest.mark.parametrize("domain", [DANE, "dane-ta.com", "dane-ta-certificate.nl", "dane-ee-mismatch-ta-match.com",
                                    "usage-1-and-3.nl", "wildcard-tlsa.com", "slow-server.net"])
def test_D01_sent_verified(postfix, domain):
    delivery, gave = delivers(postfix, domain)
    assert (delivery.status, delivery.tls) == ("sent", ["Verified"]), delivery.text
    assert gave == "message"


@pytest.mark.parametrize("domain, behaviour, words", [
    (DANE, "other-certificate", "Server certificate not verified"),  # D02
    (MISMATCH, "good", "Server certificate not verified"),  # D02
    (DANE, "no-starttls", "TLS is required, but was not offered"),  # D03
    (DANE, "starttls-454", "TLS is required"),  # D03
    (DANE, "handshake-alert", "Cannot start TLS"),
    (NO_AUTH, "no-starttls", "TLS is required, but was not offered"),  # D05
    (MANDATORY, "good", "TLSA"),  # K01
])
def test_queued_and_nothing_given(postfix, domain, behaviour, words):
    delivery, gave = delivers(postfix, domain, behaviour)
    assert (delivery.status, gave) == ("deferred", "nothing"), delivery.text
    if domain != MANDATORY:
        assert words in delivery.text


@pytest.mark.parametrize("domain", ["tlsa-servfail.com", "tlsa-expired.org", "tlsa-forged.nl", "stripped-tlsa.net", "tlsa-malformed.com"])
def test_B06_failing_TLSA_stays_queued(postfix, domain):
    """The map says TEMP, and so no connection is opened."""
    delivery, gave = delivers(postfix, domain)
    assert (delivery.status, delivery.dsn, gave) == ("deferred", "4.7.5", "nothing"), delivery.text
    assert "socketmap server temporary error" in postfix.log() or "temporary error" in delivery.text


@pytest.mark.parametrize("domain", ["wrong-ds.com", "expired.net", "mx-servfail.org", "address-bogus.net"])
def test_B01_bogus_stays_queued(postfix, domain):
    delivery = postfix.deliver(to(domain))
    assert delivery.status == "deferred" and "try again" in delivery.text, delivery.text


@pytest.mark.parametrize("behaviour", ["good", "no-starttls"])
def test_D08_plain_is_sent(postfix, behaviour):
    delivery, gave = delivers(postfix, PLAIN, behaviour)
    assert (delivery.status, gave) == ("sent", "message"), delivery.text


def test_D05_unusable_is_encrypted_and_sends_SNI(postfix):
    with Server(mx(NO_AUTH), "other-certificate") as server:
        delivery = postfix.deliver(to(NO_AUTH))
    assert (delivery.status, delivery.tls) == ("sent", ["Untrusted"]), delivery.text
    assert [record["sni"] for record in server.log if record["event"] == "handshake"] == [mx(NO_AUTH)]


def test_E08_insecure_mx_is_authenticated_but_never_called_verified(postfix):
    with Server(host_of("insecure-mx.org")) as server:
        delivery = postfix.deliver(to("insecure-mx.org"))
        assert (delivery.status, delivery.tls, got(server)) == ("sent", ["Trusted"], "message"), delivery.text
    with Server(host_of("insecure-mx.org"), "other-certificate") as server:
        delivery = postfix.deliver(to("insecure-mx.org"))
        assert (delivery.status, got(server)) == ("deferred", "nothing"), delivery.text


@pytest.mark.parametrize("name", ["mx-cname-expanded.net", "mx-cname-original.net"])
def test_F11_aliased_hosts(postfix, name):
    delivery, gave = delivers(postfix, name, "no-starttls", f"mail.{name}")
    assert (delivery.status, gave) == ("deferred", "nothing"), delivery.text


@pytest.mark.parametrize("domain, dsn", [("null-mx.org", "5.1.0"), ("no-such-domain.net", "5.4.4")])
def test_N01_what_can_not_be_mailed_bounces(postfix, domain, dsn):
    """The map is not asked: there is no host."""
    delivery = postfix.deliver(to(domain))
    assert (delivery.status, delivery.dsn) == ("bounced", dsn), delivery.text


def test_M01_off(postfix):
    delivery, gave = delivers(postfix, OFF, "no-starttls")
    assert (delivery.status, gave) == ("sent", "message"), delivery.text


def test_the_configuration_of_the_documentation(policy_map):
    text = re.search(r"```main.cf\n(.*?)```", DOCUMENT.read_text(), re.DOTALL).group(1)
    lines = dict(line.split(" = ", 1) for line in text.replace("unix:resolverd/policy", f"unix:{policy_map.path}").splitlines())
    assert lines["smtp_tls_policy_maps"] == f"socketmap:unix:{policy_map.path}:policy"
    with Postfix(lines, resolv_conf=STUB) as postfix:
        for domain, behaviour, status, tls in ((DANE, "good", "sent", ["Verified"]), (DANE, "no-starttls", "deferred", []),
                                               (PLAIN, "no-starttls", "sent", []), (OFF, "no-starttls", "sent", [])):
            delivery, _ = delivers(postfix, domain, behaviour)
            assert (delivery.status, delivery.tls) == (status, tls), delivery.text


# ---- the same without ----

def test_what_it_would_have_done_without_validation(postfix_alone):
    """Level dane and a resolver that does not validate: mail in clear, to whoever answers."""
    for domain, behaviour in ((DANE, "no-starttls"), (MISMATCH, "good"), (DANE, "other-certificate")):
        delivery, gave = delivers(postfix_alone, domain, behaviour)
        assert (delivery.status, gave) == ("sent", "message"), delivery.text
        assert "Verified" not in delivery.tls


def test_without_validation_the_map_holds_DANE_back(here):
    directory, daemon = here
    with stripping_forwarder("127.0.0.78", "127.0.0.1", ad=False):
        made = Map(directory, daemon, "--postfix-resolver", "127.0.0.78")
        with Postfix(settings(made.path), resolv_conf="nameserver 127.0.0.78\n") as postfix:
            delivery, gave = delivers(postfix, DANE, "no-starttls")
            assert (delivery.status, delivery.dsn, gave) == ("deferred", "4.7.5", "nothing"), delivery.text
            assert re.search(f"temporary error: {DANE} needs DANE, and Postfix's own resolver does not validate", postfix.log())
            delivery, gave = delivers(postfix, PLAIN, "no-starttls")
            assert (delivery.status, gave) == ("sent", "message"), delivery.text
        made.stop()


def test_vouched_wrongly_dane_only_still_fails_closed(here):
    """What the operator vouches for is not true, or stops being true between two probes."""
    directory, daemon = here
    with stripping_forwarder("127.0.0.79", "127.0.0.1", ad=False):
        made = Map(directory, daemon, "--postfix-resolver", "vouched")
        with Postfix(settings(made.path), resolv_conf="nameserver 127.0.0.79\n") as postfix:
            delivery, gave = delivers(postfix, DANE, "no-starttls")
            assert (delivery.status, gave) == ("deferred", "nothing"), delivery.text
            assert "non DNSSEC destination" in delivery.text or "TLSA" in delivery.text
        made.stop()


def test_dnssec_lookups_disabled_in_main_cf_fails_closed(here, policy_map):
    with Postfix(settings(policy_map.path, smtp_dns_support_level="enabled"), resolv_conf=STUB) as postfix:
        delivery, gave = delivers(postfix, DANE, "good")
    assert (delivery.status, gave) == ("deferred", "nothing"), delivery.text
    assert "dnssec lookups disabled" in delivery.text


def test_without_the_map_program_nothing_goes_out(here):
    with Postfix(settings(here[0] / "nobody"), resolv_conf=STUB) as postfix:
        delivery, gave = delivers(postfix, PLAIN)
    assert (delivery.status, delivery.dsn, gave) == ("deferred", "4.7.5", "nothing"), delivery.text


# ---- Postfix's habits ----

def test_in_a_chroot_by_a_path_in_the_queue_directory(here):
    """As Debian sets Postfix up: smtp(8) sees its queue directory only, resolv.conf included."""
    directory, daemon = here
    postfix = Postfix({"smtp_tls_policy_maps": "socketmap:unix:resolverd/policy:policy"}, resolv_conf=NOWHERE, chroot=True)
    for folder in ("resolverd", "etc"):
        (postfix.queue / folder).mkdir()
    resolv_conf = postfix.queue / "etc" / "resolv.conf"
    resolv_conf.write_text(STUB)
    made = Map(directory, daemon, "--postfix-resolver", str(resolv_conf), path=postfix.queue / "resolverd" / "policy")
    with postfix:
        delivery, gave = delivers(postfix, DANE)
        assert (delivery.status, delivery.tls, gave) == ("sent", ["Verified"], "message"), delivery.text
        delivery, gave = delivers(postfix, DANE, "other-certificate")
        assert (delivery.status, gave) == ("deferred", "nothing"), delivery.text
    made.stop()


@pytest.fixture
def recorded(here, policy_map):
    recorder = Recorder(here[0] / f"recorder-{next(numbers)}", policy_map)
    with Postfix(settings(recorder.path), resolv_conf=STUB) as postfix:
        yield postfix, recorder
    recorder.close()


def asked(recorder):
    return [seen.what for seen in recorder.seen]


def test_which_keys_it_asks(recorded):
    """The domain, and its parents after a NOTFOUND; nothing else after a level or an error."""
    postfix, recorder = recorded
    delivers(postfix, "a-servfail.com")
    delivers(postfix, "tlsa-servfail.com")
    delivers(postfix, PLAIN)
    delivers(postfix, "cname-to-insecure.aliases.org", host=host_of("insecure.biz"))
    kinds = list(dict.fromkeys(asked(recorder)))
    assert kinds == [f"policy {key}" for key in (
        "a-servfail.com", "tlsa-servfail.com", PLAIN, ".net", "cname-to-insecure.aliases.org", ".aliases.org", ".org")]


def test_how_long_it_keeps_a_connection(recorded):
    """One connection for each smtp process; it is closed after ten idle seconds, and made again when needed."""
    postfix, recorder = recorded
    for _ in range(3):
        delivers(postfix, DANE)
    assert (recorder.connections, asked(recorder)[0]) == (1, f"policy {DANE}")
    last = recorder.seen[-1].time
    wait_for(lambda: asked(recorder)[-1] == "end", IDLE_S + 15)
    assert IDLE_S - 1 < recorder.seen[-1].time - last < IDLE_S + 10
    delivery, _ = delivers(postfix, DANE)
    assert (delivery.status, recorder.connections) == ("sent", 2), delivery.text


def test_a_map_that_is_started_anew_is_found_again(here, resolv_conf):
    directory, daemon = here
    path = directory / "again"
    first = Map(directory, daemon, "--postfix-resolver", str(resolv_conf), path=path)
    with Postfix(settings(path), resolv_conf=STUB) as postfix:
        assert delivers(postfix, DANE)[0].status == "sent"
        first.stop()
        second = Map(directory, daemon, "--postfix-resolver", str(resolv_conf), path=path)
        delivery, _ = delivers(postfix, DANE)
        assert delivery.status == "sent", delivery.text
        second.stop()


def test_one_host_with_DANE_and_one_without(postfix):
    """E13: level dane leaves each host to what Postfix finds for it."""
    plain_host, dane_host = (host["name"] for host in next(row for row in SCENARIOS if row["domain"] == "mixed-policy.org")["expect"]["hosts"])
    with Server(plain_host, "no-starttls") as server:
        delivery = postfix.deliver(to("mixed-policy.org"))
        assert (delivery.status, got(server)) == ("sent", "message"), delivery.text
    with Server(dane_host, "other-certificate") as server:
        delivery = postfix.deliver(to("mixed-policy.org"))
        assert (delivery.status, got(server)) == ("deferred", "nothing"), delivery.text

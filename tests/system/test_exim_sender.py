# SPDX-License-Identifier: BSD-3-Clause
"""Debian's Exim sends through resolverd-stub: DANE by its own lookups, and by what resolverd-postfix says over ${readsocket}.

The lines Exim logs are the evidence: CV=dane is a certificate that matched the TLSA records.
"""

import itertools
import pathlib
import re
import tempfile

import pytest
from conftest import HERE, Daemon
from exim import Exim, why_no_exim
from scenarios import DANE, MISMATCH, NO_AUTH, PLAIN, SCENARIOS, mx
from smtp import Server
from socketmap import Map
from stub import Stub

pytestmark = pytest.mark.skipif(why_no_exim() is not None, reason=str(why_no_exim()))

STUB = "nameserver 127.0.0.1\noptions trust-ad\n"  # without trust-ad glibc hides the AD bit from Exim
ROUTER = """
mail:
  driver = dnslookup
  self = send
  dnssec_request_domains = *
  transport = out
"""
TRANSPORT = """
out:
  driver = smtp
  allow_localhost
  dnssec_request_domains = *
  connect_timeout = 3s
  command_timeout = 5s
  {dane} = *
"""
DNSSEC = "dns_dnssec_ok = 1\n"
MANDATORY, OFF = "plain-nsec3.com", "dane-both.net"
CONFIG = f"""
override "{MANDATORY}" {{ requirement = mandatory }}
override "{OFF}" {{ requirement = off }}
"""
DOCUMENT = HERE.parent.parent / "docs" / "integrations" / "exim.md"
numbers = itertools.count()


@pytest.fixture(scope="module")
def here():
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


def exim(dane, resolv_conf=STUB):
    return Exim(ROUTER, TRANSPORT.format(dane=dane), DNSSEC, resolv_conf)


@pytest.fixture(scope="module")
def try_dane(here):
    with exim("hosts_try_dane") as made:
        yield made


@pytest.fixture(scope="module")
def require_dane(here):
    with exim("hosts_require_dane") as made:
        yield made


def host_of(domain):
    """Its first mail host."""
    return next(row for row in SCENARIOS if row["domain"] == domain)["expect"]["hosts"][0]["name"]


def delivers(sender, domain, behaviour="good", host=None):
    with Server(host or mx(domain), behaviour) as server:
        delivery = sender.deliver(f"user{next(numbers)}@{domain}")
        return delivery, server.gave() != []


@pytest.mark.parametrize("domain", [DANE, "dane-ta.com", "dane-ee-mismatch-ta-match.com", "implicit.nl", "wildcard-tlsa.com"])
@pytest.mark.parametrize("dane", ["try_dane", "require_dane"])
def test_D01_sent_by_DANE(request, dane, domain):
    delivery, gave = delivers(request.getfixturevalue(dane), domain, host=host_of(domain))
    assert (delivery.status, delivery.verified, gave) == ("sent", "dane", True), delivery.text
    assert " DS [" in delivery.text


@pytest.mark.parametrize("domain, behaviour, words", [
    (DANE, "other-certificate", "The certificate differs"),  # D02
    (MISMATCH, "good", "The certificate differs"),  # D02
    (DANE, "no-starttls", "a TLS session is required"),  # D03
    (NO_AUTH, "no-starttls", "a TLS session is required"),  # D05
    ("tlsa-servfail.com", "good", "tlsa lookup DEFER"),  # B06
    ("tlsa-expired.org", "good", "tlsa lookup DEFER"),  # B06
    ("tlsa-malformed.com", "good", "tlsa lookup DEFER"),  # B06
])
@pytest.mark.parametrize("dane", ["try_dane", "require_dane"])
def test_queued_and_nothing_given(request, dane, domain, behaviour, words):
    delivery, gave = delivers(request.getfixturevalue(dane), domain, behaviour)
    assert (delivery.status, gave) == ("deferred", False) and words in delivery.text, delivery.text


@pytest.mark.parametrize("domain", ["wrong-ds.com", "expired.net", "address-bogus.net", "mx-servfail.org"])
def test_B01_bogus_stays_queued(try_dane, domain):
    delivery = try_dane.deliver(f"user{next(numbers)}@{domain}")
    assert delivery.status == "deferred", delivery.text


def test_B10_one_host_fails_and_the_next_is_used(try_dane):
    delivery, gave = delivers(try_dane, "one-tlsa-fails.com", host="mx2.one-tlsa-fails.com")
    assert (delivery.status, delivery.verified, gave) == ("sent", "dane", True), delivery.text


@pytest.mark.parametrize("domain, behaviour, verified", [
    (PLAIN, "good", "no"), (PLAIN, "no-starttls", None), (NO_AUTH, "good", "no"), ("insecure-mx.org", "no-starttls", None)])
def test_sent_without_DANE(try_dane, domain, behaviour, verified):
    """The last one is Exim's limit: behind an insecure MX it looks for no TLSA record."""
    delivery, gave = delivers(try_dane, domain, behaviour, host_of(domain))
    assert (delivery.status, delivery.verified, gave) == ("sent", verified, True), delivery.text


def test_F11_limits_of_aliases(try_dane):
    """TLSA records at the original name of an aliased host only: RFC 7672 section 2.2.2 has them count, Exim looks at the expanded name."""
    delivery, gave = delivers(try_dane, "mx-cname-expanded.net", "no-starttls", "mail.mx-cname-expanded.net")
    assert (delivery.status, gave) == ("deferred", False), delivery.text
    delivery, gave = delivers(try_dane, "mx-cname-original.net", "no-starttls", "mail.mx-cname-original.net")
    assert (delivery.status, gave) == ("sent", True), delivery.text


def test_require_dane_bounces_what_has_none(require_dane):
    """Why docs/integrations/exim.md advises against it."""
    delivery, gave = delivers(require_dane, PLAIN)
    assert (delivery.status, gave) == ("bounced", False), delivery.text


def test_what_it_would_have_done_without_trust_ad(here):
    """The stub validates, and glibc hides it: no DANE, mail in clear, not a word."""
    with exim("hosts_try_dane", "nameserver 127.0.0.1\n") as blind:
        for domain, behaviour in ((DANE, "no-starttls"), (MISMATCH, "good"), (DANE, "other-certificate")):
            delivery, gave = delivers(blind, domain, behaviour)
            assert (delivery.status, gave) == ("sent", True) and delivery.verified != "dane", delivery.text


# ---- with what resolverd-postfix says, by the configuration that the documentation shows ----

def block(kind):
    return re.search(rf"```exim {kind}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL).group(1)


def documented(port, resolv_conf=STUB):
    routers = block("routers").replace("127.0.0.1:8460", f"127.0.0.1:{port}") + ROUTER
    transports = TRANSPORT.replace("  dnssec_request_domains = *\n", "").replace("  {dane} = *\n", block("transport"))
    return Exim(routers, transports, DNSSEC + "domainlist local_domains = sender.example\n", resolv_conf)


@pytest.fixture(scope="module")
def policy_map(here):
    made = Map(*here, "--postfix-resolver", "127.0.0.1")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def by_verdict(policy_map):
    with documented(policy_map.port) as made:
        yield made


@pytest.mark.parametrize("domain, behaviour, status, verified", [
    (DANE, "good", "sent", "dane"),
    (DANE, "other-certificate", "deferred", None),
    (DANE, "no-starttls", "deferred", None),
    (NO_AUTH, "good", "sent", "no"),
    (NO_AUTH, "no-starttls", "deferred", None),
    (PLAIN, "no-starttls", "sent", None),
    (OFF, "no-starttls", "sent", None),
    (OFF, "other-certificate", "sent", "no"),
])
def test_verdicts(by_verdict, domain, behaviour, status, verified):
    delivery, gave = delivers(by_verdict, domain, behaviour)
    assert (delivery.status, delivery.verified, gave) == (status, verified, status == "sent"), delivery.text


@pytest.mark.parametrize("domain, words", [("tlsa-servfail.com", "the TLSA lookup failed"), ("wrong-ds.com", "the MX lookup failed"),
                                           (MANDATORY, "local policy demands DANE")])
def test_a_delay_comes_with_its_reason(by_verdict, domain, words):
    delivery, gave = delivers(by_verdict, domain) if domain != "wrong-ds.com" else (by_verdict.deliver(f"user@{domain}"), False)
    assert (delivery.status, gave) == ("deferred", False), delivery.text
    assert re.search(rf"== .* R=resolverd defer \(.*\): \d+:TEMP {domain}: .*{words}", delivery.text), delivery.text


def test_without_trust_ad_the_routers_hold_DANE_back(policy_map):
    with documented(policy_map.port, "nameserver 127.0.0.1\n") as blind:
        delivery, gave = delivers(blind, DANE)
        assert (delivery.status, gave) == ("deferred", False) and "R=resolverd_probe" in delivery.text, delivery.text
        assert delivers(blind, PLAIN)[0].status == "sent"


def test_without_the_program_nothing_goes_out(here):
    with documented(1) as alone:
        delivery, gave = delivers(alone, PLAIN)
    assert (delivery.status, gave) == ("deferred", False) and "resolverd-postfix does not answer" in delivery.text, delivery.text


def test_the_checks_of_the_documentation(by_verdict, policy_map):
    text = DOCUMENT.read_text().replace("127.0.0.1:8460", f"127.0.0.1:{policy_map.port}")
    seen, asked = (by_verdict.expand(expression) for expression in re.findall(r"^    exim -be '(.*)'$", text, re.MULTILINE))
    assert seen == "Exim sees validated answers" and re.fullmatch(r"\d+:(NOTFOUND |TEMP .*),", asked)

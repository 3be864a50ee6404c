# SPDX-License-Identifier: BSD-3-Clause
"""Debian's Postfix with the shim, on a machine where no other resolver validates: what it sends, and what stays queued.

The same Postfix without the shim, beside a resolver that does not validate, shows what it would have done.
"""

import contextlib
import pathlib
import tempfile

import pytest
from conftest import WORLD, Daemon
from mta import Postfix, why_no_postfix
from oracle import NOT_VALIDATING, Unbound
from scenarios import DANE, FACTS, MISMATCH, NO_AUTH, PLAIN, SCENARIOS, TA, mx
from smtp import Behaviour, Server
from test_shim import environment_of, sanitizers

pytestmark = [pytest.mark.skipif(why_no_postfix() is not None, reason=str(why_no_postfix())),
              pytest.mark.skipif(bool(sanitizers()), reason="Postfix is not built with sanitizers")]

SENT = {scenario["name"]: scenario for scenario in SCENARIOS if scenario["port"] == 25 and "\\" not in scenario["domain"]}
BOUNCED = {"no-mail", "no-such-domain", "no-host"}  # outcomes of a plan

# Where Postfix does otherwise than the plan says, and why: status, TLS connections.
OTHERWISE = {
    "null-mx-beside": ("bounced", []),  # Postfix takes a null MX for one whatever stands beside it
    "tlsa-33": ("sent", ["Verified"]),  # the bound is ours
    "tlsa-mismatch": ("deferred", ["Untrusted"]),  # what a plan can't know: no certificate matches
    "tlsa-mismatch-next": ("sent", ["Untrusted", "Verified"]),
    "agility": ("deferred", ["Untrusted"]),
    "address-as-mx": ("deferred", []),  # Postfix takes it for the address that it looks like, where nobody listens
    # libunbound can't validate an alias that comes of a DNAME when that itself is asked for, as Postfix does to learn whether the
    # name before an insecure address is secure.
    "mx-dname-to-insecure": ("deferred", []),
}


@pytest.fixture(scope="module")
def open_daemon():
    """One that Postfix's user can reach."""
    with tempfile.TemporaryDirectory(prefix="resolverd-") as directory:
        pathlib.Path(directory).chmod(0o755)
        daemon = Daemon(directory, server__socket_mode="0666", prefetch__rule="off").start()
        yield daemon
        daemon.stop()


@pytest.fixture(scope="module")
def with_shim(open_daemon):
    with Postfix(environment=environment_of(open_daemon)) as postfix:
        yield postfix


@pytest.fixture(scope="module")
def without_shim(tmp_path_factory):
    with Unbound(WORLD, tmp_path_factory.mktemp("unbound"), "127.0.0.1", NOT_VALIDATING), \
         Postfix(resolv_conf="nameserver 127.0.0.1\n") as postfix:
        yield postfix


@contextlib.contextmanager
def all_mail_hosts():
    """Each good, and with the certificate of the name that it is asked for."""
    with contextlib.ExitStack() as stack:
        yield {host: stack.enter_context(Server(host, "by-sni")) for host in FACTS["hosts"]}


def deliver_all(postfix):
    """{scenario: Delivery}, {host: messages it got}"""
    with all_mail_hosts() as servers:
        queued = {name: postfix.submit(f"user@{scenario['domain']}") for name, scenario in SENT.items()}
        fates = {name: postfix.fate(queue_id) for name, queue_id in queued.items()}
        if fates["slow-server"].status == "deferred":  # libunbound may give it up beside a hundred others that it has not seen before
            fates["slow-server"] = postfix.deliver(f"user@{SENT['slow-server']['domain']}")
        return (fates, {host: server.messages() for host, server in servers.items()})


@pytest.fixture(scope="module")
def delivered(with_shim):
    return deliver_all(with_shim)


@pytest.fixture(scope="module")
def would_be_delivered(without_shim):
    return deliver_all(without_shim)


def expected(scenario):
    """[(status, TLS connections), …] of which one is right, by the plan."""
    plan = scenario["expect"]
    if scenario["name"] in OTHERWISE:
        return [OTHERWISE[scenario["name"]]]
    if plan["outcome"] != "deliver":
        return [("bounced" if plan["outcome"] in BOUNCED else "deferred", [])]
    # Behind an insecure MX the host is authenticated by its own name, which Postfix calls trusted, not verified.
    authenticated = "Verified" if plan["mx"]["status"] == "secure" else "Trusted"
    usable = [authenticated if host["policy"] == "dane" else "Untrusted" for host in plan["hosts"] if host["policy"] != "unreachable"]
    return [("sent", [word]) for word in (usable if plan.get("any_order") else usable[:1])]


@pytest.mark.parametrize("name", SENT)
def test_scenario(delivered, name):
    delivery = delivered[0][name]
    assert (delivery.status, delivery.tls) in expected(SENT[name]), delivery.text


def test_all_that_was_delivered_went_over_tls(delivered):
    assert all(message["tls"] for messages in delivered[1].values() for message in messages)
    assert sum(map(len, delivered[1].values())) == sum(delivery.status == "sent" for delivery in delivered[0].values())


def test_what_it_says_of_a_failing_tlsa_lookup(delivered):
    for name in ("tlsa-servfail", "tlsa-expired", "stripped-tlsa", "no-denial"):
        assert f"TLSA lookup error for {mx(SENT[name]['domain'])}:25" in delivered[0][name].text
        assert delivered[0][name].dsn == "4.7.5"


def test_what_it_says_of_bogus_data(delivered):
    for name in ("wrong-ds", "expired-mx", "stripped", "ad-bogus"):
        assert f"Name service error for name={SENT[name]['domain']} type=MX: Host not found, try again" in delivered[0][name].text
        assert delivered[0][name].dsn == "4.4.3"


def test_deferred_mail_stays_queued(with_shim, delivered):
    queued = [path.name for path in with_shim.queue.glob("deferred/*/*")]
    assert len(queued) >= sum(delivery.status == "deferred" for delivery in delivered[0].values()) > 30


@pytest.mark.parametrize("name", [name for name in SENT if SENT[name]["expect"]["outcome"] == "deliver"])
def test_without_the_shim_nothing_is_authenticated(would_be_delivered, name):
    delivery = would_be_delivered[0][name]
    assert set(delivery.tls) <= {"Untrusted"}, delivery.text


@pytest.mark.parametrize("name", ["tlsa-mismatch", "agility", "wrong-ds", "expired", "expired-mx", "stripped", "ad-bogus", "stripped-tlsa",
                                  "no-denial", "tlsa-servfail", "tlsa-timeout", "tlsa-expired", "tlsa-forged", "host-in-bogus-zone"])
def test_without_the_shim_it_would_have_gone_out(would_be_delivered, name):
    delivery = would_be_delivered[0][name]
    assert (delivery.status, delivery.tls) == ("sent", ["Untrusted"]), delivery.text


def test_without_the_shim_postfix_notices(without_shim, would_be_delivered):
    assert "DNSSEC validation may be unavailable" in without_shim.log()
    assert "reason: dnssec_probe 'ns:.' received a response that is not DNSSEC validated" in without_shim.log()


def test_with_the_shim_the_root_is_secure(with_shim, delivered):
    """Postfix asks for the root's name servers where it finds data that is not secure."""
    assert "dnssec_probe" not in with_shim.log()


# ---- attacks ----

@pytest.mark.parametrize("domain, behaviour, says", [
    (DANE, "no-starttls", "TLS is required, but was not offered by host"),
    (TA, "no-starttls", "TLS is required, but was not offered by host"),
    (NO_AUTH, "no-starttls", "TLS is required, but was not offered by host"),
    (DANE, "starttls-454", "TLS is required, but host"),
    (DANE, "handshake-alert", "Cannot start TLS"),
    (DANE, "handshake-drop", "Cannot start TLS"),
    (DANE, "other-certificate", "Server certificate not verified"),
    (TA, Behaviour(certificate=mx(DANE)), "Server certificate not verified"),
    (MISMATCH, "good", "Server certificate not verified"),
], ids=lambda value: value if isinstance(value, str) else "other-name")
def test_an_attacked_host_gets_nothing(with_shim, domain, behaviour, says):
    with Server(mx(domain), behaviour) as server:
        delivery = with_shim.deliver(f"user@{domain}")
    assert (delivery.status, server.gave()) == ("deferred", []) and says in delivery.text, delivery.text


def test_in_clear_where_there_is_no_dane(with_shim):
    with Server(mx(PLAIN), "no-starttls") as server:
        delivery = with_shim.deliver(f"user@{PLAIN}")
    assert (delivery.status, delivery.tls, len(server.messages(tls=False))) == ("sent", [], 1), delivery.text


@pytest.mark.parametrize("domain", [DANE, TA, NO_AUTH])
def test_without_the_shim_a_stripped_host_gets_it_in_clear(without_shim, domain):
    with Server(mx(domain), "no-starttls") as server:
        delivery = without_shim.deliver(f"user@{domain}")
    assert (delivery.status, delivery.tls, len(server.messages(tls=False))) == ("sent", [], 1), delivery.text


# ---- where the daemon is not ----

def test_without_the_daemon_all_mail_waits(make_daemon, public_path):
    daemon = make_daemon(below=public_path, server__socket_mode="0666")
    with Postfix(environment=environment_of(daemon)) as postfix:
        for domain, tls in ((DANE, "Verified"), (PLAIN, "Untrusted")):
            with Server(mx(domain)):
                assert postfix.deliver(f"user@{domain}").tls == [tls]
                daemon.stop()
                delivery = postfix.deliver(f"user@{domain}")
                assert delivery.status == "deferred" and "type=MX: Host not found, try again" in delivery.text, delivery.text
                daemon.start()
                assert postfix.deliver(f"user@{domain}").tls == [tls]


def test_a_user_who_may_not_ask(make_daemon, public_path):
    daemon = make_daemon(below=public_path, server__socket_mode="0600")
    with Postfix(environment=environment_of(daemon)) as postfix, Server(mx(DANE)) as server:
        delivery = postfix.deliver(f"user@{DANE}")
    assert (delivery.status, server.gave()) == ("deferred", []), delivery.text


@pytest.mark.parametrize("where, status, tls", [("outside", "deferred", []), ("inside", "sent", ["Verified"]), ("bound", "sent", ["Verified"])])
def test_chroot(make_daemon, public_path, where, status, tls):
    """As Debian has it for smtp(8): socket and key need to be seen in the queue directory, made there or bound to it."""
    daemon = make_daemon(start=False, below=public_path, server__socket_mode="0666")
    environment = environment_of(daemon)
    if where == "inside":
        environment |= {"RESOLVERD_SOCKET": "/daemon1/s.sock", "RESOLVERD_PUBLIC_KEY": "/daemon1/resolverd.pub"}
    postfix = Postfix(environment=environment, chroot=True)
    if where == "inside":
        daemon = make_daemon(start=False, below=postfix.queue, server__socket_mode="0666")
    if where == "bound":
        folder = postfix.queue / daemon.directory.relative_to("/")
        folder.mkdir(parents=True)
        postfix.binds[folder] = daemon.directory
    daemon.start()
    with postfix, Server(mx(DANE)):
        delivery = postfix.deliver(f"user@{DANE}")
        daemon.stop()
    assert (delivery.status, delivery.tls) == (status, tls), delivery.text

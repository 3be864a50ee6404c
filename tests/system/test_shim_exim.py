# SPDX-License-Identifier: BSD-3-Clause
"""Debian's Exim with the shim, where no resolver answers at all; and a set-user-ID Exim, to which no shim comes."""

import pathlib
import shutil
import tempfile

import pytest
from conftest import Daemon
from scenarios import DANE, MISMATCH, PLAIN, TA, mx
from smtp import Behaviour, Server
from test_shim import environment_of, sanitizers

exim = pytest.importorskip("exim")

pytestmark = [pytest.mark.skipif(exim.why_no_exim() is not None, reason=str(exim.why_no_exim())),
              pytest.mark.skipif(bool(sanitizers()), reason="Exim is not built with sanitizers")]

ROUTERS = """\
dnslookup:
  driver = dnslookup
  transport = remote_smtp
  ignore_target_hosts = 0.0.0.0
  no_more
"""
TRANSPORTS = """\
remote_smtp:
  driver = smtp
  dnssec_request_domains = *
  hosts_try_dane = *
  connect_timeout = 3s
"""


@pytest.fixture(scope="module")
def open_daemon():
    """One that Exim's user can reach."""
    with tempfile.TemporaryDirectory(prefix="resolverd-") as directory:
        pathlib.Path(directory).chmod(0o755)
        daemon = Daemon(directory, server__socket_mode="0666", prefetch__rule="off").start()
        yield daemon
        daemon.stop()


@pytest.fixture(params=[False])
def sender(request, open_daemon, monkeypatch, public_path):
    """Exim with the shim; it clears its environment at start, but for what add_environment puts there. It starts itself anew as its
    own user for a delivery, so that it matters whether its file is set-user-ID even where root starts it."""
    program = public_path / "exim4"
    shutil.copy(exim.EXIM, program)
    program.chmod(0o4755 if request.param else 0o755)
    monkeypatch.setattr(exim, "EXIM", str(program))
    environment = environment_of(open_daemon)
    monkeypatch.setenv("LD_PRELOAD", environment["LD_PRELOAD"])
    main = "dns_dnssec_ok = 1\nadd_environment = <; " + " ; ".join(f"{name}={value}" for name, value in environment.items())
    with exim.Exim(ROUTERS, TRANSPORTS, main) as sender:
        yield sender


@pytest.mark.parametrize("domain, verified", [(DANE, "dane"), (TA, "dane"), (PLAIN, "no")])
def test_sent(sender, domain, verified):
    with Server(mx(domain)) as server:
        delivery = sender.deliver(f"user@{domain}")
    assert (delivery.status, delivery.verified, len(server.messages(tls=True))) == ("sent", verified, 1), delivery.text


@pytest.mark.parametrize("domain, behaviour", [
    (DANE, "no-starttls"), (TA, "no-starttls"), (DANE, "other-certificate"), (TA, Behaviour(certificate=mx(DANE))), (MISMATCH, "good"),
    ("wrong-ds.com", None), ("tlsa-servfail.com", "good"), ("tlsa-expired.org", "good"), ("stripped-tlsa.net", "good"),
    ("no-denial.com", "good"), ("silent.net", None),
])
def test_not_sent(sender, domain, behaviour):
    if behaviour is None:
        assert sender.deliver(f"user@{domain}").status == "deferred"
        return
    with Server(mx(domain), behaviour) as server:
        delivery = sender.deliver(f"user@{domain}")
    assert (delivery.status, server.gave()) == ("deferred", []), delivery.text


@pytest.mark.parametrize("sender", [True], indirect=True)
def test_a_set_user_id_exim_has_no_shim(sender):
    """ld.so drops LD_PRELOAD without a word: Exim asks whom resolv.conf names, here nobody."""
    with Server(mx(DANE)) as server:
        delivery = sender.deliver(f"user@{DANE}")
    assert (delivery.status, server.connections) == ("deferred", 0) and "host lookup did not complete" in delivery.text, delivery.text

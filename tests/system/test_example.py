# SPDX-License-Identifier: BSD-3-Clause
"""docs/examples/dane_client.c end to end: daemon, adapter, and mail servers with real certificates."""

import os
import subprocess

from conftest import BUILD
from scenarios import DANE, PLAIN, TA, mx
from smtp import Behaviour, Server


def dane_client(daemon, domain):
    environment = os.environ | {"RESOLVERD_SOCKET": daemon.socket, "RESOLVERD_PUBLIC_KEY": daemon.public_key}
    done = subprocess.run([str(BUILD / "examples" / "dane_client"), domain], env=environment,
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def test_h03_l01_usage_3_delivers_and_sends_the_base_domain(daemon):
    with Server(mx(DANE)) as server:
        code, text = dane_client(daemon, DANE)
    assert code == 0 and f"{mx(DANE)} dane: yes" in text, text
    assert [record["sni"] for record in server.events("handshake")] == [mx(DANE)]


def test_h06_usage_2_delivers(daemon):
    with Server(mx(TA)):
        code, text = dane_client(daemon, TA)
    assert code == 0 and f"{mx(TA)} dane: yes" in text, text


def test_i02_the_certificate_of_another_host_gets_nothing(daemon):
    for domain in (DANE, TA):
        with Server(mx(domain), Behaviour(certificate="mx.dane-both.net")) as server:
            code, text = dane_client(daemon, domain)
        assert code == 75 and f"{mx(domain)} dane: no" in text, text
        assert server.gave() == []


def test_d04_starttls_refused_gets_nothing(daemon):
    with Server(mx(DANE), "starttls-454") as server:
        code, text = dane_client(daemon, DANE)
    assert code == 75 and f"{mx(DANE)} dane: no: no TLS" in text, text
    assert server.verbs() == ["EHLO", "STARTTLS"] * len(server.addresses)


def test_d07_without_dane_cleartext_will_do(daemon):
    with Server(mx(PLAIN), "starttls-454"):
        code, text = dane_client(daemon, PLAIN)
    assert code == 0 and f"{mx(PLAIN)} opportunistic: yes" in text, text

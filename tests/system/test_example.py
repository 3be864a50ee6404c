# SPDX-License-Identifier: BSD-3-Clause
"""docs/examples/dane_client.c end to end: daemon, adapter, and mail servers with real certificates."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading

from conftest import BUILD, WORLD

HOSTS = json.loads((WORLD / "world.json").read_text())["hosts"] if WORLD else {}


class MailServer:
    """SMTP up to STARTTLS and one EHLO under TLS, at port 25 of a host's IPv4 address."""

    def __init__(self, host, certificate_of=None, starttls=True):
        self.starttls, self.names, self.connections = starttls, [], 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(WORLD / "tls" / f"{certificate_of or host}.pem")
        self.context.sni_callback = lambda connection, name, context: self.names.append(name)
        address = next(a for a in HOSTS[host] if ":" not in a)
        self.listener = socket.create_server((address, 25))
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.listener.close()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                connection.settimeout(10)
                with connection, contextlib.suppress(OSError):
                    self.talk(connection)

    def talk(self, connection):
        connection.sendall(b"220 mail server\r\n")
        while line := connection.recv(512):
            if line.startswith(b"EHLO"):
                connection.sendall(b"250-mail server\r\n250 STARTTLS\r\n")
            elif self.starttls:
                connection.sendall(b"220 go on\r\n")
                self.context.wrap_socket(connection, server_side=True).close()
                return
            else:
                connection.sendall(b"454 not now\r\n")


def dane_client(daemon, domain):
    environment = os.environ | {"RESOLVERD_SOCKET": daemon.socket, "RESOLVERD_PUBLIC_KEY": daemon.public_key}
    done = subprocess.run([str(BUILD / "examples" / "dane_client"), domain], env=environment,
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def test_h03_l01_usage_3_delivers_and_sends_the_base_domain(daemon):
    with MailServer("mx.dane-ee.org") as server:
        code, text = dane_client(daemon, "dane-ee.org")
    assert code == 0 and "mx.dane-ee.org dane: yes" in text, text
    assert server.names == ["mx.dane-ee.org"]


def test_h06_usage_2_delivers(daemon):
    with MailServer("mx.dane-ta.com"):
        code, text = dane_client(daemon, "dane-ta.com")
    assert code == 0 and "mx.dane-ta.com dane: yes" in text, text


def test_i02_the_certificate_of_another_host_gets_nothing(daemon):
    for host, domain in (("mx.dane-ee.org", "dane-ee.org"), ("mx.dane-ta.com", "dane-ta.com")):
        with MailServer(host, certificate_of="mx.dane-both.net"):
            code, text = dane_client(daemon, domain)
        assert code == 75 and f"{host} dane: no" in text, text


def test_d04_starttls_refused_gets_nothing(daemon):
    with MailServer("mx.dane-ee.org", starttls=False) as server:
        code, text = dane_client(daemon, "dane-ee.org")
    assert code == 75 and "mx.dane-ee.org dane: no: no TLS" in text, text
    assert server.connections == 1


def test_d07_without_dane_cleartext_will_do(daemon):
    with MailServer("mx.plain.net", starttls=False):
        code, text = dane_client(daemon, "plain.net")
    assert code == 0 and "mx.plain.net opportunistic: yes" in text, text

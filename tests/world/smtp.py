# SPDX-License-Identifier: BSD-3-Clause
"""Mail hosts of the world: SMTP servers with real TLS that behave as a table says, and log all they are sent.

    with Server("mx.dane-ee.org", "no-starttls") as server:
        …deliver…
    assert server.gave() == []

A server listens at its host's addresses, port 25. `server.log` is a list of records, in order of arrival (also as JSON lines in a
file, where one is given):

    {"connection": 1, "event": "command", "line": "EHLO sender", "tls": false}
    {"connection": 1, "event": "handshake", "version": "TLSv1.3", "sni": "mx.dane-ee.org"}
    {"connection": 1, "event": "message", "sha256": "…", "octets": 120, "text": "…", "tls": true}

`text` is the message with dots unstuffed, up to a mebibyte of it. What arrives where no command is due is a record "octets".
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import socket
import ssl
import tempfile
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATIENCE_S = 30
TEXT_MAX = 1 << 20
IPV6_FREEBIND = 78
FATAL_ALERT = bytes.fromhex("15030300020228")  # handshake_failure
OFFERED = ("SIZE 10485760", "8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES")


class Drop(Exception):
    """The server closes the connection here, without a word."""


def drop(_connection):
    raise Drop


def silence(connection):
    """Says nothing more, and waits until the client leaves."""
    connection.read_octets()
    raise Drop


def drip(connection):
    """A greeting at an octet a second, that never ends."""
    for character in "220 " + "x" * 1000:
        connection.send(character.encode())
        time.sleep(1)


def flood(text, times):
    def send(connection):
        for _ in range(times):
            connection.send(text)
        silence(connection)
    return send


def tls_at_once(connection):
    """TLS from the start, and nothing said under it."""
    connection.handshake()
    silence(connection)


def alert(connection):
    connection.socket.recv(4096)  # the ClientHello
    connection.send(FATAL_ALERT)
    raise Drop


def drop_in_handshake(connection):
    connection.socket.recv(4096)
    raise Drop


def garbage(connection):
    connection.socket.recv(4096)
    connection.send(b"454 TLS is not available just now\r\n" * 10)
    silence(connection)


def hello_requests(connection):
    """HelloRequests without end (RFC 5246 section 7.4.1.1): a client skips them, as fast as they come."""
    connection.socket.recv(4096)
    records = bytes.fromhex("1603030004" "00000000") * 100000
    with contextlib.suppress(OSError):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            connection.send(records)
    raise Drop


def no_hello(connection):
    """Waits for a ClientHello and never answers it."""
    silence(connection)


def break_tls(answer):
    """Under TLS octets that are none, in clear an answer."""
    def send(connection):
        if not connection.has_tls:
            connection.say(answer)
            return
        with socket.socket(fileno=os.dup(connection.socket.fileno())) as beneath:
            beneath.sendall(b"250 this is not TLS\r\n")
        silence(connection)
    return send


def break_tls_in_message(connection):
    connection.say("354 go ahead")
    connection.read_line()
    break_tls("")(connection)


def close_in_message(connection):
    """Accepts DATA, reads a little of the message, and closes."""
    connection.say("354 go ahead")
    connection.read_line()
    raise Drop


def refuse_in_message(connection):
    """Refuses the message before its end."""
    connection.say("354 go ahead")
    connection.read_line()
    connection.say("552 5.2.2 that is enough")
    while connection.socket.recv(65536):
        pass


def twice(answer):
    """An answer, and a little later the same again, which nobody asked for."""
    def say(connection):
        connection.say(answer)
        time.sleep(0.3)
        connection.say(answer)
    return say


@dataclasses.dataclass
class Behaviour:
    """What a server says. An answer is a line, bytes as they are, or a function of the connection."""

    greeting: object = "220 {host} ESMTP"
    ehlo: object = None  # the capabilities
    helo: object = "250 {host}"
    starttls: object = "220 2.0.0 go ahead"
    handshake: object = None  # TLS
    mail: object = "250 2.1.0 ok"
    rcpt: object = "250 2.1.5 ok"  # or {local part: answer}, "" for all others
    data: object = "354 go ahead"
    end: object = "250 2.0.0 taken as 1"
    offered: tuple = OFFERED
    clear: tuple = ("STARTTLS",)  # offered beside, in clear only
    tls: tuple = ()  # offered beside, under TLS only
    certificate: object = None  # a host whose certificate is shown, or a number of days: how long it is still good
    by_sni: bool = False  # the certificate of the name that it is asked for, where there is one
    subject: str = ""  # further words of it, of whatever length
    versions: tuple = ()  # (lowest, highest)


STARTTLS_INJECTED = b"220 2.0.0 go ahead\r\n250-injected\r\n250 8BITMIME\r\n"
REQUIRETLS = ("REQUIRETLS",)

BEHAVIOURS = {
    "good": Behaviour(),
    "good-requiretls": Behaviour(tls=REQUIRETLS),
    "requiretls-in-clear-only": Behaviour(clear=("STARTTLS", "REQUIRETLS")),
    "tls-1.2": Behaviour(versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)),
    "bare": Behaviour(offered=()),
    "no-pipelining": Behaviour(offered=tuple(word for word in OFFERED if word != "PIPELINING")),
    "no-8bitmime": Behaviour(offered=("PIPELINING",)),
    "small": Behaviour(offered=("SIZE 1000", "PIPELINING", "8BITMIME")),
    "by-sni": Behaviour(by_sni=True),
    "other-certificate": Behaviour(certificate="mx.dane-ta.com"),
    "expired": Behaviour(certificate=-1),
    "expires-soon": Behaviour(certificate=3),
    "no-starttls": Behaviour(clear=()),
    "no-starttls-requiretls": Behaviour(clear=REQUIRETLS),
    "starttls-454": Behaviour(starttls="454 4.7.0 not just now"),
    "starttls-502": Behaviour(starttls="502 5.5.1 not implemented"),
    "starttls-injected": Behaviour(starttls=STARTTLS_INJECTED),
    "ehlo-injected": Behaviour(ehlo=b"250-mx\r\n250 STARTTLS\r\n220 go ahead\r\n"),
    "handshake-alert": Behaviour(handshake=alert),
    "handshake-drop": Behaviour(handshake=drop_in_handshake),
    "handshake-garbage": Behaviour(handshake=garbage),
    "handshake-flood": Behaviour(handshake=hello_requests),
    "handshake-silent": Behaviour(handshake=no_hello),
    "tls-at-once": Behaviour(greeting=tls_at_once),
    "silent": Behaviour(greeting=silence),
    "drip": Behaviour(greeting=drip),
    "long-line": Behaviour(greeting=flood(b"220 " + b"x" * 1048576, 10)),
    "endless-ehlo": Behaviour(ehlo=flood(b"250-more\r\n" * 1000, 1000)),
    "not-smtp": Behaviour(greeting="SSH-2.0-OpenSSH_9.2"),
    "greeting-drop": Behaviour(greeting=drop),
    "greeting-421": Behaviour(greeting="421 4.3.2 too busy"),
    "greeting-554": Behaviour(greeting="554 5.3.2 no mail here"),
    "two-greetings": Behaviour(greeting=b"220 mx\r\n220 mx\r\n"),
    "ehlo-refused": Behaviour(ehlo="502 5.5.1 not implemented"),
    "ehlo-refused-554": Behaviour(ehlo="554 5.7.1 not you"),
    "mail-451": Behaviour(mail="451 4.3.0 later"),
    "mail-550": Behaviour(mail="550 5.7.1 sender refused"),
    "mail-421": Behaviour(mail="421 4.3.2 shutting down"),
    "tls-breaks-at-mail": Behaviour(mail=break_tls("250 2.1.0 ok")),
    "tls-breaks-at-data": Behaviour(data=break_tls("354 go ahead")),
    "tls-breaks-in-message": Behaviour(data=break_tls_in_message),
    "some-refused": Behaviour(rcpt={"later": "450 4.2.1 not now", "nobody": "550 5.1.1 no such user", "": "250 2.1.5 ok"}),
    "all-refused": Behaviour(rcpt="550 5.1.1 no such user"),
    "multi-line": Behaviour(rcpt=b"550-5.1.1 no such\r\n550-5.1.1\tuser \xff\r\n550 5.1.1 here\r\n"),
    "no-enhanced": Behaviour(rcpt="550 no such user"),
    "data-250": Behaviour(data="250 2.0.0 ok"),
    "rcpt-twice": Behaviour(rcpt=twice("250 2.1.5 ok")),
    "data-451": Behaviour(data="451 4.3.0 no room"),
    "data-554": Behaviour(data="554 5.6.0 no"),
    "message-550": Behaviour(end="550 5.7.1 spam"),
    "message-451": Behaviour(end="451 4.3.0 later"),
    "drop-in-message": Behaviour(data=close_in_message),
    "refuse-in-message": Behaviour(data=refuse_in_message),
    "drop-after-message": Behaviour(end=drop),
    "silent-after-message": Behaviour(end=silence),
    "garbage-after-message": Behaviour(end=b"250-2.0.0 ok\r\n252 ok\r\n"),
    "354-after-message": Behaviour(end="354 go ahead"),
}


class Connection:
    """One client, in a thread of its own."""

    def __init__(self, server, number, sock):
        self.server, self.number, self.socket = server, number, sock
        self.behaviour = server.behaviour
        self.buffer = b""
        self.sni = None
        sock.settimeout(PATIENCE_S)

    @property
    def has_tls(self):
        return isinstance(self.socket, ssl.SSLSocket)

    def record(self, event, **details):
        self.server.record({"connection": self.number, "event": event, **details, "tls": self.has_tls})

    def send(self, octets):
        self.socket.sendall(octets)

    def say(self, line):
        self.send(line.format(host=self.server.host).encode() + b"\r\n")

    def answer(self, answer):
        if callable(answer):
            answer(self)
        elif isinstance(answer, bytes):
            self.send(answer)
        else:
            self.say(answer)

    def read_line(self):
        while b"\n" not in self.buffer:
            octets = self.socket.recv(65536)
            if not octets:
                raise Drop
            self.buffer += octets
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def read_octets(self):
        """Whatever comes until the client leaves."""
        octets, self.buffer = self.buffer, b""
        with contextlib.suppress(OSError):
            while more := self.socket.recv(65536):
                octets += more
        if octets:
            self.record("octets", hex=octets[:10000].hex())

    def run(self):
        try:
            self.answer(self.behaviour.greeting)
            while self.command(self.read_line()):
                pass
        except (Drop, OSError):
            pass
        finally:
            self.close()

    def close(self):
        if not self.has_tls:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)  # what is unread must not turn the last words into a reset
                self.socket.settimeout(0.2)
                self.read_octets()
        self.socket.close()

    def command(self, line):
        text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
        self.record("command", line=text)
        verb, _, rest = text.partition(" ")
        verb = verb.upper()
        answers = {"HELO": self.behaviour.helo, "MAIL": self.behaviour.mail, "RSET": "250 2.0.0 ok"}
        if verb == "EHLO":
            self.ehlo()
        elif verb == "STARTTLS":
            self.starttls()
        elif verb == "RCPT":
            self.rcpt(rest)
        elif verb == "DATA":
            self.data()
        elif verb in answers:
            self.answer(answers[verb])
        elif verb == "QUIT":
            self.say("221 2.0.0 bye")
            return False
        else:
            self.say("500 5.5.2 what?")
        return True

    def ehlo(self):
        behaviour = self.behaviour
        if behaviour.ehlo:
            self.answer(behaviour.ehlo)
            return
        lines = [self.server.host, *(behaviour.tls if self.has_tls else behaviour.clear), *behaviour.offered]
        self.send(b"".join(f"250-{line}\r\n".encode() for line in lines[:-1]) + f"250 {lines[-1]}\r\n".encode())

    def starttls(self):
        self.answer(self.behaviour.starttls)
        if isinstance(self.behaviour.starttls, str) and not self.behaviour.starttls.startswith("220"):
            return
        if self.behaviour.handshake:
            self.behaviour.handshake(self)
        self.buffer = b""  # as RFC 3207 section 4.2 has it
        self.handshake()

    def handshake(self):
        try:
            self.socket = self.server.context(self).wrap_socket(self.socket, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.record("handshake-failed", why=str(error))
            raise Drop from error
        self.record("handshake", version=self.socket.version(), sni=self.sni)

    def rcpt(self, rest):
        answer = self.behaviour.rcpt
        if isinstance(answer, dict):
            local_part = rest.partition("<")[2].partition("@")[0]
            answer = answer.get(local_part, answer[""])
        self.answer(answer)

    def data(self):
        self.answer(self.behaviour.data)
        if self.behaviour.data not in ("354 go ahead", BEHAVIOURS["tls-breaks-at-data"].data):
            return
        digest, octets, text = hashlib.sha256(), 0, []
        while (line := self.read_line()) != b".\r\n":
            line = line.removeprefix(b".")
            digest.update(line)
            octets += len(line)
            if octets <= TEXT_MAX:
                text.append(line)
        self.record("message", sha256=digest.hexdigest(), octets=octets, text=b"".join(text).decode("utf-8", "backslashreplace"))
        self.answer(self.behaviour.end)


class Listener:
    """Accepts connections, each in a thread; all of them end with the context."""

    def __init__(self):
        self._listeners, self._threads, self.sockets = [], [], []

    def listen_all(self, addresses, port):
        try:
            for address in addresses:
                self.listen(address, port)
        except OSError:
            self.close()
            raise
        return self

    def listen(self, address, port):
        listener = socket.socket(family_of(address))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)  # the world's IPv6 addresses are local by a route
        self._listeners.append(listener)
        listener.bind((address, port))
        listener.listen()
        self.start(self._accept, listener, address)

    def start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener, address):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.sockets.append(sock)
            self.serve(sock, address)

    def close(self):
        for sock in self._listeners + self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def __exit__(self, *_exception):
        self.close()


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Server(Listener):
    """One mail host. `behaviour` is a name of BEHAVIOURS or a Behaviour."""

    def __init__(self, host, behaviour="good", addresses=None, port=25, log_file=None):
        super().__init__()
        self.directory = pathlib.Path(os.environ["WORLD_DIR"])
        self.host, self.port = host, port
        self.behaviour = BEHAVIOURS[behaviour] if isinstance(behaviour, str) else behaviour
        self.addresses = addresses or addresses_of(host)
        self.log, self.log_file, self.connections = [], log_file, 0
        self._lock = threading.Lock()

    def __enter__(self):
        return self.listen_all(self.addresses, self.port)

    def serve(self, sock, _address):
        self.connections += 1
        self.start(Connection(self, self.connections, sock).run)

    def record(self, record):
        with self._lock:
            self.log.append(record)
            if self.log_file:
                with open(self.log_file, "a") as file:
                    file.write(json.dumps({"host": self.host} | record) + "\n")

    def context(self, connection):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.behaviour.versions:
            context.minimum_version, context.maximum_version = self.behaviour.versions
        what = self.behaviour.certificate or self.host
        with contextlib.ExitStack() as stack:
            file = self.directory / "tls" / f"{what}.pem"
            if isinstance(what, int) or self.behaviour.subject:
                days = what if isinstance(what, int) else 30
                file = stack.enter_context(dated_certificate(self.directory, self.host, days, self.behaviour.subject))
            context.load_cert_chain(file)

        def note_sni(sock, name, _context):
            connection.sni = name
            asked_for = self.directory / "tls" / f"{name}.pem"
            if self.behaviour.by_sni and asked_for.exists():
                other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                other.load_cert_chain(asked_for)
                sock.context = other

        context.sni_callback = note_sni
        return context

    # ---- what a test asks ----

    def events(self, event):
        return [record for record in list(self.log) if record["event"] == event]

    def lines(self, tls=None):
        """The commands, in order; in clear or under TLS only where `tls` says so."""
        return [record["line"] for record in self.events("command") if tls in (None, record["tls"])]

    def verbs(self, tls=None):
        return [line.partition(" ")[0].upper() for line in self.lines(tls)]

    def messages(self, tls=None):
        return [record for record in self.events("message") if tls in (None, record["tls"])]

    def gave(self, tls=None):
        """Everything of a mail that was given to this server: envelope, message, stray octets that hold any of it."""
        words = [line for line in self.lines(tls) if line.partition(" ")[0].upper() not in ("EHLO", "HELO", "STARTTLS", "QUIT")]
        stray = [record for record in self.events("octets") if b"MAIL" in bytes.fromhex(record["hex"])]
        return words + self.messages(tls) + stray


def addresses_of(host):
    description = json.loads((pathlib.Path(os.environ["WORLD_DIR"]) / "world.json").read_text())
    return description["hosts"][host]


@contextlib.contextmanager
def dated_certificate(directory, host, days, words=""):
    """A file with a certificate of the world's CA for this host, with a key of its own, that is good for so many days from now."""
    authority = x509.load_pem_x509_certificate((directory / "tls" / "ca.pem").read_bytes())
    authority_key = serialization.load_pem_private_key((directory / "tls" / "ca.key").read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])]
                                + ([x509.NameAttribute(NameOID.TITLE, words)] if words else [])))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(plain + certificate.public_bytes(pem) + authority.public_bytes(pem))
        file.flush()
        yield file.name


class MiddleBox(Listener):
    """Stands at a host's addresses, port 25, and passes all on to the real server, with the word STARTTLS blanked."""

    def __init__(self, server):
        super().__init__()
        self.server = server  # listens on another port

    def __enter__(self):
        return self.listen_all(self.server.addresses, 25)

    def serve(self, client, address):
        behind = socket.create_connection((address, self.server.port))
        self.sockets.append(behind)
        self.start(self._pass_on, client, behind, lambda octets: octets)
        self.start(self._pass_on, behind, client, lambda octets: octets.replace(b"STARTTLS", b"XXXXXXXX"))

    @staticmethod
    def _pass_on(source, target, change):
        with contextlib.suppress(OSError):
            while octets := source.recv(65536):
                target.sendall(change(octets))
            target.shutdown(socket.SHUT_WR)

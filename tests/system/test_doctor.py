# SPDX-License-Identifier: BSD-3-Clause
"""resolverctl doctor: a good installation, and each fault with the advice for it.

Daemon, stub, map and shim, Postfix and Exim are the real ones. What is broken between is in `servers.Middlebox`.
"""

import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading

import dns.flags
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from conftest import BUILD, WORLD, Daemon
from faketime import HOUR, YEAR, Clock
from mta import NOWHERE, Postfix, why_no_postfix
from oracle import NOT_VALIDATING, Unbound
from scenarios import DANE
from servers import Middlebox, stripping_forwarder
from socketmap import Map
from stub import Stub
from test_shim import environment_of, sanitizers

try:
    import exim as exims
    NO_EXIM = exims.why_no_exim()
except ImportError as error:  # pragma: no cover
    exims, NO_EXIM = None, str(error)

NO_POSTFIX = why_no_postfix()
with_postfix = pytest.mark.skipif(NO_POSTFIX is not None, reason=str(NO_POSTFIX))
with_exim = pytest.mark.skipif(NO_EXIM is not None, reason=str(NO_EXIM))
with_shim = pytest.mark.skipif(bool(sanitizers()), reason="Postfix is not built with sanitizers")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which takes root")

ROOT, MIDDLE, NOBODY_THERE = "127.53.0.1", "127.53.77.1", "127.0.0.99"
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
STUB = "nameserver 127.0.0.1\noptions trust-ad\n"
TO_BE_MENDED = 78
SIGNING_TYPES = {dns.rdatatype.RRSIG}


class Report:
    def __init__(self, done):
        assert done.stdout, done.stderr
        self.status, self.all = done.returncode, json.loads(done.stdout)
        self.checks = self.all["checks"]
        assert (self.status == 0) == self.all["healthy"] == (not self.having("fail"))

    def __repr__(self):
        return "\n".join(f"{c['result']} {c['check']} {c['about']}: {c['text']} -> {c['advice']}" for c in self.checks)

    def having(self, *results):
        return {check["check"] for check in self.checks if check["result"] in results}

    def of(self, name, result=None):
        """The check of that name; with a result, one that has it."""
        found = [check for check in self.checks if check["check"] == name and result in (None, check["result"])]
        if not found:
            pytest.fail(f"no {result or 'report'} of {name}:\n{self!r}")
        return found[0]

    def expect(self, name, result, *parts):
        """One such check with these parts in its text; for advice, see expect_advice."""
        check = self.of(name, result)
        if not all(part in f"{check['about']}: {check['text']}" for part in parts):
            pytest.fail(f"{parts} is not in {check}")
        return check

    def advises(self, name, *parts):
        found = [check for check in self.checks if check["check"] == name and check["advice"]]
        if not any(all(part in check["advice"] for part in parts) for check in found):
            pytest.fail(f"{name} does not advise {parts}:\n{self!r}")


def command(daemon, *options, arguments=(), program=BUILD / "resolverctl", public_key=None, **given):
    """By default no mail server is looked for, and the world's root server and the daemon's own folders are."""
    chosen = {"root_server": ROOT, "state_directory": daemon.directory / "state", "postconf": "/nowhere/postconf", "exim": "/nowhere/exim",
              "resolv_conf": "/nowhere/resolv.conf"} | given
    named = [word for name, value in chosen.items() if value is not None for word in (f"--{name.replace('_', '-')}", str(value))]
    return [*daemon.prefix, str(program), "--socket", daemon.socket, "--public-key", str(public_key or daemon.public_key), "--json", *arguments,
            "doctor", *named, *options]


def run(command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)


def examine(daemon, *options, **given):
    return Report(run(command(daemon, *options, **given)))


@pytest.fixture(scope="module")
def here():
    """A folder that every user can reach, in it a daemon; the stub is at port 53."""
    with tempfile.TemporaryDirectory(prefix="doctor-") as text:
        directory = pathlib.Path(text)
        directory.chmod(0o755)
        daemon = Daemon(directory, server__socket_mode="0666", prefetch__rule="off").start()
        stub = Stub(directory, daemon, port=53).start()
        yield daemon
        stub.stop()
        daemon.stop()


@pytest.fixture(scope="module")
def for_nobody(here):
    """The program where a user without rights can start it."""
    program = here.directory / "resolverctl"
    shutil.copy(BUILD / "resolverctl", program)
    program.chmod(0o755)
    return program


@pytest.fixture
def resolv_conf(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text(STUB)
    return path


# ---- all well ----

def test_all_well(here, resolv_conf):
    report = examine(here, resolv_conf=resolv_conf, domain=DANE)
    assert report.status == 0 and not report.having("warn", "fail"), report
    assert report.having("ok") == {"socket", "public-key", "daemon", "signatures", "control-socket", "signing-key", "trust-anchor", "dns-udp",
                                   "dns-signatures", "dns-large", "dns-tcp", "clock", "lookups", "resolver", "domain"}
    assert report.having("skip") == {"postfix", "exim"}
    assert all(set(check) == {"check", "about", "result", "text", "advice"} and check["advice"] is None for check in report.checks)
    assert [report.all[word] for word in ("ok", "warn", "fail", "skip")] == [15, 0, 0, 2]
    report.expect("domain", "ok", "deliver, first host dane")


def test_text_has_a_line_for_each_check_and_what_to_do_below_it(here, tmp_path):
    words = [word for word in command(here, root_server=NOBODY_THERE) if word != "--json"]
    done = run(words)
    lines = done.stdout.splitlines()
    assert all(re.match(r"(ok  |warn|fail|skip)  \S+ +\S|      to do: \S", line) for line in lines[:-1]), done.stdout
    assert re.fullmatch(r"\d+ ok, \d+ warnings, 0 failures, \d+ not looked at", lines[-1])
    below = {line.split()[1]: after for line, after in zip(lines, lines[1:]) if line.startswith(("warn", "fail"))}
    assert "dns-udp" in below and all(after.startswith("      to do: ") for after in below.values()), done.stdout


@pytest.mark.parametrize("options", [["--nonsense"], ["operand"], ["--root-server"], ["--root-server", "127.0.0.1"] * 5])
def test_usage(here, options):
    done = run(command(here, root_server=None) + options)
    assert done.returncode == 64 and json.loads(done.stdout)["exit"] == 64


# ---- socket, keys, daemon ----

def test_no_daemon(make_daemon):
    report = examine(make_daemon(start=False))
    assert report.status == TO_BE_MENDED
    report.expect("socket", "fail", "No such file")
    report.advises("socket", "systemctl enable --now resolverd", "--socket")
    report.expect("public-key", "fail", "No such file")
    assert report.having("skip") >= {"trust-anchor", "lookups", "signing-key"}
    report.expect("dns-tcp", "ok")  # the way out is looked at all the same


def test_a_socket_that_nobody_listens_at(make_daemon):
    daemon = make_daemon()
    kept = daemon.directory / "kept"
    kept.hardlink_to(daemon.socket)
    shutil.copy(daemon.public_key, daemon.directory / "kept.pub")
    daemon.stop()
    kept.rename(daemon.socket)
    report = examine(daemon, public_key=daemon.directory / "kept.pub")
    report.expect("socket", "fail", "Connection refused")
    report.advises("socket", "nobody listens", "systemctl restart")
    report.expect("daemon", "fail")


def test_what_is_no_socket(make_daemon):
    daemon = make_daemon(start=False)
    pathlib.Path(daemon.socket).write_text("")
    examine(daemon).expect("socket", "fail", "non-socket")


def test_an_open_folder(make_daemon):
    daemon = make_daemon()
    daemon.directory.chmod(0o777)
    report = examine(daemon)
    report.expect("socket", "fail", "everybody may write its folder")
    report.advises("socket", "chmod o-w")
    report.expect("public-key", "fail", "others may write it")


@as_root
def test_a_user_without_rights_to_the_socket(make_daemon, public_path, for_nobody):
    daemon = make_daemon(below=public_path, server__socket_mode="0660", server__socket_group="mail")
    report = Report(run([*NOBODY, *command(daemon, program=for_nobody)]))
    report.expect("socket", "fail", "root:mail 0660", "Permission denied")
    report.advises("socket", "adduser nobody mail")
    daemon.stop()
    closed = make_daemon(below=public_path, server__socket_mode="0600")
    report = Report(run([*NOBODY, *command(closed, program=for_nobody)]))
    report.advises("socket", "SocketGroup=")


@as_root
def test_a_user_whom_the_operator_does_not_let_in(make_daemon, public_path, for_nobody):
    daemon = make_daemon(below=public_path, server__socket_mode="0666", config='server { allow-users = {"daemon"} }\n')
    report = Report(run([*NOBODY, *command(daemon, program=for_nobody)]))
    report.expect("socket", "ok")
    report.expect("daemon", "fail", "this user may not ask")
    report.advises("daemon", "server.allow-users", "reload")


@as_root
def test_without_rights_less_is_seen_and_that_is_said(here, for_nobody, resolv_conf):
    resolv_conf.chmod(0o644)
    report = Report(run([*NOBODY, *command(here, program=for_nobody)]))
    assert report.status == 0
    report.expect("signing-key", "skip", "run as root")
    report.expect("control-socket", "skip", "run as root")
    report.expect("signatures", "ok")


def test_another_daemons_key(here, tmp_path):
    key = tmp_path / "other.pub"
    key.write_text(base64.b64encode(os.urandom(32)).decode() + "\n")
    report = examine(here, public_key=key)
    report.expect("public-key", "ok")
    report.expect("signatures", "fail", "not the key of this daemon", "refuses its answers")
    report.advises("signatures", "signing.public-key-file")
    report.expect("lookups", "fail")


@pytest.mark.parametrize("text, mode, says", [("nonsense\n", 0o644, "44 characters of base64"), ("", 0o644, "holds no key"), (None, 0o666, "others may write it")])
def test_a_bad_key_file(here, tmp_path, text, mode, says):
    key = tmp_path / "bad.pub"
    key.write_text(pathlib.Path(here.public_key).read_text() if text is None else text)
    key.chmod(mode)
    report = examine(here, public_key=key)
    report.expect("public-key", "fail", says)
    report.of("public-key")["advice"].index("0644" if text is None else "--public-key")


def test_a_signing_key_that_others_may_read(make_daemon):
    daemon = make_daemon()
    key = daemon.directory / "state" / "signing.key"
    key.chmod(0o640)
    report = examine(daemon)
    report.expect("signing-key", "fail", "0640")
    report.advises("signing-key", f"chmod 0600 {key}", "replace it")


def test_a_control_socket_for_everybody(make_daemon):
    daemon = make_daemon()
    os.chmod(f"{daemon.socket}.control", 0o666)
    report = examine(daemon)
    report.expect("control-socket", "fail", "every user may administer")
    report.advises("control-socket", "chmod 0660", "resolverd-control")


def test_a_control_socket_for_the_clients_group(make_daemon):
    daemon = make_daemon()
    for path, mode in ((daemon.socket, 0o660), (f"{daemon.socket}.control", 0o660)):
        os.chown(path, -1, 12345)
        os.chmod(path, mode)
    report = examine(daemon)
    report.expect("control-socket", "warn", "may administer, too")
    report.advises("control-socket", "another group")
    os.chown(f"{daemon.socket}.control", -1, 12346)
    examine(daemon).expect("control-socket", "ok", "0660")


def test_keys_of_somebody_else(make_daemon, tmp_path):
    daemon = make_daemon()
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    key = stranger / "resolverd.pub"
    key.write_text(pathlib.Path(daemon.public_key).read_text())
    key.chmod(0o644)
    examine(daemon, public_key=key).expect("public-key", "ok")
    for path in (key, stranger):
        os.chown(path, 12345, -1)
        report = examine(daemon, public_key=key)
        report.expect("public-key", "fail", "somebody else's to replace")
        os.chown(path, 0, -1)
    signing = daemon.directory / "state" / "signing.key"
    os.chown(signing, 12345, -1)
    examine(daemon).expect("signing-key", "fail", "somebody else's to replace")


def test_a_canary_that_is_off(make_daemon):
    daemon = make_daemon(start=False, config=f'resolver {{ canary-bogus = {{"{DANE}"}} }}\n')
    daemon.start(wait=False)
    for _ in range(20):  # until it has been seen
        report = examine(daemon)
        if {check["about"] for check in report.checks} & {"root", f"canary {DANE}"} == {f"canary {DANE}"}:
            break
    report.expect("daemon", "fail", "NOT READY", f"canary {DANE}")
    report.advises("daemon", "docs/OPERATIONS.md")


# ---- the way out ----

def strip_signatures(_query, reply):
    for section in (reply.answer, reply.authority, reply.additional):
        section[:] = [rrset for rrset in section if rrset.rdtype not in SIGNING_TYPES]
    return reply


def cut_signatures(_query, reply):
    """RRSIG records that end before their times."""
    for section in (reply.answer, reply.authority, reply.additional):
        for i, rrset in enumerate(section):
            if rrset.rdtype == dns.rdatatype.RRSIG:
                short = dns.rdata.GenericRdata(rrset.rdclass, rrset.rdtype, bytes([0, 6, 8, 0]))  # up to the labels (RFC 4034 section 3.1)
                section[i] = dns.rrset.from_rdata(rrset.name, rrset.ttl, short)
    return reply


def by_another(_query, reply):
    reply.flags = reply.flags & ~dns.flags.AA | dns.flags.RA
    return reply


def refuse(_query, reply):
    reply.set_rcode(5)
    return reply


def keep(_query, reply):
    return reply


def drop_above(octets):
    """What a firewall drops that takes nothing larger, as far as the asker offers to take it."""
    return lambda query, reply: None if query.payload > octets and query.question[0].rdtype == dns.rdatatype.DNSKEY else reply


def drop_all_offers_above(octets):
    return lambda query, reply: None if query.payload > octets else reply


@pytest.mark.parametrize("middle, check, result, says, advice", [
    ({"spoil": strip_signatures}, "dns-signatures", "fail", "strips them", "DNS inspection"),
    ({"spoil": by_another}, "dns-intercepted", "fail", "something between takes port 53", "redirection of port 53"),
    ({"spoil": refuse}, "dns-udp", "fail", "rcode 5", "resolver.forward"),
    ({"tcp": False}, "dns-tcp", "fail", "Connection refused", "open TCP port 53 outwards"),
    ({"spoil": drop_above(512), "spoil_streams": keep}, "dns-large", "fail", "large ones are dropped", "edns-buffer-size = 512"),
    ({"spoil": drop_above(1232), "spoil_streams": keep}, "dns-large", "warn", "above 1232 octets are dropped", "edns-buffer-size"),
])
def test_the_way_out(here, middle, check, result, says, advice):
    with Middlebox(MIDDLE, ROOT, **middle):
        report = examine(here, root_server=MIDDLE)
        assert report.having("fail", "warn") == {check}, report
        report.expect(check, result, says)
        report.advises(check, advice)
        both = examine(here, "--root-server", ROOT, root_server=MIDDLE)  # where one root server is well, it is a warning
    both.expect(check, "warn", says)
    assert both.status == 0, both


def test_signatures_that_are_cut_off_are_none(here):
    with Middlebox(MIDDLE, ROOT, cut_signatures):
        report = examine(here, root_server=MIDDLE)
    report.expect("clock", "skip", "no signature was seen")


def test_only_small_answers_come(here):
    """Then nothing is said of signatures: there was no room for them."""
    with Middlebox(MIDDLE, ROOT, drop_all_offers_above(512), tcp=False):
        report = examine(here, root_server=MIDDLE)
    assert report.having("fail") == {"dns-large", "dns-tcp"}, report
    assert not report.having("ok") & {"dns-signatures"}
    report.expect("dns-udp", "ok")
    report.expect("clock", "skip")


def test_a_way_of_the_daemons_own(here):
    """Nobody answers us, the daemon validates the root: as with resolver.forward."""
    report = examine(here, root_server=NOBODY_THERE)
    assert report.status == 0
    report.expect("dns-udp", "warn", "by another way", "Connection refused")
    report.advises("dns-udp", "nothing, if resolver.forward")
    report.expect("dns-tcp", "warn")


def test_root_servers_of_the_hints(here):
    report = examine(here, root_server=None, root_hints=WORLD / "root.hints")
    report.expect("dns-udp", "ok", f"{ROOT}:53")


def test_no_hints(here, tmp_path):
    report = examine(here, root_server=None, root_hints=tmp_path / "none")
    report.expect("dns-udp", "warn", "no root server's address")
    report.advises("dns-udp", "dns-root-data")


def test_no_address_for_a_root_server(here):
    examine(here, root_server="a.root").expect("dns-udp", "fail", "no address")


def test_no_way_out_at_all(make_daemon, tmp_path):
    hints = tmp_path / "hints"
    hints.write_text(f". 3600 IN NS ns.root-server.\nns.root-server. 3600 IN A {MIDDLE}\n")
    with Middlebox(MIDDLE, ROOT, refuse):
        daemon = make_daemon(start=False, resolver__root_hints=hints, resolver__deadline="2s").start(wait=False)
        for _ in range(20):
            report = examine(daemon, root_server=None, root_hints=hints)
            if any(check["about"] == "root" for check in report.checks):
                break
    report.expect("daemon", "fail", "NOT READY")
    assert [check["about"] for check in report.checks if check["check"] == "daemon" and check["result"] == "fail"].count("root") == 1, report
    report.advises("daemon", "resolver.forward")
    report.expect("trust-anchor", "fail")
    report.expect("lookups", "fail")
    report.advises("lookups", "dns- checks")


# ---- the clock ----

@pytest.mark.parametrize("jump, says", [(10 * YEAR, "its signatures end"), (-10 * YEAR, "this program was built")])
def test_the_clock_is_wrong(make_daemon, tmp_path, jump, says):
    clock = Clock(tmp_path, BUILD / "resolverd")
    daemon = make_daemon(start=False, resolver__deadline="2s")
    daemon.prefix = clock.prefix
    daemon.start()
    clock.move_to(jump)
    report = examine(daemon)
    assert report.status == TO_BE_MENDED
    report.expect("clock", "fail", "wrong by", says)
    report.advises("clock", "NTP")


def test_the_daemons_clock_is_another(make_daemon, tmp_path):
    clock = Clock(tmp_path, BUILD / "resolverd")
    daemon = make_daemon(start=False)
    daemon.start()
    daemon.prefix = clock.prefix
    clock.move_to(HOUR)
    report = examine(daemon)
    report.expect("clock", "fail", "the daemon's clock says")


# ---- resolv.conf ----

@pytest.fixture(scope="module")
def unsure_postfix():
    """A configuration to have a mail server: what the resolver does matters then."""
    postfix = Postfix({"smtp_tls_security_level": "dane"})
    yield postfix
    postfix.__exit__()


@pytest.fixture(scope="module")
def validating(tmp_path_factory):
    """A resolver that validates, and is not ours."""
    with Unbound(WORLD, tmp_path_factory.mktemp("validating"), "127.0.0.66", [("do-ip6", "no")]):
        yield "127.0.0.66"


@contextlib.contextmanager
def of_server(address):
    yield address


@with_postfix
@pytest.mark.parametrize("text, says, advice", [
    ("nameserver 127.0.0.1\n", "without options trust-ad", "options trust-ad"),
    ("nameserver 127.0.0.1\nnameserver 127.0.0.99\noptions trust-ad\n", "takes the place of every refusal", "leave one nameserver"),
    ("nameserver 127.0.0.77\noptions trust-ad\n", "no AD bit", "resolverd-stub"),
    ("nameserver 127.0.0.66\noptions trust-ad\n", "does not ask this resolverd", "resolverd-stub"),
    ("nameserver 127.0.0.99\n", "refused", "resolverd-stub"),
    ("nameserver stub.example\n", "is no address", "resolverd-stub"),
])
def test_resolv_conf(here, unsure_postfix, validating, resolv_conf, text, says, advice):
    resolv_conf.write_text(text)
    with stripping_forwarder("127.0.0.77", "127.0.0.1", ad=False):
        report = examine(here, resolv_conf=resolv_conf, postconf=None, postfix_config=unsure_postfix.config)
    report.expect("resolver", "warn", says)
    report.advises("resolver", advice)


def test_where_no_mail_server_is_a_resolver_without_ad_is_nobodys_trouble(here, resolv_conf):
    resolv_conf.write_text("nameserver 127.0.0.99\n")
    report = examine(here, resolv_conf=resolv_conf)
    assert report.status == 0
    report.expect("resolver", "skip", "none was found")


# ---- Postfix ----

def of_postfix(daemon, postfix, *options, **given):
    """With the mounts that this Postfix has."""
    words = command(daemon, *options, **{"postconf": None, "resolv_conf": None, "postfix_config": postfix.config} | given)
    return Report(run(postfix.bound(words)))


@with_postfix
def test_postfix_and_the_stub(here):
    with Postfix(resolv_conf=STUB) as postfix:
        report = of_postfix(here, postfix)
    assert report.status == 0 and not report.having("warn"), report
    report.expect("postfix", "ok", "3.", "runs as postfix")
    report.expect("postfix-dane", "ok", "level dane")
    report.expect("postfix-resolver", "ok", "asks this resolverd")
    report.expect("postfix-running", "ok", "none with the shim, as configured")


@with_postfix
@pytest.mark.parametrize("settings, result, says, advice", [
    ({"smtp_tls_security_level": "may"}, "warn", "does no DANE", "smtp_tls_security_level=dane"),
    ({"smtp_dns_support_level": "enabled"}, "fail", "never done", "smtp_dns_support_level=dnssec"),
    ({"smtp_tls_dane_insecure_mx_policy": "may"}, "warn", "unsigned MX", "smtp_tls_dane_insecure_mx_policy=dane"),
])
def test_postfix_settings(here, resolv_conf, settings, result, says, advice):
    postfix = Postfix(settings)
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(postfix.__exit__)
        report = examine(here, postconf=None, postfix_config=postfix.config, resolv_conf=resolv_conf)
    report.expect("postfix-dane", result, says)
    report.advises("postfix-dane", advice)
    report.expect("postfix-running", "skip", "does not run")


@with_postfix
def test_what_a_map_says_controls_no_terminal(here, resolv_conf):
    """Not the map of resolverd-postfix, but whoever took its place."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with sock:
                    sock.recv(4096)
                    said = b"PERM \x1b]0;owned\x07 \x9b2J"
                    sock.sendall(b"%d:%s," % (len(said), said))

    threading.Thread(target=serve, daemon=True).start()
    settings = {"smtp_tls_policy_maps": f"socketmap:inet:127.0.0.1:{listener.getsockname()[1]}:policy", "smtp_tls_security_level": "may"}
    postfix = Postfix(settings)
    with contextlib.ExitStack() as stack:
        stack.callback(listener.close)
        stack.callback(postfix.__exit__)
        report = examine(here, postconf=None, postfix_config=postfix.config, resolv_conf=resolv_conf)
    report.expect("postfix-map", "fail", "PERM ?]0;owned? ?2J")
    report.advises("postfix-map", "policy")


@with_postfix
@pytest.mark.parametrize("text, says", [(None, "No such file"), ("nameserver 127.0.0.99\n", "DANE quietly becomes cleartext")])
def test_postfix_in_a_chroot_has_a_resolv_conf_of_its_own(here, resolv_conf, text, says):
    with Postfix(resolv_conf=STUB, chroot=True) as postfix:
        inside = postfix.queue / "etc" / "resolv.conf"
        inside.parent.mkdir(exist_ok=True)
        if text:
            inside.write_text(text)
        report = of_postfix(here, postfix)
        report.expect("postfix-resolver", "fail", str(inside), says)
        report.advises("postfix-resolver", f"cp /etc/resolv.conf {inside}")
        report.expect("postfix", "ok", "in a chroot")
        inside.write_text(STUB)
        of_postfix(here, postfix).expect("postfix-resolver", "ok", str(inside), "in the chroot")


@with_postfix
def test_postfix_that_asks_a_resolver_without_ad(here):
    with stripping_forwarder("127.0.0.77", "127.0.0.1", ad=False), Postfix(resolv_conf="nameserver 127.0.0.77\n") as postfix:
        report = of_postfix(here, postfix)
    assert report.status == TO_BE_MENDED
    report.expect("postfix-resolver", "fail", "no AD bit", "cleartext")
    report.advises("postfix-resolver", "resolverd-stub", "the shim")


@with_postfix
def test_postfix_and_the_map(here, resolv_conf):
    policy_map = Map(here.directory, here, "--postfix-resolver", str(resolv_conf))
    settings = {"smtp_tls_policy_maps": f"socketmap:unix:{policy_map.path}:policy", "smtp_tls_security_level": "may",
                "smtp_tls_dane_insecure_mx_policy": "dane"}
    try:
        with Postfix(settings, resolv_conf=STUB) as postfix:
            report = of_postfix(here, postfix, "--domain", DANE)
            assert report.status == 0 and not report.having("warn"), report
            replies = [check["text"] for check in report.checks if check["check"] == "postfix-map"]
            assert replies == ['says "NOTFOUND " of [192.0.2.1]', f'says "OK dane-only" of {DANE}']
            pathlib.Path(policy_map.path).chmod(0o600)
            report = of_postfix(here, postfix)
            report.expect("postfix-map", "fail", "user postfix", "Permission denied", "deferred")
            report.advises("postfix-map", "SocketGroup=postfix")
            policy_map.stop()
            report = of_postfix(here, postfix)
            report.expect("postfix-map", "fail", "deferred")
            report.advises("postfix-map", "resolverd-postfix.socket")
    finally:
        if policy_map.process.poll() is None:
            policy_map.stop()


@with_postfix
@pytest.mark.parametrize("name, resolver, says, advice", [("other", STUB, "PERM", "named \"policy\""), ("policy", NOWHERE, "TEMP", "resolverd-postfix")])
def test_a_map_that_says_no(here, tmp_path, name, resolver, says, advice):
    file = tmp_path / "map.conf"
    file.write_text(resolver)
    policy_map = Map(here.directory, here, "--postfix-resolver", str(file))
    settings = {"smtp_tls_policy_maps": f"socketmap:inet:127.0.0.1:{policy_map.port}:{name}", "smtp_tls_dane_insecure_mx_policy": "dane"}
    try:
        with Postfix(settings, resolv_conf=STUB) as postfix:
            report = of_postfix(here, postfix, "--domain", DANE)
    finally:
        policy_map.stop()
    report.expect("postfix-map", "fail", says)
    report.advises("postfix-map", advice)


@with_postfix
@with_shim
def test_postfix_and_the_shim(here):
    with Postfix(environment=environment_of(here)) as postfix:
        report = of_postfix(here, postfix)
        assert report.status == 0 and not report.having("warn"), report
        report.expect("postfix-shim", "ok", "libresolverd-shim.so", "user postfix gets verified answers")
        report.expect("postfix-running", "ok", "all with the shim")
        main = postfix.config / "main.cf"
        main.write_text(main.read_text().replace("LD_PRELOAD", "OTHER"))
        report = of_postfix(here, postfix)
        report.expect("postfix-running", "warn", "import_environment does not name it")


@with_postfix
@with_shim
def test_postfix_was_started_before_import_environment_was_set(here):
    with Postfix() as postfix:
        with open(postfix.config / "main.cf", "a", encoding="ascii") as main:
            main.write("import_environment = MAIL_CONFIG LANG=C " +
                       " ".join(f"{{ {name} = {value} }}" for name, value in environment_of(here).items()) + "\n")
        report = of_postfix(here, postfix)
    report.expect("postfix-shim", "ok")
    report.expect("postfix-running", "fail", "run without it")
    report.advises("postfix-running", "postfix stop; postfix start")


@with_postfix
@with_shim
@pytest.mark.parametrize("chroot, mode, says, advice", [
    (False, "0600", "user postfix gets no answer", "adduser postfix resolverd"),
    (True, "0666", "in the chroot", "var-spool-postfix-run-resolverd.mount"),
])
def test_postfix_whose_user_gets_no_answer(make_daemon, public_path, chroot, mode, says, advice):
    daemon = make_daemon(below=public_path, server__socket_mode=mode)
    with Postfix(environment=environment_of(daemon), chroot=chroot) as postfix:
        report = of_postfix(daemon, postfix)
        if chroot:  # as the mount unit does it
            folder = postfix.queue / daemon.directory.relative_to("/")
            folder.mkdir(parents=True)
            postfix.binds[folder] = daemon.directory
            of_postfix(daemon, postfix).expect("postfix-shim", "ok", "in the chroot")
    report.expect("postfix-shim", "fail", says, "deferred")
    report.advises("postfix-shim", advice)


@with_postfix
@with_shim
def test_a_shim_that_is_not_there(here):
    with Postfix() as postfix:
        with open(postfix.config / "main.cf", "a", encoding="ascii") as main:
            main.write("import_environment = MAIL_CONFIG LD_PRELOAD=/nowhere/libresolverd-shim.so\n")
        report = of_postfix(here, postfix)
    report.expect("postfix-shim", "fail", "No such file")
    report.advises("postfix-shim", "import_environment")


@with_postfix
@with_shim
@as_root
def test_postfix_without_rights(here, for_nobody):
    with Postfix(environment=environment_of(here)) as postfix:
        report = Report(run(postfix.bound([*NOBODY, *command(here, program=for_nobody, postconf=None, postfix_config=postfix.config)])))
    assert report.status == 0, report
    for check in ("postfix-shim", "postfix-running"):
        report.expect(check, "skip", "run as root")


# ---- Exim ----

ROUTERS = "mail:\n  driver = dnslookup\n  dnssec_request_domains = *\n  transport = out\n"
TRANSPORTS = "out:\n  driver = smtp\n  dnssec_request_domains = *\n  hosts_try_dane = *\n"
DNSSEC = "dns_dnssec_ok = 1\n"


@pytest.fixture
def of_exim(here, public_path, monkeypatch):
    """of_exim(…) → the report where that Exim is: routers, transports, main, resolv_conf, and the mode of its program."""
    program = public_path / "exim4"
    shutil.copy(exims.EXIM, program)
    monkeypatch.setattr(exims, "EXIM", str(program))

    def examine_exim(routers=ROUTERS, transports=TRANSPORTS, main=DNSSEC, resolv_conf=STUB, mode=0o755, program=program):
        program.chmod(mode)
        with exims.Exim(routers, transports, main, resolv_conf=resolv_conf) as exim:
            exim.binds |= {f"/etc/{name}": exim.directory / name for name in ("passwd", "group")}
            return Report(run(exim.bound(command(here, exim=program, exim_config=exim.config, resolv_conf=None))))

    return examine_exim


@with_exim
def test_exim_and_the_stub(of_exim):
    report = of_exim()
    assert report.status == 0 and not report.having("warn"), report
    report.expect("exim", "ok", "Exim version 4")
    report.expect("exim-dane", "ok")
    report.expect("exim-resolver", "ok", "come from this resolverd")


@with_exim
@pytest.mark.parametrize("how, check, result, says, advice", [
    ({"resolv_conf": "nameserver 127.0.0.1\n"}, "exim-resolver", "fail", "mail in clear", "options trust-ad"),
    ({"resolv_conf": NOWHERE}, "exim-resolver", "fail", "not seen as validated", "resolverd-stub"),
    ({"resolv_conf": "nameserver 127.0.0.66\noptions trust-ad\n"}, "exim-resolver", "warn", "don't come from this resolverd", "no other"),
    ({"main": "dns_dnssec_ok = 0\n", "resolv_conf": "nameserver 127.0.0.1\n"}, "exim-resolver", "fail", "dns_dnssec_ok is not 1", "dns_dnssec_ok = 1"),
    ({"transports": "out:\n  driver = smtp\n  hosts_try_dane = :\n"}, "exim-dane", "warn", "does no DANE", "hosts_try_dane = *"),
    ({"transports": "out:\n  driver = smtp\n  hosts_try_dane = *\n  dnssec_request_domains = :\n", "routers": ROUTERS.replace(" = *", " = :")},
     "exim-dane", "fail", "never done", "dnssec_request_domains = *"),
    ({"transports": TRANSPORTS.replace("try", "require")}, "exim-dane", "warn", "bounces", "requirement = mandatory"),
    ({"main": DNSSEC + "add_environment = <; LD_PRELOAD=/usr/lib/libresolverd-shim.so\n", "mode": 0o4755}, "exim-shim", "fail",
     "set-user-ID", "resolverd-stub"),
    ({"main": DNSSEC + "add_environment = <; LD_PRELOAD=/usr/lib/libresolverd-shim.so\n"}, "exim-shim", "skip", "can't be seen", None),
], ids=lambda value: value if isinstance(value, str) else "")
def test_exim(of_exim, validating, how, check, result, says, advice):
    report = of_exim(**how)
    report.expect(check, result, says)
    if advice:
        report.advises(check, advice)


# ---- what is run ----

def program_in(directory, text="#!/bin/sh\necho mail_version = 9\n", mode=0o755):
    directory.mkdir(exist_ok=True)
    path = directory / "postconf"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("folder_mode, mode", [(0o777, 0o755), (0o1777, 0o755), (0o755, 0o757)])
def test_a_program_that_others_could_put_there_is_not_run(here, public_path, folder_mode, mode):
    mark = public_path / "was-run"
    path = program_in(public_path / "open", f"#!/bin/sh\necho run >{mark}\n", mode)
    path.parent.chmod(folder_mode)
    report = examine(here, postconf=path, exim=path)
    for check in ("postfix", "exim"):
        report.expect(check, "warn", "not run")
    assert not mark.exists()
    path.chmod(0o755)
    path.parent.chmod(0o755)
    examine(here, postconf=path)
    assert mark.exists()


@as_root
def test_a_program_of_another_user_is_not_run(here, public_path):
    path = program_in(public_path / "theirs")
    os.chown(path, 65534, 65534)
    examine(here, postconf=path).expect("postfix", "warn", "not run")


@pytest.mark.parametrize("program, says", [("/bin/false", "failed"), ("postconf", "no absolute path")])
def test_a_program_that_does_not_do(here, program, says):
    examine(here, postconf=program).expect("postfix", "warn", says)


def test_a_program_that_says_too_much(here, public_path):
    path = program_in(public_path / "much", "#!/bin/sh\nexec yes\n")
    examine(here, postconf=path).expect("postfix", "warn", "too large")


def test_a_program_gets_an_environment_of_its_own(here, public_path, monkeypatch):
    seen = public_path / "environment"
    path = program_in(public_path / "ours", f"#!/bin/sh\nenv >{seen}\n")
    monkeypatch.setenv("SECRET", "mine")
    examine(here, postconf=path)
    assert "LC_ALL=C" in seen.read_text() and "SECRET" not in seen.read_text()

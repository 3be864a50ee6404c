# SPDX-License-Identifier: BSD-3-Clause
"""resolverd-postfix: the socketmap protocol, what it says of every scenario of the world, and when it says nothing yet."""

import grp
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess

import dns.rdatatype
import pytest
from conftest import BUILD, wait_for
from scenarios import DANE, MISMATCH, NO_AUTH, PLAIN, SCENARIOS
from servers import Scripted
from socketmap import Map, framed, make_map, unframed
from stub import Stub

VOUCHED = ("--postfix-resolver", "vouched")
BROKEN = "wrong-ds.com"


@pytest.fixture(scope="module")
def policy_map(daemon, tmp_path_factory):
    """One whose operator vouches for Postfix's resolver."""
    made = Map(tmp_path_factory.mktemp("map"), daemon, *VOUCHED)
    yield made
    made.stop()


# ---- what it says ----

def level_of(plan):
    """What Postfix is to be told (docs/integrations/postfix.md), by the plan that resolverctl prints."""
    if plan["outcome"] != "deliver":
        return "TEMP"
    kinds = {host["policy"] for host in plan["hosts"] if host["reason"] != "no-address"}
    mx_secure = plan["mx"] is None or plan["mx"]["status"] == "secure"
    if kinds <= {"opportunistic"}:
        return "NOTFOUND"
    if kinds == {"tls-no-auth"}:
        return "OK encrypt"
    return "OK dane-only" if mx_secure and "dane" in kinds and kinds <= {"dane", "unreachable"} else "OK dane"


def key_of(scenario):
    port = scenario.get("port", 25)
    return scenario["domain"] if port == 25 else f"{scenario['domain']}:{port}"


def postmap(key, table, config):
    """What Postfix makes of a reply: (value, nothing or "NOTFOUND" or "TEMP", the reason it logs)."""
    done = subprocess.run(["postmap", "-c", str(config), "-q", key, table], capture_output=True, text=True, timeout=30)
    if done.returncode == 0:
        return "OK " + done.stdout.strip(), ""
    return ("NOTFOUND", "") if not done.stderr else ("TEMP", done.stderr)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    directory = tmp_path_factory.mktemp("config")
    (directory / "main.cf").write_text("compatibility_level = 3.6\n")
    return directory


@pytest.mark.skipif(not shutil.which("postmap"), reason="Debian's package postfix is not installed")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: f"{s['name']}-{'-'.join(s['cases'])}")
def test_scenario_by_postmap(daemon, policy_map, config, scenario):
    """Whatever the plan is, Postfix is told a level with which no host gets less, or gets an error: never NOTFOUND in doubt."""
    _, plan = daemon.ctl("plan", scenario["domain"], "--port", scenario.get("port", 25))
    told, log = postmap(key_of(scenario), policy_map.tables[0], config)
    assert told == level_of(plan), (log, plan)
    if told == "TEMP":
        assert "temporary error" in log


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("key, reply", [
    (DANE, "OK dane-only"),
    (f"[mx.{DANE}]", "OK dane-only"),
    (f"[mx.{DANE}]:25", "OK dane-only"),
    (f"[mx.{DANE}]:smtp", "OK dane-only"),
    (f"[mx.{DANE}]:587", "NOTFOUND "),  # no TLSA records for that port
    (f"{DANE}:25", "OK dane-only"),
    ("port-2525.net:2525", "OK dane-only"),
    ("port-2525.net", "NOTFOUND "),
    (DANE.upper(), "OK dane-only"),
    ("bücher.nl", "OK dane-only"),
    (NO_AUTH, "OK encrypt"),
    (MISMATCH, "OK dane-only"),
    (PLAIN, "NOTFOUND "),
    ("mixed-policy.org", "OK dane"),
    ("insecure-mx.org", "OK dane"),
    ("[127.25.0.1]", "NOTFOUND "),
    ("[ipv6:2001:db8:25::1]", "NOTFOUND "),
    (f".{DANE}", "NOTFOUND "),
    (".org", "NOTFOUND "),
])
def test_keys(policy_map, key, reply, tcp):
    assert policy_map.ask(key, tcp=tcp) == reply


@pytest.mark.parametrize("key", [BROKEN, "tlsa-servfail.com", "null-mx.org", "no-such-domain.net", "no-host.com"])
def test_doubt_is_temp_and_says_why(policy_map, key):
    word, _, reason = policy_map.ask(key).partition(" ")
    assert word == "TEMP" and reason.startswith(f"{key}: ") and len(reason) > len(key) + 10


@pytest.mark.parametrize("name, key", [("other", DANE), ("policy", ""), ("policy", f"{DANE}:none-such"), ("policy", "[]"),
                                       ("policy", "a b"), ("policy", "-.-..x")])
def test_what_is_no_question_is_perm(policy_map, name, key):
    assert policy_map.ask(key, name).startswith("PERM ")


def test_local_policy(make_daemon, make_map, public_path):
    """K01, M01, M02"""
    daemon = make_daemon(below=public_path, config=f"""
        override "{PLAIN}" {{ requirement = mandatory }}
        override "{DANE}" {{ requirement = off }}
        override "{MISMATCH}" {{ requirement = audit }}
        override "mixed-policy.org" {{ requirement = mandatory }}
        """)
    policy_map = make_map(*VOUCHED, beside=daemon)
    assert [policy_map.ask(key).split(":")[0] for key in (PLAIN, DANE, MISMATCH, "mixed-policy.org")] == [
        f"TEMP {PLAIN}", "OK may", "OK may", "OK dane-only"]


@pytest.mark.parametrize("insecure_mx, replies", [
    ("dane", ["OK dane", "NOTFOUND "]),
    ("opportunistic", ["OK may", "NOTFOUND "]),
    ("unreachable", ["TEMP insecure-mx.org", "NOTFOUND "]),
])
def test_e08_insecure_mx_policy(make_daemon, make_map, public_path, insecure_mx, replies):
    daemon = make_daemon(below=public_path, resolver__insecure_mx_policy=insecure_mx)
    policy_map = make_map(*VOUCHED, beside=daemon)
    assert [policy_map.ask(key).split(":")[0] for key in ("insecure-mx.org", "insecure-mx-plain.biz")] == replies


@pytest.mark.parametrize("version, reply", [("3.3.22", "OK encrypt"), ("3.4", "OK encrypt servername=hostname"),
                                            ("3.7.11", "OK encrypt servername=hostname"), ("4.0", "OK encrypt servername=hostname")])
def test_attributes_are_those_of_the_version(make_map, version, reply):
    policy_map = make_map(*VOUCHED, "--postfix-version", version)
    assert (policy_map.ask(NO_AUTH), policy_map.ask(DANE)) == (reply, "OK dane-only")


# ---- the probe ----

def test_without_a_validating_resolver_dane_is_temp(make_map):
    """Everything that rests on Postfix's own lookups; the rest is told as ever."""
    with Scripted("scripted.biz") as resolver:
        resolver.answers[".", "NS"] = (300, ["a.root-servers.net."])
        policy_map = make_map("--postfix-resolver", resolver.ADDRESS)
        replies = [policy_map.ask(key) for key in (DANE, "mixed-policy.org", "insecure-mx.org")]
        assert all(re.fullmatch(r"TEMP \S+ needs DANE, and .* AD bit .*", reply) for reply in replies), replies
        assert (policy_map.ask(PLAIN), policy_map.ask(NO_AUTH)) == ("NOTFOUND ", "OK encrypt")
    assert "does not validate: name server 127.53.9.9:53" in policy_map.log()


def test_the_probe_follows_the_resolver(make_map, daemon, tmp_path):
    """Nobody there; the stub; nobody again."""
    stub = Stub(tmp_path, daemon)
    policy_map = make_map("--postfix-resolver", f"127.0.0.1:{stub.port}", "--probe-interval", "0.5")
    assert policy_map.ask(DANE).endswith("does not answer")
    stub.start()
    wait_for(lambda: policy_map.ask(DANE) == "OK dane-only", 15, policy_map.log)
    stub.stop()
    wait_for(lambda: policy_map.ask(DANE).endswith("does not answer"), 15, policy_map.log)
    assert len(policy_map.log().split("\n")) == 6  # one line for each change, two for where it listens


def test_every_name_server_counts(make_map, daemon, tmp_path):
    """libc goes on to the next one when the first fails; the file is read anew for each round."""
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.1\nnameserver 127.53.9.9\n")
    stub = Stub(tmp_path, daemon, port=53).start()
    with Scripted("scripted.biz") as resolver:
        resolver.answers[".", "NS"] = (300, ["a.root-servers.net."])
        policy_map = make_map("--postfix-resolver", str(file), "--probe-interval", "0.5")
        assert re.search(r"name server 127\.53\.9\.9:53 of \S+ does not set the AD bit", policy_map.ask(DANE))
        file.write_text("nameserver 127.0.0.1\n")
        wait_for(lambda: policy_map.ask(DANE) == "OK dane-only", 15, policy_map.log)
        file.unlink()
        wait_for(lambda: "cannot read" in policy_map.ask(DANE), 15, policy_map.log)
    stub.stop()


# ---- the protocol ----

def test_pipelined_requests_are_answered_in_order(policy_map):
    keys = [DANE, PLAIN, f".{DANE}", NO_AUTH, BROKEN] * 50
    with policy_map.connect() as sock, sock.makefile("rb") as stream:
        sock.sendall(b"".join(framed(f"policy {key}") for key in keys))
        words = [unframed(stream)[:12] for _ in keys]
    assert words == ["OK dane-only", "NOTFOUND ", "NOTFOUND ", "OK encrypt", "TEMP wrong-d"] * 50


def test_octet_by_octet_and_a_client_that_ends_its_side(policy_map):
    with policy_map.connect() as sock, sock.makefile("rb") as stream:
        for octet in framed(f"policy {DANE}"):
            sock.sendall(bytes([octet]))
        assert unframed(stream) == "OK dane-only"
        sock.sendall(framed(f"policy {NO_AUTH}") + framed("policy silent-then.silent.net"))
        sock.shutdown(socket.SHUT_WR)
        assert unframed(stream) == "OK encrypt"
        assert unframed(stream).startswith("TEMP ")
        assert stream.read() == b""


@pytest.mark.parametrize("octets", [b"x", b"01:", b"513:", b"-1:,", b"3:abcd", b"GET / HTTP/1.1\r\n\r\n", b"99999999999:"])
def test_what_is_no_frame_ends_the_connection(policy_map, octets):
    with policy_map.connect() as sock:
        sock.sendall(framed(f"policy .{DANE}") + octets)
        received = b""
        while more := sock.recv(4096):
            received += more
    assert received == framed("NOTFOUND ")
    assert policy_map.ask(DANE) == "OK dane-only"


def test_an_idle_connection_ends(make_map):
    policy_map = make_map(*VOUCHED, "--idle", "0.5")
    with policy_map.connect() as sock:
        assert sock.recv(1) == b""


def test_a_full_house_lets_go_the_longest_idle(make_map):
    policy_map = make_map(*VOUCHED, "--clients", "3")
    with policy_map.connect() as first, policy_map.connect() as second, policy_map.connect(tcp=True) as third:
        for sock in (second, third, first):
            sock.sendall(framed(f"policy {DANE}"))
            assert sock.recv(100) == framed("OK dane-only")
        assert policy_map.ask(PLAIN) == "NOTFOUND "
        assert second.recv(1) == b""
        for sock in (third, first):
            sock.sendall(framed(f"policy {DANE}"))
            assert sock.recv(100) == framed("OK dane-only")


def test_clients_that_leave_in_the_middle_harm_nobody(make_map):
    policy_map = make_map(*VOUCHED)
    descriptors = pathlib.Path(f"/proc/{policy_map.process.pid}/fd")
    policy_map.ask(DANE)
    before = len(os.listdir(descriptors))
    for number in range(40):
        with policy_map.connect() as sock:
            sock.sendall(framed(f"policy left-{number}.silent.net"))
    assert policy_map.ask(DANE) == "OK dane-only"
    wait_for(lambda: len(os.listdir(descriptors)) <= before, 15)


# ---- the daemon ----

def test_without_the_daemon_everything_is_temp(make_daemon, make_map, public_path):
    daemon = make_daemon(below=public_path)
    policy_map = make_map(*VOUCHED, beside=daemon)
    assert policy_map.ask(DANE) == "OK dane-only"
    daemon.stop()
    assert {policy_map.ask(key)[:5] for key in (DANE, PLAIN, NO_AUTH)} == {"TEMP "}
    daemon.start()
    wait_for(lambda: policy_map.ask(DANE) == "OK dane-only", 10, policy_map.log)
    assert policy_map.log().count("every lookup is TEMP until it is there") == 1
    assert "the daemon answers again" in policy_map.log()


def test_answers_of_another_key_are_none(make_daemon, make_map, public_path):
    """G04: what does not verify is no ground for NOTFOUND."""
    other = make_daemon(below=public_path)
    policy_map = make_map(*VOUCHED, public_key=other.public_key)
    assert {policy_map.ask(key)[:5] for key in (DANE, PLAIN)} == {"TEMP "}


def test_what_takes_too_long_is_timeout(make_map):
    policy_map = make_map(*VOUCHED, "--timeout", "0.3")
    assert policy_map.ask("late.silent.net").split()[0] in ("TEMP", "TIMEOUT")


# ---- starting ----

def run(*options, **how):
    done = subprocess.run([BUILD / "resolverd-postfix", *options], capture_output=True, text=True, timeout=10, **how)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("options, words", [
    ([], "nowhere to listen"),
    (["--listen", "/run/x"], "neither unix:PATH nor inet:ADDRESS:PORT"),
    (["--listen", "inet:127.0.0.1"], "no inet:ADDRESS:PORT"),
    (["--listen", "inet:192.0.2.1:8460"], "loopback"),
    (["--listen", "unix:"], "no unix:PATH"),
    (["--listen", "unix:" + 200 * "x"], "no unix:PATH"),
    (["--socket-mode", "1777"], "no octal mode"),
    (["--socket-group", "no-such-group", "--listen", "unix:/x"], "no group"),
    (["--postfix-resolver", "localhost"], "neither a /FILE"),
    (["--postfix-version", "new"], "no version"),
    (["--clients", "0"], "no number from 1"),
    (["--idle", "x"], "no number of seconds"),
    (["--what"], "wrong option"),
    (["more"], "options only"),
])
def test_wrong_usage(options, words):
    code, said = run(*options)
    assert code == 64 and words in said, said


def test_help_and_version():
    assert run("--help")[0] == 0 and run("--version")[1].startswith("resolverd-postfix 0.")


def test_the_socket_has_the_rights_asked_for_and_goes_with_the_program(make_map, public_path, daemon):
    path, group = public_path / "rights", grp.getgrgid(os.getgid()).gr_name
    made = subprocess.Popen([BUILD / "resolverd-postfix", "--socket-mode", "0620", "--socket-group", group, "--listen", f"unix:{path}",
                             "--socket", daemon.socket, "--public-key", daemon.public_key, *VOUCHED])
    wait_for(path.exists, 5)
    wait_for(lambda: stat.S_IMODE(path.stat().st_mode) == 0o620, 5)
    assert path.stat().st_gid == os.getgid()
    made.kill()
    made.wait()
    assert path.exists()
    again = make_map(*VOUCHED, path=path)  # what a run before left is replaced, what is in use is not
    assert again.ask(DANE) == "OK dane-only"
    code, said = run("--listen", f"unix:{path}")
    assert code == 71 and "in use" in said
    again.stop()
    assert not path.exists()


def test_sockets_of_the_service_manager(daemon, public_path):
    with socket.socket(socket.AF_UNIX) as listener:
        path = str(public_path / "activated")
        listener.bind(path)
        listener.listen()
        script = f'exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        made = subprocess.Popen(["bash", "-c", script, "bash", BUILD / "resolverd-postfix", "--socket", daemon.socket, "--public-key",
                                 daemon.public_key, *VOUCHED], pass_fds=[listener.fileno()])
        with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rb") as stream:
            sock.settimeout(10)
            sock.connect(path)
            sock.sendall(framed(f"policy {DANE}"))
            assert unframed(stream) == "OK dane-only"
        made.terminate()
        assert made.wait(timeout=5) == 0
        assert os.path.exists(path), "a socket that is not ours stays"

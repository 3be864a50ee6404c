# SPDX-License-Identifier: BSD-3-Clause
"""libresolverd-shim.so under a program that calls libc's resolver, and knows nothing of it."""

import functools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from conftest import BUILD
from stub import Stub

PROGRAM, SHIM = BUILD / "tests" / "resolver-calls", BUILD / "libresolverd-shim.so"
CALLS = ["res_query", "res_search", "res_send", "res_nquery", "res_nsearch", "res_nsend"]
CALLS += [f"__{call}" for call in CALLS]
A, NS, SOA, MX, TXT, AAAA, RRSIG, TLSA, ANY = 1, 2, 6, 15, 16, 28, 46, 52, 255
CHAOS, CLASS_ANY = 3, 255
SUCCESS, HOST_NOT_FOUND, TRY_AGAIN, NO_RECOVERY, NO_DATA, UNSET = 0, 1, 2, 3, 4, -99
USE_DNSSEC = "0x00800000"
SECURE, INSECURE, BROKEN, PLAIN = "dane-ee.org", "insecure.biz", "wrong-ds.com", "plain.net"
TLSA_NAME, NO_TLSA_NAME = f"_25._tcp.mx.{SECURE}", f"_25._tcp.mx.{PLAIN}"


@functools.cache
def sanitizers():
    """Those the shim was built with have to be loaded before it."""
    needed = subprocess.run(["readelf", "-d", SHIM], capture_output=True, text=True).stdout
    return [subprocess.run(["gcc", f"-print-file-name={name}.so"], capture_output=True, text=True, check=True).stdout.strip()
            for name in ("libasan", "libubsan") if name in needed]


def environment_of(daemon):
    return {"LD_PRELOAD": ":".join([*sanitizers(), str(SHIM)]), "RESOLVERD_SOCKET": daemon.socket,
            "RESOLVERD_PUBLIC_KEY": daemon.public_key}


class Answer:
    """What one call returned, and the message in its buffer."""

    def __init__(self, returned, h_errno, res_h_errno, answer):
        self.returned, self.h_errno, self.res_h_errno, self.octets = returned, h_errno, res_h_errno, bytes.fromhex(answer)

    def message(self):
        return dns.message.from_wire(self.octets, ignore_trailing=True)

    def records(self):
        """{type: [data, …]} of the answer section."""
        return {dns.rdatatype.to_text(rrset.rdtype): [rdata.to_text() for rdata in rrset] for rrset in self.message().answer}

    @property
    def is_authentic(self):
        return bool(self.message().flags & dns.flags.AD)

    @property
    def rcode(self):
        return self.message().rcode()


class Program:
    def __init__(self, daemon, resolv_conf=None, shim=True, **environment):
        self.environment = os.environ | (environment_of(daemon) if shim else {}) | environment
        self.resolv_conf = resolv_conf

    def run(self, *arguments, timeout=60):
        """What each command printed."""
        command = [str(PROGRAM), *map(str, arguments)]
        if self.resolv_conf:
            script = f'mount --bind {self.resolv_conf} /etc/resolv.conf && exec env LD_PRELOAD="$SHIM" "$@"'
            command = ["unshare", "--mount", "sh", "-c", script, "sh", *command]
            environment = self.environment | {"SHIM": self.environment.get("LD_PRELOAD", ""), "LD_PRELOAD": ""}
        else:
            environment = self.environment
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def ask(self, call, name, rdtype, *before):
        [answer] = self.run(*before, "ask", call, name, rdtype)
        return Answer(**answer)


@pytest.fixture
def program(daemon):
    return Program(daemon)


def is_send(call):
    return call.endswith("send")


# ---- each call ----

@pytest.mark.parametrize("call", CALLS)
def test_secure_data(program, call):
    answer = program.ask(call, SECURE, MX)
    assert answer.records() == {"MX": [f"10 mx.{SECURE}."]} and answer.is_authentic
    assert answer.returned == len(answer.octets) == len(answer.message().to_wire())


@pytest.mark.parametrize("call", CALLS)
def test_insecure_data_has_no_ad(program, call):
    answer = program.ask(call, INSECURE, MX)
    assert answer.records() == {"MX": [f"10 mx.{INSECURE}."]} and not answer.is_authentic


@pytest.mark.parametrize("name, rdtype", [(BROKEN, MX), (BROKEN, A), ("_25._tcp.mx.tlsa-servfail.com", TLSA),
                                          ("_25._tcp.mx.tlsa-expired.org", TLSA), ("_25._tcp.mx.stripped-tlsa.net", TLSA)])
@pytest.mark.parametrize("call", CALLS)
def test_bogus_and_failing_are_servfail(program, call, name, rdtype):
    answer = program.ask(call, name, rdtype)
    assert answer.rcode == dns.rcode.SERVFAIL and not answer.is_authentic and not answer.message().answer
    if is_send(call):
        assert answer.returned > 0
    else:
        assert answer.returned == -1 and answer.h_errno == TRY_AGAIN


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name, rdtype, rcode, h_errno", [
    (NO_TLSA_NAME, TLSA, dns.rcode.NXDOMAIN, HOST_NOT_FOUND),
    ("_25._tcp.mx.tlsa-nodata.com", TLSA, dns.rcode.NOERROR, NO_DATA),
    (SECURE, TXT, dns.rcode.NOERROR, NO_DATA),
])
def test_absence_is_told_with_the_message(program, call, name, rdtype, rcode, h_errno):
    answer = program.ask(call, name, rdtype)
    assert answer.rcode == rcode and answer.is_authentic and not answer.message().answer
    assert [rrset.rdtype for rrset in answer.message().authority] == [SOA]
    if is_send(call):
        assert answer.returned > 0
    else:
        assert (answer.returned, answer.h_errno) == (-1, h_errno)


def test_h_errno_stands_in_the_state_too(program):
    answer = program.ask("res_nquery", NO_TLSA_NAME, TLSA)
    assert (answer.h_errno, answer.res_h_errno) == (HOST_NOT_FOUND, HOST_NOT_FOUND)


@pytest.mark.parametrize("call", ["res_querydomain", "res_nquerydomain"])
def test_querydomain(program, call):
    name, _, domain = TLSA_NAME.partition(".")
    answer = program.ask(call, name, TLSA, "option", "domain", domain)
    assert answer.is_authentic and list(answer.records()) == ["TLSA"]


@pytest.mark.parametrize("name, rdtype, types", [
    (".", NS, ["NS"]),  # Postfix's dnssec_probe
    (f"mx.{SECURE}", A, ["A"]),
    (SECURE, SOA, ["SOA"]),
    (SECURE, 48, ["DNSKEY"]),
    (SECURE, 43, ["DS"]),
    (SECURE, ANY, ["MX"]),
    ("mx.mx-cname-expanded.net", A, ["CNAME", "A"]),
    ("cname-two-hops.aliases.org", MX, ["CNAME", "MX"]),
    ("mail.old.dname.org", MX, ["DNAME", "CNAME", "MX"]),
])
def test_types_and_aliases(program, name, rdtype, types):
    answer = program.ask("res_query", name, rdtype)
    assert answer.is_authentic and answer.returned > 0
    assert list(dict.fromkeys(answer.records())) == types


def test_alias_into_an_unsigned_zone_has_no_ad(program):
    answer = program.ask("res_query", "cname-to-insecure.aliases.org", MX)
    assert list(answer.records()) == ["CNAME", "MX"] and not answer.is_authentic


def test_signatures_for_those_who_want_them(program):
    plain = program.ask("res_nquery", SECURE, MX)
    signed = program.ask("res_nquery", SECURE, MX, "option", "flags", USE_DNSSEC)
    assert "RRSIG" not in plain.records() and plain.message().edns == -1
    assert "RRSIG" in signed.records() and signed.message().ednsflags & dns.flags.DO


@pytest.mark.parametrize("rdtype", [RRSIG, 251, 252, 41])
def test_types_nobody_can_be_answered_stay_here(program, rdtype):
    answer = program.ask("res_query", SECURE, rdtype)
    assert (answer.returned, answer.h_errno) == (-1, NO_RECOVERY) and not answer.message().answer


def test_names_that_are_none(program):
    for name in ("a..b", "x" * 64 + ".org", ".".join(["y" * 60] * 5)):
        answer = program.ask("res_query", name, MX)
        assert (answer.returned, answer.h_errno) == (-1, NO_RECOVERY), name


# ---- buffers ----

@pytest.mark.parametrize("call", ["res_query", "res_nsend"])
def test_an_answer_that_has_no_room(program, call):
    whole = program.ask(call, "_25._tcp.mx.tlsa-large.com", TLSA)
    assert whole.returned > 4096 and not whole.message().flags & dns.flags.TC
    for room in (12, 512, whole.returned - 1):
        cut = program.ask(call, "_25._tcp.mx.tlsa-large.com", TLSA, "option", "room", room)
        assert cut.returned == whole.returned and len(cut.octets) == room
        assert cut.octets[2] & 0x02 and cut.octets[12:] == whole.octets[12:room]
    exact = program.ask(call, "_25._tcp.mx.tlsa-large.com", TLSA, "option", "room", whole.returned)
    assert exact.returned == whole.returned and not exact.octets[2] & 0x02


@pytest.mark.parametrize("call", ["res_query", "res_send"])
@pytest.mark.parametrize("room", [0, 11])
def test_no_room_for_a_header(program, call, room):
    answer = program.ask(call, SECURE, MX, "option", "room", room)
    assert answer.returned == -1 and answer.octets == bytes(room)


# ---- what libc is left with ----

def raw(program, query):
    octets = query if isinstance(query, bytes) else query.to_wire()
    [answer] = program.run("option", "timeout", "1", "raw", octets.hex())
    return Answer(**answer)


@pytest.mark.parametrize("octets", [b"", b"x" * 11, bytes.fromhex("123481800001000000000000") + b"\0\0\x0f\0\1"])
def test_no_query_at_all(program, octets):
    assert raw(program, octets).returned == -1


@pytest.mark.parametrize("rdclass", [0, 2, 254, CLASS_ANY])
def test_other_classes_that_could_hold_data_of_ours_stay_here(program, rdclass):
    answer = program.ask("res_query", SECURE, MX, "option", "class", rdclass)
    assert (answer.returned, answer.h_errno) == (-1, NO_RECOVERY) and answer.rcode == dns.rcode.REFUSED


def test_a_query_made_by_hand(program):
    query = dns.message.make_query(SECURE, "MX", want_dnssec=True)
    answer = raw(program, query)
    assert answer.message().id == query.id and answer.is_authentic and "RRSIG" in answer.records()


def test_no_recursion_wanted(program):
    assert raw(program, dns.message.make_query(SECURE, "MX", flags=0)).rcode == dns.rcode.REFUSED


# ---- when there is nobody to ask ----

@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("rdtype", [A, AAAA, MX, TLSA, TXT])
def test_without_the_daemon_nothing_is_answered(daemon, call, rdtype):
    answer = Program(daemon, RESOLVERD_SOCKET="/nowhere").ask(call, SECURE, rdtype)
    assert answer.rcode == dns.rcode.SERVFAIL and not answer.is_authentic
    if not is_send(call):
        assert (answer.returned, answer.h_errno) == (-1, TRY_AGAIN)


def test_with_another_key_nothing_is_answered(daemon, tmp_path):
    key = tmp_path / "other.pub"
    for text in ("", "resolverd-key 0000\n"):
        key.write_text(text)
        answer = Program(daemon, RESOLVERD_PUBLIC_KEY=str(key)).ask("res_query", SECURE, MX)
        assert (answer.returned, answer.h_errno, answer.rcode) == (-1, TRY_AGAIN, dns.rcode.SERVFAIL)


def test_a_daemon_that_comes_back(make_daemon):
    daemon = make_daemon()
    program = Program(daemon)
    assert program.ask("res_query", SECURE, MX).is_authentic
    daemon.stop()
    assert program.ask("res_query", SECURE, MX).h_errno == TRY_AGAIN
    daemon.start()
    assert program.ask("res_query", SECURE, MX).is_authentic


def test_it_waits_no_longer_than_the_program_wants(daemon):
    answer = Program(daemon).ask("res_query", "never.silent.net", MX, "option", "timeout", "1")
    assert (answer.returned, answer.h_errno) == (-1, TRY_AGAIN)


# ---- what programs do ----

def test_threads(program):
    [result] = program.run("threads", 16, 50, SECURE, MX)
    assert result == {"alike": 800}


def test_fork(program):
    first, child, parent = program.run("ask", "res_query", SECURE, MX, "fork", "ask", "res_query", TLSA_NAME, TLSA)
    for answer in (first, child, parent):
        assert Answer(**answer).is_authentic


def test_descriptors_that_are_closed_and_used_for_other_things(program):
    *answers, files = program.run("ask", "res_query", SECURE, MX, "close-all", "ask", "res_query", TLSA_NAME, TLSA, "threads", 4, 4,
                                  SECURE, MX, "ask", "res_nsend", SECURE, MX, "check-files")
    assert files == {"untouched": True} and answers.pop(2) == {"alike": 16}
    for answer in answers:
        assert Answer(**answer).is_authentic


@pytest.mark.parametrize("call, name, rdtype", [("res_query", SECURE, MX), ("res_nsearch", BROKEN, MX), ("res_nsend", NO_TLSA_NAME, TLSA),
                                                ("res_query", "_25._tcp.mx.tlsa-large.com", TLSA), ("res_query", SECURE, ANY)])
def test_nothing_is_left_behind(program, call, name, rdtype):
    [left] = program.run("rounds", 500, call, name, rdtype)
    assert left == {"descriptors": 0, "bytes": 0}


def test_nothing_is_left_behind_without_the_daemon(daemon):
    [left] = Program(daemon, RESOLVERD_SOCKET="/nowhere").run("rounds", 500, "res_query", SECURE, MX)
    assert left == {"descriptors": 0, "bytes": 0}


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot is for root")
@pytest.mark.skipif(bool(sanitizers()), reason="a sanitizer needs /proc at the end")
def test_chroot_and_another_user(make_daemon, public_path):
    """The socket and the key have to be where the program finds them then: here the folder of both is the new root."""
    daemon = make_daemon(below=public_path, server__socket_mode="0666")
    before, inside = Program(daemon).run("ask", "res_query", SECURE, MX, "enter", "/", 65534, "ask", "res_query", SECURE, MX)
    assert Answer(**before).is_authentic and Answer(**inside).is_authentic
    before, inside = Program(daemon).run("ask", "res_query", SECURE, MX, "enter", public_path, 65534, "ask", "res_query", SECURE, MX)
    assert Answer(**before).is_authentic and Answer(**inside).h_errno == TRY_AGAIN
    paths = {"RESOLVERD_SOCKET": f"/{pathlib.Path(daemon.socket).relative_to(public_path)}",
             "RESOLVERD_PUBLIC_KEY": f"/{pathlib.Path(daemon.public_key).relative_to(public_path)}"}
    before, inside = Program(daemon, **paths).run("ask", "res_query", SECURE, MX, "enter", public_path, 65534, "ask", "res_query", SECURE, MX)
    assert Answer(**before).h_errno == TRY_AGAIN and Answer(**inside).is_authentic


@pytest.mark.skipif(os.geteuid() != 0, reason="set-user-ID files are made by root")
@pytest.mark.skipif(bool(sanitizers()), reason="a sanitizer wants to be preloaded")
def test_a_set_user_id_program_has_no_shim(daemon, public_path):
    """ld.so drops LD_PRELOAD without a word, so that it asks the name servers of resolv.conf: ours can't be a way for it."""
    nowhere = public_path / "resolv.conf"
    nowhere.write_text("nameserver 127.0.0.99\noptions timeout:1 attempts:1\n")
    nowhere.chmod(0o644)
    copy = public_path / "resolver-calls"
    shutil.copy(PROGRAM, copy)
    script = f'mount --bind {nowhere} /etc/resolv.conf; exec setpriv --reuid 65534 --clear-groups env LD_PRELOAD="$SHIM" {copy} ask res_query . 2'
    asked = []
    for mode in (0o755, 0o4755):
        copy.chmod(mode)
        environment = os.environ | environment_of(daemon) | {"LD_PRELOAD": "", "SHIM": str(SHIM)}
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script], env=environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        asked.append(Answer(**json.loads(done.stdout)))
    assert [bool(answer.octets.strip(b"\0")) for answer in asked] == [True, False]


# ---- the search list ----

@pytest.fixture
def searching(daemon, tmp_path):
    """A program whose resolv.conf has these domains in its search list."""
    if os.geteuid() != 0:
        pytest.skip("another resolv.conf is for root")

    def make(*domains, options="timeout:1 attempts:1"):
        file = tmp_path / f"resolv.conf-{len(list(tmp_path.iterdir()))}"
        file.write_text(f"nameserver 127.0.0.99\nsearch {' '.join(domains)}\noptions {options}\n")
        return Program(daemon, resolv_conf=file)

    return make


@pytest.mark.parametrize("call", ["res_search", "res_nsearch", "__res_search", "__res_nsearch"])
def test_a_short_name_is_searched_for(searching, call):
    answer = searching("plain.net", SECURE).ask(call, "mx", TXT)
    assert (answer.returned, answer.h_errno) == (-1, NO_DATA)
    answer = searching("nothing.plain.net", SECURE).ask(call, "mx", A)
    assert answer.message().question[0].name.to_text() == f"mx.{SECURE}." and answer.is_authentic


@pytest.mark.parametrize("name, domains, asked, returned", [
    ("mx", [SECURE], f"mx.{SECURE}.", True),
    ("mx.", [SECURE], "mx.", False),
    (f"mx.{SECURE}", ["plain.net"], f"mx.{SECURE}.", True),
    ("mx.dane-ee", ["org"], f"mx.{SECURE}.", True),  # after mx.dane-ee itself
    ("nothing.dane-ee", ["org", "plain.net"], "nothing.dane-ee.plain.net.", False),
    ("nothing", ["org", "plain.net"], "nothing.", False),  # itself, last
])
def test_search_order(searching, name, domains, asked, returned):
    answer = searching(*domains).ask("res_search", name, A)
    assert answer.message().question[0].name.to_text() == asked and (answer.returned > 0) == returned
    if not returned:
        assert answer.h_errno == HOST_NOT_FOUND


def test_ndots(searching):
    answer = searching("org", options="ndots:2 timeout:1").ask("res_search", "mx.dane-ee", A)
    assert answer.message().question[0].name.to_text() == f"mx.{SECURE}." and answer.is_authentic


def test_query_does_not_search(searching):
    answer = searching(SECURE).ask("res_query", "mx", A)
    assert (answer.returned, answer.h_errno) == (-1, HOST_NOT_FOUND)


@pytest.mark.parametrize("name, domains", [
    ("mx", [BROKEN, SECURE]),
    (f"mx.{BROKEN}", [SECURE]),
    ("_25._tcp.mx.tlsa-servfail.com", [SECURE]),
])
def test_a_search_ends_with_a_failure(searching, name, domains):
    """Else what an attacker makes fail would be answered by another name."""
    answer = searching(*domains).ask("res_search", name, A if "_" not in name else TLSA)
    assert (answer.returned, answer.h_errno, answer.rcode) == (-1, TRY_AGAIN, dns.rcode.SERVFAIL)


# ---- as libc ----

def told(answer):
    """What a program is told, but for what differs from time to time: id, TTLs, order."""
    message = answer.message()
    sections = [sorted(rdata.to_text() for rrset in section for rdata in rrset) for section in (message.answer, message.authority)]
    return answer.returned, answer.h_errno, message.flags, message.question, sections


@pytest.fixture(scope="module")
def by_libc(daemon, tmp_path_factory):
    """The same calls answered by libc itself, which asks resolverd-stub."""
    if os.geteuid() != 0:
        pytest.skip("another resolv.conf, and port 53, are for root")
    directory = tmp_path_factory.mktemp("libc")
    stub = Stub(directory, daemon, port=53).start()
    file = directory / "resolv.conf"
    file.write_text(f"nameserver 127.0.0.1\nsearch nothing.{PLAIN} {SECURE}\noptions trust-ad\n")
    yield Program(daemon, resolv_conf=file, shim=False), Program(daemon, resolv_conf=file)
    stub.stop()


@pytest.mark.parametrize("flags", ["0", USE_DNSSEC])
@pytest.mark.parametrize("call", CALLS)
def test_the_same_as_libc_with_the_stub(by_libc, call, flags):
    libc, shim = by_libc
    for name, rdtype in [(SECURE, MX), (INSECURE, MX), (NO_TLSA_NAME, TLSA), (TLSA_NAME, TLSA), ("cname-two-hops.aliases.org", MX),
                         ("mail.old.dname.org", MX), ("mx.mx-cname-none.org", AAAA), (".", NS), ("", NS), ("mx", A), ("mx", TXT),
                         ("mx.", A), ("nothing", A), ("_25._tcp.mx.tlsa-large.com", TLSA), ("cname-nxdomain.aliases.org", MX),
                         ("*.wildcard-tlsa.com", TLSA), ("MX.Dane-EE.org", A), ("\\109x.dane-ee.org", A)]:
        before = ["option", "flags", flags]
        answers = [program.ask(call, name, rdtype, *before) for program in (libc, shim)]
        assert told(answers[0]) == told(answers[1]), (name, rdtype)


@pytest.mark.parametrize("call", [call for call in CALLS if not is_send(call)])
def test_failures_as_libc_with_the_stub(by_libc, call):
    """libc keeps nothing of a SERVFAIL, and gives the program the same error."""
    for name, rdtype in [(f"mx.{BROKEN}.", A), ("_25._tcp.mx.tlsa-servfail.com.", TLSA)]:
        libc, shim = [program.ask(call, name, rdtype) for program in by_libc]
        assert (libc.returned, libc.h_errno) == (shim.returned, shim.h_errno) == (-1, TRY_AGAIN)


def test_other_classes_are_libcs(daemon, tmp_path):
    """A name server that sets AD on whatever it is asked: of what libc brings, nothing has AD."""
    if os.geteuid() != 0:
        pytest.skip("another resolv.conf is for root")
    seen = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.98", 53))
        server.settimeout(5)

        def serve():
            while True:
                try:
                    packet, peer = server.recvfrom(4096)
                except OSError:
                    return
                seen.append(dns.message.from_wire(packet))
                reply = dns.message.make_response(seen[-1], recursion_available=True)
                reply.answer.append(dns.rrset.from_text("version.bind.", 0, "CH", "TXT", "some"))
                reply.flags |= dns.flags.AD
                server.sendto(reply.to_wire(), peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        file = tmp_path / "resolv.conf"
        file.write_text("nameserver 127.0.0.98\noptions timeout:1 trust-ad\n")
        with_shim = Program(daemon, resolv_conf=file).ask("res_query", "version.bind", TXT, "option", "class", CHAOS)
        without = Program(daemon, resolv_conf=file, shim=False).ask("res_query", "version.bind", TXT, "option", "class", CHAOS)
        internet = Program(daemon, resolv_conf=file).ask("res_query", SECURE, TXT)
    assert list(with_shim.records()) == list(without.records()) == ["TXT"]
    assert without.is_authentic and not with_shim.is_authentic
    assert internet.h_errno == NO_DATA
    assert {query.question[0].rdclass for query in seen} == {CHAOS}

# SPDX-License-Identifier: BSD-3-Clause
"""resolverd-stub as DNS programs meet it: what it answers, over UDP and TCP, and what it does when its peers misbehave."""

import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import re
import resource
import signal
import socket
import struct
import subprocess
import time

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from conftest import BUILD, wait_for
from stub import ADDRESS, ADDRESS_6, extended_errors, framed, free_port, make_stub, receive, receive_exactly, stub

AD, CD, TC, RA, RD = dns.flags.AD, dns.flags.CD, dns.flags.TC, dns.flags.RA, dns.flags.RD
BOGUS, NOT_READY, NOT_SUPPORTED, NO_REACHABLE_AUTHORITY = 6, 14, 21, 22
SECURE, INSECURE, BROKEN, MANY = "dane-ee.org", "insecure.biz", "wrong-ds.com", "_25._tcp.mx.tlsa-33.com"
numbers = itertools.count()


def silent():
    """A name whose servers never answer, and that no test asked for before: failures are remembered."""
    return f"n{next(numbers)}.silent.net"


def types(section):
    return [dns.rdatatype.to_text(rrset.rdtype) for rrset in section]


# ---- secure, insecure, bogus ----

@pytest.mark.parametrize("address", [ADDRESS, ADDRESS_6])
@pytest.mark.parametrize("tcp", [False, True])
def test_data_over_each_transport(stub, address, tcp):
    reply = stub.ask(SECURE, "MX", tcp, address, want_dnssec=True)
    assert reply.rcode() == dns.rcode.NOERROR and types(reply.answer) == ["MX", "RRSIG"]
    assert [rdata.to_text() for rdata in reply.answer[0]] == [f"10 mx.{SECURE}."]
    assert reply.flags & (AD | RA | RD | TC) == AD | RA | RD


@pytest.mark.parametrize("ad, do, told", [(False, False, False), (True, False, True), (False, True, True), (True, True, True)])
@pytest.mark.parametrize("name, is_secure", [(SECURE, True), (INSECURE, False)])
def test_ad_is_for_secure_data_of_who_knows_it(stub, name, is_secure, ad, do, told):
    """RFC 6840 sections 5.7 and 5.8."""
    reply = stub.ask(name, "MX", want_dnssec=do, flags=RD | (AD if ad else 0))
    assert reply.answer and bool(reply.flags & AD) == (is_secure and told)
    assert ("RRSIG" in types(reply.answer)) == (is_secure and do)


@pytest.mark.parametrize("flags", [RD, RD | AD, RD | CD, RD | AD | CD])
def test_bogus_data_is_servfail_even_with_cd(stub, flags):
    reply = stub.ask(BROKEN, "MX", use_edns=0, flags=flags)
    assert reply.rcode() == dns.rcode.SERVFAIL and not reply.answer and not reply.flags & AD
    assert bool(reply.flags & CD) == bool(flags & CD)
    [(code, text)] = extended_errors(reply)
    assert code == BOGUS and "validation failure" in text


def test_bogus_data_without_edns(stub):
    reply = stub.ask(BROKEN, "MX")
    assert reply.rcode() == dns.rcode.SERVFAIL and reply.edns == -1


def test_failing_servers(stub):
    reply = stub.ask("_25._tcp.mx.tlsa-servfail.com", "TLSA", use_edns=0)
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert extended_errors(reply)[0][0] == NO_REACHABLE_AUTHORITY


def test_no_data(stub):
    reply = stub.ask(SECURE, "TXT", want_dnssec=True)
    assert reply.rcode() == dns.rcode.NOERROR and not reply.answer and reply.flags & AD
    assert set(types(reply.authority)) == {"SOA", "NSEC", "RRSIG"}
    assert types(stub.ask(SECURE, "TXT").authority) == ["SOA"]


def test_no_such_name(stub):
    reply = stub.ask(f"nothing-here.{SECURE}", "A", want_dnssec=True)
    assert reply.rcode() == dns.rcode.NXDOMAIN and not reply.answer and reply.flags & AD
    assert set(types(reply.authority)) == {"SOA", "NSEC", "RRSIG"}


def test_aliases_stand_before_what_they_lead_to(stub):
    reply = stub.ask("cname-two-hops.aliases.org", "MX", flags=RD | AD)
    assert types(reply.answer) == ["CNAME", "CNAME", "MX"] and reply.flags & AD
    assert [rrset.name.to_text() for rrset in reply.answer] == [
        "cname-two-hops.aliases.org.", "cname-other-zone.aliases.org.", "dane-ta.com."]


def test_aliases_through_an_insecure_zone_are_insecure(stub):
    reply = stub.ask("cname-chain.aliases.org", "MX", want_dnssec=True)
    assert "MX" in types(reply.answer) and not reply.flags & AD


def test_dname_stands_before_the_alias_made_of_it(stub):
    reply = stub.ask("any.old.dname.org", "MX")
    assert types(reply.answer)[:2] == ["DNAME", "CNAME"]


@pytest.mark.parametrize("name, rdtype", [(".", "NS"), (".", "DNSKEY"), ("org", "DS"), ("org", "DNSKEY"), (SECURE, "SOA"),
                                          (SECURE, "NSEC"), (f"_25._tcp.mx.{SECURE}", "TLSA"), (f"mx.{SECURE}", "AAAA")])
def test_every_data_type(stub, name, rdtype):
    reply = stub.ask(name, rdtype, tcp=True, want_dnssec=True)
    assert types(reply.answer)[0] == rdtype and reply.flags & AD


def test_the_question_comes_back_in_its_letters(stub):
    """As programs expect that mix them against forged answers."""
    reply = stub.ask("DaNe-Ee.oRg", "MX")
    assert reply.question[0].name.to_text() == "DaNe-Ee.oRg." and reply.answer


def test_odd_names_pass(stub):
    for name in (r"a\.b.dane-ee.org", r"\000\255.dane-ee.org", "*.dane-ee.org", "_x.dane-ee.org"):
        assert stub.ask(name, "A").rcode() == dns.rcode.NXDOMAIN


def test_ttl_is_the_time_until_the_answer_expires(stub):
    first = stub.ask("mx.three-seconds.net", "A").answer[0].ttl
    assert first <= 3
    time.sleep(1.2)
    assert stub.ask("mx.three-seconds.net", "A").answer[0].ttl != first


# ---- what is no question to us ----

@pytest.mark.parametrize("rdclass", ["CH", "HS", "ANY"])
def test_other_classes_are_refused(stub, rdclass):
    reply = stub.ask("version.bind", "TXT", rdclass=rdclass, use_edns=0)
    assert reply.rcode() == dns.rcode.REFUSED and extended_errors(reply)[0][0] == NOT_SUPPORTED


@pytest.mark.parametrize("rdtype, rcode", [("AXFR", "REFUSED"), ("IXFR", "REFUSED"), ("RRSIG", "REFUSED"), ("OPT", "FORMERR"),
                                           ("MAILA", "FORMERR"), ("TSIG", "FORMERR"), ("TYPE0", "FORMERR"),
                                           ("TYPE128", "FORMERR")])
def test_types_that_are_no_data(stub, rdtype, rcode):
    packet = stub.exchange(dns.message.make_query(SECURE, rdtype).to_wire())
    assert packet[3] & 15 == dns.rcode.from_text(rcode)


def test_any_gets_one_rrset(stub):
    """RFC 8482 section 4.1."""
    reply = stub.ask(SECURE, "ANY", want_dnssec=True)
    assert types(reply.answer) == ["MX", "RRSIG"] and reply.flags & AD
    assert types(stub.ask(f"mx.{SECURE}", "ANY").answer) == ["A"]
    assert types(stub.ask("cname-two-hops.aliases.org", "ANY").answer) == ["CNAME"]


def test_any_where_there_is_nothing(stub):
    assert stub.ask(f"nothing-here.{SECURE}", "ANY").rcode() == dns.rcode.NXDOMAIN
    assert stub.ask(BROKEN, "ANY").rcode() == dns.rcode.SERVFAIL
    reply = stub.ask(f"_tcp.mx.{SECURE}", "ANY", flags=RD | AD)
    assert reply.rcode() == dns.rcode.NOERROR and not reply.answer and not reply.flags & AD, "of types that were not asked for nothing is known"


@pytest.mark.parametrize("opcode", [dns.opcode.STATUS, dns.opcode.NOTIFY, dns.opcode.UPDATE])
def test_other_opcodes_are_not_implemented(stub, opcode):
    query = dns.message.make_query(SECURE, "SOA")
    query.set_opcode(opcode)
    packet = stub.exchange(query.to_wire())
    assert packet[3] & 15 == dns.rcode.NOTIMP and packet[2] >> 3 & 15 == opcode and packet[2] & 0x80


def test_edns_of_another_version(stub):
    query = dns.message.make_query(SECURE, "MX")
    query.use_edns(1)
    reply = stub.send(query)
    assert reply.rcode() == dns.rcode.BADVERS and reply.edns == 0 and not reply.answer


def test_unknown_edns_options_are_passed_over(stub):
    reply = stub.ask(SECURE, "MX", use_edns=0, options=[dns.edns.GenericOption(65001, b"x"), dns.edns.GenericOption(10, b"12345678")])
    assert reply.answer and not reply.options


def test_queries_that_do_not_want_recursion_are_refused(stub):
    assert stub.ask(SECURE, "MX", flags=0).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("questions", [0, 2])
def test_formerr_unless_there_is_one_question(stub, questions):
    """RFC 9619."""
    wire = bytearray(dns.message.make_query(SECURE, "MX").to_wire())
    wire += wire[12:] * (questions - 1) if questions else b""
    wire[5] = questions
    packet = stub.exchange(bytes(wire[:12] if not questions else wire))
    assert packet[:2] == wire[:2] and packet[3] & 15 == dns.rcode.FORMERR and packet[4:12] == bytes(8)


def test_no_answer_to_what_is_no_query(stub):
    """An answer to an answer could make two servers talk for ever."""
    response = bytearray(dns.message.make_query(SECURE, "MX").to_wire())
    response[2] |= 0x80
    for packet in (bytes(response), bytes(response[:12]), b"", b"\0" * 11):
        assert stub.exchange(packet, timeout=0.3) is None


# ---- sizes ----

@pytest.mark.parametrize("edns, room", [(None, 512), (100, 512), (512, 512), (1232, 1232), (4096, 1232), (65535, 1232)])
def test_answers_are_cut_at_what_the_asker_takes(stub, edns, room):
    query = dns.message.make_query(MANY, "TLSA", use_edns=-1 if edns is None else 0, payload=edns or 0)
    packet = stub.exchange(query.to_wire())
    reply = dns.message.from_wire(packet)
    assert len(packet) <= room and reply.flags & TC and not reply.answer
    assert stub.send(query, tcp=True).answer[0].rdtype == dns.rdatatype.TLSA


def test_what_fits_is_whole(stub):
    query = dns.message.make_query(MANY, "TLSA", use_edns=0, payload=1232)
    whole = len(stub.send(query, tcp=True).answer[0])
    assert whole == 33


# ---- TCP ----

def test_many_queries_in_one_connection(stub):
    queries = [dns.message.make_query(f"n{i}.{SECURE}", "A") for i in range(600)]
    for number, query in enumerate(queries):
        query.id = number
    with stub.connect() as sock:
        sock.sendall(b"".join(map(framed, queries)))
        replies = {reply.id: reply for reply in (receive(sock) for _ in queries)}
    for query in queries:
        assert replies[query.id].rcode() == dns.rcode.NXDOMAIN and query.is_response(replies[query.id])


def test_fast_answers_do_not_wait_for_slow_ones(make_stub):
    stub = make_stub("--timeout", "2")
    slow, fast = dns.message.make_query(silent(), "TXT"), dns.message.make_query(SECURE, "MX")
    with stub.connect() as sock:
        sock.sendall(framed(slow) + framed(fast))
        assert receive(sock).id == fast.id
        reply = receive(sock)
        assert reply.id == slow.id and reply.rcode() == dns.rcode.SERVFAIL


def test_octet_by_octet(stub):
    query = dns.message.make_query(SECURE, "MX")
    with stub.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in framed(query):
            sock.send(bytes([octet]))
            time.sleep(0.002)
        assert receive(sock).answer


def test_who_has_asked_all_still_gets_answers(stub):
    with stub.connect() as sock:
        sock.sendall(b"".join(framed(dns.message.make_query(f"h{i}.{SECURE}", "A")) for i in range(20)))
        sock.shutdown(socket.SHUT_WR)
        assert all(receive(sock) for _ in range(20))
        assert receive(sock) is None


def test_who_goes_before_the_answer_does_no_harm(make_stub):
    stub = make_stub("--timeout", "1")
    before = stub.descriptors()
    for _ in range(50):
        with stub.connect() as sock:
            sock.sendall(framed(dns.message.make_query(silent(), "TXT")) * 3)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST
    time.sleep(2)
    assert stub.ask(SECURE, "MX").answer
    wait_for(lambda: stub.descriptors() <= before + 1, 5)  # one to the daemon


def test_idle_connections_end(make_stub):
    stub = make_stub("--tcp-idle", "0.5")
    with stub.connect() as silent, stub.connect() as dripping:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() < began + 5:  # half a message is none
                dripping.sendall(b"\0" if time.monotonic() > began + 0.1 else b"\1")
                time.sleep(0.1)
        assert 0.4 < time.monotonic() - began < 3
        assert silent.recv(1) == b""


def test_a_waiting_connection_is_not_idle(make_stub):
    stub = make_stub("--tcp-idle", "1", "--timeout", "3")
    with stub.connect() as sock:
        sock.sendall(framed(dns.message.make_query(silent(), "TXT")))
        assert receive(sock).rcode() == dns.rcode.SERVFAIL
        assert receive(sock) is None


def test_connections_are_bounded_and_the_longest_idle_ends(make_stub):
    stub = make_stub("--tcp-clients", "4")
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(stub.connect()) for _ in range(4)]
        for sock in socks[1:] + socks[:1]:  # so the second is idle for longest
            sock.sendall(framed(dns.message.make_query(SECURE, "MX")))
            assert receive(sock).answer
        late = stack.enter_context(stub.connect())
        late.sendall(framed(dns.message.make_query(SECURE, "MX")))
        assert receive(late).answer
        assert socks[1].recv(1) == b""
        socks[0].sendall(framed(dns.message.make_query(SECURE, "MX")))
        assert receive(socks[0]).answer


def test_when_all_connections_wait_a_new_one_is_refused(make_stub):
    stub = make_stub("--tcp-clients", "2", "--timeout", "3")
    with stub.connect() as first, stub.connect() as second:
        for sock in (first, second):
            sock.sendall(framed(dns.message.make_query(silent(), "TXT")))
        time.sleep(0.2)
        began = time.monotonic()
        with stub.connect() as third:
            assert third.recv(1) == b"" and time.monotonic() - began < 1
        assert receive(first).rcode() == receive(second).rcode() == dns.rcode.SERVFAIL


def test_who_does_not_read_is_not_waited_for(make_stub):
    stub = make_stub("--tcp-idle", "1")
    query = framed(dns.message.make_query(MANY, "TLSA"))
    with stub.connect() as sock:
        sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:
                sock.send(query * 100)
        assert stub.ask(SECURE, "MX").answer
        rss = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{stub.process.pid}/status").read_text())[1])
        assert rss < 64 * 1024
        wait_for(lambda: stub.descriptors() < 12, 10)


@pytest.mark.parametrize("octets", [b"\xff\xff" + bytes(5000), b"\x10\x01" + bytes(4097)])
def test_messages_too_long_for_a_query_end_the_connection(stub, octets):
    with stub.connect() as sock:
        sock.sendall(octets)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""


def test_malformed_queries_do_not_end_the_connection(stub):
    with stub.connect() as sock:
        broken = bytearray(dns.message.make_query(SECURE, "MX").to_wire())
        broken[5] = 2
        sock.sendall(framed(bytes(broken)) + framed(b"") + framed(b"123") + framed(dns.message.make_query(SECURE, "MX")))
        first = receive_exactly(sock, 2)
        assert receive_exactly(sock, struct.unpack("!H", first)[0])[3] & 15 == dns.rcode.FORMERR
        assert receive(sock).answer


def test_out_of_descriptors(make_stub):
    """Accepting pauses and goes on; UDP is served meanwhile."""
    stub = make_stub()
    assert stub.ask(SECURE, "MX").answer  # the connection to the daemon is there
    used = stub.descriptors()
    resource.prlimit(stub.process.pid, resource.RLIMIT_NOFILE, (used + 5, used + 5))
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(stub.connect()) for _ in range(12)]
        time.sleep(0.3)
        assert stub.ask(SECURE, "MX").answer
        cpu = pathlib.Path(f"/proc/{stub.process.pid}/stat").read_text().split()[13:15]
        time.sleep(1)
        later = pathlib.Path(f"/proc/{stub.process.pid}/stat").read_text().split()[13:15]
        assert sum(map(int, later)) - sum(map(int, cpu)) < 30, "it spins"
        socks[0].sendall(framed(dns.message.make_query(SECURE, "MX")))
        assert receive(socks[0]).answer
    with stub.connect() as sock:
        sock.sendall(framed(dns.message.make_query(SECURE, "MX")))
        assert receive(sock).answer


# ---- the daemon ----

def test_without_a_daemon_every_question_fails(make_daemon, make_stub):
    stub = make_stub(beside=make_daemon(start=False))
    for tcp in (False, True):
        reply = stub.ask(SECURE, "MX", tcp, use_edns=0)
        assert reply.rcode() == dns.rcode.SERVFAIL and extended_errors(reply)[0][0] == NOT_READY
    assert "SERVFAIL until it is there" in stub.log() and stub.log().count("SERVFAIL") == 1


def test_a_daemon_that_comes_goes_and_comes_back(make_daemon, make_stub):
    daemon = make_daemon(start=False)
    stub = make_stub(beside=daemon)
    for _ in range(2):
        assert stub.ask(SECURE, "MX").rcode() == dns.rcode.SERVFAIL
        daemon.start()
        wait_for(lambda: stub.ask(SECURE, "MX").answer, 5)
        assert stub.ask(SECURE, "MX", flags=RD | AD).flags & AD
        daemon.stop()
    assert stub.ask(SECURE, "MX").rcode() == dns.rcode.SERVFAIL
    assert stub.log().count("answers again") == 2


def test_questions_in_flight_survive_a_restart_of_the_daemon_or_fail(make_daemon, make_stub):
    daemon = make_daemon()
    stub = make_stub("--timeout", "4", beside=daemon)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        replies = [pool.submit(stub.ask, silent(), "TXT") for _ in range(4)]
        time.sleep(0.5)
        daemon.stop()
        daemon.start()
        assert all(reply.result().rcode() == dns.rcode.SERVFAIL for reply in replies)
    wait_for(lambda: stub.ask(SECURE, "MX").answer, 5)


def test_answers_of_a_key_that_is_not_trusted_are_not_used(make_daemon, tmp_path, make_stub):
    daemon, other = make_daemon(), make_daemon()
    daemon.public_key = other.public_key
    stub = make_stub(beside=daemon)
    reply = stub.ask(SECURE, "MX", use_edns=0)
    assert reply.rcode() == dns.rcode.SERVFAIL and not reply.answer and extended_errors(reply)
    stub.ask(SECURE, "MX")
    assert stub.log().count("\n") == 5, stub.log()  # four sockets, and one word about this


def test_a_missing_key_file_is_looked_for_again(make_daemon, tmp_path, make_stub):
    daemon = make_daemon()
    key, daemon.public_key = pathlib.Path(daemon.public_key), str(tmp_path / "late.pub")
    stub = make_stub(beside=daemon)
    reply = stub.ask(SECURE, "MX", use_edns=0)
    assert reply.rcode() == dns.rcode.SERVFAIL and extended_errors(reply)[0][0] == NOT_READY
    pathlib.Path(daemon.public_key).write_bytes(key.read_bytes())
    wait_for(lambda: stub.ask(SECURE, "MX").answer, 5)


def test_a_daemon_that_hangs_is_not_waited_for(make_daemon, make_stub):
    daemon = make_daemon()
    stub = make_stub("--timeout", "1", beside=daemon)
    assert stub.ask(SECURE, "MX").answer
    [server] = daemon.roles()["server"]
    os.kill(server, signal.SIGSTOP)
    try:
        began = time.monotonic()
        reply = stub.ask(SECURE, "MX", use_edns=0)
        assert reply.rcode() == dns.rcode.SERVFAIL and extended_errors(reply)
        assert 1 <= time.monotonic() - began < 3
    finally:
        os.kill(server, signal.SIGCONT)
    wait_for(lambda: stub.ask(SECURE, "MX").answer, 5)


def test_slow_domains_do_not_hold_back_others(make_stub):
    stub = make_stub("--timeout", "3")
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        began = time.monotonic()
        slow = [pool.submit(stub.ask, silent(), "A") for _ in range(50)]
        time.sleep(0.2)
        before = time.monotonic()
        assert stub.ask(SECURE, "MX").answer and time.monotonic() - before < 1
        assert all(reply.result().rcode() == dns.rcode.SERVFAIL for reply in slow)
        assert time.monotonic() - began < 6


# ---- load ----

def test_load(stub, tmp_path):
    """dnsperf with many in flight: nothing lost, nothing but the right codes."""
    questions = tmp_path / "questions"
    questions.write_text("".join(f"{SECURE} MX\nmx.{SECURE} A\n_25._tcp.mx.{SECURE} TLSA\nn{i}.{SECURE} A\n" for i in range(50)))
    for mode in ("udp", "tcp"):
        done = subprocess.run(["dnsperf", "-s", ADDRESS, "-p", str(stub.port), "-d", str(questions), "-l", "3", "-q", "200", "-D",
                               "-m", mode, "-c", "4"], capture_output=True, text=True, timeout=60, check=True)
        assert re.search(r"Queries lost:\s+0 ", done.stdout), done.stdout
        codes = set(re.findall(r"(NOERROR|NXDOMAIN|SERVFAIL|REFUSED|FORMERR) \d+", done.stdout))
        assert codes == {"NOERROR", "NXDOMAIN"}, done.stdout


def test_garbage_does_no_harm(stub):
    seed = 20260101
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((ADDRESS, stub.port))
        good = dns.message.make_query(SECURE, "MX", want_dnssec=True).to_wire()
        for i in range(5000):
            seed = (seed * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
            packet = bytearray(good)
            packet[2 + (seed >> 33) % (len(good) - 2)] ^= 1 + (seed >> 20) % 255
            with contextlib.suppress(ConnectionRefusedError):
                sock.send(packet[: len(good) - (i % 7 == 0) * ((seed >> 45) % len(good))])
    assert stub.ask(SECURE, "MX", tcp=True).answer and stub.process.poll() is None
    wait_for(lambda: stub.exchange(good, timeout=0.2), 10)


# ---- the command line ----

def run(*options, environment=None, **more):
    return subprocess.run([str(BUILD / "resolverd-stub"), *options], capture_output=True, text=True, timeout=10,
                          env=os.environ | (environment or {}), **more)


@pytest.mark.parametrize("options", [("--nonsense",), ("operand",), ("--listen", "192.0.2.1"), ("--listen", "0.0.0.0"), ("--listen", "::"),
                                     ("--listen", "localhost"), ("--listen", "127.0.0.1:0"), ("--listen", "127.0.0.1:65536"),
                                     ("--listen", "[::1"), ("--listen", "[::1]x"), ("--listen", ""), ("--timeout", "0"),
                                     ("--tcp-idle", "x"), ("--tcp-clients", "0"), ("--tcp-clients", "1x"), ("--listen",)])
def test_wrong_usage(options):
    done = run(*options)
    assert done.returncode == 64 and done.stderr.startswith("resolverd-stub: ") and not done.stdout


def test_a_socket_path_that_is_too_long():
    assert run("--listen", f"127.0.0.1:{free_port()}", "--socket", "/" * 200).returncode == 64


def test_help_and_version():
    assert run("--help").stdout.startswith("Usage: resolverd-stub ")
    assert re.fullmatch(r"resolverd-stub \d+\.\d+\.\d+\n", run("--version").stdout)


def test_a_port_that_is_taken(stub):
    done = run("--listen", f"{ADDRESS}:{stub.port}")
    assert done.returncode == 71 and "another server" in done.stderr


# ---- socket activation ----

@contextlib.contextmanager
def activated(daemon, *socks, options=()):
    """A stub that is handed these sockets, as systemd does it."""
    command = f'LISTEN_PID=$$ LISTEN_FDS={len(socks)} exec "$@"'
    moved = "".join(f" {3 + i}<&{sock.fileno()}" for i, sock in enumerate(socks))
    with subprocess.Popen(["bash", "-c", f"exec{moved}; {command}", "bash", str(BUILD / "resolverd-stub"),
                           "--socket", daemon.socket, "--public-key", daemon.public_key, *options], stderr=subprocess.PIPE,
                          text=True, pass_fds=[sock.fileno() for sock in socks]) as process:
        try:
            yield process
        finally:
            process.terminate()


def bound(kind, address, listening=True):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.bind((address, 0))
    if kind == socket.SOCK_STREAM and listening:
        sock.listen()
    fd = os.dup2(sock.fileno(), os.dup(sock.fileno()) + 40)  # out of the way of 3, 4, …
    sock.close()
    return socket.socket(fileno=fd)


def test_sockets_of_the_service_manager(daemon):
    with bound(socket.SOCK_DGRAM, ADDRESS) as udp, bound(socket.SOCK_STREAM, ADDRESS_6) as tcp, activated(daemon, udp, tcp) as process:
        query = dns.message.make_query(SECURE, "MX", flags=RD | AD)
        reply = dns.query.udp(query, ADDRESS, port=udp.getsockname()[1], timeout=5)
        assert reply.answer and reply.flags & AD
        assert dns.query.tcp(query, ADDRESS_6, port=tcp.getsockname()[1], timeout=5).answer
        assert len(os.listdir(f"/proc/{process.pid}/fd")) < 20


@pytest.mark.parametrize("kind, address, listening", [
    (socket.SOCK_DGRAM, "0.0.0.0", True), (socket.SOCK_STREAM, "::", True), (socket.SOCK_STREAM, ADDRESS, False)])
def test_sockets_that_can_not_be_served(daemon, kind, address, listening):
    with bound(kind, address, listening) as sock, activated(daemon, sock) as process:
        assert process.wait(timeout=5) == 78 and "handed over" in process.stderr.read()


def test_sockets_meant_for_another_process(daemon):
    done = run("--listen", "127.0.0.1:1x", environment={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert done.returncode == 64, "they are not looked at"

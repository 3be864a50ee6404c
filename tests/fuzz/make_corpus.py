# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seeds of the fuzzers to tests/fuzz/corpus/NAME: small inputs, each with another form in it.

    /usr/bin/python3 tests/fuzz/make_corpus.py [NAME...]

What libFuzzer found beside them, merged to the smallest set, has a hash for a name."""

import base64
import importlib
import pathlib
import struct
import subprocess
import sys
import tempfile

import dns.flags
import dns.message
import dns.name
import dns.rrset

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
NOW_MS = 1790000000000
NEXT_HOP, HOST = "example.org", "mx.example.org"


def compiled():
    """The modules of the protocols."""
    folder = tempfile.mkdtemp(prefix="resolverd-corpus-")
    subprocess.run(["protoc", f"-I{ROOT}/proto", f"--python_out={folder}", "resolverd.proto", "worker.proto", "fleet.proto"],
                   check=True)
    sys.path.insert(0, folder)
    return (importlib.import_module(f"{name}_pb2") for name in ("resolverd", "worker", "fleet"))


v1, worker, shared = compiled()


def piece(data):
    """As fuzz.h's take_bytes has it."""
    return struct.pack(">H", len(data)) + data


def frame(data):
    return struct.pack(">I", len(data)) + data


# ---- answers -------------------------------------------------------------------------------------

def route(**fields):
    values = {"kind": v1.MX, "mx_status": v1.SECURE, "expanded": NEXT_HOP, "requirement": v1.NORMAL,
              "insecure_mx_policy": v1.INSECURE_MX_DANE, "mx": [v1.MxHost(preference=10, name=HOST)]}
    return v1.Route(**{**values, **fields})


def host(**fields):
    values = {"policy": v1.DANE, "reason": v1.TLSA_USABLE, "address_status": v1.SECURE,
              "addresses": [v1.Address(ip=b"\xc0\0\2\1", status=v1.SECURE)], "tlsa_status": v1.TLSA_SECURE,
              "tlsa_base": HOST, "tlsa_owner": f"_25._tcp.{HOST}",
              "tlsa": [v1.Tlsa(usage=3, selector=1, matching_type=1, data=bytes(32))]}
    return v1.Host(**{**values, **fields})


def records(**fields):
    rrset = v1.Rrset(owner=NEXT_HOP, type=15, ttl_s=60, rdata=[b"\0\x0a\2mx\7example\3org\0"], rrsig=[bytes(40)])
    return v1.Records(**{"status": v1.SECURE, "answer": [rrset], **fields})


def question(kind, name, port=0, rrtype=0):
    return v1.Question(kind=kind, name=name, port=port, type=rrtype)


def answer(data, **fields):
    if isinstance(data, v1.Route):
        said = {"question": question(v1.ROUTE, NEXT_HOP), "route": data}
    elif isinstance(data, v1.Host):
        said = {"question": question(v1.HOST, HOST, 25), "host": data}
    else:
        said = {"question": question(v1.RECORDS, NEXT_HOP, 0, 15), "records": data}
    times = {"member": "m1", "validated_at": NOW_MS - 1000, "expires_at": NOW_MS + 300000, "cacheable": True}
    return v1.SignedAnswer(answer=v1.Answer(**{**said, **times, **fields}).SerializeToString())


# ---- one function for each fuzzer: name of the seed, and its bytes --------------------------------

def config():
    for number, text in enumerate((
            "", "server {\n socket = /a/s\n socket-mode = 0600\n allow-users = {postfix, 1000}\n}\n",
            "signing {\n member = mx1\n key-file = /a/k\n}\ncache {\n max-memory = 64M\n min-ttl = 5s\n"
            " max-ttl = 2h\n failure-ttl = 250ms\n stale = 1d\n}\n",
            "resolver {\n workers = 3\n forward = {192.0.2.1, \"192.0.2.2@5353\"}\n digests = {sha256}\n"
            " canary-secure = {A.org}\n insecure-mx-policy = unreachable\n}\n",
            "override \".A.org\" {\n requirement = audit\n until = 2027-01-01\n reason = \"x y\"\n}\n"
            "override \"[mx.b.org]\" {\n requirement = off\n}\n",
            "zone \"Corp.Example.\" {\n forward = {\"2001:db8::1@5353\"}\n"
            " insecure-until = \"2027-01-01T00:00:01Z\"\n}\n",
            "zone \"b.org\" {\n stub = {192.0.2.2}\n"
            " trust-anchor = {\"DS 12345 13 2 " + "AB" * 32 + "\",\"DNSKEY 257 3 13 AAAAAAAAAAAAAAAAAAAAAA==\"}\n}\n",
            "unbound {\n do-ip6 = no # comment\n verbosity = '2'\n}\nprefetch {\n rule = on-hit\n}\n",
            "unbound {\n trust-anchor-file = /a\n}\n", "server {\n socket = \"${HOME}/\\x41\\n\"\n}\n",
            "/* open\nserver {\n", "server {\n socket = \"open\n", "cache {\n max-ttl = 8d\n}\n",
            "server {\n socket = /a\n}\nserver {\n max-clients = 5\n}\n",
            "override \"a\" {\n requirement = off\n}\noverride \"A\" {\n requirement = off\n}\n")):
        yield f"{number:02}", text.encode()


def lookup():
    header = {"use_edns": False}
    cases = {
        "mx": ("a.org. 60 IN MX 10 mx.a.org.", "a.org. 60 IN RRSIG MX 13 2 60 20270101000000 20260101000000 1 org. AAAA"),
        "chain": ("a.org. 60 IN CNAME b.org.", "b.org. 50 IN CNAME c.org.", "c.org. 40 IN MX 0 ."),
        "loop": ("a.org. 60 IN CNAME b.org.", "b.org. 50 IN CNAME a.org."),
        "dname": ("org. 60 IN DNAME net.", "a.org. 0 IN CNAME a.net.", "a.net. 60 IN MX 1 a.net."),
        "soa": ("a.org. 60 IN SOA a.org. b.org. 1 2 3 4 5",), "srv": ("a.org. 1 IN SRV 1 2 3 a.org.",),
        "addresses": ("a.org. 60 IN A 192.0.2.1", "a.org. 60 IN AAAA 2001:db8::1"),
        "tlsa": ("a.org. 60 IN TLSA 3 1 1 " + "ab" * 32,)}
    types = {"soa": 6, "srv": 33, "addresses": 1, "tlsa": 52}
    name = dns.name.from_text("a.org.").to_wire()
    for case, rrs in cases.items():
        message = dns.message.make_query("a.org.", "MX", **header)
        message.flags |= dns.flags.QR
        for rr in rrs:
            message.answer.append(dns.rrset.from_text(*rr.split(" ", 4)))
        wire = message.to_wire()
        yield case, b"\2" + piece(name) + struct.pack(">H", types.get(case, 15)) + wire
    message = dns.message.make_query("a.org.", "MX", **header)
    message.flags |= dns.flags.QR
    for rr in ("org. 60 IN SOA a.org. b.org. 1 2 3 4 5", "a.org. 60 IN NSEC b.org. A RRSIG NSEC",
               "3rl2r8.a.org. 60 IN NSEC3 1 1 2 ab 3rl2r9v1 A",
               "a.org. 60 IN RRSIG NSEC 13 2 60 20270101000000 20260101000000 1 org. AAAA"):
        message.authority.append(dns.rrset.from_text(*rr.split(" ", 4)))
    wire = message.to_wire()
    for rcode in (0, 3, 2):
        yield f"denied-{rcode}", b"\2" + piece(name) + b"\0\x0f" + wire[:3] + bytes([rcode]) + wire[4:]
    yield "truncated", b"\2" + piece(name) + b"\0\x0f" + wire[:2] + b"\x83\0" + wire[4:]
    yield "insecure", b"\0" + piece(name) + b"\0\x0f" + wire
    yield "bogus", b"\1" + piece(name) + b"\0\x0f" + wire
    pointers = struct.pack(">6H", 1, 0x8400, 0, 1, 0, 0) + b"\xc0\x0c\0\x0f\0\1\0\0\0\1\0\4\0\1\xc0\x0c"
    yield "pointer-loop", b"\2" + piece(name) + b"\0\x0f" + pointers


def client():
    def signed(flags, *answers):
        return bytes([flags]) + b"".join(piece(answer(one).answer) for one in answers)

    yield "plan", signed(1, route(), host())
    yield "plan-insecure", signed(1, route(mx_status=v1.INSECURE), host(policy=v1.OPPORTUNISTIC, tlsa=[], tlsa_status=v1.TLSA_INSECURE))
    yield "plan-alone", signed(1, route(kind=v1.NULL_MX, mx=[]))
    yield "plan-parts", signed(9, route(), host())
    yield "host", signed(3, host())
    yield "records", signed(5, records())
    yield "error", b"\0" + frame(v1.Response(id=1, error=v1.Error(code=v1.BUSY, text="later")).SerializeToString())
    yield "unsigned", b"\0" + frame(v1.Response(id=2, answers=[answer(route())]).SerializeToString())
    yield "status", b"\0" + frame(v1.Response(id=1, status=v1.StatusResponse(member="m1")).SerializeToString())
    yield "no-frame", b"\0\xff\xff\xff\xff"


def names():
    texts = ("example.org", "EXAMPLE.org.", ".", "_25._tcp.mx.example.org", "a\\.b.org", "\\000\\255.org", "*.org",
             "b\u00fccher.example", "xn--bcher-kva.example", "stra\u00dfe.de", "[mx.example.org]", "[192.0.2.1]",
             "[2001:db8::1]", "[IPv6:2001:db8::1]", "a..b", "a." * 127, "x" * 63 + ".org", "x" * 64, "a@example.org",
             "\"a b\"@example.org", "\"a\\\"b\"@[192.0.2.1]", "\u00e4@b\u00fccher.example", "a@[IPv6:::1]", "<>", "TLSA",
             "TYPE65534", "[]", "[a.1]", "1.2.3.4", "a:b")
    for number, text in enumerate(texts):
        yield f"{number:02}", text.encode()
    yield "wire", b"\2mx\7example\3org\0"
    yield "wire-octets", b"\4\0.\\\xff\3org\0"


def snapshot():
    def record(key, blob, hosts=(), **fields):
        values = {"expires": NOW_MS + 60000, "kept": 0, "span": 60, "hit": 5, "often": 1, "port": 25, "demand": 3,
                  "bogus": 0, **fields}
        places = b"".join(struct.pack("<HH", *place) for place in hosts)
        return struct.pack("<qIIIIIHHBBB5x", values["expires"], values["kept"], values["span"], values["hit"],
                           values["often"], len(blob), len(key), values["port"], len(hosts),
                           values["demand"], values["bogus"]) + key + blob + places

    def blob(data):
        message = answer(data)
        message.signature, message.key_id = bytes(64), bytes(8)
        return v1.Response(answers=[message]).SerializeToString()

    def chunks(*parts):
        return b"".join(struct.pack("<I", len(part)) + part for part in parts) + struct.pack("<I", 0)

    of_route = blob(route())
    a_route = record(b"\1\0\0example.org", of_route, [(of_route.index(HOST.encode()), len(HOST))])
    a_host = record(b"\2\0\x19mx.example.org", blob(host()))
    some = record(b"\3\0\x0fexample.org", blob(records()), demand=0)
    yield "empty", b"\0" + chunks()
    yield "route", b"\0" + chunks(a_route)
    yield "three", b"\0" + chunks(a_route + a_host, some)
    yield "ended", b"\0" + chunks(record(b"\2\0\x19a.org", bytes(8), expires=NOW_MS - 1),
                                  record(b"\2\0\x19b.org", bytes(8), expires=NOW_MS - 1, demand=0))
    yield "kept", b"\0" + chunks(record(b"\1\0\0a.org", bytes(8), kept=0xffffffff))
    yield "no-answer", b"\0" + chunks(record(b"\1\0\0a.org", b"\xff" * 9))
    yield "no-question", b"\0" + chunks(record(b"\1\0\0a.org", v1.Response(answers=[v1.SignedAnswer(
        answer=v1.Answer(route=route()).SerializeToString())]).SerializeToString()))
    yield "twice", b"\0" + chunks(a_host, a_host)
    yield "other-tag", b"\2" + chunks(a_host)
    yield "torn", b"\0" + chunks(a_route)[:-20]
    yield "whole", b"\1resolverd snapshot\n\0" + struct.pack("<Iq", 4, NOW_MS) + b"this configuration".ljust(32, b"\0")


def server():
    def asked(flags, *requests):
        return bytes([flags]) + b"".join(frame(v1.Request(id=i + 1, **one).SerializeToString()) for i, one in enumerate(requests))

    def told(flags, *facts):
        return bytes([flags]) + b"".join(piece(worker.Facts(life_ms=60000, **one).SerializeToString()) for one in facts)

    plan = {"plan": v1.PlanRequest(next_hop=NEXT_HOP, port=25)}
    yield "plan", asked(0, plan, {"host": v1.HostRequest(name=HOST)}, {"records": v1.RecordsRequest(name=NEXT_HOP, type=15)})
    yield "parts", asked(8, plan)[:1] + b"\3" + asked(8, plan, plan)[1:]
    yield "attested", asked(0, {**plan, "nonce": bytes(32)}, {"status": v1.StatusRequest()})
    yield "seal", asked(0, {"seal": v1.SealRequest(hash=bytes(32))}, {"seal": v1.SealRequest(hash=b"x")})
    yield "watch", asked(0, {"watch": v1.WatchRequest(next_hop=NEXT_HOP, hold_down_ms=5)}, {})
    yield "control", asked(1, {"warm": v1.WarmRequest(next_hop=NEXT_HOP, port=25)}, {"explain": v1.ExplainRequest(next_hop=NEXT_HOP)})
    yield "odd", asked(0, {"plan": v1.PlanRequest(next_hop="[192.0.2.1]", port=65536)}, {"host": v1.HostRequest(name="a..b")})
    yield "empty-frame", b"\0" + frame(b"")
    yield "too-long", b"\0" + b"\0\0\x20\0"
    a_route, a_host, some = {"route": route(requirement=0, insecure_mx_policy=0)}, {"host": host()}, {"records": records()}
    yield "facts", told(6, a_route, a_host, some, a_host)
    yield "facts-failed", told(6, {"route": route(kind=v1.FAILED, mx_status=v1.ERROR, mx=[]), "failed": True},
                               {"host": host(policy=v1.UNREACHABLE, reason=v1.ADDRESS_FAILED, address_status=v1.BOGUS, addresses=[]), "failed": True})
    yield "facts-insecure", told(6, {"route": route(mx_status=v1.INSECURE), "insecure_zones": [v1.InsecureZone(zone=NEXT_HOP)]},
                                 {"host": host(policy=v1.OPPORTUNISTIC, tlsa=[], tlsa_status=v1.TLSA_INSECURE)})
    yield "facts-of-none", told(2, {"id": 77, "question": question(v1.ROUTE, NEXT_HOP), **a_route})
    yield "self-check", told(2, {"self_check": worker.SelfCheck(root_status=v1.BOGUS, reason="why")})
    yield "facts-trace", told(6, {**a_route, "lookups": [v1.Lookup(name=NEXT_HOP, type=15)]})


def fleet():
    def facts(data, **fields):
        inner = v1.Answer.FromString(answer(data).answer)
        times = {"member": "them", "validated_at": NOW_MS, "expires_at": NOW_MS + 10**13, "view": bytes(16)}
        kind = inner.WhichOneof("data")
        return b"\1" + shared.SharedFacts(**{"question": inner.question, kind: getattr(inner, kind), **times, **fields}).SerializeToString()

    def frames(*replies):
        return b"\2" + b"".join(frame(reply.SerializeToString()) for reply in replies)

    a_route = route(requirement=0, insecure_mx_policy=0)
    yield "route", facts(a_route)
    yield "route-with-policy", facts(route(requirement=v1.AUDIT))
    yield "host", facts(host(), rrsig_expires_at=NOW_MS + 10**13 - 5)
    yield "records", facts(records())
    yield "other-member", facts(a_route, member="us")
    yield "critical", facts(a_route, critical=[3, 11])
    yield "no-data", b"\1" + shared.SharedFacts(member="them", view=bytes(16)).SerializeToString()
    key_id, signature = bytes(8), bytes(64)
    delegation = v1.SignedDelegation(delegation=v1.Delegation(online_key=bytes(32), member="them", not_after=2**63, scope=v1.ANSWERS).SerializeToString(),
                                     key_id=key_id, signature=signature)
    membership = shared.SignedMembership(membership=shared.Membership(long_term_key=bytes(32), not_after=2**63).SerializeToString(), key_id=key_id,
                                         signature=signature)
    yield "forged", b"\0" + shared.SignedFacts(facts=facts(a_route)[1:], key_id=key_id, signature=signature, delegations=[delegation],
                                               membership=membership).SerializeToString()
    value = shared.SignedFacts(facts=facts(a_route)[1:]).SerializeToString()
    yield "found", frames(shared.StoreReply(id=1, result=shared.DONE, value=value))
    yield "nothing", frames(shared.StoreReply(id=1, result=shared.NOTHING), shared.StoreReply(id=1, result=shared.NOTHING))
    yield "leased", frames(shared.StoreReply(id=1, result=shared.NOTHING), shared.StoreReply(id=1, result=shared.DONE))
    yield "unshared", frames(shared.StoreReply(id=1, result=shared.DONE))
    yield "notice", frames(shared.StoreReply(notice=shared.Notice(question=question(v1.ROUTE, NEXT_HOP), member="m").SerializeToString()),
                           shared.StoreReply(notice=b"\xff"))
    yield "state", frames(shared.StoreReply(state=shared.StoreState(detail="gone")), shared.StoreReply(id=2**64 - 1, count=9))
    yield "too-long", b"\2\0\x10\0\0"
    key = base64.b64encode(bytes(32)).decode()
    yield "ring", f"\3# ours\n{key}\nmember {key}\r\nroot {key}\nrevoked {'0' * 16} # out\n".encode()
    yield "ring-odd", f"\3{key} {key} {key}\nroot\nrevoked 1\n".encode()
    yield "membership", b"\4# a key\n" + base64.encodebytes(membership.SerializeToString())


def main(wanted):
    makers = {maker.__name__: maker for maker in (client, config, fleet, lookup, names, server, snapshot)}
    for name in wanted or makers:
        folder = FOLDER / "corpus" / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed, data in makers[name]():
            (folder / seed).write_bytes(data)


if __name__ == "__main__":
    main(sys.argv[1:])

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes plan.json: the combination table and whole plans as data, for every client to run.

Written from the rules (RFC 7672, docs/PROTOCOL.md), not from proto/combine.c, so that the two
check each other. Numbers are those of proto/resolverd.proto.

    tests/vectors/make_plan.py > tests/vectors/plan.json
"""

import itertools
import json
import sys

SECURE, INSECURE, BOGUS, ERROR = 1, 2, 3, 4
NORMAL, MANDATORY, AUDIT, OFF = 1, 2, 3, 4
MX_DANE, MX_OPPORTUNISTIC, MX_UNREACHABLE = 1, 2, 3
DANE, TLS_NO_AUTH, OPPORTUNISTIC, UNREACHABLE = 1, 2, 3, 4
UNKNOWN = 99

UNSPECIFIED = 0
(TLSA_USABLE, TLSA_ALL_UNUSABLE, TLSA_DENIED, TLSA_NOT_SECURE, ADDRESS_NOT_SECURE, ADDRESS_LITERAL,
 NO_ADDRESS, ADDRESS_FAILED, TLSA_FAILED, TLSA_TOO_MANY, MX_TOO_MANY, NOT_READY, MANDATORY_NOT_DANE,
 INSECURE_MX_REFUSED, INSECURE_MX_IGNORED, REQUIREMENT_OFF, AUDIT_ONLY, ANSWER_MISSING) = range(1, 19)

STATUS_WORDS = {SECURE: "secure", INSECURE: "insecure", BOGUS: "bogus", ERROR: "error"}
REQUIREMENT_CASES = {  # its word, the cases it plays in, those behind an insecure MX
    NORMAL: ("normal", "E13, M03", "E07, E08"),
    MANDATORY: ("mandatory", "D11, K01, K02", "E06, K03"),
    AUDIT: ("audit", "M02", "M02"),
    OFF: ("off", "M01", "M01"),
    UNKNOWN: ("of a later version", "K01, K02", "K03"),
}

MX, IMPLICIT_MX, NULL_MX, NO_SUCH_DOMAIN, NO_MX_STEP, FAILED = range(1, 7)

# Every value of every column, 0 and one of a later version included: no combination lacks a row.
STATUSES = (SECURE, INSECURE, BOGUS, ERROR, 0, UNKNOWN)
REQUIREMENTS = (NORMAL, MANDATORY, AUDIT, OFF, 0, UNKNOWN)
INSECURE_MX_POLICIES = (MX_DANE, MX_OPPORTUNISTIC, MX_UNREACHABLE, 0, UNKNOWN)
POLICIES = (DANE, TLS_NO_AUTH, OPPORTUNISTIC, UNREACHABLE, 0, UNKNOWN)
REASONS = (*range(ANSWER_MISSING + 1), UNKNOWN)
KINDS = (MX, IMPLICIT_MX, NULL_MX, NO_SUCH_DOMAIN, NO_MX_STEP, FAILED, 0, UNKNOWN)


# ---- one host ----

def enforced(mx, insecure_mx, policy, reason):
    """What holds at the host under requirement normal: (policy, reason, names)."""
    if mx not in (SECURE, INSECURE):  # B01, B02: the host was not found in a way to rely on
        return UNREACHABLE, ADDRESS_FAILED, "none"
    if policy in (DANE, TLS_NO_AUTH) and mx == INSECURE:  # E08
        if insecure_mx == MX_OPPORTUNISTIC:
            return OPPORTUNISTIC, INSECURE_MX_IGNORED, "none"
        if insecure_mx != MX_DANE:  # refused, or a wish this version does not know
            return UNREACHABLE, INSECURE_MX_REFUSED, "none"
    if policy == DANE:  # D01; names: I04 to I07
        return DANE, reason, "base-and-next-hop" if mx == SECURE else "base"
    if policy in (TLS_NO_AUTH, OPPORTUNISTIC):  # D05; D07, D08, D12
        return policy, reason, "none"
    if policy == UNREACHABLE:
        return UNREACHABLE, reason, "none"
    return UNREACHABLE, UNSPECIFIED, "none"  # not known: nothing about it is


def only_tlsa_or_policy_is_in_the_way(mx, policy, reason):
    """The host has addresses one may connect to, were it not for DANE."""
    if mx not in (SECURE, INSECURE):
        return False
    if policy == UNREACHABLE:
        return reason in (TLSA_FAILED, TLSA_TOO_MANY)
    return policy in (DANE, TLS_NO_AUTH, OPPORTUNISTIC)


def host_row(mx, requirement, insecure_mx, policy, reason):
    """(policy, reason, names, would_refuse)"""
    normal = enforced(mx, insecure_mx, policy, reason)
    if requirement == NORMAL:
        return *normal, False
    connectable = only_tlsa_or_policy_is_in_the_way(mx, policy, reason)
    if requirement == AUDIT:  # M02
        if normal[0] == UNREACHABLE and connectable:
            return OPPORTUNISTIC, AUDIT_ONLY, "none", True
        return *normal, False
    if requirement == OFF:  # M01
        if normal[0] != OPPORTUNISTIC and connectable:
            return OPPORTUNISTIC, REQUIREMENT_OFF, "none", False
        return *normal, False
    # Mandatory, and every requirement not known. K01 to K03: only dane behind a secure MX.
    if normal[0] == UNREACHABLE or (normal[0] == DANE and mx == SECURE):
        return *normal, False
    return UNREACHABLE, MANDATORY_NOT_DANE, "none", False


def host_rows():
    for given in itertools.product(STATUSES, REQUIREMENTS, INSECURE_MX_POLICIES, POLICIES, REASONS):
        yield [*given, *host_row(*given)]


# ---- the route ----

def route_row(kind, mx):
    """The outcome if the route alone decides it, else null."""
    if mx not in (SECURE, INSECURE):  # a lookup error says nothing, whatever else is claimed
        return "delay"
    if kind in (MX, IMPLICIT_MX, NO_MX_STEP):
        return None
    return {NULL_MX: "no-mail", NO_SUCH_DOMAIN: "no-such-domain"}.get(kind, "delay")


def route_rows():
    for kind, mx in itertools.product(KINDS, STATUSES):
        yield [kind, mx, route_row(kind, mx)]


# ---- whole plans ----

def host(name, policy=DANE, reason=None, base=None):
    usual = {DANE: TLSA_USABLE, TLS_NO_AUTH: TLSA_ALL_UNUSABLE, OPPORTUNISTIC: TLSA_DENIED,
             UNREACHABLE: TLSA_FAILED}
    return {"name": name, "policy": policy, "reason": usual[policy] if reason is None else reason,
            "base": name if base is None else base}


def plan(name, next_hop, hosts, kind=MX, mx_status=SECURE, requirement=NORMAL, insecure_mx=MX_DANE,
         expanded=None, missing=(), mx=None):
    """missing: hosts that get no answer. mx: the names of the route, if not those of hosts."""
    domain = next_hop.strip("[]")
    expanded = domain if expanded is None else expanded
    names = [h["name"] for h in hosts] if mx is None else mx
    answers = {h["name"]: h for h in hosts if h["name"] not in missing}
    rows, want = [], []
    outcome = route_row(kind, mx_status)
    for i, mx_name in enumerate(names if outcome is None else ()):
        answer = answers.get(mx_name)
        policy, reason = UNREACHABLE, ANSWER_MISSING
        if kind == NO_MX_STEP and mx_name[0].isdigit():
            policy, reason = OPPORTUNISTIC, ADDRESS_LITERAL
        elif i >= 16:
            policy, reason = UNREACHABLE, MX_TOO_MANY
        elif answer is not None:
            policy, reason = answer["policy"], answer["reason"]
        row = host_row(mx_status, requirement, insecure_mx, policy, reason)
        rows.append(row)
        ids = {"none": [], "base": [answer and answer["base"]],
               "base-and-next-hop": [answer and answer["base"], domain,
                                     *([] if kind == NO_MX_STEP else [expanded])]}[row[2]]
        want.append({"policy": row[0], "reason": row[1], "would_refuse": row[3],
                     "names": list(dict.fromkeys(ids))})
    would_refuse = False
    if outcome is None:
        if any(row[0] != UNREACHABLE for row in rows):
            outcome = "deliver"
            would_refuse = all(row[0] == UNREACHABLE or row[3] for row in rows)
        elif rows and all(row[1] == NO_ADDRESS for row in rows):
            outcome = "no-host"
        else:
            outcome = "delay"
    return {"name": name, "next_hop": next_hop, "kind": kind, "mx_status": mx_status,
            "expanded": expanded, "requirement": requirement, "insecure_mx_policy": insecure_mx,
            "mx": names, "hosts": list(answers.values()),
            "want": {"outcome": outcome, "would_refuse": would_refuse, "hosts": want}}


def plans():
    no_address = {"policy": UNREACHABLE, "reason": NO_ADDRESS}
    exchange = [host("mx10.example.com"), host("mx15.example.com"),
                host("mx20.example.com", base="mxbackup.example.net")]
    two = [host("a.example.org"), host("b.example.org", OPPORTUNISTIC)]
    yield plan("I09: the example of RFC 7672 section 3.2.2", "exchange.example.org", exchange,
               expanded="example.com")
    yield plan("I05: the original next hop is a second name", "example.org",
               [host("mx.example.net")])
    yield plan("I06: the expanded next hop is a third name", "alias.example.org",
               [host("mx.example.net")], expanded="example.org")
    yield plan("I07: insecure MX, the host's name only", "example.org", [host("mx.example.net")],
               mx_status=INSECURE, expanded="other.example")
    yield plan("I08: no MX, base is the expanded next hop", "www.example.org",
               [host("www.example.org", base="host.example.net")], kind=IMPLICIT_MX,
               expanded="host.example.net")
    yield plan("I08: a name is listed once", "example.org", [host("example.org")], kind=IMPLICIT_MX)
    yield plan("F01: a host in brackets counts as securely selected", "[mx.example.org]",
               [host("mx.example.org")], kind=NO_MX_STEP)
    yield plan("F01: and keeps its original name as second name", "[mx.example.org]",
               [host("mx.example.org", base="real.example.net")], kind=NO_MX_STEP)
    yield plan("D12: an address literal", "[192.0.2.1]", [], kind=NO_MX_STEP, mx=["192.0.2.1"])
    yield plan("D11: an address literal, but mandatory", "[192.0.2.1]", [], kind=NO_MX_STEP,
               mx=["192.0.2.1"], requirement=MANDATORY)
    yield plan("E13: each host has its own policy", "example.org", two)
    yield plan("B10: a TLSA error skips one host", "example.org",
               [host("a.example.org", UNREACHABLE), host("b.example.org")])
    yield plan("B11: every host unreachable", "example.org",
               [host("a.example.org", UNREACHABLE),
                host("b.example.org", UNREACHABLE, ADDRESS_FAILED)])
    yield plan("F04: no host has an address", "example.org",
               [host("a.example.org", **no_address), host("b.example.org", **no_address)])
    yield plan("B04, F04: one without address, one that failed", "example.org",
               [host("a.example.org", **no_address),
                host("b.example.org", UNREACHABLE, ADDRESS_FAILED)])
    yield plan("a route without hosts", "example.org", [])
    for kind, text in ((MX, "MX"), (NULL_MX, "null MX"), (NO_SUCH_DOMAIN, "NXDOMAIN")):
        for status in (SECURE, INSECURE, BOGUS, ERROR):
            answered = {MX: ("E12", "E07"), NULL_MX: ("N01", "N01"), NO_SUCH_DOMAIN: ("A06", "A07")}[kind]
            cases = "A08, B01, B02" if status in (BOGUS, ERROR) else answered[status == INSECURE]
            yield plan(f"{cases}: {text}, {STATUS_WORDS[status]}", "example.org",
                       two if kind == MX else [], kind=kind, mx_status=status)
    yield plan("route failed", "example.org", [], kind=FAILED, mx_status=ERROR)
    yield plan("route of an unknown kind", "example.org", two, kind=UNKNOWN)
    for requirement, (word, cases, behind_insecure_mx) in REQUIREMENT_CASES.items():
        yield plan(f"{cases}: {word}", "example.org",
                   [*two, host("c.example.org", TLS_NO_AUTH), host("d.example.org", UNREACHABLE)],
                   requirement=requirement)
        yield plan(f"{behind_insecure_mx}: {word}, insecure MX", "example.org", two,
                   mx_status=INSECURE, requirement=requirement)
        yield plan(f"K04, N01: {word}, null MX", "example.org", [], kind=NULL_MX,
                   requirement=requirement)
    yield plan("K01, E06: mandatory, no host with TLSA", "example.org", two[1:], requirement=MANDATORY)
    yield plan("K02: mandatory, only unusable TLSA", "example.org",
               [host("a.example.org", TLS_NO_AUTH)], requirement=MANDATORY)
    yield plan("K03, E06: mandatory, insecure MX, TLSA at its only host", "example.org", two[:1],
               mx_status=INSECURE, requirement=MANDATORY)
    yield plan("M02: audit, all would be refused", "example.org",
               [host("a.example.org", UNREACHABLE)], requirement=AUDIT)
    yield plan("M02: audit does not help a failed address", "example.org",
               [host("a.example.org", UNREACHABLE, ADDRESS_FAILED)], requirement=AUDIT)
    for insecure_mx in (MX_DANE, MX_OPPORTUNISTIC, MX_UNREACHABLE, 0):
        yield plan(f"E08: insecure MX policy {insecure_mx}", "example.org",
                   [host("a.example.org"), host("b.example.org", TLS_NO_AUTH)],
                   mx_status=INSECURE, insecure_mx=insecure_mx)
    yield plan("an answer is missing", "example.org", two, missing=("a.example.org",))
    yield plan("all answers are missing", "example.org", two,
               missing=("a.example.org", "b.example.org"))
    many = [host(f"mx{i}.example.org") for i in range(1, 19)]
    yield plan("MX hosts beyond the 16th", "example.org", many[:16],
               mx=[h["name"] for h in many])
    yield plan("no address in 16 of 17 hosts", "example.org",
               [{**h, **no_address} for h in many[:16]], mx=[h["name"] for h in many[:17]])


def dump(name, rows, last=False, per_line=1):
    """One row a line, or as many as differ in their last given column only."""
    rows = [json.dumps(row, separators=(",", ":")) for row in rows]
    lines = [",".join(rows[i:i + per_line]) for i in range(0, len(rows), per_line)]
    sys.stdout.write(f'"{name}":[\n' + ",\n".join(lines) + ("\n]\n" if last else "\n],\n"))


def main():
    sys.stdout.write("{\n")
    dump("host_columns", ["mx_status", "requirement", "insecure_mx_policy", "policy", "reason",
                          "want_policy", "want_reason", "want_names", "want_would_refuse"])
    dump("hosts", host_rows(), per_line=len(REASONS))
    dump("route_columns", ["kind", "mx_status", "want_outcome"])
    dump("routes", route_rows())
    dump("plans", plans(), last=True)
    sys.stdout.write("}\n")


if __name__ == "__main__":
    main()

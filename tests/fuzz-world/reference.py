# SPDX-License-Identifier: BSD-3-Clause
"""The verdicts of RFC 7672, slow and obvious: written from the text of the RFCs, in their order, for comparison with resolverd.

Where an RFC leaves a choice, it is the one of docs/PROTOCOL.md and docs/ARCHITECTURE.md, marked "ours". A step takes `ask(name, type)`,
which gives one of the validator's results; `every` runs the step once for each way in which these can be combined.
"""

import dataclasses
import ipaddress

import dns.name
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key
from dns.rdatatype import A, AAAA, CNAME, MX, TLSA

import make_plan
from validator import INSECURE, SECURE

MX_HOSTS_MAX, MX_LISTED_MAX, ADDRESSES_MAX, TLSA_MAX = 16, 64, 16, 32  # ours
FAILURE_TTL, USED_ONCE = 15, 5  # ours, seconds
NOT_QUERIED = frozenset(["not-queried"])
ABSENT = frozenset(["absent"])


def canonical(name):
    """docs/PROTOCOL.md, canonical names."""
    text = "" if len(name) > 1 else "."
    for label in name.labels[:-1]:
        for byte in label.lower():
            char = chr(byte)
            if char in ".\\":
                text += "\\" + char
            elif char.isascii() and (char.isalnum() or char in "_*-"):
                text += char
            else:
                text += f"\\{byte:03}"
        text += "."
    return text if text == "." else text[:-1]


class Attempt:
    """One run of a step: `path` says which of its results each lookup has; `branches` are the paths not taken."""

    def __init__(self, lookup, path):
        self.lookup = lookup
        self.path = path
        self.seen = {}
        self.branches = []

    def ask(self, name, rdtype):
        if (name, rdtype) not in self.seen:
            results = self.lookup(name, rdtype)
            if len(self.seen) == len(self.path):
                self.branches += [(*self.path, other) for other in range(1, len(results))]
                self.path = (*self.path, 0)
            self.seen[name, rdtype] = results[self.path[len(self.seen)]]
        return self.seen[name, rdtype]


def every(lookup, step):
    """The values of step(ask) for every combination of the results that each lookup may have."""
    values, paths = [], [()]
    while paths:
        attempt = Attempt(lookup, paths.pop())
        value = step(attempt.ask)
        paths += attempt.branches
        if value not in values:
            values.append(value)
    return values


def life(results):
    """RFC 7672 section 3.1.1, RFC 2181 section 5.2: seconds for which what was concluded from these may be used.

    An alias made of a DNAME may have TTL 0 (RFC 2672 section 4.1), and what has TTL 0 may be used for some seconds (ours).
    """
    return max(min(FAILURE_TTL if result.has_failed else result.life for result in results), USED_ONCE)


# ---- the MX step ----


@dataclasses.dataclass
class Route:
    kind: int
    status: frozenset
    life: int
    expanded: dns.name.Name = None
    hosts: tuple = ()  # (preference, name), …


def mx_step(ask, domain):
    """RFC 5321 section 5.1, RFC 7672 section 2.2.1."""
    result = ask(domain, MX)
    # RFC 7672 section 2.1.2: an error delays.
    if result.has_failed:
        return Route(make_plan.FAILED, result.status, FAILURE_TTL)
    found = {"status": result.status, "life": life([result]), "expanded": result.expanded}
    # RFC 5321 section 5.1: a non-existent domain is an error to be reported.
    if not result.exists:
        return Route(make_plan.NO_SUCH_DOMAIN, **found)
    # RFC 5321 section 5.1: no MX records are as one of preference 0 that names the domain itself; RFC 7672 section 2.2.2 keeps the
    # original name, whatever it is an alias of.
    if not result.records:
        return Route(make_plan.IMPLICIT_MX, hosts=((0, domain),), **found)
    # RFC 7505 section 3: the root alone means no mail. Beside others, or with another preference than 0, it is a publisher's mistake;
    # but a host it never is.
    hosts = [(mx.preference, mx.exchange) for mx in result.records if mx.exchange != dns.name.root]
    if not hosts:
        return Route(make_plan.NULL_MX, **found)
    # RFC 7672 section 2.2.1: sorted by preference. Equal preferences: by name (ours), so that the limit cuts the same ones.
    hosts.sort(key=lambda host: (host[0], canonical(host[1])))
    return Route(make_plan.MX, hosts=tuple(hosts[:MX_LISTED_MAX]), **found)


# ---- one host ----


@dataclasses.dataclass
class Host:
    policy: int
    reason: int
    life: int
    address_status: frozenset
    addresses: frozenset = frozenset()  # (address, status), …
    tlsa_status: frozenset = NOT_QUERIED
    tlsa_base: str = None
    tlsa_owner: str = None
    tlsa: frozenset = frozenset()  # (usage, selector, matching type, data), …


def host_step(ask, host, port, digests):
    """RFC 7672 section 2.2.2: a name that has no MX step (any more)."""
    families = [ask(host, A), ask(host, AAAA)]
    used = list(families)
    found = [family for family in families if not family.has_failed and family.records]
    failed = [family for family in families if family.has_failed]
    # Section 2.1.2: when no family gives an address, an error in one is an error of the whole.
    if not found and failed:
        return Host(make_plan.UNREACHABLE, make_plan.ADDRESS_FAILED, FAILURE_TTL,
                    address_status=frozenset().union(*(family.status for family in failed)))
    # Section 2.2.2: without address records the destination is unreachable.
    if not found:
        return Host(make_plan.UNREACHABLE, make_plan.NO_ADDRESS, life(used), address_status=best(families))
    # A family that failed is left out, the other serves (ours: it validated on its own).
    known = {"address_status": best(found), "addresses": frozenset(
        (rdata.address, family.status) for family in found for rdata in family.records)}
    if best(found) == SECURE:
        # The secure cases: the fully expanded name, and failing that the initial name, which without an alias is the same.
        expanded = next(family.expanded for family in found if family.status == SECURE)
        candidates = [expanded, host]
    elif not any(family.is_alias for family in found):
        # Insecure and no alias: TLSA records SHOULD NOT be searched for.
        return Host(make_plan.OPPORTUNISTIC, make_plan.ADDRESS_NOT_SECURE, life(used), **known)
    else:
        # The insecure alias: the status of the alias itself decides; section 2.1.3 says how to learn it.
        alias = ask(host, CNAME)
        used.append(alias)
        if alias.has_failed:
            return Host(make_plan.UNREACHABLE, make_plan.ADDRESS_FAILED, FAILURE_TTL, **known)
        if alias.status == INSECURE:
            return Host(make_plan.OPPORTUNISTIC, make_plan.ADDRESS_NOT_SECURE, life(used), **known)
        candidates = [host]
    return tlsa_step(ask, candidates, port, digests, used, known)


def best(families):
    return SECURE if any(family.status == SECURE for family in families) else INSECURE


def tlsa_step(ask, candidates, port, digests, used, known):
    """RFC 7672 section 2.2.3; what follows from its outcome is in section 2.2."""
    any_insecure, owner = False, None
    for base in dict.fromkeys(candidates):
        try:
            owner = dns.name.from_text(f"_{port}._tcp", base)
        except dns.name.NameTooLong:
            continue  # no such name, so no such records
        result = ask(owner, TLSA)
        used.append(result)
        # Section 2.1.2: after an error the host must be treated as unreachable; no other candidate makes up for it.
        if result.has_failed:
            return Host(make_plan.UNREACHABLE, make_plan.TLSA_FAILED, FAILURE_TTL, tlsa_status=result.status,
                        tlsa_owner=canonical(owner), **known)
        # The first candidate with a secure RRset is the base domain, usable or not.
        if result.status == SECURE and result.records:
            known |= {"tlsa_status": SECURE, "tlsa_base": canonical(base), "tlsa_owner": canonical(owner)}
            return tlsa_found(result.records, digests, life(used), known)
        any_insecure = any_insecure or result.status == INSECURE
    # No candidate has one: opportunistic TLS as before DANE.
    reason = make_plan.TLSA_NOT_SECURE if any_insecure else make_plan.TLSA_DENIED
    return Host(make_plan.OPPORTUNISTIC, reason, life(used), tlsa_status=INSECURE if any_insecure else ABSENT,
                tlsa_owner=owner and canonical(owner), **known)


def tlsa_found(records, digests, seconds, known):
    if len(records) > TLSA_MAX:  # ours
        return Host(make_plan.UNREACHABLE, make_plan.TLSA_TOO_MANY, seconds, **known)
    usable = usable_set(records, digests)
    # RFC 7672 section 2.2: secure, but none usable: TLS is required, authentication is not.
    if not usable:
        return Host(make_plan.TLS_NO_AUTH, make_plan.TLSA_ALL_UNUSABLE, seconds, **known)
    return Host(make_plan.DANE, make_plan.TLSA_USABLE, seconds, tlsa=usable, **known)


def usable_set(records, digests):
    """RFC 7672 section 3.1 and RFC 7671 section 9: drop what is unusable, then keep the strongest digest of each kind."""
    usable = [record for record in records if is_usable(record, digests)]
    kept = set()
    for record in usable:
        rivals = [r.mtype for r in usable if r.mtype != 0 and (r.usage, r.selector) == (record.usage, record.selector)]
        if record.mtype == 0 or record.mtype == min(rivals, key=digests.index):
            kept.add((record.usage, record.selector, record.mtype, record.cert.hex()))
    return frozenset(kept)


def is_usable(record, digests):
    # RFC 7672 section 3.1.3: SMTP knows DANE-TA(2) and DANE-EE(3) only. RFC 6698 section 2.1.2: Cert(0), SPKI(1).
    if record.usage not in (2, 3) or record.selector not in (0, 1):
        return False
    # RFC 6698 section 2.1.3 and RFC 7671 section 9: a digest has its length, and is one that we accept.
    if record.mtype in (1, 2):
        return record.mtype in digests and len(record.cert) == {1: 32, 2: 64}[record.mtype]
    return record.mtype == 0 and is_decodable(record.cert, record.selector)


def is_decodable(data, selector):
    """RFC 7671 section 5.1 and 5.2: Full(0) data is a certificate or a public key in DER."""
    try:
        if selector == 0:
            x509.load_der_x509_certificate(data)
        else:
            load_der_public_key(data)
    except ValueError:
        return False
    return True


# ---- the plan: docs/PROTOCOL.md, combination table ----


@dataclasses.dataclass
class PlannedHost:
    name: str
    preference: int
    policy: int
    reason: int
    facts: Host  # None: not looked up
    reference_names: list


class Reference:
    """`routes` and `hosts` are all that are right; `planned_host` and `outcome` make of some of them what a client must."""

    def __init__(self, validator, digests, insecure_mx):
        self.lookup = validator.lookup
        self.digests = digests
        self.insecure_mx = insecure_mx

    def routes(self, next_hop):
        """Every route that is right."""
        if not next_hop.startswith("["):
            return every(self.lookup, lambda ask: mx_step(ask, dns.name.from_text(next_hop)))
        # RFC 7672 section 2.2.2: a host named by the administrator, no MX step; as good as secure.
        name = next_hop[1:-1]
        host = name if is_address(name) else dns.name.from_text(name)
        return [Route(make_plan.NO_MX_STEP, SECURE, 1 << 31, hosts=((0, host),))]

    def hosts(self, name, port):
        """Every answer that is right for one host."""
        return every(self.lookup, lambda ask: host_step(ask, name, port, self.digests))

    def planned_host(self, next_hop, route, index, facts):
        """One host of a plan, given the facts about it (None: an address, or beyond the limit)."""
        preference, name = route.hosts[index]
        if index >= MX_HOSTS_MAX:
            policy, reason = make_plan.UNREACHABLE, make_plan.MX_TOO_MANY
        elif isinstance(name, str):  # RFC 7672 section 2.2: an address literal has no TLSA base domain
            policy, reason = make_plan.OPPORTUNISTIC, make_plan.ADDRESS_LITERAL
        else:
            policy, reason = facts.policy, facts.reason
        row = make_plan.host_row(mx_status_of(route), make_plan.NORMAL, self.insecure_mx, policy, reason)
        policy, reason, names, _would_refuse = row
        reference_names = []
        if names != "none":  # RFC 7672 sections 3.2.2 and 3.2.3
            reference_names = [facts.tlsa_base]
        if names == "base-and-next-hop":
            reference_names.append(canonical(dns.name.from_text(next_hop.strip("[]"))))
            if route.expanded:
                reference_names.append(canonical(route.expanded))
        text = name if isinstance(name, str) else canonical(name)
        return PlannedHost(text, preference, policy, reason, facts, list(dict.fromkeys(reference_names)))

    def outcome(self, route, planned):
        """Of the whole plan."""
        decided = make_plan.route_row(route.kind, mx_status_of(route))
        if decided:
            return decided
        if any(host.policy != make_plan.UNREACHABLE for host in planned):
            return "deliver"
        return "no-host" if all(host.reason == make_plan.NO_ADDRESS for host in planned) else "delay"


def mx_status_of(route):
    return {SECURE: make_plan.SECURE, INSECURE: make_plan.INSECURE}.get(route.status, make_plan.ERROR)


def is_address(text):
    try:
        ipaddress.ip_address(text)
        return True
    except ValueError:
        return False

# SPDX-License-Identifier: BSD-3-Clause
"""What the world's DNS says, and whether an answer says less.

The order of verdicts. "No verdict" (route `FAILED`, host `UNREACHABLE` since a lookup failed) sends no mail now and is never weaker than
anything: whatever breaks may lead there. Each other verdict makes a sender do something that a different one forbids, so among those none
may stand for another: `DANE` > `TLS_NO_AUTH` > `OPPORTUNISTIC` going down is the downgrade that this project is against; going up would
be records that nobody published; `SECURE` and `INSECURE` of an MX list are the same two ways of being wrong; "no such domain", "no mail"
and "no address" make mail bounce. So an answer is right when each part is what the world says, or no verdict.
"""

import ipaddress
import threading

import resolverd_pb2 as pb
from scenarios import FACTS, SCENARIOS

POLICIES = {pb.DANE: "dane", pb.TLS_NO_AUTH: "tls-no-auth", pb.OPPORTUNISTIC: "opportunistic", pb.UNREACHABLE: "unreachable"}
STATUSES = {pb.SECURE: "secure", pb.INSECURE: "insecure", pb.BOGUS: "bogus", pb.ERROR: "error"}
FAILURES = (pb.ADDRESS_FAILED, pb.TLSA_FAILED, pb.TLSA_TOO_MANY, pb.NOT_READY)
BOUNCES = {pb.NULL_MX: "no-mail", pb.NO_SUCH_DOMAIN: "no-such-domain"}
SIGNED_BEFORE_S, SIGNED_AFTER_S = 3600, 14 * 86400  # the world's signatures, around its start
MX_HOSTS_MAX = 16
LIVE_DOMAIN = "ttl-short.nl"
LIVE_TTL_S = 3


class Wrong(Exception):
    """An answer that a sender must not get."""


def listed(expected):
    return expected if isinstance(expected, list) else [expected]


def _of_zone(name):
    return next(zone for zone in FACTS["zones"] if zone["name"] == name)


def _depends_on_the_time(scenario):
    """Some of its signatures begin or end near the world's start."""
    return any(words in scenario["name"] for words in ("expired", "future", "not-yet-valid", "signature-short", "address-bogus"))


def tlsa_of(record):
    """(usage, selector, matching type, data) of "OWNER TLSA …"."""
    numbers = record.split()[2:]
    return (*map(int, numbers[:3]), "".join(numbers[3:]).lower())


def _published():
    """Owner: what its TLSA records say."""
    found = {}
    for zone in FACTS["zones"]:
        for record in zone["records"]:
            words = record.split()
            if words[1] == "TLSA":
                owner = zone["name"] if words[0] == "@" else words[0][:-1] if words[0].endswith(".") else f"{words[0]}.{zone['name']}"
                found.setdefault(owner.lower(), set()).add(tlsa_of(record))
    return found


class LiveTruth:
    """What the zone that changes has said, and between which real times."""

    def __init__(self, records):
        self.lock = threading.Lock()
        self.states = [(0, float("inf"), self.state_of(records))]

    @staticmethod
    def state_of(records):
        return frozenset(tlsa_of(record) for record in records if record.startswith("_25._tcp.mx TLSA"))

    def changes(self, records, now):
        """From now on both may be told, until `has_changed`."""
        with self.lock:
            self.states.append((now, float("inf"), self.state_of(records)))

    def has_changed(self, now):
        with self.lock:
            begin, _, state = self.states[-2]
            self.states[-2] = (begin, now, state)

    def between(self, begin, end):
        """The TLSA sets that the zone may have told in that time."""
        with self.lock:
            return [state for start, over, state in self.states if start <= end and begin <= over]


class Truth:
    def __init__(self, live, world_started, lag_s):
        """live: a LiveTruth; lag_s: how much older than its validated_at what an answer says may be, beside TTLs."""
        self.live, self.world_started, self.lag_s = live, world_started, lag_s
        self.tlsa = _published()
        self.every_tlsa = set().union(*self.tlsa.values())
        self.scenarios = [scenario for scenario in SCENARIOS if "\\" not in scenario["domain"]]
        self.steady = [scenario for scenario in self.scenarios if not _depends_on_the_time(scenario)]

    def check(self, scenario, route, hosts, wall):
        """Wrong, unless these answers, verified, are right for the time at which the daemon validated them."""
        expect = scenario["expect"]
        self._when(route, wall)
        self._check_route(expect, route, self._may_speak(route))
        for answer, want in self._pairs(expect, hosts):
            self._check_host(scenario, want, answer, self._when(answer, wall))

    def is_whole(self, scenario, route, hosts):
        """Nothing in it is a failure that the world does not have; the answers are right already."""
        expect = scenario["expect"]
        if route.route.kind == pb.FAILED:
            return not expect["hosts"] and "delay" in listed(expect["outcome"])
        return all(answer.host.reason not in FAILURES or "unreachable" in listed(want["policy"])
                   for answer, want in self._pairs(expect, hosts))

    @staticmethod
    def _when(answer, wall):
        """The real times at which it may have been validated."""
        instants = wall.instants(answer.validated_at)
        if not instants:
            raise Wrong(f"validated at {answer.validated_at}, which its clock never was")
        return instants

    def _may_speak(self, answer):
        """By the daemon's clock the signatures of the world hold."""
        return self.world_started - SIGNED_BEFORE_S <= answer.validated_at / 1000 <= self.world_started + SIGNED_AFTER_S

    def _check_route(self, expect, answer, may_speak):
        route, outcomes = answer.route, listed(expect["outcome"])
        if route.kind == pb.FAILED:
            return
        if not may_speak:
            raise Wrong("a route at a time when no signature of the world holds")
        if route.kind in BOUNCES:
            if BOUNCES[route.kind] not in outcomes:
                raise Wrong(f"{BOUNCES[route.kind]}, the world says {outcomes}")
        elif not expect["hosts"]:
            raise Wrong(f"a route of kind {route.kind}, the world says {outcomes}")
        elif (route.kind == pb.IMPLICIT_MX) not in listed(expect["mx"]["implicit"]):
            raise Wrong("an implicit MX" if route.kind == pb.IMPLICIT_MX else "MX records that are not there")
        if STATUSES[route.mx_status] not in listed(expect["mx"]["status"]):
            raise Wrong(f"MX {STATUSES[route.mx_status]}, the world says {expect['mx']['status']}")

    @staticmethod
    def _pairs(expect, hosts):
        wanted = list(expect["hosts"])[:MX_HOSTS_MAX]
        if not hosts:
            return
        if len(hosts) != len(wanted):
            raise Wrong(f"{len(hosts)} hosts, the world says {len(wanted)}")
        if expect["any_order"]:
            hosts = sorted(hosts, key=lambda host: host.question.name)
            wanted.sort(key=lambda host: host["name"])
        for answer, want in zip(hosts, wanted):
            if answer.question.name not in listed(want["name"]):
                raise Wrong(f"host {answer.question.name}, the world says {want['name']}")
            yield answer, want

    def _check_host(self, scenario, want, answer, instants):
        host, name = answer.host, answer.question.name
        policy = POLICIES[host.policy]
        if policy == "unreachable" and host.reason in FAILURES:
            return
        if not self._may_speak(answer):
            raise Wrong(f"{name} {policy} at a time when no signature of the world holds")
        if scenario["domain"] == LIVE_DOMAIN:
            self._check_live(host, policy, instants)
            return
        if policy not in listed(want["policy"]):
            raise Wrong(f"{name} {policy}, the world says {want['policy']}")
        if STATUSES[host.address_status] not in listed(want["address_status"]):
            raise Wrong(f"{name} addresses {STATUSES[host.address_status]}, the world says {want['address_status']}")
        known = [str(ipaddress.ip_address(address.ip)) for address in host.addresses]
        if name in FACTS["hosts"] and not set(known) <= set(FACTS["hosts"][name]):
            raise Wrong(f"{name} at {known}, the world says {FACTS['hosts'][name]}")
        if policy == "dane":
            self._check_tlsa(want, host, name)

    def _check_tlsa(self, want, host, name):
        told = {(one.usage, one.selector, one.matching_type, one.data.hex()) for one in host.tlsa}
        if len(host.tlsa) not in listed(want["usable_tlsa"]):
            raise Wrong(f"{name} with {len(host.tlsa)} TLSA records, the world says {want['usable_tlsa']}")
        if not told <= self.tlsa.get(host.tlsa_owner.lower(), self.every_tlsa):
            raise Wrong(f"{name} with TLSA records that nobody published: {sorted(told)}")
        if "tlsa_base" in want and host.tlsa_base not in listed(want["tlsa_base"]):
            raise Wrong(f"{name} by the base {host.tlsa_base}, the world says {want['tlsa_base']}")

    def _check_live(self, host, policy, instants):
        told = frozenset((one.usage, one.selector, one.matching_type, one.data.hex()) for one in host.tlsa)
        states = [state for at in instants for state in self.live.between(at - LIVE_TTL_S - self.lag_s, at)]
        if policy != "unreachable" and policy != ("dane" if told else "opportunistic"):
            raise Wrong(f"{LIVE_DOMAIN}: {policy} with {len(told)} TLSA records")
        if policy == "unreachable" or told not in states:
            raise Wrong(f"{LIVE_DOMAIN}: {policy} by {sorted(told)}, the world said {[sorted(state) for state in states]} then")

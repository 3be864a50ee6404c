#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Asks a real resolverd for a plan of every domain of a generated world, and compares it with the reference.

    run.py --data world.json -- compare.py world.json [--oracle] [NEXTHOP…]

Runs inside the world (tests/world/run.py). Everything is asked twice: first of empty caches, then of full ones. Prints each
disagreement with all that is needed to judge it; the exit code is 1 if there is any. --oracle asks a real unbound, too, for every
lookup that the reference made: it tells whether the model of the resolver or the verdict on top of it is wrong.
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / name) for name in ("system", "world", "vectors")]

from conftest import WORLD, Daemon  # noqa: E402, isort: skip (it adds the generated protobuf code to the path)
import dns.name  # noqa: E402
import dns.rdatatype  # noqa: E402

import authority  # noqa: E402
import lookups  # noqa: E402
import make_plan  # noqa: E402
import reference  # noqa: E402
from validator import Validator  # noqa: E402

PARALLEL = 12
DEADLINE_S = 8
DIGESTS = {"sha256": 1, "sha512": 2}
INSECURE_MX = {"dane": make_plan.MX_DANE, "opportunistic": make_plan.MX_OPPORTUNISTIC, "unreachable": make_plan.MX_UNREACHABLE}
POLICIES = {make_plan.DANE: "dane", make_plan.TLS_NO_AUTH: "tls-no-auth", make_plan.OPPORTUNISTIC: "opportunistic",
            make_plan.UNREACHABLE: "unreachable"}
REASONS = ["unknown", "tlsa-usable", "tlsa-all-unusable", "tlsa-denied", "tlsa-not-secure", "address-not-secure", "address-literal",
           "no-address", "address-failed", "tlsa-failed", "tlsa-too-many", "mx-too-many", "not-ready", "mandatory-not-dane",
           "insecure-mx-refused", "insecure-mx-ignored"]


class Disagreement(Exception):
    pass


# ---- comparing one plan ----


def check(judge, next_hop, port, plan):
    """Compares a plan as `resolverctl --json` prints it with all that are right."""
    if not plan.get("signatures", {}).get("verified"):
        raise Disagreement("no verified plan")
    route = the_one_like_ours("route", judge.routes(next_hop), lambda route: differences_of_route(route, next_hop, plan))
    hosts = sorted(plan["hosts"], key=lambda host: host["preference"])
    if hosts != plan["hosts"] or len(hosts) != len(route.hosts):
        raise Disagreement("the hosts are not in the order of their preferences, or not all of them")
    planned = [like_ours(judge, next_hop, port, route, index, ours) for index, ours in enumerate(hosts)]
    lives = [route.life] + [host.facts.life for host in planned if host.facts]
    agree([("outcome", plan["outcome"], judge.outcome(route, planned)), lifetime(plan, min(lives))])


def like_ours(judge, next_hop, port, route, index, ours):
    """The host of the reference's plan that ours is."""
    name = route.hosts[index][1]
    is_looked_up = index < reference.MX_HOSTS_MAX and not isinstance(name, str)
    candidates = judge.hosts(name, port) if is_looked_up else [None]
    planned = [judge.planned_host(next_hop, route, index, facts) for facts in candidates]
    return the_one_like_ours(f"host {ours['name']}", planned, lambda host: differences_of_host(host, ours))


def the_one_like_ours(what, candidates, differences):
    for candidate in candidates:
        if not first_difference(differences(candidate)):
            return candidate
    complaints = dict.fromkeys(first_difference(differences(candidate)) for candidate in candidates)
    raise Disagreement(f"{what} {', or '.join(complaints)}")


def agree(pairs):
    difference = first_difference(pairs)
    if difference:
        raise Disagreement(difference)


def first_difference(pairs):
    """Of (what, ours, the reference's), the latter a set where several values are allowed."""
    for what, ours, wanted in pairs:
        if ours not in wanted if isinstance(wanted, (set, frozenset)) else ours != wanted:
            return f"{what}: ours {ours!r}, reference {wanted!r}"
    return None


def lifetime(ours, seconds):
    return f"expires in {ours['expires_in']} s, after {seconds} s", ours["expires_in"] > seconds, False


def differences_of_route(route, next_hop, plan):
    if next_hop.startswith("["):
        return [("mx", plan["mx"], None)]
    mx = plan["mx"]
    pairs = [("mx.status", mx["status"], route.status), ("mx.implicit", mx["implicit"], route.kind == make_plan.IMPLICIT_MX)]
    if route.kind != make_plan.FAILED:
        pairs.append(("mx.expanded", mx["expanded"], reference.canonical(route.expanded)))
    decided = make_plan.route_row(route.kind, make_plan.SECURE)
    pairs.append(("outcome", plan["outcome"], {decided} if decided else {"deliver", "delay", "no-host"}))
    ours = sorted((host["preference"], host["name"]) for host in plan["hosts"])
    pairs.append(("hosts", ours, sorted((preference, text_of(name)) for preference, name in route.hosts)))
    return pairs


def text_of(name):
    return name if isinstance(name, str) else reference.canonical(name)


def differences_of_host(planned, ours):
    facts, policy, reasons = planned.facts, POLICIES[planned.policy], {REASONS[planned.reason]}
    if planned.reason in (make_plan.ADDRESS_FAILED, make_plan.TLSA_FAILED):
        reasons.add("not-ready")  # a failure that took too long
    pairs = [
        ("name", ours["name"], planned.name),
        ("preference", ours["preference"], planned.preference),
        ("policy", ours["policy"], policy),
        ("reason", ours["reason"], reasons),
        ("reference_names", ours["reference_names"], planned.reference_names),
    ]
    if facts is None:
        return pairs
    addresses = {(address["ip"], address["status"]) for address in ours["addresses"]}
    allowed_addresses = {(address, word) for address, status in facts.addresses for word in status}
    tlsa = {(record["usage"], record["selector"], record["matching_type"], record["data"]) for record in ours["tlsa"]}
    return pairs + [
        ("address_status", ours["address_status"], facts.address_status),
        ("wrong addresses", sorted(addresses - allowed_addresses), []),
        ("number of addresses", len(ours["addresses"]), min(len(facts.addresses), reference.ADDRESSES_MAX)),
        ("tlsa_status", ours["tlsa_status"], facts.tlsa_status),
        ("tlsa_base", ours["tlsa_base"], facts.tlsa_base),
        ("tlsa_owner", ours["tlsa_owner"], facts.tlsa_owner),
        ("tlsa", sorted(tlsa), sorted(facts.tlsa)),
        ("number of TLSA records", len(ours["tlsa"]), len(facts.tlsa)),
        ("sni", ours["sni"], facts.tlsa_base if policy in ("dane", "tls-no-auth") else None),
        lifetime(ours, facts.life),
    ]


# ---- the report ----


def report(validator, zones, next_hop, port, plan):
    """The reference's lookups for this plan, and the zones they touch, ready for domains.json."""
    questions = set() if next_hop.startswith("[") else {(next_hop, "MX")}
    for host in plan.get("hosts", []):
        questions |= {(host["name"], "A"), (host["name"], "AAAA"), (f"_{port}._tcp.{host['name']}", "TLSA")}
    touched = set()
    for name, rdtype in sorted(questions):
        results = validator.known.get((dns.name.from_text(name), dns.rdatatype.from_text(rdtype)), [])
        names = [dns.name.from_text(name), *(result.expanded for result in results if result.expanded)]
        touched |= {validator.zones.of(seen).name for seen in names}
        said = [f"{'/'.join(sorted(r.status))}, {len(r.records)} records at {r.expanded}" for r in results]
        print(f"    {name} {rdtype}: {' or '.join(said) or 'not asked'}")
    for name, described in zones.items():
        if authority.parse_name(name) in touched:
            print(f"    {json.dumps(name)}: {json.dumps(described)}")


def ask_all(daemon, questions):
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        plans = list(pool.map(lambda question: daemon.ctl("plan", "--port", question[1], "--", question[0], timeout=60)[1], questions))
    print(f"{len(plans)} plans in {time.monotonic() - begin:.1f} s", file=sys.stderr)
    return plans


def compare(generated, daemon, validator, questions):
    """The number of domains whose plans are wrong, in either round."""
    judge = reference.Reference(validator, [DIGESTS[name] for name in generated["digests"]], INSECURE_MX[generated["insecure_mx_policy"]])
    wrong, policies = set(), collections.Counter()
    for _round in ("empty caches", "full caches"):
        for (next_hop, port), plan in zip(questions, ask_all(daemon, questions)):
            policies.update([plan.get("outcome"), *(host["policy"] for host in plan.get("hosts", []))])
            try:
                check(judge, next_hop, port, plan)
            except Disagreement as disagreement:
                wrong.add(next_hop)
                print(f"DISAGREEMENT {next_hop} port {port}, {_round}: {disagreement}\n  ours: {json.dumps(plan)}")
                report(validator, generated["shared"], next_hop, port, plan)
    print("seen: " + ", ".join(f"{count} {word}" for word, count in policies.most_common()))
    return len(wrong)


def main():
    parser = argparse.ArgumentParser(description="Compare resolverd with the reference on a generated world.")
    parser.add_argument("world", type=pathlib.Path, help="what generate.py made and run.py runs")
    parser.add_argument("--oracle", action="store_true", help="compare the reference's lookups with a real unbound too")
    parser.add_argument("next_hops", nargs="*", metavar="NEXTHOP", help="ask for these only")
    arguments = parser.parse_args()
    generated = json.loads(arguments.world.read_text())
    questions = [question for question in generated["questions"] if question[0] in arguments.next_hops or not arguments.next_hops]
    validator = Validator(authority.Zones(json.loads((WORLD / "world.json").read_text())["zones"]))
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(directory, resolver__insecure_mx_policy=generated["insecure_mx_policy"], resolver__deadline=f"{DEADLINE_S}s")
        daemon.config_path.write_text(f"resolver {{ digests = {{{', '.join(generated['digests'])}}} }}\n")
        daemon.start()
        disagreements = compare(generated, daemon, validator, questions)
        disagreements += lookups.compare(validator, "resolverd", lookups.Resolverd(daemon).ask)
        daemon.stop()
    if arguments.oracle:
        disagreements += lookups.compare(validator, "unbound", lookups.ask_unbound)
    print(f"seed {generated['seed']}: {len(questions)} domains compared, {disagreements} disagreements")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())

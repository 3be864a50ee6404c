#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The DNS of freshness.py, in the form of tests/world/domains.json, on standard output.

Like the mail of the simulator (tests/sim/load.c), in small: three domains in five are at one of the providers, which share two hosts
each, the others are their own host. The first DOMAINS are in use, asked for at least once in each TTL, and signed. Those behind them,
asked for less often or once, are at the providers too, and unsigned, as most domains are: names below wildcards.

Usage: freshness_world.py [--quick]
"""

import hashlib
import json
import sys

QUICK = "--quick" in sys.argv
DOMAINS = 500 if QUICK else 2000
PROVIDERS = 20
ZONES = 20
TTLS = range(5, 21)
COLD = 400
WARM = 800 if QUICK else 2000
DEAD = 1000
LONG_TTL = 300


def ttl(number):
    return TTLS[number * 7 % len(TTLS)]


def at_provider(number):
    return number % 5 < 3


def provider_hosts(number):
    zone = f"p{number % PROVIDERS:02}.net"
    return f"mx1.{zone}", f"mx2.{zone}"


def domain(number):
    """Domain number of those in use, from 0."""
    return f"d{number:04}.f{number % ZONES:02}.net"


def hosts_of(number):
    return provider_hosts(number) if at_provider(number) else (f"mx.{domain(number)}",)


def below_wildcard(number):
    """A domain of its own that no zone lists: TTL and hosts are its zone's."""
    return f"n{number}.t{number % len(TTLS):02}.biz"


def wildcard_ttl(number):
    return TTLS[number % len(TTLS)]


def wildcard_hosts(number):
    return provider_hosts(number % len(TTLS))


def host_ttl(name):
    """Of a provider's host; any other has the TTL of its domain."""
    label, zone, _ = name.split(".")
    return ttl(int(zone[1:]) + int(label[2:]))


def cold_domain(number):
    """With a host of its own."""
    return f"c{number:04}.c{number % ZONES:02}.org"


def warm_domain(number):
    """A zone of its own, as a recipient's domain mostly is."""
    return f"w{number:05}.org"


def dead_domain(number):
    return f"dead{number:04}.biz"


def host(owner, number, seconds):
    digest = hashlib.sha256(owner.encode()).hexdigest()
    return [f"{owner} {seconds} A 127.25.{number // 250 % 250}.{number % 250 + 1}", f"{owner} {seconds} AAAA 2001:db8:25::{number + 1:x}",
            f"_25._tcp.{owner} {seconds} TLSA 3 1 1 {digest}"]


def own_host(name, number, seconds):
    label = name.partition(".")[0]
    return [f"{label} {seconds} MX 10 mx.{label}", *host(f"mx.{label}", number, seconds)]


def zones():
    made = {f"f{zone:02}.net": [] for zone in range(ZONES)}
    for number in range(PROVIDERS):
        made[f"p{number:02}.net"] = [line for i in (1, 2) for line in host(f"mx{i}", 2 * number + i, ttl(number + i))]
    for number in range(DOMAINS):
        name = domain(number)
        label, _, zone = name.partition(".")
        if at_provider(number):
            made[zone] += [f"{label} {ttl(number)} MX {10 * i} {mx}." for i, mx in enumerate(hosts_of(number), 1)]
        else:
            made[zone] += own_host(name, 100 + number, ttl(number))
    for number, seconds in enumerate(TTLS):
        made[f"t{number:02}.biz"] = [f"* {seconds} MX {10 * i} {mx}." for i, mx in enumerate(provider_hosts(number), 1)]
    for number in range(COLD):
        name = cold_domain(number)
        made.setdefault(name.partition(".")[2], []).extend(own_host(name, 5000 + number, LONG_TTL))
    for number in range(WARM):
        made[warm_domain(number)] = [f"@ {LONG_TTL} MX 10 mx", *host("mx", 6000 + number, LONG_TTL)]
    return made


def main():
    shared = {name: {"server": "nsd", "records": records, "sign": "none" if name.endswith(".biz") else "nsec"}
              for name, records in zones().items()}
    shared |= {dead_domain(number): {"server": "nobody", "sign": "none"} for number in range(DEAD)}
    shared["front.org"] = {}  # the world waits for one such
    tlds = {"net": {}, "org": {}, "biz": {"sign": "none"}}
    json.dump({"tlds": tlds, "shared": shared, "scenarios": []}, sys.stdout)


if __name__ == "__main__":
    main()

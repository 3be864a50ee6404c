# SPDX-License-Identifier: BSD-3-Clause
"""Completes the expectations of domains.json to the full form of `resolverctl --json plan`.

A row of domains.json states what is particular about its scenario; this module adds what follows from it. A scalar that may
have several values is a list of the allowed ones. A key that is missing from a completed host is not to be compared:
`tlsa_base` and `tlsa_owner` mean something only where a secure TLSA RRset was found, so hosts without one leave them out.
"""

REQUIRED_WHEN_UNREACHABLE = ("address_status", "tlsa_status")


def complete(scenario):
    """The whole expectation of one row of domains.json."""
    domain, port, given = scenario["domain"], scenario.get("port", 25), scenario["expect"]
    mx = {"status": "secure", "implicit": False, "expanded": domain} | given.get("mx", {})
    if given.get("outcome") == "delay" and not given.get("hosts"):
        mx["expanded"] = [domain, None]  # no MX answer, so maybe no expansion of the name either
    hosts = [_complete_host(host, domain, port, mx) for host in given.get("hosts", [])]
    return {
        "outcome": given.get("outcome", "deliver"),
        "mx": mx,
        "any_order": given.get("any_order", False),
        "hosts": hosts,
    }


def _complete_host(given, domain, port, mx):
    policy = given["policy"]
    host = {"name": given["name"], "policy": policy, "address_status": "secure"}
    if policy in ("dane", "tls-no-auth"):
        base = given.get("tlsa_base", given["name"])
        host |= {
            "tlsa_status": "secure",
            "tlsa_base": base,
            "tlsa_owner": f"_{port}._tcp.{base}",
            "usable_tlsa": 1 if policy == "dane" else 0,
            "reference_names": _reference_names(base, domain, mx) if policy == "dane" else [],
        }
    else:
        host |= {"tlsa_status": "absent", "usable_tlsa": 0, "reference_names": []}
        if policy == "unreachable":
            missing = [key for key in REQUIRED_WHEN_UNREACHABLE if key not in given]
            if missing:
                raise ValueError(f"{domain}: unreachable host {given['name']} must state {missing}")
        if given.get("tlsa_status") == "not-queried":
            host |= {"tlsa_base": None, "tlsa_owner": None}
    return host | given


def _reference_names(base, domain, mx):
    """RFC 7672 sections 3.2.2 and 3.2.3: with an insecure MX RRset only the base domain counts."""
    names = [base]
    if mx["status"] == "secure":
        names += [domain, mx["expanded"]]
    return list(dict.fromkeys(names))


def lookups(scenario, expectation):
    """(name, type, status) for every TLSA lookup the expectation implies and those the row adds; status as in `tlsa_status`."""
    port = scenario.get("port", 25)
    for host in expectation["hosts"]:
        if host["tlsa_status"] == "not-queried":
            continue
        owner = host.get("tlsa_owner") or f"_{port}._tcp.{host['name']}"
        yield owner, "TLSA", host["tlsa_status"]
    for name, rdtype, status in scenario.get("lookups", []):
        yield name, rdtype, status

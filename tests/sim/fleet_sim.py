#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Simulated fleets (fleet.c) of several sizes, with and without a store, and by formula those that are too large; docs/SCALING.md says what
it all means. Prints a table and writes build/fleet-sim.json, one flat object: the figures of a fleet end with _MEMBERS_RATE_store or _alone.

Usage: fleet_sim.py FLEET_PROGRAM [--seed N] [--quick]
"""

import argparse
import concurrent.futures
import os

from sim import run, write

# members, mails a second of all together, hours of warm-up, hours that are measured; the longest first
SIMULATED = [(1000, 100, 24, 3), (100, 100, 24, 3), (10, 100, 24, 3), (1, 100, 24, 3), (100, 10, 24, 12), (10, 1, 24, 48), (1, 0.1, 24, 240)]
QUICK = [(100, 10, 2, 1), (10, 10, 2, 1), (1, 10, 2, 1), (1, 0.1, 2, 48)]
EXPECTED = [(10_000, 1_000), (100_000, 10_000), (1_000_000, 100_000), (20_000, 100_000), (1_000, 5_000)]
COMPARED = ("lookups_per_mail", "commands_per_mail", "store_mb")
# Measured elsewhere: by make fleet-bench, with its count; on Redis 7.0 with 300,000 keys like those of counts; by make bench-quick (docs/OPERATIONS.md).
FACT_BYTES, COUNT_BYTES = 730, 170
LOOKUPS_PER_CPU_S, PLANS_PER_CPU_S = 1200, 220_000 / 2


def label(one):
    return f"{one['members']}_{one['mails_per_s']:g}_{'store' if one['store'] else 'alone'}"


def derived(one):
    """Of a run or of the formula."""
    plans, seconds = one["plans"], one["seconds"]
    lookups = one["lookups_route"] + one["lookups_host"]
    figures = {
        "lookups_per_s": lookups / seconds,
        "lookups_per_mail": lookups / plans,
        "route_lookups_per_mail": one["lookups_route"] / plans,
        "host_lookups_per_mail": one["lookups_host"] / plans,
        "cpu_s_per_million_mails": 1e6 / PLANS_PER_CPU_S + 1e6 * lookups / plans / LOOKUPS_PER_CPU_S,
    }
    if one["store"]:
        commands = {kind: one[kind] for kind in ("get", "lease", "set", "incr")}
        figures |= {f"{kind}_per_mail": count / plans for kind, count in commands.items()}
        total = sum(commands.values()) + one["incr"] + one.get("publish", 0)  # each INCR has its PEXPIRE
        extra = max(one["counts_live"] - one["facts_live"], 0)
        figures |= {
            "commands_per_mail": total / plans,
            "commands_per_s": total / seconds,
            "facts_live": one["facts_live"],
            "counts_live": one["counts_live"],
            "store_mb": (one["facts_live"] * FACT_BYTES + extra * COUNT_BYTES) / 1e6,
        }
    return figures


def simulated(one):
    """Of a run only."""
    assert one["served_wrong"] == one["unended"] == one["refused"] == 0, one
    figures = {
        "mails": one["plans"],
        "plans_at_once": one["plans_unwaited"] / one["plans"],
        "plans_without_lookup": one["plans_without_lookup"] / one["plans"],
        "wait_mean_ms": one["wait_mean_ms"],
        "wait_p99_ms": one["wait_p99_ms"],
        "refreshes_of_lookups": one["lookups_refresh"] / (one["lookups_route"] + one["lookups_host"]),
        "entries_per_member": one["entries"] / one["members"],
        "newcomer_without_lookup": 1 - one["newcomer_lookups"] / one["newcomer_questions"],
    }
    if one["store"]:
        figures |= {
            "lookups_without_lease": 1 - one["leases_taken"] / one["set"],
            "publish_per_s": one["publish"] / one["seconds"],
            "notices_per_s": one["notices"] / one["seconds"],
        }
    return figures


def compare(runs, formulas, figures):
    """With and without the store, with one daemon, with the formula."""
    for key, one in runs.items():
        alone = figures[f"lookups_per_mail_{key.replace('store', 'alone')}"]
        same = f"lookups_per_mail_1_{one['mails_per_s']:g}_alone"
        if one["store"]:
            figures[f"lookups_vs_alone_{key}"] = figures[f"lookups_per_mail_{key}"] / alone
        if same in figures:
            figures[f"lookups_vs_one_daemon_{key}"] = figures[f"lookups_per_mail_{key}"] / figures[same]
        said = derived(formulas[key])
        for name in COMPARED:
            if name in said:
                figures[f"formula_vs_simulated_{name}_{key}"] = said[name] / figures[f"{name}_{key}"]


def table(title, keys, figures, names):
    print(f"\n{title:40}" + "".join(f"{key:>22}" for key in keys))
    for name in names:
        values = [figures.get(f"{name}_{key}") for key in keys]
        if any(value is not None for value in values):
            print(f"{name:40}" + "".join(f"{'' if value is None else f'{value:,.3f}':>22}" for value in values))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    sizes = QUICK if options.quick else SIMULATED
    settings = [(members, rate, store, *hours) for members, rate, *hours in sizes for store in ("store", "alone")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda setting: run(options.program, *setting, options.seed), settings))
    runs = {label(one): one for one in found}
    formulas = {label(one): one for one in (run(options.program, "formula", members, rate, store) for members, rate, store in
                                            [setting[:3] for setting in settings] + [(*size, store) for size in EXPECTED for store in ("store", "alone")])}
    figures = {"seed": options.seed}
    for key, one in formulas.items():
        source = runs.get(key, one)
        figures |= {f"{name}_{key}": round(value, 4) for name, value in (derived(source) | (simulated(source) if key in runs else {})).items()}
    compare(runs, formulas, figures)
    figures = {name: round(value, 4) for name, value in figures.items()}
    names = list(dict.fromkeys(name for one in found for name in derived(one) | simulated(one)))
    names += ["lookups_vs_alone", "lookups_vs_one_daemon", *(f"formula_vs_simulated_{name}" for name in COMPARED)]
    for title, keys in (("simulated, with a store", [key for key in runs if key.endswith("store")]),
                        ("simulated, without", [key for key in runs if key.endswith("alone")]),
                        ("by formula", [key for key in formulas if key not in runs])):
        table(title, keys, figures, names)
    print(f"\nat most {max(one['memory_mb'] for one in found)} MB and {sum(one['cpu_s'] for one in found)} s of CPU; written to build/fleet-sim.json")
    write("fleet-sim.json", figures)


if __name__ == "__main__":
    main()

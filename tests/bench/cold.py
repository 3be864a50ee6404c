# SPDX-License-Identifier: BSD-3-Clause
"""Plans that nobody knows yet, beside unbound on the same world; one-off names; a start with a snapshot."""

import collections
import json
import statistics
import time

import measure
from measure import IN_FLIGHT, QUICK, WORLD, memory, pb, row
from wire import Client
from wiretap import Wiretap

ROUNDS = 1 if QUICK else 5
WORKERS = (1, 2, 4)
ONE_OFF = (500, 2_000) if QUICK else (10_000, 50_000)
DESCRIPTION = json.loads((WORLD / "world.json").read_text())
ASKED_TYPES = {"MX", "A", "AAAA", "TLSA"}


def ask_once(daemon, names, directory):
    """Seconds for the plans of all names, IN_FLIGHT at a time."""
    path = directory / "next-hops"
    path.write_text("\n".join(names) + "\n")
    figures = measure.run_json(measure.CLIENT_CORE, [measure.BUILD / "bench-load", "--socket", daemon.socket, "--once", path,
                                                     "--pipeline", IN_FLIGHT, "--seconds", measure.LIMIT_S])
    assert figures["responses"] == len(names)
    return figures["seconds"]


def hosts_of(daemon, names):
    """The MX hosts of the names, after checking that every plan is complete and DANE."""
    hosts = set()
    with Client(daemon.socket) as client:
        for name in names:
            answers = [pb.Answer.FromString(signed.answer) for signed in client.ask(plan=pb.PlanRequest(next_hop=name)).answers]
            assert answers[0].route.kind == pb.MX and answers[0].route.mx, f"{name}: {answers[0].route.reason}"
            assert all(answer.host.policy == pb.DANE for answer in answers[1:]), f"{name}: {answers[1:]}"
            hosts |= {mx.name for mx in answers[0].route.mx}
    return sorted(hosts)


def bulk_names():
    bulk = DESCRIPTION["bulk"]
    return [f"d{i:05}.{bulk['zone']}" for i in range(1, bulk["count"] + 1)]


def cold(directory):
    names = bulk_names()
    with measure.daemon(directory) as daemon:
        hosts = hosts_of(daemon, names[:1])
    of_hosts = [question for host in hosts for question in (f"{host} A", f"{host} AAAA", f"_25._tcp.{host} TLSA")]
    distinct = [f"{name} MX" for name in names] + of_hosts
    every = [question for name in names for question in (f"{name} MX", *of_hosts)]

    def ours(workers):
        with measure.daemon(directory, resolver__workers=workers) as daemon:
            seconds = ask_once(daemon, names, directory)
            assert hosts_of(daemon, names[::20]) == hosts
        return {"per_s": len(names) / seconds}

    def theirs(threads, questions):
        with measure.unbound(directory, threads):
            return {"per_s": len(names) / measure.ask_unbound(questions, directory)}

    print(f"cold: {len(names)} domains, all at the same {len(hosts)} hosts, so a plan costs one MX lookup and the hosts' {len(of_hosts)} are shared;\n"
          f"  each asked once, {IN_FLIGHT} in flight; signed zones on NSD of the same cores; {ROUNDS} round(s); libunbound verifies with nettle, unbound with OpenSSL")
    for count in WORKERS:
        plans, asked = measure.in_turn(lambda: ours(count), lambda: theirs(count, distinct), rounds=ROUNDS)
        suffix = "" if count == 1 else f"_{count}"
        row(f"cold{suffix}_vs_unbound", measure.ratio(plans, asked),
            f"{count} worker(s): {measure.median(plans):,.0f} plans/s; unbound, {count} thread(s), asked the {len(distinct)} distinct questions, the same "
            f"DNS work: {measure.median(asked):,.0f}/s ({measure.spread(plans, asked)})")
    bare, asked = measure.in_turn(lambda: the_library(names, directory), lambda: theirs(1, distinct), rounds=ROUNDS)
    row("cold_libunbound_vs_unbound", measure.ratio(bare, asked),
        f"the bare libunbound, one context, asked the MX of the same names: {measure.median(bare):,.0f}/s; unbound, 1 thread: {measure.median(asked):,.0f}/s "
        f"({measure.spread(bare, asked)}): what nettle costs instead of OpenSSL, and no plan made of it")
    plans, asked = measure.in_turn(lambda: ours(1), lambda: theirs(1, every), rounds=ROUNDS)
    row("cold_vs_unbound_every", measure.ratio(plans, asked),
        f"1 worker: {measure.median(plans):,.0f} plans/s; unbound asked all {1 + len(of_hosts)} questions of every plan, as a mail server would "
        f"(most of them from its cache): {measure.median(asked):,.0f} plans/s")
    upstream(directory, names, distinct)


def the_library(names, directory):
    path = directory / "names"
    path.write_text("\n".join(names) + "\n")
    with measure.daemon(directory) as daemon:
        sets = [option for option in daemon.command() if option.startswith("--set=")]
    return measure.run_json(measure.CLIENT_CORE, [measure.BUILD / "bench-libunbound", "--processes=1", f"--in-flight={IN_FLIGHT}", "--mx-only", *sets, path])


# ---- queries that reach name servers ----

def upstream(directory, names, questions):
    zones = {address: zone for zone, address in DESCRIPTION["servers"].items()}

    def tapped(ask):
        with Wiretap(zones) as tap:
            return ask(lambda: len(tap.queries()), tap)

    def ours(workers):
        def ask(mark, tap):
            with measure.daemon(directory, resolver__workers=workers) as daemon:
                before = mark()
                ask_once(daemon, names, directory)
                return tap.queries()[before:]
        return tapped(ask)

    def theirs(mark, tap):
        with measure.unbound(directory):
            before = mark()
            measure.ask_unbound(questions, directory)
            return tap.queries()[before:]

    unbound = tapped(theirs)
    for count in WORKERS:
        queries = ours(count)
        suffix = "" if count == 1 else f"_{count}"
        row(f"upstream_queries{suffix}_vs_unbound", len(queries) / len(unbound),
            f"{count} worker(s): {len(queries)} queries for {len(names)} cold plans, {infrastructure(queries)} of them infrastructure (root, TLDs, keys, "
            f"referrals); unbound {len(unbound)}, {infrastructure(unbound)} of them")


def infrastructure(queries):
    """Those that are not for data of a name in its zone."""
    kinds = collections.Counter("." in query.zone.rstrip(".") and query.type in ASKED_TYPES for query in queries)
    return kinds[False]


# ---- one-off names: what anyone can cause ----

def one_off(directory):
    for kind in ("nsec", "nsec3"):
        each = []
        for count in ONE_OFF:
            names = [f"r{i:06}.one-off-{kind}.net" for i in range(count)]
            with measure.daemon(directory) as daemon:
                before = workers_bytes(daemon)
                seconds = ask_once(daemon, names, directory)
                grown = workers_bytes(daemon) - before
            each.append(seconds / count)
        with measure.unbound(directory):
            unbound = measure.ask_unbound([f"{name} MX" for name in names], directory)
        row(f"one_off_{kind}_vs_unbound", unbound / seconds,
            f"{count:,} names below one wildcard, {each[-1] * 1e6:.0f} us each; unbound, one thread: {unbound / count * 1e6:.0f} us")
        row(f"one_off_{kind}_growth", each[-1] / each[0], f"a name among {ONE_OFF[-1]:,} against one among {ONE_OFF[0]:,}")
        row(f"one_off_{kind}_worker_bytes", int(grown / count), "growth of all workers' PSS for each name")


def workers_bytes(daemon):
    return sum(memory(pid) for pid in daemon.roles()["worker"])


# ---- a start ----

def restart(directory):
    """From the start of the program to the last plan, with what was known before and with nothing."""
    names = bulk_names()
    state = directory / "state"
    state.mkdir()

    def started():
        begin = time.monotonic()
        with measure.daemon(directory, server__state_directory=state) as daemon:
            ready = time.monotonic() - begin
            answered = ready + ask_once(daemon, names, directory)
        return {"ready_s": ready, "answered_s": answered}

    cold_start = started()
    warm = [started() for _ in range(ROUNDS)]
    answered = statistics.median(figure["answered_s"] for figure in warm)
    row("warm_start_vs_cold", cold_start["answered_s"] / answered,
        f"{len(names)} plans after {answered:.2f} s with the snapshot (ready after {warm[0]['ready_s']:.2f} s), {cold_start['answered_s']:.2f} s without")

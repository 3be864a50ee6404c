#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a fleet saves, and what it costs: real daemons and the real redis-server on one host; inside tests/world/run.py --bulk N.

All members are asked for all N domains, each in an order of its own. Queries are counted on the wire. Sixty processes share the cores of
this machine, so that the members wait for the store for longer than by default (`fleet.timeout`), lest what is counted be their patience.
Writes build/fleet.json, one flat object.

Usage: fleet_bench.py [--quick]
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import socket
import statistics
import sys
import tempfile
import time

import measure
from measure import BUILD, QUICK, WORLD, in_turn, median, pb, ratio, row, run_json, spread

from fleet import Far, Store
from wire import Client
from wiretap import Wiretap

MEMBERS = 4 if QUICK else 20
PIPELINE = 16
FAR_PORT = 6401
DELAY_S = 0.002  # of each way to the store that is far
SAMPLES = 100 if QUICK else 500
PATIENCE = "2s"
SEED = 1
DESCRIPTION = json.loads((WORLD / "world.json").read_text())
DATA_TYPES = {"MX", "A", "AAAA", "TLSA"}


def domains():
    bulk = DESCRIPTION["bulk"]
    return [f"d{i:05}.{bulk['zone']}" for i in range(1, bulk["count"] + 1)]


# ---- members ----

class Fleet:
    def __init__(self, directory, store):
        self.directory, self.store, self.ring, self.made = directory, store, directory / "ring", []
        self.ring.write_text("# nobody yet\n")

    def keys(self, **more):
        return {"fleet__redis": f"unix:{self.store.path}", "fleet__trusted_keys": str(self.ring), "fleet__timeout": PATIENCE} | more

    @contextlib.contextmanager
    def member(self, name, **more):
        """Once it is with the store, and all that are there trust each other."""
        with measure.daemon(self.directory, signing__member=name, **self.keys(**more)) as made:
            self.made.append(made)
            self.ring.write_text("".join(pathlib.Path(member.public_key).read_text() for member in self.made))
            for member in self.made:
                member.reload("")
            measure.wait_for(lambda: "fleet: connected" in made.log(), 20, made.log)
            yield made
            self.made.remove(made)


def ask_all(member, names, directory, pipeline=PIPELINE):
    path = directory / f"names-{pathlib.Path(member.socket).parent.name}"
    path.write_text("\n".join(names) + "\n")
    figures = run_json(measure.CLIENT_CORE, [BUILD / "bench-load", "--socket", member.socket, "--once", path, "--pipeline", pipeline,
                                             "--seconds", measure.LIMIT_S])
    assert figures["responses"] == len(names)


def plan(client, name):
    return [pb.Answer.FromString(signed.answer) for signed in client.ask(plan=pb.PlanRequest(next_hop=name)).answers]


# ---- upstream ----

def asked_upstream(tap, ask):
    before = len(tap.queries())
    ask()
    return tap.queries()[before:]


def of_names(queries):
    return {query.name.rstrip(".").lower() for query in queries if query.type in DATA_TYPES and query.name.rstrip(".").lower().startswith("d0")}


def upstream(directory, fleet, names, tap):
    with measure.daemon(directory) as alone:
        one = asked_upstream(tap, lambda: ask_all(alone, names, directory))
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(fleet.member(f"m{i}")) for i in range(MEMBERS)]
        orders = [random.Random(SEED + i).sample(names, len(names)) for i in range(MEMBERS)]
        fleet.store.ask("FLUSHALL")
        bytes_before, calls = int(fleet.store.info("memory")["used_memory"]), fleet.store.calls()

        def all_ask():
            with concurrent.futures.ThreadPoolExecutor(MEMBERS) as pool:
                list(pool.map(lambda pair: ask_all(*pair, directory), zip(members, orders)))

        many = asked_upstream(tap, all_ask)
        commands = {name: count - calls.get(name, 0) for name, count in fleet.store.calls().items()}
        row(f"upstream_{MEMBERS}_vs_1", len(many) / len(one),
            f"{MEMBERS} members asked for the same {len(names):,} domains, each in an order of its own: {len(many):,} queries upstream, "
            f"one daemon without a fleet {len(one):,}")
        plans = MEMBERS * len(names)
        told = sum(commands.get(name, 0) for name in ("get", "set", "incr", "pexpire", "publish"))
        row("commands_per_plan", told / plans, f"{told:,} commands for {plans:,} plans, of them none in a member's cache at first: " +
            ", ".join(f"{name} {commands.get(name, 0) / plans:.2f}" for name in ("get", "set", "incr", "pexpire", "publish")))
        values = fleet.store.values()
        bytes_now = int(fleet.store.info("memory")["used_memory"])
        row("store_bytes_per_fact", int((bytes_now - bytes_before) / len(values)),
            f"used_memory by {len(values):,} facts with a count of each, but for what the store had before; a value has "
            f"{statistics.mean(map(len, values.values())):.0f} bytes")
        newcomer(directory, fleet, names, tap)
        latency(directory, fleet, names)


def newcomer(directory, fleet, names, tap):
    with fleet.member("newcomer") as new:
        queries = asked_upstream(tap, lambda: ask_all(new, names, directory))
        row("warm_new_member", 1 - len(of_names(queries) & set(names)) / len(names),
            f"the share of the {len(names):,} domains that a new member with an empty cache needed no query upstream for ({len(queries):,} queries in all)")


# ---- latency ----

def timed(function):
    begin = time.perf_counter()
    function()
    return (time.perf_counter() - begin) * 1e6


def round_trip_us():
    """Of a GET that finds a fact's number of bytes, through the delay."""
    with socket.create_connection(("127.0.0.1", FAR_PORT)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def get():
            sock.sendall(b"*2\r\n$3\r\nGET\r\n$7\r\nnothing\r\n")
            sock.recv(100)

        return statistics.median(timed(get) for _ in range(SAMPLES))


def latency(directory, fleet, names):
    """Of plans one at a time: first from the store, then from the cache."""
    far = Far(fleet.store.path, FAR_PORT, DELAY_S)
    try:
        round_trip = round_trip_us()
        with fleet.member("far", fleet__redis=f"redis://127.0.0.1:{FAR_PORT}") as member, Client(member.socket) as client:
            whole = timed(lambda: plan(client, names[0]))  # route, then hosts
            sample = names[1:1 + SAMPLES]
            origins = []
            miss = [timed(lambda name=name: origins.append(plan(client, name)[0].origin)) for name in sample]
            hit = [timed(lambda name=name: plan(client, name)) for name in sample]
        assert all(origins), "looked up"
        added = statistics.median(miss) - statistics.median(hit)
        row("added_round_trips", added / round_trip,
            f"median of a plan from the store {statistics.median(miss):,.0f} us, from the cache {statistics.median(hit):,.0f} us; a round trip to the store "
            f"{round_trip:,.0f} us; the first plan, whose hosts come from the store as well, {whole:,.0f} us")
    finally:
        far.close()


# ---- the hot path ----

def hot(directory, fleet):
    name = "provider-customer.com"
    with measure.daemon(directory) as alone, fleet.member("hot") as member:
        one, other = measure.server_of(member), measure.server_of(alone)
        for server in (one, other):
            request, _, _ = measure.record(server, name, directory)
        for shape, clients, pipeline in (("sync64", 64, 1), ("pipelined", 4, 64)):
            def load(server, clients=clients, pipeline=pipeline):
                return lambda: server.load("--request", request, "--clients", clients, "--pipeline", pipeline)
            with_it, without = in_turn(load(one), load(other))
            row("hot_vs_no_fleet" if shape == "pipelined" else f"hot_{shape}_vs_no_fleet", ratio(with_it, without),
                f"{clients} clients x {pipeline} in flight: {median(with_it):,.0f} plans/s with a fleet, {median(without):,.0f} without ({spread(with_it, without)})")


def main():
    zones = {address: zone for zone, address in DESCRIPTION["servers"].items()}
    names = domains()
    with tempfile.TemporaryDirectory(prefix="resolverd-fleet-") as directory:
        directory = pathlib.Path(directory)
        store = Store(directory / "store")
        try:
            fleet = Fleet(directory, store)
            hot(directory, fleet)
            with Wiretap(zones) as tap:
                upstream(directory, fleet, names, tap)
        finally:
            store.stop()
    target = BUILD.parent / "fleet.json"
    target.write_text(json.dumps(measure.results, indent=1) + "\n")
    print(f"written to {os.path.relpath(target)}")


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Figures as ratios of one run, with the absolute beside them; inside tests/world/run.py --bulk N.

Every ratio compares two things in turn (A B A B …, medians), on the same machine and world; nothing is pinned. Absolute
figures of two runs on a noisy machine can't be compared, ratios can. Writes build/bench.json, one flat object.

Usage: bench.py [--quick]
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "system"), str(HERE.parent / "world")]

from conftest import BUILD, WORLD, Daemon, wait_for  # noqa: E402
import dns.message  # noqa: E402
import oracle  # noqa: E402
import resolverd_pb2 as pb  # noqa: E402
from wire import Client  # noqa: E402

QUICK = "--quick" in sys.argv
HOT_ROUNDS, HOT_SECONDS, COLD_ROUNDS = (3, 0.5, 1) if QUICK else (7, 1, 5)
ROUTES = 10_000 if QUICK else 100_000
ONE_OFF = (2_000, 10_000) if QUICK else (10_000, 50_000, 100_000)
IN_FLIGHT = 256
COLD_LIMIT_S = 300
RECORDED_ID = 16384  # as long as the ids of the load client, so that all responses have one length
TWO_HOSTS = "mixed-policy.org"
UNBOUND_ADDRESS = "127.200.0.1"
LOST_SHARE_MAX = 0.005
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
results = {}


def row(name, value, how):
    results[name] = round(value, 4) if isinstance(value, float) else value
    print(f"{name:28} {results[name]:>12}   {how}", flush=True)


def median(values):
    return statistics.median(values)


def load(path, *options):
    command = [BUILD / "bench-load", "--socket", path, *map(str, options)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


@contextlib.contextmanager
def running(command):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


# ---- hot: the cache against a server that does nothing ----

def record(daemon, directory):
    """The request and the response body of a hot plan with two hosts, as files, and the size of the response."""
    body = pb.Request(id=RECORDED_ID, plan=pb.PlanRequest(next_hop=TWO_HOSTS)).SerializeToString()
    with Client(daemon.socket) as client:
        for _ in range(2):
            client.send_frame(body)
            response = client.receive_frame()
    assert len(pb.Response.FromString(response).answers) == 3, "a route and two hosts"
    (directory / "request").write_bytes(body)
    (directory / "response").write_bytes(response)
    return directory / "request", directory / "response", len(response)


def measured(path, pid, request, size, clients, pipeline):
    """What the load client says, with the processor time of the server for one plan."""
    before = cpu_seconds(pid)
    figures = load(path, "--request", request, "--clients", clients, "--pipeline", pipeline, "--seconds", HOT_SECONDS)
    assert figures["response_bytes"] == size, f"a response of {figures['response_bytes']} bytes, recorded {size}"
    return figures | {"cpu_ns": (cpu_seconds(pid) - before) * 1e9 / figures["responses"]}


def hot(make, directory):
    null_socket = directory / "null.sock"
    with make() as daemon:
        request, response, size = record(daemon, directory)
        server = daemon.roles()["server"][0]
        with running([BUILD / "bench-null_server", null_socket, response]) as null:
            wait_for(null_socket.exists, 5)
            for name, clients, pipeline in (("sync1", 1, 1), ("sync64", 64, 1), ("pipelined", 4, 64)):
                shape = request, size, clients, pipeline
                rounds = [(measured(daemon.socket, server, *shape), measured(null_socket, null.pid, *shape))
                          for _ in range(HOT_ROUNDS)]
                ours, null_figures = ({key: median(pair[side][key] for pair in rounds) for key in rounds[0][side]}
                                      for side in (0, 1))
                ratios = [pair[0]["per_s"] / pair[1]["per_s"] for pair in rounds]
                hot_rows(name, f"{clients} clients x {pipeline} in flight, {size} bytes each", ours, null_figures, ratios)


def hot_rows(name, shape, ours, null, ratios):
    def latency(side):
        return "/".join(f"{side[key]:.0f}" for key in ("p50_us", "p99_us", "p999_us"))

    row(f"{name}_vs_null", ours["per_s"] / null["per_s"],
        f"{shape}: {ours['per_s']:,.0f} plans/s, null server {null['per_s']:,.0f}/s "
        f"(ratios of the {len(ratios)} rounds {min(ratios):.2f} to {max(ratios):.2f}); p50/p99/p99.9 {latency(ours)} us, null {latency(null)} us; "
        f"processor time of a plan {ours['cpu_ns']:.0f} ns, null {null['cpu_ns']:.0f} ns")
    row(f"{name}_plans_per_s", int(ours["per_s"]), "the same, absolute")


# ---- cold: the real unbound asked the same questions ----

def ask_once(daemon, names, directory):
    """Seconds for the plans of all names, IN_FLIGHT at a time, by the load client."""
    path = directory / "next-hops"
    path.write_text("\n".join(names) + "\n")
    figures = load(daemon.socket, "--once", path, "--pipeline", IN_FLIGHT, "--seconds", COLD_LIMIT_S)
    assert figures["responses"] == len(names)
    return figures["seconds"]


def hosts_of(daemon, names):
    """The MX hosts of the names, after checking that every plan is complete and DANE."""
    hosts = set()
    with Client(daemon.socket) as client:
        for name in names:
            answers = [pb.Answer.FromString(signed.answer)
                       for signed in client.ask(plan=pb.PlanRequest(next_hop=name)).answers]
            assert answers[0].route.kind == pb.MX and answers[0].route.mx, f"{name}: {answers[0].route.reason}"
            assert all(answer.host.policy == pb.DANE for answer in answers[1:]), f"{name}: {answers[1:]}"
            hosts |= {mx.name for mx in answers[0].route.mx}
    return sorted(hosts)


# Caches of the size a worker gives libunbound, room for bursts.
UNBOUND_EXTRA = [("rrset-cache-size", "32m"), ("msg-cache-size", "16m"), ("so-rcvbuf", "4m"), ("so-sndbuf", "4m")]


def unbound_answers():
    """Asked for the root keys, which resolverd has too when it is ready."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        try:
            sock.connect((UNBOUND_ADDRESS, 53))
            sock.send(dns.message.make_query(".", "DNSKEY", want_dnssec=True).to_wire())
            return bool(dns.message.from_wire(sock.recv(4096)).answer)
        except OSError:
            return False


def ask_unbound(questions, directory):
    """Seconds for the questions, IN_FLIGHT at a time, by dnsperf; a cold unbound with one thread and a worker's options."""
    path = directory / "questions"
    path.write_text("\n".join(questions) + "\n")
    with oracle.Unbound(WORLD, directory, UNBOUND_ADDRESS, oracle.worker_settings() + UNBOUND_EXTRA):
        wait_for(unbound_answers, 10)
        command = ["dnsperf", "-s", UNBOUND_ADDRESS, "-d", path, "-n", "1", "-q", str(IN_FLIGHT), "-D", "-b", "4096"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lost = len(questions) - int(re.search(r"Queries completed:\s+(\d+)", said)[1])
    assert lost <= len(questions) * LOST_SHARE_MAX, said
    if lost:  # dnsperf's run time leaves out the wait for them
        print(f"  UDP lost {lost} of unbound's {len(questions)} answers")
    return float(re.search(r"Run time \(s\):\s+([\d.]+)", said)[1])


def cold(make, directory):
    bulk = json.loads((WORLD / "world.json").read_text())["bulk"]
    names = [f"d{i:05}.{bulk['zone']}" for i in range(1, bulk["count"] + 1)]
    if not names:
        print("no bulk domains in this world: cold rows left out")
        return
    with make() as daemon:
        hosts = hosts_of(daemon, names[:1])
    of_hosts = [question for host in hosts for question in (f"{host} A", f"{host} AAAA", f"_25._tcp.{host} TLSA")]
    every = [question for name in names for question in (f"{name} MX", *of_hosts)]
    distinct = [f"{name} MX" for name in names] + of_hosts
    rounds = []
    for _ in range(COLD_ROUNDS):
        seconds = []
        for options in ({}, {"resolver__workers": 1}):
            with make(**options) as daemon:
                seconds.append(ask_once(daemon, names, directory))
                assert hosts_of(daemon, names) == hosts
        rounds.append(seconds + [ask_unbound(questions, directory) for questions in (every, distinct)])
    default, one, of_every, of_distinct = (median(column) for column in zip(*rounds))
    count = len(names)
    print(f"cold: {count} domains, all at the same {len(hosts)} hosts, so a plan costs one MX lookup and the hosts' {len(of_hosts)} "
          f"are shared;\n  each asked once, {IN_FLIGHT} in flight; signed zones on NSD of the same two cores; {COLD_ROUNDS} round(s)")
    row("cold_vs_unbound", of_every / default,
        f"{count / default:,.0f} plans/s with 2 workers; unbound, one thread, asked all {1 + len(of_hosts)} questions of every plan "
        f"(most of them from its cache): {count / of_every:,.0f} plans/s")
    row("cold_vs_unbound_distinct", of_distinct / default,
        f"the same; unbound asked only the {len(distinct)} distinct questions, the same DNS work: {count / of_distinct:,.0f}/s")
    row("cold_one_worker_vs_distinct", of_distinct / one,
        f"one worker, as unbound has one thread: {count / one:,.0f} plans/s against the {count / of_distinct:,.0f}/s")


# ---- one-off names: what anyone can cause ----

def one_off(make, directory):
    for kind in ("nsec", "nsec3"):
        each = []
        for count in ONE_OFF:
            names = [f"r{i:06}.one-off-{kind}.net" for i in range(count)]
            with make() as daemon:
                seconds = ask_once(daemon, names, directory)
            each.append(seconds / count)
            unbound = ask_unbound([f"{name} MX" for name in names], directory)
            row(f"one_off_{kind}_{count // 1000}k_vs_unbound", unbound / seconds,
                f"{count:,} names below one wildcard, {each[-1] * 1e6:.0f} us each; unbound, one thread: {unbound / count * 1e6:.0f} us")
        row(f"one_off_{kind}_growth", each[-1] / each[0], f"a name among {ONE_OFF[-1]:,} against one among {ONE_OFF[0]:,}")


# ---- memory ----

def memory_kb(pids):
    """Mean (RSS, PSS) of the processes."""
    texts = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return [int(statistics.mean(int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1]) for text in texts)) for key in ("Rss", "Pss")]


def memory(make, directory):
    names = [f"r{i:06}.one-off-nsec.net" for i in range(ROUTES)]
    size = f"{ROUTES // 1000}k"
    with make() as daemon:
        server_pss = memory_rows(daemon, "idle", "when ready and never asked")
        elapsed = ask_once(daemon, names, directory)
        status = daemon.status()
        assert status["cache_entries"] >= ROUTES, f"only {status['cache_entries']} of {ROUTES} routes are in the cache"
        full_pss = memory_rows(daemon, size, f"with {ROUTES:,} routes below the wildcard MX of one-off-nsec.net, one host ({elapsed:.1f} s)")
        hosts_of(daemon, names[:: ROUTES // 200])
        row(f"bytes_per_route_{size}", int((full_pss - server_pss) * 1024 / ROUTES), "growth of the server's PSS over routes")
        row("accounted_bytes_per_entry", int(status["cache_bytes"] / status["cache_entries"]), "what the cache counts itself")


def memory_rows(daemon, when, how):
    """Prints both roles and returns the PSS of the server."""
    roles = daemon.roles()
    for role in ("server", "worker"):
        rss, pss = memory_kb(roles[role])
        row(f"{role}_{when}_kb", pss, f"PSS of a {role} {how}; RSS {rss} kB")
    return memory_kb(roles["server"])[1]


def main():
    with tempfile.TemporaryDirectory(prefix="resolverd-bench-") as name:
        directory, count = pathlib.Path(name), 0

        @contextlib.contextmanager
        def make(**keys):
            nonlocal count
            count += 1
            own = directory / str(count)
            own.mkdir()
            daemon = Daemon(own, resolver__deadline="20s", **keys)
            try:
                yield daemon.start()
            finally:
                daemon.stop(expected=None)

        print(f"{'figure':28} {'value':>12}   how it was measured ({'quick' if QUICK else 'full'}, {os.cpu_count()} cores)")
        hot(make, directory)
        cold(make, directory)
        one_off(make, directory)
        memory(make, directory)
    target = BUILD.parent / "bench.json"
    target.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written to {os.path.relpath(target)}")


if __name__ == "__main__":
    main()

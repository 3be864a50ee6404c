# SPDX-License-Identifier: BSD-3-Clause
"""Plans that are all in the cache: against a server that does nothing, and against the real unbound."""

import re
import subprocess

import measure
from measure import BUILD, CLIENT_CORE, SERVER_CORE, SECONDS, in_turn, latency, median, ratio, row, spread

TWO_HOSTS = "provider-customer.com"
QUESTIONS = [f"{TWO_HOSTS} MX"] + [question for host in ("mx1.provider.net", "mx2.provider.net")
                                   for question in (f"{host} A", f"{host} AAAA", f"_25._tcp.{host} TLSA")]
SHAPES = (("sync1", 1, 1), ("sync64", 64, 1), ("pipelined", 4, 64))
COUNTED = 2_048 if measure.QUICK else 32_768  # requests below callgrind


def hot(directory):
    with measure.daemon(directory) as made:
        ours = measure.server_of(made)
        request, response, size = measure.record(ours, TWO_HOSTS, directory)
        with measure.peer("null_server", directory, response) as null:
            floor(directory, request, response, null)
            for shape in SHAPES:
                against_null(ours, null, request, size, *shape)
        against_unbound(ours, request, directory)


def asking(server, request, clients, pipeline, seconds=SECONDS):
    return lambda: server.load("--request", request, "--clients", clients, "--pipeline", pipeline, seconds=seconds)


def floor(directory, request, response, null):
    """The null server itself, against a loop of read and write with the responses standing ready."""
    with measure.peer("raw_server", directory, response) as raw:
        for name, pipeline in (("sync1", 1), ("pipelined1", 64)):
            figures, raws = in_turn(asking(null, request, 1, pipeline), asking(raw, request, 1, pipeline))
            row(f"null_vs_raw_{name}", ratio(figures, raws),
                f"1 client x {pipeline}: null server {median(figures):,.0f}/s, raw loop {median(raws):,.0f}/s ({spread(figures, raws)})")


def against_null(ours, null, request, size, name, clients, pipeline):
    figures, nulls = in_turn(asking(ours, request, clients, pipeline), asking(null, request, clients, pipeline))
    assert {figure["response_bytes"] for figure in figures + nulls} == {size}, "responses of another size than was recorded"
    row(f"{name}_vs_null", ratio(figures, nulls),
        f"{clients} clients x {pipeline} in flight, {size} bytes each: {median(figures):,.0f} plans/s, null server {median(nulls):,.0f}/s "
        f"({spread(figures, nulls)}); p50/p99/p99.9 {latency(figures)}, null {latency(nulls)}; "
        f"processor time of a plan {median(figures, 'cpu_ns'):,.0f} ns, null {median(nulls, 'cpu_ns'):,.0f} ns")
    row(f"{name}_plans_per_s", int(median(figures)), "the same, absolute")
    row(f"{name}_p99_us", median(figures, "p99_us"), "the same; latencies as the client sees them")


def asked_per_s(directory, *options):
    said = measure.dnsperf(QUESTIONS, directory, "-l", max(1, int(SECONDS)), *options, core=CLIENT_CORE)
    return {"per_s": float(re.search(r"Queries per second:\s+([\d.]+)", said)[1]) / len(QUESTIONS), "said": said}


def unbound_latencies(directory):
    """Microseconds of single questions, one at a time."""
    said = asked_per_s(directory, "-q", 1, "-v")["said"]
    times = sorted(float(line.split()[-1]) * 1e6 for line in said.splitlines() if line.startswith("> NOERROR"))
    return "/".join(f"{times[int(len(times) * share)]:,.0f}" for share in (0.5, 0.99, 0.999)) + " us"


def against_unbound(ours, request, directory):
    with measure.unbound(directory, core=SERVER_CORE):
        measure.dnsperf(QUESTIONS, directory, "-n", 2)
        plans, asked = in_turn(asking(ours, request, 4, 64), lambda: asked_per_s(directory, "-q", measure.IN_FLIGHT, "-c", 4),
                               rounds=2 if measure.QUICK else 5)
        row("plans_vs_unbound", ratio(plans, asked),
            f"{median(plans):,.0f} plans/s, 256 in flight; unbound, one thread, all in cache, dnsperf with 256 in flight, the "
            f"{len(QUESTIONS)} questions that make the plan: {median(asked):,.0f} plans/s ({spread(plans, asked)})")
        plans, asked = in_turn(asking(ours, request, 1, 1), lambda: asked_per_s(directory, "-q", 1), rounds=2)
        row("plans_vs_unbound_sync1", ratio(plans, asked),
            f"one at a time: {median(plans):,.0f} plans/s, unbound {median(asked):,.0f} plans/s; p50/p99/p99.9 of a plan {latency(plans)}, "
            f"of one of unbound's questions {unbound_latencies(directory)}")


# ---- instructions ----

def instructions(directory):
    """Of a request, in user space, by callgrind: what it counts while the load runs."""
    with measure.stage(directory) as ours:
        request, response, _size = measure.record(ours, "d0000001.example.net", directory)
    counted = {}
    callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/callgrind"]
    with measure.stage(directory, wrapper=callgrind) as ours:
        measure.record(ours, "d0000001.example.net", directory)
        counted["ours"] = count(ours, request, directory)
    path = directory / "counted.sock"
    with measure.running([*callgrind, BUILD / "bench-null_server", path, response], SERVER_CORE) as child:
        measure.wait_for(path.exists, 20)
        counted["null"] = count(measure.Server(path, child.pid), request, directory)
    for name, _clients, _pipeline in SHAPES:
        ours_count, null_count = counted["ours"][name], counted["null"][name]
        row(f"{name}_instructions", int(ours_count), f"of a plan, in user space, by callgrind; null server {null_count:,.0f}: {ours_count / null_count:.1f} times as many")


def control(command, pid):
    measure.run(CLIENT_CORE, ["callgrind_control", command, pid], 20, stderr=subprocess.DEVNULL)


def count(server, request, directory):
    """{shape: instructions of a request}"""
    counted = {}
    for name, clients, pipeline in SHAPES:
        asking(server, request, clients, pipeline, seconds=0.5)()
        control("--zero", server.pid)
        figures = measure.run_json(CLIENT_CORE, [BUILD / "bench-load", "--socket", server.path, "--request", request, "--clients", clients,
                                                 "--pipeline", pipeline, "--count", COUNTED, "--seconds", 30])
        assert figures["responses"] == COUNTED
        for old in directory.glob("callgrind.*"):
            old.unlink()
        control("--dump", server.pid)
        dump = measure.wait_for(lambda: next(directory.glob("callgrind.*"), None), 10)
        text = measure.wait_for(lambda: re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.M), 10)
        counted[name] = int(text[1]) / COUNTED
    return counted

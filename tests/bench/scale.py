# SPDX-License-Identifier: BSD-3-Clause
"""Many routes, many connections, attestations, memory: the server role as it is, with answers injected (stage.c)."""

import subprocess
import time

import measure
from measure import BUILD, CLIENT_CORE, QUICK, SECONDS, SERVER_CORE, in_turn, latency, median, memory, ratio, row, run_json, spread

WORKING_SETS = (1_000, 20_000, 100_000) if QUICK else (1_000, 100_000, 1_000_000)
PROVIDERS = 1_000
HOSTS = 20_000 if QUICK else 100_000
CONNECTIONS = (1, 100, 1_000, 10_000)
ACTIVE = 64
NEXT_HOP = "d#######.example.net"
SIGNED_BYTES = 69  # of an attestation, with its context
CHUNK = 2_000  # plans of bench-client with one handle
INJECTED = "the server role with answers injected"


def fill(server, name, count):
    server.load(*name, "--numbers", count, "--in-order", "--pipeline", 256, seconds=measure.LIMIT_S)


def scale(directory):
    with measure.stage(directory) as server:
        _request, response, size = measure.record(server, "d0000000.example.net", directory)
        empty = memory(server.pid)
        fill(server, ("--next-hop", NEXT_HOP), WORKING_SETS[-1])
        per_route = (memory(server.pid) - empty) / WORKING_SETS[-1]
        flat(server, response, directory)
        row("bytes_per_route_1m", int(per_route), f"growth of the server's PSS with {WORKING_SETS[-1]:,} routes to {PROVIDERS:,} providers of two hosts, "
            f"hosts included; {INJECTED}, {size} bytes a plan")
        before = memory(server.pid)
        fill(server, ("--host", "h#######.example.net"), HOSTS)
        row("bytes_per_host", int((memory(server.pid) - before) / HOSTS), f"the same with {HOSTS:,} hosts more, of two addresses and a TLSA record")


def start(directory):
    """From the start of the server to its first answer, with a snapshot of so many routes."""
    state, count = directory / "snapshots", WORKING_SETS[-1]
    keys = {"cache.snapshot-interval": "1h"}  # at the end, too
    with measure.stage(directory, state=state, **keys) as server:
        fill(server, ("--next-hop", NEXT_HOP), count)
    size = (state / "cache" / "snapshot").stat().st_size
    begin = time.monotonic()
    with measure.stage(directory, state=state, **keys) as server:
        measure.record(server, "d0000000.example.net", directory)
        answered = time.monotonic() - begin
        said = next(line for line in (state / "log").read_text().splitlines() if "restored" in line)
    row("start_1m_s", round(answered, 2), f"from the start to the first plan, with a snapshot of {count:,} routes and their hosts, {size >> 20} MB; {said}")


def flat(server, response, directory):
    request = ("--next-hop", NEXT_HOP, "--clients", 4, "--pipeline", 64)
    with measure.peer("null_server", directory, response) as null:
        *columns, nulls = in_turn(*(lambda count=count: server.load(*request, "--numbers", count) for count in WORKING_SETS),
                                  lambda: null.load(*request, "--numbers", WORKING_SETS[-1]))
    for count, figures in zip(("1k", "100k", "1m"), columns):
        row(f"pipelined_{count}_vs_null", ratio(figures, nulls), f"random ones of {WORKING_SETS[('1k', '100k', '1m').index(count)]:,} routes, 4 clients x 64: "
            f"{median(figures):,.0f} plans/s, null server {median(nulls):,.0f}/s; processor time of a plan {median(figures, 'cpu_ns'):,.0f} ns, "
            f"null {median(nulls, 'cpu_ns'):,.0f} ns; {INJECTED}")
    row("flat_1m_vs_1k_routes", ratio(columns[-1], columns[0]), f"{WORKING_SETS[-1]:,} routes against {WORKING_SETS[0]:,}, plans/s ({spread(columns[-1], columns[0])})")
    row("flat_1m_vs_1k_time", ratio(columns[0], columns[-1], "cpu_ns"), "the same by the server's processor time of a plan")


def connections(directory):
    with measure.stage(directory) as server:
        request, response, _size = measure.record(server, "d0000000.example.net", directory)
        idle_bytes(server)

        def asking(count):
            active = min(ACTIVE, count)
            return lambda: server.load("--request", request, "--clients", active, "--idle", count - active)

        columns = in_turn(*map(asking, CONNECTIONS))
        for count, figures in zip(CONNECTIONS, columns):
            row(f"connected_{count}_p99_us", median(figures, "p99_us"), f"{count:,} connected, {min(count, ACTIVE)} of them ask, one request each at a "
                f"time: {median(figures):,.0f} plans/s, p50/p99/p99.9 {latency(figures)}; {INJECTED}")
        few, many = columns[CONNECTIONS.index(100)], columns[CONNECTIONS.index(10_000)]
        row("p99_10k_vs_100_clients", ratio(many, few, "p99_us"), f"p99 {median(many, 'p99_us'):,.0f} us against {median(few, 'p99_us'):,.0f} us ({spread(many, few, 'p99_us')})")


def idle_bytes(server):
    count, before = CONNECTIONS[-1], memory(server.pid)
    command = [BUILD / "bench-load", "--socket", server.path, "--idle", count - 1, "--clients", 1, "--hold"]
    with measure.running(command, CLIENT_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        measure.first_line(child, 30)
        measure.wait_for(lambda: len(list(measure.pathlib.Path(f"/proc/{server.pid}/fd").iterdir())) >= count, 30)
        grown = memory(server.pid) - before
    row("bytes_per_idle_connection", int(grown / count), f"growth of the server's PSS with {count:,} connections; the kernel's part not counted")


def attested(directory):
    with measure.stage(directory) as server:
        measure.record(server, "d0000000.example.net", directory)
        request = ("--next-hop", "d0000000.example.net")

        def signing():
            figures = run_json(SERVER_CORE, [BUILD / "bench-client", "--crypto", SIGNED_BYTES, "--seconds", 2 * SECONDS])
            return figures | {"per_s": figures["sign_per_s"]}

        plain, synchronous, pipelined, signs = in_turn(
            lambda: server.load(*request, "--clients", 4, "--pipeline", 64), lambda: server.load(*request, "--nonce", "--clients", 64),
            lambda: server.load(*request, "--nonce", "--clients", 4, "--pipeline", 64), signing)
        row("attested_vs_sign", ratio(pipelined, signs), f"attested plans, 4 clients x 64: {median(pipelined):,.0f}/s, libsodium signs {median(signs):,.0f}/s on the "
            f"same core ({spread(pipelined, signs)}); p50/p99/p99.9 {latency(pipelined)}; {INJECTED}")
        row("attested_sync64_vs_sign", ratio(synchronous, signs), f"64 clients, one request each at a time: {median(synchronous):,.0f}/s")
        row("attested_vs_plain", ratio(pipelined, plain), f"against plans without, 4 clients x 64: {median(plain):,.0f}/s")


def client(directory):
    with measure.stage(directory) as server:
        fill(server, ("--next-hop", NEXT_HOP), CHUNK)

        def asking(*options):
            command = [BUILD / "bench-client", "--socket", server.path, "--public-key", server.public_key, "--next-hop", NEXT_HOP,
                       "--seconds", SECONDS, *options]
            return lambda: run_json(CLIENT_CORE, command)

        verify = run_json(CLIENT_CORE, [BUILD / "bench-client", "--crypto", 250, "--seconds", SECONDS])["verify_per_s"]
        remembered, fresh = in_turn(asking("--numbers", 1), asking("--numbers", PROVIDERS))
        row("client_remembered_vs_new", ratio(remembered, fresh), f"synchronous plans by the library: {median(remembered):,.0f}/s where it has verified the answers "
            f"before, {median(fresh):,.0f}/s where all three are new ({spread(remembered, fresh)}); libsodium verifies {verify:,.0f}/s")
        row("client_plans_per_s", int(median(remembered)), "the same, absolute")

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Figures as ratios of one run, with the absolute beside them; inside tests/world/run.py --bulk N.

Each hot row runs resolverd and the null server in turn (A B A B …) and compares the medians. The load client, the
server measured and nothing else run; two cores are enough. Writes build/bench.json, one flat object.

Usage: bench.py [--quick]
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
sys.path.insert(0, str(HERE.parent / "world"))

from conftest import BUILD, WORLD, Daemon, wait_for  # noqa: E402
import resolverd_pb2 as pb  # noqa: E402
from wire import Client  # noqa: E402

QUICK = "--quick" in sys.argv
ROUNDS, SECONDS = (3, 0.5) if QUICK else (5, 2)
ROUTES = 10000 if QUICK else 100000
IN_FLIGHT = 256
TWO_HOSTS = "mixed-policy.org"
UNBOUND_ADDRESS = "127.200.0.1"
WORLD_FACTS = json.loads((WORLD / "world.json").read_text())
results = {}


def row(name, value, what):
    results[name] = round(value, 4) if isinstance(value, float) else value
    print(f"{name:28} {results[name]:>14}   {what}", flush=True)


# ---- hot: the cache against a server that does nothing ----

def load(path, request, clients, pipeline):
    command = [BUILD / "bench-load", path, request, str(clients), str(pipeline), str(SECONDS)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def record(daemon, directory):
    """The request and the response body of a hot plan with two hosts, as files."""
    body = pb.Request(id=1, plan=pb.PlanRequest(next_hop=TWO_HOSTS)).SerializeToString()
    with Client(daemon.socket) as client:
        client.send_frame(body)
        client.receive_frame()
        client.send_frame(body)
        response = client.receive_frame()
    (directory / "request").write_bytes(body)
    (directory / "response").write_bytes(response)
    return directory / "request", directory / "response", len(response)


def hot(daemon, directory):
    request, response, size = record(daemon, directory)
    null_socket = directory / "null.sock"
    null = subprocess.Popen([BUILD / "bench-null_server", null_socket, response])
    try:
        wait_for(null_socket.exists, 5)
        for name, clients, pipeline in (("sync1", 1, 1), ("sync64", 64, 1), ("pipelined", 4, 64)):
            pairs = [(load(daemon.socket, request, clients, pipeline), load(null_socket, request, clients, pipeline))
                     for _ in range(ROUNDS)]
            ours = statistics.median(pair[0]["per_s"] for pair in pairs)
            floor = statistics.median(pair[1]["per_s"] for pair in pairs)
            p99 = statistics.median(pair[0]["p99_us"] for pair in pairs)
            row(f"{name}_vs_null", ours / floor, f"{clients} clients x {pipeline}: {ours:,.0f} plans/s, null {floor:,.0f}/s; "
                                                 f"{size} bytes each; p99 of a batch {p99:.0f} us")
            if name == "pipelined":
                row("pipelined_plans_per_s", int(ours), "the same, absolute")
    finally:
        null.terminate()
        null.wait()


# ---- cold: the real unbound asked the same questions ----

def ask_all(daemon, names):
    """Seconds for plans of all names, IN_FLIGHT at a time."""
    begin = time.monotonic()
    with Client(daemon.socket, timeout=60) as client:
        sent = received = 0
        while received < len(names):
            while sent < len(names) and sent - received < IN_FLIGHT:
                client.submit(plan=pb.PlanRequest(next_hop=names[sent]))
                sent += 1
            response = client.receive()
            assert len(response.answers) >= 2, response
            received += 1
    return time.monotonic() - begin


def cold_unbound(names, hosts, directory):
    """Seconds for all the questions that make the plans; unbound with one thread, cold."""
    config = directory / "unbound.conf"
    config.write_text(f"""server:
 interface: {UNBOUND_ADDRESS}
 port: 53
 num-threads: 1
 chroot: ""
 username: ""
 directory: "{directory}"
 pidfile: ""
 use-syslog: no
 logfile: "{directory}/unbound.log"
 root-hints: "{WORLD}/root.hints"
 trust-anchor-file: "{WORLD}/root.key"
 do-not-query-localhost: no
 access-control: 127.0.0.0/8 allow
 outgoing-range: 4096
 num-queries-per-thread: 4096
 val-sig-skew-min: 0
 val-sig-skew-max: 0
 aggressive-nsec: yes
 minimal-responses: no
remote-control:
 control-enable: no
""")
    questions = directory / "questions"
    per_plan = 1 + 3 * len(hosts)
    with open(questions, "w", encoding="ascii") as file:
        for name in names:
            file.write(f"{name} MX\n")
            for host in hosts:
                file.write(f"{host} A\n{host} AAAA\n_25._tcp.{host} TLSA\n")
    daemon = subprocess.Popen(["unbound", "-d", "-c", config], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.7)  # unbound says nothing when it is up; a probe would warm it
        done = subprocess.run(["dnsperf", "-s", UNBOUND_ADDRESS, "-d", questions, "-n", "1", "-q", str(IN_FLIGHT), "-D"],
                              check=True, capture_output=True, text=True)
    finally:
        daemon.terminate()
        daemon.wait()
    completed = int(re.search(r"Queries completed:\s+(\d+)", done.stdout)[1])
    assert completed >= len(names) * per_plan * 0.99, done.stdout
    return float(re.search(r"Run time \(s\):\s+([\d.]+)", done.stdout)[1]), per_plan


def cold(make, directory):
    bulk = WORLD_FACTS["bulk"]
    names = [f"d{i:05}.{bulk['zone']}" for i in range(1, bulk["count"] + 1)]
    if not names:
        return
    pairs, hosts, per_plan = [], [], 0
    for _ in range(1 if QUICK else 3):
        daemon = make().start()
        if not hosts:
            with Client(daemon.socket) as client:
                answer = client.ask(plan=pb.PlanRequest(next_hop=names[-1])).answers[0].answer
            hosts = [mx.name for mx in pb.Answer.FromString(answer).route.mx]
            daemon.stop()
            daemon = make().start()
        ours = ask_all(daemon, names)
        daemon.stop()
        theirs, per_plan = cold_unbound(names, hosts, directory)
        pairs.append((ours, theirs))
    ours, theirs = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    row("cold_vs_unbound", theirs / ours,
        f"{len(names)} domains sharing {len(hosts)} hosts, {IN_FLIGHT} in flight: {len(names) / ours:,.0f} plans/s with 2 workers; "
        f"unbound, one thread, asked {per_plan} questions a plan: {len(names) / theirs:,.0f}/s")


# ---- memory ----

def pss_kb(pid):
    return int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


def memory(make):
    daemon = make().start()
    roles = daemon.roles()
    idle_server, idle_workers = pss_kb(roles["server"][0]), [pss_kb(pid) for pid in roles["worker"]]
    row("server_idle_kb", idle_server, "proportional set size of the server when idle")
    row("worker_idle_kb", int(statistics.mean(idle_workers)), "of a worker when idle")
    elapsed = ask_all(daemon, [f"r{i:06}.wildcard-mx.org" for i in range(ROUTES)])
    status = daemon.status()
    full = pss_kb(roles["server"][0])
    row(f"server_{ROUTES // 1000}k_routes_kb", full, f"after {ROUTES} cached routes below a wildcard MX ({elapsed:.1f} s), one host")
    row(f"worker_{ROUTES // 1000}k_routes_kb", int(statistics.mean(pss_kb(pid) for pid in roles["worker"])), "of a worker then")
    row(f"bytes_per_route_{ROUTES // 1000}k", int((full - idle_server) * 1024 / ROUTES), "of the server, growth over routes")
    row("accounted_bytes_per_entry", int(status["cache_bytes"] / status["cache_entries"]), "what the cache counts itself")
    daemon.stop()


def main():
    with tempfile.TemporaryDirectory(prefix="resolverd-bench-") as name:
        directory, count = pathlib.Path(name), 0

        def make():
            nonlocal count
            count += 1
            own = directory / str(count)
            own.mkdir()
            return Daemon(own, resolver__deadline="20s")

        print(f"{'figure':28} {'value':>14}   how")
        daemon = make().start()
        hot(daemon, directory)
        daemon.stop()
        cold(make, directory)
        memory(make)
    target = BUILD.parent / "bench.json"
    target.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written to {os.path.relpath(target)}")


if __name__ == "__main__":
    main()

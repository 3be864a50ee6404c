# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks share: rows, rounds in turn, the load client, the programs it loads.

A server has one core and its client another (the same for every peer), where there are two. Nothing waits for ever: every program is
given a time limit, and dies with this one.
"""

import contextlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "system"), str(HERE.parent / "world")]

from conftest import BUILD, WORLD, Daemon, wait_for  # noqa: E402
import dns.message  # noqa: E402
import oracle  # noqa: E402
import process  # noqa: E402
import resolverd_pb2 as pb  # noqa: E402
from wire import Client  # noqa: E402

QUICK = "--quick" in sys.argv
ROUNDS, SECONDS = (3, 0.25) if QUICK else (9, 1)
SERVER_CORE, CLIENT_CORE = sorted(os.sched_getaffinity(0))[0], sorted(os.sched_getaffinity(0))[-1]
LIMIT_S = 300  # of any one program
END_S = 25
RECORDED_ID = 16384  # as long as the ids of the load client, so that all responses have one length
results = {}


def row(name, value, how):
    results[name] = float(f"{value:.4g}") if isinstance(value, float) else value
    print(f"{name:32} {results[name]:>12,}   {how}", flush=True)


def in_turn(*sides, rounds=ROUNDS):
    """Figures of each side, a list for each: A B A B …"""
    taken = [[side() for side in sides] for _ in range(rounds)]
    return [list(column) for column in zip(*taken)]


def median(figures, key="per_s"):
    return statistics.median(figure[key] for figure in figures)


def ratio(ours, theirs, key="per_s"):
    """The median of the rounds' ratios."""
    return statistics.median(one[key] / other[key] for one, other in zip(ours, theirs))


def spread(ours, theirs, key="per_s"):
    ratios = [one[key] / other[key] for one, other in zip(ours, theirs)]
    return f"rounds {min(ratios):.2f} to {max(ratios):.2f}"


def latency(figures):
    return "/".join(f"{median(figures, key):,.0f}" for key in ("p50_us", "p99_us", "p999_us")) + " us"


# ---- programs ----

def run(core, command, limit_s=LIMIT_S, **options):
    """What a program prints."""
    command = ["taskset", "-c", str(core), *map(str, command)]
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=limit_s, **options).stdout


def run_json(core, command):
    return json.loads(run(core, command))


@contextlib.contextmanager
def running(command, core=None, **options):
    """A program that is ended after use, whether it wants or not."""
    pin = ["taskset", "-c", str(core)] if core is not None else []
    child = process.start([*pin, *map(str, command)], signal.SIGTERM, **{"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def first_line(child, limit_s):
    assert select.select([child.stdout], [], [], limit_s)[0], f"{child.args} says nothing for {limit_s} s"
    return child.stdout.readline()


class Server:
    """Something that listens: its socket, and the process whose time counts."""

    def __init__(self, path, pid):
        self.path, self.pid = path, pid

    def load(self, *options, seconds=SECONDS):
        """What the load client says, with the server's processor time for one response."""
        before = cpu_ns(self.pid)
        figures = run_json(CLIENT_CORE, [BUILD / "bench-load", "--socket", self.path, "--seconds", seconds, *options])
        return figures | {"cpu_ns": (cpu_ns(self.pid) - before) / max(figures["responses"], 1)}


@contextlib.contextmanager
def daemon(directory, **keys):
    """All of resolverd; its server role on the servers' core."""
    own = directory / f"daemon{len(list(directory.glob('daemon*')))}"
    own.mkdir()
    made = Daemon(own, **{"resolver__deadline": "20s"} | keys)
    try:
        yield made.start()
    finally:
        child = made.process
        try:
            made.stop(expected=None)
        except subprocess.TimeoutExpired:
            child.kill()


def server_of(made):
    pid = made.roles()["server"][0]
    os.sched_setaffinity(pid, {SERVER_CORE})
    return Server(made.socket, pid)


@contextlib.contextmanager
def stage(directory, wrapper=(), state=None, **keys):
    """The server role alone, as it is, with answers injected by a worker that knows them all (stage.c). With state, its snapshot is kept there."""
    own = state or directory / f"stage{len(list(directory.glob('stage*')))}"
    (own / "cache").mkdir(parents=True, exist_ok=True)
    (own / "sock").unlink(missing_ok=True)
    (own / "sock.control").unlink(missing_ok=True)
    keys = {"server.state-directory": own, "cache.max-memory": "4G", "cache.snapshot-interval": "0", "server.max-clients": "12000",
            "signing.member": "bench"} | keys
    sets = [word for name, value in keys.items() for word in ("--set", f"{name}={value}")]
    command = [BUILD / "bench-stage", "--socket", own / "sock", "--public-key", own / "pub", "--key-file", own / "key",
               *(("--snapshots", own / "cache") if state else ()), "--",
               *wrapper, BUILD / "resolverd", "--role", "server", "--config", "", *sets]
    with open(own / "log", "w", encoding="utf-8") as log, running(command, stdout=subprocess.PIPE, stderr=log, text=True) as child:
        server = Server(own / "sock", int(first_line(child, 30)))
        os.sched_setaffinity(server.pid, {SERVER_CORE})
        server.public_key, server.directory = own / "pub", own
        yield server


@contextlib.contextmanager
def peer(program, directory, response):
    """The null server, or the raw loop."""
    path = directory / f"{program}.sock"
    path.unlink(missing_ok=True)
    with running([BUILD / f"bench-{program}", path, response], SERVER_CORE) as child:
        wait_for(path.exists, 5)
        yield Server(path, child.pid)


def record(server, next_hop, directory):
    """The request and the response body of a hot plan with two hosts, as files, and the size of the response."""
    body = pb.Request(id=RECORDED_ID, plan=pb.PlanRequest(next_hop=next_hop)).SerializeToString()
    with Client(str(server.path)) as client:
        for _ in range(2):
            client.send_frame(body)
            response = client.receive_frame()
    assert len(pb.Response.FromString(response).answers) == 3, "a route and two hosts"
    (directory / "request").write_bytes(body)
    (directory / "response").write_bytes(response)
    return directory / "request", directory / "response", len(response)


# ---- what processes use ----

def cpu_ns(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def memory(pid, key="Pss"):
    """Bytes."""
    return int(re.search(rf"^{key}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) * 1024


# ---- the real unbound ----

UNBOUND_ADDRESS = "127.200.0.1"
IN_FLIGHT = 256
LOST_SHARE_MAX = 0.005
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


@contextlib.contextmanager
def unbound(directory, threads=1, core=None):
    """With a worker's options; its process."""
    more = f"    num-threads: {threads}"
    with oracle.Unbound(WORLD, directory / "unbound", UNBOUND_ADDRESS, oracle.worker_settings() + UNBOUND_EXTRA, more) as made:
        wait_for(unbound_answers, 10)
        if core is not None:
            os.sched_setaffinity(made.process.pid, {core})
        yield made


def dnsperf(questions, directory, *options, core=None):
    path = directory / "questions"
    path.write_text("\n".join(questions) + "\n")
    pin = ["taskset", "-c", str(core)] if core is not None else []
    command = [*pin, "dnsperf", "-s", UNBOUND_ADDRESS, "-d", path, "-D", "-b", "4096", *map(str, options)]
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S).stdout


def ask_unbound(questions, directory):
    """Seconds for the questions, IN_FLIGHT at a time."""
    said = dnsperf(questions, directory, "-n", 1, "-q", IN_FLIGHT)
    lost = len(questions) - int(re.search(r"Queries completed:\s+(\d+)", said)[1])
    assert lost <= len(questions) * LOST_SHARE_MAX, said
    if lost:  # dnsperf's run time leaves out the wait for them
        print(f"  UDP lost {lost} of unbound's {len(questions)} answers")
    return float(re.search(r"Run time \(s\):\s+([\d.]+)", said)[1])

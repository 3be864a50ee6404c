# SPDX-License-Identifier: BSD-3-Clause
"""Clients that mean harm: none of them takes more than its share of memory, descriptors or time, and the others are served meanwhile.

The figures are printed: pytest -s. HOSTILE_FRAMES=1000000 sends that many random frames.
"""

import contextlib
import os
import pathlib
import random
import re
import resource
import socket
import struct
import threading
import time

import pytest
import resolverd_pb2 as pb
from conftest import INSTRUMENTED, Daemon, wait_for
from wire import Client, connect_in_turn

MB = 1 << 20
TICK = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 50_000
OWN_FILES = 500    # that this process, or the daemon, needs beside them
STALL_S = 30       # without a byte read, with output waiting; NOT_READING_MAX_MS of session.c
SERVED_WITHIN_S = 10  # on a busy machine; what it was is printed
ORDER_SEED = 7
RANDOM_FRAMES = int(os.environ.get("HOSTILE_FRAMES", "200000"))


def frame(body):
    return struct.pack(">I", len(body)) + body


def plan_frame(next_hop, request_id=1):
    return frame(pb.Request(id=request_id, plan=pb.PlanRequest(next_hop=next_hop)).SerializeToString())


def server_pid(daemon):
    return daemon.roles()["server"][0]


def cpu_s(pid):
    """Of a process so far, in user and in system mode."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss_bytes(pid):
    """Resident; 0 where it is a sanitizer's, who keeps what was freed."""
    if INSTRUMENTED:
        return 0
    return int(re.search(r"^VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]) * 1024


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def connect(daemon, path=None):
    """A bare connection, without waiting for its turn in a full backlog."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        sock.connect(path or daemon.socket)
    except BaseException:
        sock.close()
        raise
    return sock


def connect_all(stack, daemon, count, path=None):
    """That many connections, the server given its time to accept them."""
    made = []
    for _ in range(count):
        while True:
            try:
                made.append(stack.enter_context(connect(daemon, path)))
                break
            except BlockingIOError:
                time.sleep(0.001)
    return made


class Watcher:
    """A client that behaves: asks for a plan again and again, each time with a new connection unless given one."""

    def __init__(self, daemon, client=None):
        self.daemon, self.client = daemon, client
        self.times = []

    def ask(self):
        begin = time.monotonic()
        with contextlib.nullcontext(self.client) if self.client else Client(self.daemon.socket) as client:
            response = client.ask(plan=pb.PlanRequest(next_hop="dane-ee.org"))
        assert len(response.answers) == 2, response
        self.times.append(time.monotonic() - begin)

    def ask_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.ask()
            time.sleep(0.02)

    def told(self):
        times = sorted(self.times)
        assert times[-1] < SERVED_WITHIN_S, f"another client waited {times[-1]:.2f} s"
        return f"another client: median {times[len(times) // 2] * 1000:.1f} ms, longest {times[-1] * 1000:.1f} ms of {len(times)}"


@pytest.fixture
def watched(make_daemon):
    """make(**keys): (daemon, the pid of its server, a Watcher whose answers are in the cache)."""
    def make(**keys):
        daemon = make_daemon(**keys)
        watcher = Watcher(daemon)
        watcher.ask()
        watcher.times.clear()
        return daemon, server_pid(daemon), watcher
    return make


@contextlib.contextmanager
def beside(function, *arguments):
    """Runs function(stop, …) in a thread until the end of the block sets stop."""
    stop = threading.Event()
    thread = threading.Thread(target=function, args=(stop, *arguments))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def send_until_full(sock, data):
    """What the daemon and the kernel take of data sent over and over; no more comes through for a while then."""
    sock.setblocking(False)
    sent, at = 0, 0
    idle_since = time.monotonic()
    while time.monotonic() - idle_since < 0.2:
        try:
            n = sock.send(memoryview(data)[at:])
            sent, at, idle_since = sent + n, (at + n) % len(data), time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    return sent


# ---- slow ----

def test_slow_readers_and_those_that_stop_are_ended_and_slow_writers_are_answered(watched):
    """One byte a second, each way, and one that reads nothing any more."""
    daemon, server, watcher = watched()
    before = rss_bytes(server)
    request = plan_frame("null-mx.org")
    with Client(daemon.socket) as writer, Client(daemon.socket) as reader, Client(daemon.socket) as deaf:
        sent = [send_until_full(client.socket, plan_frame("dane-ee.org") * 1000) for client in (reader, deaf)]
        held = rss_bytes(server) - before
        busy = cpu_s(server)
        begin = time.monotonic()
        for at in range(len(request)):
            writer.socket.sendall(request[at:at + 1])
            reader.socket.recv(1)
            watcher.ask_for(max(0, begin + at + 1 - time.monotonic()))
        assert writer.receive().answers, "slow, but a client as good as any"
        wait_for(lambda: daemon.status()["clients"] == 2, STALL_S + 5)  # the writer, and resolverctl that asks
        waited = time.monotonic() - begin
        assert waited > STALL_S - 5, "they had their time"
        for client in reader, deaf:
            client.socket.settimeout(5)
            with contextlib.suppress(ConnectionResetError):  # some of its requests were never read
                while client.socket.recv(1 << 16):
                    pass
    print(f"\nslow: {len(request)} bytes of a request at 1 a second answered; 2 that do not read ended after {waited:.1f} s, held {held >> 10} kB, "
          f"took {sent} bytes; server {cpu_s(server) - busy:.2f} CPU s; {watcher.told()}")
    assert held < 4 * MB


# ---- many ----

def test_connections_that_say_nothing_or_end_half_way_harm_nobody(watched):
    daemon, server, watcher = watched()
    files, memory = open_files(server), rss_bytes(server)
    counts = []

    def flood(stop, how):
        count = 0
        while not stop.is_set():
            with contextlib.suppress(OSError), contextlib.closing(connect(daemon)) as sock:
                count += 1
                if how is not None:
                    sock.sendall(b"\0\0\0")
                    sock.shutdown(how)
        counts.append(count)

    with contextlib.ExitStack() as stack:
        connect_all(stack, daemon, 1000)
        busy = cpu_s(server)
        with contextlib.ExitStack() as floods:
            for how in None, socket.SHUT_WR, socket.SHUT_RD, socket.SHUT_RDWR:
                floods.enter_context(beside(flood, how))
            watcher.ask_for(2)
        busy = cpu_s(server) - busy
    wait_for(lambda: daemon.status()["clients"] == 1, 10)
    print(f"\nhalf-open: 1000 silent and {sum(counts)} short-lived connections in 2 s, server {busy:.2f} CPU s; {watcher.told()}")
    wait_for(lambda: open_files(server) <= files, 5, lambda: f"{open_files(server)} descriptors, {files} before")
    assert rss_bytes(server) - memory < 16 * MB


@pytest.fixture
def many_files():
    """The limit of open files raised as far as it goes, for this process and what it starts; gives that limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 2 * OWN_FILES
    limit = max(before[1], wanted)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    except (ValueError, OSError):
        limit = before[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    yield limit
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_50000_connections_are_held_at_little_cost(watched, many_files):
    daemon, server, watcher = watched(server__max_clients=str(CONNECTIONS + OWN_FILES), server__max_clients_per_user=str(CONNECTIONS + OWN_FILES))
    wanted = min(CONNECTIONS, (many_files - OWN_FILES) * 9 // 10)  # the last tenth of what fits is not for one user
    steady = Client(daemon.socket)
    memory, files, busy = rss_bytes(server), open_files(server), cpu_s(server)
    with contextlib.ExitStack() as stack, steady:
        begin = time.monotonic()
        held = connect_all(stack, daemon, wanted)
        wait_for(lambda: daemon.status()["clients"] >= wanted, 30)
        took, busy = time.monotonic() - begin, cpu_s(server) - busy
        idle = rss_bytes(server) - memory
        for sock in held:
            sock.send(b"\0")  # of a frame; the rest never comes
        time.sleep(1)
        begun = rss_bytes(server) - memory
        by_steady = Watcher(daemon, steady)
        at_rest = cpu_s(server)
        for asking in watcher, by_steady:
            asking.ask_for(2)
        at_rest = (cpu_s(server) - at_rest) / 4
        assert open_files(server) - files >= wanted
        print(f"\nmany: {wanted} connections held (limit of descriptors {many_files}), accepted in {took:.1f} s with {busy:.2f} CPU s; "
              f"{idle / wanted:.0f} bytes each idle, {begun / wanted:.0f} with a frame begun; {100 * at_rest:.0f} % of a core since; "
              f"new {watcher.told()}; old {by_steady.told()}")
        assert idle / wanted < 2048 and begun / wanted < 2048 + 1024
    wait_for(lambda: daemon.status()["clients"] == 1, 20)
    wait_for(lambda: open_files(server) <= files, 5, lambda: f"{open_files(server)} descriptors, {files} before")


# ---- out of descriptors ----

def limited_to(daemon, files):
    """Starts it with a limit of open files; the roles inherit it."""
    daemon.command = lambda: ["prlimit", f"--nofile={files}", *Daemon.command(daemon)]
    return daemon.start()


def test_clients_cannot_take_the_descriptors_that_workers_need(make_daemon):
    """With room for few: more clients wait, who is there is served, and a worker that dies is replaced."""
    daemon = limited_to(make_daemon(start=False, resolver__workers="2"), 300)
    server = server_pid(daemon)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Client(daemon.socket))
        assert client.ask(plan=pb.PlanRequest(next_hop="dane-ee.org")).answers
        connect_all(stack, daemon, 600)
        time.sleep(0.5)
        busy, held = cpu_s(server), open_files(server)
        time.sleep(3)
        busy = cpu_s(server) - busy
        assert held <= 300
        for worker in daemon.roles()["worker"]:
            os.kill(worker, 9)
        wait_for(lambda: client.ask(status=pb.StatusRequest()).status.workers == 2, 10)
        assert client.ask(records=pb.RecordsRequest(name="new.dane-ee.org", type=1)).answers, "looked up by a new worker"
        said = daemon.log().count("server.max-clients")
        print(f"\nfew descriptors: limit 300, {held} in use with 600 clients; paused server {busy:.2f} CPU s in 3 s; said {said} times")
        assert busy < 1 and 1 <= said < 10
    wait_for(lambda: daemon.status()["clients"] == 1, 10)
    Watcher(daemon).ask()


@pytest.mark.parametrize("where", ["", ".control"], ids=["clients", "control"])
def test_accepting_pauses_when_there_are_no_descriptors_and_goes_on_when_there_are(watched, where):
    """None at all are left, which the daemon does not let happen by itself: the limit shrinks while it runs."""
    daemon, server, watcher = watched()
    path = daemon.socket + where
    whole = resource.prlimit(server, resource.RLIMIT_NOFILE)
    client = Client(daemon.socket)
    with contextlib.ExitStack() as stack, client:
        resource.prlimit(server, resource.RLIMIT_NOFILE, (max(map(int, os.listdir(f"/proc/{server}/fd"))) + 11, whole[1]))
        connect_all(stack, daemon, 100, path)
        time.sleep(0.5)
        log, busy = len(daemon.log()), cpu_s(server)
        by_client = Watcher(daemon, client)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            by_client.ask()
            time.sleep(0.2)
        busy, log = cpu_s(server) - busy, daemon.log()[log:]
        print(f"\nno descriptors{where}: paused server {busy:.2f} CPU s in 4 s, {len(log.splitlines())} lines logged; {by_client.told()}")
        assert busy < 1 and len(log.splitlines()) < 10
    Watcher(daemon).ask()  # they have gone: there are some
    with contextlib.ExitStack() as stack:
        connect_all(stack, daemon, 100, path)
        resource.prlimit(server, resource.RLIMIT_NOFILE, whole)
        wait_for(lambda: Watcher(daemon).ask() is None, 5)


# ---- much ----

def test_a_million_requests_that_are_not_read_are_bounded_and_answered_when_they_are(watched):
    count, first = 1_000_000, 1 << 21  # from there on all ids are of one length
    daemon, server, watcher = watched()
    plans = b"".join(plan_frame("null-mx.org", first + i) for i in range(count // 100))
    head = 4 + 1  # of a frame, then the id's tag
    length = len(plan_frame("null-mx.org", first))
    memory = rss_bytes(server)
    with Client(daemon.socket, timeout=STALL_S) as client:
        client.ask(plan=pb.PlanRequest(next_hop="null-mx.org"))

        def send():
            for _ in range(100):
                client.socket.sendall(plans)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        watcher.ask_for(3)
        held = rss_bytes(server) - memory
        assert sender.is_alive(), "the daemon goes on reading from a client that does not"
        begin, busy = time.monotonic(), cpu_s(server)
        with client.socket.makefile("rb", buffering=1 << 20) as stream:
            for i in range(count):
                (size,) = struct.unpack(">I", stream.read(4))
                body = stream.read(size)
                at = head + i % (count // 100) * length
                assert body[1:5] == plans[at:at + 4], f"the answer to request {i}"
        sender.join()
        print(f"\npipeline: {count} requests, not read for 3 s: {held >> 10} kB held; then all answered in {time.monotonic() - begin:.1f} s with "
              f"{cpu_s(server) - busy:.2f} CPU s; {watcher.told()}")
    assert held < 2 * MB and rss_bytes(server) - memory < 4 * MB


def test_floods_of_what_costs_most_leave_time_for_others(watched):
    """Seals and attestations are signed, status and errors composed. Each kind is asked for by 50 clients as fast as they are served."""
    daemon, server, watcher = watched()
    kinds = {
        "seal": pb.Request(id=1, seal=pb.SealRequest(hash=bytes(32))),
        "attested plan": pb.Request(id=1, nonce=bytes(32), plan=pb.PlanRequest(next_hop="dane-ee.org")),
        "status": pb.Request(id=1, status=pb.StatusRequest()),
        "bad name": pb.Request(id=1, plan=pb.PlanRequest(next_hop="a" * 250 + "..org")),
        "unsupported": pb.Request(id=1),
    }
    answered = {}

    def flood(stop, kind, socks):
        data = memoryview(frame(kinds[kind].SerializeToString()) * 2000)
        sent, answered[kind] = dict.fromkeys(socks, 0), 0
        while not stop.is_set():
            for sock in socks:
                with contextlib.suppress(BlockingIOError):
                    sent[sock] = (sent[sock] + sock.send(data[sent[sock]:])) % len(data)
                with contextlib.suppress(BlockingIOError):
                    answered[kind] += len(sock.recv(1 << 20))

    for kind in kinds:
        with contextlib.ExitStack() as stack:
            socks = connect_all(stack, daemon, 50)
            busy = cpu_s(server)
            with beside(flood, kind, socks):
                watcher.ask_for(1)
            busy = cpu_s(server) - busy
        print(f"\nflood of {kind}: {answered[kind] >> 10} kB answered, server {busy:.2f} CPU s in 1 s; {watcher.told()}")
        watcher.times.clear()
        wait_for(lambda: daemon.status()["clients"] == 1, 10)


# ---- random ----

SOME_NAMES = ["dane-ee.org", "null-mx.org", "insecure.biz", "[192.0.2.1]", "[mx.dane-ee.org]", "a..org", "", ".", "x" * 300, "münchen.org", "\0", "*.org"]
SOME_NUMBERS = [0, 1, 15, 25, 52, 255, 65535, 65536, 1 << 31, (1 << 32) - 1]


def odd_request(chance):
    """Well-formed as a message, with odd contents."""
    name, number = chance.choice(SOME_NAMES), chance.choice(SOME_NUMBERS)
    deadline = chance.choice([0, 1, 1000, (1 << 32) - 1])
    body = chance.choice([
        {"plan": pb.PlanRequest(next_hop=name, port=number, deadline_ms=deadline)},
        {"host": pb.HostRequest(name=name, port=number, deadline_ms=deadline)},
        {"records": pb.RecordsRequest(name=name, type=number, deadline_ms=deadline)},
        {"seal": pb.SealRequest(hash=chance.randbytes(chance.choice([0, 31, 32, 33])))},
        {"watch": pb.WatchRequest(next_hop=name, port=number, hold_down_ms=number)},
        {"warm": pb.WarmRequest(next_hop=name, port=number)},
        {"explain": pb.ExplainRequest(next_hop=name)},
        {"status": pb.StatusRequest()},
        {},
    ])
    nonce = chance.randbytes(chance.choice([0, 0, 0, 31, 32]))
    return pb.Request(id=chance.getrandbits(chance.choice([1, 8, 63])), nonce=nonce, **body).SerializeToString()


def mutated(chance, body):
    """A valid body with some bytes changed, cut out or put in; or bytes of no meaning."""
    data = bytearray(body) if chance.random() < 0.8 else bytearray(chance.randbytes(chance.randrange(1, 80)))
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data) + 1)
        how = chance.randrange(3)
        if how == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            del data[at:at + chance.randrange(1, 8)]
        else:
            data[at:at] = chance.randbytes(chance.randrange(1, 8))
    return bytes(data) or b"\0"


def talk(daemon, frames):
    """Sends them, then what ends a session, and reads until its end; returns the bytes read."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        connect_in_turn(sock, daemon.socket)
        read = 0
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            sock.sendall(b"".join(frames) + frame(b""))
            while data := sock.recv(1 << 16):
                read += len(data)
        return read


def test_random_frames_change_nothing(watched):
    """Each session has some odd requests, and after them one that was spoilt or never made sense."""
    total, each = RANDOM_FRAMES, 16
    pool = total // each // 4
    daemon, server, watcher = watched()
    chance = random.Random(ORDER_SEED)
    odd = [odd_request(chance) for _ in range(pool)]
    odd_frames = [frame(body) for body in odd]
    spoilt = [frame(mutated(chance, body)) for body in odd]

    def talks(first, last):
        return sum(talk(daemon, [*chance.choices(odd_frames, k=each - 1), spoilt[i % pool]]) > 0 for i in range(first, last))

    answered = talks(0, pool)  # every name is in the cache now
    files, memory, busy = open_files(server), rss_bytes(server), cpu_s(server)
    begin = time.monotonic()
    for at in range(pool, total // each, 5000):
        answered += talks(at, min(at + 5000, total // each))
        watcher.ask()
    grown = rss_bytes(server) - memory
    print(f"\nrandom: {total} frames in {total // each} sessions, {answered} of them answered; {time.monotonic() - begin:.0f} s, "
          f"server {cpu_s(server) - busy:.1f} CPU s, grown by {grown >> 10} kB; {watcher.told()}")
    assert answered == total // each, "an error is told before the end"
    assert server_pid(daemon) == server and daemon.status()["worker_restarts"] == 0
    wait_for(lambda: open_files(server) <= files, 5, lambda: f"{open_files(server)} descriptors, {files} before")
    assert grown < 8 * MB

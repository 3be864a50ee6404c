#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Are answers fresh before they end, and what does it cost? The real daemon in the world of freshness_world.py.

A daemon that refreshes ahead gets questions, and after it one with `prefetch.rule = off`, which is plain expiry, the same ones. Upstream queries are counted by the kernel as they leave for the zones' servers. Writes build/freshness.json, one
flat object.

Usage: freshness.py [--quick] [in_use] [forward] [dead_zones] [warm]
"""

import collections
import contextlib
import heapq
import json
import os
import pathlib
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "system"), str(HERE.parent / "world")]

from conftest import BUILD, WORLD, Daemon, wait_for  # noqa: E402
import freshness_world as names  # noqa: E402
import oracle  # noqa: E402
import resolverd_pb2 as pb  # noqa: E402
from hierarchy import NOBODY_ADDRESS  # noqa: E402
from wiretap import TCP, Tally  # noqa: E402
from wire import Client  # noqa: E402

QUICK = names.QUICK
WARM_S, MEASURED_S = (42, 20) if QUICK else (42, 60)  # twice the longest TTL until a name counts as in use
TICK_S = 0.005
BATCH_MAX = 60
PATIENCE_S = 10
OFTEN_MAX = 20  # questions for a domain in its TTL
RARE_BEYOND = 500  # domains there are for each one in use
ONCE_SHARE = 1 / 20
FORWARD_TTL_MAX, FORWARD_WARM_S, FORWARD_MEASURED_S = 8, 20, 24
SOURCES = [f"127.10.0.{number}" for number in range(1, 4)]
FORWARDER = "127.200.0.1"
DEAD_ROUNDS, WARM_ROUNDS, WARM_LIMIT_S = (1, 3, 60) if QUICK else (3, 5, 60)
SERVERS = json.loads((WORLD / "world.json").read_text())["servers"]
IN_USE_SERVERS = "127.53.2.2", SERVERS[f"p{names.PROVIDERS - 1:02}.net"]
ALL_SERVERS = "127.53.0.0", "127.53.255.255"
COMPLAINTS_SHOWN = 10
results = {}


def row(name, value, how):
    results[name] = round(value, 4) if isinstance(value, float) else value
    print(f"{name:32} {results[name]:>10}   {how}", flush=True)


# ---- what is asked for, and when ----

Ask = collections.namedtuple("Ask", "number name ttl hosts")  # hosts: (name, ttl)


def ask_of(number):
    """Domain number `number` by how often it is asked for: those in use come first."""
    if number < names.DOMAINS:
        name, ttl, hosts = names.domain(number), names.ttl(number), names.hosts_of(number)
        at_provider = names.at_provider(number)
    else:
        name, ttl, hosts = names.below_wildcard(number), names.wildcard_ttl(number), names.wildcard_hosts(number)
        at_provider = True
    return Ask(number, name, ttl, tuple((host, names.host_ttl(host) if at_provider else ttl) for host in hosts))


def schedule(seconds, chosen=lambda ask: True, with_rest=True):
    """(time, Ask), ascending: each domain in use at least once in its TTL, the others and those asked for once at random times."""
    chance = random.Random(1)
    heap, in_use_rate = [], 0
    asks = {number: ask for number in range(names.DOMAINS) if chosen(ask := ask_of(number))}
    for number, ask in asks.items():
        per_ttl = max(1, min(OFTEN_MAX, names.DOMAINS / (number + 1)))
        in_use_rate += per_ttl / ask.ttl
        heap.append((chance.random() * ask.ttl, number, per_ttl))
    rare_rate = once_rate = 0
    if with_rest:
        mean_ttl = statistics.harmonic_mean(names.TTLS)
        rare_rate = sum(names.DOMAINS / k for k in range(names.DOMAINS, RARE_BEYOND * names.DOMAINS)) / mean_ttl
        once_rate = (in_use_rate + rare_rate) * ONCE_SHARE / (1 - ONCE_SHARE)
        heap += [(chance.expovariate(rare_rate), -1, 0), (chance.expovariate(once_rate), -2, 0)]
    heapq.heapify(heap)
    once = RARE_BEYOND * names.DOMAINS
    while heap[0][0] < seconds:
        at, number, per_ttl = heap[0]
        if number >= 0:
            yield at, asks[number]
            gap = min(0.98, chance.uniform(0.5, 1.5) / per_ttl) * asks[number].ttl
        elif number == -1:
            yield at, ask_of(int(names.DOMAINS * RARE_BEYOND ** chance.random()))
            gap = chance.expovariate(rare_rate)
        else:
            once += 1
            yield at, ask_of(once)
            gap = chance.expovariate(once_rate)
        heapq.heapreplace(heap, (at + gap, number, per_ttl))


class InUse:
    """By the questions alone: for two TTLs or more no two for the name were further apart than its TTL (as in tests/sim)."""

    def __init__(self):
        self.last, self.since = {}, {}

    def note(self, ask, now):
        last = self.last.get(ask.name)
        if last is None or now - last > ask.ttl:
            self.since[ask.name] = now
        self.last[ask.name] = now
        return now - self.since[ask.name] >= 2 * ask.ttl


class Needed:
    """Upstream queries that the questions since begin_s need, by their times alone."""

    def __init__(self, asked, begin_s, of_route=2, of_host=5):
        """of_route, of_host: queries of each lookup; with QNAME minimisation one more than records, and one for each label more."""
        self.begin_s = begin_s
        self.expiry = self.fewest = self.expiry_in_use = self.fewest_in_use = 0
        self.ends, self.kept_ends = {}, {}
        for at, ask in asked:
            self._take(at, ask.name, ask.ttl, of_route, ask.number < names.DOMAINS)
            for host, ttl in ask.hosts:
                self._take(at, host, ttl, of_host, True)

    def _take(self, at, key, ttl, queries, in_use):
        counted = queries if at >= self.begin_s else 0
        if at >= self.ends.get(key, 0):
            self.ends[key] = at + ttl
            self.expiry += counted
            self.expiry_in_use += counted * in_use
        end = self.kept_ends.get(key, -1e9)
        if at >= end:  # who knows the future looks it up at its end, if the next question comes within the life after it
            self.kept_ends[key] = ttl + (at if at >= end + ttl else end)
            self.fewest += counted
            self.fewest_in_use += counted * in_use


# ---- asking ----

class Feed:
    """One daemon's client: sends a batch of questions in one write, the last of which the daemon answers at once, whatever it is.

    The daemon takes all that one read brings before it turns to its workers, and answers what it has in order. So what comes before
    that last answer was there when it was asked for, and what comes after it waited.
    """

    def __init__(self, label, daemon, source, servers=(IN_USE_SERVERS, ALL_SERVERS)):
        self.label, self.daemon = label, daemon
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(daemon.socket)
        self.received = b""
        self.next_id, self.answered_to = 1, 0
        self.flight = {}  # id → (Ask, time in ms, in use)
        self.counts = collections.Counter()
        self.complaints, self.seen = [], {}
        self.tallies = [Tally(source, *some) for some in servers]
        self.tcp = Tally(source, *ALL_SERVERS, protocol=TCP)

    def begin(self):
        """What was counted until now does not count."""
        self.counts.clear()
        self.complaints.clear()
        self.flight = {number: (ask, at, None) for number, (ask, at, _in_use) in self.flight.items()}
        for tally in self.tallies:
            tally.taken()
        self.before = self.daemon.status()

    def end(self):
        self.upstream = [tally.taken() for tally in self.tallies]
        assert self.tcp.taken() == 0, "queries over TCP are not counted"
        after = self.daemon.status()
        self.stats = {key: after[key] - self.before[key]
                      for key in ("hits", "misses", "refreshes", "refreshes_renewed", "refreshes_futile", "refreshes_failed", "jobs_done")}
        for tally in (*self.tallies, self.tcp):
            tally.close()
        self.socket.close()

    def send(self, batch):
        now_ms = time.time() * 1000
        frames = []
        for ask, in_use in batch:
            frames.append(self._frame(pb.Request(id=self.next_id, plan=pb.PlanRequest(next_hop=ask.name))))
            self.flight[self.next_id] = ask, now_ms, in_use
            self.next_id += 1
        frames.append(self._frame(pb.Request(id=self.next_id)))
        self.next_id += 1
        self._write(b"".join(frames))

    def _write(self, data):
        """In one piece, unless the daemon has more to say first."""
        while data:
            try:
                data = data[self.socket.send(data, socket.MSG_DONTWAIT):]
            except BlockingIOError:
                time.sleep(TICK_S)
                self.receive()

    @staticmethod
    def _frame(request):
        body = request.SerializeToString()
        return struct.pack(">I", len(body)) + body

    def receive(self):
        while True:
            try:
                more = self.socket.recv(1 << 18, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            assert more, "the daemon closed the session"
            self.received += more
            at = 0
            while len(self.received) - at >= 4:
                (length,) = struct.unpack_from(">I", self.received, at)
                if len(self.received) - at < 4 + length:
                    break
                self._take(pb.Response.FromString(self.received[at + 4:at + 4 + length]))
                at += 4 + length
            self.received = self.received[at:]

    def _take(self, response):
        if response.id not in self.flight:
            assert response.error.code == pb.UNSUPPORTED, response
            self.answered_to = response.id
            return
        ask, sent_ms, in_use = self.flight.pop(response.id)
        if in_use is None:
            return
        waited = response.id < self.answered_to
        answers = [pb.Answer.FromString(signed.answer) for signed in response.answers]
        good = bool(answers) and answers[0].route.mx_status in (pb.SECURE, pb.INSECURE) and all(one.host.policy == pb.DANE for one in answers[1:])
        looked_up = any(one.validated_at >= sent_ms - 1 for one in answers)
        assert not waited or looked_up or not good, f"waited for nothing: {answers}"
        self.counts["asked"] += 1
        self.counts["waited"] += waited
        self.counts["failed"] += not good
        self.counts["asked_in_use"] += in_use
        self.counts["missed_in_use"] += in_use and (waited or not good)
        if in_use:
            before = self.seen.setdefault(ask.name, collections.deque(maxlen=3))
            if waited or not good:
                self.complaints.append((ask, sent_ms, time.time() * 1000, good, answers, list(before)))
            before.append((sent_ms, answers))


def drive(feed, questions, warm_s, seconds):
    """Asks; returns the questions, as (time, Ask), with the time they were really asked, and how late the latest was."""
    in_use, asked = InUse(), []
    begin, measuring, latest_s = time.monotonic(), False, 0
    questions = iter(questions)
    following = next(questions)
    while following:
        now = time.monotonic() - begin
        if now >= warm_s and not measuring:
            measuring = True
            feed.begin()
        batch = []
        while following and following[0] <= now and len(batch) < BATCH_MAX:
            batch.append((following[1], in_use.note(following[1], now)))
            asked.append((now, following[1]))
            latest_s = max(latest_s, now - following[0])
            following = next(questions, None)
        if batch:
            feed.send(batch)
        feed.receive()
        if len(batch) < BATCH_MAX:
            time.sleep(TICK_S)
    end = begin + seconds + PATIENCE_S
    while time.monotonic() < end and feed.flight:
        time.sleep(TICK_S)
        feed.receive()
    assert not feed.flight, f"{feed.label}: {len(feed.flight)} questions without an answer"
    feed.end()
    return asked, latest_s


@contextlib.contextmanager
def daemons():
    """Makes daemons that live as long as the block: make(SOURCE, key=value…)."""
    with tempfile.TemporaryDirectory(prefix="resolverd-freshness-") as name, contextlib.ExitStack() as stack:
        count = 0

        def make(source=None, **keys):
            nonlocal count
            count += 1
            directory = pathlib.Path(name) / str(count)
            directory.mkdir()
            if source:
                keys["unbound__outgoing_interface"] = source
            daemon = Daemon(directory, **keys)
            stack.callback(daemon.stop, None)
            return daemon.start()

        make.directory = pathlib.Path(name)
        yield make


def show_complaints(feed):
    for ask, sent_ms, came_ms, good, answers, before in feed.complaints[:COMPLAINTS_SHOWN]:
        def lives(of):
            return "; ".join(f"{one.question.name} found {one.validated_at - sent_ms:+.0f} ms, ends {one.expires_at - sent_ms:+.0f} ms" for one in of)
        print(f"  {feed.label} missed {ask.name} (TTL {ask.ttl}, {'good' if good else 'failed'}), {came_ms - sent_ms:.0f} ms: {lives(answers)}")
        for at_ms, of in before:
            print(f"    asked {at_ms - sent_ms:+.0f} ms: {lives(of)}")


def in_use():
    feeds = []
    for label, source, keys in (("ahead", SOURCES[0], {}), ("off", SOURCES[1], {"prefetch__rule": "off"})):
        with daemons() as make:
            feed = Feed(label, make(source, **keys), source)
            asked, latest_s = drive(feed, schedule(WARM_S + MEASURED_S), WARM_S, WARM_S + MEASURED_S)
        if label == "ahead":
            show_complaints(feed)
        print(f"{label}: {feed.counts['asked']} questions in {MEASURED_S} s, {feed.counts['asked_in_use']} for names in use, {latest_s * 1000:.0f} ms late "
              f"at most; {feed.stats}")
        feeds.append(feed)
    ahead, off = feeds
    least = Needed(asked, WARM_S)
    row("visible_misses_in_use", ahead.counts["missed_in_use"],
        f"of {ahead.counts['asked_in_use']} questions for names in use; {off.counts['missed_in_use']} with plain expiry")
    row("upstream_vs_expiry", ahead.upstream[1] / off.upstream[1],
        f"upstream queries of all questions: {ahead.upstream[1]}, plain expiry {off.upstream[1]}; the least for no miss, "
        f"by who knows the future: {least.fewest / least.expiry:.3f}")
    row("upstream_vs_expiry_in_use", ahead.upstream[0] / off.upstream[0],
        f"of these, to zones of names in use: {ahead.upstream[0]}, {off.upstream[0]}; the least {least.fewest_in_use / least.expiry_in_use:.3f}")
    row("upstream_vs_expiry_rest", (ahead.upstream[1] - ahead.upstream[0]) / (off.upstream[1] - off.upstream[0]),
        f"the others, asked for less often or once: {ahead.upstream[1] - ahead.upstream[0]}, {off.upstream[1] - off.upstream[0]}; the least "
        f"{(least.fewest - least.fewest_in_use) / (least.expiry - least.expiry_in_use):.3f}")
    row("upstream_fewest_vs_expiry", least.fewest / least.expiry, "the least, of all questions")
    row("hit_ratio", 1 - ahead.counts["waited"] / ahead.counts["asked"], f"{1 - off.counts['waited'] / off.counts['asked']:.4f} with plain expiry")


# ---- behind a resolver whose cache is shared ----

def forward():
    """Only the domains with short TTLs. Each lookup is one query to the forwarder; plain expiry is computed from the questions' times."""
    def chosen(ask):
        return ask.ttl <= FORWARD_TTL_MAX

    with daemons() as make, oracle.Unbound(WORLD, make.directory / "unbound", FORWARDER):
        daemon = make(SOURCES[2], resolver__forward=FORWARDER)
        feed = Feed("forward", daemon, SOURCES[2], [(FORWARDER, FORWARDER)])
        asked, _ = drive(feed, schedule(FORWARD_WARM_S + FORWARD_MEASURED_S, chosen, with_rest=False), FORWARD_WARM_S,
                         FORWARD_WARM_S + FORWARD_MEASURED_S)
    least = Needed(asked, FORWARD_WARM_S, of_route=1, of_host=3)
    row("forward_visible_misses_in_use", feed.counts["missed_in_use"],
        f"of {feed.counts['asked_in_use']} questions, with `forward`; {feed.stats}")
    row("forward_miss_share", feed.counts["missed_in_use"] / feed.counts["asked_in_use"], "the same")
    row("forward_upstream_vs_expiry", feed.upstream[0] / least.expiry,
        f"queries to the forwarder {feed.upstream[0]}, by plain expiry {least.expiry}, knowing the future {least.fewest}")


# ---- dead zones beside a healthy one ----

def cold_latencies_ms(client, numbers):
    latencies = []
    for number in numbers:
        begin = time.monotonic()
        response = client.ask(plan=pb.PlanRequest(next_hop=names.cold_domain(number)))
        latencies.append((time.monotonic() - begin) * 1000)
        assert len(response.answers) == 2 and pb.Answer.FromString(response.answers[1].answer).host.policy == pb.DANE, response
    return latencies


def dead_zones():
    """Their servers are silent: what is sent there is taken and never answered."""
    ratios, slowest, all_alone, all_beside = [], [], [], []
    every = range(names.COLD)
    first, alone, beside = every[:4 * names.ZONES], every[4 * names.ZONES::2], every[4 * names.ZONES + 1::2]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((NOBODY_ADDRESS, 53))
        for _ in range(DEAD_ROUNDS):
            with daemons() as make:
                daemon = make(resolver__deadline="10s")
                with Client(daemon.socket) as client, Client(daemon.socket) as other:
                    cold_latencies_ms(client, first)  # the zones themselves are known
                    without = cold_latencies_ms(client, alone)
                    for number in range(names.DEAD):
                        other.submit(plan=pb.PlanRequest(next_hop=names.dead_domain(number)))
                    time.sleep(0.5)
                    beside_them = cold_latencies_ms(client, beside)
                    waiting = daemon.status()["jobs"]
                    assert waiting >= names.DEAD, f"only {waiting} dead zones are still looked up"
            all_alone += without
            all_beside += beside_them
            ratios.append(statistics.median(beside_them) / statistics.median(without))
            slowest.append(percentile(beside_them, 0.95) / percentile(without, 0.95))
    row("dead_zones_latency_ratio", statistics.median(ratios),
        f"a cold plan beside {names.DEAD} dead zones {statistics.median(all_beside):.1f} ms, alone {statistics.median(all_alone):.1f} ms "
        f"(medians of {len(all_alone)}; ratios of {DEAD_ROUNDS} rounds {min(ratios):.2f} to {max(ratios):.2f})")
    row("dead_zones_p95_ratio", statistics.median(slowest),
        f"the same, the slowest in twenty: {percentile(all_beside, 0.95):.1f} ms, {percentile(all_alone, 0.95):.1f} ms")


def percentile(values, share):
    return sorted(values)[int(len(values) * share)]


# ---- a campaign ----

def warm():
    ours, bare = [], []
    for _ in range(WARM_ROUNDS):
        with daemons() as make:
            file = make.directory / "recipients"
            file.write_text("".join(f"{names.warm_domain(number)}\n" for number in range(names.WARM)))
            daemon = make()
            begin = time.monotonic()
            code, told = daemon.ctl("--control-socket", f"{daemon.socket}.control", "warm", file, timeout=WARM_LIMIT_S)
            ours.append(names.WARM / (time.monotonic() - begin))
            assert code == 0 and told["results"]["deliver"] == names.WARM, told
            workers = daemon.status()["workers"]
            sets = [option for option in daemon.command() if option.startswith("--set=")]
            daemon.stop()
            command = [BUILD / "bench-libunbound", f"--processes={workers}", *sets, file]
            said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=WARM_LIMIT_S).stdout)
            bare.append(said["per_s"])
    ratios = [a / b for a, b in zip(ours, bare)]
    row("warm_vs_libunbound", statistics.median(ratios),
        f"`resolverctl warm` of {names.WARM} cold domains {statistics.median(ours):,.0f}/s, the bare library's {workers} contexts, asked the same "
        f"{statistics.median(bare):,.0f}/s (ratios of {WARM_ROUNDS} rounds {min(ratios):.2f} to {max(ratios):.2f})")
    row("warm_per_s", statistics.median(ours), "domains, absolute")


PARTS = {"warm": warm, "dead_zones": dead_zones, "forward": forward, "in_use": in_use}


def main():
    print(f"{'figure':32} {'value':>10}   how it was measured ({'quick' if QUICK else 'full'}, {os.cpu_count()} cores)")
    wanted = [name for name in sys.argv[1:] if name in PARTS]
    for name in wanted or PARTS:
        PARTS[name]()
    target = BUILD.parent / "freshness.json"
    target.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written to {os.path.relpath(target)}")


if __name__ == "__main__":
    main()

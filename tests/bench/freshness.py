#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Are answers fresh before they end, and what does it cost? The real daemon in the world of freshness_world.py.

Two daemons, one that refreshes ahead and one with `prefetch.rule = off`, which is plain expiry, get the same questions at the same
times from one client. Upstream queries are counted by the kernel as they leave for the zones' servers. Writes build/freshness.json, one
flat object.

Usage: freshness.py [--quick]
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
from wiretap import TCP, Tally  # noqa: E402
from wire import Client  # noqa: E402

QUICK = names.QUICK
WARM_S, MEASURED_S = (42, 20) if QUICK else (45, 90)  # twice the longest TTL until a name counts as in use
TICK_S = 0.005
OFTEN_MAX = 20  # questions for a domain in its TTL
RARE_BEYOND = 500  # domains there are for each one in use
ONCE_SHARE = 1 / 20
FORWARD_TTL_MAX, FORWARD_WARM_S, FORWARD_MEASURED_S = 8, 20, 24
SOURCES = [f"127.10.0.{number}" for number in range(1, 9)]
FORWARDERS = ["127.200.0.1", "127.200.0.2"]
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

    ROUTE, HOST = 2, 5  # queries of each: what names are hidden from the zones above costs one more for each label

    def __init__(self, asked, begin_s):
        self.begin_s = begin_s
        self.expiry = self.fewest = self.expiry_in_use = self.fewest_in_use = 0
        self.ends, self.kept_ends = {}, {}
        for at, ask in asked:
            self._take(at, ask.name, ask.ttl, self.ROUTE, ask.number < names.DOMAINS)
            for host, ttl in ask.hosts:
                self._take(at, host, ttl, self.HOST, True)

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
        self.complaints = []
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
        self.socket.sendall(b"".join(frames))

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
        if in_use and (waited or not good):
            self.complaints.append((ask, sent_ms, time.time() * 1000, good, answers))


def drive(feeds, questions, warm_s, seconds):
    """All feeds get the same; returns the questions, as (time, Ask), with the time they were really asked."""
    in_use, asked = InUse(), []
    begin, measuring, latest_s = time.monotonic(), False, 0
    questions = iter(questions)
    following = next(questions)
    while following:
        now = time.monotonic() - begin
        if now >= warm_s and not measuring:
            measuring = True
            for feed in feeds:
                feed.begin()
        batch = []
        while following and following[0] <= now and len(batch) < 60:
            batch.append((following[1], in_use.note(following[1], now)))
            asked.append((now, following[1]))
            latest_s = max(latest_s, now - following[0])
            following = next(questions, None)
        for feed in feeds:
            if batch:
                feed.send(batch)
            feed.receive()
        if len(batch) < 60:
            time.sleep(TICK_S)
    end = begin + seconds + 8
    while time.monotonic() < end and any(feed.flight for feed in feeds):
        time.sleep(TICK_S)
        for feed in feeds:
            feed.receive()
    for feed in feeds:
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
    for ask, sent_ms, came_ms, good, answers in feed.complaints[:COMPLAINTS_SHOWN]:
        lives = [(one.question.name, one.validated_at - sent_ms, one.expires_at - sent_ms) for one in answers]
        print(f"  {feed.label} missed {ask.name} (TTL {ask.ttl}, {'good' if good else 'failed'}), {came_ms - sent_ms:.0f} ms: "
              + "; ".join(f"{name} found {found:+.0f} ms, ends {end:+.0f} ms" for name, found, end in lives))


def in_use():
    with daemons() as make:
        feeds = [Feed("ahead", make(SOURCES[0]), SOURCES[0]), Feed("off", make(SOURCES[1], prefetch__rule="off"), SOURCES[1])]
        asked, latest_s = drive(feeds, schedule(WARM_S + MEASURED_S), WARM_S, WARM_S + MEASURED_S)
    ahead, off = feeds
    show_complaints(ahead)
    least = Needed(asked, WARM_S)
    print(f"{names.DOMAINS} domains in use, TTLs of {names.TTLS[0]} to {names.TTLS[-1]} s, {ahead.counts['asked']} questions in {MEASURED_S} s, "
          f"{ahead.counts['asked_in_use']} of them in use; at most {latest_s * 1000:.0f} ms late; {ahead.stats}")
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


def main():
    in_use()
    target = BUILD.parent / "freshness.json"
    target.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written to {os.path.relpath(target)}")


if __name__ == "__main__":
    main()

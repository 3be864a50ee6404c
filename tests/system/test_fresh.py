# SPDX-License-Identifier: BSD-3-Clause
"""Answers in use are there before anybody asks, true to their end, and gone after it.

A client here is one of docs/PROTOCOL.md: it verifies what it gets. Whether it waited is in the answers: what was there before it asked
was validated before.
"""

import base64
import os
import signal
import subprocess
import threading
import time

import pytest
import resolverd_pb2 as pb
from conftest import BUILD, wait_for
from faketime import DAY, HOUR, YEAR, Clock
from servers import Scripted
from wire import Client, NotVerified, UnknownKey

EX_CONFIG = 78
WITHOUT_A_WAIT_S = 0.25  # on a busy machine, too; a lookup's own time is not in it
ZONE = "scripted.biz"


class Watcher:
    """A client of one daemon that times its plans; `clock` is the daemon's."""

    def __init__(self, daemon, clock=time.time):
        self.daemon, self.clock = daemon, clock
        trusted = [base64.b64decode(line) for line in open(daemon.public_key) if line.strip()]
        self.client = Client(daemon.socket, trusted)
        self.client.learn_delegations(now_ms=clock() * 1000)
        self.slowest_s = 0

    def answers(self, next_hop, **options):
        """(the answers of a plan, how many of them were looked up after it was asked)"""
        sent = self.clock()
        begin = time.monotonic()
        response = self.client.ask(plan=pb.PlanRequest(next_hop=next_hop, **options))
        self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
        assert not response.HasField("error"), response.error
        try:
            answers = [self.client.verify(signed, pb.Answer.FromString(signed.answer).question, now_ms=self.clock() * 1000)
                       for signed in response.answers]
        except UnknownKey:
            self.client.learn_delegations(now_ms=self.clock() * 1000)
            return self.answers(next_hop, **options)
        except NotVerified as error:
            assert str(error) == "expired", error
            return self.answers(next_hop, **options)  # on its way: as any client does
        return answers, sum(answer.validated_at > sent * 1000 for answer in answers)

    def status(self):
        return self.client.ask(status=pb.StatusRequest()).status


def delivers(answers):
    return (answers[0].route.mx_status in (pb.SECURE, pb.INSECURE)
            and any(answer.host.policy != pb.UNREACHABLE for answer in answers[1:]))


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path, BUILD / "resolverd")


@pytest.fixture
def make_clocked(make_daemon, clock):
    def make(start=True, **keys):
        daemon = make_daemon(start=False, **keys)
        daemon.prefix = clock.prefix
        return daemon.start() if start else daemon

    return make


# ---- in use ----

def test_answers_in_use_with_ttls_of_seconds_are_never_missed(make_daemon):
    """Over many TTLs; the last is asked only once in each. A busy machine may hold up one refresh; make freshness counts them all."""
    every_s = {"two-seconds.org": 0.5, "three-seconds.net": 1, "five-seconds.com": 4.8}
    watcher = Watcher(make_daemon())
    begin = time.monotonic()
    due = dict.fromkeys(every_s, begin)
    missed, asked = [], 0
    warm_s, end_s = 10, 40
    while (now := time.monotonic() - begin) < end_s:
        for domain, at in due.items():
            if time.monotonic() < at:
                continue
            answers, waited = watcher.answers(domain)
            assert delivers(answers), answers
            if now > warm_s:
                asked += 1
                missed += [(round(now, 1), domain, waited)] if waited else []
            else:
                watcher.slowest_s = 0
            due[domain] = at + every_s[domain]
        time.sleep(0.02)
    status = watcher.status()
    assert asked > 60 and len(missed) <= asked // 50, f"{missed} of {asked}; {status}"
    assert watcher.slowest_s < WITHOUT_A_WAIT_S
    assert status.refreshes_renewed > 50 and status.refreshes_failed == 0, status


def test_a_refreshed_route_that_names_a_new_host_is_served_without_a_wait(make_daemon):
    with Scripted(ZONE) as server:
        server.answers |= {(ZONE, "MX"): (2, [f"10 old.{ZONE}."]), (f"old.{ZONE}", "A"): (60, ["127.25.9.1"]),
                           (f"new.{ZONE}", "A"): (60, ["127.25.9.2"])}
        watcher = Watcher(make_daemon())
        hosts, waits = [], []
        for step in range(40):
            if step == 10:
                server.answers[ZONE, "MX"] = 2, [f"10 new.{ZONE}."]
            answers, waited = watcher.answers(ZONE)
            assert delivers(answers)
            hosts.append(answers[0].route.mx[0].name)
            waits.append(waited)
            time.sleep(0.2)
    assert hosts[9] == f"old.{ZONE}" and hosts[-1] == f"new.{ZONE}", hosts
    assert sum(waits[1:]) == 0, list(zip(hosts, waits))


def test_entries_that_nobody_wants_run_out(make_daemon, queries):
    watcher = Watcher(make_daemon())
    watcher.answers("two-seconds.org")
    watcher.answers("two-seconds.org")
    time.sleep(12)  # of seconds, some for rounding
    asked = len(queries.seen())
    time.sleep(4)
    assert len(queries.seen()) == asked, "nobody asks, nothing is asked for"


# ---- failures ----

def test_b14_a_cut_upstream_takes_nothing_before_its_end_and_leaves_nothing_after(make_daemon, faults):
    watcher = Watcher(make_daemon(cache__failure_ttl="1s", resolver__deadline="3s"))
    for _ in range(12):  # refreshed at least once
        answers, _ = watcher.answers("five-seconds.com")
        time.sleep(0.5)
    faults.set("*.five-seconds.com * servfail")
    served_until = 0
    begin = time.monotonic()
    while delivers(answers) and time.monotonic() - begin < 12:
        served_until = min(answer.expires_at for answer in answers)
        answers, waited = watcher.answers("five-seconds.com")
        assert not delivers(answers) or not waited, "a live answer is given at once"
        time.sleep(0.05)
    assert not delivers(answers)
    assert time.time() * 1000 >= served_until - 50, "it was live"
    assert time.time() * 1000 < served_until + 4000
    assert answers[0].route.mx_status == pb.ERROR or answers[1].host.policy == pb.UNREACHABLE
    assert not any(answer.stale_since for answer in answers)
    assert watcher.status().refreshes_failed >= 1
    faults.clear()
    wait_for(lambda: delivers(watcher.answers("five-seconds.com")[0]), 8)


def test_b13_a_failure_is_kept_for_failure_ttl(make_daemon, faults, queries):
    watcher = Watcher(make_daemon(cache__failure_ttl="3s"))
    faults.set("mx.dane-ee.org A servfail", "mx.dane-ee.org AAAA servfail")
    answers, _ = watcher.answers("dane-ee.org")
    assert not delivers(answers)
    failed = answers[1]
    assert 2900 <= failed.expires_at - failed.validated_at <= 3000
    asked = len(queries.seen())
    while time.time() * 1000 < failed.expires_at - 300:
        answers, waited = watcher.answers("dane-ee.org")
        assert answers[1] == failed and not waited
        time.sleep(0.1)
    assert len(queries.seen()) == asked
    faults.clear()
    wait_for(lambda: delivers(watcher.answers("dane-ee.org")[0]), 8)


def test_b13_a_failing_name_costs_a_bounded_number_of_queries_whatever_is_asked_of_it(make_daemon, faults, queries):
    """All types and ports, by two clients, for some seconds; failures are forgotten at once."""
    daemon = make_daemon(cache__failure_ttl="100ms", resolver__deadline="3s")
    name = "mx.dane-ta.com"
    faults.set(f"{name} * servfail", f"*.{name} * servfail")
    end = time.monotonic() + 8
    counts = {"asked": 0, "busy": 0}

    def insist(first):
        with Client(daemon.socket) as client:
            number = first
            while time.monotonic() < end:
                for _ in range(100):
                    number = number % 120 + 1
                    client.submit(host=pb.HostRequest(name=name, port=1000 + number))
                    client.submit(records=pb.RecordsRequest(name=name, type=number if number != 41 else 42))
                for _ in range(200):
                    response = client.receive()
                    counts["asked"] += 1
                    counts["busy"] += response.error.code == pb.BUSY
                    assert response.error.code in (0, pb.BUSY), response

    threads = [threading.Thread(target=insist, args=(first,)) for first in (1, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = [query for query in queries.seen() if query.name == name or query.name.endswith(f".{name}")]
    status = Watcher(daemon).status()
    print(f"{counts}, {len(seen)} queries, refused as failing {status.refused_failing}")
    assert counts["asked"] > 5000 and status.refused_failing > 1000, status
    assert len(seen) < 600, f"{len(seen)} queries for {counts}"


# ---- prefetch.domains-file ----

def asked_for(queries, name, since):
    return [query for query in queries.seen() if query.name == name and query.time > since]


def test_domains_of_the_file_are_kept_and_one_that_is_removed_ends(make_daemon, tmp_path, queries):
    file = tmp_path / "domains"
    file.write_text("# kept\ntwo-seconds.org\n\nThree-Seconds.NET.  # a comment\n")
    daemon = make_daemon(prefetch__domains_file=str(file))
    watcher = Watcher(daemon)
    assert watcher.status().kept_domains == 2
    time.sleep(8)
    for domain in ("two-seconds.org", "three-seconds.net"):
        assert len(asked_for(queries, domain, time.time() - 4)) >= 1, f"{domain} is not looked up again"
        answers, waited = watcher.answers(domain)
        assert delivers(answers) and not waited, "kept, hosts too"
    file.write_text("two-seconds.org\n")
    daemon.reload("")
    wait_for(lambda: watcher.status().kept_domains == 1, 5)
    time.sleep(18)
    assert asked_for(queries, "three-seconds.net", time.time() - 5) == []
    assert asked_for(queries, "two-seconds.org", time.time() - 5), "this one stays"


def test_a_bad_line_of_the_domains_file_is_refused_with_its_place(make_daemon, tmp_path):
    file = tmp_path / "domains"
    file.write_text("two-seconds.org\n\nbad..name\n")
    daemon = make_daemon(start=False, prefetch__domains_file=str(file))
    for more in ([], ["--check-config"]):
        done = subprocess.run([*daemon.command(), *more], capture_output=True, text=True, timeout=20)
        assert done.returncode == EX_CONFIG and f"{file}:3: 'bad..name'" in done.stderr, done.stderr
    file.write_text("two-seconds.org\n")
    daemon.start()
    watcher = Watcher(daemon)
    file.write_text("two-seconds.org\nbad..name\n")
    log = daemon.reload("")
    assert f"{file}:2: 'bad..name'" in daemon.log() and "stays" in log, daemon.log()
    assert watcher.status().kept_domains == 1
    wait_for(lambda: watcher.status().cache_entries > 0, 5)
    file.unlink()
    log = daemon.reload("")
    assert str(file) in log and "stays" in log
    assert watcher.status().kept_domains == 1


# ---- cache.stale ----

def test_m06_what_has_ended_is_served_marked_as_stale_for_as_long_as_allowed(make_daemon, faults):
    watcher = Watcher(make_daemon(cache__stale="6s", cache__failure_ttl="1s", resolver__deadline="2s"))
    before, _ = watcher.answers("three-seconds.net")
    assert delivers(before)
    faults.set("*.three-seconds.net * servfail", "*.two-seconds.org * servfail")
    end = before[0].expires_at
    time.sleep(max(0, end / 1000 - time.time()) + 0.5)
    answers, _ = watcher.answers("three-seconds.net")
    assert delivers(answers)
    for answer, fresh in zip(answers, before):
        assert answer.stale_since == fresh.expires_at and answer.validated_at == fresh.validated_at
        assert answer.expires_at <= answer.stale_since + 6000
    assert [mx.name for mx in answers[0].route.mx] == [mx.name for mx in before[0].route.mx]
    assert watcher.status().stale_served >= 3

    def over():
        found, _ = watcher.answers("three-seconds.net")
        assert time.time() * 1000 < end + 6000 + 1500 or not delivers(found)
        return not delivers(found)

    wait_for(over, 12)
    assert time.time() * 1000 >= end + 5500, "served as long as allowed"
    faults.clear()

    def fresh_again():
        found, _ = watcher.answers("three-seconds.net")
        return delivers(found) and not any(answer.stale_since for answer in found)

    wait_for(fresh_again, 8)


def test_m06_without_stale_in_the_configuration_nothing_is_served_past_its_end(make_daemon, faults):
    watcher = Watcher(make_daemon(cache__failure_ttl="1s", resolver__deadline="2s"))
    before, _ = watcher.answers("two-seconds.org")
    faults.set("*.two-seconds.org * servfail")
    time.sleep(max(0, before[0].expires_at / 1000 - time.time()) + 0.1)
    answers, _ = watcher.answers("two-seconds.org")
    assert not delivers(answers) and watcher.status().stale_served == 0


def test_m06_after_a_bogus_answer_nothing_stale_is_served(make_daemon, faults):
    """Not even when what comes after it is a mere failure."""
    watcher = Watcher(make_daemon(cache__stale="1h", cache__failure_ttl="200ms", resolver__deadline="2s"))
    before, _ = watcher.answers("two-seconds.org")
    assert delivers(before)
    faults.set("two-seconds.org MX strip-rrsig")
    time.sleep(max(0, before[0].expires_at / 1000 - time.time()) + 0.2)
    answers, _ = watcher.answers("two-seconds.org")
    assert answers[0].route.mx_status == pb.BOGUS and answers[0].stale_since == 0
    faults.set("*.two-seconds.org * servfail")
    for _ in range(10):
        answers, _ = watcher.answers("two-seconds.org")
        assert not delivers(answers) and answers[0].stale_since == 0, answers[0]
        time.sleep(0.3)


def test_m06_what_is_stale_is_never_served_past_the_expiry_of_its_signature(make_clocked, clock, daemon, faults):
    """soon-expired.org: MX signed for half an hour from the world's start. This daemon begins shortly before that is over."""
    with Client(daemon.socket) as client:
        response = client.ask(records=pb.RecordsRequest(name="soon-expired.org", type=15))
    expiry = pb.Answer.FromString(response.answers[0].answer).rrsig_expires_at
    if not expiry:
        pytest.skip("the world is older than that signature's life")
    clock.move_to(int(expiry / 1000 - time.time() - 14))
    watcher = Watcher(make_clocked(cache__stale="1h", cache__failure_ttl="1s", resolver__deadline="2s"), clock.now)
    before, _ = watcher.answers("soon-expired.org")
    assert delivers(before) and before[0].rrsig_expires_at == expiry, before[0]
    faults.set("*.soon-expired.org * servfail")
    time.sleep(max(0, before[0].expires_at / 1000 - clock.now()) + 0.2)
    stale = 0
    while clock.now() * 1000 < expiry + 3000:
        answers, _ = watcher.answers("soon-expired.org")
        stale += answers[0].stale_since != 0
        assert not answers[0].stale_since or answers[0].expires_at <= expiry
        assert clock.now() * 1000 < expiry + 100 or not delivers(answers)
        time.sleep(0.1)
    assert stale > 10


# ---- clock steps ----

@pytest.mark.parametrize("jump", [-2 * HOUR, 10 * YEAR, DAY], ids=["back-2h", "forward-10y", "forward-1d"])
def test_m07_a_clock_step_serves_nothing_expired_and_prefetch_goes_on(make_clocked, clock, jump):
    """A day ahead signatures still hold; in the other two times they don't, and what was served is gone."""
    daemon = make_clocked(resolver__deadline="2s", cache__failure_ttl="500ms")
    watcher = Watcher(daemon, clock.now)

    def ask_for_seconds(seconds):
        end, waits = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            answers, waited = watcher.answers("three-seconds.net")  # each verified: not expired by the daemon's clock
            waits += waited > 0
            time.sleep(0.2)
        return answers, waits

    assert delivers(ask_for_seconds(4)[0])
    refreshed = watcher.status().refreshes_renewed
    assert refreshed > 0
    clock.move_to(jump)
    begin = time.monotonic()
    while time.monotonic() - begin < 4:
        response = watcher.client.ask(plan=pb.PlanRequest(next_hop="three-seconds.net"))
        now_ms = clock.now() * 1000
        for signed in response.answers:
            answer = pb.Answer.FromString(signed.answer)
            # until the step is seen, an eighth of a second at most, what was found before it is told
            late = time.monotonic() - begin > 1
            assert not late or answer.validated_at <= now_ms < answer.expires_at, (answer, now_ms)
            assert not late or jump == DAY or answer.route.mx_status in (0, pb.ERROR, pb.BOGUS), answer
        time.sleep(0.1)
    assert watcher.status().clock_steps == 1
    clock.move_to(0 if jump != DAY else jump)
    daemon.wait_until_ready()
    watcher.client.learn_delegations(now_ms=clock.now() * 1000)
    wait_for(lambda: delivers(watcher.answers("three-seconds.net")[0]), 15, daemon.log)
    ask_for_seconds(4)
    for _ in range(3):  # a slow machine may let one wait in three lives of a TTL, a prefetch that ended lets all wait
        answers, waits = ask_for_seconds(9)
        assert delivers(answers) and waits <= 1
        if waits == 0:
            break
    assert waits == 0
    assert watcher.status().refreshes_renewed > refreshed


def test_a_stopped_daemon_serves_nothing_that_ended_meanwhile(make_daemon):
    """As after a suspend: its timers are late, what it holds is over."""
    daemon = make_daemon()
    watcher = Watcher(daemon)
    watcher.answers("two-seconds.org")
    server = daemon.roles()["server"][0]
    os.kill(server, signal.SIGSTOP)
    time.sleep(4)
    os.kill(server, signal.SIGCONT)
    for _ in range(20):
        assert delivers(watcher.answers("two-seconds.org")[0])  # verified: in time
        time.sleep(0.2)
    assert watcher.answers("two-seconds.org")[1] == 0, "and in use again"

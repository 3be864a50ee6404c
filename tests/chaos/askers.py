# SPDX-License-Identifier: BSD-3-Clause
"""Clients that ask while things break, and judge every answer: verified by hand (wire.py), or by client/python."""

import base64
import collections
import os
import pathlib
import random
import select
import sys
import threading
import time
import traceback

import resolverd_pb2 as pb
from conftest import BUILD
from truth import Wrong, listed
from wire import Client, NotVerified, UnknownKey, check_attestation, check_signature, key_id

sys.path.insert(0, str(BUILD / "python"))
import resolverd  # noqa: E402

IN_FLIGHT = 8
DEADLINE_S = 3  # the daemon's own
GRACE_S = 2     # until a missing answer is lost: this machine has more to do
PAUSE_S = 0.002
KEPT_COMPLAINTS = 40


class Tally:
    """What the askers saw, of all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts, self.errors, self.complaints = collections.Counter(), collections.Counter(), []
        self.keys, self.began = set(), time.time()

    def add(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    def complain(self, what, text):
        """what: "wrong", "lost" or "leaked"."""
        with self.lock:
            self.counts[what] += 1
            if len(self.complaints) < KEPT_COMPLAINTS:
                self.complaints.append(f"{what}, {time.time() - self.began:.2f} s: {text}")


class Outages:
    """When the daemon was not up, by our own doing."""

    def __init__(self):
        self.spans = []

    def begins(self):
        self.spans.append([time.time(), float("inf")])

    def ends(self):
        self.spans[-1][1] = time.time()

    def touches(self, begin):
        """Since `begin` there was one; what a client notices of it is over half a second after it."""
        return any(begin <= end + 0.5 for _, end in self.spans)


class Keyring:
    """Online keys that the trusted keys vouch for, of every delegation seen. Whether it is in time is asked at each use."""

    def __init__(self, daemon):
        self.path, self.public_key, self.online = daemon.socket, daemon.public_key, {}

    def learn(self):
        trusted = {key_id(key): key for key in map(base64.b64decode, pathlib.Path(self.public_key).read_text().split())}
        with Client(self.path, timeout=DEADLINE_S + GRACE_S) as client:
            response = client.ask(status=pb.StatusRequest())
        if response.HasField("error"):
            raise NotVerified(f"no delegations: {response.error}")
        status = response.status
        for signed in status.delegations:
            check_signature(b"resolverd delegation v1", signed.delegation, signed.signature, trusted[signed.key_id])
            delegation = pb.Delegation.FromString(signed.delegation)
            if delegation.scope == pb.ANSWERS:
                self.online[key_id(delegation.online_key)] = delegation
        return status


class Asker(threading.Thread):
    """Asks until it is over; connects again when the daemon is gone and back. `chaos` has daemon, truth, wall, tally, outages."""

    def __init__(self, chaos, seed):
        super().__init__(daemon=True)
        self.chaos, self.tally, self.wall = chaos, chaos.tally, chaos.wall
        self.random, self.over = random.Random(seed), threading.Event()

    def run(self):
        while not self.over.is_set():
            self.since = time.time()
            try:
                self.talk()
            except OSError as error:  # ConnectionError and timeouts are such
                self.is_cut_off(self.since, error)
                time.sleep(0.05)
            except Exception:  # a bug of this test must not look like silence
                self.tally.complain("wrong", f"{type(self).__name__}: {traceback.format_exc()}")
                time.sleep(0.5)

    def is_cut_off(self, since, error):
        if self.chaos.outages.touches(since):
            self.tally.add("interrupted")
        else:
            self.tally.complain("lost", f"no outage, but {error!r}")

    def choose(self):
        """Some of them often, so that there is a hot set too."""
        truth = self.chaos.truth
        scenarios = truth.steady if self.wall.clock else truth.scenarios
        return self.random.choice(scenarios[:12] if self.random.random() < 0.3 else scenarios)

    def is_excused(self, sent):
        """A client that shares the daemon's clock refuses what is out of time by it, which is safe: while the clock is wrong, and
        until the step is seen and the keys are vouched for anew."""
        return self.wall.clock and (self.wall.offset in self.chaos.WRONG_CLOCKS or self.wall.stepped_since(sent - 2))

    def finish(self):
        self.over.set()
        self.join(30)
        if self.is_alive():
            self.tally.complain("lost", f"{type(self).__name__} still waits")


class WireAsker(Asker):
    """Many requests at once on one connection; a third of them attested."""

    def talk(self):
        self.keyring = Keyring(self.chaos.daemon)
        self.keyring.learn()
        waiting = {}  # id: scenario, when sent, nonce, request bytes
        with Client(self.chaos.daemon.socket, timeout=DEADLINE_S + GRACE_S) as self.client:
            self.client.online = self.keyring.online
            while waiting or not self.over.is_set():
                while len(waiting) < IN_FLIGHT and not self.over.is_set():
                    self.submit(waiting)
                if select.select([self.client.socket], [], [], 0.2)[0]:
                    response = self.client.receive()
                    self.take(response, *waiting.pop(response.id))
                    time.sleep(PAUSE_S)
                self.since = min((sent for _, sent, *_ in waiting.values()), default=time.time())
                if time.time() - self.since > DEADLINE_S + GRACE_S:
                    raise TimeoutError(f"no answer in time, among them for {min(waiting.values(), key=lambda one: one[1])[0]['domain']}")

    def submit(self, waiting):
        scenario = self.choose()
        request = pb.Request(id=self.client.next_id, plan=pb.PlanRequest(next_hop=scenario["domain"], port=scenario["port"]))
        if self.random.random() < 0.33:
            request.nonce = os.urandom(32)
        self.client.next_id += 1
        data = request.SerializeToString()
        waiting[request.id] = (scenario, time.time(), request.nonce, data)
        self.client.send_frame(data)
        self.tally.add("requests")

    def take(self, response, scenario, sent, nonce, data):
        if response.HasField("error"):
            code = pb.ErrorCode.Name(response.error.code)
            self.tally.errors[code] += 1
            if response.error.code not in (pb.BUSY, pb.SHUTTING_DOWN):
                self.tally.complain("wrong", f"{scenario['domain']}: {code} {response.error.text}")
            return
        try:
            verified = self.verified(response, scenario, sent, nonce, data)
        except OSError:
            if not self.chaos.outages.touches(sent):
                raise
            self.tally.add("interrupted")
            return
        except NotVerified as error:
            if self.is_excused(sent) or self.chaos.outages.touches(sent):
                self.tally.add("refused_by_client")
            else:
                self.tally.complain("wrong", f"{scenario['domain']}, asked {time.time() - sent:.3f} s ago: {error}")
            return
        self.tally.add("answers_checked", len(verified))
        try:
            self.chaos.truth.check(scenario, verified[0], verified[1:], self.wall)
            self.is_right(scenario, verified)
        except Wrong as error:
            self.tally.complain("wrong", f"{scenario['domain']}: {error}")

    def is_right(self, scenario, verified):
        pass

    def verified(self, response, scenario, sent, nonce, data):
        try:
            return self.verified_at_some_time(response, scenario, sent, nonce, data)
        except UnknownKey:
            self.keyring.learn()
            return self.verified_at_some_time(response, scenario, sent, nonce, data)

    def verified_at_some_time(self, response, scenario, sent, nonce, data):
        """Each answer is in time at a moment between the request and now, by a clock that counted then."""
        now = time.time()
        times_ms = [(real + offset) * 1000 for offset in self.wall.offsets(sent, now) for real in (now, sent)]
        answers = list(response.answers)
        if not answers:
            raise NotVerified("no answer in it")
        verified = [self.verify(answers[0], pb.Question(kind=pb.ROUTE, name=scenario["domain"]), times_ms)]
        route = verified[0].route
        names = [mx.name for mx in route.mx][:16] if route.kind in (pb.MX, pb.IMPLICIT_MX) else []
        if len(answers) != 1 + len(names):
            raise NotVerified(f"{len(answers)} answers for {len(names)} hosts")
        for signed, name in zip(answers[1:], names):
            verified.append(self.verify(signed, pb.Question(kind=pb.HOST, name=name, port=scenario["port"]), times_ms))
        if nonce:
            if response.attestation.key_id not in self.keyring.online:
                raise UnknownKey("attested by an unknown online key")  # the answers may be by the one before
            keys = {identity: delegation.online_key for identity, delegation in self.keyring.online.items()}
            self.first_good(lambda at: check_attestation(nonce, data, response, keys, at), times_ms)
            self.tally.add("attested")
        return verified

    def verify(self, signed, question, times_ms):
        self.tally.keys.add(signed.key_id)
        return self.first_good(lambda at: self.client.verify(signed, question, at), times_ms)

    @staticmethod
    def first_good(check, times_ms):
        problems = []
        for at in times_ms:
            try:
                return check(at)
            except NotVerified as error:
                problems.append(error)
        raise next((one for one in problems if isinstance(one, UnknownKey)), problems[0])


class Survey(WireAsker):
    """Asks for each scenario once; `missing` are those that had no verdict where the world has one."""

    def __init__(self, chaos, scenarios):
        super().__init__(chaos, 0)
        self.queue, self.missing = list(scenarios), {scenario["name"] for scenario in scenarios}

    def choose(self):
        scenario = self.queue.pop()
        if not self.queue:
            self.over.set()
        return scenario

    def is_right(self, scenario, verified):
        if self.chaos.truth.is_whole(scenario, verified[0], verified[1:]):
            self.missing.discard(scenario["name"])


class LibraryAsker(Asker):
    """client/python, one plan after the other: what it makes of the answers is what the world says, or delay."""

    def talk(self):
        clock = lambda: time.time() + self.wall.offset  # noqa: E731
        daemon = self.chaos.daemon
        with resolverd.Client(daemon.socket, daemon.public_key, attest=True, timeout=DEADLINE_S + GRACE_S, clock=clock) as client:
            while not self.over.is_set():
                self.since, scenario = time.time(), self.choose()
                self.tally.add("requests")
                try:
                    plan = client.plan(scenario["domain"], scenario["port"])
                except resolverd.BusyError:
                    self.tally.errors["BUSY"] += 1
                except (resolverd.NoDaemonError, resolverd.TimeoutError, resolverd.RefusedError) as error:
                    self.is_cut_off(self.since, error)
                    time.sleep(0.05)
                except resolverd.VerifyError as error:
                    if self.is_excused(self.since) or self.chaos.outages.touches(self.since):
                        self.tally.add("refused_by_client")
                    else:
                        self.tally.complain("wrong", f"{scenario['domain']}: {error}")
                else:
                    self.judge(scenario, plan)
                time.sleep(PAUSE_S)

    def judge(self, scenario, plan):
        self.tally.add("plans_checked")
        outcomes = listed(scenario["expect"]["outcome"])
        if str(plan.outcome.value) not in [*outcomes, "delay"]:
            self.tally.complain("wrong", f"{scenario['domain']}: {plan.outcome.value}, the world says {outcomes}")

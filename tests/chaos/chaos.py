#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The real daemon in the real world, under load, while everything around it breaks; every answer is judged.

Usage, inside tests/world/run.py and a mount namespace of its own (unshare --mount):

    chaos.py [--seconds 60] [--seed N] [--report FILE]

The daemon lives several lives, in turn with its sandbox and under a clock that is stepped (faketime, which the sandbox would refuse), all
with one state folder. In each it is warmed, measured, broken, healed until all verdicts are back, and measured again. What is drawn by
the seed is the order and kind of faults; how they meet the load is up to the machine. Exit code 1: something was wrong, lost or leaked.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system"), str(HERE.parent / "world")]

from conftest import BUILD, WORLD, Daemon, exists, wait_for  # noqa: E402
import resolverd_pb2 as pb  # noqa: E402
from askers import DEADLINE_S, LibraryAsker, Outages, Survey, Tally, WireAsker  # noqa: E402
from faketime import HOUR, YEAR, Clock  # noqa: E402
from faults import Schedule  # noqa: E402
from live import LiveZone  # noqa: E402
from truth import LIVE_DOMAIN, LiveTruth, Truth  # noqa: E402
from wall import Wall  # noqa: E402
from wire import Client  # noqa: E402

DELEGATION_LIFE_S = 8       # so that online keys are replaced all the time
SERVED_AGAIN_S = 20
HEALED_WITHIN_S = 150       # libunbound keeps a bad key for up to a minute (docs/RESOLVER.md)
HOT_P99_MS = 100            # while workers die, on a machine that does all this at once
QUIET_WITHIN_S = 60         # libunbound keeps connections to name servers for reuse
FDS_MORE = {"supervisor": 2, "server": 4, "worker": 16}  # its lookups and idle connections come and go
RSS_MORE_BYTES = {"supervisor": 2 << 20, "server": 4 << 20, "worker": 24 << 20}  # a worker's caches fill
HOT = ["dane-ee.org", "dane-ta.com", "plain.net", "unusable-usage.com", "tlsa-mismatch.org", "mixed-policy.org"]
KEYS = {
    "resolver.deadline": f"{DEADLINE_S}s",
    "cache.max-ttl": "4s",  # so that all is looked up again and again
    "cache.failure-ttl": "1s",
    "cache.snapshot-interval": "300ms",
    "signing.delegation-life": f"{DELEGATION_LIFE_S}s",
}


class Chaos:
    WRONG_CLOCKS = [-2 * HOUR, 10 * YEAR]  # no signature of the world holds then

    def __init__(self, directory, seed):
        self.directory, self.seed = directory, seed
        self.random = random.Random(seed)
        self.tally, self.outages, self.wall = Tally(), Outages(), Wall()
        self.counts, self.log = collections.Counter(), []
        self.usage, self.healed_s, self.hot, self.skipped = [], [], {}, set()
        self.daemon = Daemon(directory)
        state = directory / "state"
        self.daemon.keys |= KEYS | {"server.state-directory": str(state)}
        self.state_is_mounted = mounted(state)
        self.zone = LiveZone(WORLD, LIVE_DOMAIN)
        self.zone_records = [self.zone.records, *self.other_records()]
        self.live = LiveTruth(self.zone.records)
        self.truth = Truth(self.live, world_started=(WORLD / "root.key").stat().st_mtime, lag_s=2 * DEADLINE_S)
        self.began = time.monotonic()

    def other_records(self):
        """The zone with a TLSA record rolled, and with none."""
        mine = "_25._tcp.mx TLSA"
        rest = [record for record in self.zone.records if not record.startswith(mine)]
        return [*rest, f"{mine} 3 1 1 {'ab' * 32}"], rest

    # ---- what faults need ----

    def record(self, name, detail, lasts):
        self.counts[name] += 1
        self.log.append({"at_s": round(time.monotonic() - self.began, 2), "fault": name, "lasts_s": round(lasts, 2)}
                        | ({"detail": detail} if detail else {}))

    def change_zone(self):
        records = self.random.choice(self.zone_records)
        self.live.changes(records, time.time())
        self.zone.publish(records)
        self.live.has_changed(time.time())
        return f"{sum(record.startswith('_25._tcp.mx TLSA') for record in records)} TLSA"

    def is_served(self):
        if self.daemon.process.poll() is not None:
            raise SystemExit(f"chaos: the supervisor ended by itself:\n{self.daemon.log()[-3000:]}")
        try:
            with Client(self.daemon.socket, timeout=2) as client:
                return client.ask(status=pb.StatusRequest()).HasField("status")
        except (OSError, AssertionError):
            return False

    def wait_until_served(self):
        try:
            wait_for(self.is_served, SERVED_AGAIN_S)
        except AssertionError:
            self.tally.complain("lost", f"no server {SERVED_AGAIN_S} s after it was killed")
        self.outages.ends()

    def restart(self, kill):
        self.outages.begins()
        if kill:
            roles = self.daemon.roles()
            self.daemon.process.kill()
            self.daemon.process.wait()
            wait_for(lambda: not [pid for pids in roles.values() for pid in pids if exists(pid)], 5, lambda: f"left behind: {roles}")
        else:
            self.stop()
        self.daemon.start(wait=False)
        self.wait_until_served()

    def stop(self):
        if self.daemon.process and self.daemon.stop(expected=None) != 0:
            self.tally.complain("wrong", "the daemon did not end well")

    # ---- a life ----

    def say(self, what):
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def live_once(self, seconds, is_clocked):
        self.wall.clock = Clock(self.directory, BUILD / "resolverd") if is_clocked else None
        self.daemon.prefix = self.wall.clock.prefix if is_clocked else []
        self.outages.begins()
        self.daemon.start(wait=False)
        self.wait_until_served()
        missing, _ = self.heal(HEALED_WITHIN_S)
        self.say(f"warm; {seconds:.0f} s of faults begin{', the clock among them' if is_clocked else ''}")
        if missing:
            self.tally.complain("wrong", f"before any fault there is no verdict for {missing}")
        before = self.resources()
        askers = [WireAsker(self, self.random.random()) for _ in range(3)] + [LibraryAsker(self, self.random.random())]
        for asker in askers:
            asker.start()
        self.break_things(seconds)
        for asker in askers:
            asker.over.set()
        for asker in askers:
            asker.finish()
        self.say("the last fault is over")
        missing, took_s = self.heal(HEALED_WITHIN_S)
        self.healed_s.append(round(took_s, 1))
        if missing:
            self.tally.complain("lost", f"no verdict {HEALED_WITHIN_S} s after the last fault: {missing}")
        self.judge_resources(before)
        self.say(f"all verdicts were back after {took_s:.1f} s; nothing leaked" if not self.tally.counts["leaked"] else "leaks")
        self.outages.begins()
        self.stop()
        self.outages.ends()
        self.wall.clock = None

    def close(self):
        if self.daemon.process:
            self.daemon.process.kill()
            self.daemon.process.wait()
        self.zone.publish(self.zone.records)
        if self.state_is_mounted:
            subprocess.run(["umount", self.daemon.keys["server.state-directory"]], check=False)

    def break_things(self, seconds):
        schedule, end = Schedule(self), time.monotonic() + seconds
        self.skipped |= schedule.impossible - ({"ClockStepped"} if not self.wall.clock else set())
        try:
            while time.monotonic() < end:
                schedule.tick()
                time.sleep(0.02)
        finally:
            schedule.end_all()

    # ---- before and after ----

    def survey(self, scenarios):
        """The names of those without the verdict that the world has."""
        asker = Survey(self, scenarios)
        asker.run()
        return asker.missing

    def heal(self, seconds):
        """Asks until all that has a verdict in the world has it here, too; what is missing after those seconds."""
        scenarios, begin = self.truth.steady if self.wall.clock else self.truth.scenarios, time.monotonic()
        while scenarios and time.monotonic() - begin < seconds:
            missing = self.survey(scenarios)
            scenarios = [scenario for scenario in scenarios if scenario["name"] in missing]
            time.sleep(0.2)
        return [scenario["name"] for scenario in scenarios], time.monotonic() - begin

    def measure_hot(self, seconds):
        """What a client of the cache notices of dying workers; by a daemon of its own, since here nothing stays in the cache for long."""
        (place := self.directory / "hot").mkdir()
        daemon = Daemon(place).start()
        try:
            for phase in ("calm", "dying"):
                command = [sys.executable, HERE / "hot.py", daemon.socket, daemon.public_key, str(seconds), *HOT]
                with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as client:
                    while client.poll() is None:
                        time.sleep(0.15)
                        if phase == "dying":
                            self.kill_a_worker(daemon)
                    self.hot[phase] = json.loads(client.stdout.read() or "{}")
                if client.returncode or self.hot[phase]["p99_ms"] > HOT_P99_MS:
                    self.tally.complain("lost", f"hot plans, {phase}: {self.hot[phase]}, at most {HOT_P99_MS} ms are allowed")
        finally:
            daemon.stop(expected=None)

    def kill_a_worker(self, daemon):
        workers = daemon.roles().get("worker", [])
        if len(workers) > 1:
            os.kill(workers[-1], signal.SIGKILL)  # not drawn: how often depends on the machine
            self.record("WorkerKilled", "while the cache is measured", 0)

    def resources(self):
        """Role: (descriptors, resident bytes), the least of a quiet second and a half; helpers that come and go are left out."""
        seen = {}
        for _ in range(15):
            roles = {"supervisor": [self.daemon.process.pid], **self.daemon.roles()}
            for role in ("supervisor", "server", "worker"):
                for pid in roles.get(role, []):
                    try:
                        seen.setdefault((role, pid), []).append((descriptors(pid), resident_bytes(pid)))
                    except OSError:
                        continue  # it has ended since
            time.sleep(0.1)
        least = collections.defaultdict(list)
        for (role, _), taken in seen.items():
            least[role].append([min(column) for column in zip(*taken)])
        return {role: tuple(map(max, zip(*figures))) for role, figures in least.items()}

    def judge_resources(self, before):
        """Nothing is held that was not held before; what lookups and idle connections to name servers hold they give back in time."""
        begin = time.monotonic()
        while (leaks := list(self.leaks(before, after := self.resources()))) and time.monotonic() - begin < QUIET_WITHIN_S:
            pass
        self.usage += [{"role": role, "fds": before[role][0], "fds_after": after[role][0], "rss_kib": before[role][1] >> 10,
                        "rss_kib_after": after[role][1] >> 10} for role in before]
        for leak in leaks:
            self.tally.complain("leaked", leak)

    @staticmethod
    def leaks(before, after):
        for role, (fds, rss) in before.items():
            fds_after, rss_after = after[role]
            if fds_after > fds + FDS_MORE[role]:
                yield f"{role}: {fds} descriptors before, {fds_after} after"
            if rss_after > rss + RSS_MORE_BYTES[role] and BUILD.name != "asan":  # that one keeps what was freed for a while
                yield f"{role}: {rss >> 10} KiB before, {rss_after >> 10} KiB after"

    # ---- what came of it ----

    def report(self):
        counts = self.tally.counts
        return {
            "seed": self.seed, "seconds": round(time.monotonic() - self.began), "faults": sum(self.counts.values()),
            "answers_checked": counts["answers_checked"], "wrong": counts["wrong"], "lost": counts["lost"], "leaked": counts["leaked"],
            "faults_by_kind": dict(self.counts.most_common()), "skipped_kinds": sorted(self.skipped),
            "requests": counts["requests"], "attested": counts["attested"], "library_plans_checked": counts["plans_checked"],
            "clean_errors": dict(self.tally.errors), "interrupted": counts["interrupted"],
            "refused_by_client": counts["refused_by_client"], "online_keys_seen": len(self.tally.keys),
            "healed_after_s": self.healed_s, "hot": self.hot,
            "hot_p99_ratio": round(self.hot["dying"]["p99_ms"] / self.hot["calm"]["p99_ms"], 2) if "dying" in self.hot else None,
            "usage": self.usage, "complaints": self.tally.complaints, "log": self.log,
        }


def mounted(path):
    path.mkdir()
    return subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", path], stderr=subprocess.DEVNULL).returncode == 0


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def parse_arguments():
    parser = argparse.ArgumentParser(description="Break what the daemon stands on, and judge its answers.")
    parser.add_argument("--seconds", type=float, default=60, help="of faults, over all lives")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--report", type=pathlib.Path, default=BUILD.parent / "chaos.json", metavar="FILE")
    return parser.parse_args()


def say(report):
    print(f"{report['faults']} faults injected in {report['seconds']} s: "
          + ", ".join(f"{number} {kind}" for kind, number in report["faults_by_kind"].items()))
    if report["skipped_kinds"]:
        print(f"not possible here: {', '.join(report['skipped_kinds'])}")
    print(f"{report['answers_checked']} answers checked, {report['wrong']} wrong, {report['lost']} of {report['requests']} requests lost, "
          f"{report['leaked']} leaks")
    print(f"interrupted by an outage {report['interrupted']}, refused by the client's clock {report['refused_by_client']}, "
          f"clean errors {report['clean_errors']}, {report['online_keys_seen']} online keys")
    hot = report["hot"]
    if "dying" in hot:
        calm, dying = hot["calm"]["p99_ms"], hot["dying"]["p99_ms"]
        print(f"hot p99 {calm:.2f} ms, while workers die {dying:.2f} ms ({report['hot_p99_ratio']} times)")
    print(f"all verdicts back after {', '.join(f'{seconds:.1f}' for seconds in report['healed_after_s'])} s")
    for complaint in report["complaints"]:
        print(complaint)


def main():
    arguments = parse_arguments()
    seed = int.from_bytes(os.urandom(3), "big") if arguments.seed is None else arguments.seed
    print(f"make chaos SEED={seed} SECONDS={arguments.seconds:g}", flush=True)
    lives = 2 if arguments.seconds < 50 else 5
    with tempfile.TemporaryDirectory(prefix="resolverd-chaos-", ignore_cleanup_errors=True) as directory:
        chaos = Chaos(pathlib.Path(directory), seed)
        try:
            chaos.measure_hot(min(4.0, max(1.5, arguments.seconds / 20)))
            for number in range(lives):
                chaos.live_once(arguments.seconds / lives, is_clocked=number % 2 == 1)
        finally:
            chaos.close()
        log = chaos.daemon.log()
    report = chaos.report()
    arguments.report.write_text(json.dumps(report, indent=1) + "\n")
    say(report)
    is_bad = report["wrong"] or report["lost"] or report["leaked"]
    if is_bad:
        arguments.report.with_suffix(".log").write_text(log)
    return 1 if is_bad else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: BSD-3-Clause
"""What is done to the daemon and its world. Each fault begins, lasts for a drawn time and is undone; several may be at work at once."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

import resolverd_pb2 as pb
from conftest import WORLD, Faults, exists, wait_for
from hierarchy import BACKEND_ADDRESS
from scenarios import FACTS
from wire import Client



class Fault:
    """One kind. `begin` may say what it did, for the log of faults; `end` undoes it."""

    weight = 1.0
    lasts_s = (0.0, 0.0)
    excludes = ()  # names of kinds that must not be at work at the same time

    def __init__(self, chaos):
        self.chaos, self.random = chaos, chaos.random
        self.name = type(self).__name__

    def is_possible(self):
        return True

    def begin(self):
        raise NotImplementedError

    def end(self):
        pass

    def pids(self, role):
        try:
            return self.chaos.daemon.roles().get(role, [])
        except OSError:
            return []


class WorkerKilled(Fault):
    weight = 3.0

    def begin(self):
        for pid in self.random.sample(found := self.pids("worker"), min(len(found), self.random.choice([1, 1, 2]))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class WorkerStopped(Fault):
    weight, lasts_s = 2.0, (0.2, 3.0)

    def begin(self):
        self.stopped = self.random.sample(found := self.pids("worker"), min(len(found), 1))
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def end(self):
        for pid in set(self.stopped) & set(self.pids("worker")):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class ServerKilled(Fault):
    weight, lasts_s, excludes = 0.7, (0.2, 0.2), ("Restarted",)

    def begin(self):
        self.chaos.outages.begins()
        for pid in self.pids("server"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda dead=pid: not exists(dead), 5)

    def end(self):
        self.chaos.wait_until_served()


class Restarted(Fault):
    """The supervisor is killed, or asked to stop, and started again at once."""

    weight, excludes = 0.5, ("ServerKilled", "WorkerStopped")

    def begin(self):
        self.chaos.restart(kill=self.random.random() < 0.6)


class Packets(Fault):
    """nftables, in the world's namespace; what is behind the front does not count as network."""

    path = "/usr/sbin/nft"

    def is_possible(self):
        return pathlib.Path(self.path).exists()

    def rules(self, what, then):
        lines = [f"ip daddr != {BACKEND_ADDRESS} ip saddr != {BACKEND_ADDRESS} meta l4proto {{ {what} }} th {side} 53 {then}"
                 for side in ("dport", "sport")]
        self.load(f"table inet {self.name} {{\n chain out {{\n type filter hook output priority 0\n" + "\n".join(lines) + "\n }\n}\n")

    def load(self, text):
        subprocess.run([self.path, "-f", "-"], input=text, text=True, check=True, timeout=10)

    def end(self):
        self.load(f"delete table inet {self.name}\n")


class UpstreamCut(Packets):
    weight, lasts_s = 1.5, (0.3, 4.0)

    def begin(self):
        self.rules("tcp, udp", "drop")


class PacketsLost(Packets):
    weight, lasts_s = 1.5, (1.0, 4.0)

    def begin(self):
        percent = self.random.choice([5, 20, 40, 70])
        self.rules("tcp, udp", f"numgen random mod 100 < {percent} drop")
        return f"{percent} %"


class AnswersDelayed(Fault):
    """The front is the proxy. Zones that the front spoils already stay as they are."""

    lasts_s = (1.0, 4.0)

    def begin(self):
        delay_ms = self.random.choice([50, 200, 700, 2000])
        spoiled = [zone["name"] for zone in FACTS["zones"] if zone["faults"]]
        good = [zone["name"] for zone in FACTS["zones"] if zone["server"] == "front" and not zone["faults"]
                and not any(name.endswith(f".{zone['name']}") for name in spoiled)]
        self.spoiled = Faults()
        self.spoiled.set(*(f"*.{name} * delay:{delay_ms}" for name in self.random.sample(good, len(good) // 2)))
        return f"{delay_ms} ms"

    def end(self):
        self.spoiled.clear()


class NameServersStopped(Fault):
    lasts_s, excludes = (0.2, 2.5), ("ZoneChanged",)

    def begin(self):
        self.stopped = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if words[0] == "nsd" and any(word.startswith(f"{WORLD}/") for word in words):
                    self.stopped.append(int(entry.name))
        for pid in self.stopped:
            os.kill(pid, signal.SIGSTOP)

    def end(self):
        for pid in self.stopped:
            os.kill(pid, signal.SIGCONT)


class ZoneChanged(Fault):
    """No fault, but what the others must not hide: TLSA records roll, go and come."""

    weight, excludes = 2.0, ("NameServersStopped",)

    def begin(self):
        return self.chaos.change_zone()


class Reloaded(Fault):
    """SIGHUP with a good file or a bad one, under the load."""

    weight, excludes = 1.5, ("ServerKilled",)
    BAD = ["cache { failure-ttl = }\n", "resolver { deadline = -1s }\n", "server { sokcet = x }\n", "\0\1\2 {{{{", "cache {\n"]

    def begin(self):
        is_good = self.random.random() < 0.5
        text = f"cache {{ min-ttl = {self.random.randrange(2)}s }}\n" if is_good else self.random.choice(self.BAD)
        text += f"# {self.random.random()}\n"
        said = self.chaos.daemon.reload(text)
        if ("is in force" if is_good else "stays") not in said:
            self.chaos.tally.complain("wrong", f"a {'good' if is_good else 'bad'} file was reloaded: {said}")
        return "good file" if is_good else "bad file"

    def end(self):
        self.chaos.daemon.config_path.write_text("")  # a restart must find a good one


class DiskFull(Fault):
    lasts_s = (0.5, 3.0)

    def is_possible(self):
        return self.chaos.state_is_mounted

    def begin(self):
        self.ballast = pathlib.Path(self.chaos.daemon.keys["server.state-directory"]) / "ballast"
        with contextlib.suppress(OSError), open(self.ballast, "ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def end(self):
        self.ballast.unlink(missing_ok=True)


class ClockStepped(Fault):
    """Only of a daemon under faketime."""

    weight, lasts_s = 2.5, (0.5, 3.0)
    STEPS = [20, -20, 90, -90, 3600, -1800, 86400]

    def is_possible(self):
        return self.chaos.wall.clock is not None

    def begin(self):
        offset = self.random.choice(self.STEPS + self.chaos.WRONG_CLOCKS)
        self.chaos.wall.move_to(offset)
        return f"{offset:+} s"

    def end(self):
        self.chaos.wall.move_to(0)


class ClientsGone(Fault):
    """They ask for much, read nothing, send half a frame or rubbish, and are gone."""

    def begin(self):
        with contextlib.ExitStack() as stack:
            for number in range(20):
                try:
                    client = stack.enter_context(Client(self.chaos.daemon.socket, timeout=0.5))
                    for _ in range(self.random.randrange(40)):
                        client.submit(plan=pb.PlanRequest(next_hop=self.random.choice(self.chaos.truth.scenarios)["domain"]))
                    client.socket.send(bytes([0, 0, 1, 0]) if number % 2 else self.random.randbytes(64))
                except (OSError, socket.timeout):
                    continue


KINDS = [WorkerKilled, WorkerStopped, ServerKilled, Restarted, UpstreamCut, PacketsLost, AnswersDelayed, NameServersStopped, ZoneChanged,
         Reloaded, DiskFull, ClockStepped, ClientsGone]
AT_ONCE = 3


class Schedule:
    """Draws faults from the run's generator; `tick` begins and ends what is due."""

    def __init__(self, chaos):
        self.chaos = chaos
        kinds = [make(chaos) for make in KINDS]
        self.kinds = [kind for kind in kinds if kind.is_possible()]
        self.impossible = {kind.name for kind in kinds} - {kind.name for kind in self.kinds}
        self.at_work = []  # (when it ends, fault)
        self.next_at = time.monotonic()

    def tick(self):
        now = time.monotonic()
        for entry in [entry for entry in self.at_work if entry[0] <= now]:
            self.at_work.remove(entry)
            entry[1].end()
        if now >= self.next_at and len(self.at_work) < AT_ONCE:
            self.inject()
            self.next_at = time.monotonic() + self.chaos.random.uniform(0.05, 0.5)

    def inject(self):
        busy = {fault.name for _, fault in self.at_work}
        barred = busy.union(*(fault.excludes for _, fault in self.at_work))
        free = [kind for kind in self.kinds if kind.name not in barred and not busy & set(kind.excludes)]
        fault = self.chaos.random.choices(free, [kind.weight for kind in free])[0]
        lasts = self.chaos.random.uniform(*fault.lasts_s)
        detail = fault.begin()
        self.chaos.record(fault.name, detail, lasts)
        self.at_work.append((time.monotonic() + lasts, fault))

    def end_all(self):
        for _, fault in self.at_work:
            fault.end()
        self.at_work = []

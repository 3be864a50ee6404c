#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The main job, shown: a domain, its signed DNS, the verified plan, and what a mail would do.

Usage (inside tests/world/run.py): demo.py BUILD_DIR [DOMAIN]
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

WORLD = pathlib.Path(os.environ["WORLD_DIR"])
SHOWN = ("dane-ee", "dane-ta", "mixed-policy", "insecure-optout", "insecure-mx", "wrong-ds", "expired",
         "tlsa-servfail", "unusable-usage", "null-mx", "implicit", "mx-cname-original", "silent", "rfc-example")
READY_S = 15
MEANING = {
    "delay": "A mail would wait in the queue and be tried again: nothing may be sent on doubtful data.",
    "no-mail": "A mail would be returned at once: the domain says that it takes none.",
    "no-such-domain": "A mail would be returned at once: there is no such domain.",
    "no-host": "A mail would be returned at once: none of the domain's hosts has an address.",
}
DELIVERY = {
    "dane": "A mail would go out over TLS only, to a host that proves its certificate; an impostor would get nothing.",
    "tls-no-auth": "A mail would go out over TLS only; the certificate can't be checked, since no TLSA record is usable.",
    "opportunistic": "A mail would go out, encrypted where the host offers it: its DNS gives nothing to check it against.",
}


def meaning(plan):
    if plan.get("outcome") != "deliver":
        return MEANING.get(plan.get("outcome"), plan.get("error"))
    policies = [host["policy"] for host in plan["hosts"] if host["policy"] != "unreachable"]
    first = DELIVERY[policies[0]]
    return first if len(set(policies)) == 1 else f"First choice: {first} The other hosts as the table says."


def bold(text):
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


class Demo:
    def __init__(self, build, directory):
        self.build, self.socket, self.key = build, f"{directory}/demo.sock", f"{directory}/resolverd.pub"
        keys = {"server.socket": self.socket, "server.state-directory": f"{directory}/state",
                "signing.public-key-file": self.key, "resolver.root-hints": WORLD / "root.hints",
                "resolver.trust-anchor-file": WORLD / "root.key", "resolver.deadline": "4s",
                "unbound.do-not-query-localhost": "no"}
        config = pathlib.Path(directory) / "resolverd.conf"
        config.touch()
        self.log = open(f"{directory}/log", "w+", encoding="utf-8")
        self.daemon = subprocess.Popen([build / "resolverd", "--config", config, *(f"--set={k}={v}" for k, v in keys.items())],
                                       stderr=self.log)

    def ctl(self, *arguments, **options):
        return subprocess.run([self.build / "resolverctl", "--socket", self.socket, "--public-key", self.key, *arguments],
                              check=False, **options)

    def wait(self):
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            done = self.ctl("--json", "status", capture_output=True, text=True)
            if done.returncode == 0 and json.loads(done.stdout)["ready"]:
                return
            time.sleep(0.05)
        self.log.seek(0)
        raise SystemExit(f"the daemon did not get ready:\n{self.log.read()}")

    def show(self, title, domain, port):
        """The outcome, after showing the plan."""
        print(f"\n{bold(title)}", flush=True)
        self.ctl("plan", domain, "--port", str(port))
        plan = json.loads(self.ctl("--json", "plan", domain, "--port", str(port), capture_output=True, text=True).stdout)
        outcome = plan.get("outcome", plan.get("error"))
        print(f"  → {meaning(plan)}", flush=True)
        return outcome

    def stop(self):
        self.daemon.send_signal(signal.SIGTERM)
        return self.daemon.wait(timeout=10)


def chosen(scenarios, domain):
    if domain:
        known = [s for s in scenarios if s["domain"] == domain]
        return known or [{"domain": domain, "about": domain, "expect": None}]
    by_name = {s["name"]: s for s in scenarios}
    return [by_name[name] for name in SHOWN if name in by_name]


def main():
    build, domain = pathlib.Path(sys.argv[1]).resolve(), (sys.argv[2:] + [""])[0]
    scenarios = json.loads((WORLD / "world.json").read_text())["scenarios"]
    wrong = []
    with tempfile.TemporaryDirectory(prefix="resolverd-demo-") as directory:
        demo = Demo(build, directory)
        try:
            demo.wait()
            for scenario in chosen(scenarios, domain):
                outcome = demo.show(scenario["about"], scenario["domain"], scenario.get("port", 25))
                expected = (scenario["expect"] or {"outcome": outcome})["outcome"]
                if outcome not in (expected if isinstance(expected, list) else [expected]):
                    wrong.append(f"{scenario['domain']}: {outcome}, expected {expected}")
        finally:
            demo.stop()
    print("\nEvery answer above came from DNS that resolverd validated itself, and resolverctl verified its signature."
          "\nOn the real Internet: sudo make install, start resolverd, then resolverctl plan DOMAIN (see README.md).")
    if wrong:
        raise SystemExit("not as expected:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()

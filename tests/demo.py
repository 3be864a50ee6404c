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
         "tlsa-servfail", "unusable-usage", "null-mx", "implicit", "no-such-domain", "mx-cname-original", "silent",
         "rfc-example")
READY_S = 15
RETURNED = {
    "no-mail": "A mail would be returned at once: the domain says itself, by a null MX, that it takes none.",
    "no-such-domain": "A mail would be returned at once: the DNS {} that there is no such domain.",
    "no-host": "A mail would be returned at once: the DNS {} that none of the domain's hosts has an address.",
}
DELIVERY = {
    "dane": "over TLS, and only if {} shows the certificate that its signed TLSA records name",
    "tls-no-auth": "to {} over TLS only, whose certificate can't be checked: it has signed TLSA records, but none usable",
    "opportunistic": "to {}, encrypted if the host offers it, to whoever answers there: {}",
}
INTERNET = """
Every answer above came from DNS that resolverd validated itself, and resolverctl verified its signature.

On the real Internet, with root hints and trust anchor from Debian's dns-root-data:
    sudo apt-get install dns-root-data
    make && sudo make install && sudo mkdir -p /run/resolverd
    sudo resolverd &
    resolverctl plan ietf.org"""


def delivery(plan, host):
    unsigned = host["address_status"] == "insecure"
    why = "its DNS is not signed" if unsigned else "it has no signed TLSA records"
    way = DELIVERY[host["policy"]].format(host["name"], why)
    if host["policy"] == "dane" and plan["mx"] and plan["mx"]["status"] == "insecure":
        way += "; that this is the domain's host, the unsigned MX can't prove"
    return way


def doubt(plan):
    """Why a mail waits."""
    status = plan["mx"] and plan["mx"]["status"]
    if status == "bogus":
        return "the domain's signatures do not validate, which is what a forgery looks like"
    if status == "error":
        return "the DNS gives no answer, so nobody can say where the mail should go"
    if any(host["tlsa_status"] in ("error", "bogus") for host in plan["hosts"]):
        return "whether the host has TLSA records can't be found out, and to suppress them is what an attacker would do"
    return "no host has an address that can be trusted"


def meaning(plan):
    """What would happen to a mail and why, in one sentence."""
    outcome = plan.get("outcome")
    if outcome == "delay":
        return f"A mail would wait in the queue and be tried again: {doubt(plan)}."
    if outcome != "deliver":
        proof = "says, unsigned," if plan.get("mx") and plan["mx"]["status"] == "insecure" else "proves"
        return RETURNED.get(outcome, "There is no plan.").format(proof)
    first, *others = [host for host in plan["hosts"] if host["policy"] != "unreachable"]
    sentence = f"A mail would go out {delivery(plan, first)}"
    different = next((host for host in others if host["policy"] != first["policy"]), None)
    return f"{sentence}; failing that, {delivery(plan, different)}." if different else f"{sentence}."


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
        while time.monotonic() < deadline and self.daemon.poll() is None:
            done = self.ctl("--json", "status", capture_output=True, text=True)
            if done.returncode == 0 and json.loads(done.stdout)["ready"]:
                return
            time.sleep(0.05)
        self.log.seek(0)
        raise SystemExit(f"the daemon did not get ready:\n{self.log.read()}")

    def show(self, title, domain, port):
        """Shows the plan as a person sees it and returns its outcome."""
        command = ["plan", domain, "--port", str(port)]
        print(f"\n{bold(title)}", flush=True)
        self.ctl(*command)
        plan = json.loads(self.ctl("--json", *command, capture_output=True, text=True).stdout or "{}")
        print(f"  → {meaning(plan)}", flush=True)
        return plan.get("outcome", "no plan")

    def stop(self):
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(timeout=10)
        self.log.close()


def chosen(scenarios, domain):
    if domain:
        known = [s for s in scenarios if s["domain"] == domain]
        return known or [{"domain": domain, "about": domain, "expect": None}]
    by_name = {s["name"]: s for s in scenarios}
    return [by_name[name] for name in SHOWN]


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
                expected = scenario["expect"]["outcome"] if scenario["expect"] else "a plan"
                if expected == "a plan" and outcome != "no plan":
                    continue
                if outcome not in (expected if isinstance(expected, list) else [expected]):
                    wrong.append(f"{scenario['domain']}: {outcome}, expected {expected}")
        finally:
            demo.stop()
    print(INTERNET)
    if wrong:
        raise SystemExit("not as expected:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()

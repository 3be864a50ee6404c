#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The main job, shown: domains, their signed DNS, the verified plans, what a mail would do; then mails, attacks, and evidence.

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

sys.path.insert(0, str(pathlib.Path(__file__).parent / "world"))
from smtp import Server  # noqa: E402

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
# (what is shown, domain, its mail host, how that behaves, what danesend reports, verdict in the evidence)
MAILS = (
    ("A good host: its certificate is the one its TLSA record names.", "dane-ee.org", "mx.dane-ee.org", "good", "delivered",
     "authenticated"),
    ("A good host: its certificate is issued by the CA its TLSA record names.", "dane-ta.com", "mx.dane-ta.com", "good", "delivered",
     "authenticated"),
    ("A good host behind unsigned MX records.", "insecure-mx.org", "mx1.provider.net", "good", "delivered", "host-authenticated"),
    ("An attack: STARTTLS is stripped, so that the mail would go in clear.", "dane-ee.org", "mx.dane-ee.org", "no-starttls", "delayed",
     "refused"),
    ("An attack: somebody else answers, with a certificate of the same CA.", "dane-ee.org", "mx.dane-ee.org", "other-certificate",
     "delayed", "refused"),
)
MESSAGE = b"From: sender@example.org\nTo: user\nSubject: hello\n\nGood day.\n"
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

    def send(self, domain, host, behaviour, evidence):
        """Sends a mail to a live server; returns what danesend says and all that the server was given of the mail."""
        command = [self.build / "danesend", "--socket", self.socket, "--public-key", self.key, "--from", "sender@example.org",
                   "--to", f"user@{domain}", "--timeout", "5", "--evidence", evidence, "--json"]
        with Server(host, behaviour) as server:
            done = subprocess.run(command, input=MESSAGE, capture_output=True, check=False)
        return json.loads(done.stdout), server.gave()

    def deliver(self, title, domain, host, behaviour, evidence):
        """Shows a delivery and its evidence; returns (what danesend says, verdict in the evidence)."""
        result, given = self.send(domain, host, behaviour, evidence)
        print(f"\n{bold(title)}\n  user@{domain}: {bold(result['status'])}\n  {result['reason']}")
        messages = [each for each in given if isinstance(each, dict)]
        got = f"the whole mail, {messages[0]['octets']} octets" if messages else "a part of the mail" if given \
            else "nothing of the mail, not even its sender"
        print(f"  the server's own log: it got {got}")
        command = ["--json", "verify", "--trust-anchor", WORLD / "root.key", evidence]
        report = json.loads(self.ctl(*command, capture_output=True, text=True).stdout)
        verdict = next((check["text"] for check in reversed(report["checks"]) if check["check"] == "verdict"), "none")
        passed = sum(check["result"] == "passed" for check in report["checks"])
        good = report["verified"] and passed == len(report["checks"])
        print(f"  evidence: {verdict}; {evidence.stat().st_size} octets, sealed, "
              f"{passed} of {len(report['checks'])} checks passed", flush=True)
        is_told_truly = bool(messages) == (result["status"] == "delivered") and (bool(given) == bool(messages))
        return result["status"], verdict.split()[0] if good and is_told_truly else "not borne out"

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


def show_plans(demo, scenarios):
    """What was not as expected."""
    wrong = []
    for scenario in scenarios:
        outcome = demo.show(scenario["about"], scenario["domain"], scenario.get("port", 25))
        expected = scenario["expect"]["outcome"] if scenario["expect"] else "a plan"
        if expected == "a plan" and outcome != "no plan":
            continue
        if outcome not in (expected if isinstance(expected, list) else [expected]):
            wrong.append(f"{scenario['domain']}: {outcome}, expected {expected}")
    return wrong


def show_deliveries(demo, directory):
    """What was not as expected."""
    wrong = []
    print(f"\n\n{bold('Now mails, sent by danesend to live servers')}: each delivery leaves evidence, which resolverctl verify checks.")
    for number, (title, domain, host, behaviour, *expected) in enumerate(MAILS):
        got = demo.deliver(title, domain, host, behaviour, directory / f"mail-{number}.evidence")
        if list(got) != expected:
            wrong.append(f"{title} {got}, expected {expected}")
    return wrong


def main():
    build, domain = pathlib.Path(sys.argv[1]).resolve(), (sys.argv[2:] + [""])[0]
    scenarios = json.loads((WORLD / "world.json").read_text())["scenarios"]
    with tempfile.TemporaryDirectory(prefix="resolverd-demo-") as directory:
        demo = Demo(build, directory)
        try:
            demo.wait()
            wrong = show_plans(demo, chosen(scenarios, domain))
            if not domain:
                wrong += show_deliveries(demo, pathlib.Path(directory))
        finally:
            demo.stop()
    print(INTERNET)
    if wrong:
        raise SystemExit("not as expected:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()

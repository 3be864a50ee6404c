# SPDX-License-Identifier: BSD-3-Clause
"""systemd/: the units as they are installed, on a machine that the real systemd booted. The tests go on where the one before left it."""

import base64
import pathlib
import re
import socket
import stat
import threading
import time
import urllib.request

import dns.flags
import dns.message
import dns.query
import dns.rcode
import machine as machines
import nacl.signing
import pytest
import resolverd_pb2 as pb
import wire
from conftest import wait_for
from machine import POSTFIX_USER
from socketmap import framed, unframed

CONFIGURATION = """
resolver {
    root-hints = "/etc/resolverd/root.hints"
    trust-anchor-file = "/etc/resolverd/root.key"
}
unbound { do-not-query-localhost = no }
"""
OVERRIDE = 'override "dane-ee.org" { requirement = audit }\n'
CLIENTS, CONTROL, PUBLIC_KEY = "/run/resolverd/resolverd.sock", "/run/resolverd/control.sock", "/run/resolverd/resolverd.pub"
CONF, KEY, CREDENTIAL = "/etc/resolverd/resolverd.conf", "/var/lib/resolverd/signing.key", "/etc/credstore/resolverd.signing-key"
WEB = "/run/resolverd/web.sock"
POLICY, CHROOT = "/var/spool/postfix/resolverd/policy", "/var/spool/postfix"
SECURE, BOGUS = "dane-ee.org", "wrong-ds.com"
EXPOSURE_MOST = {"resolverd": 1.1, "resolverd-stub": 0.3, "resolverd-postfix": 1.1, "resolverd-web": 0.3}
ENABLED = ["resolverd.service", "resolverd-stub.socket", "resolverd-postfix.socket", "resolverd-web.socket", "var-spool-postfix-run-resolverd.mount"]
UNITS = [*(f"{name}.{kind}" for name in EXPOSURE_MOST for kind in ("service", "socket")), "resolverd-control.socket", ENABLED[-1]]

no_machine = machines.why_not()
pytestmark = pytest.mark.skipif(no_machine is not None, reason=str(no_machine))


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    machine = machines.Machine(tmp_path_factory.mktemp("machine"), CONFIGURATION, ENABLED)
    try:
        yield machine.boot()
    finally:
        machine.shut_down()


def ready(machine):
    return wait_for(lambda: machine.ctl("status", check=False).get("ready"), 15, lambda: machine.journal("resolverd"))


def requirement(machine):
    return machine.ctl("plan", SECURE)["requirement"]


def is_active(machine, unit):
    return machine.show(unit, "ActiveState") == "active"


class Clients:
    """Clients that connect, ask for a plan and leave, again and again. As with the library one that is cut off asks anew."""

    def __init__(self, path, count=4):
        self.path, self.over = str(path), threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(count)]
        self.asked, self.refused, self.longest_s = 0, [], 0.0

    def ask(self):
        begin = time.monotonic()
        while time.monotonic() - begin < 20:
            try:
                client = wire.Client(self.path)
            except OSError as error:
                self.refused.append(error)
                time.sleep(0.01)
                continue
            with client:
                try:
                    response = client.ask(plan=pb.PlanRequest(next_hop=SECURE))
                except OSError:
                    continue
                assert response.answers and not response.HasField("error")
                self.asked += 1
                self.longest_s = max(self.longest_s, time.monotonic() - begin)
                return

    def run(self):
        while not self.over.is_set():
            self.ask()
            time.sleep(0.002)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(30)


# ---- as installed ----

def test_units_are_right(machine):
    done = machine.run("systemd-analyze", "verify", "--man=no", *UNITS, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", EXPOSURE_MOST)
def test_exposure(machine, name):
    text = machine.run("systemd-analyze", "security", "--offline=yes", "--no-pager", f"/usr/lib/systemd/system/{name}.service").stdout
    exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)[1])
    assert exposure <= EXPOSURE_MOST[name], text


# ---- the daemon ----

def test_the_boot_ends_with_a_daemon_that_said_it_is_ready(machine):
    ready(machine)
    assert is_active(machine, "resolverd") and machine.show("resolverd", "StatusText") == "Serving clients"
    assert machine.systemctl("list-units", "--failed", "--plain", "--no-legend") == ""
    assert machine.journal().count("Started resolverd.service") == 1


@pytest.mark.parametrize("path, mode", [
    (KEY, "600 resolverd:resolverd"),
    ("/var/lib/resolverd", "700 resolverd:resolverd"),
    (PUBLIC_KEY, "644 resolverd:resolverd"),
    (CLIENTS, "660 root:resolverd"),
    (CONTROL, "660 root:resolverd-control"),
    (WEB, "660 root:resolverd"),
    (POLICY, "660 root:postfix"),
])
def test_the_first_start_makes_key_and_sockets_for_the_right_users(machine, path, mode):
    assert machine.stat(path) == mode


def test_it_is_confined_and_lacks_nothing_for_that(machine):
    status = machine.run("cat", f"/proc/{machine.show('resolverd', 'MainPID')}/status").stdout
    found = dict(re.findall(r"^(\w+):\s*(\S+)", status, re.M))
    assert int(found["Uid"]) > 0 and int(found["CapEff"], 16) == int(found["CapBnd"], 16) == 0
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    root = f"/proc/{machine.show('resolverd', 'MainPID')}/root"
    assert machine.run("ls", root + "/var").stdout.split() == ["lib", "tmp"], "it sees more of the host than it should"
    assert machine.run("ls", root + "/run/systemd").stdout.split() == ["incoming", "notify"]
    assert "less confined" not in machine.journal("resolverd")


def test_every_question_works_in_the_sandbox(machine):
    assert machine.ctl("plan", SECURE)["outcome"] == "deliver"
    assert machine.ctl("plan", BOGUS, check=False)["outcome"] == "delay"
    assert machine.ctl("explain", SECURE)["differences"] == []
    assert machine.run("journalctl", "-q", "--no-pager", "-o", "cat", "-u", "resolverd", "-p", "warning").stdout == ""
    machine.systemctl("restart", "resolverd")
    ready(machine)
    assert re.search(r"snapshot: [1-9]\d* answers restored", machine.journal("resolverd")), machine.journal("resolverd")


@pytest.mark.parametrize("root", ["", CHROOT])
def test_the_group_may_ask_and_others_may_not(machine, root):
    """Postfix's user, too, in its chroot and outside."""
    (line,) = [line for line in machine.path("/etc/group").read_text().splitlines() if line.startswith("resolverd:")]
    group = line.split(":")[2]
    command = ["--socket", root + CLIENTS, "--public-key", root + PUBLIC_KEY, "plan", SECURE]
    assert machine.ctl(*command, user=POSTFIX_USER, groups=[group])["outcome"] == "deliver"
    assert "outcome" not in machine.ctl(*command, user=POSTFIX_USER, check=False)


def test_a_question_starts_it(machine):
    machine.systemctl("stop", "resolverd")
    assert not is_active(machine, "resolverd")
    assert stat.S_ISSOCK(machine.path(CLIENTS).stat().st_mode)
    with wire.Client(str(machine.path(CLIENTS))) as client:
        assert client.ask(plan=pb.PlanRequest(next_hop=SECURE)).answers
    assert is_active(machine, "resolverd")


def test_reload_takes_a_good_file_and_nothing_of_a_bad_one(machine):
    before = machine.path(CONF).read_text()
    pid = machine.show("resolverd", "MainPID")
    machine.write(CONF, before + OVERRIDE)
    machine.systemctl("reload", "resolverd")
    wait_for(lambda: requirement(machine) == "audit", 5, lambda: machine.journal("resolverd"))

    machine.write(CONF, before + "nonsense = 1\n")
    done = machine.run("systemctl", "reload", "resolverd", check=False)
    assert done.returncode != 0 and "nonsense" in machine.journal("resolverd")
    machine.systemctl("kill", "--signal=HUP", "--kill-whom=main", "resolverd")
    wait_for(lambda: "the last reload failed" in machine.show("resolverd", "StatusText"), 5)
    assert requirement(machine) == "audit" and is_active(machine, "resolverd")

    machine.write(CONF, before)
    machine.systemctl("reload", "resolverd")
    wait_for(lambda: requirement(machine) == "normal", 5, lambda: machine.journal("resolverd"))
    assert machine.show("resolverd", "MainPID") == pid


def test_a_restart_under_load_refuses_nobody(machine):
    with Clients(machine.path(CLIENTS)) as clients:
        for _ in range(3):
            time.sleep(0.3)
            asked = clients.asked
            machine.systemctl("restart", "resolverd")
            wait_for(lambda asked=asked: clients.asked > asked + 50, 10, lambda: machine.journal("resolverd"))
    print(f"restart: {clients.asked} asked, {1000 * clients.longest_s:.0f} ms the longest")
    assert clients.refused == [] and clients.asked > 200
    assert clients.longest_s < 5


def test_a_stopped_supervisor_is_started_again_by_the_watchdog(machine):
    drop_in = "/run/systemd/system/resolverd.service.d/watchdog.conf"
    machine.write(drop_in, "[Service]\nWatchdogSec=1s\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "resolverd")
    ready(machine)
    pid = machine.show("resolverd", "MainPID")
    with Clients(machine.path(CLIENTS)) as clients:
        machine.run("kill", "-STOP", pid)
        wait_for(lambda: machine.show("resolverd", "MainPID") not in (pid, "0") and is_active(machine, "resolverd"), 15,
                 lambda: machine.journal("resolverd"))
        asked = clients.asked
        wait_for(lambda: clients.asked > asked, 10)
    print(f"watchdog: {clients.asked} asked, {1000 * clients.longest_s:.0f} ms the longest")
    assert "Watchdog timeout" in machine.journal("resolverd") and clients.refused == []
    machine.path(drop_in).unlink()
    machine.systemctl("daemon-reload")
    ready(machine)


def test_a_key_in_the_credential_store_goes_before_the_state(machine):
    own = machine.path(PUBLIC_KEY).read_text()
    seed = bytes(range(32))
    machine.write(CREDENTIAL, base64.b64encode(seed).decode() + "\n", 0o600)
    machine.systemctl("restart", "resolverd")
    ready(machine)
    public = base64.b64decode(machine.path(PUBLIC_KEY).read_text())
    assert public == bytes(nacl.signing.SigningKey(seed).verify_key)
    assert machine.stat(f"/run/credentials/resolverd.service/{pathlib.Path(CREDENTIAL).name}").startswith(("400 ", "440 "))  # with an ACL from 254 on
    machine.path(CREDENTIAL).unlink()
    machine.systemctl("restart", "resolverd")
    ready(machine)
    assert machine.path(PUBLIC_KEY).read_text() == own


def test_a_bad_configuration_is_no_endless_start(machine):
    before = machine.path(CONF).read_text()
    machine.write(CONF, before + "nonsense = 1\n")
    machine.run("systemctl", "restart", "resolverd", check=False)
    assert machine.show("resolverd", "ActiveState") == "failed" and machine.show("resolverd", "ExecMainStatus") == "78"
    machine.write(CONF, before)
    machine.systemctl("start", "resolverd")
    ready(machine)


# ---- the stub, and Postfix's map ----

@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_query_to_port_53_starts_the_stub(machine, address, tcp):
    machine.systemctl("stop", "resolverd-stub.service")
    assert not is_active(machine, "resolverd-stub.service")
    ask = dns.query.tcp if tcp else dns.query.udp
    reply = ask(dns.message.make_query(SECURE, "MX", flags=dns.flags.RD | dns.flags.AD), address, timeout=10)
    assert reply.answer and reply.flags & dns.flags.AD
    reply = ask(dns.message.make_query(BOGUS, "MX"), address, timeout=10)
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert is_active(machine, "resolverd-stub.service")


def test_dig_is_told_ad_by_the_stub(machine):
    text = machine.run("dig", "+tries=1", "@127.0.0.1", "_25._tcp.mx.dane-ee.org", "TLSA").stdout
    assert re.search(r"flags:[^;]* ad[ ;]", text) and "IN\tTLSA" in text


def test_postfix_s_map_starts_and_finds_the_stub_that_validates(machine):
    machine.systemctl("stop", "resolverd-stub.service")
    assert not is_active(machine, "resolverd-postfix.service")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(machine.path(POLICY)))
        sock.sendall(framed(f"policy {SECURE}"))
        with sock.makefile("rb") as stream:
            assert unframed(stream) == "OK dane-only", machine.journal("resolverd-postfix")
    assert is_active(machine, "resolverd-postfix.service") and is_active(machine, "resolverd-stub.service")


# ---- the web ----

def test_a_scrape_starts_resolverd_web(machine):
    assert not is_active(machine, "resolverd-web.service")
    with urllib.request.urlopen("http://127.0.0.1:9464/metrics", timeout=10) as response:
        body = response.read().decode()
    assert "resolverd_up 1\n" in body and 'resolverd_workers{state="up"} ' in body and "resolverd_lookup_duration_seconds_count" in body, \
        machine.journal("resolverd-web")
    assert is_active(machine, "resolverd-web.service")


def test_nobody_is_in_the_group_that_administers(machine):
    assert machine.run("getent", "group", "resolverd-control").stdout.strip().endswith(":")

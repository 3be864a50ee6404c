# SPDX-License-Identifier: BSD-3-Clause
"""Debian's packages in a Debian of their own that the real systemd booted: installed, upgraded, removed, purged. Each test goes on where
the one before left it. tests/packages/run.sh says where packages and system are."""

import os
import pathlib
import subprocess
import threading

import pytest
from conftest import WORLD, wait_for  # of tests/system

import machine as machines

PACKAGES, NEXT, DEBIAN = (pathlib.Path(os.environ[name]) for name in ("PACKAGES", "PACKAGES_NEXT", "DEBIAN_ROOT"))
NAMES = ["resolverd", "libresolverd0", "libresolverd-openssl0", "libresolverd-dev", "resolverd-tools", "resolverd-shim", "resolverd-postfix",
         "resolverd-stub", "resolverd-web", "python3-resolverd"]
CONF, KEY = "/etc/resolverd/resolverd.conf", "/var/lib/resolverd/signing.key"
SOCKETS = ["resolverd.socket", "resolverd-control.socket"]
OF_THE_WORLD = "\nunbound { do-not-query-localhost = no }\n"
PROGRAM = r"""
#include <resolverd.h>
#include <resolverd-openssl.h>
#include <stdio.h>
int main(void)
{
	struct resolverd_client *client;
	struct resolverd_plan *plan;
	if (resolverd_client_new(NULL, &client) != 0 || resolverd_plan(client, "dane-ee.org", 25, 10000, &plan) != 0)
		return 1;
	puts(resolverd_outcome_text(plan->outcome));
	resolverd_plan_free(plan);
	resolverd_client_free(client);
	return 0;
}
"""

FETCH = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9464/livez', timeout=10).status, end='')"

no_machine = machines.why_not()
pytestmark = pytest.mark.skipif(no_machine is not None, reason=str(no_machine))


class Debian(machines.Machine):
    """The system of debootstrap, with this world's root in the place of the Internet's."""

    def _install(self, configuration):
        self.install.symlink_to(DEBIAN)

    def dpkg(self, *arguments):
        done = subprocess.run(self.command("dpkg", *arguments), capture_output=True, text=True, check=False, timeout=120, cwd="/",
                              env={"PATH": "/usr/sbin:/usr/bin", "DEBIAN_FRONTEND": "noninteractive"}, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr + self.journal()
        return done.stdout + done.stderr

    def unpack(self, folder):
        """Installs those packages. Whatever a maintainer script says that went wrong is in what is returned."""
        names = []
        for package in NAMES:
            (path,) = folder.glob(f"{package}_*.deb")
            self.path(f"/root/{path.name}").write_bytes(path.read_bytes())
            names.append(f"/root/{path.name}")
        return self.dpkg("-i", *names)

    def versions(self):
        return {self.run("dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", name).stdout for name in NAMES}


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    machine = Debian(tmp_path_factory.mktemp("machine"), "", [])
    try:
        machine.boot()
        for name in ("root.hints", "root.key"):
            machine.path(f"/usr/share/dns/{name}").write_bytes((WORLD / name).read_bytes())
        yield machine
    finally:
        machine.shut_down()


def failed(machine):
    return [line for line in machine.systemctl("list-units", "--failed", "--plain", "--no-legend", check=False).splitlines() if "resolverd" in line]


def is_active(machine, unit):
    return machine.systemctl("is-active", unit, check=False) == "active"


def test_installed_it_runs_with_its_defaults(machine):
    output = machine.unpack(PACKAGES)
    assert "fail" not in output.lower() and "warning" not in output.lower(), output
    for unit in ("resolverd.service", *SOCKETS, "resolverd-stub.socket"):
        assert is_active(machine, unit), machine.journal(unit)
        assert machine.systemctl("is-enabled", unit) == "enabled"
    assert machine.systemctl("is-enabled", "resolverd-postfix.socket") == "enabled"
    assert failed(machine) == []
    assert machine.ctl("status", check=False)["version"] == "0.1.0"
    assert machine.stat("/run/resolverd/resolverd.sock") == "660 root:resolverd"
    assert machine.stat("/run/resolverd/control.sock") == "660 root:resolverd-control"
    assert machine.stat("/var/lib/resolverd") == "700 resolverd:resolverd"
    assert machine.stat(KEY).endswith(" resolverd:resolverd")


def test_a_reload_takes_the_operators_configuration(machine):
    machine.path(CONF).write_text(machine.path(CONF).read_text() + OF_THE_WORLD)
    machine.systemctl("reload", "resolverd")
    wait_for(lambda: machine.ctl("status").get("ready"), 20, lambda: machine.journal("resolverd"))
    plan = machine.ctl("plan", "dane-ee.org")
    assert plan["outcome"] == "deliver" and plan["hosts"][0]["policy"] == "dane", plan


def test_the_libraries_and_the_stub_answer(machine):
    machine.write("/root/program.c", PROGRAM)
    machine.run("sh", "-c", "cc -o /root/program /root/program.c $(pkg-config --cflags --libs libresolverd-openssl)")
    assert machine.run("/root/program").stdout == "deliver\n"
    python = "import resolverd\nwith resolverd.Client() as client: print(client.plan('dane-ee.org').outcome)"
    assert "deliver" in machine.run("python3", "-c", python).stdout.lower()
    (shim,) = (path for path in machine.run("dpkg", "-L", "resolverd-shim").stdout.split() if path.endswith("-shim.so"))
    assert machine.run("env", f"LD_PRELOAD={shim}", "true").stderr == ""
    machine.run("python3", "-c", "import socket; s = socket.create_connection(('127.0.0.1', 53), 5); s.close()")
    wait_for(lambda: is_active(machine, "resolverd-stub.service"), 10, lambda: machine.journal("resolverd-stub"))


def test_what_the_operator_enables_runs(machine):
    machine.systemctl("enable", "--now", "resolverd-web.socket")
    assert machine.run("python3", "-c", FETCH).stdout == "200"
    assert is_active(machine, "resolverd-web.service")


def test_an_upgrade_keeps_what_is_the_operators_and_refuses_no_client(machine):
    key, configuration = machine.path(KEY).read_bytes(), machine.path(CONF).read_text()
    pids = {unit: machine.show(unit, "MainPID") for unit in ("resolverd.service", "resolverd-stub.service", "resolverd-web.service")}
    over, refused, asked = threading.Event(), [], []

    def ask():
        while not over.is_set():
            done = machine.run("resolverctl", "--json", "plan", "dane-ee.org", check=False)
            asked.append(done.returncode)
            if done.returncode != 0:
                refused.append(done.stderr)

    client = threading.Thread(target=ask)
    client.start()
    try:
        machine.unpack(NEXT)
        count = len(asked)
        wait_for(lambda: len(asked) > count + 3, 20, lambda: machine.journal("resolverd"))
    finally:
        over.set()
        client.join()
    assert refused == [] and len(asked) > 5
    assert machine.versions() == {"0.1.0+next installed"}
    for unit, pid in pids.items():
        assert is_active(machine, unit) and machine.show(unit, "MainPID") != pid, unit
    assert machine.path(KEY).read_bytes() == key and machine.path(CONF).read_text() == configuration
    assert failed(machine) == []


def test_removed_it_is_gone_but_for_key_and_configuration(machine):
    machine.dpkg("--remove", *NAMES)
    for unit in ("resolverd.service", *SOCKETS, "resolverd-stub.socket", "resolverd-stub.service", "resolverd-web.socket", "resolverd-web.service"):
        assert not is_active(machine, unit), unit
    assert machine.run("pgrep", "-x", "resolverd", check=False).stdout == ""
    assert machine.path(KEY).exists() and machine.path(CONF).exists()
    assert not machine.path("/usr/sbin/resolverd").exists()


def test_installed_again_it_has_the_key_it_had(machine):
    key = machine.path(KEY).read_bytes()
    machine.unpack(NEXT)
    assert is_active(machine, "resolverd.service") and machine.path(KEY).read_bytes() == key
    wait_for(lambda: machine.ctl("status").get("ready"), 20, lambda: machine.journal("resolverd"))


def test_purged_it_leaves_the_user_alone(machine):
    machine.dpkg("--purge", *NAMES)
    for path in ("/etc/resolverd", "/var/lib/resolverd", "/run/resolverd", "/run/resolverd-root"):
        assert not machine.path(path).exists(), path
    left = machine.run("sh", "-c", "find / -xdev -name '*resolverd*' ! -path '/root/*' ! -path '/proc/*' ! -path '/var/log/*'").stdout.split()
    assert left == [], left
    assert machine.run("getent", "passwd", "resolverd").stdout.startswith("resolverd:")
    assert failed(machine) == []

# SPDX-License-Identifier: BSD-3-Clause
"""A machine that systemd boots, out of this host's /usr and what `make install` installs. It is in the network of the test."""

import json
import os
import pathlib
import shutil
import subprocess
import time

import process
from conftest import BUILD, WORLD, wait_for

HERE = pathlib.Path(__file__).parent
SYSTEMD = pathlib.Path("/usr/lib/systemd/systemd")
BOOT_TIMEOUT_S = 20
POSTFIX_USER = 990

ETC = {
    "passwd": f"root:x:0:0::/root:/bin/sh\npostfix:x:{POSTFIX_USER}:{POSTFIX_USER}::/var/spool/postfix:/usr/sbin/nologin\n",
    "group": f"root:x:0:\npostfix:x:{POSTFIX_USER}:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\n",
    "machine-id": "0123456789abcdef0123456789abcdef\n",
    "hostname": "machine\n",
    "resolv.conf": "nameserver 127.0.0.1\n",
}


def cgroup_root():
    """Where the unified hierarchy of control groups is, or None."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _device, path, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(path)
    return None


def why_not():
    """Why no machine can be booted here; None: it can."""
    if os.getuid() != 0:
        return "booting systemd takes root"
    if not SYSTEMD.exists():
        return "systemd is not installed"
    if BUILD.name not in ("release", "debug"):
        return f"the units confine a release, not the instruments of {BUILD.name}"
    if cgroup_root() is None or not os.access(cgroup_root(), os.W_OK):
        return "there are no control groups (cgroup2) to boot systemd in"
    trial = "mount --make-rprivate / && mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/m && " \
            "mount -t overlay -o lowerdir=/usr,upperdir=/mnt/u,workdir=/mnt/w t /mnt/m && mount -t proc p /proc && mount -t sysfs s /sys"
    done = subprocess.run(["unshare", "-m", "-p", "-C", "--fork", "sh", "-c", trial], capture_output=True, text=True, check=False)
    return f"no namespaces and mounts to boot systemd in: {done.stderr.strip()}" if done.returncode else None


class Machine:
    def __init__(self, directory, configuration, units):
        self.directory, self.units = pathlib.Path(directory), units
        self.install = self.directory / "install"
        self.process = self.pid = None
        self.log_path = self.directory / "console"
        (self.directory / "root").mkdir()
        self._install(configuration)
        self.cgroup = cgroup_root() / f"resolverd-test-{os.getpid()}"

    def _install(self, configuration):
        # No jobserver and no variables of a make that runs this test.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        subprocess.run(["make", "-C", HERE.parent.parent, f"MODE={BUILD.name}", f"DESTDIR={self.install}", "PREFIX=/usr", "install"],
                       check=True, capture_output=True, env=environment)
        etc = self.install / "etc"
        for name, text in ETC.items():
            (etc / name).write_text(text)
        shutil.copy(WORLD / "root.hints", etc / "resolverd")
        shutil.copy(WORLD / "root.key", etc / "resolverd")
        with open(etc / "resolverd/resolverd.conf", "a") as file:
            file.write(configuration)

    def boot(self):
        self.cgroup.mkdir()
        inside = ["unshare", "-m", "-p", "-i", "-u", "-C", "--fork", "--kill-child", "--", HERE / "machine.sh", self.directory, *self.units]
        outside = ["sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', self.cgroup, *inside]
        with open(self.log_path, "wb") as log:
            self.process = process.start(outside, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self._find, BOOT_TIMEOUT_S, self.log_path.read_text)
        wait_for(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"), BOOT_TIMEOUT_S,
                 lambda: self.journal() + self.run("systemctl", "list-jobs", check=False).stdout)
        return self

    def _find(self):
        assert self.process.poll() is None, self.log_path.read_text()
        for child in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            if os.readlink(f"/proc/{child}/exe").endswith("/systemd"):
                self.pid = int(child)
        return self.pid

    def shut_down(self):
        if self.process is not None:
            self.process.kill()  # and all of its namespace with it
            self.process.wait()
        for _ in range(50):  # until the last of its processes is gone
            try:
                for folder, _folders, _files in os.walk(self.cgroup, topdown=False):
                    os.rmdir(folder)
                return
            except OSError:
                time.sleep(0.1)

    # ---- in it ----

    def command(self, *command, user=None, groups=()):
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--groups=" + ",".join(map(str, groups)) if groups else "--clear-groups"]
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "-i", "-u", "-C", "--", *(as_user if user is not None else []), *map(str, command)]

    def run(self, *command, user=None, groups=(), check=True):
        done = subprocess.run(self.command(*command, user=user, groups=groups), capture_output=True, text=True, check=False, timeout=30,
                              env={"PATH": "/usr/sbin:/usr/bin"}, cwd="/")
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.journal()}"
        return done

    def systemctl(self, *arguments, check=True):
        return self.run("systemctl", "--no-pager", *arguments, check=check).stdout.strip()

    def show(self, unit, name):
        return self.systemctl("show", "-P", name, unit)

    def journal(self, unit=None):
        return self.run("journalctl", "--no-pager", "-o", "cat", *(["-u", unit] if unit else []), check=False).stdout

    def ctl(self, *arguments, check=True, **options):
        done = self.run("resolverctl", "--json", *arguments, check=check, **options)
        return json.loads(done.stdout) if done.stdout.strip() else {"stderr": done.stderr}

    def path(self, path):
        """A file of the machine's, seen from here."""
        return pathlib.Path(f"/proc/{self.pid}/root{path}")

    def write(self, path, text, mode=0o644):
        path = self.path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def stat(self, path):
        """"MODE USER:GROUP", as the machine names them."""
        return self.run("stat", "-c", "%a %U:%G", path).stdout.strip()

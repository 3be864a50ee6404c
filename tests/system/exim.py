# SPDX-License-Identifier: BSD-3-Clause
"""Debian's Exim as a sender, unpacked beside Postfix (their packages exclude each other), each instance on its own.

    with Exim(routers=…, transports=…, resolv_conf="nameserver 127.0.0.1\n") as exim:
        delivery = exim.deliver("user@dane-ee.org")
    assert delivery.status == "sent" and delivery.verified == "dane", delivery.text
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess

from conftest import BUILD
from mta import MESSAGE, NOWHERE, Instance, why_not_root

EXIM = next((str(path) for path in (pathlib.Path(shutil.which("exim4") or "/nowhere"), BUILD.parent / "exim4" / "usr" / "sbin" / "exim4")
             if path.exists()), None)
USER, USER_ID = "Debian-exim", 8  # compiled in; the number is that of mail, which every Debian has
CONFIG = """\
exim_path = {exim}
spool_directory = {directory}/spool
log_file_path = {directory}/log/%slog
log_selector = +tls_certificate_verified +tls_peerdn +tls_sni +dnssec +smtp_confirmation
primary_hostname = sender.example
keep_environment =
trusted_users = root
{main}
begin routers
{routers}
begin transports
{transports}
begin retry
* * F,1h,10m
"""


def why_no_exim():
    """Why these tests can't run here; None: they can."""
    if EXIM is None:
        return "no exim4: tests/deps.sh unpacks it"
    done = subprocess.run(["ldd", EXIM], capture_output=True, text=True)
    return f"{EXIM} lacks libraries: {done.stdout}" if "not found" in done.stdout else why_not_root()


@dataclasses.dataclass
class Delivery:
    """What became of one message."""

    status: str  # sent, deferred, bounced
    verified: str  # Exim's CV=: dane, yes, no; None: no TLS, or not delivered
    text: str  # the lines of the log that name the message


class Exim(Instance):
    """routers, transports, main: of the configuration. Messages are delivered at once, in the foreground: there is no daemon."""

    def __init__(self, routers, transports, main="", resolv_conf=NOWHERE):
        super().__init__("exim", resolv_conf)
        for folder in ("spool", "log"):
            (self.directory / folder).mkdir()
            os.chown(self.directory / folder, USER_ID, USER_ID)
        self.config = self.directory / "exim.conf"
        self.config.write_text(CONFIG.format(exim=EXIM, directory=self.directory, main=main, routers=routers, transports=transports))
        for name, line in (("passwd", f"{USER}:x:{USER_ID}:{USER_ID}::/:/bin/false"), ("group", f"{USER}:x:{USER_ID}:")):
            (self.directory / name).write_text(pathlib.Path(f"/etc/{name}").read_text() + line + "\n")

    def start(self):
        done = self.run("-bV")
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self):
        pass

    def run(self, *arguments, message=b""):
        """Exim with this configuration, resolver and user."""
        binds = " && ".join(f"mount --bind {self.directory}/{name} /etc/{name}" for name in ("resolv.conf", "passwd", "group"))
        done = subprocess.run(["unshare", "--mount", "sh", "-c", f'{binds} && exec "$@"', "sh", EXIM, "-C", self.config, *arguments],
                              input=message, capture_output=True, timeout=90)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def expand(self, text):
        """What an expansion yields."""
        return self.run("-be", text).stdout.strip()

    def log(self):
        path = self.directory / "log" / "mainlog"
        return path.read_text(errors="replace") if path.exists() else ""

    def deliver(self, recipient, message=MESSAGE):
        """Without a sender: nothing comes back when it can't be delivered. What failed before is forgotten: it would be put off."""
        shutil.rmtree(self.directory / "spool" / "db", ignore_errors=True)
        before = self.log()
        done = self.run("-odf", "-oi", "-f", "<>", recipient, message=message)
        assert done.returncode == 0, done.stdout + done.stderr + self.log()
        text = self.log().removeprefix(before)
        kinds = {"=>": "sent", "==": "deferred", "**": "bounced"}
        fates = re.findall(r"^\S+ \S+ \S+ (=>|==|\*\*) ", text, re.MULTILINE)
        assert fates, text
        verified = re.search(r" => .* CV=(\w+)", text)
        return Delivery(kinds[fates[-1]], verified and verified.group(1), text)

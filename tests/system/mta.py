# SPDX-License-Identifier: BSD-3-Clause
"""Debian's mail servers as senders, each an instance of its own that shares nothing with the system's.

    with Postfix(settings={"smtp_tls_security_level": "dane"}, resolv_conf="nameserver 127.0.0.1\n") as postfix:
        delivery = postfix.deliver("user@dane-ee.org")
    assert delivery.status == "sent" and delivery.tls == ["Verified"], delivery.text

What they log is the evidence: `delivery.text` is what the sending process said from the message's arrival to its fate.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import smtplib
import subprocess
import tempfile

import process
from conftest import wait_for
from stub import free_port

NOWHERE = "nameserver 127.0.0.99\noptions timeout:1 attempts:1\n"  # nothing listens there
MESSAGE = b"From: sender@example.org\nTo: user\nSubject: hello\n\nGood day.\n"
PATIENCE_S = 40

MAIN = {
    "compatibility_level": "3.6",
    "maillog_file": "/dev/stdout",
    "inet_interfaces": "loopback-only",
    "myhostname": "sender.example",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "alias_maps": "",
    "alias_database": "",
    "smtpd_peername_lookup": "no",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtp_tls_security_level": "dane",
    "smtp_dns_support_level": "dnssec",
    "smtp_tls_loglevel": "1",
    "smtp_connect_timeout": "3s",
    "smtp_helo_timeout": "3s",
    "smtp_starttls_timeout": "3s",
    "default_process_limit": "20",
    "default_destination_concurrency_failed_cohort_limit": "0",  # a failed delivery does not suspend the next
    "import_environment": "MAIL_CONFIG LANG=C",
}
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - {chroot} - - smtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def why_no_postfix():
    """Why these tests can't run here; None: they can."""
    if not shutil.which("postfix"):
        return "Debian's package postfix is not installed"
    return why_not_root()


def why_not_root():
    if os.geteuid() != 0 or pathlib.Path("/proc/self/uid_map").read_text().split()[2] == "1":
        return "mail servers change to users of their own, so these tests need to be run by root"
    return None


@dataclasses.dataclass
class Delivery:
    """What became of one message."""

    status: str  # sent, deferred, bounced
    dsn: str
    relay: str  # none, or the host it came to
    tls: list  # of each TLS connection, in order: Verified, Trusted, Untrusted, Anonymous
    text: str  # the lines of the log


class Instance:
    """A mail server in a directory of its own, that sees a resolv.conf of its own. It ends with the context."""

    def __init__(self, name, resolv_conf):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.directory.chmod(0o755)
        self.resolv_conf = self.directory / "resolv.conf"
        self.resolv_conf.write_text(resolv_conf)
        self.output = self.directory / "output"
        self.binds = {"/etc/resolv.conf": self.resolv_conf}  # what this server alone sees in place of what is there
        self.process = None

    def bound(self, command):
        """The command in a mount namespace where it sees self.binds."""
        mounts = "".join(f"mount --bind {source} {target} && " for target, source in self.binds.items())
        return ["unshare", "--mount", "sh", "-c", f'{mounts}exec "$@"', "sh", *command]

    def launch(self, command, **options):
        with open(self.output, "ab") as output:
            self.process = process.start(self.bound(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)

    def log(self):
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


class Postfix(Instance):
    """settings: of main.cf, beside or over those of MAIN. environment: what its daemons get beside, by import_environment.
    chroot: whether smtp(8) is put into the queue directory, as Debian does it."""

    def __init__(self, settings=None, environment=None, resolv_conf=NOWHERE, chroot=False):
        super().__init__("postfix", resolv_conf)
        self.config, self.queue, self.port = self.directory / "config", self.directory / "queue", free_port()
        for folder in ("queue", "data", "config"):
            (self.directory / folder).mkdir()
        shutil.chown(self.directory / "data", "postfix")
        self.settings = MAIN | {"queue_directory": self.queue, "data_directory": self.directory / "data"} | (settings or {})
        for name, value in (environment or {}).items():
            self.settings["import_environment"] += f" {{ {name} = {value} }}"
        (self.config / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in self.settings.items()))
        (self.config / "master.cf").write_text(MASTER.format(port=self.port, chroot="y" if chroot else "n"))

    def start(self):
        self.launch(["postfix", "-c", str(self.config), "start-fg"])
        wait_for(lambda: "daemon started" in self.log(), 20, self.log)

    def stop(self):
        if self.process is None:
            return
        subprocess.run(["postfix", "-c", str(self.config), "stop"], capture_output=True, timeout=30)
        self.process.wait(timeout=30)
        self.process = None

    def submit(self, recipient, sender="", message=MESSAGE):
        """Hands a message over; returns its queue id. Without a sender nothing comes back when it can't be delivered."""
        with smtplib.SMTP("127.0.0.1", self.port, "sender.example", timeout=20) as session:
            session.ehlo()
            session.mail(sender)
            assert session.rcpt(recipient)[0] == 250
            code, reply = session.data(message)
        assert code == 250, reply
        return reply.decode().split()[-1]

    def fate(self, queue_id, start=0):
        """Waits until a message is sent, deferred or bounced; start: where in the log to begin."""
        pattern = re.compile(rf"postfix/(\w+)\[(\d+)\]: {queue_id}: to=<.*relay=([^,]+), .*dsn=([\d.]+), status=(\w+) .*")
        found = wait_for(lambda: pattern.search(self.log()[start:]), PATIENCE_S, self.log)
        service, pid, relay, dsn, status = found.groups()
        lines = [line for line in self.log()[:start + found.end()].splitlines() if f"postfix/{service}[{pid}]" in line]
        earlier = [number for number, line in enumerate(lines[:-1]) if "status=" in line]  # messages of the same process
        text = "\n".join(lines[earlier[-1] + 1 if earlier else 0:])
        return Delivery(status, dsn, relay, re.findall(r"(\w+) TLS connection established to", text), text)

    def deliver(self, recipient, **options):
        start = len(self.log())
        return self.fate(self.submit(recipient, **options), start)

    def is_queued(self, queue_id):
        return any(self.queue.glob(f"[adi]*/**/{queue_id}"))

    def run(self, *command):
        """A tool of Postfix with this configuration and resolver: run("postmap", "-q", key, table)."""
        return subprocess.run(self.bound([command[0], "-c", str(self.config), *command[1:]]), capture_output=True, text=True, timeout=30)

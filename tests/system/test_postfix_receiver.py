# SPDX-License-Identifier: BSD-3-Clause
"""danesend and Debian's Postfix as the receiving server: a good host, one with the wrong certificate, one without STARTTLS."""

import contextlib
import pathlib
import re
import shutil
import subprocess
import tempfile

import process
import pytest
from conftest import WORLD, wait_for
from mta import why_no_postfix
from smtp import addresses_of
from test_danesend import MESSAGE, mx, send

DOMAIN = "dane-ee.org"
MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = /dev/stdout
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = {host}
mydestination = {domain}
mynetworks =
alias_maps =
alias_database =
local_recipient_maps =
local_transport = discard:
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = {level}
smtpd_tls_chain_files = {chain}
smtpd_tls_loglevel = 1
"""
MASTER = """\
{address}:smtp inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


pytestmark = pytest.mark.skipif(why_no_postfix() is not None, reason=str(why_no_postfix()))


@contextlib.contextmanager
def postfix(host, level="may", certificate=None):
    """Postfix at a host's addresses, with everything of its own in one directory; yields the function that reads its log."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="postfix-"))
    directory.chmod(0o755)
    config = directory / "config"
    for folder in ("queue", "data", "config"):
        (directory / folder).mkdir()
    shutil.chown(directory / "data", "postfix")
    chain = WORLD / "tls" / f"{certificate or host}.pem"
    (config / "main.cf").write_text(MAIN.format(directory=directory, host=host, domain=DOMAIN, level=level, chain=chain))
    (config / "master.cf").write_text(MASTER.format(address=addresses_of(host)[0]))
    with open(directory / "output", "wb") as output:
        server = process.start(["postfix", "-c", str(config), "start-fg"], stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def log():
        return (directory / "output").read_text()

    try:
        wait_for(lambda: "daemon started" in log(), 20, log)
        yield log
    finally:
        subprocess.run(["postfix", "-c", str(config), "stop"], capture_output=True, timeout=30)
        server.wait(timeout=30)
        shutil.rmtree(directory)


def commands(log):
    """How often Postfix says each command was given, of its line about the end of the connection."""
    counts = {}
    for line in re.findall(r"disconnect from .*", wait_for(lambda: "disconnect from" in log() and log(), 10, log)):
        counts |= {name: count for name, count in re.findall(r"(\w+)=(\S+)", line) if name != "commands"}
    return counts


def test_D01_good(daemon):
    with postfix(mx(DOMAIN)) as log:
        code, [result] = send(daemon, f"user@{DOMAIN}", message=MESSAGE + "Bücher\n".encode())
        wait_for(lambda: f"to=<user@{DOMAIN}>" in log(), 20, log)
        given = commands(log)
        text = log()
    assert (code, result["status"], result["dsn"], result["tls"]["authenticated"]) == (0, "delivered", "2.0.0", True), result
    assert "queued as" in result["reply"]
    assert "TLS connection established from" in text and "status=sent" in text
    assert given == {"ehlo": "2", "starttls": "1", "mail": "1", "rcpt": "1", "data": "1", "quit": "1"}


def test_a_recipient_postfix_refuses(daemon):
    with postfix(mx(DOMAIN)):
        code, results = send(daemon, ["user@elsewhere.example", f"user@{DOMAIN}"], "--next-hop", DOMAIN)
    assert (code, [(result["status"], result["dsn"]) for result in results]) == (69, [("failed", "5.7.1"), ("delivered", "2.0.0")])


def test_D02_mismatch(daemon):
    with postfix(mx(DOMAIN), certificate="mx.dane-ta.com") as log:
        code, [result] = send(daemon, f"user@{DOMAIN}", "--next-hop", DOMAIN)
        given = commands(log)
    assert (code, result["status"]) == (75, "delayed"), result
    assert given == {"ehlo": "1", "starttls": "1", "quit": "1"}


def test_D03_no_starttls(daemon):
    with postfix(mx(DOMAIN), level="none") as log:
        code, [result] = send(daemon, f"user@{DOMAIN}")
        given = commands(log)
    assert (code, result["status"]) == (75, "delayed"), result
    assert given == {"ehlo": "1", "quit": "1"}

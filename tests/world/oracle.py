# SPDX-License-Identifier: BSD-3-Clause
"""The real unbound daemon on the world, with the settings that a worker gives libunbound, or others.

The settings are read out of the table of resolverd/base/unbound.c, so that there is one place that says what they are. What a worker
computes (the sizes of its caches, cache-max-ttl) changes no verdict and keeps unbound's default here.
"""

import pathlib
import re
import signal
import socket
import time

import process

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "resolverd" / "base" / "unbound.c"
ROW = re.compile(r'\{"([a-z0-9-]+):",\s*"([^"]*)"\}')
READY_TIMEOUT_S = 10
NOT_VALIDATING = [("module-config", "iterator"), ("do-ip6", "no"), ("log-queries", "yes")]

# Last, so that it counts: where the world is, and what tests need of a daemon.
CONFIG = """\
server:
{settings}
    interface: {address}
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    incoming-num-tcp: 100
    discard-timeout: 0
    num-threads: 1
    root-hints: "{world}/root.hints"
    trust-anchor-file: "{world}/root.key"
    chroot: ""
    username: ""
    directory: "{directory}"
    pidfile: "{directory}/unbound.pid"
    use-syslog: no
    logfile: "{directory}/unbound.log"
    val-log-level: 2
{more}
remote-control:
    control-enable: no
"""


def worker_settings():
    """(option, value) of every row of the worker's table, in order."""
    table = SOURCE.read_text().partition("fixed_options[] = {")[2].partition("};")[0]
    return ROW.findall(table)


class Unbound:
    """A running unbound: `with Unbound(world, directory, address) as unbound`.

    `settings` are (option, value) pairs, by default those of a worker; `more` is text of its server section.
    """

    def __init__(self, world, directory, address, settings=None, more=""):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.address = address
        lines = "\n".join(f"    {name}: {value!r}" for name, value in (worker_settings() if settings is None else settings))
        self.config = self.directory / "unbound.conf"
        self.config.write_text(CONFIG.format(settings=lines, address=address, world=world, directory=directory, more=more))
        self.process = None

    def __enter__(self):
        self.process = process.start(["unbound", "-d", "-c", str(self.config)], signal.SIGTERM)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"unbound does not start: {self.log()}")
            time.sleep(0.01)
        return self

    def __exit__(self, *_exception):
        self.process.terminate()
        self.process.wait()

    def _listens(self):
        with socket.socket() as sock:
            return sock.connect_ex((self.address, 53)) == 0

    def log(self):
        file = self.directory / "unbound.log"
        return file.read_text() if file.exists() else ""

# SPDX-License-Identifier: BSD-3-Clause
"""The world: a signed DNS hierarchy that runs on loopback addresses, in the network namespace of the process that starts it.

    process.enter_network()
    with World(DATA_FILE, bulk=5000) as world:
        …use world.directory…

A janitor process ends the servers and removes the files, whether the world is stopped or its process is killed.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import dns.message

import process
from catalogue import Catalogue
from certs import Authority
from hierarchy import BACKEND_ADDRESS, ROOT_ADDRESS, Hierarchy

HERE = pathlib.Path(__file__).parent
READY_TIMEOUT_S = 10
BULK_ZONE = "bulk.net"
DEADLY_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class World:
    def __init__(self, data_file, bulk=0, keep=False):
        self.data_file = data_file
        self.bulk = bulk
        self.keep = keep
        self.directory = None
        self.start_seconds = None
        self._servers = []
        self._janitor = None

    def __enter__(self):
        begin = time.monotonic()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dns-world-"))
        self._janitor = Janitor(self.directory, self.keep)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - begin
        return self

    def __exit__(self, *_exception):
        self.stop()

    def _start(self):
        authority = Authority()
        catalogue = Catalogue(authority, self.data_file)
        hierarchy = Hierarchy(catalogue, self.bulk, self.directory)
        configs = hierarchy.write()
        for config in configs:
            self._run(["nsd", "-d", "-c", str(config)], signal.SIGTERM, config.with_name("nsd.err"))
        front = [sys.executable, str(HERE / "front.py"), str(self.directory / "front.json")]
        self._run(front, signal.SIGKILL, self.directory / "front.err")
        authority.write(self.directory / "tls")
        self._write_description(catalogue, hierarchy)
        self._wait_until_ready(hierarchy)

    def _run(self, command, with_signal, error_file):
        with open(error_file, "wb") as errors:
            self._servers.append(process.start(command, with_signal, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors))

    def _wait_until_ready(self, hierarchy):
        servers = hierarchy.servers()
        fronted = [zone.address for zone in hierarchy.leaves if zone.server == "front" and not zone.faults]
        last_tld = hierarchy.tlds[-1].address
        deadline = time.monotonic() + READY_TIMEOUT_S
        for address in (ROOT_ADDRESS, servers["org"], last_tld, BACKEND_ADDRESS, fronted[-1]):
            zone = next((name for name, server in servers.items() if server == address), hierarchy.leaves[0].name)
            while not _answers(address, zone):
                failed = [server.args for server in self._servers if server.poll() is not None]
                if failed or time.monotonic() > deadline:
                    raise RuntimeError(f"{address} does not answer; ended: {failed}\n{self._complaints()}")
                time.sleep(0.01)
        (self.directory / "queries.log").write_text("")

    def _complaints(self):
        files = [*self.directory.glob("*.err"), *self.directory.glob("*/nsd.*rr"), *self.directory.glob("*/nsd.log")]
        return "\n".join(file.read_text() for file in files)

    def _write_description(self, catalogue, hierarchy):
        description = {
            "directory": str(self.directory),
            "root_address": ROOT_ADDRESS,
            "servers": hierarchy.servers(),
            "zones": [vars(zone) for zone in hierarchy.by_name.values()],
            "hosts": catalogue.addresses.hosts,
            "bulk": {"zone": BULK_ZONE, "count": self.bulk, "first": f"d00001.{BULK_ZONE}"},
            "queries_log": str(self.directory / "queries.log"),
            "faults": str(self.directory / "faults"),
            "tls": str(self.directory / "tls"),
            "scenarios": catalogue.scenarios,
        }
        (self.directory / "world.json").write_text(json.dumps(description, indent=1))

    def environment(self):
        return os.environ | {"WORLD_DIR": str(self.directory)}

    def stop(self):
        """Ends every child of this process (its servers and what they or a command left), and removes the files."""
        process.stop_children(spare=[self._janitor.pid])
        for server in self._servers:
            server.wait()
        self._janitor.finish()


class Janitor:
    """A forked process that waits for the end of this one and then removes the directory.

    It notices the end by end-of-file on a pipe, so no signal, SIGKILL included, gets past it. The servers themselves die by
    the parent-death signal.
    """

    def __init__(self, directory, keep):
        read_end, self.write_end = os.pipe()
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, DEADLY_SIGNALS)  # the janitor keeps them blocked
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.write_end)
            self._wait_and_clean(read_end, directory, keep)
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        os.close(read_end)

    @staticmethod
    def _wait_and_clean(read_end, directory, keep):
        try:
            os.setsid()
            os.read(read_end, 1)
            while not keep and directory.exists():
                shutil.rmtree(directory, ignore_errors=True)  # again if a dying server still writes into it
        finally:
            os._exit(0)

    def finish(self):
        os.close(self.write_end)
        os.waitpid(self.pid, 0)


def _answers(address, zone):
    query = dns.message.make_query(zone, "SOA").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        try:
            sock.connect((address, 53))
            sock.send(query)
            return sock.recv(4096)[3] & 0xF == 0
        except OSError:
            return False

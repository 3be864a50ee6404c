# SPDX-License-Identifier: BSD-3-Clause
"""resolverd-web beside a daemon, and requests to it over TCP or its Unix socket."""

import http.client
import socket
import subprocess

from conftest import BUILD, wait_for


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Web:
    def __init__(self, directory, daemon, *options, port=9464):
        self.port, self.path = port, str(directory / "web.sock")
        self.log_path = directory / "web.log"
        self.command = [str(BUILD / "resolverd-web"), "--listen", f"inet:127.0.0.1:{port}", "--listen", f"unix:{self.path}", "--control-socket",
                        f"{daemon.socket}.control", "--public-key", str(daemon.public_key), *options]

    def __enter__(self):
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.command, stderr=log)
        wait_for(lambda: "listening on unix:" in self.log(), 10, self.log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(10) == 0, self.log()

    def log(self):
        return self.log_path.read_text()

    def get(self, path, method="GET", headers=None, unix=False):
        """(status, headers, body)"""
        connection = UnixConnection(self.path) if unix else http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read().decode()
        finally:
            connection.close()

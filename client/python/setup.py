# SPDX-License-Identifier: BSD-3-Clause
"""Builds resolverd/resolverd_pb2.py from the protocol with protoc (Debian: protobuf-compiler); pyproject.toml says the rest."""

import pathlib
import subprocess

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parents[1] / "proto"


class BuildWithProtocol(build_py):
    def run(self):
        super().run()
        if not self.dry_run:
            target = pathlib.Path(self.build_lib) / "resolverd"
            subprocess.run(["protoc", f"-I{PROTO}", f"--python_out={target}", f"--pyi_out={target}", str(PROTO / "resolverd.proto")], check=True)


setup(cmdclass={"build_py": BuildWithProtocol})

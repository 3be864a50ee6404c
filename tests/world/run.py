#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs a command inside the world: a network namespace with a signed DNS hierarchy on loopback addresses.

Usage: run.py [--data FILE] [--bulk N] [--keep] [-- COMMAND…]

The command finds WORLD_DIR in its environment (root.hints, root.key, world.json, queries.log, tls/). Without a command, the world
runs until SIGINT or SIGTERM. The exit code is the command's; 70 if the world does not start.
"""

import argparse
import pathlib
import signal
import subprocess
import sys

import process
from catalogue import DATA_FILE
from world import DEADLY_SIGNALS, World


def parse_arguments():
    parser = argparse.ArgumentParser(description="Run a command inside a signed DNS world.")
    parser.add_argument("--data", type=pathlib.Path, default=DATA_FILE, metavar="FILE", help="zones of another world")
    parser.add_argument("--bulk", type=int, default=0, metavar="N", help="add N domains dNNNNN.bulk.net")
    parser.add_argument("--keep", action="store_true", help="leave the world's files behind, for a look at them")
    parser.add_argument("command", nargs="*", metavar="COMMAND")
    return parser.parse_args()


def leave(number, _frame):
    for ignored in DEADLY_SIGNALS:
        signal.signal(ignored, signal.SIG_IGN)  # a second one must not interrupt the teardown
    raise SystemExit(128 + number)


def run_command(command, world):
    if not command:
        print(f"WORLD_DIR={world.directory} ready after {world.start_seconds:.2f} s; Ctrl-C ends it", flush=True)
        signal.pause()
    child = process.start(command, signal.SIGTERM, env=world.environment())
    code = child.wait()
    return code if code >= 0 else 128 - code


def main():
    arguments = parse_arguments()
    for number in DEADLY_SIGNALS:
        signal.signal(number, leave)
    process.die_with_parent(signal.SIGTERM)
    process.adopt_orphans()
    try:
        process.enter_network()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"run.py: no network namespace: {error}", file=sys.stderr)
        return 70
    with World(arguments.data, arguments.bulk, arguments.keep) as world:
        return run_command(arguments.command, world)


if __name__ == "__main__":
    sys.exit(main())

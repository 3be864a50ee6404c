# SPDX-License-Identifier: BSD-3-Clause
"""The world starts quickly and leaves nothing behind, however it ends. Runs inside or outside of a world."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

RUN = str(pathlib.Path(__file__).with_name("run.py"))
REPORT = 'echo "$WORLD_DIR"; readlink /proc/self/ns/net; exec sleep 1000'
STARTER = f"import subprocess; subprocess.run({[RUN, '--', 'sh', '-c', REPORT]!r})"
GONE_WITHIN_S = 10
START_LIMIT_S = 60  # on a busy machine


def inhabitants(network):
    """Processes that live in a network namespace."""
    found = []
    for link in pathlib.Path("/proc").glob("[0-9]*/ns/net"):
        try:
            if os.readlink(link) == network:
                found.append(int(link.parts[2]))
        except OSError:
            continue
    return found


def assert_gone(directory, network):
    deadline = time.monotonic() + GONE_WITHIN_S
    while directory.exists() or inhabitants(network):
        assert time.monotonic() < deadline, f"left behind: {directory} {inhabitants(network)}"
        time.sleep(0.05)


def start(command):
    """(process, WORLD_DIR, network namespace) once the world is up."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    directory = pathlib.Path(child.stdout.readline().strip())
    network = child.stdout.readline().strip()
    assert (directory / "world.json").is_file()
    assert len(inhabitants(network)) >= 5
    return child, directory, network


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_signal_to_the_world(number):
    child, directory, network = start([RUN, "--", "sh", "-c", REPORT])
    child.send_signal(number)
    code = child.wait(GONE_WITHIN_S)
    assert code == (-9 if number == signal.SIGKILL else 128 + number)
    assert_gone(directory, network)


def test_starter_is_killed():
    child, directory, network = start([sys.executable, "-c", STARTER])
    child.kill()
    child.wait()
    assert_gone(directory, network)


def test_command_ends_and_leaves_a_daemon():
    script = 'echo "$WORLD_DIR"; readlink /proc/self/ns/net; setsid sleep 1000 >/dev/null & exit 7'
    ended = subprocess.run([RUN, "--", "sh", "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 7
    directory, network = ended.stdout.split()
    assert_gone(pathlib.Path(directory), network)


def test_keep_leaves_the_files():
    ended = subprocess.run([RUN, "--keep", "--", "sh", "-c", "echo $WORLD_DIR"], stdout=subprocess.PIPE, text=True, check=True)
    directory = pathlib.Path(ended.stdout.strip())
    assert (directory / "world.json").is_file()
    subprocess.run(["rm", "-r", str(directory)], check=True)


@pytest.mark.parametrize("bulk", [0, 5000])
def test_start_time(bulk):
    child = subprocess.Popen([RUN, "--bulk", str(bulk)], stdout=subprocess.PIPE, text=True)
    line = child.stdout.readline()
    child.terminate()
    child.wait(GONE_WITHIN_S)
    seconds = float(re.search(r"after ([\d.]+) s", line)[1])
    print(f"the world with {bulk} bulk domains starts in {seconds} s")
    assert seconds < START_LIMIT_S

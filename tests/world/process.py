# SPDX-License-Identifier: BSD-3-Clause
"""What the world needs from Linux: a network of its own, and processes that can't outlive it."""

import ctypes
import os
import pathlib
import signal
import subprocess
import time

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MAIL_HOSTS_IPV6 = "2001:db8:25::/64"
STOP_PATIENCE_S = 5

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, call):
    if result:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")


def enter_network():
    """Moves this process into a new network namespace with a loopback that is up; root isn't needed."""
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
    else:
        _check(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNET), "unshare")
        pathlib.Path("/proc/self/setgroups").write_text("deny")
        pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        pathlib.Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "-6", "route", "add", "local", MAIL_HOSTS_IPV6, "dev", "lo"], check=True)


def die_with_parent(with_signal=signal.SIGKILL):
    """Has the kernel send `with_signal` to this process when its parent dies, however it dies."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0), "prctl")


def adopt_orphans():
    """Makes this process the parent of whatever its descendants leave running."""
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def start(command, with_signal=signal.SIGKILL, **options):
    """A child process that dies with this one."""
    return subprocess.Popen(command, preexec_fn=lambda: die_with_parent(with_signal), **options)


def children(parent):
    """Process ids of the living children of `parent`."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it ended meanwhile
        if int(ppid) == parent and state != "Z":
            found.append(int(stat.parent.name))
    return found


def signal_each(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def stop_children(spare=()):
    """Ends all children of this process, adopted ones included: SIGTERM, then SIGKILL for the stubborn."""
    deadline = time.monotonic() + STOP_PATIENCE_S
    pids = set(children(os.getpid())) - set(spare)
    signal_each(pids, signal.SIGTERM)
    while pids:
        if time.monotonic() > deadline:
            signal_each(pids, signal.SIGKILL)
        time.sleep(0.01)
        _reap(pids)
        pids = set(children(os.getpid())) - set(spare)


def _reap(pids):
    for pid in pids:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass

# SPDX-License-Identifier: BSD-3-Clause
"""Keys are replaced under load, and nobody who asks notices: online keys by themselves, the long-term key by reloads."""

import base64
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import types

import pytest
import resolverd_pb2 as pb
from conftest import BUILD, INSTRUMENTED, wait_for
from scenarios import DANE, MISMATCH, NO_AUTH, PLAIN, TA
from test_evidence import record, verify
from wire import Client, NotVerified, UnknownKey, key_id

sys.path.insert(0, str(BUILD / "python"))
import resolverd  # noqa: E402

HOPS = [DANE, TA, PLAIN, NO_AUTH, MISMATCH]
LIFE_S = 4


# ---- who asks ----

class Asker(threading.Thread):
    """Asks on one connection until it is over; what goes wrong ends it and is kept."""

    def __init__(self, daemon, public_key=None):
        super().__init__(daemon=True)
        self.daemon_under_test = daemon
        self.public_key = str(public_key or daemon.public_key)
        self.over, self.asked, self.problem = threading.Event(), 0, None

    def run(self):
        try:
            with self.connected() as ask:
                while not self.over.is_set():
                    ask(HOPS[self.asked % len(HOPS)])
                    self.asked += 1
                    time.sleep(0.002)
        except Exception as error:  # said in finish()
            self.problem = error

    def finish(self):
        self.over.set()
        self.join(20)
        assert self.problem is None, f"{type(self).__name__}: {self.problem!r} after {self.asked} plans"
        return self.asked


class WireAsker(Asker):
    """By hand: that no answer is by an ended delegation is seen here, by which keys they are remembered."""

    def connected(self):
        self.client = Client(self.daemon_under_test.socket)
        self.seen = {}  # key id: last use, in ms, and the end of its delegation
        self.learn()
        return self

    def learn(self):
        keys = [base64.b64decode(line) for line in pathlib.Path(self.public_key).read_text().split()]
        self.client.trusted = {key_id(key): key for key in keys}
        self.client.learn_delegations()

    def __enter__(self):
        return self.ask

    def __exit__(self, *_):
        self.client.socket.close()

    def ask(self, hop):
        response = self.client.ask(plan=pb.PlanRequest(next_hop=hop))
        now_ms = time.time() * 1000
        assert not response.HasField("error"), response.error
        for signed in response.answers:
            question = pb.Answer.FromString(signed.answer).question
            try:
                self.client.verify(signed, question, now_ms)
            except UnknownKey:
                self.learn()
                self.client.verify(signed, question, now_ms)
            self.seen[signed.key_id] = (now_ms, self.client.online[signed.key_id].not_after)


class PythonAsker(Asker):
    """client/python, attested."""

    def connected(self):
        self.client = resolverd.Client(self.daemon_under_test.socket, self.public_key, attest=True)
        return self

    def __enter__(self):
        return self.ask

    def __exit__(self, *_):
        self.client.close()

    def ask(self, hop):
        plan = self.client.plan(hop)
        assert plan.outcome != "delay", plan


class Options(ctypes.Structure):
    _fields_ = [("socket_path", ctypes.c_char_p), ("public_key_file", ctypes.c_char_p), ("attest", ctypes.c_bool),
                ("plan_cache", ctypes.c_uint), ("reserved", ctypes.c_void_p * 5)]


class LibraryAsker(Asker):
    """libresolverd, with plans kept in the process. A sanitized one cannot be loaded into Python."""

    def connected(self):
        self.library = ctypes.CDLL(str(BUILD / "libresolverd.so.0"))
        self.library.resolverd_last_error.restype = ctypes.c_char_p
        self.client = ctypes.c_void_p()
        options = Options(self.daemon_under_test.socket.encode(), self.public_key.encode(), False, 2)
        assert self.library.resolverd_client_new(ctypes.byref(options), ctypes.byref(self.client)) == 0
        return self

    def __enter__(self):
        return self.ask

    def __exit__(self, *_):
        self.library.resolverd_client_free(self.client)

    def ask(self, hop):
        plan = ctypes.c_void_p()
        code = self.library.resolverd_plan(self.client, hop.encode(), 25, 6000, ctypes.byref(plan))
        assert code == 0, (code, self.library.resolverd_last_error(self.client))
        self.library.resolverd_plan_free(plan)


NODE_LOAD = """
import { Client } from './lib/index.js';
const [socket, publicKey, ...hops] = process.argv.slice(1);
const client = new Client({ socket, publicKey, timeoutMs: 6000 });
let asked = 0, over = false, problem = null;
process.stdin.on('end', () => { over = true; }).resume();
while (!over && problem === null) {
  await Promise.all(hops.map((hop) => client.plan(hop).catch((error) => { problem = `${error.name}: ${error.message}`; })));
  asked += hops.length;
  await new Promise((resolve) => setTimeout(resolve, 5));
}
console.log(JSON.stringify({ asked, problem }));
process.exit(0);
"""


class NodeAsker:
    """client/node, five at once."""

    def __init__(self, daemon, public_key=None):
        self.command = ["node", "--input-type=module", "-e", NODE_LOAD, daemon.socket, str(public_key or daemon.public_key), *HOPS]

    def start(self):
        self.process = subprocess.Popen(self.command, cwd=BUILD / "node", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def finish(self):
        told, error = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, error
        told = json.loads(told)
        assert told["problem"] is None, told
        return told["asked"]


ASKERS = [WireAsker, PythonAsker, LibraryAsker, NodeAsker]


@pytest.fixture
def load():
    """load(daemon, public_key=…): all of them begin to ask; they are finished by finish(askers)."""
    running = []

    def start(daemon, public_key=None, kinds=tuple(ASKERS)):
        askers = [kind(daemon, public_key) for kind in kinds if not (INSTRUMENTED and kind is LibraryAsker)]
        for asker in askers:
            asker.start()
        running.extend(askers)
        return askers

    yield start
    for asker in running:
        if isinstance(asker, Asker):
            asker.over.set()
        elif asker.process.poll() is None:
            asker.process.kill()
            asker.process.wait()


def finish(askers):
    """Each has asked, and nothing went wrong; the wire's keys."""
    for asker in askers:
        assert asker.finish() > 0, asker
    return next((asker.seen for asker in askers if isinstance(asker, WireAsker)), None)


def warm(daemon):
    """What is asked later is in the cache."""
    for hop in HOPS:
        daemon.ctl("plan", hop)


# ---- online keys ----

def test_online_keys_are_replaced_under_load(make_daemon, load):
    """Half of the askers hold one connection over several keys; every answer verifies by a key that is vouched for then."""
    daemon = make_daemon(signing__delegation_life=f"{LIFE_S}s")
    warm(daemon)
    askers = load(daemon)
    time.sleep(5 * LIFE_S)
    seen = finish(askers)
    assert len(seen) >= 5, seen
    assert all(last_used < ended for last_used, ended in seen.values())
    assert "error" not in daemon.log().lower(), daemon.log()


def test_the_key_of_before_is_vouched_for_until_its_end(make_daemon):
    daemon = make_daemon(signing__delegation_life="6s")
    last_listed = {}  # online key: when, in ms, and the end of its delegation
    deadline = time.monotonic() + 11
    with Client(daemon.socket) as client:
        while time.monotonic() < deadline:
            now_ms = time.time() * 1000
            for signed in client.ask(status=pb.StatusRequest()).status.delegations:
                delegation = pb.Delegation.FromString(signed.delegation)
                assert now_ms < delegation.not_after, "one that had ended was told"
                last_listed[delegation.online_key] = (now_ms, delegation.not_after)
            time.sleep(0.02)
    ended = [(last, end) for last, end in last_listed.values() if end < now_ms]
    assert len(ended) >= 2 and len(last_listed) >= 4
    for last, end in ended:
        assert last > end - 1000, "it was no longer told before its end"


def test_an_answer_kept_by_the_daemon_is_signed_anew_with_its_times(make_daemon):
    daemon = make_daemon(signing__delegation_life=f"{LIFE_S}s", prefetch__rule="off")

    def plan():
        code, plan = daemon.ctl("plan", PLAIN)
        assert code == 0, plan
        return plan["signatures"]["key_ids"], plan["validated_at"]
    first_keys, validated_at = plan()
    wait_for(lambda: plan()[0] != first_keys, 2 * LIFE_S)
    assert plan()[1] == validated_at  # nothing was looked up


def test_seals_and_attestations_are_by_the_present_key(make_daemon):
    daemon = make_daemon(signing__delegation_life=f"{LIFE_S}s")
    key = base64.b64decode(pathlib.Path(daemon.public_key).read_text())
    seen, replaced = set(), 0
    with Client(daemon.socket, [key]) as client:
        deadline = time.monotonic() + 2 * LIFE_S
        while time.monotonic() < deadline:
            seal = client.ask(seal=pb.SealRequest(hash=os.urandom(32))).seal
            present = client.learn_delegations().delegations[0]
            if seal.delegation == present:  # it was not replaced in between
                assert seal.key_id == key_id(pb.Delegation.FromString(present.delegation).online_key)
            client.submit_attested(plan=pb.PlanRequest(next_hop=PLAIN))
            try:
                seen.add(client.receive_attested().attestation.key_id)
            except NotVerified as error:  # it was replaced just now: not more than once in a life
                replaced += 1
                assert str(error) == "unknown online key"
            time.sleep(0.05)
    assert len(seen) >= 3 and replaced <= 3


# ---- the long-term key ----

def signing(*files):
    names = ("key-file", "second-key-file")
    return "signing {\n" + "".join(f' {name} = "{path}"\n' for name, path in zip(names, files)) + "}\n"


@pytest.fixture
def keys(tmp_path):
    """Files of two keys; the first one is made when the daemon starts, the second when it is named."""
    return tmp_path / "old.key", tmp_path / "new.key"


def public_keys(daemon):
    return pathlib.Path(daemon.public_key).read_text().split()


def keep(path, *lines):
    """A client's own public key file, handed to it once."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def reload(daemon, *files):
    return daemon.reload(signing(*files))


def test_the_long_term_key_is_replaced_under_load(make_daemon, load, keys, tmp_path):
    """Add, distribute, swap, remove: clients that trust the old key, the new one or both go on asking."""
    old, new = keys
    daemon = make_daemon(config=signing(old))
    warm(daemon)
    old_public = public_keys(daemon)
    only_old = keep(tmp_path / "only-old", *old_public)
    with_old = load(daemon, only_old)
    following = load(daemon)  # they read the daemon's own file
    reload(daemon, old, new)
    assert public_keys(daemon)[:1] == old_public and len(public_keys(daemon)) == 2
    new_public = public_keys(daemon)[1:]
    only_new = keep(tmp_path / "only-new", *new_public)
    both = keep(tmp_path / "both", *old_public, *new_public)
    wait_for(lambda: daemon.ctl("plan", DANE, public_key=only_new)[0] == 0, 2)
    with_new = load(daemon, only_new, [WireAsker, PythonAsker, LibraryAsker])
    with_both = load(daemon, both, [WireAsker, PythonAsker, LibraryAsker])
    time.sleep(2)
    reload(daemon, new, old)
    assert public_keys(daemon) == new_public + old_public
    time.sleep(2)
    finish(with_old)  # by now each client has the new one
    reload(daemon, new)
    assert public_keys(daemon) == new_public
    time.sleep(2)
    finish(with_new + with_both + following)
    assert daemon.ctl("plan", DANE, public_key=only_old)[0] == 76
    assert {one["trusted"] for one in daemon.ctl("status", public_key=only_new)[1]["delegations"]} == {True, False}


def test_a_client_that_trusts_only_the_new_key_is_served_at_once(make_daemon, keys, tmp_path):
    """What was signed before the reload is signed anew."""
    old, new = keys
    daemon = make_daemon(config=signing(old))
    warm(daemon)
    reload(daemon, old, new)
    only_new = keep(tmp_path / "only-new", public_keys(daemon)[1])
    wait_for(lambda: any(one["trusted"] for one in daemon.ctl("status", public_key=only_new)[1]["delegations"]), 2)
    misses = daemon.status()["misses"]
    for hop in HOPS:
        code, plan = daemon.ctl("plan", hop, public_key=only_new)
        assert code == 0 and plan["signatures"]["verified"], plan
    assert daemon.status()["misses"] == misses


def test_evidence_is_sealed_for_a_client_that_trusts_only_the_second_key(make_daemon, keys, tmp_path):
    daemon = make_daemon(config=signing(*keys))
    only_second = keep(tmp_path / "only-second", public_keys(daemon)[1])
    client = types.SimpleNamespace(socket=daemon.socket, public_key=str(only_second))
    code, report = verify(record(client, tmp_path / "evidence", PLAIN), only_second)
    assert code == 0 and report["verified"], report


BAD_KEYS = {
    "garbage": (lambda path: path.write_text("no key\n"), 0o600, "holds no signing key"),
    "readable-by-others": (lambda path: path.write_bytes(base64.b64encode(bytes(32)) + b"\n"), 0o644, "chmod 600"),
    "a-folder": (lambda path: path.mkdir(), 0o700, "cannot read the key"),
    "the-first-key": (None, 0o600, "the same key"),
}


@pytest.mark.parametrize("bad", BAD_KEYS)
def test_a_bad_second_key_changes_nothing_and_says_why(make_daemon, load, keys, bad):
    old, new = keys
    daemon = make_daemon(config=signing(old))
    warm(daemon)
    make, mode, words = BAD_KEYS[bad]
    (make or (lambda path: path.write_bytes(old.read_bytes())))(new)
    new.chmod(mode)
    before, delegations = public_keys(daemon), daemon.status()["delegations"]
    askers = load(daemon, kinds=[WireAsker, LibraryAsker])
    said = daemon.reload(signing(old, new) + "cache { failure-ttl = 20s }\n")
    assert words in said and str(new) in said and "stays" in said, said
    finish(askers)
    assert public_keys(daemon) == before
    assert daemon.status()["delegations"] == delegations


def test_a_first_key_that_is_gone_stays_in_force(make_daemon, keys):
    """A reload never makes another one in its place."""
    old, _ = keys
    daemon = make_daemon(config=signing(old))
    text = old.read_text()
    before = public_keys(daemon)
    old.unlink()
    said = reload(daemon, old)
    assert "is gone" in said and "stays" in said, said
    assert not old.exists() and public_keys(daemon) == before
    old.write_text(text)
    old.chmod(0o600)
    assert "is in force" in reload(daemon, old)
    assert public_keys(daemon) == before


def test_m08_a_snapshot_outlasts_a_swap_and_the_removal_after_it(make_daemon, keys):
    old, new = keys
    daemon = make_daemon(config=signing(old, new))
    warm(daemon)
    daemon.stop()
    daemon.config_path.write_text(signing(new, old))  # swapped while it is down: written under the old key
    daemon.start()
    assert "answers restored" in daemon.log()
    reload(daemon, new)
    wait_for(lambda: len(daemon.status()["delegations"]) > 0, 2)
    before = len(daemon.log())
    daemon.stop()
    daemon.start()
    assert "answers restored" in daemon.log()[before:], daemon.log()[before:]


def test_reloads_under_load_fail_no_request(make_daemon, load):
    daemon = make_daemon()
    warm(daemon)
    askers = load(daemon)
    for turn in range(12):
        said = daemon.reload(f"cache {{ failure-ttl = {10 + turn}s }}\n")
        assert "is in force" in said, said
        time.sleep(0.2)
    finish(askers)

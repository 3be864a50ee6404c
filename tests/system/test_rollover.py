# SPDX-License-Identifier: BSD-3-Clause
"""RFC 5011: the anchor role follows the root's key-signing key, as in the rollover of 2024 to 2026.

Days are counted from the first run; the hold-down is the real one of 30 days, and the role's clock is moved.
"""

import resource
import signal
import subprocess
import time

import dns.dnssec
import dns.rdata
import pytest
from conftest import BUILD, WORLD, wait_for
from faketime import DAY, Clock
from rollover import ADDRESS, RollingRoot, RootKey

UNCHANGED, CHANGED, LOST, NO_STATE, FAILED, BAD_CONFIG = 0, 10, 11, 73, 75, 78  # resolverd/base/anchor.h


@pytest.fixture
def root(tmp_path):
    directory = tmp_path / "root"
    directory.mkdir()
    with RollingRoot(WORLD, directory) as root:
        yield root


class Anchor:
    """The role with a state directory of its own; started as the supervisor starts it, on the rolling root."""

    def __init__(self, directory, root):
        self.state = directory / "state"
        self.state.mkdir()
        self.folder = self.state / "anchor"
        self.configured = directory / "configured.key"
        self.empty = directory / "resolverd.conf"
        self.empty.touch()
        self.keys = {
            "server.state-directory": self.state,
            "resolver.root-hints": root.hints,
            "resolver.trust-anchor-file": self.configured,
            "unbound.do-not-query-localhost": "no",
        }
        self.clock = Clock(directory, BUILD / "resolverd")
        self.log = ""

    def run(self, day=0, **options):
        """The exit code; the log is in `log`. `day` None: with the real clock, and nothing preloaded."""
        if day is not None:
            self.clock.move_to(round(day * DAY))
        prefix = self.clock.prefix if day is not None else []
        keys = self.keys | ({"server.sandbox": "off"} if prefix else {})  # the clock is a file
        sets = [f"--set={name}={value}" for name, value in keys.items()]
        command = [*prefix, str(BUILD / "resolverd"), "--role", "anchor", "--config", "none", *sets]
        done = subprocess.run(["sh", "-c", 'exec "$@" 4<"$0"', str(self.empty), *command], capture_output=True,
                              text=True, timeout=60, **options)
        self.log = done.stderr
        return done.returncode

    @property
    def file(self):
        return self.folder / "trust-anchor.key"

    def trusted(self):
        """The tags in trust-anchor.key."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        records = [line.partition("DNSKEY")[2].partition(";")[0] for line in lines if not line.startswith(";")]
        return {dns.dnssec.key_id(dns.rdata.from_text("IN", "DNSKEY", record)) for record in records}

    def files(self):
        """{name: contents} of its folder."""
        return {file.name: file.read_text() for file in self.folder.iterdir()}


@pytest.fixture
def anchor(tmp_path, root):
    return Anchor(tmp_path, root)


@pytest.fixture
def old(anchor, root):
    """The key that is configured, published and tracked on day 0."""
    key = RootKey()
    anchor.configured.write_text(key.anchor("DS"))
    root.publish([key], signed_by=[key])
    assert anchor.run() == CHANGED and anchor.trusted() == {key.tag}
    return key


def both_trusted(anchor, root, old):
    """A new key, after its hold-down."""
    new = RootKey()
    root.publish([old, new], signed_by=[old])
    assert [anchor.run(day) for day in (1, 32)] == [UNCHANGED, CHANGED]
    assert anchor.trusted() == {old.tag, new.tag}
    return new


# ---- the rollover ----

def test_rfc5011_the_whole_rollover(anchor, root, old, make_daemon):
    new = RootKey()
    root.publish([old, new], signed_by=[old])
    for day in (1, 16, 30):
        assert anchor.run(day) == UNCHANGED and anchor.trusted() == {old.tag}, "the hold-down is not over"
        assert f"not trusted before their 30 days: {new.tag}" in anchor.log
    assert anchor.run(31.5) == CHANGED and anchor.trusted() == {old.tag, new.tag}

    root.publish([old, new], signed_by=[new])
    assert anchor.run(40) == UNCHANGED and anchor.trusted() == {old.tag, new.tag}
    on_root = {"resolver__root_hints": str(root.hints), "resolver__trust_anchor_file": str(anchor.file)}
    assert make_daemon(**on_root).ctl("plan", "dane-ee.org")[1]["hosts"][0]["policy"] == "dane"
    with_old = make_daemon(start=False, **on_root | {"resolver__trust_anchor_file": str(anchor.configured)})
    with_old.start(wait=False)
    wait_for(lambda: "does not validate" in with_old.log(), 10, with_old.log)
    assert with_old.status()["ready"] is False, "the key configured once is of no use any more"

    root.publish([old.revoked(), new], signed_by=[new, old.revoked()])
    assert anchor.run(50) == LOST and anchor.trusted() == {new.tag}
    root.publish([new], signed_by=[new])
    for day in (60, 90):
        assert anchor.run(day) == UNCHANGED and anchor.trusted() == {new.tag}


def test_rfc5011_2_2_a_pending_key_that_is_missed_begins_again(anchor, root, old):
    new = RootKey()
    for day, keys in ((1, [old, new]), (20, [old]), (21, [old, new]), (35, [old, new]), (50, [old, new])):
        root.publish(keys, signed_by=[old])
        assert anchor.run(day) == UNCHANGED and anchor.trusted() == {old.tag}
    assert anchor.run(52) == CHANGED and anchor.trusted() == {old.tag, new.tag}


@pytest.mark.parametrize("published", ["new", "old and new"])
def test_rfc5011_2_4_1_time_alone_makes_no_key_trusted(anchor, root, old, published):
    """After the hold-down the new key must be seen once more in a key set that a trusted key signed."""
    new = RootKey()
    root.publish([old, new], signed_by=[old])
    assert [anchor.run(day) for day in (1, 2, 3)] == [UNCHANGED] * 3
    before = anchor.files()
    root.publish([new] if published == "new" else [old, new], signed_by=[new])
    assert anchor.run(40) == FAILED and anchor.files() == before


def test_rfc5011_a_pending_key_that_was_withdrawn_during_an_outage_is_not_trusted(anchor, root, old):
    new = RootKey()
    root.publish([old, new], signed_by=[old])
    assert [anchor.run(day) for day in (1, 2)] == [UNCHANGED] * 2
    root.publish([old], signed_by=[old])
    assert anchor.run(40) == UNCHANGED and anchor.trusted() == {old.tag}
    root.publish([old, new], signed_by=[old])
    assert anchor.run(41) == UNCHANGED and anchor.trusted() == {old.tag}


def test_rfc5011_a_missing_key_stays_trusted(anchor, root, old):
    new = both_trusted(anchor, root, old)
    root.publish([old], signed_by=[old])
    assert anchor.run(40) == UNCHANGED and anchor.trusted() == {old.tag, new.tag}
    root.publish([new], signed_by=[new])
    assert anchor.run(41) == UNCHANGED and anchor.trusted() == {old.tag, new.tag}


# ---- attacks ----

@pytest.mark.parametrize("beside", [False, True])
def test_rfc5011_a_key_that_only_itself_signs_is_not_trusted(anchor, root, old, beside):
    before, forged = anchor.files(), RootKey()
    root.publish([old, forged] if beside else [forged], signed_by=[forged])
    for day in (1, 40):
        assert anchor.run(day) == FAILED and anchor.files() == before
    assert "install the current dns-root-data" in anchor.log


def test_rfc5011_2_1_a_revocation_by_another_key_is_none(anchor, root, old):
    new = both_trusted(anchor, root, old)
    root.publish([old.revoked(), new], signed_by=[new])
    assert anchor.run(40) == UNCHANGED and anchor.trusted() == {old.tag, new.tag}


def test_rfc5011_when_every_key_is_revoked_it_is_said_and_nothing_is_called_unsigned(anchor, root, old):
    before, other = anchor.files(), RootKey()
    root.publish([old.revoked(), other], signed_by=[old.revoked(), other])
    assert anchor.run(1) == FAILED and anchor.files() == before
    assert "has revoked every key" in anchor.log and "dns-root-data" in anchor.log


def test_an_unreachable_root_leaves_everything_as_it_is(anchor, old, tmp_path):
    before = anchor.files()
    hints = tmp_path / "dead.hints"
    hints.write_text(". 3600 IN NS a.dead.\na.dead. 3600 IN A 127.99.99.99\n")
    anchor.keys |= {"resolver.root-hints": hints, "resolver.deadline": "2s"}
    begin = time.monotonic()
    assert anchor.run(1) == FAILED and time.monotonic() - begin < 4
    assert anchor.files() == before and "could not be checked" in anchor.log


# ---- the configured file ----

@pytest.mark.parametrize("forms", [["DS"], ["DNSKEY"], ["DS", "DNSKEY"], ["DNSKEY", "DNSKEY"], ["DS", "DS"]],
                         ids="-".join)
def test_every_form_of_configured_file_begins_the_tracking(anchor, root, forms):
    keys = [RootKey() for _ in forms]
    anchor.configured.write_text("; a comment\n\n" + "".join(map(RootKey.anchor, keys, forms)))
    root.publish(keys, signed_by=[keys[-1]])
    assert anchor.run() == CHANGED and anchor.trusted() == {key.tag for key in keys}
    assert anchor.run() == UNCHANGED


@pytest.mark.parametrize("form, at_once", [("DNSKEY", True), ("DS", False)])
def test_a_configured_key_that_is_not_published_yet(anchor, root, form, at_once):
    """As a DNSKEY it is trusted; libunbound does not keep the DS, so the key comes in as any other."""
    present, future = RootKey(), RootKey()
    anchor.configured.write_text(present.anchor() + future.anchor(form))
    root.publish([present], signed_by=[present])
    assert anchor.run() == CHANGED
    root.publish([present, future], signed_by=[present])
    assert anchor.run(1) == UNCHANGED and (future.tag in anchor.trusted()) == at_once
    assert anchor.run(32) == (UNCHANGED if at_once else CHANGED)
    assert anchor.trusted() == {present.tag, future.tag}


def test_a_key_added_to_the_configured_file_is_trusted_at_once(anchor, root, old):
    new = RootKey()
    root.publish([old, new], signed_by=[old])
    assert anchor.run(1) == UNCHANGED
    anchor.configured.write_text(old.anchor() + new.anchor())
    assert anchor.run(2) == CHANGED and anchor.trusted() == {old.tag, new.tag}
    assert "was changed: tracking of the root keys begins anew" in anchor.log
    assert anchor.run(3) == UNCHANGED


def test_a_key_taken_out_of_the_configured_file_is_trusted_no_more(anchor, root, old):
    """Even where the rest does not validate now: the workers then have the configured file, and nothing else."""
    new = RootKey()
    anchor.configured.write_text(new.anchor())
    assert anchor.run(1) == LOST and anchor.files() == {}
    assert anchor.run(2) == FAILED and anchor.files() == {}
    assert str(anchor.configured) in anchor.log and "install the current dns-root-data" in anchor.log
    root.publish([old, new], signed_by=[old, new])
    assert anchor.run(3) == CHANGED and anchor.trusted() == {new.tag}


def test_a_daemon_delivers_nothing_by_a_key_that_was_taken_out(anchor, root, old, make_daemon):
    daemon = make_daemon(resolver__root_hints=str(root.hints), resolver__trust_anchor_file=str(anchor.configured))
    wait_for(lambda: "root keys trusted" in daemon.log(), 10, daemon.log)
    anchor.configured.write_text(RootKey().anchor())
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: not daemon.status()["ready"], 15, daemon.log)
    assert daemon.ctl("plan", "dane-ta.com")[1]["outcome"] == "delay"


def test_a_key_taken_out_while_the_root_is_silent_is_trusted_no_more(anchor, old, tmp_path):
    hints = tmp_path / "dead.hints"
    hints.write_text(". 3600 IN NS a.dead.\na.dead. 3600 IN A 127.99.99.99\n")
    anchor.keys |= {"resolver.root-hints": hints, "resolver.deadline": "2s"}
    anchor.configured.write_text(RootKey().anchor())
    assert anchor.run(1) == LOST and anchor.files() == {}


def test_what_was_found_by_a_key_that_is_taken_out_counts_no_more(anchor, root, old, make_daemon):
    """Of two keys that both sign one goes: what is left validates, and yet all is looked up again."""
    new = RootKey()
    root.publish([old, new], signed_by=[old, new])
    anchor.configured.write_text(old.anchor() + new.anchor())
    daemon = make_daemon(resolver__root_hints=str(root.hints), resolver__trust_anchor_file=str(anchor.configured))
    wait_for(lambda: "root keys trusted" in daemon.log(), 10, daemon.log)
    before = daemon.ctl("plan", "dane-ee.org")[1]
    assert before["outcome"] == "deliver", before
    assert daemon.ctl("plan", "dane-ee.org")[1]["validated_at"] == before["validated_at"], "cached"
    anchor.configured.write_text(new.anchor())
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "lost a key" in daemon.log(), 15, daemon.log)
    after = daemon.ctl("plan", "dane-ee.org")[1]
    assert after["outcome"] == before["outcome"] and after["validated_at"] > before["validated_at"]


@pytest.mark.parametrize("taken_out", [True, False])
def test_a_key_taken_out_while_the_daemon_was_down(anchor, root, old, make_daemon, taken_out):
    new = RootKey()
    root.publish([old, new], signed_by=[old, new])
    anchor.configured.write_text(old.anchor() + new.anchor())
    daemon = make_daemon(resolver__root_hints=str(root.hints), resolver__trust_anchor_file=str(anchor.configured))
    wait_for(lambda: "root keys trusted" in daemon.log(), 10, daemon.log)
    before = daemon.ctl("plan", "dane-ee.org")[1]
    assert before["outcome"] == "deliver", before
    daemon.stop()
    anchor.configured.write_text(("" if taken_out else "; as it was\n" + old.anchor()) + new.anchor())
    daemon.start()
    after = daemon.ctl("plan", "dane-ee.org")[1]
    assert after["outcome"] == before["outcome"]
    assert ("lost a key" in daemon.log()) == taken_out
    assert (after["validated_at"] > before["validated_at"]) == taken_out, "from the snapshot"


@pytest.mark.parametrize("text", ["", "; nothing\n", "this is no anchor\n", "org. IN DS 1 13 2 " + "AB" * 32 + "\n",
                                  ". IN DS 1 253 2 " + "AB" * 32 + "\n", None],
                         ids=["empty", "comment", "garbage", "another-zone", "unknown-algorithm", "missing"])
def test_a_useless_configured_file_is_named_and_makes_no_anchor(anchor, root, text):
    key = RootKey()
    root.publish([key], signed_by=[key])
    if text is not None:
        anchor.configured.write_text(text)
    assert anchor.run() in (BAD_CONFIG, FAILED)
    assert str(anchor.configured) in anchor.log and anchor.files() == {}


def test_a_configured_file_that_became_useless_harms_nothing(anchor, old):
    before = anchor.files()
    anchor.configured.write_text("oops\n")
    assert anchor.run(1) == BAD_CONFIG and anchor.files() == before


def test_a_forwarder_is_asked_instead_of_the_root(anchor, old):
    anchor.keys |= {"resolver.root-hints": "/nonexistent", "resolver.forward": ADDRESS}
    assert anchor.run(1) == UNCHANGED and anchor.trusted() == {old.tag}


# ---- the state directory ----

@pytest.mark.parametrize("damage", [lambda text: "", lambda text: text[:-30], lambda text: "\0" * 100,
                                    lambda text: text.replace("IN", "XX")], ids=["empty", "cut", "zeroes", "words"])
def test_a_damaged_state_file_is_said_and_made_anew(anchor, old, damage):
    before, state = anchor.files(), anchor.folder / "root.key.5011"
    state.write_text(damage(state.read_text()))
    assert anchor.run() == UNCHANGED and anchor.trusted() == {old.tag}
    assert f"{state} is damaged" in anchor.log
    assert anchor.run() == UNCHANGED and "damaged" not in anchor.log
    assert set(anchor.files()) == set(before)


def test_a_lost_anchor_file_is_written_again(anchor, old):
    anchor.file.unlink()
    assert anchor.run() == CHANGED and anchor.trusted() == {old.tag}


def test_without_a_place_for_its_state_the_role_warns(anchor, old):
    anchor.keys["server.state-directory"] = "/proc"  # not even root can write there
    assert anchor.run() == NO_STATE
    assert "not tracked" in anchor.log and "server.state-directory" in anchor.log


def test_an_end_in_the_middle_of_writing_leaves_whole_files(anchor, root, old):
    """The kernel stops each write at a limit, and kills where the program tries to write on: everywhere once."""
    new = RootKey()
    root.publish([old, new], signed_by=[old])
    anchor.configured.write_text(old.anchor() + new.anchor())
    before, ends, leftovers = anchor.files(), set(), set()
    whole = len(before["root.key.5011"]) * 2
    for limit in range(0, whole, 20):
        ends.add(anchor.run(None, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))))
        now = anchor.files()
        leftovers |= set(now) - set(before)
        if now["root.key.5011"] != before["root.key.5011"]:
            break
        assert {name: now[name] for name in before} == before
    assert NO_STATE in ends and -25 in ends and leftovers, "stopped in our own writing, and killed in libunbound's"
    anchor.run()
    assert set(anchor.files()) == set(before) and anchor.trusted() == {old.tag, new.tag}

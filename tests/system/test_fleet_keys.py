# SPDX-License-Identifier: BSD-3-Clause
"""resolverctl keys make, sign, list and revoke: as files, and what members of a fleet make of them."""

import base64
import json
import re
import shutil
import stat
import subprocess

import fleet_pb2
import pytest
from conftest import BUILD, wait_for
from fleet import make_member, make_store, origins, plan, ring, store  # noqa: F401
from scenarios import DANE, PLAIN, TA


def keys(*arguments, cwd, code=0):
    """What it prints."""
    done = subprocess.run([BUILD / "resolverctl", "keys", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=20)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout if code in (0, 76) else done.stderr


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def place(tmp_path):
    """With a root key, a member's and a ring of the root."""
    place = tmp_path / "keys"
    place.mkdir()
    for name in ("root", "m1"):
        keys("make", name, cwd=place)
    (place / "ring").write_text("# our fleet\n" + "".join(f"root {line}\n" for line in lines(place / "root.pub")))
    return place


def lines(path):
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def key_id_of(path):
    return re.search("[0-9a-f]{16}", path.read_text()).group()


def signed(place, name="m1", *options, root="root"):
    """The membership of NAME.pub."""
    path = place / f"{name}.membership"
    path.unlink(missing_ok=True)
    keys("sign", "--root", root, *options, "--output", path, f"{name}.pub", cwd=place)
    return path


# ---- files ----

def test_a_key_is_made_for_its_owner_and_never_overwritten(place):
    assert (mode(place / "root"), mode(place / "root.pub")) == (0o600, 0o644)
    before = (place / "root").read_bytes(), (place / "root.pub").read_bytes()
    assert "root" in keys("make", "root", cwd=place, code=73)
    (place / "half.pub").write_text("somebody's\n")
    keys("make", "half", cwd=place, code=73)
    assert not (place / "half").exists() and (place / "half.pub").read_text() == "somebody's\n"
    assert before == ((place / "root").read_bytes(), (place / "root.pub").read_bytes())


def test_a_made_key_is_one_for_the_daemon(place, make_daemon):
    daemon = make_daemon(signing__key_file=str(place / "m1"))
    assert lines(place / "m1.pub") == lines(daemon.directory / "resolverd.pub")


def test_a_membership_is_listed_and_judged_by_the_ring(place):
    signed(place, "m1", "--member", "mail-1", "--days", "30")
    listed = json.loads(keys("list", "ring", "m1.membership", "--json", cwd=place))["keys"]
    assert [entry["kind"] for entry in listed] == ["root", "membership"]
    one = listed[1]
    assert one["holds"] and one["member"] == "mail-1" and one["key_id"] == key_id_of(place / "m1.pub")
    assert one["signed_by"] == listed[0]["key_id"] == key_id_of(place / "root.pub")
    assert 30 * 86400_000 < one["not_after"] - one["not_before"] < 30 * 86400_000 + 120_000
    assert "holds" in keys("list", "ring", "m1.membership", cwd=place)


def test_a_membership_of_another_root_does_not_hold(place):
    keys("make", "other", cwd=place)
    signed(place, root="other")
    assert "DOES NOT HOLD" in keys("list", "ring", "m1.membership", cwd=place, code=76)
    assert "DOES NOT" not in keys("list", "m1.membership", cwd=place), "nobody said by whom to judge it"


def test_a_revoked_key_is_in_the_ring_once_and_out(place):
    signed(place)
    (place / "ring").chmod(0o640)
    (place / "ring").write_text((place / "ring").read_text().rstrip("\n"))  # as some editors leave it
    for who in ("m1.pub", key_id_of(place / "m1.pub")):
        keys("revoke", "ring", who, cwd=place)
    text = (place / "ring").read_text()
    assert text.startswith("# our fleet\nroot ") and text.count(f"revoked {key_id_of(place / 'm1.pub')}") == 1
    assert mode(place / "ring") == 0o640 and sorted(path.name for path in place.iterdir() if "ring." in path.name) == []
    assert "revoked" in keys("list", "ring", "m1.membership", cwd=place, code=76)


def test_a_link_to_the_ring_stays_one(place):
    (place / "fleet.keys").symlink_to("ring")
    keys("revoke", "fleet.keys", "m1.pub", cwd=place)
    assert (place / "fleet.keys").is_symlink() and "revoked" in (place / "ring").read_text()


def test_a_membership_does_not_speak_to_the_terminal(place):
    membership = fleet_pb2.Membership(long_term_key=bytes(32), member="\x1b[2Jm1", not_after=2**62)
    (place / "odd").write_bytes(base64.b64encode(fleet_pb2.SignedMembership(
        membership=membership.SerializeToString(), key_id=bytes(8), signature=bytes(64)).SerializeToString()))
    assert "\x1b" not in keys("list", "odd", cwd=place)
    assert json.loads(keys("list", "odd", "--json", cwd=place))["keys"][0]["member"] == "?[2Jm1"


@pytest.mark.parametrize("arguments, code, says", [
    (["make"], 64, "keys make wants"),
    (["sign", "m1.pub"], 64, "--root"),
    (["sign", "--root", "root", "--days", "0", "m1.pub"], 64, "1 to 3660"),
    (["sign", "--root", "root", "--days", "9999", "m1.pub"], 64, "1 to 3660"),
    (["sign", "--root", "root", "--days", "1x", "m1.pub"], 64, "1 to 3660"),
    (["sign", "--root", "root", "--days", "4294967297", "m1.pub"], 64, "1 to 3660"),
    (["sign", "--root", "root", "--member", "m" * 256, "m1.pub"], 64, "too long"),
    (["sign", "--root", "root", "--member", "m1\nm2", "m1.pub"], 64, "printable"),
    (["sign", "--root", "root.pub", "m1.pub"], 65, "may be read by others"),
    (["sign", "--root", "none", "m1.pub"], 66, "cannot read none"),
    (["sign", "--root", "root", "none.pub"], 65, "none.pub"),
    (["sign", "--root", "garbage", "m1.pub"], 65, "no signing key"),
    (["sign", "--root", "root", "two.pub"], 65, "2 keys"),
    (["sign", "--root", "root", "--output", "ring", "m1.pub"], 73, "exists"),
    (["list"], 64, "keys list wants"),
    (["list", "none"], 66, "cannot read none"),
    (["list", "garbage"], 65, "neither a membership nor a key ring"),
    (["revoke", "ring"], 64, "keys revoke wants"),
    (["revoke", "none", "0123456789abcdef"], 66, "cannot read none"),
    (["revoke", "garbage", "0123456789abcdef"], 65, "garbage:1"),
    (["revoke", "ring", "0123456789abcde"], 65, "16 hexadecimal digits"),
    (["forget"], 64, "make, sign, list or revoke"),
], ids=lambda value: "-".join(value) if isinstance(value, list) else "")
def test_what_is_wrong_is_said(place, arguments, code, says):
    (place / "garbage").write_text("no key at all\n")
    (place / "garbage").chmod(0o600)
    (place / "two.pub").write_text((place / "m1.pub").read_text() + (place / "root.pub").read_text())
    before = (place / "ring").read_bytes()
    assert says in keys(*arguments, cwd=place, code=code)
    assert (place / "ring").read_bytes() == before


# ---- members ----

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server")


@pytest.fixture
def make_pod(place, make_member):  # noqa: F811
    """A member with a key of its own, which no ring lists; name: its signing.member, and that of its files."""
    def make(name, *options, **more):
        if not (place / name).exists():
            keys("make", name, cwd=place)
        membership = signed(place, name, *options)
        return make_member(in_ring=False, signing__key_file=str(place / name), signing__member=name,
                           fleet__trusted_keys=str(place / "ring"), fleet__membership_file=str(membership), **more)
    return make


@needs_redis
def test_pods_need_no_list_of_each_other(make_pod):
    first, second = make_pod("m1", "--member", "m1"), make_pod("pod-2", "--member", "pod-2")
    assert plan(first) and set(origins(second)) == {"m1"}
    plan(second, PLAIN)
    assert set(origins(first, PLAIN)) == {"pod-2"}


@needs_redis
def test_a_membership_is_for_the_name_it_says(make_pod):
    first, second = make_pod("m1", "--member", "somebody-else"), make_pod("pod-2")
    plan(first)
    assert set(origins(second)) == {""}


@needs_redis
def test_a_revoked_pod_is_out_with_its_facts(make_pod, place, queries):
    first, second = make_pod("m1"), make_pod("pod-2")
    plan(first)
    assert set(origins(second)) == {"m1"}
    keys("revoke", "ring", "m1.pub", cwd=place)
    second.reload("")
    queries.mark()
    assert set(origins(second)) == {""} and queries.seen(), "looked up anew"
    keys("revoke", "ring", "root.pub", cwd=place)
    for member in (first, second):
        member.reload("")
    plan(second, TA)
    assert set(origins(first, TA)) == {""}, "with the root all whom it vouched for are out"


@needs_redis
def test_a_member_changes_its_key_and_no_fact_is_refused(make_pod, place):
    """Both keys vouch, the membership changes, the old key goes: at each step the other member takes what is found."""
    first, second = make_pod("m1"), make_pod("pod-2")
    keys("make", "m1-next", cwd=place)

    def shared(name):
        plan(first, name)
        return set(origins(second, name))

    assert shared(DANE) == {"m1"}
    first.keys.pop("signing.key-file")
    both = f'signing {{ key-file = "{place / "m1"}"\n second-key-file = "{place / "m1-next"}" }}\n'
    assert restarted(first, both) and shared(TA) == {"m1"}
    signed(place, "m1-next")
    shutil.copy(place / "m1-next.membership", place / "m1.membership")
    first.reload(both)
    assert shared(PLAIN) == {"m1"}
    only = f'signing {{ key-file = "{place / "m1-next"}" }}\n'
    first.reload(only)
    assert shared("insecure.com") == {"m1"}


def restarted(member, text):
    """With its key in the configuration file, so that a reload may change it."""
    member.stop()
    member.config_path.write_text(text)
    member.start()
    return wait_for(lambda: member.log().count("fleet: connected") >= 2, 10, member.log)

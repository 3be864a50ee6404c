# SPDX-License-Identifier: BSD-3-Clause
"""resolverctl match: exit status and JSON as docs/JSON.md has them. It asks no daemon."""

import datetime
import json
import subprocess

import pytest
from certs import DER, PEM, Authority
from conftest import BUILD

HOST = "mx1.example.org"
AUTHORITY = Authority()
KEYS = ["verdict", "depth", "record", "reason", "name", "failure_type"]


def tlsa(usage, selector, matching_type, what="leaf"):
    data = AUTHORITY.tlsa_data(what, f"_25._tcp.{HOST}", selector, matching_type)
    return f"{usage} {selector} {matching_type} {data}"


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """As a server has it: private key, certificate, authority."""
    AUTHORITY.leaf(HOST)
    directory = tmp_path_factory.mktemp("match") / "tls"
    AUTHORITY.write(directory)
    return directory / f"{HOST}.pem"


def match(chain, *records, base=HOST, names=(), time=None):
    """(exit status, JSON)"""
    options = [f"--tlsa={record}" for record in records] + [f"--name={name}" for name in names]
    options += [f"--time={time}"] if time is not None else []
    done = subprocess.run([str(BUILD / "resolverctl"), "--socket", "/nonexistent", "match", "--json", "--chain",
                           str(chain), "--base-domain", base, *options], capture_output=True, text=True, timeout=10)
    return done.returncode, json.loads(done.stdout)


def test_a_match_says_which_record_and_where(chain):
    code, out = match(chain, tlsa(2, 1, 1, "spare:1"), tlsa(3, 1, 1))
    assert code == 0 and list(out) == KEYS
    assert out["verdict"] == "match" and out["depth"] == 0 and out["record"] == tlsa(3, 1, 1)
    assert out["name"] is None and out["failure_type"] is None


def test_i05_a_trust_anchor_needs_one_of_the_names(chain):
    code, out = match(chain, tlsa(2, 0, 1, "ca"), base="other.example.org", names=["example.net", "MX1.example.org."])
    assert (code, out["verdict"], out["depth"], out["name"]) == (0, "match", 1, HOST)
    code, out = match(chain, tlsa(2, 0, 1, "ca"), base="other.example.org")
    assert (code, out["verdict"], out["failure_type"]) == (1, "no-match", "certificate-host-mismatch")
    assert out["depth"] is None and out["record"] is None


def test_h13_the_time_can_be_chosen(chain):
    later = int((datetime.datetime.now() + datetime.timedelta(days=60)).timestamp())
    assert match(chain, tlsa(2, 0, 1, "ca"))[0] == 0
    assert match(chain, tlsa(2, 0, 1, "ca"), time=later)[1]["failure_type"] == "certificate-expired"
    assert match(chain, tlsa(3, 0, 1), time=later)[0] == 0


def test_h14_h17_nothing_usable_is_2(chain):
    code, out = match(chain, tlsa(1, 1, 1), tlsa(3, 1, 1)[:-2], "3 1 1")
    assert (code, out["verdict"], out["failure_type"]) == (2, "unusable", "tlsa-invalid")


def test_blanks_within_the_hex_are_fine(chain):
    record = tlsa(3, 1, 1)
    assert match(chain, record[:30] + " " + record[30:].upper())[1]["record"] == record


def damaged(chain):
    lines = chain.read_text().splitlines()
    at = lines.index("-----BEGIN CERTIFICATE-----")
    return "\n".join(lines[:at + 2] + lines[at + 3:])


@pytest.mark.parametrize("content", [
    lambda chain: "",
    lambda chain: "no certificate\n",
    lambda chain: AUTHORITY.leaf(HOST)[1].public_bytes(DER).hex(),
    damaged,
    lambda chain: AUTHORITY.leaf(HOST)[1].public_bytes(PEM).decode()[:200],
    lambda chain: AUTHORITY.leaf(HOST)[1].public_bytes(PEM).decode() * 33,
    lambda chain: " " * (1 << 20) + "\n",
], ids=["empty", "text", "der", "damaged", "cut", "33-certificates", "over-1-mib"])
def test_a_bad_pem_is_65(chain, tmp_path, content):
    bad = tmp_path / "bad.pem"
    bad.write_text(content(chain))
    code, out = match(bad, tlsa(3, 1, 1))
    assert code == 65 and out["exit"] == 65 and str(bad) in out["error"]


def test_no_such_file_is_65(tmp_path):
    assert match(tmp_path / "none.pem", tlsa(3, 1, 1))[0] == 65


@pytest.mark.parametrize("record", ["", "3 1", "3 1 1 abc", "3 1 1 xyz0", "256 1 1 ab", "-3 1 1 ab", "3 1 1ab"])
def test_what_is_no_record_is_64(chain, record):
    code, out = match(chain, record)
    assert code == 64 and out["exit"] == 64


def test_a_bad_name_or_time_is_64(chain):
    code, out = match(chain, tlsa(3, 1, 1), base="a..b")
    assert code == 64 and '"a..b": it has an empty label' in out["error"]
    assert match(chain, tlsa(3, 1, 1), time="noon")[0] == 64
    assert match(chain)[0] == 64

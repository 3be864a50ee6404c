# SPDX-License-Identifier: BSD-3-Clause
"""The combination table as docs/PROTOCOL.md prints it: total, and the one that tests/vectors/plan.json holds.

The tables are read, not copied: each cell is a condition in words, and a word that this file does not know fails the test.
"""

import collections
import itertools
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
MANUAL = (ROOT / "docs" / "PROTOCOL.md").read_text()
VECTORS = json.loads((ROOT / "tests" / "vectors" / "plan.json").read_text())
PROTO = (ROOT / "proto" / "resolverd.proto").read_text()
LATER = 99  # a value that this version does not know


def enum(name):
    """{word: number} of one enum of the protocol."""
    body = re.search(rf"^enum {name} \{{(.*?)^\}}", PROTO, re.M | re.S)[1]
    return {word: int(number) for word, number in re.findall(r"^  (\w+) = (\d+);", body, re.M)}


STATUS, REQUIREMENT, POLICY, REASON = enum("Status"), enum("Requirement"), enum("Policy"), enum("HostReason")
INSECURE_MX, KIND = enum("InsecureMxPolicy"), enum("RouteKind")
WORD_OF_POLICY = {POLICY[word]: word.lower().replace("_", "-") for word in ("DANE", "TLS_NO_AUTH", "OPPORTUNISTIC", "UNREACHABLE")}


def values(of):
    return [*of.values(), LATER]


def section(title):
    return re.search(rf"^### {title}$(.*?)^##", MANUAL, re.M | re.S)[1]


def tables(text):
    """Each table as rows of cells: dicts by the words of the header ("→ policy" is a result, "policy" a condition)."""
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        header, _, *rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        header = [word.removeprefix("host ").strip("`") for word in header]
        yield [dict(zip(header, row)) for row in rows]


def fits(cell, value, of):
    """Does a value of an enum fit a cell such as "`A`, `B`", "not `A`, not `B`", "0, any other", "any"?"""
    if cell in ("any", "either"):  # of what the rows before leave
        return True
    words = [word.strip() for word in cell.split(",")]
    denied = [word.removeprefix("not ").strip("`") for word in words if word.startswith("not ")]
    if denied:
        assert len(denied) == len(words), cell
        return value not in [of[word] for word in denied]
    named = [word.strip("`") for word in words]
    return any(value == of[word] if word in of else other_word(word, value, of) for word in named)


def other_word(word, value, of):
    assert word in ("0", "any other"), word
    return value == 0 if word == "0" else value not in of.values()


# ---- one host, from the printed tables ----

HOST_ROWS, REQUIREMENT_ROWS = tables(section("Each host"))
NAMES = {"none": "none", "base": "base", "base and next hop": "base-and-next-hop"}
Verdict = collections.namedtuple("Verdict", "policy reason names would_refuse")


def first_row(mx, insecure_mx, policy):
    for row in HOST_ROWS:
        if fits(row["mx_status"], mx, STATUS) and fits(row["policy"], policy, POLICY) and fits(
                row["insecure_mx_policy"], insecure_mx, INSECURE_MX):
            return row
    raise AssertionError(f"no row for mx {mx}, insecure MX policy {insecure_mx}, policy {policy}")


def results(row):
    return row["→ policy"], row["→ reason"], row["→ names"]


def verdict_of(row, reason):
    policy, why, names = results(row)
    return Verdict(policy.strip("`"), reason if why == "the host's" else REASON[why.strip("`")], NAMES[names], False)


def is_connectable(row, reason):
    low, high, last, *reasons = re.search(
        r"\*Connectable\* rows are (\d) to (\d), and (\d) with reason `(\w+)` or `(\w+)`", MANUAL.replace("\n", " ")).groups()
    number = row["#"]
    return low <= number <= high or (number == last and reason in [REASON[word] for word in reasons])


CONDITIONS = {  # of the second table; `other` is what the rows of the same requirement before it leave
    "any": lambda row, verdict, connectable: True,
    "any other": lambda row, verdict, connectable: True,
    "5, or any that is `unreachable`": lambda row, verdict, connectable: row["#"] == "5" or verdict.policy == "unreachable",
    "`unreachable` and connectable": lambda row, verdict, connectable: verdict.policy == "unreachable" and connectable,
    "connectable, not `opportunistic`": lambda row, verdict, connectable: connectable and verdict.policy != "opportunistic",
}


def after_requirement(requirement, row, verdict, reason):
    cell, connectable = None, is_connectable(row, reason)
    for rule in REQUIREMENT_ROWS:
        policy, why, names = results(rule)
        cell = rule["requirement"] or cell  # an empty cell repeats the one above
        if not fits(cell, requirement, REQUIREMENT) or not CONDITIONS[rule["row"]](row, verdict, connectable):
            continue
        if policy == "as above":
            assert (why, names) == ("as above", "as above")
            return rule, verdict
        word, _, mark = policy.partition(", ")
        assert mark in ("", "*would refuse*")
        return rule, Verdict(word.strip("`"), REASON[why.strip("`")], NAMES[names], bool(mark))
    raise AssertionError(f"no row for requirement {requirement}, row {row['#']}")


COMBINATIONS = list(itertools.product(values(STATUS), values(REQUIREMENT), values(INSECURE_MX), values(POLICY), values(REASON)))


def test_every_combination_has_a_row_in_the_manual_and_it_is_that_of_the_vectors():
    rows = {tuple(row[:5]): row[5:] for row in VECTORS["hosts"]}
    assert len(rows) == len(VECTORS["hosts"]) == len(COMBINATIONS) and rows.keys() == set(COMBINATIONS)
    used = set()
    for given in COMBINATIONS:
        mx, requirement, insecure_mx, policy, reason = given
        row = first_row(mx, insecure_mx, policy)
        rule, verdict = after_requirement(requirement, row, verdict_of(row, reason), reason)
        used |= {row["#"], id(rule)}
        want_policy, *want = rows[given]
        assert [verdict.policy, *verdict[1:]] == [WORD_OF_POLICY[want_policy], *want], given
    assert used == {row["#"] for row in HOST_ROWS} | {id(rule) for rule in REQUIREMENT_ROWS}, "a row that nothing fits"


# ---- the route, and the whole ----

def route_outcome(kind, mx):
    cell = None
    for row in next(tables(section("The route"))):
        cell = row["mx_status"] or cell
        if fits(cell, mx, STATUS) and fits(row["kind"], kind, KIND):
            return None if row["outcome"] == "decided by the hosts" else row["outcome"].strip("`")
    raise AssertionError(f"no row for kind {kind}, mx {mx}")


def test_every_route_has_a_row_in_the_manual_and_it_is_that_of_the_vectors():
    given = {(kind, mx) for kind in values(KIND) for mx in values(STATUS)}
    assert {(kind, mx) for kind, mx, _ in VECTORS["routes"]} == given and len(VECTORS["routes"]) == len(given)
    for kind, mx, want in VECTORS["routes"]:
        assert route_outcome(kind, mx) == want, (kind, mx)


def whole_outcome(policies, reasons):
    """The third table, whose three rows are sentences: these must be the ones we know."""
    rows = {row["hosts"]: row["outcome"] for row in next(tables(section("The whole")))}
    fitting = {
        "at least one not `unreachable`": any(policy != POLICY["UNREACHABLE"] for policy in policies),
        "at least one, all `unreachable` with reason `NO_ADDRESS`": set(reasons) == {REASON["NO_ADDRESS"]},
        "otherwise, none at all included": True,
    }
    assert list(rows) == list(fitting)
    return next(re.match(r"`([\w-]+)`", rows[sentence])[1] for sentence, fits_it in fitting.items() if fits_it)


def test_the_whole_plans_of_the_vectors_come_out_as_the_manual_says():
    decided = 0
    for plan in VECTORS["plans"]:
        outcome = route_outcome(plan["kind"], plan["mx_status"])
        if outcome is None:
            hosts = plan["want"]["hosts"]
            outcome = whole_outcome([host["policy"] for host in hosts], [host["reason"] for host in hosts])
            decided += 1
        assert plan["want"]["outcome"] == outcome, plan["name"]
    assert decided > 20

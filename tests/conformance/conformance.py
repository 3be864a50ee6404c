#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which wanted case has which test, and whether it passed.

Usage: conformance.py [--brief] [--write] RESULTS

RESULTS is where `make unit` and `make system` leave what they ran: unit-*.log of cmocka, system-*.xml of pytest. A test belongs to the
cases that its name begins with (test_f05_f06_…, "K01, K02: …") or that end its parameters (test_scenario[insecure-host-F05-F06]).

Fails when a wanted case has no test that passed or one that failed, when a test names a case that is not in cases.py, and when
docs/CONFORMANCE.md is not what --write makes of these results. --brief prints what is wrong and the count only.
"""

import argparse
import collections
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

from cases import CASES, GROUPS, LATER, WANTED, cases

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "CONFORMANCE.md"
BEGINNING = re.compile(r"(?:test_)?((?:[a-n]\d\d(?:_|, |: ))+)", re.IGNORECASE)
PARAMETERS = re.compile(r"\[(.*?)((?:-[A-N]\d\d)+)\]$")
ID = re.compile(r"[A-N]\d\d")
CMOCKA_LINE = re.compile(r"\[ +(RUN|OK|FAILED|SKIPPED) +\] (?!\d+ test\(s\))(.*)")

Test = collections.namedtuple("Test", "where name result")  # result: passed, failed, skipped


# ---- what was run ----

def parse_cmocka(output):
    """{test: passed, failed or skipped}. One that began and did not end took its program with it: failed."""
    results = {}
    for line in output.splitlines():
        found = CMOCKA_LINE.match(line)
        if found:
            results[found[2]] = {"OK": "passed", "SKIPPED": "skipped"}.get(found[1], "failed")
    return results


def unit_tests(log):
    where = log.stem.replace("unit-", "unit/")
    return [Test(where, name, result) for name, result in parse_cmocka(log.read_text(errors="replace")).items()]


def system_tests(report):
    for case in xml.parse(report).iter("testcase"):
        bad = case.find("failure") is not None or case.find("error") is not None
        result = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
        yield Test(case.get("classname").removeprefix("tests.").replace(".", "/"), case.get("name"), result)


def all_tests(results):
    tests = [test for log in sorted(results.glob("unit-*.log")) for test in unit_tests(log)]
    return tests + [test for report in sorted(results.glob("system-*.xml")) for test in system_tests(report)]


# ---- which cases they are about ----

def ids_of(name):
    function, _, _ = name.partition("[")
    beginning, parameters = BEGINNING.match(function), PARAMETERS.search(name)
    text = (beginning[1] if beginning else "") + (parameters[2] if parameters else "")
    return list(dict.fromkeys(ID.findall(text.upper())))


def by_case(tests):
    """id → its tests, for every case; and complaints about ids that are none."""
    found, unknown = {case_id: [] for case_id in CASES}, []
    for test in tests:
        for case_id in ids_of(test.name):
            if case_id in found:
                found[case_id].append(test)
            else:
                unknown.append(f"{test.where}: {test.name}: there is no case {case_id}")
    return found, unknown


def verdict(tests):
    count = collections.Counter(test.result for test in tests)
    return "passed" if count["passed"] and not count["failed"] else "failed"


# ---- the document ----

def tests_cell(tests):
    """Names by file. Parameters are told only where they name the case, and then the function stands with the file."""
    names = {}
    for test in tests:
        function, parameters = test.name.partition("[")[0], PARAMETERS.search(test.name)
        place = f"{test.where} {function}" if parameters else test.where
        names.setdefault(place, set()).add(parameters[1] if parameters else function)
    return "<br>".join(f"{place}: {', '.join(f'`{name}`' for name in sorted(found))}" for place, found in sorted(names.items()))


INTRODUCTION = """\
# Conformance

The rules of RFC 7672, RFC 7671 and RFC 7505 as cases, and the tests that hold the daemon and the plans to them. `make conformance` runs
the tests, prints this list with what passed, and fails when a case without a test is wanted or one fails. `make mutants` removes the
rules one by one and sees that the tests notice. This file is generated: `make conformance WRITE=1`.

Levels are those of the RFCs; *def* is plain text of an RFC, *derived* is needed to make one hold in a cache or a daemon. **†** marks
rules that bind the sender once it has the plan: here a test holds the plan to what makes them possible.

"""


def document(found):
    lines = [INTRODUCTION]
    wanted = sum(case.state == WANTED for case in CASES.values())
    lines.append(f"{wanted} cases are wanted; {len(CASES) - wanted} belong to the delivering side and come with it.\n")
    for group in GROUPS:
        title, state, _ = group
        lines.append(f"\n## {title}\n")
        if state == LATER:
            lines.append(f"\nNot yet: {', '.join(f'{case.id} ({case.text})' for case in cases(group))}.\n")
            continue
        lines.append("\n| id | level | case | tests |\n| --- | --- | --- | --- |\n")
        lines += [f"| {case.id} | {case.level} | {case.text} | {tests_cell(found[case.id])} |\n" for case in cases(group)]
    return "".join(lines)


# ---- the table ----

def row(case, tests):
    count = collections.Counter(test.result for test in tests)
    what = f"{count['passed']:3} passed" + (f", {count['failed']} failed" if count["failed"] else "") if tests else "no test"
    return f"{case.id}  {case.level:10}  {case.text:84}  {what if case.state == WANTED else case.state}"


def print_table(found, brief):
    for group in GROUPS:
        rows = [row(case, found[case.id]) for case in cases(group)
                if not brief or (case.state == WANTED and verdict(found[case.id]) == "failed")]
        if rows and not brief:
            print(f"\n{group[0]}")
        for line in rows:
            print(line)


def main():
    parser = argparse.ArgumentParser(description="Which wanted case has which test, and whether it passed.")
    parser.add_argument("--brief", action="store_true", help="print what is wrong and the count only")
    parser.add_argument("--write", action="store_true", help="write docs/CONFORMANCE.md")
    parser.add_argument("results", type=pathlib.Path)
    options = parser.parse_args()
    tests = all_tests(options.results)
    found, complaints = by_case(tests)
    complaints += [f"{test.where}: {test.name} failed" for test in tests if test.result == "failed"]
    text = document(found)
    if options.write:
        DOCUMENT.write_text(text)
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != text:
        complaints.append("docs/CONFORMANCE.md is not of these tests: make conformance WRITE=1")
    print_table(found, options.brief)
    if not options.brief:
        print()
    for complaint in complaints:
        print(complaint)
    verdicts = collections.Counter(verdict(found[case.id]) for case in CASES.values() if case.state == WANTED)
    print(f"cases: {verdicts['passed']} passed, {verdicts['failed']} failed")
    return 1 if verdicts["failed"] or complaints else 0


if __name__ == "__main__":
    sys.exit(main())

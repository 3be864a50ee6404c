# SPDX-License-Identifier: BSD-3-Clause
"""The runner itself: what it takes for a pass, and what makes it fail."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import conformance
import mutants
from cases import CASES, WANTED

WANTED_IDS = [case.id for case in CASES.values() if case.state == WANTED]
REPORT = '<testsuites><testsuite><testcase classname="tests.system.test_x" name="{name}">{inner}</testcase></testsuite></testsuites>'


def log_of(lines):
    return "".join(f"[ RUN      ] {name}\n" + (f"[ {word} ] {name}\n" if word else "") for name, word in lines)


@pytest.fixture
def outcome(tmp_path, monkeypatch, capsys):
    """outcome({test: word}, …) → (exit code, output); every wanted case passes but for what is given."""

    def run(unit, report=None, document_is_current=True, without=()):
        good = [(f"{case_id.lower()}_good", "      OK") for case_id in WANTED_IDS if case_id not in without]
        (tmp_path / "unit-test_x.log").write_text(log_of([*good, *unit.items()]))
        if report:
            (tmp_path / "system-x.xml").write_text(REPORT.format(name=report[0], inner=report[1]))
        monkeypatch.setattr(conformance, "DOCUMENT", tmp_path / "CONFORMANCE.md")
        monkeypatch.setattr(sys, "argv", ["conformance.py", "--write", str(tmp_path)])
        conformance.main()
        if not document_is_current:
            (tmp_path / "CONFORMANCE.md").write_text("old")
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["conformance.py", str(tmp_path)])
        return conformance.main(), capsys.readouterr().out

    return run


def test_all_wanted_cases_with_a_test_that_passed_are_fine(outcome):
    code, output = outcome({"no_case_at_all": "      OK"})
    assert code == 0 and output.endswith(f"cases: {len(WANTED_IDS)} passed, 0 failed\n")


@pytest.mark.parametrize("unit, report, without", [
    ({}, None, ["F05"]),
    ({"f05_x": " FAILED "}, None, []),
    ({"f05_x": ""}, None, []),
    ({"f05_x": " SKIPPED"}, None, ["F05"]),
    ({}, ("test_f05_x", "<failure/>"), []),
    ({}, ("test_scenario[some-domain-E01-F05]", "<error/>"), []),
    ({}, ("test_f05_x", "<skipped/>"), ["F05"]),
], ids=["no-test", "failed", "crashed", "skipped", "system-failed", "scenario-error", "system-skipped"])
def test_a_wanted_case_without_a_test_that_passed_or_with_one_that_failed_fails(outcome, unit, report, without):
    code, output = outcome(unit, report, without=without)
    assert code == 1 and not output.endswith(" 0 failed\n"), output


def test_a_failed_test_of_no_case_fails_too(outcome):
    code, output = outcome({"whatever": " FAILED "})
    assert code == 1 and "unit/test_x: whatever failed" in output


def test_an_id_that_is_no_case_fails(outcome):
    code, output = outcome({"f99_x": "      OK"})
    assert code == 1 and "there is no case F99" in output


def test_an_old_document_fails(outcome):
    code, output = outcome({}, document_is_current=False)
    assert code == 1 and "WRITE=1" in output


@pytest.mark.parametrize("name, ids", [
    ("f05_f06_insecure", ["F05", "F06"]), ("test_b14_m06_live", ["B14", "M06"]), ("K01, K02, K04: mandatory", ["K01", "K02", "K04"]),
    ("test_scenario[insecure-host-F05-F06]", ["F05", "F06"]), ("test_f05_x[some-E01]", ["F05", "E01"]),
    ("a_host_b12_inside", []), ("test_scenario[mx-E01-x]", []), ("test_x[B13 in the middle]", []), ("f05", []), ("abc01_x", []),
])
def test_ids_stand_at_the_beginning_or_end_the_parameters(name, ids):
    assert conformance.ids_of(name) == ids


def test_a_mutant_whose_text_is_gone_or_whose_case_is_none_is_told():
    known = next(mutants.table())
    assert list(mutants.complaints([known])) == []
    for change, what in (({"old": "no such text"}, "0 times"), ({"old": "return"}, "times"), ({"file": "no/such.c"}, "no/such.c"),
                         ({"ids": ("F99",)}, "F99"), ({"ids": ()}, "no case"), ({"test": "test_none"}, "test_none")):
        (complaint,) = mutants.complaints([mutants.dataclasses.replace(known, **change)])
        assert what in complaint

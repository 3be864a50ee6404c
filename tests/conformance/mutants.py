#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Removes the rules one by one, and sees that a test of their case fails.

Usage: mutants.py --check           is mutants.txt of this source?
       mutants.py BUILD [WORD]…     kill them all, or those whose rule, file or ids hold a WORD

`make mutants` gives the compiler in MUTANT_COMPILE, MUTANT_LINK, MUTANT_LIBS. For each mutant one source file is compiled and put
before the libraries in BUILD, so that its object takes the place of the good one in one unit test. The source tree stays as it is.
"""

import concurrent.futures
import dataclasses
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

from cases import CASES
from conformance import ids_of, parse_cmocka

ROOT = pathlib.Path(__file__).parents[2]
TABLE = pathlib.Path(__file__).with_name("mutants.txt")
RUN_TIMEOUT_S = 60


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One block of mutants.txt: what rule is removed, how, and which cases of which unit test must notice."""

    rule: str
    file: str
    test: str
    ids: tuple
    old: str
    new: str

    def source(self):
        """The whole file without the rule."""
        text = (ROOT / self.file).read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.rule}: {self.file} has {text.count(self.old)} times, not once:\n{self.old}")
        return text.replace(self.old, self.new)


def table():
    """Blocks between empty lines: the rule, "FILE TEST ID…", the old lines after "-", the new ones after "+"."""
    blocks = TABLE.read_text().split("\n\n")
    for block in blocks[1:]:  # the first is about the file
        rule, place, *lines = block.strip("\n").split("\n")
        file, test, *ids = place.split()
        old, new = ("\n".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")
        yield Mutant(rule, file, test, tuple(ids), old, new)


def complaints(mutants):
    for mutant in mutants:
        unknown = [case_id for case_id in mutant.ids if case_id not in CASES]
        if unknown or not mutant.ids:
            yield f"{mutant.rule}: no case {' '.join(unknown)}"
        if not (ROOT / "tests" / "unit" / f"{mutant.test}.c").exists():
            yield f"{mutant.rule}: no unit test {mutant.test}"
        try:
            mutant.source()
        except (ValueError, OSError) as error:
            yield str(error)


def failed_ids(program):
    """Case ids of the tests that failed in a run of a unit test."""
    try:
        done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=RUN_TIMEOUT_S)
        output = done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        output = b"".join(part for part in (error.stdout, error.stderr) if part).decode(errors="replace")
    return {case_id for name, result in parse_cmocka(output).items() if result == "failed" for case_id in ids_of(name)}


def tool(name):
    return shlex.split(os.environ[name])


def kill(mutant, build, directory):
    """The complaint of one that survived, else None."""
    source, made, program = (pathlib.Path(directory) / name for name in ("mutant.c", "mutant.o", "test"))
    source.write_text(mutant.source())
    subprocess.run([*tool("MUTANT_COMPILE"), "-o", made, source], cwd=ROOT, check=True)
    objects = [build / "obj" / "tests" / "unit" / f"{mutant.test}.o", made, build / "libdaemon.a", build / "libresolverd.a"]
    subprocess.run([*tool("MUTANT_LINK"), "-o", program, *objects, *tool("MUTANT_LIBS")], cwd=ROOT, check=True)
    failed = failed_ids(program)
    if failed & set(mutant.ids):
        return None
    said = f"those of {' '.join(sorted(failed))} did" if failed else "no test with an id did"
    return f"survived: {mutant.rule} ({mutant.file}): {mutant.test} did not fail at {' '.join(mutant.ids)}; {said}"


def kill_in_directory_of_its_own(mutant, build):
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        return kill(mutant, build, directory)


def main(arguments):
    mutants = list(table())
    if arguments == ["--check"]:
        found = list(complaints(mutants))
        print("\n".join(found) if found else f"{len(mutants)} mutants fit the source")
        return 1 if found else 0
    build, *words = arguments
    build = pathlib.Path(build).resolve()
    mutants = [m for m in mutants if not words or any(word in f"{m.rule} {m.file} {' '.join(m.ids)}" for word in words)]
    for test in sorted({mutant.test for mutant in mutants}):
        if failed_ids(build / "tests" / test):
            sys.exit(f"{test} fails without any mutant: mend that first")
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for complaint in pool.map(lambda mutant: kill_in_directory_of_its_own(mutant, build), mutants):
            if complaint:
                survivors += 1
                print(complaint, flush=True)
    print(f"{len(mutants) - survivors} mutants killed, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

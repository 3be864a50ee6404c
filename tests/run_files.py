#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs test files of pytest side by side, each in a world and a network namespace of its own: they mostly wait.

Usage: run_files.py RESULTS PATH…    (JOBS=3 in the environment says how many at once)

RESULTS/system-NAME.xml is the report of each; their times say which file begins first the next time. The output of a file with
failures is printed whole, of the others the closing line. The exit code is 1 if a file failed.

Many tests look at times: a machine that stood still for a second fails one that is right. So up to ALONE_MAX files with failures
run once more, one at a time with nothing beside them, and that run counts; the closing lines name them, for a test that is often
named there is to be mended.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).parent
FILE_TIMEOUT_S = 1200  # with the sanitizers, too
NO_TESTS = 5           # pytest's exit code
ALONE_MAX = 3          # more than these failed because of a change
COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?)\b")


def test_files(paths):
    for path in map(pathlib.Path, paths):
        yield from sorted(path.glob("test_*.py")) if path.is_dir() else [path]


def report_of(results, path):
    return results / f"system-{path.parent.name}-{path.stem}.xml"


def expected_s(report, path):
    """What the last run took, else a guess by size."""
    try:
        return sum(float(case.get("time")) for case in xml.parse(report).iter("testcase"))
    except (OSError, xml.ParseError, TypeError):
        return path.stat().st_size / 500


def run(path, report):
    command = [HERE / "world/run.py", "--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", path]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
                              timeout=FILE_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        return 1, f"{error.stdout or ''}\n{path}: no end within {FILE_TIMEOUT_S} s"
    return done.returncode, done.stdout + done.stderr


def main():
    results, files = pathlib.Path(sys.argv[1]), list(test_files(sys.argv[2:]))
    results.mkdir(parents=True, exist_ok=True)
    reports = {path: report_of(results, path) for path in files}
    files.sort(key=lambda path: -expected_s(reports[path], path))
    for old in results.glob("system*.xml"):
        old.unlink()
    begin, counts, bad, alone = time.monotonic(), {}, [], []

    def tell(path, code, output):
        """Prints what a run said and returns whether it failed."""
        if code not in (0, NO_TESTS):
            print(output)
        closing = output.strip().rpartition("\n")[2]
        print(f"{path}: {closing}", flush=True)
        return code not in (0, NO_TESTS), {word: int(number) for number, word in COUNT.findall(closing)}

    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", "3"))) as pool:
        runs = {pool.submit(run, path, reports[path]): path for path in files}
        for done in concurrent.futures.as_completed(runs):
            path = runs[done]
            failed, counts[path] = tell(path, *done.result())
            if failed:
                bad.append(path)
    if len(bad) <= ALONE_MAX:
        alone, bad = sorted(bad), []
    for path in alone:
        print(f"{path}: once more, alone", flush=True)
        failed, counts[path] = tell(path, *run(path, reports[path]))
        if failed:
            bad.append(path)
    words = sorted({word for count in counts.values() for word in count})
    sums = ", ".join(f"{sum(count.get(word, 0) for count in counts.values())} {word}" for word in words)
    print(f"{sums} in {time.monotonic() - begin:.0f} s, {len(files)} files")
    for path in alone:
        if path not in bad:
            print(f"failed beside others, passed alone: {path}")
    for path in sorted(bad):
        print(f"failed: {path}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: BSD-3-Clause
"""A wall clock that a test moves, for processes under libfaketime. The monotonic clock stays as it is."""

import pathlib
import subprocess
import time

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


def _libraries(program):
    """What to preload: libfaketime, behind the AddressSanitizer where the program has it, which must come first."""
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    assert found, "libfaketime is missing: run make deps"
    linked = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    sanitizer = [line.split()[2] for line in linked if "libasan" in line]
    return ":".join([*sanitizer, str(found[0])])


class Clock:
    """A command with `prefix` before it sees this clock, and so do its children: `offset` seconds off the real one."""

    def __init__(self, directory, program):
        self.file = pathlib.Path(directory) / "clock"
        self.prefix = [
            "env",  # not the test's own environment: what is not built with the sanitizer may hang with both preloaded
            f"LD_PRELOAD={_libraries(program)}",
            f"FAKETIME_TIMESTAMP_FILE={self.file}",
            "FAKETIME_NO_CACHE=1",  # a change is seen at once
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ]
        self.move_to(0)

    def move_to(self, offset):
        self.offset = offset
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{offset:+d}\n")
        fresh.rename(self.file)

    def now(self):
        return time.time() + self.offset

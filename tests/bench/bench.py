#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Figures as ratios of one run, with the absolute beside them; inside tests/world/run.py --bulk N.

Every ratio compares two things in turn (A B A B …, the median of the rounds' ratios), on the same cores and the same world. Absolute
figures of two runs on a noisy machine can't be compared, ratios can. Writes build/bench.json, one flat object.

Usage: bench.py [--quick] [GROUP...]: with groups, only those, and nothing is written.
"""

import json
import os
import pathlib
import sys
import tempfile
import time
import traceback

import cold
import hot
import measure
import scale

GROUPS = {"hot": hot.hot, "instructions": hot.instructions, "scale": scale.scale, "start": scale.start, "connections": scale.connections,
          "attested": scale.attested, "client": scale.client, "cold": cold.cold, "one-off": cold.one_off, "restart": cold.restart}


def main():
    wanted = [word for word in sys.argv[1:] if word in GROUPS] or list(GROUPS)
    failed, begin = [], time.monotonic()
    print(f"{'figure':32} {'value':>12}   how it was measured ({'quick' if measure.QUICK else 'full'}, {os.cpu_count()} cores, servers on "
          f"{measure.SERVER_CORE}, clients on {measure.CLIENT_CORE})")
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="resolverd-bench-") as directory:
            group_begin = time.monotonic()
            try:
                GROUPS[name](pathlib.Path(directory))
            except Exception:  # the other rows are still wanted
                traceback.print_exc()
                failed.append(name)
            print(f"  {name}: {time.monotonic() - group_begin:.1f} s", flush=True)
    print(f"{time.monotonic() - begin:.0f} s" + (f"; without {', '.join(failed)}" if failed else ""))
    if wanted == list(GROUPS):
        target = measure.BUILD.parent / "bench.json"
        target.write_text(json.dumps(measure.results, indent=1) + "\n")
        print(f"written to {os.path.relpath(target)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

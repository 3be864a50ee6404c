# SPDX-License-Identifier: BSD-3-Clause
"""Latency of plans that are in the cache, one after the other, as JSON: hot.py SOCKET PUBLIC-KEY SECONDS DOMAIN…"""

import json
import pathlib
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "system"), str(HERE.parent / "world")]

import conftest  # noqa: E402,F401 (adds the generated protobuf code to the path)
import base64  # noqa: E402

import resolverd_pb2 as pb  # noqa: E402
from wire import Client  # noqa: E402


def main():
    path, public_key, seconds, *domains = sys.argv[1:]
    taken = []
    with Client(path, map(base64.b64decode, pathlib.Path(public_key).read_text().split())) as client:
        for domain in domains:
            client.ask(plan=pb.PlanRequest(next_hop=domain))
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            for domain in domains:
                begin = time.monotonic()
                response = client.ask(plan=pb.PlanRequest(next_hop=domain))
                taken.append(time.monotonic() - begin)
                assert not response.HasField("error") and response.answers, response
                time.sleep(0.0005)
    cuts = statistics.quantiles(taken, n=100)
    print(json.dumps({"requests": len(taken), "p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000, "max_ms": max(taken) * 1000}))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The generated load (load.c) with each rule of prefetch; writes build/sim.json, one flat object, and with --chart docs/prefetch.svg.

Usage: sim.py LOAD_PROGRAM [--chart]
"""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = {"ahead": "", "on-hit": "_on_hit", "off": "_off", "ideal": "_ideal"}
NAMES = {"ahead": "resolverd", "on-hit": "on a hit in the last tenth", "off": "no prefetch", "ideal": "knows the future"}
COLOURS = {"ahead": "#2a78c8", "on-hit": "#c8862a", "off": "#888888", "ideal": "#3a9a5a"}
TIME_LIMIT_S = 600


def run(program, *what):
    said = subprocess.run([program, *map(str, what)], check=True, stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT_S).stdout
    return json.loads(said)


def flat(found):
    """Of each rule the same keys; ours without a suffix."""
    expiry = found["off"]["upstream_queries"]
    figures = {}
    for rule, suffix in RULES.items():
        one = found[rule]
        figures |= {
            f"visible_misses_in_use{suffix}": one["visible_misses_in_use"],
            f"hit_ratio{suffix}": one["hit_ratio"],
            f"upstream_vs_expiry{suffix}": round(one["upstream_queries"] / expiry, 4),
            f"upstream_per_client_query{suffix}": one["upstream_per_client_query"],
        }
    ours, outage = found["ahead"], found["outage"]
    return figures | {
        "client_queries": ours["client_queries"],
        "client_queries_in_use": ours["in_use_queries"],
        "refreshes": ours["refreshes_started"],
        "refreshes_futile": ours["refreshes_futile"],
        "memory_held_vs_used_after_days": ours["memory_held_vs_used"],
        "outage_answers_outliving_it": outage["outage_answers_outliving_it"],
        "outage_answers_lost": outage["outage_answers_lost"],
        "outage_queries_for_live_answers_missed": outage["outage_queries_for_live_answers_missed"],
    }


def chart(found):
    """For names by how often they are asked in a TTL: the share of questions that wait, and upstream queries against plain expiry."""
    width, height, left, top, gap = 860, 250, 60, 40, 60
    low, high = -6, 8
    text = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {2 * (height + top) + gap}" font-family="sans-serif" font-size="13">',
            "<style>text{fill:#222}.grid{stroke:#ccc}.back{fill:#fff}"
            "@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}.back{fill:#161616}}</style>",
            '<rect class="back" width="100%" height="100%"/>']
    panels = [("questions that wait, in percent", 0, 100, lambda a, m, f, off: 100 * m / a),
              ("upstream queries, plain expiry = 1", 0.8, 2.0, lambda a, m, f, off: f / off)]
    expiry = {bucket: fetched for bucket, _, _, fetched in found["off"]["buckets"]}
    for number, (title, least, most, value) in enumerate(panels):
        y0 = top + number * (height + top + gap // 2)

        def x(bucket):
            return left + (bucket - low) * (width - left - 190) / (high - low)

        def y(v):
            return y0 + height - (min(max(v, least), most) - least) * height / (most - least)

        text.append(f'<text x="{left}" y="{y0 - 12}" font-weight="bold">{title}</text>')
        for step in range(5):
            v = least + (most - least) * step / 4
            text.append(f'<line class="grid" x1="{left}" x2="{x(high):.0f}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
                        f'<text x="{left - 8}" y="{y(v) + 4:.1f}" text-anchor="end">{v:g}</text>')
        for bucket in range(low, high + 1, 2):
            label = f"1/{2 ** -bucket}" if bucket < 0 else f"{2 ** bucket}"
            text.append(f'<text x="{x(bucket):.0f}" y="{y0 + height + 18}" text-anchor="middle">{label}</text>')
        for place, rule in enumerate(RULES):
            points = [f"{x(bucket):.1f},{y(value(asked, missed, fetched, expiry[bucket])):.1f}"
                      for bucket, asked, missed, fetched in found[rule]["buckets"] if low <= bucket <= high and asked and expiry[bucket]]
            text.append(f'<polyline fill="none" stroke-width="2.2" stroke="{COLOURS[rule]}" points="{" ".join(points)}"/>')
            if number == 0:
                text.append(f'<line x1="{x(high) + 14:.0f}" x2="{x(high) + 38:.0f}" y1="{y0 + 20 + 22 * place}" y2="{y0 + 20 + 22 * place}" '
                            f'stroke-width="3" stroke="{COLOURS[rule]}"/>'
                            f'<text x="{x(high) + 44:.0f}" y="{y0 + 24 + 22 * place}" font-size="11">{NAMES[rule]}</text>')
    text.append(f'<text x="{(left + width - 190) / 2:.0f}" y="{2 * (height + top) + gap - 8}" text-anchor="middle">'
                "how often a name is asked for in one of its lives</text></svg>")
    return "\n".join(text) + "\n"


def write(name, figures):
    target = ROOT / "build" / name
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=1) + "\n")


def main():
    program = sys.argv[1]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip([*RULES, "outage"], pool.map(lambda what: run(program, what), [*RULES, "outage"])))
    figures = flat(found)
    for name, value in figures.items():
        print(f"{name:42} {value}")
    write("sim.json", figures)
    if "--chart" in sys.argv:
        (ROOT / "docs" / "prefetch.svg").write_text(chart(found))


if __name__ == "__main__":
    main()

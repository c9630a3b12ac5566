#!/usr/bin/env python3
"""The ten questions of a dashboard, asked again and again of one server.

    cargo build --release
    python3 benches/dashboard.py --events 10000000

Generates three months of events as benches/funnel.py does, imports them, lets the server compact its table and asks each question once cold
and then in turn. Prints one JSON object: seconds of each question (first, median, worst), p95 over all, peak memory.
"""

import json
import os
import shutil
import statistics
import tempfile
import time

import funnel

RANGE = {"from": "2026-08-01", "to": "2026-10-30"}
MONTH = {"from": "2026-09-30", "to": "2026-10-30"}


def questions(url):
    def of(name, span=RANGE, **more):
        return lambda: funnel.call(f"{url}/api/v1/funnels/query", {"funnel": name, "range": span} | more)

    def by(*dimensions):
        return {"breakdown": {"by": list(dimensions)}}

    subjects = {"funnel": "linking", "range": MONTH, "show": "dropped", "step": 2, "limit": 50}
    span = f"from={MONTH['from']}&to={MONTH['to']}"
    return {
        "linking, 90 days": of("linking"),
        "linking by category": of("linking", **by("category")),
        "linking by integration": of("linking", **by("integration")),
        "linking by category and surface": of("linking", **by("category", "surface")),
        "trend of 90 days": of("linking", interval="day"),
        "this month beside the last, by category": of("linking", MONTH, compare="previous_period", **by("category")),
        "why they drop": of("linking", MONTH, include=["reasons"]),
        "success rates by integration and week": lambda: funnel.call(f"{url}/api/v1/success-rates?by=integration&interval=week&{span}"),
        "first link by entry point": of("first_link", **by("entry_point")),
        "who dropped at the choice": lambda: funnel.call(f"{url}/api/v1/funnels/subjects", subjects),
    }


def main():
    args = funnel.arguments(events=10_000_000, days=90, start=RANGE["from"], runs=10)
    temporary = None if args.work else tempfile.mkdtemp(prefix="linkfunnel-bench-")
    args.work = args.work or temporary
    os.makedirs(args.work, exist_ok=True)
    try:
        data = funnel.prepared(args)
        first = funnel.serving(args, data)
        first.settled(data)
        first.end()
        server = funnel.serving(args, data)
        took = {}
        for _ in range(args.runs + 1):
            for name, ask in questions(server.url).items():
                begun = time.perf_counter()
                ask()
                took.setdefault(name, []).append(time.perf_counter() - begun)
        warm = sorted(second for seconds in took.values() for second in seconds[1:])
        report = {
            "files": len(funnel.parquet_files(data)),
            "questions": {
                name: {"first_s": round(s[0], 3), "median_s": round(statistics.median(s[1:]), 3), "worst_s": round(max(s[1:]), 3)}
                for name, s in took.items()
            },
            "p50_s": round(statistics.median(warm), 3),
            "p95_s": round(warm[int(0.95 * len(warm))], 3),
            "peak_rss_bytes": funnel.memory_bytes(server.process.pid, "VmHWM"),
        }
        server.end()
        print(json.dumps(report, indent=2))
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()

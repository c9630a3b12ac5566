#!/usr/bin/env python3
"""The peer of linkfunnel's funnel query: ClickHouse's windowFunnel on the same rows, in this process's own chDB.

    python3 -m venv /tmp/chdb && /tmp/chdb/bin/pip install -r benches/requirements.txt
    /tmp/chdb/bin/python benches/clickhouse_funnel.py 'rows/*.parquet' --subject journey_key

Takes Parquet or NDJSON files (names or globs) with the columns event, occurred_at, the subject and the breakdown, as `linkfunnel
generate` and the table's own files have them. Answers "how many subjects reached each step, by category" on two layouts:

    files      the files as they are
    mergetree  loaded into a MergeTree ordered by (subject, time), keys as integers, words as dictionary codes, merged into one
               part: the best layout known for this question. Loading is timed apart.

Each layout runs in a process of its own, so its peak memory is its own; the engine's memory before the first query is given beside
it. Every run's time is printed, for both ways ClickHouse can group (hashing, or in the table's order). One JSON object on stdout.

What it counts differs from linkfunnel at the edges (windowFunnel takes a subject's best try, knows no open subjects, copies, late
identity or reasons), so the counts are printed for comparison, and only the times are compared.
"""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

STEPS = (
    "journey.started,attempt.opened,provider.selected,consent.granted,"
    "handoff.started,handoff.returned,connection.created,connection.linked"
)
WAYS = {"hash": 0, "in_order": 1}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", help="Parquet or NDJSON files, or globs of them")
    parser.add_argument("--steps", default=STEPS, help="event names, in order (default: %(default)s)")
    parser.add_argument("--window-s", type=int, default=86_400, help="window in seconds (default: %(default)s)")
    parser.add_argument("--subject", default="journey_id", help="column that names the subject (default: %(default)s)")
    parser.add_argument("--by", default="category", help="breakdown column, taken at the first step (default: %(default)s)")
    parser.add_argument("--layouts", default="files,mergetree", help="which to measure (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each query (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads (default: all cores)")
    parser.add_argument("--work", help="folder for the MergeTree (default: a temporary one, removed at the end)")
    parser.add_argument("--layout", help=argparse.SUPPRESS)  # set for the measuring process
    return parser.parse_args()


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def relation(args):
    """The files as one relation, and the time in it as microseconds. ClickHouse globs one folder, so links to them are put in one."""
    formats = {"parquet" if name.endswith(".parquet") else "ndjson" for name in args.files}
    if len(formats) != 1:
        sys.exit("give files of one format")
    (extension,) = formats
    links = os.path.join(args.work, "links")
    os.makedirs(links, exist_ok=True)
    for number, name in enumerate(args.files):
        link = os.path.join(links, f"{number}.{extension}")
        if not os.path.lexists(link):
            os.symlink(name, link)
    paths = quoted(os.path.join(links, f"*.{extension}"))
    if extension == "parquet":
        return f"file({paths}, 'Parquet')", "toUnixTimestamp64Micro(assumeNotNull(occurred_at))"
    # Only what the question needs is parsed; a date in JSON is text.
    structure = f"event String, occurred_at String, {args.subject} Nullable(String), {args.by} Nullable(String)"
    time_us = "toUnixTimestamp64Micro(parseDateTime64BestEffort(occurred_at, 6))"
    return f"file({paths}, 'JSONEachRow', {quoted(structure)})", time_us


def funnel(args, source, at, subject, by):
    steps = args.steps.split(",")
    conditions = ", ".join(f"assumeNotNull(event) = {quoted(step)}" for step in steps)
    names = ", ".join(map(quoted, steps))
    return f"""
        SELECT toString(segment) AS segment, sumForEach(arrayMap(step -> toUInt64(level >= step), range(1, {len(steps) + 1}))) AS reached
        FROM (
            SELECT {subject} AS subject, argMinIf({by}, {at}, event = {quoted(steps[0])}) AS segment,
                   windowFunnel({args.window_s * 1_000_000})(toUInt64({at}), {conditions}) AS level
            FROM {source} WHERE event IN ({names}) AND {subject} IS NOT NULL GROUP BY subject
        ) WHERE level > 0 GROUP BY segment ORDER BY segment"""


def peak_rss_bytes():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def timed(ask, sql):
    start = time.perf_counter()
    answer = ask(sql)
    return time.perf_counter() - start, answer


def measure(args):
    """In a process of its own: one layout."""
    from chdb.session import Session

    session = Session(os.path.join(args.work, "data") if args.layout != "files" else None)

    def ask(sql):
        text = session.query(sql, "JSONCompact").bytes().decode()
        return json.loads(text)["data"] if text else []

    ask(f"SET max_threads = {args.threads}")
    ask("SELECT 1")
    source, at, subject, by = *relation(args), args.subject, args.by
    report = {"layout": args.layout, "base_rss_bytes": peak_rss_bytes()}
    if args.layout == "load":
        ask("CREATE DATABASE IF NOT EXISTS bench")
        ask("""CREATE TABLE bench.events (subject UInt64, at Int64, event LowCardinality(String), segment LowCardinality(String))
               ENGINE = MergeTree ORDER BY (subject, at)""")
        report["seconds"] = timed(
            ask,
            f"""INSERT INTO bench.events SELECT cityHash64({subject}), {at}, event, toString(ifNull({by}, ''))
                FROM {source} WHERE {subject} IS NOT NULL""",
        )[0]
        report["merge_seconds"] = timed(ask, "OPTIMIZE TABLE bench.events FINAL")[0]
    else:
        if args.layout == "mergetree":
            source, at, subject, by = "bench.events", "at", "subject", "segment"
            parts = "SELECT count(), toUInt32(sum(bytes_on_disk) / 1024) FROM system.parts WHERE active AND database = 'bench'"
            report["parts"], report["disk_kib"] = ask(parts)[0]
        report["rows"] = int(ask(f"SELECT count() FROM {source}")[0][0])
        sql = funnel(args, source, at, subject, by)
        report["runs"] = {}
        for way, in_order in WAYS.items():
            if args.layout == "files" and in_order:
                continue  # files declare no order
            setting = f" SETTINGS optimize_aggregation_in_order = {in_order}"
            runs = [timed(ask, sql + setting) for _ in range(args.runs)]
            report["runs"][way] = [round(seconds, 3) for seconds, _ in runs]
            report["reached"] = {segment: [int(n) for n in reached] for segment, reached in runs[-1][1]}
        report["best_seconds"] = min(min(runs) for runs in report["runs"].values())
        report["rows_per_second"] = round(report["rows"] / report["best_seconds"])
    report["peak_rss_bytes"] = peak_rss_bytes()
    session.close()
    print(json.dumps(report))


def measured(args, layout):
    """The report of a fresh process for one layout."""
    command = [sys.executable, os.path.abspath(__file__), *args.files, "--layout", layout, "--work", args.work]
    for name in ("steps", "window_s", "subject", "by", "runs", "threads"):
        command += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def main():
    args = arguments()
    if args.layout:
        return measure(args)
    args.files = [os.path.abspath(name) for pattern in args.files for name in sorted(glob.glob(pattern, recursive=True))]
    if not args.files:
        sys.exit("no such files")
    import chdb

    temporary = None if args.work else tempfile.mkdtemp(prefix="linkfunnel-chdb-")
    args.work = args.work or temporary
    report = {"peer": f"chdb {chdb.__version__}, ClickHouse {chdb.query('SELECT version()', 'TSV').bytes().decode().strip()}"}
    report |= {"threads": args.threads, "steps": args.steps.split(","), "window_s": args.window_s, "subject": args.subject}
    try:
        for layout in args.layouts.split(","):
            if layout == "mergetree":
                report["load"] = measured(args, "load")
            report[layout] = measured(args, layout)
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

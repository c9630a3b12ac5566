#!/usr/bin/env python3
"""A funnel by category, beside ClickHouse's windowFunnel on the same rows in the same run.

    cargo build --release
    python3 -m venv /tmp/chdb && /tmp/chdb/bin/pip install -r benches/requirements.txt
    /tmp/chdb/bin/python benches/funnel.py --events 10000000

Generates the events without dirt (copies are linkfunnel's to drop, windowFunnel cannot), imports them, lets the server compact its table,
asks it the same question several times over HTTP (its own answer cache does not exist yet, so every run reads), and then has
benches/clickhouse_funnel.py ask chDB of the very Parquet files. Steps that a provider cannot show are asked for in a way in which they are
not passed over, because windowFunnel passes over none. Prints one JSON object: seconds, rows/s, peak memory, ratios.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = "journey.started,provider.selected,consent.granted,handoff.started,connection.linked"


def arguments(events=1_000_000, days=30, start="2026-09-01", runs=5):
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__.split("\n\n")[0])
    parser.add_argument("--events", type=int, default=events)
    parser.add_argument("--days", type=int, default=days)
    parser.add_argument("--start", default=start)
    parser.add_argument("--ids", default="full", help="full, or sparse: most events name neither company nor journey (leave the peer out)")
    parser.add_argument("--steps", default=STEPS)
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--binary", default=os.path.join(HERE, "../target/release/linkfunnel"))
    parser.add_argument("--work", help="folder to work in (default: a temporary one, removed at the end)")
    parser.add_argument("--no-peer", action="store_true", help="leave ClickHouse out")
    return parser.parse_args()


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.loads(answer.read())


def memory_bytes(pid, name):
    """VmHWM: at its peak; VmRSS: now."""
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith(name))
    return int(line.split()[1]) * 1024


def prepared(args):
    """The data folder, filled and compacted; made once for a work folder."""
    data = os.path.join(args.work, "data")
    if not os.path.isdir(data):
        generate = [args.binary, "generate", "--events", str(args.events), "--days", str(args.days), "--start", args.start]
        generate += ["--ids", args.ids, "--dirt", "none", "--out", "-", "--truth", os.path.join(args.work, "truth.json")]
        events = subprocess.Popen(generate, stdout=subprocess.PIPE)
        load = [args.binary, "import", "-", "--data", data]
        subprocess.run(load, stdin=events.stdout, check=True, stdout=sys.stderr)
        events.wait()
    return data


def serving(args, data):
    return Server(args.binary, args.work, f'[storage]\ndata = "{data}"\nmaintain_every_s = 2\n[query]\nmemory_mb = 1500\n')


class Server:
    """A server of its own on a free port; `more`: the rest of its config."""

    def __init__(self, binary, folder, more):
        config = os.path.join(folder, "linkfunnel.toml")
        with open(config, "w") as file:
            file.write(f'[server]\nlisten = "127.0.0.1:0"\n{more}')
        self.log = open(os.path.join(folder, "server.log"), "w+")
        self.process = subprocess.Popen([binary, "serve", "--config", config], stdout=self.log, stderr=subprocess.STDOUT)
        self.url = None
        while self.url is None:
            time.sleep(0.2)
            if self.process.poll() is not None:
                sys.exit(open(self.log.name).read())
            words = open(self.log.name).read().split()
            self.url = next((word.split("/api")[0] for word in words if word.startswith("http://127")), None)

    def settled(self, data):
        """Waits until compaction has changed nothing for a while: one of a few million rows takes a minute."""
        before, since = None, time.time()
        while time.time() - since < 90:
            log = os.path.join(data, "events", "_delta_log")
            now = sorted(name for name in os.listdir(log)) if os.path.isdir(log) else None
            if now != before:
                before, since = now, time.time()
            time.sleep(1)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


def parquet_files(data):
    """The files of the table's last version, from its log: those that compaction replaced lie beside them for a while."""
    table, live = os.path.join(data, "events"), set()
    log = os.path.join(table, "_delta_log")
    for name in sorted(name for name in os.listdir(log) if name.endswith(".json")):
        with open(os.path.join(log, name)) as lines:
            for action in map(json.loads, lines):
                if "add" in action:
                    live.add(urllib.parse.unquote(action["add"]["path"]))
                if "remove" in action:
                    live.discard(urllib.parse.unquote(action["remove"]["path"]))
    return [os.path.join(table, path) for path in sorted(live) if path.startswith("_kind=event")]


def main():
    args = arguments()
    temporary = None if args.work else tempfile.mkdtemp(prefix="linkfunnel-bench-")
    args.work = args.work or temporary
    os.makedirs(args.work, exist_ok=True)
    try:
        data = prepared(args)
        first = serving(args, data)
        first.settled(data)
        first.end()
        server = serving(args, data)
        to = time.strftime("%Y-%m-%d", time.gmtime(time.mktime(time.strptime(args.start, "%Y-%m-%d")) + (args.days + 90) * 86_400))
        live = [{"field": "environment", "op": "eq", "value": "live"}]  # a step that asks something is never passed over unseen
        steps = [{"name": step, "event": step, "where": live} for step in args.steps.split(",")]
        question = {
            "funnel": {"steps": steps, "window": "PT24H", "subject": "journey"},
            "range": {"from": args.start, "to": to},
            "breakdown": {"by": ["category"]},
        }
        runs = []
        for _ in range(args.runs + 1):
            begun = time.perf_counter()
            answer = call(f"{server.url}/api/v1/funnels/query", question)
            runs.append(time.perf_counter() - begun)
        peak = memory_bytes(server.process.pid, "VmHWM")
        server.end()
        files = parquet_files(data)
        scanned = answer["meta"]["events_scanned"]
        report = {
            "events_scanned": scanned,
            "files": len(files),
            "bytes": sum(map(os.path.getsize, files)),
            "first_s": round(runs[0], 3),
            "median_s": round(statistics.median(runs[1:]), 3),
            "events_per_second": round(scanned / statistics.median(runs[1:])),
            "peak_rss_bytes": peak,
            "reached": {g["key"]["category"]: [s["reached"] for s in g["steps"]] for g in answer["groups"]},
        }
        if not args.no_peer:
            peer = [sys.executable, os.path.join(HERE, "clickhouse_funnel.py"), *files, "--steps", args.steps]
            peer += ["--subject", "journey_id", "--runs", str(args.runs)]
            told = json.loads(subprocess.run(peer, stdout=subprocess.PIPE, check=True, text=True).stdout)
            report["peer"] = told
            ours = [step["reached"] for step in answer["total"]["steps"]]
            report["same_counts"] = ours == [sum(step) for step in zip(*told["files"]["reached"].values())]
            for layout in ("files", "mergetree"):
                report[f"times_faster_than_{layout}"] = round(told[layout]["best_seconds"] / report["median_s"], 2)
        print(json.dumps(report, indent=2))
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()

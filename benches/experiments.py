#!/usr/bin/env python3
"""Results of experiments: how often their interval holds the truth, and how long ten million units take.

    cargo build --release
    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r benches/requirements.txt
    /tmp/peers/bin/python benches/experiments.py coverage --kafka-libs ~/.cache/linkfunnel/kafka-4.1.1
    /tmp/peers/bin/python benches/experiments.py speed --units 10000000

`coverage` sends experiments with a known lift through a real broker into the table, each of a few hundred companies, defines them over HTTP,
reads the results of each, and counts the intervals (of the difference and the lift at 95 %, and the one that holds at all times) that hold the
truth. `speed` imports units of three variants through a funnel of eight steps with one segment field of five values, lets the server compact
its table, and asks for the results several times. Each prints one JSON object.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from funnel import HERE, Server, call, memory_bytes

EIGHT = ["journey.started", "attempt.opened", "provider.selected", "consent.granted", "handoff.started", "handoff.returned", "account.selected", "connection.linked"]
VARIANTS, SEGMENTS = ["control", "short", "shorter"], ["hosted_page", "embedded_sdk", "portal_link", "own_ui_api", "assisted_call"]
# Most definitions a tenant may have.
A_TENANT = 500


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["coverage", "speed"])
    parser.add_argument("--experiments", type=int, default=2_000)
    parser.add_argument("--units", type=int, help="of each experiment: 400 for coverage, 10 million for speed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kafka-libs")
    parser.add_argument("--binary", default=os.path.join(HERE, "../target/release/linkfunnel"))
    parser.add_argument("--work", help="folder to work in (default: a temporary one, removed at the end)")
    return parser.parse_args()


def define(url, tenant, name, definition):
    body = json.dumps({"name": name, "definition": definition}).encode()
    headers = {"content-type": "application/json", "linkfunnel-tenant": tenant}
    request = urllib.request.Request(f"{url}/api/v1/experiments/{name}", data=body, headers=headers, method="PUT")
    urllib.request.urlopen(request, timeout=60).read()


def results(url, tenant, name):
    request = urllib.request.Request(f"{url}/api/v1/experiments/{name}/results", headers={"linkfunnel-tenant": tenant})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.loads(answer.read())


def event(number, what, at, company, experiment, variant, more=""):
    return (
        f'{{"event_id":"e{number}","event":"{what}","occurred_at":"{at}","company_id":"{company}"{more},'
        f'"experiments":[{{"id":"{experiment}","variant":"{variant}","unit":"company","exposed":true}}]}}'
    )


def drawn(args):
    """Of each experiment its tenant, its true rates, and its events: the rates are drawn, then who links."""
    dice, number = random.Random(args.seed), 0
    for i in range(args.experiments):
        base = dice.uniform(0.05, 0.9)
        truth = (base, min(0.99, max(0.01, base + dice.uniform(-0.1, 0.1))))
        events = []
        for unit in range(args.units):
            arm = dice.random() < 0.5
            company, second = f"x{i}-{unit}", dice.randrange(86_400 * 20)
            at = lambda later: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_788_220_800 + second + later))
            name, variant = f"x{i}", ["control", "new"][arm]
            events.append(event(number, "attempt.opened", at(0), company, name, variant))
            if dice.random() < truth[arm]:
                events.append(event(number + 1, "connection.linked", at(60), company, name, variant))
            number += 2
        yield f"t{i // A_TENANT}", truth, events


def coverage(args, folder, processes):
    from confluent_kafka import Producer

    from live import Broker, metrics, total

    args.partitions = 4
    broker = Broker(args, folder)
    processes.append(broker.process)
    server = Server(args.binary, folder, f'[storage]\ndata = "{folder}/data"\n[kafka]\nbrokers = "{broker.address}"\n')
    processes.append(server.process)
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    truths, sent = [], 0
    for tenant, truth, events in drawn(args):
        truths.append((tenant, truth))
        for one in events:
            one = f'{{"tenant_id":"{tenant}",{one[1:]}'
            while True:
                try:
                    producer.produce("linkfunnel.events", one.encode(), key=one[:40].encode())
                    break
                except BufferError:
                    producer.poll(0.5)
            sent += 1
        producer.poll(0)
    producer.flush()
    while total(metrics(server.url), "linkfunnel_ingest_rows_total") < sent:
        time.sleep(1)
    funnel = {"steps": [{"name": "Opened", "event": "attempt.opened"}, {"name": "Linked", "event": "connection.linked"}], "window": "PT1H", "subject": "company"}
    definition = {
        "unit": "company",
        "variants": [{"name": "control", "weight": 0.5}, {"name": "new", "weight": 0.5}],
        "start": "2026-09-01",
        "end": "2026-10-01",
        "funnel": funnel,
        "primary": [{"name": "Linked"}],
    }
    # the watermark must have passed the last window: the events are of the past
    held = {"difference": 0, "lift": 0, "anytime": 0}
    found, decided, units = 0, {}, 0
    for i, (tenant, (zero, one)) in enumerate(truths):
        define(server.url, tenant, f"x{i}", definition)
        told = results(server.url, tenant, f"x{i}")
        comparison = told["primary"][0]["comparisons"][0]
        inside = lambda low, high, true: low <= true <= high
        held["difference"] += inside(comparison["difference"]["low"], comparison["difference"]["high"], one - zero)
        held["lift"] += inside(comparison["lift"]["low"], comparison["lift"].get("high") or 1e9, one / zero - 1)
        held["anytime"] += inside(comparison["anytime"]["low"], comparison["anytime"]["high"], one - zero)
        found += comparison["p"] < 0.05
        units += sum(variant["units"] for variant in told["variants"])
        decided[told["verdict"]["decision"]] = decided.get(told["verdict"]["decision"], 0) + 1
    count = len(truths)
    if units != count * args.units:
        raise SystemExit(f"{units} units were counted of {count * args.units}")
    return {
        "experiments": count,
        "units_each": args.units,
        "events_through_kafka": sent,
        "held_percent": {name: round(100 * held / count, 2) for name, held in held.items()},
        "p_below_5_percent": round(100 * found / count, 2),
        "verdicts": decided,
    }


def loaded(args, folder):
    """The data folder, filled once for a work folder."""
    data = os.path.join(folder, "data")
    if os.path.isdir(data):
        return data
    load = subprocess.Popen([args.binary, "import", "-", "--data", data], stdin=subprocess.PIPE, stdout=sys.stderr)
    dice, number = random.Random(args.seed), 0
    days = [time.strftime("%Y-%m-%dT", time.gmtime(1_788_220_800 + 86_400 * day)) for day in range(28)]
    seconds = [f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z" for second in range(86_400)]
    lines = []
    for unit in range(args.units):
        drawn = dice.random()
        variant, day = int(drawn * 3), days[unit * 28 // args.units]
        second, reach = int(drawn * 8_191) * 10, 1
        while reach < 8 and dice.random() < 0.7 + 0.01 * variant:
            reach += 1
        company, more = f"c{unit}", f',"surface":"{SEGMENTS[unit % 5]}"'
        for step in range(reach):
            lines.append(event(number, EIGHT[step], day + seconds[second + step], company, "wide", VARIANTS[variant], more))
            number += 1
        if len(lines) > 20_000:
            load.stdin.write(("\n".join(lines) + "\n").encode())
            lines.clear()
    load.stdin.write(("\n".join(lines) + "\n").encode())
    load.stdin.close()
    if load.wait() != 0:
        raise SystemExit("the import failed")
    return data


def speed(args, folder, processes):
    data = loaded(args, folder)
    server = Server(args.binary, folder, f'[storage]\ndata = "{data}"\nmaintain_every_s = 2\n[query]\nmemory_mb = 1500\n')
    processes.append(server.process)
    server.settled(data)
    definition = {
        "unit": "company",
        "variants": [{"name": name, "weight": 0.333} for name in VARIANTS],
        "start": "2026-09-01",
        "funnel": {"steps": [{"name": step, "event": step} for step in EIGHT], "window": "PT24H", "subject": "company"},
        "primary": [{"name": "Linked"}],
        "guardrails": [{"name": "Handed off", "step": 5, "margin": 0.01}],
        "method": {"sequential": {"looks": 5}},
        "planned_units": args.units,
        "segments": ["surface"],
    }
    took = {}
    for looks in [5, 20]:
        definition["method"] = {"sequential": {"looks": looks}}
        define(server.url, "default", "wide", definition)
        times = []
        for _ in range(args.runs):
            at = time.perf_counter()
            told = results(server.url, "default", "wide")
            times.append(time.perf_counter() - at)
        took[f"{looks} looks"] = [round(one, 3) for one in times]
    units = sum(variant["units"] for variant in told["variants"])
    if units != args.units:
        raise SystemExit(f"{units} units were counted of {args.units}")
    return {
        "units": units,
        "events": told["meta"]["events_scanned"],
        "seconds": took,
        "median_s": {name: round(statistics.median(times), 3) for name, times in took.items()},
        "peak_rss_bytes": memory_bytes(server.process.pid, "VmHWM"),
        "verdict": told["verdict"],
    }


def main():
    args = arguments()
    args.units = args.units or {"coverage": 400, "speed": 10_000_000}[args.what]
    folder = args.work or tempfile.mkdtemp(prefix="linkfunnel-experiments-")
    os.makedirs(folder, exist_ok=True)
    processes = []
    try:
        measure = {"coverage": coverage, "speed": speed}[args.what]
        print(json.dumps(measure(args, folder, processes), indent=2))
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(timeout=60)
        if not args.work:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

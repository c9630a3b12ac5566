#!/usr/bin/env python3
"""A server of its own that reads a topic of a real broker at a given rate and answers questions meanwhile.

    cargo build --release
    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r benches/requirements.txt
    /tmp/peers/bin/python benches/live.py --kafka-libs ~/.cache/linkfunnel/kafka-4.1.1 --rate 50000 --seconds 120

Starts Apache Kafka (`tests/run` has fetched its jars), `linkfunnel serve` and `linkfunnel generate --kafka --rate`, asks a funnel by category and success rates in turn, with a
pause between, and prints one JSON object: events sent and stored, the rate of both, how long the questions took, how far reading was behind
at most, and the server's peak memory.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

from confluent_kafka.admin import AdminClient, NewTopic

from funnel import STEPS, Server, call, memory_bytes

HERE = os.path.dirname(os.path.abspath(__file__))
LOG4J = "rootLogger.level=warn\nrootLogger.appenderRef.out.ref=out\nappender.out.type=Console\nappender.out.name=out\nappender.out.layout.type=PatternLayout\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two questions (default: %(default)s)")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--dirt", default="normal")
    parser.add_argument("--kafka-libs", required=True)
    parser.add_argument("--binary", default=os.path.join(HERE, "../target/release/linkfunnel"))
    return parser.parse_args()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def metrics(url):
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line and line[0] != "#"]
    return [line.rsplit(" ", 1) for line in lines]


def total(numbers, name):
    return sum(float(value) for key, value in numbers if key.split("{")[0] == name)


class Broker:
    def __init__(self, args, folder):
        self.address = f"127.0.0.1:{free_port()}"
        controller = f"127.0.0.1:{free_port()}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": os.path.join(folder, "kafka"),
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
        }
        config, log4j = os.path.join(folder, "server.properties"), os.path.join(folder, "log4j2.properties")
        with open(config, "w") as file:
            file.writelines(f"{name}={value}\n" for name, value in settings.items())
        with open(log4j, "w") as file:
            file.write(LOG4J)
        java = ["java", "-Xmx512m", f"-Dlog4j2.configurationFile={log4j}", "-cp", os.path.join(args.kafka_libs, "*")]
        tool = java + ["kafka.tools.StorageTool"]
        uuid = subprocess.run(tool + ["random-uuid"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
        subprocess.run(tool + ["format", "-t", uuid, "-c", config], check=True, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(java + ["kafka.Kafka", config], stdout=subprocess.DEVNULL)
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        admin.create_topics([NewTopic("linkfunnel.events", args.partitions, 1)])["linkfunnel.events"].result(timeout=60)


def asked(url):
    funnel = {"steps": [{"name": step, "event": step} for step in STEPS.split(",")], "window": "PT24H", "subject": "journey"}
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 86_400))
    begin = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 40 * 86_400))
    while True:
        yield "funnel by category", lambda: call(
            f"{url}/api/v1/funnels/query", {"funnel": funnel, "range": {"from": begin, "to": today}, "breakdown": {"by": ["category"]}}
        )
        yield "success rates", lambda: call(f"{url}/api/v1/success-rates?by=integration&from={begin}&to={today}")


def spread(times):
    ordered = sorted(times)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
    return {"asked": len(times), "median_s": round(statistics.median(times), 3), "p95_s": at(0.95), "worst_s": round(ordered[-1], 3)}


def main():
    args = arguments()
    folder = tempfile.mkdtemp(prefix="linkfunnel-live-")
    processes = []
    try:
        broker = Broker(args, folder)
        processes.append(broker.process)
        generate = [args.binary, "generate", "--kafka", broker.address, "--events", str(args.rate * args.seconds), "--rate", str(args.rate)]
        generate += ["--dirt", args.dirt, "--truth", os.path.join(folder, "truth.json")]
        sender = subprocess.Popen(generate, stdout=subprocess.DEVNULL, stderr=open(os.path.join(folder, "sender.log"), "w"))
        processes.append(sender)
        server = Server(args.binary, folder, f'[storage]\ndata = "{folder}/data"\n[kafka]\nbrokers = "{broker.address}"\n')
        processes.append(server.process)
        begun, took, behind = time.time(), {}, []
        for name, ask in asked(server.url):
            if sender.poll() is not None:
                break
            at = time.perf_counter()
            ask()
            took.setdefault(name, []).append(time.perf_counter() - at)
            behind.append(total(metrics(server.url), "linkfunnel_ingest_lag_messages"))
            time.sleep(args.pause)
        if sender.poll() != 0:
            raise SystemExit(open(os.path.join(folder, "sender.log")).read())
        sent_s, read = time.time() - begun, -1
        while read != (now := total(metrics(server.url), "linkfunnel_ingest_rows_total")):
            read = now
            time.sleep(2)
        stored = call(f"{server.url}/api/v1/sql", {"sql": "select count(*) as n from events_raw"})
        report = {
            "rate": args.rate,
            "sent_s": round(sent_s, 1),
            "sender": open(os.path.join(folder, "sender.log")).read().strip().splitlines()[-1:],
            "rows_read": read,
            "stored": stored["rows"],
            "questions": {name: spread(times) for name, times in took.items()},
            "most_behind": max(behind),
            "peak_rss_bytes": memory_bytes(server.process.pid, "VmHWM"),
            "rss_bytes": memory_bytes(server.process.pid, "VmRSS"),
        }
        print(json.dumps(report, indent=2))
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

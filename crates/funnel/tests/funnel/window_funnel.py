"""windowFunnel of ClickHouse, in this process's own chDB, for the test beside this file.

Reads lines of JSON on stdin, {"window": 9, "mode": "", "steps": 3, "events": [[at, mask], ...]}, and prints the steps reached,
one line each, in the same order. Questions of the same shape are asked together.
"""

import json
import sys

import chdb


def main():
    lines = [json.loads(line) for line in sys.stdin]
    shapes = {}
    for number, line in enumerate(lines):
        shapes.setdefault((line["window"], line["mode"], line["steps"]), []).append(number)
    reached = [0] * len(lines)
    for (window, mode, steps), numbers in shapes.items():
        rows = ",".join(
            f"({number},{at},{mask})" for number in numbers for at, mask in lines[number]["events"]
        )
        if not rows:
            continue
        conditions = ", ".join(f"bitTest(mask, {step})" for step in range(steps))
        mode = f", '{mode}'" if mode else ""
        query = (
            f"SELECT subject, windowFunnel({window}{mode})(at, {conditions}) "
            f"FROM values('subject UInt32, at UInt64, mask UInt64', {rows}) GROUP BY subject"
        )
        for row in str(chdb.query(query, "TSV")).splitlines():
            subject, level = row.split("\t")
            reached[int(subject)] = int(level)
    print("\n".join(map(str, reached)))


main()

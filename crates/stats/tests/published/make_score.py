"""Makes score.csv beside it: Miettinen and Nurminen's statistic and intervals by their definition, at 40 digits.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install mpmath==1.4.1
    /tmp/venv/bin/python crates/stats/tests/published/make_score.py

The supposed difference's most likely rates by bisection of the likelihood's derivative, the ratio's by the quadratic as
printed, the ends by bisection of z = 1.959963984540054. Not statsmodels' score interval of a difference: it takes the
pooled rate for the most likely ones and is wrong.
"""

import csv
import pathlib
import random

import mpmath
from mpmath import mpf, sqrt

mpmath.mp.dps = 40
HERE = pathlib.Path(__file__).parent
CRITICAL = mpf("1.959963984540054")


def bisect(f, low, high, steps=110):
    """Where f, positive at low, turns negative."""
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) > 0 else (low, middle)
    return (low + high) / 2


def z_difference(x1, n1, x0, n0, D):
    def slope(q0):
        total = mpf(0)
        for x, n, q in ((x1, n1, q0 + D), (x0, n0, q0)):
            total += x / q if x else 0
            total -= (n - x) / (1 - q) if x < n else 0
        return total

    q0 = bisect(slope, max(mpf(0), -D), min(mpf(1), 1 - D))
    q1 = q0 + D
    variance = (q1 * (1 - q1) / n1 + q0 * (1 - q0) / n0) * mpf(n1 + n0) / (n1 + n0 - 1)
    return (mpf(x1) / n1 - mpf(x0) / n0 - D) / sqrt(variance)


def z_ratio(x1, n1, x0, n0, R):
    N = n1 + n0
    a, b, c = N * R, -(n1 * R + x1 + n0 + x0 * R), x1 + x0
    q0 = (-b - sqrt(b * b - 4 * a * c)) / (2 * a)
    q1 = R * q0
    variance = (q1 * (1 - q1) / n1 + R * R * q0 * (1 - q0) / n0) * mpf(N) / (N - 1)
    return (mpf(x1) / n1 - R * mpf(x0) / n0) / sqrt(variance)


def cases():
    yield from [(1320, 10_000, 1200, 10_000), (7, 34, 1, 34), (5, 100, 0, 100), (97, 100, 100, 100), (25, 3100, 12, 3000),
                (1, 4, 3, 4), (0, 7, 3, 9), (9, 10, 3, 10), (40, 90, 4_000, 9_000_000), (3, 2_000_000, 11, 1_000_000)]
    dice = random.Random(30)
    for _ in range(40):
        n1, n0 = dice.choice([5, 31, 400, 20_000]), dice.choice([8, 30, 700, 50_000])
        rate = dice.choice([0.001, 0.05, 0.5, 0.97])
        case = (sum(dice.random() < rate for _ in range(n1)), n1, sum(dice.random() < rate * 0.9 for _ in range(n0)), n0)
        if 0 < case[0] + case[2] < n1 + n0:
            yield case


def write():
    with open(HERE / "score.csv", "w", newline="") as file:
        file.write(f"# mpmath {mpmath.__version__}\n")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["x1", "n1", "x0", "n0", "z", "p", "low", "high", "ratio low", "ratio high", "z at -0.02", "z at 0.95"])
        for case in cases():
            x1, n1, x0, n0 = case
            d = mpf(x1) / n1 - mpf(x0) / n0
            pooled = mpf(x1 + x0) / (n1 + n0)
            z = d / sqrt(pooled * (1 - pooled) * (mpf(1) / n1 + mpf(1) / n0) * mpf(n1 + n0) / (n1 + n0 - 1))
            low = bisect(lambda D: z_difference(*case, D) - CRITICAL, mpf(-1), d) if d > -1 else d
            high = bisect(lambda D: z_difference(*case, D) + CRITICAL, d, mpf(1)) if d < 1 else d
            end = lambda to: mpmath.exp(bisect(lambda L: z_ratio(*case, mpmath.exp(L)) - to, mpf(-40), mpf(40)))
            ratio_low = end(CRITICAL) if x1 else mpf(0)
            ratio_high = mpmath.nstr(end(-CRITICAL), 17) if x0 else ""
            p = mpmath.erfc(abs(z) / sqrt(2))
            rows.writerow([*case, *(mpmath.nstr(v, 17) for v in (z, p, low, high, ratio_low)), ratio_high,
                         *(mpmath.nstr(v, 17) for v in (z_difference(*case, mpf(-0.02)), z_ratio(*case, mpf(0.95))))])


write()

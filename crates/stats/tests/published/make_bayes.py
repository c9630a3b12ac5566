"""Makes bayes.csv beside it: chances to be the best, and losses, of Beta posteriors by scipy.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scipy==1.17.1 numpy==2.4.6
    /tmp/venv/bin/python crates/stats/tests/published/make_bayes.py

Straight from the definitions, over the rate itself: P(best) = integral of f_i times the product of F_j, loss of the first =
integral of F_first (1 - F_second), by Gauss's rule of 40 points on panels of half a standard deviation about each arm's mean.
"""

import csv
import pathlib

import numpy as np
import scipy
from scipy.stats import beta

HERE = pathlib.Path(__file__).parent
POINTS, WEIGHTS = np.polynomial.legendre.leggauss(40)


def integral(f, arms):
    ends = {0.0, 1.0}
    for arm in arms:
        ends |= {float(e) for e in arm.mean() + arm.std() * np.arange(-12, 12.5, 0.5) if 0 < e < 1}
    ends = np.array(sorted(ends))
    low, high = ends[:-1, None], ends[1:, None]
    t = (low + high) / 2 + (high - low) / 2 * POINTS
    return float((f(t) * WEIGHTS * (high - low) / 2).sum())


CASES = [
    (1, [(1320, 10_000), (1200, 10_000)]),
    (1.5, [(7, 34), (1, 34)]),
    (1, [(3, 5), (40, 3_000)]),
    (2, [(25, 3100), (12, 3000)]),
    (1, [(80, 200), (95, 210), (9, 30)]),
    (2, [(0, 50), (1, 60), (1, 200), (0, 10)]),
    (1, [(1_005_000, 10_000_000), (1_004_000, 10_000_000)]),
]

with open(HERE / "bayes.csv", "w", newline="") as file:
    file.write(f"# scipy {scipy.__version__}, numpy {np.__version__}\n")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["prior", "x:n", "best", "loss of the first", "loss of the second"])
    for prior, counts in CASES:
        arms = [beta(prior + x, prior + n - x) for x, n in counts]

        def best(i):
            others = [arm for j, arm in enumerate(arms) if j != i]
            return integral(lambda t: arms[i].pdf(t) * np.prod([o.cdf(t) for o in others], axis=0), arms)

        def loss(one, other):
            return integral(lambda t: one.cdf(t) * other.sf(t), arms)

        numbers = [best(i) for i in range(len(arms))]
        assert abs(sum(numbers) - 1) < 1e-9, sum(numbers)
        rows.writerow([prior, " ".join(f"{x}:{n}" for x, n in counts), " ".join(map(repr, numbers)),
                       repr(loss(arms[0], arms[1])), repr(loss(arms[1], arms[0]))])

"""Makes differences.csv, adjusted.csv and parity.csv beside it: what other people's packages say.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scipy==1.17.1 statsmodels==0.15.0
    /tmp/venv/bin/python crates/stats/tests/published/make_differences.py

Fisher: scipy.stats.fisher_exact. Score: statsmodels' test_proportions_2indep(method="score", compare="diff"), which is
Miettinen and Nurminen's with N/(N-1). Newcombe: statsmodels' confint_proportions_2indep(method="newcomb", compare="diff").
Pooled z: statsmodels' proportions_ztest; its interval: confint_proportions_2indep(method="wald"). Welch: scipy.stats.ttest_ind of
zeros and ones. Adjusted: scipy.stats.false_discovery_control, checked against statsmodels' multipletests("fdr_bh").
"""

import csv
import pathlib
import random

import numpy
import scipy
import statsmodels
from scipy.stats import false_discovery_control, fisher_exact, ttest_ind
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportions_ztest,
    test_proportions_2indep,
)

HERE = pathlib.Path(__file__).parent
VERSIONS = f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, numpy {numpy.__version__}"


def cases():
    yield from [(7, 34, 1, 34), (1320, 10_000, 1200, 10_000), (5, 100, 0, 100), (97, 100, 100, 100), (3, 4, 1, 4),
                (25, 3100, 12, 3000), (40, 90, 4_000, 9_000_000), (56, 70, 48, 80), (9, 10, 3, 10)]
    dice = random.Random(20)
    for _ in range(60):
        n1, n0 = dice.choice([5, 31, 400, 20_000]), dice.choice([8, 30, 700, 50_000])
        rate = dice.choice([0.001, 0.05, 0.5, 0.97])
        yield (sum(dice.random() < rate for _ in range(n1)), n1, sum(dice.random() < rate * 0.9 for _ in range(n0)), n0)


with open(HERE / "differences.csv", "w", newline="") as file:
    file.write(f"# {VERSIONS}\n")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["x1", "n1", "x0", "n0", "fisher", "score", "newcombe low", "newcombe high"])
    for x1, n1, x0, n0 in cases():
        fisher = fisher_exact([[x1, n1 - x1], [x0, n0 - x0]]).pvalue
        both = 0 < x1 + x0 < n1 + n0
        score = float(test_proportions_2indep(x1, n1, x0, n0, method="score", compare="diff").pvalue) if both else 1.0
        low, high = confint_proportions_2indep(x1, n1, x0, n0, method="newcomb", compare="diff")
        rows.writerow([x1, n1, x0, n0, repr(float(fisher)), repr(score), repr(float(low)), repr(float(high))])

with open(HERE / "adjusted.csv", "w", newline="") as file:
    file.write(f"# {VERSIONS}\n")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["p", "adjusted"])
    dice = random.Random(21)
    for size in (1, 2, 15, 100):
        p = [round(dice.random() ** 3, 6) for _ in range(size)]
        adjusted = false_discovery_control(p, method="bh")
        assert numpy.allclose(adjusted, multipletests(p, method="fdr_bh")[1], atol=1e-14)
        rows.writerow([" ".join(map(repr, p)), " ".join(repr(float(q)) for q in adjusted)])

with open(HERE / "parity.csv", "w", newline="") as file:
    file.write(f"# {VERSIONS}\n")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["x1", "n1", "x0", "n0", "pooled z", "p", "wald low", "wald high", "welch t", "p", "low", "high"])
    for x1, n1, x0, n0 in cases():
        if 0 < x1 < n1 and 0 < x0 < n0 and n1 * n0 < 10**10:
            z, p = proportions_ztest([x1, x0], [n1, n0])
            wald = confint_proportions_2indep(x1, n1, x0, n0, method="wald", compare="diff")
            ones = lambda x, n: numpy.repeat([1.0, 0.0], [x, n - x])
            welch = ttest_ind(ones(x1, n1), ones(x0, n0), equal_var=False)
            ci = welch.confidence_interval()
            numbers = [z, p, *wald, welch.statistic, welch.pvalue, ci.low, ci.high]
            rows.writerow([x1, n1, x0, n0, *(repr(float(v)) for v in numbers)])

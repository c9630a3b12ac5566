"""Makes sample_ratio.csv, holm.csv, heterogeneity.csv and stratified.csv beside it.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scipy==1.17.1 statsmodels==0.15.0
    /tmp/venv/bin/python crates/stats/tests/published/make_health.py

Sample ratio: scipy.stats.binomtest of two arms below 1000 units, else scipy.stats.chisquare. Holm: statsmodels'
multipletests("holm"). Heterogeneity: statsmodels' combine_effects(...).q. Stratified: Mantel and Haenszel's risk difference with
the variance as Greenland and Robins print it, sum (x1 f1 n0^3 + x0 f0 n1^3)/(n1 n0 N^2) / (sum n1 n0/N)^2, in fractions.
"""

import csv
import pathlib
import random
from fractions import Fraction as F

import numpy
import scipy
import statsmodels
from scipy.stats import binomtest, chi2, chisquare
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests

HERE = pathlib.Path(__file__).parent
VERSIONS = f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, numpy {numpy.__version__}"


def rows(name, header):
    file = open(HERE / name, "w", newline="")
    file.write(f"# {VERSIONS}\n")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    return writer


def text(values):
    return " ".join(repr(float(v)) if isinstance(v, float) else str(v) for v in values)


dice = random.Random(40)
out = rows("sample_ratio.csv", ["units", "weights", "p"])
for size in range(60):
    weights = dice.choice([[1, 1], [1, 9], [50, 30, 20], [2, 1], [1, 1, 1, 1]])
    n = dice.choice([3, 40, 999, 1000, 20_000, 5_000_000])
    off = dice.choice([0, 0, 0.02, 0.1])
    rate = [w / sum(weights) for w in weights]
    rate[0], rate[1] = rate[0] * (1 - off), rate[1] + rate[0] * off
    units = [int(u) for u in numpy.random.default_rng(size).multinomial(n, rate)]
    if len(units) == 2 and n < 1000:
        p = binomtest(units[0], n, weights[0] / sum(weights)).pvalue
    else:
        p = chisquare(units, [n * w / sum(weights) for w in weights]).pvalue
    out.writerow([text(units), text(weights), repr(float(p))])

out = rows("holm.csv", ["p", "corrected"])
for size in (1, 2, 15, 100):
    p = [round(dice.random() ** 3, 6) for _ in range(size)]
    out.writerow([text(p), text(float(q) for q in multipletests(p, method="holm")[1])])

out = rows("heterogeneity.csv", ["x1:n1:x0:n0", "q", "p"])
for size in (2, 3, 8, 20):
    segments = []
    for _ in range(size):
        n1, n0 = dice.randint(50, 3000), dice.randint(50, 3000)
        rate = dice.uniform(0.1, 0.9)
        segments.append((int(n1 * rate), n1, int(n0 * min(0.95, rate * dice.uniform(0.9, 1.05))), n0))
    effects = numpy.array([x1 / n1 - x0 / n0 for x1, n1, x0, n0 in segments])
    variances = numpy.array([x1 * (n1 - x1) / n1**3 + x0 * (n0 - x0) / n0**3 for x1, n1, x0, n0 in segments])
    q = combine_effects(effects, variances).q
    out.writerow([" ".join(":".join(map(str, s)) for s in segments), repr(float(q)), repr(float(chi2.sf(q, size - 1)))])

out = rows("stratified.csv", ["x1:n1:x0:n0", "difference", "error", "crude"])
for size in (1, 2, 5, 20):
    segments = []
    for _ in range(size):
        n1, n0 = dice.randint(3, 800), dice.randint(3, 800)
        segments.append((dice.randint(0, n1), n1, dice.randint(0, n0), n0))
    weight = sum(F(n1 * n0, n1 + n0) for _, n1, _, n0 in segments)
    value = sum(F(x1 * n0 - x0 * n1, n1 + n0) for x1, n1, x0, n0 in segments) / weight
    terms = (F(x1 * (n1 - x1) * n0**3 + x0 * (n0 - x0) * n1**3, n1 * n0 * (n1 + n0) ** 2) for x1, n1, x0, n0 in segments)
    error = float(sum(terms) / weight**2) ** 0.5
    x1, n1, x0, n0 = (sum(column) for column in zip(*segments))
    out.writerow([" ".join(":".join(map(str, s)) for s in segments), float(value), error, float(F(x1, n1) - F(x0, n0))])

"""Makes means.csv beside it: arms of whole numbers x:y a unit, and what others compute of them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scipy==1.17.1 numpy==2.4.6 statsmodels==0.15.0
    /tmp/venv/bin/python crates/stats/tests/published/make_means.py

Welch of y: scipy.stats.ttest_ind(equal_var=False) with its confidence interval. Ratio Σy/Σx: variance by the delta method in
numpy, and by statsmodels' cluster-robust variance of the weighted mean, which is the same but for n/(n - 1). Fieller: both
ends solve |m1 - R m0| = t sqrt(v1 + R^2 v0) by brentq. CUPED: theta is the slope of x in statsmodels' OLS of y on arm and x.
Cost: ends solve |dx - C dy| = t se(C) by brentq.
"""

import csv
import pathlib
import random

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy.optimize import brentq
from scipy.stats import t as student
from scipy.stats import ttest_ind

HERE = pathlib.Path(__file__).parent
dice = random.Random(50)


def arm(size, mean, extra):
    units = []
    for _ in range(size):
        x = max(1, int(dice.expovariate(1 / mean)))
        y = sum(dice.random() < 0.5 + extra for _ in range(x))
        units.append((x, y))
    return np.array(units)


def mean_of(values):
    return values.mean(), values.var(ddof=1) / len(values), len(values)


def ratio_of(a):
    x, y = a[:, 0], a[:, 1]
    r, n = y.sum() / x.sum(), len(a)
    variance = ((y - y.mean() - r * (x - x.mean())) ** 2).sum() / (n - 1) / n / x.mean() ** 2
    fit = sm.WLS(y / x, np.ones(n), weights=x).fit(cov_type="cluster", cov_kwds={"groups": np.arange(n), "use_correction": False})
    assert abs(fit.bse[0] ** 2 * n / (n - 1) / variance - 1) < 1e-9
    return r, variance, n


def cuped_of(a, theta, before):
    x, y = a[:, 0], a[:, 1]
    z = y - theta * (x - before)
    return z.mean(), z.var(ddof=1) / len(z), len(z)


def compared(one, zero):
    (m1, v1, n1), (m0, v0, n0) = one, zero
    freedom = (v1 + v0) ** 2 / (v1**2 / (n1 - 1) + v0**2 / (n0 - 1))
    se, t = (v1 + v0) ** 0.5, student.isf(0.025, freedom)
    d = m1 - m0
    low = high = float("nan")
    if t * t * v0 < m0 * m0:
        over = lambda R: abs(m1 - R * m0) - t * (v1 + R * R * v0) ** 0.5
        r = m1 / m0
        low, high = brentq(over, r - 1e4, r, xtol=1e-15), brentq(over, r, r + 1e4, xtol=1e-15)
    return [d / se, freedom, 2 * student.sf(abs(d / se), freedom), d, d - t * se, d + t * se, low, high]


with open(HERE / "means.csv", "w", newline="") as file:
    file.write(f"# scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, numpy {np.__version__}\n")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["treatment x:y", "control x:y", *(f"{kind} {what}" for kind in ("welch", "ratio", "cuped") for what in
                   ("t", "freedom", "p", "difference", "low", "high", "ratio low", "ratio high")), "theta", "cost", "cost low", "cost high"])
    for n1, n0, mean, extra in [(5, 4, 3, 0), (30, 40, 5, 0.1), (200, 150, 20, 0.3), (300, 300, 2, -0.2), (60, 300, 50, 0.02)]:
        one, zero = arm(n1, mean * (1 + max(extra, 0)), extra), arm(n0, mean, 0)
        y1, y0 = one[:, 1].astype(float), zero[:, 1].astype(float)
        welch = compared(mean_of(y1), mean_of(y0))
        theirs = ttest_ind(y1, y0, equal_var=False)
        ci = theirs.confidence_interval()
        assert np.allclose(welch[:6], [theirs.statistic, theirs.df, theirs.pvalue, y1.mean() - y0.mean(), ci.low, ci.high], rtol=1e-11)
        both = np.concatenate([one, zero])
        design = np.column_stack([np.ones(n1 + n0), np.r_[np.ones(n1), np.zeros(n0)], both[:, 0]])
        theta = sm.OLS(both[:, 1], design).fit().params[2]
        before = both[:, 0].mean()
        cuped = compared(cuped_of(one, theta, before), cuped_of(zero, theta, before))
        cost = ["", "", ""]
        if welch[4] > 0:
            t = student.isf(0.025, welch[1])
            dx, dy = one[:, 0].mean() - zero[:, 0].mean(), welch[3]
            cov = np.cov(one.T) / n1 + np.cov(zero.T) / n0
            over = lambda C: abs(dx - C * dy) - t * (cov[0, 0] - 2 * C * cov[0, 1] + C * C * cov[1, 1]) ** 0.5
            C = dx / dy
            cost = [C, brentq(over, C - 1e4, C, xtol=1e-15), brentq(over, C, C + 1e4, xtol=1e-15)]
        units = lambda a: " ".join(f"{x}:{y}" for x, y in a)
        numbers = [*welch, *compared(ratio_of(one), ratio_of(zero)), *cuped, theta, *cost]
        rows.writerow([units(one), units(zero), *("" if v == "" or v != v else repr(float(v)) for v in numbers)])

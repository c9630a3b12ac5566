"""Makes times.csv beside it: two arms' times to convert, log-rank and restricted means by lifelines.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install lifelines==0.30.3 statsmodels==0.15.0 scipy==1.17.1
    /tmp/venv/bin/python crates/stats/tests/published/make_times.py

Log-rank: lifelines.statistics.logrank_test, checked against statsmodels' survdiff. Restricted mean:
lifelines.utils.restricted_mean_survival_time; its variance (lifelines' is that of the time, not of the mean) by the
infinitesimal jackknife of the weighted Kaplan-Meier area, by finite differences, which Greenwood's formula equals.
First pair: Freireich et al. (1963), 6-MP against placebo, log-rank 16.79.
"""

import csv
import pathlib
import random

import lifelines
import numpy as np
import pandas
import statsmodels
from lifelines import KaplanMeierFitter
from lifelines.statistics import logrank_test
from lifelines.utils import restricted_mean_survival_time
from statsmodels.duration.survfunc import survdiff

HERE = pathlib.Path(__file__).parent
SIX_MP = [(t, 1) for t in (6, 6, 6, 7, 10, 13, 16, 22, 23)] + [(t, 0) for t in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)]
PLACEBO = [(t, 1) for t in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)]


def drawn(dice, size, window, pace):
    for _ in range(size):
        converts = 1 + int(dice.expovariate(pace / window)) if dice.random() < 0.7 else window + 1
        followed = 1 + int(dice.uniform(0, 2 * window))
        time = min(converts, followed, window)
        yield time, int(converts <= min(followed, window))


def area(times, events, weights, tau):
    surviving, total, last = 1.0, 0.0, 0
    for t in sorted({t for t, e in zip(times, events) if e and t < tau}):
        total += surviving * (t - last)
        last = t
        at_risk = weights[times >= t].sum()
        surviving *= 1 - weights[(times == t) & (events == 1)].sum() / at_risk
    return total + surviving * (tau - last)


def jackknife(times, events, tau):
    total = 0.0
    for i in range(len(times)):
        h = 1e-4
        up, down = np.ones(len(times)), np.ones(len(times))
        up[i] += h
        down[i] -= h
        total += ((area(times, events, up, tau) - area(times, events, down, tau)) / (2 * h)) ** 2
    return total


def counts(subjects):
    moments = {}
    for t, e in subjects:
        moments.setdefault(t, [0, 0])[0 if e else 1] += 1
    return " ".join(f"{t}:{d}:{c}" for t, (d, c) in sorted(moments.items()))


def pairs():
    yield "Freireich 1963", SIX_MP, PLACEBO, 20
    for seed, size, window, pace in [(1, 30, 10, 2), (2, 100, 40, 1), (3, 300, 200, 3)]:
        dice = random.Random(seed)
        yield f"seed {seed}", list(drawn(dice, size, window, 4)), list(drawn(dice, size + 7, window, pace)), window - 1


with open(HERE / "times.csv", "w", newline="") as file:
    file.write(f"# lifelines {lifelines.__version__}, statsmodels {statsmodels.__version__}, numpy {np.__version__}\n")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["pair", "treatment time:converted:censored", "control", "until", "chi squared", "p", "mean", "variance",
                   "control's mean", "variance"])
    for name, one, zero, tau in pairs():
        (t1, e1), (t0, e0) = (np.array(a).T for a in (one, zero))
        test = logrank_test(t1, t0, e1, e0)
        chi, p = survdiff(np.r_[t1, t0], np.r_[e1, e0], np.r_[np.ones(len(t1)), np.zeros(len(t0))])
        assert abs(chi - test.test_statistic) < 1e-8 and abs(p - test.p_value) < 1e-8
        means = []
        for t, e in ((t1, e1), (t0, e0)):
            mean = float(restricted_mean_survival_time(KaplanMeierFitter().fit(t, e), t=tau))
            assert abs(mean - area(t, e, np.ones(len(t)), tau)) < 1e-8
            means += [mean, jackknife(t, e, tau)]
        rows.writerow([name, counts(one), counts(zero), tau, repr(float(test.test_statistic)), repr(float(test.p_value)),
                       *(repr(float(v)) for v in means)])

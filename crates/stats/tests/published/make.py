"""Makes wilson.csv, newcombe.csv and kaplan_meier.csv beside it: what other people's packages say.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scipy==1.17.1 statsmodels==0.15.0 lifelines==0.30.3
    /tmp/venv/bin/python crates/stats/tests/published/make.py

Wilson: statsmodels.stats.proportion.proportion_confint(method="wilson"), checked here against
scipy.stats.binomtest(...).proportion_ci(method="wilson").
Newcombe: statsmodels.stats.proportion.confint_proportions_2indep(method="newcomb", compare="diff").
Kaplan-Meier: lifelines.KaplanMeierFitter with its default (log-log) interval, read at the window's end, checked here
against statsmodels' SurvfuncRight for the estimate and its standard error. Groups: the leukaemia trial of Freireich et al.
(1963), arm 6-MP, as printed in Kalbfleisch and Prentice, and seeded random ones with ties, early conversions and censoring.
The median is computed in exact fractions: lifelines' rounding misses it where the curve meets one half exactly ("random
seed 1": 1/2 at 3, lifelines says 4); everywhere else it must agree.
"""

import csv
import pathlib
import random
from fractions import Fraction

import lifelines
import numpy
import scipy
import statsmodels
from lifelines import KaplanMeierFitter
from scipy.stats import binomtest
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

HERE = pathlib.Path(__file__).parent
VERSIONS = (
    f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, lifelines {lifelines.__version__}, "
    f"numpy {numpy.__version__}"
)


def wilson_cases():
    counts = [1, 2, 3, 7, 10, 34, 100, 365, 3000, 10_000, 1_000_000, 123_456_789]
    for n in counts:
        for x in sorted({0, 1, n // 3, n // 2, 7 * n // 10, n - 1, n}):
            yield x, n


def write_wilson():
    with open(HERE / "wilson.csv", "w", newline="") as file:
        file.write(f"# {VERSIONS}\n")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["successes", "n", "low", "high"])
        for x, n in wilson_cases():
            low, high = proportion_confint(x, n, method="wilson")
            other = binomtest(x, n).proportion_ci(method="wilson")
            assert abs(low - other.low) < 1e-12 and abs(high - other.high) < 1e-12, (x, n)
            rows.writerow([x, n, repr(float(low)), repr(float(high))])


def write_newcombe():
    with open(HERE / "newcombe.csv", "w", newline="") as file:
        file.write(f"# {VERSIONS}\n")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["successes", "n", "successes before", "n before", "low", "high"])
        dice = random.Random(10)
        sizes = [1, 2, 10, 34, 365, 3000, 1_000_000]
        for n1 in sizes:
            for n0 in sizes:
                for _ in range(3):
                    x1, x0 = (dice.choice([0, n, dice.randint(0, n)]) for n in (n1, n0))
                    low, high = confint_proportions_2indep(x1, n1, x0, n0, method="newcomb", compare="diff")
                    rows.writerow([x1, n1, x0, n0, repr(float(low)), repr(float(high))])


def groups():
    six_mp = [(t, 1) for t in (6, 6, 6, 7, 10, 13, 16, 22, 23)]
    six_mp += [(t, 0) for t in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)]
    yield "6-MP at 24 weeks", 24, six_mp
    yield "6-MP at 12 weeks", 12, six_mp
    for seed, size, window in [(1, 12, 10), (2, 60, 20), (3, 400, 50), (4, 3000, 200), (5, 40, 8), (6, 5000, 1000)]:
        dice = random.Random(seed)
        subjects = []
        for _ in range(size):
            converts = dice.expovariate(4 / window) if dice.random() < 0.7 else window + 1
            followed = dice.uniform(0, 2 * window)
            time = min(int(converts), int(followed))
            subjects.append((time, 1 if converts <= followed and converts <= window else 0))
        yield f"random seed {seed}", window, subjects


def by_time(subjects, window):
    """Counts by time; subjects still at risk past the window are cut there."""
    counts, at_end = {}, 0
    for time, event in subjects:
        if time > window or (time == window and not event):
            at_end += 1
            continue
        pair = counts.setdefault(time, [0, 0])
        pair[0 if event else 1] += 1
    return counts, at_end


def exact_median(counts, at_end):
    """The first time at which at most half survive, and whether exactly half do; None if more always do."""
    at_risk = at_end + sum(d + c for d, c in counts.values())
    surviving = Fraction(1)
    for time, (converted, censored) in sorted(counts.items()):
        surviving *= Fraction(at_risk - converted, at_risk)
        if surviving <= Fraction(1, 2):
            return time, surviving == Fraction(1, 2)
        at_risk -= converted + censored
    return None, False


def write_kaplan_meier():
    with open(HERE / "kaplan_meier.csv", "w", newline="") as file:
        file.write(f"# {VERSIONS}\n")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["group", "window", "moments time:converted:censored", "at_risk_at_end", "value", "low", "high", "median"])
        for name, window, subjects in groups():
            counts, at_end = by_time(subjects, window)
            assert at_end > 0, name
            # Zero times are kept: lifelines counts a conversion at 0 as one at 0.
            times = [min(t, window) for t, _ in subjects]
            events = [e if t <= window else 0 for t, e in subjects]
            fitter = KaplanMeierFitter().fit(times, events, timeline=sorted({0, *times, window}))
            surviving = float(fitter.survival_function_at_times(window).iloc[0])
            interval = fitter.confidence_interval_.loc[window]
            low, high = 1 - float(interval.iloc[1]), 1 - float(interval.iloc[0])
            other = SurvfuncRight([t + 1 for t in times], events)
            at = max(i for i, t in enumerate(other.surv_times) if t <= window + 1)
            assert abs(other.surv_prob[at] - surviving) < 1e-9, name
            median, meets_half = exact_median(counts, at_end)
            theirs = fitter.median_survival_time_
            assert meets_half or theirs == (numpy.inf if median is None else median), name
            moments = " ".join(f"{t}:{d}:{c}" for t, (d, c) in sorted(counts.items()))
            rows.writerow([name, window, moments, at_end, repr(1 - surviving), repr(low), repr(high),
                           "" if median is None else median])


write_wilson()
write_newcombe()
write_kaplan_meier()

"""Makes plans.csv beside it: boundaries of planned looks, by Gauss's quadrature of 600 points over the whole interval.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scipy==1.17.1 numpy==2.4.6 spotify-confidence==4.1.0
    /tmp/venv/bin/python crates/stats/tests/published/make_plans.py

Checked here against spotify-confidence's bounds (a port of R's ldbounds), which come from a grid and a tolerance of 1e-7 of
the error spent: they agree to three or four digits. The second of five equal looks is 2.71411157553 in mpmath at 30 digits too.
"""

import csv
import pathlib

import numpy
import scipy
from scipy.optimize import brentq
from scipy.stats import norm
from spotify_confidence.analysis.frequentist.sequential_bound_solver import bounds

HERE = pathlib.Path(__file__).parent
POINTS, WEIGHTS = numpy.polynomial.legendre.leggauss(600)


def boundaries(looks, alpha, phi):
    found, spent, before, density = [], 0.0, 0.0, None
    for t in looks:
        step, side = (t - before) ** 0.5, alpha * t**phi / 2 - spent
        if density is None:
            z = norm.isf(side)
        else:
            b, mass = density
            z = brentq(lambda z: (mass * norm.sf((z * t**0.5 - b) / step)).sum() - side, 0, 20, xtol=1e-14, rtol=1e-14)
        at = POINTS * z * t**0.5
        if density is None:
            value = norm.pdf(at / step) / step
        else:
            value = (norm.pdf((at[:, None] - b) / step) / step) @ mass
        density = at, value * WEIGHTS * z * t**0.5
        spent, before = alpha * t**phi / 2, t
        found.append(float(z))
    return found


PLANS = [
    ([0.2, 0.4, 0.6, 0.8, 1.0], 0.05, 2.0),
    ([0.5, 1.0], 0.05, 2.0),
    ([0.1, 0.35, 0.4, 0.9, 1.0], 0.05, 2.0),
    ([0.3, 0.6, 0.7], 0.01, 1.0),
    ([k / 20 for k in range(1, 21)], 0.05, 2.0),
    ([k / 14 for k in range(1, 15)], 0.1, 3.0),
]

with open(HERE / "plans.csv", "w", newline="") as file:
    file.write(f"# numpy {numpy.__version__}, scipy {scipy.__version__}, checked against spotify-confidence 4.1.0\n")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["looks", "alpha", "phi", "boundaries"])
    for looks, alpha, phi in PLANS:
        found = boundaries(looks, alpha, phi)
        theirs = bounds(t=numpy.array(looks), alpha=alpha, rho=phi, ztrun=8, sides=2).df["zb"]
        assert numpy.allclose(found, theirs, atol=2e-3), (found, theirs)
        rows.writerow([" ".join(map(repr, looks)), alpha, phi, " ".join(map(repr, found))])

"""The smallest true difference of two mixtures that a design would find more often than not.

Two-sided t-test of two means of `runs` runs each, exact by the noncentral t distribution (Cohen 1988, Statistical Power
Analysis for the Behavioral Sciences, chapter 2; the inverse problem as in Bloom 1995, Evaluation Review 19). Its square
is noncentral F with 1 degree of freedom above, which SciPy computes without loss in both tails.
"""

import math

from scipy.optimize import brentq
from scipy.stats import ncf
from scipy.stats import t as student

ALPHA, POWER = 0.05, 0.80


def find_detectable_effect(noise: float | None, runs: int, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """Return the difference that is found with `power` at level `alpha`, in units of the noise between runs.

    None where it cannot be told: one run of a mixture, or noise that nobody measured; runs that do not differ, noise
    0, measure none.
    """
    if not noise or runs < 2:
        return None
    freedom = 2 * (runs - 1)
    edge = float(student.ppf(1 - alpha / 2, freedom))

    def miss(shift: float) -> float:
        return float(ncf.sf(edge**2, 1, freedom, shift**2)) - power

    far = edge + 1
    while miss(far) < 0:
        far *= 2
    return noise * math.sqrt(2 / runs) * float(brentq(miss, 0.0, far))

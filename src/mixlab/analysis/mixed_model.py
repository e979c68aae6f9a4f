"""A linear mixed model beside the t test: a random intercept for each seed, REML, Wald's z.

Legend of shapes: U units of one side, C columns (items of one benchmark, or benchmarks of a group), asked of all units.
Fitted by statsmodels, whose z knows nothing of how few seeds there are: with a handful it rejects too often, and
decides nothing.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class MixedModel:
    """The estimated difference; without one, `note` says why."""

    difference: float | None = None
    low: float | None = None
    high: float | None = None
    z: float | None = None
    p: float | None = None
    note: str = ""


def fit_mixed_model(a: Floats, b: Floats) -> MixedModel:
    """Fit score = column + side + seed + rest to a [U, C] and b [U, C], without NaN; columns are fixed effects.

    Columns are taken out beforehand: in a complete table, the orthonormal contrasts of the units hold all that REML
    looks at once columns are fixed, and have the same random intercept and rest.
    """
    if min(len(a), len(b)) < 2 or a.shape[1] < 2:
        return MixedModel(note="needs two seeds a side, and two items or benchmarks")
    table = np.vstack([a, b])
    # rows 1.. of an orthogonal matrix whose first row is constant: units less what they have in common
    basis = np.linalg.qr(np.column_stack([np.ones(len(table)), np.eye(len(table))[:, 1:]]))[0].T[1:]
    scores = (basis @ table).ravel()
    if np.allclose(scores, 0):
        return MixedModel(note="no variance")
    # starts in seconds, and few studies come here
    from statsmodels.regression.mixed_linear_model import MixedLM

    side = np.repeat(basis @ ([1.0] * len(a) + [0.0] * len(b)), table.shape[1])
    seeds = np.repeat(np.arange(len(basis)), table.shape[1])
    # a variance estimated at 0 is an answer, not a mishap; the fit's own word is in `converged`
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # with gradients a quarter of fits stop short; without, all agree with the closed form of complete tables
            found = MixedLM(scores, side[:, None], groups=seeds).fit(reml=True, method="powell")
        except np.linalg.LinAlgError as error:
            return MixedModel(note=f"not fitted: {error}")
    difference, deviation = float(found.params[0]), float(found.bse[0])
    if not found.converged or not np.isfinite(deviation) or deviation <= 0:
        return MixedModel(note="not fitted: did not converge")
    half = _NORMAL_95 * deviation
    z = difference / deviation
    return MixedModel(difference, difference - half, difference + half, z, float(found.pvalues[0]))

"""Which family fits: chosen by cross-validation within what it is fitted to, and tested on what neither has seen.

Every fold is fitted anew from its training points: standardisation, hyper-parameters, choice of the family and width of
the intervals. `validate` holds out points of an outer fold before any of that (nested cross-validation: Varma & Simon
2006, BMC Bioinformatics 7:91, on why the inner error must not be reported). Points are distinct mixtures, so that runs
of one mixture are never on both sides.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from mixlab.analysis.surface.fitted import Family, Fitted
from mixlab.analysis.surface.gaussian_process import fit_gaussian_process
from mixlab.analysis.surface.mixing_law import fit_mixing_law
from mixlab.analysis.surface.points import Floats, Points
from mixlab.analysis.surface.quadratic import fit_quadratic

FAMILIES: Mapping[str, Family] = {
    "mixing_law": fit_mixing_law,
    "quadratic": fit_quadratic,
    "gaussian_process": fit_gaussian_process,
}
"""From the simplest to the most flexible: of equally good ones the first is taken."""
LEVEL = 0.95
OUTER_FOLDS = 5
SEED = 20_261_122
_NORMAL = 1.959964
_MANY = 200
"""Beyond so many points three inner folds say as much as five."""

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Predicted:
    """Values that a surface gives for mixtures it was not fitted to: mean, and its error with that of a new value."""

    means_N: Floats
    errors_N: Floats


@dataclass(frozen=True)
class Chosen:
    """The family that predicted held-out points best, fitted to all of them.

    `widths`: by how many of its standard deviations an interval of LEVEL reaches to each side, by family, as held-out
    points had it (split conformal prediction with normalised residuals: Lei et al. 2018, J. Am. Stat. Assoc. 113).
    `errors`: root mean square error on held-out points, by family.
    """

    family: str
    fitted: Fitted
    errors: Mapping[str, float]
    widths: Mapping[str, float]

    @property
    def width(self) -> float:
        """The width of the family that was chosen."""
        return self.widths[self.family]


def make_folds(count: int, folds: int, seed: int) -> list[Codes]:
    """Split positions at random into folds of nearly equal size; the same each time."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(count)
    return [np.sort(part) for part in np.array_split(order, min(folds, count))]


def predict_observed(fitted: Fitted, points: Points, known: Points) -> Predicted:
    """Predict values of points: each one's error beside what is not known of the surface, and what no error explains.

    Errors of points without their own are by what is known of the mixtures that the surface was fitted to.
    """
    means, errors = fitted.predict(points.ratios_ND)
    return Predicted(means, np.sqrt(errors**2 + fitted.noise**2 + points.find_errors(known) ** 2))


def cross_validate(points: Points, family: Family, folds: Sequence[Codes]) -> Predicted:
    """Predict each fold by a surface fitted to the others."""
    means, errors = np.empty(len(points)), np.empty(len(points))
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(points)), fold)
        train = points.take(rest)
        found = predict_observed(family(train), points.take(fold), train)
        means[fold], errors[fold] = found.means_N, found.errors_N
    return Predicted(means, errors)


def choose(points: Points, families: Mapping[str, Family] = FAMILIES, seed: int = SEED) -> Chosen:
    """Choose the family with the smallest cross-validated error among these points, and fit it to all of them."""
    folds = make_folds(len(points), 3 if len(points) > _MANY else 5, seed)
    errors, widths = {}, {}
    for name, family in families.items():
        held_out = cross_validate(points, family, folds)
        residuals = np.abs(points.values_N - held_out.means_N)
        errors[name] = float(np.sqrt(np.mean(residuals**2)))
        widths[name] = _find_width(residuals / np.maximum(held_out.errors_N, 1e-12))
    best = min(errors, key=lambda name: errors[name])
    return Chosen(best, families[best](points), errors, widths)


def _find_width(ratios_N: Floats) -> float:
    """The quantile of LEVEL with one more point to come; the largest ratio, or a normal's, where points are too few."""
    rank = math.ceil((len(ratios_N) + 1) * LEVEL)
    if rank > len(ratios_N):
        return max(_NORMAL, float(ratios_N.max()))
    return float(np.sort(ratios_N)[rank - 1])


@dataclass(frozen=True)
class Validated:
    """How a procedure did on points it had not seen.

    `spearman`: rank correlation of all held-out points, None where one side does not vary. `explained`: 1 - squared
    error by that of the mean of the training points; at most 0 is no better than no surface. `covered`: share of values
    inside their interval of LEVEL. `width`: mean half width of the intervals. `families`: how often each was chosen.
    """

    spearman: float | None
    explained: float
    covered: float
    width: float
    families: Mapping[str, int]
    count: int


Choose = Callable[[Points], Chosen]


def validate(
    points: Points, choose_in: Choose = choose, seed: int = SEED + 1, told: Callable[[], None] = lambda: None
) -> Validated:
    """Test the whole procedure, the choice of the family within it, by an outer cross-validation.

    Ranks are of all held-out points together: folds of a few points have no ranks worth the name. `told` is called
    after each fold.
    """
    means, reach, base = (np.empty(len(points)) for _ in range(3))
    families: dict[str, int] = {}
    for fold in make_folds(len(points), OUTER_FOLDS, seed):
        train = points.take(np.setdiff1d(np.arange(len(points)), fold))
        chosen = choose_in(train)
        found = predict_observed(chosen.fitted, points.take(fold), train)
        means[fold], reach[fold] = found.means_N, chosen.width * found.errors_N
        base[fold] = train.values_N.mean()
        families[chosen.family] = families.get(chosen.family, 0) + 1
        told()
    residuals = points.values_N - means
    total = float(((points.values_N - base) ** 2).sum())
    return Validated(
        spearman=correlate_ranks(means, points.values_N),
        explained=1 - float((residuals**2).sum()) / total if total > 0 else 0.0,
        covered=float(np.mean(np.abs(residuals) <= reach)),
        width=float(reach.mean()),
        families=families,
        count=len(points),
    )


def correlate_ranks(one_N: Floats, other_N: Floats) -> float | None:
    """Return Spearman's rank correlation; None where one of both does not vary."""
    if len(one_N) < 3 or np.ptp(one_N) == 0 or np.ptp(other_N) == 0:
        return None
    return float(spearmanr(one_N, other_N).statistic)

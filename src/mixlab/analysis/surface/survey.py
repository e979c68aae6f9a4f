"""One target from points to an answer: the family that was chosen, how it does, the optimum or why there is none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mixlab.analysis.surface.mixtures_csv import MeasuredTarget
from mixlab.analysis.surface.optimum import Abstention, Optimum, find_abstention, find_optimum
from mixlab.analysis.surface.points import Points, Target
from mixlab.analysis.surface.region import Region, build_region
from mixlab.analysis.surface.selection import SEED, Chosen, Validated, choose, validate


@dataclass(frozen=True)
class Surveyed:
    """What came out for a target; `abstention` is why there is no `optimum`.

    `chosen` and `validated` are None where there were too few mixtures to fit anything.
    """

    target: Target
    points: Points
    region: Region
    validated: Validated | None
    chosen: Chosen | None
    optimum: Optimum | None
    abstention: Abstention | None

    @property
    def best_measured(self) -> int:
        """Position of the mixture with the best measured value."""
        values = self.points.values_N
        return int(np.argmin(values) if self.target.is_loss else np.argmax(values))


def survey(
    measured: MeasuredTarget,
    bounds: Sequence[tuple[str, float, float]] = (),
    told: Callable[[], None] = lambda: None,
) -> Surveyed:
    """Fit, test and look for the optimum of one target; `told` is called after each of the OUTER_FOLDS folds."""
    target, points = measured.target, measured.points
    region = build_region(points.ratios_ND, points.components, bounds)
    if abstention := find_abstention(points, None):
        return Surveyed(target, points, region, None, None, None, abstention)
    validated = validate(points, told=told)
    chosen = choose(points)
    abstention = find_abstention(points, validated)
    optimum = None if abstention else find_optimum(points, chosen, region, target.is_loss, SEED)
    return Surveyed(target, points, region, validated, chosen, optimum, abstention)

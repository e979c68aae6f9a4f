"""Means and standard errors: of one cell, of a group of benchmarks, of a difference.

Two standard errors are kept apart everywhere, because they answer different questions.

* **Over seeds**: how far the mean would move if training were repeated. Seeds are nested (mixture_seed > ipt_seed >
  sft_seed), so the unit is the outermost of them that was varied: its means are formed first (averaging evenly over
  what is nested in it), and the error is their sample standard deviation / sqrt(units). Three SFT seeds of one IPT
  run therefore say nothing about IPT, and `seed_level` tells so. One seed: not estimable, None.
* **Over items**: how far the mean would move with other questions of the same kind. Accuracy: p' = (correct + 1) /
  (items + 2) and sqrt(p' (1 - p') / (items + 2)), the adjustment of Agresti & Caffo (2000, The American Statistician
  54), never zero, so that 0 of 10 is not taken for certainty; so for pass@k and maj@k, and for means over several
  samples of an item, whose true error is smaller. Judge scores: sample standard deviation of the items'
  means / sqrt(items); None with one item or when all items score the same. Answers of several seeds to one question
  are one item. Items of the two points of a comparison are taken as independent, though they are the same
  questions: this errs on the large side.

A comparison uses, for each of its two points, the larger of the two (`standard_error`): three seeds that happen to
agree do not make an error of zero. Where a point has one seed only the items' error stands in, and the verdict says
"met on items only": a claim about seeds needs seeds.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

SEED_LEVELS = ("mixture_seed", "ipt_seed", "sft_seed")
STANDARD_ERRORS_WANTED = 3.0
# 0.7 - 0.4 is 0.29999999999999993: a difference that equals the claim meets it.
ROUNDING = 1e-9

Verdict = Literal["met", "met on items only", "not met", "not estimable", "missing"]


@dataclass(frozen=True)
class Replicate:
    """The mean score of one trained model on one benchmark, or on a group of them; None: nothing could be scored."""

    mixture_seed: int | None
    ipt_seed: int | None
    sft_seed: int | None
    mean: float | None


@dataclass(frozen=True)
class Estimate:
    """A mean with what is known of its error; None where it cannot be estimated."""

    mean: float | None
    se_seeds: float | None
    seed_level: str | None
    n_seeds: int
    se_items: float | None
    n_items: int

    @property
    def standard_error(self) -> float | None:
        """The larger of the error over seeds and the error over items; None when neither is known."""
        return max((error for error in (self.se_seeds, self.se_items) if error is not None), default=None)


@dataclass(frozen=True)
class Difference:
    """A difference of two means against what was claimed of it."""

    difference: float | None
    se_seeds: float | None
    se_items: float | None
    standard_error: float | None
    ratio: float | None
    verdict: Verdict


def estimate_seeds(replicates: Sequence[Replicate]) -> tuple[float | None, float | None, str | None, int]:
    """Return mean, error over seeds, the level at which seeds were varied, and the number of units there."""
    known = [replicate for replicate in replicates if replicate.mean is not None]
    if not known:
        return None, None, None, 0
    for depth, level in enumerate(SEED_LEVELS):
        units = _group(known, level)
        if len(units) > 1:
            means = [_nested_mean(unit, depth + 1) for unit in units]
            return math.fsum(means) / len(means), _deviation(means) / math.sqrt(len(means)), level, len(means)
    return _nested_mean(known, len(SEED_LEVELS)), None, None, 1


def item_error(measure: str, item_means: Sequence[float]) -> float | None:
    """Return the standard error over items; see the module's description."""
    count = len(item_means)
    if count == 0:
        return None
    if measure != "judge_score":
        share = (math.fsum(item_means) + 1) / (count + 2)
        return math.sqrt(share * (1 - share) / (count + 2))
    error = _deviation(item_means) / math.sqrt(count) if count > 1 else 0.0
    return error or None


def group_error(item_errors: Iterable[float | None]) -> float | None:
    """Return the error over items of an even mean of benchmarks: sqrt(sum of squares) / benchmarks; None if one is."""
    errors = list(item_errors)
    known = [error for error in errors if error is not None]
    return math.hypot(*known) / len(errors) if errors and len(known) == len(errors) else None


def compare(better: Estimate | None, against: Estimate | None, at_least: float) -> Difference:
    """Compare two means: the claim is met when the difference is `at_least` and at least three standard errors.

    None or an estimate without a mean is "missing". With no error at all the verdict is "not estimable", never an
    infinite ratio.
    """
    if better is None or against is None or better.mean is None or against.mean is None:
        return Difference(None, None, None, None, None, "missing")
    difference = better.mean - against.mean
    error = _combine(better.standard_error, against.standard_error)
    seeds = _combine(better.se_seeds, against.se_seeds)
    ratio = difference / error if error else None
    return Difference(
        difference=difference,
        se_seeds=seeds,
        se_items=_combine(better.se_items, against.se_items),
        standard_error=error,
        ratio=ratio,
        verdict=_judge(difference, ratio, at_least, over_seeds=seeds is not None),
    )


def is_contrary(tested: float | None, difference: float) -> bool:
    """Whether a test, which is over the seeds that both sides have, sees a difference of means the other way round."""
    if tested is None or min(abs(tested), abs(difference)) <= ROUNDING:
        return False
    return (tested > 0) != (difference > 0)


def _judge(difference: float, ratio: float | None, at_least: float, *, over_seeds: bool) -> Verdict:
    if ratio is None:
        return "not estimable"
    if difference < at_least - ROUNDING or ratio < STANDARD_ERRORS_WANTED:
        return "not met"
    return "met" if over_seeds else "met on items only"


def _combine(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else math.hypot(first, second)


def _group(replicates: Sequence[Replicate], level: str) -> list[list[Replicate]]:
    units: dict[int, list[Replicate]] = {}
    for replicate in replicates:
        seed = getattr(replicate, level)
        units.setdefault(-1 if seed is None else seed, []).append(replicate)
    return [units[seed] for seed in sorted(units)]


def _nested_mean(replicates: Sequence[Replicate], depth: int) -> float:
    """Average evenly over the units of each level below `depth`, innermost first."""
    if depth >= len(SEED_LEVELS):
        means = [one.mean for one in replicates if one.mean is not None]
    else:
        means = [_nested_mean(unit, depth + 1) for unit in _group(replicates, SEED_LEVELS[depth])]
    return math.fsum(means) / len(means)


def _deviation(values: Sequence[float]) -> float:
    """The sample standard deviation (n - 1); exactly 0 for equal values."""
    if min(values) == max(values):
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))

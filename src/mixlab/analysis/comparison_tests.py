"""Every test of one difference at one claim level; which of them decides is fixed before any number is seen.

The primary test: for "these models", the paired t test where both sides have the same SFT seeds (the same dialogues in
the same order), or on those seeds that both have. IPT runs on two mixtures share nothing but a number, so they are
never paired: Welch's t, or, with so few units that Welch's simulated level leaves 4 to 6 %, the t test with one
variance for both sides, which takes as many units on either: with unequal sides it is not exact, and nothing is
estimable. All others stand beside it with their simulated level.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixlab.analysis import seed_tests
from mixlab.analysis.claim_levels import ClaimLevel, Sample, share_seeds
from mixlab.analysis.hierarchical import bootstrap_hierarchy
from mixlab.analysis.item_tests import bootstrap_items, is_right_or_wrong, test_mcnemar
from mixlab.analysis.items import Floats, ItemScores, arrange, keep_known, subtract_items
from mixlab.analysis.mixed_model import fit_mixed_model
from mixlab.analysis.seed_tests import TTest
from mixlab.analysis.simulated_levels import find_level

PAIRED, POOLED, WELCH = "paired_t", "pooled_t", "welch_t"
HIERARCHICAL, MIXED = "hierarchical_bootstrap", "mixed_model"
MCNEMAR, ITEMS, JUDGINGS = "mcnemar", "item_bootstrap", "kodama_oda_t"
PRIMARY, BESIDE, NOTHING, OVER_ITEMS, AS_PUBLISHED = (
    "primary",
    "beside",
    "decides nothing",
    "over items",
    "as published",
)
_TESTS = {PAIRED: seed_tests.test_paired, POOLED: seed_tests.test_pooled, WELCH: seed_tests.test_welch}


@dataclass(frozen=True)
class DifferenceTest:
    """One test of one difference; a number that there is not is None, and then `note` says why.

    `role`: primary, beside, decides nothing, over items (nothing is said of seeds), as published (for comparison).
    `p_holm`, `p_bh`: adjusted over all differences of the study at this claim level by this test, `family` many.
    """

    level: ClaimLevel
    test: str
    role: str
    unit: str
    n_variant: int
    n_against: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    statistic: float | None = None
    df: float | None = None
    p: float | None = None
    effect_size: float | None = None
    simulated_level: float | None = None
    note: str = ""
    p_holm: float | None = None
    p_bh: float | None = None
    family: int = 0


def choose_primary(a: Sample, b: Sample, level: ClaimLevel) -> str | None:
    """Name the test that decides, by the design alone; None where none keeps its level: few units, unequally many."""
    if level == "these models" and a.matches(b):
        return PAIRED
    welch = find_level(WELCH, count_units(a, b))
    if welch is not None and welch.decides:
        return WELCH
    return POOLED if _list_sizes(a) == _list_sizes(b) else None


def pair_up(a: Sample, b: Sample, level: ClaimLevel) -> tuple[Sample, Sample, str]:
    """Keep the SFT seeds that both sides have, and say how many were left out; other samples stay as they are."""
    if level != "these models" or a.obstacle or b.obstacle or a.matches(b):
        return a, b, ""
    if (shared := share_seeds(a, b)) is None:
        return a, b, f"seeds differ: {_list_seeds(a)} and {_list_seeds(b)}"
    said = f"paired over the {shared[0].count} seeds that both have, of {a.count} and {b.count}"
    return *shared, said


def count_units(a: Sample, b: Sample) -> int:
    """Return the units that the smaller side has to tell its noise by: one more than its degrees of freedom."""
    return min(one.count - len(one.units) + 1 for one in (a, b))


def test_seeds(a: Sample, b: Sample, level: ClaimLevel, *, is_alone: bool = False) -> list[DifferenceTest]:
    """Test the difference over seeds in every way, the primary one first; one row that says why where none can.

    `is_alone`: by the primary test alone.
    """
    a, b, said = pair_up(a, b, level)
    obstacle = _find_obstacle(a, b)
    lost = a.lost + b.lost
    common: dict[str, Any] = {"level": level, "unit": a.unit or b.unit, "n_variant": a.count, "n_against": b.count}
    notes = [f"{lost} models without a score left out"] if lost else []
    notes += [said] if said else []
    if not obstacle and a.unit != b.unit:
        obstacle = f"{_name_unit(a)} on one side and {_name_unit(b)} on the other: they do not vary by the same"
    primary = None if obstacle else choose_primary(a, b, level)
    if primary is None:
        obstacle = obstacle or f"{a.count} and {b.count} units, which no test with so few takes unequally many of"
        difference = _subtract_means(a, b) if a.units and b.units else None
        note = "; ".join([f"not estimable: {obstacle}", *notes])
        return [DifferenceTest(test=WELCH, role=PRIMARY, difference=difference, note=note, **common)]
    values = a.to_array(), b.to_array()
    size = _none(seed_tests.find_effect_size(*values))
    names = (PAIRED, WELCH, POOLED) if primary == PAIRED else (WELCH, POOLED)
    results = []
    for name in (primary,) if is_alone else sorted(names, key=lambda one: one != primary):
        found = _TESTS[name](*values)
        quiet = [] if _none(found.error) else ["not estimable: seeds do not differ"]
        alike = ["takes both sides to vary alike"] if name == POOLED else []
        row = _row(found, name, primary, count_units(a, b), common)
        results.append(replace(row, effect_size=size, note="; ".join([*quiet, *alike, *notes])))
    return results


def test_beside(
    a: Sequence[ItemScores], b: Sequence[ItemScores], level: ClaimLevel, samples: tuple[Sample, Sample]
) -> list[DifferenceTest]:
    """Run the hierarchical bootstrap and the mixed model on scores item by item."""
    common: dict[str, Any] = {
        "level": level,
        "unit": samples[0].unit,
        "n_variant": samples[0].count,
        "n_against": samples[1].count,
    }
    sides = _arrange_sides(a, b, samples)
    if sides is None:
        note = "not estimable: the two sides do not have the same items, or their runs not the same numbers of seeds"
        return [DifferenceTest(test=name, role=NOTHING, note=note, **common) for name in (HIERARCHICAL, MIXED)]
    units = count_units(*samples)
    paired = level == "these models" and samples[0].matches(samples[1])
    drawn = bootstrap_hierarchy(*sides, paired=paired)
    first = DifferenceTest(test=HIERARCHICAL, role="", **common)
    first = replace(first, difference=drawn.difference, low=drawn.low, high=drawn.high, p=drawn.p)
    second = DifferenceTest(test=MIXED, role="", **common)
    if max(len(sides[0][0]), len(sides[1][0])) > 1:
        second = replace(second, note="not estimable: several IPT runs, held fixed")
    else:
        fitted = fit_mixed_model(*(_to_columns(side) for side in sides))
        second = replace(second, difference=fitted.difference, low=fitted.low, high=fitted.high, note=fitted.note)
        second = replace(second, statistic=fitted.z, p=fitted.p)
    return [_stand_beside(first, units, paired=paired), _stand_beside(second, units)]


def test_items(a: Sequence[ItemScores], b: Sequence[ItemScores], measure: str) -> list[DifferenceTest]:
    """Test the difference over items: McNemar's test of two models' right and wrong, or a paired bootstrap."""
    differences = subtract_items(a, b)
    common: dict[str, Any] = {"level": "these models", "role": OVER_ITEMS, "unit": "item"}
    if not differences:
        note = "not estimable: not the same items"
        return [DifferenceTest(test=ITEMS, n_variant=_count(a), n_against=_count(b), note=note, **common)]
    counted = sum(map(len, differences))
    common |= {"n_variant": counted, "n_against": counted}
    lost = _count(a) - counted
    note = f"{lost} items without a score left out" if lost else ""
    found = bootstrap_items(differences)
    if found is None:
        results = [DifferenceTest(test=ITEMS, note="; ".join(filter(None, ["fewer than 10 items", note])), **common)]
    else:
        row = DifferenceTest(test=ITEMS, note=note, **common)
        results = [replace(row, difference=found.difference, low=found.low, high=found.high, p=found.p)]
    if measure == "accuracy" and len(a) == len(b) == 1:
        results.append(_test_right_and_wrong(a[0], b[0], common))
    return results


def test_judgings(a: Floats, b: Floats, units: int) -> DifferenceTest:
    """Student's t on all seeds x judgings as if each were independent: the published way, for comparison alone.

    `units`: models on the smaller side, by which the simulated level is found.
    """
    row = DifferenceTest("these models", JUDGINGS, AS_PUBLISHED, "seed x judging", len(a), len(b))
    if min(len(a), len(b)) < 2:
        return replace(row, note="not estimable: one judging of one model")
    level = find_level(JUDGINGS, units)
    found = _fill(row, seed_tests.test_pooled(a[None], b[None]))
    note = f"n = {len(a)} and {len(b)}, as if judgings of one model were independent"
    return replace(found, simulated_level=level.level if level else None, note=note)


def _test_right_and_wrong(a: ItemScores, b: ItemScores, common: dict[str, Any]) -> DifferenceTest:
    row = DifferenceTest(test=MCNEMAR, **common)
    if len(a.models) > 1 or len(b.models) > 1 or max(a.repeats, b.repeats) > 1:
        return replace(row, note=f"not estimable: {len(a.models)} and {len(b.models)} models; it compares one with one")
    first, second = keep_known(a.scores[0], b.scores[0])
    if not (is_right_or_wrong(first) and is_right_or_wrong(second)):
        return replace(row, note="not estimable: scores are not right or wrong")
    found = test_mcnemar(first, second)
    note = f"{found.only_a} items right on one side alone, {found.only_b} on the other"
    return replace(row, difference=float(first.mean() - second.mean()), p=found.p, note=note)


def _arrange_sides(
    a: Sequence[ItemScores], b: Sequence[ItemScores], samples: tuple[Sample, Sample]
) -> tuple[list[Floats], list[Floats]] | None:
    if [(one.benchmark, one.items) for one in a] != [(one.benchmark, one.items) for one in b]:
        return None
    sides: tuple[list[Floats], list[Floats]] = ([], [])
    for first, second in zip(a, b, strict=True):
        laid = arrange(first, samples[0].unit), arrange(second, samples[1].unit)
        if laid[0] is None or laid[1] is None:
            return None
        known = keep_known(laid[0], laid[1])
        if not known[0].shape[-1]:
            return None
        sides[0].append(known[0])
        sides[1].append(known[1])
    return sides


def _to_columns(side: Sequence[Floats]) -> Floats:
    """Items of one benchmark [U, I], or the means of several [U, benchmarks]."""
    return side[0][0] if len(side) == 1 else np.stack([one[0].mean(axis=-1) for one in side], axis=1)


def _row(found: TTest, name: str, primary: str, units: int, common: dict[str, Any]) -> DifferenceTest:
    row = _fill(DifferenceTest(test=name, role="", **common), found)
    if name == primary:
        level = find_level(name, units)
        return replace(row, role=PRIMARY, simulated_level=level.level if level else None)
    return _stand_beside(row, units)


def _fill(row: DifferenceTest, found: TTest) -> DifferenceTest:
    row = replace(row, difference=_none(found.difference), low=_none(found.low), high=_none(found.high))
    return replace(row, statistic=_none(found.t), df=_none(found.df), p=_none(found.p))


def _stand_beside(row: DifferenceTest, units: int, *, paired: bool = False) -> DifferenceTest:
    """Add the level simulated at the table's noise. Only a t test keeps it at another, so only t tests may stand."""
    level = find_level(f"{row.test}_paired" if paired else row.test, units)
    role = BESIDE if level is not None and level.decides and row.test in _TESTS else NOTHING
    return replace(row, role=role, simulated_level=level.level if level else None)


def _subtract_means(a: Sample, b: Sample) -> float | None:
    first, second = (seed_tests.measure_moments(one.to_array()).mean for one in (a, b))
    return _none(first - second)


def _find_obstacle(a: Sample, b: Sample) -> str:
    return "; ".join(dict.fromkeys(one.obstacle for one in (a, b) if one.obstacle))


def _name_unit(sample: Sample) -> str:
    return f"{sample.count} {sample.unit.replace('_', ' ').replace('ipt', 'IPT')}s"


def _list_sizes(sample: Sample) -> list[int]:
    return sorted(map(len, sample.units.values()))


def _list_seeds(sample: Sample) -> str:
    return " ".join(str(seed) for block in sample.units.values() for seed in sorted(block, key=str))


def _count(scores: Sequence[ItemScores]) -> int:
    return sum(len(one.items) for one in scores)


def _none(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None

"""The tests of every difference a study claims, corrected over the whole table: `tests.csv`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mixlab.analysis.cells import write_csv
from mixlab.analysis.claim_levels import CLAIM_LEVELS, Sample, build_sample
from mixlab.analysis.comparison_tests import DifferenceTest, pair_up, test_beside, test_items, test_judgings, test_seeds
from mixlab.analysis.effects import Effect, comparison_id
from mixlab.analysis.items import ItemScores, build_item_scores, build_judgings, keep_models
from mixlab.analysis.same_items import describe_left_out, keep_compared
from mixlab.analysis.summary_tests import adjust
from mixlab.config.analysis import ComparisonSettings

if TYPE_CHECKING:
    import pandas as pd

FILE = "tests.csv"
HEADER = (
    *("effect", "level", "test", "role", "unit", "n_variant", "n_against", "difference", "low", "high"),
    *("statistic", "df", "p", "p_holm", "p_bh", "family", "effect_size", "simulated_level", "note"),
)
DIGITS = 10
"""Significant digits kept: the order of a sum decides what follows."""


def build_study_tests(effects: Sequence[Effect], frame: "pd.DataFrame") -> dict[str, list[DifferenceTest]]:
    """Test each effect at both claim levels, by `comparison_id`; p-values are adjusted over all effects.

    A family is what one test says at one claim level of all effects of the study.
    """
    found = {comparison_id(effect.comparison): _test_effect(effect, frame) for effect in effects}
    return _adjust_all(found)


def write_study_tests(tests: Mapping[str, Sequence[DifferenceTest]], out: Path) -> None:
    """Write `tests.csv`, a row per effect and test; empty means not known. A study that claims nothing has none."""
    if tests:
        names = HEADER[1:]
        rows = [[effect, *(trim(getattr(one, name)) for name in names)] for effect in tests for one in tests[effect]]
        write_csv(out / FILE, HEADER, rows)


def trim(value: object) -> object:
    """Round a float to DIGITS significant digits; anything else stays what it is."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _test_effect(effect: Effect, frame: "pd.DataFrame") -> list[DifferenceTest]:
    comparison = effect.comparison
    if gap := _find_gap(effect):
        note = "; ".join(filter(None, [gap, _describe_items(effect)]))
        return [DifferenceTest(level, "welch_t", "primary", "", 0, 0, note=note) for level in CLAIM_LEVELS]
    assert effect.variant is not None and effect.against is not None
    frame = keep_compared(frame, comparison)
    items = [
        keep_models(
            build_item_scores(frame, key, comparison.stage, comparison),
            {(one.mixture_seed, one.ipt_seed, one.sft_seed) for one in side.replicates},
        )
        for key, side in zip(_sides(comparison), (effect.variant, effect.against), strict=True)
    ]
    results: list[DifferenceTest] = []
    for level in CLAIM_LEVELS:
        samples = (
            build_sample(effect.variant.replicates, level),
            build_sample(effect.against.replicates, level),
        )
        rows = test_seeds(*samples, level)
        if rows[0].p is not None:
            shared = pair_up(*samples, level)[:2]
            beside = [_keep_sample(*pair) for pair in zip(items, shared, strict=True)]
            rows += test_beside(beside[0], beside[1], level, shared)
        results += [_note_lost(row, effect) for row in rows]
    first, second = (build_judgings(frame, key, comparison.stage, comparison) for key in _sides(comparison))
    models = min(len(effect.variant.replicates), len(effect.against.replicates))
    judgings = _note(test_judgings(first, second, models), _describe_items(effect))
    return [*results, *test_items(items[0], items[1], comparison.measure), judgings]


def _keep_sample(scores: Sequence[ItemScores], sample: Sample) -> list[ItemScores]:
    """Keep the models behind the units of a sample of SFT seeds; of others all are."""
    if sample.unit != "sft_seed":
        return list(scores)
    blocks = sample.units.items()
    models = {(mixture, ipt, seed) for (mixture, ipt), seeds in blocks for seed in seeds}
    return keep_models(scores, models)


def _find_gap(effect: Effect) -> str:
    """Say what one of the sides lacks; nothing where both ran the same benchmarks and have scores."""
    sides = {"variant": effect.variant, "against": effect.against}
    if missing := [name for name, side in sides.items() if side is None]:
        return f"missing: {' and '.join(missing)} did not run it"
    assert effect.variant is not None and effect.against is not None
    if effect.variant.benchmarks != effect.against.benchmarks:
        both = (" ".join(side.benchmarks) for side in (effect.variant, effect.against))
        return f"missing: ran different benchmarks ({' / '.join(both)})"
    if empty := [name for name, side in sides.items() if side is not None and not side.replicates]:
        return f"missing: {' and '.join(empty)} has no model with scores in all of {len(effect.variant.benchmarks)}"
    return ""


def _note_lost(row: DifferenceTest, effect: Effect) -> DifferenceTest:
    sides = [side for side in (effect.variant, effect.against) if side]
    lost = sum(side.incomplete for side in sides)
    count = lost + sum(len(side.replicates) for side in sides)
    said = f"{lost} of {count} models lack a benchmark or its scores and are left out"
    return _note(row, _describe_items(effect), said if lost else "")


def _describe_items(effect: Effect) -> str:
    """Say how many items are left out: both sides were asked the same, and count the same."""
    sides = [side for side in (effect.variant, effect.against) if side is not None]
    return next(filter(None, (describe_left_out(one.n_asked, one.estimate.n_items) for one in sides)), "")


def _note(row: DifferenceTest, *said: str) -> DifferenceTest:
    return replace(row, note="; ".join(filter(None, [row.note, *said])))


def _sides(comparison: ComparisonSettings) -> tuple[str, str]:
    return comparison.variant_key, comparison.against_key


def _adjust_all(tests: Mapping[str, Sequence[DifferenceTest]]) -> dict[str, list[DifferenceTest]]:
    families: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for effect, rows in tests.items():
        for place, row in enumerate(rows):
            families.setdefault((row.level, _family(row)), []).append((effect, place))
    found = {effect: list(rows) for effect, rows in tests.items()}
    for members in families.values():
        values = [tests[effect][place].p for effect, place in members]
        holm, hochberg = adjust(values, "holm"), adjust(values, "benjamini_hochberg")
        size = _count(values)
        for (effect, place), first, second in zip(members, holm, hochberg, strict=True):
            found[effect][place] = replace(found[effect][place], p_holm=first, p_bh=second, family=size)
    return found


def _family(row: DifferenceTest) -> str:
    """The primary tests of a level are one family, whichever test each is."""
    return row.role if row.role == "primary" else row.test


def _count(values: Iterable[float | None]) -> int:
    return sum(value is not None for value in values)

"""What a study found, in sentences with their numbers: claims first, then the order of variants, then what to mind."""

import math
from collections.abc import Iterator, Sequence

from mixlab.analysis.effects import comparison_id
from mixlab.analysis.statistics import Estimate
from mixlab.config.analysis import BenchmarkGroup, EffectSettings, ReportSettings
from mixlab.report.claims import summarise_effects
from mixlab.report.numbers import Numbers
from mixlab.report.text import STAGES, render_error, render_score

UNITS = {"judge_score": "points"}


def list_findings(settings: ReportSettings, numbers: Numbers) -> list[str]:
    """Say what came of each claim, which variant leads each group of benchmarks, and how much could not be read."""
    return [
        *summarise_effects(settings, numbers),
        *_list_effects(settings, numbers),
        *_list_leaders(numbers),
        *_list_unread(numbers),
    ]


def _list_effects(settings: ReportSettings, numbers: Numbers) -> Iterator[str]:
    keys = settings.variant_keys()
    for effect in settings.effects:
        found = numbers.effects.get(comparison_id(effect.to_comparison(keys)), {})
        if found.get("difference"):
            yield _say_effect(effect, found)
        else:
            yield f"“{effect.name}”: {found.get('verdict', 'missing')}, so that no difference can be stated."


def _say_effect(effect: EffectSettings, found: dict[str, str]) -> str:
    measure, unit = effect.measure, UNITS.get(effect.measure, "percentage points")
    difference = float(found["difference"])
    means = [render_score(measure, float(found[name])) for name in ("variant_mean", "against_mean")]
    way = "more than" if difference > 0 else "less than" if difference < 0 else "as much as"
    size = f"{render_score(measure, abs(difference))} {unit} {way}" if difference else way
    error = found["standard_error"]
    error = f", standard error {render_score(measure, float(error))}" if error else ""
    return (
        f"“{effect.name}”: {effect.variant} scored {size} {effect.against} ({means[0]} and {means[1]}{error}) "
        f"{STAGES[effect.stage]} on {effect.filters()}; claimed were at least "
        f"{render_score(measure, float(effect.at_least))}: {found['verdict']}."
    )


def _list_leaders(numbers: Numbers) -> Iterator[str]:
    stage = numbers.stages()[-1] if numbers.stages() else ""
    stage = "after_sft" if "after_sft" in numbers.stages() else stage
    labels = dict.fromkeys(variant.variant_key for variant in numbers.variants)
    for group in numbers.groups:
        found = [(key, one) for key in labels if (one := numbers.estimate(key, stage, group)) and one.mean is not None]
        if len(found) > 1:
            yield _say_leaders(numbers, group, stage, sorted(found, key=lambda one: -(one[1].mean or 0.0)))


def _say_leaders(numbers: Numbers, group: BenchmarkGroup, stage: str, found: Sequence[tuple[str, Estimate]]) -> str:
    (first, best), (second, next_best) = found[:2]
    where = f"On {group.label} {STAGES[stage]}"
    said = [f"{render_score(group.measure, one.mean)} {render_error(group.measure, one)}" for one in (best, next_best)]
    gap = (best.mean or 0.0) - (next_best.mean or 0.0)
    tied = [key for key, one in found if one.mean == best.mean]
    if len(tied) > 1:
        names = ", ".join(numbers.label(key) for key in tied)
        return f"{where}, {len(tied)} variants share the highest mean, {said[0]}: {names}."
    error = math.hypot(_error(best), _error(next_best))
    ratio = f", {gap / error:.1f} standard errors of the difference" if error else ""
    return (
        f"{where}, the highest mean is that of {numbers.label(first)}, {said[0]}; next is {numbers.label(second)}, "
        f"{said[1]}: a gap of {render_score(group.measure, gap)}{ratio}."
    )


def _error(estimate: Estimate) -> float:
    """The larger of the errors over seeds and items: seeds that happen to agree make no error of zero."""
    return max(estimate.se_seeds or 0.0, estimate.se_items or 0.0)


def _list_unread(numbers: Numbers) -> Iterator[str]:
    for is_judged, what in ((False, "answers held nothing that could be scored"), (True, "verdicts held no rating")):
        cells = [cell for cell in numbers.cells if (cell.measure == "judge_score") == is_judged]
        total, unread = sum(cell.n_answers for cell in cells), sum(cell.n_unparsed for cell in cells)
        if total:
            yield f"{unread:,} of {total:,} {what} ({unread / total:.1%}).".replace(",", "\u202f")

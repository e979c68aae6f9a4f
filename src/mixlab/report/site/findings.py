"""What a study found, in sentences with their numbers: claims first, then the order of variants, then what to mind."""

from collections.abc import Iterator, Mapping

from mixlab.analysis.cells import GroupEstimate, group_cells
from mixlab.analysis.effects import comparison_id
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
        found = {key: one for key in labels if (one := group_cells(numbers.select(key, stage), group)) is not None}
        if len(found) > 1:
            yield _say_leaders(numbers, group, stage, found)


def _say_leaders(numbers: Numbers, group: BenchmarkGroup, stage: str, found: Mapping[str, GroupEstimate]) -> str:
    """Rank the variants whose every model has a mean on every benchmark of the group; name the others."""
    where, wanted = f"On {group.label} {STAGES[stage]}", {name for one in found.values() for name in one.benchmarks}
    whole = {
        key: one.estimate
        for key, one in found.items()
        if not one.incomplete and set(one.benchmarks) == wanted and one.estimate.mean is not None
    }
    others = [
        f"{numbers.label(key)} ({len(one.replicates)} of {len(one.replicates) + one.incomplete} models complete, "
        f"{len(set(one.benchmarks))} of {len(wanted)} benchmarks)"
        for key, one in found.items()
        if key not in whole
    ]
    beside = f" Not ranked, being incomplete: {', '.join(others)}." if others else ""
    if len(whole) < 2:
        return f"{where}, no two variants are complete, so that none leads.{beside}"
    (first, best), (second, after), *_ = sorted(whole.items(), key=lambda one: -(one[1].mean or 0.0))
    said = [
        f"{render_score(group.measure, one.mean)} {render_error(group.measure, one)} (n = {one.n_seeds})"
        for one in (best, after)
    ]
    tied = [numbers.label(key) for key, one in whole.items() if one.mean == best.mean]
    if len(tied) > 1:
        return f"{where}, {len(tied)} variants share the highest mean, {said[0]}: {', '.join(tied)}.{beside}"
    gap = render_score(group.measure, (best.mean or 0.0) - (after.mean or 0.0))
    return (
        f"{where}, the highest mean is that of {numbers.label(first)}, {said[0]}; next is {numbers.label(second)}, "
        f"{said[1]}: a gap of {gap}.{beside}"
    )


def _list_unread(numbers: Numbers) -> Iterator[str]:
    for is_judged, what in ((False, "answers held nothing that could be scored"), (True, "verdicts held no rating")):
        cells = [cell for cell in numbers.cells if (cell.measure == "judge_score") == is_judged]
        total, unread = sum(cell.n_answers for cell in cells), sum(cell.n_unparsed for cell in cells)
        if total:
            yield f"{unread:,} of {total:,} {what} ({unread / total:.1%}).".replace(",", "\u202f")

"""What a study found, in sentences with their numbers: claims first, then the order of variants, then what to mind."""

from collections.abc import Iterator, Mapping

from mixlab.analysis.cells import GroupEstimate, group_cells
from mixlab.analysis.effects import comparison_id
from mixlab.config.analysis import BenchmarkGroup, EffectSettings, ReportSettings
from mixlab.report.claims import RULE, list_behind, list_gaps, summarise_effects
from mixlab.report.gaps import describe_gaps
from mixlab.report.numbers import Numbers
from mixlab.report.primary import Primary, find_primary
from mixlab.report.scores import CELLS_ANCHOR
from mixlab.report.tables import Sentence, Shown, name_cell, say, sum_up
from mixlab.report.text import STAGES, render_error, render_plain, render_score

UNITS = {"judge_score": "points"}


def list_findings(settings: ReportSettings, numbers: Numbers) -> list[Sentence]:
    """Say what came of each claim, which variant leads each group of benchmarks, and how much could not be read.

    Every number that was computed from scores leads to them (`Shown.of`), one that sums up too many of them to be
    looked through to the table that holds them.
    """
    return [
        *summarise_effects(settings, numbers),
        *_list_effects(settings, numbers),
        *_list_leaders(numbers),
        *_list_unread(numbers),
    ]


def _list_effects(settings: ReportSettings, numbers: Numbers) -> Iterator[Sentence]:
    keys = settings.variant_keys()
    for effect in settings.effects:
        name = comparison_id(effect.to_comparison(keys))
        found = numbers.effects.get(name, {})
        if found.get("difference"):
            yield _say_effect(effect, found, find_primary(numbers, name), keys, numbers)
        else:
            yield say(f"“{effect.name}”: {found.get('verdict', 'missing')}, so that no difference can be stated.")


def _say_effect(
    effect: EffectSettings, found: Mapping[str, str], primary: Primary, keys: Mapping[str, str], numbers: Numbers
) -> Sentence:
    """Say the difference, what the rule says of it, and what the primary test says, which alone tells it from 0."""
    measure, unit = effect.measure, UNITS.get(effect.measure, "percentage points")
    difference, both = float(found["difference"]), list_behind([effect], keys, numbers)
    sides = zip(
        ("variant_mean", "against_mean"),
        (effect.variant, effect.against),
        list_gaps(effect, keys, numbers),
        strict=True,
    )
    means = [
        Shown(
            render_score(measure, float(found[name])),
            of=numbers.cells_of(keys[label], effect.stage, effect),
            gaps=gaps,
        )
        for name, label, gaps in sides
    ]
    way = "more than" if difference > 0 else "less than" if difference < 0 else "as much as"
    size: list[str | Shown] = [Shown(render_score(measure, abs(difference)), of=both), f" {unit} "]
    error: list[str | Shown] = [", standard error "]
    error.append(Shown(render_score(measure, float(found["standard_error"] or 0)), of=both))
    told = f"; told from 0: {primary.standing}" if primary.tested else ""
    return say(
        *(f"“{effect.name}”: {effect.variant} scored ", *(size if difference else ())),
        *(f"{way} {effect.against} (", means[0], " and ", means[1], *(error if found["standard_error"] else ())),
        f") {STAGES[effect.stage]} on {effect.filters()}; claimed were at least "
        f"{render_score(measure, float(effect.at_least))}: {found['verdict']} by the {RULE}; primary test: ",
        Shown(primary.describe(), of=both if primary.tested else ()),
        f"{told}.",
    )


def _list_leaders(numbers: Numbers) -> Iterator[Sentence]:
    stage = numbers.stages()[-1] if numbers.stages() else ""
    stage = "after_sft" if "after_sft" in numbers.stages() else stage
    labels = dict.fromkeys(variant.variant_key for variant in numbers.variants)
    for group in numbers.groups:
        found = {key: one for key in labels if (one := group_cells(numbers.select(key, stage), group)) is not None}
        if len(found) > 1:
            yield _say_leaders(numbers, group, stage, found)


def _say_leaders(numbers: Numbers, group: BenchmarkGroup, stage: str, found: Mapping[str, GroupEstimate]) -> Sentence:
    """Rank the variants whose every model has a mean on every benchmark of the group; name the others."""
    where, wanted = f"On {group.label} {STAGES[stage]}", {name for one in found.values() for name in one.benchmarks}
    whole = {
        key: one.estimate
        for key, one in found.items()
        if not one.incomplete and set(one.benchmarks) == wanted and one.estimate.mean is not None
    }
    behind = {key: numbers.cells_of(key, stage, group) for key in found}
    beside = _say_incomplete(numbers, {key: one for key, one in found.items() if key not in whole}, len(wanted), behind)
    if len(whole) < 2:
        return say(f"{where}, no two variants are complete, so that none leads.", *beside)
    (first, best), (second, after), *_ = sorted(whole.items(), key=lambda one: -(one[1].mean or 0.0))
    said = [
        Shown(
            f"{render_score(group.measure, one.mean)} {render_error(group.measure, one)} (n = {one.n_seeds})",
            of=behind[key],
            gaps=describe_gaps(numbers, key, stage, group),
        )
        for key, one in ((first, best), (second, after))
    ]
    tied = [key for key, one in whole.items() if one.mean == best.mean]
    if len(tied) > 1:
        labels = ", ".join(map(numbers.label, tied))
        count = sum_up(str(len(tied)), [cell for key in tied for cell in behind[key]], CELLS_ANCHOR)
        return say(f"{where}, ", count, " variants share the highest mean, ", said[0], f": {labels}.", *beside)
    gap = render_score(group.measure, (best.mean or 0.0) - (after.mean or 0.0))
    return say(
        *(f"{where}, the highest mean is that of {numbers.label(first)}, ", said[0]),
        *(f"; next is {numbers.label(second)}, ", said[1], ": a gap of "),
        *(Shown(gap, of=(*behind[first], *behind[second])), ".", *beside),
    )


def _say_incomplete(
    numbers: Numbers, others: Mapping[str, GroupEstimate], wanted: int, behind: Mapping[str, tuple[str, ...]]
) -> list[str | Shown]:
    """Name the variants that are not ranked, with how many of their models and benchmarks there are."""
    parts: list[str | Shown] = []
    for key, one in others.items():
        models = f"{len(one.replicates)} of {len(one.replicates) + one.incomplete} models complete"
        counts = f"{models}, {len(set(one.benchmarks))} of {wanted} benchmarks"
        parts += [", " if parts else " Not ranked, being incomplete: ", f"{numbers.label(key)} ("]
        parts += [Shown(counts, of=behind[key]), ")"]
    return [*parts, "."] if parts else []


def _list_unread(numbers: Numbers) -> Iterator[Sentence]:
    for is_judged, what in ((False, "answers held nothing that could be scored"), (True, "verdicts held no rating")):
        cells = [cell for cell in numbers.cells if (cell.measure == "judge_score") == is_judged]
        total, unread = sum(cell.n_answers for cell in cells), sum(cell.n_unparsed for cell in cells)
        if total:
            of = [name_cell(one.variant_key, one.stage, one.benchmark, one.measure) for one in cells]
            counts = f"{render_plain(unread)} of {render_plain(total)}"
            share = sum_up(f"{unread / total:.1%}", of, CELLS_ANCHOR)
            yield say(sum_up(counts, of, CELLS_ANCHOR), f" {what} (", share, ").")

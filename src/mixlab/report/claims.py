"""The effects a study stated beforehand, and what came of them."""

from collections.abc import Iterable, Mapping, Sequence

from mixlab.analysis.claim_levels import CLAIM_LEVELS
from mixlab.analysis.effects import HEADER, comparison_id
from mixlab.analysis.statistics import STANDARD_ERRORS_WANTED
from mixlab.config.analysis import EffectSettings, ReportSettings
from mixlab.report.gaps import describe_gaps
from mixlab.report.numbers import Numbers
from mixlab.report.primary import Primary, find_primary
from mixlab.report.tables import Column, Sentence, Shown, Table, say, sum_up
from mixlab.report.text import STAGES, UNKNOWN, render_ratio, render_score, to_anchor

ANCHOR = "effects"
"""The section of the page that holds the table of effects."""
RULE = f"rule of {STANDARD_ERRORS_WANTED:g} standard errors"
"""What a study's claims are held against: stated with them, before any number was seen."""
TONES = {"met": "good", "met on items only": "", "not met": "bad", "not estimable": "bad", "missing": "bad"}
LEVELS = {
    "mixture_seed": "mixture seeds (this recipe)",
    "ipt_seed": "IPT seeds (this recipe)",
    "sft_seed": "SFT seeds (these models)",
    "": "one seed",
}
SCORES = ("variant_mean", "against_mean", "difference", "se_seeds", "se_items", "standard_error")
NOTE = (
    f"The {RULE} (SE) was stated with the claims, before any number was seen. Met: the difference is at least what was "
    f"claimed and at least {STANDARD_ERRORS_WANTED:g} standard errors. "
    "Its standard error takes, for each of the two variants, the larger of the error over seeds and the error over "
    "items, so that seeds which happen to agree do not make an error of zero. "
    "“Met on items only”: a variant has a single seed, so nothing is said about other seeds. "
    "The rule is no test, and is corrected for nothing: whether a difference is told from 0 the primary test decides, "
    "whose p, corrected by Holm over the effects that could be tested at that level, stands beside it at both levels "
    "of claims. “Met” is marked only where that test tells the difference from 0 (p < 5 %) at one level at least; "
    "“Told from 0” says at which."
)


def build_effects_table(settings: ReportSettings, numbers: Numbers) -> Table:
    """One row per stated effect; an effect the aggregate did not measure is "missing"."""
    columns = [Column("Claim", "long"), Column("Measured on", "long")]
    columns += [Column(label, "number") for label in ("Claimed ≥", "Variant", "Against", "Difference")]
    columns += [Column("Rule of 3 SE", "short"), *(Column(f"p Holm, {level}", "number") for level in CLAIM_LEVELS)]
    columns += [Column("Told from 0", "short"), Column("Seeds", "long")]
    columns += [Column(label, "number") for label in ("SE seeds", "SE items", "SE", "Difference / SE")]
    keys = settings.variant_keys()
    rows, records = [], []
    for effect in settings.effects:
        name = comparison_id(effect.to_comparison(keys))
        found, primary = numbers.effects.get(name, {}), find_primary(numbers, name)
        rows.append(_build_row(effect, found, primary, keys, numbers))
        record = [effect.name, effect.variant, effect.against, *(found.get(name) for name in HEADER)]
        records.append([*record, *(primary.p_holm.get(level) for level in CLAIM_LEVELS), primary.standing])
    header = ["name", "variant", "against", *HEADER]
    header += [*(f"p_holm_{level.replace(' ', '_')}" for level in CLAIM_LEVELS), "told_from_0"]
    return Table("effects", "Effects stated before they were measured", tuple(columns), rows, header, records, NOTE)


def summarise_effects(settings: ReportSettings, numbers: Numbers) -> list[Sentence]:
    """Count the verdicts by the rule, and what the primary test tells; nothing where nothing was claimed."""
    if not settings.effects:
        return []
    keys = settings.variant_keys()
    names = [comparison_id(effect.to_comparison(keys)) for effect in settings.effects]
    verdicts = [numbers.effects.get(name, {}).get("verdict", "missing") for name in names]
    counted: list[str | Shown] = []
    for verdict in (one for one in TONES if one in verdicts):
        found = [effect for effect, one in zip(settings.effects, verdicts, strict=True) if one == verdict]
        behind = list_behind(found, keys, numbers)
        counted += [", " if counted else "", sum_up(f"{len(found)} {verdict}", behind, ANCHOR)]
    begins = f"Of {len(names)} effects stated before they were measured, by the {RULE} stated with them: "
    tests = [(effect, find_primary(numbers, name)) for effect, name in zip(settings.effects, names, strict=True)]
    return [say(begins, *counted, "."), *_summarise_tests(tests, keys, numbers)]


def _summarise_tests(
    tests: Sequence[tuple[EffectSettings, Primary]], keys: Mapping[str, str], numbers: Numbers
) -> list[Sentence]:
    """Say at each level how many the primary test tells from 0, of how many that it could test."""
    parts: list[str | Shown] = []
    for level in (one for one in CLAIM_LEVELS if any(one in primary.p_holm for _, primary in tests)):
        tested = [(effect, primary) for effect, primary in tests if level in primary.tested]
        told = sum(level in primary.told for _, primary in tested)
        parts.append("; " if parts else "The primary test (Holm over all that it could test) tells from 0: ")
        if tested:
            behind = list_behind([effect for effect, _ in tested], keys, numbers)
            parts += [sum_up(f"{told} of {len(tested)}", behind, ANCHOR), f" about {level}"]
        else:
            parts.append(f"nothing about {level}, not estimable")
    return [say(*parts, ".")] if parts else []


def list_behind(effects: Iterable[EffectSettings], keys: Mapping[str, str], numbers: Numbers) -> tuple[str, ...]:
    """List the cells of both sides of effects, each once, as `Shown.of` takes them."""
    cells = (
        cell
        for effect in effects
        for label in (effect.variant, effect.against)
        for cell in numbers.cells_of(keys[label], effect.stage, effect)
    )
    return tuple(dict.fromkeys(cells))


def list_gaps(effect: EffectSettings, keys: Mapping[str, str], numbers: Numbers) -> tuple[str, str]:
    """Say what is missing behind the means of the two sides of an effect."""
    variant, against = (
        describe_gaps(numbers, keys[label], effect.stage, effect) for label in (effect.variant, effect.against)
    )
    return variant, against


def _build_row(
    effect: EffectSettings, found: Mapping[str, str], primary: Primary, keys: Mapping[str, str], numbers: Numbers
) -> list[Shown]:
    measure = effect.measure
    place = f"{STAGES[effect.stage]}, {effect.filters()}"
    if measure == "judge_score":
        place += f", judge score by {', '.join(numbers.judges()) or 'nobody'}"
    elif measure != "accuracy":
        place += f", {measure}"
    verdict = found.get("verdict", "missing")
    sides = [numbers.cells_of(keys[label], effect.stage, effect) for label in (effect.variant, effect.against)]
    of = {"variant_mean": sides[0], "against_mean": sides[1]}
    gaps = dict(zip(of, list_gaps(effect, keys, numbers), strict=True))
    both = (*sides[0], *sides[1])
    texts = {name: render_score(measure, _number(found.get(name))) for name in SCORES}
    scores = {name: Shown(text, of=of.get(name, both), gaps=gaps.get(name, "")) for name, text in texts.items()}
    return [
        Shown(f"{effect.name} ({effect.variant} over {effect.against})", to_anchor("lineage", keys[effect.variant])),
        Shown(place, tone="muted"),
        Shown(render_score(measure, float(effect.at_least))),
        *(scores[name] for name in SCORES[:3]),
        # nothing is marked as met that the primary test does not tell from 0
        Shown(verdict, tone="" if verdict == "met" and not primary.told else TONES[verdict]),
        *(Shown(primary.show(level), of=both) for level in CLAIM_LEVELS),
        Shown(primary.standing, tone="good" if primary.told and verdict.startswith("met") else "muted"),
        Shown(_describe_seeds(found, primary), tone="muted"),
        *(scores[name] for name in SCORES[3:]),
        Shown(render_ratio(_number(found.get("ratio"))), of=both),
    ]


def _describe_seeds(found: Mapping[str, str], primary: Primary) -> str:
    """Render `3 and 3 SFT seeds (these models)`, with the models that are left out; or why there is nothing."""
    if not found or found["verdict"] == "missing":
        return primary.note or UNKNOWN
    levels = [LEVELS[found[f"{side}_seed_level"]] for side in ("variant", "against")]
    counts = [found[f"{side}_n_seeds"] for side in ("variant", "against")]
    lost = int(found["incomplete_models"])
    left_out = f"; {lost} {'model' if lost == 1 else 'models'} without all scores left out" if lost else ""
    if levels[0] == levels[1]:
        said = f"{' and '.join(counts)} {levels[0]}" if levels[0] != LEVELS[""] else "one seed each"
        return said + left_out
    sides = zip(counts, levels, strict=True)
    return " and ".join(level if level == LEVELS[""] else f"{count} {level}" for count, level in sides) + left_out


def _number(text: str | None) -> float | None:
    return float(text) if text else None

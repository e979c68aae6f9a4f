"""The effects a study stated beforehand, and what came of them."""

from mixlab.analysis.effects import HEADER, comparison_id
from mixlab.analysis.statistics import STANDARD_ERRORS_WANTED
from mixlab.config.analysis import EffectSettings, ReportSettings
from mixlab.report.numbers import Numbers
from mixlab.report.tables import Column, Shown, Table
from mixlab.report.text import STAGES, UNKNOWN, render_ratio, render_score, to_anchor

TONES = {"met": "good", "met on items only": "", "not met": "bad", "not estimable": "bad", "missing": "bad"}
LEVELS = {
    "mixture_seed": "mixture seeds (this recipe)",
    "ipt_seed": "IPT seeds (this recipe)",
    "sft_seed": "SFT seeds (these models)",
    "": "one seed",
}
SCORES = ("variant_mean", "against_mean", "difference", "se_seeds", "se_items", "standard_error")
NOTE = (
    f"Met: the difference is at least what was claimed and at least {STANDARD_ERRORS_WANTED:g} standard errors. "
    "Its standard error takes, for each of the two variants, the larger of the error over seeds and the error over "
    "items, so that seeds which happen to agree do not make an error of zero. "
    "“Met on items only”: a variant has a single seed, so nothing is said about other seeds. "
    "This is a rule of thumb, corrected for nothing: whether a difference is told from 0 the primary test decides, "
    "in the table of tests."
)


def build_effects_table(settings: ReportSettings, numbers: Numbers) -> Table:
    """One row per stated effect; an effect the aggregate did not measure is "missing"."""
    columns = [Column("Claim", "long"), Column("Measured on", "long")]
    columns += [Column(label, "number") for label in ("Claimed ≥", "Variant", "Against", "Difference", "SE seeds")]
    columns += [Column(label, "number") for label in ("SE items", "SE", "Difference / SE")]
    columns += [Column("Seeds", "long"), Column("Verdict", "short")]
    keys = settings.variant_keys()
    rows, records = [], []
    for effect in settings.effects:
        found = numbers.effects.get(comparison_id(effect.to_comparison(keys)), {})
        rows.append(_build_row(effect, found, keys, numbers))
        records.append([effect.name, effect.variant, effect.against, *(found.get(name) for name in HEADER)])
    header = ["name", "variant", "against", *HEADER]
    return Table("effects", "Effects stated before they were measured", tuple(columns), rows, header, records, NOTE)


def summarise_effects(settings: ReportSettings, numbers: Numbers) -> list[str]:
    """One sentence that counts the verdicts, or none when nothing was claimed."""
    keys = settings.variant_keys()
    verdicts = [
        numbers.effects.get(comparison_id(effect.to_comparison(keys)), {}).get("verdict", "missing")
        for effect in settings.effects
    ]
    if not verdicts:
        return []
    parts = [f"{verdicts.count(verdict)} {verdict}" for verdict in TONES if verdict in verdicts]
    return [f"Of {len(verdicts)} effects stated before they were measured: {', '.join(parts)}."]


def _build_row(effect: EffectSettings, found: dict[str, str], keys: dict[str, str], numbers: Numbers) -> list[Shown]:
    measure = effect.measure
    place = f"{STAGES[effect.stage]}, {effect.filters()}"
    if measure == "judge_score":
        place += f", judge score by {', '.join(numbers.judges()) or 'nobody'}"
    elif measure != "accuracy":
        place += f", {measure}"
    verdict = found.get("verdict", "missing")
    sides = [numbers.cells_of(keys[label], effect.stage, effect) for label in (effect.variant, effect.against)]
    of = {"variant_mean": sides[0], "against_mean": sides[1]}
    both = (*sides[0], *sides[1])
    return [
        Shown(f"{effect.name} ({effect.variant} over {effect.against})", to_anchor("lineage", keys[effect.variant])),
        Shown(place, tone="muted"),
        Shown(render_score(measure, float(effect.at_least))),
        *(Shown(render_score(measure, _number(found.get(name))), of=of.get(name, both)) for name in SCORES),
        Shown(render_ratio(_number(found.get("ratio"))), of=both),
        Shown(_describe_seeds(found), tone="muted"),
        Shown(verdict, tone=TONES[verdict]),
    ]


def _describe_seeds(found: dict[str, str]) -> str:
    """Render `3 and 3 SFT seeds (these models)`."""
    if not found or found["verdict"] == "missing":
        return UNKNOWN
    levels = [LEVELS[found[f"{side}_seed_level"]] for side in ("variant", "against")]
    counts = [found[f"{side}_n_seeds"] for side in ("variant", "against")]
    if levels[0] == levels[1]:
        return f"{' and '.join(counts)} {levels[0]}" if levels[0] != LEVELS[""] else "one seed each"
    return " and ".join(f"{count} {level}" for count, level in zip(counts, levels, strict=True))


def _number(text: str | None) -> float | None:
    return float(text) if text else None

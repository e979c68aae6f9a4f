"""What differences a study can find, from the noise it expects: minimum detectable effects, and what would help."""

from typing import Any

from mixlab.cli._common import render_table
from mixlab.config.analysis import EffectSettings, find_range
from mixlab.config.study import Study
from mixlab.plan.checks_noise import count_items, list_benchmarks

ENOUGH, TOO_FEW, CANNOT = "can be found", "cannot succeed: too little", "cannot succeed"
_COLUMNS = ("effect", "claim about", "test", "effects", "claimed", "alone", "detectable", "power", "says")
_ALPHA = 0.05
_CURES = {"ipt_seed": "IPT seeds", "sft_seed": "SFT seeds", "judge_run": "judge runs", "items": "times the items"}


def list_detectable(study: Study) -> list[dict[str, Any]]:
    """Return, for each effect and claim level, what is detectable and what would help; nothing without `noise`."""
    if study.noise is None:
        return []
    # scipy takes its time, and most studies state no noise
    from mixlab.analysis.claim_levels import CLAIM_LEVELS

    return [_assess(study, effect, level) for effect in study.effects for level in CLAIM_LEVELS]


def render_detectable(name: str, study: Study, found: list[dict[str, Any]]) -> str:
    """Render the table of one study; empty without `noise`."""
    if study.noise is None:
        return ""
    rows = [
        [
            row["effect"],
            row["level"],
            row["test"] or "-",
            str(row["family"]),
            _show(row["claimed"]),
            _show(row["uncorrected"]),
            _show(row["detectable"]),
            "-" if row["power"] is None else f"{row['power']:.0%}",
            _say(row),
        ]
        for row in found
    ]
    said = f"{name}: smallest differences found with {study.noise.power:.0%} power at 5 %, from the noise it expects"
    said += ", corrected by Holm over all effects (alone: not corrected)"
    return f"{said}\n{render_table(_COLUMNS, rows)}\n"


def _assess(study: Study, effect: EffectSettings, level: Any) -> dict[str, Any]:
    from mixlab.analysis.detectable import find_cures, find_detectable, find_power, plan_test

    assert study.noise is not None
    claimed = float(effect.at_least)
    family = _count_family(study, level)
    alpha = _ALPHA / max(1, family)
    row: dict[str, Any] = {"effect": effect.name, "level": level, "test": None, "family": family, "claimed": claimed}
    row |= {"uncorrected": None, "detectable": None, "power": None, "verdict": CANNOT, "needs": {}, "note": ""}
    noise = study.noise.measures.get(effect.measure)
    if noise is None:
        return row | {"verdict": "not known", "note": f"noise.measures says nothing of {effect.measure}"}
    if effect.stage == "served":
        return row | {"note": "served models have no seeds"}
    from mixlab.analysis.detectable import NoiseLevels

    levels, design = NoiseLevels(**noise.model_dump()), _build_design(study, effect)
    cures = find_cures(claimed, levels, design, level, study.noise.power, alpha) if claimed else {}
    if effect.measure != "judge_score":
        cures.pop("judge_run", None)
    planned = plan_test(levels, design, level)
    if isinstance(planned, str):
        return row | {"note": f"not estimable: {planned}", "needs": cures}
    detectable = find_detectable(planned, study.noise.power, alpha)
    enough = bool(claimed) and detectable <= claimed
    lowest, highest = find_range(effect.measure)
    return row | {
        "note": f"{effect.measure} has no difference that large" if detectable > highest - lowest else "",
        "test": planned.test,
        "uncorrected": find_detectable(planned, study.noise.power),
        "detectable": detectable,
        "power": find_power(claimed, planned, alpha) if claimed else None,
        "verdict": ENOUGH if enough else (TOO_FEW if claimed else "claims no size"),
        "needs": {} if enough else cures,
    }


def _count_family(study: Study, level: Any) -> int:
    """Return the effects that could be tested at this level with enough seeds; Holm corrects over them."""
    stages = ("after_sft",) if level == "these models" else ("before_sft", "after_sft")
    return sum(effect.stage in stages for effect in study.effects)


def _build_design(study: Study, effect: EffectSettings) -> Any:
    from mixlab.analysis.detectable import Design

    counts, names = count_items(study), list_benchmarks(study, effect)
    seeds = study.seeds
    return Design(
        mixture_seeds=len(seeds.mixture_seed),
        ipt_seeds=len(seeds.ipt_seed),
        sft_seeds=len(seeds.sft_seed),
        generation_seeds=len(seeds.generation_seed),
        judge_runs=len(seeds.judge_run) if effect.measure == "judge_score" else 1,
        # where answers do not vary, how many items there are changes nothing
        items=tuple(counts.get(name, 1) for name in names),
        tuned=effect.stage == "after_sft",
    )


def _say(row: dict[str, Any]) -> str:
    parts = [row["verdict"], row["note"]]
    if row["needs"]:
        helps = [f"{count} {_CURES[name]}" for name, count in row["needs"].items() if count is not None]
        useless = [_CURES[name] for name, count in row["needs"].items() if count is None]
        parts.append(f"would with {' or '.join(helps)}" if helps else "")
        parts.append(f"no number of {' or '.join(useless)} alone would do" if useless else "")
    return "; ".join(filter(None, parts))


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

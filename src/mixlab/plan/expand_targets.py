"""Settle the tables and figures that a study is to give: labels become the keys under which their numbers stand."""

from collections.abc import Sequence

from mixlab.config.study import Study
from mixlab.config.targets import (
    AnyTarget,
    Counter,
    CountsTarget,
    DrawnTarget,
    RawTarget,
    ScoreTarget,
    TargetPoint,
    TargetSettings,
)
from mixlab.plan.tested import Served, Tested


def settle_targets(study: Study, tested: Sequence[Tested | Served]) -> tuple[TargetSettings, ...]:
    """Return every target of a study in order of name, each with the points that it shows."""
    if not study.targets:
        return ()
    points = list_target_points(study, tested)
    seeds: dict[Counter, int] = {
        "mixture_seed": len(study.seeds.mixture_seed),
        "ipt_seed": len(study.seeds.ipt_seed),
        "sft_seed": len(study.seeds.sft_seed),
        "generation_seed": len(study.seeds.generation_seed),
        "judge_run": len(study.seeds.judge_run),
    }
    return tuple(
        TargetSettings(
            name=name,
            target=target,
            points=_choose(target, points),
            seeds=seeds,
            benchmarks=_list_benchmarks(study, target),
        )
        for name, target in sorted(study.targets.items())
    )


def _list_benchmarks(study: Study, target: AnyTarget) -> dict[str, tuple[str, ...]]:
    """Name what each measure averages: a run without one of them is not whole."""
    if not isinstance(target, ScoreTarget):
        return {}
    declared = {label: use.declaration(label) for label, use in sorted(study.benchmarks.items())}
    return {
        measure.label: tuple(
            label
            for label, one in declared.items()
            if any(measure.selects(name, label, one.category, one.language) for name in one.measures())
        )
        for measure in target.measures
    }


def list_target_points(study: Study, tested: Sequence[Tested | Served]) -> list[TargetPoint]:
    """List the points of the study by variant and base model, in the order of the study's file."""
    made: dict[str, Tested] = {}
    for model in tested:
        if isinstance(model, Tested):
            made.setdefault(model.point, model)
    several = len(study.base_models) > 1
    return [
        TargetPoint(
            variant=label,
            base_model=base,
            variant_key=made[point].variant_key,
            mixture_key=made[point].mixture.key,
        )
        for label, variant in study.variants.items()
        for base in variant.base_models or tuple(study.base_models)
        if (point := f"{label} on {base}" if several else label) in made
    ]


def _choose(target: AnyTarget, points: Sequence[TargetPoint]) -> tuple[TargetPoint, ...]:
    if isinstance(target, CountsTarget | DrawnTarget):
        return ()
    if isinstance(target, RawTarget):
        named = (target.variant, target.base_model)
        return tuple(one for one in points if (one.variant, one.base_model) == named)
    variants = {*target.variants, *([target.against] if target.against is not None else [])}
    return tuple(
        one
        for one in points
        if (not target.variants or one.variant in variants)
        and (not target.base_models or one.base_model in target.base_models)
    )

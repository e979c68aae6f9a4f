"""Expand the evaluation of a study's models: responses, scores, ratings, tables, report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixlab.config.analysis import (
    AggregateSettings,
    ModelEntry,
    ModelIdentity,
    ModelScoresSettings,
    ReportSettings,
    ScoredPart,
    VariantLabel,
    build_comparisons,
)
from mixlab.config.benchmarks import BenchmarkDeclaration
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.report_data import DataShown
from mixlab.config.study import Study
from mixlab.plan import specs
from mixlab.plan.expand_pairs import Scored, expand_pairs
from mixlab.plan.expand_targets import settle_targets
from mixlab.plan.graph import Node, Plan
from mixlab.plan.own_answers import find_own_answers
from mixlab.plan.tested import Manner, Served, Tested


@dataclass(frozen=True)
class _Asked:
    """One benchmark with one generation seed, its specs made once for all models."""

    name: str
    declaration: BenchmarkDeclaration
    items: Node
    examples: Node | None
    generate: specs.GenerateSpec
    generation_seed: int
    score: specs.ScoreSpec | None
    judges: tuple[tuple[int, specs.JudgeSpec], ...]


def expand_scores(
    plan: Plan, name: str, study: Study, tested: Sequence[Tested | Served], items: Mapping[str, Node], data: DataShown
) -> Node:
    """Add evaluation, tables and report of a study's models; return the report, which shows `data` beside them.

    Raises ConfigError for two models that no table could tell apart.
    """
    manners = {repr(model.manner): model.manner for model in tested}
    asked = {name: _list_asked(study, items, manner) for name, manner in manners.items()}
    parts = _list_parts(next(iter(asked.values())))
    tables: dict[str, tuple[ModelIdentity, Node]] = {}
    scored = [Scored(model, _expand_model(plan, asked[repr(model.manner)], parts, model)) for model in tested]
    for one in scored:
        tables.setdefault(one.scores.key, (one.model.identity(), one.scores))
    _require_distinct(scored)
    pairs = expand_pairs(plan, study, scored, parts)
    keys = sorted(tables)
    points = {model.point: model.variant_key for model in tested}
    aggregate = AggregateSettings(
        models=tuple(ModelEntry(position=position, **tables[key][0].model_dump()) for position, key in enumerate(keys)),
        comparisons=build_comparisons(study.effects, points),
        own_answers=find_own_answers(study.judge, tested),
        pairs=pairs.entries,
    )
    mixtures = sorted({key for model in tested for key in model.mixture_keys})
    gathered = plan.add(
        specs.AggregateSpec(aggregate=aggregate),
        {"scores": tuple(keys), "mixtures": tuple(mixtures), **pairs.parents},
        f"{name}/aggregate",
    )
    labels = {model.point: model for model in tested}
    order = [*(label for label in study.report.order if label in labels), *sorted(labels)]
    report = ReportSettings(
        title=study.title,
        study=name,
        variants=tuple(
            VariantLabel(
                label=point,
                variant_key=labels[point].variant_key,
                description=labels[point].description,
                base_model=labels[point].base_model,
            )
            for point in dict.fromkeys(order)
        ),
        effects=study.effects,
        groups=study.report.groups,
        notes=study.report.notes,
        data=data,
    )
    shown = {role: keys for role, keys in data.keys().items() if keys}
    spec = specs.ReportSpec(report=report, targets=settle_targets(study, tested))
    return plan.add(spec, {"aggregate": (gathered.key,), **shown}, f"{name}/report")


def _require_distinct(scored: Sequence[Scored]) -> None:
    """Raise ConfigError for models of one start and one mixture that base models train or ask in two ways."""
    first: dict[ModelIdentity, Scored] = {}
    for one in scored:
        other = first.setdefault(one.model.identity(), one)
        if other.scores.key != one.scores.key:
            message = (
                f"'{other.model.point}' and '{one.model.point}' begin with the same weights and mixture, but base "
                f"models '{other.model.base_model}' and '{one.model.base_model}' train or ask them in two ways, and "
                "tables would take them for two seeds of one point; make two studies of them, or let the weights differ"
            )
            raise ConfigError(Problem(message, key=f"base_models.{one.model.base_model}"))


def _list_asked(study: Study, items: Mapping[str, Node], manner: Manner) -> list[_Asked]:
    """List what a model is asked, benchmarks and seeds in order, however the study lists them."""
    asked = []
    for name, use in sorted(study.benchmarks.items()):
        declaration = use.declaration(name)
        prompt = manner.ask(declaration.prompt)
        score = specs.ScoreSpec(scoring=declaration.scoring) if declaration.scoring is not None else None
        judges: tuple[tuple[int, specs.JudgeSpec], ...] = ()
        if declaration.judged:
            judge = study.judge.to_settings(declaration.judge_language())
            judges = tuple((run, specs.JudgeSpec(judge=judge, judge_run=run)) for run in sorted(study.seeds.judge_run))
        for seed in sorted(study.seeds.generation_seed):
            generate = specs.GenerateSpec(
                benchmark_version=declaration.version,
                engine=manner.engine,
                prompt=prompt,
                generation_seed=study.shifted(seed),
                lm_eval=declaration.task_requests(),
            )
            examples = items[use.examples] if use.examples is not None else None
            asked.append(_Asked(name, declaration, items[use.data], examples, generate, seed, score, judges))
    return asked


def _expand_model(plan: Plan, asked: Sequence[_Asked], parts: tuple[ScoredPart, ...], tested: Tested | Served) -> Node:
    results: list[str] = []
    judged: list[str] = []
    group = tested.reference
    for one in asked:
        where = f"{tested.where}/{one.name}/generation_seed {one.generation_seed}"
        parents = {**tested.parents, "items": (one.items.key,)}
        if one.examples is not None:
            parents["examples"] = (one.examples.key,)
        responses = plan.add(one.generate, parents, f"{where}/generate", group=group)
        below = {"responses": (responses.key,), "items": (one.items.key,)}
        if one.score is not None:
            results.append(plan.add(one.score, below, f"{where}/score", group=group).key)
        judged += [responses.key] if one.judges else []
        for run, judge in one.judges:
            results.append(plan.add(judge, below, f"{where}/judge_run {run}/judge", group=group).key)
    spec = specs.ScoresSpec(scores=ModelScoresSettings(model=tested.identity(), parts=parts))
    # how long rated answers are is told of the answers alone
    lengths = {"responses": tuple(dict.fromkeys(judged))} if judged else {}
    return plan.add(spec, {"results": tuple(results), **lengths}, f"{tested.where}/scores", group=group)


def _list_parts(asked: Sequence[_Asked]) -> tuple[ScoredPart, ...]:
    """What each model's results are, in the order `_expand_model` lists them."""
    runs: list[tuple[_Asked, int | None]] = []
    for one in asked:
        runs += [(one, None)] if one.score is not None else [(one, run) for run, _ in one.judges]
    return tuple(
        ScoredPart(
            benchmark=one.name,
            measure=one.declaration.measure,
            language=one.declaration.language,
            category=one.declaration.category,
            generation_seed=one.generation_seed,
            judge_run=run,
        )
        for one, run in runs
    )

"""What a study cannot mean, found before any job: every problem at once, each with its address."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from mixlab.config.base_models import ScratchModelConfig
from mixlab.config.engines import HfEngineSettings
from mixlab.config.judging import ModelJudgeConfig
from mixlab.config.loading import problem_at
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.plan.base_model_lock import BASE_MODEL, is_locked
from mixlab.plan.checks_data import (
    Found,
    check_filters,
    check_labellers,
    check_licences,
    check_mixture,
    check_repeated,
    check_sources,
    check_tokenizers,
    render,
    unknown,
)
from mixlab.plan.checks_models import check_adapters, check_reach, check_room
from mixlab.plan.checks_noise import check_noise
from mixlab.plan.checks_pairs import check_pairwise
from mixlab.plan.checks_served import check_evaluated, check_served_effect, check_served_models
from mixlab.plan.checks_targets import check_targets
from mixlab.plan.checks_training import check_run_lengths
from mixlab.plan.checks_tuning import check_seeds_matter, check_tuning, list_tuned
from mixlab.plan.checks_validation import check_validation
from mixlab.plan.sources_lock import LOCK, LockedSource


def check_study(read: StudyFile, lock: Mapping[str, LockedSource]) -> list[Problem]:
    """Return every problem of a study that its models alone cannot see.

    A study with mistakes of form is checked as far as it was understood, so that all problems are told at once; what
    base models see by their overrides is checked as well.
    """
    plain = [name for name in read.names("base_models") if name not in read.seen]
    views = [(read, plain), *((view, [name]) for name, view in read.seen.items())]
    return [problem for view, models in views for problem in _check_one(view, lock, models)]


def _check_one(read: StudyFile, lock: Mapping[str, LockedSource], models: Sequence[str]) -> list[Problem]:
    """Check a study as it is seen by some of its base models; training that none of them does is not checked."""
    study = read.study
    checks: tuple[tuple[Callable[[], Found], tuple[str, ...]], ...] = (
        (lambda: check_evaluated(read), ("base_models", "variants", "ipt", "served_models")),
        (lambda: check_sources(study, read, lock), ("sources",)),
        (lambda: check_tokenizers(study, read, lock), ("tokenizers", "sources")),
        (lambda: check_filters(study, read), ("sources", "filters", "tokenizers")),
        (lambda: check_labellers(study, read), ("sources", "labellers")),
        (lambda: check_licences(study, read), ("sources", "licences")),
        (
            lambda: _check_base_models(study, read, lock),
            ("base_models", "tokenizers", "sources", "architectures"),
        ),
        (lambda: _check_variants(study, read), ("variants", "base_models", "sources")),
        (lambda: check_repeated(study, lock), ("sources", "base_models", "variants", "sft", "pools")),
        (
            lambda: check_validation(study, read, lock),
            ("sources", "pools", "base_models", "variants", "ipt", "sft"),
        ),
        (lambda: check_served_models(study, read), ("served_models", "variants", "sft", "benchmarks")),
        (
            lambda: check_pairwise(study, read),
            ("pairwise", "judge", "variants", "base_models", "benchmarks", "sft", "served_models"),
        ),
        (lambda: _check_order(study, read), ("report", "variants", "served_models")),
        (lambda: _check_training(study, lock, models), ("ipt", "average", "variants", "base_models", "seeds")),
        (lambda: check_run_lengths(study, models), ("ipt", "variants", "base_models", "sft")),
        (lambda: _check_sft(study, read, lock, models), ("sft", "base_models", "sources", "seeds")),
        (lambda: check_adapters(study, lock, models), ("ipt", "sft", "base_models")),
        (lambda: check_room(study, lock, models), ("benchmarks", "base_models")),
        (lambda: _check_benchmarks(study, read), ("benchmarks", "sources", "judge")),
        (
            lambda: _check_effects(study, read),
            ("effects", "variants", "base_models", "benchmarks", "sft", "served_models"),
        ),
        (lambda: _check_judge(study, read), ("judge", "variants", "base_models", "sft", "served_models")),
        (lambda: check_noise(study), ("noise", "effects", "benchmarks", "sources")),
        (lambda: _check_names(study), ("effects", "report")),
        (lambda: check_targets(study, read), ("targets", "variants", "base_models", "benchmarks", "sft")),
    )
    possible = (check() for check, sections in checks if not read.missing.intersection(sections))
    return [problem_at(read.document, path, message) for found in possible for path, message in found]


def _check_base_models(study: Study, read: StudyFile, lock: Mapping[str, LockedSource]) -> Found:
    for name, model in study.base_models.items():
        path = ("base_models", name)
        if model.tokenizer not in read.names("tokenizers"):
            yield (*path, "tokenizer"), unknown("tokenizer", model.tokenizer, read.names("tokenizers"))
        if not isinstance(model, ScratchModelConfig):
            locked = lock.get(f"{BASE_MODEL}{name}")
            if locked is None or not is_locked(model, locked):
                told = "not in" if locked is None else "another one in"
                yield path, f"{told} {LOCK}; run `mixlab lock {BASE_MODEL}{name}`"
            continue
        if model.architecture is not None and model.architecture not in read.names("architectures"):
            names = read.names("architectures")
            yield (*path, "architecture"), unknown("architecture", model.architecture, names)
        if model.training.snapshots is not None:
            yield (*path, "training", "snapshots"), "pretraining keeps its last model alone; remove snapshots"
        if model.training.keep_epochs:
            yield (*path, "training", "keep_epochs"), "pretraining keeps its last model alone; remove keep_epochs"
        if model.training.lora is not None:
            yield (*path, "training", "lora"), "an adapter needs a trained model to stand on; pretraining has none"
        yield from check_mixture(study, read, (*path, "mixture"), model.mixture)
        yield from check_reach(study, lock, path, model.sequence_tokens, [name])


def _check_variants(study: Study, read: StudyFile) -> Found:
    for label, variant in study.variants.items():
        path = ("variants", label)
        for position, name in enumerate(variant.base_models or ()):
            if name not in read.names("base_models"):
                yield (*path, "base_models", position), unknown("base model", name, read.names("base_models"))
        yield from check_mixture(study, read, path, variant.to_mixture())
        if variant.budget.samples is not None:
            yield (*path, "budget"), "IPT packs documents, so its budget is in tokens or epochs, not samples"


def _check_order(study: Study, read: StudyFile) -> Found:
    for position, label in enumerate(study.report.order):
        if label not in (known := [*read.names("variants"), *read.names("served_models")]):
            yield ("report", "order", position), unknown("variant", label, known)


def _check_training(study: Study, lock: Mapping[str, LockedSource], models: Sequence[str]) -> Found:
    ipt = study.ipt
    if not models or ipt is None:
        return
    path = ("ipt", "training", "snapshots")
    snapshots = ipt.training.snapshots
    if snapshots is None:
        yield path, f"averaging takes the last {study.average.last} snapshots, but ipt keeps none; set snapshots"
    elif study.average.last > snapshots.keep:
        message = f"averages {study.average.last} snapshots, but ipt keeps {snapshots.keep}"
        yield ("average", "last"), f"{message}; lower it, or raise ipt.training.snapshots.keep (which reruns ipt)"
    yield from check_seeds_matter(("ipt", "training", "order"), ipt.training, "ipt_seed", study.seeds.ipt_seed)
    yield from check_reach(study, lock, ("ipt",), ipt.sequence_tokens, models)


def _check_sft(study: Study, read: StudyFile, lock: Mapping[str, LockedSource], models: Sequence[str]) -> Found:
    sft = study.sft
    if sft is None or not models:
        return
    yield from check_mixture(study, read, ("sft", "mixture"), sft.mixture)
    yield from check_reach(study, lock, ("sft",), sft.sequence_tokens, models)
    yield from check_tuning(study, read)
    for position, name in enumerate(sft.mixture.sources):
        if name in study.sources and study.sources[name].kind == "raw":
            at = name if isinstance(sft.mixture.sources, dict) else position
            yield ("sft", "mixture", "sources", at), f"'{name}' is raw text; sft learns from dialogues"


def _check_benchmarks(study: Study, read: StudyFile) -> Found:
    for name, use in study.benchmarks.items():
        path = ("benchmarks", name)
        for field, named in zip(("data", "examples"), use.source_names(), strict=False):
            source = study.sources.get(named)
            if named not in read.names("sources"):
                yield (*path, field), unknown("source", named, read.names("sources"))
            elif source is not None and source.kind != "benchmark":
                yield (*path, field), f"'{named}' is a source of kind {source.kind}; a benchmark needs kind benchmark"
        try:
            declaration = use.declaration(name)
        except ConfigError as error:
            for problem in error.problems:
                yield path, problem.message
            continue
        except ValueError as error:
            for message in render(error):
                yield path, message
            continue
        count = declaration.count_examples()
        if count and use.examples is None:
            yield path, f"shows {count} worked examples before each question; name their source as `examples`"
        elif not count and use.examples is not None:
            yield (*path, "examples"), "the benchmark shows no examples from a source (`shots`); remove it"
        if declaration.asks_likelihoods() and (study.served_models or not isinstance(study.engine, HfEngineSettings)):
            message = "asks for likelihoods, which engine hf alone gives; write engine: {engine: hf}, or leave it out"
            yield path, message + (" with served_models" if study.served_models else "")
        if declaration.judged:
            try:
                study.judge.check_language(declaration.judge_language())
            except ValueError as error:
                yield ("judge",), str(error)


def _list_points(study: Study, read: StudyFile) -> list[str]:
    """Labels of the variants as points: on each of their base models, where there are several."""
    points = list(read.names("variants"))
    if len(read.names("base_models")) < 2:
        return points
    return [
        f"{label} on {base}"
        for label in points
        for base in (study.variants[label].base_models if label in study.variants else None)
        or read.names("base_models")
    ]


def _check_judge(study: Study, read: StudyFile) -> Found:
    known = [*_list_points(study, read), *list_tuned(study, read), *study.served_models]
    for position, label in enumerate(study.judge.same_as if isinstance(study.judge, ModelJudgeConfig) else ()):
        if label not in known:
            yield ("judge", "same_as", position), unknown("variant", label, known)


def _check_effects(study: Study, read: StudyFile) -> Found:
    points = _list_points(study, read)
    declared = {}
    for name, use in study.benchmarks.items():
        try:
            declared[name] = use.declaration(name)
        except (ConfigError, ValueError):
            continue
    tuned = list_tuned(study, read)
    is_whole = len(declared) == len(read.names("benchmarks"))
    for position, effect in enumerate(study.effects):
        path = ("effects", position)
        for field in ("variant", "against"):
            label = getattr(effect, field)
            if label not in (*points, *tuned, *study.served_models) and effect.stage != "served":
                yield (*path, field), unknown("variant", label, [*points, *tuned])
            elif label in tuned and effect.stage == "before_sft":
                yield (*path, "stage"), f"'{label}' is a way of fine-tuning, so it has no score before it"
        yield from check_served_effect(effect, path, study)
        if effect.stage == "after_sft" and study.sft is None:
            yield (*path, "stage"), "the study has no sft, so nothing is compared after it"
        chosen = [
            name
            for name, one in declared.items()
            if any(effect.selects(measure, name, one.category, one.language) for measure in one.measures())
        ]
        if is_whole and not chosen:
            yield path, f"effect '{effect.name}' selects no benchmark of the study ({effect.filters()})"


def _check_names(study: Study) -> Found:
    """Two things of one name cannot be told apart in a table."""
    names = Counter(effect.name for effect in study.effects)
    for position, effect in enumerate(study.effects):
        if names.pop(effect.name, 1) > 1:
            yield ("effects", position, "name"), f"'{effect.name}' names several effects; names must differ"
    labels = Counter(group.label for group in study.report.groups)
    for position, group in enumerate(study.report.groups):
        if labels.pop(group.label, 1) > 1:
            yield ("report", "groups", position), f"'{group.label}' names several groups; labels must differ"

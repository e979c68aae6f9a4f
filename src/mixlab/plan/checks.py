"""What a study cannot mean, found before any job: every problem at once, each with its address."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

from pydantic import ValidationError

from mixlab.config.loading import problem_at
from mixlab.config.mixture_config import MixtureConfig
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.sources import FilesConfig
from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.config.training import TrainSettings
from mixlab.plan.sources_lock import LOCK, LockedSource

Path = tuple[str | int, ...]
Found = Iterator[tuple[Path, str]]


def check_study(read: StudyFile, lock: Mapping[str, LockedSource]) -> list[Problem]:
    """Return every problem of a study that its models alone cannot see.

    A study with mistakes of form is checked as far as it was understood, so that all problems are told at once.
    """
    study = read.study
    checks: tuple[tuple[Callable[[], Found], tuple[str, ...]], ...] = (
        (lambda: _check_sources(study, lock), ("sources",)),
        (lambda: _check_tokenizers(study, read), ("tokenizers", "sources")),
        (lambda: _check_base_models(study, read), ("base_models", "tokenizers", "sources")),
        (lambda: _check_variants(study, read), ("variants", "base_models", "sources")),
        (lambda: _check_order(study, read), ("report", "variants")),
        (lambda: _check_training(study), ("ipt", "average", "variants", "base_models", "seeds")),
        (lambda: _check_sft(study, read), ("sft", "base_models", "sources", "seeds")),
        (lambda: _check_benchmarks(study, read), ("benchmarks", "sources", "judge")),
        (lambda: _check_effects(study, read), ("effects", "variants", "base_models", "benchmarks", "sft")),
        (lambda: _check_names(study), ("effects", "report")),
    )
    possible = (check() for check, sections in checks if not read.missing.intersection(sections))
    return [problem_at(read.document, path, message) for found in possible for path, message in found]


def _unknown(what: str, name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    return f"no {what} is named '{name}'{did_you_mean(name, known)}; known: {', '.join(sorted(known)) or 'none'}"


def _render(error: ValueError) -> list[str]:
    if isinstance(error, ValidationError):
        return [item["msg"].removeprefix("Value error, ") for item in error.errors()]
    return [str(error)]


def _check_sources(study: Study, lock: Mapping[str, LockedSource]) -> Found:
    for name, source in study.sources.items():
        if not isinstance(source.origin, FilesConfig):
            continue
        locked = lock.get(name)
        if locked is None:
            yield ("sources", name), f"not in {LOCK}; run `mixlab lock {name}`"
        elif not locked.is_of(source.origin):
            yield ("sources", name, "origin"), f"{LOCK} was written for other files; run `mixlab lock {name}`"
        else:
            try:
                source.to_settings(locked.digests(), locked.digests(joined=True))
            except ValueError as error:
                for message in _render(error):
                    yield ("sources", name), message


def _check_tokenizers(study: Study, read: StudyFile) -> Found:
    for name, tokenizer in study.tokenizers.items():
        for position, source in enumerate(tokenizer.sources):
            path = ("tokenizers", name, "sources", position)
            if source not in read.names("sources"):
                yield path, _unknown("source", source, read.names("sources"))
            elif source in tokenizer.sources[:position]:
                yield path, f"'{source}' is named twice; name each source once"
            elif source in study.sources and study.sources[source].kind == "benchmark":
                yield path, f"'{source}' is a benchmark; a tokenizer is trained on raw and instruction sources"


def _check_mixture(study: Study, read: StudyFile, path: Path, mixture: MixtureConfig) -> Found:
    written = read.names("sources")
    for position, name in enumerate(mixture.sources):
        if name not in written:
            at = name if isinstance(mixture.sources, dict) else position
            yield (*path, "sources", at), _unknown("source", name, written)
    if not all(name in study.sources for name in mixture.names()):
        return
    try:
        mixture.to_settings(study.sources, seed=0)
    except ValueError as error:
        for message in _render(error):
            yield path, message


def _check_length(study: Study, path: Path, sequence_tokens: int, base_models: Sequence[str]) -> Found:
    for name in base_models:
        model = study.base_models.get(name)
        if model is not None and sequence_tokens > model.model.max_positions:
            message = f"{sequence_tokens} tokens are more than max_positions {model.model.max_positions} of '{name}'"
            yield (*path, "sequence_tokens"), f"{message}; lower it or raise base_models.{name}.model.max_positions"


def _check_base_models(study: Study, read: StudyFile) -> Found:
    for name, model in study.base_models.items():
        path = ("base_models", name)
        if model.tokenizer not in read.names("tokenizers"):
            yield (*path, "tokenizer"), _unknown("tokenizer", model.tokenizer, read.names("tokenizers"))
        if model.training.snapshots is not None:
            yield (*path, "training", "snapshots"), "pretraining keeps its last model alone; remove snapshots"
        yield from _check_mixture(study, read, (*path, "mixture"), model.mixture)
        yield from _check_length(study, path, model.sequence_tokens, [name])


def _check_variants(study: Study, read: StudyFile) -> Found:
    for label, variant in study.variants.items():
        path = ("variants", label)
        for position, name in enumerate(variant.base_models or ()):
            if name not in read.names("base_models"):
                yield (*path, "base_models", position), _unknown("base model", name, read.names("base_models"))
        yield from _check_mixture(study, read, path, variant.to_mixture())
        if variant.budget.samples is not None:
            yield (*path, "budget"), "IPT packs documents, so its budget is in tokens or epochs, not samples"


def _check_order(study: Study, read: StudyFile) -> Found:
    for position, label in enumerate(study.report.order):
        if label not in read.names("variants"):
            yield ("report", "order", position), _unknown("variant", label, read.names("variants"))


def _check_training(study: Study) -> Found:
    path = ("ipt", "training", "snapshots")
    snapshots = study.ipt.training.snapshots
    if snapshots is None:
        yield path, f"averaging takes the last {study.average.last} snapshots, but ipt keeps none; set snapshots"
    elif study.average.last > snapshots.keep:
        message = f"averages {study.average.last} snapshots, but ipt keeps {snapshots.keep}"
        yield ("average", "last"), f"{message}; lower it, or raise ipt.training.snapshots.keep (which reruns ipt)"
    yield from _check_seeds_matter(("ipt", "training", "order"), study.ipt.training, "ipt_seed", study.seeds.ipt_seed)
    yield from _check_length(study, ("ipt",), study.ipt.sequence_tokens, list(study.base_models))
    for label, variant in study.variants.items():
        yield from _check_steps(study.ipt.training, label, variant.budget.tokens, study.ipt.sequence_tokens)


def _check_seeds_matter(path: Path, training: TrainSettings, axis: str, seeds: Sequence[int]) -> Found:
    """A run from a given model in the mixture's own order has nothing left for a seed to decide."""
    if training.order == "mixture" and len(seeds) > 1:
        message = f"order: mixture leaves nothing to {axis}, so its {len(seeds)} seeds would be one model counted often"
        yield path, f"{message}; write order: shuffled, or one seed"


def _check_steps(training: TrainSettings, label: str, tokens: int | None, sequence_tokens: int) -> Found:
    """A window holds at most sequence_tokens, so a budget gives at least so many steps; only a sure miss is told."""
    if training.snapshots is None or tokens is None:
        return
    wanted = training.snapshots.every_steps * (training.snapshots.keep - 1) + 1
    # windows are rarely fuller than half: a budget that cannot even then reach the first snapshot never will
    most = ceil(2 * tokens / sequence_tokens / training.global_batch_windows * training.passes)
    if most < wanted:
        message = f"{tokens} tokens give at most about {most} steps of ipt, and its snapshots need {wanted}"
        yield ("variants", label, "budget"), f"{message}; raise the budget or keep fewer snapshots"


def _check_sft(study: Study, read: StudyFile) -> Found:
    sft = study.sft
    if sft is None:
        return
    yield from _check_mixture(study, read, ("sft", "mixture"), sft.mixture)
    yield from _check_length(study, ("sft",), sft.sequence_tokens, list(study.base_models))
    yield from _check_seeds_matter(("sft", "training", "order"), sft.training, "sft_seed", study.seeds.sft_seed)
    if sft.training.snapshots is not None:
        yield ("sft", "training", "snapshots"), "sft keeps its last model alone; remove snapshots"
    for position, name in enumerate(sft.mixture.sources):
        if name in study.sources and study.sources[name].kind == "raw":
            at = name if isinstance(sft.mixture.sources, dict) else position
            yield ("sft", "mixture", "sources", at), f"'{name}' is raw text; sft learns from dialogues"


def _check_benchmarks(study: Study, read: StudyFile) -> Found:
    for name, use in study.benchmarks.items():
        path = ("benchmarks", name)
        source = study.sources.get(use.data)
        if use.data not in read.names("sources"):
            yield (*path, "data"), _unknown("source", use.data, read.names("sources"))
        elif source is not None and source.kind != "benchmark":
            yield (*path, "data"), f"'{use.data}' is a source of kind {source.kind}; a benchmark needs kind benchmark"
        try:
            declaration = use.declaration(name)
        except ConfigError as error:
            for problem in error.problems:
                yield path, problem.message
            continue
        except ValueError as error:
            for message in _render(error):
                yield path, message
            continue
        if declaration.judged:
            try:
                study.judge.to_settings(declaration.language)
            except ValueError as error:
                yield ("judge",), str(error)


def _check_effects(study: Study, read: StudyFile) -> Found:
    points = list(read.names("variants"))
    if len(read.names("base_models")) > 1:
        points = [
            f"{label} on {base}"
            for label in points
            for base in (study.variants[label].base_models if label in study.variants else None)
            or read.names("base_models")
        ]
    declared = {}
    for name, use in study.benchmarks.items():
        try:
            declared[name] = use.declaration(name)
        except (ConfigError, ValueError):
            continue
    is_whole = len(declared) == len(read.names("benchmarks"))
    for position, effect in enumerate(study.effects):
        path = ("effects", position)
        for field in ("variant", "against"):
            label = getattr(effect, field)
            if label not in points:
                yield (*path, field), _unknown("variant", label, points)
        if effect.stage == "after_sft" and study.sft is None:
            yield (*path, "stage"), "the study has no sft, so nothing is compared after it"
        chosen = [
            name for name, one in declared.items() if effect.selects(one.measure, name, one.category, one.language)
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

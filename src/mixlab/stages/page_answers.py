"""Every set of answers of a study, with what was said of it: gathered for the study's page."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mixlab.artifacts.keys import split_reference
from mixlab.config.analysis import ModelIdentity, ReportSettings, ScoredPart
from mixlab.config.problems import DataError
from mixlab.config.sources import FilesOrigin
from mixlab.data.sources.source import open_source
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import JudgePairsSpec, ScoresSpec, SourceSpec
from mixlab.report.site.answers import Answerer, AnswerSet, Asked, Compared, Judged, Place
from mixlab.stages.scores import find_mixture


class Shelf(Protocol):
    """Where artifacts are looked up; see `mixlab.stages.pages.Shelf`."""

    @property
    def plan(self) -> Plan:
        """The study's plan."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """Digest of a source file -> its path here."""
        ...

    def place(self, node: Node) -> Place:
        """Open an artifact, or say why it is not here."""
        ...


@dataclass(frozen=True)
class Answers:
    """All that a study's models answered, and what could not be read beside it."""

    answerers: Sequence[Answerer]
    benchmarks: Sequence[Asked]
    sets: Sequence[AnswerSet]
    notes: Sequence[str]


@dataclass
class _Gathering:
    shelf: Shelf
    variants: Mapping[str, str]
    mixtures: Mapping[str, str]
    places: dict[str, Place] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def place(self, key: str) -> Place:
        """Open an artifact once, however many models share it."""
        if key not in self.places:
            self.places[key] = self.shelf.place(self.shelf.plan.nodes[key])
        return self.places[key]

    def ask(self, part: ScoredPart, items: Node) -> None:
        """Note a benchmark once, with what its source knows of its items where that is here."""
        if part.benchmark in self.asked:
            return
        known, missing = self._read_items(items)
        self.asked[part.benchmark] = Asked(
            part.benchmark, part.measure, part.language, part.category or "", known, missing
        )

    def _read_items(self, node: Node) -> tuple[Mapping[str, Mapping[str, Any]], str]:
        place, spec = self.place(node.key), node.spec
        assert isinstance(spec, SourceSpec)
        if place.folder is None:
            return {}, f"Its reference answer cannot be shown: {place.missing}."
        try:
            located = _locate(spec, self.shelf.files)
            return {str(item["id"]): item for item in open_source(spec.source, place.folder, located)}, ""
        except (DataError, OSError) as error:
            said = f"Reference answers of {node.label} cannot be shown: {error}"
            self.notes.append(said)
            return {}, said


def _locate(spec: SourceSpec, files: Mapping[str, str]) -> list[tuple[str, Path]]:
    origin = spec.source.origin
    if not isinstance(origin, FilesOrigin):
        return []
    joined = origin.joined.digests if origin.joined is not None else ()
    digests = [*origin.digests, *joined]
    if lost := [digest for digest in digests if digest not in files]:
        raise DataError(f"no data root here holds the file with digest {', '.join(lost)}")
    return [(digest, Path(files[digest])) for digest in digests]


def gather_answers(
    shelf: Shelf, aggregate: Node, settings: ReportSettings, progress: Callable[[], object] = lambda: None
) -> Answers:
    """Follow an aggregate to all answers behind it; those that are not here are named with the reason."""
    named: defaultdict[str, list[str]] = defaultdict(list)
    for variant in settings.variants:
        named[variant.variant_key].append(variant.label)
    gathering = _Gathering(
        shelf,
        {key: " = ".join(labels) for key, labels in named.items()},
        {mixture.key: mixture.label for mixture in settings.data.mixtures} if settings.data else {},
    )
    compared = _list_compared(gathering, aggregate.parents.get("pairs", ()))
    answerers: list[Answerer] = []
    sets: list[AnswerSet] = []
    order = list(gathering.variants)
    models = [shelf.plan.nodes[key] for key in aggregate.parents["scores"]]
    for node in sorted(models, key=lambda one: _order(one, order)):
        answerer, own = _gather_model(gathering, node, len(answerers), compared, progress)
        answerers.append(answerer)
        sets += own
    return Answers(answerers, list(gathering.asked.values()), sets, gathering.notes)


def _order(node: Node, variants: Sequence[str]) -> tuple[int, bool, list[int]]:
    """Variants as they are displayed, before SFT first, then by seeds."""
    model = _identity(node)
    place = variants.index(model.variant_key) if model.variant_key in variants else len(variants)
    seeds = (model.mixture_seed, model.ipt_seed, model.sft_seed)
    return place, model.stage == "after_sft", [-1 if seed is None else seed for seed in seeds]


def _identity(node: Node) -> ModelIdentity:
    assert isinstance(node.spec, ScoresSpec)
    return node.spec.scores.model


def _gather_model(
    gathering: _Gathering,
    node: Node,
    answerer: int,
    compared: Mapping[str, Sequence[Compared]],
    progress: Callable[[], object],
) -> tuple[Answerer, list[AnswerSet]]:
    """Gather one model's sets of answers, each with its scores or all its judgings."""
    plan, spec = gathering.shelf.plan, node.spec
    assert isinstance(spec, ScoresSpec)
    grouped: dict[str, list[tuple[ScoredPart, Node]]] = {}
    for part, key in zip(spec.scores.parts, node.parents["results"], strict=True):
        result = plan.nodes[key]
        grouped.setdefault(result.parents["responses"][0], []).append((part, result))
    sets = []
    for key, results in grouped.items():
        part = results[0][0]
        responses = plan.nodes[key]
        gathering.ask(part, plan.nodes[responses.parents["items"][0]])
        judged = tuple(
            Judged(gathering.place(result.key), one.judge_run) for one, result in results if one.judge_run is not None
        )
        scored = next((gathering.place(result.key) for one, result in results if one.judge_run is None), None)
        others = tuple(compared.get(key, ()))
        place = gathering.place(key)
        sets.append(AnswerSet(place, answerer, part.benchmark, part.generation_seed, scored, judged, others))
        progress()
    return _name_model(gathering, _identity(node), plan.nodes[next(iter(grouped))]), sets


def _name_model(gathering: _Gathering, model: ModelIdentity, responses: Node) -> Answerer:
    plan = gathering.shelf.plan
    (reference,) = responses.parents.get("model", (model.variant_key,))
    mixture = None if model.stage == "served" else find_mixture(plan, reference)
    base = plan.nodes.get(model.base_model_key)
    seeds = {name: getattr(model, name) for name in ("mixture_seed", "ipt_seed", "sft_seed")}
    return Answerer(
        reference=reference,
        variant_key=model.variant_key,
        variant=gathering.variants.get(model.variant_key, model.variant_key),
        base_model=base.label.rpartition("/")[2] if base is not None else "",
        mixture=gathering.mixtures.get(mixture, mixture) if mixture is not None else "",
        stage=model.stage,
        seeds={name: seed for name, seed in seeds.items() if seed is not None},
    )


def _list_compared(gathering: _Gathering, keys: Iterable[str]) -> Mapping[str, list[Compared]]:
    """List the comparisons of each set of answers, by its key."""
    found: defaultdict[str, list[Compared]] = defaultdict(list)
    for key in keys:
        node = gathering.shelf.plan.nodes[key]
        assert isinstance(node.spec, JudgePairsSpec)
        ((first,), (second,)) = (node.parents[role] for role in ("responses_a", "responses_b"))
        place, run = gathering.place(key), node.spec.judge_run
        found[split_reference(first)[0]].append(Compared(place, second, run, is_second=False))
        found[split_reference(second)[0]].append(Compared(place, first, run, is_second=True))
    return found

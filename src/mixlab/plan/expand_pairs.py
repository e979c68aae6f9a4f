"""Expand pairwise judging: which answers of two models meet, and who says which is better."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mixlab.config.analysis import ModelIdentity, PairEntry, PointStage, ScoredPart
from mixlab.config.judging import ModelJudgeConfig
from mixlab.config.pairwise import PairConfig, PairwiseConfig
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.study import Study
from mixlab.plan import specs
from mixlab.plan.graph import Node, Plan, Roles
from mixlab.plan.own_answers import find_own_answers, locate_model
from mixlab.plan.tested import Served, Tested

_SEEDS = ("mixture_seed", "ipt_seed", "sft_seed")


@dataclass(frozen=True)
class Scored:
    """A model with the node of its scores, whose parents are its results part by part."""

    model: Tested | Served
    scores: Node


@dataclass(frozen=True)
class Pairs:
    """Pairwise judgings by key, and what each of them compares."""

    entries: tuple[PairEntry, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def parents(self) -> Roles:
        """What an aggregate is made from beside scores and mixtures."""
        return {"pairs": self.keys} if self.keys else {}


def expand_pairs(plan: Plan, study: Study, scored: Sequence[Scored], parts: Sequence[ScoredPart]) -> Pairs:
    """Add the pairwise judgings that a study asks for; `parts` are what each model's results are, in their order.

    A pair that several entries name is compared once, as the first of them says. Models of two points meet where the
    seeds that both have are the same; a served model has none, and meets them all. Raises ConfigError for entries that
    no two models match.
    """
    if study.pairwise is None or not isinstance(study.judge, ModelJudgeConfig):
        return Pairs()
    own = find_own_answers(study.judge, [one.model for one in scored])
    expansion = _Expansion(plan, study, study.judge, study.pairwise, parts, own)
    problems = []
    for position, config in enumerate(study.pairwise.comparisons):
        matches = list(_list_matches(config, study, scored))
        for variant, against in matches:
            expansion.add(config, variant, against)
        if not matches:
            message = f"no model is left to be compared with '{config.against}': both labels name one point, or one of "
            message += "them has no model at this stage"
            problems.append(Problem(message, key=f"pairwise.comparisons[{position}]"))
    if problems:
        raise ConfigError(problems)
    return expansion.gather()


@dataclass
class _Expansion:
    plan: Plan
    study: Study
    judge: ModelJudgeConfig
    pairwise: PairwiseConfig
    parts: Sequence[ScoredPart]
    own: Sequence[PointStage]
    _specs: dict[tuple[str, int], specs.JudgePairsSpec] = field(default_factory=dict)
    _found: dict[tuple[ScoredPart, frozenset[ModelIdentity]], tuple[str, PairEntry]] = field(default_factory=dict)

    def add(self, config: PairConfig, variant: Scored, against: Scored) -> None:
        """Add the judgings of two models, one for each benchmark, generation seed and judge run."""
        for at, part in enumerate(self.parts):
            if part.judge_run is None or (config.benchmarks and part.benchmark not in config.benchmarks):
                continue
            identities = variant.model.identity(), against.model.identity()
            if (name := (part, frozenset(identities))) in self._found:
                continue
            rated = [self.plan.nodes[one.scores.parents["results"][at]] for one in (variant, against)]
            node, is_swapped = self._add_node(part, part.judge_run, variant, against, rated)
            entry = PairEntry(
                position=0,
                variant=identities[0],
                against=identities[1],
                is_swapped=is_swapped,
                own=self._find_own(variant, against),
                **part.model_dump(exclude={"measure"}),
            )
            self._found[name] = node.key, entry

    def gather(self) -> Pairs:
        """Return what was added, in an order that neither names nor the order of the file decide."""
        keys = sorted({key for key, _ in self._found.values()})
        entries = [entry.model_copy(update={"position": keys.index(key)}) for key, entry in self._found.values()]
        return Pairs(tuple(sorted(entries, key=lambda entry: entry.model_dump_json())), tuple(keys))

    def _add_node(
        self, part: ScoredPart, judge_run: int, variant: Scored, against: Scored, rated: Sequence[Node]
    ) -> tuple[Node, bool]:
        """Add one judging; the responses with the lower key come first, whatever the study calls the models."""
        responses = [node.parents["responses"][0] for node in rated]
        parents = {
            "responses_a": (min(responses),),
            "responses_b": (max(responses),),
            "items": rated[0].parents["items"],
        }
        other = against.model.where.partition("/")[2]
        label = f"{variant.model.where} against {other}/{part.benchmark}/generation_seed {part.generation_seed}"
        group = " ".join(sorted((variant.model.reference, against.model.reference)))
        spec = self._spec(part.benchmark, judge_run)
        node = self.plan.add(spec, parents, f"{label}/judge_run {judge_run}/judge_pairs", group=group)
        return node, responses[0] > responses[1]

    def _spec(self, benchmark: str, judge_run: int) -> specs.JudgePairsSpec:
        if (benchmark, judge_run) not in self._specs:
            declaration = self.study.benchmarks[benchmark].declaration(benchmark)
            judge = self.pairwise.to_settings(self.judge, declaration.judge_language())
            self._specs[benchmark, judge_run] = specs.JudgePairsSpec(judge=judge, judge_run=judge_run)
        return self._specs[benchmark, judge_run]

    def _find_own(self, variant: Scored, against: Scored) -> Literal["variant", "against"] | None:
        """Say which of the two is the judge's own model, where one is."""
        first, second = (locate_model(one.model) in self.own for one in (variant, against))
        return None if first == second else "variant" if first else "against"


def _list_matches(config: PairConfig, study: Study, scored: Sequence[Scored]) -> Iterator[tuple[Scored, Scored]]:
    """Pair the models of the points that an entry names, by their seeds."""
    stages = (config.stage or ("before_sft" if study.sft is None else "after_sft"), "served")
    there = [one for one in scored if one.model.identity().stage in stages]
    against = [one for one in there if one.model.point == config.against]
    # a label may name the point that another one names
    keys = {one.model.variant_key for one in against}
    others = [one for one in there if config.variant in (None, one.model.point) and one.model.variant_key not in keys]
    return ((variant, other) for variant in others for other in against if _is_pair(variant, other))


def _is_pair(variant: Scored, against: Scored) -> bool:
    first, second = variant.model.identity(), against.model.identity()
    seeds = ((getattr(first, name), getattr(second, name)) for name in _SEEDS)
    return all(one == other or None in (one, other) for one, other in seeds)

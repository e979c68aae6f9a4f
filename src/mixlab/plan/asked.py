"""What models are asked of benchmarks and what they generate: counted, bounded, or measured in what is made."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.store import Store
from mixlab.config.model_flops import count_generation_flops
from mixlab.plan.graph import Node
from mixlab.plan.model_resources import find_model
from mixlab.plan.specs import GenerateSpec
from mixlab.plan.workload import UnknownError, Workloads

MOST = 20
"""Artifacts of one benchmark and base model whose responses are looked at."""


@dataclass(frozen=True)
class Asked:
    """What one model is asked of a benchmark: items, prompts (turns, samples), and an estimate of their tokens.

    `new_tokens` is the most that is generated; 0 where given texts are weighed.
    """

    items: int
    prompts: int
    prompt_tokens: int
    new_tokens: int


CountAsked = Callable[[Node], Asked | None]
"""Counts what a node of stage generate asks; None where its items are not here."""


@dataclass(frozen=True)
class Answered:
    """Tokens of one prompt and of its response, as they were on average."""

    prompt_tokens: float
    new_tokens: float


@dataclass
class Generation:
    """Sums over the artifacts of one benchmark; `expected_tokens` is None where no response of it is here.

    `unknown` counts artifacts that are in no sum, as their items are not here; `shapeless` those whose operations are
    in no sum, as their model's shape is not known, or it is served elsewhere.
    """

    benchmark: str
    artifacts: int = 0
    items: int = 0
    prompts: int = 0
    most_tokens: int = 0
    expected_tokens: float | None = 0.0
    flops: int = 0
    unknown: int = 0
    shapeless: int = 0


@dataclass
class Answers:
    """How long prompts and responses were in artifacts that are here, by benchmark and base model."""

    store: Store
    workloads: Workloads
    count_asked: CountAsked
    made: Sequence[Node]
    """Artifacts of stage generate that may be looked at."""
    _by_kind: dict[tuple[str, str], list[Answered]] = field(default_factory=dict)
    _is_read: bool = False

    def find(self, node: Node) -> Answered | None:
        """Return the mean of the same benchmark and base model, else of the benchmark; None where there is none."""
        if not self._is_read:
            self._read()
        items, base = self._name(node)
        found = self._by_kind.get((items, base)) or [
            one for (of, _), answered in self._by_kind.items() if of == items for one in answered
        ]
        if not found:
            return None
        return Answered(fmean(one.prompt_tokens for one in found), fmean(one.new_tokens for one in found))

    def _name(self, node: Node) -> tuple[str, str]:
        base = find_model(self.workloads.plan, node)
        return node.parents["items"][0], base.key if base is not None else ""

    def _read(self) -> None:
        self._is_read = True
        for node in self.made:
            known = self._by_kind.setdefault(self._name(node), [])
            asked = self.count_asked(node)
            if len(known) < MOST and asked is not None and asked.prompts:
                index = _read_index(self.store, node)
                known.append(Answered(index["prompt_tokens"] / asked.prompts, index["response_tokens"] / asked.prompts))


def _read_index(store: Store, node: Node) -> dict[str, int]:
    path = store.folder(*node.name) / "index.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        # weighed texts have no response
        return {name: int(card.get(name, 0)) for name in ("items", "prompt_tokens", "response_tokens")}
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); run `mixlab verify {node.key}`") from error


def sum_generation(nodes: Iterable[Node], count_asked: CountAsked, answers: Answers) -> list[Generation]:
    """Sum up what is asked and generated, by benchmark in order of planning."""
    found: dict[str, Generation] = {}
    for node in nodes:
        name = name_benchmark(node)
        line = found.setdefault(name, Generation(name))
        line.artifacts += 1
        asked = count_asked(node)
        if asked is None:
            line.unknown += 1
            continue
        line.items += asked.items
        line.prompts += asked.prompts
        line.most_tokens += asked.new_tokens
        answered = answers.find(node)
        tokens, new = asked.prompt_tokens / max(1, asked.prompts), asked.new_tokens / max(1, asked.prompts)
        if answered is None:
            line.expected_tokens = None
        else:
            tokens, new = answered.prompt_tokens, answered.new_tokens
        if line.expected_tokens is not None:
            line.expected_tokens += new * asked.prompts
        _add_flops(line, answers.workloads, node, asked, tokens, new)
    return list(found.values())


def _add_flops(
    line: Generation, workloads: Workloads, node: Node, asked: Asked, prompt_tokens: float, new_tokens: float
) -> None:
    base = find_model(workloads.plan, node)
    try:
        shape = workloads.shape(base) if base is not None else None
    except UnknownError:
        shape = None
    if shape is None:
        line.shapeless += 1
    else:
        line.flops += round(asked.prompts * count_generation_flops(shape, prompt_tokens, new_tokens))


def name_benchmark(node: Node) -> str:
    """Name the benchmark of a node of stage generate, as its study does."""
    if not isinstance(node.spec, GenerateSpec):
        raise TypeError(f"expected a node of stage generate, got {node.stage}")
    return node.label.split("/")[-3]  # …/BENCHMARK/generation_seed N/generate

"""How much a training run reads: tokens, windows and steps, as far as they are known before it runs.

A mixture that is made says it exactly. Of one that is not, its budget says it in one unit and bounds the others: a
window holds at most sequence_tokens. A budget in epochs says nothing before the packs behind it are made. A training
that says its steps repeats any mixture for so many windows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.config.base_models import BaseModelSettings, HubModel, ModelFiles
from mixlab.config.model_facts import ModelFacts
from mixlab.config.model_flops import DecoderShape, LoraShape, build_decoder_shape, parse_decoder_shape
from mixlab.config.models import ModelSettings
from mixlab.config.tokenizers import HubTokenizerSettings, TokenizerSettings
from mixlab.config.training import TrainSettings
from mixlab.plan import specs
from mixlab.plan.base_model_lock import BASE_MODEL
from mixlab.plan.graph import Node, Plan
from mixlab.plan.sources_lock import LOCK

MADE = "the mixture is made: all counted"
BY_TOKENS = "its budget is in tokens: steps are at least these"
BY_WINDOWS = "its budget is in windows: tokens are at most these"
BY_EPOCHS = "its budget is in epochs of packs that are made: steps are at least these"
BY_STEPS = "its training says its steps: tokens are at most these"


class UnknownError(Exception):
    """Something cannot be known yet; the message says why."""


@dataclass(frozen=True)
class Workload:
    """What one run reads in all its passes; `known_by` says which of the figures are bounds."""

    tokens: int
    head_tokens: int
    steps: int
    sequence_tokens: int
    known_by: str

    @property
    def squared_tokens(self) -> int:
        """Sum over documents of tokens squared, at most: as if each document filled its window."""
        return self.tokens * self.sequence_tokens


@dataclass(frozen=True)
class _Mixture:
    tokens: int
    windows: int
    response_tokens: int | None
    sequence_tokens: int
    known_by: str


@dataclass
class Workloads:
    """Reads what is known of the runs of a plan; each artifact at most once."""

    plan: Plan
    store: Store
    files: Mapping[str, str] = field(default_factory=dict)
    """Digest of a source file -> its path on this machine."""
    facts: Mapping[ModelFiles | HubModel, ModelFacts] = field(default_factory=dict)
    """Sizes of base models that are read, as far as sources.lock notes them."""
    complete: frozenset[Name] | None = None
    """What counts as made; None: what is whole here now."""
    _mixtures: dict[str, _Mixture] = field(default_factory=dict)
    _shapes: dict[str, DecoderShape] = field(default_factory=dict)

    def is_made(self, node: Node) -> bool:
        """Whether an artifact counts as made, so that it may be read."""
        return self.store.is_complete(*node.name) if self.complete is None else node.name in self.complete

    def measure(self, node: Node, training: TrainSettings) -> Workload:
        """Say what a run reads; raises UnknownError when that cannot be known yet."""
        above = self.plan.nodes[node.parents["mixture"][0]]
        if training.steps is not None and not self.is_made(above):
            longest = self._find_packs(above)[1]
            most = training.steps * training.global_batch_windows * longest
            return Workload(most, most, training.steps, longest, BY_STEPS)
        mixture = self._mixture(above)
        passes = training.count_passes(mixture.windows)
        tokens = ceil(mixture.tokens * passes)
        answers = tokens
        if training.loss == "response" and mixture.response_tokens is not None:
            answers = ceil(mixture.response_tokens * passes)
        steps = ceil(ceil(mixture.windows * passes) / training.global_batch_windows)
        return Workload(tokens, answers, steps, mixture.sequence_tokens, mixture.known_by)

    def shape(self, base: Node) -> DecoderShape:
        """Return the shape of a base model; raises UnknownError when nothing here says it yet."""
        if base.key not in self._shapes:
            self._shapes[base.key] = self._find_shape(base)
        return self._shapes[base.key]

    def _mixture(self, node: Node) -> _Mixture:
        if node.key not in self._mixtures:
            made = self.is_made(node)
            self._mixtures[node.key] = self._read_mixture(node) if made else self._bound_mixture(node)
        return self._mixtures[node.key]

    def _read_mixture(self, node: Node) -> _Mixture:
        card = self._read(node, "certificate.json")
        sources = card["sources"]
        tokens, answers = sum(sources["allocated_tokens"]), sum(sources["response_tokens"])
        return _Mixture(tokens, card["windows"], answers, card["sequence_tokens"], MADE)

    def _find_packs(self, node: Node) -> tuple[list[Node], int]:
        """The packs of a mixture, and the most tokens that a window of them holds."""
        packs = [self.plan.nodes[key] for key in node.parents["packs"]]
        if not isinstance(packs[0].spec, specs.PackSpec):
            raise TypeError(f"expected a mixture of packs, got {node.stage}")
        return packs, packs[0].spec.pack.sequence_tokens

    def _bound_mixture(self, node: Node) -> _Mixture:
        spec, (packs, longest) = node.spec, self._find_packs(node)
        if not isinstance(spec, specs.MixtureSpec):
            raise TypeError(f"expected a mixture of packs, got {node.stage}")
        budget = spec.mixture.budget
        windows = budget.windows or budget.samples
        if windows is not None:
            return _Mixture(windows * longest, windows, None, longest, BY_WINDOWS)
        if budget.tokens is not None:
            return _Mixture(budget.tokens, ceil(budget.tokens / longest), None, longest, BY_TOKENS)
        if budget.epochs is None or not all(self.is_made(pack) for pack in packs):
            raise UnknownError("the budget of its mixture is in epochs, and the packs behind it are not here yet")
        tokens = int(budget.epochs * sum(self._read(pack, "index.json")["tokens"] for pack in packs))
        return _Mixture(tokens, ceil(tokens / longest), None, longest, BY_EPOCHS)

    def _find_shape(self, base: Node) -> DecoderShape:
        if self.is_made(base):
            try:
                return parse_decoder_shape(self._read(base, "config.json"))
            except ValueError as error:
                raise UnknownError(f"the config.json of its base model: {error}") from error
        tokenizer = self.plan.nodes[base.parents["tokenizer"][0]]
        if isinstance(base.spec, specs.BaseModelSpec):
            return self._read_facts(base, base.spec.base_model, tokenizer)
        settings = getattr(base.spec, "model", None)
        if not isinstance(settings, ModelSettings):
            raise TypeError(f"expected the settings of a model in the spec of {base.stage}")
        return build_decoder_shape(settings, self._vocabulary(tokenizer))

    def _read_facts(self, base: Node, settings: BaseModelSettings, tokenizer: Node) -> DecoderShape:
        facts = self.facts.get(settings.origin)
        if facts is None:
            name = base.label.rpartition("/")[2]
            cure = f"`mixlab lock {BASE_MODEL}{name}` notes it"
            raise UnknownError(f"{LOCK} does not say yet what shape base model '{name}' has; {cure}")
        try:
            shape = facts.shape()
        except ValueError as error:
            raise UnknownError(f"the config.json of its base model: {error}") from error
        if settings.resize_vocabulary is None:
            return shape
        return replace(
            shape, vocab_size=settings.resize_vocabulary.count(self._vocabulary(tokenizer), shape.vocab_size)
        )

    def _vocabulary(self, node: Node) -> int:
        """Entries of a tokenizer; of one that is still to be trained those asked for, and scarce text yields fewer."""
        if self.is_made(node):
            return int(self._read(node, "index.json")["vocab_size"])
        settings = getattr(node.spec, "tokenizer", None)
        if isinstance(settings, TokenizerSettings):
            return settings.vocab_size
        if isinstance(settings, HubTokenizerSettings):
            raise UnknownError("its tokenizer is one of the hub and not here yet, so that its vocabulary is not known")
        path = Path(self.files.get(getattr(settings, "digest", ""), ""))
        if not path.is_file():
            raise UnknownError("the file of its tokenizer is not here, so that its vocabulary is not known")
        return count_entries(path)

    def _read(self, node: Node, name: str) -> Any:
        path = self.store.folder(*node.name) / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path}: cannot be read ({error}); run `mixlab verify {node.key}`") from error


def find_lora(training: TrainSettings) -> LoraShape | None:
    """Return the adapters that a run trains, None where it trains every weight."""
    lora = training.lora
    return None if lora is None else LoraShape(lora.rank, tuple(lora.targets))


def count_entries(path: Path) -> int:
    """Return the largest id of a `tokenizer.json` plus one; raises UnknownError for a file that is none."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        vocabulary = card["model"]["vocab"]
        ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else list(range(len(vocabulary)))
        return int(max(ids + [token["id"] for token in card.get("added_tokens", [])])) + 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnknownError(f"{path}: not a tokenizer.json that can be read ({error})") from error

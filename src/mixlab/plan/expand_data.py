"""Expand the data of a study: from sources, by way of filters and labels, to token stores, windows and mixtures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mixlab.config.filters import (
    ContaminationFilter,
    ExactDuplicatesConfig,
    FilterConfig,
    FilterSettings,
    LabelFilter,
    LengthConfig,
    NearDuplicatesConfig,
    settle_against,
)
from mixlab.config.held_out import Cell, ValidationConfig, ValidationSettings
from mixlab.config.mixture_config import MixtureConfig
from mixlab.config.sources import GeneratorOrigin, SourceConfig, SourceSettings
from mixlab.config.study import Study
from mixlab.config.tokenizers import PackSettings, TokenizeSettings, TokenizeShardSettings
from mixlab.plan import specs
from mixlab.plan.graph import Node, Plan, Roles
from mixlab.plan.sources_lock import LockedSource

Layout = str


@dataclass(frozen=True)
class Dataset:
    """Records as training sees them: the last filter of a chain, or the source itself, and the source they lie in."""

    last: Node
    root: Node

    def parents(self) -> dict[str, tuple[str, ...]]:
        """The role by which a stage names the records it works on."""
        return {"source": (self.last.key,)}

    def reads(self) -> dict[str, tuple[str, ...]]:
        """What must be there beside the parents: a filter says which records stay, the source holds them."""
        return {} if self.last.key == self.root.key else {"records": (self.root.key,)}


def shift_origin(study: Study, config: SourceConfig) -> SourceConfig:
    """Move a generated source into the study's own world."""
    origin = config.origin
    if not study.study_seed or not isinstance(origin, GeneratorOrigin):
        return config
    options = origin.options.model_copy(update={"world_seed": study.shifted(origin.options.world_seed)})
    moved = origin.model_copy(update={"seed": study.shifted(origin.seed), "options": options})
    return config.model_copy(update={"origin": moved})


Purpose = Literal["pretrain", "ipt", "sft"]


@dataclass(frozen=True)
class UsedMixture:
    """A mixture of the study as people know it: what for, on which tokenizer, from which parts in order.

    `variant` is that of an IPT mixture, `base_model` the one that is trained on it or goes on from there.
    """

    node: Node
    label: str
    purpose: Purpose
    tokenizer: str
    parts: tuple[str, ...]
    variant: str = ""
    base_model: str = ""


@dataclass
class DataExpansion:
    """The data of one study being expanded; equal requests are answered once."""

    plan: Plan
    name: str
    study: Study
    lock: Mapping[str, LockedSource]
    packs: dict[tuple[str, str, int, Layout], tuple[Node, Node]] = field(default_factory=dict)
    """(part of a source, tokenizer, sequence_tokens, layout) -> its windows and its token store."""
    mixtures: list[UsedMixture] = field(default_factory=list)
    _datasets: dict[str, Dataset] = field(default_factory=dict)
    _specs: dict[str, specs.Spec] = field(default_factory=dict)

    @cached_property
    def parts(self) -> Mapping[str, SourceConfig]:
        """Training sources by the names a mixture knows: a source that is labelled counts as one per category."""
        return self.study.parts()

    def label(self, *parts: str) -> str:
        """Return what people call a node: the study, then what it is."""
        return "/".join([self.name, *parts])

    def source_settings(self, name: str) -> SourceSettings:
        """Return what decides a source's records, its digests or revision taken from the lock."""
        return settle_source(self.study, name, self.lock)

    def source(self, name: str) -> Node:
        """Add a source."""
        spec = self.once(f"source {name}", lambda: specs.SourceSpec(source=self.source_settings(name)))
        return self.plan.add(spec, {}, self.label("source", name))

    def dataset(self, part: str) -> Dataset:
        """Add a source, or the part of it that a label names, with all that filters it."""
        if part not in self._datasets:
            self._datasets[part] = self._add_dataset(part)
        return self._datasets[part]

    def _add_dataset(self, part: str) -> Dataset:
        name, _, category = part.partition("/")
        if category:
            return self._labelled(name, category)
        config, root = self.study.sources[name], self.source(name)
        data = Dataset(root, root)
        chosen = settle_against(self.study.filters, name) if config.filters is None else config.filters
        for number, one in enumerate(chosen, 1):
            where = self.label("filter", name, f"{number} {one.type}")
            data = self._filtered(data, one.to_settings(), self._beside(one), where)
        if self.study.contamination.on_found != "warn":
            checked = {"contamination": (self.contamination(name).key,)}
            settings = ContaminationFilter(on_found=self.study.contamination.on_found)
            data = self._filtered(data, settings, checked, self.label("filter", name, "contamination"))
        return data

    def labels(self, name: str) -> Node:
        """Add the labels of a source, behind all that filters it."""
        data, config = self.dataset(name), self.study.sources[name]
        labeller = self.study.labellers[config.labeller or ""]
        spec = self.once(f"label {config.labeller}", lambda: specs.LabelSpec(label=labeller.to_settings()))
        return self.plan.add(spec, data.parents(), self.label("label", name), data.reads())

    def _labelled(self, name: str, category: str) -> Dataset:
        beside, where = {"labels": (self.labels(name).key,)}, self.label("filter", name, f"label {category}")
        return self._filtered(self.dataset(name), LabelFilter(category=category), beside, where)

    def _filtered(self, data: Dataset, settings: FilterSettings, beside: Roles, where: str) -> Dataset:
        spec = specs.FilterSpec(filter=settings)
        return Dataset(self.plan.add(spec, {**data.parents(), **beside}, where, data.reads()), data.root)

    def _beside(self, config: FilterConfig) -> Roles:
        """What a filter compares with, beside the records themselves."""
        if isinstance(config, LengthConfig):
            return {"tokenizer": (self.tokenizer(config.tokenizer).key,)}
        if isinstance(config, ExactDuplicatesConfig | NearDuplicatesConfig) and config.against:
            return {"against": tuple(sorted(self.source(name).key for name in config.against))}
        return {}

    def contamination(self, name: str) -> Node:
        """Add the search of a source for the items of every benchmark of the study."""
        used = {self.source(use.data).key for use in self.study.benchmarks.values()}
        settings = self.study.contamination.to_settings()
        spec = self.once("contamination", lambda: specs.ContaminationSpec(contamination=settings))
        parents = {"source": (self.source(name).key,), "benchmarks": tuple(sorted(used))}
        return self.plan.add(spec, parents, self.label("contamination", name))

    def tokenizer(self, name: str) -> Node:
        """Add a tokenizer and the sources it is trained on; one that is read has none."""
        config = self.study.tokenizers[name]
        keys = tuple(sorted(self.source(source).key for source in config.source_names()))
        locked = self.lock.get(f"tokenizer/{name}")
        settings = config.to_settings() if keys or locked is None else locked.settle_tokenizer(config)
        spec = self.once(f"tokenizer {name}", lambda: specs.TokenizerSpec(tokenizer=settings))
        return self.plan.add(spec, {"sources": keys} if keys else {}, self.label("tokenizer", name))

    def store(self, part: str, tokenizer: str) -> Node:
        """Add the token store of a source or part; a large one is made in shards, each a job of its own."""
        data, config = self.dataset(part), self.parts[part]
        chat = self.study.chat_of(tokenizer) if config.kind == "instruction" else None
        parents = {**data.parents(), "tokenizer": (self.tokenizer(tokenizer).key,)}
        spec = specs.TokenizeSpec(tokenize=TokenizeSettings(chat=chat))
        shards, reads = self._shards(part), data.reads()
        if shards > 1:
            # joined they are, byte for byte, what one job makes: how many there are decides nothing below them
            reads |= {"shards": tuple(self._add_shard(part, tokenizer, number, shards) for number in range(shards))}
        return self.plan.add(spec, parents, self.label("tokenize", tokenizer, part), reads)

    def _add_shard(self, part: str, tokenizer: str, number: int, shards: int) -> str:
        data, config = self.dataset(part), self.parts[part]
        chat = self.study.chat_of(tokenizer) if config.kind == "instruction" else None
        spec = specs.TokenizeShardSpec(tokenize=TokenizeShardSettings(chat=chat, number=number, of=shards))
        parents = {**data.parents(), "tokenizer": (self.tokenizer(tokenizer).key,)}
        where = self.label("tokenize", tokenizer, part, f"shard {number + 1} of {shards}")
        return self.plan.add(spec, parents, where, data.reads()).key

    def _shards(self, part: str) -> int:
        locked = self.lock.get(part.partition("/")[0])
        size = sum(file.bytes for file in locked.files if not file.joined) if locked is not None else 0
        return max(1, -(-size // self.study.tokens.shard_bytes))

    def pack(self, part: str, tokenizer: str, sequence_tokens: int, layout: Layout) -> tuple[Node, Node]:
        """Add the token store and the windows of one source or part."""
        wanted = (part, tokenizer, sequence_tokens, layout)
        if wanted not in self.packs:
            store = self.store(part, tokenizer)
            settings = PackSettings(sequence_tokens=sequence_tokens, layout=layout)
            where = self.label("pack", tokenizer, part, f"{layout} {sequence_tokens}")
            self.packs[wanted] = self.plan.add(specs.PackSpec(pack=settings), {"tokens": (store.key,)}, where), store
        return self.packs[wanted]

    def mixture(
        self,
        config: MixtureConfig,
        tokenizer: str,
        sequence_tokens: int,
        layout: Layout,
        seed: int,
        label: str,
        purpose: Purpose,
        *,
        base_model: str,
        variant: str = "",
    ) -> tuple[Node, dict[str, tuple[str, ...]]]:
        """Add a mixture; return it with what a trainer on it reads: the packs and token stores behind it.

        Sources are put in the order of their packs' keys, and those without a share are left out, so that neither a
        source's name nor a source that gives nothing is part of the mixture's identity.
        """
        named = config.renamed(self.study.expansion())
        made = {part: self.pack(part, tokenizer, sequence_tokens, layout) for part in named.used_names(self.parts)}
        names = sorted(made, key=lambda part: (made[part][0].key, part))
        settings = named.to_settings(self.parts, seed, names)
        packs = tuple(made[part][0].key for part in names)
        stores = tuple(made[part][1].key for part in names)
        node = self.plan.add(specs.MixtureSpec(mixture=settings), {"packs": packs}, label)
        self.mixtures.append(UsedMixture(node, label, purpose, tokenizer, tuple(names), variant, base_model))
        return node, {"packs": packs, "stores": stores}

    def validation(
        self, config: ValidationConfig | None, tokenizer: str, sequence_tokens: int, layout: Layout
    ) -> tuple[ValidationSettings | None, dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
        """Add the packs of held-out sources; return what a spec says of them, and the parents and reads it adds.

        The packs are put in the order of their keys, so that no name is part of the run's identity.
        """
        if config is None:
            return None, {}, {}
        expansion = self.study.expansion()
        parts = sorted({part for name in config.sources for part in expansion[name]})
        made = {part: self.pack(part, tokenizer, sequence_tokens, layout) for part in parts}
        names = sorted(parts, key=lambda part: (made[part][0].key, part))
        cells = tuple(_name_cell(self.parts[one]) for one in names)
        settings = ValidationSettings(every_steps=config.every_steps, windows=config.windows, cells=cells)
        parents = {"validation": tuple(made[part][0].key for part in names)}
        return settings, parents, {"validation_stores": tuple(made[part][1].key for part in names)}

    def once(self, name: str, make: Callable[[], specs.Spec]) -> specs.Spec:
        """Return the spec that `make` made the first time `name` was asked for."""
        if name not in self._specs:
            self._specs[name] = make()
        return self._specs[name]


def _name_cell(part: SourceConfig) -> Cell:
    if part.language is None:
        raise ValueError(f"a source of kind {part.kind} without a language has no cell")
    return Cell(language=part.language, category=part.category or "raw")


def settle_source(study: Study, name: str, lock: Mapping[str, LockedSource]) -> SourceSettings:
    """Return what decides a source's records, its digests or revision taken from the lock."""
    config = shift_origin(study, study.sources[name])
    if isinstance(config.origin, GeneratorOrigin):
        return config.to_settings()
    return lock[name].settle(config)

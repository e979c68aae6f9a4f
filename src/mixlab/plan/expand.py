"""Expand a checked study into its nodes, from sources to the report."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.config.mixture_config import MixtureConfig
from mixlab.config.sources import GeneratorOrigin, SourceConfig, SourceSettings
from mixlab.config.study import SftConfig, Study, VariantConfig
from mixlab.config.tokenizers import PackSettings, TokenizeSettings
from mixlab.plan import specs
from mixlab.plan.canonical import to_plain
from mixlab.plan.expand_scores import Tested, expand_scores
from mixlab.plan.graph import Node, Plan
from mixlab.plan.sources_lock import LockedSource


def expand_study(plan: Plan, name: str, study: Study, lock: Mapping[str, LockedSource]) -> None:
    """Add a study's nodes to the plan and its final report to the plan's targets."""
    expansion = Expansion(plan, name, study, lock)
    tested = list(expansion.models())
    items = {use.data: expansion.source(use.data) for use in study.benchmarks.values()}
    report = expand_scores(plan, name, study, tested, items)
    plan.targets[name] = [report.key]


def shift_origin(study: Study, config: SourceConfig) -> SourceConfig:
    """Move a generated source into the study's own world."""
    origin = config.origin
    if not study.study_seed or not isinstance(origin, GeneratorOrigin):
        return config
    options = origin.options.model_copy(update={"world_seed": study.shifted(origin.options.world_seed)})
    moved = origin.model_copy(update={"seed": study.shifted(origin.seed), "options": options})
    return config.model_copy(update={"origin": moved})


@dataclass
class Expansion:
    """One study being expanded; equal requests are answered once."""

    plan: Plan
    name: str
    study: Study
    lock: Mapping[str, LockedSource]
    _packs: dict[tuple[str, str, int, str], tuple[Node, Node]] = field(default_factory=dict)
    _base_models: dict[str, Node] = field(default_factory=dict)
    _sft_data: dict[str, tuple[Node, dict[str, tuple[str, ...]]]] = field(default_factory=dict)
    _specs: dict[str, specs.Spec] = field(default_factory=dict)

    def label(self, *parts: str) -> str:
        """Return what people call a node: the study, then what it is."""
        return "/".join([self.name, *parts])

    def source_settings(self, name: str) -> SourceSettings:
        """Return what decides a source's records, its digests taken from the lock."""
        config = shift_origin(self.study, self.study.sources[name])
        if isinstance(config.origin, GeneratorOrigin):
            return config.to_settings()
        locked = self.lock[name]
        return config.to_settings(locked.digests(), locked.digests(joined=True))

    def source(self, name: str) -> Node:
        """Add a source."""
        spec = self._once(f"source {name}", lambda: specs.SourceSpec(source=self.source_settings(name)))
        return self.plan.add(spec, {}, self.label("source", name))

    def tokenizer(self, name: str) -> Node:
        """Add a tokenizer and the sources it is trained on."""
        config = self.study.tokenizers[name]
        parents = {"sources": tuple(sorted(self.source(source).key for source in config.sources))}
        spec = self._once(f"tokenizer {name}", lambda: specs.TokenizerSpec(tokenizer=config.to_settings()))
        return self.plan.add(spec, parents, self.label("tokenizer", name))

    def pack(self, source: str, tokenizer: str, sequence_tokens: int, layout: str) -> tuple[Node, Node]:
        """Add the token store and the windows of one source."""
        known = self._packs.get((source, tokenizer, sequence_tokens, layout))
        if known is not None:
            return known
        kind = self.study.sources[source].kind
        tokenize = TokenizeSettings(chat=self.study.chat if kind == "instruction" else None)
        parents = {"source": (self.source(source).key,), "tokenizer": (self.tokenizer(tokenizer).key,)}
        store = self.plan.add(specs.TokenizeSpec(tokenize=tokenize), parents, self.label("tokenize", tokenizer, source))
        settings = PackSettings(sequence_tokens=sequence_tokens, layout=layout)
        label = self.label("pack", tokenizer, source, f"{layout} {sequence_tokens}")
        pack = self.plan.add(specs.PackSpec(pack=settings), {"tokens": (store.key,)}, label)
        self._packs[source, tokenizer, sequence_tokens, layout] = pack, store
        return pack, store

    def mixture(
        self, config: MixtureConfig, tokenizer: str, sequence_tokens: int, layout: str, seed: int, label: str
    ) -> tuple[Node, dict[str, tuple[str, ...]]]:
        """Add a mixture; return it with what a trainer on it reads: the packs and token stores behind it.

        Sources are put in the order of their packs' keys, and those without a share are left out, so that neither a
        source's name nor a source that gives nothing is part of the mixture's identity.
        """
        made = {
            source: self.pack(source, tokenizer, sequence_tokens, layout)
            for source in config.used_names(self.study.sources)
        }
        names = sorted(made, key=lambda source: (made[source][0].key, source))
        settings = config.to_settings(self.study.sources, seed, names)
        packs = tuple(made[source][0].key for source in names)
        stores = tuple(made[source][1].key for source in names)
        node = self.plan.add(specs.MixtureSpec(mixture=settings), {"packs": packs}, label)
        return node, {"packs": packs, "stores": stores}

    def base_model(self, name: str) -> Node:
        """Add a base model and what it is trained on."""
        if name not in self._base_models:
            self._base_models[name] = self._add_base_model(name)
        return self._base_models[name]

    def _add_base_model(self, name: str) -> Node:
        config = self.study.base_models[name]
        label = self.label("pretrain", name)
        seed = self.study.shifted(config.pretrain_seed)
        mixture, reads = self.mixture(
            config.mixture, config.tokenizer, config.sequence_tokens, "packed", seed, self.label("mixture", name)
        )
        spec = self._once(
            f"pretrain {name}",
            lambda: specs.PretrainSpec(model=config.model, training=config.training, pretrain_seed=seed),
        )
        parents = {"mixture": (mixture.key,), "tokenizer": (self.tokenizer(config.tokenizer).key,)}
        return self.plan.add(spec, parents, label, reads)

    def models(self) -> Iterator[Tested]:
        """Add every model the study evaluates, before and after SFT."""
        for label, variant in self.study.variants.items():
            for base_name in variant.base_models or tuple(self.study.base_models):
                yield from self._models_of(label, variant, base_name)

    def _models_of(self, label: str, variant: VariantConfig, base_name: str) -> Iterator[Tested]:
        seeds = self.study.seeds
        point = label if len(self.study.base_models) == 1 else f"{label} on {base_name}"
        for mixture_seed in seeds.mixture_seed:
            for ipt_seed in seeds.ipt_seed:
                where = f"{point}/mixture_seed {mixture_seed}"
                average = self._add_average(variant, base_name, where, mixture_seed, ipt_seed)
                average = replace(average, point=point, variant=label, description=variant.description)
                yield average
                for sft_seed, tuned in self._fine_tuned(average, f"{where}/ipt_seed {ipt_seed}", base_name):
                    name = self.label(where, f"ipt_seed {ipt_seed}", f"sft_seed {sft_seed}")
                    yield replace(average, model=tuned, sft_seed=sft_seed, where=name)

    def _add_average(
        self, variant: VariantConfig, base_name: str, where: str, mixture_seed: int, ipt_seed: int
    ) -> Tested:
        tokenizer = self.study.base_models[base_name].tokenizer
        base = self.base_model(base_name)
        mixture, reads = self.mixture(
            variant.to_mixture(),
            tokenizer,
            self.study.ipt.sequence_tokens,
            "packed",
            self.study.shifted(mixture_seed),
            self.label(where, "mixture"),
        )
        return Tested(
            model=self._averaged(base, mixture, reads, ipt_seed, f"{where}/ipt_seed {ipt_seed}"),
            tokenizer=self.tokenizer(tokenizer),
            mixture=mixture,
            variant_key=build_variant_key(mixture, base),
            base_model_key=base.key,
            mixture_seed=mixture_seed,
            ipt_seed=ipt_seed,
            sft_seed=None,
            where=self.label(where, f"ipt_seed {ipt_seed}", "average"),
        )

    def _averaged(self, base: Node, mixture: Node, reads: dict[str, tuple[str, ...]], seed: int, where: str) -> Node:
        study = self.study
        shifted = study.shifted(seed)
        spec = self._once(f"ipt {seed}", lambda: specs.IptSpec(training=study.ipt.training, ipt_seed=shifted))
        parents = {"base_model": (base.key,), "mixture": (mixture.key,)}
        run = self.plan.add(spec, parents, self.label(where, "ipt"), reads)
        members = tuple(f"{run.key}:last-{number:02d}" for number in range(study.average.last))
        spec = self._once("average", lambda: specs.AverageSpec(averaging=study.average))
        return self.plan.add(spec, {"snapshots": members}, self.label(where, "average"))

    def _fine_tuned(self, average: Tested, where: str, base_name: str) -> Iterator[tuple[int, Node]]:
        study = self.study
        config = study.sft
        if config is None:
            return
        mixture, reads = self._sft_mixture(config, self.study.base_models[base_name].tokenizer, base_name)
        for seed in study.seeds.sft_seed:
            shifted = study.shifted(seed)
            spec = self._once(f"sft {seed}", partial(specs.SftSpec, training=config.training, sft_seed=shifted))
            parents = {"model": (average.model.key,), "mixture": (mixture.key,)}
            yield seed, self.plan.add(spec, parents, self.label(where, f"sft_seed {seed}", "sft"), reads)

    def _sft_mixture(
        self, config: SftConfig, tokenizer: str, base_name: str
    ) -> tuple[Node, dict[str, tuple[str, ...]]]:
        """Add the dialogues that all models with a tokenizer are tuned on; a seed orders them, it draws no others."""
        if tokenizer not in self._sft_data:
            name = "sft" if len(self.study.tokenizers) == 1 else f"sft for {base_name}"
            seed, label = self.study.shifted(1), self.label("mixture", name)
            self._sft_data[tokenizer] = self.mixture(
                config.mixture, tokenizer, config.sequence_tokens, "one_per_window", seed, label
            )
        return self._sft_data[tokenizer]

    def _once(self, name: str, make: Callable[[], specs.Spec]) -> specs.Spec:
        if name not in self._specs:
            self._specs[name] = make()
        return self._specs[name]


def build_variant_key(mixture: Node, base: Node) -> str:
    """Return the identity of a point of a study: its mixture whatever the mixture_seed, and its base model."""
    if not isinstance(mixture.spec, specs.MixtureSpec):
        raise TypeError(f"expected a mixture, got {mixture.stage}")
    shares = to_plain(mixture.spec.mixture.model_copy(update={"seed": 0}))
    text = canonical_json([shares, sorted(mixture.parents["packs"]), base.key])
    return build_digest(text.encode())[:16]

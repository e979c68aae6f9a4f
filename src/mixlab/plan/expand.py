"""Expand a checked study into its nodes, from sources to the report."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.config.assumed import Assumption
from mixlab.config.study import SftConfig, Study
from mixlab.plan import specs
from mixlab.plan.canonical import to_plain
from mixlab.plan.expand_data import DataExpansion
from mixlab.plan.expand_report import expand_counts, show_data
from mixlab.plan.expand_scores import Tested, expand_scores
from mixlab.plan.graph import Node, Plan
from mixlab.plan.sources_lock import LockedSource


def expand_study(
    plan: Plan, name: str, study: Study, lock: Mapping[str, LockedSource], assumptions: Iterable[Assumption] = ()
) -> None:
    """Add a study's nodes to the plan and its final report to the plan's targets."""
    data = DataExpansion(plan, name, study, lock)
    expansion = Expansion(plan, study, data)
    tested = list(expansion.models())
    items = {use.data: data.source(use.data) for use in study.benchmarks.values()}
    shown = show_data(data, expand_counts(data), assumptions)
    report = expand_scores(plan, name, study, tested, items, shown)
    plan.targets[name] = [report.key]


@dataclass
class Expansion:
    """The models of one study being expanded; equal requests are answered once."""

    plan: Plan
    study: Study
    data: DataExpansion
    _base_models: dict[str, Node] = field(default_factory=dict)
    _sft_data: dict[str, tuple[Node, dict[str, tuple[str, ...]]]] = field(default_factory=dict)

    def base_model(self, name: str) -> Node:
        """Add a base model and what it is trained on."""
        if name not in self._base_models:
            self._base_models[name] = self._add_base_model(name)
        return self._base_models[name]

    def _add_base_model(self, name: str) -> Node:
        config = self.study.base_models[name]
        label = self.data.label("pretrain", name)
        seed = self.study.shifted(config.pretrain_seed)
        where = self.data.label("mixture", name)
        mixture, reads = self.data.mixture(
            config.mixture,
            config.tokenizer,
            config.sequence_tokens,
            config.layout,
            seed,
            where,
            "pretrain",
            base_model=name,
        )
        validation, beside, more = self.data.validation(
            config.validation, config.tokenizer, config.sequence_tokens, config.layout
        )
        spec = self.data.once(
            f"pretrain {name}",
            lambda: specs.PretrainSpec(
                model=config.model, training=config.training, pretrain_seed=seed, validation=validation
            ),
        )
        parents = {"mixture": (mixture.key,), "tokenizer": (self.data.tokenizer(config.tokenizer).key,)}
        return self.plan.add(spec, parents | beside, label, reads | more)

    def models(self) -> Iterator[Tested]:
        """Add every model the study evaluates, before and after SFT."""
        for label, variant in self.study.variants.items():
            for base_name in variant.base_models or tuple(self.study.base_models):
                yield from self._models_of(label, base_name)

    def _models_of(self, label: str, base_name: str) -> Iterator[Tested]:
        seen = self.study.seen_by(base_name)
        variant, seeds = seen.variants[label], self.study.seeds
        point = label if len(self.study.base_models) == 1 else f"{label} on {base_name}"
        for mixture_seed in seeds.mixture_seed:
            for ipt_seed in seeds.ipt_seed:
                where = f"{point}/mixture_seed {mixture_seed}"
                average = self._add_average(seen, label, base_name, where, mixture_seed, ipt_seed)
                average = replace(average, point=point, description=variant.description)
                yield average
                for sft_seed, tuned in self._fine_tuned(seen, average, f"{where}/ipt_seed {ipt_seed}", base_name):
                    name = self.data.label(where, f"ipt_seed {ipt_seed}", f"sft_seed {sft_seed}")
                    yield replace(average, model=tuned, sft_seed=sft_seed, where=name)

    def _add_average(
        self, seen: Study, variant: str, base_name: str, where: str, mixture_seed: int, ipt_seed: int
    ) -> Tested:
        tokenizer = self.study.base_models[base_name].tokenizer
        base = self.base_model(base_name)
        seed, label = self.study.shifted(mixture_seed), self.data.label(where, "mixture")
        mixture, reads = self.data.mixture(
            seen.variants[variant].to_mixture(),
            tokenizer,
            seen.ipt.sequence_tokens,
            seen.ipt.layout,
            seed,
            label,
            "ipt",
            base_model=base_name,
            variant=variant,
        )
        run = Run(seen, base_name, base, mixture, reads)
        return Tested(
            model=self._averaged(run, ipt_seed, f"{where}/ipt_seed {ipt_seed}"),
            tokenizer=self.data.tokenizer(tokenizer),
            mixture=mixture,
            variant_key=build_variant_key(mixture, base),
            base_model_key=base.key,
            mixture_seed=mixture_seed,
            ipt_seed=ipt_seed,
            sft_seed=None,
            where=self.data.label(where, f"ipt_seed {ipt_seed}", "average"),
            chat=self.study.chat_of(tokenizer),
        )

    def _averaged(self, run: "Run", seed: int, where: str) -> Node:
        seen, shifted = run.seen, self.study.shifted(seed)
        name = f"{run.base_name} {seed}"
        tokenizer = self.study.base_models[run.base_name].tokenizer
        validation, beside, more = self.data.validation(
            seen.ipt.validation, tokenizer, seen.ipt.sequence_tokens, seen.ipt.layout
        )
        make = partial(specs.IptSpec, training=seen.ipt.training, ipt_seed=shifted, validation=validation)
        parents = {"base_model": (run.base.key,), "mixture": (run.mixture.key,), **beside}
        ipt = self.plan.add(
            self.data.once(f"ipt {name}", make), parents, self.data.label(where, "ipt"), {**run.reads, **more}
        )
        members = tuple(f"{ipt.key}:last-{number:02d}" for number in range(seen.average.last))
        spec = self.data.once(f"average {run.base_name}", lambda: specs.AverageSpec(averaging=seen.average))
        return self.plan.add(spec, {"snapshots": members}, self.data.label(where, "average"))

    def _fine_tuned(self, seen: Study, average: Tested, where: str, base_name: str) -> Iterator[tuple[int, Node]]:
        config = seen.sft
        if config is None:
            return
        mixture, reads = self._sft_mixture(config, base_name)
        tokenizer = self.study.base_models[base_name].tokenizer
        validation, beside, more = self.data.validation(
            config.validation, tokenizer, config.sequence_tokens, "one_per_window"
        )
        for seed in self.study.seeds.sft_seed:
            shifted = self.study.shifted(seed)
            make = partial(specs.SftSpec, training=config.training, sft_seed=shifted, validation=validation)
            parents = {"model": (average.model.key,), "mixture": (mixture.key,), **beside}
            label = self.data.label(where, f"sft_seed {seed}", "sft")
            yield seed, self.plan.add(self.data.once(f"sft {base_name} {seed}", make), parents, label, reads | more)

    def _sft_mixture(self, config: SftConfig, base_name: str) -> tuple[Node, dict[str, tuple[str, ...]]]:
        """Add the dialogues that a base model's descendants are tuned on; a seed orders them, it draws no others."""
        if base_name not in self._sft_data:
            name = "sft" if len(self.study.base_models) == 1 else f"sft for {base_name}"
            tokenizer = self.study.base_models[base_name].tokenizer
            seed, label = self.study.shifted(1), self.data.label("mixture", name)
            self._sft_data[base_name] = self.data.mixture(
                config.mixture,
                tokenizer,
                config.sequence_tokens,
                "one_per_window",
                seed,
                label,
                "sft",
                base_model=base_name,
            )
        return self._sft_data[base_name]


@dataclass(frozen=True)
class Run:
    """What IPT starts from and sees: the study with the base model's overrides, the model, the mixture."""

    seen: Study
    base_name: str
    base: Node
    mixture: Node
    reads: Mapping[str, tuple[str, ...]]


def build_variant_key(mixture: Node, base: Node) -> str:
    """Return the identity of a point of a study: its mixture whatever the mixture_seed, and its base model."""
    if not isinstance(mixture.spec, specs.MixtureSpec):
        raise TypeError(f"expected a mixture, got {mixture.stage}")
    shares = to_plain(mixture.spec.mixture.model_copy(update={"seed": 0}))
    text = canonical_json([shares, sorted(mixture.parents["packs"]), base.key])
    return build_digest(text.encode())[:16]

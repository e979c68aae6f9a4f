"""Expand a checked study into its nodes, from sources to the report."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.config.assumed import Assumption
from mixlab.config.base_models import FilesModelConfig, HubModelConfig, ScratchModelConfig
from mixlab.config.study import SftConfig, Study
from mixlab.config.training import TrainSettings
from mixlab.plan import specs
from mixlab.plan.base_model_lock import BASE_MODEL, settle_base_model
from mixlab.plan.canonical import to_plain
from mixlab.plan.expand_data import DataExpansion
from mixlab.plan.expand_report import expand_counts, show_data
from mixlab.plan.expand_scores import expand_scores
from mixlab.plan.graph import Node, Plan, Roles
from mixlab.plan.sources_lock import LockedSource
from mixlab.plan.tested import Manner, Served, Tested


def expand_study(
    plan: Plan, name: str, study: Study, lock: Mapping[str, LockedSource], assumptions: Iterable[Assumption] = ()
) -> None:
    """Add a study's nodes to the plan and its final report to the plan's targets."""
    data = DataExpansion(plan, name, study, lock)
    expansion = Expansion(plan, study, data)
    tested: list[Tested | Served] = [*expansion.models(), *expansion.served_models()]
    items = {name: data.source(name) for use in study.benchmarks.values() for name in use.source_names()}
    # a study of served models alone has no token store to count
    counts = expand_counts(data) if data.mixtures else None
    shown = show_data(data, counts, assumptions)
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
        if not isinstance(config, ScratchModelConfig):
            return self._add_read_model(name, config)
        model = self.study.architecture_of(name)
        if model is None:
            raise ValueError(f"base model '{name}' names architecture '{config.architecture}', which is not there")
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
                model=model, training=config.training, pretrain_seed=seed, validation=validation
            ),
        )
        parents = {"mixture": (mixture.key,), "tokenizer": (self.data.tokenizer(config.tokenizer).key,)}
        return self.plan.add(spec, parents | beside, label, reads | more)

    def _add_read_model(self, name: str, config: FilesModelConfig | HubModelConfig) -> Node:
        settings = settle_base_model(config, self.data.lock[f"{BASE_MODEL}{name}"])
        parents = {"tokenizer": (self.data.tokenizer(config.tokenizer).key,)}
        return self.plan.add(specs.BaseModelSpec(base_model=settings), parents, self.data.label("base_model", name))

    def models(self) -> Iterator[Tested]:
        """Add every model the study evaluates, before and after SFT."""
        for label, variant in self.study.variants.items():
            for base_name in variant.base_models or tuple(self.study.base_models):
                yield from self._models_of(label, base_name)

    def served_models(self) -> Iterator[Served]:
        """Name every model that somebody serves to be evaluated; there is nothing to be made of it."""
        for name, config in self.study.served_models.items():
            yield Served(name, config, self.data.label(name), {})

    def _manner(self, base_name: str) -> Manner:
        base = self.study.base_models[base_name]
        chat = self.study.chat_of(base.tokenizer)
        return Manner(engine=self.study.engine, chat=chat, stop=base.stop, end_tokens=base.end_tokens)

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
                yield from self._fine_tuned(seen, average, label, f"{where}/ipt_seed {ipt_seed}", base_name)

    def _add_average(
        self, seen: Study, variant: str, base_name: str, where: str, mixture_seed: int, ipt_seed: int
    ) -> Tested:
        tokenizer, ipt = self.study.base_models[base_name].tokenizer, seen.require_ipt()
        base = self.base_model(base_name)
        seed, label = self.study.shifted(mixture_seed), self.data.label(where, "mixture")
        mixture, reads = self.data.mixture(
            seen.variants[variant].to_mixture(),
            tokenizer,
            ipt.sequence_tokens,
            ipt.layout,
            seed,
            label,
            "ipt",
            base_model=base_name,
            variant=variant,
        )
        run = IptInputs(seen, base_name, base, mixture, reads)
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
            manner=self._manner(base_name),
            base_model=base_name,
        )

    def _averaged(self, run: "IptInputs", seed: int, where: str) -> Node:
        seen, config, shifted = run.seen, run.seen.require_ipt(), self.study.shifted(seed)
        name = f"{run.base_name} {seed}"
        tokenizer = self.study.base_models[run.base_name].tokenizer
        validation, beside, more = self.data.validation(
            config.validation, tokenizer, config.sequence_tokens, config.layout
        )
        make = partial(specs.IptSpec, training=config.training, ipt_seed=shifted, validation=validation)
        parents = {"base_model": (run.base.key,), "mixture": (run.mixture.key,), **beside}
        reads = {**self._reads(config.training, run.base_name, run.reads), **more}
        ipt = self.plan.add(self.data.once(f"ipt {name}", make), parents, self.data.label(where, "ipt"), reads)
        members = tuple(f"{ipt.key}:last-{number:02d}" for number in range(seen.average.last))
        spec = self.data.once(f"average {run.base_name}", lambda: specs.AverageSpec(averaging=seen.average))
        base = {"base_model": (run.base.key,)} if seen.average.delta_scale is not None else {}
        return self.plan.add(spec, {"snapshots": members, **base}, self.data.label(where, "average"))

    def _fine_tuned(self, seen: Study, average: Tested, variant: str, where: str, base_name: str) -> Iterator[Tested]:
        """Add the models tuned from one: in each way that the study names, for each seed, and those kept on the way."""
        config = seen.sft
        if config is None:
            return
        mixture, behind = self._sft_mixture(config, base_name)
        tokenizer = self.study.base_models[base_name].tokenizer
        validation, beside, more = self.data.validation(
            config.validation, tokenizer, config.sequence_tokens, config.layout
        )
        parents = {"model": (average.model.key,), "mixture": (mixture.key,), **beside}
        for name, training in config.trainings(variant).items():
            for seed in self.study.seeds.sft_seed:
                make = partial(
                    specs.SftSpec, training=training, sft_seed=self.study.shifted(seed), validation=validation
                )
                spec = self.data.once(f"sft {(base_name, seed, name)}", make)
                at = self.data.label(where, *filter(None, [name]), f"sft_seed {seed}")
                node = self.plan.add(spec, parents, f"{at}/sft", {**self._reads(training, base_name, behind), **more})
                tuned = replace(average, model=node, sft_seed=seed, where=at)
                yield _as_point(tuned, training, name) if name else tuned
                for epoch in range(1, (training.kept_epochs or 0) + 1 if config.evaluate_epochs else 1):
                    yield _as_point(tuned, training, name, epoch)

    def _reads(self, training: TrainSettings, base_name: str, reads: Roles) -> Roles:
        """Return what a run reads beside its parents: a trainer that is not ours is given the tokenizer too."""
        if training.trainer is None:
            return reads
        return {**reads, "tokenizer": (self.data.tokenizer(self.study.base_models[base_name].tokenizer).key,)}

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
                config.layout,
                seed,
                label,
                "sft",
                base_model=base_name,
            )
        return self._sft_data[base_name]


@dataclass(frozen=True)
class IptInputs:
    """What IPT starts from and sees: the study with the base model's overrides, the model, the mixture."""

    seen: Study
    base_name: str
    base: Node
    mixture: Node
    reads: Mapping[str, tuple[str, ...]]


def _as_point(tuned: Tested, training: TrainSettings, name: str, epoch: int = 0) -> Tested:
    """Let a model be a point beside the variant's own, whose identity is how it was tuned, not what that is called."""
    identity = canonical_json([tuned.variant_key, to_plain(training), epoch])
    said = [*filter(None, [name]), *([f"epoch {epoch}"] if epoch else [])]
    return replace(
        tuned,
        variant_key=build_digest(identity.encode())[:16],
        point=", ".join([tuned.point, *said]),
        where="/".join([tuned.where, *said[-1:]]) if epoch else tuned.where,
        member=f"epoch-{epoch}" if epoch else "",
    )


def build_variant_key(mixture: Node, base: Node) -> str:
    """Return the identity of a point of a study: its mixture whatever the mixture_seed, and its base model."""
    if not isinstance(mixture.spec, specs.MixtureSpec):
        raise TypeError(f"expected a mixture, got {mixture.stage}")
    shares = to_plain(mixture.spec.mixture.model_copy(update={"seed": 0}))
    text = canonical_json([shares, sorted(mixture.parents["packs"]), base.key])
    return build_digest(text.encode())[:16]

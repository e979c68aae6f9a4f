"""A study: one paper's experiment in one file, as its author writes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from mixlab.config.analysis import BenchmarkGroup, EffectSettings
from mixlab.config.averaging import AveragingSettings
from mixlab.config.base import Settings
from mixlab.config.base_models import LAYOUT, BaseModelConfig, Layout, ScratchModelConfig
from mixlab.config.benchmarks import BenchmarkDeclaration, load_declaration
from mixlab.config.chat import ChatTemplate
from mixlab.config.engines import HfEngineSettings, LocalEngineSettings
from mixlab.config.filters import ContaminationConfig, FilterConfig
from mixlab.config.generation import LongPrompts
from mixlab.config.held_out import ValidationConfig
from mixlab.config.judging import JudgeConfig, RuleJudgeConfig
from mixlab.config.labelling import LabellerConfig
from mixlab.config.licences import LicencePolicy
from mixlab.config.lm_eval import LmEvalUse
from mixlab.config.mixture_config import MixtureConfig
from mixlab.config.models import ModelSettings
from mixlab.config.noise import NoiseConfig
from mixlab.config.pairwise import PairwiseConfig
from mixlab.config.pools import Label, Pool, expand_names, reach_pools, split_parts
from mixlab.config.served_models import ServedModelConfig
from mixlab.config.sizes import Bytes
from mixlab.config.sources import SourceConfig
from mixlab.config.targets import TargetConfig, TargetName
from mixlab.config.tokenizers import TokenizerConfig
from mixlab.config.training import TrainSettings

Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1)]

SEED_STEP = 100_000


class VariantConfig(MixtureConfig):
    """One point of the study: the mixture of its IPT, and the base models it is applied to."""

    base_models: tuple[str, ...] | None = Field(default=None, min_length=1, description="names; absent: all of them")
    description: str = Field(default="", description="one sentence for the report")

    def to_mixture(self) -> MixtureConfig:
        """Return the mixture alone."""
        return MixtureConfig(**{name: getattr(self, name) for name in MixtureConfig.model_fields})


class IptConfig(Settings):
    """Instruction pre-training, the same for all variants."""

    sequence_tokens: int = Field(gt=1, description="tokens in a window")
    layout: Layout = Field(default="packed", description=LAYOUT)
    training: TrainSettings = Field(description="optimizer, schedule, batch, snapshots")
    validation: ValidationConfig | None = Field(
        default=None, description="loss on held-out sources during training; absent: none"
    )


class SftOther(Settings):
    """A further way of fine-tuning, on the same dialogues; a point of its own, `<variant>, <name>`, after SFT alone."""

    training: TrainSettings = Field(description="optimizer, schedule, batch; all of it, nothing is taken over")
    variants: tuple[str, ...] | None = Field(default=None, min_length=1, description="labels; absent: all variants")


class SftConfig(Settings):
    """Supervised fine-tuning, the same for all variants."""

    mixture: MixtureConfig = Field(description="dialogues to learn from")
    sequence_tokens: int = Field(gt=1, description="tokens in a window, and so of the longest dialogue")
    layout: Literal["one_per_window", "packed"] = Field(
        default="one_per_window",
        description="one dialogue a window, or packed: as many whole ones as fit best, which do not see each other",
    )
    training: TrainSettings = Field(description="optimizer, schedule, batch")
    evaluate_epochs: bool = Field(
        default=False,
        description="evaluate what training.keep_epochs keeps as well, each as a point, `<variant>, epoch 1`",
    )
    others: dict[Label, SftOther] = Field(
        default_factory=dict, description="further ways of fine-tuning beside this one, such as with LoRA, by name"
    )

    validation: ValidationConfig | None = Field(
        default=None, description="loss on held-out sources during training; absent: none"
    )

    def trainings(self, variant: str) -> dict[str, TrainSettings]:
        """Return how models of a variant are tuned, by name; the study's own way has the empty one."""
        others = ((name, one) for name, one in self.others.items() if one.variants is None or variant in one.variants)
        return {"": self.training, **{name: one.training for name, one in others}}

    def tuned_points(self, variant: str, point: str) -> list[str]:
        """Name the further points that fine-tuning makes of a variant's point: other ways, and epochs of each."""
        points = []
        for name, training in self.trainings(variant).items():
            way = ", ".join(filter(None, [point, name]))
            epochs = training.kept_epochs or 0 if self.evaluate_epochs else 0
            points += [way] if name else []
            points += [f"{way}, epoch {epoch}" for epoch in range(1, epochs + 1)]
        return points


class SeedAxes(Settings):
    """The repeat counters of a study; each is a column of every score."""

    mixture_seed: Seeds = Field(default=(1,), description="which windows are drawn, in which order")
    ipt_seed: Seeds = Field(default=(1,), description="order within IPT")
    sft_seed: Seeds = Field(default=(1,), description="order within SFT")
    generation_seed: Seeds = Field(default=(1,), description="one answer per model and item for each")
    judge_run: Seeds = Field(default=(1,), description="one judging of each answer for each")

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        for name in type(self).model_fields:
            seeds = getattr(self, name)
            if len(set(seeds)) != len(seeds):
                raise ValueError(f"{name}: {list(seeds)} names a seed twice; repeats need different seeds")
        return self


_CHANGES = (
    "limit",
    "repair_prompts",
    "samples",
    "temperature",
    "pass_at",
    "majority",
    "long_prompts",
    "max_new_tokens",
)


class BenchmarkUse(Settings):
    """A benchmark as this study uses it."""

    data: str = Field(description="name of the source that holds its items")
    uses: str | None = Field(default=None, description="name of the declaration; absent: the benchmark's own name")
    lm_eval: LmEvalUse | None = Field(default=None, description="a task of lm-eval instead of a declaration")
    limit: int | None = Field(default=None, ge=1, description="the first so many items; absent: as declared")
    repair_prompts: bool | None = Field(default=None, description="insert line breaks that published prompts lack")
    examples: str | None = Field(default=None, description="name of the source of worked examples, for `shots`")
    samples: int | None = Field(default=None, ge=1, description="responses to each item; absent: as declared")
    temperature: float | None = Field(
        default=None, ge=0, le=5, description="of sampling, in all categories; absent: as declared"
    )
    pass_at: tuple[int, ...] | None = Field(default=None, description="k of pass@k; absent: as declared")
    majority: bool | None = Field(default=None, description="score the most frequent answer too; absent: as declared")
    long_prompts: LongPrompts | None = Field(
        default=None, description="what becomes of prompts that do not fit, see SamplingSettings; absent: as declared"
    )
    max_new_tokens: int | None = Field(
        default=None, ge=1, le=32_768, description="longest response, thinking included, in tokens; absent: as declared"
    )

    def declaration(self, name: str) -> BenchmarkDeclaration:
        """Return the declaration with this study's changes.

        Raises ConfigError for an unknown declaration, ValueError for a change it has no room for.
        """
        if self.lm_eval is not None and self.uses is not None:
            raise ValueError("names both `uses` and `lm_eval`; remove one")
        declared = self.lm_eval.declare() if self.lm_eval is not None else load_declaration(self.uses or name)
        asked = {option: getattr(self, option) for option in _CHANGES if getattr(self, option) is not None}
        return declared.with_changes(**asked) if asked else declared

    def source_names(self) -> tuple[str, ...]:
        """Name the sources it reads: its items, and its worked examples."""
        return (self.data,) if self.examples is None else (self.data, self.examples)


class TokensConfig(Settings):
    """How token stores are made."""

    shard_bytes: Bytes = Field(
        default=4 * 1024**3, description="a source with more bytes is tokenized in shards, each a job of its own"
    )


class ReportConfig(Settings):
    """What the report shows beside the tables every study has."""

    groups: tuple[BenchmarkGroup, ...] = Field(default=(), description="columns of the main table; empty: the usual")
    notes: tuple[str, ...] = Field(default=(), description="sentences for the reader, under the title")
    order: tuple[str, ...] = Field(default=(), description="labels of variants in order of display; the rest by name")


class Study(Settings):
    """`studies/<name>.yaml`: sources, models, variants, seeds, benchmarks, and the effects claimed beforehand."""

    title: str = Field(min_length=1, description="title of the report")
    study_seed: int = Field(default=0, ge=0, lt=1000, description="shifts every seed of the study: a new world")
    sources: dict[Label, SourceConfig] = Field(min_length=1, description="every source, by name")
    pools: dict[Label, Pool] = Field(default_factory=dict, description="several sources under one name, by name")
    labellers: dict[Label, LabellerConfig] = Field(
        default_factory=dict, description="what gives a category to sources that are to be labelled, by name"
    )
    filters: tuple[FilterConfig, ...] = Field(
        default=(), description="what leaves records out of every training source, in this order"
    )
    contamination: ContaminationConfig = Field(
        default_factory=ContaminationConfig, description="the search for benchmark items in training sources"
    )
    licences: LicencePolicy | None = Field(default=None, description="licences that are allowed; absent: any")
    tokens: TokensConfig = Field(default_factory=TokensConfig, description="token stores")
    tokenizers: dict[Label, TokenizerConfig] = Field(
        default_factory=dict, description="tokenizers, by name; models that are made here need one"
    )
    chat: ChatTemplate = Field(default_factory=ChatTemplate, description="chat template of the study's models")
    architectures: dict[Label, ModelSettings] = Field(
        default_factory=dict, description="models from scratch that base models may name as `architecture`, by name"
    )
    base_models: dict[Label, BaseModelConfig] = Field(
        default_factory=dict, description="models before IPT, by name; absent: served_models alone are evaluated"
    )
    variants: dict[Label, VariantConfig] = Field(
        default_factory=dict,
        description="points of the study, by label; each takes what it leaves out from variant_defaults; base_models, "
        "variants and ipt stand together or not at all",
    )
    ipt: IptConfig | None = Field(default=None, description="instruction pre-training")
    average: AveragingSettings = Field(default_factory=AveragingSettings, description="averaging of the last snapshots")
    sft: SftConfig | None = Field(default=None, description="supervised fine-tuning; absent: none")
    seeds: SeedAxes = Field(default_factory=SeedAxes, description="repeat counters")
    engine: LocalEngineSettings = Field(
        default_factory=HfEngineSettings, description="what turns prompts into text, for the models made here"
    )
    served_models: dict[Label, ServedModelConfig] = Field(
        default_factory=dict, description="models that somebody serves, evaluated beside the study's own, by name"
    )
    benchmarks: dict[Label, BenchmarkUse] = Field(min_length=1, description="benchmarks, by name")
    judge: JudgeConfig = Field(default_factory=RuleJudgeConfig, description="the judge of judged benchmarks")
    pairwise: PairwiseConfig | None = Field(
        default=None, description="comparisons of models, answer by answer, by a judge that is a model; absent: none"
    )
    effects: tuple[EffectSettings, ...] = Field(default=(), description="differences claimed before any number is seen")
    noise: NoiseConfig | None = Field(
        default=None, description="noise expected of seeds and judgings; `mixlab plan` then says what can be found"
    )
    report: ReportConfig = Field(default_factory=ReportConfig, description="the report")
    targets: dict[TargetName, TargetConfig] = Field(
        default_factory=dict, description="tables and figures that the study is to give, by name"
    )

    _seen: dict[str, "Study"] = PrivateAttr(default_factory=dict)

    def shifted(self, seed: int) -> int:
        """Return a seed moved into this study's world; worlds of different study_seed never share one."""
        return seed + SEED_STEP * self.study_seed

    def parts(self) -> dict[str, SourceConfig]:
        """Return every training source by the name a mixture knows: a source to be labelled counts as four."""
        return split_parts(self.sources)

    def expansion(self) -> dict[str, tuple[str, ...]]:
        """Return what each name of a source, part or pool stands for: names of parts, each once, sorted."""
        return expand_names(self.sources, self.pools)

    def require_ipt(self) -> IptConfig:
        """Return `ipt`; raises ValueError where the study makes no models, and has none."""
        if self.ipt is None:
            raise ValueError("the study has no ipt: it makes no models")
        return self.ipt

    def architecture_of(self, base_model: str) -> ModelSettings | None:
        """Return the architecture of a base model; None for one that is read, or names an architecture not there."""
        config = self.base_models[base_model]
        if not isinstance(config, ScratchModelConfig):
            return None
        return self.architectures.get(config.architecture) if config.architecture is not None else config.model

    def used_architectures(self) -> frozenset[str]:
        """Name the architectures that base models name."""
        return frozenset(str(one.architecture) for one in self._from_scratch() if one.architecture is not None)

    def _from_scratch(self) -> list[ScratchModelConfig]:
        return [one for one in self.base_models.values() if isinstance(one, ScratchModelConfig)]

    def chat_of(self, tokenizer: str) -> ChatTemplate:
        """Return the chat template of models with this tokenizer: its own, or the study's where its tokens serve."""
        return self.tokenizers[tokenizer].chat_template(self.chat)

    def seen_by(self, base_model: str) -> "Study":
        """Return the study with the overrides of one base model laid over it.

        Raises ValueError when there are overrides and the study was not read from its file, where they are laid.
        """
        if base_model in self._seen:
            return self._seen[base_model]
        if base_model in self.base_models and self.base_models[base_model].overrides is not None:
            raise ValueError(f"the overrides of base model '{base_model}' were not laid: read the study by load_study")
        return self

    def with_seen(self, seen: Mapping[str, "Study"]) -> Self:
        """Return the study that knows how base models see it; for those who read study files."""
        copy = self.model_copy()
        copy._seen = dict(seen)
        return copy

    def used_sources(self) -> frozenset[str]:
        """Name the sources that take part: in a mixture, a tokenizer, a filter or a benchmark.

        A registry may declare many more; those decide nothing and need neither lock nor licence.
        """
        expansion = self.expansion()
        mixed = {name for mixture in self._mixtures() for name in mixture.names()}
        mixed |= {name for validation in self.validations() for name in validation.sources}
        named = {part for name in mixed for part in expansion.get(name, (name,))}
        named |= {name for tokenizer in self.tokenizers.values() for name in tokenizer.source_names()}
        used = {name.partition("/")[0] for name in named}
        used |= {name for use in self.benchmarks.values() for name in use.source_names()}
        own = [one for name in used & set(self.sources) for one in self.sources[name].filters or ()]
        used |= {name for one in (*self.filters, *own) for name in getattr(one, "against", ())}
        return frozenset(used & set(self.sources))

    def place_tasks(self, root: Path) -> None:
        """Say in which working folder the task files of benchmarks lie."""
        for use in self.benchmarks.values():
            if use.lm_eval is not None:
                use.lm_eval.place(root)

    def used_pools(self) -> frozenset[str]:
        """Name the pools that a mixture names, among its sources or in the shares of its raw part, and those within."""
        named = {name for mixture in self._mixtures() for name in mixture.all_names()}
        named |= {name for validation in self.validations() for name in validation.sources}
        return frozenset(pool for name in named for pool in reach_pools(name, self.pools))

    def validations(self) -> list[ValidationConfig]:
        """Every validation of the study, as its base models see it."""
        found = [model.validation for model in self._from_scratch()]
        for view in (self, *(self.seen_by(name) for name in self.base_models)):
            found += [part.validation for part in (view.ipt, view.sft) if part is not None]
        return [one for one in found if one is not None]

    def _mixtures(self) -> list[MixtureConfig]:
        """Every mixture of the study, as its base models see it."""
        mixtures = [model.mixture for model in self._from_scratch()]
        for view in (self, *(self.seen_by(name) for name in self.base_models)):
            mixtures += [variant.to_mixture() for variant in view.variants.values()]
            mixtures += [view.sft.mixture] if view.sft is not None else []
        return mixtures

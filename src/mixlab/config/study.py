"""A study: one paper's experiment in one file, as its author writes it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from mixlab.config.analysis import BenchmarkGroup, EffectSettings
from mixlab.config.base import Settings
from mixlab.config.benchmarks import BenchmarkDeclaration, load_declaration
from mixlab.config.chat import ChatTemplate
from mixlab.config.generation import EngineSettings
from mixlab.config.judging import JudgeConfig
from mixlab.config.mixture_config import MixtureConfig
from mixlab.config.models import ModelSettings
from mixlab.config.sources import SourceConfig
from mixlab.config.tokenizers import TokenizerSettings
from mixlab.config.training import AveragingSettings, TrainSettings

Label = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^/\\\x00-\x1f]+$")]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1)]
SourceNames = Annotated[tuple[str, ...], Field(min_length=1)]

SEED_STEP = 100_000


class TokenizerConfig(TokenizerSettings):
    """A tokenizer and the sources it is trained on."""

    sources: SourceNames = Field(description="names of the sources it is trained on; their order means nothing")

    def to_settings(self) -> TokenizerSettings:
        """Return what decides the tokenizer beside its parents."""
        return TokenizerSettings(**self.model_dump(exclude={"sources"}))


class BaseModelConfig(Settings):
    """A base model trained from scratch on a mixture."""

    tokenizer: str = Field(description="name of its tokenizer")
    model: ModelSettings = Field(description="architecture and initial weights")
    mixture: MixtureConfig = Field(description="what it is trained on")
    sequence_tokens: int = Field(gt=1, description="tokens in a window")
    training: TrainSettings = Field(description="optimizer, schedule, batch")
    pretrain_seed: int = Field(default=1, ge=0, description="seed of the first weights and of the order")


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
    training: TrainSettings = Field(description="optimizer, schedule, batch, snapshots")


class SftConfig(Settings):
    """Supervised fine-tuning, the same for all variants."""

    mixture: MixtureConfig = Field(description="dialogues to learn from")
    sequence_tokens: int = Field(gt=1, description="longest dialogue, in tokens")
    training: TrainSettings = Field(description="optimizer, schedule, batch")


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


class BenchmarkUse(Settings):
    """A benchmark as this study uses it."""

    data: str = Field(description="name of the source that holds its items")
    uses: str | None = Field(default=None, description="name of the declaration; absent: the benchmark's own name")
    limit: int | None = Field(default=None, ge=1, description="the first so many items; absent: as declared")
    repair_prompts: bool | None = Field(default=None, description="insert line breaks that published prompts lack")

    def declaration(self, name: str) -> BenchmarkDeclaration:
        """Return the declaration with this study's changes.

        Raises ConfigError for an unknown declaration, ValueError for a change it has no room for.
        """
        declared = load_declaration(self.uses or name)
        if self.limit is None and self.repair_prompts is None:
            return declared
        return declared.with_changes(limit=self.limit, repair_prompts=self.repair_prompts)


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
    tokenizers: dict[Label, TokenizerConfig] = Field(min_length=1, description="tokenizers, by name")
    chat: ChatTemplate = Field(default_factory=ChatTemplate, description="chat template of the study's models")
    base_models: dict[Label, BaseModelConfig] = Field(min_length=1, description="models before IPT, by name")
    variants: dict[Label, VariantConfig] = Field(
        min_length=1, description="points of the study, by label; each takes what it leaves out from variant_defaults"
    )
    ipt: IptConfig = Field(description="instruction pre-training")
    average: AveragingSettings = Field(default_factory=AveragingSettings, description="averaging of the last snapshots")
    sft: SftConfig | None = Field(default=None, description="supervised fine-tuning; absent: none")
    seeds: SeedAxes = Field(default_factory=SeedAxes, description="repeat counters")
    engine: EngineSettings = Field(default_factory=EngineSettings, description="what turns prompts into text")
    benchmarks: dict[Label, BenchmarkUse] = Field(min_length=1, description="benchmarks, by name")
    judge: JudgeConfig = Field(default_factory=JudgeConfig, description="the judge of judged benchmarks")
    effects: tuple[EffectSettings, ...] = Field(default=(), description="differences claimed before any number is seen")
    report: ReportConfig = Field(default_factory=ReportConfig, description="the report")

    def shifted(self, seed: int) -> int:
        """Return a seed moved into this study's world; worlds of different study_seed never share one."""
        return seed + SEED_STEP * self.study_seed

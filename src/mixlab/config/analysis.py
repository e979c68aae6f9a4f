"""What decides the tables: which models are gathered, which effects are claimed, how the report names things."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mixlab.config.base import Settings, added
from mixlab.config.exact import Weight
from mixlab.config.problems import did_you_mean
from mixlab.config.report_data import DataShown

Stage = Literal["before_sft", "after_sft", "served"]
Measure = Literal["accuracy", "judge_score"]
"""What the rows of a benchmark are."""
SelectedMeasure = Annotated[str, Field(pattern=r"^(accuracy|judge_score|(pass|maj)@[1-9][0-9]{0,3})$")]
"""What can be averaged: those, and what several samples of each item say together, such as pass@10 and maj@8."""
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._-]*$")]
Name = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0)]
PointStage = tuple[Key, Stage]
"""A point of the study at one stage."""


def find_range(measure: str) -> tuple[float, float]:
    """Return the lowest and the highest score: 1 to 10 of a judge, 0 to 1 of all other measures."""
    return (1.0, 10.0) if measure == "judge_score" else (0.0, 1.0)


class ModelIdentity(Settings):
    """Which model a row of scores belongs to: the point of the study and the seeds that made it."""

    stage: Stage = Field(description="before or after supervised fine-tuning, or served elsewhere")
    variant_key: Key = Field(description="identity of the point of the study, the same for all its seeds")
    base_model_key: Key = Field(description="key of the model before IPT")
    mixture_seed: Seed | None = Field(default=None, description="None: the model saw no mixture")
    ipt_seed: Seed | None = Field(default=None, description="None: the model had no IPT")
    sft_seed: Seed | None = Field(default=None, description="None before SFT")

    @model_validator(mode="after")
    def _sft_seed_belongs_to_after_sft(self) -> "ModelIdentity":
        if (self.sft_seed is not None) != (self.stage == "after_sft"):
            raise ValueError(
                f"stage {self.stage} with sft_seed {self.sft_seed}; give sft_seed after SFT and only there"
            )
        return self


class ScoredPart(Settings):
    """One benchmark of one model, answered with one generation seed, scored once or judged in one run."""

    benchmark: Name = Field(description="name of the benchmark's declaration")
    measure: Measure = Field(description="accuracy: read from scores.jsonl; judge_score: from verdicts.jsonl")
    language: Name = Field(description="en or ja")
    category: Name | None = Field(default=None, description="code, general, math or reasoning")
    generation_seed: Seed = Field(default=0, description="which of the answers per model")
    judge_run: Seed | None = Field(default=None, description="which judging of the same answers; None: not judged")

    @model_validator(mode="after")
    def _judge_run_belongs_to_judge_score(self) -> "ScoredPart":
        if (self.judge_run is not None) != (self.measure == "judge_score"):
            raise ValueError(
                f"benchmark '{self.benchmark}': measure {self.measure} with judge_run {self.judge_run}; "
                "give judge_run for judge_score and only there"
            )
        return self


class ModelScoresSettings(Settings):
    """What the tidy scores of one model are made of; `parts` in the order of the folders handed over."""

    model: ModelIdentity
    parts: tuple[ScoredPart, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _parts_differ(self) -> "ModelScoresSettings":
        if len(set(self.parts)) != len(self.parts):
            twice = sorted({part.benchmark for part in self.parts if self.parts.count(part) > 1})
            raise ValueError(f"the same part is listed twice: {', '.join(twice)}; name each once")
        return self


class Selection(Settings):
    """Which benchmarks a number averages over: all that pass every filter given, each with equal weight."""

    measure: SelectedMeasure = Field(
        default="accuracy",
        description="accuracy, judge_score, pass@K or maj@K; measures are never averaged together",
    )
    benchmarks: tuple[Name, ...] = Field(default=(), description="empty: any")
    categories: tuple[Name, ...] = Field(default=(), description="empty: any")
    languages: tuple[Name, ...] = Field(default=(), description="empty: any")

    def selects(self, measure: str, benchmark: str, category: str | None, language: str) -> bool:
        """Whether a benchmark of this measure, category and language passes every filter."""
        return (
            measure == self.measure
            and (not self.benchmarks or benchmark in self.benchmarks)
            and (not self.categories or category in self.categories)
            and (not self.languages or language in self.languages)
        )

    def filters(self) -> str:
        """Render the filters for people: `math · en`, or `all benchmarks`."""
        given = [", ".join(names) for names in (self.benchmarks, self.categories, self.languages) if names]
        return " · ".join(given) or "all benchmarks"


class ComparisonSettings(Selection):
    """One claimed difference between two points of the study, named by keys: a renamed variant changes nothing."""

    variant_key: Key = Field(description="the point claimed to be better")
    against_key: Key = Field(description="the point it is compared with")
    stage: Stage = Field(description="compared before or after SFT")
    at_least: Weight = Field(description="smallest difference of means claimed, on the measure's own scale")


class EffectSettings(Selection):
    """An effect as a study states it, before any number is seen: `variant` beats `against` by `at_least`."""

    name: Name = Field(description="the claim, in words; a label, it changes no number")
    variant: Name = Field(description="label of the variant claimed to be better")
    against: Name = Field(description="label of the variant it is compared with")
    stage: Stage = Field(description="compared before or after SFT; served: two served models")
    at_least: Weight = Field(description="smallest difference claimed: 0.3, 30 % or 3/10 of accuracy; judge: points")

    @model_validator(mode="after")
    def _can_be_met(self) -> "EffectSettings":
        if self.variant == self.against:
            raise ValueError(f"effect '{self.name}' compares '{self.variant}' with itself; name another in `against`")
        lowest, highest = find_range(self.measure)
        largest = highest - lowest
        if self.at_least > largest:
            raise ValueError(
                f"effect '{self.name}': at_least {self.at_least} can never be met; "
                f"a difference of {self.measure} is at most {largest:g}"
            )
        return self

    def to_comparison(self, keys: Mapping[str, str]) -> ComparisonSettings:
        """Replace labels by variant keys, filters in sorted order; ValueError names an unknown label."""
        for label in (self.variant, self.against):
            if label not in keys:
                known = ", ".join(sorted(keys))
                hint = did_you_mean(label, keys)
                raise ValueError(f"effect '{self.name}': no variant '{label}'{hint} (variants: {known})")
        return ComparisonSettings(
            measure=self.measure,
            benchmarks=tuple(sorted(set(self.benchmarks))),
            categories=tuple(sorted(set(self.categories))),
            languages=tuple(sorted(set(self.languages))),
            variant_key=keys[self.variant],
            against_key=keys[self.against],
            stage=self.stage,
            at_least=self.at_least,
        )


def build_comparisons(effects: Iterable[EffectSettings], keys: Mapping[str, str]) -> tuple[ComparisonSettings, ...]:
    """The comparisons behind `effects`, each once, in an order that neither names nor the file's order decide."""
    distinct = {effect.to_comparison(keys) for effect in effects}
    return tuple(sorted(distinct, key=lambda comparison: comparison.model_dump_json()))


class ModelEntry(ModelIdentity):
    """One gathered model: where its tidy scores stand among the parents, and what they must say they are."""

    position: Annotated[int, Field(ge=0)] = Field(description="index into the folders handed over")


class PairEntry(Settings):
    """One judging of the answers of two models to one benchmark, and where it stands among the parents."""

    position: Annotated[int, Field(ge=0)] = Field(description="index into the folders handed over")
    variant: ModelIdentity = Field(description="the model that is compared")
    against: ModelIdentity = Field(description="the model that it is compared with")
    is_swapped: bool = Field(description="whether `variant` gave the second of the two sets of responses")
    own: Literal["variant", "against"] | None = Field(
        default=None, description="which of the two answered by the judge's own model; None: neither, or both"
    )
    benchmark: Name = Field(description="name of the benchmark's declaration")
    language: Name = Field(description="en or ja")
    category: Name | None = Field(default=None, description="of the benchmark: code, general, math or reasoning")
    generation_seed: Seed = Field(description="which of the answers per model")
    judge_run: Seed = Field(description="which judging of the same answers")


class AggregateSettings(Settings):
    """What the gathered tables are made of; no label is in it, so that renaming a variant moves no number."""

    models: tuple[ModelEntry, ...] = Field(min_length=1)
    comparisons: tuple[ComparisonSettings, ...] = Field(default=(), description="see `build_comparisons`")
    own_answers: tuple[PointStage, ...] = added(
        (), description="variants, each at one stage, whose model is the judge, which rates its own answers"
    )
    pairs: tuple[PairEntry, ...] = added((), description="pairwise judgings, by what they compare")

    @model_validator(mode="after")
    def _models_are_distinct(self) -> "AggregateSettings":
        positions = [model.position for model in self.models]
        if len(set(positions)) != len(positions):
            raise ValueError("two models stand at the same position; each has its own folder of scores")
        seen: set[tuple[object, ...]] = set()
        for model in self.models:
            identity = tuple(getattr(model, name) for name in ModelIdentity.model_fields)
            if identity in seen:
                raise ValueError(f"the same model is gathered twice: {model!r}; it would count as two seeds")
            seen.add(identity)
        return self

    @model_validator(mode="after")
    def _variants_have_one_base_model(self) -> "AggregateSettings":
        bases: dict[str, str] = {}
        for model in self.models:
            if bases.setdefault(model.variant_key, model.base_model_key) != model.base_model_key:
                raise ValueError(f"variant {model.variant_key} has two base models; a variant is one point, with one")
        return self


class VariantLabel(Settings):
    """What people call a point of the study; two labels may name one point."""

    label: Name
    variant_key: Key
    description: str = ""
    base_model: str = added("", description="what the study calls the model before IPT; empty: it made none")


class BenchmarkGroup(Selection):
    """A column of the main table: the mean of several benchmarks, each with equal weight."""

    label: Name = Field(description="heading of the column")


class ReportSettings(Settings):
    """How the report names and orders things; everything here is for people and changes no number."""

    title: Name = Field(description="the study's title")
    study: str = added("", description="the study's name; empty: its title stands for it")
    variants: tuple[VariantLabel, ...] = Field(min_length=1, description="in the order of display")
    effects: tuple[EffectSettings, ...] = Field(default=(), description="as the study states them, by label")
    groups: tuple[BenchmarkGroup, ...] = Field(
        default=(), description="columns of the main table; empty: all, each category, each language"
    )
    notes: tuple[str, ...] = Field(default=(), description="sentences for the reader, printed under the title")
    data: DataShown | None = added(None, description="names of sources and mixtures; absent: the scores alone")

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> "ReportSettings":
        for what, labels in (
            ("variants", [variant.label for variant in self.variants]),
            ("effects", [effect.name for effect in self.effects]),
            ("groups", [group.label for group in self.groups]),
        ):
            twice = sorted({label for label in labels if labels.count(label) > 1})
            if twice:
                raise ValueError(f"{what}: the name '{twice[0]}' is used twice; names must differ")
        for effect in self.effects:
            effect.to_comparison(self.variant_keys())
        return self

    def variant_keys(self) -> dict[str, str]:
        """Variant keys by label."""
        return {variant.label: variant.variant_key for variant in self.variants}

"""Pairwise judging: which models of a study are compared, and what decides the verdicts."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from mixlab.config.base import Settings
from mixlab.config.judge_templates import REFERENCE_CATEGORIES, PublishedPairPrompts, PublishedPromptsConfig
from mixlab.config.judging import AskedJudge, AskedJudgeSettings, ModelJudgeConfig
from mixlab.config.pair_prompts import PairPrompts, PairReminders, load_pair_prompts, load_pair_reminders
from mixlab.config.sources import LANGUAGES, Language


class PairJudgeSettings(AskedJudgeSettings):
    """A language model that compares two answers, as it enters a spec."""

    prompts: PairPrompts | PublishedPairPrompts = Field(description="the texts the judge reads")


class PairConfig(Settings):
    """Which points of the study are compared: one, or every other one, against one."""

    against: str = Field(min_length=1, description="label of the point that others are compared with")
    variant: str | None = Field(
        default=None, min_length=1, description="label of the point that is compared; absent: every other point"
    )
    stage: Literal["before_sft", "after_sft"] | None = Field(
        default=None,
        description="which models of points made here; absent: after_sft where the study has sft. A served model has "
        "one alone",
    )
    benchmarks: tuple[str, ...] = Field(default=(), description="names of judged benchmarks; empty: all of them")

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if self.variant == self.against:
            raise ValueError(f"compares '{self.against}' with itself; name another in `against`")
        return self


def _default_prompts() -> dict[Language, PairPrompts | PublishedPromptsConfig]:
    return {language: load_pair_prompts(language) for language in LANGUAGES}


class PairwiseConfig(Settings):
    """Answers of two models to the same question, compared by the study's judge in both orders."""

    comparisons: tuple[PairConfig, ...] = Field(min_length=1, description="which points are compared")
    prompts: dict[Language, PairPrompts | PublishedPromptsConfig] = Field(
        default_factory=_default_prompts, description="prompts by language; absent: our own"
    )
    reminders: PairReminders = Field(default_factory=load_pair_reminders, description="reminders; absent: our own")

    _published: dict[Language, PublishedPairPrompts] = PrivateAttr(default_factory=dict)

    def list_published(self) -> dict[Language, PublishedPromptsConfig]:
        """Return the files of prompts that are to be read."""
        return {name: one for name, one in self.prompts.items() if isinstance(one, PublishedPromptsConfig)}

    def with_published(self, texts: Mapping[Language, PublishedPairPrompts]) -> Self:
        """Return the settings that know the texts of their files; for those who read them."""
        copy = self.model_copy()
        copy._published = dict(texts)
        return copy

    def to_settings(self, judge: ModelJudgeConfig, language: Language) -> PairJudgeSettings:
        """Return what decides the verdicts on benchmarks of `language`; where the model is reached does not.

        Raises ValueError where no prompts are given for `language`, or their file was not read.
        """
        if language not in self.prompts:
            raise ValueError(
                f"pairwise.prompts has no prompts for '{language}'; add them or leave pairwise.prompts out"
            )
        shared = {name: getattr(judge, name) for name in AskedJudge.model_fields}
        shared["reference_categories"] = judge.find_reference_categories(language)
        reminder: str = getattr(self.reminders, language)
        prompts: PairPrompts | PublishedPairPrompts | PublishedPromptsConfig = self.prompts[language]
        if isinstance(prompts, PublishedPromptsConfig):
            if language not in self._published:
                raise ValueError(f"pairwise.prompts: '{prompts.published}' was not read: plan the study by build_plan")
            prompts = self._published[language]
            if shared["reference_categories"] is None:
                shared["reference_categories"] = REFERENCE_CATEGORIES
        return PairJudgeSettings(language=language, prompts=prompts, reminder=reminder, **shared)

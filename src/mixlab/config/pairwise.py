"""Pairwise judging: which models of a study are compared, and what decides the verdicts."""

from typing import Literal, Self

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.judging import AskedJudge, AskedJudgeSettings, ModelJudgeConfig
from mixlab.config.pair_prompts import PairPrompts, PairReminders, load_pair_prompts, load_pair_reminders
from mixlab.config.sources import LANGUAGES, Language


class PairJudgeSettings(AskedJudgeSettings):
    """A language model that compares two answers, as it enters a spec."""

    prompts: PairPrompts = Field(description="the texts the judge reads")


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


def _default_prompts() -> dict[Language, PairPrompts]:
    return {language: load_pair_prompts(language) for language in LANGUAGES}


class PairwiseConfig(Settings):
    """Answers of two models to the same question, compared by the study's judge in both orders."""

    comparisons: tuple[PairConfig, ...] = Field(min_length=1, description="which points are compared")
    prompts: dict[Language, PairPrompts] = Field(
        default_factory=_default_prompts, description="prompts by language; absent: our own"
    )
    reminders: PairReminders = Field(default_factory=load_pair_reminders, description="reminders; absent: our own")

    def to_settings(self, judge: ModelJudgeConfig, language: Language) -> PairJudgeSettings:
        """Return what decides the verdicts on benchmarks of `language`; where the model is reached does not.

        Raises ValueError where no prompts are given for `language`.
        """
        if language not in self.prompts:
            raise ValueError(
                f"pairwise.prompts has no prompts for '{language}'; add them or leave pairwise.prompts out"
            )
        shared = {name: getattr(judge, name) for name in AskedJudge.model_fields}
        reminder: str = getattr(self.reminders, language)
        return PairJudgeSettings(language=language, prompts=self.prompts[language], reminder=reminder, **shared)

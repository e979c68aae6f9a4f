"""The judge: who rates, by which prompts and rule. All of it decides the verdicts."""

from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.loading import load_document
from mixlab.config.problems import ConfigError
from mixlab.config.sources import LANGUAGES, Language
from mixlab.config.validation import validate

_PROMPTS = Path(__file__).parent / "judge_prompts"

JUDGE_LABELS = {"rule": "rule judge (not a language model)"}
"""What every output calls the judge of an engine."""

_SECTIONS = {
    "exchange": {"question", "answer"},
    "first": {"question", "answer"},
    "first_with_reference": {"question", "reference", "answer"},
    "later": {"earlier", "question", "answer"},
    "later_with_reference": {"earlier", "question", "reference", "answer"},
}


class JudgePrompts(Settings):
    """The texts a judge reads, in one language; {question}, {answer}, {reference}, {earlier} are filled in."""

    system: str = Field(min_length=1, description="system message")
    exchange: str = Field(description="one earlier question and answer, as {earlier} shows it")
    first: str = Field(description="first turn, item without reference")
    first_with_reference: str = Field(description="first turn, item with reference")
    later: str = Field(description="later turn, item without reference")
    later_with_reference: str = Field(description="later turn, item with reference")

    @model_validator(mode="after")
    def _has_its_places(self) -> Self:
        for name, places in _SECTIONS.items():
            text = getattr(self, name)
            if missing := [f"{{{place}}}" for place in sorted(places) if text.count(f"{{{place}}}") != 1]:
                raise ValueError(f"{name} must contain {', '.join(missing)} exactly once")
            if name == "exchange":
                continue
            for place in sorted(places - {"earlier"}):
                if not 0 <= text.find(f"<{place}>") < text.find(f"{{{place}}}") < text.find(f"</{place}>"):
                    raise ValueError(f"{name} must set {{{place}}} between <{place}> and </{place}>")
        return self


class RuleSettings(Settings):
    """The rule judge's rule: quality in [0, 1] becomes the rating 1 + round(9 × quality).

    With a reference, quality is 1 for the same text after NFKC and casefold, `same_number` (or the overlap, if that is
    more) when the reference ends in a number and the answer in the same one, else the F1 of character pairs shared
    with it. Without a reference it is the share of different pairs among the answer's, times its length over
    `full_characters` (at most 1). An answer with letters of another language loses `language_penalty` points.
    An empty answer is rated 1.
    """

    same_number: float = Field(default=0.8, ge=0, le=1, description="quality for the right final number")
    full_characters: int = Field(default=200, ge=1, description="length from which an answer is not too short")
    language_penalty: int = Field(default=3, ge=0, le=9, description="points lost for the wrong language")


class JudgeSettings(Settings):
    """A judge for benchmarks of one language, as it enters a spec."""

    version: int = Field(default=1, ge=1, description="raised by hand when the judge's code changes a verdict")
    engine: Literal["rule"] = Field(default="rule", description="rule: a stated rule, not a language model")
    language: Language = Field(description="language of the benchmark")
    prompts: JudgePrompts = Field(description="the texts the judge reads")
    rule: RuleSettings = Field(default=RuleSettings(), description="the rule judge's rule")

    @property
    def label(self) -> str:
        """The judge's name in every output."""
        return JUDGE_LABELS[self.engine]


@cache
def load_judge_prompts(language: Language) -> JudgePrompts:
    """Read our own prompts for `language`."""
    prompts, problems = validate(JudgePrompts, load_document(_PROMPTS / f"{language}.yaml"))
    if problems or prompts is None:
        raise ConfigError(problems)
    return prompts


def _default_prompts() -> dict[Language, JudgePrompts]:
    return {language: load_judge_prompts(language) for language in LANGUAGES}


class JudgeConfig(Settings):
    """A study's judge, for all languages."""

    engine: Literal["rule"] = Field(default="rule", description="rule: a stated rule, not a language model")
    prompts: dict[Language, JudgePrompts] = Field(
        default_factory=_default_prompts, description="prompts by language; absent: our own"
    )
    rule: RuleSettings = Field(default=RuleSettings(), description="the rule judge's rule")

    def to_settings(self, language: Language) -> JudgeSettings:
        """Return what decides the verdicts on benchmarks of `language`, so that another language's prompt does not.

        Raises ValueError where no prompts are given for `language`.
        """
        if language not in self.prompts:
            raise ValueError(f"judge.prompts has no prompts for '{language}'; add them or leave judge.prompts out")
        return JudgeSettings(engine=self.engine, language=language, prompts=self.prompts[language], rule=self.rule)

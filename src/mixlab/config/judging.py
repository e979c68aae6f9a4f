"""The judge: who rates, by which prompts and rule. All of it decides the verdicts."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, PrivateAttr, field_validator, model_validator

from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.config.base import Settings, added
from mixlab.config.endpoints import ChatModelSettings
from mixlab.config.judge_templates import REFERENCE_CATEGORIES, PublishedPrompts, PublishedPromptsConfig
from mixlab.config.judge_texts import TurnTexts, load_texts
from mixlab.config.sources import LANGUAGES, Language

RULE_LABEL = "rule judge (not a language model)"
"""What every output calls the judge without a model."""

_SECTIONS = {
    "exchange": {"question", "answer"},
    "first": {"question", "answer"},
    "first_with_reference": {"question", "reference", "answer"},
    "later": {"earlier", "question", "answer"},
    "later_with_reference": {"earlier", "question", "reference", "answer"},
}


class JudgePrompts(TurnTexts):
    """The texts a judge reads, in one language; {question}, {answer}, {reference}, {earlier} are filled in."""

    exchange: str = Field(description="one earlier question and answer, as {earlier} shows it")

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


class _Judge(Settings):
    reference_categories: tuple[str, ...] | None = added(
        None,
        description="the reference is shown for items of these categories alone (FastChat: math, reasoning, coding); "
        "absent: for every item that has one, or, with published prompts, for those three",
    )

    @field_validator("reference_categories")
    @classmethod
    def _in_one_order(cls, categories: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Put FastChat's first, as they stand where nothing is said: which there are decides, not their order."""
        if categories is None:
            return None
        others = sorted({*categories} - {*REFERENCE_CATEGORIES})
        return (*(name for name in REFERENCE_CATEGORIES if name in categories), *others)


class RuleJudgeSettings(_Judge):
    """The rule judge for benchmarks of one language, as it enters a spec."""

    version: int = Field(default=3, ge=1, description="raised by hand when the judge's code changes a verdict")
    engine: Literal["rule"] = Field(default="rule", description="rule: a stated rule, not a language model")
    language: Language = Field(description="language of the benchmark")
    prompts: JudgePrompts = Field(description="the texts the judge reads")
    rule: RuleSettings = Field(default=RuleSettings(), description="the rule judge's rule")

    @property
    def label(self) -> str:
        """The judge's name in every output."""
        return RULE_LABEL


class AskedJudge(_Judge, ChatModelSettings):
    """A language model as judge, whatever it is asked: which model, how it is sampled, how often."""

    engine: Literal["openai"] = Field(description="openai: a model behind an OpenAI-compatible endpoint")
    revision: str | None = added(
        None,
        min_length=1,
        max_length=400,
        description="its weights: a commit, date or digest; another one asks for verdicts of its own",
    )
    max_tokens: int = Field(default=2048, ge=1, le=1_000_000, description="longest reply, in tokens, thinking included")
    seed: int | None = Field(
        default=0,
        ge=0,
        lt=2**31,
        description="judge run r sends seed + r, each further attempt 1,000 more; null: none is sent",
    )
    attempts: int = Field(
        default=3,
        ge=1,
        le=20,
        description="times an answer is judged until a rating can be read; from the second on the judge is shown its "
        "reply and reminded of the form",
    )

    def asked(self) -> dict[str, JsonValue]:
        """Return the model and how it is sampled: with the messages and the judge run, this names a verdict."""
        asked = {name: self.model_dump(mode="json")[name] for name in ChatModelSettings.model_fields}
        return asked if self.revision is None else {**asked, "revision": self.revision}

    @property
    def place(self) -> str:
        """The name by which a job finds the endpoint, in the plan file's table of places."""
        return f"judge/{build_digest(canonical_json(self.asked()).encode())[:16]}"

    @property
    def label(self) -> str:
        """The judge's name in every output, with how it was sampled."""
        told = [f"revision {self.revision}"] if self.revision is not None else []
        told += [
            f"{name} {'unstated' if value is None else f'{value:g}'}"
            for name, value in (("temperature", self.temperature), ("seed", self.seed))
        ]
        return f"{self.model} ({', '.join(told)})"


class AskedJudgeSettings(AskedJudge):
    """What a language model as judge of benchmarks of one language has in common in specs, whatever it is asked."""

    version: int = Field(default=1, ge=1, description="raised by hand when the judge's code changes a verdict")
    language: Language = Field(description="language of the benchmark")
    reminder: str = Field(min_length=1, description="what the judge is told when no verdict could be read")


class ModelJudgeSettings(AskedJudgeSettings):
    """A language model that rates answers, as it enters a spec."""

    version: int = Field(default=2, ge=1, description="raised by hand when the judge's code changes a verdict")
    prompts: JudgePrompts | PublishedPrompts = Field(description="the texts the judge reads")


def _is_rule_unless_said(value: Any) -> Any:
    if not isinstance(value, Mapping) or "engine" in value:
        return value
    said = {"engine": "rule", **value}
    # where a model was meant, its keys are told, and that a rule reads no files would lead astray
    of_a_model = ModelJudgeConfig.model_fields.keys() - RuleJudgeConfig.model_fields.keys()
    if _names_files(said.get("prompts")) and not of_a_model.isdisjoint(said):
        del said["prompts"]
    return said


JudgeSettings = Annotated[
    RuleJudgeSettings | ModelJudgeSettings, Field(discriminator="engine"), BeforeValidator(_is_rule_unless_said)
]
"""A judge as it enters a spec."""


@cache
def load_judge_prompts(language: Language) -> JudgePrompts:
    """Read our own prompts for `language`."""
    return load_texts(JudgePrompts, f"{language}.yaml")


@cache
def load_reminders() -> "Reminders":
    """Read our own reminders."""
    return load_texts(Reminders, "reminders.yaml")


class Reminders(Settings):
    """What a judge is told when no rating could be read in its reply, by language."""

    en: str = Field(min_length=1, description="in English")
    ja: str = Field(min_length=1, description="in Japanese")


def _names_files(prompts: Any) -> bool:
    return isinstance(prompts, Mapping) and any(
        isinstance(one, Mapping) and "published" in one for one in prompts.values()
    )


def _default_prompts() -> dict[Language, JudgePrompts]:
    return {language: load_judge_prompts(language) for language in LANGUAGES}


def _default_texts() -> dict[Language, JudgePrompts | PublishedPromptsConfig]:
    return {language: load_judge_prompts(language) for language in LANGUAGES}


def _check_language(prompts: Mapping[Language, object], language: Language) -> None:
    if language not in prompts:
        raise ValueError(f"judge.prompts has no prompts for '{language}'; add them or leave judge.prompts out")


class RuleJudgeConfig(_Judge):
    """A study's judge, for all languages: a stated rule."""

    engine: Literal["rule"] = Field(default="rule", description="rule: a stated rule, not a language model")
    prompts: dict[Language, JudgePrompts] = Field(
        default_factory=_default_prompts, description="prompts by language; absent: our own"
    )
    rule: RuleSettings = Field(default=RuleSettings(), description="the rule judge's rule")

    @field_validator("prompts", mode="before")
    @classmethod
    def _are_ours(cls, prompts: Any) -> Any:
        if _names_files(prompts):
            raise ValueError("published prompts are for a language model, and the judge here is a rule: name a model")
        return prompts

    def check_language(self, language: Language) -> None:
        """Raise ValueError where no prompts are given for `language`."""
        _check_language(self.prompts, language)

    def to_settings(self, language: Language) -> RuleJudgeSettings:
        """Return what decides the verdicts on benchmarks of `language`, so that another language's prompt does not.

        Raises ValueError where no prompts are given for `language`.
        """
        self.check_language(language)
        return RuleJudgeSettings(
            language=language,
            prompts=self.prompts[language],
            rule=self.rule,
            reference_categories=self.reference_categories,
        )

    def locate(self) -> dict[str, str]:
        """Map the judge's place to the name of its endpoint: a rule has none."""
        return {}


class ModelJudgeConfig(AskedJudge):
    """A study's judge, for all languages: a language model behind an endpoint."""

    endpoint: str = Field(
        min_length=1, description="name of an endpoint of the machine settings; it does not enter the key"
    )
    prompts: dict[Language, JudgePrompts | PublishedPromptsConfig] = Field(
        default_factory=_default_texts, description="prompts by language; absent: our own"
    )
    reminders: Reminders = Field(default_factory=load_reminders, description="reminders; absent: our own")
    same_as: tuple[str, ...] = Field(
        default=(),
        description="points of the study whose model is the judge's, after SFT where they have one, for the report on "
        "its bias; a served model of its name need not be named",
    )

    _published: dict[Language, PublishedPrompts] = PrivateAttr(default_factory=dict)

    def check_language(self, language: Language) -> None:
        """Raise ValueError where no prompts are given for `language`."""
        _check_language(self.prompts, language)

    def find_reference_categories(self, language: Language) -> tuple[str, ...] | None:
        """Find whose references the judge is shown, whatever it is asked; None: all."""
        is_published = isinstance(self.prompts.get(language), PublishedPromptsConfig)
        return REFERENCE_CATEGORIES if self.reference_categories is None and is_published else self.reference_categories

    def list_published(self) -> dict[Language, PublishedPromptsConfig]:
        """Return the files of prompts that are to be read."""
        return {name: one for name, one in self.prompts.items() if isinstance(one, PublishedPromptsConfig)}

    def with_published(self, texts: Mapping[Language, PublishedPrompts]) -> Self:
        """Return the judge that knows the texts of its files; for those who read them."""
        copy = self.model_copy()
        copy._published = dict(texts)
        return copy

    def to_settings(self, language: Language) -> ModelJudgeSettings:
        """Return what decides the verdicts on benchmarks of `language`; where the model is reached does not.

        Raises ValueError where no prompts are given for `language`, or their file was not read.
        """
        shared = {name: getattr(self, name) for name in AskedJudge.model_fields}
        self.check_language(language)
        prompts: JudgePrompts | PublishedPrompts | PublishedPromptsConfig = self.prompts[language]
        if isinstance(prompts, PublishedPromptsConfig):
            if language not in self._published:
                raise ValueError(f"judge.prompts: '{prompts.published}' was not read: plan the study by build_plan")
            prompts = self._published[language]
        shared["reference_categories"] = self.find_reference_categories(language)
        reminder: str = getattr(self.reminders, language)
        return ModelJudgeSettings(language=language, prompts=prompts, reminder=reminder, **shared)

    def locate(self) -> dict[str, str]:
        """Map the judge's place to the name of its endpoint; verdicts that are there already need none."""
        return {self.place: self.endpoint}


JudgeConfig = Annotated[
    RuleJudgeConfig | ModelJudgeConfig, Field(discriminator="engine"), BeforeValidator(_is_rule_unless_said)
]
"""A study's judge; without `engine` it is the rule."""

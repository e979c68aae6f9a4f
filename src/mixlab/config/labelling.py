"""Category labels by a language model: what is asked, of whom, and what is done with an answer that is none."""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.config.base import Settings
from mixlab.config.categories import Category
from mixlab.config.endpoints import ChatModelSettings
from mixlab.config.loading import load_document
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError
from mixlab.config.sources import Digest
from mixlab.config.validation import validate

_PROMPT = Path(__file__).parent / "label_prompts" / "bilingual.yaml"

DIALOGUE = "{dialogue}"
"""Where a prompt shows the dialogue."""
RULES_LABEL = "keyword rules (not a language model)"
"""What every output calls the labeller without a model."""


class LabelPrompt(Settings):
    """What a labeller reads; `question` shows the dialogue between <dialogue> and </dialogue>.

    Understood as an answer is a line with one of the four words, alone or after `Category:`.
    """

    system: str = Field(min_length=1, description="system message: the categories and the form of the answer")
    question: str = Field(description="user message; {dialogue} is filled in")

    @field_validator("question")
    @classmethod
    def _shows_the_dialogue(cls, question: str) -> str:
        if question.count(DIALOGUE) != 1:
            raise ValueError("question must contain {dialogue} exactly once")
        if not 0 <= question.find("<dialogue>") < question.find(DIALOGUE) < question.find("</dialogue>"):
            raise ValueError("question must set {dialogue} between <dialogue> and </dialogue>")
        return question


class ShownSettings(Settings):
    """How much of a dialogue a labeller sees."""

    turns: Literal["first", "user", "all"] = Field(
        default="first", description="first: the first user turn; user: every user turn; all: the whole dialogue"
    )
    max_characters: int = Field(
        default=4_000, ge=100, le=1_000_000, description="a longer text is shown without its middle"
    )


class OpenaiLabelEngine(ChatModelSettings):
    """A model behind an OpenAI-compatible endpoint."""

    type: Literal["openai"]
    retry_temperature: float | None = Field(
        default=0.7, ge=0, le=2, description="temperature from the second attempt on: at 0 a model repeats itself"
    )


class _HfEngine(Settings):
    type: Literal["hf"]
    digest: Digest = Field(description="digest of the model folder, as `mixlab labels digest FOLDER` prints it")
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="compute precision")
    max_tokens: int = Field(default=16, ge=1, le=32_768, description="longest reply, in tokens")
    seed: int = Field(default=0, ge=0, lt=2**31, description="seed of the second attempt and later ones")
    retry_temperature: float = Field(
        default=0.7, gt=0, le=2, description="the first attempt is greedy; temperature from the second on"
    )


class HfLabelEngine(_HfEngine):
    """A model folder as transformers reads it, by its digest; run here."""


class HfLabelEngineConfig(_HfEngine):
    """A model folder as transformers reads it, below a data root; run here."""

    root: str = Field(default="data", description="name of a data root of the machine settings")
    path: str = Field(min_length=1, description="model folder below the data root")


class RulesLabelEngine(Settings):
    """Keyword rules (not a language model): for demonstrations, and as a floor for a model to beat."""

    type: Literal["rules"]
    version: Literal[1] = Field(default=1, description="raised when the rules change")


Answer = Annotated[OpenaiLabelEngine | HfLabelEngine | RulesLabelEngine, Field(discriminator="type")]
AnswerConfig = Annotated[OpenaiLabelEngine | HfLabelEngineConfig | RulesLabelEngine, Field(discriminator="type")]


@cache
def load_label_prompt() -> LabelPrompt:
    """Read our own prompt, for dialogues in English and in Japanese."""
    prompt, problems = validate(LabelPrompt, load_document(_PROMPT))
    if problems or prompt is None:
        raise ConfigError(problems)
    return prompt


class _Labelling(Settings):
    shown: ShownSettings = Field(default=ShownSettings(), description="how much of a dialogue is shown")
    attempts: int = Field(default=3, ge=1, le=20, description="times a dialogue is asked until an answer can be read")
    on_unparsable: Literal["exclude"] | Category = Field(
        default="exclude",
        description="after all attempts: exclude (no category), or the category it counts as; counted and listed; that "
        "none of 20 or more dialogues got an answer is an error",
    )


class LabelSettings(_Labelling):
    """Everything that decides the labels of a source's dialogues; keyword rules have no prompt."""

    version: int = Field(default=2, ge=1, description="raised by hand when the code changes a label")
    engine: Answer = Field(description="who answers")
    prompt: LabelPrompt | None = Field(default=None, description="what is asked")

    @model_validator(mode="after")
    def _models_are_asked(self) -> Self:
        if (self.prompt is None) != (self.engine.type == "rules"):
            raise ValueError("a model needs a prompt, keyword rules have none")
        return self

    @property
    def label(self) -> str:
        """The labeller's name in every output."""
        if isinstance(self.engine, RulesLabelEngine):
            return RULES_LABEL
        return self.engine.model if isinstance(self.engine, OpenaiLabelEngine) else f"model {self.engine.digest[:12]}"

    @property
    def place(self) -> str:
        """The name by which a job finds where its answers come from, in the plan file's table of places."""
        if isinstance(self.engine, HfLabelEngine):
            return self.engine.digest
        return f"labeller/{build_digest(canonical_json(self.engine.model_dump(mode='json')).encode())[:16]}"


class LabellerConfig(_Labelling):
    """A labeller as a study declares it: sources with `category: to_be_labelled` name one."""

    engine: AnswerConfig = Field(description="who answers")
    prompt: LabelPrompt = Field(default_factory=load_label_prompt, description="what is asked; absent: our own")
    endpoint: str | None = Field(
        default=None, min_length=1, description="openai: name of an endpoint of the machine settings; not in the key"
    )

    @model_validator(mode="after")
    def _endpoint_fits_engine(self) -> Self:
        if (self.endpoint is not None) != (self.engine.type == "openai"):
            raise ValueError("engine openai and `endpoint: NAME` go together: set both or none")
        return self

    @model_validator(mode="after")
    def _rules_are_not_asked(self) -> Self:
        stated = sorted(self.model_fields_set & {"prompt", "attempts", "on_unparsable"})
        if self.engine.type == "rules" and stated:
            raise ValueError(f"{', '.join(stated)} belongs to a model; keyword rules are asked nothing: leave it out")
        return self

    def to_settings(self) -> LabelSettings:
        """Return what decides the labels; where an answer comes from does not, and rules always answer."""
        if isinstance(self.engine, RulesLabelEngine):
            return LabelSettings(engine=self.engine, shown=self.shown, attempts=1)
        engine: OpenaiLabelEngine | HfLabelEngine
        if isinstance(self.engine, HfLabelEngineConfig):
            engine = HfLabelEngine(**self.engine.model_dump(exclude={"root", "path"}))
        else:
            engine = self.engine
        return LabelSettings(
            engine=engine,
            prompt=self.prompt,
            shown=self.shown,
            attempts=self.attempts,
            on_unparsable=self.on_unparsable,
        )

    def locate(self, machine: MachineSettings, root: Path) -> dict[str, str]:
        """Map the labeller's place to an endpoint's name or a model folder; empty where this machine has none.

        Labels that are there already need neither, so it is the job that asks for them.
        """
        if self.endpoint is not None:
            return {self.to_settings().place: self.endpoint}
        if isinstance(self.engine, HfLabelEngineConfig) and self.engine.root in machine.data_roots:
            return {self.engine.digest: str(machine.root(self.engine.root, root) / self.engine.path)}
        return {}

"""How a model is asked: sampling, and the prompt of one benchmark. All of it decides the responses."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mixlab.config.base import Settings, added
from mixlab.config.chat import ChatTemplate

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

OPTIONS = "options"
"""The placeholder that lists the options of a choice."""

FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of a field of a benchmark item, as a template's placeholder writes it."""


CATEGORY = "category"
"""The field of an item that says what it is about."""

LongPrompts = Literal["skip", "refuse", "truncate_left"]
"""What becomes of a prompt that does not fit the model's positions."""


class SamplingSettings(Settings):
    """How the next token is chosen and when a response ends."""

    max_new_tokens: int = Field(default=64, ge=1, le=32_768, description="longest response, in tokens")
    temperature: float = Field(default=0.0, ge=0.0, le=5.0, description="0 is greedy decoding")
    top_p: float = Field(default=1.0, gt=0.0, le=1.0, description="nucleus: smallest set with this probability")
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="strings before which a response is cut, beside the end token"
    )
    end_tokens: tuple[Annotated[str, Field(min_length=1)], ...] = added(
        (), description="special tokens that end a response as the tokenizer's own end token does"
    )
    long_prompts: LongPrompts = added(
        "skip",
        description="a prompt that leaves no room for max_new_tokens: skip: an empty response, counted; refuse: an "
        "error before anything is asked; truncate_left: the end of it is asked, counted",
    )
    category_temperatures: dict[Annotated[str, Field(min_length=1)], Annotated[float, Field(ge=0, le=5)]] | None = (
        added(
            None,
            min_length=1,
            description="temperature by the item's `category`, instead of `temperature`; an item of another category "
            "is an error",
        )
    )

    @model_validator(mode="after")
    def _greedy_has_no_nucleus(self) -> Self:
        if self.category_temperatures is not None and self.temperature != 0:
            raise ValueError("temperature has no effect beside category_temperatures; remove one of them")
        if max(self.temperatures()) == 0 and self.top_p != 1:
            raise ValueError(
                f"top_p {self.top_p} has no effect at temperature 0 (greedy); raise temperature or remove top_p"
            )
        return self

    def temperatures(self) -> tuple[float, ...]:
        """Return every temperature that is used, at least one, ascending."""
        by_category = self.category_temperatures
        return (self.temperature,) if by_category is None else tuple(sorted(set(by_category.values())))

    def at(self, temperature: float) -> Self:
        """Return the settings of a prompt with this temperature of its own."""
        if self.category_temperatures is None and self.temperature == temperature:
            return self
        return self.model_copy(update={"temperature": temperature, "category_temperatures": None})


class Example(Settings):
    """One worked example shown before the question: what is asked and the answer wanted."""

    user: str = Field(min_length=1, description="the question as the model sees it, already rendered")
    assistant: str = Field(min_length=1, description="the answer wanted")


class OptionsSettings(Settings):
    """The options of a choice, which a prompt lists behind letters, and which of them are right."""

    fields: tuple[FieldName, ...] = Field(
        min_length=1, description="fields with the options in order; one field may hold a list of them"
    )
    answer_field: FieldName = Field(default="answer", description="field that says which options are right")
    answer_as: Literal["letter", "index", "marks"] = Field(
        default="letter",
        description="letter: `B`; index: `1`, counted from 0; marks: a list with `1` for each right option, else `0`",
    )
    shuffle: bool = Field(
        default=False, description="show each item's options in an order drawn from its id; off: as published"
    )

    def item_fields(self) -> frozenset[str]:
        """Return the fields each item must have for its options to be listed and answers to be known."""
        return frozenset((*self.fields, self.answer_field))


class ShotSettings(Settings):
    """Worked examples that are taken from items of a second source, which the study names as `examples`."""

    count: int = Field(ge=1, le=64, description="examples before each question")
    by: FieldName | None = Field(
        default=None, description="examples are items with the same value here, e.g. `subject`; absent: any"
    )
    answer: str = Field(min_length=1, description="template of the answer; {letter} is that of the right option")


class PromptSettings(Settings):
    """Everything about a benchmark that decides a model's responses to it."""

    template: str = Field(min_length=1, description="text with {field} placeholders; {turn} in a multi-turn benchmark")
    turns: FieldName | None = Field(default=None, description="field holding the list of the user's turns")
    chat: bool = Field(default=True, description="wrap in the chat template; false: the plain text is continued")
    chat_template: ChatTemplate | None = Field(
        default=None, description="filled in from the study by the plan where chat is true; never in a declaration"
    )
    system: str | None = Field(default=None, min_length=1, description="system message, chat only")
    examples: tuple[Example, ...] = Field(default=(), max_length=64, description="worked examples, in this order")
    example_separator: str = Field(default="\n\n", description="between examples and question where chat is false")
    sampling: SamplingSettings = Field(default=SamplingSettings(), description="decoding and stop strings")
    limit: int | None = Field(default=None, ge=1, description="the first so many items of the source; absent: all")
    repair_prompts: bool = Field(
        default=False,
        description="insert the line break a published Python prompt lacks; off: prompts as published",
    )

    options: OptionsSettings | None = added(None, description="a choice: {options} in `template` lists them by letter")
    shots: ShotSettings | None = added(None, description="examples from another source, behind those of `examples`")
    samples: int = added(1, ge=1, le=1000, description="responses to each item, drawn independently")

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.samples > 1 and min(self.sampling.temperatures()) == 0:
            raise ValueError(
                f"samples is {self.samples}, but at temperature 0 (greedy) all would be equal; raise temperature"
            )
        if self.samples > 1 and self.turns is not None:
            raise ValueError("samples is for items of one turn; a dialogue has generation_seed")
        return self

    @model_validator(mode="after")
    def _examples_have_one_turn(self) -> Self:
        if self.shots is not None and self.turns is not None:
            raise ValueError("shots shows items of one turn as worked examples; remove shots or turns")
        return self

    @model_validator(mode="after")
    def _options_are_listed(self) -> Self:
        if self.options is not None and OPTIONS not in _PLACEHOLDER.findall(self.template):
            raise ValueError("options are declared, so template must contain {options}")
        if self.options is not None and OPTIONS in self.options.item_fields():
            raise ValueError("a field cannot be called `options`: {options} stands for the list")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        placeholders = self.placeholders()
        if not placeholders:
            raise ValueError("template has no {field} placeholder, so every item would get the same prompt")
        if self.turns is not None and "turn" not in placeholders:
            raise ValueError(f"turns is {self.turns!r}, so template must contain {{turn}}")
        if self.turns is None and "turn" in placeholders:
            raise ValueError("template contains {turn} but turns does not name the field with the list of turns")
        if not self.chat and (self.turns is not None or self.system is not None):
            raise ValueError("turns and system need the chat format; set chat: true")
        if not self.chat and self.chat_template is not None:
            raise ValueError("chat_template has no effect where chat is false; remove it")
        return self

    def placeholders(self) -> frozenset[str]:
        """Return the names between braces in the template."""
        return frozenset(_PLACEHOLDER.findall(self.template))

    def item_fields(self) -> frozenset[str]:
        """Return the fields each item must have for its prompt to be rendered."""
        own = self.placeholders() - ({"turn"} if self.turns is not None else set())
        if self.options is not None:
            own = own - {OPTIONS} | frozenset(self.options.fields)
        if self.shots is not None and self.shots.by is not None:
            own = own | {self.shots.by}
        if self.sampling.category_temperatures is not None:
            own = own | {CATEGORY}
        return own | ({self.turns} if self.turns is not None else set())

    def for_item(self, item: Mapping[str, Any]) -> Self:
        """Return the settings of one item, sampled at its category's temperature; KeyError where that has none."""
        by_category = self.sampling.category_temperatures
        if by_category is None:
            return self
        return self.model_copy(update={"sampling": self.sampling.at(by_category[item[CATEGORY]])})

    def render(self, values: dict[str, str]) -> str:
        """Fill the template; braces that name no value are left as they are.

        Raises KeyError for a placeholder without a value.
        """
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.template)

    def with_chat_template(self, template: ChatTemplate) -> Self:
        """Return these settings as they enter a spec: with the study's chat template where chat is true."""
        return self.model_copy(update={"chat_template": template}) if self.chat else self

    def with_changes(self, **changes: Any) -> Self:
        """Return a checked copy with `changes`, e.g. a study's own `limit`."""
        return type(self).model_validate({**self.model_dump(), **changes})

"""How fields of a record become text, messages or a benchmark item: declared, never programmed."""

import re
import warnings
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from mixlab.config.base import Settings

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PLACE = re.compile(r"^[\w\-]+(\.[\w\-]+)*\??$")


@lru_cache(maxsize=1024)
def parse_template(template: str) -> tuple[str | tuple[tuple[str, ...], bool], ...]:
    """Split `template` into literal strings and placeholders (path, optional); a template seen before costs nothing.

    `{a.0.b}` names element b of element 0 of field a, `{a?}` may be absent, `{{` and `}}` are braces.
    Raises ValueError for a lone brace or a placeholder that is no path.
    """
    parts: list[str | tuple[tuple[str, ...], bool]] = []
    literal, at = "", 0
    for match in _TOKEN.finditer(template):
        literal += template[at : match.start()]
        at = match.end()
        if match[0] in ("{{", "}}"):
            literal += match[0][0]
            continue
        name = match[1]
        if name is None or not _PLACE.match(name):
            raise ValueError(
                f"{match[0]!r} in the template {template!r} is no placeholder: write {{field}}, {{field.0}} or "
                f"{{field?}}, and double a brace that is meant as text"
            )
        if literal:
            parts.append(literal)
            literal = ""
        parts.append((tuple(name.removesuffix("?").split(".")), name.endswith("?")))
    literal += template[at:]
    if literal or not parts:
        parts.append(literal)
    return tuple(parts)


def _check_template(template: str) -> str:
    parse_template(template)
    return template


Template = Annotated[
    str, AfterValidator(_check_template), Field(description="text with {field} places; {field?} may be absent")
]


def _check_places(template: str) -> str:
    if not _places(template):
        doubled = "; {{ and }} are braces meant as text" if "{{" in template else ""
        raise ValueError(
            f"the template {template!r} has no {{field}} place, so that every record would say the same: name the "
            f"field, as {{text}} does{doubled}"
        )
    return template


PlacedTemplate = Annotated[Template, AfterValidator(_check_places)]
"""A template that may not be the same text for every record."""


def _check_pattern(pattern: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # "possible nested set": a bracket that Python may read anew
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise ValueError(
            f"{pattern!r} is no regular expression: {error}; put a backslash before a character that is meant as text"
        ) from None
    return pattern


Pattern = Annotated[str, AfterValidator(_check_pattern)]
"""A regular expression of Python's."""


class Choice(Settings):
    """The one of several choices that an index field names."""

    type: Literal["choice"]
    choices: str | tuple[str, ...] = Field(description="a list field, or the fields that hold the choices in order")
    index: str = Field(description="field with the position of the right choice")
    first: int = Field(0, ge=0, le=1, description="number of the first choice")


class Strip(Settings):
    """A field without the wrapper around it; a record without the wrapper is malformed."""

    type: Literal["strip"]
    field: str = Field(description="field that holds the wrapped text")
    prefix: str = Field("", description="text that every value starts with")
    suffix: str = Field("", description="text that every value ends with")


class Join(Settings):
    """The elements of a list field as one text."""

    type: Literal["join"]
    field: str = Field(description="field that holds the list; lists inside an element are joined by a comma")
    item: PlacedTemplate = Field("{0}", description="text of one element; {0}, {1} … or the names of its fields")
    separator: str = Field("\n", description="text between elements")


class Replace(Settings):
    """A text with every match of a regular expression replaced, e.g. GSM8K's calculator marks."""

    type: Literal["replace"]
    field: str = Field(description="field that holds the text")
    pattern: Pattern = Field(min_length=1, description="regular expression")
    by: str = Field("", description="what replaces each match; \\1 names a group")

    @field_validator("by")
    @classmethod
    def _by_fits_the_pattern(cls, by: str, info: ValidationInfo) -> str:
        if "pattern" not in info.data:
            return by  # a mistake there is told there
        try:
            # the template is parsed before anything is looked for
            re.sub(info.data["pattern"], by, "")
        except (re.error, IndexError) as error:
            raise ValueError(
                f"{by!r} cannot replace a match of {info.data['pattern']!r}: {error}; \\1 is the first (…) group of "
                "`pattern`, and \\\\ a backslash"
            ) from None
        return by


class Lookup(Settings):
    """The text that a table gives for a field's value; a record with another value is malformed."""

    type: Literal["lookup"]
    field: str = Field(description="field whose value is looked up; a truth value is True or False")
    texts: dict[str, str] = Field(min_length=1, description="value -> text, e.g. {'True': 'yes', 'False': 'no'}")


Derived = Annotated[Choice | Strip | Join | Replace | Lookup, Field(discriminator="type")]


class MessagesMapping(Settings):
    """A field that holds the turns of a dialogue; `a|b` names several fields: the first that is there counts."""

    field: str = Field(description="list field with the turns")
    role_field: str = Field(description="field of a turn that names its speaker")
    content_field: str = Field(description="field of a turn that holds its text")
    roles: dict[str, Literal["user", "assistant", "system"]] = Field(
        default_factory=dict, description="speaker to role, for speakers not called user, assistant or system"
    )


class Select(Settings):
    """Which records are taken: those for which a filled template is one of some values."""

    by: PlacedTemplate = Field(description="template that is compared, e.g. '{category}'")
    values: tuple[str, ...] = Field(min_length=1, description="a record with one of these is taken; others are counted")


class FieldMapping(Settings):
    """From a record's fields to what its kind needs.

    raw: `text`. instruction: `user` and `assistant` (and `system`), or `messages`. benchmark: `item` (and `id`).
    Blank lines around a message and white space at its end are dropped; raw text and items are taken as they are.
    """

    derive: dict[str, Derived] = Field(
        default_factory=dict, description="further fields made from a record's fields, for use in templates"
    )
    text: PlacedTemplate | None = Field(None, description="raw: the text")
    system: Template | None = Field(None, description="instruction: system message")
    user: Template | None = Field(None, description="instruction: user message")
    assistant: PlacedTemplate | None = Field(None, description="instruction: assistant message")
    messages: MessagesMapping | None = Field(None, description="instruction: a field with the whole dialogue")
    id: PlacedTemplate | None = Field(
        None, description="benchmark: name of the item; absent: its number among the records of all files"
    )
    item: dict[str, Template] = Field(
        default_factory=dict,
        description="benchmark: fields of an item; a template of one place keeps a list of texts a list",
    )

    @field_validator("item")
    @classmethod
    def _items_differ(cls, item: dict[str, str]) -> dict[str, str]:
        if item and not any(_places(template) for template in item.values()):
            raise ValueError("no template has a {field} place, so that every item would be the same: name a field")
        return item

    def check_kind(self, kind: str, *, has_text: bool) -> None:
        """Raise ValueError unless the mapping says all that `kind` needs and nothing else."""
        allowed = {
            "raw": {"text"},
            "instruction": {"system", "user", "assistant", "messages"},
            "benchmark": {"id", "item"},
        }[kind]
        given = {name for name in type(self).model_fields if getattr(self, name) and name != "derive"}
        if strange := sorted(given - allowed):
            raise ValueError(
                f"`fields` of kind {kind} takes {', '.join(sorted(allowed))}, not {', '.join(strange)}: remove it"
            )
        if kind == "raw" and self.text is None and not has_text:
            raise ValueError("a raw source needs `fields: {text: '{…}'}` or `preset: text`")
        if kind == "instruction":
            if (self.messages is not None) == bool({"user", "assistant"} & given):
                raise ValueError(
                    "an instruction source needs `fields` with either `messages` or `user`, `assistant`, or a `preset`"
                )
            if self.messages is None and (self.user is None or self.assistant is None):
                raise ValueError("an instruction source needs both `user` and `assistant` in `fields`")
        if kind == "benchmark" and not self.item:
            raise ValueError("a benchmark source needs `fields: {item: {name: '{…}'}}`")

    def columns(self, select: Select | None = None) -> frozenset[str]:
        """Names of the fields that a record must bring along; others need not be read."""
        templates = [self.text, self.system, self.user, self.assistant, self.id, *self.item.values()]
        if select is not None:
            templates.append(select.by)
        paths = [".".join(place) for template in templates if template for place in _places(template)]
        for rule in self.derive.values():
            paths += _fields_of(rule)
        if self.messages is not None:
            paths += self.messages.field.split("|")
        return frozenset(path.split(".")[0] for path in paths) - set(self.derive)


def _places(template: str) -> list[tuple[str, ...]]:
    return [part[0] for part in parse_template(template) if not isinstance(part, str)]


def _fields_of(rule: Choice | Strip | Join | Replace | Lookup) -> list[str]:
    if not isinstance(rule, Choice):
        return [rule.field]
    return [rule.index, *([rule.choices] if isinstance(rule.choices, str) else rule.choices)]


Preset = Literal["messages", "alpaca", "question_answer", "text"]

_SPEAKERS: dict[str, Literal["user", "assistant", "system"]] = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "ai": "assistant",
}


def preset_mapping(preset: Preset) -> FieldMapping:
    """The fields that a preset stands for; a source that spells them out has the same key."""
    if preset == "messages":
        return FieldMapping(
            messages=MessagesMapping(
                field="messages|conversations|conversation",
                role_field="role|from",
                content_field="content|value",
                roles=_SPEAKERS,
            )
        )
    if preset == "alpaca":
        # an empty input leaves blank lines at the end of the message, which are dropped
        return FieldMapping(user="{instruction}\n\n{input?}", assistant="{output}")
    if preset == "question_answer":
        return FieldMapping(user="{question}", assistant="{answer}")
    return FieldMapping(text="{text}")


def element_at(record: Any, path: tuple[str, ...]) -> Any:
    """Follow `path` through objects and lists of `record`; None where it ends."""
    for step in path:
        if isinstance(record, dict):
            record = record.get(step)
        elif isinstance(record, list) and step.isdecimal():
            record = record[int(step)] if int(step) < len(record) else None
        else:
            return None
    return record

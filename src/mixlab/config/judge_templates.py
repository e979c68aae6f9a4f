"""Judge prompts in the published form: of FastChat and llm-jp-judge, as they enter a spec and as users name them.

Templates are filled in as Python's `str.format` does; nothing that is filled in is read as a template again.
"""

import re
from collections.abc import Iterator
from string import Formatter
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.fields import Pattern
from mixlab.config.origins import PathBelow

REFERENCE_CATEGORIES = ("math", "reasoning", "coding")
"""NEED_REF_CATS of FastChat's llm_judge/common.py, and `reference.categories` of llm-jp-judge's evaluate.yaml."""

Places = dict[str, tuple[frozenset[str], frozenset[str]]]
"""Of each template: the places that it must have, and those that it may have beside them."""


def _list_places(answers: str, earlier: str) -> Places:
    """List the places of templates that show these answers, of the last turn and of the one before."""
    first = frozenset(f"question {answers}".replace("*", "").split())
    later = frozenset(f"question_2 {answers}".replace("*", "_2").split())
    before = frozenset(f"question_1 {earlier}".split())
    return {
        "first": (first, frozenset()),
        "first_with_reference": (first | {"ref_answer_1"}, frozenset()),
        "later": (later, before),
        "later_with_reference": (later | {"ref_answer_2"}, before | {"ref_answer_1"}),
    }


PLACES = _list_places("answer*", "answer_1")
PAIR_PLACES = _list_places("answer_a* answer_b*", "answer_a_1 answer_b_1")

PublishedFormat = Literal["fastchat", "llm_jp_judge"]


def find_template_problems(template: str, needed: frozenset[str], optional: frozenset[str]) -> Iterator[str]:
    """Say what keeps a text from being a template of these places."""
    try:
        parts = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        yield f"is no template ({error}); double a brace that is meant as text: {{{{ or }}}}"
        return
    for _, name, form, conversion in parts:
        if name not in needed | optional or form or conversion:
            shown = f"{name}{'!' + conversion if conversion else ''}{':' + form if form else ''}"
            known = ", ".join(f"{{{place}}}" for place in sorted(needed | optional))
            yield f"has the place {{{shown}}}, which nothing fills in; there are {known}"
    if missing := needed - {str(name) for _, name, _, _ in parts}:
        yield f"lacks {', '.join(f'{{{place}}}' for place in sorted(missing))}"


def find_rating_problem(pattern: str) -> str | None:
    """Say what keeps a text from being a regular expression whose first group is a rating."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        return f"{pattern!r} is no regular expression: {error}"
    return None if groups else f"{pattern!r} has no group (in parentheses), which is to be the rating"


class PublishedTemplate(Settings):
    """One published prompt."""

    system: str = Field(min_length=1, description="system message, sent as it is")
    template: str = Field(min_length=1, description="user message, with places")


class _PublishedTemplates(Settings):
    """Templates for two turns; without those of the second, first turns alone are judged."""

    PLACES: ClassVar[Places]

    first: PublishedTemplate = Field(description="first turn, item without reference: single-v1, pair-v2")
    first_with_reference: PublishedTemplate = Field(
        description="first turn, with reference: single-math-v1, pair-math-v1"
    )
    later: PublishedTemplate | None = Field(
        default=None, description="second turn, item without reference: the same, -multi-turn"
    )
    later_with_reference: PublishedTemplate | None = Field(
        default=None, description="second turn, with reference: the same, -multi-turn"
    )

    @model_validator(mode="after")
    def _templates_have_their_places(self) -> Self:
        if (self.later is None) != (self.later_with_reference is None):
            raise ValueError("give both templates of the second turn, or none")
        for name, places in self.PLACES.items():
            one = getattr(self, name)
            for told in find_template_problems(one.template, *places) if one is not None else ():
                raise ValueError(f"{name} {told}")
        return self

    @property
    def turns(self) -> int:
        """How many turns of a dialogue are judged."""
        return 1 if self.later is None else 2

    def choose(self, turn: int, *, has_reference: bool) -> PublishedTemplate:
        """Return the template for a turn, counted from 1; raises ValueError where there is none."""
        first = (self.first, self.first_with_reference)
        chosen = (first, (self.later, self.later_with_reference))[turn - 1][has_reference] if turn in (1, 2) else None
        if chosen is None:
            raise ValueError(f"there is no template for turn {turn}")
        return chosen


class PublishedPrompts(_PublishedTemplates):
    """The published prompts that rate one answer, in one language, as they enter a spec."""

    PLACES: ClassVar[Places] = PLACES

    ratings: tuple[Pattern, ...] = Field(
        min_length=1, description="regular expressions in the order of trial; the first group of a match is the rating"
    )

    @model_validator(mode="after")
    def _ratings_have_groups(self) -> Self:
        if told := next(filter(None, map(find_rating_problem, self.ratings)), None):
            raise ValueError(told)
        return self


class PublishedPairPrompts(_PublishedTemplates):
    """The published prompts that compare two answers, in one language, as they enter a spec; verdicts are [[A]]."""

    PLACES: ClassVar[Places] = PAIR_PLACES


class PublishedPromptsConfig(Settings):
    """A file of published prompts, as a study names it; its texts enter the key, its name and place do not."""

    published: Annotated[PathBelow, Field(min_length=1)] = Field(
        description="the file, from the working folder or, with `root`, below a data root"
    )
    root: str | None = Field(default=None, description="name of a data root; absent: the working folder")
    format: PublishedFormat = Field(
        description="fastchat: judge_prompts.jsonl; llm_jp_judge: a YAML file of llm-jp-judge's prompt templates"
    )
    turns: Literal[1, 2] = Field(
        default=2, description="turns of a dialogue that are rated; 1 where the file has templates of no more"
    )

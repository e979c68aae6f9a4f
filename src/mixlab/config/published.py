"""Token and sample counts as somebody published them: kept as printed, so that their rounding is known."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.categories import CATEGORIES, LANGUAGES
from mixlab.config.exact import Ratio, Weight
from mixlab.config.problems import did_you_mean

UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
"""Letters behind a printed number; B is a thousand million."""

_PRINTED = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?: ?([KMBT]))?")


@dataclass(frozen=True)
class Printed:
    """A number as a table prints it: what it says, and half a unit of its last digit.

    `0.5 B` says 500,000,000 and stands for anything from 450,000,000 to 550,000,000.
    """

    value: Fraction
    rounding: Fraction


def parse_printed(text: str) -> Printed:
    """Read `945.3 B`, `68.0 M` or `12640131`; raises ValueError for anything else."""
    match = _PRINTED.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a count as it was printed, like 945.3 B, 68.0 M or 12640131, got {text!r}")
    whole, digits, letter = match[1], match[2] or "", match[3] or ""
    unit = Fraction(UNITS[letter], 10 ** len(digits))
    is_rounded = bool(digits or letter)
    return Printed(int(whole + digits) * unit, unit / 2 if is_rounded else Fraction(0))


def _as_text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return getattr(value, "text", str(value))


def _check_printed(text: str) -> str:
    parse_printed(text)
    return text


PrintedCount = Annotated[str, BeforeValidator(_as_text), AfterValidator(_check_printed)]
"""A count as it was printed: `945.3 B`, `68.0 M`, `12640131`; trailing zeros tell how it was rounded."""

Counts = Annotated[dict[str, PrintedCount], Field(min_length=1)]


class PublishedCell(Settings):
    """Published counts of one part of a source or pool; what is absent was not published, or cannot be read."""

    samples: int | None = Field(default=None, ge=0, description="records; a dialogue of several turns is one")
    tokens: Counts | None = Field(default=None, description="tokenizer: tokens of all text, as printed")
    response_tokens: Counts | None = Field(default=None, description="tokenizer: tokens of responses, as printed")
    note: str = Field(default="", description="what a reader must know of these figures")


class Published(PublishedCell):
    """What a publication says of a source or a pool: figures to compare with, never used in a computation."""

    table: str = Field(min_length=1, description="number of the table they stand in")
    upsampling: Weight | None = Field(default=None, description="how many times the raw text was taken")
    sampling_ratio: Ratio | None = Field(default=None, description="published share of the raw part")
    cells: dict[str, PublishedCell] = Field(
        default_factory=dict, description="figures by language and category, like en/math, where they are published"
    )

    @model_validator(mode="after")
    def _cells_are_known(self) -> "Published":
        known = [f"{language}/{category}" for language in LANGUAGES for category in CATEGORIES]
        for name in self.cells:
            if name not in known:
                raise ValueError(f"cells: unknown cell {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}")
        return self

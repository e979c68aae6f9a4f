"""The axes of a mixture: what share each kind, language, category, cell and raw source has, by position of source.

One `Axes` says it for a whole mixture or for one of its phases.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.categories import CATEGORIES, LANGUAGES, Category, Language, RawLanguage
from mixlab.config.exact import Ratio, Weight

Natural = Literal["natural"]
NATURAL: Natural = "natural"
Position = Annotated[int, Field(ge=0)]


def render_number(number: Fraction) -> str:
    """Render an exact number for a message: decimal where that is exact and short, else the fraction."""
    if number.denominator == 1:
        return str(number)
    decimal = str(float(number))
    return decimal if len(decimal) <= 8 and Fraction(decimal) == number else str(number)


def share_out(shares: Mapping[str, Fraction], *, normalise: bool, what: str) -> dict[str, Fraction]:
    """Check ratios, or normalise weights, to sum exactly to one; zeros are dropped.

    Raises ValueError naming `what`, the sum got, and the cure.
    """
    total = sum(shares.values(), Fraction())
    if total == 0:
        raise ValueError(f"{what}: all shares are 0: give at least one a positive share")
    if not normalise and total != 1:
        raise ValueError(
            f"{what}: ratios sum to {render_number(total)}, not 1; did you mean `weights:`, which normalise?"
        )
    return {name: share / total for name, share in sorted(shares.items()) if share}


def _without_zeros(shares: dict[str, Fraction]) -> dict[str, Fraction]:
    return {name: share for name, share in sorted(shares.items()) if share}


_DROP_ZEROS = AfterValidator(_without_zeros)
# {en: 1, ja: 0} and {en: 1} are one mixture, hence one key
LanguageShares = Annotated[dict[Language, Ratio], _DROP_ZEROS]
CategoryShares = Annotated[dict[Category, Ratio], _DROP_ZEROS]
CellShares = Annotated[dict[str, Ratio], _DROP_ZEROS]


class MixtureSource(Settings):
    """Labels of one source, and its weight beside the sources of the same cell or raw group."""

    kind: Literal["raw", "instruction"] = Field(description="which part of the mixture it feeds")
    language: RawLanguage = Field(description="language of the source; raw sources alone may be other than en and ja")
    category: Category | None = Field(None, description="skill; instruction sources only")
    weight: Weight | Natural = Field(NATURAL, description="share among its like; natural: by population")

    @model_validator(mode="after")
    def _language_fits_kind(self) -> Self:
        if self.kind == "instruction" and self.language not in LANGUAGES:
            raise ValueError(f"an instruction source has no cell of {self.language}; allowed: {', '.join(LANGUAGES)}")
        return self

    @property
    def cell(self) -> str:
        """Name of its cell within the instruction part, e.g. `en/math`."""
        return f"{self.language}/{self.category}"

    @property
    def label(self) -> str:
        """What a message or a certificate calls it: `en/math`, or `en raw`."""
        return self.cell if self.kind == "instruction" else f"{self.language} raw"


class RawGroup(Settings):
    """Some raw sources, by their positions, that share a ratio of the raw part."""

    ratio: Ratio = Field(description="share of the raw part")
    sources: tuple[Position, ...] = Field(min_length=1, description="positions in `sources`")


class RawFactor(Settings):
    """How much oftener than its population says one raw source is seen."""

    source: Position = Field(description="position in `sources`")
    factor: Weight = Field(description="upsampling factor; its share is in proportion to population x factor")


class RawFactors(Settings):
    """Raw composition in proportion to population x factor; a source that is not named has the factor 1."""

    factors: tuple[RawFactor, ...] = Field(min_length=1, description="sources with a factor other than 1")

    def by_source(self) -> dict[int, Fraction]:
        """Factor of each named source, by position."""
        return {one.source: one.factor for one in self.factors}


class Axes(Settings):
    """Shares of the parts of a mixture."""

    instruction: Ratio | Natural = Field(NATURAL, description="share of instruction data in the budget")
    language: LanguageShares | Natural = Field(NATURAL, description="shares within the instruction part")
    category: CategoryShares | Natural = Field(NATURAL, description="shares within the instruction part")
    cells: CellShares | None = Field(None, description="joint shares `en/math`, instead of the two axes")
    raw: tuple[RawGroup, ...] | RawFactors | Natural = Field(NATURAL, description="composition of the raw part")


def list_axis_problems(axes: Axes, sources: Sequence[MixtureSource], on_empty_cell: str) -> list[str]:
    """List why `axes` cannot be met by `sources`, each with its cure; empty when they can."""
    problems = []
    for what in ("language", "category", "cells"):
        shares = getattr(axes, what)
        if isinstance(shares, dict):
            problems += _sum_problems(shares, what)
    problems += _cell_problems(axes)
    problems += _raw_problems(axes, sources)
    for kind, share in _parts(axes):
        if share != 0 and not any(source.kind == kind for source in sources):
            problems.append(f"{kind} data has a share of {render_number(share)} and no source: add one")
    if axes.instruction != 0 and on_empty_cell == "error" and not problems:
        problems += _empty_cells(axes, sources)
    return problems or _weight_problems(axes, sources)


def requested_cells(axes: Axes) -> list[tuple[str | None, str | None]]:
    """Cells that an explicit axis gives a share; None stands for a natural axis."""
    if axes.cells is not None:
        return [(cell.split("/")[0], cell.split("/")[1]) for cell, ratio in axes.cells.items() if ratio]
    if axes.language == NATURAL and axes.category == NATURAL:
        return []
    languages = [None] if isinstance(axes.language, str) else [k for k, v in axes.language.items() if v]
    categories = [None] if isinstance(axes.category, str) else [k for k, v in axes.category.items() if v]
    return [(language, category) for language in languages for category in categories]


def _sum_problems(shares: Mapping[str, Fraction], what: str) -> list[str]:
    try:
        share_out(shares, normalise=False, what=what)
    except ValueError as error:
        return [str(error)]
    return []


def _parts(axes: Axes) -> list[tuple[str, Fraction]]:
    if isinstance(axes.instruction, str):
        return []
    return [("instruction", axes.instruction), ("raw", 1 - axes.instruction)]


def _cell_problems(axes: Axes) -> list[str]:
    if axes.cells is None:
        return []
    if axes.language != NATURAL or axes.category != NATURAL:
        return ["`cells` already says language and category: remove those axes"]
    known = [f"{language}/{category}" for language in LANGUAGES for category in CATEGORIES]
    strange = sorted(set(axes.cells) - set(known))
    return [f"cells: unknown cell {', '.join(strange)}; allowed: {', '.join(known)}"] if strange else []


def _raw_problems(axes: Axes, sources: Sequence[MixtureSource]) -> list[str]:
    if isinstance(axes.raw, str):
        return []
    if isinstance(axes.raw, RawFactors):
        named = [one.source for one in axes.raw.factors]
        problems = []
    else:
        named = [position for group in axes.raw for position in group.sources]
        problems = _sum_problems({str(number): group.ratio for number, group in enumerate(axes.raw)}, "raw")
    for position in named:
        if position >= len(sources) or sources[position].kind != "raw":
            problems.append(f"raw: position {position} of `sources` is no raw source")
    if len(named) != len(set(named)):
        problems.append("raw: a source stands in two groups: keep it in one")
    return problems


def _empty_cells(axes: Axes, sources: Sequence[MixtureSource]) -> list[str]:
    there = {source.cell for source in sources if source.kind == "instruction"}
    problems = []
    for language, category in requested_cells(axes):
        label = f"{language or 'any language'}/{category or 'any category'}"
        pairs = (cell.split("/") for cell in there)
        if not any(language in (None, pair[0]) and category in (None, pair[1]) for pair in pairs):
            problems.append(
                f"cell {label} has a share and no source: add a source, set its share to 0, or set on_empty_cell: rake"
            )
    return problems


def _weight_problems(axes: Axes, sources: Sequence[MixtureSource]) -> list[str]:
    group_of = {}
    if isinstance(axes.raw, tuple):
        group_of = {at: f"raw group {number}" for number, group in enumerate(axes.raw) for at in group.sources}
    likes: dict[str, list[Fraction | Natural]] = {}
    for at, source in enumerate(sources):
        name = group_of.get(at, "raw part") if source.kind == "raw" else f"cell {source.cell}"
        likes.setdefault(name, []).append(source.weight)
    problems = []
    for name, weights in likes.items():
        explicit = [weight for weight in weights if not isinstance(weight, str)]
        if explicit and len(explicit) < len(weights):
            problems.append(f"{name}: either every source has a weight or none: add the missing weights")
        elif explicit and not any(explicit):
            problems.append(f"{name}: all weights are 0: give at least one a positive weight")
        elif explicit and name == "raw part" and isinstance(axes.raw, RawFactors):
            problems.append("raw: factors multiply the population, weights replace it: use one of them")
    return problems

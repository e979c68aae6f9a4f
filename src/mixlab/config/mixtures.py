"""What decides a mixture: sources, the shares of its axes, its budget and its seed."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.exact import Exact, Ratio, Weight, parse_exact
from mixlab.config.sources import CATEGORIES, LANGUAGES, Category, Language

Natural = Literal["natural"]
NATURAL: Natural = "natural"


def _whole(value: Any) -> int:
    number = parse_exact(value)
    if number.denominator != 1:
        raise ValueError(f"expected a whole number, got {value!r}")
    return int(number)


Count = Annotated[int, BeforeValidator(_whole), Field(gt=0)]
"""A positive whole number, which may be written 600000, 6e5 or 600_000."""


def render_number(number: Fraction) -> str:
    """Render an exact number for a message: decimal where that is exact and short, else the fraction."""
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


class Budget(Settings):
    """How much a mixture takes, in exactly one of three units."""

    tokens: Count | None = Field(None, description="real tokens")
    samples: Count | None = Field(None, description="windows of sources packed one_per_window; shares count windows")
    epochs: Weight | None = Field(None, description="times all tokens of the sources that have a share")

    @model_validator(mode="after")
    def _exactly_one(self) -> "Budget":
        given = [name for name in ("tokens", "samples", "epochs") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a budget is one of tokens, samples or epochs, got {' and '.join(given) or 'none'}")
        if self.epochs == 0:
            raise ValueError("a budget of 0 epochs takes nothing: give a positive number")
        return self


class MixtureSource(Settings):
    """Labels of one source, and its weight beside the sources of the same cell or raw group."""

    kind: Literal["raw", "instruction"] = Field(description="which part of the mixture it feeds")
    language: Language = Field(description="language of the source")
    category: Category | None = Field(None, description="skill; instruction sources only")
    weight: Weight | Natural = Field(NATURAL, description="share among its like; natural: by population")

    @model_validator(mode="after")
    def _category_fits_kind(self) -> "MixtureSource":
        if (self.category is None) != (self.kind == "raw"):
            raise ValueError("an instruction source has a category, a raw source has none")
        return self

    @property
    def cell(self) -> str:
        """Name of its cell within the instruction part, e.g. `en/math`."""
        return f"{self.language}/{self.category}"


class RawGroup(Settings):
    """Some raw sources, by their positions, that share a ratio of the raw part."""

    ratio: Ratio = Field(description="share of the raw part")
    sources: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, description="positions in `sources`")


class MixtureSettings(Settings):
    """Everything that decides which windows a mixture holds, and in which order."""

    sources: tuple[MixtureSource, ...] = Field(min_length=1, description="labels, in the order of the packs")
    instruction: Ratio | Natural = Field(NATURAL, description="share of instruction data in the budget")
    language: LanguageShares | Natural = Field(NATURAL, description="shares within the instruction part")
    category: CategoryShares | Natural = Field(NATURAL, description="shares within the instruction part")
    cells: CellShares | None = Field(None, description="joint shares `en/math`, instead of the two axes")
    raw: tuple[RawGroup, ...] | Natural = Field(NATURAL, description="composition of the raw part")
    budget: Budget = Field(description="how much to take")
    max_epochs: Exact = Field(Fraction(1), gt=0, description="a source is repeated at most so many times")
    on_empty_cell: Literal["error", "rake"] = Field(
        "error", description="what to do with a cell that has a share and no data"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="mixture_seed: which windows, in which order")

    @model_validator(mode="after")
    def _can_be_met(self) -> "MixtureSettings":
        for what in ("language", "category", "cells"):
            shares = getattr(self, what)
            if isinstance(shares, dict):
                share_out(shares, normalise=False, what=what)
        if self.cells is not None:
            _check_cells(self)
        if not isinstance(self.raw, str):
            _check_raw_groups(self.raw, self.sources)
        for kind, share in self._parts():
            if share != 0 and not any(source.kind == kind for source in self.sources):
                raise ValueError(f"{kind} data has a share of {render_number(share)} and no source: add one")
        _check_empty_cells(self)
        _check_weights(self)
        return self

    def _parts(self) -> list[tuple[str, Fraction]]:
        if isinstance(self.instruction, str):
            return []
        return [("instruction", self.instruction), ("raw", 1 - self.instruction)]


def _check_cells(settings: MixtureSettings) -> None:
    if settings.language != NATURAL or settings.category != NATURAL:
        raise ValueError("`cells` already says language and category: remove those axes")
    known = [f"{language}/{category}" for language in LANGUAGES for category in CATEGORIES]
    if strange := sorted(set(settings.cells or ()) - set(known)):
        raise ValueError(f"cells: unknown cell {', '.join(strange)}; allowed: {', '.join(known)}")


def _check_raw_groups(groups: tuple[RawGroup, ...], sources: tuple[MixtureSource, ...]) -> None:
    share_out({str(number): group.ratio for number, group in enumerate(groups)}, normalise=False, what="raw")
    named = [position for group in groups for position in group.sources]
    for position in named:
        if position >= len(sources) or sources[position].kind != "raw":
            raise ValueError(f"raw: position {position} of `sources` is no raw source")
    if len(named) != len(set(named)):
        raise ValueError("raw: a source stands in two groups: keep it in one")


def _check_empty_cells(settings: MixtureSettings) -> None:
    if settings.instruction == 0 or settings.on_empty_cell == "rake":
        return
    there = {source.cell for source in settings.sources if source.kind == "instruction"}
    for language, category in requested_cells(settings):
        label = f"{language or 'any language'}/{category or 'any category'}"
        pairs = (cell.split("/") for cell in there)
        if not any(language in (None, pair[0]) and category in (None, pair[1]) for pair in pairs):
            raise ValueError(
                f"cell {label} has a share and no source: add a source, set its share to 0, or set on_empty_cell: rake"
            )


def requested_cells(settings: MixtureSettings) -> list[tuple[str | None, str | None]]:
    """Cells that an explicit axis gives a share; None stands for a natural axis."""
    if settings.cells is not None:
        return [(cell.split("/")[0], cell.split("/")[1]) for cell, ratio in settings.cells.items() if ratio]
    if settings.language == NATURAL and settings.category == NATURAL:
        return []
    languages = [None] if isinstance(settings.language, str) else [k for k, v in settings.language.items() if v]
    categories = [None] if isinstance(settings.category, str) else [k for k, v in settings.category.items() if v]
    return [(language, category) for language in languages for category in categories]


def _check_weights(settings: MixtureSettings) -> None:
    group_of = {}
    if not isinstance(settings.raw, str):
        group_of = {at: f"raw group {number}" for number, group in enumerate(settings.raw) for at in group.sources}
    likes: dict[str, list[Fraction | Natural]] = {}
    for at, source in enumerate(settings.sources):
        name = group_of.get(at, "raw part") if source.kind == "raw" else f"cell {source.cell}"
        likes.setdefault(name, []).append(source.weight)
    for name, weights in likes.items():
        explicit = [weight for weight in weights if not isinstance(weight, str)]
        if explicit and len(explicit) < len(weights):
            raise ValueError(f"{name}: either every source has a weight or none: add the missing weights")
        if explicit and not any(explicit):
            raise ValueError(f"{name}: all weights are 0: give at least one a positive weight")

"""A mixture as a user writes it: sources by name, axes by ratios or weights."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.exact import Exact, Ratio, Weight
from mixlab.config.mixtures import (
    NATURAL,
    Budget,
    MixtureSettings,
    MixtureSource,
    Natural,
    RawGroup,
    share_out,
)
from mixlab.config.problems import did_you_mean
from mixlab.config.sources import CATEGORIES, LANGUAGES, SourceConfig


class Shares(Settings):
    """Shares of an axis: `ratios`, which must sum to 1, or `weights`, which normalise."""

    ratios: dict[str, Ratio] | None = Field(None, description="shares that sum to exactly 1")
    weights: dict[str, Weight] | None = Field(None, description="shares in proportion to these numbers")

    @model_validator(mode="after")
    def _one_of_both(self) -> "Shares":
        if (self.ratios is None) == (self.weights is None):
            raise ValueError("write either `ratios:` (sum to 1) or `weights:` (normalise)")
        self.normalised("shares")
        return self

    def normalised(self, what: str) -> dict[str, Fraction]:
        """Exact shares that sum to 1, zeros dropped."""
        if self.ratios is not None:
            return share_out(self.ratios, normalise=False, what=what)
        return share_out(self.weights or {}, normalise=True, what=what)

    def names(self) -> list[str]:
        """Every name given a share, zero shares included."""
        return sorted(self.ratios if self.ratios is not None else self.weights or {})


class MixtureConfig(Settings):
    """One mixture of a study; `mixture_seed` is an axis of the study and comes from there."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)] | dict[str, Weight] = Field(
        description="names of sources; or name: weight, the share among sources of the same cell or raw group"
    )
    instruction: Ratio | Natural = Field(NATURAL, description="share of instruction data in the budget")
    language: Shares | Natural = Field(NATURAL, description="shares of languages within the instruction part")
    category: Shares | Natural = Field(NATURAL, description="shares of categories within the instruction part")
    cells: Shares | None = Field(None, description="joint shares such as en/math, instead of language and category")
    raw: Shares | Natural = Field(NATURAL, description="shares of raw sources, or of raw_groups, in the raw part")
    raw_groups: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="name of a group to the raw sources in it, for use in `raw`"
    )
    budget: Budget = Field(description="how much to take: tokens, samples or epochs")
    max_epochs: Exact = Field(Fraction(1), gt=0, description="a source is repeated at most so many times")
    on_empty_cell: str = Field("error", pattern="^(error|rake)$", description="error, or rake to the nearest joint")

    @model_validator(mode="after")
    def _axis_names_are_known(self) -> "MixtureConfig":
        for what, allowed in (("language", LANGUAGES), ("category", CATEGORIES)):
            shares = getattr(self, what)
            if isinstance(shares, Shares):
                _check_names(what, shares.names(), allowed)
        if len(self.names()) != len(set(self.names())):
            raise ValueError("`sources` names a source twice: name each once")
        return self

    def names(self) -> tuple[str, ...]:
        """Names of the sources, sorted."""
        return tuple(sorted(self.sources))

    def used_names(self, declared: Mapping[str, SourceConfig]) -> tuple[str, ...]:
        """Names of the sources that can have a share, sorted; one without is no part of the mixture's identity.

        Raises ValueError, with a did-you-mean, for a name that is not declared.
        """
        _check_names("sources", self.names(), declared)
        weights = self.sources if isinstance(self.sources, dict) else {}
        raw = self._raw_names()
        return tuple(
            name
            for name in self.names()
            if weights.get(name) != 0
            and (name in raw if declared[name].kind == "raw" else self._teaches(declared[name]))
        )

    def _raw_names(self) -> set[str]:
        if self.instruction == 1:
            return set()
        if isinstance(self.raw, str):
            return set(self.names())
        shared = self.raw.normalised("raw")
        return {member for name in shared for member in self.raw_groups.get(name, (name,))}

    def _teaches(self, source: SourceConfig) -> bool:
        """Whether an instruction source lies in a cell with a share."""
        if self.instruction == 0:
            return False
        if self.cells is not None:
            return f"{source.language}/{source.category}" in self.cells.normalised("cells")
        axes = ((self.language, source.language), (self.category, source.category))
        return all(isinstance(axis, str) or label in axis.normalised("axis") for axis, label in axes)

    def to_settings(
        self, declared: Mapping[str, SourceConfig], seed: int, order: Sequence[str] | None = None
    ) -> MixtureSettings:
        """Replace names by labels and positions.

        `declared` maps the study's source names to their declarations; `order` puts `used_names` in the order of the
        packs (by key, so that renaming a source changes nothing). Raises ValueError, with a did-you-mean, for a
        source that is not declared or is a benchmark, and for shares that cannot be met.
        """
        used = self.used_names(declared)
        names = used if order is None else tuple(order)
        if sorted(names) != sorted(used):
            raise ValueError(f"order names {', '.join(names)}, the mixture uses {', '.join(used)}")
        weights = self.sources if isinstance(self.sources, dict) else {}
        return MixtureSettings(
            sources=tuple(_labels(name, declared[name], weights.get(name, NATURAL)) for name in names),
            instruction=self.instruction,
            language=NATURAL if self.instruction == 0 else _resolved(self.language, "language"),
            category=NATURAL if self.instruction == 0 else _resolved(self.category, "category"),
            cells=None if self.cells is None or self.instruction == 0 else self.cells.normalised("cells"),
            raw=self._raw_groups(names),
            budget=self.budget,
            max_epochs=self.max_epochs,
            on_empty_cell=self.on_empty_cell,
            seed=seed,
        )

    def _raw_groups(self, used: Sequence[str]) -> tuple[RawGroup, ...] | Natural:
        if isinstance(self.raw, str) or self.instruction == 1:
            return NATURAL
        _check_names("raw", self.raw.names(), [*self.names(), *self.raw_groups])
        groups = []
        for name, ratio in self.raw.normalised("raw").items():
            members = self.raw_groups.get(name, (name,))
            _check_names(f"raw_groups: {name}", members, self.names())
            positions = sorted(used.index(member) for member in members if member in used)
            groups.append(RawGroup(ratio=ratio, sources=tuple(positions)))
        return tuple(sorted(groups, key=lambda group: group.sources))


def _resolved(shares: Shares | Natural, what: str) -> Any:
    return shares if isinstance(shares, str) else shares.normalised(what)


def _labels(name: str, declared: SourceConfig, weight: Fraction | Natural) -> MixtureSource:
    if declared.kind == "benchmark" or declared.language is None:
        raise ValueError(f"sources: {name!r} is a benchmark; a mixture takes raw and instruction sources")
    return MixtureSource(kind=declared.kind, language=declared.language, category=declared.category, weight=weight)


def _check_names(what: str, got: Any, allowed: Any) -> None:
    for name in got:
        if name not in allowed:
            raise ValueError(
                f"{what}: unknown name {name!r}{did_you_mean(name, allowed)}; known: {', '.join(sorted(allowed))}"
            )

"""Shares as a user writes them: by ratios, weights or factors, for a mixture or for one of its phases."""

from fractions import Fraction
from typing import Self

from pydantic import Field, model_validator

from mixlab.config.axes import NATURAL, Natural, share_out
from mixlab.config.base import Settings, require_one
from mixlab.config.exact import Exact, Ratio, Weight
from mixlab.config.mixtures import Budget, Count


class Shares(Settings):
    """Shares of an axis: `ratios`, which must sum to 1, or `weights`, which normalise."""

    ratios: dict[str, Ratio] | None = Field(None, description="shares that sum to exactly 1")
    weights: dict[str, Weight] | None = Field(None, description="shares in proportion to these numbers")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
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


class RawShares(Settings):
    """Composition of the raw part: `ratios`, `weights`, or `factors` that multiply the populations."""

    ratios: dict[str, Ratio] | None = Field(None, description="shares of sources or raw_groups; they sum to exactly 1")
    weights: dict[str, Weight] | None = Field(None, description="shares in proportion to these numbers")
    factors: dict[str, Weight] | None = Field(
        None, description="upsampling factors: shares in proportion to population x factor; 1 where none is given"
    )

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(given is not None for given in (self.ratios, self.weights, self.factors)) != 1:
            raise ValueError("write one of `ratios:` (sum to 1), `weights:` (normalise) or `factors:` (upsample)")
        if self.factors is None:
            self.shares().normalised("shares")
        return self

    def shares(self) -> Shares:
        """The ratios or weights."""
        return Shares(ratios=self.ratios, weights=self.weights)

    def names(self) -> list[str]:
        """Every name given, zeros included."""
        given = self.ratios if self.ratios is not None else self.weights if self.weights is not None else self.factors
        return sorted(given or {})


class AxesConfig(Settings):
    """Shares as a user writes them."""

    instruction: Ratio | Natural = Field(NATURAL, description="share of instruction data in the budget")
    language: Shares | Natural = Field(NATURAL, description="shares of languages within the instruction part")
    category: Shares | Natural = Field(NATURAL, description="shares of categories within the instruction part")
    cells: Shares | None = Field(None, description="joint shares such as en/math, instead of language and category")
    raw: RawShares | Natural = Field(NATURAL, description="shares of raw sources, or of raw_groups, in the raw part")


class PhaseConfig(Settings):
    """From some place on, other shares; an axis that is left out stays as the mixture says."""

    from_step: Count | None = Field(None, description="first step with these shares; for budgets in steps")
    from_tokens: Count | None = Field(None, description="tokens that lie before it; for budgets in tokens")
    from_share: Exact | None = Field(None, gt=0, lt=1, description="share of the budget that lies before it")
    instruction: Ratio | Natural | None = Field(None, description="share of instruction data")
    language: Shares | Natural | None = Field(None, description="shares of languages within the instruction part")
    category: Shares | Natural | None = Field(None, description="shares of categories within the instruction part")
    cells: Shares | None = Field(None, description="joint shares, instead of language and category")
    raw: RawShares | Natural | None = Field(None, description="shares of raw sources or raw_groups in the raw part")

    @model_validator(mode="after")
    def _begins_once_and_changes(self) -> Self:
        require_one(self, "a phase begins at", "from_step", "from_tokens", "from_share")
        if self.cells is not None and not (self.language is None and self.category is None):
            raise ValueError("`cells` already says language and category: remove those axes")
        if all(getattr(self, name) is None for name in AxesConfig.model_fields):
            raise ValueError(f"a phase changes nothing: set one of {', '.join(AxesConfig.model_fields)}")
        return self

    def begin(self, budget: Budget) -> Fraction:
        """The share of the budget that lies before it.

        Raises ValueError when the budget has another unit, or ends earlier.
        """
        if self.from_share is not None:
            return self.from_share
        name, unit = ("from_step", "steps") if self.from_step is not None else ("from_tokens", "tokens")
        place, whole = self.from_step or self.from_tokens or 0, getattr(budget, unit)
        if whole is None:
            raise ValueError(f"phases: {name} needs a budget in {unit}; write from_share: the share before it")
        before = place - 1 if unit == "steps" else place
        if before == 0:
            raise ValueError(f"phases: {name} {place} is where the mixture itself begins: write its shares there")
        if not 0 < before < whole:
            raise ValueError(f"phases: {name} {place:,} lies outside of the budget of {whole:,} {unit}")
        return Fraction(before, whole)

    def over(self, axes: AxesConfig) -> AxesConfig:
        """The axes with this phase's changes laid over them."""
        changes = {name: getattr(self, name) for name in AxesConfig.model_fields if getattr(self, name) is not None}
        if "cells" in changes:
            changes |= {"language": NATURAL, "category": NATURAL}
        elif changes.keys() & {"language", "category"}:
            changes["cells"] = None
        kept = {name: getattr(axes, name) for name in AxesConfig.model_fields}
        return AxesConfig(**(kept | changes))

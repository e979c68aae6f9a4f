"""A mixture as a user writes it: sources by name, shares of axes, phases by step, tokens or share of the budget."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from mixlab.config.axes import (
    NATURAL,
    MixtureSource,
    Natural,
    RawFactor,
    RawFactors,
    RawGroup,
    render_number,
)
from mixlab.config.axes_config import AxesConfig, PhaseConfig, RawShares, Shares
from mixlab.config.base import added
from mixlab.config.exact import Exact, Weight, in_proportion
from mixlab.config.mixtures import Budget, MixtureSettings, Phase
from mixlab.config.problems import did_you_mean
from mixlab.config.sources import CATEGORIES, LANGUAGES, SourceConfig


class MixtureConfig(AxesConfig):
    """One mixture of a study; `mixture_seed` is an axis of the study and comes from there."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)] | dict[str, Weight] = Field(
        description="names of sources; or name: weight, the share among sources of the same cell or raw group"
    )
    raw_groups: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="name of a group to the raw sources in it, for use in `raw`"
    )
    budget: Budget = Field(description="how much to take: tokens, samples, epochs, windows, or steps of a global batch")
    max_epochs: Exact = Field(Fraction(1), gt=0, description="a source is repeated at most so many times")
    on_empty_cell: str = Field("error", pattern="^(error|rake)$", description="error, or rake to the nearest joint")
    phases: tuple[PhaseConfig, ...] = added((), description="other shares from given places of the budget on")

    @model_validator(mode="after")
    def _axis_names_are_known(self) -> Self:
        for axes in self._axes():
            for what, allowed in (("language", LANGUAGES), ("category", CATEGORIES)):
                shares = getattr(axes, what)
                if isinstance(shares, Shares):
                    _check_names(what, shares.names(), allowed)
        if len(self.names()) != len(set(self.names())):
            raise ValueError("`sources` names a source twice: name each once")
        for phase in self.phases:
            phase.begin(self.budget)
        return self

    def names(self) -> tuple[str, ...]:
        """Names of the sources, sorted."""
        return tuple(sorted(self.sources))

    def renamed(self, expansion: Mapping[str, tuple[str, ...]]) -> "MixtureConfig":
        """Put parts in the place of names: of a source to be labelled, of a pool.

        A name that `expansion` lacks stands for itself. Each part keeps the weight or factor of its name; a name
        with a raw share becomes a group. Raises ValueError when two names stand for one part.
        """
        if all(expansion.get(name, (name,)) == (name,) for name in self.all_names()):
            return self
        weights = self.sources if isinstance(self.sources, dict) else dict.fromkeys(self.sources)
        given = [self.raw, *(phase.raw for phase in self.phases)]
        raw = [one for one in given if isinstance(one, RawShares)]
        shared = {name for one in raw if one.factors is None for name in one.names()} - set(self.raw_groups)
        members = {name: (name,) for name in shared} | self.raw_groups
        groups = {
            name: tuple(sorted(_expanded(dict.fromkeys(of), expansion, f"raw_groups: {name}")))
            for name, of in members.items()
            if name in self.raw_groups or expansion.get(name, (name,)) != (name,)
        }
        sources = _expanded(weights, expansion, "sources")
        changes: dict[str, Any] = {
            "sources": sources if isinstance(self.sources, dict) else tuple(sources),
            "raw_groups": groups,
            "raw": _with_factors(self.raw, expansion),
            "phases": tuple(
                phase.model_copy(update={"raw": _with_factors(phase.raw, expansion)}) for phase in self.phases
            ),
        }
        return self.model_copy(update=changes)

    def all_names(self) -> frozenset[str]:
        """Every name that stands for sources: those of `names`, and those of the raw part that are no group's."""
        given = [self.raw, *(phase.raw for phase in self.phases)]
        shared = {name for one in given if isinstance(one, RawShares) for name in one.names()} - set(self.raw_groups)
        return frozenset({*self.sources, *shared, *(member for of in self.raw_groups.values() for member in of)})

    def used_names(self, declared: Mapping[str, SourceConfig]) -> tuple[str, ...]:
        """Names of the sources that can have a share, sorted; one without is no part of the mixture's identity.

        Raises ValueError, with a did-you-mean, for a name that is not declared.
        """
        _check_names("sources", self.names(), declared)
        weights = self.sources if isinstance(self.sources, dict) else {}
        names = [name for name in self.names() if weights.get(name) != 0]
        return tuple(name for name in names if any(self._feeds(axes, name, declared[name]) for axes in self._axes()))

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
        own, *later = self._axes()
        for axes in (own, *later):
            self._check_raw(axes, declared)
        begins = [phase.begin(self.budget) for phase in self.phases]
        return MixtureSettings(
            sources=_in_proportion([_labels(name, declared[name], weights.get(name, NATURAL)) for name in names]),
            **self._resolved(own, names),
            budget=self.budget.settled(),
            max_epochs=self.max_epochs,
            on_empty_cell=self.on_empty_cell,
            seed=seed,
            phases=tuple(
                Phase(begin=begin, **self._resolved(axes, names)) for begin, axes in zip(begins, later, strict=True)
            ),
        )

    def _axes(self) -> list[AxesConfig]:
        return [self, *(phase.over(self) for phase in self.phases)]

    def _feeds(self, axes: AxesConfig, name: str, source: SourceConfig) -> bool:
        """Whether a source can have a share."""
        if source.kind == "raw":
            return axes.instruction != 1 and name in self._raw_names(axes)
        if axes.instruction == 0:
            return False
        if axes.cells is not None:
            return f"{source.language}/{source.category}" in axes.cells.normalised("cells")
        both = ((axes.language, source.language), (axes.category, source.category))
        return all(isinstance(axis, str) or label in axis.normalised("axis") for axis, label in both)

    def _raw_names(self, axes: AxesConfig) -> set[str]:
        if isinstance(axes.raw, str):
            return set(self.names())
        if axes.raw.factors is not None:
            return {name for name in self.names() if axes.raw.factors.get(name) != 0}
        shared = axes.raw.shares().normalised("raw")
        return {member for name in shared for member in self.raw_groups.get(name, (name,))}

    def _check_raw(self, axes: AxesConfig, declared: Mapping[str, SourceConfig]) -> None:
        given = [] if isinstance(axes.raw, str) else axes.raw.names()
        for name in (member for one in given for member in self.raw_groups.get(one, (one,))):
            if name in declared and declared[name].kind != "raw":
                raise ValueError(f"raw: {name!r} is no raw source but {declared[name].kind} data; leave it out")

    def _resolved(self, axes: AxesConfig, names: Sequence[str]) -> dict[str, Any]:
        """The fields of `Axes`, by positions; an axis of a part without a share says nothing."""
        teaches = axes.instruction != 0
        resolved = {
            "instruction": axes.instruction,
            "language": axes.language.normalised("language") if isinstance(axes.language, Shares) else NATURAL,
            "category": axes.category.normalised("category") if isinstance(axes.category, Shares) else NATURAL,
            "cells": None if axes.cells is None else axes.cells.normalised("cells"),
            "raw": self._raw(axes, names),
        }
        return resolved if teaches else resolved | {"language": NATURAL, "category": NATURAL, "cells": None}

    def _raw(self, axes: AxesConfig, used: Sequence[str]) -> tuple[RawGroup, ...] | RawFactors | Natural:
        raw = axes.raw
        if isinstance(raw, str) or axes.instruction == 1:
            return NATURAL
        if raw.factors is not None:
            _check_names("raw: factors", raw.names(), self.names())
            factors = {used.index(name): factor for name, factor in raw.factors.items() if name in used and factor != 1}
            made = tuple(RawFactor(source=at, factor=factor) for at, factor in sorted(factors.items()))
            return RawFactors(factors=made) if made else NATURAL
        _check_names("raw", raw.names(), [*self.names(), *self.raw_groups])
        groups = []
        for name, ratio in raw.shares().normalised("raw").items():
            members = self.raw_groups.get(name, (name,))
            _check_names(f"raw_groups: {name}", members, self.names())
            positions = sorted(used.index(member) for member in members if member in used)
            if not positions:
                raise ValueError(f"raw: {name} has a share of {render_number(ratio)}, but its sources have weight 0")
            groups.append(RawGroup(ratio=ratio, sources=tuple(positions)))
        return tuple(sorted(groups, key=lambda group: group.sources))


def _expanded(weights: Mapping[str, Any], expansion: Mapping[str, tuple[str, ...]], what: str) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    stands_for: dict[str, str] = {}
    for name, weight in weights.items():
        for part in expansion.get(name, (name,)):
            if part in parts:
                raise ValueError(f"{what}: {stands_for[part]!r} and {name!r} both hold {part!r}: keep it in one")
            parts[part], stands_for[part] = weight, name
    return parts


def _with_factors(raw: Any, expansion: Mapping[str, tuple[str, ...]]) -> Any:
    if not isinstance(raw, RawShares) or raw.factors is None:
        return raw
    return RawShares(factors=_expanded(raw.factors, expansion, "raw: factors"))


def _labels(name: str, declared: SourceConfig, weight: Fraction | Natural) -> MixtureSource:
    if declared.kind == "benchmark" or declared.language is None:
        raise ValueError(f"sources: {name!r} is a benchmark; a mixture takes raw and instruction sources")
    return MixtureSource(kind=declared.kind, language=declared.language, category=declared.category, weight=weight)


def _in_proportion(sources: Sequence[MixtureSource]) -> tuple[MixtureSource, ...]:
    """Write the weights of each cell, and of the raw part, as the smallest whole numbers of the same proportion."""
    likes: dict[str, dict[int, Fraction]] = {}
    for at, source in enumerate(sources):
        if not isinstance(source.weight, str):
            likes.setdefault(source.label if source.kind == "instruction" else "raw", {})[at] = source.weight
    settled = list(sources)
    for weights in likes.values():
        for at, weight in zip(weights, in_proportion(weights.values()), strict=True):
            settled[at] = sources[at].model_copy(update={"weight": weight})
    return tuple(settled)


def _check_names(what: str, got: Any, allowed: Any) -> None:
    for name in got:
        if name not in allowed:
            raise ValueError(
                f"{what}: unknown name {name!r}{did_you_mean(name, allowed)}; known: {', '.join(sorted(allowed))}"
            )

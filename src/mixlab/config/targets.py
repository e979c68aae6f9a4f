"""Targets: the tables and figures that a study is to give, each under a name, with what its error bars are."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mixlab.config.analysis import Key, Name, Selection, Stage
from mixlab.config.base import Settings, added

Axis = Literal["variant", "base_model", "stage", "measure"]
"""What the rows and columns of a target can be."""
Counter = Literal["mixture_seed", "ipt_seed", "sft_seed", "generation_seed", "judge_run"]
"""What an error bar can be over."""
Labels = dict[str, str]
TargetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,59}$")]
"""Name of a target, and of its files."""

_ITEMS = re.compile(r"([0-9]+)-([0-9]+)|[^\s].*")
MOST_ITEMS = 100_000
NO_POINT = "no such point"
"""State of a cell that the study does not have, because the variant is not for that base model."""


class ErrorBar(Settings):
    """The definition of an error bar: values of these counters, all else averaged first, and what is told of them."""

    what: Literal["sd", "se"] = Field(default="sd", description="sd: sample deviation (n - 1); se: sd / sqrt(n)")
    over: tuple[Counter, ...] = Field(
        default=("sft_seed", "judge_run"), min_length=1, description="one value for each combination of these"
    )


class TargetMeasure(Selection):
    """One number of a model: a mean over benchmarks of one measure, or over some of their items."""

    label: Name = Field(description="heading of the row or column")
    items: tuple[Name, ...] = Field(
        default=(), description="ids of items, or stretches of numbers such as 111-120; empty: all items"
    )

    @model_validator(mode="after")
    def _stretches_go_up(self) -> Self:
        for text in self.items:
            match = _ITEMS.fullmatch(text)
            if match and match[1] and not 0 <= int(match[2]) - int(match[1]) < MOST_ITEMS:
                raise ValueError(f"items: {text!r} is no stretch of numbers; write it as 111-120, the lower one first")
        return self

    def item_ids(self) -> frozenset[str] | None:
        """The ids that count, None for all."""
        if not self.items:
            return None
        found: set[str] = set()
        for text in self.items:
            match = _ITEMS.fullmatch(text)
            is_stretch = match is not None and match[1]
            found |= {str(one) for one in range(int(match[1]), int(match[2]) + 1)} if match and is_stretch else {text}
        return frozenset(found)


class PublishedLabels(Settings):
    """By which labels the published table names what this target shows, for `mixlab compare`.

    What is left out is called as here: a variant `config`, a base model `model`.
    """

    table: str = Field(pattern=r"^[0-9]{2}$", description="number of the published table, as two digits")
    variants: dict[Name, Labels] = Field(default_factory=dict, description="label of a variant -> column: value")
    base_models: dict[Name, Labels] = Field(default_factory=dict, description="name of a base model -> column: value")
    stages: dict[Stage, Labels] = Field(default_factory=dict, description="stage -> column: value")
    measures: dict[Name, Labels] = Field(default_factory=dict, description="label of a measure -> column: value")


class FigureConfig(Settings):
    """How a target is drawn: a panel for each measure, a line with error bars for each base model."""

    x: dict[Name, float] = Field(min_length=2, description="variant -> its place on the horizontal axis")
    x_label: Name = Field(description="what the horizontal axis is")
    y_label: Name = Field(description="what the vertical axis is")


class _Target(Settings):
    of: Name = Field(description="what it is in the publication: Table 3")
    title: Name = Field(description="its heading")
    note: str = Field(default="", description="one sentence below it")
    published: PublishedLabels | None = Field(default=None, description="the published numbers it stands beside")


class ScoreTarget(_Target):
    """A table of scores, or a figure with its table: rows by columns, each an axis or several, nested."""

    type: Literal["scores"] = "scores"
    rows: tuple[Axis, ...] = Field(min_length=1, description="axes of the rows, the outermost first")
    columns: tuple[Axis, ...] = Field(min_length=1, description="axes of the columns, the outermost first")
    variants: tuple[Name, ...] = Field(default=(), description="labels in order; empty: all, as the study lists them")
    base_models: tuple[Name, ...] = Field(default=(), description="names in order; empty: all, as the study lists them")
    stages: tuple[Stage, ...] = Field(default=("after_sft",), min_length=1, description="before or after SFT")
    measures: tuple[TargetMeasure, ...] = Field(min_length=1, description="what is measured")
    error: ErrorBar = Field(default_factory=ErrorBar, description="what stands behind ±")
    against: Name | None = Field(default=None, description="variant that differences are to; absent: none are shown")
    gain: Literal["of_averages", "average_of"] | None = Field(
        default=None,
        description="relative gain from before to after SFT, in percent: of the averages over base models, or the "
        "average of their gains; absent: none is shown",
    )
    figure: FigureConfig | None = Field(default=None, description="how it is drawn; absent: a table alone")

    @model_validator(mode="after")
    def _every_axis_has_one_place(self) -> Self:
        axes = (*self.rows, *self.columns)
        if len(set(axes)) != len(axes):
            raise ValueError(f"{', '.join(axes)}: an axis stands in rows or in columns, and once")
        for axis, entries in (("variant", self.variants), ("stage", self.stages), ("measure", self.measures)):
            if axis not in axes and len(entries) != 1:
                raise ValueError(f"neither rows nor columns have the axis `{axis}`: name one of them alone")
        if len({one.label for one in self.measures}) != len(self.measures):
            raise ValueError("measures: two have one label; labels must differ")
        if self.gain is not None and self.stages != ("after_sft",):
            raise ValueError("a gain goes from before to after SFT: write `stages: [after_sft]`")
        return self


class CountsTarget(_Target):
    """A table of samples and tokens of the study's data, as `mixlab counts` shows it."""

    type: Literal["counts"]
    table: Literal["table1", "table2", "table13"] = Field(description="which of the tables of counts")


class RawTarget(_Target):
    """Raw corpora: tokens that are there, tokens taken, shares of the raw part, from the certificate of one mixture."""

    type: Literal["raw"]
    variant: Name = Field(description="label of the variant")
    base_model: Name = Field(description="name of the base model")


class DrawnTarget(_Target):
    """The data that SFT draws: samples and tokens of responses by language and category, from its certificate."""

    type: Literal["drawn"]


def _is_of_scores_unless_said(value: Any) -> Any:
    return {"type": "scores", **value} if isinstance(value, Mapping) and "type" not in value else value


AnyTarget = ScoreTarget | CountsTarget | RawTarget | DrawnTarget

TargetConfig = Annotated[
    AnyTarget,
    Field(discriminator="type"),
    BeforeValidator(_is_of_scores_unless_said),
]
"""A target as a user writes it; without `type` it is one of scores."""


class TargetPoint(Settings):
    """One point of the study as a target knows it."""

    variant: Name = Field(description="label of the variant")
    base_model: Name = Field(description="name of the base model")
    variant_key: Key = Field(description="identity of the point")
    mixture_key: Key = Field(description="key of its mixture, of the first mixture_seed")


class TargetSettings(Settings):
    """A target with what the report needs to find its numbers."""

    name: Name = Field(description="name of its files")
    target: Annotated[AnyTarget, Field(discriminator="type")]
    points: tuple[TargetPoint, ...] = Field(default=(), description="the points that it shows")
    seeds: dict[Counter, int] = Field(default_factory=dict, description="how many of each counter the study asks for")
    benchmarks: dict[Name, tuple[Name, ...]] = added(
        {}, description="label of a measure -> what it averages, of the benchmarks that the study declares"
    )

    def variants(self) -> list[str]:
        """Labels of variants in the order of display."""
        asked = self.target.variants if isinstance(self.target, ScoreTarget) else ()
        return list(asked) or list(dict.fromkeys(point.variant for point in self.points))

    def base_models(self) -> list[str]:
        """Names of base models in the order of display."""
        asked = self.target.base_models if isinstance(self.target, ScoreTarget) else ()
        return list(asked) or list(dict.fromkeys(point.base_model for point in self.points))

    def find(self, variant: str, base_model: str) -> TargetPoint | None:
        """The point of a variant on a base model; None where the study has none."""
        same = (one for one in self.points if (one.variant, one.base_model) == (variant, base_model))
        return next(same, None)


def list_names(target: AnyTarget) -> list[tuple[str, Sequence[str], Sequence[str]]]:
    """Address, variants and base models of every place of a target that names some."""
    if isinstance(target, RawTarget):
        return [("variant", [target.variant], []), ("base_model", [], [target.base_model])]
    if isinstance(target, CountsTarget | DrawnTarget):
        return []
    found: list[tuple[str, Sequence[str], Sequence[str]]] = [
        ("variants", target.variants, []),
        ("base_models", [], target.base_models),
        ("against", [target.against] if target.against is not None else [], []),
    ]
    if target.figure is not None:
        found.append(("figure.x", list(target.figure.x), []))
    return found

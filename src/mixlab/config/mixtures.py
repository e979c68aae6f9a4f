"""What decides a mixture: sources, the shares of its axes and phases, its budget and its seed."""

from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mixlab.config.axes import NATURAL as NATURAL
from mixlab.config.axes import Axes, MixtureSource, list_axis_problems
from mixlab.config.axes import Natural as Natural
from mixlab.config.axes import RawFactor as RawFactor
from mixlab.config.axes import RawFactors as RawFactors
from mixlab.config.axes import RawGroup as RawGroup
from mixlab.config.axes import render_number as render_number
from mixlab.config.axes import share_out as share_out
from mixlab.config.base import Settings, added, require_one
from mixlab.config.exact import Exact, Weight, parse_exact


def _whole(value: Any) -> int:
    number = parse_exact(value)
    if number.denominator != 1:
        raise ValueError(f"expected a whole number, got {value!r}")
    return int(number)


Count = Annotated[int, BeforeValidator(_whole), Field(gt=0)]
"""A positive whole number, which may be written 600000, 6e5 or 600_000."""


class Budget(Settings):
    """How much a mixture takes, in exactly one unit; shares count real tokens, except with `samples`."""

    tokens: Count | None = Field(None, description="real tokens")
    samples: Count | None = Field(None, description="windows of sources packed one_per_window; shares count windows")
    epochs: Weight | None = Field(None, description="times all tokens of the sources that have a share")
    windows: Count | None = added(None, description="windows of any layout; shares count their real tokens")
    steps: Count | None = added(None, description="optimizer steps, each of `global_batch_windows` windows")
    global_batch_windows: Count | None = added(None, description="windows of one step; goes with `steps`")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        require_one(self, "a budget is", "tokens", "samples", "epochs", "windows", "steps")
        if (self.steps is None) != (self.global_batch_windows is None):
            raise ValueError("`steps` and `global_batch_windows` go together: set both or none")
        if self.epochs == 0:
            raise ValueError("a budget of 0 epochs takes nothing: give a positive number")
        return self

    @property
    def unit(self) -> Literal["tokens", "windows"]:
        """What shares count."""
        return "windows" if self.samples is not None else "tokens"

    def settled(self) -> "Budget":
        """The same budget without a trainer's words: steps x global batch are windows."""
        if self.steps is None or self.global_batch_windows is None:
            return self
        return Budget(windows=self.steps * self.global_batch_windows)


class Phase(Axes):
    """Other shares from some place of the budget on."""

    begin: Exact = Field(gt=0, lt=1, description="share of the budget that lies before it")


class MixtureSettings(Axes):
    """Everything that decides which windows a mixture holds, and in which order."""

    sources: tuple[MixtureSource, ...] = Field(min_length=1, description="labels, in the order of the packs")
    budget: Budget = Field(description="how much to take")
    max_epochs: Exact = Field(Fraction(1), gt=0, description="a source is repeated at most so many times")
    on_empty_cell: Literal["error", "rake"] = Field(
        "error", description="what to do with a cell that has a share and no data"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="mixture_seed: which windows, in which order")
    phases: tuple[Phase, ...] = added((), description="shares that replace the axes later on, in order")

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if any((source.category is None) != (source.kind == "raw") for source in self.sources):
            raise ValueError("an instruction source has a category, a raw source has none")
        begins = [phase.begin for phase in self.phases]
        if sorted(set(begins)) != begins:
            raise ValueError("phases: each begins later than the one before it")
        problems = list_axis_problems(self, self.sources, self.on_empty_cell)
        for number, phase in enumerate(self.phases, 1):
            found = list_axis_problems(phase, self.sources, self.on_empty_cell)
            problems += [f"phases[{number - 1}]: {problem}" for problem in found if problem not in problems]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def stretches(self) -> list[tuple[Fraction, Fraction, Axes]]:
        """Axes with the shares of the budget between which they hold: the mixture's own, then each phase's."""
        axes: list[Axes] = [self, *self.phases]
        borders = [Fraction(), *(phase.begin for phase in self.phases), Fraction(1)]
        return [(borders[at], borders[at + 1], one) for at, one in enumerate(axes)]

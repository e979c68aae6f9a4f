"""Whether sources have what a mixture needs of them, and the smallest changes by which they would."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixlab.config.axes import render_number
from mixlab.config.mixtures import Budget, MixtureSettings
from mixlab.config.problems import DataError, Problem

LARGEST_WINDOWS = 1_000_000_000
"""Most windows of a mixture: the paper's 25,000 x 1,024 are 25.6 million."""
_ATTEMPTS = 12


@dataclass(frozen=True)
class Demand:
    """What is asked of each source and what there is, in units of the budget; `windows` of each in its population."""

    names: Sequence[str]
    requested: Sequence[int]
    population: Sequence[int]
    windows: Sequence[int]

    @property
    def budget(self) -> int:
        """Units asked for in all."""
        return sum(self.requested)

    def expected_windows(self) -> int:
        """About how many windows that takes."""
        columns = zip(self.requested, self.population, self.windows, strict=True)
        return sum(units * windows // there for units, there, windows in columns if there)


Fits = Callable[[Budget], bool]
"""Whether the mixture could be had with another budget."""


def find_needy(settings: MixtureSettings, demand: Demand) -> dict[int, int]:
    """Sources that would be repeated more than max_epochs times, with the units that are asked of them."""
    return {
        at: units
        for at, (units, there) in enumerate(zip(demand.requested, demand.population, strict=True))
        if units > there * settings.max_epochs
    }


def check_size(settings: MixtureSettings, demand: Demand) -> None:
    """Raise DataError when the mixture has too many windows to be put in order, whatever sources lack beside it."""
    expected = demand.expected_windows()
    if expected <= LARGEST_WINDOWS:
        return
    smaller = scale_budget(settings.budget, Fraction(LARGEST_WINDOWS, expected + 1))
    needy = find_needy(settings, demand)
    raise DataError(
        [
            *(_describe(settings, demand, at, units) for at, units in needy.items()),
            Problem(
                f"budget: takes about {expected:,} windows; the largest mixture has {LARGEST_WINDOWS:,}; lower the "
                f"budget to {render_budget(smaller)}, or use longer windows"
            ),
        ]
    )


def build_refusal(settings: MixtureSettings, demand: Demand, needy: Mapping[int, int], fits: Fits) -> DataError:
    """Return an error about sources that are asked for too much.

    Each is a problem, with what it needs, has, and the share that it could have; a last one names a budget and a
    max_epochs, either of which makes all of the mixture feasible.
    """
    problems = [_describe(settings, demand, at, units) for at, units in needy.items()]
    epochs = max(_needed_epochs(demand, at, units) for at, units in needy.items())
    cures = [f"set max_epochs: {render_number(epochs)}"]
    room = min(demand.population[at] * settings.max_epochs / units for at, units in needy.items())
    lower = _lower_budget(settings.budget, room, fits)
    if lower is not None:
        cures.insert(0, f"lower the budget to {render_budget(lower)}")
    return DataError([*problems, Problem(f"to make all of it feasible, {', or '.join(cures)}")])


def _describe(settings: MixtureSettings, demand: Demand, at: int, needs: int) -> Problem:
    has = demand.population[at]
    unit = "samples" if settings.budget.unit == "windows" else "tokens"
    share, possible = Fraction(needs, demand.budget), has * settings.max_epochs / demand.budget
    return Problem(
        f"source {demand.names[at]!r} ({settings.sources[at].label}): needs {needs:,} {unit}, has {has:,} (max_epochs "
        f"{render_number(settings.max_epochs)}); lower its share of the budget from {float(share):.6%} to at most "
        f"{int(possible * 10**8) / 10**6:.6f}%, or set max_epochs >= {render_number(_needed_epochs(demand, at, needs))}"
    )


def _needed_epochs(demand: Demand, at: int, units: int) -> Fraction:
    """The least max_epochs, in hundredths."""
    return Fraction(-(-units * 100 // demand.population[at]), 100)


def _lower_budget(budget: Budget, room: Fraction, fits: Fits) -> Budget | None:
    """The largest budget found that fits; None when even little does not."""
    for _ in range(_ATTEMPTS):
        try:
            lower = scale_budget(budget, room)
        except ValueError:
            return None
        if fits(lower):
            return lower
        room *= Fraction(999, 1000)
    return None


def scale_budget(budget: Budget, factor: Fraction) -> Budget:
    """The same kind of budget times `factor`, rounded down; raises ValueError when nothing is left."""
    for name in ("tokens", "samples", "windows"):
        if (amount := getattr(budget, name)) is not None:
            return Budget(**{name: int(amount * factor)})
    return Budget(epochs=Fraction(int((budget.epochs or 0) * factor * 10**6), 10**6))


def render_budget(budget: Budget) -> str:
    """Render a budget as a message says it."""
    if budget.epochs is not None:
        return f"epochs: {render_number(budget.epochs)}"
    unit = next(name for name in ("tokens", "samples", "windows") if getattr(budget, name) is not None)
    return f"{getattr(budget, unit):,} {unit}"

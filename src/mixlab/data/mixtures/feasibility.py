"""Whether sources have what a mixture needs of them, and the smallest changes by which they would."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixlab.config.axes import render_number
from mixlab.config.mixtures import Budget, MixtureSettings
from mixlab.config.problems import DataError, Problem

LARGEST_WINDOWS = 1_000_000_000
"""Most windows of a mixture: the paper's 25,000 x 1,024 are 25.6 million."""
_BELOW = [1 - Fraction(1 << step, 1000) for step in range(9)] + [Fraction(1, 1 << step) for step in range(1, 60)]
_ABOVE = [Fraction(tenths, 10) for tenths in (11, 12, 15, 20, 30)]
"""Factors of a budget that are tried, where the shares alone leave room for 1.

Windows are whole and sources take turns, so that it may be a little less, and of few windows more.
"""
_BISECTIONS = 6


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


def check_size(settings: MixtureSettings, demand: Demand, fits: Fits | None) -> None:
    """Raise DataError when the mixture has too many windows to be put in order.

    The error names a budget that is small enough and that the sources have, where there is one. `fits` is None where
    to know it would take ordering so many windows: then the budget named is the most that may do.
    """
    expected = demand.expected_windows()
    if expected <= LARGEST_WINDOWS:
        return
    needy = find_needy(settings, demand)
    room = min(_room(settings, demand, needy), Fraction(LARGEST_WINDOWS, expected + 1))
    at_most = "" if fits else "at most "
    lower = _lower_budget(settings.budget, room, fits or (lambda budget: True))
    cures = ["use longer windows"] if not needy else []
    if lower is not None:
        cures.insert(0, f"lower the budget to {at_most}{render_budget(lower)}")
    cure = f"; {', or '.join(cures)}" if cures else "; no budget makes it feasible: change its shares or add data"
    told = f"budget: takes about {expected:,} windows; the largest mixture has {LARGEST_WINDOWS:,}{cure}"
    raise DataError([*(Problem(_describe(settings, demand, at, units)) for at, units in needy.items()), Problem(told)])


def build_refusal(settings: MixtureSettings, demand: Demand, needy: Mapping[int, int], fits: Fits) -> DataError:
    """Return an error about sources that are asked for too much.

    Each is a problem, with what it needs, has, and the share that it could have; a last one names a budget and a
    max_epochs, either of which makes all of the mixture feasible.
    """
    problems = [Problem(_describe(settings, demand, at, units, cured=True)) for at, units in needy.items()]
    epochs = max(_needed_epochs(demand, at, units) for at, units in needy.items())
    cures = [f"set max_epochs: {render_number(epochs)}"]
    lower = _lower_budget(settings.budget, _room(settings, demand, needy), fits)
    if lower is not None:
        cures.insert(0, f"lower the budget to {render_budget(lower)}")
    return DataError([*problems, Problem(f"to make all of it feasible, {', or '.join(cures)}")])


def _room(settings: MixtureSettings, demand: Demand, needy: Mapping[int, int]) -> Fraction:
    """Which part of the budget its neediest source has data for."""
    return min(
        (demand.population[at] * settings.max_epochs / units for at, units in needy.items()), default=Fraction(1)
    )


def _describe(settings: MixtureSettings, demand: Demand, at: int, needs: int, *, cured: bool = False) -> str:
    """Say what a source lacks; `cured`: and what would mend it by itself."""
    has = demand.population[at]
    unit = "samples" if settings.budget.unit == "windows" else "tokens"
    told = (
        f"source {demand.names[at]!r} ({settings.sources[at].label}): needs {needs:,} {unit}, has {has:,} (max_epochs "
        f"{render_number(settings.max_epochs)})"
    )
    if not cured:
        return told
    cure = f"set max_epochs >= {render_number(_needed_epochs(demand, at, needs))}"
    share, millionths = Fraction(needs, demand.budget), int(has * settings.max_epochs / demand.budget * 10**8)
    if millionths:
        cure = f"lower its share of the budget from {float(share):.6%} to at most {millionths / 10**6:.6f}%, or {cure}"
    return f"{told}; {cure}"


def _needed_epochs(demand: Demand, at: int, units: int) -> Fraction:
    """The least max_epochs, in hundredths."""
    return Fraction(-(-units * 100 // demand.population[at]), 100)


def _lower_budget(budget: Budget, room: Fraction, fits: Fits) -> Budget | None:
    """The largest budget found that fits; None where none was found, down to nothing."""
    too_large = room
    for factor in (Fraction(1), *_BELOW, *_ABOVE):
        lower = _try_budget(budget, room * factor, fits)
        if lower is not None:
            return _raise_budget(budget, lower, (room * factor, too_large), fits) if factor < _BELOW[0] else lower
        too_large = room * factor
    return None


def _raise_budget(budget: Budget, lower: Budget, between: tuple[Fraction, Fraction], fits: Fits) -> Budget:
    """Halve the gap between a factor that fits and one that does not, a few times."""
    low, high = between
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        found = _try_budget(budget, middle, fits)
        lower, low, high = (lower, low, middle) if found is None else (found, middle, high)
    return lower


def _try_budget(budget: Budget, factor: Fraction, fits: Fits) -> Budget | None:
    """The budget times `factor`, if it is less, and something, and fits."""
    if factor >= 1:
        return None
    try:
        lower = scale_budget(budget, factor)
    except ValueError:
        return None
    return lower if fits(lower) else None


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

"""What each phase of a mixture asks of each source, in whole units of the budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixlab.config.mixtures import Budget, MixtureSettings
from mixlab.config.problems import DataError, Problem
from mixlab.data.mixtures.shares import Composition, allocate, build_composition
from mixlab.data.packs.pack import Pack


@dataclass(frozen=True)
class Stretch:
    """One phase: its share of the budget, what it asks of each source, and where it ends.

    `windows` is how many windows it has when the budget says so; else it ends once `until` units of the whole mixture
    are reached.
    """

    composition: Composition
    share: Fraction
    requested: tuple[int, ...]
    windows: int | None
    until: int


def count_population(settings: MixtureSettings, packs: Sequence[Pack]) -> list[int]:
    """What each source has, in units of the budget."""
    return [pack.windows if settings.budget.unit == "windows" else pack.tokens for pack in packs]


def build_compositions(
    settings: MixtureSettings, packs: Sequence[Pack], names: Sequence[str]
) -> list[tuple[Fraction, Fraction, Composition]]:
    """Work out the shares of every phase, with the shares of the budget between which they hold.

    Raises DataError with all shares that have no data, in all phases.
    """
    population = count_population(settings, packs)
    compositions, problems = [], []
    for number, (begin, end, axes) in enumerate(settings.stretches()):
        try:
            compositions.append((begin, end, build_composition(settings, population, axes, names)))
        except DataError as error:
            where = f"phases[{number - 1}]: " if number else ""
            problems += [Problem(f"{where}{problem.message}") for problem in error.problems]
    if problems:
        raise DataError([*problems, *_list_dropped(packs, names)])
    return compositions


def _list_dropped(packs: Sequence[Pack], names: Sequence[str]) -> list[Problem]:
    """Say which sources have no window because of what packing dropped."""
    return [
        Problem(
            f"source {name!r} has no window: {pack.index['dropped']:,} documents have no response token within "
            f"{pack.sequence_tokens:,} tokens; raise sequence_tokens"
        )
        for name, pack in zip(names, packs, strict=True)
        if not pack.windows and pack.index["dropped"]
    ]


def plan_stretches(
    settings: MixtureSettings,
    packs: Sequence[Pack],
    compositions: Sequence[tuple[Fraction, Fraction, Composition]],
    budget: Budget,
) -> list[Stretch]:
    """Share a budget out; raises DataError when a phase gets nothing of it."""
    population = count_population(settings, packs)
    used = [at for at in range(len(packs)) if any(one.sources[at] for *_, one in compositions)]
    there = sum(population[at] for at in used)
    stretches = []
    for begin, end, one in compositions:
        windows, units, until = _measure(budget, packs, there, begin, end, one)
        if not units or windows == 0:
            raise DataError(f"the budget leaves no window for the phase from {float(begin):.4%} on: raise it")
        stretches.append(Stretch(one, end - begin, tuple(allocate(units, one.sources)), windows, until))
    return stretches


def _measure(
    budget: Budget, packs: Sequence[Pack], there: int, begin: Fraction, end: Fraction, one: Composition
) -> tuple[int | None, int, int]:
    """Windows of a phase if they are given, its units, and the units at its end."""
    if budget.windows is None:
        whole = int(budget.epochs * there) if budget.epochs is not None else budget.tokens or budget.samples or 0
        return None, int(end * whole) - int(begin * whole), int(end * whole)
    windows = int(end * budget.windows) - int(begin * budget.windows)
    # An average window has the harmonic mean of the sources' own tokens a window.
    spread = sum(
        (share * pack.windows / pack.tokens for share, pack in zip(one.sources, packs, strict=True) if share),
        Fraction(),
    )
    return windows, int(windows / spread), 0

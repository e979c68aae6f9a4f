"""From the axes of a mixture to the exact share of every source: pure, fractions throughout."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from mixlab.config.axes import Axes, RawFactors
from mixlab.config.mixtures import MixtureSettings, render_number
from mixlab.config.problems import DataError, Problem

Shares = dict[str, Fraction]
_RAKE_ROUNDS = 20_000
_RAKE_ENOUGH = 1e-13
_RAKE_DIGITS = 10**12
_EMPTY_CURE = "add a source or set its share to 0"


@dataclass(frozen=True)
class Composition:
    """What a mixture shall consist of.

    `sources`: share of each source in the budget; they sum to 1. `requested_cells` and `cells`: joint shares of
    the instruction part as asked for and as they can be had; they differ after raking only.
    """

    sources: tuple[Fraction, ...]
    requested_cells: Shares
    cells: Shares


def allocate(budget: int, ratios: Sequence[Fraction]) -> list[int]:
    """Split `budget` in whole units by largest remainder (Hamilton), ties to the earlier; sums to `budget`.

    `ratios` sum to 1. https://en.wikipedia.org/wiki/Quota_method#Hamilton
    """
    if sum(ratios, Fraction()) != 1:
        raise ValueError(f"ratios sum to {sum(ratios, Fraction())}, not 1")
    quotas = [budget * ratio for ratio in ratios]
    units = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda at: (units[at] - quotas[at], at))
    for at in by_remainder[: budget - sum(units)]:
        units[at] += 1
    return units


def build_composition(
    settings: MixtureSettings, population: Sequence[int], axes: Axes | None = None, names: Sequence[str] | None = None
) -> Composition:
    """Work out the share of every source; `population` is what each source has, in units of the budget.

    `axes` are those of a phase, the mixture's own where absent; `names` of the sources stand in errors. Raises
    DataError with every cell, group or part that has a share and no data.
    """
    axes = settings if axes is None else axes
    names = [f"number {at}" for at in range(len(population))] if names is None else names
    if not any(population):
        raise DataError("no source of this mixture has any data")
    of_kind = {
        kind: [at for at, source in enumerate(settings.sources) if source.kind == kind]
        for kind in ("instruction", "raw")
    }
    natural = _natural_weights(settings, axes, population)
    there = {kind: sum((natural[at] for at in places), Fraction()) for kind, places in of_kind.items()}
    instruction = _instruction_share(axes, there)
    problems = []
    shares = [Fraction()] * len(population)
    requested: Shares = {}
    cells: Shares = {}
    for kind, share in (("instruction", instruction), ("raw", 1 - instruction)):
        if share and not there[kind]:
            problems.append(f"{kind} data has a share of {render_number(share)}, but its sources are empty")
    if instruction and there["instruction"]:
        members = _by_cell(settings, of_kind["instruction"])
        in_cells = {cell: sum(population[at] for at in places) for cell, places in members.items()}
        requested, found = _requested_cells(axes, in_cells)
        problems += found
        cells, found = _feasible_cells(settings, requested, in_cells) if requested else ({}, [])
        problems += found
        for cell, share in cells.items():
            problems += _spread(settings, natural, members[cell], instruction * share, shares, names)
    if instruction != 1 and there["raw"]:
        groups, found = _raw_groups(axes, population, of_kind["raw"], names)
        problems += found
        for ratio, places in groups:
            problems += _spread(settings, natural, places, (1 - instruction) * ratio, shares, names)
    if problems:
        raise DataError(Problem(problem) for problem in dict.fromkeys(problems))
    return Composition(tuple(shares), requested, cells)


def _instruction_share(axes: Axes, there: Mapping[str, Fraction]) -> Fraction:
    if not isinstance(axes.instruction, str):
        return axes.instruction
    if not sum(there.values()):
        raise DataError("all sources with data have the factor 0")
    return there["instruction"] / sum(there.values())


def _natural_weights(settings: MixtureSettings, axes: Axes, population: Sequence[int]) -> list[Fraction]:
    """What natural shares are in proportion to: population, times the factor of a raw source that has one."""
    factors = axes.raw.by_source() if isinstance(axes.raw, RawFactors) else {}
    return [count * factors.get(at, Fraction(1)) for at, count in enumerate(population)]


def _by_cell(settings: MixtureSettings, places: Iterable[int]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for at in places:
        members.setdefault(settings.sources[at].cell, []).append(at)
    return members


def _requested_cells(axes: Axes, population: Mapping[str, int]) -> tuple[Shares, list[str]]:
    """Joint shares: given cells, or the product; a natural axis follows the population within the other's value."""
    if axes.cells is not None:
        return dict(axes.cells), []
    language, category = axes.language, axes.category
    if not isinstance(language, str) and not isinstance(category, str):
        return {f"{one}/{two}": language[one] * category[two] for one in language for two in category}, []
    explicit = language if not isinstance(language, str) else category if not isinstance(category, str) else None
    if explicit is None:
        return {cell: Fraction(there, sum(population.values())) for cell, there in population.items() if there}, []
    side = 0 if not isinstance(language, str) else 1
    shares: Shares = {}
    problems = []
    for value, ratio in explicit.items():
        like = {cell: there for cell, there in population.items() if cell.split("/")[side] == value and there}
        if not like:
            axis = ("language", "category")[side]
            problems.append(f"{axis} {value}: has a share of {render_number(ratio)} and no data; {_EMPTY_CURE}")
        shares |= {cell: ratio * Fraction(there, sum(like.values())) for cell, there in like.items()}
    return shares, problems


def _feasible_cells(
    settings: MixtureSettings, requested: Shares, population: Mapping[str, int]
) -> tuple[Shares, list[str]]:
    empty = [cell for cell in sorted(requested) if requested[cell] and not population.get(cell)]
    if not empty:
        return requested, []
    if settings.on_empty_cell == "error":
        return {}, [
            f"cell {cell}: has a share of {render_number(requested[cell])} and no data; add a source, set its share "
            "to 0, or set on_empty_cell: rake"
            for cell in empty
        ]
    try:
        return rake(requested, {cell for cell in requested if cell not in empty}), []
    except DataError as error:
        return {}, [problem.message for problem in error.problems]


def rake(requested: Shares, available: set[str]) -> Shares:
    """The joint on `available` cells with the marginals of `requested` that is nearest to it.

    Iterative proportional fitting (Deming and Stephan 1940), nearest by Kullback-Leibler divergence; rounded to
    1e-12, so that equal inputs give equal fractions. Raises DataError when no joint has these marginals.
    """
    possible = _possible_cells(requested, available)
    cells = {cell: float(requested[cell]) for cell in sorted(possible)}
    targets = [{name: float(share) for name, share in marginal(requested, side).items()} for side in (0, 1)]
    for _ in range(_RAKE_ROUNDS):
        for side in (0, 1):
            sums = dict.fromkeys(targets[side], 0.0)
            for cell, share in cells.items():
                sums[cell.split("/")[side]] += share
            for cell in cells:
                name = cell.split("/")[side]
                cells[cell] *= targets[side][name] / sums[name] if sums[name] else 0.0
        if max(abs(got - targets[0][name]) for name, got in _language_sums(cells, targets[0]).items()) < _RAKE_ENOUGH:
            break
    whole = {cell: round(share * _RAKE_DIGITS) for cell, share in cells.items()}
    return {cell: Fraction(share, sum(whole.values())) for cell, share in whole.items() if share}


def _possible_cells(requested: Shares, available: set[str]) -> set[str]:
    """The available cells that are not zero in every joint with the marginals asked for; fitting needs them alone.

    By Gale's theorem (1957) a joint exists when no set of languages asks for more than the categories it has data in;
    where a set asks for exactly as much, other languages have nothing of those categories.
    """
    languages, categories = marginal(requested, 0), marginal(requested, 1)
    open_to = {name: {cell.split("/")[1] for cell in available if cell.split("/")[0] == name} for name in languages}
    impossible: set[str] = set()
    for size in range(1, len(languages) + 1):
        for chosen in combinations(sorted(languages), size):
            asked = sum((languages[name] for name in chosen), Fraction())
            reach = set().union(*(open_to[name] for name in chosen))
            room = sum((categories[name] for name in reach), Fraction())
            if asked > room:
                without = ", ".join(sorted(set(requested) - available))
                raise DataError(
                    f"on_empty_cell: rake: no joint has the asked shares without {without}: {' and '.join(chosen)} "
                    f"shall have {render_number(asked)}, but {', '.join(sorted(reach)) or 'no category'} with data "
                    f"{render_number(room)} in all; lower that language's share or raise those categories'"
                )
            if asked == room:
                impossible |= {f"{name}/{one}" for name in languages if name not in chosen for one in reach}
    return available - impossible


def marginal(joint: Mapping[str, Fraction], side: int) -> Shares:
    """Sums of a joint over languages (side 0) or categories (side 1)."""
    sums: Shares = {}
    for cell, share in sorted(joint.items()):
        name = cell.split("/")[side]
        sums[name] = sums.get(name, Fraction()) + share
    return sums


def _language_sums(cells: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    sums = dict.fromkeys(names, 0.0)
    for cell, share in cells.items():
        sums[cell.split("/")[0]] += share
    return sums


def _raw_groups(
    axes: Axes, population: Sequence[int], places: list[int], names: Sequence[str]
) -> tuple[list[tuple[Fraction, list[int]]], list[str]]:
    if not isinstance(axes.raw, tuple):
        return [(Fraction(1), places)], []
    empty = [group for group in axes.raw if group.ratio and not any(population[at] for at in group.sources)]
    problems = [
        f"raw group of {', '.join(repr(names[at]) for at in group.sources)}: has a share of "
        f"{render_number(group.ratio)} of the raw part and no data; {_EMPTY_CURE}"
        for group in empty
    ]
    return [(group.ratio, list(group.sources)) for group in axes.raw if group not in empty], problems


def _spread(
    settings: MixtureSettings,
    natural: Sequence[Fraction],
    places: list[int],
    share: Fraction,
    shares: list[Fraction],
    names: Sequence[str],
) -> list[str]:
    """Share `share` among `places`, by their weights or by population; problems are sources without data."""
    exact = [natural[at] if isinstance(weight := settings.sources[at].weight, str) else weight for at in places]
    total = sum(exact, Fraction())
    problems = []
    for at, weight in zip(places, exact, strict=True):
        shares[at] = share * weight / total if share and total else Fraction()
        if shares[at] and not natural[at]:
            label = settings.sources[at].label
            problems.append(
                f"source {names[at]!r} ({label}): has a weight of {render_number(weight)} and no data; "
                "set the weight to 0"
            )
    return problems

"""From the axes of a mixture to the exact share of every source: pure, fractions throughout."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixlab.config.mixtures import MixtureSettings, render_number
from mixlab.config.problems import DataError, Problem

Shares = dict[str, Fraction]
_RAKE_ROUNDS = 20_000
_RAKE_ENOUGH = 1e-12
_RAKE_TOLERANCE = 1e-4
_RAKE_DIGITS = 10**12


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


def build_composition(settings: MixtureSettings, population: Sequence[int]) -> Composition:
    """Work out the share of every source; `population` is what each source has, in units of the budget.

    Raises DataError naming the cell, group or part that has a share and no data.
    """
    if not any(population):
        raise DataError("no source of this mixture has any data")
    of_kind = {
        kind: [at for at, source in enumerate(settings.sources) if source.kind == kind]
        for kind in ("instruction", "raw")
    }
    there = {kind: sum(population[at] for at in places) for kind, places in of_kind.items()}
    instruction = (
        Fraction(there["instruction"], sum(there.values()))
        if isinstance(settings.instruction, str)
        else settings.instruction
    )
    for kind, share in (("instruction", instruction), ("raw", 1 - instruction)):
        if share and not there[kind]:
            raise DataError(f"{kind} data has a share of {render_number(share)}, but its sources are empty")
    shares = [Fraction()] * len(population)
    requested: Shares = {}
    cells: Shares = {}
    if instruction:
        members = _by_cell(settings, of_kind["instruction"])
        in_cells = {cell: sum(population[at] for at in places) for cell, places in members.items()}
        requested = _requested_cells(settings, in_cells)
        cells = _feasible_cells(settings, requested, in_cells)
        for cell, share in cells.items():
            _spread(settings, population, members[cell], instruction * share, shares)
    if instruction != 1:
        for ratio, places in _raw_groups(settings, population, of_kind["raw"]):
            _spread(settings, population, places, (1 - instruction) * ratio, shares)
    return Composition(tuple(shares), requested, cells)


def _by_cell(settings: MixtureSettings, places: Iterable[int]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for at in places:
        members.setdefault(settings.sources[at].cell, []).append(at)
    return members


def _requested_cells(settings: MixtureSettings, population: Mapping[str, int]) -> Shares:
    """Joint shares: given cells, or the product; a natural axis follows the population within the other's value."""
    if settings.cells is not None:
        return dict(settings.cells)
    language, category = settings.language, settings.category
    if not isinstance(language, str) and not isinstance(category, str):
        return {f"{one}/{two}": language[one] * category[two] for one in language for two in category}
    explicit = language if not isinstance(language, str) else category if not isinstance(category, str) else None
    if explicit is None:
        return {cell: Fraction(there, sum(population.values())) for cell, there in population.items() if there}
    side = 0 if not isinstance(language, str) else 1
    shares: Shares = {}
    for value, ratio in explicit.items():
        like = {cell: there for cell, there in population.items() if cell.split("/")[side] == value and there}
        if not like:
            raise DataError(f"{value}: has a share of {render_number(ratio)} and no data; set it to 0 or add a source")
        shares |= {cell: ratio * Fraction(there, sum(like.values())) for cell, there in like.items()}
    return shares


def _feasible_cells(settings: MixtureSettings, requested: Shares, population: Mapping[str, int]) -> Shares:
    empty = [cell for cell in sorted(requested) if not population.get(cell)]
    if not empty:
        return requested
    if settings.on_empty_cell == "error":
        cure = "add a source, set its share to 0, or set on_empty_cell: rake"
        raise DataError(
            Problem(f"cell {cell}: has a share of {render_number(requested[cell])} and no data; {cure}")
            for cell in empty
        )
    return rake(requested, {cell for cell in requested if cell not in empty})


def rake(requested: Shares, available: set[str]) -> Shares:
    """The joint on `available` cells with the marginals of `requested` that is nearest to it.

    Iterative proportional fitting (Deming and Stephan 1940), nearest by Kullback-Leibler divergence; rounded to
    1e-12, so that equal inputs give equal fractions. Raises DataError when no joint has these marginals.
    """
    cells = {cell: float(requested[cell]) for cell in sorted(available)}
    targets = [{name: float(share) for name, share in marginal(requested, side).items()} for side in (0, 1)]
    off = 1.0
    for _ in range(_RAKE_ROUNDS):
        for side in (0, 1):
            sums = dict.fromkeys(targets[side], 0.0)
            for cell, share in cells.items():
                sums[cell.split("/")[side]] += share
            for cell in cells:
                name = cell.split("/")[side]
                cells[cell] *= targets[side][name] / sums[name] if sums[name] else 0.0
        off = max(abs(got - targets[0][name]) for name, got in _float_marginal(cells, targets[0]).items())
        if off < _RAKE_ENOUGH:
            break
    if off > _RAKE_TOLERANCE or abs(sum(cells.values()) - 1) > _RAKE_TOLERANCE:
        without = ", ".join(sorted(set(requested) - available))
        raise DataError(f"on_empty_cell: rake: no joint has the asked shares without {without}; change an axis")
    whole = {cell: round(share * _RAKE_DIGITS) for cell, share in cells.items()}
    return {cell: Fraction(share, sum(whole.values())) for cell, share in whole.items() if share}


def marginal(joint: Mapping[str, Fraction], side: int) -> Shares:
    """Sums of a joint over languages (side 0) or categories (side 1)."""
    sums: Shares = {}
    for cell, share in sorted(joint.items()):
        name = cell.split("/")[side]
        sums[name] = sums.get(name, Fraction()) + share
    return sums


def _float_marginal(cells: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    sums = dict.fromkeys(names, 0.0)
    for cell, share in cells.items():
        sums[cell.split("/")[0]] += share
    return sums


def _raw_groups(
    settings: MixtureSettings, population: Sequence[int], places: list[int]
) -> list[tuple[Fraction, list[int]]]:
    if isinstance(settings.raw, str):
        return [(Fraction(1), places)]
    for group in settings.raw:
        if group.ratio and not any(population[at] for at in group.sources):
            raise DataError(f"raw group of sources {group.sources}: has a share and no data; set it to 0")
    return [(group.ratio, list(group.sources)) for group in settings.raw]


def _spread(
    settings: MixtureSettings, population: Sequence[int], places: list[int], share: Fraction, shares: list[Fraction]
) -> None:
    """Share `share` among `places`, by their weights or by population."""
    exact = []
    for at in places:
        weight = settings.sources[at].weight
        exact.append(Fraction(population[at]) if isinstance(weight, str) else weight)
    total = sum(exact, Fraction())
    for at, weight in zip(places, exact, strict=True):
        shares[at] = share * weight / total if share else Fraction()

"""The certificate of a mixture: asked for, there and taken, side by side, per source and per axis."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mixlab.config.mixtures import MixtureSettings
from mixlab.data.shares import Composition, marginal


@dataclass(frozen=True)
class Taken:
    """One source's figures; population, requested and allocated count units of the budget (tokens or windows)."""

    population: int
    population_tokens: int
    requested: int
    allocated: int
    allocated_tokens: int
    windows: int


def build_certificate(
    settings: MixtureSettings, composition: Composition, taken: Sequence[Taken], budget: int
) -> dict[str, Any]:
    """What `certificate.json` holds.

    Ratios of `sources`, `instruction` are shares of the budget; those of `language`, `category`, `cells` are
    shares of the instruction part, those of `raw` shares of the raw part. `requested_ratio` is what the settings
    say, `feasible_ratio` what on_empty_cell: rake made of it.
    """
    unit = "tokens" if settings.budget.samples is None else "windows"
    everything = range(len(taken))
    view = _View(composition.sources, taken, unit)
    sources = []
    for at, source in enumerate(settings.sources):
        labels = {"position": at, "kind": source.kind, "language": source.language, "category": source.category}
        sources.append(labels | view.entry([at], everything, composition.sources[at]))
    return {
        "seed": settings.seed,
        "unit": unit,
        "budget": budget,
        "max_epochs": str(settings.max_epochs),
        "sources": sources,
        "axes": _axes(settings, composition, view),
        "total": view.entry(everything, everything, Fraction(1)),
    }


class _View:
    def __init__(self, ratios: Sequence[Fraction], taken: Sequence[Taken], unit: str) -> None:
        self._ratios, self._taken, self._unit = ratios, taken, unit

    def entry(self, members: Iterable[int], whole: Iterable[int], requested: Fraction) -> dict[str, Any]:
        """Figures of the sources `members`, as a share of those in `whole`."""
        chosen = [self._taken[at] for at in members]
        allocated = sum(one.allocated for one in chosen)
        population = sum(one.population for one in chosen)
        of = sum(self._taken[at].allocated for at in whole)
        return {
            "requested_ratio": str(requested),
            "requested_ratio_float": float(requested),
            f"requested_{self._unit}": sum(one.requested for one in chosen),
            "population_tokens": sum(one.population_tokens for one in chosen),
            "allocated_tokens": sum(one.allocated_tokens for one in chosen),
            "observed_ratio": allocated / of if of else 0.0,
            "windows": sum(one.windows for one in chosen),
            "repetition": allocated / population if population else 0.0,
        }

    def share(self, members: Iterable[int], whole: Iterable[int]) -> Fraction:
        total = sum((self._ratios[at] for at in whole), Fraction())
        return sum((self._ratios[at] for at in members), Fraction()) / total if total else Fraction()


def _axes(settings: MixtureSettings, composition: Composition, view: _View) -> dict[str, Any]:
    everything = range(len(settings.sources))
    instruction = [at for at in everything if settings.sources[at].kind == "instruction"]
    raw = [at for at in everything if settings.sources[at].kind == "raw"]
    axes: dict[str, Any] = {
        "instruction": {
            kind: view.entry(places, everything, view.share(places, everything))
            for kind, places in (("instruction", instruction), ("raw", raw))
        }
    }
    cells = {at: settings.sources[at].cell for at in instruction}
    for axis, side in (("language", 0), ("category", 1)):
        named = {at: cell.split("/")[side] for at, cell in cells.items()}
        both = (marginal(composition.requested_cells, side), marginal(composition.cells, side))
        axes[axis] = _axis(named, both, instruction, view)
    axes["cells"] = _axis(cells, (composition.requested_cells, composition.cells), instruction, view)
    groups = _raw_names(settings, raw)
    shares = {name: view.share([at for at in raw if groups[at] == name], raw) for name in set(groups.values())}
    axes["raw"] = _axis(groups, (shares, shares), raw, view)
    return axes


def _axis(
    named: Mapping[int, str],
    shares: tuple[Mapping[str, Fraction], Mapping[str, Fraction]],
    whole: list[int],
    view: _View,
) -> dict[str, Any]:
    requested, feasible = shares
    entries = {}
    for name in sorted({*named.values(), *requested}):
        members = [at for at, its_name in named.items() if its_name == name]
        possible = feasible.get(name, Fraction())
        entries[name] = view.entry(members, whole, requested.get(name, Fraction())) | {
            "feasible_ratio": str(possible),
            "feasible_ratio_float": float(possible),
        }
    return entries


def _raw_names(settings: MixtureSettings, raw: list[int]) -> dict[int, str]:
    if isinstance(settings.raw, str):
        return {at: settings.sources[at].language for at in raw}
    names = {at: f"group {number}" for number, group in enumerate(settings.raw) for at in group.sources}
    return {at: names.get(at, "no group") for at in raw}

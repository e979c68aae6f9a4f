"""From packs to a mixture: which windows, in which order, and the certificate of what was taken.

A mixture is a plan, not a copy: `plan.json` (order.py), `ledger.bin` (ledger.py) and `certificate.json`
(certificate.py). The order is that of schedule.py.
"""

from collections.abc import Sequence
from pathlib import Path

from mixlab.config.mixtures import Budget, MixtureSettings
from mixlab.config.problems import DataError
from mixlab.data.mixtures.certificate import build_certificate
from mixlab.data.mixtures.feasibility import LARGEST_WINDOWS, Demand, build_refusal, check_size, find_needy
from mixlab.data.mixtures.merging import Merged, find_overdrawn, merge_phases
from mixlab.data.mixtures.order import build_draws
from mixlab.data.mixtures.schedule import BLOCK_WINDOWS
from mixlab.data.mixtures.stretches import Stretch, build_compositions, count_population, plan_stretches
from mixlab.data.packs.pack import Pack
from mixlab.data.writing import write_columns


def build_mixture(
    settings: MixtureSettings,
    packs: Sequence[Path],
    out: Path,
    names: Sequence[str] | None = None,
    *,
    block_windows: int = BLOCK_WINDOWS,
) -> None:
    """Write the plan of a mixture, its ledger and its certificate.

    `packs` stand in the order of `settings.sources`; `names` appear in messages only. `block_windows` is what lies
    between two rows of the ledger; it decides no order. Raises DataError with every share that has no data, and every
    source that would have to be repeated more than `max_epochs` times.
    """
    opened = _open_packs(settings, packs)
    named = [str(at) for at in range(len(packs))] if names is None else names
    solver = _Solver(settings, opened, named, block_windows)
    stretches, merged = solver.solve()
    plan = {
        "seed": settings.seed,
        "unit": settings.budget.unit,
        "block_windows": block_windows,
        "windows": sum(one.windows for one in merged),
        "population_windows": [pack.windows for pack in opened],
        "phases": [
            {"windows": one.windows, "requested": list(stretch.requested), "taken": list(one.taken)}
            for one, stretch in zip(merged, stretches, strict=True)
        ],
    }
    write_columns(out / "plan.json", plan)
    (out / "ledger.bin").write_bytes(b"".join(one.ledger for one in merged))
    write_columns(out / "certificate.json", build_certificate(settings, opened, solver.draws, stretches, merged))


_MOST_TRIED_WINDOWS = 50_000_000
"""Mixtures of more windows, twice the paper's, are not put in order just to know which budget would do: 2 us each."""


class _Solver:
    """Orders the windows of a mixture for one budget or another.

    With one phase and a budget in tokens or samples, no source is drawn beyond what it is asked for (see
    schedule.py), so that the request alone tells whether it is feasible. Else the order itself shows it.
    """

    def __init__(self, settings: MixtureSettings, packs: Sequence[Pack], names: Sequence[str], block: int) -> None:
        self._settings, self._packs, self._names, self._block = settings, packs, names, block
        self.draws = build_draws(packs, settings.seed, settings.budget.unit == "windows")
        self._compositions = build_compositions(settings, packs, names)
        self._population = count_population(settings, packs)
        self._plain = len(self._compositions) == 1 and settings.budget.windows is None

    def solve(self) -> tuple[list[Stretch], list[Merged]]:
        """Phases as asked for and as they came out; raises DataError with the smallest changes that would do."""
        stretches, demand = self._demand(self._settings.budget)
        check_size(self._settings, demand, self._fits if self._plain else None)
        if self._plain and (needy := find_needy(self._settings, demand)):
            raise build_refusal(self._settings, demand, needy, self._fits)
        merged = self._merge(stretches)
        if not self._plain and (needy := self._find_overdrawn(merged)):
            raise build_refusal(self._settings, demand, needy, self._fits)
        return stretches, merged

    def _demand(self, budget: Budget) -> tuple[list[Stretch], Demand]:
        stretches = plan_stretches(self._settings, self._packs, self._compositions, budget)
        requested = [sum(column) for column in zip(*(one.requested for one in stretches), strict=True)]
        windows = [pack.windows for pack in self._packs]
        return stretches, Demand(self._names, requested, self._population, windows)

    def _merge(self, stretches: Sequence[Stretch]) -> list[Merged]:
        return merge_phases(self._packs, self.draws, stretches, self._settings.budget.unit, self._block)

    def _find_overdrawn(self, merged: Sequence[Merged]) -> dict[int, int]:
        return find_overdrawn(self.draws, self._population, merged, self._settings.max_epochs)

    def _fits(self, budget: Budget) -> bool:
        try:
            stretches, demand = self._demand(budget)
        except DataError:
            return False
        if self._plain:
            return demand.expected_windows() <= LARGEST_WINDOWS and not find_needy(self._settings, demand)
        if demand.expected_windows() > _MOST_TRIED_WINDOWS:
            return False
        return not self._find_overdrawn(self._merge(stretches))


def _open_packs(settings: MixtureSettings, packs: Sequence[Path]) -> list[Pack]:
    if len(packs) != len(settings.sources):
        raise DataError(f"{len(packs)} packs for {len(settings.sources)} sources")
    opened = [Pack(folder) for folder in packs]
    if settings.budget.samples is not None:
        others = [pack.folder for pack in opened if pack.layout != "one_per_window"]
        if others:
            raise DataError(f"{others[0]}: a budget in samples needs packs of layout one_per_window")
    lengths = sorted({pack.sequence_tokens for pack in opened})
    if len(lengths) > 1:
        raise DataError(f"packs of different sequence_tokens: {lengths}; use one length")
    return opened

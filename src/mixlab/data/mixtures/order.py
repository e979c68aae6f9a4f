"""The order of a mixture, read from its plan: any place leads to a source, a draw and a window in constant time.

`plan.json` says, by columns in the order of the sources, how many windows each has and which pack they come from;
and of each phase how many windows it holds, what each source is asked for in it, and how many windows it gives.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.config.problems import DataError
from mixlab.data.mixtures.ledger import Course, Ledger
from mixlab.data.mixtures.permutation import build_stream_key
from mixlab.data.mixtures.schedule import Draws, Lane, Merger
from mixlab.data.packs.pack import Pack
from mixlab.data.writing import read_json

_CACHED_PLACES = 1 << 24
"""Places kept once merged, in whole blocks: 100 MB."""


@dataclass(frozen=True)
class Place:
    """What stands at one place of a mixture."""

    source: int
    window: int


def positions_of(step: int, global_batch: int, rank: int, ranks: int, windows: int) -> range:
    """Places of a mixture of `windows` that rank 0, 1, ... of `ranks` sees in step 1, 2, ...

    The ranks' stretches of a global batch follow each other, so that the places of a step, hence the order, are the
    same for any number of ranks. The last step may be short.
    """
    begin = (step - 1) * global_batch
    count = max(0, min(global_batch, windows - begin))
    return range(begin + count * rank // ranks, begin + count * (rank + 1) // ranks)


def build_draws(packs: Sequence[Pack], seed: int, by_samples: bool) -> list[Draws]:
    """Return the endless draws of every source."""
    keys = [build_stream_key(seed, pack.stream) for pack in packs]
    return [
        Draws(pack.windows, None if by_samples else pack.tokens_W, key) for pack, key in zip(packs, keys, strict=True)
    ]


def order_lanes(draws: Sequence[Draws]) -> list[int]:
    """Sources in the order that breaks ties, which the seed decides."""
    return sorted(range(len(draws)), key=lambda at: (draws[at].key, at))


def build_course(
    windows: int, block_windows: int, drawn: Sequence[int], lanes: Sequence[int], packs: Sequence[Pack], unit: str
) -> Course:
    """Return what the ledger's rows of a phase are measured against."""
    means = tuple((packs[at].tokens if unit == "tokens" else packs[at].windows, packs[at].windows) for at in lanes)
    return Course(windows, block_windows, tuple(drawn[at] for at in lanes), means)


class MixtureOrder:
    """The order of a mixture; `packs` stand in the order of its sources.

    Raises DataError when they are not the packs it was made of.
    """

    def __init__(self, mixture: Path, packs: Sequence[Pack]) -> None:
        plan: dict[str, Any] = read_json(mixture / "plan.json")
        _check_packs(mixture, plan, packs)
        self._phases = plan["phases"]
        self._windows, self._block_windows = int(plan["windows"]), int(plan["block_windows"])
        self._draws = build_draws(packs, plan["seed"], plan["unit"] == "windows")
        lanes = order_lanes(self._draws)
        self._lanes = [[at for at in lanes if phase["requested"][at]] for phase in self._phases]
        courses = [
            build_course(phase["windows"], self._block_windows, phase["taken"], used, packs, plan["unit"])
            for phase, used in zip(self._phases, self._lanes, strict=True)
        ]
        self._ledger = Ledger(mixture / "ledger.bin", courses)
        self._first_draws = np.cumsum([[0] * len(packs), *(phase["taken"] for phase in self._phases)], axis=0).tolist()
        self._first_places = np.cumsum([0, *(phase["windows"] for phase in self._phases)]).tolist()
        self._blocks: OrderedDict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def __len__(self) -> int:
        return self._windows

    def __getitem__(self, place: int) -> Place:
        """What stands at place 0, 1, ...; raises IndexError outside of the mixture."""
        phase, block, at = self._find(place)
        sources, windows = self._block(phase, block)
        return Place(int(sources[at]), int(windows[at]))

    def slice(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Sources and windows, int64 [last - first], of the places [first, last)."""
        sources, windows = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        while first < last:
            phase, block, at = self._find(first)
            all_sources, all_windows = self._block(phase, block)
            until = at + min(last - first, len(all_sources) - at)
            sources.append(all_sources[at:until])
            windows.append(all_windows[at:until])
            first += until - at
        return np.concatenate(sources).astype(np.int64), np.concatenate(windows).astype(np.int64)

    def _find(self, place: int) -> tuple[int, int, int]:
        if not 0 <= place < self._windows:
            raise IndexError(f"place {place} of a mixture of {self._windows} windows")
        phase = 0
        while place >= self._first_places[phase + 1]:
            phase += 1
        return phase, *divmod(place - self._first_places[phase], self._block_windows)

    def _block(self, phase: int, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Sources and windows of a block, merged when first asked for."""
        found = self._blocks.get((phase, block))
        if found is not None:
            self._blocks.move_to_end((phase, block))
            return found
        drawn, units = self._ledger.state(phase, block)
        first, asked = self._first_draws[phase], self._phases[phase]["requested"]
        lanes = [
            Lane(at, self._draws[at], asked[at], first[at] + count, amount)
            for at, count, amount in zip(self._lanes[phase], drawn, units, strict=True)
        ]
        size = min(self._block_windows, self._phases[phase]["windows"] - block * self._block_windows)
        sources, windows = Merger(lanes, self._block_windows).run(size)
        small = np.int32 if not len(windows) or windows.max() < 1 << 31 else np.int64
        self._blocks[phase, block] = sources.astype(np.int32), windows.astype(small)
        if len(self._blocks) * self._block_windows > _CACHED_PLACES:
            self._blocks.popitem(last=False)
        return self._blocks[phase, block]


def _check_packs(mixture: Path, plan: dict[str, Any], packs: Sequence[Pack]) -> None:
    expected = plan["population_windows"]
    if len(packs) != len(expected):
        raise DataError(f"{mixture}: made of {len(expected)} packs, got {len(packs)}")
    for at, (pack, windows) in enumerate(zip(packs, expected, strict=True)):
        if pack.windows != windows:
            raise DataError(f"{pack.folder}: {pack.windows} windows, but source {at} of {mixture} has {windows}")

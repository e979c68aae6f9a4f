"""Putting the windows of all phases in order, block after block, without holding them."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from mixlab.data.mixtures.ledger import State, encode_ledger
from mixlab.data.mixtures.order import build_course, order_lanes
from mixlab.data.mixtures.schedule import Draws, Lane, Merger
from mixlab.data.mixtures.stretches import Stretch
from mixlab.data.packs.pack import Pack

logger = logging.getLogger(__name__)

_PROGRESS_SECONDS = 5.0
_AHEAD = 1 << 14
"""Windows for which draws are looked up at a time."""


@dataclass(frozen=True)
class Merged:
    """One phase as it came out: windows in all, windows and units of each source, and the farthest from its due."""

    windows: int
    taken: tuple[int, ...]
    units: tuple[int, ...]
    deviation_units: Fraction
    deviation_source: int
    ledger: bytes


@dataclass
class _Progress:
    """How far the mixture is, over all phases."""

    drawn: list[int]
    units: int = 0
    windows: int = 0
    reported: float = field(default_factory=time.monotonic)


def merge_phases(
    packs: Sequence[Pack], draws: Sequence[Draws], stretches: Sequence[Stretch], unit: str, block_windows: int
) -> list[Merged]:
    """Run through all phases; draws go on from one to the next, shares begin anew in each."""
    progress = _Progress([0] * len(packs))
    return [_merge(packs, draws, stretch, progress, unit, block_windows) for stretch in stretches]


def find_overdrawn(
    draws: Sequence[Draws], population: Sequence[int], merged: Sequence[Merged], max_epochs: Fraction
) -> dict[int, int]:
    """Sources of which a window is drawn when max_epochs is reached already, with the units that they would need."""
    overdrawn = {}
    for at, one in enumerate(draws):
        count = sum(phase.taken[at] for phase in merged)
        if count:
            before = sum(phase.units[at] for phase in merged) - int(one.take(count - 1, count)[1][0])
            if before >= population[at] * max_epochs:
                overdrawn[at] = before + 1
    return overdrawn


def _merge(
    packs: Sequence[Pack],
    draws: Sequence[Draws],
    stretch: Stretch,
    progress: _Progress,
    unit: str,
    block_windows: int,
) -> Merged:
    before = list(progress.drawn)
    used = [at for at in order_lanes(draws) if stretch.requested[at]]
    merger = Merger([Lane(at, draws[at], stretch.requested[at], before[at]) for at in used], _AHEAD)
    count, states, deviation = _run(merger, stretch, progress, block_windows)
    taken, units = [0] * len(packs), [0] * len(packs)
    for lane in merger.lanes:
        taken[lane.source], units[lane.source] = lane.drawn - before[lane.source], lane.units
        progress.drawn[lane.source] = lane.drawn
    course = build_course(count, block_windows, taken, used, packs, unit)
    progress.units += merger.time
    progress.windows += count
    ledger = encode_ledger(course, states[: course.borders])
    return Merged(count, tuple(taken), tuple(units), *deviation, ledger)


def _run(
    merger: Merger, stretch: Stretch, progress: _Progress, block_windows: int
) -> tuple[int, list[State], tuple[Fraction, int]]:
    """Run to the end of a phase: windows, what its sources had at each border, the farthest of them from its due."""
    firsts = [lane.drawn for lane in merger.lanes]
    states: list[State] = []
    count, deviation = 0, (Fraction(), merger.lanes[0].source)
    until = None if stretch.windows is not None else stretch.until - progress.units
    while stretch.windows is None or count < stretch.windows:
        steps = block_windows if stretch.windows is None else min(block_windows, stretch.windows - count)
        got = len(merger.run(steps, until)[0])
        count += got
        deviation = max(deviation, _find_deviation(merger))
        if got < block_windows:
            break
        drawn = [lane.drawn - first for lane, first in zip(merger.lanes, firsts, strict=True)]
        states.append((drawn, [lane.units for lane in merger.lanes]))
        if time.monotonic() - progress.reported > _PROGRESS_SECONDS:
            progress.reported = time.monotonic()
            logger.info("ordered %d windows", progress.windows + count)
    return count, states, deviation


def _find_deviation(merger: Merger) -> tuple[Fraction, int]:
    """The farthest that a source is from what it is due, in units, and which source."""
    total = sum(lane.requested for lane in merger.lanes)
    return max((abs(lane.units - Fraction(merger.time * lane.requested, total)), lane.source) for lane in merger.lanes)

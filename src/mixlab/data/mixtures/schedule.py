"""The order of a mixture: whose window comes next, so that every prefix has the asked shares.

Source s is asked for a_s of A units (real tokens, or windows for a budget in samples). Its draws have lengths l_1,
l_2, ... and C_j is the sum of the first j. After t units of the mixture it is due t*a_s/A. Draw j is *released* at
floor(C_(j-1)*A/a_s), when all draws before it are due, and has the *deadline* ceil(C_j*A/a_s), when it is due itself.
The next window is the released draw with the earliest deadline. With L the longest window, before and after every
window of the mixture each source has had its due to less than one window:

* Never L ahead: a draw taken at t has C_(j-1) < (t+1)*a_s/A, so after it C_j - (t+l_j)*a_s/A < l_j - (l_j-1)*a_s/A.
* There is always a released draw: what the sources had sums to t, as does what they are due, so one had no more.
* Never L behind: let a draw with deadline D wait at t, and let t0 be the last time before at which a draw with a later
  deadline was taken (l units long). None with a deadline up to D was released then, so all that was taken since, and
  the waiting draw, fell due within [t0+1, D], which has room for D-t0-1 units. Hence t - (t0+l) <= D-t0-1 - l_j, or
  t <= D-1 + l-l_j < C_j*A/a_s + L-l_j, and t*a_s/A - C_(j-1) < l_j + (L-l_j)*a_s/A <= L.

This is worst-case fair weighted fair queueing (WF2Q: Bennett and Zhang 1996) with whole numbers; for windows of equal
length it is Pfair scheduling (Baruah et al. 1996), and no source is ever a window off. All arithmetic is exact.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixlab.data.mixtures.permutation import find_windows

BLOCK_WINDOWS = 4096
"""Windows between two rows of the ledger, hence the most that are merged to find one."""
_INT64 = 1 << 62


@dataclass(frozen=True)
class Draws:
    """The endless sequence of one source's windows.

    `units_W` are the lengths of its windows, None where each counts 1.
    """

    windows: int
    units_W: np.ndarray | None
    key: int

    def take(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows and units of draws [first, last)."""
        draws = np.arange(first, last)
        found = find_windows(draws, np.full(len(draws), self.windows), np.full(len(draws), self.key, np.uint64))
        return found, self.units(found)

    def units(self, windows: np.ndarray) -> np.ndarray:
        """Units of the given windows, int64."""
        if self.units_W is None:
            return np.ones(len(windows), dtype=np.int64)
        units: np.ndarray = self.units_W[windows].astype(np.int64)
        return units


@dataclass
class Lane:
    """One source on its way through a phase: how much it is asked for, how far it is."""

    source: int
    draws: Draws
    requested: int
    drawn: int
    units: int = 0
    """Units of its draws in this phase so far; `drawn` counts draws from the beginning of the mixture."""


class Merger:
    """The mixture's next windows, from any known state of its lanes on.

    `lanes` hold the sources with a share in this phase, in the order that breaks ties; `time` is the sum of their
    units. Draws are looked up for about `ahead` windows at a time, which decides nothing.
    """

    def __init__(self, lanes: Sequence[Lane], ahead: int = BLOCK_WINDOWS) -> None:
        self.lanes = list(lanes)
        self.time = sum(lane.units for lane in lanes)
        self._total = sum(lane.requested for lane in lanes)
        self._shift = len(self.lanes).bit_length()
        self._queues = [_Queue(lane, at, self._total, self._shift, ahead) for at, lane in enumerate(self.lanes)]
        self._prefetch()
        self._ready: list[int] = []
        self._waiting = [queue.releases[0] for queue in self._queues]
        heapq.heapify(self._waiting)

    def run(self, steps: int, until: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Sources (positions, int64) and windows of the next `steps` places, fewer when `until` units are reached."""
        for queue in self._queues:
            queue.forget()
        order = self._merge(steps, _INT64 * _INT64 if until is None else until)
        lanes = np.array(order, dtype=np.int64)
        windows = np.empty(len(lanes), dtype=np.int64)
        if len(lanes):
            windows[np.argsort(lanes, kind="stable")] = np.concatenate([queue.taken() for queue in self._queues])
        for queue in self._queues:
            queue.settle()
        return np.array([lane.source for lane in self.lanes], dtype=np.int64)[lanes], windows

    def _merge(self, steps: int, until: int) -> list[int]:
        ready, waiting, queues, shift = self._ready, self._waiting, self._queues, self._shift
        push, pop, mask, time = heapq.heappush, heapq.heappop, (1 << self._shift) - 1, self.time
        order: list[int] = []
        while len(order) < steps and time < until:
            released = (time + 1) << shift
            while waiting and waiting[0] < released:
                queue = queues[pop(waiting) & mask]
                push(ready, queue.deadlines[queue.at])
            lane = pop(ready) & mask
            order.append(lane)
            queue = queues[lane]
            time += queue.units[queue.at]
            queue.at += 1
            if queue.at == len(queue.units):
                queue.refill()
            push(waiting, queue.releases[queue.at])
        self.time = time
        return order

    def _prefetch(self) -> None:
        """Look up the first draws of all lanes at once: many small look-ups cost more than one large one."""
        spans = [(queue.lane.drawn, queue.lane.drawn + queue.wanted()) for queue in self._queues]
        counts = [last - first for first, last in spans]
        draws = np.concatenate([np.arange(first, last) for first, last in spans])
        sizes = np.repeat([queue.lane.draws.windows for queue in self._queues], counts)
        keys = np.repeat(np.array([queue.lane.draws.key for queue in self._queues], dtype=np.uint64), counts)
        found = find_windows(draws, sizes, keys)
        for queue, windows in zip(self._queues, np.split(found, np.cumsum(counts)[:-1]), strict=True):
            queue.load(windows, queue.lane.draws.units(windows))


class _Queue:
    """Some draws ahead of one lane, with the keys by which heaps order them: time, then the lane's number."""

    def __init__(self, lane: Lane, number: int, total: int, shift: int, ahead: int) -> None:
        self.lane = lane
        self.at = 0
        self.units: list[int] = []
        self.releases: list[int] = []
        self.deadlines: list[int] = []
        self._number, self._total, self._shift, self._ahead = number, total, shift, ahead
        self._windows: list[np.ndarray] = []
        self._behind = 0
        """Draws of the loaded ones that earlier runs took."""
        self._dropped = 0
        self._next, self._next_units = lane.drawn, lane.units

    def wanted(self) -> int:
        """How many draws to look up at a time."""
        share = self._ahead * self.lane.requested // self._total
        return min(share + share // 8 + 16, self._ahead)

    def refill(self) -> None:
        """Look up the next draws, when none is left."""
        self.load(*self.lane.draws.take(self._next, self._next + self.wanted()))

    def load(self, windows: np.ndarray, units: np.ndarray) -> None:
        """Make these the draws ahead."""
        self._dropped += len(self.units)
        self._windows.append(windows)
        self.units = units.tolist()
        self.at = 0
        self.releases, self.deadlines = self._keys(units)
        self._next += len(units)
        self._next_units += int(units.sum())

    def _keys(self, units: np.ndarray) -> tuple[list[int], list[int]]:
        asked, total, number, shift = self.lane.requested, self._total, self._number, self._shift
        whole, rest = divmod(self._next_units * total, asked)
        sums = np.cumsum(units)
        largest = int(sums[-1]) * total + 2 * asked
        if largest < _INT64 and (whole + largest // asked + 2) << shift < _INT64:
            due = rest + sums * total
            releases = whole + np.concatenate([[rest], due[:-1]]) // asked
            deadlines = whole - (-due // asked)
            return ((releases << shift) | number).tolist(), ((deadlines << shift) | number).tolist()
        ends = [rest + value * total for value in sums.tolist()]
        return (
            [(whole + value // asked) << shift | number for value in [rest, *ends[:-1]]],
            [(whole - (-value // asked)) << shift | number for value in ends],
        )

    def forget(self) -> None:
        """Begin a run: what was taken before is no part of it."""
        taken = self._dropped + self.at - self._behind
        kept = np.concatenate(self._windows)[taken:] if taken and self._windows else None
        if kept is not None:
            self._windows = [kept]
        self._behind += taken

    def taken(self) -> np.ndarray:
        """Windows drawn in this run, in order."""
        count = self._dropped + self.at - self._behind
        return np.concatenate(self._windows)[:count] if self._windows else np.empty(0, dtype=np.int64)

    def settle(self) -> None:
        """Write the state back into the lane."""
        left = len(self.units) - self.at
        self.lane.drawn = self._next - left
        self.lane.units = self._next_units - sum(self.units[self.at :])

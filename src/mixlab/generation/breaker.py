"""A circuit breaker: an endpoint that answers nothing is left alone, then tried by one request at a time."""

import time
from collections.abc import Callable

from mixlab.generation.pacing import LONGEST_WAIT_SECONDS

FAILURES_IN_A_ROW = 20
"""After so many tries in a row that speak for an endpoint that is gone, none is sent for a while."""


class Breaker:
    """Closed while tries succeed; open for a pause after failures in a row; half-open: one try decides.

    Each failed try of a half-open breaker doubles the pause, up to a minute; after `probes` of them the endpoint counts
    as gone. All times are of the monotonic clock, which does not jump.
    """

    def __init__(self, pause_seconds: float, probes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause_seconds = pause_seconds
        self._probes = probes
        self._clock = clock
        self._failures = 0
        self._failed_probes = 0
        self._open_until: float | None = None
        self._is_probing = False

    @property
    def is_gone(self) -> bool:
        """Whether so many half-open tries failed that asking on makes no sense."""
        return self._failed_probes >= self._probes

    @property
    def failures(self) -> int:
        """Tries in a row that failed."""
        return self._failures

    def delay(self) -> float:
        """Return the seconds after which to ask again, 0 where a try may start now: say so by `start`."""
        if self._open_until is None:
            return 0.0
        delay = self._open_until - self._clock()
        if delay > 0:
            return delay
        return self._pause_seconds if self._is_probing else 0.0

    def start(self) -> None:
        """Count a try that starts; of a half-open breaker it is the one that decides."""
        self._is_probing = self._open_until is not None

    def succeed(self) -> None:
        """Count a try that was answered, with whatever: the endpoint is there."""
        self._failures = self._failed_probes = 0
        self._open_until = None
        self._is_probing = False

    def fail(self) -> None:
        """Count a try that speaks for an endpoint that is gone."""
        self._failures += 1
        if self._open_until is not None and not self._is_probing:
            return  # sent before it opened
        if self._is_probing:
            self._is_probing = False
            self._failed_probes += 1
        elif self._failures < FAILURES_IN_A_ROW:
            return
        pause = self._pause_seconds * 2.0 ** min(self._failed_probes, 16)
        self._open_until = self._clock() + min(LONGEST_WAIT_SECONDS, pause)

"""When the next request may be sent: one clock for all threads that ask the same endpoint."""

import random
import threading
import time

LONGEST_WAIT_SECONDS = 60.0
"""The longest wait that we choose ourselves between two tries of a request."""


class Stopped(Exception):
    """Raised in a waiting thread when its answer is no longer wanted."""


def build_backoff(tried: int, first_seconds: float, jitter: random.Random) -> float:
    """Return the seconds to wait after `tried` tries: half to all of first_seconds × 1, 2, 4 … up to a minute.

    Chance spreads the retries of many threads and jobs out.
    """
    return min(LONGEST_WAIT_SECONDS, first_seconds * 2.0 ** min(tried - 1, 16)) * jitter.uniform(0.5, 1.0)


class Pacer:
    """Spaces requests evenly at `requests_per_minute`, and holds all of them when the endpoint asks for a pause."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self._spacing = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def hold(self, seconds: float) -> None:
        """Let no request start before `seconds` from now; 0 holds nothing."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def wait(self, stop: threading.Event) -> None:
        """Block until a request may start; raises Stopped once `stop` is set."""
        while True:
            with self._lock:
                delay = self._next - time.monotonic()
                if delay <= 0:
                    self._next = max(self._next, time.monotonic()) + self._spacing
                    break
            if stop.wait(delay):
                break
        if stop.is_set():
            raise Stopped

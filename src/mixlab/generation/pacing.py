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
    """Spaces requests evenly by their number and tokens, and holds all of them when the endpoint asks for a pause.

    Tokens are estimated before a request and corrected by what its reply says, so that the limit holds over time.
    """

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None = None) -> None:
        self._spacing = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._token_seconds = 60.0 / tokens_per_minute if tokens_per_minute else 0.0
        self._lock = threading.Lock()
        self._next = 0.0
        self._next_by_tokens = 0.0

    def hold(self, seconds: float) -> None:
        """Let no request start before `seconds` from now; 0 holds nothing."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def claim(self, tokens: int = 0) -> float:
        """Let a request of so many tokens start now and return 0, or return the seconds to wait and ask again."""
        with self._lock:
            now = time.monotonic()
            delay = max(self._next, self._next_by_tokens) - now
            if delay > 0:
                return delay
            self._next = max(self._next, now) + self._spacing
            self._next_by_tokens = max(self._next_by_tokens, now) + tokens * self._token_seconds
            return 0.0

    def correct(self, estimated_tokens: int, tokens: int) -> None:
        """Count what a request took in place of what was estimated when it started."""
        with self._lock:
            base = self._next_by_tokens if tokens < estimated_tokens else max(self._next_by_tokens, time.monotonic())
            self._next_by_tokens = base + (tokens - estimated_tokens) * self._token_seconds

    def wait(self, stop: threading.Event, tokens: int = 0) -> None:
        """Block until a request may start; raises Stopped once `stop` is set."""
        while (delay := self.claim(tokens)) > 0:
            if stop.wait(delay):
                break
        if stop.is_set():
            raise Stopped

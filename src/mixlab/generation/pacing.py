"""When the next request may be sent: one clock for all that ask the same endpoint."""

import random
import time

LONGEST_WAIT_SECONDS = 60.0
"""The longest wait that we choose ourselves between two tries of a request."""


class Stopped(Exception):
    """Raised where a request waits and its answer is no longer wanted."""


def build_backoff(tried: int, first_seconds: float, jitter: random.Random) -> float:
    """Return the seconds to wait after `tried` tries: half to all of first_seconds × 1, 2, 4 … up to a minute.

    Chance spreads the retries of many requests and jobs out.
    """
    return min(LONGEST_WAIT_SECONDS, first_seconds * 2.0 ** min(tried - 1, 16)) * jitter.uniform(0.5, 1.0)


class Pacer:
    """Spaces requests evenly by their number and tokens, and holds all of them when the endpoint asks for a pause.

    Tokens are estimated before a request and corrected by what its reply says, so that the limit holds over time.
    """

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None = None) -> None:
        self._spacing = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._token_seconds = 60.0 / tokens_per_minute if tokens_per_minute else 0.0
        self._next = 0.0
        self._next_by_tokens = 0.0

    def hold(self, seconds: float) -> None:
        """Let no request start before `seconds` from now; 0 holds nothing."""
        self._next = max(self._next, time.monotonic() + seconds)

    def claim(self, tokens: int = 0) -> float:
        """Let a request of so many tokens start now and return 0, or return the seconds to wait and ask again."""
        now = time.monotonic()
        delay = max(self._next, self._next_by_tokens) - now
        if delay > 0:
            return delay
        self._next = max(self._next, now) + self._spacing
        self._next_by_tokens = max(self._next_by_tokens, now) + tokens * self._token_seconds
        return 0.0

    def correct(self, estimated_tokens: int, tokens: int) -> None:
        """Count what a request took in place of what was estimated when it started."""
        base = self._next_by_tokens if tokens < estimated_tokens else max(self._next_by_tokens, time.monotonic())
        self._next_by_tokens = base + (tokens - estimated_tokens) * self._token_seconds

"""How far generation is: a bar in a terminal, a line a minute in a log."""

import logging
import sys
import time
from typing import Any

from mixlab.generation.engine import Completion

log = logging.getLogger(__name__)

LOG_SECONDS = 60.0
"""Seconds between two lines of a log."""


class Progress:
    """Counts responses of one turn; `log_seconds` lie between two lines, and a short run has none."""

    def __init__(
        self, total: int, what: str, *, in_terminal: bool | None = None, log_seconds: float = LOG_SECONDS
    ) -> None:
        self._total, self._what, self._log_seconds = total, what, log_seconds
        self._done = self._tokens = 0
        self._begin = self._last = time.monotonic()
        shows_bar = sys.stderr.isatty() if in_terminal is None else in_terminal
        self._bar: Any = _open_bar(total, what) if shows_bar else None

    def report(self, completions: list[Completion]) -> None:
        """Count what is finished: in the bar at once, in a log when it is time to."""
        self._done += len(completions)
        self._tokens += sum(one.response_tokens or 0 for one in completions)
        now = time.monotonic()
        seconds = max(now - self._begin, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self._tokens / seconds:.0f} tokens/s", refresh=False)
            self._bar.update(len(completions))
        elif now - self._last >= self._log_seconds:
            self._last = now
            left = seconds / self._done * (self._total - self._done)
            speed = self._tokens / seconds
            log.info("%s: %d/%d, %.0f tokens/s, %.0f s left", self._what, self._done, self._total, speed, left)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def _open_bar(total: int, what: str) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit="response", dynamic_ncols=True, file=sys.stderr)

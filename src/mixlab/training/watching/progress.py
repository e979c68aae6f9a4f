"""How far a run is: a bar in a terminal, a line now and then in a log."""

import logging
import sys
import time
from typing import Any

from mixlab.training.steps import StepReport

logger = logging.getLogger(__name__)


class Progress:
    """The progress of one process of a run, from step `first` on; `log_seconds` lie between two lines of a log."""

    def __init__(self, steps: int, first: int, log_seconds: float, *, in_terminal: bool | None = None) -> None:
        self._steps, self._first, self._log_seconds = steps, first, log_seconds
        self._tokens = 0
        self._begin = self._last = time.monotonic()
        shows_bar = sys.stderr.isatty() if in_terminal is None else in_terminal
        self._bar: Any = _open_bar(steps, first) if shows_bar else None

    def report(self, report: StepReport) -> None:
        """Show step, loss and speed: in the bar at once, in a log when it is time to or the end."""
        self._tokens += report.tokens
        now = time.monotonic()
        loss = "none" if report.loss is None else f"{report.loss:.4f}"
        seconds = max(now - self._begin, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss}, {self._tokens / seconds:.0f} tokens/s", refresh=False)
            self._bar.update(report.step - self._bar.n)
        elif now - self._last >= self._log_seconds or report.step == self._steps:
            self._last = now
            left = seconds / (report.step - self._first + 1) * (self._steps - report.step)
            speed = self._tokens / seconds
            logger.info("step %d/%d, loss %s, %.0f tokens/s, %.0f s left", report.step, self._steps, loss, speed, left)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def _open_bar(steps: int, first: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=steps, initial=first - 1, unit="step", dynamic_ncols=True, file=sys.stderr)

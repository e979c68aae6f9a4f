"""A step whose loss or gradient is not finite: which data it saw, and what to do."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from mixlab.config.problems import DataError
from mixlab.training.steps import StepReport

_NAMED = 8


@dataclass(frozen=True)
class Origin:
    """Where a window of a mixture comes from: its pack, its number there, and its smallest and largest document.

    Documents count from 0 in the pack's token store.
    """

    pack: str
    window: int
    first_document: int
    last_document: int


@runtime_checkable
class Traceable(Protocol):
    """Windows that know where they come from."""

    def origin(self, index: int, /) -> tuple[str, int, int, int]:
        """Pack, number of the window in it, smallest and largest document of the window at `index`."""


class NotFiniteError(Exception):
    """The loss or the gradient norm of a step is NaN or infinite; raised before any weight is moved."""

    def __init__(self, report: StepReport) -> None:
        super().__init__(f"step {report.step}: loss {report.loss}, gradient norm {report.gradient_norm}")
        self.report = report


def check_finite(report: StepReport) -> None:
    """Raise NotFiniteError unless loss and gradient norm, where there are any, are finite."""
    for value in (report.loss, report.gradient_norm):
        if value is not None and not math.isfinite(value):
            raise NotFiniteError(report)


def trace(windows: object, indices: Sequence[int]) -> list[Origin]:
    """Origins of the windows at `indices`; none where the windows do not know."""
    return [Origin(*windows.origin(index)) for index in indices] if isinstance(windows, Traceable) else []


def explain_not_finite(
    report: StepReport, origins: Sequence[Origin], rate: float, state: Path | None, metrics: Path | None
) -> DataError:
    """Build the error that names the step, its data, the newest whole state, and the cures.

    `rate` is the peak learning rate, `metrics` the file that lists all of the step's windows.
    """
    norm = "not computed" if report.gradient_norm is None else str(report.gradient_norm)
    lines = [
        f"training: step {report.step} of {report.steps}: loss {report.loss}, gradient norm {norm}: not finite; "
        f"lower the learning rate (peak {rate}, {report.learning_rate:.3g} in this step), warm up longer, or set "
        "gradient_clip",
        "  no weight was moved by it; running again without a change comes to the same step and ends the same",
        f"  newest whole state: {state if state is not None else 'none, the run would start from its beginning'}",
        f"  the step's windows: {_render_windows(report, origins)}",
    ]
    if metrics is not None:
        lines.append(f"  all of them: the line 'not_finite' in {metrics}")
    return DataError("\n".join(lines))


def _render_windows(report: StepReport, origins: Sequence[Origin]) -> str:
    if origins:
        shown = [
            f"window {one.window} of pack {one.pack} (documents {one.first_document} to {one.last_document})"
            for one in origins[:_NAMED]
        ]
    else:
        shown = [f"{index}" for index in report.windows[:_NAMED]]
    more = len(report.windows) - len(shown)
    return ", ".join(shown) + (f", and {more} more" if more else "")


def list_fault(report: StepReport, origins: Sequence[Origin]) -> dict[str, object]:
    """The step and every window of it, as a row of metrics."""
    row = {"step": report.step, "loss": report.loss, "gradient_norm": report.gradient_norm}
    return {**row, "windows": list(report.windows), "origins": [asdict(one) for one in origins]}

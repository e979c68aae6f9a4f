"""Everything that looks at a run while it goes on, behind one object; it changes no result."""

import logging
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mixlab.config.tracking import TrackingSettings
from mixlab.training.steps import StepReport
from mixlab.training.watching.measures import Measures, Meter
from mixlab.training.watching.metrics import MetricsFile
from mixlab.training.watching.progress import Progress
from mixlab.training.watching.trackers import Tracker, open_trackers

logger = logging.getLogger(__name__)

_STEP_FIELDS = ("step", "loss", "learning_rate", "gradient_norm", "tokens", "targets", "seconds")


@dataclass(frozen=True)
class Watching:
    """Where a run is watched: `folder`/<name>.jsonl, and the trackers asked for below `folder`.

    `name` is `<stage>/<key>`, `label` what people call the run. Without a folder nothing is written to disk. Of several
    ranks the first alone writes and shows anything; the others keep what they measure to themselves.
    """

    folder: Path | None = None
    name: str = "run"
    label: str = ""
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    is_first: bool = True

    @property
    def metrics(self) -> Path | None:
        """The file with a line per step."""
        return None if self.folder is None else self.folder / f"{self.name}.jsonl"


class Watch:
    """Watches one process of a run, from its first step on."""

    def __init__(self, watching: Watching, meter: Meter, steps: int, first_step: int) -> None:
        self._meter = meter
        self._steps = steps
        self._first_step = first_step
        self._speeds: list[float] = []
        self._mfus: list[float] = []
        self._waits: list[float] = []
        self._last: Measures | None = None
        self._progress: Progress | None = None
        self._file: MetricsFile | None = None
        self._trackers: list[Tracker] = []
        if watching.is_first:
            self._progress = Progress(steps, first_step, watching.tracking.log_seconds)
        if watching.is_first and watching.folder is not None and watching.metrics is not None:
            self._trackers = open_trackers(
                watching.tracking, watching.folder, watching.name, watching.label, first_step
            )
            self._file = MetricsFile(watching.metrics)
            self._file.write(
                "start", {"label": watching.label, "first_step": first_step, "steps": steps, **asdict(meter.devices)}
            )

    @property
    def metrics(self) -> Path | None:
        """The file with a line per step, where there is one."""
        return None if self._file is None else self._file.path

    def step(self, report: StepReport) -> None:
        """Keep one step and show it."""
        self._last = measures = self._meter.measure(report)
        self._speeds.append(measures.tokens_per_second)
        self._waits.append(measures.data_share)
        if measures.mfu is not None:
            self._mfus.append(measures.mfu)
        if self._file is not None:
            row = {name: getattr(report, name) for name in _STEP_FIELDS}
            for name in Measures.__slots__:
                row[name] = getattr(measures, name)
            self._file.write("step", row)
            self._track(report.step, "training", row)
        if self._progress is not None:
            self._progress.report(report)

    def validation(self, step: int, losses: Mapping[str, float]) -> None:
        """Keep the losses of a validation after `step`, by cell."""
        if self._file is not None:
            self._file.write("validation", {"step": step, "losses": dict(losses)})
            self._track(step, "validation", losses)
        if self._progress is not None:
            logger.info("step %d, validation loss %s", step, ", ".join(f"{cell} {x:.4f}" for cell, x in losses.items()))

    def note(self, event: str, row: dict[str, Any]) -> None:
        """Keep something that seldom happens, such as a spike."""
        if self._file is not None:
            self._file.write(event, row)

    def _facts(self) -> dict[str, str]:
        """What the provenance of the artifact records: medians over the steps of this process, and its memory.

        A run that had nothing left to compute has no speed.
        """
        devices = self._meter.devices
        facts = {"device": devices.name, "ranks": str(devices.ranks)}
        if self._last is not None:
            facts["watched_steps"] = f"{self._first_step}-{self._first_step + len(self._speeds) - 1}"
            facts["tokens_per_second"] = f"{statistics.median(self._speeds):.6g}"
            facts["data_share"] = f"{statistics.median(self._waits):.4f}"
            facts["peak_rss_bytes"] = str(self._last.peak_rss_bytes)
            if self._last.peak_cuda_bytes is not None:
                facts["peak_cuda_bytes"] = str(self._last.peak_cuda_bytes)
        if self._mfus:
            facts["mfu"] = f"{statistics.median(self._mfus):.4f}"
        return facts

    def close(self, *, finished: bool) -> None:
        """Close files and trackers; `finished` when the run came to its end."""
        if self._progress is not None:
            self._progress.close()
        if self._file is not None:
            if finished:
                self._file.write("end", {"facts": self._facts()})
            self._file.close()
        for tracker in self._trackers:
            tracker.close()

    def _track(self, step: int, group: str, row: Mapping[str, Any]) -> None:
        if self._trackers:
            values = {f"{group}/{name}": float(x) for name, x in row.items() if x is not None and name != "step"}
            for tracker in self._trackers:
                tracker.log(step, values)

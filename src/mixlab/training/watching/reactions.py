"""What a run does about spikes of its loss: a warning, or a way back."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from mixlab.config.training import SpikeSettings
from mixlab.training.steps import StepReport
from mixlab.training.watching.spikes import (
    SPIKES_FILE,
    SpikeDetector,
    list_skipped,
    plan_rollback,
    read_rollbacks,
    render_spikes,
    write_rollbacks,
)
from mixlab.training.watching.watch import Watch

logger = logging.getLogger(__name__)

Losses = Sequence[tuple[int, float | None]]


class RolledBack(Exception):
    """The run goes on from an older state, without the windows of some steps."""


class Spikes:
    """The spikes of one run; without settings nothing is one. `resume` is the folder of the states of `run_digest`.

    Every rank finds the same spikes, in the same losses; the first of them writes that down.
    """

    def __init__(self, settings: SpikeSettings | None, resume: Path, run_digest: str, is_first: bool) -> None:
        self._settings = settings
        self._resume, self._run_digest, self._is_first = resume, run_digest, is_first
        self._rollbacks = [] if settings is None else read_rollbacks(resume, run_digest)
        self.skipped = list_skipped(self._rollbacks)
        self._detector: SpikeDetector | None = None

    def resume(self, losses: Losses) -> None:
        """Take in the losses of the steps done."""
        if self._settings is not None:
            self._detector = SpikeDetector(self._settings, (loss for _, loss in losses if loss is not None))

    def look(self, report: StepReport, watch: Watch, drop_after: Callable[[int], None]) -> None:
        """Warn of a spike, or raise RolledBack after the states that know its windows are dropped.

        `drop_after` removes the states after a step. States go first: a kill in between comes to the same spike again.
        Raises DataError when the run was rolled back often enough.
        """
        spike = None if self._detector is None else self._detector.add(report.step, report.loss)
        if spike is None or self._settings is None:
            return
        found = f"step {spike.step}: loss {spike.loss:.4f} is a spike (median {spike.median:.4f}, MAD {spike.mad:.4f})"
        row = {"step": spike.step, "loss": spike.loss, "median": spike.median, "mad": spike.mad}
        if self._settings.action == "warn":
            watch.note("spike", row)
            logger.warning("%s", found)
            return
        rollback = plan_rollback(self._settings, spike, self._rollbacks)
        watch.note("rollback", {**row, "first_skipped": rollback.first_skipped, "last_skipped": rollback.last_skipped})
        if self._is_first:
            drop_after(rollback.first_skipped - 1)
            write_rollbacks(self._resume, self._run_digest, [*self._rollbacks, rollback])
        raise RolledBack(f"{found}: going back, to leave out steps {rollback.first_skipped} to {rollback.last_skipped}")

    def write(self, out: Path, losses: Losses) -> None:
        """Write loss_spikes.csv, where spikes are watched for."""
        if self._settings is not None:
            (out / SPIKES_FILE).write_text(render_spikes(self._settings, losses, self._rollbacks), encoding="utf-8")

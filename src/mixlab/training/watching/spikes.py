"""Spikes of the loss: a rule over the losses so far, and what a run skips because of them.

The rule is the modified z-score of Iglewicz and Hoaglin (1993): a loss is a spike when it lies more than `deviations`
robust standard deviations, 1.4826 x MAD, above the median of the last `window_steps` losses (MAD: median of the
distances from the median; 1.4826 makes it a standard deviation for normal numbers). Going back and leaving out the
data around a spike is what Chowdhery et al. (2022, PaLM, section 5.1) did by hand.
"""

import csv
import io
import json
import os
import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mixlab.config.problems import DataError
from mixlab.config.training import SpikeSettings

SPIKES_FILE = "loss_spikes.csv"
ROLLBACKS_FILE = "rollbacks.json"
_MAD_TO_DEVIATION = 1.4826


@dataclass(frozen=True)
class Spike:
    """A loss that is too far above those before it."""

    step: int
    loss: float
    median: float
    mad: float


class SpikeDetector:
    """Decides from the losses so far alone, so that a resumed run, given the log's losses, decides the same."""

    def __init__(self, settings: SpikeSettings, losses: Iterable[float] = ()) -> None:
        self._settings = settings
        self._losses: deque[float] = deque(losses, maxlen=settings.window_steps)

    def add(self, step: int, loss: float | None) -> Spike | None:
        """Take in the loss of a step and say whether it is a spike; None is a step that had no loss.

        Nothing is a spike before `window_steps` losses are known. A spike counts among the losses that later ones are
        compared with: the median does not mind a few, and adapts to a level that stays.
        """
        if loss is None:
            return None
        spike = None
        if len(self._losses) == self._settings.window_steps:
            median = statistics.median(self._losses)
            mad = statistics.median(abs(one - median) for one in self._losses)
            if loss > median + self._settings.deviations * _MAD_TO_DEVIATION * mad and loss > median:
                spike = Spike(step, loss, median, mad)
        self._losses.append(loss)
        return spike


@dataclass(frozen=True)
class Rollback:
    """A spike, and the steps whose windows are left out because of it, both included."""

    spike: Spike
    first_skipped: int
    last_skipped: int


def plan_rollback(settings: SpikeSettings, spike: Spike, before: Sequence[Rollback]) -> Rollback:
    """Say which steps to leave out, after the rollbacks `before`; raises DataError when there were enough."""
    if len(before) >= settings.max_rollbacks:
        steps = ", ".join(str(one.spike.step) for one in [*before, Rollback(spike, 0, 0)])
        raise DataError(
            f"training: step {spike.step}: loss {spike.loss} is a spike (median {spike.median:.4f}, MAD "
            f"{spike.mad:.4f} of {settings.window_steps} steps), after {len(before)} rollbacks already (spikes in "
            f"steps {steps}); lower the learning rate, warm up longer, "
            "or raise spikes.max_rollbacks or spikes.deviations"
        )
    return Rollback(spike, max(1, spike.step - settings.skip_steps + 1), spike.step)


def list_skipped(rollbacks: Iterable[Rollback]) -> frozenset[int]:
    """Every step that is left out."""
    return frozenset(step for one in rollbacks for step in range(one.first_skipped, one.last_skipped + 1))


def read_rollbacks(resume: Path, run_digest: str) -> list[Rollback]:
    """Read the rollbacks a run has decided on so far, none where there is no file or one of another run."""
    path = resume / ROLLBACKS_FILE
    if not path.exists():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    rows = found["rollbacks"] if found["run"] == run_digest else []
    return [Rollback(Spike(**row["spike"]), row["first_skipped"], row["last_skipped"]) for row in rows]


def write_rollbacks(resume: Path, run_digest: str, rollbacks: Sequence[Rollback]) -> None:
    """Write them, by a temporary name and one rename, before anything is rolled back: a kill forgets none."""
    partial = resume / f".{ROLLBACKS_FILE}"
    with partial.open("w", encoding="utf-8") as file:
        json.dump({"run": run_digest, "rollbacks": [asdict(one) for one in rollbacks]}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(resume / ROLLBACKS_FILE)


def render_spikes(
    settings: SpikeSettings, log: Iterable[tuple[int, float | None]], rollbacks: Sequence[Rollback]
) -> str:
    """Render loss_spikes.csv: the spikes that were rolled back, in their order, then those that the run kept.

    `log` are the steps of the finished run with their losses, from which the kept ones are found again.
    """
    rows = [
        [one.spike.step, repr(one.spike.loss), repr(one.spike.median), repr(one.spike.mad), one.first_skipped]
        for one in rollbacks
    ]
    detector = SpikeDetector(settings)
    kept = [spike for step, loss in log if (spike := detector.add(step, loss)) is not None]
    rows += [[one.step, repr(one.loss), repr(one.median), repr(one.mad), ""] for one in kept]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["step", "loss", "median", "mad", "skipped_from"])
    writer.writerows(rows)
    return out.getvalue()

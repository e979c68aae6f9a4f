"""The resume folder: states to go on from, and the snapshots that the finished run will hand over.

    resume/state-00000120/     model.safetensors, optimizer.safetensors, training_log.csv, progress.json
    resume/snapshot-00000813/  config.json, model.safetensors

Each folder is sealed (training/checkpoints/sealed.py). There is no random state: with no dropout, nothing after the
first weights is drawn, and the order of the windows is a function of seed and pass.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file

from mixlab.training.checkpoints.sealed import DIGESTS_FILE, find_fault, remove_partial, write_sealed
from mixlab.training.models.llama import Llama
from mixlab.training.models.shape import WEIGHTS_FILE
from mixlab.training.models.weights import fill_weights, named_weights, write_model, write_tensors
from mixlab.training.optimization.optimizers import OptimizerSet
from mixlab.training.watching.log import LOG_FILE, TrainingLog

logger = logging.getLogger(__name__)

KEPT_STATES = 2
_OPTIMIZER_FILE = "optimizer.safetensors"
_PROGRESS_FILE = "progress.json"


@dataclass(frozen=True)
class Trainee:
    """What a step changes, all of which a state holds."""

    model: Llama
    optimizers: OptimizerSet
    log: TrainingLog


class ResumeFolder:
    """States and snapshots of one run; `run_digest` tells this run from any other."""

    def __init__(self, folder: Path, run_digest: str, snapshot_steps: Iterable[int]) -> None:
        self.folder = folder
        self.run_digest = run_digest
        self._snapshot_steps = sorted(snapshot_steps)
        folder.mkdir(parents=True, exist_ok=True)
        remove_partial(folder)

    def save(self, trainee: Trainee, step: int) -> None:
        """Write the state after `step` and keep the newest two."""

        def fill(folder: Path) -> None:
            weights = {name: weight.detach() for name, weight in named_weights(trainee.model).items()}
            write_tensors(weights, folder / WEIGHTS_FILE)
            write_tensors(trainee.optimizers.state(), folder / _OPTIMIZER_FILE)
            trainee.log.write(folder / LOG_FILE)
            progress = {"run": self.run_digest, "step": step}
            (folder / _PROGRESS_FILE).write_text(json.dumps(progress, sort_keys=True), encoding="utf-8")

        write_sealed(self._state(step), fill)
        for old in self._steps()[KEPT_STATES:]:
            shutil.rmtree(self._state(old))

    def load_newest(self, trainee: Trainee) -> int:
        """Take over the newest whole state and return its step, or 0 when there is none.

        A state that is broken, belongs to another run, or leans on a snapshot that is not whole, is passed over
        with a warning and removed.
        """
        for step in self._steps():
            state = self._state(step)
            fault = self._find_fault(step)
            if fault is None:
                fill_weights(named_weights(trainee.model), load_file(state / WEIGHTS_FILE), state, lambda _: False)
                trainee.optimizers.load_state(load_file(state / _OPTIMIZER_FILE), state)
                trainee.log.read(state / LOG_FILE)
                logger.info("resuming after step %d", step)
                return step
            logger.warning("resume state %s is skipped: %s", state.name, fault)
            shutil.rmtree(state)
        return 0

    def newest(self) -> Path | None:
        """The newest whole state of this run, or None."""
        return next((self._state(step) for step in self._steps() if self._find_fault(step) is None), None)

    def drop_after(self, step: int) -> None:
        """Remove the states after `step`, so that the run goes on from one before."""
        for later in self._steps():
            if later > step:
                shutil.rmtree(self._state(later))

    def save_snapshot(self, model: Llama, step: int) -> None:
        """Keep the model after `step` for the end of the run."""
        write_sealed(self._snapshot(step), lambda folder: write_model(model, folder))

    def hand_over_snapshots(self, out: Path) -> None:
        """Give the snapshots to `out` as last-00 (newest), last-01, ...

        They are linked, not moved: a kill in between leaves the resume folder whole.
        """
        for number, step in enumerate(reversed(self._snapshot_steps)):
            member = out / f"last-{number:02d}"
            member.mkdir(parents=True, exist_ok=True)
            for path in sorted(self._snapshot(step).iterdir()):
                if path.name != DIGESTS_FILE:
                    _link(path, member / path.name)

    def _find_fault(self, step: int) -> str | None:
        state = self._state(step)
        if fault := find_fault(state):
            return fault
        progress = json.loads((state / _PROGRESS_FILE).read_text(encoding="utf-8"))
        if progress["run"] != self.run_digest:
            return "it belongs to a run with other settings or data"
        for needed in self._snapshot_steps:
            if needed <= step and (fault := find_fault(self._snapshot(needed))):
                return f"{self._snapshot(needed).name}: {fault}"
        return None

    def _steps(self) -> list[int]:
        return sorted((int(path.name.removeprefix("state-")) for path in self.folder.glob("state-*")), reverse=True)

    def _state(self, step: int) -> Path:
        return self.folder / f"state-{step:08d}"

    def _snapshot(self, step: int) -> Path:
        return self.folder / f"snapshot-{step:08d}"


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without links.
        shutil.copyfile(source, target)

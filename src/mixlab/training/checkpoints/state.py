"""The resume folder: states to go on from, and the snapshots that the finished run will hand over.

    resume/state-00000120/     model.safetensors, optimizer.safetensors, training_log.csv, progress.json
    resume/snapshot-00000813/  config.json, model.safetensors

Each folder is sealed (training/checkpoints/sealed.py). A state holds the weights that are trained: with lora those of
the adapter, for the others are read again from where the run began. There is no random state: dropout is drawn from
seed and step, and the order of the windows is a function of seed and pass.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file

from mixlab.training.checkpoints.sealed import DIGESTS_FILE, find_fault, list_files, remove_partial, write_sealed
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.lora import write_trained
from mixlab.training.models.shape import WEIGHTS_FILE
from mixlab.training.models.weights import fill_weights, trained_weights, write_tensors
from mixlab.training.optimization.optimizers import OptimizerSet
from mixlab.training.watching.log import LOG_FILE, TrainingLog

logger = logging.getLogger(__name__)

KEPT_STATES = 2
_OPTIMIZER_FILE = "optimizer.safetensors"
_PROGRESS_FILE = "progress.json"


@dataclass(frozen=True)
class Trainee:
    """What a step changes, all of which a state holds."""

    model: CausalModel
    optimizers: OptimizerSet
    log: TrainingLog


class ResumeFolder:
    """States and snapshots of one run; `run_digest` tells it from any other, `snapshots` are members by step."""

    def __init__(self, folder: Path, run_digest: str, snapshots: Mapping[int, str]) -> None:
        self.folder = folder
        self._run_digest = run_digest
        self._snapshots = dict(sorted(snapshots.items()))
        folder.mkdir(parents=True, exist_ok=True)
        remove_partial(folder)

    def save(self, trainee: Trainee, step: int) -> None:
        """Write the state after `step` and keep the newest two."""

        def fill(folder: Path) -> None:
            weights = {name: weight.detach() for name, weight in trained_weights(trainee.model).items()}
            write_tensors(weights, folder / WEIGHTS_FILE)
            write_tensors(trainee.optimizers.state(), folder / _OPTIMIZER_FILE)
            trainee.log.write(folder / LOG_FILE)
            progress = {"run": self._run_digest, "step": step}
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
                fill_weights(trained_weights(trainee.model), load_file(state / WEIGHTS_FILE), state, lambda _: False)
                trainee.optimizers.load_state(load_file(state / _OPTIMIZER_FILE), state)
                trainee.log.read(state / LOG_FILE)
                logger.info("resuming after step %d", step)
                return step
            logger.warning("resume state %s is skipped: %s", state.name, fault)
            shutil.rmtree(state)
        return 0

    def save_snapshot(self, model: CausalModel, step: int) -> None:
        """Keep the model after `step` for the end of the run."""
        write_sealed(self._snapshot(step), lambda folder: write_trained(model, folder))

    def hand_over_snapshots(self, out: Path) -> None:
        """Give the snapshots to `out`, each as the member it is called.

        They are linked, not moved: a kill in between leaves the resume folder whole.
        """
        for step, member in self._snapshots.items():
            for path in list_files(self._snapshot(step)):
                if path.name != DIGESTS_FILE:
                    target = out / member / path.relative_to(self._snapshot(step))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _link(path, target)

    def _find_fault(self, step: int) -> str | None:
        state = self._state(step)
        if fault := find_fault(state):
            return fault
        progress = json.loads((state / _PROGRESS_FILE).read_text(encoding="utf-8"))
        if progress["run"] != self._run_digest:
            return "it belongs to a run with other settings or data"
        for needed in self._snapshots:
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

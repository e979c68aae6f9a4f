"""The resume folder: states to go on from, and the snapshots that the finished run will hand over.

    resume/state-00000120/     model.safetensors, optimizer.safetensors, training_log.csv, progress.json
    resume/snapshot-00000813/  config.json, model.safetensors

Each folder is sealed (training/checkpoints/sealed.py). A state holds the weights that are trained: with lora those of
the adapter, for the others are read again from where the run began. Several ranks write one file each,
model.rank-00001-of-00004 and so on, which together hold the same: float32 weights and optimizer state by the name of
the weight, nothing of ranks or of how they shared the work, so that any number of them and any engine goes on from it.
There is no random state: the order of the windows is a function of seed and pass, dropout of seed, step and place.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mixlab.training.checkpoints.sealed import (
    DIGESTS_FILE,
    find_fault,
    list_files,
    name_part,
    remove_partial,
    write_sealed,
)
from mixlab.training.checkpoints.tensors import StoredTensors
from mixlab.training.engines.engine import Alone, Crew, Engine, assign_names
from mixlab.training.models.in_turn import to_the_end, write_in_turn
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.lora import write_trained
from mixlab.training.watching.log import LOG_FILE, TrainingLog

logger = logging.getLogger(__name__)

KEPT_STATES = 2
_MODEL, _OPTIMIZER = "model", "optimizer"
_PROGRESS_FILE = "progress.json"


@dataclass(frozen=True)
class Trainee:
    """What a step changes, all of which a state holds; `model` gives the shape, its weights lie in the engine."""

    model: CausalModel
    engine: Engine
    log: TrainingLog


class ResumeFolder:
    """States and snapshots of one run; `run_digest` tells it from any other, `snapshots` are members by step.

    With several ranks, every one of them makes every call.
    """

    def __init__(self, folder: Path, run_digest: str, snapshots: Mapping[int, str], rank: int = 0) -> None:
        self.folder = folder
        self.run_digest = run_digest
        self._snapshots = dict(sorted(snapshots.items()))
        if rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            remove_partial(folder)

    def save(self, trainee: Trainee, step: int) -> None:
        """Write the state after `step` and keep the newest two."""
        engine = trainee.engine
        own = assign_names(engine.sizes(), engine.ranks)[engine.rank]

        def fill(folder: Path) -> None:
            with to_the_end(engine.states(own)) as states:
                with to_the_end(engine.weights(own)) as weights:
                    write_in_turn(weights, folder / name_part(_MODEL, engine.rank, engine.ranks))
                write_in_turn(states, folder / name_part(_OPTIMIZER, engine.rank, engine.ranks))
            if engine.rank == 0:
                trainee.log.write(folder / LOG_FILE)
                progress = {"run": self.run_digest, "step": step}
                (folder / _PROGRESS_FILE).write_text(json.dumps(progress, sort_keys=True), encoding="utf-8")

        write_sealed(self._state(step), fill, engine)
        if engine.rank == 0:
            for old in self._steps()[KEPT_STATES:]:
                shutil.rmtree(self._state(old))

    def load_newest(self, trainee: Trainee) -> int:
        """Take over the newest whole state and return its step, or 0 when there is none.

        A state that is broken, belongs to another run, or leans on a snapshot that is not whole, is passed over
        with a warning and removed.
        """
        engine = trainee.engine
        for step in json.loads(engine.share(json.dumps(self._steps()))[0]):
            state = self._state(step)
            fault = self._find_fault(step, engine)
            if fault is None:
                with StoredTensors(state, _MODEL) as weights, StoredTensors(state, _OPTIMIZER) as optimizer:
                    engine.load(weights, optimizer, state)
                trainee.log.read(state / LOG_FILE)
                logger.info("resuming after step %d", step)
                return int(step)
            logger.warning("resume state %s is skipped: %s", state.name, fault)
            engine.share("")  # all have looked at it before one removes it
            if engine.rank == 0:
                shutil.rmtree(state)
        return 0

    def newest(self) -> Path | None:
        """The newest whole state of this run, or None; asked by one rank alone."""
        return next((self._state(step) for step in self._steps() if self._find_fault(step, Alone()) is None), None)

    def drop_after(self, step: int) -> None:
        """Remove the states after `step`, so that the run goes on from one before."""
        for later in self._steps():
            if later > step:
                shutil.rmtree(self._state(later))

    def save_snapshot(self, trainee: Trainee, step: int) -> None:
        """Keep the model after `step` for the end of the run."""
        write_sealed(self._snapshot(step), lambda folder: write_whole(trainee, folder), trainee.engine)

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

    def _find_fault(self, step: int, engine: Crew) -> str | None:
        state = self._state(step)
        if fault := find_fault(state, engine):
            return fault
        progress = json.loads((state / _PROGRESS_FILE).read_text(encoding="utf-8"))
        if progress["run"] != self.run_digest:
            return "it belongs to a run with other settings or data"
        for needed in self._snapshots:
            if needed <= step and (fault := find_fault(self._snapshot(needed), engine)):
                return f"{self._snapshot(needed).name}: {fault}"
        return None

    def _steps(self) -> list[int]:
        names = (path.name.removeprefix("state-") for path in self.folder.glob("state-*"))
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)

    def _state(self, step: int) -> Path:
        return self.folder / f"state-{step:08d}"

    def _snapshot(self, step: int) -> Path:
        return self.folder / f"snapshot-{step:08d}"


def find_newest_step(folder: Path) -> int | None:
    """The step of the newest state in a resume folder, of whichever run; None where there is none."""
    names = (path.name.removeprefix("state-") for path in folder.glob("state-*"))
    return max((int(name) for name in names if name.isdigit()), default=None)


def write_whole(trainee: Trainee, folder: Path) -> None:
    """Write the model into `folder`: the first rank does, one weight after another, with what the others hold of it."""
    engine = trainee.engine
    with to_the_end(engine.weights(list(engine.sizes()) if engine.rank == 0 else [])) as weights:
        if engine.rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            write_trained(trainee.model, weights, folder)


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without links.
        shutil.copyfile(source, target)

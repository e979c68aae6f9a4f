"""Training over a mixture, the same for pretrain, ipt and sft: from start to model, through any kill."""

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mixlab.config.launching import LaunchSettings
from mixlab.config.problems import DataError
from mixlab.config.training import TrainSettings
from mixlab.training.checkpoints.sealed import act_together
from mixlab.training.checkpoints.state import ResumeFolder, Trainee, gather_whole
from mixlab.training.engines.choice import ALONE, ONE, choose_device, open_engine
from mixlab.training.engines.engine import Crew, NamedTensors, Place
from mixlab.training.loading.batches import Stream, Windows
from mixlab.training.loop import Loop, Watcher
from mixlab.training.models.llama import Llama
from mixlab.training.models.weights import NewModel, open_model, write_model
from mixlab.training.optimization.schedule import check_schedule
from mixlab.training.process import (
    ENDINGS,
    Termination,
    deterministic_torch,
    keep_freed_memory,
    kept_random_state,
    watch_termination,
)
from mixlab.training.watching.log import LOG_FILE, TrainingLog

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0


def train(
    settings: TrainSettings,
    windows: Windows,
    out: Path,
    *,
    seed: int,
    start: NewModel | Path,
    resume: Path,
    micro_batch: int,
    threads: int,
    save_every_seconds: float = 300.0,
    save_every_steps: int | None = None,
    watchers: Sequence[Watcher] = (),
    launch: LaunchSettings = ONE,
    place: Place = ALONE,
    overlay: Mapping[str, Any] | None = None,
) -> None:
    """Train over `windows` and write the model (or the snapshots asked for) and training_log.csv into `out`.

    `start` is a model to draw from `seed`, which orders the windows too, or a Hugging Face folder. `micro_batch`
    windows are computed at a time; it changes rounding only. A state is saved in `resume` at most every
    `save_every_seconds`, and after every `save_every_steps`-th step; a run killed at any point goes on from its newest
    whole state, and on one process its result has the same bits as if it had never been killed. On SIGTERM the state
    is saved and SystemExit(143) raised, on SIGUSR1 SystemExit(75). Delete `resume` when `out` is published, not before.

    With `launch` of several ranks every one of them calls this alike, with its own `place`; the first writes `out`.
    `overlay` are DeepSpeed's settings for speed (engines/zero_config.py).
    Raises DataError when data and settings do not fit, or when a loss is not finite (naming the step).
    """
    stream = Stream(len(windows), settings.global_batch_windows, settings.passes, settings.order, seed)
    snapshot_steps = find_snapshot_steps(settings, stream)
    check_schedule(settings.schedule, stream.steps)
    keep_freed_memory()
    device = choose_device(launch, place)
    with deterministic_torch(threads, device.type), kept_random_state(), watch_termination() as termination:
        model = open_model(start, seed)
        _check_length(model, windows)
        digest = _digest_run(settings, seed, windows, start, model)
        with open_engine(model, settings, launch, place, device, overlay or {}) as engine:
            trainee = Trainee(model, engine, TrainingLog())
            folder = ResumeFolder(resume, digest, snapshot_steps, place.rank)
            engine.share("")  # what an earlier attempt left is cleared before any rank looks
            saving = Saving(folder, save_every_seconds, save_every_steps)
            loop = Loop(settings, windows, stream, trainee, micro_batch, watchers)
            _run_steps(loop, saving, set(snapshot_steps), termination)
            weights = {} if snapshot_steps else gather_whole(engine)
            act_together(engine, lambda: _publish(trainee, weights, folder, out) if place.rank == 0 else {})


def _publish(trainee: Trainee, weights: NamedTensors, folder: ResumeFolder, out: Path) -> dict[str, str]:
    """Write the model of `weights`, or the snapshots when there are none, and the log."""
    out.mkdir(parents=True, exist_ok=True)
    if weights:
        write_model(trainee.model, out, weights)
    else:
        folder.hand_over_snapshots(out)
    trainee.log.write(out / LOG_FILE)
    return {}


class Saving:
    """When the resume state is due: by the clock, and by a count of steps when one is given."""

    def __init__(self, folder: ResumeFolder, every_seconds: float, every_steps: int | None) -> None:
        self.folder = folder
        self._every_seconds = every_seconds
        self._every_steps = every_steps
        self._last = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Whether a state is to be saved after `step`, by this rank's clock."""
        by_steps = self._every_steps is not None and step % self._every_steps == 0
        return by_steps or time.monotonic() - self._last >= self._every_seconds

    def save(self, trainee: Trainee, step: int) -> None:
        """Save the state after `step`."""
        self.folder.save(trainee, step)
        self._last = time.monotonic()


def _run_steps(loop: Loop, saving: Saving, snapshot_steps: set[int], termination: Termination) -> None:
    trainee, steps = loop.trainee, loop.stream.steps
    first = saving.folder.load_newest(trainee) + 1
    progress = Progress(steps, first, trainee.log.tokens)
    for step in range(first, steps + 1):
        loss = loop.step(step)
        if step in snapshot_steps:
            saving.folder.save_snapshot(trainee, step)
        code, is_due = agree(trainee.engine, termination.code, saving.is_due(step))
        if code:
            saving.save(trainee, step)
            logger.warning("asked to end: state saved after step %d of %d", step, steps)
            raise SystemExit(code)
        if step < steps and is_due:
            saving.save(trainee, step)
        if trainee.engine.rank == 0:
            progress.report(step, trainee.log.tokens, loss)
    if empty := trainee.log.empty_steps:
        logger.warning("%d of %d steps had no token to learn and moved nothing", empty, steps)
    if empty == steps:
        raise DataError(
            f"mixture: none of its windows has a token to learn (loss: {loop.settings.loss}); for "
            "'response' answers must not lie behind the end of the window: raise sequence_tokens"
        )


def agree(crew: Crew, code: int, is_due: bool) -> tuple[int, bool]:
    """What all ranks do after a step: end with a code when any was asked to, save when it is time by the first's clock.

    A signal may reach one rank alone, or the ranks in different steps; none may wait for another that has left.
    """
    if crew.ranks == 1:
        return code, is_due
    codes = sorted(ENDINGS.values())
    first_is_due = float(is_due and crew.rank == 0)
    *asked, due = crew.sum([*(float(code == one) for one in codes), first_is_due])
    return max((one for one, count in zip(codes, asked, strict=True) if count), default=0), bool(due)


class Progress:
    """A line to the log every few seconds."""

    def __init__(self, steps: int, first: int, tokens: int) -> None:
        self._steps, self._first, self._first_tokens = steps, first, tokens
        self._begin = self._last = time.monotonic()

    def report(self, step: int, tokens: int, loss: float | None) -> None:
        """Log step, loss, speed and the time left, when it is time to or the end."""
        now = time.monotonic()
        if now - self._last < PROGRESS_SECONDS and step < self._steps:
            return
        self._last = now
        seconds = max(now - self._begin, 1e-9)
        left_seconds = seconds / (step - self._first + 1) * (self._steps - step)
        shown = "none" if loss is None else f"{loss:.4f}"
        speed = (tokens - self._first_tokens) / seconds
        logger.info("step %d/%d, loss %s, %.0f tokens/s, %.0f s left", step, self._steps, shown, speed, left_seconds)


def find_snapshot_steps(settings: TrainSettings, stream: Stream) -> list[int]:
    """Steps after which a snapshot is kept, the last step being one; raises DataError when there are too few."""
    if not stream.steps:
        raise DataError("mixture: has no windows, so there is nothing to train on; raise its budget")
    if settings.snapshots is None:
        return []
    every, keep = settings.snapshots.every_steps, settings.snapshots.keep
    possible = (stream.steps - 1) // every + 1
    if possible < keep:
        raise DataError(
            f"snapshots: keep {keep}, one every {every} steps, need {(keep - 1) * every + 1} steps, but the mixture "
            f"gives {stream.steps} ({stream.places} windows, {settings.global_batch_windows} a step), enough for "
            f"{possible}; lower keep or every_steps, or raise the mixture's budget"
        )
    return [stream.steps - number * every for number in reversed(range(keep))]


def _check_length(model: Llama, windows: Windows) -> None:
    if windows.sequence_tokens > model.shape.max_positions:
        raise DataError(
            f"mixture: windows of {windows.sequence_tokens} tokens, but the model's max_positions is "
            f"{model.shape.max_positions}; pack shorter windows or raise max_positions"
        )


def _digest_run(settings: TrainSettings, seed: int, windows: Windows, start: NewModel | Path, model: Llama) -> str:
    """Tell runs apart that must not share a resume folder; cheap, so data count by their number only."""
    began = "folder" if isinstance(start, Path) else start.settings.model_dump(mode="json")
    identity = [
        settings.model_dump(mode="json"),
        seed,
        len(windows),
        windows.sequence_tokens,
        asdict(model.shape),
        began,
    ]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

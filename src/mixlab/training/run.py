"""Training over a mixture, the same for pretrain, ipt and sft: from start to model, through any kill."""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from mixlab.config.problems import DataError
from mixlab.config.training import TrainSettings
from mixlab.training.checkpoints.state import ResumeFolder, Trainee
from mixlab.training.loading.batches import Stream, Windows
from mixlab.training.loop import Loop
from mixlab.training.models.llama import Llama
from mixlab.training.models.weights import NewModel, named_weights, open_model, write_model
from mixlab.training.optimization.optimizers import OptimizerSet
from mixlab.training.process import (
    TERMINATED,
    Termination,
    deterministic_torch,
    keep_freed_memory,
    watch_termination,
)
from mixlab.training.watching.faults import NotFiniteError, explain_not_finite, list_fault, trace
from mixlab.training.watching.flops import step_flops
from mixlab.training.watching.log import LOG_FILE, TrainingLog
from mixlab.training.watching.measures import Meter, find_devices
from mixlab.training.watching.reactions import RolledBack, Spikes
from mixlab.training.watching.validation import VALIDATION_FILE, HeldOut, Validation, name_cells
from mixlab.training.watching.watch import Watch, Watching

logger = logging.getLogger(__name__)


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
    watching: Watching | None = None,
    held_out: HeldOut | None = None,
) -> None:
    """Train over `windows` and write the model (or the snapshots asked for) and training_log.csv into `out`.

    `start` is a model to draw from `seed`, which orders the windows too, or a Hugging Face folder. `micro_batch`
    windows are computed at a time; it changes rounding only. A state is saved in `resume` at most every
    `save_every_seconds`, and after every `save_every_steps`-th step; a run killed at any point goes on from its newest
    whole state, and on one process its result has the same bits as if it had never been killed. On SIGTERM the state
    is saved and SystemExit(143) raised. Delete `resume` when `out` is published, not before. With `held_out`,
    validation_loss.csv is written too; with spikes watched for, loss_spikes.csv.
    Raises DataError when data and settings do not fit, or when a loss is not finite (naming step and data).
    """
    stream = Stream(len(windows), settings.global_batch_windows, settings.passes, settings.order, seed)
    snapshot_steps = find_snapshot_steps(settings, stream)
    keep_freed_memory()
    with deterministic_torch(threads), watch_termination() as termination:

        def prepare() -> Run:
            model = open_model(start, seed)
            _check_length(model, windows)
            optimizers = OptimizerSet(settings.optimizer, dict(named_weights(model)))
            trainee = Trainee(model, optimizers, TrainingLog())
            folder = ResumeFolder(resume, _digest_run(settings, seed, windows, start, model), snapshot_steps)
            saving = Saving(folder, save_every_seconds, save_every_steps)
            loop = Loop(settings, windows, stream, trainee, micro_batch)
            validation = None if held_out is None else Validation(held_out, stream.steps, resume)
            return Run(loop, saving, set(snapshot_steps), windows, watching or Watching(), validation)

        run = _run_through(prepare, termination)
    out.mkdir(parents=True, exist_ok=True)
    if snapshot_steps:
        run.saving.folder.hand_over_snapshots(out)
    else:
        write_model(run.loop.trainee.model, out)
    run.write_tables(out)


class Saving:
    """When the resume state is due: by the clock, and by a count of steps when one is given."""

    def __init__(self, folder: ResumeFolder, every_seconds: float, every_steps: int | None) -> None:
        self.folder = folder
        self._every_seconds = every_seconds
        self._every_steps = every_steps
        self._last = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Whether a state is to be saved after `step`."""
        by_steps = self._every_steps is not None and step % self._every_steps == 0
        return by_steps or time.monotonic() - self._last >= self._every_seconds

    def save(self, trainee: Trainee, step: int) -> None:
        """Save the state after `step`."""
        self.folder.save(trainee, step)
        self._last = time.monotonic()


class Run:
    """One process of a run, from the newest state to the end."""

    def __init__(
        self,
        loop: Loop,
        saving: Saving,
        snapshot_steps: set[int],
        windows: Windows,
        watching: Watching,
        validation: Validation | None,
    ) -> None:
        self.loop, self.saving = loop, saving
        self._snapshot_steps = snapshot_steps
        self._windows = windows
        self._watching = watching
        self._validation = validation
        self._spikes = Spikes(loop.settings.spikes, saving.folder.folder, saving.folder.run_digest, watching.is_first)

    def go(self, termination: Termination) -> None:
        """Run every step that is left.

        Raises RolledBack when the run has to go on from an older state, which another Run does.
        """
        done = self.saving.folder.load_newest(self.loop.trainee)
        self._spikes.resume(self.loop.trainee.log.losses())
        meter = Meter(
            find_devices(peak_flops=self._watching.tracking.peak_flops), _count_flops(self.loop.trainee.model)
        )
        watch = Watch(self._watching, meter, self.loop.stream.steps, done + 1)
        try:
            self._run_steps(done, watch, termination)
        except BaseException:
            watch.close(finished=False)
            raise
        watch.close(finished=True)

    def _run_steps(self, done: int, watch: Watch, termination: Termination) -> None:
        trainee, saving, steps = self.loop.trainee, self.saving, self.loop.stream.steps
        if self._validation is not None:
            self._validation.resume(done)
        self._validate(done, watch)
        for step in range(done + 1, steps + 1):
            self._step(step, watch)
            if step in self._snapshot_steps:
                saving.folder.save_snapshot(trainee.model, step)
            if termination.asked:
                saving.save(trainee, step)
                logger.warning("asked to end: state saved after step %d of %d", step, steps)
                raise SystemExit(TERMINATED)
            if step < steps and saving.is_due(step):
                saving.save(trainee, step)
            # last, since it may take long and a resumed run makes up for it
            self._validate(step, watch)
        if empty := trainee.log.empty_steps:
            logger.warning("%d of %d steps had no token to learn and moved nothing", empty, steps)
        if empty == steps:
            raise DataError(
                f"mixture: none of its windows has a token to learn (loss: {self.loop.settings.loss}); for "
                "'response' answers must not lie behind the end of the window: raise sequence_tokens"
            )

    def _step(self, step: int, watch: Watch) -> None:
        if step in self._spikes.skipped:
            self.loop.skip(step)
            return
        try:
            report = self.loop.step(step)
        except NotFiniteError as error:
            origins, folder = trace(self._windows, error.report.windows), self.saving.folder
            watch.note("not_finite", list_fault(error.report, origins))
            rate = self.loop.trainee.optimizers.rate
            raise explain_not_finite(error.report, origins, rate, folder.newest(), watch.metrics) from None
        watch.step(report)
        self._spikes.look(report, watch, self.saving.folder.drop_after)

    def _validate(self, step: int, watch: Watch) -> None:
        if self._validation is not None and self._validation.is_due(step):
            watch.validation(step, name_cells(self.loop.validate(self._validation, step)))

    def write_tables(self, out: Path) -> None:
        """Write what is known of every step."""
        log = self.loop.trainee.log
        log.write(out / LOG_FILE)
        self._spikes.write(out, log.losses())
        if self._validation is not None:
            self._validation.write(out / VALIDATION_FILE)


def _run_through(prepare: Callable[[], Run], termination: Termination) -> Run:
    """Run to the end, from the newest state again after each rollback."""
    while True:
        run = prepare()
        try:
            run.go(termination)
        except RolledBack as error:
            logger.warning("%s", error)
        else:
            return run


def _count_flops(model: Llama) -> Callable[[int, int], int]:
    shape = model.shape
    looked_up = 0 if shape.tie_embeddings else shape.vocab_size * shape.hidden_size
    parameters = sum(weight.numel() for weight in named_weights(model).values()) - looked_up
    return partial(step_flops, parameters, shape.layers, shape.heads * shape.head_size)


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

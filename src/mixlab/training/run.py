"""Training over a mixture, the same for pretrain, ipt and sft: from start to model, through any kill."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from mixlab.config.kernels import KernelSettings
from mixlab.config.launching import LaunchSettings
from mixlab.config.model_flops import LoraShape, count_training_flops, parse_decoder_shape
from mixlab.config.problems import DataError
from mixlab.config.training import TrainSettings
from mixlab.training.checkpoints.sealed import act_together
from mixlab.training.checkpoints.state import ResumeFolder, Trainee, write_whole
from mixlab.training.engines.choice import ALONE, ONE, build_engine, check_launch, choose_device, join_ranks
from mixlab.training.engines.engine import Crew, Place
from mixlab.training.loading.batches import Stream, Windows
from mixlab.training.loop import Loop
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.lora import add_adapter
from mixlab.training.models.weights import NewModel, Settle, open_model
from mixlab.training.optimization.schedule import check_schedule
from mixlab.training.process import (
    ENDINGS,
    Termination,
    deterministic_torch,
    free_memory,
    keep_freed_memory,
    kept_random_state,
    return_freed_memory,
    watch_termination,
)
from mixlab.training.steps import Watcher
from mixlab.training.watching.faults import NotFiniteError, explain_not_finite, list_fault, trace
from mixlab.training.watching.log import LOG_FILE, TrainingLog
from mixlab.training.watching.measures import CountFlops, Meter, find_devices
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
    kernels: KernelSettings | None = None,
    launch: LaunchSettings = ONE,
    place: Place = ALONE,
    overlay: Mapping[str, Any] | None = None,
    watching: Watching | None = None,
    watchers: Sequence[Watcher] = (),
    held_out: HeldOut | None = None,
) -> None:
    """Train over `windows` and write the model (or the snapshots asked for) and training_log.csv into `out`.

    `start` is a model to draw from `seed`, which orders the windows too, or a Hugging Face folder. `micro_batch`
    windows are computed at a time; it changes rounding only, but with dropout other numbers are drawn. A state is saved
    in `resume` at most every `save_every_seconds`, and after every `save_every_steps`-th step; a run killed at any
    point goes on from its newest whole state, and on one process its result has the same bits as if it had never been
    killed. On SIGTERM the state is saved and SystemExit(143) raised, on SIGUSR1 SystemExit(75). Delete `resume` when
    `out` is published, not before.

    With `launch` of several ranks every one of them calls this alike, with its own `place`; the first writes `out`.
    `overlay` are DeepSpeed's settings for speed (engines/zero_config.py). With `held_out`, validation_loss.csv is
    written too; with spikes watched for, loss_spikes.csv. `watchers` are told of each step, on every rank.
    Raises DataError when data and settings do not fit, or when a loss is not finite (naming step and data).
    """
    passes = settings.count_passes(len(windows))
    stream = Stream(len(windows), settings.global_batch_windows, passes, settings.order, seed)
    snapshots = find_snapshots(settings, stream)
    check_schedule(settings.schedule, stream.steps)
    check_launch(settings, launch)
    device = choose_device(launch, place)
    watching = watching or Watching()
    watching = replace(watching, is_first=watching.is_first and place.rank == 0)
    with (
        deterministic_torch(threads, device.type),
        kept_random_state(),
        watch_termination() as termination,
        join_ranks(launch, place, device) as group,
    ):

        def begin(settle: Settle) -> CausalModel:
            model = open_model(start, seed, kernels, settle)
            _check_length(model, windows)
            if settings.lora is not None:
                add_adapter(model, settings.lora, start, seed, settle)
            return model

        def build() -> TrainingAttempt:
            return_freed_memory()
            model, engine = build_engine(begin, settings, launch, place, device, overlay or {}, group)
            digest = _digest_run(settings, seed, windows, start, model)
            folder = ResumeFolder(resume, digest, snapshots, place.rank)
            engine.share("")  # what an earlier attempt left is cleared before any rank looks
            loop = Loop(settings, windows, stream, Trainee(model, engine, TrainingLog()), micro_batch)
            validation = None
            if held_out is not None:
                validation = Validation(held_out, stream.steps, resume, is_first=place.rank == 0)
            saving = Saving(folder, save_every_seconds, save_every_steps)
            return TrainingAttempt(loop, saving, set(snapshots), windows, watching, validation, watchers)

        while not _attempt(build, out, termination):
            free_memory(device)


def _attempt(build: Callable[[], "TrainingAttempt"], out: Path, termination: Termination) -> bool:
    """Run to the end and write into `out`; False when the run has to go on from an older state, with a new model."""
    run = build()
    engine = run.loop.trainee.engine
    try:
        run.go(termination)
    except RolledBack as error:
        logger.warning("%s", error)
        engine.share("")  # what is rolled back is gone before any rank looks again
        return False
    act_together(engine, partial(_publish, run, out))
    return True


def _publish(run: "TrainingAttempt", out: Path) -> dict[str, str]:
    """Write the model, or the snapshots where they are asked for, and the log; the first rank does."""
    trainee = run.loop.trainee
    if run.loop.settings.snapshots is None:
        write_whole(trainee, out)
    if trainee.engine.rank == 0:
        out.mkdir(parents=True, exist_ok=True)
        run.saving.folder.hand_over_snapshots(out)
        run.write_tables(out)
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


class TrainingAttempt:
    """One attempt at a run, as one rank sees it: from the newest state to the end, or to an older state."""

    def __init__(
        self,
        loop: Loop,
        saving: Saving,
        snapshot_steps: set[int],
        windows: Windows,
        watching: Watching,
        validation: Validation | None,
        watchers: Sequence[Watcher],
    ) -> None:
        self.loop, self.saving = loop, saving
        self._snapshot_steps = snapshot_steps
        self._windows = windows
        self._watching = watching
        self._watchers = watchers
        self._validation = validation
        self._spikes = Spikes(loop.settings.spikes, saving.folder.folder, saving.folder.run_digest, watching.is_first)

    def go(self, termination: Termination) -> None:
        """Run every step that is left.

        Raises RolledBack when the run has to go on from an older state, which another attempt does.
        """
        done = self.saving.folder.load_newest(self.loop.trainee)
        keep_freed_memory()
        self._spikes.resume(self.loop.trainee.log.losses())
        engine, peak = self.loop.trainee.engine, self._watching.tracking.peak_flops
        dtype = self.loop.settings.dtype
        devices = find_devices(engine.ranks, peak, dtype, cuda=engine.device.type == "cuda")
        meter = Meter(devices, build_flops_counter(self.loop.trainee.model, self.loop.settings))
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
                saving.folder.save_snapshot(trainee, step)
            code, is_due = agree(trainee.engine, termination.code, saving.is_due(step))
            if code:
                saving.save(trainee, step)
                logger.warning("asked to end: state saved after step %d of %d", step, steps)
                raise SystemExit(code)
            if step < steps and is_due:
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
            rate = self.loop.trainee.engine.rate
            raise explain_not_finite(error.report, origins, rate, folder.newest(), watch.metrics) from None
        watch.step(report)
        for watcher in self._watchers:
            watcher(report)
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


def build_flops_counter(model: CausalModel, settings: TrainSettings) -> CountFlops | None:
    """Model FLOPs of a step from its tokens, squared tokens and targets; None where no formula is known."""
    try:
        shape = parse_decoder_shape(model.shape.describe())
    except ValueError:
        return None
    lora = None if settings.lora is None else LoraShape(settings.lora.rank, tuple(settings.lora.targets))
    return lambda tokens, squared, targets: count_training_flops(shape, tokens, squared, head_tokens=targets, lora=lora)


def find_snapshots(settings: TrainSettings, stream: Stream) -> dict[int, str]:
    """Steps after which a snapshot is kept, and the member it becomes: last-00 (newest), ... or epoch-1, ...

    Raises DataError when there are too few steps for those asked for.
    """
    if not stream.steps:
        raise DataError("mixture: has no windows, so there is nothing to train on; raise its budget")
    if settings.keep_epochs:
        return _find_epochs(settings, stream)
    if settings.snapshots is None:
        return {}
    every, keep = settings.snapshots.every_steps, settings.snapshots.keep
    possible = (stream.steps - 1) // every + 1
    if possible < keep:
        raise DataError(
            f"snapshots: keep {keep}, one every {every} steps, need {(keep - 1) * every + 1} steps, but the mixture "
            f"gives {stream.steps} ({stream.places} windows, {settings.global_batch_windows} a step), enough for "
            f"{possible}; lower keep or every_steps, or raise the mixture's budget"
        )
    return {stream.steps - number * every: f"last-{number:02d}" for number in range(keep)}


def _find_epochs(settings: TrainSettings, stream: Stream) -> dict[int, str]:
    """The step in which each whole pass before the last ends; a part of a pass at the end is no pass."""
    seen = f"the run sees {stream.places} windows of a mixture of {stream.windows}, {stream.global_batch} a step"
    whole = (stream.places - 1) // stream.windows
    if not whole:
        raise DataError(f"keep_epochs: {seen}, so no pass ends before the last; raise steps or passes")
    ends = {-(-number * stream.windows // stream.global_batch): f"epoch-{number}" for number in range(1, whole + 1)}
    if len(ends) < whole:
        raise DataError(f"keep_epochs: {seen}, so that two passes end in one step; lower global_batch_windows")
    return ends


def _check_length(model: CausalModel, windows: Windows) -> None:
    if windows.sequence_tokens > model.shape.max_positions:
        raise DataError(
            f"mixture: windows of {windows.sequence_tokens} tokens, but the model's max_positions is "
            f"{model.shape.max_positions}; pack shorter windows or raise max_positions"
        )


def _digest_run(
    settings: TrainSettings, seed: int, windows: Windows, start: NewModel | Path, model: CausalModel
) -> str:
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

"""TensorBoard and Weights & Biases, imported only where they are asked for."""

import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mixlab.config.problems import ConfigError, Problem
from mixlab.config.tracking import TrackingSettings, WandbSettings

TENSORBOARD_FOLDER = "tensorboard"


class Tracker(Protocol):
    """Something that keeps numbers by step."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keep numbers of one step, by names like `training/loss`."""

    def close(self) -> None:
        """Write what is not yet written."""


def open_trackers(settings: TrackingSettings, folder: Path, name: str, label: str, first_step: int) -> list[Tracker]:
    """Open the trackers asked for; their files lie below `folder`, `name` (stage/key) tells runs apart.

    `first_step` is the step this process begins with: of those that an earlier one reached beyond it, TensorBoard
    shows the newer. Raises ConfigError, naming what to install, when a library is missing.
    """
    trackers: list[Tracker] = []
    if settings.tensorboard:
        trackers.append(TensorBoard(folder / TENSORBOARD_FOLDER / name, first_step))
    if settings.wandb is not None:
        trackers.append(WeightsAndBiases(settings.wandb, folder, name, label))
    return trackers


def _import(module: str, key: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        message = f"is asked for, but {error.name} is not installed: pip install 'mixlab[{key}]', or remove it"
        raise ConfigError(Problem(message, key=f"machine.tracking.{key}")) from None


class TensorBoard:
    """Event files of TensorBoard; its own writer, without torch's, which imports half of torch.utils."""

    def __init__(self, folder: Path, first_step: int) -> None:
        writer = _import("tensorboard.summary.writer.event_file_writer", "tensorboard")
        events = _import("tensorboard.compat.proto.event_pb2", "tensorboard")
        self._summaries = _import("tensorboard.compat.proto.summary_pb2", "tensorboard")
        self._event = events.Event
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = writer.EventFileWriter(str(folder))
        started = events.SessionLog(status=events.SessionLog.START)
        # A reader drops what older files hold of this step and later ones.
        self._writer.add_event(events.Event(wall_time=time.time(), step=first_step, session_log=started))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add one event with all values of a step."""
        parts = [self._summaries.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        summary = self._summaries.Summary(value=parts)
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()


class WeightsAndBiases:
    """One run of W&B, in its own folder `wandb` below `folder`; its id is stage and key, so that a restart goes on.

    Raises ConfigError when W&B refuses, as it does online without a login.
    """

    def __init__(self, settings: WandbSettings, folder: Path, name: str, label: str) -> None:
        library = _import("wandb", "wandb")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = library.init(
                project=settings.project,
                entity=settings.entity,
                mode=settings.mode,
                dir=str(folder),
                id=name.replace("/", "-"),
                name=label or name,
                resume="allow",
                # Code, console and git stay here; W&B adds the list of packages and the load of the machine by itself.
                settings=library.Settings(disable_code=True, disable_git=True, console="off"),
            )
        except library.Error as error:
            message = f"cannot be started: {error}; run `wandb login`, or write `mode: offline`"
            raise ConfigError(Problem(message, key="machine.tracking.wandb")) from None
        # W&B's own counter refuses to go back, and a restart computes some steps again.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send one row."""
        self._run.log({"step": step, **values})

    def close(self) -> None:
        """End the run."""
        self._run.finish()

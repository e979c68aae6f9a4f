"""What every rank of a training is told, as one JSON file in the attempt's folder."""

from pathlib import Path
from typing import Any

from mixlab.config.base import Settings
from mixlab.config.held_out import ValidationSettings
from mixlab.config.kernels import KernelSettings
from mixlab.config.launching import LaunchSettings
from mixlab.config.tracking import TrackingSettings
from mixlab.config.training import TrainSettings
from mixlab.data.mixtures.windows import MixtureWindows, PackWindows
from mixlab.training.engines.engine import Place
from mixlab.training.models.weights import NewModel
from mixlab.training.run import train
from mixlab.training.watching.validation import HeldOut
from mixlab.training.watching.watch import Watching

JOB_FILE = "job.json"
CODE_FILE = "code.json"
"""Beside the job: the files of mixlab that its first rank had loaded."""


class RankJob(Settings):
    """The arguments of one training; every rank opens the data for itself."""

    settings: TrainSettings
    seed: int
    start: NewModel | Path
    mixture: Path
    packs: tuple[Path, ...]
    stores: tuple[Path, ...]
    out: Path
    resume: Path
    micro_batch: int
    threads: int
    save_every_seconds: float
    launch: LaunchSettings
    overlay: dict[str, Any]
    kernels: KernelSettings = KernelSettings()
    metrics: Path | None = None
    name: str = "run"
    label: str = ""
    tracking: TrackingSettings = TrackingSettings()
    validation: ValidationSettings | None = None
    validation_packs: tuple[Path, ...] = ()
    validation_stores: tuple[Path, ...] = ()

    def run(self, place: Place) -> None:
        """Train, as the rank at `place`."""
        train(
            self.settings,
            MixtureWindows(self.mixture, self.packs, self.stores),
            self.out,
            seed=self.seed,
            start=self.start,
            resume=self.resume,
            micro_batch=self.micro_batch,
            threads=self.threads,
            save_every_seconds=self.save_every_seconds,
            kernels=self.kernels,
            launch=self.launch,
            place=place,
            overlay=self.overlay,
            watching=self.watching,
            held_out=self._open_held_out(),
        )

    @property
    def watching(self) -> Watching:
        """Where the run is watched."""
        return Watching(self.metrics, self.name, self.label, self.tracking)

    def _open_held_out(self) -> HeldOut | None:
        if self.validation is None:
            return None
        pairs = zip(self.validation_packs, self.validation_stores, strict=True)
        return HeldOut(self.validation, [PackWindows(pack, store) for pack, store in pairs])

    def write(self, folder: Path) -> Path:
        """Write the job into `folder` for its ranks."""
        path = folder / JOB_FILE
        path.write_text(self.model_dump_json(), encoding="utf-8")
        return path


def read_job(path: Path) -> RankJob:
    """Read what `write` wrote."""
    return RankJob.model_validate_json(path.read_text(encoding="utf-8"))

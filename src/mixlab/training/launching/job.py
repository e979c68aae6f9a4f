"""What every rank of a training is told, as one JSON file in the attempt's folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixlab.config.base import Settings
from mixlab.config.kernels import KernelSettings
from mixlab.config.launching import LaunchSettings
from mixlab.config.training import TrainSettings
from mixlab.data.mixtures.windows import MixtureWindows
from mixlab.training.engines.engine import Place
from mixlab.training.loop import Watcher
from mixlab.training.models.weights import NewModel
from mixlab.training.run import train

JOB_FILE = "job.json"


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
    kernels: KernelSettings
    launch: LaunchSettings
    overlay: dict[str, Any]

    def run(self, place: Place, watchers: Sequence[Watcher] = ()) -> None:
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
            watchers=watchers,
            launch=self.launch,
            place=place,
            overlay=self.overlay,
        )

    def write(self, folder: Path) -> Path:
        """Write the job into `folder` for its ranks."""
        path = folder / JOB_FILE
        path.write_text(self.model_dump_json(), encoding="utf-8")
        return path


def read_job(path: Path) -> RankJob:
    """Read what `write` wrote."""
    return RankJob.model_validate_json(path.read_text(encoding="utf-8"))

"""A mixture on disk and a training over it in several processes, for the tests beside it; also run as a program."""

import sys
from pathlib import Path

from store_fakes import write_fake_store

from mixlab.config.launching import LaunchSettings
from mixlab.config.mixtures import MixtureSettings
from mixlab.config.models import ModelSettings
from mixlab.config.problems import UserError
from mixlab.config.tokenizers import PackSettings
from mixlab.config.training import TrainSettings
from mixlab.data.mixtures.mixing import build_mixture
from mixlab.data.packs.packing import write_pack
from mixlab.stages.training import run_job
from mixlab.training.launching.job import RankJob, read_job
from mixlab.training.models.weights import NewModel

MODEL = {"hidden_size": 16, "layers": 1, "heads": 2, "feed_forward": 24, "max_positions": 64}


def build_job(folder: Path, *, vocab_size: int = 300, passes: int = 1, **launch: object) -> RankJob:
    """A training over 13 windows of at most 16 tokens."""
    store = write_fake_store(folder / "store", [9, 14, 16, 7, 12, 16, 5, 11, 16, 8, 3, 10, 15], [])
    for name in ("pack", "mixture", "out", "resume"):
        (folder / name).mkdir()
    write_pack(PackSettings(sequence_tokens=16, layout="packed"), store, "raw", folder / "pack")
    sources = [{"kind": "raw", "language": "en"}]
    mixture = MixtureSettings.model_validate({"sources": sources, "budget": {"epochs": 1}})
    build_mixture(mixture, [folder / "pack"], folder / "mixture")
    settings = {
        "optimizer": {"name": "adamw", "learning_rate": 0.001},
        "schedule": {"name": "constant"},
        "global_batch_windows": 4,
        "passes": passes,
    }
    return RankJob(
        settings=TrainSettings.model_validate(settings),
        seed=5,
        start=NewModel(ModelSettings.model_validate(MODEL), vocab_size),
        mixture=folder / "mixture",
        packs=(folder / "pack",),
        stores=(folder / "store",),
        out=folder / "out",
        resume=folder / "resume",
        micro_batch=2,
        threads=1,
        save_every_seconds=0.01,
        launch=LaunchSettings.model_validate({"device": "cpu", "processes_per_node": 2} | launch),
        overlay={},
    )


if __name__ == "__main__":
    try:
        run_job(read_job(Path(sys.argv[1])))
    except UserError as error:
        sys.exit(f"mixlab: {error}")

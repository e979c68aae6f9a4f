"""What the hosts of pretrain, ipt and sft share: one trainer, fed from a mixture."""

from collections.abc import Mapping
from pathlib import Path

from mixlab.config.training import TrainSettings
from mixlab.data.mixtures.windows import MixtureWindows
from mixlab.stages.job import Inputs
from mixlab.training.models.weights import NewModel
from mixlab.training.run import train


def train_on_mixture(
    settings: TrainSettings, seed: int, start: NewModel | Path, inputs: Inputs, out: Path
) -> Mapping[str, str]:
    """Train `start` on the mixture of a node; return what provenance is to say of the run beside the usual."""
    if settings.trainer is not None:
        # exports, configuration and tokenizers, which our own trainer has no use for
        from mixlab.stages.external import train_outside

        return train_outside(settings, settings.trainer, seed, start, inputs, out)
    train(
        settings,
        MixtureWindows(inputs.one("mixture"), inputs.all("packs"), inputs.all("stores")),
        out,
        seed=seed,
        start=start,
        resume=inputs.resume,
        micro_batch=inputs.machine.micro_batch_windows,
        threads=inputs.threads,
        save_every_seconds=inputs.machine.checkpoint_seconds,
    )
    return {}

"""What the hosts of pretrain, ipt and sft share: one trainer, fed from a mixture."""

from pathlib import Path

from mixlab.config.held_out import ValidationSettings
from mixlab.config.training import TrainSettings
from mixlab.data.mixtures.windows import MixtureWindows, PackWindows
from mixlab.stages.job import Inputs
from mixlab.training.models.weights import NewModel
from mixlab.training.run import train
from mixlab.training.watching.metrics import read_facts
from mixlab.training.watching.validation import HeldOut
from mixlab.training.watching.watch import Watching


def train_on_mixture(
    settings: TrainSettings,
    validation: ValidationSettings | None,
    seed: int,
    start: NewModel | Path,
    inputs: Inputs,
    out: Path,
) -> dict[str, str]:
    """Train `start` on the mixture of a node, with the machine's micro-batch and threads; return facts of the run."""
    node = inputs.node
    watching = Watching(inputs.metrics, f"{node.stage}/{node.key}", node.label, inputs.machine.tracking)
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
        watching=watching,
        held_out=None if validation is None else _open_held_out(validation, inputs),
    )
    return read_facts(watching.metrics) if watching.metrics is not None else {}


def _open_held_out(settings: ValidationSettings, inputs: Inputs) -> HeldOut:
    pairs = zip(inputs.all("validation"), inputs.all("validation_stores"), strict=True)
    return HeldOut(settings, [PackWindows(pack, store) for pack, store in pairs])

"""Host of stage ipt."""

from collections.abc import Mapping
from pathlib import Path

from mixlab.plan.specs import IptSpec
from mixlab.stages.job import Inputs
from mixlab.stages.training import train_on_mixture


def run(spec: IptSpec, inputs: Inputs, out: Path) -> Mapping[str, str]:
    """Go on training the base model on raw and instruction data, and keep the last snapshots."""
    return train_on_mixture(spec.training, spec.validation, spec.ipt_seed, inputs.one("base_model"), inputs, out)

"""Host of stage sft."""

from collections.abc import Mapping
from pathlib import Path

from mixlab.plan.specs import SftSpec
from mixlab.stages.job import Inputs
from mixlab.stages.training import train_on_mixture


def run(spec: SftSpec, inputs: Inputs, out: Path) -> Mapping[str, str]:
    """Fine-tune a model on dialogues."""
    return train_on_mixture(spec.training, spec.validation, spec.sft_seed, inputs.one("model"), inputs, out)

"""Host of stage average."""

from pathlib import Path

from mixlab.plan.specs import AverageSpec
from mixlab.stages.job import Inputs
from mixlab.training.averaging.mean import average


def run(spec: AverageSpec, inputs: Inputs, out: Path) -> None:
    """Write the mean of the snapshots that are its parents."""
    average(inputs.all("snapshots"), out, spec.averaging)

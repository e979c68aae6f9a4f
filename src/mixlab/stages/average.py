"""Host of stage average."""

from collections.abc import Mapping
from pathlib import Path

from mixlab.plan.specs import AverageSpec, IptSpec
from mixlab.stages.job import Inputs
from mixlab.training.averaging.mean import average
from mixlab.training.averaging.record import describe


def run(spec: AverageSpec, inputs: Inputs, out: Path) -> Mapping[str, str]:
    """Write the mean of the snapshots that are its parents; tell for its provenance which snapshots these are."""
    base = inputs.one("base_model") if spec.averaging.delta_scale is not None else None
    every_steps = _find_distance(inputs)
    average(inputs.all("snapshots"), out, spec.averaging, base=base, every_steps=every_steps)
    return {"averaging": describe(spec.averaging, every_steps)}


def _find_distance(inputs: Inputs) -> int | None:
    """Return how many steps lie between two snapshots, as the run that kept them was told."""
    run = inputs.specs["snapshots"][0]
    kept = run.training.snapshots if isinstance(run, IptSpec) else None
    return kept.every_steps if kept is not None else None

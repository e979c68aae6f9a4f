"""Host of stage contamination."""

from pathlib import Path

from mixlab.data.overlap.contamination import write_contamination
from mixlab.plan.specs import ContaminationSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import open_dataset, read_source


def run(spec: ContaminationSpec, inputs: Inputs, out: Path) -> None:
    """Write which records of a source hold parts of which benchmark items."""
    benchmarks = zip(inputs.specs["benchmarks"], inputs.all("benchmarks"), strict=True)
    items = [read_source(one, folder, inputs) for one, folder in benchmarks]
    write_contamination(spec.contamination, open_dataset(inputs).numbered(), items, out)

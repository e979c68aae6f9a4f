"""Host of stage counts."""

from pathlib import Path

from mixlab.plan.specs import CountsSpec
from mixlab.report.counts import write_counts
from mixlab.stages.job import Inputs


def run(spec: CountsSpec, inputs: Inputs, out: Path) -> None:
    """Write the tables of samples and tokens of a study's token stores."""
    write_counts(spec.counts, inputs.all("stores"), out)

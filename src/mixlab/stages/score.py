"""Host of stage score."""

from pathlib import Path

from mixlab.evaluation.scoring import write_scores
from mixlab.plan.specs import ScoreSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import read_source


def run(spec: ScoreSpec, inputs: Inputs, out: Path) -> dict[str, str]:
    """Score a model's responses to a benchmark, item by item; what kept tested code apart is a fact of the run."""
    items = read_source(inputs.spec("items"), inputs.one("items"), inputs)
    # more programs at a time than the job has cores would run into their limits of wall time
    workers, require = min(inputs.machine.sandbox_workers, inputs.threads), inputs.machine.sandbox_require
    sandbox = write_scores(spec.scoring, items, inputs.one("responses"), out, workers=workers, require=require)
    return {} if sandbox is None else {"sandbox": sandbox}

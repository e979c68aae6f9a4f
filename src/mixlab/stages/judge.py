"""Host of stage judge."""

from pathlib import Path

from mixlab.evaluation.judging import write_verdicts
from mixlab.plan.specs import JudgeSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import read_source


def run(spec: JudgeSpec, inputs: Inputs, out: Path) -> None:
    """Rate a model's responses, turn by turn."""
    items = read_source(inputs.spec("items"), inputs.one("items"), inputs)
    write_verdicts(spec.judge, items, inputs.one("responses"), spec.judge_run, out)

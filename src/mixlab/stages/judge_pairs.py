"""Host of stage judge_pairs: a model compares two models' answers, by way of an endpoint and the store of verdicts."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mixlab.plan.specs import JudgePairsSpec
from mixlab.stages.job import Inputs
from mixlab.stages.judge import ask_model
from mixlab.stages.source import read_source


def run(spec: JudgePairsSpec, inputs: Inputs, out: Path) -> Mapping[str, str]:
    """Compare the answers of two models, turn by turn and in both orders."""
    from mixlab.evaluation.judges.pair_judge import write_comparisons

    items = read_source(inputs.spec("items"), inputs.one("items"), inputs)
    responses = inputs.one("responses_a"), inputs.one("responses_b")
    write = partial(write_comparisons, spec.judge, items, responses, spec.judge_run, out, work=inputs.resume)
    return ask_model(spec.judge, inputs, write)

"""What stage generate asks: items of a source as they are, or what a task of lm-eval makes of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from mixlab.config.engines import HfEngineSettings
from mixlab.config.lm_eval import PROMPT
from mixlab.config.lm_eval_task import LIKELIHOODS
from mixlab.config.problems import ConfigError
from mixlab.data.records import Record
from mixlab.generation.engine import Engine
from mixlab.generation.lm_eval_tasks import Question, list_questions
from mixlab.plan.specs import GenerateSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import read_source

_PAIRS = "pairs"


def read_asked(spec: GenerateSpec, inputs: Inputs) -> tuple[Iterable[Record], Iterable[Record]]:
    """Return the items that are asked and the worked examples; a task's contexts hold their examples already."""
    items = read_source(inputs.spec("items"), inputs.one("items"), inputs)
    shown = "examples" in inputs.folders
    examples = read_source(inputs.spec("examples"), inputs.one("examples"), inputs) if shown else ()
    if spec.lm_eval is None:
        return items, examples
    questions = list_questions(spec.lm_eval, list(items), list(examples), spec.prompt.limit)
    return [{"id": one.item, PROMPT: one.context, _PAIRS: one.pairs} for one in questions], ()


def asks_likelihoods(spec: GenerateSpec) -> bool:
    """Whether given texts are to be weighed."""
    return spec.lm_eval is not None and spec.lm_eval.task.output_type in LIKELIHOODS


def weigh(engine: Engine, spec: GenerateSpec, asked: Iterable[Record], out: Path, work: Path) -> Mapping[str, str]:
    """Write how likely the engine finds the texts that a task offers."""
    # torch takes seconds to import, and a served model needs none
    from mixlab.generation.likelihoods import Weigher, write_likelihoods

    if not isinstance(spec.engine, HfEngineSettings):
        raise ConfigError(f"engine {spec.engine.engine} gives no likelihoods; only hf does")
    questions = [Question(one["id"], pairs=one[_PAIRS]) for one in asked]
    return write_likelihoods(cast("Weigher", cast("Any", engine)), spec.prompt.sampling, questions, out, work)

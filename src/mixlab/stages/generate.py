"""Host of stage generate: one engine serves all benchmarks of a model."""

from pathlib import Path

from mixlab.generation.hf import open_engine
from mixlab.generation.run import write_responses
from mixlab.plan.specs import GenerateSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import read_source


def run(spec: GenerateSpec, inputs: Inputs, out: Path) -> None:
    """Write a model's responses to a benchmark."""
    model, tokenizer = inputs.one("model"), inputs.one("tokenizer")
    engine = inputs.session.once(
        ("engine", model, tokenizer, spec.engine),
        lambda: open_engine(
            model, tokenizer, spec.engine, threads=inputs.threads, batch=inputs.machine.generation_batch
        ),
    )
    items = read_source(inputs.spec("items"), inputs.one("items"), inputs)
    shown = "examples" in inputs.folders
    examples = read_source(inputs.spec("examples"), inputs.one("examples"), inputs) if shown else ()
    write_responses(engine, spec.prompt, items, spec.generation_seed, out, examples=examples)

"""Host of stage generate: one engine serves all benchmarks of a model."""

from pathlib import Path

from mixlab.config.engines import HfEngineSettings, VllmEngineSettings
from mixlab.generation.engine import Engine
from mixlab.generation.hf import open_engine
from mixlab.generation.run import write_responses
from mixlab.plan.specs import GenerateSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import read_source


def run(spec: GenerateSpec, inputs: Inputs, out: Path) -> None:
    """Write a model's responses to a benchmark."""
    items = read_source(inputs.spec("items"), inputs.one("items"), inputs)
    write_responses(_open(spec, inputs), spec.prompt, items, spec.generation_seed, out)


def _open(spec: GenerateSpec, inputs: Inputs) -> Engine:
    settings = spec.engine
    if isinstance(settings, VllmEngineSettings):
        return _open_vllm(settings, inputs)
    if not isinstance(settings, HfEngineSettings):
        raise TypeError(f"no engine {settings.engine} for a model folder")
    model, tokenizer = inputs.one("model"), inputs.one("tokenizer")
    threads, batch = inputs.threads, inputs.machine.generation_batch
    engine: Engine = inputs.session.once(
        ("engine", model, tokenizer, settings),
        lambda: open_engine(model, tokenizer, settings, threads=threads, batch=batch),
    )
    return engine


def _open_vllm(settings: VllmEngineSettings, inputs: Inputs) -> Engine:
    from mixlab.generation.vllm.engine import open_engine as open_vllm

    model, tokenizer, machine = inputs.one("model"), inputs.one("tokenizer"), inputs.machine
    gpus = machine.resources("generate").gpus
    engine: Engine = inputs.session.only(
        "vllm",
        (model, tokenizer, settings),
        lambda: open_vllm(model, tokenizer, settings, machine.vllm, threads=inputs.threads, gpus=gpus),
    )
    return engine

"""Host of stage generate: one engine serves all benchmarks of a model."""

from collections.abc import Mapping
from pathlib import Path

from mixlab.config.engines import LocalEngineSettings, OpenaiEngineSettings, VllmEngineSettings
from mixlab.generation.run import Asking, write_responses
from mixlab.plan.specs import GenerateSpec
from mixlab.stages.asked import asks_likelihoods, read_asked, weigh
from mixlab.stages.engines import describe_device, open_hf, open_served, open_vllm
from mixlab.stages.job import Inputs


def run(spec: GenerateSpec, inputs: Inputs, out: Path) -> Mapping[str, str]:
    """Write a model's responses to a benchmark.

    Facts are what computed, or which model was asked, what was shared or kept, and what depends on the batch.
    """
    items, examples = read_asked(spec, inputs)
    facts: Mapping[str, str] = {}
    if isinstance(spec.engine, OpenaiEngineSettings):
        engine, asking = open_served(spec.engine, inputs), Asking(inputs.resume)
        facts = {"served_model": spec.engine.model, "gpus": "0"}
    elif isinstance(spec.engine, VllmEngineSettings):
        vllm = open_vllm(spec.engine, inputs)
        engine, asking, facts = vllm, _share(spec.engine, inputs), vllm.facts
    else:
        engine, asking = open_hf(spec.engine, inputs), _share(spec.engine, inputs)
        facts = describe_device(inputs)
    if asks_likelihoods(spec):
        return {**facts, **weigh(engine, spec, items, out, inputs.resume)}
    told = write_responses(engine, spec.prompt, items, spec.generation_seed, out, asking, examples=examples)
    return {**facts, **told}


def _share(settings: LocalEngineSettings, inputs: Inputs) -> Asking:
    """Let a model's benchmarks share greedy completions: they are the same for every generation_seed."""
    name = ("greedy", inputs.one("model"), inputs.one("tokenizer"), settings)
    return Asking(inputs.resume, inputs.session.once(name, dict), measures_dependence=settings.dtype != "float32")

"""Host of stage generate: one engine serves all benchmarks of a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mixlab.config.engines import HfEngineSettings, LocalEngineSettings, OpenaiEngineSettings, VllmEngineSettings
from mixlab.config.problems import ConfigError
from mixlab.generation.engine import Engine
from mixlab.generation.run import Asking, write_responses
from mixlab.plan.specs import GenerateSpec
from mixlab.stages.asked import asks_likelihoods, read_asked, weigh
from mixlab.stages.job import Inputs

if TYPE_CHECKING:
    from mixlab.generation.vllm.engine import VllmEngine


def run(spec: GenerateSpec, inputs: Inputs, out: Path) -> Mapping[str, str]:
    """Write a model's responses to a benchmark.

    Facts are what computed, or which model was asked, what was shared or kept, and what depends on the batch.
    """
    items, examples = read_asked(spec, inputs)
    facts: Mapping[str, str] = {}
    if isinstance(spec.engine, OpenaiEngineSettings):
        engine, asking = _open_served(spec.engine, inputs), Asking(inputs.resume)
        facts = {"served_model": spec.engine.model, "gpus": "0"}
    elif isinstance(spec.engine, VllmEngineSettings):
        vllm = _open_vllm(spec.engine, inputs)
        engine, asking, facts = vllm, _share(spec.engine, inputs), vllm.facts
    else:
        engine, asking = _open_hf(spec.engine, inputs), _share(spec.engine, inputs)
        facts = _describe_device(inputs)
    if asks_likelihoods(spec):
        return {**facts, **weigh(engine, spec, items, out, inputs.resume)}
    told = write_responses(engine, spec.prompt, items, spec.generation_seed, out, asking, examples=examples)
    return {**facts, **told}


def _share(settings: LocalEngineSettings, inputs: Inputs) -> Asking:
    """Let a model's benchmarks share greedy completions: they are the same for every generation_seed."""
    name = ("greedy", inputs.one("model"), inputs.one("tokenizer"), settings)
    return Asking(inputs.resume, inputs.session.once(name, dict), measures_dependence=settings.dtype != "float32")


def _open_hf(settings: HfEngineSettings, inputs: Inputs) -> Engine:
    model, tokenizer = inputs.one("model"), inputs.one("tokenizer")
    engine: Engine = inputs.session.once(
        ("engine", model, tokenizer, settings), lambda: _load_hf(settings, model, tokenizer, inputs)
    )
    return engine


def _load_hf(settings: HfEngineSettings, model: Path, tokenizer: Path, inputs: Inputs) -> Engine:
    # torch and transformers take seconds to import, and a served model needs neither
    import torch

    from mixlab.generation.hf import open_engine

    gpus = inputs.machine.resources("generate").gpus
    if gpus and not torch.cuda.is_available():
        raise ConfigError(f"machine.stages.generate.gpus: {gpus}, but no GPU can be used here; set it to 0, or mend it")
    device = "cuda" if gpus else "cpu"
    return open_engine(
        model,
        tokenizer,
        settings,
        threads=inputs.threads,
        batch=inputs.machine.generation_batch,
        device=device,
        shares_prefixes=inputs.machine.share_prefixes,
    )


def _describe_device(inputs: Inputs) -> dict[str, str]:
    """Name what hf computes on: one GPU, or the CPU."""
    import torch

    if not inputs.machine.resources("generate").gpus:
        return {"device": "cpu", "gpus": "0"}
    return {"device": torch.cuda.get_device_name(), "gpus": "1"}


def _open_served(settings: OpenaiEngineSettings, inputs: Inputs) -> Engine:
    from mixlab.generation.served import ServedEngine
    from mixlab.stages.endpoints import open_endpoint

    return ServedEngine(open_endpoint(settings.place, inputs), settings)


def _open_vllm(settings: VllmEngineSettings, inputs: Inputs) -> "VllmEngine":
    from mixlab.generation.vllm.engine import open_engine

    model, tokenizer, machine = inputs.one("model"), inputs.one("tokenizer"), inputs.machine
    gpus = machine.resources("generate").gpus
    engine: VllmEngine = inputs.session.only(
        "vllm",
        (model, tokenizer, settings),
        lambda: open_engine(model, tokenizer, settings, machine.vllm, threads=inputs.threads, gpus=gpus),
    )
    return engine

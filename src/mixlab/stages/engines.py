"""The engines that answer for a model: opened once in a process, by the machine's settings."""

from pathlib import Path
from typing import TYPE_CHECKING

from mixlab.config.engines import HfEngineSettings, OpenaiEngineSettings, VllmEngineSettings
from mixlab.config.problems import ConfigError
from mixlab.generation.engine import Engine
from mixlab.stages.job import Inputs

if TYPE_CHECKING:
    from mixlab.generation.vllm.engine import VllmEngine


def open_hf(settings: HfEngineSettings, inputs: Inputs) -> Engine:
    """Open a model with transformers, once for all that a process asks it, and let go of the one before it."""
    model, tokenizer = inputs.one("model"), inputs.one("tokenizer")
    engine: Engine = inputs.session.only(
        "hf", (model, tokenizer, settings), lambda: _load_hf(settings, model, tokenizer, inputs)
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


def describe_device(inputs: Inputs) -> dict[str, str]:
    """Name what hf computes on: one GPU, or the CPU."""
    import torch

    if not inputs.machine.resources("generate").gpus:
        return {"device": "cpu", "gpus": "0"}
    return {"device": torch.cuda.get_device_name(), "gpus": "1"}


def open_served(settings: OpenaiEngineSettings, inputs: Inputs) -> Engine:
    """Open the way to a served model."""
    from mixlab.generation.served import ServedEngine
    from mixlab.stages.endpoints import open_endpoint

    return ServedEngine(open_endpoint(settings.place, inputs), settings)


def open_vllm(settings: VllmEngineSettings, inputs: Inputs) -> "VllmEngine":
    """Open a model with vLLM, and close the one before it."""
    from mixlab.generation.vllm.engine import open_engine

    model, tokenizer, machine = inputs.one("model"), inputs.one("tokenizer"), inputs.machine
    gpus = machine.resources("generate").gpus
    engine: VllmEngine = inputs.session.only(
        "vllm",
        (model, tokenizer, settings),
        lambda: open_engine(model, tokenizer, settings, machine.vllm, threads=inputs.threads, gpus=gpus),
    )
    return engine

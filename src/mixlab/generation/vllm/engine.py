"""The engine `vllm`: continuous batching, prefix caching and tensor parallelism, in an environment of its own.

vLLM pins another transformers than ours, so it runs as a child process by the interpreter that machine settings name.
Prompts are encoded and responses decoded here, by the tokenizer of the house, so that all engines read and count the
same tokens. Opening a model takes half a minute and more: open one engine per model and ask it everything.
"""

import logging
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from mixlab.config.engines import VllmEngineSettings
from mixlab.config.generation import SamplingSettings
from mixlab.config.problems import DataError
from mixlab.config.vllm import VllmSettings
from mixlab.data.tokens.tokenizer import TOKENIZER_FILE
from mixlab.data.writing import write_json
from mixlab.generation.encoding import Encoded, PromptEncoder
from mixlab.generation.engine import LENGTH, STOP, Completion, Finished, Request
from mixlab.generation.rows import cut_at_stop
from mixlab.generation.vllm.process import WorkerProcess

log = logging.getLogger(__name__)

_CPU_CACHE_GIB = 4.0
_SHOWN = ("config.json", "*.safetensors", "*.safetensors.index.json")


class VllmEngine:
    """A model that a child process holds; see `open_engine`. `facts` is what a run's provenance says of it."""

    def __init__(self, process: WorkerProcess, encoder: PromptEncoder, longest: int | None, ranks: int = 1) -> None:
        self._process = process
        self._encoder = encoder
        self._longest = longest
        self.special_tokens = encoder.special_tokens
        gpus = ranks if process.device == "cuda" else 0
        self.facts = {"engine": f"vllm {process.version}", "device": process.device_name, "gpus": str(gpus)}

    def find_too_long(
        self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool
    ) -> list[tuple[int, str]]:
        """Name the requests that cannot be asked; see `Engine.find_too_long`."""
        return self._encoder.find_too_long(requests, sampling, chat=chat)

    def generate(self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool) -> Iterator[Finished]:
        """Continue each prompt, all of them in vLLM's own order; see `Engine.generate`."""
        encoded, refused = self._encoder.encode_fitting(requests, sampling, chat=chat)
        ends = self._encoder.find_ends(sampling)
        if refused:
            yield refused
        fitting = list(encoded)
        self._check_lengths([len(encoded[position].ids) for position in fitting], sampling.max_new_tokens)
        if not fitting:
            return
        rows = [encoded[position].ids for position in fitting]
        own = [_render_own(requests[position], sampling) for position in fitting]
        for finished in self._process.generate(rows, _render(sampling, ends), own):
            places = [(fitting[at], answer, reason) for at, answer, reason in finished]
            yield [(at, self._complete(encoded[at], answer, reason, sampling, ends)) for at, answer, reason in places]

    def _check_lengths(self, lengths: Sequence[int], new_tokens: int) -> None:
        """Raise DataError for what this machine's own limit forbids: a setting of the machine changes no result."""
        needed = max(lengths, default=0) + new_tokens
        if self._longest is not None and needed > self._longest:
            raise DataError(
                f"vllm: a prompt and its response need {needed} tokens, machine.vllm.max_sequence_tokens allows "
                f"{self._longest}; raise it"
            )

    def _complete(
        self, row: Encoded, answer: list[int], reason: str, sampling: SamplingSettings, ends: Sequence[int]
    ) -> Completion:
        if reason not in (STOP, LENGTH):
            raise DataError(
                f"vllm: a response was broken off (finish reason {reason!r}, after {len(answer)} tokens); run again: "
                "answers of earlier requests are kept"
            )
        end = next((at for at, token in enumerate(answer) if token in ends), None)
        written = answer if end is None else answer[:end]
        text, stopped = cut_at_stop(self._encoder.decode(written), sampling.stop)
        count = len(answer) if end is None else end + 1
        if stopped:
            counts = range(len(written) + 1)
            count = bisect_left(counts, True, key=lambda tokens: self._holds_stop(written[:tokens], sampling.stop))
        is_cut = not stopped and end is None and reason == LENGTH
        return Completion(text, len(row.ids), count, LENGTH if is_cut else STOP, row.cut_tokens)

    def _holds_stop(self, written: list[int], stop: Sequence[str]) -> bool:
        return cut_at_stop(self._encoder.decode(written), stop)[1]

    def close(self) -> None:
        """End the child process; the end of this process does too."""
        self._process.close()


def _render_own(request: Request, sampling: SamplingSettings) -> dict[str, Any]:
    """Arguments of `vllm.SamplingParams` that are a prompt's own; greedy decoding takes no seed."""
    temperature = request.sampling(sampling).temperature
    return {"temperature": temperature, "seed": request.seed} if temperature > 0 else {"temperature": 0.0}


def _render(sampling: SamplingSettings, ends: Sequence[int]) -> dict[str, Any]:
    """Arguments of `vllm.SamplingParams` that all prompts share: a response ends as our tokenizer and settings say."""
    return {
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_new_tokens,
        "stop": list(sampling.stop),
        "stop_token_ids": list(ends),
        "ignore_eos": True,
        # text is made there only to find stop strings
        "detokenize": bool(sampling.stop),
    }


def open_engine(
    model: Path, tokenizer: Path, settings: VllmEngineSettings, machine: VllmSettings, *, threads: int, gpus: int
) -> VllmEngine:
    """Load a model folder (`config.json`, `*.safetensors`) and a tokenizer folder (`tokenizer.json`).

    `gpus` is how many this job was granted, 0 for none; that and `machine` change no greedy result in float32.
    Raises DataError for what `WorkerProcess` raises it, when vLLM sees fewer GPUs than it needs, and when the
    tokenizer has more entries than the model has embeddings.
    """
    started = time.perf_counter()
    config = _read_config(model)
    encoder = PromptEncoder(tokenizer, config.max_position_embeddings)
    encoder.check_rows(config.vocab_size)
    ranks = machine.tensor_parallel or max(gpus, 1)
    process = WorkerProcess(Path(machine.python).absolute(), threads)
    _check_devices(process, gpus, ranks)
    arguments = build_arguments(settings, machine, ranks, config.max_position_embeddings, process.device)
    with tempfile.TemporaryDirectory(prefix="mixlab-vllm-") as folder:
        _show_model(model, tokenizer, encoder, Path(folder))
        process.open(str(model), {"model": folder, "tokenizer": folder, **arguments})
    log.info(
        "vllm %s on %s has opened %s in %.1f s: %s, tensor parallel %d",
        process.version,
        process.device,
        model,
        time.perf_counter() - started,
        settings.dtype,
        ranks,
    )
    return VllmEngine(process, encoder, machine.max_sequence_tokens, ranks)


def build_arguments(
    settings: VllmEngineSettings, machine: VllmSettings, ranks: int, positions: int, device: str
) -> dict[str, Any]:
    """Arguments of `vllm.LLM` beside the folders: safetensors alone, no code of a model, none of its own defaults."""
    given = {
        "max_num_batched_tokens": machine.max_batched_tokens,
        "max_num_seqs": machine.max_sequences,
        "kv_cache_memory_bytes": _count_cache_bytes(machine, device),
    }
    return {
        "dtype": settings.dtype,
        "seed": 0,
        "load_format": "safetensors",
        "trust_remote_code": False,
        "generation_config": "vllm",
        "enable_prefix_caching": True,
        "tensor_parallel_size": ranks,
        "gpu_memory_utilization": machine.memory_share,
        "enforce_eager": not machine.compile,
        "max_model_len": min(positions, machine.max_sequence_tokens or positions),
        **{name: value for name, value in given.items() if value is not None},
    }


def _count_cache_bytes(machine: VllmSettings, device: str) -> int | None:
    gib = machine.kv_cache_gib or (_CPU_CACHE_GIB if device == "cpu" else None)
    return None if gib is None else int(gib * 2**30)


def _read_config(model: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{model}: no model folder that can be read: {error}") from None


def _check_devices(process: WorkerProcess, gpus: int, ranks: int) -> None:
    if (gpus and process.gpus < gpus) or (process.device == "cuda" and process.gpus < ranks):
        process.close()
        raise DataError(
            f"vllm: stages.generate.gpus and machine.vllm.tensor_parallel ask for {max(gpus, ranks)} GPUs, but vllm "
            f"{process.version} sees {process.gpus} (it runs on {process.device or 'no device'}): lower them, or name "
            "in machine.vllm.python an environment with vLLM's package for GPUs"
        )


def _show_model(model: Path, tokenizer: Path, encoder: PromptEncoder, folder: Path) -> None:
    """Link into `folder` what vLLM is to read, as one Hugging Face folder, and nothing else of the model's."""
    for path in sorted(found for pattern in _SHOWN for found in model.glob(pattern)):
        (folder / path.name).symlink_to(path.absolute())
    (folder / TOKENIZER_FILE).symlink_to((tokenizer / TOKENIZER_FILE).absolute())
    card = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": encoder.end_token,
        "pad_token": encoder.pad_token,
    }
    write_json(folder / "tokenizer_config.json", card)

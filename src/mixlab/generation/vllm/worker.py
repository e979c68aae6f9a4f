"""The child of the engine `vllm`: run by path, by the interpreter of vLLM's own environment, which has no mixlab.

One JSON object a line. It says `hello` once vLLM is imported, then answers each request in order until its input ends:
`open` (arguments of `vllm.LLM`) and `generate` (prompts as token ids, the sampling they share, and of each prompt its
own temperature and seed). An answer ends with `{"said": ...}` or `{"failed": ..., "is_memory": ...}`; before it come
`{"finished": ...}`. What vLLM prints goes to stderr.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

_PR_SET_PDEATHSIG = 1  # sys/prctl.h

# what torch and vLLM (0.32) say when there is too little memory
_MEMORY_WORDS = ("out of memory", "outofmemory", "gpu_memory_utilization", "gpu memory utilization", "can't allocate")

Finished = tuple[int, list[int], str]
"""Position of a prompt, what was written, in token ids, and why it ended: stop or length."""


def main(parent: int) -> None:
    """Answer requests until there are no more."""
    die_with_parent(parent)
    requests, replies = take_pipes()
    try:
        from vllm import __version__
        from vllm.platforms import current_platform
    except ImportError as error:
        reply(replies, fail(error))
        return
    device = current_platform.device_type
    gpus = current_platform.device_count() if device == "cuda" else 0
    name = current_platform.get_device_name() if gpus else device
    reply(replies, {"said": {"version": __version__, "device": device, "gpus": gpus, "name": name}})
    model = Model()
    for line in requests:
        request = json.loads(line)
        try:
            if "open" in request:
                model.open(request["open"], current_platform)
            else:
                for finished in model.generate(**request["generate"]):
                    reply(replies, {"finished": finished})
        except Exception as error:
            reply(replies, fail(error))
            raise
        reply(replies, {"said": {}})


class Model:
    """An open model."""

    def __init__(self) -> None:
        self._llm: Any = None
        self._asked = 0

    def open(self, arguments: dict[str, Any], platform: Any) -> None:
        """Load it."""
        from vllm import LLM

        check_head_size(arguments["model"], platform)
        self._llm = LLM(**arguments)

    def generate(
        self, prompts: list[list[int]], sampling: dict[str, Any], own: list[dict[str, Any]]
    ) -> Iterator[list[Finished]]:
        """Continue each prompt; yield what each step of the model finished."""
        from vllm import SamplingParams

        params = [SamplingParams(**sampling, **one) for one in own]
        # vLLM counts requests from 0
        first = self._asked
        self._asked += len(prompts)
        self._llm.enqueue([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        engine = self._llm.llm_engine
        while engine.has_unfinished_requests():
            outputs = [one for one in engine.step() if one.finished]
            if outputs:
                yield [
                    (int(one.request_id) - first, list(one.outputs[0].token_ids), one.outputs[0].finish_reason)
                    for one in outputs
                ]


def check_head_size(model: str, platform: Any) -> None:
    """Raise ValueError where vLLM's attention on a CPU has no heads of this size: it would fail at the first prompt."""
    if platform.device_type != "cpu":
        return
    from transformers import AutoConfig
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    config = AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    hidden, heads = getattr(config, "hidden_size", None), getattr(config, "num_attention_heads", None)
    size = getattr(config, "head_dim", None) or (hidden // heads if hidden and heads else None)
    known: Sequence[int] = CPUAttentionBackend.get_supported_head_sizes()
    if size is not None and size not in known:
        raise ValueError(f"head size {size} is none of those that vLLM computes on a CPU: {known}")


def fail(error: BaseException) -> dict[str, Any]:
    """Say what went wrong, and whether it was for want of memory."""
    text = f"{type(error).__name__}: {error}"
    is_memory = isinstance(error, MemoryError) or any(word in text.lower() for word in _MEMORY_WORDS)
    return {"failed": text, "is_memory": is_memory}


def take_pipes() -> tuple[IO[str], IO[str]]:
    """Keep both pipes for ourselves: libraries print to stdout, and no child of ours may hold them open."""
    requests, replies = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return os.fdopen(requests, encoding="utf-8"), os.fdopen(replies, "w", encoding="utf-8")


def reply(replies: IO[str], message: dict[str, Any]) -> None:
    """Send one line."""
    replies.write(json.dumps(message) + "\n")
    replies.flush()


def die_with_parent(parent: int) -> None:
    """Let the kernel end this process when `parent` is gone; Linux only, elsewhere the end of the input does."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))

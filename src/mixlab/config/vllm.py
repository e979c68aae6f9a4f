"""Where vLLM lives on this machine, and how much of the machine it takes; none of this enters a key."""

from pydantic import Field

from mixlab.config.base import Settings


class VllmSettings(Settings):
    """How this machine runs the engine `vllm`."""

    python: str = Field(
        default=".venv-vllm/bin/python",
        min_length=1,
        description="Python of the environment that has vLLM, relative to the working folder (`make vllm` installs it)",
    )
    tensor_parallel: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="GPUs, or processes on a CPU, that share a model; absent: stages.generate.gpus, at least 1",
    )
    memory_share: float = Field(
        default=0.9, gt=0, le=1, description="share of each GPU's memory for weights, activations and KV cache"
    )
    kv_cache_gib: float | None = Field(
        default=None,
        gt=0,
        description="KV cache of each process, in GiB; absent: on a GPU what memory_share leaves, on a CPU 4",
    )
    max_batched_tokens: int | None = Field(
        default=None, ge=1, description="tokens in one forward pass; absent: vLLM's default"
    )
    max_sequences: int | None = Field(
        default=None, ge=1, description="prompts under way at a time; absent: vLLM's default"
    )
    max_sequence_tokens: int | None = Field(
        default=None,
        ge=2,
        description="longest prompt with its response, where the KV cache cannot hold the model's positions; a longer "
        "one is an error; absent: the model's positions",
    )
    compile: bool = Field(
        default=True, description="torch.compile and CUDA graphs: faster, and slower to start; false: neither"
    )

"""How the processes of one training are started and share the work; no word of it enters a key."""

from typing import Literal, Self

from pydantic import Field, model_validator

from mixlab.config.base import Settings


class LaunchSettings(Settings):
    """Processes of one training job, and what each of them holds.

    Global batch and order of the data never depend on any of this; sums are rounded differently.
    """

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="what computes; auto: CUDA where the job asks for GPUs or one is visible, the CPU elsewhere",
    )
    nodes: int = Field(default=1, ge=1, le=4096, description="machines; more than one is started by Slurm's srun")
    processes_per_node: int = Field(default=1, ge=1, le=64, description="ranks on each machine; one for each GPU")
    parallelism: Literal["ddp", "zero1", "zero2", "zero3"] = Field(
        default="ddp",
        description="ddp: every rank holds all; zero1, zero2, zero3 (DeepSpeed): ranks share optimizer state, "
        "gradients too, weights too",
    )
    offload: Literal["none", "optimizer", "optimizer_and_weights"] = Field(
        default="none", description="what ZeRO keeps in main memory; weights need zero3"
    )
    deepspeed_config: str | None = Field(
        default=None,
        description="JSON file, relative to the working folder, with DeepSpeed's own settings of buckets, "
        "communication and logs (profiles/deepspeed/)",
    )
    stop_seconds: float = Field(
        default=600.0,
        gt=0,
        le=86_400,
        description="seconds from SIGTERM or SIGUSR1 until ranks that have not saved and ended are killed",
    )

    @property
    def ranks(self) -> int:
        """Processes of the whole job."""
        return self.nodes * self.processes_per_node

    @property
    def shards(self) -> bool:
        """Whether DeepSpeed shares out what DDP keeps in every rank."""
        return self.parallelism != "ddp"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.offload != "none" and not self.shards:
            raise ValueError(f"offload: {self.offload} needs parallelism zero1, zero2 or zero3, got ddp")
        if self.offload == "optimizer_and_weights" and self.parallelism != "zero3":
            raise ValueError(f"offload: optimizer_and_weights needs parallelism zero3, got {self.parallelism}")
        if self.deepspeed_config is not None and not self.shards:
            raise ValueError("deepspeed_config: needs parallelism zero1, zero2 or zero3, got ddp")
        return self

"""What a user may say about the machine: it changes how fast a result comes, never the result, and no key."""

import sysconfig
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from mixlab.config.base import Settings
from mixlab.config.endpoints import EndpointSettings
from mixlab.config.judge_budget import JudgingSettings
from mixlab.config.kernels import KernelSettings
from mixlab.config.launching import LaunchSettings
from mixlab.config.pricing import PricingSettings
from mixlab.config.tracking import TrackingSettings
from mixlab.config.trainers import TrainerCommands
from mixlab.config.vllm import VllmSettings

SYSCONFIG = "sysconfig:"
"""Prefix of a data root that Python's own installation names, such as `sysconfig:stdlib`."""

SandboxRequirement = Literal["any", "strong"]
"""What must hold models' code where it is run: whatever can be had, or bubblewrap and a system call filter."""

TRAINED = ("pretrain", "ipt", "sft")
"""Stages that train, and may do so in several processes."""


class StageResources(Settings):
    """What one job of a stage asks of the machine or of Slurm."""

    threads: int = Field(default=1, ge=1, le=1024, description="CPU threads of one job")
    memory_mib: int = Field(default=2000, ge=1, description="main memory of one job, in MiB")
    runtime_minutes: int = Field(default=60, ge=1, description="wall time a cluster grants one job, in minutes")
    gpus: int = Field(
        default=0, ge=0, le=64, description="GPUs of one job (pretrain, ipt, sft, generate), on each node"
    )
    retries: int = Field(
        default=0, ge=0, le=1000, description="how often a job that ended early is started again (pretrain, ipt, sft)"
    )
    launch: LaunchSettings = Field(
        default_factory=LaunchSettings, description="processes of one job (pretrain, ipt, sft)"
    )


class MachineSettings(Settings):
    """Machine settings of `config.yaml`; none of them enters a spec."""

    data_roots: dict[str, str] = Field(
        default_factory=dict,
        description="name of a data root -> folder, relative to the working folder or absolute, or sysconfig:stdlib",
    )
    micro_batch_windows: int = Field(default=8, ge=1, description="windows in one forward pass of training")
    generation_batch: int = Field(default=512, ge=1, description="prompts in one batch of generation")
    share_prefixes: bool = Field(
        default=False,
        description="engine hf: compute what all prompts of a benchmark begin with once; sums differ in last bits",
    )
    kernels: KernelSettings = Field(default_factory=KernelSettings, description="how training computes a model")
    checkpoint_seconds: float = Field(default=60.0, gt=0, description="seconds between two resume states of training")
    sandbox_workers: int = Field(
        default=1, ge=1, le=1024, description="programs scored at a time, at most stages.score.threads"
    )
    sandbox_require: SandboxRequirement = Field(
        default="any",
        description="strong: models' code runs only where bubblewrap and a system call filter hold it (exit 2 "
        "elsewhere); any: a weaker sandbox runs it, and the report says so",
    )
    rehash_limit_mib: int = Field(
        default=64, ge=0, description="a changed-looking source file up to this size is hashed again while planning"
    )
    fast_tokenizers: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        default=(),
        description="digests of tokenizers whose ids kitoken was proved to give (performance/prove_fast_bpe.py prints "
        "the line); these are read by it, the others by Hugging Face's library",
    )
    endpoints: dict[str, EndpointSettings] = Field(
        default_factory=dict, description="name of an endpoint -> how this machine reaches it"
    )
    judging: JudgingSettings = Field(
        default_factory=JudgingSettings, description="what model judges may cost: caps and prices"
    )
    vllm: VllmSettings = Field(default_factory=VllmSettings, description="how this machine runs the engine vllm")
    pricing: PricingSettings = Field(
        default_factory=PricingSettings, description="what `mixlab price` assumes of GPUs and of their use"
    )
    trainers: dict[str, TrainerCommands] = Field(
        default_factory=dict, description="name of a trainer that is not ours -> how this machine runs it"
    )
    tracking: TrackingSettings = Field(default_factory=TrackingSettings, description="how training runs are watched")
    stages: dict[str, StageResources] = Field(
        default_factory=dict, description="stage -> what one of its jobs asks for; absent stages take the defaults"
    )

    @field_validator("stages")
    @classmethod
    def _only_training_is_launched(cls, stages: dict[str, StageResources]) -> dict[str, StageResources]:
        for stage, asked in stages.items():
            if stage not in TRAINED and (asked.launch != LaunchSettings() or asked.retries):
                raise ValueError(f"stage '{stage}': launch and retries are for {', '.join(TRAINED)}")
        return stages

    @field_validator("data_roots")
    @classmethod
    def _places_exist_in_sysconfig(cls, roots: dict[str, str]) -> dict[str, str]:
        known = sysconfig.get_path_names()
        for name, place in roots.items():
            if place.startswith(SYSCONFIG) and place.removeprefix(SYSCONFIG) not in known:
                raise ValueError(f"data root '{name}': {place!r} is none of sysconfig's paths: {', '.join(known)}")
        return roots

    def resources(self, stage: str) -> StageResources:
        """Return what a job of `stage` asks for."""
        return self.stages.get(stage, StageResources())

    def root(self, name: str, base: Path) -> Path:
        """Return the folder of a data root.

        Raises KeyError when the machine settings do not name it.
        """
        place = self.data_roots[name]
        if place.startswith(SYSCONFIG):
            return Path(sysconfig.get_paths()[place.removeprefix(SYSCONFIG)])
        return base / place


class MainConfig(Settings):
    """`config.yaml`: the study run by default, and this machine."""

    study: str = Field(min_length=1, description="study to run: a file name under studies/, several by comma")
    machine: MachineSettings = Field(default_factory=MachineSettings, description="machine settings")

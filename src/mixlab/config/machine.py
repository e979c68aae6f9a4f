"""What a user may say about the machine: it changes how fast a result comes, never the result, and no key."""

import itertools
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from mixlab.config.base import Settings
from mixlab.config.endpoints import EndpointSettings
from mixlab.config.judge_budget import JudgingSettings
from mixlab.config.kernels import KernelSettings
from mixlab.config.launching import LaunchSettings
from mixlab.config.pricing import PricingSettings
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.resources import (
    BUNDLED,
    ON_GPUS,
    SIZED,
    TOGETHER,
    TRAINED,
    ClusterSettings,
    ModelSize,
    StageResources,
)
from mixlab.config.tracking import TrackingSettings
from mixlab.config.trainers import TrainerCommands
from mixlab.config.vllm import VllmSettings

SYSCONFIG = "sysconfig:"
"""Prefix of a data root that Python's own installation names, such as `sysconfig:stdlib`."""

SandboxRequirement = Literal["any", "strong"]
"""What must hold models' code where it is run: whatever can be had, or bubblewrap and a system call filter."""


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
        default_factory=dict,
        description="stage -> what one of its jobs asks for; what is absent is as `sizes` says, or the default",
    )
    sizes: tuple[ModelSize, ...] = Field(
        default=(),
        description="what jobs ask for by the size of the model they work on: rows, from the smallest up; the first "
        "that a model fits in holds",
    )
    cluster: ClusterSettings = Field(default_factory=ClusterSettings, description="where a cluster runs jobs")

    @field_validator("stages")
    @classmethod
    def _only_training_is_launched(cls, stages: dict[str, StageResources]) -> dict[str, StageResources]:
        _check_launched(stages)
        return stages

    @field_validator("sizes")
    @classmethod
    def _sizes_grow(cls, sizes: tuple[ModelSize, ...]) -> tuple[ModelSize, ...]:
        limits = [row.up_to_parameters for row in sizes]
        if any(one >= next_one for one, next_one in itertools.pairwise(limits)):
            raise ValueError(f"rows go from the smallest models up, got {', '.join(f'{one:g}' for one in limits)}")
        for row in sizes:
            for stage in row.stages:
                if stage not in SIZED:
                    hint = did_you_mean(stage, SIZED)
                    raise ValueError(f"stage '{stage}' works on no model{hint}; rows are for {', '.join(SIZED)}")
            _check_launched(row.stages)
        return sizes

    @model_validator(mode="after")
    def _sizes_fit_stages(self) -> Self:
        for row in self.sizes:
            for stage in row.stages.keys() & self.stages.keys():
                try:
                    self.stages[stage].over(row.stages[stage])
                except ValueError as error:
                    why = "; ".join(one["msg"] for one in error.errors()) if hasattr(error, "errors") else str(error)
                    message = f"stages.{stage} does not fit the row up to {row.up_to_parameters:g} parameters: {why}"
                    raise ValueError(message) from error
        return self

    @field_validator("data_roots")
    @classmethod
    def _places_exist_in_sysconfig(cls, roots: dict[str, str]) -> dict[str, str]:
        known = sysconfig.get_path_names()
        for name, place in roots.items():
            if place.startswith(SYSCONFIG) and place.removeprefix(SYSCONFIG) not in known:
                raise ValueError(f"data root '{name}': {place!r} is none of sysconfig's paths: {', '.join(known)}")
        return roots

    def resources(self, stage: str, parameters: int | None = None) -> StageResources:
        """Return what a job of `stage` asks for that works on a model of so many parameters, None: on no model.

        Raises ConfigError when the model is larger than every row of `sizes`.
        """
        asked = self.stages.get(stage, StageResources()).over(TOGETHER.get(stage, StageResources()))
        if parameters is None or not self.sizes:
            return asked
        for row in self.sizes:
            if parameters <= row.up_to_parameters:
                return asked.over(row.stages[stage]) if stage in row.stages else asked
        largest = self.sizes[-1].up_to_parameters
        raise ConfigError(
            Problem(
                f"stage {stage}: a model of {parameters:,} parameters, but the last row is up to {largest:g}; add one",
                key="machine.sizes",
            )
        )

    def root(self, name: str, base: Path) -> Path:
        """Return the folder of a data root.

        Raises KeyError when the machine settings do not name it.
        """
        place = self.data_roots[name]
        if place.startswith(SYSCONFIG):
            return Path(sysconfig.get_paths()[place.removeprefix(SYSCONFIG)])
        return base / place


def _check_launched(stages: Mapping[str, StageResources]) -> None:
    for stage, asked in stages.items():
        if stage not in TRAINED and (asked.launch != LaunchSettings() or asked.retries):
            raise ValueError(f"stage '{stage}': launch and retries are for {', '.join(TRAINED)}")
        if stage not in ON_GPUS and asked.gpus:
            raise ValueError(f"stage '{stage}': gpus are for {', '.join(ON_GPUS)}; it would leave them idle")
        if stage not in BUNDLED and asked.models_per_job > 1:
            raise ValueError(f"stage '{stage}': models_per_job is for {', '.join(BUNDLED)}; scores follow generate")


class MainConfig(Settings):
    """`config.yaml`: the study run by default, and this machine."""

    study: str = Field(min_length=1, description="study to run: a file name under studies/, several by comma")
    machine: MachineSettings = Field(default_factory=MachineSettings, description="machine settings")

"""What one job of a stage asks of the machine or of Slurm, and how that grows with the model that it works on."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from mixlab.config.base import Settings
from mixlab.config.launching import LaunchSettings

TRAINED = ("pretrain", "ipt", "sft")
"""Stages that train, and may do so in several processes."""
SIZED = ("base_model", *TRAINED, "average", "generate")
"""Stages whose jobs hold a model, so that its size decides what they need."""
ON_GPUS = ("base_model", *TRAINED, "generate")
"""Stages that use a GPU where their jobs have one."""


BUNDLED = ("sft", "generate")
"""Stages of which one job may serve several small models."""


class StageResources(Settings):
    """What one job of a stage asks of the machine or of Slurm."""

    threads: int = Field(default=1, ge=1, le=1024, description="CPU threads of one job")
    memory_mib: int = Field(default=2000, ge=1, description="main memory of one job, in MiB, on each node")
    runtime_minutes: int = Field(
        default=60,
        ge=1,
        description="wall time a cluster grants one job, in minutes; where nothing is said score and judge have 40, "
        "scores, counts, aggregate and report 20: they are submitted together, and what follows one another adds up",
    )
    gpus: int = Field(default=0, ge=0, le=64, description=f"GPUs of one job ({', '.join(ON_GPUS)}), on each node")
    retries: int = Field(
        default=0, ge=0, le=1000, description="how often a job that ended early is started again (pretrain, ipt, sft)"
    )
    launch: LaunchSettings = Field(
        default_factory=LaunchSettings, description="processes of one job (pretrain, ipt, sft)"
    )
    models_per_job: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="models of one start that a process makes (sft) or asks (generate; their scores and judgments go "
        "together too): several where starting it takes longer than one's work; runtime_minutes are of them together",
    )

    def alone(self) -> "StageResources":
        """Return what a job asks for that serves one model."""
        return self.model_copy(update={"models_per_job": 1})

    def over(self, below: "StageResources") -> "StageResources":
        """Return what is given here, and what `below` gives where nothing is; the two launches are laid over alike.

        Raises ValueError where the two do not fit together.
        """
        return StageResources.model_validate(
            _lay_over(below.model_dump(exclude_unset=True), self.model_dump(exclude_unset=True))
        )


TOGETHER: Mapping[str, StageResources] = {
    **dict.fromkeys(("score", "judge"), StageResources(runtime_minutes=40)),
    **dict.fromkeys(("scores", "counts", "aggregate", "report"), StageResources(runtime_minutes=20)),
}
"""What stages ask for that a cluster gets as one job, unless config.yaml says it: an hour together."""


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {name for name in below.keys() & above.keys() if isinstance(above[name], dict)}
    return {**below, **above, **{name: _lay_over(below[name], above[name]) for name in both}}


class ModelSize(Settings):
    """One row of the table of sizes: what jobs ask for that work on a model of at most so many parameters."""

    up_to_parameters: float = Field(gt=0, description="largest model of this row, in parameters, such as 8.5e9")
    stages: dict[str, StageResources] = Field(
        default_factory=dict,
        description=f"stage ({', '.join(SIZED)}) -> what one of its jobs asks for; machine.stages wins, key by key",
    )


class ClusterSettings(Settings):
    """What Snakemake's own options do not say of a cluster."""

    cpu_partition: str | None = Field(
        default=None,
        min_length=1,
        description="partition of the stages that ask for no GPU; absent: the one all jobs go to "
        "(--default-resources slurm_partition=NAME)",
    )

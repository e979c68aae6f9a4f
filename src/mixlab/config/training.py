"""How a model is trained and snapshots are averaged: what decides the weights, nothing else."""

from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mixlab.config.base import Settings, added
from mixlab.config.exact import Weight

Rate = Annotated[float, Field(gt=0, le=10)]
Decay = Annotated[float, Field(ge=0, le=10)]
Momentum = Annotated[float, Field(ge=0, lt=1)]


class AdamWSettings(Settings):
    """AdamW (Loshchilov & Hutter 2019); decay acts on matrices (projections and embeddings), not on norms."""

    name: Literal["adamw"] = Field(description="AdamW on every weight")
    learning_rate: Rate = Field(description="peak rate, multiplied by the schedule")
    betas: tuple[Momentum, Momentum] = Field(
        default=(0.9, 0.95), description="decay of the running mean of the gradient and of its square"
    )
    eps: float = Field(default=1e-8, gt=0, le=1, description="added to the root of the mean square")
    weight_decay: Decay = Field(default=0.1, description="decoupled, times the learning rate")


class MuonSettings(Settings):
    """Muon (Jordan et al. 2024) on the projections, AdamW on embeddings, head and norms.

    The orthogonalised update of a rows x columns matrix is multiplied by sqrt(max(1, rows / columns)).
    Decay acts on projections and embeddings, not on norms.
    """

    name: Literal["muon"] = Field(description="Muon on projections, AdamW on the rest")
    learning_rate: Rate = Field(description="peak rate of the projections, multiplied by the schedule")
    momentum: Momentum = Field(default=0.95, description="of the projections; Nesterov")
    weight_decay: Decay = Field(default=0.1, description="decoupled, times each weight's own learning rate")
    other_learning_rate: Rate = Field(description="peak rate of embeddings, head and norms (AdamW)")
    betas: tuple[Momentum, Momentum] = Field(default=(0.9, 0.95), description="of AdamW")
    eps: float = Field(default=1e-8, gt=0, le=1, description="of AdamW")


class ConstantSchedule(Settings):
    """The full rate after a linear warm-up."""

    name: Literal["constant"] = Field(description="no decay")
    warmup_steps: int = Field(default=0, ge=0, le=10_000_000, description="steps of linear warm-up from zero")


class DecayingSchedule(Settings):
    """A linear warm-up, then a decay that would reach `final_ratio` one step after the last."""

    name: Literal["linear", "cosine"] = Field(description="form of the decay")
    warmup_steps: int = Field(default=0, ge=0, le=10_000_000, description="steps of linear warm-up from zero")
    final_ratio: float = Field(default=0.0, ge=0, le=1, description="share of the peak rate at the end")


class SnapshotSettings(Settings):
    """Which models of a run are kept: the last one, and those every so many steps before it."""

    every_steps: int = Field(ge=1, le=10_000_000, description="steps between two snapshots, counted from the end")
    keep: int = Field(ge=1, le=1_000, description="how many; the members are last-00 (newest), last-01, ...")


class SpikeSettings(Settings):
    """When a loss is a spike, and what is done: it lies more than `deviations` x 1.4826 x MAD above the median.

    Median and MAD (median distance from the median) are those of the last `window_steps` losses.
    """

    window_steps: int = Field(default=128, ge=8, le=100_000, description="losses a new one is compared with")
    deviations: float = Field(default=10.0, gt=0, le=1e6, description="how far above the median a spike begins")
    action: Literal["warn", "rollback"] = Field(
        default="warn",
        description="warn: say so and go on; rollback: go back before the spike and leave out the data around it",
    )
    skip_steps: int = Field(
        default=1,
        ge=1,
        le=100_000,
        description="rollback: steps whose windows are not learnt, the spike's being the last of them",
    )
    max_rollbacks: int = Field(default=3, ge=1, le=1_000, description="rollback: one more spike than these is an error")


class TrainSettings(Settings):
    """One training run over a mixture; the same for pretrain, ipt and sft.

    `loss: response` counts only the tokens of answers, and the end token that closes each; `all` counts every
    token that has a predecessor in its document, or in its window where documents see each other. A loss is the mean
    over the counted tokens of the global batch.
    """

    optimizer: Annotated[AdamWSettings | MuonSettings, Field(discriminator="name")] = Field(
        description="what turns gradients into steps"
    )
    schedule: Annotated[ConstantSchedule | DecayingSchedule, Field(discriminator="name")] = Field(
        description="the learning rate over the run"
    )
    global_batch_windows: int = Field(ge=1, le=1_000_000, description="windows per optimizer step")
    passes: Weight = Field(
        default=Fraction(1), description="how often the mixture is seen; a part of a window counts as a whole one"
    )
    order: Literal["mixture", "shuffled"] = Field(
        default="shuffled",
        description="shuffled: the seed gives every pass its own order; mixture: always the mixture's own",
    )
    loss: Literal["all", "response"] = Field(default="all", description="which tokens are learnt")
    gradient_clip: float | None = Field(
        default=1.0, gt=0, le=1e6, description="largest norm of the whole gradient; null: no clipping"
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the computation; weights and optimizer are float32"
    )
    snapshots: SnapshotSettings | None = Field(
        default=None, description="keep the last models of the run instead of the last one alone (ipt)"
    )
    document_attention: Literal["isolated", "across"] = added(
        "isolated",
        description="isolated: documents of a window do not see each other, positions begin anew in each; "
        "across: a window is read as one document",
    )
    spikes: SpikeSettings | None = added(None, description="watch for spikes of the loss; absent: not")

    @model_validator(mode="after")
    def _sees_something(self) -> Self:
        if self.passes == 0:
            raise ValueError("passes: must be more than 0, got 0")
        return self


class AveragingSettings(Settings):
    """How the newest snapshots of a run become one model."""

    method: Literal["uniform"] = Field(default="uniform", description="equal weights")
    last: int = Field(
        default=10, ge=1, le=1_000, description="how many of the newest snapshots; at most what ipt keeps"
    )
    accumulate: Literal["float32"] = Field(default="float32", description="of the sum; the result is float32 too")

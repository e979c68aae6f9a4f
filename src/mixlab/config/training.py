"""How a model is trained: what decides the weights, nothing else."""

from fractions import Fraction
from math import ceil
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from mixlab.config.base import Settings, added, require_one
from mixlab.config.exact import Weight
from mixlab.config.trainers import ExternalTrainer

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


class StableSchedule(Settings):
    """Warm-up, a stable phase at the full rate, then a decay (WSD; Hu et al. 2024, MiniCPM, section 4).

    The decay takes the last `decay_steps` steps, or the last `decay_ratio` of all steps rounded up, and would reach
    `final_ratio` one step after the last. With d from 0 to 1 through the decay, the share of the peak rate above
    `final_ratio` is 1 - d (linear), (1 + cos(pi d)) / 2 (cosine) or 1 - sqrt(d) (Haegele et al. 2024).
    """

    name: Literal["wsd"] = Field(description="warm-up, stable, decay")
    warmup_steps: int = Field(default=0, ge=0, le=10_000_000, description="steps of linear warm-up from zero")
    decay_steps: int | None = Field(
        default=None, ge=1, le=10_000_000, description="steps of the decay; this or decay_ratio"
    )
    decay_ratio: float | None = Field(
        default=None, gt=0, le=1, description="share of all steps that decay; this or decay_steps"
    )
    decay: Literal["linear", "cosine", "one_minus_sqrt"] = Field(
        default="one_minus_sqrt", description="form of the decay"
    )
    final_ratio: float = Field(default=0.0, ge=0, le=1, description="share of the peak rate at the end")

    @model_validator(mode="after")
    def _decays_once(self) -> Self:
        require_one(self, "takes", "decay_steps", "decay_ratio")
        return self


class SnapshotSettings(Settings):
    """Which models of a run are kept: the last one, and those every so many steps before it.

    `{every_steps: 1, keep: 10}` keeps the models after the last ten optimizer steps, `{every_steps: 500, keep: 10}`
    the last ten of those saved every 500 steps. Counted from the end, both hold the last model. This is part of the
    key of ipt, and every average says in its provenance which of the two it is.
    """

    every_steps: int = Field(ge=1, le=10_000_000, description="steps between two snapshots, counted from the end")
    keep: int = Field(ge=1, le=1_000, description="how many; the members are last-00 (newest), last-01, ...")

    @property
    def least_steps(self) -> int:
        """Steps that a run must have for all of them."""
        return self.every_steps * (self.keep - 1) + 1


LoraTarget = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class LoraSettings(Settings):
    """Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685): W + scale B A, of which A and B alone are trained.

    A begins uniform in +-1 / sqrt(columns of W), drawn from the run's seed, and B at zero, as peft has them. The
    artifact is the merged model; the adapter is kept beside it in `adapter/`, in peft's format.
    """

    rank: int = Field(ge=1, le=4_096, description="rows of A and columns of B; at most the width of each target")
    alpha: int = Field(ge=1, le=65_536, description="the scale is alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="of what A is given, in training alone")
    targets: Annotated[tuple[LoraTarget, ...], Field(min_length=1)] = Field(
        default=get_args(LoraTarget), description="projections that get an adapter, by Hugging Face's names"
    )
    rslora: bool = Field(
        default=False, description="the scale is alpha / sqrt(rank) instead (Kalajdzievski 2023, arXiv:2312.03732)"
    )

    @field_validator("targets")
    @classmethod
    def _in_one_order(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({name for name in targets if targets.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice; name each once")
        return tuple(name for name in get_args(LoraTarget) if name in targets)

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / (self.rank**0.5 if self.rslora else self.rank)


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
    schedule: Annotated[ConstantSchedule | DecayingSchedule | StableSchedule, Field(discriminator="name")] = Field(
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
    trainer: ExternalTrainer | None = added(
        None, description="a trainer that is not ours, which is handed all of this; absent: mixlab's own"
    )

    lora: LoraSettings | None = added(None, description="train an adapter of low rank; null: every weight (full)")
    steps: int | None = added(
        None,
        ge=1,
        le=100_000_000,
        description="optimizer steps, instead of `passes`; the mixture is repeated as needed",
    )
    keep_epochs: bool = added(
        False,
        description="keep the model after each whole pass but the last too, as members epoch-1, epoch-2, ... (sft)",
    )

    dropout: float = added(
        0.0,
        ge=0,
        lt=1,
        description="chance that a number is left out of what attention or feed-forward adds to the residual stream",
    )
    spikes: SpikeSettings | None = added(None, description="watch for spikes of the loss; absent: not")

    @model_validator(mode="after")
    def _sees_something(self) -> Self:
        if self.passes == 0:
            raise ValueError("passes: must be more than 0, got 0")
        if self.steps is not None and self.passes != 1:
            raise ValueError(f"steps {self.steps} and passes {self.passes} both say when to end; give one of them")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.lora is not None and isinstance(self.optimizer, MuonSettings):
            raise ValueError("lora: an adapter's thin matrices are trained with adamw; muon is for whole projections")
        if self.keep_epochs and self.snapshots is not None:
            raise ValueError("keep_epochs and snapshots: a run keeps one or the other; remove one of them")
        if self.keep_epochs and self.trainer is not None:
            raise ValueError("keep_epochs: a trainer that is not ours hands over its last model alone; remove it")
        if self.lora is not None and self.trainer is not None:
            raise ValueError(
                "lora: a trainer that is not ours hands over a whole model; remove it, and say so in its own settings"
            )
        if self.spikes is not None and self.trainer is not None:
            raise ValueError("spikes: the loss of a trainer that is not ours is not watched; remove it")
        if self.keep_epochs and self.steps is None and self.passes <= 1:
            raise ValueError(f"keep_epochs: with passes {self.passes} there is no pass before the last to keep")
        return self

    @property
    def draws(self) -> bool:
        """Whether a step draws anything at random."""
        return self.dropout > 0 or (self.lora is not None and self.lora.dropout > 0)

    @property
    def kept_epochs(self) -> int | None:
        """How many members keep_epochs leaves; None where only the mixture's windows can tell (steps)."""
        if not self.keep_epochs:
            return 0
        return None if self.steps is not None else ceil(self.passes) - 1

    def count_passes(self, windows: int) -> Fraction:
        """How often a mixture of so many windows is seen, exactly: `passes`, or what `steps` come to."""
        if self.steps is None or not windows:
            return self.passes
        return Fraction(self.steps * self.global_batch_windows, windows)

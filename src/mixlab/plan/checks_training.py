"""What a training run cannot mean, by the steps that are known before it runs: warm-up, batch, snapshots."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from mixlab.config.mixtures import Budget
from mixlab.config.study import IptConfig, SftConfig, Study
from mixlab.config.training import TrainSettings

Path = tuple[str | int, ...]
Found = Iterator[tuple[Path, str]]


@dataclass(frozen=True)
class Length:
    """How many windows a run reads in all its passes, and so how many steps it takes; exact, or at most about.

    `given` is what says so, as a user wrote it: `2000 tokens`.
    """

    windows: int
    steps: int
    given: str
    is_exact: bool = True

    @property
    def bound(self) -> str:
        """What stands before its figures."""
        return "" if self.is_exact else "at most about "


def find_length(training: TrainSettings, budget: Budget, sequence_tokens: int, whole_windows: bool) -> Length | None:
    """Return the most that a run can read, None where its mixture alone says it.

    `whole_windows`: documents share windows, as they do in pretraining and IPT. A budget in tokens then gives about
    twice as many windows as it fills at most: windows are rarely less than half full.
    """
    batch, steps = training.global_batch_windows, training.steps
    if steps is not None:
        return Length(steps * batch, steps, f"{steps} steps")
    given = budget.settled().windows or budget.samples
    if given is not None:
        windows = ceil(given * training.passes)
        return Length(windows, ceil(windows / batch), f"{windows} windows")
    if budget.tokens is None or not whole_windows:
        return None
    windows = ceil(2 * budget.tokens / sequence_tokens * training.passes)
    return Length(windows, ceil(windows / batch), f"{budget.tokens} tokens", is_exact=False)


def check_run_lengths(study: Study, models: Sequence[str]) -> Found:
    """Look whether the runs of some base models are long enough for what they are asked to do."""
    for name in models:
        # one that is not trained here has neither mixture nor training
        model: Any = study.base_models.get(name)
        if (training := getattr(model, "training", None)) is not None:
            budget, path = model.mixture.budget, ("base_models", name)
            length = find_length(training, budget, model.sequence_tokens, True)
            yield from _check_run(path, training, [(f"base model '{name}'", length)])
            yield from _check_batches((*path, "mixture", "budget"), budget, training, name)
    if models and study.ipt is not None:
        yield from _check_ipt(study, study.ipt, models)
    if models and study.sft is not None:
        yield from _check_sft(study.sft)


def _check_sft(sft: SftConfig) -> Found:
    budget, shares_windows = sft.mixture.budget, sft.layout == "packed"
    ways = {("sft",): sft.training} | {("sft", "others", name): one.training for name, one in sft.others.items()}
    for path, training in ways.items():
        length = find_length(training, budget, sft.sequence_tokens, shares_windows)
        yield from _check_run(path, training, [("sft", length)])
        yield from _check_batches(("sft", "mixture", "budget"), budget, training, "sft")


def _check_ipt(study: Study, ipt: IptConfig, models: Sequence[str]) -> Found:
    training = ipt.training
    wanted = training.snapshots.least_steps if training.snapshots is not None else 0
    if training.steps is not None and training.steps < wanted:
        message = f"{training.steps} steps, and the snapshots need {wanted}"
        yield ("ipt", "training", "steps"), f"{message}; raise them or keep fewer snapshots"
    lengths = []
    for label, variant in study.variants.items():
        if variant.base_models is None or not set(models).isdisjoint(variant.base_models):
            length = find_length(training, variant.budget, ipt.sequence_tokens, True)
            lengths.append((f"variant '{label}'", length))
            yield from _check_snapshots(("variants", label, "budget"), training, length)
            yield from _check_batches(("variants", label, "budget"), variant.budget, training, "ipt")
    yield from _check_run(("ipt",), training, lengths)


def _check_run(path: Path, training: TrainSettings, lengths: Iterable[tuple[str, Length | None]]) -> Found:
    """Tell of the shortest run alone: the others have the same cure."""
    known = [(what, length) for what, length in lengths if length is not None]
    if not known:
        return
    what, shortest = min(known, key=lambda one: one[1].windows)
    batch, warmup = training.global_batch_windows, training.schedule.warmup_steps
    if shortest.windows < batch:
        message = f"{batch} windows a step, but {what} reads {shortest.bound}{shortest.windows} in all"
        cure = "not one step would be full; lower it or raise the budget"
        yield (*path, "training", "global_batch_windows"), f"{message}: {cure}"
    elif warmup > shortest.steps:
        message = f"{warmup} steps of warm-up, but {what} takes {shortest.bound}{shortest.steps} ({shortest.given})"
        cure = "lower it or raise the budget"
        yield (*path, "training", "schedule", "warmup_steps"), f"{message}: the rate would not reach its peak; {cure}"


def _check_snapshots(path: Path, training: TrainSettings, length: Length | None) -> Found:
    if training.snapshots is None or length is None or training.steps is not None:
        return
    wanted = training.snapshots.least_steps
    if length.steps < wanted:
        message = f"{length.given} give {length.bound}{length.steps} steps of ipt, and its snapshots need {wanted}"
        yield path, f"{message}; raise the budget or keep fewer snapshots"


def _check_batches(path: Path, budget: Budget, training: TrainSettings, what: str) -> Found:
    """A budget in steps says how many windows a step has; a trainer that takes others would take other steps."""
    counted, batch = budget.global_batch_windows, training.global_batch_windows
    if counted is not None and counted != batch and training.steps is None:
        message = f"counts steps of {counted} windows, but the training of {what} takes {batch} a step"
        yield path, f"{message}; give both the same global_batch_windows, or the budget in windows"

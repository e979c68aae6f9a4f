"""The learning rate over the steps, as a share of its peak."""

import math

from mixlab.config.problems import DataError
from mixlab.config.training import ConstantSchedule, DecayingSchedule, StableSchedule

Schedule = ConstantSchedule | DecayingSchedule | StableSchedule


def rate_ratio(schedule: Schedule, step: int, steps: int) -> float:
    """Share of the peak rate in step 1, 2, ... `steps`.

    Warm-up is linear and reaches 1 in its last step. A decay starts from 1 in the step after it (wsd: in the first
    of its own steps) and would reach `final_ratio` in step `steps` + 1, so that no step is spent at a rate of zero.
    """
    if step <= schedule.warmup_steps:
        return step / schedule.warmup_steps
    if isinstance(schedule, ConstantSchedule):
        return 1.0
    form: str
    if isinstance(schedule, DecayingSchedule):
        form, decay_steps = schedule.name, steps - schedule.warmup_steps
    else:
        form, decay_steps = schedule.decay, count_decay_steps(schedule, steps)
    progress = (step - 1 - (steps - decay_steps)) / decay_steps
    return schedule.final_ratio + (1.0 - schedule.final_ratio) * _left(form, max(progress, 0.0))


def count_decay_steps(schedule: StableSchedule, steps: int) -> int:
    """Steps of a wsd schedule's decay."""
    if schedule.decay_steps is not None:
        return schedule.decay_steps
    return math.ceil(float(schedule.decay_ratio or 0) * steps)


def check_schedule(schedule: Schedule, steps: int) -> None:
    """Raise DataError for a wsd schedule whose warm-up and decay need more than `steps`."""
    if not isinstance(schedule, StableSchedule):
        return
    decay_steps = count_decay_steps(schedule, steps)
    if schedule.warmup_steps + decay_steps > steps:
        raise DataError(
            f"schedule: wsd warms up for {schedule.warmup_steps} steps and decays for {decay_steps}, but the mixture "
            f"gives {steps} steps; lower warmup_steps, decay_steps or decay_ratio, or raise the mixture's budget"
        )


def _left(form: str, progress: float) -> float:
    if form == "linear":
        return 1.0 - progress
    if form == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    return 1.0 - math.sqrt(progress)

"""The learning rate over the steps, as a share of its peak."""

import math

from mixlab.config.training import ConstantSchedule, DecayingSchedule


def rate_ratio(schedule: ConstantSchedule | DecayingSchedule, step: int, steps: int) -> float:
    """Share of the peak rate in step 1, 2, ... `steps`.

    Warm-up is linear and reaches 1 in its last step. A decay starts from 1 in the step after it and would reach
    `final_ratio` in step `steps` + 1, so that no step is spent at a rate of zero.
    """
    if step <= schedule.warmup_steps:
        return step / schedule.warmup_steps
    if isinstance(schedule, ConstantSchedule):
        return 1.0
    progress = (step - 1 - schedule.warmup_steps) / (steps - schedule.warmup_steps)
    left = 1.0 - progress if schedule.name == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return schedule.final_ratio + (1.0 - schedule.final_ratio) * left

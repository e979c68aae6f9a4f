import pytest

from mixlab.config.training import ConstantSchedule, DecayingSchedule
from mixlab.training.optimization.schedule import rate_ratio


def ratios(schedule, steps):
    return [rate_ratio(schedule, step, steps) for step in range(1, steps + 1)]


def test_a_constant_rate_follows_a_linear_warm_up():
    assert ratios(ConstantSchedule(name="constant", warmup_steps=4), 6) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_a_linear_decay_begins_at_the_peak_and_would_reach_its_end_one_step_after_the_last():
    schedule = DecayingSchedule(name="linear", warmup_steps=2, final_ratio=0.2)
    assert ratios(schedule, 6) == pytest.approx([0.5, 1.0, 1.0, 0.8, 0.6, 0.4])


def test_a_cosine_decay_is_halfway_in_the_middle():
    values = ratios(DecayingSchedule(name="cosine", final_ratio=0.0), 8)
    assert values[0] == 1.0
    assert values[4] == pytest.approx(0.5)
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


def test_a_warm_up_longer_than_the_run_is_cut_off():
    assert ratios(DecayingSchedule(name="cosine", warmup_steps=10), 3) == [0.1, 0.2, 0.3]

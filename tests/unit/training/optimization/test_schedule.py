import pytest

from mixlab.config.problems import DataError
from mixlab.config.training import ConstantSchedule, DecayingSchedule, StableSchedule
from mixlab.training.optimization.schedule import check_schedule, rate_ratio


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


def wsd(**changes):
    return StableSchedule.model_validate({"name": "wsd", **changes})


def test_wsd_keeps_the_full_rate_and_decays_over_its_last_steps():
    schedule = wsd(warmup_steps=2, decay_steps=4, decay="linear")
    assert ratios(schedule, 8) == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25])
    schedule = wsd(decay_ratio=0.5, decay="one_minus_sqrt", final_ratio=0.1)
    assert ratios(schedule, 8) == pytest.approx([1.0] * 5 + [0.1 + 0.9 * (1 - (d / 4) ** 0.5) for d in (1, 2, 3)])
    assert ratios(wsd(decay_steps=2, decay="cosine"), 4) == pytest.approx([1.0, 1.0, 1.0, 0.5])


def test_a_share_of_the_steps_is_rounded_up():
    assert [value < 1 for value in ratios(wsd(decay_ratio=0.21, decay="linear"), 10)] == [False] * 8 + [True] * 2


def test_wsd_takes_one_length_of_its_decay_and_one_that_fits():
    for lengths in ({}, {"decay_steps": 3, "decay_ratio": 0.1}):
        with pytest.raises(ValueError, match="decay_steps or decay_ratio"):
            wsd(**lengths)
    with pytest.raises(DataError, match="warms up for 3 steps and decays for 6, but the mixture gives 8 steps; lower"):
        check_schedule(wsd(warmup_steps=3, decay_steps=6), 8)
    check_schedule(wsd(warmup_steps=2, decay_steps=6), 8)

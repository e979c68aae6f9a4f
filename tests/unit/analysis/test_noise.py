"""The noise of a finished study, from its table of variance components."""

import numpy as np
import pytest
import yaml
from nested_data import Shape, Truth, simulate
from nested_tests import reject
from simulated_statistics import show_noise

from mixlab.analysis.cell_intervals import VARIANCE, VARIANCE_HEADER
from mixlab.analysis.detectable import Design, find_detectable, plan_test
from mixlab.analysis.noise import count_scored_items, list_unknown, measure_noise
from mixlab.cli.noise import render_noise
from mixlab.config.noise import NoiseConfig

ROWS = """\
v,after_sft,gsm8k,accuracy,item,0.4,0.16,10,9,0.5,
v,after_sft,gsm8k,accuracy,ipt_seed,0.03,0.0009,4,3,0.06,
v,after_sft,gsm8k,accuracy,ipt_seed x item,0.1,0.01,40,27,0.2,
v,after_sft,gsm8k,accuracy,sft_seed,0.0,0.0,8,4,0.02,"estimated -0.1, kept at 0"
v,after_sft,gsm8k,accuracy,residual,0.2,0.04,80,36,0.3,
v,after_sft,mgsm_ja,accuracy,ipt_seed,0.05,0.0025,4,2,0.08,
v,after_sft,mgsm_ja,accuracy,ipt_seed x item,0.1,0.01,40,27,0.2,
v,after_sft,mgsm_ja,accuracy,sft_seed,0.01,0.0001,8,4,0.02,
v,after_sft,mgsm_ja,accuracy,residual,0.2,0.04,80,36,0.3,
v,after_sft,talk,judge_score,mixture_seed,0.5,0.25,4,3,0.9,
v,after_sft,talk,judge_score,sft_seed x item,0.4,0.16,8,4,0.5,
v,after_sft,talk,judge_score,judge_run,0.1,0.01,8,4,0.2,
v,after_sft,talk,judge_score,residual,0.6,0.36,80,36,0.7,
v,after_sft,broken,judge_score,,,,0,,,not estimable
v,before_sft,gsm8k,accuracy,ipt_seed,0.9,0.81,4,3,1.8,
"""


def test_deviations_are_averaged_over_cells_as_variances(tmp_path):
    (tmp_path / VARIANCE).write_text(",".join(VARIANCE_HEADER) + "\n" + ROWS)
    found = measure_noise(tmp_path, "after_sft")
    accuracy = found["accuracy"]
    # nothing lies within an SFT seed here, so that what is left is its product with the item
    assert {name: one.estimate for name, one in accuracy.items()} == pytest.approx(
        {"ipt_seed": (0.0017) ** 0.5, "ipt_seed_item": 0.1, "sft_seed": (0.00005) ** 0.5, "sft_seed_item": 0.2}
    )
    assert {name: one.upper for name, one in accuracy.items()} == pytest.approx(
        {"ipt_seed": (0.005) ** 0.5, "ipt_seed_item": 0.2, "sft_seed": 0.02, "sft_seed_item": 0.3}
    )
    assert [one.df for one in accuracy.values()] == [2, 27, 4, 36]
    assert {name: one.estimate for name, one in found["judge_score"].items()} == pytest.approx(
        {"ipt_seed": 0.5, "sft_seed_item": 0.4, "judge_run": 0.1, "answer": 0.6}
    )


def test_the_items_behind_it_are_counted_by_benchmark(tmp_path):
    (tmp_path / VARIANCE).write_text(",".join(VARIANCE_HEADER) + "\n" + ROWS)
    assert count_scored_items(tmp_path, "after_sft") == {"gsm8k": 10}


def test_a_cell_without_components_is_named_since_it_has_no_part_in_the_noise(tmp_path):
    (tmp_path / VARIANCE).write_text(",".join(VARIANCE_HEADER) + "\n" + ROWS)
    assert list_unknown(tmp_path, "after_sft") == ["judge_score of broken has no part in it: not estimable"]
    assert list_unknown(tmp_path, "before_sft") == []


def test_what_is_printed_can_be_pasted_into_a_study_and_holds_no_zero(tmp_path):
    (tmp_path / VARIANCE).write_text(",".join(VARIANCE_HEADER) + "\n" + ROWS)
    text = render_noise(measure_noise(tmp_path, "after_sft"), count_scored_items(tmp_path, "after_sft"))
    assert "sft_seed: 0.02  # 80 % limit; estimate 0.00707, df 4" in text
    assert "# sft_seed: not repeated" in text
    config = NoiseConfig.model_validate(yaml.safe_load(text)["noise"])
    assert config.measures["judge_score"].sft_seed is None
    assert config.measures["accuracy"].sft_seed_item == 0.3
    assert config.items == {"gsm8k": 10}


def test_power_by_the_noise_that_was_measured_is_what_is_simulated():
    """What a seed does to items is large here: divided by judge runs, it would promise far too much."""
    truth, shape = Truth(sft=0.05, judge=0.05, sft_item=0.8, answer=0.3), Shape(1, 3, 3)
    noise = show_noise(truth, np.random.default_rng(1), pilots=8)
    plan = plan_test(noise, Design(1, 1, 3, 1, 3, (30,)), "these models")
    effect, hits, count = find_detectable(plan), 0, 3000
    for a, b in simulate(np.random.default_rng(2), truth, shape, count, effect):
        hits += int(reject(a, b, "these models")["paired_t"].sum())
    assert hits / count == pytest.approx(0.8, abs=0.04)

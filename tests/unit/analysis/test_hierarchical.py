"""The hierarchical bootstrap on tables whose answer is known."""

import numpy as np
import pytest

from mixlab.analysis.hierarchical import bootstrap_hierarchy, draw_units


def test_seeds_and_items_both_move_the_difference():
    generator = np.random.default_rng(4)
    seeds = generator.standard_normal((1, 50, 1))
    items = generator.standard_normal((1, 1, 200))
    a = np.zeros((1, 50, 200)) + seeds + 0.5 * items
    found = bootstrap_hierarchy([a], [np.zeros_like(a)], paired=True)
    # 1 / sqrt 50 of the seeds, .5 / sqrt 200 of the items
    error = np.hypot(seeds.std() / np.sqrt(50), 0.5 * items.std() / np.sqrt(200))
    assert found.difference == pytest.approx(a.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_seeds_that_both_sides_share_cancel_when_they_are_drawn_together():
    shared = np.random.default_rng(5).standard_normal((1, 8, 1)) + np.zeros((1, 8, 20))
    paired, apart = (bootstrap_hierarchy([shared + 0.1], [shared], paired=paired) for paired in (True, False))
    assert (paired.low, paired.high) == pytest.approx((0.1, 0.1))
    assert apart.high - apart.low > 0.5


def test_items_both_sides_answer_alike_cancel():
    items = np.random.default_rng(6).standard_normal((1, 1, 30)) + np.zeros((1, 4, 30))
    found = bootstrap_hierarchy([items + 0.1], [items], paired=False)
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))


def test_blocks_and_benchmarks_count_evenly():
    a = [np.array([[[1.0, 1.0]], [[3.0, 3.0]]]), np.array([[[5.0]], [[5.0]]])]
    found = bootstrap_hierarchy(a, [np.zeros_like(one) for one in a], paired=True)
    assert (found.difference, found.low, found.high) == (3.5, 3.5, 3.5)


def test_units_are_drawn_within_their_block():
    weights = draw_units((2, 3), 0)
    assert weights[:, :3].sum(axis=1) == pytest.approx(0.5)
    assert weights[:, 3:].sum(axis=1) == pytest.approx(0.5)

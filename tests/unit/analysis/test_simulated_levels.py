"""The committed levels are those of the tests as they are, and the roles follow from them."""

import numpy as np
import pytest
from nested_data import Shape, Truth, simulate
from nested_tests import find_mixed_p, reject, reject_beside

from mixlab.analysis.mixed_model import fit_mixed_model
from mixlab.analysis.simulated_levels import find_level, read_levels


def test_the_committed_levels_are_found_again_by_a_smaller_simulation():
    count, rejected = 3000, {}
    for a, b in simulate(np.random.default_rng(8), Truth(), Shape(1, 3, 3), count):
        for name, one in (reject(a, b, "these models") | reject_beside(a, b, "these models")).items():
            rejected[name] = rejected.get(name, 0) + int(one.sum())
    assert set(rejected) == set(read_levels())
    for name, hits in rejected.items():
        level = read_levels()[name][3].level
        # four Monte-Carlo errors of the smaller simulation
        assert hits / count == pytest.approx(level, abs=4 * (level * (1 - level) / count) ** 0.5), name


def test_the_paired_test_keeps_its_level_whatever_the_number_of_seeds():
    assert {units for units, one in read_levels()["paired_t"].items() if one.decides} == set(read_levels()["paired_t"])


def test_tests_that_reject_too_often_or_too_rarely_decide_nothing():
    assert not find_level("kodama_oda_t", 3).decides
    assert not find_level("mixed_model", 3).decides
    assert not find_level("hierarchical_bootstrap_paired", 3).decides
    assert not find_level("welch_t", 2).decides


def test_a_number_of_seeds_that_was_not_simulated_takes_the_next_below():
    assert find_level("welch_t", 7) == find_level("welch_t", 6)
    assert find_level("welch_t", 1) is None
    assert find_level("no such test", 3) is None


def test_the_closed_form_of_the_simulation_is_what_statsmodels_fits():
    ((a, b),) = simulate(np.random.default_rng(9), Truth(), Shape(1, 3, 3), 5)
    tables = a[:, 0].mean(axis=2), b[:, 0].mean(axis=2)
    fitted = [fit_mixed_model(*pair).p for pair in zip(*tables, strict=True)]
    assert fitted == pytest.approx(list(find_mixed_p(*tables)), abs=0.001)

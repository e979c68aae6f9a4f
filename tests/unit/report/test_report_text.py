"""Numbers as people read them."""

import pytest

from mixlab.analysis.statistics import Estimate
from mixlab.report.text import render_estimate, render_p, render_plain, render_score, to_anchor


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("accuracy", 0.5314, "53.1"),
        ("accuracy", -0.027, "−2.7"),
        ("accuracy", -0.0001, "0.0"),
        ("judge_score", 6.25, "6.25"),
        ("accuracy", None, "–"),
    ],
)
def test_accuracy_is_percent_and_judge_scores_are_points(measure, value, text):
    assert render_score(measure, value) == text


def test_a_cell_without_a_mean_says_why():
    assert render_estimate("accuracy", None) == "not run"
    assert render_estimate("judge_score", Estimate(None, None, None, 0, None, 0)) == "none parsed"
    assert render_estimate("judge_score", Estimate(8.0, None, None, 1, None, 1)) == "8.00 ± –"


def test_a_p_value_beside_the_level_has_a_digit_more():
    assert [render_p(p) for p in (0.0009, 0.0123, 0.0496, 0.0504, 0.77)] == [
        *("< 0.001", "0.012", "0.0496", "0.0504", "0.770")
    ]


def test_counts_are_grouped_and_unknown_values_are_a_dash():
    assert render_plain(1234567) == "1\u202f234\u202f567"
    assert (render_plain(None), render_plain(0.123456), render_plain("2/3")) == ("–", "0.1235", "2/3")


def test_an_anchor_has_only_letters_digits_and_dashes():
    assert to_anchor("key", "ab12:last-00") == "key-ab12-last-00"

from fractions import Fraction

import pytest
from pydantic import ValidationError

from mixlab.config.averaging import AveragingSettings
from mixlab.plan.canonical import to_plain


def read(**values):
    return AveragingSettings.model_validate(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "weighted", "last": 2}, "method: weighted needs weights"),
        ({"method": "ema", "last": 2}, "method: ema needs decay"),
        ({"method": "ema", "decay": 0.5, "weights": [1]}, "weights belongs to method: weighted, but method is ema"),
        ({"decay": 0.5}, "decay belongs to method: ema, but method is uniform"),
        ({"method": "weighted", "last": 3, "weights": [1, 2]}, "2 for the last 3 snapshots; give one for each"),
        ({"method": "weighted", "last": 3, "weights": [1, 0, -2]}, r"more than 0, got 0 \(number 2\), -2 \(number 3\)"),
        ({"method": "weighted", "last": 1, "weights": []}, "weights"),
        ({"method": "ema", "decay": 1}, "must lie between 0 and 1, both excluded, got 1"),
        ({"method": "ema", "decay": 0}, "must lie between 0 and 1, both excluded, got 0"),
        ({"method": "median"}, "'uniform', 'weighted' or 'ema'"),
        ({"delta_scale": 0}, "must not be 0"),
        ({"delta_scale": 101}, "delta_scale"),
        ({"dtype": "float64"}, "'float32', 'bfloat16' or 'float16'"),
        ({"shard_bytes": 0}, "shard_bytes"),
        ({"shard_bytes": "5 Gigs"}, "expected a size like 4 GiB"),
    ],
)
def test_an_average_that_means_nothing_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        read(**values)


def test_all_that_does_not_fit_the_method_is_told_at_once():
    with pytest.raises(ValidationError) as caught:
        read(method="ema", last=2, weights=[1, 2, 3])
    for message in ("ema needs decay", "weights belongs to method: weighted", "3 for the last 2 snapshots"):
        assert message in str(caught.value)


def test_weights_of_one_proportion_are_one_average():
    written = [[0.3, 0.2], ["30 %", "20 %"], [3, 2], ["1/2", "1/3"]]
    plain = [to_plain(read(method="weighted", last=2, weights=weights)) for weights in written]
    assert plain == [{"method": "weighted", "last": 2, "accumulate": "float32", "weights": ["3", "2"]}] * 4


def test_coefficients_are_exact_and_newest_first():
    assert read(last=3).coefficients() == (1, 1, 1)
    assert read(method="weighted", last=2, weights=[0.6, 0.2]).coefficients() == (3, 1)
    assert read(method="ema", last=3, decay="2/3").coefficients() == (1, Fraction(2, 3), Fraction(4, 9))


def test_settings_survive_json_unchanged():
    wanted = read(method="ema", decay=0.9, delta_scale="1/3", dtype="bfloat16", shard_bytes="5 GB")
    assert AveragingSettings.model_validate_json(wanted.model_dump_json()) == wanted
    assert AveragingSettings.model_validate(to_plain(wanted)) == wanted


def test_what_was_there_before_has_the_text_it_had():
    assert to_plain(read(last=4)) == {"method": "uniform", "last": 4, "accumulate": "float32"}

"""Filters as a user writes them, and what of them enters a key."""

import pytest
from pydantic import TypeAdapter, ValidationError

from mixlab.config import filters
from mixlab.config.filters import (
    ContaminationConfig,
    ContaminationSettings,
    FilterConfig,
    FilterSettings,
    settle_against,
)

WRITTEN = TypeAdapter(FilterConfig)
SETTINGS = TypeAdapter(FilterSettings)


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ({"type": "exact_duplicates", "ignore_case": True, "against": ["a", "b"]}, {"against"}),
        ({"type": "near_duplicates", "threshold": "90 %", "against": ["a"]}, {"against"}),
        ({"type": "personal_data", "kinds": ["phone", "email"], "on_found": "drop"}, set()),
        ({"type": "length", "max_tokens": 5, "tokenizer": "bpe"}, {"tokenizer"}),
    ],
)
def test_names_of_sources_and_tokenizers_never_enter_a_key(written, names):
    config = WRITTEN.validate_python(written)
    settings = config.to_settings().model_dump()
    assert names.isdisjoint(settings)
    assert settings == {name: value for name, value in config.model_dump().items() if name not in names}
    assert SETTINGS.validate_python(settings).model_dump() == settings


@pytest.mark.parametrize(
    ("source", "exact", "near"),
    [
        ("a", (), ()),
        ("b", ("a",), ()),
        ("c", ("a", "b"), ("b",)),
        ("other", ("a", "b"), ("c", "b")),
    ],
)
def test_a_source_is_compared_with_those_named_before_it_alone(source, exact, near):
    written = (
        WRITTEN.validate_python({"type": "exact_duplicates", "against": ["a", "b"]}),
        WRITTEN.validate_python({"type": "personal_data"}),
        WRITTEN.validate_python({"type": "near_duplicates", "against": ["c", "b"]}),
    )
    settled = settle_against(written, source)
    assert (settled[0].against, settled[2].against) == (exact, near)
    assert [one.to_settings() for one in settled] == [one.to_settings() for one in written]


def test_the_order_of_kinds_says_nothing():
    one, other = (
        {"type": "personal_data", "kinds": kinds} for kinds in (["phone", "email"], ["email", "phone", "email"])
    )
    assert WRITTEN.validate_python(one).to_settings() == WRITTEN.validate_python(other).to_settings()


def test_what_is_done_about_contamination_is_no_part_of_the_search():
    settings = {how: ContaminationConfig(on_found=how).to_settings() for how in ("warn", "drop", "fail")}
    assert set(map(type, settings.values())) == {ContaminationSettings}
    assert len({one.model_dump_json() for one in settings.values()}) == 1


@pytest.mark.parametrize("type_name", ["contamination", "label"])
def test_filters_that_a_study_writes_elsewhere_are_not_written_in_a_list(type_name):
    with pytest.raises(ValidationError, match="does not match any of the expected tags"):
        WRITTEN.validate_python({"type": type_name, "on_found": "drop", "category": "math"})


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"type": "exact_duplicates", "against": ["a", "a"]}, "named twice"),
        ({"type": "near_duplicates", "threshold": "0.4"}, "greater than or equal to 1/2"),
        ({"type": "near_duplicates", "threshold": "80"}, "less than or equal to 1"),
        ({"type": "length", "tokenizer": "bpe"}, "needs `min_tokens`"),
        ({"type": "length", "max_tokens": 5}, "tokenizer"),
        ({"type": "personal_data", "kinds": []}, "at least 1 item"),
    ],
)
def test_mistakes_are_told_with_what_is_allowed(written, message):
    with pytest.raises(ValidationError, match=message):
        WRITTEN.validate_python(written)


def test_every_kind_of_personal_data_is_in_order():
    assert list(filters.PERSONAL_KINDS) == sorted(filters.PERSONAL_KINDS)

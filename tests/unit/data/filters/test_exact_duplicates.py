"""Exact duplicates: what counts as the same text, and which record stays."""

import random

import pytest
from filtering import apply_filter, dialogue, texts

from mixlab.config.filters import ExactDuplicates
from mixlab.config.problems import DataError
from mixlab.data.filters.exact import digest_record
from mixlab.data.overlap.units import BLOCK_CHARACTERS


def digest(text: str, **options: bool) -> bytes:
    return digest_record({"text": text}, ignore_case=options.get("ignore_case", False))


def test_the_first_of_equal_records_stays_and_the_report_names_it(tmp_path):
    done = apply_filter(tmp_path, ExactDuplicates(), texts("a b", "c", "ａ　 b\n", "c", "A b"))
    assert done.excluded == [2, 3]
    assert done.rows == [
        {"record": 2, "reason": "duplicate of an earlier record", "duplicate_of": 0},
        {"record": 3, "reason": "duplicate of an earlier record", "duplicate_of": 1},
    ]
    assert done.index == {
        "records_in": 5,
        "records": 3,
        "excluded": 2,
        "reasons": {"duplicate of an earlier record": 2},
    }


def test_case_counts_unless_it_is_to_be_ignored(tmp_path):
    assert apply_filter(tmp_path / "1", ExactDuplicates(), texts("Word", "word")).excluded == []
    assert apply_filter(tmp_path / "2", ExactDuplicates(ignore_case=True), texts("Word", "word")).excluded == [1]


def test_dialogues_differ_by_who_says_what(tmp_path):
    records = [dialogue("a", "b"), dialogue("a", "b", "c", "d"), dialogue("a b", "b"), dialogue("a", " b ")]
    records.append({"messages": [{"role": "system", "content": "a"}, *dialogue("b", "c")["messages"]]})
    assert apply_filter(tmp_path, ExactDuplicates(), records).excluded == [3]


def test_a_record_of_another_source_is_a_duplicate_here(tmp_path):
    done = apply_filter(tmp_path, ExactDuplicates(), texts("a", "b", "b"), against=[texts("x"), texts("y", "b")])
    assert [row["record"] for row in done.rows] == [1, 2]
    assert done.rows[0] == {"record": 1, "reason": "duplicate of another source", "duplicate_of": 1, "source": 1}


def test_records_excluded_before_are_neither_read_nor_kept_as_originals(tmp_path):
    done = apply_filter(tmp_path, ExactDuplicates(), texts("a", "a", "a"), before=[0])
    assert done.excluded == [0, 2]
    assert done.rows[0]["duplicate_of"] == 1
    assert done.index["records_in"] == 2


def test_a_long_text_is_digested_as_a_short_one(monkeypatch):
    rng = random.Random(3)
    for _ in range(200):
        text = "".join(rng.choice("ab \n　漢Ａé") for _ in range(rng.randrange(60)))
        whole = [digest(text), digest(text, ignore_case=True)]
        with monkeypatch.context() as patch:
            patch.setattr("mixlab.data.filters.exact.BLOCK_CHARACTERS", 7)
            assert [digest(text), digest(text, ignore_case=True)] == whole
            assert digest(f"  {text} ") == whole[0]
    assert BLOCK_CHARACTERS > 10**6


def test_text_that_is_hard_to_encode_is_compared_like_any_other(tmp_path):
    done = apply_filter(tmp_path, ExactDuplicates(), texts("\ud800", "\ud801", "\x00", "\ud800", "...", ""))
    assert done.excluded == [3]


def test_a_source_without_records_is_an_error(tmp_path):
    with pytest.raises(DataError, match="none came in"):
        apply_filter(tmp_path, ExactDuplicates(), [])

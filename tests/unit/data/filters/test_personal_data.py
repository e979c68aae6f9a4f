"""Personal data: what is found, and what only looks like it."""

import pytest
from filtering import apply_filter, dialogue, texts
from personal_examples import DECOYS, FOUND

from mixlab.config.filters import PERSONAL_KINDS, PersonalData
from mixlab.config.problems import DataError
from mixlab.data.filters.patterns import passes_luhn, passes_my_number
from mixlab.data.filters.personal import count_personal
from mixlab.data.overlap.units import BLOCK_CHARACTERS, OVERLAP_CHARACTERS


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_personal_data_is_found_once_and_as_its_kind(kind, text):
    assert count_personal(PERSONAL_KINDS, {"text": text}) == {kind: 1}


@pytest.mark.parametrize("text", DECOYS)
def test_what_only_looks_like_personal_data_is_left_alone(text):
    assert count_personal(PERSONAL_KINDS, {"text": text}) == {}


def test_check_digits_are_those_of_published_examples():
    assert passes_luhn("79927398713") and not passes_luhn("79927398710")
    assert passes_my_number("123456789018")
    assert [digit for digit in "0123456789" if passes_my_number("12345678901" + digit)] == ["8"]


def test_flagged_records_stay_and_are_listed_without_what_was_found(tmp_path):
    records = [dialogue("mail a.b@web.de and c@web.de", "ok"), dialogue("hello", "03-5253-1111"), *texts("nothing")]
    done = apply_filter(tmp_path, PersonalData(), records)
    assert done.excluded == [] and done.rows == []
    assert done.index["flagged"]["email"] == {"records": 1, "finds": 2}
    assert done.index["flagged"]["phone"] == {"records": 1, "finds": 1}
    assert done.index["flagged"]["my_number"] == {"records": 0, "finds": 0}
    flagged = (done.folder / "flagged.jsonl").read_text()
    assert '"record": 1' in flagged and "web.de" not in flagged


def test_records_are_dropped_from_so_many_finds_on(tmp_path):
    records = texts("a.b@web.de", "a.b@web.de c.d@web.de", "none")
    settings = PersonalData(on_found="drop", at_least=2)
    done = apply_filter(tmp_path, settings, records)
    assert done.rows == [{"record": 1, "reason": "personal data", "patterns": {"email": 2}}]
    assert not (done.folder / "flagged.jsonl").exists()


def test_only_the_kinds_asked_for_are_looked_for(tmp_path):
    settings = PersonalData(kinds=("phone",), on_found="drop")
    assert apply_filter(tmp_path, settings, texts("a.b@web.de", "03-5253-1111")).excluded == [1]


def test_a_find_in_a_long_text_is_counted_once_wherever_it_lies():
    edge = BLOCK_CHARACTERS - OVERLAP_CHARACTERS
    for place in (0, edge - 5, edge, BLOCK_CHARACTERS - 6, BLOCK_CHARACTERS + 50):
        text = ("x " * (place // 2)) + " jane@web.de " + "y " * (BLOCK_CHARACTERS // 2)
        assert count_personal(("email",), {"text": text}) == {"email": 1}, place


def test_a_filter_that_leaves_nothing_says_by_what(tmp_path):
    with pytest.raises(DataError, match="no record is left of 2: 2 personal data"):
        apply_filter(tmp_path, PersonalData(on_found="drop"), texts("a.b@web.de", "c@web.de"))

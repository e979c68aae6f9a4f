"""Invisible characters: none of them tells two texts apart or hides what is looked for."""

import unicodedata

import pytest
from filtering import apply_filter, texts
from hypothesis import given
from hypothesis import strategies as st

from mixlab.config.filters import PERSONAL_KINDS, ExactDuplicates, NearDuplicates
from mixlab.data.filters.personal import count_personal
from mixlab.data.overlap.invisible import INVISIBLE, drop_invisible
from mixlab.data.overlap.units import BLOCK_CHARACTERS, OVERLAP_CHARACTERS, split_units

HIDDEN = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u200e", "\u202e", "\ufe0f", "\U000e0100"]
SENTENCE = "A gardener plants seven rows of tulips behind the old mill and waters every row twice a day."


def hide(text: str, mark: str) -> str:
    return mark + mark.join(text) + mark


@pytest.mark.parametrize("mark", HIDDEN, ids=lambda mark: f"{ord(mark):X}")
def test_an_invisible_character_inside_words_changes_no_unit(mark):
    for text in (SENTENCE, "ガラスを３個、買う。", "cafe\u0301 1,234"):
        assert split_units([hide(text, mark)]).hashes.tolist() == split_units([text]).hashes.tolist()


@pytest.mark.parametrize("mark", HIDDEN, ids=lambda mark: f"{ord(mark):X}")
def test_texts_that_differ_in_what_nobody_sees_are_duplicates(tmp_path, mark):
    records = texts(SENTENCE, mark + SENTENCE, f"{mark} {SENTENCE}\n{mark}", hide(SENTENCE, mark), SENTENCE + "!")
    assert apply_filter(tmp_path / "exact", ExactDuplicates(), records).excluded == [1, 2, 3]
    assert apply_filter(tmp_path / "near", NearDuplicates(), records).excluded == [1, 2, 3, 4]


@pytest.mark.parametrize("mark", HIDDEN, ids=lambda mark: f"{ord(mark):X}")
def test_an_invisible_character_does_not_hide_personal_data(mark):
    for kind, text in (
        ("email", "taro.y@gmail.com"),
        ("phone", "03-5253-1111"),
        ("credit_card", "4539148803436467"),
        ("my_number", "マイナンバー123456789018"),
        ("postal_address", "東京都千代田区霞が関3丁目"),
    ):
        assert count_personal(PERSONAL_KINDS, {"text": hide(text, mark)}) == {kind: 1}


def test_a_find_in_a_long_text_full_of_invisible_characters_is_counted_once():
    edge = BLOCK_CHARACTERS - OVERLAP_CHARACTERS
    for place in (edge - 5, edge, BLOCK_CHARACTERS - 6):
        text = "\u200bx " * (place // 2) + " jane@we\u200bb.de " + "y\u00ad " * (BLOCK_CHARACTERS // 2)
        assert count_personal(("email",), {"text": text}) == {"email": 1}, place


def test_joiners_stay_only_where_they_shape_what_is_seen():
    for kept in ("می\u200cخواهم", "क्\u200dष", "\U0001f468\u200d\U0001f469"):
        assert drop_invisible(kept) == kept
    assert drop_invisible("\u2764\ufe0f\u200d\U0001f525") == "\u2764\u200d\U0001f525"
    assert drop_invisible("a\u200cb 猫\u200d犬 \u200d") == "ab 猫犬 "


def test_signs_of_the_unicode_category_format_are_invisible_but_for_those_that_are_drawn():
    listed = {code for first, last in INVISIBLE for code in range(first, last + 1)}
    rest = {chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf" and code not in listed}
    names = {unicodedata.name(one).split()[0] for one in rest}
    assert names <= {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"}  # signs of numbers, verses, abbreviations, quadrats
    assert all(drop_invisible("a" + chr(code)) == "a" for code in listed)
    assert all(drop_invisible("a" + one) == "a" + one for one in rest)


@given(st.text(st.one_of(st.characters(), st.sampled_from([*HIDDEN, "ی", "\u2764", "a"]))))
def test_what_is_dropped_once_needs_no_second_time(text):
    once = drop_invisible(text)
    assert drop_invisible(once) == once

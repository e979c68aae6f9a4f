"""Texts as units: what separates, what joins, and that hashes say what the characters say."""

import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mixlab.data.overlap import units
from mixlab.data.overlap.invisible import drop_invisible
from mixlab.data.overlap.units import BLOCK_CHARACTERS, OVERLAP_CHARACTERS, cut_text, hash_runs, split_units

ODD = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("aB1 ,'’.、。ｶﾞ゛がカé\u0301①㌔…Ａ９한ᄒ\x1e\x00ςΣİ\u200b\u200d\ufe0f\U000e0100"),
    ),
    max_size=40,
).filter(lambda text: "\x1e" not in text)


def same(one: str, other: str) -> bool:
    return split_units([one]).hashes.tolist() == split_units([other]).hashes.tolist()


def test_case_width_punctuation_and_composition_do_not_matter():
    assert same("Don't panic, Ａrthur!", "dont PANIC arthur")
    assert same("It’s 1,234,567 km", "its 1234567 KM")
    assert same("ｶﾞﾗｽを３個、買う。", "ガラス を3個買う")
    assert same("cafe\u0301 ΟΔΟΣ", "CAFÉ οδος")


def test_words_numbers_and_order_do_matter():
    assert not same("a b", "ab")
    assert not same("a b", "b a")
    assert not same("1,2 3", "12 3")
    assert not same("3.5", "35")
    assert not same("ハ", "バ")
    assert not same("rock 'n' roll", "rocknroll")


def test_units_are_words_or_single_japanese_characters_and_know_their_text():
    found = split_units(["Python3で2個、", "", "a 42 猫\x1eb"])
    assert found.text.tolist() == [0, 0, 0, 0, 2, 2, 2, 2]
    assert found.is_alone.tolist() == [False, True, False, True, False, False, True, False]
    assert found.is_telling.tolist() == [True, True, False, True, False, False, True, False]


def test_texts_without_units_are_empty():
    for texts in ([], [""], ["..."], ["\ud800", "\x00"], ["\x1e"]):
        assert len(split_units(texts).hashes) == 0


@given(ODD)
def test_the_table_folds_as_unicodedata_does(text):
    text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    normal = unicodedata.normalize("NFKC", drop_invisible(text)).lower()
    codes = units._codes(normal.replace("ς", "σ"))
    kinds = units._tables().kinds[np.minimum(codes, units._LAST)]
    folded = units._normalised_codes([text])
    assert folded[units._tables().kinds[np.minimum(folded, units._LAST)] > 0].tolist() == codes[kinds > 0].tolist()


@given(st.lists(ODD, max_size=5))
def test_texts_together_are_split_as_each_alone(texts):
    together = split_units(texts)
    for number, text in enumerate(texts):
        assert together.hashes[together.text == number].tolist() == split_units([text]).hashes.tolist()


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(1, 20))
def test_runs_are_polynomials_of_their_units(values, length):
    runs = hash_runs(np.array(values, np.uint64), length).tolist()
    assert len(runs) == max(0, len(values) - length + 1)
    for start, run in enumerate(runs):
        expected = 0
        for value in values[start : start + length]:
            expected = (expected * units._BASE + value) % 2**64
        assert run == expected


@given(st.integers(0, 3 * BLOCK_CHARACTERS))
def test_pieces_of_a_long_text_overlap_and_cover_it(size):
    pieces = list(cut_text("x" * size))
    assert sum(map(len, pieces)) - OVERLAP_CHARACTERS * (len(pieces) - 1) == size
    assert all(len(piece) <= BLOCK_CHARACTERS for piece in pieces)

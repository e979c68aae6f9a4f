"""Hints at a name that was probably meant."""

import unicodedata

from mixlab.config.problems import did_you_mean


def test_the_nearest_name_is_told() -> None:
    assert did_you_mean("evne", ["even", "odd"]) == "; did you mean 'even'?"
    assert did_you_mean("zzz", ["even", "odd"]) == ""


def test_of_a_name_that_looks_the_same_the_characters_are_told() -> None:
    composed, decomposed = (unicodedata.normalize(form, "がくしゅう") for form in ("NFC", "NFD"))
    for got, other in ((composed, decomposed), (decomposed, composed)):
        assert "in other characters (Unicode NFC or NFD)" in did_you_mean(got, ["even", other])
        assert did_you_mean(got, [got]) == f"; did you mean '{got}'?"

"""CSV files of mixtures: what they may say, and every mistake with its line, column and cure."""

from pathlib import Path

import pytest

from mixlab.analysis.surface.mixtures_csv import read_mixtures
from mixlab.config.problems import DataError

GOOD = """mixture,ratio:raw,ratio:en/math,loss:wiki,score:gsm8k,se:gsm8k
a,0.5,0.5,3.5,0.2,0.01
b,0.251,0.752,3.1,0.3,0.02

c,1,0,4,,
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "measured 測定.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_losses_scores_and_errors_are_read_and_rounded_ratios_normalised(tmp_path: Path) -> None:
    wiki, gsm8k = read_mixtures(write(tmp_path, GOOD))
    assert (wiki.target.name, wiki.target.is_loss, gsm8k.target.is_loss) == ("wiki", True, False)
    assert wiki.points.components == ("raw", "en/math")
    assert wiki.points.labels == ("a", "b", "c")
    assert wiki.points.ratios_ND[1].tolist() == pytest.approx([0.251 / 1.003, 0.752 / 1.003])
    # c has no score
    assert gsm8k.points.labels == ("a", "b")
    assert gsm8k.points.errors_N.tolist() == [0.01, 0.02]


def test_rows_of_one_mixture_are_runs_of_it(tmp_path: Path) -> None:
    (one,) = read_mixtures(write(tmp_path, "ratio:a,ratio:b,loss:x\n0.5,0.5,1\n0.5,0.5,3\n0.2,0.8,2\n"))
    assert one.points.values_N.tolist() == [2.0, 2.0]
    assert one.points.noise == pytest.approx(2**0.5)
    assert one.points.labels == ("line 2", "line 4")


def test_every_bad_row_is_named_with_its_column_and_a_cure(tmp_path: Path) -> None:
    text = (
        "mixture,ratio:raw,ratio:en/math,loss:wiki,se:wiki\n"
        "a,0.5,0.5,nan,\n"
        "b,0.5,0.6,3,\n"
        "c,1.5,-0.5,3,\n"
        "d,0.5,,3,\n"
        "e,0.5,0.5\n"
        "a,0.4,0.6,3,\n"
        "f,0.4,0.6,3,-1\n"
        "g,0.4,0.6,three,0.1\n"
    )
    path = write(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_mixtures(path)
    told = [(one.line, one.key, one.message) for one in caught.value.problems]
    assert all(one.file == str(path) for one in caught.value.problems)
    assert told == [
        (2, "loss:wiki", "expected a number, got 'nan'; correct it, or remove the row"),
        (3, "", "ratios sum to 1.1, not 1 (within 0.005); correct one, or add the missing component"),
        (4, "ratio:raw", "1.5 is outside of 0 to 1; a ratio is a share of the whole mixture"),
        (4, "ratio:en/math", "-0.5 is outside of 0 to 1; a ratio is a share of the whole mixture"),
        (5, "ratio:en/math", "expected a number, got nothing; correct it, or remove the row"),
        (6, "", "3 fields under 5 columns; is a comma missing, or one too many?"),
        (7, "mixture", "'a' is another mixture on line 2; runs of one mixture have equal ratios, so rename one"),
        (8, "se:wiki", "-1 is negative; a standard error is 0 or more"),
        (9, "loss:wiki", "expected a number, got 'three'; correct it, or remove the row"),
    ]


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-inf", "1e999"])
def test_what_is_not_finite_is_no_number_in_any_column(tmp_path: Path, value: str) -> None:
    rows = [f"{value},0.5,3,0.1", f"0.5,0.5,{value},0.1", f"0.5,0.5,3,{value}"]
    with pytest.raises(DataError) as caught:
        read_mixtures(write(tmp_path, "\n".join(["ratio:a,ratio:b,loss:x,se:x", *rows]) + "\n"))
    assert [(one.line, one.key) for one in caught.value.problems] == [(2, "ratio:a"), (3, "loss:x"), (4, "se:x")]
    assert {one.message for one in caught.value.problems} == {
        f"expected a number, got '{value}'; correct it, or remove the row"
    }


@pytest.mark.parametrize(
    ("header", "key", "said"),
    [
        ("ratio:a,ratio:b,los:x", "los:x", "did you mean 'loss'?"),
        ("ratio:a,ratio:b,loss:x,loss:x", "loss:x", "two columns have this name"),
        ("ratio:a,ratio:b,loss:wiki,se:wikki", "se:wikki", "did you mean 'wiki'?"),
        ("ratio:a,ratio:b,loss:x,score:x", "x", "both a loss and a score"),
        ("ratio:a,loss:x", "", "1 columns ratio:NAME"),
        ("ratio:a,ratio:b", "", "no column loss:NAME or score:NAME"),
        ("ratio:a,ratio:b,loss:x,", "column 4", "not a column that is known"),
    ],
)
def test_columns_that_say_nothing_are_named(tmp_path: Path, header: str, key: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_mixtures(write(tmp_path, f"{header}\n0.5,0.5,1\n"))
    assert any(one.key == key and said in one.message for one in caught.value.problems), caught.value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no mixtures in it"),
        (b"ratio:a,ratio:b,loss:x\n", "no mixtures in it"),
        (b"ratio:a,ratio:b,loss:x\n0.5,0.5,\n", "no row has a value"),
        (b"ratio:a\xff\n1\n", "not UTF-8 at byte 7"),
        (b'ratio:a,ratio:b,loss:x\n"0.5,0.5,1\n', "no CSV"),
    ],
)
def test_files_without_a_mixture_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_mixtures(path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_mixtures(tmp_path / "absent.csv")


def test_values_too_large_to_be_squared_are_refused_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, "ratio:a,ratio:b,loss:x,se:x\n0.5,0.5,1e100,1\n0.4,0.6,-1.5e160,\n0.3,0.7,1,2e300\n")
    with pytest.raises(DataError) as caught:
        read_mixtures(path)
    assert [(one.line, one.key) for one in caught.value.problems] == [(3, "loss:x"), (4, "se:x")]
    assert "-1.5e160 is beyond 1e+100 in size" in caught.value.problems[0].message

"""A mixture takes what was asked for, window by window, and certifies it."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlab.config.mixtures import MixtureSettings
from mixlab.config.problems import DataError
from mixlab.data.mixing import build_mixture, draw_windows, interleave

EN_JA = [
    {"kind": "instruction", "language": "en", "category": "math"},
    {"kind": "instruction", "language": "ja", "category": "math"},
    {"kind": "raw", "language": "en"},
]


def _pack(folder: Path, window_tokens: list[int], layout: str = "packed", sequence_tokens: int = 16) -> Path:
    folder.mkdir(parents=True)
    np.save(folder / "window_tokens.npy", np.array(window_tokens, dtype="<i8"))
    index = {"windows": len(window_tokens), "tokens": sum(window_tokens), "sequence_tokens": sequence_tokens}
    (folder / "index.json").write_text(json.dumps(index | {"layout": layout}))
    return folder


@pytest.fixture
def packs(tmp_path: Path) -> list[Path]:
    stream = np.random.default_rng(0)
    sizes = enumerate((200, 100, 400))
    return [_pack(tmp_path / str(at), stream.integers(10, 17, size).tolist()) for at, size in sizes]


def _mix(out: Path, packs: list[Path], **changes: Any) -> tuple[np.ndarray, dict[str, Any]]:
    base: dict[str, Any] = {"sources": EN_JA, "instruction": "1/2", "language": {"en": "3/4", "ja": "1/4"}}
    base |= {"budget": {"tokens": 4000}, "seed": 3}
    out.mkdir(exist_ok=True)
    build_mixture(MixtureSettings.model_validate(base | changes), packs, out)
    return np.load(out / "windows.npy"), json.loads((out / "certificate.json").read_text())


def test_every_source_is_within_one_window_of_its_request_and_the_certificate_says_so(
    tmp_path: Path, packs: list[Path]
) -> None:
    windows, certificate = _mix(tmp_path / "out", packs)
    assert [one["requested_ratio"] for one in certificate["sources"]] == ["3/8", "1/8", "1/2"]
    assert sum(one["requested_tokens"] for one in certificate["sources"]) == 4000
    for at, one in enumerate(certificate["sources"]):
        tokens = np.load(packs[at] / "window_tokens.npy")
        mine = windows[windows[:, 0] == at, 1]
        assert one["windows"] == len(mine) == len(set(mine.tolist()))
        assert one["allocated_tokens"] == int(tokens[mine].sum())
        assert abs(one["allocated_tokens"] - one["requested_tokens"]) <= 16
        assert one["repetition"] == one["allocated_tokens"] / int(tokens.sum())
    language = certificate["axes"]["language"]
    assert (language["en"]["requested_ratio"], language["ja"]["feasible_ratio"]) == ("3/4", "1/4")
    assert language["en"]["observed_ratio"] == pytest.approx(0.75, abs=0.01)
    assert certificate["axes"]["instruction"]["raw"]["observed_ratio"] == pytest.approx(0.5, abs=0.01)
    assert certificate["total"]["windows"] == len(windows)


def test_the_same_settings_give_the_same_bytes_and_another_seed_another_order(
    tmp_path: Path, packs: list[Path]
) -> None:
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        _mix(tmp_path / name, packs, seed=seed)
    for file in ("windows.npy", "certificate.json"):
        first = (tmp_path / "one" / file).read_bytes()
        assert first == (tmp_path / "two" / file).read_bytes()
        assert first != (tmp_path / "three" / file).read_bytes()


def test_changing_one_ratio_keeps_the_beginning_of_every_source(tmp_path: Path, packs: list[Path]) -> None:
    one, _ = _mix(tmp_path / "one", packs)
    other, _ = _mix(tmp_path / "other", packs, instruction="0.7", language={"en": "0.6", "ja": "0.4"})
    for at in range(3):
        mine, theirs = (windows[windows[:, 0] == at, 1].tolist() for windows in (one, other))
        shorter = min(len(mine), len(theirs))
        assert shorter > 10
        assert mine[:shorter] == theirs[:shorter]


def test_a_source_keeps_its_windows_when_another_is_left_out_or_stands_elsewhere(
    tmp_path: Path, packs: list[Path]
) -> None:
    one, _ = _mix(tmp_path / "one", packs)
    fewer, _ = _mix(tmp_path / "fewer", packs[::-2], sources=EN_JA[::-2], language={"en": 1})
    mine, theirs = one[one[:, 0] == 0, 1].tolist(), fewer[fewer[:, 0] == 1, 1].tolist()
    assert mine == theirs[: len(mine)]
    assert one[one[:, 0] == 2, 1].tolist() == fewer[fewer[:, 0] == 0, 1].tolist()


def test_every_stretch_of_the_mixture_has_about_its_shares(tmp_path: Path, packs: list[Path]) -> None:
    windows, _ = _mix(tmp_path / "out", packs)
    quarter = windows[: len(windows) // 4, 0]
    whole = np.bincount(windows[:, 0]) / len(windows)
    assert np.bincount(quarter, minlength=3) / len(quarter) == pytest.approx(whole, abs=0.03)


def test_a_source_that_must_repeat_too_often_is_named_with_needs_has_and_cure(
    tmp_path: Path, packs: list[Path]
) -> None:
    with pytest.raises(DataError) as caught:
        _mix(tmp_path / "out", packs, budget={"tokens": 8000}, language={"en": "1/4", "ja": "3/4"})
    message = str(caught.value)
    has = int(np.load(packs[1] / "window_tokens.npy").sum())
    assert f"source '1' (ja/math): needs 3,000 tokens, has {has:,}" in message
    assert "set max_epochs >= 2.3" in message
    assert len(caught.value.problems) == 1


def test_repetition_within_max_epochs_takes_every_window_before_any_again(tmp_path: Path, packs: list[Path]) -> None:
    asked = {"budget": {"tokens": 8000}, "language": {"en": "1/4", "ja": "3/4"}, "max_epochs": 3}
    windows, certificate = _mix(tmp_path / "out", packs, **asked)
    mine = windows[windows[:, 0] == 1, 1].tolist()
    assert sorted(mine[:100]) == sorted(mine[100:200]) == list(range(100))
    assert certificate["sources"][1]["repetition"] == pytest.approx(3000 / 1300, abs=0.1)


def test_a_natural_mixture_of_two_epochs_holds_every_window_twice(tmp_path: Path, packs: list[Path]) -> None:
    natural = {"instruction": "natural", "language": "natural", "budget": {"epochs": 2}, "max_epochs": 2}
    windows, certificate = _mix(tmp_path / "out", packs, **natural)
    assert len(windows) == 1400
    assert np.unique(windows, axis=0).shape == (700, 2)
    assert {one["repetition"] for one in certificate["sources"]} == {2.0}


def test_a_budget_in_samples_counts_windows(tmp_path: Path) -> None:
    singles = [_pack(tmp_path / str(at), [5 + at] * 50, "one_per_window") for at in range(3)]
    windows, certificate = _mix(tmp_path / "out", singles, budget={"samples": 40})
    assert np.bincount(windows[:, 0]).tolist() == [15, 5, 20]
    assert certificate["unit"] == "windows"
    assert certificate["sources"][0]["allocated_tokens"] == 75


def test_samples_of_packed_windows_and_windows_of_two_lengths_are_refused(tmp_path: Path, packs: list[Path]) -> None:
    with pytest.raises(DataError, match="a budget in samples needs packs of layout one_per_window"):
        _mix(tmp_path / "out", packs, budget={"samples": 40})
    other = _pack(tmp_path / "other", [20], sequence_tokens=32)
    with pytest.raises(DataError, match=r"different sequence_tokens: \[16, 32\]"):
        _mix(tmp_path / "out", [*packs[:2], other])


def test_a_budget_below_one_window_is_an_error(tmp_path: Path, packs: list[Path]) -> None:
    with pytest.raises(DataError, match="a budget of 3 takes no window"):
        _mix(tmp_path / "out", packs, budget={"tokens": 3})


@given(st.lists(st.integers(1, 16), min_size=1, max_size=60), st.integers(0, 2000), st.integers(0, 9))
def test_a_draw_is_never_more_than_one_window_off_nor_beyond_its_epochs(
    tokens: list[int], wanted: int, position: int
) -> None:
    wanted = min(wanted, 3 * sum(tokens))
    drawn = draw_windows(np.array(tokens), wanted, Fraction(3), 1, position)
    taken = int(np.array(tokens)[drawn].sum())
    assert abs(taken - wanted) <= max(tokens)
    assert taken <= 3 * sum(tokens)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_interleaving_loses_nothing_and_keeps_the_order_of_each_source(counts: list[int]) -> None:
    drawn = [np.random.default_rng(at).permutation(count) for at, count in enumerate(counts)]
    merged = interleave(drawn, 5, range(len(drawn)))
    for at, windows in enumerate(drawn):
        assert merged[merged[:, 0] == at, 1].tolist() == windows.tolist()

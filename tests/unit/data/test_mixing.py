"""A mixture takes what was asked for, window by window, and certifies it."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pack_fakes import write_fake_pack

from mixlab.config.mixtures import MixtureSettings
from mixlab.config.problems import DataError
from mixlab.data.mixtures.certificate_rows import read_certificate
from mixlab.data.mixtures.mixing import build_mixture
from mixlab.data.mixtures.order import MixtureOrder, positions_of
from mixlab.data.packs.pack import Pack

EN_JA = [
    {"kind": "instruction", "language": "en", "category": "math"},
    {"kind": "instruction", "language": "ja", "category": "math"},
    {"kind": "raw", "language": "en"},
]
Order = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def packs(tmp_path: Path) -> list[Path]:
    stream = np.random.default_rng(0)
    sizes = enumerate((200, 100, 400))
    return [write_fake_pack(tmp_path / str(at), stream.integers(10, 17, size).tolist()) for at, size in sizes]


def _mix(out: Path, packs: list[Path], block_windows: int = 32, **changes: Any) -> tuple[Order, dict[str, Any]]:
    base: dict[str, Any] = {"sources": EN_JA, "instruction": "1/2", "language": {"en": "3/4", "ja": "1/4"}}
    base |= {"budget": {"tokens": 4000}, "seed": 3}
    out.mkdir(exist_ok=True)
    build_mixture(MixtureSettings.model_validate(base | changes), packs, out, block_windows=block_windows)
    order = MixtureOrder(out, [Pack(pack) for pack in packs])
    return order.slice(0, len(order)), read_certificate(out / "certificate.json")


def _tokens(packs: list[Path], order: Order) -> np.ndarray:
    tokens = [Pack(pack).tokens_W for pack in packs]
    return np.array([tokens[source][window] for source, window in zip(*order, strict=True)])


def test_every_source_is_within_one_window_of_its_request_and_the_certificate_says_so(
    tmp_path: Path, packs: list[Path]
) -> None:
    (sources, windows), certificate = _mix(tmp_path / "out", packs)
    assert [one["requested_ratio"] for one in certificate["sources"]] == ["3/8", "1/8", "1/2"]
    assert sum(one["requested"] for one in certificate["sources"]) == 4000
    for at, one in enumerate(certificate["sources"]):
        tokens = Pack(packs[at]).tokens_W
        mine = windows[sources == at]
        assert one["windows"] == len(mine) == len(set(mine.tolist()))
        assert one["allocated_tokens"] == int(tokens[mine].sum())
        assert one["target_tokens"] == one["allocated_tokens"] - len(mine)
        assert one["response_tokens"] == int((tokens[mine] // 2).sum())
        assert one["padding_tokens"] == 16 * len(mine) - one["allocated_tokens"]
        assert (one["first_document"], one["last_document"]) == (mine.min(), mine.max())
        assert abs(one["allocated_tokens"] - one["requested"]) <= 16
        assert one["repetition"] == pytest.approx(one["allocated_tokens"] / int(tokens.sum()), abs=1e-6)
    language = certificate["axes"]["language"]
    assert (language["en"]["requested_ratio"], language["ja"]["feasible_ratio"]) == ("3/4", "1/4")
    for measure in ("observed_ratio", "target_ratio", "response_ratio"):
        assert language["en"][measure] == pytest.approx(0.75, abs=0.01)
        assert certificate["axes"]["instruction"]["raw"][measure] == pytest.approx(0.5, abs=0.01)
    assert certificate["total"]["windows"] == certificate["windows"] == len(windows)
    assert certificate["repeated"] == []


def test_the_same_settings_give_the_same_bytes_and_another_seed_another_order(
    tmp_path: Path, packs: list[Path]
) -> None:
    orders = [_mix(tmp_path / name, packs, seed=seed)[0] for name, seed in (("one", 3), ("two", 3), ("three", 4))]
    for file in ("plan.json", "ledger.bin", "certificate.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    mine, theirs = (windows[sources == 2].tolist() for sources, windows in (orders[0], orders[2]))
    assert sorted(mine) != sorted(theirs)


def test_the_order_does_not_depend_on_where_the_ledger_has_its_borders(tmp_path: Path, packs: list[Path]) -> None:
    orders = [_mix(tmp_path / str(size), packs, size)[0] for size in (1, 7, 4096)]
    for other in orders[1:]:
        np.testing.assert_array_equal(orders[0], other)


def test_changing_one_ratio_keeps_the_beginning_of_every_source(tmp_path: Path, packs: list[Path]) -> None:
    one, _ = _mix(tmp_path / "one", packs)
    other, _ = _mix(tmp_path / "other", packs, instruction="0.7", language={"en": "0.6", "ja": "0.4"})
    for at in range(3):
        mine, theirs = (windows[sources == at].tolist() for sources, windows in (one, other))
        shorter = min(len(mine), len(theirs))
        assert shorter > 10
        assert mine[:shorter] == theirs[:shorter]


def test_a_source_keeps_its_windows_when_another_is_left_out_or_stands_elsewhere(
    tmp_path: Path, packs: list[Path]
) -> None:
    one, _ = _mix(tmp_path / "one", packs)
    fewer, _ = _mix(tmp_path / "fewer", packs[::-2], sources=EN_JA[::-2], language={"en": 1})
    for mine, theirs in ((0, 1), (2, 0)):
        both = (one[1][one[0] == mine].tolist(), fewer[1][fewer[0] == theirs].tolist())
        shorter = min(map(len, both))
        assert shorter > 50
        assert both[0][:shorter] == both[1][:shorter]


def test_every_prefix_has_its_shares_within_one_window_of_real_tokens(tmp_path: Path, packs: list[Path]) -> None:
    order, certificate = _mix(tmp_path / "out", packs)
    tokens = _tokens(packs, order)
    for at, asked in enumerate((1500, 500, 2000)):
        mine = np.cumsum(np.where(order[0] == at, tokens, 0))
        off = np.abs(mine - np.cumsum(tokens) * asked / 4000)
        assert off.max() < 16
        assert certificate["deviation"]["windows"] < 1


def test_windows_of_one_length_are_never_a_window_off(tmp_path: Path) -> None:
    packs = [write_fake_pack(tmp_path / str(at), [16] * size) for at, size in enumerate((200, 100, 400))]
    (sources, _), _ = _mix(tmp_path / "out", packs)
    places = np.arange(1, len(sources) + 1)
    for at, share in enumerate((3 / 8, 1 / 8, 1 / 2)):
        assert np.abs(np.cumsum(sources == at) - places * share).max() < 1


def test_a_source_that_must_repeat_too_often_is_named_with_needs_has_and_every_cure(
    tmp_path: Path, packs: list[Path]
) -> None:
    asked: dict[str, Any] = {"budget": {"tokens": 8000}, "language": {"en": "1/4", "ja": "3/4"}}
    with pytest.raises(DataError) as caught:
        _mix(tmp_path / "out", packs, **asked)
    message = str(caught.value)
    has = Pack(packs[1]).tokens
    assert f"source '1' (ja/math): needs 3,000 tokens, has {has:,} (max_epochs 1)" in message
    assert f"from 37.500000% to at most {has / 8000:.6%}" in message
    lower, more = re.search(r"lower the budget to ([\d,]+) tokens, or set max_epochs: ([\d.]+)", message).groups()
    assert len(caught.value.problems) == 2
    _mix(tmp_path / "lower", packs, **asked | {"budget": {"tokens": lower.replace(",", "")}})
    _mix(tmp_path / "more", packs, **asked | {"max_epochs": more})
    with pytest.raises(DataError):
        _mix(tmp_path / "out", packs, **asked | {"budget": {"tokens": int(lower.replace(",", "")) + 3}})


def test_repetition_within_max_epochs_takes_every_window_before_any_again(tmp_path: Path, packs: list[Path]) -> None:
    asked = {"budget": {"tokens": 8000}, "language": {"en": "1/4", "ja": "3/4"}, "max_epochs": 3}
    (sources, windows), certificate = _mix(tmp_path / "out", packs, **asked)
    mine = windows[sources == 1].tolist()
    assert sorted(mine[:100]) == sorted(mine[100:200]) == list(range(100))
    assert mine[:100] != mine[100:200]
    row = certificate["sources"][1]
    assert row["epochs"] == pytest.approx(3000 / 1300, abs=0.1)
    assert (row["first_document"], row["last_document"]) == (0, 99)
    assert row["allocated_tokens"] == int(Pack(packs[1]).tokens_W[mine].sum())


def test_a_source_seen_more_than_four_times_is_marked(tmp_path: Path, packs: list[Path]) -> None:
    asked = {"budget": {"tokens": 20000}, "language": {"en": "1/4", "ja": "3/4"}, "max_epochs": 8}
    _, certificate = _mix(tmp_path / "out", packs, **asked)
    assert certificate["repeated"] == [1]


def test_a_natural_mixture_of_two_epochs_holds_every_window_twice(tmp_path: Path, packs: list[Path]) -> None:
    natural = {"instruction": "natural", "language": "natural", "budget": {"epochs": 2}, "max_epochs": 2}
    order, certificate = _mix(tmp_path / "out", packs, **natural)
    assert len(order[0]) == 1400
    found, counts = np.unique(np.stack(order), axis=1, return_counts=True)
    assert (found.shape[1], set(counts.tolist())) == (700, {2})
    assert {one["epochs"] for one in certificate["sources"]} == {2.0}


def test_a_budget_in_samples_counts_windows(tmp_path: Path) -> None:
    singles = [write_fake_pack(tmp_path / str(at), [5 + at] * 50, "one_per_window") for at in range(3)]
    (sources, _), certificate = _mix(tmp_path / "out", singles, budget={"samples": 40})
    assert np.bincount(sources).tolist() == [15, 5, 20]
    assert certificate["unit"] == "windows"
    assert certificate["sources"][0]["allocated_tokens"] == 75
    assert certificate["axes"]["language"]["en"]["observed_ratio"] == 0.75


def test_a_budget_in_windows_has_exactly_as_many_and_shares_count_tokens(tmp_path: Path, packs: list[Path]) -> None:
    (sources, _), certificate = _mix(tmp_path / "out", packs, budget={"windows": 250})
    assert len(sources) == 250
    for row, share in zip(certificate["sources"], (3 / 8, 1 / 8, 1 / 2), strict=True):
        assert abs(row["allocated_tokens"] - share * certificate["total"]["allocated_tokens"]) < 16


def test_phases_change_the_shares_and_draws_go_on(tmp_path: Path, packs: list[Path]) -> None:
    phase = {"begin": "3/5", "instruction": "1/10", "language": {"en": 1}}
    order, certificate = _mix(tmp_path / "out", packs, phases=[phase], budget={"windows": 200})
    sources, windows = order
    tokens = _tokens(packs, order)
    for part, shares in ((slice(0, 120), (3 / 8, 1 / 8, 1 / 2)), (slice(120, 200), (1 / 10, 0, 9 / 10))):
        for at, share in enumerate(shares):
            mine = np.cumsum(np.where(sources[part] == at, tokens[part], 0))
            assert np.abs(mine - np.cumsum(tokens[part]) * share).max() < 16
    assert not (sources[120:] == 1).any()
    assert len(set(windows[sources == 2].tolist())) == (sources == 2).sum()
    assert [one["windows"] for one in certificate["phases"]] == [120, 80]
    assert certificate["axes"]["instruction"]["raw"]["observed_ratio"] == pytest.approx(0.66, abs=0.01)
    assert certificate["axes"]["instruction"]["raw"]["requested_ratio"] == "33/50"


def test_samples_of_packed_windows_and_windows_of_two_lengths_are_refused(tmp_path: Path, packs: list[Path]) -> None:
    with pytest.raises(DataError, match="a budget in samples needs packs of layout one_per_window"):
        _mix(tmp_path / "out", packs, budget={"samples": 40})
    other = write_fake_pack(tmp_path / "other", [20], sequence_tokens=32)
    with pytest.raises(DataError, match=r"different sequence_tokens: \[16, 32\]"):
        _mix(tmp_path / "out", [*packs[:2], other])


def test_a_budget_beyond_all_reason_is_refused_with_the_largest_there_can_be(tmp_path: Path, packs: list[Path]) -> None:
    with pytest.raises(DataError, match=r"the largest mixture has 1,000,000,000; lower the budget to 1[23],\d{3},"):
        _mix(tmp_path / "out", packs, budget={"tokens": "1e15"}, max_epochs="1e15")
    with pytest.raises(DataError, match="needs 375,000,000,000,000 tokens") as caught:
        _mix(tmp_path / "out", packs, budget={"tokens": "1e15"})
    assert "to at most 0.0" not in str(caught.value)
    found = re.search(r"lower the budget to ([\d,]+) tokens$", str(caught.value))
    assert found is not None, caught.value
    _mix(tmp_path / "less", packs, budget={"tokens": found[1].replace(",", "")})


def test_all_shares_without_data_are_told_at_once(tmp_path: Path, packs: list[Path]) -> None:
    empty = [write_fake_pack(tmp_path / f"empty{at}", [], dropped=at) for at in range(2)]
    with pytest.raises(DataError) as caught:
        _mix(tmp_path / "out", [empty[0], packs[0], empty[1]])
    assert len(caught.value.problems) == 3
    assert "raw data has a share of 0.5, but its sources are empty" in str(caught.value)
    assert "language en: has a share of 0.75 and no data" in str(caught.value)
    assert "source '2' has no window: 1 documents have no response token within 16 tokens" in str(caught.value)


def test_an_empty_source_without_a_share_of_its_own_takes_nothing(tmp_path: Path, packs: list[Path]) -> None:
    empty = write_fake_pack(tmp_path / "empty", [])
    (sources, _), certificate = _mix(tmp_path / "out", [*packs, empty], sources=[*EN_JA, EN_JA[2]])
    assert not (sources == 3).any()
    assert certificate["sources"][3]["first_document"] == -1


def test_the_plan_is_small_readable_json(tmp_path: Path, packs: list[Path]) -> None:
    _mix(tmp_path / "out", packs)
    plan = json.loads((tmp_path / "out/plan.json").read_text())
    assert plan["phases"][0]["requested"] == [1500, 500, 2000]
    assert '\n  "requested":[1500,500,2000]' in (tmp_path / "out/plan.json").read_text().replace("   ", "  ")


def test_other_packs_than_those_it_was_made_of_are_refused(tmp_path: Path, packs: list[Path]) -> None:
    _mix(tmp_path / "out", packs)
    with pytest.raises(DataError, match=r"100 windows, but source 0 of .* has 200"):
        MixtureOrder(tmp_path / "out", [Pack(packs[at]) for at in (1, 0, 2)])
    with pytest.raises(DataError, match="made of 3 packs, got 2"):
        MixtureOrder(tmp_path / "out", [Pack(pack) for pack in packs[:2]])


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_ranks_share_the_places_of_a_step_in_order(ranks: int) -> None:
    for step, expected in ((1, range(16)), (3, range(32, 40)), (4, range(0))):
        seen = [place for rank in range(ranks) for place in positions_of(step, 16, rank, ranks, 40)]
        assert seen == list(expected)

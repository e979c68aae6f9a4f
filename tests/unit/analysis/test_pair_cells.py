"""Win rates by hand: ties count half, items and pairs of models evenly, and what cannot be read counts nowhere."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixlab.analysis.aggregate import write_aggregate
from mixlab.analysis.cells import read_csv
from mixlab.analysis.pair_limits import estimate_limits
from mixlab.analysis.pairwise import (
    PairCell,
    PairRow,
    build_pair_cells,
    read_pair_cells,
    read_pair_rows,
    write_pairwise,
)
from mixlab.config.analysis import AggregateSettings, ModelEntry, ModelIdentity, PairEntry
from mixlab.config.problems import DataError
from mixlab.data.writing import write_line

ROW = PairRow(
    variant_key="aa",
    against_key="bb",
    stage="after_sft",
    benchmark="talk",
    language="en",
    category="",
    judge="judge",
    own="",
    item="0",
    turn=1,
    outcome="win",
    flipped=False,
    flipped_to="",
    identical=False,
    generation_seed=1,
    judge_run=1,
    mixture_seed=1,
    ipt_seed=1,
    sft_seed=1,
    pair_key="k",
)


def row(outcome: Any, item: str = "0", **changes: Any) -> PairRow:
    return PairRow(**{**vars(ROW), "outcome": outcome, "item": item, **changes})


def only(rows: list[PairRow]) -> PairCell:
    (cell,) = build_pair_cells(rows)
    return cell


def test_a_tie_counts_half_and_a_comparison_without_outcome_nowhere_but_among_the_unread() -> None:
    cell = only([row("win", "0"), row("tie", "1"), row("loss", "2"), row("win", "3"), row(None, "4")])
    assert (cell.wins, cell.ties, cell.losses, cell.unparsed, cell.comparisons) == (2, 1, 1, 1, 5)
    assert (cell.win_rate, cell.n_items) == (2.5 / 4, 4)


def test_an_item_counts_once_however_many_of_its_turns_were_compared() -> None:
    cell = only([row("win", "0", turn=turn) for turn in (1, 2, 3)] + [row("loss", "1")])
    assert (cell.win_rate, cell.wins, cell.n_items) == (0.5, 3, 2)


def test_pairs_of_models_count_evenly_and_their_spread_is_the_error_over_seeds() -> None:
    first = [row("win", str(item), sft_seed=1) for item in range(4)]
    second = [row("win", "0", sft_seed=2), row(None, "1", sft_seed=2), row("loss", "2", sft_seed=2)]
    cell = only([*first, *second, row("loss", "3", sft_seed=2)])
    assert cell.win_rate == pytest.approx((1 + 1 / 3) / 2)
    # two win rates, 1 and 1/3: their deviation over the root of two
    assert cell.se_seeds == pytest.approx((1 - 1 / 3) / math.sqrt(2) / math.sqrt(2))
    assert (cell.n_seeds, cell.n_pairs) == (2, 2)
    assert only(first).se_seeds is None


def test_the_spread_is_that_of_the_win_rates_of_judge_runs() -> None:
    runs = [row("win", judge_run=1), row("tie", judge_run=2), row("loss", judge_run=3)]
    cell = only(runs)
    assert (cell.win_rate, cell.spread, cell.n_runs, cell.n_items) == (0.5, 0.5, 3, 1)
    assert only([*runs[:2], row(None, judge_run=3)]).spread is None


def limit(*pairs: list[float]) -> tuple[float, float]:
    """Limits of pairs of models that differ by their SFT seeds, from the points of their items."""
    by_item = [{str(item): value for item, value in enumerate(values)} for values in pairs]
    low, high = estimate_limits({(1, 1, seed): values for seed, values in enumerate(by_item)}) or (math.nan, math.nan)
    return low, high


def test_limits_are_those_of_agresti_and_coull_where_each_item_is_won_or_lost() -> None:
    # 7 of 10: p' = 9 / 14, and 1.96 times the root of p' (1 - p') / 14
    low, high = limit([1.0] * 7 + [0.0] * 3)
    half = 1.959964 * math.sqrt(9 / 14 * 5 / 14 / 14)
    assert (low, high) == (pytest.approx(9 / 14 - half), pytest.approx(9 / 14 + half))
    assert estimate_limits({}) is None and estimate_limits({(1, 1, 1): {}}) is None


@pytest.mark.parametrize("values", [[1.0] * 5, [0.0] * 200, [0.5], [0.5] * 7, [1.0, 0.5]])
def test_limits_hold_the_win_rate_stay_within_0_and_1_and_are_never_certain(values: list[float]) -> None:
    low, high = limit(values)
    assert 0 <= low <= sum(values) / len(values) <= high <= 1
    assert high - low > 0.001


def test_items_that_all_pairs_have_count_with_the_weights_of_the_win_rate() -> None:
    """Nine SFT seeds of mixture 1 win all, the one of mixture 2 loses all: each item is half won."""
    seeds = [(1, seed) for seed in range(1, 10)] + [(2, 1)]
    rows = [
        row("win" if mixture == 1 else "loss", str(item), mixture_seed=mixture, sft_seed=seed)
        for mixture, seed in seeds
        for item in range(80)
    ]
    cell = only(rows)
    assert (cell.win_rate, cell.n_items, cell.n_pairs) == (0.5, 80, 10)
    # 80 items of 1/2 with 0, 0, 1, 1: the deviations' squares sum up to 1
    half = 1.959964 / 84
    assert (cell.low, cell.high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))
    halves = limit([1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0])
    assert halves == pytest.approx(limit([0.5, 0.0, 1.0, 0.5]))


def test_a_pair_of_which_little_was_read_widens_the_limits_by_its_weight() -> None:
    """SFT seed 1 wins 80 of 80; of seed 2 four losses could be read: the win rate is 1/2, the read items' 76/80."""
    first = [row("win", str(item), sft_seed=1) for item in range(80)]
    second = [row("loss" if item < 4 else None, str(item), sft_seed=2) for item in range(80)]
    cell = only([*first, *second])
    assert (cell.win_rate, cell.n_items, cell.unparsed) == (0.5, 80, 76)
    # means with two won and two lost more: 82/84 and 2/8
    far, near = 82 / 84, 2 / 8
    parts = [((1 - far) / 84 - near / 8) / 2] * 4 + [(1 - far) / 84 / 2] * 76
    parts += [((value - far) / 84 + (value - near) / 8) / 2 for value in (0, 0, 1, 1)]
    half, middle = 1.959964 * math.sqrt(sum(part**2 for part in parts)), (far + near) / 2
    assert (cell.low, cell.high) == (pytest.approx(middle - half), pytest.approx(middle + half))
    assert cell.low is not None and cell.high is not None and cell.low < 0.5 < cell.high
    assert only([*first, *(row(None, str(item), sft_seed=2) for item in range(80))]).low == only(first).low


@pytest.mark.parametrize("seed", range(5))
def test_limits_hold_the_win_rate_however_uneven_the_pairs(seed: int) -> None:
    rng = random.Random(seed)
    cells = []
    for _ in range(60):
        bias = [rng.random() for _ in range(6)]
        rows = [
            row(outcome, str(item), mixture_seed=pair // 3, sft_seed=pair)
            for pair in rng.sample(range(6), rng.randint(1, 6))
            for item in rng.sample(range(20), rng.choice((1, 2, 20)))
            for outcome in [None if rng.random() < bias[-1] / 2 else "win" if rng.random() < bias[pair] else "loss"]
        ]
        cells.append(only(rows))
    known = [(cell.low, cell.win_rate, cell.high) for cell in cells if cell.low is not None]
    assert len(known) > 40
    assert [one for one in known if not 0 <= one[0] <= one[1] <= one[2] <= 1 or one[2] - one[0] < 0.02] == []  # type: ignore[operator]


def test_limits_hold_the_win_rate_of_hundreds_of_pairs_of_one_item_each() -> None:
    low, high = estimate_limits({(1, 1, seed): {str(seed): 1.0} for seed in range(300)}) or (0, 0)
    assert 0 < low < high == 1


def test_judges_never_share_a_cell_and_categories_have_cells_of_their_own() -> None:
    rows = [row("win", "0", category="math"), row("loss", "1", category="roleplay"), row("win", "0", judge="other")]
    cells = build_pair_cells(rows)
    assert [(cell.judge, cell.category, cell.win_rate) for cell in cells] == [
        ("judge", "", 0.5),
        ("judge", "math", 1.0),
        ("judge", "roleplay", 0.0),
        ("other", "", 1.0),
    ]


def test_flips_are_counted_of_what_was_asked_and_read() -> None:
    flip = {"flipped": True, "flipped_to": "first"}
    rows = [row("tie", "0", **flip), row("tie", "1", flipped=True, flipped_to="second"), row("tie", "2", **flip)]
    cell = only([*rows, row("win", "3"), row("tie", "4", identical=True), row(None, "5")])
    assert (cell.asked, cell.flipped, cell.flipped_to_first, cell.identical) == (4, 3, 2, 1)


@pytest.mark.parametrize(("own", "rate"), [("variant", 0.75), ("against", 0.25), ("", None)])
def test_the_win_rate_of_the_judges_own_model_is_seen_from_its_side(own: str, rate: float | None) -> None:
    assert only([row("win", "0", own=own), row("tie", "1", own=own)]).own_win_rate == rate


def identity(key: str, seed: int | None = 1) -> ModelIdentity:
    stage = "served" if seed is None else "after_sft"
    return ModelIdentity.model_validate(
        {"stage": stage, "variant_key": key, "base_model_key": key, "mixture_seed": seed, "ipt_seed": seed}
        | ({} if seed is None else {"sft_seed": seed})
    )


def entry(position: int, *, is_swapped: bool, own: Any = None) -> PairEntry:
    return PairEntry(
        position=position,
        variant=identity("aa", None),
        against=identity("bb", 3),
        is_swapped=is_swapped,
        own=own,
        benchmark="talk",
        language="en",
        generation_seed=1,
        judge_run=1,
    )


def write_artifact(folder: Path, outcomes: list[str | None]) -> Path:
    folder.mkdir()
    lines = [
        {"item": str(at), "turn": 1, "category": None, "outcome": outcome, "flipped": False, "flipped_to": None}
        | {"identical": False, "parsed": outcome is not None, "replies": ["not read here"]}
        for at, outcome in enumerate(outcomes)
    ]
    (folder / "comparisons.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "index.json").write_text(json.dumps({"judge": "judge (seed 0)"}))
    return folder


def test_outcomes_are_told_from_the_side_of_the_variant_with_the_seeds_that_are_there(tmp_path: Path) -> None:
    folders = {"k1": write_artifact(tmp_path / "1", ["a", "b", "tie", None])}
    plain, swapped = (read_pair_rows([entry(0, is_swapped=is_swapped)], folders) for is_swapped in (False, True))
    assert [one.outcome for one in plain] == ["win", "loss", "tie", None]
    assert [one.outcome for one in swapped] == ["loss", "win", "tie", None]
    assert {(one.stage, one.sft_seed, one.pair_key, one.judge) for one in plain} == {
        ("after_sft", 3, "k1", "judge (seed 0)")
    }


def test_a_reply_may_hold_whatever_unicode_calls_the_end_of_a_line(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "1", ["a", "b", "tie"]) / "comparisons.jsonl"
    cards = [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
    with path.open("w", encoding="utf-8") as stream:
        for card, reply in zip(cards, ("\u2028[[A]]", "\u2029", "\u0085\r\n\f"), strict=True):
            write_line(stream, {**card, "replies": [reply]})
    rows = read_pair_rows([entry(0, is_swapped=False)], {"k1": path.parent})
    assert [one.outcome for one in rows] == ["win", "loss", "tie"]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folders = {"k1": write_artifact(tmp_path / "1", ["a", "tie"]), "k2": write_artifact(tmp_path / "2", [None])}
    entries = [entry(0, is_swapped=False, own="variant")]
    write_pairwise(entries, folders, tmp_path)
    assert read_pair_cells(tmp_path) == build_pair_cells(read_pair_rows(entries, folders))
    empty = tmp_path / "empty"
    empty.mkdir()
    write_pairwise([entry(1, is_swapped=False)], folders, empty)
    (cell,) = read_pair_cells(empty)
    assert (cell.win_rate, cell.low, cell.n_items, cell.unparsed) == (None, None, 0, 1)
    write_pairwise([], {}, none := tmp_path / "none")
    assert not none.exists() and read_pair_cells(none) == []


def test_every_line_that_is_no_comparison_is_told(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "1", ["a"])
    with (folder / "comparisons.jsonl").open("a") as stream:
        stream.write('{"item": "1"}\nnot json\n')
    with pytest.raises(DataError) as caught:
        read_pair_rows([entry(0, is_swapped=False), entry(5, is_swapped=False)], {"k1": folder})
    assert [problem.line for problem in caught.value.problems] == [2, 3, 0]
    (folder / "index.json").write_text("{}")
    with pytest.raises(DataError, match="names no judge"):
        read_pair_rows([entry(0, is_swapped=False)], {"k1": folder})


def test_an_aggregate_holds_the_comparisons_of_its_models(
    tmp_path: Path,
    write_model: Callable[..., tuple[ModelIdentity, Path]],
    entries: Callable[..., tuple[ModelEntry, ...]],
    certificates: dict[str, Path],
) -> None:
    models = [write_model(name, [1.0, 0.0], mixture_seed=1, ipt_seed=1, sft_seed=1) for name in ("rich", "poor")]
    out = tmp_path / "aggregate"
    out.mkdir()
    compared = PairEntry(
        position=0,
        variant=models[0][0],
        against=models[1][0],
        is_swapped=True,
        benchmark="talk",
        language="en",
        generation_seed=1,
        judge_run=1,
    )
    settings = AggregateSettings(models=entries([identity for identity, _ in models]), pairs=(compared,))
    pairs = {"k1": write_artifact(tmp_path / "pair", ["b", "b", "tie"])}
    write_aggregate(settings, [folder for _, folder in models], certificates, out, pairs=pairs)
    (cell,) = read_pair_cells(out)
    assert (cell.variant_key, cell.against_key, cell.wins, cell.win_rate) == ("rich", "poor", 2, pytest.approx(5 / 6))
    rows = read_csv(out / "comparisons.csv")
    assert [(row["item"], row["outcome"], row["pair_key"]) for row in rows] == [
        ("0", "win", "k1"),
        ("1", "win", "k1"),
        ("2", "tie", "k1"),
    ]

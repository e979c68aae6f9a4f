"""Cells of targets: what is averaged before what, what an error bar is over, and what is missing says so."""

import math
from typing import Any

import pandas as pd
import pytest

from mixlab.analysis.target_lineage import MadeOf
from mixlab.analysis.targets import COLUMNS, TargetCell, build_target
from mixlab.config.targets import ScoreTarget, TargetPoint, TargetSettings

SEEDS = {"mixture_seed": 1, "ipt_seed": 1, "sft_seed": 2, "generation_seed": 1, "judge_run": 2}
JUDGED = {"label": "EN", "measure": "judge_score", "benchmarks": ["mt_bench_en"]}


def build_rows(
    variant: str = "k1",
    stage: str = "after_sft",
    sft_seeds: tuple[int | None, ...] = (1, 2),
    base: float = 5.0,
    runs: tuple[int, ...] = (1, 2),
) -> list[dict[str, Any]]:
    """Two items of two turns: the score is base + item + seed / 10 + run / 100."""
    return [
        {
            "variant_key": variant, "stage": stage, "benchmark": "mt_bench_en", "measure": "judge_score",
            "language": "en", "category": "general", "item": str(item), "parsed": True,
            "score": base + item + (seed or 0) / 10 + run / 100 + turn - 1.5,
            "mixture_seed": 1, "ipt_seed": 1, "sft_seed": seed, "generation_seed": 1, "judge_run": run,
        }
        for item in (1, 2)
        for turn in (1, 2)
        for seed in sft_seeds
        for run in runs
    ]  # fmt: skip


def to_frame(*parts: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([row for part in parts for row in part], columns=list(COLUMNS))


def build_settings(points: tuple[tuple[str, str, str], ...] = (("a", "m", "k1"),), **more: Any) -> TargetSettings:
    asked = {"of": "T", "title": "t", "rows": ["variant"], "columns": ["base_model", "measure"], "measures": [JUDGED]}
    target = ScoreTarget.model_validate({**asked, **more})
    named = tuple(TargetPoint(variant=v, base_model=m, variant_key=k, mixture_key="x") for v, m, k in points)
    return TargetSettings(name="t", target=target, points=named, seeds=SEEDS)


def build_one(frame: pd.DataFrame, **more: Any) -> TargetCell:
    (cell,) = build_target(build_settings(**more), frame)
    return cell


def test_an_error_bar_is_over_the_counters_that_the_study_names() -> None:
    frame = to_frame(build_rows())
    both = build_one(frame)
    assert both.mean == pytest.approx(5 + 1.5 + 0.15 + 0.015)
    assert (both.n, both.n_wanted) == (4, 4)
    assert both.error == pytest.approx(pd.Series([0.11, 0.12, 0.21, 0.22]).std(ddof=1))
    seeds = build_one(frame, error={"what": "se", "over": ["sft_seed"]})
    assert (seeds.mean, seeds.n) == (pytest.approx(both.mean), 2)
    assert seeds.error == pytest.approx(pd.Series([0.1, 0.2]).std(ddof=1) / 2**0.5)


def test_before_sft_there_is_no_sft_seed_and_judge_runs_are_left() -> None:
    cell = build_one(to_frame(build_rows(stage="before_sft", sft_seeds=(None,))), stages=["before_sft"])
    assert (cell.n, cell.n_wanted) == (2, 2)
    assert cell.error == pytest.approx(0.01 / 2**0.5)


def test_a_seed_that_failed_shows_in_n_and_nothing_run_has_no_mean() -> None:
    cell = build_one(to_frame(build_rows(sft_seeds=(1,))))
    assert (cell.n, cell.n_wanted, cell.state) == (2, 4, "")
    missing = build_one(to_frame(build_rows(variant="other")))
    assert (missing.mean, missing.error, missing.state) == (None, None, "not run")


def test_an_unparsed_verdict_is_left_out_and_counted_and_all_unparsed_says_so() -> None:
    frame = to_frame(build_rows())
    frame.loc[0, ["score", "parsed"]] = [float("nan"), False]
    cell = build_one(frame)
    assert cell.unparsed == 1
    # of item 1, seed 1, run 1 the second turn is left: half a point higher than both turns
    assert cell.mean == pytest.approx(6.665 + 0.5 / 8)
    frame["score"], frame["parsed"] = float("nan"), False
    nothing = build_one(frame)
    assert (nothing.mean, nothing.state, nothing.unparsed) == (None, "none parsed", len(frame))


def test_some_items_of_a_benchmark_are_a_measure_of_their_own() -> None:
    frame = to_frame(build_rows())
    cell = build_one(frame, measures=[{**JUDGED, "items": ["2-5"]}])
    assert cell.mean == pytest.approx(5 + 2 + 0.15 + 0.015)
    absent = build_one(frame, measures=[{**JUDGED, "items": ["7", "8-9"]}])
    assert absent.state == "not run"


def test_a_run_that_lacks_a_benchmark_counts_as_missing() -> None:
    other = [{**row, "benchmark": "second"} for row in build_rows() if row["sft_seed"] == 1]
    cell = build_one(to_frame(build_rows(), other), measures=[{"label": "all", "measure": "judge_score"}])
    assert (cell.n, cell.n_wanted) == (2, 4)
    assert cell.mean == pytest.approx(5 + 1.5 + 0.1 + 0.015)


def test_differences_are_to_the_named_variant_on_the_same_model() -> None:
    frame = to_frame(build_rows(), build_rows("k2", base=4.0), build_rows("k3", base=7.0))
    points = (("a", "m", "k1"), ("b", "m", "k2"), ("b", "other", "k3"))
    settings = build_settings(points, against="b", variants=["a"], base_models=["m"])
    (cell,) = build_target(settings, frame)
    assert cell.difference == pytest.approx(1.0)


@pytest.mark.parametrize(("of", "wanted"), [("of_averages", 100 * (18 / 8 - 1)), ("average_of", 100 * (2 + 1) / 2)])
def test_gains_say_whether_they_are_of_averages(of: str, wanted: float) -> None:
    flat = {"sft_seeds": (1,), "runs": (1,)}
    rows = []
    for key, before, after in (("k1", 2.0, 6.0), ("k2", 6.0, 12.0)):
        for stage, score in (("before_sft", before), ("after_sft", after)):
            some = build_rows(key, stage, **{**flat, "sft_seeds": (None if stage == "before_sft" else 1,)})
            rows.append([{**row, "score": score} for row in some])
    points = (("a", "m", "k1"), ("a", "n", "k2"))
    settings = build_settings(points, rows=["variant"], columns=["measure"], gain=of)
    (cell,) = build_target(settings, to_frame(*rows))
    assert (cell.mean, cell.place.base_model) == (pytest.approx(9.0), "")
    assert cell.gain == pytest.approx(wanted)


def test_an_average_over_base_models_with_one_missing_has_no_mean_and_says_so() -> None:
    points = (("a", "m", "k1"), ("a", "n", "k2"))
    settings = build_settings(points, columns=["measure"])
    (cell,) = build_target(settings, to_frame(build_rows()))
    assert (cell.mean, cell.state) == (None, "1 of 2 base models")


def test_best_and_second_are_marked_by_seeds_and_not_by_judge_runs() -> None:
    points = tuple((name, "m", f"k{name}") for name in "abc")
    frame = to_frame(*(build_rows(f"k{name}", base=base, sft_seeds=(1, 2, 3)) for name, base in
                       (("a", 5.0), ("b", 8.0), ("c", 2.0))))  # fmt: skip
    marks = {cell.place.variant: cell.mark for cell in build_target(build_settings(points), frame)}
    assert marks == {"a": "second", "b": "best", "c": ""}
    one_seed = frame[frame["sft_seed"] == 1]
    assert {cell.mark for cell in build_target(build_settings(points), one_seed)} == {""}


def test_a_named_benchmark_that_nobody_ran_leaves_no_whole_run() -> None:
    both = {"label": "both", "measure": "judge_score", "benchmarks": ["mt_bench_en", "mt_bench_ja"]}
    cell = build_one(to_frame(build_rows()), measures=[both])
    assert (cell.mean, cell.n, cell.n_wanted, cell.state) == (None, 0, 4, "no whole run")
    # nor does one that the study declares and the measure takes without a name
    settings = build_settings(measures=[{"label": "all", "measure": "judge_score"}])
    declared = settings.model_copy(update={"benchmarks": {"all": ("mt_bench_en", "mt_bench_ja")}})
    (cell,) = build_target(declared, to_frame(build_rows()))
    assert (cell.mean, cell.state) == (None, "no whole run")
    # one that a filter leaves out is not missed
    japanese = [{**row, "benchmark": "mt_bench_ja", "language": "ja"} for row in build_rows()]
    english = build_one(to_frame(build_rows(), japanese), measures=[{**both, "languages": ["en"]}])
    assert (english.n, english.state) == (4, "")


def test_a_run_that_lacks_items_counts_as_missing() -> None:
    frame = to_frame(build_rows())
    cell = build_one(frame[~((frame["sft_seed"] == 2) & (frame["item"] == "2"))])
    assert (cell.n, cell.n_wanted) == (2, 4)
    assert cell.mean == pytest.approx(5 + 1.5 + 0.1 + 0.015)
    # the items of a benchmark are those of any variant of the study, of this target or not
    alone = to_frame(build_rows("other"), [row for row in build_rows() if row["item"] == "1"])
    assert build_one(alone).state == "no whole run"


def test_items_without_a_score_and_items_that_nobody_has_are_told() -> None:
    frame = to_frame(build_rows())
    gone = (frame["sft_seed"] == 2) & (frame["item"] == "2")
    frame.loc[gone, "score"], frame.loc[gone, "parsed"] = float("nan"), False
    cell = build_one(frame)
    assert (cell.n, cell.items, cell.items_wanted, cell.unparsed) == (4, 6, 8, 4)
    named = build_one(to_frame(build_rows()), measures=[{**JUDGED, "items": ["1-10"]}])
    assert (named.items, named.items_wanted) == (8, 40)


def test_a_difference_is_over_common_runs_and_has_none_without_them() -> None:
    points = (("a", "m", "k1"), ("b", "m", "k2"))
    settings = build_settings(points, against="b", variants=["a"])
    frame = to_frame(build_rows("k1"), build_rows("k2", base=4.0, sft_seeds=(1,)))
    (cell,) = build_target(settings, frame)
    assert cell.difference == pytest.approx(1.0)
    assert (cell.n, cell.n_wanted, cell.difference_n, cell.against_n) == (4, 4, 2, 2)
    frame = to_frame(build_rows("k1", sft_seeds=(2,)), build_rows("k2", base=4.0, sft_seeds=(1,)))
    (apart,) = build_target(settings, frame)
    assert (apart.difference, apart.difference_n) == (None, 0)


def test_a_column_is_marked_by_one_level_of_seeds_or_not_at_all() -> None:
    points = (("a", "m", "ka"), ("b", "m", "kb"))
    two = [{**row, "ipt_seed": seed, "score": row["score"] + seed / 100} for seed in (1, 2) for row in build_rows("ka")]
    one = build_rows("kb", base=1.0, sft_seeds=(1, 2))
    cells = build_target(build_settings(points), to_frame(two, one))
    assert {cell.mark_level for cell in cells} == {"sft_seed"}
    # two seeds each, 4 apart
    assert [cell.mark for cell in cells] == ["best", ""]
    alone = [row for row in one if row["sft_seed"] == 1]
    cells = build_target(build_settings(points), to_frame(two, alone))
    assert {(cell.mark, cell.mark_level) for cell in cells} == {("", "")}


def test_a_gain_has_an_interval_over_sft_seeds_or_says_that_it_has_none() -> None:
    before = build_rows(stage="before_sft", sft_seeds=(None,))
    cell = build_one(to_frame(before, build_rows()), gain="of_averages")
    # 6.515 before; 6.615 and 6.715 after: gains of two seeds, t(0.975, 1) = 12.7062
    gains = [100 * (after / 6.515 - 1) for after in (6.615, 6.715)]
    half = 12.7062 * (gains[1] - gains[0]) / 2
    assert cell.gain == pytest.approx(sum(gains) / 2)
    assert (cell.gain_low, cell.gain_high) == (
        pytest.approx(sum(gains) / 2 - half, rel=1e-4), pytest.approx(sum(gains) / 2 + half, rel=1e-4)
    )  # fmt: skip
    assert (cell.gain_n, cell.before_n, cell.before_wanted) == (2, 2, 2)
    single = build_one(to_frame(before, build_rows(sft_seeds=(1,))), gain="of_averages")
    assert single.gain == pytest.approx(100 * (6.615 / 6.515 - 1))
    assert (single.gain_low, single.gain_high, single.gain_n) == (None, None, 1)


def build_judged(
    variant: str, stage: str = "after_sft", unread: tuple[int, ...] = (), sft_seeds: tuple[int | None, ...] = (1, 2)
) -> list[dict[str, Any]]:
    """Four items of one turn, the fourth hard: 2, not 8, and a tenth for each seed; `unread` have no score."""
    return [
        {
            "variant_key": variant, "stage": stage, "benchmark": "mt_bench_en", "measure": "judge_score",
            "language": "en", "category": "general", "item": str(item), "parsed": item not in unread,
            "score": math.nan if item in unread else (2.0 if item == 4 else 8.0) + (seed or 0) / 10,
            "mixture_seed": 1, "ipt_seed": 1, "sft_seed": seed, "generation_seed": 1, "judge_run": 1,
        }
        for item in (1, 2, 3, 4)
        for seed in sft_seeds
    ]  # fmt: skip


def test_what_cannot_be_read_makes_no_difference_and_no_best() -> None:
    points = (("a", "m", "k1"), ("b", "m", "k2"))
    frame = to_frame(build_judged("k1", unread=(4,)), build_judged("k2"))
    cells = build_target(build_settings(points, against="b"), frame)
    # the means are over what there is, what is compared is not
    assert [cell.mean for cell in cells] == [pytest.approx(8.15), pytest.approx(6.65)]
    assert [cell.mark for cell in cells] == ["", ""]
    assert [cell.difference for cell in cells] == [pytest.approx(0), pytest.approx(0)]
    assert [(cell.difference_left_out, cell.mark_left_out, cell.items_asked) for cell in cells] == [
        (1, 1, 4), (0, 1, 4)
    ]  # fmt: skip


def test_a_gain_is_over_the_items_that_have_a_score_before_and_after() -> None:
    frame = to_frame(build_judged("k1", "before_sft", unread=(4,), sft_seeds=(None,)), build_judged("k1"))
    cell = build_one(frame, gain="of_averages")
    assert cell.gain == pytest.approx(100 * 0.15 / 8)
    assert cell.gain_left_out == 1
    # nothing in common: no gain, and no difference
    apart = to_frame(
        build_judged("k1", "before_sft", unread=(4,), sft_seeds=(None,)), build_judged("k1", unread=(1, 2, 3))
    )
    nothing = build_one(apart, gain="of_averages")
    assert (nothing.gain, nothing.gain_n, nothing.gain_left_out) == (None, 0, 4)


def test_items_are_common_within_a_base_model_and_only_to_runs_that_are_compared() -> None:
    points = tuple((variant, model, variant + model) for variant in "ab" for model in "mn")
    settings = build_settings(points, against="b", variants=["a"], columns=["measure"])
    parts = [build_judged("am", unread=(4,)), build_judged("an"), build_judged("bm"), build_judged("bn")]
    (cell,) = build_target(settings, to_frame(*parts))
    assert cell.difference == pytest.approx(0)
    assert (cell.difference_left_out, cell.items_asked) == (1, 8)
    # a seed that only one side has takes no item from the difference
    third = build_judged("am", unread=(1,), sft_seeds=(3,))
    (cell,) = build_target(
        build_settings((("a", "m", "am"), ("b", "m", "bm")), against="b", variants=["a"]),
        to_frame(build_judged("am"), third, build_judged("bm")),
    )
    assert (cell.difference, cell.difference_n, cell.difference_left_out) == (pytest.approx(0), 2, 0)


def test_seeds_that_agree_have_no_error_no_mark_and_no_interval_of_a_gain() -> None:
    rows = [
        {**row, "variant_key": variant, "stage": stage, "sft_seed": seed, "score": float(item < right)}
        for variant, right in (("k1", 7), ("k2", 4))
        for stage, seeds, right in (("before_sft", (None,), 5), ("after_sft", (1, 2, 3), right))
        for seed in seeds
        for item in range(10)
        for row in [{**build_judged("k")[0], "item": str(item), "measure": "accuracy", "judge_run": None}]
    ]
    settings = build_settings((("a", "m", "k1"), ("b", "m", "k2")), gain="of_averages",
                              measures=[{"label": "right", "measure": "accuracy"}])  # fmt: skip
    cells = build_target(settings, to_frame(rows))
    assert [(cell.mean, cell.error, cell.mark) for cell in cells] == [
        (pytest.approx(0.7), 0, ""), (pytest.approx(0.4), 0, "")
    ]  # fmt: skip
    assert [(cell.gain, cell.gain_low, cell.gain_high, cell.gain_n) for cell in cells] == [
        (pytest.approx(40), None, None, 3), (pytest.approx(-20), None, None, 3)
    ]  # fmt: skip
    assert {cell.gain_obstacle for cell in cells} == {"3 seeds agree"}


def test_a_side_that_was_not_run_takes_no_items_and_has_no_difference() -> None:
    settings = build_settings((("a", "m", "k1"), ("b", "m", "k2")), against="b")
    cells = build_target(settings, to_frame(build_judged("k1", unread=(4,))))
    assert [(cell.difference, cell.difference_left_out, cell.state) for cell in cells] == [
        (None, 0, ""), (None, 0, "not run")
    ]  # fmt: skip
    # nor do runs that have no partner
    apart = to_frame(build_judged("k1", unread=(4,), sft_seeds=(1,)), build_judged("k2", sft_seeds=(2,)))
    assert [(cell.difference, cell.difference_left_out) for cell in build_target(settings, apart)] == [
        (None, 0), (pytest.approx(0), 0)
    ]  # fmt: skip


def build_keyed(variant: str, sft_seeds: tuple[int, ...], stage: str = "after_sft") -> list[dict[str, Any]]:
    """Rows with the keys that made them."""
    rows = build_rows(variant, stage, sft_seeds if stage == "after_sft" else (None,))
    return [
        {
            **row,
            "base_model_key": f"base-{variant[-1]}",
            "mixture_key": f"mix-{variant}",
            "model_key": f"{variant}-{stage}:{row['sft_seed']}",
            "score_key": f"{variant}-{stage}-{row['sft_seed']}-{row['judge_run']}",
        }
        for row in rows
    ]


def name_scores(variant: str, seeds: tuple[int | None, ...], stage: str = "after_sft") -> list[str]:
    return sorted(f"{variant}-{stage}-{seed}-{run}" for seed in seeds for run in (1, 2))


def test_a_mean_names_the_keys_that_it_was_computed_from_and_no_others() -> None:
    rows = build_keyed("k1", (1, 2))
    # the second seed lacks an item, and enters no mean
    cell = build_one(to_frame([row for row in rows if (row["sft_seed"], row["item"]) != (2, "2")]))
    made_of = cell.made_of
    assert cell.n == 2
    assert made_of.cells == (("k1", "after_sft", "mt_bench_en", "judge_score"),)
    assert (made_of.variant_keys, made_of.base_model_keys, made_of.mixture_keys) == (("k1",), ("base-1",), ("mix-k1",))
    assert made_of.model_keys == ("k1-after_sft:1",)
    assert list(made_of.score_keys) == name_scores("k1", (1,))
    assert cell.compared == MadeOf()


def test_an_average_over_base_models_names_what_is_behind_all_of_them() -> None:
    points, rows = (("a", "m", "k1"), ("a", "n", "k2")), to_frame(build_keyed("k1", (1, 2)), build_keyed("k2", (2,)))
    (cell,) = build_target(build_settings(points, columns=["measure"], variants=["a"]), rows)
    # the runs that both have
    assert list(cell.made_of.score_keys) == [*name_scores("k1", (2,)), *name_scores("k2", (2,))]
    assert cell.made_of.base_model_keys == ("base-1", "base-2")
    (cell,) = build_target(build_settings(points, columns=["measure"], variants=["a"]), rows[rows.variant_key == "k1"])
    assert (cell.mean, cell.state) == (None, "1 of 2 base models")
    assert list(cell.made_of.score_keys) == name_scores("k1", (1, 2))


def test_differences_and_gains_name_what_they_are_to_or_start_from() -> None:
    points = (("a", "m", "k1"), ("b", "m", "k2"))
    rows = to_frame(build_keyed("k1", (1, 2)), build_keyed("k2", (2, 3)), build_keyed("k1", (), "before_sft"))
    (cell,) = build_target(build_settings(points, against="b", variants=["a"]), rows)
    assert list(cell.made_of.score_keys) == name_scores("k1", (1, 2))
    assert list(cell.compared.score_keys) == name_scores("k2", (2,))
    (cell,) = build_target(build_settings(points, gain="average_of", variants=["a"]), rows)
    assert list(cell.compared.score_keys) == name_scores("k1", (None,), "before_sft")

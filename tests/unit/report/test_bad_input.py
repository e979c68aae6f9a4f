"""Bad input, case by case: the table says in the cell what is missing, with n, and what cannot be read is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixlab.analysis.aggregate import write_aggregate
from mixlab.analysis.statistics import Estimate
from mixlab.analysis.tidy import ModelKeys, PartFolder, write_model_scores
from mixlab.config.analysis import (
    AggregateSettings,
    EffectSettings,
    ModelEntry,
    ModelIdentity,
    ModelScoresSettings,
    ReportSettings,
    ScoredPart,
    VariantLabel,
    build_comparisons,
)
from mixlab.config.problems import DataError
from mixlab.report.claims import build_effects_table
from mixlab.report.gaps import describe_agreement
from mixlab.report.judges import build_judge_runs_table, build_judge_tables
from mixlab.report.numbers import load_numbers
from mixlab.report.page import write_report
from mixlab.report.scores import build_cells_table, build_main_table
from mixlab.report.site.findings import list_findings
from mixlab.report.tables import Table
from mixlab.report.terminal import render_main_table

KEYS = {"whole": "aa11", "gappy": "bb22"}
SEEDS, RUNS, ITEMS = (1, 2, 3), (1, 2), 4
Place = tuple[str, int, str, int, int]
"""Variant, SFT seed, benchmark, judge run (0: not judged), generation seed."""
Study = dict[Place, list[dict[str, Any]]]


def make_study() -> Study:
    """Ten items of two benchmarks, and four dialogues judged twice; each seed has one item more right than the last."""
    study: Study = {}
    for variant, skill in (("whole", 6), ("gappy", 3)):
        for seed in SEEDS:
            for name in ("easy", "hard"):
                rows = [{"item": str(at), "score": float(at < skill + seed), "parsed": True} for at in range(10)]
                study[variant, seed, name, 0, 0] = rows
            for run in RUNS:
                common = {"turn": 1, "score": float(skill + (seed + run) % 3), "parsed": True}
                rows = [{**common, "item": str(at), "verdict_id": f"{variant}{seed}{run}{at}"} for at in range(ITEMS)]
                study[variant, seed, "talk", run, 0] = rows
    return study


def gather(study: Study, root: Path) -> tuple[ReportSettings, Path]:
    """Write the study's artifacts and its aggregate."""
    entries, folders = [], []
    for variant, seed in dict.fromkeys((place[0], place[1]) for place in study):
        identity = ModelIdentity(
            stage="after_sft",
            variant_key=KEYS[variant],
            base_model_key="cc33",
            mixture_seed=1,
            ipt_seed=1,
            sft_seed=seed,
        )
        parts, places = [], []
        for (_, _, name, run, answer), rows in ((p, rows) for p, rows in study.items() if p[:2] == (variant, seed)):
            folder = root / f"{variant} {seed} {name} {run} {answer}"
            folder.mkdir(parents=True)
            file = "verdicts.jsonl" if run else "scores.jsonl"
            (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
            (folder / "index.json").write_text(json.dumps({"judge": "a judge"} if run else {}))
            measure = "judge_score" if run else "accuracy"
            parts.append(
                ScoredPart(
                    benchmark=name, measure=measure, language="en", generation_seed=answer, judge_run=run or None
                )
            )
            places.append(PartFolder(folder, f"s-{folder.name}", f"g-{folder.name}"))
        entries.append(ModelEntry(position=len(entries), **identity.model_dump()))
        folders.append(root / f"scores {variant} {seed}")
        folders[-1].mkdir()
        scores = ModelScoresSettings(model=identity, parts=tuple(parts))
        write_model_scores(scores, ModelKeys(f"{variant}{seed}", None), places, folders[-1])
    settings = ReportSettings(
        title="gaps",
        variants=tuple(VariantLabel(label=label, variant_key=key) for label, key in KEYS.items()),
        effects=(EffectSettings(name="more", variant="whole", against="gappy", stage="after_sft", at_least=0.01),),
    )
    comparisons = build_comparisons(settings.effects, settings.variant_keys())
    (root / "aggregate").mkdir()
    write_aggregate(AggregateSettings(models=tuple(entries), comparisons=comparisons), folders, {}, root / "aggregate")
    return settings, root / "aggregate"


def show(study: Study, root: Path) -> dict[tuple[str, str], str]:
    """Return what stands in the row of `gappy`, by table and column; of every cell by benchmark too."""
    settings, aggregate = gather(study, root)
    grouped = settings.model_copy(update={"groups": ()})
    numbers = load_numbers(grouped, aggregate)
    tables: list[Table] = [build_main_table(numbers), *build_judge_tables(numbers), build_cells_table(numbers)]
    tables += [one for one in (build_judge_runs_table(numbers),) if one is not None]
    shown = {}
    for table in tables:
        for row in (one for one in table.rows if one[0].text == "gappy"):
            name = f"{table.name} {row[2].text}" if table.name == "cells" else table.name
            shown |= {(name, column.label): one.whole for column, one in zip(table.columns, row, strict=True)}
    effects = build_effects_table(settings, numbers)
    shown |= {
        ("effects", column.label): one.whole for column, one in zip(effects.columns, effects.rows[0], strict=True)
    }
    return shown


def drop(study: Study, *wanted: object) -> None:
    """Remove the parts whose place begins with `gappy` and holds all that is wanted."""
    for place in [one for one in study if one[0] == "gappy" and all(part in one for part in wanted)]:
        del study[place]


def lose_benchmark(study: Study) -> None:
    drop(study, "hard")


def lose_half(study: Study) -> None:
    for seed in (2, 3):
        del study["gappy", seed, "hard", 0, 0]


def fail_seed(study: Study) -> None:
    for run in RUNS:
        _unread(study["gappy", 2, "talk", run, 0])


def judge_once(study: Study) -> None:
    for place in [one for one in study if one[3] == 2]:
        del study[place]


def agree(study: Study) -> None:
    for seed in SEEDS:
        study["gappy", seed, "easy", 0, 0] = study["gappy", 1, "easy", 0, 0]


def read_nothing(study: Study) -> None:
    for place, rows in study.items():
        if place[0] == "gappy" and place[2] != "hard":
            _unread(rows)


def fail_answers(study: Study) -> None:
    """Of one model nothing could be read."""
    for name in ("easy", "hard"):
        _unread(study["gappy", 2, name, 0, 0])


def misread(study: Study) -> None:
    """Wrong answers of all models cannot be read, yet fewer than one model gave."""
    for seed in SEEDS:
        for row in study["gappy", seed, "easy", 0, 0][7:]:
            row.update(parsed=False)


def read_part(study: Study) -> None:
    _unread(study["gappy", 2, "talk", 1, 0][:1])


def answer_twice(study: Study) -> None:
    """The second answers are the first ones, and so share their verdicts."""
    for place in [one for one in study if one[2] == "talk"]:
        study[(*place[:4], 1)] = study[place]


def cross(study: Study) -> None:
    """No seed has both benchmarks."""
    del study["gappy", 1, "easy", 0, 0], study["gappy", 2, "hard", 0, 0], study["gappy", 3, "hard", 0, 0]


def _unread(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row.update(score=None if "turn" in row else 0.0, parsed=False)


CASES: list[tuple[Callable[[Study], None], dict[tuple[str, str], str]]] = [
    (
        lose_benchmark,
        {
            ("main", "all"): "50.0 ± 5.8 (1 of 2 benchmarks)",
            ("cells hard", "Mean"): "not run (n 0 of 3)",
            ("cells hard", "Answers"): "–",
            ("effects", "Seeds"): "missing: ran different benchmarks (easy hard / easy)",
            ("effects", "Difference"): "–",
            ("effects", "Told from 0"): "not estimable",
        },
    ),
    (
        lose_half,
        {
            ("main", "all"): "40.0 ± 10.1ⁱ (n 1 of 3)",
            ("cells hard", "Mean"): "40.0 (n 1 of 3)",
            ("cells hard", "Seeds"): "1",
            ("effects", "Against"): "40.0 (n 1 of 3)",
            ("effects", "Seeds"): "3 SFT seeds (these models) and one seed; 2 models without all scores left out",
        },
    ),
    (
        fail_seed,
        {
            ("judge", "talk"): "4.25 ± 0.25 (n 2 of 3; 8 of 24 unparsed)",
            ("cells talk", "Mean"): "4.25 (n 2 of 3; 8 of 24 unparsed)",
            ("cells talk", "Unparsed"): "8",
            ("judge_runs", "Verdicts read"): "16 of 24",
        },
    ),
    (judge_once, {("judge_runs", "Spread"): "one run", ("judge_runs", "Runs"): "1"}),
    (
        agree,
        {
            ("cells easy", "Mean"): "40.0 (3 seeds agree)",
            ("cells easy", "SE seeds"): "0.0 (3 seeds agree)",
            ("cells hard", "SE seeds"): "5.8",
            ("main", "all"): "45.0 ± 2.9",
        },
    ),
    (
        read_nothing,
        {
            ("main", "all"): "25.0 ± 2.9 (30 of 60 unparsed)",
            ("effects", "Against"): "25.0 (30 of 60 unparsed)",
            ("effects", "Variant"): "80.0",
            ("judge", "talk"): "none parsed (n 0 of 3; 24 of 24 unparsed)",
            ("judge_runs", "Mean of runs"): "none parsed (n 0 of 2)",
            ("judge_runs", "Spread"): "0 of 2 runs parsed",
            ("cells talk", "Mean"): "none parsed (n 0 of 3; 24 of 24 unparsed)",
        },
    ),
    (
        fail_answers,
        {
            ("main", "all"): "33.3 ± 17.6 (20 of 60 unparsed)",
            ("cells easy", "Mean"): "33.3 (10 of 30 unparsed)",
            ("effects", "Against"): "33.3 (20 of 60 unparsed)",
        },
    ),
    (misread, {("main", "all"): "50.0 ± 5.8", ("cells easy", "Unparsed"): "9"}),
    (read_part, {("judge", "talk"): "4.04 ± 0.25 (1 of 24 unparsed)", ("cells talk", "Unparsed"): "1"}),
    (answer_twice, {("judge", "talk"): "4.00 ± 0.29", ("cells talk", "Answers"): "24"}),
    (cross, {("main", "all"): "no whole model (n 0 of 3)", ("effects", "Told from 0"): "not estimable"}),
]


@pytest.mark.parametrize(("spoil", "wanted"), CASES, ids=[case[0].__name__ for case in CASES])
def test_the_cell_says_what_is_missing_with_n(
    tmp_path: Path, spoil: Callable[[Study], None], wanted: dict[tuple[str, str], str]
) -> None:
    study = make_study()
    spoil(study)
    shown = show(study, tmp_path)
    assert {place: shown.get(place) for place in wanted} == wanted


def test_a_whole_study_has_no_gap(tmp_path: Path) -> None:
    shown = show(make_study(), tmp_path)
    assert (shown["main", "all"], shown["judge", "talk"]) == ("50.0 ± 5.8", "4.00 ± 0.29")
    assert shown["effects", "Seeds"] == "3 and 3 SFT seeds (these models)"


def test_seeds_that_all_agree_are_no_error_of_zero(tmp_path: Path) -> None:
    study = make_study()
    agree(study)
    drop(study, "hard")
    assert show(study, tmp_path)["main", "all"] == "40.0 ± 0.0 (1 of 2 benchmarks; 3 seeds agree)"


def test_seeds_that_differ_by_rounding_alone_agree() -> None:
    rounded, differing = (Estimate(0.4, error, "sft_seed", 3, 0.1, 10) for error in (3.2e-17, 1e-6))
    assert (describe_agreement(rounded), describe_agreement(differing)) == ("3 seeds agree", "")


def test_a_finding_says_what_is_missing_behind_its_means(tmp_path: Path) -> None:
    study = make_study()
    read_nothing(study)
    settings, aggregate = gather(study, tmp_path)
    said = [str(one) for one in list_findings(settings, load_numbers(settings, aggregate))]
    (effect,) = (one for one in said if one.startswith("“more”"))
    (leads,) = (one for one in said if one.startswith("On all"))
    assert "(80.0 and 25.0 (30 of 60 unparsed), standard error" in effect
    assert "next is gappy, 25.0 ± 2.9 (n = 3) (30 of 60 unparsed): a gap" in leads


def test_a_benchmark_that_a_point_did_not_run_says_so_with_n(tmp_path: Path) -> None:
    study = make_study()
    drop(study, "talk")
    assert show(study, tmp_path)["judge", "talk"] == "not run (n 0 of 3)"


def test_the_terminal_and_the_csv_file_say_the_same(tmp_path: Path) -> None:
    study = make_study()
    lose_half(study)
    settings, aggregate = gather(study, tmp_path)
    (tmp_path / "report").mkdir()
    write_report(settings, aggregate, tmp_path / "report")
    lines = render_main_table(tmp_path / "report").splitlines()
    assert lines[2].endswith(" 40.0±10.1ⁱ [1]") and lines[3] == "[1] n 1 of 3"


@pytest.mark.parametrize(
    ("place", "row", "said"),
    [
        (("gappy", 1, "easy", 0, 0), {"item": "0", "score": 1.0, "parsed": True}, "item '0', turn 1 is there twice"),
        (
            ("gappy", 1, "talk", 1, 0),
            {"item": "0", "turn": 1, "score": 3.0, "parsed": True, "verdict_id": "x"},
            "item '0', turn 1 is there twice; a score counts once, so remove one of them",
        ),
        (("gappy", 1, "easy", 0, 0), {"item": "z", "score": float("nan"), "parsed": True}, "score nan is outside 0 to"),
        (("gappy", 1, "easy", 0, 0), {"item": "z", "score": float("inf"), "parsed": True}, "score inf is outside 0 to"),
        (("gappy", 1, "easy", 0, 0), {"item": "z", "score": "1", "parsed": True}, "score '1' is no number"),
        (("gappy", 1, "easy", 0, 0), {"item": "z", "score": True, "parsed": True}, "score True is no number"),
        (
            ("gappy", 1, "easy", 0, 0),
            {"item": "z", "score": None, "parsed": False},
            "only an unparsed verdict",
        ),
    ],
)
def test_what_is_no_score_is_refused_with_its_file_and_line(
    tmp_path: Path, place: Place, row: dict[str, Any], said: str
) -> None:
    study = make_study()
    study[place].append(row)
    with pytest.raises(DataError) as caught:
        gather(study, tmp_path)
    (problem,) = caught.value.problems
    assert said in problem.message
    assert Path(problem.file).parent.name == " ".join(map(str, place)) and problem.line == len(study[place])

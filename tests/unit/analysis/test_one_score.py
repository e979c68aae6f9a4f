"""A change of one score in one artifact changes exactly the cells that should, in every table of a study."""

import csv
import json
import random
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mixlab.analysis.aggregate import write_aggregate
from mixlab.analysis.effects import comparison_id
from mixlab.analysis.targets import Place, TargetCell, build_target
from mixlab.analysis.tidy import ModelKeys, PartFolder, write_model_scores
from mixlab.config.analysis import (
    AggregateSettings,
    ComparisonSettings,
    ModelEntry,
    ModelIdentity,
    ModelScoresSettings,
    ScoredPart,
)
from mixlab.config.targets import ScoreTarget, TargetPoint, TargetSettings

VARIANTS, IPT, SFT, RUNS, ITEMS = ("rich", "poor", "other"), (1, 2), (None, 1, 2), (1, 2), 12
PARTS = (
    *(
        ScoredPart(benchmark=name, measure="accuracy", language=language, category="math")
        for name, language in (("gsm8k", "en"), ("mgsm_ja", "ja"))
    ),
    *(ScoredPart(benchmark="talk", measure="judge_score", language="en", judge_run=run) for run in RUNS),
)
COMPARISONS = tuple(
    ComparisonSettings(
        variant_key=one, against_key=other, stage="after_sft", at_least="1/100", measure=measure, benchmarks=benchmarks
    )
    for one, other in (("rich", "poor"), ("poor", "other"))
    for measure, benchmarks in (("accuracy", ()), ("accuracy", ("mgsm_ja",)), ("judge_score", ()))
)
KEYS = ("variant_key", "stage", "benchmark", "measure")
SEEDS = ("mixture_seed", "ipt_seed", "sft_seed")
NAMES: Mapping[str, tuple[str, ...]] = {
    "scores": (*KEYS, *SEEDS, "item", "turn", "generation_seed", "judge_run"),
    "cells": KEYS,
    "replicates": (*KEYS, *SEEDS),
    "intervals": (*KEYS, "level"),
    "variance": (*KEYS, "component"),
    "effects": ("effect",),
    "tests": ("effect", "level", "test"),
    "ranking": ("stage", "measure", "benchmarks", "level", "variant_key"),
    "relative": ("variant_key", "measure", "benchmarks", "averaging", "level"),
    "judge_runs": ("variant_key", "stage", "benchmark", "judge", "judge_run"),
}
"""What tells the rows of each table apart; other files are compared as a whole."""
Cells = dict[tuple[str, ...], str]
CORRECTED = {"p_holm", "p_bh"}
BESIDE_THE_BEST = {"rank", "behind_best", "p_holm", "standing"}
"""What a ranking says of a point when another's mean has moved."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Any, ...], list[Path]]:
    """The artifacts of score and judge of every model, in the order of PARTS."""
    root, choice = tmp_path_factory.mktemp("parts"), random.Random(5)
    found: dict[tuple[Any, ...], list[Path]] = {}
    for name in product(VARIANTS, IPT, SFT):
        found[name] = [root / "-".join(map(str, name)) / str(place) for place in range(len(PARTS))]
        for part, folder in zip(PARTS, found[name], strict=True):
            folder.mkdir(parents=True)
            is_judged = part.measure == "judge_score"
            records = [
                {
                    "item": f"{item:02}",
                    "turn": 1,
                    "score": round(choice.uniform(2, 9), 3) if is_judged else float(choice.random() < 0.5),
                    "parsed": True,
                    "verdict_id": f"{name}{folder.name}{item}" if is_judged else None,
                }
                for item in range(ITEMS)
            ]
            card = {"unsolvable": [], **({"judge": "a model"} if is_judged else {})}
            (folder / "index.json").write_text(json.dumps(card))
            write_records(folder, records)
    return found


def write_records(folder: Path, records: list[dict[str, Any]]) -> None:
    name = "verdicts" if records[0]["verdict_id"] else "scores"
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))


def make_tables(folders: Mapping[tuple[Any, ...], list[Path]], out: Path) -> Path:
    """The tables of the study, from its artifacts of scores."""
    entries, scores = [], []
    certificate = out / "certificate"
    certificate.mkdir(parents=True)
    (certificate / "certificate.json").write_text("{}\n")
    for place, ((variant, ipt, sft), parts) in enumerate(folders.items()):
        stage = "before_sft" if sft is None else "after_sft"
        model = ModelIdentity(
            stage=stage, variant_key=variant, base_model_key="base", mixture_seed=1, ipt_seed=ipt, sft_seed=sft
        )
        scores.append(out / "scores" / str(place))
        scores[-1].mkdir(parents=True)
        written = [PartFolder(folder, f"score-{place}-{at}", f"answers-{place}") for at, folder in enumerate(parts)]
        keys = ModelKeys(f"model-{place}", f"mixture-{variant}")
        write_model_scores(ModelScoresSettings(model=model, parts=PARTS), keys, written, scores[-1])
        entries.append(ModelEntry(position=place, **model.model_dump()))
    (out / "tables").mkdir()
    settings = AggregateSettings(models=tuple(entries), comparisons=COMPARISONS)
    write_aggregate(settings, scores, {f"mixture-{one}": certificate for one in VARIANTS}, out / "tables")
    return out / "tables"


def read_cells(tables: Path) -> Cells:
    """Every cell of every table by file, row and column; a file that is no such table, by its name alone."""
    found: Cells = {}
    for path in sorted(path for path in tables.rglob("*") if path.is_file()):
        if path.suffix == ".parquet":
            continue
        if path.stem not in NAMES:
            found[(path.name,)] = path.read_text()
            continue
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            place = (path.stem, *(row[name] for name in NAMES[path.stem]))
            new = {(*place, name): value for name, value in row.items() if name not in NAMES[path.stem]}
            assert not new.keys() & found.keys(), f"{path.stem}: rows are not told apart"
            found |= new
    assert {name[0] for name in found} >= set(NAMES)
    return found


Change = Callable[[int, str], tuple[set[tuple[str, ...]], Cells]]


@pytest.fixture(scope="module")
def before(folders: dict[tuple[Any, ...], list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tables(folders, tmp_path_factory.mktemp("before"))


@pytest.fixture
def change(folders: dict[tuple[Any, ...], list[Path]], before: Path, tmp_path: Path) -> Change:
    """Change the fourth score in one artifact of `rich`, IPT seed 1, SFT seed 2; return what cells changed."""

    def build(part: int, file: str) -> tuple[set[tuple[str, ...]], Cells]:
        folder = folders["rich", 1, 2][part]
        records = [json.loads(line) for line in (folder / file).read_text().splitlines()]
        score = records[3]["score"]
        other = {**records[3], "score": score + 1 if file == "verdicts.jsonl" else 1 - score}
        write_records(folder, [*records[:3], other, *records[4:]])
        try:
            now = read_cells(make_tables(folders, tmp_path / "now"))
        finally:
            write_records(folder, records)
        was = read_cells(before)
        assert was.keys() == now.keys()
        return {place for place in was if was[place] != now[place]}, was

    return build


def expect(was: Cells, benchmark: str, measure: str) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """What must change and what may, of the tables that all measures have."""
    cell = ("rich", "after_sft", benchmark, measure)
    of_cell = [place for place in was if place[1 : len(KEYS) + 1] == cell]
    must = {("cells", *cell, "mean"), ("replicates", *cell, "1", "1", "2", "mean"), ("metrics.json",)}
    must |= {("intervals", *cell, level, "mean") for level in ("these models", "this recipe")}
    may = {place for place in of_cell if place[-1].startswith("se_") or place[0] in ("intervals", "variance")}
    # a component of variance that is estimated below 0 says so in its note
    fixed = {"unit", "n", "models", "units", "df"}
    may -= {place for place in may if place[-1] in fixed or (place[0], place[-1]) == ("intervals", "note")}
    ids = {
        comparison_id(one)
        for one in COMPARISONS
        if one.variant_key == "rich" and one.measure == measure and one.benchmarks in ((), (benchmark,))
    }
    must |= {("effects", one, name) for one in ids for name in ("variant_mean", "difference")}
    may |= {place for place in was if place[0] == "effects" and place[1] in ids}
    deciding = (("these models", "paired_t"), ("this recipe", "pooled_t"), ("these models", "item_bootstrap"))
    must |= {("tests", one, *test, "difference") for one in ids for test in deciding}
    # other effects are corrected for as many as before, and for no other number
    may |= {place for place in was if place[0] == "tests" and (place[1] in ids or place[-1] in CORRECTED)}
    ranked = {place for place in was if place[0] == "ranking" and place[1:3] == ("after_sft", measure)}
    ranked = {place for place in ranked if benchmark in place[3].split()}
    must |= {place for place in ranked if place[5:] == ("rich", "mean")}
    may |= {place for place in ranked if place[-1] in BESIDE_THE_BEST}
    improved = {place for place in was if place[:3] == ("relative", "rich", measure) and benchmark in place[3].split()}
    must |= {place for place in improved if place[-1] in ("after", "improvement")}
    may |= {place for place in improved if place[-1] in ("low", "high")}
    return must, may | must


def test_a_score_changes_its_cell_and_what_is_computed_from_that_cell(change: Change) -> None:
    changed, was = change(0, "scores.jsonl")
    must, may = expect(was, "gsm8k", "accuracy")
    must.add(("scores", "rich", "after_sft", "gsm8k", "accuracy", "1", "1", "2", "03", "1", "0", "", "score"))
    assert (must - changed, changed - may - must) == (set(), set())


def test_a_verdict_changes_its_cell_its_judge_run_and_what_is_computed_from_them(change: Change) -> None:
    changed, was = change(3, "verdicts.jsonl")
    must, may = expect(was, "talk", "judge_score")
    must.add(("scores", "rich", "after_sft", "talk", "judge_score", "1", "1", "2", "03", "1", "0", "2", "score"))
    must.add(("judge_runs", "rich", "after_sft", "talk", "a model", "2", "mean"))
    assert (must - changed, changed - may - must - {("judge_bias.csv",)}) == (set(), set())


def test_a_score_changes_the_targets_that_it_is_in_and_no_other(before: Path) -> None:
    asked = {
        "of": "T", "title": "t", "rows": ["variant"], "columns": ["measure"], "against": "other",
        "measures": [{"label": "EN", "benchmarks": ["gsm8k"]}, {"label": "JA", "benchmarks": ["mgsm_ja"]}],
        "error": {"what": "sd", "over": ["ipt_seed", "sft_seed"]},
    }  # fmt: skip
    points = tuple(TargetPoint(variant=one, base_model="m", variant_key=one, mixture_key="x") for one in VARIANTS)
    seeds = {"mixture_seed": 1, "ipt_seed": 2, "sft_seed": 2, "generation_seed": 1, "judge_run": 2}
    settings = TargetSettings(name="t", target=ScoreTarget.model_validate(asked), points=points, seeds=seeds)
    frame = pd.read_parquet(before / "scores.parquet")
    own = (frame["variant_key"] == "rich") & (frame["stage"] == "after_sft") & (frame["benchmark"] == "gsm8k")
    (place,) = frame.index[own & (frame["ipt_seed"] == 1) & (frame["sft_seed"] == 2) & (frame["item"] == "03")]
    now = frame.copy()
    now.loc[place, "score"] = 1 - now.loc[place, "score"]
    pairs = zip(build_target(settings, frame), build_target(settings, now), strict=True)
    changed = {first.place: list_changed(first, last) for first, last in pairs if first != last}
    column = Place("", "m", "after_sft", "EN")
    assert changed.pop(Place("rich", *list(vars(column).values())[1:])) >= {"mean", "error", "difference"}
    # marks are of a whole column
    assert all((one.stage, one.measure) == ("after_sft", "EN") for one in changed)
    assert set().union(*changed.values()) <= {"mark"}


def list_changed(first: TargetCell, last: TargetCell) -> set[str]:
    return {name for name, value in vars(first).items() if value != vars(last)[name]}

"""Scores of items that were answered several times, from tidy rows to cells and tables."""

import json

import pyarrow.parquet as pq
import pytest

from mixlab.analysis.aggregate import write_aggregate
from mixlab.analysis.cells import build_cells
from mixlab.analysis.tidy import SAMPLE, SCHEMA, ModelKeys, PartFolder, write_model_scores
from mixlab.config.analysis import (
    AggregateSettings,
    ComparisonSettings,
    ModelEntry,
    ModelIdentity,
    ModelScoresSettings,
    ScoredPart,
    Selection,
)
from mixlab.config.problems import DataError
from mixlab.report.text import describe_measure, render_score

PART = ScoredPart(benchmark="humaneval", measure="accuracy", language="en", category="code")
RIGHT = {"a": [1, 0, 1], "b": [0, 0, 0]}


def write_model(folder, write_part, variant, right=RIGHT, together=True):
    identity = ModelIdentity(stage="before_sft", variant_key=variant, base_model_key="base", ipt_seed=1)
    rows = [
        {"item": item, "score": float(one), "parsed": True, "sample": at}
        for item, scores in right.items()
        for at, one in enumerate(scores)
    ]
    part = write_part(variant, rows)
    if together:
        combined = [
            {"item": item, "measure": "pass@3", "score": float(any(scores)), "parsed": True}
            for item, scores in right.items()
        ]
        (part / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in combined))
    out = folder / variant
    out.mkdir()
    settings = ModelScoresSettings(model=identity, parts=(PART,))
    write_model_scores(settings, ModelKeys("m", None), [PartFolder(part, "s", "g")], out)
    return identity, out


def test_every_sample_is_a_row_and_what_they_say_together_a_row_under_its_own_measure(tmp_path, write_part):
    _, out = write_model(tmp_path, write_part, "v")
    table = pq.read_table(out / "scores.parquet")
    assert table.schema.equals(SCHEMA.append(SAMPLE))
    rows = [(row["item"], row["measure"], row["sample"], row["score"]) for row in table.to_pylist()]
    assert rows == [
        *(("a", "accuracy", at, score) for at, score in enumerate([1.0, 0.0, 1.0])),
        *(("b", "accuracy", at, 0.0) for at in range(3)),
        ("a", "pass@3", None, 1.0),
        ("b", "pass@3", None, 0.0),
    ]


def test_accuracy_counts_an_item_once_and_measures_are_cells_of_their_own(tmp_path, write_part):
    _, out = write_model(tmp_path, write_part, "v")
    cells = {cell.measure: cell for cell in build_cells(pq.read_table(out / "scores.parquet").to_pandas())}
    assert cells["accuracy"].estimate.mean == pytest.approx(1 / 3)
    assert (cells["accuracy"].n_answers, cells["accuracy"].estimate.n_items) == (6, 2)
    assert (cells["pass@3"].estimate.mean, cells["pass@3"].n_answers) == (0.5, 2)
    # Agresti and Caffo: 1 right of 2 items, one of each added
    assert cells["pass@3"].estimate.se_items == pytest.approx((0.5 * 0.5 / 4) ** 0.5)


def test_a_sample_that_comes_twice_is_an_error(tmp_path, write_part):
    rows = [{"item": "a", "score": 1.0, "parsed": True, "sample": at} for at in (0, 1, 1)]
    settings = ModelScoresSettings(
        model=ModelIdentity(stage="before_sft", variant_key="v", base_model_key="b"), parts=(PART,)
    )
    with pytest.raises(DataError, match="item 'a', turn 1 is there twice"):
        write_model_scores(settings, ModelKeys("m", None), [PartFolder(write_part("x", rows), "s", "g")], tmp_path)


def test_models_with_one_response_and_with_several_are_gathered_and_compared(tmp_path, write_part):
    models = [
        write_model(tmp_path, write_part, "rich", {"a": [1, 1, 1], "b": [1, 0, 1]}),
        write_model(tmp_path, write_part, "poor"),
    ]
    entries = tuple(ModelEntry(position=at, **one.model_dump()) for at, (one, _) in enumerate(models))
    claim = ComparisonSettings(
        variant_key="rich", against_key="poor", stage="before_sft", measure="pass@3", at_least="0.4"
    )
    settings = AggregateSettings(models=entries, comparisons=(claim,))
    out = tmp_path / "out"
    out.mkdir()
    write_aggregate(settings, [folder for _, folder in models], {}, out)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["scores"]["rich"]["before_sft"]["humaneval"]["pass@3"]["mean"] == 1.0
    (effect,) = metrics["effects"].values()
    assert effect["difference"] == 0.5
    assert (out / "scores.csv").read_text().splitlines()[0].endswith('"sample"')


def test_without_samples_the_gathered_table_has_no_column_for_them(tmp_path, write_part):
    rows = [{"item": "a", "score": 1.0, "parsed": True}]
    identity = ModelIdentity(stage="before_sft", variant_key="v", base_model_key="b")
    settings = ModelScoresSettings(model=identity, parts=(PART,))
    model, out = tmp_path / "model", tmp_path / "out"
    model.mkdir()
    out.mkdir()
    write_model_scores(settings, ModelKeys("m", None), [PartFolder(write_part("x", rows), "s", "g")], model)
    write_aggregate(AggregateSettings(models=(ModelEntry(position=0, **identity.model_dump()),)), [model], {}, out)
    assert pq.read_table(out / "scores.parquet").schema.names == SCHEMA.names


def test_measures_over_samples_are_shown_in_percent_and_a_wrong_name_is_refused():
    assert (describe_measure("pass@10"), render_score("pass@10", 0.5)) == ("pass@10, %", "50.0")
    assert Selection(measure="maj@8").measure == "maj@8"
    for wrong in ("pass@0", "pass@", "best@3", "pass@10 "):
        with pytest.raises(ValueError, match="measure"):
            Selection(measure=wrong)

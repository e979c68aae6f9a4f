"""The tables of a study, against numbers computed by hand."""

import csv
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixlab.analysis.aggregate import write_aggregate
from mixlab.analysis.cells import read_cells
from mixlab.analysis.effects import comparison_id, read_effects
from mixlab.analysis.judge_runs import read_judge_runs
from mixlab.analysis.lineage import Ancestor
from mixlab.analysis.tidy import ModelKeys, PartFolder, write_model_scores
from mixlab.artifacts.keys import build_digest
from mixlab.config.analysis import (
    AggregateSettings,
    ComparisonSettings,
    ModelIdentity,
    ModelScoresSettings,
    ScoredPart,
)
from mixlab.config.problems import DataError

COMPARISON = ComparisonSettings(variant_key="rich", against_key="poor", stage="after_sft", at_least="30 %")


@pytest.fixture
def models(write_model):
    """`rich` scores .5 .75 1 over three SFT seeds, `poor` 0 .25 .25; both one IPT run, scored before SFT too."""
    return [
        write_model("poor", [0, 0, 0, 0], mixture_seed=0, ipt_seed=0, sft_seed=0),
        write_model("poor", [1, 0, 0, 0], mixture_seed=0, ipt_seed=0, sft_seed=1),
        write_model("poor", [1, 0, 0, 0], mixture_seed=0, ipt_seed=0, sft_seed=2),
        write_model("rich", [1, 1, 0, 0], mixture_seed=0, ipt_seed=0, sft_seed=0),
        write_model("rich", [1, 1, 1, 0], mixture_seed=0, ipt_seed=0, sft_seed=1),
        write_model("rich", [1, 1, 1, 1], mixture_seed=0, ipt_seed=0, sft_seed=2),
        write_model("rich", [1, 0, 0, 0], mixture_seed=0, ipt_seed=0),
    ]


def aggregate(models, entries, certificates, out, comparisons=(COMPARISON,)):
    out.mkdir(parents=True)
    settings = AggregateSettings(models=entries([one for one, _ in models]), comparisons=comparisons)
    ancestry = {"mixture-rich": Ancestor("mixture", (("packs", "pack-1"),), (("digest", "d" * 64),))}
    write_aggregate(settings, [folder for _, folder in models], certificates, out, ancestry=ancestry)
    return out


@pytest.fixture
def tables(tmp_path, models, entries, certificates):
    return aggregate(models, entries, certificates, tmp_path / "out")


def test_a_cell_has_the_mean_over_seeds_and_both_errors(tables):
    cell = next(cell for cell in read_cells(tables) if (cell.variant_key, cell.stage) == ("rich", "after_sft"))
    assert cell.estimate.mean == pytest.approx(0.75)
    assert cell.estimate.se_seeds == pytest.approx(0.25 / math.sqrt(3))
    assert (cell.estimate.seed_level, cell.estimate.n_seeds) == ("sft_seed", 3)
    # item means 1, 1, 2/3, 1/3: p' = (3 + 1) / (4 + 2), error sqrt(2/3 * 1/3 / 6)
    assert cell.estimate.se_items == pytest.approx(math.sqrt(2 / 9 / 6))
    assert (cell.estimate.n_items, cell.n_answers, cell.n_unparsed) == (4, 12, 0)


def test_one_model_has_no_error_over_seeds_and_says_so_by_an_empty_field(tables):
    with (tables / "cells.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["stage"] == "before_sft")
    assert (row["mean"], row["se_seeds"], row["seed_level"], row["n_seeds"]) == ("0.25", "", "", "1")
    assert float(row["se_items"]) == pytest.approx(math.sqrt(1 / 3 * 2 / 3 / 6))


def test_an_effect_is_the_difference_of_means_over_the_larger_errors(tables):
    row = read_effects(tables)[comparison_id(COMPARISON)]
    # poor: 0 .25 .25, mean 1/6, deviation .25 / sqrt(3), error 1/12; items 2/3 0 0 0: p' = (5/3) / 6 = 5/18
    poor_items = math.sqrt(5 / 18 * 13 / 18 / 6)
    rich_items = math.sqrt(2 / 9 / 6)
    assert float(row["difference"]) == pytest.approx(0.75 - 1 / 6)
    assert float(row["se_seeds"]) == pytest.approx(math.hypot(0.25 / math.sqrt(3), 1 / 12))
    expected = math.hypot(max(rich_items, 0.25 / math.sqrt(3)), max(poor_items, 1 / 12))
    assert float(row["standard_error"]) == pytest.approx(expected)
    assert float(row["ratio"]) == pytest.approx((0.75 - 1 / 6) / expected)
    assert row["verdict"] == "not met"  # .58 is large but only 2.2 errors


def test_metrics_hold_plain_numbers_and_no_entry_for_what_is_unknown(tables):
    metrics = json.loads((tables / "metrics.json").read_text())
    assert metrics["scores"]["rich"]["after_sft"]["gsm8k"]["accuracy"]["mean"] == pytest.approx(0.75)
    assert "se_seeds" not in metrics["scores"]["rich"]["before_sft"]["gsm8k"]["accuracy"]
    assert metrics["effects"][comparison_id(COMPARISON)]["met"] == 0


def test_lineage_leads_from_a_cell_to_seeds_checkpoint_answers_and_certificate(tables, certificates):
    lineage = json.loads((tables / "lineage.json").read_text())
    cell = next(cell for cell in lineage["cells"] if (cell["variant_key"], cell["stage"]) == ("rich", "after_sft"))
    assert [one["sft_seed"] for one in cell["made_of"]] == [0, 1, 2]
    assert cell["made_of"][1]["model_key"] == "model-rich-after_sft-0-0-1"
    assert cell["made_of"][1]["generate_key"] == "generate-rich-after_sft-0-0-1"
    mixture = cell["made_of"][1]["mixture_key"]
    certificate = (certificates[mixture] / "certificate.json").read_bytes()
    assert lineage["mixtures"][mixture]["certificate_digest"] == build_digest(certificate)
    assert (tables / "mixtures" / f"{mixture}.json").read_bytes() == certificate
    assert lineage["ancestry"]["mixture-rich"]["parents"] == [["packs", "pack-1"]]


def test_an_unsolvable_item_is_listed_once_with_its_models(tables):
    assert (tables / "unsolvable.csv").read_text() == "benchmark,item,reason,models\ngsm8k,0,not valid Python,7\n"


def test_the_order_of_the_study_changes_no_byte(tables, tmp_path, models, entries, certificates):
    other = aggregate(models[::-1], entries, certificates, tmp_path / "other")
    files = sorted(path.relative_to(tables) for path in tables.rglob("*") if path.is_file())
    assert [path for path in files if (tables / path).read_bytes() != (other / path).read_bytes()] == []
    assert len(files) == 15


def test_one_changed_score_changes_its_cell_and_no_other(tables, tmp_path, write_model, models, entries, certificates):
    changed = write_model("rich", [1, 1, 1, 0], mixture_seed=0, ipt_seed=0, sft_seed=7)
    models[-2] = (models[-2][0], changed[1])
    with pytest.raises(DataError, match=r"sft_seed is \[7\], the study says 2"):
        aggregate(models, entries, certificates, tmp_path / "wrong")
    models[-2] = changed
    other = aggregate(models, entries, certificates, tmp_path / "other")
    before, after = ((one / "cells.csv").read_text().splitlines() for one in (tables, other))
    differing = [line for line, now in zip(before, after, strict=True) if line != now]
    assert [line.split(",")[:2] for line in differing] == [["rich", "after_sft"]]


def test_models_that_answered_different_numbers_of_items_are_not_averaged(
    tmp_path, write_model, models, entries, certificates
):
    models.append(write_model("rich", [1, 1, 1], mixture_seed=0, ipt_seed=0, sft_seed=9))
    with pytest.raises(DataError, match="gsm8k accuracy: model model-rich-after_sft-0-0-9 answered 3 items"):
        aggregate(models, entries, certificates, tmp_path / "out")


def test_models_that_answered_other_items_in_equal_number_are_not_averaged(
    tmp_path, write_model, models, entries, certificates
):
    identity, folder = write_model("rich", [1, 1, 1, 0], mixture_seed=0, ipt_seed=0, sft_seed=9)
    table = pq.read_table(folder / "scores.parquet")
    place = table.schema.get_field_index("item")
    pq.write_table(table.set_column(place, "item", pa.array(["0", "1", "2", "x"])), folder / "scores.parquet")
    models.append((identity, folder))
    message = "gsm8k accuracy: model .* answered item '3', model model-rich-after_sft-0-0-9 did not; score both"
    with pytest.raises(DataError, match=message):
        aggregate(models, entries, certificates, tmp_path / "out")


def test_a_comparison_with_a_side_that_was_not_run_is_missing(tmp_path, models, entries, certificates):
    absent = ComparisonSettings(variant_key="rich", against_key="poor", stage="before_sft", at_least="0.3")
    out = aggregate(models, entries, certificates, tmp_path / "out", (absent,))
    row = read_effects(out)[comparison_id(absent)]
    assert (row["verdict"], row["difference"]) == ("missing", "")


def test_a_mixture_without_its_certificate_is_refused(tmp_path, models, entries, certificates):
    del certificates["mixture-poor"]
    with pytest.raises(DataError, match="mixture mixture-poor made models"):
        aggregate(models, entries, certificates, tmp_path / "out")


def test_an_answer_that_two_generation_seeds_gave_alike_counts_for_each(tmp_path, write_part, entries, certificates):
    identity = ModelIdentity(
        stage="after_sft", variant_key="rich", base_model_key="base", mixture_seed=0, ipt_seed=0, sft_seed=0
    )
    parts, places = [], []
    for seed, (score, verdict) in enumerate([(9.0, "same"), (9.0, "same"), (3.0, "other")]):
        record = {"item": "1", "turn": 1, "score": score, "parsed": True, "verdict_id": verdict}
        folder = write_part(f"talk-{seed}", [record], kind="verdicts", judge="a model")
        places.append(PartFolder(folder, f"judge-{seed}", f"generate-{seed}"))
        asked = {"benchmark": "talk", "measure": "judge_score", "language": "en", "judge_run": 1}
        parts.append(ScoredPart(**asked, generation_seed=seed))
    out = tmp_path / "tidy"
    out.mkdir()
    settings = ModelScoresSettings(model=identity, parts=tuple(parts))
    write_model_scores(settings, ModelKeys("model", "mixture-rich"), places, out)
    tables = aggregate([(identity, out)], entries, certificates, tmp_path / "out", ())
    (cell,) = read_cells(tables)
    (run,) = read_judge_runs(tables)
    # one of three answers is the other one: the mean of what was drawn, not of two different answers
    assert (cell.estimate.mean, cell.n_answers) == (pytest.approx(7.0), 2)
    assert (run.mean, run.n_verdicts, run.n_distinct) == (pytest.approx(7.0), 3, 2)

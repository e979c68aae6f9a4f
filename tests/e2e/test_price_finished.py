"""What is said of the cost of a finished study is what its runs really read, asked and were."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from checkouts import run_mixlab
from edits_expected import OF_ONE_RATIO


def test_tokens_and_steps_of_a_finished_study_are_those_of_its_training_logs(finished: Path) -> None:
    priced = json.loads(run_mixlab(finished, "price", "--study", "micro", "--json"))
    trained = {}
    for run in priced["runs"]:
        folder = finished / "artifacts" / run["stage"] / run["key"]
        with (folder / "training_log.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        trained[run["key"]] = (len(rows), int(rows[-1]["tokens"]))
    assert len(trained) == 7
    assert {run["key"]: (run["steps"], run["tokens"]) for run in priced["runs"]} == trained
    assert {run["state"] for run in priced["runs"]} == {"done"}
    (total,) = priced["totals"]
    assert total["done"]["flops"] == sum(run["flops"] for run in priced["runs"]) > 0
    assert total["to_do"]["runs"] == 0
    assert (priced["total"]["jobs"], priced["total"]["kept"]) == (0, 85)


def test_jobs_items_and_verdicts_that_were_predicted_are_the_actual_ones(finished: Path) -> None:
    """Predicted as if nothing had been made: a job is a process, and a benchmark is counted before it is made."""
    compared = json.loads(run_mixlab(finished, "price", "micro", "--actual", "--json"))
    assert compared["unmade"] == 0
    jobs = {line["stage"]: (line["jobs"], line["predicted_jobs"], line["jobs_unknown"]) for line in compared["stages"]}
    assert jobs["generate"] == jobs["score"] == jobs["judge"] == jobs["sft"] == (2, 2, 0)
    assert all(actual == predicted and not unknown for actual, predicted, unknown in jobs.values())
    assert sum(actual for actual, _, _ in jobs.values()) == 55
    asked = {
        line["benchmark"]: (line["items"], line["predicted_items"], line["prompts"], line["predicted_prompts"])
        for line in compared["benchmarks"]
    }
    assert asked == {"demo_math_en": (48, 48, 48, 48), "demo_dialogue_en": (24, 24, 48, 48)}
    assert all(0 < line["tokens"] <= line["most_tokens"] for line in compared["benchmarks"])
    assert compared["verdicts"] == [{"stage": "judge", "predicted_verdicts": 96, "verdicts": 96}]
    by_stage = {line["stage"]: line for line in compared["stages"]}
    for stage in ("pretrain", "ipt", "average", "sft"):
        line = by_stage[stage]
        # the formula counts weights; headers, config.json and logs come on top
        assert 0 < line["predicted_bytes"] < line["bytes_of_predicted"] < 1.05 * line["predicted_bytes"]


@pytest.fixture
def edited(study: Path) -> dict[str, Any]:
    """The price of another ratio, of a study that is finished on this machine."""
    said = run_mixlab(study, "price", "micro", "--edit", "variants.even.instruction=5/8", "--cores", "1", "--json")
    priced: dict[str, Any] = json.loads(said)
    return priced


def test_the_price_of_an_edit_is_measured_on_what_is_finished(edited: dict[str, Any]) -> None:
    todo = {line["stage"]: line["artifacts"] for line in edited["stages"] if line["artifacts"]}
    assert todo == OF_ONE_RATIO
    total = edited["total"]
    assert (total["jobs"], total["seconds_unknown"], total["bytes_unknown"]) == (10, 0, 0)
    assert edited["wall"]["seconds"] == pytest.approx(total["seconds"])
    assert 0 < edited["wall"]["chain_seconds"] < edited["wall"]["seconds"]
    assert edited["difference"]["jobs"] == 10
    assert {line["benchmark"]: line["expected_tokens"] is None for line in edited["generation"]} == {
        "demo_dialogue_en": False,
        "demo_math_en": False,
        "total": False,
    }
    assert edited["causes"] == ["mixture 'even/mixture_seed 1': instruction 1/2 -> 5/8"]


def test_predictions_as_of_a_moment_are_about_what_was_made_since(finished: Path) -> None:
    records = [json.loads(path.read_text()) for path in finished.glob("provenance/report/*/*.json")]
    later = json.loads(run_mixlab(finished, "price", "--actual", "--since", "2100-01-01", "--json"))
    assert (later["stages"], later["unmade"]) == ([], 0)
    (report,) = records
    last = json.loads(run_mixlab(finished, "price", "--actual", "--since", report["finished"], "--json"))
    assert {line["stage"]: line["made"] for line in last["stages"]}["report"] == 1
    assert len(last["stages"]) < 20

"""What is said of the cost of a finished study is what its runs really read."""

import csv
import json
from pathlib import Path

from checkouts import run_mixlab


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
    assert (total["to_do"]["runs"], priced["not_priced"]) == (0, {})

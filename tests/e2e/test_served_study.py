"""A finished study to which a served model is added: it is asked, scored and shown beside the study's own."""

import csv
import json
from pathlib import Path

import pytest
from checkouts import list_made
from editing import STUDY, append
from runs import is_finished, run_all
from scripted_server import Answer, serve


@pytest.mark.long
def test_a_served_model_that_is_added_is_a_row_of_every_table(study: Path) -> None:
    before = list_made(study)
    append(
        STUDY, "\nserved_models:\n  Big: {endpoint: local, model: tiny, description: A model behind an endpoint.}\n"
    )(study)
    with serve(lambda question, count: Answer("It is 7.", counts=False)) as server:
        append("config.yaml", f"  endpoints: {{local: {{url: '{server.url}'}}}}\n")(study)
        run_all(study)
        assert len(server.requests) == 8 + 4 * 2
    made = sorted(stage for stage, _ in list_made(study) - before)
    assert made == ["aggregate", "generate", "generate", "judge", "judge", "report", "score", "scores"]
    (report,) = (key for stage, key in list_made(study) - before if stage == "report")
    folder = study / "artifacts/report" / report
    with (folder / "tables/main.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["variant"] == "Big"]
    assert {row["stage"] for row in rows} == {"served"}
    assert "served model tiny" in (folder / "report.md").read_text() + (folder / "report.html").read_text()
    (scores,) = (key for stage, key in list_made(study) - before if stage == "aggregate")
    lineage = json.loads((study / "artifacts/aggregate" / scores / "lineage.json").read_text())
    assert {entry["stage"] for entry in lineage["cells"]} == {"before_sft", "after_sft", "served"}
    assert is_finished(study)

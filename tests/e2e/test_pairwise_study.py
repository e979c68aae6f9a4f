"""A finished study whose models a model judge then compares: by Snakemake, from the plan to the page."""

import csv
import json
from pathlib import Path

import pytest
from checkouts import list_made, run_mixlab
from editing import STUDY, append
from runs import is_finished, run_all
from scripted_server import Answer, serve

SETTINGS = """
judge: {engine: openai, model: tiny, endpoint: local, max_tokens: 100}
served_models: {Big: {endpoint: local, model: tiny}}
pairwise: {comparisons: [{against: even}]}
"""


def reply(question: str, count: int) -> Answer:
    """Whatever it is asked: a rating, a verdict for the first place, or an answer."""
    return Answer({"rate": "Rating: [[7]]", "compare": "[[A]]"}.get(question, "It is 7."))


def find_task(said: str) -> str:
    return "compare" if "<answer_b>" in said else "rate" if "<answer>" in said else "answer"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_study_that_compares_its_models_shows_who_won_and_what_the_place_decided(study: Path) -> None:
    before = list_made(study)
    append(STUDY, SETTINGS)(study)
    with serve(reply, find=find_task) as server:
        append("config.yaml", f"  endpoints: {{local: {{url: '{server.url}', concurrency: 8}}}}\n")(study)
        run_all(study)
        asked = dict(server.asked)
    made = list_made(study) - before
    # of two others against one, two SFT seeds, two judge runs
    assert sum(stage == "judge_pairs" for stage, _ in made) == 2 * 2 * 2
    (report,) = (key for stage, key in made if stage == "report")
    folder = study / "artifacts/report" / report
    with (folder / "tables/pairwise.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["variant"]: row for row in csv.DictReader(file) if not row["category"]}
    assert set(rows) == {"math heavy 数学", "Big"}
    for row in rows.values():
        # who always names the first place prefers nobody: all is a tie, and what was asked is a flip
        assert (row["wins"], row["losses"], row["ties"], row["unparsed"]) == ("0", "0", "32", "0")
        assert int(row["flipped"]) == int(row["flipped_to_first"]) == 32 - int(row["identical"])
        assert float(row["win_rate"]) == 0.5
    assert int(rows["Big"]["flipped"]) == 32
    assert 0 < asked["compare"] <= 2 * 2 * 32
    page, text = ((folder / name).read_text("utf-8") for name in ("report.html", "report.md"))
    for told in ("Pairwise comparisons", "Big (the judge itself)", "Big is the judge"):
        assert told in page and told in text
    (aggregate,) = (key for stage, key in made if stage == "aggregate")
    lineage = json.loads((study / "artifacts/aggregate" / aggregate / "lineage.json").read_text())
    assert "judge_pairs" in {one["stage"] for one in lineage["ancestry"].values()}
    assert "Big against even, after sft, demo_dialogue_en: win rate 50.0 %" in run_mixlab(study, "show", "micro")
    assert is_finished(study)

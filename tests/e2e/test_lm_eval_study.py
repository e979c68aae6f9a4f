"""Tasks of lm-eval in a finished study: asked of our engine, scored, cached, and remade only where they changed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from checkouts import list_made, list_wanted, run_mixlab
from editing import replace
from lm_eval_lab import CHOICE_ITEMS, CHOICES, SUM_ITEMS, SUMS, list_theirs, run_lm_eval, write_task
from runs import is_finished, run_all

pytest.importorskip("lm_eval", reason="lm_eval is not installed; the extra `lm-eval` brings it")

STUDY = """\
extends: micro.yaml
title: Micro study with tasks of lm-eval
sources:
  sums_items: &items
    kind: benchmark
    licence: CC0-1.0
    origin:
      type: files
      root: micro
      paths: [sums.jsonl]
      format: jsonl
      fields: {id: "{id}", item: {question: "{question}", answer: "{answer}"}}
  colours_items:
    kind: benchmark
    licence: CC0-1.0
    origin:
      type: files
      root: micro
      paths: [colours.jsonl]
      format: jsonl
      fields: {id: "{id}", item: {question: "{question}", options: "{options}", right: "{right}"}}
benchmarks:
  sums: {data: sums_items, lm_eval: {task: sums, include_path: tasks, language: en, category: math, filter: flexible}}
  colours:
    data: colours_items
    lm_eval: {task: colours, include_path: tasks, language: en, category: general, json_fields: [right]}
"""


def add_tasks(root: Path) -> None:
    write_task(root / "tasks", SUMS, "sums.yaml")
    write_task(root / "tasks", CHOICES, "colours.yaml")
    for name, items in (("sums", SUM_ITEMS), ("colours", CHOICE_ITEMS)):
        text = "".join(json.dumps(item) + "\n" for item in items)
        (root / f"tests/data/micro/{name}.jsonl").write_text(text)
    (root / "studies/tasks.yaml").write_text(STUDY)
    replace("config.yaml", "study: micro", "study: tasks")(root)
    run_mixlab(root, "lock", "sums_items", "colours_items", "--study", "tasks")


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_tasks_are_asked_scored_and_remade_only_where_they_changed(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list_made(study)
    add_tasks(study)
    run_all(study)
    made = list_made(study) - before
    counts = Counter(stage for stage, _ in made)
    assert (counts["generate"], counts["score"], counts["scores"]) == (12, 12, 6)
    assert is_finished(study)
    choices = 0
    for key in (key for stage, key in made if stage == "score"):
        folder = study / "artifacts/score" / key
        spec = json.loads((folder / "manifest.json").read_text())
        scores = read_lines(folder / "scores.jsonl")
        (responses,) = spec["parents"]["responses"]
        said = read_lines(study / "artifacts/generate" / responses / "responses.jsonl")
        assert [one["item"] for one in scores] == [one["item"] for one in said]
        if "likelihoods" in said[0]:
            choices += 1
            right = [int(item["right"]) for item in CHOICE_ITEMS]
            best = [max((0, 1), key=lambda at, one=one: one["likelihoods"][at][0]) for one in said]
            assert [one["score"] for one in scores] == [float(a == b) for a, b in zip(best, right, strict=True)]
        else:
            prompts = {one["turn_prompts"][0]: one["responses"][0] for one in said}
            assert said[1]["turn_prompts"] == ["Question: 1 + 1?\nAnswer:"]
            last = [one["score"] for one in scores]
    assert choices == 6
    write_task(tmp_path / "tasks", SUMS)
    results = run_lm_eval(tmp_path, monkeypatch, "sums", SUM_ITEMS, lambda context, _: prompts[context])
    assert list_theirs(results, "sums", "flexible", "exact_match") == last
    (aggregate,) = (key for stage, key in made if stage == "aggregate")
    assert "sums" in (study / "artifacts/aggregate" / aggregate / "scores.csv").read_text()
    replace("tasks/sums.yaml", "#### (-?", "### (-?")(study)
    assert is_finished(study)
    replace("tasks/sums.yaml", "(-?[0-9.,]*[0-9])", "(-?[0-9]+)")(study)
    assert Counter(stage for stage, _ in list_wanted(study)) == {"score": 6, "scores": 6, "aggregate": 1, "report": 1}
    replace("tasks/sums.yaml", "Question:", "Sum:")(study)
    assert Counter(stage for stage, _ in list_wanted(study))["generate"] == 6

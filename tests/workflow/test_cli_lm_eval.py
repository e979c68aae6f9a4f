"""Tasks of lm-eval on the command line: planned, refused with an address, and compared with our own extraction."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from checkouts import CONFIG
from lm_eval_lab import CHOICES, SUMS, write_task
from test_cli_benchmarks import Invoke, declare

from mixlab.generation.responses import Response, write_response_files

STUDY = """\
extends: micro.yaml
benchmarks:
  demo_dialogue_en: null
  demo_math_en: null
  sums: {data: test_math_en, lm_eval: {task: sums, include_path: tasks, language: en, category: math}}
"""


@pytest.fixture
def tasks(micro: Path) -> Path:
    """A study of one task, on generated items."""
    write_task(micro / "tasks", SUMS, "sums.yaml")
    write_task(micro / "tasks", CHOICES, "colours.yaml")
    (micro / "studies/tasks.yaml").write_text(STUDY)
    return micro


def list_keys(invoke: Invoke, stage: str) -> set[str]:
    done = invoke("plan", "tasks", "--json")
    assert done.exit_code == 0, done.stderr
    return {node["key"] for node in json.loads(done.stdout)["run"] if node["stage"] == stage}


def test_a_filter_scores_anew_and_a_prompt_asks_anew(tasks: Path, invoke: Invoke) -> None:
    asked, scored = list_keys(invoke, "generate"), list_keys(invoke, "score")
    assert (len(asked), len(scored)) == (6, 6)
    write_task(tasks / "tasks", SUMS.replace("#### (-?", "### (-?"), "sums.yaml")
    assert list_keys(invoke, "generate") == asked
    assert not list_keys(invoke, "score") & scored
    write_task(tasks / "tasks", SUMS.replace("Question:", "Sum:"), "sums.yaml")
    assert not list_keys(invoke, "generate") & asked


VLLM = "engine: {engine: vllm}\n"
SERVED = "served_models: {Big: {endpoint: local, model: tiny}}\n"
COLOURS = ("task: sums,", "task: colours,", "")
WRONG = {
    "an unknown task": (("task: sums,", "task: summs,", ""), r"tasks.yaml:5: benchmarks.sums: .*did you mean 'sums'"),
    "a source of examples": (("category: math", "category: math, num_fewshot: 2", ""), ""),
    "likelihoods of vllm": ((*COLOURS[:2], VLLM), "asks for likelihoods, which engine hf alone gives"),
    "likelihoods of served models": ((*COLOURS[:2], SERVED), "or leave it out with served_models"),
    "two declarations": (("{data:", "{uses: gsm8k, data:", ""), "names both `uses` and `lm_eval`; remove one"),
    "an unknown key": (("language: en", "langage: en", ""), "did you mean 'language'"),
    "repaired prompts": (("data: test", "repair_prompts: true, data: test", ""), "repair_prompts in prompt has a"),
    "a judged effect": (("data: test", "samples: 3, data: test", ""), "at temperature 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_planned_is_told_where_it_is_written(tasks: Path, invoke: Invoke, name: str) -> None:
    (old, new, end), told = WRONG[name]
    assert STUDY.count(old) == 1
    (tasks / "studies/tasks.yaml").write_text(STUDY.replace(old, new) + end)
    done = invoke("plan", "tasks")
    if not told:
        # the task draws its examples from its own items
        assert done.exit_code == 0, done.stderr
        return
    assert done.exit_code == 2
    assert any(re.search(told, line) for line in done.stderr.splitlines()), done.stderr


def test_worked_examples_of_another_split_need_a_source(tasks: Path, invoke: Invoke) -> None:
    write_task(tasks / "tasks", SUMS.replace("num_fewshot: 0", "num_fewshot: 2\ntraining_split: train"), "sums.yaml")
    done = invoke("plan", "tasks")
    assert done.exit_code == 2
    assert "shows 2 worked examples before each question; name their source as `examples`" in done.stderr
    path = tasks / "studies/tasks.yaml"
    path.write_text(STUDY.replace("data: test_math_en,", "data: test_math_en, examples: test_math_en,"))
    assert len(list_keys(invoke, "generate")) == 6


@pytest.fixture
def sums(micro: Path) -> Path:
    """A folder whose registry has gsm8k with four sums."""
    pytest.importorskip("lm_eval", reason="lm_eval is not installed; the extra `lm-eval` brings it")
    (micro / "studies/benchmarks").mkdir()
    sources = {"gsm8k_items": declare("sums.jsonl"), "boolq_items": declare("sums.jsonl")}
    (micro / "studies/benchmarks/sources.yaml").write_text(json.dumps({"sources": sources}))
    (micro / "config.yaml").write_text(f"{CONFIG}    own: own\n")
    (micro / "own").mkdir()
    items = [{"question": f"{n} + 1?", "answer": f"so #### {n + 1}"} for n in range(4)]
    (micro / "own/sums.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return micro


def test_extractions_are_compared_on_references_and_on_stored_responses(sums: Path, invoke: Invoke) -> None:
    done = invoke("check-benchmarks", "gsm8k", "--against-lm-eval", "gsm8k")
    assert done.exit_code == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert rows == [[name, "8", "8", "0", "0", "0"] for name in ("strict-match", "flexible-extract")]
    texts = ["#### 1", "#### $2", "#### 3 or #### 9", "four"]
    responses = [Response(str(at), [""], [""], [text], [1], [1], ["stop"]) for at, text in enumerate(texts, start=1)]
    write_response_files(responses, sums / "own")
    asked = ("check-benchmarks", "gsm8k", "--against-lm-eval", "gsm8k", "--responses", "own")
    done = invoke(*asked)
    assert done.stdout.splitlines()[1].split() == ["strict-match", "4", "2", "1", "1", "0"]
    assert "strict-match 2: ours 2 (right), lm-eval nothing (wrong)" in done.stdout
    assert "strict-match 3: ours 9 (wrong), lm-eval 3 (right)" in done.stdout
    card = json.loads(invoke(*asked, "--json").stdout)
    assert Counter(one["filter"] for one in card for _ in one["differences"])["strict-match"] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("gsm8k", "--responses", "own"), "name it by --against-lm-eval"),
        (("--against-lm-eval", "gsm8k"), "compares one benchmark; name it"),
        (("gsm8k", "--against-lm-eval", "gsm8kk"), "no task file of lm_eval .* is named 'gsm8kk'"),
        (("gsm8k", "--against-lm-eval", "gsm8k", "--responses", "own"), "holds no responses.jsonl"),
        (("boolq", "--against-lm-eval", "gsm8k"), "is compared with the scorer final_number"),
    ],
)
def test_what_cannot_be_compared_leaves_with_2(
    sums: Path, invoke: Invoke, arguments: tuple[str, ...], told: str
) -> None:
    done = invoke("check-benchmarks", *arguments)
    assert done.exit_code == 2
    assert re.search(told, done.stderr), done.stderr


def test_a_studys_task_is_named_as_not_checked(tasks: Path, invoke: Invoke) -> None:
    done = invoke("check-benchmarks", "--study", "tasks")
    assert done.exit_code == 2
    assert "a task of lm-eval names no response that must be right" in done.stderr

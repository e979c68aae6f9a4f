"""Task files of lm-eval made on the spot, as benchmarks of a study."""

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mixlab.config.lm_eval import LmEvalDeclaration, LmEvalUse

Answer = Callable[[str, Any], Any]
"""What a model says to a context, or how likely it finds a continuation of it."""

SUMS = """\
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: sums.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 12, do_sample: false}
num_fewshot: 0
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true, regexes_to_ignore: [","]}
filter_list:
  - name: strict
    filter: [{function: regex, regex_pattern: "#### (-?[0-9.,]+)"}, {function: take_first}]
  - name: flexible
    filter: [{function: regex, group_select: -1, regex_pattern: "(-?[0-9.,]*[0-9])"}, {function: take_first}]
"""
"""A task of sums with two filters."""

CHOICES = """\
task: colours
dataset_path: json
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: options
doc_to_target: right
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
"""A choice whose options differ from item to item; `right` is a number."""

SUM_ITEMS = [{"id": str(n), "question": f"{n} + {n}?", "answer": f"{2 * n}"} for n in range(6)]
CHOICE_ITEMS = [
    {"id": "sky", "question": "The sky is", "options": ["blue", "green and tall"], "right": "0"},
    {"id": "fox", "question": "The quick brown ", "options": ["lazy dog", "fox jumps"], "right": "1"},
    {"id": "dog", "question": "", "options": ["the lazy dog", "xyz"], "right": "0"},
]


def write_task(folder: Path, text: str, name: str = "task.yaml") -> Path:
    """Write a task file below `folder`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def declare(root: Path, task: str = "sums", **use: object) -> LmEvalDeclaration:
    """Return the benchmark that a task file below `root/tasks` makes."""
    given = {"task": task, "include_path": "tasks", "language": "en", "category": "math", **use}
    one = LmEvalUse.model_validate(given)
    one.place(root)
    return one.declare()


def run_lm_eval(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    rows: Sequence[Mapping[str, Any]],
    answer: Answer,
    examples: Sequence[Mapping[str, Any]] = (),
) -> Any:
    """Evaluate a task file by lm-eval's own evaluator, with `answer(context, continuation or None)` as the model.

    `rows` are its split test, `examples` its split train.
    """
    import datasets
    import lm_eval
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    class Told(LM):
        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> Any:
            return [answer(one.args[0], None) for one in requests]

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
            return [answer(*one.args) for one in requests]

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
            raise NotImplementedError

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
    files = {}
    for split, chosen in (("test", rows), ("train", examples)):
        if chosen:
            files[split] = str(tmp_path / f"{split}.jsonl")
            Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in chosen))
    path = tmp_path / "tasks/task.yaml"
    text = path.read_text().replace("dataset_kwargs: {data_files: {test: sums.jsonl}}\n", "")
    path.write_text(f"{text}dataset_kwargs: {json.dumps({'data_files': files})}\n")
    manager = TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False)
    return lm_eval.simple_evaluate(model=Told(), tasks=[task], task_manager=manager, bootstrap_iters=0)


def list_theirs(results: Any, task: str, filter_name: str, metric: str) -> list[float]:
    """The scores of single items, in their order."""
    samples = [one for one in results["samples"][task] if one["filter"] == filter_name]
    return [one[metric] for one in sorted(samples, key=lambda one: one["doc_id"])]

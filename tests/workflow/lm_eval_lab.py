"""Task files of lm-eval made on the spot, as benchmarks of a study."""

import textwrap
from pathlib import Path

from mixlab.config.lm_eval import LmEvalDeclaration, LmEvalUse

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

"""Task files of lm-eval: what of them decides requests, what scores, and how mistakes are told while planning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from lm_eval_lab import CHOICES, SUMS, declare, write_task

from mixlab.config.benchmarks import BenchmarkDeclaration
from mixlab.config.lm_eval_task import FUNCTION
from mixlab.config.problems import ConfigError
from mixlab.config.scorers import LmEvalScorerSettings
from mixlab.config.study import _CHANGES, BenchmarkUse


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_task(tmp_path / "tasks", SUMS, "deep/sums.yaml")
    return tmp_path


def scoring_of(declaration: BenchmarkDeclaration) -> LmEvalScorerSettings:
    assert isinstance(declaration.scoring, LmEvalScorerSettings)
    return declaration.scoring


def test_a_task_becomes_a_prompt_a_scorer_and_what_builds_its_requests(root: Path) -> None:
    made = declare(root)
    assert made.prompt.sampling.model_dump(include={"stop", "max_new_tokens", "temperature"}) == {
        "stop": ("\n",),
        "max_new_tokens": 12,
        "temperature": 0.0,
    }
    assert not made.prompt.chat
    assert (scoring_of(made).filter, scoring_of(made).metric) == ("strict", "exact_match")
    assert set(made.requests.task.config) == {"test_split", "output_type", "doc_to_text", "doc_to_target"}
    assert not made.count_examples()


def test_what_scores_alone_decides_no_request_and_the_other_filter_decides_no_score(root: Path) -> None:
    before = declare(root)
    write_task(root / "tasks", SUMS.replace("#### (-?", "### (-?"), "deep/sums.yaml")
    after = declare(root)
    assert (before.requests, before.prompt) == (after.requests, after.prompt)
    assert before.scoring != after.scoring
    assert declare(root, filter="flexible").scoring != after.scoring
    write_task(root / "tasks", SUMS.replace("#### (-?", "## (-?"), "deep/sums.yaml")
    assert declare(root, filter="flexible").scoring is not None
    kept = scoring_of(declare(root, filter="flexible")).task.config["filter_list"]
    assert [one["name"] for one in kept] == ["flexible"]  # type: ignore[union-attr, index, call-overload]


@pytest.mark.parametrize(
    ("old", "new"),
    [("Question:", "Q:"), ("max_gen_toks: 12", "max_gen_toks: 13"), ("num_fewshot: 0", "description: Add.")],
)
def test_what_is_asked_decides_requests_or_sampling(root: Path, old: str, new: str) -> None:
    before = declare(root)
    write_task(root / "tasks", SUMS.replace(old, new), "deep/sums.yaml")
    after = declare(root)
    assert (before.requests, before.prompt) != (after.requests, after.prompt)


def test_names_and_places_of_task_and_data_decide_nothing(root: Path) -> None:
    before = declare(root)
    (root / "tasks/deep/sums.yaml").unlink()
    moved = SUMS.replace("sums.jsonl", "other.jsonl").replace("task: sums", "task: plus\ntag: mine")
    write_task(root / "tasks", moved, "elsewhere.yaml")
    after = declare(root, "plus")
    assert (before.requests, before.scoring) == (after.requests, after.scoring)


def test_an_included_file_lies_below_and_is_overlaid_as_lm_eval_does(root: Path) -> None:
    write_task(root / "tasks", "include: deep/sums.yaml\ntask: short\ndoc_to_text: '{{question}}'\n", "short.yaml")
    short = declare(root, "short")
    assert short.requests.task.config["doc_to_text"] == "{{question}}"
    assert short.scoring == scoring_of(declare(root)).model_copy(
        update={"task": short.scoring.task}  # type: ignore[union-attr]
    )


def test_code_of_a_function_enters_by_its_bytes_and_only_where_it_is_named(root: Path) -> None:
    write_task(root / "tasks", SUMS + "process_results: !function own.judge\n", "own.yaml")
    (root / "tasks/deep/sums.yaml").unlink()
    code = root / "tasks/own.py"
    code.write_text("def judge(doc, results):\n    return {'exact_match': 1.0}\n")
    before = declare(root)
    assert before.requests.task.code == ()
    (held,) = scoring_of(before).task.code
    assert held.source == code.read_text()
    assert scoring_of(before).task.config["process_results"] == {FUNCTION: "judge", "digest": held.digest}
    code.write_text(code.read_text() + "# another\n")
    after = declare(root)
    assert after.requests == before.requests
    assert after.scoring != before.scoring


def test_worked_examples_need_a_source_where_their_split_is_another(root: Path) -> None:
    shown = SUMS.replace("num_fewshot: 0", "num_fewshot: 2\nfewshot_split: train")
    write_task(root / "tasks", shown, "deep/sums.yaml")
    assert declare(root).count_examples() == 2
    assert declare(root, num_fewshot=0).count_examples() == 0
    write_task(root / "tasks", shown.replace("fewshot_split: train", "fewshot_split: test"), "deep/sums.yaml")
    assert declare(root).count_examples() == 0
    assert declare(root).requests.num_fewshot == 2


WRONG = {
    "an unknown task": ("task: summs", {}, "no task file of .* is named 'sums'; did you mean 'summs'"),
    "no such folder": ("task: sums", {"include_path": "nowhere"}, "no such folder .*nowhere"),
    "broken YAML": ("task: sums\n  x: [", {}, r"is named 'sums'; there are none\n.*task.yaml:17: not valid YAML"),
    "a group": ("group: sums\ntask: [one, two]", {}, "'sums' is a group of tasks; name each"),
    "an unknown key": ("doc_to_txt: x", {}, "doc_to_txt: no key of a task file; did you mean 'doc_to_text'"),
    "an include outside": ("include: ../../out.yaml", {}, "include: .*lies outside of"),
    "an include that is not there": ("include: nowhere.yaml", {}, "nowhere.yaml: no such file"),
    "a cycle": ("include: task.yaml", {}, "a cycle of files that include each other"),
    "a missing function": ("process_docs: !function own.f", {}, "no file 'own.py' beside it"),
    "a function without a module": ("process_docs: !function f", {}, "needs module.name"),
    "images": ("doc_to_image: image", {}, "shows images"),
    "unsafe code": ("unsafe_code: true", {}, "outside of the sandbox; use a benchmark with the scorer python_tests"),
    "a program": ("class: !function own.Task", {}, "no file 'own.py'"),
    "a perplexity": ("output_type: loglikelihood_rolling", {}, "measures the perplexity of whole texts"),
    "a strange output": ("output_type: generate_untl", {}, "did you mean 'generate_until'"),
    "repeats": ("repeats: 4", {}, "write 1, and `samples` beside"),
    "beams": ("generation_kwargs: {num_beams: 4}", {}, "no engine here has num_beams: 4"),
    "no length": ("generation_kwargs: {max_gen_toks: 0}", {}, "generation_kwargs: max_new_tokens: .*greater than"),
    "an unknown filter": ("repeats: 1", {"filter": "stict"}, "has no 'stict'; did you mean 'strict'"),
    "an unknown metric": ("repeats: 1", {"metric": "acc"}, "has no 'acc'; there are exact_match"),
    "code that is run": ("metric_list: [{metric: code_eval}]", {}, "code_eval runs generated code"),
    "a metric of the network": ("metric_list: [{metric: rouge, hf_evaluate: true}]", {}, "asks the network"),
    "a metric of all items": ("metric_list: [{metric: bleu}]", {}, "bleu says nothing of one item"),
    "less is better": ("metric_list: [{metric: wer, higher_is_better: false}]", {}, "is better where it is lower"),
    "another mean": ("metric_list: [{metric: exact_match, aggregation: median}]", {}, "is aggregated by median"),
    "no list": ("metric_list: exact_match", {}, "metric_list: expected a list"),
    "an entry without a name": ("filter_list: [{filter: []}]", {}, "each entry needs name and filter"),
    "chat with a begun answer": ("gen_prefix: 'It is'", {"chat": True}, "remove chat: true"),
    "a date": ("metadata: {made: 2026-01-01}", {}, "put it in quotes where text is meant"),
    "two splits missing": ("test_split:", {}, "test_split: is missing"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_task_that_cannot_be_run_is_told_with_its_cure(tmp_path: Path, name: str) -> None:
    text, use, told = WRONG[name]
    changed = {line.partition(":")[0] for line in text.splitlines()}
    kept = [part for part in re.split(r"^(?=\w)", SUMS, flags=re.M) if part.partition(":")[0] not in changed]
    write_task(tmp_path / "tasks", f"{''.join(kept)}{text}\n")
    with pytest.raises(ConfigError, match=told):
        declare(tmp_path, **use)


def test_two_files_of_one_name_and_code_that_runs_answers_are_refused(root: Path) -> None:
    write_task(root / "tasks", SUMS, "again.yaml")
    with pytest.raises(ConfigError, match=r"'sums' is named by .*again.yaml and .*sums.yaml; remove one"):
        declare(root)
    (root / "tasks/own.py").write_text("import evaluate\nscore = evaluate.load('code_eval')\n")
    write_task(root / "tasks", SUMS.replace("sums", "own") + "process_docs: !function own.score\n", "own.yaml")
    with pytest.raises(ConfigError, match="runs generated code by code_eval; here code runs in the sandbox alone"):
        declare(root, "own")


def test_a_task_of_lm_evals_own_needs_lm_eval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"lm_eval is not installed, .*pip install 'lm_eval==.*or name include_path"):
        declare(tmp_path, "gsm8k", include_path=None)


def test_aliases_that_multiply_end(root: Path) -> None:
    rows = ["metadata:", "  a: &a [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"  {new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdef", "bcdefg", strict=True)]
    write_task(root / "tasks", SUMS + "\n".join(rows) + "\n", "deep/sums.yaml")
    with pytest.raises(ConfigError, match=r"do aliases .* multiply"):
        declare(root)


def test_a_task_of_likelihoods_draws_nothing(root: Path) -> None:
    write_task(root / "tasks", CHOICES, "colours.yaml")
    made = declare(root, "colours", category="general", metric="acc_norm")
    assert made.asks_likelihoods()
    assert scoring_of(made).metric == "acc_norm"
    with pytest.raises(ValueError, match="draws nothing; remove samples and temperature"):
        made.with_changes(samples=3, temperature=0.5)
    with pytest.raises(ValueError, match="skip leaves an item without likelihoods"):
        made.with_changes(long_prompts="skip")
    with pytest.raises(ValueError, match="continue the context as it is; remove it"):
        declare(root, "colours", chat=True)


def use(root: Path, task: str, changes: dict[str, object]) -> BenchmarkDeclaration:
    """Declare a task as a study uses it, with the study's changes."""
    asked = {"task": task, "include_path": "tasks", "language": "en", "category": "math"}
    one = BenchmarkUse.model_validate({"data": "items", "lm_eval": asked, **changes})
    assert one.lm_eval is not None
    one.lm_eval.place(root)
    return one.declaration("sums")


CHANGES: dict[str, tuple[dict[str, object], str | None, str | None]] = {
    "limit": ({"limit": 3}, None, None),
    "repair_prompts": ({"repair_prompts": True}, "repair_prompts", "repair_prompts"),
    "samples": ({"samples": 4, "temperature": 0.8}, None, "remove samples and temperature"),
    "temperature": ({"temperature": 0.5}, None, "remove samples and temperature"),
    "pass_at": ({"pass_at": [2]}, "pass_at 2 needs as many samples", "pass_at 2 needs as many samples"),
    "majority": ({"majority": True}, "majority needs several", "majority needs several"),
    "long_prompts": ({"long_prompts": "truncate_left"}, None, None),
    "max_new_tokens": ({"max_new_tokens": 300}, None, "max_new_tokens: a task of likelihoods writes no response"),
}


@pytest.mark.parametrize("option", _CHANGES)
def test_each_change_of_a_study_is_taken_by_a_task_or_refused_by_name(root: Path, option: str) -> None:
    write_task(root / "tasks", CHOICES, "colours.yaml")
    changes, *refusals = CHANGES[option]
    for task, told in zip(("sums", "colours"), refusals, strict=True):
        if told is not None:
            with pytest.raises(ValueError, match=told):
                use(root, task, changes)
            continue
        before, made = use(root, task, {}), use(root, task, changes)
        said = {**made.prompt.model_dump(), **made.prompt.sampling.model_dump(), **scoring_of(made).model_dump()}
        assert made != before
        assert {name: said[name] for name in changes} == changes


def test_samples_of_a_task_are_counted_and_no_temperature_by_category_is_known(root: Path) -> None:
    drawn = {"samples": 4, "temperature": 0.8, "pass_at": [2], "majority": True}
    assert use(root, "sums", drawn).measures() == ("accuracy", "pass@2", "maj@4")
    with pytest.raises(ValueError, match="category_temperatures"):
        use(root, "sums", {"category_temperatures": {"math": 0}})


def test_reading_a_task_imports_neither_lm_eval_nor_its_libraries(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mixlab.config.lm_eval import LmEvalUse\n"
        "use = LmEvalUse(task='sums', include_path='tasks', language='en', category='math')\n"
        "use.place(Path(sys.argv[1])); use.declare()\n"
        "sys.exit(', '.join(m for m in ('lm_eval', 'datasets', 'torch', 'evaluate', 'numpy') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

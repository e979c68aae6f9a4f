"""The benchmarks' own reference answers pass, and a spoiled copy of each fails."""

import gzip
import json
import shutil

import pytest

from mixlab.config.benchmarks import load_declaration
from mixlab.config.problems import DataError
from mixlab.config.scorers import SandboxLimits
from mixlab.evaluation.reference import check_references
from mixlab.evaluation.sandbox import Sandbox
from mixlab.evaluation.scorers.python_tests import score_python_tests
from mixlab.generation.prompts import render_turns
from mixlab.generation.responses import Response

needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


def read_lines(path):
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) | {"id": str(number)} for number, line in enumerate(data.decode().splitlines())]


def read_code(path):
    return [item | {"id": item["task_id"]} for item in read_lines(path)]


@pytest.mark.shared
@needs_bubblewrap
def test_humanevals_solutions_pass_164_of_164(shared_data):
    items = read_code(shared_data / "benchmarks/humaneval/HumanEval.jsonl.gz")
    check = check_references(load_declaration("humaneval"), items, workers=2)
    assert (check.reference_right, check.items, check.spoiled_right, check.unsolvable) == (164, 164, (), {})
    assert check.holds


@pytest.mark.shared
@needs_bubblewrap
def test_jhumanevals_solutions_pass_163_of_164_and_item_64_is_named(shared_data):
    items = read_code(shared_data / "benchmarks/jhumaneval/jhuman-eval.jsonl.gz")
    check = check_references(load_declaration("jhumaneval"), items, workers=2)
    assert (check.reference_right, check.spoiled_right) == (163, ())
    assert check.reference_wrong == ("JHumanEval/64",) == tuple(check.unsolvable)
    assert check.holds


@pytest.mark.shared
@needs_bubblewrap
def test_repaired_jhumaneval_passes_164_of_164_and_only_item_64_is_asked_differently(shared_data):
    items = read_code(shared_data / "benchmarks/jhumaneval/jhuman-eval.jsonl.gz")
    declared = load_declaration("jhumaneval")
    repaired = declared.with_changes(repair_prompts=True)
    check = check_references(repaired, items, workers=2)
    assert (check.reference_right, check.spoiled_right, check.unsolvable) == (164, (), {})
    changed = [
        item["id"] for item in items if render_turns(repaired.prompt, item) != render_turns(declared.prompt, item)
    ]
    assert changed == ["JHumanEval/64"]


@pytest.mark.shared
@needs_bubblewrap
def test_humanevals_own_sample_file_scores_what_its_readme_says(shared_data):
    folder = shared_data / "benchmarks/humaneval"
    (problem,) = read_lines(folder / "example_problem.jsonl")
    samples = read_lines(folder / "example_samples.jsonl")
    programs = [
        f"{problem['prompt']}{sample['completion']}\n{problem['test']}\ncheck({problem['entry_point']})"
        for sample in samples
    ]
    with Sandbox(2) as sandbox:
        passed = [outcome.passed for outcome in sandbox.run_all(programs, SandboxLimits(wall_seconds=3))]
    assert sum(passed) / len(passed) == 0.5


@pytest.mark.shared
def test_gsm8ks_answers_are_all_right_and_plus_one_all_wrong(shared_data):
    check = check_references(load_declaration("gsm8k"), read_lines(shared_data / "benchmarks/gsm8k/test.jsonl"))
    assert (check.items, check.reference_right, check.spoiled_right) == (1319, 1319, ())


@pytest.mark.shared
def test_mgsms_answers_are_all_right_and_plus_one_all_wrong(shared_data):
    lines = (shared_data / "benchmarks/mgsm/mgsm_ja.tsv").read_text(encoding="utf-8").splitlines()
    items = [
        {"id": str(number), **dict(zip(("question", "answer"), line.split("\t"), strict=True))}
        for number, line in enumerate(lines)
    ]
    check = check_references(load_declaration("mgsm_ja"), items)
    assert (check.items, check.reference_right, check.spoiled_right) == (250, 250, ())


@pytest.mark.shared
@needs_bubblewrap
def test_mbpps_solutions_pass_with_the_set_up_code_behind_them_and_not_before(shared_data):
    lines = [json.loads(line) for line in (shared_data / "benchmarks/mbpp/mbpp.jsonl").read_text().splitlines()]
    chosen = [line for line in lines if line["task_id"] in (2, 11, 367, 800, 927)]
    items = [line | {"id": str(line["task_id"]), "test_list": "\n".join(line["test_list"])} for line in chosen]
    check = check_references(load_declaration("mbpp"), items, workers=2)
    assert (check.reference_right, check.spoiled_right, check.holds) == (5, (), True)
    before = [item | {"code": f"{item['test_setup_code']}\n{item['code']}", "test_setup_code": ""} for item in items]
    assert check_references(load_declaration("mbpp"), before, workers=2).reference_wrong == ("367", "927")


@needs_bubblewrap
@pytest.mark.parametrize(
    "code",
    [
        "",
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "raise SystemExit",
        "def one():\n    return 2\nprint('passed')",
        "one = 1",
        "while True: pass",
        "I cannot write this function.",
    ],
)
def test_code_that_does_not_do_what_is_asked_passes_no_assert(code):
    item = {"id": "a", "text": "?", "test_list": "assert one() == 1", "test_setup_code": "", "code": code}
    settings = load_declaration("mbpp").scoring
    limits = settings.limits.model_copy(update={"wall_seconds": 2.0, "cpu_seconds": 1})
    pair = (item, Response("a", ["?"], responses=[code]))
    (score,) = score_python_tests(settings.model_copy(update={"limits": limits}), [pair], 1).scores
    assert score.score == 0


def test_a_wrong_reference_is_found(tmp_path):
    items = [
        {"id": name, "prompt": "", "entry_point": "f", "solution": code, "test": "def check(c): assert c() == 1"}
        for name, code in (("right", "def f(): return 1"), ("wrong", "def f(): return 2"))
    ]
    check = check_references(load_declaration("demo_code_en"), items)
    assert (check.reference_wrong, check.holds) == (("wrong",), False)


def test_a_test_that_tests_nothing_is_found():
    items = [{"id": "a", "entry_point": "f", "solution": "def f(): return 1", "test": "def check(c): pass"}]
    check = check_references(load_declaration("demo_code_en"), items)
    assert (check.spoiled_right, check.holds) == (("a",), False)


def test_a_judged_benchmark_has_no_references_to_check():
    with pytest.raises(DataError, match="judged"):
        check_references(load_declaration("mt_bench_en"), [])

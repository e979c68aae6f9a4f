"""Scorers, and the files they write."""

import json
import shutil
import subprocess
import sys
from fractions import Fraction

import pytest

from mixlab.config.generation import OptionsSettings
from mixlab.config.problems import DataError, UserError
from mixlab.config.scorers import ExactMatchSettings, FinalNumberSettings, LetterChoiceSettings, PythonTestsSettings
from mixlab.evaluation.sandbox import LABEL_BUBBLEWRAP, LABEL_FALLBACK
from mixlab.evaluation.scorers.final_number import extract_number
from mixlab.evaluation.scorers.numbers import find_numbers
from mixlab.evaluation.scorers.python_tests import cut_code
from mixlab.evaluation.scoring import write_scores
from mixlab.generation.responses import Response, write_response_files

ADD = {
    "id": "add",
    "prompt": 'def add(a, b):\n    """Add."""\n',
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
}
BROKEN = ADD | {"id": "broken", "prompt": '\nX = """\nx\n"""def add(a, b):\n    """Add."""\n'}


def respond(folder, answers, reason="stop"):
    folder.mkdir(exist_ok=True)
    responses = [
        Response(item, ["q"], ["d"], [text], [3], [2], [reason if text else "prompt_too_long"])
        for item, text in answers.items()
    ]
    write_response_files(responses, folder)
    return folder


def score(tmp_path, settings, items, answers):
    write_scores(settings, items, respond(tmp_path / "responses", answers), tmp_path, workers=2)
    lines = (tmp_path / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["item"]: line for line in map(json.loads, lines)}, json.loads((tmp_path / "index.json").read_text())


THOUGHTS = {
    "right": ("<think>Maybe the answer is B? No.</think>C", 1.0, "C"),
    "end alone": ("Maybe the answer is B? No.\n</think>\n\nC", 1.0, "C"),
    "wrong": ("<think>The answer is C.</think>The answer is B", 0.0, "B"),
    "never ended": ("<think>The answer is C.", 0.0, None),
}


def test_thoughts_are_no_answer_to_any_scorer(tmp_path):
    options = OptionsSettings(fields=("a", "b", "c"))
    settings = LetterChoiceSettings(options=options)
    items = [{"id": name, "a": "x", "b": "y", "c": "z", "answer": "C"} for name in THOUGHTS]
    lines, _ = score(tmp_path, settings, items, {name: text for name, (text, *_) in THOUGHTS.items()})
    assert {name: (one["score"], one["extracted"]) for name, one in lines.items()} == {
        name: (right, letter) for name, (_, right, letter) in THOUGHTS.items()
    }
    answers = {"add": "<think>return a - b</think>\n\n    return a + b\n"}
    assert score(tmp_path, PythonTestsSettings(), [ADD], answers)[0]["add"]["score"] == 1
    item = {"id": "n", "answer": "5"}
    assert score(tmp_path, FinalNumberSettings(), [item], {"n": "<think>#### 7</think>5"})[0]["n"]["score"] == 1
    item["answer"] = "Lume"
    assert score(tmp_path, ExactMatchSettings(), [item], {"n": "<think>Oslo</think>\nLume."})[0]["n"]["score"] == 1


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("$1,234.50 and 7", ["1234.5", "7"]),
        ("答えは１８個です", ["18"]),
        ("３万５千円", ["35000"]),
        ("1億2000万", ["120000000"]),
        ("２．５と，１，０００", ["2.5", "1000"]),
        ("-3, −4, 10-3, x-2", ["-3", "-4", "10", "3", "2"]),
        ("- 5 apples", ["5"]),
        ("5-1=4", ["5", "1", "4"]),
        ("1,2,3", ["1", "2", "3"]),
        ("50%.", ["50"]),
        ("-$5", ["-5"]),
        ("none", []),
        ("面積は25㎡です。合計25cm³になります", ["25", "25"]),
        ("25 m² (see note ¹), ① 3 x₂", ["25", "3"]),
        ("25½, ½, -2½, 12 1/2, 3 5/2", ["25.5", "0.5", "-2.5", "12.5", "3", "2.5"]),
        (r"#### 25/2, 1⁄4 or \frac{1}{8}, -\dfrac{3}{4}", ["12.5", "0.25", "0.125", "-0.75"]),
        ("5/12/2023, 10 / 4 = 2.5", ["5", "12", "2023", "2.5", "2.5"]),
        ("1/0 and \\frac{1}{0}", []),
        ("気温は-3度です。合計は−3です", ["-3", "-3"]),
        ("10−3, 10個-3個, 25㎡-3, 10キログラム-3キログラム", ["10", "3", "10", "3", "25", "3", "10", "3"]),
        ("5度は-3, データ-3", ["5", "-3", "-3"]),
        ("3千5百万円, 3兆円, 2百5十, 2千万5百", ["35000000", "3000000000000", "250", "20000500"]),
        ("1万2千 12万3,456 千円 5千円 1億2000万", ["12000", "123456", "5000", "120000000"]),
        ("9" * 4280 + "千兆", ["9" * 4280 + "0" * 15]),
    ],
)
def test_numbers_are_read_as_people_write_them(text, numbers):
    assert find_numbers(text) == [Fraction(number) for number in numbers]


@pytest.mark.parametrize(
    ("text", "fallback", "number"),
    [
        ("It is 3. #### 18 and then 5", "last_number", 18),
        ("#### 4\nNo, wait.\n#### 6 (not 7)", "last_number", 6),
        ("#### 4\nI forgot: ####", "last_number", 4),
        ("first 3, then 12 in all", "last_number", 12),
        ("first 3, then 12 in all", "none", None),
        ("答えは、42 です。前は41でした", "last_number", 42),
        ("", "last_number", None),
        ("The floor has 25 m2 or 250000 cm^2", "last_number", 250000),
        ("x1 = 3 and x2 = 5, so USD25 for x2", "last_number", 25),
        ("x2", "last_number", 2),
        ("#### x2", "none", 2),
    ],
)
def test_the_answer_is_the_number_after_the_last_marker_else_the_last_where_allowed(text, fallback, number):
    assert extract_number(text, ["####", "答えは"], fallback) == number


def test_numbers_are_compared_by_value(tmp_path):
    items = [{"id": name, "answer": "so\n#### 1,200"} for name in "abcd"]
    answers = {"a": "#### 1200.00", "b": "1 200", "c": "I do not know", "d": "#### 1201"}
    scores, index = score(tmp_path, FinalNumberSettings(), items, answers)
    assert [scores[name]["score"] for name in "abcd"] == [1, 0, 0, 0]
    assert [scores[name]["parsed"] for name in "abcd"] == [True, True, False, True]
    assert (index["items"], index["mean"], index["parsed"]) == (4, 0.25, 3)


def test_a_reference_without_a_number_is_an_error_that_names_the_item(tmp_path):
    with pytest.raises(DataError, match="item 'a': answer holds no number"):
        score(tmp_path, FinalNumberSettings(), [{"id": "a", "answer": "many"}], {"a": "3"})


@pytest.mark.parametrize(
    ("got", "right"),
    [(" lume.", 1), ("Ｌｕｍｅ", 1), ("\n\nLUME\nand more", 1), ("Lumen", 0), ("", 0), ("in Lume", 0)],
)
def test_short_answers_are_compared_after_normalisation(tmp_path, got, right):
    scores, _ = score(tmp_path, ExactMatchSettings(), [{"id": "a", "answer": "Lume"}], {"a": got})
    assert scores["a"]["score"] == right


def test_any_of_several_reference_answers_is_right(tmp_path):
    scores, _ = score(tmp_path, ExactMatchSettings(), [{"id": "a", "answer": ["猫", "ねこ"]}], {"a": "「ねこ」。"})
    assert scores["a"]["score"] == 1


def test_an_empty_reference_is_matched_by_nothing(tmp_path):
    scores, _ = score(tmp_path, ExactMatchSettings(), [{"id": "a", "answer": " . "}], {"a": "."})
    assert scores["a"]["score"] == 0


def test_a_completion_is_cut_at_a_stop_string_and_run_with_the_tests(tmp_path):
    settings = PythonTestsSettings(stop=("\ndef ",))
    items = [ADD | {"id": name} for name in "abc"]
    answers = {"a": "    return a + b\n\ndef x(:", "b": "    return a - b\n", "c": ""}
    scores, index = score(tmp_path, settings, items, answers)
    assert [scores[name]["score"] for name in "abc"] == [1, 0, 0]
    assert [scores[name]["note"] for name in "abc"] == ["passed", "raised AssertionError", "prompt_too_long"]
    assert scores["a"]["extracted"] == "    return a + b\n"
    assert index["unsolvable"] == []


def test_an_item_that_is_not_python_is_listed_with_the_reason_and_solved_by_the_repair(tmp_path):
    answers = {"broken": BROKEN["canonical_solution"], "add": ADD["canonical_solution"]}
    scores, index = score(tmp_path, PythonTestsSettings(), [ADD, BROKEN], answers)
    assert (scores["broken"]["score"], scores["add"]["score"]) == (0, 1)
    assert [entry["item"] for entry in index["unsolvable"]] == ["broken"]
    assert "not valid Python" in index["unsolvable"][0]["reason"]
    repaired, index = score(tmp_path, PythonTestsSettings(repair_prompts=True), [ADD, BROKEN], answers)
    assert (repaired["broken"]["score"], index["unsolvable"]) == (1, [])


def test_a_program_stands_alone_without_fence_and_indentation():
    settings = PythonTestsSettings(form="program")
    assert cut_code(settings, "Sure:\n```python\ndef f(): pass\n```\nDone.") == "def f(): pass\n"
    assert cut_code(settings, " def f(x): return x") == "def f(x): return x"
    assert cut_code(PythonTestsSettings(), "    return 1") == "    return 1"


@pytest.mark.parametrize(
    "response",
    [
        "```python3\nCODE```",
        "```python \nCODE```",
        "```python\r\nCODE```\r\n",
        "``` {.python}\nCODE```",
        "~~~python\nCODE~~~",
        "````python\nCODE````",
        "\ufeffCODE",
        "\ufeff```\n\ufeffCODE```",
        "Use ```f``` so: ```py\nCODE```\nor\n```\nno\n```",
        "1. So:\n   ```python\n   CODE   ```",
        "```python\nCODE",
    ],
)
def test_a_program_is_found_in_every_fence(response):
    settings = PythonTestsSettings(form="program")
    code = "def f():\n    return '``` ~~~ is no end'\n"
    assert cut_code(settings, response.replace("CODE", code.replace("\n    ", "\n       "))).split() == code.split()


def test_a_program_ends_where_its_fence_closes_behind_code_and_a_completion_has_no_byte_order_mark():
    settings = PythonTestsSettings(form="program")
    assert cut_code(settings, "```python\ndef f(): pass```\nDone.\n```\nx\n```") == "def f(): pass"
    assert cut_code(PythonTestsSettings(), "\ufeff    return 1") == "    return 1"


def test_a_response_that_redefines_check_does_not_pass(tmp_path):
    cheat = "    return 0\n\ndef check(candidate):\n    pass\n"
    scores, _ = score(tmp_path, PythonTestsSettings(), [ADD], {"add": cheat})
    assert scores["add"]["score"] == 0


def test_items_without_a_response_are_left_out_and_order_is_that_of_responses(tmp_path):
    items = [{"id": name, "answer": name} for name in "abc"]
    scores, index = score(tmp_path, ExactMatchSettings(), items, {"c": "c", "a": "x"})
    assert (list(scores), index["items"]) == (["c", "a"], 2)


def test_a_response_to_an_unknown_item_is_an_error(tmp_path):
    with pytest.raises(DataError, match="item z: no item of the source"):
        score(tmp_path, ExactMatchSettings(), [{"id": "a", "answer": "x"}], {"a": "x", "z": "x"})


def test_what_kept_tested_code_apart_is_told_and_stands_in_no_file(tmp_path):
    responses = respond(tmp_path / "responses", {"add": ADD["canonical_solution"]})
    label = write_scores(PythonTestsSettings(), [ADD], responses, tmp_path)
    assert label in (LABEL_BUBBLEWRAP, LABEL_FALLBACK)
    assert [path.name for path in tmp_path.glob("*.json*") if label in path.read_text()] == []
    assert write_scores(ExactMatchSettings(answer_field="prompt"), [ADD], responses, tmp_path) is None


def test_scores_are_the_same_bytes_whatever_the_number_of_workers(tmp_path):
    items = [ADD | {"id": str(number)} for number in range(6)]
    respond(tmp_path / "responses", {str(number): f"    return a + b + {number % 2}\n" for number in range(6)})
    written = []
    for workers in (1, 3):
        write_scores(PythonTestsSettings(), items, tmp_path / "responses", tmp_path, workers=workers)
        written.append([(tmp_path / name).read_bytes() for name in ("scores.jsonl", "index.json")])
    assert written[0] == written[1]


def test_scoring_and_judging_start_without_torch_and_transformers():
    code = "import sys, mixlab.evaluation.scoring, mixlab.evaluation.judging; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "numpy", "pandas"} & set(loaded)


HOSTILE = {
    "forged": "    import os\n    os.write(4, b'passed')\n    os._exit(0)\n",
    "equal": "    return type('E', (), {'__eq__': lambda self, other: True})()\n",
    "redefined": "    return 0\n\ndef check(candidate): pass\n",
}


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_hostile_response_scores_nothing_and_its_note_says_how_it_ended(tmp_path):
    items = [ADD | {"id": name} for name in HOSTILE]
    write_scores(PythonTestsSettings(), items, respond(tmp_path / "responses", HOSTILE), tmp_path)
    scores = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [(one["item"], one["score"]) for one in scores] == [("forged", 0), ("equal", 0), ("redefined", 0)]
    assert scores[0]["note"].startswith(("answered what cannot be read", "left before its end"))
    assert [one["note"] for one in scores[1:]] == ["raised AssertionError"] * 2


def test_scoring_that_requires_a_strong_sandbox_runs_no_code_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr("mixlab.evaluation.sandbox.shutil.which", lambda name: None)
    responses = respond(tmp_path / "responses", {"add": ADD["canonical_solution"]})
    with pytest.raises(UserError, match="sandbox_require: any"):
        write_scores(PythonTestsSettings(), [ADD], responses, tmp_path, require="strong")
    assert not (tmp_path / "scores.jsonl").exists()
    # what runs no code needs no sandbox
    assert write_scores(ExactMatchSettings(answer_field="prompt"), [ADD], responses, tmp_path, require="strong") is None

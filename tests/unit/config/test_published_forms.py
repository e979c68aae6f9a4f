"""The sources of published benchmarks fit the declarations.

The rows are written by hand in the published forms: these data sets are not beside the checkout.
"""

from pathlib import Path

import pytest

from mixlab.config.benchmarks import declared_benchmarks, load_declaration
from mixlab.config.studies import load_registry
from mixlab.data.records import find_fault
from mixlab.data.sources.mapping import FieldFault, build_record
from mixlab.evaluation.reference import check_references
from mixlab.generation.prompts import check_items, render_turns

REPOSITORY = Path(__file__).resolve().parents[3]
FOUR = {"A": "猫", "B": "犬", "C": "鳥", "D": "魚"}
CODE = {"prompt": "def f():\n", "canonical_solution": "    return 1\n", "entry_point": "f"}
ROWS = {
    "gsm8k_hub": {"question": "1 + 1?", "answer": "It is <<1+1=2>>2.\n#### 2"},
    "humaneval_hub": {"task_id": "HumanEval/0", "test": "def check(candidate):\n    assert candidate() == 1\n", **CODE},
    "mbpp_hub": {
        "task_id": 11,
        "text": "Write a function that returns one.",
        "code": "class Node:\r\n    pass\r\ndef one(node):\r\n    return 1",
        "test_list": ["assert one(root) == 1", "assert one(None) == 1"],
        "test_setup_code": "root = Node()",
        "challenge_test_list": [],
    },
    "boolq_hub": {"question": "is water wet", "passage": "Water is wet.\nQuestion: none.", "answer": True},
    "truthfulqa_items": {
        "question": "What happens if you eat seeds?",
        "mc1_targets": {"choices": ["Nothing", "They grow", "You die"], "labels": [1, 0, 0]},
        "mc2_targets": {"choices": ["Nothing"], "labels": [1]},
    },
    "naturalquestions_items": {"question": "who wrote hamlet", "answer": ["Shakespeare", "William Shakespeare"]},
    "math_items": {
        "problem": "What is $1/2$?",
        "level": "Level 1",
        "type": "Algebra",
        "solution": r"It is $\boxed{\frac{1}{2}}$.",
    },
    "mmlu_items": {"question": "1 + 1?", "subject": "sums", "choices": ["1", "2", "3", "4"], "answer": 1},
    "mmlu_zh_agronomy": {"Unnamed: 0": 0, "Question": "哪个会飞？", **FOUR, "Answer": "C"},
    "mmlu_ja_items": {"question": "飛ぶのはどれか？", **FOUR, "answer": "C"},
}
OF = {name: name.replace("_agronomy", "").replace("_hub", "").replace("_items", "") for name in ROWS}


def read(name, row):
    registry, _ = load_registry(REPOSITORY / "studies/benchmarks/sources.yaml")
    return build_record("benchmark", registry.sources[name].origin.fields, row, 1)


@pytest.mark.parametrize("name", ROWS)
def test_a_published_row_can_be_asked_and_its_reference_passes_and_a_spoiled_one_fails(name):
    item, declaration = read(name, ROWS[name]), load_declaration(OF[name])
    assert find_fault("benchmark", item) is None
    assert declaration.item_fields() <= set(item)
    check_items(declaration.prompt, [item], ["<|end|>"])
    (prompt,) = render_turns(declaration.prompt, item)
    assert "{" not in prompt.replace(r"\boxed{}", "")
    check = check_references(declaration, [item])
    assert (check.reference_right, check.spoiled_right, check.holds) == (1, (), True)


def test_every_benchmark_that_is_scored_is_among_them_or_a_file_beside_the_checkout():
    scored = {name for name in declared_benchmarks() if load_declaration(name).scoring and not name.startswith("demo_")}
    assert scored - set(OF.values()) == {"jhumaneval", "mgsm_ja"}


def test_a_truth_value_that_is_none_is_a_bad_record():
    assert read("boolq_hub", ROWS["boolq_hub"])["answer"] == "yes"
    with pytest.raises(FieldFault, match="field `answer` is '1', not one of True, False"):
        read("boolq_hub", ROWS["boolq_hub"] | {"answer": 1})
    with pytest.raises(FieldFault, match="field `answer` is missing"):
        read("boolq_hub", ROWS["boolq_hub"] | {"answer": None})


def test_a_passage_that_asks_itself_stays_whole():
    row = {
        "query": "Passage: Why?\nQuestion: a quote?\nSo it is.\nQuestion: is it so?",
        "choices": ["no", "yes"],
        "gold": 1,
    }
    assert read("boolq_items", row) == {
        "id": "1",
        "passage": "Why?\nQuestion: a quote?\nSo it is.",
        "question": "is it so",
        "answer": "yes",
    }

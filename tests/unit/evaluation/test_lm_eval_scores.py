"""Scores of tasks of lm-eval: equal to those of its own evaluator, and beside our extraction of final numbers."""

import json

import pytest
from lm_eval_lab import CHOICE_ITEMS, CHOICES, SUM_ITEMS, SUMS, declare, list_theirs, run_lm_eval, write_task

from mixlab.config.benchmarks import load_declaration
from mixlab.config.problems import DataError
from mixlab.evaluation.lm_eval_agreement import build_reference_pairs, compare_extraction
from mixlab.evaluation.scoring import score_pairs
from mixlab.generation.lm_eval_tasks import list_questions
from mixlab.generation.responses import Response

pytest.importorskip("lm_eval", reason="lm_eval is not installed; the extra `lm-eval` brings it")

GSM8K = load_declaration("gsm8k")
SAID = ["It is #### 0", "2", "so #### 4 and more", "none", "#### 8.", "#### 1,0"]
"""Responses to the six sums: right and wrong, with and without the marker."""


def respond(item, text, likelihoods=None):
    return Response(str(item["id"]), [""], responses=[text], finish_reasons=["stop"], likelihoods=likelihoods)


@pytest.mark.parametrize("filter_name", ["strict", "flexible"])
def test_scores_are_those_of_lm_evals_own_evaluator_on_the_same_responses(tmp_path, monkeypatch, filter_name):
    write_task(tmp_path / "tasks", SUMS)
    made = declare(tmp_path, filter=filter_name)
    asked = list_questions(made.requests, SUM_ITEMS)
    said = dict(zip((one.context for one in asked), SAID, strict=True))
    pairs = [(item, respond(item, text)) for item, text in zip(SUM_ITEMS, SAID, strict=True)]
    ours = [one.score for one in score_pairs(made.scoring, pairs, 1).scores]
    # a KeyError below would say that lm-eval asks another prompt
    results = run_lm_eval(tmp_path, monkeypatch, "sums", SUM_ITEMS, lambda context, _: said[context])
    assert ours == list_theirs(results, "sums", filter_name, "exact_match")
    assert sum(ours) / 6 == results["results"]["sums"][f"exact_match,{filter_name}"]
    assert 0 < sum(ours) < 6


@pytest.mark.parametrize("split", ["fewshot_split: train", "fewshot_split: test", "training_split: train"])
def test_prompts_with_worked_examples_are_those_of_lm_evals_own_evaluator(tmp_path, monkeypatch, split):
    write_task(tmp_path / "tasks", SUMS.replace("num_fewshot: 0", f"num_fewshot: 2\n{split}"))
    examples = [{"id": f"e{n}", "question": f"example {n}", "answer": f"#### {n}"} for n in range(30)]
    made = declare(tmp_path)
    ours = [one.context for one in list_questions(made.requests, SUM_ITEMS, examples)]
    theirs = []

    def answer(context, _):
        theirs.append(context)
        return "#### 1"

    run_lm_eval(tmp_path, monkeypatch, "sums", SUM_ITEMS, answer, examples)
    assert ours == theirs
    assert len(set(ours)) == 6


@pytest.mark.parametrize("metric", ["acc", "acc_norm"])
def test_choices_are_scored_as_lm_eval_scores_the_same_likelihoods(tmp_path, monkeypatch, metric):
    write_task(tmp_path / "tasks", CHOICES)
    made = declare(tmp_path, "colours", json_fields=["right"], metric=metric)
    weights = {" blue": -2.0, " green and tall": -3.0, " lazy dog": -1.0, " fox jumps": -2.0, " the lazy dog": -5.0}
    weights |= {" xyz": -4.0}
    pairs = []
    for item, question in zip(CHOICE_ITEMS, list_questions(made.requests, CHOICE_ITEMS), strict=True):
        pairs.append((item, respond(item, "x", [(weights[text], False) for _, text in question.pairs])))
    ours = [one.score for one in score_pairs(made.scoring, pairs, 1).scores]
    rows = [{**item, "right": int(item["right"])} for item in CHOICE_ITEMS]
    results = run_lm_eval(tmp_path, monkeypatch, "colours", rows, lambda _, text: (weights[text], False))
    assert ours == list_theirs(results, "colours", "none", metric)
    assert 0 < sum(ours) < 3


def test_a_response_without_a_match_is_counted_as_unparsed_and_thoughts_are_no_answer(tmp_path):
    write_task(tmp_path / "tasks", SUMS)
    texts = ["no idea", "<think>#### 5</think>#### 2", "<think>#### 4"]
    pairs = [(item, respond(item, text)) for item, text in zip(SUM_ITEMS, texts, strict=False)]
    scores = score_pairs(declare(tmp_path).scoring, pairs, 1).scores
    assert [(one.score, one.parsed, one.extracted) for one in scores] == [
        (0, False, None),
        (1, True, "2"),
        (0, False, None),
    ]


def test_a_function_of_the_study_scores_and_a_number_beyond_1_is_told(tmp_path):
    text = SUMS.replace("metric: exact_match, ", "metric: near, ") + "process_results: !function own.judge\n"
    write_task(tmp_path / "tasks", text)
    code = tmp_path / "tasks/own.py"
    code.write_text(
        "def judge(doc, results):\n    return {'near': 1 / (1 + abs(int(doc['answer']) - int(results[0])))}\n"
    )
    pairs = [(SUM_ITEMS[2], respond(SUM_ITEMS[2], "#### 5"))]
    (one,) = score_pairs(declare(tmp_path).scoring, pairs, 1).scores
    assert one.score == 0.5
    code.write_text("def judge(doc, results):\n    return {'near': 7}\n")
    with pytest.raises(DataError, match="item '2': metric near is 7, no number from 0 to 1"):
        score_pairs(declare(tmp_path).scoring, pairs, 1)
    code.write_text("def judge(doc, results):\n    return {'far': 1}\n")
    with pytest.raises(DataError, match=r"gives no metric 'near' \(it gives far\)"):
        score_pairs(declare(tmp_path).scoring, pairs, 1)
    code.write_text("def judge(doc, results):\n    return 1 / 0\n")
    with pytest.raises(DataError, match="item '2' cannot be scored: ZeroDivisionError"):
        score_pairs(declare(tmp_path).scoring, pairs, 1)


def list_filters(tmp_path):
    names = ("strict-match", "flexible-extract")
    return [declare(tmp_path, "gsm8k", include_path=None, filter=name).scoring for name in names]


DIFFERENT = {
    "the number behind the last marker": ("#### 3 no, #### 4", "strict-match", ("4", "3")),
    "a dollar sign behind the marker": ("#### $4", "strict-match", ("4", "[none]")),
    "no marker at all": ("The answer is 4", "strict-match", ("4", "[none]")),
    "a number with a superfluous zero": ("#### 4.0", "strict-match", ("4", "4.0")),
    "what stands behind the answer": ("#### 4 of 10", "flexible-extract", ("4", "10")),
    "a sign that is a subtraction": ("#### 4\n7-3", "flexible-extract", ("4", "-3")),
    "full-width digits": ("#### ４", "strict-match", ("4", "[none]")),
}


@pytest.mark.parametrize("reason", DIFFERENT)
def test_extractions_differ_for_these_reasons(tmp_path, reason):
    text, filter_name, (ours, theirs) = DIFFERENT[reason]
    item = {"id": "a", "question": "2 + 2?", "answer": "2 + 2 = 4\n#### 4"}
    found = {
        one.filter: one
        for one in compare_extraction(GSM8K.scoring, list_filters(tmp_path), [(item, respond(item, text))])
    }
    (told,) = found[filter_name].differences
    assert (told.ours, told.theirs or "[none]") == (ours, theirs)
    assert told.ours_right
    assert not told.theirs_right


def test_what_both_read_alike_is_no_difference(tmp_path):
    item = {"id": "a", "question": "?", "answer": "#### 1,000"}
    for text in ("#### 1000", "#### 1,000", "x #### 999"):
        found = compare_extraction(GSM8K.scoring, list_filters(tmp_path), [(item, respond(item, text))])
        assert [(one.responses, one.agree) for one in found] == [(1, 1), (1, 1)]


@pytest.mark.shared
def test_both_agree_on_all_references_of_gsm8k_and_their_spoiled_copies(tmp_path, shared_data):
    lines = (shared_data / "benchmarks/gsm8k/test.jsonl").read_text().splitlines()
    items = [{"id": str(at), **json.loads(line)} for at, line in enumerate(lines)]
    found = compare_extraction(GSM8K.scoring, list_filters(tmp_path), build_reference_pairs(GSM8K.scoring, items))
    assert [(one.filter, one.responses) for one in found] == [("strict-match", 2638), ("flexible-extract", 2638)]
    assert [one.differences for one in found] == [(), ()]

"""Several samples of an item: pass@k, the vote of the majority, and the files."""

import json
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlab.config.problems import DataError
from mixlab.config.scorers import ExactMatchSettings, FinalNumberSettings, MathAnswerSettings
from mixlab.evaluation.samples import combine_samples, estimate_pass, vote
from mixlab.evaluation.scorers.score import Score
from mixlab.evaluation.scoring import write_scores
from mixlab.generation.responses import Response, write_response_files


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_pass_at_k_is_the_share_of_all_choices_of_k_samples_with_a_right_one(right, data):
    k = data.draw(st.integers(1, len(right)))
    chosen = list(combinations(right, k))
    assert estimate_pass(len(right), sum(right), k) == pytest.approx(sum(map(any, chosen)) / len(chosen), abs=1e-12)


def test_pass_at_k_of_many_samples_is_exact():
    assert estimate_pass(1000, 1, 1) == 0.001
    assert estimate_pass(1000, 0, 1000) == 0
    assert estimate_pass(200, 1, 200) == 1
    with pytest.raises(ValueError, match="pass@3 cannot be estimated from 2"):
        estimate_pass(2, 1, 3)


def scores(*answers, item="a", right="7"):
    return [Score(item, float(one == right), one is not None, one, None, sample=at) for at, one in enumerate(answers)]


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (("7", "5", "7"), "7"),
        (("5", "7", "7", "5"), "5"),
        (("7", "5"), "7"),
        ((None, None, "5"), "5"),
        ((None, "5", "7", "7"), "7"),
    ],
)
def test_the_most_frequent_answer_wins_and_of_a_tie_the_first(answers, winner):
    assert vote(scores(*answers)).extracted == winner


HALVES = (r"\frac{1}{2}", "0.5", "1/2")


@pytest.mark.parametrize(
    ("answers", "score"),
    [
        ((*HALVES, "3", "3"), 1),
        (("3", "3", *HALVES), 1),
        (("3", r"\frac{6}{2}", "3.0", *HALVES[:2]), 0),
        (("3", *HALVES[:2], r"\frac{6}{2}"), 0),
        ((HALVES[0], "3", HALVES[1], r"\frac{6}{2}"), 1),
        (("3", *HALVES[:2], "4"), 1),
        ((None, "3", None), 0),
    ],
)
def test_mathematical_answers_that_are_equal_vote_together_and_of_a_tie_the_first_wins(answers, score):
    said = [Score("a", float(one in HALVES), one is not None, one, None, sample=at) for at, one in enumerate(answers)]
    (row,) = combine_samples(MathAnswerSettings(majority=True), said)
    assert row.score == score


def test_no_answer_at_all_is_wrong_and_unparsed():
    (row,) = combine_samples(FinalNumberSettings(majority=True), scores(None, None))
    assert (row.measure, row.score, row.parsed) == ("maj@2", 0.0, False)


def test_an_item_that_lacks_samples_is_named():
    with pytest.raises(DataError, match="item b: has 1 samples, where 2 are needed"):
        combine_samples(FinalNumberSettings(pass_at=(1,)), [*scores("7", "5"), *scores("7", item="b")])


def write(folder, said, settings):
    folder.mkdir()
    responses = [
        Response(item, ["q"], ["d"], [text], [3], [2], ["stop"], sample=at)
        for item, texts in said.items()
        for at, text in enumerate(texts)
    ]
    write_response_files(responses, folder)
    write_scores(settings, [{"id": item, "answer": "7"} for item in said], folder, folder)
    read = {path.name: path.read_text() for path in folder.iterdir()}
    return read, json.loads(read["index.json"])


def test_every_sample_is_kept_and_what_they_say_together_stands_beside_them(tmp_path):
    settings = FinalNumberSettings(pass_at=(1, 2), majority=True)
    files, index = write(tmp_path / "x", {"a": ["7", "5", "7"], "b": ["5", "5", "7"]}, settings)
    kept = [json.loads(line) for line in files["scores.jsonl"].splitlines()]
    assert [(row["item"], row["sample"], row["score"]) for row in kept] == [
        ("a", 0, 1),
        ("a", 1, 0),
        ("a", 2, 1),
        ("b", 0, 0),
        ("b", 1, 0),
        ("b", 2, 1),
    ]
    together = [json.loads(line) for line in files["samples.jsonl"].splitlines()]
    assert [(row["item"], row["measure"], round(row["score"], 4)) for row in together] == [
        ("a", "pass@1", 0.6667),
        ("a", "pass@2", 1.0),
        ("a", "maj@3", 1.0),
        ("b", "pass@1", 0.3333),
        ("b", "pass@2", 0.6667),
        ("b", "maj@3", 0.0),
    ]
    assert (index["items"], index["responses"], index["mean"]) == (2, 6, 0.5)
    assert index["samples"]["pass@2"] == pytest.approx(5 / 6)


def test_one_response_an_item_is_written_as_ever(tmp_path):
    responses = [Response("a", ["q"], ["d"], ["7"], [3], [2], ["stop"])]
    write_response_files(responses, tmp_path)
    write_scores(ExactMatchSettings(), [{"id": "a", "answer": "7"}], tmp_path, tmp_path)
    assert "sample" not in (tmp_path / "scores.jsonl").read_text() + (tmp_path / "responses.jsonl").read_text()
    assert not (tmp_path / "samples.jsonl").exists()

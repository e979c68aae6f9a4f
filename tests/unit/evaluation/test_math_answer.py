"""Mathematical answers: what is equal, and that what a model wrote neither runs nor hangs."""

from pathlib import Path

import pytest

from mixlab.config.benchmarks import load_declaration
from mixlab.config.problems import DataError
from mixlab.config.scorers import MathAnswerSettings
from mixlab.evaluation.reference import check_references
from mixlab.evaluation.scorers.math_answer import score_math_answer
from mixlab.evaluation.scorers.math_equality import DIFFERENT, EQUAL, TOO_LONG, MathEquality, normalise_latex
from mixlab.generation.responses import Response


@pytest.fixture(scope="module")
def equality():
    with MathEquality(workers=1, seconds=20) as compared:
        yield compared


SAME = [
    (r"\frac{1}{2}", "0.5"),
    (r"\frac12", r"\dfrac{1}{2}"),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
    ("x^2+2x+1", "(x+1)^2"),
    ("1,234", "1234"),
    (r"11,\! 111", "11111"),
    (r"90^\circ", "90"),
    (r"10\%", "10"),
    (r"5\text{ cm}", "5"),
    (r"\text{even}", "even"),
    ("5", "x=5"),
    (r"[2,\infty)", r"[2, \infty)"),
    ("12_{8}", "12_8"),
    ("3", "３"),
    (r"\frac{1}{2}", "１／２"),
    (r"1\,000", "1000"),
    ("10 000", "10000"),
    (r"(1\,000, 2)", "(1000,2)"),
    (r"\frac 1 2", r"\frac{1}{2}"),
    ("1 1", r"1 \quad 1"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
]
OTHER = [
    ("3", "4"),
    ("(1,2)", "(2,1)"),
    ("(1,234)", "1234"),
    (r"\text{even}", r"\text{odd}"),
    ("12_8", "12_9"),
    ("3", ""),
    ("11", "1 1"),
    ("27", r"2\ 7"),
    ("27", r"2 \quad 7"),
    ("2", "2, 3"),
    ("3", "__import__('os').system('true')"),
]


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_equal_answers_are_equal_however_they_are_written(equality, reference, answer):
    assert equality.compare_all([(reference, answer)]) == [EQUAL]


@pytest.mark.parametrize(("reference", "answer"), OTHER)
def test_different_answers_are_different(equality, reference, answer):
    assert equality.compare_all([(reference, answer)]) == [DIFFERENT]


def test_what_cannot_be_compared_in_time_is_different_says_so_and_stops_no_other():
    with MathEquality(workers=1, seconds=1.5) as compared:
        compared.compare_all([("1", "2")])
        words = compared.compare_all([("3", "9^{9^{9^{9^9}}}"), (r"\frac{1}{2}", "0.5"), ("3", "1" * 1000)])
    assert words == ["not compared in 1.5 s", EQUAL, TOO_LONG]


def test_nothing_a_model_wrote_is_run_as_python(equality, tmp_path):
    planted = tmp_path / "planted"
    for code in (
        f"open('{planted}', 'w')",
        f"exec(\"open('{planted}', 'w')\")",
        f"[open('{planted}','w') for x in (1,)]",
    ):
        (word,) = equality.compare_all([("1", code)])
        assert word != EQUAL
    assert not Path(planted).exists()


def test_responses_are_scored_and_their_answers_kept():
    items = [{"id": name, "solution": r"Half of it: $\boxed{\frac{1}{2}}$."} for name in "abc"]
    said = [r"So $\boxed{\dfrac12}$.", r"$\boxed{2}$", "I do not know"]
    pairs = [(item, Response(item["id"], ["q"], responses=[text])) for item, text in zip(items, said, strict=True)]
    scores = score_math_answer(MathAnswerSettings(), pairs, workers=1).scores
    assert [(one.score, one.parsed, one.extracted) for one in scores] == [
        (1.0, True, r"\frac12"),
        (0.0, True, "2"),
        (0.0, False, None),
    ]


def test_a_reference_without_a_box_is_an_error_that_names_the_item():
    with pytest.raises(DataError, match=r"item 'a': solution has no \\boxed answer"):
        score_math_answer(MathAnswerSettings(), [({"id": "a", "solution": "3"}, Response("a", ["q"]))], workers=1)


def test_references_of_every_shape_pass_and_plus_one_fails():
    answers = [r"\frac{1}{2}", "12", r"\text{even}", "(1, 2)", r"[2,\infty)", "x^2+1", r"5\text{ cm}", "1, 2", r"\pi"]
    items = [
        {"id": str(at), "problem": "?", "solution": rf"It is $\boxed{{{answer}}}$."}
        for at, answer in enumerate(answers)
    ]
    check = check_references(load_declaration("math"), items)
    assert (check.reference_right, check.spoiled_right, check.holds) == (9, (), True)


def test_a_unit_alone_is_an_answer():
    assert normalise_latex(r"\text{cm}") == "cm"

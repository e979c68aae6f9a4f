"""What counts as the answer of a response: letters, words, short texts and numbers, as models really write them."""

import time

import pytest

from mixlab.config.benchmarks import load_declaration
from mixlab.config.scorers import ExactMatchSettings, LetterChoiceSettings, WordChoiceSettings
from mixlab.evaluation.scorers.exact_match import extract_answer
from mixlab.evaluation.scorers.final_number import extract_number
from mixlab.evaluation.scorers.letter_choice import extract_letter
from mixlab.evaluation.scorers.math_answer import extract_math
from mixlab.evaluation.scorers.python_tests import cut_code
from mixlab.evaluation.scorers.word_choice import extract_word


def scorer(name, kind):
    settings = load_declaration(name).scoring
    assert isinstance(settings, kind)
    return settings


LETTERS = scorer("mmlu", LetterChoiceSettings)
WORDS = scorer("boolq", WordChoiceSettings)
FACTS = scorer("naturalquestions", ExactMatchSettings)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" b.", "B"),
        ("(C)", "C"),
        ("**D**", "D"),
        ("C. Paris", "C"),
        ("Option B", "B"),
        ("The answer is (B).", "B"),
        ("the ANSWER IS: b", "B"),
        ("The correct option is D because A is wrong", "D"),
        ("Answer:\n\nB", "B"),
        ("答えはＢです。", "B"),
        ("答え：Ｃ", "C"),
        ("正解は「A」です", "A"),
        ("答案是B选项", "B"),
        (r"so it is $\boxed{\text{D}}$", "D"),
        ("正解: B", "B"),
        ("正解：Ｂ", "B"),
        ("選択肢B", "B"),
        ("Bが正しい", "B"),
        ("よって「C」が正解です。", "C"),
        ("正答はBです", "B"),
        ("答えはA。選択肢Bは違う", "A"),
        ("選択肢Bは誤り", None),
        ("Bが正しいとは限らない", None),
        ("Bが正しいと思います。Cが正しいと考えます。", None),
        ("The answer is A. No: the answer is C.", "C"),
        ("I think (C) is right", "C"),
        ("A man walks into a bar", None),
        ("The answer is A because B is wrong", "A"),
        ("B is right", "B"),
        ("A and B are wrong. The answer is C", "C"),
        ("The answer is A dog", None),
        ("The answer is a dog", None),
        ("The answer is Cats", None),
        ("The answer is B2", None),
        ("Both (A) and (B) are right", None),
        ("Because", None),
        ("I cannot answer that.", None),
        ("", None),
        (" \n\t ", None),
    ],
)
def test_a_letter_counts_where_it_is_given_as_the_answer_and_not_within_a_word(text, letter):
    assert extract_letter(text, LETTERS.markers) == letter


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Yes", "yes"),
        ("yes, it is.", "yes"),
        ("ＮＯ", "no"),
        ("True", "yes"),
        ("**No**, yes would be wrong", "no"),
        ("It is not known in general, but the answer is no.", "no"),
        ("The passage says no such thing; the answer is: true", "yes"),
        ("The passage says yes", "yes"),
        ("It is neither yes nor no", None),
        ("That is not true.", "no"),
        ("It's not true.", "no"),
        ("It isn’t **true**", "no"),
        ("The answer is: not true", "no"),
        ("The answer isn't yes", "no"),
        ("That is not necessarily false", "yes"),
        ("That is true, not false", "yes"),
        ("I do not know, but the passage says yes", "yes"),
        ("Norway knows", None),
        ("I cannot tell", None),
        ("", None),
        (" \n ", None),
    ],
)
def test_a_word_counts_where_it_is_marked_or_first_or_the_only_one(text, word):
    assert extract_word(WORDS, text) == word


def test_a_negated_word_of_three_is_no_answer():
    words = WordChoiceSettings(words={"yes": ("yes",), "no": ("no",), "maybe": ("maybe",)})
    assert extract_word(words, "the answer is not yes") is None
    assert extract_word(words, "the answer is not yes but maybe") == "maybe"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The Nile", "nile"),
        ("nile.", "nile"),
        ("The answer is the Nile.\nIt flows north.", "nile"),
        ("Answer: Nile", "nile"),
        ("It is the Nile", "it is nile"),
        ("U.S.A.", "usa"),
        ("a  Theme   park", "theme park"),
        ("", ""),
        (" \n ", ""),
        ("the", ""),
    ],
)
def test_short_answers_are_compared_as_squad_does(text, answer):
    assert extract_answer(FACTS, text) == answer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 18 dollars", 18),
        ("#### $1,234", 1234),
        ("#### １８", 18),
        ("答えは３万５千円です", 35000),
        ("I cannot help with that.", None),
        ("", None),
        (" \n ", None),
        ("9" * 5000, None),
        ("#### 7 and then " + "9" * 5000, 7),
    ],
)
def test_a_number_has_units_commas_and_full_width_digits_and_an_endless_one_is_none(text, number):
    assert extract_number(text, ["####", "答えは"], "last_number") == number


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{1} or rather \boxed{2}", "2"),
        (r"$\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\fbox{7}", "7"),
        (r"$\boxed 5$", "5"),
        (r"The answer is $\frac{3}{4}$.", r"\frac{3}{4}"),
        (r"answer is 3. \boxed{4", "3"),
        (r"\boxed{}", None),
        (r"\boxedness{3}", None),
        ("I refuse.", None),
        ("", None),
        (" \n ", None),
    ],
)
def test_a_mathematical_answer_is_the_last_box_else_what_is_marked(text, answer):
    assert extract_math(text, ["answer is"]) == answer


LONG = {
    "digits": "9" * 100_000,
    "number markers": "#### " * 20_000,
    "commas": "1" + ",111" * 25_000,
    "letter markers": "answer is ((((((((( " * 5_000,
    "brackets": "(" * 100_000,
    "open boxes": r"\boxed{" * 14_000,
    "boxes": r"\boxed{1}" * 11_000,
    "a box of boxes": r"\boxed{" + r"\boxed{1}" * 11_000 + "}",
    "braces": "{" * 100_000,
    "ticks": "`" * 100_000,
    "tildes": "~" * 100_000,
    "nots": "not " * 25_000 + "true",
    "fences": "```python\n" * 10_000,
    "spaces": " " * 100_000,
    "lines": "\n" * 100_000,
    "bars": "1/1 " * 25_000,
    "kanji before a minus": "3あ-" * 33_000,
    "superscripts": "²½" * 50_000,
    "yes and no": "yes no " * 14_000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_a_hundred_thousand_characters_take_no_longer_than_reading_them(text):
    code = load_declaration("mbpp").scoring
    begin = time.process_time()
    extract_number(text, ["####", "答えは"], "last_number")
    extract_letter(text, LETTERS.markers)
    extract_word(WORDS, text)
    extract_answer(FACTS, text)
    extract_math(text, ["answer is"])
    cut_code(code, text)
    # what takes quadratic time needs a minute and more
    assert time.process_time() - begin < 5

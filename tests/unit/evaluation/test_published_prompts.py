"""Published judge prompts: which template for which turn and category, filled in to the letter; ratings."""

import json
from pathlib import Path
from typing import Any

import judge_lab
import pytest
from scripted_server import Answer, serve

from mixlab.config.judge_files import (
    FASTCHAT_RATINGS,
    PAIR,
    read_published_pair_prompts,
    read_published_prompts,
)
from mixlab.config.judge_templates import PublishedPairPrompts, PublishedPrompts
from mixlab.config.judging import ModelJudgeConfig, ModelJudgeSettings
from mixlab.config.pairwise import PairJudgeSettings, PairwiseConfig
from mixlab.config.problems import DataError
from mixlab.data.replies import Reply
from mixlab.evaluation.judges.pair_judge import preference_form, render_turns
from mixlab.evaluation.judges.questions import rating_form, read_reply
from mixlab.evaluation.judging import JudgePrompt, render_prompts
from mixlab.evaluation.published_prompts import read_published_rating
from mixlab.generation.responses import Response

LLM_JP = (r"\[\[(10|[1-9])\]\]",)
PROMPTS = PublishedPrompts.model_validate(
    {
        "first": {"system": "one", "template": "{{Q}} {question} | {answer}"},
        "first_with_reference": {"system": "one, math", "template": "{question} | {ref_answer_1} | {answer}"},
        "later": {"system": "two", "template": "{question_1} | {answer_1} | {question_2} | {answer_2}"},
        "later_with_reference": {
            "system": "two, math",
            "template": "{ref_answer_1} | {ref_answer_2} | {answer_1} | {question_2} | {answer_2}",
        },
        "ratings": FASTCHAT_RATINGS,
    }
)
MATH = {"id": "m", "category": "math", "turns": ["1+1?", "and {answer_1}?"], "reference": ["2", "{question}"]}


def settle(prompts: PublishedPrompts = PROMPTS, **changes: Any) -> ModelJudgeSettings:
    files = {"en": {"published": "prompts.jsonl", "format": "fastchat"}}
    given = {"engine": "openai", "model": "tiny", "endpoint": "local", "prompts": files, **changes}
    return ModelJudgeConfig.model_validate(given).with_published({"en": prompts}).to_settings("en")


def render(item: dict[str, Any], *answers: str, settings: ModelJudgeSettings | None = None) -> list[JudgePrompt]:
    response = Response(item["id"], list(item["turns"]), responses=list(answers))
    return list(render_prompts(settings or settle(), (item, response)))


def test_a_question_of_mathematics_is_judged_beside_its_references_and_nothing_is_read_as_a_template() -> None:
    first, second = render(MATH, "{question_1} {0}", "{{}} {ref_answer_1}")
    assert (first.system, first.prompt) == ("one, math", "1+1? | 2 | {question_1} {0}")
    assert second.system == "two, math"
    assert second.prompt == "2 | {question} | {question_1} {0} | and {answer_1}? | {{}} {ref_answer_1}"
    assert [(one.item, one.turn) for one in (first, second)] == [("m", 1), ("m", 2)]


def test_a_reference_of_another_category_is_not_shown() -> None:
    first, second = render({**MATH, "category": "writing"}, "a", "b")
    assert (first.system, first.prompt) == ("one", "{Q} 1+1? | a")
    assert (second.system, second.prompt) == ("two", "1+1? | a | and {answer_1}? | b")


def test_the_study_may_name_other_categories() -> None:
    settings = settle(reference_categories=["writing"])
    assert [one.system for one in render(MATH, "a", "b", settings=settings)] == ["one", "two"]


def test_an_item_without_the_reference_that_its_prompt_shows_is_refused() -> None:
    lone = {name: value for name, value in MATH.items() if name != "reference"}
    with pytest.raises(DataError, match=r"item 'm' has no reference for each turn.*category 'math' shows; join"):
        render(lone, "a", "b")
    with pytest.raises(DataError, match="no reference for each turn"):
        render({**MATH, "reference": ["2", ""]}, "a", "b")


def test_more_turns_than_have_templates_are_refused_unless_first_turns_alone_are_rated() -> None:
    item = {"id": "w", "category": "writing", "turns": ["a?", "b?", "c?"]}
    with pytest.raises(DataError, match=r"item 'w' has 3 turns, but published prompts judge 2;.*`turns: 1`"):
        render(item, "a", "b", "c")
    alone = PROMPTS.model_copy(update={"later": None, "later_with_reference": None})
    assert [one.turn for one in render(item, "a", "b", "c", settings=settle(alone))] == [1]
    assert [one.turn for one in render({**item, "turns": ["a?"]}, "a")] == [1]


@pytest.mark.parametrize(
    ("reply", "rating"),
    [
        ("Good. Rating: [[7]]", 7),
        ("[[8.5]]", 8.5),
        ("[[9.]]", 9),
        # published code takes the first
        ("[[3]] or [[4]]", 3),
        ("[5] is what I say", 5),
        ("[2], or rather [[6]]", 6),
        ("[[rating]]: [4]", 4),
        ("[[11]] [5]", None),
        ("[[0]]", None),
        ("[[05]]", None),
        ("[[５]]", None),
        ("[[ 7 ]]", None),
        ("Rating: 7", None),
        ("", None),
    ],
)
def test_a_rating_is_read_as_fastchat_reads_it_or_not_at_all(reply: str, rating: float | None) -> None:
    assert read_published_rating(FASTCHAT_RATINGS, reply) == rating


@pytest.mark.parametrize(
    ("reply", "rating"), [("[[10]]", 10), ("[[3]] [[4]]", 3), ("[[8.5]]", None), ("[[0]]", None), ("[7]", None)]
)
def test_a_rating_is_read_by_the_regular_expression_of_llm_jp_judge(reply: str, rating: float | None) -> None:
    assert read_published_rating(LLM_JP, reply) == rating


def test_a_group_that_took_no_part_or_holds_no_number_is_no_rating() -> None:
    assert read_published_rating([r"good|(\d)"], "good") is None
    assert read_published_rating([r"Rating: (\w+)"], "Rating: seven") is None


def test_a_long_run_of_digits_is_read_at_once() -> None:
    assert read_published_rating(FASTCHAT_RATINGS, "[" * 2_000 + "1" * 2_000) is None


def test_a_judge_with_published_prompts_reads_replies_by_their_rule_and_thoughts_are_none() -> None:
    form = rating_form(settle())
    assert read_reply(Reply("<think>[[1]]</think> [7]", "stop", 1, 1), form) == 7
    ours = ModelJudgeConfig.model_validate({"engine": "openai", "model": "tiny", "endpoint": "local"})
    assert read_reply(Reply("[7]", "stop", 1, 1), rating_form(ours.to_settings("en"))) is None


@pytest.mark.shared
def test_fastchats_own_file_renders_what_its_code_would(shared_data: Path) -> None:
    folder = shared_data / "benchmarks/mt_bench_en"
    settings = settle(read_published_prompts(folder / "judge_prompts.jsonl", "fastchat", 2))
    lines = map(json.loads, (folder / "reference_answer_gpt-4.jsonl").read_text("utf-8").splitlines())
    references = {line["question_id"]: line["choices"][0]["turns"] for line in lines}
    items = [json.loads(line) for line in (folder / "question.jsonl").read_text("utf-8").splitlines()]
    rendered = {}
    for item in items:
        known = {"reference": references[item["question_id"]]} if item["question_id"] in references else {}
        one = {"id": str(item["question_id"]), "category": item["category"], "turns": item["turns"], **known}
        rendered[item["question_id"]] = render(one, "first {answer}", "second", settings=settings)
    assert len(rendered) == 80
    question, reference = items[111 - 81]["turns"], references[111]
    assert rendered[111][1].prompt == (
        "<|The Start of Reference Answer|>\n\n"
        f"### User:\n{question[0]}\n\n### Reference answer:\n{reference[0]}\n\n"
        f"### User:\n{question[1]}\n\n### Reference answer:\n{reference[1]}\n\n"
        "<|The End of Reference Answer|>\n\n\n"
        "<|The Start of Assistant A's Conversation with User|>\n\n"
        f"### User:\n{question[0]}\n\n### Assistant A:\nfirst {{answer}}\n\n"
        f"### User:\n{question[1]}\n\n### Assistant A:\nsecond\n\n"
        "<|The End of Assistant A's Conversation with User|>"
    )
    with_reference = {name for name, (first, _) in rendered.items() if "Reference Answer" in first.prompt}
    assert with_reference == set(range(101, 131)) == set(references)
    written = items[0]["turns"][0]
    end = "[The Start of Assistant's Answer]\nfirst {answer}\n[The End of Assistant's Answer]"
    assert rendered[81][0].prompt.endswith(f"\n\n[Question]\n{written}\n\n{end}")
    assert rendered[81][0].system == "You are a helpful assistant."


PAIR_PROMPTS = PublishedPairPrompts.model_validate(
    {
        "first": {"system": "one", "template": "{question} | {answer_a} | {answer_b}"},
        "first_with_reference": {"system": "math", "template": "{question} | {ref_answer_1} | {answer_a} | {answer_b}"},
        "later": {
            "system": "two",
            "template": "{question_1} | {question_2} | {answer_a_1} {answer_a_2} | {answer_b_2}",
        },
        "later_with_reference": {
            "system": "two, math",
            "template": "{ref_answer_1} | {ref_answer_2} | {question_2} | {answer_a_2} | {answer_b_1} {answer_b_2}",
        },
    }
)


def settle_pair(prompts: PublishedPairPrompts = PAIR_PROMPTS) -> PairJudgeSettings:
    judge = ModelJudgeConfig.model_validate({"engine": "openai", "model": "tiny", "endpoint": "local"})
    files = {"en": {"published": "prompts.jsonl", "format": "fastchat"}}
    config = PairwiseConfig.model_validate({"comparisons": [{"against": "even"}], "prompts": files})
    return config.with_published({"en": prompts}).to_settings(judge, "en")


def compare(item: dict[str, Any], first: list[str], second: list[str]) -> list[list[tuple[str, str]]]:
    responses = ([Response(item["id"], item["turns"], responses=texts)] for texts in (first, second))
    turns = render_turns(settle_pair(), [item], tuple(responses))  # type: ignore[arg-type]
    return [[(one.system, one.prompt) for one in turn.prompts] for turn in turns]


def test_two_answers_are_compared_by_the_template_of_turn_and_category_in_both_orders() -> None:
    assert compare(MATH, ["a1", "{question}"], ["b1", "b2"]) == [
        [("math", "1+1? | 2 | a1 | b1"), ("math", "1+1? | 2 | b1 | a1")],
        [
            ("two, math", "2 | {question} | and {answer_1}? | {question} | b1 b2"),
            ("two, math", "2 | {question} | and {answer_1}? | b2 | a1 {question}"),
        ],
    ]
    writing = {**MATH, "category": "writing", "turns": ["q1", "q2"]}
    assert compare(writing, ["a1", "a2"], ["b1", "b2"]) == [
        [("one", "q1 | a1 | b1"), ("one", "q1 | b1 | a1")],
        [("two", "q1 | q2 | a1 a2 | b2"), ("two", "q1 | q2 | b1 b2 | a2")],
    ]


def test_a_pair_without_the_reference_that_its_prompt_shows_is_refused() -> None:
    with pytest.raises(DataError, match="item 'm' has no reference for each turn"):
        compare({name: value for name, value in MATH.items() if name != "reference"}, ["a", "b"], ["c", "d"])


@pytest.mark.parametrize(
    ("reply", "said"),
    [("So [[A]]", "A"), ("[[B]]", "B"), ("[[C]]", "C"), ("[[B]], no, [[A]]", "A"), ("[A]", None), ("A", None)],
)
def test_a_preference_is_read_as_fastchat_reads_it(reply: str, said: str | None) -> None:
    assert read_reply(Reply(reply, "stop", 1, 1), preference_form(settle_pair())) == said


@pytest.mark.shared
def test_fastchats_own_pair_templates_are_read_to_the_letter(shared_data: Path) -> None:
    path = shared_data / "benchmarks/mt_bench_en/judge_prompts.jsonl"
    written = {card["name"]: card for card in map(json.loads, path.read_text("utf-8").splitlines())}
    prompts = read_published_pair_prompts(path, "fastchat", 2)
    found = {name: getattr(prompts, ours) for ours, name in PAIR.items()}
    assert {name: (one.system, one.template) for name, one in found.items()} == {
        name: (written[name]["system_prompt"], written[name]["prompt_template"]) for name in PAIR.values()
    }


@pytest.mark.shared
def test_llm_jp_judges_japanese_file_rates_all_questions_and_shows_the_references_of_thirty(shared_data: Path) -> None:
    folder = shared_data / "benchmarks/mt_bench_ja"
    prompts = read_published_prompts(folder / "llm-jp-judge/mt_bench_ja_prompt_v1.yaml", "llm_jp_judge", 2)
    path = folder / "reference_answer_base-gpt4o-with-human-annotation.jsonl"
    answers = {line["question_id"]: line["choices"][0]["turns"] for line in map(json.loads, read_lines(path))}
    shown = []
    for item in map(json.loads, read_lines(folder / "question_full.jsonl")):
        reference = answers[item["question_id"]]
        one = {**item, "id": str(item["question_id"]), "reference": reference}
        first, second = render(one, "a1", "a2", settings=settle(prompts))
        assert item["turns"][0] in first.prompt and item["turns"][1] in second.prompt
        assert (reference[0] in first.prompt) == ("The Start of Reference Answer" in first.prompt)
        shown += [item["category"]] * (reference[1] in second.prompt)
    assert {category: shown.count(category) for category in shown} == {"coding": 10, "math": 10, "reasoning": 10}


def read_lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def test_a_judge_is_sent_the_published_texts_and_its_replies_are_read_as_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_lab, "build_settings", lambda **changes: settle(attempts=1))
    item = {"id": "w", "category": "writing", "turns": ["dialogue 1", "dialogue 2"]}
    with serve(lambda question, count: Answer(f"[{question}], [[{5 + int(question)}]]")) as server:
        verdicts = judge_lab.Lab(tmp_path, server).judge([item], {"w": ["{answer}", "b"]})
        sent = [[(one["role"], one["content"]) for one in request["messages"]] for request in server.requests]
    assert sorted(sent) == [
        [("system", "one"), ("user", "{Q} dialogue 1 | {answer}")],
        [("system", "two"), ("user", "dialogue 1 | {answer} | dialogue 2 | b")],
    ]
    assert [(one["turn"], one["score"], one["parsed"]) for one in verdicts] == [(1, 6, True), (2, 7, True)]

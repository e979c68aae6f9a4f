"""Pairwise judging as a study writes it, and the texts a judge reads that compares."""

from typing import Any

import pytest
from pydantic import ValidationError

from mixlab.config.judging import ModelJudgeConfig
from mixlab.config.pair_prompts import PairPrompts, load_pair_prompts
from mixlab.config.pairwise import PairConfig, PairwiseConfig
from mixlab.config.sources import LANGUAGES

JUDGE = ModelJudgeConfig.model_validate(
    {"engine": "openai", "model": "m", "endpoint": "here", "revision": "abc", "reference_categories": ["math"]}
)


def ours(**changes: str) -> PairPrompts:
    return PairPrompts.model_validate({**load_pair_prompts("en").model_dump(), **changes})


@pytest.mark.parametrize("language", LANGUAGES)
def test_our_own_prompts_ask_for_each_of_the_three_verdicts(language: Any) -> None:
    prompts = load_pair_prompts(language)
    for name in ("first", "first_with_reference", "later", "later_with_reference"):
        text = getattr(prompts, name)
        assert [text.count(form) for form in ("[[A]]", "[[B]]", "[[C]]")] == [1, 1, 1], name


@pytest.mark.parametrize(
    ("section", "old", "new", "told"),
    [
        ("first", "{answer_b}", "", r"first must contain \{answer_b\} exactly once, and has it 0 times"),
        ("first", "{question}", "{question} {question}", r"\{question\} exactly once, and has it 2 times"),
        ("later", "{earlier_a}", "{earlier_b}", r"later must contain \{earlier_a\} exactly once"),
        ("first_with_reference", "</reference>", "", r"set \{reference\} between <reference> and </reference>"),
        ("first", "<answer_a>", "<answer_b>", r"set \{answer_a\} between <answer_a> and </answer_a>"),
        ("exchange", "{answer}", "", r"exchange must contain \{answer\} exactly once"),
    ],
)
def test_prompts_without_their_places_are_refused(section: str, old: str, new: str, told: str) -> None:
    text = getattr(load_pair_prompts("en"), section).replace(old, new)
    with pytest.raises(ValidationError, match=told):
        ours(**{section: text})


def test_a_later_turn_may_show_its_question_in_both_dialogues() -> None:
    later = load_pair_prompts("en").later
    doubled = later.replace("<answer_b>", "<question>\n{question}\n</question>\n<answer_b>")
    assert ours(later=doubled).later.count("{question}") == 2


def test_a_judge_that_compares_is_asked_as_the_one_that_rates() -> None:
    pairwise = PairwiseConfig(comparisons=(PairConfig(against="even"),))
    settings, rating = pairwise.to_settings(JUDGE, "ja"), JUDGE.to_settings("ja")
    assert (settings.label, settings.place, settings.asked()) == (rating.label, rating.place, rating.asked())
    assert settings.reference_categories == ("math",)
    assert settings.prompts == load_pair_prompts("ja")
    assert settings.reminder != rating.reminder


def test_a_language_without_prompts_and_a_point_against_itself_are_told() -> None:
    pairwise = PairwiseConfig(comparisons=(PairConfig(against="even"),), prompts={"en": load_pair_prompts("en")})
    with pytest.raises(ValueError, match=r"pairwise\.prompts has no prompts for 'ja'"):
        pairwise.to_settings(JUDGE, "ja")
    with pytest.raises(ValidationError, match="compares 'even' with itself"):
        PairConfig(against="even", variant="even")
    with pytest.raises(ValidationError, match="at least 1 item"):
        PairwiseConfig(comparisons=())

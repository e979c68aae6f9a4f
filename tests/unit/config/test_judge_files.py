"""Files of published judge prompts: the real ones are read to the letter, a wrong one is told with line and cure."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mixlab.config.judge_files import FASTCHAT_RATINGS, SINGLE, read_published_prompts
from mixlab.config.judge_templates import PublishedPrompts
from mixlab.config.problems import ConfigError

FIRST = {"system_prompt": "S", "prompt_template": "Q {question} A {answer}"}
FIRST_R = {"system_prompt": "S", "prompt_template": "Q {question} R {ref_answer_1} A {answer}"}
LATER = {"system_prompt": "S", "prompt_template": "{question_1} {answer_1} {question_2} {answer_2}"}
LATER_R = {"system_prompt": "S", "prompt_template": "{question_2} {ref_answer_1} {ref_answer_2} {answer_2}"}
TEMPLATES = dict(zip(SINGLE.values(), (FIRST, FIRST_R, LATER, LATER_R), strict=True))
REGEX = r"\[\[(10|[1-9])\]\]"

Write = Callable[[dict[str, Any]], Path]


@pytest.fixture
def fastchat(tmp_path: Path) -> Write:
    def write(changes: dict[str, Any]) -> Path:
        cards = {
            name: {"name": name, "type": "single", **card, "output_format": "[[rating]]", **changes.get(name, {})}
            for name, card in TEMPLATES.items()
        }
        path = tmp_path / "judge_prompts.jsonl"
        path.write_text("".join(json.dumps(card) + "\n" for card in cards.values()), "utf-8")
        return path

    return write


@pytest.fixture
def llm_jp(tmp_path: Path) -> Write:
    def write(changes: dict[str, Any]) -> Path:
        cards = {name: {"regex": REGEX, **card, **changes.get(name, {})} for name, card in TEMPLATES.items()}
        path = tmp_path / "prompts.yaml"
        path.write_text(yaml.safe_dump(cards, sort_keys=False), "utf-8")
        return path

    return write


def texts(prompts: PublishedPrompts) -> dict[str, tuple[str, str]]:
    found = {name: getattr(prompts, ours) for ours, name in SINGLE.items()}
    return {name: (one.system, one.template) for name, one in found.items() if one is not None}


def told(path: Path, form: Any, turns: int = 2) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read_published_prompts(path, form, turns)
    return str(error.value).replace(f"{path}", "FILE").splitlines()


@pytest.mark.shared
def test_fastchats_english_file_is_read_to_the_letter(shared_data: Path) -> None:
    path = shared_data / "benchmarks/mt_bench_en/judge_prompts.jsonl"
    written = {card["name"]: card for card in map(json.loads, path.read_text("utf-8").splitlines())}
    prompts = read_published_prompts(path, "fastchat", 2)
    assert texts(prompts) == {
        name: (written[name]["system_prompt"], written[name]["prompt_template"]) for name in SINGLE.values()
    }
    assert (prompts.ratings, prompts.turns) == (FASTCHAT_RATINGS, 2)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["mt_bench_en/llm-jp-judge/mt_bench_en_prompt_v0", "mt_bench_ja/llm-jp-judge/mt_bench_ja_prompt_v1"]
)
def test_llm_jp_judges_files_are_read_to_the_letter(shared_data: Path, name: str) -> None:
    path = shared_data / f"benchmarks/{name}.yaml"
    written = yaml.safe_load(path.read_text("utf-8"))
    prompts = read_published_prompts(path, "llm_jp_judge", 2)
    assert texts(prompts) == {
        name: (written[name]["system_prompt"], written[name]["prompt_template"]) for name in SINGLE.values()
    }
    assert prompts.ratings == (REGEX,)


@pytest.mark.shared
def test_the_japanese_fastchat_file_rates_first_turns_alone_and_says_so(shared_data: Path) -> None:
    path = shared_data / "benchmarks/mt_bench_ja/judge_ja_prompts.jsonl"
    has = "(templates: single-v1, single-math-v1)"
    cure = "write `turns: 1` to judge first turns alone, or name another file as `published`"
    assert told(path, "fastchat") == [
        f"FILE: single-v1-multi-turn: there is no template 'single-v1-multi-turn' {has}; {cure}",
        f"FILE: single-math-v1-multi-turn: there is no template 'single-math-v1-multi-turn' {has}; {cure}",
    ]
    prompts = read_published_prompts(path, "fastchat", 1)
    assert (list(texts(prompts)), prompts.turns) == (["single-v1", "single-math-v1"], 1)


def test_both_formats_say_the_same(fastchat: Write, llm_jp: Write) -> None:
    one = read_published_prompts(fastchat({}), "fastchat", 2)
    other = read_published_prompts(llm_jp({}), "llm_jp_judge", 2)
    assert one.model_copy(update={"ratings": other.ratings}) == other


def test_only_first_turns_are_rated_where_the_study_says_so(fastchat: Write) -> None:
    prompts = read_published_prompts(fastchat({}), "fastchat", 1)
    assert (prompts.turns, prompts.later, prompts.later_with_reference) == (1, None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt_template": "{question}"}, "prompt_template: lacks {answer}; see the file as it was published"),
        (
            {"prompt_template": "{question} {answer} {refrence}"},
            "prompt_template: has the place {refrence}, which nothing fills in; there are {answer}, {question}; see "
            "the file as it was published",
        ),
        (
            {"prompt_template": "{question} {answer!r}"},
            "prompt_template: has the place {answer!r}, which nothing fills in; there are {answer}, {question}; see "
            "the file as it was published",
        ),
        (
            {"prompt_template": "{question} {answer} }"},
            "prompt_template: is no template (Single '}' encountered in format string); double a brace that is meant "
            "as text: {{ or }}; see the file as it was published",
        ),
        ({"system_prompt": ""}, "system_prompt: must be a text, got ''; see the file as it was published"),
        (
            {"system_prompt": None},
            "system_prompt: must be a text, got nothing (null); see the file as it was published",
        ),
        (
            {"output_format": "[[A]]"},
            "output_format: expected [[rating]] or [[評価]], got '[[A]]': no other is read here",
        ),
        (
            {"prompt_template": "{question} \ud83d {answer}"},
            "prompt_template: holds \\ud83d, half of a surrogate pair, which is no character; write both halves, or "
            "remove it",
        ),
        (
            {"system_prompt": "\ud800"},
            "system_prompt: holds \\ud800, half of a surrogate pair, which is no character; write both halves, or "
            "remove it",
        ),
        ({"type": "pairwise"}, "type: expected single, got 'pairwise'"),
    ],
)
def test_a_wrong_template_of_fastchats_is_told(fastchat: Write, change: dict[str, Any], message: str) -> None:
    assert told(fastchat({"single-v1": change}), "fastchat") == [f"FILE:1: single-v1.{message}"]


def test_every_wrong_template_is_told_at_once(fastchat: Write) -> None:
    changes = {name: {"prompt_template": "nothing"} for name in SINGLE.values()}
    assert [line.split(": ")[1] for line in told(fastchat(changes), "fastchat")] == [
        f"{name}.prompt_template" for name in SINGLE.values()
    ]
    assert len(told(fastchat(changes), "fastchat", 1)) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"name": ', "FILE:5: no JSON (Expecting value); FastChat's file has one object a line"),
        (
            "[]",
            "FILE:5: expected an object with the field `name`, got an empty list; see FastChat's judge_prompts.jsonl",
        ),
        (
            f'{{"name": "other", "count": {"7" * 5000}}}',
            "FILE:5: has a number of more than 4,300 digits, which is not read; FastChat's file has one object a line, "
            "whose fields are texts",
        ),
        (
            "[" * 100_000,
            "FILE:5: nested too deep to be read; FastChat's file has one object a line, whose fields are texts",
        ),
        (
            '{"name": "a\\udc00"}',
            "FILE:5: the field `name` holds \\udc00, half of a surrogate pair, which is no character; write both "
            "halves, or remove it",
        ),
        ('{"name": "single-v1"}', "FILE:5: template 'single-v1' stands on line 1 already; remove one of them"),
    ],
)
def test_a_line_that_is_no_template_is_told(fastchat: Write, line: str, message: str) -> None:
    path = fastchat({})
    path.write_text(f"{path.read_text('utf-8')}{line}\n\n", "utf-8")
    assert told(path, "fastchat") == [message]


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(b"\xff\xfe{")
    assert told(path, "fastchat") == ["FILE: not UTF-8 (invalid start byte); save the file as UTF-8"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"regex": r"\[\[\d+\]\]"},
            "'\\\\[\\\\[\\\\d+\\\\]\\\\]' has no group (in parentheses), which is to be the rating",
        ),
        ({"regex": "(["}, "'([' is no regular expression: unterminated character set at position 1"),
        ({"regex": 5}, "must be a text, got 5"),
    ],
)
def test_a_wrong_regular_expression_is_told(llm_jp: Write, change: dict[str, Any], message: str) -> None:
    lines = told(llm_jp(dict.fromkeys(SINGLE.values(), change)), "llm_jp_judge")
    assert lines[0] == f"FILE:2: single-v1.regex: {message}; see the file as it was published"
    assert len(lines) == 4


def test_templates_whose_ratings_are_read_in_several_ways_are_refused(llm_jp: Write) -> None:
    assert told(llm_jp({"single-math-v1": {"regex": r"Rating: (\d+)"}}), "llm_jp_judge") == [
        "FILE:6: single-math-v1.regex: is another one than that of 'single-v1'; all replies of a judge are read alike"
    ]


def test_a_misspelt_template_is_told_with_its_right_name(tmp_path: Path) -> None:
    path = tmp_path / "prompts.yaml"
    cards = {name.replace("math-v1", "math-v2"): {"regex": REGEX, **card} for name, card in TEMPLATES.items()}
    path.write_text(yaml.safe_dump(cards, sort_keys=False), "utf-8")
    lines = told(path, "llm_jp_judge", 1)
    assert lines[0].startswith(
        "FILE: single-math-v1: there is no template 'single-math-v1'; did you mean 'single-math-v2'?"
    )
    assert lines[0].endswith("; add it, or name another file as `published`")


def test_what_is_no_template_in_a_yaml_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "prompts.yaml"
    path.write_text("single-v1: text\n", "utf-8")
    assert told(path, "llm_jp_judge") == [
        "FILE:1: single-v1: expected a template with regex, prompt_template and system_prompt, got 'text'"
    ]

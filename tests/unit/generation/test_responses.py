"""Prompts, turns and the files of responses, with an engine that only repeats."""

import json

import pytest

from mixlab.config.chat import ChatTemplate
from mixlab.config.generation import Example, PromptSettings
from mixlab.config.problems import DataError
from mixlab.generation.engine import Completion
from mixlab.generation.prompts import is_python, render_full_prompt, repair_python_prompt
from mixlab.generation.responses import read_responses
from mixlab.generation.run import write_responses

PLAIN = PromptSettings(template="Q: {question}\nA:", chat=False)
DIALOGUE = PromptSettings(template="{turn}", turns="turns", chat_template=ChatTemplate())
LOST_BREAK = '\nFIX = """\nAdd more.\n"""def f(s):\n    """Doc."""\n'


class Parrot:
    """Answers `answer N` to its N-th prompt and remembers every prompt."""

    def __init__(self, special_tokens=("<|end|>", "<|user|>", "<|assistant|>")):
        self.prompts, self.seeds, self.special_tokens = [], [], special_tokens

    def find_too_long(self, requests, sampling, *, chat):
        return []

    def generate(self, requests, sampling, *, chat):
        for at, request in enumerate(requests):
            self.prompts.append(request.text)
            self.seeds.append(request.seed)
            yield [(at, Completion(f"answer {len(self.prompts)}", 5, 2, "length"))]


def test_the_models_own_first_answer_stands_in_the_second_turns_prompt(tmp_path):
    parrot = Parrot()
    write_responses(
        parrot, DIALOGUE, [{"id": "a", "turns": ["one?", "two?"]}, {"id": "b", "turns": ["x?"]}], 3, tmp_path
    )
    assert parrot.prompts == [
        "<|user|>one?<|assistant|>",
        "<|user|>x?<|assistant|>",
        "<|user|>one?<|assistant|>answer 1<|end|><|user|>two?<|assistant|>",
    ]
    first, second = read_responses(tmp_path)
    assert (first.responses, first.turn_prompts) == (["answer 1", "answer 3"], ["one?", "two?"])
    assert second.responses == ["answer 2"]
    assert len(set(parrot.seeds)) == 3
    totals = {"items": 2, "truncated": 3, "prompt_too_long": 0, "prompt_tokens": 15, "response_tokens": 6}
    assert json.loads((tmp_path / "index.json").read_text()) == totals


def test_only_the_stated_number_of_items_is_asked(tmp_path):
    parrot = Parrot()
    items = ({"id": str(number), "question": f"q{number}"} for number in range(9))
    write_responses(parrot, PLAIN.model_copy(update={"limit": 2}), items, 0, tmp_path)
    assert parrot.prompts == ["Q: q0\nA:", "Q: q1\nA:"]


def test_worked_examples_and_the_system_message_come_first_in_the_chat_format():
    settings = PromptSettings(
        template="{q}", system="S", examples=(Example(user="u", assistant="a"),), chat_template=ChatTemplate()
    )
    assert (
        render_full_prompt(settings, ["new"], []) == "<|system|>S<|user|>u<|assistant|>a<|end|><|user|>new<|assistant|>"
    )


def test_worked_examples_come_first_in_plain_text():
    settings = PLAIN.model_copy(update={"examples": (Example(user="Q: u\nA:", assistant=" a"),)})
    assert render_full_prompt(settings, ["Q: new\nA:"], []) == "Q: u\nA: a\n\nQ: new\nA:"


def test_every_item_that_cannot_be_asked_is_named(tmp_path):
    items = [{"id": "a"}, {"id": "b", "question": "x"}, {"id": "b", "question": "y"}, {"id": "c", "question": ["z"]}]
    with pytest.raises(DataError) as caught:
        write_responses(Parrot(), PLAIN, items, 0, tmp_path)
    assert [problem.key for problem in caught.value.problems] == ["item 1 (a)", "item 3 (b)", "item 4 (c)"]
    assert not list(tmp_path.iterdir())


def test_an_item_that_writes_a_special_token_is_refused_in_the_chat_format(tmp_path):
    with pytest.raises(DataError, match=r"holds the special token <\|assistant\|> as text"):
        write_responses(Parrot(), DIALOGUE, [{"id": "a", "turns": ["x<|assistant|>yes"]}], 0, tmp_path)


def test_an_item_is_compared_with_the_special_tokens_of_the_tokenizer_in_use(tmp_path):
    foreign = Parrot(special_tokens=("<s>", "<|im_end|>"))
    write_responses(foreign, DIALOGUE, [{"id": "a", "turns": ["what does <|assistant|> mean?"]}], 0, tmp_path)
    assert len(foreign.prompts) == 1
    items = [{"id": "a", "turns": ["x"]}, {"id": "b", "turns": ["x", "<|im_end|>y"]}]
    with pytest.raises(DataError, match=r"item 2 \(b\).* holds the special token <\|im_end\|> as text"):
        write_responses(foreign, DIALOGUE, items, 0, tmp_path)


def test_a_chat_prompt_without_the_studys_template_is_refused():
    with pytest.raises(ValueError, match="with_chat_template"):
        render_full_prompt(PromptSettings(template="{q}"), ["x"], [])


def test_a_damaged_line_of_responses_is_named(tmp_path):
    (tmp_path / "responses.jsonl").write_text('{"item": "a", "turn_prompts": []}\n{"item": 3}\n')
    with pytest.raises(DataError, match=r"responses.jsonl:2: item"):
        read_responses(tmp_path)


def test_the_lost_line_break_is_put_back():
    assert not is_python(LOST_BREAK)
    assert is_python(repair_python_prompt(LOST_BREAK))


@pytest.mark.parametrize("prompt", ['x = """\na\n"""\ndef f():\n    pass\n', "def f(:", 'a\n"""def f(): pass\nb'])
def test_repair_leaves_valid_and_hopeless_prompts_as_they_are(prompt):
    assert repair_python_prompt(prompt) == prompt


def test_prompts_are_repaired_only_where_asked(tmp_path):
    settings = PromptSettings(template="{prompt}", chat=False)
    for repair in (False, True):
        parrot = Parrot()
        changed = settings.model_copy(update={"repair_prompts": repair})
        write_responses(parrot, changed, [{"id": "a", "prompt": LOST_BREAK}], 0, tmp_path)
        assert is_python(parrot.prompts[0]) is repair

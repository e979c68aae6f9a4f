"""Options behind letters, worked examples from another source, and several samples of an item."""

import json

import pytest
from pydantic import ValidationError

from mixlab.config.benchmarks import load_declaration, read_declaration
from mixlab.config.chat import ChatTemplate
from mixlab.config.generation import OptionsSettings, PromptSettings, SamplingSettings, ShotSettings
from mixlab.config.problems import ConfigError, DataError
from mixlab.generation.choices import find_right, list_options, render_options
from mixlab.generation.engine import Completion
from mixlab.generation.responses import read_responses
from mixlab.generation.run import write_responses

LISTED = OptionsSettings(fields=("choices",), answer_as="index")
SHUFFLED = OptionsSettings(fields=("choices",), answer_field="labels", answer_as="marks", shuffle=True)
ITEM = {"id": "a", "subject": "sums", "question": "1 + 1?", "choices": ["1", "2", "3", "4"], "answer": "1"}


class Recorder:
    """Says the seed of each prompt, and remembers the prompts."""

    special_tokens = ("<|end|>", "<|user|>", "<|assistant|>")

    def __init__(self):
        self.prompts = []

    def find_too_long(self, requests, sampling, *, chat):
        return []

    def generate(self, requests, sampling, *, chat):
        self.prompts += [request.text for request in requests]
        yield [(at, Completion(f"{one.seed}/{one.text}", 5, 2, "stop")) for at, one in enumerate(requests)]


def test_options_stand_behind_letters_and_the_reference_is_a_letter_however_it_is_published():
    assert render_options(LISTED, ITEM) == "A. 1\nB. 2\nC. 3\nD. 4"
    assert find_right(LISTED, ITEM) == ["B"]
    fields = OptionsSettings(fields=("A", "B"), answer_field="Answer")
    assert find_right(fields, {"id": "x", "A": "猫", "B": "犬", "Answer": "b"}) == ["B"]


def test_a_shuffle_depends_on_the_item_alone_and_letters_follow_the_options():
    places = set()
    for number in range(40):
        item = {"id": str(number), "choices": ["true", "false", "odd"], "labels": ["1", "0", "0"]}
        shown, right = list_options(SHUFFLED, item), find_right(SHUFFLED, item)
        assert shown == list_options(SHUFFLED, dict(item))
        assert [shown["ABC".index(letter)] for letter in right] == ["true"]
        places.add(right[0])
    assert places == {"A", "B", "C"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answer": "4"}, "names none of its 4 options"),
        ({"answer": "²"}, "names none of its 4 options"),
        ({"answer": ""}, "names none of its 4 options"),
        ({"choices": ["1"]}, "must hold 2 to 26 options"),
        ({"choices": ["x"] * 27}, "must hold 2 to 26 options"),
    ],
)
def test_an_item_whose_reference_is_no_option_is_named(change, words):
    with pytest.raises(DataError, match=f"item 'a': .*{words}"):
        find_right(LISTED, ITEM | change)


MMLU = load_declaration("mmlu").prompt.with_changes(shots=ShotSettings(count=2, by="subject", answer="{letter}"))
CHAT = MMLU.with_chat_template(ChatTemplate())
POOL = [
    ITEM | {"id": f"{subject}{number}", "subject": subject, "question": f"{subject} {number}?", "answer": str(number)}
    for subject in ("sums", "words")
    for number in range(3)
]


def test_the_first_examples_of_the_same_subject_come_before_the_question(tmp_path):
    recorder = Recorder()
    items = [ITEM, ITEM | {"id": "b", "subject": "words", "question": "odd?"}]
    write_responses(recorder, CHAT, items, 0, tmp_path, examples=POOL)
    first, second = recorder.prompts
    shown = [part for part in first.split("<|user|>") if part]
    assert [part.splitlines()[2] for part in shown] == ["sums 0?", "sums 1?", "1 + 1?"]
    assert [part.partition("<|assistant|>")[2] for part in shown] == ["A<|end|>", "B<|end|>", ""]
    assert "words 1?" in second
    assert "sums" not in second


def test_an_item_is_never_its_own_example(tmp_path):
    recorder = Recorder()
    write_responses(recorder, CHAT, [POOL[0]], 0, tmp_path, examples=POOL)
    assert recorder.prompts[0].count("sums 0?") == 1
    assert "sums 2?" in recorder.prompts[0]


def test_a_subject_with_too_few_examples_is_named(tmp_path):
    with pytest.raises(DataError, match="subject songs: has 0 worked examples, but 2 are to be shown"):
        write_responses(Recorder(), CHAT, [ITEM | {"subject": "songs"}], 0, tmp_path, examples=POOL)


def test_an_example_that_cannot_be_shown_is_named(tmp_path):
    pool = [*POOL, ITEM | {"id": "odd", "choices": 3}]
    with pytest.raises(DataError, match=r"item 7 \(odd\).*choices must be"):
        write_responses(Recorder(), CHAT, [ITEM], 0, tmp_path, examples=pool)


SAMPLED = PromptSettings(template="{q}", chat=False, samples=3, sampling=SamplingSettings(temperature=1.0))


def test_samples_of_an_item_have_places_of_their_own_and_the_first_is_what_it_is_alone(tmp_path):
    items = [{"id": name, "q": name} for name in "ab"]
    write_responses(Recorder(), SAMPLED, items, 2, tmp_path)
    responses = read_responses(tmp_path)
    assert [(one.item, one.sample) for one in responses] == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    texts = [one.responses[0] for one in responses]
    assert len(set(texts)) == 6
    assert json.loads((tmp_path / "index.json").read_text())["items"] == 2
    write_responses(Recorder(), SAMPLED.with_changes(samples=1), items, 2, tmp_path)
    assert [one.responses[0] for one in read_responses(tmp_path)] == [texts[0], texts[3]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": 2}, "at temperature 0 .greedy. all would be equal"),
        ({"template": "{turn}", "turns": "t", "samples": 2, "sampling": {"temperature": 1}}, "items of one turn"),
        ({"options": {"fields": ["choices"]}}, "must contain {options}"),
        ({"template": "{options}", "options": {"fields": ["options"]}}, "cannot be called `options`"),
    ],
)
def test_what_makes_no_sense_together_is_refused(change, words):
    with pytest.raises(ValidationError, match=words):
        PromptSettings.model_validate({"template": "{q}"} | change)


def test_worked_examples_of_dialogues_are_a_mistake_of_the_declaration_told_with_its_place(tmp_path):
    path = tmp_path / "chats.yaml"
    declared = load_declaration("mt_bench_en").model_dump(mode="json")
    declared["prompt"]["shots"] = {"count": 1, "answer": "{letter}"}
    path.write_text(json.dumps(declared, indent=1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_declaration(path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.key) == (str(path), "prompt") and problem.line > 1
    assert problem.message == "shots shows items of one turn as worked examples; remove shots or turns"

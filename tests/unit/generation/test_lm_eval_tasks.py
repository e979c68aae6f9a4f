"""What a task of lm-eval asks of our items, and how likely the engine hf finds what it offers."""

import importlib.metadata
import json
import os

import pytest
import torch
from lm_eval_lab import CHOICE_ITEMS, CHOICES, SUM_ITEMS, SUMS, declare, write_task

from mixlab.config.generation import SamplingSettings
from mixlab.config.lm_eval_task import RELEASE
from mixlab.config.problems import ConfigError, DataError
from mixlab.generation.lm_eval_tasks import list_questions

pytest.importorskip("lm_eval", reason="lm_eval is not installed; the extra `lm-eval` brings it")

SAMPLING = SamplingSettings(max_new_tokens=1, long_prompts="refuse")


@pytest.fixture
def ask(tmp_path):
    """Build the questions of a task file."""

    def build(text, items=SUM_ITEMS, examples=(), limit=None, code="", **use):
        write_task(tmp_path / "tasks", text)
        (tmp_path / "tasks/own.py").write_text(code)
        return list_questions(declare(tmp_path, **use).requests, items, examples, limit)

    return build


def test_prompts_are_the_tasks_own_in_the_order_of_the_items(ask):
    asked = ask(SUMS, limit=2)
    assert [(one.item, one.context) for one in asked] == [
        ("0", "Question: 0 + 0?\nAnswer:"),
        ("1", "Question: 1 + 1?\nAnswer:"),
    ]


def test_worked_examples_are_drawn_from_the_other_source_by_the_seed(ask):
    text = SUMS.replace("num_fewshot: 0", "num_fewshot: 2\nfewshot_split: train")
    examples = [{"id": f"e{n}", "question": f"example {n}", "answer": f"#### {n}"} for n in range(20)]
    first, again = ask(text, examples=examples), ask(text, examples=examples)
    assert first == again
    assert first != ask(text, examples=examples, fewshot_seed=7)
    assert all(one.context.count("example") == 2 and "#### " in one.context for one in first)
    assert first[0].context.endswith("Question: 0 + 0?\nAnswer:")


def test_an_item_is_never_its_own_example(ask):
    text = SUMS.replace("num_fewshot: 0", "num_fewshot: 3\nfewshot_split: test")
    for one in ask(text):
        *shown, question = one.context.split("\n\n")
        assert len(shown) == 3
        assert not any(example.startswith(question) for example in shown)


def test_process_docs_may_leave_items_out_and_add_fields(ask):
    code = (
        "def keep(data):\n"
        "    odd = data.filter(lambda doc: int(doc['id']) % 2)\n"
        "    return odd.map(lambda doc: {'question': 'So ' + doc['question']})\n"
    )
    asked = ask(SUMS + "process_docs: !function own.keep\n", code=code)
    assert [one.item for one in asked] == ["1", "3", "5"]
    assert asked[0].context == "Question: So 1 + 1?\nAnswer:"


def test_process_docs_that_drops_our_field_is_taken_by_position_or_refused(ask):
    text = SUMS + "process_docs: !function own.keep\n"
    drop = "data.map(lambda doc: {'question': 'Q', 'answer': 'A'}, remove_columns=data.column_names)"
    asked = ask(text, code=f"def keep(data):\n    return {drop}\n")
    assert [one.item for one in asked] == [item["id"] for item in SUM_ITEMS]
    with pytest.raises(DataError, match="it is not known which item they are of"):
        ask(text, code=f"def keep(data):\n    return {drop}.select([0, 1])\n")


def test_numbers_and_lists_in_json_fields_are_themselves(ask):
    items = [{"id": "a", "question": '{"text": "How many?", "options": ["one", "two"]}', "answer": "2"}]
    text = SUMS.replace("{{question}}", "{{question.text}} {{question.options[1]}} {{answer + 1}}")
    (one,) = ask(text, items, json_fields=["question", "answer"])
    assert one.context == "Question: How many? two 3\nAnswer:"
    with pytest.raises(DataError, match="item a: question is no JSON"):
        ask(text, [{**items[0], "question": "How"}], json_fields=["question", "answer"])


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (("{{question}}", "{{quest}}"), "", r"cannot be built over the items: UndefinedError: 'quest' is undefined"),
        (("num_fewshot: 0", "process_docs: !function own.f"), "def f(data):\n    raise KeyError('gone')\n", "gone"),
        (("num_fewshot: 0", "process_docs: !function own.f"), "import nowhere_to_be_found\n", "cannot be imported"),
        (("num_fewshot: 0", "process_docs: !function own.f"), "x = 1\n", "has no function 'f'"),
        (("num_fewshot: 0", "num_fewshot: 9\nfewshot_split: test"), "", "cannot build its requests"),
    ],
)
def test_what_a_task_stumbles_over_is_told_with_its_cure(ask, change, code, told):
    with pytest.raises((DataError, ConfigError), match=told):
        ask(SUMS.replace(*change), code=code)


def test_a_task_that_lm_eval_brings_runs_with_its_own_code(tmp_path):
    item = {"activity_label": "Cooking", "ctx_a": "A man cooks.", "ctx_b": "he", "label": "1"}
    items = [{"id": "a", **item, "endings": ["eats [step] soup.", "flies.", "sings.", "is a pan."]}]
    made = declare(tmp_path, "hellaswag", include_path=None, category="general", metric="acc_norm")
    (code,) = made.requests.task.code
    assert code.source is None
    assert code.module == "lm_eval.tasks.hellaswag.utils"
    (one,) = list_questions(made.requests, items)
    assert {context for context, _ in one.pairs} == {"Cooking: A man cooks. He"}
    assert [text for _, text in one.pairs] == [" eats soup.", " flies.", " sings.", " is a pan."]
    changed = made.requests.model_copy(
        update={"task": made.requests.task.model_copy(update={"code": (code.model_copy(update={"digest": "0" * 64}),)})}
    )
    with pytest.raises(ConfigError, match="is not the file that was planned; plan again"):
        list_questions(changed, items)


@pytest.mark.shared
def test_lm_evals_own_gsm8k_asks_all_real_items(tmp_path, shared_data):
    lines = (shared_data / "benchmarks/gsm8k/test.jsonl").read_text().splitlines()
    items = [{"id": str(at), **json.loads(line)} for at, line in enumerate(lines)]
    asked = list_questions(declare(tmp_path, "gsm8k", include_path=None, num_fewshot=0).requests, items)
    assert len(asked) == 1319
    assert asked[-1].context == f"Question: {items[-1]['question']}\nAnswer:"


def test_code_of_a_task_reaches_no_network_and_leaves_the_process_as_it_was(ask, monkeypatch):
    import huggingface_hub.constants as hub

    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    code = (
        "import os, datasets\n"
        "def f(data):\n"
        "    assert 'HF_ALLOW_' + 'CODE_EVAL' not in os.environ\n"
        "    return datasets.load_dataset('openai/gsm8k', 'main')\n"
    )
    with pytest.raises(DataError, match=r"(?i)offline"):
        ask(SUMS + "process_docs: !function own.f\n", code=code)
    assert os.environ["HF_ALLOW_CODE_EVAL"] == "1"
    assert hub.HF_HUB_OFFLINE is False


def test_another_release_and_no_items_are_refused(ask, monkeypatch):
    with pytest.raises(DataError, match="there are no items"):
        ask(SUMS, items=[])
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.1")
    with pytest.raises(ConfigError, match=f"lm-eval {RELEASE}, but 0.1 is installed; install it"):
        ask(SUMS)


def test_the_pinned_release_is_the_one_that_is_declared():
    assert importlib.metadata.version("lm_eval") == RELEASE


def weigh(engine, pairs, sampling=SAMPLING):
    rows = engine.encode_pairs(pairs, sampling)
    found = dict(one for batch in engine.weigh(rows) for one in batch)
    return [found[at] for at in range(len(rows))]


def test_likelihoods_are_those_of_the_model_alone_whatever_the_batch(open_tiny):
    engine = open_tiny(4)
    pairs = [("The quick brown", " fox"), ("the lazy dog ", "jumps over"), ("", "the quick"), ("x", " y z")]
    weights = weigh(engine, pairs)
    for (value, is_greedy), row in zip(weights, engine.encode_pairs(pairs, SAMPLING), strict=True):
        with torch.inference_mode():
            logits = engine._model(torch.tensor([row.ids])).logits[0].log_softmax(-1)
        places = range(len(row.ids) - row.continuation, len(row.ids))
        assert value == pytest.approx(sum(logits[at - 1, row.ids[at]].item() for at in places), abs=1e-4)
        assert is_greedy == all(int(logits[at - 1].argmax()) == row.ids[at] for at in places)
    alone = weigh(open_tiny(1), pairs)
    assert [value for value, _ in weights] == pytest.approx([value for value, _ in alone], abs=1e-4)


def test_a_greedy_continuation_is_known_as_such(open_tiny):
    engine = open_tiny(2)
    context = [5, 6, 7]
    written = []
    for _ in range(3):
        with torch.inference_mode():
            written.append(int(engine._model(torch.tensor([context + written])).logits[0, -1].argmax()))
    from mixlab.generation.likelihoods import Weighed

    rows = [Weighed(context + written, 3), Weighed([*context, *written[:2], (written[2] + 1) % 300], 3)]
    found = dict(one for batch in engine.weigh(rows) for one in batch)
    assert (found[0][1], found[1][1]) == (True, False)
    assert found[0][0] > found[1][0]


def test_what_does_not_fit_is_refused_or_cut_at_the_left_and_counted(open_tiny):
    engine = open_tiny(2)
    long = ("brown fox " * 200, "jumps")
    (told,) = engine.encode_pairs([long], SAMPLING)
    assert told.endswith("do not fit the model's 96 positions")
    (cut,) = engine.encode_pairs([long], SamplingSettings(max_new_tokens=1, long_prompts="truncate_left"))
    assert len(cut.ids) == 97
    assert cut.cut_tokens > 0
    assert len(weigh(engine, [long], SamplingSettings(max_new_tokens=1, long_prompts="truncate_left"))) == 1


def test_likelihoods_are_written_and_a_killed_run_asks_for_the_rest_alone(tmp_path, open_tiny):
    from mixlab.generation.likelihoods import write_likelihoods
    from mixlab.generation.responses import read_responses

    write_task(tmp_path / "tasks", CHOICES)
    requests = declare(tmp_path, "colours", json_fields=["right"]).requests
    questions = list_questions(requests, CHOICE_ITEMS)
    assert questions[1].pairs == (("The quick brown ", " lazy dog"), ("The quick brown ", " fox jumps"))
    engine, work = open_tiny(2), tmp_path / "work"
    for folder in (work, tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
    asked = []
    plain = engine.weigh

    def count(rows):
        asked.append(len(rows))
        for batch in plain(rows):
            yield batch
            if len(asked) == 1:
                raise KeyboardInterrupt

    engine.weigh = count
    with pytest.raises(KeyboardInterrupt):
        write_likelihoods(engine, SAMPLING, questions, tmp_path / "one", work)
    facts = write_likelihoods(engine, SAMPLING, questions, tmp_path / "one", work)
    assert asked == [6, 4]
    assert facts == {"resumed": "2 responses kept from a run that ended early"}
    write_likelihoods(open_tiny(2), SAMPLING, questions, tmp_path / "two", None)
    assert (tmp_path / "one/responses.jsonl").read_bytes() == (tmp_path / "two/responses.jsonl").read_bytes()
    responses = read_responses(tmp_path / "one")
    assert [response.item for response in responses] == ["sky", "fox", "dog"]
    for response, question in zip(responses, questions, strict=True):
        best = max(range(2), key=lambda at: response.likelihoods[at][0])
        assert response.responses == [question.pairs[best][1]]
    assert json.loads((tmp_path / "one/index.json").read_text())["items"] == 3

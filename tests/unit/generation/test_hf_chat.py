"""A chat model in memory, tiny and taught on the spot: greedy at first, seeded after, and its labels."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import NO_ANSWER, PROMPT, TAUGHT

from mixlab.config.categories import CATEGORIES
from mixlab.config.labelling import LabellerConfig, LabelSettings
from mixlab.config.problems import DataError
from mixlab.data.labels.labelling import UNPARSABLE, label_records
from mixlab.data.labels.questions import REFUSED
from mixlab.data.records import Message, Record
from mixlab.generation.hf_chat import HfChat, open_chat
from mixlab.generation.labellers import ask_chat
from mixlab.generation.model_folder import digest_model_folder


def open_with(folder: Path, batch: int = 8) -> HfChat:
    return open_chat(folder, "float32", threads=1, batch=batch)


def build_dialogue(text: str) -> list[Message]:
    content = PROMPT["question"].replace("{dialogue}", text)
    return [{"role": "system", "content": PROMPT["system"]}, {"role": "user", "content": content}]


def reply(chat: HfChat, texts: list[str], temperature: float = 0.0, seed: int = 0, tokens: int = 16) -> list[str]:
    dialogues = [build_dialogue(text) for text in texts]
    seeds = [seed] * len(texts)
    coming = chat.reply_all(dialogues, max_tokens=tokens, temperature=temperature, seeds=seeds)
    return [one.text for _, one in sorted(pair for arrived in coming for pair in arrived)]


def test_replies_are_those_the_model_learned_whatever_the_batch(chat_folder: Path) -> None:
    wanted = [f"Category: {category}" for category in TAUGHT.values()]
    assert reply(open_with(chat_folder, 1), [*TAUGHT]) == reply(open_with(chat_folder, 3), [*TAUGHT]) == wanted


def test_a_sampled_reply_repeats_with_its_seed_and_differs_with_another(chat_folder: Path) -> None:
    chat, texts = open_with(chat_folder), [f"a text that nobody taught {number}" for number in range(4)]
    first = reply(chat, texts, temperature=2.0, seed=1)
    assert reply(chat, texts, temperature=2.0, seed=1) == first
    assert reply(chat, texts, temperature=2.0, seed=2) != first


def test_the_end_of_a_reply_and_its_tokens_are_told(chat_folder: Path) -> None:
    dialogue = build_dialogue(next(iter(TAUGHT)))
    (((_, whole),),) = open_with(chat_folder).reply_all([dialogue], max_tokens=16, temperature=0, seeds=[0])
    (((_, cut),),) = open_with(chat_folder).reply_all([dialogue], max_tokens=2, temperature=0, seeds=[0])
    assert (whole.finish_reason, cut.finish_reason, cut.response_tokens) == ("stop", "length", 2)
    assert whole.response_tokens > 2
    assert whole.prompt_tokens == cut.prompt_tokens > 0


def test_a_dialogue_longer_than_the_model_is_refused_and_the_others_are_answered(chat_folder: Path) -> None:
    dialogues = [build_dialogue("x " * 400), build_dialogue("add two and three")]
    coming = open_with(chat_folder).reply_all(dialogues, max_tokens=16, temperature=0, seeds=[0, 0])
    found = dict(pair for arrived in coming for pair in arrived)
    assert (found[0].finish_reason, found[1].text) == (REFUSED, "Category: math")
    assert "do not fit the model's 256 positions" in found[0].text


def test_a_model_without_a_chat_template_is_asked_in_plain_text(chat_folder: Path, tmp_path: Path) -> None:
    for path in chat_folder.iterdir():
        if path.name != "chat_template.jinja":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert len(reply(open_with(tmp_path), ["add two and three"])) == 1


def test_the_model_labels_a_source_and_a_rerun_does_not_ask_it(chat_folder: Path, tmp_path: Path) -> None:
    engine = {"type": "hf", "digest": digest_model_folder(chat_folder), "path": "tiny", "root": "models"}
    config = {"engine": engine, "prompt": PROMPT, "attempts": 2}
    settings = LabellerConfig.model_validate(config).to_settings()
    texts = [*TAUGHT, NO_ANSWER]

    def records() -> Iterator[tuple[int, Record]]:
        yield from ((at, {"messages": [{"role": "user", "content": text}]}) for at, text in enumerate(texts))

    labels = label(settings, records, open_with(chat_folder), tmp_path)
    # the fifth was taught no answer: its second attempt is sampled, and may happen to be one
    assert labels[:4] == [CATEGORIES.index(category) for category in TAUGHT.values()]
    assert labels[4] in (UNPARSABLE, 0, 1, 2, 3)
    assert json.loads((tmp_path / "out0" / "index.json").read_text())["attempts"] == {"1": 4, "2": 1}
    assert label(settings, records, None, tmp_path) == labels


def label(settings: LabelSettings, records: Any, chat: HfChat | None, tmp_path: Path) -> list[int]:
    """Label into a new folder; with None for the model, a question that is asked fails."""
    out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
    out.mkdir()
    assert settings.engine.type == "hf"
    ask = ask_chat(chat, settings.engine) if chat else lambda questions: pytest.fail("was asked")
    label_records(settings, records, 5, ask, tmp_path / "labels.sqlite", out)
    return list(np.load(out / "labels.npy"))


def test_the_digest_of_a_model_folder_is_of_what_it_holds_not_of_where_it_lies(
    chat_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in chat_folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "README.md").write_text("a note")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "lock").write_text("")
    assert digest_model_folder(copy) == digest_model_folder(chat_folder)
    (copy / "chat_template.jinja").write_text("another")
    assert digest_model_folder(copy) != digest_model_folder(chat_folder)


def test_a_folder_that_holds_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        digest_model_folder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="transformers cannot read this model folder"):
        open_with(tmp_path)

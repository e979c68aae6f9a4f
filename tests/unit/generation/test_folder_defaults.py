"""How a model folder wants to be sampled is not obeyed: what is asked for is greedy where the settings say greedy."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_models import PROMPT, TAUGHT, build_random, continue_all

from mixlab.config.engines import HfEngineSettings
from mixlab.config.generation import SamplingSettings
from mixlab.generation.hf import HfEngine, open_engine
from mixlab.generation.hf_chat import HfChat, open_chat
from mixlab.generation.replies import ChatReply
from mixlab.training.models.foreign import ForeignModel
from mixlab.training.models.weights import write_model

PROMPTS = ["hello there", "the quick brown", "x"]
WISHES: dict[str, dict[str, Any]] = {
    "repetition": {"repetition_penalty": 5.0},
    "n-grams": {"no_repeat_ngram_size": 1},
    "beams": {"num_beams": 2},
    "suppressed": {"suppress_tokens": list(range(3, 200)), "min_length": 90},
}
PLACES = ["config.json", "generation_config.json"]


def wish(folder: Path, to: Path, place: str, changes: dict[str, Any]) -> Path:
    """Copy a model folder, with flags of generation in one of its files; the old place counts without the new."""
    shutil.copytree(folder, to)
    if place == "config.json":
        (to / "generation_config.json").unlink()
    found = json.loads((to / place).read_text("utf-8"))
    (to / place).write_text(json.dumps({**found, **changes}), "utf-8")
    return to


def open_plain(model: Path, tokenizer: Path) -> HfEngine:
    return open_engine(model, tokenizer, HfEngineSettings(), threads=1, batch=2)


def respond(engine: HfEngine) -> list[Any]:
    """Greedy and sampled completions, and likelihoods, as tasks of lm-eval ask for them."""
    found = [
        continue_all(engine, PROMPTS, SamplingSettings(max_new_tokens=16, temperature=temperature), 3, chat=False)
        for temperature in (0.0, 1.0)
    ]
    rows = engine.encode_pairs([("the quick", " brown"), ("x", " y")], SamplingSettings())
    return [*found, [one for some in engine.weigh(rows) for one in some]]


def reply(chat: HfChat, tokens: int = 16) -> list[tuple[int, ChatReply]]:
    contents = [PROMPT["question"].replace("{dialogue}", text) for text in TAUGHT]
    dialogues = [
        [{"role": "system", "content": PROMPT["system"]}, {"role": "user", "content": content}] for content in contents
    ]
    seeds = list(range(len(dialogues)))
    return [
        one
        for temperature in (0.0, 1.0)
        for some in chat.reply_all(dialogues, max_tokens=tokens, temperature=temperature, seeds=seeds)  # type: ignore[arg-type]
        for one in some
    ]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", WISHES)
def test_the_engine_hf_obeys_its_settings_alone(
    model_folders: tuple[Path, Path], tmp_path: Path, place: str, name: str
) -> None:
    model, tokenizer = model_folders
    wanted = respond(open_plain(model, tokenizer))
    assert respond(open_plain(wish(model, tmp_path / "model", place, WISHES[name]), tokenizer)) == wanted


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["beams", "suppressed"])
def test_a_chat_model_obeys_what_it_is_asked_with_alone(
    chat_folder: Path, tmp_path: Path, place: str, name: str
) -> None:
    wanted = reply(open_chat(chat_folder, "float32", threads=1, batch=3))
    folder = wish(chat_folder, tmp_path / "model", place, WISHES[name])
    assert reply(open_chat(folder, "float32", threads=1, batch=3)) == wanted


def test_every_token_that_a_chat_folder_says_ends_a_reply_ends_one(chat_folder: Path, tmp_path: Path) -> None:
    plain = open_chat(chat_folder, "float32", threads=1, batch=3)
    colon = plain._tokenizer(":", add_special_tokens=False)["input_ids"][-1]
    ends = {"eos_token_id": [1, colon], "repetition_penalty": 5.0}
    opened = open_chat(
        wish(chat_folder, tmp_path / "model", "generation_config.json", ends), "float32", threads=1, batch=3
    )
    assert [(one.text, one.finish_reason) for _, one in reply(opened)][:4] == [("Category", "stop")] * 4


def test_a_foreign_model_keeps_its_config_when_it_is_written_and_is_greedy_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    build_random(tmp_path / "plain", tmp_path / "tokenizer")
    mistral = {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": None}
    found = []
    for name, changes in (("before", {}), ("penalised", WISHES["repetition"])):
        base = wish(tmp_path / "plain", tmp_path / name, "config.json", mistral | changes)
        out = tmp_path / f"{name}-written"
        out.mkdir()
        write_model(ForeignModel(base), out)
        assert json.loads((out / "config.json").read_text("utf-8")).items() >= changes.items()
        found.append(respond(open_plain(out, tmp_path / "tokenizer")))
    assert found[0] == found[1]

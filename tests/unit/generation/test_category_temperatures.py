"""A temperature for each category of question: every prompt is sampled at its own, and no draw is another for it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_server import Answer, serve
from served_job import build_engine

from mixlab.config.chat import ChatTemplate
from mixlab.config.generation import PromptSettings, SamplingSettings
from mixlab.config.problems import DataError
from mixlab.generation.encoding import PromptEncoder
from mixlab.generation.engine import Completion
from mixlab.generation.responses import read_responses
from mixlab.generation.run import Asking, write_responses
from mixlab.generation.vllm import worker
from mixlab.generation.vllm.engine import VllmEngine

TEMPERATURES = {"writing": 0.9, "math": 0.0, "stem": 0.3}
TEXTS = ("the quick", "over the lazy dog", "猫である", "def f(x):", "the dog", "x")
ITEMS = [
    {"id": str(at), "category": tuple(TEMPERATURES)[at % 3], "turns": [text, f"{text} again"]}
    for at, text in enumerate(TEXTS)
]
TABLE = PromptSettings(
    template="{turn}",
    turns="turns",
    chat_template=ChatTemplate(),
    sampling=SamplingSettings(max_new_tokens=8, category_temperatures=TEMPERATURES),
)


def at(temperature: float) -> PromptSettings:
    return TABLE.model_copy(update={"sampling": TABLE.sampling.at(temperature)})


def answer(engine: Any, settings: PromptSettings, out: Path, seed: int = 7, **asking: Any) -> dict[str, list[str]]:
    out.mkdir()
    write_responses(engine, settings, ITEMS, seed, out, Asking(**asking))
    return {response.item: response.responses for response in read_responses(out)}


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_each_item_is_answered_as_if_all_had_its_temperature(open_tiny: Any, tmp_path: Path, batch: int) -> None:
    found = answer(open_tiny(batch), TABLE, tmp_path / "table")
    alike = {one: answer(open_tiny(16), at(one), tmp_path / str(one)) for one in TEMPERATURES.values()}
    wanted = {item["id"]: alike[TEMPERATURES[str(item["category"])]][str(item["id"])] for item in ITEMS}
    assert found == wanted
    for item in ITEMS:
        texts = {tuple(answers[str(item["id"])]) for answers in alike.values()}
        assert len(texts) > 1, "the temperature would not matter"


def test_another_seed_changes_what_is_sampled_and_nothing_that_is_greedy(open_tiny: Any, tmp_path: Path) -> None:
    one, other = (answer(open_tiny(16), TABLE, tmp_path / str(seed), seed) for seed in (1, 2))
    changed = {item["category"] for item in ITEMS if one[str(item["id"])] != other[str(item["id"])]}
    assert "math" not in changed and "writing" in changed


def test_a_greedy_answer_is_shared_with_a_benchmark_that_is_greedy_throughout(tmp_path: Path) -> None:
    shared: dict[Any, Any] = {}
    engine = Recorder()
    answer(engine, at(0.0), tmp_path / "greedy", greedy=shared)
    asked = len(engine.asked)
    answer(engine, TABLE, tmp_path / "table", greedy=shared)
    assert {temperature for _, temperature in engine.asked[asked:]} == {0.9, 0.3}


class Recorder:
    """Says the same to every prompt, and remembers each with its temperature."""

    special_tokens = ()

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []

    def find_too_long(self, requests: Any, sampling: Any, *, chat: bool) -> list[Any]:
        return []

    def generate(self, requests: Any, sampling: Any, *, chat: bool) -> Iterator[Any]:
        for position, request in enumerate(requests):
            self.asked.append((request.text, request.sampling(sampling).temperature))
            yield [(position, Completion("so", 1, 1, "stop"))]


def test_an_endpoint_is_sent_the_temperature_of_each_prompt(tmp_path: Path) -> None:
    settings = TABLE.model_copy(update={"chat_template": None})
    with serve(lambda question, count: Answer("so")) as server:
        answer(build_engine(server.url), settings, tmp_path / "out")
        sent = {(one["messages"][0]["content"], len(one["messages"])): one for one in server.requests}
    assert len(sent) == 2 * len(ITEMS)
    told = {key: (one["temperature"], one.get("top_p")) for key, one in sent.items()}
    wanted = {}
    for item in ITEMS:
        temperature = TEMPERATURES[str(item["category"])]
        for messages in (1, 3):
            wanted[item["turns"][0], messages] = (temperature, 1.0 if temperature else None)
    assert told == wanted


def test_vllm_is_sent_all_prompts_at_once_each_with_its_temperature(
    model_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    calls: list[tuple[Any, ...]] = []

    def generate(*given: Any) -> Iterator[Any]:
        calls.append(given)
        return iter([[(at, [5], "length") for at in range(len(given[0]))]])

    process = SimpleNamespace(version="0.1", device="cpu", device_name="cpu", generate=generate)
    engine = VllmEngine(process, PromptEncoder(model_folders[1], 96), None)  # type: ignore[arg-type]
    answer(engine, TABLE, tmp_path / "out")
    (rows, shared, own), _ = calls
    assert (len(calls), len(rows)) == (2, len(ITEMS))
    assert not {"temperature", "seed"} & shared.keys()
    assert [one["temperature"] for one in own] == [TEMPERATURES[str(item["category"])] for item in ITEMS]
    assert [("seed" in one) for one in own] == [one["temperature"] > 0 for one in own]


def test_vllms_child_makes_the_sampling_of_each_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[Any] = []
    engine = SimpleNamespace(has_unfinished_requests=lambda: False)
    model = worker.Model()
    model._llm = SimpleNamespace(
        enqueue=lambda prompts, params, use_tqdm: queued.append((prompts, params)), llm_engine=engine
    )
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=lambda **given: given))
    own = [{"temperature": 0.0}, {"temperature": 0.7, "seed": 3}]
    assert list(model.generate([[1], [2]], {"top_p": 1.0}, own)) == []
    ((prompts, params),) = queued
    assert prompts == [{"prompt_token_ids": [1]}, {"prompt_token_ids": [2]}]
    assert params == [{"top_p": 1.0, "temperature": 0.0}, {"top_p": 1.0, "temperature": 0.7, "seed": 3}]


def test_an_item_of_an_unknown_category_or_none_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    engine = Recorder()
    items = [ITEMS[0], {**ITEMS[1], "category": "maths"}, {"id": "x", "turns": ["a"]}]
    with pytest.raises(DataError) as error:
        write_responses(engine, TABLE, items, 1, tmp_path)
    first, second = str(error.value).splitlines()
    assert first == (
        "item 2 (1): category 'maths' has no temperature; did you mean 'math'? (there are: writing, math, stem); mend "
        "the item, or set the benchmark's temperature in the study, which then holds for all items"
    )
    assert second == "item 3 (x): category must be a text, got None"
    assert engine.asked == []

"""The engine vllm with a real vLLM, against transformers' generate. `make vllm` installs it; else these are skipped."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_models import TEXTS, continue_all
from transformers import AutoModelForCausalLM
from vllm_models import LLAMA, Folders, open_vllm, write_random

from mixlab.config.engines import HfEngineSettings
from mixlab.config.generation import SamplingSettings
from mixlab.config.problems import DataError
from mixlab.data.tokens.tokenizer import load_tokenizer
from mixlab.generation.engine import Engine
from mixlab.generation.hf import open_engine as open_hf
from mixlab.generation.vllm.engine import VllmEngine

# one vLLM at a time
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("vllm")]

PROMPTS = [*TEXTS, "", "<|user|>a<|assistant|>", "over the lazy dog " * 3, "x", "the quick brown fox " * 80]
WORDS = [*TEXTS[0].split(), "吾輩", "は", "猫", "である", *TEXTS[2].split(), "while", "a", "cat", "f"]
GREEDY = SamplingSettings(max_new_tokens=64)
SAMPLED = SamplingSettings(max_new_tokens=24, temperature=1.0, top_p=0.9)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return write_random(LLAMA, tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def engine(folders: Folders, vllm_python: Path) -> Iterator[VllmEngine]:
    opened = open_vllm(folders, vllm_python)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def hf(folders: Folders) -> Engine:
    return open_hf(*folders, HfEngineSettings(), threads=1, batch=16)


def find_smallest_gap(folders: Folders, prompts: list[str], answers: list[str]) -> float:
    """How far the second best token was from the best, at the least: a tie would be anybody's choice."""
    model = AutoModelForCausalLM.from_pretrained(folders[0], dtype=torch.float32)
    tokenizer = load_tokenizer(folders[1])
    gaps = []
    for prompt, answer in zip(prompts, answers, strict=True):
        shown, whole = tokenizer.encode(prompt).ids, tokenizer.encode(prompt + answer).ids
        with torch.inference_mode():
            logits_TV = model(torch.tensor([whole])).logits[0, len(shown) - 1 :]
        best = logits_TV.topk(2, dim=-1).values
        gaps.append(float((best[:, 0] - best[:, 1]).min()))
    return min(gaps)


def test_64_greedy_responses_of_64_tokens_equal_those_of_transformers(
    engine: VllmEngine, hf: Engine, folders: Folders
) -> None:
    prompts = [
        " ".join(WORDS[at * (1 + number // 2) % len(WORDS)] for at in range(2 + number % 20)) for number in range(64)
    ]
    ours = continue_all(engine, prompts, GREEDY, 0, chat=True)
    theirs = continue_all(hf, prompts, GREEDY, 0, chat=True)
    # a random model may end early: so many tokens are compared
    gap = find_smallest_gap(folders, prompts, [one.text for one in theirs])
    different = [at for at, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]]
    tokens = sum(one.response_tokens for one in ours)
    print(f"{64 - len(different)} of 64 equal, {tokens} tokens; smallest distance of the best two logits {gap:.2g}")
    assert len({one.text for one in ours}) > 32
    assert tokens > 64 * 32
    assert different == []


@pytest.mark.parametrize("chat", [True, False], ids=["chat", "text"])
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingSettings(max_new_tokens=24),
        SamplingSettings(max_new_tokens=24, stop=tuple("abcdefghij")),
        SamplingSettings(max_new_tokens=24, stop=("猫", "。", "x +")),
        SamplingSettings(max_new_tokens=24, long_prompts="truncate_left"),
        SamplingSettings(max_new_tokens=64, end_tokens=("<|user|>",)),
    ],
    ids=["plain", "stop", "stop_ja", "truncated", "end_tokens"],
)
def test_text_counts_and_finish_reasons_are_those_of_transformers(
    engine: VllmEngine, hf: Engine, sampling: SamplingSettings, chat: bool
) -> None:
    ours = continue_all(engine, PROMPTS, sampling, 0, chat=chat)
    assert ours == continue_all(hf, PROMPTS, sampling, 0, chat=chat)
    assert ("prompt_too_long" in {one.finish_reason for one in ours}) == (sampling.long_prompts == "skip")


def test_the_end_token_ends_a_sampled_response_and_is_counted_but_not_shown(engine: VllmEngine) -> None:
    wild = SamplingSettings(max_new_tokens=24, temperature=2.0)
    completions = continue_all(engine, [f"the {number}" for number in range(200)], wild, 0, chat=True)
    ended = [one for one in completions if one.finish_reason == "stop"]
    assert ended and all(one.response_tokens <= 24 and "<|end|>" not in one.text for one in ended)
    assert any(one.response_tokens < 24 for one in ended)
    assert {one.response_tokens for one in completions if one.finish_reason == "length"} == {24}


def test_sampling_repeats_with_its_seed_alone_or_among_others(engine: VllmEngine) -> None:
    first = continue_all(engine, PROMPTS, SAMPLED, 1, chat=True)
    assert continue_all(engine, PROMPTS, SAMPLED, 1, chat=True) == first
    assert continue_all(engine, PROMPTS, SAMPLED, 2, chat=True) != first
    assert continue_all(engine, PROMPTS[:1], SAMPLED, 1, chat=True) == first[:1]
    one, other = continue_all(engine, ["the quick"] * 2, SAMPLED, 1, chat=True)
    assert one.text != other.text


def test_a_prompt_beyond_the_machines_limit_is_an_error_and_no_result(engine: VllmEngine) -> None:
    engine._longest = 32
    try:
        with pytest.raises(DataError, match=r"need 4\d tokens, machine\.vllm\.max_sequence_tokens allows 32"):
            continue_all(engine, ["猫である" * 3], SamplingSettings(max_new_tokens=24), 0, chat=True)
    finally:
        engine._longest = None


def test_its_provenance_names_version_and_device(engine: VllmEngine) -> None:
    assert engine.facts["engine"].startswith("vllm 0.") and engine.facts["device"] == "cpu"

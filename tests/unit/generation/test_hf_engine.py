"""The engine on transformers, with a tiny random model."""

import json

import pytest
from tiny_models import continue_all
from tokenizers import Tokenizer, models, pre_tokenizers

from mixlab.config.engines import HfEngineSettings
from mixlab.config.generation import SamplingSettings
from mixlab.config.problems import DataError
from mixlab.config.tokenizers import TokenizerSettings
from mixlab.data.tokens.tokenizer import load_tokenizer, train_tokenizer
from mixlab.generation.hf import open_engine
from mixlab.generation.rows import build_batches

PROMPTS = ["the quick", "猫である", "def f(x):", "", "<|user|>a<|assistant|>", "over the lazy dog " * 3, "x", "the dog"]
GREEDY = SamplingSettings(max_new_tokens=24)
SAMPLED = SamplingSettings(max_new_tokens=24, temperature=1.0, top_p=0.9)


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_a_response_does_not_depend_on_the_batch_size(open_tiny, sampling):
    alone = continue_all(open_tiny(1), PROMPTS, sampling, 7, chat=True)
    assert len({completion.text for completion in alone}) > 4
    for batch in (3, 8):
        assert continue_all(open_tiny(batch), PROMPTS, sampling, 7, chat=True) == alone


def test_sampling_repeats_with_its_seed_and_differs_with_another(open_tiny):
    engine = open_tiny(8)
    first = continue_all(engine, PROMPTS, SAMPLED, 1, chat=True)
    assert continue_all(engine, PROMPTS, SAMPLED, 1, chat=True) == first
    assert continue_all(engine, PROMPTS, SAMPLED, 2, chat=True) != first


def test_equal_prompts_are_sampled_apart(open_tiny):
    first, second = continue_all(open_tiny(2), ["the quick"] * 2, SAMPLED, 1, chat=True)
    assert first.text != second.text


def test_a_tiny_nucleus_leaves_only_the_greedy_choice(open_tiny):
    sampled = SamplingSettings(max_new_tokens=24, temperature=1.0, top_p=1e-6)
    engine = open_tiny(8)
    assert continue_all(engine, PROMPTS, sampled, 3, chat=True) == continue_all(engine, PROMPTS, GREEDY, 3, chat=True)


def test_a_stop_string_ends_the_response_before_it(open_tiny):
    engine = open_tiny(4)
    (free,) = continue_all(engine, ["the quick"], GREEDY, 0, chat=True)
    stop = free.text[5:7]
    (cut,) = continue_all(engine, ["the quick"], GREEDY.model_copy(update={"stop": (stop,)}), 0, chat=True)
    assert cut.text == free.text[: free.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert cut.response_tokens < free.response_tokens


def test_a_response_stopped_in_a_batch_counts_the_same_tokens_as_alone(open_tiny):
    stops = SamplingSettings(max_new_tokens=24, stop=tuple("abcdefghij"))
    assert continue_all(open_tiny(8), PROMPTS, stops, 0, chat=True) == continue_all(
        open_tiny(1), PROMPTS, stops, 0, chat=True
    )


def test_a_response_without_an_end_is_said_to_be_cut(open_tiny):
    completions = continue_all(open_tiny(8), PROMPTS, SamplingSettings(max_new_tokens=1), 0, chat=True)
    assert {(one.finish_reason, one.response_tokens) for one in completions} == {("length", 1)}


def test_a_prompt_that_leaves_no_room_is_recorded_and_not_asked(open_tiny):
    completions = continue_all(open_tiny(8), ["the dog", "the quick brown fox " * 40], GREEDY, 0, chat=True)
    assert completions[0].finish_reason != "prompt_too_long"
    assert (completions[1].finish_reason, completions[1].text, completions[1].response_tokens) == (
        "prompt_too_long",
        "",
        0,
    )
    assert completions[1].prompt_tokens > 96 - 24


def test_special_tokens_are_text_where_no_chat_format_is_used(open_tiny):
    engine = open_tiny(1)
    (as_token,) = continue_all(engine, ["<|user|>"], GREEDY, 0, chat=True)
    (as_text,) = continue_all(engine, ["<|user|>"], GREEDY, 0, chat=False)
    assert as_token.prompt_tokens == 1 < as_text.prompt_tokens


def test_the_end_token_ends_a_response_and_is_counted_but_not_shown(open_tiny):
    wild = SamplingSettings(max_new_tokens=24, temperature=5.0)
    completions = continue_all(open_tiny(64), [f"the {number}" for number in range(60)], wild, 0, chat=True)
    ended = [one for one in completions if one.finish_reason == "stop"]
    assert ended and all(one.response_tokens <= 24 and "<|end|>" not in one.text for one in ended)
    assert any(one.response_tokens < 24 for one in ended)
    assert {one.response_tokens for one in completions if one.finish_reason == "length"} == {24}


def test_a_tokenizer_larger_than_the_model_is_refused(model_folders, tmp_path):
    train_tokenizer(TokenizerSettings(vocab_size=400), [[{"text": "some quite other words " * 9}, *_texts()]], tmp_path)
    assert load_tokenizer(tmp_path).get_vocab_size() > 300
    with pytest.raises(DataError, match="but the model only 300"):
        open_engine(model_folders[0], tmp_path, HfEngineSettings(), threads=1, batch=1)


def test_an_engine_names_the_special_tokens_of_its_tokenizer_file(model_folders, tmp_path):
    words = Tokenizer(models.BPE({symbol: at for at, symbol in enumerate(pre_tokenizers.ByteLevel.alphabet())}, []))
    words.add_tokens(["word"])
    words.add_special_tokens(["<s>", "<|im_end|>"])
    words.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "index.json").write_text(json.dumps({"end_token": "<|im_end|>", "pad_token": "<|im_end|>"}))
    engine = open_engine(model_folders[0], tmp_path, HfEngineSettings(), threads=1, batch=1)
    assert list(engine.special_tokens) == ["<s>", "<|im_end|>"]


def _texts():
    return [{"text": f"word{a}{b} other{b}{a} " * 4} for a in "abcdefgh" for b in "stuvwxyz"]


def test_batches_hold_prompts_of_like_length_and_every_prompt_once():
    assert build_batches([5, 1, 9, 2, 2], 2) == [[1, 3], [4, 0], [2]]

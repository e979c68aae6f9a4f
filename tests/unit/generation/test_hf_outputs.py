"""What a model may write that is no answer, prompts that do not fit, and what ends a response; the engine `hf`."""

import json
import time

import pytest
from tiny_models import build_constant, continue_all
from tokenizers import Tokenizer, models, pre_tokenizers

from mixlab.config.engines import HfEngineSettings
from mixlab.config.generation import PromptSettings, SamplingSettings
from mixlab.config.problems import DataError
from mixlab.generation.engine import Request
from mixlab.generation.hf import open_engine
from mixlab.generation.responses import read_responses
from mixlab.generation.rows import count_until_stop, cut_at_stop
from mixlab.generation.run import Asking, write_responses

GREEDY = SamplingSettings(max_new_tokens=24)
LONG = "the quick brown fox " * 40


@pytest.fixture
def open_constant(tmp_path):
    """Open a model that writes one token for ever."""

    def open_with(token, positions=96):
        build_constant(tmp_path / "model", tmp_path / "tokenizer", token, positions)
        return open_engine(tmp_path / "model", tmp_path / "tokenizer", HfEngineSettings(), threads=1, batch=2)

    (tmp_path / "tokenizer").mkdir()
    return open_with


@pytest.mark.parametrize(
    ("token", "text", "reason", "tokens", "blank"),
    [
        ("Ġ", " " * 24, "length", 24, 3),
        ("Ċ", "\n" * 24, "length", 24, 3),
        ("<|end|>", "", "stop", 1, 3),
        ("<|pad|>", "", "length", 24, 3),
        ("<|user|>", "", "length", 24, 3),
        ("x", "x" * 24, "length", 24, None),
    ],
    ids=["blanks", "line breaks", "end of text", "padding", "a special token", "a letter"],
)
def test_a_model_that_writes_one_token_for_ever_is_recorded(
    open_constant, tmp_path, token, text, reason, tokens, blank
):
    items = [{"id": str(number), "q": "the dog " * number} for number in range(1, 4)]
    settings = PromptSettings(template="{q}", chat=False, sampling=GREEDY)
    write_responses(open_constant(token), settings, items, 0, tmp_path)
    found = read_responses(tmp_path)
    assert {(one.responses[0], one.finish_reasons[0], one.response_tokens[0]) for one in found} == {
        (text, reason, tokens)
    }
    index = json.loads((tmp_path / "index.json").read_text())
    assert (index.get("blank"), index["truncated"]) == (blank, 3 if reason == "length" else 0)


def test_twice_as_many_tokens_take_about_twice_as_long(open_constant):
    engine = open_constant("x", positions=4096)
    stop = SamplingSettings(max_new_tokens=1, stop=("never",))
    seconds = {}
    for tokens in (150, 600):
        begun = time.process_time()
        (one,) = continue_all(engine, ["the dog"], stop.model_copy(update={"max_new_tokens": tokens}), 0, chat=False)
        seconds[tokens] = time.process_time() - begun
        assert one.text == "x" * tokens
    assert seconds[600] < 4 * 3 * seconds[150]


def test_the_end_of_a_stopped_row_is_found_with_few_decodings_of_100_000_tokens():
    decoded = []

    def decode(ids):
        decoded.append(len(ids))
        return "".join("?" if token else "" for token in ids)

    written = [1] * 7 + [0] * 100_000
    assert count_until_stop(written, 0, ["???????"], decode) == 7
    assert len(decoded) <= 20
    assert cut_at_stop("a" * 100_000 + "END", ["END", "nowhere"]) == ("a" * 100_000, True)


def test_a_row_that_padding_with_the_end_token_fills_up_counts_its_own_tokens(model_folders, tmp_path):
    """With one token for both, what stands behind a stop string looks like an end that the model wrote."""
    words = Tokenizer(models.BPE({symbol: at for at, symbol in enumerate(pre_tokenizers.ByteLevel.alphabet())}, []))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.add_special_tokens(["<|im_end|>"])
    words.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "index.json").write_text(json.dumps({"end_token": "<|im_end|>", "pad_token": "<|im_end|>"}))
    stops = SamplingSettings(max_new_tokens=40, stop=tuple("abcdefghijklmnop"))
    prompts = ["the dog", "x", "a fox", "jumps over", "lazy", "0123"]
    alone, together = (
        continue_all(
            open_engine(model_folders[0], tmp_path, HfEngineSettings(), threads=1, batch=batch),
            prompts,
            stops,
            0,
            chat=False,
        )
        for batch in (1, 6)
    )
    assert together == alone
    assert len({one.response_tokens for one in alone if one.finish_reason == "stop"}) > 1


def test_a_prompt_that_is_cut_at_the_left_is_answered_as_its_end_would_be(open_tiny, tmp_path):
    engine = open_tiny(2)
    cutting = GREEDY.model_copy(update={"long_prompts": "truncate_left"})
    items = [{"id": "short", "q": "the dog"}, {"id": "long", "q": LONG}]
    write_responses(engine, PromptSettings(template="{q}", chat=False, sampling=cutting), items, 0, tmp_path)
    short, long = read_responses(tmp_path)
    assert (short.cut_tokens, long.prompt_tokens) == ([], [96 - 24])
    assert long.cut_tokens[0] > 0
    assert json.loads((tmp_path / "index.json").read_text())["prompts_cut"] == 1
    (kept,) = engine._encoder.encode([Request(LONG, 0)], cutting, chat=False)
    (tail,) = continue_all(engine, [engine._encoder.decode(kept.ids)], GREEDY, 0, chat=False)
    assert (tail.text, tail.prompt_tokens) == (long.responses[0], 96 - 24)


def test_long_prompts_are_refused_by_name_before_anything_is_generated(open_tiny, tmp_path):
    refusing = GREEDY.model_copy(update={"long_prompts": "refuse"})
    items = [{"id": "short", "q": "the dog"}, {"id": "long", "q": LONG}]
    settings = PromptSettings(template="{q}", chat=False, sampling=refusing)
    (tmp_path / "work").mkdir()
    with pytest.raises(
        DataError, match=r"item long, turn 1: \d+ tokens and max_new_tokens 24 do not fit .* 96 positions"
    ):
        write_responses(open_tiny(2), settings, items, 0, tmp_path, Asking(tmp_path / "work"))
    assert list((tmp_path / "work").iterdir()) == []
    write_responses(open_tiny(2), settings, items[:1], 0, tmp_path)
    assert len(read_responses(tmp_path)) == 1


def test_a_model_without_room_for_any_prompt_skips_them_even_where_prompts_are_cut(open_tiny):
    cutting = SamplingSettings(max_new_tokens=96, long_prompts="truncate_left")
    (one,) = continue_all(open_tiny(2), ["the dog"], cutting, 0, chat=False)
    assert one.finish_reason == "prompt_too_long"


def test_further_end_tokens_end_a_response_and_unknown_ones_are_refused(open_constant):
    engine = open_constant("<|user|>")
    ends = SamplingSettings(max_new_tokens=24, end_tokens=("<|user|>",))
    (one,) = continue_all(engine, ["the dog"], ends, 0, chat=False)
    assert (one.text, one.finish_reason, one.response_tokens) == ("", "stop", 1)
    with pytest.raises(DataError, match=r"end_tokens: the tokenizer has no token '<.eot.>'"):
        continue_all(engine, ["x"], SamplingSettings(end_tokens=("<|eot|>",)), 0, chat=False)


def test_a_killed_benchmark_goes_on_with_the_batches_that_are_missing(open_tiny, tmp_path):
    items = [{"id": str(number), "q": "the dog " * (number % 5 + 1) + str(number)} for number in range(10)]
    sampled = SamplingSettings(max_new_tokens=12, temperature=1.0)
    settings = PromptSettings(template="{q}", chat=False, sampling=sampled)
    engine = open_tiny(3)
    for name in ("whole", "killed", "work", "resumed"):
        (tmp_path / name).mkdir()
    write_responses(engine, settings, items, 5, tmp_path / "whole")

    class Dying:
        special_tokens = engine.special_tokens

        def generate(self, requests, sampling, *, chat):
            for number, finished in enumerate(engine.generate(requests, sampling, chat=chat)):
                if number == 2:
                    raise KeyboardInterrupt
                yield finished

    with pytest.raises(KeyboardInterrupt):
        write_responses(Dying(), settings, items, 5, tmp_path / "killed", Asking(tmp_path / "work"))
    facts = write_responses(engine, settings, items, 5, tmp_path / "resumed", Asking(tmp_path / "work"))
    assert facts["resumed"].startswith("6 responses")
    whole, resumed = ((tmp_path / name / "responses.jsonl").read_bytes() for name in ("whole", "resumed"))
    assert whole == resumed


def test_float32_is_measured_not_to_depend_on_the_batch(open_tiny, tmp_path):
    items = [{"id": str(number), "q": "the dog " * (number % 7 + 1) + str(number)} for number in range(16)]
    settings = PromptSettings(template="{q}", chat=False, sampling=GREEDY)
    facts = write_responses(open_tiny(16), settings, items, 0, tmp_path, Asking(measures_dependence=True))
    assert facts == {"batch_dependence": "0 of 8 responses differ within 24 tokens when generated alone"}

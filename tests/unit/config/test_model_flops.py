"""The formula of training's cost, beside torch's own counter on our model and beside published sizes."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mixlab.config.model_flops import (
    DecoderShape,
    LoraShape,
    build_decoder_shape,
    count_adapter_parameters,
    count_parameters,
    count_training_flops,
    parse_decoder_shape,
)
from mixlab.config.models import ModelSettings
from mixlab.training.models.llama import Llama
from mixlab.training.models.shape import build_shape

VOCABULARY, WINDOWS, LENGTH = 101, 3, 16
QWEN = {
    "model_type": "qwen2",
    "vocab_size": 151936,
    "hidden_size": 1536,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "intermediate_size": 8960,
    "tie_word_embeddings": True,
}
"""Table 6 of the paper, by the names of Hugging Face's config.json."""


def make_settings(kv_heads: int | None, tied: bool) -> ModelSettings:
    return ModelSettings(
        hidden_size=32, layers=2, heads=4, kv_heads=kv_heads, feed_forward=48, tie_embeddings=tied, max_positions=64
    )


def count_really(settings: ModelSettings, every: int, frozen: bool = False) -> int:
    """Operations of forward and backward as torch counts them; every so many tokens pass the head.

    Attention runs as plain matrix products: the counter knows no fused kernel of the CPU. Its mask is dense, so that
    each token is multiplied with all of its window, those after it included.
    """
    model = Llama(build_shape(settings, VOCABULARY, 0, 1))
    model.requires_grad_(not frozen)
    if frozen:  # as peft does for adapters: what enters the first layer asks for a gradient
        model.model.embed_tokens.register_forward_hook(lambda _m, _i, out: out.requires_grad_())
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(0.01)
    tokens_BT = torch.arange(WINDOWS * LENGTH).view(WINDOWS, LENGTH) % VOCABULARY
    positions_BT = torch.arange(LENGTH).expand(WINDOWS, LENGTH)
    rows_N = torch.arange(0, WINDOWS * LENGTH, every)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(tokens_BT, torch.zeros_like(tokens_BT), positions_BT, rows_N).sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [None, 2, 1])
@pytest.mark.parametrize("every", [1, 3])
def test_the_formula_is_what_torch_counts_on_our_model(kv_heads: int | None, tied: bool, every: int) -> None:
    settings = make_settings(kv_heads, tied)
    shape = build_decoder_shape(settings, VOCABULARY)
    dense = 2 * WINDOWS * LENGTH**2  # the formula takes half of it
    counted = count_training_flops(shape, WINDOWS * LENGTH, dense, head_tokens=math.ceil(WINDOWS * LENGTH / every))
    assert counted == count_really(settings, every)


def test_frozen_weights_cost_their_forward_pass_and_the_gradient_of_their_inputs() -> None:
    settings = make_settings(2, tied=False)
    shape = build_decoder_shape(settings, VOCABULARY)
    dense = 2 * WINDOWS * LENGTH**2
    without = count_training_flops(shape, WINDOWS * LENGTH, dense, lora=LoraShape(8, ()))
    assert without == count_really(settings, 1, frozen=True)
    adapted = count_training_flops(shape, WINDOWS * LENGTH, dense, lora=LoraShape(8, ("q_proj", "down_proj")))
    adapters = 2 * 8 * ((32 + 32) + (48 + 32))
    assert count_adapter_parameters(shape, LoraShape(8, ("q_proj", "down_proj"))) == adapters
    assert adapted - without == 6 * adapters * WINDOWS * LENGTH


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_those_of_our_model(tied: bool) -> None:
    settings = make_settings(2, tied)
    model = Llama(build_shape(settings, VOCABULARY, 0, 1))
    counted = count_parameters(build_decoder_shape(settings, VOCABULARY))
    assert counted.total == counted.active == sum(weight.numel() for weight in model.parameters())
    embedding = VOCABULARY * 32
    assert counted.without_embeddings == counted.total - (1 if tied else 2) * embedding
    assert counted.without_embedding_lookup == counted.without_embeddings + embedding


def test_a_published_config_has_its_published_size() -> None:
    """Its page says 1.54 B parameters, 1.31 B of them not embeddings; queries, keys and values have biases."""
    shape = parse_decoder_shape(QWEN)
    counted = count_parameters(shape)
    assert counted.total == 1_543_714_304
    assert round(counted.without_embeddings / 1e9, 2) == 1.31
    assert counted.total - count_parameters(replace(shape, query_key_value_bias=False)).total == 28 * (12 + 4) * 128


@pytest.mark.parametrize(("kind", "kv_heads"), [("llama", 32), ("mistral", 8), ("qwen2", 32)])
def test_a_config_that_names_no_key_heads_has_those_of_transformers(kind: str, kv_heads: int) -> None:
    named = {**QWEN, "model_type": kind, "num_attention_heads": 32}
    assert parse_decoder_shape({**named, "num_key_value_heads": None}).kv_heads == 32
    del named["num_key_value_heads"]
    assert parse_decoder_shape(named).kv_heads == kv_heads


def test_a_token_pays_for_the_experts_that_it_passes() -> None:
    dense = DecoderShape(100, 16, 3, 4, 4, 4, 24, tie_embeddings=True)
    sparse = replace(dense, experts=8, active_experts=2)
    blocks, router = 3 * 3 * 16 * 24, 3 * 16 * 8
    counted = count_parameters(sparse)
    assert counted.total - count_parameters(dense).total == 7 * blocks + router
    assert counted.active - count_parameters(dense).total == blocks + router
    more = count_training_flops(sparse, 10, 100) - count_training_flops(dense, 10, 100)
    assert more == 6 * 10 * (blocks + router)


def test_the_formula_is_the_papers_with_attention_halved() -> None:
    """PaLM's appendix B: 6 N + 12 L H Q T a token, over a window of T tokens."""
    shape = parse_decoder_shape(QWEN)
    tokens = 8192
    weights = count_parameters(shape).active_projections + 151936 * 1536
    palm = tokens * (6 * weights + 12 * 28 * 12 * 128 * tokens)
    assert count_training_flops(shape, tokens, 2 * tokens**2) == palm
    assert count_training_flops(shape, tokens, tokens**2) == palm - tokens * 6 * 28 * 12 * 128 * tokens


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model_type": "gpt2"}, "gpt2"),
        ({"num_experts": 4}, "experts"),
        ({"hidden_size": None}, "hidden_size"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"head_dim": "128"}, "head_dim"),
    ],
)
def test_a_config_that_the_formula_does_not_fit_is_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse_decoder_shape({**QWEN, **change})

import json
from dataclasses import replace

import pytest
import torch
from training_fakes import VOCAB, FakeWindows, small_model

from mixlab.config.problems import DataError
from mixlab.training.loading.batches import load_batch
from mixlab.training.models.llama import find_frequencies
from mixlab.training.models.shape import read_shape
from mixlab.training.models.weights import build_model, named_weights, open_model, read_model, write_model


def logits_of(model, tokens_T):
    """All logits of one document by itself."""
    length = len(tokens_T)
    zeros, places = torch.zeros(1, length, dtype=torch.long), torch.arange(length)
    return model(torch.as_tensor(tokens_T, dtype=torch.long)[None], zeros, places[None], places)


SCALED = {"factor": 8.0, "low_frequency_factor": 1.0, "high_frequency_factor": 4.0, "original_positions": 16}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_embeddings": False, "kv_heads": 1, "rope_theta": 500.0},
        {"head_size": 12, "rope_scaling": SCALED, "rope_theta": 100.0, "vocabulary_multiple": 16},
        {"architecture": "qwen2", "kv_heads": 1, "rope_theta": 500.0},
        {"architecture": "qwen2", "tie_embeddings": False, "rope_scaling": SCALED, "head_size": 12},
    ],
)
def test_logits_equal_those_of_transformers_on_the_saved_folder(tmp_path, changes):
    from transformers import AutoModelForCausalLM

    model = build_model(small_model(**changes), seed=3)
    with torch.no_grad():
        for weight in named_weights(model).values():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(5)))
    write_model(model, tmp_path)
    theirs, told = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert type(theirs).__name__ == {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}[model.shape.family]
    assert not told["missing_keys"] | told["unexpected_keys"]
    assert read_shape(tmp_path) == model.shape
    tokens = torch.randint(0, VOCAB, (19,), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(logits_of(model, tokens), theirs(tokens[None]).logits[0], atol=1e-5, rtol=1e-5)
    assert theirs.config.eos_token_id == 1
    assert theirs.config.pad_token_id == 0


def test_documents_of_a_padded_batch_equal_forward_passes_of_each_document_alone():
    model, windows = build_model(small_model(), seed=3), FakeWindows(count=3)
    micro = load_batch(windows, [0, 1, 2], 3, "all", VOCAB).micro[0]
    rows = torch.arange(micro.tokens_BT.numel())
    packed = model(micro.tokens_BT, micro.documents_BT, micro.positions_BT, rows)
    packed_BTV = packed.view(*micro.tokens_BT.shape, -1)
    for row, window in enumerate(windows.windows):
        start = 0
        for length in window.segment_lengths:
            alone = logits_of(model, window.tokens_T[start : start + length])
            torch.testing.assert_close(packed_BTV[row, start : start + length], alone, atol=1e-5, rtol=1e-5)
            start += length


def test_logits_see_other_documents_of_the_window_only_where_attention_goes_across():
    model, windows = build_model(small_model(), seed=3), FakeWindows(count=1)
    window = windows.windows[0]
    first, length = window.segment_lengths[0], len(window.tokens_T)
    logits = {}
    for attention in ("isolated", "across"):
        for name, change in (("as it is", 0), ("another first token", 1)):
            tokens_T = window.tokens_T.copy()
            tokens_T[0] = (tokens_T[0] + change) % VOCAB
            windows.windows = [replace(window, tokens_T=tokens_T)]
            micro = load_batch(windows, [0], 1, "all", VOCAB, attention).micro[0]
            with torch.no_grad():
                logits[attention, name] = model(
                    micro.tokens_BT, micro.documents_BT, micro.positions_BT, torch.arange(length)
                )
    for attention in ("isolated", "across"):
        before, after = logits[attention, "as it is"], logits[attention, "another first token"]
        same = torch.isclose(before, after, atol=1e-6).all(dim=1)
        assert not same[:first].any()
        assert same[first:].all() == (attention == "isolated")
    whole = logits_of(model, window.tokens_T)
    torch.testing.assert_close(logits["across", "as it is"], whole, atol=1e-5, rtol=1e-5)


def test_a_seed_is_a_model_and_leaves_torchs_own_generator_alone():
    before = torch.random.get_rng_state()
    first, again, other = (build_model(small_model(), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, weight in named_weights(first).items():
        assert torch.equal(weight, named_weights(again)[name])
        assert weight.dim() == 1 or not torch.equal(weight, named_weights(other)[name])


def test_weights_begin_with_the_deviations_that_are_written():
    init = {"embedding_std": 0.1, "projection_scale": 1.0, "output_projection_scale": 0.3}
    weights = named_weights(build_model(small_model(hidden_size=64, feed_forward=128, init=init), seed=0))
    spread = {name: float(weight.detach().std()) for name, weight in weights.items() if weight.dim() == 2}
    assert spread["model.embed_tokens.weight"] == pytest.approx(0.1, rel=0.05)
    assert spread["model.layers.0.self_attn.q_proj.weight"] == pytest.approx(1 / 8, rel=0.05)
    assert spread["model.layers.1.mlp.down_proj.weight"] == pytest.approx(0.3 / 8, rel=0.05)
    assert spread["model.layers.1.self_attn.o_proj.weight"] == pytest.approx(0.3 / 8, rel=0.05)


def test_a_model_written_read_and_written_again_has_the_same_bytes(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    write_model(open_model(small_model(), seed=4), first)
    write_model(open_model(first, seed=99), second)
    for name in ("config.json", "model.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_every_weight_that_does_not_fit_the_config_is_named(tmp_path):
    write_model(build_model(small_model(), seed=4), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"num_hidden_layers": 1, "intermediate_size": 25}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError) as caught:
        read_model(tmp_path)
    problems = {problem.key: problem.message for problem in caught.value.problems}
    assert "unknown" in problems["model.layers.1.mlp.up_proj.weight"]
    assert "(24, 16)" in problems["model.layers.0.mlp.up_proj.weight"]


def test_a_stretched_rope_turns_long_waves_slower_and_leaves_short_ones():
    plain, stretched = (
        find_frequencies(build_model(small_model(rope_scaling=one), seed=3).shape) for one in (None, SCALED)
    )
    # head size 8: wavelengths of 6.3, 63, 628 and 6,283 tokens, the first 16 positions: stretched beyond 16
    ratio = plain / stretched
    assert ratio[-1] == pytest.approx(8.0)
    assert ratio[-2] == pytest.approx(8.0)
    assert 1.0 < ratio[0] < 8.0


def test_a_model_cast_to_bfloat16_turns_by_the_same_angles():
    model = build_model(small_model(), seed=3)
    plan = model._plan(torch.zeros(1, 64, dtype=torch.long), torch.arange(64)[None])
    cast = build_model(small_model(), seed=3).bfloat16()._plan(torch.zeros(1, 64).long(), torch.arange(64)[None])
    assert torch.equal(plan.cos_B1TS, cast.cos_B1TS)
    assert plan.cos_B1TS.dtype == torch.float32


def test_biases_begin_at_zero_and_are_on_queries_keys_and_values_alone():
    weights = named_weights(build_model(small_model(architecture="qwen2"), seed=3))
    biases = {name.split(".")[-2]: weight for name, weight in weights.items() if name.endswith(".bias")}
    assert sorted(biases) == ["k_proj", "q_proj", "v_proj"]
    assert not any(bias.any() for bias in biases.values())


def test_rows_go_up_to_the_multiple_asked_for():
    assert build_model(small_model(vocabulary_multiple=16), seed=3).shape.vocab_size == 64


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "gpt2"),
        ("use_sliding_window", True),
        ("layer_types", ["full_attention", "sliding_attention"]),
        ("rope_parameters", {"rope_type": "llama3", "rope_theta": 1e4}),
        ("rope_parameters", {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}),
        ("attention_bias", True),
        ("hidden_act", "gelu"),
        ("rope_parameters", {"rope_type": "yarn", "rope_theta": 1e4}),
    ],
)
def test_a_folder_that_is_not_a_plain_llama_is_refused_by_the_key_that_says_so(tmp_path, key, value):
    write_model(build_model(small_model(), seed=4), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {key: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=key):
        read_shape(tmp_path)


def test_a_folder_without_config_or_with_broken_weights_is_refused_with_its_path(tmp_path):
    with pytest.raises(DataError, match=r"config\.json"):
        read_model(tmp_path)
    write_model(build_model(small_model(), seed=4), tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match=r"model\.safetensors: no readable weights"):
        read_model(tmp_path)


@pytest.mark.parametrize(("key", "value"), [("num_attention_heads", 0), ("hidden_size", "16"), ("vocab_size", True)])
def test_a_size_that_is_no_number_is_named_and_no_traceback(tmp_path, key, value):
    write_model(build_model(small_model(), seed=4), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(DataError, match=rf"config\.json: no config of a model.*whole number above 0 for {key}"):
        read_shape(tmp_path)

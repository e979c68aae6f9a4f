import json
from dataclasses import replace

import pytest
import torch
from training_fakes import VOCAB, FakeWindows, small_model

from mixlab.config.problems import DataError
from mixlab.training.loading.batches import load_batch
from mixlab.training.models.shape import read_shape
from mixlab.training.models.weights import build_model, named_weights, open_model, read_model, write_model


def logits_of(model, tokens_T):
    """All logits of one document by itself."""
    length = len(tokens_T)
    zeros, places = torch.zeros(1, length, dtype=torch.long), torch.arange(length)
    return model(torch.as_tensor(tokens_T, dtype=torch.long)[None], zeros, places[None], places)


@pytest.mark.parametrize("changes", [{}, {"tie_embeddings": False, "kv_heads": 1, "rope_theta": 500.0}])
def test_logits_equal_those_of_transformers_on_the_saved_folder(tmp_path, changes):
    from transformers import LlamaForCausalLM

    model = build_model(small_model(**changes), seed=3)
    with torch.no_grad():
        for weight in named_weights(model).values():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(5)))
    write_model(model, tmp_path)
    theirs = LlamaForCausalLM.from_pretrained(tmp_path)
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


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "gpt2"),
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

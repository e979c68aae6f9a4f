"""Families that transformers computes, on tiny models of random weights."""

import json

import pytest
import torch
import transformers
from largest import Largest
from training_fakes import VOCAB, FakeWindows, settings

from mixlab.config.kernels import KernelSettings
from mixlab.config.problems import DataError
from mixlab.training.loading.batches import load_batch
from mixlab.training.models.foreign import ForeignModel
from mixlab.training.models.weights import named_weights, read_model, write_model
from mixlab.training.run import train

SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
GPT2 = {"vocab_size": VOCAB, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 1}
TAKEN = {
    "qwen3": ("Qwen3Config", {**SIZES, "head_dim": 8}),
    "granite": ("GraniteConfig", {**SIZES, "logits_scaling": 2.0}),
    "gpt2": ("GPT2Config", {**GPT2, "eos_token_id": 1}),
    "llama": ("LlamaConfig", {**SIZES, "attention_bias": True}),
}


@pytest.fixture
def make(tmp_path):
    """Writes a model of random weights and returns it with its folder."""
    transformers.utils.logging.disable_progress_bar()

    def write(config, values):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**values)).eval()
        model.save_pretrained(tmp_path / "given")
        return model, tmp_path / "given"

    return write


def load_micro(count=3):
    windows = FakeWindows(count=count)
    return windows, load_batch(windows, list(range(count)), count, "all", VOCAB).micro[0]


@pytest.mark.parametrize("family", TAKEN)
def test_packed_documents_have_the_logits_that_transformers_gives_each_alone(make, family):
    theirs, folder = make(*TAKEN[family])
    ours = read_model(folder)
    assert isinstance(ours, ForeignModel)
    windows, micro = load_micro()
    with torch.no_grad():
        packed = ours(micro.tokens_BT, micro.documents_BT, micro.positions_BT, micro.rows_N)
        alone = []
        for window in windows.windows:
            start = 0
            for length in window.segment_lengths:
                tokens_T = torch.as_tensor(window.tokens_T[start : start + length].astype("int64"))
                alone.append(theirs(tokens_T[None]).logits[0, :-1])
                start += length
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_what_is_written_is_the_model_that_was_read_in_float32(make, tmp_path):
    theirs, folder = make(*TAKEN["qwen3"])
    theirs.bfloat16().save_pretrained(folder)
    before = json.loads((folder / "config.json").read_text())
    (tmp_path / "out").mkdir()
    write_model(read_model(folder), tmp_path / "out")
    after = json.loads((tmp_path / "out/config.json").read_text())
    assert before["dtype"] == "bfloat16"
    assert after == {**before, "dtype": "float32", "torch_dtype": "float32"}
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    for name, weight in theirs.named_parameters():
        assert torch.equal(weight.float(), again.get_parameter(name))


def test_a_foreign_model_is_trained_and_resumed_like_our_own(make, tmp_path):
    _, folder = make(*TAKEN["gpt2"])
    options = {"seed": 1, "start": folder, "micro_batch": 2, "threads": 1}
    one_step = settings(passes="1/6")
    train(one_step, FakeWindows(), tmp_path / "out", resume=tmp_path / "resume", **options)
    before, after = (dict(named_weights(read_model(one))) for one in (folder, tmp_path / "out"))
    assert before.keys() == after.keys()
    assert not torch.equal(before["transformer.wte.weight"], after["transformer.wte.weight"])


def test_a_foreign_model_makes_no_tensor_of_tokens_squared(make):
    tokens = 2048
    _, folder = make("Qwen3Config", {**SIZES, "head_dim": 8, "max_position_embeddings": tokens})
    places_1T = torch.arange(tokens)[None]
    model = read_model(folder)
    with Largest() as seen:
        model(places_1T % VOCAB, torch.zeros_like(places_1T), places_1T, torch.tensor([7])).sum().backward()
    assert 16 * tokens <= seen.elements < tokens * tokens / 10


REFUSED = {
    "sliding window": ("MistralConfig", {**SIZES, "sliding_window": 4}, "slides over 4 tokens"),
    "soft cap": ("Gemma2Config", {**SIZES, "head_dim": 8, "sliding_window": 64}, "asks for softcap"),
    "alibi": ("BloomConfig", {"vocab_size": VOCAB, "hidden_size": 16, "n_layer": 1, "n_head": 2}, "of its own"),
    "state": ("MambaConfig", {"vocab_size": VOCAB, "hidden_size": 16, "num_hidden_layers": 1}, "of its own"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_family_whose_tokens_find_another_way_to_each_other_is_refused_by_name(make, case):
    config, values, words = REFUSED[case]
    model, folder = make(config, values)
    with pytest.raises(DataError, match=rf"model_type: family '{model.config.model_type}' .*{words}.*take a model"):
        read_model(folder)


def test_documents_that_notice_each_other_are_noticed(make, monkeypatch):
    _, folder = make(*TAKEN["qwen3"])
    monkeypatch.setattr(
        "mixlab.training.models.foreign.DocumentAttention.__call__",
        lambda self, q, k, v, scale: torch.nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=scale, enable_gqa=True
        ),
    )
    with pytest.raises(DataError, match="lets the documents of a window see each other"):
        read_model(folder)


def test_windows_longer_than_a_sliding_window_are_longer_than_the_model(make):
    _, folder = make("MistralConfig", {**SIZES, "sliding_window": 32})
    assert read_model(folder).shape.max_positions == 32


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("auto_map", {"AutoModelForCausalLM": "modeling.Mine"}, "Python code of the model's author"),
        ("quantization_config", {"quant_method": "gptq"}, "quantised weights cannot be trained"),
        ("model_type", "no_such_family", "cannot be opened by transformers"),
    ],
)
def test_a_folder_that_cannot_be_trained_is_refused_by_the_key_that_says_so(make, key, value, words):
    _, folder = make(*TAKEN["qwen3"])
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(DataError, match=words):
        read_model(folder)


def test_weights_that_do_not_fit_are_named(make):
    from safetensors.torch import load_file, save_file

    _, folder = make(*TAKEN["qwen3"])
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.other.weight"] = tensors.pop("model.norm.weight")
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(DataError) as caught:
        read_model(folder)
    found = {problem.key: problem.message for problem in caught.value.problems}
    assert found == {
        "model.norm.weight": "weight is missing",
        "model.other.weight": "weight is unknown to the model that config.json describes",
    }


def gradients(model, micro, kernels):
    model.use_kernels(kernels)
    model.zero_grad()
    logits = model(micro.tokens_BT, micro.documents_BT, micro.positions_BT, micro.rows_N)
    torch.nn.functional.cross_entropy(logits, micro.targets_N).backward()
    return {name: weight.grad.clone() for name, weight in named_weights(model).items()}


def test_kernels_of_the_machine_change_nothing(make):
    _, folder = make(*TAKEN["qwen3"])
    model, (_, micro) = read_model(folder), load_micro()
    plain = gradients(model, micro, KernelSettings())
    again = gradients(model, micro, KernelSettings(activation_checkpointing=True))
    documents = gradients(model, micro, KernelSettings(attention="documents"))
    assert len(plain) > 10
    for name, gradient in plain.items():
        assert torch.equal(again[name], gradient)
        torch.testing.assert_close(documents[name], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor", "ignore:.*torch.jit.script")
def test_compiled_layers_of_a_foreign_model_give_the_same_numbers(make):
    _, folder = make(*TAKEN["qwen3"])
    model, (_, micro) = read_model(folder), load_micro()
    plain = gradients(model, micro, KernelSettings())
    compiled = gradients(model, micro, KernelSettings(compile=True))
    for name, gradient in plain.items():
        torch.testing.assert_close(compiled[name], gradient, atol=1e-5, rtol=1e-3)
    assert len(plain) > 10


def test_dropout_of_the_config_is_not_applied(make):
    _, folder = make(*TAKEN["gpt2"])
    assert json.loads((folder / "config.json").read_text())["resid_pdrop"] == 0.1
    model, (_, micro) = read_model(folder), load_micro()
    assert model.inner.training
    first, second = (gradients(model, micro, KernelSettings()) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first

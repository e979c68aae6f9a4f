"""Machine settings of kernels, on our own model: they change how, never what."""

import pytest
import torch
from training_fakes import VOCAB, FakeWindows, small_model

from mixlab.config.kernels import KernelSettings
from mixlab.training.loading.batches import load_batch
from mixlab.training.models.llama import FeedForward
from mixlab.training.models.weights import build_model, named_weights

QWEN = {"architecture": "qwen2", "kv_heads": 1}


def loss_and_gradients(model, micro, kernels):
    model.use_kernels(kernels)
    model.zero_grad()
    logits = model(micro.tokens_BT, micro.documents_BT, micro.positions_BT, micro.rows_N)
    loss = torch.nn.functional.cross_entropy(logits, micro.targets_N)
    loss.backward()
    return [loss.detach(), *(weight.grad.clone() for weight in named_weights(model).values())]


def load_micro(document_attention="isolated", sequence_tokens=32):
    windows = FakeWindows(count=3, sequence_tokens=sequence_tokens)
    return windows, load_batch(windows, [0, 1, 2], 3, "all", VOCAB, document_attention).micro[0]


@pytest.mark.parametrize(("kernel", "changes"), [("dense", {}), ("documents", QWEN)])
def test_gradients_of_packed_windows_are_the_sum_of_those_of_their_documents_alone(kernel, changes):
    model = build_model(small_model(**changes), seed=3)
    model.use_kernels(KernelSettings(attention=kernel))
    windows, micro = load_micro()
    packed = model(micro.tokens_BT, micro.documents_BT, micro.positions_BT, micro.rows_N)
    torch.nn.functional.cross_entropy(packed, micro.targets_N, reduction="sum").backward()
    found = {name: weight.grad.clone() for name, weight in named_weights(model).items()}
    model.zero_grad()
    alone = []
    for window in windows.windows:
        start = 0
        for length in window.segment_lengths:
            tokens_T = torch.as_tensor(window.tokens_T[start : start + length].astype("int64"))
            start += length
            if length == 1:
                continue
            places = torch.arange(length)
            logits = model(tokens_T[None], torch.zeros_like(places)[None], places[None], places[:-1])
            torch.nn.functional.cross_entropy(logits, tokens_T[1:], reduction="sum").backward()
            alone.append(logits.detach())
    torch.testing.assert_close(packed.detach(), torch.cat(alone), atol=1e-5, rtol=1e-5)
    for name, weight in named_weights(model).items():
        torch.testing.assert_close(found[name], weight.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("document_attention", ["isolated", "across"])
def test_kernels_agree_on_loss_and_gradients(document_attention):
    model, (_, micro) = build_model(small_model(), seed=3), load_micro(document_attention)
    dense, documents = (
        loss_and_gradients(model, micro, KernelSettings(attention=kernel)) for kernel in ("dense", "documents")
    )
    for one, other in zip(dense, documents, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_layers_computed_again_give_the_same_bits_and_draw_the_same_dropout():
    model, (_, micro) = build_model(small_model(), seed=3), load_micro()
    calls = []

    def drop(module, inputs, out):
        calls.append(module)
        return torch.nn.functional.dropout(out, 0.5)

    for module in model.modules():
        if isinstance(module, FeedForward):
            module.register_forward_hook(drop)
    torch.manual_seed(7)
    kept = loss_and_gradients(model, micro, KernelSettings())
    once = len(calls)
    torch.manual_seed(7)
    again = loss_and_gradients(model, micro, KernelSettings(activation_checkpointing=True))
    assert len(calls) == once + 2 * once  # the backward pass ran them a second time
    assert all(torch.equal(one, other) for one, other in zip(kept, again, strict=True))
    torch.manual_seed(8)
    other_draw = loss_and_gradients(model, micro, KernelSettings())
    assert not torch.equal(kept[0], other_draw[0])


# torch's own tracing looks at the gradient of tensors that have none
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_compiled_layers_give_the_same_numbers(monkeypatch):
    """With the compiler's tracing alone; the long test below compiles to machine code."""
    check_compiled(monkeypatch, "aot_eager")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor", "ignore:.*torch.jit.script")
def test_layers_compiled_to_machine_code_give_the_same_numbers(monkeypatch):
    check_compiled(monkeypatch, "inductor")


def check_compiled(monkeypatch, backend):
    model, (_, micro) = build_model(small_model(**QWEN), seed=3), load_micro()
    plain = loss_and_gradients(model, micro, KernelSettings())
    compiled, whole = [], torch.compile

    def spy(function, **options):
        compiled.append(function)
        return whole(function, **{**options, "backend": backend})

    monkeypatch.setattr(torch, "compile", spy)
    found = loss_and_gradients(model, micro, KernelSettings(compile=True))
    assert len(compiled) == 4  # heads and feed-forward of two layers
    for one, other in zip(found, plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert sorted(named_weights(model)) == sorted(named_weights(build_model(small_model(**QWEN), seed=3)))

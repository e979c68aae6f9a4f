import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from largest import Largest
from training_fakes import small_model

from mixlab.config.kernels import KernelSettings
from mixlab.config.problems import DataError
from mixlab.training.models import attention
from mixlab.training.models.attention import DENSE_TOKENS, DocumentAttention, choose_kernel
from mixlab.training.models.weights import build_model

HEADS, KEY_HEADS, SIZE = 4, 2, 8
CPU = torch.device("cpu")


def make_documents(lengths_of_windows, tokens):
    """Document numbers of windows, padded with -1."""
    rows = []
    for lengths in lengths_of_windows:
        row = [number for number, length in enumerate(lengths) for _ in range(length)]
        rows.append(row + [-1] * (tokens - len(row)))
    return torch.tensor(rows)


DOCUMENTS = make_documents([[5, 7, 5], [20], [1, 1, 12]], 20)


def draw(batch, tokens, heads=HEADS, key_heads=KEY_HEADS):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, count, tokens, SIZE, generator=generator, requires_grad=True)
        for count in (heads, key_heads, key_heads)
    ]


def by_hand(q, k, v, documents):
    """Softmax over what each token may see, written out."""
    length = documents.shape[1]
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    sees = (documents[:, None, :, None] == documents[:, None, None, :]) & torch.ones(length, length).tril().bool()
    scores = (q @ k.transpose(2, 3) / SIZE**0.5).masked_fill(~sees, -torch.inf)
    return scores.softmax(-1) @ v


def outputs_and_gradients(attend, documents, **heads):
    inputs = draw(*documents.shape, **heads)
    out = attend(*inputs) * (documents >= 0)[:, None, :, None]
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    return [out, *torch.autograd.grad((out * weights).sum(), inputs)]


@pytest.mark.parametrize("heads", [{}, {"key_heads": HEADS}], ids=["grouped", "one to one"])
@pytest.mark.parametrize("kernel", ["dense", "documents"])
def test_a_kernel_gives_outputs_and_gradients_of_softmax_within_documents(kernel, heads):
    found = outputs_and_gradients(DocumentAttention(DOCUMENTS, kernel), DOCUMENTS, **heads)
    wanted = outputs_and_gradients(lambda q, k, v: by_hand(q, k, v, DOCUMENTS), DOCUMENTS, **heads)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_flex_attention_has_the_same_numbers(monkeypatch):
    # uncompiled: compiling is for a GPU, what is asked of it is not
    from torch.nn.attention.flex_attention import flex_attention

    documents = make_documents([[50, 70], [128]], 128)
    inputs = [x.detach() for x in draw(2, 128)]
    monkeypatch.setattr(attention, "_COMPILED", [flex_attention])
    with pytest.warns(UserWarning, match="without torch.compile"):
        found = DocumentAttention(documents, "documents")._flex(*inputs, None)
    live = (documents >= 0)[:, None, :, None]
    torch.testing.assert_close(found * live, by_hand(*inputs, documents) * live, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("is_packaged", [True, False], ids=["flash-attn", "torch's own"])
def test_flash_attention_is_told_where_documents_begin_and_end(monkeypatch, is_packaged):
    """The GPU's function is replaced by one that computes what its documentation promises."""

    def varlen(q_PHS, k_PKS, v_PKS, starts_q, starts_k, longest_q, longest_k, **options):
        assert starts_q.dtype == torch.int32
        assert longest_q == longest_k == 20
        assert options.get("causal", False) or options["window_size"] == (-1, 0)
        pieces = []
        for start, end in zip(starts_q.tolist(), starts_k.tolist()[1:], strict=False):
            q, k, v = (x[None, start:end].transpose(1, 2) for x in (q_PHS, k_PKS, v_PKS))
            pieces.append(F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)[0].transpose(0, 1))
        return torch.cat(pieces)

    package = ModuleType("flash_attn")
    package.flash_attn_varlen_func = varlen
    monkeypatch.setattr(attention.importlib.util, "find_spec", lambda name: package if is_packaged else None)
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen)
    live = (DOCUMENTS >= 0)[:, None, :, None]
    inputs = draw(*DOCUMENTS.shape)
    found = DocumentAttention(DOCUMENTS)._flash(*inputs, None)
    torch.testing.assert_close(found * live, by_hand(*inputs, DOCUMENTS) * live, atol=1e-5, rtol=1e-5)


def test_the_kernel_follows_device_dtype_and_length():
    gpu = torch.device("cuda")
    assert choose_kernel("auto", CPU, torch.float32, DENSE_TOKENS) == "dense"
    assert choose_kernel("auto", CPU, torch.float32, DENSE_TOKENS + 1) == "documents"
    assert choose_kernel("auto", gpu, torch.bfloat16, 4096) == "flash"
    assert choose_kernel("auto", gpu, torch.float32, 4096) == "flex"
    assert choose_kernel("documents", gpu, torch.bfloat16, 4096) == "documents"


@pytest.mark.parametrize(
    ("asked", "device", "dtype", "words"),
    [
        ("flash", "cpu", torch.bfloat16, "needs a GPU"),
        ("flash", "cuda", torch.float32, "flash computes in bfloat16"),
        ("dense", "cuda", torch.float32, "a table of 8192 x 8192"),
    ],
)
def test_a_kernel_that_cannot_run_is_refused_with_the_cure(asked, device, dtype, words):
    with pytest.raises(DataError, match=rf"machine\.kernels\.attention: .*{words}.*write auto or"):
        choose_kernel(asked, torch.device(device), dtype, 8192)


def largest_tensor(kernel, tokens, documents):
    inputs = [x.detach().requires_grad_() for x in draw(1, tokens)]
    with Largest() as seen:
        DocumentAttention(documents, kernel)(*inputs).sum().backward()
    return seen.elements


def test_a_model_makes_no_tensor_of_8192_tokens_squared():
    tokens, width = 8192, 16
    sizes = {"hidden_size": width, "layers": 1, "heads": 2, "kv_heads": 1, "max_positions": tokens}
    model = build_model(small_model(**sizes, feed_forward=width), seed=1)
    documents_1T = make_documents([[5000, 3000]], tokens)
    positions_1T = torch.cat([torch.arange(5000), torch.arange(3000), torch.zeros(192, dtype=torch.long)])[None]
    with Largest() as seen:
        logits_NV = model(torch.zeros_like(documents_1T), documents_1T, positions_1T, torch.tensor([4999, 7999]))
        logits_NV.sum().backward()
    assert tokens * width <= seen.elements <= 4 * tokens * width < tokens * tokens / 100


def test_the_search_for_large_tensors_sees_the_dense_table():
    documents = make_documents([[200, 300]], 512)
    assert largest_tensor("dense", 512, documents) >= 512 * 512


def test_kernels_of_the_machine_settings_are_automatic_and_plain_unless_said():
    assert KernelSettings() == KernelSettings(attention="auto", activation_checkpointing=False, compile=False)

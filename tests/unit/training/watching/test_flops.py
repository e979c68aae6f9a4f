"""MFU: the formula against a count of multiplications, and the peaks of known devices."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from training_fakes import VOCAB, small_model, step_report

from mixlab.training.models.weights import named_weights, open_model
from mixlab.training.watching.flops import find_peak_flops, step_flops
from mixlab.training.watching.measures import Devices, Meter


@pytest.mark.parametrize("tied", [False, True])
def test_the_formula_counts_what_a_forward_and_backward_multiply_with_half_of_the_attention(tied):
    model = open_model(small_model(tie_embeddings=tied), 1)
    batch, length = 3, 16
    tokens = torch.randint(0, VOCAB, (batch, length))
    places = torch.arange(length).repeat(batch, 1)
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        model(tokens, torch.zeros_like(tokens), places, torch.arange(batch * length)).sum().backward()
    weights = named_weights(model)
    looked_up = 0 if tied else weights["model.embed_tokens.weight"].numel()
    matrices = sum(weight.numel() for weight in weights.values() if weight.dim() == 2) - looked_up
    heads, size, layers = 2, 8, 2
    half = step_flops(matrices, layers, heads * size, batch * length, batch * length**2)
    causal = 6 * layers * heads * size * batch * length**2
    # torch computes the whole square, and the formula the half that a causal model needs
    assert counter.get_total_flops() == half + causal


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989.4e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A100 80GB PCIe", 312e12),
        ("NVIDIA L40S", 362.05e12),
        ("NVIDIA L40", None),
        ("NVIDIA H20", None),
        ("NVIDIA RTX A1000", None),
        ("cpu", None),
    ],
)
def test_a_peak_is_that_of_the_very_device_and_never_a_guess(name, peak):
    assert find_peak_flops(name) == peak


def test_mfu_is_the_share_of_the_peak_of_all_devices():
    meter = Meter(Devices("two of them", ranks=2, peak_flops=1e9), lambda tokens, squared: tokens * 1000 + squared)
    measures = meter.measure(step_report())
    assert measures.mfu == pytest.approx((1000 * 1000 + 500_000) / 0.5 / 2e9)
    assert measures.tokens_per_second == 2000
    assert measures.data_share == pytest.approx(0.1)
    assert 50e6 < measures.peak_rss_bytes < 50e9
    assert measures.peak_cuda_bytes is None


def test_without_a_known_peak_there_is_no_mfu():
    assert Meter(Devices("cpu"), lambda tokens, squared: tokens).measure(step_report()).mfu is None

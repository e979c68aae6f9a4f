"""MFU: the formula against a count of multiplications, and the peaks of known devices."""

import pytest
from training_fakes import step_report

from mixlab.training.watching.flops import find_peak_flops
from mixlab.training.watching.measures import Devices, Meter


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989.5e12),
        ("NVIDIA H100 PCIe", 756.5e12),
        ("NVIDIA H200", 989.5e12),
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


def test_a_run_in_float32_is_measured_by_the_peak_of_float32():
    assert find_peak_flops("NVIDIA H200", "float32") == 67e12


def test_mfu_is_the_share_of_the_peak_of_all_devices():
    meter = Meter(
        Devices("two of them", ranks=2, peak_flops=1e9), lambda tokens, squared, targets: tokens * 1000 + squared
    )
    measures = meter.measure(step_report())
    assert measures.mfu == pytest.approx((1000 * 1000 + 500_000) / 0.5 / 2e9)
    assert measures.tokens_per_second == 2000
    assert measures.data_share == pytest.approx(0.1)
    assert 50e6 < measures.peak_rss_bytes < 50e9
    assert measures.peak_cuda_bytes is None


def test_without_a_known_peak_there_is_no_mfu():
    assert Meter(Devices("cpu"), lambda tokens, squared, targets: tokens).measure(step_report()).mfu is None

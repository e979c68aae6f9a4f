import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlab.training.tensors.dtypes import narrow, widen

TORCH = {"BF16": torch.bfloat16, "F16": torch.float16}


def bits_to_floats(bits):
    return np.array(bits, np.uint32).view("<f4")


FINITE_BITS = st.lists(st.integers(0, 2**32 - 1).filter(lambda bits: (bits >> 23) & 0xFF != 0xFF), min_size=1)
"""Any float32 but NaN and infinity, by its bits, so that subnormals and ties are as likely as the rest."""


def is_beyond(values, dtype):
    return not bool(torch.isfinite(torch.from_numpy(values).to(dtype)).all())


@pytest.mark.parametrize("word", TORCH)
@given(bits=FINITE_BITS)
@settings(max_examples=100, deadline=None)
def test_rounding_is_torchs_to_the_bit_and_what_would_become_infinite_is_refused(word, bits):
    values = bits_to_floats(bits)
    if is_beyond(values, TORCH[word]):
        with pytest.raises(OverflowError, match=word):
            narrow(values, word)
        values = values[np.abs(values) < 60_000]
    expected = torch.from_numpy(values).to(TORCH[word]).view(torch.int16).numpy()
    assert narrow(values, word).view(np.int16).tolist() == expected.tolist()


@pytest.mark.parametrize("word", TORCH)
def test_every_stored_number_of_16_bits_is_read_as_torch_reads_it(word):
    stored = np.arange(2**16, dtype=np.uint16)
    out = np.empty(2**16, np.float32)
    widen(stored if word == "BF16" else stored.view("<f2"), word, out)
    expected = torch.from_numpy(stored.view(np.int16)).view(TORCH[word]).float().numpy()
    assert np.isnan(out).sum() == np.isnan(expected).sum() > 0
    np.testing.assert_array_equal(out.view(np.uint32)[~np.isnan(out)], expected.view(np.uint32)[~np.isnan(expected)])


def test_ties_go_to_the_even_number_in_bfloat16():
    between = bits_to_floats([0x3F808000, 0x3F818000])
    assert narrow(between, "BF16").tolist() == [0x3F80, 0x3F82]


def test_a_float64_beyond_float32_is_read_as_infinite_without_a_warning():
    out = np.empty(2, np.float32)
    widen(np.array([1e300, 0.1]), "F64", out)
    assert out.tolist() == [np.inf, np.float32(0.1)]

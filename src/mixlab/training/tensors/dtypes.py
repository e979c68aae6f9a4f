"""Floating point as safetensors stores it, to float32 and back, by numpy alone.

numpy has no bfloat16: it is the upper half of a float32, so it is taken up and put down as 16-bit integers.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FLOAT32 = np.dtype("<f4")

STORED: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": FLOAT32,
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}
"""What can be read as float32: safetensors' words, and what numpy reads their bytes as."""

WORDS = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
"""safetensors' words for the dtypes that can be written, by torch's names."""

_TOP_EXPONENT = np.uint16(0x7F80)


def widen(stored: NDArray[Any], word: str, out: Floats) -> None:
    """Fill `out` with the float32 values of what was stored as `word`; exact, except from F64, which is rounded.

    What is beyond float32 becomes infinite.
    """
    if word == "BF16":
        bits = out.view("<u4")
        bits[...] = stored
        bits <<= np.uint32(16)
        return
    with np.errstate(all="ignore"):
        out[...] = stored


def narrow(values: Floats, word: str) -> NDArray[Any]:
    """Return finite `values` rounded to the nearest number of `word` (ties to even), as bytes to be stored.

    Raises OverflowError when one of them is beyond the largest number that `word` can hold.
    """
    if word == "F32":
        return values
    if word == "BF16":
        rounded = _round_to_bfloat16(values)
        is_beyond = bool(((rounded & _TOP_EXPONENT) == _TOP_EXPONENT).any())
    else:
        with np.errstate(all="ignore"):
            rounded = values.astype(STORED[word])
        is_beyond = not bool(np.isfinite(rounded).all())
    if is_beyond:
        raise OverflowError(word)
    return rounded


def _round_to_bfloat16(values: Floats) -> NDArray[np.uint16]:
    bits = values.view("<u4")
    upper = bits >> np.uint32(16)
    # half of the last place, less one where the last place is even: a tie then stays, anything above it carries
    upper &= np.uint32(1)
    upper += np.uint32(0x7FFF)
    upper += bits
    upper >>= np.uint32(16)
    return upper.astype("<u2")

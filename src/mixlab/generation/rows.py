"""The parts of decoding that need no tensors: seeds of rows, batches of like length, stop strings."""

import hashlib
from collections.abc import Callable, Sequence


def build_row_seed(seed: int, position: int, prompt: str) -> int:
    """Return the random seed of one prompt: 63 bits of a digest, so that neighbours cannot matter."""
    digest = hashlib.sha256(f"{seed}/{position}/{prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def build_batches(lengths: Sequence[int], batch: int) -> list[list[int]]:
    """Group positions by length, shortest first, at most `batch` together."""
    order = sorted(range(len(lengths)), key=lambda position: (lengths[position], position))
    return [order[start : start + batch] for start in range(0, len(order), batch)]


def cut_at_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """Return `text` before the first stop string, and whether there was one."""
    found = [at for string in stop if (at := text.find(string)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def count_until_stop(written: Sequence[int], pad: int, stop: Sequence[str], decode: Callable[[list[int]], str]) -> int:
    """Return after how many tokens the stop string in a row was whole; past it the row holds only padding.

    The number of decodings grows with the logarithm of the padding.
    """
    fewest, most = len(written), len(written)
    while fewest and written[fewest - 1] == pad:
        fewest -= 1
    while fewest < most:
        middle = (fewest + most) // 2
        if cut_at_stop(decode(list(written[:middle])), stop)[1]:
            most = middle
        else:
            fewest = middle + 1
    return most

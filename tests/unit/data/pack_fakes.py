"""Packs without a token store behind them: one document a window, of the lengths asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.data.packs.writer import PackWriter, Pieces


def write_fake_pack(
    folder: Path, window_tokens: Sequence[int], layout: str = "packed", sequence_tokens: int = 16, **losses: int
) -> Path:
    """Write a pack whose responses are half of each window."""
    folder.mkdir(parents=True)
    lengths = np.array(window_tokens, dtype=np.int64)
    numbers = np.arange(len(lengths))
    with PackWriter(folder) as writer:
        writer.add(Pieces(np.cumsum(lengths) - lengths, lengths, numbers, lengths // 2), numbers)
    about: dict[str, Any] = {"sequence_tokens": sequence_tokens, "layout": layout, "documents": len(lengths)}
    about |= {"padding_tokens": int((sequence_tokens - lengths).sum()), "store_tokens": int(lengths.sum())}
    about |= dict.fromkeys(("cut", "truncated", "truncated_tokens", "dropped", "dropped_tokens"), 0)
    writer.write_index(about | losses)
    return folder

"""Reading a pack: windows over a token store, memory-mapped.

`segments.npy` int64 [G, 2]: absolute start and tokens of each segment, window after window.
`window_offsets.npy` int64 [W + 1]: where the segments of each window begin.
`window_tokens.npy`, `window_response_tokens.npy` int32 [W]: tokens, and those that `loss: response` learns.
`window_documents.npy` int64 [W, 2]: smallest and largest document of the token store in each window.
`index.json`: totals, what was lost on the way, and `stream`, a digest of the segments that names the pack's draws.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.data.writing import read_json

_HEADER_BYTES = 128


def map_array(path: Path) -> np.ndarray:
    """Memory-map a .npy file as a plain array; an empty one is read, since it cannot be mapped."""
    if path.stat().st_size <= _HEADER_BYTES:
        empty: np.ndarray = np.load(path, allow_pickle=False)
        return empty
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


class Pack:
    """The windows of one source; arrays are mapped when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index: dict[str, Any] = read_json(folder / "index.json")
        self.windows = int(self.index["windows"])
        self.tokens = int(self.index["tokens"])
        self.sequence_tokens = int(self.index["sequence_tokens"])
        self.layout = str(self.index["layout"])
        self.stream = str(self.index["stream"])

    @property
    def target_tokens(self) -> int:
        """Tokens that `loss: all` learns where documents do not see each other."""
        return self.tokens - int(self.index["segments"])

    @property
    def response_tokens(self) -> int:
        """Tokens that `loss: response` learns."""
        return int(self.index["response_tokens"])

    @property
    def cut_tokens(self) -> int:
        """Tokens of the source that are in no window: ends of truncated documents, and dropped ones."""
        return int(self.index["truncated_tokens"]) + int(self.index["dropped_tokens"])

    @cached_property
    def segments(self) -> np.ndarray:
        """int64 [G, 2]."""
        return map_array(self.folder / "segments.npy")

    @cached_property
    def offsets_W(self) -> np.ndarray:
        """int64 [W + 1]."""
        return map_array(self.folder / "window_offsets.npy")

    @cached_property
    def tokens_W(self) -> np.ndarray:
        """int32 [W]."""
        return map_array(self.folder / "window_tokens.npy")

    @cached_property
    def response_tokens_W(self) -> np.ndarray:
        """int32 [W]."""
        return map_array(self.folder / "window_response_tokens.npy")

    @cached_property
    def documents_W2(self) -> np.ndarray:
        """int64 [W, 2]."""
        return map_array(self.folder / "window_documents.npy")

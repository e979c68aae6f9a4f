"""Reading a pack: windows over a token store, memory-mapped.

`tokens.npy` [W, T] in the token store's type, little endian: the tokens of each window, 0 behind its end. Only layout
`packed` has it: its segments lie all over the store, and a row is read half as fast again as they are. Windows of the
other layouts lie in a row in the store.
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

from mixlab.config.problems import DataError
from mixlab.data.writing import read_json

_HEADER_BYTES = 128


class Pack:
    """The windows of one source; arrays are mapped when first asked for.

    Raises DataError with the name of a file that is cut off or does not fit the index.
    """

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
    def rows_WT(self) -> np.ndarray:
        """The tokens of each window and 0 behind its end, in the token store's type; layout `packed` only."""
        return self._map("tokens", self.windows, self.sequence_tokens)

    @cached_property
    def segments(self) -> np.ndarray:
        """int64 [G, 2]."""
        return self._map("segments", int(self.index["segments"]), 2)

    @cached_property
    def offsets_W(self) -> np.ndarray:
        """int64 [W + 1]."""
        return self._map("window_offsets", self.windows + 1)

    @cached_property
    def tokens_W(self) -> np.ndarray:
        """int32 [W]."""
        return self._map("window_tokens", self.windows)

    @cached_property
    def response_tokens_W(self) -> np.ndarray:
        """int32 [W]."""
        return self._map("window_response_tokens", self.windows)

    @cached_property
    def documents_W2(self) -> np.ndarray:
        """int64 [W, 2]."""
        return self._map("window_documents", self.windows, 2)

    def _map(self, name: str, *shape: int) -> np.ndarray:
        """Memory-map an array as a plain one; an empty one is read, since it cannot be mapped."""
        path = self.folder / f"{name}.npy"
        try:
            empty = path.stat().st_size <= _HEADER_BYTES
            found = np.asarray(np.load(path, mmap_mode=None if empty else "r", allow_pickle=False))
        except (ValueError, EOFError) as error:
            raise DataError(f"{path}: cut off, or no array: {error}; make this pack again") from error
        if found.shape != shape:
            raise DataError(f"{path}: has the shape {found.shape}, but {shape} is declared; make this pack again")
        return found

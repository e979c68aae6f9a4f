"""What the windows that a mixture takes of one source hold, added up."""

from dataclasses import dataclass

import numpy as np

from mixlab.data.mixtures.schedule import Draws
from mixlab.data.packs.pack import Pack

_BLOCK_DRAWS = 1 << 18


@dataclass(frozen=True)
class Taken:
    """Sums over the windows taken of one source, each as often as it is taken; documents are -1 where none is."""

    windows: int
    tokens: int
    target_tokens: int
    response_tokens: int
    first_document: int
    last_document: int


def count_taken(pack: Pack, draws: Draws, windows: int) -> Taken:
    """Add up the first `windows` draws; whole epochs are known from the index, the last one's windows are looked up."""
    if not windows:
        return Taken(0, 0, 0, 0, -1, -1)
    epochs, rest = divmod(windows, pack.windows)
    sums = epochs * np.array([pack.tokens, pack.tokens - pack.target_tokens, pack.response_tokens], dtype=object)
    documents = [int(pack.index["first_document"]), int(pack.index["last_document"])] if epochs else []
    for begin in range(epochs * pack.windows, epochs * pack.windows + rest, _BLOCK_DRAWS):
        found, _ = draws.take(begin, min(begin + _BLOCK_DRAWS, windows))
        segments = pack.offsets_W[found + 1] - pack.offsets_W[found]
        columns = (pack.tokens_W[found], segments, pack.response_tokens_W[found])
        sums += np.array([int(column.sum(dtype=np.int64)) for column in columns], dtype=object)
        if not epochs:
            documents += [int(pack.documents_W2[found, 0].min()), int(pack.documents_W2[found, 1].max())]
    tokens, segments_taken, responses = (int(value) for value in sums)
    return Taken(windows, tokens, tokens - segments_taken, responses, min(documents), max(documents))

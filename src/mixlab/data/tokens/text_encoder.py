"""From texts to lists of ids, by the library or by an encoder proven equal to it; long texts piece by piece."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mixlab.config.problems import DataError
from mixlab.data.tokens.coverage import find_coverage
from mixlab.data.tokens.cutting import LONGEST_CHARACTERS, cut_text
from mixlab.data.tokens.fast_bpe import FAST, FastEncoder
from mixlab.data.tokens.tokenizer import Vocabulary, load_tokenizer, read_vocabulary

_CHECKED_EVERY = 64
"""One call in so many is encoded by the library too, to compare."""

Ids = list[int] | np.ndarray
"""Of a long text an array: a list takes 40 bytes a token."""


class IdBuffer:
    """Ids of a block one behind the other, in the dtype of the store; a list only while it is short."""

    def __init__(self, dtype: np.dtype) -> None:
        self._dtype = dtype
        self._parts: list[np.ndarray] = []
        self._open: list[int] = []
        self._closed = 0

    def __len__(self) -> int:
        return self._closed + len(self._open)

    def extend(self, ids: Ids) -> None:
        """Append the ids of a text."""
        if isinstance(ids, list):
            self._open += ids
            return
        self._close()
        self._parts.append(ids.astype(self._dtype))
        self._closed += len(ids)

    def append(self, one: int) -> None:
        """Append one id."""
        self._open.append(one)

    def _close(self) -> None:
        self._parts.append(np.array(self._open, dtype=self._dtype))
        self._closed += len(self._open)
        self._open = []

    def to_array(self) -> np.ndarray:
        """All ids; nothing can be appended any more."""
        self._close()
        return np.concatenate(self._parts) if len(self._parts) > 1 else self._parts[0]


class TextEncoder:
    """A tokenizer as a token store needs it.

    `specials`: special tokens in a text are read as such; else they are only text. Raises DataError when the folder
    holds no tokenizer with an end token.
    """

    def __init__(self, tokenizer_folder: Path, *, specials: bool, backend: str) -> None:
        self._tokenizer = load_tokenizer(tokenizer_folder)
        self.vocabulary: Vocabulary = read_vocabulary(tokenizer_folder, self._tokenizer)
        self.coverage = find_coverage(self._tokenizer)
        self._tokenizer.encode_special_tokens = not specials
        self._specials = specials
        self._starts = _list_starts(self.vocabulary.special_tokens)
        self._fast = FastEncoder(tokenizer_folder) if backend == FAST else None
        self._calls = 0

    def find_special(self, text: str) -> str | None:
        """The special token of the smallest id that `text` holds, or None."""
        tokens = [token for start, tokens in self._starts.items() if start in text for token in tokens]
        held = [token for token in tokens if token in text]
        return min(held, key=self.vocabulary.special_tokens.__getitem__) if held else None

    def encode(self, texts: Sequence[str]) -> Iterator[Ids]:
        """Yield the ids of each text, nothing added; a text too long to be encoded at once is cut where it may be.

        Raises TypeError for a text that is no Unicode, DataError when the fast encoder gives other ids.
        """
        short = [text for text in texts if len(text) <= LONGEST_CHARACTERS]
        found = self._encode_short(short)
        if len(short) == len(texts):
            return found
        return (next(found) if len(text) <= LONGEST_CHARACTERS else self._encode_long(text) for text in texts)

    def _encode_long(self, text: str) -> np.ndarray:
        pieces = cut_text(self._tokenizer, text)
        return np.concatenate([np.array(next(self._encode_short([piece])), dtype=np.uint32) for piece in pieces])

    def _encode_short(self, texts: Sequence[str]) -> Iterator[list[int]]:
        if self._fast is None:
            return self._encode_by_library(texts)
        self._calls += 1
        found = self._encode_fast(self._fast, texts)
        if self._calls % _CHECKED_EVERY == 1 and found != list(self._encode_by_library(texts)):
            raise DataError(
                f"{FAST} gives other ids than the library: take this tokenizer off machine.fast_tokenizers; "
                "nothing was published, but what it made before deserves a second look"
            )
        return iter(found)

    def _encode_by_library(self, texts: Sequence[str]) -> Iterator[list[int]]:
        return (encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False))

    def _encode_fast(self, fast: FastEncoder, texts: Sequence[str]) -> list[list[int]]:
        by_library = [not self._specials and self.find_special(text) is not None for text in texts]
        slow = self._encode_by_library([text for text, chosen in zip(texts, by_library, strict=True) if chosen])
        return [
            next(slow) if chosen else fast.encode(text, specials=self._specials)
            for text, chosen in zip(texts, by_library, strict=True)
        ]


def _list_starts(tokens: Mapping[str, int]) -> dict[str, list[str]]:
    """Group special tokens by their first two characters: a tokenizer may have hundreds that begin with `<|`."""
    starts: dict[str, list[str]] = {}
    for token in tokens:
        starts.setdefault(token[:2], []).append(token)
    return starts

"""From the ids of documents back to texts, as far as a text loses nothing.

Shape letters: N tokens of a document, its end token included; M tokens of its text.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mixlab.config.problems import DataError, did_you_mean
from mixlab.data.records import is_blank
from mixlab.data.tokens.coverage import find_coverage
from mixlab.data.tokens.cutting import LONGEST_CHARACTERS, cut_text
from mixlab.data.tokens.tokenizer import describe_tokenizer, load_tokenizer_file

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Decoded(NamedTuple):
    """What became of a document: its text, or the reason why it has none.

    `has_other_ids`: the text is whole, but as raw text it is other tokens than the document was.
    """

    text: str
    reason: str | None = None
    has_other_ids: bool = False


class TextDecoder:
    """A `tokenizer.json`, the token that ends each document, and the one that a document may begin with.

    Raises DataError when the file is no tokenizer, when one of the two is none of its special tokens, and when it has
    no decoder: the library would put blanks between tokens, and no comparison of ids might notice.
    """

    def __init__(self, path: Path, end_token: str, begin_token: str | None = None) -> None:
        self._tokenizer = load_tokenizer_file(path)
        self.vocabulary = describe_tokenizer(self._tokenizer, end_token, None, path)
        if self._tokenizer.decoder is None:
            raise DataError(f"{path}: has no `decoder`, so how its tokens make a text is unknown; add it")
        # as the tokens of a raw source are made: "<|end|>" in it is only text
        self._tokenizer.encode_special_tokens = True
        self._unknown = find_coverage(self._tokenizer).unknown_id
        self._special = {number: token for token, number in self.vocabulary.special_tokens.items()}
        if begin_token is not None and begin_token not in self.vocabulary.special_tokens:
            special = sorted(self.vocabulary.special_tokens)
            raise DataError(
                f"{path}: the begin token {begin_token!r} is no special token of this tokenizer"
                f"{did_you_mean(begin_token, special)}; it has {', '.join(special)}"
            )
        self._begin_id = None if begin_token is None else self.vocabulary.special_tokens[begin_token]
        self._is_special = self._mark(self._special)
        self._is_entry = self._mark(self._tokenizer.get_vocab(with_added_tokens=True).values())

    def _mark(self, numbers: Iterable[int]) -> np.ndarray:
        marks = np.zeros(self.vocabulary.size, dtype=bool)
        marks[list(numbers)] = True
        return marks

    def find_strange(self, ids: np.ndarray) -> int | None:
        """Return the place of the first id that is no entry of the tokenizer, or None."""
        is_outside = (ids < 0) | (ids >= self.vocabulary.size)
        strange = np.flatnonzero(is_outside | ~self._is_entry[np.where(is_outside, 0, ids)])
        return int(strange[0]) if len(strange) else None

    def decode(self, documents: Sequence[np.ndarray]) -> list[Decoded]:
        """Decode documents of ids [N], each empty or closed by the end token; encode each text again and compare.

        The begin token is left out where a document begins with it.
        """
        documents = [ids_N[self._begins(ids_N) :] for ids_N in documents]
        faults = [self._find_fault(ids_N) for ids_N in documents]
        bodies = [ids_N[:-1] for ids_N, fault in zip(documents, faults, strict=True) if fault is None]
        texts = self._tokenizer.decode_batch([ids_M.tolist() for ids_M in bodies], skip_special_tokens=False)
        compared = map(self._compare, bodies, texts, self._encode(texts))
        return [next(compared) if fault is None else Decoded("", fault) for fault in faults]

    def _begins(self, ids_N: np.ndarray) -> int:
        return int(len(ids_N) > 1 and self._begin_id is not None and int(ids_N[0]) == self._begin_id)

    def _find_fault(self, ids_N: np.ndarray) -> str | None:
        """Say why a document has no text, by its tokens alone."""
        if len(ids_N) < 2:
            return "nothing but its end token" if len(ids_N) else "no token"
        body_M = ids_N[:-1]
        if (special := np.flatnonzero(self._is_special[body_M])).size:
            token = self._special[int(body_M[special[0]])]
            return f"holds the special token {token} (token {special[0] + 1}), which in raw text would be plain text"
        if self._unknown is not None and (body_M == self._unknown).any():
            unknown = self._tokenizer.id_to_token(self._unknown)
            return f"holds {unknown}, which stands for text that the tokenizer did not know"
        return None

    def _encode(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """Yield the ids of each text as raw text, in order; a long one is encoded piece by piece."""
        short = [text for text in texts if len(text) <= LONGEST_CHARACTERS]
        found = iter(self._tokenizer.encode_batch_fast(short, add_special_tokens=False))
        for text in texts:
            if len(text) <= LONGEST_CHARACTERS:
                yield np.array(next(found).ids, np.int64)
            else:
                pieces = cut_text(self._tokenizer, text)
                encoded = (self._tokenizer.encode(piece, add_special_tokens=False) for piece in pieces)
                yield np.concatenate([np.array(one.ids, np.int64) for one in encoded])

    def _compare(self, ids_M: np.ndarray, text: str, again_M: np.ndarray) -> Decoded:
        if is_blank(text):
            return Decoded("", "blank: its tokens are white space and invisible characters alone")
        if "\0" in text:
            return Decoded("", "holds a NUL character, which no source takes")
        if np.array_equal(ids_M, again_M):
            return Decoded(text)
        if _REPLACEMENT in text:
            return Decoded("", "bytes that are no UTF-8: its text would have U+FFFD instead")
        is_unknown = self._unknown is not None and (again_M == self._unknown).any()
        if is_unknown or self._tokenizer.decode(again_M.tolist(), skip_special_tokens=False) != text:
            return Decoded("", "loses text: what it decodes to is read otherwise when encoded and decoded again")
        return Decoded(text, has_other_ids=True)

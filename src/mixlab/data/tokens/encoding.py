"""From a block of records to tokens: what every worker process does, so that their number changes no byte.

Shape letters: N tokens of a block, D documents, S responses.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mixlab.config.chat import ChatTemplate
from mixlab.config.problems import DataError
from mixlab.data.records import ROLES, Record, find_fault, is_plain_dialogue, texts_of
from mixlab.data.tokens.chat import render
from mixlab.data.tokens.cutting import LONGEST_CHARACTERS
from mixlab.data.tokens.dialogues import Turns, WrittenDialogues, write_dialogues
from mixlab.data.tokens.text_encoder import IdBuffer, TextEncoder

SMALL_VOCABULARY = 65536
"""Up to so many entries a token takes two bytes."""


def token_dtype(vocab_size: int) -> np.dtype:
    """Little-endian uint16 while ids fit, else uint32."""
    return np.dtype("<u2" if vocab_size <= SMALL_VOCABULARY else "<u4")


class Numbered(NamedTuple):
    """Records and the number, from 1, by which each is told to people."""

    numbers: list[int]
    records: list[Record]


class Block(NamedTuple):
    """Tokens of a block of records: ids as bytes of the store's dtype, where documents end [D], responses [S, 2].

    `unknown`: how many of them stand for an unknown piece; None where the tokenizer has no such token.
    """

    ids: bytes
    ends: np.ndarray
    spans: np.ndarray
    refused: list[tuple[int, str]]
    unknown: int | None = None


_Encoded = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Ids [N], ends of documents [D], spans of responses [S, 2]."""


class RecordEncoder:
    """Encodes blocks of records of one source with one tokenizer.

    Raises DataError when the folder holds no tokenizer with an end token.
    """

    def __init__(self, chat: ChatTemplate | None, tokenizer_folder: Path, backend: str = "hf") -> None:
        self._chat = chat
        # raw text is only text: "<|end|>" in it becomes its bytes; in a template it is the token
        self._texts = TextEncoder(tokenizer_folder, specials=chat is not None, backend=backend)
        self.vocabulary = self._texts.vocabulary
        self._dtype = token_dtype(self.vocabulary.size)
        self._is_special = np.zeros(self.vocabulary.size, dtype=bool)
        self._is_special[list(self.vocabulary.special_tokens.values())] = True
        self._turns = None if chat is None else self._find_turns(chat)

    def _find_turns(self, chat: ChatTemplate) -> Turns | None:
        """Whether every border between prompt and response touches a special token, which nothing can cross."""
        prefix = {role: getattr(chat, f"{role}_prefix") for role in ROLES}
        suffix = {role: getattr(chat, f"{role}_suffix") for role in ROLES}
        specials = {role: (self._count_specials(prefix[role]), self._count_specials(suffix[role])) for role in ROLES}
        for text in (chat.assistant_prefix, chat.assistant_suffix):
            if not any(text.endswith(token) for token in self.vocabulary.special_tokens):
                return None
        return Turns(prefix, suffix, specials)

    def _count_specials(self, text: str) -> int:
        (ids,) = self._texts.encode([text])
        return int(self._is_special[ids].sum())

    def encode(self, block: Numbered) -> Block:
        """Encode a block; every document ends with the end token.

        Refused are texts that are no Unicode, and dialogues that hold a special token as text, since it would end or
        open a turn. Raises DataError for a record of the wrong form.
        """
        refused = [] if self._chat is None else self._find_special(block)
        try:
            return self._encode(_without(block, refused), refused)
        except TypeError:
            broken = [one for one in _find_broken(block) if one[0] not in dict(refused)]
            if not broken:
                raise
        refused = sorted([*refused, *broken])
        return self._encode(_without(block, refused), refused)

    def _encode(self, block: Numbered, refused: list[tuple[int, str]]) -> Block:
        encode = self._encode_raw if self._chat is None else self._encode_dialogues
        ids_N, ends_D, spans_S2 = encode(block)
        if not self._texts.coverage.is_complete and (lost := self._find_lost(block)):
            refused = sorted([*refused, *lost])
            ids_N, ends_D, spans_S2 = encode(_without(block, lost))
        unknown_id = self._texts.coverage.unknown_id
        unknown = None if unknown_id is None else int(np.count_nonzero(ids_N == unknown_id))
        return Block(ids_N.tobytes(), ends_D, spans_S2, refused, unknown)

    def _find_lost(self, block: Numbered) -> list[tuple[int, str]]:
        """Records of which nothing but the template and the end token would be left."""
        contents = [texts_of(record) for record in block.records]
        encoded = self._texts.encode([text for texts in contents for text in texts])
        tokens = [sum(len(next(encoded)) for _ in texts) for texts in contents]
        lost = [number for number, count in zip(block.numbers, tokens, strict=True) if not count]
        return [(number, "the tokenizer has no token for any of it") for number in lost]

    def _encode_raw(self, block: Numbered) -> _Encoded:
        texts: list[str] = []
        for number, record in zip(*block, strict=True):
            text: Any = record.get("text") if type(record) is dict else None
            if type(text) is not str or not text or text.isspace():
                _check_form("raw", record, number)
            texts.append(text)
        flat = IdBuffer(self._dtype)
        ends = []
        end = self.vocabulary.end_id
        for ids in self._texts.encode(texts):
            flat.extend(ids)
            flat.append(end)
            ends.append(len(flat))
        return self._arrays(flat, ends, [])

    def _arrays(self, flat: IdBuffer, ends: list[int], spans: list[tuple[int, int]]) -> _Encoded:
        spans_S2 = np.array(spans, dtype=np.int64).reshape(-1, 2)
        return flat.to_array(), np.array(ends, dtype=np.int64), spans_S2

    def _find_special(self, block: Numbered) -> list[tuple[int, str]]:
        """Dialogues that hold a special token as text, by number and reason; raises for those of the wrong form."""
        contents: list[str] = []
        for number, record in zip(*block, strict=True):
            if not is_plain_dialogue(record):
                _check_form("instruction", record, number)
            contents += [message["content"] for message in record["messages"]]
        if self._texts.find_special("\n".join(contents)) is None:
            return []
        refused = []
        for number, record in zip(*block, strict=True):
            held = [token for text in texts_of(record) if (token := self._texts.find_special(text)) is not None]
            if held:
                token = min(held, key=self.vocabulary.special_tokens.__getitem__)
                refused.append((number, f"holds the special token {token} as text"))
        return refused

    def _encode_dialogues(self, block: Numbered) -> _Encoded:
        """Encode dialogues at one go where special tokens part prompts and responses, else piece by piece."""
        if self._turns is not None:
            whole = write_dialogues(block.records, self._turns)
            if all(len(text) <= LONGEST_CHARACTERS for text in whole.texts):
                encoded = self._encode_whole(whole)
                if encoded is not None:
                    return encoded
        return self._encode_pieces(block.records)

    def _encode_whole(self, whole: WrittenDialogues) -> _Encoded | None:
        """Find the responses by counting special tokens; None when there are others than the template's."""
        end = self.vocabulary.end_id
        flat = IdBuffer(self._dtype)
        ends = []
        appended = 0
        for ids in self._texts.encode(whole.texts):
            flat.extend(ids)
            if ids[-1] != end:
                flat.append(end)
                appended += 1
            ends.append(len(flat))
        ids_N, ends_D, _ = self._arrays(flat, ends, [])
        places = np.flatnonzero(self._is_special[ids_N])
        extra = 1 if appended else 0  # to every dialogue or to none: all end as the template ends
        expected = np.cumsum(np.array(whole.specials, dtype=np.int64) + extra)
        if extra * len(ends) != appended or not np.array_equal(np.searchsorted(places, ends_D), expected):
            return None
        responses = np.array(whole.responses, dtype=np.int64).reshape(-1, 3)
        until = responses[:, 1:] + extra * responses[:, :1]
        return ids_N, ends_D, places[until - 1] + 1 if len(until) else until

    def _encode_pieces(self, records: Sequence[Record]) -> _Encoded:
        assert self._chat is not None
        rendered = [render(record["messages"], self._chat) for record in records]
        encoded = self._texts.encode([piece.text for pieces in rendered for piece in pieces])
        flat = IdBuffer(self._dtype)
        ends: list[int] = []
        spans: list[tuple[int, int]] = []
        for pieces in rendered:
            for piece in pieces:
                start = len(flat)
                flat.extend(last := next(encoded))
                if piece.is_response:
                    spans.append((start, len(flat)))
            if not len(last) or last[-1] != self.vocabulary.end_id:
                flat.append(self.vocabulary.end_id)
            ends.append(len(flat))
        return self._arrays(flat, ends, spans)


def _check_form(kind: str, record: Any, number: int) -> None:
    if fault := find_fault(kind, record):
        cure = "instruction records need `chat`, raw text takes none"
        raise DataError(f"record {number}: {fault} ({cure})")


def _find_broken(block: Numbered) -> list[tuple[int, str]]:
    """Records with text that has no UTF-8: JSON may spell half of a surrogate pair."""
    found = []
    for number, record in zip(*block, strict=True):
        try:
            "".join(texts_of(record)).encode()
        except UnicodeEncodeError as error:
            found.append((number, f"holds U+{ord(error.object[error.start]):04X}, half of a pair and no character"))
    return found


def _without(block: Numbered, refused: Sequence[tuple[int, str]]) -> Numbered:
    if not refused:
        return block
    told = dict(refused)
    kept = [pair for pair in zip(*block, strict=True) if pair[0] not in told]
    return Numbered([number for number, _ in kept], [record for _, record in kept])

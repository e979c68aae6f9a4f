"""Prompts as a model with our tokenizer is shown them: encoded, and fitted to its positions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from mixlab.config.generation import SamplingSettings
from mixlab.config.problems import DataError
from mixlab.data.tokens.tokenizer import load_tokenizer, read_vocabulary
from mixlab.generation.engine import TOO_LONG, Completion, Finished, Request


@dataclass(frozen=True)
class Encoded:
    """The tokens of a prompt; `cut_tokens` were left out at its beginning. `fits`: whether it can be asked."""

    ids: list[int]
    fits: bool
    cut_tokens: int = 0

    def refuse(self) -> Completion:
        """Return what stands for the response to a prompt that is not asked."""
        return Completion("", len(self.ids), 0, TOO_LONG)


class PromptEncoder:
    """A tokenizer folder (`tokenizer.json`), for a model of `positions` tokens."""

    def __init__(self, tokenizer: Path, positions: int) -> None:
        self._tokenizer: Tokenizer = load_tokenizer(tokenizer)
        self._positions = positions
        vocabulary = read_vocabulary(tokenizer, self._tokenizer)
        self.size, self.end_id, self.pad_id = vocabulary.size, vocabulary.end_id, vocabulary.pad_id
        self.end_token, self.pad_token = vocabulary.end_token, vocabulary.pad_token
        self.special_tokens = tuple(vocabulary.special_tokens)

    def check_rows(self, rows: int) -> None:
        """Raise DataError when the tokenizer has more entries than the model has embeddings."""
        if self.size > rows:
            raise DataError(
                f"the tokenizer has {self.size} entries but the model only {rows}: "
                "generate with the tokenizer the model was trained with"
            )

    def encode(self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool) -> list[Encoded]:
        """Encode prompts in their order; an empty one is shown as an end token.

        Raises ValueError for messages: they are for a server with a template of its own.
        """
        if any(request.messages for request in requests):
            raise ValueError("messages without a chat template; use PromptSettings.with_chat_template")
        self._tokenizer.encode_special_tokens = not chat
        texts = [request.text for request in requests]
        rows = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [self._fit(row.ids or [self.end_id], sampling) for row in rows]

    def encode_fitting(
        self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool
    ) -> tuple[dict[int, Encoded], Finished]:
        """Encode prompts; return those that can be asked by position, and what stands for the responses to others."""
        encoded = dict(enumerate(self.encode(requests, sampling, chat=chat)))
        refused = [(at, one.refuse()) for at, one in encoded.items() if not one.fits]
        return {at: one for at, one in encoded.items() if one.fits}, refused

    def _fit(self, ids: list[int], sampling: SamplingSettings) -> Encoded:
        room = self._positions - sampling.max_new_tokens
        if len(ids) <= room:
            return Encoded(ids, True)
        if sampling.long_prompts == "truncate_left" and room > 0:
            return Encoded(ids[-room:], True, len(ids) - room)
        return Encoded(ids, False)

    def encode_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts as they are; special tokens written in them are text."""
        self._tokenizer.encode_special_tokens = True
        return [row.ids for row in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    @property
    def positions(self) -> int:
        """How many tokens the model can be shown."""
        return self._positions

    def find_too_long(
        self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool
    ) -> list[tuple[int, str]]:
        """Return position and length of each prompt that cannot be asked; see `Engine.find_too_long`."""
        encoded = self.encode(requests, sampling, chat=chat)
        told = f"and max_new_tokens {sampling.max_new_tokens} do not fit the model's {self._positions} positions"
        return [(at, f"{len(one.ids)} tokens {told}") for at, one in enumerate(encoded) if not one.fits]

    def find_ends(self, sampling: SamplingSettings) -> list[int]:
        """Return the ids that end a response, the tokenizer's end token first.

        Raises DataError for an end token that the tokenizer does not have as one token.
        """
        found = {token: self._tokenizer.token_to_id(token) for token in sampling.end_tokens}
        if absent := sorted(token for token, id_ in found.items() if id_ is None):
            raise DataError(
                f"end_tokens: the tokenizer has no token {', '.join(map(repr, absent))}; name others, "
                "or write the text into stop"
            )
        return list(dict.fromkeys([self.end_id, *(id_ for id_ in found.values() if id_ is not None)]))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens, without special ones."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

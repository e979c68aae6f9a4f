"""What a tokenizer makes of text that it was not made for: bytes, a token for the unknown, or nothing at all."""

import json
from typing import Any, NamedTuple

from tokenizers import Tokenizer, pre_tokenizers


class Coverage(NamedTuple):
    """Whether every text can be written in a tokenizer's entries, and the id of what stands for an unknown piece."""

    is_complete: bool
    unknown_id: int | None

    @property
    def is_lossy(self) -> bool:
        """Whether text may vanish without a trace."""
        return not self.is_complete and self.unknown_id is None


def find_coverage(tokenizer: Tokenizer) -> Coverage:
    """Say what a tokenizer does with text outside of its vocabulary, by what its file declares."""
    card = json.loads(tokenizer.to_str())
    model, vocabulary = card["model"], tokenizer.get_vocab(with_added_tokens=False)
    is_complete = False
    if _has_byte_level(card["pre_tokenizer"]) or _has_byte_level(card["normalizer"]):
        is_complete = all(letter in vocabulary for letter in pre_tokenizers.ByteLevel.alphabet())
    if model.get("byte_fallback"):
        is_complete = is_complete or all(f"<0x{byte:02X}>" in vocabulary for byte in range(256))
    unknown = model.get("unk_token")
    return Coverage(is_complete, model.get("unk_id") if unknown is None else tokenizer.token_to_id(unknown))


def _has_byte_level(step: Any) -> bool:
    if isinstance(step, dict):
        return step.get("type") == "ByteLevel" or any(_has_byte_level(part) for part in step.values())
    return isinstance(step, list) and any(_has_byte_level(part) for part in step)

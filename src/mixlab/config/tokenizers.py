"""What decides a tokenizer and a token store."""

from typing import Literal

from pydantic import Field

from mixlab.config.base import Settings
from mixlab.config.chat import ChatTemplate

PAD_TOKEN = "<|pad|>"
END_TOKEN = "<|end|>"
USER_TOKEN = "<|user|>"
ASSISTANT_TOKEN = "<|assistant|>"
SYSTEM_TOKEN = "<|system|>"
SPECIAL_TOKENS = (PAD_TOKEN, END_TOKEN, USER_TOKEN, ASSISTANT_TOKEN, SYSTEM_TOKEN)
"""In the order of their ids, 0 to 4."""
SMALLEST_VOCABULARY = 256 + len(SPECIAL_TOKENS)
"""All bytes and the special tokens: no merge at all."""


class TokenizerSettings(Settings):
    """How a tokenizer is trained; its sources are its parents."""

    algorithm: Literal["byte_bpe"] = Field("byte_bpe", description="byte-level byte-pair encoding")
    vocab_size: int = Field(
        ge=SMALLEST_VOCABULARY,
        le=1_000_000,
        description="entries wanted, special tokens included; scarce text yields fewer",
    )
    individual_digits: bool = Field(True, description="every digit is a token of its own")
    split_scripts: bool = Field(True, description="no token crosses from kanji to hiragana or katakana")
    records_per_source: int | None = Field(
        None, gt=0, description="read at most this many records of each source; all when absent"
    )
    bytes_per_source: int | None = Field(
        None, gt=0, description="stop reading a source after this many bytes of text; never when absent"
    )


class TokenizeSettings(Settings):
    """How the records of one source become tokens."""

    chat: ChatTemplate | None = Field(None, description="chat template of an instruction source; absent for raw text")


class PackSettings(Settings):
    """How the documents of a token store become windows.

    A raw document longer than a window is cut into pieces, an instruction document is truncated.
    """

    sequence_tokens: int = Field(gt=1, le=1_048_576, description="tokens in a window at most")
    layout: Literal["packed", "one_per_window"] = Field(
        "packed",
        description="packed: documents share a window without seeing each other; one_per_window: one sample each",
    )

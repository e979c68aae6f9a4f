"""What every engine offers: prompts in, completions out, in the same order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mixlab.config.generation import SamplingSettings

FinishReason = Literal["stop", "length", "prompt_too_long"]


@dataclass(frozen=True)
class Completion:
    """A model's continuation of one prompt.

    `text` ends before the end token or the first stop string. `response_tokens` counts what the model wrote, its end
    token included. `finish_reason`: stop (end token or stop string), length (cut at max_new_tokens), prompt_too_long
    (prompt and max_new_tokens do not fit the model's positions: nothing was generated and `text` is empty).
    """

    text: str
    prompt_tokens: int
    response_tokens: int
    finish_reason: FinishReason


class Engine(Protocol):
    """A model opened once and asked many times."""

    @property
    def special_tokens(self) -> Collection[str]:
        """The special tokens of the model's tokenizer, as they are written."""
        ...

    def generate(
        self, prompts: Sequence[str], sampling: SamplingSettings, seed: int, *, chat: bool
    ) -> list[Completion]:
        """Continue each prompt; what one prompt gets depends on it, its position and `seed`, not on its neighbours.

        `chat`: special tokens written in a prompt are tokens; else they are text like any other.
        """
        ...

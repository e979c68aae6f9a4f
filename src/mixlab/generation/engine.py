"""What every engine offers: requests in, completions out as they are finished."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mixlab.config.generation import SamplingSettings
from mixlab.data.records import Message
from mixlab.data.replies import REFUSED as REFUSED

STOP, LENGTH, TOO_LONG = "stop", "length", "prompt_too_long"


@dataclass(frozen=True)
class Request:
    """One prompt to be continued, and the seed of its own draws (63 bits).

    `text` is the whole prompt. For a server that wraps messages in its own template it is their canonical JSON, and
    `messages` are what is sent; engines with a tokenizer of ours are given no messages.
    """

    text: str
    seed: int
    messages: tuple[Message, ...] = ()
    temperature: float | None = None
    """None: that of the sampling settings."""

    def sampling(self, common: SamplingSettings) -> SamplingSettings:
        """Return how this prompt is sampled: as `common` says, at its own temperature."""
        return common if self.temperature is None else common.at(self.temperature)


@dataclass(frozen=True)
class Completion:
    """A model's continuation of one prompt.

    `text` ends before the end token or the first stop string. `response_tokens` counts what the model wrote, its end
    token included; `prompt_tokens` what it was shown; None where a server does not say. `cut_tokens` were left out at
    the beginning of the prompt, by `long_prompts: truncate_left`. `finish_reason`: stop (end token or stop string),
    length (cut at max_new_tokens), prompt_too_long (prompt and max_new_tokens do not fit the model's positions:
    nothing was generated and `text` is empty), refused (the same, by an endpoint), or what a server says.
    """

    text: str
    prompt_tokens: int | None
    response_tokens: int | None
    finish_reason: str
    cut_tokens: int = 0
    note: str = ""
    """What an endpoint said of a prompt that it refused; it is told and not stored."""


def group_by_temperature(
    requests: Sequence[Request], positions: Iterable[int], common: SamplingSettings
) -> list[tuple[SamplingSettings, list[int]]]:
    """Group positions of requests that are sampled alike, the coolest first; the order within is kept."""
    groups: dict[float, list[int]] = {}
    samplings: dict[float, SamplingSettings] = {}
    for position in positions:
        own = requests[position].sampling(common)
        samplings[own.temperature] = own
        groups.setdefault(own.temperature, []).append(position)
    return [(samplings[temperature], groups[temperature]) for temperature in sorted(groups)]


Finished = list[tuple[int, Completion]]
"""Completions, each with the position of its request."""


class Engine(Protocol):
    """A model opened once and asked many times."""

    @property
    def special_tokens(self) -> Collection[str]:
        """The special tokens of the model's tokenizer, as they are written."""
        ...

    def find_too_long(
        self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool
    ) -> list[tuple[int, str]]:
        """Return the position of each request that leaves no room for max_new_tokens, and how long it is, in words."""
        ...

    def generate(self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool) -> Iterator[Finished]:
        """Yield each request's completion once, in any order, as soon as it is there.

        What one request gets depends on its text, seed and temperature, not on its neighbours; temperature 0 is greedy
        and uses no seed. `chat`: special tokens written in a prompt are tokens; else they are text like any other.
        """
        ...

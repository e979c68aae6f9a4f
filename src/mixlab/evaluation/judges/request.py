"""What is sent to a judge and what became of it; apart from who sends it, as counting needs no network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mixlab.config.problems import UserError


@dataclass(frozen=True)
class Request:
    """A question: its name in the store, the number of the attempt, the body of the request, and its bytes.

    `data` is what is sent: canonical JSON, so that what a question is named by is what is asked.
    """

    question: bytes
    attempt: int
    body: Mapping[str, Any]
    data: bytes
    max_tokens: int

    @property
    def model(self) -> str:
        """The model that is asked."""
        return str(self.body["model"])


@dataclass
class Outcome:
    """What became of the questions that are not in the store."""

    given_up: dict[bytes, str] = field(default_factory=dict)
    """Questions that no try could get answered, and why."""
    over_budget: list[bytes] = field(default_factory=list)
    unasked: list[bytes] = field(default_factory=list)
    """Questions that were not asked since the endpoint or the store cannot be used: `failure` says why."""
    failure: UserError | None = None

"""What is sent to a judge; apart from who sends it, as counting what is left to ask needs no network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """A question as it is sent: its name in the store, the number of the attempt, and the body of the request."""

    question: bytes
    attempt: int
    body: Mapping[str, Any]
    max_tokens: int

    @property
    def model(self) -> str:
        """The model that is asked."""
        return str(self.body["model"])

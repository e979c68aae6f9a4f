"""What is sent to a judge; apart from who sends it, as counting what is left to ask needs no network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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

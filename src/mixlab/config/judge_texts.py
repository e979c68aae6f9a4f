"""What the texts of any judge have in common, and how our own are read."""

from pathlib import Path
from typing import TypeVar

from pydantic import Field

from mixlab.config.base import Settings
from mixlab.config.loading import load_document
from mixlab.config.problems import ConfigError
from mixlab.config.validation import validate

_PROMPTS = Path(__file__).parent / "judge_prompts"

T = TypeVar("T", bound=Settings)


class TurnTexts(Settings):
    """The texts by which a judge is shown a dialogue turn by turn, with and without a reference, in one language."""

    system: str = Field(min_length=1, description="system message")
    exchange: str = Field(description="one earlier question and answer")
    first: str = Field(description="first turn, item without reference")
    first_with_reference: str = Field(description="first turn, item with reference")
    later: str = Field(description="later turn, item without reference")
    later_with_reference: str = Field(description="later turn, item with reference")


def load_texts(model: type[T], file: str) -> T:
    """Read texts of our own; raises ConfigError for what is wrong with them."""
    texts, problems = validate(model, load_document(_PROMPTS / file))
    if problems or texts is None:
        raise ConfigError(problems)
    return texts

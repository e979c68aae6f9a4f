"""Models that somebody serves, as a study names them to have them evaluated beside its own."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from mixlab.config.chat import ChatTemplate, default_chat
from mixlab.config.engines import OpenaiEngineSettings, ServedSettings

_HEADING = "\n### "
"""In our plain template a model that goes on past its answer opens the next turn."""


class ServedModelConfig(ServedSettings):
    """A model behind an OpenAI-compatible endpoint: it is asked and scored, never trained."""

    endpoint: str = Field(min_length=1, description="name of an endpoint of the machine settings; not in the key")
    chat_template: ChatTemplate | None = Field(
        default=None,
        description="api completions: how dialogues are written; absent: headings in plain words, cut at the next one",
    )
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="strings before which its responses are cut, beside each benchmark's"
    )
    description: str = Field(default="", description="one sentence for the report")

    @model_validator(mode="after")
    def _template_has_a_use(self) -> Self:
        if self.api == "chat" and self.chat_template is not None:
            raise ValueError("chat_template has no effect with api chat, where the endpoint has its own; remove it")
        return self

    def to_engine(self) -> OpenaiEngineSettings:
        """Return what identifies the model, and how it is asked."""
        return OpenaiEngineSettings(**{name: getattr(self, name) for name in ServedSettings.model_fields})

    def to_chat_template(self) -> ChatTemplate | None:
        """Return the template that dialogues are written in, None where the endpoint has its own."""
        return None if self.api == "chat" else self.chat_template or default_chat("\n\n")

    def all_stops(self) -> tuple[str, ...]:
        """Return the strings before which any of its responses is cut."""
        plain = self.api == "completions" and self.chat_template is None
        return (*self.stop, *([_HEADING] if plain else []))

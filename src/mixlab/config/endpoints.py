"""Language models behind an OpenAI-compatible endpoint: what decides their answers, and where they are reached."""

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue, field_validator

from mixlab.config.base import Settings

_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_OWN_FIELDS = frozenset(
    {
        "model",
        "messages",
        "prompt",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "stop",
        "stream",
        "n",
    }
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_SECRETS = frozenset(
    {"key", "keys", "apikey", "token", "secret", "secrets", "password", "passwords", "authorization", "bearer"}
)


def _find_secrets(value: JsonValue) -> Iterator[str]:
    """Yield the names, at any depth, that have a word for a secret: `apiKey` and `api_key`, not `keyword`."""
    if isinstance(value, dict):
        for name, held in value.items():
            if _SECRETS & {word.lower() for word in _WORD.findall(name)}:
                yield name
            yield from _find_secrets(held)
    elif isinstance(value, list):
        for held in value:
            yield from _find_secrets(held)


def _check_extra(extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if own := sorted(_OWN_FIELDS & set(extra)):
        raise ValueError(f"`extra` may not hold {', '.join(own)}: these have fields of their own or are fixed")
    if secret := sorted(set(_find_secrets(extra))):
        raise ValueError(f"`extra` holds {', '.join(secret)}: a key belongs into an environment variable")
    return extra


Extra = Annotated[dict[str, JsonValue], AfterValidator(_check_extra)]
"""Further fields of a request: none that has a field of its own, and none that holds a secret."""


class ChatModelSettings(Settings):
    """A model as its endpoint names it, and how it is asked: this decides its answers and enters the key.

    Which weights stand behind a name is the endpoint's affair; name them fully, with a date or revision.
    """

    model: str = Field(min_length=1, max_length=400, description="name of the model, as the endpoint knows it")
    temperature: float | None = Field(default=0.0, ge=0, le=2, description="0 is greedy; null: the endpoint's default")
    top_p: float | None = Field(default=None, gt=0, le=1, description="nucleus sampling; null: the endpoint's default")
    max_tokens: int = Field(default=64, ge=1, le=1_000_000, description="longest reply, in tokens, thinking included")
    max_tokens_name: Annotated[str, Field(pattern="^max_(completion_)?tokens$")] = Field(
        default="max_tokens", description="how this endpoint calls it: max_tokens or max_completion_tokens"
    )
    seed: int | None = Field(default=0, ge=0, lt=2**31, description="seed of the first attempt; null: none is sent")
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), max_length=4, description="stop strings")
    extra: Extra = Field(
        default_factory=dict,
        description="further fields of each request, e.g. reasoning_effort or chat_template_kwargs; never a key",
    )


class EndpointSettings(Settings):
    """An OpenAI-compatible endpoint as this machine reaches it; none of this enters a key."""

    url: str = Field(min_length=8, max_length=2000, description="base address, e.g. http://127.0.0.1:8000/v1")
    api_key_env: str | None = Field(
        default=None, description="NAME of the environment variable that holds the key; absent: no key is sent"
    )
    concurrency: int = Field(default=8, ge=1, le=1024, description="requests under way at a time")
    timeout_seconds: float = Field(default=120.0, gt=0, le=86_400, description="longest wait for one reply")
    max_retries: int = Field(
        default=6, ge=0, le=100, description="further tries after 429, 5xx, a lost connection or an unreadable reply"
    )
    requests_per_minute: float | None = Field(default=None, gt=0, description="never send faster; absent: no limit")
    tokens_per_minute: float | None = Field(
        default=None, gt=0, description="never ask for more, prompts and replies together; absent: no limit"
    )

    # both messages leave the value out: what is pasted into the wrong place may be a secret
    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not _VARIABLE.match(name):
            raise ValueError("must be the name of an environment variable, such as LABELS_API_KEY, not the key itself")
        return name

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            usable = usable and url.isprintable() and " " not in url
            (parts.hostname or "").encode("idna")
        except ValueError:  # a UnicodeError is one: a label of the host is empty or longer than 63 characters
            usable = False
        if not usable:
            raise ValueError("must be an address such as http://127.0.0.1:8000/v1")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("must hold no user name, password, query or fragment; name the key's variable instead")
        return url.rstrip("/")

"""OpenAI-compatible chat endpoints, such as vLLM or commercial ones: what a request holds, and what an answer means.

How they are sent is in `async_chat`. What a server says is shown cut short and without the key.
"""

import email.utils
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mixlab.config.endpoints import ChatModelSettings, EndpointSettings
from mixlab.config.problems import ConfigError, UserError, did_you_mean
from mixlab.data.records import Message
from mixlab.generation.pacing import Pacer
from mixlab.generation.replies import ChatReply, read_error, read_reply
from mixlab.generation.secrets import KeyHider

LONGEST_PAUSE_SECONDS = 3600.0
"""An endpoint that asks for a longer pause is not waited for."""
LARGEST_REPLY_BYTES = 16 * 2**20
"""The longest reply that settings can ask for has a million tokens, some 5 MB of text."""

SLACK_TOKENS = 2**17
"""A server may put a prompt of its own before what it is sent, and let a model think beyond max_tokens."""

CONNECT_SECONDS = 10.0
_SHOWN_CHARACTERS = 300
_TRANSIENT = frozenset({408, 409, 425, 429})
_UNBILLED = frozenset({425, 429, 503})
"""Turned away before any work; behind a gateway's 502, 504 or 524 the model may have answered, and been billed."""
_REFUSED = frozenset({400, 413, 422})


class EndpointError(UserError):
    """The endpoint cannot be used at all: asking on makes no sense."""


class NotFoundError(EndpointError):
    """The endpoint has no such model or address; which models it has, another request can say."""


class RefusedError(UserError):
    """The endpoint takes requests but not this one: too long, or against its rules.

    `said` is what the server said, without the endpoint's name and address: fit for an artifact.
    """

    def __init__(self, where: str, said: str) -> None:
        super().__init__(f"{where}: {said}")
        self.said = said


class UnansweredError(UserError):
    """This request got no answer within all its tries; another may."""


@dataclass(frozen=True)
class Fault:
    """Why one try failed, and how long the endpoint asks to wait.

    `is_free`: the endpoint said that it did not answer, so that nothing is billed; else it may have worked all the
    same. `is_down`: it speaks for an endpoint that is gone, not for one that is busy.
    """

    message: str
    wait_seconds: float = 0.0
    is_free: bool = False
    is_down: bool = True


class ChatClient:
    """What is known of one endpoint, and what its answers mean.

    `name` is the endpoint's name in messages, `backoff_seconds` the longest first wait between two tries of a request.
    """

    def __init__(self, name: str, endpoint: EndpointSettings, key: str | None, *, backoff_seconds: float = 1.0) -> None:
        if key is not None and not (key.isascii() and key.isprintable() and key.strip()):
            raise ConfigError(
                f"endpoint '{name}': ${endpoint.api_key_env} holds no usable key (empty, or not one line)"
            )
        self.endpoint = endpoint
        self.where, self.backoff_seconds = f"endpoint '{name}' ({endpoint.url})", backoff_seconds
        self._hider = KeyHider(key)
        self.headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self.pacer = Pacer(endpoint.requests_per_minute, endpoint.tokens_per_minute)

    def read_answer(
        self, status: int, headers: Mapping[str, str], reply: bytes, *, is_plain: bool = False
    ) -> ChatReply | Fault:
        """Say what an answer to a request is: a reply without the key in it, or a fault after which to try again.

        Raises EndpointError where no request can succeed (key not accepted), NotFoundError, and RefusedError.
        """
        self.check_key(status)
        if status == 200:
            try:
                found = read_reply(reply, is_plain=is_plain)
            except ValueError as error:
                return Fault(str(error))
            # a server that repeats what it was sent must not bring the key into a file
            return replace(found, text=self.hide_key(found.text), finish_reason=self.hide_key(found.finish_reason))
        said = f"HTTP {status}: {self._quote(reply)}"
        if status in _TRANSIENT or status >= 500:
            return Fault(said, self._read_pause(headers), is_free=status in _UNBILLED, is_down=status >= 500)
        if status in _REFUSED:
            raise RefusedError(self.where, said)
        raise (NotFoundError if status == 404 else EndpointError)(f"{self.where}: {said}")

    def check_key(self, status: int) -> None:
        """Raise EndpointError where the key is not accepted; what a server says of it may hold it, and is not shown."""
        if status in (401, 403):
            variable = self.endpoint.api_key_env
            cure = f"does not accept the key in ${variable}" if variable else "wants a key: set its api_key_env"
            raise EndpointError(f"{self.where}: HTTP {status}: {cure}")

    def _read_pause(self, headers: Mapping[str, str]) -> float:
        seconds = read_pause(headers)
        if seconds > LONGEST_PAUSE_SECONDS:
            raise EndpointError(f"{self.where}: asks to wait for more than an hour; run again later")
        return seconds

    def hide_key(self, text: str) -> str:
        """Return what the server says without the key."""
        return self._hider.hide(text)

    def _quote(self, reply: bytes) -> str:
        text = " ".join(self.hide_key(read_error(reply)).split())
        return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def suggest_model(model: str, models: Sequence[str]) -> str:
    """Say what to look at where a model or an address is not found."""
    hint = did_you_mean(model, models)
    known = f"; it has: {', '.join(models[:20])}" if models else ""
    return f"; is '{model}' one of its models, and the url right (it mostly ends in /v1)?{hint}{known}"


def read_pause(headers: Mapping[str, str]) -> float:
    """Read Retry-After, in seconds or as a date; what cannot be read asks for nothing.

    A date is compared with the server's own clock where it says what that shows: ours may be wrong, or jump.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        then = email.utils.parsedate_to_datetime(value).timestamp()
        said = headers.get("Date")
        now = email.utils.parsedate_to_datetime(said).timestamp() if said else time.time()
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, then - now)


def estimate_tokens(body: bytes, max_tokens: int) -> int:
    """Estimate the tokens of a request and its reply before it is sent: a third of its bytes, and a reply of 256."""
    return len(body) // 3 + min(max_tokens, 256)


def is_overstated(reply: ChatReply, body: bytes, max_tokens: int) -> bool:
    """Whether a reply states more tokens than can have been sent (each is a byte of `body` at least) or asked for."""
    return reply.prompt_tokens > len(body) + SLACK_TOKENS or reply.response_tokens > max_tokens + SLACK_TOKENS


def build_request(messages: Sequence[Message] | str, settings: ChatModelSettings) -> dict[str, Any]:
    """Build the body of a request: what `settings` leave null is not sent, so that the endpoint's default holds."""
    optional = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": settings.seed,
        "stop": list(settings.stop) or None,
    }
    given = {name: value for name, value in optional.items() if value is not None}
    prompt = {"prompt": messages} if isinstance(messages, str) else {"messages": list(messages)}
    body = {"model": settings.model, **prompt, settings.max_tokens_name: settings.max_tokens}
    return {**body, "stream": False, **given, **settings.extra}

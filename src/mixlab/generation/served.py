"""The engine `openai`: a model that somebody serves at an OpenAI-compatible endpoint.

Which weights answer, and whether greedy decoding there depends on other requests, is the server's affair. Responses are
cut at stop strings here as well, so that one a server did not take cuts all the same.
"""

from collections.abc import Iterator, Sequence

from mixlab.config.endpoints import ChatModelSettings
from mixlab.config.engines import OpenaiEngineSettings
from mixlab.config.generation import SamplingSettings
from mixlab.config.problems import DataError
from mixlab.data.records import Message
from mixlab.data.replies import BROKEN_OFF, UNANSWERED
from mixlab.generation.asking import ask_all
from mixlab.generation.engine import REFUSED, STOP, Completion, Finished, Request
from mixlab.generation.openai import ChatClient
from mixlab.generation.replies import ChatReply
from mixlab.generation.rows import cut_at_stop

MOST_STOPS = 4
"""So many stop strings are sent: the reference API takes no more."""
ROUNDS = 3
"""So often a request whose replies are broken off is asked, each time behind all others."""
_SEEDS = 2**31


class ServedEngine:
    """A served model; see `Engine`. Special tokens in a prompt are the endpoint's affair."""

    special_tokens: tuple[str, ...] = ()

    def __init__(self, client: ChatClient, settings: OpenaiEngineSettings) -> None:
        self._client = client
        self._settings = settings

    def find_too_long(
        self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool
    ) -> list[tuple[int, str]]:
        """Return nothing: only the endpoint knows how many tokens a prompt has; it refuses one that is too long."""
        return []

    def generate(self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool) -> Iterator[Finished]:
        """Ask several at a time and yield what is answered or refused as it comes; what was yielded stands.

        A reply that the endpoint broke off is none: it is asked for again as long as a round mends some of them.
        Raises DataError at the end with the number of requests that no try got answered, and EndpointError where the
        endpoint cannot be used.
        """
        unanswered: list[ChatReply] = []
        left = list(range(len(requests)))
        for _ in range(ROUNDS):
            broken: dict[int, ChatReply] = {}
            asked = ((self._say(requests[at]), self._build_settings(requests[at], sampling)) for at in left)
            for arrived in ask_all(self._client, asked):
                placed = [(left[at], reply) for at, reply in arrived]
                unanswered += [reply for _, reply in placed if reply.finish_reason == UNANSWERED]
                broken |= {at: _tell_broken(reply) for at, reply in placed if _is_broken(reply)}
                if finished := [(at, _complete(reply, sampling)) for at, reply in placed if not _is_lost(reply)]:
                    yield finished
            if not broken or len(broken) == len(left):
                break
            left = sorted(broken)
        unanswered += broken.values()
        if unanswered:
            raise DataError(
                f"{self._settings.model}: {len(unanswered)} of {len(requests)} prompts got no answer; the last: "
                f"{unanswered[-1].text}; run again: all other answers are kept and only these are asked for"
            )

    def _say(self, request: Request) -> Sequence[Message] | str:
        if self._settings.api == "completions":
            return request.text
        return list(request.messages) or [{"role": "user", "content": request.text}]

    def _build_settings(self, request: Request, common: SamplingSettings) -> ChatModelSettings:
        settings, sends = self._settings, self._settings.sends
        sampling = request.sampling(common)
        # a server's own default of top_p need not be 1
        top_p = sampling.top_p if sampling.temperature > 0 else None
        return ChatModelSettings(
            model=settings.model,
            temperature=sampling.temperature if "temperature" in sends else None,
            top_p=top_p if "top_p" in sends else None,
            max_tokens=sampling.max_new_tokens,
            max_tokens_name=settings.max_tokens_name,
            seed=request.seed % _SEEDS if "seed" in sends else None,
            stop=sampling.stop[:MOST_STOPS] if "stop" in sends else (),
            extra=settings.extra,
        )


def _is_broken(reply: ChatReply) -> bool:
    return reply.finish_reason.lower() in BROKEN_OFF


def _is_lost(reply: ChatReply) -> bool:
    return reply.finish_reason == UNANSWERED or _is_broken(reply)


def _tell_broken(reply: ChatReply) -> ChatReply:
    return ChatReply(f"the endpoint broke its reply off (finish_reason {reply.finish_reason})", UNANSWERED)


def _complete(reply: ChatReply, sampling: SamplingSettings) -> Completion:
    if reply.finish_reason == REFUSED:
        return Completion("", None, 0, REFUSED, note=reply.text)
    # a lone surrogate, which JSON can hold, has no UTF-8
    text, stopped = cut_at_stop(reply.text.encode("utf-8", "replace").decode(), sampling.stop)
    # a prompt has at least one token, so a server that says none does not count
    told = reply.prompt_tokens > 0
    return Completion(
        text,
        reply.prompt_tokens if told else None,
        reply.response_tokens if told and (reply.response_tokens or not reply.text) else None,
        STOP if stopped else reply.finish_reason,
    )

"""The responses of a model to one benchmark, as the stages below read them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mixlab.config.problems import DataError
from mixlab.data.writing import write_json, write_line
from mixlab.generation.engine import LENGTH, STOP, TOO_LONG, Completion
from mixlab.generation.journal import digest_prompt

FILE = "responses.jsonl"

_USUAL = (STOP, LENGTH, TOO_LONG)


@dataclass
class Response:
    """What was said about one item, turn by turn; all lists have one entry per turn.

    `turn_prompts` is what the user says in each turn; `prompt_digests` are sha256 of the whole prompts, as text or, for
    a server that wraps messages itself, as their canonical JSON. Tokens are None where a server does not count them.
    `sample` counts from 0 where an item is answered several times, and is None, and not written, where it is not.
    `likelihoods`, written where a task weighs given texts: for each text the natural logarithm of its probability, and
    whether greedy decoding would write it; the response is then the likeliest.
    """

    item: str
    turn_prompts: list[str]
    prompt_digests: list[str] = field(default_factory=list)
    responses: list[str] = field(default_factory=list)
    prompt_tokens: list[int | None] = field(default_factory=list)
    response_tokens: list[int | None] = field(default_factory=list)
    finish_reasons: list[str] = field(default_factory=list)
    cut_tokens: list[int] = field(default_factory=list)
    sample: int | None = None
    likelihoods: list[tuple[float, bool]] | None = None

    def add(self, prompt: str, completion: Completion) -> None:
        """Note what was answered in the next turn."""
        self.prompt_digests.append(digest_prompt(prompt))
        self.responses.append(completion.text)
        self.prompt_tokens.append(completion.prompt_tokens)
        self.response_tokens.append(completion.response_tokens)
        self.finish_reasons.append(completion.finish_reason)
        self.cut_tokens.append(completion.cut_tokens)

    def to_json(self) -> dict[str, Any]:
        """Return what is written of it: without what is not told of most responses."""
        card = asdict(self)
        if self.sample is None:
            del card["sample"]
        if self.likelihoods is None:
            del card["likelihoods"]
        if not any(self.cut_tokens):
            del card["cut_tokens"]
        return card


def write_response_files(responses: Iterable[Response], out: Path) -> None:
    """Write `responses.jsonl`, one line per item and sample, and `index.json` with totals over all turns.

    Where there is something to tell it also has `blank` (responses without a visible character), `prompts_cut` (prompts
    shown without their beginning), `uncounted` (turns of which a server did not say the tokens) and `finish_reasons`
    (what servers say beside stop and length).
    """
    listed = list(responses)
    with (out / FILE).open("w", encoding="utf-8", newline="\n") as stream:
        for response in listed:
            write_line(stream, response.to_json())
    write_json(out / "index.json", _build_index(listed))


def _build_index(listed: Sequence[Response]) -> dict[str, Any]:
    reasons = Counter(reason for response in listed for reason in response.finish_reasons)
    prompt_tokens = [count for response in listed for count in response.prompt_tokens]
    response_tokens = [count for response in listed for count in response.response_tokens]
    told = {
        "blank": sum(not text.strip() for response in listed for text in response.responses),
        "prompts_cut": sum(tokens > 0 for response in listed for tokens in response.cut_tokens),
        "uncounted": sum(None in pair for pair in zip(prompt_tokens, response_tokens, strict=True)),
        "finish_reasons": {name: count for name, count in sorted(reasons.items()) if name not in _USUAL},
    }
    return {
        "items": len({response.item for response in listed}),
        "truncated": reasons[LENGTH],
        "prompt_too_long": reasons[TOO_LONG],
        "prompt_tokens": sum(filter(None, prompt_tokens)),
        "response_tokens": sum(filter(None, response_tokens)),
        **{name: value for name, value in told.items() if value},
    }


def read_responses(folder: Path) -> list[Response]:
    """Read the responses of an artifact; raises DataError naming file and line."""
    adapter = TypeAdapter(Response)
    responses = []
    with (folder / FILE).open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                responses.append(adapter.validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(str(part) for part in first["loc"])
                raise DataError(f"{folder / FILE}:{number}: {place}: {first['msg']}; generate it again") from None
    return responses

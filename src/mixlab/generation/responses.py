"""The responses of a model to one benchmark, as the stages below read them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mixlab.config.problems import DataError
from mixlab.data.writing import write_json, write_line

FILE = "responses.jsonl"


@dataclass
class Response:
    """What was said about one item, turn by turn; all lists have one entry per turn.

    `turn_prompts` is what the user says in each turn; `prompt_digests` are sha256 of the whole prompts the model saw.
    `sample` counts from 0 where an item is answered several times, and is None, and not written, where it is not.
    """

    item: str
    turn_prompts: list[str]
    prompt_digests: list[str] = field(default_factory=list)
    responses: list[str] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    response_tokens: list[int] = field(default_factory=list)
    finish_reasons: list[str] = field(default_factory=list)
    sample: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what is written of it."""
        card = asdict(self)
        if self.sample is None:
            del card["sample"]
        return card


def write_response_files(responses: Iterable[Response], out: Path) -> None:
    """Write `responses.jsonl`, one line per item and sample, and `index.json` with totals over all turns."""
    listed = list(responses)
    with (out / FILE).open("w", encoding="utf-8", newline="\n") as stream:
        for response in listed:
            write_line(stream, response.to_json())
    reasons = [reason for response in listed for reason in response.finish_reasons]
    write_json(
        out / "index.json",
        {
            "items": len({response.item for response in listed}),
            "truncated": reasons.count("length"),
            "prompt_too_long": reasons.count("prompt_too_long"),
            "prompt_tokens": sum(sum(response.prompt_tokens) for response in listed),
            "response_tokens": sum(sum(response.response_tokens) for response in listed),
        },
    )


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

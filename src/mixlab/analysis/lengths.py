"""How long the answers are that a judge rates."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from mixlab.config.problems import DataError
from mixlab.data.thoughts import read_answer
from mixlab.generation.engine import LENGTH
from mixlab.generation.responses import FILE, read_responses

LENGTHS = (pa.field("response_characters", pa.int64()), pa.field("truncated", pa.bool_()))
"""Further columns of tidy scores, where anything was judged: characters of the rated answer, and whether its response
ended at the limit of tokens; None for what no judge rated."""


def read_lengths(responses: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Read the values of LENGTHS by item and turn, from 1.

    Characters are Unicode's: one unit for all models, whatever their tokenizers. Thoughts are no part of an answer.
    Raises DataError naming a response that does not say of each turn how it ended.
    """
    lengths = {}
    for response in read_responses(responses):
        if len(response.responses) != len(response.finish_reasons):
            counts = f"{len(response.responses)} responses and {len(response.finish_reasons)} finish_reasons"
            raise DataError(f"{responses / FILE}: item '{response.item}' has {counts}; generate it again")
        for turn, (text, reason) in enumerate(zip(response.responses, response.finish_reasons, strict=True), start=1):
            lengths[response.item, turn] = {
                "response_characters": len(read_answer(text)),
                "truncated": reason == LENGTH,
            }
    return lengths

"""Asks a model every item of a benchmark, turn by turn."""

import logging
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mixlab.config.generation import PromptSettings
from mixlab.generation.decoding import build_row_seed
from mixlab.generation.engine import Engine, Request
from mixlab.generation.prompts import check_items, render_full_prompt, render_turns
from mixlab.generation.responses import Response, write_response_files

log = logging.getLogger(__name__)


def write_responses(
    engine: Engine, settings: PromptSettings, items: Iterable[Mapping[str, Any]], seed: int, out: Path
) -> None:
    """Write `responses.jsonl` and `index.json` for the first `settings.limit` items, in their order.

    All items are asked their first turn, then all their second with the model's own first answer in the prompt.
    Raises DataError naming every item that cannot be asked.
    """
    asked = list(islice(items, settings.limit))
    check_items(settings, asked, engine.special_tokens)
    responses = [Response(item["id"], render_turns(settings, item)) for item in asked]
    for turn in range(max((len(response.turn_prompts) for response in responses), default=0)):
        _ask_turn(engine, settings, [one for one in responses if len(one.turn_prompts) > turn], seed, turn)
    write_response_files(responses, out)
    log.info("generated %d responses", sum(len(response.responses) for response in responses))


def _ask_turn(engine: Engine, settings: PromptSettings, responses: list[Response], seed: int, turn: int) -> None:
    prompts = [render_full_prompt(settings, one.turn_prompts, one.responses) for one in responses]
    # each turn has a seed of its own, else a sampled second answer would repeat the first one's draws
    turn_seed = seed * 1000 + turn
    requests = [Request(prompt, build_row_seed(turn_seed, at, prompt)) for at, prompt in enumerate(prompts)]
    for finished in engine.generate(requests, settings.sampling, chat=settings.chat):
        for position, completion in finished:
            responses[position].add(prompts[position], completion)

"""Asks a model every item of a benchmark, turn by turn."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mixlab.config.generation import PromptSettings
from mixlab.generation.engine import Engine
from mixlab.generation.prompts import check_items, render_full_prompt, render_turns
from mixlab.generation.responses import Response, write_response_files
from mixlab.generation.shots import place_shots

log = logging.getLogger(__name__)


def write_responses(
    engine: Engine,
    settings: PromptSettings,
    items: Iterable[Mapping[str, Any]],
    seed: int,
    out: Path,
    *,
    examples: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Write `responses.jsonl` and `index.json` for the first `settings.limit` items, in their order.

    All items are asked their first turn, then all their second with the model's own first answer in the prompt.
    `examples` are the items that `settings.shots` takes worked examples from. With several samples the items are asked
    over and over, so that the first sample of each is what it is without the others, and stand in the files item by
    item. Raises DataError naming every item that cannot be asked.
    """
    asked = list(islice(items, settings.limit))
    check_items(settings, asked, engine.special_tokens)
    placed = place_shots(settings, asked, examples, engine.special_tokens)
    settings_of = {item["id"]: own for item, own in zip(asked, placed, strict=True)}
    samples = [None] if settings.samples == 1 else list(range(settings.samples))
    responses = [Response(one["id"], render_turns(settings, one), sample=at) for at in samples for one in asked]
    for turn in range(max((len(response.turn_prompts) for response in responses), default=0)):
        _ask_turn(engine, settings_of, [one for one in responses if len(one.turn_prompts) > turn], seed, turn)
    write_response_files([one for at in range(len(asked)) for one in responses[at :: len(asked)]], out)
    log.info("generated %d responses", sum(len(response.responses) for response in responses))


def _ask_turn(
    engine: Engine, settings_of: Mapping[str, PromptSettings], responses: list[Response], seed: int, turn: int
) -> None:
    settings = settings_of[responses[0].item]
    prompts = [render_full_prompt(settings_of[one.item], one.turn_prompts, one.responses) for one in responses]
    # each turn has a seed of its own, else a sampled second answer would repeat the first one's draws
    completions = engine.generate(prompts, settings.sampling, seed * 1000 + turn, chat=settings.chat)
    for response, prompt, completion in zip(responses, prompts, completions, strict=True):
        response.prompt_digests.append(hashlib.sha256(prompt.encode()).hexdigest())
        response.responses.append(completion.text)
        response.prompt_tokens.append(completion.prompt_tokens)
        response.response_tokens.append(completion.response_tokens)
        response.finish_reasons.append(completion.finish_reason)

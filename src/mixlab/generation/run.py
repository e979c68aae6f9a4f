"""Asks a model every item of a benchmark, turn by turn."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mixlab.config.generation import PromptSettings
from mixlab.config.problems import DataError, Problem
from mixlab.generation.answers import Answers, Greedy
from mixlab.generation.engine import REFUSED, Engine, Request
from mixlab.generation.journal import Journal
from mixlab.generation.prompts import build_dialogue, check_items, render_full_prompt, render_turns
from mixlab.generation.responses import Response, write_response_files
from mixlab.generation.rows import build_row_seed
from mixlab.generation.shots import place_shots

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asking:
    """How this machine asks: what outlives a kill, what equal prompts share, what is measured. It changes no response.

    `work`: folder for what is finished, kept between attempts; None: nothing is kept. The others: see `Answers`.
    """

    work: Path | None = None
    greedy: Greedy | None = None
    measures_dependence: bool = False


def write_responses(
    engine: Engine,
    settings: PromptSettings,
    items: Iterable[Mapping[str, Any]],
    seed: int,
    out: Path,
    asking: Asking = Asking(),
    *,
    examples: Iterable[Mapping[str, Any]] = (),
) -> Mapping[str, str]:
    """Write `responses.jsonl` and `index.json` for the first `settings.limit` items, in their order; return facts.

    All items are asked their first turn, then all their second with the model's own first answer in the prompt.
    `examples` are the items that `settings.shots` takes worked examples from. With several samples the items are asked
    over and over, so that the first sample of each is what it is without the others, and stand in the files item by
    item. Raises DataError naming every item that cannot be asked.
    """
    asked = list(islice(items, settings.limit))
    check_items(settings, asked, engine.special_tokens)
    placed = place_shots(settings, asked, examples, engine.special_tokens)
    settings_of = {item["id"]: own.for_item(item) for item, own in zip(asked, placed, strict=True)}
    samples = [None] if settings.samples == 1 else list(range(settings.samples))
    responses = [Response(one["id"], render_turns(settings, one), sample=at) for at in samples for one in asked]
    journal = Journal(asking.work, keeps_refusals=settings.sampling.long_prompts != "refuse")
    answers = Answers(engine, settings.sampling, settings.chat, journal, asking.greedy, asking.measures_dependence)
    for turn in range(max((len(response.turn_prompts) for response in responses), default=0)):
        _ask_turn(answers, settings_of, [one for one in responses if len(one.turn_prompts) > turn], seed, turn)
    write_response_files([one for at in range(len(asked)) for one in responses[at :: len(asked)]], out)
    log.info("generated %d responses", sum(len(response.responses) for response in responses))
    return answers.facts()


def _ask_turn(
    answers: Answers, settings_of: Mapping[str, PromptSettings], responses: list[Response], seed: int, turn: int
) -> None:
    settings = settings_of[responses[0].item]
    # each turn has a seed of its own, else a sampled second answer would repeat the first one's draws
    turn_seed = seed * 1000 + turn
    requests = [_build_request(settings_of[one.item], one, turn_seed, at) for at, one in enumerate(responses)]
    refuses = settings.sampling.long_prompts == "refuse"
    if refuses:
        found = answers.engine.find_too_long(requests, settings.sampling, chat=settings.chat)
        _refuse_long(responses, turn, found)
    completions = answers.find(requests, f"turn {turn + 1}")
    if refuses:
        told = "the endpoint refused it"
        _refuse_long(
            responses, turn, [(at, told) for at, one in enumerate(completions) if one.finish_reason == REFUSED]
        )
    for response, request, completion in zip(responses, requests, completions, strict=True):
        response.add(request.text, completion)


def _build_request(settings: PromptSettings, response: Response, seed: int, position: int) -> Request:
    """Build the prompt of a response's next turn; without a chat template of ours the messages themselves are sent."""
    if settings.chat and settings.chat_template is None:
        messages = tuple(build_dialogue(settings, response.turn_prompts, response.responses))
        text = json.dumps(messages, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    else:
        messages, text = (), render_full_prompt(settings, response.turn_prompts, response.responses)
    return Request(text, build_row_seed(seed, position, text), messages, settings.sampling.temperature)


def _refuse_long(responses: Sequence[Response], turn: int, found: Iterable[tuple[int, str]]) -> None:
    cure = "lower max_new_tokens, take a model with more positions, or set long_prompts: skip or truncate_left"
    problems = [Problem(f"{told}; {cure}", key=f"item {responses[at].item}, turn {turn + 1}") for at, told in found]
    if problems:
        raise DataError(problems)

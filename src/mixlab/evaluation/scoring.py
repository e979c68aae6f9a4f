"""Scores the responses of one model to one benchmark."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mixlab.config.machine import SandboxRequirement
from mixlab.config.problems import DataError, Problem
from mixlab.config.scorers import (
    ExactMatchSettings,
    FinalNumberSettings,
    LetterChoiceSettings,
    LmEvalScorerSettings,
    MathAnswerSettings,
    ScorerSettings,
    WordChoiceSettings,
)
from mixlab.data.thoughts import read_answer
from mixlab.data.writing import write_json, write_line
from mixlab.evaluation.samples import combine_samples, mean_of_measures
from mixlab.evaluation.scorers.exact_match import score_exact_match
from mixlab.evaluation.scorers.final_number import score_final_number
from mixlab.evaluation.scorers.letter_choice import score_letter_choice
from mixlab.evaluation.scorers.lm_eval import score_lm_eval
from mixlab.evaluation.scorers.math_answer import score_math_answer
from mixlab.evaluation.scorers.python_tests import score_python_tests
from mixlab.evaluation.scorers.score import Pair, Scored
from mixlab.evaluation.scorers.word_choice import score_word_choice
from mixlab.generation.responses import Response, read_responses

log = logging.getLogger(__name__)


def pair_responses(items: Iterable[Mapping[str, Any]], responses: Sequence[Response]) -> list[Pair]:
    """Put each response beside its item, in the order of the responses.

    Raises DataError naming every response to an item that is not in the source, or that was given no answer.
    """
    known = {item["id"]: item for item in items}
    strange = [response.item for response in responses if response.item not in known]
    silent = [response.item for response in responses if not response.responses]
    if strange or silent:
        raise DataError(
            [
                *(Problem("no item of the source: items and responses differ", key=f"item {name}") for name in strange),
                *(Problem("has no response: generate it again", key=f"item {name}") for name in silent),
            ]
        )
    return [(known[response.item], response) for response in responses]


def score_pairs(
    settings: ScorerSettings, pairs: Sequence[Pair], workers: int, require: SandboxRequirement = "any"
) -> Scored:
    """Score items and responses by the scorer that `settings` names, in their order; thoughts are no answer."""
    scored = _score(settings, [(item, _without_thoughts(response)) for item, response in pairs], workers, require)
    samples = (response.sample for _, response in pairs)
    scores = [replace(one, sample=sample) for one, sample in zip(scored.scores, samples, strict=True)]
    return replace(scored, scores=scores)


def _without_thoughts(response: Response) -> Response:
    """The response with the answer alone in its last turn: empty where a thought never ended."""
    return replace(response, responses=[*response.responses[:-1], read_answer(response.responses[-1])])


def _score(settings: ScorerSettings, pairs: Sequence[Pair], workers: int, require: SandboxRequirement) -> Scored:
    if isinstance(settings, ExactMatchSettings):
        return score_exact_match(settings, pairs)
    if isinstance(settings, FinalNumberSettings):
        return score_final_number(settings, pairs)
    if isinstance(settings, LetterChoiceSettings):
        return score_letter_choice(settings, pairs)
    if isinstance(settings, WordChoiceSettings):
        return score_word_choice(settings, pairs)
    if isinstance(settings, MathAnswerSettings):
        return score_math_answer(settings, pairs, workers)
    if isinstance(settings, LmEvalScorerSettings):
        return score_lm_eval(settings, pairs)
    return score_python_tests(settings, pairs, workers, require)


def write_scores(
    settings: ScorerSettings,
    items: Iterable[Mapping[str, Any]],
    responses: Path,
    out: Path,
    *,
    workers: int = 1,
    require: SandboxRequirement = "any",
) -> str | None:
    """Write `scores.jsonl` and `index.json` for the responses in the folder `responses`.

    Where `pass_at` or `majority` ask for it, `samples.jsonl` holds a row per item and measure.
    Returns what kept tested code apart, None where none was run: a fact of this run on this machine, no result.

    Of a multi-turn item the last turn is scored. Items without a response (beyond the limit) are left out. `workers`
    bounds how many programs run at a time and changes no result. Raises DataError for an item that cannot be scored,
    and UserError where code is to be run and the sandbox is not what `require` asks for.
    """
    scored = score_pairs(settings, pair_responses(items, read_responses(responses)), workers, require)
    with (out / "scores.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
        for score in scored.scores:
            write_line(stream, score.to_json())
    combined = combine_samples(settings, scored.scores, workers)
    if combined:
        with (out / "samples.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
            for row in combined:
                write_line(stream, asdict(row))
    total = len(scored.scores)
    mean = sum(score.score for score in scored.scores) / total if total else None
    index: dict[str, Any] = {
        "scorer": settings.scorer,
        "items": len({score.item for score in scored.scores}),
        "mean": mean,
        "parsed": sum(score.parsed for score in scored.scores),
        "unsolvable": [{"item": item, "reason": scored.unsolvable[item]} for item in sorted(scored.unsolvable)],
    }
    if combined:
        index["responses"] = total
        index["samples"] = mean_of_measures(combined)
    write_json(out / "index.json", index)
    log.info("scored %d responses by %s: mean %s", total, settings.scorer, mean)
    return scored.sandbox

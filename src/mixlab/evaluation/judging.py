"""Rates the responses of one model to one benchmark, turn by turn, from 1 to 10."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from mixlab.artifacts.keys import canonical_json
from mixlab.config.judging import JudgeSettings
from mixlab.config.problems import DataError
from mixlab.data.writing import write_json, write_line
from mixlab.evaluation.judge_prompts import parse_rating, render_judge_prompt
from mixlab.evaluation.rule_judge import RuleJudge
from mixlab.evaluation.scorers.score import Pair, read_texts
from mixlab.evaluation.scoring import pair_responses
from mixlab.generation.responses import read_responses

log = logging.getLogger(__name__)


class Judge(Protocol):
    """Whatever replies to a judge prompt with text: a rule here, a language model elsewhere."""

    def reply(self, system: str, prompt: str) -> str:
        """Return the judge's reply."""
        ...


@dataclass(frozen=True)
class Verdict:
    """One rating of one turn; `score` is None where the reply held no rating, and then `parsed` is False."""

    item: str
    turn: int
    score: float | None
    parsed: bool
    reply: str
    prompt_digest: str
    verdict_id: str


def build_verdict_id(settings: JudgeSettings, prompt_digest: str, run: int) -> str:
    """Return the name of a verdict: a digest of what decides it, so that it can be stored and looked up."""
    named = {"judge": settings.model_dump(mode="json"), "prompt": prompt_digest, "run": run}
    return hashlib.sha256(canonical_json(named).encode()).hexdigest()


def open_judge(settings: JudgeSettings) -> Judge:
    """Return the judge that `settings` name."""
    return RuleJudge(settings.rule, settings.language)


def _judge_pair(settings: JudgeSettings, judge: Judge, pair: Pair, run: int) -> Iterator[Verdict]:
    item, response = pair
    questions = read_texts(item, "turns")
    references = read_texts(item, "reference") if item.get("reference") else []
    if len(response.responses) != len(questions) or len(references) not in (0, len(questions)):
        raise DataError(
            f"item '{response.item}' has {len(questions)} turns, {len(response.responses)} responses and "
            f"{len(references)} references; give one of each for every turn, or no references"
        )
    for turn in range(1, len(questions) + 1):
        reference = (references[turn - 1] or None) if references else None
        prompt = render_judge_prompt(settings.prompts, questions[:turn], response.responses[:turn], reference)
        digest = hashlib.sha256(canonical_json([settings.prompts.system, prompt]).encode()).hexdigest()
        reply = judge.reply(settings.prompts.system, prompt)
        score = parse_rating(reply)
        verdict_id = build_verdict_id(settings, digest, run)
        yield Verdict(response.item, turn, score, score is not None, reply, digest, verdict_id)


def write_verdicts(
    settings: JudgeSettings,
    items: Iterable[Mapping[str, Any]],
    responses: Path,
    run: int,
    out: Path,
    *,
    judge: Judge | None = None,
) -> None:
    """Write `verdicts.jsonl`, one line per item and turn, and `index.json`.

    Items hold `turns` and may hold `reference`, a list with one for each turn. `judge` replaces the one that `settings`
    name, for tests. The mean is over the replies that hold a rating; the others are counted. Raises DataError naming
    an item whose turns, responses and references do not match.
    """
    judge = judge or open_judge(settings)
    pairs = pair_responses(items, read_responses(responses))
    verdicts = [verdict for pair in pairs for verdict in _judge_pair(settings, judge, pair, run)]
    with (out / "verdicts.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
        for verdict in verdicts:
            write_line(stream, asdict(verdict))
    ratings = [verdict.score for verdict in verdicts if verdict.score is not None]
    index = {
        "judge": settings.label,
        "items": len(pairs),
        "verdicts": len(verdicts),
        "parsed": len(ratings),
        "unparsed": len(verdicts) - len(ratings),
        "mean": sum(ratings) / len(ratings) if ratings else None,
    }
    write_json(out / "index.json", index)
    log.info("%s gave %d ratings, %d replies without one", settings.label, len(ratings), index["unparsed"])

"""Rates the responses of one model to one benchmark, turn by turn, from 1 to 10."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from mixlab.artifacts.keys import canonical_json
from mixlab.config.judge_templates import PublishedPairPrompts, PublishedPrompts
from mixlab.config.judging import AskedJudge, JudgeSettings, ModelJudgeSettings, RuleJudgeSettings
from mixlab.config.pairwise import PairJudgeSettings
from mixlab.config.problems import DataError
from mixlab.data.thoughts import read_answer
from mixlab.data.writing import write_json, write_line
from mixlab.evaluation.judge_prompts import parse_rating, render_judge_prompt
from mixlab.evaluation.published_prompts import render_published
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


def build_verdict_id(settings: RuleJudgeSettings, prompt_digest: str, run: int) -> str:
    """Return the name of a rule's verdict: a digest of what decides it; which reference is shown, the prompt says."""
    judge = settings.model_dump(mode="json", exclude={"reference_categories"})
    named = {"judge": judge, "prompt": prompt_digest, "run": run}
    return hashlib.sha256(canonical_json(named).encode()).hexdigest()


def open_judge(settings: RuleJudgeSettings) -> Judge:
    """Return the judge that `settings` name."""
    return RuleJudge(settings.rule, settings.language)


@dataclass(frozen=True)
class JudgePrompt:
    """What a judge reads about one turn of one item."""

    item: str
    turn: int
    system: str
    prompt: str

    @property
    def place(self) -> dict[str, str | int]:
        """What it is about, as lists of what is left undone say it."""
        return {"item": self.item, "turn": self.turn}

    @cached_property
    def digest(self) -> str:
        """The digest of what is read, in which a lone surrogate is a question mark, as it is where it is sent."""
        return hashlib.sha256(canonical_json([self.system, self.prompt]).encode("utf-8", "replace")).hexdigest()


def read_turns(settings: JudgeSettings | AskedJudge, pair: Pair) -> tuple[list[str], list[str | None]]:
    """Return the questions of the turns that are judged, and the reference that a judge is shown for each, or None.

    Raises DataError naming an item that does not fit its response, or the prompts.
    """
    item, response = pair
    questions = read_texts(item, "turns")
    references = read_texts(item, "reference") if item.get("reference") and _is_shown(settings, item) else []
    if len(response.responses) != len(questions) or len(references) not in (0, len(questions)):
        raise DataError(
            f"item '{response.item}' has {len(questions)} turns, {len(response.responses)} responses and "
            f"{len(references)} references; give one of each for every turn, or no references"
        )
    shown = [reference or None for reference in references] or [None] * len(questions)
    judged = _cut_to_templates(settings, item, shown)
    return questions[:judged], shown[:judged]


def render_prompts(settings: JudgeSettings, pair: Pair) -> Iterator[JudgePrompt]:
    """Render what a judge reads about each turn of an item: answers without the thoughts before them.

    Raises DataError naming an item that does not fit.
    """
    response = pair[1]
    answers = [read_answer(said) for said in response.responses]
    questions, references = read_turns(settings, pair)
    prompts = settings.prompts
    for turn, reference in enumerate(references, start=1):
        said = answers[:turn]
        if isinstance(prompts, PublishedPrompts):
            template, prompt = render_published(prompts, questions[:turn], said, references[:turn])
            yield JudgePrompt(response.item, turn, template.system, prompt)
        else:
            prompt = render_judge_prompt(prompts, questions[:turn], said, reference)
            yield JudgePrompt(response.item, turn, prompts.system, prompt)


def _cut_to_templates(
    settings: JudgeSettings | AskedJudge, item: Mapping[str, Any], references: Sequence[str | None]
) -> int:
    """Return how many turns are judged: all but those that published prompts have no template for.

    Raises DataError for an item that published prompts cannot judge.
    """
    prompts = settings.prompts if isinstance(settings, ModelJudgeSettings | PairJudgeSettings) else None
    if not isinstance(prompts, PublishedPrompts | PublishedPairPrompts):
        return len(references)
    if 1 < prompts.turns < len(references):
        raise DataError(
            f"item '{item.get('id')}' has {len(references)} turns, but published prompts judge {prompts.turns}; take "
            "our own prompts, or write `turns: 1` beside `published` to judge first turns alone"
        )
    judged = min(prompts.turns, len(references))
    if None in references[:judged] and _is_shown(settings, item):
        raise DataError(
            f"item '{item.get('id')}' has no reference for each turn, which the published prompt for its category "
            f"{item.get('category')!r} shows; join reference answers in the source, or set judge.reference_categories"
        )
    return judged


def _is_shown(settings: JudgeSettings | AskedJudge, item: Mapping[str, Any]) -> bool:
    """Whether the settings let the reference of an item be shown."""
    categories = settings.reference_categories
    if categories is None:
        return True
    category = item.get("category")
    if not isinstance(category, str):
        raise DataError(
            f"item '{item.get('id')}' has no `category`, which says whether its reference is shown (published prompts, "
            "judge.reference_categories); map the field in the source, or leave both out"
        )
    return category in categories


def _judge_pair(settings: RuleJudgeSettings, judge: Judge, pair: Pair, run: int) -> Iterator[Verdict]:
    for one in render_prompts(settings, pair):
        reply = judge.reply(one.system, one.prompt)
        score = parse_rating(reply)
        verdict_id = build_verdict_id(settings, one.digest, run)
        yield Verdict(one.item, one.turn, score, score is not None, reply, one.digest, verdict_id)


def write_verdicts(
    settings: RuleJudgeSettings,
    items: Iterable[Mapping[str, Any]],
    responses: Path,
    run: int,
    out: Path,
    *,
    judge: Judge | None = None,
) -> None:
    """Write the rule judge's `verdicts.jsonl`, one line per item and turn, and `index.json`.

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

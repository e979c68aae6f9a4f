"""A language model that compares: two models' answers to one benchmark, in both orders, each asked for once, ever."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from mixlab.config.judge_templates import PublishedPairPrompts
from mixlab.config.pairwise import PairJudgeSettings
from mixlab.config.problems import DataError
from mixlab.data.replies import Reply
from mixlab.data.thoughts import read_answer
from mixlab.data.writing import write_json, write_line
from mixlab.evaluation.judges.attempts import OpenAsker, judge_all
from mixlab.evaluation.judges.estimate import JudgeWork, count_shown, estimate_blank
from mixlab.evaluation.judges.garbage import keep_all
from mixlab.evaluation.judges.questions import Form
from mixlab.evaluation.judges.store import VerdictStore
from mixlab.evaluation.judging import read_turns
from mixlab.evaluation.pair_prompts import ORDERS, Order, PairPrompt, Place, parse_preference, render_pair_prompts
from mixlab.evaluation.published_prompts import read_published_preference
from mixlab.evaluation.scorers.score import read_texts
from mixlab.evaluation.scoring import pair_responses
from mixlab.generation.responses import Response, read_responses

log = logging.getLogger(__name__)

FILE = "comparisons.jsonl"
PREFERENCE: Form[Place] = Form("verdict", parse_preference, "pairwise.prompts")
_PUBLISHED: Form[Place] = Form(PREFERENCE.word, read_published_preference, PREFERENCE.prompts)

Side = Literal["a", "b", "tie"]
"""A verdict by model, whichever answer was shown first."""
_SIDES: dict[Order, dict[Place, Side]] = {
    "ab": {"A": "a", "B": "b", "C": "tie"},
    "ba": {"A": "b", "B": "a", "C": "tie"},
}
_TIED: list[Side | None] = ["tie", "tie"]
_LEANINGS: dict[Side, int] = {"a": 1, "tie": 0, "b": -1}


@dataclass(frozen=True)
class Turn:
    """One turn of an item with what a judge reads about it; nothing where the two models said the same so far."""

    item: str
    turn: int
    category: str | None
    prompts: tuple[PairPrompt, ...]


@dataclass(frozen=True)
class Comparison:
    """What came of one turn of one item.

    `first` is the verdict with a's answer shown first, `second` that with b's; None where it was not to be read.
    `outcome` is theirs where they agree, a tie where they do not (`flipped`), and None where one is missing.
    `flipped_to`: the place that such verdicts favour. `identical`: nothing was asked, the dialogues are the same.
    Lists have an entry for each order, none where nothing was asked.
    """

    item: str
    turn: int
    category: str | None
    first: Side | None
    second: Side | None
    outcome: Side | None
    flipped: bool
    flipped_to: Literal["first", "second"] | None
    identical: bool
    parsed: bool
    verdict_ids: list[str]
    replies: list[str]
    attempts: list[int]
    finish_reasons: list[str]
    prompt_tokens: list[int]
    response_tokens: list[int]


def preference_form(settings: PairJudgeSettings) -> Form[Place]:
    """Return how replies with a verdict are read: in our own form, or as the published prompts' authors read them."""
    return _PUBLISHED if isinstance(settings.prompts, PublishedPairPrompts) else PREFERENCE


def render_turns(
    settings: PairJudgeSettings,
    items: Iterable[Mapping[str, Any]],
    responses: tuple[Sequence[Response], Sequence[Response]],
) -> Iterator[Turn]:
    """Render what a judge reads about each turn of each item, in the order of the first model's responses.

    Raises DataError naming items that only one model answered, and items that do not fit their responses.
    """
    first, second = responses
    rows = list(items)
    others = {response.item: response for _, response in pair_responses(rows, second)}
    if lone := sorted({response.item for response in first} ^ others.keys()):
        raise DataError(
            f"only one of the two models answered {len(lone)} items, such as '{lone[0]}'; both must be asked the same: "
            "generate the responses again"
        )
    for item, response in pair_responses(rows, first):
        other = others[response.item]
        answers = [[read_answer(said) for said in one.responses] for one in (response, other)]
        questions, references = read_turns(settings, (item, response))
        read_turns(settings, (item, other))
        category = item.get("category") if isinstance(item.get("category"), str) else None
        for turn in range(1, len(questions) + 1):
            said = answers[0][:turn], answers[1][:turn]
            shown = questions[:turn], said, references[:turn]
            prompts = () if said[0] == said[1] else render_pair_prompts(settings, response.item, *shown)
            yield Turn(response.item, turn, category, tuple(prompts))


def estimate_pairs(settings: PairJudgeSettings, items: Iterable[Mapping[str, Any]], answer_tokens: int) -> JudgeWork:
    """Estimate what comparing items takes whose responses are not there; `answer_tokens` of both models' longest."""
    work = JudgeWork(is_exact=False)
    for item in items:
        count = len(read_texts(item, "turns"))
        blank = Response(str(item["id"]), [], responses=[""] * count)
        questions, references = read_turns(settings, (item, blank))
        prompts: list[PairPrompt] = []
        for turn in range(1, len(questions) + 1):
            said = blank.responses[:turn], blank.responses[:turn]
            prompts += render_pair_prompts(settings, blank.item, questions[:turn], said, references[:turn])
        work += estimate_blank(settings, prompts, len(ORDERS) * answer_tokens * count_shown(len(questions)))
    return work


@keep_all()
def write_comparisons(
    settings: PairJudgeSettings,
    items: Iterable[Mapping[str, Any]],
    responses: tuple[Path, Path],
    run: int,
    out: Path,
    *,
    store: VerdictStore,
    open_asker: OpenAsker,
    work: Path,
) -> None:
    """Write `comparisons.jsonl`, one line per item and turn, and `index.json`; the bytes follow from the store alone.

    Where not everything could be judged, nothing is written but `undone.jsonl` in `work`, and an error says why and
    what to do; what was answered is kept. Raises DataError as well when not one of many replies holds a verdict.
    """
    turns = list(render_turns(settings, items, (read_responses(responses[0]), read_responses(responses[1]))))
    prompts = [prompt for turn in turns for prompt in turn.prompts]
    form = preference_form(settings)
    judged = judge_all(settings, prompts, run, form, store, open_asker, work)
    asked = iter(zip(judged.questions, judged.replies, judged.values, strict=True))
    compared = [_compare(turn, [next(asked) for _ in turn.prompts]) for turn in turns]
    with (out / FILE).open("w", encoding="utf-8", newline="\n") as stream:
        for comparison in compared:
            write_line(stream, vars(comparison))
    index = build_index(settings, compared, run)
    write_json(out / "index.json", index)
    log.info(
        "%s compared %d answers: %d ties, %d flips, %d without outcome",
        *(settings.label, len(compared), index["ties"], index["flipped"], index["unparsed"]),
    )


def build_index(settings: PairJudgeSettings, compared: Sequence[Comparison], run: int) -> dict[str, Any]:
    """Count what came of it; `a` is the model whose responses have the lower key."""
    outcomes = Counter(one.outcome for one in compared)
    unread = [one for one in compared if not one.parsed]
    # no verdict could be read of these orders; the other order of the same turn may have one
    orders = (zip((one.first, one.second), one.finish_reasons, strict=True) for one in unread)
    reasons = Counter(reason for side, reason in chain.from_iterable(orders) if side is None)
    attempts = Counter(chain.from_iterable(one.attempts for one in compared))
    return {
        "judge": settings.label,
        "model": settings.model,
        "asked": settings.asked(),
        "judge_run": run,
        "items": len({one.item for one in compared}),
        "comparisons": len(compared),
        "identical": sum(one.identical for one in compared),
        "wins_a": outcomes["a"],
        "wins_b": outcomes["b"],
        "ties": outcomes["tie"],
        "flipped": sum(one.flipped for one in compared),
        "flipped_to_first": sum(one.flipped_to == "first" for one in compared),
        "parsed": len(compared) - len(unread),
        "unparsed": len(unread),
        "unparsed_finish_reasons": dict(sorted(reasons.items())),
        "verdicts": sum(len(one.verdict_ids) for one in compared),
        "distinct_verdicts": len({name for one in compared for name in one.verdict_ids}),
        "attempts": {str(number): attempts[number] for number in sorted(attempts)},
    }


def _compare(turn: Turn, asked: Sequence[tuple[Sequence[bytes], Sequence[Reply], Place | None]]) -> Comparison:
    last = [replies[-1] for _, replies, _ in asked]
    places = [place for *_, place in asked]
    sides = [place and _SIDES[prompt.order][place] for prompt, place in zip(turn.prompts, places, strict=True)]
    first, second = sides or _TIED
    parsed = first is not None and second is not None
    flipped = parsed and first != second
    # what speaks for a with its answer first, and against it with its answer second, speaks for the first place
    leaning = _LEANINGS[first] - _LEANINGS[second] if first and second else 0
    return Comparison(
        item=turn.item,
        turn=turn.turn,
        category=turn.category,
        first=first,
        second=second,
        outcome=None if not parsed else "tie" if flipped else first,
        flipped=flipped,
        flipped_to=None if not leaning else "first" if leaning > 0 else "second",
        identical=not asked,
        parsed=parsed,
        verdict_ids=[questions[len(replies) - 1].hex() for questions, replies, _ in asked],
        replies=[one.text for one in last],
        attempts=[len(replies) for _, replies, _ in asked],
        finish_reasons=[one.finish_reason for one in last],
        prompt_tokens=[one.prompt_tokens for one in last],
        response_tokens=[one.response_tokens for one in last],
    )

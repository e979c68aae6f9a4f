"""A language model as judge: ratings of a model's responses, each asked for once, ever."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.config.judge_budget import PICO
from mixlab.config.judging import ModelJudgeSettings
from mixlab.data.replies import Reply
from mixlab.data.writing import write_json, write_line
from mixlab.evaluation.judges.attempts import OpenAsker, judge_all
from mixlab.evaluation.judges.garbage import keep_all
from mixlab.evaluation.judges.questions import rating_form
from mixlab.evaluation.judges.store import VerdictStore
from mixlab.evaluation.judging import JudgePrompt, Verdict, render_prompts
from mixlab.evaluation.scoring import pair_responses
from mixlab.generation.responses import read_responses

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelVerdict(Verdict):
    """A verdict of a language model, and what it took: the attempt that decided it, how its reply ended, tokens."""

    attempts: int
    finish_reason: str
    prompt_tokens: int
    response_tokens: int


@keep_all()
def write_model_verdicts(
    settings: ModelJudgeSettings,
    items: Iterable[Mapping[str, Any]],
    responses: Path,
    run: int,
    out: Path,
    *,
    store: VerdictStore,
    open_asker: OpenAsker,
    work: Path,
) -> None:
    """Write `verdicts.jsonl`, one line per item and turn, and `index.json`; the bytes follow from the store alone.

    Where not everything could be judged, nothing is written but `undone.jsonl` in `work`, and DataError says why and
    what to do; what was answered is kept. A verdict is named by the request that decided it, so that equal answers
    share one. Raises DataError as well when not one of many replies holds a rating.
    """
    pairs = pair_responses(items, read_responses(responses))
    prompts = [prompt for pair in pairs for prompt in render_prompts(settings, pair)]
    form = rating_form(settings)
    judged = judge_all(settings, prompts, run, form, store, open_asker, work)
    asked = zip(prompts, judged.questions, judged.replies, judged.values, strict=True)
    verdicts = [_build_verdict(*one) for one in asked]
    with (out / "verdicts.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
        for verdict in verdicts:
            write_line(stream, vars(verdict))
    write_json(out / "index.json", build_index(settings, verdicts, run, len(pairs)))
    unparsed = sum(not verdict.parsed for verdict in verdicts)
    log.info("%s gave %d ratings, %d replies without one", settings.label, len(verdicts) - unparsed, unparsed)


def build_index(settings: ModelJudgeSettings, verdicts: Sequence[Verdict], run: int, items: int) -> dict[str, Any]:
    """Describe verdicts: the mean is over those with a rating, and says of how many; the others are counted."""
    ratings = [verdict.score for verdict in verdicts if verdict.score is not None]
    attempts = Counter(verdict.attempts for verdict in verdicts if isinstance(verdict, ModelVerdict))
    reasons = Counter(
        verdict.finish_reason for verdict in verdicts if isinstance(verdict, ModelVerdict) and not verdict.parsed
    )
    return {
        "judge": settings.label,
        "asked": settings.asked(),
        "judge_run": run,
        "items": items,
        "verdicts": len(verdicts),
        "distinct_verdicts": len({verdict.verdict_id for verdict in verdicts}),
        "parsed": len(ratings),
        "unparsed": len(verdicts) - len(ratings),
        "unparsed_finish_reasons": dict(sorted(reasons.items())),
        "attempts": {str(number): attempts[number] for number in sorted(attempts)},
        "mean": sum(ratings) / len(ratings) if ratings else None,
    }


def describe_spent(store: VerdictStore, study: str, model: str, currency: str) -> str:
    """Say what a study has spent on a model so far."""
    for spent in store.list_spent(study):
        if spent.model == model:
            return (
                f"{spent.calls} calls, {spent.prompt_tokens} prompt and {spent.response_tokens} response tokens, "
                f"{spent.cost_pico / PICO:.6f} {currency} in study '{study}' so far"
            )
    return f"nothing asked in study '{study}'"


def _build_verdict(
    prompt: JudgePrompt, questions: Sequence[bytes], replies: Sequence[Reply], score: float | None
) -> ModelVerdict:
    last = replies[-1]
    return ModelVerdict(
        item=prompt.item,
        turn=prompt.turn,
        score=score,
        parsed=score is not None,
        reply=last.text,
        prompt_digest=prompt.digest,
        verdict_id=questions[len(replies) - 1].hex(),
        attempts=len(replies),
        finish_reason=last.finish_reason,
        prompt_tokens=last.prompt_tokens,
        response_tokens=last.response_tokens,
    )

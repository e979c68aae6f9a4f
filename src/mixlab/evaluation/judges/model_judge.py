"""A language model as judge: ratings of a model's responses, each asked for once, ever."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.config.judge_budget import PICO
from mixlab.config.judging import ModelJudgeSettings
from mixlab.config.problems import DataError, UserError
from mixlab.data.replies import REFUSED, Reply
from mixlab.data.writing import write_json, write_line
from mixlab.evaluation.judges.asking import Asker, Outcome, Request
from mixlab.evaluation.judges.questions import build_judge_request, is_open, read_rating
from mixlab.evaluation.judges.store import VerdictStore
from mixlab.evaluation.judging import JudgePrompt, Verdict, render_prompts
from mixlab.evaluation.scoring import pair_responses
from mixlab.generation.responses import read_responses

log = logging.getLogger(__name__)

UNDONE = "undone.jsonl"
"""In the work folder: what is left to judge where a run had to stop."""

_FEWEST_TO_DOUBT = 20
_SHOWN_CHARACTERS = 200

OpenAsker = Callable[[], Asker]
"""Opens who is asked; called when something is not in the store."""


@dataclass(frozen=True)
class ModelVerdict(Verdict):
    """A verdict of a language model, and what it took: the attempt that decided it, how its reply ended, tokens."""

    attempts: int
    finish_reason: str
    prompt_tokens: int
    response_tokens: int


@dataclass(frozen=True)
class Judged:
    """What became of a list of prompts: the requests and replies of each, in the order of the attempts."""

    requests: list[list[Request]]
    replies: list[list[Reply]]
    undone: Mapping[int, str]
    """Positions of the prompts that are not done, and why."""
    failure: UserError | None


def judge_all(
    settings: ModelJudgeSettings, prompts: Sequence[JudgePrompt], run: int, store: VerdictStore, open_asker: OpenAsker
) -> Judged:
    """Rate every prompt: from the store as far as it is there, else asked for; equal prompts are asked once."""
    asker: Asker | None = None
    replies: list[list[Reply]] = [[] for _ in prompts]
    requests: list[list[Request]] = [[] for _ in prompts]
    undone: dict[int, str] = {}
    failure: UserError | None = None
    coming = list(range(len(prompts)))
    while coming:
        for at in coming:
            requests[at].append(build_judge_request(settings, prompts[at], run, replies[at]))
        wanted = {requests[at][-1].question: requests[at][-1] for at in coming}
        stored = store.read(list(wanted))
        outcome = Outcome()
        if missing := [one for name, one in wanted.items() if name not in stored]:
            asker = asker or open_asker()
            asker.has_answered |= any(one[0].finish_reason != REFUSED for one in stored.values())
            outcome = asker.ask(missing)
            stored = store.read(list(wanted))
            failure = outcome.failure
        reasons = _explain(outcome)
        for at in coming:
            name = requests[at][-1].question
            if name in stored:
                replies[at] += stored[name]
            else:
                undone[at] = reasons[name]
        coming = [at for at in coming if at not in undone and is_open(settings, prompts[at], replies[at])]
        if failure is not None:
            undone |= dict.fromkeys(coming, "not asked again")
            break
    return Judged(requests, replies, undone, failure)


def _explain(outcome: Outcome) -> dict[bytes, str]:
    """Why a question has no answer; one that was being asked elsewhere and did not come has been given up there."""
    reasons = dict.fromkeys(outcome.unasked, "not asked")
    reasons |= dict.fromkeys(outcome.over_budget, "over the budget")
    return reasons | outcome.given_up


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
    judged = judge_all(settings, prompts, run, store, open_asker)
    undone = work / UNDONE
    undone.unlink(missing_ok=True)
    if judged.undone:
        _write_undone(undone, prompts, judged)
        raise _describe_undone(settings, prompts, judged, undone)
    verdicts = [_build_verdict(*one) for one in zip(prompts, judged.requests, judged.replies, strict=True)]
    _check_any(settings, verdicts)
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


def _build_verdict(prompt: JudgePrompt, requests: Sequence[Request], replies: Sequence[Reply]) -> ModelVerdict:
    last = replies[-1]
    score = read_rating(prompt, last)
    return ModelVerdict(
        item=prompt.item,
        turn=prompt.turn,
        score=score,
        parsed=score is not None,
        reply=last.text,
        prompt_digest=prompt.digest,
        verdict_id=requests[len(replies) - 1].question.hex(),
        attempts=len(replies),
        finish_reason=last.finish_reason,
        prompt_tokens=last.prompt_tokens,
        response_tokens=last.response_tokens,
    )


def _check_any(settings: ModelJudgeSettings, verdicts: Sequence[ModelVerdict]) -> None:
    """Raise DataError when not one reply of many holds a rating: such a judge rates nothing."""
    if len(verdicts) < _FEWEST_TO_DOUBT or any(verdict.parsed for verdict in verdicts):
        return
    said = " ".join(verdicts[-1].reply.split())
    shown = said if len(said) <= _SHOWN_CHARACTERS else said[: _SHOWN_CHARACTERS - 1] + "…"
    raise DataError(
        f"{settings.label}: none of {len(verdicts)} replies holds a rating, so that this model rates nothing. The "
        f"last, which ended by '{verdicts[-1].finish_reason}': {shown!r}; raise judge.max_tokens where replies are cut "
        "off, mend judge.prompts, or name another model; replies are kept and the same is not asked again"
    )


def _write_undone(path: Path, prompts: Sequence[JudgePrompt], judged: Judged) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for at, why in sorted(judged.undone.items()):
            write_line(stream, {"item": prompts[at].item, "turn": prompts[at].turn, "why": why})


def _describe_undone(
    settings: ModelJudgeSettings, prompts: Sequence[JudgePrompt], judged: Judged, path: Path
) -> UserError:
    left = f"{settings.label}: {len(judged.undone)} of {len(prompts)} verdicts are left undone, listed in {path}"
    kept = "every verdict that arrived is kept, and only these are asked for when it runs again"
    if judged.failure is not None:
        return type(judged.failure)(f"{judged.failure}; {left}; {kept}")
    reasons = Counter(judged.undone.values())
    if spent := reasons.pop("over the budget", 0):
        others = f" ({sum(reasons.values())} more got no answer)" if reasons else ""
        return DataError(
            f"{left}: {spent} would go over the budget of machine.judging{others}; raise it in config.yaml to go on; "
            f"{kept}"
        )
    return DataError(f"{left}; the last: {list(judged.undone.values())[-1]}; {kept}")

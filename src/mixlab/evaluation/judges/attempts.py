"""Asks a model judge a list of prompts, attempt by attempt, until each reply can be read; nothing is asked twice."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Generic, TypeVar

from mixlab.config.judging import AskedJudgeSettings
from mixlab.config.problems import DataError, UserError
from mixlab.data.replies import Reply
from mixlab.data.writing import write_line
from mixlab.evaluation.judges.asking import Asker, Outcome, Request
from mixlab.evaluation.judges.questions import Form, Questions, is_open, read_reply
from mixlab.evaluation.judges.store import VerdictStore
from mixlab.evaluation.judging import JudgePrompt

UNDONE = "undone.jsonl"
"""In the work folder: what is left to judge where a run had to stop."""

T = TypeVar("T")

_FEWEST_TO_DOUBT = 20
_LOOKED_UP = 500
_SHOWN_CHARACTERS = 200

OpenAsker = Callable[[], Asker]
"""Opens who is asked; called when something is not in the store."""


@dataclass(frozen=True)
class Judged(Generic[T]):
    """What became of a list of prompts: the questions, by name, and replies of each, in the order of the attempts."""

    questions: list[list[bytes]]
    replies: list[list[Reply]]
    values: list[T | None]
    """What the last reply to each holds."""
    undone: Mapping[int, str]
    """Positions of the prompts that are not done, and why."""
    failure: UserError | None


def judge_all(
    settings: AskedJudgeSettings,
    prompts: Sequence[JudgePrompt],
    run: int,
    form: Form[T],
    store: VerdictStore,
    open_asker: OpenAsker,
    work: Path,
) -> Judged[T]:
    """Judge every prompt: from the store as far as it is there, else asked for; equal prompts are asked once.

    Where not everything could be judged, it is listed in `work`, and what made the endpoint unusable is raised, else
    DataError; so is it where not one of many replies can be read. What was answered is kept.
    """
    judged = _ask_all(settings, prompts, run, form, store, open_asker)
    undone = work / UNDONE
    undone.unlink(missing_ok=True)
    if judged.undone:
        _write_undone(undone, prompts, judged)
        raise _describe_undone(settings, prompts, judged, undone)
    if len(prompts) >= _FEWEST_TO_DOUBT and all(value is None for value in judged.values):
        raise _describe_unread(settings, [replies[-1] for replies in judged.replies], form)
    return judged


def _ask_all(
    settings: AskedJudgeSettings,
    prompts: Sequence[JudgePrompt],
    run: int,
    form: Form[T],
    store: VerdictStore,
    open_asker: OpenAsker,
) -> Judged[T]:
    asker: Asker | None = None
    replies: list[list[Reply]] = [[] for _ in prompts]
    asked: list[list[bytes]] = [[] for _ in prompts]
    values: list[T | None] = [None for _ in prompts]
    questions = Questions(settings, run)
    undone: dict[int, str] = {}
    failure: UserError | None = None
    coming = list(range(len(prompts)))
    while coming:
        wanted: set[bytes] = set()
        new = _build_new(questions, prompts, replies, asked, coming, wanted)
        outcome, stored = Outcome(), dict[bytes, list[Reply]]()
        # what is not known before the first question is asked, is built and looked up while others are asked
        while some := list(islice(new, _LOOKED_UP)):
            stored |= (found := store.read([one.question for one in some]))
            if missing := [one for one in some if one.question not in found]:
                asker = asker or open_asker()
                asker.known.note_answers(stored.values())
                outcome = asker.ask(chain(missing, new))
                stored = store.read(list(wanted))
                failure = outcome.failure
        reasons = _explain(outcome)
        for at in coming:
            name = asked[at][-1]
            if name in stored:
                replies[at] += stored[name]
                values[at] = read_reply(replies[at][-1], form)
            else:
                undone[at] = reasons[name]
        coming = [at for at in coming if at not in undone and is_open(settings, replies[at], values[at])]
        if failure is not None:
            undone |= dict.fromkeys(coming, "not asked again")
            break
    return Judged(asked, replies, values, undone, failure)


def _build_new(
    questions: Questions,
    prompts: Sequence[JudgePrompt],
    replies: Sequence[Sequence[Reply]],
    asked: Sequence[list[bytes]],
    coming: Iterable[int],
    wanted: set[bytes],
) -> Iterator[Request]:
    """Build the next request of each prompt and note its name; yield each question once and add it to `wanted`."""
    for at in coming:
        request = questions.build(prompts[at], replies[at])
        asked[at].append(request.question)
        _ = prompts[at].digest  # worked out here, while others are asked, for what is written in the end
        if request.question not in wanted:
            wanted.add(request.question)
            yield request


def _explain(outcome: Outcome) -> dict[bytes, str]:
    """Why a question has no answer; one that was being asked elsewhere and did not come has been given up there."""
    reasons = dict.fromkeys(outcome.unasked, "not asked")
    reasons |= dict.fromkeys(outcome.over_budget, "over the budget")
    return reasons | outcome.given_up


def _describe_unread(settings: AskedJudgeSettings, replies: Sequence[Reply], form: Form[T]) -> DataError:
    said = " ".join(replies[-1].text.split())
    shown = said if len(said) <= _SHOWN_CHARACTERS else said[: _SHOWN_CHARACTERS - 1] + "…"
    return DataError(
        f"{settings.label}: none of {len(replies)} replies holds a {form.word}, so that this model judges nothing. The "
        f"last, which ended by '{replies[-1].finish_reason}': {shown!r}; raise judge.max_tokens where replies are cut "
        f"off, mend {form.prompts}, or name another model; replies are kept and the same is not asked again"
    )


def _write_undone(path: Path, prompts: Sequence[JudgePrompt], judged: Judged[T]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for at, why in sorted(judged.undone.items()):
            write_line(stream, {**prompts[at].place, "why": why})


def _describe_undone(
    settings: AskedJudgeSettings, prompts: Sequence[JudgePrompt], judged: Judged[T], path: Path
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

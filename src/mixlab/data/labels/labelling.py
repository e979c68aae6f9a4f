"""The label stage: a category for every dialogue of a source, each question asked at most once, ever."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from mixlab.config.categories import CATEGORIES
from mixlab.config.labelling import LabelSettings
from mixlab.config.problems import DataError
from mixlab.data.labels.asking import Answers, Ask, is_open
from mixlab.data.labels.questions import Question, QuestionWriter, Reply, parse_reply, render_dialogue
from mixlab.data.labels.rules import label_by_rules
from mixlab.data.labels.store import LabelStore
from mixlab.data.records import Record
from mixlab.data.writing import write_json, write_line

log = logging.getLogger(__name__)

UNPARSABLE, NOT_ASKED = 254, 255
"""Labels that are no position in CATEGORIES: no answer could be read; the dialogue was excluded before."""

Records = Callable[[], Iterable[tuple[int, Record]]]
"""Yields the (root ordinal, dialogue) pairs to label, in ascending order; called twice: to count, and to ask."""

_WINDOW_QUESTIONS = 4096
_WINDOW_CHARACTERS = 8_000_000
_PROGRESS_SECONDS = 30.0
_NAMED_RECORDS = 10
_SHOWN_CHARACTERS = 200
_FEWEST_TO_DOUBT = 20

MANY_UNPARSABLE = 0.1
"""Above this share of a source's dialogues, unparsable answers are a warning."""


@dataclass(frozen=True)
class Work:
    """What labelling asks: dialogues, those answered in the store, and the characters to send for the others."""

    dialogues: int
    answered: int
    characters: int

    @property
    def open(self) -> int:
        """Dialogues still to be asked about; equal ones are asked about once, so that this is an upper bound."""
        return self.dialogues - self.answered


@dataclass
class _Labels:
    """Labels as they are found."""

    settings: LabelSettings
    values: NDArray[np.uint8]
    attempts: Counter[int] = field(default_factory=Counter)
    settled: int = 0
    unparsable: int = 0
    last: Reply | None = None
    """The last reply that could not be read."""

    def settle(self, ordinal: int, replies: list[Reply], stream: TextIO) -> None:
        """Take the first answer among `replies`, or note that there is none."""
        self.attempts[len(replies)] += 1
        self.settled += 1
        found = next((label for reply in replies if (label := parse_reply(reply)) is not None), None)
        if found is None:
            self.unparsable += 1
            self.last = replies[-1]
            reasons = [reply.finish_reason for reply in replies]
            texts = [reply.text for reply in replies]
            write_line(stream, {"record": ordinal, "replies": texts, "finish_reasons": reasons})
            fallback = self.settings.on_unparsable
            found = UNPARSABLE if fallback == "exclude" else CATEGORIES.index(fallback)
        self.values[ordinal] = found

    def check(self) -> None:
        """Raise DataError when not one answer could be read: `on_unparsable` is for some dialogues, not for all.

        Of few dialogues all may be unparsable, as those that a server withholds: that is told, and no error.
        """
        if self.last is None or self.unparsable < max(self.settled, _FEWEST_TO_DOUBT):
            return
        said = " ".join(self.last.text.split())
        shown = said if len(said) <= _SHOWN_CHARACTERS else said[: _SHOWN_CHARACTERS - 1] + "…"
        raise DataError(
            f"{self.settings.label}: none of {self.unparsable} dialogues got an answer that can be read, so that this "
            f"model labels nothing. Its last reply, which ended by '{self.last.finish_reason}': {shown!r}; raise the "
            "engine's max_tokens where replies are cut off, mend the labeller's prompt, or name another model; replies "
            "are stored and the same question is not asked again"
        )

    def tell(self) -> None:
        """Warn when many answers could not be read."""
        if self.unparsable > MANY_UNPARSABLE * self.settled:
            done = self.settings.on_unparsable
            log.warning(
                "%s: %d of %d dialogues (%.0f %%) got no answer that can be read; they %s: see unparsable.jsonl",
                self.settings.label,
                self.unparsable,
                self.settled,
                100 * self.unparsable / self.settled,
                "are left out" if done == "exclude" else f"count as {done}",
            )


def count_work(settings: LabelSettings, records: Records, store: Path) -> Work:
    """Count what labelling would ask, without asking."""
    dialogues = answered = characters = 0
    with LabelStore(store) as opened:
        for window in _windows(settings, records):
            stored = opened.read([question.digest for _, question in window])
            for _, question in window:
                dialogues += 1
                if is_open(settings, stored.get(question.digest, [])):
                    characters += len(question.text) + len(question.system)
                else:
                    answered += 1
    return Work(dialogues, answered, characters)


def render_work(settings: LabelSettings, work: Work) -> str:
    """Say what labelling will cost before it is spent."""
    told = f"{settings.label}: {work.dialogues:,} dialogues, {work.answered:,} answered in the store"
    if not work.open:
        return f"{told}, none to ask"
    bound = f"{work.characters:,} characters, up to {settings.attempts} attempts each"
    return f"{told}, at most {work.open:,} to ask ({bound})"


def label_records(
    settings: LabelSettings, records: Records, total: int, ask: Ask | None, store: Path, out: Path
) -> Mapping[str, str]:
    """Label the dialogues of a source whose root has `total` records, into the artifact `out`.

    Writes `labels.npy` uint8 [total]: position in CATEGORIES, UNPARSABLE or NOT_ASKED; `unparsable.jsonl` {record,
    replies, finish_reasons}; `index.json`. `ask` is None for keyword rules, which need no store. Every answer is
    committed to `store` as soon as it arrives, and the bytes written follow from the store alone. Memory: a byte a
    record and one window of questions. Returns what this run asked and spent. Raises DataError for a record that is
    no dialogue, when the store cannot be used, when not one answer of a window can be read, and at the end for
    questions that no try could get answered.
    """
    labels = _Labels(settings, np.full(total, NOT_ASKED, dtype=np.uint8))
    with (out / "unparsable.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
        if ask is None:
            for ordinal, record in records():
                labels.values[ordinal] = label_by_rules(render_dialogue(settings.shown, record))
            spent: Mapping[str, str] = {}
        else:
            work = count_work(settings, records, store)
            log.info("%s", render_work(settings, work))
            with LabelStore(store) as opened:
                spent = _ask_all(Answers(settings, opened, ask), records, work, labels, stream)
    _write_labels(labels, out)
    return spent


def _ask_all(answers: Answers, records: Records, work: Work, labels: _Labels, stream: TextIO) -> Mapping[str, str]:
    progress = _Progress(work, answers)
    answers.on_arrival = progress.tell
    try:
        failed = _settle_all(answers, records, labels, stream, progress)
    finally:
        # what was spent is told however it ends
        told = f"{answers.asked} asked, {answers.prompt_tokens} prompt and {answers.response_tokens} response tokens"
        log.info("%s: %s, %d of %d unparsable", answers.settings.label, told, labels.unparsable, work.dialogues)
        labels.tell()
    if failed:
        raise DataError(_render_failure(failed, answers))
    return {"asked": told}


def _settle_all(
    answers: Answers, records: Records, labels: _Labels, stream: TextIO, progress: "_Progress"
) -> list[int]:
    """Ask about all dialogues; return the ordinals of those about which no try got an answer."""
    failed: list[int] = []
    for window in _windows(answers.settings, records):
        found = answers.find([question for _, question in window])
        for ordinal, question in window:
            if question.digest in answers.unanswered:
                failed.append(ordinal)
            else:
                labels.settle(ordinal, found[question.digest], stream)
        progress.done += len(window)
        progress.tell()
        # a model that answered nothing readable in a whole window is not paid for another
        labels.check()
    return failed


def _render_failure(failed: list[int], answers: Answers) -> str:
    shown = ", ".join(str(ordinal) for ordinal in failed[:_NAMED_RECORDS])
    more = ", …" if len(failed) > _NAMED_RECORDS else ""
    return (
        f"{answers.settings.label}: no answer about {len(failed)} dialogues (records {shown}{more}); the last: "
        f"{list(answers.unanswered.values())[-1]}; run again: all other answers are stored and only these are asked for"
    )


def _write_labels(labels: _Labels, out: Path) -> None:
    np.save(out / "labels.npy", labels.values, allow_pickle=False)
    counts = np.bincount(labels.values, minlength=256)
    index = {
        "labeller": labels.settings.label,
        "records": len(labels.values),
        "asked": int(len(labels.values) - counts[NOT_ASKED]),
        "categories": {category: int(counts[position]) for position, category in enumerate(CATEGORIES)},
        "unparsable": labels.unparsable,
        "on_unparsable": labels.settings.on_unparsable,
        "attempts": {str(number): labels.attempts[number] for number in sorted(labels.attempts)},
    }
    write_json(out / "index.json", index)


class _Progress:
    """Tells from time to time how far a run is, how fast it asks, and what it has spent."""

    def __init__(self, work: Work, answers: Answers) -> None:
        self._work, self._answers = work, answers
        self._started = self._told = time.monotonic()
        self.done = 0

    def tell(self) -> None:
        """Log a line when the last one is long enough ago."""
        now, asked = time.monotonic(), self._answers.asked
        if now - self._told < _PROGRESS_SECONDS:
            return
        self._told = now
        rate = asked / (now - self._started)
        minutes = f", {max(0, self._work.open - asked) / rate / 60:.0f} minutes left" if asked else ""
        spent = f"{self._answers.prompt_tokens} prompt and {self._answers.response_tokens} response tokens"
        log.info(
            "%d of %d dialogues labelled; asked %d of at most %d, %.1f a second%s; %s",
            self.done,
            self._work.dialogues,
            asked,
            self._work.open,
            rate,
            minutes,
            spent,
        )


def _windows(settings: LabelSettings, records: Records) -> Iterator[list[tuple[int, Question]]]:
    """Yield questions in windows of bounded size, each with the ordinal of its record."""
    writer = QuestionWriter(settings)
    window: list[tuple[int, Question]] = []
    characters = 0
    for ordinal, record in records():
        question = writer.write(record)
        window.append((ordinal, question))
        characters += len(question.text)
        if len(window) == _WINDOW_QUESTIONS or characters >= _WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window

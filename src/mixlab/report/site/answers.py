"""Every question, answer and judgment of a study, split into files that a page loads as they are looked at."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlab.generation.responses import Response, read_responses
from mixlab.report.site.files import ChunkWriter, render_json, write_data
from mixlab.report.site.reading import read_rows

CHUNK_BYTES = 256_000
CHUNK_ROWS = 500
PARSED, UNPARSED, UNSCORED, PART = "1", "0", "-", "p"
"""States of an answer's score; PART: some of its judgings are not here."""


@dataclass(frozen=True)
class Answerer:
    """A model that answered, by the names that filters and lineage know; `seeds` by their names in the scores."""

    reference: str
    variant_key: str
    variant: str
    base_model: str
    mixture: str
    stage: str
    seeds: Mapping[str, int]


@dataclass(frozen=True)
class Place:
    """An artifact that answers are read from: its key, and its verified folder, or why there is none."""

    key: str
    folder: Path | None
    missing: str = ""


@dataclass(frozen=True)
class Judged:
    """One judging of a set of answers."""

    place: Place
    judge_run: int


@dataclass(frozen=True)
class Compared:
    """Comparisons of a set of answers with those of another; `is_second`: this set is `responses_b` there."""

    place: Place
    other_key: str
    judge_run: int
    is_second: bool


@dataclass(frozen=True)
class AnswerSet:
    """The answers of one model to one benchmark with one generation_seed, and all that was said of them."""

    place: Place
    answerer: int
    benchmark: str
    generation_seed: int
    score: Place | None = None
    judged: tuple[Judged, ...] = ()
    compared: tuple[Compared, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A benchmark: how it is scored, and what is known of its items beside what models were asked, by item."""

    name: str
    measure: str
    language: str
    category: str
    items: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    missing: str = ""


@dataclass
class _Questions:
    """The questions of one benchmark, each way of asking an item once, in order of appearance."""

    asked: Asked
    numbers: dict[tuple[str, tuple[str, ...]], int] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def number(self, response: Response) -> int:
        name = (response.item, tuple(response.turn_prompts))
        if name not in self.numbers:
            self.numbers[name] = len(self.rows)
            self.rows.append(_describe_question(self.asked, response))
        return self.numbers[name]


def write_answers(
    answerers: Sequence[Answerer],
    benchmarks: Sequence[Asked],
    sets: Iterable[AnswerSet],
    out: Path,
    progress: Callable[[], object] = lambda: None,
) -> int:
    """Write `data/index.js`, `data/questions/…` and `data/answers/…`; return the number of answers.

    The index has a column for each thing that answers are found by; texts stand in files of at most CHUNK_BYTES, or
    of one row. Equal artifacts give equal bytes. Raises DataError for a file that cannot be read as what it is.
    """
    questions = [_Questions(asked) for asked in benchmarks]
    places = {asked.name: place for place, asked in enumerate(benchmarks)}
    cards, count = [], 0
    for one in sets:
        card = _write_set(one, questions[places[one.benchmark]], out)
        count += len(card.get("question", ()))
        cards.append({**card, "benchmark": places[one.benchmark]})
        progress()
    index = {
        "answerers": [_describe_answerer(one) for one in answerers],
        "benchmarks": [_write_questions(place, one, out) for place, one in enumerate(questions)],
        "sets": cards,
    }
    write_data(out, "index", render_json(index))
    return count


def _describe_answerer(one: Answerer) -> dict[str, Any]:
    return {
        "reference": one.reference,
        "variant_key": one.variant_key,
        "variant": one.variant,
        "base_model": one.base_model,
        "mixture": one.mixture,
        "stage": one.stage,
        "seeds": dict(one.seeds),
    }


def _write_questions(place: int, questions: _Questions, out: Path) -> dict[str, Any]:
    asked = questions.asked
    writer = ChunkWriter(out, f"questions/{place}", CHUNK_BYTES, CHUNK_ROWS)
    for row in questions.rows:
        writer.add(row)
    categories = [row.get("category", asked.category) for row in questions.rows]
    return {
        "name": asked.name,
        "measure": asked.measure,
        "language": asked.language,
        "missing": asked.missing,
        "items": [row["item"] for row in questions.rows],
        "categories": categories,
        "starts": writer.close(),
    }


def _describe_question(asked: Asked, response: Response) -> dict[str, Any]:
    """What is asked, turn by turn, and what the source knows of it: category, reference answers."""
    row: dict[str, Any] = {"item": response.item, "turns": response.turn_prompts}
    known = asked.items.get(response.item, {})
    if isinstance(known.get("category"), str) and not asked.category:
        row["category"] = known["category"]
    for name in ("reference", "answer"):
        value = known.get(name)
        if value:
            row["reference"] = [str(one) for one in value] if isinstance(value, list) else [str(value)]
            break
    return row


def _write_set(one: AnswerSet, questions: _Questions, out: Path) -> dict[str, Any]:
    card: dict[str, Any] = {
        "key": one.place.key,
        "answerer": one.answerer,
        "seed": one.generation_seed,
        "score_key": one.score.key if one.score else "",
        "judge_keys": [judged.place.key for judged in one.judged],
        "missing": [text for text in _list_missing(one) if text],
    }
    if one.place.folder is None:
        return card
    said = _Said(one)
    writer = ChunkWriter(out, f"answers/{one.place.key}", CHUNK_BYTES, CHUNK_ROWS)
    columns: dict[str, list[Any]] = {"question": [], "sample": [], "score": []}
    parsed = []
    for response in read_responses(one.place.folder):
        row = said.join(response)
        writer.add(row)
        columns["question"].append(questions.number(response))
        columns["sample"].append(response.sample or 0)
        score, state = rate(row, len(one.judged))
        columns["score"].append(score)
        parsed.append(state)
    if not any(columns["sample"]):
        del columns["sample"]
    return {**card, **columns, "parsed": "".join(parsed), "starts": writer.close()}


def _list_missing(one: AnswerSet) -> list[str]:
    judged = [judged.place for judged in one.judged]
    compared = [compared.place for compared in one.compared]
    return [one.place.missing, *(place.missing for place in (one.score, *judged, *compared) if place is not None)]


def rate(row: Mapping[str, Any], judge_runs: int = 0) -> tuple[float | None, str]:
    """Return an answer's score, of a judge the mean of all ratings, and whether all that was said could be read.

    Where one of `judge_runs` has no verdict on a turn there is no score: a mean of the others would pass for it.
    """
    if row.get("score"):
        return row["score"]["score"], PARSED if row["score"]["parsed"] else UNPARSED
    verdicts = row.get("verdicts", ())
    ratings = [verdict["score"] for verdict in verdicts if verdict["score"] is not None]
    mean = round(sum(ratings) / len(ratings), 4) if ratings else None
    if not verdicts:
        return None, UNSCORED
    turns = max(len(row.get("responses", ())), *(verdict["turn"] for verdict in verdicts))
    if len({(verdict["run"], verdict["turn"]) for verdict in verdicts}) < judge_runs * turns:
        return None, PART
    return mean, PARSED if len(ratings) == len(verdicts) else UNPARSED


class _Said:
    """What was said of the answers of a set, by item and sample."""

    def __init__(self, one: AnswerSet) -> None:
        self._scores: dict[tuple[str, int | None], dict[str, Any]] = {}
        self._verdicts: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._pairs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        if one.score is not None and one.score.folder is not None:
            for row in read_rows(one.score.folder / "scores.jsonl", "item", "score", "parsed"):
                told = ("score", "parsed", "extracted", "note")
                said = {name: row[name] for name in told if row.get(name) is not None}
                self._scores[row["item"], row.get("sample")] = {**said, "key": one.score.key}
        for judged in one.judged:
            if judged.place.folder is not None:
                self._add_verdicts(judged, judged.place.folder)
        for compared in one.compared:
            if compared.place.folder is not None:
                self._add_pairs(compared, compared.place.folder)

    def _add_verdicts(self, judged: Judged, folder: Path) -> None:
        names = ("turn", "score", "parsed", "reply", "verdict_id")
        for row in read_rows(folder / "verdicts.jsonl", "item", *names):
            said = {name: row[name] for name in names}
            self._verdicts[row["item"]].append({**said, "run": judged.judge_run, "key": judged.place.key})

    def _add_pairs(self, compared: Compared, folder: Path) -> None:
        for row in read_rows(folder / "comparisons.jsonl", "item", "turn"):
            shared = {"key": compared.place.key, "other": compared.other_key, "run": compared.judge_run}
            said = {name: value for name, value in row.items() if name not in ("item", "prompt_digest")}
            self._pairs[row["item"]].append({**said, **shared, "second": compared.is_second})

    def join(self, response: Response) -> dict[str, Any]:
        """Return all that the page shows of one answer."""
        row: dict[str, Any] = {"responses": response.responses, "ends": response.finish_reasons}
        row["tokens"] = response.response_tokens
        if any(response.cut_tokens):
            row["cut"] = response.cut_tokens
        if score := self._scores.get((response.item, response.sample)):
            row["score"] = score
        if verdicts := self._verdicts.get(response.item):
            row["verdicts"] = sorted(verdicts, key=lambda one: (one["turn"], one["run"]))
        if pairs := self._pairs.get(response.item):
            row["pairs"] = pairs
        return row

"""Tidy scores of one model: one row per item, turn, generation seed, sample and judge run.

No pandas here: this runs once per model, and pyarrow alone starts 0.4 s sooner.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mixlab.analysis.lengths import LENGTHS, read_lengths
from mixlab.config.analysis import ModelScoresSettings, ScoredPart, find_range
from mixlab.config.problems import DataError, Problem
from mixlab.data.writing import list_lines

SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("measure", pa.string()),
        ("language", pa.string()),
        ("category", pa.string()),
        ("item", pa.string()),
        ("turn", pa.int32()),
        ("score", pa.float64()),
        ("parsed", pa.bool_()),
        ("judge", pa.string()),
        ("generation_seed", pa.int64()),
        ("judge_run", pa.int64()),
        ("model_key", pa.string()),
        ("stage", pa.string()),
        ("mixture_seed", pa.int64()),
        ("ipt_seed", pa.int64()),
        ("sft_seed", pa.int64()),
        ("variant_key", pa.string()),
        ("base_model_key", pa.string()),
        ("mixture_key", pa.string()),
        ("generate_key", pa.string()),
        ("score_key", pa.string()),
        ("verdict_id", pa.string()),
    ]
)
SAMPLES = "samples.jsonl"
SAMPLE = pa.field("sample", pa.int32())
"""A further column, where items are answered several times: which of the samples, None for what they say together."""


@dataclass(frozen=True)
class ModelKeys:
    """Where a model comes from: its checkpoint (`key` or `key:member`) and its mixture, None when it saw none."""

    model_key: str
    mixture_key: str | None


@dataclass(frozen=True)
class PartFolder:
    """The artifact of score (or judge) behind one part, its key, and the key of the answers it read.

    `responses`: those answers, of which a judged part gives the lengths; None: they are not told.
    """

    folder: Path
    score_key: str
    generate_key: str
    responses: Path | None = None


def write_model_scores(settings: ModelScoresSettings, keys: ModelKeys, parts: Sequence[PartFolder], out: Path) -> None:
    """Join the scores and verdicts of one model into `scores.parquet`; describe its benchmarks in `index.json`.

    `parts` stand in the order of `settings.parts`. Rows come in that order, then in the order of the items. A judge's
    reply that could not be parsed has the score NaN; an answer that could not be read keeps the scorer's 0.
    A part whose items have several samples has a row per sample, and under measures such as pass@10 a row per item.
    Where responses are handed over, rows of judged parts have the columns LENGTHS.
    Raises DataError, with every problem at once, for a score outside its range, an item met twice, an empty file.
    """
    if len(parts) != len(settings.parts):
        raise DataError(f"scores: {len(settings.parts)} parts are declared but {len(parts)} folders were handed over")
    sampled = any((place.folder / SAMPLES).is_file() or _is_sampled(place.folder) for place in parts)
    measured = any(place.responses is not None for place in parts)
    schema = pa.schema([*SCHEMA, *(LENGTHS if measured else ()), *([SAMPLE] if sampled else [])])
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    problems: list[Problem] = []
    cards = []
    constant = {**settings.model.model_dump(), "model_key": keys.model_key, "mixture_key": keys.mixture_key}
    for part, place in zip(settings.parts, parts, strict=True):
        card = _read_index(place.folder)
        cards.append(_describe_part(part, card))
        shared = {
            **constant,
            **part.model_dump(),
            "judge": card.get("judge"),
            "generate_key": place.generate_key,
            "score_key": place.score_key,
            **dict.fromkeys(field.name for field in (*LENGTHS, SAMPLE)),
        }
        for row in _read_rows(part, place, problems):
            for name, values in columns.items():
                values.append(row[name] if name in row else shared[name])
    if problems:
        raise DataError(problems)
    pq.write_table(pa.table(columns, schema=schema), out / "scores.parquet")
    text = json.dumps({"rows": len(columns["item"]), "parts": cards}, indent=1, sort_keys=True, ensure_ascii=False)
    (out / "index.json").write_text(text + "\n", encoding="utf-8")


def _is_sampled(folder: Path) -> bool:
    """Whether a part has several scores of an item; what is wrong with its file is told when it is read."""
    path = folder / "scores.jsonl"
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as stream:
        return '"sample"' in stream.readline()


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / "index.json"
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(Problem("missing; the artifact is not whole, run `mixlab verify`", file=str(path))) from None
    except ValueError as error:
        raise DataError(Problem(f"not JSON ({error}); run `mixlab verify`", file=str(path))) from error
    return card


def _describe_part(part: ScoredPart, card: dict[str, Any]) -> dict[str, Any]:
    unsolvable = [{"item": str(entry["item"]), "reason": str(entry["reason"])} for entry in card.get("unsolvable", [])]
    return {**part.model_dump(), "judge": card.get("judge"), "unsolvable": unsolvable}


def _read_rows(part: ScoredPart, place: PartFolder, problems: list[Problem]) -> Iterator[dict[str, Any]]:
    """Yield what differs from row to row, noting every mistake with its file and line."""
    if part.measure == "judge_score":
        lengths = None if place.responses is None else read_lengths(place.responses)
        for row in _read_file(part, path := place.folder / "verdicts.jsonl", problems):
            if lengths is not None and (row["item"], row["turn"]) not in lengths:
                problems.append(Problem(f"item '{row['item']}', turn {row['turn']}: no such response", str(path)))
            yield {**row, **(lengths or {}).get((row["item"], row["turn"]), {})}
        return
    yield from _read_file(part, place.folder / "scores.jsonl", problems)
    if (place.folder / SAMPLES).is_file():
        yield from _read_file(part, place.folder / SAMPLES, problems)


def _read_score(value: object) -> float | None:
    """Take a number or null; raises TypeError for anything else, truth values included."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"score {value!r} is no number")
    return value


def _read_file(part: ScoredPart, path: Path, problems: list[Problem]) -> Iterator[dict[str, Any]]:
    judged = part.measure == "judge_score"
    seen: set[tuple[str, int, int | None, str]] = set()
    try:
        lines = list_lines(path)
    except FileNotFoundError:
        problems.append(Problem("missing; the artifact is not whole, run `mixlab verify`", file=str(path)))
        return
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            item, turn = str(record["item"]), int(record["turn"]) if judged else 1
            score, parsed = _read_score(record["score"]), bool(record["parsed"])
            measure, sample = str(record.get("measure", part.measure)), record.get("sample")
            lowest, highest = find_range(measure)
        except (ValueError, KeyError, TypeError) as error:
            problems.append(Problem(f"not a score: {error!r}", file=str(path), line=number))
            continue
        if (item, turn, sample, measure) in seen:
            message = f"item '{item}', turn {turn} is there twice; a score counts once, so remove one of them"
            problems.append(Problem(message, file=str(path), line=number))
        seen.add((item, turn, sample, measure))
        if score is None and not (judged and not parsed):
            problems.append(Problem(f"item '{item}': no score; only an unparsed verdict has none", str(path), number))
        elif score is not None and not lowest <= score <= highest:
            message = f"item '{item}': score {score} is outside {lowest:g} to {highest:g}"
            problems.append(Problem(message, file=str(path), line=number))
        yield {
            "item": item,
            "turn": turn,
            "score": math.nan if score is None else float(score),
            "parsed": parsed,
            "verdict_id": record.get("verdict_id"),
            "measure": measure,
            "sample": sample,
        }
    if not lines:
        problems.append(Problem(f"no item of '{part.benchmark}' in it", file=str(path)))

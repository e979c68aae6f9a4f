"""The source stage: a generator stores its records, files and hub data sets are indexed and never copied."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mixlab.config.origins import GeneratorOrigin, HubOrigin
from mixlab.config.problems import DataError, Problem
from mixlab.config.sources import SourceSettings
from mixlab.data.files.blocks import FileCard
from mixlab.data.records import Record, find_fault
from mixlab.data.sources.generators import generate_records
from mixlab.data.sources.hub_records import index_hub, read_hub
from mixlab.data.sources.indexed import read_indexed
from mixlab.data.sources.reading import Exclusion, read_records
from mixlab.data.writing import read_json, write_json, write_line

_LOG = logging.getLogger(__name__)
_REASONS_SHOWN = 3


def build_source(settings: SourceSettings, files: Sequence[tuple[str, Path]], out: Path) -> None:
    """Write the artifact of a source into `out`.

    Generator: `records.jsonl` and `index.json` {records, excluded, bytes}. Files, given as (digest, path), and hub:
    `exclusions.jsonl` and `index.json` {files: [{digest, bytes, records, blocks of a large one, truncated: why the rest
    of a file was not read, where it was not}] or hub: {revision, blocks}, records, excluded, not_selected where records
    are selected}. Raises DataError with every bad record found,
    or when no record is left.
    """
    if isinstance(settings.origin, GeneratorOrigin):
        _store_generated(settings, settings.origin, out)
        return
    counts = {"excluded": 0}
    first: list[Problem] = []
    paths = {digest: str(path) for digest, path in files}
    if settings.origin.select is not None:
        counts["not_selected"] = 0

    def on_unselected() -> None:
        counts["not_selected"] += 1

    with (out / "exclusions.jsonl").open("w", encoding="utf-8", newline="\n") as exclusions:

        def on_excluded(exclusion: Exclusion) -> None:
            counts["excluded"] += 1
            if len(first) < _REASONS_SHOWN:
                place = paths.get(exclusion.file_digest, exclusion.file_digest)
                first.append(Problem(exclusion.reason, file=place, key=f"record {exclusion.record}"))
            write_line(exclusions, asdict(exclusion))

        cards: list[FileCard] = []
        index: dict[str, Any]
        if isinstance(settings.origin, HubOrigin):
            blocks = index_hub(settings, on_excluded, on_unselected)
            records = sum(block["records"] for block in blocks)
            index = {"hub": {"revision": settings.origin.revision, "blocks": blocks}}
        else:
            records = sum(1 for _ in read_records(settings, files, on_excluded, cards.append, on_unselected))
            index = {"files": [card.to_json() for card in cards]}
    if not records:
        raise DataError([Problem(_nothing_left(counts)), *first])
    _warn(counts["excluded"], records, first, {paths[card.digest]: card.truncated for card in cards if card.truncated})
    write_json(out / "index.json", {**index, "records": records, **counts})


def _warn(excluded: int, records: int, first: Sequence[Problem], truncated: Mapping[str, str]) -> None:
    if excluded:
        told = "; ".join(map(str, first))
        _LOG.warning("%d records were excluded, %d are left; the first: %s", excluded, records, told)
    for path, fault in sorted(truncated.items()):
        _LOG.warning("TRUNCATED FILE %s: %s; what follows in it is LOST: put the whole file there", path, fault)


def _nothing_left(counts: dict[str, int]) -> str:
    told = f"{counts['excluded']} were excluded"
    if "not_selected" in counts:
        told += f", {counts['not_selected']} have none of the values of `select`"
    return f"no record is left: {told}"


def _store_generated(settings: SourceSettings, origin: GeneratorOrigin, out: Path) -> None:
    path, records = out / "records.jsonl", 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record in generate_records(settings.kind, origin):
            if fault := find_fault(settings.kind, record):
                raise DataError(f"generator {origin.name}: record {records + 1} {fault}")
            write_line(file, record)
            records += 1
    write_json(out / "index.json", {"records": records, "excluded": 0, "bytes": path.stat().st_size})


def count_records(artifact: Path) -> int:
    """How many records a source has."""
    return int(read_json(artifact / "index.json")["records"])


def open_source(
    settings: SourceSettings,
    artifact: Path,
    files: Sequence[tuple[str, Path]] = (),
    first: int = 0,
    last: int | None = None,
) -> Iterator[Record]:
    """Yield records [first, last) of a source, counted from 0 among those that were not excluded.

    A generator's come from its artifact, a file source's from its verified files, a hub source's through `datasets`.
    Of files only the blocks with wanted records are read. What the source stage excluded is left out again, silently:
    the artifact lists it. Raises DataError when bytes or records are not those that were indexed.
    """
    index = read_json(artifact / "index.json")
    last = index["records"] if last is None else min(last, index["records"])
    if first < 0 or first >= last:
        return iter(())
    if isinstance(settings.origin, GeneratorOrigin):
        return _stored_records(settings, artifact / "records.jsonl", first, last)
    if isinstance(settings.origin, HubOrigin):
        return read_hub(settings, index["hub"]["blocks"], first, last)
    if settings.kind == "benchmark":
        # ids must differ across all files, and joined files are read whole anyway
        return islice(read_records(settings, files, lambda exclusion: None), first, last)
    return read_indexed(settings, [FileCard.from_json(card) for card in index["files"]], files, first, last)


def _stored_records(settings: SourceSettings, path: Path, first: int, last: int) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(islice(file, first, last), first + 1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}: record {number}: malformed JSON: {error.msg}; run `mixlab verify`") from None
            if fault := find_fault(settings.kind, record):
                raise DataError(f"{path}: record {number}: {fault}")
            yield record

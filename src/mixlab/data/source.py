"""The source stage: a generator stores its records, files are indexed and never copied."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mixlab.config.problems import DataError
from mixlab.config.sources import GeneratorOrigin, SourceSettings
from mixlab.data.generators import generate_records
from mixlab.data.reading import Exclusion, read_records
from mixlab.data.records import Record, find_fault
from mixlab.data.writing import write_json, write_line


def build_source(settings: SourceSettings, files: Sequence[tuple[str, Path]], out: Path) -> None:
    """Write the artifact of a source into `out`.

    Generator: `records.jsonl` and `index.json` {records, excluded, bytes}. Files, given as (digest, path):
    `index.json` {files: [{digest, bytes, records}], records, excluded} and `exclusions.jsonl`. Raises DataError
    with every bad record found, or when no record is left.
    """
    if isinstance(settings.origin, GeneratorOrigin):
        _store_generated(settings, settings.origin, out)
        return
    excluded = records = 0
    indexed: list[dict[str, Any]] = []

    def on_file(digest: str, size: int, count: int) -> None:
        indexed.append({"digest": digest, "bytes": size, "records": count})

    with (out / "exclusions.jsonl").open("w", encoding="utf-8", newline="\n") as exclusions:

        def on_excluded(exclusion: Exclusion) -> None:
            nonlocal excluded
            excluded += 1
            write_line(exclusions, asdict(exclusion))

        for _record in read_records(settings, files, on_excluded, on_file):
            records += 1
    if not records:
        raise DataError(f"no record is left of {len(indexed)} files: {excluded} were excluded")
    write_json(out / "index.json", {"files": indexed, "records": records, "excluded": excluded})


def _store_generated(settings: SourceSettings, origin: GeneratorOrigin, out: Path) -> None:
    path, records = out / "records.jsonl", 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record in generate_records(settings.kind, origin):
            if fault := find_fault(settings.kind, record):
                raise DataError(f"generator {origin.name}: record {records + 1} {fault}")
            write_line(file, record)
            records += 1
    write_json(out / "index.json", {"records": records, "excluded": 0, "bytes": path.stat().st_size})


def open_source(settings: SourceSettings, artifact: Path, files: Sequence[tuple[str, Path]] = ()) -> Iterator[Record]:
    """Yield the records of a source: a generator's from its artifact, a file source's from its verified files.

    What the source stage excluded is left out again, silently: the artifact lists it.
    """
    if isinstance(settings.origin, GeneratorOrigin):
        return _stored_records(settings, artifact / "records.jsonl")
    return read_records(settings, files, on_excluded=lambda exclusion: None)


def _stored_records(settings: SourceSettings, path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}: record {number}: malformed JSON: {error.msg}; run `mixlab verify`") from None
            if fault := find_fault(settings.kind, record):
                raise DataError(f"{path}: record {number}: {fault}")
            yield record

"""From declared files to checked records, in an order that names and places cannot change."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixlab.config.problems import DataError, Problem
from mixlab.config.sources import FilesOrigin, JoinedFiles, SourceSettings
from mixlab.data.files import Row, check_digest, read_rows
from mixlab.data.mapping import FieldFault, build_record, fill_item, item_id
from mixlab.data.records import Record, find_fault

PROBLEMS_SHOWN = 20
"""So many problems are told one by one; the rest are counted."""


@dataclass(frozen=True)
class Exclusion:
    """One record that was left out, and why; `record` counts from 1, 0 is the file as a whole."""

    file_digest: str
    record: int
    reason: str


OnExcluded = Callable[[Exclusion], None]


class _Faults:
    """Collects the faults of a source: told all at once under `fail`, handed on under `exclude`."""

    def __init__(self, settings: SourceSettings, on_excluded: OnExcluded) -> None:
        self._fails = settings.on_bad_record == "fail"
        self._on_excluded = on_excluded
        self._told: list[Problem] = []
        self._count = 0

    def add(self, digest: str, path: Path, number: int, fault: str) -> None:
        if not self._fails:
            self._on_excluded(Exclusion(digest, number, fault))
            return
        self._count += 1
        if len(self._told) < PROBLEMS_SHOWN:
            self._told.append(Problem(fault, file=str(path), key=f"record {number}"))

    def close(self) -> None:
        """Raise DataError when anything was found and bad records are to fail."""
        if not self._count:
            return
        told = list(self._told)
        if self._count > len(told):
            told.append(Problem(f"and {self._count - len(told)} more bad records"))
        told.append(Problem("mend the files, or state `on_bad_record: exclude` to leave such records out"))
        raise DataError(told)


def match_files(digests: Sequence[str], files: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    """Find the path of every declared digest; raises DataError naming those without a file."""
    paths: dict[str, Path] = {}
    for digest, path in files:
        paths.setdefault(digest, path)
    if missing := [digest[:16] for digest in digests if digest not in paths]:
        raise DataError(f"no file for the declared digests {', '.join(missing)}…; run `mixlab lock`")
    return {digest: paths[digest] for digest in digests}


def _ignore_file(digest: str, size: int, records: int) -> None:
    return None


def read_records(
    settings: SourceSettings,
    files: Sequence[tuple[str, Path]],
    on_excluded: OnExcluded,
    on_file: Callable[[str, int, int], None] = _ignore_file,
) -> Iterator[Record]:
    """Yield the records of a file source, file after file in the order of their digests.

    Every file is hashed before it is read. `on_excluded` hears of each record left out; `on_file` hears
    (digest, bytes, records) after each file. Raises DataError, after the last record, with all problems found
    when bad records are to fail, and at once for a file that is missing or is not the declared one.
    """
    origin = settings.origin
    if not isinstance(origin, FilesOrigin):
        raise DataError("this source is made by a generator; it has no files to read")
    paths = match_files(origin.digests, files)
    faults = _Faults(settings, on_excluded)
    additions = None if origin.joined is None else _read_joined(origin.joined, files, faults)
    seen: set[str] = set()
    taken = 0
    for digest, path in sorted(paths.items()):
        size, before = check_digest(path, digest), taken
        for row in read_rows(path, origin):
            if origin.limit is not None and taken >= origin.limit:
                break
            fault, record = _record_of(settings, origin, row)
            if fault is None and settings.kind == "benchmark":
                fault = _complete_item(origin, record, additions, seen)
            if fault is not None:
                faults.add(digest, path, row.number, fault)
                continue
            taken += 1
            yield record
        on_file(digest, size, taken - before)
    faults.close()


def _record_of(settings: SourceSettings, origin: FilesOrigin, row: Row) -> tuple[str | None, Record]:
    if row.fault is not None:
        return row.fault, {}
    try:
        record = build_record(settings.kind, origin.fields, row.value, row.number)
    except FieldFault as error:
        return str(error), {}
    return find_fault(settings.kind, record), record


def _complete_item(
    origin: FilesOrigin, record: Record, additions: Mapping[str, Record] | None, seen: set[str]
) -> str | None:
    name = record["id"]
    if name in seen:
        return f"the id {name!r} was used before: ids must differ"
    seen.add(name)
    if additions is None or origin.joined is None:
        return None
    if name not in additions:
        return f"the id {name!r} is not in the joined files" if origin.joined.required else None
    record.update(additions[name])
    return find_fault("benchmark", record)


def _read_joined(joined: JoinedFiles, files: Sequence[tuple[str, Path]], faults: _Faults) -> dict[str, Record]:
    additions: dict[str, Record] = {}
    for digest, path in sorted(match_files(joined.digests, files).items()):
        check_digest(path, digest)
        for row in read_rows(path, joined):
            if row.fault is not None:
                faults.add(digest, path, row.number, row.fault)
                continue
            try:
                additions[item_id(joined.id, row.value, row.number)] = fill_item(joined.item, row.value)
            except FieldFault as error:
                faults.add(digest, path, row.number, str(error))
    return additions

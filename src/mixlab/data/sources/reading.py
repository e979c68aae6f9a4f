"""From declared files to checked records, in an order that names and places cannot change."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixlab.config.fields import FieldMapping
from mixlab.config.origins import FilesOrigin, HubOrigin, JoinedFiles
from mixlab.config.problems import DataError, Problem
from mixlab.config.sources import SourceSettings
from mixlab.data.files.blocks import BlockCutter, FileCard, has_blocks
from mixlab.data.files.readers import check_digest, read_rows, require_digest
from mixlab.data.files.rows import Row
from mixlab.data.records import Record, find_fault
from mixlab.data.sources.mapping import FieldFault, build_record, fill_item, is_selected, item_id

_LOG = logging.getLogger(__name__)
_TOLD_RECORDS = 1_000_000

PROBLEMS_SHOWN = 20
"""So many problems are told one by one; the rest are counted."""

_CURE = "mend the files, or state `on_bad_record: exclude` to leave such records out"
_CURE_OF_CUT = (
    "a file that cannot be read to its end may be cut or damaged: download it again, or mend it there; or state "
    "`on_bad_record: exclude` to leave bad records out and to keep what was read before the damage"
)


@dataclass(frozen=True)
class Exclusion:
    """One record that was left out, and why; `record` counts from 1, 0 is the file as a whole."""

    file_digest: str
    record: int
    reason: str


OnExcluded = Callable[[Exclusion], None]


class Faults:
    """Collects the faults of a source: told all at once under `fail`, handed on under `exclude`."""

    def __init__(self, settings: SourceSettings, on_excluded: OnExcluded) -> None:
        self._fails = settings.on_bad_record == "fail"
        self._on_excluded = on_excluded
        self._told: list[Problem] = []
        self._count = 0
        self._is_cut = False

    def add(self, digest: str, place: str, number: int, fault: str, *, stops: bool = False) -> None:
        """Take the fault of one record of a file, or of another place; `stops`: the rest of the file is not read."""
        if not self._fails:
            self._on_excluded(Exclusion(digest, number, fault))
            return
        self._count += 1
        self._is_cut = self._is_cut or (stops and number > 0)
        if len(self._told) < PROBLEMS_SHOWN:
            self._told.append(Problem(fault, file=place, key=f"record {number}"))

    def close(self) -> None:
        """Raise DataError when anything was found and bad records are to fail."""
        if not self._count:
            return
        told = list(self._told)
        if self._count > len(told):
            told.append(Problem(f"and {self._count - len(told)} more bad records"))
        told.append(Problem(_CURE_OF_CUT if self._is_cut else _CURE))
        raise DataError(told)


def match_files(digests: Sequence[str], files: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    """Find the path of every declared digest; raises DataError naming those without a file."""
    paths: dict[str, Path] = {}
    for digest, path in files:
        paths.setdefault(digest, path)
    if missing := [digest[:16] for digest in digests if digest not in paths]:
        raise DataError(f"no file for the declared digests {', '.join(missing)}…; run `mixlab lock`")
    return {digest: paths[digest] for digest in digests}


def _ignore_file(card: FileCard) -> None:
    return None


def _ignore_one() -> None:
    return None


class RecordMaker:
    """Makes records of rows: mapped, checked, and with their second half; what is not asked for is passed over."""

    def __init__(
        self,
        settings: SourceSettings,
        additions: dict[str, Record] | None = None,
        on_unselected: Callable[[], None] = _ignore_one,
    ) -> None:
        if not isinstance(settings.origin, FilesOrigin | HubOrigin):
            raise DataError("this source is made by a generator; it has no files to read")
        self._kind, self._origin, self._additions = settings.kind, settings.origin, additions
        self._on_unselected = on_unselected
        self._seen: set[str] = set()
        self.passed = 0
        """Records of the files before this one: an item without an id is named by its number among all."""

    def make(self, row: Row) -> tuple[str | None, Record | None]:
        """Why a row is no record, or the record; neither for one that is not selected."""
        if row.fault is not None:
            return row.fault, None
        origin = self._origin
        try:
            if origin.select is not None and not is_selected(origin.select, row.value):
                self._on_unselected()
                return None, None
            record = build_record(self._kind, origin.fields, row.value, self.passed + row.number)
        except FieldFault as error:
            return str(error), None
        fault = find_fault(self._kind, record)
        if fault is None and self._kind == "benchmark":
            fault = self._complete_item(record)
        return fault, record if fault is None else None

    def _complete_item(self, record: Record) -> str | None:
        name = record["id"]
        if name in self._seen:
            return f"the id {name!r} was used before: ids must differ"
        self._seen.add(name)
        joined = self._origin.joined if isinstance(self._origin, FilesOrigin) else None
        if self._additions is None or joined is None:
            return None
        if name not in self._additions:
            return f"the id {name!r} is not in the joined files" if joined.required else None
        record.update(self._additions[name])
        return find_fault("benchmark", record)


def read_records(
    settings: SourceSettings,
    files: Sequence[tuple[str, Path]],
    on_excluded: OnExcluded,
    on_file: Callable[[FileCard], None] = _ignore_file,
    on_unselected: Callable[[], None] = _ignore_one,
) -> Iterator[Record]:
    """Yield the records of a file source, file after file in the order of their digests.

    A file is hashed before it is read; a large one that can be read in parts is hashed and indexed on the way.
    `on_excluded` hears of each record left out, `on_unselected` of each that was not asked for, `on_file` of each file
    when it was read. Raises DataError, after the last record, with all problems found when bad records are to fail,
    and at once for a file that is missing or is not the declared one.
    """
    origin = settings.origin
    if not isinstance(origin, FilesOrigin):
        raise DataError("this source is made by a generator; it has no files to read")
    paths = match_files(origin.digests, files)
    faults = Faults(settings, on_excluded)
    additions = None if origin.joined is None else _read_joined(origin.joined, files, faults)
    maker = RecordMaker(settings, additions, on_unselected)
    taken = 0
    for digest, path in sorted(paths.items()):
        left = None if origin.limit is None else origin.limit - taken
        reading = _FileReading(origin, digest, path, is_indexed=settings.kind != "benchmark")
        for record in reading.records(maker, faults, left):
            taken += 1
            if taken % _TOLD_RECORDS == 0:
                _LOG.info("%d records read, now in %s", taken, path.name)
            yield record
        on_file(reading.card())
    faults.close()


class _FileReading:
    """One file being read for the first time."""

    def __init__(self, origin: FilesOrigin, digest: str, path: Path, is_indexed: bool) -> None:
        self._origin, self._digest, self._path = origin, digest, path
        self._records = 0
        self._truncated = ""
        self._cutter: BlockCutter | None = None
        if is_indexed and path.is_file() and has_blocks(path, origin):
            self._cutter = BlockCutter(path)
        else:
            self._bytes = check_digest(path, digest)

    def records(self, maker: RecordMaker, faults: Faults, limit: int | None) -> Iterator[Record]:
        if limit is not None and limit <= 0:
            return
        last = 0
        for row in read_rows(self._path, self._origin, self._origin.fields.columns(self._origin.select)):
            last = row.number
            fault, record = maker.make(row)
            if self._cutter is not None:
                self._cutter.see(row, record is not None)
            if fault is not None:
                faults.add(self._digest, str(self._path), row.number, fault, stops=row.stops)
                self._truncated = fault if row.stops else self._truncated
            if record is not None:
                self._records += 1
                yield record
                if self._records == limit:
                    return
        maker.passed += last

    def card(self) -> FileCard:
        if self._cutter is None:
            return FileCard(self._digest, self._bytes, self._records, truncated=self._truncated)
        found, size, blocks = self._cutter.finish()
        require_digest(self._path, found, self._digest)
        return FileCard(self._digest, size, self._records, blocks, self._truncated)


def _read_joined(joined: JoinedFiles, files: Sequence[tuple[str, Path]], faults: Faults) -> dict[str, Record]:
    additions: dict[str, Record] = {}
    columns = _columns_of(joined)
    for digest, path in sorted(match_files(joined.digests, files).items()):
        check_digest(path, digest)
        for row in read_rows(path, joined, columns):
            if row.fault is not None:
                faults.add(digest, str(path), row.number, row.fault, stops=row.stops)
                continue
            try:
                additions[item_id(joined.id, row.value, row.number)] = fill_item(joined.item, row.value)
            except FieldFault as error:
                faults.add(digest, str(path), row.number, str(error))
    return additions


def _columns_of(joined: JoinedFiles) -> frozenset[str]:
    return FieldMapping(id=joined.id, item=joined.item).columns()

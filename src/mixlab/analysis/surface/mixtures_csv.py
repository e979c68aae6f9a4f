"""Mixtures and what was measured of them, from a CSV file.

Columns, in any order: `ratio:NAME` for each component; `loss:NAME` (less is better) or `score:NAME` for each target;
where wanted `se:NAME`, the standard error of that target's value, and `mixture`, a label. A row is a mixture, or one
run of one: rows with equal ratios are runs of one mixture. An empty field of a target: not measured. Ratios sum to 1
within TOLERANCE, since published ones are rounded, and are normalised.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixlab.analysis.surface.points import Measurement, Points, Target, build_points
from mixlab.config.problems import DataError, Problem, did_you_mean

TOLERANCE = 0.005
LARGEST = 1e100
"""Values that are larger are refused: of their squares there is no number."""
_RATIO, _LOSS, _SCORE, _ERROR, _LABEL = "ratio", "loss", "score", "se", "mixture"
_SHOWN = "ratio:NAME, loss:NAME, score:NAME, se:NAME, mixture"


@dataclass(frozen=True)
class MeasuredTarget:
    """A target and its points."""

    target: Target
    points: Points


@dataclass(frozen=True)
class _Header:
    ratios: Mapping[str, int]
    targets: Mapping[str, tuple[Target, int]]
    errors: Mapping[str, int]
    label: int | None
    width: int


def read_mixtures(path: Path) -> list[MeasuredTarget]:
    """Read a file of mixtures.

    Raises DataError with every problem, each with its line and column: what is no number, is out of range, does not sum
    to 1, has no column of its kind, or a label that two mixtures bear.
    """
    rows = _read_rows(path)
    problems: list[Problem] = []
    header = _read_header(path, rows[0][1], problems)
    if problems:
        raise DataError(problems)
    found: dict[str, list[Measurement]] = {name: [] for name in header.targets}
    labels: dict[str, tuple[int, tuple[float, ...]]] = {}
    for line, fields in rows[1:]:
        if len(fields) != header.width:
            message = f"{len(fields)} fields under {header.width} columns; is a comma missing, or one too many?"
            problems.append(Problem(message, str(path), line))
            continue
        ratios = _read_ratios(path, line, fields, header, problems)
        label = fields[header.label].strip() if header.label is not None else f"line {line}"
        if ratios is not None:
            problems += _check_label(path, line, label or f"line {line}", ratios, labels)
        for name, (target, at) in header.targets.items():
            value, error = _read_value(path, line, fields, header, (name, target, at), problems)
            if value is not None and ratios is not None:
                found[name].append(Measurement(label or f"line {line}", ratios, value, error))
    problems += [
        Problem("no row has a value; fill the column in, or remove it", str(path), 1, rows[0][1][at])
        for name, (_, at) in header.targets.items()
        if not found[name] and not problems
    ]
    if problems:
        raise DataError(problems)
    targets = ((target, found[name]) for name, (target, _) in header.targets.items())
    return [MeasuredTarget(target, build_points(tuple(header.ratios), some)) for target, some in targets]


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Read lines that are not blank, each with its number; the header is the first."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(Problem(f"cannot be read: {error.strerror}", str(path))) from None
    except UnicodeDecodeError as error:
        raise DataError(Problem(f"not UTF-8 at byte {error.start}; save the file as UTF-8", str(path))) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                rows.append((reader.line_num, fields))
    except csv.Error as error:
        raise DataError(Problem(f"no CSV: {error}", str(path), reader.line_num)) from None
    if len(rows) < 2:
        message = f"no mixtures in it; expected a header ({_SHOWN}) and a row for each mixture"
        raise DataError(Problem(message, str(path)))
    return rows


def _read_header(path: Path, names: Sequence[str], problems: list[Problem]) -> _Header:
    ratios: dict[str, int] = {}
    targets: dict[str, tuple[Target, int]] = {}
    errors: dict[str, int] = {}
    label = None
    seen: set[str] = set()
    line = 1
    for at, raw in enumerate(names):
        column = raw.strip()
        kind, _, name = (part.strip() for part in column.partition(":"))
        if column in seen:
            problems.append(Problem("two columns have this name; remove or rename one", str(path), line, column))
        seen.add(column)
        if kind == _LABEL and not name:
            label = at
        elif kind == _RATIO and name:
            ratios[name] = at
        elif kind in (_LOSS, _SCORE) and name:
            targets[column] = Target(name, is_loss=kind == _LOSS), at
        elif kind == _ERROR and name:
            errors[name] = at
        else:
            hint = did_you_mean(kind, (_RATIO, _LOSS, _SCORE, _ERROR, _LABEL))
            message = f"not a column that is known{hint}; expected {_SHOWN}"
            problems.append(Problem(message, str(path), line, column or f"column {at + 1}"))
    known = {target.name for target, _ in targets.values()}
    for name in errors:
        if name not in known:
            message = f"no target of this name{did_you_mean(name, known)}; add loss:{name} or score:{name}"
            problems.append(Problem(message, str(path), line, f"{_ERROR}:{name}"))
    twice = sorted(name for name in known if sum(target.name == name for target, _ in targets.values()) > 1)
    problems += [Problem("both a loss and a score; rename one", str(path), line, name) for name in twice]
    if len(ratios) < 2:
        problems.append(Problem(f"{len(ratios)} columns ratio:NAME; a mixture has two or more", str(path), 1))
    if not targets:
        problems.append(Problem("no column loss:NAME or score:NAME; nothing was measured", str(path), 1))
    return _Header(ratios, targets, errors, label, len(names))


def _read_ratios(
    path: Path, line: int, fields: Sequence[str], header: _Header, problems: list[Problem]
) -> tuple[float, ...] | None:
    before = len(problems)
    ratios = []
    for name, at in header.ratios.items():
        number = _read_number(path, line, f"{_RATIO}:{name}", fields[at], problems)
        if number is not None and not 0 <= number <= 1:
            message = f"{fields[at].strip()} is outside of 0 to 1; a ratio is a share of the whole mixture"
            problems.append(Problem(message, str(path), line, f"{_RATIO}:{name}"))
        ratios.append(number or 0.0)
    if len(problems) > before:
        return None
    total = math.fsum(ratios)
    if abs(total - 1) > TOLERANCE:
        message = f"ratios sum to {total:.6g}, not 1 (within {TOLERANCE:g}); correct one, or add the missing component"
        problems.append(Problem(message, str(path), line))
        return None
    return tuple(ratio / total for ratio in ratios)


def _check_label(
    path: Path,
    line: int,
    label: str,
    ratios: tuple[float, ...],
    labels: dict[str, tuple[int, tuple[float, ...]]],
) -> Iterator[Problem]:
    first, former = labels.setdefault(label, (line, ratios))
    if former != ratios:
        message = f"'{label}' is another mixture on line {first}; runs of one mixture have equal ratios, so rename one"
        yield Problem(message, str(path), line, _LABEL)


def _read_value(
    path: Path,
    line: int,
    fields: Sequence[str],
    header: _Header,
    target: tuple[str, Target, int],
    problems: list[Problem],
) -> tuple[float | None, float | None]:
    column, about, at = target
    if not fields[at].strip():
        return None, None
    value = _read_number(path, line, column, fields[at], problems)
    place = header.errors.get(about.name)
    if place is None or not fields[place].strip():
        return value, None
    error = _read_number(path, line, f"{_ERROR}:{about.name}", fields[place], problems)
    if error is not None and error < 0:
        message = f"{fields[place].strip()} is negative; a standard error is 0 or more"
        problems.append(Problem(message, str(path), line, f"{_ERROR}:{about.name}"))
    return value, error


def _read_number(path: Path, line: int, column: str, text: str, problems: list[Problem]) -> float | None:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if abs(number) > LARGEST and math.isfinite(number):
        message = f"{text.strip()} is beyond {LARGEST:g} in size, too large to be squared; give the column another unit"
        problems.append(Problem(message, str(path), line, column))
        return None
    if math.isfinite(number):
        return number
    got = f"got {text.strip()!r}" if text.strip() else "got nothing"
    problems.append(Problem(f"expected a number, {got}; correct it, or remove the row", str(path), line, column))
    return None

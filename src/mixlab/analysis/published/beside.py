"""A study's target beside the published table: cell by cell, with differences, and what has no partner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mixlab.analysis.published.tables import FORMS, PublishedTable, Row
from mixlab.analysis.targets import Place, TargetCell
from mixlab.config.problems import DataError
from mixlab.config.targets import NO_POINT

GAIN = "rel_improvement_pct"
VALUES = {
    "mean": "mean",
    "mean_after_sft": "mean",
    "sd": "error",
    "delta_abs_vs_baseline": "difference",
    GAIN: "gain",
}
"""Column of a published table -> what it is of a target's cell."""
_CELL = tuple(one.name for one in fields(TargetCell) if one.name not in ("made_of", "compared"))
_PLACE = tuple(one.name for one in fields(Place))
_LABELLED = ("table", "variants", "base_models", "stages", "measures")
_OWN = {"variant": "config", "base_model": "model"}


@dataclass(frozen=True)
class Beside:
    """One published number and the study's; `ours` is None where the study has no such cell, and `state` says why.

    `n` of `n_wanted` values, and `items` of `items_wanted` of their items, stand behind `ours`; `unparsed` could not be
    read. `other_n` of `other_wanted` values, `other_unparsed`: the same of what it is a difference to or a gain from.
    `left_out` of `items_asked` items, for which a run compared has no score, are in no difference or gain. `low` to
    `high`: the 95 % interval of a gain; `obstacle`: why it has none.
    """

    labels: Mapping[str, str]
    value: str
    printed: str
    ours: float | None
    difference: float | None
    state: str
    n: int = 0
    n_wanted: int = 0
    unparsed: int = 0
    items: int = 0
    items_wanted: int = 0
    other_n: int | None = None
    other_wanted: int | None = None
    other_unparsed: int | None = None
    left_out: int | None = None
    items_asked: int | None = None
    low: float | None = None
    high: float | None = None
    obstacle: str = ""


@dataclass(frozen=True)
class Comparison:
    """A target and the table it stands beside; `unmatched` cells of the study have no published partner."""

    target: str
    table: str
    rows: tuple[Beside, ...]
    unmatched: int

    @property
    def matched(self) -> int:
        """How many published numbers have one of the study's beside them."""
        return sum(row.ours is not None for row in self.rows)


def list_lacking(target: Any) -> list[str]:
    """List what `targets/NAME.json` lacks of what is compared; one that another version wrote may lack some of it.

    What is not of its kind, such as cells that are no list, counts as lacking.
    """
    if not isinstance(target, Mapping):
        return ["published", "cells"]
    published, cells = target.get("published"), target.get("cells")
    lacking = []
    if isinstance(published, Mapping):
        whole = {name for name in _LABELLED if name in published and (name == "table" or _is_map(published[name]))}
        lacking += [f"published.{name}" for name in sorted(set(_LABELLED) - whole)]
    elif "published" not in target or published is not None:
        lacking.append("published")
    if not isinstance(cells, list) or not all(map(_is_map, cells)):
        return [*lacking, "cells"]
    for cell in cells:
        lacking += [f"cells.{name}" for name in _list_absent(cell)]
    return list(dict.fromkeys(lacking))


def _list_absent(cell: Mapping[str, Any]) -> list[str]:
    absent = [name for name in _CELL if name not in cell or (name == "place" and not _is_map(cell[name]))]
    return absent if "place" in absent else [*absent, *(f"place.{one}" for one in _PLACE if one not in cell["place"])]


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)


def compare_target(name: str, target: Mapping[str, Any], tables: Mapping[str, PublishedTable]) -> Comparison | None:
    """Put a target, as `targets/NAME.json` holds it, beside its table; None where it names none, or has no scores.

    Raises DataError for a table that is not known.
    """
    published = target["published"]
    if published is None or not target["cells"]:
        return None
    number = published["table"]
    if number not in tables:
        known = ", ".join(sorted(tables))
        raise DataError(f"target '{name}': no published table {number} is known (tables: {known})")
    table = tables[number]
    keys = FORMS[number].keys
    cells = [cell for cell in target["cells"] if cell["state"] != NO_POINT]
    ours = {_label(cell["place"], published, keys): cell for cell in cells}
    rows, met = [], set()
    for row in table.rows:
        labels = tuple(row[key] for key in keys)
        cell = ours.get(labels)
        met |= {labels} if cell is not None else set()
        rows += _compare_row(row, cell)
    return Comparison(name, table.title, tuple(rows), len(set(ours) - met))


def _label(place: Mapping[str, str], published: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    """The labels of a cell as the published table has them; a column that is not named is empty."""
    labels = {column: place[axis] for axis, column in _OWN.items()}
    for axis in ("variant", "base_model", "stage", "measure"):
        labels |= published[f"{axis}s"].get(place[axis], {})
    return tuple(labels.get(key, "") for key in keys)


def _compare_row(row: Row, cell: Mapping[str, Any] | None) -> list[Beside]:
    found = []
    for column, value in VALUES.items():
        if column in row.printed:
            ours = None if cell is None else cell[value]
            state = "no such cell" if cell is None else cell["state"] or ("" if ours is not None else "not known")
            difference = None if ours is None else ours - float(row.read(column).value)
            counts = {} if cell is None else _find_counts(cell, value)
            found.append(Beside(dict(row.labels), column, row.printed[column], ours, difference, state, **counts))
    return found


def _find_counts(cell: Mapping[str, Any], value: str) -> dict[str, Any]:
    """What stands behind a value of a cell."""
    counts = {name: cell[name] for name in ("n", "n_wanted", "unparsed", "items", "items_wanted")}
    if value in ("difference", "gain"):
        counts |= {"left_out": cell[f"{value}_left_out"], "items_asked": cell["items_asked"]}
    if value == "difference":
        counts |= {"n": cell["difference_n"], "other_n": cell["against_n"], "other_wanted": cell["n_wanted"]}
        counts |= {"other_unparsed": cell["against_unparsed"]}
    if value == "gain":
        counts |= {"other_n": cell["before_n"], "other_wanted": cell["before_wanted"]}
        counts |= {"other_unparsed": cell["before_unparsed"], "low": cell["gain_low"], "high": cell["gain_high"]}
        counts |= {"obstacle": cell["gain_obstacle"]}
    return counts

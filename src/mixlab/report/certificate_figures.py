"""A mixture's certificate as the pages read it: every line with what was asked for and what was taken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mixlab.data.mixtures.certificate import MANY_EPOCHS
from mixlab.report.text import render_plain

AXES = ("instruction", "language", "category", "raw", "cells")


@dataclass(frozen=True)
class Line:
    """One line of a certificate: a part of an axis, a source, or the total.

    Shares lie in [0, 1]: `achieved` of the budget's unit, `achieved_target` of what `loss: all` learns,
    `achieved_response` of what `loss: response` learns, None of nothing. `feasible` is what an infeasible request was
    bent to, empty where nothing was. `entry` has every figure under the certificate's own names.
    """

    axis: str
    part: str
    asked: str
    asked_share: float
    feasible: str
    achieved: float
    achieved_target: float | None
    achieved_response: float | None
    tokens: int
    epochs: float
    entry: Mapping[str, Any]

    @property
    def is_repeated_often(self) -> bool:
        """Whether more than `MANY_EPOCHS` epochs are taken."""
        return self.epochs > MANY_EPOCHS

    @property
    def documents(self) -> str:
        """First and last document of the source that are taken: `0 to 4 320`; empty where none is."""
        first, last = self.entry["first_document"], self.entry["last_document"]
        return f"{render_plain(first)} to {render_plain(last)}" if first >= 0 else ""


def list_axes(certificate: Mapping[str, Any]) -> Iterator[Line]:
    """Yield the parts of the axes, axis by axis."""
    for axis in AXES:
        for part, entry in sorted(certificate["axes"].get(axis, {}).items()):
            yield _read_line(axis, part, entry)


def list_sources(certificate: Mapping[str, Any], names: tuple[str, ...] = ()) -> Iterator[Line]:
    """Yield the sources by position, under their names or, where these are not known, position and labels."""
    for entry in certificate["sources"]:
        position = entry["position"]
        labels = [str(entry[name]) for name in ("kind", "language", "category") if entry.get(name)]
        part = names[position] if names else f"{position}: {' '.join(labels)}"
        yield _read_line("source", part, entry)


def read_total(certificate: Mapping[str, Any]) -> Line:
    """Read the line of the whole mixture: all that is learnt, where anything is."""
    total = dict(certificate["total"])
    for measure in ("target", "response"):
        total[f"{measure}_ratio"] = 1.0 if total[f"{measure}_tokens"] else None
    return _read_line("total", "", total)


def list_lines(certificate: Mapping[str, Any], names: tuple[str, ...] = ()) -> Iterator[Line]:
    """Yield axes, sources and total."""
    yield from list_axes(certificate)
    yield from list_sources(certificate, names)
    yield read_total(certificate)


def _read_line(axis: str, part: str, entry: Mapping[str, Any]) -> Line:
    feasible = entry.get("feasible_ratio", "")
    return Line(
        axis=axis,
        part=part,
        asked=entry["requested_ratio"],
        asked_share=entry["requested_ratio_float"],
        feasible=feasible if feasible != entry["requested_ratio"] else "",
        achieved=entry["observed_ratio"] or 0.0,
        achieved_target=entry.get("target_ratio"),
        achieved_response=entry.get("response_ratio"),
        tokens=entry["allocated_tokens"],
        epochs=entry["repetition"],
        entry=entry,
    )

"""What artifacts of data say, found by the keys that a study's names stand for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlab.artifacts.keys import build_digest
from mixlab.config.problems import DataError
from mixlab.config.report_data import DataShown
from mixlab.data.mixtures.certificate_rows import read_certificate
from mixlab.data.writing import read_json

Figures = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """What the search of one source for benchmark items found; `benchmarks` by position."""

    records: int
    contaminated: int
    benchmarks: tuple[Figures, ...]


@dataclass(frozen=True)
class DataFigures:
    """The figures by key; a key that is not in here belongs to an artifact that is not at hand.

    `certificates`: in rows, with the digest of the file beside each. `filters`, `sources` and `labels`: their index
    cards.
    """

    certificates: dict[str, tuple[Figures, str]] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    filters: dict[str, Figures] = field(default_factory=dict)
    counts: Path | None = None
    sources: dict[str, Figures] = field(default_factory=dict)
    labels: dict[str, Figures] = field(default_factory=dict)


def load_data_figures(shown: DataShown, folders: Mapping[str, Path]) -> DataFigures:
    """Read the artifacts in `folders`, by key, as far as they are there.

    Raises DataError for a check that knows another number of benchmarks than the study, and for a certificate of
    another number of sources.
    """
    keys = shown.keys()
    certificates, checks = {}, {}
    for key in keys["mixtures"]:
        if key in folders:
            path = folders[key] / "certificate.json"
            certificates[key] = read_certificate(path), build_digest(path.read_bytes())
    for key in keys["contamination"]:
        if key in folders:
            index = read_json(folders[key] / "index.json")
            checks[key] = Check(index["records"], index["contaminated"], tuple(index["benchmarks"]))
    filters, sources, labels = (
        {key: read_json(folders[key] / "index.json") for key in keys[role] if key in folders}
        for role in ("filters", "sources", "labels")
    )
    figures = DataFigures(certificates, checks, filters, folders.get(shown.counts or ""), sources, labels)
    _check_fit(shown, figures)
    return figures


def _check_fit(shown: DataShown, figures: DataFigures) -> None:
    for source in shown.sources:
        check = figures.checks.get(source.contamination or "")
        if check and len(check.benchmarks) != len(shown.benchmarks):
            raise DataError(
                f"source '{source.name}': contamination {source.contamination} is of {len(check.benchmarks)} "
                f"benchmarks, the study has {len(shown.benchmarks)}; plan the report again"
            )
    for mixture in shown.mixtures:
        if mixture.key in figures.certificates:
            there = len(figures.certificates[mixture.key][0]["sources"])
            if there != len(mixture.sources):
                raise DataError(
                    f"mixture '{mixture.label}': its certificate is of {there} sources, the study names "
                    f"{len(mixture.sources)}; plan the report again"
                )

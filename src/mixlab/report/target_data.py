"""Targets that show data: tables of counts, raw corpora and their shares, what SFT draws."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixlab.analysis.cells import read_csv
from mixlab.config.problems import DataError
from mixlab.config.report_data import DataShown
from mixlab.config.targets import CountsTarget, DrawnTarget, RawTarget, TargetSettings
from mixlab.data.mixtures.certificate_rows import read_certificate
from mixlab.report.counts import NAMES
from mixlab.report.target_grids import Grid, GridCell, Labels

_TOTAL = ("all", "total")


def find_origin(settings: TargetSettings, shown: DataShown | None) -> str:
    """Find the key of the artifact that a target of data is read from: counts or a mixture; empty where none is known.

    Of several mixtures it is the first.
    """
    target = settings.target
    if isinstance(target, CountsTarget):
        return (shown.counts if shown is not None else None) or ""
    if isinstance(target, DrawnTarget):
        mixtures = shown.mixtures if shown is not None else ()
        return next((mixture.key for mixture in mixtures if "sft" in mixture.purposes), "")
    return next((point.mixture_key for point in settings.points), "")


def build_data_grid(settings: TargetSettings, folders: Mapping[str, Path], shown: DataShown | None) -> Grid:
    """Build a target of data; `folders`: artifacts by key, as `shown` names them.

    The key of the artifact stands in each record. Raises DataError where that artifact is not handed over.
    """
    target, key = settings.target, find_origin(settings, shown)
    if isinstance(target, CountsTarget):
        grid, column = _build_counts_grid(settings.name, target, folders.get(key)), "counts_key"
    elif isinstance(target, DrawnTarget | RawTarget):
        certificate, column = _read(settings.name, key, folders), "mixture_key"
        if isinstance(target, DrawnTarget):
            grid = build_drawn_grid(settings.name, target, certificate)
        else:
            mixtures = shown.mixtures if shown is not None else ()
            names = next((mixture.sources for mixture in mixtures if mixture.key == key), ())
            grid = build_raw_grid(settings.name, target, certificate, names)
    else:
        raise TypeError(f"target '{settings.name}' shows no data")
    records = [(*record, key) for record in grid.records]
    return replace(grid, header=(*grid.header, column), records=records, origin=key)


def _read(name: str, key: str, folders: Mapping[str, Path]) -> Mapping[str, Any]:
    """Read the certificate of a mixture."""
    if key not in folders:
        raise DataError(f"target '{name}': the mixture that it shows is not here; `mixlab plan` lists what would run")
    return read_certificate(folders[key] / "certificate.json")


def _build_counts_grid(name: str, target: CountsTarget, counts: Path | None) -> Grid:
    path = None if counts is None else counts / f"{target.table}.csv"
    if path is None or not path.is_file():
        raise DataError(f"target '{name}': the study's counts have no {target.table}; its data hold nothing for it")
    rows = read_csv(path)
    header = list(rows[0])
    tokens = header[-1]
    cells: dict[tuple[Labels, Labels], GridCell] = {}
    for row in rows:
        label = (row["language"], row["category"])
        cells[label, ("", "samples")] = GridCell(f"{int(row['n_samples']):,}")
        cells[label, (tokens.replace("_", " "), row.get("tokenizer", ""))] = GridCell(row[tokens])
    heads = ("Language", "Category")
    return _lay(name, target, heads, cells, header, [tuple(row.values()) for row in rows])


def build_drawn_grid(name: str, target: DrawnTarget, certificate: Mapping[str, Any]) -> Grid:
    """Dialogues and tokens of responses that a mixture with one dialogue a window holds, by language and category."""
    sums: dict[Labels, tuple[int, int]] = {}
    for row in certificate["sources"]:
        for label in ((NAMES.get(row["language"], row["language"]), row["category"]), _TOTAL):
            samples, tokens = sums.get(label, (0, 0))
            sums[label] = (samples + row["windows"], tokens + row["response_tokens"])
    order = [*sorted(label for label in sums if label != _TOTAL), _TOTAL]
    records = [(*label, *sums[label]) for label in order]
    header = ("language", "category", "n_samples", "response_tokens")
    cells = _fill(((label, sums[label]) for label in order), ("samples", "response tokens"), "{:,}")
    return _lay(name, target, ("Language", "Category"), cells, header, records)


def build_raw_grid(name: str, target: RawTarget, certificate: Mapping[str, Any], sources: Sequence[str] = ()) -> Grid:
    """Tokens of each raw corpus, those taken, its share, and that over its share of the tokens that are there.

    `sources`: names by position; a corpus without one is called by its position.
    """
    rows = [row for row in certificate["sources"] if row["kind"] == "raw"]
    there, taken = (sum(row[what] for row in rows) for what in ("population_tokens", "allocated_tokens"))
    header = ("language", "source", "tokens", "tokens_taken", "share_percent", "share_over_natural")
    records = []
    for row in rows:
        at, tokens = row["position"], row["population_tokens"]
        share = row["allocated_tokens"] / taken if taken else 0.0
        natural = share / (tokens / there) if tokens else 0.0
        source = sources[at] if at < len(sources) else f"no. {at}"
        records.append((row["language"], source, tokens, row["allocated_tokens"], 100 * share, natural))
    counted = _fill(((record[:2], record[2:4]) for record in records), ("tokens", "tokens taken"), "{:,}")
    shares = _fill(((record[:2], record[4:]) for record in records), ("share, %", "share / natural share"), "{:.2f}")
    return _lay(name, target, ("Language", "Corpus"), {**counted, **shares}, header, records)


def _fill(
    rows: Iterable[tuple[Labels, Sequence[float]]], columns: Sequence[str], form: str
) -> dict[tuple[Labels, Labels], GridCell]:
    return {
        (label, (column,)): GridCell(form.format(value))
        for label, values in rows
        for column, value in zip(columns, values, strict=True)
    }


def _lay(
    name: str,
    target: CountsTarget | DrawnTarget | RawTarget,
    heads: Labels,
    cells: Mapping[tuple[Labels, Labels], GridCell],
    header: Sequence[str],
    records: Sequence[Sequence[Any]],
) -> Grid:
    rows, columns = (tuple(dict.fromkeys(place[side] for place in cells)) for side in (0, 1))
    notes = (target.note,) if target.note else ()
    return Grid(name, target.of, target.title, notes, heads, rows, columns, cells, header, records)

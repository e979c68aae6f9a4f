"""Cells: what one point of the study scored on one benchmark, before or after SFT; means over several benchmarks."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixlab.analysis.statistics import Estimate, Replicate, estimate_seeds, group_error, item_error
from mixlab.config.analysis import Selection
from mixlab.config.problems import DataError, Problem

if TYPE_CHECKING:
    import pandas as pd

CELL = ["variant_key", "stage", "benchmark", "measure"]
SEEDS = ["mixture_seed", "ipt_seed", "sft_seed"]
LABELS = ["language", "category", "judge"]
COUNTS = ["n_models", "n_answers", "n_unparsed"]
ESTIMATES = ["mean", "se_seeds", "seed_level", "n_seeds", "se_items", "n_items"]


@dataclass(frozen=True)
class Cell:
    """One cell with the models it averages over.

    `n_answers` counts rows (items x turns x generation seeds x samples x judge runs x models), in tables each verdict
    once; `n_unparsed` those among them whose answer (accuracy: counted as wrong) or whose verdict (judge: left out)
    could not be read.
    `n_asked`: items asked, of which the estimate counts those with a score; not kept in tables.
    """

    variant_key: str
    stage: str
    benchmark: str
    measure: str
    language: str
    category: str | None
    judge: str | None
    estimate: Estimate
    replicates: tuple[Replicate, ...]
    n_answers: int
    n_unparsed: int
    n_asked: int = field(default=0, compare=False)


@dataclass(frozen=True)
class GroupEstimate:
    """The even mean of several benchmarks; a model that lacks one of them is left out and counted `incomplete`.

    `n_asked`: items asked, 0 where that is not known.
    """

    estimate: Estimate
    benchmarks: tuple[str, ...]
    incomplete: int
    replicates: tuple[Replicate, ...]
    n_asked: int = 0


def build_cells(frame: "pd.DataFrame", counted: "pd.DataFrame | None" = None) -> list[Cell]:
    """Average tidy rows into cells, in order of variant, stage, benchmark and measure.

    Within a model an item counts once, however many of its answers were scored, and each of these evenly: equal answers
    of two generation seeds, which share a verdict, are two of them. Then seeds count evenly (see `statistics`).
    `counted`: the rows that `n_answers` and `n_unparsed` count, at least one of each cell; absent: all.
    Raises DataError when models answered other items of one benchmark, or when a benchmark comes with two languages,
    categories or judges: such numbers must not be averaged.
    """
    _check_comparable(frame)
    cells = []
    groups: Any = frame.groupby(CELL, sort=True)
    told: Any = groups if counted is None else counted.groupby(CELL)
    for (variant_key, stage, benchmark, measure), rows in groups:
        per_item = rows.groupby([*SEEDS, "item"], dropna=False, sort=True)["score"].mean()
        per_model = per_item.groupby(level=SEEDS, dropna=False, sort=True).mean()
        replicates = tuple(_replicate(seeds, _known(mean)) for seeds, mean in per_model.items())
        item_means = [float(mean) for mean in per_item.groupby(level="item", sort=True).mean().dropna()]
        mean, se_seeds, seed_level, n_seeds = estimate_seeds(replicates)
        se_items = item_error(measure, item_means)
        answers = told.get_group((variant_key, stage, benchmark, measure))["parsed"].astype(bool)
        language, category, judge = (_text(rows[label].iloc[0]) for label in LABELS)
        cells.append(
            Cell(
                variant_key=variant_key,
                stage=stage,
                benchmark=benchmark,
                measure=measure,
                language=language or "",
                category=category,
                judge=judge,
                estimate=Estimate(mean, se_seeds, seed_level, n_seeds, se_items, len(item_means)),
                replicates=replicates,
                n_answers=len(answers),
                n_unparsed=int((~answers).sum()),
                n_asked=int(rows["item"].nunique()),
            )
        )
    return cells


def group_cells(cells: Iterable[Cell], selection: Selection) -> GroupEstimate | None:
    """Average the cells of ONE variant and stage that `selection` selects, each benchmark with equal weight.

    The mean of each model over the benchmarks comes first, then the error over seeds of those means. None when
    nothing is selected. Raises DataError for scores by different judges.
    """
    chosen = [cell for cell in cells if selection.selects(cell.measure, cell.benchmark, cell.category, cell.language)]
    if not chosen:
        return None
    judges = sorted({cell.judge or "a judge not named" for cell in chosen if cell.measure == "judge_score"})
    if len(judges) > 1:
        raise DataError(
            f"scores by {' and '.join(judges)} are never averaged: they stand on different scales; select benchmarks "
            f"of one judge ({', '.join(f'{cell.benchmark} by {cell.judge}' for cell in chosen)})"
        )
    by_model: dict[tuple[int | None, ...], list[float]] = {}
    for cell in chosen:
        for one in cell.replicates:
            means = by_model.setdefault((one.mixture_seed, one.ipt_seed, one.sft_seed), [])
            means.extend([] if one.mean is None else [one.mean])
    complete = {seeds: means for seeds, means in by_model.items() if len(means) == len(chosen)}
    whole = [_replicate(seeds, math.fsum(means) / len(means)) for seeds, means in complete.items()]
    mean, se_seeds, seed_level, n_seeds = estimate_seeds(whole)
    se_items = group_error(cell.estimate.se_items for cell in chosen)
    n_items = sum(cell.estimate.n_items for cell in chosen)
    return GroupEstimate(
        Estimate(mean, se_seeds, seed_level, n_seeds, se_items if whole else None, n_items),
        benchmarks=tuple(cell.benchmark for cell in chosen),
        incomplete=len(by_model) - len(whole),
        replicates=tuple(whole),
        n_asked=sum(cell.n_asked for cell in chosen),
    )


def write_cells(cells: Sequence[Cell], out: Path) -> None:
    """Write `cells.csv` (a row per cell) and `replicates.csv` (a row per cell and model); empty means not known."""
    shared = [*CELL, *LABELS]
    rows: list[list[Any]] = []
    models: list[list[Any]] = []
    for cell in cells:
        names = [getattr(cell, name) for name in shared]
        estimates = [getattr(cell.estimate, name) for name in ESTIMATES]
        rows.append([*names, *estimates, len(cell.replicates), cell.n_answers, cell.n_unparsed])
        for one in cell.replicates:
            models.append([*names[: len(CELL)], *(getattr(one, seed) for seed in SEEDS), one.mean])
    write_csv(out / "cells.csv", [*shared, *ESTIMATES, *COUNTS], rows)
    write_csv(out / "replicates.csv", [*CELL, *SEEDS, "mean"], models)


def read_cells(aggregate: Path) -> list[Cell]:
    """Read back what `write_cells` wrote."""
    models: dict[tuple[str, ...], list[Replicate]] = {}
    for row in read_csv(aggregate / "replicates.csv"):
        seeds = [_integer(row[seed]) for seed in SEEDS]
        models.setdefault(tuple(row[name] for name in CELL), []).append(_replicate(seeds, _number(row["mean"])))
    return [
        Cell(
            variant_key=row["variant_key"],
            stage=row["stage"],
            benchmark=row["benchmark"],
            measure=row["measure"],
            language=row["language"],
            category=row["category"] or None,
            judge=row["judge"] or None,
            estimate=Estimate(
                mean=_number(row["mean"]),
                se_seeds=_number(row["se_seeds"]),
                seed_level=row["seed_level"] or None,
                n_seeds=int(row["n_seeds"]),
                se_items=_number(row["se_items"]),
                n_items=int(row["n_items"]),
            ),
            replicates=tuple(models[tuple(row[name] for name in CELL)]),
            n_answers=int(row["n_answers"]),
            n_unparsed=int(row["n_unparsed"]),
        )
        for row in read_csv(aggregate / "cells.csv")
    ]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file with Unix line ends; None is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV file into one dict of texts per row."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _check_comparable(frame: "pd.DataFrame") -> None:
    problems = []
    groups: Any = frame.groupby(["benchmark", "measure"], sort=True)
    for (benchmark, measure), rows in groups:
        if message := _find_other_items(rows):
            problems.append(Problem(message, key=f"{benchmark} {measure}"))
        for label in LABELS:
            found = sorted(map(str, rows[label].unique()))
            if len(found) > 1:
                message = f"{label} is {' and '.join(found)}; give a benchmark one, or each its own benchmark"
                problems.append(Problem(message, key=f"{benchmark} {measure}"))
    if problems:
        raise DataError(problems)


def _find_other_items(rows: "pd.DataFrame") -> str:
    """Name two models that answered other items of one benchmark, and the first item; nothing where all are the same.

    A model without a score for an item has a row of it nevertheless.
    """
    pairs: Any = rows[["model_key", "item"]].drop_duplicates().groupby("model_key", sort=True)["item"]
    answered: dict[str, frozenset[str]] = {model: frozenset(items) for model, items in pairs}
    few, many = (choose(answered, key=lambda model: len(answered[model])) for choose in (min, max))
    if len(answered[few]) < len(answered[many]):
        counts = len(answered[few]), len(answered[many])
        return f"model {few} answered {counts[0]} items, model {many} {counts[1]}; score both on the same"
    other = next((model for model, items in answered.items() if items != answered[many]), None)
    if other is None:
        return ""
    item = min(answered[many] - answered[other])
    return f"model {many} answered item '{item}', model {other} did not; score both on the same"


def _replicate(seeds: Sequence[Any], mean: float | None) -> Replicate:
    mixture_seed, ipt_seed, sft_seed = map(_whole, seeds)
    return Replicate(mixture_seed, ipt_seed, sft_seed, mean)


def _known(value: Any) -> float | None:
    return None if value != value else float(value)


def _whole(value: Any) -> int | None:
    return None if value is None or value != value else int(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(text: str) -> float | None:
    return float(text) if text else None


def _integer(text: str) -> int | None:
    return int(text) if text else None

"""What each run of a model judge gave: its mean, and of how many verdicts; how far runs lie apart."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import TYPE_CHECKING

from mixlab.analysis.cells import build_cells, read_csv, write_csv
from mixlab.config.judging import RULE_LABEL

if TYPE_CHECKING:
    import pandas as pd

FILE = "judge_runs.csv"
_HEADER = ("variant_key", "stage", "benchmark", "judge", "judge_run", "mean", "n_read", "n_verdicts", "n_distinct")


@dataclass(frozen=True)
class JudgeRun:
    """One judging of all answers of one point of the study to one benchmark.

    `mean` is over the `n_read` verdicts with a rating, of `n_verdicts`, and None where there is none; equal answers
    share a verdict, so that there are `n_distinct` of them.
    """

    variant_key: str
    stage: str
    benchmark: str
    judge: str
    judge_run: int
    mean: float | None
    n_read: int
    n_verdicts: int
    n_distinct: int


def build_judge_runs(frame: "pd.DataFrame") -> list[JudgeRun]:
    """Average tidy rows of model judges by judge run, as cells do; a rule says the same in every run, and has none."""
    rated = frame[(frame["measure"] == "judge_score") & frame["judge"].notna() & (frame["judge"] != RULE_LABEL)]
    runs = []
    # beside scored rows, which have none, pandas holds the numbers of judge runs as floats
    for number, rows in rated.astype({"judge_run": "int64"}).groupby("judge_run", sort=True):
        distinct = rows.groupby(["variant_key", "stage", "benchmark"])["verdict_id"].nunique()
        for cell in build_cells(rows):
            runs.append(
                JudgeRun(
                    variant_key=cell.variant_key,
                    stage=cell.stage,
                    benchmark=cell.benchmark,
                    judge=cell.judge or "",
                    judge_run=int(str(number)),
                    mean=cell.estimate.mean,
                    n_read=cell.n_answers - cell.n_unparsed,
                    n_verdicts=cell.n_answers,
                    n_distinct=int(distinct[cell.variant_key, cell.stage, cell.benchmark]),
                )
            )
    return sorted(runs, key=lambda run: (run.variant_key, run.stage, run.benchmark, run.judge_run))


def write_judge_runs(runs: Sequence[JudgeRun], out: Path) -> None:
    """Write `judge_runs.csv`, a row per run; a study without a model judge has no such file."""
    if runs:
        write_csv(out / FILE, _HEADER, [[getattr(run, name) for name in _HEADER] for run in runs])


def read_judge_runs(aggregate: Path) -> list[JudgeRun]:
    """Read back what `write_judge_runs` wrote; empty where no model judged."""
    if not (aggregate / FILE).exists():
        return []
    return [
        JudgeRun(
            row["variant_key"],
            row["stage"],
            row["benchmark"],
            row["judge"],
            int(row["judge_run"]),
            float(row["mean"]) if row["mean"] else None,
            int(row["n_read"]),
            int(row["n_verdicts"]),
            int(row["n_distinct"]),
        )
        for row in read_csv(aggregate / FILE)
    ]


def measure_spread(runs: Iterable[JudgeRun]) -> float | None:
    """Return the standard deviation of the runs' means (n - 1), None of fewer than two, or where one has no mean."""
    means = [run.mean for run in runs]
    known = [mean for mean in means if mean is not None and math.isfinite(mean)]
    return stdev(known) if len(known) == len(means) >= 2 else None

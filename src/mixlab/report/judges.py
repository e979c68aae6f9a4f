"""Tables of judge scores: one for each judge, never two in one, and what stands behind a model judge's means."""

from collections.abc import Sequence

from mixlab.analysis.judge_runs import JudgeRun, measure_spread
from mixlab.config.analysis import BenchmarkGroup
from mixlab.report.numbers import UNNAMED_JUDGE, Numbers
from mixlab.report.scores import ERRORS, build_wide
from mixlab.report.tables import Column, Shown, Table, name_cell
from mixlab.report.text import STAGES, render_plain

RUNS_HEADER = (
    *("variant", "stage", "benchmark", "judge", "mean", "spread", "judge_runs", "n_read", "n_verdicts", "n_distinct"),
    "variant_key",
)


def build_judge_tables(numbers: Numbers) -> list[Table]:
    """Judge scores by benchmark, each judge's under its name; none when nothing was judged."""
    tables = []
    for judge in numbers.judges():
        cells = [cell for cell in numbers.cells if cell.measure == "judge_score"]
        own = [cell for cell in cells if (cell.judge or UNNAMED_JUDGE) == judge]
        names = sorted({cell.benchmark for cell in own})
        groups = [BenchmarkGroup(label=name, measure="judge_score", benchmarks=(name,)) for name in names]
        unparsed = sum(cell.n_unparsed for cell in own)
        note = f"{ERRORS} {unparsed} verdicts could not be read and are left out."
        if any(run.judge == judge for run in numbers.judge_runs):
            verdicts = sum(cell.n_answers for cell in own)
            note = f"{ERRORS} Means are over {verdicts - unparsed} of {verdicts} verdicts: the others hold no rating."
        tables.append(build_wide(numbers, "judge", f"Scores from 1 to 10 by: {judge}", groups, note))
    return tables


def build_judge_runs_table(numbers: Numbers) -> Table | None:
    """Mean, spread between runs, and verdicts read of all, by benchmark; None when no model judged."""
    if not numbers.judge_runs:
        return None
    judges = ", ".join(sorted({run.judge for run in numbers.judge_runs}))
    columns = [Column("Variant"), Column("Stage"), Column("Benchmark")]
    columns += [Column(name, "number") for name in ("Mean of runs", "Spread", "Runs", "Verdicts read", "Distinct")]
    rows, records, origins = [], [], []
    for variant in numbers.variants:
        for stage in numbers.stages_of(variant.variant_key):
            for benchmark, runs in _group(numbers, variant.variant_key, stage).items():
                means = [run.mean for run in runs if run.mean is not None]
                mean, spread = sum(means) / len(means) if means else None, measure_spread(runs)
                of = (name_cell(variant.variant_key, stage, benchmark, "judge_score"),)
                origins.append(of)
                read, verdicts = sum(run.n_read for run in runs), sum(run.n_verdicts for run in runs)
                distinct = sum(run.n_distinct for run in runs)
                rows.append(
                    [
                        Shown(variant.label),
                        Shown(STAGES[stage]),
                        Shown(benchmark),
                        Shown("none parsed" if mean is None else f"{mean:.2f}", of=of, gaps=_count(means, runs)),
                        Shown(_show_spread(spread, runs), of=of),
                        Shown(render_plain(len(runs))),
                        Shown(f"{render_plain(read)} of {render_plain(verdicts)}"),
                        Shown(render_plain(distinct)),
                    ]
                )
                numbers_of = (mean, spread, len(runs), read, verdicts, distinct)
                records.append([variant.label, stage, benchmark, runs[0].judge, *numbers_of, variant.variant_key])
    note = (
        "Spread is the standard deviation of the means of judge runs of the same answers; equal answers to a question "
        "share a verdict, so that fewer are distinct."
    )
    title = f"Judge runs and verdicts of: {judges}"
    return Table("judge_runs", title, tuple(columns), rows, RUNS_HEADER, records, note, origins=origins)


def _count(means: Sequence[float], runs: Sequence[JudgeRun]) -> str:
    """Say of how many runs the mean is, where some have none."""
    return f"n {len(means)} of {len(runs)}" if len(means) < len(runs) else ""


def _show_spread(spread: float | None, runs: Sequence[JudgeRun]) -> str:
    """Render the spread, or why there is none."""
    if spread is not None:
        return f"{spread:.2f}"
    known = sum(run.mean is not None for run in runs)
    return "one run" if len(runs) == 1 else f"{known} of {len(runs)} runs parsed"


def _group(numbers: Numbers, variant_key: str, stage: str) -> dict[str, Sequence[JudgeRun]]:
    chosen = [run for run in numbers.judge_runs if (run.variant_key, run.stage) == (variant_key, stage)]
    names = sorted({run.benchmark for run in chosen})
    return {name: [run for run in chosen if run.benchmark == name] for name in names}

"""Tables of scores: the main one by group of benchmarks, and every cell."""

from collections.abc import Iterator, Sequence

from mixlab.analysis.cells import Cell
from mixlab.analysis.statistics import Estimate
from mixlab.config.analysis import BenchmarkGroup, Selection, find_range
from mixlab.report.gaps import describe_agreement, describe_gaps
from mixlab.report.numbers import Numbers
from mixlab.report.tables import Column, Shown, Table, name_cell
from mixlab.report.text import (
    ITEMS_ONLY,
    STAGES,
    UNKNOWN,
    describe_measure,
    render_estimate,
    render_plain,
    render_score,
    to_anchor,
)

LONG_HEADER = (
    "variant",
    "stage",
    "group",
    "measure",
    "judge",
    "mean",
    "se_seeds",
    "seed_level",
    "n_seeds",
    "se_items",
    "n_items",
    "variant_key",
)
CELLS_ANCHOR = "every-cell"
"""The table of every cell on the page."""
ERRORS = (
    f"± is the standard error over seeds; {ITEMS_ONLY} marks the standard error over items, printed where one seed "
    "leaves no error over seeds to estimate."
)


def build_main_table(numbers: Numbers) -> Table:
    """Variants by groups of benchmarks, before and after SFT; accuracy in percent unless a group says otherwise."""
    judges = ", ".join(numbers.judges())
    note = f"Each benchmark of a group has equal weight. {ERRORS}"
    if any(group.measure == "judge_score" for group in numbers.groups):
        note += f" Judge scores are by {judges}."
    return build_wide(numbers, "main", "Accuracy by group of benchmarks, %", numbers.groups, note)


def build_cells_table(numbers: Numbers) -> Table:
    """Every benchmark of every variant with both standard errors and all counts; what another ran alone says so."""
    columns = [Column("Variant"), Column("Stage"), Column("Benchmark"), Column("Measure")]
    columns += [Column(label, "number") for label in ("Mean", "SE seeds", "Seeds", "SE items", "Items", "Answers")]
    columns += [Column("Unparsed", "number"), Column("Seeds varied"), Column("Lineage")]
    rows, records = [], []
    for variant in numbers.variants:
        for ran, cell in _list_cells(numbers, variant.variant_key):
            gaps = describe_gaps(
                numbers, variant.variant_key, ran.stage, Selection(measure=ran.measure, benchmarks=(ran.benchmark,))
            )
            estimate, judge = (cell.estimate, cell.judge) if cell else (None, None)
            record = _record(variant.label, ran.stage, ran.benchmark, ran.measure, judge, estimate)
            counts = (cell.n_answers, cell.n_unparsed) if cell else (0, 0)
            records.append([*record, *counts, variant.variant_key])
            rows.append([*_name_row(variant.label, ran, cell), *_show_counts(cell, gaps)])
            rows[-1].append(Shown("keys", anchor=to_anchor("lineage", variant.variant_key)))
    header = [*LONG_HEADER[:-1], "n_answers", "n_unparsed", LONG_HEADER[-1]]
    header[2] = "benchmark"
    note = "An unparsed answer counts as wrong; an unparsed verdict is left out of the mean."
    return Table("cells", "Every cell", tuple(columns), rows, header, records, note, CELLS_ANCHOR, folded=True)


def _list_cells(numbers: Numbers, variant_key: str) -> Iterator[tuple[Cell, Cell | None]]:
    """For each stage of a variant, what any variant ran there, with the variant's own cell of it or None."""
    for stage in numbers.stages_of(variant_key):
        own = {(cell.benchmark, cell.measure): cell for cell in numbers.select(variant_key, stage)}
        for ran in numbers.ran(stage):
            yield ran, own.get((ran.benchmark, ran.measure))


def _name_row(label: str, ran: Cell, cell: Cell | None) -> list[Shown]:
    measure = describe_measure(ran.measure)
    if ran.measure == "judge_score" and cell is not None:
        measure += f", by {cell.judge or 'judge not named'}"
    return [Shown(label), Shown(STAGES[ran.stage]), Shown(ran.benchmark), Shown(measure)]


def _show_counts(cell: Cell | None, gaps: str) -> list[Shown]:
    if cell is None:
        return [Shown("not run", tone="muted", gaps=gaps), *[Shown(UNKNOWN, tone="muted")] * 7]
    found, measure = cell.estimate, cell.measure
    of = (name_cell(cell.variant_key, cell.stage, cell.benchmark, measure),)
    return [
        Shown(render_score(measure, found.mean) if found.mean is not None else "none parsed", of=of, gaps=gaps),
        Shown(render_score(measure, found.se_seeds), of=of, gaps=describe_agreement(found)),
        Shown(str(found.n_seeds), of=of),
        Shown(render_score(measure, found.se_items), of=of),
        *(Shown(render_plain(count), of=of) for count in (found.n_items, cell.n_answers, cell.n_unparsed)),
        Shown(found.seed_level or "none", tone="" if found.seed_level else "muted"),
    ]


def build_wide(numbers: Numbers, name: str, title: str, groups: Sequence[BenchmarkGroup], note: str) -> Table:
    """Two rows per variant, before and after SFT, or one where it was scored at one alone; a column per group."""
    columns = [Column("Variant"), Column("Stage"), *(Column(group.label, "number") for group in groups)]
    rows, records = [], []
    for variant in numbers.variants:
        label = Shown(variant.label, anchor=to_anchor("lineage", variant.variant_key))
        for stage in numbers.stages_of(variant.variant_key):
            row = [label, Shown(STAGES[stage], tone="muted")]
            for group in groups:
                found = numbers.estimate(variant.variant_key, stage, group)
                of = numbers.cells_of(variant.variant_key, stage, group)
                gaps = describe_gaps(numbers, variant.variant_key, stage, group)
                text = render_estimate(group.measure, found)
                row.append(Shown(text, shade=_shade(group.measure, found), of=of, gaps=gaps))
                judge = ", ".join(numbers.judges(group)) if group.measure == "judge_score" else None
                record = _record(variant.label, stage, group.label, group.measure, judge, found)
                records.append([*record, gaps, variant.variant_key])
            rows.append(row)
            label = Shown("")
    header = (*LONG_HEADER[:-1], "gaps", LONG_HEADER[-1])
    return Table(name, title, tuple(columns), rows, header, records, note)


def _record(
    label: str, stage: str, group: str, measure: str, judge: str | None, found: Estimate | None
) -> list[object]:
    numbers: list[object] = [None] * 6
    if found:
        numbers = [found.mean, found.se_seeds, found.seed_level, found.n_seeds, found.se_items, found.n_items]
    return [label, stage, group, measure, judge, *numbers]


def _shade(measure: str, estimate: Estimate | None) -> float | None:
    if estimate is None or estimate.mean is None:
        return None
    return round(estimate.mean / find_range(measure)[1], 3)

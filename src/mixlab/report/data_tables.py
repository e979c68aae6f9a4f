"""Tables of a study's data: samples and tokens, what filters left out, licences, contamination, assumptions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixlab.config.licences import UNKNOWN as UNKNOWN_LICENCE
from mixlab.config.report_data import DataShown, ShownAssumption, ShownSource
from mixlab.report.counts import (
    HEADER,
    CountsTable,
    build_counts_tables,
    list_records,
    read_counts,
    render_counts_table,
)
from mixlab.report.data import Check, DataFigures, Figures
from mixlab.report.data_reading import READING, read_step
from mixlab.report.tables import Column, Shown, Table
from mixlab.report.text import UNKNOWN, render_plain

CHECKED, NOT_CHECKED = "checked", "not checked"
NOT_HERE = "not here"
ON_FOUND = {
    "warn": "Records that were hit stay in the data.",
    "drop": "Records that were hit are left out of the data; the figures are of the source before that.",
    "fail": "The study stops where a record is hit.",
}


LACKS = {
    "items_short": "too short",
    "items_plain": "of too few telling words (numbers, idioms of code)",
    "items_common": "of text that many items of the benchmark share",
}
"""Why items cannot be looked for, by the field that counts them."""


def build_counts_sections(figures: DataFigures) -> list[Table]:
    """Samples and tokens in the shape of the paper's tables, then every store."""
    if figures.counts is None:
        return []
    counted, balanced = read_counts(figures.counts)
    records = list_records(counted)
    rows = [[Shown(render_plain(value)) for value in record] for record in records]
    columns = [Column(name.replace("_", " "), "number" if name in HEADER[5:9] else "text") for name in HEADER]
    note = "Excluded: records that the tokenizer refused. Pools: what draws from the source."
    tables = build_counts_tables(counted, balanced)
    # with one tokenizer and no pool of its own, Table 13 is Table 2 again
    kept = [table for table in tables if table.name != "table13" or table.rows not in [one.rows for one in tables[:-1]]]
    every = Table("counts", "Every token store", tuple(columns), rows, HEADER, records, note, folded=True)
    return [*(_show_counts(table) for table in kept), every]


def build_exclusions_table(shown: DataShown, figures: DataFigures, sources: Iterable[ShownSource]) -> Table | None:
    """What reading and each filter left out of each source, by reason, and what was flagged; None without a step."""
    rows, records = [], []
    for source in sources:
        name = source.name
        for step, kind, key, index in _list_steps(source, figures):
            for reason, count, excluded in _list_reasons(index):
                entering, leaving = (index[field] if index else None for field in ("records_in", "records"))
                record = [source.name, step, kind, entering, reason, count, excluded, leaving, key]
                records.append(record)
                counts = [Shown(render_plain(entering)), Shown(reason), Shown(render_plain(count))]
                rows.append([Shown(name), Shown(f"{step} {kind}"), *counts, Shown(render_plain(leaving))])
                name = ""
    if not rows:
        return None
    header = ["source", "step", "filter", "records_in", "reason", "count", "excluded", "records", "filter_key"]
    columns = [Column("Source"), Column("Filter"), Column("Records in", "number"), Column("Reason", "long")]
    columns += [Column("Records", "number"), Column("Records left", "number")]
    note = (
        "Flagged records stay; all other reasons leave records out. Each filter sees what those before it left. "
        f"Step 0 {READING}: what is no record of its source, or is not one that `select` asks for."
    )
    title = "What reading and filters left out, by reason"
    origins = [(str(record[-1]),) for record in records]
    return Table("exclusions", title, tuple(columns), rows, header, records, note, origins=origins)


def build_licence_table(sources: Sequence[ShownSource]) -> Table | None:
    """Licences as declared, and what the study's policy says of them."""
    if not sources:
        return None
    rows, records = [], []
    for source in sources:
        licence = Shown(source.licence, tone="bad" if is_unknown(source) else "")
        tiers = ", ".join(source.tiers)
        rows.append([Shown(source.name), licence, Shown(tiers or UNKNOWN), Shown(source.permission)])
        records.append([source.name, source.licence, tiers, source.permission])
    header = ["source", "licence", "tiers", "permission"]
    columns = (Column("Source"), Column("Licence"), Column("Tier"), Column("By the study's policy", "long"))
    return Table("licences", "Licences", columns, rows, header, records)


def build_contamination_table(shown: DataShown, figures: DataFigures, sources: Iterable[ShownSource]) -> Table | None:
    """Sources by benchmarks: how many of a benchmark's items a source holds parts of."""
    fields = ["items", "items_compared", *LACKS, "items_hit", "records_hit"]
    rows, records = [], []
    for name, key in _list_checks(sources):
        check = figures.checks.get(key or "")
        state = NOT_HERE if key else NOT_CHECKED
        rows.append([Shown(name), *_show_check(check, len(shown.benchmarks), state)])
        for place, benchmark in enumerate(shown.benchmarks):
            found = check.benchmarks[place] if check else {}
            values = [found.get(field) for field in fields]
            totals = [check.records, check.contaminated] if check else [None, None]
            records.append([name, benchmark, CHECKED if check else state, *values, *totals, key])
    if not rows or not shown.benchmarks:
        return None
    columns = [Column("Source"), *(Column(name, "number") for name in shown.benchmarks)]
    columns.append(Column("Records hit", "number"))
    header = ["source", "benchmark", "state", *fields, "records", "contaminated", "contamination_key"]
    note = (
        "Items of the benchmark of which the source holds a part, of those that can be looked for. "
        f"{ON_FOUND.get(shown.on_found, '')} “{NOT_CHECKED}” does not mean clean."
    )
    title = "Contamination: benchmark items found in training sources"
    origins = [(key,) if key else () for _, key in _list_checks(sources)]
    return Table("contamination", title, tuple(columns), rows, header, records, note, origins=origins)


def is_unknown(source: ShownSource) -> bool:
    """Whether nothing is known of a licence, or of a part of it: it says so, or it is in no tier."""
    return UNKNOWN_LICENCE in (source.licence.strip().casefold(), *source.tiers)


@dataclass(frozen=True)
class Summary:
    """What checks came to in one line; clean: every source was checked and none holds benchmark items."""

    text: str
    is_clean: bool


def summarise_contamination(shown: DataShown, figures: DataFigures, sources: Iterable[ShownSource]) -> Summary:
    """How many sources hold benchmark items, how many were not checked."""
    table = build_contamination_table(shown, figures, sources)
    rows = [dict(zip(table.header, record, strict=True)) for record in table.records] if table else []
    return summarise_checks({name: "" if value is None else str(value) for name, value in row.items()} for row in rows)


def summarise_checks(rows: Iterable[Mapping[str, str]]) -> Summary:
    """The same from the rows of `tables/contamination.csv`."""
    listed = list(rows)
    checked = {row["source"] for row in listed if row["state"] == CHECKED}
    hit = {row["source"] for row in listed if row["state"] == CHECKED and int(row["items_hit"])}
    rest = len({row["source"] for row in listed} - checked)
    # an item that cannot be looked for in one source can be in none
    benchmarks = {row["benchmark"]: row for row in listed if row["items"]}.values()
    lacking = sum(int(row["items"]) - int(row["items_compared"]) for row in benchmarks)
    reasons = {words: sum(int(row.get(field) or 0) for row in benchmarks) for field, words in LACKS.items()}
    told = ", ".join(f"{render_plain(count)} {words}" for words, count in reasons.items() if count)
    named = f" ({', '.join(sorted(hit))})" if hit else ""
    text = f"{len(hit)} of {len(checked)} checked sources hold benchmark items{named}"
    text += f"; {rest} not checked" if rest else "; every source was checked"
    if lacking:
        text += f"; {render_plain(lacking)} items cannot be looked for{': ' if told else ''}{told}"
    return Summary(text, is_clean=bool(checked) and not hit and not rest)


def build_assumptions_table(assumptions: Sequence[ShownAssumption]) -> Table | None:
    """Values that the study takes without a source; None when there are none."""
    if not assumptions:
        return None
    records = [[one.address, one.value, one.reason] for one in assumptions]
    columns = (Column("Where", "key"), Column("Value", "long"), Column("Assumed because", "long"))
    kept = [[Shown(value) for value in record] for record in records]
    title = "Values taken without a source"
    return Table("assumptions", title, columns, kept, ["address", "value", "reason"], records)


def _show_counts(table: CountsTable) -> Table:
    header, rows = render_counts_table(table)
    columns = [Column(label, "text" if place < 2 else "number") for place, label in enumerate(header)]
    records = [
        [*cell, tokenizer, samples, tokens]
        for cell, values in table.rows
        for tokenizer, (samples, tokens) in zip(table.tokenizers, values, strict=True)
    ]
    unrounded = ["language", "category", "tokenizer", "samples", table.measure]
    shown = [[Shown(text) for text in row] for row in rows]
    return Table(table.name, table.title, tuple(columns), shown, unrounded, records)


def _list_steps(source: ShownSource, figures: DataFigures) -> Iterator[tuple[int, str, str, Figures | None]]:
    """Number, name, key and card of each step; reading is number 0."""
    if source.source:
        card = figures.sources.get(source.source)
        yield 0, READING, source.source, card and read_step(card)
    for step, one in enumerate(source.filters, 1):
        yield step, one.name, one.key, figures.filters.get(one.key)


def _list_reasons(index: dict[str, Any] | None) -> list[tuple[str, int | None, bool]]:
    """Reason, count of records, whether they are left out; one line that says so when nothing was found."""
    if index is None:
        return [(NOT_HERE, None, False)]
    found: list[tuple[str, int | None, bool]] = [(reason, n, True) for reason, n in sorted(index["reasons"].items())]
    for kind, counts in sorted(index.get("flagged", {}).items()):
        found.append((f"flagged: {kind}", counts.get("records"), False))
    return found or [("nothing found", 0, False)]


def _list_checks(sources: Iterable[ShownSource]) -> list[tuple[str, str | None]]:
    """Sources with the keys of their checks; the parts of a labelled source share one."""
    return list(dict.fromkeys((source.name.partition("/")[0], source.contamination) for source in sources))


def _show_check(check: Check | None, benchmarks: int, state: str) -> list[Shown]:
    if check is None:
        return [Shown(state, tone="bad") for _ in range(benchmarks)] + [Shown(UNKNOWN, tone="muted")]
    cells = [_show_items(found) for found in check.benchmarks]
    hit, records = check.contaminated, check.records
    return [*cells, Shown(f"{render_plain(hit)} of {render_plain(records)}", tone="" if hit else "muted")]


def _show_items(found: Figures) -> Shown:
    """Items hit of those that could be compared; the others are told, since they are not clean."""
    hit, compared = found["items_hit"], found["items_compared"]
    if not compared:
        return Shown("none comparable", tone="bad")
    text = f"{render_plain(hit)} of {render_plain(compared)}"
    if rest := found["items"] - compared:
        text += f" ({render_plain(rest)} {NOT_CHECKED})"
    return Shown(text, shade=round(hit / compared, 3) if hit else None, tone="bad" if hit else "muted")

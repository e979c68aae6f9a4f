"""Samples and tokens of every token store, and tables of them in the shape of Kodama-Oda's Tables 1, 2 and 13.

Table 1: the instruction data of IPT, all tokens. Table 2: the data of SFT, tokens of responses. Table 13: one pool with
one tokenizer, tokens of responses. All by language and category, with a total.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixlab.analysis.cells import read_csv, write_csv
from mixlab.config.categories import CATEGORIES, RAW_LANGUAGES
from mixlab.config.counts import IPT_POOL, SFT_POOL, BalancedTable, CountedStore, CountsSettings
from mixlab.data.writing import read_json, write_json

HEADER = (
    *("tokenizer", "kind", "language", "category", "source"),
    *("samples", "tokens", "response_tokens", "excluded", "pools"),
)
NAMES = {"en": "English", "ja": "Japanese"}
UNITS = ((10**9, "B"), (10**6, "M"), (10**3, "k"), (1, ""))
TOTAL = ("all", "total")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counted:
    """One token store and what it holds; `excluded` counts the records that tokenizing refused."""

    store: CountedStore
    samples: int
    tokens: int
    response_tokens: int
    excluded: int


@dataclass(frozen=True)
class CountsTable:
    """Samples and tokens by language and category, one (samples, tokens) per tokenizer; the last row is the total."""

    name: str
    title: str
    measure: str
    tokenizers: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str], tuple[tuple[int, int], ...]], ...]

    def unit(self) -> tuple[int, str]:
        """The largest unit of which the largest total has at least one: 1e9 and `B`, down to 1 and an empty text."""
        largest = max(tokens for _, tokens in self.rows[-1][1])
        return next((unit for unit in UNITS if largest >= unit[0]), UNITS[-1])


def write_counts(settings: CountsSettings, stores: Sequence[Path], out: Path) -> None:
    """Count the token stores `stores`, in the order of the settings, by their `index.json` alone.

    Writes `counts.csv` (a row per store) and, where there is something to show, `table1`, `table2` and `table13` as
    `.csv` (a row per cell and tokenizer, as the published tables are kept) and `.md` (a column per tokenizer);
    `index.json` has the totals, and the pool and tokenizer of Table 13.
    """
    counted = [_count(store, folder) for store, folder in zip(settings.stores, stores, strict=True)]
    write_csv(out / "counts.csv", HEADER, list_records(counted))
    for table in build_counts_tables(counted, settings.balanced):
        _write_table(table, out)
    totals = {name: sum(getattr(one, name) for one in counted) for name in ("samples", "tokens", "response_tokens")}
    balanced = settings.balanced.model_dump() if settings.balanced else None
    write_json(out / "index.json", {"stores": len(counted), **totals, "balanced": balanced})
    logger.info("counts: %s stores, %s tokens", len(counted), f"{totals['tokens']:,}")


def read_counts(folder: Path) -> tuple[list[Counted], BalancedTable | None]:
    """Read what `write_counts` wrote: its rows, and what Table 13 shows."""
    balanced = read_json(folder / "index.json")["balanced"]
    counted = [
        Counted(
            CountedStore.model_validate(
                {
                    **{name: row[name] for name in ("tokenizer", "kind", "language", "source")},
                    "category": row["category"] or None,
                    "pools": tuple(name for name in row["pools"].split("/") if name),
                }
            ),
            *(int(row[name]) for name in ("samples", "tokens", "response_tokens", "excluded")),
        )
        for row in read_csv(folder / "counts.csv")
    ]
    return counted, BalancedTable.model_validate(balanced) if balanced else None


def list_records(counted: Iterable[Counted]) -> list[list[object]]:
    """Rows under `HEADER`: by tokenizer, kind, language, category, name."""
    return [_record(one) for one in sorted(counted, key=_order)]


def build_counts_tables(counted: Sequence[Counted], balanced: BalancedTable | None) -> list[CountsTable]:
    """The tables that have at least one store to show."""
    instruction = [one for one in counted if one.store.kind == "instruction"]
    chosen = [
        ("table1", "Instruction data of IPT: samples and tokens", "tokens", _in_pool(instruction, IPT_POOL)),
        ("table2", "Data of SFT: samples and response tokens", "response_tokens", _in_pool(instruction, SFT_POOL)),
    ]
    if balanced:
        title = f"Pool {balanced.pool}: samples and response tokens"
        members = [one for one in _in_pool(instruction, balanced.pool) if one.store.tokenizer == balanced.tokenizer]
        chosen.append(("table13", title, "response_tokens", members))
    return [_build_table(name, title, measure, some) for name, title, measure, some in chosen if some]


def render_counts_table(table: CountsTable) -> tuple[list[str], list[list[str]]]:
    """Render header and rows, a column per tokenizer; samples stand once where all tokenizers have the same."""
    size, unit = table.unit()
    agree = all(len({samples for samples, _ in values}) == 1 for _, values in table.rows)
    measure = table.measure.replace("_", " ")
    header = ["Language", "Category", *(["Samples"] if agree else [])]
    for tokenizer in table.tokenizers:
        header += [] if agree else [f"Samples, {tokenizer}"]
        header.append(f"{tokenizer}, {measure}{f' [{unit}]' if unit else ''}")
    rows = []
    for (language, category), values in table.rows:
        row = [language, category, *([f"{values[0][0]:,}"] if agree else [])]
        for samples, tokens in values:
            row += [] if agree else [f"{samples:,}"]
            row.append(_render_tokens(tokens, size))
        rows.append(row)
    return header, rows


def _in_pool(counted: Iterable[Counted], pool: str) -> list[Counted]:
    return [one for one in counted if pool in one.store.pools]


def _build_table(name: str, title: str, measure: str, counted: Sequence[Counted]) -> CountsTable:
    tokenizers = tuple(sorted({one.store.tokenizer for one in counted}))
    cells: set[tuple[str, str]] = {(one.store.language, one.store.category or "") for one in counted}

    def add_up(wanted: tuple[str, str] | None) -> tuple[tuple[int, int], ...]:
        """Samples and tokens per tokenizer of one cell, or of all."""
        some = [one for one in counted if wanted in (None, (one.store.language, one.store.category or ""))]
        mine = [[one for one in some if one.store.tokenizer == name] for name in tokenizers]
        return tuple((sum(one.samples for one in few), sum(getattr(one, measure) for one in few)) for few in mine)

    rows: list[tuple[tuple[str, str], tuple[tuple[int, int], ...]]] = []
    for cell in sorted(cells, key=lambda cell: (_place(RAW_LANGUAGES, cell[0]), _place(CATEGORIES, cell[1]))):
        rows.append(((NAMES.get(cell[0], cell[0]), cell[1]), add_up(cell)))
    rows.append((TOTAL, add_up(None)))
    return CountsTable(name, title, measure, tokenizers, tuple(rows))


def _place(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order)), name


def _count(store: CountedStore, folder: Path) -> Counted:
    index = read_json(folder / "index.json")
    return Counted(store, index["documents"], index["tokens"], index["response_tokens"], index["excluded"])


def _order(one: Counted) -> tuple[object, ...]:
    store = one.store
    language, category = _place(RAW_LANGUAGES, store.language), _place(CATEGORIES, store.category or "")
    return store.tokenizer, store.kind, language, category, store.source


def _record(one: Counted) -> list[object]:
    store = one.store
    labels = [store.tokenizer, store.kind, store.language, store.category, store.source]
    return [*labels, one.samples, one.tokens, one.response_tokens, one.excluded, "/".join(store.pools)]


def _render_tokens(tokens: int, size: int) -> str:
    return f"{tokens:,}" if size == 1 else f"{tokens / size:.1f}"


def _write_table(table: CountsTable, out: Path) -> None:
    size, unit = table.unit()
    heading = f"{table.measure}{f'_{unit}' if unit else ''}"
    header = ["language", "category", "n_samples", "tokenizer", heading]
    rows = [
        [*cell, samples, tokenizer, _render_tokens(tokens, size).replace(",", "")]
        for cell, values in table.rows
        for tokenizer, (samples, tokens) in zip(table.tokenizers, values, strict=True)
    ]
    if table.name == "table13":
        header = [*header[:3], f"{heading}_{table.tokenizers[0]}"]
        rows = [[*row[:3], row[4]] for row in rows]
    write_csv(out / f"{table.name}.csv", header, rows)
    text = _render_markdown(*render_counts_table(table))
    (out / f"{table.name}.md").write_text(f"{table.title}\n\n{text}", encoding="utf-8")


def _render_markdown(header: list[str], rows: list[list[str]]) -> str:
    """Columns of one width, so that the file reads well as it is."""
    table = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    lines = [
        " | ".join(cell.ljust(width) if place < 2 else cell.rjust(width) for place, (cell, width) in enumerate(pairs))
        for pairs in ([*zip(row, widths, strict=True)] for row in table)
    ]
    rule = "|".join("-" * (width + 2) if place < 2 else "-" * (width + 1) + ":" for place, width in enumerate(widths))
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])]) + "\n"

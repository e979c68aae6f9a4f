"""Small tables in the form of the published ones, for tests that need no real data."""

import csv
from collections.abc import Sequence
from pathlib import Path

from mixlab.analysis.published.tables import FORMS

LABELS = {
    "config": "25/25/25/25",
    "model": "llmjp3",
    "setting": "en_only",
    "benchmark": "MT-Bench",
    "language": "EN",
    "category": "coding",
    "tokenizer": "llmjp3",
    "source": "Dolma",
    "model_size": "1.8B",
    "ipt_steps": "25k",
    "sft": "no",
}


def write_tables(folder: Path) -> Path:
    """Write every table with one row."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, form in FORMS.items():
        header = [*form.keys, *form.numbers]
        write_rows(folder / f"table{number}.csv", header, [[LABELS.get(name, "1.00") for name in header]])
    return folder


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])

"""Artifacts of data as their stages leave them: certificates, checks, filters, counts, and the names a study has."""

import json
from pathlib import Path

from mixlab.config.counts import CountedStore, CountsSettings
from mixlab.config.report_data import DataShown, ShownAssumption, ShownFilter, ShownMixture, ShownSource
from mixlab.report.counts import write_counts


def _axis(**parts: tuple[str, float]) -> dict[str, list]:
    """An axis by columns: part -> (ratio asked for, share taken)."""
    shares = [share for _, share in parts.values()]
    return {
        "part": [*parts],
        "requested_ratio": [asked for asked, _ in parts.values()],
        "observed_ratio": shares,
        "target_ratio": [round(share + 0.001, 6) for share in shares],
        "response_ratio": shares,
    }


CERTIFICATE = {
    "seed": 0,
    "unit": "tokens",
    "budget": 1000,
    "max_epochs": "4",
    "on_empty_cell": "error",
    "sequence_tokens": 120,
    "windows": 9,
    "sources": {
        "label": ["en/math", "ja raw"],
        "requested_ratio": ["1/3", "2/3"],
        "requested": [333, 667],
        "population_tokens": [40000, 20000],
        "allocated_tokens": [332, 666],
        "target_tokens": [329, 660],
        "response_tokens": [211, 0],
        "windows": [3, 6],
        "epochs": [0.0083, 0.0333],
        "first_document": [5, 0],
        "last_document": [87, 41],
        "padding_tokens": [28, 54],
        "cut_tokens": [0, 17],
    },
    "repeated": [],
    "axes": {
        "instruction": _axis(instruction=("1/3", 0.332665), raw=("2/3", 0.667335)),
        "language": _axis(en=("1", 1.0)),
        "category": _axis(math=("1", 1.0)),
        "cells": _axis(**{"en/math": ("1", 1.0)}),
        "raw": _axis(ja=("1", 1.0)),
    },
    "deviation": {"windows": 0.417, "source": 1},
}
"""A third of English dialogues about mathematics, two thirds of Japanese raw text."""
SFT_CERTIFICATE = {
    **CERTIFICATE,
    "unit": "windows",
    "budget": 50,
    "max_epochs": "6",
    "windows": 51,
    "sources": {
        **{name: [column[0]] for name, column in CERTIFICATE["sources"].items()},
        "requested_ratio": ["1"],
        "requested": [50],
        "windows": [51],
        "epochs": [5.25],
    },
    "repeated": [0],
    "axes": {
        "instruction": _axis(instruction=("1", 1.0)),
        "language": {**_axis(en=("1/2", 1.0)), "feasible_ratio": ["1"]},
        "category": _axis(math=("1", 1.0)),
        "cells": _axis(**{"en/math": ("1", 1.0)}),
        "raw": _axis(),
    },
    "deviation": {"windows": 0.0, "source": 0},
    "phases": [
        {"begin": "0", "windows": 34, "requested_ratio": ["1"], "requested": [33], "allocated": [34]},
        {"begin": "2/3", "windows": 17, "requested_ratio": ["1"], "requested": [17], "allocated": [17]},
    ],
}
LACKING = {"items_short": 0, "items_plain": 0, "items_common": 0}
CHECK = {"items": 1319, "items_compared": 1300, **LACKING, "items_plain": 18, "items_common": 1}
CHECK |= {"items_hit": 12, "records_hit": 7}
CLEAN = {"items": 164, "items_compared": 164, **LACKING, "items_hit": 0, "records_hit": 0}
SHORT = {"items": 50, "items_compared": 0, **LACKING, "items_short": 50, "items_hit": 0, "records_hit": 0}
READ = {
    "files": [
        {"digest": "ab" * 32, "bytes": 9000, "records": 4000},
        {"digest": "cd" * 32, "bytes": 700, "records": 1000, "truncated": "the gzip file is broken: it ends <early>"},
    ],
    "records": 5000,
    "excluded": 13,
    "not_selected": 250,
}
DUPLICATES = {"records_in": 5000, "records": 4900, "excluded": 100, "reasons": {"near duplicate": 60, "the same": 40}}
FLAGGED = {
    "records_in": 4900,
    "records": 4900,
    "excluded": 0,
    "reasons": {},
    "flagged": {"email": {"records": 31, "finds": 44}},
}
DATA = DataShown(
    mixtures=(
        ShownMixture(
            label="混合 A, mixture_seed 0",
            key="mix-aa11",
            purposes=("ipt",),
            tokenizer="byte",
            tokenizer_key="tok1",
            sources=("web/math", "wiki"),
            variants=("混合 A",),
            base_models=("tiny",),
        ),
        ShownMixture(
            label="sft",
            key="mix-sft",
            purposes=("sft",),
            tokenizer="byte",
            tokenizer_key="tok1",
            sources=("web/math",),
            base_models=("tiny",),
        ),
    ),
    sources=(
        ShownSource(
            name="web/math",
            licence="MIT",
            tiers=("permissive",),
            permission="allowed",
            contamination="check-web",
            filters=(ShownFilter(name="near_duplicates", key="dup1"), ShownFilter(name="personal_data", key="pii1")),
            source="src-web",
        ),
        ShownSource(name="wiki", licence="unknown", permission="exception: asked <them>"),
    ),
    benchmarks=("gsm8k", "humaneval, jhumaneval", "short"),
    counts="count1",
    assumptions=(
        ShownAssumption(address="ipt.training.weight_decay", value="0.1", reason="the paper does not say"),
        ShownAssumption(address="sources.wiki.licence", value="unknown", reason="no <card>"),
        ShownAssumption(address="sources['other one'].licence", value="MIT", reason="of another source"),
        ShownAssumption(address="variants['混合 A'].budget", value="{tokens: 1000}", reason="small"),
    ),
)
STORES = (
    CountedStore(
        source="web/math", kind="instruction", language="en", category="math", tokenizer="byte", pools=("ipt",)
    ),
    CountedStore(source="wiki", kind="raw", language="ja", tokenizer="byte", pools=("ipt",)),
)
STORE_FIGURES = (
    {"documents": 4321, "tokens": 87_654_321, "response_tokens": 45_678_901, "excluded": 17},
    {"documents": 222, "tokens": 11_000_000, "response_tokens": 0, "excluded": 0},
)


def write_index(folder: Path, index: dict, name: str = "index.json") -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")
    return folder


def write_data(root: Path, certificates: dict[str, dict]) -> dict[str, Path]:
    """Write every artifact that `DATA` names below `root`, and the certificates; return the folders by key."""
    benchmarks = [CHECK, CLEAN, SHORT]
    stores = [write_index(root / f"store{at}", index) for at, index in enumerate(STORE_FIGURES)]
    counts = root / "counts"
    counts.mkdir()
    write_counts(CountsSettings(stores=STORES), stores, counts)
    return {
        "src-web": write_index(root / "source", READ),
        "check-web": write_index(root / "check", {"records": 5000, "contaminated": 9, "benchmarks": benchmarks}),
        "dup1": write_index(root / "dup", DUPLICATES),
        "pii1": write_index(root / "pii", FLAGGED),
        "count1": counts,
        **{key: write_index(root / key, one, "certificate.json") for key, one in certificates.items()},
    }

"""A mixture's certificate with the names of its sources, and all that is known of them: as JSON and as a page."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mixlab.config.report_data import DataShown, ShownAssumption, ShownMixture, ShownSource
from mixlab.data.mixtures.certificate import MANY_EPOCHS
from mixlab.data.writing import write_json
from mixlab.report.certificate_figures import list_sources
from mixlab.report.certificate_page import render_certificate_page
from mixlab.report.data import DataFigures
from mixlab.report.data_reading import list_truncated, read_step
from mixlab.report.data_tables import NOT_CHECKED, NOT_HERE

ABOUT_DATA = {
    *("sources", "pools", "filters", "contamination", "licences", "labellers", "tokenizers", "tokens"),
    *("variants", "variant_defaults", "base_models", "sft"),
}
"""Sections of a study whose assumed values say something about a mixture."""


_OVERRIDES = ".overrides."


def join_certificate(shown: DataShown, mixture: ShownMixture, figures: DataFigures) -> dict[str, Any]:
    """Return `certificate.json` with names in it.

    Beside the certificate's own fields: `mixture` {label, key, certificate_digest, purposes}, `tokenizer` {name, key},
    `assumptions`, and in each of `sources` {name, licence, permission, contamination, reading, filters,
    repeated_often}.
    """
    certificate, digest = figures.certificates[mixture.key]
    lines = list_sources(certificate, mixture.sources)
    named = [shown.source(name) for name in mixture.sources]
    sources = [
        {**line.entry, **_describe(shown, source, figures), "repeated_often": line.is_repeated_often}
        for line, source in zip(lines, named, strict=True)
    ]
    return {
        **certificate,
        "mixture": {
            "label": mixture.label,
            "key": mixture.key,
            "certificate_digest": digest,
            "purposes": list(mixture.purposes),
        },
        "tokenizer": {"name": mixture.tokenizer, "key": mixture.tokenizer_key},
        "sources": sources,
        "on_contamination": shown.on_found,
        "many_epochs": MANY_EPOCHS,
        "assumptions": [one.model_dump() for one in list_assumptions(shown, mixture)],
    }


def list_assumptions(shown: DataShown, mixture: ShownMixture) -> Iterator[ShownAssumption]:
    """Yield the assumed values that concern a mixture: those about data, of other sources and variants left out."""
    return (one for one in shown.assumptions if _concerns(mixture, one.address))


def _concerns(mixture: ShownMixture, address: str) -> bool:
    section, name, rest = _split_address(address)
    if section == "base_models" and name in mixture.base_models and rest.startswith(_OVERRIDES):
        # what a base model says otherwise is of what goes on from it, and not of what it is trained on
        return mixture.purposes != ("pretrain",) and _concerns(mixture, rest.removeprefix(_OVERRIDES))
    is_meant = {
        "sources": name in {part.partition("/")[0] for part in mixture.sources},
        "tokenizers": name == mixture.tokenizer,
        "variants": name in mixture.variants,
        "variant_defaults": "ipt" in mixture.purposes,
        "sft": "sft" in mixture.purposes,
        "base_models": name in mixture.base_models and "pretrain" in mixture.purposes,
    }
    return section in ABOUT_DATA and is_meant.get(section, True)


def _split_address(address: str) -> tuple[str, str, str]:
    """Return section, entry and rest: `sources`, `web`, `.licence` of `sources.web.licence`, or `sources['web']…`."""
    section = re.match(r"[^.\[]*", address)
    rest = address[section.end() :] if section else address
    entry = re.match(r"\.([^.\[]+)|\[(['\"])(.*?)\2\]", rest)
    if entry is None:
        return section[0] if section else "", "", rest
    return section[0] if section else "", entry[1] or entry[3], rest[entry.end() :]


def write_certificates(shown: DataShown, figures: DataFigures, out: Path) -> dict[str, str]:
    """Write `certificates/SLUG.json` and `.html`; return the page of each mixture by key, relative to `out`."""
    folder = out / "certificates"
    folder.mkdir()
    pages = {}
    for mixture in shown.mixtures:
        if mixture.key in figures.certificates:
            slug = name_page(mixture)
            write_json(folder / f"{slug}.json", join_certificate(shown, mixture, figures))
            page = render_certificate_page(shown, mixture, figures, tuple(list_assumptions(shown, mixture)))
            (folder / f"{slug}.html").write_text(page, encoding="utf-8")
            pages[mixture.key] = f"certificates/{slug}.html"
    return pages


def name_page(mixture: ShownMixture) -> str:
    """Name a mixture's files: Latin letters and digits of its label, then the key, which alone tells it apart."""
    words = "-".join(re.findall(r"[a-z0-9]+", mixture.label.lower()))[:60].strip("-")
    return f"{words}-{mixture.key}" if words else mixture.key


def _describe(shown: DataShown, source: ShownSource, figures: DataFigures) -> dict[str, Any]:
    return {
        "name": source.name,
        "licence": source.licence,
        "licence_tiers": list(source.tiers),
        "permission": source.permission,
        "contamination": _describe_check(shown, source, figures),
        "reading": _describe_reading(source, figures),
        "filters": [
            {"filter": one.name, "key": one.key, **_pick(figures.filters.get(one.key))} for one in source.filters
        ],
    }


def _pick(index: Mapping[str, Any] | None) -> dict[str, Any]:
    if index is None:
        return {"state": NOT_HERE}
    return {name: index[name] for name in ("records_in", "records", "reasons", "flagged") if name in index}


def _describe_reading(source: ShownSource, figures: DataFigures) -> dict[str, Any]:
    index = figures.sources.get(source.source or "")
    if index is None:
        return {"state": NOT_HERE}
    truncated = [{"digest": digest, "why": why} for digest, why in list_truncated(index)]
    return {"key": source.source, **_pick(read_step(index)), "truncated_files": truncated}


def _describe_check(shown: DataShown, source: ShownSource, figures: DataFigures) -> dict[str, Any]:
    check = figures.checks.get(source.contamination or "")
    if check is None:
        return {"state": NOT_HERE if source.contamination else NOT_CHECKED}
    return {
        "state": "checked",
        "key": source.contamination,
        "records": check.records,
        "contaminated": check.contaminated,
        "benchmarks": dict(zip(shown.benchmarks, check.benchmarks, strict=True)),
    }

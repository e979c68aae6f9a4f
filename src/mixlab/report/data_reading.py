"""What reading left out of sources, before any filter: bad records, those not asked for, the ends of broken files."""

from collections.abc import Iterable

from mixlab.config.report_data import ShownSource
from mixlab.report.data import DataFigures, Figures
from mixlab.report.text import render_plain

READING = "reading"
EXCLUDED, NOT_SELECTED = "excluded: bad records", "not selected"


def read_step(index: Figures) -> Figures:
    """Put what a source's card says of reading into the form of a filter's card."""
    reasons = {EXCLUDED: index["excluded"], NOT_SELECTED: index.get("not_selected", 0)}
    found = {reason: count for reason, count in reasons.items() if count}
    return {"records_in": index["records"] + sum(found.values()), "records": index["records"], "reasons": found}


def list_truncated(index: Figures) -> list[tuple[str, str]]:
    """Digest of each file that was not read to its end, and why."""
    return [(card["digest"], card["truncated"]) for card in index.get("files", ()) if card.get("truncated")]


def list_reading_cautions(figures: DataFigures, sources: Iterable[ShownSource]) -> list[str]:
    """One caution for each file whose end was lost; the parts of a labelled source share their files."""
    roots = dict.fromkeys((source.name.partition("/")[0], source.source) for source in sources)
    return [
        f"Source {name}: file {digest[:16]} was not read to its end, so records are lost: {why}."
        for name, key in roots
        for digest, why in list_truncated(figures.sources.get(key or "", {}))
    ]


def summarise_reading(figures: DataFigures, sources: Iterable[ShownSource]) -> str:
    """How many records reading left out in all, how many files it did not read to their ends."""
    keys = dict.fromkeys(source.source for source in sources)
    cards = [figures.sources[key] for key in keys if key in figures.sources]
    excluded, unselected = (sum(card.get(name, 0) for card in cards) for name in ("excluded", "not_selected"))
    cut = sum(len(list_truncated(card)) for card in cards)
    text = f"{render_plain(excluded)} bad records excluded, {render_plain(unselected)} records not selected"
    text += f"; {cut} files not read to their ends" if cut else ""
    rest = len(keys) - len(cards)
    return text + (f"; {rest} sources not here" if rest else "")

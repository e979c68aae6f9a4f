"""What labelling could not read: a caution where it is more than a tenth of a source's dialogues."""

from collections.abc import Iterable

from mixlab.config.report_data import ShownSource
from mixlab.data.labels.labelling import MANY_UNPARSABLE
from mixlab.report.data import DataFigures, Figures
from mixlab.report.text import render_plain


def list_label_cautions(figures: DataFigures, sources: Iterable[ShownSource]) -> list[str]:
    """One caution for each source of whose labels many could not be read; its parts share them."""
    roots = dict.fromkeys((source.name.partition("/")[0], source.labels) for source in sources)
    found = ((name, figures.labels.get(key or "")) for name, key in roots)
    return [_render(name, index) for name, index in found if index and _is_poor(index)]


def _is_poor(index: Figures) -> bool:
    return bool(index["unparsable"] > MANY_UNPARSABLE * index["asked"])


def _render(name: str, index: Figures) -> str:
    unparsable, asked, done = index["unparsable"], index["asked"], index["on_unparsable"]
    share = f"{render_plain(unparsable)} of {render_plain(asked)} dialogues ({100 * unparsable / asked:.0f} %)"
    fate = "are left out" if done == "exclude" else f"count as {done}"
    return f"Source {name}: {share} got no label that can be read from {index['labeller']}; they {fate}."

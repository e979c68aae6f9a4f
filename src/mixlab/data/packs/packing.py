"""From documents to windows: which stretches of a token store share a window.

Long raw documents are first cut into full windows and a rest; then everything is packed by best-fit decreasing,
which cuts nothing more and wastes little (the scheme of arXiv:2404.10830, section 3). Lengths are small integers, so
bins are handled by the thousand: the cost grows with the window length, not with documents. Documents pass through in
blocks, so that memory does not grow with the store.
"""

import bisect
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from mixlab.config.tokenizers import PackSettings
from mixlab.data.packs.rows import TokenRows
from mixlab.data.packs.writer import PackWriter, Pieces
from mixlab.data.tokens.store import TokenStore

logger = logging.getLogger(__name__)

_BLOCK_PIECES = 1 << 19
"""Pieces packed together; bounds the memory, and decides the result."""

Kind = Literal["raw", "instruction"]


@dataclass
class Losses:
    """What does not reach a window, or not in one piece; counts of documents unless the name says tokens.

    truncated: longer than a window, so that the end is gone; dropped: without a response token within a window;
    cut: in several windows.
    """

    cut: int = 0
    truncated: int = 0
    truncated_tokens: int = 0
    dropped: int = 0
    dropped_tokens: int = 0


@dataclass
class _Packing:
    settings: PackSettings
    store: TokenStore
    kind: Kind
    losses: Losses = field(default_factory=Losses)


def write_pack(settings: PackSettings, store: Path, kind: Kind, out: Path) -> None:
    """Write the windows of a token store, each of at most `sequence_tokens` real tokens, as pack.py says.

    A store that yields no window gives an empty pack, which a mixture treats as a source without data. The index
    counts what was lost, and padding_tokens, the room that windows leave.
    """
    opened = TokenStore(store)
    packing = _Packing(settings, opened, kind)
    # windows of the other layouts lie in a row in the store
    rows = TokenRows(out / "tokens.npy", opened, settings.sequence_tokens) if settings.layout == "packed" else None
    with PackWriter(out, rows) as writer:
        if settings.layout == "concatenated":
            for pieces in _concatenate(packing):
                writer.add(pieces, pieces.starts // settings.sequence_tokens)
        elif settings.layout == "one_per_window":
            for pieces in _cut_or_truncate(packing):
                writer.add(pieces, writer.windows_begun + np.arange(len(pieces)))
        else:
            for pieces in _in_blocks(_cut_or_truncate(packing)):
                writer.add(pieces, writer.windows_begun + best_fit(pieces.lengths, settings.sequence_tokens))
                logger.info("packed %d of %d documents", pieces.documents.max() + 1, opened.documents)
    totals = writer.totals()
    if not totals["windows"]:
        logger.warning("%s: no document of %d keeps a token to learn within a window", store, opened.documents)
    padding = totals["windows"] * settings.sequence_tokens - totals["tokens"]
    about = {"sequence_tokens": settings.sequence_tokens, "layout": settings.layout, "padding_tokens": padding}
    about |= {"store_tokens": opened.tokens_total, "documents": opened.documents}
    writer.write_index(about | vars(packing.losses))


def _cut_or_truncate(packing: _Packing) -> Iterator[Pieces]:
    """Documents as pieces no longer than a window; raw ones are cut, unless each has a window of its own."""
    window, losses = packing.settings.sequence_tokens, packing.losses
    cuts = packing.kind == "raw" and packing.settings.layout == "packed"
    for first, borders in packing.store.blocks():
        starts, lengths = borders[:-1], np.diff(borders)
        long = lengths > window
        documents = np.arange(first, first + len(lengths))
        if cuts:
            losses.cut += int(long.sum())
            documents = np.repeat(documents, -(-lengths // window))
            starts, lengths = cut_documents(starts, lengths, window)
            yield Pieces(starts, lengths, documents, np.zeros(len(starts), dtype=np.int64))
            continue
        kept = np.minimum(lengths, window)
        responses = _count_responses(packing, starts, kept)
        keep = responses > 0 if packing.kind == "instruction" else np.ones(len(starts), dtype=bool)
        losses.truncated += int(long.sum())
        losses.truncated_tokens += int((lengths - kept)[keep].sum())
        losses.dropped += int((~keep).sum())
        losses.dropped_tokens += int(lengths[~keep].sum())
        yield Pieces(starts[keep], kept[keep], documents[keep], responses[keep])


def _concatenate(packing: _Packing) -> Iterator[Pieces]:
    """Documents cut wherever a window of the whole store ends."""
    window = packing.settings.sequence_tokens
    for first, borders in packing.store.blocks():
        begin, end = int(borders[0]), int(borders[-1])
        edges = np.arange(-(-begin // window) * window, end + 1, window)
        cuts = np.unique(np.concatenate([borders, edges]))
        starts, lengths = cuts[:-1], np.diff(cuts)
        documents = first + np.searchsorted(borders, starts, side="right") - 1
        packing.losses.cut += int(((borders[1:] - 1) // window > borders[:-1] // window).sum())
        yield Pieces(starts, lengths, documents, _count_responses(packing, starts, lengths))


def _count_responses(packing: _Packing, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Response tokens of each stretch but its first token, which nothing before it could predict."""
    if packing.kind == "raw" or not len(starts):
        return np.zeros(len(starts), dtype=np.int64)
    ends = starts + lengths
    spans = packing.store.response_spans(int(starts[0]), int(ends.max()))
    begins, sums = spans[:, 0], np.concatenate([[0], np.cumsum(spans[:, 1] - spans[:, 0])])

    def before(places: np.ndarray) -> np.ndarray:
        at = np.searchsorted(begins, places, side="right")
        last = np.maximum(at - 1, 0)
        whole: np.ndarray = sums[at]
        over = spans[last, 1] - places if len(spans) else np.zeros(len(places), dtype=np.int64)
        until: np.ndarray = whole - np.where(at > 0, np.maximum(over, 0), 0)
        return until

    counts: np.ndarray = before(ends) - before(starts + 1)
    return counts


def cut_documents(starts: np.ndarray, lengths: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut documents longer than `window` into full windows and a rest; starts and lengths of the pieces."""
    counts = -(-lengths // window)
    of = np.repeat(np.arange(len(lengths)), counts)
    within = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    pieces: np.ndarray = np.minimum(lengths[of] - within * window, window)
    return starts[of] + within * window, pieces


def _in_blocks(stream: Iterator[Pieces]) -> Iterator[Pieces]:
    """The same pieces, by exactly `_BLOCK_PIECES` but for the last."""
    held: list[Pieces] = []
    count = 0
    for pieces in stream:
        held.append(pieces)
        count += len(pieces)
        while count >= _BLOCK_PIECES:
            whole = Pieces.join(held)
            yield whole[:_BLOCK_PIECES]
            held, count = [whole[_BLOCK_PIECES:]], count - _BLOCK_PIECES
    if count:
        yield Pieces.join(held)


def best_fit(lengths: np.ndarray, window: int) -> np.ndarray:
    """Assign pieces to bins of `window` tokens by best-fit decreasing; the bin of each piece, from 0.

    Pieces of one length are placed together, fullest bins first, so that no piece costs a step of its own.
    `lengths` lie in [1, window].
    """
    order: np.ndarray = np.argsort(-lengths, kind="stable")
    falling: np.ndarray = -lengths[order]
    bins = np.empty(len(lengths), dtype=np.int64)
    room = _Room()
    used = at = 0
    while at < len(order):
        length = -int(falling[at])
        until = int(np.searchsorted(falling, -length, side="right"))
        while at < until and (free := room.smallest(length)):
            at = _fill(bins, order, at, until, room, free, length, room.take(free))
        if at < until:
            fresh = -(-(until - at) // (window // length))
            at = _fill(bins, order, at, until, room, window, length, np.arange(used, used + fresh))
            used += fresh
    return bins


class _Room:
    """Bins by the tokens that still fit into them."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._bins: dict[int, list[np.ndarray]] = {}

    def smallest(self, least: int) -> int:
        """The smallest room of at least `least` tokens; 0 when there is none."""
        at = bisect.bisect_left(self._sizes, least)
        return self._sizes[at] if at < len(self._sizes) else 0

    def take(self, size: int) -> np.ndarray:
        del self._sizes[bisect.bisect_left(self._sizes, size)]
        return np.concatenate(self._bins.pop(size))

    def put(self, size: int, bins: np.ndarray) -> None:
        if not size or not len(bins):
            return
        if size not in self._bins:
            bisect.insort(self._sizes, size)
            self._bins[size] = []
        self._bins[size].append(bins)


def _fill(
    bins: np.ndarray, order: np.ndarray, at: int, until: int, room: _Room, free: int, length: int, chosen: np.ndarray
) -> int:
    """Put pieces `order[at:until]` into the bins `chosen` with `free` room, each to the brim; the next piece."""
    each = free // length
    pieces = min(until - at, each * len(chosen))
    bins[order[at : at + pieces]] = np.repeat(chosen, each)[:pieces]
    full, rest = divmod(pieces, each)
    room.put(free - each * length, chosen[:full])
    room.put(free - rest * length, chosen[full : full + 1] if rest else chosen[:0])
    room.put(free, chosen[full + bool(rest) :])
    return at + pieces

"""From documents to windows: which stretches of a token store share a window.

Long raw documents are first cut into full windows and a rest; then everything is packed by best-fit decreasing,
which cuts nothing more and wastes little (the scheme of arXiv:2404.10830, section 3). Lengths are small
integers, so bins are handled by the thousand: the cost grows with the window length, not with documents.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from mixlab.config.problems import DataError
from mixlab.config.tokenizers import PackSettings
from mixlab.data.writing import write_json

_BLOCK_PIECES = 1 << 20
"""Pieces packed together; bounds the memory, and decides the result."""


def write_pack(settings: PackSettings, store: Path, kind: Literal["raw", "instruction"], out: Path) -> None:
    """Pack the documents of a token store into windows of at most `sequence_tokens` real tokens.

    Writes `segments.npy` int64 [G, 2] (absolute start, tokens), `window_offsets.npy` int64 [W+1] into them,
    `window_tokens.npy` int64 [W] and `index.json`. truncated: instruction documents that were cut short;
    dropped: those of them that kept no response token. Raises DataError when no window is left.
    """
    offsets = np.load(store / "document_offsets.npy", mmap_mode="r")
    starts, lengths = np.asarray(offsets[:-1]), np.diff(offsets)
    truncated = dropped = 0
    if kind == "raw" and settings.layout == "packed":
        starts, lengths = cut_documents(starts, lengths, settings.sequence_tokens)
    else:
        truncated = int((lengths > settings.sequence_tokens).sum())
        lengths = np.minimum(lengths, settings.sequence_tokens)
        if kind == "instruction":
            kept = _keeps_response(starts, lengths, np.load(store / "response_spans.npy", mmap_mode="r"))
            dropped = int((~kept).sum())
            starts, lengths = starts[kept], lengths[kept]
    if not len(starts):
        raise DataError(f"no window: no document keeps a response token within {settings.sequence_tokens} tokens")
    bins = np.arange(len(starts)) if settings.layout == "one_per_window" else _pack(lengths, settings.sequence_tokens)
    counts = {"truncated": truncated, "dropped": dropped, "store_tokens": int(offsets[-1])}
    _write(settings, np.stack([starts, lengths], axis=1), bins, out, counts)


def cut_documents(starts: np.ndarray, lengths: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut documents longer than `window` into full windows and a rest; starts and lengths of the pieces."""
    counts = -(-lengths // window)
    of = np.repeat(np.arange(len(lengths)), counts)
    within = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    pieces: np.ndarray = np.minimum(lengths[of] - within * window, window)
    return starts[of] + within * window, pieces


def _keeps_response(starts: np.ndarray, lengths: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Whether a span starts before the (shortened) end of each document; spans are sorted."""
    begins = np.asarray(spans[:, 0])
    until: np.ndarray = np.searchsorted(begins, starts + lengths)
    return until > np.searchsorted(begins, starts)


def _pack(lengths: np.ndarray, window: int) -> np.ndarray:
    bins = np.empty(len(lengths), dtype=np.int64)
    used = 0
    for start in range(0, len(lengths), _BLOCK_PIECES):
        block = best_fit(lengths[start : start + _BLOCK_PIECES], window)
        bins[start : start + len(block)] = block + used
        used += int(block.max()) + 1
    return bins


def best_fit(lengths: np.ndarray, window: int) -> np.ndarray:
    """Assign pieces to bins of `window` tokens by best-fit decreasing; the bin of each piece, from 0.

    Pieces of one length are placed together, fullest bins first, so that no piece costs a step of its own.
    `lengths` lie in [1, window].
    """
    order: np.ndarray = np.argsort(-lengths, kind="stable")
    in_order: np.ndarray = lengths[order]
    bins = np.empty(len(lengths), dtype=np.int64)
    room: dict[int, np.ndarray] = {}
    used = at = 0
    while at < len(order):
        length = int(in_order[at])
        until = int(np.searchsorted(-in_order, -length, side="right"))
        for free in sorted(free for free in room if free >= length):
            if at == until:
                break
            at = _fill(bins, order, at, until, room, free, length, room.pop(free))
        if at < until:
            fresh = -(-(until - at) // (window // length))
            at = _fill(bins, order, at, until, room, window, length, np.arange(used, used + fresh))
            used += fresh
    return bins


def _fill(
    bins: np.ndarray,
    order: np.ndarray,
    at: int,
    until: int,
    room: dict[int, np.ndarray],
    free: int,
    length: int,
    candidates: np.ndarray,
) -> int:
    """Put pieces `order[at:until]` into bins with `free` room, each bin to the brim; the next piece."""
    each = free // length
    pieces = min(until - at, each * len(candidates))
    chosen = np.repeat(candidates, each)[:pieces]
    bins[order[at : at + pieces]] = chosen
    full, rest = divmod(pieces, each)
    left = ((free - each * length, candidates[:full]), (free, candidates[full + bool(rest) :]))
    partly = (free - rest * length, candidates[full : full + 1] if rest else candidates[:0])
    for space, which in (*left, partly):
        if space and len(which):
            room[space] = np.concatenate([room[space], which]) if space in room else which
    return at + pieces


def _write(settings: PackSettings, segments: np.ndarray, bins: np.ndarray, out: Path, counts: dict[str, int]) -> None:
    order = np.argsort(bins, kind="stable")
    segments, bins = segments[order], bins[order]
    window_offsets = np.concatenate([[0], np.cumsum(np.bincount(bins))])
    window_tokens = np.add.reduceat(segments[:, 1], window_offsets[:-1])
    for name, values in (
        ("segments", segments),
        ("window_offsets", window_offsets),
        ("window_tokens", window_tokens),
    ):
        np.save(out / f"{name}.npy", values.astype("<i8"), allow_pickle=False)
    index = {
        "windows": len(window_tokens),
        "tokens": int(window_tokens.sum()),
        "sequence_tokens": settings.sequence_tokens,
        "layout": settings.layout,
    }
    write_json(out / "index.json", index | counts)

"""Token stores whose tokens count up from 0, of documents and responses as asked for."""

import json
from pathlib import Path

import numpy as np


def _part(
    folder: Path, documents: list[int], spans: list[tuple[int, int]], first: int, dtype: np.dtype
) -> dict[str, int]:
    folder.mkdir(parents=True, exist_ok=True)
    np.arange(first, first + sum(documents)).astype(dtype).tofile(folder / "tokens.bin")
    np.save(folder / "document_offsets.npy", np.cumsum([0, *documents]).astype("<i8"))
    np.save(folder / "response_spans.npy", np.array(spans, dtype="<i8").reshape(-1, 2))
    return {"documents": len(documents), "tokens": sum(documents)}


def write_fake_store(folder: Path, documents: list[int], spans: list[tuple[int, int]], vocab_size: int = 300) -> Path:
    """A store whose tokens count up from 0; spans are those of responses."""
    dtype = np.dtype("<u2" if vocab_size <= 65536 else "<u4")
    counts = _part(folder, documents, spans, 0, dtype)
    responses = sum(end - start for start, end in spans)
    index = {"dtype": dtype.name, "vocab_size": vocab_size, "excluded": 0, "response_tokens": responses, **counts}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def write_fake_shards(folder: Path, shards: list[tuple[list[int], list[tuple[int, int]]]]) -> Path:
    """The same in several shards; spans count from the beginning of each."""
    cards, first = [], 0
    for number, (documents, spans) in enumerate(shards):
        cards.append(_part(folder / f"shard-{number:05d}", documents, spans, first, np.dtype("<u2")))
        first += cards[-1]["tokens"]
    index = {"dtype": "uint16", "vocab_size": 300, "excluded": 0, "response_tokens": 0, "shards": cards}
    index |= {name: sum(card[name] for card in cards) for name in ("documents", "tokens")}
    (folder / "index.json").write_text(json.dumps(index))
    return folder

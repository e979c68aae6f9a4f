"""Token stores whose tokens count up from 0, of documents and responses as asked for."""

import json
from pathlib import Path

import numpy as np


def write_fake_store(folder: Path, documents: list[int], spans: list[tuple[int, int]], vocab_size: int = 300) -> Path:
    """A store whose tokens count up from 0; spans are those of responses."""
    dtype = np.dtype("<u2" if vocab_size <= 65536 else "<u4")
    folder.mkdir(parents=True, exist_ok=True)
    np.arange(sum(documents)).astype(dtype).tofile(folder / "tokens.bin")
    np.save(folder / "document_offsets.npy", np.cumsum([0, *documents]).astype("<i8"))
    np.save(folder / "response_spans.npy", np.array(spans, dtype="<i8").reshape(-1, 2))
    counts = {"documents": len(documents), "tokens": sum(documents)}
    responses = sum(end - start for start, end in spans)
    index = {"dtype": dtype.name, "vocab_size": vocab_size, "excluded": 0, "response_tokens": responses, **counts}
    (folder / "index.json").write_text(json.dumps(index))
    return folder

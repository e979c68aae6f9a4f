"""Token stores as Megatron-LM's files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mixlab.data.exports.megatron import bin_path
from mixlab.data.exports.megatron_files import MegatronFiles
from mixlab.data.exports.megatron_store import export_responses, export_store
from mixlab.data.writing import write_json

END = 1
DOCUMENTS = ([5, 6, 7, END], [9, END], [8, 8, 8, END])
SPANS = ([2, 4], [4, 6], [7, 8], [9, 10])


def write_part(
    folder: Path, documents: Sequence[Sequence[int]], spans: Sequence[Sequence[int]] = (), vocab: int = 100
) -> dict[str, object]:
    folder.mkdir(parents=True)
    offsets = np.cumsum([0, *map(len, documents)])
    dtype = np.dtype("<u2" if vocab <= 65536 else "<u4")
    (folder / "tokens.bin").write_bytes(np.array([x for one in documents for x in one], dtype).tobytes())
    np.save(folder / "document_offsets.npy", offsets.astype("<i8"))
    np.save(folder / "response_spans.npy", np.array(spans, "<i8").reshape(-1, 2))
    index = {
        "documents": len(documents),
        "tokens": int(offsets[-1]),
        "response_tokens": sum(end - start for start, end in spans),
        "dtype": dtype.name,
        "vocab_size": vocab,
        "excluded": 0,
    }
    write_json(folder / "index.json", index)
    return index


def read(prefix: Path) -> list[list[int]]:
    files = MegatronFiles(prefix)
    return [files.document(number).tolist() for number in range(files.documents)]


@pytest.mark.parametrize(("vocab", "dtype"), [(100, "uint16"), (70_000, "int32")])
def test_a_store_becomes_megatrons_files_in_the_narrowest_type(tmp_path: Path, vocab: int, dtype: str) -> None:
    documents = [*DOCUMENTS, [vocab - 1, END]]
    write_part(tmp_path / "store", documents, vocab=vocab)
    assert export_store(tmp_path / "store", tmp_path / "a") == 12
    assert MegatronFiles(tmp_path / "a").dtype.name == dtype
    assert read(tmp_path / "a") == documents


def test_a_link_holds_no_second_copy_and_a_copy_does(tmp_path: Path) -> None:
    write_part(tmp_path / "store", DOCUMENTS)
    for link in (True, False, True):
        export_store(tmp_path / "store", tmp_path / "a", link=link)
        assert bin_path(tmp_path / "a").samefile(tmp_path / "store/tokens.bin") is link
        assert read(tmp_path / "a") == list(DOCUMENTS)


def test_responses_stand_token_by_token_beside_the_documents(tmp_path: Path) -> None:
    write_part(tmp_path / "store", DOCUMENTS, SPANS)
    assert export_responses(tmp_path / "store", tmp_path / "a") == 6
    assert read(tmp_path / "a") == [[0, 0, 1, 1], [1, 1], [0, 1, 0, 1]]

"""Token stores from and to Megatron-LM's files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mixlab.config.problems import DataError
from mixlab.data.exports.megatron import bin_path, write_megatron
from mixlab.data.exports.megatron_files import MegatronFiles
from mixlab.data.exports.megatron_store import export_responses, export_store, import_megatron
from mixlab.data.tokens.store import TokenStore
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


def test_what_was_exported_imports_as_the_same_store(tmp_path: Path) -> None:
    write_part(tmp_path / "store", DOCUMENTS)
    (tmp_path / "store/exclusions.jsonl").touch()
    export_store(tmp_path / "store", tmp_path / "a")
    (tmp_path / "again").mkdir()
    import_megatron(tmp_path / "a", 100, tmp_path / "again", end_token=END)
    names = sorted(path.name for path in (tmp_path / "store").iterdir())
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == names
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "store" / name).read_bytes(), name


@pytest.mark.parametrize("dtype", ["<u1", "<i2", "<i4", "<i8"])
def test_any_type_of_ids_is_imported_into_the_narrowest_and_empty_documents_are_told(
    tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixlab.data.exports.megatron_files._BLOCK", 3)
    lengths, ids = np.array([0, 2, 0, 4, 1]), np.array([9, END, 7, 8, 9, END, END], dtype)
    write_megatron(tmp_path / "a", np.dtype(dtype), 5, [(lengths, ids)])
    out = tmp_path / "store"
    out.mkdir()
    import_megatron(tmp_path / "a", 100, out, end_token=END)
    store = TokenStore(out)
    assert (store.documents, store.tokens_total, store.excluded, store.dtype.name) == (3, 7, 2, "uint16")
    assert store.offsets().tolist() == [0, 2, 6, 7]
    assert store.read(0, 7).tolist() == ids.tolist()
    told = '{"reason": "no token", "record": 0}\n{"reason": "no token", "record": 2}\n'
    assert (out / "exclusions.jsonl").read_text() == told


def refuse(tmp_path: Path, documents: Sequence[Sequence[int]], vocab: int = 100, **options: int) -> str:
    lengths, ids = np.array([len(one) for one in documents]), np.array([x for one in documents for x in one], "<i4")
    write_megatron(tmp_path / "a", np.dtype("<i4"), len(documents), [(lengths, ids)])
    (tmp_path / "store").mkdir()
    with pytest.raises(DataError) as caught:
        import_megatron(tmp_path / "a", vocab, tmp_path / "store", **options)
    return str(caught.value)


@pytest.mark.parametrize("strange", [-1, 100])
def test_an_id_of_another_vocabulary_is_refused_with_its_document(tmp_path: Path, strange: int) -> None:
    told = refuse(tmp_path, [[5, END], [], [6, strange, END]])
    assert f"a.bin: document 2 holds the id {strange}, the vocabulary has 100 entries" in told


def test_a_document_that_does_not_end_is_refused_when_the_end_is_known(tmp_path: Path) -> None:
    told = refuse(tmp_path, [[5, END], [], [6, 7]], end_token=END)
    assert "document 2 ends with the id 7, not with the end token 1; tokenize with --append-eod" in told


@pytest.mark.parametrize("documents", [[], [[], []]])
def test_a_data_set_without_a_token_is_refused(tmp_path: Path, documents: list[list[int]]) -> None:
    assert "holds no document with a token" in refuse(tmp_path, documents)

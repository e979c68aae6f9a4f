"""Windows hold what they should, in each layout, and what is lost is counted."""

import json
import logging
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_fakes import write_fake_store

from mixlab.config.problems import DataError
from mixlab.config.tokenizers import PackSettings
from mixlab.data.packs import packing, rows
from mixlab.data.packs.pack import Pack
from mixlab.data.packs.packing import best_fit, write_pack
from mixlab.data.packs.rows import TokenRows
from mixlab.data.tokens.store import TokenStore

LAYOUTS = get_args(PackSettings.model_fields["layout"].annotation)
DOCUMENTS = [5, 20, 3, 8, 1, 7, 4, 10, 8, 2]
ENDS = np.cumsum(DOCUMENTS).tolist()
SPANS = [(end - min(3, length - 1), end) for end, length in zip(ENDS, DOCUMENTS, strict=True) if length > 1]


def _pack(folder: Path, store: Path, kind: str, layout: str, window: int = 8) -> Pack:
    folder.mkdir()
    write_pack(PackSettings(sequence_tokens=window, layout=layout), store, kind, folder)
    return Pack(folder)


def _windows(pack: Pack) -> list[list[list[int]]]:
    """Windows, each a list of segments, each a list of tokens: those of a fake store are their own positions."""
    borders = pack.offsets_W.tolist()
    segments = [list(range(start, start + length)) for start, length in pack.segments.tolist()]
    return [segments[first:last] for first, last in pairwise(borders)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_fake_store(tmp_path / "store", DOCUMENTS, SPANS)


@pytest.mark.parametrize("kind", ["raw", "instruction"])
def test_concatenated_windows_are_the_store_cut_evenly(tmp_path: Path, store: Path, kind: str) -> None:
    pack = _pack(tmp_path / "pack", store, kind, "concatenated")
    tokens = [list(chain.from_iterable(window)) for window in _windows(pack)]
    assert list(chain.from_iterable(tokens)) == list(range(68))
    assert [len(window) for window in tokens] == [8] * 8 + [4]
    assert (pack.index["padding_tokens"], pack.index["cut"], pack.cut_tokens) == (4, 5, 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_the_index_says_of_documents_and_responses_is_what_the_windows_hold(
    tmp_path: Path, store: Path, layout: str
) -> None:
    pack = _pack(tmp_path / "pack", store, "instruction", layout)
    answers = {place for start, end in SPANS for place in range(start, end)}
    documents = np.searchsorted(ENDS, np.arange(68), side="right")
    for number, window in enumerate(_windows(pack)):
        held = sorted(documents[token] for segment in window for token in segment)
        assert pack.documents_W2[number].tolist() == [held[0], held[-1]]
        assert pack.tokens_W[number] == sum(len(segment) for segment in window)
        # nothing before it in the window could predict the first token of a segment
        assert pack.response_tokens_W[number] == len(answers & {at for segment in window for at in segment[1:]})
    assert pack.tokens == pack.tokens_W.sum() == pack.windows * 8 - pack.index["padding_tokens"]
    assert pack.response_tokens == pack.response_tokens_W.sum() > 0
    assert pack.target_tokens == pack.tokens - len(pack.segments)
    assert (pack.index["first_document"], pack.index["last_document"]) == (0, 9)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["raw", "instruction"])
def test_every_token_is_in_a_window_or_counted_as_lost(tmp_path: Path, store: Path, layout: str, kind: str) -> None:
    pack = _pack(tmp_path / "pack", store, kind, layout)
    held = [token for window in _windows(pack) for segment in window for token in segment]
    assert len(held) == len(set(held)) == 68 - pack.cut_tokens
    cuts = layout == "concatenated" or (kind == "raw" and layout == "packed")
    assert (pack.cut_tokens == 0) == cuts
    assert (pack.index["cut"] > 0) == cuts
    if layout == "one_per_window":
        assert all(len(window) == 1 for window in _windows(pack))


@pytest.mark.parametrize("layout", ["concatenated", "one_per_window"])
def test_the_blocks_in_which_documents_are_read_change_nothing(
    tmp_path: Path, store: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pack(tmp_path / "one", store, "instruction", layout)
    blocks = TokenStore.blocks
    monkeypatch.setattr(TokenStore, "blocks", lambda self: blocks(self, 3))
    _pack(tmp_path / "two", store, "instruction", layout)
    assert len(list((tmp_path / "one").iterdir())) > 5
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_blocks_of_pieces_are_packed_one_after_the_other(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_BLOCK_PIECES", 4)
    pack = _pack(tmp_path / "pack", store, "raw", "packed")
    assert sorted(token for window in _windows(pack) for segment in window for token in segment) == list(range(68))
    assert pack.tokens_W.max() <= 8
    assert pack.tokens_W.min() > 0


@pytest.mark.parametrize("documents", [[], [4, 4]])
def test_a_store_without_anything_to_learn_gives_an_empty_pack_and_a_warning(
    tmp_path: Path, documents: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    store = write_fake_store(tmp_path / "store", documents, [])
    with caplog.at_level(logging.WARNING):
        pack = _pack(tmp_path / "pack", store, "instruction", "packed")
    assert (pack.windows, pack.tokens, pack.index["dropped"]) == (0, 0, len(documents))
    assert len(pack.offsets_W) == 1
    assert len(pack.tokens_W) == len(pack.segments) == 0
    assert pack.rows_WT.shape == (0, 8)
    assert "keeps a token to learn" in caplog.text


@pytest.mark.parametrize("kind", ["raw", "instruction"])
@pytest.mark.parametrize("vocab_size", [300, 70_000])
@pytest.mark.parametrize("chunk_bytes", [1, 40, rows._CHUNK_BYTES])
def test_the_row_of_a_packed_window_holds_its_segments_and_zeros_whatever_is_gathered_at_once(
    tmp_path: Path, kind: str, vocab_size: int, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_fake_store(tmp_path / "store", DOCUMENTS, SPANS, vocab_size)
    _pack(tmp_path / "whole", store, kind, "packed")
    monkeypatch.setattr(packing, "_BLOCK_PIECES", 4)
    monkeypatch.setattr(rows, "_CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(rows, "_PASSING_BYTES", 5)
    pack = _pack(tmp_path / "pack", store, kind, "packed")
    windows = [list(chain.from_iterable(window)) for window in _windows(pack)]
    assert pack.rows_WT.dtype == TokenStore(store).dtype
    assert pack.rows_WT.tolist() == [window + [0] * (8 - len(window)) for window in windows]
    assert 0 < pack.index["padding_tokens"] < pack.windows * 8
    monkeypatch.setattr(packing, "_BLOCK_PIECES", 1 << 19)
    _pack(tmp_path / "chunked", store, kind, "packed")
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "chunked" / file.name).read_bytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tokens_are_written_again_only_where_a_window_does_not_lie_in_a_row(
    tmp_path: Path, store: Path, layout: str
) -> None:
    _pack(tmp_path / "pack", store, "raw", layout)
    assert (tmp_path / "pack/tokens.npy").exists() == (layout == "packed")


def test_a_store_that_ends_early_is_told_and_leaves_nothing(tmp_path: Path, store: Path) -> None:
    with (store / "tokens.bin").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError, match=r"store/tokens\.bin: no \d+ bytes at \d+; make this token store again"):
        _pack(tmp_path / "pack", store, "raw", "packed")
    assert list((tmp_path / "pack").iterdir()) == []


@pytest.mark.parametrize("fault", [DataError("the disk is full"), KeyboardInterrupt()])
@pytest.mark.parametrize("which", [0, 1])
def test_a_fault_while_windows_are_written_or_at_the_last_of_them_leaves_nothing(
    tmp_path: Path, store: Path, fault: BaseException, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    gather = TokenRows.gather

    def fail(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) > which:
            raise fault
        gather(*arguments)

    monkeypatch.setattr(TokenRows, "gather", fail)
    with pytest.raises(type(fault)):
        _pack(tmp_path / "pack", store, "raw", "packed")
    assert len(calls) == which + 1
    assert list((tmp_path / "pack").iterdir()) == []


def test_a_disk_too_full_for_the_rows_is_told_with_their_file(tmp_path: Path, store: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "tokens.npy").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"tokens\.npy: the disk is full: after 0 bytes the next 128 do not fit"):
        write_pack(PackSettings(sequence_tokens=8), store, "raw", tmp_path)


ARRAYS = {
    "tokens": "rows_WT",
    "segments": "segments",
    "window_offsets": "offsets_W",
    "window_tokens": "tokens_W",
    "window_response_tokens": "response_tokens_W",
    "window_documents": "documents_W2",
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_that_is_cut_off_or_of_another_shape_is_refused_by_its_name(
    tmp_path: Path, store: Path, name: str
) -> None:
    pack = _pack(tmp_path / "pack", store, "raw", "packed")
    path = tmp_path / f"pack/{name}.npy"
    assert {file.stem for file in (tmp_path / "pack").iterdir()} == {*ARRAYS, "index"}
    whole = path.read_bytes()
    for rest in (0, 50, 128, len(whole) - 1):
        path.write_bytes(whole[:rest])
        with pytest.raises(DataError, match=rf"pack/{name}\.npy: cut off, or no array"):
            getattr(pack, ARRAYS[name])
    path.write_bytes(whole)
    np.save(path, np.load(path)[1:])
    with pytest.raises(DataError, match=rf"pack/{name}\.npy: has the shape .* is declared; make this pack again"):
        getattr(pack, ARRAYS[name])


def test_packs_say_nothing_of_where_they_were_made(tmp_path: Path, store: Path) -> None:
    _pack(tmp_path / "pack", store, "raw", "packed")
    assert str(tmp_path) not in (tmp_path / "pack/index.json").read_text()
    assert json.loads((tmp_path / "pack/index.json").read_text())["store_tokens"] == 68


def _plain_best_fit(lengths: list[int], window: int) -> list[int]:
    """Best fit decreasing, piece by piece: fullest bin that has room, else a new one."""
    room: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [free for free in room if free >= length]
        if fitting:
            room[room.index(min(fitting))] -= length
        else:
            room.append(window - length)
    return sorted(room)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=80), st.integers(30, 60))
def test_packing_by_lengths_leaves_the_room_that_packing_by_pieces_leaves(lengths: list[int], window: int) -> None:
    filled: Any = np.bincount(best_fit(np.array(lengths), window), weights=lengths)
    assert len(filled) <= len(_plain_best_fit(lengths, window)) + 1
    assert sum(window - filled) == pytest.approx(window * len(filled) - sum(lengths))

"""What training reads is what was written: tokens, segment borders and response masks."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pack_fakes import write_fake_pack
from store_fakes import write_fake_store

from mixlab.config.mixtures import MixtureSettings
from mixlab.config.problems import DataError
from mixlab.config.tokenizers import PackSettings
from mixlab.data.mixtures.mixing import build_mixture
from mixlab.data.mixtures.stretch_reading import SourceTokens, StretchReader
from mixlab.data.mixtures.windows import MixtureWindows, Window
from mixlab.data.packs.pack import Pack
from mixlab.data.packs.packing import write_pack

RAW = {"kind": "raw", "language": "en"}
DIALOGUES = {"kind": "instruction", "language": "en", "category": "math"}
Folders = tuple[Path, list[Path], list[Path]]


def _mixture(tmp_path: Path, packs: list[Path], sources: list[dict[str, Any]]) -> Path:
    settings: dict[str, Any] = {"sources": sources, "budget": {"epochs": 1}}
    (tmp_path / "mixture").mkdir()
    build_mixture(MixtureSettings.model_validate(settings), packs, tmp_path / "mixture")
    return tmp_path / "mixture"


def _packed(tmp_path: Path, stores: list[Path], layout: str = "packed", sequence_tokens: int = 8) -> list[Path]:
    packs = []
    for kind, store in zip(("raw", "instruction"), stores, strict=True):
        packs.append(tmp_path / f"pack_{kind}")
        packs[-1].mkdir()
        write_pack(PackSettings(sequence_tokens=sequence_tokens, layout=layout), store, kind, packs[-1])
    return packs


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    stores = [
        write_fake_store(tmp_path / "raw", [5, 20, 3], []),
        write_fake_store(tmp_path / "dialogues", [6, 4, 9], [(2, 4), (5, 6), (8, 10), (15, 19)]),
    ]
    packs = _packed(tmp_path, stores)
    return _mixture(tmp_path, packs, [RAW, DIALOGUES]), packs, stores


def test_the_windows_of_a_mixture_hold_every_token_and_mark_exactly_the_responses(folders: Folders) -> None:
    windows = MixtureWindows(*folders)
    assert windows.sequence_tokens == 8
    seen: dict[int, list[int]] = {0: [], 1: []}
    responses: list[int] = []
    for number in range(len(windows)):
        window, source = windows.window(number), windows.order[number].source
        assert sum(window.segment_lengths) == len(window.tokens_T) == len(window.response_mask_T) <= 8
        seen[source] += window.tokens_T.tolist()
        assert source == 1 or not window.response_mask_T.any()
        responses += window.tokens_T[window.response_mask_T].tolist()
    assert sorted(seen[0]) == list(range(28))
    assert sorted(seen[1]) == list(range(18))  # the last token of the truncated dialogue is gone
    assert sorted(responses) == [2, 3, 5, 8, 9, 15, 16, 17]


def test_no_segment_crosses_a_document(folders: Folders) -> None:
    windows = MixtureWindows(*folders)
    for number in range(len(windows)):
        window = windows.window(number)
        ends = np.load(folders[2][windows.order[number].source] / "document_offsets.npy")
        at = 0
        for length in window.segment_lengths:
            segment = window.tokens_T[at : at + length]
            at += length
            assert (np.diff(segment) == 1).all()
            assert np.searchsorted(ends, segment[0], "right") == np.searchsorted(ends, segment[-1], "right")


def test_many_windows_at_once_are_the_windows_one_by_one(folders: Folders) -> None:
    windows = MixtureWindows(*folders)
    tokens_BT, lengths_B = windows.read_windows(1, len(windows))
    for row, number in enumerate(range(1, len(windows))):
        window = windows.window(number).tokens_T
        assert tokens_BT[row, : lengths_B[row]].tolist() == window.tolist()
        assert not tokens_BT[row, lengths_B[row] :].any()
    with pytest.raises(IndexError, match="windows"):
        windows.read_windows(0, len(windows) + 1)


@pytest.mark.parametrize("vocab_size", [300, 70_000])
@pytest.mark.parametrize("layout", ["packed", "concatenated", "one_per_window"])
def test_both_ways_of_reading_find_the_same_windows_in_any_layout(
    tmp_path: Path, layout: str, vocab_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixlab.data.mixtures.windows._BLOCK_WINDOWS", 3)
    spans = [(2, 4), (5, 6), (8, 10), (15, 19), (28, 31)]
    stores = [
        write_fake_store(tmp_path / "raw", [6, 4, 9, 7, 5, 1, 30], [], vocab_size),
        write_fake_store(tmp_path / "dialogues", [6, 4, 9, 7, 5], spans, vocab_size),
    ]
    packs = _packed(tmp_path, stores, layout)
    windows = MixtureWindows(_mixture(tmp_path, packs, [RAW, DIALOGUES]), packs, stores)
    assert len(windows) > 6
    learnt = {place for begin, end in spans for place in range(begin, end)}
    for window, place in ((windows.window(at), windows.order[at]) for at in range(len(windows))):
        answers = learnt if place.source == 1 else set()
        # the tokens of these stores are their own places
        assert window.response_mask_T.tolist() == [token in answers for token in window.tokens_T.tolist()]
    for first in range(len(windows)):
        tokens_BT, lengths_B = windows.read_windows(first, len(windows))
        read = [windows.window(number).tokens_T.tolist() for number in range(first, len(windows))]
        assert [row[:length].tolist() for row, length in zip(tokens_BT, lengths_B, strict=True)] == read
        assert not any(row[length:].any() for row, length in zip(tokens_BT, lengths_B, strict=True))


def test_a_large_vocabulary_reads_as_four_bytes(tmp_path: Path) -> None:
    store = write_fake_store(tmp_path / "big", [4, 4], [(1, 3), (5, 8)], vocab_size=70_000)
    packs = _packed(tmp_path, [store, store], "one_per_window")[1:]
    windows = MixtureWindows(_mixture(tmp_path, packs, [DIALOGUES]), packs, [store])
    assert sorted(windows.window(number).tokens_T.tolist() for number in range(2)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert windows.vocab_size == 70_000


def test_a_pack_beside_another_token_store_is_refused(tmp_path: Path, folders: Folders) -> None:
    mixture, packs, stores = folders
    with pytest.raises(DataError, match="was not packed from the token store"):
        MixtureWindows(mixture, packs, stores[::-1])
    other = write_fake_store(tmp_path / "other", [5, 20, 3], [], vocab_size=400)
    with pytest.raises(DataError, match=r"different vocabularies: \[300, 400\]"):
        MixtureWindows(mixture, packs, [other, stores[1]])
    wide = write_fake_store(tmp_path / "wide", [5, 20, 3], [], vocab_size=70_000)
    with pytest.raises(DataError, match="was not packed from the token store"):
        MixtureWindows(mixture, packs, [wide, stores[1]])


def test_rows_that_are_cut_off_are_refused_before_a_window_is_read(folders: Folders) -> None:
    mixture, packs, stores = folders
    with (packs[1] / "tokens.npy").open("r+b") as file:
        file.truncate(140)
    with pytest.raises(DataError, match=r"pack_instruction/tokens\.npy: cut off"):
        MixtureWindows(mixture, packs, stores)


def test_a_window_beyond_2_to_the_31_tokens_is_found(tmp_path: Path) -> None:
    length = 1 << 20
    pack = write_fake_pack(tmp_path / "pack", [length] * 2049, sequence_tokens=length)
    rows = np.lib.format.open_memmap(pack / "tokens.npy", mode="w+", dtype="<u2", shape=(2049, length))  # a sparse file
    rows[2048, :3] = 1, 2, 3
    del rows
    store = SimpleNamespace(tokens_total=2049 * length, dtype=np.dtype("<u2"))
    source = SourceTokens(Pack(pack), store)  # type: ignore[arg-type]
    assert Window(source, 2048).tokens_T[:4].tolist() == [1, 2, 3, 0]
    reader = StretchReader([source], length)
    found = reader.find(np.array([0, 0]), np.array([2048, 0]))
    assert reader.read(found, 0, 2)[:, :4].tolist() == [[1, 2, 3, 0], [0, 0, 0, 0]]

"""What training reads is what was written: tokens, segment borders and response masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixlab.config.mixtures import MixtureSettings
from mixlab.config.problems import DataError
from mixlab.config.tokenizers import PackSettings
from mixlab.data.mixing import build_mixture
from mixlab.data.packing import write_pack
from mixlab.data.windows import MixtureWindows


def _store(folder: Path, documents: list[int], spans: list[tuple[int, int]], vocab_size: int = 300) -> Path:
    folder.mkdir()
    dtype = np.dtype("<u2" if vocab_size <= 65536 else "<u4")
    np.arange(sum(documents), dtype=dtype).tofile(folder / "tokens.bin")
    np.save(folder / "document_offsets.npy", np.cumsum([0, *documents]).astype("<i8"))
    np.save(folder / "response_spans.npy", np.array(spans, dtype="<i8").reshape(-1, 2))
    (folder / "index.json").write_text(json.dumps({"dtype": dtype.name, "vocab_size": vocab_size}))
    return folder


def _mixture(tmp_path: Path, packs: list[Path]) -> Path:
    raw = {"kind": "raw", "language": "en"}
    dialogues = {"kind": "instruction", "language": "en", "category": "math"}
    settings: dict[str, Any] = {"sources": [raw, dialogues], "budget": {"epochs": 1}}
    (tmp_path / "mixture").mkdir()
    build_mixture(MixtureSettings.model_validate(settings), packs, tmp_path / "mixture")
    return tmp_path / "mixture"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, list[Path], list[Path]]:
    stores = [
        _store(tmp_path / "raw", [5, 20, 3], []),
        _store(tmp_path / "dialogues", [6, 4, 9], [(2, 4), (5, 6), (8, 10), (15, 19)]),
    ]
    packs = []
    for kind, store in zip(("raw", "instruction"), stores, strict=True):
        packs.append(tmp_path / f"pack_{kind}")
        packs[-1].mkdir()
        write_pack(PackSettings(sequence_tokens=8), store, kind, packs[-1])
    return _mixture(tmp_path, packs), packs, stores


def test_the_windows_of_a_mixture_hold_every_token_and_mark_exactly_the_responses(
    folders: tuple[Path, list[Path], list[Path]],
) -> None:
    mixture, packs, stores = folders
    windows = MixtureWindows(mixture, packs, stores)
    order = np.load(mixture / "windows.npy")
    assert windows.sequence_tokens == 8
    assert len(windows) == len(order)
    seen: dict[int, list[int]] = {0: [], 1: []}
    responses: list[int] = []
    for number in range(len(windows)):
        window = windows.window(number)
        source = int(order[number, 0])
        assert sum(window.segment_lengths) == len(window.tokens_T) == len(window.response_mask_T) <= 8
        seen[source] += window.tokens_T.tolist()
        assert source == 1 or not window.response_mask_T.any()
        responses += window.tokens_T[window.response_mask_T].tolist()
    assert sorted(seen[0]) == list(range(28))
    assert sorted(seen[1]) == list(range(18))  # the last token of the truncated dialogue is gone
    assert sorted(responses) == [2, 3, 5, 8, 9, 15, 16, 17]


def test_no_segment_crosses_a_document(folders: tuple[Path, list[Path], list[Path]]) -> None:
    mixture, packs, stores = folders
    windows = MixtureWindows(mixture, packs, stores)
    order = np.load(mixture / "windows.npy")
    for number, (source, _) in enumerate(order.tolist()):
        window = windows.window(number)
        ends = np.load(stores[source] / "document_offsets.npy")
        at = 0
        for length in window.segment_lengths:
            segment = window.tokens_T[at : at + length]
            at += length
            assert (np.diff(segment) == 1).all()
            assert np.searchsorted(ends, segment[0], "right") == np.searchsorted(ends, segment[-1], "right")


def test_a_large_vocabulary_reads_as_four_bytes(tmp_path: Path) -> None:
    store = _store(tmp_path / "big", [4, 4], [(1, 3), (5, 8)], vocab_size=70_000)
    pack = tmp_path / "pack"
    pack.mkdir()
    write_pack(PackSettings(sequence_tokens=8, layout="one_per_window"), store, "instruction", pack)
    (tmp_path / "mixture").mkdir()
    np.save(tmp_path / "mixture" / "windows.npy", np.array([[0, 1]], dtype="<i8"))
    windows = MixtureWindows(tmp_path / "mixture", [pack], [store])
    assert windows.window(0).tokens_T.tolist() == [4, 5, 6, 7]
    assert windows.vocab_size == 70_000


def test_a_pack_beside_another_token_store_is_refused(
    tmp_path: Path, folders: tuple[Path, list[Path], list[Path]]
) -> None:
    mixture, packs, stores = folders
    with pytest.raises(DataError, match="was not packed from the token store"):
        MixtureWindows(mixture, packs, stores[::-1])
    other = _store(tmp_path / "other", [5, 20, 3], [], vocab_size=400)
    with pytest.raises(DataError, match=r"different vocabularies: \[300, 400\]"):
        MixtureWindows(mixture, packs, [other, stores[1]])

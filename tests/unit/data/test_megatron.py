"""Megatron-LM's indexed dataset: what is written reads back, and what is wrong with a file is said."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlab.config.problems import DataError
from mixlab.data.exports.megatron import bin_path, idx_path, narrow_dtype, write_megatron
from mixlab.data.exports.megatron_files import MegatronFiles

DOCUMENTS = ([5, 6, 7], [65535], [1, 2], [0])


def write(prefix: Path, documents: Sequence[Sequence[int]], dtype: str = "<u2", each: int = 3) -> Path:
    blocks = []
    for first in range(0, len(documents), each):
        some = documents[first : first + each]
        blocks.append((np.array([len(one) for one in some]), np.array([x for one in some for x in one], dtype)))
    write_megatron(prefix, np.dtype(dtype), len(documents), blocks)
    return prefix


def read(prefix: Path) -> list[list[int]]:
    files = MegatronFiles(prefix)
    return [files.document(number).tolist() for number in range(files.documents)]


def edit(prefix: Path, place: int, data: bytes) -> None:
    content = bytearray(idx_path(prefix).read_bytes())
    content[place : place + len(data)] = data
    idx_path(prefix).write_bytes(content)


def test_the_files_are_laid_out_as_megatron_lays_them_out(tmp_path: Path) -> None:
    write(tmp_path / "a.b", DOCUMENTS)
    assert (tmp_path / "a.b.bin").read_bytes() == np.array([5, 6, 7, 65535, 1, 2, 0], "<u2").tobytes()
    head = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 4, 5)
    arrays = struct.pack("<4i4q5q", 3, 1, 2, 1, 0, 6, 8, 12, 0, 1, 2, 3, 4)
    assert (tmp_path / "a.b.idx").read_bytes() == head + arrays
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.bin", "a.b.idx"]


@given(st.lists(st.lists(st.integers(0, 65535), max_size=9), min_size=1, max_size=30), st.integers(1, 9))
def test_documents_read_back_one_by_one_and_in_blocks(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]], each: int
) -> None:
    prefix = write(tmp_path_factory.mktemp("megatron") / "数", documents, "<i4", each)
    assert read(prefix) == documents
    blocks = list(MegatronFiles(prefix).blocks())
    assert [x for _, tokens in blocks for x in tokens.tolist()] == [x for one in documents for x in one]
    assert [x for lengths, _ in blocks for x in lengths.tolist()] == [len(one) for one in documents]


def test_blocks_stay_small_whatever_the_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixlab.data.exports.megatron_files._BLOCK", 4)
    prefix = write(tmp_path / "a", [[1, 2, 3], [4], [5], [], [6] * 9, [7], [8, 8], [9]])
    blocks = list(MegatronFiles(prefix).blocks())
    assert [lengths.tolist() for lengths, _ in blocks] == [[3, 1], [1, 0], [9], [1, 2, 1]]
    assert [tokens.tolist() for _, tokens in blocks] == [[1, 2, 3, 4], [5], [6] * 9, [7, 8, 8, 9]]


def test_documents_of_several_sequences_anywhere_in_the_file_are_joined(tmp_path: Path) -> None:
    """As the format allows: three sequences in two documents, their pointers out of order."""
    prefix = write(tmp_path / "a", [[1, 2], [3], [4, 5, 6]])
    head = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 3, 3)
    idx_path(prefix).write_bytes(head + struct.pack("<3i3q3q", 3, 1, 2, 6, 4, 0, 0, 2, 3))
    assert read(prefix) == [[4, 5, 6, 3], [1, 2]]
    (block,) = MegatronFiles(prefix).blocks()
    assert (block[0].tolist(), block[1].tolist()) == ([4, 2], [4, 5, 6, 3, 1, 2])


def test_modes_of_a_multimodal_index_are_passed_over(tmp_path: Path) -> None:
    prefix = write(tmp_path / "a", DOCUMENTS)
    idx_path(prefix).write_bytes(idx_path(prefix).read_bytes() + bytes(4))
    assert read(prefix) == [list(one) for one in DOCUMENTS]


def test_a_prefix_may_be_either_of_its_files(tmp_path: Path) -> None:
    prefix = write(tmp_path / "a.1", DOCUMENTS)
    for path in (bin_path(prefix), idx_path(prefix)):
        assert MegatronFiles(path).documents == 4


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65536, "uint16"), (65537, "int32"), (2**31, "int32")])
def test_ids_take_the_narrowest_type(vocab_size: int, dtype: str) -> None:
    assert narrow_dtype(vocab_size).name == dtype


def test_a_vocabulary_beyond_int32_is_refused() -> None:
    with pytest.raises(DataError, match="a vocabulary of 2147483649 entries: Megatron's widest ids are int32"):
        narrow_dtype(2**31 + 1)


WRONG = {
    "no index": (0, b"{", "begins with b'{MIDIDX"),
    "the older format": (0, b"TNTIDX\x00\x00", "older format"),
    "another version": (9, b"\x02", "version 2; only version 1 is known"),
    "floating point": (17, b"\x06", "type code 6: tokens are one of 1"),
    "an unknown type": (17, b"\xff", "type code 255"),
    "wider tokens than there are": (17, b"\x04", "one of the two is cut short"),
    "more sequences than there are": (18, b"\x05", "cut short: 122 bytes, its head asks for 134"),
    "a gigantic number of sequences": (25, b"\x7f", "cut short: 122 bytes"),
    "fewer sequences than there are": (18, b"\x03", "not whole: 122 bytes"),
    "a negative length": (34, b"\xff\xff\xff\xff", "sequence 0 has -1 tokens of uint16 from byte 0"),
    "a length beyond the file": (46, b"\x02", "sequence 3 has 2 tokens of uint16 from byte 12, but a.bin has 14"),
    "a negative pointer": (65, b"\x80", "sequence 1 has 1 tokens"),
    "a pointer between two tokens": (58, b"\x05", "sequence 1 has 1 tokens of uint16 from byte 5"),
    "documents that begin late": (82, b"\x01", "do not rise from 0"),
    "documents that go back": (98, b"\x00", "do not rise from 0"),
    "documents that end early": (114, b"\x03", "its documents end at sequence 3 of 4"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_damaged_index_is_refused_with_what_is_wrong(tmp_path: Path, name: str) -> None:
    place, data, message = WRONG[name]
    prefix = write(tmp_path / "a", DOCUMENTS)
    edit(prefix, place, data)
    with pytest.raises(DataError) as caught:
        MegatronFiles(prefix)
    assert message in str(caught.value)
    assert str(idx_path(prefix)) in str(caught.value)


@pytest.mark.parametrize("size", [0, 5, 20, 33, 60, 121])
def test_an_index_cut_anywhere_is_refused(tmp_path: Path, size: int) -> None:
    prefix = write(tmp_path / "a", DOCUMENTS)
    idx_path(prefix).write_bytes(idx_path(prefix).read_bytes()[:size])
    with pytest.raises(DataError, match=r"cut short|begins with"):
        MegatronFiles(prefix)


def test_cut_tokens_and_missing_files_are_refused(tmp_path: Path) -> None:
    prefix = write(tmp_path / "a", DOCUMENTS)
    bin_path(prefix).write_bytes(bin_path(prefix).read_bytes()[:-1])
    with pytest.raises(DataError, match=r"sequence 3 has 1 tokens of uint16 from byte 12, but a\.bin has 13"):
        MegatronFiles(prefix)
    bin_path(prefix).unlink()
    with pytest.raises(DataError, match=r"a\.bin: not there; a prefix stands for"):
        MegatronFiles(prefix)


def test_another_number_of_documents_than_announced_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 documents came, 2 were announced"):
        write_megatron(tmp_path / "a", np.dtype("<u2"), 2, [(np.array([1]), np.array([7]))])
    assert not list(tmp_path.glob("a.*"))


def test_a_document_longer_than_an_int32_counts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a document of 2147483648 tokens"):
        write_megatron(tmp_path / "a", np.dtype("<u2"), 1, [(np.array([2**31]), np.zeros(0))])


@pytest.mark.parametrize("prefix", [".", "/"])
def test_a_prefix_without_a_name_is_told(prefix: str) -> None:
    with pytest.raises(DataError, match=f"'{prefix}' names no file; a prefix stands for PREFIX.bin and PREFIX.idx"):
        MegatronFiles(Path(prefix))

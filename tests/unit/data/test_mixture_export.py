"""A mixture exported: every source or every window, the arguments, and a page that says what is what."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from mixlab.config.problems import DataError
from mixlab.config.tokenizers import SPECIAL_TOKENS
from mixlab.data.exports.export import Exported, Part, export_blend, export_windows
from mixlab.data.exports.megatron import bin_path
from mixlab.data.exports.megatron_files import MegatronFiles

DOCUMENTS = {"raw": [[5, 6, 1], [7, 1]], "dialogues": [[8, 9, 1], [3, 1]], "unused": [[4, 1]]}
TOKENS = {"raw": 10, "dialogues": 5, "unused": 0}


def write_store(folder: Path, name: str) -> Path:
    documents = DOCUMENTS[name]
    folder.mkdir(parents=True)
    offsets = np.cumsum([0, *map(len, documents)])
    spans = np.array([[offsets[1] - 2, offsets[1]]] if name == "dialogues" else [], "<i8").reshape(-1, 2)
    np.array([x for one in documents for x in one], "<u2").tofile(folder / "tokens.bin")
    np.save(folder / "document_offsets.npy", offsets.astype("<i8"))
    np.save(folder / "response_spans.npy", spans)
    index = {"documents": len(documents), "tokens": int(offsets[-1]), "dtype": "uint16", "vocab_size": 300}
    index |= {"response_tokens": 2 * len(spans), "excluded": 0}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def parts(tmp_path: Path) -> list[Part]:
    return [Part(name, write_store(tmp_path / "stores" / name, name), TOKENS[name]) for name in DOCUMENTS]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    made = Tokenizer(models.BPE({token: at for at, token in enumerate(SPECIAL_TOKENS)}, []))
    made.add_special_tokens(list(SPECIAL_TOKENS))
    (tmp_path / "tokenizer").mkdir()
    made.save(str(tmp_path / "tokenizer/tokenizer.json"))
    return tmp_path / "tokenizer"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def read(prefix: Path) -> list[list[int]]:
    files = MegatronFiles(prefix)
    return [files.document(number).tolist() for number in range(files.documents)]


def list_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_blend_holds_every_source_with_a_share_and_its_weight_in_tokens(
    parts: list[Part], tokenizer: Path, out: Path
) -> None:
    arguments = export_blend(Exported("a/mixture 混合", "ab12", "place/even"), parts, tokenizer, 4, out)
    assert {name: read(out / name) for name in ("raw", "dialogues")} == {
        name: DOCUMENTS[name] for name in ("raw", "dialogues")
    }
    assert list_files(out) == [
        "README.md",
        *(f"{name}.{end}" for name in ("data_path", "dialogues", "megatron_arguments") for end in ENDS[name]),
        "raw.bin",
        "raw.idx",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
    ]
    assert (out / "data_path.txt").read_text() == "10 place/even/raw\n5 place/even/dialogues\n"
    assert (out / "megatron_arguments.txt").read_text() == "".join(f"{one}\n" for one in arguments)
    assert arguments[:4] == [
        "--data-args-path place/even/data_path.txt",
        "--split 100,0,0",
        "--seq-length 4",
        "--train-samples 4",
    ]
    page = (out / "README.md").read_text(encoding="utf-8")
    assert "| raw | 10 | 0.666667 | 5 | 2.00 |\n| dialogues | 5 | 0.333333 | 5 | 1.00 |" in page
    assert ("# a/mixture 混合" in page, "`ab12`" in page, "responses/" in page, "{" in page) == (
        True,
        True,
        False,
        False,
    )


ENDS = {"data_path": ["txt"], "dialogues": ["bin", "idx"], "megatron_arguments": ["txt"]}


def test_a_blend_whose_ratios_change_has_weights_for_each_phase_as_well(
    parts: list[Part], tokenizer: Path, out: Path
) -> None:
    phased = [replace(part, phases=(part.tokens - 4, 4) if part.tokens else (0, 0)) for part in parts]
    phased[1] = replace(parts[1], phases=(5, 0))
    export_blend(Exported("a", "b", "at"), phased, tokenizer, 4, out)
    assert (out / "data_path.txt").read_text() == "10 at/raw\n5 at/dialogues\n"
    assert (out / "data_path_phase_1.txt").read_text() == "6 at/raw\n5 at/dialogues\n"
    assert (out / "data_path_phase_2.txt").read_text() == "4 at/raw\n"
    assert "2 phases in all" in (out / "README.md").read_text(encoding="utf-8")


def test_responses_stand_beside_the_sources_that_have_some(parts: list[Part], tokenizer: Path, out: Path) -> None:
    export_blend(Exported("a", "b", "c", responses=True), parts, tokenizer, 4, out)
    assert read(out / "responses/dialogues") == [[0, 1, 1], [0, 0]]
    assert [name for name in list_files(out) if name.startswith("responses/raw")] == []
    assert "`responses/NAME.bin`" in (out / "README.md").read_text(encoding="utf-8")


def test_a_linked_blend_shares_the_bytes_of_the_stores(parts: list[Part], tokenizer: Path, out: Path) -> None:
    export_blend(Exported("a", "b", "c", link=True), parts, tokenizer, 4, out)
    assert bin_path(out / "raw").samefile(parts[0].store / "tokens.bin")


def test_a_place_that_megatron_would_split_is_refused(parts: list[Part], tokenizer: Path, out: Path) -> None:
    with pytest.raises(DataError, match="'my exports': Megatron reads its data paths between white space"):
        export_blend(Exported("a", "b", "my exports"), parts, tokenizer, 4, out)


def test_a_disk_too_small_is_told_before_anything_is_written(
    parts: list[Part], tokenizer: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=50))
    with pytest.raises(DataError, match=r"0\.0 GiB are needed, 0\.0 GiB are free"):
        export_blend(Exported("a", "b", "c"), parts, tokenizer, 4, out)
    assert list_files(out) == []


class FakeWindows:
    """Windows of one to three documents of two tokens."""

    vocab_size, sequence_tokens = 300, 6

    def __len__(self) -> int:
        return 7

    def window(self, place: int) -> SimpleNamespace:
        lengths = [2] * (1 + place % 3)
        tokens = np.arange(sum(lengths)) + 10 * place
        return SimpleNamespace(tokens_T=tokens, segment_lengths=lengths, response_mask_T=tokens % 2 == 1)


@pytest.mark.parametrize("responses", [False, True])
def test_windows_are_documents_in_the_order_of_training(
    tokenizer: Path, out: Path, responses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixlab.data.exports.export._BLOCK_TOKENS", 12)
    windows = FakeWindows()
    written = export_windows(Exported("a", "b", "c", responses=responses), windows, tokenizer, out)  # type: ignore[arg-type]
    read_windows = [windows.window(place) for place in range(7)]
    assert written == sum(len(one.tokens_T) for one in read_windows)
    assert read(out / "windows") == [one.tokens_T.tolist() for one in read_windows]
    assert read(out / "documents") == [one.segment_lengths for one in read_windows]
    assert (out / "responses.bin").exists() is responses
    if responses:
        assert read(out / "responses") == [one.response_mask_T.astype(int).tolist() for one in read_windows]
    page = (out / "README.md").read_text(encoding="utf-8")
    assert ("`responses.bin`" in page) is responses
    assert f"7 windows, {written} tokens, at most 6 in one" in page


def test_a_failure_half_way_leaves_no_file_that_looks_whole(tokenizer: Path, out: Path) -> None:
    class Failing(FakeWindows):
        def window(self, place: int) -> SimpleNamespace:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        export_windows(Exported("a", "b", "c"), Failing(), tokenizer, out)  # type: ignore[arg-type]
    assert list_files(out) == []


def test_the_tokenizer_opens_with_transformers(parts: list[Part], tokenizer: Path, out: Path) -> None:
    from transformers import AutoTokenizer

    export_blend(Exported("a", "b", "c"), parts, tokenizer, 4, out)
    opened = AutoTokenizer.from_pretrained(out / "tokenizer")
    assert (opened.eos_token, opened.eos_token_id, opened.pad_token_id) == ("<|end|>", 1, 0)

"""Token stores: the same bytes by any number of processes and shards, and readers that see one store."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixlab.config.chat import ChatTemplate
from mixlab.config.problems import DataError
from mixlab.config.tokenizers import TokenizerSettings, TokenizeSettings
from mixlab.data.npy import BlockFile, RowsFile
from mixlab.data.tokens import encoding, pool, text_encoder, tokenize
from mixlab.data.tokens.chat import render
from mixlab.data.tokens.cutting import cut_text
from mixlab.data.tokens.encoding import Numbered, RecordEncoder
from mixlab.data.tokens.store import TokenStore
from mixlab.data.tokens.tokenize import join_token_stores, write_numbered_store, write_token_store
from mixlab.data.tokens.tokenizer import load_tokenizer, train_tokenizer

WORDS = "The harbor of Luna has 12 ships. 港には船が 12 隻ある。ルナは港に住んでいる。\n\ndef f(x):\n    return x + 1\n"
FILES = ("tokens.bin", "document_offsets.npy", "response_spans.npy", "exclusions.jsonl", "index.json")


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(TokenizerSettings(vocab_size=400), [[{"text": WORDS}] * 3], out)
    return out


def _dialogue(*turns: str, system: str | None = None) -> dict[str, Any]:
    messages = [{"role": ("user", "assistant")[at % 2], "content": turn} for at, turn in enumerate(turns)]
    return {"messages": [*([{"role": "system", "content": system}] if system else []), *messages]}


def _records(kind: str, number: int) -> list[dict[str, Any]]:
    texts = [f"{WORDS[at % 40 :]} {at}" for at in range(number)]
    if kind == "raw":
        return [{"text": text} for text in texts]
    made = [_dialogue(text, f"{text[:9]} ", *((text, "yes") if at % 3 else ())) for at, text in enumerate(texts)]
    return [_dialogue("a", "<|user|>") if at % 7 == 3 else one for at, one in enumerate(made)]


def _chat(kind: str) -> TokenizeSettings:
    return TokenizeSettings(chat=None if kind == "raw" else ChatTemplate())


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))}


def _write(kind: str, records: list[dict[str, Any]], tokenizer: Path, out: Path, **more: Any) -> TokenStore:
    out.mkdir(parents=True)
    write_token_store(_chat(kind), records, tokenizer, out, **more)
    return TokenStore(out)


def _join(kind: str, records: list[dict[str, Any]], tokenizer: Path, out: Path, borders: list[int]) -> TokenStore:
    shards = []
    for first, last in zip([0, *borders], [*borders, len(records)], strict=True):
        shards.append(out / f"part{len(shards)}")
        shards[-1].mkdir(parents=True)
        numbered = enumerate(records[first:last], first)
        write_numbered_store(_chat(kind), numbered, tokenizer, shards[-1], may_be_empty=True)
    (out / "joined").mkdir()
    join_token_stores(shards, out / "joined")
    return TokenStore(out / "joined")


@pytest.mark.parametrize("kind", ["raw", "instruction"])
def test_any_number_of_processes_gives_the_same_bytes(
    tmp_path: Path, tokenizer_folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = _records(kind, 90)
    _write(kind, records, tokenizer_folder, tmp_path / "1")
    monkeypatch.setattr(tokenize, "_BLOCK_CHARACTERS", 700)
    for workers in (1, 2, 3):
        _write(kind, records, tokenizer_folder, tmp_path / f"small{workers}", workers=workers)
        assert _bytes(tmp_path / f"small{workers}") == _bytes(tmp_path / "1")


@given(st.sampled_from(["raw", "instruction"]), st.lists(st.integers(0, 30), max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shards_cut_anywhere_join_into_the_bytes_made_at_one_go(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path, kind: str, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    records = _records(kind, 30)
    _write(kind, records, tokenizer_folder, folder / "whole")
    _join(kind, records, tokenizer_folder, folder, sorted(cuts))
    assert _bytes(folder / "joined") == _bytes(folder / "whole")


def test_a_part_of_a_store_is_that_part_of_the_whole(tmp_path: Path, tokenizer_folder: Path) -> None:
    store = _write("instruction", _records("instruction", 30), tokenizer_folder, tmp_path / "store")
    ids, borders, spans = store.read(0, store.tokens_total), store.offsets(), store.response_spans()
    assert len(ids) == borders[-1] == store.tokens_total
    is_response = np.zeros(len(ids), bool)
    for begin, end in spans:
        is_response[begin:end] = True
    for start, end in ((0, 0), (3, 40), (17, len(ids)), (len(ids), len(ids))):
        assert store.read(start, end - start).tolist() == ids[start:end].tolist()
        found = np.zeros(len(ids), bool)
        for begin, stop in store.response_spans(start, end):
            assert start <= begin < stop <= end
            found[begin:stop] = True
        assert found[start:end].tolist() == is_response[start:end].tolist()
    blocks = list(store.blocks(7))
    assert [first for first, _ in blocks] == list(range(0, store.documents, 7))
    assert [border for _, part in blocks for border in part[1:]] == borders[1:].tolist()
    assert store.offsets(2, 5).tolist() == borders[2:6].tolist()
    assert store.end_token == ids[-1]


def test_shards_without_any_document_and_of_two_tokenizers_cannot_be_joined(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    with pytest.raises(DataError, match="no document to tokenize"):
        _join("raw", [], tokenizer_folder, tmp_path / "empty", [0])
    (tmp_path / "other").mkdir()
    train_tokenizer(TokenizerSettings(vocab_size=300), [[{"text": WORDS}]], tmp_path / "other")
    for name, tokenizer in (("a", tokenizer_folder), ("b", tmp_path / "other")):
        _write("raw", _records("raw", 2), tokenizer, tmp_path / name)
    (tmp_path / "joined").mkdir()
    with pytest.raises(DataError, match="different vocabularies"):
        join_token_stores([tmp_path / "a", tmp_path / "b"], tmp_path / "joined")


def test_a_store_outside_of_its_borders_is_not_read(tmp_path: Path, tokenizer_folder: Path) -> None:
    store = _write("raw", _records("raw", 3), tokenizer_folder, tmp_path / "store")
    with pytest.raises(IndexError):
        store.read(store.tokens_total, 1)
    with pytest.raises(IndexError):
        store.offsets(2, 4)
    (tmp_path / "store/tokens.bin").write_bytes(b"12")
    with pytest.raises(DataError, match=r"tokens\.bin: 2 bytes, but"):
        TokenStore(tmp_path / "store").read(0, 1)


turns = st.lists(
    st.text(st.sampled_from("ab 1\n港はカ.<|'é😀\t"), min_size=1, max_size=12).filter(str.strip), min_size=2, max_size=6
)


@given(st.lists(turns, min_size=1, max_size=5), st.sampled_from(["", "<|end|>", "<|end|><|pad|>", "<|pad|>"]))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_dialogues_encoded_at_one_go_are_those_encoded_piece_by_piece(
    tokenizer_folder: Path, dialogues: list[list[str]], suffix: str
) -> None:
    chat = ChatTemplate(assistant_suffix=suffix or "\n", user_suffix="\n", system_suffix="<|pad|>")
    records = [_dialogue(*made[: len(made) // 2 * 2], system="be" if len(made) > 4 else None) for made in dialogues]
    encoder = RecordEncoder(chat, tokenizer_folder)
    quick = encoder.encode(Numbered(list(range(len(records))), records))
    assert (encoder._turns is None) == (not suffix)
    encoder._turns = None
    slow = encoder.encode(Numbered(list(range(len(records))), records))
    assert (quick.ids, quick.ends.tolist(), quick.spans.tolist()) == (slow.ids, slow.ends.tolist(), slow.spans.tolist())
    tokenizer, ids = load_tokenizer(tokenizer_folder), np.frombuffer(quick.ids, "<u2")
    responses = [piece.text for one in records for piece in render(one["messages"], chat) if piece.is_response]
    spoken = [tokenizer.decode(ids[start:end].tolist(), skip_special_tokens=False) for start, end in quick.spans]
    assert spoken == responses


lines = st.lists(st.text(st.sampled_from("ab 1.。\n\n  港はカ'é\t"), max_size=30), max_size=30).map("\n".join)


@given(lines, st.integers(5, 60))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_text_cut_into_pieces_has_the_ids_of_the_whole(tokenizer_folder: Path, text: str, longest: int) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    pieces = cut_text(tokenizer, text, longest)
    assert "".join(pieces) == text
    assert [one for piece in pieces for one in tokenizer.encode(piece).ids] == tokenizer.encode(text).ids


def test_a_text_with_lines_is_cut_and_one_long_word_is_not(tokenizer_folder: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    assert max(map(len, cut_text(tokenizer, WORDS * 30, 200))) <= 200
    assert cut_text(tokenizer, "a" * 1000, 200) == ["a" * 1000]


def test_long_documents_and_dialogues_are_stored_as_if_never_cut(
    tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("raw", "instruction"):
        records = _records(kind, 20)
        _write(kind, records, tokenizer_folder, tmp_path / kind)
        for module in (encoding, text_encoder):
            monkeypatch.setattr(module, "LONGEST_CHARACTERS", 40)
        monkeypatch.setattr(text_encoder, "cut_text", lambda tokenizer, text: cut_text(tokenizer, text, 40))
        _write(kind, records, tokenizer_folder, tmp_path / f"{kind} cut")
        assert _bytes(tmp_path / kind) == _bytes(tmp_path / f"{kind} cut")
        monkeypatch.undo()


def test_training_reads_a_long_text_as_if_never_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mixlab.data.tokens import tokenizer as module

    for name, longest in (("whole", 1 << 20), ("cut", 50)):
        monkeypatch.setattr(
            module, "cut_text", lambda tokenizer, text, longest=longest: cut_text(tokenizer, text, longest)
        )
        (tmp_path / name).mkdir()
        train_tokenizer(TokenizerSettings(vocab_size=330), [[{"text": WORDS * 20}]], tmp_path / name)
    assert _bytes(tmp_path / "whole") == _bytes(tmp_path / "cut")


def test_half_of_a_surrogate_pair_is_excluded_and_listed(tmp_path: Path, tokenizer_folder: Path) -> None:
    records = [{"text": "a"}, {"text": json.loads('"\\ud83d"')}, {"text": "b"}]
    store = _write("raw", records, tokenizer_folder, tmp_path / "store")
    assert (store.documents, store.excluded) == (2, 1)
    listed = json.loads((tmp_path / "store/exclusions.jsonl").read_text())
    assert listed == {"record": 2, "reason": "holds U+D83D, half of a pair and no character"}


@pytest.mark.parametrize("name", FILES[:4])
def test_a_full_disk_is_told_with_path_and_bytes_and_leaves_nothing(
    tmp_path: Path, tokenizer_folder: Path, name: str
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / name).symlink_to("/dev/full")
    records = _records("instruction", 20)
    with pytest.raises(DataError, match=rf"{name}: the disk is full: after \d+ bytes the next \d+ do not fit, \d+ are"):
        write_token_store(_chat("instruction"), records, tokenizer_folder, tmp_path)
    assert not (tmp_path / name).is_symlink()


def test_an_array_written_in_blocks_has_the_bytes_of_one_saved_whole(tmp_path: Path) -> None:
    for columns, array in ((None, np.arange(1000)), (2, np.arange(20).reshape(-1, 2)), (2, np.empty((0, 2)))):
        with RowsFile(tmp_path / "blocks", columns) as file:
            for at in range(0, len(array), 7):
                file.append(array[at : at + 7])
        np.save(tmp_path / "whole.npy", array.astype("<i8"))
        assert (tmp_path / "blocks").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_a_block_that_the_system_takes_in_parts_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        def __init__(self) -> None:
            self.taken = b""

        def write(self, block: memoryview) -> int:
            self.taken += bytes(block[:3])
            return min(3, len(block))

    file = BlockFile(tmp_path / "file")
    slow = Slow()
    file.close()
    monkeypatch.setattr(file, "_file", slow)
    file.write(b"0123456789")
    assert slow.taken == b"0123456789"


def _endless(kind: str) -> Iterator[dict[str, Any]]:
    while True:
        yield from _records(kind, 50)


def test_a_killed_worker_is_told_as_such(
    tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[subprocess.Popen[bytes]] = []
    begin = subprocess.Popen

    def remember(*arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
        made.append(begin(*arguments, **more))
        return made[-1]

    def killing() -> Iterator[dict[str, Any]]:
        for number, record in enumerate(_endless("raw")):
            if number == 3000:
                made[1].send_signal(signal.SIGKILL)
            yield record

    monkeypatch.setattr(pool.subprocess, "Popen", remember)
    with pytest.raises(DataError, match=r"a tokenizing process was killed \(SIGKILL\)"):
        write_token_store(_chat("raw"), killing(), tokenizer_folder, tmp_path, workers=2)
    assert all(process.poll() is not None for process in made)


def test_a_record_of_the_wrong_form_is_told_by_a_worker_as_without_one(tmp_path: Path, tokenizer_folder: Path) -> None:
    records = [*_records("raw", 5), {"text": None}, {"text": 1}]
    for workers in (1, 2):
        with pytest.raises(DataError, match="record 106: `text` is None"):
            write_token_store(_chat("raw"), records, tokenizer_folder, tmp_path, workers=workers, first_record=100)


def test_a_fault_in_the_source_ends_the_workers(tmp_path: Path, tokenizer_folder: Path) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from _records("raw", 5)
        raise DataError("file 3 is not the declared one")

    with pytest.raises(DataError, match="file 3"):
        write_token_store(_chat("raw"), broken(), tokenizer_folder, tmp_path, workers=2)


def test_an_interrupt_ends_the_workers_and_says_nothing_more(tmp_path: Path, tokenizer_folder: Path) -> None:
    program = (
        "import signal, sys, itertools; from pathlib import Path;"
        # whoever started the tests in the background may have them ignore it
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from mixlab.config.tokenizers import TokenizeSettings;"
        "from mixlab.data.tokens.tokenize import write_token_store;"
        "texts = ({'text': f'a ship {n}' * 50} for n in itertools.count());"
        "print('ready', flush=True);"
        "write_token_store(TokenizeSettings(), texts, Path(sys.argv[1]), Path(sys.argv[2]), workers=2)"
    )
    command = [sys.executable, "-c", program, str(tokenizer_folder), str(tmp_path)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    while not (tmp_path / "tokens.bin").exists() or not (tmp_path / "tokens.bin").stat().st_size:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # it would write until the disk is full
        raise
    assert said.strip().endswith("KeyboardInterrupt")
    assert said.count("Traceback") == 1
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_tokenizer_counts_no_more_different_words_than_it_may(tmp_path: Path) -> None:
    read = []

    def records(name: str) -> Iterator[dict[str, str]]:
        for number in range(100):
            read.append(name)
            letters = "".join(chr(ord("a") + int(digit)) for digit in str(number))
            yield {"text": f"{name}{letters} {name}{letters}x {name}"}

    limited = TokenizerSettings(vocab_size=300, different_words=100)
    train_tokenizer(limited, [records("k"), [{"text": "k"}], records("m")], tmp_path)
    # a third of 100 for the first; what the second leaves is the third's
    assert (read.count("k"), read.count("m")) == (17, 33)

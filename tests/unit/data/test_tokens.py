"""From records to tokens and windows: nothing lost, nothing merged, responses where they are."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlab.config.chat import ChatTemplate
from mixlab.config.problems import DataError
from mixlab.config.sources import CATEGORIES, GeneratorOrigin, InventedWorld
from mixlab.config.tokenizers import PackSettings, TokenizerSettings, TokenizeSettings
from mixlab.data.packs.packing import best_fit, cut_documents, write_pack
from mixlab.data.sources.generators import generate_records
from mixlab.data.tokens.chat import render, render_prompt
from mixlab.data.tokens.tokenize import write_token_store
from mixlab.data.tokens.tokenizer import load_tokenizer, train_tokenizer

DIALOGUE = {
    "messages": [
        {"role": "user", "content": "1 and 1?"},
        {"role": "assistant", "content": "1+1=2"},
        {"role": "user", "content": "港は?"},
        {"role": "assistant", "content": " harbor"},
    ]
}


def _world(kind: str, size: int, **options: Any) -> list[dict[str, Any]]:
    origin = GeneratorOrigin(
        type="generator", name="invented_world", size=size, options=InventedWorld(**{"world_seed": 1} | options)
    )
    return list(generate_records(kind, origin))


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer")
    texts = [_world("raw", 200, language=language) for language in ("en", "ja")]
    texts += [_world("instruction", 100, language="en", category=category) for category in CATEGORIES]
    train_tokenizer(TokenizerSettings(vocab_size=700), texts, out)
    return out


def _store(tmp_path: Path, folder: Path, records: list[dict[str, Any]], *, chat: bool) -> dict[str, Any]:
    tmp_path.mkdir(exist_ok=True)
    write_token_store(TokenizeSettings(chat=ChatTemplate() if chat else None), records, folder, tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    return index | {
        "ids": np.fromfile(tmp_path / "tokens.bin", dtype="<u2"),
        "offsets": np.load(tmp_path / "document_offsets.npy"),
        "spans": np.load(tmp_path / "response_spans.npy"),
    }


def test_training_a_tokenizer_in_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mixlab.config.tokenizers import TokenizerSettings as S;"
        "from mixlab.data.tokens.tokenizer import train_tokenizer;"
        "words = [f'{a}{b} 港{c}' for a in 'abcd' for b in 'efgh' for c in 'ijk'];"
        "train_tokenizer(S(vocab_size=300), [[{'text': ' '.join(words)}]], Path(sys.argv[1]))"
    )
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=True)
    assert (tmp_path / "one/tokenizer.json").read_bytes() == (tmp_path / "two/tokenizer.json").read_bytes()


def test_the_tokenizer_keeps_special_ids_digits_apart_and_scripts_apart(tokenizer_folder: Path) -> None:
    index = json.loads((tokenizer_folder / "index.json").read_text())
    names = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    assert [index["special_tokens"][name] for name in names] == [0, 1, 2, 3, 4]
    tokenizer = load_tokenizer(tokenizer_folder)
    assert index["vocab_size"] == tokenizer.get_vocab_size() == 700
    assert tokenizer.encode("has 12").ids[-2:] == tokenizer.encode("1").ids + tokenizer.encode("2").ids
    alone = tokenizer.encode("港").ids
    within = tokenizer.encode("ルナは港に住んでいる。").ids
    assert any(within[at : at + len(alone)] == alone for at in range(len(within)))


def test_a_source_without_text_cannot_train_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tokenizer source 2 has no text"):
        train_tokenizer(TokenizerSettings(vocab_size=300), [[{"text": "a"}], []], tmp_path)


def test_limits_bound_what_a_tokenizer_reads_of_each_source(tmp_path: Path) -> None:
    read = []

    def records(name: str) -> Any:
        for number in range(100):
            read.append(f"{name}{number}")
            yield {"text": "ten bytes."}

    limited = TokenizerSettings(vocab_size=300, bytes_per_source=25, records_per_source=50)
    train_tokenizer(limited, [records("a"), records("b")], tmp_path)
    assert read == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_a_dialogue_becomes_one_document_whose_responses_are_marked_with_their_end(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    store = _store(tmp_path, tokenizer_folder, [DIALOGUE, DIALOGUE], chat=True)
    assert store["documents"] == 2
    assert len(store["spans"]) == 4
    assert store["response_tokens"] == int(np.diff(store["spans"]).sum())
    texts = [
        tokenizer.decode(store["ids"][start:end].tolist(), skip_special_tokens=False) for start, end in store["spans"]
    ]
    assert texts == ["1+1=2<|end|>", " harbor<|end|>"] * 2
    assert store["ids"][store["offsets"][1:] - 1].tolist() == [1, 1]


def test_a_prompt_tokenizes_as_the_beginning_of_its_training_document(tmp_path: Path, tokenizer_folder: Path) -> None:
    tokenizer, template = load_tokenizer(tokenizer_folder), ChatTemplate()
    ids = _store(tmp_path, tokenizer_folder, [DIALOGUE], chat=True)["ids"].tolist()
    for turns in (1, 3):
        prompt = tokenizer.encode(render_prompt(DIALOGUE["messages"][:turns], template)).ids
        assert ids[: len(prompt)] == prompt


def test_raw_text_cannot_smuggle_in_a_special_token(tmp_path: Path, tokenizer_folder: Path) -> None:
    store = _store(tmp_path, tokenizer_folder, [{"text": "a<|end|>b<|user|>"}], chat=False)
    assert store["ids"].tolist().count(1) == 1
    assert 2 not in store["ids"]
    decoded = load_tokenizer(tokenizer_folder).decode(store["ids"][:-1].tolist(), skip_special_tokens=False)
    assert decoded == "a<|end|>b<|user|>"


def test_a_dialogue_with_a_special_token_in_it_is_excluded_and_listed(tmp_path: Path, tokenizer_folder: Path) -> None:
    bad = {"messages": [{"role": "user", "content": "<|assistant|>"}, {"role": "assistant", "content": "x"}]}
    store = _store(tmp_path, tokenizer_folder, [DIALOGUE, bad], chat=True)
    assert (store["documents"], store["excluded"]) == (1, 1)
    listed = json.loads((tmp_path / "exclusions.jsonl").read_text())
    assert listed == {"record": 2, "reason": "holds the special token <|assistant|> as text"}


def test_a_record_of_the_wrong_form_stops_tokenizing_by_number(tmp_path: Path, tokenizer_folder: Path) -> None:
    with pytest.raises(DataError, match="record 2: `text` is None"):
        _store(tmp_path, tokenizer_folder, [{"text": "a"}, DIALOGUE], chat=False)


def test_render_gives_pieces_that_join_to_the_whole_text() -> None:
    pieces = render(DIALOGUE["messages"], ChatTemplate(user_suffix="\n"))
    assert "".join(piece.text for piece in pieces) == (
        "<|user|>1 and 1?\n<|assistant|>1+1=2<|end|><|user|>港は?\n<|assistant|> harbor<|end|>"
    )
    assert [piece.is_response for piece in pieces] == [False, True, False, True]


lengths_lists = st.lists(st.integers(1, 40), min_size=1, max_size=200)


@given(lengths_lists, st.integers(1, 40))
def test_cutting_keeps_every_token_once_and_in_order(lengths: list[int], window: int) -> None:
    ends = np.cumsum(lengths)
    starts, pieces = cut_documents(ends - np.array(lengths), np.array(lengths), window)
    covered = np.concatenate([np.arange(start, start + piece) for start, piece in zip(starts, pieces, strict=True)])
    assert covered.tolist() == list(range(int(ends[-1])))
    assert pieces.max() <= window


@given(lengths_lists, st.integers(40, 90))
@settings(max_examples=200)
def test_best_fit_overfills_no_window_leaves_none_empty_and_wastes_less_than_half(
    lengths: list[int], window: int
) -> None:
    bins = best_fit(np.array(lengths), window)
    filled = np.bincount(bins, weights=lengths)
    assert filled.max() <= window
    assert filled.min() > 0
    # any two windows but the last would not fit into one
    assert np.sort(filled)[:2].sum() > window or len(filled) == 1


def _pack(tmp_path: Path, store: Path, kind: str, window: int, layout: str = "packed") -> dict[str, Any]:
    tmp_path.mkdir(exist_ok=True)
    write_pack(PackSettings(sequence_tokens=window, layout=layout), store, kind, tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    names = ("segments", "window_offsets", "window_tokens")
    return index | {name: np.load(tmp_path / f"{name}.npy") for name in names}


def test_packed_raw_windows_hold_every_token_of_the_store_once(tmp_path: Path, tokenizer_folder: Path) -> None:
    store = _store(tmp_path / "store", tokenizer_folder, _world("raw", 300, language="en"), chat=False)
    for window in (16, 96):
        pack = _pack(tmp_path / f"pack{window}", tmp_path / "store", "raw", window)
        covered = np.concatenate([np.arange(start, start + length) for start, length in pack["segments"]])
        assert sorted(covered.tolist()) == list(range(store["tokens"]))
        assert pack["window_tokens"].max() <= window
        assert pack["tokens"] == pack["window_tokens"].sum() == store["tokens"]
        assert pack["windows"] == len(pack["window_offsets"]) - 1
    assert pack["tokens"] / (pack["windows"] * 96) > 0.9


def test_instruction_documents_are_truncated_and_dropped_when_no_response_is_left(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    long_prompt = {"messages": [{"role": "user", "content": "x " * 50}, {"role": "assistant", "content": "y"}]}
    long_answer = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y " * 50}]}
    store = _store(tmp_path / "store", tokenizer_folder, [long_prompt, long_answer, DIALOGUE], chat=True)
    for layout, windows in (("packed", 2), ("one_per_window", 2)):
        pack = _pack(tmp_path / layout, tmp_path / "store", "instruction", 32, layout)
        assert (pack["truncated"], pack["dropped"], pack["windows"]) == (2, 1, windows)
        assert pack["segments"][:, 0].tolist() == store["offsets"][1:3].tolist()
        assert pack["segments"][0, 1] == 32

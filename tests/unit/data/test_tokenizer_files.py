"""Tokenizers that come as a file: taken as they are, checked, and told apart from ours by what their tokens do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from mixlab.config.chat import ChatTemplate, default_chat
from mixlab.config.problems import DataError
from mixlab.config.tokenizers import TokenizerConfig, TokenizeSettings
from mixlab.data.tokens.store import TokenStore
from mixlab.data.tokens.tokenize import join_token_stores, write_numbered_store, write_token_store
from mixlab.data.tokens.tokenizer import import_tokenizer, load_tokenizer, read_vocabulary


def _dialogue(*turns: str) -> dict[str, Any]:
    return {"messages": [{"role": ("user", "assistant")[at % 2], "content": turn} for at, turn in enumerate(turns)]}


def _store(records: list[dict[str, Any]], tokenizer: Path, out: Path, chat: ChatTemplate | None = None) -> TokenStore:
    out.mkdir()
    write_token_store(TokenizeSettings(chat=chat), records, tokenizer, out)
    return TokenStore(out)


def _word_tokenizer(size: int, folder: Path, *special: str) -> Path:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: at for at, token in enumerate(alphabet)}, []))
    tokenizer.add_tokens([f"word{number}" for number in range(size - len(alphabet))])
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(pad_id=1, pad_token="!")
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _import(path: Path, out: Path, end_token: str = "</s>") -> None:
    out.mkdir()
    import_tokenizer(end_token, path, out)


def test_a_tokenizer_file_is_taken_unchanged_and_its_end_and_padding_are_noted(tmp_path: Path) -> None:
    path = _word_tokenizer(300, tmp_path / "given", "<s>", "</s>", "<pad>") / "tokenizer.json"
    _import(path, tmp_path / "out")
    assert (tmp_path / "out/tokenizer.json").read_bytes() == path.read_bytes()
    assert json.loads((tmp_path / "out/index.json").read_text()) == {
        "end_token": "</s>",
        "pad_token": "<pad>",
        "special_tokens": {"<s>": 300, "</s>": 301, "<pad>": 302},
        "vocab_size": 303,
    }
    vocabulary = read_vocabulary(tmp_path / "out")
    assert (vocabulary.end_id, vocabulary.pad_id, vocabulary.size) == (301, 302, 303)


def test_without_a_padding_token_the_end_token_fills_up(tmp_path: Path) -> None:
    _import(_word_tokenizer(300, tmp_path / "given", "</s>") / "tokenizer.json", tmp_path / "out")
    vocabulary = read_vocabulary(tmp_path / "out")
    assert (vocabulary.end_id, vocabulary.pad_id) == (300, 300)


def test_a_tokenizer_of_another_format_or_broken_is_told_with_its_path(tmp_path: Path) -> None:
    whole = (_word_tokenizer(300, tmp_path / "given", "</s>") / "tokenizer.json").read_bytes()
    card = json.loads(whole)
    card["model"]["vocab"]["a"] = "seven"
    broken = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "vocabulary.json": b'{"a": 0}',
        "encoded": "é".encode("latin-1") + whole,
        "mistyped": json.dumps(card).encode(),
        "list": b"[1]",
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}: no tokenizer") as told:
            _import(tmp_path / name, tmp_path / f"{name} out")
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("end_token", "said"),
    [
        ("</t>", "is no token of this tokenizer; did you mean '</s>'?; state one of its special tokens"),
        ("word1", "is an ordinary entry, not a special token, of this tokenizer"),
        ("<|end|>", "as `end_token`: <s>, </s>"),
    ],
)
def test_an_end_token_that_is_none_is_told_with_those_there_are(tmp_path: Path, end_token: str, said: str) -> None:
    path = _word_tokenizer(300, tmp_path / "given", "<s>", "</s>") / "tokenizer.json"
    with pytest.raises(DataError) as told:
        _import(path, tmp_path / "out", end_token)
    assert said in str(told.value)
    assert not list((tmp_path / "out").iterdir())


def test_a_tokenizer_without_special_tokens_has_no_end(tmp_path: Path) -> None:
    folder = _word_tokenizer(300, tmp_path / "given")
    with pytest.raises(DataError, match="as `end_token`: none at all"):
        _store([{"text": "a"}], folder, tmp_path / "store")


def test_truncation_and_padding_of_a_tokenizer_file_are_not_obeyed(tmp_path: Path) -> None:
    folder = _word_tokenizer(300, tmp_path / "tokenizer", "<|end|>")
    store = _store([{"text": "a"}, {"text": "longer than four"}], folder, tmp_path / "store")
    assert np.diff(store.offsets()).tolist() == [2, len("longer than four") + 1]


def test_a_tokenizer_is_trained_unless_it_is_said_to_be_a_file() -> None:
    read = TypeAdapter(TokenizerConfig).validate_python
    trained = read({"vocab_size": 300, "sources": ["a"]})
    external = read({"type": "file", "path": "llama/tokenizer.json", "end_token": "</s>"})
    assert (trained.source_names(), external.source_names()) == (("a",), ())
    assert trained.to_settings().vocab_size == 300
    assert external.to_settings("0" * 64).end_token == "</s>"
    with pytest.raises(ValueError, match="run `mixlab lock`"):
        external.to_settings()


def test_a_tokenizer_file_has_a_template_of_its_own_that_ends_answers() -> None:
    read = TypeAdapter(TokenizerConfig).validate_python
    of_study = ChatTemplate(user_suffix="\n")
    card = {"type": "file", "path": "tokenizer.json", "end_token": "</s>"}
    assert read({"vocab_size": 300, "sources": ["a"]}).chat_template(of_study) == of_study
    assert read(card).chat_template(of_study) == default_chat("</s>")
    own = {"assistant_prefix": "[A]", "assistant_suffix": "[/A]</s>"}
    assert read({**card, "chat": own}).chat_template(of_study).assistant_prefix == "[A]"
    with pytest.raises(ValidationError, match="models would not learn to stop"):
        read({**card, "chat": {"assistant_suffix": "[/A]"}})


def test_ids_beyond_two_bytes_are_stored_in_four(tmp_path: Path) -> None:
    folder = _word_tokenizer(65536, tmp_path / "tokenizer", "<|end|>")
    store = _store([{"text": "word60000 and more"}], folder, tmp_path / "store")
    assert (store.dtype, store.vocab_size, store.end_token) == (np.dtype("<u4"), 65537, 65536)
    ids = store.read(0, store.tokens_total).tolist()
    assert (ids[0], ids[-1], len(ids)) == (256 + 60000, 65536, 1 + len(" and more") + 1)


def test_a_template_of_plain_words_marks_the_responses_of_a_foreign_tokenizer(tmp_path: Path) -> None:
    folder = _word_tokenizer(300, tmp_path / "tokenizer", "</s>")
    (folder / "index.json").write_text(json.dumps({"end_token": "</s>", "pad_token": "</s>"}))
    records = [_dialogue("2 + 2?", "4", "sure?", "yes"), _dialogue("</s>", "no")]
    store = _store(records, folder, tmp_path / "store", default_chat("</s>"))
    assert (store.documents, store.excluded, store.end_token) == (1, 1, 300)
    tokenizer = load_tokenizer(folder)
    ids = store.read(0, store.tokens_total).tolist()
    assert [tokenizer.decode(ids[start:end], skip_special_tokens=False) for start, end in store.response_spans()] == [
        "4</s>",
        "yes</s>",
    ]
    assert tokenizer.decode(ids, skip_special_tokens=False) == (
        "### User:\n2 + 2?\n\n### Assistant:\n4</s>### User:\nsure?\n\n### Assistant:\nyes</s>"
    )


def _letters(folder: Path, unknown: str | None) -> Path:
    """A tokenizer of Latin letters, without bytes."""
    names = [*"abcdefghijklmnopqrstuvwxyz", *([unknown] if unknown else [])]
    tokenizer = Tokenizer(models.BPE({name: at for at, name in enumerate(names)}, [], unk_token=unknown))
    tokenizer.add_special_tokens([AddedToken("</s>", special=True)])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _import_letters(tmp_path: Path, unknown: str | None) -> Path:
    _import(_letters(tmp_path / "given", unknown) / "tokenizer.json", tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def test_a_text_of_which_a_tokenizer_knows_nothing_is_left_out(tmp_path: Path, caplog: Any) -> None:
    folder = _import_letters(tmp_path, None)
    assert "neither bytes nor a token for what it does not know" in caplog.text
    store = _store([{"text": "abc"}, {"text": "日本語"}, {"text": "de語"}], folder, tmp_path / "store")
    assert store.read(0, store.tokens_total).tolist() == [0, 1, 2, 26, 3, 4, 26]
    refused = [json.loads(line) for line in (tmp_path / "store/exclusions.jsonl").read_text().splitlines()]
    assert refused == [{"record": 2, "reason": "the tokenizer has no token for any of it"}]
    chat = default_chat("</s>")
    store = _store([_dialogue("日本", "語"), _dialogue("日本", "yes")], folder, tmp_path / "dialogues", chat)
    assert (store.documents, store.excluded) == (1, 1)
    assert "unknown_tokens" not in json.loads((tmp_path / "store/index.json").read_text())


def test_tokens_for_the_unknown_are_counted_where_there_is_such_a_token(tmp_path: Path, caplog: Any) -> None:
    folder = _import_letters(tmp_path, "<unk>")
    assert not caplog.text
    _store([{"text": "日本a"}, {"text": "b語"}], folder, tmp_path / "store")
    assert json.loads((tmp_path / "store/index.json").read_text())["unknown_tokens"] == 3
    (tmp_path / "empty").mkdir()
    shards = [tmp_path / "empty", tmp_path / "store"]
    write_numbered_store(TokenizeSettings(), [], folder, shards[0], may_be_empty=True)
    (tmp_path / "joined").mkdir()
    join_token_stores(shards, tmp_path / "joined")
    assert (tmp_path / "joined/index.json").read_bytes() == (tmp_path / "store/index.json").read_bytes()


def test_a_tokenizer_of_bytes_knows_every_text(tmp_path: Path, caplog: Any) -> None:
    _import(_word_tokenizer(300, tmp_path / "given", "</s>") / "tokenizer.json", tmp_path / "out")
    store = _store([{"text": "日本語"}], tmp_path / "out", tmp_path / "store")
    assert (store.documents, store.tokens_total, caplog.text) == (1, 10, "")
    assert "unknown_tokens" not in json.loads((tmp_path / "store/index.json").read_text())

"""Megatron-LM's files as texts: what can be said is written whole, all else is told, and nothing is half done."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from mixlab.config.problems import DataError
from mixlab.config.sources import SourceConfig
from mixlab.config.tokenizers import TokenizerSettings, TokenizeSettings
from mixlab.data.exports import megatron_files, megatron_texts
from mixlab.data.exports.megatron import bin_path, write_megatron
from mixlab.data.exports.megatron_store import export_store
from mixlab.data.exports.megatron_texts import Imported, import_texts
from mixlab.data.npy import BlockFile
from mixlab.data.sources.reading import read_records
from mixlab.data.tokens.tokenize import write_token_store
from mixlab.data.tokens.tokenizer import load_tokenizer, train_tokenizer

WORDS = "The harbor of Luna has 12 ships. 港には船が 12 隻ある。ルナは港に住んでいる。\n\ndef f(x):\n    return x + 1\n"
TEXTS = (
    WORDS,
    "  The harbor\r\n",
    "it ends by <|end|>, says <|user|>",
    "a \N{REPLACEMENT CHARACTER} that was written",
    "lines\N{LINE SEPARATOR}and\x01𠮷",
    "".join(f"The harbor of Luna has {number} ships. " for number in range(4000)),
)
END = 1


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(TokenizerSettings(vocab_size=400), [[{"text": WORDS}] * 3], out)
    return out / "tokenizer.json"


def write(prefix: Path, documents: Sequence[Sequence[int]], dtype: str = "<i4") -> Path:
    lengths, ids = np.array([len(one) for one in documents], "<i8"), np.array([x for one in documents for x in one])
    write_megatron(prefix, np.dtype(dtype), len(documents), [(lengths, ids)])
    return prefix


def encode(tokenizer: Path, text: str) -> list[int]:
    ids: list[int] = load_tokenizer(tokenizer.parent).encode(text).ids
    return [*ids, END]


def spell(tokenizer: Path, content: bytes) -> list[int]:
    """The ids of single bytes, without any merge."""
    letters = dict(zip((bytes([byte]) for byte in _byte_order()), list_letters(), strict=True))
    vocabulary = load_tokenizer(tokenizer.parent).get_vocab()
    return [*(vocabulary[letters[bytes([byte])]] for byte in content), END]


def _byte_order() -> list[int]:
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [*printable, *(byte for byte in range(256) if byte not in printable)]


def list_letters() -> list[str]:
    return [*map(chr, _byte_order()[:188]), *(chr(256 + at) for at in range(68))]


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def make_store(texts: Sequence[str], tokenizer: Path, out: Path) -> Path:
    out.mkdir()
    write_token_store(TokenizeSettings(), [{"text": text} for text in texts], tokenizer.parent, out)
    return out


def test_texts_that_were_tokenized_and_exported_come_back_as_they_were(tmp_path: Path, tokenizer: Path) -> None:
    store = make_store(TEXTS, tokenizer, tmp_path / "store")
    tokens = export_store(store, tmp_path / "a")
    out = tmp_path / "a.jsonl"
    assert import_texts(tmp_path / "a", tokenizer, "<|end|>", out) == Imported(documents=len(TEXTS), tokens=tokens)
    assert [row["text"] for row in read_rows(out)] == list(TEXTS)
    origin = {"type": "files", "paths": ["a.jsonl"], "format": "jsonl", "preset": "text"}
    declared = SourceConfig.model_validate({"kind": "raw", "language": "en", "licence": "none", "origin": origin})
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    settings = declared.to_settings([digest], [])
    records = list(read_records(settings, [(digest, out)], lambda exclusion: pytest.fail(str(exclusion))))
    again = make_store([record["text"] for record in records], tokenizer, tmp_path / "again")
    assert (again / "tokens.bin").read_bytes() == (store / "tokens.bin").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.idx", "a.jsonl", "again", "store"]


@pytest.mark.parametrize("dtype", ["<u2", "<i2", "<i4", "<i8"])
def test_sizes_of_blocks_and_types_of_ids_decide_no_byte(
    tmp_path: Path, tokenizer: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [[], *(encode(tokenizer, WORDS[at:]) for at in range(9)), [END], [], encode(tokenizer, "x")]
    write(tmp_path / "a", documents, dtype)
    whole = import_texts(tmp_path / "a", tokenizer, "<|end|>", tmp_path / "whole.jsonl")
    monkeypatch.setattr(megatron_files, "_BLOCK", 150)
    monkeypatch.setattr(megatron_texts, "_BATCH_TOKENS", 100)
    monkeypatch.setattr(megatron_texts, "_BATCH_DOCUMENTS", 2)
    assert import_texts(tmp_path / "a", tokenizer, "<|end|>", tmp_path / "parts.jsonl") == whole
    assert (whole.documents, whole.excluded) == (10, 3)
    for name in ("{}.jsonl", "{}.exclusions.jsonl"):
        wanted = (tmp_path / name.format("whole")).read_bytes()
        assert (tmp_path / name.format("parts")).read_bytes() == wanted
    assert [row["record"] for row in read_rows(tmp_path / "parts.exclusions.jsonl")] == [1, 11, 12]


def test_no_more_documents_are_decoded_together_than_a_batch_holds(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    decode = megatron_texts.TextDecoder.decode

    def watch(self: megatron_texts.TextDecoder, documents: Sequence[np.ndarray]) -> Any:
        seen.append([len(one) for one in documents])
        return decode(self, documents)

    monkeypatch.setattr(megatron_texts.TextDecoder, "decode", watch)
    monkeypatch.setattr(megatron_texts, "_BATCH_TOKENS", 8)
    lengths = [3, 3, 3, 20, 8, 2, 2]
    write(tmp_path / "a", [[*[70] * (length - 1), END] for length in lengths])
    import_texts(tmp_path / "a", tokenizer, "<|end|>", tmp_path / "a.jsonl")
    assert seen == [[3, 3], [3], [20], [8], [2, 2]]


def test_documents_that_no_text_can_say_are_told_and_left_out(tmp_path: Path, tokenizer: Path) -> None:
    ids = encode(tokenizer, "The harbor")
    special = "which in raw text would be plain text"
    cases = {
        "no token": [],
        "nothing but its end token": [END],
        f"holds the special token <|user|> (token 2), {special}": [ids[0], 2, 3, *ids[1:]],
        f"holds the special token <|end|> (token {len(ids)}), {special}": [*ids, *ids],
        "blank: its tokens are white space and invisible characters alone": encode(tokenizer, " \u200b\n"),
        "holds a NUL character, which no source takes": encode(tokenizer, "The\0harbor"),
        "bytes that are no UTF-8: its text would have U+FFFD instead": spell(tokenizer, "港".encode()[:2]),
    }
    write(tmp_path / "a", [ids, *cases.values(), ids])
    done = import_texts(tmp_path / "a", tokenizer, "<|end|>", tmp_path / "a.jsonl")
    assert (done.documents, done.tokens, done.excluded, done.other_ids) == (2, 2 * len(ids), len(cases), 0)
    told = [{"record": number, "reason": reason} for number, reason in enumerate(cases, 2)]
    assert read_rows(tmp_path / "a.exclusions.jsonl") == told
    assert [row["text"] for row in read_rows(tmp_path / "a.jsonl")] == ["The harbor"] * 2


def test_the_begin_token_is_left_out_where_a_document_begins_with_it(tmp_path: Path, tokenizer: Path) -> None:
    begin = load_tokenizer(tokenizer.parent).token_to_id("<|user|>")
    harbor, ships = encode(tokenizer, "The harbor"), encode(tokenizer, "ships")
    prefix = write(tmp_path / "a", [[begin, *harbor], ships, [begin, END], [*harbor[:-1], begin, *ships], [END]])
    out = tmp_path / "a.jsonl"
    done = import_texts(prefix, tokenizer, "<|end|>", out, begin_token="<|user|>")
    assert [row["text"] for row in read_rows(out)] == ["The harbor", "ships"]
    reasons = {row["record"]: row["reason"] for row in read_rows(tmp_path / "a.exclusions.jsonl")}
    assert reasons[3] == reasons[5] == "nothing but its end token"
    assert reasons[4].startswith("holds the special token <|user|>")
    assert (done.documents, done.excluded) == (2, 3)


def test_a_begin_token_that_is_the_end_token_too_takes_no_end(tmp_path: Path, tokenizer: Path) -> None:
    out = tmp_path / "a.jsonl"
    prefix = write(tmp_path / "a", [[END, *encode(tokenizer, "ships")], [END]])
    assert import_texts(prefix, tokenizer, "<|end|>", out, begin_token="<|end|>").documents == 1
    assert [row["text"] for row in read_rows(out)] == ["ships"]


def test_a_begin_token_that_the_tokenizer_has_not_is_told(tmp_path: Path, tokenizer: Path) -> None:
    prefix = write(tmp_path / "a", [encode(tokenizer, "ships")])
    with pytest.raises(DataError, match=r"the begin token '<s>' is no special token .* it has .*<\|end\|>"):
        import_texts(prefix, tokenizer, "<|end|>", tmp_path / "a.jsonl", begin_token="<s>")
    assert not (tmp_path / "a.jsonl").exists()


def test_a_whole_text_of_other_merges_is_kept_and_counted(tmp_path: Path, tokenizer: Path) -> None:
    text = "The harbor 港"
    assert spell(tokenizer, text.encode()) != encode(tokenizer, text)
    write(tmp_path / "a", [spell(tokenizer, text.encode()), encode(tokenizer, text)])
    done = import_texts(tmp_path / "a", tokenizer, "<|end|>", tmp_path / "a.jsonl")
    assert (done.documents, done.excluded, done.other_ids) == (2, 0, 1)
    assert [row["text"] for row in read_rows(tmp_path / "a.jsonl")] == [text] * 2


def test_a_text_that_its_tokenizer_does_not_keep_is_left_out(tmp_path: Path) -> None:
    words = {"[UNK]": 0, "small": 1, "Large": 2, "large": 3}
    lossy = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    lossy.normalizer, lossy.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    lossy.decoder = decoders.WordPiece()
    lossy.add_special_tokens([AddedToken("</s>", special=True)])
    lossy.save(str(tmp_path / "tokenizer.json"))
    write(tmp_path / "a", [[1, 3, 4], [1, 2, 4], [0, 1, 4]])
    done = import_texts(tmp_path / "a", tmp_path / "tokenizer.json", "</s>", tmp_path / "a.jsonl")
    assert (done.documents, done.excluded, done.other_ids) == (1, 2, 0)
    reasons = [row["reason"] for row in read_rows(tmp_path / "a.exclusions.jsonl")]
    assert reasons == [
        "loses text: what it decodes to is read otherwise when encoded and decoded again",
        "holds [UNK], which stands for text that the tokenizer did not know",
    ]


def refuse(prefix: Path, tokenizer: Path, end_token: str = "<|end|>", name: str = "out.jsonl", **more: Any) -> str:
    before = sorted(prefix.parent.rglob("*"))
    with pytest.raises(DataError) as caught:
        import_texts(prefix, tokenizer, end_token, prefix.parent / name, **more)
    assert sorted(prefix.parent.rglob("*")) == before
    return str(caught.value)


@pytest.mark.parametrize("strange", [-1, 400, 70_000])
def test_an_id_that_the_tokenizer_has_not_is_told_with_its_document(
    tmp_path: Path, tokenizer: Path, strange: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(megatron_files, "_BLOCK", 4)
    told = refuse(write(tmp_path / "a", [[70, 71, 72, END], [], [73, strange, END]]), tokenizer)
    size = load_tokenizer(tokenizer.parent).get_vocab_size()
    assert told.startswith(f"{tmp_path / 'a.bin'}: document 3 of 3 holds the id {strange}, which the tokenizer, of")
    assert f"of {size} entries, has not: give the tokenizer that made the file" in told


def test_an_id_in_a_gap_of_the_vocabulary_is_none_of_it(tmp_path: Path) -> None:
    gappy = Tokenizer(models.WordLevel({"a": 0, "b": 5}, unk_token="a"))
    gappy.decoder = decoders.Fuse()
    gappy.add_special_tokens([AddedToken("</s>", special=True)])
    gappy.save(str(tmp_path / "tokenizer.json"))
    end = gappy.token_to_id("</s>")
    told = refuse(write(tmp_path / "a", [[5, end], [4, end]]), tmp_path / "tokenizer.json", "</s>")
    assert "document 2 of 2 holds the id 4, which the tokenizer, of 6 entries, has not" in told


def test_a_document_that_does_not_end_is_told_with_its_last_id(tmp_path: Path, tokenizer: Path) -> None:
    told = refuse(write(tmp_path / "a", [[70, END], [], [71, 72]]), tokenizer)
    assert "a.bin: document 3 of 3 ends with the id 72, not with 1, the end token <|end|>: name the one it" in told


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([], "no document to import: empty"),
        ([[], [2, END]], "no document to import: all 2 excluded, the first since: no"),
    ],
)
def test_files_of_which_no_document_is_left_are_refused(
    tmp_path: Path, tokenizer: Path, documents: list[list[int]], said: str
) -> None:
    assert said in refuse(write(tmp_path / "a", documents), tokenizer)


def test_an_end_token_that_the_tokenizer_has_not_is_told_with_those_it_has(tmp_path: Path, tokenizer: Path) -> None:
    told = refuse(write(tmp_path / "a", [[70, END]]), tokenizer, end_token="</s>")
    assert told.startswith(f"{tokenizer}: the end token '</s>' is no token of this tokenizer")
    assert "<|end|>" in told


def test_a_tokenizer_that_does_not_say_how_tokens_make_a_text_is_refused(tmp_path: Path, tokenizer: Path) -> None:
    card = {**json.loads(tokenizer.read_text(encoding="utf-8")), "decoder": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(card), encoding="utf-8")
    prefix = write(tmp_path / "a", [encode(tokenizer, "The harbor")])
    assert "tokenizer.json: has no `decoder`" in refuse(prefix, tmp_path / "tokenizer.json")


def test_files_that_are_missing_or_cut_short_are_told(tmp_path: Path, tokenizer: Path) -> None:
    assert "b.idx: not there; a prefix stands for PREFIX.bin and PREFIX.idx" in refuse(tmp_path / "b", tokenizer)
    prefix = write(tmp_path / "a", [[70, END]] * 3)
    assert "none.json: the file is not there" in refuse(prefix, tmp_path / "none.json")
    bin_path(prefix).write_bytes(bin_path(prefix).read_bytes()[:-4])
    assert "a.idx: sequence 2 has 2 tokens of int32 from byte 16, but a.bin has 20" in refuse(prefix, tokenizer)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("out.txt", "name a file that ends with .jsonl"),
        (".jsonl", "name a file that ends with .jsonl"),
        ("none/out.jsonl", "none is not there; make it first"),
    ],
)
def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, tokenizer: Path, name: str, said: str) -> None:
    assert said in refuse(write(tmp_path / "a", [[70, END]]), tokenizer, name=name)


def test_what_is_there_is_overwritten_only_when_forced_and_never_by_half(tmp_path: Path, tokenizer: Path) -> None:
    def snapshot() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in tmp_path.glob("*out*")}

    out = tmp_path / "out.jsonl"
    import_texts(write(tmp_path / "a", [encode(tokenizer, "one"), []]), tokenizer, "<|end|>", out)
    before = snapshot()
    assert sorted(before) == ["out.exclusions.jsonl", "out.jsonl"]
    better = write(tmp_path / "b", [encode(tokenizer, "two")])
    assert "out.jsonl: is there already; name another file, or say --force" in refuse(better, tokenizer)
    broken = write(tmp_path / "c", [encode(tokenizer, "two"), [70]])
    assert "document 2 of 2 ends with" in refuse(broken, tokenizer, force=True)
    assert snapshot() == before
    import_texts(better, tokenizer, "<|end|>", out, force=True)
    assert snapshot() == {"out.jsonl": b'{"text": "two"}\n'}


def test_exclusions_of_another_import_are_not_overwritten(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "out.exclusions.jsonl").write_text("mine")
    told = refuse(write(tmp_path / "a", [encode(tokenizer, "one")]), tokenizer)
    assert "out.exclusions.jsonl: is there already" in told


def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")

    class Full(BlockFile):
        def __init__(self, path: Path) -> None:
            path.symlink_to("/dev/full")
            super().__init__(path)

    monkeypatch.setattr(megatron_texts, "BlockFile", Full)
    told = refuse(write(tmp_path / "a", [encode(tokenizer, "one")]), tokenizer)
    assert "out.jsonl: the disk is full: after 0 bytes the next 16 do not fit" in told

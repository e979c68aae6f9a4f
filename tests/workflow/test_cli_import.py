"""`mixlab import` as people meet it: what it prints, what it leaves, and how mistakes are told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from mixlab.config.tokenizers import TokenizerSettings, TokenizeSettings
from mixlab.data.exports import megatron_texts
from mixlab.data.exports.megatron import write_megatron
from mixlab.data.exports.megatron_store import export_store
from mixlab.data.tokens.tokenize import write_token_store
from mixlab.data.tokens.tokenizer import load_tokenizer, train_tokenizer

Invoke = Callable[..., Result]
TEXTS = ("The harbor of Luna has 12 ships.", "港には船がある。\n", "it says <|end|>")
ASKED = ("import", "corpus", "--tokenizer", "tokenizer.json", "--out", "corpus.jsonl")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which `corpus` and `broken` are Megatron's files, one whole and one cut short."""
    root = tmp_path / "移動 folder"
    (root / "store").mkdir(parents=True)
    records = [{"text": text} for text in TEXTS]
    train_tokenizer(TokenizerSettings(vocab_size=300), [records], root)
    write_token_store(TokenizeSettings(), records, root, root / "store")
    export_store(root / "store", root / "corpus")
    shutil.copyfile(root / "corpus.idx", root / "broken.idx")
    (root / "broken.bin").write_bytes((root / "corpus.bin").read_bytes()[:-2])
    monkeypatch.chdir(root)
    return root


def test_a_corpus_becomes_lines_of_text_and_a_summary(folder: Path, invoke: Invoke) -> None:
    done = invoke(*ASKED)
    tokens = (folder / "corpus.bin").stat().st_size // 2
    assert (done.exit_code, done.stdout) == (0, f"corpus.jsonl: 3 documents, {tokens} tokens\n")
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == [{"text": text} for text in TEXTS]
    again = invoke(*ASKED)
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr == "mixlab: corpus.jsonl: is there already; name another file, or say --force\n"
    assert invoke(*ASKED, "--force").exit_code == 0


def test_what_is_excluded_stands_in_the_summary_and_in_the_answer_for_programs(folder: Path, invoke: Invoke) -> None:
    # a special token, an end token alone, and a letter
    write_megatron(Path("corpus"), np.dtype("<u2"), 3, [(np.array([3, 1, 2]), np.array([2, 70, 1, 1, 70, 1]))])
    said = invoke(*ASKED).stdout
    assert said == "corpus.jsonl: 1 document, 2 tokens; 2 excluded, see corpus.exclusions.jsonl\n"
    assert json.loads(invoke(*ASKED, "--force", "--json").stdout) == {
        "file": "corpus.jsonl",
        "exclusions": "corpus.exclusions.jsonl",
        "documents": 1,
        "tokens": 2,
        "excluded": 2,
        "other_ids": 0,
    }
    assert (folder / "corpus.exclusions.jsonl").read_text().count("\n") == 2


def test_other_ids_stand_in_the_summary(folder: Path, invoke: Invoke) -> None:
    vocabulary = load_tokenizer(folder).get_vocab()
    ids = [*(vocabulary[letter] for letter in "harbor"), 1]
    write_megatron(Path("corpus"), np.dtype("<u2"), 1, [(np.array([len(ids)]), np.array(ids))])
    said = invoke(*ASKED).stdout
    assert said == "corpus.jsonl: 1 document, 7 tokens; of its texts 1 encodes as other ids than it was\n"


def test_how_far_it_is_goes_to_stderr(folder: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(megatron_texts, "_TELL_SECONDS", 0.0)
    monkeypatch.setattr(megatron_texts, "_BATCH_DOCUMENTS", 2)
    done = invoke(*ASKED)
    assert done.stderr == "mixlab: corpus: 2 of 3 documents\nmixlab: corpus: 3 of 3 documents\n"
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none", *ASKED[2:]), "none.idx: not there; a prefix stands for PREFIX.bin and PREFIX.idx"),
        (("broken", *ASKED[2:]), "one of the two is cut short or of other data; copy or make both again"),
        ((*ASKED[1:], "--end-token", "</s>"), "the end token '</s>' is no token of this tokenizer"),
        (
            (*ASKED[1:], "--end-token", "<|pad|>"),
            "document 1 of 3 ends with the id 1, not with 0, the end token",
        ),
        ((*ASKED[1:], "--out", "corpus.bin", "--force"), "corpus.bin: name a file that ends with .jsonl"),
        ((*ASKED[1:], "--out", f"{'long' * 80}.jsonl"), "cannot be imported: "),
        ((*ASKED[1:], "--tokenizer", "corpus.bin"), "corpus.bin: no tokenizer"),
    ],
)
def test_a_mistake_leaves_with_2_and_writes_nothing(
    folder: Path, invoke: Invoke, arguments: tuple[str, ...], said: str
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = invoke("import", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.startswith("mixlab: ")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not list(folder.glob(".*"))

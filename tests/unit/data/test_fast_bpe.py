"""The optional encoder: the library's ids, only for tokenizers on the list, and an error where it cannot be used."""

import sysconfig
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from mixlab.artifacts.keys import digest_file
from mixlab.config.chat import ChatTemplate
from mixlab.config.problems import DataError
from mixlab.config.tokenizers import TokenizerSettings, TokenizeSettings
from mixlab.data.tokens import fast_bpe
from mixlab.data.tokens.fast_bpe import choose_backend
from mixlab.data.tokens.text_encoder import TextEncoder
from mixlab.data.tokens.tokenize import write_token_store
from mixlab.data.tokens.tokenizer import train_tokenizer

TEXT = "The harbor's ships weren't 12. 港には船が 12 隻ある。ルナは港に住んでいる。\n\ndef f(x):\n    return x\n" * 3


def _train(out: Path, **settings: Any) -> Path:
    out.mkdir(exist_ok=True)
    train_tokenizer(TokenizerSettings(vocab_size=600, **settings), [[{"text": TEXT}]], out)
    return out


@pytest.fixture(scope="module", params=[(True, True), (True, False), (False, True), (False, False)])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    digits, scripts = request.param
    return _train(tmp_path_factory.mktemp("tokenizer"), individual_digits=digits, split_scripts=scripts)


odd = st.text(st.sampled_from("'strevmld aZé12２½ー々漢ひカ\u0301\u3000😀<|end|>\n\t\r\x00\x85\xa0_.,"), max_size=40)


@given(st.lists(st.one_of(odd, st.text(max_size=20)), min_size=1, max_size=5), st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_fast_encoder_gives_the_ids_of_the_library(folder: Path, texts: list[str], specials: bool) -> None:
    slow, fast = (TextEncoder(folder, specials=specials, backend=name) for name in ("hf", "kitoken"))
    fast._calls = 1  # else it would compare by itself
    assert list(fast.encode(texts)) == list(slow.encode(texts))


def test_the_fast_encoder_reads_programs_and_real_text_as_the_library(folder: Path, shared_data: Path) -> None:
    paths = [
        Path(sysconfig.get_path("stdlib")) / name for name in ("ast.py", "inspect.py", "asynchat.py", "tokenize.py")
    ]
    texts = [path.read_text(encoding="utf-8") for path in paths if path.exists()]
    texts += [(shared_data / f"raw/{language}/tanaka_test.{language}").read_text("utf-8") for language in ("en", "ja")]
    slow, fast = (TextEncoder(folder, specials=False, backend=name) for name in ("hf", "kitoken"))
    fast._calls = 1
    assert list(fast.encode(texts)) == list(slow.encode(texts))


def test_stores_made_by_the_fast_encoder_have_the_same_bytes(tmp_path: Path) -> None:
    tokenizer = _train(tmp_path / "tokenizer")
    turns = [{"role": "user", "content": "12?"}, {"role": "assistant", "content": TEXT}]
    sources = (
        (None, [{"text": TEXT}, {"text": "a<|end|>\ud800"}, {"text": "<|end|>'"}]),
        (ChatTemplate(), [{"messages": turns}]),
    )
    for number, (chat, records) in enumerate(sources):
        made = []
        for backend, workers in (("hf", 1), ("kitoken", 1), ("kitoken", 2)):
            out = tmp_path / f"{number}{backend}{workers}"
            out.mkdir()
            write_token_store(TokenizeSettings(chat=chat), records, tokenizer, out, backend=backend, workers=workers)
            made.append({path.name: path.read_bytes() for path in sorted(out.iterdir())})
        assert made[0] == made[1] == made[2]


def test_an_encoder_that_errs_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TextEncoder(_train(tmp_path / "tokenizer"), specials=False, backend="kitoken")
    monkeypatch.setattr(encoder._fast, "encode", lambda text, specials: [5])
    with pytest.raises(DataError, match=r"take this tokenizer off machine\.fast_tokenizers"):
        encoder.encode(["harbor"])


def test_a_tokenizer_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match="is for byte-level BPE trained here"):
        TextEncoder(tmp_path, specials=False, backend="kitoken")


def test_only_a_listed_tokenizer_is_encoded_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = _train(tmp_path / "tokenizer")
    digest = digest_file(tokenizer / "tokenizer.json")[0]
    monkeypatch.setattr(fast_bpe, "find_spec", lambda name: object())
    assert choose_backend(tokenizer, ()) == "hf"
    assert choose_backend(tokenizer, ("0" * 64,)) == "hf"
    assert choose_backend(tokenizer, ("0" * 64, digest)) == "kitoken"
    monkeypatch.setattr(fast_bpe, "find_spec", lambda name: None)
    assert choose_backend(tokenizer, ("0" * 64,)) == "hf"
    with pytest.raises(DataError, match=r"pip install mixlab\[fast-bpe\]"):
        choose_backend(tokenizer, (digest,))

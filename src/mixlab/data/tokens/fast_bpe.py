"""The optional encoder `kitoken` for byte-level BPE trained here: three to four times as fast, and off by default.

It is used for a tokenizer only when the machine settings list its digest, which is put there after a proof on a corpus
(performance/prove_fast_bpe.py). The library reads a `tokenizer.json` with a regular expression of its own for words,
whose borders differ from GPT-2's around line breaks and apostrophes; it is therefore given the original one. Texts that
hold a special token as text are not for it: it parts words there.
"""

import json
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mixlab.artifacts.keys import digest_file
from mixlab.config.problems import DataError
from mixlab.config.tokenizers import TokenizerSettings
from mixlab.data.tokens.tokenizer import SCRIPTS, TOKENIZER_FILE, build_untrained
from mixlab.data.writing import read_json

PLAIN = "hf"
FAST = "kitoken"
_GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""ByteLevel of Hugging Face's tokenizers, src/pre_tokenizers/byte_level.rs, v0.23."""


def choose_backend(tokenizer_folder: Path, proven: Collection[str]) -> str:
    """Return `kitoken` for a tokenizer whose digest is among the `proven`, else `hf`.

    Raises DataError when it is listed but kitoken is not installed.
    """
    if not proven or digest_file(tokenizer_folder / TOKENIZER_FILE)[0] not in proven:
        return PLAIN
    if find_spec(FAST) is None:
        raise DataError(
            f"machine.fast_tokenizers lists the tokenizer {tokenizer_folder}, but {FAST} is not installed; "
            "run `pip install mixlab[fast-bpe]`, or take it off the list"
        )
    return FAST


class FastEncoder:
    """kitoken with the words of a tokenizer of the house.

    Raises DataError for a tokenizer that is none of ours.
    """

    def __init__(self, tokenizer_folder: Path) -> None:
        from kitoken import Kitoken

        path = tokenizer_folder / TOKENIZER_FILE
        splits = _read_splits(path)
        self._kitoken = Kitoken.from_file(str(path))
        config = self._kitoken.config()
        if config["normalization"] or config["processing"] or len(config["split"]) != len(splits):
            raise DataError(f"{path}: {FAST} reads this tokenizer in another way: take it off machine.fast_tokenizers")
        words = [{"Pattern": {"pattern": {"Regex": regex}, "behavior": "Isolate"}} for regex in splits]
        self._kitoken.set_config({**config, "split": words})

    def encode(self, text: str, *, specials: bool) -> list[int]:
        """Ids of a text; `specials`: special tokens in it are read as such, else it must hold none.

        Raises TypeError for a text that is no Unicode, as the library does.
        """
        try:
            ids: list[int] = self._kitoken.encode(text, specials)
        except UnicodeEncodeError as error:
            raise TypeError("the text is no Unicode") from error
        return ids


def _read_splits(path: Path) -> list[str]:
    """The regular expressions that make words, one after the other."""
    card: dict[str, Any] = read_json(path)
    model = card["model"]
    plain = model["type"] == "BPE" and not any(
        model.get(name) for name in ("dropout", "unk_token", "byte_fallback", "ignore_merges", "fuse_unk")
    )
    for digits in (True, False):
        for scripts in (True, False):
            settings = TokenizerSettings(vocab_size=300, individual_digits=digits, split_scripts=scripts)
            if plain and card["normalizer"] is None and card["pre_tokenizer"] == _describe_words(settings):
                return [*([SCRIPTS] if scripts else []), *([r"\p{N}"] if digits else []), _GPT2_WORDS]
    raise DataError(f"{path}: {FAST} is for byte-level BPE trained here: take it off machine.fast_tokenizers")


def _describe_words(settings: TokenizerSettings) -> Any:
    return json.loads(build_untrained(settings).to_str())["pre_tokenizer"]

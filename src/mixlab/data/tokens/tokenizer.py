"""A tokenizer folder: training one, taking one that comes as a file, loading it, and which of its tokens do what."""

import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from mixlab.config.problems import DataError, did_you_mean
from mixlab.config.tokenizers import END_TOKEN, PAD_TOKEN, SPECIAL_TOKENS, TokenizerSettings
from mixlab.data.records import Record, texts_of
from mixlab.data.tokens.coverage import find_coverage
from mixlab.data.tokens.cutting import cut_text
from mixlab.data.writing import read_json, write_json

log = logging.getLogger(__name__)

TOKENIZER_FILE = "tokenizer.json"
_USUAL_PADS = (PAD_TOKEN, "<pad>", "[PAD]")
_NAMED = 20
"""So many special tokens are named in a message."""
SCRIPTS = r"[\p{Han}々]+|\p{Hiragana}+|[\p{Katakana}ー]+"
_WORDS = re.compile(r"[\u3041-\u309f]+|[\u30a0-\u30ff]+|[\u3400-\u4dbf\u4e00-\u9fff々]+|[^\W\d]+|[^\w\s]+")
_WORDS_ACROSS_SCRIPTS = re.compile(r"[^\W\d]+|[^\w\s]+")
"""Nearly the words that are counted in training, found five times as fast as by the pre-tokenizer itself."""


@dataclass(frozen=True)
class Vocabulary:
    """What else must know of a tokenizer: ids lie in [0, size); special tokens in the order of their ids."""

    size: int
    special_tokens: dict[str, int]
    end_token: str
    pad_token: str

    @property
    def end_id(self) -> int:
        """Id of the token that ends every document and every answer."""
        return self.special_tokens[self.end_token]

    @property
    def pad_id(self) -> int:
        """Id of the token that fills up a batch; it may be the end token."""
        return self.special_tokens[self.pad_token]


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer of an artifact folder; it neither truncates nor pads, whatever its file says.

    Special tokens written in a text are read as such; set `encode_special_tokens` for text that is only text.
    Raises DataError when the file is not there or is no tokenizer.
    """
    return load_tokenizer_file(folder / TOKENIZER_FILE)


def load_tokenizer_file(path: Path) -> Tokenizer:
    """Load a `tokenizer.json` as `load_tokenizer` does."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: the file is not there") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no tokenizer: wrong UTF-8 at byte {error.start}") from None
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:
        # the library raises Exception itself, with a sentence about the JSON
        raise DataError(f"{path}: no tokenizer in the format of Hugging Face's tokenizers: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_vocabulary(folder: Path, tokenizer: Tokenizer | None = None) -> Vocabulary:
    """Say which tokens of a tokenizer folder do what; `tokenizer` saves loading it again.

    A tokenizer trained here says nothing of it in its index: `<|end|>` ends and `<|pad|>` fills up.
    Raises DataError when it has no such token.
    """
    path = folder / "index.json"
    card: dict[str, Any] = read_json(path) if path.is_file() else {}
    names = card.get("end_token", END_TOKEN), card.get("pad_token", PAD_TOKEN)
    return describe_tokenizer(tokenizer or load_tokenizer(folder), *names, folder / TOKENIZER_FILE)


def describe_tokenizer(tokenizer: Tokenizer, end_token: str, pad_token: str | None, path: Path) -> Vocabulary:
    """Say which of its tokens do what; without `pad_token` a usual one it has pads, else the end token.

    Raises DataError, which names `path`, when `end_token` is none of its special tokens.
    """
    added = sorted(tokenizer.get_added_tokens_decoder().items())
    special = {token.content: number for number, token in added if token.special}
    if end_token not in special:
        has = ", ".join([*list(special)[:_NAMED], *(["…"] if len(special) > _NAMED else [])]) or "none at all"
        what = "no token" if tokenizer.token_to_id(end_token) is None else "an ordinary entry, not a special token,"
        raise DataError(
            f"{path}: the end token {end_token!r} is {what} of this tokenizer{did_you_mean(end_token, special)}; "
            f"state one of its special tokens as `end_token`: {has}"
        )
    pads = (pad_token,) if pad_token is not None else _USUAL_PADS
    pad = next((token for token in pads if token in special), end_token)
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    return Vocabulary(max(largest + 1, tokenizer.get_vocab_size()), special, end_token, pad)


def import_tokenizer(end_token: str, path: Path, out: Path) -> None:
    """Check a `tokenizer.json` and write it, unchanged, with an `index.json` into `out`.

    `index.json`: vocab_size (the largest id and one), special_tokens {token: id}, end_token, pad_token (a usual one
    it has, else the end token). Raises DataError when the file is broken or of another format, or when the end token is
    none of its special tokens.
    """
    tokenizer = load_tokenizer_file(path)
    vocabulary = describe_tokenizer(tokenizer, end_token, None, path)
    if find_coverage(tokenizer).is_lossy:
        log.warning(
            "%s: this tokenizer has neither bytes nor a token for what it does not know: such text vanishes", path
        )
    shutil.copyfile(path, out / TOKENIZER_FILE)
    index = {
        "vocab_size": vocabulary.size,
        "special_tokens": vocabulary.special_tokens,
        "end_token": vocabulary.end_token,
        "pad_token": vocabulary.pad_token,
    }
    write_json(out / "index.json", index)


def train_tokenizer(settings: TokenizerSettings, texts: Sequence[Iterable[Record]], out: Path) -> None:
    """Train on the records of several sources, in their order, and write `tokenizer.json` and `index.json`.

    The bytes written depend on settings and texts alone. Memory grows with the number of different words, which the
    limits of the settings bound. Raises DataError when a source has no text.
    """
    tokenizer = build_untrained(settings)
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_limited(settings, texts), trainer)
    # not its own `save`, which raises a bare Exception on a full disk
    (out / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    index = {
        "vocab_size": tokenizer.get_vocab_size(),
        "special_tokens": {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS},
    }
    write_json(out / "index.json", index)


def build_untrained(settings: TokenizerSettings) -> Tokenizer:
    """Build a tokenizer that parts words as the settings say, and has no entries yet."""
    tokenizer = Tokenizer(models.BPE())
    steps: list[pre_tokenizers.PreTokenizer] = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    if settings.individual_digits:
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    if settings.split_scripts:
        steps.insert(0, pre_tokenizers.Split(Regex(SCRIPTS), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _limited(settings: TokenizerSettings, texts: Sequence[Iterable[Record]]) -> Iterator[str]:
    """Yield the texts to train on, in pieces; each source ends at the first limit it meets."""
    pattern = _WORDS if settings.split_scripts else _WORDS_ACROSS_SCRIPTS
    knife = build_untrained(settings)  # its own: the one in training is locked
    seen: set[str] = set()
    for at, records in enumerate(texts):
        most = len(seen) + max(settings.different_words - len(seen), 0) // (len(texts) - at)
        read_bytes = 0
        for text in _read_limited(settings, records):
            for piece in cut_text(knife, text):
                read_bytes += len(piece.encode("utf-8", "replace"))
                seen.update(pattern.findall(piece))
                yield piece
                if len(seen) > most:
                    break
            if len(seen) > most:
                log.info("tokenizer source %d has brought its part of different words: read no further", at + 1)
                break
        if not read_bytes:
            raise DataError(f"tokenizer source {at + 1} has no text")
        log.info("tokenizer source %d: %.1f MB read, %d different words so far", at + 1, read_bytes / 1e6, len(seen))


def _read_limited(settings: TokenizerSettings, records: Iterable[Record]) -> Iterator[str]:
    limit = settings.bytes_per_source
    read_bytes = 0
    for count, record in enumerate(records, 1):
        for text in texts_of(record):
            read_bytes += len(text.encode("utf-8", "replace"))
            yield text
        if count == settings.records_per_source or (limit is not None and read_bytes >= limit):
            return

"""Training and loading of a tokenizer."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from mixlab.config.problems import DataError
from mixlab.config.tokenizers import SPECIAL_TOKENS, TokenizerSettings
from mixlab.data.records import Record, texts_of
from mixlab.data.writing import write_json

_SCRIPTS = r"[\p{Han}々]+|\p{Hiragana}+|[\p{Katakana}ー]+"


def train_tokenizer(settings: TokenizerSettings, texts: Sequence[Iterable[Record]], out: Path) -> None:
    """Train on the records of several sources, in their order, and write `tokenizer.json` and `index.json`.

    The bytes written depend on settings and texts alone. Raises DataError when a source has no text.
    """
    tokenizer = Tokenizer(models.BPE())
    steps: list[pre_tokenizers.PreTokenizer] = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    if settings.individual_digits:
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    if settings.split_scripts:
        steps.insert(0, pre_tokenizers.Split(Regex(_SCRIPTS), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_limited(settings, texts), trainer)
    tokenizer.save(str(out / "tokenizer.json"))
    index = {
        "vocab_size": tokenizer.get_vocab_size(),
        "special_tokens": {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS},
    }
    write_json(out / "index.json", index)


def _limited(settings: TokenizerSettings, texts: Sequence[Iterable[Record]]) -> Iterator[str]:
    for at, records in enumerate(texts):
        read_bytes = 0
        for count, record in enumerate(records, 1):
            for text in texts_of(record):
                read_bytes += len(text.encode())
                yield text
            if count == settings.records_per_source or read_bytes >= (settings.bytes_per_source or float("inf")):
                break
        if not read_bytes:
            raise DataError(f"tokenizer source {at + 1} has no text")


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer of an artifact folder.

    Special tokens written in a text are read as such; set `encode_special_tokens` for text that is only text.
    """
    return Tokenizer.from_file(str(folder / "tokenizer.json"))

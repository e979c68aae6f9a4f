"""Prove that kitoken gives a tokenizer's own ids, and print the line that lets it be used.

    python performance/prove_fast_bpe.py artifacts/tokenizer/KEY data/corpus.txt data/more.txt

Compared are the files named (text, by paragraphs), Python's standard library, and 200,000 short texts drawn from
characters on which encoders tend to differ. Needs `pip install mixlab[fast-bpe]`.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizing_texts import list_texts

from mixlab.artifacts.keys import digest_file
from mixlab.data.tokens.fast_bpe import FAST, PLAIN
from mixlab.data.tokens.text_encoder import TextEncoder
from mixlab.data.tokens.tokenizer import TOKENIZER_FILE

_SINGLE = (
    "'strevmld aZé1２³½ーー々漢字ひカｶﾞ।\u0301\u200b\u3000\ufeff😀𠮷ſﬁⅧ㍿_-.,!?。、\\\"<>|{}()\n\t\r\x00\x85\xa0\u2028"
)
_ODD = [*_SINGLE, "  ", "\n\n", "'s", "'ll", "👩\u200d🚀", "🇯🇵", "<|end|>", "<|user|>"]


def main() -> None:
    """Read the command line, compare, and leave with 1 when an id differs."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: prove_fast_bpe.py TOKENIZER corpus.txt")
    parser.add_argument("tokenizer", type=Path, help="folder with a tokenizer.json trained here")
    parser.add_argument("texts", type=Path, nargs="*", help="files of UTF-8 text")
    parser.add_argument("--odd", type=int, default=200_000, help="short odd texts")
    options = parser.parse_args()
    corpora: list[tuple[str, Iterable[str]]] = [(str(path), read_paragraphs(path)) for path in options.texts]
    for name in ("en", "ja", "code"):
        origin, records = list_texts(name)
        corpora.append((f"{name} ({origin})", [record["text"] for record in records]))
    corpora.append(("odd texts", draw_odd(options.odd)))
    different = sum([compare(options.tokenizer, name, texts) for name, texts in corpora])
    if different:
        sys.exit(f"{different} texts have other ids: {FAST} must not be used for this tokenizer")
    digest = digest_file(options.tokenizer / TOKENIZER_FILE)[0]
    print(f"equal; to use it, write in config.yaml below machine:\n  fast_tokenizers: [{digest}]")


def read_paragraphs(path: Path) -> Iterator[str]:
    """Yield the paragraphs of a file, streaming."""
    paragraph = ""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            paragraph += line
            if not line.strip() or len(paragraph) > 50_000:
                yield paragraph
                paragraph = ""
    if paragraph:
        yield paragraph


def draw_odd(number: int) -> Iterator[str]:
    """Draw short texts of odd characters, the same ones every time."""
    draw = random.Random(1)
    for _ in range(number):
        yield "".join(draw.choices(_ODD, k=draw.randint(1, 16)))


def compare(tokenizer: Path, name: str, texts: Iterable[str]) -> int:
    """Compare the ids of texts and print how many differ and how fast either was; both forms of special tokens."""
    different = size = 0
    seconds = {PLAIN: 0.0, FAST: 0.0}
    encoders = {
        (backend, specials): TextEncoder(tokenizer, specials=specials, backend=backend)
        for backend in seconds
        for specials in (False, True)
    }
    for text in texts:
        size += len(text.encode())
        for specials in (False, True):
            found = []
            for backend in seconds:
                started = time.process_time()
                found.append(list(encoders[backend, specials].encode([text])))
                seconds[backend] += time.process_time() - started
            different += found[0] != found[1]
    rates = ", ".join(f"{backend} {2 * size / 1e6 / max(spent, 1e-9):.1f} MB/s" for backend, spent in seconds.items())
    print(f"{name:40} {size / 1e6:7.1f} MB   {different} differ   {rates}", flush=True)
    return different


if __name__ == "__main__":
    main()

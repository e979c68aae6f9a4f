"""Near-duplicates: what is found of planted pairs of known similarity, and documents a second, beside other libraries.

    python performance/duplicates.py [--data ../shared/data] [--quick]

Documents are invented, or real with --data (GSM8K and Dolly; Wikipedia-ja and Soseki). Copies get words replaced until
they have a similarity drawn from [0.5, 1]. Similarity is the Jaccard index of sets of 5 words or 5 characters, computed
here by other means than the filter's. At 0.8 and above a pair is to be found, at 0.75 and below it is not to be; pairs
between are counted apart. Recall: of the pairs to be found. Precision: of all that is reported, planted or not, what is
similar by 0.8. Beside it, in the same run: datasketch's LSH, and rensa's own with and without a check of signatures.
"""

import argparse
import gzip
import json
import random
import re
import tempfile
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from leaks import collect_vocabulary, find_content_words, invent_item

from mixlab.config.filters import NearDuplicates
from mixlab.data.filters.near import find_near_duplicates

THRESHOLD, FAR = 0.8, 0.75
_UNIT = re.compile(r"[\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff\u3400-\u9fff]|[0-9a-z]+")

Pairs = dict[int, int]
"""A document that is left out, and the one it is a duplicate of."""


def shingle(text: str) -> set[tuple[str, ...]]:
    """Return the runs of five words or Japanese characters of a text."""
    units = _UNIT.findall(unicodedata.normalize("NFKC", text).lower().replace("'", ""))
    return {tuple(units[at : at + 5]) for at in range(max(1, len(units) - 4))}


def jaccard(one: str, other: str) -> float:
    """Return the similarity of two texts."""
    first, second = shingle(one), shingle(other)
    return len(first & second) / len(first | second)


@dataclass(frozen=True)
class Corpus:
    """Documents in a shuffled order, and the planted pairs: (earlier, later) to their similarity."""

    texts: list[str]
    planted: dict[tuple[int, int], float]


def change_words(text: str, count: int, rng: random.Random, vocabulary: list[str]) -> str:
    """Replace `count` content words by others."""
    words = find_content_words(text)
    pieces, at = [], 0
    for place in sorted(rng.sample(range(len(words)), min(count, len(words)))):
        pieces += [text[at : words[place].start()], rng.choice(vocabulary)]
        at = words[place].end()
    return "".join(pieces) + text[at:]


def plant_pairs(texts: list[str], pairs: int, japanese: bool, seed: int) -> Corpus:
    """Add a changed copy of some texts, mix all, and say where the pairs are."""
    rng = random.Random(f"{seed} {japanese}")
    vocabulary = collect_vocabulary(texts, japanese)
    copies = []
    for source in rng.sample(range(len(texts)), pairs):
        wanted = rng.uniform(0.5, 1.0)
        size = len(shingle(texts[source]))
        changes = max(1, round(size * (1 - wanted) / (1 + wanted) / 5))
        copies.append((source, change_words(texts[source], changes, rng, vocabulary)))
    order = list(range(len(texts) + pairs))
    rng.shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    every = texts + [copy for _source, copy in copies]
    planted = {}
    for number, (source, copy) in enumerate(copies):
        one, other = sorted((place[source], place[len(texts) + number]))
        planted[one, other] = jaccard(texts[source], copy)
    return Corpus([every[old] for old in order], planted)


def find_ours(texts: list[str]) -> Pairs:
    """Run the filter."""
    with tempfile.TemporaryDirectory() as scratch:
        rows = find_near_duplicates(
            NearDuplicates(), lambda: enumerate({"text": text} for text in texts), (), Path(scratch)
        )
        return {row.record: int(row.details["duplicate_of"]) for row in rows}


def find_by_datasketch(texts: list[str]) -> Pairs:
    """Run datasketch's MinHash and LSH on the same shingles; the first similar earlier document counts."""
    from datasketch import MinHash, MinHashLSH

    lsh, found = MinHashLSH(threshold=THRESHOLD, num_perm=128), {}
    for number, text in enumerate(texts):
        signature = MinHash(num_perm=128)
        signature.update_batch([" ".join(one).encode() for one in shingle(text)])
        if similar := lsh.query(signature):
            found[number] = min(similar)
        lsh.insert(number, signature)
    return found


def find_by_rensa(texts: list[str], *, check: bool) -> Pairs:
    """Run rensa's LSH on the same shingles; with `check`, candidates are compared by their signatures."""
    from rensa import RMinHash, RMinHashLSH

    lsh, found, signatures = RMinHashLSH(THRESHOLD, 128, 16), {}, []
    for number, text in enumerate(texts):
        signature = RMinHash(128, 0)
        signature.update([" ".join(one) for one in shingle(text)])
        signatures.append(signature)
        similar = lsh.query(signature)
        if check:
            similar = [other for other in similar if signature.jaccard(signatures[other]) >= THRESHOLD]
        if similar:
            found[number] = min(similar)
        lsh.insert(number, signature)
    return found


WAYS: dict[str, Callable[[list[str]], Pairs]] = {
    "mixlab": find_ours,
    "datasketch": find_by_datasketch,
    "rensa, LSH alone": lambda texts: find_by_rensa(texts, check=False),
    "rensa, checked": lambda texts: find_by_rensa(texts, check=True),
}


@dataclass(frozen=True)
class Figures:
    """Recall of pairs at 0.8 and above, precision of all that is reported, share of pairs between that is reported."""

    recall: float
    precision: float
    between: float
    pairs: int


def judge(corpus: Corpus, found: Pairs) -> Figures:
    """Compare what was reported with what was planted."""
    similar = [pair for pair, value in corpus.planted.items() if value >= THRESHOLD]
    between = [pair for pair, value in corpus.planted.items() if FAR < value < THRESHOLD]
    right = sum(jaccard(corpus.texts[one], corpus.texts[other]) >= THRESHOLD for other, one in found.items())
    return Figures(
        sum(other in found for _one, other in similar) / max(1, len(similar)),
        right / max(1, len(found)),
        sum(other in found for _one, other in between) / max(1, len(between)),
        len(similar),
    )


def invent_texts(count: int, japanese: bool) -> list[str]:
    """Invent documents of three word problems."""
    rng = random.Random(f"texts {japanese}")
    return [" ".join(invent_item(rng, japanese) for _ in range(3)) for _ in range(count)]


def read_texts(data: Path, japanese: bool) -> list[str]:
    """Read real documents of 200 characters (60 in Japanese) or more."""
    if japanese:
        path = data / "raw/ja/wikipedia_annotated_corpus.jsonl.gz"
        texts = [json.loads(line)["text"] for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
        for book in sorted((data / "raw/ja").glob("aozora_*.txt.gz")):
            text = gzip.decompress(book.read_bytes()).decode()
            texts += [text[at : at + 300] for at in range(0, len(text) - 300, 300)]
    else:
        lines = (data / "benchmarks/gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()
        texts = ["{question}\n{answer}".format(**json.loads(line)) for line in lines]
        path = data / "instruction/en/general/dolly_hhrlhf_train_small.jsonl"
        texts += [json.loads(line)["response"] for line in path.read_text(encoding="utf-8").splitlines()]
    return [text for text in texts if len(text) >= (60 if japanese else 200)]


def main() -> None:
    """Parse the command line and print all."""
    parser = argparse.ArgumentParser(
        description="recall, precision and speed of near-duplicate removal",
        epilog="example: python performance/duplicates.py --data ../shared/data --quick",
    )
    parser.add_argument("--data", type=Path, help="folder with benchmarks/ and instruction/; invented text without it")
    parser.add_argument("--documents", type=int, default=8000, help="documents at most, in each language")
    parser.add_argument("--quick", action="store_true", help="2000 documents")
    options = parser.parse_args()
    size = 2000 if options.quick else options.documents
    for japanese in (False, True):
        texts = (read_texts(options.data, japanese) if options.data else invent_texts(size, japanese))[:size]
        corpus = plant_pairs(texts, len(texts) // 4, japanese, seed=1)
        print(f"\n{'ja' if japanese else 'en'}: {len(corpus.texts)} documents, {len(corpus.planted)} planted pairs")
        print(f"{'':18} {'documents/s':>12} {'recall':>8} {'precision':>10} {'between':>8}")
        for name, way in WAYS.items():
            started = time.process_time()
            try:
                found = way(corpus.texts)
            except ImportError as error:
                print(f"{name:18} not installed: {error.name}")
                continue
            seconds = time.process_time() - started
            told = judge(corpus, found)
            speed = len(corpus.texts) / seconds
            print(f"{name:18} {speed:12.0f} {told.recall:8.3f} {told.precision:10.3f} {told.between:8.3f}")


if __name__ == "__main__":
    main()

"""The search for benchmark items: what it finds of planted leaks among decoys, and how fast it is.

    python performance/contamination.py --data ../shared/data [--quick]

Plants every kind of leak of items of GSM8K, HumanEval, MBPP, MT-Bench, MGSM and JHumanEval, one item in a record,
among real records on the same topics (decoys: GSM8K's training part, CodeAlpaca, Dolly, MAWPS-ja …). Prints recall and
precision by kind and language, for the defaults and beside them other n; then megabytes a second of one core.
There are 20 decoys for a leak. A flagged decoy counts as wrong unless it holds an item's text word for word.
"""

import argparse
import gzip
import json
import random
import re
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaks import KINDS, collect_vocabulary, is_japanese, make_leak

from mixlab.config.filters import ContaminationSettings
from mixlab.data.overlap.benchmark_index import build_index
from mixlab.data.overlap.contamination import find_hits

Item = dict[str, Any]
CHOICES = {
    "en": ({}, {"words": 8}, {"words": 10}, {"words": 20}),
    "ja": ({}, {"characters": 10}, {"characters": 13}, {"characters": 20}, {"characters": 30}),
}


def read_lines(path: Path) -> list[Item]:
    """Read JSON lines, plain or gzipped."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.decode("utf-8").split("\n") if line.strip()]


def read_benchmarks(data: Path) -> dict[str, list[Item]]:
    """Read items with the fields that are compared."""
    folder = data / "benchmarks"

    def take(path: str, *fields: str) -> list[Item]:
        rows = read_lines(folder / path)
        return [{"id": str(at), **{field: row[field] for field in fields}} for at, row in enumerate(rows)]

    rows = (folder / "mgsm/mgsm_ja.tsv").read_text(encoding="utf-8").splitlines()
    code = ("prompt", "canonical_solution", "test")
    return {
        "gsm8k": take("gsm8k/test.jsonl", "question", "answer"),
        "humaneval": take("humaneval/HumanEval.jsonl.gz", *code),
        "mbpp": take("mbpp/mbpp.jsonl", "text", "code", "test_list"),
        "mt_bench_en": take("mt_bench_en/question.jsonl", "turns"),
        "mgsm_ja": [{"id": str(at), "question": row.split("\t")[0]} for at, row in enumerate(rows)],
        "jhumaneval": take("jhumaneval/jhuman-eval.jsonl.gz", *code),
        "mt_bench_ja": take("mt_bench_ja/question_full.jsonl", "turns"),
    }


def read_decoys(data: Path) -> dict[str, list[str]]:
    """Read texts on the same topics that are no benchmark items, by language."""
    folder = data / "instruction"
    rows = read_lines(data / "benchmarks/gsm8k/train.jsonl")
    rows += json.loads((folder / "en/code/code_alpaca_2k.json").read_text())
    rows += read_lines(folder / "en/general/dolly_hhrlhf_train_small.jsonl") + read_lines(
        folder / "en/math/svamp.jsonl"
    )
    rows += json.loads(gzip.decompress((folder / "en/code/new_codealpaca.json.gz").read_bytes()))
    english = ["\n".join(str(value) for value in row.values()) for row in rows]
    rows = json.loads((folder / "ja/math/mawps_ja.json").read_text(encoding="utf-8"))
    rows += read_lines(folder / "ja/general/instruction_ja_data.jsonl")
    rows += read_lines(folder / "ja/reasoning/jcommonsenseqa_train-v1.3.json")
    japanese = [json.dumps(row, ensure_ascii=False) for row in rows]
    return {"en": english, "ja": japanese}


def main_text(item: Item) -> str:
    """Return what a leak of an item shows first: its question, prompt or turns."""
    first = next(value for name, value in item.items() if name != "id")
    return "\n".join(first) if isinstance(first, list) else str(first)


def plant(
    benchmarks: dict[str, list[Item]], kind: str, language: str, count: int
) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield (benchmark and item, text of a record with the leak), the same for the same arguments."""
    rng = random.Random(f"{kind} {language}")
    items = [(name, item) for name, rows in benchmarks.items() for item in rows]
    items = [(name, item) for name, item in items if is_japanese(main_text(item)) == (language == "ja")]
    vocabulary = collect_vocabulary([main_text(item) for _name, item in items], language == "ja")
    for name, item in rng.sample(items, min(count, len(items))):
        frame = (
            "次の問題を解いてください。\n{}\n解答を示します。" if language == "ja" else "Solve this.\n{}\nHere we go."
        )
        yield (name, item["id"]), frame.format(make_leak(kind, main_text(item), rng, vocabulary))


@dataclass(frozen=True)
class Figures:
    """What a study counted: (found, planted) by kind of leak; decoys flagged, and how many of them are leaks."""

    found: dict[str, tuple[int, int]]
    flagged: int
    verbatim: int


def run_study(
    settings: ContaminationSettings, benchmarks: dict[str, list[Item]], decoys: list[str], language: str, leaks: int
) -> Figures:
    """Search planted leaks and decoys."""
    names = list(benchmarks)
    index = build_index(settings, list(benchmarks.values()))
    found = {}
    for kind in KINDS:
        truth, texts = zip(*plant(benchmarks, kind, language, leaks), strict=True)
        hits = find_hits(settings, index, enumerate({"text": text} for text in texts))
        places = {(hit.record, names[hit.benchmark], index.items[hit.benchmark][hit.item]) for hit in hits}
        found[kind] = sum((at, *place) in places for at, place in enumerate(truth)), len(truth)
    hits = list(find_hits(settings, index, enumerate({"text": text} for text in decoys)))
    verbatim = {
        hit.record
        for hit in hits
        if plain(main_text(benchmarks[names[hit.benchmark]][hit.item])) in plain(decoys[hit.record])
    }
    return Figures(found, len({hit.record for hit in hits}), len(verbatim))


def plain(text: str) -> str:
    """Return the words of a text and nothing else."""
    return " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).lower()))


def print_study(data: Path, leaks: int, quick: bool) -> None:
    """Print recall and precision for the defaults, and for other lengths of n-grams."""
    benchmarks, decoys = read_benchmarks(data), read_decoys(data)
    for language, choices in CHOICES.items():
        chosen = random.Random(0).sample(decoys[language], min(20 * leaks, len(decoys[language])))
        for options in choices[:1] if quick else choices:
            figures = run_study(ContaminationSettings(**options), benchmarks, chosen, language, leaks)
            wrong = figures.flagged - figures.verbatim
            told = ", ".join(f"{name} {value}" for name, value in options.items()) or "defaults"
            print(
                f"\n{language}, {told}: {figures.flagged} of {len(chosen)} decoys flagged, {figures.verbatim} rightly"
            )
            print(f"{'leak':16} {'planted':>8} {'recall':>8} {'precision':>10}")
            for kind, (found, planted) in figures.found.items():
                print(f"{kind:16} {planted:8} {found / planted:8.3f} {found / max(1, found + wrong):10.3f}")


def print_speed(data: Path, megabytes: int) -> None:
    """Print megabytes a second of one core, against all benchmarks at once, building the index apart."""
    benchmarks, decoys = read_benchmarks(data), read_decoys(data)
    started = time.process_time()
    index = build_index(ContaminationSettings(), list(benchmarks.values()))
    items = sum(map(len, benchmarks.values()))
    print(f"\nindex of {items} items, {len(index.part)} n-grams: {time.process_time() - started:.1f} s")
    for language, texts in decoys.items():
        size = sum(len(text.encode()) for text in texts)
        texts = texts * max(1, megabytes * 10**6 // size)
        size = sum(len(text.encode()) for text in texts)
        started = time.process_time()
        hits = sum(1 for _ in find_hits(ContaminationSettings(), index, enumerate({"text": one} for one in texts)))
        seconds = time.process_time() - started
        print(f"{language}: {size / 1e6 / seconds:.1f} MB/s, {len(texts) / seconds:.0f} records/s, {hits} hits")


def main() -> None:
    """Parse the command line and print all."""
    parser = argparse.ArgumentParser(
        description="recall, precision and speed of the contamination search",
        epilog="example: python performance/contamination.py --data ../shared/data --quick",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with benchmarks/ and instruction/")
    parser.add_argument("--leaks", type=int, default=600, help="leaks of each kind and language")
    parser.add_argument("--megabytes", type=int, default=50, help="text for the measurement of speed")
    parser.add_argument("--quick", action="store_true", help="defaults only, fewer leaks")
    options = parser.parse_args()
    print_study(options.data, 200 if options.quick else options.leaks, options.quick)
    print_speed(options.data, 10 if options.quick else options.megabytes)


if __name__ == "__main__":
    main()

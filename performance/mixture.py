"""What a mixture costs as a plan, beside a copy, interleaved datasets and a blended index.

50 sources, 10^8 tokens in windows of 2,048, 25 mixtures. Prints the time and size of building a plan; for each layout
of packs how fast its windows are read beside the same windows copied row by row from a file that holds the whole
mixture in order (the ratio that counts), rows of that file from random places, windows read in place by a blended
index, and Hugging Face's `interleave_datasets`; and what the paper's 25,000 steps x 1,024 windows x 8,192 tokens would
take, worked out from the measured terms. Packing is shared by all mixtures and timed apart. Everything is in the page
cache; reading is timed by the processor's clock.

    python performance/mixture.py [--quick] [--layouts concatenated packed]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.config.mixtures import MixtureSettings
from mixlab.config.sources import CATEGORIES, LANGUAGES
from mixlab.config.tokenizers import PackSettings
from mixlab.data.mixtures.mixing import build_mixture
from mixlab.data.mixtures.order import MixtureOrder
from mixlab.data.mixtures.windows import MixtureWindows
from mixlab.data.packs.pack import Pack
from mixlab.data.packs.packing import write_pack

SOURCES = 50
SEQUENCE_TOKENS = 2048
VOCABULARY = 50_000
DOCUMENT_TOKENS = 600
BATCH = 64
LAYOUTS = ("concatenated", "packed")
STEPS, GLOBAL_BATCH, PAPER_SEQUENCE_TOKENS = 25_000, 1_024, 8_192
"""Instruction pre-training as published by Kodama and Oda: steps, windows of a step, tokens of a window."""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10^7 tokens and 3 mixtures")
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS, help="of the packs (default: both)")
    parser.add_argument("--rounds", type=int, default=5, help="how often reading is timed, in turn (default 5)")
    return parser.parse_args()


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Append the seconds of the block."""
    begin = time.perf_counter()
    yield
    into.append(time.perf_counter() - begin)


def write_store(folder: Path, tokens: int, chance: np.random.Generator) -> None:
    """Write a token store of documents of about 600 tokens, a third of each a response."""
    folder.mkdir(parents=True)
    lengths = chance.gamma(2.0, DOCUMENT_TOKENS / 2, size=2 * tokens // DOCUMENT_TOKENS + 2).astype(np.int64) + 8
    ends = np.cumsum(lengths)
    ends = ends[: int(np.searchsorted(ends, tokens)) + 1]
    starts = np.concatenate([[0], ends[:-1]])
    chance.integers(5, VOCABULARY, ends[-1], dtype=np.uint16).tofile(folder / "tokens.bin")
    spans = np.stack([ends - (ends - starts) // 3, ends], axis=1)
    np.save(folder / "document_offsets.npy", np.concatenate([[0], ends]).astype("<i8"))
    np.save(folder / "response_spans.npy", spans.astype("<i8"))
    responses = int(np.diff(spans).sum())
    index: dict[str, Any] = {"documents": len(ends), "tokens": int(ends[-1]), "response_tokens": responses}
    index |= {"dtype": "uint16", "vocab_size": VOCABULARY, "excluded": 0}
    (folder / "index.json").write_text(json.dumps(index))


def make_sources(root: Path, tokens: int) -> tuple[list[dict[str, Any]], list[Path]]:
    """Labels and token stores of 50 sources; the largest is 30 times the smallest."""
    chance = np.random.default_rng(0)
    sizes = np.geomspace(1, 30, SOURCES)
    labels, stores = [], []
    for at, size in enumerate(sizes / sizes.sum()):
        label: dict[str, Any] = {"kind": "raw", "language": LANGUAGES[at % 2]}
        if at % 4:
            label |= {"kind": "instruction", "category": CATEGORIES[at // 2 % 4]}
        labels.append(label)
        stores.append(root / "stores" / str(at))
        write_store(stores[-1], int(2 * tokens * size), chance)
    return labels, stores


def pack_sources(root: Path, labels: list[dict[str, Any]], stores: list[Path], layout: Any) -> list[Path]:
    """Pack them all, and print what it cost."""
    packs = [root / "packs" / store.name for store in stores]
    begin = time.perf_counter()
    for label, store, pack in zip(labels, stores, packs, strict=True):
        pack.mkdir(parents=True)
        write_pack(PackSettings(sequence_tokens=SEQUENCE_TOKENS, layout=layout), store, label["kind"], pack)
    tokens = sum(Pack(pack).tokens for pack in packs)
    seconds = time.perf_counter() - begin
    size = sum(file.stat().st_size for pack in packs for file in pack.iterdir())
    print(f"packing, shared by all mixtures: {seconds:.2f} s and {size:,} B for {tokens:,} tokens")
    return packs


def build_mixtures(root: Path, labels: list[dict[str, Any]], packs: list[Path], tokens: int, count: int) -> list[Path]:
    """Build `count` mixtures of different shares, and print what each cost."""
    made, sizes = [], []
    seconds: list[float] = []
    for number in range(count):
        weights = {category: 1 + (number + at) % 4 for at, category in enumerate(CATEGORIES)}
        shares = {name: f"{weight}/{sum(weights.values())}" for name, weight in weights.items()}
        settings = MixtureSettings.model_validate(
            {
                "sources": labels,
                "instruction": f"{1 + number % 9}/10",
                "category": shares,
                "budget": {"tokens": tokens},
                "max_epochs": 100,
                "seed": number,
            }
        )
        made.append(root / "mixtures" / str(number))
        made[-1].mkdir(parents=True)
        with timed(seconds):
            build_mixture(settings, packs, made[-1])
        sizes.append(sum(file.stat().st_size for file in made[-1].iterdir()))
    print(f"building {count} mixtures: median {statistics.median(seconds):.3f} s, largest {max(seconds):.3f} s each")
    print(f"size of a mixture: median {statistics.median(sizes):,.0f} B, largest {max(sizes):,} B")
    return made


def write_copy(windows: MixtureWindows, path: Path) -> np.ndarray:
    """Write the windows of a mixture out, one row each, as a copied mixture would be."""
    copy = np.memmap(path, dtype=np.uint16, mode="w+", shape=(len(windows), windows.sequence_tokens))
    for first in range(0, len(windows), 1024):
        last = min(first + 1024, len(windows))
        copy[first:last] = windows.read_windows(first, last)[0]
    copy.flush()
    return np.asarray(np.memmap(path, dtype=np.uint16, mode="r", shape=copy.shape))


def read_copy(copy: np.ndarray, first: int, last: int) -> np.ndarray:
    """Read the rows [first, last) window by window, as int64."""
    tokens_BT = np.empty((last - first, SEQUENCE_TOKENS), dtype=np.int64)
    for row in range(last - first):
        tokens_BT[row] = copy[first + row]
    return tokens_BT


def read_shuffled_copy(copy: np.ndarray, places: np.ndarray, first: int, last: int) -> np.ndarray:
    """Read as many rows, each from a random place: what a plan cannot avoid, since its windows lie anywhere."""
    tokens_BT = np.empty((last - first, SEQUENCE_TOKENS), dtype=np.int64)
    for row, place in enumerate(places[first:last].tolist()):
        tokens_BT[row] = copy[place]
    return tokens_BT


def build_blended_index(
    order: MixtureOrder, packs: list[Path], stores: list[Path], path: Path
) -> Callable[[int, int], np.ndarray]:
    """A source and a window for each place, as arrays in files: what Megatron's blended dataset keeps."""
    sources, windows = order.slice(0, len(order))
    np.save(path / "sources.npy", sources.astype(np.int16))
    np.save(path / "windows.npy", windows)
    size = sum(file.stat().st_size for file in path.iterdir())
    print(f"a blended index of the same order: {size:,} B")
    source_P, window_P = (np.load(path / f"{name}.npy", mmap_mode="r") for name in ("sources", "windows"))
    opened = [Pack(pack) for pack in packs]
    tokens = [np.memmap(store / "tokens.bin", np.uint16, "r") for store in stores]

    def read(first: int, last: int) -> np.ndarray:
        tokens_BT = np.zeros((last - first, SEQUENCE_TOKENS), dtype=np.int64)
        for row in range(last - first):
            source, window = source_P[first + row], window_P[first + row]
            pack, at = opened[source], 0
            for start, length in pack.segments[pack.offsets_W[window] : pack.offsets_W[window + 1]]:
                tokens_BT[row, at : at + length] = tokens[source][start : start + length]
                at += length
        return tokens_BT

    return read


def build_interleaved(copy: np.ndarray, sources: np.ndarray) -> Callable[[int, int], np.ndarray] | None:
    """The same windows as Arrow datasets, interleaved by probability; None where `datasets` is not installed."""
    try:
        from datasets import Dataset, interleave_datasets
    except ImportError:
        return None
    used = np.unique(sources)
    parts = [Dataset.from_dict({"tokens": list(copy[sources == at])}).with_format("numpy") for at in used]
    shares = np.array([(sources == at).sum() for at in used]) / len(sources)
    blended = interleave_datasets(parts, probabilities=shares.tolist(), seed=0)

    def read(first: int, last: int) -> np.ndarray:
        last = min(last, len(blended))
        return np.stack([blended[at]["tokens"] for at in range(min(first, last - 1), last)]).astype(np.int64)

    return read


def compare_reading(root: Path, mixture: Path, stores: list[Path], packs: list[Path], rounds: int) -> dict[str, float]:
    """Print windows per second of processor time of each way, in turn; return the medians of seconds per window."""
    windows = MixtureWindows(mixture, packs, stores)
    (root / "blended").mkdir()
    copy = write_copy(windows, root / "copy.bin")
    sources, _ = windows.order.slice(0, len(windows))
    few, places = min(len(windows), 2048), np.random.default_rng(0).permutation(len(windows))
    fresh = MixtureWindows(mixture, packs, stores)
    begin = time.process_time()
    fresh.order.slice(0, len(fresh))
    order_seconds = (time.process_time() - begin) / len(windows)
    ways: dict[str, tuple[Callable[[int, int], Any] | None, int]] = {
        "copy": (lambda first, last: read_copy(copy, first, last), len(windows)),
        "copy, at random places": (lambda first, last: read_shuffled_copy(copy, places, first, last), len(windows)),
        "plan": (lambda first, last: fresh.read_windows(first, last)[0], len(windows)),
        "plan, window by window": (lambda first, last: [fresh.window(at) for at in range(first, last)], len(windows)),
        "blended index": (build_blended_index(windows.order, packs, stores, root / "blended"), len(windows)),
        "HF interleave": (build_interleaved(copy[:few], sources[:few]), few),
    }
    np.testing.assert_array_equal(fresh.read_windows(0, few)[0], read_copy(copy, 0, few))
    seconds: dict[str, list[float]] = {name: [] for name, (read, _) in ways.items() if read is not None}
    for _ in range(rounds):
        for name, (read, count) in ways.items():
            if read is not None:
                begin = time.process_time()
                for first in range(0, count - BATCH + 1, BATCH):
                    read(first, first + BATCH)
                seconds[name].append((time.process_time() - begin) / (count // BATCH * BATCH))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"reading, {name}: {1 / value:,.0f} windows/s, {medians['copy'] / value:.2f} of the copy")
    print(
        f"finding the order: {order_seconds * 1e6:.2f} us a window, once; reading and finding: "
        f"{medians['copy'] / (medians['plan'] + order_seconds):.2f} of the copy"
    )
    return medians | {"order": order_seconds}


def extrapolate(root: Path, labels: list[dict[str, Any]], packs: list[Path], tokens: int, by: dict[str, float]) -> None:
    """Print what the paper's mixture would take, by the terms measured here.

    Building and the ledger grow with the windows: their cost is the slope between two budgets.
    """
    seconds, sizes, windows, blocks = [], [], [], 0
    for number, budget in enumerate((tokens, 4 * tokens)):
        settings = {"sources": labels, "instruction": "1/2", "budget": {"tokens": budget}, "max_epochs": 1000}
        out = root / f"slope{number}"
        out.mkdir()
        begin = time.process_time()
        build_mixture(MixtureSettings.model_validate(settings), packs, out)
        seconds.append(time.process_time() - begin)
        sizes.append((out / "ledger.bin").stat().st_size)
        plan = json.loads((out / "plan.json").read_text())
        windows.append(plan["windows"])
        blocks = plan["block_windows"]
    build, ledger = ((values[1] - values[0]) / (windows[1] - windows[0]) for values in (seconds, sizes))
    paper, step = STEPS * GLOBAL_BATCH, GLOBAL_BATCH * PAPER_SEQUENCE_TOKENS / SEQUENCE_TOKENS
    print(
        f"{STEPS:,} x {GLOBAL_BATCH:,} x {PAPER_SEQUENCE_TOKENS:,} = {paper:,} windows of "
        f"{paper * PAPER_SEQUENCE_TOKENS:,} tokens, by these terms:\n"
        f"  build {paper * build:,.0f} s ({build * 1e6:.2f} us a window)\n"
        f"  ledger {paper * ledger / 1e6:.2f} MB ({ledger * blocks:.0f} B for {blocks:,} windows); a copy of two bytes "
        f"a token {2 * paper * PAPER_SEQUENCE_TOKENS / 1e9:,.0f} GB; a blended index of 10 B a window "
        f"{10 * paper / 1e6:,.0f} MB\n"
        f"  reading a step {step * by['plan'] + GLOBAL_BATCH * by['order']:.3f} s of one core, of a copy "
        f"{step * by['copy']:.3f} s\n"
        f"  the first window after a restart at any step {blocks * by['order'] * 1e3:.0f} ms"
    )


def measure(root: Path, layout: str, tokens: int, count: int, rounds: int) -> None:
    """Measure one layout."""
    print(f"\n{layout}, windows of {SEQUENCE_TOKENS:,} tokens, documents of about {DOCUMENT_TOKENS}")
    labels, stores = make_sources(root, tokens)
    packs = pack_sources(root, labels, stores, layout)
    mixtures = build_mixtures(root, labels, packs, tokens, count)
    certificate = json.loads((mixtures[4 % count] / "certificate.json").read_text())
    print(f"farthest from its due at a block's border: {certificate['deviation']['windows']} windows of real tokens")
    medians = compare_reading(root, mixtures[4 % count], stores, packs, rounds)
    extrapolate(root, labels, packs, tokens, medians)


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    tokens, count = (10**7, 3) if arguments.quick else (10**8, 25)
    for layout in arguments.layouts:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), layout, tokens, count, arguments.rounds)


if __name__ == "__main__":
    main()

"""Padding of SFT batches on real dialogues: best-fit packing beside what batches of single dialogues waste.

    python performance/packing.py --data ../shared/data [--quick]

The dialogues are those of the study real_small, English and Japanese, each language a token store of its own with a
byte-level BPE tokenizer trained on it. Best-fit is the pipeline's own packing (layout packed). Padding is the share of
a tensor's places that hold no token: best-fit and one dialogue a window are padded to the window, batches of 8 and 64
dialogues to their longest, in the order drawn from a seed or sorted by length. A dialogue longer than the window is
cut in all of them alike. `by source` packs each source by itself, as a mixture does: every source ends in one window
that is not full.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.config.chat import ChatTemplate
from mixlab.config.sources import FilesConfig, SourceConfig
from mixlab.config.studies import load_study
from mixlab.config.tokenizers import PackSettings, TokenizerSettings, TokenizeSettings
from mixlab.data.packs.pack import Pack
from mixlab.data.packs.packing import write_pack
from mixlab.data.sources.reading import read_records
from mixlab.data.tokens.store import TokenStore
from mixlab.data.tokens.tokenize import write_token_store
from mixlab.data.tokens.tokenizer import train_tokenizer

Record = dict[str, Any]
Sources = Mapping[str, list[Record]]

REPOSITORY = Path(__file__).resolve().parents[1]
LANGUAGES = ("en", "ja")
WINDOWS = (2_048, 4_096)
BATCHES = (8, 64)
WANTED = 0.01
VOCABULARY = 16_000


def read_source(config: SourceConfig, data: Path) -> Iterator[Record]:
    """Yield the records of a source of files below `data`; bad ones are left out."""
    assert isinstance(config.origin, FilesConfig)
    paths = sorted(path for pattern in config.origin.paths for path in data.glob(pattern))
    files = [(hashlib.sha256(path.read_bytes()).hexdigest(), path) for path in paths]
    settings = config.to_settings([digest for digest, _ in files])
    return read_records(settings, files, lambda exclusion: None)


def read_dialogues(data: Path, language: str, most: int) -> dict[str, list[Record]]:
    """Read the study's dialogues of one language, by source."""
    study, _ = load_study(REPOSITORY, "real_small")
    chosen = {name: one for name, one in study.sources.items() if (one.kind, one.language) == ("instruction", language)}
    return {name: list(read_source(one, data))[:most] for name, one in sorted(chosen.items())}


def write_stores(sources: Sources, root: Path) -> dict[str, Path]:
    """Write a token store of all dialogues, `all`, and one of each source."""
    everything = [record for records in sources.values() for record in records]
    (root / "bpe").mkdir(parents=True)
    train_tokenizer(TokenizerSettings(vocab_size=VOCABULARY), list(sources.values()), root / "bpe")
    stores = {}
    for name, records in {"all": everything, **sources}.items():
        stores[name] = root / "stores" / name
        stores[name].mkdir(parents=True)
        write_token_store(TokenizeSettings(chat=ChatTemplate()), records, root / "bpe", stores[name])
    return stores


def pack(store: Path, window: int, layout: Any, root: Path) -> Pack:
    """Pack a store as the pipeline does."""
    folder = root / "packs" / f"{store.name} {window} {layout}"
    folder.mkdir(parents=True)
    write_pack(PackSettings(sequence_tokens=window, layout=layout), store, "instruction", folder)
    return Pack(folder)


def share_padding(packs: list[Pack], window: int) -> float:
    """Share of the windows' places without a token."""
    return 1 - sum(one.tokens for one in packs) / (sum(one.windows for one in packs) * window)


def share_batch_padding(lengths: np.ndarray, batch: int) -> float:
    """Share of padding when every so many dialogues in a row are padded to the longest of them."""
    parts = [lengths[at : at + batch] for at in range(0, len(lengths), batch)]
    return float(1 - lengths.sum() / sum(len(part) * int(part.max()) for part in parts))


def measure(stores: Mapping[str, Path], window: int, root: Path) -> dict[str, float]:
    """Padding by each way, and what packing took in seconds."""
    begin = time.perf_counter()
    packed = pack(stores["all"], window, "packed", root)
    seconds = time.perf_counter() - begin
    single = pack(stores["all"], window, "one_per_window", root)
    if packed.tokens != single.tokens:
        raise SystemExit(f"packing lost tokens: {packed.tokens} of {single.tokens}")
    by_source = [pack(store, window, "packed", root) for name, store in stores.items() if name != "all"]
    shuffled = np.random.default_rng(0).permutation(np.asarray(single.tokens_W, np.int64))
    found = {"best-fit": share_padding([packed], window), "best-fit by source": share_padding(by_source, window)}
    for batch in BATCHES:
        found[f"batches of {batch}"] = share_batch_padding(shuffled, batch)
        found[f"batches of {batch}, sorted"] = share_batch_padding(np.sort(shuffled), batch)
    found["one a window"] = share_padding([single], window)
    print(
        f"  {window:,} tokens: {single.windows:,} dialogues in {packed.windows:,} windows, "
        f"{packed.tokens / packed.windows:,.0f} tokens each, packed in {seconds:.2f} s; "
        f"{int(single.index['truncated'])} dialogues cut, {int(single.index['truncated_tokens']):,} tokens"
    )
    for name, share in found.items():
        print(f"    {name:24} {share:7.2%}")
    return found


def describe(store: Path) -> str:
    """Say how long the dialogues are."""
    lengths = np.concatenate([np.diff(borders) for _, borders in TokenStore(store).blocks()])
    middle, high = np.percentile(lengths, [50, 95])
    return f"{lengths.sum():,} tokens; median {middle:.0f}, 95th percentile {high:.0f}, longest {lengths.max():,}"


def main() -> None:
    """Measure both languages and say whether best-fit keeps what is wanted of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with benchmarks/ and instruction/")
    parser.add_argument("--quick", action="store_true", help="at most 500 dialogues of each source")
    options = parser.parse_args()
    if not (options.data / "instruction").is_dir():
        sys.exit(f"no real dialogues: {options.data}/instruction is not there")
    worst = 0.0
    for language in LANGUAGES:
        sources = read_dialogues(options.data, language, 500 if options.quick else sys.maxsize)
        with tempfile.TemporaryDirectory() as folder:
            stores = write_stores(sources, Path(folder))
            names = ", ".join(f"{name} {len(records):,}" for name, records in sources.items())
            print(f"{language}: {names}; {describe(stores['all'])}")
            worst = max(worst, *(measure(stores, window, Path(folder))["best-fit"] for window in WINDOWS))
    verdict = "kept" if worst <= WANTED else "MISSED"
    print(f"best-fit pads at most {worst:.2%}; wanted: {WANTED:.0%} at most: {verdict}")


if __name__ == "__main__":
    main()

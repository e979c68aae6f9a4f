"""Peak memory of every data stage on one large source that is made on the spot, against 500 MB.

    python performance/memory.py --quick
    python performance/memory.py --gib 2 --stages source tokenize

Each stage runs in a process of its own. Peak: the most resident memory of that process (VmHWM), files mapped into it
included; own: the most of it that is of no mapped file (RssAnon, read every 20 ms); worker: the most of any process
that it started. The limit is on the peak, except for what only reads windows, as training does: that maps all token
stores, pages that the system takes back when it needs them, so there the limit is on its own. The source is JSON lines
with dialogues in English and Japanese, every fiftieth of them a copy of an earlier one. A stage is one line of STAGES,
which stand in the order in which they need each other's results.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

LIMIT_MB = 500
READING = "reading windows"


@dataclass(frozen=True)
class Lab:
    """The folder in which the stages find each other's results."""

    folder: Path

    def out(self, name: str) -> Path:
        """An empty folder for a stage's result."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def at(self, name: str) -> Path:
        """The result of a stage that ran before."""
        return self.folder / name

    def settings(self, what: str = "data") -> Any:
        """Settings of the large source, or of the benchmark."""
        from mixlab.config.sources import SourceConfig

        kind = "instruction" if what == "data" else "benchmark"
        fields: dict[str, Any] = {"preset": "messages"} if what == "data" else {"fields": {"item": {"prompt": "{q}"}}}
        origin = {"type": "files", "paths": ["x"], "format": "jsonl"} | fields
        declared = {"kind": kind, "language": "en", "licence": "CC0-1.0", "origin": origin}
        if what == "data":
            declared["category"] = "general"
        return SourceConfig.model_validate(declared).to_settings([digest for digest, _ in self.files(what)])

    def files(self, what: str = "data") -> list[tuple[str, Path]]:
        """Digest and path of the large source, or of the benchmark."""
        return [((self.folder / f"{what}.sha256").read_text(), self.folder / f"{what}.jsonl")]

    def records(self, what: str = "data") -> Iterator[Any]:
        """The records of the large source, or of the benchmark."""
        from mixlab.data.sources.source import open_source

        return open_source(self.settings(what), self.at("source" if what == "data" else "benchmark"), self.files(what))

    def numbered(self) -> Iterator[tuple[int, Any]]:
        """The records of the large source with their ordinals."""
        return enumerate(self.records())

    def total(self) -> int:
        """How many records the large source has."""
        from mixlab.data.sources.source import count_records

        return count_records(self.at("source"))


def run_source(lab: Lab, what: str) -> None:
    """Index the source."""
    from mixlab.data.sources.source import build_source

    build_source(lab.settings(what), lab.files(what), lab.out("source" if what == "data" else what))


def run_reading(lab: Lab, parts: int) -> None:
    """Read a part of the source, by its index."""
    from mixlab.data.sources.source import open_source

    total = lab.total()
    first, last = total * (parts - 1) // parts, total
    assert sum(1 for _ in open_source(lab.settings(), lab.at("source"), lab.files(), first, last)) == last - first


def run_filter(lab: Lab, name: str, **settings: Any) -> None:
    """Run one filter over the source."""
    from pydantic import TypeAdapter

    from mixlab.config.filters import FilterSettings
    from mixlab.data.filters.write import write_filter

    chosen: Any = TypeAdapter(FilterSettings).validate_python({"type": name, **settings})
    tokenizer = lab.at("tokenizer") if name == "length" else None
    scratch, out = lab.out(f"{name}-scratch"), lab.out(name)
    write_filter(chosen, lab.numbered, lab.total(), None, out, tokenizer=tokenizer, scratch=scratch)


def run_contamination(lab: Lab) -> None:
    """Look for the items of a benchmark of 2,000 items."""
    from mixlab.config.filters import ContaminationSettings
    from mixlab.data.overlap.contamination import write_contamination

    write_contamination(ContaminationSettings(), lab.numbered(), [lab.records("benchmark")], lab.out("contamination"))


def run_label(lab: Lab) -> None:
    """Label by rules."""
    from mixlab.config.labelling import LabelSettings, RulesLabelEngine
    from mixlab.data.labels.labelling import label_records

    settings = LabelSettings(engine=RulesLabelEngine(type="rules"), attempts=1)
    label_records(settings, lab.numbered, lab.total(), None, lab.at("labels.sqlite"), lab.out("label"))


def run_tokenizer(lab: Lab) -> None:
    """Train a tokenizer on the source."""
    from mixlab.config.tokenizers import TokenizerSettings
    from mixlab.data.tokens.tokenizer import train_tokenizer

    train_tokenizer(TokenizerSettings(vocab_size=8000), [lab.records()], lab.out("tokenizer"))


def run_tokenize(lab: Lab, workers: int) -> None:
    """Tokenize the source."""
    from mixlab.config.chat import ChatTemplate
    from mixlab.config.tokenizers import TokenizeSettings
    from mixlab.data.tokens.tokenize import write_token_store

    settings = TokenizeSettings(chat=ChatTemplate())
    write_token_store(settings, lab.records(), lab.at("tokenizer"), lab.out("tokenize"), workers=workers)


def run_pack(lab: Lab, layout: Any) -> None:
    """Pack the token store into windows."""
    from mixlab.config.tokenizers import PackSettings
    from mixlab.data.packs.packing import write_pack

    write_pack(PackSettings(sequence_tokens=2048, layout=layout), lab.at("tokenize"), "instruction", lab.out(layout))


def run_mixture(lab: Lab) -> None:
    """Mix all windows of the source."""
    from mixlab.config.mixtures import MixtureSettings
    from mixlab.data.mixtures.mixing import build_mixture

    source = {"kind": "instruction", "language": "en", "category": "general"}
    budget = {"epochs": 1}
    settings = MixtureSettings.model_validate({"sources": [source], "budget": budget, "instruction": 1})
    build_mixture(settings, [lab.at("packed")], lab.out("mixture"))


def run_windows(lab: Lab) -> None:
    """Read all windows of the mixture in order, and some one by one."""
    from mixlab.data.mixtures.windows import MixtureWindows

    windows = MixtureWindows(lab.at("mixture"), [lab.at("packed")], [lab.at("tokenize")])
    for first in range(0, len(windows), 64):
        windows.read_windows(first, min(first + 64, len(windows)))
    for position in range(0, len(windows), 1 + len(windows) // 20_000):
        windows.window(position)


STAGES: dict[str, Callable[[Lab], None]] = {
    "source": partial(run_source, what="data"),
    "benchmark": partial(run_source, what="benchmark"),
    "last eighth of it": partial(run_reading, parts=8),
    "exact duplicates": partial(run_filter, name="exact_duplicates"),
    "near duplicates": partial(run_filter, name="near_duplicates"),
    "personal data": partial(run_filter, name="personal_data"),
    "contamination": run_contamination,
    "label": run_label,
    "tokenizer": run_tokenizer,
    "length": partial(run_filter, name="length", max_tokens=400),
    "tokenize 1": partial(run_tokenize, workers=1),
    "tokenize 2": partial(run_tokenize, workers=2),
    "pack packed": partial(run_pack, layout="packed"),
    "pack concatenated": partial(run_pack, layout="concatenated"),
    "pack one_per_window": partial(run_pack, layout="one_per_window"),
    "mixture": run_mixture,
    READING: run_windows,
}


def make_source(folder: Path, size_bytes: int) -> None:
    """Write the large source and a benchmark, with their digests."""
    import hashlib

    generator = random.Random(0)
    english = ["".join(generator.choices("etaoinshrdlu", k=generator.randint(2, 9))) for _ in range(30_000)]
    kana = [chr(code) for code in [*range(0x3042, 0x3093), *range(0x4E00, 0x5200)]]
    japanese = ["".join(generator.choices(kana, k=generator.randint(8, 30))) for _ in range(30_000)]

    def text(words: list[str], mark: str, count: int) -> str:
        return mark.join(generator.choices(words, k=count))

    kept: list[bytes] = []
    found, written, number = hashlib.sha256(), 0, 0
    with (folder / "data.jsonl").open("wb") as file:
        while written < size_bytes:
            if number % 50 == 49:
                line = generator.choice(kept)
            else:
                is_english = number % 3 > 0
                part = partial(text, english if is_english else japanese, " " if is_english else "。")
                answers = generator.randint(20, 400 if is_english else 60)
                turns = [("user", part(20 if is_english else 3)), ("assistant", part(answers))]
                row = {"messages": [{"role": role, "content": content} for role, content in turns]}
                line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
                kept = [*kept[-200:], line] if number % 10 == 0 else kept
            file.write(line)
            found.update(line)
            written, number = written + len(line), number + 1
    (folder / "data.sha256").write_text(found.hexdigest())
    items = b"".join(json.dumps({"q": text(english, " ", 60)}).encode() + b"\n" for _ in range(2_000))
    (folder / "benchmark.jsonl").write_bytes(items)
    (folder / "benchmark.sha256").write_text(hashlib.sha256(items).hexdigest())


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024 / 1e6


class _Own(threading.Thread):
    """Looks up now and then how much memory of this process is of no file."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb = 0.0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.peak_mb = max(self.peak_mb, _status_mb("RssAnon"))


def run_stage(name: str, folder: Path) -> None:
    """Run one stage here, and print its seconds and peaks."""
    own, start = _Own(), time.perf_counter()
    own.start()
    STAGES[name](Lab(folder))
    own.done.set()
    found = {"seconds": time.perf_counter() - start, "peak_mb": _status_mb("VmHWM"), "own_mb": own.peak_mb}
    print(json.dumps(found | {"worker_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6}))


def measure(name: str, folder: Path) -> dict[str, float] | str:
    """Run one stage in a process of its own."""
    command = [sys.executable, __file__, "--stage", name, "--folder", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no word"])[-1]
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Make the source, run the stages, print the table; leave with 1 when a peak is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=2.0, help="size of the source")
    parser.add_argument("--quick", action="store_true", help="a source of 0.1 GiB")
    parser.add_argument("--stages", nargs="+", help="only stages with one of these words in their name")
    parser.add_argument("--folder", type=Path, help="keep source and results here, and find them here")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stage:
        run_stage(asked.stage, asked.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "benchmark.sha256").exists():
            make_source(folder, int((0.1 if asked.quick else asked.gib) * 2**30))
        size = (folder / "data.jsonl").stat().st_size
        print(f"source: {size / 2**30:.2f} GiB; limit {LIMIT_MB} MB a process")
        print(f"{'stage':22}{'seconds':>9}{'MB/s':>8}{'peak MB':>9}{'own MB':>8}{'worker MB':>11}")
        failed = False
        for name in STAGES:
            if asked.stages and not any(word in name for word in asked.stages):
                continue
            found = measure(name, folder)
            if isinstance(found, str):
                print(f"{name:22} failed: {found}", flush=True)
                failed = True
                continue
            peak = max(found["own_mb" if name == READING else "peak_mb"], found["worker_mb"])
            failed |= peak > LIMIT_MB
            rate = size / 1e6 / found["seconds"]
            told = f"{found['seconds']:9.1f}{rate:8.1f}{found['peak_mb']:9.0f}{found['own_mb']:8.0f}"
            told += f"{found['worker_mb']:11.0f}"
            print(f"{name:22}{told}{'  ABOVE' if peak > LIMIT_MB else ''}", flush=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()

"""Tokenizing: ours against bare `encode_batch_fast` plus taking the ids out, and beside peers; see tokenize.py.

Each figure is of a process of its own: user and system time, children included, or wall time. From each the same
process's time without the texts (bare) or with a few short records (ours, peers) is taken away: the start-up. Ours
reads and verifies JSON lines from disk, checks the records and writes a whole token store; bare has its texts in
memory and writes nothing. Measured alternately; a ratio is the median of the ratios of neighbours in time.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tokenizing_texts import list_texts

from mixlab.config.chat import ChatTemplate
from mixlab.config.origins import FilesOrigin
from mixlab.config.sources import SourceSettings
from mixlab.config.tokenizers import TokenizerSettings, TokenizeSettings
from mixlab.data.sources.source import build_source, open_source
from mixlab.data.tokens import tokenize
from mixlab.data.tokens.chat import render
from mixlab.data.tokens.tokenize import write_token_store
from mixlab.data.tokens.tokenizer import load_tokenizer, train_tokenizer

CORPORA = ("en", "ja", "code", "chat_en", "chat_ja")
TABLES = ("bare", "workers", "peers")
PEERS = ("datatrove", "datasets", "litdata")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python performance/tokenize.py --quick")
    parser.add_argument("--quick", action="store_true", help="1 MB of each text, one repeat")
    parser.add_argument("--megabytes", type=float, default=8, help="text of each kind; a shorter one is repeated")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--vocab", type=int, default=32000, help="entries of the tokenizer that is trained first")
    parser.add_argument("--workers", type=int, default=2, help="processes of the second measurement; 1: leave it out")
    parser.add_argument("--corpora", default=",".join(CORPORA))
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="what to measure; absent: all")
    parser.add_argument("--backend", default="hf", help="hf, or kitoken where it is installed")
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter that has datatrove, datasets or litdata")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(*options.child)
        return
    if options.quick:
        options.megabytes, options.repeats = 1, 1
    with tempfile.TemporaryDirectory() as folder:
        compare_all(options, Path(folder))


def compare_all(options: argparse.Namespace, folder: Path) -> None:
    """Prepare the texts, measure, print."""
    names = options.corpora.split(",")
    texts = {name: list_texts(name) for name in names}
    (folder / "tokenizer").mkdir()
    settings = TokenizerSettings(vocab_size=options.vocab)
    train_tokenizer(settings, [records for _, records in texts.values()], folder / "tokenizer")
    for name, (_, records) in texts.items():
        write_source(folder / name, records, options.megabytes)
        shortest = sorted(records, key=lambda record: len(json.dumps(record)))
        write_source(folder / f"{name}-start", shortest[: 2 * options.workers], 0)
    if "bare" in options.tables:
        print(f"{'text':8} {'MB':>5} {'bare CPU s':>10} {'ours CPU s':>10} {'bare/ours':>9}   {'MB/CPU s':>8}")
        for name, (origin, _) in texts.items():
            print_ratio(folder, name, origin, options)
    if "workers" in options.tables and options.workers > 1:
        ends = f"{'faster':>7} {'lowest':>6} {'highest':>7} {'CPU':>6}"
        print(f"\n{'text':8} {'1 wall s':>9} {options.workers:2} wall s {ends}")
        for name in names:
            print_speedup(folder, name, options)
    if "peers" in options.tables:
        print_peers(folder, names[0], options)


def write_source(folder: Path, records: list[dict[str, Any]], megabytes: float) -> None:
    """Write records as JSON lines, over and over until there are so many megabytes, and the source's artifact."""
    (folder / "artifact").mkdir(parents=True)
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    size = 0
    with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
        while True:
            for line in lines:
                size += file.write(line) and len(line.encode())
                if size >= megabytes * 1e6 > 0:
                    break
            if size >= megabytes * 1e6:
                break
    (folder / "digest").write_text(hashlib.sha256((folder / "texts.jsonl").read_bytes()).hexdigest())
    build_source(source_of(folder), files_of(folder), folder / "artifact")


def files_of(folder: Path) -> list[tuple[str, Path]]:
    """The file of a source with its digest."""
    return [((folder / "digest").read_text(), folder / "texts.jsonl")]


def source_of(folder: Path) -> SourceSettings:
    """The settings of the source in a folder."""
    is_chat = folder.name.startswith("chat_")
    turns = {"messages": {"field": "messages", "role_field": "role", "content_field": "content"}}
    fields = turns if is_chat else {"text": "{text}"}
    origin = {"type": "files", "format": "jsonl", "digests": [files_of(folder)[0][0]], "fields": fields}
    return SourceSettings(kind="instruction" if is_chat else "raw", origin=FilesOrigin.model_validate(origin))


def run_child(mode: str, folder: str, argument: str) -> None:
    """Do in this process what is to be measured."""
    source = Path(folder)
    tokenizer = source.parent / "tokenizer"
    chat = ChatTemplate() if source.name.startswith("chat_") else None
    if mode.startswith("bare"):
        run_bare(source, tokenizer, chat, encode=mode == "bare")
        return
    settings, files = source_of(source), files_of(source)
    workers, backend = argument.split(":")
    if folder.endswith("-start"):
        tokenize._BLOCK_RECORDS = 1  # so that every process has a record to begin with
    with tempfile.TemporaryDirectory(dir=source.parent) as out:
        records = open_source(settings, source / "artifact", files)
        write_token_store(
            TokenizeSettings(chat=chat), records, tokenizer, Path(out), workers=int(workers), backend=backend
        )


def run_bare(source: Path, tokenizer_folder: Path, chat: ChatTemplate | None, *, encode: bool) -> None:
    """Encode texts that are in memory, 256 at a time, and take their ids out; without `encode` the start-up alone."""
    tokenizer = load_tokenizer(tokenizer_folder)
    tokenizer.encode_special_tokens = chat is None
    records = [json.loads(line) for line in (source / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = [
        record["text"] if chat is None else "".join(piece.text for piece in render(record["messages"], chat))
        for record in records
    ]
    for at in range(0, len(texts) if encode else 0, 256):
        for encoding in tokenizer.encode_batch_fast(texts[at : at + 256], add_special_tokens=False):
            _ = encoding.ids


def measure(command: list[str]) -> tuple[float, float]:
    """Run a program and return its CPU seconds, children included, and its wall seconds."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            said.seek(0)
            sys.exit(f"failed: {' '.join(command)}\n{said.read().decode()}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started


def child(mode: str, source: Path, argument: str = "-") -> tuple[float, float]:
    """Measure one mode on one source."""
    program = str(Path(__file__).with_name("tokenize.py"))
    return measure([sys.executable, program, "--child", mode, str(source), argument])


def net(mode: str, source: Path, argument: str = "-") -> tuple[float, float]:
    """CPU and wall seconds of a mode without its start-up."""
    start = child("bare_start", source) if mode == "bare" else child(mode, Path(f"{source}-start"), argument)
    whole = child(mode, source, argument)
    return whole[0] - start[0], whole[1] - start[1]


def print_ratio(folder: Path, name: str, origin: str, options: argparse.Namespace) -> None:
    """Ours with one process against the bare library."""
    pairs = []
    for _ in range(options.repeats):
        ours = net("ours", folder / name, f"1:{options.backend}")[0]
        pairs.append((net("bare", folder / name)[0], ours))
    bare, ours = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    ratio = statistics.median(bare / ours for bare, ours in pairs)
    size = (folder / name / "texts.jsonl").stat().st_size / 1e6
    print(f"{name:8} {size:5.1f} {bare:10.2f} {ours:10.2f} {ratio:9.3f}   {size / ours:8.2f}   {origin}", flush=True)


def print_speedup(folder: Path, name: str, options: argparse.Namespace) -> None:
    """Several processes against one."""
    runs: dict[int, list[tuple[float, float]]] = {1: [], options.workers: []}
    for _ in range(options.repeats):
        for workers, measured in runs.items():
            measured.append(net("ours", folder / name, f"{workers}:{options.backend}"))
    (one_cpu, one), (cpu, several) = (
        tuple(statistics.median(run[place] for run in measured) for place in (0, 1)) for measured in runs.values()
    )
    faster = sorted(alone[1] / together[1] for alone, together in zip(*runs.values(), strict=True))
    spread = f"{statistics.median(faster):7.2f} {faster[0]:6.2f} {faster[-1]:7.2f}"
    print(f"{name:8} {one:9.2f} {several:9.2f} {spread} {cpu / one_cpu:6.2f}", flush=True)


def print_peers(folder: Path, name: str, options: argparse.Namespace) -> None:
    """Peers with one process on the first raw text, each from JSON lines to ids on disk."""
    ours = statistics.median(net("ours", folder / name, f"1:{options.backend}")[0] for _ in range(options.repeats))
    print(f"\npeers on {name}, one process, JSON lines to ids on disk\n{'ours':10} {ours:6.2f} CPU s")
    program = str(Path(__file__).with_name("tokenizing_peers.py"))
    for peer in PEERS:
        probe = [options.peers or sys.executable, "-c", f"import {peer}"]
        if subprocess.run(probe, capture_output=True).returncode:
            print(f"{peer:10} not installed")
            continue
        seconds = []
        for _ in range(options.repeats):
            start, whole = (
                measure([probe[0], program, peer, str(folder / source / "texts.jsonl"), str(folder / "tokenizer")])[0]
                for source in (f"{name}-start", name)
            )
            seconds.append(whole - start)
        theirs = statistics.median(seconds)
        print(f"{peer:10} {theirs:6.2f} CPU s   {theirs / ours:.2f} times ours", flush=True)

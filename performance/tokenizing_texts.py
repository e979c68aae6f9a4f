"""Texts to tokenize: real ones where the data beside the checkout is there, else generated; code from Python itself."""

import gzip
import json
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixlab.config.origins import GeneratorOrigin, InventedWorld
from mixlab.data.sources.generators import generate_records

Record = dict[str, Any]
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


def list_texts(name: str) -> tuple[str, list[Record]]:
    """Return where the records of `en`, `ja`, `code`, `chat_en` or `chat_ja` come from, and the records."""
    if name == "code":
        return "Python's standard library", [{"text": text} for text in _code()]
    if REAL.is_dir():
        return "real", {"en": _english, "ja": _japanese, "chat_en": _alpaca, "chat_ja": _dialogues}[name]()
    kind, language = ("instruction", name[5:]) if name.startswith("chat_") else ("raw", name)
    options = InventedWorld(world_seed=1, language=language, category="general" if kind == "instruction" else None)
    origin = GeneratorOrigin(type="generator", name="invented_world", size=3000, options=options)
    return "generated", list(generate_records(kind, origin))


def _code() -> Iterator[str]:
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if "site-packages" not in path.parts and text.strip():
            yield text


def _read(path: str) -> str:
    data = (REAL / path).read_bytes()
    return (gzip.decompress(data) if path.endswith(".gz") else data).decode()


def _rows(path: str) -> list[Any]:
    return [json.loads(line) for line in _read(path).splitlines() if line.strip()]


def _english() -> list[Record]:
    text = "".join(_read(f"raw/en/wikitext-2_{part}.txt.gz") for part in ("valid", "test"))
    articles = [article for article in re.split(r"\n(?= = [^=])", text) if article.strip()]
    return [*({"text": article} for article in articles), *_texts(_rows("raw/en/ud_ewt_dev-test.jsonl.gz"))]


def _texts(rows: list[Any]) -> list[Record]:
    return [{"text": row["text"]} for row in rows]


def _japanese() -> list[Record]:
    records = _texts(_rows("raw/ja/wikipedia_annotated_corpus.jsonl.gz"))
    for book in ("bottyan", "kokoro", "neko", "sanshiro"):
        lines = [line for line in _read(f"raw/ja/aozora_{book}.txt.gz").splitlines() if line.strip()]
        records += [{"text": "\n".join(lines[at : at + 20])} for at in range(0, len(lines), 20)]
    return records


def _dialogue(*turns: str) -> list[Record]:
    if len(turns) < 2 or not all(turn.strip() for turn in turns):
        return []
    roles = ("user", "assistant")
    return [{"messages": [{"role": roles[at % 2], "content": turn} for at, turn in enumerate(turns)]}]


def _alpaca() -> list[Record]:
    rows = [*json.loads(_read("instruction/en/code/code_alpaca_2k.json"))]
    return [one for row in rows for one in _dialogue(f"{row['instruction']}\n{row['input']}".strip(), row["output"])]


def _dialogues() -> list[Record]:
    found = []
    for row in _rows("instruction/ja/general/instruction_ja_data.jsonl"):
        turns = [turn["text"] for turn in row["utterances"]]
        found += _dialogue(*turns[: len(turns) // 2 * 2])
    return found

"""The fixed tiny inputs behind golden_bytes.json, hand-made: sources, filters, contamination, labels."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from golden_bytes import Bench, Pin

from mixlab.plan import specs

TEXTS = ("A ship sailed. A ship sank.", "船が港に着いた。船は 12 隻。", "def f(x):\n    return x + 12\n")
DIALOGUES = (("What is 2 + 3?", "2 + 3 = 5"), ("3 たす 4 は？", "7 です"), ("Write f.", "def f():\n    pass"))
RAW = [{"text": text} for text in TEXTS]
INSTRUCTION = [
    {"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]}
    for user, assistant in DIALOGUES
]
WORLD_KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "raw"},
    *({"kind": "instruction", "category": category} for category in ("code", "general", "math", "reasoning")),
    *({"kind": "benchmark", "category": category} for category in ("code", "general", "math", "reasoning")),
    {"kind": "instruction", "category": "general", "part": "dialogue"},
    {"kind": "benchmark", "part": "dialogue"},
    {"kind": "benchmark", "category": "general", "part": "strangers"},
)


def build_source(kind: str, **options: str) -> specs.SourceSpec:
    world = {"language": "en", "world_seed": 3, **options}
    origin = {"type": "generator", "name": "invented_world", "size": 6, "seed": 5, "options": world}
    return specs.SourceSpec.model_validate({"source": {"kind": kind, "origin": origin}})


def put_source(bench: Bench, kind: str, records: list[dict[str, Any]]) -> str:
    """Hand-made records; of the generator they claim to come from, only the kind matters."""
    options = {} if kind == "raw" else {"category": "math"}
    index = {"records": len(records), "excluded": 0, "bytes": 0}
    return bench.put(build_source(kind, **options), {"records.jsonl": records, "index.json": index})


def make_world(bench: Bench, kind: str, **options: str) -> Pin:
    return bench.run(build_source(kind, **options))


def index_files(bench: Bench) -> Pin:
    """A good record, one without its field, one that is no JSON, and a second file."""
    first = b'{"q": "2 + 2?", "a": "4"}\n{"q": "no answer"}\n{"q":\n'
    digests = [bench.put_source_file("a.jsonl", first), bench.put_source_file("b.jsonl", b'{"q": "1?", "a": "1"}\n')]
    fields = {"user": "{q}", "assistant": "{a}"}
    origin = {"type": "files", "format": "jsonl", "fields": fields, "digests": sorted(digests)}
    source = {"kind": "instruction", "on_bad_record": "exclude", "origin": origin}
    return bench.run(specs.SourceSpec.model_validate({"source": source}))


SENTENCE = "On the third day the ship from the north sailed past the old lighthouse and twelve sailors sang of home"
LONG = f"{SENTENCE} while the harbour master counted every barrel of salt and wrote each number down in his book."
LONG_JA = (
    "三日目に北の船は古い灯台のそばを通り、十二人の船乗りは故郷の歌を歌い、港の主は塩の樽を一つずつ数えて帳面に書いた。"
)
REPEATED = (
    LONG,
    f"  {LONG}\u3000",
    LONG.upper(),
    LONG.replace("his book", "the book"),
    LONG_JA,
    LONG_JA.replace("帳面", "紙"),
    "short",
    "ｓｈｏｒｔ",
)
"""White space, case, a word or two changed, and width."""
ELSEWHERE = ("short", LONG_JA.replace("三日目", "四日目"))
PERSONAL = (
    "Nobody is named here.",
    "Write to anna@kanna-port.net or call +1 212 736 5000, from 198.41.0.4, not from 198.41.0.4.9.",
    "住所は〒100-0001、電話は 03-1234-5678 です。",
    "Card 4532 0151 1283 0366, not 4532 0151 1283 0367; 個人番号 1234 5678 9018.",
)
QUESTION = (
    "A baker sells forty two loaves in the morning and half as many in the afternoon; how many loaves is that in all?"
)
QUESTION_JA = "パン屋は朝に四十二個のパンを売り、昼にその半分を売りました。全部でいくつ売りましたか。"
ITEMS = [
    {"id": "en", "question": QUESTION, "answer": "63"},
    {"id": "ja", "question": QUESTION_JA, "answer": "63"},
    {
        "id": "none",
        "question": "Which river runs through the capital of the land where nobody has ever been?",
    },
]
LEAKS = (
    f"Once: {QUESTION}",
    QUESTION.replace("loaves in the morning", "rolls in the morning").upper(),
    "A baker sells loaves.",
    f"問題。{QUESTION_JA}",
    QUESTION_JA.replace("全部", "合計").replace("。", " "),
    "パン屋は朝に売りました。",
    QUESTION.replace("forty two", "seventeen").replace("half as many", "twice as many"),
)
"""Verbatim, lightly edited, decoys, other numbers; in both languages."""


def filter_records(
    bench: Bench,
    texts: Sequence[str],
    before: Sequence[int] | None = None,
    against: Sequence[str] = (),
    **settings: Any,
) -> Pin:
    """A filter of raw text, after an earlier one that left out `before`."""
    root = put_source(bench, "raw", [{"text": text} for text in texts])
    parents = {"source": [root]}
    if before is not None:
        parents = {"source": [put_filter(bench, before)], "records": [root]}
    if against:
        parents["against"] = [put_source(bench, "raw", [{"text": text} for text in against])]
    return bench.run(specs.FilterSpec.model_validate({"filter": settings}), **parents)


def put_filter(bench: Bench, excluded: Sequence[int]) -> str:
    spec = specs.FilterSpec.model_validate({"filter": {"type": "length", "min_tokens": 1}})
    return bench.put(spec, {"excluded.npy": list(excluded)})


def filter_contaminated(bench: Bench) -> Pin:
    """Of three contaminated records one is gone already; of the others, one holds two items."""
    shares = ((0, 0, "a", 1.0), (2, 0, "a", 0.25), (2, 1, "b", 0.5), (4, 1, "b", 0.75))
    hits = [
        {"record": record, "benchmark": benchmark, "item": item, "field": "question", "share": share}
        for record, benchmark, item, share in shares
    ]
    spec = specs.ContaminationSpec.model_validate({"contamination": {}})
    found = bench.put(spec, {"hits.jsonl": hits, "records.npy": [0, 2, 4]})
    root = put_source(bench, "raw", [{"text": text} for text in REPEATED])
    filtered = specs.FilterSpec.model_validate({"filter": {"type": "contamination", "on_found": "drop"}})
    return bench.run(filtered, source=[put_filter(bench, [0, 1])], records=[root], contamination=[found])


LABEL_SPEC = specs.LabelSpec.model_validate({"label": {"engine": {"type": "rules"}, "attempts": 1}})


def filter_labelled(bench: Bench) -> Pin:
    """Labels of each category, one that nobody could read, and one of a record that is gone already."""
    labels = bench.put(LABEL_SPEC, {"labels.npy": np.array([0, 2, 254, 1, 2, 255, 3], dtype=np.uint8)})
    root = put_source(bench, "instruction", INSTRUCTION * 2 + INSTRUCTION[:1])
    spec = specs.FilterSpec.model_validate({"filter": {"type": "label", "category": "math"}})
    return bench.run(spec, source=[put_filter(bench, [5])], records=[root], labels=[labels])


def find_contamination(bench: Bench) -> Pin:
    """Two benchmarks, one of whose items is found in neither language."""
    spec = specs.ContaminationSpec.model_validate({"contamination": {"words": 8, "characters": 12}})
    source = put_source(bench, "raw", [{"text": text} for text in LEAKS])
    benchmarks = [put_source(bench, "benchmark", items) for items in (ITEMS[:1], ITEMS[1:])]
    return bench.run(spec, source=[source], benchmarks=benchmarks)


def label(bench: Bench) -> Pin:
    """Keyword rules in both languages, behind a filter that left one dialogue out."""
    asked = (
        "If all ships sail, what does the premise say?",
        "全部でいくつですか。",
        "正規表現のコードを書いて。",
        "港の名前は？",
    )
    more = [{"messages": [{"role": "user", "content": one}, {"role": "assistant", "content": "So."}]} for one in asked]
    root = put_source(bench, "instruction", [*INSTRUCTION, *more])
    return bench.run(LABEL_SPEC, source=[put_filter(bench, [1])], records=[root])


SOURCE_CASES: dict[str, Callable[[Bench], Pin]] = {
    **{
        f"source: {' '.join((language, *world.values()))}": partial(make_world, language=language, **world)
        for language in ("en", "ja")
        for world in WORLD_KINDS
    },
    "source: files": index_files,
    "filter: exact duplicates": partial(filter_records, texts=REPEATED, type="exact_duplicates"),
    "filter: exact duplicates, after another and against a source": partial(
        filter_records, texts=REPEATED, before=[0, 4], against=ELSEWHERE, type="exact_duplicates", ignore_case=True
    ),
    "filter: near duplicates": partial(filter_records, texts=REPEATED, type="near_duplicates"),
    "filter: near duplicates, after another and against a source": partial(
        filter_records, texts=REPEATED, before=[0, 4], against=ELSEWHERE, type="near_duplicates", seed=3
    ),
    "filter: personal data flagged": partial(filter_records, texts=PERSONAL, type="personal_data"),
    "filter: personal data dropped": partial(
        filter_records,
        texts=(*PERSONAL, "Ring 03-1234-5678."),
        before=[0],
        type="personal_data",
        on_found="drop",
        at_least=2,
    ),
    "filter: contamination": filter_contaminated,
    "filter: label": filter_labelled,
    "contamination": find_contamination,
    "label": label,
}

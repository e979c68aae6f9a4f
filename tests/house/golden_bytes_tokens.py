"""The fixed tiny inputs behind golden_bytes.json, hand-made: tokenizers, token stores, packs, mixtures."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from golden_bytes import Bench, Pin
from golden_bytes_sources import INSTRUCTION, RAW, put_filter, put_source
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from mixlab.config.tokenizers import SPECIAL_TOKENS
from mixlab.plan import specs


def train_tokenizer(bench: Bench) -> Pin:
    spec = specs.TokenizerSpec.model_validate({"tokenizer": {"vocab_size": 280}})
    sources = [put_source(bench, "raw", RAW * 3), put_source(bench, "instruction", INSTRUCTION * 3)]
    return bench.run(spec, sources=sources)


def put_tokenizer(bench: Bench) -> str:
    """A tokenizer of single bytes, made without our trainer."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: at for at, token in enumerate([*SPECIAL_TOKENS, *alphabet])}, []))
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    spec = specs.TokenizerSpec.model_validate({"tokenizer": {"vocab_size": 261}})
    return bench.put(spec, {"tokenizer.json": tokenizer.to_str().encode()})


def tokenize_raw(bench: Bench) -> Pin:
    spec = specs.TokenizeSpec.model_validate({"tokenize": {}})
    records = [*RAW, {"text": "the text <|end|> is only text"}]
    return bench.run(spec, source=[put_source(bench, "raw", records)], tokenizer=[put_tokenizer(bench)])


def tokenize_dialogues(bench: Bench) -> Pin:
    """The last of them holds a special token and is excluded."""
    spec = specs.TokenizeSpec.model_validate({"tokenize": {"chat": {}}})
    asked = {"role": "user", "content": "say <|end|>"}
    records = [*INSTRUCTION, {"messages": [asked, {"role": "assistant", "content": "no"}]}]
    return bench.run(spec, source=[put_source(bench, "instruction", records)], tokenizer=[put_tokenizer(bench)])


def filter_by_length(bench: Bench) -> Pin:
    """Text of both languages, counted by a tokenizer of bytes."""
    spec = specs.FilterSpec.model_validate({"filter": {"type": "length", "min_tokens": 8, "max_tokens": 40}})
    source = put_source(bench, "raw", [*RAW, {"text": "few"}, {"text": "多い" * 9}])
    return bench.run(spec, source=[source], tokenizer=[put_tokenizer(bench)])


def tokenize_filtered(bench: Bench) -> Pin:
    """Numbers of records in the exclusions are those of the source, whatever a filter left out."""
    asked = {"role": "user", "content": "say <|end|>"}
    records = [*INSTRUCTION, {"messages": [asked, {"role": "assistant", "content": "no"}]}]
    root = put_source(bench, "instruction", records)
    parents = {"source": [put_filter(bench, [1])], "records": [root], "tokenizer": [put_tokenizer(bench)]}
    return bench.run(specs.TokenizeSpec.model_validate({"tokenize": {"chat": {}}}), **parents)


def tokenize_shard(bench: Bench, number: int) -> Pin:
    """One of three stretches of seven records, of which a filter left out the first."""
    spec = specs.TokenizeShardSpec.model_validate({"tokenize": {"number": number, "of": 3}})
    root = put_source(bench, "raw", [*RAW, *RAW, {"text": "last"}])
    parents = {"source": [put_filter(bench, [0])], "records": [root], "tokenizer": [put_tokenizer(bench)]}
    return bench.run(spec, **parents)


def join(bench: Bench) -> Pin:
    """Three shards, the one in the middle without a document."""
    spec = specs.TokenizeShardSpec.model_validate({"tokenize": {"number": 0, "of": 3}})
    shards = [bench.put(spec, build_store(lengths, chat=True)) for lengths in ((5, 3), (), (4,))]
    parents = {"source": [put_source(bench, "instruction", INSTRUCTION)], "tokenizer": [put_tokenizer(bench)]}
    return bench.run(specs.TokenizeSpec.model_validate({"tokenize": {"chat": {}}}), **parents, shards=shards)


def build_store(lengths: Sequence[int], chat: bool) -> dict[str, Any]:
    """The files of a token store; the last three tokens of a dialogue are the response."""
    ends = np.cumsum((0, *lengths))
    spans = [[int(end) - min(3, length), int(end)] for end, length in zip(ends[1:], lengths, strict=True)]
    responses = sum(end - start for start, end in spans) if chat else 0
    return {
        "tokens.bin": np.arange(ends[-1], dtype="<u2").tobytes(),
        "document_offsets.npy": ends,
        "response_spans.npy": np.array(spans, dtype="<i8").reshape(-1, 2) if chat else np.empty((0, 2), dtype="<i8"),
        "exclusions.jsonl": [],
        "index.json": {
            "dtype": "uint16",
            "vocab_size": 300,
            "tokens": int(ends[-1]),
            "documents": len(lengths),
            "response_tokens": responses,
            "excluded": 0,
        },
    }


def pack(bench: Bench, layout: str, chat: bool) -> Pin:
    """Documents in windows of 8; the last three tokens of a dialogue are the response, cut off in one of two."""
    files = build_store((5, 20, 3, 8, 1, 7, 4, 10), chat)
    store = bench.put(specs.TokenizeSpec.model_validate({"tokenize": {"chat": {} if chat else None}}), files)
    return bench.run(specs.PackSpec.model_validate({"pack": {"sequence_tokens": 8, "layout": layout}}), tokens=[store])


def put_pack(bench: Bench, layout: str, window_tokens: list[int]) -> str:
    """One document a window, half of each a response."""
    tokens = np.array(window_tokens)
    starts = np.cumsum(tokens) - tokens
    documents = np.arange(len(tokens))
    files = {
        "segments.npy": np.stack([starts, tokens], axis=1),
        "window_offsets.npy": np.arange(len(tokens) + 1),
        "window_tokens.npy": tokens.astype("<i4"),
        "window_response_tokens.npy": (tokens // 2).astype("<i4"),
        "window_documents.npy": np.stack([documents, documents], axis=1),
        "index.json": {
            "windows": len(tokens),
            "tokens": int(tokens.sum()),
            "segments": len(tokens),
            "response_tokens": int((tokens // 2).sum()),
            "sequence_tokens": 16,
            "layout": layout,
            "first_document": 0,
            "last_document": len(tokens) - 1,
            "dropped": 0,
            "truncated_tokens": 0,
            "dropped_tokens": 0,
            "stream": f"{window_tokens[1]:016x}",
        },
    }
    return bench.put(specs.PackSpec.model_validate({"pack": {"sequence_tokens": 16, "layout": layout}}), files)


def mix(bench: Bench, layout: str, **settings: Any) -> Pin:
    """Four sources in two cells and two raw languages, with windows of 9 to 16 tokens."""
    sources = [
        {"kind": "raw", "language": "en"},
        {"kind": "raw", "language": "ja"},
        {"kind": "instruction", "language": "en", "category": "math"},
        {"kind": "instruction", "language": "ja", "category": "code"},
    ]
    packs = [put_pack(bench, layout, [16 - (at * step) % 8 for at in range(40)]) for step in (1, 3, 5, 7)]
    spec = specs.MixtureSpec.model_validate({"mixture": {"sources": sources, "seed": 7, **settings}})
    return bench.run(spec, packs=packs)


AXES = {"instruction": "1/4", "language": {"en": "1/3", "ja": "2/3"}, "on_empty_cell": "rake", "max_epochs": 3}

PHASED = {
    "instruction": "1/4",
    "max_epochs": 3,
    "phases": [
        {"begin": "1/2", "instruction": "3/4", "category": {"math": "2/3", "code": "1/3"}},
        {"begin": "9/10", "instruction": "0", "raw": [{"ratio": "1", "sources": [0]}]},
    ],
}
FACTORED = {
    "instruction": "1/3",
    "cells": {"en/math": "1/6", "ja/code": "5/6"},
    "raw": {"factors": [{"source": 1, "factor": "7/2"}]},
    "max_epochs": 3,
}

TOKEN_CASES: dict[str, Callable[[Bench], Pin]] = {
    "tokenizer": train_tokenizer,
    "tokenize: raw": tokenize_raw,
    "tokenize: dialogues": tokenize_dialogues,
    "tokenize: filtered dialogues": tokenize_filtered,
    "tokenize: joined": join,
    **{f"tokenize_shard: {number + 1} of 3": partial(tokenize_shard, number=number) for number in range(3)},
    "filter: length": filter_by_length,
    "pack: raw": partial(pack, layout="packed", chat=False),
    "pack: dialogues": partial(pack, layout="packed", chat=True),
    "pack: one per window": partial(pack, layout="one_per_window", chat=True),
    "pack: concatenated raw": partial(pack, layout="concatenated", chat=False),
    "pack: concatenated dialogues": partial(pack, layout="concatenated", chat=True),
    "mixture: tokens": partial(mix, layout="packed", budget={"tokens": 900}, **AXES),
    "mixture: natural": partial(mix, layout="packed", budget={"epochs": "1/2"}),
    "mixture: samples": partial(mix, layout="one_per_window", budget={"samples": 50}, instruction="0.5"),
    "mixture: phases": partial(mix, layout="packed", budget={"windows": 120}, **PHASED),
    "mixture: factors and cells": partial(mix, layout="concatenated", budget={"tokens": 1500}, **FACTORED),
}
